//! Tasks that have other credentials than their process: each task has its own (`credentials(7)`).

use super::workers::share_out;
use crate::failure::{self, Failure};
use crate::model::CompactSort as _;
use crate::model::{Gap, Object, Operation, Pid, Place, Process, Snapshot, TaskPowers, Tid};
use crate::procfs::{ProcDir, ProcRoot, parse};

/// [`Discovery::task_powers`](crate::Discovery::task_powers).
pub(super) fn task_powers(proc: &ProcRoot, snapshot: &Snapshot) -> (Vec<TaskPowers>, Vec<Gap>) {
    let several: Vec<&Process> = snapshot.processes.values().filter(|process| process.threads > 1).collect();
    let parts = share_out(&several, |part: &mut (Vec<TaskPowers>, Vec<Gap>), process| {
        if let Err(failure) = of_process(proc, part, process) {
            part.1.extend(gap(process.pid, None, Operation::list("task"), failure));
        }
    });
    let (mut found, mut gaps) = (Vec::new(), Vec::new());
    for (some, failed) in parts {
        found.extend(some);
        gaps.extend(failed);
    }
    found.sort_unstable();
    gaps.compact_sort();
    (found, gaps)
}

fn gap(pid: Pid, tid: Option<Tid>, operation: Operation, why: impl Into<Failure>) -> Option<Gap> {
    let object = tid.map_or(Object::Process(pid), |tid| Object::Task(pid, tid));
    failure::gap(Place::ProcessFacts, object, operation, why)
}

fn of_process(
    proc: &ProcRoot,
    (found, gaps): &mut (Vec<TaskPowers>, Vec<Gap>),
    process: &Process,
) -> Result<(), Failure> {
    let pid = process.pid;
    // Without those of the process there is nothing that they could differ from.
    let Some(known) = &process.status else { return Ok(()) };
    let dir = proc.process(pid)?;
    let mut buffer = Vec::new();
    // The PID can be another process's by now.
    let stat = parse::stat::parse(dir.read_record("stat", &mut buffer)?)?;
    if stat.start_time_ticks != process.start_time_ticks() {
        return Ok(());
    }
    for tid in dir.numbers("task")?.into_iter().map(Tid) {
        match of_task(&dir, pid, tid, &mut buffer) {
            Ok(Some(task)) => {
                let same = task.effective_uid == known.uids.effective
                    && task.effective == known.capabilities.effective
                    && task.permitted == known.capabilities.permitted;
                if !same {
                    found.push(task);
                }
            }
            Ok(None) => {}
            Err(failure) => gaps.extend(gap(pid, Some(tid), Operation::read("status"), failure)),
        }
    }
    Ok(())
}

/// The credentials of a task; `None` of one that has exited, which can do nothing with them.
fn of_task(dir: &ProcDir, pid: Pid, tid: Tid, buffer: &mut Vec<u8>) -> Result<Option<TaskPowers>, Failure> {
    let status = parse::status::parse(dir.read_record(format!("task/{tid}/status"), buffer)?)?;
    if status.state.is_some_and(|state| state.is_dead()) {
        return Ok(None);
    }
    let comm = dir.read_record(format!("task/{tid}/comm"), buffer)?;
    let (uids, capabilities) = (status.process.uids, status.process.capabilities);
    Ok(Some(TaskPowers {
        pid,
        tid,
        comm: comm.strip_suffix(b"\n").unwrap_or(comm).into(),
        effective_uid: uids.effective,
        effective: capabilities.effective,
        permitted: capabilities.permitted,
    }))
}
