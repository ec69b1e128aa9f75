//! What is read of processes only at the end, once it is known which ones are worth it.

use std::collections::BTreeSet;

use rustix::io::Errno;

use super::search::Search;
use crate::model::{Gap, GapKind, Holder, Object, Pid, Place, Process, Scope, Snapshot};
use crate::procfs::{ProcDir, ProcRoot, parse};

/// The processes in this scope.
pub(super) fn pids(snapshot: &Snapshot, scope: Scope) -> Vec<Pid> {
    match scope {
        Scope::None => Vec::new(),
        Scope::All => snapshot.processes.keys().copied().collect(),
        Scope::Named => {
            let leaders = snapshot.namespaces.values().flat_map(|namespace| &namespace.leaders).copied();
            let holders = snapshot.namespaces.values().flat_map(|namespace| &namespace.holders);
            let holders = holders.filter_map(|holder| match *holder {
                Holder::Task { pid, .. }
                | Holder::ForChildren { pid, .. }
                | Holder::Fd { pid, .. }
                | Holder::Socket { pid, .. }
                | Holder::Tun { pid, .. } => Some(pid),
                _ => None,
            });
            let named: BTreeSet<_> = leaders.chain(holders).collect();
            named.into_iter().filter(|pid| snapshot.processes.contains_key(pid)).collect()
        }
    }
}

/// The directory of a process, if its PID still means the one with this start time.
pub(super) fn open(proc: &ProcRoot, pid: Pid, start_time_ticks: u64) -> Result<ProcDir, Errno> {
    let dir = proc.process(pid)?;
    let mut buffer = Vec::new();
    let stat = parse::stat::parse(dir.read("stat", &mut buffer)?).map_err(|_| Errno::BADMSG)?;
    if stat.start_time_ticks == start_time_ticks { Ok(dir) } else { Err(Errno::SRCH) }
}

/// Reads `status` of the processes that a namespace's entry names, where that was asked for.
pub(super) fn statuses(search: &Search<'_>, snapshot: &mut Snapshot) {
    if search.options.status != Scope::Named {
        return;
    }
    let mut buffer = Vec::new();
    for pid in pids(snapshot, Scope::Named) {
        let Some(process) = snapshot.processes.get_mut(&pid) else { continue };
        if let Err(gap) = status(search, process, &mut buffer) {
            snapshot.gaps.extend(gap);
        }
    }
}

fn status(search: &Search<'_>, process: &mut Process, buffer: &mut Vec<u8>) -> Result<(), Option<Gap>> {
    let object = Object::Process(process.pid);
    let text = open(search.proc, process.pid, process.start_time_ticks())
        .and_then(|dir| dir.read("status", buffer).map(drop))
        .map_err(|errno| gap(Place::ProcessFacts, object.clone(), "read status", errno));
    text?;
    match parse::status::parse(buffer) {
        Ok(status) => {
            process.status = Some(status.process);
            Ok(())
        }
        Err(error) => Err(gap(Place::ProcessFacts, object, error.to_string(), Errno::BADMSG)),
    }
}

/// What could not be read, unless it was just gone.
pub(super) fn gap(
    place: Place,
    object: Object,
    operation: impl Into<crate::model::Operation>,
    errno: Errno,
) -> Option<Gap> {
    let gap = Gap { place, object, operation: operation.into(), errno: errno.raw_os_error() };
    (gap.kind() != GapKind::Gone).then_some(gap)
}
