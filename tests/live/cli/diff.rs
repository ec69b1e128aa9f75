//! `lxkns diff`: what differs between two dumps, or since one.

use std::path::{Path, PathBuf};

use lxkns_fixture::{Actor, Open};
use serde_json::Value;

use super::{assert_documented, unprivileged};
use crate::harness::Need::{Kernel, Program, Root, UserNamespaces};
use crate::harness::{Test, test};
use crate::live::program::{Ran, assert_fits, run, run_lxkns, run_lxkns_with};
use crate::live::{directory, own_inode};

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("cli::diff::between_dumps_and_since_one", &[UserNamespaces], between_dumps_and_since_one),
        test("cli::diff::a_reused_inode", &[UserNamespaces, Kernel(6, 18)], a_reused_inode),
        test("cli::diff::a_dump_of_somebody_who_sees_less", &[Root, Program("setpriv")], a_blind_dump),
        test("cli::diff::of_dumps_that_do_not_fit", &[], of_dumps_that_do_not_fit),
        test("cli::diff::says_what_it_compares", &[UserNamespaces], says_what_it_compares),
        test("cli::diff::exit_code", &[UserNamespaces], exit_code),
        test("cli::diff::of_another_program", &[UserNamespaces], of_another_program),
        test("cli::diff::the_reader_is_not_seen", &[], the_reader_is_not_seen),
    ]
}

fn dump_to(directory: &Path, name: &str) -> PathBuf {
    let path = directory.join(name);
    std::fs::write(&path, run_lxkns(["dump", "--no-mounts"]).ok().stdout).unwrap();
    path
}

fn diff(arguments: &[&str]) -> Ran {
    let ran = run_lxkns([&["diff"], arguments].concat());
    // Others come and go meanwhile, some of which may not be readable on one side.
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran
}

/// What is told of a namespace, in the order in which it is.
fn of(ran: &Ran, ino: u64) -> Vec<Value> {
    let lines = ran.text().lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["namespace"]["nsid"] == ino).collect()
}

/// Whether this tells of an end, as far as the kernel lets one know it.
fn is_end(line: &Value) -> bool {
    line["change"] == "went" || line["change"] == "vanished"
}

fn kinds(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["change"].as_str().unwrap()).collect()
}

fn between_dumps_and_since_one() {
    let directory = directory();
    let actor = Actor::spawn_in(&["user", "uts"]);
    let child = actor.fork();
    let other = Actor::spawn_in(&["user", "ipc"]);
    let (left, gone) = (actor.ns_inode("uts"), other.ns_inode("ipc"));
    let old = dump_to(directory.path(), "old");
    let old = old.to_str().unwrap();
    let same = run_lxkns(["diff", old, old]).ok();
    assert_eq!((same.text().lines().count(), same.stderr.as_str()), (1, ""));
    assert!(same.text().starts_with("no changes on "), "{same:?}");
    run_lxkns(["diff", "--exit-code", old, old]).ok();
    assert_eq!(run_lxkns(["diff", "--json", old, old]).ok().text(), "");

    let fd = actor.open("/proc/self/ns/uts", Open::ReadOnly);
    child.unshare(&["uts"]);
    actor.unshare(&["uts"]);
    drop(other);
    let [of_actor, of_child] = [&actor, &child].map(|actor| actor.ns_inode("uts"));
    let new = dump_to(directory.path(), "new");
    let new = new.to_str().unwrap();
    let input = std::fs::read(old).unwrap();
    for ran in
        [diff(&["--json", old, new]), diff(&["--json", old]), run_lxkns_with(&["diff", "--json", "-", new], &input)]
    {
        for line in of(&ran, left).iter().chain(&of(&ran, gone)).chain(&of(&ran, of_child)) {
            assert_documented(line);
            assert_fits("diff", line);
            assert_eq!(line.get("time"), None);
        }
        // Another test may have been given its number.
        let went = |line: &Value| is_end(line) && line["namespace"]["type"] == "ipc";
        assert!(of(&ran, gone).iter().any(went), "{ran:?}");
        let lines = of(&ran, left);
        let last = &lines[0];
        assert_eq!(last["change"], "last-task-left", "{lines:?}");
        let is_actors = |holder: &Value| holder["kind"] == "fd" && holder["pid"] == actor.pid() && holder["fd"] == fd;
        assert!(last["holders"].as_array().unwrap().iter().any(is_actors), "{last}");
        let moved = |pid: u32, to: u64| {
            lines.iter().any(|l| l["change"] == "process-left" && l["process"]["pid"] == pid && l["to"] == to)
        };
        assert!(moved(actor.pid(), of_actor) && moved(child.pid(), of_child), "{lines:?}");
        let came = |line: &Value| line["change"] == "holder-came" && is_actors(&line["holder"]);
        assert!(lines.iter().any(came), "{lines:?}");
        let mut lines = of(&ran, of_child);
        // Its number can have been another's before.
        lines.retain(|line| !is_end(line));
        assert_eq!(kinds(&lines), ["appeared", "process-entered"]);
        assert_eq!((&lines[1]["process"]["pid"], &lines[1]["from"]), (&child.pid().into(), &left.into()));
    }
    let ran = diff(&[old, new]);
    let text = ran.text();
    let is_told = |text: &str, name: String| {
        text.contains(&format!("- {name} gone; was held by "))
            || text.contains(&format!("? {name} no longer visible; was held by "))
    };
    assert!(is_told(text, format!("ipc:[{gone}]")), "{text}");
    assert!(text.contains(&format!("+ uts:[{of_child}] appeared, held by ")), "{text}");
    let seen = if super::sees_all_members() { "" } else { " that can be seen" };
    let left_by_all = format!("~ uts:[{left}]\n  - no process or task{seen} is in it any more: held by ");
    assert!(text.contains(&left_by_all), "{text}");
    assert!(text.contains(&format!("  + fd {fd} of process {} (", actor.pid())), "{text}");
    // Backwards.
    let ran = diff(&["-t", "uts,ipc", new, old]);
    let text = ran.text();
    assert!(text.contains(&format!("+ ipc:[{gone}] appeared, held by ")), "{text}");
    assert!(is_told(text, format!("uts:[{of_child}]")), "{text}");
    let ran = diff(&["-t", "ipc", old, new]);
    assert!(!ran.text().contains("uts:[") && ran.text().contains(&gone.to_string()), "{ran:?}");
}

