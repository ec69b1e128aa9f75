//! Processes with attached System V shared memory: a segment keeps its IPC namespace, which a mapping does not name.

use rustc_hash::FxHashMap;

use super::file_system_users::mapped;
use super::left_behind::LeftBehind;
use crate::failure::{self, Failure};
use crate::model::CompactSort as _;
use crate::model::{Gap, Object, Operation, Pid, Place, Snapshot, Suspect};
use crate::procfs::parse::maps::{self, Segment};
use crate::procfs::{ProcDir, ProcRoot};

/// [`Discovery::shared_memory_users`](crate::Discovery::shared_memory_users).
pub(super) fn shared_memory_users(
    proc: &ProcRoot,
    session: &LeftBehind,
    snapshot: &Snapshot,
) -> (Vec<Suspect>, Vec<Gap>) {
    let mut gaps = Vec::new();
    let pids = match proc.pids() {
        Ok(pids) => pids,
        Err(errno) => {
            gaps.extend(failure::gap(Place::Suspects, Object::Host, Operation::list("processes"), errno));
            Vec::new()
        }
    };
    let pids: Vec<Pid> = pids.into_iter().filter(|&pid| Some(pid) != proc.own_pid()).collect();
    let found = mapped::of_each(proc, session, snapshot, &pids, &mut gaps, |dir, pid, buffer| {
        Ok((pid, segments(dir, pid, buffer)?))
    });
    gaps.iter_mut().for_each(|gap| gap.place = Place::Suspects);
    let mut counts: FxHashMap<Segment, u64> = FxHashMap::default();
    for segment in found.iter().flat_map(|(_, segments)| segments) {
        *counts.entry(*segment).or_default() += 1;
    }
    let own = own_attaches(proc, &mut gaps);
    // IDs are those of an IPC namespace: where all mappings are those of the caller's own, none is of another.
    let is_own = |segment: &Segment| own.get(segment).is_some_and(|count| counts.get(segment) == Some(count));
    let mut suspects: Vec<_> = found
        .iter()
        .flat_map(|(pid, segments)| segments.iter().map(|segment| (*pid, *segment)))
        .filter(|(_, segment)| !is_own(segment))
        .map(|(pid, Segment { id, key })| Suspect::SharedMemory { pid, id, key })
        .collect();
    suspects.sort_unstable();
    suspects.dedup();
    gaps.compact_sort();
    (suspects, gaps)
}

fn segments(dir: &ProcDir, pid: Pid, buffer: &mut Vec<u8>) -> Result<Vec<Segment>, Failure> {
    let text = mapped::maps(dir, pid, buffer)?;
    Ok(maps::segments(text).collect::<Result<_, _>>()?)
}

/// The segments of the caller's own IPC namespace, with how many mappings each has.
fn own_attaches(proc: &ProcRoot, gaps: &mut Vec<Gap>) -> FxHashMap<Segment, u64> {
    let mut buffer = Vec::new();
    let read = proc.read_own("sysvipc/shm", &mut buffer);
    let attaches = read.and_then(|text| Ok(maps::attaches(text).collect::<Result<_, _>>()?));
    attaches.unwrap_or_else(|failure| {
        // A kernel without System V IPC has no such file, which is no gap.
        gaps.extend(failure.gap(Place::Suspects, Object::Host, Operation::read("sysvipc/shm")));
        FxHashMap::default()
    })
}
