//! Starting a program in a child that first goes through prepared steps.
//!
//! This is more than one call, unlike the rest of this crate: between fork and exec, a child of a process with threads may
//! neither allocate nor take a lock, and nothing but the list of steps that it was given decides what it does.

mod child;
mod op;

use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, PidfdFlags, WaitOptions};

use crate::checked;
pub use op::{Enter, Exec, ExecProgram, Op, OwnMounts, SharedFd};

/// A child that has become the program.
#[derive(Debug)]
pub struct Child {
    /// Its process ID, as the caller's PID namespace has it. The caller is to wait for it.
    pub pid: u32,
    /// A pidfd of it, where the kernel has them (5.3).
    pub pidfd: Option<OwnedFd>,
}

/// The child did not become the program. Nothing of it is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpawnError {
    /// It could not be started.
    Start(Errno),
    /// One of its steps failed.
    Step {
        /// Which, from 0.
        index: usize,
        /// Of namespaces, which: its `CLONE_NEW*` flag, or of several at once all of theirs; else 0.
        detail: u32,
        /// Why.
        errno: Errno,
    },
    /// It was killed before it had done all.
    Killed,
    /// It was told to give up.
    GivenUp {
        /// In which step, from 0.
        index: usize,
    },
}

/// What the child says: which kind, and three numbers.
#[derive(Clone, Copy, Debug)]
struct Message([u32; 4]);

impl Message {
    const LENGTH: usize = 16;
    /// Begins with a step that can take long: its index.
    const AT: u32 = 1;
    /// Goes on as another process: its ID.
    const FORKED: u32 = 2;
    /// A step has failed: its index, a detail, the error number.
    const FAILED: u32 = 3;
    /// There is nothing left but to become the program.
    const READY: u32 = 4;

    fn bytes(self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        for (chunk, number) in bytes.chunks_exact_mut(4).zip(self.0) {
            chunk.copy_from_slice(&number.to_ne_bytes());
        }
        bytes
    }

    fn read(bytes: [u8; Self::LENGTH]) -> Self {
        let mut numbers = [0; 4];
        for (number, chunk) in numbers.iter_mut().zip(bytes.chunks_exact(4)) {
            *number = u32::from_ne_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]);
        }
        Self(numbers)
    }
}

/// Starts a child that goes through these steps, and comes back once it has become the program, or not.
///
/// The last step is an [`Op::Exec`] or [`Op::End`]. All the child's signals are blocked until an [`Op::Signals`]. `cgroup`
/// is the directory of a control group of version 2 in which the child is started if the kernel can and allows it (5.7):
/// whoever wants to be sure writes to its `cgroup.procs` too. `goes_on` is asked now and then while nothing is heard, about the step, from 0, in
/// which the child is; if it says no, the child is killed, and nobody waits for its end.
///
/// The caller's other children, threads, signal handlers and descriptors are left alone. All descriptors in the steps are
/// to be 3 or above.
///
/// # Errors
///
/// As [`SpawnError`] has it. Then there is no child left.
///
/// # Privileges
///
/// None; what the steps take.
///
/// # Minimum kernel version
///
/// Any; what the steps take. See `clone(2)`, `execve(2)`.
#[doc(alias = "clone3")]
#[doc(alias = "CLONE_INTO_CGROUP")]
#[doc(alias = "fork")]
pub fn spawn(
    ops: &[Op],
    cgroup: Option<&OwnedFd>,
    goes_on: &mut dyn FnMut(usize) -> bool,
) -> Result<Child, SpawnError> {
    let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(SpawnError::Start)?;
    // Not where standard input, output or error will be.
    let writer = rustix::io::fcntl_dupfd_cloexec(writer, 3).map_err(SpawnError::Start)?;
    let prepared = child::Prepared::new(ops, writer.as_raw_fd());
    let signals = child::block_signals();
    let started = start(&prepared, cgroup);
    child::restore_signals(&signals);
    let first = started.map_err(SpawnError::Start)?;
    drop(writer);
    Heard { first, second: None, at: 0, ready: false, failed: None }.wait(&reader, goes_on)
}

