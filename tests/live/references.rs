//! How many references to a namespace the kernel counts, and how many of them lxkns explains: the kernel is the judge of
//! each kind of thing that holds one. And what waits in UNIX sockets.

use std::process::Command;
use std::sync::OnceLock;

use lxkns_core::model::{Exactness, Holder, InFlight, NamespaceType, Pid, Place, Reader, References, Suspect, Tid};
use lxkns_core::{Discovery, DiscoveryOptions, Snapshot};
use lxkns_fixture::{Actor, Open, Socket};

use super::program::{run, run_lxkns};
use super::{directory, look_until, namespace};
use crate::harness::Need::{File, FileSystem, Kernel, NamespaceType as Type, Program, Root};
use crate::harness::{Need, Test, lxkns, test};

pub(super) fn tests() -> Vec<Test> {
    const ROOT: &[Need] = &[Root, File("/sys/kernel/btf/vmlinux"), Kernel(6, 18)];
    const TOLD: &[Need] = &[Root, File("/sys/kernel/btf/vmlinux"), Kernel(6, 18), Program("nsenter")];
    const TIME: &[Need] = &[Root, File("/sys/kernel/btf/vmlinux"), Kernel(6, 18), Type("time"), Program("nsenter")];
    const CGROUP: &[Need] =
        &[Root, File("/sys/kernel/btf/vmlinux"), Kernel(6, 18), Type("cgroup"), FileSystem("cgroup2")];
    const NET: &[Need] = &[Root, File("/sys/kernel/btf/vmlinux"), Kernel(6, 18), File("/dev/net/tun")];
    const IPC: &[Need] = &[Root, File("/sys/kernel/btf/vmlinux"), Kernel(6, 18), FileSystem("mqueue")];
    vec![
        test("references::of_all_types", TIME, of_all_types),
        test("references::of_mount_namespaces", ROOT, of_mount_namespaces),
        test("references::of_ipc_namespaces", IPC, of_ipc_namespaces),
        test("references::of_cgroup_namespaces", CGROUP, of_cgroup_namespaces),
        test("references::of_network_namespaces", NET, of_network_namespaces),
        test("references::something_else", TOLD, something_else),
        test("references::in_flight", TOLD, in_flight),
        test("references::not_accepted", ROOT, not_accepted),
        test("references::file_systems_of_user_namespaces", ROOT, file_systems_of_user_namespaces),
        test("references::where_they_are_not_known", ROOT, where_they_are_not_known),
    ]
}

fn scan() -> Snapshot {
    let mut options = DiscoveryOptions::namespaces();
    (options.references, options.suspects, options.reader) = (true, true, Some(Reader::Kernel));
    let snapshot = Discovery::of_host().unwrap().run(&options).unwrap();
    let refused: Vec<_> = snapshot.gaps.iter().filter(|gap| gap.place == Place::Reader).collect();
    assert_eq!((snapshot.reader, &refused[..]), (Some(Reader::Kernel), &[][..]));
    snapshot
}

fn references(snapshot: &Snapshot, ino: u64) -> Option<References> {
    snapshot.references.get(&namespace(snapshot, ino).id).copied()
}

/// How much can be explained of namespaces of all types but user, PID and net. The kernel can keep tasks from programs, and these
/// can hold any: if so, PID 1 is not there where procfs does not have it.
fn exactness() -> Exactness {
    static EXACTNESS: OnceLock<Exactness> = OnceLock::new();
    *EXACTNESS.get_or_init(|| {
        let actor = Actor::spawn_in(&["mnt"]);
        actor.mount("tmpfs", "/proc/1");
        let mut command = Command::new("nsenter");
        command.args(["-t", &actor.pid().to_string(), "-m", "--"]).arg(lxkns().get_program());
        let ran = run(command.args(["dump", "--no-cmdline", "--no-mounts", "--reader", "kernel"])).ok();
        let snapshot = lxkns_core::wire::read(ran.stdout.as_slice()).unwrap();
        assert!(snapshot.processes.contains_key(&Pid(actor.pid())), "{ran:?}");
        if snapshot.processes.contains_key(&Pid(1)) { Exactness::Exact } else { Exactness::AtLeast }
    })
}

