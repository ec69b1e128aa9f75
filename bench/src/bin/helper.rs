//! How long a helper takes from being asked for to being ready inside a mount namespace, and how much memory it then
//! has for itself. Prints the median in microseconds, and KiB.

#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Parser;
use lxkns_mountns::{HelperProgram, SandboxOptions, Sandboxes, Target};

/// Times a helper
#[derive(Parser)]
struct Args {
    /// How often
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// This program instead of the one that the library carries
    program: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let mut options = SandboxOptions::default();
    options.program = args.program.map_or(HelperProgram::Carried, HelperProgram::File);
    let sandboxes = Sandboxes::new(&options)?;
    let namespace = std::fs::File::open("/proc/self/ns/mnt")?;
    let enter = || sandboxes.open(Target::Fd(std::os::fd::AsFd::as_fd(&namespace)), Duration::from_secs(10));

    let private = private_kib(enter()?.helper().context("a helper runs")?)?;
    let mut times = Vec::new();
    for _ in 0..args.runs {
        let start = Instant::now();
        let entered = enter()?;
        times.push(start.elapsed());
        entered.close();
        // The end of one is not to be the next one's time.
        while !sandboxes.helpers().is_empty() {
            std::thread::yield_now();
        }
    }
    times.sort_unstable();
    println!("{:.1} {private}", times[times.len() / 2].as_secs_f64() * 1e6);
    Ok(())
}

fn private_kib(pid: u32) -> anyhow::Result<u64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let rollup = std::fs::read_to_string(Path::new(&path)).with_context(|| path.clone())?;
    let private = rollup.lines().filter(|line| line.starts_with("Private_"));
    private.map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum::<Option<u64>>().context(path)
}
