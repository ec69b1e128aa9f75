//! Namespaces and processes as trees: the answer of `lxkns tree`.

use std::collections::BTreeMap;

use lxkns_model::CompactSort as _;
use lxkns_model::relations::{self, Forest, TreeNode};
use lxkns_model::{Holder, Namespace, NamespaceId, NamespaceType, Pid, Process, Tid, Uid};
use rustc_hash::FxHashMap;
use serde::Serialize;

use crate::context::Context;
use crate::holders;
use crate::names::{self, lossy};
use crate::whose::{self, Whose, WhoseForm};

/// Which tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// User namespaces.
    #[default]
    User,
    /// User namespaces, and what each owns.
    Ownership,
    /// PID namespaces.
    Pid,
    /// PID namespaces, and between them the user namespaces that own them.
    OwnedPid,
    /// Processes, below the PID namespaces that they are in.
    Process,
}

impl Kind {
    /// This tree of a snapshot.
    pub fn forest(self, context: Context<'_>) -> Forest<TreeNode> {
        match self {
            Self::User => relations::hierarchy(context.snapshot, NamespaceType::User),
            Self::Ownership => relations::ownership(context.snapshot),
            Self::Pid => relations::hierarchy(context.snapshot, NamespaceType::Pid),
            Self::OwnedPid => relations::owned_pid_namespaces(context.snapshot),
            Self::Process => relations::process_tree(context.snapshot),
        }
    }
}

/// How much of control groups is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CgroupDetail {
    /// Their paths, with long IDs cut short.
    #[default]
    Short,
    /// Their paths.
    Full,
    /// Nothing.
    Off,
}

/// What a tree shows of its nodes.
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    /// What is said of control groups.
    pub cgroup: CgroupDetail,
    /// Whether to list all topmost processes and loose tasks of a namespace, or only the first ones.
    pub all_leaders: bool,
    /// Whether owners of PID namespaces are named: if they are not in the tree themselves.
    pub owners: bool,
    /// Whether processes have PIDs in all PID namespaces, or the one of the host.
    pub pids: bool,
}

impl Shown {
    /// What a tree of this kind shows by default.
    pub fn of(kind: Kind) -> Self {
        Self {
            cgroup: CgroupDetail::default(),
            all_leaders: false,
            owners: kind == Kind::Pid,
            pids: !matches!(kind, Kind::User | Kind::Ownership),
        }
    }
}

/// A tree.
#[derive(Debug)]
pub struct Tree<'a> {
    context: Context<'a>,
    forest: Forest<TreeNode>,
    shown: Shown,
    /// The tasks in a namespace that their process is not in.
    loose: FxHashMap<NamespaceId, Vec<LooseTask<'a>>>,
}

/// A task in a namespace that its process is not in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct LooseTask<'a> {
    tid: Tid,
    pid: Option<Pid>,
    name: Option<&'a [u8]>,
}

impl<'a> Tree<'a> {
    /// A tree, or a branch of one.
    pub fn new(context: Context<'a>, forest: Forest<TreeNode>, shown: Shown) -> Self {
        let snapshot = context.snapshot;
        let with_loose = snapshot.namespaces.values().filter(|namespace| !namespace.loose_threads.is_empty());
        let loose = with_loose.map(|namespace| (namespace.id, loose_tasks(context, namespace))).collect();
        Self { context, forest, shown, loose }
    }

    /// Its nodes.
    pub fn forest(&self) -> &Forest<TreeNode> {
        &self.forest
    }

    /// All nodes as rows, parents before children. Readers of JSON limit nesting, and a tree of processes can be deeper.
    pub fn answer(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        let mut todo: Vec<_> = self.forest.roots().iter().rev().map(|&root| (0, root)).collect();
        while let Some((depth, node)) = todo.pop() {
            rows.push(Row { depth, what: self.what(node) });
            todo.extend(self.forest.children(node).iter().rev().map(|&child| (depth + 1, child)));
        }
        rows
    }

