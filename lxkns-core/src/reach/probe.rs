//! Tests which newer interfaces of the kernel work, with calls about the caller itself.
//!
//! Discovery does not need this: it tries each interface when it needs it. This tells a user what to expect of a host,
//! and why something is missing.

use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, StatxFlags};
use rustix::io::Errno;
use rustix::process::{PidfdFlags, PidfdGetfdFlags};

use lxkns_sys::{LISTNS_ALL_USER_NAMESPACES, NsHandle, PidfdNamespace, StatmountMask};

use crate::failure;
use crate::model;
use crate::procfs::ProcRoot;
use crate::reach;

/// An interface that some kernels lack, and that a seccomp filter can deny.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Interface {
    /// Opening a namespace by its handle, the only way to those that only the kernel lists.
    OpenByHandleAt,
    /// Comparing descriptor tables.
    Kcmp,
    /// Identifying the file of a descriptor without asking a server.
    Statx,
    /// pidfds of processes.
    PidfdOpen,
    /// Looking up paths in the kernel's cache alone.
    Openat2,
    /// Copies of descriptors of other processes.
    PidfdGetfd,
    /// The mount that a descriptor is on.
    StatxMntId,
    /// The mounts of a mount namespace.
    Listmount,
    /// Facts about one mount.
    Statmount,
    /// pidfds of tasks.
    PidfdThread,
    /// The unique ID of a mount namespace.
    NsGetMntnsId,
    /// The namespaces of a process by its pidfd.
    PidfdGetNamespace,
    /// The kernel's list of mount namespaces.
    NsMntGet,
    /// The unique ID of any namespace.
    NsGetId,
    /// The kernel's list of all namespaces.
    Listns,
}

impl Interface {
    /// All, oldest first.
    pub const ALL: [Self; 15] = [
        Self::OpenByHandleAt,
        Self::Kcmp,
        Self::Statx,
        Self::PidfdOpen,
        Self::Openat2,
        Self::PidfdGetfd,
        Self::StatxMntId,
        Self::Listmount,
        Self::Statmount,
        Self::PidfdThread,
        Self::NsGetMntnsId,
        Self::PidfdGetNamespace,
        Self::NsMntGet,
        Self::NsGetId,
        Self::Listns,
    ];

