//! Snapshots built by hand.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::*;

pub(super) const DEV: u64 = 4;

pub(super) fn id(ino: u64) -> NamespaceId {
    NamespaceId { ino, dev: DEV }
}

pub(super) const USER: u64 = 4026531837;
pub(super) const PID: u64 = 4026531836;
pub(super) const MNT: u64 = 4026531832;
pub(super) const INNER_USER: u64 = 4026532300;
pub(super) const INNER_PID: u64 = 4026532301;
pub(super) const INNER_MNT: u64 = 4026532302;
pub(super) const NET: u64 = 4026532303;
pub(super) const TIME: u64 = 4026532304;

pub(super) fn empty() -> Snapshot {
    Snapshot::empty(DiscoveryOptions::namespaces(), Host::default(), SystemTime::UNIX_EPOCH)
}

pub(super) fn add(snapshot: &mut Snapshot, ns_type: NamespaceType, ino: u64) -> &mut Namespace {
    snapshot.namespaces.entry(id(ino)).or_insert_with(|| Namespace::new(id(ino), ns_type))
}

pub(super) fn task(tid: u32) -> Task {
    Task {
        tid: Tid(tid),
        comm: "worker".into(),
        start_time_ticks: 77,
        state: TaskState(b'S'),
        namespaces: NamespaceLinks::default(),
        cgroups: None,
        freezer: None,
        scheduling: None,
        affinity: None,
    }
}

pub(super) fn process(pid: u32) -> Process {
    Process {
        pid: Pid(pid),
        ppid: (pid != 1).then_some(Pid(1)),
        namespaces: NamespaceLinks::default(),
        threads: 7,
        tasks: Tasks::new(task(pid), []),
        command_line: None,
        status: None,
    }
}

/// A snapshot with something of everything.
pub(super) fn full() -> Snapshot {
    let host = Host {
        kernel_release: "6.18.0".into(),
        boot_id: Some("0f8fad5b-d9cb-469f-a165-70867728950e".into()),
        hostname: "host".into(),
        cpus_online: Some(vec![CpuRange { first: 0, last: 3 }]),
    };
    let taken_at = SystemTime::UNIX_EPOCH + Duration::new(1_790_000_000, 123_456_789);
    let mut snapshot = Snapshot::empty(DiscoveryOptions::everything(), host, taken_at);
    snapshot.took = Duration::from_micros(41_500);
    snapshot.annotations.user_names = [(Uid(1000), "jo".into()), (Uid(33), "www".into())].into();
    snapshot.annotations.netnsids = [(id(NET), Some(3))].into();
    snapshot.observer_mount_ns = Some(id(MNT));
    let mut observer = Observer::new(Uid(1000), CapabilitySet::from_bits(0x80_0000));
    observer.user_ns = Some(id(USER));
    observer.pid_ns = Some(id(INNER_PID));
    observer.procfs_pid_ns = Some(id(PID));
    snapshot.observer = Some(observer);
    (snapshot.reader, snapshot.options.reader) = (Some(Reader::Proc), Some(Reader::Kernel));
    let gap = Gap::because(Place::Reader, Object::Host, Call::Bpf.into(), Cause::Denied);
    snapshot.not_kernel = Some(NotKernel::Refused(gap));
    add_namespaces(&mut snapshot);
    add_processes(&mut snapshot);
    add_mounts(&mut snapshot);
    snapshot.suspects = suspects();
    let references = References { total: 9, explained: 7, exactness: Exactness::AtLeast };
    snapshot.references.insert(id(NET), references);
    let references = References { total: 2, explained: 1, exactness: Exactness::Exact };
    snapshot.references.insert(id(TIME), references);
    snapshot.gaps = gaps();
    snapshot.annotations.containers = Some(super::containers::all());
    snapshot
}

