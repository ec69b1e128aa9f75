//! Containers, by what engines leave: bare runc and crun, the files of others made by hand, and users who forge them.

mod doubtful;
mod flooded;
mod limits;
mod many;
mod untried;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use lxkns_core::model::{
    Cause, Confidence, Container, ContainerState, Containers, EngineKind, EvidenceKind, Gap, GroupKind, NamespaceType,
    Object, Pid, Place, UnitKind,
};
use lxkns_core::{ProcRoot, Snapshot};
use lxkns_engines::{Host, Options};
use lxkns_fixture::fuse::{DeadFuse, Death};
use lxkns_fixture::{Actor, Open};
use serde_json::json;
use tempfile::TempDir;

use super::cli::containers::as_target;
use super::processes::{Cgroup, hierarchy};
use super::{directory, discover, discover_everything};
use crate::harness::Need::{File, FileSystem, Program, RealProcessor, Root, UserNamespaces};
use crate::harness::{Need, Test, test};

pub(super) fn tests() -> Vec<Test> {
    const BOTH_VERSIONS: &[Need] = &[Root, File("/sys/fs/cgroup/freezer"), File("/sys/fs/cgroup/unified")];
    let mut tests = vec![
        test("engines::runc", &[Root, RealProcessor, Program("runc"), File(BUSYBOX)], runc),
        test("engines::crun", &[Root, RealProcessor, Program("crun"), Program("nsenter"), File(BUSYBOX)], crun),
        test("engines::docker_files", &[Root], docker_files),
        test("engines::control_groups_of_one_version_alone", BOTH_VERSIONS, control_groups_of_one_version_alone),
        test("engines::pids_of_another_pid_namespace", &[Root], pids_of_another_pid_namespace),
        test("engines::without_control_group", &[Root], without_control_group),
        test("engines::control_groups_of_services_are_units", &[Root], units),
        test("engines::forged_state", &[Root], forged_state),
        test("engines::in_a_user_namespace", &[Root, UserNamespaces], in_a_user_namespace),
        test("engines::forged_control_group", &[Root], forged_control_group),
        test("engines::forged_command_line", &[Root], forged_command_line),
        test("engines::a_container_speaks_for_itself_alone", &[Root], a_container_speaks_for_itself_alone),
        test("engines::an_engine_inside_a_container", &[Root], an_engine_inside_a_container),
        test("engines::a_forgotten_network_namespace", &[Root], a_forgotten_network_namespace),
        test("engines::a_mount_namespace_without_processes", &[Root], a_mount_namespace_without_processes),
        test("engines::hostile_files", &[Root], hostile_files),
        test("engines::a_file_system_that_does_not_answer", &[Root, FileSystem("fuse")], dead_file_system),
        test("engines::as_anybody", &[UserNamespaces], as_anybody),
    ];
    tests.extend(many::tests());
    tests.extend(doubtful::tests());
    tests.extend(limits::tests());
    tests.extend(untried::tests());
    tests.extend(flooded::tests());
    tests
}

const BUSYBOX: &str = "/bin/busybox";

/// A user who is nobody else here.
const USER: u32 = 54_321;

fn recognize(snapshot: &Snapshot) -> (Containers, Vec<Gap>) {
    lxkns_engines::recognize(snapshot, &Host::new(ProcRoot::host().unwrap()), &Options::default())
}

/// The containers as they are now.
fn look() -> (Snapshot, Containers) {
    let snapshot = discover();
    let (containers, _) = recognize(&snapshot);
    (snapshot, containers)
}

/// The container of a process, which must be in one.
#[track_caller]
fn of(containers: &Containers, pid: u32) -> &Container {
    containers.of(Pid(pid)).unwrap_or_else(|| panic!("PID {pid} is in no container"))
}

/// An ID as engines make them, of this test alone.
fn long_id(test: &str) -> String {
    let digits = format!("{:08x}", std::process::id());
    let name: String = test.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("{digits}{name:0<56.56}")
}

fn start_time(pid: u32) -> u64 {
    discover().processes[&Pid(pid)].start_time_ticks()
}

/// A mount namespace with nothing in `/run` and `/var/lib`, for the files of engines.
struct FalseHost(Actor);

impl FalseHost {
    fn new() -> Self {
        Self::of(Actor::spawn_in(&["mnt"]))
    }

    fn of(actor: Actor) -> Self {
        actor.make_mounts_private();
        actor.mount("tmpfs", "/run");
        actor.mount("tmpfs", "/var/lib");
        Self(actor)
    }

    fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.0.pid()))
    }

    /// Writes a file, and makes the directories that lead there.
    fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A process in namespaces of its own, whose parent is in this mount namespace.
    fn process(&self) -> Actor {
        let process = self.0.fork();
        process.unshare(&["mnt", "uts", "net"]);
        process
    }
}

fn runc_state(id: &str, pid: u32, start_time: u64) -> String {
    let state = json!({"id": id, "init_process_pid": pid, "init_process_start": start_time,
        "created": "2026-11-29T01:08:07.505138993Z", "config": {"labels": ["org.example=x", "bundle=/b"]},
        "cgroup_paths": {"": format!("/sys/fs/cgroup/none/{id}")}});
    state.to_string()
}

/// A control group of this test's, whichever hierarchy there is.
fn cgroup(name: &str) -> Cgroup {
    let mounted = hierarchy("cgroup2", "").or_else(|| hierarchy("cgroup", "freezer"));
    Cgroup::new(&mounted.expect("control groups are mounted"), name)
}

/// A control group below another, with just this name.
fn below(group: &Cgroup, name: &str) -> Cgroup {
    let path = group.0.join(name);
    fs::create_dir(&path).unwrap();
    Cgroup(path)
}

/// A container that a runtime runs until its standard input ends.
struct Running {
    runtime: Child,
    _input: ChildStdin,
    _bundle: TempDir,
}

impl Running {
    fn new(mut command: Command, id: &str) -> Self {
        let bundle = directory();
        ["bin", "dev", "proc"].iter().for_each(|name| {
            fs::create_dir_all(bundle.path().join("rootfs").join(name)).unwrap();
        });
        fs::copy(BUSYBOX, bundle.path().join("rootfs/bin/busybox")).unwrap();
        let namespaces: Vec<_> = ["pid", "network", "ipc", "uts", "mount"].map(|kind| json!({"type": kind})).into();
        let config = json!({"ociVersion": "1.0.2", "root": {"path": "rootfs"}, "hostname": "lxkns-test",
            "process": {"cwd": "/", "args": ["/bin/busybox", "sh", "-c", "echo ready; exec /bin/busybox cat"],
                "user": {"uid": 0, "gid": 0}, "env": ["PATH=/bin"]},
            "annotations": {"org.example.test": "a=b"},
            "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
            "linux": {"namespaces": namespaces, "cgroupsPath": format!("/{id}")}});
        fs::write(bundle.path().join("config.json"), config.to_string()).unwrap();
        command.args(["run", "--bundle"]).arg(bundle.path()).arg(id);
        let mut runtime = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let input = runtime.stdin.take().unwrap();
        let mut line = String::new();
        BufReader::new(runtime.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "the container has started");
        Self { runtime, _input: input, _bundle: bundle }
    }

    /// Ends the container, and waits until the runtime has cleaned up.
    fn end(self) {
        let Self { mut runtime, _input: input, _bundle: bundle } = self;
        drop(input);
        assert!(runtime.wait().unwrap().success());
        drop(bundle);
    }
}

fn runc() {
    let id = format!("lxkns-test-{}-runc", std::process::id());
    let running = Running::new(Command::new("runc"), &id);
    let answer = Command::new("runc").args(["state", &id]).output().unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&answer.stdout).unwrap();
    let pid = answer["pid"].as_u64().unwrap() as u32;
    let (snapshot, containers) = look();
    let container = of(&containers, pid);
    assert_eq!((container.kind, container.id.as_slice()), (EngineKind::Runc, id.as_bytes()));
    assert_eq!(container.main.as_ref().unwrap().value, Pid(pid));
    assert_eq!(container.confidence(), Confidence::Sure);
    assert_eq!(container.annotations.get("org.example.test".as_bytes()).unwrap(), "a=b");
    assert_eq!(container.state.as_ref().unwrap().value, ContainerState::Running);
    let cgroup = &container.cgroup.as_ref().expect("it has a control group of its own").value;
    assert!(cgroup.ends_with(id.as_bytes()), "{cgroup}");
    assert_eq!(container.evidence[0].kind, EvidenceKind::RuntimeState);
    as_target(&id, pid);
    // runc itself is outside.
    assert_eq!(containers.of(Pid(running.runtime.id())), None);
    assert!(snapshot.processes.contains_key(&Pid(running.runtime.id())));
    running.end();
    let (_, containers) = look();
    assert!(containers.list.iter().all(|container| container.id != id.as_str()), "it has ended, and nothing is left");
}

