//! The JSON form of what is shown.

use lxkns_core::model::{
    CgroupMembership, IdMapping, Namespace, NamespaceId, NamespaceType, Pid, Process, Snapshot, SocketUser,
};
use lxkns_core::relations;
use serde::Serialize;

use crate::view::caps;
use crate::view::holders;
use crate::view::names::{self, lossy};
use crate::view::show::UNMAPPED;
use crate::view::show::{self, Shown, owned_counts};
use crate::view::show_network;
use crate::view::show_process::{self, ShownProcess};
use lxkns_core::model::inside::{Address, Limit, Link, ListeningSocket, NetworkInside, Route, Where};

/// What is said of one thing.
#[derive(Serialize)]
pub(super) struct Answer {
    target: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<NamespaceAnswer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<ProcessAnswer>,
}

#[derive(Serialize)]
struct Facts {
    ns: u64,
    #[serde(rename = "type")]
    ns_type: &'static str,
    #[serde(rename = "uniqueid")]
    unique_id: Option<u64>,
    initial: bool,
    owner: Option<u64>,
    parent: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    leaders: Option<Vec<u32>>,
}

#[derive(Serialize)]
struct NamespaceAnswer {
    #[serde(flatten)]
    facts: Facts,
    owner_uid: Option<u32>,
    owner_name: Option<String>,
    children: Vec<u64>,
    owned: Vec<u64>,
    owned_counts: Vec<CountAnswer>,
    /// `None`: none was seen, and some may be there.
    processes: Option<u64>,
    tasks: Option<u64>,
    /// Whether all could be seen that may be in it; else these numbers are the least.
    members_seen: bool,
    /// Whether all could be seen that may hold it.
    holders_seen: bool,
    threads: Vec<u32>,
    holders: Option<String>,
    paths: Vec<String>,
    /// Why what only somebody inside can tell is not there.
    missing: Option<String>,
    #[serde(flatten)]
    of_type: OfType,
}

/// What only namespaces of one type have.
#[derive(Serialize)]
#[serde(untagged)]
enum OfType {
    User { uid_map: Option<Vec<MappingAnswer>>, gid_map: Option<Vec<MappingAnswer>>, limits: Option<Vec<LimitAnswer>> },
    Net { network: Option<NetworkAnswer> },
    Uts { hostname: Option<String>, domainname: Option<String> },
    Time { monotonic: Option<String>, boottime: Option<String> },
    Pid { init: Option<u32>, level: Option<usize> },
    Mnt { mounts: Option<usize> },
    Other {},
}

fn facts(namespace: &Namespace) -> Facts {
    Facts {
        ns: namespace.id.ino,
        ns_type: namespace.ns_type.name(),
        unique_id: namespace.unique_id,
        initial: namespace.initial,
        owner: namespace.owner.known().map(|id| id.ino),
        parent: namespace.parent.known().map(|id| id.ino),
        leaders: Some(namespace.leaders.iter().map(|pid| pid.0).collect()),
    }
}

#[derive(Serialize)]
struct CountAnswer {
    #[serde(rename = "type")]
    ns_type: &'static str,
    count: usize,
}

#[derive(Serialize)]
struct MappingAnswer {
    inside: u32,
    /// `None` where the reader's user namespace does not map it.
    outside: Option<u32>,
    count: u32,
}

#[derive(Serialize)]
struct LimitAnswer {
    #[serde(rename = "type")]
    ns_type: String,
    max: u64,
    used: Option<u64>,
}

#[derive(Serialize)]
struct NetworkAnswer {
    links: Vec<LinkAnswer>,
    addresses: Vec<AddressAnswer>,
    routes: Vec<RouteAnswer>,
    other_routes: u64,
    sockets: Vec<SocketAnswer>,
    failures: Vec<String>,
}

#[derive(Serialize)]
struct LinkAnswer {
    index: u32,
    name: String,
    up: bool,
    state: &'static str,
    mtu: Option<u32>,
    mac: Option<String>,
    kind: Option<String>,
    master: Option<u32>,
    other_end: Option<OtherEndAnswer>,
}

