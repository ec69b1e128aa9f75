//! Why a PID namespace does not end although its first process has ended, or is about to.

use bstr::BString;

use crate::{Pid, TaskState, Tid};

/// A PID namespace whose first process (its init) has ended or cannot run any more, and which is still there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ending {
    /// Its init.
    pub init: Waiting,
    /// The processes in it, or below it, for which its init waits in the kernel (`zap_pid_ns_processes`).
    pub others: Vec<Waiting>,
    /// How many more there are, which were not looked at.
    pub more: usize,
}

impl Ending {
    /// A namespace with only its init known.
    pub fn new(init: Waiting) -> Self {
        Self { init, others: Vec::new(), more: 0 }
    }
}

/// A process that keeps a PID namespace from ending.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Waiting {
    /// The process.
    pub pid: Pid,
    /// The task of it that has not ended; the first one where all have.
    pub tid: Tid,
    /// The run state of that task.
    pub state: TaskState,
    /// The parent of the process; `None` where it has none that is visible.
    pub parent: Option<Pid>,
    /// Who traces it (`ptrace(2)`).
    pub tracer: Option<Pid>,
    /// Whether `SIGKILL` is pending, or the task is on its way out; `None` where not known.
    pub killed: Option<bool>,
    /// The function of the kernel in which it sleeps; `None` where it does not, or that is not readable.
    pub wchan: Option<BString>,
    /// The functions of the kernel in which it is, the innermost first; `None` where that is not readable.
    pub stack: Option<Vec<BString>>,
    /// The FUSE connections (the minor device numbers) that it can be waiting for: those of the mounts that it sees.
    pub fuse: Vec<u32>,
}

impl Waiting {
    /// A process with only these values known.
    pub fn new(pid: Pid, state: TaskState) -> Self {
        let tid = Tid::from(pid);
        let (parent, tracer, killed, wchan, stack) = (None, None, None, None, None);
        Self { pid, tid, state, parent, tracer, killed, wchan, stack, fuse: Vec::new() }
    }

    /// Whether it waits for the server of a FUSE file system, as far as the kernel shows.
    pub fn waits_for_fuse(&self) -> bool {
        let of_fuse = |function: &BString| {
            [&b"fuse_"[..], b"request_wait_answer", b"__fuse_"].iter().any(|start| function.starts_with(start))
        };
        self.wchan.iter().chain(self.stack.iter().flatten()).any(of_fuse)
    }
}
