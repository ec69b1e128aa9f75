//! Feeds `lxkns_core::fuzz::fdinfo`.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &[u8]| lxkns_core::fuzz::fdinfo(text));
