//! The links of all network namespaces and how they relate: the answer of `lxkns links`, and of `lxkns show link:NAME`.

mod answer;
mod left;
mod shown;
#[cfg(test)]
mod tests;
mod tree;

use bstr::BString;
use lxkns_model::inside::{Link, OtherEnd, Where};
use lxkns_model::links::{HostLink, HostLinkEnd, HostLinks, LinkId, LinkRelation, UnreadLinks};
use lxkns_model::{CapabilitySet, NamespaceId};
use rustc_hash::FxHashSet;

pub use self::answer::{EdgeAnswer, GraphAnswer, GraphLink, LinkAddressAnswer, LinkEndAnswer, LinkKey, LinkUserAnswer};
pub use self::left::{LeftOver, LeftOverAnswer, Leftovers};
pub use self::tree::Tree;
use crate::cell::Cell;
use crate::context::Context;
use crate::gaps::and;
use crate::names::{self, Detail};
use crate::show::network;
use crate::text::escape::{printable, shell_word};
use crate::whose;

/// A column: a property of each link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Column {
    /// Its name.
    Name,
    /// What it is.
    Kind,
    /// Its state.
    State,
    /// What it belongs to.
    Master,
    /// Its network namespace, with names.
    Namespace,
    /// The other end, with names.
    OtherEnd,
    /// Its index.
    Index,
    /// The largest packet.
    Mtu,
    /// The hardware address.
    Mac,
    /// The inode number of its network namespace.
    Ns,
    /// The name that `ip netns` has for that.
    Netns,
    /// The container that that belongs to.
    Container,
    /// The name of the other end.
    Other,
    /// The inode number of the network namespace of the other end.
    OtherNs,
    /// The processes that have it open.
    Pids,
    /// Its addresses.
    Addresses,
}

/// All columns: name, what it means.
const COLUMNS: [(Column, &str, &str); 16] = [
    (Column::Name, "NAME", "name"),
    (Column::Kind, "KIND", "veth, bridge, ...; physical for hardware"),
    (Column::State, "STATE", "state, as ip calls it"),
    (Column::Master, "MASTER", "the bridge, bond or VRF that it belongs to"),
    (Column::Namespace, "NAMESPACE", "its network namespace, with name and container"),
    (Column::OtherEnd, "OTHER-END", "the peer, the link below it (on), or who has it open"),
    (Column::Index, "INDEX", "index"),
    (Column::Mtu, "MTU", "largest packet in bytes"),
    (Column::Mac, "MAC", "hardware address"),
    (Column::Ns, "NS", "inode number of its network namespace"),
    (Column::Netns, "NETNS", "name of its network namespace (ip netns)"),
    (Column::Container, "CONTAINER", "container of its network namespace"),
    (Column::Other, "OTHER", "name of the other end"),
    (Column::OtherNs, "OTHERNS", "inode number of the network namespace of the other end"),
    (Column::Pids, "PIDS", "processes that have it open (TUN/TAP)"),
    (Column::Addresses, "ADDRESSES", "addresses, with the length of their prefix"),
];

crate::columns::described_by!(Column, COLUMNS);

impl Column {
    /// The columns that are shown by default.
    pub fn default_columns() -> Vec<Self> {
        Self::all().take_while(|column| *column != Self::Index).collect()
    }
}

/// The links of a host, with whose they are.
#[derive(Clone, Copy, Debug)]
pub struct Links<'a> {
    /// The host.
    pub context: Context<'a>,
    /// Its links.
    pub all: &'a HostLinks,
}

