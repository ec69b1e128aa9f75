//! Place 8: bind mounts of namespaces; and the mounted file systems that belong to a namespace.

use std::cmp::Reverse;
use std::os::fd::OwnedFd;

use bstr::{BString, ByteSlice};
use rustc_hash::FxHashMap;
use rustix::fs::makedev;

use super::facts;
use super::found::Found;
use super::inside_mounts::{self, Inside};
use super::kept_mounts::KeptMounts;
use super::mount_lists;
use super::search::Search;
use crate::failure::Failure;
use crate::model::CompactSort as _;
use crate::model::{Cause, Holder, Mount, NamespaceId, NamespaceType, Object, Place, Suspect, Tid};
use crate::procfs::parse;
use crate::reach;
use crate::reach::lookup::Roots;

const NSFS: &str = "nsfs";
/// The types of file systems that contain namespaces, or keep one alive, or have files that do.
const WANTED: [&str; 15] = [
    NSFS,
    "proc",
    "cgroup",
    "cgroup2",
    "nfs",
    "nfs4",
    "nfsd",
    "rpc_pipefs",
    "cifs",
    "smb3",
    "ceph",
    "afs",
    "fuse",
    "fuseblk",
    "binder",
];

/// How many holders of a mount namespace are tried to reach it.
const HOLDERS: usize = 16;

/// Reads the mounts of every known mount namespace that has not been read, until no further one is found.
pub(super) fn all(search: &Search<'_>, found: &mut Found) {
    if !search.looks_in(Place::BindMounts) && !search.options.mounts {
        return;
    }
    found.procfs_devices.extend(reach::identity(search.proc).map(|id| id.dev));
    let members = members(found);
    let kept = KeptMounts::begin(search);
    search.keep_mount_namespaces();
    let go_through = |found: &mut Found, todo: Vec<NamespaceId>| {
        // Any holder of a mount namespace leads to it; without a process in it, a helper must enter.
        let holders = |id: &NamespaceId| found.namespaces[id].holders.iter().take(HOLDERS).cloned().collect::<Vec<_>>();
        let members = |id: &NamespaceId| members.get(id).map_or(&[][..], Vec::as_slice);
        let mut each: Vec<_> = todo.iter().map(|id| (*id, members(id), holders(id))).collect();
        // Those with many members take longest: nobody is left alone with one at the end.
        each.compact_sort_by_key(|(_, members, _)| Reverse(members.len()));
        let mut news = search.for_each(&each, |found, (mount_ns, members, holders)| {
            one(search, found, *mount_ns, members, holders, kept.as_ref());
        });
        news.mounts_seen.extend(todo);
        found.merge(news);
    };
    loop {
        let todo: Vec<_> = found
            .namespaces
            .iter()
            .filter(|(id, seen)| seen.ns_type == NamespaceType::Mnt && !found.mounts_seen.contains(id))
            .map(|(&id, _)| id)
            .collect();
        if !todo.is_empty() {
            go_through(found, todo);
            continue;
        }
        // Its members have vanished since; a bind mount that was found later leads to it.
        let again: Vec<_> = found.unentered.iter().copied().filter(|&id| search.has_kept(id)).collect();
        if again.is_empty() {
            break;
        }
        found.unentered.retain(|id| !again.contains(id));
        go_through(found, again);
    }
    if let Some(kept) = kept {
        kept.finish(search, std::mem::take(&mut found.kept_mounts));
    }
}

/// The tasks in each mount namespace: one of each process, and tasks whose process is elsewhere.
fn members(found: &Found) -> FxHashMap<NamespaceId, Vec<Tid>> {
    let mut members: FxHashMap<_, Vec<_>> = FxHashMap::default();
    for process in &found.processes {
        let of_process = process.namespaces.get(NamespaceType::Mnt);
        let tasks = process.tasks.iter().filter(|task| !task.state.is_dead());
        let mut has_process = false;
        for (id, tid) in tasks.filter_map(|task| Some((task.namespaces.get(NamespaceType::Mnt)?, task.tid))) {
            if Some(id) != of_process || !std::mem::replace(&mut has_process, true) {
                members.entry(id).or_default().push(tid);
            }
        }
    }
    for members in members.values_mut() {
        members.sort_unstable();
    }
    members
}

fn one(
    search: &Search<'_>,
    found: &mut Found,
    mount_ns: NamespaceId,
    members: &[Tid],
    holders: &[Holder],
    kept: Option<&KeptMounts>,
) {
    if members.is_empty() && !search.looks_in(Place::ProcesslessMounts) {
        return;
    }
    let mut inside = Inside::new(search, mount_ns, members, holders);
    let mut roots = Roots::new(search.proc, members.iter().copied());
    let unchanged = kept.and_then(|kept| kept.unchanged(mount_ns, &mut roots));
    let (mounts, mut pinned): (Vec<_>, Vec<_>) = match unchanged {
        Some(unchanged) => unchanged.into_iter().unzip(),
        None => {
            let gaps = found.gaps.len();
            let mounts = mount_lists::of(search, found, mount_ns, members, &mut inside);
            if let Some(kept) = kept.filter(|_| found.gaps.len() == gaps) {
                found.kept_mounts.push((mount_ns, kept.that_matter(&mounts)));
            }
            (mounts, Vec::new())
        }
    };
    if search.looks_in(Place::BindMounts) {
        pinned.resize_with(mounts.len(), || None);
        for (mount, pinned) in mounts.iter().zip(pinned).filter(|(mount, _)| is_wanted(mount)) {
            if *mount.fs_type == *NSFS {
                bind_mount(search, found, mount_ns, &mut roots, &mut inside, !members.is_empty(), mount);
            } else {
                belonging(search, found, mount_ns, &mut roots, mount, pinned);
            }
        }
        of_user_namespaces(search, found, mount_ns, &mounts);
    }
    if inside.is_lost {
        found.unentered.insert(mount_ns);
    }
    if search.options.mounts && !mounts.is_empty() {
        found.mounts.push((mount_ns, mounts));
    }
}

