//! All about one link.

use lxkns_model::inside::Where;
use lxkns_model::links::{HostLink, LinkId, LinkRelation, TunUser};
use lxkns_model::{NamespaceId, Pid, relations};

use super::{Leftovers, Links, kind};
use crate::names::{self, Detail};
use crate::sheet::{Fact, Sheet, list};
use crate::show::network;
use crate::text::escape::printable;
use crate::whose::{self, Whose};

impl Links<'_> {
    /// All about one link, for people, with lists of no more than `limit`.
    pub fn sheet(&self, link: &HostLink, leftovers: &Leftovers, limit: usize) -> Sheet {
        let (snapshot, it) = (self.context.snapshot, &link.link);
        let mut sheet = Sheet::new(format!("link {}", printable(&it.name)));
        let mut facts = vec![
            Fact::new("kind", printable(kind(it))),
            Fact::new("index", it.index.to_string()),
            Fact::new("state", network::state(it)),
        ];
        facts.extend(it.mtu.map(|mtu| Fact::new("MTU", mtu.to_string())));
        facts.extend((!it.mac.is_empty()).then(|| Fact::new("MAC", network::mac(&it.mac))));
        facts.push(Fact::long(
            "addresses",
            match network::addresses(it) {
                None => "unknown".to_owned(),
                Some(addresses) if addresses.is_empty() => "none".to_owned(),
                Some(mut addresses) => {
                    let more = addresses.len().saturating_sub(limit);
                    addresses.truncate(limit);
                    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
                    addresses.join(", ") + &more
                }
            },
        ));
        facts.extend(it.master.map(|index| {
            let name = self.all.master(link).map(|master| printable(&master.link.name));
            Fact::new("belongs to", name.unwrap_or_else(|| format!("if{index}")))
        }));
        let user = |user: &TunUser| {
            let process = names::process(snapshot, user.pid, Detail::Full);
            format!("process {process}: {}", names::fd_path(user.pid, user.tid, user.fd))
        };
        facts.extend(list("open", self.all.users_of(link), limit, user));
        let left = leftovers.of(link.id);
        if let Some(left) = left.filter(|left| left.is_certain) {
            facts.push(Fact::new("left over", format!("until {}", left.step)));
        } else if let Some(left) = left {
            facts.push(Fact::new("may be left over", format!("until {}", left.step)));
        }
        sheet.facts("", facts);
        sheet.facts("Network namespace", self.place(link.id.ns, limit));
        if let Some(end) = &link.end {
            let heading = if end.relation == LinkRelation::Peer { "Other end" } else { "On top of" };
            let name = match (&end.name, end.index) {
                (Some(name), _) => printable(name),
                (None, Some(index)) => format!("if{index}"),
                (None, None) => "unknown".to_owned(),
            };
            let place = match end.place {
                Where::Here => vec![Fact::new("namespace", "the same")],
                Where::There(id) => self.place(id, limit),
                Where::NotFound(_) => vec![Fact::new("namespace", "one that was not found")],
                Where::NotKnown => vec![Fact::new("namespace", "unknown")],
            };
            sheet.facts(heading, [vec![Fact::new("link", name)], place].concat());
        }
        // Those below are few but of a bridge, and a search through all is no more than reading them was.
        let is_below = |other: &&HostLink| {
            let is_port = other.id.ns == link.id.ns && other.link.master == Some(link.id.index);
            let is_on_top = |end: &lxkns_model::links::HostLinkEnd| {
                end.relation == LinkRelation::Lower && end.id(other.id.ns) == Some(link.id)
            };
            is_port || other.end.as_ref().is_some_and(is_on_top)
        };
        let below: Vec<LinkId> = self.all.all().iter().filter(is_below).map(|link| link.id).collect();
        let describe = |&id: &LinkId| {
            let Some(link) = self.all.get(id) else { return String::new() };
            let end = if link.link.has_peer() { self.other_end(link) } else { None };
            let end = end.map(|end| format!(", peer of {end}")).unwrap_or_default();
            let place = names::namespace_and_name(snapshot, id.ns, self.context.mount_ns);
            format!("{} ({}) in {place}{end}", printable(&link.link.name), printable(kind(&link.link)))
        };
        sheet.facts("Ports, and links on top of it", list("", &below, limit, describe));
        sheet
    }

    /// A network namespace, and whose it is.
    fn place(&self, id: NamespaceId, limit: usize) -> Vec<Fact> {
        let snapshot = self.context.snapshot;
        let mut facts = vec![Fact::new("namespace", names::namespace_and_netns(snapshot, id, self.context.mount_ns))];
        facts.extend(whose::facts(snapshot, Whose::namespace(snapshot, id)));
        let Some(namespace) = snapshot.namespaces.get(&id) else { return facts };
        let process = |&pid: &Pid| names::process(snapshot, pid, Detail::Brief);
        if namespace.leaders.is_empty() {
            let none = match names::unseen_members(snapshot, namespace) {
                _ if !namespace.loose_threads.is_empty() => "only tasks of processes elsewhere".to_owned(),
                None if relations::members_seen(snapshot, namespace) => "none".to_owned(),
                why => format!("none seen; {}", why.unwrap_or_default()),
            };
            facts.push(Fact::new("processes", none));
        }
        facts.extend(list("processes", &namespace.leaders, limit, process));
        facts
    }
}
