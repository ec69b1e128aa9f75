//! The root and the working directory.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use lxkns_core::ProcRoot;
use lxkns_sys::{Op, SharedFd};
use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags};
use rustix::io::Errno;

use crate::error::Error;
use crate::in_time::in_time;
use crate::plan::{Fact, Stage, Subject};
use crate::prepare::Draft;
use crate::process::{Process, cannot};

/// Opens a directory that a link of procfs leads to. Its file system may have a server that does not answer.
fn open(dir: impl AsFd, link: &'static str, wait: Duration) -> Result<SharedFd, Errno> {
    let dir = rustix::io::fcntl_dupfd_cloexec(dir, 3)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    in_time(wait, move || rustix::fs::openat(dir, link, flags, Mode::empty())).map(Arc::new)
}

/// The caller's own root.
pub(crate) fn own_root(proc: &ProcRoot, wait: Duration) -> Result<SharedFd, Error> {
    open(proc, "thread-self/root", wait).map_err(|errno| Error::call("open the own root directory", errno))
}

/// Has the command in the root and the working directory of a process. Comes back with the root.
pub(crate) fn of_process(
    draft: &mut Draft,
    proc: &ProcRoot,
    process: &Process,
    enters_mounts: bool,
    wait: Duration,
) -> Result<SharedFd, Error> {
    let failed = |what: &'static str| move |errno| cannot(process.pid, what, errno);
    let root = open(&process.dir, "root", wait).map_err(failed("open the root directory"))?;
    let cwd = open(&process.dir, "cwd", wait).map_err(failed("open the working directory"))?;
    // Who is there already need not be allowed to go there.
    let own = own_root(proc, wait)?;
    if enters_mounts || !is_same(&root, &own) {
        draft.step(Stage::Root, "change the root directory", Op::Root(Arc::clone(&root)));
    }
    draft.step(Stage::Root, "change the working directory", Op::WorkingDirectory(cwd));
    for (subject, link) in [(Subject::Root, "root"), (Subject::WorkingDirectory, "cwd")] {
        let path = rustix::fs::readlinkat(&process.dir, link, Vec::new());
        let path = path.map_or_else(|_| "that of the process".to_owned(), |path| path.to_string_lossy().into_owned());
        draft.row(subject, Some(Fact::Text(path.clone())), Fact::Text(path));
    }
    Ok(root)
}

/// Whether both are the same directory on the same mount.
fn is_same(one: &OwnedFd, other: &OwnedFd) -> bool {
    let identity = |fd: &OwnedFd| {
        let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
        let stat = rustix::fs::statx(fd, c"", flags, StatxFlags::INO | StatxFlags::MNT_ID).ok()?;
        (stat.stx_mask & StatxFlags::MNT_ID.bits() != 0).then_some((
            stat.stx_mnt_id,
            stat.stx_ino,
            stat.stx_dev_major,
            stat.stx_dev_minor,
        ))
    };
    identity(one).is_some_and(|one| identity(other) == Some(one))
}
