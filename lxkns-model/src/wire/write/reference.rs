//! How to get to a namespace: chains of paths, each taken inside the mount namespace that the one before names.

use std::collections::{BTreeMap, VecDeque};

use bstr::{BStr, ByteSlice};

use crate::wire::text;
use crate::{Holder, Namespace, NamespaceId, NamespaceType, Snapshot};

pub(super) type References = BTreeMap<NamespaceId, Vec<String>>;

/// The longest chain. The kernel lets nobody bind a mount namespace inside itself or an older one, but a dump that was
/// read can claim anything.
const LONGEST: usize = 32;

/// The shortest chain to each namespace that has one.
pub(super) fn references(snapshot: &Snapshot) -> References {
    let mut references = References::new();
    let mut bound = BTreeMap::<NamespaceId, Vec<(NamespaceId, &BStr)>>::new();
    let mut reached = VecDeque::new();
    for namespace in snapshot.namespaces.values() {
        if let Some(path) = in_proc(snapshot, namespace) {
            references.insert(namespace.id, vec![path]);
            if namespace.ns_type == NamespaceType::Mnt {
                reached.push_back(namespace.id);
            }
            continue;
        }
        for holder in &namespace.holders {
            if let Holder::BindMount { mount_ns, path: Some(path), .. } = holder {
                bound.entry(*mount_ns).or_default().push((namespace.id, path.as_bstr()));
            }
        }
    }
    while let Some(mount_ns) = reached.pop_front() {
        let Some(start) = references.get(&mount_ns).filter(|chain| chain.len() < LONGEST).cloned() else { continue };
        for (id, path) in bound.remove(&mount_ns).unwrap_or_default() {
            references.entry(id).or_insert_with(|| {
                // Only mount namespaces lead further; of others nothing is bound inside.
                reached.push_back(id);
                start.iter().cloned().chain([text::lossy(path).into_owned()]).collect()
            });
        }
    }
    references
}

/// The path below `/proc` that leads to a namespace.
fn in_proc(snapshot: &Snapshot, namespace: &Namespace) -> Option<String> {
    let name = namespace.ns_type.name();
    if let Some(leader) = namespace.leaders.first() {
        return Some(format!("/proc/{}/ns/{name}", snapshot.directory(*leader)));
    }
    // Best first, as holders are sorted, but for an open descriptor: it leads to where a link for children may not.
    let best = namespace.holders.iter().filter_map(|holder| {
        Some(match holder {
            Holder::Process { pid } => (0, format!("/proc/{pid}/ns/{name}")),
            Holder::Task { pid, tid } => (1, format!("/proc/{pid}/task/{tid}/ns/{name}")),
            Holder::Fd { pid, tid, fd } if pid.0 == tid.0 => (2, format!("/proc/{pid}/fd/{fd}")),
            Holder::Fd { pid, tid, fd } => (2, format!("/proc/{pid}/task/{tid}/fd/{fd}")),
            Holder::ForChildren { pid, tid } => (3, format!("/proc/{pid}/task/{tid}/ns/{name}_for_children")),
            _ => return None,
        })
    });
    best.min_by_key(|(rank, _)| *rank).map(|(_, path)| path)
}
