//! A process that is started again whenever it ends.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use lxkns_core::OWN_PROGRAM;
use rustix::event::{PollFd, PollFlags};
use rustix::net::RecvFlags;
use rustix::process::{Pid, PidfdFlags, Signal};
use tracing::{info, warn};

use crate::control::{self, News, Order};

/// How long it takes to start one anew that has just ended; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// One that has been there for so long has not failed to start.
const SETTLED: Duration = Duration::from_secs(30);
/// How long a killed process may take to end before it is left behind.
const PATIENCE: Duration = Duration::from_millis(200);
/// How many killed processes may be left behind: each keeps the memory that it had. Beyond that no other is started before
/// one of them has ended.
const MOST_LEFT: usize = 3;
/// How many messages are read before it is another's turn.
const AT_ONCE: usize = 64;

/// A process, or the place for one.
pub(super) struct Child {
    role: &'static str,
    running: Option<Running>,
    pause: Duration,
    /// When the next is started.
    due: Instant,
    /// Those that did not end when they were killed.
    left: Vec<Left>,
    /// How many were started.
    starts: u64,
}

/// A process that was killed and waits in the kernel.
struct Left {
    process: std::process::Child,
    pidfd: Option<OwnedFd>,
}

struct Running {
    process: std::process::Child,
    pidfd: Option<OwnedFd>,
    control: OwnedFd,
    since: Instant,
    heard: Instant,
    is_ready: bool,
    is_unlinked: bool,
}

impl Child {
    pub(super) fn new(role: &'static str) -> Self {
        Self { role, running: None, pause: FIRST_PAUSE, due: Instant::now(), left: Vec::new(), starts: 0 }
    }

    /// Whether there is one.
    pub(super) fn is_there(&self) -> bool {
        self.running.is_some()
    }

