//! Processes whose first thread has exited: paths to them lead through a thread that lives, and what is said of them is
//! said of that thread.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lxkns_fixture::Actor;
use serde_json::Value;

use super::processes::{Cgroup, hierarchy};
use super::program::{Ran, run, run_lxkns, run_lxkns_with};
use super::{directory, inode, look_until};
use crate::harness::Need::{FileSystem, Program, Root, UserNamespaces};
use crate::harness::{Test, test};

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("dead_leaders::paths", &[UserNamespaces], paths),
        test("dead_leaders::paths_through_roots", &[UserNamespaces, FileSystem("tmpfs")], paths_through_roots),
        test("dead_leaders::advice", &[Root, FileSystem("tmpfs"), Program("umount")], advice),
        test("dead_leaders::control_groups", &[Root], control_groups),
        test("dead_leaders::credentials_and_command", &[Root], credentials_and_command),
        test("dead_leaders::zombies", &[Root, Program("cat")], zombies),
    ]
}

/// An actor in namespaces of its own whose first thread has exited, and the thread that is left.
struct Headless {
    actor: Actor,
    thread: Actor,
    inodes: BTreeMap<&'static str, u64>,
}

const TYPES: [&str; 6] = ["user", "mnt", "uts", "ipc", "net", "pid"];

fn headless() -> Headless {
    let actor = Actor::spawn_in(&["user", "mnt", "uts", "ipc", "net"]);
    let thread = actor.thread();
    let inodes = TYPES.into_iter().map(|name| (name, actor.ns_inode(name))).collect();
    actor.exit_main_thread();
    Headless { actor, thread, inodes }
}

/// Everything that is said to lead to a namespace leads there: the kernel opens it, and it is that one.
fn paths() {
    let Headless { actor, thread, inodes } = headless();
    let [pid, tid] = [actor.pid(), thread.tid()].map(|id| id.to_string());
    let dump = run_lxkns(["dump"]).ok().json();
    // It says of no thread whether it lives.
    let stable = run_lxkns(["dump", "--stable"]).ok().stdout;
    for (ns_type, ino) in inodes.iter().filter(|(ns_type, _)| **ns_type != "pid") {
        let text = ino.to_string();
        let mut found = vec![run_lxkns(["ls", "-rno", "PATH", &text]).ok().text().trim_end().to_owned()];
        found.push(run_lxkns(["ls", "--json", "-o", "PATH", &text]).ok().json()["namespaces"][0]["path"].to_text());
        found.push(dump["namespaces"][&text]["reference"][0].to_text());
        let from_stable = run_lxkns_with(&["ls", "--from", "-", "-rno", "PATH", &text], &stable).ok();
        found.push(from_stable.text().trim_end().to_owned());
        let shown = run_lxkns(["show", "--json", &text]).ok().answer_to("show");
        strings(&shown, &mut |text| {
            if text.ends_with(&format!("/ns/{ns_type}")) {
                found.push(text.to_owned())
            }
        });
        for path in found {
            assert_eq!(path, format!("/proc/{pid}/task/{tid}/ns/{ns_type}"));
            assert_eq!(inode(&path), *ino, "{path}");
        }
    }
    // The process as TARGET means all of these.
    // An inode number that was given again while it looked means nothing to it, and other tests give many.
    let has_all = |listed: &Ran| inodes.values().all(|ino| listed.text().lines().any(|line| line == ino.to_string()));
    let listed = look_until(has_all, || run_lxkns(["ls", "-rno", "NS", &pid]).ok());
    assert!(has_all(&listed), "{inodes:?}: {listed:?}");
    assert!(std::fs::read_link(format!("/proc/{pid}/ns/net")).is_err(), "its first thread has exited");
}

trait ToText {
    fn to_text(&self) -> String;
}

impl ToText for Value {
    #[track_caller]
    fn to_text(&self) -> String {
        self.as_str().unwrap_or_else(|| panic!("no text: {self}")).to_owned()
    }
}

