//! Control groups.

use std::fs;
use std::path::{Path, PathBuf};

use lxkns_fixture::Actor;

use super::enter;
use crate::harness::Need::{File, FileSystem, Root};
use crate::harness::{Test, test};

/// Where hosts with hierarchies of both versions have them.
pub(super) const MEMORY: &str = "/sys/fs/cgroup/memory";
pub(super) const FREEZER: &str = "/sys/fs/cgroup/freezer";

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("enter::limits::joined", &[Root, FileSystem("cgroup2")], joined),
        test("enter::limits::out_of_memory", &[Root, FileSystem("cgroup2")], out_of_memory),
        test("enter::limits::frozen", &[Root, FileSystem("cgroup2")], frozen),
        test("enter::limits::frozen_in_version_1", &[Root, File(FREEZER)], frozen_in_version_1),
    ]
}

/// Where the hierarchy of version 2 is: on many hosts there is no other.
pub(super) fn unified() -> &'static str {
    let beside = "/sys/fs/cgroup/unified";
    if Path::new(beside).exists() { beside } else { "/sys/fs/cgroup" }
}

/// A control group that goes with the test.
pub(super) struct Group(PathBuf);

impl Group {
    pub(super) fn new(hierarchy: &str, name: &str) -> Self {
        let path = Path::new(hierarchy).join(format!("lxkns-test-{name}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(super) fn set(&self, file: &str, value: impl AsRef<[u8]>) {
        fs::write(self.0.join(file), value).unwrap();
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    fn name(&self) -> String {
        self.0.file_name().unwrap().to_str().unwrap().to_owned()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // What was in it may only just have ended.
        for _ in 0..10_000 {
            if fs::remove_dir(&self.0).is_ok() {
                break;
            }
            std::thread::yield_now();
        }
    }
}

fn joined() {
    let hierarchies = [MEMORY, unified()].into_iter().filter(|path| Path::new(path).exists());
    let groups: Vec<_> = hierarchies.map(|path| Group::new(path, "joined")).collect();
    let outer = Actor::spawn_in(&["mnt", "pid", "cgroup"]);
    let actor = outer.fork();
    groups.iter().for_each(|group| group.set("cgroup.procs", actor.pid().to_string()));
    let path = fs::read_to_string(format!("/proc/{}/cgroup", actor.pid())).unwrap();
    // The namespaces hide the rest of the path from the command.
    let has = |text: &str| text.lines().filter(|line| line.ends_with(&groups[0].name())).count();
    assert_eq!(has(&path), groups.len(), "{path}");
    for options in [&[][..], &["--only", "mnt"]] {
        let ran = enter(actor.pid(), options, &["cat", "/proc/self/cgroup"]).ok();
        assert_eq!(has(ran.text()), groups.len(), "{ran:?}");
    }
    let ran = enter(actor.pid(), &["--no-cgroup"], &["cat", "/proc/self/cgroup"]);
    assert_eq!((ran.code, has(ran.text())), (Some(0), 0), "{ran:?}");
    assert!(matches!(ran.problems()[..], [note] if note.contains("control groups are not joined")), "{ran:?}");
}

fn out_of_memory() {
    let group = if Path::new(MEMORY).exists() {
        let group = Group::new(MEMORY, "memory");
        group.set("memory.limit_in_bytes", "16M");
        group
    } else {
        fs::write(Path::new(unified()).join("cgroup.subtree_control"), "+memory").unwrap();
        let group = Group::new(unified(), "memory");
        group.set("memory.max", "16M");
        group
    };
    let outer = Actor::spawn_in(&["mnt", "pid"]);
    let actor = outer.fork();
    group.set("cgroup.procs", actor.pid().to_string());
    // It keeps the last line, and there is no other.
    let ran = enter(actor.pid(), &[], &["tail", "/dev/zero"]);
    assert_eq!(ran.code, Some(128 + 9), "{ran:?}");
    assert_eq!(enter(actor.pid(), &[], &["true"]).ok().code, Some(0));
}

fn frozen() {
    let group = Group::new(unified(), "frozen");
    let actor = Actor::spawn_in(&["mnt"]);
    group.set("cgroup.procs", actor.pid().to_string());
    group.set("cgroup.freeze", "1");
    enter(actor.pid(), &[], &["true"]).fails(125, "frozen");
    group.set("cgroup.freeze", "0");
    enter(actor.pid(), &[], &["true"]).ok();
}

fn frozen_in_version_1() {
    let group = Group::new(FREEZER, "frozen");
    let actor = Actor::spawn_in(&["mnt"]);
    group.set("cgroup.procs", actor.pid().to_string());
    group.set("freezer.state", "FROZEN");
    let ran = enter(actor.pid(), &[], &["true"]);
    group.set("freezer.state", "THAWED");
    ran.fails(125, "frozen");
    enter(actor.pid(), &[], &["true"]).ok();
}
