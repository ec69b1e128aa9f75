//! What tasks and mounts do is followed as it happens, and nothing of that is lost without being counted.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use lxkns_core::model::{
    EventSource, Host, LostEvents, Namespace, NamespaceId, NamespaceType, TaskEvent, TaskEventKind,
};
use lxkns_core::{DiscoveryOptions, EventOptions, Events, ProcRoot, Snapshot, Woken};
use lxkns_fixture::deny::{self, deny};
use lxkns_fixture::{Actor, Open, probe};
use rustix::io::Errno;
use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};

use super::cli::watch::{NEVER, Watch};
use super::program::run_lxkns;
use super::{directory, own_inode};
use crate::harness::Need::{File, Kernel, Program, Root, UserNamespaces};
use crate::harness::{Need, Test, alone, alone_through, lxkns, test};

/// The kernel's description of its structures, which the programs need.
const BTF: &str = "/sys/kernel/btf/vmlinux";
/// Longer than anything takes.
const LONG: Duration = Duration::from_secs(60);

pub(super) fn tests() -> Vec<Test> {
    const BPF: &[Need] = &[Root, File(BTF), Kernel(5, 8)];
    vec![
        test("events::every_program_is_seen", BPF, every_program_is_seen),
        test("events::every_fork_and_exit_is_seen_or_counted", BPF, every_fork_and_exit_is_seen_or_counted),
        test("events::by_the_process_connector", &[Root, Program("setpriv")], by_the_process_connector),
        test("events::who_does_not_take_them_loses_some", BPF, who_does_not_take_them_loses_some),
        test("events::who_is_stopped_loses_some", BPF, who_is_stopped_loses_some),
        test("events::a_wait_ends", &[UserNamespaces], a_wait_ends),
        test("events::a_namespace_of_a_moment", &[Root, File(BTF), Kernel(6, 18)], a_namespace_of_a_moment),
        test("events::there_and_back", &[Root, File(BTF), Kernel(6, 18)], there_and_back),
        test("events::behind_a_dead_leader", BPF, behind_a_dead_leader),
        test("events::in_a_pid_namespace", &[Root, File(BTF), Program("nsenter"), Kernel(5, 8)], in_a_pid_namespace),
        test("events::the_next_best_source", &[Root], the_next_best_source),
        test("events::nothing_stays", BPF, nothing_stays),
        test("events::nobody_reads", &[UserNamespaces], nobody_reads),
        test("events::mounts_of_others", &[Root, Kernel(6, 15)], mounts_of_others),
        test(
            "events::mounts_behind_a_used_number",
            &[Root, Kernel(6, 15), Program("unshare")],
            mounts_behind_a_used_number,
        ),
        test("events::a_flood_wakes_no_more_often", BPF, a_flood_wakes_no_more_often),
        test("events::own_mounts", &[Root, Program("nsenter")], own_mounts),
        test("events::the_doctor_knows", &[Root], the_doctor_knows),
        test("events::usage", &[UserNamespaces], usage),
    ]
}

fn start(options: &EventOptions, source: EventSource) -> Events {
    let events = Events::start(&ProcRoot::host().unwrap(), options).unwrap();
    assert_eq!(events.source(), Some(source), "{:?}", events.refusals());
    events
}

/// Takes events until these are enough.
fn take_until(events: &Events, is_enough: impl Fn(&[TaskEvent], LostEvents) -> bool) -> (Vec<TaskEvent>, LostEvents) {
    let (mut all, mut lost) = (Vec::new(), LostEvents::default());
    let deadline = Instant::now() + LONG;
    while !is_enough(&all, lost) {
        assert_eq!(events.wait(Some(deadline)), Woken::Ready, "{} events, {lost:?}", all.len());
        let batch = events.take();
        assert_eq!(batch.failed, None);
        all.extend(batch.tasks);
        lost.add(batch.lost);
    }
    (all, lost)
}

/// A process from its first event on: PIDs are used again.
#[derive(Debug)]
struct Seen {
    pid: u32,
    /// Its user namespace when it began.
    user: Option<u64>,
    kinds: Vec<TaskEventKind>,
}

