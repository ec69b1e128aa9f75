//! Snapshots made by hand, and what differs between them.

use std::time::SystemTime;

use proptest::prelude::*;

use super::*;
use crate::{Call, Cause, DiscoveryOptions, Errno, Gap, Host, Object, Operation, Place, Reader, Task, Tid};

const USER: u64 = 10;
const NET: u64 = 20;
const INNER: u64 = 21;
const EACCES: i32 = 13;

fn id(ino: u64) -> NamespaceId {
    NamespaceId { ino, dev: 4 }
}

fn fd(pid: u32, fd: u32) -> Holder {
    Holder::Fd { pid: Pid(pid), tid: Tid(pid), fd }
}

/// A host with PID 1, in a user and a network namespace.
fn host() -> Snapshot {
    let host = Host { boot_id: Some("boot".into()), ..Host::default() };
    let mut snapshot = Snapshot::empty(DiscoveryOptions::namespaces(), host, SystemTime::UNIX_EPOCH);
    add(&mut snapshot, USER, NamespaceType::User);
    add(&mut snapshot, NET, NamespaceType::Net);
    run(&mut snapshot, 1, 0, &[(NamespaceType::User, USER), (NamespaceType::Net, NET)]);
    snapshot
}

fn add(snapshot: &mut Snapshot, ino: u64, ns_type: NamespaceType) -> &mut Namespace {
    snapshot.namespaces.entry(id(ino)).or_insert_with(|| Namespace::new(id(ino), ns_type))
}

fn inner(snapshot: &mut Snapshot, holders: &[Holder]) {
    let namespace = add(snapshot, INNER, NamespaceType::Net);
    namespace.owner = Relation::Known(id(USER));
    namespace.holders = holders.to_vec();
}

/// Puts a process into namespaces that there are.
fn run(snapshot: &mut Snapshot, pid: u32, start: u64, namespaces: &[(NamespaceType, u64)]) {
    let mut task = Task::new(Tid(pid), "worker");
    task.start_time_ticks = start;
    let mut process = Process::new(Pid(pid), task);
    for &(ns_type, ino) in namespaces {
        process.namespaces.set(ns_type, id(ino));
        let namespace = snapshot.namespaces.get_mut(&id(ino)).unwrap();
        namespace.leaders.push(Pid(pid));
        namespace.holders.push(Holder::Process { pid: Pid(pid) });
        namespace.holders.sort();
    }
    process.tasks[0].namespaces = process.namespaces;
    snapshot.processes.insert(Pid(pid), process);
}

fn gap(place: Place, object: Object) -> Gap {
    Gap::failed(place, object, Operation::OPEN, Errno::new(EACCES).unwrap()).unwrap()
}

/// What is told of each namespace, by its number.
fn told<'a>(old: &'a Snapshot, new: &'a Snapshot) -> Vec<(u64, Vec<Change<'a>>)> {
    let changes = changes(old, new).unwrap();
    changes.namespaces.into_iter().map(|told| (told.namespace().id.ino, told.changes)).collect()
}

#[test]
fn nothing_is_told_of_what_is_the_same() {
    let mut snapshot = host();
    inner(&mut snapshot, &[fd(1, 3)]);
    let same = changes(&snapshot, &snapshot).unwrap();
    assert_eq!(same.namespaces, []);
    assert!(same.same_boot_known && same.same_pids);
    assert_eq!((same.older_saw_less, same.newer_saw_less), (Places::NONE, Places::NONE));
}

#[test]
fn a_namespace_appears_and_goes_and_whose_it_is_says_so_too() {
    let (old, mut new) = (host(), host());
    inner(&mut new, &[fd(1, 3)]);
    new.namespaces.get_mut(&id(USER)).unwrap().holders.push(Holder::Owned { ns: id(INNER) });
    assert_eq!(told(&old, &new), [(INNER, vec![Change::Appeared])]);
    // A socket that nobody has accepted yet can hold it.
    assert_eq!(told(&new, &old), [(INNER, vec![Change::Vanished])]);
    let settled = |life| {
        let mut found = changes(&new, &old).unwrap();
        found.settle(|namespace| if namespace.id == id(INNER) { life } else { Life::Unknown });
        found.namespaces[0].changes.clone()
    };
    assert_eq!(settled(Life::Ended), [Change::Went]);
    assert_eq!(settled(Life::Alive), [Change::Hidden]);
    assert_eq!(settled(Life::Unknown), [Change::Vanished]);
}

