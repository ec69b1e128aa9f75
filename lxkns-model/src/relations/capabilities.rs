//! What a process may do in a namespace, by the kernel's rules (`user_namespaces(7)`, `cap_capable` in
//! `security/commoncap.c`).

use rustc_hash::FxHashSet;

use crate::observer::OVERFLOW_UID;
use crate::{NamespaceId, NamespaceType, Pid, Relation, Snapshot, Uid};

/// The kernel nests user namespaces less deeply (`kernel/user_namespace.c`).
const DEEPEST: usize = 35;

/// Why a process has capabilities in a user namespace, and so over all namespaces that it owns, or has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Authority {
    /// It is in it: its effective set counts.
    Member,
    /// It is in one above: its effective set counts.
    Ancestor,
    /// Its effective UID created this user namespace, which is the one asked for or above it, and it is in the parent of
    /// that: it has all capabilities, whatever its sets say.
    Creator(NamespaceId),
    /// It is neither in it nor above it: it has none.
    Elsewhere,
}

/// Why it is not known what a process may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AuthorityUnknown {
    /// There is no such process.
    Process,
    /// It is not known in which user namespace it is.
    UserNamespace,
    /// It is not known which user namespace owns the namespace.
    Owner,
    /// It is not known what is above this user namespace, or not which one that is.
    Parent(NamespaceId),
    /// The UIDs of the process, or who created this user namespace, are not known or have no number here.
    Uids(NamespaceId),
}

/// The user namespace in which a process needs a capability to use it on a namespace: a user namespace itself, of others
/// the owner.
pub fn deciding_user_namespace(snapshot: &Snapshot, id: NamespaceId) -> Option<NamespaceId> {
    let namespace = snapshot.namespaces.get(&id)?;
    let user = if namespace.ns_type == NamespaceType::User { Some(id) } else { namespace.owner.known() };
    user.filter(|user| snapshot.namespaces.get(user).is_some_and(|user| user.ns_type == NamespaceType::User))
}

/// What a process may do in a namespace, and why. Needs [`status`](crate::DiscoveryOptions::status) of the process.
///
/// # Errors
///
/// What is not known and would decide it.
pub fn authority(snapshot: &Snapshot, pid: Pid, namespace: NamespaceId) -> Result<Authority, AuthorityUnknown> {
    let process = snapshot.processes.get(&pid).ok_or(AuthorityUnknown::Process)?;
    let own = process.namespaces.get(NamespaceType::User);
    Authorities::over(snapshot, namespace).of(own, process.status.as_ref().map(|status| status.uids.effective))
}

/// What processes may do in one namespace: the user namespaces above it are looked up once, for many processes.
#[derive(Debug)]
pub struct Authorities<'a> {
    snapshot: &'a Snapshot,
    above: Option<Line>,
}

impl<'a> Authorities<'a> {
    /// Over this namespace.
    pub fn over(snapshot: &'a Snapshot, namespace: NamespaceId) -> Self {
        let target = deciding_user_namespace(snapshot, namespace);
        Self { snapshot, above: target.map(|target| Line::up_from(snapshot, target)) }
    }

    /// Why a task in this user namespace and with this effective UID has capabilities, or has none.
    ///
    /// # Errors
    ///
    /// What is not known and would decide it.
    pub fn of(&self, own: Option<NamespaceId>, effective: Option<Uid>) -> Result<Authority, AuthorityUnknown> {
        let own = own.ok_or(AuthorityUnknown::UserNamespace)?;
        let above = self.above.as_ref().ok_or(AuthorityUnknown::Owner)?;
        let at = above.members.iter().position(|&id| id == own);
        if at == Some(0) {
            return Ok(Authority::Member);
        }
        let Some(at) = at else {
            // It is not above the target if the way up from there is known to its end, or from somewhere on joins its own.
            let Some(&last) = above.members.last().filter(|_| !above.is_whole) else { return Ok(Authority::Elsewhere) };
            let own_line: FxHashSet<NamespaceId> = Line::up_from(self.snapshot, own).members.into_iter().collect();
            let meet = above.members.iter().any(|id| own_line.contains(id));
            return if meet { Ok(Authority::Elsewhere) } else { Err(AuthorityUnknown::Parent(last)) };
        };
        let below_own = above.members[at - 1];
        let unknown = AuthorityUnknown::Uids(below_own);
        let created = self.snapshot.namespaces.get(&below_own);
        let creator = created.and_then(|namespace| namespace.owner_uid).ok_or(unknown)?;
        let effective = effective.ok_or(unknown)?;
        if creator != effective {
            return Ok(Authority::Ancestor);
        }
        // Only in the first of all user namespaces has every UID a number of its own. Who can follow parents up to that is
        // in it.
        if effective == OVERFLOW_UID && !Line::up_from(self.snapshot, own).is_whole {
            return Err(unknown);
        }
        Ok(Authority::Creator(below_own))
    }

