//! Looks up paths below the root directories of tasks without waiting for the server of a file system.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, StatxFlags};
use rustix::io::Errno;

use super::interface::is_refusal;
use crate::error::{Error, ErrorKind};
use crate::failure::Failure;
use crate::model::{Cause, NamespaceId, Tid};
use crate::procfs::{ProcDir, ProcRoot, parse};
use crate::reach;

/// The types of file systems that answer a lookup from memory or a local block device. Not overlay, which asks other
/// file systems, nor proc, which can wait for processes.
const WITHOUT_SERVER: [&[u8]; 19] = [
    b"bpf",
    b"btrfs",
    b"cgroup",
    b"cgroup2",
    b"devtmpfs",
    b"erofs",
    b"ext2",
    b"ext3",
    b"ext4",
    b"f2fs",
    b"iso9660",
    b"nsfs",
    b"ramfs",
    b"rootfs",
    b"squashfs",
    b"sysfs",
    b"tmpfs",
    b"vfat",
    b"xfs",
];

/// Whether file systems of this type are known to answer a lookup without a server.
pub fn has_no_server(fs_type: &[u8]) -> bool {
    WITHOUT_SERVER.contains(&fs_type)
}

/// The root directories of some tasks of one mount namespace, to look up paths below.
pub(crate) struct Roots<'a>(Vec<Root<'a>>);

/// The root directory of a task.
struct Root<'a> {
    proc: &'a ProcRoot,
    task: Tid,
    /// Used if the kernel cannot look up in its cache alone.
    walk: Option<Walk>,
}

/// The data for looking up a path name by name.
struct Walk {
    /// Why the kernel could not look up in its cache alone.
    refusal: Errno,
    root: OwnedFd,
    /// The mount points of file systems that can ask a server when a lookup reaches them.
    avoided: Vec<Vec<u8>>,
    /// The IDs of mounts below which a lookup is safe; each mount is held, so no other mount gets its ID meanwhile.
    safe: Vec<(u64, OwnedFd)>,
}

impl<'a> Roots<'a> {
    /// How many tasks with different root directories are tried: most members of a namespace have the same.
    const TRIES: usize = 8;

    pub(crate) fn new(proc: &'a ProcRoot, tasks: impl Iterator<Item = Tid>) -> Self {
        Self(tasks.take(Self::TRIES).map(|task| Root { proc, task, walk: None }).collect())
    }

    /// Opens a path below the first of these roots where it leads to the namespace `id`. Does not follow symbolic
    /// links.
    ///
    /// # Errors
    ///
    /// `EAGAIN`: the path is not in the kernel's cache. `ENOSYS`, `EPERM`, `EINVAL`: the kernel cannot look up in its
    /// cache alone, or a filter denies it, and the path can lead over a file system with a server.
    pub(crate) fn namespace(&mut self, path: &[u8], id: NamespaceId) -> Result<OwnedFd, Failure> {
        let mut result = Err(Cause::NoPath.into());
        for root in &mut self.0 {
            match root.namespace(path, id) {
                Ok(fd) => return Ok(fd),
                Err(failure) if failure.is_gone() || failure.is_any(&[Errno::NOTDIR]) => {}
                Err(failure) => result = Err(failure),
            }
        }
        result
    }

    /// Opens the root directory of a mount, as the first task sees it, with `O_PATH`.
    pub(crate) fn mount(&mut self, path: &[u8], mount_id: u64) -> Result<OwnedFd, Failure> {
        let root = self.0.first_mut().ok_or(Failure::VANISHED)?;
        let pinned = root.pin(path)?;
        let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
        let stated = rustix::fs::statx(&pinned, c"", flags, StatxFlags::MNT_ID).ok();
        let pinned_id = match stated.filter(|stat| stat.stx_mask & StatxFlags::MNT_ID.bits() != 0) {
            Some(stat) => stat.stx_mnt_id,
            // Before 5.8, or a filter denies it.
            None => root.proc.mount_id(pinned.as_fd())?,
        };
        if pinned_id == mount_id { Ok(pinned) } else { Err(Cause::NoPath.into()) }
    }

    /// The same, name by name, where the whole path is on file systems without a server. The kernel does not look up in its
    /// cache alone what is on sysfs.
    pub(crate) fn mount_by_names(&mut self, path: &[u8], mount_id: u64) -> Result<OwnedFd, Failure> {
        let root = self.0.first_mut().ok_or(Failure::VANISHED)?;
        if root.walk.is_none() {
            root.walk = Some(Walk::new(root.proc, root.task, Errno::AGAIN)?);
        }
        self.mount(path, mount_id)
    }
}

