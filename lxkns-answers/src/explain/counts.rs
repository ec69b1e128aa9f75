//! How many namespaces count towards the limits of user namespaces (`/proc/sys/user`; `namespaces(7)`).
//!
//! A new namespace counts for its creator in the user namespace that owns it, and from there up for the creator of each user
//! namespace in the one above. The kernel keeps these counts to itself, so namespaces that are visible are counted.

use lxkns_model::{NamespaceId, NamespaceType, Snapshot, Uid};

/// A user namespace in which a new namespace counts, and for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Level {
    /// The user namespace.
    pub(super) user: NamespaceId,
    /// The user.
    pub(super) uid: Option<Uid>,
}

/// How many namespaces of a type were seen that count there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    /// Certainly.
    pub(super) certain: u64,
    /// With those of which it is not known who created them.
    pub(super) possible: u64,
}

/// The kernel nests user namespaces less deeply.
const DEEPEST: usize = 40;

/// The levels at which a namespace counts that this user creates in this user namespace; and whether they are all: what is
/// above may not be visible.
pub(super) fn levels(snapshot: &Snapshot, user: NamespaceId, uid: Option<Uid>) -> (Vec<Level>, bool) {
    let mut levels = vec![Level { user, uid }];
    while levels.len() < DEEPEST {
        let Some(namespace) = levels.last().and_then(|level| snapshot.namespaces.get(&level.user)) else { break };
        match namespace.parent.known() {
            Some(parent) => levels.push(Level { user: parent, uid: namespace.owner_uid }),
            None => return (levels, namespace.initial),
        }
    }
    (levels, false)
}

/// How many of a type count at each of these levels.
pub(super) fn counts(snapshot: &Snapshot, ns_type: NamespaceType, at: &[Level]) -> Vec<Count> {
    let mut counts = vec![Count::default(); at.len()];
    let all = snapshot.namespaces.values().filter(|namespace| namespace.ns_type == ns_type && !namespace.initial);
    for namespace in all {
        let Some(owner) = namespace.owner.known() else {
            // It can count anywhere.
            counts.iter_mut().for_each(|count| count.possible += 1);
            continue;
        };
        // Only of a user namespace the kernel tells who created it.
        let (levels, _) = levels(snapshot, owner, namespace.owner_uid);
        for level in levels {
            let Some(index) = at.iter().position(|at| at.user == level.user) else { continue };
            match (at[index].uid, level.uid) {
                (Some(one), Some(other)) if one == other => {
                    counts[index].certain += 1;
                    counts[index].possible += 1;
                }
                (Some(_), Some(_)) => {}
                _ => counts[index].possible += 1,
            }
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use lxkns_model::{Namespace, Relation};

    use super::*;
    use crate::testing::{USER, id, snapshot};

    #[test]
    fn each_counts_at_every_level_above() {
        let mut snapshot = snapshot();
        let [a, b, net] = [id(4_026_532_700), id(4_026_532_701), id(4_026_532_702)];
        for (id, parent, uid) in [(a, USER, 1000), (b, a, 7)] {
            let mut user = Namespace::new(id, NamespaceType::User);
            (user.parent, user.owner) = (Relation::Known(parent), Relation::Known(parent));
            user.owner_uid = Some(Uid(uid));
            snapshot.namespaces.insert(id, user);
        }
        snapshot.namespaces.get_mut(&USER).unwrap().parent = Relation::None;
        let mut of_b = Namespace::new(net, NamespaceType::Net);
        of_b.owner = Relation::Known(b);
        snapshot.namespaces.insert(net, of_b);
        let (levels, is_whole) = levels(&snapshot, b, Some(Uid(9)));
        assert!(is_whole);
        assert_eq!(levels.iter().map(|level| level.uid.unwrap().0).collect::<Vec<_>>(), [9, 7, 1000]);
        let count = |ns_type, level: usize| {
            let Count { certain, possible } = counts(&snapshot, ns_type, &levels)[level];
            (certain, possible)
        };
        assert_eq!(count(NamespaceType::Net, 0), (0, 1), "nobody tells who created it");
        assert_eq!(count(NamespaceType::Net, 1), (1, 1));
        assert_eq!(count(NamespaceType::User, 0), (0, 0));
        assert_eq!(count(NamespaceType::User, 1), (1, 1), "b");
        assert_eq!(count(NamespaceType::User, 2).0, 2, "a and b");
    }
}
