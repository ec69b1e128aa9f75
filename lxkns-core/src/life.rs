//! Whether a namespace exists that nothing visible leads to.

use lxkns_sys::NsHandle;
use rustix::io::Errno;

use crate::model::{Namespace, NamespaceType};
use crate::reach;
use crate::relations::Life;

/// Whether a namespace of an earlier snapshot still exists: asks the kernel to open it by its ID, type and inode
/// number.
///
/// If it opens, it exists. Otherwise it has ended only if the kernel opens any existing namespace: `opens_all` tells,
/// and is called only then. Newer kernels do not open inactive namespaces, such as one that only a socket holds, and an
/// unprivileged caller can only open its own.
///
/// # Privileges
///
/// `CAP_SYS_ADMIN` in the initial user namespace, and the initial PID namespace; without them, the result is not known.
///
/// # Minimum kernel version
///
/// 6.18; before, the result is not known.
pub fn life_of(namespace: &Namespace, opens_all: impl FnOnce() -> bool) -> Life {
    let Some((id, ino)) = namespace.unique_id.zip(u32::try_from(namespace.id.ino).ok()) else { return Life::Unknown };
    let ns_type = namespace.ns_type;
    match lxkns_sys::open_namespace_by_handle(NsHandle { id, ns_type: ns_type.clone_flag(), ino }) {
        Ok(fd) => {
            let is_it = reach::identity(&fd).is_ok_and(|found| found.ino == namespace.id.ino)
                && lxkns_sys::ns_get_nstype(&fd).ok().and_then(NamespaceType::from_clone_flag) == Some(ns_type);
            if is_it { Life::Alive } else { Life::Unknown }
        }
        Err(Errno::STALE) if opens_all() => Life::Ended,
        Err(_) => Life::Unknown,
    }
}
