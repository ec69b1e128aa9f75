//! The options of `lxkns tree`.

use std::ffi::OsStr;

use clap::builder::{OsStringValueParser, TypedValueParser as _};
use lxkns_core::model::NamespaceType;

use super::{AnswerArgs, target};
use lxkns_answers::target::Asked;
use lxkns_answers::tree;

pub(super) const EXAMPLES: &str = "\
Examples:
  lxkns tree                        show user namespaces, creators, processes
  lxkns tree --owned                add all namespaces that each owns
  lxkns tree pid --users            show PID namespaces below their owners
  lxkns tree proc                   show processes, PIDs in each PID namespace
  lxkns tree proc 1234              one process, its ancestors and descendants
  lxkns tree proc 72 --in 1234      only the process with PID 72 in the PID
                                    namespace of process 1234";

#[derive(Debug, clap::Args)]
pub(crate) struct TreeArgs {
    /// Tree of user namespaces (the default), PID namespaces or processes
    #[arg(value_name = "user|pid|proc", value_parser = OsStringValueParser::new().try_map(|text| KindOrTarget::parse(&text)))]
    pub(crate) kind: Option<KindOrTarget>,

    /// Only the branch of this namespace or process
    #[arg(value_name = "TARGET", value_parser = OsStringValueParser::new().try_map(|text| target(&text)))]
    pub(crate) target: Option<Asked>,

    /// Add the namespaces that each user namespace owns
    #[arg(long)]
    pub(crate) owned: bool,

    /// Add the user namespaces that own the PID namespaces
    #[arg(long)]
    pub(crate) users: bool,

    /// Take TARGET as a PID in this PID namespace, or in that of this process
    #[arg(long = "in", value_name = "PIDNS",
          value_parser = OsStringValueParser::new().try_map(|text| target(&text)))]
    pub(crate) seen_in: Option<Asked>,

    /// Show all leaders of each namespace, and all tasks whose process is elsewhere
    #[arg(long)]
    pub(crate) all_leaders: bool,

    /// Show control groups with IDs cut short, in full, or not at all
    #[arg(long, value_name = "HOW", value_enum, default_value_t, hide_default_value = true)]
    pub(crate) cgroup: CgroupDetail,

    #[command(flatten)]
    pub(crate) answer: AnswerArgs,
}

/// How much of control groups is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum CgroupDetail {
    /// Their paths, with long IDs cut short.
    #[default]
    Short,
    /// Their paths.
    Full,
    /// Nothing.
    Off,
}

impl From<CgroupDetail> for tree::CgroupDetail {
    fn from(detail: CgroupDetail) -> Self {
        match detail {
            CgroupDetail::Short => Self::Short,
            CgroupDetail::Full => Self::Full,
            CgroupDetail::Off => Self::Off,
        }
    }
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
            // Nothing that a network namespace would be called, and a mistake.
            Some(name) if NamespaceType::from_name(name.as_bytes()).is_some() => {
                Err("not user, pid or proc: there is no tree of these namespaces".to_owned())
            }
            _ => target(text).map(Self::Target).map_err(|error| format!("not user, pid or proc; as a TARGET: {error}")),
        }
    }
}
