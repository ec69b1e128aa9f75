//! The namespaces that the kernel started with.

use crate::model::{NamespaceId, NamespaceType, Pid, Process};

/// Whether the inode number says that this is the initial namespace of its type.
pub(super) fn has_fixed_inode(ns_type: NamespaceType, id: NamespaceId) -> bool {
    id.ino == ns_type.initial_inode()
}

/// The initial network and mount namespaces of a kernel that does not give them fixed numbers: those of the kernel's
/// own threads, which are visible from the initial PID namespace only.
pub(super) fn of_kernel_threads(processes: &[Process]) -> Vec<NamespaceId> {
    let kthreadd = processes.iter().find(|process| {
        process.pid == Pid(2)
            && process.ppid.is_none()
            && process.namespaces.get(NamespaceType::Pid).is_some_and(|id| has_fixed_inode(NamespaceType::Pid, id))
    });
    let namespaces = kthreadd.map(|process| process.namespaces).unwrap_or_default();
    [NamespaceType::Net, NamespaceType::Mnt].into_iter().filter_map(|ns_type| namespaces.get(ns_type)).collect()
}
