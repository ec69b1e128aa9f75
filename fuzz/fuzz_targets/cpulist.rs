//! Feeds `lxkns_core::fuzz::cpulist`.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &[u8]| lxkns_core::fuzz::cpulist(text));
