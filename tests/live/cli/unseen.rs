//! Namespaces that live although nothing visible leads to them: none is said to be gone. The kernel is the judge: it opens
//! each by its handle.
//!
//! `KEEPERS` of lxkns-core names the test of each kind of thing that holds a namespace; those that are seen as holders are
//! tested elsewhere.

use std::any::Any;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lxkns_core::model::{KEEPERS, NamespaceType};
use lxkns_fixture::fuse::{DeadFuse, Death};
use lxkns_fixture::{Actor, Open};
use lxkns_sys::{NsHandle, open_namespace_by_handle};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde_json::{Value, json};

use crate::harness::Need::{FileSystem, Kernel, NamespaceType as Type, Root, UserNamespaces};
use crate::harness::{Need, Test, test};
use crate::live::program::run_lxkns;
use crate::live::{directory, look_until};

/// The kernel reader sees some of these.
const BY_PROCFS: &str = "--reader=proc";

const HANDLES: &[Need] = &[Root, Kernel(6, 18)];

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("cli::unseen::in_flight", HANDLES, in_flight),
        test("cli::unseen::io_uring", HANDLES, io_uring),
        test("cli::unseen::proc_net_file", HANDLES, proc_net_file),
        test("cli::unseen::mountinfo_file", HANDLES, mountinfo_file),
        test(
            "cli::unseen::what_belongs_to_a_namespace_without_keeping_it",
            &[Root, Kernel(6, 18), FileSystem("sysfs"), FileSystem("mqueue")],
            what_belongs_to_a_namespace_without_keeping_it,
        ),
        test("cli::unseen::detached_mount", HANDLES, detached_mount),
        test("cli::unseen::unaccepted_connection", HANDLES, unaccepted_connection),
        test("cli::unseen::sysv_segment", HANDLES, sysv_segment),
        test("cli::unseen::credentials_of_a_file", &[Root, Kernel(6, 18), UserNamespaces], credentials_of_a_file),
        test("cli::unseen::pidfd_of_the_dead", HANDLES, pidfd_of_the_dead),
        test("cli::unseen::mounted_fuse", &[Root, Kernel(6, 18), FileSystem("fuse")], mounted_fuse),
        test("cli::unseen::cgroup_file", &[Root, Kernel(6, 18), Type("cgroup"), FileSystem("cgroup2")], cgroup_file),
        test("cli::unseen::the_table", &[], the_table),
    ]
}

/// What holds a namespace, until it is dropped.
type Held = Vec<Box<dyn Any>>;

fn dump_to(directory: &Path, name: &str) -> PathBuf {
    let path = directory.join(name);
    std::fs::write(&path, run_lxkns(["dump", "--no-mounts", BY_PROCFS]).ok().stdout).unwrap();
    path
}

/// A namespace as the kernel knows it.
struct Known {
    ns_type: &'static str,
    ino: u64,
    id: u64,
}

impl Known {
    /// Takes it from a dump in which it is.
    fn of(dump: &Path, ns_type: &'static str, ino: u64) -> Self {
        let dump: Value = serde_json::from_slice(&std::fs::read(dump).unwrap()).unwrap();
        let namespace = &dump["namespaces"][ino.to_string()];
        assert_eq!(namespace["type"], ns_type);
        Self { ns_type, ino, id: namespace["unique-id"].as_u64().unwrap() }
    }

    /// Whether the kernel opens it, which proves that it lives.
    fn opens(&self) -> bool {
        let ns_type = NamespaceType::from_name(self.ns_type.as_bytes()).unwrap().clone_flag();
        open_namespace_by_handle(NsHandle { id: self.id, ns_type, ino: self.ino as u32 }).is_ok()
    }

    /// Whether it still opens when the kernel has had the time to take it down, which it does in the background.
    fn stays_open(&self) -> bool {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.opens() {
            if Instant::now() > deadline {
                return true;
            }
            std::thread::yield_now();
        }
        false
    }

