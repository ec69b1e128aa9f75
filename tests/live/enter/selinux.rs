//! SELinux, where the policy is the tests' own: `selinux/policy.cil`, which a virtual machine's first process loads.

use std::fs;
use std::process::Command;

use lxkns_fixture::Actor;

use super::{Waiting, container, enter, enter_from, planned};
use crate::harness::Need::{Program, Root, SELinux, UserNamespaces};
use crate::harness::{Test, test};
use crate::live::directory;
use crate::live::program::Ran;

/// Of the policy: where the tests are; what processes are in; and what no program is to be run in from outside.
const HOST: &str = "lxkns_test_u:lxkns_test_r:lxkns_test_host:s0-s0:c0.c3";
const CONTAINER: &str = "lxkns_test_u:lxkns_test_r:lxkns_test_container:s0";
const WITH_CATEGORIES: &str = "lxkns_test_u:lxkns_test_r:lxkns_test_container:s0:c1,c2";
const OTHER_CATEGORIES: &str = "lxkns_test_u:lxkns_test_r:lxkns_test_container:s0:c1,c3";
const STRICT: &str = "lxkns_test_u:lxkns_test_r:lxkns_test_strict:s0";
const CLOSED: &str = "lxkns_test_u:lxkns_test_r:lxkns_test_closed:s0";
const EMPTY: &str = "lxkns_test_u:lxkns_test_r:lxkns_test_empty:s0";
/// What the host's type alone may read, and what has the categories c1 and c2.
const SECRET: &str = "/proc/version";
const OF_CATEGORIES: &str = "/proc/uptime";

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("enter::selinux::taken_on", &[Root, SELinux], taken_on),
        test("enter::selinux::in_all_namespaces", &[SELinux, UserNamespaces], in_all_namespaces),
        test(
            "enter::selinux::with_no_new_privs",
            &[Root, SELinux, Program("setpriv"), Program("busybox")],
            with_no_new_privs,
        ),
        test("enter::selinux::forbidden", &[Root, SELinux, Program("busybox")], forbidden),
        test("enter::selinux::by_who_is_confined", &[Root, SELinux, Program("setpriv")], by_who_is_confined),
        test("enter::selinux::with_a_tool", &[Root, SELinux, Program("busybox")], with_a_tool),
        test("enter::selinux::privileged", &[Root, SELinux], privileged),
        test("enter::selinux::told_beforehand", &[Root, SELinux], told_beforehand),
    ]
}

/// A process in namespaces of its own, and in a context.
fn under(context: &str) -> Actor {
    let actor = Actor::spawn_in(&["mnt"]);
    change(&actor, context);
    actor
}

fn change(actor: &Actor, context: &str) {
    actor.write_file("/proc/thread-self/attr/current", context.as_bytes());
    assert_eq!(context_of(&fs::read(format!("/proc/{}/attr/current", actor.pid())).unwrap()), context);
}

/// The text of the kernel, which ends with a zero.
fn context_of(text: &[u8]) -> &str {
    std::str::from_utf8(text).unwrap().trim_end_matches(['\0', '\n'])
}

const CONTEXT: [&str; 2] = ["cat", "/proc/self/attr/current"];

#[track_caller]
fn assert_context(pid: u32, options: &[&str], context: &str) {
    let ran = enter(pid, options, &CONTEXT);
    assert_eq!((ran.code, context_of(&ran.stdout)), (Some(0), context), "{ran:?}");
}

/// Which of the two files a command cannot read.
#[track_caller]
fn denied(pid: u32, options: &[&str]) -> [bool; 2] {
    [SECRET, OF_CATEGORIES].map(|file| {
        let ran = enter(pid, options, &["cat", file]);
        match ran.code {
            Some(0) => assert!(!ran.stdout.is_empty(), "{ran:?}"),
            code => assert!(code == Some(1) && ran.stderr.contains("Permission denied"), "{ran:?}"),
        }
        ran.code != Some(0)
    })
}

/// Checks that a command is refused, that this is said once, and that nothing has been run.
#[track_caller]
fn assert_refused(pid: u32, says: &str) {
    let directory = directory();
    let file = directory.path().join("run");
    enter(pid, &[], &["busybox", "touch", file.to_str().unwrap()]).fails(126, says);
    assert!(!file.exists());
}

