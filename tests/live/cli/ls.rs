//! `lxkns ls`.

use std::collections::BTreeSet;

use lxkns_fixture::Actor;
use serde_json::Value;

use super::with_bind_mount;
use crate::harness::Need::{Kernel, NamespaceType, Program, Root, UserNamespaces};
use crate::harness::{Test, alone_through, test};
use crate::live::program::{Ran, row, run_lxkns};
use crate::live::{directory, look_until, own_inode};

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("cli::ls::the_usual_columns", &[UserNamespaces], the_usual_columns),
        test("cli::ls::columns", &[UserNamespaces], columns),
        test("cli::ls::types", &[UserNamespaces], types),
        test("cli::ls::of_a_process", &[UserNamespaces, NamespaceType("time"), NamespaceType("cgroup")], of_a_process),
        test("cli::ls::all_columns_and_sorted", &[UserNamespaces], all_columns_and_sorted),
        test("cli::ls::names_of_netns", &[Root, Program("unshare")], names_of_netns),
        test("cli::ls::raw", &[UserNamespaces], raw),
        test("cli::ls::json", &[UserNamespaces], json),
        test("cli::ls::targets", &[UserNamespaces], targets),
        test("cli::ls::unique_id", &[UserNamespaces, Kernel(6, 18)], unique_id),
        test("cli::ls::some_targets_are_missing", &[UserNamespaces], some_targets_are_missing),
        test("cli::ls::not_of_this_type", &[UserNamespaces], not_of_this_type),
        test("cli::ls::every_column_of_a_namespace_without_a_process", &[UserNamespaces], without_a_process),
    ]
}

fn ls(arguments: &[&str]) -> Ran {
    run_lxkns([&["ls"], arguments].concat()).ok()
}

/// The words of the line of a namespace.
#[track_caller]
fn line(ran: &Ran, ino: u64) -> Vec<String> {
    let ino = ino.to_string();
    let is_line = |line: &&str| line.split_whitespace().next() == Some(&ino);
    let line = ran.text().lines().find(is_line).unwrap_or_else(|| panic!("{ino}: {}", ran.text()));
    line.split_whitespace().map(str::to_owned).collect()
}

/// How many there are where one was seen.
fn one() -> &'static str {
    if super::sees_all_members() { "1" } else { "1+" }
}

fn the_usual_columns() {
    let actor = Actor::spawn_in(&["user", "uts"]);
    let ran = ls(&[]);
    let mut heading: Vec<_> = ran.text().lines().next().unwrap().split_whitespace().collect();
    // Which of these there are depends on what runs on the host.
    heading.retain(|name| !["NETNS", "CONTAINER", "POD", "ENGINE", "UNIT"].contains(name));
    assert_eq!(heading, ["NS", "TYPE", "NPROCS", "PID", "USER", "COMMAND"]);
    let line = line(&ran, actor.ns_inode("uts"));
    assert_eq!(line[1..4], ["uts", one(), &actor.pid().to_string()]);
    assert!(line[5..].contains(&"lxkns-actor".to_owned()), "{line:?}");
}

fn columns() {
    let actor = Actor::spawn_in(&["user", "uts"]);
    let (uts, user) = (actor.ns_inode("uts").to_string(), actor.ns_inode("user").to_string());
    assert_eq!(ls(&["-no", "TYPE,ONS", &uts]).text().split_whitespace().collect::<Vec<_>>(), ["uts", &user]);
    let added = ls(&["-o", "+ons,NTASKS", &uts]);
    let heading: Vec<_> = added.text().lines().next().unwrap().split_whitespace().collect();
    assert_eq!(heading, ["NS", "TYPE", "NPROCS", "PID", "USER", "COMMAND", "ONS", "NTASKS"]);
    assert_eq!(added.text().lines().count(), 2);
    let numbers: Vec<_> = added.text().split_whitespace().rev().take(2).collect();
    assert_eq!(numbers, [one(), &user]);
}

