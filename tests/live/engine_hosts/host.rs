//! A host of its own for each test that starts an engine: namespaces, control groups, and copies of what engines write.
//!
//! The test program runs itself again, a few times, each with a part:
//!
//! - The *test* waits for the janitor, and holds a pipe to it.
//! - The *janitor* makes control groups, starts the others, and clears away what is left: also when the test is killed,
//!   which ends the pipe, or takes too long.
//! - The *entry*, first process of a PID namespace, joins these control groups and makes a namespace of them.
//! - The *init* takes its place, lays out the mounts, runs the body, and reaps what loses its parent.
//! - The *body* is the test's own code: on a host where no engine has ever run.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, pidfd_open, pidfd_send_signal};

use super::super::program::{Ran, run};
use crate::harness::lxkns;

pub(super) const PART: &str = "LXKNS_TEST_ENGINE_HOST";
const CGROUPS: &str = "LXKNS_TEST_CGROUPS";

/// How long a test may take before all is cleared away.
const DEADLINE: Duration = Duration::from_secs(120);

/// Which control groups a host has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cgroups {
    /// Those that this host has controllers in: the hierarchies of version 1 where there are any.
    AsHere,
    /// The one hierarchy of version 2, whatever controllers are left for it.
    Unified,
}

/// Runs `body` on a host of its own, which is gone afterwards.
pub(super) fn on_own_host(name: &str, cgroups: Cgroups, body: impl FnOnce()) {
    match std::env::var(PART).as_deref() {
        Err(_) => test(name),
        Ok("janitor") => janitor(name),
        Ok("entry") => entry(name),
        Ok("init") => init(name, cgroups),
        Ok("body") => {
            body();
            eprintln!("{}", done(name));
        }
        Ok(part) => panic!("{part} is no part"),
    }
}

/// Whether this is the test itself, and not one of the parts that it has on a host of its own.
pub(super) fn is_outside() -> bool {
    std::env::var_os(PART).is_none()
}

/// What the body says at its end: that no test failed could also mean that none ran.
fn done(name: &str) -> String {
    format!("{name} has run to its end")
}

/// The test program once more, for this test, in another part.
pub(super) fn arguments(name: &str) -> [String; 5] {
    let program = std::env::current_exe().unwrap().into_os_string().into_string().unwrap();
    [program, "--exact".to_owned(), name.to_owned(), "--test-threads".to_owned(), "1".to_owned()]
}

fn test(name: &str) {
    let [program, rest @ ..] = arguments(name);
    let mut janitor = Command::new(program);
    janitor
        .args(rest)
        .env(PART, "janitor")
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut janitor = janitor.spawn().unwrap();
    let held = janitor.stdin.take();
    let output = janitor.wait_with_output().unwrap();
    drop(held);
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    assert!(said.contains(&done(name)), "the body has not run: {said}");
}

fn janitor(name: &str) {
    let directories = make_cgroups();
    let [program, rest @ ..] = arguments(name);
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--net", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    unshare.arg(program).args(rest).env(PART, "entry").env(CGROUPS, std::env::join_paths(&directories).unwrap());
    let mut unshare = unshare.stdin(Stdio::null()).spawn().unwrap();
    let ended = pidfd(unshare.id());
    // Standard input says nothing; it ends when the test does.
    let is_in_time = wait(&[&std::io::stdin(), &ended], DEADLINE) && wait(&[&ended], Duration::ZERO);
    if !is_in_time {
        end(&unshare, &directories);
    }
    let status = unshare.wait().unwrap();
    directories.iter().for_each(|directory| remove(directory));
    let left: Vec<_> = directories.iter().filter(|directory| directory.exists()).collect();
    assert!(left.is_empty(), "control groups are left: {left:?}");
    assert!(is_in_time, "the test was killed, or has taken {DEADLINE:?}");
    assert!(status.success(), "{status}");
}

/// Whether one of these can be read, or has ended, within this time.
pub(super) fn wait(fds: &[&dyn AsFd], timeout: Duration) -> bool {
    let mut fds: Vec<_> = fds.iter().map(|fd| PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN)).collect();
    poll(&mut fds, Some(&Timespec::try_from(timeout).unwrap())).unwrap() > 0
}

/// What says when a process has ended.
pub(super) fn pidfd(pid: u32) -> std::os::fd::OwnedFd {
    pidfd_open(Pid::from_raw(pid as i32).unwrap(), PidfdFlags::empty()).unwrap()
}

