//! A stopwatch: runs a program, and prints how long it took and the most memory that it held.
//!
//! A program of its own, and a small one, because the kernel's account of a child's peak memory starts with what its
//! parent held when it was forked.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Parser;

/// Runs a program without input or output and prints `nanoseconds user-microseconds system-microseconds peak-KiB`.
#[derive(Parser)]
struct Args {
    /// Write the program's standard output to this file instead of nowhere
    #[arg(long, value_name = "FILE")]
    stdout: Option<PathBuf>,
    /// Write the program's standard error to this file instead of nowhere
    #[arg(long, value_name = "FILE")]
    stderr: Option<PathBuf>,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true)]
    command: Vec<String>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("timed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> anyhow::Result<()> {
    let mut command = Command::new(&args.command[0]);
    command
        .args(&args.command[1..])
        .stdin(Stdio::null())
        .stdout(sink(args.stdout.as_deref())?)
        .stderr(sink(args.stderr.as_deref())?);

    let start = Instant::now();
    let child = command.spawn().with_context(|| format!("cannot run {}", args.command[0]))?;
    let (status, usage) = wait(child.id())?;
    let took = start.elapsed();

    if !status.success() {
        bail!("{}: {status}", args.command[0]);
    }
    println!(
        "{} {} {} {}",
        took.as_nanos(),
        time(usage.ru_utime).as_micros(),
        time(usage.ru_stime).as_micros(),
        usage.ru_maxrss
    );
    Ok(())
}

fn sink(file: Option<&Path>) -> anyhow::Result<Stdio> {
    Ok(match file {
        Some(path) => File::create(path).with_context(|| format!("cannot create {}", path.display()))?.into(),
        None => Stdio::null(),
    })
}

fn time(t: libc::timeval) -> Duration {
    Duration::from_secs(t.tv_sec.unsigned_abs()) + Duration::from_micros(t.tv_usec.unsigned_abs())
}

/// Waits for a child and for what the kernel counted of it, which the standard library cannot tell.
fn wait(pid: u32) -> anyhow::Result<(ExitStatus, libc::rusage)> {
    let pid = libc::pid_t::try_from(pid)?;
    let mut status = 0;
    // SAFETY: an rusage is plain integers, for which all zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: both pointers are to live variables of the types that wait4 fills.
        let got = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) };
        if got == pid {
            return Ok((ExitStatus::from_raw(status), usage));
        }
        let error = std::io::Error::last_os_error();
        if error.kind() != std::io::ErrorKind::Interrupted {
            return Err(error).context("wait4");
        }
    }
}
