//! What waits in UNIX sockets, as the kernel reader tells: descriptors on namespaces and sockets that were sent, connections
//! that were not accepted. Without the kernel reader, the sockets are suspects.

use rustc_hash::FxHashSet;

use super::fds::Table;
use super::found::Found;
use super::search::Search;
use super::suspects;
use crate::kernel_reader::{Receiver, Refusal, Waiting, WaitingKind};
use crate::model::{Cause, Holder, InFlight, NamespaceId, NamespaceType, Object, Operation, Pid, Place, Tid};

/// A UNIX socket in which something waits, by who has it open.
#[derive(Clone, Copy)]
pub(super) struct OpenReceiver {
    pub(super) pid: Pid,
    pub(super) tid: Tid,
    pub(super) fd: u32,
    /// The network namespace of the task.
    pub(super) home: Option<NamespaceId>,
    pub(super) receiver: Receiver,
}

/// Adds what waits in the sockets that were seen to have something. Sockets of which that cannot be told are suspects.
pub(super) fn all(search: &Search<'_>, found: &mut Found) {
    let mut open = std::mem::take(&mut found.receivers);
    if open.is_empty() {
        return;
    }
    // Processes can share a socket.
    open.sort_unstable_by_key(|open| (open.receiver.file, open.receiver.inode, open.pid, open.tid, open.fd));
    let shared: Vec<&[OpenReceiver]> = open.chunk_by(|one, other| one.receiver == other.receiver).collect();
    let receivers: Vec<_> = shared.iter().filter_map(|shared| Some(shared.first()?.receiver)).collect();
    let told =
        search.session.kernel_reader().as_ref().map_err(Clone::clone).and_then(|reader| reader.in_flight(&receivers));
    let unsure = match told {
        Ok((waiting, unsure)) => {
            for waiting in waiting {
                hold(search, found, shared.get(waiting.receiver).copied().unwrap_or_default(), waiting);
            }
            if unsure.is_cut {
                found.gap(Place::Fds, Object::Host, Operation::list("descriptors in flight"), Cause::Partial);
            }
            unsure.receivers
        }
        Err(Refusal { operation, failure }) => {
            found.gap(Place::Fds, Object::Host, operation, failure);
            FxHashSet::from_iter(0..shared.len())
        }
    };
    if !search.options.suspects {
        return;
    }
    for &OpenReceiver { pid, tid, fd, .. } in
        unsure.into_iter().filter_map(|index| shared.get(index)).copied().flatten()
    {
        match search.proc.process(pid) {
            Ok(process) => {
                if let Some(table) = Table::open(search, found, &process, pid, tid) {
                    suspects::in_flight(found, &process, &table, fd);
                }
            }
            Err(errno) => found.gap(Place::Suspects, Object::Process(pid), Operation::OPEN, errno),
        }
    }
}

/// Notes what one thing that waits holds.
fn hold(search: &Search<'_>, found: &mut Found, open: &[OpenReceiver], waiting: Waiting) {
    let (ino, clone_flag, what) = match waiting.what {
        WaitingKind::Namespace { ino, clone_flag } => (ino, clone_flag, InFlight::Descriptor),
        WaitingKind::Socket { net, .. } => (net.into(), NamespaceType::Net.clone_flag(), InFlight::Socket),
        WaitingKind::Connection { net } => (net.into(), NamespaceType::Net.clone_flag(), InFlight::Connection),
        WaitingKind::Other => return,
    };
    let place = if what == InFlight::Descriptor { Place::Fds } else { Place::Sockets };
    let Some(ns_type) = NamespaceType::from_clone_flag(clone_flag).filter(|_| search.looks_in(place)) else { return };
    let id = NamespaceId { ino, dev: search.devices.nsfs };
    for &OpenReceiver { pid, tid, fd, home, .. } in open {
        // Most sockets that wait are of the network namespace that their receiver is in.
        if what == InFlight::Descriptor || home != Some(id) {
            found.hold_unopened(
                place,
                id,
                ns_type,
                Some(Holder::InFlight { pid, tid, fd, inode: waiting.queue, what }),
            );
        }
    }
}
