//! Later scans of a session do not read again what has not changed; and they say what a first one says.

use std::path::{Path, PathBuf};

use lxkns_core::model::{Holder, NamespaceType, Reader};
use lxkns_core::{Discovery, DiscoveryOptions, Snapshot};
use lxkns_fixture::Actor;

use super::super::{directory, look_until};
use super::BTF;
use crate::harness::Need::{File, Kernel, Root};
use crate::harness::{Need, Test, test};

pub(super) fn tests() -> Vec<Test> {
    // Before Linux 6.18, all is read again.
    const LISTS: &[Need] = &[Root, File(BTF), Kernel(6, 18)];
    vec![test("reader::repeated::mounts_that_move", LISTS, mounts_that_move)]
}

/// The mounts in this mount namespace that hold a namespace: whether each is a bind mount, the type of that, the path.
fn mounts(snapshot: &Snapshot, ino: u64) -> Vec<(bool, NamespaceType, PathBuf)> {
    let mut mounts = Vec::new();
    for namespace in snapshot.namespaces.values() {
        for holder in &namespace.holders {
            let (is_bind_mount, path) = match holder {
                Holder::BindMount { mount_ns, path, .. } if mount_ns.ino == ino => (true, path),
                Holder::Mount { mount_ns, path, .. } if mount_ns.ino == ino => (false, path),
                _ => continue,
            };
            mounts.push((is_bind_mount, namespace.ns_type, path.as_ref().unwrap().to_string().into()));
        }
    }
    mounts.sort_unstable();
    mounts
}

/// What keeps its place in the list of mounts, and has another path: a directory above it was renamed.
fn mounts_that_move() {
    for is_root in [true, false] {
        let namespaces = if is_root { &["mnt", "pid"][..] } else { &["user", "mnt", "pid"] };
        // A procfs is of the PID namespace of who mounts it.
        let (parent, directory) = (Actor::spawn_in(namespaces), directory());
        let actor = parent.fork();
        let mount_ns = actor.ns_inode("mnt");
        let base = std::fs::canonicalize(directory.path()).unwrap();
        let at = |path: &str| base.join(path);
        actor.mount("tmpfs", &base);
        let holding = |name: &str| {
            actor.mkdir(at(name));
            actor.touch(at(name).join("ns"));
            actor.bind("/proc/self/ns/uts", at(name).join("ns"));
        };
        holding("a");
        actor.mkdir(at("a/proc"));
        actor.mount("proc", at("a/proc"));
        let mut options = DiscoveryOptions::namespaces();
        options.reader = Some(Reader::Kernel);
        let session = Discovery::of_host().unwrap().repeated();
        let scan = |session: &Discovery<'_>| {
            let snapshot = session.run(&options).unwrap();
            assert_eq!(snapshot.reader, Some(Reader::Kernel), "{:?}", snapshot.gaps);
            mounts(&snapshot, mount_ns)
        };
        // Those whose paths are as expected, below the directory; twice, as the first scan after a change reads the list.
        let expect = |what: &str, bind_mounts: &[&str], procfs: &str| {
            for nth in 0..2 {
                // Programs that look at namespaces mount nothing here; but a process that has just begun can hide a list.
                let (found, first) = look_until(
                    |(found, first)| found == first,
                    || (scan(&session), scan(&Discovery::of_host().unwrap())),
                );
                assert_eq!(found, first, "{what}, scan {nth}");
                let below = |is_bind_mount: bool, ns_type: NamespaceType| -> Vec<&Path> {
                    let ours = found
                        .iter()
                        .filter(|(is, of, path)| (*is, *of) == (is_bind_mount, ns_type) && path.starts_with(&base));
                    ours.map(|(.., path)| path.strip_prefix(&base).unwrap()).collect()
                };
                let expected: Vec<_> = bind_mounts.iter().map(Path::new).collect();
                assert_eq!(below(true, NamespaceType::Uts), expected, "{what}, scan {nth}");
                assert_eq!(below(false, NamespaceType::Pid), [Path::new(procfs)], "{what}, scan {nth}");
                // The file system itself, where it is of the actor's user namespace.
                let of_user = below(false, NamespaceType::User).len();
                assert_eq!(of_user > 0, !is_root, "{what}, scan {nth}");
            }
        };
        expect("at first", &["a/ns"], "a/proc");
        actor.rename(at("a"), at("b"));
        expect("renamed", &["b/ns"], "b/proc");
        holding("a");
        expect("another one where the first was", &["a/ns", "b/ns"], "b/proc");
        actor.umount(at("b/ns"));
        expect("unmounted", &["a/ns"], "b/proc");
        actor.rename(at("b"), at("c"));
        actor.rename(at("a"), at("b"));
        actor.rename(at("c"), at("a"));
        expect("in each other's place", &["b/ns"], "a/proc");
        actor.mount("tmpfs", at("b"));
        expect("hidden", &["b/ns"], "a/proc");
        // The path of the actor is another one than that from the root of its mount namespace.
        actor.chroot(&base);
        expect("from another root directory", &["b/ns"], "a/proc");
    }
}
