//! The command's session and terminal.
//!
//! A process that has a terminal open can insert input as if the user typed it (`TIOCSTI`), and read what the user
//! types. So a command that is weaker than its caller gets neither the caller's terminal nor its session. It gets a new
//! session, and a new terminal (a pty) in place of each standard stream that is a terminal; [`relay`] copies between
//! the two. The command's output, including escape sequences, reaches the caller's terminal unchanged, as with `ssh`.
//!
//! A command with all privileges of its caller shares the terminal. It has its own process group, since signals to a
//! process group also reach members in other PID namespaces; [`foreground`] gives it the terminal.
//!
//! The pty is made in the command's devpts if it has one, where it has a name, which `tty`, `ps` and `screen` need;
//! `docker exec` and `lxc-attach` do the same. The container's files are not trusted: the lookup asks no server and
//! follows no links, and only opens the kernel's device on a devpts. The other end comes from the kernel, not from a
//! path. Otherwise the pty is made in the caller's devpts, which works but has no name inside.

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

/// The session of the command.
#[derive(Debug)]
pub(crate) enum Session {
    /// The caller's session and terminal, if it has one.
    Shared(Option<Foreground>),
    /// A new session.
    Fresh(Option<Pty>),
}

/// A command with fewer privileges than its caller.
#[derive(Clone, Debug)]
pub(crate) struct Stranger {
    /// Its root directory; `None`: its mount namespace is the caller's.
    pub(crate) root: Option<SharedFd>,
    /// Its UID in the caller's user namespace, if known.
    pub(crate) user: Option<u32>,
}

impl Session {
    /// The session of a command with all privileges of its caller: the caller's.
    pub(crate) fn shared() -> Self {
        Self::Shared(Foreground::of_caller())
    }

    /// A new session, with a new terminal if one of the caller's standard streams is a terminal.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Failed`](crate::ErrorKind::Failed): no pty could be made.
    pub(crate) fn fresh(of: &Stranger) -> Result<Self, Error> {
        Ok(Self::Fresh(Pty::for_standard_streams(of)?))
    }

    /// What the command does to join it.
    pub(crate) fn launch(&self) -> LaunchSession {
        match self {
            Self::Shared(foreground) => {
                LaunchSession::Group { terminal: foreground.as_ref().and_then(Foreground::given_at_once) }
            }
            Self::Fresh(_) => LaunchSession::New { terminal: self.replaced().first().copied() },
        }
    }

    /// The standard streams that the new terminal replaces.
    pub(crate) fn replaced(&self) -> Vec<i32> {
        match self {
            Self::Fresh(Some(pty)) => pty.replaced(),
            _ => Vec::new(),
        }
    }

    /// Call this before the command starts.
    pub(crate) fn starts(&mut self) {
        if let Self::Shared(Some(foreground)) = self {
            foreground.starts();
        }
    }

    /// The command's standard input, output and error.
    pub(crate) fn streams(&self) -> [BorrowedFd<'_>; 3] {
        let streams = [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()];
        match self {
            Self::Fresh(Some(pty)) => pty.in_place_of(streams),
            _ => streams,
        }
    }
}

/// Whether the caller is in the foreground of its terminal, or its terminal has no job control. `None`: the terminal
/// has hung up.
fn is_foreground(terminal: impl AsFd) -> Option<bool> {
    match lxkns_sys::tcgetpgrp(terminal) {
        Ok(group) => Some(group == lxkns_sys::getpgrp()),
        // It is not the caller's controlling terminal.
        Err(Errno::NOTTY) => Some(true),
        Err(_) => None,
    }
}
