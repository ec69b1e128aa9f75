//! The options of `lxkns dump`.

use super::LookArgs;

pub(super) const EXAMPLES: &str = "\
Examples:
  lxkns dump >host.json
  lxkns dump --no-cmdline | ssh desk lxkns ls --from -
  lxkns dump --from host.json --no-cmdline --no-mounts >shared.json
                         write a dump again, without command lines and mounts
  lxkns dump --from go.json >host.json
                         convert a dump of the Go program";

#[derive(Debug, clap::Args)]
pub(crate) struct DumpArgs {
    /// Leave out command lines, which can hold secrets
    #[arg(long)]
    pub(crate) no_cmdline: bool,

    /// Leave out mounts
    #[arg(long)]
    pub(crate) no_mounts: bool,

    /// Leave out details that differ between two dumps of an unchanged host
    #[arg(long)]
    pub(crate) stable: bool,

    #[command(flatten)]
    pub(crate) look: LookArgs,
}
