//! `cargo xtask fuzz`: the fuzz targets, built for libFuzzer with the stable compiler.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use crate::artifacts::{fresh, host, messages};
use crate::run::{cargo, run};

/// What libFuzzer needs of the compiler: counters of each edge and call, and what is compared with what. No sanitizer: those are for
/// unsafe code (the targets have none), and need a nightly compiler.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
                     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
                     -Cllvm-args=-sanitizer-coverage-trace-compares";

/// The address space of a target. One that wants more memory for some input fails with that input.
const ADDRESS_SPACE: &str = "--as=1073741824";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only these targets
    #[arg(value_name = "TARGET")]
    only: Vec<String>,
    /// Time for each target
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    time: u32,
}

/// Runs targets for a time.
pub(crate) fn all(args: &Args) -> anyhow::Result<()> {
    each(&args.only, &[&format!("-max_total_time={}", args.time)])
}

fn each(only: &[String], flags: &[&str]) -> anyhow::Result<()> {
    let (targets, seeds) = built()?;
    if let Some(unknown) = only.iter().find(|only| targets.iter().all(|(name, _)| name != *only)) {
        let names: Vec<_> = targets.iter().map(|(name, _)| name.as_str()).collect();
        bail!("there is no target {unknown}; there are {}", names.join(", "));
    }
    // Not kept: those of an older protocol would be refused at their first byte.
    let made = Path::new("fuzz/target/seeds");
    fresh(made)?;
    run(Command::new(&seeds).arg(made))?;
    let mut failed = Vec::new();
    for (name, program) in targets.iter().filter(|(name, _)| only.is_empty() || only.contains(name)) {
        let [corpus, artifacts, kept] =
            ["corpus", "artifacts", "seeds"].map(|of| Path::new("fuzz").join(of).join(name));
        for directory in [&corpus, &artifacts] {
            fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
        }
        let seeds: Vec<_> = [kept, made.join(name)].into_iter().filter(|seeds| seeds.exists()).collect();
        ensure!(!seeds.is_empty(), "{name} has no seeds");
        let mut target = Command::new("prlimit");
        target.args([ADDRESS_SPACE, "--core=0"]).arg(program).arg("-timeout=10").args(flags);
        target.arg(format!("-artifact_prefix={}/", artifacts.display())).arg(corpus).args(seeds);
        if let Err(error) = run(&mut target) {
            println!("{name}: {error:#}");
            failed.push(name.as_str());
        }
    }
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

/// The targets, by name, and what makes seeds for some.
fn built() -> anyhow::Result<(Vec<(String, PathBuf)>, PathBuf)> {
    // With a target named, the flags are not for build scripts and procedural macros.
    let mut build = cargo(["build", "--release", "--manifest-path", "fuzz/Cargo.toml", "--target", &host()?]);
    let mut targets = Vec::new();
    for message in messages(build.env("RUSTFLAGS", FLAGS))?.lines() {
        let message: Value = serde_json::from_str(message).context("cargo's message is not JSON")?;
        if let (Some(name), Some(program)) = (message["target"]["name"].as_str(), message["executable"].as_str()) {
            targets.push((name.to_owned(), program.into()));
        }
    }
    targets.sort_unstable();
    let at = targets.iter().position(|(name, _)| name == "seeds").context("nothing makes seeds")?;
    let (_, seeds) = targets.remove(at);
    Ok((targets, seeds))
}
