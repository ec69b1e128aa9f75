//! A small host made by hand, for the tests of the views.

use std::time::SystemTime;

use lxkns_model::{
    Capabilities, Confidence, Container, ContainerState, Containers, DeviceNumber, DiscoveryOptions, EngineKind,
    Evidence, EvidenceKind, Holder, Host, Mount, Namespace, NamespaceId, NamespaceType, Pid, Pod, Process,
    ProcessStatus, Relation, Said, SharedText, Snapshot, Task, Tid, Uid, Uids,
};

/// The initial mount namespace.
pub const HOME: NamespaceId = id(4_026_531_832);
/// The initial user namespace.
pub const USER: NamespaceId = id(4_026_531_837);
/// The initial network namespace.
pub const NET: NamespaceId = id(4_026_531_833);
/// A network namespace with process 200.
pub const BUSY: NamespaceId = id(4_026_532_200);
/// A network namespace that only a bind mount and an fd hold.
pub const LEFT: NamespaceId = id(4_026_532_300);
/// A mount namespace with a task of process 200 alone.
pub const LOOSE: NamespaceId = id(4_026_532_400);
/// A PID namespace that only the kernel lists.
pub const ODD: NamespaceId = id(4_026_532_500);

/// A namespace ID.
pub const fn id(ino: u64) -> NamespaceId {
    NamespaceId { ino, dev: 4 }
}

/// A text of a mount.
pub fn text(text: &str) -> SharedText {
    SharedText::from(Box::<bstr::BStr>::from(text.as_bytes().to_vec().into_boxed_slice()))
}

/// A mount of a disk.
pub fn mount(id: u64, root: &str, point: &str, options: &str) -> Mount {
    let mut mount = Mount::new(id, 1, DeviceNumber { major: 8, minor: 1 }, "ext4", Some(point));
    mount.root = text(root);
    mount.options = text(options);
    mount
}

/// A process with these namespaces.
pub fn process(pid: u32, ppid: u32, command: &str, namespaces: &[(NamespaceType, NamespaceId)]) -> Process {
    let comm = command.split(' ').next().unwrap_or_default();
    let mut process = Process::new(Pid(pid), Task::new(Tid(pid), comm));
    process.ppid = (ppid > 0).then_some(Pid(ppid));
    for &(ns_type, id) in namespaces {
        process.namespaces.set(ns_type, id);
    }
    process.tasks[0].namespaces = process.namespaces;
    process.command_line = Some(command.split(' ').map(Into::into).collect());
    let uid = Uid(pid);
    let uids = Uids { real: Uid(9), effective: uid, saved: uid, file_system: uid };
    process.status = Some(ProcessStatus::new(uids, vec![Pid(pid)], Capabilities::default()));
    process
}

/// The host: processes 1 and 200, task 201, seven namespaces.
pub fn snapshot() -> Snapshot {
    use NamespaceType::{Mnt, Net, Pid as PidType, User};
    let mut snapshot = Snapshot::empty(DiscoveryOptions::everything(), Host::default(), SystemTime::UNIX_EPOCH);
    let init = process(1, 0, "init", &[(Mnt, HOME), (Net, NET), (User, USER)]);
    let mut sleep = process(200, 1, "sleep 1000", &[(Mnt, HOME), (Net, BUSY), (User, USER)]);
    let mut thread = Task::new(Tid(201), "worker");
    thread.namespaces = sleep.namespaces;
    thread.namespaces.set(Mnt, LOOSE);
    sleep.tasks.push(thread);
    for process in [init, sleep] {
        snapshot.processes.insert(process.pid, process);
    }
    let pid = |pid| Holder::Process { pid: Pid(pid) };
    let fd = Holder::Fd { pid: Pid(1), tid: Tid(1), fd: 7 };
    let mount = |path: &str| Holder::BindMount { mount_ns: HOME, mount_id: 30, path: Some(path.into()) };
    for (id, ns_type, leaders, holders) in [
        (HOME, Mnt, vec![1], vec![pid(1), pid(200)]),
        (USER, User, vec![1], vec![pid(1), pid(200), Holder::Owned { ns: LEFT }]),
        (NET, Net, vec![1], vec![pid(1)]),
        (BUSY, Net, vec![200], vec![pid(200)]),
        (LEFT, Net, vec![], vec![fd, mount("/run/netns/left")]),
        (LOOSE, Mnt, vec![], vec![Holder::Task { pid: Pid(200), tid: Tid(201) }]),
        (ODD, PidType, vec![], vec![Holder::Kernel]),
    ] {
        let mut namespace = Namespace::new(id, ns_type);
        namespace.initial = [HOME, USER, NET].contains(&id);
        namespace.leaders = leaders.into_iter().map(Pid).collect();
        namespace.holders = holders;
        namespace.owner = if id == USER { Relation::None } else { Relation::Known(USER) };
        namespace.unique_id = Some(id.ino - 4_026_531_000);
        snapshot.namespaces.insert(id, namespace);
    }
    let user = snapshot.namespaces.get_mut(&USER).unwrap();
    user.owner_uid = Some(Uid(0));
    user.parent = Relation::None;
    snapshot.namespaces.get_mut(&LOOSE).unwrap().loose_threads = vec![Tid(201)];
    snapshot
}

/// A container of which one thing made it known.
pub fn container(kind: EngineKind, id: &str, name: &str, evidence: (EvidenceKind, &str)) -> Container {
    let (evidence_kind, at) = evidence;
    let evidence = Evidence { kind: evidence_kind, at: at.into(), pid: None, confidence: Confidence::Sure };
    let mut container = Container::new(kind, id, evidence);
    container.name = Some(Said { value: name.into(), by: 0 });
    container
}

/// The ID of the container `web`.
pub const WEB_ID: &str = "4f1a0c2e9b7d4f1a0c2e9b7d4f1a0c2e9b7d4f1a0c2e9b7d4f1a0c2e9b7d0001";

/// The host with two containers: process 200 is `web` of Docker; `app` has ended, and the network namespace that a CNI plugin
/// has made for its pod is left.
pub fn contained() -> Snapshot {
    let mut snapshot = snapshot();
    let mut web = container(EngineKind::Docker, WEB_ID, "web", (EvidenceKind::Cgroup, "/docker/4f1a"));
    web.main = Some(Said { value: Pid(200), by: 0 });
    web.state = Some(Said { value: ContainerState::Running, by: 0 });
    let at = (EvidenceKind::CniResult, "/var/lib/cni/results/x");
    let mut app = container(EngineKind::Cri, "00112233445566778899", "app", at);
    let pod = Pod { namespace: "default".into(), name: "web-0".into(), uid: "".into() };
    app.pod = Some(Said { value: pod, by: 0 });
    app.state = Some(Said { value: ContainerState::Exited, by: 0 });
    app.network_path = Some(Said { value: "/run/netns/left".into(), by: 0 });
    snapshot.annotations.containers = Some(Containers {
        list: vec![web, app],
        members: [(Pid(200), 0)].into(),
        namespaces: [(LEFT, 1)].into(),
        ..Containers::default()
    });
    snapshot
}
