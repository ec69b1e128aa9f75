//! Feeds `lxkns_engines::fuzz::time`.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &[u8]| lxkns_engines::fuzz::time(text));
