//! `lxkns man`: the man pages, from the same definitions as `--help`.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::Context as _;
use clap::{Command, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use crate::args::Args;
use crate::exit::{Exit, Result};

/// Runs it.
pub(crate) fn run(dir: &Path) -> Result {
    let mut whole = Args::command().disable_help_subcommand(true);
    whole.build();
    let visible = whole.get_subcommands().filter(|command| !command.is_hide_set());
    for command in visible.chain([&whole]) {
        let name = command.get_display_name().unwrap_or_else(|| command.get_name());
        let file = dir.join(format!("{name}.1"));
        let mut text = Vec::new();
        page(command, &mut text)?;
        fs::write(&file, text).with_context(|| format!("write {file:?}"))?;
    }
    Ok(Exit::Done)
}

/// A page: its examples, which `--help` has first, stand where people look for them in a page.
fn page(command: &Command, out: &mut Vec<u8>) -> io::Result<()> {
    let man = Man::new(command.clone()).source(concat!("lxkns ", env!("CARGO_PKG_VERSION")));
    man.render_title(out)?;
    man.render_name_section(out)?;
    man.render_synopsis_section(out)?;
    man.render_description_section(out)?;
    man.render_options_section(out)?;
    if command.get_subcommands().any(|command| !command.is_hide_set()) {
        man.render_subcommands_section(out)?;
    }
    let notes = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    for note in notes.split("\n\n").filter(|note| !note.is_empty()) {
        let (heading, lines) = match note.split_once(":\n") {
            Some((heading, lines)) if !heading.contains(' ') => (heading, lines),
            _ if note.starts_with("TARGET can be") => ("Targets", note),
            _ => ("Notes", note),
        };
        section(out, heading, lines.lines())?;
    }
    let examples = command.get_before_help().map(ToString::to_string).unwrap_or_default();
    if let Some(examples) = examples.strip_prefix("Examples:\n") {
        section(out, "Examples", examples.lines())?;
    }
    section(out, "Exit status", exit_codes(command.get_name()).iter().copied())
}

/// A section whose lines stay as they are.
fn section<'a>(out: &mut impl io::Write, heading: &str, lines: impl IntoIterator<Item = &'a str>) -> io::Result<()> {
    let mut roff = Roff::new();
    roff.control("SH", [heading.to_uppercase().as_str()]).control("nf", []);
    for line in lines {
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
    roff.to_writer(out)
}

/// The exit codes of a command.
fn exit_codes(command: &str) -> &'static [&'static str] {
    const CODES: [&str; 5] = [
        "0  done",
        "1  the TARGET does not exist: everything that may hold it could be seen",
        "2  bad usage",
        "3  it could not be done, or the TARGET is not visible from here and may exist",
        "4  --fail was given, and there are some",
    ];
    match command {
        "orphans" => &CODES,
        "enter" => &[
            "125  lxkns itself failed, bad usage included",
            "126  the command was found and could not be run",
            "127  the command was not found",
            "else that of the command; 128 and the number of the signal that ended it",
        ],
        _ => &CODES[..4],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_keeps_its_lines_and_is_no_macro() {
        let mut out = Vec::new();
        section(&mut out, "Notes", ["  . <(x)", ".x", "a\\b-c"]).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains(".SH NOTES\n.nf\n") && text.ends_with(".fi\n"), "{text}");
        assert!(!text.contains("\n.x"), "{text}");
    }
}
