//! Directories of a procfs: each is opened once, and everything is read below it.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::PollFlags;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RawDir, SeekFrom, Statx, StatxFlags};
use rustix::io::Errno;
use rustix::path::Arg;

use crate::failure::Failure;
use crate::model::Cause;

/// The largest procfs file that is read, in bytes: more than the largest mount list that the kernel allows by default
/// (`fs.mount-max`).
const LARGEST_FILE: usize = 256 << 20;

/// An open directory of a procfs: `/proc/PID`, `/proc/PID/task/TID`, ... All reads below one directory are about the
/// same process or task. After it has ended, they fail with `ESRCH` or `ENOENT`, even if another one has its number.
#[derive(Debug)]
pub(crate) struct ProcDir(OwnedFd);

impl AsFd for ProcDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<OwnedFd> for ProcDir {
    fn from(directory: OwnedFd) -> Self {
        Self(directory)
    }
}

impl From<ProcDir> for OwnedFd {
    fn from(directory: ProcDir) -> Self {
        directory.0
    }
}

impl ProcDir {
    /// Opens a directory below `parent` with `O_PATH`.
    pub(crate) fn open(parent: impl AsFd, path: impl Arg) -> Result<Self, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat(parent, path, flags, Mode::empty()).map(Self)
    }

    /// Opens the procfs itself.
    pub(crate) fn open_root(path: impl Arg) -> Result<Self, Errno> {
        Self::open(CWD, path)
    }

    /// Another descriptor on the same directory.
    pub(crate) fn try_clone(&self) -> Result<Self, Errno> {
        rustix::io::fcntl_dupfd_cloexec(&self.0, 3).map(Self)
    }

    /// Reads a file below into `buffer`, replacing what was there.
    pub(crate) fn read<'a>(&self, path: impl Arg, buffer: &'a mut Vec<u8>) -> Result<&'a [u8], Errno> {
        self.read_at_most(path, buffer, LARGEST_FILE)
    }

    /// Reads a list of mounts below, which the kernel gives in chunks. If the list changed meanwhile, as poll tells,
    /// reads it again a few times, so it has no mount twice and misses none. An error if it exceeds the limit, as a
    /// part would look like the whole.
    pub(crate) fn read_watched<'a>(&self, path: impl Arg, buffer: &'a mut Vec<u8>) -> Result<&'a [u8], Failure> {
        self.read_watched_below(path, buffer, LARGEST_FILE)
    }

    fn read_watched_below<'a>(
        &self,
        path: impl Arg,
        buffer: &'a mut Vec<u8>,
        limit: usize,
    ) -> Result<&'a [u8], Failure> {
        const TRIES: usize = 4;
        let file = rustix::fs::openat(&self.0, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        for _ in 0..TRIES {
            rustix::fs::seek(&file, SeekFrom::Start(0))?;
            lxkns_sys::read_to_end(&file, buffer, limit)?;
            if buffer.len() >= limit {
                return Err(Cause::Cut.into());
            }
            let changes = lxkns_sys::poll_now(&file, PollFlags::PRI);
            if !changes.is_ok_and(|changes| changes.intersects(PollFlags::PRI | PollFlags::ERR)) {
                break;
            }
        }
        Ok(buffer)
    }

    /// Reads a file below that the kernel gives in one chunk if the buffer is large enough, such as `stat` and
    /// `status`.
    pub(crate) fn read_record<'a>(&self, path: impl Arg, buffer: &'a mut Vec<u8>) -> Result<&'a [u8], Errno> {
        /// More than any of them has, except `status` of a process in a great many groups.
        const ROOM: usize = 8192;
        let file = rustix::fs::openat(&self.0, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        buffer.clear();
        loop {
            buffer.reserve(ROOM);
            let room = buffer.capacity() - buffer.len();
            if read_once(&file, buffer)? < room {
                return Ok(buffer);
            }
        }
    }

    /// Reads at most `limit` bytes of a file below that the kernel gives in one chunk.
    pub(crate) fn read_start<'a>(
        &self,
        path: impl Arg,
        buffer: &'a mut Vec<u8>,
        limit: usize,
    ) -> Result<&'a [u8], Errno> {
        let file = rustix::fs::openat(&self.0, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        buffer.clear();
        buffer.reserve(limit);
        read_once(&file, buffer)?;
        buffer.truncate(limit);
        Ok(buffer)
    }

    /// Reads at most `limit` bytes of a file below into `buffer`, replacing what was there.
    pub(crate) fn read_at_most<'a>(
        &self,
        path: impl Arg,
        buffer: &'a mut Vec<u8>,
        limit: usize,
    ) -> Result<&'a [u8], Errno> {
        let file = rustix::fs::openat(&self.0, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        lxkns_sys::read_to_end(&file, buffer, limit)?;
        Ok(buffer)
    }

    /// The text of a link below. An empty one counts as denied: Linux 5.10 gives that where access is denied.
    pub(crate) fn link<'a>(&self, path: impl Arg, buffer: &'a mut [u8]) -> Result<&'a [u8], Failure> {
        link(&self.0, path, buffer)
    }

    /// Facts about the file at a path below, through links. Never waits for the server of a file system, never triggers
    /// an automount.
    pub(crate) fn stat(&self, path: impl Arg, mask: StatxFlags) -> Result<Statx, Errno> {
        rustix::fs::statx(&self.0, path, AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT, mask)
    }

    /// The same of a link itself.
    pub(crate) fn stat_link(&self, path: impl Arg, mask: StatxFlags) -> Result<Statx, Errno> {
        let flags = AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT | AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::statx(&self.0, path, flags, mask)
    }

    /// The numbers among the names in a directory below, in the kernel's order, which is ascending.
    pub(crate) fn numbers(&self, path: impl Arg) -> Result<Vec<u32>, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        numeric_names(rustix::fs::openat(&self.0, path, flags, Mode::empty())?)
    }
}

