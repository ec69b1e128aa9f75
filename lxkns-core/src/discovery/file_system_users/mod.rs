//! The users of a file system: processes with directories, executables, open or mapped files on it, in any mount
//! namespace; and everything else that keeps it busy.
//!
//! Files of other processes are opened with `O_PATH` only, and no server of a file system is asked: it can be dead. The
//! file system of a file is known by the mount that the file was reached through. On some file systems (btrfs, overlay),
//! the device number of a file differs from that of the file system.

mod devices;
mod files;
mod kernel;
mod lists;
mod loops;
pub(super) mod mapped;
mod paths;
mod processes;

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};
use rustix::io::Errno;

use super::left_behind::LeftBehind;
use super::workers::share_out;
use crate::failure::{self, Failure};
use crate::model::CompactSort as _;
use crate::model::{
    DeviceNumber, FileSystemHolder, FileSystemHolderKind, FileSystemQuery, FileSystemUse, FileSystemUser,
    FileSystemUsers, Gap, NamespaceId, NamespaceType, Object, Operation, Pid, Place, Snapshot,
};
use crate::procfs::{ProcDir, ProcRoot, parse};

use devices::Devices;
use files::Files;
use lists::MountLists;
use processes::{Known, Part, Unlisted};

pub use devices::file_system_on;

/// [`Discovery::file_system_users`](crate::Discovery::file_system_users).
pub(super) fn file_system_users(
    proc: &ProcRoot,
    left_behind: &LeftBehind,
    snapshot: &Snapshot,
    query: FileSystemQuery,
) -> FileSystemUsers {
    let mut gaps = Vec::new();
    let files = Files::default();
    let devices = Arc::new(Devices::of(&files, snapshot, query));
    gaps.append(&mut files.take_gaps());
    let known = Known::of(proc, snapshot, query, Arc::clone(&devices), &mut gaps);
    let kernel = kernel::start(proc, snapshot, query, &devices);
    let pids: Arc<[Pid]> = match proc.pids() {
        Ok(pids) => {
            let own = own_pid(proc);
            pids.into_iter().filter(|&pid| Some(pid) != own).collect()
        }
        Err(errno) => {
            gap(&mut gaps, Place::Processes, Object::Host, Operation::list("processes"), errno);
            Arc::from([])
        }
    };
    let mut parts = share_out(&pids, |part: &mut Part, &pid| {
        match proc.process(pid) {
            Ok(dir) => processes::process(&known, part, &dir, pid),
            Err(errno) => gap(&mut part.gaps, Place::Processes, Object::Process(pid), Operation::OPEN, errno),
        };
    });
    let wanted = mapped::Wanted::of(snapshot, query.file_system, &devices);
    let mapped = if query.namespace.is_none() {
        mapped::all(proc, left_behind, snapshot, &pids, &wanted, &mut gaps)
    } else {
        Vec::new()
    };

    let mut attribution = Attribution::of(&known, query, &mut parts, &mapped);
    attribution.devices_bases(kernel.btrfs_base());
    let mut uses: FxHashMap<Pid, Vec<FileSystemUse>> = FxHashMap::default();
    let mut holders = Vec::new();
    let mut opened: FxHashSet<DeviceNumber> = FxHashSet::default();
    let mut kernel_threads: FxHashMap<u64, u64> = FxHashMap::default();
    let mut lists = MountLists::of(proc, snapshot);
    attribution.settle(parts.iter().flat_map(|part| &part.unlisted));
    for part in parts {
        opened.extend(part.opened);
        for unlisted in part.unlisted {
            opened.insert(unlisted.at.device);
            let (pid, kind) = unlisted.by;
            if attribution.is_on_it(&unlisted.at) {
                uses.entry(pid).or_default().push(FileSystemUse::new(kind, unlisted.at.mount));
            } else if query.namespace.is_none() && unlisted.may_hide_it {
                match lists.find(pid, unlisted.at.mount) {
                    Ok(Some(file_system)) if file_system == query.file_system => {
                        uses.entry(pid).or_default().push(FileSystemUse::new(kind, unlisted.at.mount));
                    }
                    Ok(Some(_)) => {}
                    Ok(None) => {
                        let kind = FileSystemHolderKind::Detached { pid, kind };
                        holders.push(FileSystemHolder::new(kind, None, false));
                    }
                    Err(failure) => {
                        gap(&mut gaps, Place::BindMounts, Object::Process(pid), Operation::FindMount, failure)
                    }
                }
            }
        }
        for (pid, file_system_use) in part.uses {
            uses.entry(pid).or_default().push(file_system_use);
        }
        for (mount, count) in part.kernel_threads {
            *kernel_threads.entry(mount).or_default() += count;
        }
        holders.extend(part.holders);
        gaps.extend(part.gaps);
    }
    for found in mapped {
        uses.entry(found.pid).or_default().push(found.into_use());
    }
    for (mount, count) in kernel_threads {
        let kind = FileSystemHolderKind::KernelThreads { count };
        holders.push(FileSystemHolder::new(kind, Some(mount), true));
    }
    let mut unread = Vec::new();
    if query.namespace.is_none() {
        let mut found = kernel.finish(&mut gaps);
        for holder in &mut found.holders {
            if let FileSystemHolderKind::Loop { device, is_used, .. } = &mut holder.kind {
                let mut numbers = found.loops.get(device).into_iter().flatten();
                *is_used |= numbers.any(|number| opened.contains(number));
            }
        }
        holders.extend(found.holders);
        unread = found.unread;
    }
    let user = |(pid, uses)| user(proc, snapshot, pid, uses, &mut gaps);
    let mut processes: Vec<_> = uses.into_iter().filter_map(user).collect();
    processes.sort_unstable();
    holders.sort_unstable();
    holders.dedup();
    gaps.compact_sort();
    gaps.dedup();
    FileSystemUsers { processes, holders, gaps, unread }
}

