//! One fixture for each place that can hold a namespace.

use std::io::IoSlice;
use std::os::fd::AsFd as _;

use lxkns_core::model::{Holder, Pid, Place, Places, Relation, Snapshot, Suspect, Tid};
use lxkns_core::{Discovery, DiscoveryOptions};
use lxkns_fixture::{Actor, Open, Socket, probe};
use rustix::net::{AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType};

use super::{
    direct_holders, directory, discover, discover_by_procfs, discover_everything, discover_undisturbed,
    discover_undisturbed_by_procfs, ino, look_until, namespace, own_inode,
};
use crate::harness::Need::{File, FileSystem, Kernel, NamespaceType, Root, UserNamespaces};
use crate::harness::{Test, test};

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("places::process", &[UserNamespaces], process),
        test("places::every_type", &[UserNamespaces, NamespaceType("time"), NamespaceType("cgroup")], every_type),
        test("places::thread", &[UserNamespaces], thread),
        test("places::zombie_leader", &[UserNamespaces], zombie_leader),
        test("places::zombie", &[UserNamespaces], zombie),
        test("places::pid_for_children", &[UserNamespaces, Kernel(6, 11)], pid_for_children),
        test("places::pid_for_children_of_a_thread", &[UserNamespaces, Kernel(6, 11)], pid_for_children_of_a_thread),
        test("places::time_for_children", &[UserNamespaces, NamespaceType("time")], time_for_children),
        test("places::fd", &[UserNamespaces], fd),
        test("places::fd_through_a_bind_mount", &[UserNamespaces], fd_through_a_bind_mount),
        test("places::path_fd", &[UserNamespaces], path_fd),
        test("places::socket", &[UserNamespaces, Kernel(5, 6)], socket),
        test("places::sockets_of_several_namespaces", &[UserNamespaces, Kernel(5, 6)], sockets_of_several_namespaces),
        test("places::in_flight", &[UserNamespaces, Kernel(5, 6)], in_flight),
        test("places::sockets_at_home_are_counted", &[UserNamespaces, Kernel(5, 6)], sockets_at_home_are_counted),
        test("places::tun", &[Root, File("/dev/net/tun"), Kernel(5, 6)], tun),
        test("places::tun_device_elsewhere", &[Root, File("/dev/net/tun"), Kernel(5, 6)], tun_device_elsewhere),
        test("places::fds_of_a_thread", &[UserNamespaces], fds_of_a_thread),
        test("places::socket_of_a_thread", &[UserNamespaces, Kernel(6, 9)], socket_of_a_thread),
        test("places::bind_mount", &[UserNamespaces], bind_mount),
        test("places::bind_mount_at_an_odd_path", &[UserNamespaces], bind_mount_at_an_odd_path),
        test("places::hidden_bind_mount", &[UserNamespaces], hidden_bind_mount),
        test("places::bind_mount_behind_chroot", &[UserNamespaces, Kernel(6, 11)], bind_mount_behind_chroot),
        test("places::bind_mount_in_a_processless_mount_namespace", &[Root, Kernel(6, 12)], nested_bind_mount),
        test("places::parent", &[UserNamespaces], parent),
        test("places::parent_pid_namespace", &[UserNamespaces], parent_pid_namespace),
        test("places::owner", &[UserNamespaces, Kernel(5, 6)], owner),
        test("places::kernel", &[Root, Kernel(6, 12)], kernel),
        test("places::procfs", &[UserNamespaces, FileSystem("proc"), Kernel(5, 8)], procfs),
        test("places::all_six_holders", &[UserNamespaces, Kernel(5, 6)], all_six_holders),
        test("places::switched_off", &[UserNamespaces, Kernel(5, 6)], switched_off),
    ]
}

fn process_holder(actor: &Actor) -> Holder {
    Holder::Process { pid: Pid(actor.pid()) }
}

fn fd_holder(actor: &Actor, fd: i32) -> Holder {
    Holder::Fd { pid: Pid(actor.pid()), tid: Tid(actor.tid()), fd: fd as u32 }
}

