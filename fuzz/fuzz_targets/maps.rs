//! Feeds `lxkns_core::fuzz::maps`.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &[u8]| lxkns_core::fuzz::maps(text));
