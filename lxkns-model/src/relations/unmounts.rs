//! What unmounting takes away: copies in other mount namespaces with it, and what has to go first.

use std::cell::{Cell, OnceCell};
use std::collections::BTreeMap;

use bstr::{BStr, ByteSlice as _};
use rustc_hash::{FxHashMap, FxHashSet};

use super::NamespacedMount;
use crate::{DeviceNumber, Mount, NamespaceId, Snapshot};

/// A mount by its mount namespace and its ID.
pub type MountKey = (NamespaceId, u64);

/// How unmounting propagates between the mount namespaces of a snapshot, as far as their mounts are known.
#[derive(Debug)]
pub struct Unmounts<'a> {
    snapshot: &'a Snapshot,
    /// To which peer groups each peer group gives what it gets.
    receivers: FxHashMap<u32, Vec<u32>>,
    /// The mounts on a directory of a file system, in mounts that get what a peer group gets. Once it is asked for.
    on: OnceCell<ByDirectory<'a>>,
    /// How often it may still be found out what covers a mount, which takes going through a whole mount namespace.
    budget: Cell<usize>,
}

/// Mounts by the directory that they are on, and a peer group that the mount below belongs to or gets from.
type ByDirectory<'a> = FxHashMap<(DeviceNumber, Vec<u8>, u32), Vec<NamespacedMount<'a>>>;

/// Where a mount is, as propagation knows it: in which file system at which directory, below a mount of which groups.
struct Spot {
    file_system: DeviceNumber,
    directory: Vec<u8>,
    shared: Option<u32>,
    master: Option<u32>,
}

impl<'a> Unmounts<'a> {
    /// Goes through all mounts of a snapshot once.
    pub fn of(snapshot: &'a Snapshot) -> Self {
        const MOST_COVERED: usize = 1000;
        let mut receivers: FxHashMap<u32, Vec<u32>> = FxHashMap::default();
        let mut known = FxHashSet::default();
        for mount in snapshot.mounts.values().flatten() {
            if let Some((master, shared)) = mount.propagation.master.zip(mount.propagation.shared)
                && known.insert((master, shared))
            {
                receivers.entry(master).or_default().push(shared);
            }
        }
        Self { snapshot, receivers, on: OnceCell::new(), budget: Cell::new(MOST_COVERED) }
    }

