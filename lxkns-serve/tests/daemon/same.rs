//! The service says what the command says, byte for byte: in a PID namespace with a procfs of its own, in which nothing
//! happens but what the test has happen.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use libtest_mimic::Trial;
use serde_json::Value;

use super::running::{PATIENCE, Reply, exchange, request};
use super::{Daemon, lxkns, test};

pub(crate) fn tests() -> Vec<Trial> {
    // Only root can make such a PID namespace in which the front can become nobody.
    let mut tests = Vec::new();
    if lxkns_fixture::probe::is_root() {
        tests.push(test("same::all_questions_are_answered_as_by_the_command", same));
    }
    tests
}

/// Which part of two answers is compared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// All, byte for byte.
    All,
    /// What is said of the test's own namespaces, without what differs on purpose: the service leaves out its own reader,
    /// which is a process like others to the command; it does not know the caller; and it asks about itself, not the command.
    Own,
}
use Part::{All, Own};

/// A process in namespaces of its own of all types but time, below those of a daemon.
struct Inside {
    outer: Child,
    /// Its PID on this host.
    outside: String,
    /// Its PID in the PID namespace of the daemon.
    pid: String,
    /// Its namespaces: type and inode number.
    namespaces: Vec<(&'static str, String)>,
}

/// What enters the namespaces of this process.
fn enter(pid: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["--target", pid, "--pid", "--net", "--mount", "--wd=/"]);
    command
}

pub(super) fn child(pid: &str) -> String {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    children.split_whitespace().next().unwrap().to_owned()
}

impl Inside {
    fn of(init: &str) -> Self {
        let mut command = enter(init);
        command.args([
            "unshare",
            "--user",
            "--map-root-user",
            "--uts",
            "--ipc",
            "--mount",
            "--net",
            "--cgroup",
            "--pid",
        ]);
        command.args(["--fork", "--kill-child", "cat"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut outer = command.spawn().unwrap();
        // When it says it, it is where it is to be.
        outer.stdin.as_mut().unwrap().write_all(b"x").unwrap();
        outer.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        // Nsenter has started unshare, which has started it.
        let outside = child(&child(&outer.id().to_string()));
        let status = std::fs::read_to_string(format!("/proc/{outside}/status")).unwrap();
        let pids = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap();
        let pid = pids.split_whitespace().rev().nth(1).unwrap().to_owned();
        let types = ["user", "uts", "ipc", "mnt", "net", "cgroup", "pid"];
        let inode = |ns_type: &str| {
            let link = std::fs::read_link(format!("/proc/{outside}/ns/{ns_type}")).unwrap();
            link.to_str().unwrap().split(['[', ']']).nth(1).unwrap().to_owned()
        };
        let namespaces = types.map(|ns_type| (ns_type, inode(ns_type))).to_vec();
        Self { outer, outside, pid, namespaces }
    }

    /// A TARGET.
    fn target(&self, ns_type: &str) -> String {
        let (_, inode) = self.namespaces.iter().find(|(of, _)| *of == ns_type).unwrap();
        format!("{ns_type}:{inode}")
    }

    /// Whether a text is about one of its namespaces.
    fn is_meant(&self, text: &str) -> bool {
        self.namespaces.iter().any(|(_, inode)| text.contains(inode))
    }

    /// The device number of a new file system in its mount namespace.
    fn mount(&self) -> String {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.outside, "--user", "--mount", "--preserve-credentials"]);
        assert!(command.args(["mount", "-t", "tmpfs", "lxkns-test", "/mnt"]).status().unwrap().success());
        let mounts = std::fs::read_to_string(format!("/proc/{}/mountinfo", self.outside)).unwrap();
        let fields = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        mounts.lines().map(fields).find(|fields| fields[4] == "/mnt").unwrap()[2].clone()
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        drop(self.outer.stdin.take());
        let _ = self.outer.wait();
    }
}

