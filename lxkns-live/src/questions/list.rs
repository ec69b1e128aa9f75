//! `ls`: one line for each namespace.

use std::collections::BTreeSet;

use lxkns_answers::list;
use lxkns_core::model::{Namespace, NamespaceId, NamespaceType, Snapshot};

use super::Found;

/// The namespaces of these types that these TARGETs mean, where there are any. An empty list is all types.
pub fn select<'a>(snapshot: &'a Snapshot, found: Option<&Found<'_>>, types: &[NamespaceType]) -> Vec<&'a Namespace> {
    let only: Option<BTreeSet<NamespaceId>> =
        found.map(|found| found.iter().flat_map(|(_, ids)| ids).copied().collect());
    list::select(snapshot, only.as_ref(), types)
}
