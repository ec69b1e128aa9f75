//! What only a process inside a namespace can read, and what that leads to outside.

use std::os::fd::AsFd as _;
use std::time::Duration;

use lxkns_core::{Discovery, ProcRoot};
use lxkns_model::CompactSort as _;
use lxkns_model::inside::{Failure, Inside as Facts, Network, NetworkInside};
use lxkns_model::{Gap, Holder, Namespace, NamespaceId, NamespaceLinks, NamespaceType, Pid, Snapshot, SocketUser};
use rustc_hash::{FxHashMap, FxHashSet};
use rustix::fs::AtFlags;

use crate::parent::{Error, Inside, Program, failure_of};
use crate::protocol::MOST_FDS;

/// What was read inside a namespace.
#[derive(Debug, Default)]
pub struct Looked {
    /// What its type has to tell; nothing of the types that have nothing.
    pub inside: Facts,
    /// Why that could not be read.
    pub unreadable: Option<Unreadable>,
    /// What could not be read outside.
    pub gaps: Vec<Gap>,
}

/// Why nothing could be read inside.
#[derive(Debug)]
pub enum Unreadable {
    /// The caller needs `CAP_SYS_ADMIN` in this user namespace (`None` where its owner is not known).
    Denied(Option<NamespaceId>),
    /// The namespace could not be opened.
    NotOpened(lxkns_core::Error),
    /// The process inside did not answer.
    Failed(Error),
}

/// Whether a namespace of this type has something to tell inside.
fn has_an_inside(ns_type: NamespaceType) -> bool {
    matches!(ns_type, NamespaceType::User | NamespaceType::Net | NamespaceType::Uts)
}

/// Reads what only a process inside this namespace of the snapshot can tell, as far as its type has something, and what
/// its links and sockets lead to outside. No answer is waited for longer than `timeout`.
///
/// # Privileges
///
/// `CAP_SYS_ADMIN` in the user namespace that owns it (of a user namespace in itself), or to be that one's owner. The names
/// of links in other network namespaces take `CAP_NET_ADMIN` there.
pub fn look(
    discovery: &Discovery<'_>,
    snapshot: &Snapshot,
    namespace: &Namespace,
    program: &Program,
    timeout: Duration,
) -> Looked {
    let mut around = Around { discovery, snapshot, program, gaps: Vec::new() };
    let looked = if has_an_inside(namespace.ns_type) { around.look(namespace, timeout) } else { Ok(Facts::default()) };
    let (inside, unreadable) = match looked {
        Ok(inside) => (inside, None),
        Err(unreadable) => (Facts::default(), Some(unreadable)),
    };
    Looked { inside, unreadable, gaps: around.gaps }
}

struct Around<'a> {
    discovery: &'a Discovery<'a>,
    snapshot: &'a Snapshot,
    program: &'a Program,
    gaps: Vec<Gap>,
}

