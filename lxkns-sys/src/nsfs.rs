//! The ioctls of ioctl_nsfs(2) on a namespace descriptor.

use std::ffi::{c_int, c_long, c_ulong};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::io::Errno;

use crate::{checked, checked_fd};

const NSIO: c_ulong = 0xb7;
const NS_GET_USERNS: c_ulong = io(0x1);
const NS_GET_PARENT: c_ulong = io(0x2);
const NS_GET_NSTYPE: c_ulong = io(0x3);
const NS_GET_OWNER_UID: c_ulong = io(0x4);
const NS_GET_MNTNS_ID: c_ulong = ior::<u64>(0x5);
const NS_MNT_GET_INFO: c_ulong = ior::<MountNamespaceInfo>(10);
const NS_MNT_GET_NEXT: c_ulong = ior::<MountNamespaceInfo>(11);
const NS_MNT_GET_PREV: c_ulong = ior::<MountNamespaceInfo>(12);
const NS_GET_ID: c_ulong = ior::<u64>(13);

/// `_IO(NSIO, nr)` of `asm-generic/ioctl.h`.
const fn io(nr: c_ulong) -> c_ulong {
    (NSIO << 8) | nr
}

/// `_IOR(NSIO, nr, T)` of `asm-generic/ioctl.h`.
const fn ior<T>(nr: c_ulong) -> c_ulong {
    (2 << 30) | ((size_of::<T>() as c_ulong) << 16) | io(nr)
}

/// Facts about a mount namespace (`struct mnt_ns_info`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct MountNamespaceInfo {
    size: u32,
    /// How many mounts it has.
    pub mounts: u32,
    /// Its ID, unique since boot: not its inode number.
    pub id: u64,
}

/// The user namespace that owns this namespace; for a user namespace, its parent.
///
/// # Errors
///
/// `EPERM`: it has no owner, or the owner is neither the caller's user namespace nor a descendant of it. `ENOTTY`: not
/// a namespace.
///
/// # Privileges
///
/// None but the descriptor.
///
/// # Minimum kernel version
///
/// 4.9; see `ioctl_nsfs(2)`.
#[doc(alias = "NS_GET_USERNS")]
pub fn ns_get_userns(ns: impl AsFd) -> Result<OwnedFd, Errno> {
    // SAFETY: the request takes no argument and returns a new descriptor.
    unsafe { ioctl_fd(ns, NS_GET_USERNS) }
}

/// The parent of this PID or user namespace.
///
/// # Errors
///
/// `EPERM`: it has none, or it is not visible from the caller's namespaces. `EINVAL`: not a type that has parents.
/// `ENOTTY`: not a namespace.
///
/// # Privileges
///
/// None but the descriptor.
///
/// # Minimum kernel version
///
/// 4.9; see `ioctl_nsfs(2)`.
#[doc(alias = "NS_GET_PARENT")]
pub fn ns_get_parent(ns: impl AsFd) -> Result<OwnedFd, Errno> {
    // SAFETY: the request takes no argument and returns a new descriptor.
    unsafe { ioctl_fd(ns, NS_GET_PARENT) }
}

/// The type of this namespace as its `CLONE_NEW*` flag.
///
/// # Errors
///
/// `ENOTTY`: not a namespace.
///
/// # Privileges
///
/// None but the descriptor.
///
/// # Minimum kernel version
///
/// 4.11; see `ioctl_nsfs(2)`.
#[doc(alias = "NS_GET_NSTYPE")]
pub fn ns_get_nstype(ns: impl AsFd) -> Result<u32, Errno> {
    // SAFETY: NS_GET_NSTYPE takes no argument; the descriptor is borrowed for the call.
    let returned = unsafe { libc::ioctl(ns.as_fd().as_raw_fd(), NS_GET_NSTYPE) };
    checked(c_long::from(returned)).map(|flag| flag as u32)
}

/// The UID of the user who created this user namespace, in the caller's user namespace.
///
/// # Errors
///
/// `EINVAL`: not a user namespace. `ENOTTY`: not a namespace.
///
/// # Privileges
///
/// None but the descriptor. If the caller's user namespace does not map the user, the result is the overflow UID
/// (`/proc/sys/kernel/overflowuid`).
///
/// # Minimum kernel version
///
/// 4.11; see `ioctl_nsfs(2)`.
#[doc(alias = "NS_GET_OWNER_UID")]
pub fn ns_get_owner_uid(ns: impl AsFd) -> Result<u32, Errno> {
    let mut uid = 0_u32;
    // SAFETY: the request writes one `uid_t`, a 32-bit integer.
    unsafe { ioctl_read(ns, NS_GET_OWNER_UID, &mut uid) }?;
    Ok(uid)
}

