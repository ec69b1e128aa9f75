//! Mounts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Mount namespaces by inode number, each with its paths.
pub(crate) type Mounts = BTreeMap<u64, BTreeMap<String, MountPath>>;

/// What is mounted at a path of a mount namespace.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct MountPath {
    /// The mounts at this path, the topmost last.
    #[cfg_attr(feature = "schema", schemars(required, length(min = 1)))]
    pub mounts: Option<Vec<Mount>>,
    /// A number of this path, unique within the mount namespace.
    #[cfg_attr(feature = "schema", schemars(required, range(min = 1)))]
    pub pathid: Option<u64>,
    /// The number of the nearest path above at which something is mounted; 0 for the root.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub parentid: Option<u64>,
}

/// A mount. Texts are octal-escaped as in mountinfo, where nothing else is said.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Mount {
    /// Its ID.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub mountid: Option<u64>,
    /// The ID of the mount that it is on.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub parentid: Option<u64>,
    /// The major device number of its file system.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub major: Option<u32>,
    /// The minor one.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub minor: Option<u32>,
    /// Which part of the file system is mounted.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub root: Option<String>,
    /// Where; absent where the root of the mount namespace does not reach it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mountpoint: Option<String>,
    /// The mount point, not escaped, where it differs then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The options of the mount.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub mountoptions: Option<Vec<String>>,
    /// Its propagation: shared, master, propagate_from, unbindable.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub tags: Option<BTreeMap<String, String>>,
    /// The type of the file system, and a subtype after a dot.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub fstype: Option<String>,
    /// The device or name of the file system, as given to mount; empty if not known.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub source: Option<String>,
    /// Present where the source is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_unknown: Option<bool>,
    /// The options of the file system, as they are; empty where not known.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub superoptions: Option<String>,
    /// The options of the file system, escaped, where they are not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub superoptions_escaped: Option<String>,
    /// Present where the options of the file system are not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub superoptions_unknown: Option<bool>,
    /// Whether no path leads to it.
    #[cfg_attr(feature = "schema", schemars(required))]
    pub hidden: Option<bool>,
}