fn crun() {
    // On hosts with both versions of control groups it takes the first alone.
    let actor = Actor::spawn_in(&["mnt"]);
    actor.make_mounts_private();
    let is_hybrid = hierarchy("cgroup", "freezer").is_some();
    if let Some(unified) = hierarchy("cgroup2", "").filter(|_| is_hybrid) {
        actor.umount(unified);
    }
    let id = format!("lxkns-test-{}-crun", std::process::id());
    let mut command = Command::new("nsenter");
    command.arg(format!("--mount=/proc/{}/ns/mnt", actor.pid())).arg("crun");
    let running = Running::new(command, &id);
    // It writes that when the container runs already.
    let read = || serde_json::from_slice(&fs::read(format!("/run/crun/{id}/status")).ok()?).ok();
    let status: serde_json::Value = std::iter::repeat_with(|| {
        std::thread::yield_now();
        read()
    })
    .flatten()
    .next()
    .unwrap();
    let pid = status["pid"].as_u64().unwrap() as u32;
    let (_, containers) = look();
    let container = of(&containers, pid);
    assert_eq!((container.kind, container.id.as_slice()), (EngineKind::Crun, id.as_bytes()));
    assert_eq!((container.main.as_ref().unwrap().value, container.confidence()), (Pid(pid), Confidence::Sure));
    assert_eq!(container.annotations.get("org.example.test".as_bytes()).unwrap(), "a=b");
    running.end();
}

/// What Docker keeps, for a process that is in a control group named as Docker names it.
fn docker_files() {
    let host = FalseHost::new();
    let id = long_id("docker");
    let container = host.process();
    let group = cgroup("docker");
    let docker = below(&group, "docker");
    let own = below(&docker, &id);
    own.write("cgroup.procs", &container.pid().to_string());
    let pid = container.pid();
    let state = runc_state(&id, pid, start_time(pid));
    host.write(&format!("/run/docker/runtime-runc/moby/{id}/state.json"), state);
    let config = json!({"ID": id, "Name": "/web", "Created": "2026-11-29T01:08:06Z",
        "State": {"Pid": pid, "Running": true, "Paused": true},
        "Config": {"Image": "bb:1", "Labels": {"com.docker.compose.project": "shop"}}});
    host.write(&format!("/var/lib/docker/containers/{id}/config.v2.json"), config.to_string());
    let child = container.fork();
    let (_, containers) = look();
    for pid in [pid, child.pid()] {
        let container = of(&containers, pid);
        assert_eq!((container.kind, container.id.as_slice()), (EngineKind::Docker, id.as_bytes()));
        assert_eq!(container.display_name(), "web");
        assert_eq!(container.image.as_ref().unwrap().value, "bb:1");
        assert_eq!(container.runtime.as_ref().unwrap().value, "runc");
        assert_eq!(container.state.as_ref().unwrap().value, ContainerState::Paused);
        assert_eq!(container.confidence(), Confidence::Sure);
        let kinds: Vec<_> = container.evidence.iter().map(|evidence| evidence.kind).collect();
        assert_eq!(kinds, [EvidenceKind::Cgroup, EvidenceKind::RuntimeState, EvidenceKind::EngineFile]);
        assert_eq!(container.evidence[1].pid, Some(Pid(host.0.pid())), "it was read below that process's root");
        assert!(container.disagreements.is_empty(), "{:?}", container.disagreements);
        let [group] = container.groups[..] else { panic!("{:?}", container.groups) };
        let group = &containers.groups[group];
        assert_eq!((group.kind, group.name.as_slice()), (GroupKind::ComposeProject, &b"shop"[..]));
    }
    // Another process with the PID: it counts for the control group alone.
    host.write(&format!("/run/docker/runtime-runc/moby/{id}/state.json"), runc_state(&id, pid, 1));
    let (_, containers) = look();
    let by_state = |evidence: &lxkns_core::model::Evidence| evidence.kind == EvidenceKind::RuntimeState;
    let found = of(&containers, pid);
    let by = found.main.as_ref().unwrap().by;
    assert!(!by_state(&found.evidence[by]), "the state is about another process");
    drop((child, container, host));
}

