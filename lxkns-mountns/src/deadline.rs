//! Deadlines.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

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

    /// Waits until the descriptor is readable or writable; false at the deadline.
    pub(crate) fn wait_for(self, fd: &OwnedFd, events: PollFlags) -> Result<bool, Errno> {
        loop {
            let left = self.left();
            let limit = Timespec { tv_sec: left.as_secs() as _, tv_nsec: left.subsec_nanos().into() };
            match poll(&mut [PollFd::from_borrowed_fd(fd.as_fd(), events)], Some(&limit)) {
                Ok(0) if self.left().is_zero() => return Ok(false),
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return Ok(true),
                Err(errno) => return Err(errno),
            }
        }
    }
}
