//! From the kernel to a [`Snapshot`]: one file for each place that can hold a namespace, and this table of contents.
//!
//! | place | file |
//! |---|---|
//! | 1 processes | `processes.rs` |
//! | 2 threads | `tasks.rs` |
//! | 3 namespaces of children to come | `for_children.rs` |
//! | 4 descriptors, and 7 those in tables of single threads | `fds.rs`, `task_fds.rs` |
//! | 5 sockets | `sockets.rs` |
//! | 6 TUN/TAP files | `tun.rs` |
//! | 8 bind mounts | `bind_mounts.rs`, with the mount lists of `mount_lists.rs` |
//! | 9 bind mounts where no process is | the same, with `inside_mounts.rs` |
//! | 10 parents, 11 owners | `facts.rs`: they are asked of each namespace when it is first seen |
//! | 12 the kernel's own lists | `kernel.rs` |

mod assembly;
mod bind_mounts;
mod command_lines;
mod facts;
mod fds;
mod file_system_users;
mod for_children;
mod freezer;
mod host;
mod initial;
mod inside_mounts;
mod kernel;
mod mount_facts;
mod mount_lists;
mod named;
mod namespace_details;
mod observer;
mod processes;
mod search;
mod socket_users;
mod sockets;
mod suspects;
mod task_fds;
mod tasks;
mod tun;

use std::time::{Instant, SystemTime};

use crate::error::Error;
use crate::model::{DiscoveryOptions, Snapshot};
use crate::mount_access::MountAccess;
use crate::procfs::ProcRoot;

use search::Search;

pub use file_system_users::{file_system_on, file_system_users};
pub use socket_users::socket_users;

/// Finds the namespaces of the host that the calling process runs on.
///
/// Changes nothing on the host, prints nothing, starts no process. Its threads are gone when it returns, but for two
/// kinds that the kernel can keep: one that reads command lines (see [`DiscoveryOptions::command_lines`]), and those
/// that close sockets which linger.
///
/// # Errors
///
/// Only where there can be no snapshot at all: no procfs. What could not be read is in [`Snapshot::gaps`].
///
/// # Privileges
///
/// None; one sees what one may see. All of a host takes `CAP_SYS_PTRACE`, `CAP_DAC_READ_SEARCH`, `CAP_NET_ADMIN` and
/// `CAP_SYS_ADMIN` in the initial user namespace, and the initial PID namespace.
///
/// # Minimum kernel version
///
/// 4.11; the [crate's page](crate#kernels) says what later ones add.
pub fn discover(options: &DiscoveryOptions) -> Result<Snapshot, Error> {
    discover_in(&ProcRoot::host()?, options)
}

/// Finds the namespaces that the processes of this procfs are in or hold.
///
/// With another procfs than the caller's own, PIDs mean nothing to system calls. So sockets, TUN/TAP files, descriptor
/// tables of single threads and PID namespaces that never had a process are not looked at, and gaps say so.
///
/// # Errors
///
/// As [`discover`].
///
/// # Privileges
///
/// As [`discover`].
pub fn discover_in(proc: &ProcRoot, options: &DiscoveryOptions) -> Result<Snapshot, Error> {
    look(proc, options, None)
}

/// As [`discover_in`], with the help of somebody who can look into mount namespaces from inside: so that what is mounted
/// in those without a process is found as well on kernels that do not list it, and can be opened on all.
///
/// # Errors
///
/// As [`discover`].
///
/// # Privileges
///
/// As [`discover`]; and what `access` needs.
pub fn discover_with(proc: &ProcRoot, options: &DiscoveryOptions, access: &dyn MountAccess) -> Result<Snapshot, Error> {
    look(proc, options, Some(access))
}

fn look(proc: &ProcRoot, options: &DiscoveryOptions, access: Option<&dyn MountAccess>) -> Result<Snapshot, Error> {
    let (began, taken_at) = (Instant::now(), SystemTime::now());
    let host = host::host(proc, options);
    let observer = observer::observer(proc);
    let mut search = Search::new(proc, options);
    search.access = access;

    // The caller itself comes first, before there are threads and descriptors of ours that it would be seen with.
    let mut found = processes::own(&search);
    search.keep_user_namespace();
    let home = observer::home(proc);
    // What can get stuck goes beside the rest from here on, and is not waited for without end.
    let command_lines = command_lines::start(&search, &mut found);
    search.command_lines = command_lines.as_ref();
    // Processes, their threads and descriptors: most namespaces, and the ways into mount namespaces.
    found.merge(processes::all(&search)?);
    // Bind mounts, and all other mounts: a mount namespace that is found in one can hold another.
    bind_mounts::all(&search, &mut found);
    // The kernel's own lists: whatever nothing so far has led to.
    kernel::all(&search, &mut found)?;
    // Namespaces that could not be opened when they were seen: perhaps through another of their holders.
    facts::of_the_rest(&search, &mut found);
    // What is read only of processes that are shown: now it is known which these are.
    let wanted = command_lines::ask_for_the_rest(&search, &mut found);
    named::statuses(&search, &mut found);

    let mut snapshot = assembly::snapshot(&search, found, host, taken_at);
    (snapshot.home, snapshot.observer) = (home, Some(observer));
    freezer::all(&search, &mut snapshot);
    namespace_details::all(&search, &mut snapshot);
    if let Some(command_lines) = command_lines {
        command_lines.finish(&wanted, &mut snapshot);
    }

    snapshot.gaps.sort();
    snapshot.gaps.dedup();
    snapshot.took = began.elapsed();
    Ok(snapshot)
}
