//! Feeds `lxkns_mountns::fuzz::reply`.

#![no_main]

libfuzzer_sys::fuzz_target!(|frame: &[u8]| lxkns_mountns::fuzz::reply(frame));
