//! The kernel's own lists of namespaces, beside what was found with a holder.

use lxkns_core::model::{Holder, Place, Places, Suspect, Tid};
use lxkns_core::model::{NamespaceType, Pid, Reader};
use lxkns_core::{DiscoveryOptions, Snapshot};
use lxkns_fixture::{Actor, Open, Socket};

use super::{direct_holders, discover, discover_undisturbed, look_until, namespace, own_inode};
use crate::harness::Need::{Kernel, Root};
use crate::harness::{Need, Test, test};

const LISTNS: &[Need] = &[Root, Kernel(6, 19)];

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("kernel_lists::in_pages", LISTNS, in_pages),
        test("kernel_lists::what_nothing_visible_holds", LISTNS, what_nothing_visible_holds),
        test("kernel_lists::what_the_kernel_does_not_list", LISTNS, what_the_kernel_does_not_list),
    ]
}

/// What the kernel alone says.
fn listed() -> Snapshot {
    let mut options = DiscoveryOptions::namespaces();
    options.places = Places::NONE.with(Place::Kernel).with(Place::Owners).with(Place::Parents);
    options.reader = Some(Reader::Proc);
    lxkns_core::Discovery::of_host().unwrap().run(&options).unwrap()
}

/// More namespaces than one call lists. Each is known by its ID alone, and opened by that.
fn in_pages() {
    let actor = Actor::spawn_in(&["user"]);
    let user = actor.ns_inode("user");
    let inodes: Vec<_> = (0..600)
        .map(|_| {
            actor.unshare(&["uts"]);
            actor.open("/proc/self/ns/uts", Open::ReadOnly);
            actor.ns_inode("uts")
        })
        .collect();
    let snapshot = listed();
    for ino in inodes {
        let namespace = namespace(&snapshot, ino);
        assert_eq!(namespace.ns_type, NamespaceType::Uts);
        assert_eq!(namespace.holders, [Holder::Kernel]);
        assert!(namespace.unique_id.is_some());
        assert_eq!(super::ino(namespace.owner), Some(user));
    }
    let user = namespace(&snapshot, user);
    assert_eq!(super::ino(user.parent), Some(own_inode("user")));
}

/// A descriptor that is on its way over a socket is in nobody's table.
fn what_nothing_visible_holds() {
    // Not net: the socket would hold it.
    for name in ["uts", "ipc", "cgroup", "mnt"] {
        let actor = Actor::spawn_in(&[name]);
        let fd = actor.open(format!("/proc/self/ns/{name}"), Open::ReadOnly);
        let (_, receiver) = actor.send_fd_in_flight(fd);
        actor.close(fd);
        let left = actor.ns_inode(name);
        actor.unshare(&[name]);
        let snapshot = discover_undisturbed(left);
        let namespace = namespace(&snapshot, left);
        assert_eq!(namespace.ns_type.name(), name);
        assert_eq!(namespace.holders, [Holder::Kernel], "{name}");
        assert_eq!(super::ino(namespace.owner), Some(own_inode("user")), "{name}");
        let suspect = Suspect::InFlight { pid: Pid(actor.pid()), tid: Tid(actor.tid()), fd: receiver as u32, count: 1 };
        assert!(snapshot.suspects.contains(&suspect), "{:?}", snapshot.suspects);
    }
}

fn what_the_kernel_does_not_list() {
    let actor = Actor::spawn_in(&["net"]);
    let fd = actor.socket(Socket::Udp4);
    let inode = actor.socket_inode(fd);
    let left = actor.ns_inode("net");
    actor.unshare(&["net"]);
    assert!(listed().by_ino(actor.ns_inode("net")).is_some(), "what a process is in is listed");
    // Whoever else looks at it opens it for a moment, and then it is in use.
    let is_absent = |snapshot: &Snapshot| snapshot.by_ino(left).is_none();
    assert!(is_absent(&look_until(is_absent, listed)), "what only a socket holds is not");
    let snapshot = discover();
    let holder = Holder::Socket { pid: Pid(actor.pid()), tid: Tid(actor.tid()), fd: fd as u32, inode };
    assert_eq!(direct_holders(&snapshot, namespace(&snapshot, left)), [&holder]);
}
