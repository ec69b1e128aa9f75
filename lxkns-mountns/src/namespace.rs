//! A mount namespace with a helper inside.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use lxkns_core::model::{DeviceNumber, NamespaceId};
use lxkns_core::{MOST_STUCK, Stuck, identity_without_server};
use lxkns_sys::close_elsewhere;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, StatxFlags, major, minor};
use rustix::io::Errno;

use crate::crossed::{self, Crossed};
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, OPEN};
use crate::helper::{Failure, Helper, NotReceived};
use crate::pool::Pool;
use crate::protocol::Want;

/// The longest list of mounts that is read, in bytes. By default, the kernel allows 100,000 mounts for each namespace.
const LONGEST_LIST: usize = 256 << 20;

/// A mount namespace, with a helper inside. Dropping it ends the helper.
///
/// All methods can be called from several threads; calls to the helper take turns.
#[derive(Debug)]
pub struct MountNamespace {
    pool: Arc<Pool>,
    namespace: OwnedFd,
    user_namespace: Option<OwnedFd>,
    id: NamespaceId,
    mountinfo: Mutex<Result<OwnedFd, NotReceived>>,
    turn: Mutex<Turn>,
    next: Condvar,
}

/// The helper, and whether a thread uses it.
#[derive(Debug)]
struct Turn {
    is_taken: bool,
    /// `None` while a thread uses it, and after it was abandoned.
    helper: Option<Helper>,
    pid: Option<u32>,
}

impl MountNamespace {
    /// Enters a descriptor that is known to be a mount namespace.
    pub(crate) fn enter(
        pool: &Arc<Pool>,
        namespace: OwnedFd,
        user_namespace: Option<OwnedFd>,
        deadline: Deadline,
    ) -> Result<Self, Error> {
        let id =
            identity_without_server(&namespace).map_err(|errno| Error::call("statx of the mount namespace", errno))?;
        let user = user_namespace.as_ref().map(|fd| fd.as_fd());
        let (helper, mountinfo) = Helper::start(pool, namespace.as_fd(), user, deadline)?;
        Ok(Self {
            pool: Arc::clone(pool),
            namespace,
            user_namespace,
            id,
            mountinfo: Mutex::new(mountinfo),
            turn: Mutex::new(Turn { is_taken: false, pid: Some(helper.pid()), helper: Some(helper) }),
            next: Condvar::new(),
        })
    }

    /// The identity of the mount namespace.
    pub fn id(&self) -> NamespaceId {
        self.id
    }

