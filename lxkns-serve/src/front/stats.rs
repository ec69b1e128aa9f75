//! Figures of the front's own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::exposition::{Family, Kind};

/// The upper bounds of the buckets of durations, in seconds.
const BUCKETS: [f64; 9] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];

/// Why connections and requests are refused before they are looked at further.
const REASONS: [&str; 10] =
    ["busy", "certificate", "credentials", "followers", "host", "idle", "logins", "peer", "rate", "tls"];

/// Figures.
#[derive(Debug, Default)]
pub(super) struct Stats {
    requests: Mutex<FxHashMap<(&'static str, u16), u64>>,
    durations: Mutex<FxHashMap<&'static str, Durations>>,
    refused: [AtomicU64; REASONS.len()],
    /// Connections that are open.
    pub(super) connections: AtomicU64,
    /// Connections that were accepted.
    pub(super) accepted: AtomicU64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Durations {
    counts: [u64; BUCKETS.len()],
    count: u64,
    seconds: f64,
}

impl Stats {
    /// Counts a request to this route; all that lead nowhere are one.
    pub(super) fn note(&self, route: &'static str, status: u16, took: Duration) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        *requests.entry((route, status)).or_default() += 1;
        let mut durations = self.durations.lock().unwrap_or_else(PoisonError::into_inner);
        let durations = durations.entry(route).or_default();
        let seconds = took.as_secs_f64();
        durations.count += 1;
        durations.seconds += seconds;
        if let Some(at) = BUCKETS.iter().position(|bound| seconds <= *bound) {
            durations.counts[at] += 1;
        }
    }

    /// Counts what is refused, where this is such a reason.
    pub(super) fn refuse(&self, reason: &str) {
        if let Some(at) = REASONS.iter().position(|known| *known == reason) {
            self.refused[at].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// As metrics.
    pub(super) fn families(&self) -> Vec<Family> {
        let mut requests = Family::new(Kind::Counter, "lxkns_http_requests", "Requests, by route and status");
        let counted = self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut counted: Vec<_> = counted.into_iter().collect();
        counted.sort_unstable();
        for ((route, status), count) in counted {
            requests.push("", &[("route", route), ("status", &status.to_string())], count as f64);
        }
        let help = "How long it took until an answer began";
        let mut seconds = Family::new(Kind::Histogram, "lxkns_http_request_duration_seconds", help);
        let counted = self.durations.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut counted: Vec<_> = counted.into_iter().collect();
        counted.sort_unstable_by_key(|(route, _)| *route);
        for (route, durations) in counted {
            let buckets: Vec<_> = BUCKETS.into_iter().zip(durations.counts).collect();
            seconds.push_histogram(&[("route", route)], &buckets, durations.count, durations.seconds);
        }
        let value = |number: &AtomicU64| number.load(Ordering::Relaxed) as f64;
        let help = "Connections and requests that were refused, by reason";
        let mut refused = Family::new(Kind::Counter, "lxkns_http_refused", help);
        for (reason, count) in REASONS.iter().zip(&self.refused) {
            refused.push("", &[("reason", reason)], value(count));
        }
        vec![
            requests,
            refused,
            seconds,
            Family::new(Kind::Gauge, "lxkns_http_connections", "Open connections").with(&[], value(&self.connections)),
            Family::new(Kind::Counter, "lxkns_http_connections_accepted", "Connections that were accepted")
                .with(&[], value(&self.accepted)),
        ]
    }
}
