//! What a snapshot can have seen, and what it cannot.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::{Gap, Holder, Namespace, NamespaceId, Object, Pid, Place, Places, Reader, Relation, Snapshot};

/// What a snapshot can have seen.
pub(super) struct Sight<'a> {
    places: Places,
    /// Whether what is said of a process by its PID can be looked for here.
    same_pids: bool,
    /// The places that could not be looked at as a whole.
    closed: Places,
    /// In which places something of a process could not be read.
    processes: FxHashMap<Pid, Places>,
    /// In which places something of a namespace could not be read, by its inode number: its mounts, its relations.
    namespaces: FxHashMap<u64, Places>,
    has_gaps: bool,
    /// Whether the other snapshot is from the kernel reader, which alone reads all of the kernel's lists, and this one is not.
    lists_less: bool,
    snapshot: &'a Snapshot,
}

impl<'a> Sight<'a> {
    /// Beside `other`.
    pub(super) fn of(snapshot: &'a Snapshot, other: &Snapshot, same_pids: bool) -> Self {
        let places = snapshot.options.places;
        let mut sight = Self {
            places,
            same_pids,
            closed: Places::NONE,
            processes: FxHashMap::default(),
            namespaces: FxHashMap::default(),
            has_gaps: false,
            lists_less: other.reader == Some(Reader::Kernel) && snapshot.reader != Some(Reader::Kernel),
            snapshot,
        };
        for gap in snapshot.gaps.iter().filter(|gap| is_blind(gap)) {
            sight.has_gaps = true;
            let known = match &gap.object {
                Object::Process(pid) | Object::Task(pid, _) | Object::Fd(pid, _, _) => {
                    sight.processes.entry(*pid).or_default()
                }
                Object::Namespace(id) | Object::Mount(id, _) => sight.namespaces.entry(id.ino).or_default(),
                _ => &mut sight.closed,
            };
            *known = known.with(gap.place);
        }
        sight
    }

    /// Whether this would have been seen here if it had been there.
    pub(super) fn reaches(&self, holder: &Holder) -> bool {
        let place = place(holder);
        if !self.places.contains(place) || self.closed.contains(place) {
            return false;
        }
        match *holder {
            Holder::Kernel => !self.lists_less,
            Holder::BindMount { mount_ns, .. } | Holder::Mount { mount_ns, .. } => {
                let gaps = self.gaps_of(mount_ns);
                !gaps.contains(Place::BindMounts) && !gaps.contains(Place::ProcesslessMounts)
            }
            // Both are known from the other end: where that is, and says to nobody whose it is, nothing is known.
            Holder::Child { ns } => {
                !self.gaps_of(ns).contains(place) && self.snapshot.by_ino(ns.ino).is_none_or(|ns| is_told(ns.parent))
            }
            Holder::Owned { ns } => {
                !self.gaps_of(ns).contains(place) && self.snapshot.by_ino(ns.ino).is_none_or(|ns| is_told(ns.owner))
            }
            _ => holder.pid().is_none_or(|pid| {
                let gaps = self.processes.get(&pid).copied().unwrap_or_default();
                // Of a process that cannot be read at all nothing is known.
                self.same_pids && !gaps.contains(place) && !gaps.contains(Place::Processes)
            }),
        }
    }

    /// Whether this would have been told of a namespace that is here. Dumps of other programs, which do not tell the boot
    /// either, name a descriptor only where nothing else leads to its namespace.
    pub(super) fn lists(&self, holder: &Holder) -> bool {
        let is_descriptor = matches!(place(holder), Place::Fds | Place::TaskFds | Place::Sockets | Place::Tun);
        self.reaches(holder) && !(is_descriptor && self.snapshot.host.boot_id.is_none())
    }

    fn gaps_of(&self, id: NamespaceId) -> Places {
        self.namespaces.get(&id.ino).copied().unwrap_or_default()
    }

    /// Those of these namespaces, which are not here, of which it is not known whether they are really missing: not all
    /// that holds them can have been seen here, or one that is below them or theirs is in doubt itself.
    pub(super) fn doubtful(&self, missing: &[&Namespace]) -> FxHashSet<NamespaceId> {
        let by_id: FxHashMap<NamespaceId, &Namespace> =
            missing.iter().map(|namespace| (namespace.id, *namespace)).collect();
        let is_blind = |namespace: &&&Namespace| match namespace.holders.as_slice() {
            [] => self.has_gaps || Places::holding().iter().any(|place| !self.places.contains(place)),
            holders => holders.iter().any(|holder| !self.reaches(holder)),
        };
        let mut waiting: Vec<NamespaceId> = missing.iter().filter(is_blind).map(|namespace| namespace.id).collect();
        let mut doubtful = FxHashSet::default();
        while let Some(id) = waiting.pop() {
            let Some(namespace) = by_id.get(&id).filter(|_| doubtful.insert(id)) else { continue };
            let above = [namespace.owner, namespace.parent].into_iter().filter_map(Relation::known);
            waiting.extend(above.filter(|id| by_id.contains_key(id)));
        }
        doubtful
    }
}

/// The places in which the first saw less than the other: what it was not asked for, and what it could not read although
/// it was there, and the other could.
pub(super) fn blinder(this: &Snapshot, other: &Snapshot, same_pids: bool) -> Places {
    let sight = Sight::of(other, this, same_pids);
    let is_there = |gap: &&Gap| match &gap.object {
        Object::Process(pid) | Object::Task(pid, _) | Object::Fd(pid, _, _) => {
            same_pids && other.processes.contains_key(pid)
        }
        Object::Namespace(id) | Object::Mount(id, _) => other.by_ino(id.ino).is_some(),
        _ => true,
    };
    let could_be_read = |gap: &&Gap| {
        let gaps = match &gap.object {
            Object::Process(pid) | Object::Task(pid, _) | Object::Fd(pid, _, _) => sight.processes.get(pid).copied(),
            Object::Namespace(id) | Object::Mount(id, _) => Some(sight.gaps_of(*id)),
            _ => None,
        };
        sight.places.contains(gap.place)
            && !sight.closed.contains(gap.place)
            && !gaps.unwrap_or_default().contains(gap.place)
    };
    let asked = other.options.places.iter().filter(|&place| !this.options.places.contains(place));
    let gaps = this.gaps.iter().filter(|gap| is_blind(gap)).filter(is_there).filter(could_be_read);
    asked.chain(gaps.map(|gap| gap.place)).collect()
}

/// Whether something that can hold a namespace was not seen.
fn is_blind(gap: &Gap) -> bool {
    Places::holding().contains(gap.place)
}

/// Whether it is known which namespace that is, or that there is none.
fn is_told(relation: Relation) -> bool {
    matches!(relation, Relation::Known(_) | Relation::None)
}

/// Where such a holder is seen.
fn place(holder: &Holder) -> Place {
    match holder {
        Holder::Process { .. } => Place::Processes,
        Holder::Task { .. } => Place::Tasks,
        Holder::ForChildren { .. } => Place::ForChildren,
        Holder::Fd { pid, tid, .. } if pid.0 != tid.0 => Place::TaskFds,
        Holder::Fd { .. } => Place::Fds,
        Holder::Socket { .. } | Holder::Sockets { .. } | Holder::InFlight { .. } => Place::Sockets,
        Holder::Tun { .. } => Place::Tun,
        Holder::BindMount { .. } | Holder::Mount { .. } => Place::BindMounts,
        Holder::Child { .. } => Place::Parents,
        Holder::Owned { .. } => Place::Owners,
        Holder::Kernel => Place::Kernel,
    }
}
