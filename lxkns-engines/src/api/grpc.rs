//! One call of gRPC: bytes out, the frames of HTTP/2 in, a message out.
//!
//! A connection lasts for one call, whose request is an empty message. The window that is announced first has room for the
//! longest answer, so nothing is acknowledged. Headers are not decoded: a call that has failed has no message, not even an
//! empty one. Whatever an engine sends, no more than [`LONGEST_BODY`] is kept, and each byte is read a single time.
//!
//! No crate does this: those for gRPC take an asynchronous runtime, and most take `protoc` to be built.

use super::http::{Bad, LONGEST_BODY};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;

/// Flags of frames.
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;

/// The first stream that a client opens; 0 is the connection.
const STREAM: u32 = 1;

/// The length of a frame's head.
const HEAD: usize = 9;

/// The longest payload of a frame, as nothing else is announced.
const LONGEST_PAYLOAD: usize = 16 << 10;

/// The length of what comes before a message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// How much may be sent to this client: the longest message, and its prefix.
const WINDOW: usize = LONGEST_BODY + PREFIX;

/// How much is taken of frames that are not the message.
const MOST_OTHERS: usize = 1 << 20;

/// The longest value of a header.
pub(crate) const LONGEST_VALUE: usize = 126;

/// What is sent for a call of `method` with an empty message. `namespace`: the namespace of containerd's that it is about; at
/// most [`LONGEST_VALUE`] long, as is `method`.
pub(crate) fn request(method: &str, namespace: Option<&[u8]>) -> Vec<u8> {
    let window = u32::try_from(WINDOW).unwrap_or(u32::MAX >> 1).to_be_bytes();
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    // No stream is pushed; the window of a stream.
    let settings = [&[0, 2, 0, 0, 0, 0, 0, 4][..], &window].concat();
    frame(&mut bytes, SETTINGS, 0, 0, &settings);
    frame(&mut bytes, WINDOW_UPDATE, 0, 0, &window);
    let path = format!("/{method}");
    let headers = [
        (":method", &b"POST"[..]),
        (":scheme", b"http"),
        (":path", path.as_bytes()),
        (":authority", b"localhost"),
        ("content-type", b"application/grpc"),
        ("te", b"trailers"),
        ("user-agent", b"lxkns"),
    ];
    let mut block = Vec::new();
    for (name, value) in headers.into_iter().chain(namespace.map(|it| ("containerd-namespace", it))) {
        // A literal that is not indexed, with a new name: both texts stand as they are.
        block.push(0);
        for text in [name.as_bytes(), value] {
            let text = &text[..text.len().min(LONGEST_VALUE)];
            block.push(text.len() as u8);
            block.extend_from_slice(text);
        }
    }
    frame(&mut bytes, HEADERS, END_HEADERS, STREAM, &block);
    frame(&mut bytes, DATA, END_STREAM, STREAM, &[0; PREFIX]);
    bytes
}

fn frame(bytes: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    bytes.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
}

/// An answer that arrives.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    /// The head of the current frame, as far as it has arrived.
    head: Vec<u8>,
    /// How much of its payload is missing.
    missing: usize,
    /// The message, after its prefix.
    body: Vec<u8>,
    /// How much was taken of frames that are not the message.
    others: usize,
    has_begun: bool,
    is_done: bool,
}

impl Reply {
    /// Takes what has arrived. Whether the answer is complete: then no more is taken.
    ///
    /// # Errors
    ///
    /// It is not what an engine answers.
    pub(crate) fn take(&mut self, mut bytes: &[u8]) -> Result<bool, Bad> {
        while !bytes.is_empty() && !self.is_done {
            let is_head = self.head.len() < HEAD;
            let wanted = if is_head { HEAD - self.head.len() } else { self.missing };
            let (own, rest) = bytes.split_at(wanted.min(bytes.len()));
            bytes = rest;
            if is_head {
                self.head.extend_from_slice(own);
                if self.head.len() < HEAD {
                    break;
                }
                self.begin()?;
            } else {
                self.missing -= own.len();
                if self.head[3] == DATA {
                    self.body.extend_from_slice(own);
                }
            }
            if self.missing == 0 {
                self.is_done = matches!(self.head[3], DATA | HEADERS) && self.head[4] & END_STREAM != 0;
                self.head.clear();
            }
        }
        Ok(self.is_done)
    }

