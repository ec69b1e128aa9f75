//! Watching a host: scan after scan, and what differs between one and the next.
//!
//! ```
//! use std::sync::Arc;
//!
//! use lxkns_answers::watch::{Scan, Watcher};
//! use lxkns_model::{Namespace, Snapshot, relations::Life};
//! # use lxkns_model::{DiscoveryOptions, Host};
//!
//! struct Host1;
//!
//! impl Scan for Host1 {
//!     type Error = std::io::Error;
//!
//!     fn scan(&mut self) -> Result<Arc<Snapshot>, Self::Error> {
//!         // Here lxkns_core::Discovery::run.
//! #       let now = std::time::SystemTime::now();
//! #       Ok(Arc::new(Snapshot::empty(DiscoveryOptions::namespaces(), Host::default(), now)))
//!     }
//!
//!     fn life(&mut self, _namespace: &Namespace) -> Life {
//!         Life::Unknown
//!     }
//! }
//!
//! let mut watcher = Watcher::new(Host1)?;
//! for event in watcher.events()? {
//!     println!("{}", serde_json::to_string(&event)?);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Where `lxkns_core::Events` follows what tasks do, [`Watcher::note`] says when a scan would show something new, [`Pace`] when
//! it is due, and [`Look::all_events`] has what no scan has seen.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use lxkns_model::relations::{Change, DifferentBoots, Life, NamespaceChanges, changes};
use lxkns_model::{LostEvents, Namespace, NamespaceId, NamespaceType, Snapshot, TaskEvent, wire};

use crate::changes::{Between, only};
use crate::context::Context;
use crate::events::Event;
use crate::noted::{Filter, Noted};
pub use crate::noted::{LostForm, Pace, Passed, WatchEvent};

/// Scans of one host, one after another.
pub trait Scan {
    /// Why there is no snapshot.
    type Error;

    /// Scans the host once. Others may keep the snapshot too.
    ///
    /// # Errors
    ///
    /// Where there is no snapshot at all.
    fn scan(&mut self) -> Result<Arc<Snapshot>, Self::Error>;

    /// Whether a namespace lives that is no longer visible.
    fn life(&mut self, namespace: &Namespace) -> Life;

    /// The mount namespace whose paths mean the same files to whoever reads the events; `None` where there is none.
    fn mount_ns(&mut self, snapshot: &Snapshot) -> Option<NamespaceId> {
        snapshot.observer_mount_ns
    }
}

/// Compares each scan of a host with the one before. It keeps two snapshots at most.
#[derive(Debug)]
pub struct Watcher<S> {
    scan: S,
    types: Vec<NamespaceType>,
    watched: Option<BTreeSet<NamespaceId>>,
    all_holders: bool,
    hidden: Hidden,
    noted: Noted,
    old: Arc<Snapshot>,
    /// `None` before the second scan, and while one is running.
    new: Option<Arc<Snapshot>>,
}

/// What one scan has shown.
#[derive(Debug)]
pub struct Look<'a> {
    /// The snapshots that were compared.
    pub between: Between<'a>,
    /// What differs.
    pub changes: Vec<NamespaceChanges<'a>>,
    /// The namespaces that only task events have seen since the last scan.
    pub passed: Vec<Passed>,
    /// The task events that are missing.
    pub lost: LostEvents,
}

impl Look<'_> {
    /// When the scan began: RFC 3339, UTC.
    pub fn time(&self) -> Option<String> {
        wire::time_text(self.between.new.snapshot.taken_at)
    }

    /// What differs, one event for each change.
    pub fn events(&self) -> Vec<Event> {
        self.between.events(&self.changes, self.time().as_deref()).collect()
    }

    /// That task events are missing, if some are.
    pub fn missing(&self) -> Option<LostForm> {
        LostForm::of(&self.lost, self.time())
    }

    /// Whether there is no event.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.passed.is_empty() && self.lost.is_none()
    }

    /// All events: what is missing, what only task events have seen, what differs.
    pub fn all_events(&self) -> Vec<WatchEvent> {
        let passed = self.passed.iter().flat_map(|passed| passed.events(self.between.new.snapshot));
        let changes = passed.chain(self.events()).map(|event| WatchEvent::Change(Box::new(event)));
        self.missing().map(WatchEvent::Lost).into_iter().chain(changes).collect()
    }
}

impl<S: Scan> Watcher<S> {
    /// Scans for the first time. Watched are all namespaces, and new ones.
    ///
    /// # Errors
    ///
    /// Where there is no snapshot.
    pub fn new(mut scan: S) -> Result<Self, S::Error> {
        let old = scan.scan()?;
        let (hidden, noted) = (Hidden::default(), Noted::default());
        Ok(Self { scan, types: Vec::new(), watched: None, all_holders: false, hidden, noted, old, new: None })
    }

