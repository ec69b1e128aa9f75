//! Feeds `lxkns_engines::fuzz::cni_result`.

#![no_main]

lxkns_fuzz::changes_json!();

libfuzzer_sys::fuzz_target!(|text: &[u8]| lxkns_engines::fuzz::cni_result(text));
