//! Feeds `lxkns_mountns::fuzz::request`.

#![no_main]

libfuzzer_sys::fuzz_target!(|frame: &[u8]| lxkns_mountns::fuzz::request(frame));
