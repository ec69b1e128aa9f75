//! Assembles the workers' findings into a sorted snapshot with all relations.

use std::time::SystemTime;

use rustc_hash::FxHashMap;

use super::found::{Found, Seen};
use super::initial;
use super::search::Search;
use crate::model::CompactSort as _;
use crate::model::{Holder, Host, Namespace, NamespaceId, NamespaceLinks, NamespaceType, Place, Snapshot};
use crate::relations;

/// Assembles the snapshot.
pub(super) fn snapshot(search: &Search<'_>, mut found: Found, host: Host, taken_at: SystemTime) -> Snapshot {
    forget_reused_numbers(&mut found);
    if search.looks_in(Place::Processes) {
        held_by_processes(&mut found);
    }
    leave_out_self(search, &mut found);
    let mut snapshot = Snapshot::empty(search.options.clone(), host, taken_at);
    let initial = initial::of_kernel_threads(&found.processes);
    namespaces(search, &mut found, &mut snapshot, &initial);

    // If a place is switched off, namespaces are missing, and no other value may refer to them.
    if ![Place::Processes, Place::Tasks, Place::ForChildren].into_iter().all(|place| search.looks_in(place)) {
        let known = |(_, id): (NamespaceType, NamespaceId)| snapshot.namespaces.contains_key(&id);
        for process in &mut found.processes {
            retain(&mut process.namespaces, known);
            process.tasks.iter_mut().for_each(|task| retain(&mut task.namespaces, known));
        }
    }
    // If a PID was reused between two reads, the last process counts.
    snapshot.processes = found.processes.into_iter().map(|process| (process.pid, process)).collect();
    for (id, members) in relations::members(snapshot.processes.values()) {
        if let Some(namespace) = snapshot.namespaces.get_mut(&id) {
            namespace.leaders = members.leaders;
            namespace.loose_threads = members.loose_threads;
        }
    }

    let mounts = found.mounts.into_iter().filter(|(id, _)| snapshot.namespaces.contains_key(id));
    snapshot.mounts = mounts.collect();
    snapshot.suspects = found.suspects;
    let on_procfs = found.proc_files.into_iter().filter(|(dev, _)| found.procfs_devices.contains(dev));
    snapshot.suspects.extend(on_procfs.map(|(_, suspect)| suspect));
    let of_cgroups = found.cgroup_files.into_iter().filter(|(dev, _)| found.cgroup_devices.contains(dev));
    snapshot.suspects.extend(of_cgroups.map(|(_, suspect)| suspect));
    snapshot.suspects.compact_sort();
    snapshot.suspects.dedup();
    snapshot.gaps = found.gaps;
    snapshot
}

/// The kernel reuses the inode number of a namespace that has ended, even for another type. Links that were read before
/// or after that refer to another namespace with this number, so they are dropped.
fn forget_reused_numbers(found: &mut Found) {
    let namespaces = &found.namespaces;
    let is_other =
        |(ns_type, id): (NamespaceType, NamespaceId)| namespaces.get(&id).is_some_and(|seen| seen.ns_type != ns_type);
    for process in &mut found.processes {
        let of_process = process.namespaces;
        let is_stale = of_process.iter().any(is_other);
        let tasks = process.tasks.iter_mut().map(|task| &mut task.namespaces);
        for links in tasks.filter(|links| is_stale || **links != of_process).chain([&mut process.namespaces]) {
            if (is_stale || *links != of_process) && links.iter().any(is_other) {
                retain(links, |link| !is_other(link));
            }
        }
    }
}

/// Each process holds the namespaces that it is in; if its thread group leader has exited, its other tasks do.
fn held_by_processes(found: &mut Found) {
    // Holders are added in order and before other kinds, so little is left to sort.
    found.processes.sort_unstable_by_key(|process| process.pid);
    let others: Vec<_> =
        found.namespaces.iter_mut().map(|(&id, seen)| (id, std::mem::take(&mut seen.holders))).collect();
    for process in found.processes.iter().filter(|process| process.namespaces == process.main_task().namespaces) {
        for (_, id) in process.namespaces.iter() {
            if let Some(seen) = found.namespaces.get_mut(&id) {
                seen.holders.push(Holder::Process { pid: process.pid });
            }
        }
    }
    for (id, mut others) in others {
        if let Some(seen) = found.namespaces.get_mut(&id) {
            others.sort_unstable();
            // The mounts of a namespace can have been read twice.
            others.dedup();
            // Of descriptors there can be millions: those of a namespace without processes stay where they are.
            match seen.holders.is_empty() {
                true => seen.holders = others,
                false => seen.holders.append(&mut others),
            }
        }
    }
}

