//! What is known of processes and threads.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lxkns_core::DiscoveryOptions;
use lxkns_core::model::{
    Cause, CpuRange, Freezer, Holder, NamespaceType, Object, Pid, Place, Process, Relation, Scheduling, Scope, Seccomp,
    Tid, Uid,
};
use lxkns_fixture::{Actor, Scheduler};

use super::{discover_everything, namespace};
use crate::harness::Need::{Root, UserNamespaces};
use crate::harness::{Test, test};

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("processes::facts", &[UserNamespaces], facts),
        test("processes::pids_in_each_pid_namespace", &[UserNamespaces], pids_in_each_pid_namespace),
        test("processes::id_maps", &[UserNamespaces], id_maps),
        test("processes::time_offsets", &[UserNamespaces], time_offsets),
        test("processes::scheduling_of_threads", &[Root], scheduling_of_threads),
        test("processes::what_is_not_asked_is_unknown", &[], what_is_not_asked_is_unknown),
        test("processes::exiting", &[UserNamespaces], exiting),
        test("processes::ended_by_seccomp", &[], ended_by_seccomp),
        test("processes::executing", &[UserNamespaces], executing),
        test("processes::named_ones_only", &[UserNamespaces], named_ones_only),
        test("processes::frozen_by_v1", &[Root], frozen_by_v1),
        test("processes::frozen_by_v2", &[Root], frozen_by_v2),
    ]
}

fn process(actor: &Actor) -> Process {
    discover_everything().processes.remove(&Pid(actor.pid())).expect("the actor is there")
}

fn facts() {
    let actor = Actor::spawn_in(&["user"]);
    let child = actor.fork();
    child.set_comm(b"a) (b\nc");
    let process = process(&child);
    assert_eq!(process.ppid, Some(Pid(actor.pid())));
    assert_eq!(process.comm(), "a) (b\nc");
    assert_eq!(process.command_line.as_ref().unwrap()[0], "lxkns-actor");
    let status = process.status.as_ref().unwrap();
    assert_eq!(status.uids.real, Uid(rustix::process::getuid().as_raw()));
    assert!(!status.capabilities.effective.is_empty(), "it has all capabilities in its user namespace");
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.pid())).unwrap();
    let after_comm: Vec<_> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
    assert_eq!(process.start_time_ticks(), after_comm[19].parse::<u64>().unwrap());
    let cgroups = fs::read_to_string(format!("/proc/{}/cgroup", child.pid())).unwrap();
    let known = process.main_task().cgroups.as_ref().unwrap();
    assert_eq!(known.0.len(), cgroups.lines().count());
    for line in cgroups.lines() {
        let mut fields = line.splitn(3, ':');
        let (hierarchy, _, path) = (fields.next().unwrap(), fields.next(), fields.next().unwrap());
        let known = known.0.iter().find(|known| known.hierarchy.to_string() == hierarchy).unwrap();
        assert_eq!(known.path, path);
    }
}

fn pids_in_each_pid_namespace() {
    let outer = Actor::spawn_in(&["user"]);
    outer.unshare(&["pid"]);
    let init = outer.fork();
    init.unshare(&["pid"]);
    let inner = init.fork();
    let process = process(&inner);
    let pids = &process.status.as_ref().unwrap().ns_pids;
    assert_eq!(pids[..], [Pid(inner.pid()), pids[1], Pid(1)]);
    assert_ne!(pids[1], Pid(1), "the outer namespace has another first process");
}

fn id_maps() {
    let actor = Actor::spawn_in(&["user"]);
    let snapshot = discover_everything();
    let namespace = namespace(&snapshot, actor.ns_inode("user"));
    for (map, file) in [(&namespace.uid_map, "uid_map"), (&namespace.gid_map, "gid_map")] {
        let text = fs::read_to_string(format!("/proc/{}/{file}", actor.pid())).unwrap();
        let map = map.as_ref().unwrap();
        let lines: Vec<_> = map.iter().map(|line| (line.inside, line.outside, line.count)).collect();
        let expected: Vec<_> = text
            .lines()
            .map(|line| line.split_whitespace().map(|number| number.parse().unwrap()).collect::<Vec<u32>>())
            .map(|line| (line[0], line[1], line[2]))
            .collect();
        assert_eq!(lines, expected);
    }
}

fn time_offsets() {
    let actor = Actor::spawn_in(&["user"]);
    if actor.try_unshare(&["time"]).is_err() {
        return;
    }
    actor.write_file("/proc/self/timens_offsets", b"monotonic 86400 5\nboottime -1 0\n");
    let child = actor.fork();
    let snapshot = discover_everything();
    let namespace = namespace(&snapshot, child.ns_inode("time"));
    let offsets = namespace.time_offsets.unwrap();
    assert_eq!(offsets.monotonic, (86400, 5));
    assert_eq!(offsets.boottime, (-1, 0));
    assert_eq!(namespace.parent, Relation::None);
}

