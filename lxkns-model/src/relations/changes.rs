//! What differs between two snapshots: which namespaces appeared and went, and what changed about those that stayed.

use std::cmp::Ordering;
use std::fmt;

use rustc_hash::{FxHashMap, FxHashSet};

use super::sight::{Sight, blinder};
use crate::{Holder, Namespace, NamespaceId, NamespaceType, Pid, Places, Process, Relation, Snapshot};

/// What differs between two snapshots of one host.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Changes<'a> {
    /// The namespaces that something is to be said of, by type and inode number; of two that had the same one after the
    /// other, the earlier first.
    pub namespaces: Vec<NamespaceChanges<'a>>,
    /// Whether both are known to be of the same boot. Otherwise that is taken for granted.
    pub same_boot_known: bool,
    /// Whether a PID means the same process in both. Otherwise they were taken in different PID namespaces, and nothing
    /// that takes a process to know is compared.
    pub same_pids: bool,
    /// The places in which the older snapshot saw less: it did not look there, or could not read what the newer could.
    pub older_saw_less: Places,
    /// The places in which the newer snapshot saw less.
    pub newer_saw_less: Places,
}

/// What is to be said of one namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NamespaceChanges<'a> {
    /// As it was, where it was seen.
    pub old: Option<&'a Namespace>,
    /// As it is, where it was seen.
    pub new: Option<&'a Namespace>,
    /// What changed, sorted; never nothing.
    pub changes: Vec<Change<'a>>,
}

impl<'a> NamespaceChanges<'a> {
    /// The namespace as it was seen last.
    pub fn namespace(&self) -> &'a Namespace {
        self.new.or(self.old).expect("was seen at least once")
    }
}

/// One thing that changed about a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Change<'a> {
    /// It ended.
    Went,
    /// It is no longer visible: it has ended, or only something that this kernel does not list holds it
    /// ([`Snapshot::unseen_keepers`]).
    Vanished,
    /// It is no longer visible, and lives: something that this kernel does not list holds it. Only who asks the kernel
    /// knows this ([`Changes::settle`]).
    Hidden,
    /// It is not seen any more, where not all that held it can be seen: it is not known whether it went.
    Unseen,
    /// It became visible: it is new, or only something that the kernel does not list held it before.
    Appeared,
    /// It was not seen before, where not all that holds it could be: it is not known whether it is new.
    Seen,
    /// The last process or task in it ended or moved.
    LastTaskLeft,
    /// It had neither process nor task, and has.
    FirstTaskCame,
    /// Another process is the most senior in it.
    Leader {
        /// Which was.
        old: Pid,
        /// Which is.
        new: Pid,
    },
    /// Which user namespace owns it was not known, and is.
    OwnerKnown(NamespaceId),
    /// What its parent is was not known, and is.
    ParentKnown(NamespaceId),
    /// This process moved away from it (`setns(2)`, `unshare(2)`).
    ProcessLeft {
        /// The process.
        pid: Pid,
        /// To where.
        to: NamespaceId,
    },
    /// This process, which there was before, moved into it.
    ProcessEntered {
        /// The process.
        pid: Pid,
        /// From where.
        from: NamespaceId,
    },
    /// This does not hold it any more. Neither processes that are in it are told like this, nor namespaces that are below
    /// it or its own, nor how many sockets it has.
    HolderWent(&'a Holder),
    /// This holds it, and did not.
    HolderCame(&'a Holder),
}

/// What the kernel says of a namespace that is no longer visible; `lxkns_core::life_of` asks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Life {
    /// It lives.
    Alive,
    /// It has ended.
    Ended,
    /// The kernel does not say.
    Unknown,
}

impl Changes<'_> {
    /// Finds out what became of the namespaces that are no longer visible: `life` says it of each.
    pub fn settle(&mut self, mut life: impl FnMut(&Namespace) -> Life) {
        for told in &mut self.namespaces {
            let namespace = told.namespace();
            for change in &mut told.changes {
                if matches!(change, Change::Vanished | Change::Unseen) {
                    *change = match life(namespace) {
                        Life::Alive => Change::Hidden,
                        Life::Ended => Change::Went,
                        Life::Unknown => *change,
                    };
                }
            }
        }
    }
}

