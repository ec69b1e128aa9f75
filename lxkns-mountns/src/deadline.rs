//! Deadlines.

use std::time::{Duration, Instant};

/// A point in time at which to give up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    pub(crate) fn after(wait: Duration) -> Self {
        /// Practically forever, and small enough for any sum.
        const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
        Self(Instant::now() + wait.min(LONGEST))
    }

    /// The time left.
    pub(crate) fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    pub(crate) fn end(self) -> Instant {
        self.0
    }
}
