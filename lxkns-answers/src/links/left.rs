//! Links that are left over: what they lead to is in a network namespace without any process.

use lxkns_model::CompactSort as _;
use lxkns_model::inside::{Link, NetworkInside, OtherEnd, Where};
use lxkns_model::links::{HostLink, LinkId, LinkRelation};
use lxkns_model::{NamespaceId, relations};
use rustc_hash::FxHashMap;
use serde::Serialize;

use super::answer::LinkKey;
use super::{Links, kind};
use crate::context::Context;
use crate::lacks::Lacks;
use crate::names::{self, Way, lossy};
use crate::orphans::has_tasks;
use crate::show::network;
use crate::steps::{ReleaseAction, ReleaseStep};
use crate::text::escape::{printable, shell_word};

/// A link with one end in a network namespace without any process, and the other end elsewhere.
#[derive(Clone, Debug)]
pub struct LeftOver {
    /// Which it is.
    pub id: LinkId,
    /// Its name. Unsafe to print.
    pub name: Vec<u8>,
    /// What it is. Unsafe to print.
    pub kind: Vec<u8>,
    /// The network namespace without any process.
    pub orphan: NamespaceId,
    /// Whether it is known that no process is in that: all could be seen that may be.
    pub is_certain: bool,
    /// What it is to the other end, in words: `peer of eth0 in net:[4026532281]`.
    pub end: String,
    /// What removes it.
    pub step: ReleaseStep,
}

/// What is said of a link that is left over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct LeftOverAnswer {
    /// The link: the inode number of its network namespace, and its index there.
    pub id: LinkKey,
    /// Its name.
    pub name: String,
    /// What it is: `veth`.
    pub kind: String,
    /// The network namespace without any process.
    pub orphan_nsid: u64,
    /// Whether it is known that no process is in that.
    pub members_seen: bool,
    /// What removes it: one step.
    pub release: Vec<ReleaseStep>,
}

/// The links that are left over.
#[derive(Clone, Debug, Default)]
pub struct Leftovers {
    /// By network namespace and index.
    all: Vec<LeftOver>,
    /// Their places in that, by the namespace without any process.
    by_orphan: FxHashMap<NamespaceId, Vec<usize>>,
}

/// What can tell and remove what is left over.
#[derive(Clone, Copy, Debug)]
struct Judge<'a> {
    context: Context<'a>,
    lacks: &'a Lacks<'a>,
    /// The network namespace of the caller.
    home: Option<NamespaceId>,
}

impl LeftOver {
    /// Its JSON form.
    pub fn answer(&self) -> LeftOverAnswer {
        LeftOverAnswer {
            id: (self.id.ns.ino, self.id.index),
            name: lossy(&self.name),
            kind: lossy(&self.kind),
            orphan_nsid: self.orphan.ino,
            members_seen: self.is_certain,
            release: vec![self.step.clone()],
        }
    }

    /// It in a line, safe to print: `veth1a2b (veth) in net:[4026531833], peer of eth0 in net:[4026532281]`.
    pub fn words(&self, context: Context<'_>) -> String {
        let place = names::namespace_and_name(context.snapshot, self.id.ns, context.mount_ns);
        format!("{} ({}) in {place}, {}", printable(&self.name), printable(&self.kind), self.end)
    }
}

impl Leftovers {
    fn new(mut all: Vec<LeftOver>) -> Self {
        all.compact_sort_by_key(|left| left.id);
        all.dedup_by_key(|left| left.id);
        let mut by_orphan: FxHashMap<NamespaceId, Vec<usize>> = FxHashMap::default();
        for (at, left) in all.iter().enumerate() {
            by_orphan.entry(left.orphan).or_default().push(at);
        }
        Self { all, by_orphan }
    }

    /// Those that one network namespace has an end of.
    pub(crate) fn of_network(context: Context<'_>, ns: NamespaceId, facts: &NetworkInside) -> Self {
        let lacks = Lacks::of(context.snapshot);
        let judge = Judge { context, lacks: &lacks, home: facts.home };
        let mut all = Vec::new();
        for link in &facts.network.links {
            let Some(end) = facts.other_end(link) else { continue };
            let Where::There(there) = end.place else { continue };
            let relation = if end.is_peer { LinkRelation::Peer } else { LinkRelation::Lower };
            let id = LinkId { ns, index: link.index };
            all.extend(judge.link(id, link, relation, there, || network::describe_end(context, &end)));
            // The peer of one in here can be what is left over.
            if let (true, Some(index), Some(name)) = (end.is_peer, end.index, end.name) {
                let back = OtherEnd {
                    is_peer: true,
                    index: Some(link.index),
                    name: Some(&link.name),
                    place: Where::There(ns),
                };
                let peer = Link { index, name: name.to_vec(), kind: link.kind.clone(), ..Link::default() };
                let id = LinkId { ns: there, index };
                all.extend(judge.link(id, &peer, relation, ns, || network::describe_end(context, &back)));
            }
        }
        Self::new(all)
    }