/// What was seen of each process, in its order.
fn by_process(events: &[TaskEvent]) -> Vec<Seen> {
    let (mut all, mut last) = (Vec::<Seen>::new(), BTreeMap::new());
    for event in events.iter().filter(|event| event.pid.0 == event.tid.0) {
        let begins = event.kind == TaskEventKind::Fork;
        let known = last.get(&event.pid).copied().filter(|_| !begins);
        let index = known.unwrap_or_else(|| {
            let user = event.namespace(NamespaceType::User).filter(|_| begins).map(|seen| seen.ino);
            all.push(Seen { pid: event.pid.0, user, kinds: Vec::new() });
            all.len() - 1
        });
        last.insert(event.pid, index);
        all[index].kinds.push(event.kind);
    }
    all
}

/// Runs programs one after the other, and checks that all that they did is seen or counted as lost.
fn run_programs(events: &Events) -> Vec<TaskEvent> {
    const COUNT: usize = 50;
    let run = || {
        let mut child = Command::new("true").spawn().unwrap();
        assert!(child.wait().unwrap().success());
        child.id()
    };
    let pids: Vec<_> = (0..COUNT).map(|_| run()).collect();
    let ends = |events: &[TaskEvent]| {
        let of_ours = |event: &&TaskEvent| event.kind == TaskEventKind::Exit && pids.contains(&event.tid.0);
        events.iter().filter(of_ours).count()
    };
    let is_lost = |lost: LostEvents| lost.counted > 0 || lost.more;
    let (seen, lost) = take_until(events, |events, lost| ends(events) == COUNT || is_lost(lost));
    let of_ours: Vec<_> = by_process(&seen).into_iter().filter(|seen| pids.contains(&seen.pid)).collect();
    if is_lost(lost) {
        assert!(
            lost.more
                || of_ours.iter().map(|seen| seen.kinds.len()).sum::<usize>() as u64 + lost.counted >= 3 * COUNT as u64
        );
    } else {
        assert_eq!(of_ours.len(), COUNT);
        for Seen { kinds, .. } in of_ours {
            assert_eq!(kinds[..], [TaskEventKind::Fork, TaskEventKind::Exec, TaskEventKind::Exit]);
        }
    }
    seen.into_iter().filter(|event| pids.contains(&event.pid.0)).collect()
}

fn every_program_is_seen() {
    let before = std::time::SystemTime::now() - Duration::from_secs(1);
    let events = start(&EventOptions::default(), EventSource::Bpf);
    for event in run_programs(&events) {
        for ns_type in NamespaceType::ALL.into_iter().filter(|ns_type| probe::has_namespace_type(ns_type.name())) {
            let seen = event.namespace(ns_type).unwrap_or_else(|| panic!("no {ns_type} in {event:?}"));
            assert_eq!(seen.ino, own_inode(ns_type.name()), "{event:?}");
            assert_eq!(seen.unique_id.is_some(), probe::kernel_at_least(6, 18), "{event:?}");
        }
        assert!(event.time > before && event.time < std::time::SystemTime::now() + Duration::from_secs(1), "{event:?}");
        if event.kind != TaskEventKind::Fork {
            assert_eq!(event.comm(), Some(&b"true"[..]));
        }
    }
}

/// An actor that has forked so many children, which changed their namespaces and ended; and its user namespace.
fn churn(count: u32) -> (Actor, u64) {
    let actor = Actor::spawn_in(&["user"]);
    actor.begin_churn(count);
    // Answers when that is done.
    actor.set_comm(b"exe");
    let user = actor.ns_inode("user");
    (actor, user)
}

/// What is seen of the children of an actor: how many began in its user namespace, and how many events they made.
fn of_children(events: &[TaskEvent], user: u64) -> (usize, usize) {
    let children = by_process(events).into_iter().filter(|seen| seen.user == Some(user));
    children.fold((0, 0), |(count, did), seen| (count + 1, did + seen.kinds.len()))
}

