//! Waits for the command: passes signals on, stops and continues with it, and returns how it ended.
//!
//! Signals are blocked and read from a descriptor, so there are no handlers and no interrupted calls. One poll waits
//! for everything.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use lxkns_sys::{Blocking, SignalSet, TakenSignal};
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus};

use crate::error::{Cause, Error, ErrorKind};
use crate::plan::{Plan, Spawned};
use crate::streams::Streams;
use crate::terminal::relay::{Copied, Relay};
use crate::terminal::{Foreground, Session};

/// Signals about a fault of this program, which keep their default action.
const OF_FAILURE: [Signal; 7] =
    [Signal::ABORT, Signal::BUS, Signal::FPE, Signal::ILL, Signal::SEGV, Signal::SYS, Signal::TRAP];

/// Signals that ask the caller to end.
const ENDING: [Signal; 4] = [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TERM];

/// Signals that tell the caller something about itself, its children or its terminal.
const OF_CALLER: [Signal; 4] = [Signal::PIPE, Signal::TTIN, Signal::TTOU, Signal::URG];

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It exited with this status.
    Exited(i32),
    /// This signal killed it.
    Killed(i32),
}

impl Ended {
    /// The exit status that a shell would show: the command's, or 128 plus the signal.
    pub fn code(self) -> u8 {
        match self {
            Self::Exited(status) => status as u8,
            Self::Killed(signal) => 128_u8.wrapping_add(signal as u8),
        }
    }
}

/// The calling thread's signals, which are blocked until this is dropped. Create it before the child, so no signal is
/// lost.
#[derive(Debug)]
pub(crate) struct Signals {
    fd: OwnedFd,
    /// The signals that ask the caller to end.
    ending: OwnedFd,
    before: SignalSet,
}

impl Signals {
    /// Blocks all signals that can be passed on.
    pub(crate) fn block() -> Result<Self, Errno> {
        let set = SignalSet::all_but(&OF_FAILURE);
        let (fd, ending) = (lxkns_sys::signalfd(&set)?, lxkns_sys::signalfd(&SignalSet::new(&ENDING))?);
        let before = lxkns_sys::sigprocmask(Blocking::Block, &set)?;
        Ok(Self { fd, ending, before })
    }

    /// Readable when a signal has arrived that asks the caller to end.
    pub(crate) fn interrupts(&self) -> BorrowedFd<'_> {
        self.ending.as_fd()
    }

    /// The result if one has arrived.
    pub(crate) fn interrupted(&self) -> Option<Ended> {
        lxkns_sys::read_signal(&self.ending).ok().map(|signal| Ended::Killed(signal.number))
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        let _ = lxkns_sys::sigprocmask(Blocking::Set, &self.before);
    }
}

/// Waits until the command has ended, and all its terminal output has been copied.
///
/// # Errors
///
/// [`ErrorKind::Failed`](crate::ErrorKind::Failed): the caller's terminal cannot be used, or another thread has waited
/// for the command.
pub(crate) fn wait(
    plan: &Plan,
    command: &Spawned,
    session: Session,
    streams: Streams,
    signals: &Signals,
) -> Result<Ended, Error> {
    let refused = |errno| Error::call("wait for the command", errno);
    let pid = Pid::from_raw(command.pid.cast_signed())
        .ok_or_else(|| Error::new(ErrorKind::Failed, "wait for the command: it has no PID"))?;
    let pidfd = command.pidfd.as_ref();
    let (foreground, pty, is_fresh) = match session {
        Session::Shared(foreground) => (foreground, None, false),
        Session::Fresh(pty) => (None, pty, true),
    };
    let mut waiter = Waiter {
        plan,
        pid,
        pidfd,
        signals,
        foreground,
        relay: None,
        streams,
        is_fresh,
        is_out_of_hand: false,
        is_given_up: false,
        stops_alone: false,
        to_do: ToDo::default(),
    };
    if let Some(pty) = pty {
        if pty.is_background() {
            // Another process owns the terminal's modes while the caller is in the background.
            waiter.stop(Signal::TTOU, false);
        }
        let relay = Relay::new(pty);
        let relay = relay.map_err(|errno| Error::call("set the modes of the terminal that is standard input", errno));
        waiter.relay = Some(relay?);
    }
    waiter.run().map_err(refused)?;
    waiter.drain().map_err(refused)?;
    let ended = waiter.ended().map_err(|cause| Error::call("wait for the command", cause))?;
    waiter.streams.end()?;
    Ok(ended)
}

