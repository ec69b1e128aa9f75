//! Which mount is on which, and to which of them a path leads.

use rustc_hash::FxHashMap;

use super::mount_paths::Paths;
use crate::CompactSort as _;
use crate::Mount;

/// The mounts of a mount namespace as a tree: what is mounted on what. Mounts are named by their places in the list that
/// it was made from, each of which is in the tree once, whatever the list says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MountTree {
    roots: Vec<usize>,
    /// How many of the roots are on no mount of the list; the others are on mounts that are on them.
    attached: usize,
    children: Vec<Vec<usize>>,
}

impl MountTree {
    /// The tree of these mounts. Those next to each other are sorted by path and then by ID.
    pub fn of(mounts: &[Mount]) -> Self {
        Self::with(mounts, &Paths::of(mounts))
    }

    fn with(mounts: &[Mount], paths: &Paths<'_>) -> Self {
        let mut by_id: FxHashMap<u64, usize> = FxHashMap::default();
        for (index, mount) in mounts.iter().enumerate() {
            // Of two with the same ID, which only a file can claim, one is as good as the other.
            by_id.entry(mount.id).or_insert(index);
        }
        let mut order: Vec<usize> = (0..mounts.len()).collect();
        order.compact_sort_by_key(|&index| (paths.of_mounts[index], mounts[index].id));

        let mut tree = Self { children: vec![Vec::new(); mounts.len()], ..Self::default() };
        for &index in &order {
            let mount = &mounts[index];
            match by_id.get(&mount.parent_id) {
                // Where a namespace begins with the kernel's first mount, that is on itself.
                Some(&parent) if parent != index => tree.children[parent].push(index),
                _ => tree.roots.push(index),
            }
        }
        tree.attached = tree.roots.len();
        // What is on no root goes up in a circle, and one of each such circle becomes a root.
        let mut is_seen = vec![false; mounts.len()];
        tree.see(tree.roots.clone(), &mut is_seen);
        let mut walks = vec![usize::MAX; mounts.len()];
        for &index in &order {
            let mut at = index;
            while !is_seen[index] {
                let Some(&parent) = by_id.get(&mounts[at].parent_id) else { break };
                if std::mem::replace(&mut walks[at], index) == index {
                    tree.children[parent].retain(|&child| child != at);
                    tree.roots.push(at);
                    tree.see(vec![at], &mut is_seen);
                }
                at = parent;
            }
        }
        tree
    }

    fn see(&self, mut todo: Vec<usize>, is_seen: &mut [bool]) {
        while let Some(index) = todo.pop() {
            if !std::mem::replace(&mut is_seen[index], true) {
                todo.extend(&self.children[index]);
            }
        }
    }

    /// The mounts that are on no mount of the list, or only on such as are on them.
    pub fn roots(&self) -> &[usize] {
        &self.roots
    }

    /// The mounts that are on this one.
    pub fn children(&self, index: usize) -> &[usize] {
        self.children.get(index).map_or(&[], Vec::as_slice)
    }

    /// Of each mount on how many others it is.
    pub(super) fn depths(&self) -> Vec<usize> {
        let mut depths = vec![0; self.children.len()];
        let mut todo = self.roots.clone();
        while let Some(index) = todo.pop() {
            for &child in &self.children[index] {
                depths[child] = depths[index] + 1;
                todo.push(child);
            }
        }
        depths
    }
}

/// Which of these mounts, all of one mount namespace, are hidden: that is, no path leads to them.
///
/// Paths begin at the root directory of the namespace's processes, which is in the mount with the ID `root`. That says
/// something only where `/` itself is overmounted: processes that had their root before do not see what was mounted over
/// it, and those that enter the namespace later see nothing else. `None`, or an ID that is not at `/` of the list, stands
/// for the latter. What a process that has changed its root directory cannot reach is not hidden by that.
///
/// A path leads into the mount at each of its components, and into the last that was mounted there. So a mount is hidden
/// if another is mounted on its root; if a neighbour, on the same mount, covers a directory above; and if the mount that
/// it is on cannot be reached either. Mounts without a path are hidden.
pub fn hidden_mounts(mounts: &[Mount], root: Option<u64>) -> Vec<bool> {
    let paths = Paths::of(mounts);
    let tree = MountTree::with(mounts, &paths);
    let mut reached = vec![false; mounts.len()];

    // Those whose parents are not in the list begin it. They are neighbours where they have the same parent.
    let mut begins: FxHashMap<u64, Vec<usize>> = FxHashMap::default();
    for &index in &tree.roots[..tree.attached] {
        begins.entry(mounts[index].parent_id).or_default().push(index);
    }
    let start = root.and_then(|root| {
        mounts.iter().position(|mount| mount.id == root).filter(|&index| mounts[index].path().is_some_and(|p| p == "/"))
    });
    if let Some(top) = start.and_then(|start| top_of(mounts, &tree, start)) {
        begins.remove(&mounts[top].parent_id);
    }
    let mut todo: Vec<usize> = start.into_iter().collect();
    for neighbours in begins.values() {
        reach(neighbours, None, &paths, &mut todo);
    }
    while let Some(index) = todo.pop() {
        if !std::mem::replace(&mut reached[index], true) {
            let children = tree.children(index);
            if Some(index) == start {
                // Nothing leads from a root directory to what is mounted over it.
                let beside: Vec<_> = children
                    .iter()
                    .copied()
                    .filter(|&child| paths.of_mounts[child] != paths.of_mounts[index])
                    .collect();
                reach(&beside, None, &paths, &mut todo);
            } else {
                reach(children, paths.of_mounts[index], &paths, &mut todo);
            }
        }
    }
    let is_covered = |index: usize| {
        Some(index) != start
            && tree.children(index).iter().any(|&child| paths.of_mounts[child] == paths.of_mounts[index])
    };
    (0..mounts.len()).map(|index| !reached[index] || is_covered(index)).collect()
}

/// The mount of the tree's beginning that this one is on, directly or not.
fn top_of(mounts: &[Mount], tree: &MountTree, start: usize) -> Option<usize> {
    let by_id: FxHashMap<u64, usize> = mounts.iter().enumerate().map(|(index, mount)| (mount.id, index)).collect();
    let mut at = start;
    for _ in 0..mounts.len() {
        match by_id.get(&mounts[at].parent_id) {
            Some(&parent) if parent != at => at = parent,
            _ => return tree.roots[..tree.attached].contains(&at).then_some(at),
        }
    }
    None
}

/// Adds those of some neighbours, sorted by path, to which a path leads that leads to the mount they are on, which is
/// mounted at `own`.
fn reach(neighbours: &[usize], own: Option<usize>, paths: &Paths<'_>, todo: &mut Vec<usize>) {
    // What is mounted on its root covers all else.
    let over = neighbours.iter().rev().find(|&&index| own.is_some() && paths.of_mounts[index] == own);
    if let Some(&over) = over {
        return todo.push(over);
    }
    let mut covered_until = 0;
    for (nth, &index) in neighbours.iter().enumerate() {
        let Some(path) = paths.of_mounts[index] else { continue };
        // Kernels before 4.11 could have several at the same place; the last counts.
        let is_last = neighbours.get(nth + 1).is_none_or(|&next| paths.of_mounts[next] != Some(path));
        if path >= covered_until && is_last {
            covered_until = paths.ends[path];
            todo.push(index);
        }
    }
}

#[cfg(test)]
#[path = "mounts_tests.rs"]
mod tests;