    /// Whether it serves.
    pub(super) fn is_ready(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.is_ready)
    }

    /// Whether it has said that it has no connection to the other process.
    pub(super) fn is_unlinked(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.is_unlinked)
    }

    /// Whether it has said since the last time that it has no connection to the other process.
    pub(super) fn take_unlinked(&mut self) -> bool {
        self.running.as_mut().is_some_and(|running| std::mem::take(&mut running.is_unlinked))
    }

    /// How many were killed and have not ended.
    pub(super) fn left(&self) -> usize {
        self.left.len()
    }

    /// How many were started so far.
    pub(super) fn starts(&self) -> u64 {
        self.starts
    }

    /// Whether so many were left behind that no other is started.
    pub(super) fn is_given_up(&self) -> bool {
        self.running.is_none() && self.left.len() >= MOST_LEFT
    }

    /// Whether one is to be started now.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.running.is_none() && !self.is_given_up() && self.due <= now
    }

    /// The next point in time at which something is to be done.
    pub(super) fn next(&self, now: Instant, silence: Duration) -> Instant {
        match &self.running {
            Some(running) => running.heard + silence,
            // One without a pidfd says nothing when it ends.
            None if self.is_given_up() => now + LONGEST_PAUSE,
            None => self.due,
        }
    }

    /// What to wait for.
    pub(super) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let running = self.running.iter();
        let running =
            running.flat_map(|running| [Some(running.control.as_fd()), running.pidfd.as_ref().map(|fd| fd.as_fd())]);
        running.flatten().chain(self.left.iter().filter_map(|left| left.pidfd.as_ref()).map(|fd| fd.as_fd()))
    }

    /// Starts one: the same program, with nothing but a socket to this process.
    ///
    /// # Errors
    ///
    /// There is no descriptor left for a socket. A program that cannot be run is tried again later.
    pub(super) fn start(&mut self, order: &Order, fds: &[BorrowedFd<'_>]) -> anyhow::Result<()> {
        let (ours, theirs) = control::pair().context("socketpair")?;
        let mut command = Command::new(OWN_PROGRAM);
        command.arg0(format!("lxknsd-{}", self.role)).arg(self.role).env_clear().current_dir("/");
        command.stdin(Stdio::from(theirs)).stdout(Stdio::null());
        let process = match command.spawn() {
            Ok(process) => process,
            Err(error) => {
                warn!(process = self.role, %error, "not started");
                self.postpone(Instant::now());
                return Ok(());
            }
        };
        // The socket in there is the child's alone.
        drop(command);
        let pid = i32::try_from(process.id()).ok().and_then(Pid::from_raw);
        let pidfd = pid.and_then(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok());
        info!(process = self.role, pid = process.id(), "started");
        self.starts += 1;
        let now = Instant::now();
        self.running = Some(Running {
            process,
            pidfd,
            control: ours,
            since: now,
            heard: now,
            is_ready: false,
            is_unlinked: false,
        });
        self.tell(order, fds);
        Ok(())
    }

    /// Tells it something. One that does not read is ended.
    pub(super) fn tell(&mut self, order: &Order, fds: &[BorrowedFd<'_>]) {
        let Some(running) = &self.running else { return };
        if let Err(error) = control::send(&running.control, order, fds) {
            warn!(process = self.role, %error, "does not read its messages");
            self.end();
        }
    }

    /// Forgets those left behind that have ended.
    fn reap(&mut self) {
        let role = self.role;
        self.left.retain_mut(|left| {
            let is_there = matches!(left.process.try_wait(), Ok(None));
            if !is_there {
                info!(process = role, pid = left.process.id(), "has ended after all");
            }
            is_there
        });
    }

    /// Reads what it says, and notices its end, and that of those left behind.
    pub(super) fn hear(&mut self) {
        self.reap();
        for _ in 0..AT_ONCE {
            let Some(running) = &mut self.running else { return };
            match control::receive::<News>(&running.control, RecvFlags::DONTWAIT) {
                Ok(Some((News::GiveUp(why), _))) => {
                    // A front that was taken over writes no lines of its own into the log.
                    warn!(process = self.role, why = %why.escape_debug(), "stuck");
                    self.end();
                }
                Ok(Some((news, _))) => {
                    running.heard = Instant::now();
                    running.is_ready |= news == News::Ready;
                    running.is_unlinked |= news == News::Unlinked;
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    let has_ended = running.process.try_wait();
                    if let Ok(Some(status)) = has_ended {
                        warn!(process = self.role, %status, "ended");
                        self.forget();
                    }
                    return;
                }
                // It has closed its end, as it does when it ends.
                Ok(None) | Err(_) => self.end(),
            }
        }
    }

    /// Ends one that has said nothing for too long, as a stopped one does not.
    pub(super) fn end_if_silent(&mut self, now: Instant, silence: Duration) {
        if self.running.as_ref().is_some_and(|running| now.saturating_duration_since(running.heard) >= silence) {
            warn!(process = self.role, "says nothing");
            self.end();
        }
    }

    /// Ends it. One that waits in the kernel is left behind.
    pub(super) fn end(&mut self) {
        let Some(running) = &mut self.running else { return };
        let mut is_over = matches!(running.process.try_wait(), Ok(Some(_)));
        if !is_over {
            match &running.pidfd {
                Some(pidfd) => {
                    let _ = rustix::process::pidfd_send_signal(pidfd, Signal::KILL);
                    let end = Instant::now() + PATIENCE;
                    let _ = lxkns_sys::poll_until(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(end));
                }
                None => {
                    let _ = running.process.kill();
                }
            }
            is_over = matches!(running.process.try_wait(), Ok(Some(_)));
        }
        let left = self.forget();
        if let Some(left) = left.filter(|_| !is_over) {
            warn!(process = self.role, pid = left.process.id(), "does not end, and is left behind");
            self.left.push(left);
            if self.is_given_up() {
                let left = self.left.len();
                warn!(process = self.role, left, "no other is started until one that was left behind has ended");
            }
        }
    }

    /// Makes room for the next.
    fn forget(&mut self) -> Option<Left> {
        let running = self.running.take()?;
        let now = Instant::now();
        if now.saturating_duration_since(running.since) >= SETTLED {
            self.pause = FIRST_PAUSE;
        }
        self.postpone(now);
        Some(Left { process: running.process, pidfd: running.pidfd })
    }

    /// Has the next one started later.
    pub(super) fn postpone(&mut self, now: Instant) {
        self.due = now + self.pause;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }
}
