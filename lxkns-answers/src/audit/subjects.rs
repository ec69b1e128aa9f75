//! What is judged: containers, and process trees.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;

use lxkns_model::CompactSort as _;
use lxkns_model::relations::{Belonging, ContainerNamespaces};
use lxkns_model::{ContainerState, NamespaceId, NamespaceType, Pid, Snapshot};

use crate::names;

/// A container or a process tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// How it was asked for, safe to print; a container's name where it was not.
    pub asked: String,
    /// The container, by its index.
    pub container: Option<usize>,
    /// The process that stands for it; `None` where it has none, or it is not known.
    pub main: Option<Pid>,
    /// All its processes, sorted.
    pub pids: Vec<Pid>,
    /// Processes in none of the containers that are in its own namespaces all the same.
    pub entered: Vec<Pid>,
    /// Whether it is known to have ended.
    pub has_ended: bool,
    /// Whether it has no process but kernel threads, which run no program and are not judged.
    pub is_of_kernel: bool,
    /// Why there can be processes in it that were not seen, of a namespace.
    pub unseen: Option<String>,
}

impl Subject {
    /// As it is judged: without kernel threads.
    pub(super) fn without(&self, snapshot: &Snapshot, is_kernel_thread: impl Fn(Pid) -> bool) -> Self {
        let mut subject = self.clone();
        subject.pids.retain(|&pid| !is_kernel_thread(pid));
        subject.entered.retain(|&pid| !is_kernel_thread(pid));
        subject.is_of_kernel = subject.pids.is_empty() && !self.pids.is_empty();
        if subject.main.is_some_and(is_kernel_thread) {
            // The most senior of the others.
            let started = |pid: &Pid| snapshot.processes.get(pid).map(|process| process.start_time_ticks());
            subject.main = subject.pids.iter().copied().min_by_key(|pid| (started(pid), *pid));
        }
        subject
    }

    /// Whether a process is one of its own.
    pub(super) fn has(&self, pid: Pid) -> bool {
        self.pids.binary_search(&pid).is_ok()
    }
}

/// What is to be judged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The containers and process trees.
    pub subjects: Vec<Subject>,
}

impl Plan {
    /// All containers of a snapshot; `None` where they were not looked for.
    pub fn of_containers(snapshot: &Snapshot) -> Option<Self> {
        let containers = snapshot.annotations.containers.as_ref()?;
        let indexes: Vec<usize> = (0..containers.list.len()).collect();
        let mut plan = Self::default();
        plan.add_containers(snapshot, &indexes);
        Some(plan)
    }

    /// Adds these containers.
    pub fn add_containers(&mut self, snapshot: &Snapshot, indexes: &[usize]) {
        let Some(containers) = snapshot.annotations.containers.as_ref() else { return };
        let namespaces = ContainerNamespaces::of(snapshot);
        let asked: BTreeSet<usize> = indexes.iter().copied().collect();
        let mut pids: BTreeMap<usize, Vec<Pid>> = BTreeMap::new();
        for (&pid, &index) in containers.members.iter().filter(|(_, index)| asked.contains(index)) {
            pids.entry(index).or_default().push(pid);
        }
        let mut own: BTreeMap<NamespaceId, usize> = BTreeMap::new();
        for &index in &asked {
            for (ns_type, id) in namespaces.namespaces(index).iter() {
                // User namespaces are shared by all containers of an ordinary user, and the user's own processes.
                let is_own = || namespaces.belonging(index, ns_type) == Some(Belonging::Own);
                if ns_type != NamespaceType::User && is_own() {
                    own.insert(id, index);
                }
            }
        }
        let mut entered: BTreeMap<usize, BTreeSet<Pid>> = BTreeMap::new();
        for process in snapshot.processes.values().filter(|process| !containers.members.contains_key(&process.pid)) {
            let tasks = process.tasks.iter().map(|task| &task.namespaces).chain([&process.namespaces]);
            for index in tasks.flat_map(|links| links.iter()).filter_map(|(_, id)| own.get(&id)) {
                entered.entry(*index).or_default().insert(process.pid);
            }
        }
        let mut strays = strays(snapshot, &asked, &namespaces);
        for index in asked {
            let Some(container) = containers.list.get(index) else { continue };
            let mut pids = pids.remove(&index).unwrap_or_default();
            let main = namespaces.first_process(index);
            // A main process that is there but is not said to be a member.
            let is_missing = |pid: &Pid| !pids.contains(pid) && snapshot.processes.contains_key(pid);
            if let Some(main) = main.filter(is_missing) {
                pids.push(main);
            }
            pids.extend(strays.remove(&index).unwrap_or_default());
            pids.compact_sort();
            pids.dedup();
            let count = pids.len();
            pids.retain(|&pid| !has_exited(snapshot, pid));
            let state = container.state.as_ref().map(|state| state.value);
            self.subjects.push(Subject {
                asked: crate::whose::container(container),
                container: Some(index),
                main: main.filter(|pid| pids.contains(pid)),
                has_ended: pids.is_empty()
                    && (count > 0 || matches!(state, Some(ContainerState::Exited | ContainerState::Created))),
                entered: {
                    let entered = entered.remove(&index).unwrap_or_default().into_iter();
                    entered.filter(|pid| pids.binary_search(pid).is_err()).collect()
                },
                pids,
                is_of_kernel: false,
                unseen: None,
            });
        }
    }

