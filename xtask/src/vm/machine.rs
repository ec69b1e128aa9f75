//! A virtual machine, from its kernel's start to its end.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::kernels::Kernel;

const QEMU: &str = "qemu-system-x86_64";
/// Timeout for the tests in a machine. They take up to ten minutes where QEMU emulates; a machine that hangs, for ever.
const LIMIT: Duration = Duration::from_secs(40 * 60);

/// Whether there is what machines are run with.
pub(super) fn can_run() -> anyhow::Result<()> {
    if !cfg!(target_arch = "x86_64") {
        bail!("the machines are of x86-64, and so the host must be");
    }
    match Command::new(QEMU).arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => bail!("{QEMU}: {status}"),
        Err(error) => Err(error).context(format!("{QEMU} is missing (Debian: qemu-system-x86)")),
    }
}

/// The outcome of a machine.
pub(super) struct Ended {
    /// The output on its second serial port.
    pub(super) report: String,
    /// Why it is not all, if the machine has not switched itself off.
    pub(super) failure: Option<String>,
}

/// Runs a machine until it switches itself off, or for as long as one may run.
pub(super) fn run(kernel: &Kernel, initramfs: &Path, directory: &Path) -> anyhow::Result<Ended> {
    let port = |name| directory.join(format!("{}.{name}", kernel.file_name()));
    let (console, report) = (port("console"), port("report"));
    // A machine ends with the process that started it.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", QEMU, "-no-user-config", "-nodefaults", "-display", "none", "-no-reboot"]);
    // KVM is not for everybody, and where there is one it may be one of a virtual machine, which hangs old kernels.
    // Of an old processor: what newer ones have for long moves takes longer where it is emulated.
    command.args(["-machine", "q35", "-accel", "tcg", "-cpu", "Nehalem,+rdrand", "-smp", "1", "-m", "2048"]);
    // Of what a kernel does only for safety's sake, an emulated processor makes far more work than a real one does.
    const QUICKLY: &str = "mitigations=off norandmaps no5lvl init_on_alloc=0 hardened_usercopy=off";
    // On a busy host its timer can seem not to work, at which it would stop.
    const PATIENTLY: &str = "no_timer_check";
    command.arg("-kernel").arg(&kernel.image).arg("-initrd").arg(initramfs);
    let selinux = if kernel.selinux { "security=selinux selinux=1 enforcing=1" } else { "" };
    let lockdown = if kernel.lockdown { "lockdown=confidentiality" } else { "" };
    command
        .arg("-append")
        .arg(format!("console=ttyS0 quiet loglevel=4 panic=-1 {QUICKLY} {PATIENTLY} {selinux} {lockdown}"));
    for port in [&console, &report] {
        command.arg("-serial").arg(format!("file:{}", port.display()));
    }
    let started = Instant::now();
    let mut machine = command.stdin(Stdio::null()).spawn().context("cannot run setpriv")?;
    let limit = Timespec { tv_sec: LIMIT.as_secs().cast_signed(), tv_nsec: 0 };
    let pidfd = pidfd_open(Pid::from_child(&machine), PidfdFlags::empty())?;
    let ended = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&limit))?;
    if ended == 0 {
        machine.kill()?;
    }
    let status = machine.wait()?;
    let text = |path| fs::read(path).map(|text| String::from_utf8_lossy(&text).replace('\r', "")).unwrap_or_default();
    let (console, report) = (text(&console), text(&report));
    let seconds = started.elapsed().as_secs();
    // The kernel and init say nothing unless something is wrong, but for how it ends.
    let remarks: Vec<&str> =
        console.lines().filter(|line| !line.trim().is_empty() && !line.contains("reboot:")).collect();
    println!("{}: {seconds} s", kernel.name);
    let failure = if ended == 0 {
        Some(format!("the machine had not ended after {seconds} s"))
    } else if !status.success() || !console.contains("reboot: Power down") {
        Some(format!("the machine has failed after {seconds} s ({status}): {}", remarks.join("\n")))
    } else {
        remarks.iter().find(|line| line.starts_with("init: ")).map(|&remark| remark.to_owned())
    };
    Ok(Ended { report, failure })
}
