//! Where the paths lead that the kernel reports for files that it has open.
//!
//! The kernel makes such a path in the mount namespace of the file. It does not say which namespace that is, nor whether
//! another mount hides the file. So a path is certain to lead to a mount only if it leads nowhere else: not in another
//! mount namespace, and not below a hidden mount. Paths are looked up only in the kernel's cache of names, which has all
//! open files.

use std::os::fd::{AsFd, OwnedFd};

use bstr::{BString, ByteSlice as _};
use rustc_hash::FxHashSet;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, StatxFlags};
use rustix::io::Errno;

use crate::model::{DeviceNumber, Mount, NamespaceId, Pid, Snapshot};
use crate::procfs::ProcRoot;
use crate::relations::{is_at_or_below, mount_at};

/// When a path was valid.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    /// Now: the kernel makes it from the place of the file.
    Now,
    /// When a process passed it to the kernel.
    Once,
}

/// Where a path leads.
pub(super) enum Leads {
    /// To the file system, through one of these mounts; for certain, or to others as well.
    OnIt { mounts: Vec<u64>, is_certain: bool },
    /// To another file system.
    Elsewhere,
    /// Not known.
    Perhaps,
}

/// Where the source path of a mount here leads.
pub(super) enum Layer {
    /// To the file system, through this mount.
    OnIt(u64),
    Elsewhere,
    Perhaps,
}

/// A mount namespace that is not the caller's.
struct Elsewhere {
    id: NamespaceId,
    /// A process in it.
    process: Option<Pid>,
    /// Its mounts, if the file system is among them.
    mounts: Vec<Mount>,
}

/// The mounts that paths lead to.
pub(super) struct Paths {
    file_system: DeviceNumber,
    /// The mounts of the caller's mount namespace.
    pub(super) here: Vec<Mount>,
    elsewhere: Vec<Elsewhere>,
    /// The other mount namespaces that have the file system mounted, each once.
    points_elsewhere: FxHashSet<BString>,
    is_mounted: bool,
    is_mounted_here: bool,
}

impl Paths {
    pub(super) fn of(snapshot: &Snapshot, file_system: DeviceNumber) -> Self {
        let is_it = |mount: &Mount| mount.file_system == file_system;
        let here = snapshot.observer_mount_ns.and_then(|home| snapshot.mounts.get(&home)).cloned().unwrap_or_default();
        let others = || snapshot.mounts.iter().filter(|(id, _)| Some(**id) != snapshot.observer_mount_ns);
        let elsewhere = others().map(|(id, mounts)| Elsewhere {
            id: *id,
            process: snapshot.namespaces.get(id).and_then(|namespace| namespace.leaders.first().copied()),
            mounts: if mounts.iter().any(is_it) { mounts.clone() } else { Vec::new() },
        });
        let elsewhere: Vec<_> = elsewhere.collect();
        let on_it = elsewhere.iter().flat_map(|one| &one.mounts).filter(|mount| is_it(mount));
        let points_elsewhere: FxHashSet<_> = on_it.filter_map(|mount| Some(mount.path()?.to_owned())).collect();
        let is_mounted_here = here.iter().any(is_it);
        let is_mounted = is_mounted_here || elsewhere.iter().any(|one| !one.mounts.is_empty());
        Self { file_system, here, elsewhere, points_elsewhere, is_mounted, is_mounted_here }
    }

    fn is_it(&self, mount: &Mount) -> bool {
        mount.file_system == self.file_system
    }

    /// Whether the file system is mounted above this path in another mount namespace.
    fn is_below_it_elsewhere(&self, path: &[u8]) -> bool {
        let mut above = (0..=path.len()).filter(|&end| end == path.len() || path[end] == b'/');
        self.points_elsewhere.contains(b"/".as_bstr()) || above.any(|end| self.points_elsewhere.contains(&path[..end]))
    }

    pub(super) fn leads(&self, proc: &ProcRoot, path: &[u8], named: Named) -> Leads {
        if path.first() != Some(&b'/') {
            return Leads::Perhaps;
        }
        // For a deleted file, the directory counts.
        let without_name = path.strip_suffix(b" (deleted)");
        let path = without_name.and_then(|path| Some(&path[..=path.rfind_byte(b'/')?])).unwrap_or(path);
        let visible = mount_at(&self.here, path);
        let looked_up = look_up(None, path).map(|(id, _)| self.here.iter().find(|mount| mount.id == id));
        let (found, is_unknown) = match looked_up {
            Ok(mount) => (mount, false),
            Err(errno) if cannot_ask_the_cache(errno) => (visible, false),
            Err(errno) => (None, !matches!(errno, Errno::NOENT | Errno::NOTDIR)),
        };
        // Another mount hides it.
        let below = found.or(visible).and_then(Mount::path);
        let is_hidden = |mount: &&Mount| {
            let is_above =
                |point: &[u8]| is_at_or_below(path, point) && below.is_none_or(|it| is_at_or_below(point, it));
            mount.hidden && mount.path().is_some_and(|point| is_above(point))
        };
        let hidden = self.here.iter().filter(is_hidden);
        let unknown = visible.filter(|mount| is_unknown && self.is_it(mount));
        let mut is_certain = unknown.is_none();
        let mut mounts = Vec::new();
        for mount in found.into_iter().chain(unknown).chain(hidden) {
            if self.is_it(mount) {
                mounts.push(mount.id);
            } else {
                is_certain = false;
            }
        }
        is_certain &= found.is_some();
        let is_below_it = self.is_below_it_elsewhere(path);
        if !mounts.is_empty() || is_below_it {
            for mount in self.elsewhere.iter().flat_map(|one| self.leads_elsewhere(one, proc, path)) {
                match mount {
                    Some(id) => mounts.push(id),
                    None => is_certain = false,
                }
            }
        }
        if !mounts.is_empty() {
            return Leads::OnIt { mounts, is_certain };
        }
        match found {
            Some(_) if self.is_mounted_here || !is_below_it => Leads::Elsewhere,
            None if named == Named::Now && self.is_mounted && !is_below_it => Leads::Elsewhere,
            _ => Leads::Perhaps,
        }
    }

