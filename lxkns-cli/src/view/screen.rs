//! What standard output is: a terminal of some width, or not; with colour, or without.

use std::io::{self, BufWriter, StdoutLock, Write};

use anstyle::Style;

use crate::exit::Result;

/// When to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What can be written to standard output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Screen {
    /// The columns of the terminal; `None` where there is none, and nothing is to be cut.
    pub(crate) width: Option<usize>,
    /// Whether to use colour.
    pub(crate) color: bool,
}

impl Screen {
    /// What standard output is.
    pub(crate) fn detect(color: Color) -> Self {
        let stdout = io::stdout();
        let width = rustix::termios::tcgetwinsize(&stdout).ok().map(|size| usize::from(size.ws_col));
        let color = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => anstream::AutoStream::choice(&stdout) != anstream::ColorChoice::Never,
        };
        Self { width: width.filter(|&width| width > 0), color }
    }

    /// Writes a heading.
    pub(crate) fn heading(self, out: &mut impl Write, text: &str) -> io::Result<()> {
        if self.color && !text.is_empty() {
            let bold = Style::new().bold();
            write!(out, "{bold}{text}{bold:#}")
        } else {
            out.write_all(text.as_bytes())
        }
    }
}

/// Standard output, buffered.
pub(crate) type Stdout = BufWriter<StdoutLock<'static>>;

/// Writes to standard output and flushes it, so that a full disk is noticed.
pub(crate) fn print(write: impl FnOnce(&mut Stdout) -> Result<()>) -> Result<()> {
    let mut out = BufWriter::with_capacity(64 * 1024, io::stdout().lock());
    write(&mut out).and_then(|()| Ok(out.flush()?)).map_err(|error| error.context("write standard output"))
}
