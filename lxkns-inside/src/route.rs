//! Links, addresses and routes of the network namespace that this process is in; `rtnetlink(7)`.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};

use lxkns_core::Discovery;
use lxkns_model::CompactSort as _;
use lxkns_model::{Cause, Namespace, NamespaceId, NamespaceType, Snapshot};
use netlink_packet_core::NlaBuffer;
use netlink_sys::protocols::NETLINK_ROUTE;

use crate::netlink::{self, Netlink, attribute, attributes, number, string};
use lxkns_model::inside::{Address, Failure, Hop, Link, LinkCounters, Network, Route};

const RTM_GETLINK: u16 = 18;
const RTM_GETADDR: u16 = 22;
const RTM_GETROUTE: u16 = 26;
const RTM_NEWNSID: u16 = 88;
const RTM_GETNSID: u16 = 90;

const IFLA_ADDRESS: u16 = 1;
const IFLA_STATS64: u16 = 23;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_OPERSTATE: u16 = 16;
const IFLA_LINKINFO: u16 = 18;
const IFLA_EXT_MASK: u16 = 29;
const IFLA_LINK_NETNSID: u16 = 37;
const IFLA_TARGET_NETNSID: u16 = 46;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_VXLAN_LINK: u16 = 3;
/// No counters: they are most of what there is to say of a link.
const RTEXT_FILTER_SKIP_STATS: u32 = 1 << 3;

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_TARGET_NETNSID: u16 = 10;

const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_PREFSRC: u16 = 7;
const RTA_MULTIPATH: u16 = 9;
const RTA_TABLE: u16 = 15;
const RTA_VIA: u16 = 18;
const RT_TABLE_MAIN: u32 = 254;
const RTM_F_CLONED: u32 = 0x200;
const AF_INET6: u8 = 10;

const NETNSA_NSID: u16 = 1;
const NETNSA_FD: u16 = 3;

/// `struct ifinfomsg`, with nothing but the index in it.
fn link_request(index: u32) -> Vec<u8> {
    let mut body = vec![0; 16];
    body[4..8].copy_from_slice(&index.to_ne_bytes());
    body.extend(attribute(IFLA_EXT_MASK, &RTEXT_FILTER_SKIP_STATS.to_ne_bytes()));
    body
}

/// The links.
pub(crate) fn links() -> Result<Vec<Link>, Failure> {
    links_of(&connect()?, None)
}

/// A connection that is asked about links.
pub(crate) fn connect() -> Result<Netlink, Failure> {
    Netlink::connect(NETLINK_ROUTE)
}

/// The links of the network namespace with this ID, or of the own one, by index.
pub(crate) fn links_of(kernel: &Netlink, nsid: Option<i32>) -> Result<Vec<Link>, Failure> {
    let mut body = link_request(0);
    body.extend(nsid.map(|nsid| attribute(IFLA_TARGET_NETNSID, &nsid.to_ne_bytes())).unwrap_or_default());
    // A kernel that does not know this attribute answers with the links here.
    let is_asked_for = |payload: &[u8]| nsid.is_none() || is_elsewhere(payload, 16, IFLA_TARGET_NETNSID);
    let mut is_other = false;
    let found = kernel.dump("RTM_GETLINK", RTM_GETLINK, &body, |payload| Some((is_asked_for(payload), link(payload)?)));
    let mut links: Vec<_> = found?
        .into_iter()
        .filter_map(|(is_asked_for, link)| {
            is_other |= !is_asked_for;
            is_asked_for.then_some(link)
        })
        .collect();
    if is_other {
        return Err(Failure { call: "RTM_GETLINK".to_owned(), cause: Cause::Unsupported, errno: None });
    }
    links.compact_sort_by_key(|link| link.index);
    Ok(links)
}

/// Whether this header is of an answer about another network namespace: the one that the question named.
fn is_elsewhere(payload: &[u8], header: usize, target: u16) -> bool {
    payload.get(header..).is_some_and(|rest| attributes(rest).any(|attribute| attribute.kind() == target))
}

