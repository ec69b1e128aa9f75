//! A new terminal for the command.

use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use lxkns_core::OWN_DESCRIPTORS;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::process::Uid;
use rustix::pty::OpenptFlags;
use rustix::termios::OutputModes;

use super::relay::Caller;
use super::{Stranger, is_foreground};
use crate::error::Error;

/// The type of devpts (`statfs(2)`).
const DEVPTS_SUPER_MAGIC: u64 = 0x1cd1;
/// The device number of `ptmx`, which makes ptys.
const PTMX: (u32, u32) = (5, 2);

/// A new terminal with both ends.
#[derive(Debug)]
pub(crate) struct Pty {
    /// The caller's end, which does not block.
    pub(crate) ours: OwnedFd,
    /// The command's end. The caller keeps it open, so the command can close all its copies and open its terminal
    /// again.
    theirs: OwnedFd,
    /// The standard streams that it replaces.
    replaces: [bool; 3],
    /// The caller's terminal.
    pub(crate) caller: Caller,
}

impl Pty {
    /// A new terminal that replaces all standard streams that are terminals. `None` if there are none.
    pub(super) fn for_standard_streams(of: &Stranger) -> Result<Option<Self>, Error> {
        let is_terminal = |stream: BorrowedFd<'_>| rustix::termios::isatty(stream);
        let (stdin, stdout, stderr) = (rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr());
        let replaces = [stdin, stdout, stderr].map(is_terminal);
        let Some(caller) = Caller::of_streams(replaces)
            .map_err(|errno| Error::call("open the terminal that is a standard stream", errno))?
        else {
            return Ok(None);
        };
        let pty = Self::make(of, replaces, caller);
        pty.map(Some).map_err(|errno| {
            let operation = "make a terminal for the command, which must not have the caller's (/dev/ptmx)";
            Error::call(operation, errno)
        })
    }

    fn make(of: &Stranger, replaces: [bool; 3], caller: Caller) -> Result<Self, Errno> {
        let inside = of.root.as_ref().and_then(|root| open_both(open_ptmx_below(root.as_fd())?).ok());
        let (ours, theirs) = match inside {
            Some(both) => both,
            None => {
                let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
                let ours = rustix::pty::openpt(flags)?;
                rustix::io::ioctl_fionbio(&ours, true)?;
                open_both(ours)?
            }
        };
        // The command's user can then open it by name. If that is denied, the descriptor still works.
        if let Some(user) = of.user {
            let _ = rustix::fs::fchown(&theirs, Some(Uid::from_raw(user)), None);
        }
        if let Ok(mut modes) = rustix::termios::tcgetattr(&caller.output) {
            if caller.input.is_none() {
                // The caller's terminal processes the output already.
                modes.output_modes.remove(OutputModes::OPOST);
            }
            rustix::termios::tcsetattr(&theirs, rustix::termios::OptionalActions::Now, &modes)?;
        }
        let pty = Self { ours, theirs, replaces, caller };
        pty.follow_size();
        Ok(pty)
    }

    /// Whether the caller could type, but is not in the foreground of its terminal.
    pub(crate) fn is_background(&self) -> bool {
        self.caller.input.as_ref().is_some_and(|input| is_foreground(input) == Some(false))
    }

    /// Gives it the size of the caller's terminal. The kernel tells the command if the size has changed.
    pub(crate) fn follow_size(&self) {
        if let Ok(size) = rustix::termios::tcgetwinsize(&self.caller.output) {
            let _ = rustix::termios::tcsetwinsize(&self.ours, size);
        }
    }

    /// The numbers of the standard streams that it replaces.
    pub(super) fn replaced(&self) -> Vec<i32> {
        (0..).zip(self.replaces).filter(|(_, is_replaced)| *is_replaced).map(|(number, _)| number).collect()
    }

    /// The standard streams, with the new terminal in place of those that are terminals.
    pub(super) fn in_place_of<'a>(&'a self, mut streams: [BorrowedFd<'a>; 3]) -> [BorrowedFd<'a>; 3] {
        for (stream, _) in streams.iter_mut().zip(self.replaces).filter(|(_, is_replaced)| *is_replaced) {
            *stream = self.theirs.as_fd();
        }
        streams
    }
}

/// Opens the other end of a pty.
fn open_both(ours: OwnedFd) -> Result<(OwnedFd, OwnedFd), Errno> {
    rustix::pty::unlockpt(&ours)?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let theirs = rustix::pty::ioctl_tiocgptpeer(&ours, flags)?;
    Ok((ours, theirs))
}

/// Makes a pty in the devpts on `dev/pts` below this directory. Opens a file only after it is known to be the kernel's.
fn open_ptmx_below(root: BorrowedFd<'_>) -> Option<OwnedFd> {
    // devpts and the tmpfs that it is usually mounted on are always in the cache; a file system with a server could
    // hang.
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let found = lxkns_sys::open_cached(root, "dev/pts/ptmx", OFlags::NOFOLLOW, resolve).ok()?;
    if !is_ptmx_of_devpts(&found) {
        return None;
    }
    let path = format!("{OWN_DESCRIPTORS}/{}", found.as_raw_fd());
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).ok()
}

fn is_ptmx_of_devpts(file: impl AsFd) -> bool {
    let is_devpts = rustix::fs::fstatfs(&file).is_ok_and(|stat| stat.f_type as u64 == DEVPTS_SUPER_MAGIC);
    is_devpts
        && rustix::fs::fstat(&file).is_ok_and(|stat| {
            let device = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
            FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && device == PTMX
        })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn nothing_but_the_device_on_devpts_is_opened() {
        let directory = tempfile::tempdir().unwrap();
        let root = || fs::File::open(directory.path()).unwrap();
        let pts = directory.path().join("dev/pts");
        assert!(open_ptmx_below(root().as_fd()).is_none(), "nothing is there");
        fs::create_dir_all(&pts).unwrap();
        fs::write(pts.join("ptmx"), b"").unwrap();
        assert!(open_ptmx_below(root().as_fd()).is_none(), "a file");
        fs::remove_file(pts.join("ptmx")).unwrap();
        // Opening a FIFO would wait for a writer.
        rustix::fs::mknodat(rustix::fs::CWD, pts.join("ptmx"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert!(open_ptmx_below(root().as_fd()).is_none(), "a FIFO");
        fs::remove_file(pts.join("ptmx")).unwrap();
        std::os::unix::fs::symlink("/dev/ptmx", pts.join("ptmx")).unwrap();
        assert!(open_ptmx_below(root().as_fd()).is_none(), "a link");
        fs::remove_dir_all(&pts).unwrap();
        std::os::unix::fs::symlink("/dev/pts", &pts).unwrap();
        assert!(open_ptmx_below(root().as_fd()).is_none(), "a link on the way");
        assert!(!is_ptmx_of_devpts(fs::File::open("/dev/null").unwrap()));
    }

    #[test]
    fn a_pty_of_a_devpts_below_is_one() {
        let Some(ours) = open_ptmx_below(fs::File::open("/").unwrap().as_fd()) else {
            assert!(!std::path::Path::new("/dev/pts/ptmx").exists() || !rustix::process::geteuid().is_root());
            return;
        };
        let (ours, theirs) = open_both(ours).unwrap();
        rustix::io::write(&theirs, b"x").unwrap();
        let mut byte = [0];
        assert_eq!((rustix::io::read(&ours, &mut byte), byte), (Ok(1), *b"x"));
    }
}