/// An actor in a user namespace of its own, where it may do the rest; in the test's own network namespace.
fn actor() -> Actor {
    Actor::spawn_in(&["user"])
}

/// Moves an actor out of its network namespace into a new one, and says which it left.
fn leave_net(actor: &Actor) -> u64 {
    let left = actor.ns_inode("net");
    actor.unshare(&["net"]);
    assert_ne!(actor.ns_inode("net"), left);
    left
}

fn process() {
    let actor = Actor::spawn_in(&["user", "net", "uts"]);
    let snapshot = discover();
    let user = namespace(&snapshot, actor.ns_inode("user"));
    for name in ["net", "uts"] {
        let namespace = namespace(&snapshot, actor.ns_inode(name));
        assert_eq!(namespace.ns_type.name(), name);
        assert_eq!(direct_holders(&snapshot, namespace), [&process_holder(&actor)]);
        assert_eq!(namespace.owner, Relation::Known(user.id));
        assert_eq!(namespace.parent, Relation::None);
        assert_eq!(namespace.leaders, [Pid(actor.pid())]);
        assert!(!namespace.initial);
        assert!(user.owned.contains(&namespace.id));
    }
    assert_eq!(ino(user.parent), Some(own_inode("user")));
    assert_eq!(user.owner, user.parent);
    assert_eq!(user.owner_uid.map(|uid| uid.0), Some(rustix::process::geteuid().as_raw()));
    assert!(namespace(&snapshot, own_inode("user")).children.contains(&user.id));
}

fn every_type() {
    let outer = Actor::spawn_in(&["user", "mnt", "cgroup", "uts", "ipc", "pid", "net", "time"]);
    let inner = outer.fork();
    let snapshot = discover();
    let user = namespace(&snapshot, inner.ns_inode("user")).id;
    let unique_ids = probe::kernel_at_least(6, 18);
    for name in ["mnt", "cgroup", "uts", "ipc", "user", "pid", "net", "time"] {
        let namespace = namespace(&snapshot, inner.ns_inode(name));
        assert_eq!(namespace.ns_type.name(), name);
        assert!(namespace.holders.contains(&process_holder(&inner)), "{name}: {:?}", namespace.holders);
        let expected = if name == "user" { Some(own_inode("user")) } else { Some(user.ino) };
        assert_eq!(ino(namespace.owner), expected, "{name}");
        assert_eq!(namespace.unique_id.is_some(), unique_ids || (name == "mnt" && probe::kernel_at_least(6, 11)));
    }
    let pid = namespace(&snapshot, inner.ns_inode("pid"));
    assert_eq!(ino(pid.parent), Some(own_inode("pid")));
    assert_eq!(pid.leaders, [Pid(inner.pid())]);
}

fn thread() {
    let actor = actor();
    let thread = actor.thread();
    thread.unshare(&["net"]);
    let snapshot = discover();
    let namespace = namespace(&snapshot, thread.ns_inode("net"));
    let holder = Holder::Task { pid: Pid(actor.pid()), tid: Tid(thread.tid()) };
    assert_eq!(direct_holders(&snapshot, namespace), [&holder]);
    assert_eq!(namespace.loose_threads, [Tid(thread.tid())]);
    assert!(namespace.leaders.is_empty());
    assert_eq!(ino(namespace.owner), Some(actor.ns_inode("user")));
    let process = &snapshot.processes[&Pid(actor.pid())];
    assert_eq!(process.tasks.len(), 2);
    assert_eq!(process.tasks[0].tid, Tid(actor.pid()));
}

fn zombie_leader() {
    let actor = Actor::spawn_in(&["user", "uts"]);
    let thread = actor.thread();
    let uts = actor.ns_inode("uts");
    let fd = thread.open("/proc/thread-self/ns/uts", Open::ReadOnly);
    thread.unshare_fs();
    thread.unshare(&["net"]);
    let net = thread.ns_inode("net");
    actor.exit_main_thread();
    let snapshot = discover();
    let task = Holder::Task { pid: Pid(actor.pid()), tid: Tid(thread.tid()) };
    let uts = namespace(&snapshot, uts);
    assert!(uts.holders.contains(&task), "{:?}", uts.holders);
    assert!(uts.holders.contains(&fd_holder(&thread, fd)), "{:?}", uts.holders);
    assert_eq!(uts.leaders, [Pid(actor.pid())], "a living thread stands for the process");
    assert_eq!(direct_holders(&snapshot, namespace(&snapshot, net)), [&task]);
}

