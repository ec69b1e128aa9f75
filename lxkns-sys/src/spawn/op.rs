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
    /// The child ends on its own terms again, as programs do.
    OutliveParent,
    /// Enters namespaces (`setns(2)`).
    Enter(Enter),
    /// From here on it is a new process that goes on, so that it is in the PID namespace that was entered. It is a child of
    /// whoever called [`spawn`](crate::spawn()), as the one before was (`CLONE_PARENT`).
    Fork,
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
    /// A session keyring of its own, with nothing in it, where the kernel has keyrings and no filter denies them.
    SessionKeyring,
    /// The root directory becomes this one. The working directory does too.
    Root(SharedFd),
    /// The working directory becomes this one; but the root directory where it cannot be reached from there, as one that
    /// somebody has let in from elsewhere.
    WorkingDirectory(SharedFd),
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
    /// A session of its own (`setsid(2)`).
    NewSession,
    /// This terminal becomes the one that controls the session, which has none (`TIOCSCTTY`).
    ControllingTerminal(SharedFd),
    /// A process group of its own; with a terminal, which controls the session, in the foreground there.
    ProcessGroup(Option<SharedFd>),
    /// A mount namespace of its own, made from the one that it is in.
    OwnMounts(OwnMounts),
    /// Standard input, output and error become copies of these, whose numbers are 3 or above.
    Stdio([SharedFd; 3]),
    /// All descriptors from 3 on are closed by the next program but these, sorted. No open one is at `end` or above.
    CloseOthers {
        /// Those that stay.
        keep: Vec<i32>,
        /// One more than the highest that can be open, for kernels without `CLOSE_RANGE_CLOEXEC`.
        end: u32,
    },
    /// Signals with handlers, and `SIGPIPE`, which Rust ignores, get their default actions; and this becomes the mask of
    /// blocked signals, a bit for each from 1 on.
    Signals {
        /// The mask.
        blocked: u64,
    },
    /// Becomes another program.
    Exec(Exec),
    /// Becomes none: it ends with the exit code 0.
    End,
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

/// What is different in a mount namespace of the child's own. Nothing of it is to be seen in others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnMounts {
    /// `/proc` is that of the child's PID namespace.
    pub proc: bool,
    /// `/sys` is that of the child's network namespace, or empty if the child has no power over that.
    pub sys: bool,
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
