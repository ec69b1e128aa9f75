//! The options. One letter means one thing in every command.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use lxkns_answers::target::{Asked, PID_MAX, ParseError};
use lxkns_core::model::Reader;

use crate::live;
use crate::view;
use crate::view::screen::Color;

mod audit;
mod busy;
mod caps;
mod completions;
mod containers;
mod diff;
mod doctor;
mod dump;
mod enter;
mod explain;
pub(crate) mod fill;
mod links;
mod ls;
mod man;
mod mounts;
mod orphans;
mod owner;
mod ports;
mod show;
mod tree;
mod watch;
mod who_can;
mod why;

pub(crate) use self::audit::AuditArgs;
pub(crate) use self::busy::BusyArgs;
pub(crate) use self::caps::CapsArgs;
pub(crate) use self::completions::CompletionsArgs;
pub(crate) use self::containers::ContainersArgs;
pub(crate) use self::diff::DiffArgs;
pub(crate) use self::doctor::DoctorArgs;
pub(crate) use self::dump::DumpArgs;
pub(crate) use self::enter::{EnterArgs, EnvironmentOf, LimitsFrom};
pub(crate) use self::explain::ExplainArgs;
pub(crate) use self::links::LinksArgs;
pub(crate) use self::ls::LsArgs;
pub(crate) use self::man::ManArgs;
pub(crate) use self::mounts::MountsArgs;
pub(crate) use self::orphans::OrphansArgs;
pub(crate) use self::owner::OwnerArgs;
pub(crate) use self::ports::PortsArgs;
pub(crate) use self::show::ShowArgs;
pub(crate) use self::tree::{KindOrTarget, TreeArgs, TreeKind};
pub(crate) use self::watch::WatchArgs;
pub(crate) use self::who_can::WhoCanArgs;
pub(crate) use self::why::WhyArgs;

const TEMPLATE: &str = "{about-with-newline}\n{before-help}{usage-heading} {usage}\n\n{all-args}{after-help}";

const EXAMPLES: &str = "\
Examples:
  lxkns ls                      list the namespaces of this host
  lxkns ls -t net -o +HOLDERS   list network namespaces, with holder counts
  lxkns why net:4026532281      explain what keeps a network namespace alive
  lxkns why /run/netns/blue     the same by path
  lxkns show 1234/net           show links, addresses, routes and sockets
  lxkns links                   list the links of all network namespaces
  lxkns show link:veth1a2b      show which container owns a veth
  lxkns orphans                 list namespaces without a process
  lxkns tree --owned            show user namespaces, with what each owns
  lxkns caps -p 1234 /run/netns/blue
                                show what a process may do there
  lxkns who-can net_admin web   list the processes that may change its network
  lxkns explain unshare -Urn    show what keeps the caller from doing that
  lxkns mounts 1234             show the mounts of a process
  lxkns owner web:/etc/shadow   show whose a file is in each user namespace
  lxkns containers              list containers, and what they share
  lxkns audit web               judge how well a container is isolated
  lxkns ports --port 8080       show who listens on a port, in any namespace
  lxkns doctor                  report what is visible and what would show more
  lxkns enter web -- ps ax      run a command in a container
  lxkns dump >host.json         write everything as JSON
  lxkns diff host.json          show what has changed since then
  lxkns watch -t net            report changes of network namespaces
  lxkns ls --from host.json     read a dump instead of this host";

const TARGET_HELP: &str = "\
TARGET can be:
  1234              all namespaces of a process
  1234/net          the network namespace of a process
  1234:5678         a process, only if 5678 is its start time or the inode number of its pidfd
  4026532281        a namespace by inode number
  net:4026532281    the same, with its type; also net:[4026532281]
  :8731             a namespace by unique ID
  self, self/net    this process (lxkns): the namespaces of the caller
  host, host/net    the initial namespaces
  blue, netns:blue  a network namespace by its name (ip netns)
  web, docker:web   a container by name or ID (12 digits or more): its main process
  web/net           the network namespace of a container, also without a process
  pod:default/web-0 a pod; pod:default/web-0/app is a container in it
  link:veth1a2b     a link by name, in any network namespace; show shows the link, all
                    others take the network namespace that it is in
  link:web/eth0     the same, in the network namespace of another TARGET
  /run/netns/x      a namespace by path: any other text with a slash
