//! The target, and which of its namespaces are entered.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use lxkns_core::model::CompactSort as _;
use lxkns_core::model::{NamespaceId, NamespaceType, Pid};
use lxkns_core::{ProcRoot, identity_of_namespace};
use lxkns_sys::{Enter as Entering, Op, SharedFd};
use rustix::fs::AtFlags;

use crate::error::{Error, ErrorKind};
use crate::process::Process;
use crate::seclusion::{self, Has};
use crate::status::Status;
use crate::steps::{Draft, Fact, GUARD, Stage, Subject};

/// The target: a process, or single namespaces. It is open, so nothing else can take its place.
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
    pub(crate) ns_type: NamespaceType,
    pub(crate) fd: SharedFd,
    pub(crate) id: NamespaceId,
}

impl Target {
    /// Opens a process of the caller's PID namespace.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Missing`], [`ErrorKind::Gone`]; [`ErrorKind::Unsuitable`] if it is not a thread group leader, or is
    /// a kernel thread.
    ///
    /// # Privileges
    ///
    /// None.
    ///
    /// # Minimum kernel version
    ///
    /// 4.11; from 5.3 on, a pidfd guarantees that it stays the same process.
    pub fn process(proc: &ProcRoot, pid: Pid) -> Result<Self, Error> {
        Process::open(proc, pid).map(|process| Self(Kind::Process(process)))
    }

