//! Discovery while processes come, change and go by the thousand.

use std::time::{Duration, Instant};

use lxkns_core::model::{Holder, Pid};
use lxkns_fixture::Actor;

use super::{direct_holders, discover, namespace};
use crate::harness::Need::UserNamespaces;
use crate::harness::{Test, test};

pub(super) fn tests() -> Vec<Test> {
    vec![test("churn::thirty_seconds", &[UserNamespaces], thirty_seconds)]
}

fn thirty_seconds() {
    const DURATION: Duration = Duration::from_secs(30);
    let stable: Vec<_> = (0..10).map(|_| Actor::spawn_in(&["user", "uts"])).collect();
    let inodes: Vec<_> = stable.iter().map(|actor| actor.ns_inode("uts")).collect();
    let churners: Vec<_> = (0..3).map(|_| Actor::spawn_in(&["user", "uts"])).collect();
    // More than they can do in that time; they end with the test.
    churners.iter().for_each(|actor| actor.begin_churn(10_000_000));
    let began = Instant::now();
    let mut runs = 0;
    while began.elapsed() < DURATION {
        let snapshot = discover();
        runs += 1;
        for (actor, &ino) in stable.iter().zip(&inodes) {
            let namespace = namespace(&snapshot, ino);
            assert_eq!(direct_holders(&snapshot, namespace), [&Holder::Process { pid: Pid(actor.pid()) }]);
            assert_eq!(namespace.owner.known().map(|id| id.ino), Some(actor.ns_inode("user")));
        }
        // Each process holds what it is seen in, and nothing else is said to be held by it.
        for namespace in snapshot.namespaces.values() {
            for holder in &namespace.holders {
                if let Holder::Process { pid } = holder {
                    let seen = snapshot.processes[pid].namespaces.get(namespace.ns_type);
                    assert_eq!(seen, Some(namespace.id), "PID {pid}");
                }
            }
        }
    }
    eprintln!("{runs} snapshots");
    assert!(runs > 0);
}