    /// Where the path leads in another mount namespace: to mounts of the file system; `None` if to another file system.
    fn leads_elsewhere(&self, one: &Elsewhere, proc: &ProcRoot, path: &[u8]) -> Vec<Option<u64>> {
        let looked_up = one.process.map(|process| {
            let flags = OFlags::PATH | OFlags::CLOEXEC;
            let root = rustix::fs::openat(proc.dir(), format!("{process}/root"), flags, Mode::empty())?;
            look_up(Some(root), path)
        });
        let id_of = |mount: &Mount| self.is_it(mount).then_some(mount.id);
        let mut all = match looked_up {
            Some(Ok((id, _))) => vec![one.mounts.iter().find(|mount| mount.id == id).and_then(id_of)],
            Some(Err(Errno::NOENT | Errno::NOTDIR | Errno::AGAIN)) => Vec::new(),
            // The path cannot be looked up there; only the mount where it would be is known.
            _ => mount_at(&one.mounts, path).and_then(id_of).into_iter().map(Some).collect(),
        };
        let is_hidden = |mount: &&Mount| {
            mount.hidden && self.is_it(mount) && mount.path().is_some_and(|point| is_at_or_below(path, point))
        };
        all.extend(one.mounts.iter().filter(is_hidden).map(|mount| Some(mount.id)));
        all
    }

    /// Whether a path that a mount in another mount namespace was made of leads anywhere there; `None` if nobody can tell. What
    /// a mount is made of the kernel has in its cache, so that what is not there is not what it was made of.
    pub(super) fn is_there(&self, namespace: NamespaceId, proc: &ProcRoot, path: &[u8]) -> Option<bool> {
        let one =
            self.elsewhere.binary_search_by_key(&namespace, |one| one.id).ok().map(|index| &self.elsewhere[index])?;
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let root = rustix::fs::openat(proc.dir(), format!("{}/root", one.process?), flags, Mode::empty()).ok()?;
        match look_up(Some(root), path) {
            Ok(_) => Some(true),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::AGAIN) => Some(false),
            Err(_) => None,
        }
    }

    /// What a path leads to that a mount here was made of, when that was mounted.
    pub(super) fn layer(&self, path: &[u8]) -> Layer {
        let mount = match look_up(None, path) {
            _ if path.first() != Some(&b'/') => return Layer::Perhaps,
            Ok((id, _)) => self.here.iter().find(|mount| mount.id == id),
            Err(_) => mount_at(&self.here, path).filter(|mount| self.is_it(mount)),
        };
        match mount {
            Some(mount) if self.is_it(mount) => Layer::OnIt(mount.id),
            Some(_) if self.is_mounted_here || !self.is_below_it_elsewhere(path) => Layer::Elsewhere,
            _ => Layer::Perhaps,
        }
    }
}

/// The mount that a path leads to here, and the device number of a block device, from the kernel's cache: no file system
/// is asked.
pub(super) fn lookup(path: &[u8]) -> Option<(u64, Option<DeviceNumber>)> {
    look_up(None, path).ok()
}

/// Whether a look-up in the kernel's cache alone is not possible, as the kernel lacks it or a filter denies it.
fn cannot_ask_the_cache(errno: Errno) -> bool {
    matches!(errno, Errno::NOSYS | Errno::PERM | Errno::INVAL | Errno::OPNOTSUPP)
}

/// The same, below a root directory.
fn look_up(root: Option<OwnedFd>, path: &[u8]) -> Result<(u64, Option<DeviceNumber>), Errno> {
    let how = ResolveFlags::NO_MAGICLINKS;
    let (root, how) = match &root {
        Some(root) => (root.as_fd(), how | ResolveFlags::IN_ROOT),
        None => (CWD, how),
    };
    let opened = lxkns_sys::open_cached(root, path, OFlags::empty(), how)?;
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
    let stat = rustix::fs::statx(opened.as_fd(), c"", flags, StatxFlags::TYPE | StatxFlags::MNT_ID)?;
    let is_device = FileType::from_raw_mode(stat.stx_mode.into()) == FileType::BlockDevice;
    let device = is_device.then_some(DeviceNumber { major: stat.stx_rdev_major, minor: stat.stx_rdev_minor });
    let has_mount = stat.stx_mask & StatxFlags::MNT_ID.bits() != 0;
    if has_mount { Ok((stat.stx_mnt_id, device)) } else { Err(Errno::OPNOTSUPP) }
}
