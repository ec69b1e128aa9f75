//! Feeds `lxkns_engines::fuzz::cgroup_path`.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &[u8]| lxkns_engines::fuzz::cgroup_path(text));
