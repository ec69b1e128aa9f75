//! The kernel reader finds what procfs has: of one fixture, which has a process for each place that it reads, both readers
//! say the same.

mod auto;
mod lockdown;
mod places;
mod repeated;

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use lxkns_core::model::{
    Call, CapabilitySet, Cause, Gap, Holder, InFlight, Namespace, NamespaceId, NamespaceLinks, NamespaceType, Object,
    Operation, Pid, Place, Process, Reader, Relation, Scope, Seccomp, Suspect, TaskState, Tid, Uids,
};
use lxkns_core::{Discovery, DiscoveryOptions, Snapshot};
use lxkns_fixture::deny::{self, Interface};
use lxkns_fixture::{Actor, Open, Socket, probe};
use rustix::io::Errno;

use super::program::run;
use super::{directory, look_until, namespace};
use crate::harness::Need::{File, FileSystem, Kernel, NamespaceType as Type, Program, Root, UserNamespaces};
use crate::harness::{Need, Test, lxkns, test};

/// The kernel's description of its structures, which the kernel reader needs.
const BTF: &str = "/sys/kernel/btf/vmlinux";

pub(super) fn tests() -> Vec<Test> {
    const ROOT: &[Need] = &[Root, File(BTF), Type("time"), File("/dev/net/tun")];
    const NOBODY: &[Need] = &[Root, File(BTF), Type("time"), Program("setpriv")];
    let mut tests = vec![
        test("reader::both_say_the_same", ROOT, both_say_the_same),
        test(
            "reader::in_a_pid_namespace",
            &[Root, File(BTF), FileSystem("proc"), Program("nsenter")],
            in_a_pid_namespace,
        ),
        test(
            "reader::beyond_a_pid_namespace",
            &[Root, File(BTF), FileSystem("proc"), Program("nsenter"), Kernel(6, 18)],
            beyond_a_pid_namespace,
        ),
        test("reader::of_powers_too", &[Root, File(BTF)], of_powers_too),
        test("reader::two_capabilities_are_enough", NOBODY, two_capabilities_are_enough),
        test("reader::own_sockets", &[Root, File(BTF), Kernel(5, 14), Program("setpriv")], own_sockets),
        test("reader::no_process_is_left_out", &[Root, File(BTF)], no_process_is_left_out),
        test("reader::what_nothing_visible_holds", &[Root, File(BTF), Kernel(6, 18)], what_nothing_visible_holds),
        test(
            "reader::procfs_without_btf",
            &[Root, File(BTF), FileSystem("tmpfs"), Program("nsenter")],
            procfs_without_btf,
        ),
        test("reader::procfs_where_it_is_denied", &[UserNamespaces, File(BTF)], procfs_where_it_is_denied),
    ];
    tests.extend(auto::tests());
    tests.extend(lockdown::tests());
    tests.extend(places::tests());
    tests.extend(repeated::tests());
    tests
}

/// No process is absent, also where the kernel keeps some from programs, and the first one is there always. Each has the parent
/// that the kernel says, also one that it keeps from programs, which takes over who has lost its own.
fn no_process_is_left_out() {
    let (host, actor) = (Discovery::of_host().unwrap(), Actor::spawn());
    let orphan = Actor::spawn().fork();
    let snapshot = host.run(&DiscoveryOptions { reader: Some(Reader::Kernel), ..DiscoveryOptions::default() }).unwrap();
    assert_eq!(snapshot.reader, Some(Reader::Kernel), "{:?}", snapshot.gaps);
    for pid in [Pid(1), Pid(actor.pid())] {
        assert!(snapshot.processes.contains_key(&pid), "{pid}");
    }
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", orphan.pid())).unwrap();
    let parent = stat.rsplit(')').next().and_then(|rest| rest.split(' ').nth(2)?.parse().ok()).unwrap();
    assert_eq!(snapshot.processes[&Pid(orphan.pid())].ppid, Some(Pid(parent)), "{stat}");
}

