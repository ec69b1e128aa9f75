//! What a child can be told to do before it becomes another program.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// A descriptor that several steps, and whoever prepared them, have.
pub type SharedFd = Arc<OwnedFd>;

/// One thing that the child does. It is prepared in the parent, so that the child needs neither memory nor a lock.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Op {
    /// Nobody may trace the child or look into it (`PR_SET_DUMPABLE`), and it ends with the thread that started it
    /// (`PR_SET_PDEATHSIG`). A change of credentials can undo both, so that this is done again after each.
    Guard,
    /// Enters namespaces (`setns(2)`).
    Enter(Enter),
    /// Writes to an open file, in one call.
    Write(SharedFd, Vec<u8>),
    /// Opens an existing file below a directory, and writes to it in one call.
    WriteBelow(SharedFd, CString, Vec<u8>),
    /// Reads an existing regular file below a directory, whose own symbolic links lead nowhere else, and opens nothing that
    /// is none. `openat2(2)`, 5.6. All descriptors but those that it takes are closed first, from 5.9 on: who is stuck there
    /// must not keep open what others wait for the end of.
    ReadBelow {
        /// The directory.
        directory: SharedFd,
        /// The file.
        path: CString,
        /// The procfs of the caller.
        procfs: SharedFd,
        /// What is read is written to this, which must not block.
        to: SharedFd,
        /// How many bytes at most; if there are more it is `EFBIG`.
        most: u64,
    },
    /// Looks up a path of the caller's, and opens nothing. All descriptors are closed first, from 5.9 on.
    LookUp {
        /// The path.
        path: CString,
        /// The name (`comm`) that the child has from then on; at least one zero at its end.
        name: [u8; 16],
    },
    /// Opens an existing regular file by a path of the caller's, and writes all of it to a pipe. `ENXIO`: there is something
    /// else. All descriptors but those that it takes are closed first, from 5.9 on: who is stuck there must not keep open what
    /// others wait for the end of.
    Stream {
        /// The file.
        path: CString,
        /// The name (`comm`) that the child has from then on; at least one zero at its end.
        name: [u8; 16],
        /// The pipe.
        to: SharedFd,
    },
    /// A session keyring of its own, with nothing in it, where the kernel has keyrings and no filter denies them.
    SessionKeyring,
    /// The root directory becomes this one. The working directory does too.
    Root(Directory),
    /// The working directory becomes this one; but the root directory where it cannot be reached from there, as one that
    /// has been deleted, or one from elsewhere.
    WorkingDirectory(Directory),
    /// The supplementary groups.
    Groups {
        /// Them.
        gids: Vec<u32>,
        /// Whether it is no error if that is not allowed.
        or_stay: bool,
    },
    /// The real, effective and saved GID.
    Gids([u32; 3]),
    /// The real, effective and saved UID. Permitted capabilities are kept (`PR_SET_KEEPCAPS`).
    Uids([u32; 3]),
    /// The inheritable set, as far as it can be had, before [`Op::Bounding`] limits it.
    Inheritable(u64),
    /// No capability but these remains in the bounding set.
    Bounding(u64),
    /// The permitted, effective, inheritable and ambient sets: what of these can be had, and nothing else.
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
    /// `no_new_privs`.
    NoNewPrivs,
    /// The security context or profile that the program is to run with (`lsm_set_self_attr(2)`, or the file below the
    /// procfs where the kernel has no such call).
    ExecContext {
        /// The number of the security module (`LSM_ID_*`).
        module: u64,
        /// What to set.
        context: Vec<u8>,
        /// The procfs of the caller.
        procfs: SharedFd,
        /// The file below it.
        path: CString,
    },
    /// A session of its own, without a terminal (`setsid(2)`).
    NewSession,
    /// A mount namespace of its own, made from the one that it is in, of whose mounts nothing is to be seen in others.
    OwnMounts,
    /// Mounts something over a directory, in a mount namespace of its own.
    Cover(Cover),
    /// These resource limits (`prlimit(2)`), as far as the hard ones may be raised.
    Limits {
        /// Them.
        limits: Vec<Limit>,
        /// Whether nothing is lowered yet: what follows may need descriptors, and raising may need powers that are left
        /// behind.
        only_raise: bool,
    },
    /// The file mode creation mask (`umask(2)`).
    Umask(u32),
    /// On which CPUs it may run, a bit each; as far as its control group has them.
    Affinity(Vec<u8>),
    /// The nice value, as low as is allowed.
    Nice(i32),
    /// The I/O scheduling class and priority (`ioprio_set(2)`), if it is allowed.
    IoPriority(u32),
    /// The execution domain (`personality(2)`).
    Personality(u32),
    /// Securebits (`capabilities(7)`).
    Securebits(u32),
    /// Descriptors become copies of others, which are none of these numbers, and are passed on.
    Descriptors(Vec<(SharedFd, i32)>),
    /// All descriptors from 3 on are closed but these, sorted, and what is needed to become the command. No open one is at
    /// `end` or above.
    CloseOthers {
        /// Those that stay, and are passed on.
        keep: Vec<i32>,
        /// One more than the highest that can be open, for kernels without `close_range(2)`.
        end: u32,
    },
}

/// A directory.
#[derive(Clone, Debug)]
pub struct Directory {
    /// It, open.
    pub fd: SharedFd,
    /// In a mount namespace of the child's own: the path at which the same directory is there, if it is.
    pub path: Option<CString>,
}

/// What is mounted over what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cover {
    /// Over `/proc`, if there is one: that of the child's own PID namespace.
    Proc,
    /// Over `/proc`, if there is one: nothing.
    NoProc,
    /// Over `/sys`, if there is one: that of the child's network namespace, or nothing if it has no power over that.
    Sys,
}

/// A resource limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Its number (`RLIMIT_*`).
    pub resource: u32,
    /// The soft limit; the highest number is none.
    pub soft: u64,
    /// The hard limit, likewise.
    pub hard: u64,
}

/// How the child becomes the command. That is done by a process of its own, which is in the PID namespace that was entered,
/// and has nothing but this, what it reads only of the program's own files, its descriptors, and a pipe for an error number.
#[derive(Clone, Debug)]
pub struct Launch {
    /// Its session.
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
    /// That of the child.
    Same,
    /// One of its own.
    New {
        /// The descriptor, of the command's, that becomes its terminal.
        terminal: Option<i32>,
    },
    /// That of the child, and a process group of its own.
    Group {
        /// The terminal of the session, in whose foreground it is to be.
        terminal: Option<SharedFd>,
    },
}

/// Which namespaces are entered, and how.
#[derive(Clone, Debug)]
pub struct Enter {
    /// The process they are of, and their `CLONE_NEW*` flags together: then they are entered in one call, where the
    /// kernel can (5.8).
    pub process: Option<(SharedFd, u32)>,
    /// Each with its `CLONE_NEW*` flag. Those before the user namespace for which there is privilege here; then that; then
    /// the others.
    pub namespaces: Vec<(SharedFd, u32)>,
}

/// Another program.
#[derive(Clone, Debug)]
pub struct Exec {
    /// Which.
    pub program: ExecProgram,
    /// Its arguments, with its name.
    pub arguments: Vec<CString>,
    /// Its environment.
    pub environment: Vec<CString>,
}

/// Where a program is.
#[derive(Clone, Debug)]
pub enum ExecProgram {
    /// At the first of these paths where there is one.
    Paths(Vec<CString>),
    /// In this open file (`execveat(2)`).
    Fd(SharedFd),
}
