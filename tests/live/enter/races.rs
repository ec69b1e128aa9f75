//! A process that ends while it is entered.

use lxkns_core::ProcRoot;
use lxkns_core::model::Pid;
use lxkns_enter::{Enter, ErrorKind, Target};
use lxkns_fixture::Actor;

use crate::harness::Need::{Kernel, UserNamespaces};
use crate::harness::{Test, test};

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("enter::races::before_it_is_looked_at", &[UserNamespaces], before_it_is_looked_at),
        test("enter::races::before_it_is_entered", &[UserNamespaces, Kernel(5, 8)], before_it_is_entered),
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
