//! Feeds `lxkns_core::fuzz::status`.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &[u8]| lxkns_core::fuzz::status(text));