    /// What is said of it by `diff`.
    fn changes(&self, dumps: &[&Path]) -> Vec<String> {
        let arguments = ["diff".as_ref(), "--json".as_ref(), BY_PROCFS.as_ref()]
            .into_iter()
            .chain(dumps.iter().map(|path| path.as_os_str()));
        let ran = run_lxkns(arguments);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let lines = ran.text().lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let own = lines.filter(|line| line["namespace"]["unique-id"] == self.id);
        own.map(|line| line["change"].as_str().unwrap().to_owned()).collect()
    }
}

/// Takes a namespace that an actor is in, has `hide` leave it to what `keeper` says, and checks what is said of it then, and
/// when that is gone. `members` are those of a suspect that must be named, if any can be.
fn lives_unseen(
    keeper: &str,
    ns_type: &'static str,
    ino: u64,
    actor: Actor,
    hide: impl FnOnce(Actor) -> (Held, Option<Value>),
) {
    let keeper = KEEPERS.iter().find(|known| known.name == keeper).unwrap();
    let directory = directory();
    let old = dump_to(directory.path(), "old");
    let known = Known::of(&old, ns_type, ino);
    let (held, suspect) = hide(actor);
    // Whoever looks at namespaces has each open for a moment.
    let target = format!("{ns_type}:{ino}");
    let is_settled = |answer: &(Option<i32>, Value, Vec<String>)| {
        answer.1["results"][0]["holders"]
            .as_array()
            .is_none_or(|holders| holders.iter().all(|holder| holder["kind"] == "kernel"))
    };
    let look = || {
        let ran = run_lxkns(["why", "--json", BY_PROCFS, &target]);
        (ran.code, ran.json(), ran.problems().into_iter().map(str::to_owned).collect::<Vec<_>>())
    };
    let (code, answers, problems) = look_until(is_settled, look);
    let does_open = known.opens();
    let answer = &answers["results"][0];
    assert_eq!((&answer["target"], &answer["keeper-found"]), (&json!(target), &json!(false)), "{answers}");
    let is_listed = code == Some(0);
    if is_listed {
        assert_eq!(answer["holders"], json!([{ "kind": "kernel", "release": [] }]));
    } else {
        assert_eq!((code, &answer["namespace"]), (Some(3), &Value::Null));
        let expected = format!("{target}: not visible from here: it has ended, or is held ");
        let unlisted = "is held only by what the kernel does not list: ";
        let says = |problem: &String| problem.starts_with(&expected) && problem.contains(unlisted);
        assert!(matches!(&problems[..], [problem] if says(problem)), "{problems:?}");
        assert!(problems[0].contains(keeper.name), "{problems:?}");
    }
    if let Some(members) = suspect {
        let has_all = |suspect: &&Value| members.as_object().unwrap().iter().all(|(key, value)| suspect[key] == *value);
        let found = answer["suspects"].as_array().unwrap().iter().find(has_all);
        assert!(found.is_some(), "no {members} among {}", answer["suspects"]);
    }
    let between = known.changes(&[&old, &dump_to(directory.path(), "new")]);
    let since = known.changes(&[&old]);
    let expected = if does_open { "hidden" } else { "vanished" };
    for (changes, expected) in [(&between, "vanished"), (&since, expected)] {
        let told = changes.iter().filter(|change| ["went", "vanished", "hidden", "unseen"].contains(&change.as_str()));
        let told: Vec<_> = told.collect();
        if is_listed {
            assert!(told.is_empty(), "{changes:?}");
        } else {
            assert_eq!(told, [expected], "{changes:?}");
        }
    }
    // The kernel opens what has no users either: then it is to be trusted when it opens something no more.
    let is_proof = does_open && !keeper.listed;
    drop(held);
    assert!(!known.stays_open(), "it ends with {}", keeper.name);
    let is_told =
        |changes: &Vec<String>| changes.iter().any(|change| change == "went" || (!is_proof && change == "vanished"));
    let since = look_until(is_told, || known.changes(&[&old]));
    assert!(is_told(&since), "{since:?}");
}

