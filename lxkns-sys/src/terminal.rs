//! Process groups of terminals, whose numbers can be 0.

use std::os::fd::{AsFd, AsRawFd};

use rustix::io::Errno;

use crate::checked;

/// The ID of the foreground process group of the caller's controlling terminal; 0 if the group has no ID in the
/// caller's PID namespace. Does not allocate.
///
/// # Errors
///
/// `ENOTTY`: not the caller's controlling terminal. `EIO`: the terminal has hung up.
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

/// The ID of the caller's process group; 0 if the group has no ID in the caller's PID namespace because it was created
/// outside. Does not allocate.
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