/// Only a kernel that lists all that can hold a namespace of a type proves by its list that one has ended.
#[test]
fn what_the_kernel_lists_has_ended_when_it_is_not_listed() {
    const UTS: u64 = 31;
    let mut old = host();
    add(&mut old, UTS, NamespaceType::Uts).holders = vec![fd(1, 3)];
    let mut new = host();
    assert_eq!(told(&old, &new), [(UTS, vec![Change::Went])]);
    new.gaps =
        vec![Gap { operation: Call::Listns.into(), cause: Cause::Unsupported, ..gap(Place::Kernel, Object::Host) }];
    assert_eq!(told(&old, &new), [(UTS, vec![Change::Vanished])]);
}

#[test]
fn the_last_process_goes_and_a_descriptor_stays() {
    let (mut old, mut new) = (host(), host());
    for snapshot in [&mut old, &mut new] {
        inner(snapshot, &[]);
    }
    run(&mut old, 7, 70, &[(NamespaceType::Net, INNER)]);
    let holder = fd(1, 3);
    new.namespaces.get_mut(&id(INNER)).unwrap().holders.push(holder.clone());
    assert_eq!(told(&old, &new), [(INNER, vec![Change::LastTaskLeft, Change::HolderCame(&holder)])]);
    assert_eq!(told(&new, &old), [(INNER, vec![Change::FirstTaskCame, Change::HolderWent(&holder)])]);
    // That others come and go is no news of a namespace that has processes.
    let before = old.clone();
    run(&mut old, 8, 80, &[(NamespaceType::Net, INNER)]);
    assert_eq!(told(&before, &old), []);
}

#[test]
fn a_process_moves_and_another_is_the_most_senior() {
    let (mut old, mut new) = (host(), host());
    for snapshot in [&mut old, &mut new] {
        inner(snapshot, &[]);
    }
    run(&mut old, 7, 70, &[(NamespaceType::Net, INNER)]);
    run(&mut old, 8, 80, &[(NamespaceType::Net, INNER)]);
    run(&mut new, 7, 70, &[(NamespaceType::Net, NET)]);
    run(&mut new, 8, 80, &[(NamespaceType::Net, INNER)]);
    let moved = [
        (NET, vec![Change::ProcessEntered { pid: Pid(7), from: id(INNER) }]),
        (INNER, vec![Change::Leader { old: Pid(7), new: Pid(8) }, Change::ProcessLeft { pid: Pid(7), to: id(NET) }]),
    ];
    assert_eq!(told(&old, &new), moved);
    // Another process with the same ID has not moved; it is there, and the first one is not.
    new.processes.get_mut(&Pid(7)).unwrap().tasks[0].start_time_ticks = 71;
    assert_eq!(told(&old, &new), [(INNER, vec![Change::Leader { old: Pid(7), new: Pid(8) }])]);
}

#[test]
fn a_descriptor_of_another_process_with_the_same_id_is_another() {
    let (mut old, mut new) = (host(), host());
    for (snapshot, start) in [(&mut old, 70), (&mut new, 71)] {
        inner(snapshot, &[fd(7, 3)]);
        run(snapshot, 7, start, &[(NamespaceType::Net, NET)]);
    }
    let holder = fd(7, 3);
    assert_eq!(told(&old, &new), [(INNER, vec![Change::HolderWent(&holder), Change::HolderCame(&holder)])]);
}

