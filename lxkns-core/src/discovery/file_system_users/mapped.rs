//! Files that processes have mapped.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use bstr::BString;
use rustc_hash::{FxHashMap, FxHashSet};
use rustix::fs::{FileType, StatxFlags};
use rustix::io::Errno;

use super::super::left_behind::LeftBehind;
use super::devices::Devices;
use super::{gap, living};
use crate::failure::Failure;
use crate::model::{
    Cause, DeviceNumber, FileSystemUse, FileSystemUseKind, Gap, Mount, Object, Operation, Pid, Place, Snapshot,
};
use crate::procfs::{ProcDir, ProcRoot, parse};

/// The timeout for the mappings of one process, at least a hundred times what they normally take.
const PATIENCE: Duration = Duration::from_secs(1);
/// The timeout for the mappings of all processes.
const ALL_PATIENCE: Duration = Duration::from_secs(10);
/// The maximum number of threads that are left behind at processes whose memory is locked.
const MOST_LOST: usize = 4;

/// A mapped file of the file system: the first of a process on a mount.
pub(super) struct Mapped {
    pub(super) pid: Pid,
    path: BString,
    /// The mount, if known (`map_files`).
    pub(super) mount: Option<u64>,
    /// Whether it is a device of the file system, not a file on it.
    is_device: bool,
}

impl Mapped {
    pub(super) fn into_use(self) -> FileSystemUse {
        match self.is_device {
            true => FileSystemUse::new(FileSystemUseKind::MappedDevice { path: self.path }, None),
            false => FileSystemUse::new(FileSystemUseKind::Mapped { path: self.path }, self.mount),
        }
    }
}

/// The wanted mappings.
#[derive(Clone)]
pub(super) struct Wanted {
    file_system: DeviceNumber,
    devices: Arc<Devices>,
    /// The file systems with device files.
    with_devices: FxHashSet<DeviceNumber>,
}

impl Wanted {
    pub(super) fn of(snapshot: &Snapshot, file_system: DeviceNumber, devices: &Arc<Devices>) -> Self {
        let has_devices = |mount: &&Mount| ["devtmpfs", "tmpfs"].iter().any(|fs_type| *mount.fs_type == **fs_type);
        let mounts = snapshot.mounts.values().flatten().filter(has_devices);
        let with_devices = mounts.map(|mount| mount.file_system).filter(|_| !devices.own.is_empty()).collect();
        Self { file_system, devices: Arc::clone(devices), with_devices }
    }
}

/// The device number of each mapped file on a file system with device files.
type Known = FxHashMap<(DeviceNumber, Vec<u8>), Option<DeviceNumber>>;

/// The mapped files and devices of the file system: the first of each process on each mount.
pub(super) fn all(
    proc: &ProcRoot,
    session: &LeftBehind,
    snapshot: &Snapshot,
    pids: &[Pid],
    wanted: &Wanted,
    gaps: &mut Vec<Gap>,
) -> Vec<Mapped> {
    let (wanted, mut known) = (wanted.clone(), Known::default());
    let read = move |dir: &ProcDir, pid: Pid, buffer: &mut Vec<u8>| read(dir, pid, &wanted, buffer, &mut known);
    of_each(proc, session, snapshot, pids, gaps, read).into_iter().flatten().collect()
}

