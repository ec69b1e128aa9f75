//! `cargo xtask vm`: the live tests on other kernels, in virtual machines; and what each kernel gives, as a table.
//!
//! Needs neither root nor KVM: QEMU emulates the processor, and a machine consists of a kernel and an initramfs that is
//! put together here. The tests are those that run on the host too, in one statically linked program.

mod image;
mod kernels;
mod machine;
pub(crate) mod one_file;
mod report;
mod table;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use anyhow::{Context, ensure};

use crate::artifacts::{self, Programs};
use crate::run::{line, output};
use kernels::Kernel;
use report::Report;
use table::Table;

/// The file with the table.
const DOCUMENT: &str = "docs/kernels.md";

/// The kernel for the service's profile.
const WITH_APPARMOR: &str = "6.12";

/// How many machines run side by side: each has one processor. With two each they would be slower, as one processor then
/// waits for the other all the time.
const SIDE_BY_SIDE: usize = 2;

/// A kernel's name, and what its machine reported.
type Outcome = (String, anyhow::Result<Report>);

#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// Debian's kernels of these versions; those that end in +selinux are for what is about SELinux, in +lockdown about
    /// lockdown [default: 5.10 6.1 6.12 7.2 6.1+selinux 7.2+selinux 6.12+lockdown, unless --kernel names others]
    #[arg(value_name = "KERNEL")]
    versions: Vec<String>,
    /// A kernel of any origin (vmlinuz); can be given several times
    #[arg(long, value_name = "PATH")]
    kernel: Vec<PathBuf>,
    /// A module to load into each of the kernels that --kernel names, not compressed; can be given several times
    #[arg(long, value_name = "PATH", requires = "kernel")]
    module: Vec<PathBuf>,
    /// Only tests whose names contain this
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Leave out the tests of what commands make of what was found: on kernels between the oldest and the newest, and as an
    /// ordinary user
    #[arg(long, conflicts_with = "only")]
    ends: bool,
    /// No tests, but this static program in a machine that has nothing else
    #[arg(long, value_name = "PROGRAM", conflicts_with_all = ["versions", "kernel", "only"])]
    one_file: Option<PathBuf>,
    /// Only the tests of this static lxknsd under its AppArmor profile
    #[arg(long, value_name = "PROGRAM", conflicts_with_all = ["only", "ends", "one_file"])]
    service: Option<PathBuf>,
    /// Print all that the tests print
    #[arg(long)]
    verbose: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    if let Some(program) = &args.one_file {
        return one_file::check(program);
    }
    machine::can_run()?;
    let mut kernels: Vec<_> = args.kernel.iter().map(|path| Kernel::of_file(path, &args.module)).collect();
    let versions: Vec<&str> = match (&args.versions[..], &args.kernel[..]) {
        ([], []) => kernels::DEFAULT.to_vec(),
        (versions, _) => versions.iter().map(String::as_str).collect(),
    };
    kernels.extend(kernels::of_debian(&versions)?);
    let (built, init) = artifacts::static_programs()?;
    let programs =
        image::Programs { init: &init, live: &built.live, lxkns: &built.lxkns, service: args.service.as_deref() };

    let is_whole = args.only.is_none() && args.service.is_none();
    // All tests on this host are for `cargo xtask test`.
    let here = match is_whole {
        true => Some(on_this_host(&built).context("on this host")?),
        false => None,
    };
    let mut problems = Vec::new();
    let mut reports = Vec::new();
    for (kernel, outcome) in in_machines(&kernels, &programs, args)? {
        match outcome {
            Ok(report) => {
                problems.extend(report.problems());
                reports.push(report);
            }
            Err(error) => problems.push(format!("{kernel}: {error:#}")),
        }
    }
    // SELinux does not change the interfaces of a kernel; lockdown does.
    let (others, mut reports): (Vec<_>, Vec<_>) =
        reports.into_iter().partition(|report| report.selinux || report.lockdown);
    let has_table = is_whole && !reports.is_empty() && reports.iter().all(|report| report.failure.is_none());
    reports.extend(here);
    reports.sort_by_key(|report| report.version);

    if has_table {
        let table = Table::of(&reports)?;
        println!("\n{}", table.for_terminal());
        problems.extend(table.keep(DOCUMENT)?);
    }
    for report in reports.iter().chain(&others) {
        println!("{}", report.summary());
    }
    for problem in &problems {
        println!("{problem}");
    }
    let failed: Vec<_> = reports.iter().chain(&others).flat_map(Report::failed).collect();
    ensure!(failed.is_empty(), "{} problems; failed: {}", problems.len(), failed.join(", "));
    ensure!(problems.is_empty(), "{} problems: {}", problems.len(), problems.join("; "));
    Ok(())
}