/// Ends the first process of the PID namespace, and with it all others. A frozen one does not end before it is thawed.
fn end(unshare: &Child, directories: &[PathBuf]) {
    let pid = unshare.id();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let firsts: Vec<_> = children.split_whitespace().map(|pid| pidfd(pid.parse().unwrap())).collect();
    for first in &firsts {
        let _ = pidfd_send_signal(first, Signal::KILL);
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    for first in &firsts {
        while !wait(&[first], Duration::from_millis(50)) && Instant::now() < deadline {
            directories.iter().for_each(|directory| thaw(directory));
        }
    }
}

/// A control group for this test in each hierarchy that is mounted.
fn make_cgroups() -> Vec<PathBuf> {
    let name = format!("lxkns-test-{}", std::process::id());
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let hierarchies: BTreeSet<_> = mounts
        .lines()
        .filter_map(|line| match line.split(' ').collect::<Vec<_>>()[..] {
            [_, at, "cgroup" | "cgroup2", ..] => Some(PathBuf::from(at)),
            _ => None,
        })
        .collect();
    assert!(!hierarchies.is_empty(), "no control groups are mounted");
    let make = |hierarchy: PathBuf| {
        let directory = hierarchy.join(&name);
        fs::create_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        // In version 1 nothing can join a new one before it has these.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if let Ok(value) = fs::read(hierarchy.join(file)) {
                fs::write(directory.join(file), value).unwrap();
            }
        }
        directory
    };
    hierarchies.into_iter().map(make).collect()
}

fn below(directory: &Path, what: &mut dyn FnMut(&Path)) {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        below(&entry.path(), what);
    }
    what(directory);
}

fn remove(directory: &Path) {
    below(directory, &mut |directory| drop(fs::remove_dir(directory)));
}

fn thaw(directory: &Path) {
    below(directory, &mut |directory| {
        let write = |file: &str, what: &[u8]| {
            let file = OpenOptions::new().write(true).open(directory.join(file));
            let _ = file.and_then(|mut file| file.write_all(what));
        };
        write("freezer.state", b"THAWED");
        write("cgroup.freeze", b"0");
    });
}

fn entry(name: &str) {
    for directory in std::env::split_paths(&std::env::var_os(CGROUPS).unwrap()) {
        fs::write(directory.join("cgroup.procs"), "0").unwrap();
    }
    let error = Command::new("unshare").arg("--cgroup").args(arguments(name)).env(PART, "init").exec();
    panic!("unshare: {error}");
}

fn init(name: &str, cgroups: Cgroups) {
    rustix::system::sethostname(b"enginehost").unwrap();
    lay_out_mounts();
    lay_out_cgroups(cgroups);
    succeeds("ip", &["link", "set", "lo", "up"]);
    let [program, rest @ ..] = arguments(name);
    let path = std::env::var("PATH").unwrap_or_default();
    let mut body = Command::new(program);
    body.args(rest).env(PART, "body").env_remove(CGROUPS).env("TMPDIR", "/run/tmp").env("HOME", "/run/home");
    // Distributions' own programs come first.
    body.env("PATH", format!("/usr/sbin:/usr/bin:/sbin:/bin:{path}:/run/home"));
    let body = until_the_end(body.current_dir("/"));
    let status = loop {
        let (pid, status) = rustix::process::wait(WaitOptions::empty()).unwrap().unwrap();
        if pid.as_raw_nonzero().get() as u32 == body {
            break status;
        }
    };
    thaw(Path::new("/sys/fs/cgroup"));
    assert_eq!(status.exit_status(), Some(0), "the body has failed");
}

fn mount_at(source: &str, at: &str, kind: &str, options: &str) -> Result<(), Errno> {
    let options = CString::new(options).unwrap();
    mount(source, at, kind, MountFlags::empty(), Some(options.as_c_str()))
}

/// What engines write to is in memory: empty, or a layer above what this host has.
fn lay_out_mounts() {
    for at in ["/run", "/dev/shm"] {
        mount_at("tmpfs", at, "tmpfs", "mode=1777").unwrap();
    }
    for directory in ["/run/tmp", "/run/home", "/run/lock"] {
        fs::create_dir(directory).unwrap();
        fs::set_permissions(directory, fs::Permissions::from_mode(0o1777)).unwrap();
    }
    for directory in ["etc", "var", "opt"] {
        let (upper, work) = (format!("/run/layers/{directory}"), format!("/run/layers/{directory}.work"));
        fs::create_dir_all(&upper).unwrap();
        fs::create_dir_all(&work).unwrap();
        let options = format!("lowerdir=/{directory},upperdir={upper},workdir={work}");
        mount_at("overlay", &format!("/{directory}"), "overlay", &options).unwrap();
    }
    // The layers of images cannot be on layers.
    for directory in ["/var/lib/docker", "/var/lib/containerd", "/var/lib/containers", "/var/lib/lxc"] {
        fs::create_dir_all(directory).unwrap();
        mount_at("tmpfs", directory, "tmpfs", "mode=755").unwrap();
    }
    // The links of this network namespace.
    unmount("/sys", UnmountFlags::DETACH).unwrap();
    mount_at("sysfs", "/sys", "sysfs", "").unwrap();
}

