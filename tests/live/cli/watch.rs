//! `lxkns watch`: what appears, goes and changes, as it is seen.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};

use lxkns_fixture::{Actor, Open, Socket};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::assert_documented;
use crate::harness::Need::{File, Kernel, Root, UserNamespaces};
use crate::harness::{Test, lxkns, test};
use crate::live::program::{assert_fits, run_lxkns};

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("cli::watch::a_life", &[UserNamespaces], a_life),
        test("cli::watch::one_namespace", &[UserNamespaces], one_namespace),
        test("cli::watch::hidden_until_its_end", &[Root, Kernel(6, 18)], hidden_until_its_end),
        test(
            "cli::watch::listed_until_its_end",
            &[Root, Kernel(6, 18), File("/sys/kernel/btf/vmlinux")],
            listed_until_its_end,
        ),
        test("cli::watch::nobody_reads_while_nothing_changes", &[UserNamespaces], nobody_reads),
        test("cli::watch::interrupted", &[UserNamespaces], interrupted),
        test("cli::watch::usage", &[UserNamespaces], usage),
    ]
}

/// The program as it watches; it ends with the test.
pub(in crate::live) struct Watch {
    child: Child,
    out: Option<BufReader<ChildStdout>>,
    _errors: BufReader<ChildStderr>,
    /// What it said on standard error until it had looked for the first time.
    said: String,
}

impl Watch {
    /// Starts it, and waits until it has looked for the first time.
    pub(in crate::live) fn start(arguments: &[&str]) -> Self {
        Self::start_by(&mut lxkns(), arguments)
    }

    /// As [`start`](Self::start), of this program.
    pub(in crate::live) fn start_by(command: &mut Command, arguments: &[&str]) -> Self {
        command.arg("watch").args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let out = child.stdout.take().map(BufReader::new);
        let _errors = BufReader::new(child.stderr.take().unwrap());
        let mut watch = Self { _errors, child, out, said: String::new() };
        while !watch.said.contains(": watching ") {
            assert_ne!(watch._errors.read_line(&mut watch.said).unwrap(), 0, "it has ended: {}", watch.said);
        }
        watch
    }

    pub(in crate::live) fn said(&self) -> &str {
        &self.said
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert_ne!(self.out.as_mut().unwrap().read_line(&mut line).unwrap(), 0, "it has ended");
        line
    }

    /// Reads the next line, which is as documented.
    pub(in crate::live) fn next(&mut self) -> Value {
        let line: Value = serde_json::from_str(&self.line()).unwrap();
        assert_documented(&line);
        assert_fits("watch", &line);
        for who in [&line["holder"], &line["process"]] {
            assert_ne!(who["pid"], self.child.id(), "it sees itself: {line}");
        }
        line
    }

    /// Closes its standard output, which nobody reads any more.
    pub(in crate::live) fn stop_reading(&mut self) {
        self.out.take();
    }

    /// Reads until this is told of this namespace.
    pub(in crate::live) fn told(&mut self, ino: u64, change: &str) -> Value {
        self.told_any(ino, &[change])
    }

    /// Reads until one of these is told of this namespace.
    pub(in crate::live) fn told_any(&mut self, ino: u64, changes: &[&str]) -> Value {
        loop {
            let line = self.next();
            if line["namespace"]["nsid"] == ino && changes.iter().any(|change| line["change"] == *change) {
                return line;
            }
        }
    }

    /// Reads until the end of this namespace is told, as far as the kernel lets one know it.
    pub(in crate::live) fn told_end(&mut self, ino: u64) -> Value {
        self.told_any(ino, &["went", "vanished"])
    }

