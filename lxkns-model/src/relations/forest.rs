//! Trees of anything that knows its parent.

use std::collections::BTreeMap;
use std::hash::Hash;

use rustc_hash::{FxHashMap, FxHashSet};

/// Trees. Each node is in them once, whatever was said of it; those next to each other are sorted.
#[derive(Clone, Debug)]
pub struct Forest<K> {
    roots: Vec<K>,
    children: FxHashMap<K, Vec<K>>,
    parents: FxHashMap<K, K>,
}

impl<K: Copy + Ord + Hash> Forest<K> {
    /// The trees of these nodes, each with what it is below. What is below nothing, or below what is no node, is a root;
    /// of nodes that are below each other in a circle, which only a file can claim, the lowest is.
    pub fn new(nodes: impl IntoIterator<Item = (K, Option<K>)>) -> Self {
        let nodes: BTreeMap<K, Option<K>> = nodes.into_iter().collect();
        let known = |parent: &K| nodes.contains_key(parent);
        let mut parents: FxHashMap<K, K> =
            nodes.iter().filter_map(|(&node, parent)| Some((node, (*parent).filter(known)?))).collect();
        let mut walks: FxHashMap<K, K> = FxHashMap::default();
        for &start in nodes.keys() {
            let mut at = start;
            // Ends at the top, or where an earlier walk, or this one, has been.
            while walks.insert(at, start).is_none() {
                match parents.get(&at) {
                    Some(&parent) if walks.get(&parent) == Some(&start) => {
                        let cut = lowest_of_circle(&parents, parent);
                        parents.remove(&cut);
                        break;
                    }
                    Some(parent) if !walks.contains_key(parent) => at = *parent,
                    _ => break,
                }
            }
        }
        let mut forest = Self { roots: Vec::new(), children: FxHashMap::default(), parents };
        for &node in nodes.keys() {
            match forest.parents.get(&node) {
                Some(&parent) => forest.children.entry(parent).or_default().push(node),
                None => forest.roots.push(node),
            }
        }
        forest
    }

    /// What is below nothing, sorted.
    pub fn roots(&self) -> &[K] {
        &self.roots
    }

    /// What is right below this node, sorted.
    pub fn children(&self, node: K) -> &[K] {
        self.children.get(&node).map_or(&[], Vec::as_slice)
    }

    /// What this node is below.
    pub fn parent(&self, node: K) -> Option<K> {
        self.parents.get(&node).copied()
    }

    /// Whether this is a node.
    pub fn contains(&self, node: K) -> bool {
        self.parents.contains_key(&node) || self.roots.binary_search(&node).is_ok()
    }

    /// All nodes, in no particular order.
    pub fn nodes(&self) -> impl Iterator<Item = K> + '_ {
        self.roots.iter().chain(self.parents.keys()).copied()
    }

    /// These nodes only, with everything above and everything below them.
    pub fn branches(&self, of: impl IntoIterator<Item = K>) -> Self {
        let mut kept: FxHashSet<K> = FxHashSet::default();
        let mut below: Vec<K> = Vec::new();
        for node in of.into_iter().filter(|&node| self.contains(node)) {
            below.push(node);
            let mut above = self.parent(node);
            // What is above a node that is kept already is kept too.
            while let Some(node) = above.filter(|&node| kept.insert(node)) {
                above = self.parent(node);
            }
        }
        let mut expanded: FxHashSet<K> = FxHashSet::default();
        while let Some(node) = below.pop() {
            if expanded.insert(node) {
                kept.insert(node);
                below.extend(self.children(node));
            }
        }
        Self::new(kept.into_iter().map(|node| (node, self.parent(node))))
    }
}

/// The lowest of the nodes of a circle that this one is in.
fn lowest_of_circle<K: Copy + Ord + Hash>(parents: &FxHashMap<K, K>, start: K) -> K {
    let (mut lowest, mut at) = (start, start);
    while let Some(&parent) = parents.get(&at).filter(|&&parent| parent != start) {
        lowest = lowest.min(parent);
        at = parent;
    }
    lowest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forest(nodes: &[(u32, u32)]) -> Forest<u32> {
        Forest::new(nodes.iter().map(|&(node, parent)| (node, (parent > 0).then_some(parent))))
    }

    #[test]
    fn nodes_are_below_what_they_name_and_sorted() {
        let forest = forest(&[(5, 1), (1, 0), (3, 1), (4, 3), (2, 0), (9, 8)]);
        assert_eq!(forest.roots(), [1, 2, 9], "one without its parent is a root");
        assert_eq!((forest.children(1), forest.children(3)), (&[3, 5][..], &[4][..]));
        assert_eq!((forest.parent(4), forest.parent(9)), (Some(3), None));
        assert!(forest.contains(9) && forest.contains(4) && !forest.contains(8));
    }

    #[test]
    fn circles_are_cut_at_their_lowest() {
        let forest = forest(&[(7, 7), (4, 6), (6, 5), (5, 4), (1, 5), (2, 1)]);
        assert_eq!(forest.roots(), [4, 7]);
        assert_eq!((forest.children(4), forest.children(5), forest.children(6)), (&[5][..], &[1, 6][..], &[][..]));
        assert_eq!((forest.children(1), forest.children(7)), (&[2][..], &[][..]));
        let mut nodes: Vec<_> = forest.nodes().collect();
        nodes.sort_unstable();
        assert_eq!(nodes, [1, 2, 4, 5, 6, 7]);
    }

    #[test]
    fn very_deep_and_very_wide_ones_take_no_stack_and_no_time() {
        const MANY: u32 = 200_000;
        let deep = Forest::new((1..=MANY).map(|node| (node, node.checked_sub(1).filter(|&parent| parent > 0))));
        assert_eq!((deep.roots(), deep.children(MANY - 1)), (&[1][..], &[MANY][..]));
        let circle = Forest::new((1..=MANY).map(|node| (node, Some(node % MANY + 1))));
        assert_eq!((circle.roots(), circle.children(MANY)), (&[1][..], &[MANY - 1][..]));
        let wide = Forest::new((1..=MANY).map(|node| (node, (node > 1).then_some(1))));
        assert_eq!(wide.children(1).len(), MANY as usize - 1);
        assert_eq!(deep.branches(1..=MANY).nodes().count(), MANY as usize);
    }

    #[test]
    fn a_branch_has_what_is_above_and_below() {
        let forest = forest(&[(1, 0), (2, 1), (3, 1), (4, 2), (5, 2), (6, 4), (7, 0)]);
        let branch = forest.branches([4]);
        let mut nodes: Vec<_> = branch.nodes().collect();
        nodes.sort_unstable();
        assert_eq!(nodes, [1, 2, 4, 6]);
        assert_eq!((branch.roots(), branch.children(2)), (&[1][..], &[4][..]));
        let both = forest.branches([2, 4]);
        assert_eq!((both.children(2), both.children(1)), (&[4, 5][..], &[2][..]));
        assert_eq!(forest.branches([8]).roots(), [0; 0]);
    }
}
