//! Calls that a kernel may not have, or that a filter of system calls may keep from the caller.
//!
//! `EPERM` from such a call can be about what it was asked of, and `EINVAL` too. So the caller then makes the same call
//! about itself, which no kernel that has it refuses: what fails even there is missing altogether.

use std::sync::OnceLock;

use rustix::io::Errno;

use super::probe;
use crate::failure::Failure;
use crate::model::{Call, Cause};

/// A call, made about the caller.
type Question = fn() -> Result<(), Errno>;

/// A call, made about the caller, and its number among these; `None` of one that every kernel has that has what leads there.
fn about_oneself(call: Call) -> Option<(usize, Question)> {
    Some(match call {
        Call::PidfdOpen => (0, probe::pidfd_open),
        Call::PidfdOpenThread => (1, probe::pidfd_open_thread),
        Call::PidfdGetfd => (2, probe::pidfd_getfd),
        Call::PidForChildren => (3, probe::pid_for_children),
        Call::Kcmp => (4, probe::kcmp),
        _ => return None,
    })
}

/// What the caller has found out about these calls; each is tried at most once.
#[derive(Default)]
pub(crate) struct Interfaces([OnceLock<Option<Errno>>; 5]);

impl Interfaces {
    /// Why the caller cannot make this call, which has failed so, about anything; `None` if it can, so that it failed for
    /// what it was asked of.
    pub(crate) fn missing(&self, call: Call, failure: Failure) -> Option<Failure> {
        let Some((index, about_oneself)) = about_oneself(call) else {
            return failure.is_any(&[Errno::NOSYS, Errno::NOTTY]).then_some(failure);
        };
        if !failure.errno().is_some_and(is_refusal) {
            return None;
        }
        let missing = self.0.get(index)?.get_or_init(|| about_oneself().err().filter(|&errno| is_refusal(errno)));
        missing.map(|errno| match (call, errno) {
            // What a kernel says that does not know the flag, or such a request of a pidfd.
            (Call::PidfdOpenThread | Call::PidForChildren, Errno::INVAL) => Failure::with(Cause::Unsupported, errno),
            _ => errno.into(),
        })
    }
}

/// Whether this can be how a kernel says that it does not have a call, or a filter that it does not let it pass.
pub(crate) fn is_refusal(errno: Errno) -> bool {
    matches!(errno, Errno::NOSYS | Errno::NOTTY | Errno::INVAL | Errno::PERM | Errno::ACCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_works_for_the_caller_is_not_missing() {
        let interfaces = Interfaces::default();
        let missing = |call, errno: Errno| interfaces.missing(call, errno.into()).and_then(Failure::errno);
        assert_eq!(missing(Call::PidfdOpen, Errno::PERM), None);
        assert_eq!(missing(Call::PidfdOpen, Errno::SRCH), None);
        assert_eq!(missing(Call::Siocgskns, Errno::PERM), None);
        assert_eq!(missing(Call::Siocgskns, Errno::NOTTY), Some(Errno::NOTTY));
    }
}