#[test]
fn a_reused_number_is_another_namespace() {
    let (mut old, mut new) = (host(), host());
    for (snapshot, unique_id) in [(&mut old, 500), (&mut new, 501)] {
        inner(snapshot, &[fd(1, 3)]);
        snapshot.namespaces.get_mut(&id(INNER)).unwrap().unique_id = Some(unique_id);
    }
    let both = [(INNER, vec![Change::Went]), (INNER, vec![Change::Appeared])];
    assert_eq!(told(&old, &new), both);
    // Whatever could not be seen.
    let mut blind = new.clone();
    blind.gaps = vec![gap(Place::Fds, Object::Process(Pid(1)))];
    assert_eq!(told(&old, &blind), both);
    let found = changes(&old, &new).unwrap().namespaces;
    assert!(found[0].new.is_none() && found[1].old.is_none());
    // A process that was in the one and is in the other has moved.
    run(&mut old, 7, 70, &[(NamespaceType::Net, INNER)]);
    run(&mut new, 7, 70, &[(NamespaceType::Net, INNER)]);
    assert_eq!(
        told(&old, &new),
        [
            (INNER, vec![Change::Went, Change::ProcessLeft { pid: Pid(7), to: id(INNER) }]),
            (INNER, vec![Change::Appeared, Change::ProcessEntered { pid: Pid(7), from: id(INNER) }]),
        ]
    );
    // Without unique IDs there are the owner, which cannot change, and the type.
    new.namespaces.get_mut(&id(INNER)).unwrap().unique_id = None;
    assert_eq!(told(&old, &new), []);
    new.namespaces.get_mut(&id(INNER)).unwrap().owner = Relation::Known(id(NET));
    assert_eq!(told(&old, &new).len(), 2);
    let uts = Namespace::new(id(INNER), NamespaceType::Uts);
    let (mut before, mut new) = (host(), host());
    inner(&mut before, &[fd(1, 3)]);
    new.namespaces.insert(uts.id, uts);
    assert_eq!(told(&before, &new), [(INNER, vec![Change::Appeared]), (INNER, vec![Change::Went])], "by type");
}

#[test]
fn what_cannot_be_seen_has_not_gone_nor_come() {
    let mut seeing = host();
    inner(&mut seeing, &[]);
    run(&mut seeing, 7, 70, &[(NamespaceType::Net, INNER)]);
    let mut blind = host();
    run(&mut blind, 7, 70, &[]);
    blind.gaps = vec![gap(Place::Processes, Object::Process(Pid(7)))];
    assert_eq!(told(&seeing, &blind), [(INNER, vec![Change::Unseen])]);
    assert_eq!(told(&blind, &seeing), [(INNER, vec![Change::Seen])]);
    let places = Places::NONE.with(Place::Processes);
    let both = changes(&seeing, &blind).unwrap();
    assert_eq!((both.older_saw_less, both.newer_saw_less), (Places::NONE, places));
    let both = changes(&blind, &seeing).unwrap();
    assert_eq!((both.older_saw_less, both.newer_saw_less), (places, Places::NONE));
    // The process is gone, and what could not be read of another says nothing.
    blind.processes.remove(&Pid(7));
    blind.gaps = vec![gap(Place::Processes, Object::Process(Pid(8)))];
    assert_eq!(told(&seeing, &blind), [(INNER, vec![Change::Vanished])]);
    // The same for what stays: its processes cannot be seen, and its descriptors were not looked at.
    inner(&mut blind, &[fd(1, 3)]);
    blind.gaps = vec![gap(Place::Processes, Object::Process(Pid(7)))];
    seeing.options.places = Places::holding().without(Place::Fds);
    assert_eq!(told(&seeing, &blind), []);
    assert_eq!(changes(&seeing, &blind).unwrap().older_saw_less, Places::NONE.with(Place::Fds));
}

