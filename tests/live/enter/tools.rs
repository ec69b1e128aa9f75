//! Programs of the host on what has none.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use lxkns_fixture::Actor;
use rustix::process::{Pid, Signal};
use tempfile::TempDir;

use super::pty::{Killed, Terminal};
use crate::harness::Need::{self, Program, Root, UserNamespaces};
use crate::harness::{Test, lxkns, test};
use crate::live::program::{Ran, run};
use crate::live::{directory, own_inode};

const HOST: &[Need] = &[UserNamespaces, Root, Program("ip"), Program("ps"), Program("strace")];
const FILE: &[Need] = &[UserNamespaces, Program("busybox")];

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("enter::tools::host_sees_the_container", HOST, host),
        test(
            "enter::tools::host_without_power",
            &[UserNamespaces, Need::Unprivileged, Program("ip")],
            host_without_power,
        ),
        test("enter::tools::host_is_not_handed_over", &[Root, Program("true")], not_handed_over),
        test("enter::tools::host_has_a_terminal", HOST, terminal),
        test("enter::tools::file", FILE, file),
        test("enter::tools::file_that_cannot_be_one", FILE, no_tool),
    ]
}

/// Something like a container without a single file in it.
struct Empty {
    actor: Actor,
    outer: Actor,
    _root: TempDir,
}

impl Empty {
    fn new(namespaces: &[&str]) -> Self {
        let root = directory();
        let outer = Actor::spawn_in(namespaces);
        let actor = outer.fork();
        actor.chroot(root.path());
        actor.chdir("/");
        Self { actor, outer, _root: root }
    }

    fn tool(&self, tool: &str, arguments: &[&str], command: &[&str]) -> Command {
        let mut enter = lxkns();
        enter.args(["enter", "--tools", tool]).args(arguments);
        enter.args([&self.actor.pid().to_string(), "--"]).args(command);
        enter
    }

    #[track_caller]
    fn run(&self, tool: &str, command: &[&str]) -> Ran {
        let ran = run(&mut self.tool(tool, &[], command));
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran
    }

    fn mounts(&self) -> Vec<u8> {
        std::fs::read(format!("/proc/{}/mountinfo", self.outer.pid())).unwrap()
    }
}

/// Not in its PID namespace, where its processes could get at what the program has.
#[track_caller]
fn stays_outside(ran: &Ran) {
    assert!(ran.problems().iter().any(|note| note.contains("stays in the caller's PID namespace")), "{ran:?}");
}

fn host() {
    let empty = Empty::new(&["user", "mnt", "pid", "net", "uts"]);
    let before = (empty.mounts(), std::fs::read("/proc/self/mountinfo").unwrap());

    let links = empty.run("host", &["ip", "-o", "link"]);
    assert!(links.text().contains("lo:") && links.text().lines().count() == 1, "{links:?}");
    stays_outside(&links);
    let devices = empty.run("host", &["ls", "/sys/class/net"]);
    assert_eq!(devices.text(), "lo\n");

    // The processes that it sees are those that it acts on.
    let pids = empty.run("host", &["readlink", "/proc/self/ns/pid"]);
    assert_eq!(pids.text().trim(), format!("pid:[{}]", own_inode("pid")));
    let target = empty.actor.pid().to_string();
    let here = empty.run("host", &["ls", "-A", &format!("/proc/{target}/root/")]);
    assert_eq!(here.text(), "", "its files are there, of which it has none");
    assert!(!empty.run("host", &["ls", "/"]).text().is_empty(), "and the host's are where they always are");

    let mut command = empty.tool("host", &[], &["strace", "-e", "trace=none", "-p", &target]);
    let mut tracing = Killed(command.stderr(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(tracing.0.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains(&format!("Process {target} attached"))));
    rustix::process::kill_process(Pid::from_child(&tracing.0), Signal::TERM).unwrap();
    assert_eq!(tracing.code(), Some(128 + 15));

    // The target's mounts and ours are what they were.
    assert_eq!((empty.mounts(), std::fs::read("/proc/self/mountinfo").unwrap()), before);
}

fn host_without_power() {
    // Whoever is nobody here must be somebody there to do anything, and then the program is in its user namespace.
    let empty = Empty::new(&["user", "mnt", "pid", "net"]);
    let links = run(&mut empty.tool("host", &[], &["ip", "-o", "link"]));
    assert_eq!(links.code, Some(0), "{links:?}");
    assert!(links.text().contains("lo:") && links.text().lines().count() == 1, "{links:?}");
    stays_outside(&links);
}

fn not_handed_over() {
    // It has our user namespace and every capability: it could trace what it sees.
    let empty = Empty::new(&["mnt", "pid", "net"]);
    for options in [&[][..], &["--except", "pid"]] {
        let ran = run(&mut empty.tool("host", options, &["readlink", "/proc/self/ns/pid"]));
        assert_eq!((ran.code, ran.text().trim()), (Some(0), &*format!("pid:[{}]", own_inode("pid"))), "{ran:?}");
    }
}

fn terminal() {
    let empty = Empty::new(&["user", "mnt", "pid"]);
    let terminal = Terminal::new();
    let mut child = Killed(terminal.start(&empty.tool("host", &[], &["stty", "size"])));
    terminal.until("33 77\r\n");
    assert_eq!(child.code(), Some(0));
}

fn busybox() -> String {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut files = std::env::split_paths(&path).map(|directory| directory.join("busybox"));
    files.find(|file| file.is_file()).unwrap().to_str().unwrap().to_owned()
}

fn file() {
    let empty = Empty::new(&["user", "mnt", "pid", "net"]);
    let before = empty.mounts();
    let busybox = busybox();
    assert_eq!(empty.run(&busybox, &["ls", "-A", "/"]).text(), "", "it left nothing there");
    assert_eq!(empty.run(&busybox, &["echo", "one", "two"]).text(), "one two\n", "the first word says what it is");
    assert_eq!(empty.run(&busybox, &["busybox", "echo", "three"]).text(), "three\n");
    assert!(empty.run(&busybox, &["ip", "-o", "link"]).text().contains("lo:"));
    let ran = run(&mut empty.tool(&busybox, &[], &["sh", "-c", "exit 9"]));
    assert_eq!(ran.code, Some(9), "{ran:?}");
    assert_eq!(empty.mounts(), before);
}

fn no_tool() {
    let empty = Empty::new(&["user", "mnt", "pid"]);
    let script = directory();
    let script = script.path().join("script");
    std::fs::write(&script, "#!/bin/sh\n").unwrap();
    for (tool, what) in [
        (script.to_str().unwrap(), "no ELF program"),
        ("/dev/null", "not a regular file"),
        ("/nowhere", "No such file"),
        ("/bin/ls", "not static"),
    ] {
        run(&mut empty.tool(tool, &[], &["x"])).fails(125, what);
    }
}
