//! Calls with a timeout.

use std::time::Duration;

use rustix::io::Errno;

/// Runs a closure on a thread and waits at most this long for its result; `ETIMEDOUT` after that.
pub(crate) fn in_time<T: Send + 'static>(
    wait: Duration,
    ask: impl FnOnce() -> Result<T, Errno> + Send + 'static,
) -> Result<T, Errno> {
    let answer = lxkns_sys::in_time("lxkns-ask", wait, ask).map_err(|_| Errno::AGAIN)?;
    answer.unwrap_or(Err(Errno::TIMEDOUT))
}
