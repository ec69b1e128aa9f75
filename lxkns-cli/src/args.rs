//! The options. One letter means one thing in every command.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser as _};
use clap::{Parser, Subcommand};
use lxkns_core::model::NamespaceType;

use crate::file_system;
use crate::target::{Asked, PID_MAX};
use crate::view::screen::Color;
use crate::view::tree::CgroupDetail;
use crate::view::{columns, mounts};

const TEMPLATE: &str = "{about-with-newline}\n{before-help}{usage-heading} {usage}\n\n{all-args}{after-help}";

const EXAMPLES: &str = "\
Examples:
  lxkns ls                      every namespace of this host
  lxkns ls -t net -o +HOLDERS   the network namespaces, and how many things hold each
  lxkns why net:4026532281      what keeps this network namespace alive
  lxkns why /run/netns/blue     the same by a path
  lxkns orphans                 the namespaces without any process, and what would release each
  lxkns tree --owned            the user namespaces, and what each owns
  lxkns caps -p 1234 /run/netns/blue  what a process may do in a namespace
  lxkns mounts 1234             the mounts that a process has around it
  lxkns dump >host.json         all there is to know, for later or elsewhere
  lxkns ls --from host.json     the namespaces of that time and host";

const LS_EXAMPLES: &str = "\
Examples:
  lxkns ls -t net,user                    the network and the user namespaces
  lxkns ls -p 1234                        the namespaces of a process
  lxkns ls -o NS,TYPE,HOLDERS -t net      what holds the network namespaces, counted
  lxkns ls -rno NS,NSFS -t net            for scripts: one blank between fields, no headings
  lxkns ls --json -o +UNIQUEID,ONS        for programs";

const TREE_EXAMPLES: &str = "\
Examples:
  lxkns tree                        the user namespaces, who created them, who is in them
  lxkns tree --owned                with all namespaces that each owns
  lxkns tree pid --users            the PID namespaces, and the user namespaces between them
  lxkns tree proc                   the processes, with their PIDs in each PID namespace
  lxkns tree proc 1234              only those above and below one
  lxkns tree proc 72 --in 1234      the process that has PID 72 in the PID namespace of process 1234";

const WHY_EXAMPLES: &str = "\
Examples:
  lxkns why 4026532281          every holder of a namespace, and what would release it
  lxkns why 1234/net            of the network namespace of a process
  lxkns why 1234                of all namespaces of a process, in short
  lxkns why --json :8731        by unique ID, for programs";

const DUMP_EXAMPLES: &str = "\
Examples:
  lxkns dump >host.json
  lxkns dump --no-cmdline | ssh desk lxkns ls --from -";

const ORPHANS_EXAMPLES: &str = "\
Examples:
  lxkns orphans                 the namespaces without any process or thread, by who holds them
  lxkns orphans -t net,mnt      of these types
  lxkns orphans --fail -t net   for monitoring: exit code 4 if there are some
  lxkns orphans --json          for programs";

const MOUNTS_EXAMPLES: &str = "\
Examples:
  lxkns mounts 1234                       the mounts that a process has around it, as a tree
  lxkns mounts --hidden 1234              those that no path leads to
  lxkns mounts mnt:4026532281             of a mount namespace, with a process in it or without
  lxkns mounts -o +PEERS,RECEIVERS 1234   and in which others mounts are propagated
  lxkns mounts -rno TARGET,FSTYPE 1234    for scripts: one blank between fields, no headings";

const CAPS_EXAMPLES: &str = "\
Examples:
  lxkns caps 1234/net             what you may do in the network namespace of a process, and why
  lxkns caps -p 1234 user:4026532281
                                  what a process may do in a user namespace
  lxkns caps --json /run/netns/x  for programs";

const BUSY_EXAMPLES: &str = "\
Examples:
  lxkns busy /mnt/usb     when umount says that the target is busy
  lxkns busy /dev/sdb1    in all mount namespaces, also where it is not mounted here
  lxkns busy 0:52         by the device number that mountinfo has

PATH is looked up in the mount list and never in the file system, which may be gone:
symbolic links in it are not followed.";

const TARGET_HELP: &str = "\
A TARGET is what you have in hand:
  1234              a process; its namespaces are meant
  1234/net          the network namespace of a process
  4026532281        a namespace by its inode number
  net:4026532281    the same; net:[4026532281] too
  :8731             a namespace by its unique ID
  /run/netns/x      a namespace by a path: anything with a slash";

