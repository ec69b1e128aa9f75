//! Calls of the kernel that do not end: a file of procfs that the reader opens has a dead file system mounted on it, in the
//! mount namespace that the daemon is in. Who waits there cannot even be killed.

use std::io::Write as _;
use std::net::TcpStream;
use std::process::Command;

use libtest_mimic::Trial;
use lxkns_fixture::fuse::{DeadFuse, Death};
use lxkns_fixture::{Actor, probe};
use serde_json::Value;

use super::running::request;
use super::{Daemon, test};

pub(crate) fn tests() -> Vec<Trial> {
    let can_mount = probe::is_root() && probe::has_file_system("fuse") && std::path::Path::new("/dev/fuse").exists();
    [
        test("stuck::a_thread_that_waits_in_the_kernel_is_told_and_comes_back", thread),
        test("stuck::few_readers_that_cannot_be_killed_are_left_behind", readers),
        test("stuck::files_of_procfs_that_another_file_system_covers_are_left_out", covered),
    ]
    .into_iter()
    .map(|trial| {
        if !can_mount {
            eprintln!("skipped: {}: needs root and the file system fuse", trial.name());
        }
        trial.with_ignored_flag(!can_mount)
    })
    .collect()
}

/// How long threads may take to find an answer, in seconds: three times this.
const SCAN_TIMEOUT: &str = "4";
/// How many threads find answers.
const WORKERS: usize = 4;
/// How many readers the supervisor leaves behind.
const MOST_LEFT: usize = 3;

/// A daemon in the mount namespace of this process.
fn start_in(inside: &Actor, arguments: &[&str]) -> Daemon {
    Daemon::start_with(arguments, |command| {
        let mut enter = Command::new("nsenter");
        enter.arg(format!("--mount=/proc/{}/ns/mnt", inside.pid())).arg("--").arg(command.get_program());
        enter.args(command.get_args()).stdin(std::process::Stdio::null());
        enter.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        *command = enter;
    })
}

/// A daemon, and a process about which `explain` gets no answer from the kernel.
struct Stuck {
    daemon: Daemon,
    /// Before what waits for it.
    fuse: Option<DeadFuse>,
    victim: Actor,
    _inside: Actor,
}

impl Stuck {
    fn new() -> Self {
        let (inside, victim) = (Actor::spawn_in(&["mnt"]), Actor::spawn());
        inside.make_mounts_private();
        let fuse = DeadFuse::mount_file(&inside, format!("/proc/{0}/task/{0}/limits", victim.pid()), Death::Unanswered);
        let daemon = start_in(&inside, &["--scan-timeout", SCAN_TIMEOUT]);
        Self { daemon, fuse: Some(fuse), victim, _inside: inside }
    }

    fn path(&self) -> String {
        format!("/api/v1/explain?action=unshare+--net&pid={}", self.victim.pid())
    }

    /// Asks what has no answer, in as many ways: the same question is asked once. The connections stay.
    fn ask(&self, count: usize) -> Vec<TcpStream> {
        const OPTIONS: [&str; WORKERS] = ["net", "uts", "ipc", "cgroup"];
        let asked = OPTIONS[..count].iter().map(|option| {
            let path = self.path().replace("net", option);
            let mut stream = self.daemon.connect();
            stream.write_all(request("GET", &path, &["Cache-Control: max-age=3600"]).as_bytes()).unwrap();
            stream
        });
        asked.collect()
    }

    /// What `/readyz` says could not be seen.
    fn gaps(&self) -> Vec<String> {
        let ready = || self.daemon.get("/readyz", &["Cache-Control: max-age=3600"]);
        // On a busy host a first scan takes longer than those wait who watch.
        let ready = std::iter::repeat_with(ready).take(100).find(|ready| ready.status == 200).unwrap();
        ready.json()["gaps"].as_array().unwrap().iter().map(|gap| gap.as_str().unwrap().to_owned()).collect()
    }

    fn has_gap(&self, part: &str) -> bool {
        self.gaps().iter().any(|gap| gap.contains(part))
    }

    /// The file system answers all that wait, and from now on: that it has gone.
    fn answer(&mut self) {
        self.fuse.take().unwrap().abort();
    }
}

impl Drop for Stuck {
    fn drop(&mut self) {
        // Before the daemon, whose processes could not end otherwise.
        drop(self.fuse.take());
    }
}

fn of_reader(line: &Value, message: &str) -> bool {
    line["process"] == "reader" && line["message"].as_str().is_some_and(|said| said.contains(message))
}

const WORDS: &str = "of 6 threads that find answers have not ended within 12 s";
const METRIC: &str = "lxkns_reader_workers_stuck";

