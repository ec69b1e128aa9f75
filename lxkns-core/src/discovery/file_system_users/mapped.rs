//! Files that processes have mapped.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use bstr::BString;
use rustc_hash::{FxHashMap, FxHashSet};
use rustix::fs::StatxFlags;
use rustix::io::Errno;

use super::super::left_behind::LeftBehind;
use super::{gap, living};
use crate::model::{FileSystem, FileSystemUse, FileSystemUseKind, Gap, Object, Pid, Place, Snapshot};
use crate::procfs::{ProcDir, ProcRoot, parse};

/// How long one process's mappings may take. None take a hundredth of it unless something is wrong.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long those of all processes may take.
const ALL_PATIENCE: Duration = Duration::from_secs(10);
/// How many threads may be lost to processes that keep their memory locked.
const MOST_LOST: usize = 4;

/// A mapped file of the file system: the first that a process has through a mount.
pub(super) struct Mapped {
    pub(super) pid: Pid,
    path: BString,
    /// The mount, where the kernel says (`map_files`).
    pub(super) mount: Option<u64>,
}

impl Mapped {
    pub(super) fn into_use(self) -> FileSystemUse {
        FileSystemUse::new(FileSystemUseKind::Mapped { path: self.path }, self.mount)
    }
}

/// The files of the file system that processes have mapped: the first through each mount.
pub(super) fn all(
    proc: &ProcRoot,
    session: &LeftBehind,
    snapshot: &Snapshot,
    pids: &[Pid],
    file_system: FileSystem,
    gaps: &mut Vec<Gap>,
) -> Vec<Mapped> {
    let began = Instant::now();
    let life = |pid: Pid| snapshot.processes.get(&pid).map(|process| (pid, process.start_time_ticks()));
    let (left_alone, pids): (Vec<Pid>, Vec<Pid>) =
        pids.iter().partition(|&&pid| life(pid).is_some_and(|life| session.waits_for(life)));
    for pid in left_alone {
        gap(gaps, Place::Processes, Object::Process(pid), "read maps", Errno::TIMEDOUT);
    }
    let pids: Arc<[Pid]> = pids.into();
    let (mut mapped, mut next, mut lost) = (Vec::new(), 0, 0);
    while next < pids.len() && lost < MOST_LOST && began.elapsed() < ALL_PATIENCE {
        let Ok(proc) = proc.try_clone() else { break };
        let (answers, answered) = mpsc::channel();
        let (from, thread_pids) = (next, Arc::clone(&pids));
        let read_all = move || {
            let mut buffer = Vec::new();
            for &pid in &thread_pids[from..] {
                let read = proc.process(pid).and_then(|dir| read(&dir, pid, file_system, &mut buffer));
                if answers.send(read).is_err() {
                    // Nobody waits for the rest.
                    return;
                }
            }
        };
        let Ok(thread) = std::thread::Builder::new().name("lxkns-maps".into()).spawn(read_all) else { break };
        while next < pids.len() && began.elapsed() < ALL_PATIENCE {
            let pid = pids[next];
            match answered.recv_timeout(PATIENCE) {
                Ok(Ok(found)) => mapped.extend(found),
                Ok(Err(errno)) => gap(gaps, Place::Processes, Object::Process(pid), "read maps", errno),
                Err(timeout) => {
                    gap(gaps, Place::Processes, Object::Process(pid), "read maps", Errno::TIMEDOUT);
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
        gap(gaps, Place::Processes, Object::Host, "read maps of all processes", Errno::TIMEDOUT);
    }
    mapped
}

fn read(dir: &ProcDir, pid: Pid, file_system: FileSystem, buffer: &mut Vec<u8>) -> Result<Vec<Mapped>, Errno> {
    let text = match dir.read("maps", buffer) {
        // That of a thread group leader that has exited is empty; its threads still have the memory.
        Ok([]) | Err(Errno::NOENT | Errno::SRCH) => {
            let Some(below) = living(dir, pid) else { return Ok(Vec::new()) };
            dir.read(format!("{below}maps"), buffer)?
        }
        answer => answer?,
    };
    // A file counts once, however many of its parts are mapped.
    let (mut files, mut mounts) = (FxHashSet::default(), FxHashMap::default());
    for mapping in parse::maps::on(text, file_system) {
        let mapping = mapping.map_err(|_| Errno::BADMSG)?;
        if !files.insert(mapping.inode) {
            continue;
        }
        let link = bstr::concat([&b"map_files/"[..], mapping.addresses.0, b"-", mapping.addresses.1]);
        let stat = dir.stat(link, StatxFlags::MNT_ID).ok();
        let mount = stat.filter(|stat| stat.stx_mask & StatxFlags::MNT_ID.bits() != 0).map(|stat| stat.stx_mnt_id);
        mounts.entry(mount).or_insert_with(|| BString::from(mapping.path));
    }
    let mut found: Vec<_> = mounts.into_iter().map(|(mount, path)| Mapped { pid, path, mount }).collect();
    found.sort_unstable_by_key(|mapped| mapped.mount);
    Ok(found)
}
