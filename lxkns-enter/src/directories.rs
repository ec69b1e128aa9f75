//! Root and working directory of the command.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use lxkns_core::ProcRoot;
use lxkns_sys::{Directory, Op, SharedFd};
use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags};
use rustix::io::Errno;

use crate::error::{Cause, Error};
use crate::in_time::in_time;
use crate::process::{Process, cannot_trace};
use crate::steps::{Draft, Fact, Stage, Subject};

/// Opens a directory through a procfs link, with a timeout: the server of its file system can be dead.
fn open(dir: impl AsFd, link: &'static str, wait: Duration) -> Result<SharedFd, Cause> {
    let dir = rustix::io::fcntl_dupfd_cloexec(dir, 3)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    in_time(wait, move || rustix::fs::openat(dir, link, flags, Mode::empty())).map(Arc::new)
}

/// Opens the caller's root directory.
pub(crate) fn own_root(proc: &ProcRoot, wait: Duration) -> Result<SharedFd, Error> {
    open(proc, "thread-self/root", wait).map_err(|errno| Error::call("open the caller's root directory", errno))
}

/// Adds the steps that give the command the root and working directory of a process, and returns the root. If the
/// command gets a mount namespace of its own, both are changed by path.
pub(crate) fn of_process(
    draft: &mut Draft,
    proc: &ProcRoot,
    process: &Process,
    enters_mounts: bool,
    has_own_mounts: bool,
    wait: Duration,
) -> Result<SharedFd, Error> {
    let failed = |what: &'static str| move |cause: Cause| cannot_trace(process.pid, what, cause);
    let root = open(&process.dir, "root", wait).map_err(failed("open the root directory"))?;
    let cwd = open(&process.dir, "cwd", wait).map_err(failed("open the working directory"))?;
    let path = |link: &str| rustix::fs::readlinkat(&process.dir, link, Vec::new()).map_err(Cause::from);
    let [root_path, cwd_path] = [
        path("root").map_err(failed("read the root directory"))?,
        path("cwd").map_err(failed("read the working directory"))?,
    ];
    let by_path = |path: &CString| has_own_mounts.then(|| path.clone());
    // A command that is in that directory already need not have permission to change to it.
    let own = own_root(proc, wait)?;
    if enters_mounts || !is_same(&root, &own) {
        let directory = Directory { fd: Arc::clone(&root), path: by_path(&root_path) };
        draft.step(Stage::Root, "change the root directory", Op::Root(directory));
    }
    let unreachable = unreachable(process, [&root, &cwd], [root_path.as_bytes(), cwd_path.as_bytes()]);
    let directory = Directory { fd: cwd, path: by_path(&cwd_path) };
    draft.step(Stage::Root, "change the working directory", Op::WorkingDirectory(directory));

    let text = |path: &CString| path.to_string_lossy().into_owned();
    draft.row(Subject::Root, Some(Fact::Text(text(&root_path))), Fact::Text(text(&root_path)));
    let command = if unreachable.is_some() { "/".to_owned() } else { text(&cwd_path) };
    draft.row(Subject::WorkingDirectory, Some(Fact::Text(text(&cwd_path))), Fact::Text(command));
    if let Some(why) = unreachable {
        draft.notes.push(format!("the working directory of process {} {why}: the command starts in /", process.pid));
    }
    Ok(root)
}

/// Whether the `/proc` that a process sees is that of the caller's PID namespace, or is not a procfs. False if the file
/// system does not answer, or the path leads elsewhere.
pub(crate) fn has_own_proc(proc: &ProcRoot, process: &Process, wait: Duration) -> bool {
    /// The type of procfs (`statfs(2)`).
    const PROC_SUPER_MAGIC: u64 = 0x9fa0;
    let Ok(own) = rustix::fs::readlinkat(proc, "self", Vec::new()) else { return false };
    let Ok(dir) = rustix::io::fcntl_dupfd_cloexec(&process.dir, 3) else { return false };
    let is_own = in_time(wait, move || -> Result<bool, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let theirs = rustix::fs::openat(dir, "root/proc", flags, Mode::empty())?;
        let is_procfs = rustix::fs::fstatfs(&theirs)?.f_type as u64 == PROC_SUPER_MAGIC;
        Ok(is_procfs && rustix::fs::readlinkat(&theirs, "self", Vec::new()).is_ok_and(|number| number == own))
    });
    is_own.unwrap_or_else(|cause| cause == Cause::Kernel(Errno::NOENT))
}

/// Why the working directory of a process cannot be reached from its root; `None` if it can.
fn unreachable(
    process: &Process,
    [root, cwd]: [&SharedFd; 2],
    [root_path, cwd_path]: [&[u8]; 2],
) -> Option<&'static str> {
    let stat = |fd: &SharedFd| {
        let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
        rustix::fs::statx(fd, c"", flags, StatxFlags::NLINK | StatxFlags::MNT_ID).ok()
    };
    let stats = [stat(root), stat(cwd)];
    // A file name can end with that text too.
    if cwd_path.ends_with(b" (deleted)") && stats[1].is_none_or(|stat| stat.stx_nlink == 0) {
        return Some("is deleted");
    }
    let prefix = root_path.strip_suffix(b"/").unwrap_or(root_path);
    let is_below = cwd_path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"));
    if !is_below {
        return Some("is outside its root");
    }
    let mounts = stats.map(|stat| Some(stat?).filter(|stat| stat.stx_mask & StatxFlags::MNT_ID.bits() != 0));
    let [Some(root), Some(cwd)] = mounts.map(|stat| stat.map(|stat| stat.stx_mnt_id)) else { return None };
    if root == cwd {
        return None;
    }
    // The list has all mounts that can be reached from the root.
    let listed = process.read("mountinfo").ok()?;
    let is_listed = listed.split(|&byte| byte == b'\n').any(|line| {
        let id = line.split(|&byte| byte == b' ').next().and_then(|id| std::str::from_utf8(id).ok()?.parse().ok());
        id == Some(cwd)
    });
    (!is_listed).then_some("is on a file system that is no longer mounted there")
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
