//! Feeds `lxkns_core::fuzz::stat`.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &[u8]| lxkns_core::fuzz::stat(text));
