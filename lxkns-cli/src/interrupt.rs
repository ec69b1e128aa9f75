//! Ctrl-C while colours are written to a terminal: the program ends by it as any other does, but leaves no colour and no
//! half of an escape sequence behind.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use signal_hook::consts::SIGINT;
use signal_hook::low_level::emulate_default_handler;

/// Whether a signal ends the program by itself, which it does while this is set; else the code that cleared it ends it.
static ENDS: LazyLock<Arc<AtomicBool>> = LazyLock::new(|| Arc::new(AtomicBool::new(true)));

/// An output whose writing can be interrupted.
#[derive(Debug)]
pub(crate) struct Interruptible<W> {
    out: W,
    ends_cleanly: bool,
}

impl<W: Write> Interruptible<W> {
    /// An output without special treatment of signals.
    pub(crate) fn new(out: W) -> Self {
        Self { out, ends_cleanly: false }
    }

    /// From now on, until this is dropped, the program ends only when what it was writing has no open ends. If that
    /// takes long, the second Ctrl-C ends it immediately.
    pub(crate) fn end_cleanly(&mut self) {
        static HANDLES: LazyLock<bool> = LazyLock::new(|| {
            // One that is ignored, as in a shell's background jobs, stays ignored.
            if lxkns_sys::is_ignored(rustix::process::Signal::INT) != Ok(false) {
                return false;
            }
            // The order matters: the first goes by what was there before the second has set it.
            signal_hook::flag::register_conditional_default(SIGINT, Arc::clone(&ENDS)).is_ok()
                && signal_hook::flag::register(SIGINT, Arc::clone(&ENDS)).is_ok()
        });
        if *HANDLES {
            ENDS.store(false, Ordering::SeqCst);
            self.ends_cleanly = true;
        }
    }
}

impl<W: Write> Write for Interruptible<W> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        /// A terminal that has thrown away what nobody will read has room for this.
        const PIECE: usize = 16 * 1024;
        if !self.ends_cleanly {
            return self.out.write(text);
        }
        let written = self.out.write(&text[..text.len().min(PIECE)]);
        if ENDS.load(Ordering::SeqCst) {
            end();
        }
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl<W> Drop for Interruptible<W> {
    fn drop(&mut self) {
        if self.ends_cleanly && ENDS.swap(true, Ordering::SeqCst) {
            end();
        }
    }
}

/// Ends the program by the signal.
fn end() {
    // It begins with what also ends whatever sequence was begun. Not through the buffer, of which nothing is wanted.
    let _ = rustix::io::write(io::stdout(), b"\x1b[0m");
    let _ = emulate_default_handler(SIGINT);
}
