//! Comparison with lsns(8) of util-linux: what it lists is in `lxkns ls` too, and says the same.
//!
//! Where both differ, they do so by design, and the tests show how:
//!
//! - lsns writes 0 where it saw no process, and the number that it saw where there may be others; here the former is `null`.
//! - lsns writes 0 where there is no parent or owner, or none that it can see; here that is `null`.
//! - lsns takes the process with the lowest PID for PID; here it is the most senior, which matters after PIDs have
//!   wrapped, and not in these tests.
//! - lsns does not list what only threads, descriptors or sockets hold, nor what a process whose first thread has
//!   exited is in; before 2.40 neither what only bind mounts hold, and since then only with `--persistent`.
//! - lsns knows the bind mounts of its own mount namespace alone, and for network namespaces only.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use lxkns_fixture::{Actor, Open, Socket};
use serde_json::Value;

use super::program::{Ran, number, row, run, run_lxkns};
use super::{directory, look_until, own_inode};
use crate::harness::Need::{NamespaceType, Program, UserNamespaces};
use crate::harness::{Need, Test, test};

const COLUMNS: &str = "NS,TYPE,NPROCS,PID,PPID,UID,USER,ONS,PNS,NSFS,COMMAND";
const LSNS: Need = Program("lsns");
const TIME: Need = NamespaceType("time");
const CGROUP: Need = NamespaceType("cgroup");

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("lsns::every_type", &[LSNS, UserNamespaces, TIME, CGROUP], every_type),
        test("lsns::nested", &[LSNS, UserNamespaces], nested),
        test("lsns::bind_mounts", &[LSNS, Program("nsenter"), UserNamespaces], bind_mounts),
        test("lsns::what_only_lxkns_lists", &[LSNS, UserNamespaces], what_only_lxkns_lists),
        test("lsns::zombie_leader", &[LSNS, UserNamespaces], zombie_leader),
        test("lsns::tree_of_owners", &[LSNS, UserNamespaces], tree_of_owners),
        test("lsns::tree_of_parents", &[LSNS, UserNamespaces], tree_of_parents),
        test("lsns::tree_of_processes", &[LSNS, UserNamespaces], tree_of_processes),
        test("lsns::the_whole_host", &[LSNS, UserNamespaces], the_whole_host),
    ]
}

fn lsns() -> Value {
    answer_of(Command::new("lsns").args(["--json", "--list", "--output", COLUMNS]))
}

/// What lsns answers. Where a process of the host ends while it is read, lsns ends too, with 1 and without a word; and names
/// that are no text, as other tests have them, make its JSON none.
#[track_caller]
fn answer_of(lsns: &mut Command) -> Value {
    let lsns = std::cell::RefCell::new(lsns);
    let is_answer = |ran: &Ran| serde_json::from_slice::<Value>(&ran.stdout).is_ok() || !ran.stderr.is_empty();
    let ran = look_until(is_answer, || run(&mut lsns.borrow_mut()));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran.json()
}

fn ours() -> Value {
    run_lxkns(["ls", "--json", "-o", COLUMNS]).ok().json()
}

/// Compares what both say about a namespace.
#[track_caller]
fn compare(lsns: &Value, ours: &Value, ino: u64) {
    let ours = row(ours, ino).unwrap_or_else(|| panic!("lxkns does not list {ino}"));
    let theirs = row(lsns, ino).unwrap_or_else(|| panic!("lsns does not list {ours:#}"));
    for key in ["type", "user", "command"] {
        assert_eq!(ours[key], theirs[key], "{key} of {ino}");
    }
    for key in ["nprocs", "pid", "ppid", "uid"] {
        assert_eq!(ours[key].as_u64(), number(&theirs[key]), "{key} of {ino}");
    }
    for key in ["ons", "pns"] {
        let none_is_null = number(&theirs[key]).filter(|&ino| ino > 0);
        assert_eq!(ours[key].as_u64(), none_is_null, "{key} of {ino}");
    }
}

/// Two processes in one namespace of each type.
fn every_type() {
    let outer = Actor::spawn_in(&["user", "mnt", "cgroup", "uts", "ipc", "pid", "net", "time"]);
    let (first, _second) = (outer.fork(), outer.fork());
    let (lsns, ours) = (lsns(), ours());
    for (name, processes) in
        [("user", 3), ("mnt", 3), ("cgroup", 3), ("uts", 3), ("ipc", 3), ("net", 3), ("pid", 2), ("time", 2)]
    {
        let ino = first.ns_inode(name);
        compare(&lsns, &ours, ino);
        let ours = row(&ours, ino).unwrap();
        assert_eq!(ours["type"], name);
        assert_eq!(ours["nprocs"], processes, "{name}");
    }
}

/// Processes in user and PID namespaces inside others.
fn nested_actors() -> [Actor; 4] {
    let outer = Actor::spawn_in(&["user", "pid"]);
    let middle = outer.fork();
    middle.unshare(&["user", "pid", "uts"]);
    middle.map_root();
    let inner = middle.fork();
    let innermost = inner.fork();
    innermost.unshare(&["user", "net"]);
    [outer, middle, inner, innermost]
}

