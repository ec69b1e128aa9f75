//! A procfs as a whole.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, StatxFlags};
use rustix::io::Errno;

use super::{ProcDir, parse};
use crate::error::{Error, ErrorKind};
use crate::failure::Failure;
use crate::model::{Cause, NamespaceType, Pid};

const PROC: &str = "/proc";
/// The directory of the calling thread's descriptors, in the procfs that is mounted at `/proc`: a descriptor is opened once
/// more by its number in there.
pub const OWN_DESCRIPTORS: &str = "/proc/thread-self/fd";
/// The program that runs, in the procfs that is mounted at `/proc`.
pub const OWN_PROGRAM: &str = "/proc/self/exe";
const PROC_SUPER_MAGIC: i64 = 0x9fa0;

/// A mounted procfs: usually the caller's own, or another one, such as the host's procfs mounted in a container, or a
/// tree of files that looks like one.
///
/// PIDs are those of *that* procfs's PID namespace. System calls take PIDs of the caller's PID namespace, so they are
/// used only if both are the same.
#[derive(Debug)]
pub struct ProcRoot {
    dir: ProcDir,
    path: PathBuf,
    /// The caller's PID in the PID namespace of this procfs.
    own_pid: Option<Pid>,
    /// Whether it belongs to the caller's PID namespace.
    is_own: bool,
    /// The device number of its files; `None` for a tree of files, which can be on several.
    device: Option<(u32, u32)>,
    nsfs_dev: u64,
    links: Links,
}

/// Which links below `/proc/PID/ns` this kernel has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Links {
    /// In the order of [`NamespaceType`].
    pub(crate) types: [bool; 8],
    pub(crate) pid_for_children: bool,
    pub(crate) time_for_children: bool,
}

impl ProcRoot {
    /// Where the caller's own procfs is: for a path that another program is given.
    pub const PATH: &str = PROC;

    /// The caller's own procfs, at `/proc`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Procfs`]: no procfs is mounted there.
    pub fn host() -> Result<Self, Error> {
        let root = Self::at(PROC)?;
        let fs = rustix::fs::statfs(PROC).map_err(|errno| cannot_open(PROC.as_ref(), errno))?;
        #[expect(clippy::useless_conversion, reason = "the type of f_type differs between architectures")]
        let is_procfs = i64::from(fs.f_type) == PROC_SUPER_MAGIC;
        if is_procfs {
            let device = root.dir.stat(".", StatxFlags::TYPE).ok().map(|stat| (stat.stx_dev_major, stat.stx_dev_minor));
            Ok(Self { device, ..root })
        } else {
            Err(Error::new(
                ErrorKind::Procfs,
                "no procfs is mounted at /proc: mount one there (mount -t proc proc /proc)",
            ))
        }
    }

    /// The procfs that is mounted at `path`. Does not check that it is a procfs, so tests can pass a tree of files.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Procfs`]: there is no such directory, or neither it nor the caller's own procfs shows any process's
    /// namespaces.
    pub fn at(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let dir = ProcDir::open_root(path).map_err(|errno| cannot_open(path, errno))?;
        let (own_pid, is_own) = (own_pid(&dir), is_own(&dir));
        let (nsfs_dev, links) = nsfs(&dir)
            .or_else(|errno| nsfs(&ProcDir::open_root(PROC)?).map_err(|other| most_telling(errno, other)))
            .map_err(|errno| cannot_open(&path.join("self/ns"), errno))?;
        Ok(Self { dir, path: path.to_owned(), own_pid, is_own, device: None, nsfs_dev, links })
    }

    /// The mount point, as passed to [`at`](Self::at).
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Another handle on the same procfs.
    pub(crate) fn try_clone(&self) -> Result<Self, Errno> {
        let Self { ref path, own_pid, is_own, device, nsfs_dev, links, .. } = *self;
        Ok(Self { dir: self.dir.try_clone()?, path: path.clone(), own_pid, is_own, device, nsfs_dev, links })
    }

    /// Whether PIDs mean the same in it as in the caller's system calls: it belongs to the caller's PID namespace.
    pub fn is_own(&self) -> bool {
        self.is_own
    }

    /// The caller's PID in it, if it shows the caller. That can differ from the PID in the caller's system calls.
    pub(crate) fn own_pid(&self) -> Option<Pid> {
        self.own_pid
    }

    /// The device number of the kernel's nsfs.
    pub(crate) fn nsfs_dev(&self) -> u64 {
        self.nsfs_dev
    }

    /// Which links below `/proc/PID/ns` this kernel has.
    pub(crate) fn links(&self) -> &Links {
        &self.links
    }

