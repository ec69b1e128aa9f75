//! A namespace and its relations.

use super::{Holder, NamespaceId, NamespaceType, Pid, Tid, Uid};

/// How a namespace relates to its owner or its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[non_exhaustive]
pub enum Relation {
    /// Not asked: the namespace could not be opened, or that place was switched off.
    #[default]
    NotAsked,
    /// There is none: this is the initial namespace, or a type that has no such relation.
    None,
    /// There is one, but the kernel does not show it to this caller.
    NotVisible,
    /// This one.
    Known(NamespaceId),
}

impl Relation {
    /// The namespace at the other end, where it is known.
    pub fn known(self) -> Option<NamespaceId> {
        match self {
            Self::Known(id) => Some(id),
            _ => None,
        }
    }
}

/// One line of a user namespace's `uid_map` or `gid_map`; `user_namespaces(7)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdMapping {
    /// The first ID inside.
    pub inside: u32,
    /// The first ID outside: in the parent user namespace, or in the reader's own where that is the namespace itself.
    pub outside: u32,
    /// How many IDs.
    pub count: u32,
}

impl IdMapping {
    /// The ID inside for one outside; `None` if this mapping does not have it.
    pub fn to_inside(&self, outside: u32) -> Option<u32> {
        let at = outside.checked_sub(self.outside).filter(|&at| at < self.count)?;
        self.inside.checked_add(at)
    }
}

/// The clock offsets of a time namespace; `time_namespaces(7)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TimeOffsets {
    /// Seconds and nanoseconds that are added to `CLOCK_MONOTONIC`.
    pub monotonic: (i64, u32),
    /// Seconds and nanoseconds that are added to `CLOCK_BOOTTIME`.
    pub boottime: (i64, u32),
}

/// A namespace: what it is, how it relates to others, and everything that keeps it alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// What identifies it.
    pub id: NamespaceId,
    /// Its type.
    pub ns_type: NamespaceType,
    /// Its ID, which is not used again before the next boot (`NS_GET_ID`, Linux 6.18; of mount namespaces
    /// `NS_GET_MNTNS_ID`, 6.11).
    pub unique_id: Option<u64>,
    /// The user namespace that owns it. Of a user namespace that is its parent.
    pub owner: Relation,
    /// Its parent; `None` for types without a hierarchy.
    pub parent: Relation,
    /// Its children, sorted (user and PID namespaces).
    pub children: Vec<NamespaceId>,
    /// The namespaces that it owns and that are not user namespaces, sorted (user namespaces).
    pub owned: Vec<NamespaceId>,
    /// The user who created it (user namespaces).
    pub owner_uid: Option<Uid>,
    /// Whether it is the one that the kernel started with.
    pub initial: bool,
    /// The topmost processes in it: those whose parent process is elsewhere. The first is the most senior: the oldest,
    /// then the one with the lowest PID.
    pub leaders: Vec<Pid>,
    /// The tasks that are in it although their process is not, sorted.
    pub loose_threads: Vec<Tid>,
    /// Everything that was found to keep it alive, sorted.
    pub holders: Vec<Holder>,
    /// Its UID map (user namespaces), where a process in it could be asked.
    pub uid_map: Option<Vec<IdMapping>>,
    /// Its GID map (user namespaces), where a process in it could be asked.
    pub gid_map: Option<Vec<IdMapping>>,
    /// Its clock offsets (time namespaces), where a process whose children are in it could be asked.
    pub time_offsets: Option<TimeOffsets>,
}

impl Namespace {
    /// A namespace with only its ID and type known.
    pub fn new(id: NamespaceId, ns_type: NamespaceType) -> Self {
        Self {
            id,
            ns_type,
            unique_id: None,
            owner: Relation::NotAsked,
            parent: if ns_type.is_hierarchical() { Relation::NotAsked } else { Relation::None },
            children: Vec::new(),
            owned: Vec::new(),
            owner_uid: None,
            initial: false,
            leaders: Vec::new(),
            loose_threads: Vec::new(),
            holders: Vec::new(),
            uid_map: None,
            gid_map: None,
            time_offsets: None,
        }
    }

    /// The [`holders`](Self::holders) that are bind mounts: a part of them, as they are sorted, found without going through
    /// all.
    pub fn bind_mounts(&self) -> &[Holder] {
        let mount = Holder::BindMount { mount_ns: NamespaceId { ino: 0, dev: 0 }, mount_id: 0, path: None };
        let mounts = &self.holders[self.holders.partition_point(|holder| *holder < mount)..];
        &mounts[..mounts.partition_point(|holder| matches!(holder, Holder::BindMount { .. }))]
    }

    /// Whether neither a process nor a task is in it.
    pub fn is_without_tasks(&self) -> bool {
        self.leaders.is_empty() && self.loose_threads.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bind_mounts_are_a_part_of_the_holders() {
        let id = NamespaceId { ino: 1, dev: 4 };
        let mount = |ino, path: Option<&str>| Holder::BindMount {
            mount_ns: NamespaceId { ino, dev: 4 },
            mount_id: 7,
            path: path.map(Into::into),
        };
        let mounts = [mount(0, None), mount(1, Some("/a")), mount(9, Some("/b"))];
        let before = [Holder::Process { pid: Pid(1) }, Holder::Tun { pid: Pid(9), tid: Tid(9), fd: 3, device: None }];
        let after = [Holder::Mount { mount_ns: id, mount_id: 8, fs_type: "proc".into(), path: None }, Holder::Kernel];
        let mut namespace = Namespace::new(id, NamespaceType::Pid);
        assert_eq!(namespace.bind_mounts(), []);
        namespace.holders = [&before[..], &after].concat();
        assert_eq!(namespace.bind_mounts(), []);
        namespace.holders = [&before[..], &mounts, &after].concat();
        assert!(namespace.holders.is_sorted());
        assert_eq!(namespace.bind_mounts(), mounts);
    }
}