fn scheduling_of_threads() {
    let actor = Actor::spawn();
    actor.set_nice(5);
    let thread = actor.thread();
    thread.set_scheduler(Scheduler::Batch, 0);
    thread.set_nice(7);
    thread.set_affinity(&[0]);
    let process = process(&actor);
    let [main, other] = &process.tasks[..] else { panic!("{:?}", process.tasks) };
    assert_eq!(main.scheduling, Some(Scheduling { policy: 0, priority: 0, nice: 5 }));
    assert_eq!(other.tid, Tid(thread.tid()));
    assert_eq!(other.scheduling, Some(Scheduling { policy: 3, priority: 0, nice: 7 }));
    assert_eq!(other.affinity.as_deref(), Some(&[CpuRange { first: 0, last: 0 }][..]));
    assert!(main.affinity.as_ref().is_some_and(|ranges| !ranges.is_empty()));
}

fn what_is_not_asked_is_unknown() {
    let actor = Actor::spawn();
    let snapshot = super::discover();
    let process = &snapshot.processes[&Pid(actor.pid())];
    assert!(process.status.is_none() && process.command_line.is_none());
    let main = process.main_task();
    assert!(main.cgroups.is_none() && main.freezer.is_none() && main.scheduling.is_none() && main.affinity.is_none());
    assert!(snapshot.suspects.is_empty() && snapshot.host.cpus_online.is_none());
}

/// A process that seccomp has ended is a zombie with a mode of its own (`SECCOMP_MODE_DEAD`), and its status is readable.
fn ended_by_seccomp() {
    let mut command = std::process::Command::new("true");
    lxkns_fixture::deny::end_by_seccomp(&mut command);
    let mut child = command.spawn().unwrap();
    let options = rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT;
    let id = || rustix::process::WaitId::Pid(rustix::process::Pid::from_child(&child));
    let ended = rustix::io::retry_on_intr(|| rustix::process::waitid(id(), options)).unwrap().unwrap();
    assert!(ended.killed(), "{ended:?}");
    let text = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let says = text.lines().find_map(|line| line.strip_prefix("Seccomp:")).unwrap().trim().parse().unwrap();
    let snapshot = discover_everything();
    child.wait().unwrap();
    let pid = Pid(child.id());
    let status = snapshot.processes[&pid].status.as_ref().expect("a readable status");
    assert_eq!((status.seccomp, status.seccomp.is_some()), (Seccomp::from_number(says), true), "{says}");
    let gaps: Vec<_> = snapshot.gaps.iter().filter(|gap| gap.cause == Cause::Malformed).collect();
    assert!(!gaps.iter().any(|gap| gap.object == Object::Process(pid)), "{gaps:?}");
}

