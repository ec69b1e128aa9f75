//! Feeds `lxkns_serve::fuzz::web_config`.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| lxkns_serve::fuzz::web_config(text));
