//! The steps that a child can carry out before it runs another program.

use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// A descriptor that steps and their author share.
pub type SharedFd = Arc<OwnedFd>;

/// One step of the child. The parent prepares it, so the child neither allocates nor locks.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Op {
    /// Makes the child undumpable (`PR_SET_DUMPABLE`), so unprivileged processes can neither trace nor inspect it, and
    /// lets it end with the thread that started it (`PR_SET_PDEATHSIG`). A change of credentials can undo both, so
    /// repeat this step after each.
    Guard,
    /// Enters namespaces (`setns(2)`).
    Enter(Enter),
    /// Writes to an open file in one call.
    Write(SharedFd, Vec<u8>),
    /// Opens an existing file below a directory and writes to it in one call.
    WriteBelow(SharedFd, CString, Vec<u8>),
    /// Reads an existing regular file below a directory, without leaving it through symbolic links, and opens no other
    /// type of file. `openat2(2)`, 5.6. Closes all descriptors that it does not need first, from 5.9 on, so a stuck
    /// child keeps no pipe open whose end another process waits for.
    ReadBelow {
        /// The directory.
        directory: SharedFd,
        /// The file.
        path: CString,
        /// The procfs of the caller.
        procfs: SharedFd,
        /// The descriptor to which the contents are written. It must not block.
        to: SharedFd,
        /// The largest allowed size in bytes; [`Refusal::TooLarge`](super::Refusal::TooLarge) above it.
        most: u64,
    },
    /// Looks up a path and opens nothing that can be read. Closes all descriptors that it does not need first, from 5.9 on.
    LookUp {
        /// The directory that is the root of the path; the caller's own root and working directory if there is none.
        root: Option<SharedFd>,
        /// The path.
        path: CString,
        /// Whether to follow a symbolic link at its end.
        follow: bool,
        /// The new name (`comm`) of the child, which ends with a NUL.
        name: [u8; 16],
    },
    /// Opens an existing regular file by a path of the caller's, and writes its contents to a pipe.
    /// [`Refusal::NotRegular`](super::Refusal::NotRegular): not a regular file. Closes all descriptors that it does not
    /// need first, from 5.9 on, so a stuck child keeps no pipe open whose end another process waits for.
    Stream {
        /// The file.
        path: CString,
        /// The new name (`comm`) of the child, which ends with a NUL.
        name: [u8; 16],
        /// The pipe.
        to: SharedFd,
    },
    /// Reads an extended attribute of at most 64 bytes (`getxattr(2)`). Closes all descriptors that it does not need first,
    /// from 5.9 on.
    Attribute {
        /// The file, which can be open with `O_PATH`.
        file: SharedFd,
        /// The path of the link to this descriptor in a procfs of the caller's.
        link: CString,
        /// The attribute.
        attribute: &'static CStr,
        /// The new name (`comm`) of the child, which ends with a NUL.
        name: [u8; 16],
        /// The descriptor to which the value is written. It must not block.
        to: SharedFd,
    },
    /// Takes a new, empty session keyring, if the kernel has keyrings and no filter denies them.
    SessionKeyring,
    /// Makes this the root and working directory.
    Root(Directory),
    /// Makes this the working directory; if it cannot be reached from the root directory (deleted, or from elsewhere),
    /// the root directory instead.
    WorkingDirectory(Directory),
    /// Sets the supplementary groups.
    Groups {
        /// The GIDs.
        gids: Vec<u32>,
        /// Whether to ignore `EPERM`.
        or_stay: bool,
    },
    /// Sets the real, effective and saved GID.
    Gids([u32; 3]),
    /// Sets the real, effective and saved UID, and keeps permitted capabilities (`PR_SET_KEEPCAPS`).
    Uids([u32; 3]),
    /// Sets the inheritable set as far as permitted, before [`Op::Bounding`] limits it.
    Inheritable(u64),
    /// Drops all other capabilities from the bounding set.
    Bounding(u64),
    /// Sets the permitted, effective, inheritable and ambient set to these capabilities as far as permitted.
    Capabilities {
        /// Permitted.
        permitted: u64,
        /// Effective.
        effective: u64,
        /// Inheritable.
        inheritable: u64,
        /// Ambient.
        ambient: u64,
    },
    /// Sets `no_new_privs`.
    NoNewPrivs,
    /// Sets the security context or profile of the program (`lsm_set_self_attr(2)`, or a file in procfs if the kernel
    /// lacks that call).
    ExecContext {
        /// The number of the security module (`LSM_ID_*`).
        module: u64,
        /// The context or profile.
        context: Vec<u8>,
        /// The procfs of the caller.
        procfs: SharedFd,
        /// The file below it.
        path: CString,
    },
    /// Makes a new session without a terminal (`setsid(2)`).
    NewSession,
    /// Makes a new mount namespace as a copy of the current one, whose mounts do not propagate to others.
    OwnMounts,
    /// Mounts a file system over a directory, in a mount namespace of the child's own.
    Cover(Cover),
    /// Sets resource limits (`prlimit(2)`), as far as the child may raise hard limits.
    Limits {
        /// The limits.
        limits: Vec<Limit>,
        /// Whether to raise limits only: later steps can need descriptors, and the child can lose the capability to
        /// raise limits.
        only_raise: bool,
    },
    /// Sets the file mode creation mask (`umask(2)`).
    Umask(u32),
    /// Sets the CPU affinity, a bit for each CPU, as far as the control group has these CPUs.
    Affinity(Vec<u8>),
    /// Sets the nice value, or the lowest one that is permitted.
    Nice(i32),
    /// Sets the I/O scheduling class and priority (`ioprio_set(2)`), if permitted.
    IoPriority(u32),
    /// Sets the execution domain (`personality(2)`).
    Personality(u32),
    /// Sets the securebits (`capabilities(7)`).
    Securebits(u32),
    /// Copies descriptors to these numbers, not close-on-exec. No original has one of these numbers.
    Descriptors(Vec<(SharedFd, i32)>),
    /// Closes all descriptors from 3 on except these and those needed to run the command. No open descriptor is `end`
    /// or above.
    CloseOthers {
        /// The descriptors that stay open and are passed on, sorted.
        keep: Vec<i32>,
        /// One more than the highest number that can be open, for kernels without `close_range(2)`.
        end: u32,
    },
}