fn a_reused_inode() {
    const TRIES: usize = 100;
    let directory = directory();
    let dump_and_reuse = || {
        let actor = Actor::spawn_in(&["user", "uts"]);
        let ino = actor.ns_inode("uts");
        let old = dump_to(directory.path(), "old");
        actor.unshare(&["uts"]);
        // The kernel gives the lowest number that is free: with those below it taken, it is the next, unless somebody else
        // is faster.
        for _ in 0..TRIES {
            if actor.ns_inode("uts") == ino {
                return Some((actor, ino, old));
            }
            actor.open("/proc/self/ns/uts", Open::ReadOnly);
            actor.unshare(&["uts"]);
        }
        None
    };
    let (_actor, ino, old) = (0..TRIES).find_map(|_| dump_and_reuse()).expect("a number is given again");
    let ran = diff(&["--json", old.to_str().unwrap()]);
    let lines = of(&ran, ino);
    assert_eq!(kinds(&lines), ["went", "process-left", "appeared", "process-entered"]);
    let unique_id = |line: &Value| line["namespace"]["unique-id"].as_u64().unwrap();
    // Each processor has its own range of them: the later is not always the higher.
    assert_ne!(unique_id(&lines[0]), unique_id(&lines[2]), "{lines:?}");
}

fn a_blind_dump() {
    let directory = directory();
    let actor = Actor::spawn_in(&["uts"]);
    let ino = actor.ns_inode("uts");
    let seeing = dump_to(directory.path(), "seeing");
    let blind = directory.path().join("blind");
    let ran = run(unprivileged(directory.path()).args(["dump", "--no-mounts"])).ok();
    std::fs::write(&blind, &ran.stdout).unwrap();
    let [seeing, blind] = [&seeing, &blind].map(|path| path.to_str().unwrap());
    let ran = diff(&["--json", seeing, blind]);
    assert_eq!(kinds(&of(&ran, ino)), ["unseen"]);
    assert!(ran.problems().iter().any(|line| line.starts_with("NEW saw less in these places: processes")), "{ran:?}");
    let ran = diff(&["--json", blind, seeing]);
    assert_eq!(kinds(&of(&ran, ino)), ["seen"]);
    assert!(ran.problems().iter().any(|line| line.starts_with("OLD saw less in these places: processes")), "{ran:?}");
}

fn of_dumps_that_do_not_fit() {
    let directory = directory();
    let old = dump_to(directory.path(), "old");
    let mut other: Value = serde_json::from_slice(&std::fs::read(&old).unwrap()).unwrap();
    other["discovery-options"]["snapshot"]["boot-id"] = "of another boot".into();
    let old = old.to_str().unwrap();
    run_lxkns_with(&["diff", old, "-"], other.to_string().as_bytes()).fails(2, "of different boots or hosts");
    run_lxkns(["diff", "-", "-"]).fails(2, "cannot both be standard input");
    run_lxkns(["diff"]).fails(2, "<OLD>");
    run_lxkns_with(&["diff", old, "-"], b"{}").fails(3, "not a dump");
    run_lxkns(["diff", old, "/no/where"]).fails(3, "/no/where");
    run_lxkns(["diff", "-t", "nets", old]).fails(2, "nets");
}