/// The two snapshots are of different boots, or of different hosts: no namespace is in both, and numbers that are equal
/// mean nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DifferentBoots;

impl fmt::Display for DifferentBoots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("of different boots or hosts: no namespace is in both")
    }
}

impl std::error::Error for DifferentBoots {}

/// Compares two snapshots of one host.
///
/// Two namespaces are the same if their inode numbers and types are, unless their unique IDs, owners or parents are known
/// to differ, which never change in a namespace's life: an inode number can have been given to another one meanwhile.
/// Processes are the same if PID and start time are. What one side cannot have seen has not gone, nor come.
///
/// Grows with what is in both, and not with their product.
///
/// # Errors
///
/// [`DifferentBoots`] where both boots are known and differ.
pub fn changes<'a>(old: &'a Snapshot, new: &'a Snapshot) -> Result<Changes<'a>, DifferentBoots> {
    let boots = (old.host.boot_id.as_deref(), new.host.boot_id.as_deref());
    if matches!(boots, (Some(old), Some(new)) if old != new) {
        return Err(DifferentBoots);
    }
    let same_pids = same_init(old, new);
    let pairs = Pairs::of(old, new);
    let (old_sight, new_sight) = (Sight::of(old, new, same_pids), Sight::of(new, old, same_pids));
    let mut found: FxHashMap<Key, NamespaceChanges<'a>> = FxHashMap::default();
    for (gone, sight, is_past) in [(&pairs.only_old, &new_sight, true), (&pairs.only_new, &old_sight, false)] {
        let doubtful = sight.doubtful(gone);
        let mut is_listed: FxHashMap<NamespaceType, bool> = FxHashMap::default();
        for &namespace in gone {
            // That another one has its number, or had it, leaves no doubt.
            let is_reused = pairs.reused.contains(&namespace.id.ino);
            let is_doubtful = doubtful.contains(&namespace.id) && !is_reused;
            let ns_type = namespace.ns_type;
            let mut is_gone = || {
                let lists = || new.unseen_keepers(Some(ns_type)).is_empty();
                is_reused || *is_listed.entry(ns_type).or_insert_with(lists)
            };
            let change = match (is_past, is_doubtful) {
                (true, false) if is_gone() => Change::Went,
                (true, false) => Change::Vanished,
                (true, true) => Change::Unseen,
                (false, false) => Change::Appeared,
                (false, true) => Change::Seen,
            };
            let sides = if is_past { (Some(namespace), None) } else { (None, Some(namespace)) };
            let told = NamespaceChanges { old: sides.0, new: sides.1, changes: vec![change] };
            found.insert(key(namespace, pairs.is_past_of_other(namespace, is_past)), told);
        }
    }
    for &(before, now) in &pairs.both {
        let compared = Stayed { before, now, old, new, old_sight: &old_sight, new_sight: &new_sight };
        let changes = compared.changes();
        if !changes.is_empty() {
            found.insert(key(now, false), NamespaceChanges { old: Some(before), new: Some(now), changes });
        }
    }
    if same_pids {
        moves(old, new, &pairs, &mut found);
    }
    let mut namespaces: Vec<_> = found.into_iter().collect();
    namespaces.sort_unstable_by_key(|&(key, _)| key);
    let mut namespaces: Vec<_> = namespaces.into_iter().map(|(_, told)| told).collect();
    namespaces.iter_mut().for_each(|told| told.changes.sort_unstable());
    Ok(Changes {
        namespaces,
        same_boot_known: boots.0.is_some() && boots.1.is_some(),
        same_pids,
        older_saw_less: blinder(old, new, same_pids),
        newer_saw_less: blinder(new, old, same_pids),
    })
}

/// Sorts namespaces; of two with the same number the earlier comes first.
type Key = (NamespaceType, u64, bool);

fn key(namespace: &Namespace, is_later: bool) -> Key {
    (namespace.ns_type, namespace.id.ino, is_later)
}

