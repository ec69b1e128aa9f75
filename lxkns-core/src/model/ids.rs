//! What names namespaces, processes, threads and users.

use std::fmt;
use std::str::FromStr;

/// A type of Linux kernel namespaces, in the order of their `CLONE_NEW*` flags except for time, which came last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum NamespaceType {
    /// Mounts; `mount_namespaces(7)`.
    Mnt,
    /// The root of the cgroup hierarchies; `cgroup_namespaces(7)`.
    Cgroup,
    /// Host and NIS domain name; `uts_namespaces(7)`.
    Uts,
    /// System V IPC and POSIX message queues; `ipc_namespaces(7)`.
    Ipc,
    /// UIDs, GIDs and capabilities; `user_namespaces(7)`.
    User,
    /// PIDs; `pid_namespaces(7)`.
    Pid,
    /// The network stack; `network_namespaces(7)`.
    Net,
    /// Offsets of the monotonic and the boot-time clock; `time_namespaces(7)`.
    Time,
}

impl NamespaceType {
    /// All types, in their order.
    pub const ALL: [Self; 8] =
        [Self::Mnt, Self::Cgroup, Self::Uts, Self::Ipc, Self::User, Self::Pid, Self::Net, Self::Time];

    /// The kernel's name, as in `/proc/PID/ns`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mnt => "mnt",
            Self::Cgroup => "cgroup",
            Self::Uts => "uts",
            Self::Ipc => "ipc",
            Self::User => "user",
            Self::Pid => "pid",
            Self::Net => "net",
            Self::Time => "time",
        }
    }

    /// The `CLONE_NEW*` flag of `clone(2)`.
    pub const fn clone_flag(self) -> u32 {
        match self {
            Self::Mnt => 0x0002_0000,
            Self::Cgroup => 0x0200_0000,
            Self::Uts => 0x0400_0000,
            Self::Ipc => 0x0800_0000,
            Self::User => 0x1000_0000,
            Self::Pid => 0x2000_0000,
            Self::Net => 0x4000_0000,
            Self::Time => 0x0000_0080,
        }
    }

    /// The type with this `CLONE_NEW*` flag, if there is one.
    pub fn from_clone_flag(flag: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|ns_type| ns_type.clone_flag() == flag)
    }

    /// The type with this name, as bytes of kernel text have it, if there is one.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|ns_type| ns_type.name().as_bytes() == name)
    }

    /// Whether all threads of a process are in the same namespace of this type: they have no way to differ.
    pub(crate) const fn is_shared_by_threads(self) -> bool {
        matches!(self, Self::User | Self::Pid | Self::Time)
    }

    /// Whether namespaces of this type have parents and children.
    pub const fn is_hierarchical(self) -> bool {
        matches!(self, Self::User | Self::Pid)
    }
}

impl fmt::Display for NamespaceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The text is not the name of a namespace type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseNamespaceTypeError;

impl fmt::Display for ParseNamespaceTypeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a namespace type: expected one of mnt, cgroup, uts, ipc, user, pid, net, time")
    }
}

impl std::error::Error for ParseNamespaceTypeError {}

impl FromStr for NamespaceType {
    type Err = ParseNamespaceTypeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::from_name(text.as_bytes()).ok_or(ParseNamespaceTypeError)
    }
}

/// What identifies a namespace for as long as it lives: the nsfs device and an inode number on it. An inode number
/// can be used again for another namespace later; [`unique_id`](crate::model::Namespace::unique_id) is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamespaceId {
    /// The inode number; first, so that IDs sort by it.
    pub ino: u64,
    /// The device number of the kernel's one nsfs, as `st_dev` has it.
    pub dev: u64,
}

/// A process ID in the PID namespace of the procfs that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pid(pub u32);

/// A thread ID in the PID namespace of the procfs that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tid(pub u32);

impl From<Pid> for Tid {
    /// The ID of the process's first thread.
    fn from(pid: Pid) -> Self {
        Self(pid.0)
    }
}

/// A user ID as the reader's user namespace knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uid(pub u32);

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Tid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
