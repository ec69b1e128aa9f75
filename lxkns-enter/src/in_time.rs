//! Asking what may not answer.

use std::time::Duration;

use rustix::io::Errno;

/// Does something on a thread for which nobody waits longer than this; then it is `ETIMEDOUT`.
pub(crate) fn in_time<T: Send + 'static>(
    wait: Duration,
    ask: impl FnOnce() -> Result<T, Errno> + Send + 'static,
) -> Result<T, Errno> {
    let answer = lxkns_sys::in_time("lxkns-ask", wait, ask).map_err(|_| Errno::AGAIN)?;
    answer.unwrap_or(Err(Errno::TIMEDOUT))
}