/// Whether PID 1 is the same process in both, as far as both know it.
fn same_init(old: &Snapshot, new: &Snapshot) -> bool {
    let [old, new] = [old, new].map(|snapshot| snapshot.processes.get(&Pid(1)));
    match (old, new) {
        (Some(old), Some(new)) => is_same_process(old, new),
        _ => true,
    }
}

fn is_same_process(old: &Process, new: &Process) -> bool {
    old.pid == new.pid && old.start_time_ticks() == new.start_time_ticks()
}

/// Which namespaces are in both snapshots, and which are in one.
struct Pairs<'a> {
    both: Vec<(&'a Namespace, &'a Namespace)>,
    only_old: Vec<&'a Namespace>,
    only_new: Vec<&'a Namespace>,
    /// The inode numbers that mean two different namespaces.
    reused: FxHashSet<u64>,
}

impl<'a> Pairs<'a> {
    fn of(old: &'a Snapshot, new: &'a Snapshot) -> Self {
        // All namespaces of a host are inodes of one nsfs, whose device number not every dump tells.
        let by_ino: FxHashMap<u64, &Namespace> =
            new.namespaces.values().map(|namespace| (namespace.id.ino, namespace)).collect();
        let mut pairs =
            Self { both: Vec::new(), only_old: Vec::new(), only_new: Vec::new(), reused: FxHashSet::default() };
        let mut paired: FxHashSet<u64> = FxHashSet::default();
        for before in old.namespaces.values() {
            match by_ino.get(&before.id.ino) {
                Some(now) if is_same_namespace(before, now) => {
                    pairs.both.push((before, now));
                    paired.insert(now.id.ino);
                }
                other => {
                    if other.is_some() {
                        pairs.reused.insert(before.id.ino);
                    }
                    pairs.only_old.push(before);
                }
            }
        }
        pairs.only_new.extend(new.namespaces.values().filter(|now| !paired.contains(&now.id.ino)));
        pairs
    }

    /// Whether it comes after another one with the same number.
    fn is_past_of_other(&self, namespace: &Namespace, is_past: bool) -> bool {
        !is_past && self.reused.contains(&namespace.id.ino)
    }
}

fn is_same_namespace(before: &Namespace, now: &Namespace) -> bool {
    let differ = |before: Relation, now: Relation| match (before, now) {
        (Relation::Known(before), Relation::Known(now)) => before.ino != now.ino,
        _ => false,
    };
    before.ns_type == now.ns_type
        && before.unique_id.zip(now.unique_id).is_none_or(|(before, now)| before == now)
        && !differ(before.owner, now.owner)
        && !differ(before.parent, now.parent)
}

/// A namespace that is in both snapshots.
struct Stayed<'a, 'b> {
    before: &'a Namespace,
    now: &'a Namespace,
    old: &'a Snapshot,
    new: &'a Snapshot,
    old_sight: &'b Sight<'a>,
    new_sight: &'b Sight<'a>,
}

impl<'a> Stayed<'a, '_> {
    fn changes(&self) -> Vec<Change<'a>> {
        let mut changes = Vec::new();
        match (has_tasks(self.before), has_tasks(self.now)) {
            (true, false) if tasks(self.before).all(|holder| self.new_sight.reaches(&holder)) => {
                changes.push(Change::LastTaskLeft);
            }
            (false, true) if tasks(self.now).all(|holder| self.old_sight.reaches(&holder)) => {
                changes.push(Change::FirstTaskCame);
            }
            _ => changes.extend(self.leader()),
        }
        if let (None, Some(owner)) = (self.before.owner.known(), self.now.owner.known()) {
            changes.push(Change::OwnerKnown(owner));
        }
        if let (None, Some(parent)) = (self.before.parent.known(), self.now.parent.known()) {
            changes.push(Change::ParentKnown(parent));
        }
        self.holders(&mut changes);
        changes
    }

    fn leader(&self) -> Option<Change<'a>> {
        let (&old, &new) = (self.before.leaders.first()?, self.now.leaders.first()?);
        let stays = self.is_same_process(old) && old == new;
        let is_seen = self.new_sight.reaches(&Holder::Process { pid: old })
            && self.old_sight.reaches(&Holder::Process { pid: new });
        (!stays && is_seen).then_some(Change::Leader { old, new })
    }

    fn is_same_process(&self, pid: Pid) -> bool {
        let (old, new) = (self.old.processes.get(&pid), self.new.processes.get(&pid));
        old.zip(new).is_none_or(|(old, new)| is_same_process(old, new))
    }

    /// Both lists are sorted, so that one walk over both will do.
    fn holders(&self, changes: &mut Vec<Change<'a>>) {
        let mut before = self.before.holders.iter().filter(|holder| is_told(holder)).peekable();
        let mut now = self.now.holders.iter().filter(|holder| is_told(holder)).peekable();
        loop {
            let order = match (before.peek(), now.peek()) {
                (Some(before), Some(now)) => compare(before, now),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => break,
            };
            let went = if order.is_le() { before.next() } else { None };
            let came = if order.is_ge() { now.next() } else { None };
            if order.is_eq() && went.and_then(Holder::pid).is_none_or(|pid| self.is_same_process(pid)) {
                continue;
            }
            changes.extend(went.filter(|holder| self.new_sight.lists(holder)).map(Change::HolderWent));
            changes.extend(came.filter(|holder| self.old_sight.lists(holder)).map(Change::HolderCame));
        }
    }
}

