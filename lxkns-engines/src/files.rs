//! Files below a root directory that another user may have made: opened so that nothing is started, followed out of that
//! root, or waited for.
//!
//! A thread that waits for a FUSE server cannot even be killed, and would keep the program from ending. So no mount is gone
//! into whose file system may have a server, nor one that has come since the mounts were listed.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::sync::Arc;

use bstr::{BString, ByteSlice as _};

use lxkns_core::{OWN_DESCRIPTORS, has_no_server};
use lxkns_model::Cause;
use lxkns_model::CompactSort as _;
use rustc_hash::FxHashSet;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, ResolveFlags, StatxFlags};
use rustix::io::Errno;
use rustix::path::Arg;

use crate::parse::LONGEST;

/// How many names of one directory are read.
pub(crate) const MOST_NAMES: usize = 20_000;

/// How many links of one path are followed, as the kernel does.
const MOST_LINKS: usize = 40;

/// Why something could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The kernel says so.
    Errno(Errno),
    /// Another reason.
    Cause(Cause),
    /// Something else is there than a directory.
    NotDirectory,
    /// It has vanished.
    Vanished,
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
    mounts: Mounts,
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
    /// Whether everybody can, or a group of others.
    pub(crate) is_anybody: bool,
    /// Whether it is a directory from which nobody can take what is another's (the sticky bit).
    pub(crate) is_sticky: bool,
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
        Ok(Self(Arc::new(rustix::fs::open(OWN_DESCRIPTORS, DIRECTORY, Mode::empty())?)))
    }
}

/// The mounts whose file systems answer by themselves, by their IDs.
#[derive(Clone, Debug)]
pub(crate) struct Mounts(Arc<FxHashSet<u64>>);

impl Mounts {
    /// Those of a list of mounts (`mountinfo`). `is_of_user`: an ordinary user can have made them, and then an overlay can be
    /// on anything.
    pub(crate) fn without_server(mountinfo: &[u8], is_of_user: bool) -> Self {
        let answers = |fs_type: &[u8]| {
            has_no_server(fs_type)
                || matches!(fs_type, b"zfs" | b"bcachefs" | b"jfs" | b"reiserfs")
                || (fs_type == b"overlay" && !is_of_user)
        };
        let id = |line: &[u8]| {
            let fs_type = line.split_once_str(b" - ")?.1.split_str(b" ").next()?;
            let id = line.split_str(b" ").next()?.to_str().ok()?.parse().ok()?;
            answers(fs_type).then_some(id)
        };
        Self(Arc::new(mountinfo.lines().filter_map(id).collect()))
    }

    /// Whether this was found on one of them.
    fn have(&self, stat: &Stat) -> Result<(), Failure> {
        let is_known = stat.mount.is_some_and(|mount| self.0.contains(&mount));
        if is_known { Ok(()) } else { Err(Failure::Cause(Cause::NotTried)) }
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

    /// Who can change what is in this directory: whoever can write to the directory can put another in its place.
    fn and(self, inside: Self) -> Self {
        let is_safe = self.is_root() || self.uid == 0 && self.is_sticky && inside.uid == 0;
        if is_safe { inside } else { self }
    }
}

impl Dir {
    /// The root directory that everything else is below.
    pub(crate) fn root(fd: OwnedFd, own: OwnFds, mounts: Mounts) -> Result<Self, Failure> {
        let stat = stat(&fd, c"")?;
        Self::with(fd, &stat, BString::from("/"), own, mounts, None)
    }

    fn with(
        fd: OwnedFd,
        stat: &Stat,
        path: BString,
        own: OwnFds,
        mounts: Mounts,
        above: Option<Writer>,
    ) -> Result<Self, Failure> {
        mounts.have(stat)?;
        if stat.kind != FileType::Directory {
            return Err(Failure::NotDirectory);
        }
        let writer = above.map_or(stat.writer, |above| above.and(stat.writer));
        Ok(Self { fd, own, mounts, path, id: stat.id, writer })
    }

