//! How mounts and unmounts propagate, across mount namespaces.

use std::collections::BTreeMap;

use crate::{Mount, NamespaceId, Snapshot};

/// A mount, and the mount namespace that it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamespacedMount<'a> {
    /// The mount namespace.
    pub namespace: NamespaceId,
    /// The mount.
    pub mount: &'a Mount,
}

/// A group of mounts that get whatever any of them gets; `mount_namespaces(7)`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerGroup<'a> {
    /// Its mounts, in whatever mount namespace, by namespace and ID.
    pub peers: Vec<NamespacedMount<'a>>,
    /// The mounts that get whatever these get, and give nothing back, by namespace and ID.
    pub receivers: Vec<NamespacedMount<'a>>,
}

/// The peer groups of all mounts of a snapshot. Those of mount namespaces that could not be listed are not known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerGroups<'a>(BTreeMap<u32, PeerGroup<'a>>);

impl<'a> PeerGroups<'a> {
    /// The peer groups of a snapshot.
    pub fn of(snapshot: &'a Snapshot) -> Self {
        let mut groups: BTreeMap<u32, PeerGroup<'a>> = BTreeMap::new();
        for (&namespace, mounts) in &snapshot.mounts {
            for mount in mounts {
                let mount = NamespacedMount { namespace, mount };
                if let Some(shared) = mount.mount.propagation.shared {
                    groups.entry(shared).or_default().peers.push(mount);
                }
                if let Some(master) = mount.mount.propagation.master {
                    groups.entry(master).or_default().receivers.push(mount);
                }
            }
        }
        Self(groups)
    }

    /// The group with this number. Of a group without peers, only receivers are known.
    pub fn get(&self, group: u32) -> Option<&PeerGroup<'a>> {
        self.0.get(&group)
    }

    /// All groups, by their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &PeerGroup<'a>)> {
        self.0.iter().map(|(&number, group)| (number, group))
    }

    /// The other mounts of this mount's peer group.
    pub fn peers(&self, mount: NamespacedMount<'_>) -> impl Iterator<Item = NamespacedMount<'a>> {
        let is_itself =
            move |other: &NamespacedMount<'_>| (other.namespace, other.mount.id) == (mount.namespace, mount.mount.id);
        let group = mount.mount.propagation.shared.and_then(|group| self.get(group));
        group.into_iter().flat_map(|group| &group.peers).copied().filter(move |other| !is_itself(other))
    }

    /// The mounts that get what this mount gets, and give nothing back.
    pub fn receivers(&self, mount: NamespacedMount<'_>) -> &[NamespacedMount<'a>] {
        let group = mount.mount.propagation.shared.and_then(|group| self.get(group));
        group.map_or(&[], |group| &group.receivers)
    }

    /// The mounts that this mount gets mounts and unmounts from, without giving any back: those of its master.
    pub fn sources(&self, mount: NamespacedMount<'_>) -> &[NamespacedMount<'a>] {
        let group = mount.mount.propagation.master.and_then(|group| self.get(group));
        group.map_or(&[], |group| &group.peers)
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::{DeviceNumber, DiscoveryOptions, Host, Propagation};

    const HERE: NamespaceId = NamespaceId { ino: 10, dev: 4 };
    const THERE: NamespaceId = NamespaceId { ino: 11, dev: 4 };

    fn mount(id: u64, shared: Option<u32>, master: Option<u32>) -> Mount {
        let mut mount = Mount::new(id, 1, DeviceNumber { major: 0, minor: 1 }, "tmpfs", Some("/"));
        mount.propagation = Propagation { shared, master, ..Propagation::default() };
        mount
    }

    #[test]
    fn peers_receivers_and_sources_are_found_in_other_namespaces() {
        let mut snapshot = Snapshot::empty(DiscoveryOptions::namespaces(), Host::default(), SystemTime::UNIX_EPOCH);
        snapshot.mounts.insert(HERE, vec![mount(1, Some(7), None), mount(2, None, None), mount(3, Some(7), None)]);
        snapshot
            .mounts
            .insert(THERE, vec![mount(4, Some(8), Some(7)), mount(5, Some(7), None), mount(6, None, Some(9))]);
        let groups = PeerGroups::of(&snapshot);
        let at = |namespace, index: usize| NamespacedMount { namespace, mount: &snapshot.mounts[&namespace][index] };
        let ids = |mounts: &[NamespacedMount<'_>]| mounts.iter().map(|at| at.mount.id).collect::<Vec<_>>();

        assert_eq!(
            groups.peers(at(HERE, 0)).map(|at| (at.namespace, at.mount.id)).collect::<Vec<_>>(),
            [(HERE, 3), (THERE, 5)]
        );
        assert_eq!(ids(groups.receivers(at(HERE, 0))), [4]);
        assert_eq!(ids(groups.sources(at(THERE, 0))), [1, 3, 5]);
        assert_eq!(groups.peers(at(THERE, 0)).count(), 0, "alone in its group");
        assert_eq!((groups.peers(at(HERE, 1)).count(), groups.receivers(at(HERE, 1)).len()), (0, 0), "private");
        assert!(groups.sources(at(THERE, 2)).is_empty(), "from where it gets mounts is not to be seen");
        assert_eq!(ids(&groups.get(9).unwrap().receivers), [6]);
        assert_eq!(groups.iter().map(|(number, _)| number).collect::<Vec<_>>(), [7, 8, 9]);
    }
}
