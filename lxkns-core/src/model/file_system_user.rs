//! Who uses a file system.

use bstr::BString;

use super::{NamespaceId, Pid, Tid};

/// A process that keeps a file system from being unmounted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct FileSystemUser {
    /// The process.
    pub pid: Pid,
    /// Its name.
    pub comm: BString,
    /// The mount namespace that it is in, where that could be read.
    pub mount_ns: Option<NamespaceId>,
    /// How it uses the file system, sorted; never nothing.
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

/// How a process uses a file system.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum FileSystemUse {
    /// A thread's root directory is in it; that of another than the first is named only where it differs.
    Root {
        /// The thread.
        tid: Tid,
    },
    /// A thread's working directory is in it; that of another than the first is named only where it differs.
    WorkingDirectory {
        /// The thread.
        tid: Tid,
    },
    /// Its executable is in it.
    Executable,
    /// A file in it is open.
    Fd {
        /// The thread in whose table it is: of a shared one, the first.
        tid: Tid,
        /// The descriptor.
        fd: u32,
    },
    /// A file in it is mapped.
    Mapped {
        /// The first such file, as `/proc/PID/maps` names it.
        path: BString,
    },
}
