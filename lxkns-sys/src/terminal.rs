//! Process groups of terminals, by numbers that can be 0.

use std::os::fd::{AsFd, AsRawFd};

use rustix::io::Errno;

use crate::checked;

/// The number of the process group that is in the foreground of the terminal that controls the caller's session; 0 if
/// that has no number in the caller's PID namespace. Allocates nothing.
///
/// # Errors
///
/// `ENOTTY`: it is no terminal, or another than the one that controls the caller's session. `EIO`: it has hung up.
///
/// # Privileges
///
/// None.
///
/// # Minimum kernel version
///
/// Any; see `tcgetpgrp(3)`.
#[doc(alias = "TIOCGPGRP")]
pub fn tcgetpgrp(terminal: impl AsFd) -> Result<u32, Errno> {
    // SAFETY: it takes an integer.
    let returned = unsafe { libc::tcgetpgrp(terminal.as_fd().as_raw_fd()) };
    Ok(checked(returned.into())? as u32)
}

/// The number of the caller's own process group; 0 if that has no number in the caller's PID namespace, because it was
/// made outside. Allocates nothing.
///
/// # Privileges
///
/// None.
///
/// # Minimum kernel version
///
/// Any; see `getpgrp(2)`.
pub fn getpgrp() -> u32 {
    // SAFETY: it takes nothing, and cannot fail.
    let group = unsafe { libc::getpgrp() };
    group as u32
}
