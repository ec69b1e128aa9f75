//! `lxkns mounts`: the mounts of a mount namespace, as a tree, a list, or JSON.

use std::collections::BTreeMap;
use std::process::Command;

use lxkns_fixture::Actor;
use lxkns_fixture::fuse::{DeadFuse, Death};
use serde_json::Value;

use crate::harness::Need::{File, FileSystem, Kernel, Program, Root, UserNamespaces};
use crate::harness::{Test, test};
use crate::live::directory;
use crate::live::mounts::random_tree;
use crate::live::program::{number, run, run_lxkns, run_lxkns_with};

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("cli::mounts::same_as_findmnt", &[UserNamespaces, Program("findmnt")], same_as_findmnt),
        test("cli::mounts::tree_and_list", &[UserNamespaces], tree_and_list),
        test("cli::mounts::without_a_process", &[UserNamespaces, Kernel(6, 11)], without_a_process),
        test("cli::mounts::peers", &[UserNamespaces], peers),
        test("cli::mounts::targets", &[UserNamespaces], targets),
        test("cli::mounts::dead_path", &[Root, File("/dev/fuse"), FileSystem("fuse")], dead_path),
        test("cli::mounts::of_a_dump", &[UserNamespaces], of_a_dump),
        test("cli::mounts::hostile_names", &[UserNamespaces], hostile_names),
    ]
}

/// The path that is typed leads over a file system whose server is gone.
fn dead_path() {
    let base = directory();
    let actor = Actor::spawn_in(&["mnt"]);
    let fuse = DeadFuse::mount(&actor, base.path(), Death::Unread);
    fuse.die();
    let path = format!("/proc/{}/root{}/file", actor.pid(), base.path().display());
    run_lxkns(["mounts", &path]).fails(3, "no answer in time");
}

const MS_SHARED: u64 = 1 << 20;
const MS_NOSUID: u64 = 2;

/// The rows of a table in JSON, by mount ID.
#[track_caller]
fn by_id<'a>(rows: &'a Value, id: &str) -> BTreeMap<u64, &'a Value> {
    rows.as_array().unwrap().iter().map(|row| (number(&row[id]).unwrap(), row)).collect()
}

fn same_as_findmnt() {
    let (actor, base) = random_tree(7);
    let path = base.path().join("with options");
    actor.mkdir(&path);
    actor.mount_with("so urce", "tmpfs", &path, MS_NOSUID, "size=64k,mode=700");
    let pid = actor.pid().to_string();
    let columns = "ID,PARENT,TARGET,SOURCE,FSTYPE,VFS-OPTIONS,FS-OPTIONS,MAJ:MIN,FSROOT";
    let theirs = run(Command::new("findmnt").args(["-N", &pid, "-J", "-l", "-o", columns])).json();
    let ours = run_lxkns(["mounts", "--json", &pid]).ok().json();
    let theirs = by_id(&theirs["filesystems"], "id");
    let ours = by_id(&ours["results"][0]["mounts"], "mountid");
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    assert!(ours.len() > 40);
    for (id, theirs) in theirs {
        let ours = ours[&id];
        assert_eq!(number(&ours["parentid"]), number(&theirs["parent"]));
        for (key, column) in [("path", "target"), ("fstype", "fstype"), ("root", "fsroot")] {
            assert_eq!(ours[key], theirs[column], "{column} of {theirs}");
        }
        // findmnt writes what is mounted of it behind the source.
        let source = ours["source"].as_str().unwrap();
        let part = ours["root"].as_str().filter(|&root| root != "/").map(|root| format!("[{root}]"));
        assert_eq!(format!("{source}{}", part.unwrap_or_default()), theirs["source"].as_str().unwrap(), "{theirs}");
        // Some versions write blanks before numbers.
        let number = format!("{}:{}", ours["major"], ours["minor"]);
        assert_eq!(number, theirs["maj:min"].as_str().unwrap().trim());
        let sorted = |mut words: Vec<String>| {
            words.sort();
            words
        };
        let words = |value: &Value| value.as_str().unwrap_or_default().split(',').map(str::to_owned).collect();
        let options: Vec<String> = serde_json::from_value(ours["mountoptions"].clone()).unwrap();
        assert_eq!(sorted(options), sorted(words(&theirs["vfs-options"])), "{theirs}");
        assert_eq!(sorted(words(&ours["superoptions"])), sorted(words(&theirs["fs-options"])), "{theirs}");
    }
    run_lxkns(["mounts", "--json", "-o", "ID", &pid]).fails(2, "--json always writes everything");
}

