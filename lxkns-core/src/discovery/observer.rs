//! The observer: the calling thread.

use std::os::fd::OwnedFd;

use rustix::fs::AtFlags;
use rustix::io::Errno;
use rustix::process::PidfdFlags;

use lxkns_sys::PidfdNamespace;

use crate::model::{CapabilitySet, NamespaceId, NamespaceType, Observer, Uid};
use crate::procfs::{ProcRoot, parse};
use crate::reach;

/// Facts about the calling thread, and the PID namespace of the procfs.
pub(super) fn observer(proc: &ProcRoot) -> Observer {
    let effective = rustix::thread::capabilities(None).map_or(0, |sets| sets.effective.bits());
    let effective = CapabilitySet::from_bits(effective);
    let mut observer = Observer::new(Uid(rustix::process::geteuid().as_raw()), effective);
    observer.user_ns = own(proc, "user", PidfdNamespace::User);
    observer.pid_ns = own(proc, "pid", PidfdNamespace::Pid);
    observer.procfs_pid_ns = match proc.is_own() {
        true => observer.pid_ns,
        false => link(proc, "1/ns/pid").or_else(|| of_kernel_threads(proc)),
    };
    observer
}

/// The initial PID namespace, if this procfs shows a thread of the kernel's, which no other does. Its flags can be read by
/// everybody.
fn of_kernel_threads(proc: &ProcRoot) -> Option<NamespaceId> {
    let mut buffer = Vec::new();
    let stat = parse::stat::parse(proc.dir().read_record("2/stat", &mut buffer).ok()?).ok()?;
    let ino = NamespaceType::Pid.initial_inode();
    stat.is_kernel_thread().then_some(NamespaceId { ino, dev: proc.nsfs_dev() })
}

/// The caller's mount namespace.
pub(super) fn home(proc: &ProcRoot) -> Option<NamespaceId> {
    own(proc, "mnt", PidfdNamespace::Mnt)
}

/// A namespace of the caller, from the link, or from a pidfd if the procfs does not show the caller.
fn own(proc: &ProcRoot, name: &str, which: PidfdNamespace) -> Option<NamespaceId> {
    let of_pidfd = || -> Result<OwnedFd, Errno> {
        let pidfd = rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty())?;
        lxkns_sys::pidfd_get_namespace(pidfd, which)
    };
    link(proc, &format!("self/ns/{name}")).or_else(|| reach::identity(of_pidfd().ok()?).ok())
}

fn link(proc: &ProcRoot, path: &str) -> Option<NamespaceId> {
    // A file of the kernel's own, which has no server.
    let stat = rustix::fs::statat(proc, path, AtFlags::empty()).ok()?;
    (stat.st_dev == proc.nsfs_dev()).then_some(NamespaceId { ino: stat.st_ino, dev: stat.st_dev })
}