fn start(prepared: &child::Prepared<'_>, cgroup: Option<&OwnedFd>) -> Result<Pid, Errno> {
    let into = cgroup.map(|cgroup| child::clone_into(cgroup.as_raw_fd()));
    let pid = match into {
        Some(Ok(pid)) => pid,
        // Whatever the reason, joining it is tried once more.
        Some(Err(_)) | None => child::clone(libc::SIGCHLD)?,
    };
    match Pid::from_raw(pid) {
        Some(pid) => Ok(pid),
        None => prepared.run(),
    }
}

/// What has been heard of a child.
struct Heard {
    first: Pid,
    /// The process that goes on, if that is another.
    second: Option<Pid>,
    at: usize,
    ready: bool,
    failed: Option<SpawnError>,
}

impl Heard {
    fn wait(mut self, reader: &OwnedFd, goes_on: &mut dyn FnMut(usize) -> bool) -> Result<Child, SpawnError> {
        let now_and_then = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        loop {
            let mut fds = [PollFd::new(reader, PollFlags::IN)];
            match rustix::event::poll(&mut fds, Some(&now_and_then)) {
                Ok(0) if !goes_on(self.at) => {
                    self.failed = Some(SpawnError::GivenUp { index: self.at });
                    break;
                }
                Ok(0) | Err(Errno::INTR) => continue,
                Ok(_) => {}
                Err(errno) => {
                    self.failed = Some(SpawnError::Start(errno));
                    break;
                }
            }
            let mut bytes = [MaybeUninit::uninit(); Message::LENGTH];
            // A message is written in one call and far shorter than what a pipe keeps together.
            match rustix::io::read(reader, &mut bytes) {
                Ok((&mut [], _)) => break,
                Ok((bytes, _)) => match <[u8; Message::LENGTH]>::try_from(&*bytes) {
                    Ok(bytes) => self.hear(Message::read(bytes)),
                    Err(_) => {
                        self.failed = Some(SpawnError::Start(Errno::BADMSG));
                        break;
                    }
                },
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(errno) => {
                    self.failed = Some(SpawnError::Start(errno));
                    break;
                }
            }
        }
        self.end()
    }

    fn hear(&mut self, message: Message) {
        let Message([kind, a, b, c]) = message;
        match kind {
            Message::AT => self.at = a as usize,
            Message::FORKED => self.second = Pid::from_raw(a.cast_signed()),
            Message::READY => self.ready = true,
            _ => {
                let errno = Errno::from_raw_os_error(c.cast_signed());
                self.failed = Some(SpawnError::Step { index: a as usize, detail: b, errno });
            }
        }
    }

    fn end(self) -> Result<Child, SpawnError> {
        let failed = self.failed.or((!self.ready).then_some(SpawnError::Killed));
        if let Some(failed) = failed {
            // They are our own children and have not been waited for, so that their numbers mean nobody else.
            for pid in [Some(self.first), self.second].into_iter().flatten() {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
                if !matches!(failed, SpawnError::GivenUp { .. }) {
                    reap(pid, WaitOptions::empty());
                } else {
                    // It need not end soon.
                    reap(pid, WaitOptions::NOHANG);
                }
            }
            return Err(failed);
        }
        if self.second.is_some() {
            reap(self.first, WaitOptions::empty());
        }
        let pid = self.second.unwrap_or(self.first);
        let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok();
        Ok(Child { pid: pid.as_raw_nonzero().get().cast_unsigned(), pidfd })
    }
}

fn reap(pid: Pid, options: WaitOptions) {
    while matches!(rustix::process::waitpid(Some(pid), options), Err(Errno::INTR)) {}
}

#[cfg(test)]
mod tests;
