//! What a TARGET can be: the caller, the host, names, and processes that must be the ones that were meant.

use std::path::{Path, PathBuf};
use std::process::Command;

use lxkns_fixture::Actor;

use crate::harness::Need::{NamespaceType, Program, Root, UserNamespaces};
use crate::harness::{Test, lxkns, test};
use crate::live::directory;
use crate::live::program::{run, run_lxkns};

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("cli::targets::the_caller", &[UserNamespaces, Program("unshare")], the_caller),
        test("cli::targets::gaps_that_change_nothing", &[UserNamespaces, Program("setpriv")], gaps_that_change_nothing),
        test("cli::targets::the_host", &[Root], the_host),
        test("cli::targets::names", &[Root, Program("mount")], names),
        test("cli::targets::the_process_that_is_meant", &[UserNamespaces], the_process_that_is_meant),
        test("cli::targets::entered", &[Root, NamespaceType("net"), Program("readlink"), Program("mount")], entered),
    ]
}

fn inode(link: impl AsRef<Path>) -> u64 {
    let text = std::fs::read_link(link).unwrap();
    text.to_str().unwrap().split(['[', ']']).nth(1).unwrap().parse().unwrap()
}

/// Not its parent: they can be in different namespaces.
fn the_caller() {
    let script = "readlink /proc/self/ns/net; exec \"$0\" ls -rno NS self/net";
    let mut unshare = Command::new("unshare");
    unshare.args(["--user", "--net", "sh", "-c", script]).arg(lxkns().get_program());
    let ran = run(&mut unshare).ok();
    let lines: Vec<_> = ran.text().lines().collect();
    assert_eq!(lines.len(), 2, "{ran:?}");
    assert_eq!(lines[0], format!("net:[{}]", lines[1]));
    assert_ne!(lines[1], inode("/proc/self/ns/net").to_string());

    let own = inode("/proc/self/ns/user").to_string();
    for arguments in [&["ls", "-rno", "NS", "-t", "user", "self"][..], &["ls", "-rno", "NS", "self/user"]] {
        assert_eq!(run_lxkns(arguments).ok().text().trim_end(), own);
    }
    for arguments in [&["show", "self"][..], &["tree", "proc", "self"]] {
        assert!(run_lxkns(arguments).ok().text().contains("lxkns"));
    }
    for arguments in [&["why", "self/net"][..], &["caps", "self"], &["mounts", "self"]] {
        assert!(!run_lxkns(arguments).ok().text().is_empty());
    }
    let directory = directory();
    let file = directory.path().join("dump");
    std::fs::write(&file, run_lxkns(["dump"]).ok().stdout).unwrap();
    run_lxkns(["ls", "self", "--from", file.to_str().unwrap()]).fails(2, "self: is a process of the live host");
}

/// What one process may do is known whatever the others are.
fn gaps_that_change_nothing() {
    let directory = directory();
    // Of somebody else, whoever runs the tests: at least of the initial process.
    let ran = |arguments: &[&str]| run(super::unprivileged(directory.path()).args(arguments));
    assert!(!ran(&["ls"]).gaps().is_empty(), "not all processes are readable");
    let caps = ran(&["caps", "self/net"]);
    assert_eq!((caps.code, caps.stderr.as_str()), (Some(0), ""), "{caps:?}");
    let answer = ran(&["caps", "--json", "self/net"]).ok().json();
    assert_eq!(answer["gaps"], serde_json::json!([]));
}

fn the_host() {
    let ran = run_lxkns(["ls", "-rno", "NS,TYPE", "host"]);
    // Whether they are visible is up to who runs the tests; who they are is not.
    let initial = [("user", 4_026_531_837_u64), ("pid", 4_026_531_836), ("uts", 4_026_531_838)];
    if inode("/proc/self/ns/user") != initial[0].1 || inode("/proc/self/ns/pid") != initial[1].1 {
        assert!(ran.code == Some(0) || ran.stderr.contains("initial namespaces are not visible"), "{ran:?}");
        return;
    }
    let ran = ran.ok();
    for (name, ino) in initial {
        assert!(ran.text().lines().any(|line| line == format!("{ino} {name}")), "{ran:?}");
        let one = run_lxkns(["ls", "-rno", "NS", &format!("host/{name}")]).ok();
        assert_eq!(one.text().trim_end(), ino.to_string());
    }
    let dump = run_lxkns(["dump", "--no-mounts"]).ok().stdout;
    let read = crate::live::program::run_lxkns_with(&["ls", "-rno", "NS", "host/uts", "--from", "-"], &dump).ok();
    assert_eq!(read.text().trim_end(), initial[2].1.to_string());
}

/// A script in a mount namespace that has a `/run` of its own, with a network namespace named there as `ip netns` does.
fn with_names(script: &str) -> Command {
    let setup = "set -e; mount -t tmpfs none /run; mkdir /run/netns; rm -rf /tmp/lxkns-none; \
                 name() { : >\"$1\"; unshare --net mount --bind /proc/self/ns/net \"$1\"; }; \
                 name /run/netns/blue; name /run/netns/self; name /run/netns/1234; : >/run/netns/stale; \
                 ino() { stat -c %i \"$1\"; }; ";
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c"]).arg(format!("{setup}{script}"));
    command.arg(lxkns().get_program());
    command
}

