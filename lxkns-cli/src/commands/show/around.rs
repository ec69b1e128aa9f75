//! What only somebody inside a namespace can tell, and what it leads to outside.

use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use lxkns_core::Discovery;
use lxkns_core::model::{Holder, Namespace, NamespaceId, NamespaceLinks, NamespaceType, Pid, Snapshot, SocketUser};
use lxkns_mountns::Access;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::inside::{self, Failure, Inside, MOST_FDS, Network};
use crate::live;
use crate::view::names;
use crate::view::show::FromInside;
use crate::view::show_network::NetworkFacts;

/// Looks inside a namespace as far as its type has something to see there; and why not, where that could not be. What
/// could not be read outside becomes a gap.
pub(super) fn look(
    snapshot: &mut Snapshot,
    access: &Access,
    namespace: &Namespace,
    timeout: Duration,
) -> (FromInside, Option<String>) {
    let what = match namespace.ns_type {
        NamespaceType::Net => "links, addresses, routes, sockets",
        NamespaceType::Uts => "host name, domain name",
        NamespaceType::User => "limits",
        _ => return Default::default(),
    };
    let looked = live::session(access).map_err(|error| error.to_string()).and_then(|discovery| {
        let mut place = Around { discovery, snapshot };
        place.look(namespace, timeout)
    });
    match looked {
        Ok(inside) => (inside, None),
        Err(why) => (FromInside::default(), Some(format!("{what} not readable: {why}"))),
    }
}

struct Around<'a> {
    discovery: Discovery<'a>,
    snapshot: &'a mut Snapshot,
}

impl Around<'_> {
    fn open(&self, id: NamespaceId) -> Result<OwnedFd, lxkns_core::Error> {
        self.discovery.open(self.snapshot, id)
    }

    fn look(&mut self, namespace: &Namespace, timeout: Duration) -> Result<FromInside, String> {
        let needs = |error: &inside::Error| match error.is_denied() {
            true => {
                // A user namespace decides on itself.
                let decides =
                    if namespace.ns_type == NamespaceType::User { Some(namespace.id) } else { namespace.owner.known() };
                let decides = decides.map(|id| format!(" in {}", names::namespace(self.snapshot, id)));
                format!("needs CAP_SYS_ADMIN{}", decides.unwrap_or_default())
            }
            false => error.to_string(),
        };
        let is_own = |id, ns_type| live::own_namespace(ns_type) == Some(id);
        let target = match is_own(namespace.id, namespace.ns_type) {
            true => None,
            false => Some(self.open(namespace.id).map_err(|error| error.to_string())?),
        };
        // Its owner's rights, for who has none in there. They are of no use to who has them already.
        let owner = namespace.owner.known().filter(|&owner| {
            target.is_some() && namespace.ns_type != NamespaceType::User && !is_own(owner, NamespaceType::User)
        });
        let owner = owner.and_then(|owner| self.open(owner).ok());
        let fds = [&target, &owner].map(|fd| fd.as_ref().map(|fd| fd.as_fd()));
        let mut inside = Inside::enter(fds[0], fds[1], timeout).map_err(|error| needs(&error))?;
        let mut found = FromInside::default();
        match namespace.ns_type {
            NamespaceType::Net => {
                let network = inside.network().map_err(|error| needs(&error))?;
                found.network = Some(self.network(&mut inside, namespace, network));
            }
            NamespaceType::Uts => found.host_name = Some(inside.host_name().map_err(|error| needs(&error))?),
            _ => found.limits = Some(inside.limits().map_err(|error| needs(&error))?),
        }
        Ok(found)
    }

    /// What the links and sockets of a network namespace lead to.
    fn network(&mut self, inside: &mut Inside, namespace: &Namespace, mut network: Network) -> NetworkFacts {
        let (namespaces, failure) = self.namespaces(inside, namespace, &network);
        network.failures.extend(failure);
        let ends: Vec<_> = network
            .links
            .iter()
            .filter_map(|link| Some((link.link_nsid.filter(|nsid| *nsid >= 0)?, link.link.filter(|&index| index > 0)?)))
            .collect();
        // Of those that one has no right to ask about, the index will have to do.
        let names = inside.names_of_links(&ends).unwrap_or_else(|error| {
            network.failures.push(Failure::of("names of links elsewhere", &error));
            Vec::new()
        });
        let names = ends.into_iter().zip(names).filter_map(|(end, name)| Some((end, name?))).collect();
        let users = self.users(namespace, &network);
        NetworkFacts { network, namespaces, names, users }
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
        others.sort_by_key(|other| !other.initial);
        for others in others.chunks(MOST_FDS) {
            if found.len() == wanted.len() {
                break;
            }
            let opened = others.iter().filter_map(|other| Some((other.id, self.open(other.id).ok()?)));
            let (ids, fds): (Vec<_>, Vec<_>) = opened.unzip();
            let nsids = match inside.namespace_ids(&fds) {
                Ok(nsids) => nsids,
                Err(error) => return (found, Some(Failure::of("RTM_GETNSID", &error))),
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
        pids.sort_unstable();
        pids.dedup();
        let inodes: Vec<u64> = network.sockets.iter().map(|socket| socket.inode).collect();
        let (found, gaps) = self.discovery.socket_users(&pids, &inodes);
        for user in found {
            users.entry(user.inode).or_default().push(user);
        }
        self.snapshot.gaps.extend(gaps);
        self.snapshot.gaps.sort();
        self.snapshot.gaps.dedup();
        users
    }
}