fn types() {
    let actor = Actor::spawn_in(&["user", "uts", "ipc"]);
    let of_types = |types: &[&str]| -> BTreeSet<String> {
        let ran = ls(&[&["-rno", "NS,TYPE"], types].concat());
        let lines = ran.text().lines().filter(|line| {
            ["user", "uts", "ipc"].iter().any(|name| line.starts_with(&format!("{} ", actor.ns_inode(name))))
        });
        lines.map(|line| line.split_once(' ').unwrap().1.to_owned()).collect()
    };
    assert_eq!(of_types(&[]), BTreeSet::from(["ipc", "user", "uts"].map(str::to_owned)));
    assert_eq!(of_types(&["-t", "uts"]), BTreeSet::from(["uts".to_owned()]));
    assert_eq!(of_types(&["-t", "uts,user"]), BTreeSet::from(["user", "uts"].map(str::to_owned)));
    assert_eq!(of_types(&["--type=ipc", "-t", "net"]), BTreeSet::from(["ipc".to_owned()]));
    let net = ls(&["-t", "net"]);
    // What is there only where there are any: other tests have containers.
    let is_usual = |column: &&str| !["NETNS", "CONTAINER", "POD", "ENGINE", "UNIT"].contains(column);
    assert_eq!(
        net.text().lines().next().unwrap().split_whitespace().filter(is_usual).collect::<Vec<_>>(),
        ["NS", "TYPE", "NPROCS", "PID", "USER", "NETNSID", "NSFS", "COMMAND"],
        "as lsns has it"
    );
}

fn of_a_process() {
    let actor = Actor::spawn_in(&["user", "uts"]);
    let pid = actor.pid().to_string();
    let ran = ls(&["-p", &pid, "-rno", "TYPE,NS"]);
    let mut expected = String::new();
    for name in ["mnt", "cgroup", "uts", "ipc", "user", "pid", "net", "time"] {
        expected += &format!("{name} {}\n", actor.ns_inode(name));
    }
    assert_eq!(ran.text(), expected, "sorted by type");
    assert_eq!(ls(&["-rno", "TYPE,NS", &pid]).text(), expected, "the same by TARGET");
}

fn raw() {
    let actor = Actor::spawn_in(&["user", "uts"]);
    let ran = ls(&["-r", "-o", "NS,TYPE,NSFS,COMMAND", &actor.ns_inode("uts").to_string()]);
    let lines: Vec<_> = ran.text().lines().collect();
    assert_eq!(lines[0], "NS TYPE NSFS COMMAND");
    let fields: Vec<_> = lines[1].split(' ').collect();
    assert_eq!(fields.len(), 4, "{fields:?}");
    assert_eq!(fields[1..3], ["uts", "-"], "nothing is a dash");
    assert!(fields[3].starts_with("lxkns-actor\\x20--"), "a blank is no separator: {fields:?}");
}

fn json() {
    let actor = Actor::spawn_in(&["user", "uts"]);
    let table = ls(&["--json"]).json();
    let keys: Vec<_> = table.as_object().unwrap().keys().map(String::as_str).collect();
    assert!(keys == ["namespaces"] || keys == ["namespaces", "unreadable_processes"], "{keys:?}");
    assert!(keys.len() == 2 || super::sees_all_members(), "some are not readable");
    let uts = row(&table, actor.ns_inode("uts")).unwrap().as_object().unwrap();
    assert_eq!((&uts["type"], &uts["nprocs"], &uts["pid"]), (&"uts".into(), &1.into(), &actor.pid().into()));
    assert!(uts["command"].as_str().unwrap().starts_with("lxkns-actor "));
    let all = ls(&["-J", "-o", "+UID,PPID,PATH,ONS,PNS,NSFS,HOLDERS,CGROUP,UNIQUEID,NTASKS,NETNSID"]).json();
    let user = row(&all, actor.ns_inode("user")).unwrap();
    assert_eq!(user["pns"], own_inode("user"));
    assert_eq!(user["ons"], user["pns"]);
    assert_eq!(user["path"], format!("/proc/{}/ns/user", actor.pid()));
    assert_eq!(user["ppid"], std::process::id());
    assert_eq!(user["holders"], "1 process, 1 owned namespace");
    assert_eq!((&user["ntasks"], &user["nsfs"], &user["netnsid"]), (&1.into(), &Value::Null, &Value::Null));
    // Nothing at all is still JSON.
    let nothing = run_lxkns(["ls", "--json", "-t", "user", &actor.ns_inode("uts").to_string()]);
    assert_eq!((nothing.code, &nothing.json()["namespaces"]), (Some(1), &serde_json::json!([])));
}