/// Finds every Linux namespace of a host, and what keeps each alive
#[derive(Debug, Parser)]
#[command(name = "lxkns", version, help_template = TEMPLATE, before_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// When to use colour: auto (on a terminal, unless NO_COLOR is set), always, never
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

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists namespaces, one a line
    #[command(help_template = TEMPLATE, before_help = LS_EXAMPLES,
              after_help = format!("{}\n\n{TARGET_HELP}", columns::help()))]
    Ls(LsArgs),
    /// Shows user namespaces, PID namespaces or processes as a tree
    #[command(help_template = TEMPLATE, before_help = TREE_EXAMPLES, after_help = TARGET_HELP)]
    Tree(TreeArgs),
    /// Says what keeps a namespace alive, and what would release it
    #[command(help_template = TEMPLATE, before_help = WHY_EXAMPLES, after_help = TARGET_HELP)]
    Why(WhyArgs),
    /// Shows namespaces without any process or thread, and what would release them
    #[command(help_template = TEMPLATE, before_help = ORPHANS_EXAMPLES)]
    Orphans(OrphansArgs),
    /// Shows the mounts of a mount namespace
    #[command(help_template = TEMPLATE, before_help = MOUNTS_EXAMPLES,
              after_help = format!("{}\n\n{TARGET_HELP}", mounts::help()))]
    Mounts(MountsArgs),
    /// Says where a file system is still mounted, who uses it, and what would release it
    #[command(help_template = TEMPLATE, before_help = BUSY_EXAMPLES)]
    Busy(BusyArgs),
    /// Says which capabilities a process has in a namespace, and why
    #[command(help_template = TEMPLATE, before_help = CAPS_EXAMPLES, after_help = TARGET_HELP)]
    Caps(CapsArgs),
    /// Writes all there is to know as JSON
    #[command(help_template = TEMPLATE, before_help = DUMP_EXAMPLES)]
    Dump(DumpArgs),
    /// Writes the man pages into a directory, for packagers
    #[command(hide = true)]
    Man {
        /// Where to
        dir: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct LsArgs {
    /// Only these, and those of these processes
    #[arg(value_name = "TARGET", value_parser = OsStringValueParser::new().try_map(|text| Asked::parse(&text)))]
    pub(crate) targets: Vec<Asked>,

    /// Only of these types, separated by commas
    #[arg(short = 't', long = "type", value_name = "TYPES", value_delimiter = ',')]
    pub(crate) types: Vec<NamespaceType>,

    /// Only those of this process
    #[arg(short = 'p', long = "pid", value_name = "PID",
          value_parser = clap::value_parser!(u32).range(1..=PID_MAX as i64))]
    pub(crate) pids: Vec<u32>,

    /// The columns, separated by commas; +LIST adds to the usual ones
    #[arg(short, long, value_name = "LIST")]
    pub(crate) output: Vec<String>,

    /// No headings
    #[arg(short, long, alias = "noheadings")]
    pub(crate) no_headings: bool,

    /// For scripts: one blank between fields, "-" for an empty one, what is unsafe as \xHH
    #[arg(short, long, conflicts_with = "json")]
    pub(crate) raw: bool,

    /// For programs: JSON
    #[arg(short = 'J', long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) look: LookArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct TreeArgs {
    /// Which tree: of user namespaces (the usual one), of PID namespaces, or of processes
    #[arg(value_name = "user|pid|proc", value_parser = OsStringValueParser::new().try_map(|text| KindOrTarget::parse(&text)))]
    pub(crate) kind: Option<KindOrTarget>,

    /// Only the branch with this namespace or process
    #[arg(value_name = "TARGET", value_parser = OsStringValueParser::new().try_map(|text| Asked::parse(&text)))]
    pub(crate) target: Option<Asked>,

    /// Of user namespaces: with the namespaces that each owns
    #[arg(long)]
    pub(crate) owned: bool,

    /// Of PID namespaces: with the user namespaces that own them
    #[arg(long)]
    pub(crate) users: bool,

    /// Of processes: the PID namespace in which TARGET is a PID, or a process in it
    #[arg(long = "in", value_name = "PIDNS",
          value_parser = OsStringValueParser::new().try_map(|text| Asked::parse(&text)))]
    pub(crate) seen_in: Option<Asked>,

    /// Of namespaces: all topmost processes in each, and all threads whose process is elsewhere
    #[arg(long)]
    pub(crate) all_leaders: bool,

    /// Control groups: with IDs cut short, in full, or off
    #[arg(long, value_name = "HOW", value_enum, default_value_t, hide_default_value = true)]
    pub(crate) cgroup: CgroupDetail,

    /// For programs: JSON
    #[arg(short = 'J', long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) look: LookArgs,
}

/// Which tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum TreeKind {
    /// User namespaces.
    #[default]
    User,
    /// PID namespaces.
    Pid,
    /// Processes.
    Proc,
}

/// The first word after `tree`: its kind can be left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KindOrTarget {
    Kind(TreeKind),
    Target(Asked),
}

