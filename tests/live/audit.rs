//! `lxkns audit`, from the libraries: of actors that are said to be in containers. What is found is compared with what the
//! kernel says of the same processes; hostile ones try to look clean.

mod unusual;

use std::collections::BTreeSet;
use std::fs;
use std::net::UdpSocket;
use std::os::unix::net::{UnixDatagram, UnixStream};

use lxkns_answers::Context;
use lxkns_answers::audit::{Audit, Evidence, Finding, Judgement, Plan, Severity, options};
use lxkns_core::Discovery;
use lxkns_core::model::{
    Confidence, Container, Containers, EngineKind, EvidenceKind, NamespaceType, Pid, Said, Snapshot,
};
use lxkns_fixture::{Actor, Open};
use lxkns_mountns::{Access, DEADLINE, SandboxOptions};

use super::{directory, inode};
use crate::harness::Need::{FileSystem, Kernel, Root, UserNamespaces};
use crate::harness::{Test, test};
use crate::live::program::run_lxkns;

pub(super) fn tests() -> Vec<Test> {
    let mut tests = vec![
        test("audit::left", &[UserNamespaces], left),
        test("audit::entered", &[UserNamespaces], entered),
        test("audit::open_directories", &[UserNamespaces], open_directories),
        test("audit::open_files", &[Root, UserNamespaces], open_files),
        test("audit::open_processes", &[Root, UserNamespaces, Kernel(5, 3)], open_processes),
        test("audit::open_namespaces", &[UserNamespaces], open_namespaces),
        test("audit::sockets_of_other_networks", &[Root, UserNamespaces, Kernel(5, 6)], sockets_of_other_networks),
        test("audit::credentials_of_another_user_namespace", &[Root, UserNamespaces], foreign_credentials),
        test("audit::saved_root", &[Root], saved_root),
        test("audit::every_task_counts", &[Root], every_task_counts),
        test("audit::hidden_mounts", &[Root, FileSystem("tmpfs")], hidden_mounts),
        test("audit::what_is_not_readable_is_not_clean", &[Root], not_readable),
        test("audit::trees", &[UserNamespaces], trees),
        test("audit::kernel_threads", &[Root], kernel_threads),
    ];
    tests.extend(unusual::tests());
    tests
}

/// What is found of a container with these processes, of which the first is its first.
#[track_caller]
fn judge(members: &[&Actor]) -> Judgement {
    judge_in(members, |_| {})
}

/// The same, of a snapshot that was changed.
#[track_caller]
fn judge_in(members: &[&Actor], change: impl FnOnce(&mut Snapshot)) -> Judgement {
    let access = Access::new(SandboxOptions::default(), DEADLINE);
    let discovery = Discovery::of_host().unwrap().mounts_through(&access);
    let mut snapshot = discovery.run(&options()).unwrap();
    let evidence = lxkns_core::model::Evidence {
        kind: EvidenceKind::Cgroup,
        at: "/docker/x".into(),
        pid: None,
        confidence: Confidence::Sure,
    };
    let mut container = Container::new(EngineKind::Docker, "x", evidence);
    container.main = Some(Said { value: Pid(members[0].pid()), by: 0 });
    snapshot.annotations.containers = Some(Containers {
        list: vec![container],
        members: members.iter().map(|actor| (Pid(actor.pid()), 0)).collect(),
        ..Containers::default()
    });
    change(&mut snapshot);
    let plan = Plan::of_containers(&snapshot).unwrap();
    let facts = discovery.confinement(&snapshot, &plan.pids());
    let audit = Audit::new(Context::live(&snapshot, false), &plan, Some(&facts));
    audit.judge(&plan.subjects[0])
}

/// The findings of a kind, each with its severity.
fn of_kind<'a>(judgement: &'a Judgement, kind: &str) -> Vec<&'a Finding> {
    judgement.findings.iter().filter(|finding| finding.kind == kind).collect()
}

/// The evidence of a kind that is about a process.
fn evidence<'a>(judgement: &'a Judgement, kind: &str, actor: &Actor) -> Vec<(Severity, &'a Evidence)> {
    let all = of_kind(judgement, kind).into_iter();
    let all = all.flat_map(|finding| finding.evidence.iter().map(|evidence| (finding.severity, evidence)));
    all.filter(|(_, evidence)| evidence.pid == Some(actor.pid())).collect()
}

