//! Snapshots as a whole: the same each time, and nothing is left behind.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use lxkns_core::model::{Namespace, NamespaceType, Pid, Place, Places};
use lxkns_core::{Discovery, DiscoveryOptions, ErrorKind, ProcRoot, Progress, Snapshot, Step};
use lxkns_fixture::{Actor, Open, Socket};

use super::{directory, discover_everything, look_until, namespace};
use crate::harness::Need::{FileSystem, UserNamespaces};
use crate::harness::{Test, alone, test};

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("snapshots::what_does_not_change_is_equal", &[UserNamespaces], what_does_not_change_is_equal),
        test("snapshots::a_cancelled_scan", &[], a_cancelled_scan),
        test("snapshots::another_procfs", &[UserNamespaces, FileSystem("proc")], another_procfs),
        test("snapshots::nothing_is_left_behind", &[], nothing_is_left_behind),
        test("snapshots::without_self", &[], without_self),
        test("snapshots::names_only_what_is_there", &[UserNamespaces], names_only_what_is_there),
        test("snapshots::survive_the_wire", &[UserNamespaces], survive_the_wire),
    ]
}

fn what_does_not_change_is_equal() {
    let actor = Actor::spawn_in(&["user", "mnt", "uts", "net"]);
    actor.socket(Socket::Udp4);
    actor.open("/proc/self/ns/uts", Open::ReadOnly);
    let thread = actor.thread();
    thread.unshare(&["net"]);
    let inodes = [actor.ns_inode("user"), actor.ns_inode("mnt"), actor.ns_inode("uts"), thread.ns_inode("net")];
    let is_undisturbed = |(before, after): &(Snapshot, Snapshot)| {
        inodes.iter().all(|&ino| namespace(before, ino) == namespace(after, ino))
    };
    let (before, after) = look_until(is_undisturbed, || (discover_everything(), discover_everything()));
    for ino in inodes {
        assert_eq!(namespace(&before, ino), namespace(&after, ino));
    }
    let process = |snapshot: &Snapshot| {
        let mut process = snapshot.processes[&Pid(actor.pid())].clone();
        process.tasks.iter_mut().for_each(|task| task.state = lxkns_core::model::TaskState(b'?'));
        process
    };
    assert_eq!(process(&before), process(&after));
}

/// An actor in a PID namespace of its own, with a procfs of it at a path of the host.
fn with_procfs(directory: &std::path::Path) -> (Actor, Actor, ProcRoot) {
    let outer = Actor::spawn_in(&["user", "mnt", "pid", "uts"]);
    let init = outer.fork();
    init.mount("proc", directory);
    let path = format!("/proc/{}/root{}", init.pid(), directory.display());
    (outer, init, ProcRoot::at(path).unwrap())
}

fn a_cancelled_scan() {
    let cancel = AtomicBool::new(false);
    let steps = Mutex::new(Vec::new());
    let note = |progress: Progress| {
        steps.lock().unwrap().push(progress.step);
        cancel.store(progress.step == Step::Kernel, Ordering::Relaxed);
    };
    let session = Discovery::of_host().unwrap().cancelled_by(&cancel).progress_to(&note);
    let error = session.run(&DiscoveryOptions::namespaces()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    let mut seen = steps.lock().unwrap().clone();
    seen.dedup();
    assert_eq!(seen, [Step::Processes, Step::Mounts, Step::Kernel]);
    cancel.store(false, Ordering::Relaxed);
    let session = Discovery::of_host().unwrap().cancelled_by(&cancel);
    assert!(session.run(&DiscoveryOptions::namespaces()).is_ok());
}

fn another_procfs() {
    let directory = directory();
    let (_outer, init, proc) = with_procfs(directory.path());
    init.unshare(&["uts"]);
    init.open("/proc/self/ns/uts", Open::ReadOnly);
    init.unshare(&["net"]);
    init.socket(Socket::Udp4);
    let (net, uts) = (init.ns_inode("net"), init.ns_inode("uts"));
    init.unshare(&["net"]);
    let other = init.fork();
    let mut options = DiscoveryOptions::everything();
    // What the kernel lists is the whole host's, whichever procfs is read.
    options.places = Places::holding().without(Place::Kernel);
    let session = Discovery::new(proc);
    let [first, second] = [(); 2].map(|()| session.run(&options).unwrap());
    assert_eq!(first, second);
    assert_eq!(first.processes.keys().copied().collect::<Vec<_>>(), [Pid(1), Pid(2)], "PIDs are those of that procfs");
    assert_eq!(first.processes[&Pid(2)].ppid, Some(Pid(1)));
    namespace(&first, uts);
    assert_eq!(namespace(&first, other.ns_inode("uts")).leaders, [Pid(1)]);
    // PIDs of that procfs must not be used as if they were the caller's own: then a socket cannot be asked, and that is
    // said.
    assert!(first.by_ino(net).is_none());
    assert!(first.gaps.iter().any(|gap| gap.place == Place::Sockets), "{:?}", first.gaps);
}

fn nothing_is_left_behind() {
    alone("snapshots::nothing_is_left_behind", || {
        let names = |directory: &str| -> BTreeSet<_> {
            std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name()).collect()
        };
        let mut options = lxkns_core::DiscoveryOptions::everything();
        options.command_lines = lxkns_core::model::Scope::None;
        lxkns_core::Discovery::of_host().unwrap().run(&options).unwrap();
        let (fds, threads) = (names("/proc/self/fd").len(), names("/proc/self/task"));
        for _ in 0..20 {
            discover_everything();
        }
        // A thread that closes a lingering socket, or reads the command line of a stuck process of another test's, may
        // take its time; but not for ever.
        let began = std::time::Instant::now();
        let is_clean = || names("/proc/self/fd").len() <= fds && names("/proc/self/task").is_subset(&threads);
        while !is_clean() && began.elapsed() < std::time::Duration::from_secs(20) {
            std::thread::yield_now();
        }
        assert!(names("/proc/self/fd").len() <= fds, "descriptors: {:?}, at first {fds}", names("/proc/self/fd"));
        assert!(names("/proc/self/task").is_subset(&threads), "threads");
    });
}

