//! Files below a root directory that somebody else may have made: opened so that nothing is started, followed out of that
//! root, or waited for longer than the reader can be left behind.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};

use bstr::BString;
use lxkns_model::Cause;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, ResolveFlags, StatxFlags};
use rustix::io::Errno;
use rustix::path::Arg;

use crate::parse::LONGEST;

/// How many names of one directory are read.
pub(crate) const MOST_NAMES: usize = 20_000;

/// Why something could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The kernel says so.
    Errno(Errno),
    /// Another reason.
    Cause(Cause),
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

/// A directory, opened with `O_PATH`.
#[derive(Debug)]
pub(crate) struct Dir {
    fd: OwnedFd,
    /// Where it is below its root.
    pub(crate) path: BString,
    /// What identifies it: device and inode.
    pub(crate) id: (u64, u64),
    pub(crate) writer: Writer,
}

/// Who can write to a file or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Writer {
    pub(crate) uid: u32,
    /// Whether everybody can.
    pub(crate) is_anybody: bool,
}

/// A regular file, as far as it was read.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) text: Vec<u8>,
    pub(crate) writer: Writer,
}

const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Below a directory, without any link.
const BELOW: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);

impl Dir {
    /// The root directory that everything else is below.
    pub(crate) fn root(fd: OwnedFd) -> Result<Self, Failure> {
        Self::with(fd, BString::from("/"))
    }

    fn with(fd: OwnedFd, path: BString) -> Result<Self, Failure> {
        let stat = stat(&fd)?;
        if stat.kind != FileType::Directory {
            return Err(Errno::NOTDIR.into());
        }
        Ok(Self { fd, path, id: stat.id, writer: stat.writer })
    }

    /// A directory at an absolute path: this one is the root for it, and for links on the way, as for a process whose root
    /// directory it is. Links of procfs are refused.
    pub(crate) fn at(&self, path: &str) -> Result<Self, Failure> {
        let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let fd = match rustix::fs::openat2(&self.fd, path, DIRECTORY, Mode::empty(), how) {
            Err(errno) if is_missing(errno) => self.walk(path)?,
            opened => opened?,
        };
        Self::with(fd, path.into())
    }

    /// A directory in this one.
    pub(crate) fn dir(&self, name: &BString) -> Result<Self, Failure> {
        let flags = DIRECTORY | OFlags::NOFOLLOW;
        let fd = match rustix::fs::openat2(&self.fd, name.as_slice(), flags, Mode::empty(), BELOW) {
            Err(errno) if is_missing(errno) => self.one(name.as_slice(), flags)?,
            opened => opened?,
        };
        Self::with(fd, self.path_of(name))
    }

    /// The path of something in it.
    pub(crate) fn path_of(&self, name: impl AsRef<[u8]>) -> BString {
        let mut path = self.path.clone();
        if !path.ends_with(b"/") {
            path.push(b'/');
        }
        path.extend_from_slice(name.as_ref());
        path
    }

    /// The names in it that a file of an engine's can have, sorted; and whether there are more than are read.
    pub(crate) fn names(&self) -> Result<(Vec<BString>, bool), Failure> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let listed = rustix::fs::openat(&self.fd, ".", flags, Mode::empty())?;
        let mut buffer = [MaybeUninit::uninit(); 32 * 1024];
        let mut entries = RawDir::new(listed, &mut buffer);
        let mut names = Vec::new();
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name.starts_with(b".") {
                continue;
            }
            if names.len() == MOST_NAMES {
                names.sort();
                return Ok((names, true));
            }
            names.push(BString::from(name));
        }
        names.sort();
        Ok((names, false))
    }

    /// Reads a regular file in it. Anything else is refused before it is opened: opening a FIFO waits, and opening a device
    /// can do anything.
    pub(crate) fn read(&self, name: &str) -> Result<File, Failure> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let how = BELOW | ResolveFlags::NO_XDEV;
        let named = match rustix::fs::openat2(&self.fd, name, flags, Mode::empty(), how) {
            Err(errno) if is_missing(errno) => self.one(name, flags)?,
            opened => opened?,
        };
        let stat = stat(&named)?;
        if stat.kind != FileType::RegularFile {
            return Err(Failure::Cause(Cause::Malformed));
        }
        if stat.size > LONGEST as u64 {
            return Err(Failure::Cause(Cause::Cut));
        }
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = rustix::fs::open(format!("/proc/thread-self/fd/{}", named.as_raw_fd()), flags, Mode::empty())?;
        let mut text = Vec::with_capacity(stat.size as usize + 1);
        loop {
            if text.len() == text.capacity() {
                text.reserve(4096);
            }
            match rustix::io::read(&file, rustix::buffer::spare_capacity(&mut text)) {
                Ok(0) => break,
                Ok(_) if text.len() > LONGEST => return Err(Failure::Cause(Cause::Cut)),
                // All that was there when it was asked for its size.
                Ok(_) if text.len() as u64 == stat.size => break,
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(File { text, writer: stat.writer })
    }

    /// One name, where the kernel cannot be asked for more at once: a name has no links on the way.
    fn one(&self, name: impl Arg, flags: OFlags) -> Result<OwnedFd, Failure> {
        let name = name.as_cow_c_str()?;
        if name.to_bytes().contains(&b'/') || name.to_bytes() == b".." {
            return Err(Errno::XDEV.into());
        }
        Ok(rustix::fs::openat(&self.fd, name.as_ref(), flags | OFlags::NOFOLLOW, Mode::empty())?)
    }

    fn walk(&self, path: &str) -> Result<OwnedFd, Failure> {
        let mut at = rustix::fs::openat(&self.fd, ".", DIRECTORY, Mode::empty())?;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            if name == ".." {
                return Err(Errno::XDEV.into());
            }
            at = rustix::fs::openat(&at, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?;
        }
        Ok(at)
    }
}

