//! Place 9: mounts in a mount namespace that no process shows, through a helper that enters it.

use std::os::fd::{AsFd, OwnedFd};

use super::found::Found;
use super::search::Search;
use crate::failure::Failure;
use crate::model::{Cause, Holder, NamespaceId, NamespaceType, Object, Operation, Place, Tid};
use crate::mount_access::{AccessError, InsideMounts};
use crate::reach;

/// The operation that failed, and why.
pub(super) type Refusal = (Operation, Failure);

/// A mount namespace that a helper enters when its mounts cannot be read from outside.
pub(super) struct Inside<'a> {
    search: &'a Search<'a>,
    mount_ns: NamespaceId,
    members: &'a [Tid],
    holders: &'a [Holder],
    entered: Option<Result<Box<dyn InsideMounts + 'a>, Refusal>>,
    /// Whether nothing led there any more.
    pub(super) is_lost: bool,
}

impl<'a> Inside<'a> {
    /// `holders` are some of the holders through which the mount namespace can be opened.
    pub(super) fn new(
        search: &'a Search<'a>,
        mount_ns: NamespaceId,
        members: &'a [Tid],
        holders: &'a [Holder],
    ) -> Self {
        Self { search, mount_ns, members, holders, entered: None, is_lost: false }
    }

    /// Whether there is a helper to enter it.
    pub(super) fn is_possible(&self) -> bool {
        self.search.access.is_some()
    }

    /// Whether a helper has entered it.
    pub(super) fn is_entered(&self) -> bool {
        matches!(self.entered, Some(Ok(_)))
    }

    /// Its mounts, as the helper sees them.
    pub(super) fn mountinfo(&mut self) -> Result<Vec<u8>, Refusal> {
        self.entered()?.mountinfo().map_err(refusal)
    }

    /// The namespace that is bind-mounted at this path.
    pub(super) fn open_namespace(&mut self, path: &[u8], id: NamespaceId) -> Result<OwnedFd, Refusal> {
        self.entered()?.open_namespace(path, id).map_err(refusal)
    }

    fn entered(&mut self) -> Result<&dyn InsideMounts, Refusal> {
        if self.entered.is_none() {
            self.entered = Some(self.enter());
        }
        match &self.entered {
            Some(Ok(entered)) => Ok(&**entered),
            Some(Err(error)) => Err(error.clone()),
            None => Err(nobody()),
        }
    }

    fn enter(&mut self) -> Result<Box<dyn InsideMounts + 'a>, Refusal> {
        let access = self.search.access.ok_or_else(nobody)?;
        match self.open() {
            // It is open, so that what is missing is something else.
            Ok(fd) => access.enter(fd.as_fd()).map_err(|error| match error.cause {
                Cause::NoPath => refusal(AccessError { cause: Cause::Other, ..error }),
                _ => refusal(error),
            }),
            Err(failure) => {
                self.is_lost = failure.is_gone();
                Err((Operation::Enter("open it".into()), failure))
            }
        }
    }

    /// Opens the mount namespace itself.
    fn open(&self) -> Result<OwnedFd, Failure> {
        if let Some(kept) = self.search.take_kept(self.mount_ns) {
            return Ok(kept);
        }
        let through_members = self.members.iter().map(|tid| format!("{tid}/ns/mnt"));
        let through_members =
            through_members.map(|path| reach::open_link(self.search.proc, &path).map_err(Failure::from));
        let through_holders =
            self.holders.iter().map(|holder| reach::through(self.search.proc, NamespaceType::Mnt, holder));
        let mut last = Failure::VANISHED;
        for opened in through_members.chain(through_holders) {
            match opened.and_then(|fd| reach::verified(fd, self.mount_ns)) {
                Ok(fd) => return Ok(fd),
                // The process is in another by now.
                Err(failure) if failure.is_elsewhere() => {}
                Err(failure) => last = failure,
            }
        }
        Err(last)
    }
}

fn nobody() -> Refusal {
    (Operation::Enter("".into()), Cause::NoHelper.into())
}

fn refusal(error: AccessError) -> Refusal {
    (error.operation, Failure::of(error.cause, error.errno))
}

/// Notes a gap about `object`.
pub(super) fn gap(found: &mut Found, object: Object, (operation, failure): Refusal) {
    found.gap(Place::ProcesslessMounts, object, operation, failure);
}
