//! Who took a snapshot.

use super::{CapabilitySet, NamespaceId, NamespaceType, Uid};

/// The UID that stands for all that are not mapped in the reader's user namespace (`/proc/sys/kernel/overflowuid`).
pub(crate) const OVERFLOW_UID: Uid = Uid(65_534);

/// Who took a snapshot. What the snapshot can contain depends on that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observer {
    /// Its effective user ID, as its own user namespace calls it.
    pub uid: Uid,
    /// Its effective capabilities; `capabilities(7)`. They count in its user namespace and below.
    pub capabilities: CapabilitySet,
    /// Its user namespace; `None` where not known.
    pub user_ns: Option<NamespaceId>,
    /// Its PID namespace; `None` where not known.
    pub pid_ns: Option<NamespaceId>,
    /// The PID namespace of the procfs that it read, which has no process outside of it; `None` where not known.
    pub procfs_pid_ns: Option<NamespaceId>,
}

impl Observer {
    /// An observer with only these values known.
    pub fn new(uid: Uid, capabilities: CapabilitySet) -> Self {
        Self { uid, capabilities, user_ns: None, pid_ns: None, procfs_pid_ns: None }
    }

    /// Whether it was in the initial user namespace; `None` where not known.
    pub fn is_in_initial_user_ns(&self) -> Option<bool> {
        self.user_ns.map(|id| id.ino == NamespaceType::User.initial_inode())
    }

    /// A UID as its user namespace calls it; `None` where the kernel shows the one that stands for all that are not mapped
    /// there (`/proc/sys/kernel/overflowuid`), and it can be any of these.
    pub fn mapped(&self, uid: Uid) -> Option<Uid> {
        (uid != OVERFLOW_UID || self.is_in_initial_user_ns() == Some(true)).then_some(uid)
    }

    /// Whether it was in the initial PID namespace; `None` where not known.
    pub fn is_in_initial_pid_ns(&self) -> Option<bool> {
        self.pid_ns.map(|id| id.ino == NamespaceType::Pid.initial_inode())
    }

    /// Whether it read a procfs that shows the processes of the whole host; `None` where not known.
    pub fn reads_initial_procfs(&self) -> Option<bool> {
        self.procfs_pid_ns.map(|id| id.ino == NamespaceType::Pid.initial_inode())
    }

    /// The capabilities that it held over the whole host: those of the initial user namespace, none of another.
    pub fn host_capabilities(&self) -> CapabilitySet {
        if self.is_in_initial_user_ns() == Some(true) { self.capabilities } else { CapabilitySet::NONE }
    }
}