/// The caller, as this procfs calls it.
fn own_pid(proc: &ProcRoot) -> Option<Pid> {
    let mut text = [0; 16];
    let link = || std::str::from_utf8(proc.dir().link("self", &mut text).ok()?).ok()?.parse().ok().map(Pid);
    proc.own_pid().or_else(link)
}

/// The file systems on mounts that are in no list.
#[derive(Default)]
struct Attribution {
    /// The device numbers that files of the file system have.
    devices: FxHashSet<DeviceNumber>,
    /// Mounts of the file system that are in no list.
    mounts: FxHashSet<u64>,
    /// On btrfs: the part of the file system ID that all its files share.
    bases: FxHashSet<u64>,
    /// On nsfs: the inode that counts, and the mount that does not count.
    namespace: Option<(u64, Option<u64>)>,
}

impl Attribution {
    fn of(known: &Known<'_>, query: FileSystemQuery, parts: &mut [Part], mapped: &[mapped::Mapped]) -> Self {
        // The users found so far have the device numbers of the file system. A file with such a number on a mount that
        // is in no list tells that the mount is of this file system.
        let mut devices: FxHashSet<_> = parts.iter_mut().flat_map(|part| std::mem::take(&mut part.devices)).collect();
        // An overlay can give its files the number of a file system below it.
        devices.retain(|device| !known.is_of_another(*device));
        devices.insert(query.file_system);
        // A file system that was on one of its devices, and is not mounted any more.
        devices.extend(known.devices.all().map(|device| device.number).filter(|&number| !known.is_of_another(number)));
        let bases = parts.iter_mut().flat_map(|part| std::mem::take(&mut part.bases)).collect();
        let mounts = mapped.iter().filter_map(|mapped| mapped.mount).filter(|&mount| known.shows(mount).is_none());
        let namespace = query.namespace.map(|ino| (ino, known.internal_nsfs));
        Self { devices, bases, mounts: mounts.collect(), namespace }
    }

    fn devices_bases(&mut self, base: Option<u64>) {
        self.bases.extend(base);
    }

