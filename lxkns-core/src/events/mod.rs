//! What tasks do, and what is mounted, as it happens.
//!
//! | file | has |
//! |---|---|
//! | `source.rs` | where task events come from: the kernel's tracepoints, or the process connector |
//! | `connector.rs` | the messages of the process connector |
//! | `mounts.rs` | changes of mounts |
//! | `reader.rs` | the thread that takes all of them |

mod connector;
mod mounts;
mod reader;
mod source;

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd};
use rustix::io::Errno;

use crate::failure::{Failure, errno_of};
use crate::model::{
    Cause, EventRefusal, EventSource, LostEvents, Namespace, NamespaceId, NamespaceType, Operation, Snapshot, TaskEvent,
};
use crate::procfs::ProcRoot;
#[cfg(any(test, feature = "_fuzz"))]
pub(crate) use connector::parse as parse_message;

/// What events are wanted.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EventOptions {
    /// Those of `unshare(2)` and `setns(2)` too, as they return. The kernel then does a little more for each system call of
    /// each process of the host.
    pub system_calls: bool,
    /// How many events wait for [`Events::take`] at most. What comes then is counted as lost.
    pub most_waiting: usize,
}

impl Default for EventOptions {
    /// Without system calls; 16,384 wait at most, which take 3 MiB.
    fn default() -> Self {
        Self { system_calls: false, most_waiting: 1 << 14 }
    }
}

/// What tasks of this host do, as it happens: they begin, execute programs, end. And that mounts have changed.
///
/// A thread takes the events from the kernel as they come, so none is lost while the caller does something else; they wait for
/// [`take`](Self::take), in bounded memory. What was lost is counted. The thread, and all that it has in the kernel, are gone
/// when this value is dropped or the process ends.
///
/// Its descriptor polls as readable while there is something to take, so any event loop can drive it.
///
/// ```
/// use std::time::{Duration, Instant};
///
/// use lxkns_core::{EventOptions, Events, ProcRoot};
///
/// let events = Events::start(&ProcRoot::host()?, &EventOptions::default())?;
/// if let Some(source) = events.source() {
///     events.wait(Some(Instant::now() + Duration::from_millis(10)));
///     println!("{} events by {source}", events.take().tasks.len());
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Events {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    source: Option<EventSource>,
    system_calls: bool,
    refusals: Vec<EventRefusal>,
    marks: mounts::Marks,
}

/// What has happened since this was asked last.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct EventBatch {
    /// What tasks did, in the order in which it was reported.
    pub tasks: Vec<TaskEvent>,
    /// What is missing.
    pub lost: LostEvents,
    /// Whether mounts have changed, in the caller's mount namespace or one that is [watched](Events::watch_mounts).
    pub mounts_changed: bool,
    /// Why there will be no more task events: the source has failed.
    pub failed: Option<EventRefusal>,
}

impl EventBatch {
    fn is_empty(&self) -> bool {
        self.tasks.is_empty() && self.lost.is_none() && !self.mounts_changed && self.failed.is_none()
    }
}

/// Why [`Events::wait`] has returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// There is something to take.
    Ready,
    /// The deadline has passed.
    TimedOut,
    /// [`Events::cancel`] was called.
    Cancelled,
}

/// What the thread and the caller share.
struct Shared {
    batch: Mutex<EventBatch>,
    /// Readable while the batch is not empty, or the wait was cancelled.
    ready: OwnedFd,
    /// Readable when the thread is to end.
    stop: OwnedFd,
    is_cancelled: AtomicBool,
    most_waiting: usize,
}

impl Shared {
    fn new(most_waiting: usize) -> Result<Self, Errno> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let (ready, stop) = (eventfd(0, flags)?, eventfd(0, flags)?);
        Ok(Self { batch: Mutex::default(), ready, stop, is_cancelled: AtomicBool::new(false), most_waiting })
    }

    fn lock(&self) -> MutexGuard<'_, EventBatch> {
        self.batch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is something to take. If not, it is forgotten that somebody was woken.
    fn has_some(&self) -> bool {
        let batch = self.lock();
        if batch.is_empty() {
            forget(&self.ready);
        }
        !batch.is_empty()
    }

    /// Adds to what the caller has not taken.
    fn add(&self, mut new: EventBatch) {
        if new.is_empty() {
            return;
        }
        let mut batch = self.lock();
        let was_empty = batch.is_empty();
        let left = self.most_waiting.saturating_sub(batch.tasks.len());
        let over = new.tasks.len().saturating_sub(left);
        new.tasks.truncate(left);
        new.lost.counted += over as u64;
        batch.tasks.append(&mut new.tasks);
        batch.lost.add(new.lost);
        batch.mounts_changed |= new.mounts_changed;
        batch.failed = batch.failed.take().or(new.failed);
        if was_empty {
            signal(&self.ready);
        }
    }
}

/// Makes an eventfd readable. It cannot fail: nothing adds up to its maximum.
fn signal(eventfd: &OwnedFd) {
    let _ = rustix::io::write(eventfd, &1_u64.to_ne_bytes());
}

/// Makes an eventfd unreadable. If it was not readable, there is nothing to read.
fn forget(eventfd: &OwnedFd) {
    let _ = rustix::io::read(eventfd, &mut [0; 8]);
}

