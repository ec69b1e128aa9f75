//! kcmp(2).

use std::cmp::Ordering;
use std::os::fd::{AsFd, AsRawFd as _};

use rustix::io::Errno;

use crate::checked;

const KCMP_FILE: libc::c_int = 0;
const KCMP_VM: libc::c_int = 1;
const KCMP_FILES: libc::c_int = 2;
const KCMP_FS: libc::c_int = 3;

/// How the descriptor tables of two tasks compare: `Equal` means that they share one. The order of different tables has
/// no meaning, but is stable, so tables can be sorted by it.
///
/// # Errors
///
/// `EPERM`: see below. `ESRCH`: one of the tasks has vanished. `ENOSYS`: the kernel was built without this call.
/// `ENOTSUP`: the tables differ, and the kernel does not order them.
///
/// # Privileges
///
/// Ptrace read access to both (`ptrace(2)`).
///
/// # Minimum kernel version
///
/// 3.5; see `kcmp(2)`.
#[doc(alias = "kcmp")]
#[doc(alias = "KCMP_FILES")]
pub fn kcmp_files(tid1: u32, tid2: u32) -> Result<Ordering, Errno> {
    // SAFETY: kcmp takes five integers and touches no memory of ours.
    let returned = unsafe { libc::syscall(libc::SYS_kcmp, tid1, tid2, KCMP_FILES, 0, 0) };
    match checked(returned)? {
        0 => Ok(Ordering::Equal),
        1 => Ok(Ordering::Less),
        2 => Ok(Ordering::Greater),
        // 3: "not equal, but ordering information is unavailable".
        _ => Err(Errno::NOTSUP),
    }
}

/// Whether two tasks share one root directory, working directory and umask (`CLONE_FS`).
///
/// # Errors
///
/// `EPERM`: see below. `ESRCH`: one of the tasks has vanished. `ENOSYS`: the kernel was built without this call.
///
/// # Privileges
///
/// Ptrace read access to both (`ptrace(2)`).
///
/// # Minimum kernel version
///
/// 3.5; see `kcmp(2)`.
#[doc(alias = "KCMP_FS")]
pub fn kcmp_fs(tid1: u32, tid2: u32) -> Result<bool, Errno> {
    // SAFETY: kcmp takes five integers and touches no memory of ours.
    let returned = unsafe { libc::syscall(libc::SYS_kcmp, tid1, tid2, KCMP_FS, 0, 0) };
    checked(returned).map(|order| order == 0)
}

/// Whether two tasks share one memory (`CLONE_VM`).
///
/// # Errors
///
/// As [`kcmp_fs`].
///
/// # Privileges
///
/// As [`kcmp_fs`].
///
/// # Minimum kernel version
///
/// As [`kcmp_fs`].
#[doc(alias = "KCMP_VM")]
pub fn kcmp_vm(tid1: u32, tid2: u32) -> Result<bool, Errno> {
    // SAFETY: kcmp takes five integers and touches no memory of ours.
    let returned = unsafe { libc::syscall(libc::SYS_kcmp, tid1, tid2, KCMP_VM, 0, 0) };
    checked(returned).map(|order| order == 0)
}

/// Whether two descriptors of the calling process refer to one open file description, with one position and one set of
/// flags.
///
/// # Errors
///
/// `ENOSYS`: the kernel was built without this call. `EBADF`: a descriptor is not open. `EPERM`: see below.
///
/// # Privileges
///
/// Ptrace read access to the process itself, which a filter of system calls or Yama can deny.
///
/// # Minimum kernel version
///
/// 3.5; see `kcmp(2)`.
#[doc(alias = "KCMP_FILE")]
pub fn is_same_file(one: impl AsFd, other: impl AsFd) -> Result<bool, Errno> {
    // SAFETY: it takes nothing.
    let own = unsafe { libc::syscall(libc::SYS_getpid) };
    let (one, other) = (one.as_fd().as_raw_fd(), other.as_fd().as_raw_fd());
    // SAFETY: it takes five numbers.
    let returned = unsafe { libc::syscall(libc::SYS_kcmp, own, own, KCMP_FILE, one, other) };
    checked(returned).map(|order| order == 0)
}
