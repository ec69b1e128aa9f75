//! The processes that use a file system, and what else keeps it busy.

use bstr::BString;

use super::{DeviceNumber, Gap, NamespaceId, Pid, Tid};

/// What is asked about: a file system, or one namespace's file on nsfs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSystemQuery {
    /// The file system.
    pub file_system: DeviceNumber,
    /// On nsfs: the inode number of the one namespace whose mounts are meant. Other namespaces' files have the same file
    /// system, and nothing else in common with it.
    pub namespace: Option<u64>,
    /// The block device that was asked about, where the file system on it has a number of its own.
    pub device: Option<DeviceNumber>,
}

impl FileSystemQuery {
    /// All of a file system.
    pub fn new(file_system: DeviceNumber) -> Self {
        Self { file_system, namespace: None, device: None }
    }

    /// The mounts of one namespace's file.
    pub fn of_namespace(file_system: DeviceNumber, ino: u64) -> Self {
        Self { file_system, namespace: Some(ino), device: None }
    }

    /// All of a file system, asked for by one of its devices.
    pub fn of_device(file_system: DeviceNumber, device: DeviceNumber) -> Self {
        Self { file_system, namespace: None, device: Some(device) }
    }
}

/// Everything that was found to keep a file system busy, or may.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileSystemUsers {
    /// The processes that use it, sorted.
    pub processes: Vec<FileSystemUser>,
    /// What keeps it busy without a process that has it open, sorted.
    pub holders: Vec<FileSystemHolder>,
    /// What could not be read, sorted.
    pub gaps: Vec<Gap>,
    /// Where holders may be that could not be read.
    pub unread: Vec<UnreadHolders>,
}

/// Where the kernel would say what it has open, and does not say it here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum UnreadHolders {
    /// A file system of the kernel's that is not mounted in the caller's mount namespace, by its type: `sysfs` has loop
    /// devices and block devices, `tracefs` uprobes, `binfmt_misc` interpreters, `configfs` targets.
    NotMounted(&'static str),
    /// Which other devices a file system of this type has.
    OtherDevices(BString),
}

/// A process that uses a file system.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileSystemUser {
    /// The process.
    pub pid: Pid,
    /// Its name.
    pub comm: BString,
    /// The mount namespace that it is in, where that could be read.
    pub mount_ns: Option<NamespaceId>,
    /// How it uses the file system, sorted; never empty.
    pub uses: Vec<FileSystemUse>,
}

impl FileSystemUser {
    /// A process with these uses.
    pub fn new(
        pid: Pid,
        comm: impl Into<BString>,
        mount_ns: Option<NamespaceId>,
        mut uses: Vec<FileSystemUse>,
    ) -> Self {
        uses.sort_unstable();
        uses.dedup();
        Self { pid, comm: comm.into(), mount_ns, uses }
    }
}

/// One use of a file system.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileSystemUse {
    /// What is used.
    pub kind: FileSystemUseKind,
    /// The mount that it is used through, by its mountinfo ID; `None` where the kernel does not say.
    pub mount_id: Option<u64>,
}

impl FileSystemUse {
    /// A use through this mount.
    pub fn new(kind: FileSystemUseKind, mount_id: impl Into<Option<u64>>) -> Self {
        Self { kind, mount_id: mount_id.into() }
    }
}

/// How a process uses a file system.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum FileSystemUseKind {
    /// A task's root directory is in it; that of a task other than the thread group leader only where it differs.
    Root {
        /// The task.
        tid: Tid,
    },
    /// A task's working directory is in it; that of a task other than the leader only where it differs.
    WorkingDirectory {
        /// The task.
        tid: Tid,
    },
    /// Its executable is in it.
    Executable,
    /// A file in it is open.
    Fd {
        /// The task in whose table it is: of a shared table, the thread group leader, or the first living task.
        tid: Tid,
        /// The descriptor.
        fd: u32,
        /// Whether the table belongs to that task alone.
        is_tasks_own: bool,
    },
    /// A UNIX socket that is bound to a path in it, or a connection to one.
    Socket {
        /// The task, as for [`Fd`](Self::Fd).
        tid: Tid,
        /// The descriptor.
        fd: u32,
        /// Whether the table belongs to that task alone.
        is_tasks_own: bool,
    },
    /// A block device of it is open, or a partition of one.
    Device {
        /// The task, as for [`Fd`](Self::Fd).
        tid: Tid,
        /// The descriptor.
        fd: u32,
        /// Whether the table belongs to that task alone.
        is_tasks_own: bool,
    },
    /// It has its device mapped, or a partition of that.
    MappedDevice {
        /// The path, as the kernel has it.
        path: BString,
    },
    /// A file in it is mapped.
    Mapped {
        /// The first mapped file through that mount, as `/proc/PID/maps` names it.
        path: BString,
    },
}

/// Something that keeps a file system busy, or may, without a process that has a file of it open.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileSystemHolder {
    /// What it is.
    pub kind: FileSystemHolderKind,
    /// The mount that it keeps, by its mountinfo ID; `None` where that is not known, or where it keeps the file system
    /// and no mount.
    pub mount_id: Option<u64>,
    /// Where it keeps one of several mounts, these: its path leads to each of them, in one mount namespace or another.
    pub candidates: Vec<u64>,
    /// Whether it is certain that it keeps the file system. Otherwise it is a suspect: the kernel does not say what it holds.
    pub is_certain: bool,
    /// The file through which it is released, where there is one.
    pub control: Option<ControlFile>,
}

