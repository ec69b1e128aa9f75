//! Calls that can block forever, or that succeed only after retries.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::path::Arg;

use crate::Errno;

/// Opens a path with `O_PATH` from the kernel's cache of names alone; `openat2(2)` with `RESOLVE_CACHED`. The kernel
/// asks no server of a file system. It also fails while any process mounts or renames anything, so a failed call is
/// repeated a few times; all tries together take a few microseconds.
///
/// # Errors
///
/// `EAGAIN`: not in the cache. `ENOSYS`, `EINVAL`: the kernel lacks this call, or a filter denies it.
///
/// # Minimum kernel version
///
/// 5.12.
#[doc(alias = "RESOLVE_CACHED")]
pub fn open_cached(
    directory: impl AsFd,
    path: impl Arg + Copy,
    flags: OFlags,
    resolve: ResolveFlags,
) -> Result<OwnedFd, Errno> {
    const TRIES: usize = 32;
    let flags = flags | OFlags::PATH | OFlags::CLOEXEC;
    let open = || rustix::fs::openat2(directory.as_fd(), path, flags, Mode::empty(), resolve | ResolveFlags::CACHED);
    (1..TRIES).map(|_| open()).find(|answer| !matches!(answer, Err(Errno::AGAIN))).unwrap_or_else(open)
}

/// Runs a closure on a thread of this name, and waits at most `wait` for its result. `None`: there was no result in
/// time; the thread drops a later one.
///
/// # Errors
///
/// No thread could be started.
pub fn in_time<T: Send + 'static>(
    name: &str,
    wait: Duration,
    ask: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<Option<T>> {
    let (answer, answers) = sync_channel(1);
    std::thread::Builder::new().name(name.into()).spawn(move || {
        let _ = answer.try_send(ask());
    })?;
    Ok(answers.recv_timeout(wait).ok())
}

/// Closes a descriptor on a thread of its own, without waiting for it: closing the last descriptor of a file can ask
/// the server of its file system, and closing a socket with `SO_LINGER` can wait for the peer.
pub fn close_elsewhere(fd: OwnedFd) {
    // If no thread can be started, the closure with the descriptor is dropped here: that can be slow, but leaks
    // nothing.
    drop(std::thread::Builder::new().name("lxkns-close".into()).spawn(move || drop(fd)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_answer_is_left_behind() {
        let (end, ended) = sync_channel::<()>(0);
        let answer = in_time("test", Duration::from_millis(10), move || ended.recv().is_ok());
        assert_eq!(answer.unwrap(), None);
        drop(end);
        assert_eq!(in_time("test", Duration::from_secs(60), || 7).unwrap(), Some(7));
    }

    #[test]
    fn the_cache_knows_where_one_is() {
        match open_cached(rustix::fs::CWD, ".", OFlags::DIRECTORY, ResolveFlags::empty()) {
            Ok(fd) => assert_eq!(rustix::fs::fstat(&fd).unwrap().st_ino, rustix::fs::stat(".").unwrap().st_ino),
            // The kernel lacks the call, or a filter denies it.
            Err(errno) => assert!(matches!(errno, Errno::NOSYS | Errno::INVAL | Errno::PERM), "{errno}"),
        }
    }
}