fn zombie() {
    let reaper = actor();
    reaper.unshare(&["pid"]);
    let init = reaper.fork();
    let inner = reaper.fork();
    inner.unshare(&["user"]);
    let user = inner.ns_inode("user");
    let pid = inner.pid();
    // The parent, an actor, does not wait for its children: so what is killed stays a zombie.
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid as i32).unwrap(), rustix::process::Signal::KILL)
        .unwrap();
    while inner.is_alive() {
        std::thread::yield_now();
    }
    let snapshot = discover();
    let still_there = std::fs::metadata(format!("/proc/{pid}/ns/user")).is_ok();
    assert_eq!(snapshot.by_ino(user).is_some(), still_there);
    if still_there {
        let holder = Holder::Process { pid: Pid(pid) };
        assert!(namespace(&snapshot, user).holders.contains(&holder));
        assert!(snapshot.processes[&Pid(pid)].main_task().state.is_dead());
    }
    drop(init);
}

fn pid_for_children() {
    let actor = actor();
    actor.unshare(&["pid"]);
    let snapshot = discover();
    let process = &snapshot.processes[&Pid(actor.pid())];
    let id = process.namespaces.for_children(lxkns_core::model::NamespaceType::Pid).unwrap();
    let holder = Holder::ForChildren { pid: Pid(actor.pid()), tid: Tid(actor.tid()) };
    let namespace = namespace(&snapshot, id.ino);
    assert_eq!(direct_holders(&snapshot, namespace), [&holder]);
    assert_eq!(ino(namespace.parent), Some(own_inode("pid")), "{:?}", snapshot.gaps);
    assert_eq!(ino(namespace.owner), Some(actor.ns_inode("user")));
    assert!(namespace.is_without_tasks());

    let init = actor.fork();
    assert_eq!(init.ns_inode("pid"), id.ino);
    let snapshot = discover();
    assert_eq!(direct_holders(&snapshot, super::namespace(&snapshot, id.ino)), [&process_holder(&init), &holder]);
}

fn pid_for_children_of_a_thread() {
    let actor = actor();
    let thread = actor.thread();
    thread.unshare(&["pid"]);
    let snapshot = discover();
    let task = &snapshot.processes[&Pid(actor.pid())].tasks[1];
    let id = task.namespaces.for_children(lxkns_core::model::NamespaceType::Pid).unwrap();
    let holder = Holder::ForChildren { pid: Pid(actor.pid()), tid: Tid(thread.tid()) };
    assert_eq!(direct_holders(&snapshot, namespace(&snapshot, id.ino)), [&holder]);
}

fn time_for_children() {
    let actor = actor();
    actor.unshare(&["time"]);
    let ino = actor.ns_inode("time_for_children");
    assert_ne!(ino, actor.ns_inode("time"));
    let snapshot = discover_everything();
    let namespace = namespace(&snapshot, ino);
    let holder = Holder::ForChildren { pid: Pid(actor.pid()), tid: Tid(actor.tid()) };
    assert_eq!(direct_holders(&snapshot, namespace), [&holder]);
    assert_eq!(super::ino(namespace.owner), Some(actor.ns_inode("user")));
    assert_eq!(namespace.time_offsets, Some(Default::default()));
}

fn fd() {
    let actor = actor();
    actor.unshare(&["net"]);
    let fds = [actor.open("/proc/self/ns/net", Open::ReadOnly), actor.open("/proc/self/ns/net", Open::ReadOnly)];
    let left = leave_net(&actor);
    let snapshot = discover();
    let namespace = namespace(&snapshot, left);
    assert_eq!(direct_holders(&snapshot, namespace), [&fd_holder(&actor, fds[0]), &fd_holder(&actor, fds[1])]);
    assert_eq!(ino(namespace.owner), Some(actor.ns_inode("user")));
    assert!(namespace.is_without_tasks());
}

