//! A process that ends while it is entered.

use lxkns_core::ProcRoot;
use lxkns_core::model::Pid;
use lxkns_enter::{Enter, ErrorKind, Target};
use lxkns_fixture::Actor;

use crate::harness::Need::{Kernel, Program, UserNamespaces};
use crate::harness::{Test, alone_through, test};

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("enter::races::before_it_is_looked_at", &[UserNamespaces], before_it_is_looked_at),
        test("enter::races::before_it_is_entered", &[UserNamespaces, Kernel(5, 8)], before_it_is_entered),
        test("enter::races::number_given_again", &[UserNamespaces, Kernel(5, 8), Program("unshare")], || {
            let through = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"];
            alone_through(&through, "enter::races::number_given_again", number_given_again);
        }),
    ]
}

/// Its number may mean another by then: nothing of what is opened by it is used.
fn before_it_is_looked_at() {
    let proc = ProcRoot::host().unwrap();
    let actor = Actor::spawn_in(&["user", "mnt"]);
    let target = Target::process(&proc, Pid(actor.pid())).unwrap();
    drop(actor);
    let error = Enter::new(&proc, target).command(["true"]).prepare().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Gone, "{error}");
}

fn before_it_is_entered() {
    let proc = ProcRoot::host().unwrap();
    let actor = Actor::spawn_in(&["user", "uts"]);
    let target = Target::process(&proc, Pid(actor.pid())).unwrap();
    let plan = Enter::new(&proc, target).command(["true"]).prepare().unwrap();
    drop(actor);
    let null = std::fs::File::open("/dev/null").unwrap();
    let null = std::os::fd::AsFd::as_fd(&null);
    let error = plan.execute([null; 3]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Gone, "{error}");
}

/// Another process, in other namespaces, that has the number of this one, which ends.
fn replace(actor: Actor) -> Actor {
    let pid = actor.pid();
    drop(actor);
    // Somebody else may be faster: a thread of this program.
    for _ in 0..1000 {
        std::fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).unwrap();
        let other = Actor::spawn();
        if other.pid() == pid {
            other.unshare(&["user", "uts"]);
            other.map_root();
            return other;
        }
    }
    panic!("the number {pid} was not given again");
}

/// In a PID namespace of the test's own, in which numbers can be chosen: the number means another process while it is
/// prepared, and once all is prepared.
fn number_given_again() {
    let proc = ProcRoot::host().unwrap();
    let opened = |actor: &Actor| Target::process(&proc, Pid(actor.pid())).unwrap();
    let actor = Actor::spawn_in(&["user", "uts"]);
    let target = opened(&actor);
    let other = replace(actor);
    let error = Enter::new(&proc, target).command(["true"]).prepare().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Gone, "{error}");
    assert!(error.to_string().contains("another process may have its PID by now"), "{error}");

    let target = opened(&other);
    let plan = Enter::new(&proc, target).command(["cat", "/proc/self/status"]).prepare().unwrap();
    let third = replace(other);
    let null = std::fs::File::open("/dev/null").unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let null = std::os::fd::AsFd::as_fd(&null);
    let error = plan.execute([null, std::os::fd::AsFd::as_fd(&writer), null]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Gone, "{error}");
    drop(writer);
    // Nothing has run, and nothing is left that could.
    assert_eq!(std::io::read_to_string(&mut reader).unwrap(), "");
    // Who has the number now can be entered all the same.
    let plan = Enter::new(&proc, opened(&third)).command(["true"]).prepare().unwrap();
    let spawned = plan.execute([null; 3]).unwrap();
    let pid = rustix::process::Pid::from_raw(spawned.pid.cast_signed());
    let ended = rustix::process::waitpid(pid, rustix::process::WaitOptions::empty()).unwrap().unwrap();
    assert_eq!(ended.1.exit_status(), Some(0));
}