#[derive(Serialize)]
struct OtherEndAnswer {
    relation: &'static str,
    index: Option<u32>,
    name: Option<String>,
    ns: Option<u64>,
    nsid: Option<i32>,
    process: Option<BriefProcess>,
}

#[derive(Serialize)]
struct BriefProcess {
    pid: u32,
    name: Option<String>,
}

#[derive(Serialize)]
struct AddressAnswer {
    index: u32,
    link: Option<String>,
    address: String,
    prefix: u8,
    peer: Option<String>,
    scope: String,
}

#[derive(Serialize)]
struct RouteAnswer {
    destination: String,
    family: &'static str,
    route_type: &'static str,
    source: Option<String>,
    metric: Option<u32>,
    hops: Vec<HopAnswer>,
}

#[derive(Serialize)]
struct HopAnswer {
    gateway: Option<String>,
    index: Option<u32>,
    link: Option<String>,
}

#[derive(Serialize)]
struct SocketAnswer {
    protocol: &'static str,
    address: String,
    port: u16,
    link: Option<String>,
    takes_v4: bool,
    inode: u64,
    uid: u32,
    users: Vec<UserAnswer>,
}

#[derive(Serialize)]
struct UserAnswer {
    pid: u32,
    tid: u32,
    fd: u32,
    name: Option<String>,
}

#[derive(Serialize)]
struct ProcessAnswer {
    pid: u32,
    ppid: Option<u32>,
    pids: Option<Vec<u32>>,
    name: String,
    command: String,
    uid: Option<u32>,
    effective_uid: Option<u32>,
    tasks: u32,
    started_seconds: f64,
    namespaces: Vec<MembershipAnswer>,
    threads: Vec<ThreadAnswer>,
    cgroups: Option<Vec<CgroupAnswer>>,
    frozen: Option<bool>,
    capabilities: Option<SetsAnswer>,
    policy: Option<String>,
    priority: Option<u32>,
    nice: Option<i32>,
    cpus: Option<String>,
}

#[derive(Serialize)]
struct MembershipAnswer {
    #[serde(rename = "type")]
    ns_type: &'static str,
    ns: Option<u64>,
    same: Option<bool>,
}

#[derive(Serialize)]
struct ThreadAnswer {
    tid: u32,
    name: String,
    namespaces: Vec<u64>,
}

#[derive(Serialize)]
struct CgroupAnswer {
    hierarchy: u32,
    controllers: String,
    path: String,
}

#[derive(Serialize)]
struct SetsAnswer {
    effective: Vec<String>,
    permitted: Vec<String>,
    inheritable: Vec<String>,
    ambient: Vec<String>,
    bounding: Vec<String>,
}

fn inos(ids: &[NamespaceId]) -> Vec<u64> {
    ids.iter().map(|id| id.ino).collect()
}

fn name_of(snapshot: &Snapshot, pid: Pid) -> Option<String> {
    snapshot.processes.get(&pid).map(|process| lossy(process.comm()))
}

impl Answer {
    pub(super) fn of_namespace(target: String, shown: &Shown<'_>) -> Self {
        let namespace = shown.namespace;
        let count = shown.counts.get(namespace.id);
        let members_seen = relations::members_seen(shown.snapshot, namespace);
        let known = |number: u64| (members_seen || number > 0).then_some(number);
        let counts = owned_counts(shown.snapshot, namespace).into_iter();
        let answer = NamespaceAnswer {
            facts: facts(namespace),
            owner_uid: namespace.owner_uid.map(|uid| uid.0),
            owner_name: namespace.owner_uid.and_then(|uid| shown.snapshot.user_names.get(&uid)).cloned(),
            children: inos(&namespace.children),
            owned: inos(&namespace.owned),
            owned_counts: counts.map(|(ns_type, count)| CountAnswer { ns_type: ns_type.name(), count }).collect(),
            processes: known(count.processes),
            tasks: known(count.tasks),
            members_seen,
            holders_seen: relations::holders_seen(shown.snapshot, namespace),
            threads: namespace.loose_threads.iter().map(|tid| tid.0).collect(),
            holders: holders::summary(&namespace.holders),
            paths: names::ways(shown.snapshot, namespace, shown.home).map(|way| lossy(&way.into_path())).collect(),
            missing: match shown.is_live {
                true => shown.missing.clone(),
                false => Some("not in a dump".to_owned()).filter(|_| lxkns_inside::has_an_inside(namespace.ns_type)),
            },
            of_type: of_type(shown),
        };
        Self { target, namespace: Some(answer), process: None }
    }

