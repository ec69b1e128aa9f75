//! One file is a whole installation: the static program alone, where there is nothing else, and mount namespaces without
//! processes all the same. Only with the program that people get (`cargo xtask dist`): `LXKNS_BIN` names it.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use lxkns_fixture::{Actor, probe};
use rustix::mount::MountFlags;
use tempfile::TempDir;

use super::directory;
use super::program::{Ran, row, run};
use crate::harness::Need::{self, FileSystem, Kernel, Program, Root, StaticProgram};
use crate::harness::{Test, lxkns, test};

const MS_RDONLY: u64 = 1;
const MS_NOEXEC: u64 = 8;
const MS_REMOUNT: u64 = 32;
const MS_BIND: u64 = 4096;

const NEEDS: &[Need] = &[StaticProgram, Root, FileSystem("tmpfs"), Program("nsenter")];

pub(super) fn tests() -> Vec<Test> {
    const FORBIDDEN: &[Need] = &[StaticProgram, Root, FileSystem("tmpfs"), Program("nsenter"), Kernel(6, 3)];
    const CAPABLE: &[Need] =
        &[StaticProgram, Root, FileSystem("tmpfs"), Program("nsenter"), Program("setcap"), Program("setpriv")];
    const DOCKER: &[Need] = &[
        StaticProgram,
        Root,
        FileSystem("tmpfs"),
        Program("unshare"),
        Program("tar"),
        Program("dockerd"),
        Program("docker"),
        Need::File("/etc/docker"),
    ];
    vec![
        test("one_file::every_command", NEEDS, every_command),
        test("one_file::processless", NEEDS, processless),
        test("one_file::deleted", NEEDS, deleted),
        test("one_file::helper_on_noexec", NEEDS, helper_on_noexec),
        test("one_file::memory_is_not_for_programs", FORBIDDEN, memory_is_not_for_programs),
        test("one_file::file_capabilities", CAPABLE, file_capabilities),
        test(CONTAINER, DOCKER, container),
    ]
}

/// A mount namespace without a process, in which a network namespace is bind-mounted: what is known of that, somebody
/// has gone there for.
struct Processless {
    holder: Actor,
    mnt: u64,
    net: u64,
}

impl Processless {
    fn new() -> Self {
        probe::pin_to_one_cpu().unwrap();
        Self::held_by(Actor::spawn_in(&["mnt"]))
    }

    /// One that this actor holds, which has a mount namespace of its own, and all whose forks are pinned to its CPU.
    fn held_by(holder: Actor) -> Self {
        let (mnt, net) = holder.hide_network(std::env::temp_dir().canonicalize().unwrap());
        Self { holder, mnt, net }
    }

    /// Checks what `ls --json -o +ONS` says of it.
    #[track_caller]
    fn assert_known(&self, ran: &Ran) {
        let table = ran.json();
        assert!(row(&table, self.mnt).is_some(), "{ran:?}");
        let net = row(&table, self.net).unwrap_or_else(|| panic!("{ran:?}"));
        let owner = self.holder.ns_inode("user");
        assert_eq!(super::program::number(&net["ons"]), Some(owner), "nobody has gone there: {ran:?}");
    }
}

/// What has that said.
const KNOWN: [&str; 6] = ["ls", "--json", "-o", "+ONS", "-t", "mnt,net"];

/// A root in which there are the program and `/proc`, and nothing can be written.
struct Bare {
    actor: Actor,
    root: TempDir,
}

impl Bare {
    fn new() -> Self {
        let root = directory();
        fs::create_dir(root.path().join("proc")).unwrap();
        fs::copy(lxkns().get_program(), root.path().join("lxkns")).unwrap();
        let actor = Actor::spawn_in(&["mnt"]);
        actor.bind(root.path(), root.path());
        actor.mount("proc", root.path().join("proc"));
        actor.mount_with("none", "", root.path(), MS_REMOUNT | MS_BIND | MS_RDONLY, "");
        actor.chroot(root.path());
        actor.chdir("/");
        Self { actor, root }
    }

    /// Runs the program there.
    fn run(&self, arguments: &[impl AsRef<OsStr>]) -> Ran {
        let mut enter = Command::new("nsenter");
        enter.arg(format!("--target={}", self.actor.pid())).args(["--mount", "--root", "--wd", "--", "/lxkns"]);
        run(enter.args(arguments).env_clear())
    }
}

/// The commands that the help lists.
fn commands(help: &Ran) -> Vec<String> {
    let lines = help.text().lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // What is further to the right goes on with the line above.
    let commands = lines.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let commands = commands.filter(|name| !["", "help"].contains(name));
    let commands: Vec<_> = commands.map(str::to_owned).collect();
    assert!(commands.len() > 8, "{commands:?}");
    commands
}