    /// The mount namespace that gives network namespaces their names, even if paths there mean other files.
    fn names_ns(&self) -> Option<NamespaceId> {
        self.context.mount_ns.or(self.context.snapshot.observer_mount_ns)
    }

    /// The name of a node, safe to print.
    pub fn name(&self, node: TreeNode) -> String {
        match node {
            TreeNode::Process(pid) if !self.context.snapshot.processes.contains_key(&pid) => pid.to_string(),
            // Said once for those below that are in the same one.
            TreeNode::Process(pid) if self.is_same_as_above(pid) => self.process(pid),
            TreeNode::Process(pid) => self.process(pid) + &whose::in_words(self.context.snapshot, pid),
            TreeNode::OwnerNotVisible => "owner not visible from here".to_owned(),
            TreeNode::OwnerNotAsked => "owner not known".to_owned(),
            node => match node.namespace() {
                Some(id) => names::namespace_and_name(self.context.snapshot, id, self.names_ns()),
                None => "something unknown to this version".to_owned(),
            },
        }
    }

    /// The rest of the line of a node, safe to print.
    pub fn about(&self, node: TreeNode) -> String {
        match node {
            TreeNode::Process(pid) => self.about_process(pid),
            node => node.namespace().map(|id| self.about_namespace(node, id)).unwrap_or_default(),
        }
    }

    fn about_process(&self, pid: Pid) -> String {
        let Some(process) = self.context.snapshot.processes.get(&pid) else { return String::new() };
        let mut rest = String::new();
        // Said once for those below that are in the same one.
        let cgroup = cgroup(process);
        let above = self.process_above(pid).and_then(|pid| self.context.snapshot.processes.get(&pid));
        if above.and_then(|above| self::cgroup(above)) != cgroup {
            rest += &self.cgroup(process);
        }
        let is_outermost = process.status.as_ref().is_some_and(|status| status.ns_pids.len() == 1);
        if process.namespaces.get(NamespaceType::Pid).is_none() && !is_outermost {
            rest += ", in what PID namespace is not known";
        }
        rest
    }

    /// Whether a process has the same owner as its parent in the tree.
    fn is_same_as_above(&self, pid: Pid) -> bool {
        let whose = |pid| Whose::process(self.context.snapshot, pid);
        self.process_above(pid).is_some_and(|above| whose(above) == whose(pid))
    }

    /// The parent of a process in the tree.
    fn process_above(&self, pid: Pid) -> Option<Pid> {
        match self.forest.parent(TreeNode::Process(pid))? {
            TreeNode::Process(pid) | TreeNode::Members(_, pid) => Some(pid),
            _ => None,
        }
    }

    fn about_namespace(&self, node: TreeNode, id: NamespaceId) -> String {
        let Some(namespace) = self.context.snapshot.namespaces.get(&id) else { return String::new() };
        let mut text = String::new();
        if let (NamespaceType::User, Some(uid)) = (namespace.ns_type, namespace.owner_uid) {
            text += &format!(" created by {},", names::user(self.context.snapshot, uid));
        }
        if let (NamespaceType::Pid, true, Some(owner)) =
            (namespace.ns_type, self.shown.owners && !matches!(node, TreeNode::Owned(..)), namespace.owner.known())
        {
            text += &format!(" owned by {},", names::namespace(self.context.snapshot, owner));
        }
        if !self.is_above_processes(node) {
            // A user namespace can occur many times between PID namespaces; `tree user` shows its processes.
            let all = self.shown.all_leaders && !matches!(node, TreeNode::Owner { .. });
            text += &format!(" {}", self.occupants(namespace, if all { usize::MAX } else { 1 }));
        }
        text.trim_end().trim_end_matches(',').to_owned()
    }

    /// Whether its children are processes, which then need not be named on its line too.
    fn is_above_processes(&self, node: TreeNode) -> bool {
        matches!(self.forest.children(node).first(), Some(TreeNode::Process(_)))
    }

