//! What task events say beyond scans: when a scan is due, and which namespaces came and went without one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime};

use lxkns_model::relations::Life;
use lxkns_model::{
    Holder, LostEvents, Namespace, NamespaceId, NamespaceLinks, NamespaceType, Pid, Process, SeenNamespace, Snapshot,
    TaskEvent, TaskEventKind, Tid, wire,
};
use serde::Serialize;

use crate::events::Event;
use crate::forms::{NamespaceForm, ProcessForm};
use crate::names;
use crate::text::escape::printable;
use crate::whose::WhoseForm;

/// How many namespaces are kept between two scans at most that no scan has seen. What comes then counts as lost.
const MOST: usize = 4096;
/// How many scans more are taken where something that ends is still there: a task tells of its end before it gives up its
/// namespaces, and the kernel takes some down later.
const AGAIN: u8 = 5;

/// A namespace that a task was in, and that the scan which came next did not show.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Passed {
    /// As much of it as is known.
    pub namespace: Namespace,
    /// The task that was seen in it first.
    pub pid: Pid,
    /// Its name, where it is known.
    pub comm: Option<Vec<u8>>,
    /// When that was.
    pub first: SystemTime,
    /// When a task was seen in it last.
    pub last: SystemTime,
    /// Whether it still lives.
    pub life: Life,
}

impl Passed {
    /// It appeared, and then went or is not visible: two events.
    pub(crate) fn events(&self, snapshot: &Snapshot) -> [Event; 2] {
        let process = ProcessForm {
            pid: self.pid.0,
            tid: None,
            fd: None,
            command: self.comm.as_deref().map(names::lossy),
            whose: WhoseForm::default(),
        };
        let mut namespace = NamespaceForm::of(snapshot, &self.namespace, None);
        // Another one can have its number by now. Who was the topmost process in it is not known.
        (namespace.leaders, namespace.netns_name, namespace.whose) = (None, None, WhoseForm::default());
        let gone = match self.life {
            Life::Ended => "went",
            Life::Alive => "hidden",
            Life::Unknown => "vanished",
        };
        [("appeared", self.first), (gone, self.last)].map(|(change, time)| Event {
            time: wire::time_text(time),
            process: Some(process.clone()),
            ..Event::new(change, namespace.clone())
        })
    }

    /// What happened to it, in words, with the sign of it.
    pub fn line(&self) -> (char, String) {
        let (sign, gone) = match self.life {
            Life::Ended => ('-', "appeared and ended"),
            Life::Alive => ('?', "appeared; not visible, but alive"),
            Life::Unknown => ('?', "appeared; no longer visible"),
        };
        let comm = self.comm.as_deref().map(|comm| format!(" ({})", printable(comm))).unwrap_or_default();
        let id = self.namespace.unique_id.map(|id| format!(" (ID {id})")).unwrap_or_default();
        (sign, format!("{id} {gone}; process {}{comm} was in it", self.pid.0))
    }
}

/// That task events are missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct LostForm {
    /// When the scan began that came next: RFC 3339, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// `lost`.
    pub change: &'static str,
    /// How many were lost at least; `null` where that is not known.
    #[serde(rename = "lost-events")]
    pub events: Option<u64>,
    /// How many were of tasks that ended before their namespaces could be read.
    pub unread: u64,
    /// That in words.
    pub text: String,
}

impl LostForm {
    /// `None` where none is missing.
    pub(crate) fn of(lost: &LostEvents, time: Option<String>) -> Option<Self> {
        let events = (lost.counted > 0 || !lost.more).then_some(lost.counted);
        let plural = |count: u64| if count == 1 { "" } else { "s" };
        let mut parts = Vec::new();
        match (lost.counted, lost.more) {
            (0, false) => {}
            (0, true) => parts.push("task events were lost".to_owned()),
            (count, more) => {
                let (were, at_least) = (if count == 1 { "was" } else { "were" }, if more { "at least " } else { "" });
                parts.push(format!("{at_least}{count} task event{} {were} lost", plural(count)));
            }
        }
        if lost.unread > 0 {
            let count = lost.unread;
            let of = format!("{count} task event{} came too late to read the task's namespaces", plural(count));
            parts.push(of);
        }
        let what = (!parts.is_empty()).then(|| parts.join(", "))?;
        let text = format!("{what}: what appeared and ended meanwhile can be missing");
        Some(Self { time, change: "lost", events, unread: lost.unread, text })
    }
}

/// A line of `watch`: a change, or that events are missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum WatchEvent {
    /// A change of a namespace.
    Change(Box<Event>),
    /// Task events are missing.
    Lost(LostForm),
}

/// A namespace that no scan has seen yet.
#[derive(Debug)]
struct Pending {
    pid: Pid,
    comm: Option<Vec<u8>>,
    first: SystemTime,
    last: SystemTime,
    /// How many scans have not shown it although it lived: it can have come while they ran, or be just ending.
    missed: u8,
}

/// The tasks of a snapshot on which something depends.
#[derive(Debug)]
struct Deciding {
    pids: BTreeSet<Pid>,
    tids: BTreeSet<Tid>,
    device: Option<u64>,
}