    /// Watches only namespaces of these types; of all where there are none.
    #[must_use]
    pub fn of_types(mut self, types: &[NamespaceType]) -> Self {
        self.types = types.to_vec();
        self
    }

    /// Watches only these namespaces, each until it ends or is no longer visible.
    #[must_use]
    pub fn only(mut self, namespaces: BTreeSet<NamespaceId>) -> Self {
        self.watched = Some(namespaces);
        self
    }

    /// Also reports changes of holders of namespaces that have a process or task before and after.
    #[must_use]
    pub fn with_all_holders(mut self) -> Self {
        self.all_holders = true;
        self
    }

    /// The last snapshot.
    pub fn snapshot(&self) -> &Snapshot {
        self.new.as_ref().unwrap_or(&self.old)
    }

    /// Lets go of the snapshot before the last one, which only [`look`](Self::look) needs.
    pub fn rest(&mut self) {
        if let Some(new) = self.new.take() {
            self.old = new;
            self.hidden.carry_over(&mut self.old);
        }
    }

    /// Whether nothing is left to watch: all namespaces that were to be watched have ended, or are no longer visible.
    pub fn is_done(&self) -> bool {
        self.watched.as_ref().is_some_and(BTreeSet::is_empty)
    }

    /// Notes what tasks did since the last scan, and what is missing of it. Returns whether a scan is due: whether it would show
    /// something else than the last one. What tasks do in namespaces that are known makes no difference, but for the first one
    /// in a namespace, the last one, the most senior one, and those that hold a namespace which has no task.
    ///
    /// A namespace that the next scan does not show is reported by it nevertheless, with who was in it.
    pub fn note(&mut self, events: &[TaskEvent], lost: LostEvents) -> bool {
        self.noted.lose(lost);
        let snapshot = self.new.as_ref().unwrap_or(&self.old);
        let (watched, all_holders) = (self.watched.as_ref(), self.all_holders);
        let filter = Filter { types: &self.types, watched, all_holders };
        for event in events {
            self.noted.note(event, snapshot, filter, |id, unique_id| self.hidden.has(id, unique_id));
        }
        self.noted.is_due()
    }

    /// Whether a scan is due, by what was noted.
    pub fn is_due(&self) -> bool {
        self.noted.is_due()
    }

    /// Scans once more, and compares.
    ///
    /// # Errors
    ///
    /// Where there is no snapshot, or it is of another boot. The next comparison is then with the same one before.
    pub fn look(&mut self) -> Result<Look<'_>, WatchError<S::Error>> {
        self.rest();
        self.noted.begin();
        let new = self.scan.scan().map_err(WatchError::Scan)?;
        let mount_ns = self.scan.mount_ns(&new);
        // Another boot's snapshot is not kept: the next one is compared with what was before it.
        changes(&self.old, &new).map_err(WatchError::DifferentBoots)?;
        let (old, new) = (&self.old, &*self.new.insert(new));
        let mut found = changes(old, new).map_err(WatchError::DifferentBoots)?;
        only(&mut found.namespaces, &self.types);
        found.settle(|namespace| self.scan.life(namespace));
        self.hidden.follow(&mut found.namespaces);
        if !self.all_holders {
            only_deciding(&mut found.namespaces);
        }
        if let Some(watched) = &mut self.watched {
            follow(watched, &mut found.namespaces);
        }
        let is_hidden = found.namespaces.iter().any(|told| told.changes.contains(&Change::Hidden));
        let (passed, lost) = self.noted.settle(new, is_hidden, |namespace| self.scan.life(namespace));
        self.hidden.follow_passed(&passed);
        let between = Between { old, new: Context { snapshot: new, mount_ns, is_live: true } };
        Ok(Look { between, changes: found.namespaces, passed, lost })
    }

    /// Scans once more, and says what differs.
    ///
    /// # Errors
    ///
    /// As of [`look`](Self::look).
    pub fn events(&mut self) -> Result<Vec<Event>, WatchError<S::Error>> {
        Ok(self.look()?.events())
    }
}

/// Why a scan could not be compared with the one before.
#[derive(Debug)]
pub enum WatchError<E> {
    /// There is no snapshot.
    Scan(E),
    /// The snapshots are of different boots or hosts.
    DifferentBoots(DifferentBoots),
}

impl<E> fmt::Display for WatchError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scan(_) => f.write_str("scan the host"),
            Self::DifferentBoots(_) => f.write_str("compare two scans"),
        }
    }
}

