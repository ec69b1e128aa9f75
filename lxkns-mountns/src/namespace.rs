//! A mount namespace that is looked into.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lxkns_core::model::NamespaceId;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, StatxFlags, major, makedev, minor};
use rustix::io::Errno;

use crate::crossed::{self, Crossed};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind};
use crate::helper::{Failure, Helper};
use crate::pool::Pool;
use crate::protocol::Want;

/// The longest list of mounts that is read. The kernel allows a namespace 100,000 mounts unless told otherwise.
const LONGEST_LIST: usize = 256 << 20;

/// A mount namespace, with a helper inside. Dropping it ends the helper.
///
/// All methods can be called from several threads; those that ask the helper take turns.
#[derive(Debug)]
pub struct MountNamespace {
    pool: Arc<Pool>,
    namespace: OwnedFd,
    user_namespace: Option<OwnedFd>,
    id: NamespaceId,
    mountinfo: Mutex<Result<OwnedFd, Errno>>,
    helper: Mutex<Option<Helper>>,
}

impl MountNamespace {
    /// Enters a mount namespace that has been verified to be one.
    pub(crate) fn enter(
        pool: &Arc<Pool>,
        namespace: OwnedFd,
        user_namespace: Option<OwnedFd>,
        deadline: Deadline,
    ) -> Result<Self, Error> {
        let id = identity(&namespace).map_err(|errno| Error::call("statx of the mount namespace", errno))?;
        let user = user_namespace.as_ref().map(|fd| fd.as_fd());
        let (helper, mountinfo) = Helper::start(pool, namespace.as_fd(), user, deadline)?;
        Ok(Self {
            pool: Arc::clone(pool),
            namespace,
            user_namespace,
            id,
            mountinfo: Mutex::new(mountinfo),
            helper: Mutex::new(Some(helper)),
        })
    }

    /// Which mount namespace it is.
    pub fn id(&self) -> NamespaceId {
        self.id
    }

    /// The process ID of the helper, if there is one at the moment.
    pub fn helper(&self) -> Option<u32> {
        self.helper.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(Helper::pid)
    }

    /// All mounts of the namespace, as text in the form of `/proc/PID/mountinfo` (`proc_pid_mountinfo(5)`), read anew
    /// each time. It is complete but for what lies below a root that has been mounted over.
    ///
    /// No file system's server is asked, and the helper is not needed: this works also after
    /// [`TimedOut`](ErrorKind::TimedOut).
    ///
    /// # Errors
    ///
    /// [`TooLong`](ErrorKind::TooLong), above 256 MiB; what the kernel says, if the helper could not open it.
    pub fn mountinfo(&self) -> Result<Vec<u8>, Error> {
        const OPERATION: &str = "read mountinfo of the mount namespace";
        let mountinfo = self.mountinfo.lock().unwrap_or_else(PoisonError::into_inner);
        let mountinfo = mountinfo.as_ref().map_err(|errno| Error::call(OPERATION, *errno))?;
        let mut text = Vec::with_capacity(16 * 1024);
        loop {
            let length = text.len();
            if length >= LONGEST_LIST {
                return Err(Error::new(ErrorKind::TooLong, OPERATION, Errno::FBIG));
            }
            text.resize(length + (length / 2).max(16 * 1024), 0);
            let count = rustix::io::retry_on_intr(|| rustix::io::pread(mountinfo, &mut text[length..], length as u64))
                .map_err(|errno| Error::call(OPERATION, errno))?;
            text.truncate(length + count);
            if count == 0 {
                return Ok(text);
            }
        }
    }

    /// Opens a namespace that is bind-mounted at this path, as the namespace's own root sees it: `want`, or any.
    ///
    /// What comes back is verified and can be asked, entered, and opened as a mount namespace in its turn.
    ///
    /// # Errors
    ///
    /// [`NotWanted`](ErrorKind::NotWanted): something else is there. [`TimedOut`](ErrorKind::TimedOut),
    /// [`Avoided`](ErrorKind::Avoided), [`Busy`](ErrorKind::Busy). Others as the kernel says.
    pub fn open_namespace(&self, path: &[u8], want: Option<NamespaceId>, wait: Duration) -> Result<OwnedFd, Error> {
        let nsfs = self.pool.nsfs();
        let want_there = match want {
            Some(id) => Want::Namespace { major: major(id.dev), minor: minor(id.dev), ino: id.ino },
            None => Want::AnyNamespace { major: major(nsfs), minor: minor(nsfs) },
        };
        let pinned = self.open(want_there, path, Deadline::after(wait))?;
        reopen_namespace(&self.pool, pinned, want)
    }