fn every_fork_and_exit_is_seen_or_counted() {
    const COUNT: u32 = 300;
    let events = start(&EventOptions::default(), EventSource::Bpf);
    let (_actor, user) = churn(COUNT);
    let all = 2 * COUNT as usize;
    let is_lost = |lost: LostEvents| lost.counted > 0;
    let (seen, lost) = take_until(&events, |seen, lost| of_children(seen, user).1 >= all || is_lost(lost));
    let (began, did) = of_children(&seen, user);
    if is_lost(lost) {
        assert!(did as u64 + lost.counted >= all as u64, "{did} were seen, {lost:?}");
    } else {
        assert_eq!((began, did), (COUNT as usize, all));
    }
}

fn by_the_process_connector() {
    let without = ["setpriv", "--bounding-set", "-bpf,-perfmon,-sys_admin", "--inh-caps", "-bpf,-perfmon,-sys_admin"];
    alone_through(&without, "events::by_the_process_connector", || {
        let events = start(&EventOptions::default(), EventSource::Connector);
        assert_eq!(events.refusals()[0].source, EventSource::Bpf);
        let seen = run_programs(&events);
        // What could be read is right; the rest came too late.
        for seen in seen.iter().filter_map(|event| event.namespace(NamespaceType::Net)) {
            assert_eq!((seen.ino, seen.unique_id), (own_inode("net"), None));
        }
    });
}

fn who_does_not_take_them_loses_some() {
    const COUNT: u32 = 200;
    let mut options = EventOptions::default();
    options.most_waiting = 64;
    let events = start(&options, EventSource::Bpf);
    let (_actor, user) = churn(COUNT);
    let most = u64::from(2 * COUNT);
    let (seen, lost) = take_until(&events, |seen, lost| seen.len() as u64 + lost.counted >= most);
    assert!(lost.counted > 0, "{} were seen", seen.len());
    let of_ours = of_children(&seen, user).1;
    assert!(of_ours <= 2 * 64, "{of_ours} waited");
}

/// The program does not run, so the kernel's own buffer is full.
fn who_is_stopped_loses_some() {
    let mut watch = Watch::start(&["--events", "--json", "--interval", NEVER]);
    kill_process(watch.pid(), Signal::STOP).unwrap();
    // As many tasks begin and end as there is no room for.
    for _ in 0..2 {
        Actor::spawn_in(&["user"]).idle_threads(2000);
    }
    let actor = Actor::spawn_in(&["user"]);
    let user = actor.ns_inode("user");
    kill_process(watch.pid(), Signal::CONT).unwrap();
    let lost = loop {
        let line = watch.next();
        if line["change"] == "lost" {
            break line;
        }
    };
    assert!(lost["lost-events"].as_u64().is_some_and(|count| count > 0), "{lost}");
    assert!(lost["text"].as_str().is_some_and(|text| text.contains("lost: what appeared and ended")), "{lost}");
    // It goes on.
    drop(actor);
    watch.told_end(user);
}

fn a_wait_ends() {
    let events = Events::start(&ProcRoot::host().unwrap(), &EventOptions::default()).unwrap();
    let events = std::sync::Arc::new(events);
    let canceller = std::sync::Arc::clone(&events);
    let waiting = std::thread::spawn(move || {
        loop {
            match events.wait(None) {
                Woken::Ready => drop(events.take()),
                woken => return woken,
            }
        }
    });
    canceller.cancel();
    assert_eq!(waiting.join().unwrap(), Woken::Cancelled);
    // What happens meanwhile is no reason to wait longer.
    let deadline = Instant::now() + Duration::from_millis(50);
    while canceller.wait(Some(deadline)) == Woken::Ready {
        canceller.take();
    }
    assert!(Instant::now() >= deadline);
}

