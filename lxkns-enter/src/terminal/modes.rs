//! The modes of the caller's terminal: raw while the command's terminal is used through it, and restored on every exit.

use std::os::fd::{AsFd, OwnedFd};
use std::panic::{self, PanicHookInfo};
use std::sync::Arc;

use rustix::io::Errno;
use rustix::termios::{OptionalActions, OutputModes, Termios};

use super::is_foreground;

type Hook = Box<dyn Fn(&PanicHookInfo<'_>) + Send + Sync>;

/// A terminal that is raw until this is dropped. A panic hook restores the modes too, even if a panic aborts.
pub(crate) struct RawMode {
    modes: Arc<Modes>,
    /// The previous panic hook.
    hook: Arc<Hook>,
}

struct Modes {
    terminal: OwnedFd,
    before: Termios,
    raw: Termios,
}

impl RawMode {
    /// Makes a terminal raw. If other output reaches the terminal too (`is_for_output` is not set), output processing
    /// stays on.
    pub(crate) fn new(terminal: impl AsFd, is_for_output: bool) -> Result<Self, Errno> {
        let terminal = rustix::io::fcntl_dupfd_cloexec(terminal, 3)?;
        let before = rustix::termios::tcgetattr(&terminal)?;
        let mut raw = before.clone();
        raw.make_raw();
        if !is_for_output {
            raw.output_modes.set(OutputModes::OPOST, before.output_modes.contains(OutputModes::OPOST));
        }
        let modes = Arc::new(Modes { terminal, before, raw });
        let hook: Arc<Hook> = Arc::new(panic::take_hook());
        let (hook_modes, hook_before) = (Arc::clone(&modes), Arc::clone(&hook));
        panic::set_hook(Box::new(move |info| {
            hook_modes.restore();
            hook_before(info);
        }));
        let this = Self { modes, hook };
        this.enter()?;
        Ok(this)
    }

    /// Makes it raw again, unless another process owns it by now.
    pub(crate) fn enter(&self) -> Result<(), Errno> {
        if is_foreground(&self.modes.terminal) == Some(false) {
            return Ok(());
        }
        rustix::termios::tcsetattr(&self.modes.terminal, OptionalActions::Now, &self.modes.raw)
    }

    /// Restores its modes.
    pub(crate) fn leave(&self) {
        self.modes.restore();
    }
}

impl Modes {
    fn restore(&self) {
        // In the background, another process owns the terminal.
        if is_foreground(&self.terminal) == Some(true) {
            let _ = rustix::termios::tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
        }
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        self.modes.restore();
        if !std::thread::panicking() {
            let hook = Arc::clone(&self.hook);
            panic::set_hook(Box::new(move |info| hook(info)));
        }
    }
}