impl Deciding {
    fn of(snapshot: &Snapshot, filter: Filter<'_>) -> Self {
        let device = snapshot.namespaces.keys().next().map(|id| id.dev);
        let mut deciding = Self { pids: BTreeSet::new(), tids: BTreeSet::new(), device };
        for namespace in snapshot.namespaces.values().filter(|namespace| filter.has_one(namespace)) {
            deciding.pids.extend(&namespace.leaders);
            deciding.tids.extend(&namespace.loose_threads);
            if filter.all_holders || namespace.is_without_tasks() {
                deciding.pids.extend(namespace.holders.iter().filter_map(Holder::pid));
            }
        }
        deciding
    }
}

/// What events have said since the last scan.
#[derive(Debug, Default)]
pub(crate) struct Noted {
    pending: BTreeMap<SeenNamespace, Pending>,
    /// What was said to be no longer visible, and may live: it is not said again.
    told: BTreeSet<SeenNamespace>,
    deciding: Option<Deciding>,
    /// The tasks that end, and after how many scans they were still there.
    ending: BTreeMap<(Pid, Tid), u8>,
    /// How many scans more are taken because a namespace that is not visible can be just ending.
    again: u8,
    lost: LostEvents,
    is_due: bool,
}

impl Noted {
    /// Whether the last events make a difference that a scan would show.
    pub(crate) fn is_due(&self) -> bool {
        self.is_due
    }

    pub(crate) fn lose(&mut self, lost: LostEvents) {
        // What could not be read of one task says nothing of others.
        self.is_due |= lost.counted > 0 || lost.more;
        self.lost.add(lost);
    }

    /// Notes what a task did. `is_hidden`: whether a namespace is known that is not visible.
    pub(crate) fn note(
        &mut self,
        event: &TaskEvent,
        snapshot: &Snapshot,
        filter: Filter<'_>,
        is_hidden: impl Fn(NamespaceId, Option<u64>) -> bool,
    ) {
        let deciding = self.deciding.get_or_insert_with(|| Deciding::of(snapshot, filter));
        if event.kind == TaskEventKind::Exit {
            // Where the thread group leader has ended before, each task can be the last one.
            let is_led = |process: &Process| process.living_task().tid == Tid::from(process.pid);
            let has_leader = || snapshot.processes.get(&event.pid).is_none_or(is_led);
            let is_last = deciding.pids.contains(&event.pid) && (event.pid.0 == event.tid.0 || !has_leader());
            if is_last || deciding.tids.contains(&event.tid) {
                self.is_due = true;
                self.ending.insert((event.pid, event.tid), 0);
            }
        }
        let Some(dev) = deciding.device else { return };
        for seen in event.namespaces().filter(|seen| filter.has(seen.ns_type)) {
            let id = NamespaceId { dev, ino: seen.ino };
            if let Some(namespace) = find(snapshot, id, seen) {
                // The first task that comes to it, or one that was elsewhere.
                let is_in = event.namespace(seen.ns_type) == Some(seen);
                if is_in && !self.is_due {
                    self.is_due = namespace.is_without_tasks() || has_moved(snapshot, event, namespace);
                }
                continue;
            }
            if filter.watched.is_some() || is_hidden(id, seen.unique_id) || self.told.contains(&seen) {
                continue;
            }
            if let Some(pending) = self.pending.get_mut(&seen) {
                pending.last = event.time;
            } else if self.pending.len() < MOST {
                let comm = event.comm().map(<[u8]>::to_vec);
                let (first, last) = (event.time, event.time);
                self.pending.insert(seen, Pending { pid: event.pid, comm, first, last, missed: 0 });
            } else {
                (self.lost.counted, self.lost.more) = (self.lost.counted + 1, true);
            }
            self.is_due = true;
        }
    }

    /// A scan begins: what was noted until now is compared with it.
    pub(crate) fn begin(&mut self) {
        (self.is_due, self.deciding) = (false, None);
    }

    /// What a scan has not shown of all that was noted before it; and what is missing. `is_hidden`: whether it has found
    /// namespaces that live and are no longer visible.
    pub(crate) fn settle(
        &mut self,
        snapshot: &Snapshot,
        is_hidden: bool,
        mut life: impl FnMut(&Namespace) -> Life,
    ) -> (Vec<Passed>, LostEvents) {
        self.ending.retain(|(pid, tid), scans| {
            *scans += 1;
            *scans <= AGAIN && has_namespaces(snapshot, *pid, *tid)
        });
        self.again = if is_hidden { AGAIN } else { self.again.saturating_sub(1) };
        self.is_due |= self.again > 0 || !self.ending.is_empty();
        let mut passed = Vec::new();
        let dev = snapshot.namespaces.keys().next().map_or(0, |id| id.dev);
        for (seen, mut pending) in std::mem::take(&mut self.pending) {
            let id = NamespaceId { dev, ino: seen.ino };
            if find(snapshot, id, seen).is_some() {
                continue;
            }
            let mut namespace = Namespace::new(id, seen.ns_type);
            namespace.unique_id = seen.unique_id;
            let life = life(&namespace);
            if life == Life::Alive && pending.missed < AGAIN {
                pending.missed += 1;
                self.pending.insert(seen, pending);
                self.is_due = true;
                continue;
            }
            if life == Life::Unknown {
                if self.told.len() >= MOST {
                    self.told.clear();
                }
                self.told.insert(seen);
            }
            let Pending { pid, comm, first, last, .. } = pending;
            passed.push(Passed { namespace, pid, comm, first, last, life });
        }
        (passed, std::mem::take(&mut self.lost))
    }
}

