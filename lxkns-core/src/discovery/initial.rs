//! Which namespaces the kernel started with.

use crate::model::{NamespaceId, NamespaceType, Pid, Process};

/// The inode numbers of initial namespaces that are fixed (`include/uapi/linux/nsfs.h`); those of the initial network
/// and mount namespaces are since Linux 6.18. Other namespaces get numbers from 4026531840 on, on all kernels.
pub(super) const fn fixed_inode(ns_type: NamespaceType) -> u64 {
    match ns_type {
        NamespaceType::Ipc => 4_026_531_839,
        NamespaceType::Uts => 4_026_531_838,
        NamespaceType::User => 4_026_531_837,
        NamespaceType::Pid => 4_026_531_836,
        NamespaceType::Cgroup => 4_026_531_835,
        NamespaceType::Time => 4_026_531_834,
        NamespaceType::Net => 4_026_531_833,
        NamespaceType::Mnt => 4_026_531_832,
    }
}

/// Whether the inode number says that this is the initial namespace of its type.
pub(super) fn has_fixed_inode(ns_type: NamespaceType, id: NamespaceId) -> bool {
    id.ino == fixed_inode(ns_type)
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
