//! States of the past, as many as fit: each is a scan's snapshot as text, compressed.

use std::io::{self, BufReader, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use lxkns_core::Snapshot;
use lxkns_core::wire::{self, WriteOptions};

use super::scans::Scan;

/// The most states.
const MOST: usize = 256;
/// Where nobody follows, keeping states takes one part of so many of the time at most.
const PARTS: u32 = 20;
/// How hard they are compressed: the levels above take twice as long, for little.
const LEVEL: i32 = 3;

/// The states that are kept.
pub(crate) struct States {
    most_bytes: usize,
    command_lines: bool,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// The oldest first.
    list: Vec<Arc<Past>>,
    bytes: usize,
    /// When the last was kept, and how long that took.
    last: Option<(Instant, Duration)>,
}

/// A state.
pub(crate) struct Past {
    /// The number of its scan.
    pub(crate) number: u64,
    /// When the scan began.
    pub(crate) taken_at: SystemTime,
    /// The same, by a clock that is not set.
    began: Instant,
    /// How many processes and namespaces there were.
    pub(crate) processes: usize,
    pub(crate) namespaces: usize,
    text: Vec<u8>,
}

impl Past {
    fn of(scan: &Scan, command_lines: bool) -> io::Result<Self> {
        let mut options = WriteOptions::default();
        options.command_lines = command_lines;
        let mut text = zstd::Encoder::new(Vec::new(), LEVEL)?;
        let Scan { number, ref snapshot, began, .. } = *scan;
        wire::write(snapshot, &options, &mut text).map_err(io::Error::other)?;
        text.flush()?;
        let mut text = text.finish()?;
        text.shrink_to_fit();
        let (processes, namespaces) = (snapshot.processes.len(), snapshot.namespaces.len());
        Ok(Self { number, taken_at: snapshot.taken_at, began, processes, namespaces, text })
    }

    /// Its snapshot as text, as it is served.
    pub(crate) fn text(&self) -> io::Result<BufReader<zstd::Decoder<'_, &[u8]>>> {
        Ok(BufReader::new(zstd::Decoder::with_buffer(&self.text[..])?))
    }

    /// Its snapshot.
    pub(crate) fn snapshot(&self) -> io::Result<Snapshot> {
        wire::read(self.text()?).map_err(io::Error::other)
    }
}

impl States {
    /// Keeps at most so many bytes; with command lines only where they may be told.
    pub(crate) fn new(most_bytes: usize, command_lines: bool) -> Self {
        Self { most_bytes, command_lines, kept: Mutex::default() }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of them, the oldest first.
    pub(crate) fn list(&self) -> Vec<Arc<Past>> {
        self.kept().list.clone()
    }

    /// The state of this number.
    pub(crate) fn find(&self, number: u64) -> Option<Arc<Past>> {
        self.kept().list.iter().find(|past| past.number == number).cloned()
    }

    /// Whether it is time to keep one, where nobody is known to want it.
    pub(crate) fn is_due(&self) -> bool {
        self.kept().last.is_none_or(|(then, took)| then.elapsed() >= took * PARTS)
    }

    /// Keeps the state of a scan, if it is not there yet.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub(crate) fn keep(&self, scan: &Scan) -> io::Result<Arc<Past>> {
        if let Some(past) = self.find(scan.number) {
            return Ok(past);
        }
        let began = Instant::now();
        let past = Arc::new(Past::of(scan, self.command_lines)?);
        let mut kept = self.kept();
        kept.last = Some((Instant::now(), began.elapsed()));
        let at = kept.list.partition_point(|other| other.number < past.number);
        // Another thread may have been as quick.
        if kept.list.get(at).is_none_or(|other| other.number != past.number) {
            kept.bytes += past.text.len();
            kept.list.insert(at, Arc::clone(&past));
        }
        while kept.list.len() > MOST || kept.bytes > self.most_bytes {
            let Some(at) = superfluous(&kept.list, Instant::now()) else { break };
            let past = kept.list.remove(at);
            kept.bytes -= past.text.len();
        }
        Ok(past)
    }
}

/// The state that is missed least: whose neighbours are close to each other for their age. So there are many young ones,
/// and some from long ago.
fn superfluous(list: &[Arc<Past>], now: Instant) -> Option<usize> {
    let density = |at: usize| {
        let (before, after) = (list[at - 1].began, list[at + 1].began);
        let age = now.saturating_duration_since(list[at].began).as_secs_f64();
        after.saturating_duration_since(before).as_secs_f64() / (age + 1.0)
    };
    let inner = (1..list.len().saturating_sub(1)).min_by(|&one, &other| density(one).total_cmp(&density(other)));
    // The oldest and the newest are left.
    inner.or((!list.is_empty()).then_some(0))
}

#[cfg(test)]
mod tests {
    use lxkns_core::model::{DiscoveryOptions, Host, Namespace, NamespaceId, NamespaceType};

    use super::*;

    fn scan(number: u64, began: Instant) -> Scan {
        let mut snapshot = Snapshot::empty(DiscoveryOptions::namespaces(), Host::default(), SystemTime::UNIX_EPOCH);
        for ino in 0..100 {
            let id = NamespaceId { dev: 4, ino: number * 7919 + ino };
            snapshot.namespaces.insert(id, Namespace::new(id, NamespaceType::Net));
        }
        let (took, began_at) = (Duration::ZERO, SystemTime::UNIX_EPOCH);
        Scan { number, snapshot: Arc::new(snapshot), began, took, began_at }
    }

    #[test]
    fn a_state_is_what_it_was() {
        let states = States::new(1 << 20, true);
        let scan = scan(3, Instant::now());
        let past = states.keep(&scan).unwrap();
        assert_eq!(past.snapshot().unwrap(), *scan.snapshot);
        assert_eq!((past.processes, past.namespaces), (0, 100));
        assert!(states.find(3).is_some() && states.find(2).is_none());
        states.keep(&scan).unwrap();
        assert_eq!(states.list().len(), 1);
    }

    #[test]
    fn many_young_ones_and_some_old_ones_are_kept() {
        let states = States::new(usize::MAX, true);
        let begin = Instant::now();
        let count = MOST as u64 * 4;
        // One a second, until now.
        for number in 0..count {
            states.keep(&scan(number, begin - Duration::from_secs(count - number))).unwrap();
        }
        let numbers: Vec<u64> = states.list().iter().map(|past| past.number).collect();
        assert_eq!(numbers.len(), MOST);
        assert!(numbers.is_sorted() && numbers.ends_with(&[count - 3, count - 2, count - 1]), "{numbers:?}");
        assert_eq!(numbers[0], 0);
        let old = numbers.iter().filter(|&&number| number < count / 2).count();
        assert!((MOST / 16..MOST / 2).contains(&old), "{old} of {MOST}");
    }

    #[test]
    fn the_bytes_are_bounded() {
        let states = States::new(4000, true);
        for number in 0..50 {
            states.keep(&scan(number, Instant::now())).unwrap();
            let bytes: usize = states.list().iter().map(|past| past.text.len()).sum();
            assert!(bytes <= 4000 && states.kept().bytes == bytes, "{bytes}");
        }
        assert_eq!(states.list().last().unwrap().number, 49);
    }
}
