//! The man page, from the same definitions as `--help`.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use clap::CommandFactory as _;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use crate::args::Args;

/// Writes `lxknsd.8` into a directory.
///
/// # Errors
///
/// The file cannot be written.
pub(crate) fn write(directory: &Path) -> anyhow::Result<()> {
    let file = directory.join("lxknsd.8");
    fs::write(&file, page()?).with_context(|| format!("write {}", file.display()))
}

fn page() -> std::io::Result<Vec<u8>> {
    let mut command = Args::command().disable_help_subcommand(true);
    command.build();
    let examples = command.get_before_help().map(ToString::to_string).unwrap_or_default();
    let of = |argument: &clap::Arg| Some((argument.get_env()?.to_owned(), argument.get_long()?.to_owned()));
    let variables: Vec<_> = command.get_arguments().filter_map(of).collect();
    let man = Man::new(command).section("8").source(concat!("lxkns ", env!("CARGO_PKG_VERSION")));
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    man.render_subcommands_section(&mut page)?;
    let mut roff = Roff::new();
    roff.control("SH", ["Examples"]);
    roff.control("nf", []);
    for line in examples.lines().skip(1) {
        roff.text([roman(line.trim_start())]);
    }
    roff.control("fi", []);
    roff.control("SH", ["Environment"]);
    roff.control("nf", []);
    for (variable, option) in variables {
        roff.text([roman(format!("{} stands for --{option}", variable.to_string_lossy()))]);
    }
    roff.control("fi", []);
    roff.control("SH", ["Exit status"]);
    roff.text([roman("0: stopped by a signal; 2: bad usage; 3: the service could not begin to serve.")]);
    roff.control("SH", ["See also"]);
    roff.text([roman("lxkns(1)")]);
    roff.to_writer(&mut page)?;
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_each_option_with_its_variable() {
        let page = String::from_utf8(page().unwrap()).unwrap();
        let command = Args::command();
        for argument in command.get_arguments() {
            let Some(variable) = argument.get_env() else { continue };
            let variable = variable.to_string_lossy();
            assert!(page.contains(&*variable), "{variable} is not in {page}");
        }
        assert!(page.contains(".SH Examples") && page.contains("curl"), "{page}");
    }
}
