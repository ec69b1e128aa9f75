//! Standard output: whether it is a terminal, its width, and whether to use colour.

use std::io::{self, BufWriter, IsTerminal as _, Write};

use lxkns_core::wire;
use rustix::io::Errno;
use serde::Serialize;
use unicode_width::UnicodeWidthStr as _;

use super::paint::{self, Painter};
use super::shorten;
use crate::exit::{Error, Result};
use crate::interrupt::Interruptible;

/// When to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless `NO_COLOR` is set; elsewhere with `CLICOLOR_FORCE`.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The properties of standard output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Screen {
    /// The columns of the terminal; `None` if it is not one, so nothing is shortened.
    pub(crate) width: Option<usize>,
    /// Whether to use colour.
    pub(crate) color: bool,
}

impl Screen {
    /// Reads the properties of standard output.
    pub(crate) fn detect(color: Color) -> Self {
        let stdout = io::stdout();
        let color = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => anstream::AutoStream::choice(&stdout) != anstream::ColorChoice::Never,
        };
        Self { width: columns(), color }
    }

    /// Writes a heading.
    pub(crate) fn heading(self, out: &mut impl Write, text: &str) -> io::Result<()> {
        if self.color { paint::write_heading(out, text) } else { out.write_all(text.as_bytes()) }
    }

    /// Writes a line that begins with `start`. On a terminal, texts of others in the rest that were made with
    /// [`shorten::to_limit`] are shortened until the line fits. If it never does, it continues on the next line.
    pub(crate) fn line(self, out: &mut impl Write, start: &str, rest: impl Fn() -> String) -> io::Result<()> {
        out.write_all(start.as_bytes())?;
        writeln!(out, "{}", shorten::fit(self.room(start.width()), rest))
    }

    /// Writes a line as [`Self::line`] does. A line that still does not fit is wrapped between words and indented. Commands in
    /// backticks are not broken.
    pub(crate) fn folded(self, out: &mut impl Write, start: &str, rest: impl Fn() -> String) -> io::Result<()> {
        out.write_all(start.as_bytes())?;
        let indent = start.len() - start.trim_start().len();
        let rest = shorten::fit(self.room(start.width()), rest);
        writeln!(out, "{}", shorten::wrap(&rest, self.width, start.width(), indent + 2))
    }

    /// Writes a line as [`Self::line`] does. A line that does not fit is wrapped between words and indented. Texts of others
    /// are shortened only if it would take a third line. Commands in backticks are not broken, so they can be copied.
    pub(crate) fn wrapped(self, out: &mut impl Write, start: &str, rest: impl Fn() -> String) -> io::Result<()> {
        out.write_all(start.as_bytes())?;
        let indent = start.len() - start.trim_start().len();
        let second = self.room(indent + 2);
        let rest = shorten::fit(self.room(start.width()).zip(second).map(|(first, second)| first + second), rest);
        writeln!(out, "{}", shorten::wrap(&rest, self.width, start.width(), indent + 2))
    }

    /// Writes the rest of a line with this number of columns used, as [`Self::line`] does. If it never fits, its last words are
    /// left out.
    pub(crate) fn rest(self, out: &mut impl Write, used: usize, rest: impl Fn() -> String) -> io::Result<()> {
        let room = self.room(used);
        let rest = shorten::fit(room, rest);
        writeln!(out, "{}", room.map_or(rest.as_str().into(), |room| shorten::words(&rest, room)))
    }

    /// Writes sentences, one a line, wrapped and indented; without a terminal, at 80 columns. Commands, which are indented by
    /// four, stay whole.
    pub(crate) fn write_filled(self, out: &mut impl Write, text: &[u8]) -> io::Result<()> {
        const DEFAULT: usize = 80;
        const COMMAND: usize = 4;
        for line in String::from_utf8_lossy(text).lines() {
            let words = line.trim_start();
            let indent = line.len() - words.len();
            let columns = Some(self.width.unwrap_or(DEFAULT)).filter(|_| indent != COMMAND);
            writeln!(out, "{:indent$}{}", "", shorten::wrap(words, columns, indent, indent + 2))?;
        }
        Ok(())
    }

    /// The columns that are left in a line with this number of columns used.
    pub(crate) fn room(self, used: usize) -> Option<usize> {
        self.width.map(|width| width.saturating_sub(used))
    }

    /// The screen, narrower by this indentation.
    pub(crate) fn indented(self, columns: usize) -> Self {
        Self { width: self.width.map(|width| width.saturating_sub(columns)), ..self }
    }
}

/// The columns of the terminal on standard output; `None` if it is not a terminal.
pub(crate) fn columns() -> Option<usize> {
    columns_of(io::stdout())
}

/// The same of standard error.
pub(crate) fn error_columns() -> Option<usize> {
    columns_of(io::stderr())
}

fn columns_of(terminal: impl std::os::fd::AsFd) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(terminal).ok()?;
    Some(usize::from(size.ws_col)).filter(|&columns| columns > 0)
}

/// Standard output, buffered.
pub(crate) type Stdout = BufWriter<Interruptible<Descriptor>>;

/// The descriptor of standard output. Rust's own standard output ignores errors of a descriptor that is closed or read-only.
#[derive(Debug)]
pub(crate) struct Descriptor(());

impl Write for Descriptor {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        if is_closed() {
            return Err(Errno::BADF.into());
        }
        Ok(rustix::io::write(rustix::stdio::stdout(), text)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether there is no standard output (`>&-`).
fn is_closed() -> bool {
    lxkns_sys::was_closed_at_start(1)
}

/// Fails where there is no standard output: for what would only be noticed much later, or never.
pub(crate) fn check() -> Result<()> {
    if is_closed() { Err(Error::from(io::Error::from(Errno::BADF)).context(WRITE)) } else { Ok(()) }
}

const WRITE: &str = "write standard output";

/// Writes a text for people to standard output as [`print()`] does: with names of namespaces in their colours.
pub(crate) fn show(color: Color, write: impl FnOnce(&mut Painter<&mut Stdout>, Screen) -> Result<()>) -> Result<()> {
    print(|out| {
        let screen = Screen::detect(color);
        if screen.color && io::stdout().is_terminal() {
            out.get_mut().end_cleanly();
        }
        let mut painter = Painter::new(out, screen.color);
        shorten::within(shorten::limit_for(screen.width), || write(&mut painter, screen))?;
        Ok(painter.flush()?)
    })
}

/// Writes a value as JSON for people and programs, with a newline at the end. Nothing in it reaches a terminal unescaped.
pub(crate) fn write_json(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    wire::write_json(value, true, &mut *out)?;
    out.write_all(b"\n")
}

/// Writes to standard output and flushes it, which reports a full disk.
pub(crate) fn print(write: impl FnOnce(&mut Stdout) -> Result<()>) -> Result<()> {
    let mut out = BufWriter::with_capacity(64 * 1024, Interruptible::new(Descriptor(())));
    write(&mut out).and_then(|()| Ok(out.flush()?)).map_err(|error| error.context(WRITE))
}