impl Events {
    /// Begins to follow what happens: by BPF, else by the process connector; [`refusals`](Self::refusals) says why not better.
    /// If neither is there, there are changes of mounts at most.
    ///
    /// # Privileges
    ///
    /// By BPF: `CAP_BPF` and `CAP_PERFMON`, or `CAP_SYS_ADMIN`, in the initial user namespace. By the process connector:
    /// `CAP_NET_ADMIN`, in the initial user, PID and network namespaces, and ptrace read access to the processes
    /// (`ptrace(2)`). For other mount namespaces `CAP_SYS_ADMIN` in the user namespace that owns them.
    ///
    /// # Minimum kernel version
    ///
    /// BPF: 5.8. Mounts of other mount namespaces: 6.15. Unique IDs of namespaces: 6.18.
    ///
    /// # Errors
    ///
    /// Where the caller has too many descriptors open.
    pub fn start(proc: &ProcRoot, options: &EventOptions) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::new(options.most_waiting)?);
        let mut refusals = Vec::new();
        let source = source::open(proc, options, &mut refusals);
        let mut events = Self {
            shared: Arc::clone(&shared),
            thread: None,
            source: source.as_ref().map(source::Source::kind),
            system_calls: source.as_ref().is_some_and(source::Source::has_system_calls),
            refusals,
            marks: mounts::Marks::open(),
        };
        let own_mounts = mounts::own(proc);
        let of_others = events.marks.group();
        if source.is_some() || own_mounts.is_some() || of_others.is_some() {
            let reader = reader::Reader { source, own_mounts, of_others, shared };
            let thread = std::thread::Builder::new().name("lxkns-events".to_owned());
            match thread.spawn(move || reader.run()) {
                Ok(thread) => events.thread = Some(thread),
                Err(error) => {
                    let errno = Errno::from_io_error(&error).unwrap_or(Errno::AGAIN);
                    let refused = events.source.take();
                    events.refusals.extend(refused.map(|source| refusal(source, Operation::StartThread, errno.into())));
                    events.system_calls = false;
                }
            }
        }
        Ok(events)
    }

    /// Has changes of the mounts in all other mount namespaces of a snapshot reported too, where the kernel can do that. Each
    /// is opened with `open` once, for a moment, and is not kept alive. Returns whether a new one is among them: what changed
    /// there before is not reported.
    pub fn watch_mounts(&mut self, snapshot: &Snapshot, open: impl FnMut(NamespaceId) -> Option<OwnedFd>) -> bool {
        let is_other = |namespace: &&Namespace| {
            namespace.ns_type == NamespaceType::Mnt && Some(namespace.id) != snapshot.observer_mount_ns
        };
        self.marks.add(snapshot.namespaces.values().filter(is_other), open)
    }

    /// Where task events come from; `None` if there are none.
    pub fn source(&self) -> Option<EventSource> {
        self.source
    }

    /// Whether there are events of system calls.
    pub fn has_system_calls(&self) -> bool {
        self.system_calls
    }

    /// Why events do not come from a better source: each that was tried before [`source`](Self::source), or in vain.
    pub fn refusals(&self) -> &[EventRefusal] {
        &self.refusals
    }

    /// Takes what has happened since this was called last, without waiting.
    pub fn take(&self) -> EventBatch {
        let mut batch = self.shared.lock();
        forget(&self.shared.ready);
        std::mem::take(&mut *batch)
    }

    /// Waits until there is something to take, or [`cancel`](Self::cancel) is called, or the deadline has passed.
    pub fn wait(&self, deadline: Option<Instant>) -> Woken {
        let is_cancelled = || self.shared.is_cancelled.swap(false, Ordering::AcqRel);
        loop {
            if is_cancelled() {
                return Woken::Cancelled;
            }
            if self.shared.has_some() {
                return Woken::Ready;
            }
            // A cancellation before what was just forgotten is seen here, a later one ends the poll.
            if is_cancelled() {
                return Woken::Cancelled;
            }
            match lxkns_sys::poll_until(&mut [PollFd::new(&self.shared.ready, PollFlags::IN)], deadline) {
                Ok(true) => {}
                Ok(false) | Err(_) => return Woken::TimedOut,
            }
        }
    }

    /// Ends a [`wait`](Self::wait) of another thread, or the next one.
    pub fn cancel(&self) {
        self.shared.is_cancelled.store(true, Ordering::Release);
        signal(&self.shared.ready);
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.ready.as_fd()
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        signal(&self.shared.stop);
        if let Some(thread) = self.thread.take() {
            // It reads nothing that can block for ever.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("source", &self.source).field("refusals", &self.refusals).finish_non_exhaustive()
    }
}

/// Why a source cannot be used.
fn refusal(source: EventSource, operation: Operation, failure: Failure) -> EventRefusal {
    let cause = failure.cause().unwrap_or(Cause::Unsupported);
    EventRefusal { source, operation, cause, errno: failure.errno().and_then(errno_of) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_cancelled_wait_leaves_nothing_behind() {
        let events = Events {
            shared: Arc::new(Shared::new(1).unwrap()),
            thread: None,
            source: None,
            system_calls: false,
            refusals: Vec::new(),
            marks: mounts::Marks::open(),
        };
        let soon = || Some(Instant::now() + Duration::from_millis(1));
        for _ in 0..2 {
            events.cancel();
            assert_eq!(events.wait(None), Woken::Cancelled);
            assert_eq!(events.wait(soon()), Woken::TimedOut);
        }
        events.shared.add(EventBatch { mounts_changed: true, ..EventBatch::default() });
        assert_eq!([events.wait(soon()), events.wait(None)], [Woken::Ready; 2]);
        assert!(events.take().mounts_changed && !events.take().mounts_changed);
        assert_eq!(events.wait(soon()), Woken::TimedOut);
    }
}
