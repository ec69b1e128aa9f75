//! From the kernel to a [`Snapshot`]: one file for each place that can hold a namespace, and this table of contents.
//!
//! | place | file |
//! |---|---|
//! | 1 processes | `processes.rs` |
//! | 2 tasks | `tasks.rs` |
//! | 3 namespaces of children to come | `for_children.rs` |
//! | 4 descriptors, and 7 those in a task's own table | `fds.rs`, `task_fds.rs` |
//! | 5 sockets | `sockets.rs` |
//! | 6 TUN/TAP files | `tun.rs` |
//! | 8 bind mounts | `bind_mounts.rs`, with the mount lists of `mount_lists.rs` |
//! | 9 bind mounts where no process is | the same, with `inside_mounts.rs` |
//! | 10 parents, 11 owners | `facts.rs`: they are asked of each namespace when it is first seen |
//! | 12 the kernel's own lists | `kernel.rs` |
//! | what waits in UNIX sockets | `in_flight.rs` |
//! | whether all that the kernel counts is explained | `references.rs` |
//!
//! Where the kernel reader takes the place of procfs, `from_kernel.rs` has places 1 to 7, and what namespaces say of
//! themselves to a caller who may not open them.

mod assembly;
mod bind_mounts;
mod command_lines;
mod confinement;
mod facts;
mod fds;
mod file_system_users;
mod for_children;
mod found;
mod freezer;
mod from_kernel;
mod gaps;
pub(crate) mod host;
mod in_flight;
mod initial;
mod inside_mounts;
mod kept_mounts;
mod kernel;
mod left_behind;
mod mount_facts;
mod mount_lists;
mod named;
mod namespace_details;
mod observer;
mod own_network;
mod processes;
mod references;
mod search;
mod session;
mod shared_memory;
mod socket_users;
mod sockets;
mod suspects;
mod task_fds;
mod task_powers;
mod tasks;
mod tun;
mod tun_users;
mod untold;
mod workers;

use std::time::{Instant, SystemTime};

use crate::error::Error;
use crate::model::CompactSort as _;
use crate::model::{DiscoveryOptions, NamespaceType, Reader, Snapshot};

use search::Search;

pub use file_system_users::file_system_on;
pub use session::{Discovery, Progress, Step};

/// One scan of a session.
fn scan(session: &Discovery<'_>, options: &DiscoveryOptions) -> Result<Snapshot, Error> {
    let (began, taken_at) = (Instant::now(), SystemTime::now());
    let proc = session.proc();
    let host = host::host(proc, options);
    let observer = observer::observer(proc);
    let mut search = Search::new(session, options);

    // The caller comes first, before the scan has threads and descriptors of its own.
    let mut found = processes::own(&search);
    search.keep_user_namespace();
    search.is_in_initial_pid_ns = observer.pid_ns.is_some_and(|id| initial::has_fixed_inode(NamespaceType::Pid, id));
    let home = observer::home(proc);
    // Reads that can block run in parallel from here on, with a timeout.
    let command_lines = command_lines::start(&search, &mut found);
    search.command_lines = command_lines.as_ref();
    // Processes, their tasks and descriptors: most namespaces, and the ways into mount namespaces.
    session.begin(Step::Processes, 0)?;
    let (reader, not_kernel) = match from_kernel::all(&mut search, &mut found) {
        Ok(all) => {
            found.merge(all);
            (Reader::Kernel, None)
        }
        Err(why) => {
            found.merge(processes::all(&search)?);
            (Reader::Proc, Some(why))
        }
    };
    let counts = references::begin(&search, &mut found);
    let count = found.processes.len();
    session.begin(Step::Mounts, count)?;
    // Bind mounts, and all other mounts: a mount namespace that is found in one can hold another.
    bind_mounts::all(&search, &mut found);
    session.begin(Step::Kernel, count)?;
    // The kernel's own lists: namespaces that no other place has shown.
    kernel::all(&search, &mut found)?;
    // What waits in sockets holds namespaces that nothing may lead to: the kernel's lists have what these say of themselves.
    in_flight::all(&search, &mut found);
    tun::told(&search, &mut found);
    // Retry namespaces that could not be opened, through their other holders.
    facts::of_the_rest(&search, &mut found);
    socket_users::keep(&search, &mut found);
    from_kernel::gap_of_facts(&search, &mut found);
    session.begin(Step::Details, count)?;
    // Details that are read only of processes that are shown, which are known now.
    let wanted = command_lines::ask_for_the_rest(&search, &mut found);
    named::statuses(&search, &mut found);

    let references = references::all(&search, &mut found, counts);
    let mut snapshot = assembly::snapshot(&search, found, host, taken_at);
    (snapshot.observer_mount_ns, snapshot.observer) = (home, Some(observer));
    (snapshot.reader, snapshot.not_kernel) = (Some(reader), not_kernel);
    references::add(&mut snapshot, references);
    freezer::all(&search, &mut snapshot);
    namespace_details::all(&search, &mut snapshot);
    if let Some(command_lines) = command_lines {
        command_lines.finish(&session.left_behind, &wanted, &mut snapshot);
    }

    snapshot.gaps.compact_sort();
    snapshot.gaps.dedup();
    snapshot.took = began.elapsed();
    Ok(snapshot)
}
