//! The options of `lxkns orphans`.

use lxkns_core::model::NamespaceType;

use super::AnswerArgs;

pub(super) const EXAMPLES: &str = "\
Examples:
  lxkns orphans                 list namespaces without a process, by holder
  lxkns orphans -t net,mnt      only these types
  lxkns orphans --fail -t net   for monitoring: exit code 4 if any is left over
  lxkns orphans --json          for programs";

#[derive(Debug, clap::Args)]
pub(crate) struct OrphansArgs {
    /// Only namespaces of these types, separated by commas
    #[arg(short = 't', long = "type", value_name = "TYPES", value_delimiter = ',')]
    pub(crate) types: Vec<NamespaceType>,

    /// Exit with code 4 if any namespace is left over; named ones (`ip netns add`) do not count
    #[arg(long)]
    pub(crate) fail: bool,

    /// Show every holder and suspect
    #[arg(long)]
    pub(crate) all: bool,

    #[command(flatten)]
    pub(crate) answer: AnswerArgs,
}
