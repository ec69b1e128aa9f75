//! What confines processes, and what they have open that leads out of their mount namespaces.
//!
//! Descriptors of others are looked at with `statx` and by their links; only sockets are copied. No server of a file system
//! is asked.

mod device_access;
mod devices;
mod engines;
mod mapped;
mod sockets;

use std::collections::BTreeMap;

use rustc_hash::{FxHashMap, FxHashSet};
use rustix::fs::{FileType, StatxFlags};
use rustix::io::Errno;

use super::left_behind::LeftBehind;
use super::task_fds::Tables;
use super::workers::share_out;
use crate::failure::{self, Failure};
use crate::model::CompactSort as _;
use crate::model::{
    Call, Cause, ConfinementFacts, DeviceNumber, EngineSocket, Gap, NamespaceId, NamespaceType, Object, Operation,
    OutsideUse, OutsideUseKind, Pid, Place, Snapshot, TaskCredentials, Tid,
};
use crate::procfs::{ProcDir, ProcRoot, parse};
use crate::reach;

/// [`Discovery::confinement`](crate::Discovery::confinement).
pub(super) fn confinement(
    proc: &ProcRoot,
    session: &LeftBehind,
    snapshot: &Snapshot,
    pids: &[Pid],
) -> ConfinementFacts {
    let mut facts = ConfinementFacts::default();
    facts.engine_sockets = engines::sockets(proc, snapshot, &mut facts.gaps);
    let known = Known::of(proc, snapshot, pids, &facts.engine_sockets);
    let parts = share_out(pids, |part: &mut Part, &pid| match proc.process(pid) {
        Ok(dir) => process(&known, part, &dir, pid),
        Err(errno) => part.gap(Place::Processes, Object::Process(pid), Operation::OPEN, errno),
    });
    for part in parts {
        facts.kernel_threads.extend(part.kernel_threads);
        facts.tasks.extend(part.tasks);
        facts.uses.extend(part.uses);
        facts.gaps.extend(part.gaps);
    }
    let pids: Vec<_> = pids.iter().copied().filter(|pid| !facts.kernel_threads.contains(pid)).collect();
    facts.uses.extend(mapped::uses(&known, session, &pids, &mut facts.gaps));
    facts.devices = devices::files(proc, snapshot, &pids, &mut facts.gaps);
    facts.device_access = device_access::of_processes(proc, snapshot, &pids);
    facts.has_sysrq_trigger = match proc.dir().stat("sysrq-trigger", StatxFlags::TYPE) {
        Ok(_) => Some(true),
        Err(Errno::NOENT) => Some(false),
        Err(_) => None,
    };
    facts.uses.sort_unstable();
    facts.gaps.compact_sort();
    facts.gaps.dedup();
    facts
}

/// What is known before processes are read.
struct Known<'a> {
    proc: &'a ProcRoot,
    snapshot: &'a Snapshot,
    /// The mounts of the mount namespaces that these processes are in.
    mounts: FxHashMap<NamespaceId, FxHashSet<u64>>,
    /// The mounts of all mount namespaces.
    is_mounted: FxHashSet<u64>,
    engine_sockets: &'a [EngineSocket],
}

impl<'a> Known<'a> {
    fn of(proc: &'a ProcRoot, snapshot: &'a Snapshot, pids: &[Pid], engine_sockets: &'a [EngineSocket]) -> Self {
        let processes = pids.iter().filter_map(|pid| snapshot.processes.get(pid));
        let tasks = processes
            .flat_map(|process| process.tasks.iter().map(|task| &task.namespaces).chain([&process.namespaces]));
        let mut mounts: FxHashMap<NamespaceId, FxHashSet<u64>> = FxHashMap::default();
        for id in tasks.filter_map(|links| links.get(NamespaceType::Mnt)) {
            if let Some(list) = snapshot.mounts.get(&id) {
                mounts.entry(id).or_insert_with(|| list.iter().map(|mount| mount.id).collect());
            }
        }
        let is_mounted = snapshot.mounts.values().flatten().map(|mount| mount.id).collect();
        Self { proc, snapshot, mounts, is_mounted, engine_sockets }
    }
}

