//! What only a process inside a network, UTS or user namespace can tell. `lxkns-inside` reads it.

use std::fmt;
use std::net::IpAddr;

use rustc_hash::FxHashMap;

use crate::{Cause, Errno, NamespaceId, SocketUser};

/// What was read inside one namespace: what its type has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inside {
    /// Of a network namespace.
    pub network: Option<NetworkInside>,
    /// Of a UTS namespace.
    pub host_name: Option<HostName>,
    /// Of a user namespace.
    pub limits: Option<Vec<Limit>>,
}

/// A network namespace, with what its links and sockets lead to outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkInside {
    /// What is in it.
    pub network: Network,
    /// Other network namespaces, by the IDs that this one has given to them.
    pub namespaces: FxHashMap<i32, NamespaceId>,
    /// The names of links in those, by that ID and their index there.
    pub names: FxHashMap<(i32, u32), Vec<u8>>,
    /// Who has the listening sockets open, by their inode numbers.
    pub users: FxHashMap<u64, Vec<SocketUser>>,
    /// The network namespace of the reader; `None` where not known.
    pub home: Option<NamespaceId>,
}

/// The other end of a link: the peer of a veth, else the link that this one is on top of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherEnd<'a> {
    /// Whether it is the peer of a veth.
    pub is_peer: bool,
    /// Its index there, where known.
    pub index: Option<u32>,
    /// Its name there, where known.
    pub name: Option<&'a [u8]>,
    /// Where it is.
    pub place: Where,
}

/// In which network namespace the other end of a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Where {
    /// In the same.
    Here,
    /// In this one.
    There(NamespaceId),
    /// In one that was not found, which has this ID here.
    NotFound(i32),
    /// The kernel does not say.
    NotKnown,
}

impl NetworkInside {
    /// The name of a link of this network namespace.
    pub fn name(&self, index: u32) -> Option<&[u8]> {
        let links = &self.network.links;
        links.binary_search_by_key(&index, |link| link.index).ok().map(|at| links[at].name.as_slice())
    }

    /// The other end of a link, if it has one.
    pub fn other_end(&self, link: &Link) -> Option<OtherEnd<'_>> {
        let (place, index) = link.other_end(&self.namespaces)?;
        let name = index.and_then(|index| match link.link_nsid {
            None => self.name(index),
            Some(nsid) => self.names.get(&(nsid, index)).map(Vec::as_slice),
        });
        Some(OtherEnd { is_peer: link.has_peer(), index, name, place })
    }
}

/// What is in a network namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "wire", derive(serde::Serialize, serde::Deserialize))]
pub struct Network {
    /// Interfaces, by index.
    pub links: Vec<Link>,
    /// Addresses of interfaces.
    pub addresses: Vec<Address>,
    /// The routes of the main tables.
    pub routes: Vec<Route>,
    /// The number of routes in other tables.
    pub other_routes: u64,
    /// Sockets that listen, and those without connections that are not connected.
    pub sockets: Vec<ListeningSocket>,
    /// UNIX sockets that listen, and bound datagram ones that are not connected; only where they were asked for.
    pub unix_sockets: Vec<UnixSocket>,
    /// What of this could not be read in whole.
    pub failures: Vec<Failure>,
}

/// A network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "wire", derive(serde::Serialize, serde::Deserialize))]
pub struct Link {
    /// Its index.
    pub index: u32,
    /// Its name: any bytes but blanks, slashes and colons.
    pub name: Vec<u8>,
    /// The `IFF_` flags; `netdevice(7)`.
    pub flags: u32,
    /// The state by RFC 2863, where the kernel says it: 2 down, 6 up, ...
    pub operstate: Option<u8>,
    /// The largest packet, in bytes.
    pub mtu: Option<u32>,
    /// The hardware address; empty where it has none.
    pub mac: Vec<u8>,
    /// `veth`, `bridge`; hardware has none.
    pub kind: Option<Vec<u8>>,
    /// The index of the bridge or the like that it belongs to.
    pub master: Option<u32>,
    /// The index of the peer or of the link below.
    pub link: Option<u32>,
    /// The ID of the network namespace in which that is, where it is another one; negative where it is not known.
    pub link_nsid: Option<i32>,
    /// What has passed it.
    pub counters: Option<LinkCounters>,
    /// Its addresses; `None` where they were not asked for together with the links, or the kernel does not tell them.
    pub addresses: Option<Vec<Address>>,
}

