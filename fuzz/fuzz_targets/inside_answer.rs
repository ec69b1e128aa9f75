//! Feeds `lxkns_inside::fuzz::answer`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lxkns_inside::fuzz::answer(bytes));