    /// The PID of the helper, if there is one now.
    pub fn helper(&self) -> Option<u32> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner).pid
    }

    /// All mounts of the namespace in the form of `/proc/PID/mountinfo` (`proc_pid_mountinfo(5)`), read again on each
    /// call. Complete, except for mounts below a root that is covered by another mount.
    ///
    /// This asks no server of a file system and needs no helper, so it also works after
    /// [`TimedOut`](ErrorKind::TimedOut).
    ///
    /// # Errors
    ///
    /// [`TooLong`](ErrorKind::TooLong) above 256 MiB; the kernel's, if the helper could not open it.
    pub fn mountinfo(&self) -> Result<Vec<u8>, Error> {
        const OPERATION: &str = "read mountinfo of the mount namespace";
        let mountinfo = self.mountinfo.lock().unwrap_or_else(PoisonError::into_inner);
        let mountinfo = mountinfo.as_ref().map_err(|why| why.error(OPERATION))?;
        let mut text = Vec::new();
        // The kernel gives little more than a page for each read.
        let mut piece = [0; 16 * 1024];
        while text.len() < LONGEST_LIST {
            let count = rustix::io::retry_on_intr(|| rustix::io::pread(mountinfo, &mut piece, text.len() as u64))
                .map_err(|errno| Error::call(OPERATION, errno))?;
            match &piece[..count] {
                [] => return Ok(text),
                read => text.extend_from_slice(read),
            }
        }
        Err(Error::new(ErrorKind::TooLong, OPERATION))
    }

    /// Opens the namespace `want`, or any, that is bind-mounted at this path below the root of the mount namespace.
    ///
    /// The descriptor is verified. It works for ioctls and `setns(2)`, and can be opened as a mount namespace in turn.
    ///
    /// # Errors
    ///
    /// [`NotWanted`](ErrorKind::NotWanted): another file is there. [`TimedOut`](ErrorKind::TimedOut),
    /// [`Avoided`](ErrorKind::Avoided), [`Busy`](ErrorKind::Busy). Others are the kernel's.
    pub fn open_namespace(&self, path: &[u8], want: Option<NamespaceId>, wait: Duration) -> Result<OwnedFd, Error> {
        let nsfs = self.pool.nsfs();
        let want_there = match want {
            Some(id) => Want::Namespace { major: major(id.dev), minor: minor(id.dev), ino: id.ino },
            None => Want::AnyNamespace { major: major(nsfs), minor: minor(nsfs) },
        };
        let pinned = self.open(want_there, path, Deadline::after(wait))?;
        reopen_namespace(&self.pool, pinned, want)
    }

    /// Opens a regular file or directory with `O_PATH`, which does not ask the file system to open it (`open(2)`). Take
    /// care before you reopen it: its file system can have a dead server, and reading some files (as in procfs) can
    /// block.
    ///
    /// # Errors
    ///
    /// As for [`open_namespace`](Self::open_namespace). Devices, FIFOs, sockets and symbolic links are
    /// [`NotWanted`](ErrorKind::NotWanted).
    pub fn open_path(&self, path: &[u8], wait: Duration) -> Result<OwnedFd, Error> {
        let fd = self.open(Want::FileOrDirectory, path, Deadline::after(wait))?;
        match file_type(&fd) {
            Ok(FileType::RegularFile | FileType::Directory) => Ok(fd),
            Ok(_) => {
                close_elsewhere(fd);
                Err(not_wanted())
            }
            Err(errno) => Err(Error::call("statx of what the helper has opened", errno)),
        }
    }

    /// Ends the helper, as dropping this does.
    pub fn close(self) {}

    fn open(&self, want: Want, path: &[u8], deadline: Deadline) -> Result<OwnedFd, Error> {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut turn, _) = self
            .next
            .wait_timeout_while(turn, deadline.left(), |turn| turn.is_taken)
            .unwrap_or_else(PoisonError::into_inner);
        if turn.is_taken {
            return Err(Error::new(ErrorKind::Busy, "open in mount namespace: wait for others who ask"));
        }
        turn.is_taken = true;
        let mut helper = turn.helper.take();
        drop(turn);
        let opened = self.ask(&mut helper, want, path, deadline);
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        *turn = Turn { is_taken: false, pid: helper.as_ref().map(Helper::pid), helper };
        self.next.notify_one();
        opened
    }

    /// Calls the helper, or a new one if the last was abandoned. Removes a helper that is not usable any more.
    fn ask(&self, current: &mut Option<Helper>, want: Want, path: &[u8], deadline: Deadline) -> Result<OwnedFd, Error> {
        let helper = match current {
            Some(helper) => helper,
            None => {
                let user = self.user_namespace.as_ref().map(|fd| fd.as_fd());
                current.insert(Helper::start(&self.pool, self.namespace.as_fd(), user, deadline)?.0)
            }
        };
        let avoided = self.pool.avoided();
        // Stuck helpers of other runs matter only if the path is not in the kernel's cache.
        let may_walk = avoided.is_empty() && self.pool.stuck_lately().is_some_and(|stuck| stuck.is_empty());
        let mut opened = helper.open(want, may_walk, path, deadline);
        if !may_walk
            && let Err(Failure::Refused(error)) = &opened
            && error.is_any(&[Errno::AGAIN, Errno::NOSYS, Errno::PERM, Errno::INVAL])
        {
            self.may_ask(&avoided, path)?;
            opened = helper.open(want, true, path, deadline);
        }
        match opened {
            Ok(fd) => Ok(fd),
            Err(Failure::Refused(error)) => Err(error),
            Err(Failure::Broken(error)) => {
                *current = None;
                Err(error)
            }
            Err(Failure::Silent(walking)) => {
                let pid = current.take().map(Helper::abandon);
                // If they cannot be read, it is not known which file system was asked, so none is avoided.
                let crossed = self.crossed(path).unwrap_or_default();
                let asked = match walking {
                    Some(offset) => crossed::asked(&crossed, offset),
                    None => crossed::asked_at_end(&crossed, path),
                };
                let mut operation = String::from("open in mount namespace");
                if let Some((major, minor)) = asked {
                    self.pool.avoid((major, minor));
                    operation += &format!(", over file system {major}:{minor}");
                }
                Err(Error::timed_out(operation, pid))
            }
        }
    }

    /// Whether a path that is not in the kernel's cache may be looked up: it leads over no avoided file system.
    fn may_ask(&self, avoided: &[(u32, u32)], path: &[u8]) -> Result<(), Error> {
        let stuck = self.pool.stuck()?;
        if stuck.len() >= MOST_STUCK {
            let operation = "open in mount namespace: too many processes wait for file systems";
            return Err(Error::new(ErrorKind::Busy, operation));
        }
        if avoided.is_empty() && stuck.is_empty() {
            return Ok(());
        }
        // The list of mounts is read only now, as it can be long.
        for mount in self.crossed(path)? {
            let (major, minor) = mount.device;
            if avoided.contains(&mount.device) {
                return Err(Error::new(ErrorKind::Avoided, OPEN));
            }
            let waits = |stuck: &&Stuck| stuck.file_system == Some(DeviceNumber { major, minor });
            if let Some(Stuck { pid, .. }) = stuck.iter().find(waits).filter(|_| mount.has_server) {
                let operation =
                    format!("open in mount namespace, over file system {major}:{minor}: process {pid} waits for it");
                return Err(Error::new(ErrorKind::Avoided, operation));
            }
        }
        Ok(())
    }

    /// The mounts that a path leads over.
    fn crossed(&self, path: &[u8]) -> Result<Vec<Crossed>, Error> {
        Ok(crossed::mounts(&self.mountinfo()?, path))
    }
}