#[test]
fn doubt_goes_up_to_parents_and_owners() {
    let mut seeing = host();
    for (ino, parent) in [(11, USER), (12, 11)] {
        let user = add(&mut seeing, ino, NamespaceType::User);
        (user.owner, user.parent) = (Relation::Known(id(parent)), Relation::Known(id(parent)));
    }
    seeing.namespaces.get_mut(&id(11)).unwrap().holders = vec![Holder::Child { ns: id(12) }];
    seeing.namespaces.get_mut(&id(12)).unwrap().holders = vec![Holder::Owned { ns: id(INNER) }];
    inner(&mut seeing, &[fd(1, 3)]);
    seeing.namespaces.get_mut(&id(INNER)).unwrap().owner = Relation::Known(id(12));
    let vanished = vec![Change::Vanished];
    assert_eq!(told(&seeing, &host()), [(11, vanished.clone()), (12, vanished.clone()), (INNER, vanished)]);
    let mut blind = host();
    blind.gaps = vec![gap(Place::Fds, Object::Fd(Pid(1), Tid(1), 3))];
    let unseen = vec![Change::Unseen];
    assert_eq!(told(&seeing, &blind), [(11, unseen.clone()), (12, unseen.clone()), (INNER, unseen.clone())]);
    // One that is there without saying whose it is.
    let mut closed = host();
    inner(&mut closed, &[fd(1, 3)]);
    closed.namespaces.get_mut(&id(INNER)).unwrap().owner = Relation::NotVisible;
    assert_eq!(told(&seeing, &closed), [(11, unseen.clone()), (12, unseen)]);
    assert_eq!(told(&closed, &seeing).last().unwrap(), &(INNER, vec![Change::OwnerKnown(id(12))]));
}

#[test]
fn numbers_of_another_boot_mean_nothing() {
    let (old, mut new) = (host(), host());
    new.host.boot_id = Some("another".into());
    assert_eq!(changes(&old, &new), Err(DifferentBoots));
    new.host.boot_id = None;
    assert!(!changes(&old, &new).unwrap().same_boot_known);
}

#[test]
fn numbers_of_processes_of_another_pid_namespace_mean_nothing() {
    let (mut old, mut new) = (host(), host());
    inner(&mut old, &[fd(1, 3), Holder::BindMount { mount_ns: id(NET), mount_id: 1, path: None }]);
    inner(&mut new, &[fd(1, 4)]);
    new.processes.get_mut(&Pid(1)).unwrap().tasks[0].start_time_ticks = 1000;
    assert!(!changes(&old, &new).unwrap().same_pids);
    let mount = &old.namespaces[&id(INNER)].holders[1];
    assert_eq!(told(&old, &new), [(INNER, vec![Change::HolderWent(mount)])]);
}

#[test]
fn a_dump_need_not_tell_the_device_of_nsfs_nor_every_descriptor() {
    let (mut old, mut new) = (host(), host());
    let mount = |dev| Holder::BindMount { mount_ns: NamespaceId { ino: NET, dev }, mount_id: 1, path: None };
    inner(&mut old, &[mount(0)]);
    inner(&mut new, &[fd(1, 3), mount(4)]);
    old.host.boot_id = None;
    assert_eq!(told(&old, &new), []);
}

