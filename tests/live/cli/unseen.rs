//! What could not be seen is not said to be absent: not 0, not "none".

use std::process::Command;

use lxkns_fixture::Actor;
use serde_json::Value;

use crate::harness::Need::{Program, Root, UserNamespaces};
use crate::harness::{Need, Test, lxkns, test};
use crate::live::program::{Ran, row, run};
use crate::live::{directory, own_inode};

const NOBODY: &[Need] = &[Root, Program("nsenter"), Program("setpriv")];

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("cli::unseen::members_of_others", NOBODY, members_of_others),
        test("cli::unseen::members_outside", &[UserNamespaces, Program("unshare")], members_outside),
    ]
}

/// The program in the mount namespace of a process, as root or as a user who sees no process of root's.
fn inside(actor: &Actor, program: &Command, arguments: &[&str]) -> Ran {
    let mut command = Command::new("nsenter");
    command.args(["-t", &actor.pid().to_string(), "--mount", "--"]).arg(program.get_program());
    run(command.args(program.get_args()).args(arguments))
}

/// A network namespace with a server of root's in it, and a name that everybody sees.
fn members_of_others() {
    let directory = directory();
    let path = directory.path().join("net");
    let actor = Actor::spawn_in(&["mnt", "net"]);
    actor.touch(&path);
    actor.bind("/proc/self/ns/net", &path);
    let net = actor.ns_inode("net");
    let target = net.to_string();
    let unprivileged = super::unprivileged(directory.path());
    let ask = |program: &Command, arguments: &[&str]| inside(&actor, program, arguments);

    // To root it says how many there are.
    let ls = |program: &Command, more: &[&str]| ask(program, &[&["ls", "-o", "NS,NPROCS,NTASKS"], more].concat()).ok();
    let seen = ls(&lxkns(), &["--json", &target]).json();
    assert_eq!(row(&seen, net).unwrap()["nprocs"], 1);
    assert!(!ask(&lxkns(), &["orphans", "-t", "net"]).ok().text().contains(&target));

    // To others, that it does not know.
    let unseen = ls(&unprivileged, &["--json", &target]).json();
    let net_row = row(&unseen, net).unwrap();
    assert_eq!((&net_row["nprocs"], &net_row["ntasks"]), (&Value::Null, &Value::Null));
    assert!(unseen["unreadable_processes"].as_u64().unwrap() > 0, "{unseen}");
    let text = ls(&unprivileged, &["-n", &target]);
    assert_eq!(text.text().split_whitespace().collect::<Vec<_>>(), [&target, "?", "?"]);
    let raw = ls(&unprivileged, &["-n", "--raw", &target]);
    assert_eq!(raw.text().split_whitespace().collect::<Vec<_>>(), [&target, "-", "-"]);

    let shown = ask(&unprivileged, &["show", &target]);
    let line = shown.text().lines().find(|line| line.trim_start().starts_with("inside")).unwrap();
    assert!(line.contains("no process seen; ") && line.ends_with(" processes not readable"), "{shown:?}");
    let shown = ask(&unprivileged, &["show", "--json", &target]).json();
    let shown = &shown[0]["namespace"];
    assert_eq!((&shown["processes"], &shown["tasks"]), (&Value::Null, &Value::Null), "{shown}");
    assert_eq!((&shown["members_seen"], &shown["holders_seen"]), (&false.into(), &false.into()), "{shown}");
    let why = ask(&unprivileged, &["why", "--json", &target]).json();
    assert_eq!(why[0]["holders_seen"], false, "{why}");

    let orphans = ask(&unprivileged, &["orphans", "--fail", "-t", "net"]);
    assert_eq!(orphans.code, Some(0), "{orphans:?}");
    assert!(orphans.text().starts_with("not known to be orphans: "), "{orphans:?}");
    assert!(orphans.text().contains(&format!("net:[{net}]")), "{orphans:?}");
    let orphans = ask(&unprivileged, &["orphans", "--json", "-t", "net"]).json();
    let orphan = orphans.as_array().unwrap().iter().find(|orphan| orphan["namespace"]["ns"] == net).unwrap();
    assert_eq!(orphan["members_seen"], false, "{orphan}");
}

/// With the procfs of a PID namespace of one's own, whatever is outside of that is in no list: the test itself is in the
/// same user namespace's network namespace, and unseen.
fn members_outside() {
    let inside = |arguments: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]).arg(lxkns().get_program());
        run(command.args(arguments))
    };
    let (net, pid) = (own_inode("net"), own_inode("pid"));
    let table = inside(&["ls", "--json", "-o", "NS,TYPE,NPROCS"]).ok();
    let text = inside(&["ls", "-n", "-o", "NS,TYPE,NPROCS"]).ok();
    let nprocs = |ino: u64, ns_type: &str| -> Option<String> {
        let mut lines = text.text().lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let is_it = |line: &Vec<&str>| line[1] == ns_type && (ino == 0 || line[0] == ino.to_string());
        Some(lines.find(is_it)?[2].to_owned())
    };
    assert_eq!(row(&table.json(), net).unwrap()["nprocs"], 1);
    assert_eq!(nprocs(net, "net").as_deref(), Some("1+"), "the test is in it, too: {text:?}");
    assert!(row(&table.json(), pid).is_none_or(|row| row["nprocs"] == Value::Null));
    assert_eq!(nprocs(0, "pid").as_deref(), Some("1"), "nobody outside can be in that: {text:?}");
}
