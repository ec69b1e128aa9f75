//! The progress line of a long operation: on standard error, if that is a terminal, and erased before anything else is
//! written.

use std::borrow::Cow;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::view::{screen, shorten};

/// A shorter operation has no progress line.
const SHORT: Duration = Duration::from_secs(1);

/// An operation, which ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Progress(Option<(Sender<()>, JoinHandle<()>)>);

impl Progress {
    /// Shows this operation after a second.
    pub(crate) fn of(what: impl Into<Cow<'static, str>>) -> Self {
        if !is_for_eyes() {
            return Self(None);
        }
        let (what, (done, is_done)) = (what.into(), channel());
        let thread = std::thread::Builder::new().name("lxkns-progress".into()).spawn(move || tell(&what, &is_done));
        // Without a thread there is no progress line.
        Self(thread.ok().map(|thread| (done, thread)))
    }

    /// Whether it is shown.
    pub(crate) fn is_told(&self) -> bool {
        self.0.is_some()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((done, thread)) = self.0.take() {
            drop(done);
            let _ = thread.join();
        }
    }
}

/// Whether standard error is a terminal that can erase a line, and that is ours to write to at any time.
fn is_for_eyes() -> bool {
    let stderr = io::stderr();
    let can_erase = std::env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb");
    // Not while another job is in its foreground. (The kernel does not say so of a terminal of another session.)
    let is_ours = rustix::termios::tcgetpgrp(&stderr).map_or(true, |group| group == rustix::process::getpgrp());
    stderr.is_terminal() && can_erase && is_ours
}

fn tell(what: &str, is_done: &Receiver<()>) {
    let start = Instant::now();
    let is_going_on = || is_done.recv_timeout(SHORT) == Err(RecvTimeoutError::Timeout);
    if !is_going_on() {
        return;
    }
    loop {
        let _ = io::stderr().write_all(line(what, start.elapsed(), screen::error_columns()).as_bytes());
        if !is_going_on() {
            break;
        }
    }
    let _ = io::stderr().write_all(ERASE.as_bytes());
}

/// Goes to the beginning of the line and erases it.
const ERASE: &str = "\r\x1b[K";

/// One line in place of the last, in one write.
fn line(what: &str, elapsed: Duration, columns: Option<usize>) -> String {
    let text = format!("lxkns: {what}, {} s so far", elapsed.as_secs());
    // The last column stays free: behind it some terminals begin another line, which would not be erased.
    let columns = columns.map_or(usize::MAX, |columns| columns.saturating_sub(1));
    format!("{ERASE}{}", shorten::middle(&text, columns))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_never_as_wide_as_the_terminal() {
        let elapsed = Duration::from_millis(3700);
        assert_eq!(line("looking", elapsed, None), "\r\x1b[Klxkns: looking, 3 s so far");
        assert_eq!(line("looking", elapsed, Some(27)), "\r\x1b[Klxkns: looking, 3 s so far");
        assert_eq!(line("looking", elapsed, Some(26)), "\r\x1b[Klxkns: looki…, 3 s so far");
        for columns in 0..26 {
            let line = line("looking", elapsed, Some(columns));
            assert!(line.strip_prefix(ERASE).unwrap().chars().count() <= columns.saturating_sub(1), "{columns}");
        }
    }
}
