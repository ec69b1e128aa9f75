//! `cargo xtask bench`: lxkns beside lsns and beside the floor, on one host, in one run.
//!
//! The programs take turns, so other load on the host affects all of them alike. The first run of each is not counted. The
//! median is printed.

mod http;
mod load;
mod service;
mod text;

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail, ensure};

use self::text::{Claim, aligned, fold, host, median, save, thousands};
use crate::dist;
use crate::run::{cargo, output, run as run_command};

#[derive(clap::Args, Clone)]
pub(crate) struct Args {
    /// How many processes the workload has
    #[arg(long, default_value_t = 10_000)]
    processes: usize,
    /// How many threads it has on top of the processes' first ones
    #[arg(long, default_value_t = 9_600)]
    threads_extra: usize,
    /// How many namespaces it makes, a tenth of them net, the rest of six other types
    #[arg(long, default_value_t = 3_000)]
    namespaces: usize,
    /// How many open files each process has, sockets not counted
    #[arg(long, default_value_t = 8)]
    fds: usize,
    /// How many sockets each process has
    #[arg(long, default_value_t = 2)]
    sockets: usize,
    /// How many mount namespaces are held by nothing but an fd
    #[arg(long, default_value_t = 200)]
    processless_mount_namespaces: usize,
    /// No workload: the host as it is
    #[arg(long)]
    idle: bool,
    /// How often each program is timed
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// This program instead of the one that is built here
    #[arg(long, value_name = "PATH")]
    lxkns: Option<PathBuf>,
    /// This lsns instead of the one on PATH
    #[arg(long, value_name = "PATH", default_value = "lsns")]
    lsns: PathBuf,
    /// Let the workload stand until return is pressed
    #[arg(long)]
    keep: bool,
    /// Put the results into this file, in place of an earlier run's of the same size
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Fail if lxkns is slower than is claimed
    #[arg(long)]
    check: bool,
    /// With --check: how many times faster than lsns lxkns is at least
    #[arg(long, default_value_t = 8.0)]
    faster_than_lsns: f64,
    /// With --check: how many times the floor `lxkns ls --reader proc` takes at most
    #[arg(long, default_value_t = 1.5)]
    within_floor: f64,
    /// With --check: how many times the floor `lxkns dump` takes at most
    #[arg(long, default_value_t = 1.7)]
    dump_within_floor: f64,
    /// With --check: how many times the floor `lxkns ls --reader kernel` takes at most
    #[arg(long, default_value_t = 0.5)]
    kernel_within_floor: f64,
    /// With --check: how many MiB `lxkns dump` holds at most
    #[arg(long, default_value_t = 60.0)]
    dump_within_mib: f64,
    /// Also compare the program as `cargo xtask dist` builds it with a plain release build
    #[arg(long)]
    packaged: bool,
    /// With --check and --packaged: how many times the plain release build the packaged program takes at most
    #[arg(long, default_value_t = 1.03)]
    within_release: f64,
    /// With --check: how many times `lxkns ls` any other view takes at most
    #[arg(long, default_value_t = 2.5)]
    within_ls: f64,
    #[command(flatten)]
    service: service::ServiceArgs,
}

/// Where `cargo build --release` puts programs.
const BUILT: &str = "target/release";

