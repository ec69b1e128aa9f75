//! Just enough of Rust's lexical rules to tell string literals from comments.

/// The string literals of a source text with the number of the line on which each begins. What is between the quotes
/// comes as it is written. Test modules, which stand last in a file, are left out.
pub(crate) fn string_literals(source: &str) -> Vec<(usize, &str)> {
    let text = without_tests(source);
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    let line = |at: usize| 1 + bytes[..at].iter().filter(|&&b| b == b'\n').count();
    while at < bytes.len() {
        let rest = &bytes[at..];
        if rest.starts_with(b"//") {
            at += length_to(rest, b"\n", 0);
        } else if rest.starts_with(b"/*") {
            at += block_comment(rest);
        } else if let Some(hashes) = raw_start(bytes, at) {
            let start = at + 2 + hashes;
            let close = format!("\"{}", "#".repeat(hashes));
            let length = length_to(&bytes[start..], close.as_bytes(), 0);
            found.push((line(at), &text[start..start + length - close.len().min(length)]));
            at = start + length;
        } else if rest[0] == b'"' {
            let length = quoted(&rest[1..], b'"');
            found.push((line(at), &text[at + 1..(at + length).max(at + 1)]));
            at += 1 + length;
        } else if rest[0] == b'\'' {
            at += character(rest);
        } else {
            at += 1;
        }
    }
    found
}

/// What stands before the test module, unless that is a file of its own.
fn without_tests(source: &str) -> &str {
    const START: &str = "\n#[cfg(test)]\nmod ";
    let mut starts = source.match_indices(START).map(|(at, _)| at);
    let inline = |at: &usize| source[at + START.len()..].lines().next().is_some_and(|line| line.contains('{'));
    &source[..starts.find(inline).unwrap_or(source.len())]
}

/// The length up to and with `needle`, or of all when it does not occur.
fn length_to(text: &[u8], needle: &[u8], from: usize) -> usize {
    let found = text[from..].windows(needle.len()).position(|window| window == needle);
    found.map_or(text.len(), |at| from + at + needle.len())
}

/// The length of a block comment, which may hold others.
fn block_comment(text: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        if text[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    at
}

/// How many hashes the raw string that begins here has, if one begins here.
fn raw_start(bytes: &[u8], at: usize) -> Option<usize> {
    let within_a_name = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() && !matches!(bytes[at - 1], b'b' | b'c'));
    if bytes[at] != b'r' || within_a_name {
        return None;
    }
    let hashes = bytes[at + 1..].iter().take_while(|&&b| b == b'#').count();
    (bytes.get(at + 1 + hashes) == Some(&b'"')).then_some(hashes)
}

/// The length up to and with the closing quote.
fn quoted(text: &[u8], quote: u8) -> usize {
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'\\' => at += 2,
            b if b == quote => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

/// The length of a character literal, or of the quote alone when it begins a lifetime.
fn character(text: &[u8]) -> usize {
    match text.get(1) {
        Some(b'\\') => 1 + quoted(&text[1..], b'\''),
        // One character of up to four bytes and a quote.
        Some(_) => (2..=5).find(|&n| text.get(n) == Some(&b'\'')).map_or(1, |n| {
            let one = std::str::from_utf8(&text[1..n]).is_ok_and(|text| text.chars().count() == 1);
            if one { n + 1 } else { 1 }
        }),
        None => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::string_literals;

    fn literals(source: &str) -> Vec<&str> {
        string_literals(source).into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn comments_hold_no_literals() {
        assert_eq!(literals("/// a \"b\"\nf(\"c\"); // \"d\"\n/* \"e\" /* \"f\" */ \"g\" */ \"h\""), ["c", "h"]);
    }

    #[test]
    fn every_kind_of_literal_is_found() {
        assert_eq!(literals(r##"("a\"b", b"c", c"d", r"e\", br#"f"g"#)"##), ["a\\\"b", "c", "d", "e\\", "f\"g"]);
    }

    #[test]
    fn characters_and_lifetimes_open_nothing() {
        assert_eq!(literals(r#"fn f<'a>(x: &'a str) { ['"', '\'', '\\', 'ä', b'"']; "z" }"#), ["z"]);
    }

    #[test]
    fn lines_are_counted_and_tests_left_out() {
        let source = "fn f() {}\nlet x = \"a\";\n\n#[cfg(test)]\nmod tests { \"b\" }\n";
        assert_eq!(string_literals(source), [(2, "a")]);
        assert_eq!(string_literals("\n#[cfg(test)]\nmod tests;\n\"a\"\n"), [(4, "a")]);
    }

    #[test]
    fn a_text_that_breaks_off_does_no_harm() {
        for source in ["\"", "r\"", "r#\"a", "'", "'\\", "/*", "//", "\"a\\"] {
            let _ = literals(source);
        }
    }
}