    /// Adds the processes below these, themselves included, as one tree.
    pub fn add_tree(&mut self, snapshot: &Snapshot, asked: String, roots: &[Pid]) {
        let mut children: BTreeMap<Pid, Vec<Pid>> = BTreeMap::new();
        for process in snapshot.processes.values() {
            if let Some(parent) = process.ppid {
                children.entry(parent).or_default().push(process.pid);
            }
        }
        let mut pids = BTreeSet::new();
        let mut todo = roots.to_vec();
        while let Some(pid) = todo.pop() {
            if snapshot.processes.contains_key(&pid) && pids.insert(pid) {
                todo.extend(children.get(&pid).into_iter().flatten());
            }
        }
        let was_seen = !pids.is_empty();
        pids.retain(|&pid| !has_exited(snapshot, pid));
        let main = roots.iter().copied().find(|pid| pids.contains(pid)).or(pids.first().copied());
        let has_ended = was_seen && pids.is_empty();
        let pids = pids.into_iter().collect();
        self.subjects.push(Subject {
            asked,
            container: None,
            main,
            pids,
            entered: Vec::new(),
            has_ended,
            is_of_kernel: false,
            unseen: None,
        });
    }

    /// Adds the processes in a namespace, and those below them, as one tree.
    pub fn add_namespace(&mut self, snapshot: &Snapshot, asked: String, id: NamespaceId) {
        let namespace = snapshot.namespaces.get(&id);
        let leaders = namespace.map(|namespace| namespace.leaders.clone()).unwrap_or_default();
        let is_in = |process: &&lxkns_model::Process| {
            let mut tasks = process.tasks.iter().map(|task| &task.namespaces).chain([&process.namespaces]);
            tasks.any(|links| links.iter().any(|(_, other)| other == id))
        };
        let members = snapshot.processes.values().filter(is_in).map(|process| process.pid);
        let roots: Vec<Pid> = leaders.into_iter().chain(members).collect();
        self.add_tree(snapshot, asked, &roots);
        if let Some(subject) = self.subjects.last_mut() {
            subject.unseen = namespace.and_then(|namespace| names::unseen_members(snapshot, namespace));
        }
    }

    /// The processes for which more must be read than a snapshot has, sorted.
    pub fn pids(&self) -> Vec<Pid> {
        let all = self.subjects.iter().flat_map(|subject| subject.pids.iter().chain(&subject.entered));
        all.copied().collect::<BTreeSet<_>>().into_iter().collect()
    }
}

/// Whether a process has exited or is about to, so it keeps its credentials and can do nothing with them.
fn has_exited(snapshot: &Snapshot, pid: Pid) -> bool {
    let process = snapshot.processes.get(&pid);
    process.is_some_and(|process| process.living_task().state.is_dead() || process.has_given_up_namespaces())
}

/// The processes that are in the control groups of these containers and are not said to be theirs: all their namespaces can be
/// the host's. Those that look after a container from outside are left out.
fn strays(
    snapshot: &Snapshot,
    asked: &BTreeSet<usize>,
    namespaces: &ContainerNamespaces<'_>,
) -> BTreeMap<usize, Vec<Pid>> {
    let mut strays: BTreeMap<usize, Vec<Pid>> = BTreeMap::new();
    let Some(containers) = snapshot.annotations.containers.as_ref() else { return strays };
    let (mut groups, mut monitors) = (FxHashMap::default(), BTreeSet::new());
    for (index, container) in containers.list.iter().enumerate() {
        if let Some(group) = container.cgroup.as_ref().filter(|group| group.value.len() > 1) {
            groups.insert(group.value.as_slice(), index);
        }
        monitors.extend(container.evidence.iter().filter_map(|evidence| evidence.pid));
        let main = namespaces.first_process(index).and_then(|pid| snapshot.processes.get(&pid));
        monitors.extend(main.and_then(|process| process.ppid));
    }
    // The innermost group that is a container's.
    let of_path = |mut path: &[u8]| loop {
        if let Some(&index) = groups.get(path) {
            return Some(index);
        }
        path = &path[..path.iter().rposition(|&byte| byte == b'/')?];
    };
    for process in snapshot.processes.values() {
        let pid = process.pid;
        if containers.members.contains_key(&pid) || monitors.contains(&pid) {
            continue;
        }
        let memberships = process.living_task().cgroups.iter().flat_map(|cgroups| &cgroups.0);
        if let Some(index) = memberships.filter_map(|it| of_path(&it.path)).find(|index| asked.contains(index)) {
            strays.entry(index).or_default().push(pid);
        }
    }
    strays
}
