//! What keeps a namespace alive.

use bstr::BString;

use super::{NamespaceId, Pid, Tid};

/// What waits in a socket, and holds a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum InFlight {
    /// A descriptor on the namespace that was sent.
    Descriptor,
    /// A socket of the network namespace that was sent.
    Socket,
    /// A connection of the network namespace that was not accepted.
    Connection,
}

/// One thing that keeps a namespace alive, with what is needed to find it.
///
/// Sorted: what you would look at first comes first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Holder {
    /// A process is in it: `/proc/PID/ns/TYPE`.
    Process {
        /// The process.
        pid: Pid,
    },
    /// A task is in it, and its process is not: `/proc/PID/task/TID/ns/TYPE`.
    Task {
        /// The task's process.
        pid: Pid,
        /// The task.
        tid: Tid,
    },
    /// A task's next child will be in it: `/proc/PID/task/TID/ns/pid_for_children` or `time_for_children`. For a
    /// PID namespace that has not had a process yet the link cannot be read, but a pidfd can be asked.
    ForChildren {
        /// The task's process.
        pid: Pid,
        /// The task.
        tid: Tid,
    },
    /// An open descriptor on it: `/proc/PID/fd/FD`; where `tid` differs from `pid`, in the descriptor table of that
    /// task: `/proc/PID/task/TID/fd/FD`.
    Fd {
        /// The process that has it open.
        pid: Pid,
        /// The task whose table it is in.
        tid: Tid,
        /// The descriptor.
        fd: u32,
    },
    /// A socket of this network namespace, held open by a task that is in another one.
    Socket {
        /// The process that has it open.
        pid: Pid,
        /// The task whose table it is in.
        tid: Tid,
        /// The descriptor.
        fd: u32,
        /// The socket's inode number, as in `socket:[...]` and `ss -e`.
        inode: u64,
    },
    /// Sockets of this network namespace, held open by tasks that are in it themselves.
    Sockets {
        /// How many different ones.
        count: u64,
    },
    /// An open TUN/TAP file of this network namespace.
    Tun {
        /// The process that has it open.
        pid: Pid,
        /// The task whose table it is in.
        tid: Tid,
        /// The descriptor.
        fd: u32,
        /// The network namespace in which its device now is, where that is another one.
        device: Option<NamespaceId>,
    },
    /// A descriptor on it, or a socket of it, waits in a UNIX socket: no process has received it yet.
    InFlight {
        /// The process that has the receiving socket open.
        pid: Pid,
        /// The task whose table that is in.
        tid: Tid,
        /// The descriptor of the receiving socket.
        fd: u32,
        /// The inode number of the socket that it waits in: of the receiving one, or of one that waits in that.
        inode: u64,
        /// What waits.
        what: InFlight,
    },
    /// A bind mount of it in a mount namespace.
    BindMount {
        /// The mount namespace.
        mount_ns: NamespaceId,
        /// The mount's ID as in mountinfo.
        mount_id: u64,
        /// Where it is mounted, as seen from the root of that mount namespace; `None` where that root does not reach it.
        path: Option<BString>,
    },
    /// A mounted file system that belongs to it: a procfs of a PID namespace; of a user namespace any that was mounted with
    /// its privileges, as the kernel reader tells.
    Mount {
        /// The mount namespace.
        mount_ns: NamespaceId,
        /// The mount's ID as in mountinfo.
        mount_id: u64,
        /// The type of the file system.
        fs_type: BString,
        /// Where it is mounted; `None` where the root of that mount namespace does not reach it.
        path: Option<BString>,
    },
    /// A child namespace (user and PID namespaces).
    Child {
        /// The child.
        ns: NamespaceId,
    },
    /// A namespace that it owns (user namespaces).
    Owned {
        /// The owned namespace.
        ns: NamespaceId,
    },
    /// The kernel lists it, and nothing that was seen holds it.
    Kernel,
}

impl Holder {
    /// The process that holds it, where a process does.
    pub fn pid(&self) -> Option<Pid> {
        match *self {
            Self::Process { pid }
            | Self::Task { pid, .. }
            | Self::ForChildren { pid, .. }
            | Self::Fd { pid, .. }
            | Self::Socket { pid, .. }
            | Self::Tun { pid, .. }
            | Self::InFlight { pid, .. } => Some(pid),
            _ => None,
        }
    }
}