/// Follows the references of one namespace.
struct Counted {
    ino: u64,
    references: References,
}

impl Counted {
    /// Those of a namespace, all of which are explained. It has an inode on nsfs that stays, so that programs which look at
    /// namespaces add none.
    fn of(actor: &Actor, name: &str) -> Self {
        actor.open(format!("/proc/self/ns/{name}"), Open::ReadOnly);
        let ino = actor.ns_inode(name);
        let all = |found: &Option<References>| found.is_some_and(|references| references.explained == references.total);
        let references = look_until(all, || references(&scan(), ino)).expect("its count does not change");
        assert_eq!(references.total, references.explained, "{name}");
        assert!(references.total >= 2, "{name}: {references:?}");
        Self { ino, references }
    }

    /// Does something that adds so many references, of which so many are explained.
    #[track_caller]
    fn add<T>(&mut self, what: &str, [total, explained]: [u32; 2], act: impl FnOnce() -> T) -> T {
        let acted = act();
        let before = self.references;
        let expected = References { total: before.total + total, explained: before.explained + explained, ..before };
        let found = look_until(|found| *found == Some(expected), || references(&scan(), self.ino));
        assert_eq!(found, Some(expected), "{what}: before it {before:?}");
        self.references = expected;
        acted
    }
}

fn of_all_types() {
    for name in ["mnt", "cgroup", "uts", "ipc", "net", "time"] {
        let parent = Actor::spawn_in(&["user", name]);
        // A time namespace is for the children of who makes it.
        let actor = parent.fork();
        let mut counted = Counted::of(&actor, name);
        let exactness = if name == "net" { Exactness::AtLeast } else { exactness() };
        assert_eq!(counted.references.exactness, exactness, "{name}");
        counted.add("another descriptor", [0, 0], || actor.open(format!("/proc/self/ns/{name}"), Open::Path));
        let child = counted.add("a process with the same namespaces", [0, 0], || actor.fork());
        let thread = counted.add("a task with the same namespaces", [0, 0], || actor.thread());
        let other = if name == "uts" { "ipc" } else { "uts" };
        // A time namespace is that of the task and of its children.
        let added = if name == "time" { 2 } else { 1 };
        counted.add("a task with another namespace", [added, added], || thread.unshare(&[other]));
        counted.add("a process with another namespace", [added, added], || child.unshare(&[other]));
        if name != "mnt" {
            // Bind mounts are of the same inode.
            let (mounts, file) = (Actor::spawn_in(&["mnt"]), directory());
            mounts.make_mounts_private();
            let path = file.path().join("ns");
            mounts.touch(&path);
            let source = format!("/proc/{}/ns/{name}", actor.pid());
            counted.add("a bind mount", [0, 0], || mounts.bind(source, &path));
        }
        for user in ["user", "pid"] {
            let ino = actor.ns_inode(user);
            assert_eq!(references(&scan(), ino), None, "not of these types");
        }
    }
    assert_eq!(references(&scan(), super::own_inode("uts")), None, "not of the initial one");
}

fn of_mount_namespaces() {
    let actor = Actor::spawn_in(&["user", "mnt"]);
    let mut counted = Counted::of(&actor, "mnt");
    let fd = counted.add("mountinfo", [1, 1], || actor.open("/proc/self/mountinfo", Open::ReadOnly));
    counted.add("mounts", [1, 1], || actor.open("/proc/thread-self/mounts", Open::ReadOnly));
    counted.add("mountstats", [1, 1], || actor.open("/proc/self/mountstats", Open::ReadOnly));
    counted.add("the same file once more", [0, 0], || actor.fork());
    counted.add("another file of procfs", [0, 0], || actor.open("/proc/self/status", Open::ReadOnly));
    counted.add("a path of procfs", [0, 0], || actor.open("/proc/self/mountinfo", Open::Path));
    let sent = counted.add("mountinfo", [1, 1], || actor.open("/proc/self/mountinfo", Open::ReadOnly));
    actor.close(fd);
    actor.send_fd_in_flight(sent);
    actor.close(sent);
}

