//! Calls that a kernel can lack, or a seccomp filter can deny.
//!
//! `EPERM` and `EINVAL` from a call can also be about its object. So the caller then makes the same call about itself,
//! which always succeeds if the kernel has the call: if it fails, the call is missing.

use std::sync::OnceLock;

use rustix::io::Errno;

use super::probe;
use crate::failure::Failure;
use crate::model::{Call, Cause};

/// A call, made about the caller.
type Question = fn() -> Result<(), Errno>;

/// A call about the caller and its index; `None` for any other call, present wherever its prerequisite is.
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

/// The results of these calls; each is made at most once.
#[derive(Default)]
pub(crate) struct Interfaces([OnceLock<Option<Errno>>; 5]);

impl Interfaces {
    /// Why the caller cannot make this call at all, after it failed with this error; `None` if it can, so the error is
    /// about the object.
    pub(crate) fn missing(&self, call: Call, failure: Failure) -> Option<Failure> {
        let Some((index, about_oneself)) = about_oneself(call) else {
            return failure.is_any(&[Errno::NOSYS, Errno::NOTTY]).then_some(failure);
        };
        if !failure.errno().is_some_and(is_refusal) {
            return None;
        }
        let missing = self.0.get(index)?.get_or_init(|| about_oneself().err().filter(|&errno| is_refusal(errno)));
        missing.map(|errno| match (call, errno) {
            // The errors of a kernel that lacks the flag, or the pidfd ioctl.
            (Call::PidfdOpenThread | Call::PidForChildren, Errno::INVAL) => Failure::with(Cause::Unsupported, errno),
            _ => errno.into(),
        })
    }
}

/// Whether this error can mean that the kernel lacks a call, or that a filter denies it.
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