fn a_namespace_of_a_moment() {
    // Where another program has it open just then, it is said to live, and to have ended at the interval.
    let mut watch = Watch::start(&["--events", "--json", "--interval", "5", "-t", "uts"]);
    let actor = Actor::spawn_in(&["user"]);
    let mut only_by_events = 0;
    for _ in 0..20 {
        let child = actor.fork();
        child.unshare(&["uts"]);
        let id = lxkns_sys::ns_get_id(child.open_ns("uts")).unwrap();
        let (ino, pid) = (child.ns_inode("uts"), child.pid());
        drop(child);
        let mut told = |changes: &[&str]| loop {
            let line = watch.told_any(ino, changes);
            // Numbers are used again at once.
            if line["namespace"]["unique-id"] == id {
                return line;
            }
        };
        let appeared = told(&["appeared"]);
        let ended = told(&["went", "vanished"]);
        if appeared.get("holders").is_none() {
            only_by_events += 1;
            let process = json!({"pid": pid, "command": "exe"});
            assert_eq!((&appeared["process"], &ended["process"]), (&process, &process));
            assert!(appeared["time"].as_str() <= ended["time"].as_str(), "{appeared} {ended}");
        }
    }
    assert!(only_by_events > 0, "scans are taken because of events, which is after the end here");
}

fn there_and_back() {
    let mut watch = Watch::start(&["--events", "--syscalls", "--json", "--interval", NEVER, "-t", "uts"]);
    let actor = Actor::spawn_in(&["user", "uts"]);
    let home = actor.open("/proc/self/ns/uts", Open::ReadOnly);
    actor.unshare(&["uts"]);
    let id = lxkns_sys::ns_get_id(actor.open_ns("uts")).unwrap();
    let ino = actor.ns_inode("uts");
    actor.setns(home, "uts");
    loop {
        let line = watch.told(ino, "appeared");
        if line["namespace"]["unique-id"] == id {
            break;
        }
    }
    watch.told_end(ino);
}

/// The last task of a process need not be its first one.
fn behind_a_dead_leader() {
    let actor = Actor::spawn_in(&["user", "uts"]);
    let thread = actor.thread();
    let uts = actor.ns_inode("uts");
    actor.exit_main_thread();
    let mut watch = Watch::start(&["--events", "--json", "--interval", NEVER, "-t", "uts"]);
    drop(thread);
    watch.told_end(uts);
}

/// The PIDs of events are those of the caller's PID namespace, and tasks outside are none.
fn in_a_pid_namespace() {
    let outer = Actor::spawn_in(&["mnt", "pid"]);
    let init = outer.fork();
    init.mount("proc", "/proc");
    let mut command = Command::new("nsenter");
    command.args(["-t", &init.pid().to_string(), "-p", "-m", "--"]).arg(lxkns().get_program());
    let mut watch = Watch::start_by(&mut command, &["--events", "--json", "--interval", NEVER, "-t", "uts"]);
    let outside = Actor::spawn_in(&["user", "uts"]);
    let far = outside.ns_inode("uts");
    drop(outside);
    let inside = init.fork();
    inside.unshare(&["uts"]);
    let ino = inside.ns_inode("uts");
    let status = std::fs::read_to_string(format!("/proc/{}/status", inside.pid())).unwrap();
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap();
    let number: u64 = numbers.split_whitespace().last().unwrap().parse().unwrap();
    drop(inside);
    loop {
        let line = watch.next();
        // Another namespace can have had the number outside.
        if line["namespace"]["nsid"] == ino && line["change"] == "appeared" {
            let pid = line["process"]["pid"].as_u64().or_else(|| line["namespace"]["leaders"][0].as_u64());
            assert_eq!(pid, Some(number), "{line}");
            break;
        }
        assert!(far == ino || line["namespace"]["nsid"] != far, "{line}");
    }
}

fn the_next_best_source() {
    let denied = |interfaces: &[&deny::Interface], errno: Errno| {
        let mut command = lxkns();
        deny(&mut command, interfaces, errno.raw_os_error()).unwrap();
        command
    };
    for errno in [Errno::PERM, Errno::NOSYS] {
        let never = ["--events", "--json", "--interval", NEVER, "-t", "uts"];
        let mut watch = Watch::start_by(&mut denied(&[&deny::BPF], errno), &never);
        let said = watch.said().to_owned();
        assert!(said.contains("task events come from the process connector"), "{said}");
        assert!(said.contains("by events from the process connector, and every "), "{said}");
        let actor = Actor::spawn_in(&["user", "uts"]);
        // The connector does not tell that a process goes elsewhere, but when one begins there.
        let _child = actor.fork();
        watch.told(actor.ns_inode("uts"), "appeared");
    }
    let often = ["--events", "--json", "--interval", "0.05", "-t", "uts"];
    let mut watch = Watch::start_by(&mut denied(&[&deny::BPF, &deny::CONNECTOR], Errno::PERM), &often);
    let said = watch.said().to_owned();
    assert!(said.contains("no task events, so scans are at the interval only; BPF: denied by lockdown"), "{said}");
    assert!(said.contains("the process connector: denied (EPERM)"), "{said}");
    let actor = Actor::spawn_in(&["user", "uts"]);
    watch.told(actor.ns_inode("uts"), "appeared");
}

