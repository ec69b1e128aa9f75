//! Asking what may not answer.

use std::sync::mpsc::sync_channel;
use std::time::Duration;

use rustix::io::Errno;

/// Does something on a thread for which nobody waits longer than this; then it is `ETIMEDOUT`, and whatever comes of it later
/// is dropped there.
pub(crate) fn in_time<T: Send + 'static>(
    wait: Duration,
    ask: impl FnOnce() -> Result<T, Errno> + Send + 'static,
) -> Result<T, Errno> {
    let (answer, answers) = sync_channel(1);
    let thread = std::thread::Builder::new().name("lxkns-ask".into()).spawn(move || {
        let _ = answer.try_send(ask());
    });
    thread.map_err(|_| Errno::AGAIN)?;
    answers.recv_timeout(wait).unwrap_or(Err(Errno::TIMEDOUT))
}
