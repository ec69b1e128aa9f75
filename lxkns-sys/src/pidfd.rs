//! pidfds of tasks, and the namespace ioctls of pidfds.

use std::ffi::c_ulong;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;

use crate::checked_fd;
use crate::nsfs::ioctl_fd;

const PIDFS_IOCTL_MAGIC: c_ulong = 0xff;
const PIDFD_THREAD: libc::c_uint = libc::O_EXCL as libc::c_uint;

/// The namespaces that a pidfd can return, with the numbers of their ioctls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum PidfdNamespace {
    /// `PIDFD_GET_MNT_NAMESPACE`.
    Mnt = 3,
    /// `PIDFD_GET_PID_NAMESPACE`.
    Pid = 5,
    /// `PIDFD_GET_PID_FOR_CHILDREN_NAMESPACE`: works even if the link `pid_for_children` is not readable because that
    /// namespace never had a process.
    PidForChildren = 6,
    /// `PIDFD_GET_TIME_FOR_CHILDREN_NAMESPACE`.
    TimeForChildren = 8,
    /// `PIDFD_GET_USER_NAMESPACE`.
    User = 9,
}

/// A descriptor on a namespace of the process or task that the pidfd refers to.
///
/// # Errors
///
/// `ESRCH`: it has vanished. `ENOTTY`, `EINVAL`: the kernel lacks this ioctl.
///
/// # Privileges
///
/// Ptrace read access to the process (`ptrace(2)`).
///
/// # Minimum kernel version
///
/// 6.11; `include/uapi/linux/pidfd.h`.
#[doc(alias = "PIDFD_GET_MNT_NAMESPACE")]
#[doc(alias = "PIDFD_GET_PID_NAMESPACE")]
#[doc(alias = "PIDFD_GET_PID_FOR_CHILDREN_NAMESPACE")]
#[doc(alias = "PIDFD_GET_TIME_FOR_CHILDREN_NAMESPACE")]
#[doc(alias = "PIDFD_GET_USER_NAMESPACE")]
pub fn pidfd_get_namespace(pidfd: impl AsFd, which: PidfdNamespace) -> Result<OwnedFd, Errno> {
    // SAFETY: the request takes no argument and returns a new descriptor.
    unsafe { ioctl_fd(pidfd, (PIDFS_IOCTL_MAGIC << 8) | which as c_ulong) }
}

/// A pidfd of one task: `pidfd_getfd(2)` then takes descriptors from that task's table.
///
/// # Errors
///
/// `ESRCH`: there is no such task. `EINVAL`: the kernel lacks `PIDFD_THREAD`.
///
/// # Privileges
///
/// None; using the pidfd can require some.
///
/// # Minimum kernel version
///
/// 6.9; see `pidfd_open(2)`.
#[doc(alias = "PIDFD_THREAD")]
pub fn pidfd_open_thread(tid: u32) -> Result<OwnedFd, Errno> {
    // SAFETY: pidfd_open takes two integers and returns a new descriptor.
    let returned = unsafe { libc::syscall(libc::SYS_pidfd_open, tid, PIDFD_THREAD) };
    checked_fd(returned)
}