/// A small run that proves that everything works. It says nothing about speed, and asserts nothing.
pub(crate) fn smoke() -> anyhow::Result<()> {
    let root = rustix::process::geteuid().is_root();
    run(&Args {
        processes: 60,
        threads_extra: 40,
        // Only root can make them.
        namespaces: if root { 20 } else { 0 },
        fds: 8,
        sockets: 2,
        processless_mount_namespaces: if root { 2 } else { 0 },
        idle: false,
        runs: 2,
        // What people get.
        lxkns: Some(dist::program()?),
        lsns: "lsns".into(),
        keep: false,
        save: None,
        check: false,
        faster_than_lsns: 0.0,
        within_floor: 0.0,
        dump_within_floor: 0.0,
        kernel_within_floor: 0.0,
        dump_within_mib: 0.0,
        packaged: false,
        within_release: 0.0,
        within_ls: 0.0,
        service: service::ServiceArgs::default(),
    })
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    if args.service.service {
        return service::run(args);
    }
    build(args)?;
    let lxkns = args.lxkns.clone().unwrap_or_else(|| built("lxkns"));
    let programs = [
        Program { name: "lxkns ls", command: vec![lxkns.clone(), "ls".into()] },
        Program { name: "lsns", command: vec![args.lsns.clone()] },
        Program { name: "floor", command: vec![built("floor")] },
        Program { name: "lxkns dump", command: vec![lxkns.clone(), "dump".into()] },
        by_reader("lxkns ls --reader kernel", &lxkns),
        by_reader("lxkns ls --reader proc", &lxkns),
    ];
    let packaged = if args.packaged { Some(dist::program()?) } else { None };
    let workload = if args.idle { None } else { Some(Workload::start(args)?) };
    if let Some(workload) = &workload {
        println!("{}", workload.ready);
    }
    let results = measure(&programs, args.runs)?;
    let views = measure(&views(&lxkns), args.runs)?;
    let packaged = packaged.map(|program| measure(&beside_release(&program), args.runs)).transpose()?;

    let [lxkns, lsns, floor, dump, kernel, proc] = &results;
    let mut text = format!("## {}\n\n```console\n$ {}\n```\n\n", title(args), command_line(args));
    let lsns_version = output(Command::new(&args.lsns).arg("--version"))?;
    let lsns_version = lsns_version.trim().rsplit(' ').next().unwrap_or_default();
    writeln!(text, "{}\n", host(&format!("lsns {lsns_version}"))?)?;
    text.push_str(&table(&results));
    text.push_str(&of_views(&views));
    text.push_str(&packaged.as_ref().map(of_packaged).unwrap_or_default());
    if rustix::process::geteuid().is_root() {
        text.push_str(&helpers()?);
    }
    println!("\n{text}");

    if args.keep {
        println!("the workload stands; press return to end it");
        std::io::stdin().read_line(&mut String::new())?;
    }
    if let Some(workload) = workload {
        workload.end()?;
    }
    if let Some(path) = &args.save {
        save(path, &text)?;
    }
    if args.check {
        let mut claims = vec![
            Claim::new("times faster than lsns, at least", lsns.wall() / lxkns.wall(), args.faster_than_lsns, true),
            Claim::new("times the floor by procfs, at most", proc.wall() / floor.wall(), args.within_floor, false),
            Claim::new(
                "times the floor `lxkns dump`, at most",
                dump.wall() / floor.wall(),
                args.dump_within_floor,
                false,
            ),
            Claim::new(
                "times the floor `lxkns ls --reader kernel`, at most",
                kernel.wall() / floor.wall(),
                args.kernel_within_floor,
                false,
            ),
            Claim::new("namespaces that it finds for each of procfs", kernel.lines / proc.lines, 1.0, true),
            Claim::new("MiB held by `lxkns dump`, at most", dump.peak_mib(), args.dump_within_mib, false),
            Claim::new("times `lxkns ls` any view, at most", slowest(&views), args.within_ls, false),
            Claim::new("namespaces found for each that lsns finds", lxkns.lines / lsns.lines, 1.0, true),
        ];
        if let Some([ls, packaged_ls, dump, packaged_dump]) = &packaged {
            let what = ["times the plain release `ls` as packaged, at most", "times it `dump` as packaged, at most"];
            for (what, ratio) in what.into_iter().zip([packaged_ls.times(ls), packaged_dump.times(dump)]) {
                claims.push(Claim::new(what, ratio, args.within_release, false));
            }
        }
        text::check(&claims)?;
    }
    Ok(())
}

fn build(args: &Args) -> anyhow::Result<()> {
    let mut command = cargo(["build", "--release", "--locked", "--package", "lxkns-bench"]);
    if args.lxkns.is_none() || args.packaged {
        command.args(["--package", "lxkns"]);
    }
    run_command(&mut command)?;
    // Static, as the helper is that it is measured beside.
    let ordinary = ["rustc", "--release", "--locked", "--package", "lxkns-bench", "--bin", "ordinary"];
    run_command(cargo(ordinary).args(["--", "-C", "target-feature=+crt-static"]))
}

/// The cost of a look into a mount namespace: the helper, beside an ordinary static program that does the same.
fn helpers() -> anyhow::Result<String> {
    let mut text = String::from("\nInto a mount namespace, from asking for a helper until it is ready:\n\n");
    let ordinary = built("ordinary");
    for (name, program) in [("mntnssandbox", None), ("the same in ordinary Rust", Some(&ordinary))] {
        let measured = output(Command::new(built("helper")).args(program))?;
        let [median, private] = measured.split_whitespace().collect::<Vec<_>>()[..] else {
            bail!("the stopwatch for helpers printed {measured}");
        };
        writeln!(text, "- {name}: median {median} \u{b5}s; {private} KiB of private memory while it waits")?;
    }
    Ok(text)
}

