//! Why a command could not be run.

use std::borrow::Cow;
use std::fmt;
use std::io;

use lxkns_core::model::Errno;
use lxkns_sys::Refusal;
use rustix::io::Errno as KernelErrno;

/// Why something failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The kernel's error.
    Kernel(KernelErrno),
    /// There was no answer within the timeout; in words.
    TimedOut(Cow<'static, str>),
    /// The kernel gave no error; in words.
    Words(Cow<'static, str>),
}

impl Cause {
    /// No answer within the timeout.
    pub(crate) const TIMED_OUT: Self = Self::TimedOut(Cow::Borrowed("no answer in time"));
    /// The kernel's text is not in the expected form.
    pub(crate) const MALFORMED: Self = Self::Words(Cow::Borrowed("malformed"));

    /// Whether it is one of these errors of the kernel.
    pub(crate) fn is_any(&self, errnos: &[KernelErrno]) -> bool {
        matches!(self, Self::Kernel(errno) if errnos.contains(errno))
    }

    /// A file is larger than allowed.
    pub(crate) fn too_large(most: u64) -> Self {
        Self::Words(format!("larger than {most} bytes").into())
    }
}

impl From<KernelErrno> for Cause {
    fn from(errno: KernelErrno) -> Self {
        Self::Kernel(errno)
    }
}

impl From<Errno> for Cause {
    fn from(errno: Errno) -> Self {
        Self::Kernel(KernelErrno::from_raw_os_error(errno.number()))
    }
}

impl From<Refusal> for Cause {
    fn from(refusal: Refusal) -> Self {
        Self::Words(refusal.to_string().into())
    }
}

impl From<io::Error> for Cause {
    fn from(error: io::Error) -> Self {
        match (error.raw_os_error().and_then(Errno::new), error.kind()) {
            (Some(errno), _) => errno.into(),
            (None, io::ErrorKind::TimedOut) => Self::TimedOut(error.to_string().into()),
            (None, _) => Self::Words(error.to_string().into()),
        }
    }
}

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
    /// The process has ended; another process may have its PID by now.
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

    /// An operation has failed, or had no answer in time.
    pub(crate) fn call(what: impl Into<String>, cause: impl Into<Cause>) -> Self {
        let cause = cause.into();
        let kind = if matches!(cause, Cause::TimedOut(_)) { ErrorKind::TimedOut } else { ErrorKind::Failed };
        Self::because(kind, what, cause)
    }

    /// An error with its cause: the kernel's error number, or words that are added to the message.
    pub(crate) fn because(kind: ErrorKind, message: impl Into<String>, cause: impl Into<Cause>) -> Self {
        let message = message.into();
        match cause.into() {
            Cause::Kernel(errno) => Self { kind, message, errno: Errno::new(errno.raw_os_error()), hint: None },
            Cause::TimedOut(words) | Cause::Words(words) => Self::new(kind, format!("{message}: {words}")),
        }
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
