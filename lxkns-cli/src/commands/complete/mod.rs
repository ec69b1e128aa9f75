//! `lxkns complete`: the scripts of `lxkns completions` run it when the user presses Tab.
//!
//! It takes the words of the command line from the second one on, the last up to the cursor, and writes one candidate a line:
//!
//! | line | means |
//! |---|---|
//! | `=WORD` TAB `DESCRIPTION` | a word |
//! | `files` | files |
//! | `directories` | directories |
//! | `command N` | another program's command line, which begins after N words |
//!
//! A WORD goes into a command line, so it consists of characters that no shell interprets. A DESCRIPTION is safe to print.

mod line;
mod targets;

use std::ffi::OsString;
use std::io::Write as _;

use clap::CommandFactory as _;

use crate::args::Args;
use crate::exit::{Exit, Result};
use crate::view::screen;

/// A candidate at the cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// A word.
    Word {
        text: String,
        description: String,
    },
    Files,
    Directories,
    /// The command line of another program, after this number of words.
    Command(usize),
}

impl Offer {
    fn word(text: impl Into<String>, description: impl Into<String>) -> Self {
        Self::Word { text: text.into(), description: description.into() }
    }
}

/// Whether all shells take a word literally.
fn is_plain(word: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:,+@%=".contains(&byte);
    !word.is_empty() && word.bytes().all(is_plain)
}

/// Runs it.
pub(crate) fn run(words: &[OsString]) -> Result {
    let mut whole = Args::command();
    whole.build();
    let offers = line::offers(&whole, words, &targets::on_host);
    screen::print(|out| {
        for offer in &offers {
            match offer {
                Offer::Word { text, description } => writeln!(out, "={text}\t{description}")?,
                Offer::Files => writeln!(out, "files")?,
                Offer::Directories => writeln!(out, "directories")?,
                Offer::Command(words) => writeln!(out, "command {words}")?,
            }
        }
        Ok(())
    })?;
    Ok(Exit::Done)
}
