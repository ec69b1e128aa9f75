//! Lists all mounts of a mount namespace, with facts about each (`mount_facts.rs`).
//!
//! The mountinfo of a process has all facts and costs least, but shows only mounts below the process's root directory.
//! So one is read for each different root, and `listmount(2)` adds the mounts that none of them shows. A helper inside
//! sends the text of a mountinfo too: [`List::add_mountinfo`].

use bstr::{BStr, BString, ByteSlice};
use rustc_hash::FxHashSet;
use rustix::fs::StatxFlags;
use rustix::io::Errno;
use rustix::path::Arg;

use lxkns_sys::StatmountMask;

use super::found::Found;
use super::inside_mounts::{self, Inside};
use super::mount_facts::{of_facts, of_mountinfo, statmount};
use super::search::Search;
use crate::failure::Failure;
use crate::model::{Call, Cause, Mount, NamespaceId, Object, Operation, Pid, Place, Tid};
use crate::procfs::{ProcDir, parse};
use crate::relations::hidden_mounts;

const MOUNTINFO: Operation = Operation::read("mountinfo");

/// The mounts of a mount namespace, sorted by ID; none where nothing could be listed.
pub(super) fn of(
    search: &Search<'_>,
    found: &mut Found,
    mount_ns: NamespaceId,
    members: &[Tid],
    inside: &mut Inside<'_>,
) -> Vec<Mount> {
    let mut list = List::default();
    let mut roots = Roots::default();
    let mut buffer = std::mem::take(&mut found.buffer);
    for &member in members {
        match mountinfo(search, mount_ns, member, &mut roots, &mut buffer) {
            Ok(Some(read)) => {
                let root = read.root.as_ref().map(|root| root.as_bstr());
                list.add_mountinfo(found, mount_ns, read.text, root, Reader::Member);
            }
            Ok(None) => {}
            Err(failure) => found.gap(Place::BindMounts, Object::Namespace(mount_ns), MOUNTINFO, failure),
        }
    }
    found.buffer = buffer;
    match list.add_listed(search, mount_ns, found) {
        // Before 6.14, the kernel tells the source of a file system only inside the mount namespace.
        Ok(()) if search.options.mounts && inside.is_possible() => list.fill_in(found, mount_ns, inside),
        Ok(()) => {}
        Err((call, failure)) => {
            list.add_visited(found, mount_ns, inside);
            list.note_what_is_missing(search, found, mount_ns, call, failure);
        }
    }
    list.finish(search.options.mounts)
}

/// The source of a mountinfo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// A process of the mount namespace.
    Member,
    /// A helper that has entered the mount namespace.
    Visitor,
}

/// A list under construction.
#[derive(Debug, Default)]
pub(super) struct List {
    mounts: Vec<Mount>,
    ids: FxHashSet<u64>,
    /// Whether one of the lists began at the root of the mount namespace.
    is_whole: bool,
    /// Whether it could not be entered, and a gap says so.
    is_refused: bool,
    /// The mount that holds the root directory of the processes, where that is the root of the mount namespace.
    root: Option<u64>,
}