    /// Its top directory.
    pub(crate) fn dir(&self) -> &ProcDir {
        &self.dir
    }

    /// Reads a file, e.g. `sys/user/max_net_namespaces`. If another file system is mounted on its path, that is not asked:
    /// its server may not answer.
    ///
    /// # Errors
    ///
    /// The kernel's, or another file system is mounted there.
    pub fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let mut buffer = Vec::new();
        self.read_own(path, &mut buffer).map_err(|failure| match failure.errno() {
            Some(errno) => errno.into(),
            None => io::Error::other("another file system is mounted there"),
        })?;
        Ok(buffer)
    }

    /// The numbers among the names in a directory, e.g. the descriptors in `self/fd`; as [`read`](Self::read).
    ///
    /// # Errors
    ///
    /// The kernel's, or another file system is mounted there.
    pub fn numbers(&self, path: &str) -> io::Result<Vec<u32>> {
        if self.is_covered(path) {
            return Err(io::Error::other("another file system is mounted there"));
        }
        Ok(self.dir.numbers(path)?)
    }

    /// The same as [`read`](Self::read), into a buffer.
    pub(crate) fn read_own<'a>(&self, path: &str, buffer: &'a mut Vec<u8>) -> Result<&'a [u8], Failure> {
        if self.is_covered(path) {
            return Err(Cause::NoPath.into());
        }
        Ok(self.dir.read(path, buffer)?)
    }

    /// Whether another file system is mounted on this path.
    fn is_covered(&self, path: &str) -> bool {
        let Some(own) = self.device else { return false };
        // Where the kernel does not say, reading does.
        let stat = self.dir.stat(path, StatxFlags::TYPE);
        stat.is_ok_and(|stat| (stat.stx_dev_major, stat.stx_dev_minor) != own)
    }

    /// Opens the directory of a process.
    pub(crate) fn process(&self, pid: Pid) -> Result<ProcDir, Errno> {
        ProcDir::open(&self.dir, decimal(pid.0).as_str())
    }

    /// The PIDs of all processes, ascending.
    pub(crate) fn pids(&self) -> Result<Vec<Pid>, Errno> {
        Ok(self.dir.numbers(".")?.into_iter().map(Pid).collect())
    }

    /// The text of the link of one of the caller's descriptors.
    pub(crate) fn own_link<'a>(&self, fd: BorrowedFd<'_>, buffer: &'a mut [u8]) -> Result<&'a [u8], Failure> {
        let path = format!("{OWN_DESCRIPTORS}/{}", fd.as_raw_fd());
        let length = rustix::fs::readlinkat_raw(rustix::fs::CWD, path, &mut *buffer).map_err(unless_hidden)?;
        Ok(&buffer[..length])
    }

    /// The fdinfo of one of the caller's descriptors.
    pub(crate) fn own_fdinfo(&self, fd: BorrowedFd<'_>) -> Result<Vec<u8>, Failure> {
        let mut buffer = Vec::new();
        let path = format!("thread-self/fdinfo/{}", fd.as_raw_fd());
        ProcDir::open_root(PROC)?.read_record(path, &mut buffer).map_err(unless_hidden)?;
        Ok(buffer)
    }

    /// The mountinfo ID of the mount that one of the caller's descriptors is on.
    pub(crate) fn mount_id(&self, fd: BorrowedFd<'_>) -> Result<u64, Failure> {
        parse::fdinfo::mount_id(&self.own_fdinfo(fd)?).ok_or(Cause::Malformed.into())
    }

    /// Opens the file of an `O_PATH` descriptor for reading, through the caller's descriptor table. The caller has
    /// checked that opening this type of file is harmless.
    pub(crate) fn reopen(&self, fd: BorrowedFd<'_>) -> Result<std::os::fd::OwnedFd, Failure> {
        let path = format!("{OWN_DESCRIPTORS}/{}", fd.as_raw_fd());
        let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
        rustix::fs::open(path, flags, rustix::fs::Mode::empty()).map_err(unless_hidden)
    }
}

