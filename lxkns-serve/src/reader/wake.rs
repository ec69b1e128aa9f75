//! What wakes the thread that follows the host.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};

/// A descriptor that polls as readable when there is something to look at.
pub(crate) struct Wake(OwnedFd);

impl Wake {
    /// Nothing to look at yet.
    ///
    /// # Errors
    ///
    /// No descriptor is left.
    pub(crate) fn new() -> rustix::io::Result<Self> {
        eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map(Self)
    }

    /// There is something.
    pub(crate) fn signal(&self) {
        // Nothing adds up to the maximum.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    /// Forgets that there was.
    pub(crate) fn clear(&self) {
        // Where it was not readable there is nothing to forget.
        let _ = rustix::io::read(&self.0, &mut [0; 8]);
    }
}

impl AsFd for Wake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