/// Reopens an `O_PATH` descriptor for ioctls, after checking that it is on a namespace, and on this one.
pub(crate) fn reopen_namespace(pool: &Pool, pinned: OwnedFd, want: Option<NamespaceId>) -> Result<OwnedFd, Error> {
    let is_wanted = |id: NamespaceId| id.dev == pool.nsfs() && want.is_none_or(|want| want == id);
    let verified = |fd: BorrowedFd<'_>| match identity_without_server(fd) {
        Ok(id) if is_wanted(id) => Ok(()),
        Ok(_) => Err(not_wanted()),
        Err(errno) => Err(Error::call("statx of a namespace", errno)),
    };
    if let Err(error) = verified(pinned.as_fd()) {
        // It can be any file, even the last descriptor on a file system whose server must be told of the close.
        close_elsewhere(pinned);
        return Err(error);
    }
    let path = format!("thread-self/fd/{}", pinned.as_raw_fd());
    let fd = rustix::fs::openat(pool.procfs(), path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| Error::call("open a namespace through /proc/thread-self/fd", errno))?;
    verified(fd.as_fd()).map(|()| fd)
}

fn not_wanted() -> Error {
    Error::new(ErrorKind::NotWanted, "look at what was opened")
}

const LOOK: AtFlags = AtFlags::EMPTY_PATH.union(AtFlags::STATX_DONT_SYNC).union(AtFlags::NO_AUTOMOUNT);

fn file_type(fd: impl AsFd) -> Result<FileType, Errno> {
    let stat = rustix::fs::statx(fd, c"", LOOK, StatxFlags::TYPE)?;
    Ok(FileType::from_raw_mode(stat.stx_mode.into()))
}