fn tree_and_list() {
    let base = directory();
    let actor = Actor::spawn_in(&["user", "mnt"]);
    let top = base.path().to_str().unwrap();
    actor.mount_with("first", "tmpfs", top, 0, "");
    let below = format!("{top}/below");
    actor.mkdir(&below);
    actor.mount_with("gone", "tmpfs", &below, 0, "");
    actor.mount_with("second", "tmpfs", top, 0, "");
    let pid = actor.pid().to_string();

    let tree = run_lxkns(["mounts", &pid]).ok();
    assert!(tree.text().starts_with("TARGET "), "{tree:?}");
    let line = |ran: &crate::live::program::Ran, source: &str| {
        let is_it = |line: &&str| line.split_whitespace().any(|word| word == source);
        ran.text().lines().find(is_it).unwrap_or_else(|| panic!("no {source} in {ran:?}")).to_owned()
    };
    assert!(line(&tree, "first").contains(&format!("─(hidden) {top} ")));
    assert!(line(&tree, "gone").contains(&format!("─(hidden) {below} ")));
    assert!(line(&tree, "second").contains(&format!("─{top} ")));

    let list = run_lxkns(["mounts", "--list", "-n", &pid]).ok();
    assert!(line(&list, "second").starts_with(&format!("{top} ")) && !list.text().contains('─'));
    assert_eq!(list.text().lines().count(), tree.text().lines().count() - 1);

    let hidden = run_lxkns(["mounts", "--hidden", "-rno", "TARGET,SOURCE,HIDDEN", &pid]).ok();
    let lines: Vec<_> = hidden.text().lines().collect();
    for expected in [format!("{top} first yes"), format!("{below} gone yes")] {
        assert!(lines.contains(&expected.as_str()), "{lines:?}");
    }
    assert!(lines.iter().all(|line| line.ends_with(" yes")), "{lines:?}");

    run_lxkns(["mounts", "-o", "NS", &pid]).fails(2, "valid columns are TARGET");
}