/// User and PID namespaces inside others.
fn nested() {
    let actors = nested_actors();
    let [_, middle, inner, innermost] = &actors;
    let (lsns, ours) = (lsns(), ours());
    let mut inodes = BTreeSet::new();
    for actor in &actors {
        inodes.extend(["user", "pid", "uts", "net"].map(|name| actor.ns_inode(name)));
    }
    let host: BTreeSet<_> = ["user", "pid", "uts", "net"].map(own_inode).into();
    let made: Vec<_> = inodes.difference(&host).collect();
    assert_eq!(made.len(), 7, "three user, two PID, one UTS and one network namespace");
    for &ino in made {
        compare(&lsns, &ours, ino);
    }
    let parent = |actor: &Actor, name| row(&ours, actor.ns_inode(name)).unwrap()["pns"].clone();
    assert_eq!(parent(innermost, "user"), middle.ns_inode("user"));
    assert_eq!(parent(inner, "pid"), middle.ns_inode("pid"));
    assert_eq!(parent(inner, "uts"), Value::Null, "UTS namespaces have no parents");
}

/// The namespaces of these types that processes are in and that are not this test's own.
fn of_actors(actors: &[Actor], types: &[&str]) -> BTreeSet<u64> {
    let of = |name: &&str| actors.iter().map(|actor| actor.ns_inode(name)).collect::<BTreeSet<_>>();
    let own: BTreeSet<_> = types.iter().map(|name| own_inode(name)).collect();
    types.iter().flat_map(of).filter(|ino| !own.contains(ino)).collect()
}

/// Of each namespace in a tree of lsns the row, and the row that it is below. It is a tree only with the columns NS and
/// COMMAND. `LXKNS_TEST_LSNS` in the environment names another lsns.
fn tree_of_lsns(by: &str) -> BTreeMap<u64, (Value, Option<Value>)> {
    let mut lsns = Command::new(std::env::var_os("LXKNS_TEST_LSNS").unwrap_or_else(|| "lsns".into()));
    let mut answer =
        answer_of(lsns.args(["--json", "--output", "NS,TYPE,PID,PPID,ONS,PNS,COMMAND", &format!("--tree={by}")]));
    let mut rows = BTreeMap::new();
    let mut left = vec![(answer["namespaces"].take(), None)];
    while let Some((mut siblings, above)) = left.pop() {
        for row in siblings.as_array_mut().unwrap() {
            if let Some(below) = row.as_object_mut().unwrap().remove("children") {
                left.push((below, Some(row.clone())));
            }
            rows.insert(number(&row["ns"]).unwrap(), (row.clone(), above.clone()));
        }
    }
    rows
}

/// Of each namespace (`nsid`) or process (`pid`) in a tree of ours the nearest such thing above it.
fn tree_of_ours(arguments: &[&str], key: &str) -> BTreeMap<u64, Option<u64>> {
    let ran = run_lxkns([&["tree", "--json"], arguments].concat()).ok().json();
    let mut above: Vec<Option<u64>> = Vec::new();
    let mut rows = BTreeMap::new();
    for row in ran["results"].as_array().unwrap() {
        let depth = row["depth"].as_u64().unwrap() as usize;
        above.truncate(depth);
        let this = row[key].as_u64();
        if let Some(this) = this {
            rows.insert(this, above.iter().rev().copied().find_map(|above| above));
        }
        above.push(this);
    }
    rows
}

#[track_caller]
fn assert_same_above(actors: &[Actor], types: &[&str], by: &str, arguments: &[&str]) {
    let (theirs, ours) = (tree_of_lsns(by), tree_of_ours(arguments, "nsid"));
    let made = of_actors(actors, types);
    assert!(made.len() > 1);
    for ino in made {
        let (row, above) = theirs.get(&ino).unwrap_or_else(|| panic!("lsns does not list {ino}"));
        let above = above.as_ref().and_then(|above| number(&above["ns"]));
        assert_eq!(ours.get(&ino), Some(&above), "{row}");
        assert!(above.is_some(), "{row}");
    }
}

fn tree_of_owners() {
    let actors = nested_actors();
    assert_same_above(&actors, &["user", "pid", "uts", "net"], "owner", &["--owned"]);
}

/// Those that have parents: for lsns all others are roots.
fn tree_of_parents() {
    let actors = nested_actors();
    assert_same_above(&actors, &["user"], "parent", &["user"]);
    assert_same_above(&actors, &["pid"], "parent", &["pid"]);
}

/// lsns puts a namespace below one whose process is the parent of its own, where there is one to show.
fn tree_of_processes() {
    let actors = nested_actors();
    let (theirs, ours) = (tree_of_lsns("process"), tree_of_ours(&["proc"], "pid"));
    let mut compared = 0;
    for ino in of_actors(&actors, &["user", "pid", "uts", "net"]) {
        let (row, above) = &theirs[&ino];
        if let Some(above) = above {
            assert_eq!(ours.get(&number(&row["pid"]).unwrap()), Some(&number(&above["pid"])), "{row}");
            compared += 1;
        }
    }
    assert!(compared > 1, "{compared}");
}

