//! The host itself, which containers are compared with.

use bstr::{BStr, BString, ByteSlice as _};
use lxkns_model::CompactSort as _;
use lxkns_model::relations::{is_at_or_below, is_of_host};
use lxkns_model::{
    CapabilitySet, ConfinementFacts, DeviceNumber, Mount, NamespaceId, NamespaceLinks, NamespaceType, Pid, Snapshot,
};
use rustc_hash::{FxHashMap, FxHashSet};

/// How many mounts of one file system are tried to find the path of another mount on the host.
const MOST: usize = 64;

/// The host.
#[derive(Debug)]
pub(super) struct HostView<'a> {
    pub(super) mount_ns: Option<NamespaceId>,
    /// The host's mounts by their IDs.
    pub(super) mounts: FxHashMap<u64, &'a Mount>,
    /// Whether the host's mounts are known.
    pub(super) has_mounts: bool,
    /// The peer groups that the host's mounts are in.
    pub(super) peer_groups: FxHashSet<u32>,
    /// The host's mounts by file system, those that show most of it first.
    by_file_system: FxHashMap<DeviceNumber, Vec<&'a Mount>>,
    /// Each mount namespace that a mount is in, of mounts that are not the host's.
    pub(super) elsewhere: FxHashMap<u64, NamespaceId>,
    /// What the host's first process can have.
    pub(super) capabilities: CapabilitySet,
    /// Whether UIDs are those of the host.
    pub(super) has_uids: bool,
    /// Whether a security module gives labels; `None` where that was not read.
    pub(super) has_labels: Option<bool>,
    /// Where the sockets of engines are: each with the file system and the path in it.
    pub(super) sockets: Vec<(usize, DeviceNumber, BString)>,
    /// The engine sockets of which it is not known where they are.
    pub(super) unplaced_sockets: usize,
}

impl<'a> HostView<'a> {
    pub(super) fn of(snapshot: &'a Snapshot, facts: Option<&ConfinementFacts>) -> Self {
        let containers = snapshot.annotations.containers.as_ref();
        let is_contained = |pid| containers.is_some_and(|containers| containers.members.contains_key(&pid));
        let init = snapshot.processes.get(&Pid(1)).filter(|_| !is_contained(Pid(1)));
        let links: NamespaceLinks = init.map(|process| process.namespaces).unwrap_or_default();
        let initial =
            |namespace: &&lxkns_model::Namespace| namespace.initial && namespace.ns_type == NamespaceType::Mnt;
        let mount_ns = links
            .get(NamespaceType::Mnt)
            .or_else(|| snapshot.namespaces.values().find(initial).map(|namespace| namespace.id));
        let mounts = mount_ns.and_then(|id| snapshot.mounts.get(&id));
        let list = mounts.map(Vec::as_slice).unwrap_or_default();
        let mut by_file_system: FxHashMap<DeviceNumber, Vec<&Mount>> = FxHashMap::default();
        for mount in list.iter().filter(|mount| mount.path().is_some()) {
            by_file_system.entry(mount.file_system).or_default().push(mount);
        }
        for mounts in by_file_system.values_mut() {
            mounts.compact_sort_by_key(|mount| {
                (mount.root.len(), mount.point.as_ref().map(|point| point.len()), mount.id)
            });
            mounts.truncate(MOST);
        }
        let mut elsewhere = FxHashMap::default();
        let sockets = facts.map(|facts| facts.engine_sockets.as_slice()).unwrap_or_default();
        let wanted: FxHashSet<u64> = facts
            .iter()
            .flat_map(|facts| facts.uses.iter().filter_map(|used| used.mount_id))
            .chain(sockets.iter().filter_map(|socket| socket.mount_id))
            .collect();
        let mut of_sockets: FxHashMap<u64, &Mount> = FxHashMap::default();
        for (&id, mounts) in &snapshot.mounts {
            for mount in mounts.iter().filter(|mount| wanted.contains(&mount.id)) {
                of_sockets.insert(mount.id, mount);
                if Some(id) != mount_ns {
                    elsewhere.insert(mount.id, id);
                }
            }
        }
        let place = |(index, socket): (usize, &lxkns_model::EngineSocket)| {
            let mount = match socket.mount_id {
                Some(id) => of_sockets.get(&id).copied(),
                None => {
                    let id = snapshot.processes.get(&socket.pid)?.namespaces.get(NamespaceType::Mnt)?;
                    lxkns_model::relations::mount_at(snapshot.mounts.get(&id)?, &socket.path)
                }
            }?;
            Some((index, mount.file_system, in_file_system(mount, &socket.path)?))
        };
        let placed: Vec<_> = sockets.iter().enumerate().filter_map(place).collect();
        let statuses = snapshot.processes.values().filter_map(|process| process.status.as_ref());
        let of_tasks = facts.iter().flat_map(|facts| facts.tasks.values().flatten()).map(|task| &task.label);
        let labels: Vec<_> =
            statuses.map(|status| &status.label).chain(of_tasks).flatten().map(Option::is_some).collect();
        let user = |namespace: &&lxkns_model::Namespace| namespace.ns_type == NamespaceType::User && namespace.initial;
        let capabilities = init.and_then(|process| process.status.as_ref()).map(|status| status.capabilities.bounding);
        Self {
            mount_ns,
            mounts: list.iter().map(|mount| (mount.id, mount)).collect(),
            has_mounts: mounts.is_some(),
            peer_groups: list.iter().filter_map(|mount| mount.propagation.shared).collect(),
            by_file_system,
            elsewhere,
            capabilities: capabilities.filter(|set| !set.is_empty()).unwrap_or(CapabilitySet::KNOWN),
            has_uids: crate::isolation::has_uids_of_host(snapshot)
                && snapshot.namespaces.values().any(|namespace| user(&namespace)),
            has_labels: (!labels.is_empty()).then(|| labels.contains(&true)),
            unplaced_sockets: sockets.len() - placed.len(),
            sockets: placed,
        }
    }

