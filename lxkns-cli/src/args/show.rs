//! The options of `lxkns show`.

use clap::builder::{OsStringValueParser, TypedValueParser as _};

use super::{AnswerArgs, target};
use lxkns_answers::target::Asked;

pub(super) const EXAMPLES: &str = "\
Examples:
  lxkns show 1234/net           show links, addresses, routes, peers and listening sockets
  lxkns show /run/netns/blue    the same by path
  lxkns show user:4026532281    show ID maps, limits, and what the user namespace owns
  lxkns show 1234               show a process: whether it is root on the host, its filters,
                                its namespaces, control groups and capabilities
  lxkns show link:veth1a2b      show a link: whose network namespaces it connects
  lxkns show                    show lxkns itself: the namespaces of its caller
  lxkns show --json :8731       by unique ID, for programs";

#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    /// Namespaces, processes and links to show; a PID alone means the process; by default lxkns itself
    #[arg(value_name = "TARGET",
          value_parser = OsStringValueParser::new().try_map(|text| target(&text)))]
    pub(crate) targets: Vec<Asked>,

    /// Show long lists in full
    #[arg(long)]
    pub(crate) all: bool,

    #[command(flatten)]
    pub(crate) answer: AnswerArgs,
}
