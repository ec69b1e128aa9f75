//! The first process of a virtual machine that runs the live tests: makes a host of the initramfs, runs the tests as
//! root and as an ordinary user, says how each run ended, and switches the machine off.
//!
//! What is in the initramfs (`cargo xtask vm` makes it): this program as `/init`, the test program as `/live`, the
//! program under test as `/lxkns`, kernel modules as `/modules/N-NAME`, programs of the host with their libraries in
//! `/bin`, `/lib` and `/lib64`, and in `/arguments` the arguments of the test program, one a line; behind `nobody `, those
//! for the ordinary user alone. For the tests of the service also `/lxknsd`, and its profile in `/etc/apparmor.d`.
//! The machine's first serial port is the kernel's; all that the tests print goes to the second.
//!
//! Without a `/live` the machine is one that has nothing but `/lxkns` and `/proc`. Then each line of `/arguments` has the
//! arguments of one run of that, and `{mnt}` and `{net}` stand for a mount namespace without processes, and for a network
//! namespace that only a bind mount in there keeps.

#![forbid(unsafe_code)]

use std::ffi::CStr;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chroot};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use anyhow::Context;
use lxkns_fixture::Actor;
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount, mount_move};
use rustix::process::{Pid, WaitOptions};
use rustix::system::{RebootCommand, reboot};

/// Where the tests print.
const REPORT: &str = "/dev/ttyS1";
/// nobody: a user who owns nothing.
const NOBODY: u32 = 65534;
/// How arguments begin that are for this user alone.
const OF_NOBODY: &str = "nobody ";

fn main() {
    lxkns_fixture::run_if_actor();
    if std::process::id() != 1 {
        eprintln!("lxkns-test-init: this is for a virtual machine's first process");
        std::process::exit(2);
    }
    if let Err(error) = run() {
        // To the kernel's port: there may be no other yet.
        println!("init: {error:#}");
    }
    rustix::fs::sync();
    let error = reboot(RebootCommand::PowerOff);
    println!("init: cannot power off: {error:?}");
}

fn run() -> anyhow::Result<()> {
    if !Path::new("/live").exists() {
        return run_one_file();
    }
    file_systems("/").context("cannot mount the kernel's file systems")?;
    modules().context("cannot load the modules")?;
    selinux().context("cannot load the policy of SELinux")?;
    new_root().context("cannot change to a root that is not the initramfs")?;
    fs::create_dir_all("/etc")?;
    fs::write("/etc/passwd", format!("root:x:0:0::/:\nnobody:x:{NOBODY}:{NOBODY}::/:\n"))?;
    fs::write("/etc/hosts", "127.0.0.1 localhost\n")?;
    fs::write("/etc/group", format!("root:x:0:\nnogroup:x:{NOBODY}:\n"))?;
    for directory in ["/tmp", "/run", "/var/lib", "/mnt"] {
        fs::create_dir_all(directory)?;
    }
    // As udev makes them, too.
    for (n, stream) in ["/dev/stdin", "/dev/stdout", "/dev/stderr"].into_iter().enumerate() {
        std::os::unix::fs::symlink(format!("/proc/self/fd/{n}"), stream)?;
    }
    fs::set_permissions("/tmp", fs::Permissions::from_mode(0o1777))?;
    // As udev does: these are for everybody.
    for device in ["/dev/fuse", "/dev/net/tun"] {
        if Path::new(device).exists() {
            fs::set_permissions(device, fs::Permissions::from_mode(0o666))?;
        }
    }
    let mut report = File::options().write(true).open(REPORT).with_context(|| format!("cannot open {REPORT}"))?;
    writeln!(report, "== kernel {}", rustix::system::uname().release().to_string_lossy())?;
    writeln!(report, "== interfaces")?;
    run_live(&report, &["--interfaces"], 0)?;
    let arguments = fs::read_to_string("/arguments").context("cannot read the arguments")?;
    for (name, id) in [("root", 0), ("nobody", NOBODY)] {
        writeln!(report, "== {name}")?;
        let mut arguments: Vec<_> = arguments
            .lines()
            .filter_map(|line| match line.strip_prefix(OF_NOBODY) {
                Some(own) => (id != 0).then_some(own),
                None => Some(line),
            })
            .collect();
        if id != 0 {
            // What a filter denies, it denies to everybody.
            arguments.push("--skip=denied");
        }
        let ended = run_live(&report, &arguments, id)?;
        writeln!(report, "== {name}: {ended}")?;
    }
    Ok(())
}

