//! Feeds `lxkns_core::fuzz::cgroup`.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &[u8]| lxkns_core::fuzz::cgroup(text));