/// What is told when old and new change places.
fn reversed(change: Change<'_>) -> Change<'_> {
    match change {
        Change::Went | Change::Vanished | Change::Hidden => Change::Appeared,
        Change::Appeared => Change::Went,
        Change::Unseen => Change::Seen,
        Change::Seen => Change::Unseen,
        Change::LastTaskLeft => Change::FirstTaskCame,
        Change::FirstTaskCame => Change::LastTaskLeft,
        Change::Leader { old, new } => Change::Leader { old: new, new: old },
        Change::ProcessLeft { pid, to } => Change::ProcessEntered { pid, from: to },
        Change::ProcessEntered { pid, from } => Change::ProcessLeft { pid, to: from },
        Change::HolderWent(holder) => Change::HolderCame(holder),
        Change::HolderCame(holder) => Change::HolderWent(holder),
        Change::OwnerKnown(_) | Change::ParentKnown(_) => change,
    }
}

prop_compose! {
    fn snapshots()(
        namespaces in prop::collection::vec((1..6_u64, 0..2_usize, 0..3_u64, prop::collection::vec((1..4_u32, 3..5_u32), 0..3)), 0..6),
        processes in prop::collection::vec((1..5_u32, 0..2_u64, 1..6_u64), 0..5),
        unreadable in prop::collection::vec((0..8_usize, 1..5_u32), 0..3),
        places in prop::collection::vec(0..12_usize, 0..2),
    ) -> Snapshot {
        let mut snapshot = host();
        for (ino, ns_type, unique_id, fds) in namespaces {
            let ino = 100 + ino;
            let namespace = add(&mut snapshot, ino, [NamespaceType::Net, NamespaceType::Uts][ns_type]);
            namespace.unique_id = (unique_id > 0).then_some(unique_id);
            namespace.holders = fds.into_iter().map(|(pid, number)| fd(pid, number)).collect();
            namespace.holders.sort();
            namespace.holders.dedup();
        }
        for (pid, start, ino) in processes {
            let known = snapshot.namespaces.get(&id(100 + ino)).map(|namespace| namespace.ns_type);
            let pid = pid + 1;
            if !snapshot.processes.contains_key(&Pid(pid)) {
                run(&mut snapshot, pid, start, &known.map(|ns_type| (ns_type, 100 + ino)).into_iter().collect::<Vec<_>>());
            }
        }
        snapshot.gaps = unreadable.into_iter().map(|(place, pid)| gap(Place::HOLDING[place], Object::Process(Pid(pid)))).collect();
        for place in places {
            snapshot.options.places = snapshot.options.places.without(Place::HOLDING[place]);
        }
        snapshot
    }
}

proptest! {
    #[test]
    fn nothing_differs_from_itself(snapshot in snapshots()) {
        let same = changes(&snapshot, &snapshot).unwrap();
        prop_assert_eq!(same.namespaces, vec![]);
        prop_assert_eq!((same.older_saw_less, same.newer_saw_less), (Places::NONE, Places::NONE));
    }

    #[test]
    fn backwards_what_came_goes(old in snapshots(), new in snapshots()) {
        let there = changes(&old, &new).unwrap();
        let back = changes(&new, &old).unwrap();
        let sides = |told: &NamespaceChanges<'_>| {
            let of = |namespace: Option<&Namespace>| namespace.map(|namespace| (namespace.ns_type, namespace.id.ino));
            (of(told.old), of(told.new))
        };
        // Whether what is no longer visible has ended does not show from what appears.
        let there = there.namespaces.into_iter().map(|mut told| {
            told.changes.iter_mut().filter(|change| **change == Change::Vanished).for_each(|change| *change = Change::Went);
            (sides(&told), told.changes)
        });
        let mut there: Vec<_> = there.collect();
        let mut turned: Vec<_> = back.namespaces.into_iter().map(|told| {
            let mut changes: Vec<_> = told.changes.iter().copied().map(reversed).collect();
            changes.sort();
            let (old, new) = sides(&told);
            ((new, old), changes)
        }).collect();
        there.sort();
        turned.sort();
        prop_assert_eq!(there, turned);
    }
}

/// The lists of the kernel reader have more namespaces than those that procfs leads to.
#[test]
fn another_reader_lists_other_namespaces() {
    let (mut with, mut without) = (host(), host());
    inner(&mut with, &[Holder::Kernel]);
    fn told<'a>(old: &'a Snapshot, new: &'a Snapshot) -> Vec<Change<'a>> {
        changes(old, new).unwrap().namespaces.into_iter().flat_map(|told| told.changes).collect()
    }
    (with.reader, without.reader) = (Some(Reader::Kernel), Some(Reader::Proc));
    assert_eq!((told(&with, &without), told(&without, &with)), (vec![Change::Unseen], vec![Change::Seen]));
    without.reader = Some(Reader::Kernel);
    assert_eq!(told(&without, &with), [Change::Appeared]);
    assert_ne!(told(&with, &without), [Change::Unseen]);
    // One that a process was in would have been seen by both.
    with.namespaces.get_mut(&id(INNER)).unwrap().holders = vec![fd(1, 3)];
    (with.reader, without.reader) = (Some(Reader::Kernel), Some(Reader::Proc));
    assert_eq!(told(&without, &with), [Change::Appeared]);
}
