//! The options of `lxkns watch`.

use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser as _};
use lxkns_core::model::NamespaceType;

use super::{PatienceArgs, seconds};
use lxkns_answers::target::Asked;

pub(super) const EXAMPLES: &str = "\
Examples:
  lxkns watch                        what appears, goes and changes, as it is seen
  lxkns watch -t net,mnt             of these types
  lxkns watch net:4026532281         follow one namespace until it is gone
  lxkns watch --interval 0.1 --json  for programs: a line of JSON for each change";

pub(super) const NOTES: &str = "\
What appears and goes again between two looks is not seen.

What holds a namespace beside the processes in it is told where no process is in it, before or
after; with --all, of every namespace. Some only have it open for a moment, to look at it.

A namespace that is no longer visible can be alive: where the kernel says so, it is followed to
its end.

Signs are those of lxkns diff, times are UTC. It ends when all TARGETs are gone or nothing more
can be known of them, when nobody reads what it writes, and by Ctrl-C.";

#[derive(Debug, clap::Args)]
pub(crate) struct WatchArgs {
    /// Only these namespaces, and those that these processes are in
    #[arg(value_name = "TARGET", value_parser = OsStringValueParser::new().try_map(|text| Asked::parse(&text)))]
    pub(crate) targets: Vec<Asked>,

    /// Only of these types, separated by commas
    #[arg(short = 't', long = "type", value_name = "TYPES", value_delimiter = ',')]
    pub(crate) types: Vec<NamespaceType>,

    /// From the beginning of one look to that of the next, which comes at once where a look takes longer
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    pub(crate) interval: Duration,

    /// What holds namespaces with processes too; every change of a namespace, however many there are
    #[arg(long)]
    pub(crate) all: bool,

    /// For programs: JSON, one object a line
    #[arg(short = 'J', long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) patience: PatienceArgs,
}
