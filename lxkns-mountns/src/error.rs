//! Why something could not be had.

use std::borrow::Cow;
use std::fmt;

use rustix::io::Errno;

use crate::protocol::Step;

/// A mount namespace could not be entered, or something in it not be opened or read.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    operation: Cow<'static, str>,
    errno: Errno,
    abandoned: Option<u32>,
}

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

    /// What was tried, in words, with the call where it was one; and who was abandoned.
    pub fn operation(&self) -> &str {
        &self.operation
    }

    /// The error number that fits best (`errno(3)`): the kernel's if it gave one; `ETIMEDOUT` where something did not
    /// answer, now or before.
    pub fn errno(&self) -> Errno {
        self.errno
    }

    /// The process ID of the helper that was abandoned. It ends at once where it can be killed; where not, it ends when
    /// the file system answers it or is gone.
    pub fn abandoned(&self) -> Option<u32> {
        self.abandoned
    }

    pub(crate) fn new(kind: ErrorKind, operation: impl Into<Cow<'static, str>>, errno: Errno) -> Self {
        Self { kind, operation: operation.into(), errno, abandoned: None }
    }

    /// The kernel has refused a call.
    pub(crate) fn call(operation: impl Into<Cow<'static, str>>, errno: Errno) -> Self {
        Self::new(kind_of(errno), operation, errno)
    }

    /// There was no answer in time, and the helper that it was expected of is left behind.
    pub(crate) fn timed_out(operation: impl Into<Cow<'static, str>>, abandoned: Option<u32>) -> Self {
        let mut operation = operation.into();
        if let Some(pid) = abandoned {
            operation.to_mut().push_str(&format!("; helper {pid} abandoned"));
        }
        Self { kind: ErrorKind::TimedOut, operation, errno: Errno::TIMEDOUT, abandoned }
    }

    /// The helper has said that a step failed.
    pub(crate) fn step(step: Step, errno: u16) -> Self {
        let errno = Errno::from_raw_os_error(errno.into());
        let kind = match step {
            Step::Version => ErrorKind::Version,
            Step::Read | Step::Request | Step::Receive | Step::Send | Step::Parent => ErrorKind::Helper,
            // Not a namespace, or not one of this type.
            Step::EnterMount | Step::EnterUser if errno == Errno::INVAL => ErrorKind::NotWanted,
            Step::Look | Step::Open if [Errno::NXIO, Errno::LOOP, Errno::REMOTE].contains(&errno) => {
                ErrorKind::NotWanted
            }
            _ => kind_of(errno),
        };
        Self::new(kind, step_name(step), errno)
    }
}

fn kind_of(errno: Errno) -> ErrorKind {
    match errno {
        Errno::ACCESS | Errno::PERM => ErrorKind::Denied,
        Errno::NOENT | Errno::NOTDIR | Errno::SRCH => ErrorKind::NotFound,
        Errno::NOSYS | Errno::NOTTY => ErrorKind::Unsupported,
        _ => ErrorKind::Other,
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
        Step::Open => "open in mount namespace",
        Step::Look => "look at what is there in mount namespace",
        Step::Send => "helper: send descriptor",
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.operation)?;
        match self.kind {
            ErrorKind::NotWanted if self.errno == Errno::LOOP => f.write_str("it is a symbolic link"),
            ErrorKind::NotWanted if self.errno == Errno::REMOTE => f.write_str("it is an automount point"),
            ErrorKind::NotWanted => f.write_str("it is not what was wanted"),
            ErrorKind::TimedOut => f.write_str("no answer in time"),
            ErrorKind::Avoided => f.write_str("not tried, as it did not answer before"),
            ErrorKind::Busy => f.write_str("too many helpers"),
            ErrorKind::Version => f.write_str("the helper and this program are of different versions"),
            ErrorKind::TooLong => f.write_str("too long"),
            _ => self.errno.fmt(f),
        }
    }
}

impl std::error::Error for Error {}