fn without_self() {
    // Somebody else in the same namespaces: otherwise the caller is what they are known by.
    let actor = Actor::spawn();
    let own = Pid(std::process::id());
    let mut options = DiscoveryOptions::namespaces();
    assert!(lxkns_core::Discovery::of_host().unwrap().run(&options).unwrap().processes.contains_key(&own));
    options.without_self = true;
    let snapshot = lxkns_core::Discovery::of_host().unwrap().run(&options).unwrap();
    assert!(!snapshot.processes.contains_key(&own));
    let is_own = |holder: &lxkns_core::model::Holder| {
        matches!(*holder, lxkns_core::model::Holder::Process { pid } | lxkns_core::model::Holder::Fd { pid, .. }
            if pid == own)
    };
    assert!(!snapshot.namespaces.values().flat_map(|namespace| &namespace.holders).any(is_own));
    drop(actor);
}

fn names_only_what_is_there() {
    let actor = Actor::spawn_in(&["user", "net", "pid"]);
    let child = actor.fork();
    child.unshare(&["user"]);
    for places in [Places::holding(), Places::NONE.with(Place::Processes), Places::NONE.with(Place::Fds)] {
        let mut options = DiscoveryOptions::namespaces();
        options.places = places;
        let snapshot = lxkns_core::Discovery::of_host().unwrap().run(&options).unwrap();
        let known = |id: &lxkns_core::model::NamespaceId| snapshot.namespaces.contains_key(id);
        let related = |namespace: &Namespace| {
            [namespace.owner.known(), namespace.parent.known()].iter().flatten().all(known)
                && namespace.children.iter().chain(&namespace.owned).all(known)
        };
        assert!(snapshot.namespaces.values().all(related));
        for process in snapshot.processes.values() {
            assert!(process.namespaces.iter().all(|(_, id)| known(&id)));
            let for_children = [NamespaceType::Pid, NamespaceType::Time].map(|t| process.namespaces.for_children(t));
            assert!(for_children.iter().flatten().all(known));
        }
    }
}

fn survive_the_wire() {
    let actor = Actor::spawn_in(&["user", "mnt", "net", "pid", "uts"]);
    actor.socket(Socket::Udp4);
    actor.set_comm(b"a\x1b[31m\n");
    let _child = actor.fork();
    let snapshot = discover_everything();
    let mut first = Vec::new();
    lxkns_core::wire::write(&snapshot, &Default::default(), &mut first).unwrap();
    let read = lxkns_core::wire::read(&first[..]).unwrap();
    assert_eq!(read, snapshot);
    assert_eq!(read.gaps, snapshot.gaps);
    let mut second = Vec::new();
    lxkns_core::wire::write(&read, &Default::default(), &mut second).unwrap();
    assert_eq!(first, second, "a dump that is read and written again is the same, byte for byte");
}
