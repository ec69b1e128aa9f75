//! Which containers namespaces belong to, and which containers share them.

use std::borrow::Cow;

use rustc_hash::FxHashMap;

use crate::{Containers, Holder, Namespace, NamespaceId, NamespaceLinks, NamespaceType, Pid, Snapshot, Unit, UnitKind};

/// Whether a namespace is one of the host's: an initial one or, where the snapshot was taken inside a container, that of its
/// first process. It belongs to no container, whatever processes are in it.
pub fn is_of_host(snapshot: &Snapshot, namespace: &Namespace) -> bool {
    const INIT: Pid = Pid(1);
    let containers = snapshot.annotations.containers.as_ref();
    let is_contained = || containers.is_some_and(|containers| containers.members.contains_key(&INIT));
    let of_init = || snapshot.processes.get(&INIT)?.namespaces.get(namespace.ns_type);
    namespace.initial || (of_init() == Some(namespace.id) && !is_contained())
}

/// Whoever made a namespace is among its most senior processes: no more are asked, as many may be in it.
const SENIOR: usize = 16;

/// The container that a namespace belongs to, by its index: that of the most senior process in it that is in one, else that of
/// a task, else the one for which it was made. `None` for one of the host's.
pub fn container_of_namespace(snapshot: &Snapshot, id: NamespaceId) -> Option<usize> {
    let containers = snapshot.annotations.containers.as_ref()?;
    let namespace = snapshot.namespaces.get(&id).filter(|namespace| !is_of_host(snapshot, namespace))?;
    let member = |pid: Pid| containers.members.get(&pid).copied();
    let of_leader = namespace.leaders.iter().take(SENIOR).find_map(|&pid| member(pid));
    // Tasks come early among the sorted holders.
    let of_task = || {
        let tasks = namespace.holders.iter().map_while(|holder| match holder {
            Holder::Process { pid } | Holder::Task { pid, .. } => Some(*pid),
            _ => None,
        });
        tasks.take(SENIOR).find_map(member)
    };
    of_leader.or_else(of_task).or_else(|| containers.namespaces.get(&id).copied())
}

/// The unit that a namespace belongs to: that of the most senior process in it that has one, or the snap that it is kept for
/// (`/run/snapd/ns/NAME.mnt`). `None` for one of the host's, and for one of a container.
pub fn unit_of_namespace(snapshot: &Snapshot, id: NamespaceId) -> Option<Cow<'_, Unit>> {
    let containers = snapshot.annotations.containers.as_ref()?;
    let namespace = snapshot.namespaces.get(&id).filter(|namespace| !is_of_host(snapshot, namespace))?;
    if container_of_namespace(snapshot, id).is_some() {
        return None;
    }
    let tasks = namespace.holders.iter().map_while(|holder| match holder {
        Holder::Process { pid } | Holder::Task { pid, .. } => Some(pid),
        _ => None,
    });
    let of_process = |pid: &Pid| containers.units.get(pid).map(Cow::Borrowed);
    let by_process = namespace.leaders.iter().take(SENIOR).chain(tasks.take(SENIOR)).find_map(of_process);
    by_process.or_else(|| snap_of(snapshot, namespace).map(Cow::Owned))
}

/// The snap that snapd keeps a mount namespace for. Its directory is root's; in other mount namespaces than the host's, it is
/// whoever has made them that says what is there.
fn snap_of(snapshot: &Snapshot, namespace: &Namespace) -> Option<Unit> {
    let is_hosts =
        |id: &NamespaceId| snapshot.namespaces.get(id).is_some_and(|namespace| is_of_host(snapshot, namespace));
    let name = namespace.holders.iter().find_map(|holder| match holder {
        Holder::BindMount { mount_ns, path: Some(path), .. } if is_hosts(mount_ns) => {
            path.strip_prefix(b"/run/snapd/ns/")?.strip_suffix(b".mnt")
        }
        _ => None,
    });
    let name = name.filter(|name| namespace.ns_type == NamespaceType::Mnt && !name.contains(&b'/'))?;
    Some(Unit { kind: UnitKind::Snap, name: name.into(), of_user: None })
}

/// Whose the namespace is that a container is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Belonging {
    /// It is the container's own: others that are in it came later.
    Own,
    /// It is one of the host's.
    Host,
    /// It is another container's, which has this index.
    Container(usize),
    /// This process was in it before, which is in no container.
    Process(Pid),
}