    /// At most `limit` of the processes in a namespace; its holders if there is no process.
    fn occupants(&self, namespace: &Namespace, limit: usize) -> String {
        let leaders = &namespace.leaders;
        if !leaders.is_empty() {
            let leader = |&pid: &Pid| {
                let process = self.context.snapshot.processes.get(&pid);
                let place = process.map(|process| self.place(process, namespace.id)).unwrap_or_default();
                format!("process {}{place}", self.process(pid))
            };
            return leaders.iter().take(limit).map(leader).collect::<Vec<_>>().join(", ");
        }
        let threads = self.loose(namespace);
        if !threads.is_empty() {
            let mut words: Vec<_> = threads.iter().take(limit).map(|thread| self.task(thread)).collect();
            let more = threads.len().saturating_sub(limit);
            words.extend((more > 0).then(|| format!("+{more}")));
            return words.join(", ");
        }
        holders::in_brackets(self.context.snapshot, namespace, self.context.mount_ns).unwrap_or_default()
    }

    fn loose(&self, namespace: &Namespace) -> &[LooseTask<'a>] {
        self.loose.get(&namespace.id).map(Vec::as_slice).unwrap_or_default()
    }

    fn task(&self, thread: &LooseTask<'_>) -> String {
        let name = thread.name.map(|name| format!("{} ", names::comm(name))).unwrap_or_default();
        let process = thread.pid.map(|pid| format!(" of process {}", self.process(pid))).unwrap_or_default();
        format!("task {name}({}){process}", thread.tid)
    }

    /// A process with its PIDs, as in `nginx (5709/72/1)`.
    fn process(&self, pid: Pid) -> String {
        let Some(process) = self.context.snapshot.processes.get(&pid) else { return format!("({pid})") };
        let pids: Vec<_> = self.pids(process).iter().map(ToString::to_string).collect();
        format!("{} ({})", names::comm(process.comm()), pids.join("/"))
    }

    /// The PIDs of a process, from the PID namespace of the host down to its own.
    fn pids(&self, process: &Process) -> Vec<Pid> {
        /// PID namespaces are not nested more deeply (`kernel/pid_namespace.c`).
        const DEEPEST_PID_NAMESPACE: usize = 33;
        match &process.status {
            Some(status) if self.shown.pids && !status.ns_pids.is_empty() => {
                status.ns_pids.iter().copied().take(DEEPEST_PID_NAMESPACE).collect()
            }
            _ => vec![process.pid],
        }
    }

    /// The owner of a process, if the namespace has another one, and its control group.
    fn place(&self, process: &Process, id: NamespaceId) -> String {
        let snapshot = self.context.snapshot;
        let is_same = Whose::process(snapshot, process.pid) == Whose::namespace(snapshot, id);
        let whose = if is_same { String::new() } else { whose::in_words(snapshot, process.pid) };
        whose + &self.cgroup(process)
    }

    fn cgroup(&self, process: &Process) -> String {
        let Some(path) = cgroup(process) else { return String::new() };
        match self.shown.cgroup {
            CgroupDetail::Off => String::new(),
            // The container or unit is more telling.
            CgroupDetail::Short if Whose::process(self.context.snapshot, process.pid).is_some() => String::new(),
            // The only control group of many hosts.
            CgroupDetail::Short if path == b"/" => String::new(),
            CgroupDetail::Short => format!(" in {}", names::text(short(path))),
            CgroupDetail::Full => format!(" in {}", names::text(path)),
        }
    }
}

/// The control group of a process.
fn cgroup(process: &Process) -> Option<&[u8]> {
    process.living_task().cgroups.as_ref()?.path().map(|path| path.as_slice())
}

/// The tasks in a namespace that their process is not in.
fn loose_tasks<'a>(context: Context<'a>, namespace: &Namespace) -> Vec<LooseTask<'a>> {
    let mut tasks = namespace.loose_threads.clone();
    // Holders have the same order, and name the processes of the tasks.
    let mut processes: Vec<_> = namespace.holders.iter().filter_map(task).collect();
    processes.compact_sort();
    tasks.compact_sort();
    let described = tasks.into_iter().map(|tid| {
        let at = processes.binary_search_by_key(&tid, |&(tid, _)| tid).ok();
        let pid = at.map(|at| processes[at].1);
        let process = pid.and_then(|pid| context.snapshot.processes.get(&pid));
        LooseTask { tid, pid, name: process.and_then(|process| task_name(process, tid)) }
    });
    described.collect()
}

