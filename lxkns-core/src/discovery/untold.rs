//! Processes that the kernel keeps from programs: procfs lists them.

use std::sync::PoisonError;

use rustix::fs::{Mode, OFlags, ResolveFlags};

use super::found::Found;
use super::processes;
use super::search::Search;
use crate::model::{Cause, Object, Operation, Pid, Place};

/// How many tasks the host has, and the PID that was given to the last one; `None` where all have to be listed in any case.
pub(super) fn counted(search: &Search<'_>) -> Option<(usize, u32)> {
    if !search.is_in_initial_pid_ns || known(search).is_empty() {
        return None;
    }
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat2(search.proc, c"loadavg", flags, Mode::empty(), ResolveFlags::NO_XDEV).ok()?;
    let mut text = [0; 128];
    let read = rustix::io::read(file, &mut text).ok()?;
    // Load averages, then running and all tasks.
    let mut fields = std::str::from_utf8(&text[..read]).ok()?.split_ascii_whitespace().skip(3);
    let (_, tasks) = fields.next()?.split_once('/')?;
    Some((tasks.parse().ok()?, fields.next()?.parse().ok()?))
}

/// Adds the processes that programs are not told of. Each PID namespace has a PID 1, so only if `told`, which is sorted, begins
/// with another process, there can be such. Listing all processes takes long; it is spared where those of the last scan have
/// all the tasks that are `missing`.
pub(super) fn add(search: &Search<'_>, told: &[Pid], missing: Option<usize>, all: &mut Found) {
    const FIRST: Pid = Pid(1);
    if search.proc.own_pid() == Some(FIRST) || told.first() == Some(&FIRST) {
        return;
    }
    let mut known = known(search);
    known.retain(|pid| told.binary_search(pid).is_err());
    if let Some(missing) = missing {
        let untold = processes::each(search, &known, |found, &pid| processes::process(search, found, pid));
        let tasks: usize = untold.processes.iter().map(|process| process.threads as usize).sum();
        if tasks == missing && untold.processes.iter().any(|process| process.pid == FIRST) {
            return all.merge(untold);
        }
    }
    if let Ok(untold) = processes::newcomers(search, all) {
        let pids = untold.processes.iter().map(|process| process.pid).collect();
        *search.session.untold.lock().unwrap_or_else(PoisonError::into_inner) = pids;
        all.merge(untold);
    }
    if !all.processes.iter().any(|process| process.pid == FIRST) {
        all.gap(Place::Processes, Object::Host, Operation::list("processes"), Cause::Hidden);
    }
}

/// Those of an earlier scan.
fn known(search: &Search<'_>) -> Vec<Pid> {
    search.session.untold.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
