//! The options of `lxkns watch`.

use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser as _};
use lxkns_core::model::NamespaceType;

use super::{PatienceArgs, seconds, target};
use lxkns_answers::target::Asked;

pub(super) const EXAMPLES: &str = "\
Examples:
  lxkns watch                        report all changes
  lxkns watch -t net,mnt             only these types
  lxkns watch net:4026532281         follow one namespace until it ends
  lxkns watch --interval 0.1 --json  write a line of JSON for each change
  lxkns watch --events               scan when something happens, not each second";

pub(super) const NOTES: &str = "\
A namespace that appears and ends between two scans is not seen. With --events it
is, if a task is in it when that task begins, executes a program or ends; with
--syscalls, also if a task only enters and leaves it. Events come from BPF
(CAP_BPF, CAP_PERFMON), else from the process connector (CAP_NET_ADMIN), which
names tasks only: some end before their namespaces can be read. Without either,
scans are taken at the interval. Lost events are counted and reported.

Opening and closing descriptors and sockets makes no event, nor do mounts in other
mount namespaces before Linux 6.15: a namespace that only these hold is seen at
the interval.

Holders other than processes are reported for namespaces without a process; with
--all, for every namespace.

A namespace that is no longer visible can be alive. Where the kernel says so, it
is followed to its end.

Signs are those of lxkns diff, times are UTC. watch ends when all TARGETs have
ended or nothing more can be known of them, when nobody reads its output, and on
Ctrl-C.";

#[derive(Debug, clap::Args)]
pub(crate) struct WatchArgs {
    /// Only these namespaces, and those of these processes
    #[arg(value_name = "TARGET", value_parser = OsStringValueParser::new().try_map(|text| target(&text)))]
    pub(crate) targets: Vec<Asked>,

    /// Only namespaces of these types, separated by commas
    #[arg(short = 't', long = "type", value_name = "TYPES", value_delimiter = ',')]
    pub(crate) types: Vec<NamespaceType>,

    /// Time from the start of one scan to the start of the next [default: 1; 10 with --events, unless something happens]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    pub(crate) interval: Option<Duration>,

    /// Scan when tasks or mounts change something, and report what came and went between scans
    #[arg(long)]
    pub(crate) events: bool,

    /// Follow setns(2) and unshare(2) as well, which slows every system call of the host a little
    #[arg(long, requires = "events")]
    pub(crate) syscalls: bool,

    /// Report the holders of namespaces with processes too, and every change
    #[arg(long)]
    pub(crate) all: bool,

    /// Write JSON, one object a line
    #[arg(short = 'J', long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) patience: PatienceArgs,
}
