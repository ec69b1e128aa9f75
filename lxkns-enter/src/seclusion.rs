//! Whether the command may be in the PID namespace that is entered.
//!
//! Processes in that namespace see the command, and one that may trace it gains everything that the command has. So the
//! command enters the namespace only if it has nothing that they lack; otherwise it stays in the caller's PID
//! namespace, where they do not see it.

use std::os::fd::{AsFd, OwnedFd};

use lxkns_core::model::{CapabilitySet, NamespaceType};
use lxkns_core::{ProcRoot, identity_of_namespace, parse};
use rustix::fs::AtFlags;

use crate::process::Process;
use crate::status::{Status, inside};
use crate::target::Open;

/// What the command has that processes in the PID namespace lack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Has {
    /// The caller's capabilities.
    Powers,
    /// Namespaces of the caller's of these types.
    Namespaces(Vec<NamespaceType>),
    /// The caller's root and working directory, while its mounts are the target's.
    Directories,
    /// The caller's control groups, with other limits.
    ControlGroups,
}

impl Has {
    /// The words that follow "has".
    pub(crate) fn in_words(&self) -> String {
        match self {
            Self::Powers => "the caller's powers".to_owned(),
            Self::Namespaces(types) => {
                let types: Vec<&str> = types.iter().map(|ns_type| ns_type.name()).collect();
                format!("the caller's {} namespace{}", types.join(", "), if types.len() == 1 { "" } else { "s" })
            }
            Self::Directories => "the caller's root and working directory".to_owned(),
            Self::ControlGroups => "the caller's control groups".to_owned(),
        }
    }
}

/// Whether no process in a PID namespace can act on a program of the caller's in it: the owner is a child of the
/// caller's user namespace, and maps no UID that the program has or can take. False if that is not known.
pub(crate) fn is_out_of_reach(proc: &ProcRoot, process: &Process, own: &Status, into: &Open, users: &Open) -> bool {
    // A set-user-ID program can also change its UID.
    let can_be_anybody = own.capabilities.permitted.contains(CapabilitySet::SETUID) || !own.no_new_privs;
    if can_be_anybody || !is_owned_by_child(proc, into, users) {
        return false;
    }
    let Some(map) = process.read("uid_map").ok().and_then(|text| parse::id_map(&text).ok()) else { return false };
    !own.uids.iter().any(|&uid| inside(&map, uid).is_some())
}

/// Whether this user namespace owns the PID namespace, and both are children of the caller's.
fn is_owned_by_child(proc: &ProcRoot, pids: &Open, users: &Open) -> bool {
    let is_own = |fd: Result<OwnedFd, _>, link: &str| {
        let fd: OwnedFd = fd.ok()?;
        let own = rustix::fs::statat(proc, format!("thread-self/ns/{link}"), AtFlags::empty()).ok()?;
        let id = identity_of_namespace(&fd).ok()?;
        Some((id.ino, id.dev) == (own.st_ino, own.st_dev))
    };
    let owner = lxkns_sys::ns_get_userns(pids.fd.as_fd()).ok().and_then(|owner| identity_of_namespace(owner).ok());
    owner == Some(users.id)
        && is_own(lxkns_sys::ns_get_parent(users.fd.as_fd()), "user") == Some(true)
        && is_own(lxkns_sys::ns_get_parent(pids.fd.as_fd()), "pid") == Some(true)
}
