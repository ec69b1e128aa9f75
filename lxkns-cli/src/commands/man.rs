//! `lxkns man`: the man pages, from the same definitions as `--help`.

use std::path::Path;

use anyhow::Context as _;
use clap::CommandFactory as _;

use crate::args::Args;
use crate::exit::{Exit, Result};

/// Runs it.
pub(crate) fn run(dir: &Path) -> Result {
    clap_mangen::generate_to(Args::command(), dir).with_context(|| format!("write man pages to {dir:?}"))?;
    Ok(Exit::Done)
}