/// Runs the only program there is.
fn run_one_file() -> anyhow::Result<()> {
    mount("proc", "/proc", "proc", MountFlags::empty(), c"").context("cannot mount /proc")?;
    let mut report = File::options().write(true).open(REPORT).with_context(|| format!("cannot open {REPORT}"))?;
    lxkns_fixture::probe::pin_to_one_cpu()?;
    // Nothing of the kernel's file systems is in the way there, and all is gone from sight here.
    let holder = Actor::spawn_in(&["mnt"]);
    let (mnt, net) = holder.hide_network("/dev");
    let (mnt, net) = (mnt.to_string(), net.to_string());
    let arguments = fs::read_to_string("/arguments").context("cannot read the arguments")?;
    for line in arguments.lines() {
        let mut command = Command::new("/lxkns");
        command.args(line.replace("{mnt}", &mnt).replace("{net}", &net).split_whitespace()).env_clear();
        command.stdin(Stdio::null()).stdout(report.try_clone()?).stderr(report.try_clone()?);
        writeln!(report, "== {line}")?;
        let ended = command.status().map_or_else(|error| error.to_string(), |status| status.to_string());
        writeln!(report, "== {line}: {ended}")?;
    }
    Ok(())
}

/// Runs the test program as this user, and says how it has ended.
fn run_live(report: &File, arguments: &[&str], id: u32) -> anyhow::Result<String> {
    let mut command = Command::new("/live");
    // A process group of its own: this process is in none.
    command.args(arguments).current_dir("/").env_clear().process_group(0);
    command.envs([("LXKNS_BIN", "/lxkns"), ("TMPDIR", "/tmp"), ("HOME", "/tmp"), ("PATH", "/bin")]);
    // The processor is emulated: each attack is tried some times, and many times on the host.
    command.env("LXKNS_TEST_ATTACKS", "2").env("LXKNS_TEST_AGAIN", "1");
    command.stdin(Stdio::null()).stdout(report.try_clone()?).stderr(report.try_clone()?);
    if id != 0 {
        command.uid(id).gid(id);
    }
    let child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Ok(format!("cannot be run: {error}")),
    };
    // The first process has the orphans of all others as its children.
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == Pid::from_child(&child) => {
                return Ok(ExitStatus::from_raw(status.as_raw()).to_string());
            }
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Ok(format!("cannot be waited for: {errno}")),
        }
    }
}

/// Mounts what every host has.
fn file_systems(root: &str) -> anyhow::Result<()> {
    for (fs_type, target) in [
        ("devtmpfs", "dev"),
        ("proc", "proc"),
        ("sysfs", "sys"),
        ("securityfs", "sys/kernel/security"),
        ("cgroup2", "sys/fs/cgroup"),
        ("devpts", "dev/pts"),
        ("mqueue", "dev/mqueue"),
    ] {
        let target = Path::new(root).join(target);
        // Below sysfs and where the file system has it, it is there already.
        let _ = fs::create_dir_all(&target);
        let data: &CStr = if fs_type == "devpts" { c"ptmxmode=0666" } else { c"" };
        let mounted = mount(fs_type, &target, fs_type, MountFlags::empty(), data);
        mounted.with_context(|| format!("cannot mount {fs_type} on {}", target.display()))?;
    }
    Ok(())
}

/// Loads the tests' own policy, where the machine was started with SELinux, and has it enforced from now on.
fn selinux() -> anyhow::Result<()> {
    const POLICY: &[u8] = include_bytes!("../../live/enter/selinux/policy.bin");
    let target = Path::new("/sys/fs/selinux");
    if !target.exists() {
        return Ok(());
    }
    mount("selinuxfs", target, "selinuxfs", MountFlags::empty(), c"")?;
    fs::write(target.join("load"), POLICY)?;
    Ok(fs::write(target.join("enforce"), "1")?)
}

/// Loads the kernel modules that there are, in the order of their names.
fn modules() -> anyhow::Result<()> {
    let mut paths: Vec<_> =
        fs::read_dir("/modules")?.map(|entry| Ok(entry?.path())).collect::<Result<_, std::io::Error>>()?;
    paths.sort();
    for path in paths {
        let loaded = rustix::system::finit_module(File::open(&path)?, c"", 0);
        loaded.with_context(|| format!("cannot load {}", path.display()))?;
    }
    Ok(())
}

/// Leaves the initramfs for a file system that is mounted, as every host's root is: the initramfs is no mount that
/// could be moved, listed or left.
fn new_root() -> anyhow::Result<()> {
    let new = Path::new("/new");
    fs::create_dir(new)?;
    mount("root", new, "tmpfs", MountFlags::empty(), c"mode=755")?;
    for entry in fs::read_dir("/")? {
        let name = entry?.file_name();
        if !NOT_COPIED.iter().any(|left| name == *left) {
            move_tree(&Path::new("/").join(&name), &new.join(&name))?;
        }
    }
    for directory in ["dev", "proc", "sys"] {
        fs::create_dir(new.join(directory))?;
        mount_move(Path::new("/").join(directory), new.join(directory))?;
    }
    std::env::set_current_dir(new)?;
    mount_move(".", "/")?;
    chroot(".")?;
    Ok(std::env::set_current_dir("/")?)
}

/// In the initramfs alone, or mounted.
const NOT_COPIED: [&str; 6] = ["dev", "init", "modules", "new", "proc", "sys"];

/// Moves a file or directory to another file system.
fn move_tree(from: &Path, to: &Path) -> anyhow::Result<()> {
    if !from.is_dir() {
        fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
        return Ok(fs::remove_file(from)?);
    }
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        move_tree(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}
