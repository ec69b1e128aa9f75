//! Namespaces and processes as trees.

use std::io::{self, Write};

use lxkns_core::model::{Holder, Namespace, NamespaceId, NamespaceType, Pid, Process, Snapshot, Tid};
use lxkns_core::relations::{Forest, TreeNode};
use unicode_width::UnicodeWidthStr as _;

use super::branches::{self, DEEPEST};
use super::screen::Screen;
use super::shorten::fit;
use super::{holders, names};

/// How much of control groups is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum CgroupDetail {
    /// Their paths, with long IDs cut short.
    #[default]
    Short,
    /// Their paths.
    Full,
    /// Nothing.
    Off,
}

/// How a tree is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown {
    /// What is said of control groups.
    pub(crate) cgroup: CgroupDetail,
    /// Whether all topmost processes and loose threads of a namespace are told, or the first.
    pub(crate) all_leaders: bool,
    /// Whether owners of PID namespaces are told: where they do not stand in the tree.
    pub(crate) owners: bool,
    /// Whether processes have PIDs in all PID namespaces, or the one of the host.
    pub(crate) pids: bool,
}

/// A tree.
#[derive(Debug)]
pub(crate) struct Tree<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) forest: Forest<TreeNode>,
    /// The mount namespace in which paths mean what they say.
    pub(crate) home: Option<NamespaceId>,
    pub(crate) shown: Shown,
}

/// A thread in a namespace that its process is not in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LooseThread<'a> {
    pub(crate) tid: Tid,
    pub(crate) pid: Option<Pid>,
    pub(crate) name: Option<&'a [u8]>,
}

impl<'a> Tree<'a> {
    /// Everything in it in order, each with the lines that stand before it and its depth.
    pub(crate) fn rows(&self) -> Vec<(String, usize, TreeNode)> {
        let mut rows = Vec::new();
        let children = |node| self.forest.children(node).to_vec();
        branches::walk(self.forest.roots(), DEEPEST, children, |lead, depth, node| rows.push((lead, depth, node)));
        rows
    }

    /// Writes it for people. On a terminal what would run over its edge is shortened or left out, but for what names
    /// namespaces and processes.
    pub(crate) fn write(&self, out: &mut impl Write, screen: Screen) -> io::Result<()> {
        for (lead, _, node) in self.rows() {
            let name = fit(screen.room(lead.width()), || self.name(node));
            out.write_all(lead.as_bytes())?;
            match node {
                TreeNode::Process(_) => out.write_all(name.as_bytes())?,
                _ => screen.heading(out, &name)?,
            }
            let used = lead.width() + name.width();
            screen.rest(out, used, || self.about(node))?;
        }
        Ok(())
    }

    /// What names it, safe to print.
    fn name(&self, node: TreeNode) -> String {
        match node {
            TreeNode::Process(pid) if !self.snapshot.processes.contains_key(&pid) => pid.to_string(),
            TreeNode::Process(pid) => self.process(pid),
            TreeNode::OwnerNotVisible => "owner not visible from here".to_owned(),
            TreeNode::OwnerNotAsked => "owner not known".to_owned(),
            node => match node.namespace() {
                Some(id) => names::namespace(self.snapshot, id),
                None => "something that this version has no words for".to_owned(),
            },
        }
    }

    /// What else is said of it, safe to print.
    fn about(&self, node: TreeNode) -> String {
        match node {
            TreeNode::Process(pid) => self.about_process(pid),
            node => node.namespace().map(|id| self.about_namespace(node, id)).unwrap_or_default(),
        }
    }

    fn about_process(&self, pid: Pid) -> String {
        let Some(process) = self.snapshot.processes.get(&pid) else { return String::new() };
        let mut rest = String::new();
        // Said once for those below that are in the same one.
        let cgroup = cgroup(process);
        let above = self.process_above(pid).and_then(|pid| self.snapshot.processes.get(&pid));
        if above.and_then(|above| self::cgroup(above)) != cgroup {
            rest += &self.cgroup(process);
        }
        let is_outermost = process.status.as_ref().is_some_and(|status| status.ns_pids.len() == 1);
        if process.namespaces.get(NamespaceType::Pid).is_none() && !is_outermost {
            rest += ", in what PID namespace is not known";
        }
        rest
    }

    /// The process that a process stands below.
    fn process_above(&self, pid: Pid) -> Option<Pid> {
        match self.forest.parent(TreeNode::Process(pid))? {
            TreeNode::Process(pid) | TreeNode::Members(_, pid) => Some(pid),
            _ => None,
        }
    }

    fn about_namespace(&self, node: TreeNode, id: NamespaceId) -> String {
        let Some(namespace) = self.snapshot.namespaces.get(&id) else { return String::new() };
        let mut text = String::new();
        if let (NamespaceType::User, Some(uid)) = (namespace.ns_type, namespace.owner_uid) {
            text += &format!(" created by {},", names::user(self.snapshot, uid));
        }
        if let (NamespaceType::Pid, true, Some(owner)) =
            (namespace.ns_type, self.shown.owners && !matches!(node, TreeNode::Owned(..)), namespace.owner.known())
        {
            text += &format!(" owned by {},", names::namespace(self.snapshot, owner));
        }
        if !self.is_above_processes(node) {
            // A user namespace can stand between many PID namespaces: who is in it is told in full where it is asked for.
            let all = self.shown.all_leaders && !matches!(node, TreeNode::Owner { .. });
            text += &format!(" {}", self.occupants(namespace, if all { usize::MAX } else { 1 }));
        }
        text.trim_end().trim_end_matches(',').to_owned()
    }