/// The ID, unique since boot, of this mount namespace.
///
/// # Errors
///
/// `EINVAL`: not a mount namespace. `ENOTTY`: not a namespace, or the kernel lacks this ioctl.
///
/// # Privileges
///
/// None but the descriptor.
///
/// # Minimum kernel version
///
/// 6.11; see `ioctl_nsfs(2)`.
#[doc(alias = "NS_GET_MNTNS_ID")]
pub fn ns_get_mntns_id(ns: impl AsFd) -> Result<u64, Errno> {
    let mut id = 0_u64;
    // SAFETY: the request writes one 64-bit integer.
    unsafe { ioctl_read(ns, NS_GET_MNTNS_ID, &mut id) }?;
    Ok(id)
}

/// The ID, unique since boot, of a namespace of any type.
///
/// # Errors
///
/// `ENOTTY`: not a namespace, or the kernel lacks this ioctl.
///
/// # Privileges
///
/// None but the descriptor.
///
/// # Minimum kernel version
///
/// 6.18; `include/uapi/linux/nsfs.h`.
#[doc(alias = "NS_GET_ID")]
pub fn ns_get_id(ns: impl AsFd) -> Result<u64, Errno> {
    let mut id = 0_u64;
    // SAFETY: the request writes one 64-bit integer.
    unsafe { ioctl_read(ns, NS_GET_ID, &mut id) }?;
    Ok(id)
}

/// How many mounts this mount namespace has, and its unique ID.
///
/// # Errors
///
/// `EINVAL`: not a mount namespace, or the kernel lacks this ioctl. `ENOTTY`: not a namespace.
///
/// # Privileges
///
/// None but the descriptor.
///
/// # Minimum kernel version
///
/// 6.12; `include/uapi/linux/nsfs.h`.
#[doc(alias = "NS_MNT_GET_INFO")]
pub fn ns_mnt_get_info(ns: impl AsFd) -> Result<MountNamespaceInfo, Errno> {
    let mut info = MountNamespaceInfo::default();
    // SAFETY: the request writes one `struct mnt_ns_info`, whose layout `info` has; it consists of integers.
    unsafe { ioctl_read(ns, NS_MNT_GET_INFO, &mut info) }?;
    Ok(info)
}

/// The next mount namespace in the kernel's own list.
///
/// # Errors
///
/// `ENOENT`: this is the last one. `EPERM`: see below. `EINVAL`: not a mount namespace, or the kernel lacks this ioctl.
///
/// # Privileges
///
/// `CAP_SYS_ADMIN` in the initial user namespace, and the initial PID namespace.
///
/// # Minimum kernel version
///
/// 6.12; `include/uapi/linux/nsfs.h`.
#[doc(alias = "NS_MNT_GET_NEXT")]
pub fn ns_mnt_get_next(ns: impl AsFd) -> Result<(OwnedFd, MountNamespaceInfo), Errno> {
    // SAFETY: the request writes one `struct mnt_ns_info` and returns a new descriptor.
    unsafe { neighbour(ns, NS_MNT_GET_NEXT) }
}

/// The previous mount namespace in the kernel's own list.
///
/// # Errors
///
/// As for [`ns_mnt_get_next`]; `ENOENT`: this is the first one.
///
/// # Privileges
///
/// As for [`ns_mnt_get_next`].
///
/// # Minimum kernel version
///
/// 6.12; `include/uapi/linux/nsfs.h`.
#[doc(alias = "NS_MNT_GET_PREV")]
pub fn ns_mnt_get_prev(ns: impl AsFd) -> Result<(OwnedFd, MountNamespaceInfo), Errno> {
    // SAFETY: the request writes one `struct mnt_ns_info` and returns a new descriptor.
    unsafe { neighbour(ns, NS_MNT_GET_PREV) }
}

/// The mount namespace beside this one, and what the kernel says of it.
///
/// # Safety
///
/// The request writes one `struct mnt_ns_info` and returns a new descriptor.
unsafe fn neighbour(ns: impl AsFd, request: c_ulong) -> Result<(OwnedFd, MountNamespaceInfo), Errno> {
    let mut info = MountNamespaceInfo::default();
    // SAFETY: the caller's; `info` has the layout of the structure.
    let returned = unsafe { libc::ioctl(ns.as_fd().as_raw_fd(), request, &raw mut info) };
    Ok((checked_fd(c_long::from(returned))?, info))
}

/// An ioctl without argument that makes a descriptor.
///
/// # Safety
///
/// The request takes no argument and returns a new descriptor.
pub(crate) unsafe fn ioctl_fd(fd: impl AsFd, request: c_ulong) -> Result<OwnedFd, Errno> {
    // SAFETY: the caller's.
    let returned: c_int = unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), request, 0) };
    checked_fd(c_long::from(returned))
}

/// An ioctl that fills in a plain value.
///
/// # Safety
///
/// The kernel writes at most a `T` for this request, and every bit pattern is a `T`.
unsafe fn ioctl_read<T: Copy>(fd: impl AsFd, request: c_ulong, into: &mut T) -> Result<(), Errno> {
    // SAFETY: the caller's.
    let returned = unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), request, std::ptr::from_mut(into)) };
    checked(c_long::from(returned)).map(drop)
}
