//! Becoming another program, with everything prepared beforehand.

use std::ffi::{CStr, CString, c_char};
use std::fmt;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

use rustix::io::Errno;

use crate::last_errno;

/// Strings as `execve(2)` takes them.
pub struct CStrings {
    // Both are boxed, so the pointers stay valid when this moves.
    strings: Box<[CString]>,
    pointers: Box<[*const c_char]>,
}

impl CStrings {
    /// These strings, in this order.
    pub fn new(strings: impl IntoIterator<Item = CString>) -> Self {
        let strings: Box<[CString]> = strings.into_iter().collect();
        let pointers = strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect();
        Self { strings, pointers }
    }
}

impl fmt::Debug for CStrings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.strings).finish()
    }
}

/// Becomes the program that a descriptor is on, or that a path below it names. Returns only if that fails. Allocates
/// nothing.
///
/// A script cannot be run through a close-on-exec descriptor: its interpreter would not find it (`ENOENT`).
///
/// # Errors
///
/// Those of `execve(2)`. `ENOSYS`: the kernel lacks this call.
///
/// # Privileges
///
/// None but those of the file.
///
/// # Minimum kernel version
///
/// 3.19; see `execveat(2)`.
#[doc(alias = "AT_EMPTY_PATH")]
pub fn execveat(directory: impl AsFd, path: &CStr, arguments: &CStrings, environment: &CStrings) -> Errno {
    let flags = if path.is_empty() { libc::AT_EMPTY_PATH } else { 0 };
    let directory = directory.as_fd().as_raw_fd();
    let (arguments, environment) = (arguments.pointers.as_ptr(), environment.pointers.as_ptr());
    // SAFETY: the path and each string end with NUL, both lists with a null pointer, and all are borrowed until it returns.
    unsafe { libc::syscall(libc::SYS_execveat, directory, path.as_ptr(), arguments, environment, flags) };
    last_errno()
}
