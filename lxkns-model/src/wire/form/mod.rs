//! The JSON objects as Rust types, for both directions. docs/json.md says what they mean.
//!
//! Everything is optional here, since what older and other programs leave out must be readable: [`super::write`]
//! decides what is always there, and the schema says so with `required`.

mod container;
mod mount;
mod namespace;
mod process;

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

pub(crate) use container::{
    Container, ContainersInfo, Disagreement, Engine, Evidence, Group, GroupKind, Pod, SaidText, Text, Unit,
};
pub(crate) use mount::{Mount, MountPath, Mounts};
pub(crate) use namespace::{
    Holder, HolderKind, InFlightKind, Namespace, Offsets, Reference, References, RelationForm, RelationState, Relations,
};
pub(crate) use process::{
    Capabilities, CgroupMembership, Common, ForChildren, Freezer, Links, Process, Scheduling, Task, Uids,
};

/// The whole. Its keys are all that there may be: a further one makes the Go reader drop everything.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(deny_unknown_fields, title = "lxkns dump"))]
pub(crate) struct Dump {
    /// What was asked for, and what belongs to the whole.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub discovery_options: Option<Options>,
    /// What older versions called `discovery-options`.
    #[serde(skip_serializing)]
    pub options: Option<Options>,
    /// The namespaces, by inode number.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub namespaces: Option<BTreeMap<u64, Namespace>>,
    /// The processes, by PID.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub processes: Option<BTreeMap<u32, Process<'static>>>,
    /// The mounts of mount namespaces, by inode number and path.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub mounts: Option<Mounts>,
    /// The containers, by the PIDs of their first processes.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub containers: Option<BTreeMap<u32, Container>>,
    /// The engines that run them, by numbers.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub container_engines: Option<BTreeMap<usize, Engine>>,
    /// Their groups, by numbers.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub container_groups: Option<BTreeMap<usize, Group>>,
    /// The CPUs that are online, as inclusive ranges; empty where not known.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub cpus_online: Option<Vec<(u32, u32)>>,
}

/// An object without keys; when read, whatever is there.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(crate) struct Empty {}

impl<'de> Deserialize<'de> for Empty {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Self {})
    }
}

/// What was asked for.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "DiscoveryOptions"))]
pub(crate) struct Options {
    /// Whether the namespaces of processes were read.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub from_procs: Option<bool>,
    /// Whether those of tasks were.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub from_tasks: Option<bool>,
    /// Whether open descriptors were.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub from_fds: Option<bool>,
    /// Whether bind mounts were.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub from_bindmounts: Option<bool>,
    /// Whether parents were asked for.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub with_hierarchy: Option<bool>,
    /// Whether owners were.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub with_ownership: Option<bool>,
    /// Whether freezer states were.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub with_freezer: Option<bool>,
    /// Whether mounts were.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub with_mounts: Option<bool>,
    /// Whether sockets were.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub with_socket_processes: Option<bool>,
    /// Whether CPU affinity and scheduling of processes were.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub with_affinity_scheduling: Option<bool>,
    /// Whether those of tasks were.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub with_task_affinity_scheduling: Option<bool>,
    /// The types of namespaces that were looked for.
    #[cfg_attr(feature = "schema", schemars(required, with = "Vec<TypeName>"))]
    pub scanned_namespace_types: Option<Vec<String>>,
    /// Labels: none yet.
    pub labels: Empty,
    /// What is this program's own and belongs to the whole.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub snapshot: Option<SnapshotInfo>,

    // What older versions said instead.
    #[serde(skip_serializing)]
    pub skipped_procs: Option<bool>,
    #[serde(skip_serializing)]
    pub skipped_tasks: Option<bool>,
    #[serde(skip_serializing)]
    pub skipped_fds: Option<bool>,
    #[serde(skip_serializing)]
    pub skipped_bindmounts: Option<bool>,
    #[serde(skip_serializing)]
    pub skipped_hierarchy: Option<bool>,
    #[serde(skip_serializing)]
    pub skipped_ownership: Option<bool>,
    #[serde(skip_serializing)]
    pub skipped_freezer: Option<bool>,
}

/// What is this program's own and belongs to the whole.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Snapshot"))]
pub(crate) struct SnapshotInfo {
    /// The version of this form.
    #[cfg_attr(feature = "schema", schemars(required, range(min = 1)))]
    pub format: Option<u32>,
    /// The kernel's release.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub kernel: Option<String>,
    /// An ID that is new at each boot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
    /// The host name.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub hostname: Option<String>,
    /// When discovery began: RFC 3339, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(extend("format" = "date-time")))]
    pub taken_at: Option<String>,
    /// How long it took, in nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub took_nsec: Option<u64>,
    /// The device number of nsfs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nsfs_dev: Option<u64>,
    /// The observer's mount namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mntns: Option<u64>,
    /// Who looked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observer: Option<Observer>,
    /// Where processes, tasks and their open files were read from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::Reader>"))]
    pub reader: Option<String>,
    /// Why that was not the kernel reader; absent where it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_kernel: Option<NotKernel>,
    /// The names of users who have created no user namespace, by UID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_names: Option<BTreeMap<u32, String>>,
    /// Where namespaces were looked for.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub places: Option<Vec<String>>,
    /// What else was asked for.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub options: Option<OwnOptions>,
    /// What could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gaps: Option<Vec<Gap>>,
    /// What holds a namespace without the kernel saying which.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub suspects: Option<Vec<Suspect>>,
    /// Mounts that have no place in the tree by path, by mount namespace: no path reaches them, or its root is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mounts: Option<BTreeMap<u64, Vec<Mount>>>,
    /// What else is known of containers; absent where they were not looked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub containers: Option<ContainersInfo>,
    /// The PIDs of processes, from their own PID namespaces upwards.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub pidmap: Option<Vec<Vec<NamespacedPid>>>,
}