/// Whether the kernel says that this is one of its threads.
fn is_kernel_thread(pid: u64) -> bool {
    const PF_KTHREAD: u64 = 0x0020_0000;
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    let flags = stat.rsplit(')').next().and_then(|rest| rest.split(' ').nth(7)?.parse::<u64>().ok());
    flags.expect("flags") & PF_KTHREAD != 0
}

/// A thread of the kernel runs no program, so there is nothing that could be confined; whatever PID 1 shows of itself.
fn kernel_threads() {
    assert!(is_kernel_thread(2), "the test runs in the initial PID namespace");
    for fail in [false, true] {
        let ran = run_lxkns(["audit", "2", "--json"].into_iter().chain(fail.then_some("--fail"))).ok();
        let judged = &ran.answer_to("audit")[0];
        assert_eq!((&judged["process-count"], &judged["worst"]), (&0.into(), &serde_json::Value::Null), "{judged}");
        assert_eq!(judged["not-judged"], serde_json::json!([]), "{judged}");
    }
    assert!(run_lxkns(["audit", "2"]).ok().text().contains("only kernel threads"));
    let actor = Actor::spawn();
    let judged = &run_lxkns(["audit", "host/net", "--json"]).ok().answer_to("audit")[0];
    let evidence = judged["findings"].as_array().unwrap().iter().flat_map(|it| it["evidence"].as_array().unwrap());
    let pids: BTreeSet<u64> = evidence.filter_map(|it| it["pid"].as_u64()).collect();
    assert!(pids.contains(&actor.pid().into()), "{judged}");
    let threads: Vec<_> = pids.into_iter().filter(|&pid| is_kernel_thread(pid)).collect();
    assert!(threads.is_empty() && !is_kernel_thread(judged["pid"].as_u64().unwrap()), "{threads:?}");
    // Who is in it and was not read was not judged.
    let is_read = fs::read_link("/proc/1/ns/net").is_ok();
    let is_said = judged["not-judged"]
        .as_array()
        .unwrap()
        .iter()
        .any(|it| it.as_str().unwrap().starts_with("other processes in it"));
    assert!(is_read || is_said, "{judged}");
}

/// Whether it can be told which mount namespace is the host's: before Linux 6.18 only by its processes.
fn knows_mounts_of_host() -> bool {
    const INITIAL: u64 = 4_026_531_832;
    rustix::process::geteuid().is_root() || inode("/proc/self/ns/mnt") == INITIAL
}

/// A process of the container's that is in the host's namespaces is found with each, however it is called.
fn left() {
    let container = Actor::spawn_in(&["user", "mnt", "uts"]);
    let inside = container.fork();
    let escaped = Actor::spawn();
    escaped.set_comm(b"sleep) in docker");
    let judgement = judge(&[&container, &inside, &escaped]);
    let types = ["user", "mnt", "uts"].into_iter().filter(|name| *name != "mnt" || knows_mounts_of_host());
    let types: BTreeSet<_> = types.map(|name| escaped.ns_inode(name)).collect();
    let found: BTreeSet<_> = evidence(&judgement, "left", &escaped).iter().filter_map(|it| it.1.nsid).collect();
    assert_eq!(found, types, "{judgement:#?}");
    let worst = evidence(&judgement, "left", &escaped).iter().map(|it| it.0).max();
    assert_eq!(worst, Some(Severity::High));
    for clean in [&container, &inside] {
        assert!(evidence(&judgement, "left", clean).is_empty(), "{judgement:#?}");
    }
    // One that makes namespaces of its own has not left.
    inside.unshare(&["mnt", "net"]);
    assert!(evidence(&judge(&[&container, &inside]), "left", &inside).is_empty());
}

/// A process of the host that is in the container's namespaces but in none of its control groups.
fn entered() {
    let container = Actor::spawn_in(&["user", "mnt", "uts"]);
    let other = Actor::spawn();
    other.enter(&container.open_ns("user"));
    other.enter(&container.open_ns("mnt"));
    assert_eq!(other.ns_inode("mnt"), container.ns_inode("mnt"));
    let judgement = judge(&[&container]);
    let [(severity, found)] = evidence(&judgement, "entered", &other)[..] else { panic!("{judgement:#?}") };
    assert_eq!(severity, Severity::Low, "it has no more rights than are inside");
    assert!(found.text.contains("mnt"), "{found:?}");
    assert!(evidence(&judge(&[&container, &other]), "entered", &other).is_empty(), "it is one of its processes");
}