/// What one worker has found.
#[derive(Default)]
struct Part {
    kernel_threads: Vec<Pid>,
    tasks: BTreeMap<Pid, Vec<TaskCredentials>>,
    uses: Vec<OutsideUse>,
    gaps: Vec<Gap>,
    sockets: sockets::Asked,
    buffer: Vec<u8>,
}

impl Part {
    fn gap(&mut self, place: Place, object: Object, operation: Operation, why: impl Into<Failure>) {
        self.gaps.extend(failure::gap(place, object, operation, why));
    }
}

/// A task whose files are read.
struct Voice<'a> {
    pid: Pid,
    tid: Tid,
    /// Its mount namespace's mounts; `None` where they are not known, or not the namespace.
    mounts: Option<&'a FxHashSet<u64>>,
    /// Its network namespace; `None` where not known.
    net: Option<NamespaceId>,
    /// Its directory, below the process's.
    below: String,
    /// The mounts that it has now, where that had to be asked.
    fresh: Option<Option<FxHashSet<u64>>>,
}

fn process(known: &Known<'_>, part: &mut Part, dir: &ProcDir, pid: Pid) {
    match dir.read_record(c"stat", &mut part.buffer).map_err(Failure::from).and_then(|it| Ok(parse::stat::parse(it)?)) {
        Ok(stat) if stat.is_kernel_thread() => return part.kernel_threads.push(pid),
        Ok(_) => {}
        Err(failure) => return part.gap(Place::ProcessFacts, Object::Process(pid), Operation::read("stat"), failure),
    }
    let tids = match dir.numbers("task") {
        Ok(tids) => tids.into_iter().map(Tid),
        Err(errno) => return part.gap(Place::Tasks, Object::Process(pid), Operation::list("task"), errno),
    };
    let (mut credentials, mut tables, mut has_labels): (Vec<TaskCredentials>, Option<Tables>, _) = Default::default();
    let mut stands: Option<[Option<(u64, u64)>; 2]> = None;
    for tid in tids {
        let below = format!("task/{tid}/");
        match task(part, dir, pid, tid, &below, &mut has_labels) {
            Ok(Some(one)) => {
                let is_known = |other: &TaskCredentials| TaskCredentials { tid: other.tid, ..one.clone() } == *other;
                // Most tasks of a process are alike. How many kinds are kept has a bound: each is looked for in those.
                if !credentials.iter().any(is_known) {
                    if credentials.len() >= MOST_KINDS {
                        part.gap(Place::ProcessFacts, Object::Process(pid), Operation::read("status"), Cause::Cut);
                        continue;
                    }
                    credentials.push(one);
                }
            }
            Ok(None) => continue,
            Err(failure) => {
                part.gap(Place::ProcessFacts, Object::Task(pid, tid), Operation::read("status"), failure);
                continue;
            }
        }
        let process = known.snapshot.processes.get(&pid);
        let links = process.map(|process| {
            let of_task = process.tasks.by_tid(tid).map(|task| task.namespaces);
            of_task.filter(|links| links.get(NamespaceType::Mnt).is_some()).unwrap_or(process.namespaces)
        });
        let mounts = links.and_then(|links| known.mounts.get(&links.get(NamespaceType::Mnt)?));
        let net = links.and_then(|links| links.get(NamespaceType::Net));
        let mut voice = Voice { pid, tid, mounts, net, below, fresh: None };
        let stood = part.directories(dir, &mut voice, stands);
        stands = stands.or(Some(stood));
        let is_new = match &mut tables {
            None => {
                tables = Some(Tables::of(tid));
                Ok(true)
            }
            // kcmp(2) would mean other tasks.
            Some(_) if !known.proc.is_own() => Err(Failure::because(Cause::OtherPidNamespace)),
            Some(tables) => tables.is_new(tid).map_err(Failure::from),
        };
        match is_new {
            Ok(false) => {}
            Ok(true) => part.table(known, dir, &mut voice),
            Err(failure) => part.gap(Place::TaskFds, Object::Task(pid, tid), Call::Kcmp.into(), failure),
        }
    }
    if !credentials.is_empty() {
        part.tasks.insert(pid, credentials);
    }
}