fn fd_through_a_bind_mount() {
    let directory = directory();
    let path = directory.path().join("ns");
    let actor = Actor::spawn_in(&["user", "mnt", "uts"]);
    actor.touch(&path);
    actor.bind("/proc/self/ns/uts", &path);
    let fd = actor.open(&path, Open::ReadOnly);
    let uts = actor.ns_inode("uts");
    actor.umount_lazily(&path);
    actor.unshare(&["uts"]);
    let text = std::fs::read_link(format!("/proc/{}/fd/{fd}", actor.pid())).unwrap();
    assert!(!text.to_string_lossy().starts_with("uts:["), "the link of such a descriptor names no namespace: {text:?}");
    let snapshot = discover();
    assert_eq!(direct_holders(&snapshot, namespace(&snapshot, uts)), [&fd_holder(&actor, fd)]);
}

fn path_fd() {
    let actor = Actor::spawn_in(&["user", "uts"]);
    let fd = actor.open("/proc/self/ns/uts", Open::Path);
    let uts = actor.ns_inode("uts");
    actor.unshare(&["uts"]);
    let snapshot = discover();
    let namespace = namespace(&snapshot, uts);
    assert_eq!(direct_holders(&snapshot, namespace), [&fd_holder(&actor, fd)]);
    assert_eq!(ino(namespace.owner), Some(actor.ns_inode("user")));
}

fn socket() {
    for kind in [Socket::Udp4, Socket::Tcp6, Socket::UnixStream, Socket::Netlink] {
        let actor = actor();
        actor.unshare(&["net"]);
        let fd = actor.socket(kind);
        let inode = actor.socket_inode(fd);
        let left = leave_net(&actor);
        let snapshot = discover();
        let namespace = namespace(&snapshot, left);
        let holder = Holder::Socket { pid: Pid(actor.pid()), tid: Tid(actor.tid()), fd: fd as u32, inode };
        assert_eq!(direct_holders(&snapshot, namespace), [&holder], "{kind:?}");
        assert_eq!(ino(namespace.owner), Some(actor.ns_inode("user")));
        assert!(namespace.unique_id.is_some() || !probe::kernel_at_least(6, 18));
    }
}

fn sockets_of_several_namespaces() {
    let actor = Actor::spawn_in(&["user", "net"]);
    let mut expected = Vec::new();
    for _ in 0..4 {
        let sockets = [Socket::Udp4, Socket::UnixDatagram, Socket::Netlink].map(|kind| actor.socket(kind));
        let inodes = sockets.map(|fd| actor.socket_inode(fd));
        expected.push((leave_net(&actor), sockets, inodes));
    }
    let snapshot = discover();
    for (net, sockets, inodes) in expected {
        let holder =
            |(fd, inode)| Holder::Socket { pid: Pid(actor.pid()), tid: Tid(actor.tid()), fd: fd as u32, inode };
        let holders: Vec<_> = sockets.into_iter().zip(inodes).map(holder).collect();
        let namespace = namespace(&snapshot, net);
        assert_eq!(direct_holders(&snapshot, namespace), holders.iter().collect::<Vec<_>>());
        assert_eq!(ino(namespace.owner), Some(actor.ns_inode("user")));
    }
}

