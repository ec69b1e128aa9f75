//! The octal escapes of the kernel's tables (`mountinfo`, `swaps`), which the JSON form uses too.

use std::borrow::Cow;

use bstr::ByteSlice;

/// Decodes `\040` and the like. Any other backslash stands for itself.
pub fn unescape_octal(text: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = text.find_byte(b'\\') else { return Cow::Borrowed(text) };
    let mut decoded = Vec::with_capacity(text.len());
    decoded.extend_from_slice(&text[..first]);
    let mut rest = &text[first..];
    while let Some((&byte, after)) = rest.split_first() {
        rest = match *after {
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ref after @ ..] if byte == b'\\' => {
                decoded.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                after
            }
            _ => {
                decoded.push(byte);
                after
            }
        };
    }
    Cow::Owned(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        assert_eq!(*unescape_octal(b"\\040\\011\\012\\134\\043\\000\\377"), *b" \t\n\\#\0\xff");
        for text in [b"\\".as_slice(), b"\\0", b"\\04", b"\\400", b"\\08a", b"\\x20", b"\\\\", b"a\\"] {
            assert_eq!(*unescape_octal(text), *text);
        }
        assert_eq!(*unescape_octal(b"\\134040"), *b"\\040");
        assert_eq!(*unescape_octal(b"\\\\040"), *b"\\ ");
        assert!(matches!(unescape_octal(b"/plain"), Cow::Borrowed(b"/plain")));
    }
}