fn without_a_process() {
    let base = directory();
    let actor = Actor::spawn_in(&["user", "mnt"]);
    actor.mount_with("here", "tmpfs", base.path(), 0, "");
    let ino = actor.ns_inode("mnt");
    let holder = Actor::spawn();
    holder.give_fd(actor.open_ns("mnt"));
    drop(actor);
    let ran = run_lxkns(["mounts", &format!("mnt:{ino}"), "--list", "-o", "TARGET,FSTYPE"]).ok();
    let expected = format!("{} tmpfs", base.path().to_str().unwrap());
    assert!(
        ran.text().lines().any(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") == expected),
        "{ran:?}"
    );
    // And by what holds it, which is a path.
    let fd = std::fs::read_dir(format!("/proc/{}/fd", holder.pid())).unwrap().map(|entry| entry.unwrap().path());
    let is_it = |path: &std::path::PathBuf| {
        std::fs::read_link(path).is_ok_and(|link| link.to_str() == Some(&format!("mnt:[{ino}]")))
    };
    let path = fd.into_iter().find(is_it).unwrap();
    assert_eq!(run_lxkns(["mounts", path.to_str().unwrap(), "--list", "-o", "TARGET,FSTYPE"]).ok().text(), ran.text());
}

fn peers() {
    let base = directory();
    let actor = Actor::spawn_in(&["user", "mnt"]);
    actor.mount("tmpfs", base.path());
    actor.mount_with("none", "", base.path(), MS_SHARED, "");
    let other = actor.fork();
    other.unshare(&["mnt"]);
    let top = base.path().to_str().unwrap();
    let ran = run_lxkns(["mounts", "-rno", "TARGET,PEERS,RECEIVERS", &actor.pid().to_string()]).ok();
    let expected = format!("{top} mnt:{} -", other.ns_inode("mnt"));
    assert!(ran.text().lines().any(|line| line == expected), "{expected}: {ran:?}");

    let json = run_lxkns(["mounts", "-J", &actor.pid().to_string()]).ok().json()["results"][0].take();
    assert_eq!(json["nsid"], actor.ns_inode("mnt"));
    let mount = json["mounts"].as_array().unwrap().iter().find(|row| row["path"] == top).unwrap();
    let group = mount["tags"]["shared"].as_str().unwrap();
    let peers = json["peer-groups"][group]["peers"].as_array().unwrap();
    assert_eq!(peers.len(), 2, "{peers:#?}");
    for actor in [&actor, &other] {
        let is_it = |peer: &&Value| peer["mntns"] == actor.ns_inode("mnt") && peer["path"] == top;
        assert!(peers.iter().any(|peer| is_it(&peer)));
    }
}

fn targets() {
    let actor = Actor::spawn_in(&["user", "mnt"]);
    let (pid, ino) = (actor.pid(), actor.ns_inode("mnt"));
    let expected = run_lxkns(["mounts", &pid.to_string()]).ok();
    for target in [format!("{pid}/mnt"), ino.to_string(), format!("mnt:[{ino}]"), format!("/proc/{pid}/ns/mnt")] {
        assert_eq!(run_lxkns(["mounts", &target]).ok().text(), expected.text(), "{target}");
    }
    assert_eq!(run_lxkns(["mounts", "-J"]).ok().json()["results"][0]["nsid"], crate::live::own_inode("mnt"), "its own");
    run_lxkns(["mounts", "4194304"]).fails(1, "4194304: no such process");
    run_lxkns(["mounts", &format!("{pid}/user")]).fails(1, "not a mount namespace");
    run_lxkns(["mounts", &actor.ns_inode("user").to_string()]).fails(1, "not a mount namespace");
    run_lxkns(["mounts", "1", "2"]).fails(2, "unexpected argument");
}

fn of_a_dump() {
    let (actor, _base) = random_tree(11);
    let pid = actor.pid().to_string();
    let dump = run_lxkns(["dump"]).ok().stdout;
    for arguments in [&["mounts", &pid][..], &["mounts", "--hidden", "-r", &pid], &["mounts", "-J", &pid]] {
        let read = run_lxkns_with(&[arguments, &["--from", "-"]].concat(), &dump).ok();
        let live = run_lxkns(arguments).ok();
        match arguments.contains(&"-J") {
            true => assert_eq!(read.json()["results"], live.json()["results"]),
            false => assert_eq!(read.text(), live.text()),
        }
    }
    let without = run_lxkns(["dump", "--no-mounts"]).ok();
    assert_eq!(without.json()["mounts"], serde_json::json!({}));
    run_lxkns_with(&["mounts", &pid, "--from", "-"], &without.stdout).fails(3, "the dump has no mounts");
}

fn hostile_names() {
    let base = directory();
    let actor = Actor::spawn_in(&["user", "mnt"]);
    actor.mount("tmpfs", base.path());
    let path = base.path().join("\x1b[2J\n x");
    actor.mkdir(&path);
    actor.mount_with("\x1b[31m\n", "tmpfs", &path, 0, "");
    let pid = actor.pid().to_string();
    for arguments in [&["mounts", &pid][..], &["mounts", "--color", "always", "-l", &pid], &["mounts", "-rn", &pid]] {
        let ran = run_lxkns(arguments).ok();
        assert!(!ran.text().contains("\x1b[2J") && !ran.text().contains("\x1b[31m"), "{ran:?}");
        let blank = if arguments.contains(&"-rn") { "\\x20" } else { " " };
        assert!(ran.text().contains(&format!("/\\x1b[2J\\x0a{blank}x ")), "{ran:?}");
    }
}
