//! Feeds `lxkns_engines::fuzz::runc_state`.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &[u8]| lxkns_engines::fuzz::runc_state(text));
