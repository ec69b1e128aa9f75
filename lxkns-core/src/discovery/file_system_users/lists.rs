//! Mounts that are in no list of the snapshot: unmounted lazily, or in a mount namespace whose mounts were not read.

use rustc_hash::{FxHashMap, FxHashSet};

use super::living;
use crate::failure::Failure;
use crate::model::{Cause, DeviceNumber, NamespaceId, NamespaceType, Object, Pid, Snapshot};
use crate::procfs::{ProcRoot, parse};

/// The mounts that processes see now, by mount namespace: each namespace is read once.
pub(super) struct MountLists<'a> {
    proc: &'a ProcRoot,
    /// The mount namespaces of the snapshot with complete lists.
    whole: FxHashSet<NamespaceId>,
    /// What was read of a mount namespace.
    read: FxHashMap<NamespaceId, Result<FxHashMap<u64, DeviceNumber>, Failure>>,
    /// The mount namespaces of processes.
    namespaces: FxHashMap<Pid, Result<NamespaceId, Failure>>,
}

impl<'a> MountLists<'a> {
    pub(super) fn of(proc: &'a ProcRoot, snapshot: &Snapshot) -> Self {
        let mut whole: FxHashSet<NamespaceId> = snapshot.mounts.keys().copied().collect();
        for gap in &snapshot.gaps {
            if let Object::Namespace(id) = &gap.object {
                whole.remove(id);
            }
        }
        Self { proc, whole, read: FxHashMap::default(), namespaces: FxHashMap::default() }
    }

    /// The file system of a mount that a process uses; `Ok(None)` if its mount namespace has no such mount.
    ///
    /// # Errors
    ///
    /// Not known: not all mounts of its mount namespace are readable.
    pub(super) fn find(&mut self, pid: Pid, mount: u64) -> Result<Option<DeviceNumber>, Failure> {
        let proc = self.proc;
        let namespace = (*self.namespaces.entry(pid).or_insert_with(|| namespace(proc, pid)))?;
        let list = self.read.entry(namespace).or_insert_with(|| read(proc, pid));
        match list {
            Ok(list) => match list.get(&mount) {
                Some(&file_system) => Ok(Some(file_system)),
                None if self.whole.contains(&namespace) => Ok(None),
                // The list of this process can end at its root directory.
                None => Err(Cause::Partial.into()),
            },
            Err(failure) => Err(*failure),
        }
    }
}

fn namespace(proc: &ProcRoot, pid: Pid) -> Result<NamespaceId, Failure> {
    let dir = proc.process(pid)?;
    let below = living(&dir, pid)?.ok_or(Failure::VANISHED)?;
    let mut link = [0; 64];
    let text = dir.link(format!("{below}ns/{}", NamespaceType::Mnt), &mut link)?;
    let (_, ino) = parse::links::parse(text).ok_or(Cause::Malformed)?;
    Ok(NamespaceId { ino, dev: proc.nsfs_dev() })
}

fn read(proc: &ProcRoot, pid: Pid) -> Result<FxHashMap<u64, DeviceNumber>, Failure> {
    let dir = proc.process(pid)?;
    let below = living(&dir, pid)?.ok_or(Failure::VANISHED)?;
    let mut buffer = Vec::new();
    let text = dir.read(format!("{below}mountinfo"), &mut buffer)?;
    let mounts = parse::mountinfo::parse(text).flatten();
    Ok(mounts.map(|mount| (mount.mount_id, mount.file_system)).collect())
}