    /// A mount, where the mounts of its mount namespace are known.
    pub fn mount(&self, (mount_ns, id): MountKey) -> Option<&'a Mount> {
        let mounts = self.snapshot.mounts.get(&mount_ns)?;
        mounts.binary_search_by_key(&id, |mount| mount.id).ok().map(|index| &mounts[index])
    }

    /// Of each of these mounts the one among them whose unmounting takes it away: the kernel unmounts the copies at the same
    /// directory of all mounts that get what the one below it gets. `order` has the places in `mounts` of those that
    /// can be unmounted, the preferred first; what none of them takes away stands for itself.
    pub fn sources(&self, mounts: &[MountKey], order: &[usize]) -> Vec<usize> {
        let spots: Vec<_> = mounts.iter().map(|&mount| self.spot(mount)).collect();
        let mut by_directory: FxHashMap<(DeviceNumber, &[u8]), Vec<usize>> = FxHashMap::default();
        for &index in order {
            if let Some(spot) = &spots[index] {
                by_directory.entry((spot.file_system, &spot.directory)).or_default().push(index);
            }
        }
        // Which of them reaches which peer groups, for each directory.
        let mut reached: FxHashMap<(DeviceNumber, &[u8], u32), usize> = FxHashMap::default();
        for (&(file_system, directory), candidates) in &by_directory {
            for &source in candidates {
                let mut todo: Vec<u32> = spots[source].iter().filter_map(|spot| spot.shared).collect();
                while let Some(group) = todo.pop() {
                    let entry = reached.entry((file_system, directory, group));
                    if let std::collections::hash_map::Entry::Vacant(entry) = entry {
                        entry.insert(source);
                        todo.extend(self.receivers.get(&group).into_iter().flatten());
                    }
                }
            }
        }
        let source = |index: usize| {
            let spot = spots[index].as_ref()?;
            let of_group = |group: u32| reached.get(&(spot.file_system, spot.directory.as_slice(), group)).copied();
            spot.master.and_then(of_group).or_else(|| spot.shared.and_then(of_group))
        };
        (0..mounts.len()).map(|index| source(index).unwrap_or(index)).collect()
    }

    /// The other mounts that go when this one is unmounted, unless they are locked or something is mounted on them; by
    /// namespace and ID. (While one of them is in use, this one cannot be unmounted.)
    pub fn unmounted_with(&self, key: MountKey) -> Vec<NamespacedMount<'a>> {
        let Some(Spot { file_system, directory, shared: Some(group), .. }) = self.spot(key) else { return Vec::new() };
        let on = self.on.get_or_init(|| self.by_directory());
        let (mut groups, mut seen) = (vec![group], FxHashSet::from_iter([group]));
        let mut with: BTreeMap<MountKey, NamespacedMount<'a>> = BTreeMap::new();
        while let Some(group) = groups.pop() {
            for &other in on.get(&(file_system, directory.clone(), group)).into_iter().flatten() {
                with.insert((other.namespace, other.mount.id), other);
            }
            let below = self.receivers.get(&group).into_iter().flatten().copied();
            groups.extend(below.filter(|&group| seen.insert(group)));
        }
        with.remove(&key);
        with.into_values().collect()
    }

    fn by_directory(&self) -> ByDirectory<'a> {
        let mut on = ByDirectory::default();
        for (&namespace, mounts) in &self.snapshot.mounts {
            for mount in mounts {
                let Some(Spot { file_system, directory, shared, master }) = self.spot((namespace, mount.id)) else {
                    continue;
                };
                for group in [shared, master].into_iter().flatten() {
                    let key = (file_system, directory.clone(), group);
                    on.entry(key).or_default().push(NamespacedMount { namespace, mount });
                }
            }
        }
        on
    }

    fn spot(&self, key: MountKey) -> Option<Spot> {
        let mount = self.mount(key)?;
        let parent = self.mount((key.0, mount.parent_id)).filter(|parent| parent.id != mount.id)?;
        let below = strip(mount.path()?, parent.path()?)?;
        let mut directory = parent.root.strip_suffix(b"/").unwrap_or(&parent.root).to_vec();
        directory.extend_from_slice(below);
        let (shared, master) = (parent.propagation.shared, parent.propagation.master);
        Some(Spot { file_system: parent.file_system, directory, shared, master })
    }

    /// What has to be unmounted before a mount can be, the first first: what is mounted over it, or over a directory above.
    /// `None` where that is not known, or takes more than unmounting a few paths.
    pub fn covering(&self, key: MountKey) -> Option<Vec<&'a Mount>> {
        const MOST: usize = 4;
        let target = self.mount(key)?;
        let path = target.path()?;
        let mounts = &self.snapshot.mounts[&key.0];
        if !target.hidden {
            return Some(Vec::new());
        }
        self.budget.set(self.budget.get().checked_sub(1)?);
        let ids: FxHashSet<u64> = mounts.iter().map(|mount| mount.id).collect();
        let mut on_path: FxHashMap<u64, Vec<&Mount>> = FxHashMap::default();
        let mut has_mounts: FxHashMap<u64, usize> = FxHashMap::default();
        let mut roots = Vec::new();
        for mount in mounts {
            *has_mounts.entry(mount.parent_id).or_default() += 1;
            if mount.path().is_some_and(|at| strip(path, at).is_some()) {
                if mount.parent_id == mount.id || !ids.contains(&mount.parent_id) {
                    roots.push(mount);
                } else {
                    on_path.entry(mount.parent_id).or_default().push(mount);
                }
            }
        }
        let [root] = roots[..] else { return None };
        let mut first: Vec<&Mount> = Vec::new();
        while first.len() <= MOST {
            let mut top = root;
            for _ in 0..mounts.len() {
                let children = on_path.get(&top.id).into_iter().flatten();
                let there = children.filter(|child| !first.iter().any(|gone| gone.id == child.id));
                // The first directory on the way that something is mounted on; of several the last that was.
                let next = there.min_by_key(|child| (child.path().map(|at| at.len()), std::cmp::Reverse(child.id)));
                let Some(next) = next else { break };
                top = next;
            }
            if top.id == target.id {
                return Some(first);
            }
            let is_needed = has_mounts.get(&top.id).is_some_and(|&count| count > 0);
            if top.id == root.id || is_needed {
                return None;
            }
            *has_mounts.entry(top.parent_id).or_default() -= 1;
            first.push(top);
        }
        None
    }
}

