//! Programs of the host in the target's namespaces.
//!
//! In the target's PID namespace its processes see the program. Whoever of them may trace it can read and write all that it
//! can reach, by `/proc/PID/root` the host's files among them, and dumpable or not makes no difference: it is a question of
//! capabilities alone. So it stays in the caller's user namespace, where a target in a user namespace of its own has none;
//! and where the target has the caller's, its bounding set decides ([`may_trace`]).
//!
//! Other than that they can see its name, arguments and statistics in their `/proc`, and its user's processes can signal it.

use lxkns_core::model::NamespaceType;
use lxkns_sys::{Op, OwnMounts};

use crate::error::{Error, ErrorKind};
use crate::plan::Stage;
use crate::prepare::Draft;
use crate::process::Process;
use crate::status::Status;
use crate::target::Entered;

const CAP_SYS_PTRACE: u64 = 1 << 19;
const CAP_SYS_ADMIN: u64 = 1 << 21;

/// Whether a program of the host stays out of the target's namespace of this type. Its files are the caller's; and it
/// enters the user namespace only where the others cannot be entered otherwise.
pub(crate) fn stays_out_of(ns_type: NamespaceType, own: &Status) -> bool {
    match ns_type {
        NamespaceType::Mnt => true,
        NamespaceType::User => own.capabilities.effective & CAP_SYS_ADMIN != 0,
        _ => false,
    }
}

/// Has a program of the host see the target's processes and network devices in `/proc` and `/sys`, in a mount namespace of
/// its own.
pub(crate) fn view(
    draft: &mut Draft,
    process: Option<&Process>,
    own: &Status,
    entered: Entered,
    enters_network: bool,
) -> Result<(), Error> {
    let bounding = process.map_or(u64::MAX, |process| process.status.capabilities.bounding);
    let is_above = !entered.changes_user && entered.leaves_out_user;
    if entered.forks && !is_above && may_trace(bounding, own.capabilities.permitted) {
        let message = "a program of the host would be in a PID namespace whose processes may trace it, and so get at the \
                       host's files; leave that out (--except pid)";
        return Err(Error::new(ErrorKind::Unsuitable, message));
    }
    let mounts = OwnMounts { proc: entered.forks, sys: enters_network };
    draft.step(Stage::Mounts, "make mounts of its own for a program of the host", Op::OwnMounts(mounts));
    Ok(())
}

/// Whether the kernel lets processes with this bounding set trace a program that has these capabilities in the same user
/// namespace. One process speaks for its container here: another that has been given more is not seen.
fn may_trace(bounding: u64, program: u64) -> bool {
    // Without the capability it takes the same user, and no capability less than the traced program.
    bounding & CAP_SYS_PTRACE != 0 || program & !bounding == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_trace_is_who_has_the_capability_or_as_many() {
        const ALL: u64 = (1 << 41) - 1;
        // What containers have by default with the usual engines.
        const USUAL: u64 = 0xa804_25fb;
        assert!(!may_trace(USUAL, ALL));
        assert!(may_trace(USUAL | CAP_SYS_PTRACE, ALL));
        assert!(may_trace(ALL, ALL));
        assert!(may_trace(USUAL, USUAL), "the program has nothing more");
        assert!(may_trace(USUAL, 0));
    }
}
