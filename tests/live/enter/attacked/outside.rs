//! Commands with the caller's powers stay outside the PID namespace; signals and the terminal stay the caller's.

use std::fs;
use std::io::{Read as _, Write as _};
use std::process::Stdio;
use std::time::{Duration, Instant};

use lxkns_fixture::{Caught, Method};
use rustix::process::{Pid, Signal};

use super::NEEDS;
use super::caught::is_same;
use super::container::{Container, Kind, place};
use super::runs::{Caller, end, ends, is_verbose, left};
use crate::harness::Need::{self, File as Path, Program, Root};
use crate::harness::{Test, lxkns, test};
use crate::live::enter::pty::{Killed, Terminal};

const TOOLS: &[Need] =
    &[Root, Program("busybox"), Program("setpriv"), Program("cat"), Path("/proc/thread-self/children")];
const SESSION: &[Need] = &[Root, Program("busybox"), Program("setsid"), Path("/proc/thread-self/children")];

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("enter::attacked::tools_of_the_host_stay_outside", TOOLS, || stay_outside(&["--tools", "host"], &["cat"])),
        test("enter::attacked::privileged_stays_outside", TOOLS, || stay_outside(&["--privileged"], &["cat"])),
        test("enter::attacked::another_user_stays_outside", TOOLS, || {
            stay_outside(&["--tools", "host"], &["setpriv", "--reuid", "65534", "cat"]);
        }),
        test("enter::attacked::signals_end_it", NEEDS, signals_end_it),
        test("enter::attacked::terminal_is_out_of_reach", SESSION, terminal_is_out_of_reach),
    ]
}

/// All descendants of a process.
fn descendants(pid: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let mut ask = vec![pid];
    while let Some(pid) = ask.pop() {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let lists = tasks.map(|task| fs::read_to_string(task.path().join("children")).unwrap_or_default());
        for child in lists.flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>()) {
            let child = child.parse().unwrap();
            found.push(child);
            ask.push(child);
        }
    }
    found
}

fn pid_namespace(pid: impl std::fmt::Display) -> Option<std::path::PathBuf> {
    fs::read_link(format!("/proc/{pid}/ns/pid")).ok()
}

