//! Uses of a file system by processes: directories, executables and open files.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Statx, StatxFlags};
use rustix::io::Errno;

use super::devices::Devices;
use super::{gap, living};
use crate::discovery::task_fds::Tables;
use crate::failure::Failure;
use crate::model::{
    Cause, DeviceNumber, FileSystemHolder, FileSystemHolderKind, FileSystemQuery, FileSystemUse, FileSystemUseKind,
    Gap, HiddenFiles, NamespaceType, Object, Operation, Pid, Place, Snapshot, Tid,
};
use crate::procfs::{ProcDir, ProcRoot, for_each_number, parse};
use crate::reach::{self, Fetched};

/// The types of file handles that only btrfs has (`include/linux/exportfs.h`).
const BTRFS_HANDLES: std::ops::RangeInclusive<i32> = 0x4d..=0x4f;

/// The facts that are known before processes are read.
pub(super) struct Known<'a> {
    pub(super) proc: &'a ProcRoot,
    query: FileSystemQuery,
    pub(super) devices: Arc<Devices>,
    /// The file system of each mount, by mount ID, and whether it is the wanted one.
    mounts: FxHashMap<u64, (DeviceNumber, bool)>,
    /// The file systems of the other mounts.
    others: FxHashSet<DeviceNumber>,
    /// The kernel's internal mounts, for files without a path: pipes, sockets, memory. They are in no list.
    internal: FxHashSet<u64>,
    /// The internal mount of anonymous inodes.
    anonymous: Option<u64>,
    /// The internal mount of nsfs.
    pub(super) internal_nsfs: Option<u64>,
    /// UNIX sockets by inode, and whether each is bound to a path.
    unix: FxHashMap<u64, bool>,
}

impl<'a> Known<'a> {
    pub(super) fn of(
        proc: &'a ProcRoot,
        snapshot: &Snapshot,
        query: FileSystemQuery,
        devices: Arc<Devices>,
        gaps: &mut Vec<Gap>,
    ) -> Self {
        let suffix = query.namespace.map(|ino| format!(":[{ino}]"));
        let is_it = |mount: &crate::model::Mount| {
            let of_namespace = || suffix.as_ref().is_none_or(|suffix| mount.root.ends_with(suffix.as_bytes()));
            mount.file_system == query.file_system && of_namespace()
        };
        let all = snapshot.mounts.values().flatten();
        let mounts: FxHashMap<_, _> = all.map(|mount| (mount.id, (mount.file_system, is_it(mount)))).collect();
        let file_systems = mounts.values().map(|&(file_system, _)| file_system);
        let others = file_systems.filter(|&other| other != query.file_system).collect();
        let mount_of = |fd: OwnedFd| {
            let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
            match rustix::fs::statx(&fd, c"", flags, StatxFlags::MNT_ID) {
                Ok(stat) if stat.stx_mask & StatxFlags::MNT_ID.bits() != 0 => Some(stat.stx_mnt_id),
                _ => proc.mount_id(fd.as_fd()).ok(),
            }
        };
        let anonymous = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).ok().and_then(mount_of);
        let internal_nsfs = reach::open_link(proc, "thread-self/ns/mnt").ok().and_then(mount_of);
        let pipe = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).ok().and_then(|(end, _)| mount_of(end));
        let socket = {
            use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
            socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None).ok().and_then(mount_of)
        };
        let memory = rustix::fs::memfd_create(c"lxkns", rustix::fs::MemfdFlags::CLOEXEC).ok().and_then(mount_of);
        let internal = [anonymous, internal_nsfs, pipe, socket, memory].into_iter().flatten();
        let internal = internal.filter(|mount| !mounts.contains_key(mount)).collect();
        let unix = if query.namespace.is_none() { unix_sockets(proc, snapshot, gaps) } else { FxHashMap::default() };
        Self { proc, query, devices, mounts, others, internal, anonymous, internal_nsfs, unix }
    }

    /// Whether a mount is of the file system; `None` for a mount in no list: unmounted while in use, or internal.
    pub(super) fn shows(&self, mount: u64) -> Option<bool> {
        self.mounts.get(&mount).map(|&(_, is_it)| is_it)
    }

    /// Whether another file system has this number.
    pub(super) fn is_of_another(&self, device: DeviceNumber) -> bool {
        self.others.contains(&device)
    }
}