/// A whole host in a control group of its own: version 2 has no more than that, and the engine uses version 1.
fn control_groups_of_one_version_alone() {
    let (v1, v2) = (hierarchy("cgroup", "freezer").unwrap(), hierarchy("cgroup2", "").unwrap());
    let id = long_id("versions");
    let (own, host) = (Cgroup::new(&v2, "versions"), Cgroup::new(&v1, "versions"));
    let docker = below(&host, "docker");
    let container = below(&docker, &id);
    let actor = Actor::spawn_in(&["mnt"]);
    own.write("cgroup.procs", &actor.pid().to_string());
    container.write("cgroup.procs", &actor.pid().to_string());
    let found = [discover(), discover_everything()].map(|snapshot| recognize(&snapshot).0);
    for containers in &found {
        let container = of(containers, actor.pid());
        assert_eq!((container.kind, container.id.as_slice()), (EngineKind::Docker, id.as_bytes()));
        assert!(container.cgroup.as_ref().unwrap().value.ends_with(format!("/docker/{id}").as_bytes()));
    }
    drop(actor);
}

/// The PIDs in files are those of the engine's PID namespace.
fn pids_of_another_pid_namespace() {
    let outer = Actor::spawn_in(&["pid", "mnt"]);
    // The first in the new PID namespace.
    let host = FalseHost::of(outer.fork());
    let container = host.process();
    let snapshot = discover_everything();
    let process = &snapshot.processes[&Pid(container.pid())];
    let inside = process.status.as_ref().unwrap().ns_pids.last().copied().unwrap();
    assert_ne!(inside, process.pid);
    host.write("/run/runc/inner/state.json", runc_state("inner", inside.0, process.start_time_ticks()));
    // With the PID that it has outside, it is another or none in there.
    host.write("/run/runc/outer/state.json", runc_state("outer", container.pid(), process.start_time_ticks()));
    for snapshot in [discover(), snapshot] {
        let (containers, _) = recognize(&snapshot);
        assert_eq!(of(&containers, container.pid()).id, "inner");
        assert!(containers.list.iter().all(|container| container.id != "outer"));
    }
}

/// Without a control group of its own, what descends from its first process is in it.
fn without_control_group() {
    let host = FalseHost::new();
    let outside = host.process();
    outside.unshare(&["pid"]);
    let main = outside.fork();
    main.unshare(&["uts"]);
    let child = main.fork();
    // In a namespace of its own, so that nothing but its descent says where it is.
    child.unshare(&["mnt", "net"]);
    let status = json!({"pid": main.pid(), "process-start-time": start_time(main.pid()), "cgroup-path": "",
        "bundle": "/b", "created": "2026-11-29T01:08:06Z"});
    host.write("/run/crun/nocg/status", status.to_string());
    let (_, containers) = look();
    let container = of(&containers, child.pid());
    assert_eq!((container.id.as_slice(), container.main.as_ref().unwrap().value), (&b"nocg"[..], Pid(main.pid())));
    assert_eq!(container.cgroup, None);
    assert_eq!(of(&containers, main.pid()).id, "nocg");
    assert_eq!(containers.of(Pid(outside.pid())), None, "it is the parent");
}

/// Processes in namespaces of their own that are in no container have a unit.
fn units() {
    let group = cgroup("units");
    let slice = below(&group, "system.slice");
    let service = below(&slice, "lxkns-test.service");
    let actor = Actor::spawn_in(&["mnt"]);
    let child = actor.fork();
    service.write("cgroup.procs", &actor.pid().to_string());
    let (_, containers) = look();
    for pid in [actor.pid(), child.pid()] {
        assert_eq!(containers.of(Pid(pid)), None);
        let unit = &containers.units[&Pid(pid)];
        assert_eq!((unit.kind, unit.name.as_slice()), (UnitKind::Service, &b"lxkns-test.service"[..]));
    }
    assert!(!containers.units.contains_key(&Pid(std::process::id())), "it is in the host's namespaces");
    drop((child, actor));
}

