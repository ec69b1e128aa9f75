//! How the program ends: the exit codes, and the one place where errors become text.

use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;

use lxkns_answers::text::errors;

use crate::usage;
use crate::view::escape::printable;
use crate::view::{screen, shorten};
use lxkns_answers::text::chain;

/// The exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// Done.
    Done = 0,
    /// The object is proven not to exist.
    Missing = 1,
    /// Bad usage; clap's code too.
    Usage = 2,
    /// The command failed, or the object is not visible.
    Failed = 3,
    /// There are some of what there should be none of.
    Found = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command ended early.
#[derive(Debug)]
pub(crate) enum Error {
    /// The options make no sense.
    Usage(String),
    /// Something failed.
    Failed(anyhow::Error),
}

impl Error {
    fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Failed(_) => Exit::Failed,
        }
    }

    /// Adds the operation that failed.
    pub(crate) fn context(self, what: &'static str) -> Self {
        match self {
            Self::Usage(_) => self,
            Self::Failed(error) => Self::Failed(error.context(what)),
        }
    }

    /// Whether the reader of the output went away (`| head`), which is no failure.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        let Self::Failed(error) = self else { return false };
        error.chain().any(|cause| {
            cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
                || cause.downcast_ref::<serde_json::Error>().and_then(serde_json::Error::io_error_kind)
                    == Some(io::ErrorKind::BrokenPipe)
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(message) => f.write_str(message),
            Self::Failed(error) => f.write_str(&chain(&**error)),
        }
    }
}

impl<E: Into<anyhow::Error>> From<E> for Error {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// What a command comes to.
pub(crate) type Result<T = Exit> = std::result::Result<T, Error>;

/// Tells the user something on standard error, in text that is safe to print: one line, or on a terminal as many as it takes
/// to keep words whole. A closed standard error is no reason to stop.
pub(crate) fn say(message: impl fmt::Display) {
    // In one piece: what others write to the same terminal or file at the same time is not mixed into it.
    let text = printable(with_remedy(&message.to_string()));
    let line = format!("{NAME}{}\n", shorten::wrap(&text, screen::error_columns(), NAME.len(), NAME.len()));
    let _ = io::stderr().write_all(line.as_bytes());
}

/// What each message begins with.
const NAME: &str = "lxkns: ";

/// A message with what to do, where any call failed because no descriptor was left. Errors of all crates come through here as
/// text.
fn with_remedy(message: &str) -> String {
    let message = errors::named(message);
    match message.contains("(EMFILE)") && !message.contains("ulimit") {
        true => format!("{message}; descriptor limit reached, raise it with `ulimit -n`"),
        false => message,
    }
}

/// Reports how a command ended.
pub(crate) fn report(result: Result) -> ExitCode {
    match result {
        Ok(exit) => exit.into(),
        Err(error) if error.is_closed_pipe() => Exit::Done.into(),
        Err(error) => {
            say(&error);
            error.exit().into()
        }
    }
}

/// Reports what came instead of options: a request for help, or options that make no sense.
pub(crate) fn report_arguments(error: &clap::Error) -> ExitCode {
    use clap::error::ErrorKind;
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
        return Exit::Usage.into();
    }
    if error.use_stderr() {
        say(usage::explain(error, &std::env::args_os().collect::<Vec<_>>()));
        return Exit::Usage.into();
    }
    let text = error.render();
    let has_color = anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never;
    let printed =
        screen::print(|out| Ok(if has_color { write!(out, "{}", text.ansi()) } else { write!(out, "{text}") }?));
    report(printed.map(|()| Exit::Done))
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn a_descriptor_limit_comes_with_the_remedy() {
        let of = |errno| with_remedy(&Error::from(io::Error::from(errno)).to_string());
        assert_eq!(
            of(Errno::MFILE),
            "Too many open files (EMFILE); descriptor limit reached, raise it with `ulimit -n`"
        );
        assert!(!of(Errno::NFILE).contains("ulimit"), "that is the host's limit");
    }

    #[test]
    fn a_cause_is_told_once() {
        let inner = || io::Error::from_raw_os_error(21);
        let told = anyhow::Error::from(inner()).context(format!("read dump: {}", inner())).context("read \"/x\"");
        assert_eq!(Error::from(told).to_string(), format!("read \"/x\": read dump: {}", errors::named(&inner())));
    }

    #[test]
    fn a_closed_pipe_is_seen_through_wrapping() {
        let broken = || io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(Error::from(broken()).is_closed_pipe());
        assert!(Error::from(serde_json::Error::io(broken())).is_closed_pipe());
        assert!(Error::from(anyhow::Error::from(broken()).context("write")).is_closed_pipe());
        assert!(!Error::from(io::Error::from(io::ErrorKind::NotFound)).is_closed_pipe());
        assert!(!Error::Usage("x".into()).is_closed_pipe());
    }

    #[test]
    fn each_error_has_its_code() {
        assert_eq!(Error::Usage(String::new()).exit() as u8, 2);
        assert_eq!(Error::from(anyhow::anyhow!("x")).exit() as u8, 3);
    }
}