/// Every way to name a namespace finds it, and it alone.
fn targets() {
    let directory = directory();
    let actor = Actor::spawn_in(&["user", "mnt", "uts"]);
    let thread = actor.thread();
    thread.unshare(&["net"]);
    let path = directory.path().join("ns");
    actor.touch(&path);
    actor.bind("/proc/self/ns/uts", &path);
    let fd = actor.open("/proc/self/ns/uts", lxkns_fixture::Open::ReadOnly);
    let (pid, uts) = (actor.pid(), actor.ns_inode("uts"));
    let expected = format!("{uts} uts\n");
    for target in [
        format!("{pid}/uts"),
        format!("{uts}"),
        format!("uts:{uts}"),
        format!("uts:[{uts}]"),
        format!("/proc/{pid}/ns/uts"),
        format!("/proc/{pid}/fd/{fd}"),
        format!("/proc/{pid}/root{}", path.display()),
    ] {
        assert_eq!(ls(&["-rno", "NS,TYPE", &target]).text(), expected, "{target}");
    }
    let net = format!("{} net\n", thread.ns_inode("net"));
    assert_eq!(ls(&["-rno", "NS,TYPE", &format!("{}/net", thread.tid())]).text(), net, "a thread is as good");
    let all = ls(&["-rno", "NS,TYPE", &pid.to_string()]);
    assert!(all.text().contains(&expected) && all.text().contains(&net), "those of its threads too: {}", all.text());
    // Twice the same is one line.
    assert_eq!(ls(&["-rno", "NS,TYPE", &uts.to_string(), &format!("{pid}/uts")]).text(), expected);
}

fn unique_id() {
    let actor = Actor::spawn_in(&["user", "uts"]);
    let uts = actor.ns_inode("uts");
    let ran = ls(&["-rno", "UNIQUEID", &uts.to_string()]);
    let id = ran.text().trim_end();
    assert!(id.parse::<u64>().is_ok(), "{id}");
    assert_eq!(ls(&["-rno", "NS", &format!(":{id}")]).text(), format!("{uts}\n"));
}

fn some_targets_are_missing() {
    let actor = Actor::spawn_in(&["user", "uts"]);
    let uts = actor.ns_inode("uts").to_string();
    let ran = run_lxkns(["ls", "-rno", "NS", &format!("pid:{uts}"), &uts, &format!("net:{uts}")]);
    assert_eq!(ran.code, Some(1));
    assert_eq!(ran.text(), format!("{uts}\n"), "the others are still answered");
    let problems = ran.problems();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].contains(&format!("no such pid namespace: {uts} is a uts namespace")), "{problems:?}");
}

fn all_columns_and_sorted() {
    let actors = [(); 3].map(|()| Actor::spawn_in(&["user", "uts"]));
    let uts = |actor: &Actor| actor.ns_inode("uts").to_string();
    let targets: Vec<_> = actors.iter().rev().map(uts).collect();
    let ls = |options: &[&str]| {
        let targets = targets.iter().map(String::as_str);
        run_lxkns([&["ls"], options].concat().into_iter().chain(targets)).ok()
    };
    let all = ls(&["--output-all", "--json"]).json()["namespaces"].take();
    for (name, value) in [("type", "uts".into()), ("ons", Value::from(actors[0].ns_inode("user")))] {
        let is_it = |row: &&Value| row["ns"] == actors[0].ns_inode("uts") && row[name] == value;
        assert!(all.as_array().unwrap().iter().any(|row| is_it(&row)), "{all:#}");
    }
    let columns = all[0].as_object().unwrap();
    assert!(
        ["path", "netns", "holders", "cgroup", "uniqueid"].iter().all(|name| columns.contains_key(*name)),
        "{all:#}"
    );
    let sorted = |by: &str| -> Vec<u64> {
        let ran = ls(&["--sort", by, "-no", "NS,PID"]);
        ran.text().lines().map(|line| line.split_whitespace().next().unwrap().parse().unwrap()).collect()
    };
    let mut by_pid: Vec<_> = actors.iter().map(|actor| (actor.pid(), actor.ns_inode("uts"))).collect();
    by_pid.sort_unstable();
    assert_eq!(sorted("PID"), by_pid.iter().map(|(_, ino)| *ino).collect::<Vec<_>>());
    let mut by_owner: Vec<_> = actors.iter().map(|actor| (actor.ns_inode("user"), actor.ns_inode("uts"))).collect();
    by_owner.sort_unstable();
    assert_eq!(sorted("ons"), by_owner.iter().map(|(_, ino)| *ino).collect::<Vec<_>>(), "one that is not shown");
    run_lxkns(["ls", "--sort", "size"]).fails(2, "valid columns are NS, ");
    run_lxkns(["ls", "--output-all", "-o", "NS"]).fails(2, "cannot be used with");
}