/// Arguments of a command that show that it works there; at least how it is used.
fn arguments(command: &str, processless: &Processless) -> Vec<String> {
    let (mnt, net) = (format!("mnt:{}", processless.mnt), format!("net:{}", processless.net));
    let holder = processless.holder.pid().to_string();
    let arguments: &[&str] = match command {
        "ls" | "orphans" | "tree" | "dump" | "doctor" => &[],
        "why" | "show" => &[&net],
        "caps" => &["-p", &holder, &net],
        "mounts" => &[&mnt],
        "busy" => &["/proc"],
        "ports" => &["--json"],
        "links" => &["--json"],
        "completions" => &["bash"],
        "enter" => &[&net, "--", "/lxkns", "ls"],
        _ => &["--help"],
    };
    [command].iter().chain(arguments).map(|&argument| argument.to_owned()).collect()
}

fn every_command() {
    let processless = Processless::new();
    let bare = Bare::new();
    // So that there is something for `ports`.
    let _listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    for command in commands(&bare.run(&["--help"]).ok()) {
        let ran = bare.run(&arguments(&command, &processless)).ok();
        assert!(!ran.text().is_empty(), "{command} says nothing");
    }
    let left: Vec<_> = fs::read_dir(bare.root.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

fn processless() {
    let processless = Processless::new();
    let bare = Bare::new();
    processless.assert_known(&bare.run(&KNOWN).ok());
    let why = bare.run(&["why", &format!("net:{}", processless.net)]).ok();
    assert!(why.text().contains("1 bind mount"), "{why:?}");
}

fn deleted() {
    let processless = Processless::new();
    let directory = directory();
    let path = directory.path().join("lxkns");
    fs::copy(lxkns().get_program(), &path).unwrap();
    let program = File::open(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let ran = run(Command::new(format!("/proc/self/fd/{}", program.as_raw_fd())).args(KNOWN)).ok();
    processless.assert_known(&ran);
}

/// A copy of the program in a prefix as packages have it, and where its helper belongs.
fn prefix(directory: &Path) -> (PathBuf, PathBuf) {
    let directory = directory.canonicalize().unwrap();
    let (bin, libexec) = (directory.join("bin"), directory.join("libexec/lxkns"));
    for path in [&bin, &libexec] {
        fs::create_dir_all(path).unwrap();
    }
    fs::copy(lxkns().get_program(), bin.join("lxkns")).unwrap();
    for path in [&directory, &bin, &directory.join("libexec"), &libexec] {
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }
    (bin.join("lxkns"), libexec.join("mntnssandbox"))
}

fn put_helper(path: &Path) {
    fs::write(path, lxkns_mountns::carried_helper().unwrap()).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
}

/// The helper is a file where nothing can be run: the one carried inside is taken.
fn helper_on_noexec() {
    let processless = Processless::new();
    let directory = directory();
    let (program, helper) = prefix(directory.path());
    put_helper(&helper);
    let actor = Actor::spawn_in(&["mnt"]);
    let libexec = helper.parent().unwrap();
    actor.bind(libexec, libexec);
    actor.mount_with("none", "", libexec, MS_REMOUNT | MS_BIND | MS_NOEXEC, "");
    let mut enter = Command::new("nsenter");
    enter.arg(format!("--target={}", actor.pid())).args(["--mount", "--"]).arg(program);
    processless.assert_known(&run(enter.args(KNOWN)).ok());
}

/// Nothing may be run from memory: the program says so, and what helps; and that does help.
fn memory_is_not_for_programs() {
    probe::pin_to_one_cpu().unwrap();
    let directory = directory();
    let (program, helper) = prefix(directory.path());
    let outer = Actor::spawn_in(&["pid", "mnt"]);
    // What may be run is said for a PID namespace, in the procfs of that.
    let init = outer.fork();
    init.mount("proc", "/proc");
    init.write_file("/proc/sys/vm/memfd_noexec", b"2");
    let holder = init.fork();
    holder.unshare(&["mnt"]);
    holder.make_mounts_private();
    let processless = Processless::held_by(holder);
    let ran = || {
        let mut enter = Command::new("nsenter");
        enter.arg(format!("--target={}", init.pid())).args(["--mount", "--pid", "--"]).arg(&program).args(KNOWN);
        // The kernel's iterators tell without the helper.
        run(enter.args(["--reader", "proc"])).ok()
    };
    let without = ran();
    assert!(matches!(without.gaps()[..], [.., gap] if gap.contains("vm.memfd_noexec")), "{without:?}");
    put_helper(&helper);
    processless.assert_known(&ran());
}

/// With what docs/install.md has it given, the program shows a user without any privilege what root sees, the helper's
/// part of it too.
fn file_capabilities() {
    const GIVEN: &str = "cap_sys_ptrace,cap_dac_read_search,cap_net_admin,cap_sys_admin,cap_sys_chroot=ep";
    let processless = Processless::new();
    let directory = directory();
    let (program, _) = prefix(directory.path());
    assert_ran(Command::new("setcap").arg(GIVEN).arg(&program));
    let mut nobody = Command::new("setpriv");
    nobody.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--"]).arg(&program);
    processless.assert_known(&run(nobody.args(KNOWN)).ok());
}

/// Runs another program, which must succeed.
fn assert_ran(command: &mut Command) {
    let ran = run(command);
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

const CONTAINER: &str = "one_file::container";

/// An image in which there is nothing but the program, and a container of it that may see and enter what root may.
fn container() {
    const INSIDE: &str = "LXKNS_TEST_CONTAINER";
    if std::env::var_os(INSIDE).is_some() {
        return container_inside();
    }
    // The daemon, and all that it starts, ends with the first process of a PID namespace, which is this test once more.
    let mut alone = Command::new("unshare");
    alone.args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]).arg(std::env::current_exe().unwrap());
    let output = alone.args(["--exact", CONTAINER, "--test-threads=1"]).env(INSIDE, "1").output().unwrap();
    assert!(output.status.success(), "{}{}", output.stdout.escape_ascii(), output.stderr.escape_ascii());
}

fn container_inside() {
    // Of the host's own directories it sees none that it would write to.
    for directory in ["/run", "/etc/docker"] {
        rustix::mount::mount("tmpfs", directory, "tmpfs", MountFlags::empty(), c"mode=1777").unwrap();
    }
    let ready = UnixDatagram::bind("/run/ready").unwrap();
    ready.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let log = File::create("/run/log").unwrap();
    let mut daemon = Command::new("dockerd");
    daemon.args(["--host=unix:///run/docker.sock", "--data-root=/run/data", "--exec-root=/run/exec"]);
    daemon.args(["--pidfile=/run/pid", "--storage-driver=vfs", "--iptables=false", "--bridge=none"]);
    daemon.env("NOTIFY_SOCKET", "/run/ready").env("TMPDIR", "/run").stdin(Stdio::null());
    let mut daemon = daemon.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
    let is_ready = ready.recv(&mut [0; 64]);
    assert!(is_ready.is_ok(), "dockerd is not ready: {}", fs::read_to_string("/run/log").unwrap());
    let docker = |arguments: &[&str]| {
        let mut docker = Command::new("docker");
        docker.arg("--host=unix:///run/docker.sock").args(arguments);
        docker
    };

    let program = lxkns().get_program().to_owned();
    let (directory, name) = (Path::new(&program).parent().unwrap(), Path::new(&program).file_name().unwrap());
    let mut tar = Command::new("tar");
    assert_ran(tar.args(["--create", "--file=/run/image.tar", "--directory"]).arg(directory).arg(name));
    assert_ran(&mut docker(&["import", "/run/image.tar", "scratch-and-lxkns"]));

    // What the container's control groups are made in is no other test's, and goes with this one.
    let parent = format!("lxkns-test-{}", super::own_inode("pid"));
    let entry = format!("/{}", name.to_str().unwrap());
    let cgroup = format!("--cgroup-parent=/{parent}");
    let in_container = |options: &[&str], arguments: &[String]| {
        let mut docker = docker(&["run", "--rm", "--read-only", "--network=none", &cgroup]);
        run(docker.args(options).args(["scratch-and-lxkns", &entry]).args(arguments)).ok()
    };
    let of_host = ["--pid=host", "--cap-add=SYS_PTRACE", "--cap-add=SYS_ADMIN", "--cap-add=DAC_READ_SEARCH"];
    let processless = Processless::new();
    processless.assert_known(&in_container(&of_host, &KNOWN.map(str::to_owned)));
    for command in commands(&in_container(&[], &["--help".to_owned()])) {
        let ran = in_container(&of_host, &arguments(&command, &processless));
        assert!(!ran.text().is_empty(), "{command} says nothing");
    }
    // Without any of that, it sees its own.
    assert!(in_container(&[], &["ls".to_owned()]).text().lines().count() > 7);

    daemon.kill().unwrap();
    daemon.wait().unwrap();
    let hierarchies = fs::read_dir("/sys/fs/cgroup").unwrap().map(|entry| entry.unwrap().path());
    for hierarchy in hierarchies.chain([PathBuf::from("/sys/fs/cgroup")]) {
        // Not all have it.
        let _ = fs::remove_dir(hierarchy.join(&parent));
    }
}
