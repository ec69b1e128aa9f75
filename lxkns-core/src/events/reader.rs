//! The thread that takes events from the kernel.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::source::{self, Source};
use super::{EventBatch, Shared, mounts, refusal};
use crate::model::Operation;

/// How long after some events those that come next are read. The kernel's buffers have room for ten times as many as a busy
/// host makes meanwhile.
const TOGETHER: Duration = Duration::from_millis(5);

/// What the thread reads.
pub(super) struct Reader {
    pub(super) source: Option<Source>,
    pub(super) own_mounts: Option<OwnedFd>,
    pub(super) of_others: Option<Arc<OwnedFd>>,
    pub(super) shared: Arc<Shared>,
}

impl Reader {
    /// Reads until it is told to stop.
    pub(super) fn run(mut self) {
        loop {
            let mut batch = EventBatch::default();
            let Some([of_source, own, others]) = self.wait() else { return };
            if of_source && let Some(source) = &mut self.source {
                let kind = source.kind();
                if let Err(errno) = source.take(&mut batch) {
                    batch.failed = Some(refusal(kind, Operation::read("events"), errno.into()));
                    batch.lost.more = true;
                    self.source = None;
                }
            }
            batch.mounts_changed = own || others;
            if let Some(group) = self.of_others.as_ref().filter(|_| others) {
                mounts::drain(group);
            }
            // However much happens on the host, this thread and whoever waits for it are woken no more often. What a process
            // is in has to be read at once where the source does not tell.
            let is_patient =
                batch.tasks.len() < source::AT_ONCE && !matches!(self.source, Some(Source::Connector { .. }));
            self.shared.add(batch);
            if is_patient && self.is_to_stop_within(TOGETHER) {
                return;
            }
        }
    }

    /// Waits; whether it is to stop.
    fn is_to_stop_within(&self, patience: Duration) -> bool {
        let mut stop = [PollFd::new(&self.shared.stop, PollFlags::IN)];
        lxkns_sys::poll_until(&mut stop, Some(Instant::now() + patience)).unwrap_or_default()
    }

    /// Waits for something to read: from the source, the own list of mounts, those of others. `None`: it is to stop.
    fn wait(&mut self) -> Option<[bool; 3]> {
        let mut fds = vec![PollFd::new(&self.shared.stop, PollFlags::IN)];
        let source = self.source.as_ref().map(|source| PollFd::new(source, PollFlags::IN));
        let own = self.own_mounts.as_ref().map(|own| PollFd::new(own, PollFlags::PRI));
        let others = self.of_others.as_ref().map(|others| PollFd::new(&**others, PollFlags::IN));
        let has = [source.is_some(), own.is_some(), others.is_some()];
        fds.extend(source.into_iter().chain(own).chain(others));
        lxkns_sys::poll_until(&mut fds, None).ok()?;
        let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
        if ready.next() == Some(true) {
            return None;
        }
        Some(has.map(|has| has && ready.next() == Some(true)))
    }
}
