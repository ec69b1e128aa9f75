//! Feeds `lxkns_engines::fuzz::monitor`.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &[u8]| lxkns_engines::fuzz::monitor(text));