/// The first process of a PID namespace gives up its other namespaces, then waits for all others in there to be reaped,
/// and only then counts as dead: here until whoever traces one of them has gone.
fn exiting() {
    let tracer = Actor::spawn_in(&["user"]);
    let outside = tracer.fork();
    outside.unshare(&["pid", "net"]);
    let init = outside.fork();
    let traced = init.fork();
    tracer.seize(traced.pid());
    let pid_ns = init.ns_inode("pid");
    let pid = rustix::process::Pid::from_raw(init.pid() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let link = |name| fs::read_link(format!("/proc/{}/ns/{name}", init.pid()));
    while link("net").is_ok() {
        std::thread::yield_now();
    }
    let judge = |snapshot: &lxkns_core::Snapshot| {
        let process = snapshot.processes.get(&Pid(init.pid())).expect("a process that exits is still there");
        assert!(!process.main_task().state.is_dead());
        assert_eq!(process.namespaces.get(NamespaceType::Pid).map(|id| id.ino), Some(pid_ns));
        assert_eq!(process.namespaces.get(NamespaceType::Net), None, "it has given that up");
        let holders = &namespace(snapshot, pid_ns).holders;
        assert!(holders.contains(&Holder::Process { pid: process.pid }), "{holders:?}");
    };
    judge(&super::discover());
    judge(&discover_everything());
    assert!(link("pid").is_ok() && link("net").is_err(), "the kernel says so, too");
    let ran = super::program::run_lxkns(["ls", &format!("{}/net", init.pid())]);
    ran.fails(1, " has exited and is no longer in a namespace of this type");
    let shown = super::program::run_lxkns(["show", &init.pid().to_string()]);
    let line = shown.text().lines().find(|line| line.trim_start().starts_with("net ")).unwrap();
    assert!(line.contains("none: it has exited"), "{line}");
    drop(tracer);
}

/// `execve(2)` in a thread that is not the first: for a moment the first is dead, the other is listed, and then neither by
/// the number that it was listed by.
fn executing() {
    const DURATION: Duration = Duration::from_secs(3);
    let actor = Actor::spawn_in(&["user", "net"]);
    let (pid, net) = (Pid(actor.pid()), actor.ns_inode("net"));
    actor.exec_without_end();
    let mut options = DiscoveryOptions::namespaces();
    options.places = [Place::Processes, Place::Tasks].into_iter().collect();
    let (mut looks, began) = (0, Instant::now());
    while began.elapsed() < DURATION {
        let snapshot = lxkns_core::Discovery::of_host().unwrap().run(&options).unwrap();
        looks += 1;
        let is_told = snapshot.gaps.iter().any(|gap| gap.object == Object::Process(pid));
        let process = snapshot.processes.get(&pid);
        let seen = process.and_then(|process| process.namespaces.get(NamespaceType::Net)).map(|id| id.ino);
        assert!(is_told || seen == Some(net), "look {looks}: {process:?}");
    }
    eprintln!("{looks} looks");
    assert!(actor.is_alive() && looks > 0);
}

fn named_ones_only() {
    let actor = Actor::spawn_in(&["user", "uts"]);
    let child = actor.fork();
    let mut options = DiscoveryOptions::namespaces();
    options.status = Scope::Named;
    options.command_lines = Scope::Named;
    let snapshot = lxkns_core::Discovery::of_host().unwrap().run(&options).unwrap();
    let [leader, other] = [&actor, &child].map(|actor| &snapshot.processes[&Pid(actor.pid())]);
    assert!(leader.status.is_some() && leader.command_line.is_some(), "it leads a namespace");
    assert!(other.status.is_none() && other.command_line.is_none(), "it does not");
}

/// A control group that goes with the test, and what it is in.
pub(super) struct Cgroup(pub(super) PathBuf);

impl Cgroup {
    pub(super) fn new(parent: &Path, name: &str) -> Self {
        let path = parent.join(format!("lxkns-test-{}-{name}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(super) fn write(&self, file: &str, text: &str) {
        fs::write(self.0.join(file), text).unwrap();
    }

    /// Waits, without end but for the test's own, until a file of it has this text in it.
    fn wait_for(&self, file: &str, text: &str) {
        while !fs::read_to_string(self.0.join(file)).unwrap().contains(text) {
            std::thread::yield_now();
        }
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Processes in it end with the actors; the directory can go once they are gone.
        let until = Instant::now() + Duration::from_secs(10);
        while Instant::now() < until {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::yield_now();
        }
        assert!(std::thread::panicking(), "{} is left behind: a process in it lives on", self.0.display());
    }
}

/// Where a hierarchy is mounted, by its file system type and a super option.
pub(super) fn hierarchy(fs_type: &str, option: &str) -> Option<PathBuf> {
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap();
    mountinfo.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let mut after = after.split(' ');
        let is_it = after.next() == Some(fs_type) && after.nth(1)?.split(',').any(|o| option.is_empty() || o == option);
        is_it.then(|| PathBuf::from(before.split(' ').nth(4).unwrap()))
    })
}

fn freezer(pid: u32) -> Freezer {
    discover_everything().processes[&Pid(pid)].main_task().freezer.expect("the freezer state can be read")
}

fn frozen_by_v1() {
    let inner = [("freezer.state", "FROZEN"), ("freezer.self_freezing", "1")];
    frozen(("cgroup", "freezer"), "freezer.state", ["FROZEN", "THAWED"], inner);
}

fn frozen_by_v2() {
    frozen(("cgroup2", ""), "cgroup.freeze", ["1", "0"], [("cgroup.events", "frozen 1"); 2]);
}

/// A process is frozen from above and by its own control group, by writing to `file`. `inner_says`: what a file of its own says once
/// each has happened.
fn frozen((fs_type, option): (&str, &str), file: &str, [freeze, thaw]: [&str; 2], inner_says: [(&str, &str); 2]) {
    let Some(mounted) = hierarchy(fs_type, option) else {
        eprintln!("no {fs_type} {option} here");
        return;
    };
    let outer = Cgroup::new(&mounted, fs_type);
    let inner = Cgroup::new(&outer.0, "inner");
    let actor = Actor::spawn();
    let pid = actor.pid();
    inner.write("cgroup.procs", &pid.to_string());
    assert_eq!(freezer(pid), Freezer { own: false, effective: false });
    let [from_above, by_itself] = inner_says;
    outer.write(file, freeze);
    inner.wait_for(from_above.0, from_above.1);
    assert_eq!(freezer(pid), Freezer { own: false, effective: true }, "frozen from above");
    inner.write(file, freeze);
    inner.wait_for(by_itself.0, by_itself.1);
    assert_eq!(freezer(pid), Freezer { own: true, effective: true });
    for group in [&inner, &outer] {
        group.write(file, thaw);
    }
    drop(actor);
}
