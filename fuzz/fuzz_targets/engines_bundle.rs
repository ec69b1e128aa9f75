//! Feeds `lxkns_engines::fuzz::bundle`.

#![no_main]

lxkns_fuzz::changes_json!();

libfuzzer_sys::fuzz_target!(|text: &[u8]| lxkns_engines::fuzz::bundle(text));