/// The UNIX sockets of all network namespaces that have a process, and whether each is bound to a path.
fn unix_sockets(proc: &ProcRoot, snapshot: &Snapshot, gaps: &mut Vec<Gap>) -> FxHashMap<u64, bool> {
    let (mut sockets, mut seen) = (FxHashMap::default(), FxHashSet::default());
    let mut buffer = Vec::new();
    let mut read = |path: String, object: Object| {
        let text = match proc.dir().read(path, &mut buffer) {
            Ok(text) => text,
            // EINVAL: the process has given up its network namespace.
            Err(Errno::INVAL) => return,
            Err(errno) => return gap(gaps, Place::Fds, object, Operation::read("net/unix"), errno),
        };
        // Address, references, protocol, flags, type, state, inode; and the path, of an abstract name with an @.
        for line in text.split(|&byte| byte == b'\n').skip(1) {
            let mut fields = line.split(|&byte| byte == b' ').filter(|field| !field.is_empty());
            let inode = fields.nth(6).and_then(|field| std::str::from_utf8(field).ok()?.parse::<u64>().ok());
            if let Some(inode) = inode {
                let is_bound = fields.next().is_some_and(|path| path.first() != Some(&b'@'));
                sockets.insert(inode, is_bound);
            }
        }
    };
    for process in snapshot.processes.values() {
        if process.namespaces.get(NamespaceType::Net).is_some_and(|id| seen.insert(id)) {
            read(format!("{}/net/unix", process.pid), Object::Process(process.pid));
        }
    }
    read("thread-self/net/unix".to_owned(), Object::Host);
    sockets
}

/// The place of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At {
    pub(super) mount: u64,
    /// The device number that `stat` has for the file.
    pub(super) device: DeviceNumber,
    pub(super) inode: u64,
    /// On btrfs, which has a device number for each subvolume: the part of the file system ID that all files share.
    pub(super) base: Option<u64>,
}

/// A use of a mount that is in no list.
pub(super) struct Unlisted {
    pub(super) at: At,
    /// Whether the wanted file system can be on this mount or below it, which is not known.
    pub(super) may_hide_it: bool,
    pub(super) by: (Pid, FileSystemUseKind),
}

/// What one worker has found.
#[derive(Default)]
pub(super) struct Part {
    pub(super) uses: Vec<(Pid, FileSystemUse)>,
    pub(super) unlisted: Vec<Unlisted>,
    pub(super) holders: Vec<FileSystemHolder>,
    /// The number of processes for each mount with their root directory.
    pub(super) kernel_threads: FxHashMap<u64, u64>,
    /// The device numbers of files on the file system, and on btrfs the part of the ID that they share.
    pub(super) devices: Vec<DeviceNumber>,
    pub(super) bases: Vec<u64>,
    /// All open block devices.
    pub(super) opened: FxHashSet<DeviceNumber>,
    pub(super) gaps: Vec<Gap>,
    /// On btrfs: the part of the ID that files share, by mount and device number.
    known_bases: FxHashMap<(u64, DeviceNumber), Option<u64>>,
    /// The places of bound sockets, by inode.
    sockets: FxHashMap<u64, Result<At, Failure>>,
    buffer: Vec<u8>,
}

/// A task that is read.
#[derive(Clone, Copy)]
struct Voice<'a> {
    pid: Pid,
    tid: Tid,
    /// Its directory, below the process's.
    below: &'a str,
    /// Whether it has a descriptor table of its own.
    has_own_table: bool,
}

/// The files that give details of the descriptors in a table, opened when they are first needed.
#[derive(Default)]
struct Ways {
    pidfd: Option<Result<OwnedFd, Failure>>,
    info: Option<Result<ProcDir, Errno>>,
}

impl Ways {
    /// The directory `fdinfo`.
    fn info(&mut self, dir: &ProcDir, below: &str) -> Result<&ProcDir, Errno> {
        let info = self.info.get_or_insert_with(|| ProcDir::open(dir, format!("{below}fdinfo")));
        info.as_ref().map_err(|errno| *errno)
    }
}