/// The step of CI, which has to end within the hour.
pub(crate) fn all() -> anyhow::Result<()> {
    run(&Args { ends: true, ..Args::default() })
}

/// A step of `cargo xtask dist`: a packaged `lxknsd` under its AppArmor profile.
pub(crate) fn of_service(program: &Path) -> anyhow::Result<()> {
    run(&Args { versions: vec![WITH_APPARMOR.to_owned()], service: Some(program.to_owned()), ..Args::default() })
}

/// The interfaces and places of the running kernel, from the tests for the table.
fn on_this_host(programs: &Programs) -> anyhow::Result<Report> {
    println!("on this host");
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut text = format!("{}{release}\n", report::KERNEL);
    let mut asked = Command::new(&programs.live);
    text += &format!("{}\n{}", report::INTERFACES, output(asked.arg("--interfaces"))?);
    let who = if rustix::process::geteuid().is_root() { "root" } else { "a user" };
    text += &format!("== {who}\n");
    for group in table::groups() {
        let mut command = Command::new(&programs.live);
        // Where CI leaves out what is for later kernels, the table needs to know that it did not run.
        command.arg(group).env("LXKNS_BIN", &programs.lxkns).env_remove("CI");
        let ran = command.output().with_context(|| format!("cannot run {}", line(&command)))?;
        text += &String::from_utf8_lossy(&ran.stdout);
    }
    Report::parse(&text, "this host")
}

/// Whether tests are left out on this kernel, which has an older and a newer neighbour.
fn has_less(kernel: &Kernel, args: &Args) -> bool {
    args.ends && kernels::BETWEEN.contains(&&*kernel.name)
}

/// The tests that a machine runs, as arguments of theirs, one a line; behind `nobody `, those for the ordinary user alone.
fn tests_of(kernel: &Kernel, args: &Args) -> String {
    let between: &[&str] = if has_less(kernel, args) { &image::OF_COMMANDS } else { &[] };
    let skipped = image::NOT_OF_THE_KERNEL.iter().chain(between);
    let skipped: String = skipped.map(|name| format!("--skip={name}\n")).collect();
    // The suite runs these as an ordinary user on the host.
    let by_root: &[&str] = if args.ends { &image::OF_COMMANDS } else { &[] };
    let by_root: String = by_root.iter().map(|name| format!("nobody --skip={name}\n")).collect();
    let only = args.only.as_deref().unwrap_or(match kernel {
        Kernel { selinux: true, .. } => image::OF_SELINUX,
        Kernel { lockdown: true, .. } => image::OF_LOCKDOWN,
        _ if args.service.is_some() => image::OF_SERVICE,
        _ => "",
    });
    // One after the other: the machines share the host's processors as it is.
    format!("--test-threads=1\n{skipped}{by_root}{only}")
}

/// Runs a machine for each kernel, some side by side, and says what came of each.
fn in_machines(kernels: &[Kernel], programs: &image::Programs<'_>, args: &Args) -> anyhow::Result<Vec<Outcome>> {
    let directory = tempfile::Builder::new().prefix("lxkns-vm-").tempdir().context("cannot make a directory")?;
    // The longest first, so that none runs alone in the end: later kernels have more that is tested, and those between are
    // left with less.
    let mut order: Vec<_> = kernels.iter().rev().collect();
    order.sort_by_key(|kernel| (kernel.selinux || kernel.lockdown, has_less(kernel, args)));
    let next = Mutex::new(order.into_iter());
    let reports = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE.min(kernels.len()) {
            scope.spawn(|| {
                loop {
                    let Some(kernel) = next.lock().expect("nobody panics with it").next() else { return };
                    println!("{}", kernel.name);
                    let report = image::write(kernel, programs, &tests_of(kernel, args), directory.path())
                        .and_then(|initramfs| machine::run(kernel, &initramfs, directory.path()))
                        .and_then(|ended| {
                            if args.verbose {
                                println!("{}", ended.report);
                            }
                            let report = Report::parse(&ended.report, &kernel.name);
                            let mut report = match &ended.failure {
                                Some(failure) => report.with_context(|| failure.clone())?,
                                None => report?,
                            };
                            (report.selinux, report.lockdown) = (kernel.selinux, kernel.lockdown);
                            report.failure = ended.failure;
                            Ok(report)
                        });
                    reports.lock().expect("nobody panics with it").push((kernel.name.clone(), report));
                }
            });
        }
    });
    Ok(reports.into_inner().expect("nobody panics with it"))
}
