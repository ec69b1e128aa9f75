//! Calls with a timeout.

use std::time::Duration;

use crate::error::Cause;

/// Runs a closure on a thread and waits at most this long for its result.
pub(crate) fn in_time<T: Send + 'static, E: Into<Cause> + Send + 'static>(
    wait: Duration,
    ask: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, Cause> {
    let answer = lxkns_sys::in_time("lxkns-ask", wait, ask)?;
    answer.ok_or(Cause::TIMED_OUT)?.map_err(Into::into)
}