fn names() {
    let script = "ino /run/netns/blue; \"$0\" ls -rno NS blue; \"$0\" ls -rno NS netns:blue; \
                  ino /run/netns/self; \"$0\" ls -rno NS netns:self; \
                  ino /run/netns/1234; \"$0\" ls -rno NS netns:1234; \
                  readlink /proc/self/ns/net; \"$0\" ls -rno NS self/net; \
                  ino /run/netns/blue; \"$0\" dump | \"$0\" ls -rno NS --from - blue; \
                  \"$0\" complete -- why netns:b";
    let ran = run(&mut with_names(script)).ok();
    let lines: Vec<_> = ran.text().lines().collect();
    let [blue, twice @ ..] = &lines[..] else { panic!("{ran:?}") };
    assert_eq!(twice[..2], [*blue, *blue], "{ran:?}");
    assert_eq!((twice[2], twice[4]), (twice[3], twice[5]), "{ran:?}");
    assert_eq!(twice[6], format!("net:[{}]", twice[7]), "a word of its own is no name: {ran:?}");
    assert_eq!((twice[8], twice[9]), (*blue, *blue), "{ran:?}");
    assert_eq!(twice[10], format!("=netns:blue\tnet:[{blue}]"), "{ran:?}");

    for (arguments, code, says) in [
        ("why netns:stale", 1, "no network namespace has this name"),
        ("why green", 1, "green: no network namespace and no container has this name; expected a PID, PID/TYPE"),
    ] {
        let ran = run(&mut with_names(&format!("\"$0\" {arguments}")));
        ran.fails(code, says);
    }
    // One name in both directories, which are no links to each other here.
    let both = "mount -t tmpfs none /var; mkdir -p /var/run/netns; name /var/run/netns/blue; \"$0\" why blue";
    run(&mut with_names(both))
        .fails(2, "blue: has several meanings; name one of them: /run/netns/blue, /var/run/netns/blue");
    // Both lead to one.
    let one = "mount -t tmpfs none /var; mkdir -p /var/run/netns; : >/var/run/netns/blue; \
               mount --bind /run/netns/blue /var/run/netns/blue; \"$0\" ls -rno NS blue";
    assert_eq!(run(&mut with_names(one)).ok().text().lines().count(), 1);
}

fn start_time(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(PathBuf::from(format!("/proc/{pid}/stat"))).unwrap();
    stat.rsplit(')').next().unwrap().split_whitespace().nth(19).unwrap().parse().unwrap()
}

fn the_process_that_is_meant() {
    let actor = Actor::spawn_in(&["user", "net"]);
    let (pid, net) = (actor.pid(), actor.ns_inode("net").to_string());
    let mut numbers = vec![start_time(pid)];
    // The kernel says itself which inode its pidfds have, where they have one each.
    let pidfd = rustix::process::pidfd_open(
        rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(),
        rustix::process::PidfdFlags::empty(),
    );
    let own = rustix::process::pidfd_open(rustix::process::getpid(), rustix::process::PidfdFlags::empty());
    if let (Ok(pidfd), Ok(own)) = (pidfd, own) {
        let [inode, own] = [pidfd, own].map(|pidfd| rustix::fs::fstat(pidfd).unwrap().st_ino);
        if inode != own {
            numbers.push(inode);
        }
    }
    for number in numbers {
        for target in [format!("{pid}:{number}/net"), format!("{pid}:{number}")] {
            let ran = run_lxkns(["ls", "-rno", "NS", "-t", "net", &target]).ok();
            assert_eq!(ran.text().trim_end(), net);
        }
        run_lxkns(["show", &format!("{pid}:{number}")]).ok();
        run_lxkns(["tree", "proc", &format!("{pid}:{number}")]).ok();
    }
    // What had this PID before.
    let other = format!("{pid}:{}", start_time(pid) - 1);
    for arguments in [
        &["ls", &other][..],
        &["show", &other],
        &["tree", "proc", &other],
        &["caps", &other],
        &["why", &format!("{other}/net")],
    ] {
        let ran = run_lxkns(arguments);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.stderr.contains("is another process"), "{ran:?}");
    }
    run_lxkns(["enter", &other, "--", "true"]).fails(125, "is another process");
    run_lxkns(["enter", &format!("{other}/net"), "--", "true"]).fails(125, "is another process");
}

fn entered() {
    let script = "ino /run/netns/blue; \"$0\" enter blue -- readlink /proc/self/ns/net; \
                  \"$0\" enter netns:blue -- readlink /proc/self/ns/net; \
                  readlink /proc/self/ns/mnt; \"$0\" enter self -- readlink /proc/self/ns/mnt; \
                  unshare --net \"$0\" enter host/net -- readlink /proc/self/ns/net";
    let ran = run(&mut with_names(script)).ok();
    let lines: Vec<_> = ran.text().lines().collect();
    let blue = format!("net:[{}]", lines[0]);
    assert_eq!(lines[1..3], [blue.as_str(), blue.as_str()], "{ran:?}");
    assert_eq!(lines[3], lines[4], "{ran:?}");
    if inode("/proc/self/ns/pid") == 4_026_531_836 {
        let host = run_lxkns(["ls", "-rno", "NS", "host/net"]).ok();
        assert_eq!(lines[5], format!("net:[{}]", host.text().trim_end()), "{ran:?}");
    }

    let actor = Actor::spawn_in(&["net"]);
    let pinned = format!("{}:{}", actor.pid(), start_time(actor.pid()));
    // What `--privileged` keeps is said.
    let ran = run_lxkns(["enter", &pinned, "--only", "net", "--privileged", "--", "readlink", "/proc/self/ns/net"]);
    assert_eq!((ran.code, ran.text().trim_end()), (Some(0), &*format!("net:[{}]", actor.ns_inode("net"))), "{ran:?}");
}
