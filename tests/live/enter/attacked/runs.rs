//! Run `lxkns enter PID -- true` repeatedly while the container attacks it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lxkns_fixture::{Actor, Method};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags};
use tempfile::TempDir;

use super::caught::Allowed;
use super::container::{Container, Kind, busybox};
use crate::harness::lxkns;
use crate::live::directory;

/// Number of runs per attack. The variable `LXKNS_TEST_ATTACKS` overrides it.
const RUNS: usize = 20;
/// Value of `--timeout` in seconds where `lxkns` cannot tell that the attacker holds the child: it waits for five times this.
const PATIENCE: &str = "0.1";
/// Time limit for one run of `lxkns`, above its own deadline of 5 s. A run that takes longer counts as a hang.
const LIMIT: Duration = Duration::from_secs(30);
/// Time limit for the exit of all processes of a run after `lxkns` itself has exited.
const GONE_LIMIT: Duration = Duration::from_secs(20);
/// A test stops after this number of hangs, because each takes [`LIMIT`].
const MOST_HANGS: usize = 2;

/// Load of the host beside the test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Load {
    Idle,
    Busy,
}

impl Load {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Idle => "",
            Self::Busy => "_under_load",
        }
    }
}

/// One spinning thread per CPU.
struct Busy(Arc<AtomicBool>, Vec<JoinHandle<()>>);

impl Busy {
    fn start() -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let spin = |_| {
            let is_over = Arc::clone(&is_over);
            std::thread::spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        };
        let threads = (0..std::thread::available_parallelism().map_or(2, usize::from)).map(spin).collect();
        Self(is_over, threads)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        self.1.drain(..).for_each(|thread| drop(thread.join()));
    }
}

/// A caller of `lxkns enter` with something to lose: working directory, open files, environment and arguments.
pub(super) struct Caller {
    directory: TempDir,
    pub(super) canary: String,
}

impl Caller {
    pub(super) fn new() -> Self {
        let directory = directory();
        let name = directory.path().file_name().unwrap().display().to_string();
        let canary = format!("canary-in-{name}");
        let caller = Self { directory, canary };
        let program = caller.directory.path().join("lxkns");
        fs::write(&program, without_debug_information(fs::read(lxkns().get_program()).unwrap())).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let secret = caller.directory.path().join("secret");
        fs::write(&secret, &caller.canary).unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        caller
    }

    pub(super) fn enter(&self, container: &Container, options: &[&str], command: &[&str]) -> Command {
        let mut enter = Command::new(self.directory.path().join("lxkns"));
        enter
            .env("LC_ALL", "C.UTF-8")
            .arg0(&self.canary)
            .arg("enter")
            .arg(container.target.pid().to_string())
            .args(options);
        enter.arg("--").args(command).current_dir(self.directory.path());
        enter.env("LXKNS_TEST_SMALL", &self.canary);
        enter.env("LXKNS_TEST_LARGE", self.canary.repeat(64 * 1024 / self.canary.len()));
        enter.stdin(File::open(self.directory.path().join("secret")).unwrap());
        enter.stdout(File::create(self.directory.path().join("output")).unwrap()).stderr(Stdio::piped());
        enter
    }
}

/// A program without the part of its file that is not loaded: every run copies the file into memory.
fn without_debug_information(mut program: Vec<u8>) -> Vec<u8> {
    // In the header of a 64-bit ELF file: program headers, section headers, and the number of each.
    let number = |bytes: &[u8], at: usize, length: usize| {
        let number = |sum: usize, byte: &u8| sum << 8 | usize::from(*byte);
        bytes[at..at + length].iter().rev().fold(0, number)
    };
    if !program.starts_with(b"\x7fELF\x02\x01") {
        return program;
    }
    let (start, size, count) = (number(&program, 32, 8), number(&program, 54, 2), number(&program, 56, 2));
    let headers = (0..count).map(|n| start + n * size);
    let end = headers.map(|at| number(&program, at + 8, 8) + number(&program, at + 32, 8)).max().unwrap();
    program[40..48].fill(0);
    program[60..64].fill(0);
    program.truncate(end);
    program
}

