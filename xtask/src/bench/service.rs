//! `cargo xtask bench --service`: `lxknsd` beside `lxkns dump` and beside nginx.
//!
//! All of it runs in namespaces of its own, with no network but a loopback interface: the service sees the workload and
//! nothing else, and nothing outlives the measurement. Processor time and memory are the kernel's figures of the service's
//! three processes.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use super::http::{self, Client, Reply};
use super::load::Load;
use super::text::{self, Claim, aligned, fold, host, median, save};
use super::{Program, Workload, timed, title, workload_options};
use crate::dist;
use crate::run::{cargo, run as run_command};

#[derive(clap::Args, Clone, Default)]
pub(crate) struct ServiceArgs {
    /// The service instead: lxknsd beside lxkns dump and nginx, as root
    #[arg(long)]
    pub(super) service: bool,
    /// With --service: this program instead of the one that is built here
    #[arg(long, value_name = "PATH")]
    lxknsd: Option<PathBuf>,
    /// With --service: this nginx instead of the one on PATH
    #[arg(long, value_name = "PATH", default_value = "nginx")]
    pub(super) nginx: PathBuf,
    /// With --service: this wrk instead of the one on PATH
    #[arg(long, value_name = "PATH", default_value = "wrk")]
    pub(super) wrk: PathBuf,
    /// With --service: how long the service is watched while nothing changes
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    watched: u64,
    /// With --service: how long each run of wrk takes
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    pub(super) loaded: u64,
    /// In the namespaces already
    #[arg(long, hide = true)]
    apart: bool,
}

/// What a client says that takes an answer however old it is, and one that wants a new scan.
pub(super) const ANY: &str = "Cache-Control: max-age=86400\r\n";
const NEW: &str = "Cache-Control: no-cache\r\n";
/// How many questions are answered with 304, one after the other.
const KNOWN: usize = 2000;
/// How often each question is asked before memory is measured again.
const ROUNDS: usize = 10;

/// The service rests when it takes less than a 500th of a core for so long; this is waited for so often at most.
const WAIT: Duration = Duration::from_secs(5);
const MOST_WAITS: usize = 12;

/// What is claimed of the service.
const COLD_WITHIN: f64 = 1.3;
const KNOWN_WITHIN_MS: f64 = 1.0;
const MEMORY_WITHIN_MIB: f64 = 96.0;
const IDLE_WITHIN_PERCENT: f64 = 0.5;

/// Measures the service.
pub(super) fn run(args: &super::Args) -> anyhow::Result<()> {
    if args.service.apart {
        return apart(args);
    }
    ensure!(rustix::process::geteuid().is_root(), "only root can make the namespaces that it is measured in");
    run_command(&mut cargo([
        "build",
        "--release",
        "--locked",
        "--package",
        "lxkns-bench",
        "--bin=workload",
        "--bin=timed",
    ]))?;
    let (lxkns, lxknsd) = match (&args.lxkns, &args.service.lxknsd) {
        (Some(lxkns), Some(lxknsd)) => (lxkns.clone(), lxknsd.clone()),
        (lxkns, lxknsd) => {
            let built = dist::programs()?;
            (lxkns.clone().unwrap_or(built.0), lxknsd.clone().unwrap_or(built.1))
        }
    };
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]);
    // Options that come once more count.
    command.arg(std::env::current_exe()?).args(["bench", "--service", "--apart", "--lxkns"]).arg(lxkns);
    command.arg("--lxknsd").arg(lxknsd).args(workload_options(args)).arg(format!("--runs={}", args.runs));
    for (name, path) in [("--nginx", &args.service.nginx), ("--wrk", &args.service.wrk)] {
        command.arg(name).arg(path);
    }
    for (name, seconds) in [("--watched", args.service.watched), ("--loaded", args.service.loaded)] {
        command.arg(format!("{name}={seconds}"));
    }
    command.args(args.check.then_some("--check"));
    if let Some(path) = &args.save {
        command.arg("--save").arg(path);
    }
    run_command(&mut command)
}