fn of_ipc_namespaces() {
    let (actor, directory) = (Actor::spawn_in(&["user", "mnt", "ipc"]), directory());
    actor.make_mounts_private();
    let mut counted = Counted::of(&actor, "ipc");
    counted.add("a segment", [1, 1], || actor.attach_segment());
    counted.add("another one", [1, 1], || actor.attach_segment());
    let child = counted.add("a process that shares both", [0, 0], || actor.fork());
    counted.add("a segment of that process alone", [1, 1], || child.attach_segment());
    counted.add("a mounted mqueue", [0, 0], || actor.mount("mqueue", directory.path()));
}

fn of_cgroup_namespaces() {
    let (actor, directory) = (Actor::spawn_in(&["mnt", "cgroup"]), directory());
    actor.make_mounts_private();
    let mut counted = Counted::of(&actor, "cgroup");
    counted.add("a mounted hierarchy", [0, 0], || actor.mount("cgroup2", directory.path()));
    let file = |name: &str| actor.open(directory.path().join(name), Open::ReadOnly);
    counted.add("cgroup.procs", [1, 1], || file("cgroup.procs"));
    counted.add("cgroup.controllers", [1, 1], || file("cgroup.controllers"));
    counted.add("the directory", [0, 0], || file("."));
}

fn of_network_namespaces() {
    let actor = Actor::spawn_in(&["user", "net"]);
    let mut counted = Counted::of(&actor, "net");
    for kind in [Socket::Udp4, Socket::Tcp6, Socket::UnixStream, Socket::Netlink] {
        counted.add("a socket", [1, 1], || actor.socket(kind));
    }
    counted.add("the same sockets in another process", [0, 0], || actor.fork());
    let socket = counted.add("a socket", [1, 1], || actor.socket(Socket::Udp4));
    // The pair of sockets that carries it is of the namespace too.
    counted.add("the same in flight", [2, 2], || {
        actor.send_fd_in_flight(socket);
        actor.close(socket);
    });
    // Where the driver is a module that does not describe itself, nothing tells whose its files are, and nothing is said.
    let is_there = |path: &str| std::fs::exists(path).unwrap();
    if is_there("/sys/module/tun/initstate") && !is_there("/sys/kernel/btf/tun") {
        actor.tun("lxknsrefs");
        let found = look_until(Option::is_none, || references(&scan(), counted.ino));
        assert_eq!(found, None);
        return;
    }
    counted.add("a TAP device's file", [1, 1], || actor.tun("lxknsrefs"));
    counted
        .add("a file of procfs, which is not explained", [1, 0], || actor.open("/proc/self/net/dev", Open::ReadOnly));
}

/// An io_uring keeps the file of a descriptor, and the kernel does not say which.
fn something_else() {
    let actor = Actor::spawn_in(&["user", "uts"]);
    let fd = actor.open("/proc/self/ns/uts", Open::ReadOnly);
    actor.io_uring_register_files(&[fd]);
    actor.close(fd);
    let ino = actor.ns_inode("uts");
    let expected = References { total: 2, explained: 1, exactness: exactness() };
    let found = look_until(|found| *found == Some(expected), || references(&scan(), ino));
    assert_eq!(found, Some(expected));

    // What the kernel keeps from programs can be what holds it: nothing else is said to.
    let expected = match exactness() {
        Exactness::Exact => "2 references, 1 explained: something else holds it",
        _ => "2 references, at least 1 explained\n",
    };
    let is_said = |text: &String| text.contains(expected);
    let why = || run_lxkns(["why", "--reader", "kernel", &ino.to_string()]).ok().text().to_owned();
    let text = look_until(is_said, why);
    assert!(is_said(&text), "{text}");
    let show = || run_lxkns(["show", "--reader", "kernel", &ino.to_string()]).ok().text().to_owned();
    let text = look_until(is_said, show);
    assert!(is_said(&text), "{text}");
    // A dump carries it.
    let directory = directory();
    let dump = directory.path().join("dump");
    let from_dump = || {
        std::fs::write(&dump, run_lxkns(["dump", "--reader", "kernel", "--no-cmdline"]).ok().stdout).unwrap();
        run_lxkns(["why".as_ref(), "--from".as_ref(), dump.as_os_str(), ino.to_string().as_ref()])
            .ok()
            .text()
            .to_owned()
    };
    let text = look_until(is_said, from_dump);
    assert!(is_said(&text), "{text}");
    drop(actor);
}

