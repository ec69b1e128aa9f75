//! The options of `lxkns man`.

use std::path::PathBuf;

pub(super) const EXAMPLES: &str = "\
Examples:
  lxkns man /usr/local/share/man/man1
  lxkns man . && man -l lxkns-why.1";

#[derive(Debug, clap::Args)]
pub(crate) struct ManArgs {
    /// Directory to write to; it must exist
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
}
