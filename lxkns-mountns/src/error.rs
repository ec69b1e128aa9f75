//! Errors of this crate.

use std::borrow::Cow;
use std::fmt;

use lxkns_core::model::{Cause, Errno};
use rustix::io;

use crate::protocol::Step;

/// A mount namespace could not be entered, or a file in it not opened or read.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    operation: Cow<'static, str>,
    errno: Option<Errno>,
    abandoned: Option<u32>,
}

/// The name of opening a path.
pub(crate) const OPEN: &str = "open in mount namespace";

/// The kinds of [`Error`]s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Access denied (`EACCES`, `EPERM`).
    Denied,
    /// No such file (`ENOENT`, `ENOTDIR`), or it has vanished.
    NotFound,
    /// The kernel lacks the call (`ENOSYS`, `ENOTTY`).
    Unsupported,
    /// Another file than wanted: another namespace or none, a device, a FIFO, a socket, or a path through a symbolic
    /// link or automount point.
    NotWanted,
    /// No answer in time. [`abandoned`](Error::abandoned) has the PID of the helper that was given up.
    TimedOut,
    /// Not tried: the path leads over a file system that has timed out before.
    Avoided,
    /// The limit of helpers was reached all the time, by busy or abandoned ones.
    Busy,
    /// No helper can be run.
    NoHelper,
    /// The helper has another version than this library.
    Version,
    /// The helper has ended, or its answer is malformed.
    Helper,
    /// The list of mounts is too long.
    TooLong,
    /// Anything else.
    Other,
}

impl Error {
    /// The kind of this error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The operation in words, with the call if it was one, and the helper that was abandoned.
    pub fn operation(&self) -> &str {
        &self.operation
    }

    /// The kernel's error, if it gave one.
    pub fn errno(&self) -> Option<Errno> {
        self.errno
    }

    /// The cause for a gap.
    pub fn cause(&self) -> Cause {
        match self.kind {
            ErrorKind::Denied => Cause::Denied,
            ErrorKind::Unsupported => Cause::Unsupported,
            ErrorKind::NotFound | ErrorKind::NotWanted => Cause::NoPath,
            ErrorKind::TimedOut => Cause::TimedOut,
            ErrorKind::Avoided => Cause::NotTried,
            ErrorKind::Busy => Cause::Limit,
            // A limit of the caller's is not a problem of the helper.
            ErrorKind::NoHelper => match self.errno.and_then(Cause::of) {
                Some(Cause::Limit) => Cause::Limit,
                _ => Cause::NoHelper,
            },
            ErrorKind::Version => Cause::NoHelper,
            ErrorKind::TooLong => Cause::Cut,
            ErrorKind::Helper | ErrorKind::Other => self.errno.and_then(Cause::of).unwrap_or(Cause::Other),
        }
    }

    /// The PID of the helper that was abandoned. It ends immediately if it can be killed, else when the file system
    /// answers or vanishes.
    pub fn abandoned(&self) -> Option<u32> {
        self.abandoned
    }

