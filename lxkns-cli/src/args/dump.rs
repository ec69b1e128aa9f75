//! The options of `lxkns dump`.

use super::PatienceArgs;

pub(super) const EXAMPLES: &str = "\
Examples:
  lxkns dump >host.json
  lxkns dump --no-cmdline | ssh desk lxkns ls --from -";

#[derive(Debug, clap::Args)]
pub(crate) struct DumpArgs {
    /// Without the command lines of processes, which can hold secrets
    #[arg(long)]
    pub(crate) no_cmdline: bool,

    /// Without the mounts of mount namespaces
    #[arg(long)]
    pub(crate) no_mounts: bool,

    /// Without what differs between two runs over an unchanged host
    #[arg(long)]
    pub(crate) stable: bool,

    #[command(flatten)]
    pub(crate) patience: PatienceArgs,
}
