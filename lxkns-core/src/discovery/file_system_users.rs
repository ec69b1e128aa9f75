//! Who uses a file system: by directories, executables, open and mapped files, in whatever mount namespace.
//!
//! Nothing is opened, and no server is asked: it may be gone. What a file is on is told by the mount that it was reached
//! through, and not by its device number, which differs from the file system's on some.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use bstr::BString;
use rustc_hash::{FxHashMap, FxHashSet};
use rustix::fs::{Mode, OFlags, StatxFlags};
use rustix::io::Errno;

use super::search::share_out;
use super::task_fds::Tables;
use crate::model::{
    FileSystem, FileSystemUse, FileSystemUser, Gap, GapKind, NamespaceId, NamespaceType, Object, Operation, Pid, Place,
    Snapshot, Tid,
};
use crate::procfs::{ProcDir, ProcRoot, parse};

/// How long one process's mappings may take. None take a hundredth of it unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long those of all processes may take.
const ALL_PATIENCE: Duration = Duration::from_secs(10);
/// How many threads may be lost to processes that keep their memory locked.
const MOST_LOST: usize = 4;

/// Finds the processes that use a file system: with their root or working directory, their executable, or a file that
/// is open or mapped; in whatever mount namespace they are, and whether it is still mounted there or not. The calling
/// process is left out.
///
/// `snapshot` has the mounts of all mount namespaces ([`DiscoveryOptions::mounts`](crate::DiscoveryOptions::mounts)).
/// Sorted by PID; with what could not be read.
///
/// A process that keeps its memory locked can keep those who read its mappings waiting for ever. So a thread of their
/// own reads them; after one second without an answer it is left behind, and a gap says so.
///
/// # Privileges
///
/// For processes of others ptrace read access (`ptrace(2)`) and, for open files, `CAP_DAC_READ_SEARCH`.
///
/// # Minimum kernel version
///
/// As [`discover()`](crate::discover()). In descriptor tables that single threads have of their own it looks where
/// `kcmp(2)` is there.
pub fn file_system_users(
    proc: &ProcRoot,
    snapshot: &Snapshot,
    file_system: FileSystem,
) -> (Vec<FileSystemUser>, Vec<Gap>) {
    let mut gaps = Vec::new();
    let pids: Arc<[Pid]> = match proc.pids() {
        Ok(pids) => pids.into_iter().filter(|&pid| Some(pid) != proc.own_pid()).collect(),
        Err(errno) => {
            gap(&mut gaps, Place::Processes, Object::Host, "list processes", errno);
            return (Vec::new(), gaps);
        }
    };
    let known = Known::of(proc, snapshot, file_system);
    let mut parts = share_out(&pids, |part: &mut Part, &pid| {
        match proc.process(pid) {
            Ok(dir) => process(&known, part, &dir, pid),
            Err(errno) => gap(&mut part.gaps, Place::Processes, Object::Process(pid), "open", errno),
        };
    });
    // What was on the file system says by which device numbers it goes there; one file with such a number says of a mount
    // that is in no list what it shows.
    let mut devices: FxHashSet<_> = parts.iter_mut().flat_map(|part| std::mem::take(&mut part.devices)).collect();
    // An overlay can give its files the number of a file system below it.
    let others: FxHashSet<_> = known.mounts.values().filter(|&&other| other != file_system).collect();
    devices.retain(|device| !others.contains(device));
    devices.insert(file_system);
    let unlisted = parts.iter().flat_map(|part| &part.unlisted);
    let mounts: FxHashSet<u64> =
        unlisted.filter(|unlisted| devices.contains(&unlisted.device)).map(|unlisted| unlisted.mount).collect();
    let mut uses: FxHashMap<Pid, Vec<FileSystemUse>> = FxHashMap::default();
    for part in parts {
        let unlisted = part.unlisted.into_iter().filter(|unlisted| mounts.contains(&unlisted.mount));
        for (pid, file_system_use) in part.uses.into_iter().chain(unlisted.map(|unlisted| unlisted.by)) {
            uses.entry(pid).or_default().push(file_system_use);
        }
        gaps.extend(part.gaps);
    }
    for (pid, path) in mapped(proc, &pids, file_system, &mut gaps) {
        uses.entry(pid).or_default().push(FileSystemUse::Mapped { path });
    }
    let mut users: Vec<_> = uses.into_iter().filter_map(|(pid, uses)| user(proc, pid, uses)).collect();
    users.sort_unstable();
    gaps.sort();
    gaps.dedup();
    (users, gaps)
}

/// What is known of mounts beforehand.
struct Known<'a> {
    proc: &'a ProcRoot,
    file_system: FileSystem,
    /// The file systems of all mounts, by ID.
    mounts: FxHashMap<u64, FileSystem>,
}

