//! A long run, compressed: many scans of a host that changes, after which the three processes have what they had before.

use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use libtest_mimic::Trial;
use lxkns_fixture::probe::is_root;

use super::events::Client;
use super::{Daemon, test};

pub(crate) fn tests() -> Vec<Trial> {
    vec![test("long::many_scans_leave_nothing", many_scans)]
}

/// The variable that says how many scans; those of a day are about 20,000.
const SCANS: &str = "LXKNS_TEST_SCANS";
/// Something changes between so many.
const STEADY: usize = 10;
/// By how many bytes a process may be larger than after the first scans: what is kept of the past grows to its bound.
const MORE: f64 = 3.0 * 1024.0 * 1024.0;
const ROLES: [&str; 3] = ["supervisor", "reader", "front"];

/// A PID namespace with nothing in it but the service: small, and not changed by others.
const APART: [&str; 5] = ["--pid", "--fork", "--mount-proc", "--kill-child", "--"];

/// What the processes have.
#[derive(Debug)]
struct Figures {
    descriptors: [f64; 3],
    threads: [f64; 3],
    resident: [f64; 3],
    /// The reader and the front.
    children: Vec<u32>,
    /// Processes below the supervisor, at any depth.
    processes: usize,
}

impl Figures {
    fn of(daemon: &Daemon, supervisor: u32) -> Self {
        let each = |name: &str| ROLES.map(|role| daemon.metric(&format!("lxkns_process_{name}{{process=\"{role}\"}}")));
        let (mut processes, mut todo) = (0, vec![supervisor]);
        while let Some(pid) = todo.pop() {
            let below = children(pid);
            processes += below.len();
            todo.extend(below);
        }
        Self {
            descriptors: each("open_fds"),
            threads: each("threads"),
            resident: each("resident_memory_bytes"),
            children: children(supervisor),
            processes,
        }
    }

    /// Whether it is no more than there was before.
    fn is_within(&self, before: &Self) -> bool {
        let no_more = |now: [f64; 3], before: [f64; 3]| now.iter().zip(before).all(|(now, before)| *now <= before);
        no_more(self.descriptors, before.descriptors)
            && no_more(self.threads, before.threads)
            && no_more(self.resident, before.resident.map(|bytes| bytes + MORE))
            && self.processes <= before.processes
            && self.children == before.children
    }
}

/// The children of all threads of a process.
fn children(pid: u32) -> Vec<u32> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let lists = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<_>>()).collect()
}

/// A process beside the service in its PID namespace, in a network namespace of its own, until this is dropped.
struct Guest(Child);

impl Guest {
    fn beside(supervisor: u32) -> Self {
        let mut command = Command::new("nsenter");
        command.arg(format!("--target={supervisor}")).arg("--pid");
        if !is_root() {
            command.args(["--user", "--preserve-credentials"]);
        }
        command.args(["--", "unshare", "--net", "cat"]);
        let mut guest = Self(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap());
        // It is there when it says again what it is told.
        guest.0.stdin.as_mut().unwrap().write_all(b"x").unwrap();
        guest.0.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        guest
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// Takes all events until the connection ends.
fn follow(daemon: &Daemon) -> JoinHandle<()> {
    let mut events = Client::of(daemon, "", &[]);
    std::thread::spawn(move || while events.next().is_some() {})
}

fn many_scans() {
    let scans: usize = std::env::var(SCANS).map_or(60, |count| count.parse().unwrap());
    let daemon = Daemon::start_by(|socket| {
        let mut command = Command::new("unshare");
        if !is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        command.args(APART).arg(env!("CARGO_BIN_EXE_lxknsd"));
        command.args([
            "--log",
            "json",
            "--listen",
            "127.0.0.1:0",
            "--scan-timeout",
            "240",
            "--history",
            "1",
            "--min-age",
            "0",
        ]);
        command.arg("--listen").arg(format!("unix:{}", socket.display())).stdin(Stdio::null());
        command
    });
    let [supervisor] = children(daemon.pid())[..] else { panic!("the service is the only child") };
    let mut followed = follow(&daemon);
    let mut before = None;
    let mut guest = None;
    for scan in 1..=scans {
        if scan % STEADY == 0 {
            guest = Some(Guest::beside(supervisor));
            // A client that was too slow on a busy host comes back.
            if followed.is_finished() {
                followed = follow(&daemon);
            }
        }
        let list = daemon.json("/api/v1/namespaces");
        assert!(!list["namespaces"].as_array().unwrap().is_empty());
        for path in ["/api/v1/snapshot", "/api/v1/tree", "/api/v1/orphans", "/api/v1/history"] {
            assert_eq!(daemon.get(path, &["Cache-Control: max-age=3600"]).status, 200, "{path}");
        }
        // The history is as full as it becomes, or nearly.
        if scan == scans / 3 {
            drop(guest.take());
            before = Some(Figures::of(&daemon, supervisor));
        }
    }
    drop(guest);
    let before = before.unwrap();
    // Connections that were closed last end a moment later.
    let mut now = Figures::of(&daemon, supervisor);
    for _ in 0..1000 {
        if now.is_within(&before) {
            break;
        }
        daemon.json("/api/v1/namespaces");
        now = Figures::of(&daemon, supervisor);
    }
    println!("{scans} scans: {before:?}, {now:?}");
    assert!(now.is_within(&before), "{scans} scans: {before:?}, then {now:?}");
    assert!(daemon.metric("lxkns_scan_duration_seconds_count") >= scans as f64);
    // Each network namespace was seen to come.
    assert!(daemon.metric("lxkns_events_total{kind=\"appeared\"}") >= (scans / STEADY) as f64);
    drop(daemon);
    followed.join().unwrap();
}
