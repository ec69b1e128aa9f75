//! Place 7: threads that have a descriptor table of their own.

use std::cmp::Ordering;

use rustix::io::Errno;

use super::fds::{self, Table};
use super::search::{Found, Search};
use super::tasks::Thread;
use crate::model::{NamespaceType, Object, Pid, Place, Tid};
use crate::procfs::ProcDir;

/// Goes through the descriptor tables of those threads that do not share the one of `voice`, which has been seen.
pub(super) fn all(search: &Search<'_>, found: &mut Found, process: &ProcDir, pid: Pid, voice: Tid, others: &[Thread]) {
    if others.is_empty() || !search.looks_in(Place::TaskFds) {
        return;
    }
    if !search.proc.is_own() {
        // kcmp(2) would mean other threads.
        return found.gap(Place::TaskFds, Object::Host, "kcmp: not the caller's procfs", Errno::NOSYS);
    }
    // One thread for each table, in kcmp's order: so that many threads with many tables are not compared one by one.
    let mut tables = vec![voice];
    for task in others.iter().filter(|thread| thread.tid != voice && thread.is_alive()) {
        match search_tables(&tables, task.tid) {
            Ok(Ok(_)) => {}
            Ok(Err(index)) => {
                tables.insert(index, task.tid);
                scan(search, found, process, pid, task);
            }
            Err(errno @ (Errno::NOSYS | Errno::PERM)) => {
                // Denied by a filter that does not know it. Then each table has to be gone through; what is shared is
                // seen more than once.
                found.gap(Place::TaskFds, Object::Host, "kcmp", errno);
                scan(search, found, process, pid, task);
            }
            Err(errno) => found.gap(Place::TaskFds, Object::Task(pid, task.tid), "kcmp", errno),
        }
    }
}

/// Where in `tables` the table of `tid` is, or would have to be.
pub(super) fn search_tables(tables: &[Tid], tid: Tid) -> Result<Result<usize, usize>, Errno> {
    let (mut low, mut high) = (0, tables.len());
    while low < high {
        let middle = low.midpoint(high);
        match lxkns_sys::kcmp_files(tables[middle].0, tid.0)? {
            Ordering::Equal => return Ok(Ok(middle)),
            Ordering::Less => low = middle + 1,
            Ordering::Greater => high = middle,
        }
    }
    Ok(Err(low))
}

fn scan(search: &Search<'_>, found: &mut Found, process: &ProcDir, pid: Pid, task: &Thread) {
    if let Some(table) = Table::open(search, found, process, pid, task.tid) {
        fds::scan(search, found, process, &table, task.namespaces.get(NamespaceType::Net));
    }
}
