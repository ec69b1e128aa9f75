//! Helpers end, and leave nothing behind.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use lxkns_fixture::Actor;
use rustix::process::{Pid, Signal};

use super::{LONG, enter, id, is_gone, sandboxes, soon};
use crate::harness::Need::UserNamespaces;
use crate::harness::{Test, alone, test};

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("mountns::lifetime::ends_when_closed", &[UserNamespaces], ends_when_closed),
        test(OWNER, &[UserNamespaces], ends_with_its_owner),
        test("mountns::lifetime::outlives_the_thread_that_asked", &[UserNamespaces], outlives_the_thread),
        test("mountns::lifetime::killed_by_somebody", &[UserNamespaces], killed_by_somebody),
        test(VISITS, &[UserNamespaces], || alone(VISITS, a_thousand_visits)),
    ]
}

const OWNER: &str = "mountns::lifetime::ends_with_its_owner";
const VISITS: &str = "mountns::lifetime::a_thousand_visits";

fn actor() -> Actor {
    let actor = Actor::spawn_in(&["user", "mnt"]);
    actor.mount("tmpfs", "/tmp");
    actor.touch("/tmp/net");
    actor.bind(format!("/proc/{}/ns/net", actor.pid()), "/tmp/net");
    actor
}

fn ends_when_closed() {
    let sandboxes = sandboxes();
    let actor = actor();
    let namespace = enter(&sandboxes, &actor);
    let pid = namespace.helper().unwrap();
    assert!(!is_gone(pid));
    namespace.close();
    soon("the helper's end", || is_gone(pid));
    let namespace = enter(&sandboxes, &actor);
    let pid = namespace.helper().unwrap();
    drop((sandboxes, namespace));
    soon("the helper's end", || is_gone(pid));
}

/// The owner is killed, and can do nothing about it. It is this program once more.
fn ends_with_its_owner() {
    const IS_OWNER: &str = "LXKNS_TEST_OWNER";
    if std::env::var_os(IS_OWNER).is_some() {
        let namespace = enter(&sandboxes(), &actor());
        println!("helper {}", namespace.helper().unwrap());
        loop {
            std::thread::park();
        }
    }
    let program = std::env::current_exe().unwrap();
    let arguments = ["--exact", OWNER, "--test-threads", "1"];
    let mut owner = Command::new(program).args(arguments).env(IS_OWNER, "1").stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(owner.stdout.take().unwrap()).lines().map(Result::unwrap);
    let pid = lines.filter_map(|line| line.split("helper ").nth(1)?.parse().ok()).next().expect("it has a helper");
    assert!(!is_gone(pid));
    owner.kill().unwrap();
    owner.wait().unwrap();
    // It is somebody else's zombie until that one sees to it, so that it is its state that counts.
    soon("the helper's end", || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(") ").next().is_none_or(|rest| rest.is_empty() || rest.starts_with(['Z', 'X']))
    });
}

fn outlives_the_thread() {
    let sandboxes = sandboxes();
    let actor = actor();
    let namespace = std::thread::scope(|scope| scope.spawn(|| enter(&sandboxes, &actor)).join().unwrap());
    let pid = namespace.helper().unwrap();
    assert!(namespace.open_namespace(b"/tmp/net", Some(id(&actor, "net")), LONG).is_ok());
    assert_eq!(namespace.helper(), Some(pid));
}

/// That costs one answer; the next is given by another helper.
fn killed_by_somebody() {
    let sandboxes = sandboxes();
    let actor = actor();
    let namespace = enter(&sandboxes, &actor);
    let pid = namespace.helper().unwrap();
    rustix::process::kill_process(Pid::from_raw(pid as i32).unwrap(), Signal::KILL).unwrap();
    soon("the helper's end", || is_gone(pid));
    let error = namespace.open_path(b"/tmp", LONG).unwrap_err();
    assert_eq!(error.kind(), lxkns_mountns::ErrorKind::Helper, "{error}");
    assert!(namespace.open_path(b"/tmp", LONG).is_ok());
    assert_ne!(namespace.helper(), Some(pid));
}

/// What this process has: descriptors, threads, children, and KiB of memory.
fn possessions() -> [usize; 4] {
    let count = |path: &str| std::fs::read_dir(path).unwrap().count();
    let own = std::process::id();
    let children: usize = std::fs::read_dir("/proc/self/task")
        .unwrap()
        .filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("children")).ok())
        .map(|children| children.split_whitespace().count())
        .sum();
    let status = std::fs::read_to_string(format!("/proc/{own}/status")).unwrap();
    let memory = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    let memory = memory.trim().trim_end_matches(" kB").parse().unwrap();
    [count("/proc/self/fd"), count("/proc/self/task"), children, memory]
}

fn a_thousand_visits() {
    let sandboxes = sandboxes();
    let actor = actor();
    let net = id(&actor, "net");
    let visit = || {
        let namespace = enter(&sandboxes, &actor);
        assert!(!namespace.mountinfo().unwrap().is_empty());
        assert!(namespace.open_namespace(b"/tmp/net", Some(net), LONG).is_ok());
        assert!(namespace.open_path(b"/tmp/none", LONG).is_err());
    };
    let settled = || {
        soon("the last helper's end", || sandboxes.helpers().is_empty());
        possessions()
    };
    (0..20).for_each(|_| visit());
    let [fds, threads, children, memory] = settled();
    (0..1000).for_each(|_| visit());
    let after = settled();
    assert_eq!(after[..3], [fds, threads, children]);
    assert!(after[3] <= memory + 512, "{memory} KiB before, {} KiB after", after[3]);
}