    /// Whether processes stand right below it, which then need not be named beside it too.
    pub(crate) fn is_above_processes(&self, node: TreeNode) -> bool {
        matches!(self.forest.children(node).first(), Some(TreeNode::Process(_)))
    }

    /// Who is in a namespace, no more than `limit`; and if nobody is, what holds it.
    fn occupants(&self, namespace: &Namespace, limit: usize) -> String {
        let leaders = &namespace.leaders;
        if !leaders.is_empty() {
            let leader = |&pid: &Pid| {
                let process = self.snapshot.processes.get(&pid);
                format!("process {}{}", self.process(pid), process.map(|it| self.cgroup(it)).unwrap_or_default())
            };
            return leaders.iter().take(limit).map(leader).collect::<Vec<_>>().join(", ");
        }
        let threads = self.loose_threads(namespace);
        if !threads.is_empty() {
            let mut words: Vec<_> = threads.iter().take(limit).map(|thread| self.thread(thread)).collect();
            let more = threads.len().saturating_sub(limit);
            words.extend((more > 0).then(|| format!("+{more}")));
            return words.join(", ");
        }
        holders::in_brackets(self.snapshot, namespace, self.home).unwrap_or_default()
    }

    /// The threads that are in a namespace although their process is not.
    pub(crate) fn loose_threads(&self, namespace: &Namespace) -> Vec<LooseThread<'a>> {
        let mut threads: Vec<_> = namespace.loose_threads.clone();
        // Their processes are told by the holders, which have the same order but for the process.
        let mut processes: Vec<_> = namespace.holders.iter().filter_map(task).collect();
        processes.sort_unstable();
        threads.sort_unstable();
        let described = threads.into_iter().map(|tid| {
            let at = processes.binary_search_by_key(&tid, |&(tid, _)| tid).ok();
            let pid = at.map(|at| processes[at].1);
            let process = pid.and_then(|pid| self.snapshot.processes.get(&pid));
            LooseThread { tid, pid, name: process.and_then(|process| thread_name(process, tid)) }
        });
        described.collect()
    }

    fn thread(&self, thread: &LooseThread<'_>) -> String {
        let name = thread.name.map(|name| format!("{} ", names::comm(name))).unwrap_or_default();
        let process = thread.pid.map(|pid| format!(" of process {}", self.process(pid))).unwrap_or_default();
        format!("thread {name}({}){process}", thread.tid)
    }

    /// A process with its PIDs, as in `nginx (5709/72/1)`.
    fn process(&self, pid: Pid) -> String {
        let Some(process) = self.snapshot.processes.get(&pid) else { return format!("({pid})") };
        let pids: Vec<_> = self.pids(process).iter().map(ToString::to_string).collect();
        format!("{} ({})", names::comm(process.comm()), pids.join("/"))
    }

    /// The PIDs of a process, from the PID namespace of the host down to its own.
    pub(crate) fn pids(&self, process: &Process) -> Vec<Pid> {
        /// PID namespaces are not nested more deeply (`kernel/pid_namespace.c`).
        const DEEPEST_PID_NAMESPACE: usize = 33;
        match &process.status {
            Some(status) if self.shown.pids && !status.ns_pids.is_empty() => {
                status.ns_pids.iter().copied().take(DEEPEST_PID_NAMESPACE).collect()
            }
            _ => vec![process.pid],
        }
    }

    fn cgroup(&self, process: &Process) -> String {
        let Some(path) = cgroup(process) else { return String::new() };
        match self.shown.cgroup {
            CgroupDetail::Off => String::new(),
            // Where there are none but the first.
            CgroupDetail::Short if path == b"/" => String::new(),
            CgroupDetail::Short => format!(" in {}", names::text(short(path))),
            CgroupDetail::Full => format!(" in {}", names::text(path)),
        }
    }
}

/// The control group of a process.
pub(crate) fn cgroup(process: &Process) -> Option<&[u8]> {
    process.living_task().cgroups.as_ref()?.path().map(|path| path.as_slice())
}

fn task(holder: &Holder) -> Option<(Tid, Pid)> {
    match *holder {
        Holder::Task { pid, tid } => Some((tid, pid)),
        _ => None,
    }
}

/// The name of a thread. The first one comes first, then they are sorted.
fn thread_name(process: &Process, tid: Tid) -> Option<&[u8]> {
    let (first, others) = process.tasks.split_first()?;
    let of_others = || others.binary_search_by_key(&tid, |task| task.tid).ok().map(|at| &others[at]);
    let task = if first.tid == tid { Some(first) } else { of_others() };
    task.map(|task| task.comm.as_slice())
}

/// A control group's path in which hexadecimal IDs as container engines give them are cut short.
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

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
