//! What is read of processes only at the end, once it is known which ones are worth it.

use rustix::io::Errno;

use super::search::{Found, Search};
use crate::model::{Gap, GapKind, Holder, Object, Pid, Place, ProcessStatus, Scope};
use crate::procfs::{ProcDir, ProcRoot, parse};
use crate::relations;

/// The processes that a namespace's entry will name, as far as is known: its leaders, and those that hold it by
/// something else than by being in it.
pub(super) fn in_scope(scope: Scope, found: &Found) -> Vec<Pid> {
    let mut pids = match scope {
        Scope::None => Vec::new(),
        Scope::All => found.processes.iter().map(|process| process.pid).collect(),
        Scope::Named => {
            let members = relations::members(found.processes.iter());
            let leaders = members.values().flat_map(|members| &members.leaders).copied();
            let holders = found.namespaces.values().flat_map(|seen| &seen.holders);
            leaders.chain(holders.filter_map(by_something_else)).collect()
        }
    };
    pids.sort_unstable();
    pids.dedup();
    pids
}

fn by_something_else(holder: &Holder) -> Option<Pid> {
    match *holder {
        Holder::Task { pid, .. }
        | Holder::ForChildren { pid, .. }
        | Holder::Fd { pid, .. }
        | Holder::Socket { pid, .. }
        | Holder::Tun { pid, .. } => Some(pid),
        _ => None,
    }
}

/// The directory of a process, if its PID still means the one with this start time.
pub(super) fn open(proc: &ProcRoot, pid: Pid, start_time_ticks: u64) -> Result<ProcDir, Errno> {
    let dir = proc.process(pid)?;
    let mut buffer = Vec::new();
    let stat = parse::stat::parse(dir.read_record(c"stat", &mut buffer)?).map_err(|_| Errno::BADMSG)?;
    if stat.start_time_ticks == start_time_ticks { Ok(dir) } else { Err(Errno::SRCH) }
}

/// Reads `status` of those of the named processes of which it is wanted and has not been read yet.
pub(super) fn statuses(search: &Search<'_>, found: &mut Found) {
    if search.options.status != Scope::Named {
        return;
    }
    let named = in_scope(Scope::Named, found);
    let mut missing = found
        .processes
        .iter_mut()
        .filter(|process| process.status.is_none() && named.binary_search(&process.pid).is_ok());
    let gaps: Vec<_> = missing
        .by_ref()
        .filter_map(|process| match status(search.proc, process.pid, process.start_time_ticks()) {
            Ok(status) => {
                process.status = Some(status);
                None
            }
            Err(gap) => gap,
        })
        .collect();
    found.gaps.extend(gaps);
}

fn status(proc: &ProcRoot, pid: Pid, start_time_ticks: u64) -> Result<ProcessStatus, Option<Gap>> {
    let gap = |operation: String, errno| gap(Place::ProcessFacts, Object::Process(pid), operation, errno);
    let mut buffer = Vec::new();
    let text = open(proc, pid, start_time_ticks)
        .and_then(|dir| dir.read_record(c"status", &mut buffer).map(parse::status::parse));
    match text {
        Ok(Ok(status)) => Ok(status.process),
        Ok(Err(error)) => Err(gap(error.to_string(), Errno::BADMSG)),
        Err(errno) => Err(gap("read status".into(), errno)),
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