fn in_flight() {
    let actor = actor();
    // The message of one that sends datagrams can be empty but for the descriptor.
    let kinds = [(SocketType::STREAM, &b"x"[..]), (SocketType::DGRAM, b"")];
    let mut expected = Vec::new();
    let mut empty = Vec::new();
    for (kind, message) in kinds {
        let (from, to) = rustix::net::socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).unwrap();
        empty.push(actor.give_fd(&to));
        let sent = [from.as_fd()];
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(control.push(SendAncillaryMessage::ScmRights(&sent)));
        rustix::net::sendmsg(&from, &[IoSlice::new(message)], &mut control, SendFlags::empty()).unwrap();
        // Nothing has come to this one.
        empty.push(actor.give_fd(&from));
        // Of several descriptors of one socket, each is a way to it.
        expected.extend([empty.remove(empty.len() - 2), actor.give_fd(&to)]);
    }
    let ours = |snapshot: &lxkns_core::model::Snapshot| -> Vec<(u32, u64)> {
        let counts = snapshot.suspects.iter().filter_map(|suspect| match suspect {
            Suspect::InFlight { pid, fd, count, .. } if *pid == Pid(actor.pid()) => Some((*fd, *count)),
            _ => None,
        });
        counts.collect()
    };
    let expected: Vec<_> = expected.into_iter().map(|fd| (fd as u32, 1)).collect();
    assert_eq!(ours(&discover_by_procfs()), expected);
    for (fd, _) in expected {
        actor.close(fd as i32);
    }
    assert_eq!(ours(&discover_everything()), [], "{empty:?} have received nothing");
}

fn sockets_at_home_are_counted() {
    let actor = Actor::spawn_in(&["user", "net"]);
    for _ in 0..3 {
        actor.socket(Socket::Udp4);
    }
    let child = actor.fork();
    let snapshot = discover();
    let namespace = namespace(&snapshot, actor.ns_inode("net"));
    let expected = [&process_holder(&actor), &process_holder(&child), &Holder::Sockets { count: 3 }];
    assert_eq!(direct_holders(&snapshot, namespace), expected, "a socket that two processes have open is one");
}

fn tun() {
    let actor = actor();
    actor.unshare(&["net"]);
    let fd = actor.tun("lxknstap");
    let left = leave_net(&actor);
    let snapshot = discover();
    let namespace = namespace(&snapshot, left);
    let holder = Holder::Tun { pid: Pid(actor.pid()), tid: Tid(actor.tid()), fd: fd as u32, device: None };
    assert_eq!(direct_holders(&snapshot, namespace), [&holder]);
    assert_eq!(ino(namespace.owner), Some(actor.ns_inode("user")));
}

fn tun_device_elsewhere() {
    let actor = actor();
    actor.unshare(&["net"]);
    let elsewhere = actor.fork();
    elsewhere.unshare(&["net"]);
    let fd = actor.tun("lxknstap");
    let ns = actor.open(format!("/proc/{}/ns/net", elsewhere.pid()), Open::ReadOnly);
    actor.move_link_to_netns("lxknstap", ns);
    actor.close(ns);
    let left = leave_net(&actor);
    let snapshot = discover();
    let device = Some(namespace(&snapshot, elsewhere.ns_inode("net")).id);
    let holder = Holder::Tun { pid: Pid(actor.pid()), tid: Tid(actor.tid()), fd: fd as u32, device };
    assert_eq!(direct_holders(&snapshot, namespace(&snapshot, left)), [&holder]);
}

fn fds_of_a_thread() {
    let actor = actor();
    actor.unshare(&["net"]);
    let thread = actor.thread_sharing_nothing();
    let fd = thread.open("/proc/thread-self/ns/net", Open::ReadOnly);
    let left = actor.ns_inode("net");
    thread.unshare(&["net"]);
    actor.unshare(&["net"]);
    let snapshot = discover();
    let holder = Holder::Fd { pid: Pid(actor.pid()), tid: Tid(thread.tid()), fd: fd as u32 };
    assert_eq!(direct_holders(&snapshot, namespace(&snapshot, left)), [&holder]);
}

fn socket_of_a_thread() {
    let actor = actor();
    actor.unshare(&["net"]);
    let thread = actor.thread_sharing_nothing();
    let fd = thread.socket(Socket::Udp4);
    let inode = thread.socket_inode(fd);
    let left = actor.ns_inode("net");
    thread.unshare(&["net"]);
    actor.unshare(&["net"]);
    let snapshot = discover();
    let holder = Holder::Socket { pid: Pid(actor.pid()), tid: Tid(thread.tid()), fd: fd as u32, inode };
    assert_eq!(direct_holders(&snapshot, namespace(&snapshot, left)), [&holder]);
}

