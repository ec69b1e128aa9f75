//! The command's session, and its terminal.
//!
//! Who has a terminal open can type into it as if it were the user (`TIOCSTI`), and read what the user types. So a command
//! that is weaker than its caller gets neither the caller's terminal nor its session: it has a session of its own, and in
//! place of each standard stream that is a terminal a new one (a pty), whose other end is here; [`relay`] copies between
//! the two. What the command writes, escape sequences included, reaches the caller's terminal as it is, as with `ssh`.
//!
//! A command that may do what its caller may shares the terminal. It still has a process group of its own, since signals
//! to a process group reach members in other PID namespaces too; [`foreground`] sees to it that it gets the terminal.
//!
//! The pty is made in the command's own devpts where there is one, so that it has a name there, which `tty`, `ps`, `screen`
//! and the like want; `docker exec` and `lxc-attach` do so too. Nothing is believed of it: it is looked up without asking
//! any server or following a link, and is the device that the kernel has for this purpose, on the kernel's devpts, or is
//! not opened. Its other end comes from the kernel, not by a path. In all other cases it is one of the caller's devpts,
//! which works as well but has no name inside.

pub(crate) mod foreground;
pub(crate) mod modes;
mod pty;
pub(crate) mod relay;

use std::os::fd::{AsFd, BorrowedFd};

use lxkns_sys::{LaunchSession, SharedFd};
use rustix::io::Errno;

pub(crate) use foreground::Foreground;
pub(crate) use pty::Pty;

use crate::error::Error;

/// What the command's session is.
#[derive(Debug)]
pub(crate) enum Session {
    /// The caller's, with the caller's terminal, if there is one.
    Shared(Option<Foreground>),
    /// One of its own.
    Fresh(Option<Pty>),
}

/// A command that may less than its caller.
#[derive(Clone, Debug)]
pub(crate) struct Stranger {
    /// The root directory that it will have. `None`: its mount namespace is the caller's.
    pub(crate) root: Option<SharedFd>,
    /// Its user, as the caller's user namespace numbers it, if that is known.
    pub(crate) user: Option<u32>,
}

impl Session {
    /// The session of a command that may do what its caller may: to share it.
    pub(crate) fn shared() -> Self {
        Self::Shared(Foreground::of_caller())
    }

    /// A session of its own, and a terminal if one of the caller's standard streams is one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Failed`](crate::ErrorKind::Failed): no pty can be made.
    pub(crate) fn fresh(of: &Stranger) -> Result<Self, Error> {
        Ok(Self::Fresh(Pty::for_standard_streams(of)?))
    }

    /// What the command does to be in it.
    pub(crate) fn launch(&self) -> LaunchSession {
        match self {
            Self::Shared(foreground) => {
                LaunchSession::Group { terminal: foreground.as_ref().and_then(Foreground::given_at_once) }
            }
            Self::Fresh(_) => LaunchSession::New { terminal: self.replaced().first().copied() },
        }
    }

    /// Which standard streams are the new terminal.
    pub(crate) fn replaced(&self) -> Vec<i32> {
        match self {
            Self::Fresh(Some(pty)) => pty.replaced(),
            _ => Vec::new(),
        }
    }

    /// To be said before the command starts.
    pub(crate) fn starts(&mut self) {
        if let Self::Shared(Some(foreground)) = self {
            foreground.starts();
        }
    }

    /// What the command has as standard input, output and error.
    pub(crate) fn streams(&self) -> [BorrowedFd<'_>; 3] {
        let streams = [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()];
        match self {
            Self::Fresh(Some(pty)) => pty.in_place_of(streams),
            _ => streams,
        }
    }
}

/// Whether the caller is in the foreground of its terminal, or has one without job control. `None`: the terminal is gone.
fn is_foreground(terminal: impl AsFd) -> Option<bool> {
    match lxkns_sys::tcgetpgrp(terminal) {
        Ok(group) => Some(group == lxkns_sys::getpgrp()),
        // It is not the terminal that controls the caller's session.
        Err(Errno::NOTTY) => Some(true),
        Err(_) => None,
    }
}
