//! Errors in reading a dump.

use std::fmt;
use std::io;

/// Why a dump could not be written or read. Its message is one line.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<io::Error>,
}

/// What kind of [`Error`] it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The data could not be written or read; [`source`](std::error::Error::source) has the [`io::Error`].
    Io,
    /// The data is not JSON.
    NotJson,
    /// The data is JSON, but not a dump.
    NotADump,
    /// The dump is of a newer format than this version knows.
    NewerFormat,
    /// Something in the dump has a value that it cannot have.
    Invalid,
}

impl Error {
    /// What kind of error it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    pub(crate) fn new(kind: ErrorKind, message: &str) -> Self {
        Self { kind, message: one_line(message), source: None }
    }

    pub(crate) fn io(doing: &str, error: io::Error) -> Self {
        Self { kind: ErrorKind::Io, message: one_line(doing), source: Some(error) }
    }
}

/// What is quoted from a file in a message can be long and can hold anything.
fn one_line(message: &str) -> String {
    const LONGEST: usize = 300;
    let mut line = String::new();
    for c in message.chars() {
        if line.len() > LONGEST {
            line.push_str("...");
            break;
        }
        if c.is_control() {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|error| error as _)
    }
}
