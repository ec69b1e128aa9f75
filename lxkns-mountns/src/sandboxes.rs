//! Opening mount namespaces.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lxkns_core::identity_without_server;
use lxkns_core::model::NamespaceType;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::thread::CapabilitySet;

use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind};
use crate::namespace::{MountNamespace, reopen_namespace};
use crate::pool::Pool;
use crate::program::{HelperProgram, Program};

/// Options for helpers.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SandboxOptions {
    /// The helper program.
    pub program: HelperProgram,
    /// The maximum number of helpers at the same time, excluding stuck ones.
    pub at_once: usize,
}

impl Default for SandboxOptions {
    fn default() -> Self {
        Self { program: HelperProgram::Find, at_once: 8 }
    }
}

/// The helpers of one owner. A clone is another handle to the same helpers.
///
/// A thread starts the helpers and waits for them to end, until this and everything opened with it is dropped. Helpers
/// do not outlive the process.
#[derive(Clone, Debug)]
pub struct Sandboxes(Arc<Pool>);

/// A mount namespace to open.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Target<'a> {
    /// The namespace of an open descriptor.
    Fd(BorrowedFd<'a>),
    /// The namespace of an open descriptor, after entering this user namespace. Without this, the helper enters a user
    /// namespace only if necessary.
    FdThroughUser(BorrowedFd<'a>, BorrowedFd<'a>),
    /// The namespace at a path of the caller's: a bind mount, `/proc/PID/ns/mnt`, or `/proc/PID/fd/N` (the namespace
    /// that the descriptor is on, not the one that the process is in).
    Path(&'a Path),
    /// Nested namespaces, to any depth: the first path is the caller's, each further path is inside the mount namespace
    /// before it.
    Chain(&'a [&'a Path]),
}

impl Sandboxes {
    /// Finds the helper program, which is first run when it is needed.
    ///
    /// # Errors
    ///
    /// [`NoHelper`](ErrorKind::NoHelper); the kernel's, if no thread can be started, or there is no procfs.
    pub fn new(options: &SandboxOptions) -> Result<Self, Error> {
        Pool::new(Program::new(&options.program)?, options.at_once).map(|pool| Self(Arc::new(pool)))
    }

    /// Enters a mount namespace.
    ///
    /// `wait` is the timeout for the whole call. The helper enters the owning user namespace first if the caller has no
    /// privilege over the mount namespace but owns that user namespace.
    ///
    /// # Errors
    ///
    /// [`NotWanted`](ErrorKind::NotWanted): not a mount namespace. [`Denied`](ErrorKind::Denied). Others as for
    /// [`MountNamespace::open_namespace`].
    ///
    /// # Privileges
    ///
    /// `CAP_SYS_ADMIN` in the user namespace that owns the mount namespace, and `CAP_SYS_ADMIN` and `CAP_SYS_CHROOT` in
    /// the caller's. Or the caller owns that user namespace, or an ancestor of it that is a child of the caller's.
    ///
    /// # Minimum kernel version
    ///
    /// 4.11 (`statx(2)`).
    pub fn open(&self, target: Target<'_>, wait: Duration) -> Result<MountNamespace, Error> {
        let deadline = Deadline::after(wait);
        match target {
            Target::Fd(fd) => self.enter(owned(fd)?, None, deadline),
            Target::FdThroughUser(fd, user) => self.enter(owned(fd)?, Some(owned(user)?), deadline),
            Target::Path(path) => self.enter(self.open_own(path, deadline)?, None, deadline),
            Target::Chain(paths) => {
                let (first, rest) =
                    paths.split_first().ok_or_else(|| Error::new(ErrorKind::NotFound, "open a chain of no paths"))?;
                let mut namespace = self.enter(self.open_own(first, deadline)?, None, deadline)?;
                for path in rest {
                    let next = namespace.open_namespace(path.as_os_str().as_bytes(), None, deadline.left())?;
                    // End its helper before the next one starts.
                    drop(namespace);
                    namespace = self.enter(next, None, deadline)?;
                }
                Ok(namespace)
            }
        }
    }

