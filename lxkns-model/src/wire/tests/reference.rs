//! Chains of paths.

use super::fixture::{self, add, id};
use super::*;
use crate::*;

fn references(snapshot: &Snapshot, ino: u64) -> Vec<String> {
    serde_json::from_value(value(snapshot)["namespaces"][ino.to_string()]["reference"].clone()).unwrap()
}

fn bind(mount_ns: u64, path: Option<&str>) -> Holder {
    Holder::BindMount { mount_ns: id(mount_ns), mount_id: 1, path: path.map(Into::into) }
}

#[test]
fn one_path_where_a_process_or_a_descriptor_leads_there() {
    let mut snapshot = fixture::empty();
    let (pid, tid) = (Pid(5), Tid(6));
    add(&mut snapshot, NamespaceType::Uts, 10).leaders = vec![Pid(7), Pid(1)];
    add(&mut snapshot, NamespaceType::Uts, 11).holders = vec![Holder::Task { pid, tid }, bind(10, Some("/x"))];
    add(&mut snapshot, NamespaceType::Net, 12).holders = vec![Holder::Fd { pid, tid: Tid(5), fd: 3 }];
    add(&mut snapshot, NamespaceType::Net, 13).holders = vec![Holder::Fd { pid, tid, fd: 3 }];
    add(&mut snapshot, NamespaceType::Time, 14).holders = vec![Holder::ForChildren { pid, tid }];
    add(&mut snapshot, NamespaceType::Pid, 15).holders =
        vec![Holder::ForChildren { pid, tid }, Holder::Fd { pid, tid: Tid(5), fd: 4 }];
    add(&mut snapshot, NamespaceType::User, 16).holders = vec![Holder::Owned { ns: id(10) }, Holder::Kernel];
    assert_eq!(references(&snapshot, 10), ["/proc/7/ns/uts"]);
    assert_eq!(references(&snapshot, 11), ["/proc/5/task/6/ns/uts"]);
    assert_eq!(references(&snapshot, 12), ["/proc/5/fd/3"]);
    assert_eq!(references(&snapshot, 13), ["/proc/5/task/6/fd/3"]);
    assert_eq!(references(&snapshot, 14), ["/proc/5/task/6/ns/time_for_children"]);
    assert_eq!(references(&snapshot, 15), ["/proc/5/fd/4"]);
    assert_eq!(references(&snapshot, 16), [""; 0]);
}

#[test]
fn a_chain_through_mount_namespaces_without_processes() {
    let mut snapshot = fixture::empty();
    add(&mut snapshot, NamespaceType::Mnt, 10).leaders = vec![Pid(1)];
    add(&mut snapshot, NamespaceType::Mnt, 11).holders = vec![bind(10, None), bind(10, Some("/run/snapd/ns/lxd.mnt"))];
    add(&mut snapshot, NamespaceType::Mnt, 12).holders = vec![bind(11, Some("/in ner"))];
    add(&mut snapshot, NamespaceType::Net, 13).holders = vec![bind(12, Some("/net"))];
    add(&mut snapshot, NamespaceType::Net, 14).holders = vec![bind(12, Some("/net")), bind(10, Some("/short"))];
    assert_eq!(references(&snapshot, 11), ["/proc/1/ns/mnt", "/run/snapd/ns/lxd.mnt"]);
    assert_eq!(references(&snapshot, 13), ["/proc/1/ns/mnt", "/run/snapd/ns/lxd.mnt", "/in ner", "/net"]);
    assert_eq!(references(&snapshot, 14), ["/proc/1/ns/mnt", "/short"]);
}

#[test]
fn cycles_and_endless_chains_end() {
    let mut snapshot = fixture::empty();
    add(&mut snapshot, NamespaceType::Mnt, 10).holders = vec![bind(11, Some("/x"))];
    add(&mut snapshot, NamespaceType::Mnt, 11).holders = vec![bind(10, Some("/x"))];
    add(&mut snapshot, NamespaceType::Mnt, 1000).leaders = vec![Pid(1)];
    for ino in 1001..2000 {
        add(&mut snapshot, NamespaceType::Mnt, ino).holders = vec![bind(ino - 1, Some("/x"))];
    }
    assert_eq!(references(&snapshot, 10), [""; 0]);
    assert_eq!(references(&snapshot, 1005).len(), 6);
    assert_eq!(references(&snapshot, 1999), [""; 0]);
}