    /// Decides about a frame by its head.
    fn begin(&mut self) -> Result<(), Bad> {
        let Some(&[a, b, c, kind, flags, stream @ ..]) = self.head.first_chunk::<HEAD>() else {
            return Err(Bad::Malformed);
        };
        self.missing = u32::from_be_bytes([0, a, b, c]) as usize;
        let stream = u32::from_be_bytes(stream) & u32::MAX >> 1;
        let is_first = !std::mem::replace(&mut self.has_begun, true);
        if self.missing > LONGEST_PAYLOAD || (is_first && kind != SETTINGS) {
            return Err(Bad::Malformed);
        }
        match kind {
            DATA | HEADERS if stream != STREAM => return Err(Bad::Malformed),
            DATA if flags & PADDED != 0 => return Err(Bad::Malformed),
            DATA if self.missing > WINDOW - self.body.len() => return Err(Bad::TooLong),
            RST_STREAM => return Err(Bad::Refused),
            _ => {}
        }
        if kind != DATA || self.missing == 0 {
            self.others += HEAD + self.missing;
        }
        if self.others > MOST_OTHERS { Err(Bad::TooLong) } else { Ok(()) }
    }

    /// The message, where the connection has ended or the answer was complete.
    ///
    /// # Errors
    ///
    /// Something of it is missing.
    pub(crate) fn end(mut self) -> Result<Vec<u8>, Bad> {
        match self.body.first_chunk::<PREFIX>() {
            _ if !self.is_done => Err(Bad::Malformed),
            None if self.body.is_empty() => Err(Bad::Refused),
            Some([0, length @ ..]) if u32::from_be_bytes(*length) as usize == self.body.len() - PREFIX => {
                self.body.drain(..PREFIX);
                Ok(self.body)
            }
            _ => Err(Bad::Malformed),
        }
    }
}