/// A process for each place that the kernel reader has.
struct Fixture {
    actors: Vec<Actor>,
    /// The namespaces, and what holds them.
    expected: Vec<(u64, Holder)>,
    in_flight: Suspect,
    procfs_file: (Pid, u32),
    /// A user namespace that only has a child.
    middle: u64,
}

fn leave(actor: &Actor, name: &str) -> u64 {
    let left = actor.ns_inode(name);
    actor.unshare(&[name]);
    left
}

fn fixture(with_tun: bool) -> Fixture {
    let mut expected = Vec::new();
    let of = |actor: &Actor| (Pid(actor.pid()), Tid(actor.tid()));

    // Of every type, with a PID namespace that is two levels below.
    let outer = Actor::spawn_in(&["user", "mnt", "cgroup", "uts", "ipc", "pid", "net", "time"]);
    let inner = outer.fork();
    for name in ["mnt", "cgroup", "uts", "ipc", "user", "pid", "net", "time"] {
        expected.push((inner.ns_inode(name), Holder::Process { pid: Pid(inner.pid()) }));
    }

    // Descriptors, sockets and TUN/TAP files.
    let files = Actor::spawn_in(&["user", "net", "uts"]);
    let (pid, tid) = of(&files);
    for how in [Open::ReadOnly, Open::Path] {
        let fd = files.open("/proc/self/ns/uts", how) as u32;
        expected.push((leave(&files, "uts"), Holder::Fd { pid, tid, fd }));
    }
    for kind in [Socket::Udp4, Socket::Tcp6, Socket::UnixStream, Socket::Netlink] {
        let fd = files.socket(kind);
        let inode = files.socket_inode(fd);
        expected.push((leave(&files, "net"), Holder::Socket { pid, tid, fd: fd as u32, inode }));
    }
    files.socket(Socket::Udp4);
    if with_tun {
        let fd = files.tun("lxknstap") as u32;
        expected.push((leave(&files, "net"), Holder::Tun { pid, tid, fd, device: None }));
    }
    // O_PATH on a socket is no socket: it holds nothing.
    let socket = files.socket(Socket::Udp4);
    files.open(format!("/proc/self/fd/{socket}"), Open::Path);
    files.close(socket);

    // Tasks: in a namespace of their own, with a table of their own, and below a leader that has exited.
    let tasks = Actor::spawn_in(&["user", "net"]);
    let thread = tasks.thread();
    thread.unshare(&["net"]);
    expected.push((thread.ns_inode("net"), Holder::Task { pid: Pid(tasks.pid()), tid: Tid(thread.tid()) }));
    let apart = tasks.thread_sharing_nothing();
    let fd = apart.open("/proc/thread-self/ns/net", Open::ReadOnly) as u32;
    expected.push((tasks.ns_inode("net"), Holder::Fd { pid: Pid(tasks.pid()), tid: Tid(apart.tid()), fd }));

    let dead = Actor::spawn_in(&["user", "uts"]);
    let living = [dead.thread(), dead.thread()];
    let fd = living[0].open("/proc/thread-self/ns/uts", Open::ReadOnly) as u32;
    let uts = dead.ns_inode("uts");
    dead.exit_main_thread();
    let (pid, tid) = (Pid(dead.pid()), Tid(living[0].tid()));
    expected.push((uts, Holder::Fd { pid, tid, fd }));
    expected.push((uts, Holder::Task { pid, tid }));

    // Namespaces for children to come, of which no link says which the one is.
    let parents = Actor::spawn_in(&["user"]);
    parents.unshare(&["pid", "time"]);
    expected.push((
        parents.ns_inode("time_for_children"),
        Holder::ForChildren { pid: Pid(parents.pid()), tid: Tid(parents.tid()) },
    ));

    // A zombie: its parent does not wait for it.
    let reaper = Actor::spawn_in(&["user"]);
    let zombie = reaper.fork();
    zombie.unshare(&["user"]);
    let pid = rustix::process::Pid::from_raw(zombie.pid() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    while zombie.is_alive() {
        std::thread::yield_now();
    }

    // Suspects: descriptors in flight, and a file of a procfs that holds a namespace.
    let suspects = Actor::spawn_in(&["user", "mnt"]);
    let (pid, tid) = of(&suspects);
    let fd = suspects.open("/proc/self/ns/user", Open::ReadOnly);
    let (_, receiver) = suspects.send_fd_in_flight(fd);
    suspects.close(fd);
    let procfs_file = suspects.open("/proc/self/mountinfo", Open::ReadOnly) as u32;
    let in_flight = Suspect::InFlight { pid, tid, fd: receiver as u32, count: 1 };

    let nested = Actor::spawn_in(&["user"]);
    let middle = leave(&nested, "user");

    let mut actors = vec![outer, inner, files, tasks, thread, apart, dead, parents, reaper, zombie, suspects, nested];
    actors.extend(living);
    Fixture { actors, expected, in_flight, procfs_file: (pid, procfs_file), middle }
}

impl Fixture {
    fn pids(&self) -> BTreeSet<Pid> {
        // A thread is an actor with the PID of its process.
        self.actors.iter().map(|actor| Pid(actor.pid())).collect()
    }

    /// What a snapshot says of the fixture's processes and of the namespaces that these hold: the rest of the host does not
    /// stand still.
    fn part_of(&self, snapshot: &Snapshot) -> Snapshot {
        let pids = self.pids();
        let is_ours = |pid: Pid| pids.contains(&pid);
        let mut part = snapshot.clone();
        part.processes.retain(|&pid, _| is_ours(pid));
        let mut ours: BTreeSet<NamespaceId> = BTreeSet::new();
        for namespace in snapshot.namespaces.values().filter(|namespace| !namespace.initial) {
            if namespace.holders.iter().filter_map(Holder::pid).any(is_ours) {
                ours.insert(namespace.id);
            }
        }
        part.namespaces.retain(|id, _| ours.contains(id));
        for namespace in part.namespaces.values_mut() {
            // Programs that look at namespaces have each open for a moment.
            namespace.holders.retain(|holder| holder.pid().is_none_or(is_ours));
            // Only the kernel reader sees these.
            namespace.holders.retain(|holder| !matches!(holder, Holder::InFlight { .. }));
        }
        part.suspects.retain(|suspect| pid_of(suspect).is_some_and(is_ours));
        part.mounts.clear();
        part
    }

    /// The process with a PID namespace for its children in which none has been yet.
    fn parents(&self) -> Pid {
        Pid(self.actors[7].pid())
    }

    /// That namespace, as a snapshot tells it.
    fn unborn(&self, snapshot: &Snapshot) -> Option<NamespaceId> {
        snapshot.processes.get(&self.parents())?.namespaces.for_children(NamespaceType::Pid)
    }

    /// As [`part_of`](Self::part_of), without what this kernel tells to the kernel reader alone: before Linux 6.11, that
    /// namespace.
    fn common_part_of(&self, snapshot: &Snapshot) -> Snapshot {
        let mut part = self.part_of(snapshot);
        let Some(unborn) = self.unborn(&part).filter(|_| !probe::kernel_at_least(6, 11)) else { return part };
        part.namespaces.remove(&unborn);
        for namespace in part.namespaces.values_mut() {
            namespace.owned.retain(|&id| id != unborn);
            namespace.holders.retain(|holder| *holder != Holder::Owned { ns: unborn });
        }
        let process = part.processes.get_mut(&self.parents()).expect("it is told of it");
        let of_tasks = process.tasks.iter_mut().map(|task| &mut task.namespaces);
        for links in of_tasks.chain([&mut process.namespaces]) {
            let mut others = NamespaceLinks::default();
            links.iter().for_each(|(ns_type, id)| others.set(ns_type, id));
            links
                .for_children(NamespaceType::Time)
                .into_iter()
                .for_each(|id| others.set_for_children(NamespaceType::Time, id));
            *links = others;
        }
        part
    }
}

fn pid_of(suspect: &Suspect) -> Option<Pid> {
    match *suspect {
        Suspect::ProcFile { pid, .. } | Suspect::InFlight { pid, .. } | Suspect::IoUring { pid, .. } => Some(pid),
        _ => None,
    }
}

/// A scan by this reader.
fn scan(options: &DiscoveryOptions, reader: Reader) -> Snapshot {
    let options = DiscoveryOptions { reader: Some(reader), ..options.clone() };
    let snapshot = Discovery::of_host().unwrap().run(&options).unwrap();
    let refused: Vec<_> = snapshot.gaps.iter().filter(|gap| gap.place == Place::Reader).collect();
    assert_eq!(snapshot.reader, Some(reader), "{refused:?}");
    snapshot
}

fn assert_same(kernel: &Snapshot, procfs: &Snapshot) {
    for (id, expected) in &procfs.namespaces {
        assert_eq!(kernel.namespaces.get(id), Some(expected));
    }
    for (pid, expected) in &procfs.processes {
        let mut found = kernel.processes.get(pid).cloned();
        for (task, other) in found.iter_mut().flat_map(|process| process.tasks.iter_mut()).zip(expected.tasks.iter()) {
            task.state = other.state;
        }
        assert_eq!(found.as_ref(), Some(expected));
    }
    assert_eq!(kernel.suspects, procfs.suspects);
    assert_eq!(kernel, procfs);
}

fn both_say_the_same() {
    let fixture = fixture(true);
    let mut some = DiscoveryOptions::namespaces();
    some.suspects = true;
    for options in [DiscoveryOptions::namespaces(), some, DiscoveryOptions::everything()] {
        // An actor that was just seen to have died can still be about to become a zombie.
        let both = look_until(
            |(kernel, procfs): &(Snapshot, Snapshot)| {
                let mut known = procfs.clone();
                known.suspects.retain(|suspect| *suspect != fixture.in_flight);
                *kernel == known
            },
            || {
                let [kernel, procfs] = [Reader::Kernel, Reader::Proc].map(|reader| scan(&options, reader));
                (fixture.common_part_of(&kernel), fixture.common_part_of(&procfs))
            },
        );
        let (kernel, mut procfs) = both;
        if options.suspects {
            // The kernel reader knows what is in flight, and what holds is no suspect.
            assert!(procfs.suspects.contains(&fixture.in_flight), "{:?}", procfs.suspects);
            procfs.suspects.retain(|suspect| *suspect != fixture.in_flight);
        }
        assert_same(&kernel, &procfs);
        for (ino, holder) in &fixture.expected {
            let namespace = namespace(&kernel, *ino);
            assert!(namespace.holders.contains(holder), "{holder:?} of {namespace:?}");
        }
        let kernel_alone = scan(&options, Reader::Kernel);
        let unborn = fixture.unborn(&kernel_alone).expect("the kernel reader knows it without a link");
        assert_ne!(Some(unborn), kernel_alone.processes[&fixture.parents()].namespaces.get(NamespaceType::Pid));
        if options.suspects {
            let (pid, fd) = fixture.procfs_file;
            let is_it = |suspect: &Suspect| matches!(suspect, Suspect::ProcFile { pid: of, fd: on, .. } if (*of, *on) == (pid, fd));
            assert!(kernel.suspects.iter().any(is_it), "{:?}", kernel.suspects);
        }
    }
}

/// Both say the same of what processes may do, and of the numbers that they have in PID namespaces, also in more than a record
/// of the kernel reader has room for.
fn of_powers_too() {
    let users = Actor::spawn_in(&["uts"]);
    users.setresuid(1001, 1002, 1003);
    let bounded = Actor::spawn_in(&["uts"]);
    bounded.keep_bounding(0b1101);
    bounded.set_caps(0b101);
    let filtered = Actor::spawn_in(&["uts"]);
    filtered.deny_unshare();
    // All but its PID is that of its living task.
    let dead = Actor::spawn_in(&["uts"]);
    let living = dead.thread();
    living.set_caps(0b11);
    dead.exit_main_thread();
    let mut nested = vec![Actor::spawn_in(&["uts"])];
    for _ in 0..6 {
        let above = &nested[nested.len() - 1];
        above.unshare(&["pid", "uts"]);
        nested.push(above.fork());
    }

    let pids: Vec<_> =
        [&users, &bounded, &filtered, &dead].into_iter().chain(&nested).map(|actor| Pid(actor.pid())).collect();
    let details = DiscoveryOptions { scheduling: true, task_details: true, ..DiscoveryOptions::namespaces() };
    for options in [DiscoveryOptions::namespaces(), details] {
        for status in [Scope::Named, Scope::All] {
            let options = DiscoveryOptions { status, ..options.clone() };
            // An actor that was just seen to have died can still be about to become a zombie.
            let [kernel, procfs] = look_until(
                |[kernel, procfs]: &[Vec<Process>; 2]| kernel == procfs,
                || {
                    [Reader::Kernel, Reader::Proc].map(|reader| {
                        let snapshot = scan(&options, reader);
                        let mut processes: Vec<_> = pids.iter().map(|pid| snapshot.processes[pid].clone()).collect();
                        // Actors run or sleep, as it happens.
                        let tasks = processes.iter_mut().flat_map(|process| process.tasks.iter_mut());
                        tasks.for_each(|task| task.state = TaskState(b'S'));
                        processes
                    })
                },
            );
            for (kernel, procfs) in kernel.iter().zip(&procfs) {
                assert_eq!(kernel, procfs);
            }
            let status = |actor: &Actor| {
                kernel.iter().find(|process| process.pid == Pid(actor.pid())).and_then(|it| it.status.clone()).unwrap()
            };
            let Uids { real, effective, saved, file_system } = status(&users).uids;
            assert_eq!([real, effective, saved, file_system].map(|uid| uid.0), [1001, 1002, 1003, 1002]);
            let sets = status(&bounded).capabilities;
            assert_eq!([sets.bounding, sets.permitted].map(CapabilitySet::bits), [0b1101, 0b101]);
            let (free, filtered) = (status(&users), status(&filtered));
            assert_eq!((free.seccomp, free.no_new_privs), (Some(Seccomp::None), Some(false)));
            assert_eq!((filtered.seccomp, filtered.no_new_privs), (Some(Seccomp::Filter), Some(true)));
            assert_eq!(status(&dead).capabilities.permitted.bits(), 0b11);
            assert_eq!(status(&dead).ns_pids, [Pid(dead.pid())]);
            for (level, actor) in nested.iter().enumerate() {
                let numbers = status(actor).ns_pids;
                assert_eq!((numbers.len(), numbers[0]), (level + 1, Pid(actor.pid())));
                assert!(numbers[1..].last().is_none_or(|&own| own == Pid(1)), "{numbers:?}");
            }
        }
    }
}

/// What the program finds.
fn dump(command: &mut Command, reader: &str) -> Snapshot {
    command.args(["dump", "--no-cmdline", "--reader", reader]);
    let ran = run(command);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    lxkns_core::wire::read(ran.stdout.as_slice()).unwrap()
}

fn in_a_pid_namespace() {
    let outer = Actor::spawn_in(&["user", "mnt", "pid"]);
    let init = outer.fork();
    init.mount("proc", "/proc");
    let other = init.fork();
    let thread = other.thread();
    thread.unshare(&["uts"]);
    let uts = thread.ns_inode("uts");
    let inside = |reader| {
        let mut command = Command::new("nsenter");
        command.args(["-t", &init.pid().to_string(), "-p", "-m", "--"]).arg(lxkns().get_program());
        let mut snapshot = dump(&mut command, reader);
        snapshot.mounts.clear();
        snapshot
    };
    let (kernel, procfs) = (inside("kernel"), inside("proc"));
    assert_eq!((kernel.reader, procfs.reader), (Some(Reader::Kernel), Some(Reader::Proc)), "{:?}", kernel.gaps);
    // The program itself is the last one inside.
    let pids: Vec<_> = kernel.processes.keys().copied().take(2).collect();
    assert_eq!(pids, [Pid(1), Pid(2)], "the PIDs are those inside");
    assert_eq!(kernel.processes[&Pid(2)].ppid, Some(Pid(1)));
    assert_eq!(kernel.processes[&Pid(1)].ppid, None, "its parent is outside");
    let holders = &namespace(&kernel, uts).holders;
    assert!(holders.contains(&Holder::Task { pid: Pid(2), tid: Tid(3) }), "{holders:?}");
    for (pid, expected) in procfs.processes.iter().take(2) {
        let found = &kernel.processes[pid];
        assert_eq!(found.tasks.len(), expected.tasks.len());
        for (found, expected) in found.tasks.iter().zip(expected.tasks.iter()) {
            assert_eq!((found.tid, &found.comm), (expected.tid, &expected.comm));
            assert_eq!((found.start_time_ticks, found.namespaces), (expected.start_time_ticks, expected.namespaces));
        }
    }
}

/// In a PID namespace the kernel's lists show what is outside, in which there are no more tasks than the program's own: so
/// the kernel reader is what the program chooses there, however few these are, and procfs alone says what it misses.
fn beyond_a_pid_namespace() {
    let outside = Actor::spawn_in(&["user", "net"]);
    let hidden = outside.ns_inode("net");
    let init = Actor::spawn_in(&["mnt", "pid"]).fork();
    init.mount("proc", "/proc");
    let own = init.ns_inode("pid");
    let inside = |reader| {
        let mut command = Command::new("nsenter");
        command.args(["-t", &init.pid().to_string(), "-p", "-m", "--"]).arg(lxkns().get_program());
        dump(&mut command, reader)
    };
    let of_lists = |snapshot: &Snapshot| {
        let is_it =
            |gap: &&Gap| gap.place == Place::Kernel || gap.place == Place::BindMounts && gap.object == Object::Host;
        snapshot.gaps.iter().filter(is_it).cloned().collect::<Vec<_>>()
    };
    for reader in ["auto", "kernel"] {
        let found = inside(reader);
        assert_eq!((found.reader, &found.not_kernel), (Some(Reader::Kernel), &None), "{reader}: {:?}", found.gaps);
        assert_eq!(of_lists(&found), [], "{reader}: all lists were read to their ends");
        assert_eq!(namespace(&found, hidden).holders, [Holder::Kernel], "{reader}: no process shows it");
        assert_eq!(super::ino(namespace(&found, hidden).owner), Some(outside.ns_inode("user")), "{reader}");
        assert_eq!(super::ino(namespace(&found, own).parent), Some(super::own_inode("pid")), "{reader}");
        for name in ["mnt", "cgroup", "uts", "ipc", "user", "pid", "net"] {
            assert!(found.by_ino(super::own_inode(name)).is_some(), "{reader}: {name} of the test");
        }
    }
    let (kernel, procfs) = (inside("kernel"), inside("proc"));
    assert_eq!((procfs.reader, procfs.by_ino(hidden)), (Some(Reader::Proc), None));
    let is_denied = |gap: &Gap| gap.operation == Operation::from(Call::NsMntGetNext) && gap.cause == Cause::Denied;
    assert!(of_lists(&procfs).iter().any(is_denied), "{:?}", procfs.gaps);
    assert_eq!(namespace(&procfs, own).parent, Relation::NotVisible);
    // Of what both see they say the same. The program itself is the last process inside.
    let (mine, theirs) = (&kernel.processes[&Pid(1)], &procfs.processes[&Pid(1)]);
    assert_eq!((mine.namespaces, mine.tasks.len()), (theirs.namespaces, theirs.tasks.len()));
    for (_, id) in theirs.namespaces.iter() {
        let facts = |of: &Namespace| (of.ns_type, of.owner, of.unique_id, of.initial, of.leaders.clone());
        assert_eq!(facts(&kernel.namespaces[&id]), facts(&procfs.namespaces[&id]));
    }
}

fn two_capabilities_are_enough() {
    // Without the driver's description, its files tell nothing to who may not take them.
    let modules = std::fs::read_to_string("/proc/modules").unwrap_or_default();
    let is_module = modules.lines().any(|line| line.starts_with("tun "));
    let exists = |path: &str| std::path::Path::new(path).exists();
    let fixture = fixture(exists("/dev/net/tun") && (!is_module || exists("/sys/kernel/btf/tun")));
    let directory = directory();
    let copy = super::reachable_copy(directory.path());
    let mut command = Command::new("setpriv");
    let capabilities = "-all,+bpf,+perfmon";
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps", capabilities]);
    command.args(["--ambient-caps", capabilities]).arg(copy);
    let snapshot = dump(&mut command, "kernel");
    assert_eq!(snapshot.reader, Some(Reader::Kernel), "{:?}", snapshot.gaps);
    // Nobody is in this one, and it is above the one that its actor is in.
    let middle = namespace(&snapshot, fixture.middle);
    assert_eq!(middle.holders.len(), 1, "{middle:?}");
    assert!(matches!(middle.holders[..], [Holder::Child { .. }]), "{middle:?}");
    assert_eq!(super::ino(middle.owner), Some(super::own_inode("user")));
    let snapshot = fixture.common_part_of(&snapshot);
    let by_root = fixture.common_part_of(&scan(&DiscoveryOptions::everything(), Reader::Proc));
    for (pid, expected) in &by_root.processes {
        let found = &snapshot.processes[pid];
        assert_eq!(
            (found.ppid, found.threads, found.namespaces),
            (expected.ppid, expected.threads, expected.namespaces)
        );
        assert_eq!(found.start_time_ticks(), expected.start_time_ticks());
    }
    for (ino, holder) in &fixture.expected {
        let (found, expected) = (namespace(&snapshot, *ino), namespace(&by_root, *ino));
        assert!(found.holders.contains(holder), "{holder:?} of {found:?}");
        let facts = |of: &Namespace| (of.ns_type, of.owner, of.parent, of.owner_uid, of.leaders.clone());
        assert_eq!(facts(found), facts(expected), "no link and no descriptor leads this user to it");
        // Earlier kernels give IDs to mount namespaces alone, and keep them elsewhere.
        if probe::kernel_at_least(6, 18) {
            assert_eq!(found.unique_id, expected.unique_id);
        }
    }
}

/// Without CAP_NET_ADMIN no socket tells its network namespace, but the program knows where its own are from.
fn own_sockets() {
    let directory = directory();
    let copy = super::reachable_copy(directory.path());
    let gaps = |stdin: Stdio| {
        let mut command = Command::new("setpriv");
        let capabilities = "-all,+bpf,+perfmon,+sys_ptrace";
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps", capabilities]);
        command.args(["--ambient-caps", capabilities]).arg(&copy).args(["dump", "--reader", "kernel"]).stdin(stdin);
        let ran = command.output().unwrap();
        let snapshot = lxkns_core::wire::read(ran.stdout.as_slice()).unwrap();
        assert_eq!(snapshot.reader, Some(Reader::Kernel), "{:?}", snapshot.gaps);
        snapshot.gaps.into_iter().filter(|gap| gap.place == Place::Sockets).collect::<Vec<_>>()
    };
    let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
    assert_eq!(gaps(OwnedFd::from(socket).into()), gaps(Stdio::null()));
}

/// Namespaces of which only a message knows that nobody has received: no process, link or mount leads there, and before Linux
/// 6.19 no call lists them.
fn what_nothing_visible_holds() {
    let types = ["cgroup", "uts", "ipc", "net"];
    let (mut actors, mut hidden) = (Vec::new(), Vec::new());
    for name in types {
        let actor = Actor::spawn_in(&["user", name]);
        let fd = actor.open(format!("/proc/self/ns/{name}"), Open::ReadOnly);
        // The sockets are not to hold the network namespace.
        let left = leave(&actor, name);
        let (_, receiver) = actor.send_fd_in_flight(fd);
        actor.close(fd);
        let (pid, tid, inode) = (Pid(actor.pid()), Tid(actor.tid()), actor.socket_inode(receiver));
        let holder = Holder::InFlight { pid, tid, fd: receiver as u32, inode, what: InFlight::Descriptor };
        hidden.push((left, name, actor.ns_inode("user"), holder));
        actors.push(actor);
    }
    let is_undisturbed = |snapshot: &Snapshot| {
        let mut holders = hidden.iter().filter_map(|(ino, ..)| snapshot.by_ino(*ino)).flat_map(|one| &one.holders);
        holders.all(|holder| matches!(holder, Holder::InFlight { .. }))
    };
    let kernel = look_until(is_undisturbed, || scan(&DiscoveryOptions::namespaces(), Reader::Kernel));
    for (ino, name, user, holder) in &hidden {
        let namespace = namespace(&kernel, *ino);
        assert_eq!((namespace.ns_type.name(), super::ino(namespace.owner)), (*name, Some(*user)));
        assert_eq!(namespace.holders, std::slice::from_ref(holder));
        assert!(namespace.unique_id.is_some());
    }
    if !probe::kernel_at_least(6, 19) {
        let procfs = look_until(is_undisturbed, || scan(&DiscoveryOptions::namespaces(), Reader::Proc));
        assert!(hidden.iter().all(|(ino, ..)| procfs.by_ino(*ino).is_none()), "only the kernel's lists have them");
    }
    // What a message leads to is gone with it.
    drop(actors);
    let gone = |snapshot: &Snapshot| hidden.iter().all(|(ino, ..)| snapshot.by_ino(*ino).is_none());
    let after = look_until(gone, || scan(&DiscoveryOptions::namespaces(), Reader::Kernel));
    assert!(gone(&after));
}

/// What describes the kernel is hidden, or something else is mounted in its place: that is not believed.
fn procfs_without_btf() {
    let inside = |actor: &Actor| {
        let mut command = Command::new("nsenter");
        command.args(["-t", &actor.pid().to_string(), "-m", "--"]).arg(lxkns().get_program());
        dump(&mut command, "kernel")
    };
    let actor = Actor::spawn_in(&["mnt", "uts"]);
    actor.make_mounts_private();
    assert_eq!(inside(&actor).reader, Some(Reader::Kernel));
    let other = directory();
    let copy = other.path().join("vmlinux");
    std::fs::copy(BTF, &copy).unwrap();
    actor.bind(&copy, BTF);
    let replaced = inside(&actor);
    actor.mount("tmpfs", "/sys/kernel/btf");
    let hidden = inside(&actor);
    for snapshot in [replaced, hidden] {
        assert_eq!(snapshot.reader, Some(Reader::Proc));
        let gap = snapshot.gaps.iter().find(|gap| gap.place == Place::Reader).expect("it is said");
        assert_eq!((gap.cause, gap.operation.operand()), (Cause::Unsupported, Some(BTF)));
        let holders = &namespace(&snapshot, actor.ns_inode("uts")).holders;
        assert!(holders.contains(&Holder::Process { pid: Pid(actor.pid()) }), "{holders:?}");
    }
}

fn procfs_where_it_is_denied() {
    let actor = Actor::spawn_in(&["user", "net"]);
    let of_actor = |snapshot: &Snapshot| {
        let namespace = namespace(snapshot, actor.ns_inode("net"));
        (namespace.owner, namespace.leaders.clone(), snapshot.processes[&Pid(actor.pid())].namespaces)
    };
    let expected = of_actor(&dump(&mut lxkns(), "proc"));
    let denied: [(&Interface, Errno, Cause); 4] = [
        (&deny::BPF, Errno::NOSYS, Cause::Unsupported),
        (&deny::BPF, Errno::PERM, Cause::Denied),
        (&deny::BPF_ITERATION, Errno::NOSYS, Cause::Unsupported),
        (&deny::BPF_ITERATION, Errno::PERM, Cause::Denied),
    ];
    for (interface, errno, cause) in denied {
        let mut command = lxkns();
        deny::deny(&mut command, &[interface], errno.raw_os_error()).unwrap();
        let snapshot = dump(&mut command, "kernel");
        assert_eq!(snapshot.reader, Some(Reader::Proc));
        assert_eq!(of_actor(&snapshot), expected);
        let gap = snapshot.gaps.iter().find(|gap| gap.place == Place::Reader).expect("it is said");
        if probe::is_root() || interface.name == deny::BPF.name {
            assert_eq!((gap.cause, gap.errno.map(|errno| errno.number())), (cause, Some(errno.raw_os_error())));
        }
    }
}