    /// Opens a regular file or a directory, with `O_PATH`: nothing in the file system has been asked to open it. See
    /// `open(2)` for what that is good for, and before it is opened any further: the file system can be somebody's who
    /// does not answer, and the file of a kind (as in procfs) of which reading can wait.
    ///
    /// # Errors
    ///
    /// As for [`open_namespace`](Self::open_namespace). Devices, FIFOs, sockets and symbolic links are
    /// [`NotWanted`](ErrorKind::NotWanted).
    pub fn open_path(&self, path: &[u8], wait: Duration) -> Result<OwnedFd, Error> {
        let fd = self.open(Want::FileOrDirectory, path, Deadline::after(wait))?;
        match file_type(&fd) {
            Ok(FileType::RegularFile | FileType::Directory) => Ok(fd),
            Ok(_) => Err(not_wanted(Errno::NXIO)),
            Err(errno) => Err(Error::call("statx of what the helper has opened", errno)),
        }
    }

    /// Ends the helper. The same as dropping it.
    pub fn close(self) {}

    fn open(&self, want: Want, path: &[u8], deadline: Deadline) -> Result<OwnedFd, Error> {
        let mut current = self.helper.lock().unwrap_or_else(PoisonError::into_inner);
        let mut helper = match current.take() {
            Some(helper) => helper,
            // The last one has been abandoned.
            None => {
                let user = self.user_namespace.as_ref().map(|fd| fd.as_fd());
                Helper::start(&self.pool, self.namespace.as_fd(), user, deadline)?.0
            }
        };
        let avoided = self.pool.avoided();
        let is_avoided = !avoided.is_empty() && self.crossed(path).iter().any(|mount| avoided.contains(&mount.device));
        match helper.open(want, !is_avoided, path, deadline) {
            Ok(fd) => {
                *current = Some(helper);
                Ok(fd)
            }
            Err(Failure::Refused(error)) => {
                *current = Some(helper);
                let not_cached = [Errno::AGAIN, Errno::NOSYS, Errno::PERM, Errno::INVAL].contains(&error.errno());
                if is_avoided && not_cached {
                    return Err(Error::new(ErrorKind::Avoided, "open in mount namespace", Errno::TIMEDOUT));
                }
                Err(error)
            }
            Err(Failure::Broken(error)) => Err(error),
            Err(Failure::Silent(walking)) => {
                let pid = helper.abandon();
                let crossed = self.crossed(path);
                let asked = match walking {
                    Some(offset) => crossed::asked(&crossed, offset),
                    None => crossed::asked_at_end(&crossed, path),
                };
                let mut operation = String::from("open in mount namespace");
                if let Some((major, minor)) = asked {
                    self.pool.avoid((major, minor));
                    operation += &format!(", over file system {major}:{minor}");
                }
                Err(Error::timed_out(operation, Some(pid)))
            }
        }
    }

    /// The mounts that a path leads over.
    fn crossed(&self, path: &[u8]) -> Vec<Crossed> {
        self.mountinfo().map_or_else(|_| Vec::new(), |text| crossed::mounts(&text, path))
    }
}

/// Opens for asking what an `O_PATH` descriptor is on, once it is known to be a namespace, and to be this one.
pub(crate) fn reopen_namespace(pool: &Pool, pinned: OwnedFd, want: Option<NamespaceId>) -> Result<OwnedFd, Error> {
    let is_wanted = |id: NamespaceId| id.dev == pool.nsfs() && want.is_none_or(|want| want == id);
    let verified = |fd: BorrowedFd<'_>| match identity(fd) {
        Ok(id) if is_wanted(id) => Ok(()),
        Ok(_) => Err(not_wanted(Errno::NXIO)),
        Err(errno) => Err(Error::call("statx of a namespace", errno)),
    };
    if let Err(error) = verified(pinned.as_fd()) {
        // It can be anything, also the last descriptor on a file system whose end its server has to be told.
        close_elsewhere(pinned);
        return Err(error);
    }
    let path = format!("thread-self/fd/{}", pinned.as_raw_fd());
    let fd = rustix::fs::openat(pool.procfs(), path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| Error::call("open a namespace through /proc/thread-self/fd", errno))?;
    verified(fd.as_fd()).map(|()| fd)
}

/// Closes a descriptor on a thread of its own, for which nobody waits.
pub(crate) fn close_elsewhere(fd: OwnedFd) {
    // Where no thread can be had the closure, and the descriptor in it, is dropped here: slow, but not lost.
    drop(std::thread::Builder::new().name("lxkns-close".into()).spawn(move || drop(fd)));
}

fn not_wanted(errno: Errno) -> Error {
    Error::new(ErrorKind::NotWanted, "look at what was opened", errno)
}

const LOOK: AtFlags = AtFlags::EMPTY_PATH.union(AtFlags::STATX_DONT_SYNC).union(AtFlags::NO_AUTOMOUNT);

/// Device and inode number of whatever a descriptor refers to, without asking any server of a file system.
pub(crate) fn identity(fd: impl AsFd) -> Result<NamespaceId, Errno> {
    let stat = rustix::fs::statx(fd, c"", LOOK, StatxFlags::INO)?;
    Ok(NamespaceId { ino: stat.stx_ino, dev: makedev(stat.stx_dev_major, stat.stx_dev_minor) })
}

fn file_type(fd: impl AsFd) -> Result<FileType, Errno> {
    let stat = rustix::fs::statx(fd, c"", LOOK, StatxFlags::TYPE)?;
    Ok(FileType::from_raw_mode(stat.stx_mode.into()))
}
