//! All mounts of a mount namespace, with all that is known of each.
//!
//! The mountinfo of a process says everything, and costs least, but shows only what is below the process's root
//! directory. So one is read for each different root, and `listmount(2)` adds what none of them shows. What further ways
//! into a mount namespace there may be, they all come down to the text of a mountinfo: [`List::add_mountinfo`].

use bstr::{BStr, BString, ByteSlice};
use rustc_hash::FxHashSet;
use rustix::io::Errno;

use lxkns_sys::{MountFacts, StatmountMask};

use super::mount_lists;
use super::search::{Found, Search};
use crate::model::{FileSystem, GapKind, Mount, NamespaceId, Object, Place, Propagation, SharedText, Tid};
use crate::procfs::parse::mountinfo::{self, MountInfo};
use crate::relations::hidden_mounts;
use crate::texts::Texts;

/// The mounts of a mount namespace, sorted by ID; `None` where nothing could be listed.
pub(super) fn of(search: &Search<'_>, found: &mut Found, mount_ns: NamespaceId, members: &[Tid]) -> Option<Vec<Mount>> {
    let mut list = List::default();
    let mut roots = mount_lists::Roots::default();
    let mut buffer = std::mem::take(&mut found.buffer);
    for &member in members {
        match mount_lists::mountinfo(search, mount_ns, member, &mut roots, &mut buffer) {
            Ok(Some(read)) => list.add_mountinfo(
                found,
                mount_ns,
                read.text,
                read.root.as_ref().map(|root| root.as_bstr()),
                Reader::Member,
            ),
            Ok(None) => {}
            Err(errno) => found.gap(Place::BindMounts, Object::Namespace(mount_ns), "read mountinfo", errno),
        }
    }
    found.buffer = buffer;
    if let Err(errno) = list.add_listed(search, found, mount_ns) {
        list.note_what_is_missing(search, found, mount_ns, errno);
    }
    list.finish()
}

/// Whose mountinfo it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// That of a process of the mount namespace: what it sees is what is there to be seen.
    Member,
    /// That of somebody who has entered the mount namespace just to look.
    #[cfg_attr(not(test), expect(dead_code, reason = "for other ways into mount namespaces"))]
    Visitor,
}

/// A list as it comes together.
#[derive(Debug, Default)]
pub(super) struct List {
    mounts: Vec<Mount>,
    ids: FxHashSet<u64>,
    /// Whether one of the lists began at the root of the mount namespace.
    is_whole: bool,
    /// The mount that holds the root directory of the processes, where that is the root of the mount namespace.
    root: Option<u64>,
}

impl List {
    /// Takes in what the text of a mountinfo has that is not known yet. `root` is the reader's root directory as seen
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
        for info in mountinfo::parse(text) {
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

    /// Takes in what `listmount(2)` lists that is not known yet.
    fn add_listed(&mut self, search: &Search<'_>, found: &mut Found, mount_ns: NamespaceId) -> Result<(), Errno> {
        if search.is_without(Place::BindMounts) {
            return Err(Errno::NOSYS);
        }
        let unique_id = search.facts().get(&mount_ns).and_then(|facts| facts.unique_id).ok_or(Errno::NOSYS)?;
        let listed = mount_lists::unique_ids(unique_id)?;
        // It lists what is below one mount at the root. What began there has at least that, and is cheaper.
        if self.is_whole && listed.len() <= self.mounts.len() {
            return Ok(());
        }
        let mut buffer = Vec::new();
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
                Err(errno) => return Err(errno),
            }
        }
        self.is_whole = true;
        Ok(())
    }

    fn note_what_is_missing(&self, search: &Search<'_>, found: &mut Found, mount_ns: NamespaceId, errno: Errno) {
        let is_unsupported = GapKind::of(errno.raw_os_error()) == GapKind::Unsupported;
        if is_unsupported {
            search.do_without(Place::BindMounts);
        }
        if self.mounts.is_empty() {
            // ENOENT is how the kernel says that we may not know.
            let errno = if errno == Errno::NOENT { Errno::PERM } else { errno };
            found.gap(Place::ProcesslessMounts, Object::Namespace(mount_ns), "listmount", errno);
        } else if !self.is_whole {
            found.gap(
                Place::BindMounts,
                Object::Namespace(mount_ns),
                "read mountinfo: only of processes that have changed their root directory",
                Errno::NODATA,
            );
        }
    }

    /// The mounts, with what follows from all of them together.
    fn finish(mut self) -> Option<Vec<Mount>> {
        self.mounts.sort_unstable_by_key(|mount| mount.id);
        let hidden = hidden_mounts(&self.mounts, self.root);
        for (mount, hidden) in self.mounts.iter_mut().zip(hidden) {
            mount.hidden = hidden;
        }
        self.mounts.shrink_to_fit();
        (!self.mounts.is_empty()).then_some(self.mounts)
    }
}

