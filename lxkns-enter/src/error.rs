//! Why a command could not be run.

use std::fmt;
use std::io;

use lxkns_core::model::Errno;

/// An error of entering. No process of the command is left.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    errno: Option<Errno>,
    hint: Option<String>,
}

/// The kinds of [`Error`]s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// There is no such process, namespace, user or group.
    Missing,
    /// The process has ended; another process can have its PID by now.
    Gone,
    /// The target or an option is not suitable.
    Unsuitable,
    /// The control group is frozen.
    Frozen,
    /// There was no answer within the timeout.
    TimedOut,
    /// The command does not exist.
    CommandNotFound,
    /// The command exists, but cannot be run.
    CommandNotRun,
    /// Processes inside could write to the running program.
    Unprotected,
    /// A step failed.
    Failed,
}

impl Error {
    /// What kind of error it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The kernel's error number, where it gave one.
    pub fn errno(&self) -> Option<Errno> {
        self.errno
    }

    /// The missing privilege, or what to do.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), errno: None, hint: None }
    }

    /// A call has failed.
    pub(crate) fn call(what: impl Into<String>, errno: impl Into<io::Error>) -> Self {
        Self::with_errno(ErrorKind::Failed, what, errno)
    }

    pub(crate) fn with_errno(kind: ErrorKind, message: impl Into<String>, errno: impl Into<io::Error>) -> Self {
        let errno = errno.into().raw_os_error().and_then(Errno::new);
        Self { kind, message: message.into(), errno, hint: None }
    }

    /// Adds the missing privilege, or what to do.
    pub(crate) fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.errno.as_ref().map(|errno| errno as _)
    }
}
