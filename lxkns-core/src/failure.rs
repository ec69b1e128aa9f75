//! Failures: the one place where errors of the kernel become gaps.

use rustix::io::Errno;

use crate::model::{self, Cause, Gap, Object, Operation, Place};
use crate::procfs::parse::ParseError;

/// Why an operation failed: an error of the kernel, a cause of this crate's own, or both if the error means something
/// special here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// `None`: the object has vanished.
    cause: Option<Cause>,
    errno: Option<Errno>,
}

impl Failure {
    /// The object has vanished.
    pub(crate) const VANISHED: Self = Self { cause: None, errno: None };

    /// A cause without an error of the kernel.
    pub(crate) const fn because(cause: Cause) -> Self {
        Self { cause: Some(cause), errno: None }
    }

    /// A cause that an error of the kernel stands for here.
    pub(crate) const fn with(cause: Cause, errno: Errno) -> Self {
        Self { cause: Some(cause), errno: Some(errno) }
    }

    /// A cause with the kernel's error, if it gave one.
    pub(crate) fn of(cause: Cause, errno: Option<model::Errno>) -> Self {
        Self { cause: Some(cause), errno: errno.map(|errno| Errno::from_raw_os_error(errno.number())) }
    }

    /// The cause; `None`: the object has vanished.
    pub(crate) fn cause(self) -> Option<Cause> {
        self.cause
    }

    /// The kernel's error, if it gave one.
    pub(crate) fn errno(self) -> Option<Errno> {
        self.errno
    }

    /// Whether the object has vanished.
    pub(crate) fn is_gone(self) -> bool {
        self.cause.is_none()
    }

    /// Whether permission was denied.
    pub(crate) fn is_denied(self) -> bool {
        self.cause == Some(Cause::Denied)
    }

    /// Whether a descriptor was closed, or is of another file by now.
    pub(crate) fn is_closed(self) -> bool {
        self.is_gone() || self.is_any(&[Errno::BADF])
    }

    /// Whether the kernel gave one of these errors.
    pub(crate) fn is_any(self, errnos: &[Errno]) -> bool {
        self.errno.is_some_and(|errno| errnos.contains(&errno))
    }

    /// Whether nothing, or something unexpected, was found.
    pub(crate) fn is_elsewhere(self) -> bool {
        matches!(self.cause, Some(Cause::Changed | Cause::NoPath))
    }

    /// The gap; `None` if the object has vanished.
    pub(crate) fn gap(self, place: Place, object: Object, operation: Operation) -> Option<Gap> {
        let errno = self.errno.and_then(errno_of);
        self.cause.map(|cause| Gap { place, object, operation, cause, errno })
    }
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Self { cause: errno_of(errno).map_or(Some(Cause::Other), Cause::of), errno: Some(errno) }
    }
}

impl From<Cause> for Failure {
    fn from(cause: Cause) -> Self {
        Self::because(cause)
    }
}

impl From<ParseError> for Failure {
    fn from(_: ParseError) -> Self {
        Cause::Malformed.into()
    }
}

impl From<Failure> for std::io::Error {
    fn from(failure: Failure) -> Self {
        match (failure.errno, failure.cause) {
            (Some(errno), _) => errno.into(),
            (None, Some(cause)) => Self::other(cause.to_string()),
            (None, None) => Self::new(std::io::ErrorKind::NotFound, "it has vanished, or nothing visible leads to it"),
        }
    }
}

/// The error in the model's form, for the public API. `EIO` stands for a number that no system call fails with.
pub(crate) fn public_errno(errno: Errno) -> model::Errno {
    const IO: model::Errno = match model::Errno::new(5) {
        Some(errno) => errno,
        None => unreachable!(),
    };
    errno_of(errno).unwrap_or(IO)
}

/// The error in the model's form; `None` for a number that no system call fails with.
pub(crate) fn errno_of(errno: Errno) -> Option<model::Errno> {
    model::Errno::new(errno.raw_os_error())
}

/// Whether an error says that something has vanished.
pub(crate) fn is_gone(errno: Errno) -> bool {
    Failure::from(errno).is_gone()
}

/// Whether an error says that permission was denied.
pub(crate) fn is_denied(errno: Errno) -> bool {
    Failure::from(errno).is_denied()
}

/// The gap; `None` if the object has vanished.
pub(crate) fn gap(place: Place, object: Object, operation: Operation, why: impl Into<Failure>) -> Option<Gap> {
    why.into().gap(place, object, operation)
}

/// The gap for malformed text, with its file and line.
pub(crate) fn malformed(place: Place, object: Object, error: ParseError) -> Gap {
    let ParseError { what, line, expected } = error;
    let operation = Operation::Parse(format!("{what}, line {line}: expected {expected}").into());
    Gap::because(place, object, operation, Cause::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_errno_is_only_the_kernels() {
        let gap = |why: Failure| why.gap(Place::Host, Object::Host, Operation::OPEN);
        assert_eq!((gap(Errno::NOENT.into()), gap(Failure::VANISHED)), (None, None));
        let errno = |why| gap(why).and_then(|gap| Some((gap.cause, gap.errno?.number())));
        assert_eq!(errno(Errno::ACCESS.into()), Some((Cause::Denied, 13)));
        assert_eq!(errno(Failure::with(Cause::Denied, Errno::NOENT)), Some((Cause::Denied, 2)));
        assert_eq!(errno(Cause::TimedOut.into()), None);
        assert_eq!(gap(Cause::TimedOut.into()).map(|gap| gap.cause), Some(Cause::TimedOut));
    }
}
