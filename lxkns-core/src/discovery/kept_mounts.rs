//! What a session keeps of mount lists from one scan to the next: the mounts that matter, of mount namespaces in which nothing
//! was mounted or unmounted since.
//!
//! The kernel reader tells whether that is so. It does not tell whether a directory above a mount was renamed, so a path is
//! believed only if it still leads to its mount; else the list is read again.

use std::os::fd::OwnedFd;
use std::sync::PoisonError;

use bstr::ByteSlice;
use rustc_hash::FxHashMap;

use super::search::Search;
use crate::model::{DeviceNumber, Mount, NamespaceId, Place};
use crate::reach::lookup::Roots;

/// The unique ID of a mount namespace, and the number of the last change in it.
pub(super) type Version = (u64, u64);

/// A mount, and its root directory if that was looked up.
pub(super) type Pinned = (Mount, Option<OwnedFd>);

/// What a scan leaves to the next one.
#[derive(Debug, Default)]
pub(super) struct KeptMounts {
    lists: FxHashMap<NamespaceId, (Version, Vec<Mount>)>,
    /// The owners of file systems at that time, which say what mounts matter.
    owners: FxHashMap<DeviceNumber, NamespaceId>,
}

impl KeptMounts {
    /// What the last scan has left and nothing has changed of; `None` if this one asks for more than what is kept.
    pub(super) fn begin(search: &Search<'_>) -> Option<Self> {
        let options = search.options;
        let is_enough = search.looks_in(Place::BindMounts) && !options.mounts && !options.suspects;
        let owners = search.file_system_owners.get().filter(|_| is_enough)?;
        let mut kept = std::mem::take(&mut *search.session.kept_mounts.lock().unwrap_or_else(PoisonError::into_inner));
        if kept.owners != *owners {
            kept = Self { lists: FxHashMap::default(), owners: owners.clone() };
        }
        kept.lists.retain(|id, (version, _)| search.mounts_changed.get(id) == Some(version));
        Some(kept)
    }

    /// Leaves it to the next scan, with the lists that were read.
    pub(super) fn finish(mut self, search: &Search<'_>, read: Vec<(NamespaceId, Vec<Mount>)>) {
        for (id, mounts) in read {
            if let Some(&version) = search.mounts_changed.get(&id) {
                self.lists.insert(id, (version, mounts));
            }
        }
        *search.session.kept_mounts.lock().unwrap_or_else(PoisonError::into_inner) = self;
    }

    /// The mounts that matter of a namespace; `None` if they are to be read. Their paths are looked up below these roots.
    pub(super) fn unchanged(&self, id: NamespaceId, roots: &mut Roots<'_>) -> Option<Vec<Pinned>> {
        let look_up = |mount: &Mount| {
            // Of these, only the device number matters.
            let has_no_path = is_of_control_groups(mount) && !self.owners.contains_key(&mount.file_system);
            let root = if has_no_path { None } else { Some(roots.mount(mount.path()?, mount.id).ok()?) };
            Some((mount.clone(), root))
        };
        self.lists.get(&id)?.1.iter().map(look_up).collect()
    }

    /// Those of these mounts that matter.
    pub(super) fn that_matter(&self, mounts: &[Mount]) -> Vec<Mount> {
        let matters = |mount: &&Mount| {
            let is_wanted = matches!(mount.fs_type.as_bytes(), b"nsfs" | b"proc") || is_of_control_groups(mount);
            is_wanted || self.owners.contains_key(&mount.file_system)
        };
        mounts.iter().filter(matters).cloned().collect()
    }
}

fn is_of_control_groups(mount: &Mount) -> bool {
    matches!(mount.fs_type.as_bytes(), b"cgroup" | b"cgroup2")
}
