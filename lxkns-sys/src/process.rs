//! What a process knows of itself, and what its threads are scheduled by.

use std::os::fd::OwnedFd;

use rustix::io::Errno;

use crate::{checked, checked_fd};

/// Whether the program runs with powers that its caller does not have: set-user-ID, set-group-ID, or with
/// capabilities of its file. It should then take no instructions from its environment.
///
/// # Privileges
///
/// None.
///
/// # Minimum kernel version
///
/// Any; see `getauxval(3)`.
#[doc(alias = "AT_SECURE")]
pub fn at_secure() -> bool {
    // SAFETY: it takes an integer, and reads what the kernel has put above the stack when the program started.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// The I/O scheduling class and priority of a thread, 0 for the calling one: the class from bit 13 on.
///
/// # Errors
///
/// `ESRCH`: there is no such thread. `ENOSYS`: the kernel was built without block devices.
///
/// # Privileges
///
/// None; a security module can deny it.
///
/// # Minimum kernel version
///
/// 2.6.13; see `ioprio_get(2)`.
pub fn ioprio_get(thread: u32) -> Result<u32, Errno> {
    const IOPRIO_WHO_PROCESS: libc::c_int = 1;
    // SAFETY: it takes two numbers.
    let returned = unsafe { libc::syscall(libc::SYS_ioprio_get, IOPRIO_WHO_PROCESS, thread) };
    checked(returned).map(|priority| priority as u32)
}

/// A copy of a descriptor that the process has inherited under this number, at 3 or above.
///
/// # Errors
///
/// `EBADF`: it is not open.
///
/// # Privileges
///
/// None.
///
/// # Minimum kernel version
///
/// Any; see `fcntl(2)`.
#[doc(alias = "F_DUPFD_CLOEXEC")]
pub fn copy_inherited(number: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: it takes three numbers, and makes a descriptor.
    let copy = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) };
    checked_fd(copy.into())
}

/// Moves the calling thread to a new network namespace.
///
/// # Errors
///
/// `EPERM`: not allowed. `ENOSPC`: there are too many already.
///
/// # Privileges
///
/// `CAP_SYS_ADMIN` in the caller's user namespace.
///
/// # Minimum kernel version
///
/// 2.6.24; `unshare(2)`.
#[doc(alias = "unshare")]
#[doc(alias = "CLONE_NEWNET")]
pub fn unshare_network() -> Result<(), Errno> {
    // SAFETY: it reads and writes no memory, and no descriptor of any thread becomes another.
    checked(unsafe { libc::syscall(libc::SYS_unshare, libc::CLONE_NEWNET) }).map(drop)
}