/// How many different credentials of one process are kept.
const MOST_KINDS: usize = 64;

/// The credentials of a task; `None` of one that has exited.
fn task(
    part: &mut Part,
    dir: &ProcDir,
    pid: Pid,
    tid: Tid,
    below: &str,
    has_labels: &mut Option<bool>,
) -> Result<Option<TaskCredentials>, Failure> {
    let status = match dir.read_record(format!("{below}status"), &mut part.buffer) {
        Ok(text) => parse::status::parse(text)?,
        Err(errno) if failure::is_gone(errno) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    };
    if status.state.is_some_and(|state| state.is_dead()) {
        return Ok(None);
    }
    let label = match *has_labels {
        Some(false) => Some(None),
        _ => match crate::security_label::label(dir, below, &mut part.buffer) {
            Ok(label) => {
                has_labels.get_or_insert(label.is_some());
                Some(label)
            }
            Err(errno) => {
                part.gap(Place::ProcessFacts, Object::Task(pid, tid), Operation::read("attr/current"), errno);
                None
            }
        },
    };
    let of = status.process;
    Ok(Some(TaskCredentials {
        tid,
        uids: of.uids,
        gids: status.gids,
        capabilities: of.capabilities,
        seccomp: of.seccomp,
        no_new_privs: of.no_new_privs,
        label,
    }))
}

impl Part {
    /// Where the root and the working directory of a task are, unless it is there where the process's are.
    fn directories(
        &mut self,
        dir: &ProcDir,
        voice: &mut Voice<'_>,
        known: Option<[Option<(u64, u64)>; 2]>,
    ) -> [Option<(u64, u64)>; 2] {
        let links = [("root", OutsideUseKind::Root), ("cwd", OutsideUseKind::WorkingDirectory)];
        let mut is_told = false;
        let mut at = [None; 2];
        for (index, (link, kind)) in links.into_iter().enumerate() {
            let path = format!("{}{link}", voice.below);
            match dir.stat(&*path, StatxFlags::TYPE | StatxFlags::INO | StatxFlags::MNT_ID) {
                Ok(stat) if stat.stx_mask & StatxFlags::MNT_ID.bits() != 0 => {
                    at[index] = Some((stat.stx_mnt_id, stat.stx_ino));
                    if known.is_none_or(|known| known[index] != at[index]) {
                        self.outside(dir, voice, kind, stat.stx_mnt_id, &path);
                    }
                }
                Ok(_) => self.gap(
                    Place::Processes,
                    Object::Process(voice.pid),
                    Operation::stat("root, cwd"),
                    Failure::because(Cause::Unsupported),
                ),
                Err(errno) if !is_told => {
                    is_told = true;
                    self.gap(Place::Processes, Object::Process(voice.pid), Operation::stat("root, cwd"), errno);
                }
                Err(_) => {}
            }
        }
        at
    }

    /// Notes a directory or file that is on no mount of the task's mount namespace.
    fn outside(&mut self, dir: &ProcDir, voice: &mut Voice<'_>, kind: OutsideUseKind, mount: u64, link: &str) {
        let Some(mounts) = voice.mounts else { return };
        if mounts.contains(&mount) {
            return;
        }
        // It may have been mounted since.
        let fresh = voice.fresh.get_or_insert_with(|| {
            let text = dir.read(format!("{}mountinfo", voice.below), &mut self.buffer).ok()?;
            let id = |line: &[u8]| std::str::from_utf8(line.split(|&byte| byte == b' ').next()?).ok()?.parse().ok();
            Some(text.split(|&byte| byte == b'\n').filter_map(id).collect())
        });
        if fresh.as_ref().is_some_and(|fresh| fresh.contains(&mount)) {
            return;
        }
        self.used(dir, voice, kind, Some(mount), link);
    }