fn strings(value: &Value, visit: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => visit(text),
        Value::Array(list) => list.iter().for_each(|value| strings(value, visit)),
        Value::Object(object) => object.values().for_each(|value| strings(value, visit)),
        _ => {}
    }
}

/// A network namespace that is bound to a path on a tmpfs of the actor's and otherwise given up: its path, its inode and the
/// thread that lives on.
fn bound_and_headless(actor: &Actor, directory: &Path) -> (PathBuf, u64, Actor) {
    actor.make_mounts_private();
    actor.mount("tmpfs", directory);
    let path = directory.join("net");
    actor.touch(&path);
    actor.bind("/proc/self/ns/net", &path);
    let net = actor.ns_inode("net");
    actor.unshare(&["net"]);
    let thread = actor.thread();
    actor.exit_main_thread();
    (path, net, thread)
}

/// What is mounted in its mount namespace, and nowhere else.
fn paths_through_roots() {
    let directory = directory();
    let actor = Actor::spawn_in(&["user", "mnt", "net"]);
    let (path, net, thread) = bound_and_headless(&actor, directory.path());
    let found = run_lxkns(["ls", "-rno", "PATH", &net.to_string()]).ok().text().trim_end().to_owned();
    assert_eq!(found, format!("/proc/{}/task/{}/root{}", actor.pid(), thread.tid(), path.display()));
    assert_eq!(inode(&found), net);
    let chain = run_lxkns(["dump"]).ok().json()["namespaces"][net.to_string()]["reference"].clone();
    let first = format!("/proc/{}/task/{}/ns/mnt", actor.pid(), thread.tid());
    assert_eq!(chain, serde_json::json!([first, path.to_str().unwrap()]));
    assert!(inode(&first) > 0);
}

/// The command that is to release it does so.
fn advice() {
    let directory = directory();
    let actor = Actor::spawn_in(&["mnt", "net"]);
    let (path, net, thread) = bound_and_headless(&actor, directory.path());
    let why = run_lxkns(["why", "--json", &net.to_string()]).ok().json();
    let mut commands = Vec::new();
    strings(&why, &mut |text| {
        commands.extend(text.split('`').filter(|it| it.starts_with("umount ")).map(str::to_owned))
    });
    let words: Vec<_> = commands[0].split(' ').skip(1).collect();
    assert_eq!(words[..2], ["-N", &format!("/proc/{}/task/{}/ns/mnt", actor.pid(), thread.tid())], "{why}");
    run(Command::new("umount").args(words)).ok();
    let mounted = std::fs::read_to_string(format!("/proc/{}/task/{}/mountinfo", actor.pid(), thread.tid())).unwrap();
    assert!(!mounted.contains(path.to_str().unwrap()), "{mounted}");
}

/// They are those of the threads that live, which alone the kernel moves.
fn control_groups() {
    let groups = [hierarchy("cgroup2", ""), hierarchy("cgroup", "freezer")].into_iter().flatten().enumerate();
    let groups: Vec<_> = groups.map(|(index, mounted)| Cgroup::new(&mounted, &format!("headless{index}"))).collect();
    assert!(!groups.is_empty(), "no control groups are mounted here");
    let Headless { actor, thread, inodes } = headless();
    let pid = actor.pid().to_string();
    for group in &groups {
        group.write("cgroup.procs", &pid);
    }
    let by_the_kernel = std::fs::read_to_string(format!("/proc/{pid}/task/{}/cgroup", thread.tid())).unwrap();
    for group in &groups {
        let name = group.0.file_name().unwrap().to_str().unwrap();
        assert!(by_the_kernel.contains(name), "{by_the_kernel}");
    }
    let expected: Vec<_> = by_the_kernel.lines().map(|line| line.splitn(3, ':').nth(2).unwrap()).collect();
    let of = |value: &Value| -> Vec<String> {
        value["cgroups"].as_array().unwrap().iter().map(|group| group["path"].to_text()).collect()
    };
    let shown = run_lxkns(["show", "--json", &pid]).ok().answer_to("show");
    assert_eq!(of(&shown[0]["process"]), expected, "{shown}");
    let dump = run_lxkns(["dump"]).ok().json();
    assert_eq!(of(&dump["processes"][&pid]), expected);
    let freezer = by_the_kernel.lines().find(|line| line.split(':').nth(1) == Some("freezer"));
    if let Some(freezer) = freezer {
        assert_eq!(dump["processes"][&pid]["fridgecgroup"], freezer.splitn(3, ':').nth(2).unwrap());
    }
    let uts = inodes["uts"].to_string();
    let column = run_lxkns(["ls", "-rno", "CGROUP", &uts]).ok().text().trim_end().to_owned();
    assert!(expected.contains(&column.as_str()) && column != "/", "{column}");
    drop(actor);
}

