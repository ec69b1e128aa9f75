//! The caller's descriptors that the command gets besides standard input, output and error.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use lxkns_core::ProcRoot;
use lxkns_core::model::CompactSort as _;
use lxkns_sys::{Op, SharedFd};
use rustix::fs::{Dir, Mode, OFlags};
use rustix::io::Errno;

use crate::error::{Cause, Error, ErrorKind};
use crate::process;
use crate::steps::{Stage, Step};
use crate::streams;

/// Inherited descriptors that are passed on.
#[derive(Debug)]
pub(crate) struct Descriptors {
    /// Their numbers, each with a copy of the descriptor.
    kept: Vec<(i32, OwnedFd)>,
    /// A number above all open descriptors.
    end: u32,
}

impl Descriptors {
    pub(crate) fn new(proc: &ProcRoot, keep: &[i32]) -> Result<Self, Error> {
        let mut numbers: Vec<i32> = keep.iter().copied().filter(|&fd| fd > 2).collect();
        numbers.compact_sort();
        numbers.dedup();
        let mut kept = Vec::new();
        for number in numbers {
            let failed = |cause: Cause| match cause {
                Cause::Kernel(Errno::NOENT | Errno::BADF) => {
                    Error::new(ErrorKind::Missing, format!("descriptor {number} is not open"))
                }
                cause => Error::call(format!("copy descriptor {number}"), cause),
            };
            let info = process::read(proc, format!("thread-self/fdinfo/{number}")).map_err(failed)?;
            if is_close_on_exec(&info) {
                let message = format!("descriptor {number} is close-on-exec, so it is not inherited");
                return Err(Error::new(ErrorKind::Unsuitable, message));
            }
            let copy = lxkns_sys::copy_inherited(number).map_err(|errno| failed(errno.into()))?;
            kept.push((number, copy));
        }
        let failed = |errno| Error::call("list the caller's descriptors", errno);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::openat(proc, "thread-self/fd", flags, Mode::empty()).map_err(failed)?;
        // A descriptor that is not listed would stay open in the command.
        let mut highest = 2;
        for entry in Dir::read_from(dir.as_fd()).map_err(failed)? {
            let number = entry.map_err(failed)?.file_name().to_str().ok().and_then(|name| name.parse::<u32>().ok());
            highest = highest.max(number.unwrap_or(0));
        }
        // Leave room for descriptors that are opened later.
        Ok(Self { kept, end: highest.saturating_add(256) })
    }

    /// Checks that a command that is weaker than its caller may have them.
    pub(crate) fn check(&self) -> Result<(), Error> {
        streams::check(&self.all([rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()]))
    }

    /// These descriptors and the given standard input, output and error.
    pub(crate) fn all<'a>(&'a self, stdio: [BorrowedFd<'a>; 3]) -> Vec<(i32, BorrowedFd<'a>)> {
        let stdio = stdio.into_iter().enumerate().map(|(number, fd)| (number as i32, fd));
        stdio.chain(self.kept.iter().map(|(number, fd)| (*number, fd.as_fd()))).collect()
    }

    /// The steps that give the command these descriptors and no others.
    pub(crate) fn steps(&self, given: Vec<(SharedFd, i32)>) -> [Step; 2] {
        let keep = self.kept.iter().map(|(number, _)| *number).collect();
        let close = Op::CloseOthers { keep, end: self.end };
        [
            Step::new(Stage::Descriptors, "set the descriptors of the command", Op::Descriptors(given)),
            Step::new(Stage::Descriptors, "close the other descriptors", close),
        ]
    }
}

fn is_close_on_exec(info: &[u8]) -> bool {
    let flags = lxkns_core::parse::open_flags(info).unwrap_or(u32::MAX);
    flags & OFlags::CLOEXEC.bits() != 0
}