pub(super) fn process(known: &Known<'_>, part: &mut Part, dir: &ProcDir, pid: Pid) {
    let below = match living(dir, pid) {
        Ok(Some(below)) => below,
        Ok(None) => return,
        Err(errno) => {
            return gap(&mut part.gaps, Place::Processes, Object::Process(pid), Operation::list("task"), errno);
        }
    };
    let tid =
        below.strip_prefix("task/").and_then(|tid| tid.trim_end_matches('/').parse().ok()).map_or(pid.into(), Tid);
    let voice = Voice { pid, tid, below: &below, has_own_table: false };
    let own = [
        part.directory(known, dir, voice, "root", |tid| FileSystemUseKind::Root { tid }, None),
        part.directory(known, dir, voice, "cwd", |tid| FileSystemUseKind::WorkingDirectory { tid }, None),
    ];
    let failure = own.iter().find_map(|own| own.err());
    if let Some(failure) = failure {
        gap(&mut part.gaps, Place::Processes, Object::Process(pid), Operation::stat("root, cwd"), failure);
    }
    match at(known.proc, dir, &format!("{below}exe")) {
        Ok((at, stat)) => part.note(known, dir, pid, at, &stat, None, FileSystemUseKind::Executable),
        // A kernel thread has no executable. Its directories are the kernel's, and no process can end it.
        Err(failure) if failure.is_any(&[Errno::NOENT]) && is_kernel_thread(part, dir) => {
            return part.count_kernel_thread(known, pid);
        }
        Err(failure) => gap(&mut part.gaps, Place::Processes, Object::Process(pid), Operation::stat("exe"), failure),
    }
    if failure.is_some_and(|failure| failure.is_denied()) {
        // Permission is the same for the whole process.
        return;
    }
    part.table(known, dir, voice, None);
    let tids = dir.numbers("task").unwrap_or_else(|errno| {
        gap(&mut part.gaps, Place::Processes, Object::Process(pid), Operation::list("task"), errno);
        Vec::new()
    });
    let mut tables = Tables::of(tid);
    let mut entries: Option<Entries> = None;
    for tid in tids.into_iter().map(Tid).filter(|&other| other != tid && other != Tid::from(pid)) {
        let of_thread = format!("task/{tid}/");
        let voice = Voice { pid, tid, below: &of_thread, has_own_table: true };
        let _ = part.directory(known, dir, voice, "root", |tid| FileSystemUseKind::Root { tid }, own[0].ok());
        let _ =
            part.directory(known, dir, voice, "cwd", |tid| FileSystemUseKind::WorkingDirectory { tid }, own[1].ok());
        let is_new = if known.proc.is_own() { tables.is_new(tid) } else { Err(Errno::NOSYS) };
        match is_new {
            Ok(false) => {}
            Ok(true) => part.table(known, dir, voice, None),
            Err(Errno::SRCH) => {}
            // It is not known which tasks share a table, so each table is read. A descriptor with the number and link of
            // one of the process is taken for that one.
            Err(_) => {
                let entries = entries.get_or_insert_with(|| {
                    let (entries, failed) = table_entries(dir, &format!("{below}fd"));
                    if let Err(errno) = failed {
                        gap(&mut part.gaps, Place::TaskFds, Object::Process(pid), Operation::list("fd"), errno);
                    }
                    entries
                });
                part.table(known, dir, voice, Some(entries));
            }
        }
    }
}

fn is_kernel_thread(part: &mut Part, dir: &ProcDir) -> bool {
    let read = dir.read_record(c"stat", &mut part.buffer);
    read.is_ok_and(|text| parse::stat::parse(text).is_ok_and(|stat| stat.is_kernel_thread()))
}

/// The descriptors of a table, each with the mount and inode number of its file.
type Entries = FxHashSet<(u32, u64, u64)>;

/// The descriptors of a table with their files; and why some are missing, unless they were closed.
fn table_entries(dir: &ProcDir, path: &str) -> (Entries, Result<(), Errno>) {
    let (mut entries, mut result) = (Entries::default(), Ok(()));
    let fds = dir.numbers(path).unwrap_or_else(|errno| {
        result = Err(errno);
        Vec::new()
    });
    for fd in fds {
        match dir.stat(format!("{path}/{fd}"), StatxFlags::INO | StatxFlags::MNT_ID) {
            Ok(stat) => drop(entries.insert((fd, stat.stx_mnt_id, stat.stx_ino))),
            Err(Errno::NOENT | Errno::SRCH) => {}
            Err(errno) => result = Err(errno),
        }
    }
    (entries, result)
}

impl Part {
    /// Notes a directory of a task, unless it is `known_as` that of the process already.
    fn directory(
        &mut self,
        known: &Known<'_>,
        dir: &ProcDir,
        voice: Voice<'_>,
        name: &str,
        kind: impl Fn(Tid) -> FileSystemUseKind,
        known_as: Option<(u64, u64)>,
    ) -> Result<(u64, u64), Failure> {
        let (at, stat) = at(known.proc, dir, &format!("{}{name}", voice.below))?;
        if known_as != Some((at.mount, at.inode)) {
            self.note(known, dir, voice.pid, at, &stat, Some(&format!("{}{name}", voice.below)), kind(voice.tid));
        }
        Ok((at.mount, at.inode))
    }

