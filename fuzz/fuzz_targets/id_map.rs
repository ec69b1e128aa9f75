//! Feeds `lxkns_core::fuzz::id_map`.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &[u8]| lxkns_core::fuzz::id_map(text));