impl Root<'_> {
    fn namespace(&mut self, path: &[u8], id: NamespaceId) -> Result<OwnedFd, Failure> {
        let pinned = self.pin(path)?;
        if identify(self.proc, self.task, pinned.as_fd())? != id {
            return Err(Cause::NoPath.into());
        }
        reach::verified(self.proc.reopen(pinned.as_fd())?, id)
    }

    /// Opens a path with `O_PATH`.
    fn pin(&mut self, path: &[u8]) -> Result<OwnedFd, Failure> {
        if self.walk.is_none() {
            match self.pin_cached(path) {
                Err(errno @ (Errno::NOSYS | Errno::PERM | Errno::INVAL)) => {
                    self.walk = Some(Walk::new(self.proc, self.task, errno).map_err(|_| errno)?);
                }
                // Only a lookup that can wait for a server would tell.
                Err(errno @ Errno::AGAIN) => return Err(Failure::with(Cause::NotTried, errno)),
                answer => return Ok(answer?),
            }
        }
        match &mut self.walk {
            Some(walk) => walk.pin(self.proc, self.task, path),
            None => Err(Errno::NOSYS.into()),
        }
    }

    /// Opens a path from the kernel's cache alone.
    fn pin_cached(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        let root = ProcDir::open(self.proc, format!("{}/root", self.task))?;
        let relative = path.strip_prefix(b"/").unwrap_or(path);
        let relative = if relative.is_empty() { b"." } else { relative };
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_SYMLINKS;
        lxkns_sys::open_cached(&root, relative, OFlags::NOFOLLOW, resolve)
    }
}

impl Walk {
    fn new(proc: &ProcRoot, task: Tid, refusal: Errno) -> Result<Self, Failure> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::openat(proc, format!("{task}/root"), flags, Mode::empty())?;
        let mut avoided = Vec::new();
        for_each_mount(proc, task, |mount| {
            if mount.raw_fs_type != b"proc" && !has_no_server(mount.raw_fs_type) {
                avoided.push(mount.mount_point().into_owned());
            }
            false
        })?;
        Ok(Self { refusal, root, avoided, safe: Vec::new() })
    }

    /// Opens a path name by name. Each directory that is searched is known to be on a file system without a server,
    /// even if something is mounted on the way meanwhile.
    fn pin(&mut self, proc: &ProcRoot, task: Tid, path: &[u8]) -> Result<OwnedFd, Failure> {
        if self.avoided.iter().any(|mount_point| is_below(path, mount_point)) {
            return Err(self.refusal.into());
        }
        let mut at = rustix::io::fcntl_dupfd_cloexec(&self.root, 3)?;
        for name in path.split(|&byte| byte == b'/').filter(|name| !name.is_empty()) {
            if name == b"." || name == b".." {
                return Err(Cause::NoPath.into());
            }
            self.make_sure_of(proc, task, &at)?;
            at = rustix::fs::openat(&at, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        }
        Ok(at)
    }

    /// Whether a lookup below a directory is safe.
    fn make_sure_of(&mut self, proc: &ProcRoot, task: Tid, directory: &OwnedFd) -> Result<(), Failure> {
        let id = proc.mount_id(directory.as_fd())?;
        if self.safe.iter().any(|&(safe, _)| safe == id) {
            return Ok(());
        }
        let held = rustix::io::fcntl_dupfd_cloexec(directory, 3)?;
        let mut is_safe = false;
        for_each_mount(proc, task, |mount| {
            is_safe |= mount.mount_id == id && has_no_server(mount.raw_fs_type);
            mount.mount_id == id
        })?;
        if !is_safe {
            return Err(self.refusal.into());
        }
        self.safe.push((id, held));
        Ok(())
    }
}

