//! The answers of an HTTP/1.1 server: bytes in, body out.
//!
//! Only what an engine sends: a status, `Content-Length`, chunks, or a body that ends with the connection. Whatever it sends,
//! no more than [`LONGEST_HEAD`] and [`LONGEST_BODY`] are kept, and each byte is looked at once.

use bstr::ByteSlice as _;

/// The longest head, and the longest trailer after the last chunk.
pub(crate) const LONGEST_HEAD: usize = 16 << 10;

/// The longest body.
pub(crate) const LONGEST_BODY: usize = 16 << 20;

/// The longest line with the size of a chunk.
const LONGEST_SIZE: usize = 256;

/// Why there is no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bad {
    /// It is no HTTP, or ends too early.
    Malformed,
    /// It is longer than is kept.
    TooLong,
    /// It has another status than 200.
    Status(u16),
    /// The call has failed: an answer in gRPC whose headers alone say why.
    Refused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Head,
    /// So many bytes are missing.
    Sized(usize),
    UntilEnd,
    ChunkSize,
    Chunk(usize),
    ChunkEnd,
    Trailer,
    Done,
}

/// An answer that arrives.
#[derive(Debug)]
pub(crate) struct Response {
    state: State,
    /// The head, or a line between chunks, as far as it has arrived.
    line: Vec<u8>,
    trailer: usize,
    body: Vec<u8>,
}

impl Response {
    pub(crate) fn new() -> Self {
        Self { state: State::Head, line: Vec::new(), trailer: 0, body: Vec::new() }
    }

    /// Takes what has arrived. Whether the answer is complete: then no more is taken.
    ///
    /// # Errors
    ///
    /// It is not what an engine answers.
    pub(crate) fn take(&mut self, mut bytes: &[u8]) -> Result<bool, Bad> {
        while !bytes.is_empty() && self.state != State::Done {
            bytes = match self.state {
                State::Head => self.head(bytes)?,
                State::Sized(missing) => {
                    let rest = self.keep(bytes, missing)?;
                    let missing = missing - (bytes.len() - rest.len());
                    self.state = if missing == 0 { State::Done } else { State::Sized(missing) };
                    rest
                }
                State::UntilEnd => self.keep(bytes, usize::MAX)?,
                State::Chunk(missing) => {
                    let rest = self.keep(bytes, missing)?;
                    let missing = missing - (bytes.len() - rest.len());
                    self.state = if missing == 0 { State::ChunkEnd } else { State::Chunk(missing) };
                    rest
                }
                State::ChunkSize | State::ChunkEnd | State::Trailer => self.between(bytes)?,
                State::Done => break,
            };
        }
        Ok(self.state == State::Done)
    }

    /// The body, where the connection has ended or the answer was complete.
    ///
    /// # Errors
    ///
    /// Something of it is missing.
    pub(crate) fn end(self) -> Result<Vec<u8>, Bad> {
        match self.state {
            State::Done | State::UntilEnd => Ok(self.body),
            _ => Err(Bad::Malformed),
        }
    }

