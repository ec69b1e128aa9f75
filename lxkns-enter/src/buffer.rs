//! A buffer for data that was read on one side and not yet written on the other.

use std::os::fd::AsFd;

use rustix::io::Errno;

pub(crate) struct Buffer {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Buffer {
    pub(crate) fn new() -> Self {
        Self { bytes: vec![0; 64 * 1024].into(), start: 0, end: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// The number of bytes in it.
    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }

    /// Reads, if everything read before has been written, and returns the number of bytes.
    pub(crate) fn fill(&mut self, from: impl AsFd) -> Result<usize, Errno> {
        let count = rustix::io::retry_on_intr(|| rustix::io::read(&from, &mut self.bytes[..]))?;
        (self.start, self.end) = (0, count);
        Ok(count)
    }

    /// Writes as much as possible without waiting, at most `limit` bytes.
    pub(crate) fn empty(&mut self, to: impl AsFd, limit: usize) -> Result<(), Errno> {
        let end = self.end.min(self.start.saturating_add(limit));
        match rustix::io::retry_on_intr(|| rustix::io::write(&to, &self.bytes[self.start..end])) {
            Ok(count) => self.start += count,
            Err(Errno::AGAIN) => {}
            Err(errno) => return Err(errno),
        }
        Ok(())
    }

    pub(crate) fn clear(&mut self) {
        self.start = self.end;
    }
}
