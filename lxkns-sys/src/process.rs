//! Facts about the calling process, and the I/O priority of tasks.

use std::os::fd::OwnedFd;

use rustix::io::Errno;

use crate::{checked, checked_fd};

/// Whether the program has more privileges than whoever started it: it is set-user-ID or set-group-ID, or its file has
/// capabilities. It must then not trust its environment.
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
    // SAFETY: it takes an integer, and reads the auxiliary vector, which the kernel wrote at program start.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// The I/O scheduling class (from bit 13 on) and priority of a task; 0 is the calling one.
///
/// # Errors
///
/// `ESRCH`: there is no such task. `ENOSYS`: the kernel was built without block devices.
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

/// The monotonic clock, in nanoseconds: as the kernel dates events.
///
/// # Privileges
///
/// None.
///
/// # Minimum kernel version
///
/// Any; see `clock_gettime(2)`.
#[doc(alias = "CLOCK_MONOTONIC")]
pub fn monotonic_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: there is room for one time. Every kernel has this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
}

/// A copy, numbered 3 or above, of the descriptor that the process has inherited with this number.
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

/// Takes the descriptor that the process has inherited with this number: returns a copy, numbered 3 or above, and has the
/// original closed in programs that the process runs.
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
#[doc(alias = "F_SETFD")]
pub fn take_inherited(number: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: it takes three numbers; the flag changes nothing about what is open.
    checked(unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) }.into())?;
    copy_inherited(number)
}

/// Moves the calling thread to a new network namespace.
///
/// # Errors
///
/// `EPERM`: access denied. `ENOSPC`: there are too many network namespaces.
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
    // SAFETY: it reads and writes no memory, and changes no descriptor.
    checked(unsafe { libc::syscall(libc::SYS_unshare, libc::CLONE_NEWNET) }).map(drop)
}
