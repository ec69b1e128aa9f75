//! Scans that are shared: one at a time, and whoever asks while it runs gets it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use lxkns_core::Snapshot;
use tracing::{info, warn};

use super::wake::Wake;

/// A finished scan.
#[derive(Debug)]
pub(crate) struct Scan {
    /// 1 for the first.
    pub(crate) number: u64,
    /// What it found.
    pub(crate) snapshot: Arc<Snapshot>,
    /// When it began.
    pub(crate) began: Instant,
    /// How long it took.
    pub(crate) took: Duration,
    /// The same, by the clock.
    pub(crate) began_at: SystemTime,
}

/// Why there is no scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoScan {
    /// It failed.
    Failed(String),
    /// It takes too long.
    TimedOut(Duration),
}

/// Scans that clients have made take one part in so many of the time at most.
const PARTS: u32 = 4;

/// How long those who watch whether the service is well wait for a scan that may take this long. They give up after seconds.
fn for_who_watches(timeout: Duration) -> Duration {
    (timeout / 8).max(Duration::from_secs(2))
}

/// How long scans took, as a histogram: the upper bounds of its buckets in seconds.
pub(crate) const BUCKETS: [f64; 10] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Figures of all scans.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figures {
    /// How many took no longer than each of [`BUCKETS`], and not less than the one before.
    pub(crate) counts: [u64; BUCKETS.len()],
    /// How many ended with a snapshot.
    pub(crate) done: u64,
    /// How long these took together, in seconds.
    pub(crate) seconds: f64,
    /// How many failed.
    pub(crate) failed: u64,
    /// How many were given up.
    pub(crate) timed_out: u64,
}

/// The one scan that runs, and the last that has ended.
pub(crate) struct Scans {
    state: Mutex<State>,
    changed: Condvar,
    cancel: &'static AtomicBool,
    timeout: Duration,
    /// How old a scan must be before clients can have another made.
    min_age: Duration,
    /// Told of each scan that has ended.
    wake: Arc<Wake>,
}

#[derive(Default)]
struct State {
    last: Option<Arc<Scan>>,
    running: Option<Instant>,
    wanted: bool,
    /// How many have ended, in whatever way.
    ended: u64,
    failure: Option<NoScan>,
    /// When the last one that failed has ended.
    failed: Option<Instant>,
    figures: Figures,
}

