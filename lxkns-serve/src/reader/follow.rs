//! The thread that compares each scan with the one before, and tells what differs.
//!
//! While clients follow, it scans too: when the kernel tells of tasks and mounts, else at an interval. While none does, it
//! takes the scans that are made for questions, and nothing else.

use std::cell::RefCell;
use std::os::fd::AsFd as _;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lxkns_answers::json;
use lxkns_answers::watch::{self, Look, Pace, WatchEvent, Watcher};
use lxkns_answers::{event_source, gaps};
use lxkns_core::model::{Namespace, NamespaceId};
use lxkns_core::relations::Life;
use lxkns_core::{EventOptions, Events, Snapshot, wire};
use lxkns_inside::Lives;
use lxkns_sys::Memory;
use rustix::event::{PollFd, PollFlags};
use serde_json::json;
use tracing::{info, warn};

use super::answers::Answers;
use super::feed::{Feed, News};
use super::host::Host;
use super::questions::home;
use super::scans::{Scan, Scans};
use super::states::States;
use super::wake::Wake;

/// The least time from the begin of one scan to that of the next.
const LEAST: Duration = Duration::from_millis(500);
/// Scans take one part of so many of the time at most, whatever happens on the host.
const PARTS: u32 = 10;
/// The same where nothing is known to happen: where the kernel would tell of it, and where it would not.
const IDLE_PARTS: u32 = 400;
const BLIND_PARTS: u32 = 50;

/// What follows the host.
pub(crate) struct Following {
    host: Arc<Host>,
    scans: Arc<Scans>,
    feed: Arc<Feed>,
    states: Arc<States>,
    wake: Arc<Wake>,
}

/// The scan that the watcher is given next.
struct Given {
    next: Rc<RefCell<Option<Arc<Snapshot>>>>,
    lives: Lives,
}

impl watch::Scan for Given {
    type Error = ();

    fn scan(&mut self) -> Result<Arc<Snapshot>, ()> {
        self.next.take().ok_or(())
    }

    fn life(&mut self, namespace: &Namespace) -> Life {
        self.lives.of(namespace)
    }

    fn mount_ns(&mut self, snapshot: &Snapshot) -> Option<NamespaceId> {
        home(snapshot)
    }
}

/// What there is while clients follow.
struct Active {
    since: Instant,
    events: Option<Events>,
    /// Whether a scan has begun since, so that clients can be told what they begin with.
    is_current: bool,
    has_failed: bool,
}

impl Active {
    fn begin() -> Self {
        // What it can and cannot tell of is said when the first scan is there.
        let events = lxkns_core::ProcRoot::host().ok();
        let events = events.and_then(|proc| Events::start(&proc, &EventOptions::default()).ok());
        Self { since: Instant::now(), events, is_current: false, has_failed: false }
    }

    fn has_source(&self) -> bool {
        self.events.as_ref().is_some_and(|events| events.source().is_some())
    }
}

impl Following {
    /// With what answers questions; `wake` says when there is something to look at.
    pub(crate) fn new(answers: &Answers, wake: Arc<Wake>) -> Self {
        let Answers { host, scans, feed, states, .. } = answers;
        let (host, scans) = (Arc::clone(host), Arc::clone(scans));
        Self { host, scans, feed: Arc::clone(feed), states: Arc::clone(states), wake }
    }

    /// Follows the host for ever.
    pub(crate) fn run(&self) {
        let next = Rc::default();
        let mut state = State {
            of: self,
            next: Rc::clone(&next),
            watcher: None,
            active: None,
            pace: self.pace(),
            seen: 0,
            noted: None,
        };
        let mut was_active = false;
        loop {
            let (is_followed, until) = self.feed.is_followed(Instant::now());
            if is_followed && state.active.is_none() {
                state.active = Some(Active::begin());
                state.pace = self.pace();
                state.pace.want(Instant::now());
                if was_active {
                    self.feed.tell([missed()]);
                }
                was_active = true;
            } else if !is_followed && state.active.take().is_some() {
                self.feed.set_current(None);
            }
            let due = state.active.as_ref().map(|_| state.pace.due());
            self.wait(due.into_iter().chain(until).min(), &mut state);
            if state.step() {
                // The snapshot before the last one was freed: many small blocks, between others that stay.
                Memory::returns_free_pages();
            }
        }
    }

    fn pace(&self) -> Pace {
        Pace::new(self.host.settings.interval).bounded(LEAST, PARTS)
    }

    /// Waits until there is something to do, or until then.
    fn wait(&self, until: Option<Instant>, state: &mut State<'_>) {
        let events = state.active.as_ref().and_then(|active| active.events.as_ref());
        let mut fds = vec![PollFd::from_borrowed_fd(self.wake.as_fd(), PollFlags::IN)];
        fds.extend(events.map(|events| PollFd::new(events, PollFlags::IN)));
        // Where the kernel has no memory to wait, it looks at what there is.
        let _ = lxkns_sys::poll_until(&mut fds, until);
        self.wake.clear();
    }
}

/// What was seen until now.
struct State<'a> {
    of: &'a Following,
    next: Rc<RefCell<Option<Arc<Snapshot>>>>,
    watcher: Option<Watcher<Given>>,
    active: Option<Active>,
    pace: Pace,
    /// The number of the last scan that was looked at.
    seen: u64,
    /// When something last happened that a scan would show.
    noted: Option<Instant>,
}