fn built(name: &str) -> PathBuf {
    Path::new(BUILT).join(name)
}

/// The measured quantity.
struct Program {
    name: &'static str,
    command: Vec<PathBuf>,
}

/// A program, its command and its options by one name.
fn by_reader(name: &'static str, lxkns: &Path) -> Program {
    let words = name.split(' ').skip(1).map(PathBuf::from);
    Program { name, command: [lxkns.to_owned()].into_iter().chain(words).collect() }
}

/// The measurements of one program, one number for each run.
struct Results {
    name: &'static str,
    wall_ms: Vec<f64>,
    cpu_ms: Vec<f64>,
    peak_kib: Vec<f64>,
    /// How many lines it printed.
    lines: f64,
}

impl Results {
    fn wall(&self) -> f64 {
        median(&self.wall_ms)
    }

    fn peak_mib(&self) -> f64 {
        fold(&self.peak_kib, f64::max) / 1024.0
    }

    /// How many times as long as another it takes. They took turns: each run is compared with the one beside it, so that
    /// what else the host did then hits both.
    fn times(&self, other: &Self) -> f64 {
        median(&self.wall_ms.iter().zip(&other.wall_ms).map(|(ours, theirs)| ours / theirs).collect::<Vec<_>>())
    }
}

fn measure<const N: usize>(programs: &[Program; N], runs: u32) -> anyhow::Result<[Results; N]> {
    let mut lines = [0.0; N];
    for (program, lines) in programs.iter().zip(&mut lines) {
        *lines = warm_up(program)?;
    }
    let mut results = std::array::from_fn(|i| Results {
        name: programs[i].name,
        wall_ms: Vec::new(),
        cpu_ms: Vec::new(),
        peak_kib: Vec::new(),
        lines: lines[i],
    });
    for _ in 0..runs {
        for (program, result) in programs.iter().zip(&mut results) {
            let [wall, user, system, peak] = timed(program, &[])?;
            result.wall_ms.push(wall / 1e6);
            result.cpu_ms.push((user + system) / 1e3);
            result.peak_kib.push(peak);
        }
    }
    Ok(results)
}

/// The views, the first of which the others are measured by.
const VIEWS: [&str; 10] = [
    "ls",
    "ls -t net",
    "tree",
    "tree --owned",
    "tree pid --users",
    "tree proc",
    "orphans",
    "why user:4026531837",
    "caps user:4026531837",
    "mounts",
];

fn views(lxkns: &Path) -> [Program; VIEWS.len()] {
    VIEWS.map(|name| {
        let words = name.split(' ').map(PathBuf::from);
        Program { name, command: [lxkns.to_owned()].into_iter().chain(words).collect() }
    })
}

/// The plain release build and the packaged program, each beside the other.
fn beside_release(packaged: &Path) -> [Program; 4] {
    let program = |name, program: PathBuf, command: &str| Program { name, command: vec![program, command.into()] };
    [
        program("ls, plain release", built("lxkns"), "ls"),
        program("ls, packaged", packaged.to_owned(), "ls"),
        program("dump, plain release", built("lxkns"), "dump"),
        program("dump, packaged", packaged.to_owned(), "dump"),
    ]
}

fn of_packaged([ls, packaged_ls, dump, packaged_dump]: &[Results; 4]) -> String {
    let mut text = String::from("\nThe packaged program beside a plain release build, run by run:\n\n");
    for (name, plain, packaged) in [("ls", ls, packaged_ls), ("dump", dump, packaged_dump)] {
        let (from, to) = (plain.wall(), packaged.wall());
        let _ = writeln!(text, "- `lxkns {name}`: {to:.1} ms, {from:.1} ms plain: {:.3} x", packaged.times(plain));
    }
    text
}

/// How many times as long as the first the slowest takes.
fn slowest(views: &[Results]) -> f64 {
    fold(&views.iter().map(|view| view.wall() / views[0].wall()).collect::<Vec<_>>(), f64::max)
}

fn of_views(views: &[Results]) -> String {
    let mut text = String::from("\nEvery view, by the median:\n\n");
    for view in views {
        let (wall, times) = (view.wall(), view.wall() / views[0].wall());
        let _ = writeln!(
            text,
            "- `lxkns {}`: {wall:.1} ms, CPU {:.1} ms, {times:.2} x `ls`",
            view.name,
            median(&view.cpu_ms)
        );
    }
    text
}

