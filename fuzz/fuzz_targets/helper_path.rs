//! Feeds `lxkns_mountns::fuzz::crossed`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lxkns_mountns::fuzz::crossed(bytes));
