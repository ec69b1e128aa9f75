//! What a container could try.

use std::fmt::Display;
use std::fs;
use std::process::{Command, Stdio};

use lxkns_fixture::Actor;
use lxkns_fixture::fuse::{DeadFuse, Death};

use super::{Waiting, enter, is_terminated, stands_still};
use crate::harness::Need::{File, FileSystem, Kernel, Program, Root, UserNamespaces};
use crate::harness::{Test, lxkns, test};
use crate::live::program::run;
use crate::live::{directory, own_inode};

const FUSE: &[crate::harness::Need] = &[Root, FileSystem("fuse"), File("/dev/fuse")];

/// Before 6.16 who maps over a dirty page of a FUSE file need not wait.
const STUCK: &[crate::harness::Need] = &[Root, FileSystem("fuse"), File("/dev/fuse"), Kernel(6, 16)];

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("enter::hostile::passwd", &[UserNamespaces], passwd),
        test("enter::hostile::dead_passwd_unread", FUSE, || dead_passwd(Death::Unread)),
        test("enter::hostile::dead_passwd_unanswered", FUSE, || dead_passwd(Death::Unanswered)),
        test("enter::hostile::dead_working_directory", FUSE, dead_working_directory),
        test("enter::hostile::dead_command", FUSE, dead_command),
        test("enter::hostile::locked_memory", STUCK, locked_memory),
        test(
            "enter::hostile::unseen_on_its_way",
            &[Root, FileSystem("fuse"), File("/dev/fuse"), File("/proc/thread-self/children")],
            unseen_on_its_way,
        ),
        test("enter::hostile::keyring", &[Root, File("/proc/keys")], keyring),
        test("enter::hostile::hard_to_kill", &[UserNamespaces, Program("choom")], hard_to_kill),
        test("enter::hostile::variables_of_less_powerful", &[Root, Program("setpriv")], variables_of_less_powerful),
        test("enter::hostile::files_of_the_caller", &[UserNamespaces], files_of_the_caller),
        test("enter::hostile::variables", &[], variables),
        test("enter::hostile::working_directory", &[UserNamespaces], working_directory),
        test("enter::hostile::nothing_to_enter", &[], nothing_to_enter),
    ]
}

/// Files that are none, or have no end.
fn passwd() {
    let directory = directory();
    let fifo = directory.path().join("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o644.into(), 0).unwrap();
    let large = directory.path().join("large");
    fs::File::create(&large).unwrap().set_len(10 << 30).unwrap();
    for (path, says) in [
        (fifo.as_path(), "not a regular file"),
        (&large, "larger than 4194304 bytes"),
        ("/dev/zero".as_ref(), "not a regular file"),
    ] {
        let actor = Actor::spawn_in(&["user", "mnt"]);
        actor.bind(path, "/etc/passwd");
        enter(actor.pid(), &["--user", "somebody"], &["true"])
            .fails(125, &format!("user somebody: read its /etc/passwd: {says}"));
        // Who is not looked up by name is not found out about.
        enter(actor.pid(), &[], &["true"]).ok();
    }
}

/// Names on a file system whose server does not answer. Who does not want any is not kept waiting for long either.
fn dead_passwd(death: Death) {
    let directory = directory();
    let actor = Actor::spawn_in(&["mnt"]);
    let fuse = DeadFuse::mount(&actor, directory.path(), death);
    actor.bind(directory.path().join("file"), "/etc/passwd");
    fuse.die();
    enter(actor.pid(), &["--timeout", "1", "--user", "somebody"], &["true"])
        .fails(125, "read its /etc/passwd: no answer in time");
    enter(actor.pid(), &["--timeout", "1"], &["true"]).ok();
}

/// The child that is stuck has copies of standard output and error, whose end would not be seen before its own.
#[track_caller]
fn gives_up(pid: u32, command: &str, says: &str) {
    let directory = directory();
    let path = directory.path().join("stderr");
    let mut lxkns = lxkns();
    lxkns.arg("enter").arg(pid.to_string()).args(["--timeout", "0.2", "--env", "clean", "--", command]);
    let status = lxkns.stdout(Stdio::null()).stderr(fs::File::create(&path).unwrap()).status().unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!((status.code(), text.lines().count(), text.contains(says)), (Some(125), 1, true), "{text}");
}

/// A working directory that cannot even be entered: the server is asked whether that is allowed.
fn dead_working_directory() {
    let directory = directory();
    let actor = Actor::spawn_in(&["mnt"]);
    let fuse = DeadFuse::mount(&actor, directory.path(), Death::Unanswered);
    actor.chdir(directory.path());
    fuse.die();
    gives_up(actor.pid(), "true", "change the working directory: no answer in time");
    drop(fuse);
}

fn dead_command() {
    let directory = directory();
    let actor = Actor::spawn_in(&["mnt"]);
    let fuse = DeadFuse::mount(&actor, directory.path(), Death::Unanswered);
    fuse.die();
    let program = directory.path().join("file");
    gives_up(actor.pid(), program.to_str().unwrap(), "file: no answer in time");
    drop(fuse);
}

/// An environment that nobody can read, as the process's memory is locked for ever.
fn locked_memory() {
    let directory = directory();
    let actor = Actor::spawn_in(&["mnt"]);
    let stuck = actor.fork();
    let fuse = DeadFuse::mount(&actor, directory.path(), Death::Unanswered);
    let address = stuck.map_dirty_page(directory.path().join("file"));
    fuse.die();
    stuck.begin_map_over(address);
    fuse.wait_for_request();
    enter(stuck.pid(), &["--timeout", "0.2"], &["true"]).fails(125, "read the environment: no answer in time");
    enter(stuck.pid(), &["--timeout", "0.2", "--env", "clean"], &["true"]).ok();
    drop(fuse);
}

/// What a process is called from outside and, in its own PID namespace, from inside.
fn numbers(pid: impl Display) -> Option<Vec<u32>> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    numbers.split_whitespace().map(|number| number.parse().ok()).collect()
}

