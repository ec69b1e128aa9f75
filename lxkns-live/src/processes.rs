//! Processes that did not exist when the host was scanned, and what their numbers mean.

use std::io;

use lxkns_core::ProcRoot;
use lxkns_core::model::Pid;
use rustix::fs::{AtFlags, StatxFlags};
use rustix::process::PidfdFlags;

/// Why PIDs of the procfs mean other processes, or none, to the caller's system calls, and what to do; `None` where they mean
/// the same.
pub fn other_procfs(proc: &ProcRoot) -> Option<&'static str> {
    const WHY: &str = "procfs at /proc belongs to another PID namespace than this process; mount one of its own (mount -t \
                       proc proc /proc), or run lxkns in that PID namespace (nsenter --pid)";
    (!proc.is_own()).then_some(WHY)
}

/// Whether there is a process or task with this ID: procfs has directories of tasks that it does not list.
pub fn has_task(proc: &ProcRoot, pid: Pid) -> bool {
    let flags = AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
    rustix::fs::statx(proc, pid.to_string(), flags, StatxFlags::TYPE).is_ok()
}

/// The inode number of the pidfd of a process, which no other process has had since boot; `None` where the kernel gives pidfds
/// no numbers of their own.
///
/// # Errors
///
/// The kernel's: there is no such process.
///
/// # Minimum kernel version
///
/// 6.9; before, all pidfds share one inode.
pub fn pidfd_inode(pid: Pid) -> io::Result<Option<u64>> {
    const PIDFS: u64 = 0x5049_4446;
    let raw = i32::try_from(pid.0).ok().and_then(rustix::process::Pid::from_raw);
    let pidfd = rustix::process::pidfd_open(raw.ok_or(io::ErrorKind::NotFound)?, PidfdFlags::empty())?;
    let is_pidfs = u64::try_from(rustix::fs::fstatfs(&pidfd)?.f_type) == Ok(PIDFS);
    Ok(if is_pidfs { Some(rustix::fs::fstat(&pidfd)?.st_ino) } else { None })
}
