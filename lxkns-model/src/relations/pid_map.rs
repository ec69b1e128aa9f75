//! The PIDs that processes have in PID namespaces.

use crate::{NamespaceId, NamespaceType, Pid, Process, Snapshot};

/// A PID, and the PID namespace in which it means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamespacedPid {
    /// The PID in that namespace.
    pub pid: Pid,
    /// The PID namespace.
    pub namespace: NamespaceId,
}

/// The PIDs of every process, from its own PID namespace up to that of the procfs that was read; sorted by the
/// latter. Processes are left out whose PIDs are not known, or whose PID namespaces are not all known.
pub fn pid_map(snapshot: &Snapshot) -> Vec<Vec<NamespacedPid>> {
    snapshot.processes.values().filter_map(|process| pids_of(snapshot, process)).collect()
}

/// The process that has this PID in a PID namespace; that need not be its own, but one above that.
pub fn pid_in(snapshot: &Snapshot, namespace: NamespaceId, pid: Pid) -> Option<Pid> {
    let wanted = NamespacedPid { pid, namespace };
    let is_it = |process: &&Process| pids_of(snapshot, process).is_some_and(|pids| pids.contains(&wanted));
    snapshot.processes.values().find(is_it).map(|process| process.pid)
}

/// The kernel lists PIDs from the procfs's namespace downwards, so that the own one comes last; parents lead upwards.
fn pids_of(snapshot: &Snapshot, process: &Process) -> Option<Vec<NamespacedPid>> {
    let pids = &process.status.as_ref()?.ns_pids;
    let mut next = Some(process.namespaces.get(NamespaceType::Pid)?);
    let mut map = Vec::with_capacity(pids.len());
    for &pid in pids.iter().rev() {
        let namespace = next?;
        map.push(NamespacedPid { pid, namespace });
        next = snapshot.namespaces.get(&namespace)?.parent.known();
    }
    // Parents beyond the last PID mean that this is not the chain that the kernel had in mind.
    (next.is_none() && !map.is_empty()).then_some(map)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::{
        Capabilities, DiscoveryOptions, Host, Namespace, NamespaceLinks, ProcessStatus, Relation, Task, TaskState, Uid,
        Uids,
    };

    const OUTER: NamespaceId = NamespaceId { ino: 4026531836, dev: 4 };
    const INNER: NamespaceId = NamespaceId { ino: 4026532200, dev: 4 };

    fn snapshot(namespace: NamespaceId, pids: &[u32], inner_parent: Relation) -> Snapshot {
        let mut snapshot = Snapshot::empty(DiscoveryOptions::everything(), Host::default(), SystemTime::UNIX_EPOCH);
        for (id, parent) in [(OUTER, Relation::None), (INNER, inner_parent)] {
            let mut namespace = Namespace::new(id, NamespaceType::Pid);
            namespace.parent = parent;
            snapshot.namespaces.insert(id, namespace);
        }
        let mut namespaces = NamespaceLinks::default();
        namespaces.set(NamespaceType::Pid, namespace);
        let task = Task {
            tid: pids.first().map_or(crate::Tid(1), |&pid| Pid(pid).into()),
            comm: "x".into(),
            start_time_ticks: 1,
            state: TaskState(b'S'),
            namespaces,
            cgroups: None,
            freezer: None,
            scheduling: None,
            affinity: None,
        };
        let root = Uid(0);
        let status = ProcessStatus::new(
            Uids { real: root, effective: root, saved: root, file_system: root },
            pids.iter().copied().map(Pid).collect(),
            Capabilities::default(),
        );
        let process = Process {
            pid: Pid(pids.first().copied().unwrap_or(1)),
            ppid: None,
            namespaces,
            threads: 1,
            tasks: crate::Tasks::new(task, []),
            command_line: None,
            status: Some(status),
        };
        snapshot.processes.insert(process.pid, process);
        snapshot
    }

    #[test]
    fn pids_go_from_the_own_namespace_upwards() {
        let map = pid_map(&snapshot(INNER, &[667, 1], Relation::Known(OUTER)));
        let expected =
            [NamespacedPid { pid: Pid(1), namespace: INNER }, NamespacedPid { pid: Pid(667), namespace: OUTER }];
        assert_eq!(map, [expected]);
    }

    #[test]
    fn a_process_is_found_by_each_of_its_pids() {
        let snapshot = snapshot(INNER, &[667, 1], Relation::Known(OUTER));
        for (namespace, pid, found) in [(INNER, 1, true), (OUTER, 667, true), (OUTER, 1, false), (INNER, 667, false)] {
            assert_eq!(pid_in(&snapshot, namespace, Pid(pid)), found.then_some(Pid(667)), "{pid}");
        }
    }

    #[test]
    fn a_chain_of_another_length_is_left_out() {
        assert!(pid_map(&snapshot(INNER, &[667, 1], Relation::NotVisible)).is_empty());
        assert!(pid_map(&snapshot(INNER, &[667], Relation::Known(OUTER))).is_empty());
        assert!(pid_map(&snapshot(OUTER, &[667, 1], Relation::Known(OUTER))).is_empty());
        assert!(pid_map(&snapshot(INNER, &[], Relation::NotVisible)).is_empty());
    }

    #[test]
    fn a_cycle_of_parents_ends() {
        assert!(pid_map(&snapshot(INNER, &[667, 1, 1], Relation::Known(INNER))).is_empty());
    }
}
