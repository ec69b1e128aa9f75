//! Place 1: processes.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::fds::Table;
use super::found::Found;
use super::named::Known;
use super::search::Search;
use super::session::{Progress, Step};
use super::tasks::{OtherTask, Reading};
use super::{command_lines, fds, for_children, task_fds, tasks};
use crate::error::{Error, ErrorKind};
use crate::failure::Failure;
use crate::model::{
    Cause, NamespaceLinks, NamespaceType, Object, Operation, Pid, Place, Process, ProcessStatus, Scope, Tasks, Tid,
};
use crate::mount_access::MountAccess;
use crate::procfs::ProcDir;
use crate::reach;

/// The calling process.
pub(super) fn own(search: &Search<'_>) -> Found {
    let mut found = Found::default();
    if let Some(pid) = search.proc.own_pid() {
        process(search, &mut found, pid);
    }
    found
}

/// Reads all processes from procfs, except the calling one and its helpers in mount namespaces.
pub(super) fn all(search: &Search<'_>) -> Result<Found, Error> {
    let pids = others(search)?;
    let mut found = each(search, &pids, |found, &pid| process(search, found, pid));
    if !pids.contains(&Pid(1)) && search.proc.own_pid() != Some(Pid(1)) {
        // Each PID namespace has a PID 1; if it is not listed, others can be missing too (procfs mounted with hidepid).
        found.gap(Place::Processes, Object::Host, Operation::list("processes"), Cause::Hidden);
    }
    Ok(found)
}

/// Calls `read` for each process, until the scan is cancelled, and reports how far it is.
pub(super) fn each<T: Sync>(search: &Search<'_>, all: &[T], read: impl Fn(&mut Found, &T) + Sync) -> Found {
    let done = AtomicUsize::new(0);
    search.for_each(all, |found, item| {
        if search.session.is_cancelled() {
            return;
        }
        read(found, item);
        let processes = done.fetch_add(1, Ordering::Relaxed) + 1;
        if processes.is_multiple_of(100) {
            search.session.tell(Progress { step: Step::Processes, processes, all_processes: all.len() });
        }
    })
}

/// Reads the processes that have started since `found`.
pub(super) fn newcomers(search: &Search<'_>, found: &Found) -> Result<Found, Error> {
    let mut known: Vec<_> = found.processes.iter().map(|process| process.pid).collect();
    known.sort_unstable();
    let mut pids = others(search)?;
    pids.retain(|pid| known.binary_search(pid).is_err());
    Ok(search.for_each(&pids, |found, &pid| process(search, found, pid)))
}

fn others(search: &Search<'_>) -> Result<Vec<Pid>, Error> {
    let mut pids = search.proc.pids().map_err(|errno| {
        let path = search.proc.path().display();
        Error::with_source(ErrorKind::Procfs, format!("cannot list the processes in {path}"), errno)
    })?;
    let left_out = left_out(search);
    pids.retain(|pid| !left_out.contains(pid));
    Ok(pids)
}

/// The calling process, which is read first, and the helpers in mount namespaces, also those that are left from an earlier
/// scan.
pub(super) fn left_out(search: &Search<'_>) -> Vec<Pid> {
    let helpers = search.access.map(MountAccess::helpers).unwrap_or_default();
    helpers.into_iter().chain(search.proc.own_pid()).collect()
}

/// Reads one process with its tasks and descriptors. A process that vanishes during the read is left out.
pub(super) fn process(search: &Search<'_>, found: &mut Found, pid: Pid) {
    /// The number of tries. A process that executes programs faster than it can be read is a gap.
    const TRIES: usize = 16;
    /// The number of readings as exiting that are not believed. Between them, a process that executes programs one after
    /// another is seen alive.
    const DOUBTS: usize = 3;
    let result = search.proc.process(pid).map_err(Failure::from).and_then(|dir| {
        let mut doubts = DOUBTS;
        let mut reads = (0..TRIES).map(|_| read(search, found, &dir, pid, &mut doubts));
        reads.find(|read| *read != Err(tasks::UNSETTLED)).unwrap_or(Err(tasks::UNSETTLED))
    });
    if let Err(failure) = result {
        found.gap(Place::Processes, Object::Process(pid), Operation::read("stat"), failure);
    }
}

