//! Processes and their tasks.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// A process.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Process<'a> {
    /// Its PID.
    #[cfg_attr(feature = "schema", schemars(required, range(min = 1)))]
    pub pid: Option<u32>,
    /// Its parent; 0 where it has none that can be seen.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub ppid: Option<u32>,
    #[serde(flatten)]
    pub common: Common<'a>,
    /// Its command line.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub cmdline: Option<Vec<Cow<'a, str>>>,
    /// Present where the command line is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmdline_unknown: Option<bool>,
    /// Its command line, octal-escaped; where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmdline_escaped: Option<Vec<String>>,
    /// How many tasks it has, where not all of them are in `tasks`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<u32>,
    /// Its tasks, the first one included.
    #[cfg_attr(feature = "schema", schemars(required, length(min = 1)))]
    pub tasks: Option<Vec<Task<'a>>>,
    /// The namespaces in which the thread group leader's next child will be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub for_children: Option<ForChildren>,
    /// Its user IDs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uids: Option<Uids>,
    /// Its PIDs, from the procfs's PID namespace down to its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nspids: Option<Vec<u32>>,
    /// Its capability sets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Capabilities>,
    /// Whether its system calls are filtered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seccomp: Option<crate::Seccomp>,
    /// Whether running a program gives it no more powers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_new_privs: Option<bool>,
    /// The label that a security module gave it; empty where no module gives any, absent where not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lsm_label: Option<Cow<'a, str>>,
    /// The label, octal-escaped; where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lsm_label_escaped: Option<String>,
}

/// A task.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Task<'a> {
    /// Its TID.
    #[cfg_attr(feature = "schema", schemars(required, range(min = 1)))]
    pub tid: Option<u32>,
    #[serde(flatten)]
    pub common: Common<'a>,
    /// The namespaces in which its next child will be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub for_children: Option<ForChildren>,
}

/// What processes and tasks have in common.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Common<'a> {
    /// Its name.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub name: Option<Cow<'a, str>>,
    /// Its name, octal-escaped; where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name_escaped: Option<String>,
    /// When it started, in clock ticks since boot.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub starttime: Option<u64>,
    /// Its namespaces.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub namespaces: Option<Links>,
    /// Its control group for the CPU controller; empty where not known.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub cpucgroup: Option<Cow<'a, str>>,
    /// What older versions called `cpucgroup`.
    #[serde(skip_serializing)]
    pub cgroup: Option<Cow<'a, str>>,
    /// Its control group for the freezer; empty where not known.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub fridgecgroup: Option<Cow<'a, str>>,
    /// Whether it is frozen; false where not known.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub fridgefrozen: Option<bool>,
    /// The CPUs that it may run on, as inclusive ranges.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Vec<(u32, u32)>>,
    /// The kernel's number of its scheduling policy; absent where zero.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<u32>,
    /// Its real-time priority; absent where zero.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<u32>,
    /// Its nice value; absent where zero.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nice: Option<i32>,

    /// What it was doing, as one letter.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 1)))]
    pub state: Option<String>,
    /// All its control groups; absent where not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroups: Option<Vec<CgroupMembership<'a>>>,
    /// Its freezer state; absent where not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub freezer: Option<Freezer>,
    /// How it is scheduled; absent where not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduling: Option<Scheduling>,
}

/// Namespaces by their types.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(deny_unknown_fields, rename = "Namespaces"))]
pub(crate) struct Links {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mnt: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uts: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipc: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub net: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<u64>,
}

/// The namespaces in which the next child will be.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct ForChildren {
    /// The PID namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u64>,
    /// The time namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<u64>,
}

/// The control group in one hierarchy.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct CgroupMembership<'a> {
    /// The hierarchy: 0 for cgroup v2.
    pub hierarchy: u32,
    /// The controllers of a v1 hierarchy, separated by commas.
    pub controllers: Cow<'a, str>,
    /// The path below the hierarchy's root.
    pub path: Cow<'a, str>,
    /// The path, octal-escaped; where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_escaped: Option<String>,
}

/// Whether something is frozen.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Freezer {
    /// Whether its own control group was told to freeze.
    pub own: bool,
    /// Whether it is frozen, because its own control group or one above was told to.
    pub effective: bool,
}

/// How something is scheduled.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Scheduling {
    /// The kernel's number of the policy.
    pub policy: u32,
    /// The real-time priority.
    pub priority: u32,
    /// The nice value.
    pub nice: i32,
}

/// User IDs.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Uids {
    /// The real one.
    pub real: u32,
    /// The effective one.
    pub effective: u32,
    /// The saved one.
    pub saved: u32,
    /// The one for file system access.
    pub file_system: u32,
}

/// Capability sets, 16 hexadecimal digits each, as in `/proc/PID/status`.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Capabilities {
    /// The inheritable set.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^[0-9a-f]{16}$")))]
    pub inheritable: String,
    /// The permitted set.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^[0-9a-f]{16}$")))]
    pub permitted: String,
    /// The effective set.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^[0-9a-f]{16}$")))]
    pub effective: String,
    /// The bounding set.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^[0-9a-f]{16}$")))]
    pub bounding: String,
    /// The ambient set.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^[0-9a-f]{16}$")))]
    pub ambient: String,
}