Exit code if TARGET is not found: 1 if it does not exist, 3 if it may exist
(enter: 125)";

/// Show every Linux namespace of a host, and what keeps each alive
#[derive(Debug, Parser)]
#[command(name = "lxkns", version, help_template = TEMPLATE, before_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// Use colour: auto (on a terminal, unless NO_COLOR is set), always, never
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        value_enum,
        default_value_t,
        hide_possible_values = true,
        hide_default_value = true
    )]
    pub(crate) color: Color,
}

impl Args {
    /// Those of this process; help in lines of so many columns, `None` where there is no terminal.
    pub(crate) fn try_read(columns: Option<usize>) -> Result<Self, clap::Error> {
        let matches =
            fill::command(Self::command(), columns).try_get_matches_from(explain::reordered(std::env::args_os()))?;
        Self::from_arg_matches(&matches)
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List namespaces, one a line
    #[command(help_template = TEMPLATE, before_help = ls::EXAMPLES,
              after_help = format!("{}\n\n{TARGET_HELP}", view::columns::help()))]
    Ls(LsArgs),
    /// Show user namespaces, PID namespaces or processes as a tree
    #[command(help_template = TEMPLATE, before_help = tree::EXAMPLES, after_help = TARGET_HELP)]
    Tree(TreeArgs),
    /// Show everything about a namespace or a process
    #[command(help_template = TEMPLATE, before_help = show::EXAMPLES, after_help = TARGET_HELP)]
    Show(ShowArgs),
    /// Explain what keeps a namespace alive and what would release it
    #[command(help_template = TEMPLATE, before_help = why::EXAMPLES, after_help = TARGET_HELP)]
    Why(WhyArgs),
    /// List namespaces without a process, and what would release them
    #[command(help_template = TEMPLATE, before_help = orphans::EXAMPLES)]
    Orphans(OrphansArgs),
    /// Show the mounts of a mount namespace
    #[command(help_template = TEMPLATE, before_help = mounts::EXAMPLES,
              after_help = format!("{}\n\n{TARGET_HELP}", view::mounts::help()))]
    Mounts(MountsArgs),
    /// Explain why a mount is busy, and where else its file system is mounted and used
    #[command(help_template = TEMPLATE, before_help = busy::EXAMPLES)]
    Busy(BusyArgs),
    /// Show the capabilities of a process in a namespace, and why
    #[command(help_template = TEMPLATE, before_help = caps::EXAMPLES, after_help = TARGET_HELP)]
    Caps(CapsArgs),
    /// List who has a capability in a namespace, and why
    #[command(help_template = TEMPLATE, before_help = who_can::EXAMPLES,
              after_help = format!("{}\n\n{TARGET_HELP}", who_can::NOTES))]
    WhoCan(WhoCanArgs),
    /// Explain whether a process may create or enter namespaces, and what stands in the way
    #[command(help_template = TEMPLATE, before_help = explain::EXAMPLES,
              after_help = format!("{}\n\n{TARGET_HELP}", explain::NOTES))]
    Explain(ExplainArgs),
    /// Show whose a file is, on the host and in each user namespace that sees it
    #[command(help_template = TEMPLATE, before_help = owner::EXAMPLES, after_help = TARGET_HELP)]
    Owner(OwnerArgs),
    /// List containers, whose namespaces they are in, and what confines them
    #[command(help_template = TEMPLATE, before_help = containers::EXAMPLES,
              after_help = format!("{}\n\n{TARGET_HELP}", view::containers::help()))]
    Containers(ContainersArgs),
    /// Judge how well containers and processes are isolated from the host
    #[command(help_template = TEMPLATE, before_help = audit::EXAMPLES,
              after_help = format!("{}\n\n{TARGET_HELP}", audit::NOTES))]
    Audit(AuditArgs),
    /// List listening sockets, in every network namespace
    #[command(help_template = TEMPLATE, before_help = ports::EXAMPLES,
              after_help = format!("{}\n\n{}\n\n{TARGET_HELP}", view::ports::help(), ports::NOTES))]
    Ports(PortsArgs),
    /// List the links of all network namespaces, and their other ends
    #[command(help_template = TEMPLATE, before_help = links::EXAMPLES,
              after_help = format!("{}\n\n{TARGET_HELP}", view::links::help()))]
    Links(LinksArgs),
    /// Report what is visible on this host, what is not and why, and what would help
    #[command(help_template = TEMPLATE, before_help = doctor::EXAMPLES)]
    Doctor(DoctorArgs),
    /// Run a command inside, within the limits and the confinement of a process
    #[command(help_template = TEMPLATE, before_help = enter::EXAMPLES,
              after_help = format!("{TARGET_HELP}\n\n{}", enter::EXIT_CODES))]
    Enter(EnterArgs),
    /// Write everything as JSON
    #[command(help_template = TEMPLATE, before_help = dump::EXAMPLES)]
    Dump(DumpArgs),
    /// Compare two dumps, or a dump with this host
    #[command(help_template = TEMPLATE, before_help = diff::EXAMPLES, after_help = diff::SIGNS)]
    Diff(DiffArgs),
    /// Report changes as they happen
    #[command(help_template = TEMPLATE, before_help = watch::EXAMPLES,
              after_help = format!("{}\n\n{TARGET_HELP}", watch::NOTES))]
    Watch(WatchArgs),
    /// Write a completion script for a shell
    #[command(help_template = TEMPLATE, before_help = completions::EXAMPLES)]
    Completions(CompletionsArgs),
    /// Write the man pages into a directory
    #[command(help_template = TEMPLATE, before_help = man::EXAMPLES)]
    Man(ManArgs),
    /// Answer what the scripts of `lxkns completions` ask
    #[command(hide = true)]
    Complete {
        /// Words of the command line, to the cursor
        #[arg(last = true)]
        words: Vec<OsString>,
    },
    /// Answer another lxkns from inside a namespace
    #[command(name = INSIDE, hide = true)]
    Inside,
}