fn add_namespaces(snapshot: &mut Snapshot) {
    let user = add(snapshot, NamespaceType::User, USER);
    user.initial = true;
    user.parent = Relation::None;
    user.owner = Relation::None;
    user.owner_uid = Some(Uid(0));
    user.children = vec![id(INNER_USER)];
    user.owned = vec![id(MNT), id(PID), id(TIME)];
    user.leaders = vec![Pid(1)];
    user.uid_map = Some(vec![IdMapping { inside: 0, outside: 0, count: u32::MAX }]);
    user.gid_map = Some(Vec::new());
    user.holders = vec![Holder::Process { pid: Pid(1) }, Holder::Child { ns: id(INNER_USER) }];

    let inner = add(snapshot, NamespaceType::User, INNER_USER);
    inner.parent = Relation::Known(id(USER));
    inner.owner = Relation::Known(id(USER));
    inner.owner_uid = Some(Uid(1000));
    inner.owned = vec![id(INNER_PID), id(INNER_MNT), id(NET)];
    inner.unique_id = Some(12);
    inner.holders = vec![Holder::Owned { ns: id(INNER_PID) }];

    let pid = add(snapshot, NamespaceType::Pid, PID);
    pid.initial = true;
    pid.owner = Relation::Known(id(USER));
    pid.parent = Relation::None;
    pid.children = vec![id(INNER_PID)];
    pid.leaders = vec![Pid(1)];

    let inner = add(snapshot, NamespaceType::Pid, INNER_PID);
    inner.owner = Relation::Known(id(INNER_USER));
    inner.parent = Relation::Known(id(PID));
    inner.leaders = vec![Pid(900)];
    inner.holders = vec![
        Holder::Process { pid: Pid(900) },
        Holder::ForChildren { pid: Pid(1), tid: Tid(1) },
        Holder::Mount {
            mount_ns: id(INNER_MNT),
            mount_id: 34,
            fs_type: "proc".into(),
            path: Some(b"/pro\xffc dir".into()),
        },
    ];

    let mnt = add(snapshot, NamespaceType::Mnt, MNT);
    mnt.owner = Relation::Known(id(USER));
    mnt.leaders = vec![Pid(1)];
    mnt.initial = true;
    let inner = add(snapshot, NamespaceType::Mnt, INNER_MNT);
    inner.owner = Relation::NotVisible;
    inner.loose_threads = vec![Tid(902)];
    inner.holders = vec![
        Holder::Task { pid: Pid(900), tid: Tid(902) },
        Holder::Mount { mount_ns: id(MNT), mount_id: 35, fs_type: "x y".into(), path: None },
    ];

    let net = add(snapshot, NamespaceType::Net, NET);
    net.owner = Relation::Known(id(INNER_USER));
    net.holders = vec![
        Holder::Fd { pid: Pid(1), tid: Tid(1), fd: 7 },
        Holder::Fd { pid: Pid(900), tid: Tid(902), fd: 0 },
        Holder::Socket { pid: Pid(1), tid: Tid(1), fd: 8, inode: 4711 },
        Holder::Sockets { count: 3 },
        Holder::Tun { pid: Pid(1), tid: Tid(1), fd: 9, device: None },
        Holder::Tun { pid: Pid(1), tid: Tid(1), fd: 10, device: Some(id(4026532999)) },
        Holder::InFlight { pid: Pid(1), tid: Tid(1), fd: 11, inode: 4712, what: InFlight::Descriptor },
        Holder::InFlight { pid: Pid(1), tid: Tid(1), fd: 11, inode: 4712, what: InFlight::Socket },
        Holder::InFlight { pid: Pid(1), tid: Tid(1), fd: 12, inode: 4713, what: InFlight::Connection },
        Holder::BindMount { mount_ns: id(MNT), mount_id: 33, path: None },
        Holder::BindMount { mount_ns: id(MNT), mount_id: 36, path: Some("/run/netns/a b".into()) },
    ];

    let time = add(snapshot, NamespaceType::Time, TIME);
    time.owner = Relation::Known(id(USER));
    time.time_offsets = Some(TimeOffsets { monotonic: (-5, 999_999_999), boottime: (i64::MAX, 0) });
    time.holders = vec![Holder::Kernel];
}

fn add_processes(snapshot: &mut Snapshot) {
    let mut init = process(1);
    for (ns_type, ino) in [(NamespaceType::User, USER), (NamespaceType::Pid, PID), (NamespaceType::Mnt, MNT)] {
        init.namespaces.set(ns_type, id(ino));
    }
    init.namespaces.set_for_children(NamespaceType::Pid, id(INNER_PID));
    init.namespaces.set_for_children(NamespaceType::Time, id(TIME));
    init.tasks[0].namespaces = init.namespaces;
    init.tasks[0].cgroups = Some(Arc::new(Cgroups(vec![CgroupMembership {
        hierarchy: 0,
        controllers: "".into(),
        path: "/init.scope".into(),
    }])));
    init.tasks[0].freezer = Some(Freezer { own: false, effective: false });
    init.tasks[0].scheduling = Some(Scheduling { policy: 0, priority: 0, nice: 0 });
    init.tasks[0].affinity = Some(vec![CpuRange { first: 0, last: 1 }, CpuRange { first: 3, last: 3 }]);
    init.command_line = Some(vec!["/sbin/init".into(), "".into()]);
    init.status = Some(status(&[1]));
    snapshot.processes.insert(init.pid, init);

    let mut other = process(900);
    other.namespaces.set(NamespaceType::Pid, id(INNER_PID));
    other.tasks[0].state = TaskState(b'Z');
    other.tasks[0].comm = b"a\xff b\n".into();
    other.tasks.push(task(902));
    other.tasks[1].namespaces.set(NamespaceType::Mnt, id(INNER_MNT));
    other.tasks[1].scheduling = Some(Scheduling { policy: 2, priority: 50, nice: -3 });
    other.tasks[1].freezer = Some(Freezer { own: false, effective: true });
    other.tasks[1].cgroups = Some(Arc::new(Cgroups(vec![
        CgroupMembership { hierarchy: 7, controllers: "freezer".into(), path: b"/fridge\xfe".into() },
        CgroupMembership { hierarchy: 3, controllers: "cpu,cpuacct".into(), path: "/cpu\\x2d".into() },
    ])));
    other.command_line = Some(vec![b"\xff\xfe".into(), "plain \\".into()]);
    other.status = Some(status(&[900, 1]));
    snapshot.processes.insert(other.pid, other);

    let mut kernel_thread = process(2);
    kernel_thread.ppid = None;
    kernel_thread.command_line = Some(Vec::new());
    snapshot.processes.insert(kernel_thread.pid, kernel_thread);
    snapshot.processes.insert(Pid(10), process(10));
}