impl<E: Error + 'static> Error for WatchError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Scan(error) => Some(error),
            Self::DifferentBoots(error) => Some(error),
        }
    }
}

/// The namespaces that live and are no longer visible: their end is told too, or that they are visible again.
#[derive(Debug, Default)]
struct Hidden(BTreeMap<NamespaceId, Namespace>);

impl Hidden {
    /// Leaves out what was told of them before, and notes which there are now.
    fn follow(&mut self, namespaces: &mut Vec<NamespaceChanges<'_>>) {
        namespaces.retain_mut(|told| {
            let id = told.namespace().id;
            if told.changes.contains(&Change::Hidden) {
                let mut namespace = told.namespace().clone();
                namespace.holders.clear();
                namespace.leaders.clear();
                namespace.loose_threads.clear();
                return self.0.insert(id, namespace).is_none();
            }
            if self.0.contains_key(&id) && told.old.is_some() {
                self.0.remove(&id);
                if told.new.is_some() {
                    told.changes.insert(0, Change::Seen);
                }
            }
            true
        });
    }

    /// Follows what only task events have seen, and lives.
    fn follow_passed(&mut self, passed: &[Passed]) {
        let living = passed.iter().filter(|passed| passed.life == Life::Alive);
        self.0.extend(living.map(|passed| (passed.namespace.id, passed.namespace.clone())));
    }

    /// Whether this namespace is among them.
    fn has(&self, id: NamespaceId, unique_id: Option<u64>) -> bool {
        self.0.get(&id).is_some_and(|hidden| hidden.unique_id == unique_id)
    }

    /// Adds them to what the next look is compared with.
    fn carry_over(&mut self, snapshot: &mut Arc<Snapshot>) {
        self.0.retain(|id, _| !snapshot.namespaces.contains_key(id));
        if self.0.is_empty() {
            return;
        }
        Arc::make_mut(snapshot).namespaces.extend(self.0.iter().map(|(&id, namespace)| (id, namespace.clone())));
    }
}

/// Leaves out the holders of namespaces that have a process or task, before and after: as long as these are there no
/// holder decides anything, and programs that look at namespaces have each open for a moment.
fn only_deciding(namespaces: &mut Vec<NamespaceChanges<'_>>) {
    for told in &mut *namespaces {
        let has_tasks = |side: Option<&Namespace>| side.is_some_and(|namespace| !namespace.is_without_tasks());
        if has_tasks(told.old) && has_tasks(told.new) {
            told.changes.retain(|change| !matches!(change, Change::HolderCame(_) | Change::HolderWent(_)));
        }
    }
    namespaces.retain(|told| !told.changes.is_empty());
}

