//! What a command would have inside, and what the target has: the JSON form of `lxkns enter --dry-run`.

use lxkns_model::CapabilitySet;
use serde::Serialize;

use crate::whose::WhoseForm;

/// A plan, row by row.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct PlanAnswer {
    /// What the target has and what the command would have.
    pub plan: Vec<PlanRow>,
    /// What should be known before the command is run.
    pub notes: Vec<String>,
    /// What the process belongs to that is entered.
    #[serde(flatten)]
    pub whose: WhoseForm,
}

/// One row of a plan.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct PlanRow {
    /// What it is about: `namespaces`, `UID`, `capabilities`, ...
    pub what: &'static str,
    /// What the target has; `None` where it is not known, or the target has none.
    #[serde(rename = "target-has")]
    pub target: Option<PlanFact>,
    /// What the command would have.
    #[serde(rename = "command-has")]
    pub command: PlanFact,
}

/// A value of the command or the target: an object with one key, the name of its kind.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum PlanFact {
    /// In words.
    Text(String),
    /// Yes or no.
    Flag(bool),
    /// Sets of capabilities.
    CapabilitySets(PlanCapabilities),
}

/// The sets of capabilities.
#[derive(Clone, Copy, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct PlanCapabilities {
    /// The permitted set.
    pub permitted: CapabilitySet,
    /// The effective set.
    pub effective: CapabilitySet,
    /// The inheritable set.
    pub inheritable: CapabilitySet,
    /// The bounding set.
    pub bounding: CapabilitySet,
    /// The ambient set.
    pub ambient: CapabilitySet,
}
