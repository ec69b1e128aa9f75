//! What discovery takes to look into mount namespaces.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lxkns_core::model::{NamespaceId, Pid};
use lxkns_core::{AccessError, InsideMounts, MountAccess};
use rustix::io::Errno;

use crate::error::{Error, ErrorKind};
use crate::namespace::MountNamespace;
use crate::sandboxes::{SandboxOptions, Sandboxes, Target};

/// How often nobody may have answered before nothing more is tried: somebody can mount very many file systems that do
/// not answer.
const MOST_UNANSWERED: u32 = 8;

/// [`Sandboxes`] for [`lxkns_core::discover_with`]. There are none before they are needed, which on most hosts is never.
///
/// ```
/// use lxkns_core::{DiscoveryOptions, ProcRoot, discover_with};
/// use lxkns_mountns::{Access, DEADLINE, SandboxOptions};
///
/// let access = Access::new(SandboxOptions::default(), DEADLINE);
/// let snapshot = discover_with(&ProcRoot::host()?, &DiscoveryOptions::namespaces(), &access)?;
/// # Ok::<(), lxkns_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Access {
    options: SandboxOptions,
    deadline: Duration,
    sandboxes: Mutex<Option<Sandboxes>>,
    unanswered: AtomicU32,
}

impl Access {
    /// Helpers that are run like this, each of whose answers may take so long.
    pub fn new(options: SandboxOptions, deadline: Duration) -> Self {
        Self { options, deadline, sandboxes: Mutex::default(), unanswered: AtomicU32::new(0) }
    }

    fn sandboxes(&self) -> Result<Sandboxes, Error> {
        let mut sandboxes = self.sandboxes.lock().unwrap_or_else(PoisonError::into_inner);
        match &*sandboxes {
            Some(sandboxes) => Ok(sandboxes.clone()),
            None => Ok(sandboxes.insert(Sandboxes::new(&self.options)?).clone()),
        }
    }

    fn error(&self, error: &Error) -> AccessError {
        if error.kind() == ErrorKind::TimedOut {
            self.unanswered.fetch_add(1, Ordering::Relaxed);
        }
        let mut operation = error.operation().to_owned();
        if let Some(pid) = error.abandoned() {
            operation += &format!("; helper PID {pid} is left behind");
        }
        let errno = match error.kind() {
            // That there is no helper says nothing of what was asked for.
            ErrorKind::NoHelper => Errno::NOEXEC,
            ErrorKind::NotWanted => Errno::NXIO,
            _ => error.errno(),
        };
        AccessError { operation: operation.into(), errno }
    }

    /// Whether it is still worth trying.
    fn is_answered(&self) -> Result<(), AccessError> {
        if self.unanswered.load(Ordering::Relaxed) < MOST_UNANSWERED {
            return Ok(());
        }
        let operation = "open in mount namespace: not tried, since too many have not answered";
        Err(AccessError { operation: operation.into(), errno: Errno::TIMEDOUT })
    }
}

impl MountAccess for Access {
    fn enter(&self, mount_ns: BorrowedFd<'_>) -> Result<Box<dyn InsideMounts + '_>, AccessError> {
        self.is_answered()?;
        let opened = self.sandboxes().and_then(|sandboxes| sandboxes.open(Target::Fd(mount_ns.as_fd()), self.deadline));
        match opened {
            Ok(namespace) => Ok(Box::new(Inside { access: self, namespace })),
            Err(error) => Err(self.error(&error)),
        }
    }

    fn helpers(&self) -> Vec<Pid> {
        let sandboxes = self.sandboxes.lock().unwrap_or_else(PoisonError::into_inner);
        sandboxes.as_ref().map(|sandboxes| sandboxes.helpers().into_iter().map(Pid).collect()).unwrap_or_default()
    }
}

struct Inside<'a> {
    access: &'a Access,
    namespace: MountNamespace,
}

impl InsideMounts for Inside<'_> {
    fn mountinfo(&self) -> Result<Vec<u8>, AccessError> {
        self.namespace.mountinfo().map_err(|error| self.access.error(&error))
    }

    fn open_namespace(&self, path: &[u8], id: NamespaceId) -> Result<OwnedFd, AccessError> {
        self.access.is_answered()?;
        let opened = self.namespace.open_namespace(path, Some(id), self.access.deadline);
        opened.map_err(|error| self.access.error(&error))
    }
}
