//! What is told as it happens: a bounded history of events, and the clients that follow it.
//!
//! A client has a place in the history and takes from it; nothing is queued for it. One that falls behind what is kept is
//! dropped, so neither a slow client nor a slow front is ever waited for.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lxkns_core::model::NamespaceType;
use serde_json::json;

use super::problem::Problem;
use super::wake::Wake;
use crate::protocol::{CHUNK, Question};

/// The most events that are kept.
const MOST_EVENTS: usize = 16_384;
/// The most clients.
const MOST_FOLLOWERS: usize = 128;
/// How long the host is followed after the last client has left, so that one that comes back misses nothing.
const LINGER: Duration = Duration::from_secs(60);

/// The events.
pub(crate) struct Feed {
    /// A number that another start of the reader does not have.
    epoch: u32,
    most_bytes: usize,
    state: Mutex<State>,
    changed: Condvar,
    wake: Arc<Wake>,
}

#[derive(Default)]
struct State {
    /// What is kept, the oldest first.
    told: VecDeque<Arc<Told>>,
    /// The number of the first of these. The first of all is 1.
    first: u64,
    bytes: usize,
    /// The state that is being followed from; `None` while nobody does, or before the first scan.
    current: Option<String>,
    followers: usize,
    /// When the last client left.
    left: Option<Instant>,
    figures: EventFigures,
    /// Counts whatever a client can be waiting for.
    version: u64,
}

impl State {
    /// The number of the next event.
    fn end(&self) -> u64 {
        self.first + self.told.len() as u64
    }
}

/// What is told once.
struct Told {
    ns_type: Option<NamespaceType>,
    /// The event, as clients get it.
    text: Vec<u8>,
}

/// An event that has no number yet.
pub(crate) struct News {
    /// What kind of event it is.
    pub(crate) kind: &'static str,
    /// The type of the namespace that it is about.
    pub(crate) ns_type: Option<NamespaceType>,
    /// One line of JSON.
    pub(crate) data: Vec<u8>,
}

/// Figures of all events since the reader was started.
#[derive(Clone, Debug, Default)]
pub(crate) struct EventFigures {
    /// How many were told, by kind.
    pub(crate) told: BTreeMap<&'static str, u64>,
    /// How many task events the kernel had no room for.
    pub(crate) lost: u64,
    /// How many task events came too late to read the namespaces of their tasks.
    pub(crate) unread: u64,
    /// How many clients there are.
    pub(crate) followers: usize,
    /// How many were dropped because they fell behind.
    pub(crate) outrun: u64,
}

/// A client.
pub(crate) struct Follower {
    feed: Arc<Feed>,
    types: Vec<NamespaceType>,
    /// Why what it missed cannot be told, until it knows.
    resync: Option<Gone>,
    /// The number of the next event; `None` before it has begun.
    next: Option<u64>,
    /// Whether it is still to be told the state that there is.
    greets: bool,
    /// An event of which it has a part.
    rest: Option<(Arc<Told>, usize)>,
    /// Whether the front waits for a piece.
    pub(crate) is_wanting: bool,
}

/// What there is for a client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Nothing yet.
    Nothing,
    /// This.
    Some(Vec<u8>),
    /// It has fallen behind.
    Outrun,
}

/// Why what a client missed cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gone {
    Restarted,
    History,
    Unknown,
}

impl Gone {
    fn frame(self) -> Vec<u8> {
        let (why, text) = match self {
            Self::Restarted => ("restarted", "the service was restarted since"),
            Self::History => ("history", "too much has happened since: the history is bounded"),
            Self::Unknown => ("unknown", "no such event is known"),
        };
        frame(None, "resync", json!({ "why": why, "text": text }).to_string().as_bytes())
    }
}

/// An event as clients get it.
fn frame(id: Option<(u32, u64)>, kind: &str, data: &[u8]) -> Vec<u8> {
    let mut text = id.map(|(epoch, number)| format!("id: {epoch:08x}-{number}\n")).unwrap_or_default().into_bytes();
    text.extend_from_slice(format!("event: {kind}\ndata: ").as_bytes());
    text.extend_from_slice(data.trim_ascii_end());
    text.extend_from_slice(b"\n\n");
    text
}

