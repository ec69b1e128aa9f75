//! JSON that is safe to print: what could command a terminal, hide or reorder text is escaped, in every string and key.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter, PrettyFormatter};

/// Writes a value as JSON without a newline at the end, in which each character that [`is_safe_to_print`] refuses is
/// escaped as `\uXXXX`. Readers get what was written.
///
/// # Errors
///
/// Where the writer fails, or the value cannot be JSON.
pub fn write_json(value: &impl Serialize, pretty: bool, writer: impl Write) -> io::Result<()> {
    if pretty {
        let mut to = serde_json::Serializer::with_formatter(writer, Escaping(PrettyFormatter::new()));
        value.serialize(&mut to).map_err(io::Error::from)
    } else {
        let mut to = serde_json::Serializer::with_formatter(writer, Escaping(CompactFormatter));
        value.serialize(&mut to).map_err(io::Error::from)
    }
}

/// Writes what is between the outermost braces of a value that is an object, on one line.
pub(super) fn write_members(value: &impl Serialize, writer: impl Write) -> io::Result<()> {
    let mut to = serde_json::Serializer::with_formatter(writer, Escaping(Members { depth: 0 }));
    value.serialize(&mut to).map_err(io::Error::from)
}

/// Whether a character does no more on a terminal than to be seen: none of the controls (C0, DEL, C1), nor of what is
/// invisible, breaks lines or changes the direction of text.
pub fn is_safe_to_print(character: char) -> bool {
    !character.is_control()
        && !matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// A formatter that escapes more than JSON demands.
struct Escaping<F>(F);

impl<F: Formatter> Formatter for Escaping<F> {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        // Nearly all: without decoding characters.
        if fragment.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return writer.write_all(fragment.as_bytes());
        }
        let mut rest = fragment;
        while let Some(at) = rest.find(|character| !is_safe_to_print(character)) {
            writer.write_all(&rest.as_bytes()[..at])?;
            let mut characters = rest[at..].chars();
            for unit in characters.next().unwrap_or_default().encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = characters.as_str();
        }
        writer.write_all(rest.as_bytes())
    }

    fn write_char_escape<W: ?Sized + Write>(&mut self, writer: &mut W, escape: CharEscape) -> io::Result<()> {
        self.0.write_char_escape(writer, escape)
    }

    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_array(writer)
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }

    fn end_object_key<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_key(writer)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}

/// A compact formatter that leaves out the outermost braces.
struct Members {
    /// In how many objects what is being written is.
    depth: usize,
}

impl Formatter for Members {
    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth += 1;
        if self.depth > 1 { writer.write_all(b"{") } else { Ok(()) }
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth -= 1;
        if self.depth > 0 { writer.write_all(b"}") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn written(value: &impl Serialize, pretty: bool) -> String {
        let mut json = Vec::new();
        write_json(value, pretty, &mut json).unwrap();
        String::from_utf8(json).unwrap()
    }

    #[test]
    fn what_commands_a_terminal_is_escaped() {
        let text = "a\u{9b}31m\u{7f}\u{202e}\u{200b}\u{e0001}\u{feff}ä漢\u{1f600}\"\\\n\u{1b}/";
        let json = "\"a\\u009b31m\\u007f\\u202e\\u200b\\udb40\\udc01\\ufeffä漢\u{1f600}\\\"\\\\\\n\\u001b/\"";
        assert_eq!(written(&text, false), json);
        assert_eq!(written(&BTreeMap::from([("\u{85}", 1)]), false), "{\"\\u0085\":1}", "keys too");
    }

    #[test]
    fn all_else_is_as_serde_json_writes_it() {
        let value = serde_json::json!({"a": [1, null, true, {"b": []}, {}], "c": -1.5, "d": "x"});
        assert_eq!(written(&value, false), serde_json::to_string(&value).unwrap());
        assert_eq!(written(&value, true), serde_json::to_string_pretty(&value).unwrap());
    }

    #[test]
    fn members_are_an_object_without_its_braces() {
        for value in [serde_json::json!({}), serde_json::json!({"a": {"b": {}}, "c": [{"d": "\u{9b}"}]})] {
            let mut members = Vec::new();
            write_members(&value, &mut members).unwrap();
            assert_eq!(format!("{{{}}}", String::from_utf8(members).unwrap()), written(&value, false));
        }
    }

    proptest! {
        #[test]
        fn any_text_comes_back_and_is_safe(text: String, pretty: bool) {
            let json = written(&[&text], pretty);
            prop_assert!(json.chars().all(|character| character == '\n' || is_safe_to_print(character)));
            prop_assert_eq!(serde_json::from_str::<[String; 1]>(&json).unwrap(), [text]);
        }
    }
}
