//! Whether all could be seen that is in a namespace, and all that holds it: what was not seen is not absent.

use std::collections::BTreeSet;

use crate::{Gap, Namespace, NamespaceType, Object, Observer, Pid, Place, Relation, Snapshot};

/// Whether all processes and tasks could be seen that may be in this namespace. Otherwise those that were are the least
/// that there are, and none is no proof that there are none: a process whose links are not readable can be in any
/// namespace, and one outside of the PID namespace whose procfs was read, in any that is not below it.
///
/// The kernel's own threads and the host's first process are in the initial namespaces, where the kernel started them:
/// that these are not readable, often not even for root, says nothing of other namespaces. (One thread of the kernel's has a
/// mount namespace of its own, which nobody else is in.)
///
/// Costs next to nothing: it can be asked of each namespace.
pub fn members_seen(snapshot: &Snapshot, namespace: &Namespace) -> bool {
    let are_looked_at = [Place::Processes, Place::Tasks].iter().all(|&place| snapshot.options.places.contains(place));
    let may_be_in_it = |gap: &Gap| namespace.initial || !is_of_initial_namespaces(snapshot, gap);
    // Those with the highest PIDs first, which are hardly the kernel's.
    are_looked_at && !unreadable(snapshot).rev().any(may_be_in_it) && !may_have_members_outside(snapshot, namespace)
}

/// Whether all could be seen that may hold this namespace, as far as any place shows it: its members, and nothing that could
/// not be read where such holders are.
///
/// Its cost grows with the number of gaps.
pub fn holders_seen(snapshot: &Snapshot, namespace: &Namespace) -> bool {
    is_whole(snapshot, Some(namespace.ns_type), |_| true) && members_seen(snapshot, namespace)
}

/// Whether a namespace of this type (`None`: of any) that is not in the snapshot has no member and no holder in any place
/// that was scanned: all processes were listed, and all could be read. What no place shows is
/// [`Snapshot::unseen_keepers`].
pub fn absence_seen(snapshot: &Snapshot, ns_type: Option<NamespaceType>) -> bool {
    // The initial namespaces, in which these are, are always seen.
    let is_blind = |gap: &Gap| !(gap.place <= Place::Tasks && is_of_initial_namespaces(snapshot, gap));
    processes_listed(snapshot) && is_whole(snapshot, ns_type, is_blind)
}

/// Whether all places were scanned that can hold a namespace of this type (`None`: of any), without a gap that counts.
fn is_whole(snapshot: &Snapshot, ns_type: Option<NamespaceType>, counts: impl Fn(&Gap) -> bool) -> bool {
    let is = |wanted: fn(NamespaceType) -> bool| ns_type.is_none_or(wanted);
    let may_hold = |place: Place| match place {
        Place::Sockets | Place::Tun => is(|ns_type| ns_type == NamespaceType::Net),
        Place::ForChildren => is(|ns_type| matches!(ns_type, NamespaceType::Pid | NamespaceType::Time)),
        Place::Parents => is(NamespaceType::is_hierarchical),
        Place::Owners => is(|ns_type| ns_type == NamespaceType::User),
        // The kernel's lists have no holders.
        Place::Kernel => false,
        place => Place::HOLDING.contains(&place),
    };
    // Sorted by place: those that can hold a namespace come first.
    let mut gaps = snapshot.gaps.iter().take_while(|gap| gap.place <= Place::Kernel);
    let mut holding = Place::HOLDING.into_iter().filter(|&place| may_hold(place));
    holding.all(|place| snapshot.options.places.contains(place)) && !gaps.any(|gap| may_hold(gap.place) && counts(gap))
}

/// Whether the procfs that was read lists the processes of the whole host, and hides none of them. What a process may use or
/// hold that is in no list is unknown; not finding it proves nothing.
pub fn processes_listed(snapshot: &Snapshot) -> bool {
    let is_whole = snapshot.observer.as_ref().is_none_or(|observer| observer.reads_initial_procfs() == Some(true));
    let are_looked_at = snapshot.options.places.contains(Place::Processes);
    is_whole && are_looked_at && !unreadable(snapshot).any(|gap| pid(&gap.object).is_none())
}