/// While the child has entered and not become the command, it is not to be seen inside: it stands still where a file system
/// does not answer.
fn unseen_on_its_way() {
    let directory = directory();
    let outer = Actor::spawn_in(&["mnt", "pid"]);
    let inner = outer.fork();
    let depth = numbers(inner.pid()).unwrap().len();
    let (child, fuse) = stands_still(&inner, directory.path());
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", child.id())).unwrap();
    let children: Vec<Vec<u32>> = children.split_whitespace().filter_map(numbers).collect();
    assert!(!children.is_empty());
    // As many numbers as PID namespaces that see it.
    assert!(children.iter().all(|numbers| numbers.len() < depth), "{children:?}");
    is_terminated(child);
    drop(fuse);
}

/// Keys of the caller's session are not for the command.
fn keyring() {
    let actor = Actor::spawn_in(&["mnt"]);
    let sees = |mut command: Command| {
        lxkns_fixture::have_session_key(&mut command, c"lxkns-test-secret");
        let ran = run(&mut command);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.text().contains("lxkns-test-secret")
    };
    let entering = |options: &[&str]| {
        let mut command = lxkns();
        command.arg("enter").arg(actor.pid().to_string()).args(options).args(["--", "cat", "/proc/keys"]);
        sees(command)
    };
    assert!(!entering(&[]));
    assert!(entering(&["--privileged"]));
    let mut command = Command::new("cat");
    command.arg("/proc/keys");
    assert!(sees(command));
}

/// Who is exempt from being killed where memory runs out does not lend that to the command.
fn hard_to_kill() {
    let easy = Actor::spawn_in(&["user", "mnt"]);
    easy.write_file("/proc/self/oom_score_adj", b"321");
    let of = |pid: u32| enter(pid, &[], &["cat", "/proc/self/oom_score_adj"]).ok().text().trim().to_owned();
    assert_eq!(of(easy.pid()), "321");
    // Who is easier to kill already stays so.
    let mut command = Command::new("choom");
    command.args(["-n", "654", "--"]).arg(lxkns().get_program()).arg("enter").arg(easy.pid().to_string());
    let ran = run(command.args(["--", "cat", "/proc/self/oom_score_adj"])).ok();
    assert_eq!(ran.text(), "654\n");
}