fn apart(args: &super::Args) -> anyhow::Result<()> {
    run_command(Command::new("ip").args(["link", "set", "lo", "up"]))?;
    let lxkns = args.lxkns.as_deref().context("--lxkns")?;
    let mut text =
        format!("## The service\n\n```console\n$ cargo xtask bench --service {}", workload_options(args).join(" "));
    writeln!(
        text,
        " --runs={}\n```\n\n{}\n",
        args.runs,
        host("the programs as packaged, in a PID namespace with nothing else")?
    )?;

    let service = Service::start(args)?;
    let idle = Cold::measure(&service, lxkns, args.runs)?;
    let known = known(&service)?;
    let small = Load::of(&args.service, &service, "/api/v1/namespaces")?;
    drop(service);

    let workload = Workload::start(args)?;
    println!("{}", workload.ready);
    let service = Service::start(args)?;
    let mut memory = vec![service.memory("started")?];
    service.get("/api/v1/namespaces", NEW)?;
    memory.push(service.memory("one scan, `namespaces`")?);
    service.get("/api/v1/snapshot", ANY)?;
    memory.push(service.memory("`snapshot` of the same scan")?);
    let busy = Cold::measure(&service, lxkns, args.runs)?;
    let known_busy = self::known(&service)?;
    memory.push(service.memory("the scans of the table above")?);
    let unwatched = service.idle(args.service.watched)?;
    let mut events = Client::connect(service.address)?;
    events.ask("/api/v1/events", "")?;
    ensure!(events.head()?.status == 200, "events are not followed");
    // They begin with a scan.
    while events.line()? != "event: state" {}
    memory.push(service.memory("events followed")?);
    let watched = service.idle(args.service.watched)?;
    drop(events);
    for _ in 0..ROUNDS {
        service.get("/api/v1/namespaces", NEW)?;
        for path in ["snapshot", "tree", "orphans", "audit", "links", "mounts", "history"] {
            service.get(&format!("/api/v1/{path}"), ANY)?;
        }
    }
    memory.push(service.memory(&format!("{ROUNDS} scans more, eight questions about each"))?);
    std::thread::sleep(Duration::from_secs(6));
    memory.push(service.memory("six seconds later")?);
    let large = Load::of(&args.service, &service, "/api/v1/namespaces")?;
    memory.push(service.memory("under wrk")?);
    drop(service);
    workload.end()?;

    let busy_host = title(args);
    text.push_str(
        "Cold answers: each of a scan of its own, from the connection to the last byte, in turn with `lxkns dump`.\n\n",
    );
    text.push_str(&Cold::table(&[("a host without anything else", &idle), (&busy_host, &busy)]));
    text.push_str("\nAnswers that the client has (304), one after the other on one connection:\n\n");
    for (host, known) in [("a host without anything else", &known), (&busy_host, &known_busy)] {
        writeln!(text, "- {host}: best {:.3} ms, median {:.3} ms", fold(known, f64::min), median(known))?;
    }
    write!(text, "\nMemory, {busy_host}, in MiB:\n\n{}", Memory::table(&memory))?;
    writeln!(text, "\nProcessor time over {} s, {busy_host}, while nothing changed there:\n", args.service.watched)?;
    for (what, idle) in [("nobody connected", &unwatched), ("one client follows `/api/v1/events`", &watched)] {
        writeln!(text, "- {what}: {:.3} % of a core ({})", idle.0, idle.1)?;
    }
    text.push_str("\n`wrk` with 64 connections on an answer that is finished, beside nginx (one worker) with the same bytes in a file\nand the same headers:\n\n");
    text.push_str(&Load::table(&small, &large));
    println!("\n{text}");
    if let Some(path) = &args.save {
        save(path, &text)?;
    }
    if args.check {
        let at_rest = memory.iter().rev().nth(1).map_or(f64::NAN, Memory::resident);
        text::check(&[
            Claim::new("times `lxkns dump` a cold answer of an idle host, at most", idle.times(), COLD_WITHIN, false),
            Claim::new("ms for 304, at most", median(&known), KNOWN_WITHIN_MS, false),
            Claim::new("MiB resident in all three processes, at most", at_rest, MEMORY_WITHIN_MIB, false),
            Claim::new("percent of a core with events, at most", watched.0, IDLE_WITHIN_PERCENT, false),
        ])?;
    }
    Ok(())
}

/// The service, until it is dropped.
pub(super) struct Service {
    supervisor: Child,
    pub(super) address: SocketAddr,
}

impl Drop for Service {
    fn drop(&mut self) {
        // It has ended already, or ends now.
        let _ = self.supervisor.kill();
        let _ = self.supervisor.wait();
    }
}