fn in_flight() {
    let actor = Actor::spawn_in(&["uts"]);
    lives_unseen("a descriptor in flight", "uts", actor.ns_inode("uts"), actor, |actor| {
        let fd = actor.open("/proc/self/ns/uts", Open::ReadOnly);
        let (_, receiver) = actor.send_fd_in_flight(fd);
        actor.close(fd);
        actor.unshare(&["uts"]);
        let suspect = json!({ "kind": "in-flight", "pid": actor.pid(), "fd": receiver });
        (vec![Box::new(actor)], Some(suspect))
    });
}

fn io_uring() {
    let actor = Actor::spawn_in(&["ipc"]);
    lives_unseen("a file of an io_uring", "ipc", actor.ns_inode("ipc"), actor, |actor| {
        let fd = actor.open("/proc/self/ns/ipc", Open::ReadOnly);
        let ring = actor.io_uring_register_files(&[fd]);
        actor.close(fd);
        actor.unshare(&["ipc"]);
        let suspect = json!({ "kind": "io-uring", "pid": actor.pid(), "fd": ring });
        (vec![Box::new(actor)], Some(suspect))
    });
}

fn proc_net_file() {
    let actor = Actor::spawn_in(&["net"]);
    lives_unseen("an open /proc/PID/net file", "net", actor.ns_inode("net"), actor, |actor| {
        let fd = actor.open("/proc/self/net/dev", Open::ReadOnly);
        actor.unshare(&["net"]);
        let suspect = json!({ "kind": "proc-file", "pid": actor.pid(), "fd": fd });
        (vec![Box::new(actor)], Some(suspect))
    });
}

fn mountinfo_file() {
    let actor = Actor::spawn_in(&["mnt"]);
    lives_unseen("an open mountinfo file", "mnt", actor.ns_inode("mnt"), actor, |actor| {
        let fd = actor.open("/proc/self/mountinfo", Open::ReadOnly);
        actor.unshare(&["mnt"]);
        let suspect = json!({ "kind": "proc-file", "pid": actor.pid(), "fd": fd });
        (vec![Box::new(actor)], Some(suspect))
    });
}

/// These belong to a namespace, and do not keep it: with the last process it is gone.
fn what_belongs_to_a_namespace_without_keeping_it() {
    for (fs_type, ns_type) in [("sysfs", "net"), ("mqueue", "ipc")] {
        let directory = directory();
        let path = directory.path().to_owned();
        let actor = Actor::spawn_in(&["mnt", ns_type]);
        let old = dump_to(directory.path(), "old");
        let known = Known::of(&old, ns_type, actor.ns_inode(ns_type));
        actor.mkdir(path.join("mount"));
        actor.mount(fs_type, path.join("mount"));
        actor.unshare(&[ns_type]);
        assert!(!known.stays_open(), "{fs_type}");
        let ran = run_lxkns(["why", "--all", BY_PROCFS, &format!("{ns_type}:{}", known.ino)]);
        assert!(!ran.text().contains(&format!("suspect: {fs_type}")), "{ran:?}");
    }
}

fn detached_mount() {
    let directory = directory();
    let path = directory.path().to_owned();
    let actor = Actor::spawn_in(&["mnt", "uts"]);
    lives_unseen("a detached mount", "uts", actor.ns_inode("uts"), actor, |actor| {
        actor.mount("tmpfs", &path);
        actor.touch(path.join("ns"));
        actor.bind("/proc/self/ns/uts", path.join("ns"));
        actor.open_tree(&path);
        actor.umount(path.join("ns"));
        actor.unshare(&["uts"]);
        (vec![Box::new(actor)], None)
    });
}

fn unaccepted_connection() {
    let directory = directory();
    let path = directory.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let actor = Actor::spawn_in(&["net"]);
    lives_unseen("a connection that was not accepted", "net", actor.ns_inode("net"), actor, |actor| {
        let fd = actor.connect_socket(&path);
        actor.close(fd);
        actor.unshare(&["net"]);
        (vec![Box::new((listener, actor))], None)
    });
}