    /// Notes a regular file that is on no mount of the task's mount namespace but on one that has a namespace: others, as of
    /// `memfd_create`, are on mounts of the kernel's own.
    fn file(&mut self, known: &Known<'_>, dir: &ProcDir, voice: &mut Voice<'_>, fd: u32, mount: u64, link: &str) {
        let is_own = voice.mounts.is_some_and(|mounts| mounts.contains(&mount));
        if is_own {
            return;
        }
        if !known.is_mounted.contains(&mount) {
            return self.anonymous(dir, voice, fd, link);
        }
        // The modes of the link itself are what it was opened for.
        let is_writable = match dir.stat_link(link, StatxFlags::MODE) {
            Ok(stat) => stat.stx_mode & 0o200 != 0,
            Err(errno) => {
                return self.gap(Place::Fds, Object::Fd(voice.pid, voice.tid, fd), Operation::stat("fd"), errno);
            }
        };
        self.outside(dir, voice, OutsideUseKind::File { fd: Some(fd), is_writable }, mount, link);
    }

    /// Notes a pidfd or an io_uring with files, among files that are on mounts of the kernel's own.
    fn anonymous(&mut self, dir: &ProcDir, voice: &Voice<'_>, fd: u32, link: &str) {
        let mut text = [0; 64];
        // No path looks so.
        let is_pidfd = match dir.link(link, &mut text) {
            Ok(b"anon_inode:[io_uring]") => false,
            Ok(link) if link.starts_with(b"anon_inode:[pidfd]") || link.starts_with(b"pidfd:[") => true,
            _ => return,
        };
        self.by_info(dir, voice, fd, link, |info| match is_pidfd {
            true => Ok(parse::fdinfo::pidfd_process(info).map(|pid| OutsideUseKind::Process { fd, process: Pid(pid) })),
            false => {
                let files = parse::fdinfo::parse(info)?.registered_files.map(|files| files.at_most());
                Ok(files.filter(|&count| count > 0).map(|count| OutsideUseKind::IoUring { fd, count }))
            }
        });
    }

    /// Notes what the fdinfo of a descriptor tells.
    fn by_info(
        &mut self,
        dir: &ProcDir,
        voice: &Voice<'_>,
        fd: u32,
        link: &str,
        kind: impl FnOnce(&[u8]) -> Result<Option<OutsideUseKind>, Failure>,
    ) {
        let read = dir.read_record(format!("{}fdinfo/{fd}", voice.below), &mut self.buffer);
        match read.map_err(Failure::from).and_then(kind) {
            Ok(kind) => kind.into_iter().for_each(|kind| self.used(dir, voice, kind, None, link)),
            Err(why) => self.gap(Place::Fds, Object::Fd(voice.pid, voice.tid, fd), Operation::read("fdinfo"), why),
        }
    }

    fn used(&mut self, dir: &ProcDir, voice: &Voice<'_>, kind: OutsideUseKind, mount_id: Option<u64>, link: &str) {
        let mut text = [0; 4096];
        let path = dir.link(link, &mut text).map(bstr::BString::from).unwrap_or_default();
        self.uses.push(OutsideUse { pid: voice.pid, tid: voice.tid, kind, mount_id, path });
    }