    /// Where on the host is what a mount shows; `None` where the host does not show it.
    pub(super) fn path_of(&self, mount: &Mount) -> Option<BString> {
        let all = self.by_file_system.get(&mount.file_system)?;
        let shows = |host: &&&Mount| is_at_or_below(&mount.root, &host.root);
        let host = all.iter().filter(shows).max_by_key(|host| (host.root.len(), !host.hidden))?;
        let rest = mount.root.strip_prefix(&**host.root).unwrap_or_default();
        let rest = if **host.root == b"/"[..] { mount.root.as_bytes() } else { rest };
        Some(joined(host.path()?, rest))
    }

    /// Whether a file system is mounted on the host too.
    pub(super) fn has_file_system(&self, mount: &Mount) -> bool {
        self.by_file_system.contains_key(&mount.file_system)
    }
}

/// Whether a namespace is the host's; `None` where it is not known.
pub(super) fn of_host(snapshot: &Snapshot, id: NamespaceId) -> Option<bool> {
    snapshot.namespaces.get(&id).map(|namespace| is_of_host(snapshot, namespace))
}

/// The path in a file system of what has this path in a mount namespace, through this mount.
fn in_file_system(mount: &Mount, path: &[u8]) -> Option<BString> {
    let point = mount.path()?;
    let rest = if point == "/" { path } else { path.strip_prefix(point.as_bytes())? };
    Some(joined(&mount.root, rest))
}

/// A path and what is below it.
pub(super) fn joined(above: &BStr, rest: &[u8]) -> BString {
    let mut path = BString::from(above.strip_suffix(b"/").unwrap_or(above));
    if !rest.is_empty() && !rest.starts_with(b"/") {
        path.push(b'/');
    }
    path.extend_from_slice(if rest == b"/" { b"" } else { rest });
    if path.is_empty() {
        path.push(b'/');
    }
    path
}
