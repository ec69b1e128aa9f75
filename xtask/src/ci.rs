//! `cargo xtask ci`: all that continuous integration runs, in one place that a person can run too.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::run::{cargo, run};
use crate::{api, bench, deploy, dist, licences, openapi, page, test, tidy, vm};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only these steps, by name
    #[arg(value_name = "STEP")]
    only: Vec<String>,
}

type Step = (&'static str, fn() -> anyhow::Result<()>);

/// The quick ones first: who made a slip wants to know soon.
const STEPS: [Step; 17] = [
    ("fmt", || run(&mut cargo(["fmt", "--all", "--check"]))),
    ("tidy", tidy::run),
    ("licences", licences::run),
    ("deploy", deploy::run),
    ("clippy", clippy),
    ("doc", doc),
    ("api", api::run),
    ("fuzz", fuzz),
    ("packages", api::packages),
    ("page", page::all),
    ("proof", page::proof),
    ("openapi", openapi::all),
    ("vm", vm::all),
    ("dist", dist::all),
    // With what the step before has built.
    ("bench", bench::smoke),
    ("doctest", test::doc_tests),
    // Last, so the output ends with the count of tests.
    ("test", test::suite),
];

/// So many of the last lines of a step that failed are shown again in the end.
const LAST: usize = 80;

/// A step that has ended.
struct Ended {
    name: &'static str,
    took: Duration,
    failure: Option<Failure>,
}

struct Failure {
    reason: String,
    last: VecDeque<Vec<u8>>,
}

/// Runs every step even if one fails, so one run shows all errors.
fn run_steps(steps: &[Step]) -> anyhow::Result<Vec<Ended>> {
    let mut all = Vec::new();
    for &(name, _) in steps {
        let start = Instant::now();
        let failure = run_by_itself(name)?;
        let took = start.elapsed();
        match &failure {
            None => println!("== {name}: ok, {:.1} s", took.as_secs_f64()),
            Some(failure) => println!("== {name}: FAILED, {:.1} s: {}", took.as_secs_f64(), failure.reason),
        }
        all.push(Ended { name, took, failure });
    }
    Ok(all)
}

/// Runs a step in a process of its own, passes on what it writes, and keeps the end of that if it fails.
fn run_by_itself(name: &str) -> anyhow::Result<Option<Failure>> {
    let (output, theirs) = std::io::pipe().context("cannot make a pipe")?;
    // By this name it is there even if a step before has built it anew.
    let mut command = Command::new("/proc/self/exe");
    command.args(["ci", name]).stdin(Stdio::null()).stdout(theirs.try_clone()?).stderr(theirs);
    let mut child = command.spawn().with_context(|| format!("cannot run the step {name}"))?;
    // Its ends of the pipe: with them open here, the output would have no end.
    drop(command);
    let (mut output, mut line, mut last) = (BufReader::new(output), Vec::new(), VecDeque::new());
    while output.read_until(b'\n', &mut line)? > 0 {
        std::io::stdout().write_all(&line)?;
        if last.len() == LAST {
            last.pop_front();
        }
        last.push_back(std::mem::take(&mut line));
    }
    let status = child.wait()?;
    Ok((!status.success()).then(|| Failure { reason: status.to_string(), last }))
}

pub(crate) fn all(args: &Args) -> anyhow::Result<()> {
    if let Some(unknown) = args.only.iter().find(|name| STEPS.iter().all(|step| step.0 != **name)) {
        bail!("there is no step {unknown}; there are {}", STEPS.map(|step| step.0).join(", "));
    }
    let steps: Vec<Step> =
        STEPS.into_iter().filter(|step| args.only.is_empty() || args.only.iter().any(|name| name == step.0)).collect();
    if let [(name, step)] = steps[..] {
        println!("== {name}");
        return step();
    }
    let ended = run_steps(&steps)?;

    let failed: Vec<_> = ended.iter().filter_map(|step| Some((step.name, step.failure.as_ref()?))).collect();
    for (name, failure) in &failed {
        println!("\n== {name}, which has failed, ended with");
        for line in &failure.last {
            std::io::stdout().write_all(line)?;
        }
    }
    println!();
    for Ended { name, took, failure } in &ended {
        println!("{name:<10}{:>7.1} s  {}", took.as_secs_f64(), if failure.is_none() { "ok" } else { "FAILED" });
    }
    if !failed.is_empty() {
        bail!("failed: {}", failed.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", "));
    }
    Ok(())
}

fn clippy() -> anyhow::Result<()> {
    run(&mut cargo(["clippy", "--workspace", "--all-targets", "--all-features", "--locked", "--", "-D", "warnings"]))
}

fn doc() -> anyhow::Result<()> {
    run(cargo(["doc", "--workspace", "--no-deps", "--locked"]).env("RUSTDOCFLAGS", "-D warnings"))
}

/// Whether the fuzz targets fit the code. To build them with what libFuzzer counts by, and run them, takes minutes
/// (`cargo xtask fuzz`).
fn fuzz() -> anyhow::Result<()> {
    let manifest = Path::new("fuzz/Cargo.toml");
    if !manifest.exists() {
        println!("there are no fuzz targets");
        return Ok(());
    }
    run(&mut cargo(["check", "--manifest-path", "fuzz/Cargo.toml", "--locked"]))
}
