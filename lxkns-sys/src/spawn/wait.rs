//! The caller's side: messages of the intermediate and of the process that runs the command.
//!
//! The caller trusts the intermediate: no process in the entered PID namespace can see it. The launched process can be
//! under another process's control from its first instruction on. So its PID comes from the kernel, the kernel also
//! says whether it runs the command, and the only thing that it sends is an error number to show.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitOptions};

use super::failure::Refusal;
use super::launch::{LaunchStep, Shared};
use super::{Child, SpawnError, Watch};
use crate::poll_until;

/// A message of the intermediate: its kind and three numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message(pub(super) [u32; 4]);

impl Message {
    pub(super) const LENGTH: usize = 16;
    /// A step begins: its index.
    pub(super) const AT: u32 = 1;
    /// A step failed: its index, a detail, the error number.
    pub(super) const FAILED: u32 = 2;
    /// All steps are done.
    pub(super) const DONE: u32 = 3;

    pub(super) fn bytes(self) -> [u8; Self::LENGTH] {
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

/// The interval at which the caller is asked whether to go on.
const TICK: Duration = Duration::from_millis(50);
/// Tells the intermediate to kill the process that it started, and to exit. The intermediate blocks all signals and
/// reads this one from a descriptor.
pub(super) const STOP_WATCHING: Signal = Signal::TERM;
/// The timeout for that.
const SOON: Duration = Duration::from_millis(50);
/// The timeout for the end of a killed process; a stuck one ends later.
const LAST: Duration = Duration::from_millis(200);

/// Waits until the pipe is readable or has ended, or the caller gives up, and returns whether it is readable.
fn heard(from: Option<&OwnedFd>, step: usize, tick: Duration, watch: &mut Watch<'_>) -> Result<bool, SpawnError> {
    let mut fds: Vec<PollFd<'_>> = from.into_iter().map(|from| PollFd::new(from, PollFlags::IN)).collect();
    if let Some(wake) = &watch.wake {
        fds.push(PollFd::new(wake, PollFlags::IN));
    }
    poll_until(&mut fds, Some(Instant::now() + tick)).map_err(SpawnError::Start)?;
    if from.is_some() && !fds[0].revents().is_empty() {
        return Ok(true);
    }
    if (watch.goes_on)(step) { Ok(false) } else { Err(SpawnError::GivenUp { index: step }) }
}

/// Reads at most that many bytes; none at the end.
fn read<const N: usize>(from: &OwnedFd) -> Result<Vec<u8>, SpawnError> {
    let mut bytes = [MaybeUninit::uninit(); N];
    match rustix::io::read(from, &mut bytes) {
        Ok((bytes, _)) => Ok(bytes.to_vec()),
        Err(errno) => Err(SpawnError::Start(errno)),
    }
}

/// An intermediate that carries out its steps.
pub(super) struct Steps<'a> {
    first: Pid,
    reader: &'a OwnedFd,
}

impl<'a> Steps<'a> {
    pub(super) fn new(first: Pid, reader: &'a OwnedFd) -> Self {
        Self { first, reader }
    }

    /// Waits until all steps are done and the process has ended.
    pub(super) fn wait(&self, watch: &mut Watch<'_>) -> Result<(), SpawnError> {
        let done = self.hear(watch);
        end(&[self.first], done.is_err());
        done
    }

    /// Waits until all steps are done.
    fn hear(&self, watch: &mut Watch<'_>) -> Result<(), SpawnError> {
        let mut step = 0;
        loop {
            if !heard(Some(self.reader), step, TICK, watch)? {
                continue;
            }
            let bytes = read::<{ Message::LENGTH }>(self.reader)?;
            // A message is written in one call and is shorter than `PIPE_BUF`, so it arrives whole.
            let Ok(bytes) = bytes.try_into() else { return Err(SpawnError::Killed { signal: None }) };
            let Message([kind, a, b, c]) = Message::read(bytes);
            match kind {
                Message::AT => step = a as usize,
                Message::DONE => return Ok(()),
                _ => {
                    let index = a as usize;
                    return Err(match Refusal::from_code(b).filter(|_| c == 0) {
                        Some(refusal) => SpawnError::Unfit { index, refusal },
                        None => SpawnError::Step { index, detail: b, errno: Errno::from_raw_os_error(c.cast_signed()) },
                    });
                }
            }
        }
    }
}

/// A command that is being started.
pub(super) struct Launching {
    pub(super) first: Pid,
    /// The pipe of the intermediate.
    pub(super) steps: OwnedFd,
    /// The pipe of the launched process.
    pub(super) failure: OwnedFd,
    pub(super) shared: Shared,
    /// The number of steps.
    pub(super) length: usize,
}

impl Launching {
    pub(super) fn wait(self, watch: &mut Watch<'_>) -> Result<Child, SpawnError> {
        let steps = Steps::new(self.first, &self.steps).hear(watch);
        let runs = steps.and_then(|()| match (watch.may_launch)() {
            true => {
                self.shared.go_ahead();
                self.launched(watch)
            }
            false => Err(SpawnError::Refused),
        });
        if let (Ok(()), Some(pid)) = (runs, self.shared.child()) {
            end(&[self.first], true);
            let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok();
            return Ok(Child { pid: pid.as_raw_nonzero().get().cast_unsigned(), pidfd });
        }
        let killed = self.give_up();
        Err(match runs.err().unwrap_or(SpawnError::Killed { signal: None }) {
            SpawnError::Killed { .. } => SpawnError::Killed { signal: killed },
            error => error,
        })
    }