fn taken_on() {
    for (context, expected) in
        [(CONTAINER, [true, true]), (WITH_CATEGORIES, [true, false]), (OTHER_CATEGORIES, [true, true])]
    {
        let actor = under(context);
        assert_context(actor.pid(), &[], context);
        assert_context(actor.pid(), &["--no-cgroup", "--only", "mnt"], context);
        assert_eq!(denied(actor.pid(), &[]), expected, "{context}");
    }
}

/// The command's own procfs is not the caller's any more.
fn in_all_namespaces() {
    let (_outer, inner) = container(&["user", "mnt", "net", "uts", "ipc", "cgroup", "pid"]);
    inner.mount("proc", "/proc");
    change(&inner, WITH_CATEGORIES);
    assert_context(inner.pid(), &[], WITH_CATEGORIES);
    assert_eq!(denied(inner.pid(), &[]), [true, false]);
}

/// The command never runs without it: either the policy has it that the context may be taken on so, or nothing is run.
fn with_no_new_privs() {
    let start = |context: &str| {
        let mut command = Command::new("setpriv");
        // In this order, whatever the policy has.
        Waiting::start(command.args(["--selinux-label", context, "setpriv", "--no-new-privs"]))
    };
    let waiting = start(WITH_CATEGORIES);
    assert_context(waiting.pid(), &[], WITH_CATEGORIES);
    assert_eq!(denied(waiting.pid(), &[]), [true, false]);
    let ran = enter(waiting.pid(), &[], &["cat", "/proc/self/status"]).ok();
    assert!(ran.text().contains("\nNoNewPrivs:\t1\n"), "{ran:?}");

    let waiting = start(STRICT);
    let says =
        format!("run busybox and take on the SELinux context {STRICT} with no_new_privs: Operation not permitted");
    assert_refused(waiting.pid(), &says);
}

fn forbidden() {
    for context in [CLOSED, EMPTY] {
        let actor = under(context);
        let says = format!("run busybox and take on the SELinux context {context}: Permission denied");
        assert_refused(actor.pid(), &says);
    }
}

/// A caller in a context goes on in the process's, if the policy has it so; where it is the same, nothing changes.
fn by_who_is_confined() {
    let caller = Waiting::start(Command::new("setpriv").args(["--selinux-label", CONTAINER]));
    let same = enter_from(caller.pid(), under(CONTAINER).pid(), &CONTEXT).ok();
    assert_eq!(context_of(&same.stdout), CONTAINER);
    let says = format!("run cat and take on the SELinux context {STRICT}: Permission denied");
    enter_from(caller.pid(), under(STRICT).pid(), &CONTEXT).fails(126, &says);
}

/// A tool is on no mount that would keep a set-user-ID bit, which asks for one permission more.
fn with_a_tool() {
    let directory = directory();
    let busybox = directory.path().join("busybox");
    fs::copy("/bin/busybox", &busybox).unwrap();
    let run = |pid: u32| -> Ran { enter(pid, &["--tools", busybox.to_str().unwrap()], &CONTEXT) };
    let ran = run(under(WITH_CATEGORIES).pid()).ok();
    assert_eq!(context_of(&ran.stdout), WITH_CATEGORIES);
    run(under(STRICT).pid())
        .fails(126, &format!("run cat and take on the SELinux context {STRICT}: Permission denied"));
}

fn privileged() {
    let actor = under(CONTAINER);
    let ran = enter(actor.pid(), &["--privileged"], &CONTEXT);
    assert_eq!((ran.code, context_of(&ran.stdout)), (Some(0), HOST), "{ran:?}");
    assert!(matches!(ran.problems()[..], [note] if note.contains("security context")), "{ran:?}");
    assert_eq!(denied(actor.pid(), &["--privileged"]), [false, false]);
}

fn told_beforehand() {
    let actor = under(WITH_CATEGORIES);
    for (options, command) in [(&[][..], WITH_CATEGORIES), (&["--privileged"], HOST)] {
        let planned = planned(actor.pid(), options, "LSM");
        assert_eq!(planned, [WITH_CATEGORIES, command].map(|context| format!("SELinux context {context}")));
    }
}
