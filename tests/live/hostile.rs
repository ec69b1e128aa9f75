//! What a container chooses: names, numbers, depth. None of it may crash, or cost more than its size.

use lxkns_core::model::{Holder, Pid, Tid};
use lxkns_fixture::{Actor, Open};

use super::{directory, discover, discover_everything, namespace};
use crate::harness::Need::UserNamespaces;
use crate::harness::{Test, test};

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("hostile::names", &[UserNamespaces], names),
        test("hostile::many_fds", &[UserNamespaces], many_fds),
        test("hostile::deep_user_namespaces", &[UserNamespaces], deep_user_namespaces),
        test("hostile::many_threads_with_tables_of_their_own", &[UserNamespaces], many_tables),
        test("hostile::long_mount_paths", &[UserNamespaces], long_mount_paths),
    ]
}

fn names() {
    let actor = Actor::spawn_in(&["user"]);
    for comm in [&b") R 1 1 1"[..], b"\n\n\n", b"\x1b[2J\x1b[31m", b"\xff\xfe\xfd", b"", b"((((", b"Uid:\t0"] {
        actor.set_comm(comm);
        let snapshot = discover_everything();
        let process = &snapshot.processes[&Pid(actor.pid())];
        assert_eq!(process.comm(), comm);
        assert_eq!(process.status.as_ref().unwrap().uids.real.0, rustix::process::getuid().as_raw());
    }
}

fn many_fds() {
    let actor = Actor::spawn_in(&["user", "uts"]);
    let fd = actor.open("/proc/self/ns/uts", Open::ReadOnly);
    let count = if actor.try_dup_many(fd, 5000).is_ok() { 5001 } else { 900 };
    if count == 900 {
        // Fewer are allowed here: as many as there are.
        assert!(std::fs::read_dir(format!("/proc/{}/fd", actor.pid())).unwrap().count() > count);
    }
    let snapshot = discover();
    let holders = &namespace(&snapshot, actor.ns_inode("uts")).holders;
    let fds = holders.iter().filter(|holder| matches!(holder, Holder::Fd { pid, .. } if *pid == Pid(actor.pid())));
    assert!(fds.count() >= count);
}

fn deep_user_namespaces() {
    let actor = Actor::spawn_in(&["user"]);
    let mut chain = vec![actor.ns_inode("user")];
    // The kernel allows 32 levels.
    while actor.try_unshare(&["user"]).is_ok() {
        actor.map_root();
        chain.push(actor.ns_inode("user"));
    }
    assert!(chain.len() >= 16, "{}", chain.len());
    let snapshot = discover();
    for pair in chain.windows(2) {
        let [parent, child] = [pair[0], pair[1]].map(|ino| namespace(&snapshot, ino));
        assert_eq!(child.parent.known(), Some(parent.id));
        assert_eq!(parent.children, [child.id]);
    }
}

fn many_tables() {
    let actor = Actor::spawn_in(&["user", "uts"]);
    let uts = actor.ns_inode("uts");
    let threads: Vec<_> = (0..60).map(|_| actor.thread_sharing_nothing()).collect();
    let fds: Vec<_> = threads.iter().map(|thread| thread.open("/proc/thread-self/ns/uts", Open::ReadOnly)).collect();
    let snapshot = discover();
    let holders = &namespace(&snapshot, uts).holders;
    for (thread, fd) in threads.iter().zip(fds) {
        let holder = Holder::Fd { pid: Pid(actor.pid()), tid: Tid(thread.tid()), fd: fd as u32 };
        assert_eq!(holders.iter().filter(|&other| *other == holder).count(), 1);
    }
}

fn long_mount_paths() {
    let directory = directory();
    let actor = Actor::spawn_in(&["user", "mnt", "uts"]);
    actor.mount("tmpfs", directory.path());
    // A path that is longer than any system call takes: directories are made and entered one by one.
    actor.chdir(directory.path());
    let name = "\n".repeat(200);
    for _ in 0..25 {
        actor.mkdir(&name);
        actor.chdir(&name);
    }
    actor.touch("ns");
    actor.bind("/proc/self/ns/uts", "ns");
    let uts = actor.ns_inode("uts");
    actor.unshare(&["uts"]);
    let snapshot = discover();
    let namespace = namespace(&snapshot, uts);
    assert!(
        namespace.holders.iter().any(|holder| matches!(holder, Holder::BindMount { mount_ns, .. }
            if mount_ns.ino == actor.ns_inode("mnt"))),
        "{:?}",
        namespace.holders
    );
}
