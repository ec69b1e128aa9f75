//! A client of the Container Runtime Interface, of which Debian has none: gRPC's few frames of HTTP/2, and the fields of
//! protocol buffers that the tests use, by the numbers in `api.proto` of runtime.v1.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Where containerd listens.
const SOCKET: &str = "/run/containerd/containerd.sock";

/// A message: fields, by number.
#[derive(Clone, Debug, Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// With a string, or bytes.
    pub(super) fn text(mut self, field: u64, value: impl AsRef<[u8]>) -> Self {
        const LENGTH_DELIMITED: u64 = 2;
        let value = value.as_ref();
        self.number(field << 3 | LENGTH_DELIMITED);
        self.number(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    /// With another message.
    pub(super) fn message(self, field: u64, value: Self) -> Self {
        self.text(field, value.0)
    }

    /// With a number, which a bool is as well.
    pub(super) fn value(mut self, field: u64, value: u64) -> Self {
        self.number(field << 3);
        self.number(value);
        self
    }

    /// As it is sent.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// With an entry of a map from strings to strings.
    pub(super) fn entry(self, field: u64, key: &str, value: &str) -> Self {
        self.message(field, Self::new().text(1, key).text(2, value))
    }

    fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

/// A field of an answer: numbers are of no interest here.
#[derive(Clone, Debug)]
enum Field {
    Number,
    Bytes(Vec<u8>),
}

/// An answer, read.
#[derive(Clone, Debug)]
pub(super) struct Answer(Vec<(u64, Field)>);

impl Answer {
    fn of(mut bytes: &[u8]) -> Self {
        fn number(bytes: &mut &[u8]) -> u64 {
            let mut value = 0;
            for shift in (0..64).step_by(7) {
                let (&byte, rest) = bytes.split_first().expect("a whole number");
                *bytes = rest;
                value |= u64::from(byte & 0x7f) << shift;
                if byte < 0x80 {
                    return value;
                }
            }
            panic!("a number has no end");
        }
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let key = number(&mut bytes);
            let value = match key & 7 {
                0 => {
                    number(&mut bytes);
                    Field::Number
                }
                2 => {
                    let length = number(&mut bytes) as usize;
                    let (value, rest) = bytes.split_at(length);
                    bytes = rest;
                    Field::Bytes(value.to_vec())
                }
                kind => panic!("no answer has a field of kind {kind}"),
            };
            fields.push((key >> 3, value));
        }
        Self(fields)
    }

    /// The messages with this number.
    pub(super) fn messages(&self, field: u64) -> Vec<Self> {
        let values = self.0.iter().filter(|(number, _)| *number == field);
        values
            .map(|(_, value)| match value {
                Field::Bytes(bytes) => Self::of(bytes),
                Field::Number => panic!("field {field} is a number"),
            })
            .collect()
    }

    /// The message with this number.
    #[track_caller]
    pub(super) fn message(&self, field: u64) -> Self {
        self.messages(field).remove(0)
    }

    /// The string with this number; empty where there is none.
    #[track_caller]
    pub(super) fn text(&self, field: u64) -> String {
        let value = self.0.iter().find(|(number, _)| *number == field);
        match value {
            Some((_, Field::Bytes(bytes))) => String::from_utf8(bytes.clone()).unwrap(),
            Some((_, Field::Number)) => panic!("field {field} is a number"),
            None => String::new(),
        }
    }
}

/// Calls a method of the runtime service; `None` where it fails.
pub(super) fn try_call(method: &str, request: &Message) -> Option<Answer> {
    const DATA: u8 = 0;
    const HEADERS: u8 = 1;
    const SETTINGS: u8 = 4;
    const PING: u8 = 6;
    const ACK: u8 = 1;
    const END_STREAM: u8 = 1;
    const END_HEADERS: u8 = 4;
    let mut stream = UnixStream::connect(SOCKET).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let send = |kind: u8, flags: u8, id: u32, payload: &[u8]| {
        let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(id.to_be_bytes());
        frame.extend(payload);
        (&stream).write_all(&frame).unwrap();
    };
    (&stream).write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    send(SETTINGS, 0, 0, &[]);
    // Each header stands as it is: a literal without an index.
    let mut headers = Vec::new();
    let path = format!("/runtime.v1.RuntimeService/{method}");
    for (name, value) in [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", &*path),
        (":authority", "localhost"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
    ] {
        headers.push(0);
        for text in [name, value] {
            headers.push(u8::try_from(text.len()).ok().filter(|length| *length < 0x7f).unwrap());
            headers.extend(text.bytes());
        }
    }
    send(HEADERS, END_HEADERS, 1, &headers);
    let mut body = vec![0];
    body.extend((request.0.len() as u32).to_be_bytes());
    body.extend(&request.0);
    send(DATA, END_STREAM, 1, &body);

    let mut answer = Vec::new();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).unwrap_or_else(|error| panic!("{method}: {error}"));
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        stream.read_exact(&mut payload).unwrap();
        let (kind, flags) = (head[3], head[4]);
        let reply = |kind: u8, payload: &[u8]| {
            let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
            frame.extend([kind, ACK, 0, 0, 0, 0]);
            frame.extend(payload);
            (&stream).write_all(&frame).unwrap();
        };
        match kind {
            DATA => answer.extend(payload),
            SETTINGS if flags & ACK == 0 => reply(SETTINGS, &[]),
            PING if flags & ACK == 0 => reply(PING, &payload),
            _ => {}
        }
        if matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0 {
            // A call that failed has no message, not even an empty one.
            return answer.get(5..).map(Answer::of);
        }
    }
}

/// Calls a method of the runtime service.
#[track_caller]
pub(super) fn call(method: &str, request: &Message) -> Answer {
    try_call(method, request).unwrap_or_else(|| {
        let log = std::fs::read_to_string("/run/containerd.log").unwrap_or_default();
        panic!("{method} has failed: {log}")
    })
}