/// Who looked.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Observer {
    /// The effective UID.
    pub uid: u32,
    /// The effective capabilities: 16 hexadecimal digits.
    pub capabilities: String,
    /// The user namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub userns: Option<u64>,
    /// The PID namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pidns: Option<u64>,
    /// The PID namespace of the procfs that was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub procfs_pidns: Option<u64>,
}

/// Why the kernel reader was not used.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct NotKernel {
    /// `not-asked`, `few-processes`, or `refused`.
    pub why: String,
    /// What failed, where it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap: Option<Gap>,
}

/// What was asked for beyond places.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "SnapshotOptions"))]
pub(crate) struct OwnOptions {
    /// Of which processes `status` was read.
    #[cfg_attr(feature = "schema", schemars(with = "ScopeName"))]
    pub status: String,
    /// Whether labels of security modules were read too.
    pub security_labels: bool,
    /// Whether control groups were read.
    pub cgroups: bool,
    /// Whether freezer states were.
    pub freezer: bool,
    /// Whether CPU affinity and scheduling were.
    pub scheduling: bool,
    /// Whether these were read of each task too.
    pub task_details: bool,
    /// Of which processes command lines were read.
    #[cfg_attr(feature = "schema", schemars(with = "ScopeName"))]
    pub command_lines: String,
    /// Whether ID maps and clock offsets were read.
    pub namespace_details: bool,
    /// Whether the mounts of mount namespaces were listed.
    pub mounts: bool,
    /// Whether suspects were looked for.
    pub suspects: bool,
    /// Whether references were counted.
    pub references: bool,
    /// Whether the program that looked was left out.
    pub without_self: bool,
    /// Where processes were to be read from; absent where discovery chose.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::Reader>"))]
    pub reader: Option<String>,
}

/// Something that could not be read, with what fits of the keys that name things.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Gap {
    /// Where discovery was looking.
    pub place: String,
    /// What it tried: a call by its name, or `list`, `read`, `readlink`, `parse`, `open`, `stat`, `find-mount`, `enter`,
    /// `read-inside`, `open-inside`, `start-thread`, `other`.
    pub operation: String,
    /// What it tried that with, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operand: Option<String>,
    /// Why it failed.
    #[cfg_attr(feature = "schema", schemars(with = "crate::Cause", required))]
    pub cause: Option<String>,
    /// The kernel's error number, where it gave one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errno: Option<i32>,
    /// A process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// A task of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tid: Option<u32>,
    /// A descriptor of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fd: Option<u32>,
    /// A namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nsid: Option<u64>,
    /// A mount namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mntns: Option<u64>,
    /// A mount in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mountid: Option<u64>,
    /// A path, octal-escaped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// Something that holds a namespace without the kernel saying which.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Suspect {
    /// What it is.
    pub kind: SuspectKind,
    /// The process that has it open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// The task whose table it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tid: Option<u32>,
    /// The descriptor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fd: Option<u32>,
    /// The type of namespace that it holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "TypeName"))]
    pub r#type: Option<String>,
    /// How many descriptors or files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// The mount namespace of a mount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mntns: Option<u64>,
    /// Its ID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mountid: Option<u64>,
    /// The type of its file system, octal-escaped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fstype: Option<String>,
    /// The major device number of its file system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub major: Option<u32>,
    /// The minor one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minor: Option<u32>,
    /// A path, octal-escaped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The ID of a shared memory segment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shmid: Option<u64>,
    /// Its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<u32>,
}

/// What a suspect is.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) enum SuspectKind {
    ProcFile,
    InFlight,
    IoUring,
    Mount,
    SharedMemory,
    #[default]
    #[serde(other, skip_serializing)]
    Unknown,
}

/// A PID, and the PID namespace in which it means something.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct NamespacedPid {
    /// The PID.
    pub pid: u32,
    /// The PID namespace.
    pub nsid: u64,
}

/// Of which processes something was read.
#[cfg(feature = "schema")]
#[derive(Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(dead_code, reason = "only the schema has this type")]
pub(crate) enum ScopeName {
    None,
    Named,
    All,
}

/// A type of namespaces.
#[cfg(feature = "schema")]
#[derive(Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(dead_code, reason = "only the schema has this type")]
pub(crate) enum TypeName {
    Mnt,
    Cgroup,
    Uts,
    Ipc,
    User,
    Pid,
    Net,
    Time,
}