impl Feed {
    /// Keeps at most so many bytes. `wake` is told when clients come.
    pub(crate) fn new(epoch: u32, most_bytes: usize, wake: Arc<Wake>) -> Self {
        let state = State { first: 1, ..State::default() };
        Self { epoch, most_bytes, state: Mutex::new(state), changed: Condvar::new(), wake }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client, by what it asks: what it has heard last (`since`), and which types it wants.
    ///
    /// # Errors
    ///
    /// It asks for something else, or there are too many.
    pub(crate) fn follow(self: &Arc<Self>, question: &Question) -> Result<Follower, Problem> {
        question.takes(&["since", "type"])?;
        let types = question.types()?;
        let mut state = self.state();
        if state.followers >= MOST_FOLLOWERS {
            return Err(Problem::busy());
        }
        state.followers += 1;
        let since = question.value("since").map(|id| self.after(&state, id)).transpose();
        let (next, resync) = match since {
            Ok(next) => (next, None),
            Err(gone) => (None, Some(gone)),
        };
        drop(state);
        self.wake.signal();
        let feed = Arc::clone(self);
        Ok(Follower { feed, types, resync, next, greets: true, rest: None, is_wanting: false })
    }

    /// The number of the event after the one with this ID.
    fn after(&self, state: &State, id: &str) -> Result<u64, Gone> {
        let (epoch, number) = id.split_once('-').ok_or(Gone::Unknown)?;
        let epoch = u32::from_str_radix(epoch, 16).map_err(|_| Gone::Unknown)?;
        let number: u64 = number.parse().map_err(|_| Gone::Unknown)?;
        match number.checked_add(1) {
            _ if epoch != self.epoch => Err(Gone::Restarted),
            Some(next) if next < state.first => Err(Gone::History),
            Some(next) if next <= state.end() => Ok(next),
            _ => Err(Gone::Unknown),
        }
    }

    /// The number that another start of the reader does not have.
    pub(crate) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// What a state is called.
    pub(crate) fn state_id(&self, number: u64) -> String {
        format!("{:08x}.{number}", self.epoch)
    }

    /// Whether the host is to be followed: whether a client is there, or was until a moment ago; and when that moment is over.
    pub(crate) fn is_followed(&self, now: Instant) -> (bool, Option<Instant>) {
        let state = self.state();
        let end = state.left.filter(|_| state.followers == 0).map(|left| left + LINGER);
        (state.followers > 0 || end.is_some_and(|end| end > now), end.filter(|end| *end > now))
    }

    /// Tells these events.
    pub(crate) fn tell(&self, news: impl IntoIterator<Item = News>) {
        let mut state = self.state();
        for News { kind, ns_type, data } in news {
            let text = frame(Some((self.epoch, state.end())), kind, &data);
            *state.figures.told.entry(kind).or_default() += 1;
            state.bytes += text.len();
            state.told.push_back(Arc::new(Told { ns_type, text }));
        }
        while state.bytes > self.most_bytes || state.told.len() > MOST_EVENTS {
            let Some(oldest) = state.told.pop_front() else { break };
            state.bytes -= oldest.text.len();
            state.first += 1;
        }
        self.touch(state);
    }

    /// What the events until now lead to; `None` where the host is not followed any more.
    pub(crate) fn set_current(&self, current: Option<String>) {
        let mut state = self.state();
        state.current = current;
        self.touch(state);
    }

    /// Counts task events that are missing.
    pub(crate) fn count_lost(&self, lost: u64, unread: u64) {
        let mut state = self.state();
        state.figures.lost += lost;
        state.figures.unread += unread;
    }

    /// Figures of all events.
    pub(crate) fn figures(&self) -> EventFigures {
        let state = self.state();
        EventFigures { followers: state.followers, ..state.figures.clone() }
    }

    /// Wakes those who wait.
    pub(crate) fn touch_all(&self) {
        self.touch(self.state());
    }

    fn touch(&self, mut state: MutexGuard<'_, State>) {
        state.version += 1;
        drop(state);
        self.changed.notify_all();
    }

    /// Waits until there can be something new since this version, and returns that of now.
    pub(crate) fn wait(&self, seen: u64) -> u64 {
        let state = self.state();
        let waited = self.changed.wait_while(state, |state| state.version == seen);
        waited.unwrap_or_else(PoisonError::into_inner).version
    }
}

impl Follower {
    /// What there is for the client, one piece at most.
    pub(crate) fn take(&mut self) -> Piece {
        if let Some((told, at)) = self.rest.take() {
            return Piece::Some(self.part(told, at));
        }
        let feed = Arc::clone(&self.feed);
        let mut state = feed.state();
        let mut text = self.resync.take().map(Gone::frame).unwrap_or_default();
        let next = match (self.next, &state.current) {
            (Some(next), _) => next,
            (None, Some(_)) => state.end(),
            (None, None) => return some(text),
        };
        if next < state.first {
            state.figures.outrun += 1;
            return Piece::Outrun;
        }
        let end = state.end();
        let mut at = next;
        let skipped = usize::try_from(next - state.first).unwrap_or(usize::MAX);
        for told in state.told.iter().skip(skipped) {
            let is_wanted = told.ns_type.is_none_or(|of| self.types.is_empty() || self.types.contains(&of));
            if is_wanted && text.len() + told.text.len() > CHUNK {
                if text.is_empty() {
                    self.next = Some(at + 1);
                    let told = Arc::clone(told);
                    drop(state);
                    return Piece::Some(self.part(told, 0));
                }
                break;
            }
            at += 1;
            if is_wanted {
                text.extend_from_slice(&told.text);
            }
        }
        self.next = Some(at);
        if let Some(current) = state.current.as_ref().filter(|_| self.greets && at == end) {
            let greeting = frame(Some((feed.epoch, at - 1)), "state", current.as_bytes());
            if text.len() + greeting.len() <= CHUNK {
                text.extend_from_slice(&greeting);
                self.greets = false;
            }
        }
        some(text)
    }

