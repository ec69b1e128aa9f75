//! The options of `lxkns audit`.

use clap::builder::{OsStringValueParser, TypedValueParser as _};
use lxkns_answers::audit::Severity;

use super::{AnswerArgs, target};
use lxkns_answers::target::Asked;

pub(super) const EXAMPLES: &str = "\
Examples:
  lxkns audit                   judge every container
  lxkns audit web               only this container
  lxkns audit 1234              a process and its descendants, in a container or not
  lxkns audit --fail            for CI: exit code 4 on findings of medium or high
  lxkns audit --fail=high web   the same, on findings of high only
  lxkns audit --json            for programs";

pub(super) const NOTES: &str = "\
Severities, by what a finding allows:
  high    take over the host without another flaw
  medium  to see or change something of the host or of others; or a barrier is
          missing that engines set up by default
  low     nothing by itself: a barrier is missing that engines leave out
  info    nothing
Exit code with --fail: 4 on a finding; else 3 if something could not be judged";

#[derive(Debug, clap::Args)]
pub(crate) struct AuditArgs {
    /// Only these containers, these processes and their descendants, and the processes in these namespaces
    #[arg(value_name = "TARGET", value_parser = OsStringValueParser::new().try_map(|text| target(&text)))]
    pub(crate) targets: Vec<Asked>,

    /// Exit with code 4 on a finding of this severity or higher; medium if none is given
    #[arg(long, value_name = "SEVERITY", num_args = 0..=1, require_equals = true, default_missing_value = "medium")]
    pub(crate) fail: Option<Severity>,

    /// Show all evidence of each finding
    #[arg(long)]
    pub(crate) all: bool,

    #[command(flatten)]
    pub(crate) answer: AnswerArgs,
}