    /// Ends both processes. The intermediate kills the other one before it exits, so nothing is left if the caller is
    /// killed meanwhile; if it does not, the caller kills it. Returns the signal that had already killed one of them,
    /// if any.
    fn give_up(&self) -> Option<i32> {
        let had_ended = |pid: Pid| {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
            rustix::process::waitid(WaitId::Pid(pid), options).ok()??.terminating_signal()
        };
        let killed = self.shared.child().and_then(had_ended).or_else(|| had_ended(self.first));
        let kill = |pid: Option<Pid>, signal| pid.map(|pid| rustix::process::kill_process(pid, signal));
        kill(Some(self.first), STOP_WATCHING);
        kill(self.shared.child(), Signal::KILL);
        if let Ok(pidfd) = rustix::process::pidfd_open(self.first, PidfdFlags::empty()) {
            let _ = poll_until(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(Instant::now() + SOON));
        }
        end(&[self.first], true);
        // No process can have been started since.
        end(self.shared.child().as_slice(), true);
        killed
    }

    /// Waits until the launched process runs the command. If the kernel says whether it does, the end of its pipe alone
    /// proves nothing.
    fn launched(&self, watch: &mut Watch<'_>) -> Result<(), SpawnError> {
        const FIRST_TICK: Duration = Duration::from_millis(5);
        let (mut tick, mut is_over) = (FIRST_TICK, false);
        // Whether a process has ended. What it did before that is read once more, and nothing can follow.
        let mut is_last = false;
        // The intermediate has not run another program. If the kernel says otherwise, its word on the other process is
        // of no use.
        let can_tell = (watch.has_run)(self.first) == Some(false);
        loop {
            let is_heard = heard(Some(&self.failure).filter(|_| !is_over), self.length, tick, watch)?;
            let said = if is_heard { read::<4>(&self.failure)? } else { Vec::new() };
            if is_heard && said.is_empty() {
                (tick, is_over) = (FIRST_TICK, true);
            } else if !is_last {
                tick = (tick * 2).min(TICK);
            }
            let child = self.shared.child();
            let has_run = child.filter(|_| can_tell).and_then(|child| (watch.has_run)(child));
            match (has_run, <[u8; 4]>::try_from(said)) {
                (Some(true), _) => return Ok(()),
                (_, Ok(bytes)) => {
                    let launch = |(step, errno)| SpawnError::Launch { step, errno };
                    return Err(LaunchStep::read(bytes).map_or(SpawnError::Malformed, launch));
                }
                // Nothing else tells.
                (None, _) if is_over && child.is_some() => return Ok(()),
                _ => {}
            }
            if let Some(errno) = self.shared.errno() {
                return Err(SpawnError::Launch { step: LaunchStep::Start, errno });
            }
            if child.is_some_and(is_stopped) {
                return Err(SpawnError::Stopped);
            }
            let was_last = std::mem::replace(&mut is_last, has_ended(child.unwrap_or(self.first)));
            match (was_last, is_last) {
                (true, true) => return Err(SpawnError::Killed { signal: None }),
                (false, true) => tick = Duration::ZERO,
                (true, false) => tick = FIRST_TICK,
                (false, false) => {}
            }
        }
    }
}

/// Whether a child has ended. Does not reap it.
fn has_ended(child: Pid) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    !matches!(rustix::process::waitid(WaitId::Pid(child), options), Ok(None))
}

/// Whether a child is stopped. Does not consume the event.
fn is_stopped(child: Pid) -> bool {
    let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    matches!(rustix::process::waitid(WaitId::Pid(child), options), Ok(Some(_)))
}

/// Kills children and waits a short time for their end. They have not been waited for, so no other process has their
/// PIDs.
fn end(children: &[Pid], is_killed: bool) {
    let until = Instant::now() + LAST;
    if is_killed {
        for &pid in children {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
    }
    for &pid in children {
        let mut ending = rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok();
        loop {
            match rustix::process::waitpid(Some(pid), WaitOptions::NOHANG) {
                Ok(None) if Instant::now() < until => {}
                _ => break,
            }
            match &ending {
                Some(pidfd) => {
                    // A traced process can have ended before it can be waited for.
                    if poll_until(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(until)) == Ok(true) {
                        ending = None;
                    }
                }
                None => drop(rustix::thread::nanosleep(&Timespec { tv_sec: 0, tv_nsec: 1_000_000 })),
            }
        }
    }
}