/// Whether the mounts of all mount namespaces could be seen: no mount namespace may have been missed, and none of those that
/// were found has mounts that could not be listed.
///
/// Its cost grows with the number of gaps and namespaces.
pub fn mounts_seen(snapshot: &Snapshot) -> bool {
    let told = || snapshot.gaps.iter();
    let is_listing = |place: Place| matches!(place, Place::BindMounts | Place::ProcesslessMounts);
    let are_listed = snapshot.options.mounts
        && !told().any(|gap| is_listing(gap.place) && !is_of_bind_mount(gap))
        && snapshot.namespaces.values().filter(|namespace| namespace.ns_type == NamespaceType::Mnt).all(|namespace| {
            // One without a mount at all is gone.
            snapshot.mounts.contains_key(&namespace.id)
        });
    // The kernel's list has all of them, whoever holds them.
    let are_in_kernels_list =
        || snapshot.options.places.contains(Place::Kernel) && !told().any(|gap| gap.place == Place::Kernel);
    let are_held_in_sight = || {
        let may_hold = |place: Place| {
            let others = [Place::ForChildren, Place::Sockets, Place::Tun, Place::Parents, Place::Owners, Place::Kernel];
            Place::HOLDING.contains(&place) && !others.contains(&place)
        };
        let is_of_initial = |gap: &Gap| is_of_initial_namespaces(snapshot, gap);
        processes_listed(snapshot)
            && !told().any(|gap| may_hold(gap.place) && !is_listing(gap.place) && !is_of_initial(gap))
    };
    are_listed && (are_in_kernels_list() || are_held_in_sight())
}

/// Whether it is about a namespace that is bind-mounted, which could not be opened: the mount itself is known.
fn is_of_bind_mount(gap: &Gap) -> bool {
    matches!(gap.object, Object::Path(_))
}

/// How many listed processes could not be read, so their namespaces are not known; without those that are surely in the
/// initial ones. There can be more that are not listed: procfs hides them, or they are outside its PID namespace.
pub fn unreadable_processes(snapshot: &Snapshot) -> usize {
    unreadable_where(snapshot, |gap| !is_of_initial_namespaces(snapshot, gap))
}

/// How many listed processes may be in this namespace, unknown because they could not be read. There can be more that are not
/// listed, as with [`unreadable_processes`].
pub fn unreadable_members(snapshot: &Snapshot, namespace: &Namespace) -> usize {
    unreadable_where(snapshot, |gap| namespace.initial || !is_of_initial_namespaces(snapshot, gap))
}

fn unreadable_where(snapshot: &Snapshot, counts: impl Fn(&Gap) -> bool) -> usize {
    unreadable(snapshot).filter(|gap| counts(gap)).filter_map(|gap| pid(&gap.object)).collect::<BTreeSet<_>>().len()
}

/// How many processes were listed, readable or not.
pub fn listed_processes(snapshot: &Snapshot) -> usize {
    let others = unreadable(snapshot).filter_map(|gap| pid(&gap.object));
    let others: BTreeSet<_> = others.filter(|pid| !snapshot.processes.contains_key(pid)).collect();
    snapshot.processes.len() + others.len()
}

/// What could not be read of the namespaces of processes and tasks. Gaps are sorted by place, and these come first.
fn unreadable(snapshot: &Snapshot) -> impl DoubleEndedIterator<Item = &Gap> {
    let end = snapshot.gaps.partition_point(|gap| gap.place <= Place::Tasks);
    let first = snapshot.gaps[..end].iter();
    first.filter(|gap| !matches!(gap.object, Object::Namespace(_)))
}

/// Whether this is about one of the kernel's threads or the host's first process.
fn is_of_initial_namespaces(snapshot: &Snapshot, gap: &Gap) -> bool {
    const INIT: Pid = Pid(1);
    const KTHREADD: Pid = Pid(2);
    let is_initial = snapshot.observer.as_ref().is_none_or(|observer| observer.reads_initial_procfs() == Some(true));
    let is_kernels = |pid: Pid| {
        let parent = snapshot.processes.get(&pid).map(|process| process.ppid);
        parent == Some(Some(KTHREADD)) || (pid == KTHREADD && parent == Some(None))
    };
    is_initial && pid(&gap.object).is_some_and(|pid| pid == INIT || is_kernels(pid))
}