/// Reads the mappings of each process on a separate thread, which is left behind if it gets no answer.
pub(in crate::discovery) fn of_each<T: Send + 'static>(
    proc: &ProcRoot,
    session: &LeftBehind,
    snapshot: &Snapshot,
    pids: &[Pid],
    gaps: &mut Vec<Gap>,
    read: impl FnMut(&ProcDir, Pid, &mut Vec<u8>) -> Result<T, Failure> + Clone + Send + 'static,
) -> Vec<T> {
    let began = Instant::now();
    let life = |pid: Pid| snapshot.processes.get(&pid).map(|process| (pid, process.start_time_ticks()));
    let (left_alone, pids): (Vec<Pid>, Vec<Pid>) =
        pids.iter().partition(|&&pid| life(pid).is_some_and(|life| session.waits_for(life)));
    for pid in left_alone {
        gap(gaps, Place::Processes, Object::Process(pid), Operation::read("maps"), Cause::TimedOut);
    }
    let pids: Arc<[Pid]> = pids.into();
    let (mut found, mut next, mut lost) = (Vec::new(), 0, 0);
    while next < pids.len() && lost < MOST_LOST && began.elapsed() < ALL_PATIENCE {
        let Ok(proc) = proc.try_clone() else { break };
        let (answers, answered) = mpsc::channel();
        let (from, thread_pids, mut read) = (next, Arc::clone(&pids), read.clone());
        let read_all = move || {
            let mut buffer = Vec::new();
            for &pid in &thread_pids[from..] {
                let read = proc.process(pid).map_err(Failure::from).and_then(|dir| read(&dir, pid, &mut buffer));
                if answers.send(read).is_err() {
                    // The caller does not wait for the rest.
                    return;
                }
            }
        };
        let Ok(thread) = std::thread::Builder::new().name("lxkns-maps".into()).spawn(read_all) else { break };
        while next < pids.len() && began.elapsed() < ALL_PATIENCE {
            let pid = pids[next];
            match answered.recv_timeout(PATIENCE) {
                Ok(Ok(answer)) => found.push(answer),
                Ok(Err(failure)) => gap(gaps, Place::Processes, Object::Process(pid), Operation::read("maps"), failure),
                Err(timeout) => {
                    gap(gaps, Place::Processes, Object::Process(pid), Operation::read("maps"), Cause::TimedOut);
                    next += 1;
                    if timeout == RecvTimeoutError::Timeout {
                        lost += 1;
                        if let Some(life) = life(pid) {
                            session.leave(life, thread);
                        }
                    }
                    break;
                }
            }
            next += 1;
        }
    }
    if next < pids.len() {
        gap(gaps, Place::Processes, Object::Host, Operation::read("maps of all processes"), Cause::TimedOut);
    }
    found
}

/// The mappings of a process: `/proc/PID/maps`.
pub(in crate::discovery) fn maps<'a>(dir: &ProcDir, pid: Pid, buffer: &'a mut Vec<u8>) -> Result<&'a [u8], Errno> {
    let length = match dir.read("maps", buffer) {
        // `maps` of an exited thread group leader is empty; the other tasks still have the memory.
        Ok([]) | Err(Errno::NOENT | Errno::SRCH) => match living(dir, pid)? {
            Some(below) => dir.read(format!("{below}maps"), buffer)?.len(),
            None => 0,
        },
        answer => answer?.len(),
    };
    Ok(&buffer[..length])
}

fn read(
    dir: &ProcDir,
    pid: Pid,
    wanted: &Wanted,
    buffer: &mut Vec<u8>,
    known: &mut Known,
) -> Result<Vec<Mapped>, Failure> {
    let text = maps(dir, pid, buffer)?;
    // A file counts once, even if several of its parts are mapped.
    let (mut files, mut mounts) = (FxHashSet::default(), FxHashMap::default());
    let mut found = Vec::new();
    let is_wanted = |on: DeviceNumber| on == wanted.file_system || wanted.with_devices.contains(&on);
    for mapping in parse::maps::on(text, is_wanted) {
        let mapping = mapping?;
        if !files.insert((mapping.file_system, mapping.inode)) {
            continue;
        }
        let link = bstr::concat([&b"map_files/"[..], mapping.addresses.0, b"-", mapping.addresses.1]);
        if wanted.with_devices.contains(&mapping.file_system) {
            let key = (mapping.file_system, mapping.inode.to_vec());
            let device =
                *known.entry(key).or_insert_with(|| device(dir, link.as_slice(), mapping.path, &wanted.devices));
            if device.is_some_and(|device| wanted.devices.contains(device)) {
                found.push(Mapped { pid, path: mapping.path.into(), mount: None, is_device: true });
            }
        }
        if mapping.file_system != wanted.file_system {
            continue;
        }
        let stat = dir.stat(link, StatxFlags::MNT_ID).ok();
        let mount = stat.filter(|stat| stat.stx_mask & StatxFlags::MNT_ID.bits() != 0).map(|stat| stat.stx_mnt_id);
        mounts.entry(mount).or_insert_with(|| BString::from(mapping.path));
    }
    found.extend(mounts.into_iter().map(|(mount, path)| Mapped { pid, path, mount, is_device: false }));
    found.sort_unstable_by_key(|mapped| mapped.mount);
    Ok(found)
}

/// The block device that a mapped file is. Without permission to follow the link, only its name is known.
fn device(dir: &ProcDir, link: &[u8], path: &[u8], devices: &Devices) -> Option<DeviceNumber> {
    match dir.stat(link, StatxFlags::TYPE) {
        Ok(stat) => {
            let is_device = FileType::from_raw_mode(stat.stx_mode.into()) == FileType::BlockDevice;
            is_device.then_some(DeviceNumber { major: stat.stx_rdev_major, minor: stat.stx_rdev_minor })
        }
        Err(_) => {
            let name = path.strip_prefix(b"/dev/")?;
            devices.all().find(|device| *device.path() == *name).map(|device| device.number)
        }
    }
}
