//! What is in a network namespace: as `ip link`, `ip addr`, `ip route` and `ss -ltnup` have it.

use lxkns_model::inside::{Link, ListeningSocket, NetworkInside, OtherEnd, Route, Where};
use lxkns_model::relations;
use lxkns_model::{NamespaceId, Pid, Snapshot, Uid};

use crate::Context;
use crate::links::Leftovers;
use crate::names::{self, Detail};
use crate::sheet::{Column, Fact, Sheet};
use crate::text::escape::printable;
use crate::text::shown;
use crate::whose;

const IFF_UP: u32 = 1;

/// Whether a link was set up.
pub(crate) fn is_up(link: &Link) -> bool {
    link.flags & IFF_UP != 0
}

/// The state of a link, as `ip` calls it; without the kernel's word, whether it was set up.
pub(crate) fn state(link: &Link) -> &'static str {
    const STATES: [&str; 7] = ["UNKNOWN", "NOTPRESENT", "DOWN", "LOWERLAYERDOWN", "TESTING", "DORMANT", "UP"];
    let by_flag = if is_up(link) { "UP" } else { "DOWN" };
    link.operstate.map_or(by_flag, |state| STATES.get(usize::from(state)).copied().unwrap_or("UNKNOWN"))
}

/// A hardware address, as `ip` writes it.
pub(crate) fn mac(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}

/// What a route leads to: `default`, `10.0.0.0/8`, `10.1.2.3`.
pub(super) fn destination(route: &Route) -> String {
    match route.destination {
        None if route.prefix == 0 => "default".to_owned(),
        None if route.is_v6 => format!("::/{}", route.prefix),
        None => format!("0.0.0.0/{}", route.prefix),
        Some(address) if route.prefix == if route.is_v6 { 128 } else { 32 } => address.to_string(),
        Some(address) => format!("{address}/{}", route.prefix),
    }
}

/// The type of a route, where it is not the usual one.
pub(super) fn route_type(route: &Route) -> Option<&'static str> {
    Some(match route.kind {
        1 => return None,
        2 => "local",
        3 => "broadcast",
        4 => "anycast",
        5 => "multicast",
        6 => "blackhole",
        7 => "unreachable",
        8 => "prohibit",
        9 => "throw",
        10 => "nat",
        _ => "of a type without a name",
    })
}

/// The name of a scope.
pub(crate) fn scope(scope: u8) -> String {
    match scope {
        0 => "global".to_owned(),
        200 => "site".to_owned(),
        253 => "link".to_owned(),
        254 => "host".to_owned(),
        255 => "nowhere".to_owned(),
        other => other.to_string(),
    }
}

/// The addresses of a link, each with the length of its prefix; `None` where they are not known.
pub(crate) fn addresses(link: &Link) -> Option<Vec<String>> {
    let addresses = link.addresses.as_ref()?.iter();
    Some(addresses.map(|address| format!("{}/{}", address.local, address.prefix)).collect())
}