/// Which containers are in which namespaces: the processes are gone through once, and then asked about any number of times.
#[derive(Debug)]
pub struct ContainerNamespaces<'a> {
    snapshot: &'a Snapshot,
    containers: Option<&'a Containers>,
    /// The containers with a process or task in a namespace, and the one that it was made for.
    inside: FxHashMap<NamespaceId, Vec<usize>>,
    /// The container that each of these namespaces belongs to.
    whose: FxHashMap<NamespaceId, usize>,
    /// The process that stands for each container.
    first: Vec<Option<Pid>>,
    /// The namespaces of each container.
    links: Vec<NamespaceLinks>,
}

impl<'a> ContainerNamespaces<'a> {
    /// Of all containers of a snapshot.
    pub fn of(snapshot: &'a Snapshot) -> Self {
        let containers = snapshot.annotations.containers.as_ref();
        let count = containers.map_or(0, |containers| containers.list.len());
        let mut index = Self {
            snapshot,
            containers,
            inside: FxHashMap::default(),
            whose: FxHashMap::default(),
            first: vec![None; count],
            links: vec![NamespaceLinks::default(); count],
        };
        if let Some(containers) = containers {
            index.fill(containers);
        }
        index
    }

    fn fill(&mut self, containers: &Containers) {
        let mut oldest = vec![(u64::MAX, Pid(u32::MAX)); self.first.len()];
        for (pid, &index) in &containers.members {
            let (Some(process), Some(oldest)) = (self.snapshot.processes.get(pid), oldest.get_mut(index)) else {
                continue;
            };
            *oldest = (*oldest).min((process.start_time_ticks(), *pid));
            let of_process = process.namespaces.iter().map(|(_, id)| id);
            let of_tasks = process.tasks.iter().flat_map(|task| task.namespaces.iter()).map(|(_, id)| id);
            for id in of_process.chain(of_tasks) {
                let inside = self.inside.entry(id).or_default();
                // Most come from one process after the other of the same container.
                if inside.last() != Some(&index) {
                    inside.push(index);
                }
            }
        }
        for (&id, &index) in &containers.namespaces {
            self.inside.entry(id).or_default().push(index);
        }
        for (&id, inside) in &mut self.inside {
            inside.sort_unstable();
            inside.dedup();
            self.whose.extend(container_of_namespace(self.snapshot, id).map(|index| (id, index)));
        }
        for (index, container) in containers.list.iter().enumerate() {
            let main = container.main.as_ref().map(|main| main.value);
            let seen = main.filter(|pid| self.snapshot.processes.contains_key(pid));
            let (_, oldest) = oldest[index];
            let oldest = (oldest != Pid(u32::MAX)).then_some(oldest);
            self.first[index] = seen.or(oldest).or(main);
            if let Some(process) = self.first[index].and_then(|pid| self.snapshot.processes.get(&pid)) {
                self.links[index] = process.namespaces;
            }
        }
        for (id, &index) in &containers.namespaces {
            let ns_type = self.snapshot.namespaces.get(id).map(|namespace| namespace.ns_type);
            if let (Some(ns_type), Some(links)) = (ns_type, self.links.get_mut(index))
                && links.get(ns_type).is_none()
            {
                links.set(ns_type, *id);
            }
        }
    }

    /// The containers with a process in a namespace, and the one that it was made for, by their indexes: first the one whose it
    /// is. Those inside another of them are left out. None for one of the host's.
    pub fn containers_in(&self, id: NamespaceId) -> Vec<usize> {
        let Some((inside, containers)) = self.inside.get(&id).zip(self.containers) else { return Vec::new() };
        if self.snapshot.namespaces.get(&id).is_none_or(|namespace| is_of_host(self.snapshot, namespace)) {
            return Vec::new();
        }
        let whose = self.whose.get(&id).copied();
        let is_outermost = |index: &usize| {
            let outer = containers.list.get(*index).and_then(|container| container.inside);
            outer.is_none_or(|outer| inside.binary_search(&outer).is_err())
        };
        let others = inside.iter().copied().filter(|index| Some(*index) != whose).filter(is_outermost);
        whose.into_iter().chain(others).collect()
    }

    /// All containers with a process in a namespace, and the one that it was made for, by their indexes and sorted; those inside
    /// another of them too, and also of the host's.
    pub fn all_in(&self, id: NamespaceId) -> &[usize] {
        self.inside.get(&id).map_or(&[], Vec::as_slice)
    }

