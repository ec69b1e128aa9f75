//! The target process: its directory is opened once, and everything is read below it.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use lxkns_core::model::{NamespaceId, NamespaceType, Pid};
use lxkns_core::{ProcRoot, parse};
use lxkns_sys::SharedFd;
use rustix::event::PollFlags;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::path::Arg;
use rustix::process::PidfdFlags;

use crate::error::{Cause, Error, ErrorKind};
use crate::status::Status;
use crate::streams::is_ready;

/// The largest size of a procfs file that is read.
const LARGEST: u64 = 8 << 20;

/// An open process directory, and a pidfd of the same process.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) pid: Pid,
    /// The TID of the task that is read: the thread group leader, or a living task if that has ended.
    pub(crate) task: u32,
    /// The directory of the process, or of that task.
    pub(crate) dir: OwnedFd,
    /// `None` before 5.3, or if the procfs is of another PID namespace.
    pidfd: Option<SharedFd>,
    pub(crate) status: Status,
}

impl Process {
    pub(crate) fn open(proc: &ProcRoot, pid: Pid) -> Result<Self, Error> {
        let missing = || Error::new(ErrorKind::Missing, format!("{pid}: no such process"));
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(proc, pid.to_string(), flags, Mode::empty());
        let dir = opened.map_err(|errno| match errno {
            Errno::NOENT | Errno::SRCH => missing(),
            errno => cannot(pid, "open its directory in procfs", errno),
        })?;
        let raw = rustix::process::Pid::from_raw(pid.0.cast_signed()).ok_or_else(missing)?;
        // A PID of another PID namespace means another process in system calls.
        let opened =
            if proc.is_own() { rustix::process::pidfd_open(raw, PidfdFlags::empty()) } else { Err(Errno::NOSYS) };
        let pidfd = match opened {
            Ok(pidfd) => Some(Arc::new(pidfd)),
            Err(Errno::SRCH) => return Err(gone(pid)),
            // The task is not a thread group leader. Before 6.9 the error was EINVAL.
            Err(Errno::NOENT | Errno::INVAL) => return Err(thread(pid)),
            // The kernel lacks the call, or a filter denies it.
            Err(_) => None,
        };
        let status = status_of(&dir).map_err(|errno| cannot(pid, "read status", errno))?;
        if status.tgid != status.tid {
            return Err(thread(pid));
        }
        let mut process = Self { pid, task: pid.0, dir, pidfd, status };
        if process.status.is_dead() {
            process = process.through_living_thread()?;
        }
        process.verify()?;
        if process.is_kernel_thread()? {
            let message = format!("{pid}: a kernel thread: it cannot be entered");
            return Err(Error::new(ErrorKind::Unsuitable, message));
        }
        Ok(process)
    }