/// What has passed a link since it was made.
///
/// Any are equal: a link on which a packet arrives is the same link.
#[derive(Clone, Copy, Debug, Default, Eq)]
#[cfg_attr(feature = "wire", derive(serde::Serialize, serde::Deserialize))]
#[doc(alias = "rtnl_link_stats64")]
#[non_exhaustive]
pub struct LinkCounters {
    /// Packets received, then sent.
    pub packets: [u64; 2],
    /// Bytes received, then sent.
    pub bytes: [u64; 2],
    /// Packets with errors received, then not sent because of one.
    pub errors: [u64; 2],
    /// Packets dropped that were received, then those that were to be sent.
    pub dropped: [u64; 2],
}

impl LinkCounters {
    /// Counters in the order of the kernel's `struct rtnl_link_stats64`.
    pub fn new(counters: [u64; 8]) -> Self {
        let [a, b, c, d, e, f, g, h] = counters;
        Self { packets: [a, b], bytes: [c, d], errors: [e, f], dropped: [g, h] }
    }
}

impl PartialEq for LinkCounters {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl Link {
    /// Whether its other end is a peer, and not a link below.
    pub fn has_peer(&self) -> bool {
        matches!(self.kind.as_deref(), Some(b"veth" | b"netkit" | b"vxcan"))
    }

    /// Where its other end is, and its index there where known; `None` where it has none. `namespaces` are those that the IDs
    /// mean.
    pub fn other_end(&self, namespaces: &FxHashMap<i32, NamespaceId>) -> Option<(Where, Option<u32>)> {
        let index = self.link.filter(|&index| index > 0);
        let place = match self.link_nsid {
            None if index.is_none() => return None,
            None => Where::Here,
            Some(nsid) => match namespaces.get(&nsid) {
                Some(&id) => Where::There(id),
                None if nsid < 0 => Where::NotKnown,
                None => Where::NotFound(nsid),
            },
        };
        Some((place, index))
    }
}

/// An address of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "wire", derive(serde::Serialize, serde::Deserialize))]
pub struct Address {
    /// The index of the interface.
    pub index: u32,
    /// The address.
    pub local: IpAddr,
    /// The length of the prefix, in bits.
    pub prefix: u8,
    /// The address of the other side, of point-to-point links.
    pub peer: Option<IpAddr>,
    /// `RT_SCOPE_`: 0 global, 253 link, 254 host.
    pub scope: u8,
}

/// A route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "wire", derive(serde::Serialize, serde::Deserialize))]
pub struct Route {
    /// Whether it is one of IPv6.
    pub is_v6: bool,
    /// `None` is the default route.
    pub destination: Option<IpAddr>,
    /// The length of the prefix, in bits.
    pub prefix: u8,
    /// `RTN_`: 1 unicast, 7 unreachable, ...
    pub kind: u8,
    /// The preferred source address.
    pub source: Option<IpAddr>,
    /// The priority: lower ones go first.
    pub metric: Option<u32>,
    /// The next hops: of a multipath route more than one.
    pub hops: Vec<Hop>,
}

/// One next hop of a route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "wire", derive(serde::Serialize, serde::Deserialize))]
pub struct Hop {
    /// The router.
    pub gateway: Option<IpAddr>,
    /// The index of the interface.
    pub index: Option<u32>,
}

/// What is read of a network namespace: each part costs its own questions to the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "wire", derive(serde::Serialize, serde::Deserialize))]
pub struct Parts {
    /// Its links. Waits for the kernel's lock of network configuration.
    pub links: bool,
    /// The sockets that listen. Waits for no lock of others.
    pub sockets: bool,
    /// The UNIX sockets that listen.
    pub unix_sockets: bool,
}

/// What was read of one of many network namespaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surveyed {
    /// The namespace.
    pub id: NamespaceId,
    /// The parts of it that were asked for; or why nothing could be read.
    pub network: Result<Network, Failure>,
}

