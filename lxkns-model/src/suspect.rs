//! Things that keep some namespace alive without the kernel saying which.

use bstr::BString;

use super::{DeviceNumber, NamespaceId, NamespaceType, Pid, Tid};

/// Something that holds a namespace, without the kernel saying which one. For a namespace that nothing
/// else explains, these are the suspects.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Suspect {
    /// An open file that holds a namespace: of a procfs a mount namespace (`/proc/PID/mountinfo` and its like), a network
    /// namespace (`/proc/PID/net/*`), or the PID namespace of a process that has ended; a pidfd of such a process; or a
    /// file of a control group, which holds the cgroup namespace of the process that opened it.
    ProcFile {
        /// The process that has it open.
        pid: Pid,
        /// The task whose table it is in.
        tid: Tid,
        /// The descriptor.
        fd: u32,
        /// The type of namespace that it holds.
        ns_type: NamespaceType,
        /// Its path.
        path: BString,
    },
    /// Descriptors on their way to this UNIX socket, not received yet.
    InFlight {
        /// The process that has the receiving socket open.
        pid: Pid,
        /// The task whose table it is in.
        tid: Tid,
        /// The descriptor of the receiving socket.
        fd: u32,
        /// How many.
        count: u64,
    },
    /// Files registered with an io_uring.
    IoUring {
        /// The process that has the ring open.
        pid: Pid,
        /// The task whose table it is in.
        tid: Tid,
        /// The descriptor of the ring.
        fd: u32,
        /// How many files.
        count: u64,
    },
    /// A mounted file system that keeps some namespace alive: procfs and FUSE a PID, NFS and other network file systems a
    /// network namespace, binderfs an IPC namespace. (The kernel lets the namespaces of mqueue and sysfs end while these
    /// are mounted.)
    Mount {
        /// The mount namespace that it is mounted in.
        mount_ns: NamespaceId,
        /// The mount's ID as in mountinfo.
        mount_id: u64,
        /// The type of the file system.
        fs_type: BString,
        /// Its device number; mounts with the same number hold the same namespace.
        file_system: DeviceNumber,
        /// Where it is mounted; `None` where the root of that mount namespace does not reach it.
        path: Option<BString>,
    },
    /// A System V shared memory segment that is attached, and holds its IPC namespace. Found by
    /// `Discovery::shared_memory_users` of lxkns-core, and by no scan.
    SharedMemory {
        /// The process that has it attached.
        pid: Pid,
        /// The segment's ID in its IPC namespace.
        id: u64,
        /// The segment's key.
        key: u32,
    },
}

impl Suspect {
    /// Whether it can be what holds a namespace of this type.
    pub fn may_hold(&self, ns_type: NamespaceType) -> bool {
        match self {
            Self::ProcFile { ns_type: held, .. } => *held == ns_type,
            Self::InFlight { .. } | Self::IoUring { .. } => true,
            Self::Mount { fs_type, .. } => match fs_type.as_slice() {
                b"proc" => ns_type == NamespaceType::Pid,
                b"nfs" | b"nfs4" | b"nfsd" | b"rpc_pipefs" | b"cifs" | b"smb3" | b"ceph" | b"afs" => {
                    ns_type == NamespaceType::Net
                }
                b"binder" => ns_type == NamespaceType::Ipc,
                b"fuse" | b"fuseblk" => ns_type == NamespaceType::Pid,
                // With the name of its server's program.
                _ => fs_type.starts_with(b"fuse.") && ns_type == NamespaceType::Pid,
            },
            Self::SharedMemory { .. } => ns_type == NamespaceType::Ipc,
        }
    }
}
