//! The options of `lxkns show`.

use clap::builder::{OsStringValueParser, TypedValueParser as _};

use super::LookArgs;
use lxkns_answers::target::Asked;

pub(super) const EXAMPLES: &str = "\
Examples:
  lxkns show 1234/net           links, addresses, routes, peers and listening sockets around a process
  lxkns show /run/netns/blue    the same of a network namespace by a path
  lxkns show user:4026532281    ID maps, limits, and what the user namespace owns
  lxkns show 1234               a process: its namespaces, PIDs, control groups, capabilities
  lxkns show --json :8731       by unique ID, for programs";

#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    /// What to show; a PID alone means the process
    #[arg(value_name = "TARGET", required = true,
          value_parser = OsStringValueParser::new().try_map(|text| Asked::parse(&text)))]
    pub(crate) targets: Vec<Asked>,

    /// Whole lists, however long
    #[arg(long)]
    pub(crate) all: bool,

    /// For programs: JSON
    #[arg(short = 'J', long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) look: LookArgs,
}
