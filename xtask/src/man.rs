//! `cargo xtask man`: the man pages, one for each command of `lxkns`, and that of `lxknsd`.
//!
//! Both write their own, from the definitions that its options are parsed by, so a host that has nothing but
//! the one file can have them too. Here that is only called.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, ensure};

use crate::run::{cargo, output, run as run_command};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where they are put
    #[arg(value_name = "DIR", default_value = "target/man")]
    dir: PathBuf,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let dir = &args.dir;
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    run_command(cargo(["run", "--quiet", "--locked", "--package", "lxkns", "--", "man"]).arg(dir))?;
    let help = output(&mut cargo(["run", "--quiet", "--locked", "--package", "lxkns", "--", "--help"]))?;
    let commands: Vec<&str> = commands(&help).collect();
    ensure!(commands.len() > 1, "lxkns --help names no commands");
    for page in commands.iter().map(|command| format!("lxkns-{command}.1")).chain(["lxkns.1".to_owned()]) {
        ensure!(dir.join(&page).exists(), "{page} was not written");
    }
    run_command(cargo(["run", "--quiet", "--locked", "--package", "lxkns-serve", "--", "man"]).arg(dir))?;
    ensure!(dir.join("lxknsd.8").exists(), "lxknsd.8 was not written");
    println!("written to {}", dir.display());
    Ok(())
}

/// The commands that the help lists, but for the one that shows help.
fn commands(help: &str) -> impl Iterator<Item = &str> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // Continuation lines have a deeper indentation.
    let names = lines.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    names.filter(|&name| !name.is_empty() && name != "help")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_from_the_help() {
        let help = "Usage: x\n\nCommands:\n  ls    Lists\n  why   Says\n        more\n  help  Print\n\nOptions:\n  -h  Print\n";
        assert_eq!(commands(help).collect::<Vec<_>>(), ["ls", "why"]);
    }
}
