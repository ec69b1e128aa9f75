//! Details that are read at the end, only of the processes that the snapshot names.

use rustc_hash::FxHashMap;
use rustix::fs::StatxFlags;

use super::found::Found;
use super::left_behind::Life;
use super::search::Search;
use super::tasks;
use crate::failure::{self, Failure};
use crate::model::{Gap, Holder, Object, Operation, Pid, Place, Process, ProcessStatus, Scope, Tid};
use crate::procfs::{ProcDir, ProcRoot, decimal, parse};
use crate::{reach, relations};

/// The processes that the entry of a namespace names: its leaders, and the processes that hold it without being members.
pub(super) fn in_scope(scope: Scope, found: &Found) -> Vec<Pid> {
    let mut pids = match scope {
        Scope::None => Vec::new(),
        Scope::All => found.processes.iter().map(|process| process.pid).collect(),
        Scope::Named => {
            let members = relations::members(found.processes.iter());
            let leaders = members.values().flat_map(|members| &members.leaders).copied();
            let holders = found.namespaces.values().flat_map(|seen| &seen.holders);
            let by_something_else = holders.filter(|holder| !matches!(holder, Holder::Process { .. }));
            leaders.chain(by_something_else.filter_map(Holder::pid)).collect()
        }
    };
    pids.sort_unstable();
    pids.dedup();
    pids
}

/// Identifies a process that was seen, to read it again.
#[derive(Clone, Copy)]
pub(super) struct Known {
    pub(super) pid: Pid,
    /// The task that stands for it.
    pub(super) living: Tid,
    start_time_ticks: u64,
    directory: Option<u64>,
}

impl Known {
    pub(super) fn of(process: &Process, directories: &FxHashMap<Pid, u64>) -> Self {
        Self {
            pid: process.pid,
            living: process.living_task().tid,
            start_time_ticks: process.start_time_ticks(),
            directory: directories.get(&process.pid).copied(),
        }
    }

    /// Its start time, which differs from that of another process with its PID.
    pub(super) fn life(self) -> Life {
        (self.pid, self.start_time_ticks)
    }

    /// The path of a file of the task that stands for it, below its directory.
    pub(super) fn file(self, name: &str) -> String {
        if self.living == Tid::from(self.pid) { name.to_owned() } else { format!("task/{}/{name}", self.living) }
    }

    /// Whether its directory is still the same one.
    pub(super) fn has_its_directory(self, proc: &ProcRoot) -> bool {
        if self.directory.is_none() {
            // The kernel reader has told of the process.
            let mut buffer = Vec::new();
            let text = proc.dir().read_record(format!("{}/stat", self.pid), &mut buffer);
            let stat = text.ok().and_then(|text| parse::stat::parse(text).ok());
            return stat.is_some_and(|stat| stat.start_time_ticks == self.start_time_ticks);
        }
        let ino = proc.dir().stat(decimal(self.pid.0).as_str(), StatxFlags::INO).map(|stat| stat.stx_ino);
        self.directory.is_some() && self.directory == ino.ok()
    }

    /// Its directory, if the PID still means the same process.
    pub(super) fn open(self, proc: &ProcRoot) -> Result<ProcDir, Failure> {
        let dir = proc.process(self.pid)?;
        if self.directory == Some(reach::identity(&dir)?.ino) {
            return Ok(dir);
        }
        // The kernel can drop the directory from its cache and make a new one. The start time of the process stays.
        let mut buffer = Vec::new();
        let stat = parse::stat::parse(dir.read_record(c"stat", &mut buffer)?)?;
        if stat.start_time_ticks == self.start_time_ticks { Ok(dir) } else { Err(Failure::VANISHED) }
    }
}

/// Reads the `status` of the named processes and removes that of others, if only that of named ones is requested.
pub(super) fn statuses(search: &Search<'_>, found: &mut Found) {
    if search.options.status != Scope::Named {
        return;
    }
    let named = in_scope(Scope::Named, found);
    let mut processes = std::mem::take(&mut found.processes);
    for process in &mut processes {
        if named.binary_search(&process.pid).is_err() {
            // It was read because the process was expected to be named.
            process.status = None;
        } else if process.status.is_none() {
            let gap;
            (process.status, gap) = status(search, Known::of(process, &found.directories));
            found.gaps.extend(gap);
        }
    }
    found.processes = processes;
}

fn status(search: &Search<'_>, known: Known) -> (Option<ProcessStatus>, Option<Gap>) {
    let (place, object) = (Place::ProcessFacts, Object::Process(known.pid));
    let mut buffer = Vec::new();
    let read = known
        .open(search.proc)
        .and_then(|dir| Ok((tasks::read_status(&dir, known.pid, known.living, &mut buffer)?, dir)));
    match read {
        Ok((Ok(mut status), dir)) => {
            let gap = tasks::label(search, &dir, known.pid, known.living, Some(&mut status));
            (Some(status), gap)
        }
        Ok((Err(error), _)) => (None, Some(failure::malformed(place, object, error))),
        Err(failure) => (None, failure.gap(place, object, Operation::read("status"))),
    }
}
