//! The JSON form of what is in a network namespace.

use lxkns_model::inside::{Address, Link, ListeningSocket, NetworkInside, Route, Where};
use lxkns_model::{NamespaceId, Snapshot, SocketUser, Uid};
use serde::Serialize;

use super::answer::{name_of, netns_name};
use super::network;
use crate::Context;
use crate::links::{LeftOver, LeftOverAnswer, Leftovers};
use crate::names::{self, lossy};
use crate::whose::WhoseForm;

/// What is in a network namespace.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct NetworkAnswer {
    /// Its interfaces.
    pub links: Vec<LinkAnswer>,
    /// Their addresses.
    pub addresses: Vec<AddressAnswer>,
    /// The routes of the main tables.
    pub routes: Vec<RouteAnswer>,
    /// How many routes are in other tables.
    pub other_routes: u64,
    /// TCP sockets that listen, and UDP sockets that are not connected.
    pub sockets: Vec<SocketAnswer>,
    /// What could not be read of this.
    pub failures: Vec<String>,
    /// The links that are left over: here, where the other end is in a network namespace without any process; and those there
    /// that lead to here, where there is none here.
    pub left_over: Vec<LeftOverAnswer>,
}

/// An interface.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct LinkAnswer {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Whether it is set up.
    pub up: bool,
    /// Its state, as `ip` calls it.
    pub state: &'static str,
    /// The largest packet, in bytes; `null` where not known.
    pub mtu: Option<u32>,
    /// Its hardware address; `null` where it has none.
    pub mac: Option<String>,
    /// `veth`, `bridge`; `null` of hardware.
    pub kind: Option<String>,
    /// The index of the bridge or the like that it belongs to; `null` where it belongs to none.
    pub master: Option<u32>,
    /// The peer, or the link below; `null` where it has none.
    pub other_end: Option<OtherEndAnswer>,
}

/// The other end of a link.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct OtherEndAnswer {
    /// `peer` of a veth, or `lower`: the link that this one is on top of.
    pub relation: &'static str,
    /// Its index there; `null` where not known.
    pub index: Option<u32>,
    /// Its name there; `null` where not known.
    pub name: Option<String>,
    /// The network namespace; `null` for this one, and where not known.
    pub nsid: Option<u64>,
    /// The name that `ip netns` has for that; `null` where it has none.
    pub netns_name: Option<String>,
    /// The ID that this namespace has for that one; negative where the kernel does not say, `null` for this one.
    pub netnsid: Option<i32>,
    /// The most senior process there; `null` where none was seen.
    pub process: Option<BriefProcess>,
    /// What the network namespace belongs to.
    #[serde(flatten)]
    pub whose: WhoseForm,
}

/// A process in brief.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct BriefProcess {
    /// Its PID.
    pub pid: u32,
    /// Its name; `null` where not known.
    pub name: Option<String>,
}

/// An address.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct AddressAnswer {
    /// The index of the interface.
    pub index: u32,
    /// Its name; `null` where not known.
    pub link: Option<String>,
    /// The address.
    pub address: String,
    /// The length of the prefix, in bits.
    pub prefix: u8,
    /// The address of the other side; `null` where it has none.
    pub peer: Option<String>,
    /// Its scope.
    pub scope: String,
}

/// A route.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct RouteAnswer {
    /// `default`, `10.0.0.0/8`.
    pub destination: String,
    /// `inet` or `inet6`.
    pub family: &'static str,
    /// `unicast`, `unreachable`.
    pub route_type: &'static str,
    /// The preferred source address; `null` where it has none.
    pub source: Option<String>,
    /// The priority; `null` where it has none.
    pub metric: Option<u32>,
    /// The next hops.
    pub hops: Vec<HopAnswer>,
}

/// A next hop.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct HopAnswer {
    /// The router; `null` where there is none.
    pub gateway: Option<String>,
    /// The index of the interface; `null` where there is none.
    pub index: Option<u32>,
    /// Its name; `null` where not known.
    pub link: Option<String>,
}

/// A socket.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct SocketAnswer {
    /// `tcp` or `udp`.
    pub protocol: &'static str,
    /// The address that it is bound to.
    pub address: String,
    /// The port.
    pub port: u16,
    /// The interface that it is bound to; `null` where it is to none.
    pub link: Option<String>,
    /// Whether it takes IPv4 too, of an IPv6 socket.
    pub takes_v4: bool,
    /// Its inode number.
    pub inode: u64,
    /// Who created it; `null` where that is not mapped in the observer's user namespace.
    pub user_id: Option<u32>,
    /// Who was seen to have it open.
    pub users: Vec<SocketUserAnswer>,
}

