//! `cargo xtask ci`: all that continuous integration runs, in one place that a person can run too.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::bail;

use crate::run::{cargo, run};
use crate::{api, bench, deploy, dist, licences, page, test, tidy, vm};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only these steps, by name
    #[arg(value_name = "STEP")]
    only: Vec<String>,
}

type Step = (&'static str, fn() -> anyhow::Result<()>);

/// The quick ones first: who made a slip wants to know soon.
const STEPS: [Step; 16] = [
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
    ("vm", vm::all),
    ("dist", dist::all),
    // With what the step before has built.
    ("bench", bench::smoke),
    ("doctest", test::doc_tests),
    // Last, so the output ends with the count of tests.
    ("test", test::suite),
];

/// Runs every step even if one fails, so one run shows all errors.
fn run_steps(steps: &[Step]) -> Vec<(&'static str, Duration, anyhow::Result<()>)> {
    let mut results = Vec::new();
    for &(name, step) in steps {
        println!("== {name}");
        let start = Instant::now();
        let result = step();
        let took = start.elapsed();
        match &result {
            Ok(()) => println!("== {name}: ok, {:.1} s", took.as_secs_f64()),
            Err(error) => println!("== {name}: FAILED, {:.1} s: {error:#}", took.as_secs_f64()),
        }
        results.push((name, took, result));
    }
    results
}

pub(crate) fn all(args: &Args) -> anyhow::Result<()> {
    if let Some(unknown) = args.only.iter().find(|name| STEPS.iter().all(|step| step.0 != **name)) {
        bail!("there is no step {unknown}; there are {}", STEPS.map(|step| step.0).join(", "));
    }
    let steps: Vec<Step> =
        STEPS.into_iter().filter(|step| args.only.is_empty() || args.only.iter().any(|name| name == step.0)).collect();
    let results = run_steps(&steps);

    println!();
    for (name, took, result) in &results {
        println!("{name:<10}{:>7.1} s  {}", took.as_secs_f64(), if result.is_ok() { "ok" } else { "FAILED" });
    }
    let failed: Vec<String> =
        results.iter().filter_map(|(name, _, result)| Some(format!("{name}: {:#}", result.as_ref().err()?))).collect();
    if !failed.is_empty() {
        bail!("failed:\n{}", failed.join("\n"));
    }
    Ok(())
}

fn clippy() -> anyhow::Result<()> {
    run(&mut cargo(["clippy", "--workspace", "--all-targets", "--all-features", "--locked", "--", "-D", "warnings"]))
}

fn doc() -> anyhow::Result<()> {
    run(cargo(["doc", "--workspace", "--no-deps", "--locked"]).env("RUSTDOCFLAGS", "-D warnings"))
}

/// The fuzz targets need a nightly compiler to run, but any compiler tells whether they still fit the code.
fn fuzz() -> anyhow::Result<()> {
    let manifest = Path::new("fuzz/Cargo.toml");
    if !manifest.exists() {
        println!("there are no fuzz targets");
        return Ok(());
    }
    run(&mut cargo(["check", "--manifest-path", "fuzz/Cargo.toml", "--locked"]))
}
