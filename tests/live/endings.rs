//! PID namespaces that do not end: what `why`, `show` and `orphans` say, and that the kernel ends them when it is done.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lxkns_fixture::fuse::{DeadFuse, Death};
use lxkns_fixture::{Actor, Open};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::directory;
use super::program::run_lxkns;
use crate::harness::Need::{File, FileSystem, Root, UserNamespaces};
use crate::harness::{Test, test};

const CONNECTIONS: &str = "/sys/fs/fuse/connections";

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("endings::init_not_waited_for", &[UserNamespaces], init_not_waited_for),
        test("endings::zombie_of_a_parent_outside", &[UserNamespaces], zombie_of_a_parent_outside),
        test("endings::traced", &[UserNamespaces], traced),
        test("endings::waits_for_fuse", &[Root, FileSystem("fuse"), File(CONNECTIONS)], waits_for_fuse),
        test("endings::living", &[UserNamespaces], living),
    ]
}

fn kill(pid: u32) {
    kill_process(Pid::from_raw(pid as i32).unwrap(), Signal::KILL).unwrap();
}

/// The state of a process, by the kernel.
fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

#[track_caller]
fn wait(what: &str, is_so: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < until, "{what}");
        std::thread::yield_now();
    }
}

/// What is said of the end of a PID namespace, by all commands alike.
#[track_caller]
fn ending(ino: u64) -> Value {
    let target = format!("pid:{ino}");
    let why = run_lxkns(["why", "--json", &target]).ok().answer_to("why")[0]["ending"].clone();
    let show = run_lxkns(["show", "--json", &target]).ok().answer_to("show")[0]["namespace"]["ending"].clone();
    assert_eq!(why["init"]["pid"], show["init"]["pid"], "{why:#} {show:#}");
    let orphans = run_lxkns(["orphans", "-t", "pid", "--json"]).ok().answer_to("orphans");
    let orphan = orphans.as_array().unwrap().iter().find(|orphan| orphan["namespace"]["nsid"] == ino);
    let orphan = orphan.unwrap_or_else(|| panic!("{ino} is not in {orphans:#}"));
    assert_eq!(orphan["ending"]["init"]["pid"], why["init"]["pid"]);
    let text = run_lxkns(["why", &target]).ok().text().to_owned();
    assert!(text.contains("does not end: its init, process"), "{text}");
    why
}

/// A PID namespace: who has made it, and its first process; and a process beside the first.
fn namespace() -> (Actor, Actor, Actor, u64) {
    let top = Actor::spawn_in(&["user"]);
    let (beside, parent) = (top.fork(), top.fork());
    parent.unshare(&["pid"]);
    parent.keep_children();
    beside.keep_children();
    let init = parent.fork();
    let ino = init.ns_inode("pid");
    (parent, init, beside, ino)
}

#[track_caller]
fn assert_gone(pids: &[u32]) {
    for &pid in pids {
        wait("it does not end", || state(pid).is_none());
    }
}

/// What is said of a process that has exited or is about to: its credentials are there, and nothing comes of them.
#[track_caller]
fn can_do_nothing(process: &Actor) {
    let pid = process.pid();
    let explained = run_lxkns(["explain", "--json", "-p", &pid.to_string(), "fork"]);
    assert_eq!(
        (explained.code, &explained.answer()["obstacles"][0]["kind"]),
        (Some(4), &json!("exited")),
        "{explained:?}"
    );
    let audit = run_lxkns(["audit", &pid.to_string()]).ok();
    assert_eq!(audit.text(), format!("{pid}, it has ended, no finding\n"));
    let able = run_lxkns(["who-can", "--all", "kill", &format!("{}/user", std::process::id())]).ok();
    assert!(!able.text().split_whitespace().any(|word| word == pid.to_string()), "{able:?}");
}

fn init_not_waited_for() {
    let (parent, init, _beside, ino) = namespace();
    kill(init.pid());
    wait("no zombie", || state(init.pid()) == Some('Z'));
    let ending = ending(ino);
    assert_eq!((&ending["init"]["state"], &ending["init"]["parent"]), (&json!("Z"), &json!(parent.pid())));
    assert_eq!(ending["init"]["until"], format!("process {} waits for it, or exits", parent.pid()));
    assert_eq!(run_lxkns(["orphans", "-t", "pid", "--fail"]).code, Some(4));
    can_do_nothing(&init);
    kill(parent.pid());
    assert_gone(&[init.pid()]);
}

