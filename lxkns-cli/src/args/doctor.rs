//! The options of `lxkns doctor`.

use super::AnswerArgs;

pub(super) const EXAMPLES: &str = "\
Examples:
  lxkns doctor                   report what is visible and what would show more
  sudo lxkns doctor              report what even root does not see
  lxkns doctor --from host.json  report what the scan of a dump could not see

It scans everything, so it reports what was visible, not what should be.";

#[derive(Debug, clap::Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) answer: AnswerArgs,
}
