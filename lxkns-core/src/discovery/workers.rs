//! Distributes work over threads.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::found::Found;
use super::search::Search;

/// More workers than this only wait for each other inside the kernel.
const MOST_WORKERS: usize = 8;

impl Search<'_> {
    /// Calls `work` for each of `items` on several threads, in any order.
    pub(super) fn for_each<T: Sync>(&self, items: &[T], work: impl Fn(&mut Found, &T) + Sync) -> Found {
        let mut parts = share_out(items, work).into_iter();
        let mut found: Found = parts.next().unwrap_or_default();
        parts.for_each(|part| found.merge(part));
        found
    }
}

/// How many CPUs the caller may run on. The standard library also reads the limits of the control groups that the caller is
/// in, fifteen calls and more each time.
fn cpus() -> usize {
    // With more CPUs than a set has room for, the kernel says `EINVAL`.
    let allowed = rustix::thread::sched_getaffinity(None).map(|cpus| cpus.count() as usize);
    allowed.unwrap_or_else(|_| std::thread::available_parallelism().map_or(1, NonZeroUsize::get))
}

/// Calls `work` for each of `items` on several threads, in any order, and returns one result for each thread.
pub(super) fn share_out<T: Sync, Part: Default + Send>(items: &[T], work: impl Fn(&mut Part, &T) + Sync) -> Vec<Part> {
    let workers = cpus().min(MOST_WORKERS);
    // Small enough to balance the load at the end, large enough to touch the cursor seldom.
    let step = (items.len() / (workers * 8)).clamp(1, 16);
    let cursor = AtomicUsize::new(0);
    let worker = || {
        let mut part = Part::default();
        loop {
            let from = cursor.fetch_add(step, Ordering::Relaxed);
            let Some(rest) = items.get(from..).filter(|rest| !rest.is_empty()) else {
                return part;
            };
            for item in rest.iter().take(step) {
                work(&mut part, item);
            }
        }
    };
    let workers = workers.min(items.len().div_ceil(step));
    std::thread::scope(|scope| {
        // If no further thread can be started, the existing ones do all the work.
        let others: Vec<_> = (1..workers)
            .map_while(|_| std::thread::Builder::new().name("lxkns".into()).spawn_scoped(scope, worker).ok())
            .collect();
        let mut parts = vec![worker()];
        for other in others {
            match other.join() {
                Ok(part) => parts.push(part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        parts
    })
}