/// One run of a program under the stopwatch.
fn timed(program: &Program, options: &[&Path]) -> anyhow::Result<[f64; 4]> {
    let text = output(Command::new(built("timed")).args(options).arg("--").args(&program.command))?;
    let numbers: Vec<f64> = text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    numbers.try_into().map_err(|_| anyhow::anyhow!("the stopwatch printed {text}"))
}

/// The run that is not counted: it shows that the program works, and how many lines it prints.
fn warm_up(program: &Program) -> anyhow::Result<f64> {
    let dir = tempfile::tempdir().context("cannot make a directory")?;
    let (stdout, stderr) = (dir.path().join("stdout"), dir.path().join("stderr"));
    let options = [Path::new("--stdout"), &stdout, Path::new("--stderr"), &stderr];
    let read = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
    let result = timed(program, &options);
    print!("{}", read(&stderr));
    result.with_context(|| format!("{} does not work", program.name))?;
    Ok(read(&stdout).lines().count() as f64)
}

/// A workload that stands until it is dropped.
struct Workload {
    child: Child,
    /// Its output when it was ready.
    ready: String,
}

impl Workload {
    fn start(args: &Args) -> anyhow::Result<Self> {
        let mut child = Command::new(built("workload"))
            .args(workload_options(args))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot run the workload")?;
        let stdout = child.stdout.take().context("its standard output is a pipe")?;
        let mut ready = String::new();
        BufReader::new(stdout).read_line(&mut ready)?;
        let workload = Self { child, ready: ready.trim_end().to_owned() };
        ensure!(workload.ready.starts_with("ready "), "there is no workload to measure on");
        Ok(workload)
    }

    fn end(mut self) -> anyhow::Result<()> {
        drop(self.child.stdin.take());
        let status = self.child.wait()?;
        ensure!(status.success(), "the workload: {status}");
        Ok(())
    }
}

impl Drop for Workload {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // It has ended already, or ends now that its standard input has.
        let _ = self.child.wait();
    }
}

fn workload_options(args: &Args) -> Vec<String> {
    let mut options = Vec::new();
    for (name, value) in [
        ("processes", args.processes),
        ("threads-extra", args.threads_extra),
        ("namespaces", args.namespaces),
        ("fds", args.fds),
        ("sockets", args.sockets),
        ("processless-mount-namespaces", args.processless_mount_namespaces),
    ] {
        options.push(format!("--{name}={value}"));
    }
    options
}

/// The command that repeats this run, paths of the machine left out.
fn command_line(args: &Args) -> String {
    let options = if args.idle { "--idle".to_owned() } else { workload_options(args).join(" ") };
    format!("cargo xtask bench {options} --runs={}", args.runs)
}

fn title(args: &Args) -> String {
    if args.idle {
        return "An idle host".to_owned();
    }
    let mut title = format!(
        "{} processes, {} tasks, {} namespaces",
        thousands(args.processes),
        thousands(args.processes + args.threads_extra),
        thousands(args.namespaces)
    );
    if args.processless_mount_namespaces > 0 {
        title.push_str(&format!(", {} more without a process", thousands(args.processless_mount_namespaces)));
    }
    title
}

fn table(results: &[Results; 6]) -> String {
    let [_, lsns, floor, ..] = results;
    let mut rows = vec![
        ["program", "median ms", "min", "max", "CPU ms", "lsns takes", "times floor", "peak MiB", "lines"]
            .map(str::to_owned),
    ];
    for result in results {
        rows.push([
            result.name.to_owned(),
            format!("{:.1}", result.wall()),
            format!("{:.1}", fold(&result.wall_ms, f64::min)),
            format!("{:.1}", fold(&result.wall_ms, f64::max)),
            format!("{:.1}", median(&result.cpu_ms)),
            format!("{:.2} x", lsns.wall() / result.wall()),
            format!("{:.2}", result.wall() / floor.wall()),
            format!("{:.1}", result.peak_mib()),
            format!("{}", result.lines),
        ]);
    }
    let mut text = aligned(&rows);
    text.push_str("\nEvery run, in ms and in the order in which they were made:\n\n");
    for result in results {
        let runs: Vec<String> = result.wall_ms.iter().map(|ms| format!("{ms:.1}")).collect();
        let _ = writeln!(text, "- {}: {}", result.name, runs.join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_compared_with_those_beside_them() {
        let results = |wall_ms: [f64; 3]| Results {
            name: "",
            wall_ms: wall_ms.to_vec(),
            cpu_ms: Vec::new(),
            peak_kib: Vec::new(),
            lines: 0.0,
        };
        assert_eq!(results([10.0, 200.0, 33.0]).times(&results([10.0, 100.0, 30.0])), 1.1);
    }
}