fn task(holder: &Holder) -> Option<(Tid, Pid)> {
    match *holder {
        Holder::Task { pid, tid } => Some((tid, pid)),
        _ => None,
    }
}

/// The name of a task. That of the thread group leader comes first, the others are sorted.
fn task_name(process: &Process, tid: Tid) -> Option<&[u8]> {
    let (first, others) = process.tasks.split_first()?;
    let of_others = || others.binary_search_by_key(&tid, |task| task.tid).ok().map(|at| &others[at]);
    let task = if first.tid == tid { Some(first) } else { of_others() };
    task.map(|task| task.comm.as_slice())
}

/// The path of a control group, with the hexadecimal IDs of container engines shortened.
fn short(path: &[u8]) -> Vec<u8> {
    const ID: usize = 32;
    const KEPT: usize = 12;
    let mut short = Vec::with_capacity(path.len());
    let mut rest = path;
    while !rest.is_empty() {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let (id, after) = rest.split_at(digits);
        if digits >= ID {
            short.extend_from_slice(&id[..KEPT]);
            short.extend_from_slice(b"...");
        } else {
            short.extend_from_slice(id);
        }
        let others = after.iter().take_while(|byte| !byte.is_ascii_hexdigit()).count();
        let (other, after) = after.split_at(others);
        short.extend_from_slice(other);
        rest = after;
    }
    short
}

impl Tree<'_> {
    fn what(&self, node: TreeNode) -> What {
        match node {
            TreeNode::Process(pid) => What::Process(self.process_answer(pid)),
            TreeNode::OwnerNotVisible => What::OwnerNotVisible,
            _ => node.namespace().map_or(What::OwnerNotKnown, |id| What::Namespace(self.namespace_answer(node, id))),
        }
    }

    fn namespace_answer(&self, node: TreeNode, id: NamespaceId) -> NamespaceAnswer {
        let namespace = self.context.snapshot.namespaces.get(&id);
        let ns_type = namespace.map(|namespace| namespace.ns_type);
        let creator = namespace.and_then(|namespace| namespace.owner_uid);
        let is_told = !matches!(node, TreeNode::Owner { .. }) && !self.is_above_processes(node);
        let name = || names::netns_name(self.context.snapshot, id, self.names_ns()).map(|name| lossy(name));
        let user = |uid: Option<Uid>| UserAnswer {
            user_id: names::user_id(self.context.snapshot, uid),
            user_name: names::user_name(self.context.snapshot, uid),
        };
        NamespaceAnswer {
            nsid: id.ino,
            ns_type: ns_type.map(NamespaceType::name),
            unique_id: namespace.and_then(|namespace| namespace.unique_id),
            parent: namespace.and_then(|namespace| namespace.parent.known()).map(|id| id.ino),
            owner: namespace.and_then(|namespace| namespace.owner.known()).map(|id| id.ino),
            user: (ns_type == Some(NamespaceType::User)).then(|| user(creator)),
            netns_name: (ns_type == Some(NamespaceType::Net)).then(name),
            occupants: namespace.filter(|_| is_told).map(|namespace| self.occupants_answer(namespace)),
            whose: WhoseForm::namespace(self.context.snapshot, id),
        }
    }

    fn occupants_answer(&self, namespace: &Namespace) -> Occupants {
        let tasks = self.loose(namespace).iter().map(|task| TaskAnswer {
            tid: task.tid.0,
            pid: task.pid.map(|pid| pid.0),
            name: task.name.map(lossy),
        });
        Occupants {
            leading_processes: namespace.leaders.iter().map(|&pid| self.process_answer(pid)).collect(),
            loose_tasks: tasks.collect(),
            holder_counts: holders::counts(&namespace.holders)
                .into_iter()
                .map(|(kind, count)| (kind.name(), count))
                .collect(),
        }
    }

    fn process_answer(&self, pid: Pid) -> ProcessAnswer {
        let process = self.context.snapshot.processes.get(&pid);
        let path = || process.and_then(cgroup).map(lossy);
        ProcessAnswer {
            pid: pid.0,
            ppid: process.and_then(|process| process.ppid).map(|pid| pid.0),
            nspids: process.map_or_else(|| vec![pid.0], |process| self.pids(process).iter().map(|pid| pid.0).collect()),
            name: process.map(|process| lossy(process.comm())),
            pidns: process.and_then(|process| process.namespaces.get(NamespaceType::Pid)).map(|id| id.ino),
            cgroup: (self.shown.cgroup != CgroupDetail::Off).then(path),
            whose: WhoseForm::process(self.context.snapshot, pid),
        }
    }
}

