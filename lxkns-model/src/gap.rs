//! Gaps: what could not be read.

use std::fmt;

use bstr::BString;

use super::{Cause, Errno, NamespaceId, Operation, Pid, Tid};

/// A place that discovery scans. The first twelve can hold a namespace ([`HOLDING`](Self::HOLDING)); the others only inform.
// One enum: gaps name either kind, and are sorted, filtered and explained by place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Place {
    /// The namespaces of processes: `/proc/PID/ns`.
    Processes = 1,
    /// The namespaces of tasks: `/proc/PID/task/TID/ns`.
    Tasks = 2,
    /// The namespaces of future children: `pid_for_children`, `time_for_children`.
    ForChildren = 3,
    /// Descriptors open on namespaces.
    Fds = 4,
    /// Sockets, each of which holds its network namespace.
    Sockets = 5,
    /// Open TUN/TAP files, each of which holds a network namespace.
    Tun = 6,
    /// Descriptor tables that a task has of its own.
    TaskFds = 7,
    /// Bind mounts of namespaces, in any mount namespace that has a process or that `listmount(2)` reads; and all other
    /// mounts, if requested.
    BindMounts = 8,
    /// Bind mounts in mount namespaces that cannot be read from outside.
    ProcesslessMounts = 9,
    /// The parents of user and PID namespaces.
    Parents = 10,
    /// The user namespaces that own namespaces.
    Owners = 11,
    /// The kernel's own lists.
    Kernel = 12,
    /// Facts about processes and tasks: `stat`, `status`.
    ProcessFacts = 32,
    /// Command lines.
    CommandLines = 33,
    /// Control groups and their freezers.
    Cgroups = 34,
    /// Things that hold a namespace, where the kernel does not show which.
    Suspects = 35,
    /// Facts about a namespace itself: its ID, its maps, its offsets.
    NamespaceFacts = 36,
    /// Facts about the host.
    Host = 37,
    /// What container engines and runtimes leave: files, control groups, monitors; and what engines answer.
    Containers = 38,
    /// The kernel reader, which can take the place of procfs.
    Reader = 39,
}

impl Place {
    /// The places that can hold a namespace, in their order.
    pub const HOLDING: [Self; 12] = match Self::ALL.first_chunk() {
        Some(holding) => *holding,
        None => unreachable!(),
    };

    /// All places; those that can hold a namespace come first.
    pub const ALL: [Self; 20] = [
        Self::Processes,
        Self::Tasks,
        Self::ForChildren,
        Self::Fds,
        Self::Sockets,
        Self::Tun,
        Self::TaskFds,
        Self::BindMounts,
        Self::ProcesslessMounts,
        Self::Parents,
        Self::Owners,
        Self::Kernel,
        Self::ProcessFacts,
        Self::CommandLines,
        Self::Cgroups,
        Self::Suspects,
        Self::NamespaceFacts,
        Self::Host,
        Self::Containers,
        Self::Reader,
    ];

    /// A short stable name, as in the JSON form.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Processes => "processes",
            Self::Tasks => "tasks",
            Self::ForChildren => "for-children",
            Self::Fds => "fds",
            Self::Sockets => "sockets",
            Self::Tun => "tun",
            Self::TaskFds => "task-fds",
            Self::BindMounts => "bind-mounts",
            Self::ProcesslessMounts => "processless-mounts",
            Self::Parents => "parents",
            Self::Owners => "owners",
            Self::Kernel => "kernel",
            Self::ProcessFacts => "process-facts",
            Self::CommandLines => "command-lines",
            Self::Cgroups => "cgroups",
            Self::Suspects => "suspects",
            Self::NamespaceFacts => "namespace-facts",
            Self::Host => "host",
            Self::Containers => "containers",
            Self::Reader => "reader",
        }
    }

    /// The place with this name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|place| place.name() == name)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What a gap is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Object {
    /// The host as a whole, or this place as a whole.
    Host,
    /// A process.
    Process(Pid),
    /// A task.
    Task(Pid, Tid),
    /// An open descriptor.
    Fd(Pid, Tid, u32),
    /// A namespace.
    Namespace(NamespaceId),
    /// A mount in a mount namespace, by its mountinfo ID.
    Mount(NamespaceId, u64),
    /// A path of the host.
    Path(BString),
}

/// Something that could not be read. A vanished process or namespace is not a gap.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gap {
    /// Where discovery was looking.
    pub place: Place,
    /// What it was looking at.
    pub object: Object,
    /// What it tried.
    pub operation: Operation,
    /// Why that failed.
    pub cause: Cause,
    /// The kernel's error, where it gave one.
    pub errno: Option<Errno>,
}

impl Gap {
    /// The kernel has refused this with an error; `None` where the error says that the object has vanished.
    pub fn failed(place: Place, object: Object, operation: Operation, errno: Errno) -> Option<Self> {
        Cause::of(errno).map(|cause| Self { place, object, operation, cause, errno: Some(errno) })
    }

    /// This could not be read, for another reason than an error of the kernel.
    pub fn because(place: Place, object: Object, operation: Operation, cause: Cause) -> Self {
        Self { place, object, operation, cause, errno: None }
    }
}
