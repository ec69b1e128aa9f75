//! Threads that wait in the kernel for a process whose memory is locked. They cannot be ended, so no further thread
//! reads that process while one waits.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::model::Pid;

/// A process, for as long as it lives: its PID and when it started.
pub(super) type Life = (Pid, u64);

/// The threads that scans of one session have left behind.
#[derive(Debug, Default)]
pub(super) struct LeftBehind(Mutex<Vec<(Life, JoinHandle<()>)>>);

impl LeftBehind {
    /// Leaves a thread behind that waits for this process.
    pub(super) fn leave(&self, process: Life, thread: JoinHandle<()>) {
        self.threads().push((process, thread));
    }

    /// Whether a thread still waits for this process.
    pub(super) fn waits_for(&self, process: Life) -> bool {
        let mut threads = self.threads();
        threads.retain(|(_, thread)| !thread.is_finished());
        threads.iter().any(|(waited_for, _)| *waited_for == process)
    }

    /// The process of each thread that still waits.
    pub(super) fn processes(&self) -> Vec<Pid> {
        let mut threads = self.threads();
        threads.retain(|(_, thread)| !thread.is_finished());
        threads.iter().map(|((pid, _), _)| *pid).collect()
    }

    fn threads(&self) -> MutexGuard<'_, Vec<(Life, JoinHandle<()>)>> {
        // Each change is a single step, so a panic leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn a_process_is_left_alone_while_a_thread_waits_for_it() {
        let (end, wait) = channel::<()>();
        let left = LeftBehind::default();
        left.leave((Pid(7), 100), std::thread::spawn(move || wait.recv().unwrap_or_default()));
        assert!(left.waits_for((Pid(7), 100)));
        assert!(!left.waits_for((Pid(7), 101)), "another process with its PID");
        assert!(!left.waits_for((Pid(8), 100)));
        drop(end);
        while !left.processes().is_empty() {
            std::thread::yield_now();
        }
        assert!(!left.waits_for((Pid(7), 100)));
    }
}
