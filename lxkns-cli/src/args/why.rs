//! The options of `lxkns why`.

use clap::builder::{OsStringValueParser, TypedValueParser as _};

use super::{AnswerArgs, target};
use lxkns_answers::target::Asked;

pub(super) const EXAMPLES: &str = "\
Examples:
  lxkns why 4026532281          explain every holder of a namespace
  lxkns why 1234/net            the same for the network namespace of a process
  lxkns why 1234                the same for all namespaces of a process, in short
  lxkns why --json :8731        by unique ID, for programs";

#[derive(Debug, clap::Args)]
pub(crate) struct WhyArgs {
    /// Namespaces to explain
    #[arg(value_name = "TARGET", required = true,
          value_parser = OsStringValueParser::new().try_map(|text| target(&text)))]
    pub(crate) targets: Vec<Asked>,

    /// Show every holder
    #[arg(long)]
    pub(crate) all: bool,

    #[command(flatten)]
    pub(crate) answer: AnswerArgs,
}