impl List {
    /// Adds the mounts of a mountinfo that are not known yet. `root` is the reader's root directory as seen
    /// from the root of the mount namespace, `None` where that is not known.
    pub(super) fn add_mountinfo(
        &mut self,
        found: &mut Found,
        mount_ns: NamespaceId,
        text: &[u8],
        root: Option<&BStr>,
        reader: Reader,
    ) {
        let begins_at_root = root.is_some_and(|root| root == "/");
        // The reader's root directory is in the lowest mount that the reader has at `/`: the others are over it.
        let mut at_root = Vec::new();
        let mut path = Vec::new();
        for info in parse::mountinfo::parse(text) {
            let info = match info {
                Ok(info) => info,
                Err(error) => {
                    found.malformed(Place::BindMounts, Object::Namespace(mount_ns), error);
                    continue;
                }
            };
            if info.raw_mount_point == b"/" {
                at_root.push((info.mount_id, info.parent_id));
            }
            if self.ids.insert(info.mount_id) {
                let point = root.map(|root| {
                    let point = info.mount_point();
                    match (begins_at_root, &*point) {
                        (true, point) => found.texts.shared(point),
                        (false, b"/") => found.texts.shared(root),
                        (false, point) => {
                            path.clear();
                            path.extend_from_slice(root);
                            path.extend_from_slice(point);
                            found.texts.shared(&path)
                        }
                    }
                });
                self.mounts.push(of_mountinfo(&mut found.texts, &info, point));
            }
        }
        if begins_at_root && !at_root.is_empty() {
            self.is_whole = true;
            if reader == Reader::Member {
                let is_lowest =
                    |&&(id, parent): &&(u64, u64)| id == parent || at_root.iter().all(|&(other, _)| other != parent);
                self.root = self.root.or_else(|| at_root.iter().find(is_lowest).map(|&(id, _)| id));
            }
        }
    }

    /// Adds the mounts of `listmount(2)` that are not known yet.
    ///
    /// # Errors
    ///
    /// The call that failed, and why.
    fn add_listed(
        &mut self,
        search: &Search<'_>,
        mount_ns: NamespaceId,
        found: &mut Found,
    ) -> Result<(), (Call, Failure)> {
        let unique_id = search.facts().get(&mount_ns).and_then(|facts| facts.unique_id);
        let unique_id = unique_id.ok_or((Call::NsGetMntnsId, Cause::Unsupported.into()))?;
        if search.is_without(Place::BindMounts) {
            return Err((Call::Listmount, Cause::Unsupported.into()));
        }
        let listed = unique_ids(unique_id).map_err(|errno| (Call::Listmount, errno.into()))?;
        let mut buffer = Vec::new();
        // Since 7.2, listmount begins with the rootfs that everything is mounted on; no mountinfo shows that.
        let begins_with_rootfs = match listed.first() {
            Some(&first) => {
                is_rootfs(unique_id, first, &mut buffer).map_err(|errno| (Call::Statmount, errno.into()))?
            }
            None => false,
        };
        // listmount lists the mounts below the mount at the root. A mountinfo from there has all of these, and costs less.
        if self.is_whole && listed.len() - usize::from(begins_with_rootfs) <= self.mounts.len() {
            return Ok(());
        }
        let known = self.mounts.len();
        for id in listed {
            match statmount(unique_id, id, &mut buffer, |id| self.ids.contains(&id)) {
                Ok(Some(facts)) => {
                    if let Some(mount) = of_facts(&mut found.texts, facts) {
                        self.ids.insert(mount.id);
                        self.mounts.push(mount);
                    }
                }
                // Known already, or unmounted in the meantime.
                Ok(None) | Err(Errno::NOENT) => {}
                Err(errno) => return Err((Call::Statmount, errno.into())),
            }
        }
        self.is_whole = true;
        if begins_with_rootfs {
            self.drop_rootfs(known);
        }
        Ok(())
    }

    /// Removes the rootfs if it is not among the first `known` mounts and something is mounted over it.
    fn drop_rootfs(&mut self, known: usize) {
        let Some(rootfs) = (known..self.mounts.len()).find(|&index| *self.mounts[index].fs_type == *"rootfs") else {
            return;
        };
        let id = self.mounts[rootfs].id;
        let is_over = |mount: &Mount| mount.parent_id == id && mount.id != id && mount.path().is_some_and(|p| p == "/");
        if self.mounts.iter().any(is_over) {
            self.mounts.remove(rootfs);
        }
    }

