//! Namespaces and what holds them.

use serde::{Deserialize, Serialize};

/// A namespace.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Namespace {
    /// Its inode number.
    #[cfg_attr(feature = "schema", schemars(required, range(min = 1)))]
    pub nsid: Option<u64>,
    /// Its type.
    #[cfg_attr(feature = "schema", schemars(required, with = "super::TypeName"))]
    pub r#type: Option<String>,
    /// The user namespace that owns it; not on user namespaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<u64>,
    /// Its parent (user and PID namespaces).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<u64>,
    /// Its children (user and PID namespaces).
    #[serde(skip_serializing_if = "empty")]
    pub children: Option<Vec<u64>>,
    /// The namespaces that it owns and that are not user namespaces (user namespaces).
    #[serde(skip_serializing_if = "empty")]
    pub possessions: Option<Vec<u64>>,
    /// The user who created it (user namespaces).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<u32>,
    /// That user's name (user namespaces); empty where not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_name: Option<String>,
    /// A chain of paths that leads to it, each taken inside the mount namespace that the one before names.
    #[cfg_attr(feature = "schema", schemars(required, with = "Vec<String>"))]
    pub reference: Option<Reference>,
    /// The topmost processes in it, the most senior first.
    #[serde(skip_serializing_if = "empty")]
    pub leaders: Option<Vec<u32>>,
    /// The most senior of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ealdorman: Option<u32>,
    /// The tasks that are in it although their process is not.
    #[serde(skip_serializing_if = "empty")]
    pub loose_threads: Option<Vec<u32>>,

    /// Its ID, which is not used again before the next boot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unique_id: Option<u64>,
    /// Present where it is the one that the kernel started with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial: Option<bool>,
    /// What `owner` and `parent` cannot say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relations: Option<Relations>,
    /// Everything that was found to keep it alive.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub holders: Option<Vec<Holder>>,
    /// How many references to it the kernel counts; absent where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub references: Option<References>,
    /// Its ID in the observer's network namespace; -1 where it has none (network namespaces).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub netnsid: Option<i64>,
    /// Its UID map: first ID inside, first ID outside, count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid_map: Option<Vec<(u32, u32, u32)>>,
    /// Its GID map.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gid_map: Option<Vec<(u32, u32, u32)>>,
    /// Its clock offsets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offsets: Option<Offsets>,
}

fn empty<T>(list: &Option<Vec<T>>) -> bool {
    list.as_ref().is_none_or(Vec::is_empty)
}

/// A chain of paths; older versions had one path.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Reference {
    Chain(Vec<String>),
    Path(String),
}

/// What `owner` and `parent` cannot say; only where it differs from what follows from these.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Relations {
    /// Its owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<RelationForm>,
    /// Its parent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<RelationForm>,
}

/// A relation: the namespace's inode number, or why there is none.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Relation"))]
pub(crate) enum RelationForm {
    Nsid(u64),
    State(RelationState),
}

/// Why there is no namespace at the other end.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) enum RelationState {
    NotAsked,
    None,
    NotVisible,
}

/// The clock offsets of a time namespace: seconds and nanoseconds.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Offsets {
    /// Added to `CLOCK_MONOTONIC`.
    pub monotonic: (i64, u32),
    /// Added to `CLOCK_BOOTTIME`.
    pub boottime: (i64, u32),
}

/// How many references to a namespace there are.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct References {
    /// The kernel's count.
    pub total: u32,
    /// How many of them are explained by what was found.
    pub explained: u32,
    /// Whether all of them can be: something else holds the namespace where one is not.
    pub exact: bool,
}

/// One thing that keeps a namespace alive, with what fits of the keys that lead there.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Holder {
    /// What it is.
    pub kind: HolderKind,
    /// The process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// The task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tid: Option<u32>,
    /// The descriptor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fd: Option<u32>,
    /// The socket's inode number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inode: Option<u64>,
    /// The network namespace in which a TUN/TAP device now is, where that is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_nsid: Option<u64>,
    /// The mount namespace of a mount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mntns: Option<u64>,
    /// Its ID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mountid: Option<u64>,
    /// The type of its file system, octal-escaped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fstype: Option<String>,
    /// Where it is mounted, octal-escaped; absent where the root of that mount namespace does not reach it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The child or the owned namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nsid: Option<u64>,
    /// What waits in a socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub what: Option<InFlightKind>,
    /// How many sockets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}

/// What waits in a socket.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) enum InFlightKind {
    Descriptor,
    Socket,
    Connection,
    #[serde(other, skip_serializing)]
    Unknown,
}

/// What a holder is.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) enum HolderKind {
    Process,
    Task,
    ForChildren,
    Fd,
    Socket,
    Tun,
    InFlight,
    BindMount,
    Mount,
    Child,
    Owned,
    Kernel,
    #[default]
    #[serde(other, skip_serializing)]
    Unknown,
}
