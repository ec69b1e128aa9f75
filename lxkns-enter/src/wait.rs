//! Waits for the command: passes signals on, stops and goes on with it, and tells how it ended.
//!
//! Signals are blocked and read from a descriptor, so that there are no handlers, and nothing is interrupted. All that can
//! be waited for is waited for in one place.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use lxkns_sys::{Blocking, SignalSet, TakenSignal};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus};

use crate::error::Error;
use crate::plan::{Plan, Spawned};
use crate::streams::Streams;
use crate::terminal::relay::{Copied, Relay};
use crate::terminal::{Foreground, Session};

/// Signals that say where the program fails itself: they must do what they do.
const OF_FAILURE: [Signal; 7] =
    [Signal::ABORT, Signal::BUS, Signal::FPE, Signal::ILL, Signal::SEGV, Signal::SYS, Signal::TRAP];

/// Signals by which a user or a program has the caller end.
const ENDING: [Signal; 4] = [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TERM];

/// Signals that tell the caller something about itself, its children or its terminal.
const OF_CALLER: [Signal; 4] = [Signal::PIPE, Signal::TTIN, Signal::TTOU, Signal::URG];

/// How a command has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this exit status.
    Exited(i32),
    /// By this signal.
    Killed(i32),
}

impl Ended {
    /// The exit status that a shell would show: the command's own, or 128 and the number of the signal.
    pub fn code(self) -> u8 {
        match self {
            Self::Exited(status) => status as u8,
            Self::Killed(signal) => 128_u8.wrapping_add(signal as u8),
        }
    }
}

/// The calling thread's signals, blocked until this is dropped. To be made before there is a child: none is lost.
#[derive(Debug)]
pub(crate) struct Signals {
    fd: OwnedFd,
    /// Those of them that are to end the caller.
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

    /// There is something to be read when one has come that is to end the caller.
    pub(crate) fn interrupts(&self) -> BorrowedFd<'_> {
        self.ending.as_fd()
    }

    /// What it comes to if one has.
    pub(crate) fn interrupted(&self) -> Option<Ended> {
        lxkns_sys::read_signal(&self.ending).ok().map(|signal| Ended::Killed(signal.number))
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        let _ = lxkns_sys::sigprocmask(Blocking::Set, &self.before);
    }
}

/// Waits until the command has ended, and all that it has written to its terminal has been passed on.
///
/// # Errors
///
/// [`ErrorKind::Failed`](crate::ErrorKind::Failed): the caller's terminal cannot be used, or somebody else has waited for
/// the command.
pub(crate) fn wait(
    plan: &Plan,
    command: &Spawned,
    session: Session,
    streams: Streams,
    signals: &Signals,
) -> Result<Ended, Error> {
    let refused = |errno| Error::call("wait for the command", errno);
    let pid = Pid::from_raw(command.pid.cast_signed()).ok_or_else(|| refused(Errno::CHILD))?;
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
            // The modes of the terminal are somebody else's until it is our turn.
            waiter.stop(Signal::TTOU, false);
        }
        let relay = Relay::new(pty);
        let relay = relay.map_err(|errno| Error::call("set the modes of the terminal that is standard input", errno));
        waiter.relay = Some(relay?);
    }
    waiter.run().map_err(refused)?;
    waiter.drain().map_err(refused)?;
    let ended = waiter.ended().map_err(refused)?;
    waiter.streams.end()?;
    Ok(ended)
}

struct Waiter<'a> {
    plan: &'a Plan,
    pid: Pid,
    /// Where the kernel has none, the signal for the end of a child has to do.
    pidfd: Option<&'a OwnedFd>,
    signals: &'a Signals,
    foreground: Option<Foreground>,
    relay: Option<Relay>,
    streams: Streams,
    is_fresh: bool,
    /// Whether it has ended, and cannot be waited for: somebody traces it.
    is_out_of_hand: bool,
    /// Whether it has been killed, so that nobody waits for its end any more, whoever holds it.
    is_given_up: bool,
    /// Whether the command is stopped because the caller alone was asked to stop, and not its job.
    stops_alone: bool,
    to_do: ToDo,
}

