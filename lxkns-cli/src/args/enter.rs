//! The options of `lxkns enter`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser as _};
use lxkns_core::model::NamespaceType;

use super::{PatienceArgs, descriptor, target};
use lxkns_answers::target::Asked;

pub(super) const EXAMPLES: &str = "\
Examples:
  lxkns enter 1234 -- ps ax       run a command as a process of the container
                                  would: in its namespaces, within its limits,
                                  confined as it is
  lxkns enter 1234                run a shell
  lxkns enter 1234 --dry-run      show what the process has and what the command
                                  would have
  lxkns enter 1234 --only net --privileged -- ip address
                                  run your own program in its network namespace
  lxkns enter /run/netns/blue -- ip address
                                  run it in one namespace
  lxkns enter 1234 --tools host -- ss -tnl
                                  run a program that the container lacks, on its
                                  network
  lxkns enter 1234 --tools /bin/busybox -- ps
                                  run your own static program in the container
  lxkns enter 1234 --user www-data -- id
                                  run as a user that the container knows";

pub(super) const EXIT_CODES: &str = "\
Exit code: that of the command, or 128 plus the number of the signal that ended
it; 125 if the target was not entered, 126 if the command could not be run, 127
if it was not found.";

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
    /// Process, to enter all its namespaces; or single namespaces
    #[arg(value_name = "TARGET", required = true,
          value_parser = OsStringValueParser::new().try_map(|text| target(&text)))]
    pub(crate) targets: Vec<Asked>,

    /// Command; by default the user's shell
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,

    /// Enter the namespaces of these types only, separated by commas
    #[arg(long, value_name = "TYPES", value_delimiter = ',')]
    pub(crate) only: Option<Vec<NamespaceType>>,

    /// Do not enter the namespaces of these types, separated by commas
    #[arg(long, value_name = "TYPES", value_delimiter = ',')]
    pub(crate) except: Vec<NamespaceType>,

    /// Run as this user and group, by names or IDs as known inside
    #[arg(long, value_name = "USER[:GROUP]")]
    pub(crate) user: Option<OsString>,

    /// Run with this group, by name or GID as known inside
    #[arg(long, value_name = "GROUP")]
    pub(crate) group: Option<OsString>,

    /// Take the environment of the process (target), of the caller (host), or an almost empty one (clean)
    #[arg(long, value_name = "WHICH", value_enum, hide_possible_values = true)]
    pub(crate) env: Option<EnvironmentOf>,

    /// Keep the powers of the caller, and stay outside the PID namespace of the process: the command is not confined as
    /// the process is
    #[arg(long)]
    pub(crate) privileged: bool,

    /// Stay outside the control groups of the process: its limits do not apply to the command
    #[arg(long)]
    pub(crate) no_cgroup: bool,

    /// Run a program of the host, with your powers and files, in the namespaces of the process except mnt, pid and
    /// user (host); or run a static program of the host inside, with the powers of the process (its path, such as
    /// /bin/busybox)
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
    #[arg(long = "fd", value_name = "NUMBER", value_delimiter = ',', value_parser = descriptor)]
    pub(crate) fds: Vec<i32>,

    /// Show how the command would differ from the target, and run nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// With --dry-run, also show what is the same for both
    #[arg(long, requires = "dry_run")]
    pub(crate) all: bool,

    /// Leave out headings
    #[arg(short, long, alias = "noheadings", requires = "dry_run")]
    pub(crate) no_headings: bool,

    /// Write JSON
    #[arg(short = 'J', long, requires = "dry_run")]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) patience: PatienceArgs,
}
