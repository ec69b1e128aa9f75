//! The steps with which a child looks up a path or reads a file for its parent. As in [`steps`](super::steps), nothing
//! here allocates, locks or panics.

use std::ffi::{CStr, c_int};
use std::mem::MaybeUninit;

use rustix::io::Errno;

use super::checked;
use super::failure::{Done, Refusal};

/// Looks up a path below a root directory, or one of the caller's, under another process name. Can block forever.
pub(super) fn look_up_below(root: Option<c_int>, path: &CStr, follow: bool, name: &[u8; 16]) -> Result<(), Errno> {
    let Some(root) = root else { return look_up(path, follow, name).map(drop) };
    // SAFETY: at most 16 bytes are read.
    unsafe { libc::syscall(libc::SYS_prctl, libc::PR_SET_NAME, name.as_ptr(), 0, 0, 0) };
    // SAFETY: the structure consists of integers, for which zeros are valid.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = (libc::O_PATH | libc::O_CLOEXEC | if follow { 0 } else { libc::O_NOFOLLOW }) as u64;
    how.resolve = libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_MAGICLINKS;
    let size = size_of::<libc::open_how>();
    // SAFETY: the path is a C string, and the kernel reads as many bytes of the structure as the size argument says.
    checked(unsafe { libc::syscall(libc::SYS_openat2, root, path.as_ptr(), &raw const how, size) }).map(drop)
}

/// Looks up a path of the caller's, under another process name, and returns the mode of the file. Can block forever.
fn look_up(path: &CStr, follow: bool, name: &[u8; 16]) -> Result<u32, Errno> {
    // SAFETY: at most 16 bytes are read.
    unsafe { libc::syscall(libc::SYS_prctl, libc::PR_SET_NAME, name.as_ptr(), 0, 0, 0) };
    let mut stat = MaybeUninit::<libc::statx>::zeroed();
    let link = if follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
    let flags = libc::AT_STATX_DONT_SYNC | libc::AT_NO_AUTOMOUNT | link;
    let (path, mask) = (path.as_ptr(), libc::STATX_TYPE);
    // SAFETY: the path is a C string, and there is room for the result.
    checked(unsafe { libc::syscall(libc::SYS_statx, libc::AT_FDCWD, path, flags, mask, stat.as_mut_ptr()) })?;
    // SAFETY: it was zeroed and consists of integers.
    let stat = unsafe { stat.assume_init() };
    Ok(u32::from(stat.stx_mode))
}

/// Writes the value of an extended attribute of a file to a descriptor, under another process name. Can block forever.
pub(super) fn attribute(path: &CStr, attribute: &CStr, name: &[u8; 16], to: c_int) -> Result<(), Errno> {
    // SAFETY: at most 16 bytes are read.
    unsafe { libc::syscall(libc::SYS_prctl, libc::PR_SET_NAME, name.as_ptr(), 0, 0, 0) };
    let mut value = [0_u8; 64];
    let (path, attribute, size) = (path.as_ptr(), attribute.as_ptr(), value.len());
    // SAFETY: both are C strings, and there is room for as many bytes.
    let got = checked(unsafe { libc::syscall(libc::SYS_getxattr, path, attribute, value.as_mut_ptr(), size) })?;
    let value = value.get(..got as usize).unwrap_or_default();
    // SAFETY: the bytes are there.
    checked(unsafe { libc::syscall(libc::SYS_write, to, value.as_ptr(), value.len()) }).map(drop)
}

/// Writes the contents of a regular file to a pipe; opens no other type of file. Can block forever.
pub(super) fn copy(path: &CStr, name: &[u8; 16], to: c_int) -> Done {
    if look_up(path, true, name)? & libc::S_IFMT != libc::S_IFREG {
        return Err(Refusal::NotRegular.into());
    }
    let flags = libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: the path is a string.
    let from = checked(unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path.as_ptr(), flags, 0) })?;
    let mut bytes = [0_u8; 16 * 1024];
    loop {
        // SAFETY: there is room for as many bytes.
        let got = checked(unsafe { libc::syscall(libc::SYS_read, from, bytes.as_mut_ptr(), bytes.len()) })?;
        if got == 0 {
            return Ok(());
        }
        let mut left = bytes.get(..got as usize).unwrap_or_default();
        while !left.is_empty() {
            // SAFETY: the bytes are there.
            let written = checked(unsafe { libc::syscall(libc::SYS_write, to, left.as_ptr(), left.len()) })?;
            left = left.get(written as usize..).unwrap_or_default();
        }
    }
}
