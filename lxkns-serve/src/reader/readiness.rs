//! Whether the service can answer, and what it cannot see.

use lxkns_answers::gaps;
use lxkns_answers::reader::{self, ReaderLine};
use lxkns_core::Snapshot;
use lxkns_core::model::{Place, Places};
use schemars::JsonSchema;
use serde::Serialize;

use crate::exposition::{Family, Kind};
use crate::powers::{Missing, Powers};

/// The answer.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Readiness {
    /// Whether the host was read.
    ready: bool,
    /// What it was read with.
    reader: ReaderLine,
    /// The capabilities that would show more and that the service lacks.
    missing_capabilities: Vec<Missing>,
    /// What could not be seen, in a sentence for each reason.
    gaps: Vec<String>,
}

/// What was left behind, in words, where it is any.
pub(super) fn left_words(readers: usize) -> Option<String> {
    let processes = if readers == 1 { "1 process" } else { &format!("{readers} processes") };
    (readers > 0).then(|| {
        format!("{processes} of the service read the host, were killed, and wait in the kernel: a file system does not answer")
    })
}

/// What this process was started with.
#[derive(Debug)]
pub(crate) struct Standing {
    /// Its capabilities.
    pub(super) powers: Powers,
    /// What is not seen whatever is scanned, and why.
    pub(super) shortfall: Option<String>,
}

impl Standing {
    /// Whether the service can answer from this snapshot. `stuck`: which threads and processes do not answer any more.
    pub(super) fn readiness(&self, snapshot: &Snapshot, stuck: impl IntoIterator<Item = String>) -> Readiness {
        let places: Places = Place::ALL.into_iter().collect();
        let mut gaps = gaps::lines(snapshot, places, gaps::held(snapshot));
        gaps.extend(self.shortfall.clone().into_iter().chain(stuck));
        Readiness { ready: true, reader: reader::line(snapshot), missing_capabilities: self.powers.missing(), gaps }
    }

    /// The capabilities that would show more.
    pub(super) fn metric(&self) -> Family {
        let help = "Whether a capability is missing that would show more";
        let mut lacking = Family::new(Kind::Gauge, "lxkns_capability_missing", help);
        for (_, capability, is_missing) in self.powers.useful() {
            let name = capability.names().concat();
            lacking.push("", &[("capability", &name)], if is_missing { 1.0 } else { 0.0 });
        }
        lacking
    }
}