fn pid(object: &Object) -> Option<Pid> {
    match object {
        Object::Process(pid) | Object::Task(pid, _) | Object::Fd(pid, _, _) => Some(*pid),
        _ => None,
    }
}

/// Whether processes can be in it that the procfs does not list, as they are not in its PID namespace. Of dumps that do not
/// say whose procfs was read, it is taken to be the host's.
fn may_have_members_outside(snapshot: &Snapshot, namespace: &Namespace) -> bool {
    let Some(observer) = &snapshot.observer else { return false };
    observer.reads_initial_procfs() != Some(true) && !is_below(snapshot, namespace, observer)
}

/// Whether it is the PID namespace of the procfs that was read, or below that one.
fn is_below(snapshot: &Snapshot, namespace: &Namespace, observer: &Observer) -> bool {
    /// The kernel nests no deeper; a dump can have circles.
    const DEEPEST: usize = 33;
    if namespace.ns_type != NamespaceType::Pid {
        return false;
    }
    let mut at = namespace;
    for _ in 0..DEEPEST {
        if observer.procfs_pid_ns.is_some_and(|id| id.ino == at.id.ino) {
            return true;
        }
        match at.parent {
            Relation::Known(id) => match snapshot.namespaces.get(&id) {
                Some(parent) => at = parent,
                None => return false,
            },
            _ => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::{DiscoveryOptions, Errno, Host, NamespaceId, Operation, Process, Task, Tid, Uid};

    const INITIAL: u64 = 4_026_531_836;

    fn id(ino: u64) -> NamespaceId {
        NamespaceId { ino, dev: 4 }
    }

    /// PID namespaces 10 below 9 below the initial one, 20 beside 9, and network namespace 30; seen through the procfs of
    /// PID namespace `procfs`.
    fn snapshot(procfs: Option<u64>) -> Snapshot {
        let mut snapshot = Snapshot::empty(DiscoveryOptions::namespaces(), Host::default(), SystemTime::UNIX_EPOCH);
        let mut observer = Observer::new(Uid(0), crate::CapabilitySet::NONE);
        observer.procfs_pid_ns = procfs.map(id);
        snapshot.observer = Some(observer);
        for (ino, parent) in [(INITIAL, None), (9, Some(INITIAL)), (10, Some(9)), (20, Some(INITIAL))] {
            let mut namespace = Namespace::new(id(ino), NamespaceType::Pid);
            namespace.parent = parent.map_or(Relation::None, |ino| Relation::Known(id(ino)));
            snapshot.namespaces.insert(id(ino), namespace);
        }
        snapshot.namespaces.insert(id(30), Namespace::new(id(30), NamespaceType::Net));
        snapshot
    }

    fn seen(snapshot: &Snapshot, question: fn(&Snapshot, &Namespace) -> bool) -> Vec<u64> {
        snapshot.namespaces.values().filter(|namespace| question(snapshot, namespace)).map(|ns| ns.id.ino).collect()
    }

    fn gap(place: Place, object: Object, errno: i32) -> Gap {
        Gap::failed(place, object, Operation::OPEN, Errno::new(errno).unwrap()).unwrap()
    }

    #[test]
    fn whoever_is_not_listed_can_be_anywhere_but_below() {
        let all = [9, 10, 20, 30, INITIAL];
        assert_eq!(seen(&snapshot(Some(INITIAL)), members_seen), all);
        assert_eq!(seen(&snapshot(Some(9)), members_seen), [9, 10]);
        assert_eq!(seen(&snapshot(None), members_seen), [0; 0]);
        let mut older = snapshot(None);
        older.observer = None;
        assert_eq!(seen(&older, members_seen), all);
    }

    #[test]
    fn whoever_is_not_readable_can_be_anywhere() {
        let mut snapshot = snapshot(Some(INITIAL));
        snapshot.gaps = vec![
            gap(Place::Processes, Object::Process(Pid(7)), 13),
            gap(Place::Processes, Object::Process(Pid(8)), 24),
            gap(Place::Tasks, Object::Task(Pid(7), Tid(7)), 13),
            gap(Place::Fds, Object::Process(Pid(9)), 13),
        ];
        assert_eq!(seen(&snapshot, members_seen), [0; 0]);
        assert_eq!((unreadable_processes(&snapshot), listed_processes(&snapshot)), (2, 2));
        // But for those that the kernel started in the initial namespaces.
        for (pid, ppid) in [(2, None), (3, Some(Pid(2)))] {
            let mut process = Process::new(Pid(pid), Task::new(Tid(pid), "x"));
            process.ppid = ppid;
            snapshot.processes.insert(process.pid, process);
        }
        snapshot.gaps = [1, 2, 3].map(|pid| gap(Place::Processes, Object::Process(Pid(pid)), 13)).into();
        assert_eq!(seen(&snapshot, members_seen).len(), 5);
        assert_eq!((unreadable_processes(&snapshot), listed_processes(&snapshot)), (0, 3));
        assert_eq!(unreadable_members(&snapshot, &snapshot.namespaces[&id(INITIAL)]), 0);
        snapshot.namespaces.get_mut(&id(INITIAL)).unwrap().initial = true;
        assert_eq!(unreadable_members(&snapshot, &snapshot.namespaces[&id(INITIAL)]), 3);
        assert_eq!(seen(&snapshot, members_seen), [9, 10, 20, 30]);
        snapshot.gaps.clear();
        assert_eq!(seen(&snapshot, members_seen).len(), 5);
        snapshot.options.places = snapshot.options.places.without(Place::Tasks);
        assert_eq!(seen(&snapshot, members_seen), [0; 0]);
    }

    #[test]
    fn mounts_are_seen_where_no_mount_namespace_can_be_missed() {
        let mut snapshot = snapshot(Some(INITIAL));
        snapshot.options.mounts = true;
        assert!(processes_listed(&snapshot) && mounts_seen(&snapshot));
        snapshot.gaps = vec![gap(Place::Processes, Object::Process(Pid(9)), 13)];
        assert!(processes_listed(&snapshot) && mounts_seen(&snapshot), "the kernel's list has its mount namespace");
        snapshot.gaps.push(gap(Place::Kernel, Object::Host, 1));
        assert!(processes_listed(&snapshot) && !mounts_seen(&snapshot));
        snapshot.gaps = vec![gap(Place::BindMounts, Object::Namespace(id(40)), 24)];
        assert!(!mounts_seen(&snapshot), "its mounts were not read");
        snapshot.gaps = vec![gap(Place::Processes, Object::Host, 1)];
        assert!(!processes_listed(&snapshot), "procfs hides some");
        snapshot.gaps.clear();
        snapshot.namespaces.insert(id(40), Namespace::new(id(40), NamespaceType::Mnt));
        assert!(!mounts_seen(&snapshot), "it has none that is known");
        let elsewhere = self::snapshot(Some(9));
        assert!(!processes_listed(&elsewhere));
    }

    #[test]
    fn what_can_hold_it_depends_on_its_type() {
        let mut snapshot = snapshot(Some(INITIAL));
        assert_eq!(seen(&snapshot, holders_seen).len(), 5);
        snapshot.gaps = vec![gap(Place::Sockets, Object::Host, 1)];
        assert_eq!(seen(&snapshot, holders_seen), [9, 10, 20, INITIAL]);
        snapshot.gaps = vec![gap(Place::Fds, Object::Process(Pid(9)), 13)];
        assert_eq!(seen(&snapshot, holders_seen), [0; 0]);
        assert_eq!(seen(&snapshot, members_seen).len(), 5);
        snapshot.gaps = vec![gap(Place::Kernel, Object::Host, 38)];
        assert_eq!(seen(&snapshot, holders_seen).len(), 5);
    }
}