impl<'a> Links<'a> {
    /// The links that have an end in one of these network namespaces; all where none are given.
    pub fn select(&self, namespaces: Option<&[NamespaceId]>) -> Vec<&'a HostLink> {
        let Some(namespaces) = namespaces else { return self.all.all().iter().collect() };
        let wanted: FxHashSet<_> = namespaces.iter().copied().collect();
        let is_there = |end: &HostLinkEnd| matches!(end.place, Where::There(id) if wanted.contains(&id));
        let is_meant = |link: &&HostLink| wanted.contains(&link.id.ns) || link.end.as_ref().is_some_and(is_there);
        self.all.all().iter().filter(is_meant).collect()
    }

    /// The cell of a link in this column.
    pub fn cell(&self, link: &HostLink, column: Column) -> Cell {
        let Context { snapshot, mount_ns, .. } = self.context;
        let text = |text: &[u8]| Cell::text(BString::from(text));
        let number = |number: Option<u32>| Cell::number(number.map(u64::from));
        match column {
            Column::Name => text(&link.link.name),
            Column::Addresses => match network::addresses(&link.link) {
                None => Cell::Hint("?".to_owned()),
                Some(addresses) if addresses.is_empty() => Cell::Nothing,
                Some(addresses) => Cell::text(addresses.join(",")),
            },
            Column::Kind => text(kind(&link.link)),
            Column::State => Cell::text(network::state(&link.link)),
            Column::Master => match (self.all.master(link), link.link.master) {
                (Some(master), _) => text(&master.link.name),
                (None, Some(index)) => Cell::text(format!("if{index}")),
                (None, None) => Cell::Nothing,
            },
            Column::Namespace => Cell::text(names::namespace_and_name(snapshot, link.id.ns, mount_ns)),
            Column::OtherEnd => self.other_end(link).map_or(Cell::Nothing, Cell::Words),
            Column::Index => number(Some(link.id.index)),
            Column::Mtu => number(link.link.mtu),
            Column::Mac if link.link.mac.is_empty() => Cell::Nothing,
            Column::Mac => Cell::text(network::mac(&link.link.mac)),
            Column::Ns => Cell::Number(link.id.ns.ino),
            Column::Netns => names::netns_name(snapshot, link.id.ns, mount_ns).map_or(Cell::Nothing, Cell::text),
            Column::Container => match whose::Whose::namespace(snapshot, link.id.ns) {
                Some(whose::Whose::Container(container)) => Cell::text(whose::target(container)),
                _ => Cell::Nothing,
            },
            Column::Other => link.end.as_ref().and_then(|end| end.name.as_deref()).map_or(Cell::Nothing, text),
            Column::OtherNs => Cell::number(self.end_ns(link).map(|id| id.ino)),
            Column::Pids => {
                let pids = self.all.users_of(link).iter().map(|user| user.pid.to_string().into());
                Cell::list(pids.collect())
            }
        }
    }

    /// In which network namespace the other end is, where that is known.
    fn end_ns(&self, link: &HostLink) -> Option<NamespaceId> {
        match link.end.as_ref()?.place {
            Where::Here => Some(link.id.ns),
            Where::There(id) => Some(id),
            Where::NotFound(_) | Where::NotKnown => None,
        }
    }

    /// The other end of a link or the processes that have it open, safe to print; `None` where there is neither.
    pub fn other_end(&self, link: &HostLink) -> Option<String> {
        if let Some(end) = &link.end {
            return Some(self.end(end));
        }
        let users = self.all.users_of(link);
        let users = users.iter().map(|user| {
            format!("process {} fd {}", names::process(self.context.snapshot, user.pid, Detail::Brief), user.fd)
        });
        let users: Vec<_> = users.collect();
        (!users.is_empty()).then(|| users.join(", "))
    }

    /// The other end in words.
    fn end(&self, end: &HostLinkEnd) -> String {
        let is_peer = end.relation == LinkRelation::Peer;
        if let Where::NotFound(_) = end.place {
            let known = OtherEnd { is_peer, index: end.index, name: end.name.as_deref(), place: Where::Here };
            return format!("{} in a network namespace that was not found", self.describe(&known));
        }
        self.describe(&OtherEnd { is_peer, index: end.index, name: end.name.as_deref(), place: end.place })
    }

    fn describe(&self, end: &OtherEnd<'_>) -> String {
        network::describe_end(self.context, end)
    }

    /// A link as a TARGET that means no other: `link:4026532281/eth0`. Unsafe to print.
    pub fn target(&self, id: LinkId) -> BString {
        let mut target = BString::from(format!("link:{}/", id.ns.ino));
        match self.all.get(id) {
            Some(link) => target.extend_from_slice(&link.link.name),
            None => target.extend_from_slice(format!("if{}", id.index).as_bytes()),
        }
        target
    }

    /// What is said of a name that several links have, each by what means no other.
    pub(crate) fn several(&self, text: &str, found: &[&HostLink]) -> String {
        const MOST: usize = 20;
        let one = |link: &&HostLink| {
            let whose = whose::of_words(self.context.snapshot, link.id.ns);
            let netns = names::netns_name(self.context.snapshot, link.id.ns, self.context.mount_ns);
            let netns = netns.map(|name| format!(" (netns {})", printable(name))).unwrap_or_default();
            format!("{}{netns}{whose}", shell_word(&self.target(link.id)))
        };
        let mut all: Vec<_> = found.iter().take(MOST).map(one).collect();
        let more = found.len().saturating_sub(MOST);
        all.extend((more > 0).then(|| format!("and {more} more (see `lxkns links`)")));
        format!("{text}: several links have this name; name one of them: {}", all.join(", "))
    }

    /// What could not be read of links, a line for each reason.
    pub fn gaps(&self) -> Vec<String> {
        const FEW: usize = 3;
        let snapshot = self.context.snapshot;
        let mut reasons: std::collections::BTreeMap<&UnreadLinks, Vec<NamespaceId>> = Default::default();
        for (id, why) in &self.all.unread {
            reasons.entry(why).or_default().push(*id);
        }
        let line = |(why, ids): (&UnreadLinks, Vec<NamespaceId>)| {
            let which: Vec<_> = ids.iter().map(|id| names::namespace(snapshot, *id)).collect();
            let which = match which.len() {
                0..=FEW => and(&which),
                count => format!("{count} network namespaces"),
            };
            let why = match why {
                UnreadLinks::Denied(owner) => {
                    let needs = and(&(CapabilitySet::SYS_ADMIN | CapabilitySet::NET_ADMIN).names());
                    let owner = owner.map(|id| format!(" in {}", names::namespace(snapshot, id)));
                    format!("not readable: needs {needs}{}", owner.unwrap_or_default())
                }
                UnreadLinks::NotOpened => "not readable: the namespace cannot be opened".to_owned(),
                UnreadLinks::Failed(why) => format!("not read: {}", printable(why)),
            };
            format!("links of {which} {why}")
        };
        reasons.into_iter().map(line).collect()
    }
}

/// What a link is: the kernel's name for it; hardware has none.
pub fn kind(link: &Link) -> &[u8] {
    const IFF_LOOPBACK: u32 = 8;
    match &link.kind {
        Some(kind) => kind,
        None if link.flags & IFF_LOOPBACK != 0 => b"loopback",
        None => b"physical",
    }
}