    /// A part of an event that is longer than a piece.
    fn part(&mut self, told: Arc<Told>, from: usize) -> Vec<u8> {
        let to = told.text.len().min(from + CHUNK);
        let part = told.text[from..to].to_vec();
        self.rest = (to < told.text.len()).then_some((told, to));
        part
    }
}

fn some(text: Vec<u8>) -> Piece {
    if text.is_empty() { Piece::Nothing } else { Piece::Some(text) }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let mut state = self.feed.state();
        state.followers -= 1;
        state.left = Some(Instant::now());
        drop(state);
        self.feed.wake.signal();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Kind;

    fn feed(most_bytes: usize) -> Arc<Feed> {
        Arc::new(Feed::new(0xab, most_bytes, Arc::new(Wake::new().unwrap())))
    }

    fn follow(feed: &Arc<Feed>, parameters: &[(&str, &str)]) -> Follower {
        let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        feed.follow(&Question { kind: Kind::Events, parameters }).unwrap()
    }

    fn news(ns_type: NamespaceType, data: &str) -> News {
        News { kind: "appeared", ns_type: Some(ns_type), data: data.as_bytes().to_vec() }
    }

    fn text(follower: &mut Follower) -> String {
        match follower.take() {
            Piece::Some(bytes) => String::from_utf8(bytes).unwrap(),
            Piece::Nothing => String::new(),
            Piece::Outrun => "outrun".to_owned(),
        }
    }

    #[test]
    fn a_client_that_comes_back_misses_nothing() {
        let feed = feed(10_000);
        feed.tell([news(NamespaceType::Net, "\"before\"")]);
        let mut client = follow(&feed, &[]);
        assert_eq!(text(&mut client), "", "which state it begins with is not known yet");
        feed.tell([news(NamespaceType::Net, "\"while it began\"")]);
        feed.set_current(Some("{}".to_owned()));
        assert_eq!(text(&mut client), "id: 000000ab-2\nevent: state\ndata: {}\n\n");
        assert_eq!(text(&mut client), "");
        feed.tell([news(NamespaceType::Net, "1\n"), news(NamespaceType::Pid, "2\n")]);
        let both = "id: 000000ab-3\nevent: appeared\ndata: 1\n\nid: 000000ab-4\nevent: appeared\ndata: 2\n\n";
        assert_eq!(text(&mut client), both);
        drop(client);
        feed.tell([news(NamespaceType::Net, "3\n")]);
        let mut client = follow(&feed, &[("since", "000000ab-3"), ("type", "pid")]);
        assert_eq!(
            text(&mut client),
            "id: 000000ab-4\nevent: appeared\ndata: 2\n\nid: 000000ab-5\nevent: state\ndata: {}\n\n"
        );
        assert!(feed.is_followed(Instant::now()).0);
        drop(client);
        assert!(feed.is_followed(Instant::now()).0, "for a while");
        assert!(!feed.is_followed(Instant::now() + 2 * LINGER).0);
        assert_eq!(feed.figures().told["appeared"], 5);
    }

    #[test]
    fn what_cannot_be_told_is_said() {
        let feed = feed(100);
        feed.tell((0..10).map(|_| news(NamespaceType::Net, "1")));
        feed.set_current(Some("{}".to_owned()));
        for (since, why) in [
            ("000000ab-1", "history"),
            ("000000ac-10", "restarted"),
            ("000000ab-11", "unknown"),
            ("000000ab-18446744073709551615", "unknown"),
            ("nonsense", "unknown"),
            ("", "unknown"),
        ] {
            let told = text(&mut follow(&feed, &[("since", since)]));
            assert!(told.starts_with("event: resync\ndata: {\"text\":"), "{since}: {told}");
            assert!(told.contains(&format!("\"why\":\"{why}\"}}\n\n")), "{since}: {told}");
            assert!(told.ends_with("id: 000000ab-10\nevent: state\ndata: {}\n\n"), "{since}: {told}");
        }
        assert!(text(&mut follow(&feed, &[("since", "000000ab-10")])).starts_with("id: 000000ab-10\nevent: state\n"));
    }

    #[test]
    fn a_client_that_falls_behind_is_dropped() {
        let feed = feed(200);
        feed.set_current(Some("{}".to_owned()));
        let mut slow = follow(&feed, &[]);
        text(&mut slow);
        feed.tell((0..20).map(|_| news(NamespaceType::Net, "1")));
        assert_eq!(text(&mut slow), "outrun");
        assert_eq!(feed.figures().outrun, 1);
    }

    #[test]
    fn a_long_event_comes_in_parts() {
        let feed = feed(CHUNK * 8);
        feed.set_current(Some("{}".to_owned()));
        let mut client = follow(&feed, &[]);
        text(&mut client);
        let long = "x".repeat(CHUNK * 3);
        feed.tell([news(NamespaceType::Net, "1"), news(NamespaceType::Net, &long), news(NamespaceType::Net, "2")]);
        let mut all = String::new();
        loop {
            match text(&mut client) {
                piece if piece.is_empty() => break,
                piece => {
                    assert!(piece.len() <= CHUNK);
                    all += &piece;
                }
            }
        }
        assert_eq!(all.matches("event: appeared").count(), 3);
        assert!(all.contains(&format!("data: {long}\n\n")));
    }

    #[test]
    fn there_are_no_more_clients_than_there_is_room_for() {
        let feed = feed(100);
        let question = Question::plain(Kind::Events);
        let all: Vec<_> = (0..MOST_FOLLOWERS).map(|_| feed.follow(&question).unwrap()).collect();
        assert!(feed.follow(&question).is_err());
        drop(all);
        assert!(feed.follow(&question).is_ok());
    }
}