/// A descriptor on a directory, and a working directory, that were opened before the mounts were its own.
fn open_directories() {
    let container = Actor::spawn();
    let fd = container.open("/etc", Open::Path);
    container.unshare(&["user", "mnt"]);
    container.map_root();
    let clean = container.fork();
    clean.close(fd);
    let judgement = judge(&[&container, &clean]);
    let [(severity, found)] = evidence(&judgement, "fd-directory", &container)[..] else { panic!("{judgement:#?}") };
    let expected = if knows_mounts_of_host() { Severity::High } else { Severity::Medium };
    assert_eq!((severity, found.fd), (expected, Some(fd as u32)));
    // The kernel says which mount it is on: none of the container's, one of the host's.
    let info = fs::read_to_string(format!("/proc/{}/fdinfo/{fd}", container.pid())).unwrap();
    let mount = info.lines().find_map(|line| line.strip_prefix("mnt_id:")).unwrap().trim().to_owned();
    assert_eq!(found.mount_id.map(|id| id.to_string()), Some(mount));
    assert!(evidence(&judgement, "fd-directory", &clean).is_empty());

    container.chdir(format!("/proc/self/fd/{fd}"));
    container.close(fd);
    let judgement = judge(&[&container]);
    let [(severity, found)] = evidence(&judgement, "fd-directory", &container)[..] else { panic!("{judgement:#?}") };
    assert_eq!((severity, found.fd), (expected, None));
    container.chdir("/");
    assert!(of_kind(&judge(&[&container]), "fd-directory").is_empty());
}

