//! Feeds `lxkns_engines::fuzz::api`.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &[u8]| lxkns_engines::fuzz::api(text));
