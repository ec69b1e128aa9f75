//! Links below what they belong to, are on top of, or are connected to.

use lxkns_model::CompactSort as _;
use lxkns_model::inside::Where;
use lxkns_model::links::{HostLink, LinkId, LinkRelation};
use rustc_hash::{FxHashMap, FxHashSet};

use super::Links;

/// Links as a forest: a bridge, its ports, and their peers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// What stands below nothing.
    pub roots: Vec<LinkId>,
    below: FxHashMap<LinkId, Vec<LinkId>>,
}

impl Tree {
    /// What stands below a link.
    pub fn children(&self, id: LinkId) -> &[LinkId] {
        self.below.get(&id).map_or(&[], Vec::as_slice)
    }
}

impl Links<'_> {
    /// These links as a forest. Each stands in one place: circles are cut.
    pub fn tree(&self, shown: &[&HostLink]) -> Tree {
        let is_shown: FxHashSet<LinkId> = shown.iter().map(|link| link.id).collect();
        let parents: FxHashMap<LinkId, LinkId> = shown
            .iter()
            .filter_map(|link| Some((link.id, self.parent(link).filter(|id| is_shown.contains(id))?)))
            .collect();
        let mut tree = Tree::default();
        // What each leads up to is a root, or a circle, of which the first that is met becomes one.
        let mut done: FxHashSet<LinkId> = FxHashSet::default();
        for link in shown {
            let (mut at, mut way) = (link.id, FxHashSet::default());
            while done.insert(at) {
                way.insert(at);
                match parents.get(&at) {
                    Some(parent) if !way.contains(parent) => {
                        tree.below.entry(*parent).or_default().push(at);
                        at = *parent;
                    }
                    _ => tree.roots.push(at),
                }
            }
        }
        tree.roots.compact_sort();
        tree.below.values_mut().for_each(|below| below.compact_sort());
        tree
    }

    /// What a link stands below: what it belongs to, the link below it, or of two peers the one that has more to it.
    fn parent(&self, link: &HostLink) -> Option<LinkId> {
        if let Some(master) = self.all.master(link) {
            return Some(master.id);
        }
        let end = link.end.as_ref()?;
        let other = self.all.other(link)?;
        if end.relation != LinkRelation::Peer {
            return Some(other.id);
        }
        // A claim that the other end does not confirm counts for nothing.
        let is_mutual = self.all.other(other).is_some_and(|back| back.id == link.id);
        let rank = |link: &HostLink| {
            let is_initial = self.context.snapshot.namespaces.get(&link.id.ns).is_some_and(|ns| ns.initial);
            (link.link.master.is_none(), !is_initial, link.id)
        };
        let is_below = matches!(end.place, Where::Here | Where::There(_)) && is_mutual && rank(other) < rank(link);
        is_below.then_some(other.id)
    }
}
