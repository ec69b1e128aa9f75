//! Calls that may take without end, or that pass only after some tries.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::path::Arg;

use crate::Errno;

/// Opens a path with `O_PATH` from the kernel's cache of names alone; `openat2(2)` with `RESOLVE_CACHED`. No server of a file
/// system is asked. The kernel also refuses while somebody mounts or renames something, anywhere, so a refusal is tried
/// again some times: an answer takes a few microseconds, no answer no longer.
///
/// # Errors
///
/// `EAGAIN`: the cache does not know. `ENOSYS`, `EINVAL`: the kernel has no such call, or a filter says so.
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

/// Does something on a thread of this name, for which nobody waits longer than `wait`; whatever comes of it later is dropped
/// there. `None`: there was no answer in time.
///
/// # Errors
///
/// No thread can be had.
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

/// Closes a descriptor on a thread of its own, for which nobody waits: closing the last one of a file can ask the server of
/// its file system, and that of a socket that lingers its peer.
pub fn close_elsewhere(fd: OwnedFd) {
    // Where no thread can be had the closure, and the descriptor in it, is dropped here: slow, but not lost.
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
            // A kernel without it, or a filter.
            Err(errno) => assert!(matches!(errno, Errno::NOSYS | Errno::INVAL | Errno::PERM), "{errno}"),
        }
    }
}
