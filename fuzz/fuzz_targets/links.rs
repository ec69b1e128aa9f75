//! Feeds `lxkns_core::fuzz::links`.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &[u8]| lxkns_core::fuzz::links(text));
