//! A terminal with somebody at it: the test, which types and reads.

use std::cell::RefCell;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::pty::OpenptFlags;
use rustix::termios::{Termios, Winsize};

/// How long something expected may take. Only a defect takes longer.
const LIMIT: Timespec = Timespec { tv_sec: 60, tv_nsec: 0 };

pub(super) struct Terminal {
    ours: OwnedFd,
    theirs: File,
    /// What has been read and not yet been looked for.
    seen: RefCell<Vec<u8>>,
}

impl Terminal {
    pub(super) fn new() -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let ours = rustix::pty::openpt(flags).unwrap();
        rustix::pty::unlockpt(&ours).unwrap();
        let theirs = File::from(rustix::pty::ioctl_tiocgptpeer(&ours, flags).unwrap());
        let terminal = Self { ours, theirs, seen: RefCell::default() };
        terminal.resize(33, 77);
        terminal
    }

    /// The end that programs have.
    pub(super) fn theirs(&self) -> &File {
        &self.theirs
    }

    pub(super) fn resize(&self, rows: u16, columns: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&self.ours, size).unwrap();
    }

    pub(super) fn modes(&self) -> Termios {
        rustix::termios::tcgetattr(&self.theirs).unwrap()
    }

    pub(super) fn type_in(&self, text: &str) {
        assert_eq!(rustix::io::write(&self.ours, text.as_bytes()), Ok(text.len()));
    }

    fn stream(&self) -> Stdio {
        self.theirs.try_clone().unwrap().into()
    }

    /// Starts a program as the leader of a session that this terminal controls, with all standard streams there.
    pub(super) fn start(&self, command: &Command) -> Child {
        self.start_with(command, self.stream())
    }

    /// The same, with another standard input: the terminal is only for output then.
    pub(super) fn start_with(&self, command: &Command, stdin: Stdio) -> Child {
        let mut leader = Command::new("setsid");
        // It makes standard input the terminal that controls the session.
        leader.arg("--ctty").arg(command.get_program()).args(command.get_args());
        leader.stdin(stdin).stdout(self.stream()).stderr(self.stream()).spawn().unwrap()
    }

    /// Starts a program that has all its standard streams here, in the session and process group of the test.
    pub(super) fn start_here(&self, command: &mut Command) -> Child {
        command.stdin(self.stream()).stdout(self.stream()).stderr(self.stream()).spawn().unwrap()
    }

    /// Reads until this text has come, and returns all up to its end.
    #[track_caller]
    pub(super) fn until(&self, text: &str) -> String {
        let mut seen = self.seen.borrow_mut();
        loop {
            if let Some(at) = find(&seen, text.as_bytes()) {
                let rest = seen.split_off(at + text.len());
                return String::from_utf8_lossy(&std::mem::replace(&mut *seen, rest)).into_owned();
            }
            let count = self.read(&mut seen);
            assert!(count > 0, "{text:?} has not come: {:?}", String::from_utf8_lossy(&seen));
        }
    }

    /// All that has come and is still to be read.
    pub(super) fn rest(&self) -> Vec<u8> {
        let mut seen = self.seen.borrow_mut();
        while self.is_readable(&self.ours, Timespec { tv_sec: 0, tv_nsec: 0 }) && self.read(&mut seen) > 0 {}
        std::mem::take(&mut seen)
    }

    /// Whether there is something for a program to read: it has been typed, or as if.
    pub(super) fn has_input(&self) -> bool {
        self.is_readable(&self.theirs, Timespec { tv_sec: 0, tv_nsec: 0 })
    }

    fn read(&self, to: &mut Vec<u8>) -> usize {
        if !self.is_readable(&self.ours, LIMIT) {
            return 0;
        }
        let mut bytes = [0; 4096];
        let count = rustix::io::read(&self.ours, &mut bytes).unwrap_or(0);
        to.extend_from_slice(&bytes[..count]);
        count
    }

    fn is_readable(&self, end: impl std::os::fd::AsFd, limit: Timespec) -> bool {
        let mut fds = [PollFd::new(&end, PollFlags::IN)];
        matches!(rustix::io::retry_on_intr(|| rustix::event::poll(&mut fds, Some(&limit))), Ok(1..))
    }
}

/// Ends a program that a test could not end by what it did.
pub(super) struct Killed(pub(super) Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Killed {
    pub(super) fn code(&mut self) -> Option<i32> {
        self.0.wait().unwrap().code()
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}
