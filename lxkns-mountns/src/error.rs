//! Why something could not be had.

use std::borrow::Cow;
use std::fmt;

use lxkns_core::model::{Cause, Errno};
use rustix::io;

use crate::protocol::Step;

/// A mount namespace could not be entered, or something in it not be opened or read.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    operation: Cow<'static, str>,
    errno: Option<Errno>,
    abandoned: Option<u32>,
}

/// What opening something by its path is called.
pub(crate) const OPEN: &str = "open in mount namespace";

/// The kinds of [`Error`]s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Not allowed (`EACCES`, `EPERM`).
    Denied,
    /// There is nothing of this name (`ENOENT`, `ENOTDIR`), or it is gone.
    NotFound,
    /// The kernel does not know how (`ENOSYS`, `ENOTTY`).
    Unsupported,
    /// What is there is not what was wanted: another namespace or none, a device, a FIFO, a socket, or something that
    /// lies behind a symbolic link or an automount point.
    NotWanted,
    /// There was no answer in time. [`abandoned`](Error::abandoned) says whom that has cost.
    TimedOut,
    /// The path leads over a file system that has not answered before, and was not tried.
    Avoided,
    /// As many helpers as are allowed were at work all the time, or have been abandoned.
    Busy,
    /// There is no helper that can be run.
    NoHelper,
    /// The helper is of another version than this library.
    Version,
    /// The helper has ended, or has answered what makes no sense.
    Helper,
    /// The list of mounts is longer than is sensible.
    TooLong,
    /// Anything else.
    Other,
}

impl Error {
    /// What kind of error it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What was tried, in words, with the call where it was one; and which helper was abandoned.
    pub fn operation(&self) -> &str {
        &self.operation
    }

    /// The kernel's error, where it gave one.
    pub fn errno(&self) -> Option<Errno> {
        self.errno
    }

    /// What a gap says of it.
    pub fn cause(&self) -> Cause {
        match self.kind {
            ErrorKind::Denied => Cause::Denied,
            ErrorKind::Unsupported => Cause::Unsupported,
            ErrorKind::NotFound | ErrorKind::NotWanted => Cause::NoPath,
            ErrorKind::TimedOut => Cause::TimedOut,
            ErrorKind::Avoided => Cause::NotTried,
            ErrorKind::Busy => Cause::Limit,
            // What is short for the caller is no matter of the helper.
            ErrorKind::NoHelper => match self.errno.and_then(Cause::of) {
                Some(Cause::Limit) => Cause::Limit,
                _ => Cause::NoHelper,
            },
            ErrorKind::Version => Cause::NoHelper,
            ErrorKind::TooLong => Cause::Cut,
            ErrorKind::Helper | ErrorKind::Other => self.errno.and_then(Cause::of).unwrap_or(Cause::Other),
        }
    }

    /// The process ID of the helper that was abandoned. It ends at once where it can be killed; where not, it ends when
    /// the file system answers it or is gone.
    pub fn abandoned(&self) -> Option<u32> {
        self.abandoned
    }

    /// It is no error of the kernel's.
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

    /// The kernel has refused a call.
    pub(crate) fn call(operation: impl Into<Cow<'static, str>>, errno: impl Into<std::io::Error>) -> Self {
        let error = errno.into();
        let kind = io::Errno::from_io_error(&error).map_or(ErrorKind::Other, kind_of);
        Self::io(kind, operation, &error)
    }

    /// The kernel has refused something to the standard library.
    pub(crate) fn io(kind: ErrorKind, operation: impl Into<Cow<'static, str>>, error: &std::io::Error) -> Self {
        let errno = error.raw_os_error().and_then(Errno::new);
        Self { errno, ..Self::new(kind, operation) }
    }

    /// There was no answer in time, and the helper that it was expected of is left behind.
    pub(crate) fn timed_out(operation: impl Into<Cow<'static, str>>, abandoned: Option<u32>) -> Self {
        let mut operation = operation.into();
        if let Some(pid) = abandoned {
            operation.to_mut().push_str(&format!("; helper {pid} abandoned"));
        }
        Self { abandoned, ..Self::new(ErrorKind::TimedOut, operation) }
    }

    /// The helper has said that a step failed.
    pub(crate) fn step(step: Step, errno: u16) -> Self {
        let errno = io::Errno::from_raw_os_error(errno.into());
        let name = step_name(step);
        match (step, errno) {
            (Step::Version, _) => Self::new(ErrorKind::Version, name),
            (Step::Read | Step::Request | Step::Receive | Step::Send | Step::Parent, _) => {
                Self::with_errno(ErrorKind::Helper, name, errno)
            }
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

/// What the helper was doing, for people.
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
            ErrorKind::NotWanted if !self.operation.contains(": it is ") => f.write_str(": it is not what was wanted"),
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