fn lay_out_cgroups(cgroups: Cgroups) {
    let lines = fs::read_to_string("/proc/self/cgroup").unwrap();
    let hierarchies = lines.lines().filter_map(|line| line.split(':').nth(1)).filter(|names| !names.is_empty());
    let hierarchies: Vec<_> = hierarchies.collect();
    let root = Path::new("/sys/fs/cgroup");
    if cgroups == Cgroups::AsHere && !hierarchies.is_empty() {
        mount_at("tmpfs", "/sys/fs/cgroup", "tmpfs", "mode=755").unwrap();
        for names in hierarchies {
            let directory = root.join(names.strip_prefix("name=").unwrap_or(names));
            fs::create_dir(&directory).unwrap();
            mount_at("cgroup", directory.to_str().unwrap(), "cgroup", names).unwrap();
        }
        return;
    }
    mount_at("cgroup2", "/sys/fs/cgroup", "cgroup2", "").unwrap();
    // One that has processes of its own cannot have controllers for others.
    fs::create_dir(root.join("init")).unwrap();
    fs::write(root.join("init/cgroup.procs"), "0").unwrap();
    for controller in fs::read_to_string(root.join("cgroup.controllers")).unwrap().split_whitespace() {
        fs::write(root.join("cgroup.subtree_control"), format!("+{controller}")).unwrap();
    }
}

/// Starts a process that ends with this host at the latest, and returns its PID.
pub(super) fn until_the_end(command: &mut Command) -> u32 {
    command.spawn().unwrap().id()
}

/// Runs a program, which must succeed, and gives what it says.
#[track_caller]
pub(super) fn succeeds(program: &str, arguments: &[&str]) -> String {
    let ran = tried(program, arguments);
    assert_eq!(ran.code, Some(0), "{program} {arguments:?}: {ran:?}");
    String::from_utf8(ran.stdout).unwrap()
}

/// Runs a program, with nothing to read. What it leaves behind may hold its output: that goes to files.
#[track_caller]
pub(super) fn tried(program: &str, arguments: &[&str]) -> Ran {
    let (out, err) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    command.stdout(out.try_clone().unwrap()).stderr(err.try_clone().unwrap());
    let status = command.status().unwrap_or_else(|error| panic!("{program}: {error}"));
    let read = |mut file: File| {
        use std::io::{Read as _, Seek as _};
        let mut said = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut said).unwrap();
        said
    };
    Ran { code: code(status), stdout: read(out), stderr: String::from_utf8_lossy(&read(err)).into_owned() }
}

fn code(status: ExitStatus) -> Option<i32> {
    status.code()
}

/// Runs lxkns on this host.
pub(super) fn lxkns_says(arguments: &[&str]) -> Ran {
    run(lxkns().args(arguments))
}

/// Runs a shell's commands in a container, as lxkns enters it, which must say this. What lxkns says itself, of limits that it
/// does not take over, is not looked at.
#[track_caller]
pub(super) fn enters(target: &str, commands: &str, says: &str) {
    let ran = lxkns_says(&["enter", target, "--", "/bin/sh", "-c", commands]);
    assert_eq!((ran.code, ran.text()), (Some(0), says), "{target}: {ran:?}");
}

/// Where a daemon says that it is ready.
pub(super) struct ReadySocket(UnixDatagram);

impl ReadySocket {
    pub(super) fn bind(at: &str) -> Self {
        let _ = fs::remove_file(at);
        let socket = UnixDatagram::bind(at).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Self(socket)
    }

    /// Waits until it does. `log` is what it has said else.
    #[track_caller]
    pub(super) fn wait(&self, log: impl Fn() -> String) {
        let mut said = [0; 256];
        // Other things can be said before, such as its PID.
        while !said.starts_with(b"READY=1") {
            assert!(self.0.recv(&mut said).is_ok(), "it is not ready: {}", log());
        }
    }
}

/// A daemon that was told to say when it is ready.
pub(super) struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts one, and waits until it is ready.
    #[track_caller]
    pub(super) fn start(program: &str, arguments: &[&str]) -> Self {
        let name = Path::new(program).file_name().unwrap().to_str().unwrap();
        let (socket, log) = (format!("/run/{name}.ready"), PathBuf::from(format!("/run/{name}.log")));
        let ready = ReadySocket::bind(&socket);
        let output = File::create(&log).unwrap();
        let mut daemon = Command::new(program);
        daemon.args(arguments).env("NOTIFY_SOCKET", &socket).stdin(Stdio::null());
        let child = daemon.stdout(output.try_clone().unwrap()).stderr(output).spawn().unwrap();
        let daemon = Self { child, log };
        ready.wait(|| daemon.log());
        daemon
    }

    /// What it has said.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its PID.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it, and waits until it is gone.
    pub(super) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Sends a signal to a process of this host.
#[track_caller]
pub(super) fn signal(pid: u32, signal: Signal) {
    rustix::process::kill_process(Pid::from_raw(pid as i32).unwrap(), signal).unwrap();
}

/// Kills a process that is another's child, and waits until it has ended, and is no zombie any more if its parent reaps it.
#[track_caller]
pub(super) fn kill(pid: u32) {
    let ended = pidfd(pid);
    pidfd_send_signal(&ended, Signal::KILL).unwrap();
    assert!(wait(&[&ended], Duration::from_secs(20)), "process {pid} does not end");
    let end = Instant::now() + Duration::from_secs(5);
    while Instant::now() < end && fs::exists(format!("/proc/{pid}")).unwrap() {
        std::thread::yield_now();
    }
}
