//! The reader's own control group namespace. A container's shows paths relative to that container.

use std::os::fd::AsFd as _;

use anyhow::{Context as _, bail};
use lxkns_core::ProcRoot;
use lxkns_core::model::NamespaceType;
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Enters the initial one, which the first process is in, and in any case the kernel's threads. It must be the only thread.
///
/// # Errors
///
/// Paths of control groups remain relative.
pub(super) fn leave(proc: &ProcRoot) -> anyhow::Result<()> {
    let is_initial = || {
        let own = rustix::fs::statat(proc, "thread-self/ns/cgroup", AtFlags::empty());
        // Kernels before 4.6 have one for all.
        own.map_or(true, |own| own.st_ino == NamespaceType::Cgroup.initial_inode())
    };
    let mut refused = None;
    for path in ["1/ns/cgroup", "2/ns/cgroup"] {
        if is_initial() {
            return Ok(());
        }
        let opened = rustix::fs::openat(proc, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        // There need not be a second process in a PID namespace that is not the host's.
        if matches!(opened, Err(Errno::NOENT)) {
            continue;
        }
        let opened = opened.with_context(|| format!("open {path} (needs CAP_SYS_PTRACE)"));
        let entered = opened.and_then(|first| {
            let entered = move_into_link_name_space(first.as_fd(), Some(LinkNameSpaceType::ControlGroup));
            entered.with_context(|| format!("enter {path} (needs CAP_SYS_ADMIN)"))
        });
        refused = refused.or(entered.err());
    }
    match refused {
        _ if is_initial() => Ok(()),
        Some(refused) => Err(refused),
        None => bail!("the first process is not in the initial cgroup namespace (needs the host's PID namespace)"),
    }
}
