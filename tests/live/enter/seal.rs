//! The running program as a container sees it: it must not be writable.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lxkns_core::ProcRoot;
use lxkns_core::model::Pid;
use lxkns_enter::{Enter, ErrorKind, Target, seal};
use lxkns_fixture::{Actor, Open};

use super::pty::Killed;
use crate::harness::Need::{self, Program, Root, UserNamespaces};
use crate::harness::{Test, lxkns, test};
use crate::live::directory;
use crate::live::program::run;

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("enter::seal::the_program_cannot_be_written_to", &[UserNamespaces], attack),
        test("enter::seal::where_memory_cannot_be_run", WITHOUT_MEMORY, without_memory),
        test("enter::seal::who_embeds_the_library", &[UserNamespaces], embedded),
        test("enter::seal::powers_of_the_file", &[Root, Program("setpriv")], powers_of_the_file),
        test("enter::seal::without_procfs", &[Root, Program("nsenter")], without_procfs),
    ]
}

/// `vm.memfd_noexec` is from 6.3.
const WITHOUT_MEMORY: &[Need] = &[Root, Need::Kernel(6, 3), Program("nsenter"), Program("setpriv")];

/// A copy of the program that can be spoilt, in a directory that everybody can read.
fn copy(directory: &Path) -> PathBuf {
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
    let copy = directory.join("lxkns");
    fs::copy(lxkns().get_program(), &copy).unwrap();
    copy
}

/// The process that this one has started, once it runs what the script wants to be interpreted by.
fn interpreter(parent: u32) -> u32 {
    let is_interpreter = |pid: &u32| {
        // Before, it is a copy of its parent, which nobody may look into.
        fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|words| words.starts_with(b"/proc/self/exe\0"))
    };
    loop {
        let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).expect("it still runs");
        if let Some(pid) = children.split_whitespace().map(|pid| pid.parse().unwrap()).find(is_interpreter) {
            return pid;
        }
        std::thread::yield_now();
    }
}

/// Who may run a program that is privileged by its file may not enter with those privileges.
fn powers_of_the_file() {
    let directory = directory();
    let program = copy(directory.path());
    fs::set_permissions(&program, fs::Permissions::from_mode(0o4755)).unwrap();
    let actor = Actor::spawn_in(&["net"]);
    let mut as_nobody = Command::new("setpriv");
    as_nobody.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program);
    as_nobody.args(["enter", &actor.pid().to_string(), "--", "true"]);
    run(&mut as_nobody).fails(125, "does not use the powers of the program's file");
}

fn attack() {
    let directory = directory();
    let program = copy(directory.path());
    let before = fs::read(&program).unwrap();
    let actor = Actor::spawn_in(&["user", "mnt"]);
    // What is run inside has the very program that enters as its interpreter; that reads standard input, and so is there
    // for as long as the attack takes.
    let script = directory.path().join("script");
    fs::write(&script, "#!/proc/self/exe ls\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(&program);
    command.args(["enter", &actor.pid().to_string(), "--"]).arg(&script).args(["--from", "-"]);
    let mut entering = Killed(command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    let inside = interpreter(entering.0.id());
    let exe = format!("/proc/{inside}/exe");

    // While it runs, and afterwards through what was opened meanwhile.
    let fd = actor.open(&exe, Open::ReadOnly);
    actor.try_write_file(&exe, b"spoilt").unwrap_err();
    let opened = format!("/proc/self/fd/{fd}");
    drop(entering.0.stdin.take());
    entering.code();
    let error = actor.try_write_file(&opened, b"spoilt").unwrap_err();
    assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::PERM.raw_os_error()), "{error}");
    assert_eq!(fs::read(&program).unwrap(), before);

    // The attack is one: the actor can write to the file itself.
    actor.write_file(&program, b"spoilt");
    assert_eq!(fs::read(&program).unwrap(), b"spoilt");
}

fn embedded() {
    let proc = ProcRoot::host().unwrap();
    let prepared = |namespaces: &[&str]| {
        let actor = Actor::spawn_in(namespaces);
        let target = Target::process(&proc, Pid(actor.pid())).unwrap();
        Enter::new(&proc, target).command(["true"]).prepare().map(drop)
    };
    // The test program is root's, and a file like any other.
    match prepared(&["user", "mnt"]) {
        Err(error) => assert_eq!(error.kind(), ErrorKind::Unprotected, "{error}"),
        Ok(()) => assert_eq!(seal::protection().unwrap(), Some(seal::Protection::NotOurs)),
    }
    prepared(&["user", "uts"]).expect("that program runs nothing of theirs");
}

/// Runs a command in the mount and PID namespace of somebody, and does not use lxkns for that.
fn nsenter(actor: &Actor) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["--target", &actor.pid().to_string(), "--mount", "--pid", "--"]).stdin(Stdio::null());
    command
}

fn without_memory() {
    let directory = directory();
    let program = copy(directory.path());
    let outer = Actor::spawn_in(&["mnt", "pid"]);
    let actor = outer.fork();
    actor.mount("proc", "/proc");
    actor.write_file("/proc/sys/vm/memfd_noexec", b"2");
    // Then from a file system of its own, which nobody can write to either.
    let mut command = nsenter(&actor);
    run(command.arg(&program).args(["enter", "1", "--", "true"])).ok();
    let mut command = nsenter(&actor);
    command.args(["setpriv", "--bounding-set=-sys_admin"]).arg(&program).args(["enter", "1", "--", "true"]);
    run(&mut command).fails(125, "vm.memfd_noexec");
    // Not if it is somebody else's anyway.
    let mut command = nsenter(&actor);
    command
        .args(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&program)
        .args(["enter", "--help"]);
    run(&mut command).ok();
}

fn without_procfs() {
    let actor = Actor::spawn_in(&["mnt"]);
    actor.mount("tmpfs", "/proc");
    let mut command = Command::new("nsenter");
    command.args(["--target", &actor.pid().to_string(), "--mount", "--"]).stdin(Stdio::null());
    run(command.arg(lxkns().get_program()).args(["enter", "1", "--", "true"])).fails(125, "is /proc mounted?");
}