    /// The open files of a descriptor table. Those in `same` are known, as they are the process's.
    fn table(&mut self, known: &Known<'_>, dir: &ProcDir, voice: Voice<'_>, mut same: Option<&mut Entries>) {
        let Voice { pid, tid, below, has_own_table } = voice;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let listing = || rustix::fs::openat(dir, format!("{below}fd"), flags, Mode::empty());
        // Two descriptors: the first is borrowed while the directory is listed, and opening is cheap.
        let (list, fds) = match listing().and_then(|list| Ok((list, listing()?))) {
            Ok(opened) => opened,
            Err(errno) => return gap(&mut self.gaps, Place::Fds, Object::Process(pid), Operation::list("fd"), errno),
        };
        let mut ways = Ways::default();
        let mut visit = |name: &std::ffi::CStr, fd: u32| {
            let flags = AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
            let mask = StatxFlags::TYPE | StatxFlags::INO | StatxFlags::MNT_ID;
            let stat = rustix::fs::statx(&fds, name, flags, mask);
            let (at, stat) = match stat {
                Ok(stat) if stat.stx_mask & StatxFlags::MNT_ID.bits() != 0 => (At::of(&stat, stat.stx_mnt_id), stat),
                Ok(stat) => match self.mount_by_fdinfo(dir, below, fd) {
                    Ok(mount) => (At::of(&stat, mount), stat),
                    Err(failure) => return self.fd_gap(voice, fd, Operation::read("fdinfo"), failure),
                },
                Err(errno) => return self.fd_gap(voice, fd, Operation::stat("fd"), errno.into()),
            };
            if same.as_mut().is_some_and(|same| !same.insert((fd, at.mount, at.inode))) {
                return std::ops::ControlFlow::Continue(());
            }
            let file_type = FileType::from_raw_mode(stat.stx_mode.into());
            let device = DeviceNumber { major: stat.stx_rdev_major, minor: stat.stx_rdev_minor };
            if file_type == FileType::BlockDevice {
                self.opened.insert(device);
                if known.devices.contains(device) {
                    let kind = FileSystemUseKind::Device { tid, fd, is_tasks_own: has_own_table };
                    self.uses.push((pid, FileSystemUse::new(kind, None)));
                } else if known.devices.is_disk(device) {
                    // The kernel does not show whether it was opened for exclusive use, which excludes use of the partitions.
                    let kind = FileSystemHolderKind::Descriptor { pid, tid, fd, holds: HiddenFiles::Disk };
                    self.holders.push(FileSystemHolder::new(kind, None, false));
                }
            }
            if known.internal.contains(&at.mount) {
                if known.query.namespace.is_none() {
                    self.hidden_files(known, dir, voice, &fds, name, fd, at, file_type, &mut ways);
                }
                return std::ops::ControlFlow::Continue(());
            }
            let kind = FileSystemUseKind::Fd { tid, fd, is_tasks_own: has_own_table };
            // The path is only made if it is needed.
            let path = (known.shows(at.mount) != Some(false)).then(|| format!("{below}fd/{fd}"));
            self.note(known, dir, pid, at, &stat, path.as_deref(), kind);
            std::ops::ControlFlow::Continue(())
        };
        if let Err(errno) = for_each_number(&list, &mut visit) {
            gap(&mut self.gaps, Place::Fds, Object::Process(pid), Operation::list("fd"), errno);
        }
    }

    fn fd_gap(
        &mut self,
        voice: Voice<'_>,
        fd: u32,
        operation: Operation,
        failure: Failure,
    ) -> std::ops::ControlFlow<()> {
        gap(&mut self.gaps, Place::Fds, Object::Fd(voice.pid, voice.tid, fd), operation, failure);
        // Permission is the same for the whole table.
        match failure.is_denied() {
            true => std::ops::ControlFlow::Break(()),
            false => std::ops::ControlFlow::Continue(()),
        }
    }

    /// Before 5.8, only fdinfo has the mount ID.
    fn mount_by_fdinfo(&mut self, dir: &ProcDir, below: &str, fd: u32) -> Result<u64, Failure> {
        let text = dir.read_record(format!("{below}fdinfo/{fd}"), &mut self.buffer)?;
        parse::fdinfo::mount_id(text).ok_or(Cause::Malformed.into())
    }

