//! Text that others wrote (names of processes, paths of mounts) made safe to print. Nothing of that kind reaches the
//! output by another way, but for JSON, which has its own escaping.

use std::fmt::Write as _;

use bstr::ByteSlice as _;
use lxkns_model::wire;

use super::charset::Charset;

/// Where the text goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    /// To eyes: blanks and backslashes stay.
    Eyes,
    /// To programs that split lines at blanks: no blank stays, and a backslash is escaped, so that it can be undone.
    Fields,
}

/// Writes `\xHH` for each byte of whatever could command a terminal, break a line, reorder or hide text, or is not
/// valid UTF-8; and of whatever the locale has no characters for.
pub fn escape(bytes: &[u8], goes_to: For) -> String {
    escape_with(Charset::current(), bytes, goes_to)
}

fn escape_with(charset: Charset, bytes: &[u8], goes_to: For) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if charset.has(character) && is_safe(character, goes_to) {
                text.push(character);
            } else {
                push_hex(&mut text, character.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        push_hex(&mut text, chunk.invalid());
    }
    text
}

/// [`escape`] for eyes.
pub fn printable(text: impl AsRef<[u8]>) -> String {
    escape(text.as_ref(), For::Eyes)
}

/// A word that a shell reads as just these bytes, safe to print: plain where that will do, else quoted.
pub fn shell_word(bytes: &[u8]) -> String {
    shell_word_with(Charset::current(), bytes)
}

fn shell_word_with(charset: Charset, bytes: &[u8]) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+:@%,=".contains(byte);
    if !bytes.is_empty() && bytes.iter().all(is_plain) {
        return printable(bytes);
    }
    let is_shown = |character| charset.has(character) && is_safe(character, For::Eyes);
    let is_clean = bytes.to_str().is_ok_and(|text| text.chars().all(is_shown));
    if is_clean && !bytes.contains(&b'\'') {
        return format!("'{}'", printable(bytes));
    }
    let mut word = String::from("$'");
    for &byte in bytes {
        match byte {
            b'\'' | b'\\' => word.extend(['\\', char::from(byte)]),
            b' '..=b'~' => word.push(char::from(byte)),
            _ => {
                // Octal: always three digits, so that a digit that follows is not taken for part of it.
                let _ = write!(word, "\\{byte:03o}");
            }
        }
    }
    word.push('\'');
    word
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        let _ = write!(text, "\\x{byte:02x}");
    }
}

fn is_safe(character: char, goes_to: For) -> bool {
    if goes_to == For::Fields && (character.is_whitespace() || character == '\\') {
        return false;
    }
    wire::is_safe_to_print(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_commands_a_terminal_is_escaped() {
        for (bytes, text) in [
            (&b"plain text"[..], "plain text"),
            (b"\x1b[31mred\x07", "\\x1b[31mred\\x07"),
            (b"a\nb\rc\td\0e\x7f", "a\\x0ab\\x0dc\\x09d\\x00e\\x7f"),
            ("\u{9b}31m".as_bytes(), "\\xc2\\x9b31m"),
            (b"\x9b31m", "\\x9b31m"),
            ("a\u{202e}b\u{2066}\u{200f}".as_bytes(), "a\\xe2\\x80\\xaeb\\xe2\\x81\\xa6\\xe2\\x80\\x8f"),
            ("\u{2028}\u{feff}".as_bytes(), "\\xe2\\x80\\xa8\\xef\\xbb\\xbf"),
            (b"\xff\xc3", "\\xff\\xc3"),
            ("größe 漢字 é".as_bytes(), "größe 漢字 é"),
            (b"C:\\x", "C:\\x"),
        ] {
            assert_eq!(printable(bytes), text);
        }
    }

    #[test]
    fn what_the_locale_has_no_characters_for_is_escaped() {
        let text = "größe 7".as_bytes();
        assert_eq!(escape_with(Charset::Ascii, text, For::Eyes), "gr\\xc3\\xb6\\xc3\\x9fe 7");
        assert_eq!(escape_with(Charset::Ascii, text, For::Fields), "gr\\xc3\\xb6\\xc3\\x9fe\\x207");
        assert_eq!(shell_word_with(Charset::Ascii, text), "$'gr\\303\\266\\303\\237e 7'");
        assert_eq!(shell_word_with(Charset::Ascii, b"/a b"), "'/a b'");
    }

    #[test]
    fn fields_have_no_blank_and_no_bare_backslash() {
        assert_eq!(escape("a b\\c\u{a0}\u{3000}d".as_bytes(), For::Fields), "a\\x20b\\x5cc\\xc2\\xa0\\xe3\\x80\\x80d");
    }

    #[test]
    fn every_byte_and_pair_of_bytes_comes_out_safe() {
        for first in 0..=u8::MAX {
            for second in 0..=u8::MAX {
                let text = printable([first, second]);
                assert!(text.chars().all(|character| !character.is_control()), "{first} {second}");
            }
        }
    }

    #[test]
    fn shell_words() {
        for (bytes, word) in [
            (&b"/run/netns/x"[..], "/run/netns/x"),
            (b"/a b", "'/a b'"),
            (b"$(x)", "'$(x)'"),
            (b"", "''"),
            (b"it's", "$'it\\'s'"),
            (b"a\x1b\n\\1", "$'a\\033\\012\\\\1'"),
            (b"\xff", "$'\\377'"),
            ("é".as_bytes(), "'é'"),
            (b"~x", "'~x'"),
        ] {
            assert_eq!(shell_word(bytes), word);
        }
    }
}
