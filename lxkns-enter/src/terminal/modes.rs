//! The modes of the caller's terminal: raw while another is used through it, and as they were on every way out.

use std::os::fd::{AsFd, OwnedFd};
use std::panic::{self, PanicHookInfo};
use std::sync::Arc;

use rustix::io::Errno;
use rustix::termios::{OptionalActions, OutputModes, Termios};

use super::is_foreground;

type Hook = Box<dyn Fn(&PanicHookInfo<'_>) + Send + Sync>;

/// The modes of a terminal that is raw as long as this lives. A panic restores them too, also where it aborts; until this
/// is dropped there is a panic hook for that.
pub(crate) struct RawMode {
    modes: Arc<Modes>,
    /// The panic hook of before.
    hook: Arc<Hook>,
}

struct Modes {
    terminal: OwnedFd,
    before: Termios,
    raw: Termios,
}

impl RawMode {
    /// Makes a terminal raw. Where output does not come through it alone (`is_for_output` is not set), what others write
    /// to it is left to look as it did.
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

    /// Makes it raw, once more, unless it is somebody else's by now.
    pub(crate) fn enter(&self) -> Result<(), Errno> {
        if is_foreground(&self.modes.terminal) == Some(false) {
            return Ok(());
        }
        rustix::termios::tcsetattr(&self.modes.terminal, OptionalActions::Now, &self.modes.raw)
    }

    /// Gives it the modes of before.
    pub(crate) fn leave(&self) {
        self.modes.restore();
    }
}

impl Modes {
    fn restore(&self) {
        // In the background it is somebody else's by now.
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
