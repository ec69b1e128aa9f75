//! What follows from the keys that all readers know, so that only what differs needs keys of this program's own.

use crate::{NamespaceType, Relation};

/// The parent that `parent` implies.
pub(crate) fn parent(ns_type: NamespaceType, parent: Option<Relation>) -> Relation {
    match parent {
        Some(parent) => parent,
        None if ns_type.is_hierarchical() => Relation::NotAsked,
        None => Relation::None,
    }
}

/// The owner that `owner` implies: of a user namespace that is its parent.
pub(crate) fn owner(ns_type: NamespaceType, owner: Option<Relation>, parent: Relation) -> Relation {
    match owner {
        _ if ns_type == NamespaceType::User => parent,
        Some(owner) => owner,
        None => Relation::NotAsked,
    }
}