/// An actor that has bind-mounted the network namespace that it then left.
fn with_bind_mount(path: &std::path::Path) -> (Actor, u64) {
    let actor = Actor::spawn_in(&["user", "mnt", "net"]);
    actor.touch(path);
    actor.bind("/proc/self/ns/net", path);
    let left = leave_net(&actor);
    (actor, left)
}

#[track_caller]
fn assert_bind_mounted(snapshot: &lxkns_core::Snapshot, ino: u64, actor: &Actor, at: Option<&std::path::Path>) {
    let namespace = namespace(snapshot, ino);
    match direct_holders(snapshot, namespace)[..] {
        [Holder::BindMount { mount_ns, mount_id, path }] => {
            assert_eq!(mount_ns.ino, actor.ns_inode("mnt"));
            let mountinfo = std::fs::read(format!("/proc/{}/mountinfo", actor.pid())).unwrap();
            let mountinfo = String::from_utf8_lossy(&mountinfo);
            let line = mountinfo.lines().find(|line| line.contains(&format!("net:[{ino}]")));
            if let Some(line) = line {
                assert!(line.starts_with(&format!("{mount_id} ")), "{line}");
            }
            if let Some(at) = at {
                assert_eq!(path.as_ref().unwrap(), std::os::unix::ffi::OsStrExt::as_bytes(at.as_os_str()));
            }
        }
        ref holders => panic!("{holders:?}"),
    }
}

fn bind_mount() {
    let directory = directory();
    let path = directory.path().join("ns");
    let (actor, left) = with_bind_mount(&path);
    let snapshot = discover();
    assert_bind_mounted(&snapshot, left, &actor, Some(&path));
    assert_eq!(ino(namespace(&snapshot, left).owner), Some(actor.ns_inode("user")));
}

fn bind_mount_at_an_odd_path() {
    use std::os::unix::ffi::OsStrExt;
    let directory = directory();
    let name = std::ffi::OsStr::from_bytes(b"a b\tc\nd\\e#f\x1b[31m\xff");
    let path = directory.path().join(name);
    let (actor, left) = with_bind_mount(&path);
    let snapshot = discover();
    assert_bind_mounted(&snapshot, left, &actor, Some(&path));
    assert_eq!(ino(namespace(&snapshot, left).owner), Some(actor.ns_inode("user")), "it can be opened there");
}

fn hidden_bind_mount() {
    let directory = directory();
    let path = directory.path().join("ns");
    let (actor, left) = with_bind_mount(&path);
    actor.mount("tmpfs", directory.path());
    let snapshot = discover();
    assert_bind_mounted(&snapshot, left, &actor, None);
    let namespace = namespace(&snapshot, left);
    assert_eq!(namespace.ns_type.name(), "net");
    if namespace.owner == Relation::NotAsked {
        // It cannot be opened any more: its type and number are still known, and that the rest is not is said.
        let object = lxkns_core::model::Object::Namespace(namespace.id);
        assert!(snapshot.gaps.iter().any(|gap| gap.object == object), "{:?}", snapshot.gaps);
    }
}

fn bind_mount_behind_chroot() {
    let directory = directory();
    let path = directory.path().join("ns");
    let (actor, left) = with_bind_mount(&path);
    actor.mkdir(directory.path().join("root"));
    actor.chroot(directory.path().join("root"));
    assert_bind_mounted(&discover(), left, &actor, Some(&path));
}

fn nested_bind_mount() {
    probe::pin_to_one_cpu().unwrap();
    let directory = directory();
    let (pin, path) = (directory.path().join("mnt"), directory.path().join("net"));
    let outer = Actor::spawn_in(&["mnt"]);
    outer.touch(&pin);
    let inner = outer.fork();
    inner.unshare(&["mnt"]);
    inner.make_mounts_private();
    inner.touch(&path);
    inner.unshare(&["net"]);
    inner.bind("/proc/self/ns/net", &path);
    let (mnt, net) = (inner.ns_inode("mnt"), inner.ns_inode("net"));
    outer.bind(format!("/proc/{}/ns/mnt", inner.pid()), &pin);
    drop(inner);
    let snapshot = discover();
    let pinned = namespace(&snapshot, mnt);
    assert!(matches!(direct_holders(&snapshot, pinned)[..], [Holder::BindMount { .. }]), "{:?}", pinned.holders);
    match direct_holders(&snapshot, namespace(&snapshot, net))[..] {
        [Holder::BindMount { mount_ns, .. }] => assert_eq!(mount_ns.ino, mnt),
        ref holders => panic!("{holders:?}"),
    }
}

