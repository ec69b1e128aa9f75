//! Log lines, on standard error. The service goes on where they cannot be written: on a full disk, into a pipe that nobody
//! reads any more, or one whose reader is stuck.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use lxkns_answers::text::errors::named;
use rustix::event::PollFlags;
use rustix::io::Errno;
use tracing_subscriber::fmt::MakeWriter;

use crate::settings::LogForm;

/// What a pipe takes at once where it has room.
const PIECE: usize = 4096;

/// How many lines were not written, or not to their end.
static LOST: AtomicU64 = AtomicU64::new(0);

/// Has the events of this process written, with its name.
pub(crate) fn begin(form: LogForm) {
    let lines = tracing_subscriber::fmt().with_writer(Lines { form }).with_ansi(false).with_target(false);
    // A failed write is counted; to report it would be another.
    let lines = lines.log_internal_errors(false);
    match form {
        LogForm::Text => lines.init(),
        LogForm::Json => lines.json().flatten_event(true).init(),
    }
}

/// Writes a line for people, where it can be written.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stderr(), "lxknsd: {}", named(line));
}

/// Where each line goes.
struct Lines {
    form: LogForm,
}

/// Where one line goes.
struct Line {
    form: LogForm,
}

impl MakeWriter<'_> for Lines {
    type Writer = Line;

    fn make_writer(&self) -> Line {
        Line { form: self.form }
    }
}

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let lost = LOST.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let said = match self.form {
                LogForm::Text => format!(" WARN log lines lost lines={lost}\n"),
                LogForm::Json => format!("{{\"level\":\"WARN\",\"message\":\"log lines lost\",\"lines\":{lost}}}\n"),
            };
            if put(said.as_bytes()).is_err() {
                LOST.fetch_add(lost, Ordering::Relaxed);
            }
        }
        if put(line).is_err() {
            LOST.fetch_add(1, Ordering::Relaxed);
        }
        // Nobody can do anything about it.
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes without waiting.
fn put(mut bytes: &[u8]) -> rustix::io::Result<()> {
    let error = rustix::stdio::stderr();
    while !bytes.is_empty() {
        if !lxkns_sys::poll_now(error, PollFlags::OUT)?.contains(PollFlags::OUT) {
            return Err(Errno::AGAIN);
        }
        let written = rustix::io::retry_on_intr(|| rustix::io::write(error, &bytes[..bytes.len().min(PIECE)]))?;
        bytes = &bytes[written..];
    }
    Ok(())
}
