//! The options of `lxkns ports`.

use clap::builder::{OsStringValueParser, TypedValueParser as _};

use super::{LookArgs, TableArgs, port, target};
use lxkns_answers::target::Asked;

pub(super) const EXAMPLES: &str = "\
Examples:
  lxkns ports                   list who listens, in every network namespace
  lxkns ports --port 8080       who listens on this port
  lxkns ports --port 80,443     who listens on any of these
  lxkns ports web               what a container listens on
  lxkns ports 1234              what a process listens on
  lxkns ports 1234/net          who listens in its network namespace
  lxkns ports --unix            UNIX sockets too
  lxkns ports --json            for programs, with descriptors";

pub(super) const NOTES: &str = "\
Listed are sockets that listen, and UDP sockets that are not connected.
A process means the sockets that it has open. A container means those of its
processes, and all in its network namespace unless that is the host's.
A dump has no sockets: --from is refused.
Exit code with --port if nobody listens: 1, or 3 if not all could be read";

#[derive(Debug, clap::Args)]
pub(crate) struct PortsArgs {
    /// Only sockets of these processes, containers and network namespaces
    #[arg(value_name = "TARGET", value_parser = OsStringValueParser::new().try_map(|text| target(&text)))]
    pub(crate) targets: Vec<Asked>,

    /// Only these ports, separated by commas
    #[arg(long = "port", value_name = "PORTS", value_delimiter = ',', value_parser = port)]
    pub(crate) ports: Vec<u16>,

    /// List UNIX sockets too
    #[arg(long, conflicts_with = "ports")]
    pub(crate) unix: bool,

    #[command(flatten)]
    pub(crate) table: TableArgs,

    #[command(flatten)]
    pub(crate) look: LookArgs,
}