fn parent() {
    let actor = Actor::spawn_in(&["user"]);
    let middle = actor.ns_inode("user");
    actor.unshare(&["user"]);
    let snapshot = discover_undisturbed(middle);
    let inner = namespace(&snapshot, actor.ns_inode("user"));
    let middle = namespace(&snapshot, middle);
    assert_eq!(middle.holders, [Holder::Child { ns: inner.id }]);
    assert_eq!(middle.children, [inner.id]);
    assert_eq!(inner.parent, Relation::Known(middle.id));
    assert_eq!(ino(middle.parent), Some(own_inode("user")));
    assert!(middle.owner_uid.is_some());
}

fn parent_pid_namespace() {
    let actor = actor();
    actor.unshare(&["pid"]);
    let init = actor.fork();
    init.unshare(&["pid"]);
    let inner = init.fork();
    let snapshot = discover();
    let (outer, inner_ns) = (namespace(&snapshot, init.ns_inode("pid")), namespace(&snapshot, inner.ns_inode("pid")));
    assert_eq!(inner_ns.parent, Relation::Known(outer.id));
    assert_eq!(outer.children, [inner_ns.id]);
    assert!(outer.holders.contains(&Holder::Child { ns: inner_ns.id }));
    assert_eq!(ino(outer.parent), Some(own_inode("pid")));
}

fn owner() {
    // A user namespace that nothing holds but a network namespace that it owns, which nothing holds but a socket.
    let outer = Actor::spawn_in(&["user"]);
    let inner = outer.fork();
    inner.unshare(&["user", "net"]);
    let (user, net) = (inner.ns_inode("user"), inner.ns_inode("net"));
    let socket = inner.take_fd(inner.socket(Socket::Udp4));
    outer.give_fd(&socket);
    drop((socket, inner));
    let snapshot = discover_undisturbed(user);
    let net = namespace(&snapshot, net);
    assert!(matches!(direct_holders(&snapshot, net)[..], [Holder::Socket { .. }]), "{:?}", net.holders);
    let user = namespace(&snapshot, user);
    assert_eq!(user.holders, [Holder::Owned { ns: net.id }]);
    assert_eq!(user.owned, [net.id]);
    assert_eq!(net.owner, Relation::Known(user.id));
    assert_eq!(ino(user.parent), Some(outer.ns_inode("user")));
}

fn kernel() {
    let actor = Actor::spawn_in(&["mnt"]);
    let fd = actor.open("/proc/self/ns/mnt", Open::ReadOnly);
    let (_, receiver) = actor.send_fd_in_flight(fd);
    actor.close(fd);
    let left = actor.ns_inode("mnt");
    actor.unshare(&["mnt"]);
    let snapshot = discover_undisturbed_by_procfs(left);
    let namespace = namespace(&snapshot, left);
    assert_eq!(namespace.holders, [Holder::Kernel]);
    assert_eq!(ino(namespace.owner), Some(own_inode("user")));
    let suspect = Suspect::InFlight { pid: Pid(actor.pid()), tid: Tid(actor.tid()), fd: receiver as u32, count: 1 };
    assert!(snapshot.suspects.contains(&suspect), "{:?}", snapshot.suspects);
}

fn procfs() {
    let directory = directory();
    let actor = Actor::spawn_in(&["user", "mnt", "pid"]);
    let init = actor.fork();
    init.mount("proc", directory.path());
    let snapshot = discover();
    let namespace = namespace(&snapshot, init.ns_inode("pid"));
    let mounted = |holder: &&Holder| {
        matches!(holder, Holder::Mount { mount_ns, fs_type, path: Some(path), .. }
            if mount_ns.ino == init.ns_inode("mnt") && fs_type == "proc" && path == directory.path().to_str().unwrap())
    };
    assert_eq!(namespace.holders.iter().filter(mounted).count(), 1, "{:?}", namespace.holders);
}

