//! The options of `lxkns containers`.

use clap::builder::{OsStringValueParser, TypedValueParser as _};

use super::{LookArgs, TableArgs, target};
use lxkns_answers::target::Asked;

pub(super) const EXAMPLES: &str = "\
Examples:
  lxkns containers                        list containers, who shares their
                                          namespaces, and what confines them
  lxkns containers --tree                 by engine, and by pod or project
  lxkns containers web                    only this container
  lxkns containers 1234                   the container of a process
  lxkns containers -o +PROCESS,IMAGE      add columns
  lxkns containers --json                 for programs";

#[derive(Debug, clap::Args)]
pub(crate) struct ContainersArgs {
    /// Only these containers, and those of these processes or namespaces
    #[arg(value_name = "TARGET", value_parser = OsStringValueParser::new().try_map(|text| target(&text)))]
    pub(crate) targets: Vec<Asked>,

    /// Show engines, with their pods, projects and containers below
    #[arg(long, conflicts_with = "raw")]
    pub(crate) tree: bool,

    #[command(flatten)]
    pub(crate) table: TableArgs,

    #[command(flatten)]
    pub(crate) look: LookArgs,
}
