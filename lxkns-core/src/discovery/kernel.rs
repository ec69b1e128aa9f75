//! Place 12: the kernel's own lists of namespaces.

use std::os::fd::OwnedFd;

use rustc_hash::FxHashSet;
use rustix::io::Errno;

use lxkns_sys::{LISTNS_ALL_USER_NAMESPACES, MountNamespaceInfo, NsHandle};

use super::found::{Found, Seen};
use super::search::Search;
use super::{bind_mounts, from_kernel, processes};
use crate::error::Error;
use crate::failure::Failure;
use crate::model::{Call, Cause, Object, Operation, Place};
use crate::reach;

/// Adds namespaces that the kernel lists and no other place has shown.
pub(super) fn all(search: &Search<'_>, found: &mut Found) -> Result<(), Error> {
    if !search.looks_in(Place::Kernel) {
        return Ok(());
    }
    let known = found.namespaces.len();
    // The kernel reader walks all lists, and needs neither of the calls.
    if !listed_by_reader(search, found) {
        walk_mount_namespaces(search, found);
        list_namespaces(search, found);
    }
    if found.namespaces.len() > known {
        // A new process explains its namespaces better than the kernel's list.
        let newcomers = processes::newcomers(search, found)?;
        found.merge(newcomers);
        bind_mounts::all(search, found);
    }
    Ok(())
}

/// Notes the namespaces that the kernel reader finds in the kernel's lists; `false` if these were not read to their ends.
fn listed_by_reader(search: &Search<'_>, found: &mut Found) -> bool {
    let Some((listed, mut is_whole)) = search.listed.as_ref().map(|(listed, is_whole)| (listed, *is_whole)) else {
        return false;
    };
    found.listed_by_kernel.extend(listed.keys());
    let mut unknown: Vec<_> = listed.iter().filter(|(id, _)| !found.namespaces.contains_key(id)).collect();
    if !unknown.is_empty() {
        // Since the lists were read, some may have ended.
        let Some((now, is_whole_now)) = from_kernel::listed(search, found) else { return false };
        unknown.retain(|(id, facts)| now.get(id).is_some_and(|now| now.unique_id == facts.unique_id));
        is_whole &= is_whole_now;
    }
    for (&id, facts) in unknown {
        // One that is open is asked like all others. Not all can be opened, but all say enough of themselves.
        let handle = facts.unique_id.map(|id| NsHandle { id, ns_type: 0, ino: 0 });
        let opened = handle.and_then(|handle| lxkns_sys::open_namespace_by_handle(handle).ok());
        let noted = opened.is_some_and(|fd| found.note_open(search, id, fd, None).is_ok());
        if !noted {
            from_kernel::note_facts(search, listed, id);
            let ns_type = facts.ns_type;
            found.namespaces.entry(id).or_insert_with(|| Seen { ns_type, holders: Vec::new(), unopened: None });
        }
    }
    is_whole
}

/// Walks the kernel's list of mount namespaces, from the caller's own both ways.
fn walk_mount_namespaces(search: &Search<'_>, found: &mut Found) {
    type Step = fn(&OwnedFd) -> Result<(OwnedFd, MountNamespaceInfo), Errno>;
    let ways: [(Call, Step); 2] = [
        (Call::NsMntGetNext, |fd| lxkns_sys::ns_mnt_get_next(fd)),
        (Call::NsMntGetPrev, |fd| lxkns_sys::ns_mnt_get_prev(fd)),
    ];
    for (name, step) in ways {
        let mut at = match own_mount_namespace(search) {
            Ok(fd) => fd,
            Err(errno) => return found.gap(Place::Kernel, Object::Host, Operation::open("ns/mnt"), errno),
        };
        loop {
            match step(&at) {
                Ok((next, _)) => {
                    list(search, found, &next);
                    at = next;
                }
                // The end of the list.
                Err(Errno::NOENT) => break,
                // The error of kernels before 6.12.
                Err(errno @ Errno::INVAL) => {
                    let failure = Failure::with(Cause::Unsupported, errno);
                    return found.gap(Place::Kernel, Object::Host, name, failure);
                }
                Err(errno) => return found.gap(Place::Kernel, Object::Host, name, errno),
            }
        }
    }
}

fn own_mount_namespace(search: &Search<'_>) -> Result<OwnedFd, Errno> {
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
    let open = |path| rustix::fs::openat(search.proc, path, flags, rustix::fs::Mode::empty());
    open("thread-self/ns/mnt").or_else(|_| open("1/ns/mnt"))
}

/// Lists all active namespaces, and opens by their handles those whose IDs are new.
fn list_namespaces(search: &Search<'_>, found: &mut Found) {
    let mut known: FxHashSet<u64> = search.facts().values().filter_map(|facts| facts.unique_id).collect();
    let mut ids = [0; 512];
    let mut last = 0;
    loop {
        let count = match lxkns_sys::listns(last, 0, LISTNS_ALL_USER_NAMESPACES, &mut ids) {
            Ok(count) => count,
            Err(errno) => return found.gap(Place::Kernel, Object::Host, Call::Listns, errno),
        };
        for &id in ids[..count].iter().filter(|&&id| known.insert(id)) {
            match lxkns_sys::open_namespace_by_handle(NsHandle { id, ns_type: 0, ino: 0 }) {
                Ok(fd) => list(search, found, &fd),
                // Gone in the meantime.
                Err(Errno::STALE) => {}
                // If one fails, all fail.
                Err(errno) => return found.gap(Place::Kernel, Object::Host, Call::OpenByHandleAt, errno),
            }
        }
        match ids[..count].last() {
            Some(&id) if count == ids.len() => last = id,
            _ => return,
        }
    }
}

/// Notes a namespace that the kernel lists.
fn list(search: &Search<'_>, found: &mut Found, fd: &OwnedFd) {
    let noted = reach::identity(fd).map_err(Failure::from).and_then(|id| {
        if !found.namespaces.contains_key(&id) {
            found.note_open(search, id, rustix::io::fcntl_dupfd_cloexec(fd, 3)?, None)?;
        }
        Ok(id)
    });
    match noted {
        Ok(id) => drop(found.listed_by_kernel.insert(id)),
        Err(failure) => found.gap(Place::Kernel, Object::Host, Operation::open("a listed namespace"), failure),
    }
}
