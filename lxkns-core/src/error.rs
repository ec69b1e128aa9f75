//! Why there is no result at all.

use std::fmt;

use crate::model::Errno;

/// Discovery could not give any result, or a namespace could not be reached. What could merely not be seen is no error
/// but a [`Gap`](crate::model::Gap) in the snapshot.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<std::io::Error>,
}

/// The kinds of [`Error`]s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// There is no procfs, or it cannot be read.
    Procfs,
    /// The namespace cannot be reached through anything that holds it.
    Unreachable,
    /// The scan was cancelled.
    Cancelled,
}

impl Error {
    /// What kind of error it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    pub(crate) fn with_source(kind: ErrorKind, message: impl Into<String>, source: impl Into<std::io::Error>) -> Self {
        Self { kind, message: message.into(), source: Some(source.into()) }
    }

    /// The kernel's error behind it, if it gave one.
    pub fn errno(&self) -> Option<Errno> {
        self.source.as_ref()?.raw_os_error().and_then(Errno::new)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}
