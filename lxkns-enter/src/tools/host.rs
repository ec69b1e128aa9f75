//! Programs of the host in the target's namespaces.
//!
//! They keep the caller's powers and files, so they stay where the target's processes do not see them: outside its PID
//! namespace ([`crate::seclusion`]). Nor do they see the target's `/proc`, whose numbers would mean other processes than those
//! that they act on.

use lxkns_core::model::{CapabilitySet, NamespaceType};
use lxkns_sys::{Cover, Op};

use crate::status::Status;
use crate::steps::{Draft, Stage};
use crate::target::Entered;

/// Whether a program of the host stays out of the target's namespace of this type. Its files are the caller's; and it
/// enters the user namespace only where the others cannot be entered otherwise.
pub(crate) fn stays_out_of(ns_type: NamespaceType, own: &Status) -> bool {
    match ns_type {
        NamespaceType::Mnt => true,
        NamespaceType::User => own.capabilities.effective.contains(CapabilitySet::SYS_ADMIN),
        _ => false,
    }
}

/// Has a program of the host see the target's network devices in `/sys`, and its processes in `/proc` if it is in its PID
/// namespace, in a mount namespace of its own.
pub(crate) fn view(draft: &mut Draft, entered: &Entered) {
    let cover = |draft: &mut Draft, what: &str, cover| draft.step(Stage::Cover, what, Op::Cover(cover));
    let [pid, net] = [NamespaceType::Pid, NamespaceType::Net].map(|ns_type| entered.enters(ns_type));
    if pid || net {
        draft.step(Stage::Mounts, "make mounts of its own for a program of the host", Op::OwnMounts);
    }
    if pid {
        cover(draft, "mount the /proc of its PID namespace", Cover::Proc);
    }
    if net {
        cover(draft, "mount the /sys of its network namespace", Cover::Sys);
    }
}