impl AsFd for ProcRoot {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

/// The failure for a descriptor of the caller's: if `/proc` does not show the caller, `ENOENT` does not mean that
/// anything has vanished.
fn unless_hidden(errno: Errno) -> Failure {
    let is_hidden =
        || rustix::fs::readlinkat_raw(rustix::fs::CWD, format!("{PROC}/thread-self"), &mut [0_u8; 64][..]).is_err();
    if errno == Errno::NOENT && is_hidden() { Failure::with(Cause::OtherPidNamespace, errno) } else { errno.into() }
}

fn cannot_open(path: &Path, errno: Errno) -> Error {
    Error::with_source(ErrorKind::Procfs, format!("cannot read the procfs at {}", path.display()), errno)
}

/// The caller's PID in this procfs, from the `self` link, which differs for each reader.
fn own_pid(dir: &ProcDir) -> Option<Pid> {
    let mut text = [0; 16];
    std::str::from_utf8(dir.link("self", &mut text).ok()?).ok()?.parse().ok().map(Pid)
}

/// Whether it belongs to the caller's PID namespace: only then the list of the caller's PIDs from that namespace
/// downward has one entry.
fn is_own(dir: &ProcDir) -> bool {
    let mut buffer = Vec::new();
    let status = dir.read("self/status", &mut buffer).ok().and_then(|text| parse::status::parse(text).ok());
    status.is_some_and(|status| matches!(status.process.ns_pids[..], [pid] if pid.0 == std::process::id()))
}

/// The nsfs device and the existing links, from any process of this procfs.
fn nsfs(dir: &ProcDir) -> Result<(u64, Links), Errno> {
    let read = |path: &str| {
        let ns = ProcDir::open(dir, path)?;
        // A namespace is a file of the kernel's own, which has no server.
        let stat = rustix::fs::statat(&ns, "user", AtFlags::empty())?;
        let has = |name: &str| rustix::fs::statat(&ns, name, AtFlags::SYMLINK_NOFOLLOW).is_ok();
        let links = Links {
            types: NamespaceType::ALL.map(|ns_type| has(ns_type.name())),
            pid_for_children: has("pid_for_children"),
            time_for_children: has("time_for_children"),
        };
        Ok((stat.st_dev, links))
    };
    read("self/ns").or_else(|errno| read("1/ns").map_err(|other| most_telling(errno, other)))
}

/// Of two errors, the one that is not about the object, such as EMFILE.
fn most_telling(first: Errno, second: Errno) -> Errno {
    let is_general = |errno: Errno| matches!(errno, Errno::MFILE | Errno::NFILE | Errno::NOMEM);
    if is_general(second) { second } else { first }
}

/// A number as text, without the heap.
pub(crate) struct Decimal {
    digits: [u8; 10],
    start: usize,
}

/// The number as text.
pub(crate) fn decimal(mut number: u32) -> Decimal {
    let mut decimal = Decimal { digits: [b'0'; 10], start: 10 };
    loop {
        decimal.start -= 1;
        decimal.digits[decimal.start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return decimal;
        }
    }
}

impl Decimal {
    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.digits[self.start..]).expect("digits are ASCII")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_text() {
        for number in [0, 7, 10, 4_194_304, u32::MAX] {
            assert_eq!(decimal(number).as_str(), number.to_string());
        }
    }

    #[test]
    fn the_own_procfs_knows_the_caller() {
        let proc = ProcRoot::host().unwrap();
        assert!(proc.is_own());
        assert_eq!(proc.own_pid(), Some(Pid(std::process::id())));
        assert!(proc.pids().unwrap().contains(&Pid(std::process::id())));
    }

    #[test]
    fn files_and_directories_are_read() {
        let proc = ProcRoot::host().unwrap();
        assert_eq!(proc.read("self/comm").unwrap(), std::fs::read("/proc/self/comm").unwrap());
        // In a container, this is on another mount of the same procfs.
        let limit = proc.read("sys/kernel/pid_max").unwrap();
        assert_eq!(limit, std::fs::read("/proc/sys/kernel/pid_max").unwrap());
        assert!(proc.numbers("self/fd").unwrap().contains(&proc.as_fd().as_raw_fd().cast_unsigned()));
        let missing = proc.read("self/nothing").unwrap_err();
        assert_eq!(missing.raw_os_error(), Some(Errno::NOENT.raw_os_error()));
        // What is on another device, a namespace for example, counts as another file system's.
        let covered = proc.read("self/ns/net").unwrap_err();
        assert_eq!((covered.kind(), covered.raw_os_error()), (io::ErrorKind::Other, None));
    }

    #[test]
    fn a_descriptor_says_which_mount_it_is_on() {
        let proc = ProcRoot::host().unwrap();
        let mut buffer = Vec::new();
        let text = proc.dir().read("self/mountinfo", &mut buffer).unwrap();
        let mount = proc.mount_id(proc.as_fd()).unwrap();
        assert!(
            parse::mountinfo::parse(text).flatten().any(|info| info.mount_id == mount && info.raw_fs_type == b"proc")
        );
    }

    #[test]
    fn what_is_no_procfs_is_an_error_that_names_it() {
        let error = ProcRoot::at("/nonexistent").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Procfs);
        assert!(error.to_string().contains("/nonexistent"), "{error}");
    }
}
