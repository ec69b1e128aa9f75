//! Files below the root directories of processes, which control what is there.

use std::collections::HashMap;
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lxkns_core::ProcRoot;
use lxkns_core::model::Errno;
use lxkns_core::model::{File, FileCapabilities, Process};
use lxkns_sys::SharedFd;

use crate::error::Cause;
use crate::slow_file::{attribute_slowly, pin_slowly};
use crate::users::read_inside;

/// The text of a file, as many processes have the same.
type Text = Option<Rc<[u8]>>;

/// Looks at files below the root directories of processes, and of the caller. A file system that does not answer costs a
/// bounded time, and all of them together ten times as much.
#[derive(Debug)]
pub struct Files<'a> {
    proc: &'a ProcRoot,
    wait: Duration,
    until: Instant,
    texts: HashMap<(u64, u64), Text>,
}

impl<'a> Files<'a> {
    /// Waits at most so long for each file.
    pub fn new(proc: &'a ProcRoot, wait: Duration) -> Self {
        Self { proc, wait, until: Instant::now() + 10 * wait, texts: HashMap::new() }
    }

    fn root(&self, process: &Process) -> io::Result<SharedFd> {
        if Instant::now() > self.until {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "too many file systems do not answer"));
        }
        let root = lxkns_core::root_of(self.proc, process)?;
        Ok(Arc::new(rustix::io::fcntl_dupfd_cloexec(root, 3)?))
    }

    /// An `O_PATH` descriptor of a file by a path below the root directory of a process, which no link leaves; or by a path
    /// of the caller's. `follow`: whether to follow a symbolic link at its end.
    ///
    /// # Errors
    ///
    /// The kernel's; [`TimedOut`](io::ErrorKind::TimedOut): no answer in time.
    ///
    /// # Privileges
    ///
    /// Ptrace read access to the process; `ptrace(2)`.
    pub fn pin(&self, process: Option<&Process>, path: &Path, follow: bool) -> io::Result<OwnedFd> {
        let root = process.map(|process| self.root(process)).transpose()?;
        pin_slowly(root.as_ref(), path, follow, self.wait)
    }

    /// What the kernel says of a file, likewise; see [`lxkns_core::file_of`].
    ///
    /// # Errors
    ///
    /// As for [`pin`](Self::pin).
    pub fn file(&self, process: Option<&Process>, path: &Path) -> io::Result<File> {
        let pinned = self.pin(process, path, false)?;
        Ok(lxkns_core::file_of(self.proc, pinned, |_| false)?)
    }

    /// The capabilities of a file whose capabilities [`file`](Self::file) left out, as its file system may wait for a server.
    ///
    /// # Errors
    ///
    /// As for [`pin`](Self::pin).
    pub fn capabilities(&self, pinned: OwnedFd, file: &File) -> io::Result<Option<FileCapabilities>> {
        let value = attribute_slowly(pinned, file.device, c"security.capability", self.wait);
        let answer = match &value {
            Ok(value) => Ok(value.as_slice()),
            Err(error) => match error.raw_os_error().and_then(Errno::new) {
                Some(errno) => Err(errno),
                None => return value.map(|_| None),
            },
        };
        lxkns_core::capabilities(answer).ok_or_else(|| match value {
            Ok(_) => io::Error::other("of a form that is not known"),
            Err(error) => error,
        })
    }

    /// The texts of `/etc/passwd` and `/etc/group` below the root directory of a process, or the caller's; `None` for one
    /// that is missing. Each is a regular file of at most 4 MiB, and is read once, however many processes see it.
    ///
    /// # Errors
    ///
    /// As for [`pin`](Self::pin): neither is readable, the first error.
    pub fn names(&mut self, process: Option<&Process>) -> io::Result<[Option<Rc<[u8]>>; 2]> {
        let root = match process {
            Some(process) => self.root(process)?,
            None => Arc::new(rustix::io::fcntl_dupfd_cloexec(pin_slowly(None, Path::new("/"), true, self.wait)?, 3)?),
        };
        let [users, groups] = [c"/etc/passwd", c"/etc/group"].map(|path| self.text(&root, path));
        match (users, groups) {
            (Err(error), Err(_)) => Err(error),
            (users, groups) => Ok([users.ok().flatten(), groups.ok().flatten()]),
        }
    }

    fn text(&mut self, root: &SharedFd, path: &'static CStr) -> io::Result<Text> {
        let pinned = pin_slowly(Some(root), Path::new(path.to_str().unwrap_or_default()), true, self.wait)?;
        let file = lxkns_core::file_of(self.proc, pinned.as_fd(), |_| false)?;
        let id = (u64::from(file.device.major) << 32 | u64::from(file.device.minor), file.ino);
        if let Some(text) = self.texts.get(&id) {
            return Ok(text.clone());
        }
        let text = read_inside(self.proc, root, path, self.wait).map_err(|cause| match cause {
            Cause::Kernel(errno) => errno.into(),
            Cause::TimedOut(words) => io::Error::new(io::ErrorKind::TimedOut, words),
            Cause::Words(words) => io::Error::other(words),
        })?;
        let text = Some(Rc::from(text));
        self.texts.insert(id, Option::clone(&text));
        Ok(text)
    }
}
