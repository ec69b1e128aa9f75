//! Calls that a kernel may not have, or that a filter of system calls may keep from the caller.
//!
//! `EPERM` from such a call can be about what it was asked of, and `EINVAL` too. So the caller then makes the same call
//! about itself, which no kernel that has it refuses: what fails even there is missing altogether.

use std::sync::OnceLock;

use rustix::io::Errno;

use super::probe;

/// A call that can fail for what it is asked of, and for want of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    PidfdOpen,
    PidfdOpenThread,
    PidfdGetfd,
    PidForChildren,
    Kcmp,
    /// Any other, which every kernel has that has what leads there.
    Other(&'static str),
}

impl Call {
    /// What it is called in a gap.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::PidfdOpen => "pidfd_open",
            Self::PidfdOpenThread => "pidfd_open(PIDFD_THREAD)",
            Self::PidfdGetfd => "pidfd_getfd",
            Self::PidForChildren => "PIDFD_GET_PID_FOR_CHILDREN_NAMESPACE",
            Self::Kcmp => "kcmp",
            Self::Other(name) => name,
        }
    }

    /// Makes the call about the caller.
    fn about_oneself(self) -> Result<(), Errno> {
        match self {
            Self::PidfdOpen => probe::pidfd_open(),
            Self::PidfdOpenThread => probe::pidfd_open_thread(),
            Self::PidfdGetfd => probe::pidfd_getfd(),
            Self::PidForChildren => probe::pid_for_children(),
            Self::Kcmp => probe::kcmp(),
            Self::Other(_) => Ok(()),
        }
    }
}

/// What the caller has found out about these calls; each is tried at most once.
#[derive(Default)]
pub(crate) struct Interfaces([OnceLock<Option<Errno>>; 5]);

impl Interfaces {
    /// Why the caller cannot make this call, which has failed with `errno`, about anything; `None` if it can, so that
    /// it failed for what it was asked of.
    pub(crate) fn missing(&self, call: Call, errno: Errno) -> Option<Errno> {
        let index = match call {
            Call::PidfdOpen => 0,
            Call::PidfdOpenThread => 1,
            Call::PidfdGetfd => 2,
            Call::PidForChildren => 3,
            Call::Kcmp => 4,
            Call::Other(_) => return matches!(errno, Errno::NOSYS | Errno::NOTTY).then_some(errno),
        };
        if !is_refusal(errno) {
            return None;
        }
        let missing = self.0.get(index)?.get_or_init(|| call.about_oneself().err().filter(|&errno| is_refusal(errno)));
        missing.map(|errno| match (call, errno) {
            // What a kernel says that does not know the flag, or such a request of a pidfd.
            (Call::PidfdOpenThread, Errno::INVAL) => Errno::NOSYS,
            (Call::PidForChildren, Errno::INVAL) => Errno::NOTTY,
            _ => errno,
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
        assert_eq!(interfaces.missing(Call::PidfdOpen, Errno::PERM), None);
        assert_eq!(interfaces.missing(Call::PidfdOpen, Errno::SRCH), None);
        assert_eq!(interfaces.missing(Call::Other("SIOCGSKNS"), Errno::PERM), None);
        assert_eq!(interfaces.missing(Call::Other("SIOCGSKNS"), Errno::NOTTY), Some(Errno::NOTTY));
    }
}