/// The protocol of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "wire", derive(serde::Serialize, serde::Deserialize))]
pub enum Protocol {
    /// TCP; MPTCP too, which listens with a TCP socket.
    Tcp,
    /// UDP.
    Udp,
    /// UDP-Lite.
    UdpLite,
    /// SCTP.
    Sctp,
    /// DCCP.
    Dccp,
}

impl Protocol {
    /// Its name: `tcp`, `udp`, `udplite`, `sctp`, `dccp`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::UdpLite => "udplite",
            Self::Sctp => "sctp",
            Self::Dccp => "dccp",
        }
    }
}

/// A socket that listens; of UDP and UDP-Lite, one that is not connected.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "wire", derive(serde::Serialize, serde::Deserialize))]
pub struct ListeningSocket {
    /// Its protocol.
    pub protocol: Protocol,
    /// The port.
    pub port: u16,
    /// The address that it is bound to.
    pub address: IpAddr,
    /// Whether it takes IPv4 too, of an IPv6 socket on all addresses.
    pub takes_v4: bool,
    /// The index of the interface that it is bound to.
    pub index: Option<u32>,
    /// The name of that interface, where known: any bytes.
    pub interface: Option<Vec<u8>>,
    /// Its inode number; 0 where the kernel has no file for it.
    pub inode: u64,
    /// The user who made it, as the user namespace of the reader calls it.
    pub uid: u32,
}

/// A UNIX socket that listens, or a datagram one that is bound and not connected.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "wire", derive(serde::Serialize, serde::Deserialize))]
pub struct UnixSocket {
    /// Its name: a path in an unknown mount namespace; an abstract one begins with a zero byte; empty if it has none.
    pub name: Vec<u8>,
    /// What travels over it.
    pub kind: UnixKind,
    /// Its inode number.
    pub inode: u64,
}

/// What travels over a UNIX socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "wire", derive(serde::Serialize, serde::Deserialize))]
pub enum UnixKind {
    /// Bytes.
    Stream,
    /// Packets, without connections.
    Datagram,
    /// Packets over connections.
    SeqPacket,
}

/// The names of a UTS namespace, any bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "wire", derive(serde::Serialize, serde::Deserialize))]
pub struct HostName {
    /// The host name.
    pub host: Vec<u8>,
    /// The NIS domain name.
    pub domain: Vec<u8>,
}

/// How many namespaces of a type each user may create in a user namespace; `/proc/sys/user`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "wire", derive(serde::Serialize, serde::Deserialize))]
pub struct Limit {
    /// The name of the type.
    pub ns_type: String,
    /// The limit.
    pub max: u64,
}

/// Something that failed inside.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "wire", derive(serde::Serialize, serde::Deserialize))]
pub struct Failure {
    /// The call.
    pub call: String,
    /// Why.
    pub cause: Cause,
    /// The error number, where the kernel gave one.
    pub errno: Option<Errno>,
}

impl Failure {
    /// That the kernel refused this call.
    pub fn of_call(call: impl Into<String>, errno: Errno) -> Self {
        Self { call: call.into(), cause: Cause::of(errno).unwrap_or(Cause::Changed), errno: Some(errno) }
    }
}

impl Failure {
    /// Why it failed: the kernel's error, or the cause.
    pub fn reason(&self) -> &(dyn std::error::Error + 'static) {
        self.errno.as_ref().map_or(&self.cause, |errno| errno as _)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.errno {
            Some(errno) => write!(f, "{}: {errno}", self.call),
            None => write!(f, "{}: {}", self.call, self.cause),
        }
    }
}
