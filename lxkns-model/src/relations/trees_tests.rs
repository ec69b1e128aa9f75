//! The trees of a small host.

use std::time::SystemTime;

use super::*;
use crate::{Capabilities, DiscoveryOptions, Host, ProcessStatus, Task, Tid, Uid, Uids};

const fn id(ino: u64) -> NamespaceId {
    NamespaceId { ino, dev: 4 }
}

const USER: NamespaceId = id(37);
const PID: NamespaceId = id(36);
/// A user namespace below the first, and one below that.
const UPPER: NamespaceId = id(100);
const LOWER: NamespaceId = id(101);
/// A PID namespace below the first, and one below that.
const OUTER: NamespaceId = id(200);
const INNER: NamespaceId = id(201);

fn snapshot() -> Snapshot {
    let mut snapshot = Snapshot::empty(DiscoveryOptions::everything(), Host::default(), SystemTime::UNIX_EPOCH);
    let known = Relation::Known;
    for (id, ns_type, parent, owner) in [
        (USER, NamespaceType::User, Relation::None, Relation::None),
        (UPPER, NamespaceType::User, known(USER), known(USER)),
        (LOWER, NamespaceType::User, known(UPPER), known(UPPER)),
        (PID, NamespaceType::Pid, Relation::None, known(USER)),
        (OUTER, NamespaceType::Pid, known(PID), known(USER)),
        (INNER, NamespaceType::Pid, known(OUTER), known(LOWER)),
        (id(300), NamespaceType::Net, Relation::None, known(UPPER)),
        (id(299), NamespaceType::Uts, Relation::None, known(UPPER)),
        (id(301), NamespaceType::Mnt, Relation::None, Relation::NotVisible),
        (id(302), NamespaceType::Mnt, Relation::None, known(PID)),
    ] {
        let mut namespace = Namespace::new(id, ns_type);
        (namespace.parent, namespace.owner) = (parent, owner);
        snapshot.namespaces.insert(id, namespace);
    }
    snapshot
}

fn with(snapshot: &mut Snapshot, pid: u32, ppid: u32, pid_ns: Option<NamespaceId>) {
    let mut process = Process::new(Pid(pid), Task::new(Tid(pid), "x"));
    process.ppid = (ppid > 0).then_some(Pid(ppid));
    if let Some(id) = pid_ns {
        process.namespaces.set(NamespaceType::Pid, id);
    }
    snapshot.processes.insert(process.pid, process);
}

/// The nodes in the order of the tree, each with its depth.
fn lines(forest: &Forest<TreeNode>) -> Vec<(usize, TreeNode)> {
    let mut todo: Vec<_> = forest.roots().iter().rev().map(|&node| (0, node)).collect();
    let mut lines = Vec::new();
    while let Some((depth, node)) = todo.pop() {
        lines.push((depth, node));
        todo.extend(forest.children(node).iter().rev().map(|&child| (depth + 1, child)));
    }
    lines
}

use TreeNode::{Members, Namespace as Ns, Owned, Owner, OwnerNotAsked, OwnerNotVisible, Process as P};

#[test]
fn namespaces_stand_below_their_parents() {
    let snapshot = snapshot();
    assert_eq!(lines(&hierarchy(&snapshot, NamespaceType::User)), [(0, Ns(USER)), (1, Ns(UPPER)), (2, Ns(LOWER))]);
    assert_eq!(lines(&hierarchy(&snapshot, NamespaceType::Pid)), [(0, Ns(PID)), (1, Ns(OUTER)), (2, Ns(INNER))]);
}

#[test]
fn owned_namespaces_stand_by_type_before_user_namespaces() {
    assert_eq!(
        lines(&ownership(&snapshot())),
        [
            (0, Ns(USER)),
            (1, Owned(NamespaceType::Pid, PID)),
            (1, Owned(NamespaceType::Pid, OUTER)),
            (1, Ns(UPPER)),
            (2, Owned(NamespaceType::Uts, id(299))),
            (2, Owned(NamespaceType::Net, id(300))),
            (2, Ns(LOWER)),
            (3, Owned(NamespaceType::Pid, INNER)),
            (0, OwnerNotVisible),
            (1, Owned(NamespaceType::Mnt, id(301))),
            (0, OwnerNotAsked),
            (1, Owned(NamespaceType::Mnt, id(302))),
        ]
    );
}

