//! What tasks do, as it happens: events of one moment, not of a scan.

use std::fmt;
use std::time::SystemTime;

use crate::{Errno, NamespaceType, Operation, Pid, Tid};

/// What a task did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TaskEventKind {
    /// It began: the event is of the new task.
    Fork = 1,
    /// It executes another program.
    Exec = 2,
    /// It ends, and is still in its namespaces.
    Exit = 3,
    /// `unshare(2)` or `setns(2)` has returned.
    SystemCall = 4,
}

/// A namespace that a task was in at the time of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeenNamespace {
    /// Its type.
    pub ns_type: NamespaceType,
    /// Its inode number.
    pub ino: u64,
    /// Its unique ID, where the kernel has one and the source of the event tells it.
    pub unique_id: Option<u64>,
}

/// Something that a task did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskEvent {
    /// What it did.
    pub kind: TaskEventKind,
    /// When.
    pub time: SystemTime,
    /// The process.
    pub pid: Pid,
    /// The task.
    pub tid: Tid,
    comm: [u8; 16],
    /// By their types, and those for children; 0 where not known.
    inodes: [u32; Self::LINKS],
    unique_ids: [u64; Self::LINKS],
}

impl TaskEvent {
    /// The number of namespaces that a task has: one of each type, and for its children one of the types pid and time.
    pub const LINKS: usize = NamespaceType::ALL.len() + 2;

    /// An event of a task whose namespaces are not known. The first 16 bytes of its name count.
    pub fn new(kind: TaskEventKind, time: SystemTime, pid: Pid, tid: Tid, comm: &[u8]) -> Self {
        let mut name = [0; 16];
        name.iter_mut().zip(comm).for_each(|(to, &from)| *to = from);
        Self { kind, time, pid, tid, comm: name, inodes: [0; Self::LINKS], unique_ids: [0; Self::LINKS] }
    }

    /// With these namespaces, in the order of their types, then those for children (pid, time): inode numbers and unique
    /// IDs, 0 where not known.
    #[must_use]
    pub fn in_namespaces(mut self, inodes: [u32; Self::LINKS], unique_ids: [u64; Self::LINKS]) -> Self {
        (self.inodes, self.unique_ids) = (inodes, unique_ids);
        self
    }

    /// The task's name (`comm`), where it is known.
    pub fn comm(&self) -> Option<&[u8]> {
        self.comm.split(|&byte| byte == 0).next().filter(|name| !name.is_empty())
    }

    /// The namespaces that are known, with those for children; each of them once.
    pub fn namespaces(&self) -> impl Iterator<Item = SeenNamespace> {
        const FOR_CHILDREN: [NamespaceType; 2] = [NamespaceType::Pid, NamespaceType::Time];
        let types = NamespaceType::ALL.into_iter().chain(FOR_CHILDREN);
        types.zip(self.inodes).zip(self.unique_ids).enumerate().filter_map(|(index, ((ns_type, ino), unique_id))| {
            let is_again = index >= NamespaceType::ALL.len() && self.inodes[ns_type as usize] == ino;
            let unique_id = (unique_id != 0).then_some(unique_id);
            (ino != 0 && !is_again).then_some(SeenNamespace { ns_type, ino: ino.into(), unique_id })
        })
    }

    /// The namespace of this type that the task itself is in.
    pub fn namespace(&self, ns_type: NamespaceType) -> Option<SeenNamespace> {
        self.namespaces().find(|seen| seen.ns_type == ns_type && self.inodes[ns_type as usize] == seen.ino as u32)
    }
}

/// Where task events come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum EventSource {
    /// Programs at the kernel's tracepoints, which see each task with its namespaces.
    Bpf,
    /// The process connector: it names tasks, whose namespaces are read from procfs if they still live.
    Connector,
    /// The return of `unshare(2)` and `setns(2)`, in addition to what tasks do.
    SystemCalls,
}

impl EventSource {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bpf => "BPF",
            Self::Connector => "the process connector",
            Self::SystemCalls => "system calls",
        }
    }
}

impl fmt::Display for EventSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Why a source of events cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRefusal {
    /// The source.
    pub source: EventSource,
    /// What failed.
    pub operation: Operation,
    /// Why.
    pub cause: crate::Cause,
    /// The kernel's error, if it gave one.
    pub errno: Option<Errno>,
}

/// The events that are missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LostEvents {
    /// How many are known to be lost.
    pub counted: u64,
    /// Whether others were lost, without the kernel saying how many.
    pub more: bool,
    /// How many came of a task whose namespaces could not be read any more.
    pub unread: u64,
}

impl LostEvents {
    /// Whether none is missing.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Adds others.
    pub fn add(&mut self, other: Self) {
        self.counted = self.counted.saturating_add(other.counted);
        self.unread = self.unread.saturating_add(other.unread);
        self.more |= other.more;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_namespaces_for_children_count_where_they_are_others() {
        let mut inodes = [1, 2, 3, 4, 5, 6, 7, 8, 6, 9];
        let event = |inodes| {
            let new = TaskEvent::new(TaskEventKind::Fork, SystemTime::UNIX_EPOCH, Pid(1), Tid(2), b"a\0b");
            new.in_namespaces(inodes, [0, 0, 0, 0, 0, 0, 70, 0, 0, 90])
        };
        let seen: Vec<_> = event(inodes).namespaces().map(|seen| (seen.ns_type, seen.ino, seen.unique_id)).collect();
        assert_eq!(seen.len(), 9);
        assert_eq!(
            seen[6..],
            [(NamespaceType::Net, 7, Some(70)), (NamespaceType::Time, 8, None), (NamespaceType::Time, 9, Some(90))]
        );
        inodes[0] = 0;
        let event = event(inodes);
        assert_eq!((event.namespaces().count(), event.namespace(NamespaceType::Mnt)), (8, None));
        assert_eq!(event.namespace(NamespaceType::Time).map(|seen| seen.ino), Some(8));
        assert_eq!(event.comm(), Some(&b"a"[..]));
    }
}
