//! The threads that find answers: which of them has not come to an end with one. The kernel can keep a thread for ever, and
//! nothing ends it but the kernel.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::exposition::{Family, Kind};

/// How many threads find answers, beside those for who watches.
pub(super) const WORKERS: usize = 4;
/// All of them.
const ALL: usize = WORKERS + 2;

/// All of them: the last two are for metrics, and for whether the service is ready.
pub(crate) struct Workers {
    /// Since when each has been at an answer.
    since: Mutex<[Option<Instant>; ALL]>,
    /// How long it may take.
    patience: Duration,
}

impl Workers {
    /// Each may be so long at an answer.
    pub(super) fn new(patience: Duration) -> Self {
        Self { since: Mutex::default(), patience }
    }

    fn since(&self) -> MutexGuard<'_, [Option<Instant>; ALL]> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One begins an answer, and has it when this ends.
    pub(super) fn at<T>(&self, number: usize, find: impl FnOnce() -> T) -> T {
        self.since()[number] = Some(Instant::now());
        let found = find();
        self.since()[number] = None;
        found
    }

    fn are_stuck(&self) -> [bool; ALL] {
        self.since().map(|since| since.is_some_and(|since| since.elapsed() > self.patience))
    }

    /// How many do not come to an end.
    pub(super) fn stuck(&self) -> usize {
        self.are_stuck().iter().filter(|is_stuck| **is_stuck).count()
    }

    /// That in words, where it is any.
    pub(super) fn words(&self) -> Option<String> {
        let (stuck, all) = (self.stuck(), ALL);
        let seconds = self.patience.as_secs_f64();
        (stuck > 0).then(|| format!("{stuck} of {all} threads that find answers have not ended within {seconds} s"))
    }

    /// Why something is not answered any more, if so: no thread is left for questions, for metrics, or for whether the
    /// service is ready.
    pub(super) fn give_up(&self) -> Option<String> {
        let [questions @ .., measures, probes] = self.are_stuck();
        self.words().filter(|_| measures || probes || questions.iter().all(|is_stuck| *is_stuck))
    }

    /// As a metric.
    pub(super) fn metric(&self) -> Family {
        let help = "Threads that find answers and have not ended in time";
        Family::new(Kind::Gauge, "lxkns_reader_workers_stuck", help).with(&[], self.stuck() as f64)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::sync::{Arc, Mutex as StdMutex};

    use super::*;

    /// Has one begin an answer that ends when something is sent.
    fn hang(workers: &Arc<Workers>, number: usize) -> (Sender<()>, std::thread::JoinHandle<()>) {
        let ((ends, end), (begins, begun)): ((_, Receiver<()>), _) = (channel(), channel());
        let (workers, end) = (Arc::clone(workers), StdMutex::new(end));
        let thread = std::thread::spawn(move || {
            workers.at(number, || {
                begins.send(()).unwrap();
                let _ = end.lock().unwrap().recv();
            });
        });
        begun.recv().unwrap();
        (ends, thread)
    }

    #[test]
    fn who_does_not_come_to_an_end_is_counted() {
        let workers = Arc::new(Workers::new(Duration::ZERO));
        assert_eq!((workers.stuck(), workers.words(), workers.give_up()), (0, None, None));
        let mut hung: Vec<_> = (0..WORKERS - 1).map(|number| hang(&workers, number)).collect();
        assert_eq!(workers.stuck(), 3);
        assert!(workers.words().unwrap().starts_with("3 of 6 threads"));
        assert_eq!(workers.give_up(), None, "one is left");
        hung.push(hang(&workers, WORKERS - 1));
        assert!(workers.give_up().unwrap().starts_with("4 of 6 threads"));
        for (ends, thread) in hung {
            drop(ends);
            thread.join().unwrap();
        }
        assert_eq!((workers.stuck(), workers.give_up()), (0, None));
        for number in [WORKERS, WORKERS + 1] {
            let (ends, thread) = hang(&workers, number);
            assert!(workers.give_up().is_some(), "nobody is left for who watches");
            drop(ends);
            thread.join().unwrap();
        }
    }

    #[test]
    fn who_is_at_work_is_not_stuck() {
        let workers = Arc::new(Workers::new(Duration::from_secs(3600)));
        let (ends, thread) = hang(&workers, 0);
        assert_eq!((workers.stuck(), workers.give_up()), (0, None));
        drop(ends);
        thread.join().unwrap();
    }
}
