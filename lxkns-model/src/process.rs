//! Processes and their tasks.

use std::fmt;
use std::sync::Arc;

use bstr::BString;

use super::{CapabilitySet, NamespaceId, NamespaceType, Pid, Tasks, Tid, Uid};

/// The ten links below `/proc/PID/ns`: one for each type, and those that say where the next child will be.
///
/// All namespaces of a host are inodes of one nsfs, so that one device number serves all ten.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct NamespaceLinks {
    dev: u64,
    inos: [u64; 10],
}

impl NamespaceLinks {
    const PID_FOR_CHILDREN: usize = 8;
    const TIME_FOR_CHILDREN: usize = 9;

    /// The namespace of this type, where it is known.
    pub fn get(&self, ns_type: NamespaceType) -> Option<NamespaceId> {
        self.at(ns_type as usize)
    }

    /// The namespace in which the next child will be, where it is known: of the types pid and time.
    pub fn for_children(&self, ns_type: NamespaceType) -> Option<NamespaceId> {
        match ns_type {
            NamespaceType::Pid => self.at(Self::PID_FOR_CHILDREN),
            NamespaceType::Time => self.at(Self::TIME_FOR_CHILDREN),
            _ => None,
        }
    }

    /// Notes the namespace of this type.
    pub fn set(&mut self, ns_type: NamespaceType, id: NamespaceId) {
        self.put(ns_type as usize, id);
    }

    /// Notes the namespace in which the next child will be: of the types pid and time; of others there is none.
    pub fn set_for_children(&mut self, ns_type: NamespaceType, id: NamespaceId) {
        match ns_type {
            NamespaceType::Pid => self.put(Self::PID_FOR_CHILDREN, id),
            NamespaceType::Time => self.put(Self::TIME_FOR_CHILDREN, id),
            _ => {}
        }
    }

    /// The namespaces that are known, with their types, without those for children.
    pub fn iter(&self) -> impl Iterator<Item = (NamespaceType, NamespaceId)> + '_ {
        NamespaceType::ALL.into_iter().filter_map(|ns_type| Some((ns_type, self.get(ns_type)?)))
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.inos.iter().all(|&ino| ino == 0)
    }

    fn at(&self, index: usize) -> Option<NamespaceId> {
        let ino = self.inos[index];
        (ino != 0).then_some(NamespaceId { ino, dev: self.dev })
    }

    fn put(&mut self, index: usize, id: NamespaceId) {
        self.dev = id.dev;
        self.inos[index] = id.ino;
    }
}

impl fmt::Debug for NamespaceLinks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(ns_type, id)| (ns_type.name(), id.ino))).finish()
    }
}

/// What a task is doing, as the one letter of `/proc/PID/stat`; `proc_pid_stat(5)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskState(pub u8);

impl TaskState {
    /// Whether the task has exited and only its entry is left.
    pub fn is_dead(self) -> bool {
        matches!(self.0, b'Z' | b'X' | b'x')
    }
}

/// A task of a process. The TID of the thread group leader is the process's PID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its ID.
    pub tid: Tid,
    /// Its name (`comm`), any bytes.
    pub comm: BString,
    /// When it started, in clock ticks since boot (`sysconf(_SC_CLK_TCK)` of them a second). With the ID it tells a task
    /// from a later one with the same ID.
    pub start_time_ticks: u64,
    /// What it is doing.
    pub state: TaskState,
    /// Its namespaces; empty where they could not be read.
    pub namespaces: NamespaceLinks,
    /// Its control groups, where they were asked for.
    pub cgroups: Option<Arc<Cgroups>>,
    /// Whether it is frozen, where that was asked for and could be read.
    pub freezer: Option<Freezer>,
    /// How it is scheduled, where that was asked for.
    pub scheduling: Option<Scheduling>,
    /// The CPUs it may run on, sorted, where that was asked for.
    pub affinity: Option<Vec<CpuRange>>,
}

impl Task {
    /// A task with only its ID and name known.
    pub fn new(tid: Tid, comm: impl Into<BString>) -> Self {
        Self {
            tid,
            comm: comm.into(),
            start_time_ticks: 0,
            state: TaskState(b'?'),
            namespaces: NamespaceLinks::default(),
            cgroups: None,
            freezer: None,
            scheduling: None,
            affinity: None,
        }
    }
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its ID.
    pub pid: Pid,
    /// Its parent; `None` where it has none, or one that the procfs does not show.
    pub ppid: Option<Pid>,
    /// Its namespaces: those of the thread group leader, or of one that lives where the first has exited.
    pub namespaces: NamespaceLinks,
    /// How many tasks it has.
    pub threads: u32,
    /// Its tasks: the thread group leader first, then by TID. Where details of tasks were not asked for, only those that are
    /// elsewhere than the process come after the first; where tasks were not asked for, none. A task that stands for
    /// its process because the first has exited is always there.
    pub tasks: Tasks,
    /// Its command line, where it was asked for and could be read; empty for kernel threads and zombies.
    pub command_line: Option<Vec<BString>>,
    /// What `/proc/PID/status` says, where it was asked for.
    pub status: Option<ProcessStatus>,
}