/// The IDs of the programs that a process has at the kernel's tracepoints.
fn programs_of(pid: u32) -> Vec<u32> {
    let directory = format!("/proc/{pid}/fdinfo");
    // It opens and closes others.
    let texts =
        std::fs::read_dir(directory).unwrap().filter_map(|entry| std::fs::read_to_string(entry.ok()?.path()).ok());
    let id = |text: String| text.lines().find_map(|line| line.strip_prefix("prog_id:\t").map(str::to_owned));
    texts.filter_map(id).map(|id| id.trim().parse().unwrap()).collect()
}

fn nothing_stays() {
    for signal in [Signal::KILL, Signal::INT] {
        let mut watch = Watch::start(&["--events", "--syscalls", "--json"]);
        let pid = watch.pid().as_raw_nonzero().get() as u32;
        let programs = programs_of(pid);
        assert!(programs.len() >= 4, "{programs:?}");
        assert!(programs.iter().all(|&id| probe::has_bpf_program(id).unwrap()));
        kill_process(watch.pid(), signal).unwrap();
        watch.end();
        // The kernel takes them down when nobody runs them any more.
        let deadline = Instant::now() + LONG;
        while programs.iter().any(|&id| probe::has_bpf_program(id).unwrap()) {
            assert!(Instant::now() < deadline, "{programs:?} are still there");
            std::thread::yield_now();
        }
    }
}

fn nobody_reads() {
    let mut watch = Watch::start(&["--events", "--interval", NEVER]);
    watch.stop_reading();
    assert_eq!(watch.end().0.code(), Some(0));
}

/// An actor that has bind-mounted the UTS namespace that it then left, in a mount namespace of its own; and where.
fn with_mounted_namespace(path: &std::path::Path) -> (Actor, u64) {
    let actor = Actor::spawn_in(&["mnt", "uts"]);
    actor.touch(path);
    actor.bind("/proc/self/ns/uts", path);
    let uts = actor.ns_inode("uts");
    actor.unshare(&["uts"]);
    (actor, uts)
}

/// What only a mount holds is seen to end without a scan at an interval, and without the mount namespace being held.
fn mounts_of_others() {
    let directory = directory();
    let path = directory.path().join("uts");
    let (actor, uts) = with_mounted_namespace(&path);
    let mnt = actor.ns_inode("mnt");
    let mut watch = Watch::start(&["--events", "--json", "--interval", NEVER, "-t", "uts,mnt"]);
    actor.umount(&path);
    watch.told_end(uts);
    drop(actor);
    watch.told_end(mnt);
}