/// The links of the network namespace with this ID, or of the own one, by index, with their addresses where the kernel tells
/// them.
pub(crate) fn links_and_addresses(kernel: &Netlink, nsid: Option<i32>) -> Result<Vec<Link>, Failure> {
    let mut links = links_of(kernel, nsid)?;
    let mut body = vec![0; 8];
    if let Some(nsid) = nsid {
        if !kernel.checks_strictly() {
            // It would answer with the addresses here.
            return Ok(links);
        }
        body.extend(attribute(IFA_TARGET_NETNSID, &nsid.to_ne_bytes()));
    }
    let is_asked_for = |payload: &[u8]| nsid.is_none() || is_elsewhere(payload, 8, IFA_TARGET_NETNSID);
    let found = kernel.dump("RTM_GETADDR", RTM_GETADDR, &body, |payload| {
        Some(self::address(payload).filter(|_| is_asked_for(payload)))
    });
    if let Ok(found) = found {
        links.iter_mut().for_each(|link| link.addresses = Some(Vec::new()));
        for address in found.into_iter().flatten() {
            if let Ok(at) = links.binary_search_by_key(&address.index, |link| link.index) {
                links[at].addresses.get_or_insert_default().push(address);
            }
        }
    }
    Ok(links)
}

/// Everything; what could not be had is among the failures.
pub(crate) fn network() -> Result<Network, Failure> {
    let kernel = Netlink::connect(NETLINK_ROUTE)?;
    let mut network = Network { links: links_of(&kernel, None)?, ..Network::default() };
    match kernel.dump("RTM_GETADDR", RTM_GETADDR, &[0; 8], self::address) {
        Ok(addresses) => network.addresses = addresses,
        Err(failure) => network.failures.push(failure),
    }
    match kernel.dump("RTM_GETROUTE", RTM_GETROUTE, &[0; 12], route) {
        Ok(routes) => {
            let all = routes.len();
            network.routes = routes.into_iter().flatten().collect();
            network.other_routes = (all - network.routes.len()) as u64;
        }
        Err(failure) => network.failures.push(failure),
    }
    Ok(network)
}

/// The kinds of links that say themselves which other link they are connected to or on top of; that can have the same index
/// in another network namespace.
const HAVE_OTHERS: [&[u8]; 17] = [
    b"veth",
    b"netkit",
    b"vxcan",
    b"vlan",
    b"macvlan",
    b"macvtap",
    b"ipvlan",
    b"ipvtap",
    b"macsec",
    b"gre",
    b"gretap",
    b"ip6gre",
    b"ip6gretap",
    b"ipip",
    b"sit",
    b"ip6tnl",
    b"xfrm",
];

/// The index of the link that a VXLAN is on top of.
fn vxlan_link(data: &[u8]) -> Option<u32> {
    attributes(data).find(|attribute| attribute.kind() == IFLA_VXLAN_LINK).and_then(|link| number(link.value()))
}

