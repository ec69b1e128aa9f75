//! What cannot be seen is said.

use lxkns_core::model::{Cause, Object, Pid, Place};
use lxkns_fixture::Actor;

use super::{discover_everything, namespace};
use crate::harness::Need::{Kernel, Root, Unprivileged, UserNamespaces};
use crate::harness::{Test, test};

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("gaps::of_an_ordinary_user", &[Unprivileged, UserNamespaces], of_an_ordinary_user),
        test("gaps::of_root", &[Root, Kernel(6, 12)], of_root),
        test("gaps::none_for_what_is_gone", &[UserNamespaces], none_for_what_is_gone),
    ]
}

fn of_an_ordinary_user() {
    let actor = Actor::spawn_in(&["user", "net"]);
    let snapshot = discover_everything();
    // What is one's own is all there.
    let own = namespace(&snapshot, actor.ns_inode("net"));
    assert_eq!(own.leaders, [Pid(actor.pid())]);
    // Of what is somebody else's it is known that it is there, and said that no more is.
    let init = &snapshot.processes[&Pid(1)];
    assert!(init.namespaces.is_empty());
    let of_init = |place| {
        snapshot
            .gaps
            .iter()
            .any(|gap| gap.place == place && gap.object == Object::Process(Pid(1)) && gap.cause == Cause::Denied)
    };
    assert!(of_init(Place::Processes), "{:?}", snapshot.gaps);
    assert!(of_init(Place::Fds), "{:?}", snapshot.gaps);
    let of_kernel = |gap: &&lxkns_core::model::Gap| gap.place == Place::Kernel && gap.object == Object::Host;
    assert!(snapshot.gaps.iter().any(|gap| of_kernel(&gap)), "{:?}", snapshot.gaps);
    // One gap for each thing, not one for each way in which it was tried.
    let mut distinct = snapshot.gaps.clone();
    distinct.dedup();
    assert_eq!(distinct.len(), snapshot.gaps.len());
}

fn of_root() {
    let actor = Actor::spawn_in(&["user", "mnt", "uts", "ipc", "net", "cgroup"]);
    let thread = actor.thread_sharing_nothing();
    actor.unshare(&["pid"]);
    let child = actor.fork();
    child.set_undumpable();
    let snapshot = discover_everything();
    let ours = [actor.pid(), child.pid()].map(Pid);
    let about_ours = |object: &Object| match *object {
        Object::Process(pid) | Object::Task(pid, _) | Object::Fd(pid, ..) => ours.contains(&pid),
        Object::Namespace(id) => snapshot.namespaces[&id].leaders.iter().any(|pid| ours.contains(pid)),
        _ => false,
    };
    let gaps: Vec<_> = snapshot.gaps.iter().filter(|gap| about_ours(&gap.object)).collect();
    assert!(gaps.is_empty(), "{gaps:?}");
    drop(thread);
}

fn none_for_what_is_gone() {
    let actor = Actor::spawn_in(&["user"]);
    actor.begin_churn(300);
    for _ in 0..5 {
        let snapshot = discover_everything();
        let gone = |gap: &&lxkns_core::model::Gap| {
            gap.errno.is_some_and(|errno| Cause::of(errno).is_none()) && gap.cause != Cause::Denied
        };
        assert_eq!(snapshot.gaps.iter().find(gone), None);
    }
}
