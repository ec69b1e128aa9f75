//! Feeds `lxkns_serve::fuzz::request`.

#![no_main]

libfuzzer_sys::fuzz_target!(|frame: &[u8]| lxkns_serve::fuzz::request(frame));
