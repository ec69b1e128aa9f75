//! The options of `lxkns diff`.

use std::path::PathBuf;

use lxkns_core::model::NamespaceType;

use super::PatienceArgs;

pub(super) const EXAMPLES: &str = "\
Examples:
  lxkns dump >before.json            now, and later:
  lxkns diff before.json             what has changed on this host since then
  lxkns diff before.json after.json  between two dumps of a host
  ssh host lxkns dump | lxkns diff before.json -
                                     between a dump and what comes in
  lxkns diff -t net before.json      of these types
  lxkns diff --json before.json      for programs: a line of JSON for each change";

pub(super) const SIGNS: &str = "\
The first character of a line:
  +  appeared, came       -  gone, left       ~  changed
  ?  visible on one side only: it need not have ended, or be new

The exit code is 0 whether something differs or not. A namespace is the same if its unique ID is,
where both sides know it, and else if its inode number and type are.";

#[derive(Debug, clap::Args)]
pub(crate) struct DiffArgs {
    /// A dump (- is standard input)
    #[arg(value_name = "OLD")]
    pub(crate) old: PathBuf,

    /// A later dump; without it, this host as it is now
    #[arg(value_name = "NEW")]
    pub(crate) new: Option<PathBuf>,

    /// Only of these types, separated by commas
    #[arg(short = 't', long = "type", value_name = "TYPES", value_delimiter = ',')]
    pub(crate) types: Vec<NamespaceType>,

    /// Every change of a namespace, however many there are
    #[arg(long)]
    pub(crate) all: bool,

    /// For programs: JSON, one object a line
    #[arg(short = 'J', long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) patience: PatienceArgs,
}
