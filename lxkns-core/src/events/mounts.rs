//! Changes of mounts: of the caller's own mount namespace by its mountinfo, of others by fanotify.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use rustc_hash::FxHashSet;
use rustix::fs::{Mode, OFlags};

use crate::model::{Namespace, NamespaceId};
use crate::procfs::ProcRoot;

/// The caller's own list of mounts, which polls as exceptional when it has changed. It keeps the mount namespace alive that it
/// is of: those of others are never kept open.
pub(super) fn own(proc: &ProcRoot) -> Option<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::openat(proc, "thread-self/mountinfo", flags, Mode::empty()).ok()
}

/// The mount namespaces whose changes the kernel tells of.
pub(super) struct Marks {
    group: Option<Arc<OwnedFd>>,
    /// By their unique IDs too: a number is used again for another one.
    marked: FxHashSet<(NamespaceId, Option<u64>)>,
}

impl Marks {
    /// None yet; none ever where the kernel has no such events, or does not give them to the caller.
    pub(super) fn open() -> Self {
        Self { group: lxkns_sys::fanotify_mounts().ok().map(Arc::new), marked: FxHashSet::default() }
    }

    /// What polls as readable when mounts have changed.
    pub(super) fn group(&self) -> Option<Arc<OwnedFd>> {
        self.group.clone()
    }

    /// Marks those that are new; forgets those that are not among them, as the kernel does when they end. Returns whether some
    /// are new.
    pub(super) fn add<'n>(
        &mut self,
        namespaces: impl IntoIterator<Item = &'n Namespace>,
        mut open: impl FnMut(NamespaceId) -> Option<OwnedFd>,
    ) -> bool {
        let Some(group) = &self.group else { return false };
        let mut has_new = false;
        let before = std::mem::take(&mut self.marked);
        for &Namespace { id, unique_id, .. } in namespaces {
            let is_known = before.contains(&(id, unique_id));
            if is_known || open(id).is_some_and(|fd| lxkns_sys::fanotify_mark_mounts(group.as_fd(), fd).is_ok()) {
                self.marked.insert((id, unique_id));
                has_new |= !is_known;
            }
        }
        has_new
    }
}

/// Reads what a group tells, which is no more than that something has changed. Whoever mounts and unmounts all the time does not
/// keep the reader here.
pub(super) fn drain(group: &OwnedFd) {
    const MOST: usize = 256;
    let mut buffer = [0; 4096];
    let _ = (0..MOST).find(|_| !rustix::io::read(group, &mut buffer).is_ok_and(|read| read > 0));
}
