//! The foreground process group of a terminal that the command shares.

use std::sync::Arc;

use lxkns_sys::SharedFd;
use rustix::fs::{Mode, OFlags};
use rustix::process::Pid;

use super::is_foreground;

/// The terminal of the caller's session. Block SIGTTOU while using it.
#[derive(Debug)]
pub(crate) struct Foreground {
    terminal: SharedFd,
    is_given_at_once: bool,
    is_given: bool,
}

impl Foreground {
    /// Opens the terminal of the caller's session, if it has one.
    pub(super) fn of_caller() -> Option<Self> {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let terminal = rustix::fs::open("/dev/tty", flags, Mode::empty()).ok()?;
        // If the caller does not lead its process group, as in a script, or is part of a pipeline, other processes of
        // the job can need the terminal too (a pager), or the user's Ctrl-C. The command then gets the terminal only
        // when the kernel stops it for using the terminal.
        let is_whole_job = lxkns_sys::getpgrp() == rustix::process::getpid().as_raw_pid() as u32
            && rustix::termios::isatty(rustix::stdio::stdin())
            && rustix::termios::isatty(rustix::stdio::stdout());
        let is_given_at_once = is_whole_job && is_foreground(&terminal) == Some(true);
        Some(Self { terminal: Arc::new(terminal), is_given_at_once, is_given: false })
    }

    /// The terminal, if the command takes it at its start.
    pub(super) fn given_at_once(&self) -> Option<SharedFd> {
        self.is_given_at_once.then(|| Arc::clone(&self.terminal))
    }

    /// Records that the command is about to start, so the caller takes the terminal back even if the start fails.
    pub(crate) fn starts(&mut self) {
        self.is_given = self.is_given_at_once;
    }

    /// Gives the terminal to the command's process group, if the caller has it. Returns whether the command has it.
    pub(crate) fn give(&mut self, group: Pid) -> bool {
        // A process group without an ID here could not be restored.
        if is_foreground(&self.terminal) == Some(true) && lxkns_sys::getpgrp() != 0 {
            self.is_given = rustix::termios::tcsetpgrp(&self.terminal, group).is_ok();
        }
        self.is_given
    }

    /// Whether the command has the terminal.
    pub(crate) fn has_command(&self) -> bool {
        self.is_given
    }

    /// Takes the terminal back if the command has it, or another process group that the command gave it to.
    pub(crate) fn take_back(&mut self) {
        if std::mem::take(&mut self.is_given) {
            let own = Pid::from_raw(lxkns_sys::getpgrp() as i32);
            let _ = own.map(|own| rustix::termios::tcsetpgrp(&self.terminal, own));
        }
    }
}

impl Drop for Foreground {
    fn drop(&mut self) {
        self.take_back();
    }
}