/// What a user has written counts for that user's processes.
fn forged_state() {
    let host = FalseHost::new();
    let (own, victim) = (host.process(), host.process());
    own.setgid(USER);
    own.setuid(USER);
    for (id, actor) in [("forged-own", &own), ("forged-victim", &victim)] {
        let pid = actor.pid();
        host.write(&format!("/run/runc/{id}/state.json"), runc_state(id, pid, start_time(pid)));
        chown(host.path(&format!("/run/runc/{id}/state.json")), Some(USER), Some(USER)).unwrap();
        // Whatever is below a user's directory is theirs.
        let id = format!("{id}-run");
        host.write(&format!("/run/user/{USER}/crun/{id}/status"), crun_status(pid));
    }
    let (_, containers) = look();
    let container = of(&containers, own.pid());
    assert_eq!(container.confidence(), Confidence::Claimed);
    assert_eq!(containers.of(Pid(victim.pid())), None, "somebody else's word");
    assert!(containers.list.iter().all(|container| !container.id.starts_with(b"forged-victim")));

    // A file that anybody can write is nobody's word.
    let id = "forged-open";
    host.write(&format!("/run/runc/{id}/state.json"), runc_state(id, victim.pid(), start_time(victim.pid())));
    let file = host.path(&format!("/run/runc/{id}/state.json"));
    fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    assert_eq!(look().1.of(Pid(victim.pid())), None);

    // Root's own word is not overruled by it.
    host.write("/run/runc/true/state.json", runc_state("true", own.pid(), start_time(own.pid())));
    let (_, containers) = look();
    let container = of(&containers, own.pid());
    assert_eq!((container.id.as_slice(), container.confidence()), (&b"true"[..], Confidence::Sure));
    assert!(container.evidence.iter().all(|evidence| evidence.confidence == Confidence::Sure));
}

/// What runs in a user namespace that a user has made is that user's own, whatever UID it has.
fn in_a_user_namespace() {
    let host = FalseHost::new();
    let process = host.0.fork();
    process.setgid(USER);
    process.setuid(USER);
    process.unshare(&["user", "mnt", "uts"]);
    let inside = process.fork();
    inside.unshare(&["net"]);
    host.write(&format!("/run/user/{USER}/crun/rootless/status"), crun_status(inside.pid()));
    let (_, containers) = look();
    let container = of(&containers, inside.pid());
    assert_eq!((container.id.as_slice(), container.confidence()), (&b"rootless"[..], Confidence::Claimed));
    assert_eq!(containers.of(Pid(process.pid())), None);
    // Another user's word does not count for it.
    let other = USER + 1;
    fs::remove_dir_all(host.path("/run/user")).unwrap();
    host.write(&format!("/run/user/{other}/crun/rootless/status"), crun_status(inside.pid()));
    assert_eq!(look().1.of(Pid(inside.pid())), None);
}

fn crun_status(pid: u32) -> String {
    json!({"pid": pid, "process-start-time": start_time(pid), "cgroup-path": "/"}).to_string()
}

/// Below a user's service manager that user names control groups.
fn forged_control_group() {
    let id = long_id("forged");
    let group = cgroup("forged");
    let slice = below(&group, "user.slice");
    let of_user = below(&slice, &format!("user-{USER}.slice"));
    let manager = below(&of_user, &format!("user@{USER}.service"));
    let forged = below(&manager, &format!("docker-{id}.scope"));
    let true_group = below(&group, &format!("docker-{id}.scope"));
    let (own, root, real) = (Actor::spawn_in(&["mnt"]), Actor::spawn_in(&["mnt"]), Actor::spawn_in(&["mnt"]));
    forged.write("cgroup.procs", &own.pid().to_string());
    forged.write("cgroup.procs", &root.pid().to_string());
    true_group.write("cgroup.procs", &real.pid().to_string());
    own.setgid(USER);
    own.setuid(USER);
    let (_, containers) = look();
    let container = of(&containers, own.pid());
    assert_eq!((container.kind, container.confidence()), (EngineKind::Docker, Confidence::Claimed));
    assert_eq!(containers.of(Pid(root.pid())), None, "the group is a user's, and the process is not");
    // With the same ID, it is another container.
    let real = of(&containers, real.pid());
    assert_eq!((real.id.as_slice(), real.confidence()), (id.as_bytes(), Confidence::Likely));
    assert!(!std::ptr::eq(real, container));
    drop((own, root));
}

