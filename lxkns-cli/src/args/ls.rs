//! The options of `lxkns ls`.

use clap::builder::{OsStringValueParser, TypedValueParser as _};
use lxkns_core::model::NamespaceType;

use super::{LookArgs, TableArgs, pid, target};
use crate::view::columns;
use lxkns_answers::list::Column;
use lxkns_answers::target::Asked;

pub(super) const EXAMPLES: &str = "\
Examples:
  lxkns ls -t net,user                    list network and user namespaces
  lxkns ls -p 1234                        list the namespaces of a process
  lxkns ls -o NS,TYPE,HOLDERS -t net      list network namespaces, count holders
  lxkns ls --sort NPROCS                  list namespaces by number of processes
  lxkns ls -rno NS,NSFS -t net            for scripts: one space between fields,
                                          no headings
  lxkns ls --json -o +UNIQUEID,ONS        for programs";

#[derive(Debug, clap::Args)]
pub(crate) struct LsArgs {
    /// Only these namespaces, and those of these processes
    #[arg(value_name = "TARGET", value_parser = OsStringValueParser::new().try_map(|text| target(&text)))]
    pub(crate) targets: Vec<Asked>,

    /// Only namespaces of these types, separated by commas
    #[arg(short = 't', long = "type", value_name = "TYPES", value_delimiter = ',')]
    pub(crate) types: Vec<NamespaceType>,

    /// Only namespaces of this process
    #[arg(short = 'p', long = "pid", value_name = "PID", value_parser = pid)]
    pub(crate) pids: Vec<u32>,

    /// Sort by a column; unknown values come last
    #[arg(long, value_name = "COLUMN", value_parser = columns::from_name)]
    pub(crate) sort: Option<Column>,

    #[command(flatten)]
    pub(crate) table: TableArgs,

    #[command(flatten)]
    pub(crate) look: LookArgs,
}
