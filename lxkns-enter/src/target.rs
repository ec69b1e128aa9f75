//! What is entered, and which of its namespaces.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use lxkns_core::ProcRoot;
use lxkns_core::model::{NamespaceId, NamespaceType, Pid};
use lxkns_sys::{Enter as Entering, Op, SharedFd};
use rustix::fs::AtFlags;

use crate::error::{Error, ErrorKind};
use crate::plan::{Fact, Stage, Step, Subject};
use crate::prepare::Draft;
use crate::process::{Process, identity};

/// What is entered: a process, or namespaces by themselves. It is open, so that nothing else can take its place.
#[derive(Debug)]
pub struct Target(pub(crate) Kind);

#[derive(Debug)]
pub(crate) enum Kind {
    Process(Process),
    Namespaces(Vec<Open>),
}

/// An open namespace.
#[derive(Clone, Debug)]
pub(crate) struct Open {
    ns_type: NamespaceType,
    fd: SharedFd,
    id: NamespaceId,
}

impl Target {
    /// A process of the caller's PID namespace.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Missing`], [`ErrorKind::Gone`]; [`ErrorKind::Unsuitable`] for threads, those of the kernel too.
    ///
    /// # Privileges
    ///
    /// None here.
    ///
    /// # Minimum kernel version
    ///
    /// 4.11; from 5.3 on, a pidfd makes sure that it stays the same process.
    pub fn process(proc: &ProcRoot, pid: Pid) -> Result<Self, Error> {
        Process::open(proc, pid).map(|process| Self(Kind::Process(process)))
    }

    /// Namespaces, at most one of each type. The command stays who the caller is, but for a user namespace, in which it is
    /// root.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsuitable`]: one is no namespace, or two are of one type.
    ///
    /// # Privileges
    ///
    /// None here.
    ///
    /// # Minimum kernel version
    ///
    /// 4.11.
    pub fn namespaces(proc: &ProcRoot, namespaces: Vec<OwnedFd>) -> Result<Self, Error> {
        let nsfs = rustix::fs::statat(proc, "self/ns/user", AtFlags::empty());
        let nsfs = nsfs.map_err(|errno| Error::call("stat of the own user namespace", errno))?.st_dev;
        let mut all: Vec<Open> = Vec::new();
        for fd in namespaces {
            let id = identity(&fd).map_err(|errno| Error::call("fstat of a namespace", errno))?;
            // No ioctl is asked of what may be a device.
            let flag = (id.dev == nsfs).then(|| lxkns_sys::ns_get_nstype(fd.as_fd()).ok()).flatten();
            let ns_type = flag.and_then(NamespaceType::from_clone_flag);
            let ns_type = ns_type.ok_or_else(|| Error::new(ErrorKind::Unsuitable, "not a namespace"))?;
            if all.iter().any(|other| other.ns_type == ns_type && other.id != id) {
                let message = format!("two {ns_type} namespaces: one can be in one only");
                return Err(Error::new(ErrorKind::Unsuitable, message));
            }
            all.push(Open { ns_type, fd: Arc::new(fd), id });
        }
        all.sort_by_key(|open| open.ns_type);
        all.dedup_by_key(|open| open.ns_type);
        Ok(Self(Kind::Namespaces(all)))
    }

    pub(crate) fn as_process(&self) -> Option<&Process> {
        match &self.0 {
            Kind::Process(process) => Some(process),
            Kind::Namespaces(_) => None,
        }
    }

    fn open(&self) -> Result<Vec<Open>, Error> {
        let process = match &self.0 {
            Kind::Namespaces(all) => return Ok(all.clone()),
            Kind::Process(process) => process,
        };
        let mut all = Vec::new();
        for ns_type in NamespaceType::ALL {
            if let Some((fd, id)) = process.namespace(ns_type)? {
                all.push(Open { ns_type, fd, id });
            }
        }
        Ok(all)
    }
}

/// What entering comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entered {
    /// Whether the command is in another user namespace than the caller.
    pub(crate) changes_user: bool,
    /// Whether the target is in another user namespace than the command.
    pub(crate) leaves_out_user: bool,
    /// Whether the command is to see the mounts that the target sees.
    pub(crate) has_mounts: bool,
    pub(crate) forks: bool,
}

/// Opens the namespaces, and notes the steps into those that are wanted and are not the caller's already.
pub(crate) fn namespaces(
    draft: &mut Draft,
    proc: &ProcRoot,
    target: &Target,
    is_wanted: impl Fn(NamespaceType) -> bool,
) -> Result<Entered, Error> {
    let all = target.open()?;
    let mut entered = Entered { has_mounts: is_wanted(NamespaceType::Mnt), ..Entered::default() };
    let mut into = Vec::new();
    for open in &all {
        let is_other = own(proc, open.ns_type) != Some(open.id);
        match (is_other, is_wanted(open.ns_type)) {
            // Sharing is as good as entering.
            (false, _) => {}
            (true, true) => into.push(open),
            (true, false) => entered.leaves_out_user |= open.ns_type == NamespaceType::User,
        }
    }
    entered.has_mounts &= all.iter().any(|open| open.ns_type == NamespaceType::Mnt);
    let enters = |ns_type| into.iter().any(|open| open.ns_type == ns_type);
    entered.changes_user = enters(NamespaceType::User);
    entered.forks = enters(NamespaceType::Pid);

    let name = |open: &&Open| format!("{}:{}", open.ns_type, open.id.ino);
    let list = |names: Vec<String>| if names.is_empty() { "none".to_owned() } else { names.join(" ") };
    draft.row(
        Subject::Namespaces,
        Some(Fact::Text(list(all.iter().map(|open| name(&open)).collect()))),
        Fact::Text(list(into.iter().map(name).collect())),
    );
    if !into.is_empty() {
        let mask = into.iter().fold(0, |mask, open| mask | open.ns_type.clone_flag());
        let pidfd = target.as_process().and_then(|process| process.pidfd.clone());
        let namespaces = into.iter().map(|open| (Arc::clone(&open.fd), open.ns_type.clone_flag())).collect();
        let op = Op::Enter(Entering { process: pidfd.map(|pidfd| (pidfd, mask)), namespaces });
        draft.step(Stage::Enter, "enter the namespaces", op);
        draft.step(Stage::Enter, GUARD, Op::Guard);
    }
    if entered.forks {
        draft.step(Stage::Enter, "start a process in the PID namespace", Op::Fork);
        draft.step(Stage::Enter, GUARD, Op::Guard);
    }
    Ok(entered)
}

/// What [`Op::Guard`] is for.
pub(crate) const GUARD: &str = "keep others from tracing the entering process";

impl Draft {
    pub(crate) fn step(&mut self, stage: Stage, what: impl Into<String>, op: Op) {
        self.steps.push(Step::new(stage, what, op));
    }
}

/// The namespace that a child of the caller is in.
fn own(proc: &ProcRoot, ns_type: NamespaceType) -> Option<NamespaceId> {
    let stat = |link: &str| {
        let stat = rustix::fs::statat(proc, format!("thread-self/ns/{link}"), AtFlags::empty()).ok()?;
        Some(NamespaceId { ino: stat.st_ino, dev: stat.st_dev })
    };
    let for_children = match ns_type {
        NamespaceType::Pid => stat("pid_for_children"),
        NamespaceType::Time => stat("time_for_children"),
        _ => None,
    };
    for_children.or_else(|| stat(ns_type.name()))
}