impl<'a> Known<'a> {
    fn of(proc: &'a ProcRoot, snapshot: &Snapshot, file_system: FileSystem) -> Self {
        let mounts = snapshot.mounts.values().flatten().map(|mount| (mount.id, mount.file_system)).collect();
        Self { proc, file_system, mounts }
    }

    /// Whether a mount shows the file system; `None` for one that is in no list: unmounted while in use, or the kernel's.
    fn shows(&self, mount: u64) -> Option<bool> {
        self.mounts.get(&mount).map(|&file_system| file_system == self.file_system)
    }
}

/// What one worker has found.
#[derive(Default)]
struct Part {
    uses: Vec<(Pid, FileSystemUse)>,
    unlisted: Vec<Unlisted>,
    /// The device numbers of files that are on the file system.
    devices: Vec<FileSystem>,
    gaps: Vec<Gap>,
}

/// A use of a mount that is in no list.
struct Unlisted {
    mount: u64,
    /// The device number that `stat` has for the file.
    device: FileSystem,
    by: (Pid, FileSystemUse),
}

fn gap(gaps: &mut Vec<Gap>, place: Place, object: Object, operation: impl Into<Operation>, errno: Errno) {
    if GapKind::of(errno.raw_os_error()) != GapKind::Gone {
        gaps.push(Gap { place, object, operation: operation.into(), errno: errno.raw_os_error() });
    }
}

fn process(known: &Known<'_>, part: &mut Part, dir: &ProcDir, pid: Pid) {
    let main = Tid::from(pid);
    let mut place = |path: &str, file_system_use: FileSystemUse| -> Result<(u64, u64), Errno> {
        let (mount, device, inode) = mount_of(known.proc, dir, path)?;
        part.note(known, pid, mount, Some(device), || Ok(device), file_system_use);
        Ok((mount, inode))
    };
    let own =
        [place("root", FileSystemUse::Root { tid: main }), place("cwd", FileSystemUse::WorkingDirectory { tid: main })];
    match place("exe", FileSystemUse::Executable) {
        // A kernel thread has none, and a process that has exited has none any more.
        Ok(_) => {}
        Err(errno) => gap(&mut part.gaps, Place::Processes, Object::Process(pid), "statx exe", errno),
    }
    if let Some(errno) = own.iter().find_map(|own| own.err()) {
        gap(&mut part.gaps, Place::Processes, Object::Process(pid), "statx root, cwd", errno);
        if GapKind::of(errno.raw_os_error()) == GapKind::Denied {
            // One permission goes for the whole process.
            return;
        }
    }
    table(known, part, dir, pid, main);
    let tids = dir.numbers("task").unwrap_or_default();
    let mut tables = Tables::of(main);
    for tid in tids.into_iter().map(Tid).filter(|&tid| tid != main) {
        let mut place = |name: &str, file_system_use, own: &Result<(u64, u64), Errno>| {
            if let Ok((mount, device, inode)) = mount_of(known.proc, dir, &format!("task/{tid}/{name}"))
                && *own != Ok((mount, inode))
            {
                part.note(known, pid, mount, Some(device), || Ok(device), file_system_use);
            }
        };
        place("root", FileSystemUse::Root { tid }, &own[0]);
        place("cwd", FileSystemUse::WorkingDirectory { tid }, &own[1]);
        if !known.proc.is_own() {
            // kcmp(2) would mean other threads.
            continue;
        }
        match tables.is_new(tid) {
            Ok(false) => {}
            Ok(true) => table(known, part, dir, pid, tid),
            Err(errno) => gap(&mut part.gaps, Place::TaskFds, Object::Task(pid, tid), "kcmp", errno),
        }
    }
}

/// The open files in a descriptor table.
fn table(known: &Known<'_>, part: &mut Part, dir: &ProcDir, pid: Pid, tid: Tid) {
    let below = if tid == Tid::from(pid) { String::new() } else { format!("task/{tid}/") };
    let fds = match dir.numbers(format!("{below}fd")) {
        Ok(fds) => fds,
        Err(errno) => return gap(&mut part.gaps, Place::Fds, Object::Process(pid), "list fd", errno),
    };
    let mut buffer = Vec::new();
    for fd in fds {
        let read = dir.read_record(format!("{below}fdinfo/{fd}"), &mut buffer);
        let mount = match read.map(parse::fdinfo::mount_id) {
            Ok(Some(mount)) => mount,
            Ok(None) => continue,
            Err(errno) => {
                gap(&mut part.gaps, Place::Fds, Object::Fd(pid, tid, fd), "read fdinfo", errno);
                if GapKind::of(errno.raw_os_error()) == GapKind::Denied {
                    // One permission goes for the whole table.
                    return;
                }
                continue;
            }
        };
        let device = || dir.stat(format!("{below}fd/{fd}"), StatxFlags::TYPE).map(|stat| device_of(&stat));
        part.note(known, pid, mount, None, device, FileSystemUse::Fd { tid, fd });
    }
}