impl Scans {
    /// `cancel` ends a scan that is given up; `wake` is told of each that has ended. Clients can have a scan made when the last
    /// one is of this age.
    pub(crate) fn new(timeout: Duration, min_age: Duration, cancel: &'static AtomicBool, wake: Arc<Wake>) -> Self {
        Self { state: Mutex::default(), changed: Condvar::new(), cancel, timeout, min_age, wake }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A scan that began at most so long ago, or no longer ago than clients must take; or the one that runs, whenever it began;
    /// or else a new one.
    ///
    /// # Errors
    ///
    /// It failed, or takes too long.
    pub(crate) fn get(&self, max_age: Duration) -> Result<Arc<Scan>, NoScan> {
        self.get_within(max_age, self.timeout)
    }

    fn get_within(&self, max_age: Duration, patience: Duration) -> Result<Arc<Scan>, NoScan> {
        let is_enough = |scan: &Scan| scan.began.elapsed() <= max_age.max(self.least_age(scan));
        let state = self.state();
        let has_just_failed = state.failed.is_some_and(|failed| failed.elapsed() < self.min_age);
        if let Some(failure) = state.failure.clone().filter(|_| has_just_failed && state.running.is_none())
            && !state.last.as_deref().is_some_and(is_enough)
        {
            return Err(failure);
        }
        drop(state);
        self.wait(None, patience, is_enough)
    }

    /// The same for those who watch whether the service is well. They do not wait for a scan that takes long: they get the
    /// last one, as long as the one that runs may still end in time.
    ///
    /// # Errors
    ///
    /// It failed or takes too long, or the first has not ended yet.
    pub(crate) fn get_soon(&self, max_age: Duration) -> Result<Arc<Scan>, NoScan> {
        let patience = for_who_watches(self.timeout).min(self.timeout);
        let late = match self.get_within(max_age, patience) {
            Err(late @ NoScan::TimedOut(_)) => late,
            got => return got,
        };
        let state = self.state();
        let may_end = state.running.is_none_or(|began| began.elapsed() <= self.timeout);
        state.last.clone().filter(|_| may_end && state.failure.is_none()).ok_or(late)
    }

    /// How old a scan must be before clients can have another made: a client that never takes an old one must not keep a core
    /// busy.
    fn least_age(&self, scan: &Scan) -> Duration {
        if self.min_age.is_zero() { Duration::ZERO } else { self.min_age.max(scan.took * PARTS) }
    }

    /// A scan that began then or later.
    ///
    /// # Errors
    ///
    /// It failed, or takes too long.
    pub(crate) fn since(&self, then: Instant) -> Result<Arc<Scan>, NoScan> {
        self.wait(Some(then), self.timeout, |scan| scan.began >= then)
    }

    /// The last scan if it is good enough; or the next that ends, if it did not begin before `then`, or else the one after.
    /// Each may take so long.
    fn wait(
        &self,
        then: Option<Instant>,
        patience: Duration,
        is_enough: impl Fn(&Scan) -> bool,
    ) -> Result<Arc<Scan>, NoScan> {
        let mut state = self.state();
        let is_late = then.is_some_and(|then| state.running.is_some_and(|began| began < then));
        let ends: u32 = if is_late { 2 } else { 1 };
        let end = Instant::now() + patience * ends;
        if let Some(last) = state.last.as_ref().filter(|last| is_enough(last)) {
            return Ok(Arc::clone(last));
        }
        let before = state.ended;
        state.wanted |= state.running.is_none() || is_late;
        self.changed.notify_all();
        while state.ended - before < u64::from(ends) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(NoScan::TimedOut(patience));
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        match (&state.failure, &state.last) {
            (None, Some(last)) => Ok(Arc::clone(last)),
            (failure, _) => Err(failure.clone().unwrap_or(NoScan::TimedOut(self.timeout))),
        }
    }

    /// The last scan, however old.
    pub(crate) fn last(&self) -> Option<Arc<Scan>> {
        self.state().last.clone()
    }

    /// Figures of all scans.
    pub(crate) fn figures(&self) -> Figures {
        self.state().figures
    }

    /// Scans whenever that is wanted, for ever.
    pub(crate) fn run(&self, scan: impl Fn() -> Result<Snapshot, String>) {
        let mut state = self.state();
        loop {
            while !state.wanted {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            state.wanted = false;
            let (began, began_at) = (Instant::now(), SystemTime::now());
            state.running = Some(began);
            self.cancel.store(false, Ordering::Relaxed);
            drop(state);
            let scanned = scan();
            let took = began.elapsed();
            state = self.state();
            state.running = None;
            state.ended += 1;
            let was_given_up = self.cancel.load(Ordering::Relaxed);
            match scanned {
                Ok(snapshot) => {
                    (state.failure, state.failed) = (None, None);
                    state.figures.note(took);
                    let number = state.figures.done;
                    let snapshot = Arc::new(snapshot);
                    state.last = Some(Arc::new(Scan { number, snapshot, began, took, began_at }));
                    if number == 1 {
                        info!(process = "reader", seconds = took.as_secs_f64(), "first scan");
                    }
                }
                Err(_) if was_given_up => {
                    (state.failure, state.failed) = (Some(NoScan::TimedOut(self.timeout)), Some(Instant::now()));
                    state.figures.timed_out += 1;
                    warn!(process = "reader", seconds = took.as_secs_f64(), "scan given up");
                }
                Err(why) => {
                    warn!(process = "reader", %why, "scan failed");
                    (state.failure, state.failed) = (Some(NoScan::Failed(why)), Some(Instant::now()));
                    state.figures.failed += 1;
                }
            }
            self.changed.notify_all();
            self.wake.signal();
        }
    }

    /// Has a scan end that takes too long; says why if it does not do so. Called now and then.
    pub(crate) fn stuck(&self) -> Option<String> {
        let running = self.state().running?.elapsed();
        if running > self.timeout {
            self.cancel.store(true, Ordering::Relaxed);
        }
        (running > self.timeout * 2).then(|| format!("a scan has not ended within {} s", running.as_secs()))
    }
}

impl Figures {
    fn note(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        self.done += 1;
        self.seconds += seconds;
        if let Some(at) = BUCKETS.iter().position(|bound| seconds <= *bound) {
            self.counts[at] += 1;
        }
    }
}
