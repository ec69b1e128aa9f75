//! What `lxkns ls` does before it writes: a scan, and with `--containers` the recognition of containers. The difference is
//! what recognition costs.

use std::time::{Duration, Instant};

use clap::Parser;
use lxkns_core::model::Reader;
use lxkns_core::{Discovery, DiscoveryOptions, ProcRoot};
use lxkns_engines::{Host, Options};
use lxkns_mountns::{Access, SandboxOptions};

/// Scans this host, and prints what was found.
#[derive(Parser)]
struct Args {
    /// Recognize containers as well
    #[arg(long)]
    containers: bool,
    /// Read tasks and open files from the kernel's iterators
    #[arg(long)]
    kernel: bool,
    /// Scan so many times in one session, as a program does that watches
    #[arg(long, default_value_t = 1)]
    scans: u32,
    /// Print how long each part took
    #[arg(long)]
    times: bool,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let access = Access::new(SandboxOptions::default(), Duration::from_secs(1));
    let mut options = DiscoveryOptions::namespaces();
    options.reader = Some(if args.kernel { Reader::Kernel } else { Reader::Proc });
    let session = Discovery::of_host()?.mounts_through(&access);
    for _ in 1..args.scans {
        let took = session.run(&options)?.took;
        if args.times {
            eprintln!("scanned in {took:?}");
        }
    }
    let began = Instant::now();
    let mut snapshot = session.run(&options)?;
    anyhow::ensure!(snapshot.reader == options.reader, "the kernel reader cannot be used");
    let scanned = began.elapsed();
    if args.containers {
        lxkns_engines::annotate(&mut snapshot, &Host::new(ProcRoot::host()?), &Options::default());
    }
    if args.times {
        eprintln!("scanned in {scanned:?}, recognized in {:?}", began.elapsed() - scanned);
    }
    let found = snapshot.annotations.containers.as_ref().map(|containers| containers.list.len());
    println!("{} namespaces, containers: {found:?}", snapshot.namespaces.len());
    Ok(())
}