    /// Lets a helper enter for facts that the kernel's list lacks.
    fn fill_in(&mut self, found: &mut Found, mount_ns: NamespaceId, inside: &mut Inside<'_>) {
        let lacks = |mount: &Mount| mount.source.is_none() || mount.super_options.is_none();
        if !self.mounts.iter().any(lacks) {
            return;
        }
        let text = match inside.mountinfo() {
            Ok(text) => text,
            Err(refusal) => return inside_mounts::gap(found, Object::Namespace(mount_ns), refusal),
        };
        let mut visited = Self::default();
        for info in parse::mountinfo::parse(&text).flatten() {
            visited.mounts.push(of_mountinfo(&mut found.texts, &info, None));
        }
        visited.mounts.sort_unstable_by_key(|mount| mount.id);
        for mount in self.mounts.iter_mut().filter(|mount| lacks(mount)) {
            if let Ok(index) = visited.mounts.binary_search_by_key(&mount.id, |mount| mount.id)
                && visited.mounts[index].file_system == mount.file_system
            {
                let Mount { fs_type, source, super_options, .. } = visited.mounts[index].clone();
                (mount.fs_type, mount.source, mount.super_options) = (fs_type, source, super_options);
            }
        }
    }

    /// Adds the mounts that a helper inside sees, unless they are known.
    fn add_visited(&mut self, found: &mut Found, mount_ns: NamespaceId, inside: &mut Inside<'_>) {
        if self.is_whole || !inside.is_possible() {
            return;
        }
        match inside.mountinfo() {
            Ok(text) => self.add_mountinfo(found, mount_ns, &text, Some(BStr::new("/")), Reader::Visitor),
            Err(refusal) => {
                self.is_refused = true;
                inside_mounts::gap(found, Object::Namespace(mount_ns), refusal);
            }
        }
    }

    /// Notes what is missing because `call`, which would have listed everything, has failed.
    fn note_what_is_missing(
        &self,
        search: &Search<'_>,
        found: &mut Found,
        mount_ns: NamespaceId,
        call: Call,
        failure: Failure,
    ) {
        if failure.cause() == Some(Cause::Unsupported) && call != Call::NsGetMntnsId {
            search.do_without(Place::BindMounts);
        }
        let object = Object::Namespace(mount_ns);
        if self.mounts.is_empty() {
            // The kernel denies access with ENOENT.
            let is_hidden = failure.is_any(&[Errno::NOENT]);
            let failure = if is_hidden { Failure::with(Cause::Denied, Errno::NOENT) } else { failure };
            if !self.is_refused {
                found.gap(Place::ProcesslessMounts, object, call, failure);
            }
        } else if !self.is_whole {
            const ONLY_BELOW: &str = "mountinfo: only of processes that have changed their root directory";
            found.gap(Place::BindMounts, object, Operation::read(ONLY_BELOW), Cause::Partial);
        } else if self.mounts.len() == 1 && self.root.is_none() {
            // Nearly every mount namespace has more than a root. A mount over the root hides the others from a process that
            // enters.
            const ONLY_ROOT: &str = "mountinfo: only the root is listed, which may be mounted over";
            found.gap(Place::BindMounts, object, Operation::read(ONLY_ROOT), Cause::Partial);
        }
    }

    /// The mounts; if requested, with the facts that depend on all of them.
    fn finish(mut self, with_hidden: bool) -> Vec<Mount> {
        self.mounts.sort_unstable_by_key(|mount| mount.id);
        if with_hidden {
            let hidden = hidden_mounts(&self.mounts, self.root);
            for (mount, hidden) in self.mounts.iter_mut().zip(hidden) {
                mount.hidden = hidden;
            }
            self.mounts.shrink_to_fit();
        }
        self.mounts
    }
}