/// The holders of a namespace that wait in sockets.
fn waiting(snapshot: &Snapshot, ino: u64) -> Vec<Holder> {
    let holders = snapshot.by_ino(ino).map(|namespace| namespace.holders.clone()).unwrap_or_default();
    holders.into_iter().filter(|holder| matches!(holder, Holder::InFlight { .. })).collect()
}

fn in_flight() {
    let actor = Actor::spawn_in(&["user", "net", "uts"]);
    let (pid, tid) = (Pid(actor.pid()), Tid(actor.tid()));
    // A descriptor; of it nothing else is left.
    let uts = actor.ns_inode("uts");
    let fd = actor.open("/proc/self/ns/uts", Open::ReadOnly);
    let (_, receiver) = actor.send_fd_in_flight(fd);
    actor.close(fd);
    actor.unshare(&["uts"]);
    let inode = actor.socket_inode(receiver);
    let descriptor = Holder::InFlight { pid, tid, fd: receiver as u32, inode, what: InFlight::Descriptor };
    // A socket of a namespace that the actor then leaves, in a socket of the next namespace that is itself in flight, in one that
    // is so too, and so on.
    let net = actor.ns_inode("net");
    let socket = actor.socket(Socket::Udp4);
    actor.unshare(&["net"]);
    let (inner_from, inner_to) = actor.send_fd_in_flight(socket);
    actor.close(socket);
    let inner = actor.socket_inode(inner_to);
    let mut outer = inner_to;
    for _ in 0..8 {
        let (_, receiver) = actor.send_fd_in_flight(outer);
        actor.close(outer);
        outer = receiver;
    }
    let nested = Holder::InFlight { pid, tid, fd: outer as u32, inode: inner, what: InFlight::Socket };

    let both = |snapshot: &Snapshot| [waiting(snapshot, uts), waiting(snapshot, net)];
    let expected = [vec![descriptor], vec![nested]];
    let snapshot = look_until(|snapshot| both(snapshot) == expected, scan);
    assert_eq!(both(&snapshot), expected);
    let is_ours = |suspect: &&Suspect| matches!(suspect, Suspect::InFlight { pid: of, .. } if *of == pid);
    assert_eq!(snapshot.suspects.iter().filter(is_ours).count(), 0, "it is known what they are");
    let known = namespace(&snapshot, uts);
    assert_eq!((known.ns_type, super::ino(known.owner)), (NamespaceType::Uts, Some(actor.ns_inode("user"))));
    let only = References { total: 1, explained: 1, exactness: exactness() };
    let found = look_until(|found| *found == Some(only), || references(&scan(), uts));
    assert_eq!(found, Some(only));

    let text = run_lxkns(["why", "--reader", "kernel", &uts.to_string()]).ok().text().to_owned();
    let line = format!("descriptor in flight to socket:[{inode}], fd {receiver} of process {pid}");
    assert!(text.contains(&line), "{text}");
    let line = format!("until process {pid} receives it, closes fd {receiver}, or exits");
    assert!(text.contains(&line), "{text}");

    // What waits is gone with the socket.
    actor.close(receiver);
    actor.close(inner_from);
    actor.close(outer);
    let after = look_until(|snapshot: &Snapshot| both(snapshot) == [vec![], vec![]], scan);
    assert_eq!(both(&after), [vec![], vec![]]);
}