/// A task that has a socket open.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct SocketUserAnswer {
    /// The process.
    pub pid: u32,
    /// The task.
    pub tid: u32,
    /// The descriptor.
    pub fd: u32,
    /// The process's name; `null` where not known.
    pub name: Option<String>,
    /// What it belongs to.
    #[serde(flatten)]
    pub whose: WhoseForm,
}

/// The JSON form of what is in a network namespace.
pub(super) fn network_answer(context: Context<'_>, ns: NamespaceId, facts: &NetworkInside) -> NetworkAnswer {
    let snapshot = context.snapshot;
    let network = &facts.network;
    NetworkAnswer {
        links: network.links.iter().map(|link| link_answer(context, facts, link)).collect(),
        addresses: network.addresses.iter().map(|address| address_answer(facts, address)).collect(),
        routes: network.routes.iter().map(|route| route_answer(facts, route)).collect(),
        other_routes: network.other_routes,
        sockets: network.sockets.iter().map(|socket| socket_answer(snapshot, facts, socket)).collect(),
        failures: network.failures.iter().map(ToString::to_string).collect(),
        left_over: Leftovers::of_network(context, ns, facts).all().iter().map(LeftOver::answer).collect(),
    }
}

fn link_answer(context: Context<'_>, facts: &NetworkInside, link: &Link) -> LinkAnswer {
    let other_end = facts.other_end(link).map(|end| {
        let there = match end.place {
            Where::There(id) => Some(id),
            _ => None,
        };
        let process = there.and_then(|id| network::process_at(context.snapshot, id));
        OtherEndAnswer {
            relation: if end.is_peer { "peer" } else { "lower" },
            index: end.index,
            name: end.name.map(lossy),
            nsid: there.map(|id| id.ino),
            netns_name: there.and_then(|id| netns_name(context, id)),
            netnsid: link.link_nsid,
            whose: there.map(|id| WhoseForm::namespace(context.snapshot, id)).unwrap_or_default(),
            process: process.map(|pid| BriefProcess { pid: pid.0, name: name_of(context.snapshot, pid) }),
        }
    });
    LinkAnswer {
        index: link.index,
        name: lossy(&link.name),
        up: network::is_up(link),
        state: network::state(link),
        mtu: link.mtu,
        mac: (!link.mac.is_empty()).then(|| network::mac(&link.mac)),
        kind: link.kind.as_deref().map(lossy),
        master: link.master,
        other_end,
    }
}

fn address_answer(facts: &NetworkInside, address: &Address) -> AddressAnswer {
    AddressAnswer {
        index: address.index,
        link: facts.name(address.index).map(lossy),
        address: address.local.to_string(),
        prefix: address.prefix,
        peer: address.peer.map(|peer| peer.to_string()),
        scope: network::scope(address.scope),
    }
}

fn route_answer(facts: &NetworkInside, route: &Route) -> RouteAnswer {
    let hops = route.hops.iter().map(|hop| HopAnswer {
        gateway: hop.gateway.map(|gateway| gateway.to_string()),
        index: hop.index,
        link: hop.index.and_then(|index| facts.name(index)).map(lossy),
    });
    RouteAnswer {
        destination: network::destination(route),
        family: if route.is_v6 { "inet6" } else { "inet" },
        route_type: network::route_type(route).unwrap_or("unicast"),
        source: route.source.map(|source| source.to_string()),
        metric: route.metric,
        hops: hops.collect(),
    }
}

fn socket_answer(snapshot: &Snapshot, facts: &NetworkInside, socket: &ListeningSocket) -> SocketAnswer {
    let users = facts.users.get(&socket.inode).map(Vec::as_slice).unwrap_or_default();
    let user = |user: &SocketUser| SocketUserAnswer {
        pid: user.pid.0,
        tid: user.tid.0,
        fd: user.fd,
        name: name_of(snapshot, user.pid),
        whose: WhoseForm::process(snapshot, user.pid),
    };
    SocketAnswer {
        protocol: socket.protocol.name(),
        address: socket.address.to_string(),
        port: socket.port,
        link: socket.index.and_then(|index| facts.name(index)).map(lossy),
        takes_v4: socket.takes_v4,
        inode: socket.inode,
        user_id: names::user_id(snapshot, Some(Uid(socket.uid))),
        users: users.iter().map(user).collect(),
    }
}