/// Anybody can call a process conmon.
fn forged_command_line() {
    let id = long_id("conmon");
    let monitor = Actor::spawn_in(&["mnt"]);
    let (own, other) = (monitor.fork(), monitor.fork());
    own.unshare(&["mnt", "uts"]);
    monitor.set_comm(b"conmon");
    monitor.setgid(USER);
    monitor.setuid(USER);
    let directory = directory();
    let line = [b"conmon\0-c\0".as_slice(), id.as_bytes(), b"\0-n\0mine\0"].concat();
    let file = directory.path().join("cmdline");
    fs::write(&file, &line).unwrap();
    let mut options = lxkns_core::DiscoveryOptions::namespaces();
    options.without_self = true;
    let mut snapshot = lxkns_core::Discovery::of_host().unwrap().run(&options).unwrap();
    let arguments = line.split(|&byte| byte == 0).map(Into::into).collect();
    snapshot.processes.get_mut(&Pid(monitor.pid())).unwrap().command_line = Some(arguments);
    let (containers, _) = recognize(&snapshot);
    assert_eq!(containers.of(Pid(own.pid())), None, "its child is root's");
    own.setgid(USER);
    own.setuid(USER);
    let (containers, _) = recognize(&snapshot);
    let container = of(&containers, own.pid());
    assert_eq!((container.kind, container.confidence()), (EngineKind::Podman, Confidence::Claimed));
    assert_eq!(container.display_name(), "mine");
    assert_eq!(containers.of(Pid(other.pid())), None);
}

/// The root of a container writes what it likes: about its own processes.
fn a_container_speaks_for_itself_alone() {
    let id = long_id("itself");
    let group = cgroup("itself");
    let own = below(&group, &format!("docker-{id}.scope"));
    let inside = FalseHost::new();
    own.write("cgroup.procs", &inside.0.pid().to_string());
    let child = inside.process();
    let victim = Actor::spawn_in(&["mnt"]);
    for (id, pid) in [("inner", child.pid()), ("victim", victim.pid())] {
        inside.write(&format!("/run/runc/{id}/state.json"), runc_state(id, pid, start_time(pid)));
    }
    let (_, containers) = look();
    assert_eq!(containers.of(Pid(victim.pid())), None);
    let inner = of(&containers, child.pid());
    assert_eq!((inner.id.as_slice(), inner.confidence()), (&b"inner"[..], Confidence::Likely));
    let outer = &containers.list[inner.inside.expect("it is inside the other")];
    assert_eq!(outer.id, id.as_str());
    // Somebody of the host's who looks around in there does not make it the host's word.
    let visitor = Actor::spawn();
    visitor.enter(&inside.0.open_ns("mnt"));
    let visitors_child = visitor.fork();
    visitors_child.unshare(&["uts"]);
    let (_, containers) = look();
    assert_eq!(containers.of(Pid(victim.pid())), None);
    assert_eq!(containers.of(Pid(visitor.pid())), None);
    drop((visitors_child, visitor, child, inside));
}

/// Engines inside containers have theirs in control groups below, or beside.
fn an_engine_inside_a_container() {
    let (outer_id, below_id, beside_id) = (long_id("outer"), long_id("below"), long_id("beside"));
    let group = cgroup("nested");
    let docker = below(&group, "docker");
    let outer_group = below(&docker, &outer_id);
    let inner_docker = below(&outer_group, "docker");
    let below_group = below(&inner_docker, &below_id);
    let beside_group = below(&docker, &beside_id);
    let engine = FalseHost::new();
    // The engine itself: version 2 has no processes in groups that have others below with controllers; none are on here.
    outer_group.write("cgroup.procs", &engine.0.pid().to_string());
    let (below_main, beside_main) = (engine.process(), engine.process());
    below_group.write("cgroup.procs", &below_main.pid().to_string());
    beside_group.write("cgroup.procs", &beside_main.pid().to_string());
    for (id, actor, name) in [(&below_id, &below_main, "a"), (&beside_id, &beside_main, "b")] {
        let (pid, path) = (actor.pid(), format!("/run/docker/runtime-runc/moby/{id}/state.json"));
        engine.write(&path, runc_state(id, pid, start_time(pid)));
        let config = json!({"ID": id, "Name": format!("/{name}"), "State": {"Pid": pid, "Running": true}});
        engine.write(&format!("/var/lib/docker/containers/{id}/config.v2.json"), config.to_string());
    }
    let (_, containers) = look();
    for (actor, name) in [(&below_main, "a"), (&beside_main, "b")] {
        let inner = of(&containers, actor.pid());
        assert_eq!(inner.display_name(), name);
        let outer = &containers.list[inner.inside.unwrap_or_else(|| panic!("{name} is inside the other"))];
        assert_eq!(outer.id, outer_id.as_str());
        let prefix = inner.labels.get("turtlefinder/container/prefix".as_bytes()).unwrap();
        assert_eq!(*prefix, outer_id.as_str());
    }
    let ids: Vec<_> = containers.list.iter().map(|it| it.id.to_string()).filter(|it| *it == beside_id).collect();
    assert_eq!(ids.len(), 1, "its control group and its files are about one");
    drop((below_main, beside_main, engine));
}