    pub(super) fn of_process(target: String, shown: &ShownProcess<'_>) -> Self {
        Self { target, namespace: None, process: Some(process(shown)) }
    }
}

fn of_type(shown: &Shown<'_>) -> OfType {
    let namespace = shown.namespace;
    let map = |map: &Option<Vec<IdMapping>>| {
        let map = map.as_ref()?.iter();
        Some(
            map.map(|&IdMapping { inside, outside, count }| {
                let outside = (outside != UNMAPPED).then_some(outside);
                MappingAnswer { inside, outside, count }
            })
            .collect(),
        )
    };
    match namespace.ns_type {
        NamespaceType::User => {
            let used = shown.used();
            let limits = shown.inside.limits.as_ref().map(|limits| {
                let used = |name: &str| used.iter().find(|(ns_type, _)| ns_type.name() == name).map(|(_, used)| *used);
                let limits = limits.iter();
                let limit = |limit: &Limit| LimitAnswer {
                    ns_type: limit.ns_type.clone(),
                    max: limit.max,
                    used: used(&limit.ns_type),
                };
                limits.map(limit).collect()
            });
            OfType::User { uid_map: map(&namespace.uid_map), gid_map: map(&namespace.gid_map), limits }
        }
        NamespaceType::Net => {
            OfType::Net { network: shown.inside.network.as_ref().map(|facts| network(shown.snapshot, facts)) }
        }
        NamespaceType::Uts => {
            let names = shown.inside.host_name.as_ref();
            OfType::Uts {
                hostname: names.map(|names| lossy(&names.host)),
                domainname: names.map(|names| lossy(&names.domain)),
            }
        }
        NamespaceType::Time => {
            let offsets = namespace.time_offsets;
            let text = |(seconds, nanoseconds)| show::offset((seconds, nanoseconds));
            OfType::Time {
                monotonic: offsets.map(|offsets| text(offsets.monotonic)),
                boottime: offsets.map(|offsets| text(offsets.boottime)),
            }
        }
        NamespaceType::Pid => OfType::Pid { init: shown.init().map(|pid| pid.0), level: shown.level() },
        NamespaceType::Mnt => OfType::Mnt { mounts: shown.mount_count() },
        _ => OfType::Other {},
    }
}

fn network(snapshot: &Snapshot, facts: &NetworkInside) -> NetworkAnswer {
    let network = &facts.network;
    NetworkAnswer {
        links: network.links.iter().map(|link| link_answer(snapshot, facts, link)).collect(),
        addresses: network.addresses.iter().map(|address| address_answer(facts, address)).collect(),
        routes: network.routes.iter().map(|route| route_answer(facts, route)).collect(),
        other_routes: network.other_routes,
        sockets: network.sockets.iter().map(|socket| socket_answer(snapshot, facts, socket)).collect(),
        failures: network.failures.iter().map(ToString::to_string).collect(),
    }
}

fn link_answer(snapshot: &Snapshot, facts: &NetworkInside, link: &Link) -> LinkAnswer {
    let other_end = facts.other_end(link).map(|end| {
        let there = match end.place {
            Where::There(id) => Some(id),
            _ => None,
        };
        let process = there.and_then(|id| show_network::process_at(snapshot, id));
        OtherEndAnswer {
            relation: if end.is_peer { "peer" } else { "lower" },
            index: end.index,
            name: end.name.map(lossy),
            ns: there.map(|id| id.ino),
            nsid: link.link_nsid,
            process: process.map(|pid| BriefProcess { pid: pid.0, name: name_of(snapshot, pid) }),
        }
    });
    LinkAnswer {
        index: link.index,
        name: lossy(&link.name),
        up: show_network::is_up(link),
        state: show_network::state(link),
        mtu: link.mtu,
        mac: (!link.mac.is_empty()).then(|| show_network::mac(&link.mac)),
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
        scope: show_network::scope(address.scope),
    }
}

