//! Calls that are made again: after a signal, and once a descriptor is ready.
//!
//! `EINTR` says that a signal handler ran before the call did anything. To make the call again is right wherever the
//! signal is not meant for the caller, as here, where signals that matter come as events from [`signalfd`](crate::signalfd).
//! It is wrong after `close(2)`, which has closed the descriptor, after `connect(2)` on a socket that blocks, which goes on
//! without the caller, and with a timeout that then starts anew, so these functions take a deadline.
//!
//! `EAGAIN` says that the descriptor is not ready, or that another reader was faster: it has to be waited for. A loop
//! without a wait keeps a CPU busy.
//!
//! For a call without a deadline there is [`rustix::io::retry_on_intr`].

use std::os::fd::AsFd;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::SendFlags;

use crate::Errno;

/// Waits until there is an event at one of the descriptors, and returns whether there is: `false` at the deadline. Without
/// one it waits as long as it takes.
///
/// # Errors
///
/// The kernel's, but not `EINTR`.
pub fn poll_until(fds: &mut [PollFd<'_>], deadline: Option<Instant>) -> Result<bool, Errno> {
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        // What the kernel's type has no room for is longer than any computer runs.
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(fds, timeout.as_ref()) {
            Ok(0) | Err(Errno::INTR) if left.is_some_and(|left| left.is_zero()) => return Ok(false),
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => return Ok(true),
            Err(errno) => return Err(errno),
        }
    }
}

/// The events that there are at a descriptor now: those asked for, and hangups and errors.
///
/// # Errors
///
/// The kernel's, but not `EINTR`.
pub fn poll_now(fd: impl AsFd, events: PollFlags) -> Result<PollFlags, Errno> {
    let mut fds = [PollFd::new(&fd, events)];
    rustix::io::retry_on_intr(|| poll(&mut fds, Some(&Timespec::default())))?;
    Ok(fds[0].revents())
}

/// Reads once there is something to read, and returns how much: 0 at the end, `None` at the deadline.
///
/// # Errors
///
/// The kernel's, but neither `EINTR` nor `EAGAIN`.
pub fn read_until(fd: impl AsFd, bytes: &mut [u8], deadline: Option<Instant>) -> Result<Option<usize>, Errno> {
    while poll_until(&mut [PollFd::new(&fd, PollFlags::IN)], deadline)? {
        match rustix::io::read(&fd, &mut *bytes) {
            Err(Errno::INTR | Errno::AGAIN) => {}
            read => return read.map(Some),
        }
    }
    Ok(None)
}

/// Sends all of it on a stream socket, and returns whether there was time for that.
///
/// # Errors
///
/// The kernel's, but neither `EINTR` nor `EAGAIN`. No `SIGPIPE` is raised.
pub fn send_until(socket: impl AsFd, mut bytes: &[u8], deadline: Instant) -> Result<bool, Errno> {
    while !bytes.is_empty() {
        match rustix::net::send(&socket, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                if !poll_until(&mut [PollFd::new(&socket, PollFlags::OUT)], Some(deadline))? {
                    return Ok(false);
                }
            }
            Err(errno) => return Err(errno),
        }
    }
    Ok(true)
}

/// Reads the rest of a file that never blocks, at most `limit` bytes, in place of what was in the buffer.
///
/// # Errors
///
/// The kernel's, but not `EINTR`.
pub fn read_to_end(file: impl AsFd, buffer: &mut Vec<u8>, limit: usize) -> Result<(), Errno> {
    const STEP: usize = 4096;
    buffer.clear();
    while buffer.len() < limit {
        buffer.reserve(STEP.max(buffer.len()).min(limit - buffer.len()));
        match rustix::io::read(&file, rustix::buffer::spare_capacity(buffer)) {
            Ok(0) => break,
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    buffer.truncate(limit);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_there_is_read_and_the_deadline_ends_the_wait() {
        let (from, to) = rustix::pipe::pipe().unwrap();
        let mut bytes = [0; 8];
        let passed = Some(Instant::now());
        assert_eq!(read_until(&from, &mut bytes, passed), Ok(None));
        let later = Instant::now() + Duration::from_millis(2);
        assert_eq!(poll_until(&mut [PollFd::new(&from, PollFlags::IN)], Some(later)), Ok(false));
        assert!(Instant::now() >= later, "not before the deadline");
        assert_eq!(poll_now(&from, PollFlags::IN), Ok(PollFlags::empty()));
        rustix::io::write(&to, b"some").unwrap();
        // It is there, whatever the deadline.
        assert_eq!(read_until(&from, &mut bytes, passed), Ok(Some(4)));
        drop(to);
        assert_eq!(poll_now(&from, PollFlags::IN), Ok(PollFlags::HUP));
        assert_eq!(read_until(&from, &mut bytes, None), Ok(Some(0)));
    }

    #[test]
    fn a_peer_that_does_not_read_is_given_up_at_the_deadline() {
        let (to, from) = UnixStream::pair().unwrap();
        assert_eq!(send_until(&to, b"some", Instant::now()), Ok(true));
        let much = vec![0; 16 << 20];
        assert_eq!(send_until(&to, &much, Instant::now()), Ok(false));
        drop(from);
        assert_eq!(send_until(&to, b"more", Instant::now()), Err(Errno::PIPE));
    }

    /// The kernel sends `EINTR` only where a handler runs.
    #[test]
    fn a_signal_ends_no_wait() {
        static HANDLED: AtomicU32 = AtomicU32::new(0);
        extern "C" fn handler(_: libc::c_int) {
            HANDLED.fetch_add(1, Ordering::SeqCst);
        }
        let (from, to) = rustix::pipe::pipe().unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        let reader = std::thread::spawn(move || {
            // SAFETY: it takes no argument.
            tell.send((rustix::thread::gettid(), unsafe { libc::pthread_self() })).unwrap();
            read_until(&from, &mut [0; 8], None)
        });
        let (tid, thread) = told.recv().unwrap();
        // SAFETY: all zero is a value of this type.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = handler as *const () as libc::sighandler_t;
        // SAFETY: the first is a live variable, and the handler only counts.
        assert_eq!(unsafe { libc::sigaction(libc::SIGURG, &raw const action, std::ptr::null_mut()) }, 0);
        let stat = format!("/proc/self/task/{tid}/stat");
        while !std::fs::read_to_string(&stat).unwrap().contains(") S ") {
            std::thread::yield_now();
        }
        // SAFETY: the thread has not been joined, so its handle is valid.
        assert_eq!(unsafe { libc::pthread_kill(thread, libc::SIGURG) }, 0);
        while HANDLED.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        rustix::io::write(&to, b"some").unwrap();
        assert_eq!(reader.join().unwrap(), Ok(Some(4)));
    }
}
