//! The options of `lxkns doctor`.

use super::LookArgs;

pub(super) const EXAMPLES: &str = "\
Examples:
  lxkns doctor                    what can be seen here, and what would show more
  sudo lxkns doctor               what is left for root
  lxkns doctor --from host.json   what the look behind a dump could not see

It takes a look at everything, so that it tells what was seen and not what should be.";

#[derive(Debug, clap::Args)]
pub(crate) struct DoctorArgs {
    /// For programs: JSON
    #[arg(short = 'J', long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) look: LookArgs,
}