fn route_answer(facts: &NetworkInside, route: &Route) -> RouteAnswer {
    let hops = route.hops.iter().map(|hop| HopAnswer {
        gateway: hop.gateway.map(|gateway| gateway.to_string()),
        index: hop.index,
        link: hop.index.and_then(|index| facts.name(index)).map(lossy),
    });
    RouteAnswer {
        destination: show_network::destination(route),
        family: if route.is_v6 { "inet6" } else { "inet" },
        route_type: show_network::route_type(route).unwrap_or("unicast"),
        source: route.source.map(|source| source.to_string()),
        metric: route.metric,
        hops: hops.collect(),
    }
}

fn socket_answer(snapshot: &Snapshot, facts: &NetworkInside, socket: &ListeningSocket) -> SocketAnswer {
    let users = facts.users.get(&socket.inode).map(Vec::as_slice).unwrap_or_default();
    let user = |user: &SocketUser| UserAnswer {
        pid: user.pid.0,
        tid: user.tid.0,
        fd: user.fd,
        name: name_of(snapshot, user.pid),
    };
    SocketAnswer {
        protocol: show_network::protocol(socket),
        address: socket.address.to_string(),
        port: socket.port,
        link: socket.index.and_then(|index| facts.name(index)).map(lossy),
        takes_v4: socket.takes_v4,
        inode: socket.inode,
        uid: socket.uid,
        users: users.iter().map(user).collect(),
    }
}

fn process(shown: &ShownProcess<'_>) -> ProcessAnswer {
    let process: &Process = shown.process;
    let task = process.living_task();
    let status = process.status.as_ref();
    let namespaces = shown.namespaces().map(|(ns_type, id, same)| MembershipAnswer {
        ns_type: ns_type.name(),
        ns: id.map(|id| id.ino),
        same,
    });
    let threads = shown.elsewhere().map(|task| ThreadAnswer {
        tid: task.tid.0,
        name: lossy(&task.comm),
        namespaces: show_process::differences(process, task).map(|id| id.ino).collect(),
    });
    let cgroups = task.cgroups.as_ref().map(|cgroups| {
        let membership = |membership: &CgroupMembership| CgroupAnswer {
            hierarchy: membership.hierarchy,
            controllers: lossy(&membership.controllers),
            path: lossy(&membership.path),
        };
        cgroups.0.iter().map(membership).collect()
    });
    let capabilities = status.map(|status| {
        let sets = status.capabilities;
        SetsAnswer {
            effective: caps::names_of(sets.effective),
            permitted: caps::names_of(sets.permitted),
            inheritable: caps::names_of(sets.inheritable),
            ambient: caps::names_of(sets.ambient),
            bounding: caps::names_of(sets.bounding),
        }
    });
    ProcessAnswer {
        pid: process.pid.0,
        ppid: process.ppid.map(|pid| pid.0),
        pids: status.map(|status| status.ns_pids.iter().map(|pid| pid.0).collect()),
        name: lossy(process.comm()),
        command: lossy(&names::command(process)),
        uid: status.map(|status| status.uids.real.0),
        effective_uid: status.map(|status| status.uids.effective.0),
        tasks: process.threads,
        started_seconds: shown.started().as_secs_f64(),
        namespaces: namespaces.collect(),
        threads: threads.collect(),
        cgroups,
        frozen: task.freezer.map(|freezer| freezer.effective),
        capabilities,
        policy: task.scheduling.map(|scheduling| show_process::policy_name(scheduling.policy)),
        priority: task.scheduling.map(|scheduling| scheduling.priority),
        nice: task.scheduling.map(|scheduling| scheduling.nice),
        cpus: task.affinity.as_deref().map(show_process::ranges),
    }
}