    /// An error without one of the kernel.
    pub(crate) fn new(kind: ErrorKind, operation: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, operation: operation.into(), errno: None, abandoned: None }
    }

    pub(crate) fn with_errno(
        kind: ErrorKind,
        operation: impl Into<Cow<'static, str>>,
        errno: impl Into<std::io::Error>,
    ) -> Self {
        Self::io(kind, operation, &errno.into())
    }

    /// A call failed.
    pub(crate) fn call(operation: impl Into<Cow<'static, str>>, errno: impl Into<std::io::Error>) -> Self {
        let error = errno.into();
        let kind = io::Errno::from_io_error(&error).map_or(ErrorKind::Other, kind_of);
        Self::io(kind, operation, &error)
    }

    /// A call of the standard library failed.
    pub(crate) fn io(kind: ErrorKind, operation: impl Into<Cow<'static, str>>, error: &std::io::Error) -> Self {
        let errno = error.raw_os_error().and_then(Errno::new);
        Self { errno, ..Self::new(kind, operation) }
    }

    /// A helper did not answer in time and was abandoned.
    pub(crate) fn timed_out(operation: impl Into<Cow<'static, str>>, abandoned: Option<u32>) -> Self {
        let mut operation = operation.into();
        if let Some(pid) = abandoned {
            operation.to_mut().push_str(&format!("; helper {pid} abandoned"));
        }
        Self { abandoned, ..Self::new(ErrorKind::TimedOut, operation) }
    }

    /// The helper reported a failed step.
    pub(crate) fn step(step: Step, errno: u16) -> Self {
        let errno = io::Errno::from_raw_os_error(errno.into());
        let name = step_name(step);
        match (step, errno) {
            (Step::Version, _) => Self::new(ErrorKind::Version, name),
            // The helper gives an error number to what no call of it failed with.
            (Step::Request | Step::Parent, _)
            | (Step::Read | Step::Receive, io::Errno::PROTO | io::Errno::MSGSIZE | io::Errno::INVAL) => {
                let why = if step == Step::Parent { "it has ended" } else { "malformed" };
                Self::new(ErrorKind::Helper, format!("{name}: {why}"))
            }
            (Step::Read | Step::Receive | Step::Send, _) => Self::with_errno(ErrorKind::Helper, name, errno),
            // Not a namespace, or not one of this type.
            (Step::EnterMount | Step::EnterUser, io::Errno::INVAL) => {
                Self::with_errno(ErrorKind::NotWanted, name, errno)
            }
            (Step::Look | Step::Open, io::Errno::LOOP) => {
                Self::new(ErrorKind::NotWanted, format!("{name}: it is a symbolic link"))
            }
            (Step::Look | Step::Open, io::Errno::REMOTE) => {
                Self::new(ErrorKind::NotWanted, format!("{name}: it is an automount point"))
            }
            (Step::Look | Step::Open, io::Errno::NXIO) => Self::new(ErrorKind::NotWanted, name),
            _ => Self::call(name, errno),
        }
    }

    /// Whether the kernel gave one of these errors.
    pub(crate) fn is_any(&self, errnos: &[io::Errno]) -> bool {
        let is = |errno: &io::Errno| self.errno.map(Errno::number) == Some(errno.raw_os_error());
        errnos.iter().any(is)
    }
}

fn kind_of(errno: io::Errno) -> ErrorKind {
    match errno {
        io::Errno::NOTDIR => ErrorKind::NotFound,
        errno => match Errno::new(errno.raw_os_error()).map(Cause::of) {
            Some(None) => ErrorKind::NotFound,
            Some(Some(Cause::Denied)) => ErrorKind::Denied,
            Some(Some(Cause::Unsupported)) => ErrorKind::Unsupported,
            _ => ErrorKind::Other,
        },
    }
}

/// The helper's step in words.
fn step_name(step: Step) -> &'static str {
    match step {
        Step::Read => "helper: read request",
        Step::Version => "helper: compare versions",
        Step::Request => "helper: understand request",
        Step::Receive => "helper: receive descriptors",
        Step::Undumpable => "helper: prctl(PR_SET_DUMPABLE)",
        Step::NoNewPrivileges => "helper: prctl(PR_SET_NO_NEW_PRIVS)",
        Step::EnterUser => "setns(CLONE_NEWUSER)",
        Step::EnterMount => "setns(CLONE_NEWNS)",
        Step::Capabilities => "helper: capset",
        Step::DeathSignal => "helper: prctl(PR_SET_PDEATHSIG)",
        Step::Parent => "helper: look for its parent",
        Step::Open => OPEN,
        Step::Look => "look at what is there in mount namespace",
        Step::Send => "helper: send descriptor",
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.operation)?;
        match self.kind {
            ErrorKind::NotWanted if !self.operation.contains(": it is ") => {
                f.write_str(": it is not what was expected")
            }
            ErrorKind::TimedOut => f.write_str(": no answer in time"),
            ErrorKind::Avoided => f.write_str(": not tried, as it did not answer before"),
            ErrorKind::Busy => f.write_str(": too many helpers"),
            ErrorKind::Version => f.write_str(": the helper and this program are of different versions"),
            ErrorKind::TooLong => f.write_str(": too long"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.errno.as_ref().map(|errno| errno as _)
    }
}