/// What `ip netns` calls a network namespace is shown to people wherever it is.
fn names_of_netns() {
    alone_through(&["unshare", "--mount", "--propagation", "private"], "cli::ls::names_of_netns", || {
        // What is below is seen by nobody else.
        rustix::mount::mount("none", "/run", c"tmpfs", rustix::mount::MountFlags::empty(), None).unwrap();
        std::fs::create_dir("/run/netns").unwrap();
        let actor = Actor::spawn_in(&["net", "uts"]);
        let (net, uts, pid) = (actor.ns_inode("net"), actor.ns_inode("uts"), actor.pid().to_string());
        let ls = |arguments: &[&str]| run_lxkns([&["ls"], arguments].concat()).ok();
        let without = ls(&[&net.to_string(), &uts.to_string()]);
        assert!(!without.text().contains("NETNS"), "no column without names: {without:?}");
        std::fs::write("/run/netns/lxkns-blue", "").unwrap();
        rustix::mount::mount_bind(format!("/proc/{pid}/ns/net"), "/run/netns/lxkns-blue").unwrap();
        for targets in [&[net.to_string(), uts.to_string()][..], std::slice::from_ref(&pid)] {
            let targets: Vec<_> = targets.iter().map(String::as_str).collect();
            let with = ls(&targets);
            let line = |ino: u64| with.text().lines().find(|line| line.contains(&ino.to_string())).unwrap();
            assert!(with.text().lines().next().unwrap().contains(" NETNS "), "{with:?}");
            assert!(line(net).contains(" lxkns-blue "), "{with:?}");
            assert!(!line(uts).contains("lxkns-blue"), "{with:?}");
            // Programs get the columns that they know.
            assert!(ls(&[&targets[..], &["--json"]].concat()).json()["namespaces"][0].get("netns").is_none());
            assert!(!ls(&[&targets[..], &["-r"]].concat()).text().contains("NETNS"));
        }
        assert_eq!(ls(&["-rno", "NETNS", &net.to_string()]).text(), "lxkns-blue\n");
        let tree = run_lxkns(["tree", "--owned"]).ok();
        let line = tree.text().lines().find(|line| line.contains(&format!("net:[{net}]"))).unwrap();
        assert!(line.contains(&format!("net:[{net}] (lxkns-blue)")), "{line}");
        let tree = run_lxkns(["tree", "--owned", "--json"]).ok().json();
        let row = tree["results"].as_array().unwrap().iter().find(|row| row["nsid"] == net).unwrap();
        assert_eq!(row["netns-name"], "lxkns-blue");
    });
}

fn not_of_this_type() {
    let actor = Actor::spawn_in(&["user", "uts"]);
    run_lxkns(["ls", "-t", "net", &actor.ns_inode("uts").to_string()]).fails(1, "no target has a requested type");
}

fn without_a_process() {
    let directory = directory();
    let path = directory.path().join("ns");
    let (actor, left) = with_bind_mount(&path);
    let columns = "+PATH,HOLDERS,NSFS,UID,NTASKS,PPID,CGROUP";
    let is_undisturbed = |table: &Value| row(table, left).unwrap()["holders"] == "1 bind mount";
    let table = look_until(is_undisturbed, || ls(&["--json", "-o", columns, &left.to_string()]).json());
    let net = row(&table, left).unwrap();
    for nothing in ["pid", "ppid", "command", "cgroup"] {
        assert_eq!(net[nothing], Value::Null, "{nothing}");
    }
    let none = if super::sees_all_members() { 0.into() } else { Value::Null };
    assert_eq!((&net["nprocs"], &net["ntasks"]), (&none, &none));
    assert_eq!(net["nsfs"], path.to_str().unwrap());
    assert_eq!(net["path"], format!("/proc/{}/root{}", actor.pid(), path.display()));
    assert_eq!(net["holders"], "1 bind mount");
    assert_eq!(net["uid"], rustix::process::geteuid().as_raw());
    // For eyes there is a word on what holds it.
    let expected = format!("[bind mount {} in mnt:[{}]]\n", path.display(), actor.ns_inode("mnt"));
    let ran = look_until(|ran: &Ran| ran.text() == expected, || ls(&["-no", "COMMAND", &left.to_string()]));
    assert_eq!(ran.text(), expected);
}