/// A directory.
#[derive(Clone, Debug)]
pub struct Directory {
    /// The open directory.
    pub fd: SharedFd,
    /// The path of the same directory in a mount namespace of the child's own, if it has one.
    pub path: Option<CString>,
}

/// A file system that covers a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cover {
    /// Over `/proc`, if it exists: the procfs of the child's PID namespace.
    Proc,
    /// Over `/proc`, if it exists: an empty directory.
    NoProc,
    /// Over `/sys`, if it exists: the sysfs of the child's network namespace, or an empty directory if it may not mount
    /// that.
    Sys,
}

/// A resource limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Its number (`RLIMIT_*`).
    pub resource: u32,
    /// The soft limit; the highest number means unlimited.
    pub soft: u64,
    /// The hard limit; the highest number means unlimited.
    pub hard: u64,
}

/// How the command is started: by a process in the entered PID namespace, which has nothing but this, the read-only
/// parts of the program's own files, its descriptors, and a pipe for an error number.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The command's session.
    pub session: LaunchSession,
    /// The mask of blocked signals, a bit for each from 1 on.
    pub blocked: u64,
    /// The command.
    pub exec: Exec,
}

/// The session of a command.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum LaunchSession {
    /// The session of the child.
    Same,
    /// A new session.
    New {
        /// The command's descriptor that becomes its controlling terminal.
        terminal: Option<i32>,
    },
    /// The session of the child, with a new process group.
    Group {
        /// The terminal of the session, in which it becomes the foreground process group.
        terminal: Option<SharedFd>,
    },
}

/// The namespaces to enter, and how.
#[derive(Clone, Debug)]
pub struct Enter {
    /// The process whose namespaces they are, and their combined `CLONE_NEW*` flags: they are entered in one call if
    /// the kernel supports that (5.8).
    pub process: Option<(SharedFd, u32)>,
    /// Each namespace with its `CLONE_NEW*` flag: first those that the caller may enter, then the user namespace, then
    /// the others.
    pub namespaces: Vec<(SharedFd, u32)>,
}

/// The program to run.
#[derive(Clone, Debug)]
pub struct Exec {
    /// The program.
    pub program: ExecProgram,
    /// Its arguments, including its name.
    pub arguments: Vec<CString>,
    /// Its environment.
    pub environment: Vec<CString>,
}

/// The location of a program.
#[derive(Clone, Debug)]
pub enum ExecProgram {
    /// The first of these paths that exists.
    Paths(Vec<CString>),
    /// This open file (`execveat(2)`).
    Fd(SharedFd),
}