    /// The PIDs of the helpers that have not ended, for callers that leave them out of their results.
    pub fn helpers(&self) -> Vec<u32> {
        self.0.spawner().helpers()
    }

    /// The PIDs of the helpers that did not answer in time. They have been killed, and end when their file system
    /// answers or vanishes.
    pub fn abandoned(&self) -> Vec<u32> {
        self.0.spawner().abandoned()
    }

    fn enter(&self, fd: OwnedFd, user: Option<OwnedFd>, deadline: Deadline) -> Result<MountNamespace, Error> {
        const OPERATION: &str = "NS_GET_NSTYPE of a mount namespace";
        let id = identity_without_server(&fd).map_err(|errno| Error::call("statx of a mount namespace", errno))?;
        if id.dev != self.0.nsfs() {
            // An ioctl on a device could do anything.
            return Err(Error::new(ErrorKind::NotWanted, "statx of a mount namespace: no namespace"));
        }
        match lxkns_sys::ns_get_nstype(&fd) {
            Ok(flag) if flag == NamespaceType::Mnt.clone_flag() => {}
            Ok(_) => return Err(Error::new(ErrorKind::NotWanted, OPERATION)),
            Err(errno) => return Err(Error::call(OPERATION, errno)),
        }
        let user = user.or_else(|| user_namespace_to_enter(&self.0, &fd));
        MountNamespace::enter(&self.0, fd, user, deadline)
    }

    /// Opens a namespace at a path of the caller's, which can lead over a dead file system.
    fn open_own(&self, path: &Path, deadline: Deadline) -> Result<OwnedFd, Error> {
        let what = || format!("open {}", path.display());
        let pinned = match lxkns_sys::open_cached(rustix::fs::CWD, path, OFlags::empty(), ResolveFlags::empty()) {
            Err(Errno::AGAIN | Errno::NOSYS | Errno::PERM | Errno::INVAL) => {
                let path = PathBuf::from(path);
                let open = move || rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
                let opened = lxkns_sys::in_time("lxkns-open", deadline.left(), open)
                    .map_err(|error| Error::io(ErrorKind::Other, "start a thread", &error))?;
                opened.ok_or_else(|| Error::timed_out(what(), None))?
            }
            answer => answer,
        };
        match pinned {
            Ok(pinned) => reopen_namespace(&self.0, pinned, None),
            Err(errno) => Err(Error::call(what(), errno)),
        }
    }
}

/// Duplicates a descriptor. An `O_PATH` descriptor cannot be entered.
fn owned(fd: BorrowedFd<'_>) -> Result<OwnedFd, Error> {
    fd.try_clone_to_owned().map_err(|error| Error::io(ErrorKind::Other, "fcntl(F_DUPFD_CLOEXEC)", &error))
}

/// The user namespace to enter before this mount namespace: its owner, if the caller cannot enter without it.
fn user_namespace_to_enter(pool: &Pool, mount_namespace: &OwnedFd) -> Option<OwnedFd> {
    // An owner that is not visible is not a descendant of the caller's user namespace; entering directly gives the
    // right error.
    let owner = lxkns_sys::ns_get_userns(mount_namespace).ok()?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let own = rustix::fs::openat(pool.procfs(), c"thread-self/ns/user", flags, Mode::empty()).ok()?;
    if identity_without_server(&owner).ok()? == identity_without_server(&own).ok()? {
        return None;
    }
    // The owner is a descendant of the caller's user namespace, so the caller's capabilities count there.
    let capabilities = rustix::thread::capabilities(None).map(|sets| sets.effective);
    let needed = CapabilitySet::SYS_ADMIN | CapabilitySet::SYS_CHROOT;
    let is_privileged = capabilities.is_ok_and(|effective| effective.contains(needed));
    (!is_privileged).then_some(owner)
}