fn of_mountinfo(texts: &mut Texts, info: &MountInfo<'_>, point: Option<SharedText>) -> Mount {
    Mount {
        id: info.mount_id,
        parent_id: info.parent_id,
        file_system: info.file_system,
        root: texts.shared(&info.root()),
        point,
        options: texts.shared(info.mount_options),
        propagation: Propagation {
            shared: info.shared,
            master: info.master,
            propagate_from: info.propagate_from,
            unbindable: info.unbindable,
        },
        fs_type: texts.shared(&info.fs_type()),
        source: Some(texts.shared(&info.source())),
        super_options: Some(texts.shared(info.super_options)),
        hidden: false,
    }
}

/// All that statmount says of a mount; `None` if its ID is one that is known.
fn statmount(
    mount_ns: u64,
    id: u64,
    buffer: &mut Vec<u64>,
    is_known: impl Fn(u64) -> bool,
) -> Result<Option<MountFacts>, Errno> {
    let facts = lxkns_sys::statmount(mount_ns, id, StatmountMask::MNT_BASIC, buffer)?;
    if facts.mountinfo_ids.is_some_and(|(id, _)| is_known(id.into())) {
        return Ok(None);
    }
    let all = StatmountMask::MNT_BASIC
        | StatmountMask::SB_BASIC
        | StatmountMask::MNT_ROOT
        | StatmountMask::MNT_POINT
        | StatmountMask::FS_TYPE
        | StatmountMask::FS_SUBTYPE
        | StatmountMask::MNT_OPTS
        | StatmountMask::SB_SOURCE
        | StatmountMask::SUPPORTED_MASK;
    lxkns_sys::statmount(mount_ns, id, all, buffer).map(Some)
}

fn of_facts(texts: &mut Texts, facts: MountFacts) -> Option<Mount> {
    // What the kernel knows how to say and did not is empty.
    let knows = |fact| facts.supported.is_some_and(|supported| supported.contains(fact));
    let or_empty = |text: Option<Vec<u8>>, fact| text.or_else(|| knows(fact).then(Vec::new));
    let flags = facts.flags?;
    let (major, minor) = facts.device?;
    let (id, parent_id) = facts.mountinfo_ids?;
    let source = or_empty(facts.source, StatmountMask::SB_SOURCE);
    let super_options = or_empty(facts.options, StatmountMask::MNT_OPTS).zip(facts.sb_flags);
    let mut fs_type = facts.fs_type?;
    if let Some(subtype) = facts.fs_subtype.filter(|subtype| !subtype.is_empty()) {
        fs_type.push(b'.');
        fs_type.extend_from_slice(&subtype);
    }
    let group = |number: u64| u32::try_from(number).ok().filter(|&number| number != 0);
    Some(Mount {
        id: id.into(),
        parent_id: parent_id.into(),
        file_system: FileSystem { major, minor },
        root: texts.shared(&facts.root?),
        point: facts.point.filter(|point| !point.is_empty()).map(|point| texts.shared(&point)),
        options: texts.shared(mount_options(flags.attributes).as_bytes()),
        propagation: Propagation {
            shared: group(flags.peer_group),
            master: group(flags.master),
            // That is told as the asking process sees it, which is in another mount namespace.
            propagate_from: None,
            unbindable: flags.propagation & MS_UNBINDABLE != 0,
        },
        fs_type: texts.shared(&fs_type),
        source: source.map(|source| texts.shared(&source)),
        super_options: super_options.map(|(options, flags)| texts.shared(&super_options_of(flags, &options))),
        hidden: false,
    })
}

const MS_UNBINDABLE: u64 = 1 << 17;

/// The options of a mount in mountinfo's words and order.
fn mount_options(attributes: u64) -> String {
    const ACCESS_TIME: u64 = 0x70;
    const NOATIME: u64 = 0x10;
    let has = |flag: u64, word: &'static str| if attributes & flag != 0 { word } else { "" };
    [
        if attributes & 0x1 != 0 { "ro" } else { "rw" },
        has(0x2, ",nosuid"),
        has(0x4, ",nodev"),
        has(0x8, ",noexec"),
        if attributes & ACCESS_TIME == NOATIME { ",noatime" } else { "" },
        has(0x80, ",nodiratime"),
        if attributes & ACCESS_TIME == 0 { ",relatime" } else { "" },
        has(0x20_0000, ",nosymfollow"),
        has(0x10_0000, ",idmapped"),
    ]
    .concat()
}

/// The options of a file system as mountinfo has them: those that are flags come first.
fn super_options_of(flags: u32, options: &[u8]) -> BString {
    let words = [(0x10, ",sync"), (0x80, ",dirsync"), (0x40, ",mand"), (1 << 25, ",lazytime")];
    let mut text = BString::from(if flags & 1 != 0 { "ro" } else { "rw" });
    for (flag, word) in words {
        if flags & flag != 0 {
            text.extend_from_slice(word.as_bytes());
        }
    }
    if !options.is_empty() {
        text.push(b',');
        text.extend_from_slice(options);
    }
    text
}

#[cfg(test)]
#[path = "complete_mounts_tests.rs"]
mod tests;
