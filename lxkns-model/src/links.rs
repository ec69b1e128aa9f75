//! The links of many network namespaces as one graph. `lxkns-inside` reads them.

use rustc_hash::FxHashMap;

use crate::CompactSort as _;
use crate::inside::{Failure, Link, Where};
use crate::{NamespaceId, Pid, Tid};

/// A link of a host: an index means something in one network namespace only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId {
    /// Its network namespace.
    pub ns: NamespaceId,
    /// Its index there.
    pub index: u32,
}

/// How a link relates to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LinkRelation {
    /// It is the other end of the same cable.
    Peer,
    /// It is on top of the other one.
    Lower,
    /// It belongs to the other one: a port of a bridge, a member of a bond.
    Master,
}

impl LinkRelation {
    /// A short stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Lower => "lower",
            Self::Master => "master",
        }
    }
}

/// A link, and where its other end is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostLink {
    /// Which it is.
    pub id: LinkId,
    /// What the kernel says of it.
    pub link: Link,
    /// The peer, or the link below; `None` where it has none.
    pub end: Option<HostLinkEnd>,
}

/// The other end of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostLinkEnd {
    /// [`Peer`](LinkRelation::Peer) or [`Lower`](LinkRelation::Lower).
    pub relation: LinkRelation,
    /// In which network namespace it is. Those that were not found have numbers of the reader's.
    pub place: Where,
    /// Its index there, where known.
    pub index: Option<u32>,
    /// Its name there, where known.
    pub name: Option<Vec<u8>>,
}

/// Who has a TUN/TAP device open.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TunUser {
    /// The network namespace of the device.
    pub ns: NamespaceId,
    /// The name of the device.
    pub name: Vec<u8>,
    /// The process.
    pub pid: Pid,
    /// The task in whose table the descriptor is.
    pub tid: Tid,
    /// The descriptor.
    pub fd: u32,
}

/// Why the links of a network namespace could not be read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UnreadLinks {
    /// It takes `CAP_SYS_ADMIN` and `CAP_NET_ADMIN` in this user namespace; `None` where its owner is not known.
    Denied(Option<NamespaceId>),
    /// Nothing leads to the namespace that the caller may use.
    NotOpened,
    /// Something failed.
    Failed(String),
}

impl From<&Failure> for UnreadLinks {
    fn from(failure: &Failure) -> Self {
        Self::Failed(failure.to_string())
    }
}

/// The links of the network namespaces of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostLinks {
    /// By network namespace and index.
    links: Vec<HostLink>,
    /// The network namespaces whose links could not be read, and why.
    pub unread: Vec<(NamespaceId, UnreadLinks)>,
    /// Who was seen to have TUN/TAP devices open.
    pub users: Vec<TunUser>,
    /// The network namespace of the reader; `None` where not known.
    pub home: Option<NamespaceId>,
}

impl HostLinks {
    /// These links. The ends that are among them get their names and, where only the index tells, stay as they are.
    pub fn new(mut links: Vec<HostLink>, unread: Vec<(NamespaceId, UnreadLinks)>, users: Vec<TunUser>) -> Self {
        links.compact_sort_by_key(|link| link.id);
        links.dedup_by_key(|link| link.id);
        let mut all = Self { links, unread, users, home: None };
        let names: Vec<_> = all.links.iter().map(|link| all.other(link).map(|end| end.link.name.clone())).collect();
        for (link, name) in all.links.iter_mut().zip(names) {
            if let (Some(end), Some(name)) = (&mut link.end, name) {
                end.name = Some(name);
            }
        }
        all.users.compact_sort();
        all.unread.compact_sort();
        all
    }

    /// All of them, by network namespace and index.
    pub fn all(&self) -> &[HostLink] {
        &self.links
    }

    /// The link with this index in this network namespace.
    pub fn get(&self, id: LinkId) -> Option<&HostLink> {
        self.links.binary_search_by_key(&id, |link| link.id).ok().map(|at| &self.links[at])
    }

    /// The links of a network namespace.
    pub fn of(&self, ns: NamespaceId) -> &[HostLink] {
        let start = self.links.partition_point(|link| link.id.ns < ns);
        let count = self.links[start..].partition_point(|link| link.id.ns == ns);
        &self.links[start..start + count]
    }

    /// The link at the other end, where it was read.
    pub fn other(&self, link: &HostLink) -> Option<&HostLink> {
        self.get(link.end.as_ref()?.id(link.id.ns)?)
    }

    /// What a link belongs to, where it was read.
    pub fn master(&self, link: &HostLink) -> Option<&HostLink> {
        self.get(LinkId { ns: link.id.ns, index: link.link.master? })
    }

