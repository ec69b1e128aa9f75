//! The options of `lxkns caps`.

use clap::builder::{OsStringValueParser, TypedValueParser as _};

use super::{AnswerArgs, pid, target};
use lxkns_answers::target::Asked;

pub(super) const EXAMPLES: &str = "\
Examples:
  lxkns caps 1234                 show what a process may do in its own namespaces and on the host
  lxkns caps 1234/net             show what lxkns may do in the network namespace of a process
  lxkns caps -p 1234 user:4026532281
                                  show what a process may do in a user namespace
  lxkns caps --json /run/netns/x  for programs";

#[derive(Debug, clap::Args)]
pub(crate) struct CapsArgs {
    /// Namespace; a PID alone means what that process may do in its own namespaces and on the host
    #[arg(value_name = "TARGET", value_parser = OsStringValueParser::new().try_map(|text| target(&text)))]
    pub(crate) target: Asked,

    /// Process or task to ask about; by default TARGET if that is a PID, else lxkns itself
    #[arg(short = 'p', long = "pid", value_name = "PID", value_parser = pid)]
    pub(crate) pid: Option<u32>,

    #[command(flatten)]
    pub(crate) answer: AnswerArgs,
}
