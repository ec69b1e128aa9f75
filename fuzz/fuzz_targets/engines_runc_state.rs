//! Feeds `lxkns_engines::fuzz::runc_state`.

#![no_main]

lxkns_fuzz::changes_json!();

libfuzzer_sys::fuzz_target!(|text: &[u8]| lxkns_engines::fuzz::runc_state(text));
