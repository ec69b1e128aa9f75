//! Of what both scan, the service says what the command says, byte for byte: in a PID namespace with a procfs of its own, in
//! which nothing happens but what the test has happen.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use libtest_mimic::Trial;

use super::running::{PATIENCE, Reply, exchange, request};
use super::{Daemon, lxkns, test};

pub(crate) fn tests() -> Vec<Trial> {
    // Only root can make such a PID namespace in which the front can become nobody.
    let mut tests = Vec::new();
    if lxkns_fixture::probe::is_root() {
        tests.push(test("same::what_both_scan_is_said_byte_for_byte", same));
    }
    tests
}

/// A process in the namespaces of a daemon, and in UTS, IPC and mount namespaces of its own.
struct Inside {
    outer: Child,
    /// Its PID there.
    pid: String,
    uts: String,
}

/// What enters the namespaces of this process.
fn enter(pid: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["--target", pid, "--pid", "--net", "--mount", "--wd=/"]);
    command
}

fn child(pid: u32) -> String {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    children.split_whitespace().next().unwrap().to_owned()
}

impl Inside {
    fn of(init: &str) -> Self {
        let mut command = enter(init);
        command.args(["unshare", "--uts", "--ipc", "--mount", "cat"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut outer = command.spawn().unwrap();
        // When it says it, it is where it is to be.
        outer.stdin.as_mut().unwrap().write_all(b"x").unwrap();
        outer.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        let pid = child(outer.id());
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let inner = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap();
        let uts = std::fs::read_link(format!("/proc/{pid}/ns/uts")).unwrap();
        let uts = uts.to_str().unwrap().replace(['[', ']'], "");
        Self { outer, pid: inner.split_whitespace().last().unwrap().to_owned(), uts }
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

fn same() {
    let daemon = Daemon::start_by(|socket| {
        let mut command = Command::new("unshare");
        command.args(["--pid", "--net", "--mount-proc", "--fork", "--kill-child"]);
        command.arg(env!("CARGO_BIN_EXE_lxknsd"));
        command.args(["--log", "json", "--scan-timeout", "240", "--expose-command-lines", "--expose-files"]);
        command.args(["--listen", "127.0.0.1:0"]);
        command.arg("--listen").arg(format!("unix:{}", socket.display())).stdin(Stdio::null());
        command
    });
    let init = child(daemon.pid());
    let inside = Inside::of(&init);
    let Inside { pid, uts, .. } = &inside;
    // Of what both scan. A command that scans less says less of the rest, and names what it did not scan.
    let questions = [
        (format!("why?target={uts}"), vec!["why", uts]),
        (format!("show?target={uts}"), vec!["show", uts]),
        (format!("namespaces?target={pid}&type=uts,ipc"), vec!["ls", pid, "-t", "uts,ipc"]),
        (format!("explain?action=unshare+-n&pid={pid}"), vec!["explain", "unshare", "-n", "-p", pid]),
        (format!("explain?action=setns+{uts}&pid={pid}"), vec!["explain", "setns", uts, "-p", pid]),
    ];
    let mut differ = Vec::new();
    for (path, arguments) in questions {
        let said = enter(&init).arg(lxkns()).args(&arguments).arg("--json").output().unwrap();
        assert!(!said.stdout.is_empty(), "{arguments:?}: {said:?}");
        let reply = get(&daemon, &format!("/api/v1/{path}"));
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        let said = String::from_utf8(said.stdout).unwrap();
        if said != reply.text() {
            let (said, replied) = (said.lines().collect::<Vec<_>>(), reply.text());
            let lines = replied.lines().enumerate().filter(|(at, line)| said.get(*at) != Some(line));
            let first: Vec<_> = lines.take(4).map(|(at, line)| format!("{line} and not {:?}", said.get(at))).collect();
            differ.push(format!("{path}: the service says {}", first.join(", ")));
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}