#[test]
fn owners_stand_between_pid_namespaces() {
    let mut snapshot = snapshot();
    let owner = |below, user| Owner { below, user };
    let expected = [
        (0, owner(None, USER)),
        (1, Ns(PID)),
        (2, Ns(OUTER)),
        (3, owner(Some(OUTER), UPPER)),
        (4, owner(Some(OUTER), LOWER)),
        (5, Ns(INNER)),
    ];
    assert_eq!(lines(&owned_pid_namespaces(&snapshot)), expected);
    // Nonsense: an owner that is not below the owner above, and one that is in a circle.
    snapshot.namespaces.get_mut(&LOWER).unwrap().parent = Relation::Known(LOWER);
    let expected = [&expected[..3], &[(3, owner(Some(OUTER), LOWER)), (4, Ns(INNER))]].concat();
    assert_eq!(lines(&owned_pid_namespaces(&snapshot)), expected);
    snapshot.namespaces.get_mut(&OUTER).unwrap().owner = Relation::NotVisible;
    assert_eq!(lines(&owned_pid_namespaces(&snapshot))[2], (2, Ns(OUTER)));
}

#[test]
fn processes_stand_below_their_parents_and_enter_namespaces() {
    let mut snapshot = snapshot();
    with(&mut snapshot, 1, 0, Some(PID));
    with(&mut snapshot, 2, 0, Some(PID));
    with(&mut snapshot, 10, 1, Some(PID));
    with(&mut snapshot, 11, 10, Some(OUTER));
    with(&mut snapshot, 12, 11, Some(OUTER));
    with(&mut snapshot, 13, 2, Some(OUTER));
    with(&mut snapshot, 14, 12, None);
    snapshot.namespaces.get_mut(&OUTER).unwrap().leaders = vec![Pid(11), Pid(13)];
    assert_eq!(
        lines(&process_tree(&snapshot)),
        [
            (0, Ns(PID)),
            (1, P(Pid(1))),
            (2, P(Pid(10))),
            (3, Members(OUTER, Pid(10))),
            (4, P(Pid(11))),
            (5, P(Pid(12))),
            (6, P(Pid(14))),
            (4, Ns(INNER)),
            (1, P(Pid(2))),
            (2, Members(OUTER, Pid(2))),
            (3, P(Pid(13))),
        ]
    );
}

#[test]
fn one_that_has_a_single_pid_is_in_the_namespace_of_the_procfs() {
    let mut snapshot = snapshot();
    for (pid, ppid, pid_ns, count) in [(1, 0, None, 1), (2, 1, Some(PID), 1), (3, 1, None, 2)] {
        with(&mut snapshot, pid, ppid, pid_ns);
        let root = Uid(0);
        let uids = Uids { real: root, effective: root, saved: root, file_system: root };
        let status = ProcessStatus::new(uids, vec![Pid(pid); count], Capabilities::default());
        snapshot.processes.get_mut(&Pid(pid)).unwrap().status = Some(status);
    }
    let expected = [(0, Ns(PID)), (1, P(Pid(1))), (2, P(Pid(2))), (2, P(Pid(3))), (1, Ns(OUTER)), (2, Ns(INNER))];
    assert_eq!(lines(&process_tree(&snapshot)), expected);
}

#[test]
fn every_process_is_there_once_whatever_is_claimed() {
    let mut snapshot = snapshot();
    with(&mut snapshot, 3, 4, Some(PID));
    with(&mut snapshot, 4, 3, Some(INNER));
    with(&mut snapshot, 5, 5, Some(OUTER));
    with(&mut snapshot, 6, 99, Some(id(999)));
    with(&mut snapshot, 7, 0, None);
    snapshot.namespaces.get_mut(&PID).unwrap().parent = Relation::Known(INNER);
    let forest = process_tree(&snapshot);
    let mut processes: Vec<_> = lines(&forest).into_iter().filter(|(_, node)| matches!(node, P(_))).collect();
    processes.sort_by_key(|&(_, node)| node);
    assert_eq!(processes.iter().map(|&(_, node)| node).collect::<Vec<_>>(), [3, 4, 5, 6, 7].map(|pid| P(Pid(pid))));
    assert_eq!(lines(&forest).len(), forest.nodes().count());
    assert_eq!(lines(&ownership(&snapshot)).len(), 12);
    assert!(lines(&owned_pid_namespaces(&snapshot)).len() >= 3);
}