    pub(in crate::live) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Waits for its end, with what it writes until then.
    pub(in crate::live) fn end(&mut self) -> (ExitStatus, String) {
        let mut rest = String::new();
        if let Some(out) = &mut self.out {
            out.read_to_string(&mut rest).unwrap();
        }
        (self.child.wait().unwrap(), rest)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const OFTEN: &str = "0.05";
/// Longer than anybody waits.
pub(in crate::live) const NEVER: &str = "1000000";

fn a_life() {
    let actor = Actor::spawn_in(&["user"]);
    let mut watch = Watch::start(&["--json", "--interval", OFTEN, "-t", "uts"]);
    actor.unshare(&["uts"]);
    let uts = actor.ns_inode("uts");
    let appeared = watch.told(uts, "appeared");
    assert_eq!(appeared["namespace"]["owner"], actor.ns_inode("user"));
    assert_eq!(appeared["namespace"]["leaders"], serde_json::json!([actor.pid()]));
    let time = appeared["time"].as_str().unwrap();
    assert!(time.len() == "2000-01-01T00:00:00.000000000Z".len() && time.ends_with('Z'), "{time}");
    // That it is open says nothing while a process is in it; when the last one goes, it is what holds it.
    let fd = actor.open("/proc/self/ns/uts", Open::ReadOnly);
    actor.unshare(&["uts"]);
    let left = watch.told(uts, "last-task-left");
    let is_fd = |holder: &Value| holder["kind"] == "fd" && holder["pid"] == actor.pid() && holder["fd"] == fd;
    assert!(left["holders"].as_array().unwrap().iter().any(is_fd), "{left}");
    let moved = watch.told(uts, "process-left");
    assert_eq!((&moved["process"]["pid"], &moved["to"]), (&actor.pid().into(), &actor.ns_inode("uts").into()));
    actor.close(fd);
    watch.told_end(uts);
}

/// What lives without being visible is followed to its end, and that is told.
fn hidden_until_its_end() {
    let actor = Actor::spawn_in(&["ipc"]);
    let ipc = actor.ns_inode("ipc");
    let mut watch = Watch::start(&["--reader=proc", "--interval", OFTEN, "--json", &format!("ipc:{ipc}")]);
    actor.attach_segment();
    actor.unshare(&["ipc"]);
    let is_known = probe_opens_what_has_no_users();
    let told = watch.told_any(ipc, &["hidden", "vanished"]);
    assert_eq!(told["change"], if is_known { "hidden" } else { "vanished" }, "{told}");
    if is_known {
        drop(actor);
        assert_eq!(watch.told_end(ipc)["change"], "went");
    }
    // It ends by itself when nothing more can be known. Who left it can be told after what it came to.
    let (status, rest) = watch.end();
    assert_eq!(status, ExitStatus::from_raw(0));
    assert!(rest.lines().all(|line| line.contains("\"process-left\"")), "{rest}");
}

/// The kernel reader, which `watch` uses from its first scan on, sees it in the kernel's list all the time.
fn listed_until_its_end() {
    let actor = Actor::spawn_in(&["ipc"]);
    let ipc = actor.ns_inode("ipc");
    let mut watch = Watch::start(&["--interval", OFTEN, "--json", &format!("ipc:{ipc}")]);
    actor.attach_segment();
    actor.unshare(&["ipc"]);
    watch.told_any(ipc, &["last-task-left"]);
    drop(actor);
    // Where the kernel does not open what nobody uses, only its own lists, read to their ends, prove that it has ended.
    let told = watch.told_any(ipc, &["went", "vanished", "hidden", "unseen"]);
    let expected: &[&str] = if probe_opens_what_has_no_users() { &["went"] } else { &["went", "vanished"] };
    assert!(expected.iter().any(|expected| told["change"] == *expected), "{told}");
    assert_eq!(watch.end().0, ExitStatus::from_raw(0));
}

/// Whether the kernel opens a namespace by its handle that nobody uses. Only a namespace that a socket holds tells.
fn probe_opens_what_has_no_users() -> bool {
    let actor = Actor::spawn_in(&["net"]);
    let link = actor.open_ns("net");
    let id = lxkns_sys::ns_get_id(&link).unwrap();
    let ino = actor.ns_inode("net") as u32;
    drop(link);
    actor.socket(Socket::Udp4);
    actor.unshare(&["net"]);
    let ns_type = lxkns_core::model::NamespaceType::Net.clone_flag();
    lxkns_sys::open_namespace_by_handle(lxkns_sys::NsHandle { id, ns_type, ino }).is_ok()
}

fn one_namespace() {
    let actor = Actor::spawn_in(&["user", "uts"]);
    let uts = actor.ns_inode("uts");
    let mut watch = Watch::start(&["--interval", OFTEN, &format!("uts:{uts}")]);
    // What appears is not it.
    let fd = actor.open("/proc/self/ns/uts", Open::ReadOnly);
    actor.unshare(&["uts"]);
    let new = actor.ns_inode("uts");
    let time = watch.line();
    assert!(time.ends_with("Z\n") && time.len() == "2000-01-01T00:00:00.000Z\n".len(), "{time}");
    assert_eq!(watch.line(), format!("~ uts:[{uts}]\n"));
    let seen = if super::sees_all_members() { "" } else { " that can be seen" };
    assert!(watch.line().starts_with(&format!("  - no process or task{seen} is in it any more: held by ")));
    actor.close(fd);
    // It ends by itself when that has gone.
    let (status, rest) = watch.end();
    assert_eq!(status.code(), Some(0));
    let [gone, vanished] = [("-", "gone"), ("?", "no longer visible")]
        .map(|(sign, what)| rest.contains(&format!("\n{sign} uts:[{uts}] {what}; was held by ")));
    assert!(gone || vanished, "{rest}");
    assert!(!rest.contains(&format!(":[{new}] appeared")), "{rest}");
}

fn nobody_reads() {
    let actor = Actor::spawn_in(&["user", "uts"]);
    let mut watch = Watch::start(&["--interval", NEVER, &actor.ns_inode("uts").to_string()]);
    watch.stop_reading();
    assert_eq!(watch.end().0.code(), Some(0));
}

fn interrupted() {
    let actor = Actor::spawn_in(&["user"]);
    let mut watch = Watch::start(&["--json", "--interval", OFTEN, "--all"]);
    for _ in 0..3 {
        actor.unshare(&["uts"]);
        watch.told(actor.ns_inode("uts"), "appeared");
    }
    kill_process(watch.pid(), Signal::INT).unwrap();
    let (status, rest) = watch.end();
    assert_eq!(status.signal(), Some(Signal::INT.as_raw()));
    assert!(rest.is_empty() || rest.ends_with('\n'), "half a line: {rest}");
}

fn usage() {
    let actor = Actor::spawn_in(&["user", "uts"]);
    run_lxkns(["watch", "--interval", "0"]).fails(2, "not a number of seconds above 0");
    run_lxkns(["watch", "--from", "x"]).fails(2, "--from");
    run_lxkns(["watch", "4194304"]).fails(1, "no such process");
    let uts = actor.ns_inode("uts").to_string();
    run_lxkns(["watch", "-t", "net", &uts]).fails(1, "no target has a requested type");
}
