//! Copies between the caller's terminal and the command's: all bytes, in order, however slow the readers are.

use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};

use lxkns_core::OWN_DESCRIPTORS;
use rustix::event::{PollFd, PollFlags};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::modes::RawMode;
use super::{Pty, is_foreground};
use crate::buffer::Buffer;
use crate::streams::is_ready;

/// The terminal of the caller's standard streams.
#[derive(Debug)]
pub(crate) struct Caller {
    /// The terminal that is read, if standard input is one.
    pub(super) input: Option<OwnedFd>,
    /// The terminal that is written to.
    pub(super) output: OwnedFd,
    /// Whether reading and writing do not block. They do if the terminal could not be opened again, as after su(1).
    is_nonblocking: bool,
}

impl Caller {
    /// The terminal of the standard streams that are terminals.
    pub(super) fn of_streams(are_terminals: [bool; 3]) -> Result<Option<Self>, Errno> {
        let (stdin, stdout, stderr) = (rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr());
        // The echo of typed input needs a terminal too.
        let Some(output) = [(1, stdout), (2, stderr), (0, stdin)].into_iter().find(|(i, _)| are_terminals[*i]) else {
            return Ok(None);
        };
        let input = are_terminals[0].then_some(stdin);
        let (again, output_again) = (input.map(reopen), reopen(output.1));
        if let (None | Some(Some(_)), Some(output)) = (&again, output_again) {
            let input = again.flatten();
            return Ok(Some(Self { input, output, is_nonblocking: true }));
        }
        let copy = |stream: BorrowedFd<'_>| rustix::io::fcntl_dupfd_cloexec(stream, 3);
        let (input, output) = (input.map(copy).transpose()?, copy(output.1)?);
        Ok(Some(Self { input, output, is_nonblocking: false }))
    }

    /// Whether calls on this descriptor do not block.
    fn is_ready(&self, terminal: &OwnedFd, flags: PollFlags) -> bool {
        self.is_nonblocking || is_ready(terminal, flags)
    }
}

/// Opens a terminal again, so that other processes do not see the change to non-blocking.
fn reopen(terminal: BorrowedFd<'_>) -> Option<OwnedFd> {
    let path = format!("{OWN_DESCRIPTORS}/{}", terminal.as_raw_fd());
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).ok().filter(|reopened| rustix::termios::isatty(reopened))
}

/// Copies in both directions between two terminals.
pub(crate) struct Relay {
    /// `None` after the caller's terminal has hung up, which hangs up the command's.
    pty: Option<Pty>,
    raw: Option<RawMode>,
    /// Input that the caller has typed.
    typed: Buffer,
    /// Output that the command has written.
    written: Buffer,
    is_written_all: bool,
    is_ended: bool,
}

/// The result of copying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Copied {
    /// There is more to do when a descriptor is ready.
    Waiting,
    /// The caller is in the background of its terminal, so input is for another process.
    Background,
}

impl Relay {
    /// Starts copying, and makes the caller's terminal raw if input comes from it.
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

    /// Restores the modes of the caller's terminal while the caller is stopped.
    pub(crate) fn suspend(&self) {
        if let Some(raw) = &self.raw {
            raw.leave();
        }
    }

    /// If the caller is in the foreground, makes its terminal raw again and copies its size to the command's.
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

    /// Adds the descriptors to wait for.
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
        // poll reports a hangup even if no event is requested.
        if !command.is_empty() {
            fds.push(PollFd::new(&pty.ours, command));
        }
    }

    /// Reads and writes once in each direction, without blocking.
    pub(crate) fn copy(&mut self) -> Copied {
        self.copy_written();
        if self.is_ended { Copied::Waiting } else { self.copy_typed() }
    }

    fn read_written(&mut self) {
        let Some(pty) = self.pty.as_ref().filter(|_| !self.is_written_all) else { return };
        match self.written.fill(&pty.ours) {
            Ok(1..) | Err(Errno::AGAIN) => {}
            // No process has the other end open any more.
            Ok(0) | Err(_) => self.is_written_all = true,
        }
    }

    fn copy_written(&mut self) {
        if self.written.is_empty() {
            self.read_written();
        }
        let Some(pty) = &self.pty else { return };
        if !self.written.is_empty() && pty.caller.is_ready(&pty.caller.output, PollFlags::OUT) {
            // A terminal that is writable takes this much without blocking.
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

    /// The caller's terminal has hung up, so close the command's: its foreground process group gets SIGHUP.
    pub(crate) fn hang_up(&mut self) {
        self.pty = None;
        self.written.clear();
    }

    /// Whether all output of the command, which has ended, has been copied. Input from now on is for other processes.
    pub(crate) fn is_done(&mut self) -> bool {
        self.is_ended = true;
        if self.written.is_empty() {
            // All output can be read: a read waits for what the kernel still processes.
            self.read_written();
        }
        self.pty.is_none() || self.written.is_empty()
    }
}
