//! What discovery takes to look into mount namespaces.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::DEADLINE;
use crate::error::{Error, ErrorKind, OPEN};
use crate::namespace::MountNamespace;
use crate::sandboxes::{SandboxOptions, Sandboxes, Target};
use lxkns_core::model::{Cause, NamespaceId, Operation, Pid};
use lxkns_core::{AccessError, InsideMounts, MountAccess};

/// How many deadlines it may take to open everything, before nothing more is tried: somebody can mount very many file
/// systems that do not answer, or that do so just in time. What the kernel knows comes thousands of times as fast.
const MOST_DEADLINES: u32 = 8;

/// [`Sandboxes`] for [`lxkns_core::Discovery::mounts_through`]. There are none before they are needed, which on most hosts is never.
///
/// ```
/// use lxkns_core::{Discovery, DiscoveryOptions};
/// use lxkns_mountns::{Access, DEADLINE, SandboxOptions};
///
/// let access = Access::new(SandboxOptions::default(), DEADLINE);
/// let snapshot = Discovery::of_host()?.mounts_through(&access).run(&DiscoveryOptions::namespaces())?;
/// # Ok::<(), lxkns_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Access {
    options: SandboxOptions,
    deadline: Duration,
    sandboxes: Mutex<Option<Sandboxes>>,
    /// How long it has taken to open what was opened, or not.
    spent: Mutex<Duration>,
}

impl Access {
    /// Helpers that are run like this, each of whose answers may take so long.
    pub fn new(options: SandboxOptions, deadline: Duration) -> Self {
        Self { options, deadline, sandboxes: Mutex::default(), spent: Mutex::default() }
    }

    /// Lets all that is opened from now on take as long as with a new one. Who looks again and again begins each look
    /// with it; a new one instead would ask file systems again that have just not answered.
    pub fn begin_anew(&self) {
        *self.spent.lock().unwrap_or_else(PoisonError::into_inner) = Duration::ZERO;
    }

    /// Whether it has been used to go into a mount namespace, or to try.
    pub fn is_used(&self) -> bool {
        self.sandboxes.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Starts a helper, to see whether one can be started: it is sent into the caller's own mount namespace. Whether it may
    /// enter does not count, as long as it answers.
    ///
    /// # Errors
    ///
    /// [`NoHelper`](ErrorKind::NoHelper), [`Version`](ErrorKind::Version) and [`Helper`](ErrorKind::Helper): there is none
    /// that is of use. [`TimedOut`](ErrorKind::TimedOut).
    pub fn try_helper(&self) -> Result<(), Error> {
        let own = Target::Path(Path::new("/proc/self/ns/mnt"));
        match self.sandboxes().and_then(|sandboxes| sandboxes.open(own, self.deadline)) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::Denied => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn sandboxes(&self) -> Result<Sandboxes, Error> {
        let mut sandboxes = self.sandboxes.lock().unwrap_or_else(PoisonError::into_inner);
        match &*sandboxes {
            Some(sandboxes) => Ok(sandboxes.clone()),
            None => Ok(sandboxes.insert(Sandboxes::new(&self.options)?).clone()),
        }
    }

    fn spend(&self, since: Instant) {
        *self.spent.lock().unwrap_or_else(PoisonError::into_inner) += since.elapsed();
    }

    /// How long it may take: however short a deadline is, what is answered is not to run into this.
    fn most(&self) -> Duration {
        self.deadline.max(DEADLINE).saturating_mul(MOST_DEADLINES)
    }

    /// Whether it is still worth trying.
    fn is_answered(&self) -> Result<(), AccessError> {
        if *self.spent.lock().unwrap_or_else(PoisonError::into_inner) < self.most() {
            return Ok(());
        }
        let operation = Operation::OpenInside("answers have taken too long altogether".into());
        Err(AccessError { operation, cause: Cause::NotTried, errno: None })
    }
}

impl MountAccess for Access {
    fn enter(&self, mount_ns: BorrowedFd<'_>) -> Result<Box<dyn InsideMounts + '_>, AccessError> {
        self.is_answered()?;
        let began = Instant::now();
        let opened = self.sandboxes().and_then(|sandboxes| sandboxes.open(Target::Fd(mount_ns.as_fd()), self.deadline));
        match opened {
            Ok(namespace) => Ok(Box::new(Inside { access: self, namespace })),
            Err(error) => {
                if error.kind() == ErrorKind::TimedOut {
                    self.spend(began);
                }
                Err(refused(&error, |what| Operation::Enter(what.into())))
            }
        }
    }

    fn helpers(&self) -> Vec<Pid> {
        let sandboxes = self.sandboxes.lock().unwrap_or_else(PoisonError::into_inner);
        sandboxes.as_ref().map(|sandboxes| sandboxes.helpers().into_iter().map(Pid).collect()).unwrap_or_default()
    }
}

fn refused(error: &Error, operation: impl Fn(String) -> Operation) -> AccessError {
    let what = error.operation();
    let what = what.strip_prefix(OPEN).map_or(what, |rest| rest.trim_start_matches([',', ':', ';', ' ']));
    AccessError { operation: operation(what.to_owned()), cause: error.cause(), errno: error.errno() }
}

struct Inside<'a> {
    access: &'a Access,
    namespace: MountNamespace,
}

impl InsideMounts for Inside<'_> {
    fn mountinfo(&self) -> Result<Vec<u8>, AccessError> {
        let refused = |error| refused(&error, |what| Operation::ReadInside(what.into()));
        self.namespace.mountinfo().map_err(refused)
    }

    fn open_namespace(&self, path: &[u8], id: NamespaceId) -> Result<OwnedFd, AccessError> {
        self.access.is_answered()?;
        let began = Instant::now();
        let opened = self.namespace.open_namespace(path, Some(id), self.access.deadline);
        self.access.spend(began);
        opened.map_err(|error| refused(&error, |what| Operation::OpenInside(what.into())))
    }
}