/// Reads once into the room that the buffer has, and returns how much.
fn read_once(file: &OwnedFd, buffer: &mut Vec<u8>) -> Result<usize, Errno> {
    rustix::io::retry_on_intr(|| rustix::io::read(file, rustix::buffer::spare_capacity(buffer)))
}

/// The text of a link in a directory, as [`ProcDir::link`].
pub(crate) fn link(dir: impl AsFd, path: impl Arg, buffer: &mut [u8]) -> Result<&[u8], Failure> {
    match rustix::fs::readlinkat_raw(dir, path, &mut *buffer)? {
        0 => Err(Cause::Denied.into()),
        length => Ok(&buffer[..length]),
    }
}

/// The numbers among the names in an open directory.
pub(crate) fn numeric_names(directory: impl AsFd) -> Result<Vec<u32>, Errno> {
    let mut numbers = Vec::new();
    let done = for_each_number(directory, |_, number| {
        numbers.push(number);
        ControlFlow::Continue(())
    });
    done.map(|()| numbers)
}

/// Calls `visit` for each name in an open directory that is a number, until it asks to stop.
pub(crate) fn for_each_number(
    directory: impl AsFd,
    mut visit: impl FnMut(&CStr, u32) -> ControlFlow<()>,
) -> Result<(), Errno> {
    let mut buffer = [MaybeUninit::uninit(); 16 * 1024];
    let mut entries = RawDir::new(directory, &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        if decimal(name.to_bytes()).is_some_and(|number| visit(name, number).is_break()) {
            break;
        }
    }
    Ok(())
}

/// The number that a name is, if it is one.
fn decimal(name: &[u8]) -> Option<u32> {
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| u32::from(byte - b'0'));
    if name.is_empty() {
        return None;
    }
    name.iter().try_fold(0_u32, |number, byte| number.checked_mul(10)?.checked_add(digit(byte)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_numbers_count() {
        assert_eq!(decimal(b"0"), Some(0));
        assert_eq!(decimal(b"4194304"), Some(4_194_304));
        assert_eq!(decimal(b"4294967296"), None);
        assert_eq!(decimal(b""), None);
        assert_eq!(decimal(b"12a"), None);
        assert_eq!(decimal(b"self"), None);
    }

    #[test]
    fn reading_stops_at_the_limit() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("file"), vec![b'x'; 10_000]).unwrap();
        let directory = ProcDir::open_root(directory.path()).unwrap();
        let mut buffer = vec![1, 2, 3];
        assert_eq!(directory.read_at_most("file", &mut buffer, 100).unwrap().len(), 100);
        assert_eq!(directory.read_start("file", &mut buffer, 100).unwrap(), vec![b'x'; 100]);
        assert_eq!(directory.read("file", &mut buffer).unwrap(), vec![b'x'; 10_000]);
        assert_eq!(directory.read_start("file", &mut buffer, 10_001).unwrap().len(), 10_000);
        assert_eq!(directory.read_watched_below("file", &mut buffer, 10_001).unwrap().len(), 10_000);
        assert_eq!(directory.read_watched_below("file", &mut buffer, 10_000), Err(Cause::Cut.into()));
        assert_eq!(directory.read("none", &mut buffer).unwrap_err(), Errno::NOENT);
    }
}