/// Whether a path is this mount point, or leads through it.
fn is_below(path: &[u8], mount_point: &[u8]) -> bool {
    let mount_point = mount_point.strip_suffix(b"/").unwrap_or(mount_point);
    path.strip_prefix(mount_point).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// Calls `visit` for each mount that a task sees, until it asks to stop.
fn for_each_mount(
    proc: &ProcRoot,
    task: Tid,
    mut visit: impl FnMut(&parse::mountinfo::MountInfo<'_>) -> bool,
) -> Result<(), Failure> {
    let mut buffer = Vec::new();
    let text = proc.dir().read(format!("{task}/mountinfo"), &mut buffer)?;
    for mount in parse::mountinfo::parse(text) {
        if visit(&mount?) {
            break;
        }
    }
    Ok(())
}

/// Device and inode number of the file that an `O_PATH` descriptor is on, without asking any server of a file system.
///
/// If a filter denies `statx(2)`, this works for namespaces only: [`Cause::Changed`] means that the file is not a
/// namespace, or its mount is not in the list of `task`.
pub(crate) fn identify(proc: &ProcRoot, task: Tid, pinned: BorrowedFd<'_>) -> Result<NamespaceId, Failure> {
    match reach::statx_identity(pinned) {
        Ok(id) => Ok(id),
        Err(errno) if is_refusal(errno) => match identify_by_link(proc, pinned)? {
            Some(id) => Ok(id),
            None => identify_by_mount(proc, task, pinned),
        },
        Err(errno) => Err(errno.into()),
    }
}

/// The namespace that a descriptor of the caller is on, which can be an `O_PATH` one; `None` if it is on another file.
/// Asks no server of a file system.
///
/// # Errors
///
/// [`ErrorKind::Procfs`]: the procfs is not the caller's own, or cannot be read.
///
/// # Privileges
///
/// None but the descriptor.
///
/// # Minimum kernel version
///
/// 4.11.
pub fn namespace_of(proc: &ProcRoot, fd: impl AsFd) -> Result<Option<NamespaceId>, Error> {
    let what = || "cannot tell what a descriptor is on".to_owned();
    let own = proc.own_pid().ok_or_else(|| Error::new(ErrorKind::Procfs, what() + ": not the caller's procfs"))?;
    match identify(proc, Tid::from(own), fd.as_fd()) {
        Ok(id) => Ok(Some(id).filter(|id| id.dev == proc.nsfs_dev())),
        Err(failure) if failure.is_elsewhere() => Ok(None),
        Err(failure) => Err(Error::with_source(ErrorKind::Procfs, what(), failure)),
    }
}

/// The namespace that the procfs link of the caller's descriptor names. The kernel writes this form for nsfs only: a
/// file with a path begins with a slash, and others have another prefix.
fn identify_by_link(proc: &ProcRoot, pinned: BorrowedFd<'_>) -> Result<Option<NamespaceId>, Failure> {
    let mut text = [0; 64];
    let named = parse::links::parse(proc.own_link(pinned, &mut text)?);
    Ok(named.map(|(_, ino)| NamespaceId { ino, dev: proc.nsfs_dev() }))
}

/// The namespace whose bind mount a descriptor is on. While the descriptor is open, no other mount gets its ID, so the
/// line with this ID is about this mount.
fn identify_by_mount(proc: &ProcRoot, task: Tid, pinned: BorrowedFd<'_>) -> Result<NamespaceId, Failure> {
    let mount_id = proc.mount_id(pinned)?;
    let mut named = None;
    for_each_mount(proc, task, |mount| {
        if mount.mount_id == mount_id && mount.raw_fs_type == b"nsfs" {
            named = parse::links::parse(&mount.root()).map(|(_, ino)| NamespaceId { ino, dev: proc.nsfs_dev() });
        }
        mount.mount_id == mount_id
    })?;
    named.ok_or(Cause::Changed.into())
}

/// The IDs of the bind mounts of namespaces that a task sees.
pub(crate) fn bind_mounts(proc: &ProcRoot, task: Tid) -> Result<Vec<u64>, Failure> {
    let mut ids = Vec::new();
    for_each_mount(proc, task, |mount| {
        ids.extend((mount.raw_fs_type == b"nsfs").then_some(mount.mount_id));
        false
    })?;
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_below_whole_names_only() {
        assert!(is_below(b"/run/netns/a", b"/"));
        assert!(is_below(b"/run/netns/a", b"/run/netns"));
        assert!(is_below(b"/run/netns", b"/run/netns"));
        assert!(!is_below(b"/run/netns", b"/run/net"));
        assert!(!is_below(b"/run", b"/run/netns"));
    }

    #[test]
    fn a_walk_ends_where_the_kernel_goes() {
        let proc = ProcRoot::host().unwrap();
        let own = Tid(std::process::id());
        let mut walk = Walk::new(&proc, own, Errno::NOSYS).unwrap();
        walk.avoided.clear();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().canonicalize().unwrap();
        let bytes = std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str());
        match walk.pin(&proc, own, bytes) {
            Ok(pinned) => {
                let stat = rustix::fs::stat(&path).unwrap();
                assert_eq!(reach::identity(&pinned).unwrap(), NamespaceId { ino: stat.st_ino, dev: stat.st_dev });
            }
            // The directory is on a file system that is not known to have no server.
            Err(failure) => assert_eq!(failure, Errno::NOSYS.into()),
        }
    }

    #[test]
    fn a_walk_avoids_what_may_have_a_server() {
        let proc = ProcRoot::host().unwrap();
        let own = Tid(std::process::id());
        let mut walk = Walk::new(&proc, own, Errno::NOSYS).unwrap();
        walk.avoided = vec![b"/far".to_vec()];
        assert_eq!(walk.pin(&proc, own, b"/far/away").unwrap_err(), Errno::NOSYS.into());
        assert_eq!(walk.pin(&proc, own, b"/../far").unwrap_err(), Cause::NoPath.into());
        // Files below a procfs can wait for processes.
        let below = [proc.path().as_os_str().as_encoded_bytes(), b"/self/ns"].concat();
        assert_eq!(walk.pin(&proc, own, &below).unwrap_err(), Errno::NOSYS.into());
    }
}