/// A mount namespace has the number of one that has ended since it was asked last: its mounts are followed too.
fn mounts_behind_a_used_number() {
    // Nothing else is mounted where the events are followed.
    let private = ["unshare", "--mount", "--propagation", "private"];
    alone_through(&private, "events::mounts_behind_a_used_number", || {
        let directory = directory();
        let mut events = Events::start(&ProcRoot::host().unwrap(), &EventOptions::default()).unwrap();
        let actors = [(); 8].map(|()| Actor::spawn_in(&["mnt"]));
        let of = |actor: &Actor| {
            let id = NamespaceId { ino: actor.ns_inode("mnt"), dev: 0 };
            let mut namespace = Namespace::new(id, NamespaceType::Mnt);
            namespace.unique_id = Some(lxkns_sys::ns_get_mntns_id(actor.open_ns("mnt")).unwrap());
            namespace
        };
        let mut watch = |namespaces: &[Namespace]| {
            let mut snapshot = Snapshot::empty(DiscoveryOptions::namespaces(), Host::default(), SystemTime::UNIX_EPOCH);
            snapshot.namespaces = namespaces.iter().map(|namespace| (namespace.id, namespace.clone())).collect();
            let holder = |id: NamespaceId| actors.iter().find(|actor| actor.ns_inode("mnt") == id.ino);
            events.watch_mounts(&snapshot, |id| Some(holder(id)?.open_ns("mnt").into()))
        };
        let before = actors.each_ref().map(of);
        assert!(watch(&before) && !watch(&before));
        // The kernel gives the lowest number that is free: often one that another actor has just left.
        let deadline = Instant::now() + LONG;
        let leaves = |actor: &&Actor| {
            assert!(Instant::now() < deadline, "none of these numbers is used again: {before:?}");
            actor.unshare(&["mnt"]);
            before.iter().any(|namespace| namespace.id.ino == actor.ns_inode("mnt"))
        };
        let actor = actors.iter().cycle().find(leaves).expect("there are some");
        assert!(watch(&[of(actor)]), "it is another one");
        actor.make_mounts_private();
        events.take();
        actor.mount("tmpfs", directory.path());
        loop {
            assert_eq!(events.wait(Some(deadline)), Woken::Ready);
            if events.take().mounts_changed {
                return;
            }
        }
    });
}

/// However much happens, the thread that reads events is woken no more often than it waits in between.
fn a_flood_wakes_no_more_often() {
    alone("events::a_flood_wakes_no_more_often", || {
        const COUNT: u32 = 400;
        let events = start(&EventOptions::default(), EventSource::Bpf);
        let tasks = || std::fs::read_dir("/proc/self/task").unwrap().flatten().map(|task| task.path());
        let is_reader = |task: &std::path::PathBuf| std::fs::read(task.join("comm")).unwrap() == b"lxkns-events\n";
        // It has this name once it runs.
        let reader = std::iter::repeat_with(|| tasks().find(is_reader)).flatten().next().unwrap();
        let woken = || -> u128 {
            let status = std::fs::read_to_string(reader.join("status")).unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
            line.trim().parse().unwrap()
        };
        let (before, began) = (woken(), Instant::now());
        let (_actor, user) = churn(COUNT);
        let all = 2 * COUNT as usize;
        let (seen, lost) =
            take_until(&events, |seen, lost| of_children(seen, user).1 as u64 + lost.counted >= all as u64);
        let (times, elapsed) = (woken() - before, began.elapsed().as_millis());
        // It waits twice each time: for events, and for those that come next.
        assert!(times <= 2 * (elapsed / 5 + 10), "{times} times in {elapsed} ms, for {} events", seen.len());
        assert!(of_children(&seen, user).1 > 0, "{lost:?}");
    });
}

fn own_mounts() {
    let directory = directory();
    let path = directory.path().join("uts");
    let (actor, uts) = with_mounted_namespace(&path);
    let mut command = Command::new("nsenter");
    command.args(["-t", &actor.pid().to_string(), "-m", "--"]).arg(lxkns().get_program());
    let mut watch = Watch::start_by(&mut command, &["--events", "--json", "--interval", NEVER, "-t", "uts"]);
    actor.umount(&path);
    watch.told_end(uts);
}

fn the_doctor_knows() {
    let events = |command: &mut Command| -> Value {
        let ran = super::program::run(command.args(["doctor", "--json"]));
        ran.answer()["events"].clone()
    };
    if std::path::Path::new(BTF).exists() {
        assert_eq!(events(&mut lxkns()), json!({"source": "bpf", "why-not": []}));
    }
    let mut denied = lxkns();
    deny(&mut denied, &[&deny::BPF], Errno::PERM.raw_os_error()).unwrap();
    let told = events(&mut denied);
    assert_eq!((&told["source"], &told["why-not"][0]["source"]), (&json!("connector"), &json!("bpf")), "{told}");
    let text = run_lxkns(["doctor"]).ok().text().to_owned();
    assert!(text.contains("\nevents "), "{text}");
}

fn usage() {
    run_lxkns(["watch", "--syscalls"]).fails(2, "--events");
}
