//! The options of `lxkns dump`.

use super::PatienceArgs;

pub(super) const EXAMPLES: &str = "\
Examples:
  lxkns dump >host.json
  lxkns dump --no-cmdline | ssh desk lxkns ls --from -";

#[derive(Debug, clap::Args)]
pub(crate) struct DumpArgs {
    /// Leave out command lines, which can hold secrets
    #[arg(long)]
    pub(crate) no_cmdline: bool,

    /// Leave out mounts
    #[arg(long)]
    pub(crate) no_mounts: bool,

    /// Leave out what differs between two dumps of an unchanged host
    #[arg(long)]
    pub(crate) stable: bool,

    #[command(flatten)]
    pub(crate) patience: PatienceArgs,
}
