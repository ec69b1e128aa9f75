//! Mounts, and the file systems that they show.

use std::fmt;
use std::sync::Arc;

use bstr::{BStr, ByteSlice};

/// A file system by its device number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceNumber {
    /// The major number; 0 for file systems without a block device.
    pub major: u32,
    /// The minor number.
    pub minor: u32,
}

impl fmt::Display for DeviceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

/// A text that the mounts of many mount namespaces have in common, kept once: most of them are copies of others.
pub type SharedText = Arc<BStr>;

/// A mount in a mount namespace: what `proc_pid_mountinfo(5)` says of it, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Its ID, as in mountinfo. The kernel gives it to another when the mount is gone.
    pub id: u64,
    /// The ID of the mount that it is mounted on. That of a namespace's topmost mount is not in the namespace's list.
    pub parent_id: u64,
    /// The device number of its file system. The `st_dev` of files in it can be another (btrfs).
    pub file_system: DeviceNumber,
    /// Which part of the file system is mounted. Not always a path: `net:[4026531833]` where it is a namespace. It
    /// ends with `//deleted` where it was removed since.
    pub root: SharedText,
    /// Where it is mounted, from the root of the mount namespace; `None` where that root does not reach it.
    pub point: Option<SharedText>,
    /// The options of the mount, separated by commas: `rw,nosuid,relatime`.
    pub options: SharedText,
    /// How mounts and unmounts below it come and go elsewhere.
    pub propagation: Propagation,
    /// The type of the file system, and a subtype after a dot: `ext4`, `fuse.sshfs`.
    pub fs_type: SharedText,
    /// The device or name of the file system, as given to mount; can be empty.
    pub source: Option<SharedText>,
    /// The options of the file system, separated by commas, escaped in ways that differ between file systems.
    pub super_options: Option<SharedText>,
    /// Whether no path leads to it: something is mounted over it, or over something above it. See
    /// [`hidden_mounts`](crate::relations::hidden_mounts) for what is meant by a path.
    pub hidden: bool,
}

impl Mount {
    /// A mount with only its place and its file system known.
    pub fn new(id: u64, parent_id: u64, file_system: DeviceNumber, fs_type: &str, point: Option<&str>) -> Self {
        let text = |text: &str| SharedText::from(Box::<BStr>::from(text.as_bytes().to_vec().into_boxed_slice()));
        Self {
            id,
            parent_id,
            file_system,
            root: text("/"),
            point: point.map(text),
            options: text("rw"),
            propagation: Propagation::default(),
            fs_type: text(fs_type),
            source: None,
            super_options: None,
            hidden: false,
        }
    }

    /// The path at which it is mounted, where it has one.
    pub fn path(&self) -> Option<&BStr> {
        self.point.as_deref()
    }

    /// Whether both the mount and the file system can be written to, as far as their options say.
    pub fn is_writable(&self) -> bool {
        let has_rw = |options: &BStr| options.split_str(",").next() == Some(b"rw");
        has_rw(&self.options) && self.super_options.as_deref().is_none_or(has_rw)
    }
}

/// How a mount takes part in the propagation of mounts and unmounts; `mount_namespaces(7)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Propagation {
    /// Its peer group: mounts that get whatever any of them gets.
    pub shared: Option<u32>,
    /// The peer group that it gets mounts and unmounts from, without giving any back.
    pub master: Option<u32>,
    /// The nearest peer group above its master that has a mount in the same mount namespace, where its master has none,
    /// as the kernel tells processes.
    pub propagate_from: Option<u32>,
    /// Whether it cannot be bind-mounted.
    pub unbindable: bool,
}

impl Propagation {
    /// Whether nothing propagates to or from it.
    pub fn is_private(self) -> bool {
        self.shared.is_none() && self.master.is_none()
    }
}