/// Files of the host that were opened before the mounts were its own: the memory of a process, what the kernel is told, and what
/// root runs.
fn open_files() {
    let victim = Actor::spawn();
    let container = Actor::spawn();
    let memory = format!("/proc/{}/mem", victim.pid());
    let cases = [
        (memory.as_str(), Open::ReadWrite, Severity::High),
        (memory.as_str(), Open::ReadOnly, Severity::Medium),
        ("/proc/sys/kernel/hostname", Open::ReadWrite, Severity::High),
        ("/etc/passwd", Open::ReadOnly, Severity::Medium),
        ("/proc/version", Open::ReadOnly, Severity::Info),
    ];
    let opened = cases.map(|(path, how, severity)| (severity, Some(container.open(path, how) as u32)));
    container.unshare(&["user", "mnt"]);
    container.map_root();
    // Its own: on no mount that others have, and on one of its mounts.
    let memory = rustix::fs::memfd_create("x", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    let own = [container.give_fd(&memory), container.open("/etc/passwd", Open::ReadOnly)];
    let judged = || {
        let judgement = judge(&[&container]);
        let found = evidence(&judgement, "fd-file", &container).into_iter();
        // Its standard streams can be files of the host.
        let found = found.filter(|(_, found)| found.fd > Some(2));
        let mut found: Vec<_> = found.map(|(severity, found)| (severity, found.fd)).collect();
        found.sort_by_key(|found| found.1);
        (found, judgement)
    };
    let (found, judgement) = judged();
    assert_eq!(found[..], opened, "{judgement:#?}");
    assert!(own.iter().all(|fd| found.iter().all(|it| it.1 != Some(*fd as u32))));
    opened.iter().filter_map(|it| it.1).for_each(|fd| container.close(fd as i32));
    assert_eq!(judged().0, Vec::new());
}

/// A pidfd of a process of the host, which the kernel takes for the way into its namespaces.
fn open_processes() {
    use rustix::process::{Pid as RawPid, PidfdFlags, pidfd_open};
    let container = Actor::spawn_in(&["user", "pid", "net"]);
    let first = container.fork();
    let open = |actor: &Actor| pidfd_open(RawPid::from_raw(actor.pid() as i32).unwrap(), PidfdFlags::empty()).unwrap();
    let victim = Actor::spawn();
    let own = first.give_fd(open(&first));
    let judged = |members: &[&Actor]| {
        let judgement = judge(members);
        let found = evidence(&judgement, "fd-process", &first).into_iter();
        found.map(|(severity, found)| (severity, found.fd)).collect::<Vec<_>>()
    };
    assert_eq!(judged(&[&first]), Vec::new(), "its own");
    let fd = first.give_fd(open(&victim));
    assert_eq!(judged(&[&first])[..], [(Severity::High, Some(fd as u32))]);
    // The kernel says whose it is.
    let info = fs::read_to_string(format!("/proc/{}/fdinfo/{fd}", first.pid())).unwrap();
    assert!(info.lines().any(|line| line == format!("Pid:\t{}", victim.pid())), "{info}");
    drop(victim);
    assert_eq!(judged(&[&first]), Vec::new(), "it has ended");
    first.close(own);
    drop(container);
}

/// A descriptor on a namespace of the host, which `setns` takes.
fn open_namespaces() {
    let container = Actor::spawn_in(&["user", "net", "uts"]);
    let own = container.open("/proc/self/ns/net", Open::ReadOnly);
    assert!(of_kind(&judge(&[&container]), "fd-namespace").is_empty(), "its own is no other's");
    container.close(own);
    let host = fs::File::open("/proc/self/ns/uts").unwrap();
    let fd = container.give_fd(&host);
    let judgement = judge(&[&container]);
    let [(severity, found)] = evidence(&judgement, "fd-namespace", &container)[..] else { panic!("{judgement:#?}") };
    assert_eq!((severity, found.fd, found.nsid), (Severity::High, Some(fd as u32), Some(inode("/proc/self/ns/uts"))));
}

/// A socket that was made in the network namespace of the host stays there, whoever has it; but a UNIX stream that is connected
/// leads to its peer alone.
fn sockets_of_other_networks() {
    let container = Actor::spawn_in(&["user", "net", "uts"]);
    let judged = || {
        let judgement = judge(&[&container]);
        assert!(!not_judged(&judgement).iter().any(|it| it.contains("sockets")), "{judgement:#?}");
        let found = evidence(&judgement, "fd-namespace", &container).into_iter();
        found.map(|(severity, found)| (severity, found.fd, found.nsid)).collect::<Vec<_>>()
    };
    container.socket(lxkns_fixture::Socket::Udp4);
    let (one, _other) = UnixStream::pair().unwrap();
    container.give_fd(&one);
    assert_eq!(judged(), Vec::new(), "its own, and one that is connected");
    let host = Some(inode("/proc/self/ns/net"));
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (unix, _peer) = UnixDatagram::pair().unwrap();
    let fds = [container.give_fd(&udp), container.give_fd(&unix)];
    assert_eq!(judged()[..], fds.map(|fd| (Severity::Medium, Some(fd as u32), host)));
    // The kernel says that it is the host's.
    let of = lxkns_sys::siocgskns(&udp).map(|namespace| rustix::fs::fstat(namespace).unwrap().st_ino);
    assert_eq!(of.ok(), host);
    drop(udp);
    assert_eq!(judged().len(), 2);
    fds.into_iter().for_each(|fd| container.close(fd));
    assert_eq!(judged(), Vec::new());
}

/// A process with UIDs of the host in a user namespace that does not have them.
fn foreign_credentials() {
    let container = Actor::spawn();
    container.unshare(&["user", "mnt"]);
    container.map_ids(&[(0, 100_000, 1000)]);
    let judgement = judge(&[&container]);
    let [(severity, found)] = evidence(&judgement, "foreign-credentials", &container)[..] else {
        panic!("{judgement:#?}")
    };
    assert_eq!(severity, Severity::High, "UID 0 of the host: {found:?}");
    container.setgid(0);
    container.setuid(0);
    let judgement = judge(&[&container]);
    assert!(of_kind(&judgement, "foreign-credentials").is_empty(), "{judgement:#?}");
    assert!(of_kind(&judgement, "host-root").is_empty(), "it is UID 100000: {judgement:#?}");
}

/// A process that can become root again.
fn saved_root() {
    let container = Actor::spawn_in(&["mnt"]);
    container.setresuid(1000, 1000, 0);
    let judgement = judge(&[&container]);
    let [(severity, _)] = evidence(&judgement, "saved-root", &container)[..] else { panic!("{judgement:#?}") };
    assert_eq!(severity, Severity::Medium);
    // The kernel lets it.
    container.setresuid(1000, 0, 0);
    container.setuid(1000);
    let judgement = judge(&[&container]);
    assert!(of_kind(&judgement, "saved-root").is_empty() && of_kind(&judgement, "host-root").is_empty());
}

/// Another task than the first has other rights; and the first may have exited.
fn every_task_counts() {
    let container = Actor::spawn_in(&["mnt"]);
    let thread = container.thread();
    container.setuid(1000);
    let judgement = judge(&[&container]);
    let found = evidence(&judgement, "host-root", &container);
    assert_eq!(found.iter().map(|it| it.1.tid).collect::<Vec<_>>(), [Some(thread.tid())], "{judgement:#?}");
    container.exit_main_thread();
    let judgement = judge(&[&container]);
    assert_eq!(evidence(&judgement, "host-root", &container).len(), 1, "{judgement:#?}");
    assert_eq!(evidence(&judgement, "seccomp", &container).len(), 1, "{judgement:#?}");
}

/// A container that hides what is mounted for it, by another mount and by a root directory of its own.
fn hidden_mounts() {
    let container = Actor::spawn_in(&["mnt"]);
    container.make_mounts_private();
    let at = directory();
    let path = at.path().to_owned();
    container.mount("tmpfs", &path);
    let [host, root] = ["host", "root"].map(|name| path.join(name));
    container.mkdir(&host);
    container.mkdir(&root);
    container.bind("/etc", &host);
    let is_found = |judgement: &Judgement| {
        let mut found = of_kind(judgement, "host-files").into_iter().flat_map(|finding| &finding.evidence);
        found.any(|evidence| evidence.path.as_deref() == host.to_str())
    };
    let judgement = judge(&[&container]);
    assert!(is_found(&judgement), "{judgement:#?}");
    container.mount("tmpfs", &host);
    container.mount("tmpfs", &root);
    container.chroot(&root);
    container.chdir("/");
    let judgement = judge(&[&container]);
    assert!(is_found(&judgement) || !judgement.not_judged.is_empty(), "{judgement:#?}");
}

/// What a scan could not read is not judged, and said.
/// What is not judged, but for what others on the host decide: whether one that may be an engine is readable.
fn not_judged(judgement: &Judgement) -> Vec<&String> {
    judgement.not_judged.iter().filter(|said| !said.starts_with("the sockets on which engines listen")).collect()
}

fn not_readable() {
    let container = Actor::spawn_in(&["mnt"]);
    let judgement = judge(&[&container]);
    assert_eq!(not_judged(&judgement), Vec::<&String>::new(), "{judgement:#?}");
    let mnt = container.ns_inode("mnt");
    let judgement = judge_in(&[&container], |snapshot| snapshot.mounts.retain(|id, _| id.ino != mnt));
    assert!(judgement.not_judged.iter().any(|what| what.contains("mounts of mnt:[")), "{judgement:#?}");
    let pid = Pid(container.pid());
    let judgement = judge_in(&[&container], |snapshot| {
        snapshot.processes.get_mut(&pid).unwrap().namespaces = Default::default();
    });
    for ns_type in [NamespaceType::Mnt, NamespaceType::Pid, NamespaceType::User] {
        let what = format!("whose {ns_type} namespace it is in");
        assert!(judgement.not_judged.iter().any(|said| said.starts_with(&what)), "{judgement:#?}");
    }
}

/// A process in no container, with those below it.
fn trees() {
    let top = Actor::spawn_in(&["user", "mnt", "net", "uts", "ipc"]);
    let below = top.fork();
    let results = run_lxkns(["audit", "--json", &top.pid().to_string()]).results();
    let [judged] = &results[..] else { panic!("{results:#?}") };
    assert_eq!((&judged["pid"], &judged["process-count"]), (&top.pid().into(), &2.into()), "{judged:#}");
    let texts: Vec<_> = judged["findings"].as_array().unwrap().iter().map(|it| it["text"].as_str().unwrap()).collect();
    for (name, is_shared) in [("pid", true), ("net", false), ("mnt", false)] {
        let start = format!("{name} namespace shared with the host");
        assert_eq!(texts.iter().any(|text| text.starts_with(&start)), is_shared, "{name}: {texts:#?}");
    }
    drop(below);
    let ran = run_lxkns(["audit", "--fail", &top.pid().to_string()]);
    assert_eq!(ran.code, Some(4), "{ran:?}");
}