/// A network namespace that a CNI plugin has set up, and that nobody has removed.
fn a_forgotten_network_namespace() {
    let host = FalseHost::new();
    let process = host.process();
    let id = long_id("forgotten");
    fs::create_dir_all(host.path("/run/netns")).unwrap();
    for (name, kept) in [("cni-pod", true), ("cni-nobody", false)] {
        let path = format!("/run/netns/{name}");
        let owner = host.0.fork();
        owner.unshare(&["net"]);
        host.write(&path, "");
        host.0.bind(format!("/proc/{}/ns/net", owner.pid()), &path);
        if kept {
            let result = json!({"kind": "cniCacheV1", "containerId": id, "ifName": "eth0", "networkName": "n",
                "cniArgs": [["K8S_POD_NAMESPACE", "default"], ["K8S_POD_NAME", "web-0"]],
                "result": {"interfaces": [{"name": "eth0", "sandbox": format!("/var/run/netns/{name}")}]}});
            host.write(&format!("/var/lib/cni/results/n-{id}-eth0"), result.to_string());
        }
    }
    let inode = |name: &str| std::os::unix::fs::MetadataExt::ino(&fs::metadata(host.path(name)).unwrap());
    let (pod, nobody) = (inode("/run/netns/cni-pod"), inode("/run/netns/cni-nobody"));
    let (snapshot, containers) = look();
    let by_ino = |ino: u64| snapshot.by_ino(ino).expect("it is bind-mounted").id;
    let container = &containers.list[containers.namespaces[&by_ino(pod)]];
    assert_eq!((container.kind, container.id.as_slice()), (EngineKind::Cri, id.as_bytes()));
    assert_eq!(container.pod.as_ref().unwrap().value.full_name(), "default/web-0");
    assert_eq!(container.state.as_ref().unwrap().value, ContainerState::Exited);
    assert_eq!(container.main, None);
    assert_eq!(container.evidence[0].kind, EvidenceKind::CniResult);
    assert!(!containers.namespaces.contains_key(&by_ino(nobody)));
    // The same path in another mount namespace is another's.
    let other = FalseHost::new();
    let other_process = other.process();
    fs::create_dir_all(other.path("/run/netns")).unwrap();
    other.write("/run/netns/cni-pod", "");
    other.0.bind(format!("/proc/{}/ns/net", other_process.pid()), "/run/netns/cni-pod");
    let foreign = other_process.ns_inode("net");
    other_process.try_enter(&other.0.open_ns("net")).unwrap();
    let (snapshot, containers) = look();
    assert!(!containers.namespaces.contains_key(&snapshot.by_ino(foreign).unwrap().id));
    assert!(containers.namespaces.contains_key(&snapshot.by_ino(pod).unwrap().id));
    drop(process);
}

/// The source of its `/etc/hosts` names the container that a mount namespace was made for.
fn a_mount_namespace_without_processes() {
    let id = long_id("mounts");
    let actor = Actor::spawn_in(&["mnt"]);
    actor.make_mounts_private();
    actor.mount("tmpfs", "/mnt");
    let source = format!("/mnt/containers/{id}");
    fs::create_dir_all(format!("/proc/{}/root{source}", actor.pid())).unwrap();
    fs::write(format!("/proc/{}/root{source}/hosts", actor.pid()), "").unwrap();
    actor.bind(format!("{source}/hosts"), "/etc/hosts");
    let inode = actor.ns_inode("mnt");
    // A descriptor keeps it alive.
    let holder = Actor::spawn();
    let fd = holder.open(format!("/proc/{}/ns/mnt", actor.pid()), Open::ReadOnly);
    drop(actor);
    let access = lxkns_mountns::Access::new(lxkns_mountns::SandboxOptions::default(), Duration::from_secs(10));
    let session = lxkns_core::Discovery::of_host().unwrap().mounts_through(&access);
    let snapshot = session.run(&lxkns_core::DiscoveryOptions::everything()).unwrap();
    let (containers, _) = recognize(&snapshot);
    let namespace = snapshot.by_ino(inode).expect("a descriptor holds it");
    assert_eq!(namespace.ns_type, NamespaceType::Mnt);
    let container = &containers.list[containers.namespaces[&namespace.id]];
    assert_eq!((container.kind, container.id.as_slice()), (EngineKind::Docker, id.as_bytes()));
    assert_eq!(container.evidence[0].kind, EvidenceKind::Mount);
    holder.close(fd);
}