    fn keep<'a>(&mut self, bytes: &'a [u8], most: usize) -> Result<&'a [u8], Bad> {
        let (own, rest) = bytes.split_at(bytes.len().min(most));
        if own.len() > LONGEST_BODY - self.body.len() {
            return Err(Bad::TooLong);
        }
        self.body.extend_from_slice(own);
        Ok(rest)
    }

    fn head<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Bad> {
        // The end may have begun in what came before.
        let from = self.line.len().saturating_sub(3);
        let room = (LONGEST_HEAD + 1).saturating_sub(self.line.len()).min(bytes.len());
        let before = self.line.len();
        self.line.extend_from_slice(&bytes[..room]);
        let Some(end) = self.line[from..].find(b"\r\n\r\n").map(|at| from + at) else {
            return if self.line.len() > LONGEST_HEAD { Err(Bad::TooLong) } else { Ok(&bytes[room..]) };
        };
        self.state = body_of(&self.line[..end])?;
        self.line.clear();
        Ok(&bytes[end + 4 - before..])
    }

    fn between<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Bad> {
        let end = bytes.find_byte(b'\n').map_or(bytes.len(), |at| at + 1);
        let (own, rest) = bytes.split_at(end);
        let most = if self.state == State::Trailer { LONGEST_HEAD - self.trailer } else { LONGEST_SIZE };
        if self.line.len() + own.len() > most {
            return Err(Bad::TooLong);
        }
        self.line.extend_from_slice(own);
        if !self.line.ends_with(b"\n") {
            return Ok(rest);
        }
        let line = self.line.strip_suffix(b"\r\n").ok_or(Bad::Malformed)?;
        self.state = match self.state {
            State::ChunkSize => match size_of_chunk(line)? {
                0 => State::Trailer,
                size => State::Chunk(size),
            },
            State::ChunkEnd if line.is_empty() => State::ChunkSize,
            State::ChunkEnd => return Err(Bad::Malformed),
            _ if line.is_empty() => State::Done,
            other => other,
        };
        self.trailer += if self.state == State::Trailer { self.line.len() } else { 0 };
        self.line.clear();
        Ok(rest)
    }
}

fn size_of_chunk(line: &[u8]) -> Result<usize, Bad> {
    let digits = line.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii_end();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(Bad::Malformed);
    }
    let size = digits.to_str().ok().and_then(|digits| usize::from_str_radix(digits, 16).ok());
    size.filter(|&size| size <= LONGEST_BODY).ok_or(Bad::TooLong)
}

/// How the body arrives, by the head without its empty line.
fn body_of(head: &[u8]) -> Result<State, Bad> {
    let mut lines = head.split_str("\r\n");
    let status = lines.next().unwrap_or_default();
    let rest = status.strip_prefix(b"HTTP/1.1 ").or_else(|| status.strip_prefix(b"HTTP/1.0 ")).ok_or(Bad::Malformed)?;
    let (digits, phrase) = rest.split_at_checked(3).ok_or(Bad::Malformed)?;
    if !digits.iter().all(u8::is_ascii_digit) || !(phrase.is_empty() || phrase.starts_with(b" ")) {
        return Err(Bad::Malformed);
    }
    let status = digits.iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0'));
    let (mut length, mut is_chunked) = (None, false);
    for line in lines {
        let (name, value) = line.split_once_str(":").ok_or(Bad::Malformed)?;
        let value = value.trim_ascii();
        if name.is_empty() || name.iter().any(|byte| byte.is_ascii_whitespace() || byte.is_ascii_control()) {
            return Err(Bad::Malformed);
        }
        if name.eq_ignore_ascii_case(b"Content-Length") {
            let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
            let number = value.to_str().ok().filter(|_| is_number).ok_or(Bad::Malformed)?;
            // Too many digits are too long as well.
            let number = number.parse().unwrap_or(usize::MAX);
            if length.is_some_and(|length| length != number) {
                return Err(Bad::Malformed);
            }
            length = Some(number);
        } else if name.eq_ignore_ascii_case(b"Transfer-Encoding") {
            if is_chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Bad::Malformed);
            }
            is_chunked = true;
        } else if name.eq_ignore_ascii_case(b"Content-Encoding") && !value.eq_ignore_ascii_case(b"identity") {
            return Err(Bad::Malformed);
        }
    }
    // No redirect is followed, and nothing is sent that has a preliminary answer.
    if status != 200 {
        return Err(Bad::Status(status));
    }
    match (length, is_chunked) {
        (Some(_), true) => Err(Bad::Malformed),
        (Some(0), false) => Ok(State::Done),
        (Some(length), false) if length <= LONGEST_BODY => Ok(State::Sized(length)),
        (Some(_), false) => Err(Bad::TooLong),
        (None, true) => Ok(State::ChunkSize),
        (None, false) => Ok(State::UntilEnd),
    }
}

