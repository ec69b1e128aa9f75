//! Feeds `lxkns_engines::fuzz::bundle`.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &[u8]| lxkns_engines::fuzz::bundle(text));