/// Looked at from the mount namespace where they are, as lsns knows no other.
fn bind_mounts() {
    let directory = directory();
    let actor = Actor::spawn_in(&["user", "mnt", "net"]);
    let paths = ["left", "a b", "kept"].map(|name| directory.path().join(name));
    paths.iter().for_each(|path| actor.touch(path));
    let left = actor.ns_inode("net");
    actor.bind("/proc/self/ns/net", &paths[0]);
    actor.bind("/proc/self/ns/net", &paths[1]);
    actor.unshare(&["net"]);
    let kept = actor.ns_inode("net");
    actor.bind("/proc/self/ns/net", &paths[2]);

    let pid = actor.pid().to_string();
    let inside =
        ["-t", &pid, "--user", "--mount", "--preserve-credentials", "lsns", "--json", "--list", "--output", COLUMNS];
    let (lsns, ours) = (answer_of(Command::new("nsenter").args(inside)), ours());
    let nsfs = |table, ino| row(table, ino).map(|row| row["nsfs"].clone());
    assert_eq!(nsfs(&ours, kept), Some(paths[2].to_str().unwrap().into()));
    assert_eq!(nsfs(&ours, kept), nsfs(&lsns, kept));
    let at = |value: Value| -> BTreeSet<String> { value.as_str().unwrap().lines().map(str::to_owned).collect() };
    let both: BTreeSet<_> = paths[..2].iter().map(|path| path.to_str().unwrap().to_owned()).collect();
    assert_eq!(nsfs(&ours, left).map(at), Some(both.clone()));
    match nsfs(&lsns, left) {
        Some(theirs) => assert_eq!(at(theirs), both),
        None => {
            let nprocs = &row(&ours, left).unwrap()["nprocs"];
            assert!([&0.into(), &Value::Null].contains(&nprocs), "without a process lsns does not list it: {nprocs}");
        }
    }
}

fn what_only_lxkns_lists() {
    let actor = Actor::spawn_in(&["user", "net"]);
    actor.open("/proc/self/ns/net", Open::ReadOnly);
    let by_fd = actor.ns_inode("net");
    actor.unshare(&["net"]);
    actor.socket(Socket::Udp4);
    let by_socket = actor.ns_inode("net");
    actor.unshare(&["net"]);
    let thread = actor.thread();
    thread.unshare(&["net"]);
    let by_thread = thread.ns_inode("net");
    let (lsns, ours) = (lsns(), ours());
    compare(&lsns, &ours, actor.ns_inode("net"));
    for ino in [by_fd, by_socket, by_thread] {
        assert!(row(&lsns, ino).is_none(), "a later lsns may have learned this");
        let ours = row(&ours, ino).unwrap_or_else(|| panic!("lxkns does not list {ino}"));
        assert_eq!(ours["pid"], Value::Null);
        // Whether somebody else's process is in it only those know who see them all.
        assert!([&0.into(), &Value::Null].contains(&&ours["nprocs"]), "{ours}");
        assert_eq!(ours["ons"], actor.ns_inode("user"));
        assert_eq!(ours["uid"], rustix::process::geteuid().as_raw(), "without a process the owner's, never a guess");
    }
}

/// The process lives, in its second thread; lsns looks at the first only.
fn zombie_leader() {
    let actor = Actor::spawn_in(&["user", "uts"]);
    let uts = actor.ns_inode("uts");
    let _thread = actor.thread();
    actor.exit_main_thread();
    let (lsns, ours) = (lsns(), ours());
    assert!(row(&lsns, uts).is_none());
    let ours = row(&ours, uts).unwrap();
    assert_eq!((&ours["nprocs"], &ours["pid"]), (&1.into(), &actor.pid().into()));
}

/// Whatever lsns sees before and after lxkns looks is there in between, and lxkns sees it. The process that lsns names
/// must be the same both times: an inode number is given anew as soon as it is free.
fn the_whole_host() {
    let _actor = Actor::spawn_in(&["user", "net", "uts"]);
    let keys = |table: &Value| -> BTreeSet<(u64, String, u64)> {
        let rows = table["namespaces"].as_array().unwrap().iter();
        rows.map(|row| {
            let ns_type = row["type"].as_str().unwrap().to_owned();
            (number(&row["ns"]).unwrap(), ns_type, number(&row["pid"]).unwrap_or_default())
        })
        .collect()
    };
    let before = keys(&lsns());
    let ours = ours();
    let after = keys(&lsns());
    let there: Vec<_> = before.intersection(&after).filter(|(_, _, pid)| *pid > 0).collect();
    assert!(there.len() >= 8, "at least this test's own, and the fixture's: {there:?}");
    for (ino, ns_type, pid) in there {
        let ours = row(&ours, *ino).unwrap_or_else(|| panic!("{ns_type}:[{ino}] of process {pid} is missing"));
        assert_eq!(ours["type"], ns_type.as_str());
    }
}
