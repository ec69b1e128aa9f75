//! Looking changes nothing and waits for nobody: not for the server of a file system that has died, in either way.

use lxkns_core::model::{Cause, Holder, Object, Pid, Place, Tid};
use lxkns_core::{Discovery, DiscoveryOptions};
use lxkns_fixture::fuse::{DeadFuse, Death};
use lxkns_fixture::{Actor, Open, Socket};

use super::{directory, discover_everything, namespace};
use crate::harness::Need::{File, FileSystem, Kernel, Root, UserNamespaces};
use crate::harness::{Test, test};

const FUSE: &[crate::harness::Need] = &[Root, File("/dev/fuse"), FileSystem("fuse")];

/// Before 6.16 dirty pages of FUSE files are copied when they are written back, and who maps over one need not wait.
const STUCK: &[crate::harness::Need] = &[Root, File("/dev/fuse"), FileSystem("fuse"), Kernel(6, 16)];

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("safety::dead_fuse_unread", FUSE, || dead_fuse(Death::Unread)),
        test("safety::dead_fuse_unanswered", FUSE, || dead_fuse(Death::Unanswered)),
        test("safety::a_process_that_locks_its_memory", STUCK, a_process_that_locks_its_memory),
        test("safety::a_lingering_socket", &[UserNamespaces], a_lingering_socket),
        test("safety::a_fifo_is_not_opened", &[UserNamespaces], a_fifo_is_not_opened),
    ]
}

/// Descriptors, root and working directories, mapped files and bind mounts, all on a file system whose server is dead.
fn dead_fuse(death: Death) {
    let directory = directory();
    let actor = Actor::spawn_in(&["mnt"]);
    let fuse = DeadFuse::mount(&actor, directory.path(), death);
    let file = directory.path().join("file");
    let fd = actor.open(&file, Open::ReadOnly);
    let path_fd = actor.open(&file, Open::Path);
    let inside = actor.fork();
    inside.chdir(directory.path());
    let chrooted = actor.fork();
    chrooted.chroot(directory.path());
    let mapped = actor.fork();
    mapped.mmap_cmdline_from(&file, 64);
    let holder = actor.fork();
    holder.unshare(&["net"]);
    let net = holder.ns_inode("net");
    actor.bind(format!("/proc/{}/ns/net", holder.pid()), directory.path().join("other"));
    drop(holder);
    let before = fuse.requests().len();
    fuse.die();

    let snapshot = discover_everything();
    let namespace = namespace(&snapshot, net);
    assert!(
        namespace.holders.iter().any(|holder| matches!(holder, Holder::BindMount { mount_ns, .. }
            if mount_ns.ino == actor.ns_inode("mnt"))),
        "{:?}",
        namespace.holders
    );
    for actor in [&actor, &inside, &chrooted, &mapped] {
        let process = &snapshot.processes[&Pid(actor.pid())];
        assert!(!process.namespaces.is_empty());
        let gap = |gap: &&lxkns_core::model::Gap| gap.object == Object::Process(Pid(actor.pid()));
        assert_eq!(snapshot.gaps.iter().find(gap), None);
    }
    if death == Death::Unanswered {
        assert_eq!(fuse.requests().len(), before, "nobody asked the server anything: {:?}", fuse.requests());
    }
    drop(fuse);
    let _ = (fd, path_fd);
}

fn a_process_that_locks_its_memory() {
    let directory = directory();
    let actor = Actor::spawn_in(&["mnt"]);
    let stuck = actor.fork();
    let fuse = DeadFuse::mount(&actor, directory.path(), Death::Unanswered);
    let file = directory.path().join("file");
    let address = stuck.map_dirty_page(&file);
    fuse.die();
    stuck.begin_map_over(address);
    fuse.wait_for_request();

    let snapshot = discover_everything();
    let pid = Pid(stuck.pid());
    let process = &snapshot.processes[&pid];
    assert_eq!(process.main_task().tid, Tid(stuck.pid()));
    assert_eq!(process.command_line, None);
    let gap = snapshot.gaps.iter().find(|gap| gap.object == Object::Process(pid)).expect("a gap says so");
    assert_eq!((gap.place, gap.cause, gap.errno), (Place::CommandLines, Cause::TimedOut, None));

    // However often a session scans, no more than one thread waits for it, and each scan says so.
    let session = Discovery::of_host().unwrap();
    for _ in 0..4 {
        let snapshot = session.run(&DiscoveryOptions::everything()).unwrap();
        assert!(session.left_behind().iter().filter(|&&waited_for| waited_for == pid).count() <= 1);
        assert!(snapshot.gaps.iter().any(|gap| gap.place == Place::CommandLines && gap.cause == Cause::TimedOut));
    }
    drop(fuse);
}

/// The fetched copy of a lingering socket can be the last: closing it must not keep anybody waiting. Whether it is the
/// last is a matter of luck; that discovery goes on is not.
fn a_lingering_socket() {
    for _ in 0..5 {
        let actor = Actor::spawn_in(&["user"]);
        actor.unshare(&["net"]);
        for _ in 0..20 {
            let fd = actor.socket(Socket::Tcp4);
            actor.set_linger(fd, 60);
        }
        let killer = std::thread::spawn(move || drop(actor));
        super::discover();
        killer.join().unwrap();
    }
}

fn a_fifo_is_not_opened() {
    let directory = directory();
    let path = directory.path().join("fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
    let actor = Actor::spawn_in(&["user"]);
    // Read and write, so that the actor does not wait; who opened it for reading only would.
    let fd = actor.open(&path, Open::ReadWrite);
    let snapshot = discover_everything();
    let object = Object::Fd(Pid(actor.pid()), Tid(actor.tid()), fd as u32);
    assert!(!snapshot.gaps.iter().any(|gap| gap.object == object));
}