/// Leaves out the calling process on request, unless a namespace would then be missing or seem to have no process: an
/// unprivileged caller would see nothing at all.
fn leave_out_self(search: &Search<'_>, found: &mut Found) {
    let Some(own) = search.proc.own_pid().filter(|_| search.options.without_self) else { return };
    let is_own = |holder: &Holder| holder.pid() == Some(own);
    let is_member = |holder: &Holder| matches!(holder, Holder::Process { .. } | Holder::Task { .. });
    let would_change = |seen: &Seen| {
        let would_be_missing = seen.holders.iter().all(is_own);
        let mut members = seen.holders.iter().filter(|holder| is_member(holder)).peekable();
        let would_be_empty = members.peek().is_some() && members.all(is_own);
        !seen.holders.is_empty() && (would_be_missing || would_be_empty)
    };
    if !found.namespaces.values().any(would_change) {
        found.namespaces.values_mut().for_each(|seen| seen.holders.retain(|holder| !is_own(holder)));
        found.processes.retain(|process| process.pid != own);
    }
}

fn namespaces(search: &Search<'_>, found: &mut Found, snapshot: &mut Snapshot, initial: &[NamespaceId]) {
    let facts = search.facts();
    for (&id, seen) in &mut found.namespaces {
        let mut namespace = Namespace::new(id, seen.ns_type);
        if let Some(facts) = facts.get(&id) {
            namespace.unique_id = facts.unique_id;
            namespace.owner = facts.owner;
            namespace.parent = facts.parent;
            namespace.owner_uid = facts.owner_uid;
        }
        namespace.initial = initial::has_fixed_inode(seen.ns_type, id) || initial.contains(&id);
        namespace.holders = std::mem::take(&mut seen.holders);
        snapshot.namespaces.insert(id, namespace);
    }
    found.sockets_at_home.sort_unstable();
    found.sockets_at_home.dedup();
    let mut sockets: FxHashMap<NamespaceId, u64> = FxHashMap::default();
    for &(_, id) in &found.sockets_at_home {
        *sockets.entry(id).or_default() += 1;
    }
    for (id, count) in sockets {
        if let Some(namespace) = snapshot.namespaces.get_mut(&id) {
            namespace.holders.push(Holder::Sockets { count });
        }
    }
    children_and_owned(snapshot);
    for namespace in snapshot.namespaces.values_mut() {
        if namespace.holders.is_empty() && found.listed_by_kernel.contains(&namespace.id) {
            namespace.holders.push(Holder::Kernel);
        }
        namespace.holders.sort_unstable();
        // A descriptor table that could not be compared with others can have been read more than once.
        namespace.holders.dedup();
        namespace.holders.shrink_to_fit();
    }
}

/// Adds owned namespaces and children as holders: both keep a namespace alive.
fn children_and_owned(snapshot: &mut Snapshot) {
    let relations: Vec<_> = snapshot
        .namespaces
        .values()
        .map(|namespace| (namespace.id, namespace.ns_type, namespace.owner.known(), namespace.parent.known()))
        .collect();
    for (id, ns_type, owner, parent) in relations {
        if let Some(parent) = parent.and_then(|parent| snapshot.namespaces.get_mut(&parent)) {
            parent.children.push(id);
            parent.holders.push(Holder::Child { ns: id });
        }
        let owner = owner.filter(|_| ns_type != NamespaceType::User);
        if let Some(owner) = owner.and_then(|owner| snapshot.namespaces.get_mut(&owner)) {
            owner.owned.push(id);
            owner.holders.push(Holder::Owned { ns: id });
        }
    }
}

/// Keeps only the links that `keep` accepts, by type and identity.
fn retain(links: &mut NamespaceLinks, keep: impl Fn((NamespaceType, NamespaceId)) -> bool) {
    let mut retained = NamespaceLinks::default();
    for (ns_type, id) in links.iter().filter(|&link| keep(link)) {
        retained.set(ns_type, id);
    }
    for ns_type in [NamespaceType::Pid, NamespaceType::Time] {
        if let Some(id) = links.for_children(ns_type).filter(|&id| keep((ns_type, id))) {
            retained.set_for_children(ns_type, id);
        }
    }
    *links = retained;
}