    /// Whether a task with this effective UID could be the creator of the user namespace that decides, or of one above it:
    /// `false` only where it is certain that it is not, in whatever user namespace it is.
    pub fn may_be_creator(&self, effective: Option<Uid>) -> bool {
        let Some(above) = self.above.as_ref().filter(|above| above.is_whole) else { return true };
        let Some(effective) = effective else { return true };
        let created = above.members.split_last().map_or(&[][..], |(_, below_first)| below_first);
        created.iter().any(|id| {
            let creator = self.snapshot.namespaces.get(id).and_then(|namespace| namespace.owner_uid);
            creator.is_none_or(|creator| creator == effective)
        })
    }
}

/// A user namespace and those above it.
#[derive(Debug)]
struct Line {
    members: Vec<NamespaceId>,
    /// Whether it goes up to the first of all.
    is_whole: bool,
}

impl Line {
    fn up_from(snapshot: &Snapshot, id: NamespaceId) -> Self {
        let mut line = Self { members: vec![id], is_whole: false };
        let mut at = id;
        // A file can claim a circle.
        while line.members.len() <= DEEPEST {
            let Some(namespace) = snapshot.namespaces.get(&at) else { break };
            match namespace.parent {
                Relation::Known(parent) => at = parent,
                _ => {
                    line.is_whole = namespace.initial;
                    break;
                }
            }
            line.members.push(at);
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::{Capabilities, DiscoveryOptions, Host, Namespace, Process, ProcessStatus, Task, Tid, Uids};

    const fn id(ino: u64) -> NamespaceId {
        NamespaceId { ino, dev: 4 }
    }

    const FIRST: NamespaceId = id(1);
    const A: NamespaceId = id(2);
    const B: NamespaceId = id(3);
    const BELOW_A: NamespaceId = id(4);
    const NET: NamespaceId = id(9);

    /// A (by UID 1000) and B (by UID 0) below the first, another (by UID 1000) below A, which owns a network namespace.
    fn snapshot(own: NamespaceId, uid: u32) -> Snapshot {
        let mut snapshot = Snapshot::empty(DiscoveryOptions::everything(), Host::default(), SystemTime::UNIX_EPOCH);
        for (id, parent, creator) in [
            (FIRST, Relation::None, 0),
            (A, Relation::Known(FIRST), 1000),
            (B, Relation::Known(FIRST), 0),
            (BELOW_A, Relation::Known(A), 1000),
        ] {
            let mut namespace = Namespace::new(id, NamespaceType::User);
            namespace.parent = parent;
            namespace.owner_uid = Some(Uid(creator));
            namespace.initial = id == FIRST;
            snapshot.namespaces.insert(id, namespace);
        }
        let mut net = Namespace::new(NET, NamespaceType::Net);
        net.owner = Relation::Known(BELOW_A);
        snapshot.namespaces.insert(NET, net);
        let mut process = Process::new(Pid(7), Task::new(Tid(7), "x"));
        process.namespaces.set(NamespaceType::User, own);
        let uids = Uids { real: Uid(5), effective: Uid(uid), saved: Uid(5), file_system: Uid(5) };
        process.status = Some(ProcessStatus::new(uids, vec![Pid(7)], Capabilities::default()));
        snapshot.processes.insert(process.pid, process);
        snapshot
    }

    fn ask(own: NamespaceId, uid: u32, target: NamespaceId) -> Result<Authority, AuthorityUnknown> {
        authority(&snapshot(own, uid), Pid(7), target)
    }

    #[test]
    fn the_rules_of_the_kernel() {
        use Authority::{Ancestor, Creator, Elsewhere, Member};
        for (own, uid, target, expected) in [
            (FIRST, 7, FIRST, Member),
            (A, 1000, A, Member),
            (FIRST, 7, A, Ancestor),
            (FIRST, 1000, A, Creator(A)),
            (FIRST, 1000, NET, Creator(A)),
            (FIRST, 0, NET, Ancestor),
            (FIRST, 0, B, Creator(B)),
            (A, 1000, NET, Creator(BELOW_A)),
            (A, 0, BELOW_A, Ancestor),
            (BELOW_A, 1000, NET, Member),
            (A, 1000, FIRST, Elsewhere),
            (B, 1000, NET, Elsewhere),
            (BELOW_A, 1000, A, Elsewhere),
        ] {
            assert_eq!(ask(own, uid, target), Ok(expected), "{own:?} {uid} {target:?}");
        }
    }

    #[test]
    fn what_is_not_visible_is_not_known() {
        use AuthorityUnknown::{Owner, Parent, Process, Uids, UserNamespace};
        let mut hidden = snapshot(FIRST, 1000);
        hidden.namespaces.get_mut(&A).unwrap().parent = Relation::NotVisible;
        assert_eq!(authority(&hidden, Pid(7), NET), Err(Parent(A)), "the first may have created it");
        hidden.processes.get_mut(&Pid(7)).unwrap().namespaces.set(NamespaceType::User, B);
        assert_eq!(authority(&hidden, Pid(7), NET), Err(Parent(A)), "B may be above A");
        hidden.processes.get_mut(&Pid(7)).unwrap().namespaces.set(NamespaceType::User, BELOW_A);
        assert_eq!(authority(&hidden, Pid(7), A), Ok(Authority::Elsewhere), "below cannot be above");
        hidden.namespaces.get_mut(&NET).unwrap().owner = Relation::NotVisible;
        assert_eq!(authority(&hidden, Pid(7), NET), Err(Owner));
        assert_eq!(authority(&hidden, Pid(8), NET), Err(Process));
        hidden.processes.get_mut(&Pid(7)).unwrap().namespaces = Default::default();
        assert_eq!(authority(&hidden, Pid(7), A), Err(UserNamespace));
        let mut hidden = snapshot(FIRST, 1000);
        hidden.processes.get_mut(&Pid(7)).unwrap().status = None;
        assert_eq!(authority(&hidden, Pid(7), NET), Err(Uids(A)));
        hidden.namespaces.get_mut(&A).unwrap().owner_uid = None;
        assert_eq!(authority(&hidden, Pid(7), A), Err(Uids(A)));
    }

    #[test]
    fn who_cannot_have_created_any_of_them() {
        let mut line = snapshot(FIRST, 7);
        let may = |snapshot: &Snapshot, uid| Authorities::over(snapshot, NET).may_be_creator(uid);
        assert!(may(&line, Some(Uid(1000))) && may(&line, None) && !may(&line, Some(Uid(0))));
        assert!(!Authorities::over(&line, FIRST).may_be_creator(Some(Uid(0))), "nobody created the first");
        line.namespaces.get_mut(&A).unwrap().parent = Relation::NotVisible;
        assert!(may(&line, Some(Uid(0))), "what is above is not known");
    }

    #[test]
    fn uids_without_a_number_here_may_differ() {
        let mut inside = snapshot(A, 65_534);
        inside.namespaces.get_mut(&BELOW_A).unwrap().owner_uid = Some(Uid(65_534));
        assert_eq!(authority(&inside, Pid(7), NET), Ok(Authority::Creator(BELOW_A)), "seen from the first");
        inside.namespaces.get_mut(&A).unwrap().parent = Relation::NotVisible;
        assert_eq!(authority(&inside, Pid(7), NET), Err(AuthorityUnknown::Uids(BELOW_A)));
        inside.namespaces.get_mut(&BELOW_A).unwrap().owner_uid = Some(Uid(5));
        assert_eq!(authority(&inside, Pid(7), NET), Ok(Authority::Ancestor));
    }

    #[test]
    fn a_circle_of_parents_ends() {
        let mut circle = snapshot(B, 7);
        circle.namespaces.get_mut(&A).unwrap().parent = Relation::Known(BELOW_A);
        assert_eq!(authority(&circle, Pid(7), NET), Err(AuthorityUnknown::Parent(A)));
    }
}
