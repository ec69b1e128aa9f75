//! Changes of mounts, by fanotify.

use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};

use rustix::io::Errno;

use crate::{checked, checked_fd};

/// A group that reports which mounts are attached and detached in the [marked](fanotify_mark_mounts) mount namespaces. Its
/// descriptor does not block.
///
/// # Errors
///
/// `EINVAL`: the kernel cannot report mounts. `EMFILE`: the user has too many groups. `ENOSYS`: the kernel was built without
/// this call.
///
/// # Privileges
///
/// None, as tried with Linux 6.18; a mark takes some.
///
/// # Minimum kernel version
///
/// 6.15; `fanotify_init(2)`.
#[doc(alias = "FAN_REPORT_MNT")]
pub fn fanotify_mounts() -> Result<OwnedFd, Errno> {
    const FAN_REPORT_MNT: libc::c_uint = 0x4000;
    // SAFETY: it takes numbers.
    checked_fd(unsafe { libc::fanotify_init(libc::FAN_CLOEXEC | libc::FAN_NONBLOCK | FAN_REPORT_MNT, 0) }.into())
}

/// Has a group report mounts in this mount namespace. The mark does not keep the namespace alive, and ends with it.
///
/// # Errors
///
/// `EINVAL`: the descriptor is not on a mount namespace, or the kernel cannot report mounts. `EPERM`: see below. `ENOSPC`:
/// the user has too many marks.
///
/// # Privileges
///
/// `CAP_SYS_ADMIN` in the user namespace that owns it.
///
/// # Minimum kernel version
///
/// 6.15; `fanotify_mark(2)`.
#[doc(alias = "FAN_MARK_MNTNS")]
pub fn fanotify_mark_mounts(group: impl AsFd, mount_namespace: impl AsFd) -> Result<(), Errno> {
    const FAN_MARK_MNTNS: libc::c_uint = 0x110;
    const FAN_MNT_ATTACH: u64 = 0x0100_0000;
    const FAN_MNT_DETACH: u64 = 0x0200_0000;
    let (group, namespace) = (group.as_fd().as_raw_fd(), mount_namespace.as_fd().as_raw_fd());
    let (flags, events) = (libc::FAN_MARK_ADD | FAN_MARK_MNTNS, FAN_MNT_ATTACH | FAN_MNT_DETACH);
    // SAFETY: without a path, the descriptor is what is marked.
    let done = unsafe { libc::fanotify_mark(group, flags, events, namespace, std::ptr::null()) };
    checked(done.into()).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_mount_namespace_is_not_marked() {
        let null = std::fs::File::open("/dev/null").unwrap();
        let errno = fanotify_mounts().and_then(|group| fanotify_mark_mounts(group, &null)).unwrap_err();
        assert!([Errno::INVAL, Errno::PERM, Errno::NOSYS].contains(&errno), "{errno}");
    }
}