/// One row of a tree.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "TreeRow"))]
pub struct Row {
    /// The number of its ancestors.
    pub depth: usize,
    /// The node.
    #[serde(flatten)]
    pub what: What,
}

/// A node of a tree.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", tag = "kind")]
#[non_exhaustive]
pub enum What {
    /// A namespace.
    Namespace(NamespaceAnswer),
    /// A process.
    Process(ProcessAnswer),
    /// The parent of namespaces whose owner the kernel does not show.
    OwnerNotVisible,
    /// The parent of namespaces whose owner was not read.
    OwnerNotKnown,
}

/// A namespace.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "TreeNamespace"))]
#[serde(rename_all = "kebab-case")]
pub struct NamespaceAnswer {
    /// Its inode number.
    pub nsid: u64,
    /// Its type, where it is known.
    #[serde(rename = "type")]
    pub ns_type: Option<&'static str>,
    /// Its ID, which is never reused before the next boot.
    pub unique_id: Option<u64>,
    /// Its parent.
    pub parent: Option<u64>,
    /// The user namespace that owns it.
    pub owner: Option<u64>,
    /// The user that created a user namespace.
    #[serde(flatten)]
    pub user: Option<UserAnswer>,
    /// The name of a network namespace in `ip netns`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub netns_name: Option<Option<String>>,
    /// The processes and tasks in it; left out if its processes are nodes of the tree, or it only connects others.
    #[serde(flatten)]
    pub occupants: Option<Occupants>,
    /// What it belongs to.
    #[serde(flatten)]
    pub whose: WhoseForm,
}

/// The user that created a user namespace.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "TreeUser"))]
#[serde(rename_all = "kebab-case")]
pub struct UserAnswer {
    /// The user.
    pub user_id: Option<u32>,
    /// The user's name.
    pub user_name: Option<String>,
}

/// The processes and tasks in a namespace, and its holders.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Occupants {
    /// The topmost processes in it, the most senior first.
    pub leading_processes: Vec<ProcessAnswer>,
    /// Tasks in it whose process is elsewhere.
    pub loose_tasks: Vec<TaskAnswer>,
    /// The number of holders of each kind that were seen.
    pub holder_counts: BTreeMap<&'static str, u64>,
}

/// A process.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "TreeProcess"))]
#[serde(rename_all = "kebab-case")]
pub struct ProcessAnswer {
    /// Its PID.
    pub pid: u32,
    /// The PID of its parent.
    pub ppid: Option<u32>,
    /// Its PIDs, from the outermost PID namespace to its own; in a tree of user namespaces only the first.
    pub nspids: Vec<u32>,
    /// Its name.
    pub name: Option<String>,
    /// Its PID namespace.
    pub pidns: Option<u64>,
    /// Its control group, in trees that show control groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<Option<String>>,
    /// What it belongs to.
    #[serde(flatten)]
    pub whose: WhoseForm,
}

/// A task.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "TreeTask"))]
#[serde(rename_all = "kebab-case")]
pub struct TaskAnswer {
    /// Its TID.
    pub tid: u32,
    /// Its process.
    pub pid: Option<u32>,
    /// Its name.
    pub name: Option<String>,
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
