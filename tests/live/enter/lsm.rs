//! AppArmor.

use std::fs;
use std::process::Command;

use lxkns_fixture::Actor;

use super::{Waiting, container, enter, enter_from, planned};
use crate::harness::Need::{AppArmor, Program, Root, UserNamespaces};
use crate::harness::{Test, lxkns, test};
use crate::live::directory;
use crate::live::program::{run_lxkns, run_lxkns_with};

/// Two profiles, compiled: `apparmor/profiles` has their source, and the command.
const PROFILES: &[u8] = include_bytes!("apparmor/profiles.bin");
const ONE: &str = "lxkns-test-one";
const TWO: &str = "lxkns-test-two";
/// Both at once.
const STACKED: &str = "lxkns-test-one//&lxkns-test-two";
/// What containers have that load profiles themselves: they do that in a policy namespace of their own.
const IN_A_NAMESPACE: &str = "lxkns-test-one//&:lxkns-test:unconfined";
const NAMESPACE: &str = "/sys/kernel/security/apparmor/policy/namespaces/lxkns-test";
/// What the one denies to read, and what the other does.
const DENIED_BY_ONE: &str = "lxkns-denied-by-one";
const DENIED_BY_TWO: &str = "lxkns-denied-by-two";

pub(super) fn tests() -> Vec<Test> {
    // One test: the profiles are the host's, and go when it ends.
    vec![test("enter::apparmor", &[Root, AppArmor, UserNamespaces, Program("setpriv")], apparmor)]
}

/// The profiles, as long as this is there.
struct Loaded;

impl Loaded {
    fn new() -> Self {
        fs::write("/sys/kernel/security/apparmor/.load", PROFILES).unwrap();
        fs::create_dir(NAMESPACE).unwrap();
        Self
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        let _ = fs::remove_dir(NAMESPACE);
        for name in [ONE, TWO] {
            let _ = fs::write("/sys/kernel/security/apparmor/.remove", name);
        }
    }
}

fn apparmor() {
    let _loaded = Loaded::new();
    taken_on();
    stacked();
    with_no_new_privs();
    in_all_namespaces();
    by_who_is_confined();
    privileged();
    told_beforehand();
    in_dumps();
}

/// Under a profile, and with none while others have one.
fn in_dumps() {
    let (confined, free) = (under(STACKED), Actor::spawn_in(&["mnt"]));
    let dump = run_lxkns(["dump"]).ok();
    for (actor, label, is_found) in
        [(&confined, format!("{STACKED} (enforce)"), false), (&free, "unconfined".into(), true)]
    {
        let pid = actor.pid().to_string();
        assert_eq!(dump.json()["processes"][&pid]["lsm-label"], label.as_str());
        let read = |command| run_lxkns_with(&[command, &pid, "--from", "-"], &dump.stdout).ok().text().to_owned();
        assert!(read("show").contains(&label), "{}", read("show"));
        let audited = read("audit");
        assert_eq!(audited.contains("not confined by the security module"), is_found, "{audited}");
    }
}

/// A process in a mount namespace of its own, and under a label.
fn under(label: &str) -> Actor {
    let actor = Actor::spawn_in(&["mnt"]);
    change(&actor, label);
    actor
}

fn change(actor: &Actor, label: &str) {
    actor.write_file("/proc/thread-self/attr/apparmor/current", format!("changeprofile {label}").as_bytes());
}

const LABEL: [&str; 2] = ["cat", "/proc/self/attr/apparmor/current"];

/// Checks that a process and a command in it have this label, as seen from here: who is in a policy namespace sees only
/// what the label has there.
#[track_caller]
fn assert_label(pid: u32, label: &str) {
    let entered = Waiting::start(lxkns().arg("enter").arg(pid.to_string()).arg("--"));
    let path = format!("/proc/{0}/task/{0}/children", entered.pid());
    let children = fs::read_to_string(path).unwrap();
    for pid in [&pid.to_string(), children.trim()] {
        let found = fs::read_to_string(format!("/proc/{pid}/attr/apparmor/current")).unwrap();
        assert!(found.starts_with(&format!("{label} (")), "{pid}: {found}");
    }
}

