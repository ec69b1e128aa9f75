//! Access to mount namespaces from inside, which other crates implement.

use std::fmt;
use std::os::fd::{BorrowedFd, OwnedFd};

use crate::model::{Cause, Errno, NamespaceId, Operation, Pid};

/// Looks into mount namespaces from inside.
///
/// This crate enters nothing. It lists mounts and opens bind-mounted namespaces of other mount namespaces as far as the
/// kernel allows that from outside. If a mount namespace has no process, or its processes have changed their root
/// directory, a helper must enter it. The crate `lxkns-mountns` has one.
///
/// Every method must have a deadline, whatever is mounted in the namespace.
pub trait MountAccess: Sync {
    /// Enters a mount namespace.
    ///
    /// # Errors
    ///
    /// The operation that failed, and why.
    fn enter(&self, mount_ns: BorrowedFd<'_>) -> Result<Box<dyn InsideMounts + '_>, AccessError>;

    /// The PIDs of the helpers that have not ended: a snapshot leaves them out.
    fn helpers(&self) -> Vec<Pid>;
}

/// A mount namespace that a helper has entered.
pub trait InsideMounts {
    /// Its mounts, in the form of `/proc/PID/mountinfo`, as seen from its root.
    ///
    /// # Errors
    ///
    /// The operation that failed, and why.
    fn mountinfo(&self) -> Result<Vec<u8>, AccessError>;

    /// Opens the namespace `id`, which is bind-mounted at `path`.
    ///
    /// # Errors
    ///
    /// The operation that failed, and why. [`Cause::NoPath`]: the path does not lead to this namespace.
    fn open_namespace(&self, path: &[u8], id: NamespaceId) -> Result<OwnedFd, AccessError>;
}

/// Why a mount namespace could not be entered, or a path in it not opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessError {
    /// The operation, for a [`Gap`](crate::model::Gap).
    pub operation: Operation,
    /// Why it failed.
    pub cause: Cause,
    /// The kernel's error, if it gave one.
    pub errno: Option<Errno>,
}

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.operation, self.cause)?;
        self.errno.map_or(Ok(()), |errno| write!(f, " ({errno})"))
    }
}

impl std::error::Error for AccessError {}