impl Part {
    /// Notes a use, if it is one, of whatever this mount shows. The file's device number is asked only where it matters.
    fn note(
        &mut self,
        known: &Known<'_>,
        pid: Pid,
        mount: u64,
        device: Option<FileSystem>,
        ask: impl Fn() -> Result<FileSystem, Errno>,
        file_system_use: FileSystemUse,
    ) {
        match known.shows(mount) {
            Some(true) => {
                self.devices.extend(device.or_else(|| ask().ok()));
                self.uses.push((pid, file_system_use));
            }
            Some(false) => {}
            None => {
                if let Ok(device) = ask() {
                    self.unlisted.push(Unlisted { mount, device, by: (pid, file_system_use) });
                }
            }
        }
    }
}

fn device_of(stat: &rustix::fs::Statx) -> FileSystem {
    FileSystem { major: stat.stx_dev_major, minor: stat.stx_dev_minor }
}

/// The mount that a link of a process leads to, with the device and inode number there.
fn mount_of(proc: &ProcRoot, dir: &ProcDir, link: &str) -> Result<(u64, FileSystem, u64), Errno> {
    let stat = dir.stat(link, StatxFlags::INO | StatxFlags::MNT_ID)?;
    let mount = if stat.stx_mask & StatxFlags::MNT_ID.bits() != 0 {
        stat.stx_mnt_id
    } else {
        // Before 5.8 only an open file tells. `O_PATH` opens nothing.
        let pinned = rustix::fs::openat(dir, link, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        proc.mount_id(pinned.as_fd())?
    };
    Ok((mount, device_of(&stat), stat.stx_ino))
}

/// The processes that have a file of the file system mapped, each with the first such file.
fn mapped(proc: &ProcRoot, pids: &Arc<[Pid]>, file_system: FileSystem, gaps: &mut Vec<Gap>) -> Vec<(Pid, BString)> {
    let began = Instant::now();
    let (mut mapped, mut next, mut lost) = (Vec::new(), 0, 0);
    while next < pids.len() && lost < MOST_LOST && began.elapsed() < ALL_PATIENCE {
        let Ok(proc) = proc.try_clone() else { break };
        let (answers, answered) = mpsc::channel();
        let (from, thread_pids) = (next, Arc::clone(pids));
        let read_all = move || {
            let mut buffer = Vec::new();
            for &pid in &thread_pids[from..] {
                let read = proc.process(pid).and_then(|dir| read_maps(&dir, file_system, &mut buffer));
                if answers.send(read).is_err() {
                    // Nobody waits for the rest.
                    return;
                }
            }
        };
        if std::thread::Builder::new().name("lxkns-maps".into()).spawn(read_all).is_err() {
            break;
        }
        while next < pids.len() && began.elapsed() < ALL_PATIENCE {
            let pid = pids[next];
            match answered.recv_timeout(PATIENCE) {
                Ok(Ok(Some(path))) => mapped.push((pid, path)),
                Ok(Ok(None)) => {}
                Ok(Err(errno)) => gap(gaps, Place::Processes, Object::Process(pid), "read maps", errno),
                Err(timeout) => {
                    lost += usize::from(timeout == RecvTimeoutError::Timeout);
                    gap(gaps, Place::Processes, Object::Process(pid), "read maps", Errno::TIMEDOUT);
                    next += 1;
                    break;
                }
            }
            next += 1;
        }
    }
    if next < pids.len() {
        gap(gaps, Place::Processes, Object::Host, "read maps of all processes", Errno::TIMEDOUT);
    }
    mapped
}

fn read_maps(dir: &ProcDir, file_system: FileSystem, buffer: &mut Vec<u8>) -> Result<Option<BString>, Errno> {
    let text = dir.read("maps", buffer)?;
    let first = parse::maps::first_on(text, file_system).map_err(|_| Errno::BADMSG)?;
    Ok(first.map(BString::from))
}

/// Who it is; `None` if it has gone since.
fn user(proc: &ProcRoot, pid: Pid, uses: Vec<FileSystemUse>) -> Option<FileSystemUser> {
    let dir = proc.process(pid).ok()?;
    let mut buffer = Vec::new();
    let comm = dir.read("comm", &mut buffer).ok()?;
    let comm = BString::from(comm.strip_suffix(b"\n").unwrap_or(comm));
    let mut link = [0; 64];
    let mount_ns = dir.link(format!("ns/{}", NamespaceType::Mnt), &mut link).ok().and_then(parse::links::parse);
    let mount_ns = mount_ns.map(|(_, ino)| NamespaceId { ino, dev: proc.nsfs_dev() });
    Some(FileSystemUser::new(pid, comm, mount_ns, uses))
}
