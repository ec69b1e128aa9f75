//! Place 7: tasks with a descriptor table of their own.

use std::cmp::Ordering;

use rustc_hash::FxHashSet;
use rustix::io::Errno;

use super::fds::{self, Entry, Table};
use super::found::Found;
use super::search::Search;
use super::tasks::OtherTask;
use crate::model::{Call, Cause, NamespaceType, Object, Operation, Pid, Place, Tid};
use crate::procfs::ProcDir;

/// Reads the descriptor tables of tasks that do not share the process's table, which has been read already.
pub(super) fn all(search: &Search<'_>, found: &mut Found, process: &ProcDir, of_process: &Table, others: &[OtherTask]) {
    if others.is_empty() || !search.looks_in(Place::TaskFds) {
        return;
    }
    if !search.proc.is_own() {
        // kcmp(2) would mean other tasks.
        return found.gap(Place::TaskFds, Object::Host, Call::Kcmp, Cause::OtherPidNamespace);
    }
    let &Table { pid, tid: voice, .. } = of_process;
    let mut others = others.iter().filter(|thread| thread.tid != voice && thread.is_alive);
    // One task for each table, in kcmp's order, so many tasks with many tables are not compared pairwise.
    let mut tables = Tables::of(voice);
    while !search.is_without(Place::TaskFds) {
        let Some(task) = others.next() else { return };
        match tables.is_new(task.tid) {
            Ok(false) => {}
            Ok(true) => scan(search, found, process, pid, task, None),
            Err(errno) => {
                found.failed(search, Place::TaskFds, Object::Task(pid, task.tid), Call::Kcmp, errno);
                if search.is_without(Place::TaskFds) {
                    compared_by_entries(search, found, process, of_process, std::iter::once(task));
                }
            }
        }
    }
    compared_by_entries(search, found, process, of_process, others);
}

/// Without kcmp it is not known which tables are shared. So each is read, and an entry with the same number and link as
/// one of the process or another task counts as the same.
fn compared_by_entries<'a>(
    search: &Search<'_>,
    found: &mut Found,
    process: &ProcDir,
    of_process: &Table,
    others: impl Iterator<Item = &'a OtherTask>,
) {
    let mut others = others.peekable();
    if others.peek().is_none() {
        return;
    }
    match of_process.entries() {
        Ok(mut known) => {
            others.for_each(|task| scan(search, found, process, of_process.pid, task, Some(&mut known)));
        }
        Err(errno) => found.gap(Place::TaskFds, Object::Process(of_process.pid), Operation::list("fd"), errno),
    }
}

/// One task for each descriptor table of a process, in kcmp's order.
pub(super) struct Tables(Vec<Tid>);

impl Tables {
    /// The table of this task.
    pub(super) fn of(tid: Tid) -> Self {
        Self(vec![tid])
    }

    /// Whether a task has another table than those before; then it is one of them from now on.
    pub(super) fn is_new(&mut self, tid: Tid) -> Result<bool, Errno> {
        let (mut low, mut high) = (0, self.0.len());
        while low < high {
            let middle = low.midpoint(high);
            match lxkns_sys::kcmp_files(self.0[middle].0, tid.0)? {
                Ordering::Equal => return Ok(false),
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
            }
        }
        self.0.insert(low, tid);
        Ok(true)
    }
}

fn scan(
    search: &Search<'_>,
    found: &mut Found,
    process: &ProcDir,
    pid: Pid,
    task: &OtherTask,
    known: Option<&mut FxHashSet<Entry>>,
) {
    if let Some(table) = Table::open(search, found, process, pid, task.tid) {
        fds::scan(search, found, process, &table, task.namespaces.get(NamespaceType::Net), known);
    }
}