fn sysv_segment() {
    let actor = Actor::spawn_in(&["ipc"]);
    lives_unseen("an attached SysV segment", "ipc", actor.ns_inode("ipc"), actor, |actor| {
        actor.attach_segment();
        let child = actor.fork();
        actor.unshare(&["ipc"]);
        child.unshare(&["ipc"]);
        let suspect = json!({ "kind": "shared-memory", "pid": child.pid() });
        (vec![Box::new((child, actor))], Some(suspect))
    });
}

fn credentials_of_a_file() {
    let actor = Actor::spawn_in(&["user"]);
    lives_unseen("a file that a process of it opened", "user", actor.ns_inode("user"), actor, |actor| {
        let fd = actor.open("/dev/null", Open::ReadOnly);
        (vec![Box::new(actor.take_fd(fd))], None)
    });
}

fn pidfd_of_the_dead() {
    let actor = Actor::spawn_in(&["pid"]);
    let init = actor.fork();
    let ino = init.ns_inode("pid");
    lives_unseen("a pidfd or procfs file of a process that ended", "pid", ino, actor, |actor| {
        let pidfd = pidfd_open(Pid::from_raw(init.pid() as i32).unwrap(), PidfdFlags::empty()).unwrap();
        let suspect = json!({ "kind": "proc-file", "pid": std::process::id(), "fd": pidfd.as_raw_fd() });
        drop((init, actor));
        (vec![Box::new(pidfd)], Some(suspect))
    });
    // A file of procfs, and a directory.
    for name in ["status", "ns"] {
        let actor = Actor::spawn_in(&["pid"]);
        let init = actor.fork();
        let ino = init.ns_inode("pid");
        lives_unseen("a pidfd or procfs file of a process that ended", "pid", ino, actor, |actor| {
            let file = std::fs::File::open(format!("/proc/{}/{name}", init.pid())).unwrap();
            let suspect = json!({ "kind": "proc-file", "pid": std::process::id(), "fd": file.as_raw_fd() });
            drop((init, actor));
            (vec![Box::new(file)], Some(suspect))
        });
    }
}

fn mounted_fuse() {
    let directory = directory();
    let path = directory.path().to_owned();
    let actor = Actor::spawn_in(&["mnt"]);
    // Its children to come are in that PID namespace too.
    let parent = actor.fork();
    parent.unshare(&["pid"]);
    let init = parent.fork();
    let ino = init.ns_inode("pid");
    lives_unseen("a mounted FUSE", "pid", ino, actor, |actor| {
        let fuse = DeadFuse::mount(&init, &path, Death::Unread);
        let suspect = json!({ "kind": "mount", "fstype": "fuse", "path": path.to_str().unwrap() });
        drop((init, parent));
        (vec![Box::new((fuse, actor))], Some(suspect))
    });
}

fn cgroup_file() {
    let directory = directory();
    let path = directory.path().to_owned();
    let actor = Actor::spawn_in(&["mnt", "cgroup"]);
    lives_unseen("an open file of a control group", "cgroup", actor.ns_inode("cgroup"), actor, |actor| {
        actor.mount("cgroup2", &path);
        let fd = actor.open(path.join("cgroup.procs"), Open::ReadOnly);
        actor.unshare(&["cgroup"]);
        let suspect = json!({ "kind": "proc-file", "pid": actor.pid(), "fd": fd });
        (vec![Box::new(actor)], Some(suspect))
    });
}

/// Each kind of thing that holds a namespace has a test.
fn the_table() {
    let tests = crate::live::tests();
    // These take servers, devices or kernel modules that no test has.
    const UNTESTED: [&str; 6] = [
        "a mounted network file system",
        "a mounted binderfs",
        "a file system mounted by a process of it",
        "a socket of a kernel device",
        "a file that a device file keeps",
        "a BPF iterator",
    ];
    for keeper in KEEPERS.iter().filter(|keeper| !UNTESTED.contains(&keeper.name)) {
        assert!(tests.iter().any(|test| test.name() == keeper.test), "{} has no test {:?}", keeper.name, keeper.test);
    }
}