/// Which namespaces are watched.
#[derive(Clone, Copy)]
pub(crate) struct Filter<'a> {
    pub(crate) types: &'a [NamespaceType],
    /// Those that were named, so not what appears.
    pub(crate) watched: Option<&'a BTreeSet<NamespaceId>>,
    pub(crate) all_holders: bool,
}

impl Filter<'_> {
    fn has(self, ns_type: NamespaceType) -> bool {
        self.types.is_empty() || self.types.contains(&ns_type)
    }

    fn has_one(self, namespace: &Namespace) -> bool {
        self.has(namespace.ns_type) && self.watched.is_none_or(|watched| watched.contains(&namespace.id))
    }
}

/// The namespace of a snapshot that an event has seen. Where either does not know the unique ID, the number decides.
fn find(snapshot: &Snapshot, id: NamespaceId, seen: SeenNamespace) -> Option<&Namespace> {
    let namespace = snapshot.namespaces.get(&id)?;
    let is_other = namespace.unique_id.zip(seen.unique_id).is_some_and(|(one, other)| one != other);
    (namespace.ns_type == seen.ns_type && !is_other).then_some(namespace)
}

/// Whether a task has not given up its namespaces yet, as the last thing that it does.
fn has_namespaces(snapshot: &Snapshot, pid: Pid, tid: Tid) -> bool {
    let Some(process) = snapshot.processes.get(&pid) else { return false };
    process.tasks.iter().any(|task| task.tid == tid && task.namespaces.get(NamespaceType::Mnt).is_some())
}

/// Whether the task of an event was in another namespace of this type.
fn has_moved(snapshot: &Snapshot, event: &TaskEvent, now: &Namespace) -> bool {
    let was_elsewhere = |before: NamespaceLinks| before.get(now.ns_type).is_some_and(|before| before != now.id);
    snapshot.processes.get(&event.pid).is_some_and(|process| {
        let of_task = || process.tasks.iter().find(|task| task.tid == event.tid).map(|task| task.namespaces);
        was_elsewhere(process.namespaces) && of_task().is_none_or(was_elsewhere)
    })
}

/// When to scan, where events say that something has changed: soon, but many events together are one reason, and scans take
/// a fifth of the time at most, whatever happens on the host.
///
/// ```
/// use std::time::{Duration, Instant};
///
/// use lxkns_answers::watch::Pace;
///
/// let now = Instant::now();
/// let mut pace = Pace::new(Duration::from_secs(10));
/// pace.scanned(now, Duration::from_millis(100));
/// assert_eq!(pace.due(), now + Duration::from_secs(10));
/// pace.want(now);
/// assert_eq!(pace.due(), now + Duration::from_millis(500));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    interval: Duration,
    least: Duration,
    parts: u32,
    began: Instant,
    took: Duration,
    wanted: Option<Instant>,
}

impl Pace {
    /// How long it takes until the rest of what happens together has happened.
    const SETTLES: Duration = Duration::from_millis(20);
    /// The least time between the begins of two scans.
    const LEAST: Duration = Duration::from_millis(200);
    /// A scan is one part of so many of the time.
    const PARTS: u32 = 5;

    /// Scans at this interval where nothing is known to have changed.
    pub fn new(interval: Duration) -> Self {
        let (least, parts) = (Self::LEAST, Self::PARTS);
        Self { interval, least, parts, began: Instant::now(), took: Duration::ZERO, wanted: None }
    }

    /// Takes at least this time from the begin of one scan to that of the next, and scans for one part of so many of the time
    /// at most.
    #[must_use]
    pub fn bounded(mut self, least: Duration, parts: u32) -> Self {
        (self.least, self.parts) = (least, parts);
        self
    }

    /// Scans at another interval from now on.
    pub fn set_interval(&mut self, interval: Duration) {
        self.interval = interval;
    }

    /// Something has changed.
    pub fn want(&mut self, now: Instant) {
        self.wanted.get_or_insert(now);
    }

    /// A scan began then and took so long.
    pub fn scanned(&mut self, began: Instant, took: Duration) {
        (self.began, self.took, self.wanted) = (began, took, None);
    }

    /// When the next scan is due.
    pub fn due(&self) -> Instant {
        let far = self.began + Duration::from_secs(1 << 30);
        let at_last = self.began.checked_add(self.interval).unwrap_or(far);
        let least = self.least.max(self.took.saturating_mul(self.parts));
        let soon = self.wanted.map(|wanted| (wanted + Self::SETTLES).max(self.began + least));
        soon.map_or(at_last, |soon| soon.min(at_last))
    }
}

#[cfg(test)]
#[path = "noted_tests.rs"]
mod tests;
