//! Why something could not be read.

use std::fmt;

use crate::Errno;

/// Why something could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "wire", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum Cause {
    /// The kernel does not allow it (`EACCES`, `EPERM`).
    Denied,
    /// The kernel has no such interface, or a filter of system calls answers for it (`ENOTTY`, `ENOSYS`).
    Unsupported,
    /// No answer in time.
    TimedOut,
    /// The text is not in the expected form.
    Malformed,
    /// Only the beginning was read: it was too long.
    Cut,
    /// The call takes a PID, and was not made: the PIDs of the procfs are not those of the caller's PID namespace.
    OtherPidNamespace,
    /// The procfs does not list all processes (`hidepid`).
    Hidden,
    /// A limit of the caller was reached: descriptors, processes, memory (`EMFILE`, `ENFILE`, `EAGAIN`, `ENOMEM`).
    Limit,
    /// Not tried: something that it needs has failed before, or might never answer.
    NotTried,
    /// Another process or object was found than before, or than expected.
    Changed,
    /// Only a part is visible, such as the mounts below a process's root directory.
    Partial,
    /// No path leads there: another mount hides it, or its path is gone.
    NoPath,
    /// The helper cannot be run.
    NoHelper,
    /// Any other error of the kernel.
    Other,
}

impl Cause {
    /// All causes.
    pub const ALL: [Self; 14] = [
        Self::Denied,
        Self::Unsupported,
        Self::TimedOut,
        Self::Malformed,
        Self::Cut,
        Self::OtherPidNamespace,
        Self::Hidden,
        Self::Limit,
        Self::NotTried,
        Self::Changed,
        Self::Partial,
        Self::NoPath,
        Self::NoHelper,
        Self::Other,
    ];

    /// What an error of the kernel means. This is the only place where that is decided. `None` for one that says that
    /// the object has vanished (`ENOENT`, `ESRCH`): normal on a living host, and not a gap.
    pub const fn of(errno: Errno) -> Option<Self> {
        const ENOENT: i32 = 2;
        const ESRCH: i32 = 3;
        const EPERM: i32 = 1;
        const EAGAIN: i32 = 11;
        const ENOMEM: i32 = 12;
        const EACCES: i32 = 13;
        const ENFILE: i32 = 23;
        const EMFILE: i32 = 24;
        const ENOTTY: i32 = 25;
        const ENOSYS: i32 = 38;
        const ETIMEDOUT: i32 = 110;
        Some(match errno.number() {
            ENOENT | ESRCH => return None,
            EACCES | EPERM => Self::Denied,
            ENOTTY | ENOSYS => Self::Unsupported,
            ETIMEDOUT => Self::TimedOut,
            EMFILE | ENFILE | EAGAIN | ENOMEM => Self::Limit,
            _ => Self::Other,
        })
    }

    /// Whether trying again gives the same, as long as neither the caller nor the kernel changes.
    pub const fn is_lasting(self) -> bool {
        matches!(
            self,
            Self::Denied | Self::Unsupported | Self::OtherPidNamespace | Self::Hidden | Self::Partial | Self::NoHelper
        )
    }

    /// A short stable name, as in the JSON form.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Unsupported => "unsupported",
            Self::TimedOut => "timed-out",
            Self::Malformed => "malformed",
            Self::Cut => "cut",
            Self::OtherPidNamespace => "other-pid-namespace",
            Self::Hidden => "hidden",
            Self::Limit => "limit",
            Self::NotTried => "not-tried",
            Self::Changed => "changed",
            Self::Partial => "partial",
            Self::NoPath => "no-path",
            Self::NoHelper => "no-helper",
            Self::Other => "other",
        }
    }

    /// The cause with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.name() == name)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Denied => "permission denied",
            Self::Unsupported => "not supported",
            Self::TimedOut => "timeout",
            Self::Malformed => "malformed",
            Self::Cut => "only its beginning was read",
            Self::OtherPidNamespace => "procfs belongs to another PID namespace",
            Self::Hidden => "hidden by the mount options of procfs",
            Self::Limit => "limit reached",
            Self::NotTried => "not tried, as it may not answer",
            Self::Changed => "changed while it was read",
            Self::Partial => "only partly visible",
            Self::NoPath => "no path leads there",
            Self::NoHelper => "the helper cannot be run",
            Self::Other => "failed",
        })
    }
}

impl std::error::Error for Cause {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_kernel_have_causes() {
        let of = |number| Cause::of(Errno::new(number).unwrap());
        assert_eq!((of(2), of(3)), (None, None));
        assert_eq!((of(1), of(13)), (Some(Cause::Denied), Some(Cause::Denied)));
        assert_eq!((of(25), of(38)), (Some(Cause::Unsupported), Some(Cause::Unsupported)));
        assert_eq!((of(24), of(11)), (Some(Cause::Limit), Some(Cause::Limit)));
        assert_eq!((of(110), of(5)), (Some(Cause::TimedOut), Some(Cause::Other)));
        for cause in Cause::ALL {
            assert_eq!(Cause::from_name(cause.name()), Some(cause));
        }
    }
}
