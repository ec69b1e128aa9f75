//! Errors that name their cause, and what else is said instead of an error number.

use std::process::{Command, Stdio};

use lxkns_fixture::Actor;
use rustix::process::{Pid, Signal, WaitOptions};

use super::{Waiting, enter, is_terminated, planned, stands_still};
use crate::harness::Need::{File, FileSystem, Kernel, Program, Root, Unprivileged, UserNamespaces};
use crate::harness::{Test, lxkns, test};
use crate::live::directory;
use crate::live::program::run;

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("enter::causes::no_ids", &[UserNamespaces], no_ids),
        test("enter::causes::zombie", &[], zombie),
        test("enter::causes::dead_leader", &[UserNamespaces], dead_leader),
        test(
            "enter::causes::no_hierarchy",
            &[Root, FileSystem("cgroup2"), Program("unshare"), Program("umount")],
            no_hierarchy,
        ),
        test("enter::causes::pid_namespace_by_itself", &[UserNamespaces], pid_namespace_by_itself),
        test("enter::causes::own_network_without_its_owner", &[UserNamespaces, Unprivileged], own_network),
        test("enter::causes::children_elsewhere", &[Root, Program("unshare")], children_elsewhere),
        test("enter::causes::numbers_of_another_namespace", &[Root, Kernel(5, 6)], numbers_of_another_namespace),
        test("enter::causes::stopped_alone", &[UserNamespaces, Program("cat")], stopped_alone),
        test("enter::causes::interrupted", &[Root, FileSystem("fuse"), File("/dev/fuse")], interrupted),
    ]
}

fn no_ids() {
    let actor = Actor::spawn();
    actor.unshare(&["user"]);
    enter(actor.pid(), &[], &["true"]).fails(125, "no IDs yet");
}

/// It has ended, and its number still means it.
fn zombie() {
    let mut child = Command::new("true").stdout(Stdio::piped()).spawn().unwrap();
    // It has closed its end.
    std::io::Read::read_to_end(child.stdout.as_mut().unwrap(), &mut Vec::new()).unwrap();
    let options = rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT;
    rustix::process::waitid(rustix::process::WaitId::Pid(Pid::from_child(&child)), options).unwrap();
    let says = format!("it is a zombie until its parent, process {}, waits for it", std::process::id());
    enter(child.id(), &[], &["true"]).fails(125, &says);
    child.wait().unwrap();
}

/// A process whose first thread has ended is entered through another.
fn dead_leader() {
    let actor = Actor::spawn_in(&["user", "mnt", "uts"]);
    let thread = actor.thread();
    let uts = actor.ns_inode("uts");
    actor.exit_main_thread();
    let ran = enter(actor.pid(), &[], &["readlink", "/proc/self/ns/uts"]).ok();
    assert_eq!(ran.text().trim(), format!("uts:[{uts}]"));
    drop(thread);
}

fn no_hierarchy() {
    let hierarchy = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"]
        .into_iter()
        .find(|path| std::path::Path::new(path).join("cgroup.controllers").exists());
    let group = std::path::Path::new(hierarchy.unwrap()).join(format!("lxkns-test-causes-{}", std::process::id()));
    std::fs::create_dir(&group).unwrap();
    let actor = Actor::spawn_in(&["mnt"]);
    std::fs::write(group.join("cgroup.procs"), actor.pid().to_string()).unwrap();
    let program = format!("umount --recursive --lazy {} && exec \"$@\"", hierarchy.unwrap());
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &program, "sh"]).arg(lxkns().get_program());
    command.args(["enter", &actor.pid().to_string(), "--", "true"]);
    let ran = run(&mut command);
    drop(actor);
    for _ in 0..10_000 {
        if std::fs::remove_dir(&group).is_ok() {
            break;
        }
        std::thread::yield_now();
    }
    // No call has failed.
    let ran = ran.fails(125, ": it is not mounted for the caller; --no-cgroup stays outside");
    assert!(!ran.stderr.contains("(E"), "{ran:?}");
}