fn all_six_holders() {
    let directory = directory();
    let path = directory.path().join("ns");
    let actor = Actor::spawn_in(&["user", "net"]);
    let net = actor.ns_inode("net");
    let socket_fd = actor.socket(Socket::Tcp4);
    let inode = actor.socket_inode(socket_fd);
    let fds = [actor.open("/proc/self/ns/net", Open::ReadOnly), actor.open("/proc/self/ns/net", Open::ReadOnly)];
    let thread = actor.thread();
    let binder = actor.fork();
    for fd in [socket_fd, fds[0], fds[1]] {
        binder.close(fd);
    }
    binder.unshare(&["mnt"]);
    binder.make_mounts_private();
    binder.touch(&path);
    binder.bind("/proc/self/ns/net", &path);
    binder.unshare(&["net"]);
    let process = actor.fork();
    for fd in [socket_fd, fds[0], fds[1]] {
        process.close(fd);
    }
    actor.unshare(&["net"]);

    let snapshot = discover();
    let namespace = namespace(&snapshot, net);
    let (pid, tid) = (Pid(actor.pid()), Tid(actor.tid()));
    let expected = [
        process_holder(&process),
        Holder::Task { pid, tid: Tid(thread.tid()) },
        fd_holder(&actor, fds[0]),
        fd_holder(&actor, fds[1]),
        Holder::Socket { pid, tid, fd: socket_fd as u32, inode },
    ];
    let (mounts, rest): (Vec<_>, Vec<_>) =
        direct_holders(&snapshot, namespace).into_iter().partition(|holder| matches!(holder, Holder::BindMount { .. }));
    assert_eq!(rest, expected.iter().collect::<Vec<_>>());
    match mounts[..] {
        [Holder::BindMount { mount_ns, path: Some(at), .. }] => {
            assert_eq!(mount_ns.ino, binder.ns_inode("mnt"));
            assert_eq!(at, path.to_str().unwrap());
        }
        ref mounts => panic!("{mounts:?}"),
    }
    // Each of them leads there.
    let fd = Discovery::of_host().unwrap().open(&snapshot, namespace.id).unwrap();
    assert_eq!(rustix::fs::fstat(&fd).unwrap().st_ino, net);
}

fn switched_off() {
    let actor = actor();
    actor.unshare(&["net"]);
    actor.socket(Socket::Udp4);
    let by_socket = leave_net(&actor);
    actor.open("/proc/self/ns/net", Open::ReadOnly);
    let by_fd = leave_net(&actor);
    let thread = actor.thread();
    thread.unshare(&["net"]);
    let by_thread = thread.ns_inode("net");
    for (place, ino) in [(Place::Sockets, by_socket), (Place::Fds, by_fd), (Place::Tasks, by_thread)] {
        let mut options = DiscoveryOptions::namespaces();
        assert!(Discovery::of_host().unwrap().run(&options).unwrap().by_ino(ino).is_some(), "{place}");
        // The kernel's own list has some of them too.
        options.places = Places::holding().without(place).without(Place::Kernel);
        // Who else looks at it has it open for a moment, and is then what holds it.
        let is_absent = |snapshot: &Snapshot| snapshot.by_ino(ino).is_none();
        let without = look_until(is_absent, || Discovery::of_host().unwrap().run(&options).unwrap());
        assert!(is_absent(&without), "{place} was switched off: {:?}", without.by_ino(ino));
    }
    let mut options = DiscoveryOptions::namespaces();
    options.places = Places::holding().without(Place::Owners).without(Place::Parents);
    let snapshot = Discovery::of_host().unwrap().run(&options).unwrap();
    assert_eq!(namespace(&snapshot, actor.ns_inode("net")).owner, Relation::NotAsked);
    assert_eq!(namespace(&snapshot, actor.ns_inode("user")).parent, Relation::NotAsked);
}
