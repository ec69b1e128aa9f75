//! Pure parsers of kernel text, from bytes to values.
//!
//! Much of this text contains names that processes choose: their own, and those of files, control groups and mounts. So
//! no parser panics or takes more than linear time on any input, and no name passes for another field. Truncated text
//! is malformed: the kernel ends each line with a newline, and the parsers require it wherever a number or path could
//! otherwise be cut off unnoticed.

pub(crate) mod cgroup;
pub(crate) mod cgroup_files;
pub(crate) mod cpulist;
pub(crate) mod fdinfo;
pub(crate) mod id_map;
pub(crate) mod links;
pub(crate) mod maps;
pub(crate) mod mountinfo;
pub(crate) mod net_unix;
pub(crate) mod stat;
pub(crate) mod status;
pub(crate) mod timens;

use std::fmt;

use bstr::ByteSlice;

/// A text is not in the form that the kernel gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// The kind of file: `stat`, `mountinfo`.
    pub(crate) what: &'static str,
    /// The line, counted from 1.
    pub(crate) line: usize,
    /// What was expected there.
    pub(crate) expected: &'static str,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "malformed {}, line {}: expected {}", self.what, self.line, self.expected)
    }
}

impl std::error::Error for ParseError {}

/// A line of a text, with its number, counted from 1.
#[derive(Clone, Copy, Debug)]
struct Line<'a> {
    what: &'static str,
    number: usize,
    text: &'a [u8],
}

impl Line<'_> {
    /// The error about this line.
    fn error(&self, expected: &'static str) -> ParseError {
        ParseError { what: self.what, line: self.number, expected }
    }
}

/// The lines of a text. A line without its newline is an error, as the text was truncated.
#[derive(Clone, Debug)]
struct Lines<'a> {
    what: &'static str,
    number: usize,
    rest: &'a [u8],
}

/// The lines of this text, which comes from a file of the kind `what`.
fn lines<'a>(what: &'static str, text: &'a [u8]) -> Lines<'a> {
    Lines { what, number: 0, rest: text }
}

impl Lines<'_> {
    /// The error about a line that the text lacks.
    fn missing(&self, expected: &'static str) -> ParseError {
        ParseError { what: self.what, line: self.number + 1, expected }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Result<Line<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        self.number += 1;
        let Some(end) = self.rest.find_byte(b'\n') else {
            self.rest = &[];
            return Some(Err(ParseError { what: self.what, line: self.number, expected: "a newline at its end" }));
        };
        let line = Line { what: self.what, number: self.number, text: &self.rest[..end] };
        self.rest = &self.rest[end + 1..];
        Some(Ok(line))
    }
}

/// The fields of a line that are separated by any number of spaces and tabs.
fn fields(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| byte == b' ' || byte == b'\t').filter(|field| !field.is_empty())
}

/// A decimal number, of digits only.
fn decimal<T: TryFrom<u64>>(text: &[u8]) -> Option<T> {
    if text.is_empty() {
        return None;
    }
    let mut value: u64 = 0;
    for &byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    T::try_from(value).ok()
}

/// A decimal number that can have a minus sign.
fn signed_decimal<T: TryFrom<i64>>(text: &[u8]) -> Option<T> {
    let value = match text.strip_prefix(b"-") {
        Some(digits) => 0i64.checked_sub_unsigned(decimal(digits)?)?,
        None => decimal(text)?,
    };
    T::try_from(value).ok()
}

/// An octal number, of digits only.
fn octal(text: &[u8]) -> Option<u32> {
    if text.is_empty() || text.len() > 10 {
        return None;
    }
    text.iter().try_fold(0, |value, &byte| Some(value << 3 | char::from(byte).to_digit(8)?))
}

/// A hexadecimal number, of digits only.
fn hexadecimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 16 {
        return None;
    }
    text.iter().try_fold(0, |value, &byte| Some(value << 4 | u64::from(char::from(byte).to_digit(16)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(decimal::<u32>(b"0"), Some(0));
        assert_eq!(decimal::<u32>(b"4294967295"), Some(u32::MAX));
        assert_eq!(decimal::<u32>(b"4294967296"), None);
        assert_eq!(decimal::<u64>(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(decimal::<u64>(b"18446744073709551616"), None);
        for text in ["", "+1", "-1", " 1", "1 ", "0x1", "1_0", "\u{661}"] {
            assert_eq!(decimal::<u64>(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(signed_decimal::<i64>(b"-9223372036854775808"), Some(i64::MIN));
        assert_eq!(signed_decimal::<i64>(b"9223372036854775808"), None);
        assert_eq!(signed_decimal::<i32>(b"-20"), Some(-20));
        assert_eq!(signed_decimal::<i32>(b"--2"), None);
        assert_eq!(signed_decimal::<i32>(b"-"), None);
        assert_eq!(hexadecimal(b"000001fffeffffff"), Some(0x1ff_feff_ffff));
        assert_eq!(hexadecimal(b"ffffffffffffffff"), Some(u64::MAX));
        assert_eq!(hexadecimal(b"00000000000000000"), None);
        assert_eq!(hexadecimal(b""), None);
        assert_eq!(hexadecimal(b"fg"), None);
        assert_eq!(octal(b"0022"), Some(0o22));
        assert_eq!(octal(b"7777777777"), Some(0o7_777_777_777));
        assert_eq!((octal(b"77777777777"), octal(b""), octal(b"8"), octal(b"0o7")), (None, None, None, None));
    }

    #[test]
    fn a_line_without_its_newline_was_cut_off() {
        let mut lines = lines("stat", b"a\n\nb");
        assert_eq!(lines.next().unwrap().unwrap().text, b"a");
        assert_eq!(lines.next().unwrap().unwrap().text, b"");
        let error = lines.next().unwrap().unwrap_err();
        assert_eq!(error.to_string(), "malformed stat, line 3: expected a newline at its end");
        assert!(lines.next().is_none());
    }
}
