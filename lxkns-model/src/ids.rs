//! What names namespaces, processes, tasks and users.

use std::fmt;
use std::str::FromStr;

/// A type of Linux kernel namespaces, in the order of their `CLONE_NEW*` flags except for time, which came last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

    /// The inode number of the initial namespace of this type (`include/uapi/linux/nsfs.h`). Those of the initial
    /// network and mount namespaces are fixed since Linux 6.18, and other numbers before. Other namespaces get numbers
    /// from 4026531840 on, on all kernels.
    pub const fn initial_inode(self) -> u64 {
        match self {
            Self::Ipc => 4_026_531_839,
            Self::Uts => 4_026_531_838,
            Self::User => 4_026_531_837,
            Self::Pid => 4_026_531_836,
            Self::Cgroup => 4_026_531_835,
            Self::Time => 4_026_531_834,
            Self::Net => 4_026_531_833,
            Self::Mnt => 4_026_531_832,
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

    /// Whether all tasks of a process are in the same namespace of this type: they have no way to differ.
    pub const fn is_shared_by_threads(self) -> bool {
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
/// can be used again for another namespace later; [`unique_id`](crate::Namespace::unique_id) is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamespaceId {
    /// The inode number; first, so that IDs sort by it.
    pub ino: u64,
    /// The device number of the kernel's one nsfs, as `st_dev` has it.
    pub dev: u64,
}

/// The type and the inode number of a namespace: what the kernel's texts call it by, `net:[4026531840]`; `namespaces(7)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypedInode {
    /// The type.
    pub ns_type: NamespaceType,
    /// The inode number on nsfs.
    pub ino: u64,
}

impl TypedInode {
    /// Reads `net:[4026531840]`: the text of the links below `/proc/PID/ns`, and the root field of a namespace's bind
    /// mount in mountinfo. `None` where the text is something else.
    pub fn parse(text: &[u8]) -> Option<Self> {
        // The shortest type has three letters and the longest six.
        let colon = 3 + text.get(3..7)?.iter().position(|&byte| byte == b':')?;
        let ns_type = NamespaceType::from_name(&text[..colon])?;
        let digits = text[colon + 1..].strip_prefix(b"[")?.strip_suffix(b"]")?;
        // The kernel writes neither 0 nor leading zeros.
        if digits.is_empty() || digits[0] == b'0' {
            return None;
        }
        let digit = |ino: u64, byte: &u8| match byte {
            b'0'..=b'9' => ino.checked_mul(10)?.checked_add(u64::from(byte - b'0')),
            _ => None,
        };
        Some(Self { ns_type, ino: digits.iter().try_fold(0, digit)? })
    }
}

impl fmt::Display for TypedInode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:[{}]", self.ns_type, self.ino)
    }
}

/// A process ID in the PID namespace of the procfs that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pid(pub u32);

/// A task ID in the PID namespace of the procfs that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tid(pub u32);

impl From<Pid> for Tid {
    /// The ID of the thread group leader.
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &[u8]) -> Option<(NamespaceType, u64)> {
        TypedInode::parse(text).map(|name| (name.ns_type, name.ino))
    }

    #[test]
    fn all_types() {
        let texts = [
            ("mnt:[4026531832]", NamespaceType::Mnt, 4_026_531_832),
            ("cgroup:[4026531835]", NamespaceType::Cgroup, 4_026_531_835),
            ("uts:[4026531838]", NamespaceType::Uts, 4_026_531_838),
            ("ipc:[4026531839]", NamespaceType::Ipc, 4_026_531_839),
            ("user:[4026531837]", NamespaceType::User, 4_026_531_837),
            ("pid:[4026531836]", NamespaceType::Pid, 4_026_531_836),
            ("net:[4026531833]", NamespaceType::Net, 4_026_531_833),
            ("time:[4026531834]", NamespaceType::Time, 4_026_531_834),
        ];
        for (text, ns_type, ino) in texts {
            assert_eq!(parse(text.as_bytes()), Some((ns_type, ino)));
            for end in 0..text.len() {
                assert_eq!(parse(&text.as_bytes()[..end]), None, "cut at {end}");
            }
        }
    }

    #[test]
    fn everything_else() {
        let texts: [&[u8]; 16] = [
            b"",
            b"socket:[11260]",
            b"pipe:[1]",
            b"anon_inode:[eventpoll]",
            b"/net:[1]",
            b"net:[]",
            b"net:[0]",
            b"net:[01]",
            b"net:[-1]",
            b"net:[1]]",
            b"net:[1] (deleted)",
            b"net:1",
            b"net[1]",
            b"pid_for_children:[1]",
            b"net:[18446744073709551616]",
            b"net:[\xff]",
        ];
        for text in texts {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(index in 0..8usize, ino in 1..=u64::MAX) {
            let ns_type = NamespaceType::ALL[index];
            prop_assert_eq!(parse(format!("{ns_type}:[{ino}]").as_bytes()), Some((ns_type, ino)));
        }
    }
}
