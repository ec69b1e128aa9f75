//! Bytes as text: JSON strings are Unicode, paths and names of the kernel's are not.

use std::borrow::Cow;

use bstr::{BStr, BString, ByteSlice};

use crate::octal::unescape_octal;

/// Escapes as mountinfo does (`\040` for a space), and likewise every byte that is not UTF-8.
pub(crate) fn escape(bytes: &BStr) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                ' ' | '\t' | '\n' | '\\' => push_octal(&mut text, c as u8),
                _ => text.push(c),
            }
        }
        for &byte in chunk.invalid() {
            push_octal(&mut text, byte);
        }
    }
    text
}

fn push_octal(text: &mut String, byte: u8) {
    text.push('\\');
    for shift in [6, 3, 0] {
        text.push(char::from(b'0' + (byte >> shift & 7)));
    }
}

/// Undoes [`escape`]. A backslash that no byte's three octal digits follow stands for itself.
pub(crate) fn unescape(text: &str) -> BString {
    unescape_octal(text.as_bytes()).into_owned().into()
}

/// The text as it is, with U+FFFD for what is not UTF-8.
pub(crate) fn lossy(bytes: &BStr) -> Cow<'_, str> {
    bytes.to_str_lossy()
}

/// The escaped text, only where [`lossy`] loses something.
pub(crate) fn escaped_if_lossy(bytes: &BStr) -> Option<String> {
    bytes.to_str().is_err().then(|| escape(bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escapes_like_mountinfo() {
        assert_eq!(escape(b"/a b\t\n\\\xff\xc3\xa4".into()), "/a\\040b\\011\\012\\134\\377ä");
    }

    #[test]
    fn a_stray_backslash_stands_for_itself() {
        assert_eq!(unescape("\\x2d\\04\\400\\"), "\\x2d\\04\\400\\");
    }

    proptest! {
        #[test]
        fn any_bytes_come_back(bytes: Vec<u8>) {
            prop_assert_eq!(unescape(&escape(bytes.as_bstr())), bytes);
        }
    }
}