    /// Who was seen to have a TUN/TAP device open.
    pub fn users_of(&self, link: &HostLink) -> &[TunUser] {
        let key = (link.id.ns, link.link.name.as_slice());
        let start = self.users.partition_point(|user| (user.ns, user.name.as_slice()) < key);
        let count = self.users[start..].partition_point(|user| (user.ns, user.name.as_slice()) == key);
        &self.users[start..start + count]
    }

    /// How links relate, each way once: peers from the lower ID to the higher one.
    pub fn edges(&self) -> Vec<(LinkId, LinkRelation, LinkId)> {
        let mut edges = Vec::new();
        for link in &self.links {
            let other = link.end.as_ref().and_then(|end| Some((end.relation, end.id(link.id.ns)?)));
            edges.extend(other.and_then(|(relation, other)| match relation {
                // The other way round where it was not read.
                LinkRelation::Peer if other < link.id && self.get(other).is_some() => None,
                _ => Some((link.id, relation, other)),
            }));
            let master = link.link.master.map(|index| LinkId { ns: link.id.ns, index });
            edges.extend(master.map(|master| (link.id, LinkRelation::Master, master)));
        }
        edges
    }

    /// The links that each link has below it: its ports, and those that are on top of it.
    pub fn children(&self) -> FxHashMap<LinkId, Vec<LinkId>> {
        let mut children: FxHashMap<LinkId, Vec<LinkId>> = FxHashMap::default();
        for (of, relation, to) in self.edges() {
            if relation != LinkRelation::Peer {
                children.entry(to).or_default().push(of);
            }
        }
        children
    }
}

impl HostLinkEnd {
    /// Which link it is, for one of this network namespace; `None` where not known.
    pub fn id(&self, here: NamespaceId) -> Option<LinkId> {
        let ns = match self.place {
            Where::Here => here,
            Where::There(ns) => ns,
            Where::NotFound(_) | Where::NotKnown => return None,
        };
        self.index.map(|index| LinkId { ns, index })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ns(ino: u64) -> NamespaceId {
        NamespaceId { ino, dev: 4 }
    }

    fn link(of: u64, index: u32, name: &str, end: Option<(LinkRelation, Where, u32)>) -> HostLink {
        HostLink {
            id: LinkId { ns: ns(of), index },
            link: Link { index, name: name.into(), ..Link::default() },
            end: end.map(|(relation, place, index)| HostLinkEnd { relation, place, index: Some(index), name: None }),
        }
    }

    #[test]
    fn ends_find_each_other_across_namespaces() {
        use LinkRelation::{Lower, Master, Peer};
        let mut port = link(1, 9, "veth9", Some((Peer, Where::There(ns(2)), 3)));
        port.link.master = Some(4);
        let links = vec![
            link(2, 3, "eth0", Some((Peer, Where::There(ns(1)), 9))),
            link(2, 5, "mv0", Some((Lower, Where::There(ns(1)), 4))),
            link(3, 2, "far", Some((Peer, Where::NotFound(7), 2))),
            port,
            link(1, 4, "br0", None),
        ];
        let user = |name: &str, fd| TunUser { ns: ns(1), name: name.into(), pid: Pid(7), tid: Tid(7), fd };
        let all = HostLinks::new(links, Vec::new(), vec![user("br0", 5), user("br", 4), user("br0", 3)]);
        let at = |of, index| LinkId { ns: ns(of), index };
        let port = all.get(at(1, 9)).unwrap();
        assert_eq!(all.other(port).unwrap().id, at(2, 3));
        assert_eq!(port.end.as_ref().unwrap().name.as_deref(), Some(&b"eth0"[..]));
        assert_eq!(all.master(port).unwrap().id, at(1, 4));
        assert_eq!(all.of(ns(2)).len(), 2);
        assert_eq!(all.of(ns(9)), []);
        let far = all.get(at(3, 2)).unwrap();
        assert_eq!((all.other(far), far.end.as_ref().unwrap().id(ns(3))), (None, None));
        assert_eq!(
            all.edges(),
            [(at(1, 9), Peer, at(2, 3)), (at(1, 9), Master, at(1, 4)), (at(2, 5), Lower, at(1, 4))]
        );
        assert_eq!(all.children()[&at(1, 4)], [at(1, 9), at(2, 5)]);
        let fds: Vec<_> = all.users_of(all.get(at(1, 4)).unwrap()).iter().map(|user| user.fd).collect();
        assert_eq!(fds, [3, 5]);
    }
}
