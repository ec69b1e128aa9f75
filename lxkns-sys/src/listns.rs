//! listns(2).

use rustix::io::Errno;

use crate::checked;

/// The same number on every architecture (`include/uapi/asm-generic/unistd.h`).
const SYS_LISTNS: libc::c_long = 470;

/// For [`listns`]: namespaces of any owner.
pub const LISTNS_ALL_USER_NAMESPACES: u64 = 0;

/// `struct ns_id_req`.
#[repr(C)]
struct NsIdReq {
    size: u32,
    spare: u32,
    last_id: u64,
    types: u32,
    spare2: u32,
    user_ns_id: u64,
}

/// Fills `ids` with the unique IDs of the active namespaces of `types` (`CLONE_NEW*` or'ed, 0 for all) that follow
/// `last_id`, in ascending order, and returns their number; if `ids` is not full, there are no more. Lists only
/// namespaces that the user namespace with the ID `user_ns_id` owns, unless that is [`LISTNS_ALL_USER_NAMESPACES`].
///
/// # Errors
///
/// `ENOSYS`: the kernel lacks this call.
///
/// # Privileges
///
/// `CAP_SYS_ADMIN` in the initial user namespace and the initial PID namespace; otherwise the kernel lists only
/// namespaces that the caller may see without them.
///
/// # Minimum kernel version
///
/// 6.19; `include/uapi/linux/nsfs.h`.
pub fn listns(last_id: u64, types: u32, user_ns_id: u64, ids: &mut [u64]) -> Result<usize, Errno> {
    let request = NsIdReq { size: size_of::<NsIdReq>() as u32, spare: 0, last_id, types, spare2: 0, user_ns_id };
    // SAFETY: the request is read for the size that it states; at most `ids.len()` numbers are written to `ids`.
    let returned = unsafe { libc::syscall(SYS_LISTNS, &raw const request, ids.as_mut_ptr(), ids.len(), 0) };
    checked(returned).map(|count| count as usize)
}
