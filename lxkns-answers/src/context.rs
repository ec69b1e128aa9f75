//! What an answer is about, and for whom.

use lxkns_model::{NamespaceId, NamespaceType, Pid, Snapshot};

/// A snapshot, and what its paths mean to the caller.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The snapshot that is asked about.
    pub snapshot: &'a Snapshot,
    /// The mount namespace whose paths mean the same files to the caller; `None` where none is known.
    pub mount_ns: Option<NamespaceId>,
    /// Whether the snapshot was just taken of the host that asks. Otherwise it was read from a dump, and paths cannot be
    /// looked up.
    pub is_live: bool,
}

impl<'a> Context<'a> {
    /// A snapshot that was just taken. `is_chrooted`: the root directory of the caller is not that of its mount
    /// namespace, so paths mean other files than in the list of mounts.
    pub fn live(snapshot: &'a Snapshot, is_chrooted: bool) -> Self {
        Self { snapshot, mount_ns: snapshot.observer_mount_ns.filter(|_| !is_chrooted), is_live: true }
    }

    /// A dump: its paths are those of the observer's mount namespace; where it does not say which that was, of the mount
    /// namespace of PID 1.
    pub fn of_dump(snapshot: &'a Snapshot) -> Self {
        let of_init = || snapshot.processes.get(&Pid(1))?.namespaces.get(NamespaceType::Mnt);
        let initial = || {
            let mut namespaces = snapshot.namespaces.values();
            namespaces.find(|namespace| namespace.initial && namespace.ns_type == NamespaceType::Mnt)
        };
        let mount_ns = snapshot.observer_mount_ns.or_else(of_init).or_else(|| initial().map(|namespace| namespace.id));
        Self { snapshot, mount_ns, is_live: false }
    }
}

#[cfg(test)]
mod tests {
    use lxkns_model::Pid;

    use super::*;
    use crate::testing::{HOME, id, snapshot};

    #[test]
    fn paths_are_those_of_the_observer() {
        let mut snapshot = snapshot();
        assert_eq!(Context::live(&snapshot, false).mount_ns, None, "it is not known");
        assert_eq!(Context::of_dump(&snapshot).mount_ns, Some(HOME), "that of PID 1");
        snapshot.processes.remove(&Pid(1));
        assert_eq!(Context::of_dump(&snapshot).mount_ns, Some(HOME), "the initial one");
        snapshot.observer_mount_ns = Some(id(7));
        assert_eq!(Context::of_dump(&snapshot).mount_ns, Some(id(7)));
        assert_eq!(Context::live(&snapshot, false).mount_ns, Some(id(7)));
        assert_eq!(Context::live(&snapshot, true).mount_ns, None);
    }
}
