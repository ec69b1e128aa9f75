//! Users, groups, capabilities and `no_new_privs`.

use std::fs;
use std::process::Command;

use lxkns_fixture::{Actor, deny};

use super::{Waiting, enter, planned};
use crate::harness::Need::{Program, Root, Unprivileged, UserNamespaces};
use crate::harness::{Test, test};
use crate::live::directory;

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("enter::confined::as_the_process", &[Root, Program("setpriv")], as_the_process),
        test("enter::confined::privileged", &[Root, Program("setpriv")], privileged),
        test("enter::confined::no_new_privs", &[Program("setpriv")], no_new_privs),
        test("enter::confined::filtered", &[], filtered),
        test("enter::confined::mapped_ids", &[Root, UserNamespaces], mapped_ids),
        test("enter::confined::without_its_user_namespace", &[Root, UserNamespaces], without_its_user_namespace),
        test("enter::confined::by_name", &[Root], by_name),
        test("enter::confined::a_step_fails", &[UserNamespaces, Unprivileged], a_step_fails),
    ]
}

/// What a `status` says of powers.
fn powers(status: &str) -> Vec<&str> {
    let names = ["Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs"];
    let is_wanted = |line: &&str| line.split(':').next().is_some_and(|name| names.contains(&name));
    status.lines().filter(is_wanted).map(str::trim_end).collect()
}

fn status(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/status")).unwrap()
}

const STATUS: [&str; 2] = ["cat", "/proc/self/status"];

fn as_the_process() {
    for options in [
        &["--bounding-set=-all,+chown,+kill", "--inh-caps=-all"][..],
        &["--bounding-set=-all,+chown,+kill", "--inh-caps=-all", "--reuid=1234", "--regid=1235", "--groups=77,78"],
        &["--inh-caps=-all,+chown", "--ambient-caps=-all,+chown", "--reuid=1234", "--regid=1235", "--clear-groups"],
        &["--no-new-privs", "--reuid=1234", "--regid=1235", "--groups=5"],
        &["--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"],
    ] {
        let waiting = Waiting::start(Command::new("setpriv").args(options));
        let ran = enter(waiting.pid(), &[], &STATUS).ok();
        assert_eq!(powers(ran.text()), powers(&status(waiting.pid())), "{options:?}");
    }
}

fn privileged() {
    let options = ["--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", "--reuid=1234", "--clear-groups"];
    let waiting = Waiting::start(Command::new("setpriv").args(options));
    let ran = enter(waiting.pid(), &["--privileged"], &STATUS);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(matches!(ran.problems()[..], [note] if note.contains("keeps the caller's powers")), "{ran:?}");
    let own = status(std::process::id());
    let line = |text: &str, name: &str| text.lines().find(|line| line.starts_with(name)).map(str::to_owned);
    for name in ["CapBnd", "NoNewPrivs", "CapEff"] {
        assert_eq!(line(ran.text(), name), line(&own, name), "{name}");
    }
    assert_eq!(line(ran.text(), "Uid").as_deref(), Some("Uid:\t1234\t1234\t1234\t1234"));
}

fn no_new_privs() {
    let waiting = Waiting::start(Command::new("setpriv").arg("--no-new-privs"));
    let ran = enter(waiting.pid(), &[], &STATUS).ok();
    assert_eq!(powers(ran.text()), powers(&status(waiting.pid())));
}

/// That filters are not taken over is said, once.
fn filtered() {
    let mut command = Command::new("env");
    deny::deny(&mut command, &[deny::interface("statx")], rustix::io::Errno::NOSYS.raw_os_error()).unwrap();
    let waiting = Waiting::start(&mut command);
    let ran = enter(waiting.pid(), &["--except", "user"], &["true"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(matches!(ran.problems()[..], [note] if note.contains("(seccomp)")), "{ran:?}");
    assert_eq!(planned(waiting.pid(), &[], "seccomp"), ["filtered", "not filtered"]);
}

/// IDs are those that the user namespace of the process calls by other numbers.
fn mapped_ids() {
    let actor = Actor::spawn();
    actor.unshare(&["user", "mnt"]);
    actor.map_ids(&[(0, 100_000, 1000), (5000, 0, 1)]);
    // It is the host's root, which is 5000 in there.
    let ran = enter(actor.pid(), &[], &["id", "-u"]).ok();
    assert_eq!(ran.text(), "5000\n");
    let ran = enter(actor.pid(), &["--user", "7:8"], &["cat", "/proc/self/status"]).ok();
    let lines = powers(ran.text());
    assert_eq!(lines[..3], ["Uid:\t7\t7\t7\t7", "Gid:\t8\t8\t8\t8", "Groups:\t8"]);
    enter(actor.pid(), &["--user", "4321"], &["true"]).fails(125, "set the UID: Invalid argument");
}

/// What a process may do in its own user namespace, nobody may do outside because of it.
fn without_its_user_namespace() {
    let actor = Actor::spawn_in(&["user", "net"]);
    let ran = enter(actor.pid(), &["--only", "net"], &STATUS);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let none = ["CapInh:\t0000000000000000", "CapPrm:\t0000000000000000", "CapEff:\t0000000000000000"];
    assert_eq!(powers(ran.text())[3..6], none);
}

/// Names are those that the process's own files have.
fn by_name() {
    let directory = directory();
    let actor = Actor::spawn_in(&["mnt"]);
    let passwd = "root:x:0:0::/:/bin/sh\nlxuser:x:4321:4322::/somewhere:/bin/lxsh\n";
    for (name, text) in [("passwd", passwd), ("group", "one:x:4401:root,lxuser\ntwo:x:4402:\nthree:x:4403:lxuser\n")] {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        actor.bind(&path, format!("/etc/{name}"));
    }
    let ran = enter(actor.pid(), &["--user", "lxuser"], &STATUS).ok();
    let expected = ["Uid:\t4321\t4321\t4321\t4321", "Gid:\t4322\t4322\t4322\t4322", "Groups:\t4322 4401 4403"];
    assert_eq!(powers(ran.text())[..3], expected);
    let ran = enter(actor.pid(), &["--user", "4321:two"], &["env"]).ok();
    for variable in ["HOME=/somewhere", "USER=lxuser", "SHELL=/bin/lxsh"] {
        assert!(ran.text().lines().any(|line| line == variable), "{variable}: {ran:?}");
    }
    enter(actor.pid(), &["--user", "nobody"], &["true"])
        .fails(125, "there is no user nobody in the /etc/passwd of the target");
    enter(actor.pid(), &["--group", "nogroup"], &["true"]).fails(125, "there is no group nogroup");
}

/// What fails between fork and exec is said, and nothing has run.
fn a_step_fails() {
    let actor = Actor::spawn_in(&["user", "mnt"]);
    enter(actor.pid(), &["--user", "54321"], &["true"]).fails(125, "set the UID: Invalid argument");
}