/// Exit status and standard error of `lxkns`. The status is `None` after a timeout.
pub(super) struct Outcome {
    pub(super) status: Option<ExitStatus>,
    pub(super) stderr: String,
}

/// Waits for a program to exit, and kills it at the time limit.
pub(super) fn end(mut child: Child, limit: Duration) -> Outcome {
    let has_ended = ends(&child, limit);
    if !has_ended {
        let _ = child.kill();
    }
    let status = child.wait().unwrap();
    let mut stderr = Vec::new();
    if let Some(pipe) = child.stderr.take() {
        // A process that was left behind can hold the other end open: read only what is there.
        rustix::io::ioctl_fionbio(&pipe, true).unwrap();
        let _ = File::from(OwnedFd::from(pipe)).read_to_end(&mut stderr);
    }
    let stderr = String::from_utf8_lossy(&stderr).into_owned();
    Outcome { status: has_ended.then_some(status), stderr }
}

/// Waits for a program to exit; `false` means that it still runs.
pub(super) fn ends(child: &Child, limit: Duration) -> bool {
    let pidfd = rustix::process::pidfd_open(Pid::from_child(child), PidfdFlags::empty()).unwrap();
    let limit = Timespec { tv_sec: limit.as_secs() as _, tv_nsec: limit.subsec_nanos().into() };
    let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
    rustix::io::retry_on_intr(|| rustix::event::poll(&mut fds, Some(&limit))).unwrap() > 0
}

/// Waits until the container has no foreign process, and returns those that remain at the time limit.
pub(super) fn left(container: &Container, is_counted: impl Fn(char) -> bool) -> Vec<(u32, char, String)> {
    let begun = Instant::now();
    loop {
        let left: Vec<_> = container.strangers().into_iter().filter(|stranger| is_counted(stranger.1)).collect();
        if left.is_empty() || begun.elapsed() > GONE_LIMIT {
            return left;
        }
        std::thread::yield_now();
    }
}

/// Problems, each with the number of runs that had it and the details of the first one.
#[derive(Default)]
struct Findings(BTreeMap<String, (usize, String)>);

impl Findings {
    fn note(&mut self, noted: &mut Vec<String>, what: &str, details: String) {
        if noted.iter().any(|other| other == what) {
            return;
        }
        noted.push(what.to_owned());
        self.0.entry(what.to_owned()).or_insert((0, details)).0 += 1;
    }

    fn lines(&self) -> String {
        self.0.iter().map(|(what, (count, details))| format!("\n  {count}: {what}: {details}")).collect()
    }
}

/// Whether tests print what the attackers caught.
pub(super) fn is_verbose() -> bool {
    std::env::var_os("LXKNS_TEST_ATTACKS").is_some()
}

/// Number of runs per attack.
pub(super) fn count() -> usize {
    std::env::var("LXKNS_TEST_ATTACKS").ok().and_then(|count| count.parse().ok()).unwrap_or(RUNS)
}

/// One combination of container, attack, load and command.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attack {
    pub(super) kind: Kind,
    pub(super) method: Method,
    pub(super) load: Load,
    /// Whether the command is a program of the caller, given by `--tools FILE`.
    pub(super) tool: bool,
}