    /// What a descriptor holds besides its file.
    #[expect(clippy::too_many_arguments, reason = "all of it is known where the descriptor was looked at")]
    fn hidden_files(
        &mut self,
        known: &Known<'_>,
        dir: &ProcDir,
        voice: Voice<'_>,
        fds: &OwnedFd,
        name: &std::ffi::CStr,
        fd: u32,
        at: At,
        file_type: FileType,
        ways: &mut Ways,
    ) {
        let Voice { pid, tid, below, has_own_table } = voice;
        let suspect = |part: &mut Self, holds| {
            let kind = FileSystemHolderKind::Descriptor { pid, tid, fd, holds };
            part.holders.push(FileSystemHolder::new(kind, None, false));
        };
        if file_type == FileType::Socket {
            let Some(&is_bound) = known.unix.get(&at.inode) else { return };
            let info = ways.info(dir, below).and_then(|info| info.read_record(name, &mut self.buffer));
            let count = match info.map_err(Failure::from).and_then(|text| Ok(parse::fdinfo::parse(text)?)) {
                // Kernels before 5.6 do not show it.
                Ok(info) => info.scm_fds.unwrap_or_default(),
                Err(failure) => {
                    let _ = self.fd_gap(voice, fd, Operation::read("fdinfo"), failure);
                    0
                }
            };
            if count > 0 {
                suspect(self, HiddenFiles::InFlight(count));
            }
            if !is_bound {
                return;
            }
            let place = match self.sockets.get(&at.inode) {
                Some(place) => *place,
                None => {
                    let pidfd = ways.pidfd.get_or_insert_with(|| reach::pidfd_by_number(known.proc, pid, tid));
                    let place = match pidfd {
                        Ok(pidfd) => bound_at(known.proc, pidfd, fd, at.inode),
                        Err(failure) => Err(*failure),
                    };
                    self.sockets.insert(at.inode, place);
                    place
                }
            };
            match place {
                Ok(place) => {
                    let kind = FileSystemUseKind::Socket { tid, fd, is_tasks_own: has_own_table };
                    match known.shows(place.mount) {
                        Some(true) => self.uses.push((pid, FileSystemUse::new(kind, place.mount))),
                        Some(false) => {}
                        None => self.unlisted.push(Unlisted { at: place, may_hide_it: false, by: (pid, kind) }),
                    }
                }
                // It was closed, or is an O_PATH descriptor, or is not bound to a path.
                Err(failure) if failure.is_closed() => {}
                Err(_) => suspect(self, HiddenFiles::BoundSocket),
            }
            return;
        }
        if known.anonymous != Some(at.mount) {
            return;
        }
        let mut text = [0; 64];
        let length = match rustix::fs::readlinkat_raw(fds, name, &mut text[..]) {
            Ok(length) => length,
            Err(errno) => {
                let _ = self.fd_gap(voice, fd, Operation::read_link("fd"), errno.into());
                return;
            }
        };
        match &text[..length] {
            b"anon_inode:[io_uring]" => {
                let info = dir.read(format!("{below}fdinfo/{fd}"), &mut self.buffer);
                let files = match info.map_err(Failure::from).and_then(|text| Ok(parse::fdinfo::parse(text)?)) {
                    Ok(info) => info.registered_files,
                    Err(failure) => {
                        let _ = self.fd_gap(voice, fd, Operation::read("fdinfo"), failure);
                        return;
                    }
                };
                if let Some(count) = files.map(|files| files.at_most()).filter(|&count| count > 0) {
                    suspect(self, HiddenFiles::IoUring(count));
                }
            }
            b"anon_inode:[fanotify]" => suspect(self, HiddenFiles::Fanotify),
            b"anon_inode:[perf_event]" => suspect(self, HiddenFiles::Probe),
            b"anon_inode:bpf_link" | b"anon_inode:bpf-link" => {
                let info = dir.read(format!("{below}fdinfo/{fd}"), &mut self.buffer);
                if info.map_or(true, parse::fdinfo::may_be_probe) {
                    suspect(self, HiddenFiles::Probe);
                }
            }
            b"anon_inode:[fscontext]" => suspect(self, HiddenFiles::SettingUp),
            _ => {}
        }
    }