fn link(payload: &[u8]) -> Option<Link> {
    // struct ifinfomsg: family, pad, type, index, flags, change.
    let (header, rest) = payload.split_at_checked(16)?;
    let mut link = Link { index: number(&header[4..])?, flags: number(&header[8..])?, ..Link::default() };
    let mut below = None;
    for attribute in attributes(rest) {
        let value = attribute.value();
        match attribute.kind() {
            IFLA_IFNAME => link.name = string(value),
            IFLA_MTU => link.mtu = number(value),
            IFLA_ADDRESS => link.mac = value.to_vec(),
            IFLA_OPERSTATE => link.operstate = value.first().copied(),
            IFLA_MASTER => link.master = number(value),
            IFLA_LINK => link.link = number(value),
            IFLA_STATS64 => link.counters = counters(value),
            IFLA_LINK_NETNSID => link.link_nsid = number(value).map(u32::cast_signed),
            IFLA_LINKINFO => {
                for attribute in attributes(value) {
                    match attribute.kind() {
                        IFLA_INFO_KIND => link.kind = Some(string(attribute.value())),
                        // What it means depends on the kind.
                        IFLA_INFO_DATA => below = vxlan_link(attribute.value()),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    match link.kind.as_deref() {
        Some(b"vxlan") => link.link = below.filter(|&index| index > 0),
        // For one that has none below it the kernel says its own index.
        kind if link.link == Some(link.index) && !kind.is_some_and(|kind| HAVE_OTHERS.contains(&kind)) => {
            link.link = None;
        }
        _ => {}
    }
    Some(link)
}

/// The first counters of `struct rtnl_link_stats64`, which all kernels have.
fn counters(value: &[u8]) -> Option<LinkCounters> {
    let mut all = [0; 8];
    for (counter, bytes) in all.iter_mut().zip(value.chunks_exact(8)) {
        *counter = u64::from_ne_bytes(bytes.try_into().ok()?);
    }
    (value.len() >= 64).then(|| LinkCounters::new(all))
}

fn address(payload: &[u8]) -> Option<Address> {
    // struct ifaddrmsg: family, prefix length, flags, scope, index.
    let (header, rest) = payload.split_at_checked(8)?;
    let find = |kind| attributes(rest).find(|attribute| attribute.kind() == kind);
    let ip = |attribute: NlaBuffer<&[u8]>| netlink::address(attribute.value());
    let (other, own) = (find(IFA_ADDRESS).and_then(ip), find(IFA_LOCAL).and_then(ip));
    let local = own.or(other)?;
    Some(Address {
        index: number(&header[4..])?,
        local,
        prefix: header[1],
        peer: other.filter(|&other| other != local),
        scope: header[3],
    })
}

/// `Some(None)` for a route of another table than the main ones.
fn route(payload: &[u8]) -> Option<Option<Route>> {
    // struct rtmsg: family, lengths of destination and source, tos, table, protocol, scope, type, flags.
    let (header, rest) = payload.split_at_checked(12)?;
    if number(&header[8..])? & RTM_F_CLONED != 0 {
        // One that the kernel remembers for an address, and no route.
        return None;
    }
    let mut table = u32::from(header[4]);
    let is_v6 = header[0] == AF_INET6;
    let mut route = Route { is_v6, prefix: header[1], kind: header[7], ..Route::default() };
    let mut first = Hop::default();
    for attribute in attributes(rest) {
        let value = attribute.value();
        match attribute.kind() {
            RTA_TABLE => table = number(value)?,
            RTA_DST => route.destination = netlink::address(value),
            RTA_PREFSRC => route.source = netlink::address(value),
            RTA_PRIORITY => route.metric = number(value),
            RTA_OIF => first.index = number(value),
            RTA_MULTIPATH => route.hops = hops(value),
            kind => first.gateway = first.gateway.or_else(|| gateway(kind, value)),
        }
    }
    if route.hops.is_empty() {
        route.hops.push(first);
    }
    Some((table == RT_TABLE_MAIN).then_some(route))
}

fn gateway(kind: u16, value: &[u8]) -> Option<IpAddr> {
    match kind {
        RTA_GATEWAY => netlink::address(value),
        // struct rtvia: the family before the address.
        RTA_VIA => netlink::address(value.get(2..)?),
        _ => None,
    }
}

fn hops(mut rest: &[u8]) -> Vec<Hop> {
    // struct rtnexthop: length, flags, hops, index; then attributes.
    const HEADER: usize = 8;
    let mut hops = Vec::new();
    while let Some((header, _)) = rest.split_at_checked(HEADER) {
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let Some(of_hop) = rest.get(HEADER..length) else { break };
        let gateway = attributes(of_hop).find_map(|attribute| gateway(attribute.kind(), attribute.value()));
        hops.push(Hop { gateway, index: number(&header[4..]) });
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    hops
}

/// The IDs that this network namespace has given to these. No ID is given by asking.
pub(crate) fn namespace_ids(fds: &[OwnedFd]) -> Result<Vec<Option<i32>>, Failure> {
    let kernel = Netlink::connect(NETLINK_ROUTE)?;
    // What is no network namespace has no ID.
    Ok(fds.iter().map(|fd| namespace_id(&kernel, fd).ok().flatten()).collect())
}

/// Gives these network namespaces IDs, from `first` on; the IDs that they have then.
pub(crate) fn identify(first: i32, fds: &[OwnedFd]) -> Result<Vec<Option<i32>>, Failure> {
    let kernel = connect()?;
    let mut ids = Vec::with_capacity(fds.len());
    for (nsid, fd) in (first..).zip(fds) {
        let number = fd.as_raw_fd().cast_unsigned().to_ne_bytes();
        let body = [vec![0; 4], attribute(NETNSA_FD, &number), attribute(NETNSA_NSID, &nsid.to_ne_bytes())].concat();
        match kernel.command(RTM_NEWNSID, &body) {
            Ok(()) => ids.push(Some(nsid)),
            // One that has an ID already keeps it.
            Err(error) => match namespace_id(&kernel, fd) {
                Ok(Some(nsid)) => ids.push(Some(nsid)),
                _ => return Err(netlink::failure("RTM_NEWNSID", &error)),
            },
        }
    }
    Ok(ids)
}

/// The ID that this network namespace has given to that one; `None` where it has given none.
fn namespace_id(kernel: &Netlink, fd: impl AsFd) -> io::Result<Option<i32>> {
    let id = |payload: &[u8]| {
        let rest = payload.get(4..)?;
        let id = attributes(rest).find(|attribute| attribute.kind() == NETNSA_NSID)?;
        // The kernel says -1 where it has given none.
        number(id.value()).map(u32::cast_signed).filter(|&id| id >= 0)
    };
    let fd = fd.as_fd().as_raw_fd().cast_unsigned();
    let body = [vec![0; 4], attribute(NETNSA_FD, &fd.to_ne_bytes())].concat();
    kernel.ask(RTM_GETNSID, &body, id)
}

/// The IDs that the caller's network namespace has given to these network namespaces of the snapshot (`ip netns
/// list-id`), `None` where it has given none. A namespace that cannot be asked about is left out. No ID is given by
/// asking.
///
/// # Privileges
///
/// As [`Discovery::open`].
pub fn nsids<'a>(
    discovery: &Discovery<'_>,
    snapshot: &Snapshot,
    namespaces: impl Iterator<Item = &'a Namespace>,
) -> BTreeMap<NamespaceId, Option<u32>> {
    let Ok(kernel) = Netlink::connect(NETLINK_ROUTE) else { return BTreeMap::new() };
    let opener = discovery.opener(snapshot);
    let ask = |namespace: &Namespace| {
        let opened = opener.open(namespace.id).ok()?;
        let nsid = namespace_id(&kernel, opened).ok()?;
        Some((namespace.id, nsid.and_then(|nsid| u32::try_from(nsid).ok())))
    };
    namespaces.filter(|namespace| namespace.ns_type == NamespaceType::Net).filter_map(ask).collect()
}

/// The names of links in other network namespaces, where one may know them.
pub(crate) fn names_of_links(links: &[(i32, u32)]) -> Result<Vec<Option<Vec<u8>>>, Failure> {
    let kernel = Netlink::connect(NETLINK_ROUTE)?;
    let ask = |&(nsid, index): &(i32, u32)| {
        let body = [link_request(index), attribute(IFLA_TARGET_NETNSID, &nsid.to_ne_bytes())].concat();
        // A kernel that does not know this attribute answers with the link of this index here.
        let name = |payload: &[u8]| {
            link(payload).filter(|_| is_elsewhere(payload, 16, IFLA_TARGET_NETNSID)).map(|link| link.name)
        };
        kernel.ask(RTM_GETLINK, &body, name).ok().flatten()
    };
    Ok(links.iter().map(ask).collect())
}

/// What holds whatever the kernel tells of links, addresses and routes.
#[cfg(any(test, feature = "_fuzz"))]
pub(crate) fn fuzz(payload: &[u8]) {
    if let Some(link) = link(payload) {
        assert!(!link.name.contains(&0) && link.mac.len() <= payload.len());
    }
    if let Some(address) = address(payload) {
        assert_ne!(address.peer, Some(address.local));
    }
    if let Some(Some(route)) = route(payload) {
        assert!((1..=1 + payload.len() / 8).contains(&route.hops.len()));
    }
    assert!(hops(payload).len() <= payload.len() / 8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_link_is_there_in_any_network_namespace() {
        let network = network().unwrap();
        let lo = network.links.iter().find(|link| link.name == b"lo").unwrap();
        assert_eq!((lo.index, &lo.link, lo.link_nsid), (1, &None, None));
        assert_eq!(network.failures, []);
    }

    #[test]
    fn a_name_may_be_any_bytes() {
        let body = [vec![0; 4], 7_u32.to_ne_bytes().to_vec(), vec![0; 8]].concat();
        let body =
            [body, attribute(IFLA_IFNAME, b"\xff\x1b[31m\0"), attribute(IFLA_LINK_NETNSID, &(-1_i32).to_ne_bytes())];
        let link = link(&body.concat()).unwrap();
        assert_eq!((link.index, &link.name[..], link.link_nsid), (7, &b"\xff\x1b[31m"[..], Some(-1)));
    }

    #[test]
    fn a_link_that_was_moved_has_its_own_index_only_where_that_is_the_other_ends() {
        let of_kind = |kind: &[u8], data: &[u8]| {
            let info = [attribute(IFLA_INFO_KIND, kind), attribute(IFLA_INFO_DATA, data)].concat();
            let header = [vec![0; 4], 7_u32.to_ne_bytes().to_vec(), vec![0; 8]].concat();
            let rest = [attribute(IFLA_LINK, &7_u32.to_ne_bytes()), attribute(IFLA_LINKINFO, &info)];
            link(&[header, rest.concat()].concat()).unwrap().link
        };
        assert_eq!(of_kind(b"veth\0", b""), Some(7));
        assert_eq!(of_kind(b"wireguard\0", b""), None);
        assert_eq!(of_kind(b"vxlan\0", b""), None);
        assert_eq!(of_kind(b"vxlan\0", &attribute(IFLA_VXLAN_LINK, &4_u32.to_ne_bytes())), Some(4));
    }

    #[test]
    fn routes_of_several_ways_have_them_all() {
        let hop = |index: u32, gateway: [u8; 4]| {
            [vec![16, 0, 0, 0], index.to_ne_bytes().to_vec(), attribute(RTA_GATEWAY, &gateway)].concat()
        };
        let header = vec![2, 0, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0];
        let both = [hop(2, [10, 0, 0, 1]), hop(3, [10, 0, 0, 2])].concat();
        let route = route(&[header, attribute(RTA_MULTIPATH, &both)].concat()).unwrap().unwrap();
        let hops: Vec<_> = route.hops.iter().map(|hop| (hop.index, hop.gateway.unwrap().to_string())).collect();
        assert_eq!(hops, [(Some(2), "10.0.0.1".to_owned()), (Some(3), "10.0.0.2".to_owned())]);
        assert_eq!(route.destination, None);
    }

    #[test]
    fn the_kernel_answers_about_an_own_namespace_and_refuses_another_type() {
        let kernel = Netlink::connect(NETLINK_ROUTE).unwrap();
        let own = lxkns_core::ProcRoot::host().unwrap().path().join("self/ns");
        let open = |name| std::fs::File::open(own.join(name)).unwrap();
        assert!(namespace_id(&kernel, open("net")).is_ok());
        assert!(namespace_id(&kernel, open("uts")).is_err());
        assert!(namespace_id(&kernel, open("net")).is_ok(), "a refusal leaves no stray answer behind");
    }
}
