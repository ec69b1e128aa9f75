//! Place 9: what is in a mount namespace that no process shows, by way of somebody who enters it.

use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;

use super::search::{Found, Search};
use crate::model::{GapKind, Holder, NamespaceId, NamespaceType, Object, Place, Tid};
use crate::mount_access::{AccessError, InsideMounts};
use crate::reach;

/// A mount namespace that can be entered when something there is wanted that cannot be had from outside.
pub(super) struct Inside<'a> {
    search: &'a Search<'a>,
    mount_ns: NamespaceId,
    members: &'a [Tid],
    holders: &'a [Holder],
    entered: Option<Result<Box<dyn InsideMounts + 'a>, AccessError>>,
    /// Whether nothing led there any more.
    pub(super) is_lost: bool,
}

impl<'a> Inside<'a> {
    /// `holders` are some that the mount namespace can be opened through.
    pub(super) fn new(
        search: &'a Search<'a>,
        mount_ns: NamespaceId,
        members: &'a [Tid],
        holders: &'a [Holder],
    ) -> Self {
        Self { search, mount_ns, members, holders, entered: None, is_lost: false }
    }

    /// Whether there is anybody to enter it.
    pub(super) fn is_possible(&self) -> bool {
        self.search.access.is_some()
    }

    /// Whether somebody has entered it.
    pub(super) fn is_entered(&self) -> bool {
        matches!(self.entered, Some(Ok(_)))
    }

    /// Its mounts, as somebody sees them who has just entered.
    pub(super) fn mountinfo(&mut self) -> Result<Vec<u8>, AccessError> {
        self.entered()?.mountinfo()
    }

    /// The namespace that is bind-mounted at this path.
    pub(super) fn open_namespace(&mut self, path: &[u8], id: NamespaceId) -> Result<OwnedFd, AccessError> {
        self.entered()?.open_namespace(path, id)
    }

    fn entered(&mut self) -> Result<&dyn InsideMounts, AccessError> {
        if self.entered.is_none() {
            self.entered = Some(self.enter());
        }
        match &self.entered {
            Some(Ok(entered)) => Ok(&**entered),
            Some(Err(error)) => Err(error.clone()),
            None => Err(failed("enter", Errno::NOSYS)),
        }
    }

    fn enter(&mut self) -> Result<Box<dyn InsideMounts + 'a>, AccessError> {
        let access = self.search.access.ok_or_else(|| failed("enter", Errno::NOSYS))?;
        match self.open() {
            Ok(fd) => access.enter(fd.as_fd()).map_err(|error| match error.errno {
                // It is open, so that it has not gone.
                Errno::NOENT | Errno::SRCH => AccessError { errno: Errno::NODEV, ..error },
                _ => error,
            }),
            Err(errno) => {
                self.is_lost = GapKind::of(errno.raw_os_error()) == GapKind::Gone;
                Err(failed("open the mount namespace", errno))
            }
        }
    }

    /// Opens the mount namespace itself.
    fn open(&self) -> Result<OwnedFd, Errno> {
        if let Some(kept) = self.search.take_kept(self.mount_ns) {
            return Ok(kept);
        }
        let through_members = self.members.iter().map(|tid| format!("{tid}/ns/mnt"));
        let through_members = through_members.map(|path| reach::open_link(self.search.proc, &path));
        let through_holders =
            self.holders.iter().map(|holder| reach::through(self.search.proc, NamespaceType::Mnt, holder));
        let mut last = Errno::NOENT;
        for opened in through_members.chain(through_holders) {
            match opened.and_then(|fd| reach::verified(fd, self.mount_ns)) {
                Ok(fd) => return Ok(fd),
                // The process is in another by now.
                Err(Errno::NXIO) => {}
                Err(errno) => last = errno,
            }
        }
        Err(last)
    }
}

fn failed(operation: &'static str, errno: Errno) -> AccessError {
    AccessError { operation: operation.into(), errno }
}

/// Notes what could not be had of `object`.
pub(super) fn gap(found: &mut Found, object: Object, error: AccessError) {
    found.gap(Place::ProcesslessMounts, object, error.operation, error.errno);
}