/// Whether a mount is the kernel's rootfs. A mount that has vanished is not.
fn is_rootfs(mount_ns: u64, id: u64, buffer: &mut Vec<u64>) -> Result<bool, Errno> {
    match lxkns_sys::statmount(mount_ns, id, StatmountMask::FS_TYPE, buffer) {
        Ok(facts) => Ok(facts.fs_type.is_some_and(|fs_type| fs_type == b"rootfs")),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// The unique IDs of the mounts of a mount namespace.
fn unique_ids(mount_ns: u64) -> Result<Vec<u64>, Errno> {
    let mut all = Vec::new();
    let mut ids = [0; 512];
    loop {
        let count = lxkns_sys::listmount(mount_ns, all.last().copied().unwrap_or(0), &mut ids)?;
        all.extend_from_slice(&ids[..count]);
        if count < ids.len() {
            return Ok(all);
        }
    }
}

/// The mountinfo of a task.
struct Mountinfo<'a> {
    text: &'a [u8],
    /// The task's root directory as seen from the root of the mount namespace; `None` where that is not known.
    root: Option<BString>,
}

/// The root directories whose mountinfo has been read.
#[derive(Default)]
struct Roots {
    read: FxHashSet<RootId>,
    /// Those of them that the kernel reader has told.
    told: FxHashSet<(u64, u64)>,
}

/// A root directory: its mount, its inode, its device number.
type RootId = (u64, u64, u32, u32);

/// The identity of a task's root directory; `None` if a filter of system calls denies it. The task's list is then read
/// in any case.
fn root_of(dir: &ProcDir, path: impl Arg) -> Result<Option<RootId>, Errno> {
    match dir.stat(path, StatxFlags::INO | StatxFlags::MNT_ID) {
        Ok(root) => Ok(Some((root.stx_mnt_id, root.stx_ino, root.stx_dev_major, root.stx_dev_minor))),
        Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// The mountinfo of a member, unless that of a member with the same root directory was read. The text counts only if the
/// member is in this mount namespace afterwards.
fn mountinfo<'a>(
    search: &Search<'_>,
    mount_ns: NamespaceId,
    member: Tid,
    roots: &mut Roots,
    buffer: &'a mut Vec<u8>,
) -> Result<Option<Mountinfo<'a>>, Failure> {
    // What needs no descriptor is compared first: the roots of nearly all members are known already.
    let told = search.roots.get(&member).copied();
    if told.is_some_and(|root| roots.told.contains(&root)) {
        return Ok(None);
    }
    if root_of(search.proc.dir(), format!("{member}/root"))?.is_some_and(|root| roots.read.contains(&root)) {
        return Ok(None);
    }
    let dir = search.proc.process(Pid(member.0))?;
    if root_of(&dir, "root")?.is_some_and(|root| !roots.read.insert(root)) {
        return Ok(None);
    }
    let root = root_path(&dir);
    let mut link = [0; 64];
    if let Err(failure) = dir.read_watched(c"mountinfo", buffer).map(drop) {
        // EINVAL: the process is exiting and has given up its mount namespace. Its link has vanished too.
        return Err(dir.link(c"ns/mnt", &mut link).err().map_or(failure, Failure::from));
    }
    let is_still_there =
        parse::links::parse(dir.link(c"ns/mnt", &mut link)?).is_some_and(|(_, ino)| ino == mount_ns.ino);
    roots.told.extend(told.filter(|_| is_still_there));
    Ok(is_still_there.then_some(Mountinfo { text: buffer.as_slice(), root }))
}

/// A task's root directory. The kernel writes its path from the root of the mount namespace or, if that is the caller's
/// mount namespace, from the caller's root directory.
fn root_path(dir: &ProcDir) -> Option<BString> {
    /// The kernel gives an error for a longer path.
    const LONGEST: usize = 4096;
    let mut link = [0; LONGEST];
    let root = BStr::new(dir.link(c"root", &mut link).ok()?);
    // Nothing can be mounted below a removed directory, but the name of a directory can end with this text.
    (root.starts_with(b"/") && !root.ends_with(b" (deleted)")).then(|| root.to_owned())
}

#[cfg(test)]
#[path = "mount_lists_tests.rs"]
mod tests;
