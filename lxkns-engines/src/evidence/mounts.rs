//! The mounts of mount namespaces without processes: one of them can say which container it was.

use lxkns_model::{EvidenceKind, NamespaceId, NamespaceType, SharedText, Snapshot};

use super::{Claim, likely};
use crate::parse::mount;

/// What they say, as far as their mounts were listed.
pub(crate) fn claims(snapshot: &Snapshot) -> Vec<(NamespaceId, Claim)> {
    let mut claims = Vec::new();
    for (id, mounts) in &snapshot.mounts {
        let namespace = snapshot.namespaces.get(id);
        if !namespace.is_some_and(|namespace| namespace.ns_type == NamespaceType::Mnt && namespace.is_without_tasks()) {
            continue;
        }
        let named = mounts.iter().find_map(|it| {
            let options: &[u8] = it.super_options.as_ref().map_or(&[], |options: &SharedText| &options[..]);
            let named = mount::container(it.path()?, &it.root, &it.fs_type, options)?;
            Some((named, it.root.to_vec()))
        });
        if let Some((named, root)) = named {
            claims.push((*id, Claim::new(named.kind, named.id, likely(EvidenceKind::Mount, root, None))));
        }
    }
    claims
}