/// An answer that is there as a whole, in parts of this many bytes.
#[cfg(any(test, feature = "_fuzz"))]
pub(crate) fn whole(bytes: &[u8], part: usize) -> Result<Vec<u8>, Bad> {
    let mut reply = Reply::default();
    for part in bytes.chunks(part.max(1)) {
        if reply.take(part)? {
            break;
        }
    }
    reply.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames: type, flags, stream, payload.
    fn frames(all: &[(u8, u8, u32, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        all.iter().for_each(|&(kind, flags, stream, payload)| frame(&mut bytes, kind, flags, stream, payload));
        bytes
    }

    #[track_caller]
    fn says(all: &[(u8, u8, u32, &[u8])], expected: Result<&[u8], Bad>) {
        let bytes = frames(all);
        for part in [1, 2, 8, 9, 10, usize::MAX >> 1] {
            assert_eq!(whole(&bytes, part), expected.map(<[u8]>::to_vec), "in parts of {part}");
        }
    }

    const FIRST: (u8, u8, u32, &[u8]) = (SETTINGS, 0, 0, &[0, 5, 0, 0, 0x40, 0]);
    const LAST: (u8, u8, u32, &[u8]) = (HEADERS, END_HEADERS | END_STREAM, 1, b"\x88");

    #[test]
    fn a_message_arrives_in_one_frame_or_several() {
        const PING: u8 = 6;
        let acknowledged = (SETTINGS, 1, 0, &b""[..]);
        let headers = (HEADERS, END_HEADERS, 1, &b"\x88"[..]);
        says(&[FIRST, headers, (DATA, 0, 1, b"\0\0\0\0\x02ab"), LAST], Ok(b"ab"));
        let parts = [
            FIRST,
            acknowledged,
            (WINDOW_UPDATE, 0, 0, &[0, 0, 0, 9]),
            headers,
            (DATA, 0, 1, b"\0\0\0"),
            (PING, 0, 0, &[0; 8]),
            (DATA, 0, 1, b"\0\x02a"),
            (DATA, 0, 1, b""),
            (DATA, END_STREAM, 1, b"b"),
        ];
        says(&parts, Ok(b"ab"));
        says(&[FIRST, headers, (DATA, 0, 1, &[0; 5]), LAST, (DATA, 0, 1, b"more")], Ok(b""));
    }

    #[test]
    fn a_call_that_fails_has_no_message() {
        says(&[FIRST, LAST], Err(Bad::Refused));
        says(&[FIRST, (RST_STREAM, 0, 1, &[0, 0, 0, 7])], Err(Bad::Refused));
    }

    #[test]
    fn nonsense_is_refused() {
        says(&[], Err(Bad::Malformed));
        says(&[FIRST], Err(Bad::Malformed));
        says(&[LAST], Err(Bad::Malformed));
        says(&[FIRST, (DATA, 0, 1, b"\0\0\0\0\x02ab")], Err(Bad::Malformed));
        says(&[FIRST, (DATA, END_STREAM, 1, b"\0\0\0\0\x02a")], Err(Bad::Malformed));
        says(&[FIRST, (DATA, END_STREAM, 1, b"\0\0\0\0\x00a")], Err(Bad::Malformed));
        says(&[FIRST, (DATA, END_STREAM, 1, b"\x01\0\0\0\x01a")], Err(Bad::Malformed));
        says(&[FIRST, (DATA, END_STREAM, 1, b"\0\0\0")], Err(Bad::Malformed));
        says(&[FIRST, (DATA, END_STREAM | PADDED, 1, b"\0\0\0\0\0\0")], Err(Bad::Malformed));
        says(&[FIRST, (DATA, END_STREAM, 3, &[0; 5])], Err(Bad::Malformed));
        for text in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b"SSH-2.0-OpenSSH\r\n\r\n"] {
            assert_eq!(whole(text, 4), Err(Bad::Malformed));
        }
    }

    #[test]
    fn nothing_grows_without_end() {
        let part = vec![0; LONGEST_PAYLOAD];
        let mut reply = Reply::default();
        assert_eq!(reply.take(&frames(&[FIRST])), Ok(false));
        let data = frames(&[(DATA, 0, 1, &part)]);
        for _ in 0..LONGEST_BODY / LONGEST_PAYLOAD {
            assert_eq!(reply.take(&data), Ok(false));
        }
        assert_eq!(reply.take(&data), Err(Bad::TooLong));
        for endless in [(HEADERS, 0, 1, &part[..]), (DATA, 0, 1, &[]), (WINDOW_UPDATE, 0, 0, &[0; 4])] {
            let mut reply = Reply::default();
            assert_eq!(reply.take(&frames(&[FIRST])), Ok(false));
            let bytes = frames(&[endless]);
            let refused = (0..=MOST_OTHERS / HEAD).find_map(|_| reply.take(&bytes).err());
            assert_eq!(refused, Some(Bad::TooLong));
        }
        let long = [0, 0x40, 1, DATA, 0, 0, 0, 0, 1];
        assert_eq!(whole(&[&frames(&[FIRST])[..], &long].concat(), 9), Err(Bad::Malformed));
    }

    #[test]
    fn a_request_is_what_a_server_reads() {
        let bytes = request("a.B/C", Some(b"k8s.io"));
        let rest = bytes.strip_prefix(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
        let mut rest = rest;
        let mut found = Vec::new();
        while let Some((head, after)) = rest.split_first_chunk::<HEAD>() {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            found.push((head[3], head[4], head[8], &after[..length]));
            rest = &after[length..];
        }
        let window = ((16 << 20) + 5_u32).to_be_bytes();
        assert_eq!(found[0], (SETTINGS, 0, 0, &[&[0, 2, 0, 0, 0, 0, 0, 4][..], &window].concat()[..]));
        assert_eq!(found[1], (WINDOW_UPDATE, 0, 0, &window[..]));
        assert_eq!(found[2].0, HEADERS);
        assert!(found[2].3.starts_with(b"\0\x07:method\x04POST\0\x07:scheme\x04http\0\x05:path\x06/a.B/C"));
        assert!(found[2].3.ends_with(b"\0\x14containerd-namespace\x06k8s.io"));
        assert_eq!(found[3], (DATA, END_STREAM, 1, &[0; 5][..]));
    }
}