impl KindOrTarget {
    fn parse(text: &OsStr) -> Result<Self, String> {
        match text.to_str() {
            Some("user") => Ok(Self::Kind(TreeKind::User)),
            Some("pid") => Ok(Self::Kind(TreeKind::Pid)),
            Some("proc") => Ok(Self::Kind(TreeKind::Proc)),
            _ => Asked::parse(text)
                .map(Self::Target)
                .map_err(|error| format!("not user, pid or proc; as a TARGET: {error}")),
        }
    }
}

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

#[derive(Debug, clap::Args)]
pub(crate) struct OrphansArgs {
    /// Only of these types, separated by commas
    #[arg(short = 't', long = "type", value_name = "TYPES", value_delimiter = ',')]
    pub(crate) types: Vec<NamespaceType>,

    /// End with exit code 4 if there are some
    #[arg(long)]
    pub(crate) fail: bool,

    /// Every holder, however many there are
    #[arg(long)]
    pub(crate) all: bool,

    /// For programs: JSON
    #[arg(short = 'J', long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) look: LookArgs,
}

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

    /// The columns, separated by commas; +LIST adds to the usual ones
    #[arg(short, long, value_name = "LIST")]
    pub(crate) output: Vec<String>,

    /// No headings
    #[arg(short, long, alias = "noheadings")]
    pub(crate) no_headings: bool,

    /// For scripts: one blank between fields, "-" for an empty one, what is unsafe as \xHH
    #[arg(short, long, conflicts_with = "json")]
    pub(crate) raw: bool,

    /// For programs: JSON
    #[arg(short = 'J', long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) look: LookArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct BusyArgs {
    /// The file system: a path in it, its device, or its device number as in mountinfo
    #[arg(value_name = "PATH|DEVICE|MAJ:MIN",
          value_parser = OsStringValueParser::new().try_map(|text| file_system::Asked::parse(&text)))]
    pub(crate) file_system: file_system::Asked,

    /// Every mount and process, however many there are
    #[arg(long)]
    pub(crate) all: bool,

    /// For programs: JSON
    #[arg(short = 'J', long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) look: LookArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CapsArgs {
    /// In which namespace; of a process in all that it is in
    #[arg(value_name = "TARGET", value_parser = OsStringValueParser::new().try_map(|text| Asked::parse(&text)))]
    pub(crate) target: Asked,

    /// Of which process; without it, of whoever asks
    #[arg(short = 'p', long = "pid", value_name = "PID",
          value_parser = clap::value_parser!(u32).range(1..=PID_MAX as i64))]
    pub(crate) pid: Option<u32>,

    /// For programs: JSON
    #[arg(short = 'J', long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) look: LookArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DumpArgs {
    /// Without the command lines of processes, which can hold secrets
    #[arg(long)]
    pub(crate) no_cmdline: bool,

    /// Without the mounts of mount namespaces
    #[arg(long)]
    pub(crate) no_mounts: bool,

    /// Without what differs between two runs over an unchanged host
    #[arg(long)]
    pub(crate) stable: bool,

    #[command(flatten)]
    pub(crate) patience: PatienceArgs,
}

/// What is looked at.
#[derive(Debug, clap::Args)]
pub(crate) struct LookArgs {
    /// Look at the host of a dump instead of this one (- is standard input)
    #[arg(long, value_name = "FILE")]
    pub(crate) from: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) patience: PatienceArgs,
}

/// How long is waited.
#[derive(Debug, clap::Args)]
pub(crate) struct PatienceArgs {
    /// How long what is mounted in other mount namespaces may take to answer
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    pub(crate) timeout: Duration,
}

fn seconds(text: &str) -> Result<Duration, &'static str> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.filter(|seconds| !seconds.is_zero()).ok_or("not a number of seconds above 0")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

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
        assert!(args.raw && args.no_headings);
        assert_eq!(args.output, ["+PATH"]);
        assert_eq!(args.targets, [Asked::process(1234)]);
    }

    #[test]
    fn bad_usage_has_code_2() {
        for arguments in [&["-p", "0"][..], &["-p", "4194305"], &["-rJ"], &["nonsense"], &["-x"]] {
            assert_eq!(ls(arguments).unwrap_err().exit_code(), 2, "{arguments:?}");
        }
        assert_eq!(Args::try_parse_from(["lxkns", "why"]).unwrap_err().exit_code(), 2);
    }

    #[test]
    fn help_has_examples_before_the_options_and_all_columns() {
        let help = ls(&["--help"]).unwrap_err().to_string();
        let at = |text: &str| help.find(text).unwrap_or_else(|| panic!("{text} is not in {help}"));
        assert!(at("Examples:") < at("Usage:") && at("Usage:") < at("Options:") && at("Options:") < at("UNIQUEID "));
    }
}
