//! The options of `lxkns orphans`.

use lxkns_core::model::NamespaceType;

use super::LookArgs;

pub(super) const EXAMPLES: &str = "\
Examples:
  lxkns orphans                 the namespaces without any process or thread, by who holds them
  lxkns orphans -t net,mnt      of these types
  lxkns orphans --fail -t net   for monitoring: exit code 4 if any is known to be left over
  lxkns orphans --json          for programs";

#[derive(Debug, clap::Args)]
pub(crate) struct OrphansArgs {
    /// Only of these types, separated by commas
    #[arg(short = 't', long = "type", value_name = "TYPES", value_delimiter = ',')]
    pub(crate) types: Vec<NamespaceType>,

    /// Exit with code 4 if any namespace is left over; names (`ip netns add`) are none
    #[arg(long)]
    pub(crate) fail: bool,

    /// Show every holder and suspect, however many there are
    #[arg(long)]
    pub(crate) all: bool,

    /// For programs: JSON
    #[arg(short = 'J', long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) look: LookArgs,
}