fn is_wanted(mount: &Mount) -> bool {
    WANTED.iter().any(|wanted| *mount.fs_type == **wanted) || mount.fs_type.starts_with(b"fuse.")
}

/// Notes a bind mount of a namespace. Its root has type and inode, even if the path does not lead to it any more.
fn bind_mount(
    search: &Search<'_>,
    found: &mut Found,
    mount_ns: NamespaceId,
    roots: &mut Roots<'_>,
    inside: &mut Inside<'_>,
    has_members: bool,
    mount: &Mount,
) {
    let Some((ns_type, ino)) = parse::links::parse(&mount.root) else {
        // A pidfd or the nsfs root, which are not namespaces.
        return;
    };
    let id = NamespaceId { ino, dev: makedev(mount.file_system.major, mount.file_system.minor) };
    let path = mount.path().map(ToOwned::to_owned);
    let holder = Holder::BindMount { mount_ns, mount_id: mount.id, path };
    let mut refused = None;
    let mut open = || {
        let point = mount.path().ok_or(Failure::from(Cause::NoPath))?;
        let from_outside = match roots.namespace(point, id) {
            Err(failure) if inside.is_possible() => failure,
            opened => return opened,
        };
        inside.open_namespace(point, id).map_err(|refusal| {
            let (_, failure) = refusal;
            if failure.is_elsewhere() || (has_members && from_outside.is_elsewhere()) {
                return Cause::NoPath.into();
            }
            // Where nobody could enter, it is still not known from outside either.
            let failure = if has_members && !inside.is_entered() { from_outside } else { failure };
            refused = Some(refusal);
            failure
        })
    };
    let opened = facts::ensure(search, id, &mut open);
    if ns_type == NamespaceType::Mnt
        && search.keeps(id)
        && let Ok(fd) = open().and_then(|fd| reach::verified(fd, id))
    {
        // It was known by a process in it that may be gone when somebody is to go there.
        search.keep(id, fd);
    }
    found.note_opened(Place::BindMounts, id, ns_type, holder, opened);
    match refused {
        Some(refusal) if inside.is_entered() => {
            inside_mounts::gap(found, Object::Namespace(id), refusal);
            found.gap_is_noted(id);
        }
        Some(refusal) => {
            inside_mounts::gap(found, Object::Namespace(mount_ns), refusal);
            if !has_members {
                found.gap_is_noted(id);
            }
        }
        None => {}
    }
}

/// Notes a file system that belongs to a namespace.
fn belonging(
    search: &Search<'_>,
    found: &mut Found,
    mount_ns: NamespaceId,
    roots: &mut Roots<'_>,
    mount: &Mount,
    pinned: Option<OwnedFd>,
) {
    let (mount_id, file_system, fs_type) = (mount.id, mount.file_system, BString::from(mount.fs_type.as_bytes()));
    let path = mount.path().map(ToOwned::to_owned);
    if fs_type == "cgroup" || fs_type == "cgroup2" {
        found.cgroup_devices.insert(makedev(file_system.major, file_system.minor));
        return;
    }
    if fs_type == "proc" {
        found.procfs_devices.insert(makedev(file_system.major, file_system.minor));
        let look_up = || roots.mount(path.as_ref()?, mount_id).ok();
        if let Some(id) = pinned.or_else(look_up).and_then(|procfs| pid_namespace_of(search, &procfs)) {
            let holder = Holder::Mount { mount_ns, mount_id, fs_type, path };
            return found.note(search, Place::BindMounts, id, NamespaceType::Pid, holder);
        }
    }
    if search.options.suspects {
        found.suspects.push(Suspect::Mount { mount_ns, mount_id, fs_type, file_system, path });
    }
}

/// Notes file systems that belong to a user namespace, which only the kernel reader tells.
fn of_user_namespaces(search: &Search<'_>, found: &mut Found, mount_ns: NamespaceId, mounts: &[Mount]) {
    let Some(owners) = search.file_system_owners.get().filter(|owners| !owners.is_empty()) else { return };
    for mount in mounts {
        let Some(&id) = owners.get(&mount.file_system) else { continue };
        let holder = Holder::Mount {
            mount_ns,
            mount_id: mount.id,
            fs_type: BString::from(mount.fs_type.as_bytes()),
            path: mount.path().map(ToOwned::to_owned),
        };
        found.hold_unopened(Place::BindMounts, id, NamespaceType::User, Some(holder));
    }
}

/// The PID namespace that a procfs shows: that of its PID 1, as long as that lives.
fn pid_namespace_of(search: &Search<'_>, procfs: &OwnedFd) -> Option<NamespaceId> {
    let mut text = [0; 64];
    let length = rustix::fs::readlinkat_raw(procfs, c"1/ns/pid", &mut text).ok()?;
    let (_, ino) = parse::links::parse(&text[..length])?;
    Some(NamespaceId { ino, dev: search.devices.nsfs })
}
