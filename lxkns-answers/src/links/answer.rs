//! The JSON form of links: a graph.

use lxkns_model::inside::{Address, Where};
use lxkns_model::links::{HostLink, LinkId, TunUser};
use lxkns_model::{NamespaceId, Snapshot};
use serde::Serialize;

use super::{LeftOverAnswer, Leftovers, Links};
use crate::context::Context;
use crate::names::{self, lossy};
use crate::show::{BriefProcess, network};
use crate::whose::WhoseForm;

/// What a link is called in a graph: the inode number of its network namespace, and its index there.
pub type LinkKey = (u64, u32);

/// Links and how they relate.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct GraphAnswer {
    /// The links, by network namespace and index.
    pub links: Vec<GraphLink>,
    /// How they relate; each relation once. An end that is not among the links was not read or not asked for.
    pub edges: Vec<EdgeAnswer>,
}

/// How two links relate.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct EdgeAnswer {
    /// The one link.
    pub from: LinkKey,
    /// The other.
    pub to: LinkKey,
    /// What the other is to the one: its `peer`, the `lower` link that it is on top of, or its `master`.
    pub relation: &'static str,
}

/// A link.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct GraphLink {
    /// Which it is.
    pub id: LinkKey,
    /// It as a TARGET.
    pub target: String,
    /// Its name.
    pub name: String,
    /// `veth`, `bridge`; `null` of hardware and of the loopback link.
    pub kind: Option<String>,
    /// Whether it is set up.
    pub up: bool,
    /// Its state, as `ip` calls it.
    pub state: &'static str,
    /// The largest packet, in bytes; `null` where not known.
    pub mtu: Option<u32>,
    /// Its hardware address; `null` where it has none.
    pub mac: Option<String>,
    /// Its addresses; `null` where they are not known.
    pub addresses: Option<Vec<LinkAddressAnswer>>,
    /// The bridge or the like that it belongs to; `null` where it belongs to none.
    pub master: Option<LinkKey>,
    /// Its network namespace.
    #[serde(flatten)]
    pub place: PlaceForm,
    /// The peer, or the link below; `null` where it has none.
    pub other_end: Option<LinkEndAnswer>,
    /// Who was seen to have it open, of TUN/TAP devices.
    pub users: Vec<LinkUserAnswer>,
    /// Why it is left over, and what removes it, as the one element; `null` where it is not.
    pub left_over: Option<[LeftOverAnswer; 1]>,
}

/// An address of a link.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct LinkAddressAnswer {
    /// The address.
    pub address: String,
    /// The length of the prefix, in bits.
    pub prefix: u8,
    /// The address of the other side; `null` where it has none.
    pub peer: Option<String>,
    /// Its scope: `global`, `site`, `link`, `host`, `nowhere`, or a number.
    pub scope: String,
}

/// A network namespace, as keys beside others.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct PlaceForm {
    /// The inode number of the network namespace; `null` where that was not found.
    pub nsid: Option<u64>,
    /// The name that `ip netns` has for it; `null` where it has none.
    pub netns_name: Option<String>,
    /// The most senior process in it; `null` where none was seen.
    pub process: Option<BriefProcess>,
    /// What it belongs to.
    #[serde(flatten)]
    pub whose: WhoseForm,
}

/// The other end of a link.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct LinkEndAnswer {
    /// `peer`, or `lower`: the link that this one is on top of.
    pub relation: &'static str,
    /// Which link it is; `null` where not known.
    pub id: Option<LinkKey>,
    /// Its index in its network namespace; `null` where not known.
    pub index: Option<u32>,
    /// Its name; `null` where not known.
    pub name: Option<String>,
    /// Its network namespace.
    #[serde(flatten)]
    pub place: PlaceForm,
}

/// A task that has a TUN/TAP device open.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct LinkUserAnswer {
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

fn key(id: LinkId) -> LinkKey {
    (id.ns.ino, id.index)
}

impl PlaceForm {
    fn of(context: Context<'_>, id: Option<NamespaceId>) -> Self {
        let snapshot = context.snapshot;
        let process = id.and_then(|id| network::process_at(snapshot, id));
        Self {
            nsid: id.map(|id| id.ino),
            netns_name: id.and_then(|id| names::netns_name(snapshot, id, context.mount_ns)).map(|name| lossy(name)),
            process: process.map(|pid| BriefProcess { pid: pid.0, name: comm(snapshot, pid) }),
            whose: id.map(|id| WhoseForm::namespace(snapshot, id)).unwrap_or_default(),
        }
    }
}

fn comm(snapshot: &Snapshot, pid: lxkns_model::Pid) -> Option<String> {
    snapshot.processes.get(&pid).map(|process| lossy(process.comm()))
}

impl Links<'_> {
    /// The graph of these links. An edge is in it that has one end among them.
    pub fn answer(&self, shown: &[&HostLink], leftovers: &Leftovers) -> GraphAnswer {
        let is_shown = |id: LinkId| shown.binary_search_by_key(&id, |link| link.id).is_ok();
        let edges = self.all.edges().into_iter().filter(|&(from, _, to)| is_shown(from) || is_shown(to));
        GraphAnswer {
            links: shown.iter().map(|link| self.link_answer(link, leftovers)).collect(),
            edges: edges
                .map(|(from, relation, to)| EdgeAnswer { from: key(from), to: key(to), relation: relation.name() })
                .collect(),
        }
    }

    /// What is said of a link.
    pub fn link_answer(&self, link: &HostLink, leftovers: &Leftovers) -> GraphLink {
        let it = &link.link;
        let end = link.end.as_ref().map(|end| {
            let ns = match end.place {
                Where::Here => Some(link.id.ns),
                Where::There(id) => Some(id),
                Where::NotFound(_) | Where::NotKnown => None,
            };
            LinkEndAnswer {
                relation: end.relation.name(),
                id: end.id(link.id.ns).map(key),
                index: end.index,
                name: end.name.as_deref().map(lossy),
                place: PlaceForm::of(self.context, ns),
            }
        });
        let user = |user: &TunUser| LinkUserAnswer {
            pid: user.pid.0,
            tid: user.tid.0,
            fd: user.fd,
            name: comm(self.context.snapshot, user.pid),
            whose: WhoseForm::process(self.context.snapshot, user.pid),
        };
        GraphLink {
            id: key(link.id),
            target: lossy(&self.target(link.id)),
            name: lossy(&it.name),
            kind: it.kind.as_deref().map(lossy),
            up: network::is_up(it),
            state: network::state(it),
            mtu: it.mtu,
            mac: (!it.mac.is_empty()).then(|| network::mac(&it.mac)),
            addresses: it.addresses.as_ref().map(|addresses| {
                let form = |address: &Address| LinkAddressAnswer {
                    address: address.local.to_string(),
                    prefix: address.prefix,
                    peer: address.peer.map(|peer| peer.to_string()),
                    scope: network::scope(address.scope),
                };
                addresses.iter().map(form).collect()
            }),
            master: it.master.map(|index| (link.id.ns.ino, index)),
            place: PlaceForm::of(self.context, Some(link.id.ns)),
            other_end: end,
            users: self.all.users_of(link).iter().map(user).collect(),
            left_over: leftovers.of(link.id).map(|left| [left.answer()]),
        }
    }
}
