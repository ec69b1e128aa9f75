//! The options of `lxkns enter`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser as _};
use lxkns_core::model::NamespaceType;

use super::PatienceArgs;
use lxkns_answers::target::Asked;

pub(super) const EXAMPLES: &str = "\
Examples:
  lxkns enter 1234 -- ps ax       a command as a process of the container would run it: in its
                                  namespaces, within its limits, confined as it is
  lxkns enter 1234                the same with a shell
  lxkns enter 1234 --dry-run      what the process has, and what the command would have
  lxkns enter 1234 --only net --privileged -- ip address
                                  your own program, in its network namespace alone
  lxkns enter /run/netns/blue -- ip address
                                  in a namespace by itself
  lxkns enter 1234 --tools host -- ss -tnl
                                  a program that the container lacks, on its network
  lxkns enter 1234 --tools /bin/busybox -- ps
                                  a static program of yours inside the container, on its processes
  lxkns enter 1234 --user www-data -- id
                                  as a user that the container knows";

pub(super) const EXIT_CODES: &str = "\
Exit codes: those of the command, and 128 and the signal's number where one has ended it; 125 if it was not\nentered, 126 if the command could not be run, 127 if it is not there.";

/// Where the environment comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum EnvironmentOf {
    /// That of the process
    Target,
    /// The caller's
    Host,
    /// Next to nothing
    Clean,
}

/// Whose limits the command has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LimitsFrom {
    /// Those of the process
    Target,
    /// The caller's
    Caller,
}

#[derive(Debug, clap::Args)]
pub(crate) struct EnterArgs {
    /// What is entered: all namespaces of a process, or single namespaces
    #[arg(value_name = "TARGET", required = true,
          value_parser = OsStringValueParser::new().try_map(|text| Asked::parse(&text)))]
    pub(crate) targets: Vec<Asked>,

    /// The command; without one, the user's shell
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,

    /// Enter the namespaces of these types only, separated by commas
    #[arg(long, value_name = "TYPES", value_delimiter = ',')]
    pub(crate) only: Option<Vec<NamespaceType>>,

    /// Do not enter the namespaces of these types, separated by commas
    #[arg(long, value_name = "TYPES", value_delimiter = ',')]
    pub(crate) except: Vec<NamespaceType>,

    /// As this user, by name or UID as known inside, and with this group
    #[arg(long, value_name = "USER[:GROUP]")]
    pub(crate) user: Option<OsString>,

    /// With this group, by name or GID as known inside
    #[arg(long, value_name = "GROUP")]
    pub(crate) group: Option<OsString>,

    /// With the environment of the process (target), of the caller (host), or next to none (clean)
    #[arg(long, value_name = "WHICH", value_enum, hide_possible_values = true)]
    pub(crate) env: Option<EnvironmentOf>,

    /// Keep the powers of the caller, outside the PID namespace of the process: the command is not confined as
    /// the process is
    #[arg(long)]
    pub(crate) privileged: bool,

    /// Stay outside the control groups of the process: its limits do not hold for the command
    #[arg(long)]
    pub(crate) no_cgroup: bool,

    /// Run a program of the host (host), which keeps your powers and files, in the namespaces of the process
    /// but mnt, pid and user; or run this static program of the host inside, with the powers of the process
    /// (a path, such as /bin/busybox)
    #[arg(long, value_name = "host|FILE")]
    pub(crate) tools: Option<PathBuf>,

    /// Take resource limits, umask, CPU affinity, nice value, I/O priority and execution domain from the
    /// process (target, the default) or keep the caller's (caller)
    #[arg(
        long,
        value_name = "WHOSE",
        value_enum,
        default_value = "target",
        hide_possible_values = true,
        hide_default_value = true
    )]
    pub(crate) limits: LimitsFrom,

    /// Pass on this open descriptor beside 0, 1 and 2; can be repeated
    #[arg(long = "fd", value_name = "NUMBER", value_delimiter = ',',
          value_parser = clap::value_parser!(i32).range(0..=i32::MAX as i64))]
    pub(crate) fds: Vec<i32>,

    /// Only say what the target has and what the command would have
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// No headings
    #[arg(short, long, alias = "noheadings", requires = "dry_run")]
    pub(crate) no_headings: bool,

    /// For programs: JSON
    #[arg(short = 'J', long, requires = "dry_run")]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) patience: PatienceArgs,
}