/// The hidden command that serves inside namespaces.
pub(crate) const INSIDE: &str = "inside";

/// Reads a TARGET. The caller is this process.
fn target(text: &OsStr) -> Result<Asked, ParseError> {
    let asked = Asked::parse(text)?;
    if !asked.is_caller() {
        return Ok(asked);
    }
    // Where procfs does not have this process, the TARGET stays what it is, and means nothing known.
    Ok(match live::self_is_asked() {
        Ok(pid) => asked.of_caller(pid),
        Err(_) => asked,
    })
}

/// How a table is written.
#[derive(Debug, clap::Args)]
pub(crate) struct TableArgs {
    /// Columns, separated by commas; +LIST adds to the default ones
    #[arg(short, long, value_name = "LIST")]
    pub(crate) output: Vec<String>,

    /// Show all columns
    #[arg(long, conflicts_with = "output")]
    pub(crate) output_all: bool,

    /// Leave out headings
    #[arg(short, long, alias = "noheadings")]
    pub(crate) no_headings: bool,

    /// Write for scripts: one space between fields, "-" for an empty one, unsafe bytes as \xHH
    #[arg(short, long, conflicts_with = "json")]
    pub(crate) raw: bool,

    /// Write JSON
    #[arg(short = 'J', long)]
    pub(crate) json: bool,
}

/// Of what is answered, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct AnswerArgs {
    /// Write JSON
    #[arg(short = 'J', long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) look: LookArgs,
}

/// What is scanned or read.
#[derive(Debug, clap::Args)]
pub(crate) struct LookArgs {
    /// Read a dump instead of this host (- is standard input)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["engines", "reader"])]
    pub(crate) from: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) patience: PatienceArgs,
}

/// How this host is read, and how long to wait.
#[derive(Debug, clap::Args)]
pub(crate) struct PatienceArgs {
    /// Timeout for each operation in another namespace, and for each engine
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds,
          allow_negative_numbers = true)]
    pub(crate) timeout: Duration,

    /// Ask Docker, containerd and podman, over their sockets, for facts that nothing else shows
    #[arg(long)]
    pub(crate) engines: bool,

    /// Read tasks and open files from procfs (proc) or the kernel's iterators (kernel), or choose (auto)
    #[arg(
        long,
        value_name = "READER",
        value_enum,
        default_value_t,
        hide_possible_values = true,
        hide_default_value = true
    )]
    pub(crate) reader: ReaderChoice,
}

/// Where tasks and open files are read from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ReaderChoice {
    /// The kernel's iterators where that is possible, if there are many processes or references are told; procfs otherwise
    #[default]
    Auto,
    /// Procfs
    Proc,
    /// The kernel's iterators (BPF); procfs if that is not possible
    Kernel,
}

