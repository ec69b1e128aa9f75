//! The options of `lxkns links`.

use clap::builder::{OsStringValueParser, TypedValueParser as _};

use super::{LookArgs, TableArgs, target};
use lxkns_answers::target::Asked;

pub(super) const EXAMPLES: &str = "\
Examples:
  lxkns links                   list all links, and where their other ends are
  lxkns links --tree            bridges with their ports, and the peers of these
  lxkns links web               only links with an end in the network namespace of a
                                container
  lxkns links net:4026532281    the same by namespace
  lxkns links -r -o NAME,NS,OTHER,OTHERNS
                                for scripts
  lxkns links --json            as a graph, for programs";

#[derive(Debug, clap::Args)]
pub(crate) struct LinksArgs {
    /// Only links with an end in these network namespaces
    #[arg(value_name = "TARGET", value_parser = OsStringValueParser::new().try_map(|text| target(&text)))]
    pub(crate) targets: Vec<Asked>,

    /// Show ports, links on top of others and peers below what they belong to
    #[arg(long, conflicts_with_all = ["raw", "json"])]
    pub(crate) tree: bool,

    #[command(flatten)]
    pub(crate) table: TableArgs,

    #[command(flatten)]
    pub(crate) look: LookArgs,
}
