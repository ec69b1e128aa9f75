//! The options of `lxkns tree`.

use std::ffi::OsStr;

use clap::builder::{OsStringValueParser, TypedValueParser as _};

use super::LookArgs;
use crate::view::tree::CgroupDetail;
use lxkns_answers::target::Asked;

pub(super) const EXAMPLES: &str = "\
Examples:
  lxkns tree                        the user namespaces, who created them, who is in them
  lxkns tree --owned                with all namespaces that each owns
  lxkns tree pid --users            the PID namespaces, and the user namespaces between them
  lxkns tree proc                   the processes, with their PIDs in each PID namespace
  lxkns tree proc 1234              only those above and below one
  lxkns tree proc 72 --in 1234      the process that has PID 72 in the PID namespace of process 1234";

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