impl State<'_> {
    /// Whether it has looked at a scan.
    fn step(&mut self) -> bool {
        self.note();
        let newest = self.of.scans.last().filter(|scan| scan.number > self.seen);
        if let Some(scan) = newest {
            self.look(&scan);
            return true;
        }
        let now = Instant::now();
        if self.active.is_none() || self.pace.due() > now {
            return false;
        }
        match self.of.scans.since(now) {
            Ok(scan) => {
                self.look(&scan);
                true
            }
            Err(_) => {
                let Some(active) = &mut self.active else { return false };
                self.pace.scanned(now, now.elapsed());
                self.pace.want(now);
                if !std::mem::replace(&mut active.has_failed, true) {
                    let data = json!({ "text": "the host could not be read; trying again" });
                    self.of.feed.tell([News { kind: "failed", ns_type: None, data: data.to_string().into_bytes() }]);
                }
                false
            }
        }
    }

    /// Notes what the kernel has told.
    fn note(&mut self) {
        let Some(active) = &mut self.active else { return };
        let Some(events) = &active.events else { return };
        let batch = events.take();
        let now = Instant::now();
        let is_due = self.watcher.as_mut().is_some_and(|watcher| watcher.note(&batch.tasks, batch.lost));
        if is_due || batch.mounts_changed {
            self.noted = Some(now);
            self.pace.want(now);
        }
        if let Some(refusal) = batch.failed {
            let source = &refusal.source;
            warn!(process = "reader", %source, operation = %refusal.operation, "no more task events");
            active.events = None;
        }
    }

    /// Compares a scan with the one before, and tells what differs.
    fn look(&mut self, scan: &Scan) {
        self.seen = scan.number;
        self.next.replace(Some(Arc::clone(&scan.snapshot)));
        let feed = &*self.of.feed;
        let mut is_same = false;
        match &mut self.watcher {
            None => {
                let given = Given { next: Rc::clone(&self.next), lives: Lives::default() };
                self.watcher = Watcher::new(given).ok();
            }
            Some(watcher) => match watcher.look() {
                Ok(look) => {
                    is_same = look.is_empty();
                    feed.count_lost(
                        look.lost.counted + u64::from(look.lost.more && look.lost.counted == 0),
                        look.lost.unread,
                    );
                    feed.tell(news(&look));
                }
                // The host that it was restored from is another one.
                Err(_) => self.watcher = None,
            },
        }
        if let Some(watcher) = &mut self.watcher {
            watcher.rest();
        }
        let compared = Instant::now();
        // Before clients hear of it: they ask what differs from the one that they have.
        if (self.active.is_some() || self.of.states.is_due())
            && let Err(error) = self.of.states.keep(scan)
        {
            warn!(process = "reader", %error, "state not kept");
        }
        let Some(active) = &mut self.active else { return };
        let is_begun = scan.began >= active.since;
        if is_begun {
            let data = state(scan, feed).to_string();
            if active.is_current && !is_same || std::mem::take(&mut active.has_failed) {
                feed.tell([News { kind: "state", ns_type: None, data: data.clone().into_bytes() }]);
            }
            if !std::mem::replace(&mut active.is_current, true) {
                say_source(active, &scan.snapshot);
            }
            feed.set_current(Some(data));
        }
        let parts = if active.has_source() { IDLE_PARTS } else { BLIND_PARTS };
        // What it takes to keep it is a part of the cost.
        let took = scan.took + compared.elapsed();
        self.pace.set_interval(self.of.host.settings.interval.max(took * parts));
        self.pace.scanned(scan.began, took);
        let has_new = self.watch_mounts(&scan.snapshot);
        let is_due = self.watcher.as_ref().is_some_and(Watcher::is_due);
        // What came after the scan began, or before there was one, takes another.
        if has_new || is_due || !is_begun || self.noted.is_some_and(|noted| noted > scan.began) {
            self.pace.want(Instant::now());
        }
    }

    /// Has changes of the mounts in all mount namespaces reported, where the kernel does that. Whether one of them is new.
    fn watch_mounts(&mut self, snapshot: &Snapshot) -> bool {
        let Some(events) = self.active.as_mut().and_then(|active| active.events.as_mut()) else { return false };
        let opener = self.of.host.session.opener(snapshot);
        events.watch_mounts(snapshot, |id| opener.open(id).ok()) && events.source().is_some()
    }
}

/// Says in the log where events come from.
fn say_source(active: &Active, snapshot: &Snapshot) {
    let Some(events) = &active.events else { return };
    match event_source::shortcoming(events.source(), events.refusals(), gaps::held(snapshot)) {
        Some(why) => info!(process = "reader", "{why}"),
        None => info!(process = "reader", source = events.source().map(tracing::field::display), "following events"),
    }
}

/// What a look tells.
fn news(look: &Look<'_>) -> Vec<News> {
    let of = |event: WatchEvent| {
        let (kind, ns_type) = match &event {
            WatchEvent::Change(change) => (change.change, change.namespace.ns_type.parse().ok()),
            WatchEvent::Lost(lost) => (lost.change, None),
        };
        let mut data = Vec::new();
        json::write_line(&event, &mut data).ok()?;
        Some(News { kind, ns_type, data })
    };
    look.all_events().into_iter().filter_map(of).collect()
}

/// That nobody followed for a while.
fn missed() -> News {
    let text = "no client followed for a while: what appeared and ended meanwhile can be missing";
    let data = json!({ "change": "lost", "events": null, "unread": 0, "text": text });
    News { kind: "lost", ns_type: None, data: data.to_string().into_bytes() }
}

/// A state, as it is told.
fn state(scan: &Scan, feed: &Feed) -> serde_json::Value {
    json!({ "state": feed.state_id(scan.number), "time": wire::time_text(scan.snapshot.taken_at) })
}