/// Checks that the command runs in the caller's PID namespace, that the container sees nothing of it, and that one line on
/// standard error says so.
fn stay_outside(options: &[&str], command: &[&str]) {
    let own = pid_namespace("self");
    let mut wrong = Vec::new();
    for kind in [Kind::Usual, Kind::Tracing, Kind::LateBounding, Kind::OwnUser] {
        let (caller, container) = (Caller::new(), Container::new(kind));
        let attacking = container.attacker.attack(Method::Look, caller.canary.as_bytes());
        let last_pid = attacking.haul().last_pid;
        // Nothing stops it, however slow the host is.
        let options = [&["--timeout", "20"], options].concat();
        let mut enter = caller.enter(&container, &options, command);
        let mut child = enter.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let _ = stdin.write_all(b".");
        let mut byte = [0];
        let answers = stdout.read_exact(&mut byte).is_ok();
        // A descendant that ends meanwhile has no link.
        let namespaces = descendants(child.id()).into_iter().filter_map(pid_namespace);
        let elsewhere: Vec<_> = namespaces.filter(|namespace| Some(namespace) != own.as_ref()).collect();
        let inside = container.strangers();
        drop(stdin);
        let outcome = end(child, Duration::from_secs(30));
        let says = outcome.stderr.lines().filter(|line| line.contains("stays in the caller's PID namespace")).count();
        let haul = attacking.haul();
        let code = outcome.status.and_then(|status| status.code());
        let reaches = |caught: &Caught| caught.place("root").is_some_and(|root| is_same(&root, &place("/")));
        if haul.caught.iter().any(reaches) {
            wrong.push(format!(
                "{kind:?}: the container reads the root directory link of a process and reaches the host's"
            ));
        }
        if !answers || code != Some(0) {
            wrong.push(format!("{kind:?}: {code:?}, {}", outcome.stderr.trim()));
        }
        let came = haul.last_pid - last_pid;
        // This container has no power over the caller's processes, so the command may be visible there.
        if kind == Kind::OwnUser && came > 0 {
            continue;
        }
        if says != 1 {
            wrong.push(format!(
                "{kind:?}: {says} lines say where the command runs, expected 1: {}",
                outcome.stderr.trim()
            ));
        }
        if !elsewhere.is_empty() || !inside.is_empty() || came > 0 || !haul.caught.is_empty() {
            wrong.push(format!(
                "{kind:?}: {came} processes entered the PID namespace; visible there: {inside:?}; caught: {:?}; descendants \
                 of lxkns are in {elsewhere:?}",
                haul.caught.len()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// SIGINT, SIGTERM and SIGHUP end `lxkns` while the container keeps its child stopped.
fn signals_end_it() {
    let mut stopped = 0;
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        for _ in 0..3 {
            let (caller, container) = (Caller::new(), Container::new(Kind::Usual));
            let attacking = container.attacker.attack(Method::Stop, caller.canary.as_bytes());
            let options = ["--env", "clean", "--timeout", "60"];
            let child = caller.enter(&container, &options, &["true"]).spawn().unwrap();
            let begun = Instant::now();
            let is_stopped = loop {
                if attacking.haul().caught.iter().any(|caught| !caught.is_command()) {
                    break true;
                }
                if ends(&child, Duration::ZERO) || begun.elapsed() > Duration::from_secs(20) {
                    break false;
                }
            };
            stopped += usize::from(is_stopped);
            let _ = rustix::process::kill_process(Pid::from_child(&child), signal);
            let outcome = end(child, Duration::from_secs(30));
            let left = left(&container, |_| true);
            assert!(outcome.status.is_some(), "{signal:?} does not end lxkns while its child is stopped");
            assert!(left.is_empty(), "{signal:?}: {left:?}");
        }
    }
    if is_verbose() {
        eprintln!("enter::attacked::signals_end_it: 9 runs, {stopped} children stopped before exec");
    }
}

/// A caught child neither has the caller's terminal open nor has it as its controlling terminal.
fn terminal_is_out_of_reach() {
    let container = Container::new(Kind::Tracing);
    let attacking = container.attacker.attack(Method::Seize, b"canary");
    let terminal = Terminal::new();
    let theirs = place(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(terminal.theirs())));
    let device = rustix::fs::fstat(terminal.theirs()).unwrap().st_rdev;
    let (major, minor) = (i64::from(rustix::fs::major(device)), i64::from(rustix::fs::minor(device)));
    // As the kernel writes it to /proc/PID/stat.
    let number = minor & 0xff | major << 8 | (minor & !0xff) << 12;
    let (mut seen, mut wrong) = (0, Vec::new());
    for turn in 0..10 {
        let mut enter = lxkns();
        enter.arg("enter").arg(container.target.pid().to_string()).args(["--env", "clean", "--", "true"]);
        let mut child = Killed(terminal.start(&enter));
        assert!(ends(&child.0, Duration::from_secs(60)), "lxkns exits");
        assert!(matches!(child.code(), Some(0 | 125)));
        let caught = attacking.haul().caught;
        seen += usize::from(caught.iter().any(|caught| !caught.is_command()));
        for caught in caught {
            if caught.stat(7) == Some(number) {
                wrong.push(format!("run {turn}: the caller's terminal is the controlling terminal"));
            }
            if caught.stat(6).is_some_and(|session| session != 0 && session != caught.pid) {
                wrong.push(format!("run {turn}: the session is {:?}", caught.stat(6)));
            }
            if caught.fds().iter().any(|fd| fd.is.as_ref().is_some_and(|is| is_same(is, &theirs))) {
                wrong.push(format!("run {turn}: the caller's terminal is open"));
            }
        }
    }
    if is_verbose() {
        eprintln!(
            "enter::attacked::terminal_is_out_of_reach: 10 runs, {seen} caught before exec, {} leaks",
            wrong.len()
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
