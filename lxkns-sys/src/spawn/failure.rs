//! Why a step failed.

use std::fmt;

use rustix::io::Errno;

/// Why a step did not go on, though no call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The file is not a regular file.
    NotRegular,
    /// The file is larger than allowed.
    TooLarge,
    /// The path leads to another directory.
    OtherDirectory,
    /// The kernel took only a part of what was written.
    PartlyWritten,
}

impl Refusal {
    const ALL: [Self; 4] = [Self::NotRegular, Self::TooLarge, Self::OtherDirectory, Self::PartlyWritten];

    pub(super) fn from_code(code: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|&refusal| refusal as u32 == code)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NotRegular => "not a regular file",
            Self::TooLarge => "the file is too large",
            Self::OtherDirectory => "the path leads to another directory",
            Self::PartlyWritten => "only a part was written",
        })
    }
}

/// Why a step failed, in the child.
pub(super) enum Failure {
    /// A call failed. The detail says of which part, if the step has several.
    Call { detail: u32, errno: Errno },
    /// No call failed.
    Refused(Refusal),
}

impl Failure {
    /// The detail and the error number for the message to the parent. The number 0 is no error of the kernel.
    pub(super) fn numbers(&self) -> [u32; 2] {
        match self {
            Self::Call { detail, errno } => [*detail, errno.raw_os_error().cast_unsigned()],
            Self::Refused(refusal) => [*refusal as u32, 0],
        }
    }
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Self::Call { detail: 0, errno }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

pub(super) type Done = Result<(), Failure>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_have_codes() {
        for refusal in Refusal::ALL {
            let [code, errno] = Failure::from(refusal).numbers();
            assert_eq!((Refusal::from_code(code), errno), (Some(refusal), 0));
        }
        assert_eq!(Refusal::from_code(Refusal::ALL.len() as u32), None);
    }
}