    /// The kernel's name of it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenByHandleAt => "open_by_handle_at",
            Self::Kcmp => "kcmp",
            Self::Statx => "statx",
            Self::PidfdOpen => "pidfd_open",
            Self::Openat2 => "openat2",
            Self::PidfdGetfd => "pidfd_getfd",
            Self::StatxMntId => "STATX_MNT_ID",
            Self::Listmount => "listmount",
            Self::Statmount => "statmount",
            Self::PidfdThread => "PIDFD_THREAD",
            Self::NsGetMntnsId => "NS_GET_MNTNS_ID",
            Self::PidfdGetNamespace => "PIDFD_GET_*_NAMESPACE",
            Self::NsMntGet => "NS_MNT_GET_*",
            Self::NsGetId => "NS_GET_ID",
            Self::Listns => "listns",
        }
    }

    /// The first Linux release that has it, as major and minor number. Only for display: the code tries interfaces and
    /// compares no versions.
    pub const fn since(self) -> (u32, u32) {
        match self {
            Self::OpenByHandleAt => (2, 6),
            Self::Kcmp => (3, 5),
            Self::Statx => (4, 11),
            Self::PidfdOpen => (5, 3),
            Self::Openat2 | Self::PidfdGetfd => (5, 6),
            Self::StatxMntId => (5, 8),
            Self::Listmount | Self::Statmount => (6, 8),
            Self::PidfdThread => (6, 9),
            Self::NsGetMntnsId | Self::PidfdGetNamespace => (6, 11),
            Self::NsMntGet => (6, 12),
            Self::NsGetId => (6, 18),
            Self::Listns => (6, 19),
        }
    }

    /// Tries the interface on something of the caller's own: whether it answers. `proc` is the caller's own procfs. `false`:
    /// the kernel lacks it and gives no error, which only happens to [`StatxMntId`](Self::StatxMntId).
    ///
    /// # Errors
    ///
    /// The kernel's. `ENOSYS`, `ENOTTY`, `EINVAL`: the kernel lacks it. A seccomp filter can return any error, most often `ENOSYS` or `EPERM`. `EPERM` from the kernel's lists
    /// also means that the caller lacks the privilege. `ESTALE` from [`OpenByHandleAt`](Self::OpenByHandleAt): the
    /// kernel has handles, but an ID alone opens nothing.
    ///
    /// # Privileges
    ///
    /// None, except for [`NsMntGet`](Self::NsMntGet), [`Listns`](Self::Listns) and
    /// [`OpenByHandleAt`](Self::OpenByHandleAt): `CAP_SYS_ADMIN`, and the initial PID namespace.
    pub fn ask(self, proc: &ProcRoot) -> Result<bool, model::Errno> {
        let answers = match self {
            Self::StatxMntId => statx_mnt_id(),
            _ => self.call(proc).map(|()| true),
        };
        answers.map_err(failure::public_errno)
    }

    fn call(self, proc: &ProcRoot) -> Result<(), Errno> {
        let own = |name: &str| reach::open_link(proc, &format!("thread-self/ns/{name}"));
        match self {
            Self::OpenByHandleAt => {
                let id = lxkns_sys::ns_get_id(own("uts")?)?;
                lxkns_sys::open_namespace_by_handle(NsHandle { id, ns_type: 0, ino: 0 }).map(drop)
            }
            Self::Kcmp => kcmp(),
            Self::Statx => rustix::fs::statx(CWD, c"/", AtFlags::STATX_DONT_SYNC, StatxFlags::INO).map(drop),
            Self::PidfdOpen => pidfd_open(),
            Self::Openat2 => openat2(),
            Self::PidfdGetfd => pidfd_getfd(),
            Self::StatxMntId => statx_mnt_id().map(drop),
            Self::Listmount => listmount().map(drop),
            Self::Statmount => lxkns_sys::statmount(0, listmount()?, StatmountMask::FS_TYPE, &mut Vec::new()).map(drop),
            Self::PidfdThread => pidfd_open_thread(),
            Self::NsGetMntnsId => lxkns_sys::ns_get_mntns_id(own("mnt")?).map(drop),
            Self::PidfdGetNamespace => pid_for_children(),
            Self::NsMntGet => match lxkns_sys::ns_mnt_get_next(own("mnt")?) {
                // The caller's namespace is the last one.
                Ok(_) | Err(Errno::NOENT) => Ok(()),
                Err(errno) => Err(errno),
            },
            Self::NsGetId => lxkns_sys::ns_get_id(own("uts")?).map(drop),
            Self::Listns => lxkns_sys::listns(0, 0, LISTNS_ALL_USER_NAMESPACES, &mut [0; 8]).map(drop),
        }
    }
}

fn own_tid() -> u32 {
    rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs()
}

fn pidfd() -> Result<OwnedFd, Errno> {
    rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty())
}

pub(crate) fn kcmp() -> Result<(), Errno> {
    lxkns_sys::kcmp_files(own_tid(), own_tid()).map(drop)
}

pub(crate) fn pidfd_open() -> Result<(), Errno> {
    pidfd().map(drop)
}

pub(crate) fn pidfd_open_thread() -> Result<(), Errno> {
    lxkns_sys::pidfd_open_thread(own_tid()).map(drop)
}

pub(crate) fn pidfd_getfd() -> Result<(), Errno> {
    let pidfd = pidfd()?;
    rustix::process::pidfd_getfd(&pidfd, pidfd.as_raw_fd(), PidfdGetfdFlags::empty()).map(drop)
}

pub(crate) fn pid_for_children() -> Result<(), Errno> {
    lxkns_sys::pidfd_get_namespace(pidfd()?, PidfdNamespace::PidForChildren).map(drop)
}

/// A lookup in the kernel's cache alone, as in discovery; EAGAIN means that the path is not cached.
fn openat2() -> Result<(), Errno> {
    match rustix::fs::openat2(CWD, c".", OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::CACHED) {
        Ok(_) | Err(Errno::AGAIN) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// A kernel that lacks a requested field leaves it out.
fn statx_mnt_id() -> Result<bool, Errno> {
    let stat = rustix::fs::statx(CWD, c"/", AtFlags::STATX_DONT_SYNC, StatxFlags::MNT_ID)?;
    Ok(stat.stx_mask & StatxFlags::MNT_ID.bits() != 0)
}

/// The ID of a mount in the caller's mount namespace, which the number 0 stands for.
fn listmount() -> Result<u64, Errno> {
    let mut ids = [0; 1];
    lxkns_sys::listmount(0, 0, &mut ids)?;
    Ok(ids[0])
}
