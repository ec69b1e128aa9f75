//! The options of `lxkns why`.

use clap::builder::{OsStringValueParser, TypedValueParser as _};

use super::LookArgs;
use lxkns_answers::target::Asked;

pub(super) const EXAMPLES: &str = "\
Examples:
  lxkns why 4026532281          every holder of a namespace, and what would release it
  lxkns why 1234/net            of the network namespace of a process
  lxkns why 1234                of all namespaces of a process, in short
  lxkns why --json :8731        by unique ID, for programs";

#[derive(Debug, clap::Args)]
pub(crate) struct WhyArgs {
    /// What to explain
    #[arg(value_name = "TARGET", required = true,
          value_parser = OsStringValueParser::new().try_map(|text| Asked::parse(&text)))]
    pub(crate) targets: Vec<Asked>,

    /// Every holder, however many there are
    #[arg(long)]
    pub(crate) all: bool,

    /// For programs: JSON
    #[arg(short = 'J', long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) look: LookArgs,
}