/// Nothing that stands where a file should be keeps the rest from being read.
fn hostile_files() {
    let host = FalseHost::new();
    let process = host.process();
    let run = |name: &str| format!("/run/runc/{name}/state.json");
    host.write(&run("a-good"), runc_state("a-good", process.pid(), start_time(process.pid())));
    for name in ["fifo", "link", "device"] {
        fs::create_dir_all(host.path(&format!("/run/runc/{name}"))).unwrap();
    }
    let (cwd, mode) = (rustix::fs::CWD, rustix::fs::Mode::from_raw_mode(0o600));
    rustix::fs::mknodat(cwd, host.path(&run("fifo")), rustix::fs::FileType::Fifo, mode, 0).unwrap();
    std::os::unix::fs::symlink(run("a-good"), host.path(&run("link"))).unwrap();
    std::os::unix::fs::symlink("/run/runc/a-good", host.path("/run/runc/linked")).unwrap();
    host.write(&run("large"), vec![b' '; (4 << 20) + 1]);
    host.write(&run("nonsense"), "{");
    host.write(&run("other-id"), runc_state("a-good", process.pid(), start_time(process.pid())));
    host.write(&run("deep"), format!("{{\"id\":\"deep\",\"config\":{}", "[".repeat(1 << 20)));
    let snapshot = discover();
    let (containers, gaps) = recognize(&snapshot);
    assert_eq!(of(&containers, process.pid()).id, "a-good");
    let cause = |name: &str| {
        let path = format!("/proc/{}/root{}", host.0.pid(), run(name));
        let gap = gaps.iter().find(|gap| gap.object == Object::Path(path.as_str().into()));
        gap.map(|gap| (gap.place, gap.cause))
    };
    for name in ["fifo", "link", "nonsense", "other-id", "deep"] {
        assert_eq!(cause(name), Some((Place::Containers, Cause::Malformed)), "{name}");
    }
    assert_eq!(cause("large"), Some((Place::Containers, Cause::Cut)));
    assert_eq!(cause("a-good"), None);
}

/// A server that is gone costs its patience, and a gap; what is elsewhere is found.
fn dead_file_system() {
    let (dead, good) = (FalseHost::new(), FalseHost::new());
    let (in_dead, in_good) = (dead.process(), good.process());
    good.write("/run/runc/good/state.json", runc_state("good", in_good.pid(), start_time(in_good.pid())));
    fs::create_dir_all(dead.path("/run/runc")).unwrap();
    let fuse = DeadFuse::mount(&dead.0, "/run/runc", Death::Unanswered);
    fuse.die();
    let snapshot = discover();
    let host = Host::new(ProcRoot::host().unwrap());
    let mut options = Options::default();
    options.patience = Duration::from_millis(300);
    for _ in 0..2 {
        let (containers, gaps) = lxkns_engines::recognize(&snapshot, &host, &options);
        assert_eq!(of(&containers, in_good.pid()).id, "good");
        assert_eq!(containers.of(Pid(in_dead.pid())), None);
        let of_dead = format!("/proc/{}/root", dead.0.pid());
        let is_it = |gap: &Gap| match &gap.object {
            Object::Path(path) => gap.cause == Cause::NotTried && path.starts_with(of_dead.as_bytes()),
            _ => false,
        };
        assert!(gaps.iter().any(is_it), "{gaps:?}");
    }
    let own = format!("/proc/{}/task", std::process::id());
    let is_reader = |path: &Path| fs::read(path.join("comm")).is_ok_and(|comm| comm == b"lxkns-files\n");
    let is_stuck = |path: &PathBuf| {
        is_reader(path) && fs::read_to_string(path.join("stat")).is_ok_and(|stat| stat.contains(") D "))
    };
    let threads = fs::read_dir(own).unwrap().flatten().map(|task| task.path());
    assert_eq!(threads.filter(is_stuck).count(), 0, "nobody has gone there");
    drop(fuse);
}

/// Whoever looks, it ends well.
fn as_anybody() {
    let actor = Actor::spawn_in(&["user", "mnt", "uts"]);
    let child = actor.fork();
    let snapshot = discover();
    let (containers, gaps) = recognize(&snapshot);
    assert!(gaps.iter().all(|gap| gap.place == Place::Containers));
    for pid in [actor.pid(), child.pid()] {
        // It can itself be in one, but not for what it did.
        assert_eq!(containers.of(Pid(pid)), containers.of(Pid(std::process::id())));
    }
}
