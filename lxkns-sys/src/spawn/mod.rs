//! Starting a program in a child that first goes through prepared steps.
//!
//! This is more than one call, unlike the rest of this crate: between fork and exec, a child of a process with threads may
//! neither allocate nor take a lock, and nothing but the list of steps that it was given decides what it does.
//!
//! ```text
//! caller ──── intermediate: a fork, which goes through the steps (steps)
//!    └─────── command: started by that with next to nothing, a child of the caller (launch)
//! ```
//!
//! The intermediate stays in the caller's PID namespace, and is there until the command runs: where the caller has gone, it
//! ends what was started.

mod credentials;
mod launch;
mod op;
mod raw;
mod steps;
mod stream;
mod wait;

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::process::Pid;

use crate::checked;
pub use launch::LaunchStep;
pub use op::{Cover, Directory, Enter, Exec, ExecProgram, Launch, LaunchSession, Limit, Op, SharedFd};

/// A child that has become the program.
#[derive(Debug)]
pub struct Child {
    /// Its process ID, as the caller's PID namespace has it. The caller is to wait for it.
    pub pid: u32,
    /// A pidfd of it, where the kernel has them (5.3).
    pub pidfd: Option<OwnedFd>,
}

/// The child did not become the program. Nothing of it is left, but what cannot be ended: that ends when it can.
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
    /// All steps are done, and it could not become the program.
    Launch {
        /// In what.
        step: LaunchStep,
        /// Why.
        errno: Errno,
    },
    /// It was ended before it had done all.
    Killed {
        /// By this signal, if it was one.
        signal: Option<i32>,
    },
    /// It was stopped before it had done all, and so was ended.
    Stopped,
    /// The caller did not have it started after all.
    Refused,
    /// The caller gave up.
    GivenUp {
        /// In which step, from 0; their number where all were done.
        index: usize,
    },
}

/// How the caller of [`spawn()`] keeps watch.
pub struct Watch<'a> {
    /// The caller is asked once more when there is something to be read from this.
    pub wake: Option<BorrowedFd<'a>>,
    /// Asked now and then while nothing is heard, about the step, from 0, that the child is in: whether to go on.
    pub goes_on: &'a mut dyn FnMut(usize) -> bool,
    /// Asked once, when all steps are done: whether the program may still be started.
    pub may_launch: &'a dyn Fn() -> bool,
    /// Whether this child has run another program since it was forked, if that can be told.
    pub has_run: &'a dyn Fn(Pid) -> Option<bool>,
}

/// Starts a child that goes through these steps and then becomes the program, and comes back once it has, or not.
///
/// All the child's signals are blocked until it becomes the program. `cgroup` is the directory of a control group of
/// version 2 in which the child is started if the kernel can and allows it (5.7): whoever wants to be sure writes to its
/// `cgroup.procs` too.
///
/// The caller's other children, threads, signal handlers and descriptors are left alone. All descriptors in the steps are
/// to be 3 or above. `SIGCHLD` must not be ignored, and nobody else may wait for the caller's children meanwhile.
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
    launch: &Launch,
    cgroup: Option<&OwnedFd>,
    watch: &mut Watch<'_>,
) -> Result<Child, SpawnError> {
    let shared = launch::Shared::new().map_err(SpawnError::Start)?;
    let [failure, failure_writer] = pipe()?;
    let launch = launch::Prepared::new(launch, &shared, failure_writer.as_raw_fd()).map_err(SpawnError::Start)?;
    let (first, steps) = begin(ops, Some(&launch), cgroup)?;
    drop(failure_writer);
    wait::Launching { first, steps, failure, shared, length: ops.len() }.wait(watch)
}

/// Starts a child that goes through these steps and ends. Comes back once it has; one that is given up ends when it can.
///
/// # Errors
///
/// As [`spawn()`].
///
/// # Privileges
///
/// None; what the steps take.
///
/// # Minimum kernel version
///
/// Any; what the steps take.
pub fn run_steps(ops: &[Op], watch: &mut Watch<'_>) -> Result<(), SpawnError> {
    let (first, steps) = begin(ops, None, None)?;
    wait::Steps::new(first, &steps).wait(watch)
}

/// Both ends of a pipe, neither of them where standard input, output or error will be.
fn pipe() -> Result<[OwnedFd; 2], SpawnError> {
    let above = |fd: OwnedFd| rustix::io::fcntl_dupfd_cloexec(fd, 3).map_err(SpawnError::Start);
    let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(SpawnError::Start)?;
    Ok([above(reader)?, above(writer)?])
}

/// Starts the intermediate. What it says comes out of the pipe.
fn begin(
    ops: &[Op],
    launch: Option<&launch::Prepared>,
    cgroup: Option<&OwnedFd>,
) -> Result<(Pid, OwnedFd), SpawnError> {
    let [reader, writer] = pipe()?;
    let prepared = steps::Prepared::new(ops, launch, writer.as_raw_fd());
    let signals = steps::block_signals();
    let started = start(&prepared, cgroup);
    steps::restore_signals(&signals);
    Ok((started.map_err(SpawnError::Start)?, reader))
}

fn start(prepared: &steps::Prepared<'_>, cgroup: Option<&OwnedFd>) -> Result<Pid, Errno> {
    // SAFETY: the new process goes on to `run`, which only makes system calls and does not return.
    let into = cgroup.map(|cgroup| unsafe { steps::fork_into(cgroup.as_raw_fd()) });
    let pid = match into {
        Some(Ok(pid)) => pid,
        // Whatever the reason, joining it is tried once more.
        // SAFETY: as above.
        Some(Err(_)) | None => unsafe { steps::fork() }?,
    };
    match Pid::from_raw(pid) {
        Some(pid) => Ok(pid),
        None => prepared.run(),
    }
}

#[cfg(test)]
mod tests;
