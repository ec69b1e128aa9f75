//! Errors: there is no result at all.

use std::fmt;

use crate::model::Errno;

/// There is no snapshot, or a namespace could not be opened. Whatever could not be read is not an error but a
/// [`Gap`](crate::model::Gap) in the snapshot.
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
    /// There is no procfs, or it is not readable.
    Procfs,
    /// No holder of the namespace leads to it.
    Unreachable,
    /// The scan was cancelled.
    Cancelled,
}

impl Error {
    /// The kind of this error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    pub(crate) fn with_source(kind: ErrorKind, message: impl Into<String>, source: impl Into<std::io::Error>) -> Self {
        Self { kind, message: message.into(), source: Some(source.into()) }
    }

    /// The kernel's error, if it gave one.
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
