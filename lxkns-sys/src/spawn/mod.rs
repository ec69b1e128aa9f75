//! Starts a program in a child that first carries out prepared steps.
//!
//! This is more than one call, unlike the rest of this crate. Between fork and exec, the child of a multi-threaded
//! process may neither allocate nor lock; it only carries out a list of prepared steps.
//!
//! ```text
//! caller ──── intermediate: a fork, which goes through the steps (steps)
//!    └─────── command: started by that with next to nothing, a child of the caller (launch)
//! ```
//!
//! The intermediate stays in the caller's PID namespace until the command runs. If the caller ends first, the
//! intermediate kills the process that it started. Other processes of the PID namespace that is entered can see and trace
//! the command's process from its first moment, so that has nothing which the command will not have:
//!
//! 1. The intermediate goes through all steps, closes all descriptors but the command's, and makes itself undumpable.
//! 2. It keeps everything out of the next fork but a launch page and read-only code (`MADV_DONTFORK`), puts copies in the
//!    place of mapped library files, and leaves restartable sequences (`rseq(2)`), into which the kernel would write.
//! 3. It waits until the caller lets it go on, and starts the process as a child of the caller (`CLONE_PARENT`).
//! 4. That process sets its death signal, session, terminal and signal mask, and runs the program, without libc.
//! 5. The kernel writes its PID where the caller reads it (`CLONE_PARENT_SETTID`), and says whether it runs the program
//!    (`PF_FORKNOEXEC`). What comes over a pipe, a traced process could have written: it decides nothing.

mod credentials;
mod failure;
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
pub use failure::Refusal;
pub use launch::LaunchStep;
pub use op::{Cover, Directory, Enter, Exec, ExecProgram, Launch, LaunchSession, Limit, Op, SharedFd};

/// A child that runs the program.
#[derive(Debug)]
pub struct Child {
    /// Its PID in the caller's PID namespace. The caller must wait for it.
    pub pid: u32,
    /// Its pidfd, if the kernel has them (5.3).
    pub pidfd: Option<OwnedFd>,
}

/// The program does not run, and the child has been killed. A child stuck in the kernel ends as soon as the kernel lets
/// it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpawnError {
    /// The child could not be started.
    Start(Errno),
    /// A call of a step failed.
    Step {
        /// The index of the step, from 0.
        index: usize,
        /// For namespaces, the `CLONE_NEW*` flags of those that could not be entered; else 0.
        detail: u32,
        /// The kernel's error.
        errno: Errno,
    },
    /// A step did not go on, though no call failed.
    Unfit {
        /// The index of the step, from 0.
        index: usize,
        /// Why.
        refusal: Refusal,
    },
    /// All steps are done, but the program could not be run.
    Launch {
        /// The part that failed.
        step: LaunchStep,
        /// The kernel's error.
        errno: Errno,
    },
    /// The child was killed, or ended, before it had done all steps.
    Killed {
        /// The signal, if one killed it.
        signal: Option<i32>,
    },
    /// The child was stopped before it had done all steps, so it was killed.
    Stopped,
    /// The launched process said something that it never says: a process that traces it did.
    Malformed,
    /// The caller decided not to start the program.
    Refused,
    /// The caller gave up.
    GivenUp {
        /// The step that was running, from 0; the number of steps if all were done.
        index: usize,
    },
}

/// How the caller of [`spawn()`] watches the child.
pub struct Watch<'a> {
    /// `goes_on` is also called when this descriptor becomes readable.
    pub wake: Option<BorrowedFd<'a>>,
    /// Called at intervals while the child sends nothing, with the index of its current step: whether to go on.
    pub goes_on: &'a mut dyn FnMut(usize) -> bool,
    /// Called once, when all steps are done: whether the program may still be started.
    pub may_launch: &'a dyn Fn() -> bool,
    /// Whether this child has run another program since it was forked; `None` if not known.
    pub has_run: &'a dyn Fn(Pid) -> Option<bool>,
}

/// Starts a child that carries out these steps and then runs the program. Returns when the program runs, or has failed
/// to.
///
/// The child blocks all signals until it runs the program. `cgroup` is the directory of a version 2 control group, in
/// which the child is started if the kernel supports (5.7) and allows that. To make sure, add a step that writes to its
/// `cgroup.procs`.
///
/// The caller's other children, threads, signal handlers and descriptors do not change. All descriptors in the steps
/// must be 3 or above. `SIGCHLD` must not be ignored, and no other thread may wait for any child of the caller
/// meanwhile.
///
/// # Errors
///
/// See [`SpawnError`]. There is no child then.
///
/// # Privileges
///
/// None but those that the steps need.
///
/// # Minimum kernel version
///
/// Any, unless a step needs a newer one. See `clone(2)`, `execve(2)`.
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

/// Starts a child that carries out these steps and ends. Returns when it has ended, or is given up; a stuck child ends
/// as soon as the kernel lets it.
///
/// # Errors
///
/// As [`spawn()`].
///
/// # Privileges
///
/// None but those that the steps need.
///
/// # Minimum kernel version
///
/// Any, unless a step needs a newer one.
pub fn run_steps(ops: &[Op], watch: &mut Watch<'_>) -> Result<(), SpawnError> {
    let (first, steps) = begin(ops, None, None)?;
    wait::Steps::new(first, &steps).wait(watch)
}

/// Both ends of a pipe, numbered 3 or above.
fn pipe() -> Result<[OwnedFd; 2], SpawnError> {
    let above = |fd: OwnedFd| rustix::io::fcntl_dupfd_cloexec(fd, 3).map_err(SpawnError::Start);
    let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(SpawnError::Start)?;
    Ok([above(reader)?, above(writer)?])
}

/// Starts the intermediate, and returns the pipe to which it writes messages.
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
        // Whatever the reason, a step tries to join it again. SAFETY: as above.
        Some(Err(_)) | None => unsafe { steps::fork() }?,
    };
    match Pid::from_raw(pid) {
        Some(pid) => Ok(pid),
        None => prepared.run(),
    }
}

#[cfg(test)]
mod tests;