/// The first line names host, kernel and times, as the kernel and the dumps have them.
fn says_what_it_compares() {
    let directory = directory();
    let old = dump_to(directory.path(), "old");
    let dump: Value = serde_json::from_slice(&std::fs::read(&old).unwrap()).unwrap();
    let taken_at = dump["discovery-options"]["snapshot"]["taken-at"].as_str().unwrap();
    let uname = rustix::system::uname();
    let [node, release] = [uname.nodename(), uname.release()].map(|name| name.to_str().unwrap());
    let old = old.to_str().unwrap();
    let start = format!("on {node} (Linux {release}), from {}Z to ", taken_at.split('.').next().unwrap());
    for arguments in [&[old][..], &[old, old]] {
        let ran = diff(arguments);
        let line = ran.text().lines().next().unwrap();
        let rest = line.strip_prefix("no ").unwrap_or(line).strip_prefix("changes ").unwrap();
        assert!(rest.starts_with(&start) && rest.ends_with('Z'), "{line:?}: {start:?}");
    }
    let mut stable = dump.clone();
    stable["discovery-options"]["snapshot"].as_object_mut().unwrap().remove("taken-at");
    stable["discovery-options"]["snapshot"]["hostname"] = "other\u{1b}[2J".into();
    let ran = run_lxkns_with(&["diff", old, "-"], stable.to_string().as_bytes()).ok();
    let expected = format!("to other\\x1b[2J (Linux {release}) at an unknown time");
    assert!(ran.text().lines().next().unwrap().ends_with(&expected), "{ran:?}");
}

/// As `diff(1)` has it, but for the number, which here means "there are some".
fn exit_code() {
    let directory = directory();
    let actor = Actor::spawn_in(&["user", "uts"]);
    let old = dump_to(directory.path(), "old");
    let before = actor.ns_inode("uts");
    actor.unshare(&["uts"]);
    let new = dump_to(directory.path(), "new");
    let [old, new] = [&old, &new].map(|path| path.to_str().unwrap());
    for arguments in [&[old, new][..], &["--json", old, new], &[old]] {
        let ran = run_lxkns([&["diff", "--exit-code", "-t", "uts"], arguments].concat());
        assert_eq!(ran.code, Some(4), "{ran:?}");
        assert!(ran.text().contains(&before.to_string()), "{ran:?}");
        assert_eq!(run_lxkns([&["diff", "-t", "uts"], arguments].concat()).code, Some(0));
    }
    for arguments in [&[old, old][..], &["--json", new, new]] {
        run_lxkns([&["diff", "--exit-code"], arguments].concat()).ok();
    }
    run_lxkns(["diff", "--exit-code", old, "/no/where"]).fails(3, "/no/where");
}

/// A dump that says no more than those of the Go lxkns.
fn of_another_program() {
    let directory = directory();
    let actor = Actor::spawn_in(&["user", "uts"]);
    let [left, stays] = ["uts", "user"].map(|name| actor.ns_inode(name));
    let old = dump_to(directory.path(), "old");
    let mut theirs: Value = serde_json::from_slice(&std::fs::read(old).unwrap()).unwrap();
    theirs["discovery-options"].as_object_mut().unwrap().remove("snapshot");
    for namespace in theirs["namespaces"].as_object_mut().unwrap().values_mut() {
        for ours in ["holders", "unique-id"] {
            namespace.as_object_mut().unwrap().remove(ours);
        }
    }
    actor.unshare(&["uts"]);
    let ran = run_lxkns_with(
        &["diff", "--json", "-", dump_to(directory.path(), "new").to_str().unwrap()],
        theirs.to_string().as_bytes(),
    );
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.problems().iter().any(|line| line.contains("does not name its boot")), "{ran:?}");
    let of_left = of(&ran, left);
    assert!(is_end(&of_left[0]) && kinds(&of_left)[1] == "process-left", "{ran:?}");
    assert_eq!(of(&ran, stays), Vec::<Value>::new());
}

/// A dump has none of the descriptors with which it was taken.
fn the_reader_is_not_seen() {
    // A second as nobody else writes it.
    const MARK: &str = "1.000000123";
    let ran = run_lxkns(["why", "--json", "--all", "--timeout", MARK, &format!("user:{}", own_inode("user"))]).ok();
    let answers = ran.results();
    let holders = answers[0]["holders"].as_array().unwrap();
    let is_own = |holder: &&Value| {
        holder["kind"] == "fd" && holder["command"].as_str().is_some_and(|command| command.contains(MARK))
    };
    assert_eq!(holders.iter().find(is_own), None);
}