    /// Extends what is known to be on the file system by what is on the same mounts or has the same device numbers.
    fn settle<'a>(&mut self, unlisted: impl Iterator<Item = &'a Unlisted> + Clone) {
        if self.namespace.is_some() {
            return;
        }
        // A device number leads to a mount, the mount to a btrfs, and the btrfs to its other mounts: three steps at most.
        for _ in 0..3 {
            for Unlisted { at, .. } in unlisted.clone() {
                if self.devices.contains(&at.device) || at.base.is_some_and(|base| self.bases.contains(&base)) {
                    self.mounts.insert(at.mount);
                }
                if self.mounts.contains(&at.mount) {
                    self.bases.extend(at.base);
                }
            }
        }
    }

    fn is_on_it(&self, at: &processes::At) -> bool {
        match self.namespace {
            Some((ino, internal)) => {
                self.devices.contains(&at.device) && at.inode == ino && internal.is_some_and(|mount| mount != at.mount)
            }
            None => self.mounts.contains(&at.mount),
        }
    }
}

fn gap(gaps: &mut Vec<Gap>, place: Place, object: Object, operation: Operation, why: impl Into<Failure>) {
    gaps.extend(failure::gap(place, object, operation, why));
}

/// The process of a PID with its uses; `None` if it has vanished.
///
/// A process whose name is not readable is a user too.
fn user(
    proc: &ProcRoot,
    snapshot: &Snapshot,
    pid: Pid,
    uses: Vec<FileSystemUse>,
    gaps: &mut Vec<Gap>,
) -> Option<FileSystemUser> {
    let mut buffer = Vec::new();
    let opened = proc.process(pid);
    let read = opened.as_ref().map_err(|errno| *errno).and_then(|dir| dir.read("comm", &mut buffer));
    let comm = match read {
        Ok(comm) => comm.strip_suffix(b"\n").unwrap_or(comm).into(),
        Err(errno) if failure::is_gone(errno) => return None,
        Err(errno) => {
            gap(gaps, Place::Processes, Object::Process(pid), Operation::read("comm"), errno);
            snapshot.processes.get(&pid).map(|process| process.comm().to_owned()).unwrap_or_default()
        }
    };
    let Ok(dir) = opened else { return Some(FileSystemUser::new(pid, comm, None, uses)) };
    let mut link = [0; 64];
    let mut of = |path: String| dir.link(path, &mut link).ok().and_then(parse::links::parse);
    // If the thread group leader has exited, a living task has the link. `None` is not known, and not a gap of its own:
    // there is already one for the process.
    let mount_ns = of(format!("ns/{}", NamespaceType::Mnt)).or_else(|| {
        let tids = dir.numbers("task").unwrap_or_default();
        tids.into_iter().find_map(|tid| of(format!("task/{tid}/ns/{}", NamespaceType::Mnt)))
    });
    let mount_ns = mount_ns.map(|(_, ino)| NamespaceId { ino, dev: proc.nsfs_dev() });
    Some(FileSystemUser::new(pid, comm, mount_ns, uses))
}

/// The directory of the first living task of a process, as a path below the process's directory: empty for the thread
/// group leader, `None` if no task lives. An error if the tasks cannot be listed.
fn living(dir: &ProcDir, pid: Pid) -> Result<Option<String>, Errno> {
    let is_there = |below: &str| {
        use rustix::fs::StatxFlags;
        !matches!(dir.stat(format!("{below}root"), StatxFlags::TYPE), Err(Errno::NOENT | Errno::SRCH))
    };
    if is_there("") {
        return Ok(Some(String::new()));
    }
    let tids = dir.numbers("task")?.into_iter().filter(|&tid| tid != pid.0);
    Ok(tids.map(|tid| format!("task/{tid}/")).find(|below| is_there(below)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_that_cannot_be_listed_are_not_absent() {
        let directory = tempfile::tempdir().unwrap();
        let dir = ProcDir::open_root(directory.path()).unwrap();
        assert_eq!(living(&dir, Pid(7)), Err(Errno::NOENT), "the process has gone");
        std::fs::write(directory.path().join("task"), "").unwrap();
        assert_eq!(living(&dir, Pid(7)), Err(Errno::NOTDIR));
        std::fs::remove_file(directory.path().join("task")).unwrap();
        std::fs::create_dir_all(directory.path().join("task/7")).unwrap();
        assert_eq!(living(&dir, Pid(7)), Ok(None));
        std::fs::create_dir_all(directory.path().join("task/8/root")).unwrap();
        assert_eq!(living(&dir, Pid(7)), Ok(Some("task/8/".to_owned())));
    }
}
