//! The options of `lxkns diff`.

use std::path::PathBuf;

use lxkns_core::model::NamespaceType;

use super::PatienceArgs;

pub(super) const EXAMPLES: &str = "\
Examples:
  lxkns dump >before.json            first; then, later:
  lxkns diff before.json             compare with this host
  lxkns diff before.json after.json  compare two dumps of a host
  ssh host lxkns dump | lxkns diff before.json -
                                     compare with standard input
  lxkns diff -t net before.json      only these types
  lxkns diff --json before.json      write a line of JSON for each change
  lxkns diff --exit-code before.json after.json
                                     exit with 4 if anything differs";

pub(super) const SIGNS: &str = "\
The first character of a line:
  +  appeared, came       -  gone, left       ~  changed
  ?  visible on one side only: it may not have ended, or may not be new

The first line names the hosts, kernels and times that are compared. A namespace
is the same if its unique ID is the same; where a side does not know it, if
inode number and type are the same.";

#[derive(Debug, clap::Args)]
pub(crate) struct DiffArgs {
    /// Dump (- is standard input)
    #[arg(value_name = "OLD")]
    pub(crate) old: PathBuf,

    /// Later dump; by default this host as it is now
    #[arg(value_name = "NEW")]
    pub(crate) new: Option<PathBuf>,

    /// Only namespaces of these types, separated by commas
    #[arg(short = 't', long = "type", value_name = "TYPES", value_delimiter = ',')]
    pub(crate) types: Vec<NamespaceType>,

    /// Show every change of a namespace
    #[arg(long)]
    pub(crate) all: bool,

    /// Write JSON, one object a line
    #[arg(short = 'J', long)]
    pub(crate) json: bool,

    /// Exit with 4 if anything differs
    #[arg(long)]
    pub(crate) exit_code: bool,

    #[command(flatten)]
    pub(crate) patience: PatienceArgs,
}