struct Waiter<'a> {
    plan: &'a Plan,
    pid: Pid,
    /// Without pidfds, SIGCHLD tells of the end of a child.
    pidfd: Option<&'a OwnedFd>,
    signals: &'a Signals,
    foreground: Option<Foreground>,
    relay: Option<Relay>,
    streams: Streams,
    is_fresh: bool,
    /// Whether it has ended, but a tracer keeps it from being waited for.
    is_out_of_hand: bool,
    /// Whether it has been killed, so its end is not waited for even if a tracer holds it.
    is_given_up: bool,
    /// Whether the command is stopped because a signal stopped only the caller, not its job.
    stops_alone: bool,
    to_do: ToDo,
}

/// Signals that have arrived and are not passed on.
#[derive(Default)]
struct ToDo {
    /// A child has stopped, continued or ended.
    look_at_child: bool,
    /// A signal asks the caller to stop.
    stop: bool,
    /// The signal that asks the caller to end, and how often it came in a row.
    end: Option<(i32, u32)>,
}

/// How often the same signal is passed on before the command is killed.
const PASSED_ON: u32 = 3;

impl Waiter<'_> {
    /// Waits until the command has ended.
    fn run(&mut self) -> Result<(), Errno> {
        loop {
            let is_told = self.poll(true)?;
            self.take_signals();
            let is_about_child = std::mem::take(&mut self.to_do.look_at_child);
            if is_about_child {
                self.look_whether_stopped();
            }
            let has_ended = (is_told || is_about_child || self.is_out_of_hand) && self.has_ended()?;
            self.is_out_of_hand |= is_told && !has_ended;
            if std::mem::take(&mut self.to_do.stop) {
                // A signal from a terminal has reached the rest of the job too.
                self.stop_with_terminal(Signal::TSTP, true);
            }
            self.streams.copy();
            if let Some(relay) = &mut self.relay
                && relay.copy() == Copied::Background
            {
                self.stop_with_terminal(Signal::TTIN, false);
            }
            // A tracer can hold its end back for as long as it likes.
            if has_ended || self.is_given_up || self.is_out_of_hand && self.to_do.end.is_some() {
                return Ok(());
            }
        }
    }

    /// Waits until all output of the command has been copied. A signal that asks the caller to end interrupts this.
    fn drain(&mut self) -> Result<(), Errno> {
        self.streams.stop_reading();
        while self.relay.as_mut().is_some_and(|relay| !relay.is_done()) || !self.streams.is_done() {
            self.poll(false)?;
            while let Ok(TakenSignal { number, .. }) = lxkns_sys::read_signal(&self.signals.fd) {
                if ENDING.iter().any(|signal| signal.as_raw() == number) {
                    return Ok(());
                }
            }
            if let Some(relay) = &mut self.relay {
                relay.copy();
            }
            self.streams.copy();
        }
        Ok(())
    }

    /// Waits for the next event, and returns whether the pidfd says that the command has ended, if the caller wants to
    /// know.
    fn poll(&self, is_running: bool) -> Result<bool, Errno> {
        let mut fds = vec![PollFd::new(&self.signals.fd, PollFlags::IN)];
        let pidfd = self.pidfd.filter(|_| is_running && !self.is_out_of_hand);
        if let Some(pidfd) = pidfd {
            fds.push(PollFd::new(pidfd, PollFlags::IN));
        }
        if let Some(relay) = &self.relay {
            relay.interests(&mut fds);
        }
        self.streams.interests(&mut fds);
        let now_and_then = Duration::from_millis(100);
        lxkns_sys::poll_until(&mut fds, self.is_out_of_hand.then(|| Instant::now() + now_and_then))?;
        Ok(pidfd.is_some() && !fds[1].revents().is_empty())
    }

    /// It is reaped later, so its PID stays its own until then.
    fn has_ended(&self) -> Result<bool, Errno> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        Ok(self.wait_id(options)?.is_some())
    }

    fn ended(&mut self) -> Result<Ended, Cause> {
        let options = WaitIdOptions::EXITED;
        let is_held = self.is_out_of_hand || self.is_given_up;
        let status = self.wait_id(if is_held { options | WaitIdOptions::NOHANG } else { options })?;
        if let Some(foreground) = &mut self.foreground {
            foreground.take_back();
        }
        let Some(status) = status else {
            let end = self.to_do.end.map(|(number, _)| Ended::Killed(number));
            return end.ok_or(Cause::Words("it has not ended".into()));
        };
        let of = |number: Option<i32>| number.unwrap_or(0);
        Ok(if status.exited() {
            Ended::Exited(of(status.exit_status()))
        } else {
            Ended::Killed(of(status.terminating_signal()))
        })
    }

    fn wait_id(&self, options: WaitIdOptions) -> Result<Option<WaitIdStatus>, Errno> {
        rustix::io::retry_on_intr(|| rustix::process::waitid(WaitId::Pid(self.pid), options))
    }

    /// Takes all signals that have arrived, and returns whether the caller was continued.
    fn take_signals(&mut self) -> bool {
        let mut is_continued = false;
        while let Ok(signal) = lxkns_sys::read_signal(&self.signals.fd) {
            is_continued |= signal.number == Signal::CONT.as_raw();
            self.take_signal(signal);
        }
        is_continued
    }

    fn take_signal(&mut self, taken: TakenSignal) {
        let named = Signal::from_named_raw(taken.number);
        match (named, &self.relay) {
            (Some(Signal::CHILD), _) => self.to_do.look_at_child = true,
            (Some(Signal::TSTP), _) if self.is_fresh => self.to_do.stop = true,
            (Some(Signal::WINCH), Some(relay)) => relay.follow_size(),
            (Some(Signal::CONT), Some(relay)) => relay.resume(),
            (Some(signal), _) if OF_CALLER.contains(&signal) => {}
            _ => {
                if named.is_some_and(|signal| ENDING.contains(&signal)) {
                    let times =
                        self.to_do.end.filter(|(number, _)| *number == taken.number).map_or(0, |(_, times)| times);
                    self.to_do.end = Some((taken.number, times + 1));
                    // If a tracer keeps the command from handling signals, it would never end.
                    if self.is_fresh && (times >= PASSED_ON || self.plan.is_held(self.pid)) {
                        lxkns_sys::kill_child(self.pid, Signal::KILL.as_raw(), false);
                        self.is_given_up = true;
                        return;
                    }
                }
                self.stops_alone = named == Some(Signal::TSTP) && !taken.is_of_kernel;
                self.pass_on(taken.number, taken.is_of_kernel);
            }
        }
    }

    /// Passes a signal on to the command, or to its process group if the caller's group got it from the terminal.
    fn pass_on(&self, number: i32, is_for_group: bool) {
        // It can have ended but has not been reaped, so no other process has these IDs.
        let is_for_group = is_for_group || number == Signal::CONT.as_raw();
        lxkns_sys::kill_child(self.pid, number, is_for_group);
        // A process inside can have stopped it; a stopped process does not handle the signal.
        if self.is_fresh && ENDING.iter().any(|signal| signal.as_raw() == number) {
            lxkns_sys::kill_child(self.pid, Signal::CONT.as_raw(), is_for_group);
        }
    }

    /// Stops like a shell's job if the command was stopped, unless it has a terminal of its own.
    fn look_whether_stopped(&mut self) {
        let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG;
        let Ok(Some(status)) = self.wait_id(options) else { return };
        let Some(signal) = status.stopping_signal().and_then(Signal::from_named_raw) else { return };
        if self.is_fresh {
            return;
        }
        let wants_terminal = matches!(signal, Signal::TTIN | Signal::TTOU);
        let mut had_terminal = false;
        match &mut self.foreground {
            Some(foreground) => {
                if wants_terminal && foreground.give(self.pid) {
                    return self.pass_on(Signal::CONT.as_raw(), true);
                }
                had_terminal = foreground.has_command();
                foreground.take_back();
            }
            // The caller is not a job of a shell.
            None if signal == Signal::STOP => return,
            None => {}
        }
        let is_alone = std::mem::take(&mut self.stops_alone);
        let is_continued = self.stop(if signal == Signal::STOP { Signal::TSTP } else { signal }, is_alone);
        if let Some(foreground) = &mut self.foreground
            && (had_terminal || wants_terminal)
        {
            foreground.give(self.pid);
        }
        if !is_continued {
            // No process could continue it. The kernel treats orphaned process groups the same way.
            if wants_terminal {
                self.pass_on(Signal::HUP.as_raw(), true);
            }
            if signal == Signal::STOP {
                return;
            }
        }
        self.pass_on(Signal::CONT.as_raw(), true);
    }

    /// Stops the caller, alone or with its job, until it is continued. Returns whether it was stopped: the kernel does
    /// not stop orphaned process groups.
    fn stop(&mut self, signal: Signal, is_alone: bool) -> bool {
        let set = SignalSet::new(&[signal]);
        let _ = if is_alone {
            rustix::process::kill_process(rustix::process::getpid(), signal)
        } else {
            rustix::process::kill_current_process_group(signal)
        };
        let _ = lxkns_sys::sigprocmask(Blocking::Unblock, &set);
        // The caller stops here.
        let _ = lxkns_sys::sigprocmask(Blocking::Block, &set);
        self.take_signals()
    }

    /// Stops the caller, with its terminal in the normal modes. The command continues, and blocks when its output is
    /// not read.
    fn stop_with_terminal(&mut self, signal: Signal, is_alone: bool) {
        if let Some(relay) = &self.relay {
            relay.suspend();
        }
        let is_continued = self.stop(signal, is_alone);
        match &mut self.relay {
            Some(relay) if !is_continued && relay.is_background() => relay.hang_up(),
            Some(relay) => relay.resume(),
            None => {}
        }
    }
}
