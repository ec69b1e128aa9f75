//! The mounts of a mount namespace, as far as they can be listed from outside.

use bstr::{BStr, BString};
use rustc_hash::FxHashSet;
use rustix::fs::StatxFlags;
use rustix::io::Errno;

use lxkns_sys::{MountFacts, StatmountMask};

use super::search::{Found, Search};
use crate::model::{self, FileSystem, GapKind, NamespaceId, Object, Pid, Place, Tid};
use crate::procfs::{ProcDir, parse};

/// A mount.
pub(super) struct Mount {
    /// Its ID as in mountinfo.
    pub(super) id: u64,
    pub(super) file_system: FileSystem,
    pub(super) fs_type: BString,
    /// What of the file system is mounted.
    pub(super) root: BString,
    /// Where, as seen from the root of the mount namespace; `None` where that root does not reach it.
    pub(super) point: Option<BString>,
}

impl From<&model::Mount> for Mount {
    fn from(mount: &model::Mount) -> Self {
        Self {
            id: mount.id,
            file_system: mount.file_system,
            fs_type: (*mount.fs_type).to_owned(),
            root: (*mount.root).to_owned(),
            point: mount.path().map(ToOwned::to_owned),
        }
    }
}

/// The mounts of a mount namespace whose file system is of one of these types.
///
/// `listmount(2)` lists all of them. Without it, the mountinfo of the processes in it is the next best: that of one
/// that has changed its root directory shows only what is below, so each different root is asked.
pub(super) fn of(
    search: &Search<'_>,
    found: &mut Found,
    mount_ns: NamespaceId,
    members: &[Tid],
    wanted: &[&str],
) -> Vec<Mount> {
    let unique_id = search.facts().get(&mount_ns).and_then(|facts| facts.unique_id);
    let listed = match unique_id {
        Some(id) if !search.is_without(Place::BindMounts) => list(id, wanted),
        Some(_) => Err(("listmount", Errno::NOSYS)),
        None => Err(("NS_GET_MNTNS_ID", Errno::NOTTY)),
    };
    match listed {
        Ok(mounts) => mounts,
        Err((operation, errno)) if members.is_empty() => {
            // ENOENT is how the kernel says that we may not know.
            let errno = if errno == Errno::NOENT { Errno::PERM } else { errno };
            found.gap(Place::ProcesslessMounts, Object::Namespace(mount_ns), operation, errno);
            Vec::new()
        }
        Err((_, errno)) => {
            if GapKind::of(errno.raw_os_error()) == GapKind::Unsupported {
                search.do_without(Place::BindMounts);
            }
            of_members(search, found, mount_ns, members, wanted)
        }
    }
}

/// As the kernel lists them; or which call failed, and why.
fn list(mount_ns: u64, wanted: &[&str]) -> Result<Vec<Mount>, (&'static str, Errno)> {
    const BASIC: StatmountMask = StatmountMask::FS_TYPE;
    let mut mounts = Vec::new();
    let mut buffer = Vec::new();
    for id in unique_ids(mount_ns).map_err(|errno| ("listmount", errno))? {
        let is_wanted = |facts: &MountFacts| {
            let fs_type = facts.fs_type.as_ref();
            fs_type.is_some_and(|fs_type| wanted.iter().any(|wanted| wanted.as_bytes() == fs_type))
        };
        match lxkns_sys::statmount(mount_ns, id, BASIC, &mut buffer) {
            Ok(facts) if is_wanted(&facts) => {}
            // Unmounted in the meantime.
            Ok(_) | Err(Errno::NOENT) => continue,
            Err(errno) => return Err(("statmount", errno)),
        }
        let mask = BASIC
            | StatmountMask::MNT_BASIC
            | StatmountMask::SB_BASIC
            | StatmountMask::MNT_ROOT
            | StatmountMask::MNT_POINT;
        match lxkns_sys::statmount(mount_ns, id, mask, &mut buffer) {
            Ok(facts) => mounts.extend(mount(facts)),
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(("statmount", errno)),
        }
    }
    Ok(mounts)
}

