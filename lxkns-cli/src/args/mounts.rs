//! The options of `lxkns mounts`.

use clap::builder::{OsStringValueParser, TypedValueParser as _};

use super::{LookArgs, TableArgs};
use lxkns_answers::target::Asked;

pub(super) const EXAMPLES: &str = "\
Examples:
  lxkns mounts 1234                       the mounts that a process has around it, as a tree
  lxkns mounts --hidden 1234              those that no path leads to
  lxkns mounts mnt:4026532281             of a mount namespace, with a process in it or without
  lxkns mounts -o +PEERS,RECEIVERS 1234   and in which others mounts are propagated
  lxkns mounts -rno TARGET,FSTYPE 1234    for scripts: one blank between fields, no headings";

#[derive(Debug, clap::Args)]
pub(crate) struct MountsArgs {
    /// Whose mounts: a mount namespace, or a process that is in it; without it, this one's
    #[arg(value_name = "TARGET", value_parser = OsStringValueParser::new().try_map(|text| Asked::parse(&text)))]
    pub(crate) target: Option<Asked>,

    /// A list instead of a tree
    #[arg(short, long)]
    pub(crate) list: bool,

    /// Only those that are hidden by others, as a list
    #[arg(long)]
    pub(crate) hidden: bool,

    #[command(flatten)]
    pub(crate) table: TableArgs,

    #[command(flatten)]
    pub(crate) look: LookArgs,
}
