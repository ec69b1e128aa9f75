//! `cargo xtask man`: the man pages, one for each command.
//!
//! `lxkns` writes its own, from the definitions that its options are parsed by, so that a host which has nothing but
//! the one file can have them too. Here that is only called.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use crate::run::{cargo, run as run_command};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where they are put
    #[arg(value_name = "DIR", default_value = "target/man")]
    dir: PathBuf,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    write(&args.dir)?;
    println!("written to {}", args.dir.display());
    Ok(())
}

/// Writes them where nobody looks, to prove that it can be done.
pub(crate) fn smoke() -> anyhow::Result<()> {
    write(tempfile::tempdir()?.path())
}

fn write(dir: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    run_command(cargo(["run", "--quiet", "--locked", "--package", "lxkns", "--", "man"]).arg(dir))?;
    for page in ["lxkns.1", "lxkns-ls.1", "lxkns-why.1", "lxkns-dump.1"] {
        ensure!(dir.join(page).exists(), "{page} was not written");
    }
    Ok(())
}
