//! Feeds `lxkns_serve::fuzz::reply`.

#![no_main]

libfuzzer_sys::fuzz_target!(|frame: &[u8]| lxkns_serve::fuzz::reply(frame));