    /// Notes a use, if the mount is of the file system. `path` leads to the file, below the directory of the process.
    #[expect(clippy::too_many_arguments, reason = "all of it is known where something was looked at")]
    fn note(
        &mut self,
        known: &Known<'_>,
        dir: &ProcDir,
        pid: Pid,
        mut at: At,
        stat: &Statx,
        path: Option<&str>,
        kind: FileSystemUseKind,
    ) {
        let shows = known.shows(at.mount);
        if shows == Some(false) {
            return;
        }
        if at.device.major == 0 && known.query.namespace.is_none() {
            at.base = *self.known_bases.entry((at.mount, at.device)).or_insert_with(|| btrfs_base(dir, path?));
        }
        if shows == Some(true) {
            self.devices.push(at.device);
            self.bases.extend(at.base);
            self.uses.push((pid, FileSystemUse::new(kind, at.mount)));
            return;
        }
        // Nothing can be mounted below a file that is not a directory. The device numbers of a btrfs are not known in advance.
        let is_directory = FileType::from_raw_mode(stat.stx_mode.into()) == FileType::Directory;
        self.unlisted.push(Unlisted { at, may_hide_it: is_directory || at.base.is_some(), by: (pid, kind) });
    }

    /// Removes what was noted of a process that is a kernel thread: all of these have the same uses.
    fn count_kernel_thread(&mut self, known: &Known<'_>, pid: Pid) {
        self.unlisted.retain(|unlisted| unlisted.by.0 != pid);
        let first = self.uses.iter().rposition(|(user, _)| *user != pid).map_or(0, |last| last + 1);
        let mounts: FxHashSet<u64> = self.uses.drain(first..).filter_map(|(_, one)| one.mount_id).collect();
        for mount in mounts.into_iter().filter(|&mount| known.shows(mount) == Some(true)) {
            *self.kernel_threads.entry(mount).or_default() += 1;
        }
    }
}

impl At {
    fn of(stat: &Statx, mount: u64) -> Self {
        let device = DeviceNumber { major: stat.stx_dev_major, minor: stat.stx_dev_minor };
        Self { mount, device, inode: stat.stx_ino, base: None }
    }
}

/// Where a link of a process leads.
fn at(proc: &ProcRoot, dir: &ProcDir, link: &str) -> Result<(At, Statx), Failure> {
    let stat = dir.stat(link, StatxFlags::TYPE | StatxFlags::INO | StatxFlags::MNT_ID)?;
    let mount = if stat.stx_mask & StatxFlags::MNT_ID.bits() != 0 {
        stat.stx_mnt_id
    } else {
        // Before 5.8, only fdinfo of an open file has the mount ID. `O_PATH` does not open the file itself.
        proc.mount_id(pin(dir, link)?.as_fd())?
    };
    Ok((At::of(&stat, mount), stat))
}

fn pin(dir: &ProcDir, link: &str) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(dir, link, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
}

/// The part of the file system ID that all files of a btrfs share, if a path leads to a file of one: the ID of
/// `statfs(2)` without the part of the subvolume. The type of the file handle tells that it is a btrfs, which answers from
/// memory.
fn btrfs_base(dir: &ProcDir, path: &str) -> Option<u64> {
    let pinned = pin(dir, path).ok()?;
    let (kind, handle) = lxkns_sys::handle_of(&pinned).ok()?;
    let subvolume = u64::from_ne_bytes(handle.get(8..16)?.try_into().ok()?);
    if !BTRFS_HANDLES.contains(&kind) {
        return None;
    }
    let id = rustix::fs::fstatvfs(&pinned).ok()?.f_fsid;
    // btrfs mixes the upper half of the subvolume's number into the first word, which is the lower one here.
    Some(id ^ subvolume.rotate_right(32))
}

/// The place of the file that a UNIX socket with this inode number is bound to.
fn bound_at(proc: &ProcRoot, pidfd: &OwnedFd, fd: u32, inode: u64) -> Result<At, Failure> {
    let socket = Fetched::new(proc, pidfd, fd)?;
    // The pidfd was opened by number, and the descriptor can be of another file by now.
    if rustix::fs::fstat(&socket)?.st_ino != inode {
        return Err(Failure::VANISHED);
    }
    let file = lxkns_sys::siocunixfile(&socket)?;
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
    let stat = rustix::fs::statx(&file, c"", flags, StatxFlags::TYPE | StatxFlags::INO | StatxFlags::MNT_ID)?;
    let has_mount = stat.stx_mask & StatxFlags::MNT_ID.bits() != 0;
    let mount = if has_mount { stat.stx_mnt_id } else { proc.mount_id(file.as_fd())? };
    Ok(At::of(&stat, mount))
}
