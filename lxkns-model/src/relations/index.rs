//! From a task to its process, and from a namespace to its members.

use rustc_hash::FxHashMap;

use crate::{NamespaceId, Process, Snapshot, Task, Tid};

/// Which process each task belongs to, and which processes and tasks are in each namespace: the processes are gone
/// through once, and then asked about any number of times.
#[derive(Clone, Debug, Default)]
pub struct Index<'a> {
    by_task: FxHashMap<Tid, (&'a Process, &'a Task)>,
    members: FxHashMap<NamespaceId, In<'a>>,
}

#[derive(Clone, Debug, Default)]
struct In<'a> {
    processes: Vec<&'a Process>,
    tasks: Vec<(&'a Process, &'a Task)>,
}

impl<'a> Index<'a> {
    /// Of all processes of a snapshot.
    pub fn of(snapshot: &'a Snapshot) -> Self {
        let mut index = Self::default();
        for process in snapshot.processes.values() {
            for (_, id) in process.namespaces.iter() {
                index.members.entry(id).or_default().processes.push(process);
            }
            for task in &process.tasks {
                index.by_task.insert(task.tid, (process, task));
                for (ns_type, id) in task.namespaces.iter() {
                    if process.namespaces.get(ns_type) != Some(id) {
                        index.members.entry(id).or_default().tasks.push((process, task));
                    }
                }
            }
        }
        index
    }

    /// The process that a task belongs to.
    pub fn process_of(&self, tid: Tid) -> Option<&'a Process> {
        self.task(tid).map(|(process, _)| process)
    }

    /// A task, with its process.
    pub fn task(&self, tid: Tid) -> Option<(&'a Process, &'a Task)> {
        self.by_task.get(&tid).copied()
    }

    /// The processes in a namespace, by PID.
    pub fn processes_in(&self, id: NamespaceId) -> &[&'a Process] {
        self.members.get(&id).map_or(&[], |members| &members.processes)
    }

    /// The tasks in a namespace whose process is elsewhere, each with its process.
    pub fn loose_tasks_in(&self, id: NamespaceId) -> &[(&'a Process, &'a Task)] {
        self.members.get(&id).map_or(&[], |members| &members.tasks)
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::{DiscoveryOptions, Host, NamespaceType, Pid};

    #[test]
    fn processes_and_tasks_are_found_where_they_are() {
        let id = |ino| NamespaceId { ino, dev: 4 };
        let mut snapshot = Snapshot::empty(DiscoveryOptions::namespaces(), Host::default(), SystemTime::UNIX_EPOCH);
        for pid in [7, 3] {
            let mut process = Process::new(Pid(pid), Task::new(Tid(pid), "x"));
            process.namespaces.set(NamespaceType::Net, id(10));
            process.tasks[0].namespaces = process.namespaces;
            snapshot.processes.insert(process.pid, process);
        }
        let mut loose = Task::new(Tid(8), "loose");
        loose.namespaces.set(NamespaceType::Net, id(11));
        snapshot.processes.get_mut(&Pid(7)).unwrap().tasks.push(loose);

        let index = Index::of(&snapshot);
        assert_eq!(index.process_of(Tid(8)).map(|process| process.pid), Some(Pid(7)));
        assert_eq!(index.process_of(Tid(9)), None);
        let pids = |id| index.processes_in(id).iter().map(|process| process.pid).collect::<Vec<_>>();
        assert_eq!((pids(id(10)), pids(id(11)), pids(id(12))), (vec![Pid(3), Pid(7)], vec![], vec![]));
        let tasks = |id| index.loose_tasks_in(id).iter().map(|(_, task)| task.tid).collect::<Vec<_>>();
        assert_eq!((tasks(id(10)), tasks(id(11))), (vec![], vec![Tid(8)]));
    }
}