    /// What is open in the descriptor table of a task.
    fn table(&mut self, known: &Known<'_>, dir: &ProcDir, voice: &mut Voice<'_>) {
        let fds = match dir.numbers(format!("{}fd", voice.below)) {
            Ok(fds) => fds,
            Err(errno) => return self.gap(Place::Fds, Object::Process(voice.pid), Operation::list("fd"), errno),
        };
        let mut pidfd = None;
        for fd in fds {
            let path = format!("{}fd/{fd}", voice.below);
            let stat = match dir.stat(&*path, StatxFlags::TYPE | StatxFlags::MNT_ID | StatxFlags::INO) {
                Ok(stat) => stat,
                Err(errno) => {
                    let object = Object::Fd(voice.pid, voice.tid, fd);
                    self.gap(Place::Fds, object, Operation::stat("fd"), errno);
                    if failure::is_denied(errno) {
                        // One permission goes for the whole table.
                        return;
                    }
                    continue;
                }
            };
            let mount = (stat.stx_mask & StatxFlags::MNT_ID.bits() != 0).then_some(stat.stx_mnt_id);
            let device = DeviceNumber { major: stat.stx_rdev_major, minor: stat.stx_rdev_minor };
            match FileType::from_raw_mode(stat.stx_mode.into()) {
                FileType::Directory => match mount {
                    Some(mount) => self.outside(dir, voice, OutsideUseKind::Directory { fd }, mount, &path),
                    None => {
                        let why = Failure::because(Cause::Unsupported);
                        self.gap(Place::Fds, Object::Process(voice.pid), Operation::stat("fd"), why);
                    }
                },
                FileType::RegularFile if mount.is_some() => {
                    self.file(known, dir, voice, fd, mount.unwrap_or_default(), &path)
                }
                // A pidfd's; or it is a regular one.
                FileType::Unknown => self.anonymous(dir, voice, fd, &path),
                kind @ (FileType::BlockDevice | FileType::CharacterDevice) => {
                    let is_block = kind == FileType::BlockDevice;
                    if is_block || devices::is_of_host(device) {
                        let kind = OutsideUseKind::Device { fd: Some(fd), is_block, device };
                        self.used(dir, voice, kind, mount, &path);
                    } else if device == devices::TUN {
                        let pidfd =
                            pidfd.get_or_insert_with(|| reach::pidfd_by_number(known.proc, voice.pid, voice.tid));
                        let nets = pidfd
                            .as_ref()
                            .map_err(|failure| (reach::pidfd_call(voice.pid, voice.tid), *failure))
                            .and_then(|pidfd| sockets::tun(known, pidfd, fd));
                        match nets {
                            Ok(nets) => {
                                for net in nets.into_iter().flatten().filter(|net| Some(*net) != voice.net) {
                                    self.used(dir, voice, OutsideUseKind::Tun { fd, net }, mount, &path);
                                }
                            }
                            Err((_, failure)) if failure.is_closed() => {}
                            Err((call, failure)) => {
                                self.gap(Place::Sockets, Object::Process(voice.pid), call.into(), failure);
                            }
                        }
                    }
                }
                FileType::Socket => {
                    let pidfd = pidfd.get_or_insert_with(|| reach::pidfd_by_number(known.proc, voice.pid, voice.tid));
                    let uses = match pidfd {
                        Ok(pidfd) => self.sockets.uses(known, voice, pidfd, fd, stat.stx_ino),
                        Err(failure) => Err((reach::pidfd_call(voice.pid, voice.tid), *failure)),
                    };
                    match uses {
                        Ok((uses, is_unix)) => {
                            self.uses.extend(uses);
                            if is_unix {
                                self.by_info(dir, voice, fd, &path, |info| {
                                    let count = parse::fdinfo::parse(info)?.scm_fds.filter(|&count| count > 0);
                                    Ok(count.map(|count| OutsideUseKind::InFlight { fd, count }))
                                });
                            }
                        }
                        // It was closed, or is a descriptor that only names a socket.
                        Err((_, failure)) if failure.is_closed() => {}
                        Err((call, failure)) => {
                            self.gap(Place::Sockets, Object::Process(voice.pid), call.into(), failure);
                        }
                    }
                }
                _ => {}
            }
        }
    }
}