/// Whether there is no `openat2(2)`: before Linux 5.6, or denied by a filter that does not know it.
fn is_missing(errno: Errno) -> bool {
    matches!(errno, Errno::NOSYS | Errno::PERM | Errno::INVAL)
}

struct Stat {
    kind: FileType,
    size: u64,
    id: (u64, u64),
    writer: Writer,
}

fn stat(fd: impl AsFd) -> Result<Stat, Failure> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
    let mask = StatxFlags::TYPE | StatxFlags::MODE | StatxFlags::UID | StatxFlags::SIZE | StatxFlags::INO;
    let stat = rustix::fs::statx(fd, c"", flags, mask)?;
    let mode = u32::from(stat.stx_mode);
    Ok(Stat {
        kind: FileType::from_raw_mode(mode),
        size: stat.stx_size,
        id: (u64::from(stat.stx_dev_major) << 32 | u64::from(stat.stx_dev_minor), stat.stx_ino),
        // What others can delete from a directory with the sticky bit is their own.
        writer: Writer { uid: stat.stx_uid, is_anybody: mode & 0o002 != 0 },
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::path::Path;

    use super::*;

    fn open(path: &Path) -> Dir {
        Dir::root(rustix::fs::open(path, DIRECTORY, Mode::empty()).unwrap()).unwrap()
    }

    fn errno<T: std::fmt::Debug>(answer: Result<T, Failure>) -> Failure {
        answer.unwrap_err()
    }

    #[test]
    fn only_regular_files_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        fs::write(path.join("file"), "text").unwrap();
        fs::write(path.join("large"), vec![b'x'; LONGEST + 1]).unwrap();
        fs::write(path.join("largest"), vec![b'x'; LONGEST]).unwrap();
        fs::create_dir(path.join("directory")).unwrap();
        symlink("file", path.join("link")).unwrap();
        let mode = Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, path.join("fifo"), FileType::Fifo, mode, 0).unwrap();
        let root = open(path);
        assert_eq!(root.read("file").unwrap().text, b"text");
        assert_eq!(root.read("largest").unwrap().text.len(), LONGEST);
        assert_eq!(errno(root.read("large")), Failure::Cause(Cause::Cut));
        assert_eq!(errno(root.read("fifo")), Failure::Cause(Cause::Malformed));
        assert_eq!(errno(root.read("directory")), Failure::Cause(Cause::Malformed));
        assert_eq!(errno(root.read("link")), Failure::Cause(Cause::Malformed), "the link itself was opened");
        assert_eq!(errno(root.read("none")), Failure::Errno(Errno::NOENT));
        assert_eq!(errno(root.read("../file")), Failure::Errno(Errno::XDEV));
    }

    #[test]
    fn links_stay_below_the_root() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        fs::create_dir_all(path.join("data/docker/inner")).unwrap();
        fs::create_dir_all(path.join("var/lib")).unwrap();
        symlink("/data/docker", path.join("var/lib/docker")).unwrap();
        symlink("/proc/self/root", path.join("magic")).unwrap();
        let root = open(path);
        let Ok(docker) = root.at("/var/lib/docker") else {
            // Without openat2 no link is followed.
            return assert_eq!(errno(root.at("/var/lib/docker")), Failure::Errno(Errno::NOTDIR));
        };
        assert_eq!(docker.id, root.at("/data/docker").unwrap().id);
        assert_eq!(
            errno(root.at("/magic")),
            Failure::Errno(Errno::NOENT),
            "that is below the root, where no procfs is"
        );
        assert_eq!(root.at("/../../../../data").unwrap().id, root.at("/data").unwrap().id);
        let inner = docker.dir(&"inner".into()).unwrap();
        assert_eq!(inner.path, "/var/lib/docker/inner");
        assert_eq!(errno(root.at("/var/lib").unwrap().dir(&"docker".into())), Failure::Errno(Errno::NOTDIR));
        assert_eq!(errno(inner.dir(&"..".into())), Failure::Errno(Errno::XDEV));
    }

    #[test]
    fn without_openat2_names_are_gone_through_one_by_one() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("a/b")).unwrap();
        symlink("a", directory.path().join("link")).unwrap();
        let root = open(directory.path());
        assert_eq!(Dir::with(root.walk("/a/b").unwrap(), "/a/b".into()).unwrap().id, root.at("/a/b").unwrap().id);
        assert_eq!(errno(root.walk("/link/b")), Failure::Errno(Errno::NOTDIR));
        assert_eq!(errno(root.walk("/a/../a")), Failure::Errno(Errno::XDEV));
        assert_eq!(errno(root.one("a/b", DIRECTORY)), Failure::Errno(Errno::XDEV));
        assert!(root.one("a", DIRECTORY).is_ok());
    }

    #[test]
    fn long_directories_are_cut() {
        let directory = tempfile::tempdir().unwrap();
        for number in 0..MOST_NAMES + 10 {
            fs::File::create(directory.path().join(number.to_string())).unwrap();
        }
        let (names, is_cut) = open(directory.path()).names().unwrap();
        assert_eq!((names.len(), is_cut), (MOST_NAMES, true));
    }

    #[test]
    fn who_can_write_is_told() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("file"), "").unwrap();
        let own = rustix::process::geteuid().as_raw();
        let root = open(directory.path());
        assert_eq!(root.read("file").unwrap().writer, Writer { uid: own, is_anybody: false });
        fs::set_permissions(directory.path().join("file"), fs::Permissions::from_mode(0o666)).unwrap();
        assert_eq!(root.read("file").unwrap().writer, Writer { uid: own, is_anybody: true });
    }
}