impl Around<'_> {
    fn look(&mut self, namespace: &Namespace, timeout: Duration) -> Result<Facts, Unreadable> {
        let failed = |error: Error| match error.is_denied() {
            // A user namespace decides on itself.
            true if namespace.ns_type == NamespaceType::User => Unreadable::Denied(Some(namespace.id)),
            true => Unreadable::Denied(namespace.owner.known()),
            false => Unreadable::Failed(error),
        };
        let is_own = |id, ns_type| own_namespace(self.discovery.proc(), ns_type) == Some(id);
        let open = |id| self.discovery.open(self.snapshot, id);
        let target = match is_own(namespace.id, namespace.ns_type) {
            true => None,
            false => Some(open(namespace.id).map_err(Unreadable::NotOpened)?),
        };
        // Its owner's rights, for a caller without any in there. They are of no use to a caller that has them already.
        let owner = namespace.owner.known().filter(|&owner| {
            target.is_some() && namespace.ns_type != NamespaceType::User && !is_own(owner, NamespaceType::User)
        });
        let owner = owner.and_then(|owner| open(owner).ok());
        let fds = [&target, &owner].map(|fd| fd.as_ref().map(|fd| fd.as_fd()));
        let mut inside = Inside::enter(self.program, fds[0], fds[1], timeout).map_err(failed)?;
        let mut found = Facts::default();
        match namespace.ns_type {
            NamespaceType::Net => {
                let network = inside.network().map_err(failed)?;
                found.network = Some(self.network(&mut inside, namespace, network));
            }
            NamespaceType::Uts => found.host_name = Some(inside.host_name().map_err(failed)?),
            _ => found.limits = Some(inside.limits().map_err(failed)?),
        }
        Ok(found)
    }

    /// What the links and sockets of a network namespace lead to.
    fn network(&mut self, inside: &mut Inside, namespace: &Namespace, mut network: Network) -> NetworkInside {
        let (namespaces, failure) = self.namespaces(inside, namespace, &network);
        network.failures.extend(failure);
        let ends: Vec<_> = network
            .links
            .iter()
            .filter_map(|link| Some((link.link_nsid.filter(|nsid| *nsid >= 0)?, link.link.filter(|&index| index > 0)?)))
            .collect();
        // Of those that one has no right to ask about, the index will have to do.
        let names = inside.names_of_links(&ends).unwrap_or_else(|error| {
            network.failures.push(failure_of("names of links elsewhere", &error));
            Vec::new()
        });
        let names = ends.into_iter().zip(names).filter_map(|(end, name)| Some((end, name?))).collect();
        let users = self.users(namespace, &network);
        let home = own_namespace(self.discovery.proc(), NamespaceType::Net);
        NetworkInside { network, namespaces, names, users, home }
    }

    /// Which network namespaces the IDs mean that its links have in them. All others may have to be asked about, since
    /// nobody tells it the other way.
    fn namespaces(
        &self,
        inside: &mut Inside,
        namespace: &Namespace,
        network: &Network,
    ) -> (FxHashMap<i32, NamespaceId>, Option<Failure>) {
        let wanted: FxHashSet<i32> =
            network.links.iter().filter_map(|link| link.link_nsid).filter(|&nsid| nsid >= 0).collect();
        let mut found = FxHashMap::default();
        let mut others: Vec<&Namespace> = self.snapshot.namespaces.values().collect();
        others.retain(|other| other.ns_type == NamespaceType::Net && other.id != namespace.id);
        // The other end of most is where the host is.
        others.compact_sort_by_key(|other| !other.initial);
        let opener = self.discovery.opener(self.snapshot);
        for others in others.chunks(MOST_FDS) {
            if found.len() == wanted.len() {
                break;
            }
            let opened = others.iter().filter_map(|other| Some((other.id, opener.open(other.id).ok()?)));
            let (ids, fds): (Vec<_>, Vec<_>) = opened.unzip();
            let nsids = match inside.namespace_ids(&fds) {
                Ok(nsids) => nsids,
                Err(error) => return (found, Some(failure_of("RTM_GETNSID", &error))),
            };
            let pairs = nsids.into_iter().zip(ids).filter_map(|(nsid, id)| Some((nsid?, id)));
            found.extend(pairs.filter(|(nsid, _)| wanted.contains(nsid)));
        }
        (found, None)
    }

    /// Who has its listening sockets open: processes in it, and those elsewhere that hold it by a socket.
    fn users(&mut self, namespace: &Namespace, network: &Network) -> FxHashMap<u64, Vec<SocketUser>> {
        let mut users: FxHashMap<_, Vec<_>> = FxHashMap::default();
        if network.sockets.is_empty() {
            return users;
        }
        let is_inside = |links: &NamespaceLinks| links.get(NamespaceType::Net) == Some(namespace.id);
        let holders = namespace.holders.iter().filter_map(|holder| match holder {
            Holder::Socket { pid, .. } => Some(*pid),
            _ => None,
        });
        let members = self.snapshot.processes.values().filter(|process| {
            is_inside(&process.namespaces) || process.tasks.iter().any(|task| is_inside(&task.namespaces))
        });
        let mut pids: Vec<Pid> = members.map(|process| process.pid).chain(holders).collect();
        pids.compact_sort();
        pids.dedup();
        let inodes: Vec<u64> = network.sockets.iter().map(|socket| socket.inode).collect();
        let (found, gaps) = self.discovery.socket_users(&pids, &inodes);
        for user in found {
            users.entry(user.inode).or_default().push(user);
        }
        self.gaps.extend(gaps);
        users
    }
}

/// The caller's own namespace of this type.
pub(crate) fn own_namespace(proc: &ProcRoot, ns_type: NamespaceType) -> Option<NamespaceId> {
    let stat = rustix::fs::statat(proc, format!("self/ns/{ns_type}"), AtFlags::empty()).ok()?;
    Some(NamespaceId { ino: stat.st_ino, dev: stat.st_dev })
}
