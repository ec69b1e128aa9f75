//! `lxkns who-can`: the processes that have a capability in a namespace, against those to which the kernel permits what takes
//! it.

use std::collections::BTreeSet;

use lxkns_fixture::{Actor, Socket};
use rustix::io::Errno;
use serde_json::Value;

use super::assert_documented;
use crate::harness::Need::{Program, Root, UserNamespaces};
use crate::harness::{Test, test};
use crate::live::program::{run, run_lxkns, run_lxkns_with};

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("cli::who_can::what_the_kernel_permits", &[UserNamespaces], what_the_kernel_permits),
        test("cli::who_can::another_user", &[UserNamespaces, Root], another_user),
        test("cli::who_can::single_tasks", &[UserNamespaces], single_tasks),
        test("cli::who_can::text", &[UserNamespaces], text),
        test("cli::who_can::of_a_dump", &[UserNamespaces], of_a_dump),
        test("cli::who_can::who_cannot_be_read", &[Root, UserNamespaces, Program("setpriv")], who_cannot_be_read),
        test("cli::who_can::usage", &[], usage),
    ]
}

const NET_ADMIN: u64 = 1 << 12;
const SYS_ADMIN: u64 = 1 << 21;

/// Who has `CAP_NET_ADMIN` in a namespace.
#[track_caller]
fn who_can(ino: u64) -> Value {
    let answers = run_lxkns(["who-can", "--json", "net_admin", &ino.to_string()]).ok().answer_to("who-can");
    assert_eq!(answers.as_array().unwrap().len(), 1, "{answers}");
    assert_documented(&answers);
    answers[0].clone()
}

/// What is said of a process.
fn of<'a>(answer: &'a Value, actor: &Actor) -> Option<&'a Value> {
    answer["processes"].as_array().unwrap().iter().find(|process| process["pid"] == actor.pid())
}

/// A child in user, UTS and network namespaces of its own.
fn below(actor: &Actor) -> Actor {
    let child = actor.fork();
    child.unshare(&["user", "net"]);
    child.map_root();
    child
}

/// Whether the kernel lets a process change the network namespace of another's socket.
#[track_caller]
fn kernel_permits(subject: &Actor, owner: &Actor) -> bool {
    let socket = owner.socket(Socket::Udp4);
    let given = subject.give_fd(owner.take_fd(socket));
    owner.close(socket);
    let tried = subject.try_lo_up_through(given);
    subject.close(given);
    match tried {
        Ok(()) => true,
        Err(error) => {
            assert_eq!(Errno::from_io_error(&error), Some(Errno::PERM), "{error}");
            false
        }
    }
}

/// Checks that of these processes those are named, and no others, to which the kernel permits it; in the network namespaces
/// of all of `owners` and in the user namespaces that own them. Returns the reasons that were given.
#[track_caller]
fn check(subjects: &[&Actor], owners: &[&Actor]) -> BTreeSet<String> {
    let mut reasons = BTreeSet::new();
    for owner in owners {
        let permitted: BTreeSet<u32> =
            subjects.iter().filter(|subject| kernel_permits(subject, owner)).map(|subject| subject.pid()).collect();
        for ns_type in ["net", "user"] {
            let answer = who_can(owner.ns_inode(ns_type));
            assert_eq!(answer["userns"], owner.ns_inode("user"));
            let named = subjects.iter().filter_map(|subject| {
                let process = of(&answer, subject).filter(|process| process["has"] == "yes")?;
                reasons.insert(process["reason"].as_str().unwrap().to_owned());
                Some(subject.pid())
            });
            assert_eq!(named.collect::<BTreeSet<_>>(), permitted, "{answer:#}");
        }
    }
    reasons
}

fn what_the_kernel_permits() {
    let top = Actor::spawn_in(&["user", "net"]);
    let left = below(&top);
    let right = below(&top);
    let deep = below(&left);
    let with = |actor: &Actor, caps: u64| {
        let child = actor.fork();
        child.set_caps(caps);
        child
    };
    // In each of three nested user namespaces: with that capability alone, with another one, with none.
    let others: Vec<_> = [&top, &left, &deep]
        .into_iter()
        .flat_map(|actor| [NET_ADMIN, SYS_ADMIN, 0].map(|caps| with(actor, caps)))
        .collect();
    let subjects: Vec<_> = [&top, &left, &right, &deep].into_iter().chain(&others).collect();
    let reasons = check(&subjects, &[&top, &left, &right, &deep]);
    assert_eq!(reasons.iter().collect::<Vec<_>>(), ["creator", "member"]);
    // What is permitted and not effective can be raised, and then the kernel lets it.
    let can_raise = top.fork();
    can_raise.set_permitted_and_effective(NET_ADMIN, 0);
    assert!(!kernel_permits(&can_raise, &top));
    assert_eq!(of(&who_can(top.ns_inode("net")), &can_raise).unwrap()["has"], "can-raise");
    can_raise.set_permitted_and_effective(NET_ADMIN, NET_ADMIN);
    assert!(kernel_permits(&can_raise, &top));
    assert_eq!(of(&who_can(top.ns_inode("net")), &can_raise).unwrap()["has"], "yes");
}