fn not_accepted() {
    let directory = directory();
    let path = directory.path().join("socket");
    let listens = Actor::spawn_in(&["net"]);
    let listening = listens.bind_socket(&path);
    let connects = Actor::spawn_in(&["net"]);
    let net = connects.ns_inode("net");
    let connected = connects.connect_socket(&path);
    // The connection is one socket, and its other end another one.
    connects.close(connected);
    connects.unshare(&["net"]);
    let inode = listens.socket_inode(listening);
    let (pid, tid, fd) = (Pid(listens.pid()), Tid(listens.tid()), listening as u32);
    let expected = [Holder::InFlight { pid, tid, fd, inode, what: InFlight::Connection }];
    let snapshot = look_until(|snapshot| waiting(snapshot, net) == expected, scan);
    assert_eq!(waiting(&snapshot, net), expected);
    let accepted = listens.accept(listening);
    let home = Holder::Socket { pid, tid, fd: accepted as u32, inode: listens.socket_inode(accepted) };
    let after = look_until(|snapshot: &Snapshot| waiting(snapshot, net).is_empty(), scan);
    assert!(namespace(&after, net).holders.contains(&home), "{:?}", namespace(&after, net).holders);
}

fn file_systems_of_user_namespaces() {
    let (actor, directory) = (Actor::spawn_in(&["user", "mnt"]), directory());
    actor.make_mounts_private();
    let (user, mnt) = (actor.ns_inode("user"), actor.ns_inode("mnt"));
    let mounts = |snapshot: &Snapshot| -> Vec<(u64, String, Option<String>)> {
        let holders = namespace(snapshot, user).holders.clone().into_iter();
        let mounts = holders.filter_map(|holder| match holder {
            Holder::Mount { mount_ns, fs_type, path, .. } => {
                Some((mount_ns.ino, fs_type.to_string(), path.map(|path| path.to_string())))
            }
            _ => None,
        });
        mounts.collect()
    };
    assert_eq!(mounts(&scan()), [], "what it has from its parent belongs to another one");
    actor.mount("tmpfs", directory.path());
    // The kernel's list of file systems is read without its lock.
    let expected = [(mnt, "tmpfs".to_owned(), Some(directory.path().to_str().unwrap().to_owned()))];
    let snapshot = look_until(|snapshot| mounts(snapshot) == expected, scan);
    assert_eq!(mounts(&snapshot), expected);
    let why = || run_lxkns(["why", "--reader", "kernel", &user.to_string()]).ok().text().to_owned();
    let line = format!("tmpfs mounted at {}", directory.path().display());
    let text = look_until(|text: &String| text.contains(&line), why);
    assert!(text.contains(&line), "{text}");
    actor.umount(directory.path());
    let after = look_until(|snapshot| mounts(snapshot).is_empty(), scan);
    assert_eq!(mounts(&after), []);
}

fn where_they_are_not_known() {
    let actor = Actor::spawn_in(&["user", "uts"]);
    let ino = actor.ns_inode("uts");
    let mut options = DiscoveryOptions::everything();
    options.reader = Some(Reader::Proc);
    let by_procfs = Discovery::of_host().unwrap().run(&options).unwrap();
    assert!(by_procfs.references.is_empty(), "procfs does not tell");
    options = DiscoveryOptions::namespaces();
    options.reader = Some(Reader::Kernel);
    let not_asked = Discovery::of_host().unwrap().run(&options).unwrap();
    assert!(not_asked.references.is_empty());
    for snapshot in [&by_procfs, &not_asked] {
        assert_eq!(references(snapshot, ino), None);
    }
    let text = run_lxkns(["why", "--reader", "proc", &ino.to_string()]).ok().text().to_owned();
    assert!(!text.contains("explained"), "{text}");
}
