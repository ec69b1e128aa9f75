//! File handles of namespaces: open a namespace by its ID, without any path to it.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::io::Errno;

use crate::{checked, checked_fd};

const FILEID_NSFS: libc::c_int = 0xf1;
/// Names the nsfs mount in place of a mount descriptor.
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
/// `ESTALE`: there is no such namespace, or the caller may not see it. `EINVAL`, `ENOSYS`, `EBADF`: the kernel has no
/// handles of namespaces.
///
/// # Privileges
///
/// For any namespace: `CAP_SYS_ADMIN` in the initial user namespace, and the initial PID namespace. For the caller's
/// own: none.
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

/// The most bytes that a file handle has (`MAX_HANDLE_SZ`).
const LARGEST: usize = 128;

#[repr(C)]
struct AnyHandle {
    bytes: u32,
    kind: libc::c_int,
    handle: [u8; LARGEST],
}

/// The handle of an open file, `O_PATH` included: its type, which identifies some file systems, and its bytes. The
/// kernel makes it from memory and asks no server.
///
/// # Errors
///
/// `EOPNOTSUPP`: the file system has no handles.
///
/// # Privileges
///
/// None.
///
/// # Minimum kernel version
///
/// 2.6.39; `name_to_handle_at(2)`.
#[doc(alias = "name_to_handle_at")]
pub fn handle_of(file: impl AsFd) -> Result<(i32, Vec<u8>), Errno> {
    let mut answer = AnyHandle { bytes: LARGEST as u32, kind: 0, handle: [0; LARGEST] };
    let mut mount_id: libc::c_int = 0;
    let (fd, path, flags) = (file.as_fd().as_raw_fd(), c"", libc::AT_EMPTY_PATH);
    // SAFETY: the kernel writes at most as many bytes of the handle as `bytes` says that there is room for, and one number.
    let returned = unsafe {
        libc::syscall(libc::SYS_name_to_handle_at, fd, path.as_ptr(), &raw mut answer, &raw mut mount_id, flags)
    };
    checked(returned)?;
    Ok((answer.kind, answer.handle[..(answer.bytes as usize).min(LARGEST)].to_vec()))
}