/// Runs `lxkns enter` under attack, and checks that the attacker gains nothing.
pub(super) fn attacked(name: &str, Attack { kind, method, load, tool }: Attack) {
    let caller = Caller::new();
    let container = Container::new(kind);
    let allowed = Allowed::of(&container, &caller.canary, tool);
    let busybox = busybox();
    let tool = if tool { &["--tools", busybox.to_str().unwrap()][..] } else { &[] };
    let (patience, limit) = match method {
        Method::Hold => (&["--timeout", PATIENCE][..], LIMIT),
        // Nothing stops it, and so it succeeds, however slow the host is.
        Method::Look => (&["--timeout", "20"][..], LIMIT * 4),
        _ => (&[][..], LIMIT),
    };
    let options = [&["--env", "clean"], tool, patience].concat();
    // Runs under load take longer; a quarter of them suffices.
    let most = if load == Load::Busy { count().div_ceil(4) } else { count() };
    let busy = (load == Load::Busy).then(Busy::start);
    let victim = Actor::spawn();
    let attacking = match method {
        Method::Forge => container.attacker.forge(victim.pid(), caller.canary.as_bytes()),
        method => container.attacker.attack(method, caller.canary.as_bytes()),
    };
    let mut last_pid = attacking.haul().last_pid;
    let (mut findings, mut hangs, mut runs, mut seen, mut seen_early) = (Findings::default(), 0, 0, 0, 0);
    let mut codes = BTreeMap::<_, usize>::new();
    let begun = Instant::now();
    while runs < most && hangs < MOST_HANGS {
        runs += 1;
        let mut noted = Vec::new();
        let outcome = end(caller.enter(&container, &options, &["true"]).spawn().unwrap(), limit);
        let haul = attacking.haul();
        seen += usize::from(!haul.caught.is_empty());
        seen_early += usize::from(haul.caught.iter().any(|caught| !caught.is_command()));
        for leak in haul.caught.iter().flat_map(|caught| allowed.leaks(caught)) {
            findings.note(&mut noted, &leak.what, leak.details);
        }
        // The kernel counts a PID even if the process exits unseen. Without a new PID the attack had no target.
        // On a loaded host, `lxkns` can also fail before that.
        if haul.last_pid == last_pid && outcome.status.is_some_and(|status| status.success()) {
            findings.note(&mut noted, "no process entered the PID namespace", outcome.stderr.clone());
        }
        last_pid = haul.last_pid;
        hangs += usize::from(outcome.status.is_none());
        *codes.entry(outcome.status.and_then(|status| status.code())).or_default() += 1;
        if let Some(what) = wrong_end(method, &outcome) {
            findings.note(&mut noted, what, format!("{:?}, {:?}", outcome.status, outcome.stderr));
        }
        if !victim.is_alive() {
            findings.note(&mut noted, "a forged message killed another process", String::new());
            break;
        }
        // A traced zombie remains until its tracer reaps it.
        let left = left(&container, |state| !(method == Method::Hold && state == 'Z'));
        if !left.is_empty() {
            findings.note(&mut noted, "lxkns left a process behind", format!("{left:?}"));
            for (pid, ..) in left {
                let pid = Pid::from_raw(pid.cast_signed()).unwrap();
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
    }
    drop((attacking, busy));
    let text = format!(
        "{name}: {runs} runs, {seen} caught, {seen_early} caught before exec; exit codes {codes:?}; {} ms{}",
        begun.elapsed().as_millis(),
        findings.lines()
    );
    if is_verbose() {
        eprintln!("{text}");
    }
    assert!(findings.0.is_empty(), "{text}");
}

/// Returns what is wrong with an outcome. `lxkns` may succeed without a message, or fail with exit code 125 and one line;
/// only an attacker that kills may cause exit code 137.
fn wrong_end(method: Method, outcome: &Outcome) -> Option<&'static str> {
    const KILLED: i32 = 128 + 9;
    let Some(status) = outcome.status else { return Some("lxkns does not exit in time") };
    let lines: Vec<&str> = outcome.stderr.lines().collect();
    let is_told = |most: usize| lines.len() <= most && lines.iter().all(|line| line.starts_with("lxkns: "));
    match status.code() {
        Some(0) if lines.is_empty() => None,
        Some(0) => Some("lxkns succeeds with a message"),
        // Looking does not stop the child.
        Some(125) if method == Method::Look => Some("lxkns fails although nothing stops it"),
        Some(125) if lines.len() == 1 && is_told(1) => None,
        Some(KILLED) if method == Method::Kill && is_told(1) => None,
        // A forged message can only claim that exec failed.
        Some(126 | 127) if method == Method::Forge && lines.len() == 1 && is_told(1) => None,
        Some(_) => Some("unexpected exit code or message"),
        None => Some("a signal ends lxkns"),
    }
}
