//! How many namespaces count towards the limits of a user namespace.

use rustc_hash::FxHashSet;

use crate::{NamespaceId, NamespaceType, Snapshot};

/// How many namespaces of each type, in the order of [`NamespaceType::ALL`], are charged to a user namespace by the rules
/// of the kernel's `inc_ucount`: those that it owns, its children, and so on below these; but for the initial ones, which
/// no user created. `None` where the user namespace is unknown.
///
/// The kernel counts for each creating user by themselves: who creates a namespace below a child is charged here as the
/// creator of that child. Which user created a namespace that is no user namespace is not told; so these are the counts of
/// all users together, and those of namespaces in the snapshot.
#[doc(alias = "max_user_namespaces")]
pub fn charges(snapshot: &Snapshot, user: NamespaceId) -> Option<[u64; NamespaceType::ALL.len()]> {
    let is_user = |id: &NamespaceId| {
        snapshot.namespaces.get(id).is_some_and(|namespace| namespace.ns_type == NamespaceType::User)
    };
    let mut counts = [0; NamespaceType::ALL.len()];
    let mut count = |id: NamespaceId| {
        if let Some(namespace) = snapshot.namespaces.get(&id).filter(|namespace| !namespace.initial) {
            counts[namespace.ns_type as usize] += 1;
        }
    };
    // A dump can have circles.
    let mut seen = FxHashSet::from_iter([user]);
    let mut todo = vec![user];
    while let Some(id) = todo.pop().filter(is_user) {
        let namespace = &snapshot.namespaces[&id];
        namespace.owned.iter().for_each(|&owned| count(owned));
        let children = namespace.children.iter().copied().filter(|&child| is_user(&child) && seen.insert(child));
        for child in children {
            count(child);
            todo.push(child);
        }
    }
    is_user(&user).then_some(counts)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::{DiscoveryOptions, Host, Namespace};

    fn id(ino: u64) -> NamespaceId {
        NamespaceId { ino, dev: 4 }
    }

    #[test]
    fn what_is_owned_below_counts_above_too() {
        let mut snapshot = Snapshot::empty(DiscoveryOptions::namespaces(), Host::default(), SystemTime::UNIX_EPOCH);
        let mut add = |ino, ns_type, children: &[u64], owned: &[u64]| {
            let mut namespace = Namespace::new(id(ino), ns_type);
            namespace.children = children.iter().copied().map(id).collect();
            namespace.owned = owned.iter().copied().map(id).collect();
            namespace.initial = ino < 10;
            snapshot.namespaces.insert(id(ino), namespace);
        };
        // The last claims that the first is below it.
        add(1, NamespaceType::User, &[10], &[2, 11]);
        add(2, NamespaceType::Net, &[], &[]);
        add(10, NamespaceType::User, &[12], &[13, 14]);
        add(11, NamespaceType::Net, &[], &[]);
        add(12, NamespaceType::User, &[1, 10], &[15, 99]);
        add(13, NamespaceType::Uts, &[], &[]);
        add(14, NamespaceType::Net, &[], &[]);
        add(15, NamespaceType::Net, &[], &[]);
        let counts = |ino| {
            let counts = charges(&snapshot, id(ino)).unwrap();
            [NamespaceType::User, NamespaceType::Net, NamespaceType::Uts].map(|ns_type| counts[ns_type as usize])
        };
        assert_eq!(counts(1), [2, 3, 1]);
        // Going round, it is its own child; it is counted once.
        assert_eq!(counts(10), [1, 3, 1]);
        assert_eq!([charges(&snapshot, id(11)), charges(&snapshot, id(50))], [None, None]);
    }
}
