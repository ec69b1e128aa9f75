//! Who is in a namespace: leaders, and tasks whose process is elsewhere.

use rustc_hash::FxHashMap;

use crate::{NamespaceId, Pid, Process, Tid};

/// Who is in a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// The topmost processes: those whose parent is elsewhere. The most senior comes first: the oldest, and of those
    /// the one with the lowest PID.
    pub leaders: Vec<Pid>,
    /// Tasks whose process is elsewhere, by TID.
    pub loose_threads: Vec<Tid>,
}

/// Who is in which namespace. Grows with the number of tasks, not with that of namespaces times processes.
pub fn members<'a>(processes: impl Iterator<Item = &'a Process>) -> FxHashMap<NamespaceId, Members> {
    let processes: FxHashMap<Pid, &Process> = processes.map(|process| (process.pid, process)).collect();
    let mut members: FxHashMap<NamespaceId, Members> = FxHashMap::default();
    for process in processes.values() {
        let parent = process.ppid.and_then(|ppid| processes.get(&ppid));
        for (ns_type, id) in process.namespaces.iter() {
            if parent.is_none_or(|parent| parent.namespaces.get(ns_type) != Some(id)) {
                members.entry(id).or_default().leaders.push(process.pid);
            }
        }
        for task in &process.tasks {
            for (ns_type, id) in task.namespaces.iter() {
                if process.namespaces.get(ns_type) != Some(id) {
                    members.entry(id).or_default().loose_threads.push(task.tid);
                }
            }
        }
    }
    for members in members.values_mut() {
        members.leaders.sort_unstable_by_key(|pid| (processes[pid].start_time_ticks(), *pid));
        members.loose_threads.sort_unstable();
    }
    members
}