impl Process {
    /// A process with only its ID and its thread group leader known.
    pub fn new(pid: Pid, main_task: Task) -> Self {
        Self {
            pid,
            ppid: None,
            namespaces: NamespaceLinks::default(),
            threads: 1,
            tasks: Tasks::new(main_task, []),
            command_line: None,
            status: None,
        }
    }

    /// The thread group leader, which has its PID. It may have exited before the others.
    pub fn main_task(&self) -> &Task {
        self.tasks.first()
    }

    /// Whether it has exited as far as namespaces go. From then until it is reaped, it is only in its user and its PID
    /// namespace: that no other is known does not mean that permission is missing. `false` also where its state is not known.
    pub fn has_given_up_namespaces(&self) -> bool {
        const KEPT: [NamespaceType; 2] = [NamespaceType::User, NamespaceType::Pid];
        let has = |ns_type| self.namespaces.get(ns_type).is_some();
        let is_state_known = self.main_task().state.0.is_ascii_alphabetic();
        is_state_known
            && KEPT.into_iter().all(has)
            && !NamespaceType::ALL.into_iter().any(|it| !KEPT.contains(&it) && has(it))
    }

    /// The task that stands for the process: the thread group leader or, if that has exited, a living task. What is below
    /// `/proc/PID` of an exited leader is gone (namespaces, descriptors, mounts, memory) or no longer true (control
    /// groups, credentials).
    pub fn living_task(&self) -> &Task {
        let main = self.main_task();
        // A dump can leave out states; the namespaces of the process are those of the task that stands for it.
        if !main.state.is_dead() && main.namespaces == self.namespaces {
            return main;
        }
        let stands_for_it = |task: &&Task| !task.state.is_dead() && task.namespaces == self.namespaces;
        self.tasks.others().iter().find(stands_for_it).unwrap_or(main)
    }

    /// Where its files are below a procfs: `PID`, or `PID/task/TID` where the thread group leader has exited.
    pub fn directory(&self) -> String {
        match self.living_task().tid {
            tid if tid == Tid::from(self.pid) => self.pid.to_string(),
            tid => format!("{}/task/{tid}", self.pid),
        }
    }

    /// The name (`comm`) of the thread group leader.
    pub fn comm(&self) -> &BString {
        &self.main_task().comm
    }

    /// When it started, in clock ticks since boot.
    pub fn start_time_ticks(&self) -> u64 {
        self.main_task().start_time_ticks
    }
}

/// Facts about a process that come from `/proc/PID/status`, and its label; `proc_pid_status(5)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessStatus {
    /// Its user IDs.
    pub uids: Uids,
    /// Its PIDs, from the PID namespace of the procfs that was read down to its own.
    pub ns_pids: Vec<Pid>,
    /// Its capability sets.
    pub capabilities: Capabilities,
    /// Whether system calls are filtered, of the task that stands for it; `None` where not known.
    pub seccomp: Option<Seccomp>,
    /// Whether that task has `no_new_privs`: no program that it runs gives it more privileges; `None` where not known.
    pub no_new_privs: Option<bool>,
    /// The label that a security module gave that task; `Some(None)` where no module gives any, `None` where it was not asked
    /// for or is not known.
    pub label: Option<Option<BString>>,
}

impl ProcessStatus {
    /// The status of a process.
    pub fn new(uids: Uids, ns_pids: Vec<Pid>, capabilities: Capabilities) -> Self {
        Self { uids, ns_pids, capabilities, seccomp: None, no_new_privs: None, label: None }
    }
}

/// The mode of seccomp; `seccomp(2)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "wire", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Seccomp {
    /// No system call is denied.
    None,
    /// Hardly any is allowed.
    Strict,
    /// A filter decides.
    Filter,
    /// Seccomp is ending the task, or has ended it.
    Dead,
}

impl Seccomp {
    /// The mode that `/proc/PID/status` has as this number; `None` for a number that this version does not know.
    pub const fn from_number(number: u64) -> Option<Self> {
        match number {
            0 => Some(Self::None),
            1 => Some(Self::Strict),
            2 => Some(Self::Filter),
            3 => Some(Self::Dead),
            _ => None,
        }
    }

    /// A short stable name, as in the JSON form.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Strict => "strict",
            Self::Filter => "filter",
            Self::Dead => "dead",
        }
    }
}