impl Service {
    fn start(args: &super::Args) -> anyhow::Result<Self> {
        let program = args.service.lxknsd.as_deref().context("--lxknsd")?;
        let mut command = Command::new(program);
        command.args(["--listen", "127.0.0.1:0", "--scan-timeout", "240"]).stdin(Stdio::null()).stderr(Stdio::piped());
        let mut supervisor = command.spawn().with_context(|| format!("cannot run {}", program.display()))?;
        let mut log = BufReader::new(supervisor.stderr.take().context("a pipe")?);
        let mut address = None;
        loop {
            let mut line = String::new();
            ensure!(log.read_line(&mut line)? > 0, "the service has ended");
            address = address.or_else(|| line.split_once("http://")?.1.split_whitespace().next()?.parse().ok());
            // The last of the three is.
            if line.contains("ready") && !line.contains("process=") {
                break;
            }
        }
        let address = address.context("the service does not say where it listens")?;
        // What it says of each request is thrown away.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Ok(Self { supervisor, address })
    }

    /// An answer, which there must be.
    pub(super) fn get(&self, path: &str, headers: &str) -> anyhow::Result<Reply> {
        let reply = http::get(self.address, path, headers)?;
        ensure!(reply.status == 200, "{path}: {}", reply.status);
        Ok(reply)
    }

    /// The processes, with what each is called.
    fn processes(&self) -> anyhow::Result<Vec<(String, u32)>> {
        let mut pids = vec![self.supervisor.id()];
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", pids[0]))?;
        pids.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        pids.into_iter()
            .map(|pid| Ok((fs::read_to_string(format!("/proc/{pid}/comm"))?.trim().to_owned(), pid)))
            .collect()
    }

    /// The processor time that each has taken.
    pub(super) fn cpu(&self) -> anyhow::Result<Vec<(String, Duration)>> {
        self.processes()?.into_iter().map(|(name, pid)| Ok((name, cpu_of(pid)?))).collect()
    }

    fn cpu_sum(&self) -> anyhow::Result<Duration> {
        Ok(self.cpu()?.iter().map(|(_, time)| *time).sum())
    }

    /// How many scans it has made.
    fn scans(&self) -> anyhow::Result<u64> {
        let metrics = self.get("/metrics", ANY)?;
        let text = String::from_utf8_lossy(&metrics.body);
        let count = text.lines().find_map(|line| line.strip_prefix("lxkns_scan_duration_seconds_count "));
        Ok(count.context("the service does not count its scans")?.parse()?)
    }

    /// The share of a core that it takes while this long nobody asks for anything, of which process, and for how many scans.
    fn idle(&self, seconds: u64) -> anyhow::Result<(f64, String)> {
        // What the last requests have left is done when it has taken next to nothing for a while.
        for _ in 0..MOST_WAITS {
            let before = self.cpu_sum()?;
            std::thread::sleep(WAIT);
            if self.cpu_sum()?.saturating_sub(before) < WAIT / 500 {
                break;
            }
        }
        let scans = self.scans()?;
        let (began, before) = (Instant::now(), self.cpu()?);
        std::thread::sleep(Duration::from_secs(seconds));
        let (took, after) = (began.elapsed().as_secs_f64(), self.cpu()?);
        let mut shares = Vec::new();
        for ((name, before), (other, after)) in before.iter().zip(&after) {
            ensure!(name == other, "a process of the service was started anew");
            shares.push((name, after.saturating_sub(*before).as_secs_f64() / took * 100.0));
        }
        let scans = self.scans()? - scans;
        let each: Vec<String> = shares.iter().map(|(name, share)| format!("{name} {share:.3}")).collect();
        Ok((shares.iter().map(|(_, share)| share).sum(), format!("{}; scans: {scans}", each.join(", "))))
    }

    fn memory(&self, what: &str) -> anyhow::Result<Memory> {
        let mut memory = Memory { what: what.to_owned(), shared: 0.0, each: Vec::new() };
        for (_, pid) in self.processes()? {
            let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
            let mib = |name: &str| -> anyhow::Result<f64> {
                let line = text.lines().find_map(|line| line.strip_prefix(name)).context("a figure of memory")?;
                Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
            };
            memory.each.push(mib("Rss:")?);
            memory.shared += mib("Pss:")?;
        }
        println!("{what}: {:.1} MiB", memory.resident());
        Ok(memory)
    }
}

/// The processor time of all threads of a process, by the scheduler, to the nanosecond.
pub(super) fn cpu_of(pid: u32) -> anyhow::Result<Duration> {
    let mut sum = Duration::ZERO;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
        sum += Duration::from_nanos(text.split_whitespace().next().unwrap_or("0").parse()?);
    }
    Ok(sum)
}

