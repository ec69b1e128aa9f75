//! The options of `lxkns mounts`.

use clap::builder::{OsStringValueParser, TypedValueParser as _};

use super::{LookArgs, TableArgs, target};
use lxkns_answers::target::Asked;

pub(super) const EXAMPLES: &str = "\
Examples:
  lxkns mounts 1234                       show the mounts of a process as a tree
  lxkns mounts --hidden 1234              list mounts that no path leads to
  lxkns mounts mnt:4026532281             show the mounts of a mount namespace
  lxkns mounts -o +PEERS,RECEIVERS 1234   add peers in other mount namespaces
  lxkns mounts -rno TARGET,FSTYPE 1234    for scripts: one space between fields,
                                          no headings";

#[derive(Debug, clap::Args)]
pub(crate) struct MountsArgs {
    /// Mount namespace, or a process in it; by default that of lxkns
    #[arg(value_name = "TARGET", value_parser = OsStringValueParser::new().try_map(|text| target(&text)))]
    pub(crate) target: Option<Asked>,

    /// Write a list instead of a tree
    #[arg(short, long)]
    pub(crate) list: bool,

    /// List only hidden mounts
    #[arg(long)]
    pub(crate) hidden: bool,

    #[command(flatten)]
    pub(crate) table: TableArgs,

    #[command(flatten)]
    pub(crate) look: LookArgs,
}
