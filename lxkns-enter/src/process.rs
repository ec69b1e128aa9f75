//! A process that is entered: opened once, and everything is read below.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use lxkns_core::model::{NamespaceId, NamespaceType, Pid};
use lxkns_core::{ProcRoot, parse};
use lxkns_sys::SharedFd;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::path::Arg;
use rustix::process::PidfdFlags;

use crate::error::{Error, ErrorKind};
use crate::status::Status;

/// How much of one file of procfs is read at most.
const LARGEST: u64 = 8 << 20;

/// An open process directory, and a pidfd of the same process.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) pid: Pid,
    /// The number of the thread that is read: the first one, or where that has ended one that lives.
    pub(crate) task: u32,
    /// The directory of the process, or of that thread.
    pub(crate) dir: OwnedFd,
    /// Where the kernel has them (5.3), and the procfs is the caller's PID namespace's.
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
        // A number of another PID namespace must not be used as one of ours.
        let opened =
            if proc.is_own() { rustix::process::pidfd_open(raw, PidfdFlags::empty()) } else { Err(Errno::NOSYS) };
        let pidfd = match opened {
            Ok(pidfd) => Some(Arc::new(pidfd)),
            Err(Errno::SRCH) => return Err(gone(pid)),
            // Of a thread that is no process's first one; before 6.9 it was the other error.
            Err(Errno::NOENT | Errno::INVAL) => return Err(thread(pid)),
            // Before 5.3, or denied by a filter.
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
            let message = format!("{pid}: a thread of the kernel, of which nothing can be entered");
            return Err(Error::new(ErrorKind::Unsuitable, message));
        }
        Ok(process)
    }

    /// The first thread has ended, and all that was to be read of it with it. Others may live.
    fn through_living_thread(self) -> Result<Self, Error> {
        let pid = self.pid;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let failed = |errno| cannot(pid, "list the threads", errno);
        let tasks = rustix::fs::openat(&self.dir, "task", flags, Mode::empty()).map_err(failed)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        for entry in Dir::read_from(&tasks).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Some(number) = entry.file_name().to_str().ok().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            let opened = rustix::fs::openat(&tasks, number.to_string(), flags, Mode::empty());
            match opened.and_then(|dir| Ok((status_of(&dir)?, dir))) {
                Ok((status, dir)) if !status.is_dead() => return Ok(Self { task: number, dir, status, ..self }),
                // That the process has ended is said only when all its threads are known to have.
                Ok(_) | Err(Errno::NOENT | Errno::SRCH) => {}
                Err(errno) => return Err(cannot(pid, &format!("read the status of thread {number}"), errno)),
            }
        }
        let parent = self.status.parent;
        let message =
            format!("{pid}: the process has ended; it is a zombie until its parent, process {parent}, waits for it");
        Err(Error::new(ErrorKind::Gone, message))
    }

    /// What its namespaces can be entered through in one call.
    pub(crate) fn as_entrance(&self) -> Option<SharedFd> {
        // The descriptor is of the first thread, which must live.
        self.pidfd.clone().filter(|_| self.task == self.pid.0)
    }

    /// Makes sure that all that was opened and read so far is of one and the same process, which has not ended.
    pub(crate) fn verify(&self) -> Result<(), Error> {
        // If the number means another process by now, this directory no longer answers.
        rustix::fs::statat(&self.dir, "ns", AtFlags::empty()).map_err(|_| gone(self.pid))?;
        let Some(pidfd) = &self.pidfd else { return Ok(()) };
        let mut ended = [PollFd::new(pidfd, PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        match rustix::event::poll(&mut ended, Some(&now)) {
            Ok(1..) => Err(gone(self.pid)),
            _ => Ok(()),
        }
    }

    /// What tells later whether it still is who it was, and may do the same.
    pub(crate) fn witness(&self) -> Result<Witness, Error> {
        let dir = rustix::io::fcntl_dupfd_cloexec(&self.dir, 3);
        let dir = dir.map_err(|errno| Error::call("copy a descriptor", errno))?;
        Ok(Witness { pid: self.pid, dir, status: self.status.clone() })
    }

    fn is_kernel_thread(&self) -> Result<bool, Error> {
        /// `PF_KTHREAD` of `linux/sched.h`.
        const KERNEL_THREAD: u32 = 0x0020_0000;
        let failed = |errno| cannot(self.pid, "read stat", errno);
        let stat = self.read("stat").map_err(failed)?;
        let stat = parse::stat(&stat).map_err(|_| failed(Errno::BADMSG))?;
        Ok(stat.flags & KERNEL_THREAD != 0)
    }

    pub(crate) fn read(&self, path: impl Arg) -> Result<Vec<u8>, Errno> {
        read(&self.dir, path)
    }

    /// Opens a namespace, and says which it is; `None` where the kernel has none of this type.
    pub(crate) fn namespace(&self, ns_type: NamespaceType) -> Result<Option<(SharedFd, NamespaceId)>, Error> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(&self.dir, format!("ns/{ns_type}"), flags, Mode::empty());
        let failed = |errno| cannot(self.pid, &format!("open the {ns_type} namespace"), errno);
        match opened {
            Ok(fd) => {
                // Linux 5.10 gives the directory that the link is in, where it means EACCES.
                let stat = rustix::fs::fstat(&fd).map_err(failed)?;
                if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                    return Err(failed(Errno::ACCESS));
                }
                let id = lxkns_core::identity_of_namespace(&fd);
                let id = id.map_err(|errno| failed(Errno::from_raw_os_error(errno.number())))?;
                Ok(Some((Arc::new(fd), id)))
            }
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(failed(errno)),
        }
    }
}

/// What a process was when it was opened.
#[derive(Debug)]
pub(crate) struct Witness {
    pub(crate) pid: Pid,
    dir: OwnedFd,
    status: Status,
}

impl Witness {
    /// Whether it lives, and its user, groups, capabilities and filters are what they were.
    pub(crate) fn is_unchanged(&self) -> bool {
        status_of(&self.dir).is_ok_and(|status| !status.is_dead() && status.has_powers_of(&self.status))
    }
}

fn status_of(dir: &OwnedFd) -> Result<Status, Errno> {
    Status::parse(&read(dir, "status")?).ok_or(Errno::BADMSG)
}

pub(crate) fn gone(pid: Pid) -> Error {
    let message = format!("{pid}: the process has ended; its number may mean another by now");
    Error::new(ErrorKind::Gone, message)
}

fn thread(pid: Pid) -> Error {
    Error::new(ErrorKind::Unsuitable, format!("{pid}: not a process, but one of its threads"))
}

/// Something of a process could not be had.
pub(crate) fn cannot(pid: Pid, what: &str, errno: Errno) -> Error {
    match errno {
        Errno::SRCH => gone(pid),
        _ => Error::call(format!("{pid}: {what}"), errno),
    }
}

/// Reads a file below a directory of a procfs.
pub(crate) fn read(dir: impl AsFd, path: impl Arg) -> Result<Vec<u8>, Errno> {
    let file = rustix::fs::openat(dir, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    read_all(File::from(file), LARGEST)
}

/// Reads a file; `EFBIG` if it is larger than that.
pub(crate) fn read_all(file: File, largest: u64) -> Result<Vec<u8>, Errno> {
    let mut text = Vec::new();
    let read = file.take(largest + 1).read_to_end(&mut text);
    read.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    if text.len() as u64 > largest { Err(Errno::FBIG) } else { Ok(text) }
}