    /// The process that stands for a container: its first one or, where that is not known, the oldest that is in it. It need not
    /// be in the snapshot where it is the only one known.
    pub fn first_process(&self, index: usize) -> Option<Pid> {
        self.first.get(index).copied().flatten()
    }

    /// The namespaces of a container: those of its first process, and those that were made for it.
    pub fn namespaces(&self, index: usize) -> NamespaceLinks {
        self.links.get(index).copied().unwrap_or_default()
    }

    /// Whose the namespace of this type is that a container is in; `None` where that is not known.
    pub fn belonging(&self, index: usize, ns_type: NamespaceType) -> Option<Belonging> {
        let id = self.namespaces(index).get(ns_type)?;
        let namespace = self.snapshot.namespaces.get(&id)?;
        if is_of_host(self.snapshot, namespace) {
            return Some(Belonging::Host);
        }
        match self.whose.get(&id).copied() {
            Some(other) if other != index => Some(Belonging::Container(other)),
            _ => Some(match namespace.leaders.first() {
                Some(pid) if self.containers.is_none_or(|containers| !containers.members.contains_key(pid)) => {
                    Belonging::Process(*pid)
                }
                _ => Belonging::Own,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::{
        Confidence, Container, DiscoveryOptions, EngineKind, Evidence, EvidenceKind, Host, Process, Said, Task, Tid,
        UnitKind,
    };

    const NET: NamespaceType = NamespaceType::Net;

    fn id(ino: u64) -> NamespaceId {
        NamespaceId { ino, dev: 4 }
    }

    fn container(id: &str, main: Option<u32>) -> Container {
        let evidence =
            Evidence { kind: EvidenceKind::Cgroup, at: "/x".into(), pid: None, confidence: Confidence::Likely };
        let mut container = Container::new(EngineKind::Docker, id, evidence);
        container.main = main.map(|pid| Said { value: Pid(pid), by: 0 });
        container
    }

    /// Network namespaces: 1 of the host, 10 of `a` with `b` and `a/inner` in it, 20 of a process before `c`, 30 without a
    /// process made for `d`, 40 of a unit; 50 of a thread of `a`.
    fn snapshot() -> Snapshot {
        let mut snapshot = Snapshot::empty(DiscoveryOptions::namespaces(), Host::default(), SystemTime::UNIX_EPOCH);
        for (pid, ino) in
            [(1, 1), (100, 10), (101, 10), (110, 10), (120, 10), (200, 20), (210, 20), (400, 40), (500, 1)]
        {
            let mut task = Task::new(Tid(pid), "x");
            task.start_time_ticks = pid.into();
            let mut process = Process::new(Pid(pid), task);
            process.namespaces.set(NET, id(ino));
            process.tasks[0].namespaces = process.namespaces;
            snapshot.processes.insert(process.pid, process);
        }
        let mut thread = Task::new(Tid(102), "thread");
        thread.namespaces.set(NET, id(50));
        snapshot.processes.get_mut(&Pid(100)).unwrap().tasks.push(thread);
        for (ino, leaders) in
            [(1, vec![1]), (10, vec![100, 110, 120]), (20, vec![200, 210]), (30, vec![]), (40, vec![400]), (50, vec![])]
        {
            let mut namespace = Namespace::new(id(ino), NET);
            namespace.leaders = leaders.into_iter().map(Pid).collect();
            snapshot.namespaces.insert(namespace.id, namespace);
        }
        snapshot.namespaces.get_mut(&id(50)).unwrap().holders = vec![Holder::Task { pid: Pid(100), tid: Tid(102) }];
        let mut inner = container("inner", Some(120));
        inner.inside = Some(0);
        let list = vec![
            container("a", Some(100)),
            container("b", None),
            container("c", Some(210)),
            container("d", None),
            inner,
            container("e", Some(500)),
        ];
        snapshot.annotations.containers = Some(Containers {
            list,
            members: [(100, 0), (101, 0), (110, 1), (210, 2), (120, 4), (500, 5)]
                .map(|(pid, it)| (Pid(pid), it))
                .into(),
            namespaces: [(id(30), 3)].into(),
            units: [(Pid(400), Unit { kind: UnitKind::Service, name: "u.service".into(), of_user: None })].into(),
            ..Containers::default()
        });
        snapshot
    }

    #[test]
    fn a_namespace_belongs_to_who_came_first() {
        let snapshot = snapshot();
        let of = |ino| container_of_namespace(&snapshot, id(ino));
        assert_eq!([1, 10, 20, 30, 40, 50, 99].map(of), [None, Some(0), Some(2), Some(3), None, Some(0), None]);
        let unit = |ino| unit_of_namespace(&snapshot, id(ino)).map(|unit| unit.name.to_string());
        assert_eq!([1, 10, 40].map(unit), [None, None, Some("u.service".to_owned())]);
    }

    #[test]
    fn snapd_keeps_mount_namespaces_for_snaps() {
        const MNT: NamespaceType = NamespaceType::Mnt;
        let mut snapshot = snapshot();
        let (host, elsewhere, kept) = (id(60), id(61), id(62));
        for (id, initial) in [(host, true), (elsewhere, false), (kept, false)] {
            let mut namespace = Namespace::new(id, MNT);
            namespace.initial = initial;
            snapshot.namespaces.insert(id, namespace);
        }
        let mut of = |mount_ns, path: &str| {
            let holder = Holder::BindMount { mount_ns, mount_id: 7, path: Some(path.into()) };
            snapshot.namespaces.get_mut(&kept).unwrap().holders = vec![holder];
            unit_of_namespace(&snapshot, kept).map(|unit| (unit.kind, unit.name.to_string()))
        };
        assert_eq!(of(host, "/run/snapd/ns/lxd.mnt"), Some((UnitKind::Snap, "lxd".to_owned())));
        assert_eq!(of(elsewhere, "/run/snapd/ns/lxd.mnt"), None, "anybody can say so there");
        assert_eq!([of(host, "/run/snapd/ns/a/lxd.mnt"), of(host, "/run/lxd.mnt")], [None, None]);
    }

    #[test]
    fn who_shares_what() {
        let snapshot = snapshot();
        let index = ContainerNamespaces::of(&snapshot);
        assert_eq!(index.containers_in(id(10)), [0, 1], "without what runs inside one of them");
        assert_eq!((index.containers_in(id(1)), index.containers_in(id(30))), (vec![], vec![3]));
        assert_eq!(
            (index.all_in(id(10)), index.all_in(id(1)), index.all_in(id(40))),
            (&[0, 1, 4][..], &[5][..], &[][..])
        );
        let belonging = |at| index.belonging(at, NET);
        assert_eq!(
            [0, 1, 2, 3, 4, 5, 9].map(belonging),
            [
                Some(Belonging::Own),
                Some(Belonging::Container(0)),
                Some(Belonging::Process(Pid(200))),
                Some(Belonging::Own),
                Some(Belonging::Container(0)),
                Some(Belonging::Host),
                None
            ]
        );
        assert_eq!(index.belonging(0, NamespaceType::Mnt), None, "not known");
        let first = |at| index.first_process(at).map(|pid| pid.0);
        assert_eq!([0, 1, 3].map(first), [Some(100), Some(110), None]);
    }

    #[test]
    fn from_inside_a_container_its_first_process_is_no_host() {
        let mut snapshot = snapshot();
        assert!(is_of_host(&snapshot, &snapshot.namespaces[&id(1)]));
        snapshot.annotations.containers.as_mut().unwrap().members.insert(Pid(1), 5);
        assert!(!is_of_host(&snapshot, &snapshot.namespaces[&id(1)]));
        assert_eq!(container_of_namespace(&snapshot, id(1)), Some(5));
    }

    #[test]
    fn without_containers_nothing_is_theirs() {
        let mut snapshot = snapshot();
        snapshot.annotations.containers = None;
        let index = ContainerNamespaces::of(&snapshot);
        assert_eq!((index.containers_in(id(10)), index.belonging(0, NET)), (vec![], None));
        assert_eq!((container_of_namespace(&snapshot, id(30)), unit_of_namespace(&snapshot, id(40))), (None, None));
    }

    /// What a dump can claim: indexes of nothing do not come this far, but members and mains of processes that are not there do.
    #[test]
    fn what_is_not_there_is_left_out() {
        let mut snapshot = snapshot();
        snapshot.processes.clear();
        let index = ContainerNamespaces::of(&snapshot);
        assert_eq!(index.first_process(0), Some(Pid(100)), "it may be one that is not readable");
        assert_eq!(index.belonging(0, NET), None);
    }
}