impl fmt::Display for Seccomp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The user IDs of a process, as the reader's user namespace knows them; `credentials(7)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Uids {
    /// The real one.
    pub real: Uid,
    /// The effective one.
    pub effective: Uid,
    /// The saved one.
    pub saved: Uid,
    /// The one for file system access.
    pub file_system: Uid,
}

/// The capability sets of a process; `capabilities(7)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Capabilities {
    /// The inheritable set.
    pub inheritable: CapabilitySet,
    /// The permitted set.
    pub permitted: CapabilitySet,
    /// The effective set.
    pub effective: CapabilitySet,
    /// The bounding set.
    pub bounding: CapabilitySet,
    /// The ambient set.
    pub ambient: CapabilitySet,
}

/// Consecutive CPUs, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CpuRange {
    /// The first.
    pub first: u32,
    /// The last.
    pub last: u32,
}

/// As the kernel writes it: `8`, `10-11`.
impl fmt::Display for CpuRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.first, self.last) {
            (first, last) if first == last => write!(f, "{first}"),
            (first, last) => write!(f, "{first}-{last}"),
        }
    }
}

/// How a task is scheduled; `sched(7)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Scheduling {
    /// The kernel's number of the policy: 0 `SCHED_OTHER`, 1 `SCHED_FIFO`, 2 `SCHED_RR`, ...
    pub policy: u32,
    /// The real-time priority, 1 to 99; 0 for policies that have none.
    pub priority: u32,
    /// The nice value, -20 to 19.
    pub nice: i32,
}

/// The control groups of a task, one for each hierarchy; `cgroups(7)`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Cgroups(pub Vec<CgroupMembership>);

/// The control group of a task in one hierarchy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CgroupMembership {
    /// The hierarchy: 0 for cgroup v2.
    pub hierarchy: u32,
    /// The controllers of a v1 hierarchy, separated by commas; empty for cgroup v2.
    pub controllers: BString,
    /// The path below the hierarchy's root, as the reader's cgroup namespace shows it.
    pub path: BString,
}

impl CgroupMembership {
    /// The hierarchies by which tasks are told apart, the first first.
    const USUAL: [&str; 6] = ["name=systemd", "cpu", "memory", "pids", "freezer", "devices"];

    fn rank(&self) -> (bool, usize, &[u8], u32) {
        let mut names = self.controllers.split(|&byte| byte == b',');
        let rank = match self.hierarchy {
            0 => 0,
            _ => 1 + names.by_ref().filter_map(usual_at).min().unwrap_or(Self::USUAL.len()),
        };
        // The top of the hierarchy, as far as the reader's cgroup namespace shows it, comes last.
        (self.path == "/", rank, &self.controllers, self.hierarchy)
    }
}

/// Where in the usual order a controller is.
fn usual_at(name: &[u8]) -> Option<usize> {
    CgroupMembership::USUAL.iter().position(|usual| usual.as_bytes() == name)
}

impl Cgroups {
    /// The control group that the task is said to be in, on hosts with version 2, version 1, or both: that of the first
    /// hierarchy in which it is not at the top, and else `/`. Version 2 comes first, then what service managers use, then
    /// the controllers that container engines set limits with, then others by name. `None` where there are no hierarchies.
    ///
    /// Where systemd keeps both versions, it has the same path in its two; where nobody uses version 2, every task is at
    /// the top of that, and containers are told apart in version 1 alone.
    pub fn path(&self) -> Option<&BString> {
        let first = self.0.iter().min_by(|a, b| a.rank().cmp(&b.rank()));
        first.map(|membership| &membership.path)
    }

    /// The cgroup v2 path.
    pub fn unified(&self) -> Option<&BString> {
        self.0.iter().find(|membership| membership.hierarchy == 0).map(|membership| &membership.path)
    }

    /// The path in the v1 hierarchy with this controller, else the cgroup v2 path.
    pub fn of_controller(&self, controller: &str) -> Option<&BString> {
        self.of_v1_controller(controller).or_else(|| self.unified())
    }

    /// The path in the v1 hierarchy with this controller.
    pub fn of_v1_controller(&self, controller: &str) -> Option<&BString> {
        let has_it = |membership: &&CgroupMembership| {
            membership.hierarchy != 0
                && membership.controllers.split(|&byte| byte == b',').any(|name| name == controller.as_bytes())
        };
        self.0.iter().find(has_it).map(|membership| &membership.path)
    }
}

/// Whether a task is frozen, through cgroup v1's freezer or cgroup v2's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Freezer {
    /// Whether its own control group was told to freeze (`freezer.self_freezing`, `cgroup.freeze`).
    pub own: bool,
    /// Whether it is frozen, because its own control group or one above was told to (`freezer.state`, `cgroup.events`).
    pub effective: bool,
}
