//! File handles of namespaces: a namespace opened by what it is, without any path to it.

use std::os::fd::OwnedFd;

use rustix::io::Errno;

use crate::checked_fd;

const FILEID_NSFS: libc::c_int = 0xf1;
/// Stands for the nsfs mount where a mount descriptor is wanted.
const FD_NSFS_ROOT: libc::c_int = -10003;

/// What the kernel knows a namespace by (`struct nsfs_file_handle`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct NsHandle {
    /// The ID, unique since boot.
    pub id: u64,
    /// The `CLONE_NEW*` flag; 0 where only the ID is known, which kernels before 6.19 do not take.
    pub ns_type: u32,
    /// The inode number; 0 where only the ID is known.
    pub ino: u32,
}

#[repr(C)]
struct FileHandle {
    bytes: u32,
    kind: libc::c_int,
    handle: NsHandle,
}

/// Opens a namespace by its handle.
///
/// # Errors
///
/// `ESTALE`: there is none such, or it is not visible to the caller. `EINVAL`, `ENOSYS`, `EBADF`: the kernel does
/// not know handles of namespaces.
///
/// # Privileges
///
/// `CAP_SYS_ADMIN` in the initial user namespace and the initial PID namespace for any namespace, else only the
/// caller's own.
///
/// # Minimum kernel version
///
/// 6.18; `include/uapi/linux/nsfs.h`, `open_by_handle_at(2)`.
#[doc(alias = "open_by_handle_at")]
pub fn open_namespace_by_handle(handle: NsHandle) -> Result<OwnedFd, Errno> {
    let mut request = FileHandle { bytes: size_of::<NsHandle>() as u32, kind: FILEID_NSFS, handle };
    let flags = libc::O_RDONLY | libc::O_CLOEXEC;
    // SAFETY: the kernel reads as many bytes of the handle as it says that it has.
    let returned = unsafe { libc::syscall(libc::SYS_open_by_handle_at, FD_NSFS_ROOT, &raw mut request, flags) };
    checked_fd(returned)
}