/// A thread that has exited keeps the user IDs that it had, and no memory from which its command line could be read.
fn credentials_and_command() {
    let actor = Actor::spawn_in(&["uts"]);
    let thread = actor.thread();
    let uts = actor.ns_inode("uts").to_string();
    thread.setuid(12345);
    actor.exit_main_thread();
    let pid = actor.pid().to_string();
    let process = &run_lxkns(["show", "--json", &pid]).ok().answer_to("show")[0]["process"];
    assert_eq!((&process["uids"]["real"], &process["uids"]["effective"]), (&12345.into(), &12345.into()), "{process}");
    assert_eq!(process["capability-sets"]["effective"], serde_json::json!([]));
    assert_eq!(process["nspids"], serde_json::json!([actor.pid()]), "not the thread's ID");
    let command_line = std::fs::read(format!("/proc/{pid}/task/{}/cmdline", thread.tid())).unwrap();
    let command = String::from_utf8(command_line).unwrap().trim_end_matches('\0').replace('\0', " ");
    assert!(!command.is_empty());
    assert_eq!(process["command"], command);
    let row = run_lxkns(["ls", "-rno", "PID,UID,COMMAND", &uts]).ok();
    assert_eq!(row.text(), format!("{pid} 12345 {}\n", command.replace(' ', "\\x20")));
    let dump = run_lxkns(["dump"]).ok().json();
    assert_eq!(dump["processes"][&pid]["uids"]["effective"], 12345);
    assert_eq!(dump["processes"][&pid]["cmdline"][0], command.split(' ').next().unwrap());
}

/// Of where a process without any thread was the kernel only knows the cgroup v2 path: elsewhere it says `/`.
fn zombies() {
    let groups = [hierarchy("cgroup2", ""), hierarchy("cgroup", "freezer")].into_iter().flatten().enumerate();
    let groups: Vec<_> = groups.map(|(index, mounted)| Cgroup::new(&mounted, &format!("zombie{index}"))).collect();
    assert!(!groups.is_empty(), "no control groups are mounted here");
    let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let pid = child.id().to_string();
    groups.iter().for_each(|group| group.write("cgroup.procs", &pid));
    drop(child.stdin.take());
    // Nobody waits for it until the end of the test.
    while !std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap().contains(") Z ") {
        std::thread::yield_now();
    }
    let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let of_version_1 = text.lines().filter(|line| !line.starts_with("0:"));
    assert!(of_version_1.clone().all(|line| line.ends_with(":/")), "the kernel's word for it: {text}");
    let dump = run_lxkns(["dump"]).ok().json();
    let process = &dump["processes"][&pid];
    assert_eq!(process["state"], "Z");
    let known = process["cgroups"].as_array().cloned().unwrap_or_default();
    let unified = text.lines().find_map(|line| line.strip_prefix("0::"));
    let known: Vec<_> =
        known.iter().map(|group| (group["hierarchy"].as_u64().unwrap(), group["path"].to_text())).collect();
    assert_eq!(known, unified.map(|path| (0, path.to_owned())).into_iter().collect::<Vec<_>>());
    child.wait().unwrap();
}
