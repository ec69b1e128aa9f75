//! Copies between the caller's terminal and the command's: all bytes, in order, however slow the readers are.

use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::modes::RawMode;
use super::{Pty, is_foreground};
use crate::buffer::Buffer;

/// The terminal of the caller's standard streams.
#[derive(Debug)]
pub(crate) struct Caller {
    /// Where the caller types, if standard input is a terminal.
    pub(super) input: Option<OwnedFd>,
    /// Where the caller reads.
    pub(super) output: OwnedFd,
    /// Whether reading and writing return at once: not where the terminal could not be opened once more, as after su(1).
    is_nonblocking: bool,
}

impl Caller {
    /// That of those standard streams that are terminals.
    pub(super) fn of_streams(are_terminals: [bool; 3]) -> Result<Option<Self>, Errno> {
        let (stdin, stdout, stderr) = (rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr());
        // The echo of what is typed has to go somewhere too.
        let Some(output) = [(1, stdout), (2, stderr), (0, stdin)].into_iter().find(|(i, _)| are_terminals[*i]) else {
            return Ok(None);
        };
        let input = are_terminals[0].then_some(stdin);
        let reopened = input.map(reopen).transpose().and_then(|input| Ok((input, reopen(output.1)?)));
        if let Ok((input, output)) = reopened {
            return Ok(Some(Self { input, output, is_nonblocking: true }));
        }
        let copy = |stream: BorrowedFd<'_>| rustix::io::fcntl_dupfd_cloexec(stream, 3);
        let (input, output) = (input.map(copy).transpose()?, copy(output.1)?);
        Ok(Some(Self { input, output, is_nonblocking: false }))
    }

    /// Whether a call on this descriptor returns at once.
    fn is_ready(&self, terminal: &OwnedFd, flags: PollFlags) -> bool {
        const NO_TIME: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
        self.is_nonblocking
            || matches!(rustix::event::poll(&mut [PollFd::new(terminal, flags)], Some(&NO_TIME)), Ok(1..))
    }
}

/// A terminal, opened once more: whether it blocks is then nobody else's business.
fn reopen(terminal: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let path = format!("/proc/self/fd/{}", terminal.as_raw_fd());
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let reopened = rustix::fs::open(path, flags, Mode::empty())?;
    if rustix::termios::isatty(&reopened) { Ok(reopened) } else { Err(Errno::NOTTY) }
}

/// Both directions between two terminals.
pub(crate) struct Relay {
    /// Gone with the caller's terminal: that hangs up the command's.
    pty: Option<Pty>,
    raw: Option<RawMode>,
    /// What the caller has typed.
    typed: Buffer,
    /// What the command has written.
    written: Buffer,
    is_written_all: bool,
    is_ended: bool,
}

/// What copying has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Copied {
    /// There is more to do when somebody is ready.
    Waiting,
    /// The caller is not in the foreground of its terminal, and what is typed there is meant for another.
    Background,
}

impl Relay {
    /// Begins: the caller's terminal is raw from here on, if it is where the caller types.
    pub(crate) fn new(pty: Pty) -> Result<Self, Errno> {
        let is_for_output = rustix::termios::isatty(rustix::stdio::stdout());
        let raw = pty.caller.input.as_ref().map(|input| RawMode::new(input, is_for_output)).transpose()?;
        pty.follow_size();
        let (typed, written) = (Buffer::new(), Buffer::new());
        Ok(Self { pty: Some(pty), raw, typed, written, is_written_all: false, is_ended: false })
    }

    /// Whether the caller could type, but is not in the foreground.
    pub(crate) fn is_background(&self) -> bool {
        self.pty.as_ref().is_some_and(Pty::is_background)
    }

    /// Gives the caller's terminal its own modes, while the caller is stopped.
    pub(crate) fn suspend(&self) {
        if let Some(raw) = &self.raw {
            raw.leave();
        }
    }

    /// Makes the caller's terminal raw again, and the command's as large, if that is in the foreground.
    pub(crate) fn resume(&self) {
        if let Some(raw) = self.raw.as_ref().filter(|_| !self.is_background()) {
            let _ = raw.enter();
        }
        self.follow_size();
    }

    pub(crate) fn follow_size(&self) {
        if let Some(pty) = &self.pty {
            pty.follow_size();
        }
    }

    /// Adds what is waited for.
    pub(crate) fn interests<'a>(&'a self, fds: &mut Vec<PollFd<'a>>) {
        let Some(pty) = &self.pty else { return };
        let mut command = PollFlags::empty();
        if !self.written.is_empty() {
            fds.push(PollFd::new(&pty.caller.output, PollFlags::OUT));
        } else if !self.is_written_all {
            command |= PollFlags::IN;
        }
        if !self.typed.is_empty() {
            command |= PollFlags::OUT;
        } else if let Some(input) = pty.caller.input.as_ref().filter(|_| !self.is_ended) {
            fds.push(PollFd::new(input, PollFlags::IN));
        }
        // It is told that the other end is closed whether it asks or not.
        if !command.is_empty() {
            fds.push(PollFd::new(&pty.ours, command));
        }
    }

    /// Reads and writes once in each direction, as far as that is possible at once.
    pub(crate) fn copy(&mut self) -> Copied {
        self.copy_written();
        if self.is_ended { Copied::Waiting } else { self.copy_typed() }
    }

    fn read_written(&mut self) {
        let Some(pty) = self.pty.as_ref().filter(|_| !self.is_written_all) else { return };
        match self.written.fill(&pty.ours) {
            Ok(1..) | Err(Errno::AGAIN) => {}
            // Nobody has the other end any more.
            Ok(0) | Err(_) => self.is_written_all = true,
        }
    }

    fn copy_written(&mut self) {
        if self.written.is_empty() {
            self.read_written();
        }
        let Some(pty) = &self.pty else { return };
        if !self.written.is_empty() && pty.caller.is_ready(&pty.caller.output, PollFlags::OUT) {
            // So much a terminal takes at once when it says that it takes something.
            let limit = if pty.caller.is_nonblocking { usize::MAX } else { 128 };
            if self.written.empty(&pty.caller.output, limit).is_err() {
                self.hang_up();
            }
        }
    }

    fn copy_typed(&mut self) -> Copied {
        let Some(pty) = &self.pty else { return Copied::Waiting };
        if let Some(input) = pty.caller.input.as_ref().filter(|_| self.typed.is_empty())
            && pty.caller.is_ready(input, PollFlags::IN)
        {
            if is_foreground(input) == Some(false) {
                return Copied::Background;
            }
            match self.typed.fill(input) {
                Ok(1..) | Err(Errno::AGAIN) => {}
                Ok(0) | Err(_) => {
                    self.hang_up();
                    return Copied::Waiting;
                }
            }
        }
        let Some(pty) = &self.pty else { return Copied::Waiting };
        if !self.typed.is_empty() && self.typed.empty(&pty.ours, usize::MAX).is_err() {
            self.typed.clear();
        }
        Copied::Waiting
    }

    /// The caller's terminal is gone, so the command's goes too: who is in its foreground gets SIGHUP.
    pub(crate) fn hang_up(&mut self) {
        self.pty = None;
        self.written.clear();
    }

    /// Whether the caller has all that the command, which has ended, has written. What is typed from now on is for others.
    pub(crate) fn is_done(&mut self) -> bool {
        self.is_ended = true;
        if self.written.is_empty() {
            // All that was written is there to be read: reading waits for what the kernel still has in hand.
            self.read_written();
        }
        self.pty.is_none() || self.written.is_empty()
    }
}
