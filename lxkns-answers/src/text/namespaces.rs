//! Names of namespaces within a text.

use std::ops::Range;

use lxkns_model::NamespaceType;

/// The names of namespaces in a text, such as `net:[4026532281]`, with their types.
pub fn namespace_names(text: &[u8]) -> impl Iterator<Item = (Range<usize>, NamespaceType)> {
    const BETWEEN: &[u8] = b":[";
    let mut at = 0;
    std::iter::from_fn(move || {
        while let Some(found) = bstr::ByteSlice::find(&text[at..], BETWEEN) {
            let colon = at + found;
            let digits = colon + BETWEEN.len();
            let count = text[digits..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            at = digits + count;
            let letters = text[..colon].iter().rev().take_while(|byte| byte.is_ascii_alphanumeric()).count();
            let start = colon - letters;
            let ns_type = NamespaceType::from_name(&text[start..colon]);
            if let (Some(ns_type), true, Some(b']')) = (ns_type, count > 0, text.get(at)) {
                return Some((start..at + 1, ns_type));
            }
        }
        None
    })
}
