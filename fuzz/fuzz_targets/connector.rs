//! Feeds `lxkns_core::fuzz::connector`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lxkns_core::fuzz::connector(bytes));
