//! A bucket that fills with time: how often something may happen.

use std::time::{Duration, Instant};

/// What is in it. Time is that of a clock that nobody sets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Bucket {
    /// A full one.
    pub(super) fn full(burst: u32) -> Self {
        Self { tokens: burst.into(), at: Instant::now() }
    }

    /// What is in it now: one more after each interval, and no more than there is room for.
    fn fill(&mut self, now: Instant, interval: Duration, burst: u32) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + passed / interval.as_secs_f64()).min(burst.into());
        self.at = self.at.max(now);
    }

    /// Takes one, if there is one.
    pub(super) fn take(&mut self, now: Instant, interval: Duration, burst: u32) -> bool {
        self.fill(now, interval, burst);
        let is_there = self.tokens >= 1.0;
        if is_there {
            self.tokens -= 1.0;
        }
        is_there
    }

    /// Puts one back.
    pub(super) fn put_back(&mut self) {
        self.tokens += 1.0;
    }

    /// Whether it is as good as new.
    pub(super) fn is_full(&mut self, now: Instant, interval: Duration, burst: u32) -> bool {
        self.fill(now, interval, burst);
        self.tokens >= f64::from(burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_more_comes_after_each_interval() {
        let interval = Duration::from_secs(2);
        let mut bucket = Bucket::full(2);
        let start = bucket.at;
        let at = |seconds| start + Duration::from_secs_f64(seconds);
        let mut take = |seconds| bucket.take(at(seconds), interval, 2);
        assert!(take(0.0) && take(0.0) && !take(0.0) && !take(1.9));
        assert!(take(2.1) && !take(2.2));
        // It holds no more than two, however long it waits; and does not empty when a time comes twice.
        assert!(take(100.0) && take(100.0) && !take(100.0) && !take(99.0));
        bucket.put_back();
        assert!(bucket.take(at(100.0), interval, 2));
        assert!(!bucket.is_full(at(103.0), interval, 2) && bucket.is_full(at(104.0), interval, 2));
    }
}