    /// A directory at an absolute path: this one is the root for it, and for links on the way, as for a process whose root
    /// directory it is. Each name is looked up by itself, once it is known on which mount the one before is.
    pub(crate) fn at(&self, path: &str) -> Result<Self, Failure> {
        let mut names: Vec<BString> = path.rsplit('/').map(BString::from).collect();
        let mut above: Vec<Self> = Vec::new();
        let mut links = 0;
        while let Some(name) = names.pop() {
            match name.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    above.pop();
                    continue;
                }
                _ => {}
            }
            let dir = above.last().unwrap_or(self);
            let named = rustix::fs::openat(&dir.fd, name.as_slice(), NAMED, Mode::empty())?;
            let stat = stat(&named, c"")?;
            if stat.kind != FileType::Symlink {
                let writer = Some(dir.writer);
                let dir = Self::with(named, &stat, dir.path_of(&name), self.own.clone(), self.mounts.clone(), writer)?;
                above.push(dir);
                continue;
            }
            self.mounts.have(&stat)?;
            links += 1;
            if links > MOST_LINKS {
                return Err(Failure::Cause(Cause::Limit));
            }
            let target = rustix::fs::readlinkat(&named, c"", Vec::new())?.into_bytes();
            if target.starts_with(b"/") {
                above.clear();
            }
            names.extend(target.rsplit_str(b"/").map(BString::from));
        }
        match above.pop() {
            Some(dir) => Ok(Self { path: path.into(), ..dir }),
            None => Self::root(rustix::io::fcntl_dupfd_cloexec(&self.fd, 3)?, self.own.clone(), self.mounts.clone()),
        }
    }

    /// A directory in this one.
    pub(crate) fn dir(&self, name: &BString) -> Result<Self, Failure> {
        let named = match rustix::fs::openat2(&self.fd, name.as_slice(), NAMED, Mode::empty(), BELOW) {
            Err(errno) if is_missing(errno) => self.one(name.as_slice(), NAMED)?,
            opened => opened?,
        };
        let stat = stat(&named, c"")?;
        match stat.kind {
            FileType::Symlink => Err(Failure::NotDirectory),
            _ => {
                let (own, mounts) = (self.own.clone(), self.mounts.clone());
                Self::with(named, &stat, self.path_of(name), own, mounts, Some(self.writer))
            }
        }
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
                names.compact_sort();
                return Ok((names, true));
            }
            names.push(BString::from(name));
        }
        names.compact_sort();
        Ok((names, false))
    }

    /// Reads a regular file in a directory in this one, with who can write to the directory. As [`Dir::dir`] and [`Dir::read`],
    /// with fewer calls.
    pub(crate) fn read_in(&self, dir: &BString, name: &str) -> Result<(File, Writer), Failure> {
        let stat = stat(&self.fd, dir.as_slice())?;
        if stat.kind != FileType::Directory {
            return Err(Failure::NotDirectory);
        }
        let path = path_in(dir, name);
        let file = match rustix::fs::openat2(&self.fd, path.as_slice(), NAMED, Mode::empty(), BELOW_HERE) {
            Err(errno) if is_missing(errno) => self.dir(dir)?.read(name),
            opened => self.open_again(opened?),
        };
        // Whoever can write to this one can have put another in its place since.
        let writer = self.writer.and(stat.writer);
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
        self.mounts.have(&stat)?;
        if stat.kind != FileType::RegularFile {
            return Err(Failure::Cause(Cause::Malformed));
        }
        if stat.size > LONGEST as u64 {
            return Err(Failure::Cause(Cause::Cut));
        }
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&*self.own.0, named.as_raw_fd().to_string(), flags, Mode::empty())?;
        // It may have grown since.
        let mut text = Vec::with_capacity(stat.size as usize + 1);
        lxkns_sys::read_to_end(&file, &mut text, LONGEST + 1)?;
        if text.len() > LONGEST {
            return Err(Failure::Cause(Cause::Cut));
        }
        Ok(File { text, writer: stat.writer })
    }

    /// One name, where the kernel cannot be asked for more at once: a name has no links on the way.
    fn one(&self, name: impl Arg, flags: OFlags) -> Result<OwnedFd, Failure> {
        let name = name.as_cow_c_str()?;
        if name.to_bytes().contains(&b'/') || name.to_bytes() == b".." {
            return Err(Failure::Cause(Cause::NotTried));
        }
        Ok(rustix::fs::openat(&self.fd, name.as_ref(), flags | OFlags::NOFOLLOW, Mode::empty())?)
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
    /// The ID of its mount; `None` before Linux 5.8.
    mount: Option<u64>,
    size: u64,
    id: (u64, u64),
    writer: Writer,
}