/// Where files are the caller's own, a user's variables are not for somebody with more powers: what the loader loads would
/// run with those.
fn variables_of_less_powerful() {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=1234", "--regid=1234", "--clear-groups"]).env("LXKNS_TEST_EVIL", "1");
    let waiting = Waiting::start(&mut command);
    let has = |options: &[&str]| {
        let ran = enter(waiting.pid(), options, &["env"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.text().contains("LXKNS_TEST_EVIL=1")
    };
    assert!(has(&[]));
    for options in [&["--user", "0"][..], &["--privileged"], &["--group", "0"]] {
        assert!(!has(options), "{options:?}");
    }
    enter(waiting.pid(), &["--user", "0", "--env", "target"], &["true"]).fails(125, "environment of the target");
}

/// Variables that choose what runs, or what the loader loads, are only for a command that sees the container's files.
fn variables() {
    let waiting = Waiting::start(Command::new("env").env("LXKNS_TEST_EVIL", "1"));
    let has = |options: &[&str]| enter(waiting.pid(), options, &["env"]).ok().text().contains("LXKNS_TEST_EVIL=1");
    assert!(has(&[]));
    assert!(!has(&["--except", "mnt"]));
    assert!(!has(&["--env", "host"]));
}

/// A working directory that nobody who is inside could reach.
fn working_directory() {
    let directory = directory();
    let actor = Actor::spawn_in(&["user", "mnt"]);
    actor.mount("tmpfs", directory.path());
    actor.chdir(directory.path());
    actor.umount_lazily(directory.path());
    let planned = super::planned(actor.pid(), &[], "cwd");
    assert_eq!(planned[1], "/", "{planned:?}");
    let ran = enter(actor.pid(), &[], &["pwd", "-P"]);
    assert_eq!((ran.code, ran.text()), (Some(0), "/\n"), "{ran:?}");
    assert!(matches!(ran.problems()[..], [note] if note.contains("no longer mounted")), "{ran:?}");

    // One that is deleted, and one whose name only looks like that.
    let actor = Actor::spawn_in(&["user", "mnt"]);
    for (name, is_deleted) in [("gone", true), ("here (deleted)", false)] {
        let path = directory.path().join(name);
        fs::create_dir(&path).unwrap();
        actor.chdir(&path);
        if is_deleted {
            fs::remove_dir(&path).unwrap();
        }
        let ran = enter(actor.pid(), &[], &["pwd", "-P"]);
        let expected = if is_deleted { "/" } else { path.to_str().unwrap() };
        assert_eq!((ran.code, ran.text().trim_end()), (Some(0), expected), "{ran:?}");
        assert_eq!(super::planned(actor.pid(), &[], "cwd")[1], expected);
        assert_eq!(ran.problems().iter().any(|note| note.contains("is deleted")), is_deleted, "{ran:?}");
    }

    // One outside its root.
    let actor = Actor::spawn_in(&["user", "mnt"]);
    actor.chdir("/");
    actor.chroot(directory.path());
    assert_eq!(super::planned(actor.pid(), &[], "cwd")[1], "/");
}

fn nothing_to_enter() {
    enter(2, &[], &["true"]).fails(125, "2: ");
}

/// In a PID namespace of others, a command that sees the caller's files would lend them to who may trace it. So it stays
/// outside, and that is said.
fn files_of_the_caller() {
    let outer = Actor::spawn_in(&["user", "mnt", "pid"]);
    let inner = outer.fork();
    let ran = enter(inner.pid(), &["--except", "mnt"], &["readlink", "/proc/self/ns/pid"]);
    assert_eq!((ran.code, ran.text().trim()), (Some(0), &*format!("pid:[{}]", own_inode("pid"))), "{ran:?}");
    assert!(matches!(ran.problems()[..], [note] if note.contains("the caller's mnt namespace")), "{ran:?}");
    enter(inner.pid(), &["--except", "mnt,pid"], &["true"]).ok();

    // The mounts are the same, and its root is another: the command would bring the caller's along.
    let directory = directory();
    let outer = Actor::spawn_in(&["user", "pid"]);
    let inner = outer.fork();
    inner.chroot(directory.path());
    let ran = enter(inner.pid(), &["--only", "user,pid"], &["readlink", "/proc/self/ns/pid"]);
    assert_eq!((ran.code, ran.text().trim()), (Some(0), &*format!("pid:[{}]", own_inode("pid"))), "{ran:?}");
    assert!(matches!(ran.problems()[..], [note] if note.contains("root and working directory")), "{ran:?}");
}
