//! What the front and the reader say to each other: frames, each with its length, a version and a postcard message.
//!
//! The front asks ([`Request::Ask`]) under a number of its own. The reader answers with a [`Head`], and then with one
//! [`Reply::Chunk`] for each [`Request::More`], so neither side ever has more than one piece of an answer waiting on the
//! way, however slow a client is. A body of one piece comes without being asked for, right behind its head, after which the
//! number is free. [`Request::Done`] ends an answer that is not read to its end.
//!
//! This module does no I/O. Both sides refuse a frame that is too long, cut short, has something left over, or is of
//! another version; whoever sees one closes the connection.

mod bytes;
mod question;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub(crate) use self::question::{Kind, LONGEST_NAME, LONGEST_VALUE, MOST_PARAMETERS, Question};

/// The version of the protocol, in each frame.
const VERSION: u8 = 2;
/// The bytes before a message: its length, as four bytes, the lowest first, and the version.
pub(crate) const HEADER: usize = 5;
/// The longest message of the front.
pub(crate) const LONGEST_REQUEST: usize = 80 * 1024;
/// The most bytes of a body in one message.
pub(crate) const CHUNK: usize = 64 * 1024;
/// The longest message of the reader.
pub(crate) const LONGEST_REPLY: usize = CHUNK + 64;
/// The most answers that the front may have open.
pub(crate) const MOST_OPEN: usize = 512;

/// What the front says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Request {
    /// A question, under a number that is not in use.
    Ask {
        /// The number that the answer comes under.
        id: u32,
        /// What is asked.
        question: Question,
        /// The oldest that a scan may be that is answered from, in milliseconds; `None` leaves it to the reader.
        max_age_ms: Option<u32>,
    },
    /// The next piece of a body.
    More {
        /// The number of the question.
        id: u32,
    },
    /// Nothing more is wanted.
    Done {
        /// The number of the question.
        id: u32,
    },
}

/// What the reader says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// The answer to a question, but for its body.
    Head {
        /// The number of the question.
        id: u32,
        /// What comes before the body.
        head: Head,
    },
    /// A piece of a body, not empty but for that of an empty body.
    Chunk {
        /// The number of the question.
        id: u32,
        /// At most [`CHUNK`] bytes.
        #[serde(with = "bytes")]
        bytes: Vec<u8>,
        /// Whether it is the last one, after which the number is free.
        is_last: bool,
    },
    /// No more of a body comes: it was too much to keep for a client that reads so slowly. The number is free when the front
    /// says [`Request::Done`].
    GivenUp {
        /// The number of the question.
        id: u32,
    },
}

/// What comes before a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    /// The status code of HTTP.
    pub(crate) status: u16,
    /// The type of the body.
    pub(crate) content: Content,
    /// A number that another body does not have.
    pub(crate) tag: u128,
    /// The length of the body in bytes.
    pub(crate) length: u64,
    /// When the scan began that it is from, in milliseconds since 1970; `None` if it is from none.
    pub(crate) taken_at_ms: Option<u64>,
    /// How old that scan is, in milliseconds.
    pub(crate) age_ms: u64,
    /// The state that it is about: the number of the reader's start, and that of the scan.
    pub(crate) state: Option<(u32, u64)>,
    /// How much of a list comes before the next page, if there is one.
    pub(crate) next: Option<u32>,
}

impl Head {
    /// That of a body, with no more than that.
    pub(crate) fn of(status: u16, content: Content, tag: u128, length: u64) -> Self {
        Self { status, content, tag, length, taken_at_ms: None, age_ms: 0, state: None, next: None }
    }

    /// Whether the body is one piece, which comes right behind.
    pub(crate) fn has_one_piece(&self) -> bool {
        self.content != Content::Events && self.length <= CHUNK as u64
    }
}

/// The type of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Content {
    /// JSON.
    Json,
    /// Problem details, RFC 9457.
    Problem,
    /// JSON, one object a line.
    Lines,
    /// A JSON merge patch, RFC 7396.
    MergePatch,
    /// Metrics, in the reader's own form.
    Metrics,
    /// Events, each as it happens: a body that has no end, of which there is a piece when something has happened.
    Events,
}

/// Why a frame is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It is too long.
    Length,
    /// It is of another version.
    Version,
    /// It is no message.
    Message,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Length => "a frame is too long",
            Self::Version => "a frame is of another version",
            Self::Message => "a frame is no message",
        })
    }
}

impl std::error::Error for Refused {}

/// A message as a frame.
///
/// # Errors
///
/// It is longer than a frame of this direction may be.
pub(crate) fn frame(message: &impl Serialize, longest: usize) -> Result<Vec<u8>, Refused> {
    let mut frame = vec![0; HEADER];
    frame = postcard::to_extend(message, frame).map_err(|_| Refused::Message)?;
    let length = frame.len() - HEADER;
    if length > longest {
        return Err(Refused::Length);
    }
    frame[..4].copy_from_slice(&u32::try_from(length).map_err(|_| Refused::Length)?.to_le_bytes());
    frame[4] = VERSION;
    Ok(frame)
}

/// The length of the message behind this header.
///
/// # Errors
///
/// It is too long, or of another version.
pub(crate) fn length(header: [u8; HEADER], longest: usize) -> Result<usize, Refused> {
    let [a, b, c, d, version] = header;
    if version != VERSION {
        return Err(Refused::Version);
    }
    let length = usize::try_from(u32::from_le_bytes([a, b, c, d])).map_err(|_| Refused::Length)?;
    if length > longest { Err(Refused::Length) } else { Ok(length) }
}

/// The message of a frame, without its header.
///
/// # Errors
///
/// It is none, or has something left over.
pub(crate) fn message<T: DeserializeOwned + Bounded>(bytes: &[u8]) -> Result<T, Refused> {
    match postcard::take_from_bytes::<T>(bytes) {
        Ok((message, [])) if message.is_in_bounds() => Ok(message),
        _ => Err(Refused::Message),
    }
}

/// What has bounds beside its length.
pub(crate) trait Bounded {
    /// Whether it keeps them.
    fn is_in_bounds(&self) -> bool;
}

impl Bounded for Request {
    fn is_in_bounds(&self) -> bool {
        match self {
            Self::Ask { question, .. } => question.is_in_bounds(),
            Self::More { .. } | Self::Done { .. } => true,
        }
    }
}

impl Bounded for Reply {
    fn is_in_bounds(&self) -> bool {
        match self {
            Self::Head { head, .. } => (100..600).contains(&head.status),
            Self::Chunk { bytes, is_last, .. } => bytes.len() <= CHUNK && (*is_last || !bytes.is_empty()),
            Self::GivenUp { .. } => true,
        }
    }
}