/// Which of the two files a command cannot read.
#[track_caller]
fn denied(pid: u32, options: &[&str]) -> [bool; 2] {
    let directory = directory();
    [DENIED_BY_ONE, DENIED_BY_TWO].map(|name| {
        let file = directory.path().join(name);
        fs::write(&file, "read").unwrap();
        let ran = enter(pid, options, &["cat", file.to_str().unwrap()]);
        match ran.code {
            Some(0) => assert_eq!(ran.text(), "read"),
            code => assert!(code == Some(1) && ran.stderr.contains("Permission denied"), "{ran:?}"),
        }
        ran.code != Some(0)
    })
}

fn taken_on() {
    for (label, expected) in [(ONE, [true, false]), (TWO, [false, true])] {
        let actor = under(label);
        assert_label(actor.pid(), label);
        assert_eq!(denied(actor.pid(), &[]), expected, "{label}");
        assert_eq!(denied(actor.pid(), &["--no-cgroup", "--only", "mnt"]), expected, "{label}");
    }
}

fn stacked() {
    for (label, expected) in [(STACKED, [true, true]), (IN_A_NAMESPACE, [true, false])] {
        let actor = under(label);
        assert_label(actor.pid(), label);
        assert_eq!(denied(actor.pid(), &[]), expected, "{label}");
    }
}

/// Who is not confined may take on a profile also with `no_new_privs`; who is confined, none then but its own.
fn with_no_new_privs() {
    for options in [&[][..], &["--reuid=1234", "--regid=1235", "--clear-groups", "--inh-caps=-all"]] {
        let mut command = Command::new("setpriv");
        let waiting = Waiting::start(command.arg("--no-new-privs").args(["--apparmor-profile", ONE]).args(options));
        assert_label(waiting.pid(), ONE);
        assert_eq!(denied(waiting.pid(), &[]), [true, false]);
        let ran = enter(waiting.pid(), &[], &["cat", "/proc/self/status"]).ok();
        assert!(ran.text().contains("\nNoNewPrivs:\t1\n"), "{ran:?}");
    }
}

/// The command's own procfs is not the caller's any more.
fn in_all_namespaces() {
    let (_outer, inner) = container(&["user", "mnt", "net", "uts", "ipc", "cgroup", "pid"]);
    change(&inner, STACKED);
    assert_label(inner.pid(), STACKED);
    assert_eq!(denied(inner.pid(), &[]), [true, true]);
}

/// A caller under a profile goes on under the process's; where it is the same, nothing changes.
fn by_who_is_confined() {
    let actor = under(ONE);
    for label in [ONE, TWO, STACKED] {
        let caller = Waiting::start(Command::new("setpriv").args(["--apparmor-profile", label]));
        let ran = enter_from(caller.pid(), actor.pid(), &LABEL).ok();
        assert_eq!(ran.text(), format!("{ONE} (enforce)\n"), "from {label}");
    }
    let waiting = Waiting::start(Command::new("setpriv").args(["--no-new-privs", "--apparmor-profile", ONE]));
    let caller = Waiting::start(Command::new("setpriv").args(["--apparmor-profile", TWO]));
    let says = format!("run cat and take on the AppArmor profile {ONE} with no_new_privs: Operation not permitted");
    enter_from(caller.pid(), waiting.pid(), &LABEL).fails(126, &says);
}

fn privileged() {
    let actor = under(ONE);
    let ran = enter(actor.pid(), &["--privileged"], &LABEL);
    assert_eq!((ran.code, ran.text()), (Some(0), "unconfined\n"), "{ran:?}");
    assert!(matches!(ran.problems()[..], [note] if note.contains("security context")), "{ran:?}");
    assert_eq!(denied(actor.pid(), &["--privileged"]), [false, false]);
}

fn told_beforehand() {
    let actor = under(STACKED);
    for (options, command) in [(&[][..], STACKED), (&["--privileged"], "unconfined")] {
        let planned = planned(actor.pid(), options, "LSM");
        assert_eq!(planned, [STACKED, command].map(|label| format!("AppArmor profile {label}")));
    }
}