    /// Takes single namespaces, at most one of each type. The command keeps the caller's IDs, or is root in a user
    /// namespace that it enters. It enters no PID namespace, as processes inside could gain its privileges.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsuitable`]: a descriptor is not a namespace, or two have the same type.
    ///
    /// # Privileges
    ///
    /// None.
    ///
    /// # Minimum kernel version
    ///
    /// 4.11.
    pub fn namespaces(proc: &ProcRoot, namespaces: Vec<OwnedFd>) -> Result<Self, Error> {
        let nsfs = rustix::fs::statat(proc, "self/ns/user", AtFlags::empty());
        let nsfs = nsfs.map_err(|errno| Error::call("stat of the own user namespace", errno))?.st_dev;
        let mut all: Vec<Open> = Vec::new();
        for fd in namespaces {
            let id = identity_of_namespace(&fd).map_err(|errno| Error::call("fstat of a namespace", errno))?;
            // An ioctl on a device could do anything.
            let flag = (id.dev == nsfs).then(|| lxkns_sys::ns_get_nstype(fd.as_fd()).ok()).flatten();
            let ns_type = flag.and_then(NamespaceType::from_clone_flag);
            let ns_type = ns_type.ok_or_else(|| Error::new(ErrorKind::Unsuitable, "not a namespace"))?;
            if all.iter().any(|other| other.ns_type == ns_type && other.id != id) {
                let message = format!("two {ns_type} namespaces: a process can be in only one");
                return Err(Error::new(ErrorKind::Unsuitable, message));
            }
            all.push(Open { ns_type, fd: Arc::new(fd), id });
        }
        all.compact_sort_by_key(|open| open.ns_type);
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

/// The result of choosing the namespaces.
#[derive(Debug)]
pub(crate) struct Entered {
    /// The namespaces that are entered.
    into: Vec<Open>,
    /// Whether the target is in another user namespace than the command.
    pub(crate) leaves_out_user: bool,
    /// Whether the command sees the target's mounts.
    pub(crate) has_mounts: bool,
    /// Whether the command is in another PID namespace than the target.
    pub(crate) has_other_pids: bool,
    /// Whether the reason is that it stays in the caller's control groups.
    pub(crate) stays_because_of_cgroups: bool,
}

impl Entered {
    pub(crate) fn enters(&self, ns_type: NamespaceType) -> bool {
        self.into.iter().any(|open| open.ns_type == ns_type)
    }

    /// Whether the command is in another user namespace than the caller.
    pub(crate) fn changes_user(&self) -> bool {
        self.enters(NamespaceType::User)
    }
}

/// Facts about the command that decide what it enters.
pub(crate) struct Before<'a> {
    pub(crate) own: &'a Status,
    /// Whether it keeps the caller's capabilities.
    pub(crate) keeps_powers: bool,
    /// Whether it stays in control groups that are not the target's.
    pub(crate) keeps_cgroups: bool,
}

/// Opens the namespaces, and adds the steps into the wanted ones that the caller is not already in.
pub(crate) fn namespaces(
    draft: &mut Draft,
    proc: &ProcRoot,
    target: &Target,
    before: &Before<'_>,
    is_wanted: impl Fn(NamespaceType) -> bool,
) -> Result<Entered, Error> {
    let all = target.open()?;
    let own = all.iter().map(|open| own(proc, open.ns_type)).collect::<Result<Vec<_>, _>>()?;
    let others: Vec<&Open> =
        all.iter().zip(own).filter(|(open, own)| *own != Some(open.id)).map(|(open, _)| open).collect();
    // A namespace that is shared counts as entered.
    let (mut into, left): (Vec<&Open>, Vec<&Open>) = others.iter().partition(|open| is_wanted(open.ns_type));
    let find = |list: &[&Open], ns_type| list.iter().find(|open| open.ns_type == ns_type).copied().cloned();
    let mut stays_because_of_cgroups = false;
    if let Some(pids) = find(&into, NamespaceType::Pid)
        && let Some(has) = has_what_others_have_not(target, before, &left, is_wanted(NamespaceType::Mnt))
    {
        let process = target.as_process().filter(|_| before.keeps_powers && find(&into, NamespaceType::User).is_none());
        let users = find(&others, NamespaceType::User);
        let is_safe = process
            .zip(users)
            .is_some_and(|(process, users)| seclusion::is_out_of_reach(proc, process, before.own, &pids, &users));
        if !is_safe {
            into.retain(|open| open.ns_type != NamespaceType::Pid);
            let name = format!("{}:[{}]", pids.ns_type, pids.id.ino);
            if into.is_empty() && left.is_empty() && target.as_process().is_none() {
                let message = format!(
                    "{name} is not entered by itself: the command would have {}, and processes in it could get at \
                    that; enter a process in it (a PID as TARGET)",
                    has.in_words()
                );
                return Err(Error::new(ErrorKind::Unsuitable, message));
            }
            stays_because_of_cgroups = has == Has::ControlGroups;
            if !stays_because_of_cgroups {
                let instead = match has {
                    Has::Powers => " (--tools FILE runs a static program inside, with the powers of the process)",
                    _ => "",
                };
                draft.notes.push(format!(
                    "the command stays in the caller's PID namespace, as processes in {name} could get at what it has: \
                     {}{instead}",
                    has.in_words()
                ));
            }
        }
    }

    let enters_pids = into.iter().any(|open| open.ns_type == NamespaceType::Pid);
    let has_other_pids = !enters_pids && others.iter().any(|open| open.ns_type == NamespaceType::Pid);
    let has_mounts = is_wanted(NamespaceType::Mnt) && all.iter().any(|open| open.ns_type == NamespaceType::Mnt);
    let leaves_out_user = left.iter().any(|open| open.ns_type == NamespaceType::User);

    let name = |open: &&Open| format!("{}:{}", open.ns_type, open.id.ino);
    let list = |names: Vec<String>| if names.is_empty() { "none".to_owned() } else { names.join(" ") };
    draft.row(
        Subject::Namespaces,
        Some(Fact::Text(list(all.iter().map(|open| name(&open)).collect()))),
        Fact::Text(list(into.iter().map(name).collect())),
    );
    if !into.is_empty() {
        let mask = into.iter().fold(0, |mask, open| mask | open.ns_type.clone_flag());
        let entrance = target.as_process().and_then(Process::as_entrance);
        let namespaces = into.iter().map(|open| (Arc::clone(&open.fd), open.ns_type.clone_flag())).collect();
        let op = Op::Enter(Entering { process: entrance.map(|pidfd| (pidfd, mask)), namespaces });
        draft.step(Stage::Enter, "enter the namespaces", op);
        draft.step(Stage::Enter, GUARD, Op::Guard);
    }
    let into = into.into_iter().cloned().collect();
    Ok(Entered { into, leaves_out_user, has_mounts, has_other_pids, stays_because_of_cgroups })
}

/// What the command would have in the target's PID namespace that processes there lack.
fn has_what_others_have_not(
    target: &Target,
    before: &Before<'_>,
    left: &[&Open],
    takes_directories: bool,
) -> Option<Has> {
    // The caller's user namespace gives the command nothing, as it has no capability there.
    let namespaces: Vec<NamespaceType> =
        left.iter().map(|open| open.ns_type).filter(|ns_type| *ns_type != NamespaceType::User).collect();
    if before.keeps_powers || target.as_process().is_none() {
        Some(Has::Powers)
    } else if !namespaces.is_empty() {
        Some(Has::Namespaces(namespaces))
    } else if !takes_directories {
        Some(Has::Directories)
    } else if before.keeps_cgroups {
        Some(Has::ControlGroups)
    } else {
        None
    }
}

/// Whether the command has all capabilities over a namespace without entering the user namespace that owns it: its UID
/// has created the owner, or an ancestor of it, from the command's user namespace (`user_namespaces(7)`).
pub(crate) fn powers_by_creation(draft: &mut Draft, proc: &ProcRoot, uid: u32, entered: &Entered) -> Result<(), Error> {
    let users = own(proc, NamespaceType::User)?;
    let created_by_it = |open: &Open| {
        let mut owner = lxkns_sys::ns_get_userns(open.fd.as_fd()).ok()?;
        loop {
            if identity_of_namespace(&owner).ok() == users {
                return None;
            }
            let parent = lxkns_sys::ns_get_parent(owner.as_fd()).ok()?;
            if identity_of_namespace(&parent).ok() == users {
                return (lxkns_sys::ns_get_owner_uid(owner.as_fd()).ok()? == uid)
                    .then(|| identity_of_namespace(&owner).ok())
                    .flatten();
            }
            owner = parent;
        }
    };
    let owned: Vec<String> = entered
        .into
        .iter()
        .filter_map(|open| {
            created_by_it(open).map(|owner| format!("{}:[{}] (owner user:[{}])", open.ns_type, open.id.ino, owner.ino))
        })
        .collect();
    let note = if owned.is_empty() {
        "its user namespace is not entered, so the command has no capabilities".to_owned()
    } else {
        format!(
            "its user namespace is not entered: the command has no capabilities except all over {}, whose owner its \
            UID {uid} created",
            owned.join(", ")
        )
    };
    let all_over = if owned.is_empty() { "none".to_owned() } else { format!("all over {}", owned.join(", ")) };
    draft.row(Subject::CapabilitiesInside, None, Fact::Text(all_over));
    draft.notes.push(note);
    Ok(())
}

/// The namespace that children of the caller are in.
fn own(proc: &ProcRoot, ns_type: NamespaceType) -> Result<Option<NamespaceId>, Error> {
    let stat = |link: &str| {
        let stat = rustix::fs::statat(proc, format!("thread-self/ns/{link}"), AtFlags::empty()).ok()?;
        Some(NamespaceId { ino: stat.st_ino, dev: stat.st_dev })
    };
    // The link of a PID namespace without a first process leads nowhere. Before 4.12 there is no such link.
    let has_link =
        |link: &str| rustix::fs::statat(proc, format!("thread-self/ns/{link}"), AtFlags::SYMLINK_NOFOLLOW).is_ok();
    let own = stat(ns_type.name());
    let for_children = match ns_type {
        NamespaceType::Pid => stat("pid_for_children"),
        NamespaceType::Time => stat("time_for_children"),
        _ => None,
    };
    if ns_type == NamespaceType::Pid && has_link("pid_for_children") && for_children != own {
        let message = "the caller's children are in another PID namespace than the caller, from which nothing can be \
            entered; start the caller in that one (unshare --pid --fork)";
        return Err(Error::new(ErrorKind::Unsuitable, message));
    }
    Ok(for_children.or(own))
}