    /// Reads a living task instead of the thread group leader, which has ended.
    fn through_living_thread(self) -> Result<Self, Error> {
        let pid = self.pid;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let failed = |errno| cannot(pid, "list the tasks", errno);
        let tasks = rustix::fs::openat(&self.dir, "task", flags, Mode::empty()).map_err(failed)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        for entry in Dir::read_from(&tasks).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Some(number) = entry.file_name().to_str().ok().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            let opened = rustix::fs::openat(&tasks, number.to_string(), flags, Mode::empty());
            match opened.map_err(Cause::from).and_then(|dir| Ok((status_of(&dir)?, dir))) {
                Ok((status, dir)) if !status.is_dead() => return Ok(Self { task: number, dir, status, ..self }),
                // The process has ended only if all its tasks have.
                Ok(_) => {}
                Err(cause) if cause.is_any(&[Errno::NOENT, Errno::SRCH]) => {}
                Err(cause) => return Err(cannot(pid, &format!("read the status of task {number}"), cause)),
            }
        }
        let parent = self.status.parent;
        let message =
            format!("{pid}: the process has ended; it is a zombie until its parent, process {parent}, waits for it");
        Err(Error::new(ErrorKind::Gone, message))
    }

    /// The pidfd through which `setns(2)` enters all namespaces in one call.
    pub(crate) fn as_entrance(&self) -> Option<SharedFd> {
        // The pidfd is of the thread group leader, which must live.
        self.pidfd.clone().filter(|_| self.task == self.pid.0)
    }

    /// Checks that everything opened and read so far is of one process, and that the process has not ended.
    pub(crate) fn verify(&self) -> Result<(), Error> {
        // If another process has the PID by now, reads below this directory fail.
        rustix::fs::statat(&self.dir, "ns", AtFlags::empty()).map_err(|_| gone(self.pid))?;
        match &self.pidfd {
            Some(pidfd) if is_ready(pidfd, PollFlags::IN) => Err(gone(self.pid)),
            _ => Ok(()),
        }
    }

    /// The means to check later whether its IDs and privileges are unchanged.
    pub(crate) fn witness(&self) -> Result<Witness, Error> {
        let dir = rustix::io::fcntl_dupfd_cloexec(&self.dir, 3);
        let dir = dir.map_err(|errno| Error::call("copy a descriptor", errno))?;
        Ok(Witness { pid: self.pid, dir, status: self.status.clone() })
    }

    fn is_kernel_thread(&self) -> Result<bool, Error> {
        let failed = |cause| cannot(self.pid, "read stat", cause);
        let stat = self.read("stat").map_err(failed)?;
        let stat = parse::stat(&stat).map_err(|_| failed(Cause::MALFORMED))?;
        Ok(stat.is_kernel_thread())
    }

    pub(crate) fn read(&self, path: impl Arg) -> Result<Vec<u8>, Cause> {
        read(&self.dir, path)
    }

    /// Opens a namespace and returns its identity; `None` if the kernel has no such type.
    pub(crate) fn namespace(&self, ns_type: NamespaceType) -> Result<Option<(SharedFd, NamespaceId)>, Error> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(&self.dir, format!("ns/{ns_type}"), flags, Mode::empty());
        let failed = |cause: Cause| cannot_trace(self.pid, &format!("open the {ns_type} namespace"), cause);
        match opened {
            Ok(fd) => {
                // Where access is denied, Linux 5.10 opens the link's directory and gives no error.
                let stat = rustix::fs::fstat(&fd).map_err(|errno| failed(errno.into()))?;
                if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                    return Err(failed(Cause::Words("access denied".into())).with_hint(NEEDS_TRACING));
                }
                let id = lxkns_core::identity_of_namespace(&fd).map_err(|errno| failed(errno.into()))?;
                Ok(Some((Arc::new(fd), id)))
            }
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(failed(errno.into())),
        }
    }
}

/// The privileges of a process at the time when it was opened.
#[derive(Debug)]
pub(crate) struct Witness {
    pub(crate) pid: Pid,
    dir: OwnedFd,
    status: Status,
}

impl Witness {
    /// Whether the process lives and has the same IDs, capabilities and filters as before.
    pub(crate) fn is_unchanged(&self) -> bool {
        status_of(&self.dir).is_ok_and(|status| !status.is_dead() && status.has_powers_of(&self.status))
    }
}

fn status_of(dir: &OwnedFd) -> Result<Status, Cause> {
    Status::parse(&read(dir, "status")?).ok_or(Cause::MALFORMED)
}

pub(crate) fn gone(pid: Pid) -> Error {
    let message = format!("{pid}: the process has ended; another process may have its PID by now");
    Error::new(ErrorKind::Gone, message)
}

fn thread(pid: Pid) -> Error {
    Error::new(ErrorKind::Unsuitable, format!("{pid}: a task of a process, not a process"))
}

/// What an operation that the kernel permits only to those who may trace the process needs.
const NEEDS_TRACING: &str = "it needs ptrace access to the process: its own user, or CAP_SYS_PTRACE (ptrace(2))";

/// The error of a failed operation that takes ptrace access to the process.
pub(crate) fn cannot_trace(pid: Pid, what: &str, cause: impl Into<Cause>) -> Error {
    let cause = cause.into();
    let is_denied = matches!(cause, Cause::Kernel(Errno::ACCESS | Errno::PERM));
    let error = cannot(pid, what, cause);
    if is_denied { error.with_hint(NEEDS_TRACING) } else { error }
}

/// The error of a failed operation on a process.
pub(crate) fn cannot(pid: Pid, what: &str, cause: impl Into<Cause>) -> Error {
    match cause.into() {
        Cause::Kernel(Errno::SRCH) => gone(pid),
        cause => Error::call(format!("{pid}: {what}"), cause),
    }
}

/// Reads a file below a directory of a procfs.
pub(crate) fn read(dir: impl AsFd, path: impl Arg) -> Result<Vec<u8>, Cause> {
    let file = rustix::fs::openat(dir, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    read_all(File::from(file), LARGEST)
}

/// Reads a file of at most this size.
pub(crate) fn read_all(file: File, largest: u64) -> Result<Vec<u8>, Cause> {
    let mut text = Vec::new();
    file.take(largest + 1).read_to_end(&mut text)?;
    if text.len() as u64 > largest { Err(Cause::too_large(largest)) } else { Ok(text) }
}