/// The order of holders, for which it does not matter whether a dump tells the device number of nsfs.
fn compare(before: &Holder, now: &Holder) -> Ordering {
    let without_device = |holder: &Holder| {
        let mut holder = holder.clone();
        match &mut holder {
            Holder::BindMount { mount_ns: id, .. } | Holder::Mount { mount_ns: id, .. } => id.dev = 0,
            Holder::Tun { device: Some(id), .. } => id.dev = 0,
            _ => {}
        }
        holder
    };
    match before.cmp(now) {
        Ordering::Equal => Ordering::Equal,
        _ => without_device(before).cmp(&without_device(now)),
    }
}

/// Whether a holder is told by itself, and not with what it follows from.
fn is_told(holder: &Holder) -> bool {
    !matches!(holder, Holder::Process { .. } | Holder::Child { .. } | Holder::Owned { .. } | Holder::Sockets { .. })
}

fn has_tasks(namespace: &Namespace) -> bool {
    !namespace.is_without_tasks() || tasks(namespace).next().is_some()
}

/// What is in it, each as a holder.
fn tasks(namespace: &Namespace) -> impl Iterator<Item = Holder> {
    let holders =
        namespace.holders.iter().filter(|holder| matches!(holder, Holder::Process { .. } | Holder::Task { .. }));
    holders.cloned().chain(namespace.leaders.iter().map(|&pid| Holder::Process { pid }))
}

/// Notes the processes that are elsewhere than they were.
fn moves<'a>(
    old: &'a Snapshot,
    new: &'a Snapshot,
    pairs: &Pairs<'a>,
    found: &mut FxHashMap<Key, NamespaceChanges<'a>>,
) {
    let stayed: FxHashMap<u64, (&Namespace, &Namespace)> =
        pairs.both.iter().map(|&(before, now)| (now.id.ino, (before, now))).collect();
    for process in new.processes.values() {
        let Some(before) = old.processes.get(&process.pid).filter(|before| is_same_process(before, process)) else {
            continue;
        };
        for (ns_type, to) in process.namespaces.iter() {
            let Some(from) = before.namespaces.get(ns_type) else { continue };
            if from.ino == to.ino && !pairs.reused.contains(&to.ino) {
                continue;
            }
            let pid = process.pid;
            let mut note = |ino: u64, is_later: bool, change| {
                let key = (ns_type, ino, is_later && pairs.reused.contains(&ino));
                if let Some(told) = found.get_mut(&key) {
                    told.changes.push(change);
                } else if let Some(&(before, now)) = stayed.get(&ino) {
                    let told = NamespaceChanges { old: Some(before), new: Some(now), changes: vec![change] };
                    found.insert(key, told);
                }
            };
            note(from.ino, false, Change::ProcessLeft { pid, to });
            note(to.ino, true, Change::ProcessEntered { pid, from });
        }
    }
}

#[cfg(test)]
#[path = "changes_tests.rs"]
mod tests;