/// Adds all of it to a sheet.
pub(super) fn add(sheet: &mut Sheet, context: Context<'_>, ns: NamespaceId, facts: &NetworkInside) {
    let snapshot = context.snapshot;
    let network = &facts.network;
    let name = |index: u32| facts.name(index).map_or_else(|| format!("if{index}"), printable);
    let links = network.links.iter().map(|link| {
        vec![
            link.index.to_string(),
            printable(&link.name),
            state(link).to_owned(),
            link.mtu.map(|mtu| mtu.to_string()).unwrap_or_default(),
            mac(&link.mac),
            link.kind.as_ref().map(printable).unwrap_or_default(),
            link.master.map(name).unwrap_or_default(),
            facts.other_end(link).map(|end| describe_end(context, &end)).unwrap_or_default(),
        ]
    });
    let columns = vec![
        Column::right("INDEX").giving_way(2),
        Column::left("NAME"),
        Column::left("STATE"),
        Column::right("MTU").giving_way(3),
        Column::left("MAC").giving_way(4),
        Column::left("KIND").giving_way(1),
        Column::left("MASTER"),
        Column::left("OTHER END").or_below(),
    ];
    sheet.table("Links", columns, links.collect());
    let left = Leftovers::of_network(context, ns, facts);
    let left = left.all().iter().flat_map(|left| {
        let label = if left.is_certain { "link" } else { "perhaps" };
        [Fact::new(label, left.words(context)), Fact::new("until", left.step.to_string())]
    });
    sheet.facts("Left over: one end is in a network namespace without a process", left.collect());

    let addresses = network.addresses.iter().map(|address| {
        let peer = address.peer.map(|peer| format!(" peer {peer}")).unwrap_or_default();
        vec![name(address.index), format!("{}/{}{peer}", address.local, address.prefix), scope(address.scope)]
    });
    sheet.table(
        "Addresses",
        vec![Column::left("LINK"), Column::left("ADDRESS"), Column::left("SCOPE").giving_way(1)],
        addresses.collect(),
    );

    let routes = network.routes.iter().flat_map(|route| {
        route.hops.iter().enumerate().map(move |(at, hop)| {
            let destination = if at == 0 { destination(route) } else { String::new() };
            let kind = route_type(route).map(|kind| format!("{kind} ")).unwrap_or_default();
            vec![
                format!("{kind}{destination}"),
                hop.gateway.map(|gateway| gateway.to_string()).unwrap_or_default(),
                hop.index.map(name).unwrap_or_default(),
                route.source.map(|source| source.to_string()).unwrap_or_default(),
                route.metric.map(|metric| metric.to_string()).unwrap_or_default(),
            ]
        })
    });
    let heading = format!("Routes of the main tables; {} in others", network.other_routes);
    let columns = vec![
        Column::left("TO"),
        Column::left("VIA"),
        Column::left("LINK"),
        Column::left("FROM").giving_way(1),
        Column::right("METRIC").giving_way(2),
    ];
    sheet.table(heading, columns, routes.collect());

    let sockets = network.sockets.iter().map(|socket| {
        let bound = socket.index.map(|index| format!("%{}", name(index))).unwrap_or_default();
        vec![
            socket.protocol.name().to_owned(),
            format!("{}{bound}:{}", written(socket), socket.port),
            describe_users(snapshot, facts, socket),
        ]
    });
    sheet.table(
        "Listening sockets",
        vec![Column::left("PROTOCOL"), Column::left("ADDRESS"), Column::left("PROCESS").or_below()],
        sockets.collect(),
    );
    let failures = network.failures.iter().map(|failure| Fact::new("not read", printable(failure.to_string())));
    sheet.facts("Incomplete", failures.collect());
}

/// An address as it is written before a port.
pub(crate) fn written(socket: &ListeningSocket) -> String {
    match socket.address {
        _ if socket.takes_v4 => "*".to_owned(),
        std::net::IpAddr::V6(address) => format!("[{address}]"),
        address => address.to_string(),
    }
}

/// The other end of a link in words, safe to print.
pub(crate) fn describe_end(context: Context<'_>, end: &OtherEnd<'_>) -> String {
    let name = match (end.name, end.index) {
        (Some(name), _) => printable(name),
        (None, Some(index)) => format!("if{index}"),
        (None, None) => "a link".to_owned(),
    };
    let place = match end.place {
        Where::Here => String::new(),
        Where::There(id) => format!(
            " in {}{}",
            names::namespace_and_netns(context.snapshot, id, context.mount_ns),
            occupant(context.snapshot, id)
        ),
        Where::NotFound(nsid) => format!(" in a network namespace not found, with netnsid {nsid} here"),
        Where::NotKnown => " in an unknown network namespace".to_owned(),
    };
    if end.is_peer { format!("{name}{place}") } else { format!("on {name}{place}") }
}

/// The most senior process of the namespace at the other end.
pub(crate) fn process_at(snapshot: &Snapshot, id: NamespaceId) -> Option<Pid> {
    snapshot.namespaces.get(&id).and_then(|namespace| namespace.leaders.first()).copied()
}

fn occupant(snapshot: &Snapshot, id: NamespaceId) -> String {
    let namespace = snapshot.namespaces.get(&id);
    match namespace.and_then(|namespace| namespace.leaders.first()) {
        Some(&pid) => format!(" of process {}", names::process(snapshot, pid, Detail::Brief)),
        None if namespace.is_some_and(|namespace| relations::members_seen(snapshot, namespace)) => {
            format!("{}, which has no process", whose::of_words(snapshot, id))
        }
        None => format!("{}, no process of which was seen", whose::of_words(snapshot, id)),
    }
}

fn describe_users(snapshot: &Snapshot, facts: &NetworkInside, socket: &ListeningSocket) -> String {
    /// How many are told of a socket that many have.
    const FEW: usize = 3;
    let users = facts.users.get(&socket.inode).map(Vec::as_slice).unwrap_or_default();
    if users.is_empty() {
        return format!("unknown; created by {}", names::user(snapshot, Uid(socket.uid)));
    }
    let count = shown(users.len(), FEW);
    let words = users[..count].iter().map(|user| {
        let process = names::process(snapshot, user.pid, Detail::Brief);
        format!("{process} fd {}", user.fd)
    });
    let more = users.len() - count;
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    words.collect::<Vec<_>>().join(", ") + &more
}