/// What is resident.
struct Memory {
    what: String,
    /// The sum, with pages that processes share shared out among them.
    shared: f64,
    each: Vec<f64>,
}

impl Memory {
    fn resident(&self) -> f64 {
        self.each.iter().sum()
    }

    fn table(all: &[Self]) -> String {
        let mut rows = vec![["after", "all three", "as PSS", "supervisor", "reader", "front"].map(str::to_owned)];
        for memory in all {
            let mib = |mib: f64| format!("{mib:.1}");
            let [supervisor, reader, front] = memory.each[..] else { continue };
            let what = memory.what.clone();
            let shared = mib(memory.shared);
            rows.push([what, mib(memory.resident()), shared, mib(supervisor), mib(reader), mib(front)]);
        }
        aligned(&rows)
    }
}

/// Cold answers beside `lxkns dump`.
struct Cold {
    namespaces: Runs,
    snapshot: Runs,
    dump: Runs,
}

/// In milliseconds.
#[derive(Default)]
struct Runs {
    wall: Vec<f64>,
    cpu: Vec<f64>,
}

impl Cold {
    fn measure(service: &Service, lxkns: &Path, runs: u32) -> anyhow::Result<Self> {
        let dump = Program { name: "lxkns dump", command: vec![lxkns.to_owned(), "dump".into()] };
        let mut cold = Self { namespaces: Runs::default(), snapshot: Runs::default(), dump: Runs::default() };
        for run in 0..=runs {
            let [wall, user, system, _] = timed(&dump, &[])?;
            let mut each = vec![(wall / 1e6, (user + system) / 1e3)];
            for path in ["/api/v1/namespaces", "/api/v1/snapshot"] {
                let before = service.cpu_sum()?;
                let took = service.get(path, NEW)?.took;
                // What is done after the answer, to compare the scan with the one before, is counted as well.
                std::thread::sleep(took / 2);
                each.push((took.as_secs_f64() * 1e3, service.cpu_sum()?.saturating_sub(before).as_secs_f64() * 1e3));
            }
            // The first one is not counted.
            if run > 0 {
                for (runs, (wall, cpu)) in
                    [&mut cold.dump, &mut cold.namespaces, &mut cold.snapshot].into_iter().zip(each)
                {
                    runs.wall.push(wall);
                    runs.cpu.push(cpu);
                }
            }
        }
        Ok(cold)
    }

    /// How many times as long as `lxkns dump`, the best of each.
    fn times(&self) -> f64 {
        fold(&self.namespaces.wall, f64::min) / fold(&self.dump.wall, f64::min)
    }

    fn table(hosts: &[(&str, &Self)]) -> String {
        let mut rows =
            vec![["host", "what", "best ms", "median", "times dump", "CPU ms", "times dump"].map(str::to_owned)];
        for (host, cold) in hosts {
            let (wall, cpu) = (fold(&cold.dump.wall, f64::min), fold(&cold.dump.cpu, f64::min));
            for (what, runs) in
                [("`lxkns dump`", &cold.dump), ("`namespaces`", &cold.namespaces), ("`snapshot`", &cold.snapshot)]
            {
                let (best, best_cpu) = (fold(&runs.wall, f64::min), fold(&runs.cpu, f64::min));
                rows.push([
                    (*host).to_owned(),
                    what.to_owned(),
                    format!("{best:.1}"),
                    format!("{:.1}", median(&runs.wall)),
                    format!("{:.2}", best / wall),
                    format!("{best_cpu:.1}"),
                    format!("{:.2}", best_cpu / cpu),
                ]);
            }
        }
        aligned(&rows)
    }
}

/// How long each of many answers takes that the client has.
fn known(service: &Service) -> anyhow::Result<Vec<f64>> {
    let mut client = Client::connect(service.address)?;
    let first = client.get("/api/v1/namespaces", ANY)?;
    let tag = first.header("etag").context("an answer without a tag")?;
    let headers = format!("{ANY}If-None-Match: {tag}\r\n");
    let mut took = Vec::new();
    for _ in 0..KNOWN {
        let reply = client.get("/api/v1/namespaces", &headers)?;
        if reply.status != 304 {
            bail!("304 was expected, not {}", reply.status);
        }
        took.push(reply.took.as_secs_f64() * 1e3);
    }
    Ok(took)
}
