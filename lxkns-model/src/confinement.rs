//! What confines processes, and what they have open that leads out of their container: what a snapshot does not have.

use std::collections::{BTreeMap, BTreeSet};

use bstr::BString;

use super::{Capabilities, DeviceNumber, Gap, NamespaceId, Pid, Seccomp, Tid, Uid, Uids};

/// What was read of processes to judge how well they are isolated from the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfinementFacts {
    /// The living tasks of each process: the one that stands for it first, then each with other credentials than those before.
    pub tasks: BTreeMap<Pid, Vec<TaskCredentials>>,
    /// Kernel threads. Nothing else was read of them.
    pub kernel_threads: BTreeSet<Pid>,
    /// What they have open or stand in that leads out, sorted.
    pub uses: Vec<OutsideUse>,
    /// The devices that have a file in `/dev` of their mount namespaces, sorted; without those that give nothing of the host's.
    pub devices: Vec<DeviceFile>,
    /// Which devices the control groups of each process let it open; of none that are missing is it known.
    pub device_access: BTreeMap<Pid, DeviceAccess>,
    /// The sockets on which engines of containers listen.
    pub engine_sockets: Vec<EngineSocket>,
    /// Whether the kernel has `/proc/sysrq-trigger`; `None` where not known.
    pub has_sysrq_trigger: Option<bool>,
    /// What could not be read, sorted.
    pub gaps: Vec<Gap>,
}

/// With what rights a task acts, and what confines it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskCredentials {
    /// The task.
    pub tid: Tid,
    /// Its user IDs, as the reader's user namespace knows them.
    pub uids: Uids,
    /// The real, effective, saved and file system group ID, likewise; `None` where not known.
    pub gids: Option<[u32; 4]>,
    /// Its capability sets.
    pub capabilities: Capabilities,
    /// Whether its system calls are filtered; `None` where not known.
    pub seccomp: Option<Seccomp>,
    /// Whether running a program gives it no more powers; `None` where not known.
    pub no_new_privs: Option<bool>,
    /// The label that a security module gave it; `Some(None)` where no module gives any, `None` where it was not read.
    pub label: Option<Option<BString>>,
}

/// Something that a task uses and that leads out of its namespaces.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OutsideUse {
    /// The process.
    pub pid: Pid,
    /// The task: of a shared descriptor table, the one that stands for the process.
    pub tid: Tid,
    /// What it is.
    pub kind: OutsideUseKind,
    /// The mount that it is reached through, by its mountinfo ID; `None` where the kernel does not say.
    pub mount_id: Option<u64>,
    /// Where its link says that it leads.
    pub path: BString,
}

/// What leads out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum OutsideUseKind {
    /// Its root directory is on a mount of another mount namespace.
    Root,
    /// Its working directory is.
    WorkingDirectory,
    /// It has such a directory open.
    Directory {
        /// The descriptor.
        fd: u32,
    },
    /// It has a regular file open or mapped, on such a mount.
    File {
        /// The descriptor; `None` of one that is mapped, whether or not it is open.
        fd: Option<u32>,
        /// Whether it can be written through it.
        is_writable: bool,
    },
    /// It has a pidfd, which leads into the namespaces of a process.
    Process {
        /// The descriptor.
        fd: u32,
        /// The process.
        process: Pid,
    },
    /// It has a device open or mapped, of those that give something of the host's.
    Device {
        /// The descriptor; `None` of one that is mapped, whether or not it is open.
        fd: Option<u32>,
        /// Whether it is a block device.
        is_block: bool,
        /// The device.
        device: DeviceNumber,
    },
    /// It has a TUN/TAP file that leads to another network namespace than its own.
    Tun {
        /// The descriptor.
        fd: u32,
        /// The network namespace that the file was opened in, or that its device is in.
        net: NamespaceId,
    },
    /// Descriptors were sent to its socket and not yet received. The kernel does not say what they are.
    InFlight {
        /// The descriptor of the socket.
        fd: u32,
        /// How many they are.
        count: u64,
    },
    /// Files are registered with its io_uring. The kernel does not say where they are.
    IoUring {
        /// The descriptor of the ring.
        fd: u32,
        /// How many they are, at most.
        count: u64,
    },
    /// It has a socket of another network namespace than its own, which can send or receive there.
    Socket {
        /// The descriptor.
        fd: u32,
        /// The network namespace that the socket was made in.
        net: NamespaceId,
    },
    /// It is connected to a socket of an engine's.
    EngineSocket {
        /// The descriptor.
        fd: u32,
        /// The process that listens.
        engine: Pid,
    },
}

/// Which devices control groups let a process open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeviceAccess {
    /// All: none keeps a device from it.
    All,
    /// The list of a control group of version 1, which has block devices that it may read or write.
    BlockDevices,
    /// The list of a control group of version 1, which has no block device that it may read or write.
    NoBlockDevice,
    /// A BPF program of a control group of version 2 decides: the kernel does not say which.
    Program,
}

/// The file of a device in a mount namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeviceFile {
    /// The mount namespace.
    pub mount_ns: NamespaceId,
    /// Where it is.
    pub path: BString,
    /// Whether it is a block device: else it is a character device.
    pub is_block: bool,
    /// The device.
    pub device: DeviceNumber,
}

/// A socket on which an engine listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EngineSocket {
    /// The engine, or the process that listens in its place.
    pub pid: Pid,
    /// Its user, who rules over what the engine rules; `None` where not known.
    pub uid: Option<Uid>,
    /// Its path, as the process that listens has bound it.
    pub bound_to: BString,
    /// The process that called `listen(2)`, as the kernel tells those that connect (`SO_PEERCRED`); `None` where not known.
    pub listener: Option<Pid>,
    /// The path of its file, without symbolic links; as it was bound where [`mount_id`](Self::mount_id) is not known.
    pub path: BString,
    /// The mount of its file, by its mountinfo ID; `None` where not known.
    pub mount_id: Option<u64>,
    /// The inode number of the socket.
    pub inode: u64,
}