fn zombie_of_a_parent_outside() {
    let (parent, init, outside, ino) = namespace();
    outside.enter(&init.open_ns("pid"));
    let child = outside.fork();
    assert_eq!(child.ns_inode("pid"), ino);
    kill(child.pid());
    wait("no zombie", || state(child.pid()) == Some('Z'));
    kill(init.pid());
    wait("init does not wait", || is_exiting(init.pid()));
    let ending = ending(ino);
    can_do_nothing(&init);
    let waits = &ending["waits-for"][0];
    assert_eq!((&waits["pid"], &waits["state"]), (&json!(child.pid()), &json!("Z")), "{ending:#}");
    assert_eq!(waits["until"], format!("process {} waits for it, or exits", outside.pid()));
    if ending["init"]["wchan"].is_string() {
        assert_eq!(ending["init"]["wchan"], "zap_pid_ns_processes", "{ending:#}");
    }
    kill(outside.pid());
    assert_gone(&[child.pid()]);
    wait("init does not go on", || state(init.pid()) == Some('Z'));
    kill(parent.pid());
    assert_gone(&[init.pid()]);
}

/// Whether a process is on its way out, by the kernel's flags (`PF_EXITING`).
fn is_exiting(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let flags = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(6)?.parse::<u32>().ok());
    flags.is_some_and(|flags| flags & 4 != 0)
}

fn traced() {
    let (_parent, init, tracer, ino) = namespace();
    let child = init.fork();
    tracer.seize(child.pid());
    kill(init.pid());
    wait("no zombie", || state(child.pid()) == Some('Z'));
    wait("init does not wait", || is_exiting(init.pid()));
    let ending = ending(ino);
    let waits = &ending["waits-for"][0];
    assert_eq!((&waits["pid"], &waits["tracer"]), (&json!(child.pid()), &json!(tracer.pid())), "{ending:#}");
    assert_eq!(waits["until"], format!("process {} waits for it, or exits", tracer.pid()));
    kill(tracer.pid());
    assert_gone(&[child.pid()]);
    wait("init does not go on", || state(init.pid()) == Some('Z'));
}

fn waits_for_fuse() {
    let directory = directory();
    let parent = Actor::spawn();
    parent.keep_children();
    parent.unshare(&["mnt", "pid"]);
    parent.make_mounts_private();
    let fuse = DeadFuse::mount(&parent, directory.path(), Death::Unanswered);
    let init = parent.fork();
    let ino = init.ns_inode("pid");
    let stuck = init.fork();
    fuse.die();
    stuck.begin_open(directory.path().join("file"), Open::ReadOnly);
    fuse.wait_for_request();
    kill(init.pid());
    wait("it is not stuck", || state(stuck.pid()) == Some('D') && is_exiting(init.pid()));
    let ending = ending(ino);
    let waits = &ending["waits-for"][0];
    assert_eq!((&waits["pid"], &waits["state"]), (&json!(stuck.pid()), &json!("D")), "{ending:#}");
    assert_eq!(waits["because"].as_str().map(|it| it.contains("FUSE")), Some(true), "{ending:#}");
    // What is advised helps.
    let command = waits["command-to-run"].as_str().unwrap();
    let file = PathBuf::from(command.strip_prefix("echo 1 >").unwrap_or_else(|| panic!("{command}")));
    assert!(file.starts_with(Path::new(CONNECTIONS)));
    // Not every host has it mounted.
    parent.mount("fusectl", CONNECTIONS);
    parent.write_file(file, b"1\n");
    assert_gone(&[stuck.pid()]);
    wait("init does not go on", || state(init.pid()) == Some('Z'));
}

fn living() {
    let (_parent, init, _beside, ino) = namespace();
    let target = format!("pid:{ino}");
    let why = run_lxkns(["why", "--json", &target]).ok().answer_to("why");
    assert_eq!(why[0].get("ending"), None, "{why:#}");
    let orphans = run_lxkns(["orphans", "-t", "pid", "--json"]).ok().answer_to("orphans");
    assert!(orphans.as_array().unwrap().iter().all(|orphan| orphan["namespace"]["nsid"] != ino), "{orphans:#}");
    drop(init);
}