/// What signals have come that are not passed on.
#[derive(Default)]
struct ToDo {
    /// A child has stopped, continued or ended.
    look_at_child: bool,
    /// The caller itself is asked to stop.
    stop: bool,
    /// The signal that the caller itself is asked to end by, and how often in a row.
    end: Option<(i32, u32)>,
}

/// As often as this the same signal is passed on; the next time, the command is killed.
const PASSED_ON: u32 = 3;

impl Waiter<'_> {
    /// Until the command has ended.
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
                // From a terminal, the others of its job have got it too.
                self.stop_with_terminal(Signal::TSTP, true);
            }
            self.streams.copy();
            if let Some(relay) = &mut self.relay
                && relay.copy() == Copied::Background
            {
                self.stop_with_terminal(Signal::TTIN, false);
            }
            // Whoever traces it can keep its end from us for as long as that one likes.
            if has_ended || self.is_given_up || self.is_out_of_hand && self.to_do.end.is_some() {
                return Ok(());
            }
        }
    }

    /// Until the caller has all that the command has written. Who wants the caller to end then need not wait for that.
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

    /// Waits until there is something to do, and says whether the pidfd tells that the command has ended, if that is of
    /// interest.
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
        let now_and_then = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        let wait = Some(&now_and_then).filter(|_| self.is_out_of_hand);
        rustix::io::retry_on_intr(|| rustix::event::poll(&mut fds, wait))?;
        Ok(pidfd.is_some() && !fds[1].revents().is_empty())
    }

    /// It is waited for later: until then its number is nobody else's.
    fn has_ended(&self) -> Result<bool, Errno> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        Ok(self.wait_id(options)?.is_some())
    }

    fn ended(&mut self) -> Result<Ended, Errno> {
        let options = WaitIdOptions::EXITED;
        let is_held = self.is_out_of_hand || self.is_given_up;
        let status = self.wait_id(if is_held { options | WaitIdOptions::NOHANG } else { options })?;
        if let Some(foreground) = &mut self.foreground {
            foreground.take_back();
        }
        let Some(status) = status else {
            return self.to_do.end.map(|(number, _)| Ended::Killed(number)).ok_or(Errno::CHILD);
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

    /// Takes all signals that have come. Says whether the caller has been continued.
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
                    // Where somebody keeps it from taking signals, it would never end.
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

    /// Passes a signal on: to the command, or to its process group where the caller's has got it from the terminal.
    fn pass_on(&self, number: i32, is_for_group: bool) {
        // It may have ended, and it is not waited for yet: neither number is anybody else's.
        let is_for_group = is_for_group || number == Signal::CONT.as_raw();
        lxkns_sys::kill_child(self.pid, number, is_for_group);
        // Who is inside may have stopped it, so that it would not notice.
        if self.is_fresh && ENDING.iter().any(|signal| signal.as_raw() == number) {
            lxkns_sys::kill_child(self.pid, Signal::CONT.as_raw(), is_for_group);
        }
    }

    /// Stops, as a job of a shell does, where the command has been stopped. Where it has a terminal of its own, that is
    /// between it and who stopped it.
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
            // There is nothing that a shell could do with a job.
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
            // There is nobody who could continue it. The kernel does the same to process groups that lose their last
            // relation to the rest of the session.
            if wants_terminal {
                self.pass_on(Signal::HUP.as_raw(), true);
            }
            if signal == Signal::STOP {
                return;
            }
        }
        self.pass_on(Signal::CONT.as_raw(), true);
    }

    /// Stops the caller, alone or with the job that it is part of, until it is continued. Says whether it was: the kernel
    /// stops no process group that nobody could continue.
    fn stop(&mut self, signal: Signal, is_alone: bool) -> bool {
        let set = SignalSet::new(&[signal]);
        let _ = if is_alone {
            rustix::process::kill_process(rustix::process::getpid(), signal)
        } else {
            rustix::process::kill_current_process_group(signal)
        };
        let _ = lxkns_sys::sigprocmask(Blocking::Unblock, &set);
        // Here it stops.
        let _ = lxkns_sys::sigprocmask(Blocking::Block, &set);
        self.take_signals()
    }

    /// Stops the caller, whose terminal is not raw meanwhile. The command goes on, and waits when nobody reads what it
    /// writes.
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
