//! Feeds `lxkns_inside::fuzz::netlink`.

#![no_main]

libfuzzer_sys::fuzz_target!(|payload: &[u8]| lxkns_inside::fuzz::netlink(payload));