/// What is left of a path below another one: empty, or with a slash in front.
fn strip<'p>(path: &'p BStr, above: &BStr) -> Option<&'p [u8]> {
    let above = above.strip_suffix(b"/").unwrap_or(above);
    path.strip_prefix(above)
        .filter(|rest| rest.is_empty() || rest[0] == b'/')
        .map(|rest| rest.trim_end_with(|c| c == '/'))
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::{DiscoveryOptions, Host, Propagation};

    const HERE: NamespaceId = NamespaceId { ino: 10, dev: 4 };
    const THERE: NamespaceId = NamespaceId { ino: 11, dev: 4 };
    const BELOW: NamespaceId = NamespaceId { ino: 12, dev: 4 };

    fn mount(id: u64, parent: u64, point: &str, shared: Option<u32>, master: Option<u32>) -> Mount {
        let minor = if point.ends_with("/ns") { 4 } else { 1 };
        let mut mount = Mount::new(id, parent, DeviceNumber { major: 0, minor }, "tmpfs", Some(point));
        mount.propagation = Propagation { shared, master, ..Propagation::default() };
        mount
    }

    fn snapshot(mounts: impl IntoIterator<Item = (NamespaceId, Vec<Mount>)>) -> Snapshot {
        let mut snapshot = Snapshot::empty(DiscoveryOptions::namespaces(), Host::default(), SystemTime::UNIX_EPOCH);
        snapshot.mounts.extend(mounts);
        snapshot
    }

    #[test]
    fn copies_go_with_what_gives_them() {
        let snapshot = snapshot([
            (HERE, vec![mount(1, 0, "/", Some(7), None), mount(2, 1, "/a/ns", None, None)]),
            (THERE, vec![mount(3, 0, "/", Some(8), Some(7)), mount(4, 3, "/a/ns", None, None)]),
            (
                BELOW,
                vec![
                    mount(5, 0, "/", None, Some(8)),
                    mount(6, 5, "/a/ns", None, None),
                    mount(7, 5, "/b/ns", None, None),
                    mount(8, 0, "/c", None, None),
                    mount(9, 8, "/c/a/ns", None, None),
                ],
            ),
        ]);
        let unmounts = Unmounts::of(&snapshot);
        let mounts = [(BELOW, 6), (THERE, 4), (HERE, 2), (BELOW, 7), (BELOW, 9)];
        assert_eq!(unmounts.sources(&mounts, &[2, 1, 0, 3, 4]), [2, 2, 2, 3, 4]);
        assert_eq!(unmounts.sources(&mounts, &[1, 0]), [1, 1, 2, 3, 4], "what cannot be unmounted takes nothing away");
        assert_eq!(unmounts.sources(&mounts, &[]), [0, 1, 2, 3, 4]);
        // Of peers each takes the others away.
        let peers = self::snapshot([
            (HERE, vec![mount(1, 0, "/", Some(7), None), mount(2, 1, "/a/ns", None, None)]),
            (THERE, vec![mount(3, 0, "/", Some(7), None), mount(4, 3, "/a/ns", None, None)]),
        ]);
        assert_eq!(Unmounts::of(&peers).sources(&[(HERE, 2), (THERE, 4)], &[1, 0]), [1, 1]);
    }

    #[test]
    fn what_covers_a_mount_goes_first() {
        let hidden = |mut mount: Mount| {
            mount.hidden = true;
            mount
        };
        let covering = |mounts: Vec<Mount>, id| {
            let snapshot = snapshot([(HERE, mounts)]);
            let unmounts = Unmounts::of(&snapshot);
            unmounts.covering((HERE, id)).map(|first| first.iter().map(|mount| mount.id).collect::<Vec<_>>())
        };
        let root = mount(1, 0, "/", None, None);
        let target = hidden(mount(2, 1, "/a/ns", None, None));
        let visible = mount(2, 1, "/a/ns", None, None);
        assert_eq!(covering(vec![root.clone(), visible], 2), Some(vec![]));
        // Over it, over a directory above, and over that once more.
        let [on_it, above, again] =
            [mount(3, 2, "/a/ns", None, None), mount(4, 1, "/a", None, None), mount(5, 4, "/a", None, None)];
        let all = vec![root.clone(), target.clone(), hidden(on_it), hidden(above.clone()), again];
        assert_eq!(covering(all, 2), Some(vec![5, 4, 3]));
        // What is needed by another mount cannot be unmounted.
        let used = mount(6, 4, "/a/other", None, None);
        assert_eq!(covering(vec![root.clone(), target.clone(), above, used], 2), None);
        assert_eq!(covering(vec![root, target], 3), None, "not known");
    }

    #[test]
    fn peers_and_receivers_go_on_the_same_directory() {
        let (disk, usb) = (DeviceNumber { major: 8, minor: 1 }, DeviceNumber { major: 8, minor: 17 });
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
        let unmounts = Unmounts::of(&snapshot);
        let with = |ns, mount| -> Vec<u64> {
            unmounts.unmounted_with((id(ns), mount)).iter().map(|with| with.mount.id).collect()
        };
        assert_eq!(with(1, 11), [21, 31, 41]);
        assert_eq!(with(2, 21), [11, 31, 41]);
        assert_eq!(with(3, 31), [41]);
        assert_eq!((with(4, 41), with(5, 51), with(1, 12)), (vec![], vec![], vec![]));
    }
}
