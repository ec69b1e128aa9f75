//! Feeds `lxkns_core::fuzz::cgroup_files`.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &[u8]| lxkns_core::fuzz::cgroup_files(text));