    /// All of them, by network namespace and index.
    pub fn all(&self) -> &[LeftOver] {
        &self.all
    }

    /// What is said of this link; `None` where it is not left over.
    pub fn of(&self, id: LinkId) -> Option<&LeftOver> {
        self.all.binary_search_by_key(&id, |left| left.id).ok().map(|at| &self.all[at])
    }

    /// Those that lead to or are in this network namespace without any process.
    pub fn of_orphan(&self, id: NamespaceId) -> impl Iterator<Item = &LeftOver> {
        self.by_orphan.get(&id).into_iter().flatten().map(|&at| &self.all[at])
    }
}

impl Links<'_> {
    /// The links that are left over. A namespace whose other end was not found is none of them, as it is not known who is in
    /// it; [`not_found`](Self::not_found) has these.
    pub fn leftovers(&self, lacks: &Lacks<'_>) -> Leftovers {
        let judge = Judge { context: self.context, lacks, home: self.all.home };
        let left = self.all.all().iter().filter_map(|link| {
            let end = link.end.as_ref()?;
            let Where::There(there) = end.place else { return None };
            judge.link(link.id, &link.link, end.relation, there, || self.other_end(link).unwrap_or_default())
        });
        Leftovers::new(left.collect())
    }

    /// The links whose other end is in a network namespace that was not found, a line for all of them; `None` where there are
    /// none.
    pub fn not_found(&self) -> Option<String> {
        const FEW: usize = 3;
        let is_lost = |link: &&HostLink| link.end.as_ref().is_some_and(|end| matches!(end.place, Where::NotFound(_)));
        let lost: Vec<_> = self.all.all().iter().filter(is_lost).collect();
        let named: Vec<_> = lost.iter().take(FEW).map(|link| printable(self.target(link.id))).collect();
        match lost.len() {
            0 => None,
            count => {
                let what =
                    if count == 1 { "other end of 1 link".to_owned() } else { format!("other ends of {count} links") };
                let more = if count > FEW { ", ..." } else { "" };
                Some(format!("{what} not read: in a network namespace that was not found ({}{more})", named.join(", ")))
            }
        }
    }
}

impl Judge<'_> {
    /// What is said of a link whose other end is in another network namespace; `None` where it is not left over.
    fn link(
        &self,
        id: LinkId,
        link: &Link,
        relation: LinkRelation,
        there: NamespaceId,
        end: impl FnOnce() -> String,
    ) -> Option<LeftOver> {
        let (is_orphan, has_orphan) = (self.is_orphan(id.ns), self.is_orphan(there));
        let orphan = match (is_orphan, has_orphan) {
            (false, true) => there,
            // Of two peers it is the one where processes are.
            (true, false) if relation != LinkRelation::Peer => id.ns,
            _ => return None,
        };
        let snapshot = self.context.snapshot;
        let end = if relation == LinkRelation::Peer { format!("peer of {}", end()) } else { end() };
        Some(LeftOver {
            id,
            name: link.name.clone(),
            kind: kind(link).to_vec(),
            orphan,
            is_certain: snapshot.namespaces.get(&orphan).is_some_and(|ns| relations::members_seen(snapshot, ns)),
            end,
            step: self.step(id.ns, &link.name, orphan),
        })
    }

    fn is_orphan(&self, id: NamespaceId) -> bool {
        self.context.snapshot.namespaces.get(&id).is_some_and(|ns| !ns.initial && !has_tasks(ns))
    }

    /// What removes a link: deleting it, or that the namespace without any process ends.
    fn step(&self, ns: NamespaceId, name: &[u8], orphan: NamespaceId) -> ReleaseStep {
        let Context { snapshot, mount_ns, .. } = self.context;
        let ends = ReleaseAction::NamespaceEnds { target: names::target(snapshot, orphan), nsid: orphan.ino };
        let way = || snapshot.namespaces.get(&ns).and_then(|found| names::ways(snapshot, found, mount_ns).next());
        // It is this host's program that runs, whatever network namespace it runs in.
        let before = match (Some(ns) == self.home, names::netns_name(snapshot, ns, mount_ns)) {
            (true, _) => Some("ip link delete".to_owned()),
            (false, Some(name)) => Some(format!("ip -n {} link delete", shell_word(name))),
            (false, None) => match way() {
                Some(Way::Proc(path) | Way::Mount(path)) => {
                    Some(format!("nsenter --net={} ip link delete", shell_word(&path)))
                }
                _ => None,
            },
        };
        let Some(before) = before else { return ends.into() };
        // `ip` takes some names for words of its own.
        let is_plain = name.first().is_some_and(u8::is_ascii_alphabetic)
            && (name.iter().any(u8::is_ascii_digit) || name.starts_with(b"veth"));
        let dev = if is_plain { "" } else { "dev " };
        let command = format!("{before} {dev}{}", shell_word(name));
        let lacks = self.lacks.deleting_link(ns, self.home);
        ReleaseStep { action: ReleaseAction::DeleteLink { command, or: Box::new(ends) }, lacks, by_engine: None }
    }
}