impl FileSystemHolder {
    /// What keeps this mount, or the file system.
    pub fn new(kind: FileSystemHolderKind, mount_id: Option<u64>, is_certain: bool) -> Self {
        Self { kind, mount_id, candidates: Vec::new(), is_certain, control: None }
    }
}

/// A file through which the kernel is told to let go of something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ControlFile {
    /// Where it is.
    pub path: BString,
    /// What must be allowed.
    pub access: ControlAccess,
    /// Whether the caller is allowed that; `None` where not known.
    pub is_permitted: Option<bool>,
}

/// Access to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ControlAccess {
    /// To open it for reading.
    Read,
    /// To open it for writing.
    Write,
}

/// What keeps a file system busy without a process that has a file of it open.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum FileSystemHolderKind {
    /// The kernel's own threads have their root and working directory in it.
    KernelThreads {
        /// How many.
        count: u64,
    },
    /// The backing file of a loop device.
    Loop {
        /// The device, as in `loop0`.
        device: BString,
        /// The file, as the kernel names it.
        path: BString,
        /// Whether something was found that uses the device or a partition of it: until that lets go, detaching the
        /// device has no effect.
        is_used: bool,
        /// Whether it is detached when its last user lets go.
        detaches_itself: bool,
    },
    /// A swap file in it, or swap on its device.
    Swap {
        /// The file or device, as `/proc/swaps` names it.
        path: BString,
    },
    /// An interpreter that `binfmt_misc` has open (flag `F`).
    BinfmtMisc {
        /// The name of the entry.
        name: BString,
        /// The interpreter, as it was named.
        path: BString,
    },
    /// A mounted file system that is made from directories or files of it: overlay, ecryptfs, erofs of a file.
    Layer {
        /// The type of that file system.
        fs_type: BString,
        /// That file system.
        file_system: DeviceNumber,
        /// The mount namespace that it is mounted in; the first of them.
        mount_ns: NamespaceId,
        /// The ID of its mount there.
        mount_id: u64,
        /// Where it is mounted, if a path leads there.
        point: Option<BString>,
        /// The directory or file that it is made from, as it was named.
        path: BString,
    },
    /// A block device that is made from its device: device-mapper, md, and others.
    BlockDevice {
        /// Its name.
        name: BString,
    },
    /// The kernel has the file system on this device active, mounted or not.
    Active {
        /// The type of the file system.
        fs_type: BString,
    },
    /// The kernel has a file system on another device, which excludes the use of its device.
    DeviceFileSystem {
        /// What the other device is to its device.
        role: DeviceRole,
        /// The other device, by its path below `/dev`.
        device: BString,
        /// The type of the file system there.
        fs_type: BString,
    },
    /// Its device has the journal of another file system (ext4, ocfs2).
    Journal {
        /// The device with the journal, by its path below `/dev`.
        device: BString,
        /// The device of that file system, likewise, where the kernel tells.
        of: Option<BString>,
    },
    /// Another facility of the kernel that has the file or directory open.
    Facility {
        /// What it is.
        facility: KernelFacility,
        /// Which one of them, where they have names.
        name: BString,
        /// The file or directory, as it was named.
        path: BString,
    },
    /// A descriptor that can hold files without saying which.
    Descriptor {
        /// The process.
        pid: Pid,
        /// The task in whose table it is.
        tid: Tid,
        /// The descriptor.
        fd: u32,
        /// What it can hold.
        holds: HiddenFiles,
    },
    /// A task that uses a mount that is in no mount namespace: unmounted lazily, or never attached. What is mounted below it
    /// is not told.
    Detached {
        /// The process.
        pid: Pid,
        /// How.
        kind: FileSystemUseKind,
    },
}

/// What another block device is to a file system's device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DeviceRole {
    /// A partition of it.
    Partition,
    /// The disk that it is a partition of.
    Disk,
}

/// A facility of the kernel that can have a file open for as long as it is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum KernelFacility {
    /// The directory is exported by the kernel's NFS server.
    NfsExport,
    /// A zram device writes back to the device or file.
    Zram,
    /// An NVMe target exports the file or device.
    NvmeTarget,
    /// A SCSI target (LIO) exports the file or device.
    ScsiTarget,
    /// A USB gadget shows the file as a disk.
    UsbGadget,
    /// A uprobe is set in the file.
    Uprobe,
}

/// Files that a descriptor holds besides the one that it is open on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum HiddenFiles {
    /// Descriptors that were sent to a UNIX socket and not received yet; so many.
    InFlight(u64),
    /// Files registered with an io_uring; so many.
    IoUring(u64),
    /// Events of a fanotify group that were not read yet.
    Fanotify,
    /// A probe in a program (perf event or BPF link).
    Probe,
    /// A file system that is being set up, and mounted nowhere yet.
    SettingUp,
    /// The disk of a partition; the kernel does not say whether it was opened for exclusive use.
    Disk,
    /// A UNIX socket that is bound to a path; which mount that was in is not readable.
    BoundSocket,
}
