//! The helpers as discovery uses them.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::DEADLINE;
use crate::error::{Error, ErrorKind, OPEN};
use crate::namespace::MountNamespace;
use crate::sandboxes::{SandboxOptions, Sandboxes, Target};
use lxkns_core::model::{Cause, NamespaceId, Operation, Pid};
use lxkns_core::{AccessError, InsideMounts, MountAccess, ProcRoot};

/// The total time for opening, in deadlines: a user can mount a great many file systems that do not answer, or answer
/// just in time. Cached paths take a thousandth of that.
const MOST_DEADLINES: u32 = 8;

/// [`Sandboxes`] for [`lxkns_core::Discovery::mounts_through`]. The first helper starts when it is needed, which on
/// most hosts is never.
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
    /// The time spent on opening, successful or not.
    spent: Mutex<Duration>,
}

impl Access {
    /// Uses helpers with these options and this timeout for each answer.
    pub fn new(options: SandboxOptions, deadline: Duration) -> Self {
        Self { options, deadline, sandboxes: Mutex::default(), spent: Mutex::default() }
    }

    /// Resets the total time. Call this before each scan of a series; a new `Access` would ask file systems again that
    /// have just timed out.
    pub fn begin_anew(&self) {
        *self.spent.lock().unwrap_or_else(PoisonError::into_inner) = Duration::ZERO;
    }

    /// Whether a helper has entered a mount namespace, or tried to.
    pub fn is_used(&self) -> bool {
        self.sandboxes.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Tests whether a helper can be started: sends one into the caller's mount namespace. Succeeds if it answers, even
    /// if it may not enter.
    ///
    /// # Errors
    ///
    /// [`NoHelper`](ErrorKind::NoHelper), [`Version`](ErrorKind::Version) and [`Helper`](ErrorKind::Helper): there is
    /// no usable helper. [`TimedOut`](ErrorKind::TimedOut).
    pub fn try_helper(&self) -> Result<(), Error> {
        let own = Path::new(ProcRoot::PATH).join("self/ns/mnt");
        let own = Target::Path(&own);
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

    /// The total time, which is long enough for any number of answers from the kernel even if the timeout is short.
    fn most(&self) -> Duration {
        self.deadline.max(DEADLINE).saturating_mul(MOST_DEADLINES)
    }

    /// Whether time is left.
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
