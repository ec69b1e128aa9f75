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

/// How helpers are run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SandboxOptions {
    /// Which program they are.
    pub program: HelperProgram,
    /// How many run at the same time at most, those not counted that are stuck.
    pub at_once: usize,
}

impl Default for SandboxOptions {
    fn default() -> Self {
        Self { program: HelperProgram::Find, at_once: 8 }
    }
}

/// The helpers of one owner. Cloning makes another handle on the same.
///
/// A thread of its own starts the helpers and waits for their ends, until this and all that was opened with it is
/// dropped. Nothing of it outlives the process.
#[derive(Clone, Debug)]
pub struct Sandboxes(Arc<Pool>);

/// A mount namespace to open.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Target<'a> {
    /// That of an open descriptor.
    Fd(BorrowedFd<'a>),
    /// That of an open descriptor, after entering this user namespace. Otherwise it is entered only where that is
    /// needed.
    FdThroughUser(BorrowedFd<'a>, BorrowedFd<'a>),
    /// That at a path of the caller's: a bind mount, `/proc/PID/ns/mnt`, `/proc/PID/fd/N` (the one that this
    /// descriptor is on, not the one that the process is in).
    Path(&'a Path),
    /// One inside another, to any depth: the first path is the caller's, each of the others one inside the mount
    /// namespace before it.
    Chain(&'a [&'a Path]),
}

impl Sandboxes {
    /// Finds the helper. It is first run when it is needed.
    ///
    /// # Errors
    ///
    /// [`NoHelper`](ErrorKind::NoHelper); and what the kernel says when there can be no thread, or no procfs.
    pub fn new(options: &SandboxOptions) -> Result<Self, Error> {
        Pool::new(Program::new(&options.program)?, options.at_once).map(|pool| Self(Arc::new(pool)))
    }

    /// Enters a mount namespace.
    ///
    /// `wait` is for all of it. A user namespace is entered first if the caller has no privilege over the mount
    /// namespace but owns the user namespace that owns it.
    ///
    /// # Errors
    ///
    /// [`NotWanted`](ErrorKind::NotWanted): not a mount namespace. [`Denied`](ErrorKind::Denied). Others as for
    /// [`MountNamespace::open_namespace`].
    ///
    /// # Privileges
    ///
    /// `CAP_SYS_ADMIN` in the user namespace that owns the mount namespace, `CAP_SYS_ADMIN` and `CAP_SYS_CHROOT` in the
    /// caller's own; or to own that user namespace, or one above it that is the child of the caller's.
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
                    // Its helper goes before the next one comes.
                    drop(namespace);
                    namespace = self.enter(next, None, deadline)?;
                }
                Ok(namespace)
            }
        }
    }

    /// The process IDs of the helpers that have not ended: who looks at processes may want to leave them out.
    pub fn helpers(&self) -> Vec<u32> {
        self.0.spawner().helpers()
    }

    /// Those of them that did not answer in time. They have been killed, and cannot end before the file system that
    /// they wait for answers or is gone.
    pub fn abandoned(&self) -> Vec<u32> {
        self.0.spawner().abandoned()
    }

    fn enter(&self, fd: OwnedFd, user: Option<OwnedFd>, deadline: Deadline) -> Result<MountNamespace, Error> {
        const OPERATION: &str = "NS_GET_NSTYPE of a mount namespace";
        let id = identity_without_server(&fd).map_err(|errno| Error::call("statx of a mount namespace", errno))?;
        if id.dev != self.0.nsfs() {
            // No ioctl is asked of what may be a device.
            return Err(Error::new(ErrorKind::NotWanted, "statx of a mount namespace: no namespace"));
        }
        match lxkns_sys::ns_get_nstype(&fd) {
            Ok(flag) if flag == NamespaceType::Mnt.clone_flag() => {}
            Ok(_) => return Err(Error::new(ErrorKind::NotWanted, OPERATION)),
            Err(errno) => return Err(Error::call(OPERATION, errno)),
        }
        let user = user.or_else(|| user_namespace_to_enter(&fd));
        MountNamespace::enter(&self.0, fd, user, deadline)
    }

    /// Opens a namespace at a path of the caller's own. The path can lead over a file system that does not answer.
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

/// A copy, to keep. One that was opened with `O_PATH` is of no use for entering.
fn owned(fd: BorrowedFd<'_>) -> Result<OwnedFd, Error> {
    fd.try_clone_to_owned().map_err(|error| Error::io(ErrorKind::Other, "fcntl(F_DUPFD_CLOEXEC)", &error))
}

/// The user namespace to enter before this mount namespace: its owner, unless the caller can do without.
fn user_namespace_to_enter(mount_namespace: &OwnedFd) -> Option<OwnedFd> {
    // Not visible from here: then it is none of ours, and going directly will say what is missing.
    let owner = lxkns_sys::ns_get_userns(mount_namespace).ok()?;
    let own = rustix::fs::stat("/proc/self/ns/user").ok()?;
    if identity_without_server(&owner).is_ok_and(|id| id.ino == own.st_ino) {
        return None;
    }
    // The owner is below the caller's user namespace, so that the caller's capabilities count there.
    let capabilities = rustix::thread::capabilities(None).map(|sets| sets.effective);
    let needed = CapabilitySet::SYS_ADMIN | CapabilitySet::SYS_CHROOT;
    let is_privileged = capabilities.is_ok_and(|effective| effective.contains(needed));
    (!is_privileged).then_some(owner)
}
