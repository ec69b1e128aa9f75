//! Which mounts go when another is unmounted: an unmount propagates as a mount does (`mount_namespaces(7)`).

use std::collections::BTreeMap;

use bstr::{BString, ByteSlice};
use rustc_hash::{FxHashMap, FxHashSet};

use super::NamespacedMount;
use crate::model::{FileSystem, Mount, NamespaceId, Snapshot};

/// Where a mount is mounted, whichever mount namespace and path that is: the directory below.
type Point = (FileSystem, BString);

/// What unmounting propagates to, for the mounts of one file system.
#[derive(Clone, Debug)]
pub struct UnmountPropagation<'a> {
    /// Of each mount the directory that it is on, and the peer group of the mount that that is in.
    points: FxHashMap<(NamespaceId, u64), (Point, Option<u32>)>,
    /// The mounts on a directory, in mounts that get what a peer group gets.
    receivers: FxHashMap<(Point, u32), Vec<NamespacedMount<'a>>>,
    /// The peer groups that get what a peer group gets.
    below: BTreeMap<u32, FxHashSet<u32>>,
}

impl<'a> UnmountPropagation<'a> {
    /// For the mounts of a file system. Takes time in proportion to all mounts.
    pub fn of(snapshot: &'a Snapshot, file_system: FileSystem) -> Self {
        let (mut points, mut receivers) = (FxHashMap::default(), FxHashMap::default());
        let mut below: BTreeMap<u32, FxHashSet<u32>> = BTreeMap::new();
        for (&namespace, mounts) in &snapshot.mounts {
            let parents: FxHashMap<u64, &Mount> = mounts.iter().map(|mount| (mount.id, mount)).collect();
            for mount in mounts {
                if let (Some(master), Some(shared)) = (mount.propagation.master, mount.propagation.shared) {
                    below.entry(master).or_default().insert(shared);
                }
                let parent = parents.get(&mount.parent_id).filter(|parent| parent.id != mount.id);
                let of_it = parent.filter(|_| mount.file_system == file_system);
                let Some((parent, point)) = of_it.and_then(|parent| Some((parent, point(parent, mount)?))) else {
                    continue;
                };
                let propagation = parent.propagation;
                for group in [propagation.shared, propagation.master].into_iter().flatten() {
                    let on_it: &mut Vec<_> = receivers.entry((point.clone(), group)).or_default();
                    on_it.push(NamespacedMount { namespace, mount });
                }
                points.insert((namespace, mount.id), (point, propagation.shared));
            }
        }
        Self { points, receivers, below }
    }

    /// The other mounts that go when this one is unmounted, unless they are locked or something is mounted on them; by
    /// namespace and ID. (While one of them is in use, this one cannot be unmounted.)
    pub fn unmounted_with(&self, namespace: NamespaceId, mount: u64) -> Vec<NamespacedMount<'a>> {
        let Some((point, Some(group))) = self.points.get(&(namespace, mount)) else { return Vec::new() };
        let (mut groups, mut seen) = (vec![*group], FxHashSet::from_iter([*group]));
        let mut with: BTreeMap<(NamespaceId, u64), NamespacedMount<'a>> = BTreeMap::new();
        while let Some(group) = groups.pop() {
            for &other in self.receivers.get(&(point.clone(), group)).into_iter().flatten() {
                with.insert((other.namespace, other.mount.id), other);
            }
            let below = self.below.get(&group).into_iter().flatten();
            groups.extend(below.filter(|&&group| seen.insert(group)));
        }
        with.remove(&(namespace, mount));
        with.into_values().collect()
    }
}

/// The directory that a mount is on, as a path of the file system below.
fn point(parent: &Mount, mount: &Mount) -> Option<Point> {
    let above = parent.path()?.trim_end_with(|end| end == '/');
    let rest = mount.path()?.strip_prefix(above)?;
    let mut path = BString::from(parent.root.trim_end_with(|end| end == '/'));
    path.extend_from_slice(rest);
    Some((parent.file_system, path))
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::model::{DiscoveryOptions, Host};

    #[test]
    fn peers_and_receivers_go_on_the_same_directory() {
        let (disk, usb) = (FileSystem { major: 8, minor: 1 }, FileSystem { major: 8, minor: 17 });
        let id = |ino| NamespaceId { ino, dev: 4 };
        let parent = |id, path: &str, shared, master| {
            let mut mount = Mount::new(id, 1, disk, "ext4", Some(path));
            (mount.propagation.shared, mount.propagation.master) = (shared, master);
            mount
        };
        let on = |id, parent, path: &str| Mount::new(id, parent, usb, "vfat", Some(path));
        let mut snapshot = Snapshot::empty(DiscoveryOptions::namespaces(), Host::default(), SystemTime::UNIX_EPOCH);
        // A peer below another path, a receiver, a receiver of that, a private copy, and the peer's other directory.
        snapshot.mounts.insert(id(1), vec![parent(10, "/", Some(1), None), on(11, 10, "/mnt"), on(12, 10, "/mnt2")]);
        snapshot.mounts.insert(id(2), vec![parent(20, "/host", Some(1), None), on(21, 20, "/host/mnt")]);
        snapshot.mounts.insert(id(3), vec![parent(30, "/", Some(3), Some(1)), on(31, 30, "/mnt")]);
        snapshot.mounts.insert(id(4), vec![parent(40, "/", None, Some(3)), on(41, 40, "/mnt")]);
        snapshot.mounts.insert(id(5), vec![parent(50, "/", None, None), on(51, 50, "/mnt")]);
        let propagation = UnmountPropagation::of(&snapshot, usb);
        let with = |ns, mount| -> Vec<u64> {
            propagation.unmounted_with(id(ns), mount).iter().map(|with| with.mount.id).collect()
        };
        assert_eq!(with(1, 11), [21, 31, 41]);
        assert_eq!(with(2, 21), [11, 31, 41]);
        assert_eq!(with(3, 31), [41]);
        assert_eq!((with(4, 41), with(5, 51), with(1, 12)), (vec![], vec![], vec![]));
    }
}
