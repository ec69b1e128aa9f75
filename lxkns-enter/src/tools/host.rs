//! Programs of the host in the target's namespaces.
//!
//! They keep the caller's privileges and files, so they stay outside the target's PID namespace, where its processes do
//! not see them ([`crate::seclusion`]). They do not see the target's `/proc` either, where PIDs would mean other
//! processes than in their system calls.

use lxkns_core::model::{CapabilitySet, NamespaceType};
use lxkns_sys::{Cover, Op};

use crate::status::Status;
use crate::steps::{Draft, Stage};
use crate::target::Entered;

/// Whether a program of the host does not enter the target's namespace of this type. It keeps the caller's files, and
/// enters the user namespace only if it cannot enter the others without it.
pub(crate) fn stays_out_of(ns_type: NamespaceType, own: &Status) -> bool {
    match ns_type {
        NamespaceType::Mnt => true,
        NamespaceType::User => own.capabilities.effective.contains(CapabilitySet::SYS_ADMIN),
        _ => false,
    }
}

/// Gives a program of the host a mount namespace in which `/sys` has the target's network devices, and `/proc` the
/// target's processes if it is in the target's PID namespace.
pub(crate) fn view(draft: &mut Draft, entered: &Entered) {
    let cover = |draft: &mut Draft, what: &str, cover| draft.step(Stage::Cover, what, Op::Cover(cover));
    let [pid, net] = [NamespaceType::Pid, NamespaceType::Net].map(|ns_type| entered.enters(ns_type));
    if pid || net {
        draft.step(Stage::Mounts, "make a mount namespace for a program of the host", Op::OwnMounts);
    }
    if pid {
        cover(draft, "mount the /proc of its PID namespace", Cover::Proc);
    }
    if net {
        cover(draft, "mount the /sys of its network namespace", Cover::Sys);
    }
}
