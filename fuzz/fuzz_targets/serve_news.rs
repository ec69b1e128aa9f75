//! Feeds `lxkns_serve::fuzz::news`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lxkns_serve::fuzz::news(bytes));