/// Whoever is in there could get at what a command has that is who the caller is.
fn pid_namespace_by_itself() {
    let outer = Actor::spawn_in(&["user", "pid"]);
    let inner = outer.fork();
    let pids = format!("{}/pid", inner.pid());
    run(lxkns().args(["enter", &pids, "--", "true"])).fails(125, "enter a process in it");
}

/// One's own network namespace, without the user namespace that owns it.
fn own_network() {
    let actor = Actor::spawn_in(&["user", "net"]);
    let ran = enter(actor.pid(), &["--only", "net"], &["true"]);
    let says = "without its user namespace, this needs CAP_SYS_ADMIN";
    assert!(ran.code == Some(125) && ran.problems().iter().any(|problem| problem.contains(says)), "{ran:?}");
    enter(actor.pid(), &["--only", "user,net"], &["true"]).ok();
    // Who shares its network needs no power over it.
    let actor = Actor::spawn_in(&["user"]);
    let ran = enter(actor.pid(), &["--only", "net"], &["true"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

fn children_elsewhere() {
    let actor = Actor::spawn_in(&["uts"]);
    let mut command = Command::new("unshare");
    command.arg("--pid").arg(lxkns().get_program()).args(["enter", &actor.pid().to_string(), "--", "true"]);
    run(&mut command).fails(125, "unshare --pid --fork");
}

/// What a command sees in `/proc` and does not act on is covered; its own directory is as it is.
fn numbers_of_another_namespace() {
    let directory = directory();
    let outer = Actor::spawn_in(&["mnt", "pid"]);
    let inner = outer.fork();
    inner.mount("proc", "/proc");
    inner.chdir(directory.path());
    let mounts = || std::fs::read(format!("/proc/{}/mountinfo", inner.pid())).unwrap();
    let before = mounts();
    let ran = enter(inner.pid(), &["--except", "pid"], &["ls", "-A", "/proc"]);
    assert_eq!((ran.code, ran.text()), (Some(0), ""), "{ran:?}");
    assert!(matches!(ran.problems()[..], [note] if note.contains("/proc is empty")), "{ran:?}");
    let ran = enter(inner.pid(), &["--privileged"], &["readlink", "/proc/self/ns/pid", "/proc/self/cwd"]);
    let own = crate::live::own_inode("pid");
    assert_eq!(ran.text(), format!("pid:[{own}]\n{}\n", directory.path().display()), "{ran:?}");
    assert_eq!(planned(inner.pid(), &["--privileged"], "cwd")[1], directory.path().to_str().unwrap());
    assert_eq!(mounts(), before, "nothing of it is to be seen there");
}

/// Who is asked to stop alone stops alone, with the command.
fn stopped_alone() {
    use std::os::unix::process::CommandExt as _;
    let actor = Actor::spawn_in(&["uts", "user"]);
    let beside = Waiting::start(Command::new("env").process_group(0));
    let group = beside.pid().cast_signed();
    let mut enter = lxkns();
    // It shares the caller's session: it may do what the caller may.
    let own = std::process::id().to_string();
    enter.args(["enter", &own, "--", "cat"]).process_group(group);
    let mut child = enter.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), b".").unwrap();
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut [0]).unwrap();
    let pid = Pid::from_child(&child);
    rustix::process::kill_process(pid, Signal::TSTP).unwrap();
    let stopped = rustix::process::waitpid(Some(pid), WaitOptions::UNTRACED).unwrap().unwrap().1;
    assert_eq!(stopped.stopping_signal(), Some(Signal::TSTP.as_raw()));
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", beside.pid())).unwrap();
    assert_ne!(stat.rsplit_once(')').unwrap().1.split_whitespace().next(), Some("T"), "{stat}");
    rustix::process::kill_process(pid, Signal::CONT).unwrap();
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    drop(actor);
}

/// While a step waits for ever, signals end the caller all the same.
fn interrupted() {
    let directory = directory();
    let actor = Actor::spawn_in(&["mnt"]);
    let (child, fuse) = stands_still(&actor, directory.path());
    is_terminated(child);
    drop(fuse);
}
