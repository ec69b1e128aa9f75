//! Files below a root directory that somebody else may have made: opened so that nothing is started, followed out of that
//! root, or waited for longer than the reader can be left behind.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::sync::Arc;

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
    own: OwnFds,
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

/// The descriptors of the thread that reads. What was opened by name alone is opened from here.
#[derive(Clone, Debug)]
pub(crate) struct OwnFds(Arc<OwnedFd>);

impl OwnFds {
    /// Those of this thread: they are of no use to another.
    pub(crate) fn of_this_thread() -> Result<Self, Failure> {
        Ok(Self(Arc::new(rustix::fs::open("/proc/thread-self/fd", DIRECTORY, Mode::empty())?)))
    }
}

const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// By name alone.
const NAMED: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Below a directory, without any link.
const BELOW: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);

/// The same, on its file system.
const BELOW_HERE: ResolveFlags = BELOW.union(ResolveFlags::NO_XDEV);

impl Writer {
    fn is_root(self) -> bool {
        self.uid == 0 && !self.is_anybody
    }
}

impl Dir {
    /// The root directory that everything else is below.
    pub(crate) fn root(fd: OwnedFd, own: OwnFds) -> Result<Self, Failure> {
        Self::with(fd, BString::from("/"), own)
    }

    fn with(fd: OwnedFd, path: BString, own: OwnFds) -> Result<Self, Failure> {
        let stat = stat(&fd, c"")?;
        if stat.kind != FileType::Directory {
            return Err(Errno::NOTDIR.into());
        }
        Ok(Self { fd, own, path, id: stat.id, writer: stat.writer })
    }

    /// A directory at an absolute path: this one is the root for it, and for links on the way, as for a process whose root
    /// directory it is. Links of procfs are refused.
    pub(crate) fn at(&self, path: &str) -> Result<Self, Failure> {
        let how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let fd = match rustix::fs::openat2(&self.fd, path, DIRECTORY, Mode::empty(), how) {
            Err(errno) if is_missing(errno) => self.walk(path)?,
            opened => opened?,
        };
        Self::with(fd, path.into(), self.own.clone())
    }

    /// A directory in this one.
    pub(crate) fn dir(&self, name: &BString) -> Result<Self, Failure> {
        let flags = DIRECTORY | OFlags::NOFOLLOW;
        let fd = match rustix::fs::openat2(&self.fd, name.as_slice(), flags, Mode::empty(), BELOW) {
            Err(errno) if is_missing(errno) => self.one(name.as_slice(), flags)?,
            opened => opened?,
        };
        Self::with(fd, self.path_of(name), self.own.clone())
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

    /// Reads a regular file in a directory in this one, with who can write to the directory. As [`Dir::dir`] and [`Dir::read`],
    /// with fewer calls.
    pub(crate) fn read_in(&self, dir: &BString, name: &str) -> Result<(File, Writer), Failure> {
        let stat = stat(&self.fd, dir.as_slice())?;
        if stat.kind != FileType::Directory {
            return Err(Errno::NOTDIR.into());
        }
        let path = path_in(dir, name);
        let file = match rustix::fs::openat2(&self.fd, path.as_slice(), NAMED, Mode::empty(), BELOW_HERE) {
            Err(errno) if is_missing(errno) => self.dir(dir)?.read(name),
            opened => self.open_again(opened?),
        };
        // Whoever can write to this one can have put another in its place since.
        let writer = if self.writer.is_root() { stat.writer } else { self.writer };
        Ok((file?, writer))
    }

    /// Reads a regular file in it. Anything else is refused before it is opened: opening a FIFO waits, and opening a device
    /// can do anything.
    pub(crate) fn read(&self, name: &str) -> Result<File, Failure> {
        let named = match rustix::fs::openat2(&self.fd, name, NAMED, Mode::empty(), BELOW_HERE) {
            Err(errno) if is_missing(errno) => self.one(name, NAMED)?,
            opened => opened?,
        };
        self.open_again(named)
    }

    fn open_again(&self, named: OwnedFd) -> Result<File, Failure> {
        let stat = stat(&named, c"")?;
        if stat.kind != FileType::RegularFile {
            return Err(Failure::Cause(Cause::Malformed));
        }
        if stat.size > LONGEST as u64 {
            return Err(Failure::Cause(Cause::Cut));
        }
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&*self.own.0, named.as_raw_fd().to_string(), flags, Mode::empty())?;
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

/// A file in a directory.
pub(crate) fn path_in(dir: &BString, name: &str) -> BString {
    let mut path = dir.clone();
    path.push(b'/');
    path.extend_from_slice(name.as_bytes());
    path
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

/// Of what has this name in a directory, or of the file itself where the name is empty. Links are not followed.
fn stat(fd: impl AsFd, name: impl Arg) -> Result<Stat, Failure> {
    let how = AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW;
    let flags = how | AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
    let mask = StatxFlags::TYPE | StatxFlags::MODE | StatxFlags::UID | StatxFlags::SIZE | StatxFlags::INO;
    let stat = rustix::fs::statx(fd, name, flags, mask)?;
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
        let own = OwnFds::of_this_thread().unwrap();
        Dir::root(rustix::fs::open(path, DIRECTORY, Mode::empty()).unwrap(), own).unwrap()
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
    fn files_in_directories_below() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        fs::create_dir(path.join("a")).unwrap();
        fs::write(path.join("a/file"), "text").unwrap();
        fs::write(path.join("file"), "text").unwrap();
        symlink("a", path.join("link")).unwrap();
        symlink("file", path.join("a/link")).unwrap();
        let root = open(path);
        let own = rustix::process::geteuid().as_raw();
        let (file, writer) = root.read_in(&"a".into(), "file").unwrap();
        assert_eq!((file.text.as_slice(), writer), (&b"text"[..], Writer { uid: own, is_anybody: false }));
        assert_eq!(errno(root.read_in(&"file".into(), "file")), Failure::Errno(Errno::NOTDIR));
        assert_eq!(errno(root.read_in(&"link".into(), "file")), Failure::Errno(Errno::NOTDIR));
        assert_eq!(errno(root.read_in(&"a".into(), "link")), Failure::Cause(Cause::Malformed));
        assert_eq!(errno(root.read_in(&"a".into(), "none")), Failure::Errno(Errno::NOENT));
        assert_eq!(errno(root.read_in(&"none".into(), "file")), Failure::Errno(Errno::NOENT));
        // The directory around it counts as well.
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
        let (_, writer) = open(path).read_in(&"a".into(), "file").unwrap();
        assert!(writer.is_anybody);
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
        assert_eq!(
            Dir::with(root.walk("/a/b").unwrap(), "/a/b".into(), root.own.clone()).unwrap().id,
            root.at("/a/b").unwrap().id
        );
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