pub(super) fn mount(id: u64, parent_id: u64, path: Option<&[u8]>) -> Mount {
    let mut mount = Mount::new(id, parent_id, DeviceNumber { major: 0, minor: 40 }, "tmpfs", None);
    mount.point = path.map(shared);
    mount
}

pub(super) fn shared(text: &[u8]) -> SharedText {
    SharedText::from(Box::<bstr::BStr>::from(text.to_vec().into_boxed_slice()))
}

fn add_mounts(snapshot: &mut Snapshot) {
    let mut mounts = vec![
        mount(30, 1, Some(b"/")),
        mount(33, 30, Some(b"/a b\xff")),
        mount(34, 33, Some(b"/a b\xff")),
        mount(35, 30, Some(b"/a\\134")),
        mount(36, 34, None),
    ];
    mounts[0].propagation = Propagation { shared: Some(1), ..Propagation::default() };
    mounts[0].super_options = Some(shared(b"rw,lowerdir=/x\\040y"));
    mounts[1].hidden = true;
    mounts[1].propagation =
        Propagation { shared: Some(u32::MAX), master: Some(1), propagate_from: Some(7), unbindable: false };
    mounts[2].source = Some(shared(b""));
    mounts[2].super_options = Some(shared(b"rw,x=\xff"));
    mounts[2].propagation.unbindable = true;
    mounts[3].root = shared(b"net:[4026532303]");
    mounts[3].fs_type = shared(b"nsfs");
    mounts[3].source = Some(shared(b"so urce"));
    mounts[3].options = shared(b"ro,nosuid,relatime");
    snapshot.mounts.insert(id(MNT), mounts);
    // Only of a process that has changed its root directory; and of a mount namespace that is not in the dump.
    snapshot.mounts.insert(id(INNER_MNT), vec![mount(50, 40, Some(b"/jail/proc"))]);
    snapshot.mounts.insert(id(4026532998), vec![mount(60, 1, Some(b"/"))]);
    snapshot.mounts.insert(id(4026532999), Vec::new());
}

pub(super) fn status(ns_pids: &[u32]) -> ProcessStatus {
    ProcessStatus {
        uids: Uids { real: Uid(0), effective: Uid(1000), saved: Uid(u32::MAX), file_system: Uid(65534) },
        ns_pids: ns_pids.iter().copied().map(Pid).collect(),
        capabilities: Capabilities {
            effective: CapabilitySet::ALL,
            permitted: CapabilitySet::from_bits(1 << 63),
            ..Capabilities::default()
        },
        seccomp: Some(Seccomp::Filter),
        no_new_privs: Some(true),
        label: Some((ns_pids.len() > 1).then(|| b"docker-default\xff (enforce)".into())),
    }
}

fn suspects() -> Vec<Suspect> {
    let (pid, tid) = (Pid(900), Tid(902));
    vec![
        Suspect::ProcFile { pid, tid, fd: 3, ns_type: NamespaceType::Net, path: "/proc/1/net/tcp".into() },
        Suspect::InFlight { pid, tid, fd: 4, count: 2 },
        Suspect::IoUring { pid, tid, fd: 5, count: 9 },
        Suspect::Mount {
            mount_ns: id(INNER_MNT),
            mount_id: 40,
            fs_type: "mqueue".into(),
            file_system: DeviceNumber { major: 0, minor: 22 },
            path: Some("/dev/mqueue".into()),
        },
        Suspect::Mount {
            mount_ns: id(INNER_MNT),
            mount_id: 41,
            fs_type: "sysfs".into(),
            file_system: DeviceNumber { major: 0, minor: 23 },
            path: None,
        },
        Suspect::SharedMemory { pid, id: 32769, key: 0xdead_beef },
    ]
}

fn gaps() -> Vec<Gap> {
    let gap =
        |place, object, operation, errno| Gap::failed(place, object, operation, Errno::new(errno).unwrap()).unwrap();
    vec![
        gap(Place::Processes, Object::Process(Pid(10)), Operation::read_link("ns/net"), 13),
        gap(Place::Tasks, Object::Task(Pid(900), Tid(902)), Operation::OPEN, 13),
        gap(Place::Fds, Object::Fd(Pid(900), Tid(902), 3), Operation::stat("fd"), 1),
        Gap::because(Place::BindMounts, Object::Mount(id(INNER_MNT), 7), Operation::read("mountinfo"), Cause::Partial),
        gap(Place::BindMounts, Object::Path(b"/a b\xff".into()), Call::Openat2.into(), 13),
        gap(Place::Kernel, Object::Host, Call::Listns.into(), 38),
        gap(Place::NamespaceFacts, Object::Namespace(id(NET)), Call::NsGetId.into(), 25),
    ]
}