/// Reads one process; [`tasks::UNSETTLED`] if it changes meanwhile, or is read as exiting while there are `doubts`, which
/// this uses up.
fn read(search: &Search<'_>, found: &mut Found, dir: &ProcDir, pid: Pid, doubts: &mut usize) -> Result<(), Failure> {
    let known = found.namespaces.len();
    found.directories.insert(pid, reach::identity(dir)?.ino);
    let mut main = tasks::read(search, found, dir, pid, Tid::from(pid), None, true)?;
    let is_spent = main.is_spent();
    let looks_at_tasks = search.looks_in(Place::Tasks) || search.looks_in(Place::TaskFds) || is_spent;
    let mut others =
        if main.threads > 1 && looks_at_tasks { tasks::others(search, found, dir, &main)? } else { Vec::new() };

    // If the thread group leader has exited before the others, a living task stands for the process.
    let living = others.iter_mut().find(|thread| thread.is_alive);
    let (voice, mut namespaces) = match living {
        Some(living) if is_spent => (living.tid, living.namespaces),
        _ => (main.task.tid, main.task.namespaces),
    };
    let table = Table::open(search, found, dir, pid, voice);
    if is_spent {
        // A task that was counted or chosen and has vanished may have become the thread group leader.
        let has_lost_some = match voice == Tid::from(pid) {
            true => others.len() + 1 < main.threads as usize,
            false => tasks::has_gone(dir, voice),
        };
        if has_lost_some || tasks::has_new_first(dir, &mut found.buffer) {
            return Err(tasks::UNSETTLED);
        }
        if !main.task.state.is_dead() && voice == Tid::from(pid) && *doubts > 0 {
            *doubts -= 1;
            std::thread::yield_now();
            return Err(tasks::UNSETTLED);
        }
    }
    if !is_spent {
        for_children::ask_where_no_link(search, found, pid, voice, &mut namespaces);
        main.task.namespaces = namespaces;
    }

    let mut gathered = Gathered { pid, main, others, voice, namespaces };
    hold(search, found, &mut gathered);
    if let Some(table) = table {
        fds::scan(search, found, dir, &table, namespaces.get(NamespaceType::Net), None);
        if !namespaces.is_empty() {
            task_fds::all(search, found, dir, &table, &gathered.others);
        }
    }
    finish(search, found, gathered, known, |found| tasks::status(search, found, dir, pid, voice));
    Ok(())
}

/// What was read of a process.
pub(super) struct Gathered {
    pub(super) pid: Pid,
    pub(super) main: Reading,
    pub(super) others: Vec<OtherTask>,
    /// The task that stands for the process.
    pub(super) voice: Tid,
    /// The namespaces of that one.
    pub(super) namespaces: NamespaceLinks,
}

/// Notes the namespaces of a process and of its tasks, with those for their children.
pub(super) fn hold(search: &Search<'_>, found: &mut Found, gathered: &mut Gathered) {
    let Gathered { pid, voice, ref namespaces, ref mut others, .. } = *gathered;
    if search.looks_in(Place::Processes) && voice == Tid::from(pid) {
        found.note_process(search, pid, namespaces);
    }
    for_children::of_process(search, found, pid, voice, namespaces);
    if search.looks_in(Place::Tasks) {
        // If the thread group leader has exited, the namespaces of the other tasks were not noted for the process.
        let held_by_process = if voice == Tid::from(pid) { *namespaces } else { NamespaceLinks::default() };
        tasks::hold(search, found, pid, &held_by_process, others);
        for_children::of_tasks(search, found, pid, namespaces, others);
    }
}

/// Adds a process whose namespaces and descriptors have been noted. `known` is the number of namespaces before that; `status`
/// reads that of the task that stands for it.
pub(super) fn finish(
    search: &Search<'_>,
    found: &mut Found,
    gathered: Gathered,
    known: usize,
    status: impl FnOnce(&mut Found) -> Option<ProcessStatus>,
) {
    let Gathered { pid, main, others, voice, namespaces } = gathered;
    let mut known_others: Vec<_> = match search.looks_in(Place::Tasks) {
        true => others.into_iter().filter_map(|thread| thread.task).collect(),
        false => {
            others.into_iter().find(|thread| thread.tid == voice).and_then(|thread| thread.task).into_iter().collect()
        }
    };
    // The kernel lists tasks by age. TIDs start again at the lowest after the highest.
    known_others.sort_unstable_by_key(|task| task.tid);
    let tasks = Tasks::new(main.task, known_others);
    let (ppid, threads) = (main.ppid, main.threads);
    // The entry of a new namespace will probably name this process.
    let is_likely = |scope| scope == Scope::All || (scope == Scope::Named && found.namespaces.len() > known);
    let (wants_status, wants_command_line) =
        (is_likely(search.options.status), is_likely(search.options.command_lines));
    let status = match search.options.status {
        Scope::All if voice == Tid::from(pid) => main.status,
        _ if wants_status => status(found),
        _ => None,
    };
    let process = Process { pid, ppid, namespaces, threads, tasks, command_line: None, status };
    if wants_command_line {
        command_lines::guess(search, found, Known::of(&process, &found.directories));
    }
    found.processes.push(process);
}