impl ReaderChoice {
    /// The reader; `None` leaves the choice to discovery.
    pub(crate) fn reader(self) -> Option<Reader> {
        match self {
            Self::Auto => None,
            Self::Proc => Some(Reader::Proc),
            Self::Kernel => Some(Reader::Kernel),
        }
    }
}

fn pid(text: &str) -> Result<u32, String> {
    let pid = text.parse().ok().filter(|&pid| (1..=PID_MAX).contains(&u64::from(pid)));
    pid.ok_or_else(|| format!("not a PID: expected a number from 1 to {PID_MAX}"))
}

fn port(text: &str) -> Result<u16, &'static str> {
    text.parse().ok().filter(|&port| port != 0).ok_or("not a port: expected a number from 1 to 65535")
}

fn descriptor(text: &str) -> Result<i32, &'static str> {
    text.parse().ok().filter(|&fd| fd >= 0).ok_or("not a descriptor: expected a number from 0 on")
}

fn seconds(text: &str) -> Result<Duration, &'static str> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.filter(|seconds| !seconds.is_zero()).ok_or("not a number of seconds above 0")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use lxkns_core::model::NamespaceType;

    use super::*;

    fn ls(arguments: &[&str]) -> Result<LsArgs, clap::Error> {
        match Args::try_parse_from([&["lxkns", "ls"], arguments].concat())?.command {
            Command::Ls(ls) => Ok(ls),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_options_are_well_formed() {
        Args::command().debug_assert();
    }

    #[test]
    fn types_can_be_listed_and_repeated() {
        let args = ls(&["-t", "net,user", "--type=pid"]).unwrap();
        assert_eq!(args.types, [NamespaceType::Net, NamespaceType::User, NamespaceType::Pid]);
        assert_eq!(ls(&["-t", "nets"]).unwrap_err().exit_code(), 2);
    }

    #[test]
    fn columns_may_begin_with_a_plus_and_letters_combine() {
        let args = ls(&["-rno", "+PATH", "1234"]).unwrap();
        assert!(args.table.raw && args.table.no_headings);
        assert_eq!(args.table.output, ["+PATH"]);
        assert_eq!(args.targets, [Asked::process(1234)]);
    }

    #[test]
    fn a_dump_was_read_already() {
        assert_eq!(ls(&["--reader", "kernel"]).unwrap().look.patience.reader.reader(), Some(Reader::Kernel));
        assert_eq!(ls(&["--from", "-"]).unwrap().look.patience.reader.reader(), None);
        assert_eq!(ls(&["--from", "-", "--reader", "auto"]).unwrap_err().exit_code(), 2);
    }

    #[test]
    fn bad_usage_has_code_2() {
        for arguments in [&["-p", "0"][..], &["-p", "4194305"], &["-rJ"], &["non sense"], &["-x"]] {
            assert_eq!(ls(arguments).unwrap_err().exit_code(), 2, "{arguments:?}");
        }
        assert_eq!(Args::try_parse_from(["lxkns", "why"]).unwrap_err().exit_code(), 2);
    }

    #[test]
    fn help_of_each_command_has_examples_first() {
        let mut whole = Args::command();
        whole.build();
        let visible = whole.get_subcommands().filter(|command| !command.is_hide_set() && command.get_name() != "help");
        let commands: Vec<_> = visible.cloned().chain([whole.clone()]).collect();
        assert!(commands.len() > 9, "{commands:?}");
        for mut command in commands {
            let help = command.render_help().to_string();
            let at = |text: &str| help.find(text).unwrap_or_else(|| panic!("{text} is not in {help}"));
            assert!(at("Examples:\n  lxkns ") < at("Usage:") && at("Usage:") < at("Options:"), "{help}");
            assert_eq!(help.lines().position(|line| line == "Examples:"), Some(2), "{help}");
        }
    }

    #[test]
    fn help_has_examples_before_the_options_and_all_columns() {
        let help = ls(&["--help"]).unwrap_err().to_string();
        let at = |text: &str| help.find(text).unwrap_or_else(|| panic!("{text} is not in {help}"));
        assert!(at("Examples:") < at("Usage:") && at("Usage:") < at("Options:") && at("Options:") < at("UNIQUEID "));
    }
}