/// Leaves only what is told of these namespaces; what went or vanished is none of them any more: nothing more can be found
/// out about it, and another one with its number is another one.
fn follow(watched: &mut BTreeSet<NamespaceId>, namespaces: &mut Vec<NamespaceChanges<'_>>) {
    namespaces.retain(|told| {
        let id = told.namespace().id;
        let is_told = watched.contains(&id);
        if told.changes.iter().any(|change| matches!(change, Change::Went | Change::Vanished)) {
            watched.remove(&id);
        }
        is_told
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{BUSY, LEFT, LOOSE, snapshot};
    use lxkns_model::{Holder, Pid, Tid};

    #[test]
    fn what_lives_unseen_is_told_once_and_when_it_is_visible_again() {
        let (with, mut without) = (snapshot(), snapshot());
        without.namespaces.remove(&LEFT);
        let mut hidden = Hidden::default();
        let mut look = |old: &Snapshot, new: &Snapshot, life| {
            let mut found = changes(old, new).unwrap();
            found.settle(|_| life);
            hidden.follow(&mut found.namespaces);
            let mut next = Arc::new(new.clone());
            hidden.carry_over(&mut next);
            let first = |told: &NamespaceChanges<'_>| format!("{:?}", told.changes[0]);
            (found.namespaces.iter().map(first).collect::<Vec<_>>(), next)
        };
        let (told, next) = look(&with, &without, Life::Alive);
        assert_eq!(told, ["Hidden"]);
        let (told, next) = look(&next, &without, Life::Alive);
        assert!(told.is_empty(), "{told:?}");
        let (told, next) = look(&next, &with, Life::Alive);
        assert_eq!(told, ["Seen"]);
        let (told, next) = look(&next, &without, Life::Alive);
        assert_eq!(told, ["Hidden"]);
        let (told, next) = look(&next, &without, Life::Ended);
        assert_eq!(told, ["Went"]);
        assert!(!next.namespaces.contains_key(&LEFT));
        assert!(look(&next, &without, Life::Ended).0.is_empty());
    }

    #[test]
    fn what_went_is_followed_no_further() {
        let (old, mut new) = (snapshot(), snapshot());
        // Another namespace has its number.
        new.namespaces.get_mut(&LEFT).unwrap().unique_id = Some(7);
        new.namespaces.remove(&BUSY);
        let mut watched = BTreeSet::from([LEFT]);
        let mut found = changes(&old, &new).unwrap().namespaces;
        assert_eq!(found.len(), 3);
        follow(&mut watched, &mut found);
        let told: Vec<_> = found.iter().map(|told| (told.namespace().id, told.changes.as_slice())).collect();
        assert_eq!(told, [(LEFT, &[Change::Went][..])]);
        assert!(watched.is_empty());
    }

    #[test]
    fn holders_that_decide_nothing_are_left_out() {
        let mut old = snapshot();
        old.host.boot_id = Some("boot".into());
        let mut new = old.clone();
        for ns in [BUSY, LOOSE, LEFT] {
            let holders = &mut new.namespaces.get_mut(&ns).unwrap().holders;
            holders.push(Holder::Fd { pid: Pid(200), tid: Tid(200), fd: 20 });
            holders.sort();
        }
        let told = |watcher: Watcher<Recorded>| {
            let mut watcher = watcher;
            watcher.events().unwrap().iter().map(|event| event.namespace.nsid).collect::<Vec<_>>()
        };
        let watch = || watcher(vec![old.clone(), new.clone()]);
        assert_eq!(told(watch()), [LEFT.ino]);
        assert_eq!(told(watch().with_all_holders()).len(), 3);
    }

    /// A host whose snapshots are these, and whose namespaces all live.
    struct Recorded(std::vec::IntoIter<Snapshot>);

    impl Scan for Recorded {
        type Error = &'static str;

        fn scan(&mut self) -> Result<Arc<Snapshot>, Self::Error> {
            self.0.next().map(Arc::new).ok_or("no more")
        }

        fn life(&mut self, _namespace: &Namespace) -> Life {
            Life::Alive
        }
    }

    fn watcher(snapshots: Vec<Snapshot>) -> Watcher<Recorded> {
        Watcher::new(Recorded(snapshots.into_iter())).unwrap()
    }

    #[test]
    fn a_watcher_compares_each_scan_with_the_one_before() {
        let (with, mut without) = (snapshot(), snapshot());
        without.namespaces.remove(&LEFT);
        let mut watcher = watcher(vec![with.clone(), without.clone(), without, with]);
        let mut kinds = || watcher.events().map(|told| told.iter().map(|event| event.change).collect::<Vec<_>>());
        assert_eq!(kinds().unwrap(), ["hidden"]);
        assert_eq!(kinds().unwrap(), [""; 0]);
        assert_eq!(kinds().unwrap()[0], "seen");
        assert!(matches!(kinds(), Err(WatchError::Scan("no more"))));
    }

    #[test]
    fn another_boot_is_not_compared_and_not_kept() {
        let mut first = snapshot();
        first.host.boot_id = Some("boot".into());
        let mut other = first.clone();
        other.host.boot_id = Some("other".into());
        let mut watcher = watcher(vec![first.clone(), other, first]);
        assert!(matches!(watcher.events(), Err(WatchError::DifferentBoots(_))));
        assert_eq!(watcher.events().unwrap(), []);
    }

    #[test]
    fn only_what_was_asked_for_is_watched() {
        let (old, mut new) = (snapshot(), snapshot());
        // Other namespaces have their numbers.
        for id in [LEFT, BUSY] {
            new.namespaces.get_mut(&id).unwrap().unique_id = Some(7);
        }
        let look = |watcher: Watcher<Recorded>| {
            let mut watcher = watcher;
            let told: Vec<_> =
                watcher.events().unwrap().iter().map(|event| (event.namespace.nsid, event.change)).collect();
            (told, watcher.is_done())
        };
        let watch = || watcher(vec![old.clone(), new.clone()]);
        let (told, is_done) = look(watch().only(BTreeSet::from([LEFT])));
        assert_eq!(told, [(LEFT.ino, "went")]);
        assert!(is_done);
        let (told, is_done) = look(watch().of_types(&[NamespaceType::Uts]));
        assert!(told.is_empty() && !is_done, "{told:?}");
        let (told, _) = look(watch());
        assert!(told.contains(&(LEFT.ino, "appeared")) && told.contains(&(BUSY.ino, "appeared")), "{told:?}");
    }
}
