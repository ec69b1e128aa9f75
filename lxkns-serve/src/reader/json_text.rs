//! JSON as text, taken apart without making values of it: what is taken apart here is as large as the host, and is text that
//! this program has written.

use std::io::{self, BufRead};

/// What is read, member by member.
pub(crate) struct Text<R> {
    reader: R,
}

impl<R: BufRead> Text<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { reader }
    }

    /// The next byte that is no white space, which stays there.
    ///
    /// # Errors
    ///
    /// The reader's, or there is none.
    pub(crate) fn peek(&mut self) -> io::Result<u8> {
        loop {
            let byte = *self.reader.fill_buf()?.first().ok_or(io::ErrorKind::UnexpectedEof)?;
            if !byte.is_ascii_whitespace() {
                return Ok(byte);
            }
            self.reader.consume(1);
        }
    }

    /// Takes this byte.
    ///
    /// # Errors
    ///
    /// The reader's, or another one is there.
    pub(crate) fn take(&mut self, wanted: u8) -> io::Result<()> {
        if self.peek()? != wanted {
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.reader.consume(1);
        Ok(())
    }

    /// Whether an object or list goes on: takes the comma before another member, or its end. `is_first` before the first one.
    ///
    /// # Errors
    ///
    /// The reader's, or it is malformed.
    pub(crate) fn goes_on(&mut self, is_first: bool, end: u8) -> io::Result<bool> {
        let byte = self.peek()?;
        if byte == end {
            self.reader.consume(1);
            return Ok(false);
        }
        if !is_first {
            self.take(b',')?;
        }
        Ok(true)
    }

    /// A key, with its colon.
    ///
    /// # Errors
    ///
    /// The reader's, or it is malformed.
    pub(crate) fn key(&mut self) -> io::Result<String> {
        let key = serde_json::from_slice(&self.value()?)?;
        self.take(b':')?;
        Ok(key)
    }

    /// A value, as it is written.
    ///
    /// # Errors
    ///
    /// The reader's, or it is malformed.
    pub(crate) fn value(&mut self) -> io::Result<Vec<u8>> {
        let mut value = Vec::new();
        let (mut depth, mut in_text, mut is_escaped) = (0_u32, false, false);
        let first = self.peek()?;
        let is_bare = !matches!(first, b'"' | b'{' | b'[');
        loop {
            let bytes = self.reader.fill_buf()?;
            if bytes.is_empty() {
                return if is_bare && !value.is_empty() { Ok(value) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
            let mut is_over = false;
            let mut taken = 0;
            for &byte in bytes {
                // The end of a number or word is what comes behind it.
                if is_bare && matches!(byte, b',' | b'}' | b']' | b':' | b' ' | b'\n') {
                    is_over = true;
                    break;
                }
                taken += 1;
                match byte {
                    _ if in_text => {
                        in_text = is_escaped || byte != b'"';
                        is_escaped = !is_escaped && byte == b'\\';
                    }
                    b'"' => in_text = true,
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                if !is_bare && !in_text && depth == 0 {
                    is_over = true;
                    break;
                }
            }
            value.extend_from_slice(&bytes[..taken]);
            self.reader.consume(taken);
            if is_over {
                return Ok(value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_taken_apart() {
        let json = br#" {"a" : {"x":"}\"\\", "y":[1,[2]]},
            "b":-1.5e3 ,"c\u0041":[], "d":true}"#;
        // Of a reader that gives one byte at a time, too.
        for capacity in [1, 4096] {
            let mut text = Text::new(io::BufReader::with_capacity(capacity, &json[..]));
            text.take(b'{').unwrap();
            let mut members = Vec::new();
            while text.goes_on(members.is_empty(), b'}').unwrap() {
                let key = text.key().unwrap();
                members.push((key, String::from_utf8(text.value().unwrap()).unwrap()));
            }
            let expected = [("a", r#"{"x":"}\"\\", "y":[1,[2]]}"#), ("b", "-1.5e3"), ("cA", "[]"), ("d", "true")];
            assert_eq!(members, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
        }
    }

    #[test]
    fn what_is_cut_is_an_error() {
        for json in ["", "{", "{\"a", "{\"a\":[1,"] {
            let mut text = Text::new(json.as_bytes());
            let all = text.take(b'{').and_then(|()| text.key()).and_then(|_| text.value());
            assert!(all.is_err(), "{json}");
        }
    }
}