fn thread() {
    let mut stuck = Stuck::new();
    let reader = stuck.daemon.process("reader");
    assert_eq!(stuck.daemon.metric(METRIC), 0.0);
    stuck.daemon.json("/api/v1/namespaces");
    stuck.fuse.as_ref().unwrap().die();
    let asked = stuck.ask(1);
    stuck.daemon.logged(|line| of_reader(line, &format!("1 {WORDS}")));
    assert!(stuck.has_gap(&format!("1 {WORDS}")), "{:?}", stuck.gaps());
    assert_eq!(stuck.daemon.metric(METRIC), 1.0);
    // The others go on.
    assert_eq!(stuck.daemon.get("/api/v1/namespaces", &["Cache-Control: no-cache"]).status, 200);
    assert_eq!(stuck.daemon.process("reader"), reader);
    stuck.answer();
    assert!((0..1000).any(|_| stuck.daemon.metric(METRIC) == 0.0), "{:?}", stuck.gaps());
    assert!(!stuck.has_gap(WORDS), "{:?}", stuck.gaps());
    stuck.daemon.json("/api/v1/namespaces");
    assert_eq!(stuck.daemon.get(&stuck.path(), &["Cache-Control: max-age=3600"]).status, 200);
    assert_eq!(stuck.daemon.process("reader"), reader);
    drop(asked);
}

fn readers() {
    let mut stuck = Stuck::new();
    stuck.fuse.as_ref().unwrap().die();
    for left in 1..=MOST_LEFT {
        // No thread is left for questions, so the reader is replaced; those threads cannot be ended.
        let asked = stuck.ask(WORKERS);
        stuck.daemon.logged(|line| of_reader(line, "does not end, and is left behind"));
        drop(asked);
        if left < MOST_LEFT {
            stuck.daemon.logged(|line| of_reader(line, "ready"));
            let words =
                if left == 1 { "1 process of the service" } else { &format!("{left} processes of the service") };
            assert!((0..1000).any(|_| stuck.has_gap(words)), "{words}: {:?}", stuck.gaps());
            assert_eq!(stuck.daemon.metric("lxkns_readers_left_behind"), left as f64);
        }
    }
    let told = stuck.daemon.logged(|line| of_reader(line, "no other is started"));
    assert_eq!(told["left"], MOST_LEFT);
    assert_eq!(stuck.daemon.get("/healthz", &[]).status, 200);
    for path in ["/readyz", "/api/v1/namespaces"] {
        // The front hears of it a moment later.
        let is_told = (0..1000).any(|_| {
            let reply = stuck.daemon.get(path, &[]);
            assert_eq!(reply.status, 503, "{path}: {}", reply.text());
            reply.json()["type"] == "urn:lxkns:problem:stuck"
        });
        assert!(is_told, "{path}");
    }
    assert_eq!(stuck.daemon.metric("lxkns_up"), 0.0);
    assert_eq!(stuck.daemon.metric("lxkns_readers_left_behind"), MOST_LEFT as f64);
    stuck.answer();
    for _ in 0..MOST_LEFT {
        stuck.daemon.logged(|line| of_reader(line, "has ended after all"));
    }
    stuck.daemon.logged(|line| of_reader(line, "ready"));
    let is_served = (0..100).any(|_| stuck.daemon.get("/api/v1/namespaces", &[]).status == 200);
    assert!(is_served && stuck.daemon.metric("lxkns_readers_left_behind") == 0.0, "{:?}", stuck.gaps());
}

fn covered() {
    const FILES: [&str; 4] = ["sys/user/max_net_namespaces", "sys/kernel/random/boot_id", "stat", "sysvipc/shm"];
    let inside = Actor::spawn_in(&["mnt"]);
    inside.make_mounts_private();
    let dead = FILES.map(|file| DeadFuse::mount_file(&inside, format!("/proc/{file}"), Death::Unanswered));
    dead.iter().for_each(DeadFuse::die);
    let daemon = start_in(&inside, &[]);
    let reader = daemon.process("reader");
    let metrics = daemon.get("/metrics", &[]).text();
    let has = |series: &str| metrics.lines().any(|line| line.starts_with(series));
    assert!(has("lxkns_up 1") && has("lxkns_process_threads{process=\"reader\"}"), "{metrics}");
    // What is not known is left out.
    assert!(has("lxkns_namespaces_max{type=\"uts\"}") && !has("lxkns_namespaces_max{type=\"net\"}"), "{metrics}");
    assert!(!has("lxkns_process_start_time_seconds{"), "{metrics}");
    for path in ["/readyz", "/api/v1/doctor", "/api/v1/namespaces"] {
        assert_eq!(daemon.get(path, &[]).status, 200, "{path}");
    }
    assert_eq!(daemon.process("reader"), reader);
}