/// With UIDs that differ, the own set counts in what is below.
fn another_user() {
    let top = Actor::spawn_in(&["user", "net"]);
    let user = top.fork();
    user.setuid(1000);
    let by_user = user.fork();
    by_user.unshare(&["user", "net"]);
    for map in ["uid_map", "gid_map"] {
        top.write_file(format!("/proc/{}/{map}", by_user.pid()), b"0 0 65536");
    }
    let below_user = by_user.fork();
    below_user.unshare(&["user", "net"]);
    let powerless = top.fork();
    powerless.drop_all_caps();
    let reasons = check(&[&top, &user, &by_user, &below_user, &powerless], &[&top, &by_user, &below_user]);
    assert_eq!(reasons.iter().collect::<Vec<_>>(), ["ancestor", "creator", "member"]);
}

/// Each task has credentials of its own.
fn single_tasks() {
    let top = Actor::spawn_in(&["user", "net"]);
    let process = top.fork();
    let [able, unable] = [(); 2].map(|()| process.thread());
    unable.drop_all_caps();
    process.drop_all_caps();
    let net = top.ns_inode("net");
    let tids = || -> Vec<Value> {
        let answer = who_can(net);
        let processes = answer["processes"].as_array().unwrap().iter();
        processes.filter(|it| it["pid"] == process.pid()).map(|it| it["tid"].clone()).collect()
    };
    assert!(kernel_permits(&able, &top) && !kernel_permits(&unable, &top) && !kernel_permits(&process, &top));
    assert_eq!(tids(), [Value::from(able.tid())]);
    let ran = run_lxkns(["who-can", "net_admin", &net.to_string(), "--all"]).ok();
    assert!(ran.text().contains(&format!("{} TID {}", process.pid(), able.tid())), "{ran:?}");
    able.drop_all_caps();
    assert!(tids().is_empty());
}

fn text() {
    let top = Actor::spawn_in(&["user", "net"]);
    top.set_comm(b"a\n\x1b[31m");
    let children = [(); 3].map(|()| top.fork());
    let [net, user] = ["net", "user"].map(|ns_type| format!("{ns_type}:[{}]", top.ns_inode(ns_type)));
    let ran = run_lxkns(["who-can", "CAP_NET_ADMIN", &net]).ok();
    let lines: Vec<_> = ran.text().lines().collect();
    assert_eq!(lines[0], format!("CAP_NET_ADMIN in {net}"));
    // Whoever else has it on the host has it here too.
    assert!(lines[1].starts_with(&format!("  owned by {user}: ")) && lines[1].contains(" have it"), "{ran:?}");
    assert_eq!(
        lines[2].split_whitespace().collect::<Vec<_>>(),
        ["HAS", "COUNT", "PID", "COMMAND", "UID", "WHY", "WHOSE"]
    );
    let of_member = |line: &&&str| line.contains(" member ") || line.ends_with(" member");
    let row: Vec<_> = lines.iter().find(of_member).unwrap().split_whitespace().take(3).collect();
    assert_eq!(row, ["yes", "4", &top.pid().to_string()], "{ran:?}");
    let ran = run_lxkns(["who-can", "net_admin", &net, "--all", "-n"]).ok();
    for actor in [&top].into_iter().chain(&children) {
        let row = ran.text().lines().find(|line| line.split_whitespace().nth(1) == Some(&actor.pid().to_string()));
        assert!(row.is_some_and(|row| row.contains("a\\x0a\\x1b[31m")), "{ran:?}");
    }
    assert!(!ran.text().contains("COMMAND"));
}

fn of_a_dump() {
    let top = Actor::spawn_in(&["user", "net"]);
    let child = top.fork();
    child.drop_all_caps();
    let dump = run_lxkns(["dump"]).ok().stdout;
    let net = top.ns_inode("net").to_string();
    let ran = run_lxkns_with(&["who-can", "--json", "net_admin", &net, "--from", "-"], &dump);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("a dump does not have the credentials of single tasks"), "{ran:?}");
    let answer = ran.answer_to("who-can")[0].clone();
    assert_eq!(of(&answer, &top).unwrap()["has"], "yes");
    assert!(of(&answer, &child).is_none(), "{answer}");
    assert!(ran.json()["gaps"].to_string().contains("single tasks"));
}

/// To an ordinary user, what cannot be read is not nobody.
fn who_cannot_be_read() {
    let top = Actor::spawn_in(&["user", "net"]);
    let directory = crate::live::directory();
    let ran = run(super::unprivileged(directory.path()).args(["who-can", "--json", "net_admin"]));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let answer = ran.answer_to("who-can")[0].clone();
    assert_eq!(of(&answer, &top).unwrap()["has"], "not-known", "{answer}");
    assert!(answer["summary"].as_str().unwrap().contains("not known of "), "{answer}");
    assert!(!ran.gaps().is_empty() && !ran.json()["gaps"].as_array().unwrap().is_empty(), "{ran:?}");
}

fn usage() {
    run_lxkns(["who-can", "net_admn"]).fails(2, "near: CAP_NET_BIND_SERVICE");
    run_lxkns(["who-can", "64"]).fails(2, "no such capability");
    run_lxkns(["who-can"]).fails(2, "<CAP>");
    run_lxkns(["who-can", "kill", "4194304"]).fails(1, "4194304: no such process");
}
