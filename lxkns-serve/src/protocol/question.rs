//! What can be asked.

use serde::{Deserialize, Serialize};

use super::Bounded;

/// The most parameters of a question.
pub(crate) const MOST_PARAMETERS: usize = 32;
/// The longest value of a parameter, in bytes: the longest path that Linux takes.
pub(crate) const LONGEST_VALUE: usize = 4096;
/// The longest name of a parameter.
pub(crate) const LONGEST_NAME: usize = 32;
/// The most bytes of all parameters together.
const MOST_BYTES: usize = 64 * 1024;

/// A question. Its parameters are text, which the reader parses.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Question {
    /// What is asked.
    pub(crate) kind: Kind,
    /// Names and values, in the order in which they were given.
    pub(crate) parameters: Vec<(String, String)>,
}

impl Question {
    /// One without parameters.
    pub(crate) fn plain(kind: Kind) -> Self {
        Self { kind, parameters: Vec::new() }
    }

    /// The values of a parameter.
    pub(crate) fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.parameters.iter().filter(move |(of, _)| of == name).map(|(_, value)| value.as_str())
    }

    /// The last value of a parameter.
    pub(crate) fn value<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.values(name).last()
    }
}

impl Bounded for Question {
    fn is_in_bounds(&self) -> bool {
        let is_short = |(name, value): &(String, String)| name.len() <= LONGEST_NAME && value.len() <= LONGEST_VALUE;
        let bytes = self.parameters.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        self.parameters.len() <= MOST_PARAMETERS && self.parameters.iter().all(is_short) && bytes <= MOST_BYTES
    }
}

/// The kinds of questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// The snapshot: `lxkns dump`.
    Snapshot,
    /// The processes of the snapshot, as the Go program lxkns serves them.
    Processes,
    /// The PIDs of processes in all their PID namespaces, as the Go program lxkns serves them.
    PidMap,
    /// `lxkns ls`.
    List,
    /// `lxkns show`.
    Show,
    /// `lxkns why`.
    Why,
    /// `lxkns orphans`.
    Orphans,
    /// `lxkns tree`.
    Tree,
    /// `lxkns mounts`.
    Mounts,
    /// `lxkns busy`.
    Busy,
    /// `lxkns caps`.
    Caps,
    /// `lxkns who-can`.
    WhoCan,
    /// `lxkns containers`.
    Containers,
    /// `lxkns audit`.
    Audit,
    /// `lxkns ports`.
    Ports,
    /// `lxkns links`.
    Links,
    /// `lxkns explain`.
    Explain,
    /// `lxkns owner`.
    Owner,
    /// `lxkns doctor`.
    Doctor,
    /// The states that can be compared.
    History,
    /// `lxkns diff`.
    Diff,
    /// `lxkns watch`: its answer has no end.
    Events,
    /// What Prometheus scrapes.
    Metrics,
    /// Whether there is a scan, and what it could not see.
    Ready,
}

impl Kind {
    /// Whether it is asked by those who watch whether the service is well, whom no other question may hold up.
    pub(crate) fn watches(self) -> bool {
        matches!(self, Self::Metrics | Self::Ready)
    }

    /// The question's name: that of the command that asks it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Snapshot => "dump",
            Self::Processes => "processes",
            Self::PidMap => "pidmap",
            Self::List => "ls",
            Self::Show => "show",
            Self::Why => "why",
            Self::Orphans => "orphans",
            Self::Tree => "tree",
            Self::Mounts => "mounts",
            Self::Busy => "busy",
            Self::Caps => "caps",
            Self::WhoCan => "who-can",
            Self::Containers => "containers",
            Self::Audit => "audit",
            Self::Ports => "ports",
            Self::Links => "links",
            Self::Explain => "explain",
            Self::Owner => "owner",
            Self::Doctor => "doctor",
            Self::History => "history",
            Self::Diff => "diff",
            Self::Events => "events",
            Self::Metrics => "metrics",
            Self::Ready => "ready",
        }
    }
}