/// The unique IDs of the mounts of a mount namespace.
pub(super) fn unique_ids(mount_ns: u64) -> Result<Vec<u64>, Errno> {
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

fn mount(facts: MountFacts) -> Option<Mount> {
    let (major, minor) = facts.device?;
    Some(Mount {
        id: facts.mountinfo_ids?.0.into(),
        file_system: FileSystem { major, minor },
        fs_type: facts.fs_type?.into(),
        root: facts.root?.into(),
        point: facts.point.filter(|point| !point.is_empty()).map(BString::from),
    })
}

/// What the members' mountinfo lists, taken together.
fn of_members(
    search: &Search<'_>,
    found: &mut Found,
    mount_ns: NamespaceId,
    members: &[Tid],
    wanted: &[&str],
) -> Vec<Mount> {
    let mut mounts = Vec::new();
    let mut roots = Roots::default();
    let mut ids = FxHashSet::default();
    let (mut has_top, mut has_any) = (false, false);
    let mut buffer = Vec::new();
    for &member in members {
        let text = match mountinfo(search, mount_ns, member, &mut roots, &mut buffer) {
            Ok(Some(read)) => read.text,
            Ok(None) => continue,
            Err(errno) => {
                found.gap(Place::BindMounts, Object::Namespace(mount_ns), "read mountinfo", errno);
                continue;
            }
        };
        has_any = true;
        for info in parse::mountinfo::parse(text) {
            let info = match info {
                Ok(info) => info,
                Err(error) => {
                    found.malformed(Place::BindMounts, Object::Namespace(mount_ns), error);
                    continue;
                }
            };
            has_top |= info.raw_mount_point == b"/";
            if wanted.iter().any(|wanted| wanted.as_bytes() == info.raw_fs_type) && ids.insert(info.mount_id) {
                mounts.push(Mount {
                    id: info.mount_id,
                    file_system: info.file_system,
                    fs_type: info.fs_type().as_ref().into(),
                    root: info.root().as_ref().into(),
                    point: Some(info.mount_point().as_ref().into()),
                });
            }
        }
    }
    if has_any && !has_top {
        found.gap(
            Place::BindMounts,
            Object::Namespace(mount_ns),
            "read mountinfo: only of processes that have changed their root directory",
            Errno::NODATA,
        );
    }
    mounts
}

/// The mountinfo of a task.
pub(super) struct Mountinfo<'a> {
    pub(super) text: &'a [u8],
    /// The task's root directory as seen from the root of the mount namespace; `None` where that is not known.
    pub(super) root: Option<BString>,
}

/// The root directories whose mountinfo has been read.
pub(super) type Roots = FxHashSet<(u64, u64, u32, u32)>;

/// The mountinfo of one member, unless one with the same root directory has been asked. What was read counts only if the
/// member is still in this mount namespace.
pub(super) fn mountinfo<'a>(
    search: &Search<'_>,
    mount_ns: NamespaceId,
    member: Tid,
    roots: &mut Roots,
    buffer: &'a mut Vec<u8>,
) -> Result<Option<Mountinfo<'a>>, Errno> {
    let dir = search.proc.process(Pid(member.0))?;
    match dir.stat(c"root", StatxFlags::INO | StatxFlags::MNT_ID) {
        Ok(root) => {
            if !roots.insert((root.stx_mnt_id, root.stx_ino, root.stx_dev_major, root.stx_dev_minor)) {
                return Ok(None);
            }
        }
        // Denied by a filter: then its list is read whatever its root is.
        Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) => {}
        Err(errno) => return Err(errno),
    }
    let root = root_path(&dir);
    dir.read_watched(c"mountinfo", buffer)?;
    let mut link = [0; 64];
    let is_still_there =
        parse::links::parse(dir.link(c"ns/mnt", &mut link)?).is_some_and(|(_, ino)| ino == mount_ns.ino);
    Ok(is_still_there.then_some(Mountinfo { text: buffer.as_slice(), root }))
}

/// A task's root directory. The kernel writes it from the root of the mount namespace where that is another than ours,
/// and where it is the same, from our own root directory.
fn root_path(dir: &ProcDir) -> Option<BString> {
    /// A path that is longer than the kernel writes is an error.
    const LONGEST: usize = 4096;
    let mut link = [0; LONGEST];
    let root = BStr::new(dir.link(c"root", &mut link).ok()?);
    // Nothing can be mounted below a directory that was removed; one can be called so.
    (root.starts_with(b"/") && !root.ends_with(b" (deleted)")).then(|| root.to_owned())
}
