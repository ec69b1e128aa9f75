//! The credentials of tasks that have others than their process.

use bstr::BString;

use super::{CapabilitySet, Pid, Tid, Uid};

/// The credentials of a task, where they differ from those of the task that stands for its process; `credentials(7)`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TaskPowers {
    /// The process.
    pub pid: Pid,
    /// The task.
    pub tid: Tid,
    /// Its name (`comm`), any bytes.
    pub comm: BString,
    /// Its effective UID.
    pub effective_uid: Uid,
    /// Its effective capability set.
    pub effective: CapabilitySet,
    /// Its permitted capability set.
    pub permitted: CapabilitySet,
}
