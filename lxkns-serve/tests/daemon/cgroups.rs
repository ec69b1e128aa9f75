//! The daemon where a container's mounts and control group namespace hide the host's control groups.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use lxkns_fixture::{Actor, probe};

use super::{Daemon, test};

pub(crate) fn tests() -> Vec<Trial> {
    let tests = [
        test("cgroups::all_of_the_host_is_seen_from_a_container", container),
        test("cgroups::a_container_is_found_by_its_bare_name", named),
    ];
    tests.into_iter().map(|test| test.with_ignored_flag(!probe::is_root())).collect()
}

/// A hierarchy that can freeze: where it is mounted, and how it is mounted elsewhere.
struct Hierarchy {
    at: PathBuf,
    mount: (&'static str, &'static str),
    file: &'static str,
    words: [&'static str; 2],
}

impl Hierarchy {
    fn of_this_host() -> Self {
        let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let find = |fs_type: &str, option: &str| {
            mountinfo.lines().find_map(|line| {
                let (before, after) = line.split_once(" - ")?;
                let mut after = after.split(' ');
                let is_it = after.next() == Some(fs_type)
                    && (option.is_empty() || after.nth(1)?.split(',').any(|one| one == option));
                is_it.then(|| PathBuf::from(before.split(' ').nth(4).unwrap()))
            })
        };
        match find("cgroup", "freezer") {
            Some(at) => Self { at, mount: ("cgroup", "freezer"), file: "freezer.state", words: ["FROZEN", "THAWED"] },
            None => Self {
                at: find("cgroup2", "").expect("control groups are mounted"),
                mount: ("cgroup2", ""),
                file: "cgroup.freeze",
                words: ["1", "0"],
            },
        }
    }
}

/// A control group, which goes when what is in it has ended.
struct Group<'a> {
    path: PathBuf,
    hierarchy: &'a Hierarchy,
}

impl<'a> Group<'a> {
    fn new(hierarchy: &'a Hierarchy, name: &str) -> Self {
        Self::called(hierarchy, &format!("lxkns-test-{}-{name}", std::process::id()))
    }

    fn called(hierarchy: &'a Hierarchy, name: &str) -> Self {
        let path = hierarchy.at.join(name);
        fs::create_dir(&path).unwrap();
        Self { path, hierarchy }
    }

    fn add(&self, pid: u32) {
        fs::write(self.path.join("cgroup.procs"), pid.to_string()).unwrap();
    }

    fn freeze(&self) {
        fs::write(self.path.join(self.hierarchy.file), self.hierarchy.words[0]).unwrap();
        let (file, word) = match self.hierarchy.file {
            "cgroup.freeze" => ("cgroup.events", "frozen 1"),
            file => (file, "FROZEN"),
        };
        while !fs::read_to_string(self.path.join(file)).unwrap().contains(word) {
            std::thread::yield_now();
        }
    }

    fn name(&self) -> &str {
        self.path.file_name().and_then(std::ffi::OsStr::to_str).unwrap()
    }
}

impl Drop for Group<'_> {
    fn drop(&mut self) {
        let _ = fs::write(self.path.join(self.hierarchy.file), self.hierarchy.words[1]);
        let kill = |pids: String| {
            for pid in pids.split_whitespace() {
                let _ = Command::new("kill").args(["-KILL", pid]).stderr(Stdio::null()).status();
            }
        };
        let _ = fs::read_to_string(self.path.join("cgroup.procs")).map(kill);
        let until = Instant::now() + Duration::from_secs(20);
        while fs::remove_dir(&self.path).is_err() && Instant::now() < until {
            std::thread::yield_now();
        }
    }
}

fn container() {
    const ROOT: &str = "/sys/fs/cgroup";
    let hierarchy = Hierarchy::of_this_host();
    let (own, other) = (Group::new(&hierarchy, "container"), Group::new(&hierarchy, "frozen"));
    let frozen = Actor::spawn();
    other.add(frozen.pid());
    let container = Actor::spawn();
    own.add(container.pid());
    container.unshare(&["cgroup", "mnt"]);
    container.make_mounts_private();
    container.umount_lazily(ROOT);
    let (fs_type, option) = hierarchy.mount;
    container.mount_with("none", fs_type, ROOT, 0, option);
    let seen = format!("/proc/{}/root{ROOT}/{}", container.pid(), other.name());
    assert!(!Path::new(&seen).exists(), "the container sees its own part alone");
    other.freeze();

    let daemon = Daemon::start_with(&[], |command| {
        let mut enter = Command::new("nsenter");
        enter.arg(format!("--target={}", container.pid())).args(["--mount", "--cgroup", "--"]);
        enter.arg(command.get_program()).args(command.get_args());
        enter.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        *command = enter;
    });
    let namespace = |pid: u32| fs::metadata(format!("/proc/{pid}/ns/cgroup")).unwrap().ino();
    assert_eq!(namespace(daemon.pid()), namespace(container.pid()));
    assert_eq!(namespace(daemon.process("reader").unwrap()), namespace(std::process::id()), "the reader has returned");
    let shown = daemon.json(&format!("/api/v1/processes/{}", frozen.pid())).to_string();
    assert!(shown.contains("\"frozen\":true"), "{shown}");
    assert!(shown.contains(&format!("\"/{}\"", other.name())), "the whole path: {shown}");
    assert!(!shown.contains("/.."), "{shown}");
}

fn named() {
    let hierarchy = Hierarchy::of_this_host();
    let name = format!("lxkns-test-{}", std::process::id());
    let group = Group::called(&hierarchy, &format!("lxc.payload.{name}"));
    let container = Actor::spawn_in(&["net"]);
    group.add(container.pid());
    let daemon = Daemon::start(&[]);
    let shown = daemon.json(&format!("/api/v1/containers/{name}"));
    assert_eq!(shown["results"][0]["name"], name.as_str(), "{shown}");
    let net = container.ns_inode("net").to_string();
    for target in [format!("why?target={name}/net"), format!("show?target={name}"), format!("processes/{name}")] {
        let shown = daemon.json(&format!("/api/v1/{target}")).to_string();
        assert!(shown.contains(&net), "{target}: {shown}");
    }
}
