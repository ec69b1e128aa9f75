//! Ways into mount namespaces that this crate does not go itself.

use std::fmt;
use std::os::fd::{BorrowedFd, OwnedFd};

use crate::model::{Cause, Errno, NamespaceId, Operation, Pid};

/// Looks into mount namespaces from inside.
///
/// This crate enters nothing. It lists the mounts of a mount namespace, and opens namespaces that are bind-mounted there,
/// as far as the kernel lets one do so from outside. For a mount namespace that has no process, or whose processes have
/// changed their root directory, a helper must enter. The crate `lxkns-mountns` has one.
///
/// No method may wait without a bound, whatever is mounted there.
pub trait MountAccess: Sync {
    /// Goes into a mount namespace.
    ///
    /// # Errors
    ///
    /// What failed, and why.
    fn enter(&self, mount_ns: BorrowedFd<'_>) -> Result<Box<dyn InsideMounts + '_>, AccessError>;

    /// The processes that serve for this, as far as they have not ended: they are left out of a snapshot.
    fn helpers(&self) -> Vec<Pid>;
}

/// A mount namespace, from inside.
pub trait InsideMounts {
    /// Its mounts, in the form of `/proc/PID/mountinfo`, as seen from its root.
    ///
    /// # Errors
    ///
    /// What failed, and why.
    fn mountinfo(&self) -> Result<Vec<u8>, AccessError>;

    /// Opens the namespace `id`, which is bind-mounted at `path`.
    ///
    /// # Errors
    ///
    /// What failed, and why. [`Cause::NoPath`]: nothing is there, or something else.
    fn open_namespace(&self, path: &[u8], id: NamespaceId) -> Result<OwnedFd, AccessError>;
}

/// Why there is no way into a mount namespace, or to something there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessError {
    /// What was tried: what a [`Gap`](crate::model::Gap) says.
    pub operation: Operation,
    /// Why that failed.
    pub cause: Cause,
    /// The kernel's error, where it gave one.
    pub errno: Option<Errno>,
}

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.operation, self.cause)?;
        self.errno.map_or(Ok(()), |errno| write!(f, " ({errno})"))
    }
}

impl std::error::Error for AccessError {}