/// An answer that is there as a whole, in parts of this many bytes.
#[cfg(any(test, feature = "_fuzz"))]
pub(crate) fn whole(text: &[u8], part: usize) -> Result<Vec<u8>, Bad> {
    let mut response = Response::new();
    for part in text.chunks(part.max(1)) {
        if response.take(part)? {
            break;
        }
    }
    response.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNKED: &str = "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nTransfer-Encoding: chunked\r\n\r\n";

    #[track_caller]
    fn says(text: &str, expected: Result<&str, Bad>) {
        for part in [1, 2, 3, 7, usize::MAX >> 1] {
            let body = whole(text.as_bytes(), part).map(|body| String::from_utf8(body).unwrap());
            assert_eq!(body, expected.map(str::to_owned), "in parts of {part}: {text:?}");
        }
    }

    #[test]
    fn bodies_of_each_kind_arrive() {
        says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOKmore", Ok("OK"));
        says("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", Ok(""));
        says("HTTP/1.0 200 OK\r\nServer: x\r\n\r\n[]", Ok("[]"));
        says(
            &format!("{CHUNKED}3\r\n[1,\r\n00A;x=y\r\n2345678901\r\n1 \r\n]\r\n0\r\nX: y\r\n\r\n"),
            Ok("[1,2345678901]"),
        );
        says(&format!("{CHUNKED}0\r\n\r\n"), Ok(""));
    }

    #[test]
    fn what_ends_too_early_is_no_answer() {
        for text in [
            "",
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nOK",
            &format!("{CHUNKED}3\r\n[1"),
            &format!("{CHUNKED}3\r\n[1,\r\n"),
            &format!("{CHUNKED}0\r\n"),
        ] {
            says(text, Err(Bad::Malformed));
        }
    }

    #[test]
    fn other_statuses_are_no_answer() {
        says("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", Err(Bad::Status(404)));
        says("HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\n\r\n", Err(Bad::Status(302)));
        says("HTTP/1.1 101 Switching\r\n\r\n", Err(Bad::Status(101)));
    }

    #[test]
    fn nonsense_is_refused() {
        let head = |lines: &str| format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\nOK");
        for text in [
            "SSH-2.0-x\r\n\r\n",
            "HTTP/2 200\r\n\r\n",
            "HTTP/1.1 20x OK\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            &head("Content-Length: 2\r\nContent-Length: 3"),
            &head("Content-Length: +2"),
            &head("Content-Length: 2\r\nTransfer-Encoding: chunked"),
            &head("Transfer-Encoding: gzip"),
            &head("Content-Encoding: gzip"),
            &head("no header"),
            &head(" folded: yes"),
            &format!("{CHUNKED}x\r\n"),
            &format!("{CHUNKED}-1\r\n"),
            &format!("{CHUNKED}1\n[\r\n0\r\n\r\n"),
            &format!("{CHUNKED}1\r\n[]\r\n0\r\n\r\n"),
        ] {
            says(text, Err(Bad::Malformed));
        }
    }

    #[test]
    fn nothing_grows_without_end() {
        let long = "a".repeat(LONGEST_HEAD);
        says(&format!("HTTP/1.1 200 OK\r\nX: {long}"), Err(Bad::TooLong));
        says(&format!("{CHUNKED}0\r\nX: {long}"), Err(Bad::TooLong));
        says(&format!("{CHUNKED}{long}"), Err(Bad::TooLong));
        says(&format!("{CHUNKED}{:x}\r\n", LONGEST_BODY + 1), Err(Bad::TooLong));
        says(&format!("{CHUNKED}{}\r\n", "f".repeat(40)), Err(Bad::TooLong));
        says("HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n", Err(Bad::TooLong));
        says(&format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", "9".repeat(40)), Err(Bad::TooLong));
        let mut response = Response::new();
        assert_eq!(response.take(b"HTTP/1.1 200 OK\r\n\r\n"), Ok(false));
        let part = vec![b' '; 1 << 20];
        let taken = (0..LONGEST_BODY >> 20).map(|_| response.take(&part)).collect::<Result<Vec<_>, _>>();
        assert!(taken.is_ok());
        assert_eq!(response.take(b" "), Err(Bad::TooLong));
    }
}
