//! Containers, their engines and groups; and what belongs to none.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{CgroupLimits, Confidence, ContainerHealth, ContainerRole, ContainerState, EvidenceKind, UnitKind};

/// A container.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Container {
    /// Its ID.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub id: Option<String>,
    /// Its name; its ID where no name is known.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub name: Option<String>,
    /// What runs it: `docker.com`, `containerd.io`, `k8s.io/cri-api`, `podman.io`, `cri-o`, `lxc`, `machine`, `runc`,
    /// `crun`, `unknown`.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub r#type: Option<String>,
    /// A more special kind; the type where there is none.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub flavor: Option<String>,
    /// Its first process; 0 where it has ended or is not known.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub pid: Option<u32>,
    /// Whether it is frozen; false where not known.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub paused: Option<bool>,
    /// Its labels.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub labels: Option<BTreeMap<String, String>>,
    /// Its groups: keys of `container-groups`.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub groups: Option<Vec<usize>>,
    /// Its engine: a key of `container-engines`.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub engine: Option<usize>,

    /// Its number, by which this program's own keys refer to it.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub index: Option<usize>,
    /// How far it can be relied on: the best of its evidence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence: Option<Confidence>,
    /// Which evidence each of these keys comes from: its place in `evidence`. Without `name` here none is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub said_by: Option<BTreeMap<String, usize>>,
    /// The keys above that are not UTF-8, octal-escaped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub escaped: Option<BTreeMap<String, String>>,
    /// The labels, octal-escaped; where one is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels_escaped: Option<BTreeMap<String, String>>,
    /// The engine's own division.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine_namespace: Option<Text>,
    /// The runtime that started it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<Text>,
    /// The image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<Text>,
    /// What it is doing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<ContainerState>,
    /// What its engine says of its health; absent where no engine was asked, or nothing checks it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<ContainerHealth>,
    /// When it was made: RFC 3339, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("format" = "date-time")))]
    pub created: Option<String>,
    /// Its annotations; absent where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
    /// The annotations, octal-escaped; where one is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotations_escaped: Option<BTreeMap<String, String>>,
    /// Its pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<Pod>,
    /// What it is for; absent where that is a program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<ContainerRole>,
    /// Its control group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<Text>,
    /// What its control groups let it use; absent where that was not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup_limits: Option<CgroupLimits>,
    /// The path of the network namespace that was made for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_path: Option<Text>,
    /// The `index` of the container that its engine runs in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inside: Option<usize>,
    /// What was read. The first made it known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Vec<Evidence>>,
    /// Where sources disagree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disagreements: Option<Vec<Disagreement>>,
}

/// Text as it is or, where it is not UTF-8, octal-escaped.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) enum Text {
    Plain(String),
    Escaped { escaped: String },
}

/// A pod.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Pod {
    /// The Kubernetes namespace; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Text>,
    /// Its name.
    pub name: Text,
    /// Its UID or ID; absent where not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<Text>,
}

/// Something that was read and says something of a container.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Evidence {
    /// What it is.
    pub kind: EvidenceKind,
    /// Where.
    pub at: Text,
    /// The process that it was read from or through.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// How far it can be relied on.
    pub confidence: Confidence,
}

/// Two sources that say different things.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Disagreement {
    /// About which key.
    pub about: String,
    /// What was said; the first was taken.
    pub values: Vec<SaidText>,
}

/// A value, and who said so.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct SaidText {
    /// What was said.
    pub value: Text,
    /// The place in `evidence`.
    pub by: usize,
}

/// A container engine.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Engine"))]
pub(crate) struct Engine {
    /// Its ID; empty where not known.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub id: Option<String>,
    /// What it is, as a container's `type`.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub r#type: Option<String>,
    /// Its version; empty where not known.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub version: Option<String>,
    /// Where it listens; empty where not known.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub api: Option<String>,
    /// Its process; 0 where it has none or none was found.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub pid: Option<u32>,
    /// Labels: none yet.
    pub labels: super::Empty,
    /// Its containers: keys of `containers`.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub containers: Option<Vec<u32>>,
    /// The keys above that are not UTF-8, octal-escaped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub escaped: Option<BTreeMap<String, String>>,
    /// The `index` of the container that it runs in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inside: Option<usize>,
    /// Present where no engine was seen: other readers want each container to have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unseen: Option<bool>,
}

/// Containers that belong together.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Group"))]
pub(crate) struct Group {
    /// Its name.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub name: Option<String>,
    /// What holds it together: `io.kubernetes.pod`, `com.docker.compose.project`.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub r#type: Option<String>,
    /// A more special kind.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub flavor: Option<String>,
    /// Its containers: keys of `containers`.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub containers: Option<Vec<u32>>,
    /// Its labels.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub labels: Option<BTreeMap<String, String>>,
    /// What kind of group it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<GroupKind>,
    /// The keys above that are not UTF-8, octal-escaped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub escaped: Option<BTreeMap<String, String>>,
    /// The labels, octal-escaped; where one is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels_escaped: Option<BTreeMap<String, String>>,
}

/// What holds a group together.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) enum GroupKind {
    Pod,
    ComposeProject,
    #[serde(other)]
    Other,
}

/// What is known of containers and has no place in what other readers know; present where containers were looked for.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct ContainersInfo {
    /// Containers without a first process in the dump.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub others: Option<Vec<Container>>,
    /// The processes of containers, by `index`: of those in several, the innermost container.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub members: Option<BTreeMap<usize, Vec<u32>>>,
    /// The namespaces that are a container's without a process that says so: its `index` by inode number.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub namespaces: Option<BTreeMap<u64, usize>>,
    /// What processes belong to that are in no container.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub units: Option<Vec<Unit>>,
}

/// A systemd unit, snap or sandbox.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Unit {
    /// What it is.
    pub kind: UnitKind,
    /// Its name.
    pub name: Text,
    /// Whose it is, where it is one of a user's own service manager.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of_user: Option<u32>,
    /// Its processes.
    pub pids: Vec<u32>,
}