fn get(daemon: &Daemon, path: &str) -> Reply {
    let stream = UnixStream::connect(&daemon.socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    exchange(stream, &request("GET", path, &["Cache-Control: no-cache"]))
}

/// What the command says in the namespaces of the daemon.
fn said(init: &str, arguments: &[&str]) -> String {
    let said = enter(init).arg(lxkns()).args(arguments).output().unwrap();
    assert!(!said.stdout.is_empty(), "{arguments:?}: {said:?}");
    String::from_utf8(said.stdout).unwrap()
}

/// The part of an answer that is compared.
fn part(part: Part, text: &str, reader: u64, is_meant: &dyn Fn(&str) -> bool) -> String {
    if part == All {
        return text.to_owned();
    }
    let mut answer: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let results = if answer["results"].is_array() { "results" } else { "namespaces" };
    if answer["question"] != "doctor" {
        answer[results].as_array_mut().unwrap().retain(|result| is_meant(&result.to_string()));
        assert_ne!(answer[results], Value::Array(Vec::new()), "{text}");
    }
    // Network namespaces of other tests come and go.
    if let Some(gaps) = answer["gaps"].as_array_mut() {
        gaps.retain(|gap| gap.as_str().is_none_or(|gap| !gap.contains("net:[") || is_meant(gap)));
    }
    without(&mut answer, reader, is_meant);
    serde_json::to_string_pretty(&answer).unwrap()
}

/// Removes what differs on purpose.
fn without(value: &mut Value, reader: u64, is_meant: &dyn Fn(&str) -> bool) {
    /// How many processes there are; and what depends on the program that answers.
    const KEYS: [&str; 9] = [
        "summary",
        "nprocs",
        "ntasks",
        "compared-with",
        "shared",
        "caller",
        "needed",
        "holder-counts",
        "why-not-kernel",
    ];
    match value {
        Value::Object(members) => {
            KEYS.iter().for_each(|key| drop(members.remove(*key)));
            members.values_mut().for_each(|member| without(member, reader, is_meant));
        }
        Value::Array(elements) => {
            // Mount namespaces of other tests come and go, each with copies of what is mounted on the host.
            let is_others = |element: &Value| element["mntns"].is_u64() && !is_meant(&element["mntns"].to_string());
            elements.retain(|element| element["pid"] != reader && !is_others(element));
            elements.iter_mut().for_each(|element| without(element, reader, is_meant));
        }
        // The paths of the service's own mount namespace are not those of the host.
        Value::String(text) => *text = text.replace("umount -N 1 ", "umount "),
        _ => {}
    }
}

/// The lines in which two texts differ.
fn differences(path: &str, said: &str, replied: &str) -> String {
    let (ours, theirs): (Vec<_>, Vec<_>) = (said.lines().collect(), replied.lines().collect());
    let same = ours.iter().zip(&theirs).take_while(|(a, b)| a == b).count();
    let rest = (ours.len().min(theirs.len())) - same;
    let end = ours.iter().rev().zip(theirs.iter().rev()).take(rest).take_while(|(a, b)| a == b).count();
    let part = |lines: &[&str]| {
        let lines = lines[same..lines.len() - end].iter().take(40);
        lines.map(|line| format!("\n{line}")).collect::<String>()
    };
    format!("{path}: after line {same} the service says{}\nand the command{}", part(&theirs), part(&ours))
}

/// Asks both until they say the same; where they never do, says in which lines they differ. Other tests, and the command
/// itself, make network namespaces that take a moment to end.
fn until_same(path: &str, ask: impl Fn() -> [String; 2]) -> Option<String> {
    const TRIES: usize = 10;
    let mut last = None;
    for _ in 0..TRIES {
        let [ours, theirs] = ask();
        last = (ours != theirs).then(|| differences(path, &ours, &theirs));
        if last.is_none() {
            break;
        }
    }
    last
}

/// The PID of the reader in its PID namespace.
fn reader(init: &str) -> u64 {
    let children = std::fs::read_to_string(format!("/proc/{init}/task/{init}/children")).unwrap();
    let is_reader = |pid: &&str| std::fs::read(format!("/proc/{pid}/cmdline")).unwrap().starts_with(b"lxknsd-reader");
    let reader = children.split_whitespace().find(is_reader).unwrap();
    let status = std::fs::read_to_string(format!("/proc/{reader}/status")).unwrap();
    let pids = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap();
    pids.split_whitespace().last().unwrap().parse().unwrap()
}

fn daemon() -> Daemon {
    Daemon::start_by(|socket| {
        let mut command = Command::new("unshare");
        command.args(["--pid", "--net", "--mount-proc", "--fork", "--kill-child"]);
        command.arg(env!("CARGO_BIN_EXE_lxknsd"));
        command.args(["--log", "json", "--scan-timeout", "240", "--expose-command-lines", "--expose-files"]);
        command.args(["--min-age", "0", "--listen", "127.0.0.1:0"]);
        command.arg("--listen").arg(format!("unix:{}", socket.display())).stdin(Stdio::null());
        command
    })
}

fn same() {
    let daemon = daemon();
    let init = child(&daemon.pid().to_string());
    let orphan = daemon.socket.with_file_name("orphan");
    std::fs::write(&orphan, "").unwrap();
    let mut command = enter(&init);
    assert!(command.arg("unshare").arg(format!("--net={}", orphan.display())).arg("true").status().unwrap().success());
    let state = get(&daemon, "/api/v1/snapshot").header("lxkns-state").unwrap().to_owned();
    assert_eq!(get(&daemon, "/api/v1/history").status, 200, "it is kept");
    let dump = daemon.socket.with_file_name("dump");
    std::fs::write(&dump, said(&init, &["dump"])).unwrap();
    let inside = Inside::of(&init);
    let device = &inside.mount();
    let [user, uts, net, mnt, pidns] = &["user", "uts", "net", "mnt", "pid"].map(|ns_type| inside.target(ns_type));
    let (pid, port) = (&inside.pid, daemon.address.rsplit(':').next().unwrap());
    let process = &format!("{pid}:/etc/passwd");
    let link = &format!("link:{pid}/net/lo");
    let (of_pid, orphan) = (&format!("{pid}/net"), orphan.to_str().unwrap());
    let types = "mnt,cgroup,uts,ipc,user,pid,net";
    let questions: Vec<(Part, String, Vec<&str>)> = vec![
        (All, format!("why?target={uts}"), vec!["why", uts]),
        (All, format!("why?target={user}&target={net}"), vec!["why", user, net]),
        (All, format!("why?target={pidns}&target={mnt}"), vec!["why", pidns, mnt]),
        (Own, format!("why?target={pid}"), vec!["why", pid]),
        (All, format!("show?target={uts}"), vec!["show", uts]),
        (All, format!("show?target={of_pid}"), vec!["show", of_pid]),
        (All, format!("show?target={mnt}"), vec!["show", mnt]),
        (All, format!("show?target={user}&target={pidns}"), vec!["show", user, pidns]),
        (All, format!("namespaces/{uts}"), vec!["show", uts]),
        (Own, format!("show?target={pid}"), vec!["show", pid]),
        (Own, format!("processes/{pid}"), vec!["show", pid]),
        (All, format!("show?target={link}"), vec!["show", link]),
        (All, format!("namespaces?target={pid}&type={types}"), vec!["ls", pid, "-t", types]),
        (All, format!("namespaces?target={pid}&type={types}&all"), vec!["ls", pid, "-t", types, "--output-all"]),
        (All, format!("namespaces?target={uts}&target={net}"), vec!["ls", uts, net]),
        (Own, "namespaces".to_owned(), vec!["ls"]),
        (All, format!("explain?action=unshare+-n&pid={pid}"), vec!["explain", "unshare", "-n", "-p", pid]),
        (All, format!("explain?action=clone+-Ump&pid={pid}"), vec!["explain", "clone", "-Ump", "-p", pid]),
        (All, format!("explain?action=setns+{uts}&pid={pid}"), vec!["explain", "setns", uts, "-p", pid]),
        (All, format!("tree?target={pid}&kind=proc"), vec!["tree", "proc", pid]),
        (Own, format!("tree?target={pid}&kind=pid"), vec!["tree", "pid", pid]),
        (Own, format!("tree?target={pid}&kind=pid&users"), vec!["tree", "pid", pid, "--users"]),
        (Own, format!("tree?target={pid}"), vec!["tree", pid]),
        (Own, format!("tree?target={user}&owned"), vec!["tree", user, "--owned"]),
        (Own, format!("tree?target={pid}&all-leaders"), vec!["tree", pid, "--all-leaders"]),
        (Own, "tree?kind=proc".to_owned(), vec!["tree", "proc"]),
        (All, format!("mounts?target={pid}"), vec!["mounts", pid]),
        (All, format!("mounts/{mnt}?hidden"), vec!["mounts", mnt, "--hidden"]),
        (Own, format!("busy?path={device}"), vec!["busy", device]),
        (All, format!("caps?target={uts}&pid={pid}"), vec!["caps", uts, "-p", pid]),
        (All, format!("caps?target={user}&pid=1"), vec!["caps", user, "-p", "1"]),
        (All, format!("caps?target={pid}"), vec!["caps", pid]),
        (Own, format!("who-can?target={uts}&capability=net_admin"), vec!["who-can", "net_admin", uts]),
        (Own, format!("who-can?target={pid}&capability=sys_admin"), vec!["who-can", "sys_admin", pid]),
        (All, format!("ports?port={port}"), vec!["ports", "--port", port]),
        (All, format!("ports?target={net}&unix"), vec!["ports", net, "--unix"]),
        (All, format!("audit?target={pid}"), vec!["audit", pid]),
        (All, format!("audit?target={uts}&target={net}"), vec!["audit", uts, net]),
        (All, "containers".to_owned(), vec!["containers"]),
        (Own, format!("links?target={net}"), vec!["links", net]),
        (Own, format!("links?target={net}&target={of_pid}"), vec!["links", net, of_pid]),
        (All, "owner?file=/etc/passwd".to_owned(), vec!["owner", "/etc/passwd"]),
        (All, format!("owner?file={process}&dereference"), vec!["owner", process, "--dereference"]),
        (Own, "doctor".to_owned(), vec!["doctor"]),
        (Own, "orphans".to_owned(), vec!["orphans"]),
        (Own, "orphans?type=net&all".to_owned(), vec!["orphans", "-t", "net", "--all"]),
    ];
    let reader = reader(&init);
    let is_meant = |text: &str| inside.is_meant(text) || text.contains(orphan);
    let mut differ = Vec::new();
    for (how, path, mut arguments) in questions {
        arguments.push("--json");
        differ.extend(until_same(&path, || {
            let (reply, command) = (get(&daemon, &format!("/api/v1/{path}")), said(&init, &arguments));
            assert_eq!(reply.status, 200, "{path}: {}", reply.text());
            [&command, &reply.text()].map(|text| part(how, text, reader, &is_meant))
        }));
    }
    let lines = |text: &str| {
        let lines = text.lines().filter(|line| inside.is_meant(line));
        lines.map(|line| format!("{line}\n")).collect::<String>()
    };
    differ.extend(until_same("diff", || {
        let reply = get(&daemon, &format!("/api/v1/diff?since={state}"));
        let command = said(&init, &["diff", dump.to_str().unwrap(), "--json"]);
        assert!(lines(&command).lines().count() >= inside.namespaces.len(), "{command}");
        [lines(&command), lines(&reply.text())]
    }));
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}
