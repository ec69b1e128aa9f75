//! Control groups, and whether they are frozen.

use std::sync::Arc;

use lxkns_core::model::{CgroupMembership, Cgroups};
use lxkns_core::{CgroupHierarchies, ProcRoot};
use lxkns_sys::{Op, SharedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::error::{Cause, Error, ErrorKind};
use crate::process::{Process, cannot};
use crate::steps::{Draft, Fact, Stage, Subject};

/// The control groups to join, and what tells whether they are frozen.
#[derive(Debug)]
pub(crate) struct Joined {
    hierarchies: CgroupHierarchies,
    cgroups: Cgroups,
    /// The version 2 control group, in which a child can be started.
    pub(crate) directory: Option<SharedFd>,
}

impl Joined {
    pub(crate) fn is_frozen(&self) -> bool {
        let freezer = self.hierarchies.freezer(&self.cgroups, &mut Vec::new());
        freezer.is_some_and(|freezer| freezer.own || freezer.effective)
    }
}

fn in_words(membership: &CgroupMembership) -> String {
    format!("{}:{}", membership.controllers, membership.path)
}

fn list(cgroups: &Cgroups) -> Fact {
    Fact::Text(cgroups.0.iter().map(in_words).collect::<Vec<_>>().join(" "))
}

/// Adds the steps that join those control groups of a process that the caller is not in. Opens all files.
pub(crate) fn join(draft: &mut Draft, proc: &ProcRoot, process: &Process) -> Result<Joined, Error> {
    let failed = |error: lxkns_core::Error| match error.errno() {
        Some(errno) => cannot(process.pid, "read the control groups", errno),
        None => Error::new(ErrorKind::Failed, format!("{}: {error}", process.pid)),
    };
    let cgroups = lxkns_core::cgroups_of(&process.dir).map_err(failed)?;
    let own = own(proc)?;
    let (hierarchies, _) = CgroupHierarchies::of_the_caller(proc);
    let mut joined = Joined { hierarchies, cgroups, directory: None };
    if joined.is_frozen() {
        let message = format!("{}: its control group is frozen, so the command would be frozen too", process.pid);
        return Err(Error::new(ErrorKind::Frozen, message));
    }
    for membership in joined.cgroups.0.iter().filter(|membership| !own.0.contains(membership)) {
        let name = in_words(membership);
        let failed = |cause: Cause| {
            let hint = match cause.is_any(&[Errno::NOENT]) {
                true => "it is gone; --no-cgroup stays outside",
                false => "--no-cgroup stays outside",
            };
            Error::call(format!("{}: join the control group {name}", process.pid), cause).with_hint(hint)
        };
        let directory = joined.hierarchies.open(membership).map_err(|errno| failed(errno.into()))?;
        let directory = directory.ok_or_else(|| failed(Cause::Words("it is not mounted for the caller".into())))?;
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        let procs = rustix::fs::openat(&directory, "cgroup.procs", flags, Mode::empty());
        let procs = procs.map_err(|errno| failed(errno.into()))?;
        let op = Op::Write(Arc::new(procs), b"0".to_vec());
        draft.step(Stage::Join, format!("join the control group {name}"), op);
        if membership.hierarchy == 0 {
            joined.directory = Some(Arc::new(directory));
        }
    }
    draft.row(Subject::Cgroup, Some(list(&joined.cgroups)), list(&joined.cgroups));
    Ok(joined)
}

/// Whether a process is in other control groups than the caller, or this is not known.
pub(crate) fn is_elsewhere(proc: &ProcRoot, process: &Process) -> bool {
    let theirs = lxkns_core::cgroups_of(&process.dir).ok();
    theirs.is_none() || own(proc).ok() != theirs
}

/// Keeps the command in the caller's control groups.
pub(crate) fn stay(draft: &mut Draft, proc: &ProcRoot, process: Option<&Process>) -> Result<(), Error> {
    let of = process.and_then(|process| lxkns_core::cgroups_of(&process.dir).ok());
    draft.row(Subject::Cgroup, of.as_ref().map(list), list(&own(proc)?));
    Ok(())
}

fn own(proc: &ProcRoot) -> Result<Cgroups, Error> {
    let dir =
        rustix::fs::openat(proc, "thread-self", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let dir = dir.map_err(|errno| Error::call("read the caller's control groups", errno))?;
    lxkns_core::cgroups_of(dir).map_err(|error| Error::new(ErrorKind::Failed, format!("of the caller: {error}")))
}