/// Of what has this name in a directory, or of the file itself where the name is empty. Links are not followed.
fn stat(fd: impl AsFd, name: impl Arg) -> Result<Stat, Failure> {
    let how = AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW;
    let flags = how | AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
    let mask =
        StatxFlags::TYPE | StatxFlags::MODE | StatxFlags::UID | StatxFlags::GID | StatxFlags::SIZE | StatxFlags::INO;
    let mask = mask | StatxFlags::MNT_ID;
    let stat = rustix::fs::statx(fd, name, flags, mask)?;
    let mode = u32::from(stat.stx_mode);
    Ok(Stat {
        kind: FileType::from_raw_mode(mode),
        mount: (stat.stx_mask & StatxFlags::MNT_ID.bits() != 0).then_some(stat.stx_mnt_id),
        size: stat.stx_size,
        id: (u64::from(stat.stx_dev_major) << 32 | u64::from(stat.stx_dev_minor), stat.stx_ino),
        writer: Writer {
            uid: stat.stx_uid,
            is_anybody: mode & 0o002 != 0 || mode & 0o020 != 0 && stat.stx_gid != 0,
            is_sticky: mode & 0o1000 != 0,
        },
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
        let mounts = Mounts::without_server(&fs::read("/proc/self/mountinfo").unwrap(), false);
        Dir::root(rustix::fs::open(path, DIRECTORY, Mode::empty()).unwrap(), own, mounts).unwrap()
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
        assert_eq!(
            (file.text.as_slice(), writer),
            (&b"text"[..], Writer { uid: own, is_anybody: false, is_sticky: false })
        );
        assert_eq!(errno(root.read_in(&"file".into(), "file")), Failure::NotDirectory);
        assert_eq!(errno(root.read_in(&"link".into(), "file")), Failure::NotDirectory);
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
        let docker = root.at("/var/lib/docker").unwrap();
        assert_eq!(docker.id, root.at("/data/docker").unwrap().id);
        assert_eq!(
            errno(root.at("/magic")),
            Failure::Errno(Errno::NOENT),
            "that is below the root, where no procfs is"
        );
        assert_eq!(root.at("/../../../../data").unwrap().id, root.at("/data").unwrap().id);
        let inner = docker.dir(&"inner".into()).unwrap();
        assert_eq!(inner.path, "/var/lib/docker/inner");
        assert_eq!(errno(root.at("/var/lib").unwrap().dir(&"docker".into())), Failure::NotDirectory);
        assert_eq!(errno(inner.dir(&"..".into())), Failure::Errno(Errno::XDEV));
    }

    #[test]
    fn no_mount_is_gone_into_that_may_have_a_server() {
        let list = b"1 0 0:1 / / rw - ext4 /dev/a rw\n2 1 0:2 / /a\\040-\\040b rw master:3 - fuse.sshfs x rw\n\
                     3 1 0:3 / /c rw - overlay overlay rw\n4 1 0:4 / /d rw - nfs4 x:/ rw\n5 1 0:5 / /e rw - tmpfs t rw\n";
        let ids = |is_of_user| {
            let mut ids: Vec<_> = Mounts::without_server(list, is_of_user).0.iter().copied().collect();
            ids.sort_unstable();
            ids
        };
        assert_eq!((ids(false), ids(true)), (vec![1, 3, 5], vec![1, 5]));
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("a/b")).unwrap();
        let root = open(directory.path());
        assert!(root.at("/a/b").is_ok());
        let unknown = Dir { mounts: Mounts::without_server(b"", false), ..root };
        assert_eq!(errno(unknown.at("/a")), Failure::Cause(Cause::NotTried));
        assert_eq!(errno(unknown.dir(&"a".into())), Failure::Cause(Cause::NotTried));
    }

    #[test]
    fn links_that_lead_nowhere_end() {
        let directory = tempfile::tempdir().unwrap();
        symlink("/b/x", directory.path().join("a")).unwrap();
        symlink("a", directory.path().join("b")).unwrap();
        let root = open(directory.path());
        assert_eq!(errno(root.at("/a")), Failure::Cause(Cause::Limit));
        assert_eq!(errno(root.one("a/b", DIRECTORY)), Failure::Cause(Cause::NotTried));
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
        assert_eq!(root.read("file").unwrap().writer, Writer { uid: own, is_anybody: false, is_sticky: false });
        fs::set_permissions(directory.path().join("file"), fs::Permissions::from_mode(0o666)).unwrap();
        assert_eq!(root.read("file").unwrap().writer, Writer { uid: own, is_anybody: true, is_sticky: false });
    }

    #[test]
    fn who_can_write_above_can_write_below() {
        let root = |is_anybody, is_sticky| Writer { uid: 0, is_anybody, is_sticky };
        let user = Writer { uid: 7, is_anybody: false, is_sticky: false };
        assert_eq!(root(false, false).and(user), user);
        assert_eq!(user.and(root(false, false)), user);
        assert_eq!(root(true, false).and(root(false, false)), root(true, false));
        assert_eq!(root(true, true).and(root(false, false)), root(false, false), "nobody can take it away there");
        assert_eq!(root(true, true).and(user), root(true, true));
        // On the way, and by a group.
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("a/b")).unwrap();
        fs::write(directory.path().join("a/b/file"), "").unwrap();
        fs::set_permissions(directory.path().join("a"), fs::Permissions::from_mode(0o777)).unwrap();
        let top = open(directory.path());
        assert!(top.at("/a/b").unwrap().writer.is_anybody);
        assert!(top.dir(&"a".into()).unwrap().dir(&"b".into()).unwrap().writer.is_anybody);
        assert!(top.at("/a").unwrap().read_in(&"b".into(), "file").unwrap().1.is_anybody);
        fs::set_permissions(directory.path().join("a"), fs::Permissions::from_mode(0o775)).unwrap();
        let is_of_others = rustix::fs::stat(directory.path().join("a")).unwrap().st_gid != 0;
        assert_eq!(top.at("/a/b").unwrap().writer.is_anybody, is_of_others);
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(directory.path().join("a"), None, Some(7)).unwrap();
            assert!(top.at("/a/b").unwrap().writer.is_anybody, "a group of others");
        }
    }
}
