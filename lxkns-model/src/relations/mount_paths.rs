//! The paths of mounts, in an order in which whatever is below a path comes right after it.

use std::cmp::Ordering;

use bstr::BStr;

use crate::CompactSort as _;
use crate::Mount;

/// Where in a mount namespace something is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountPath<'a> {
    /// The path.
    pub path: &'a BStr,
    /// The nearest path above at which something is mounted, by its place in the list.
    pub above: Option<usize>,
    /// What is mounted there, the lowest first: each was mounted over those before it.
    pub mounts: Vec<&'a Mount>,
}

/// The mounts of a mount namespace by their paths, `/` first and each after what is above it. Mounts without a path are
/// left out.
pub fn mount_paths(mounts: &[Mount]) -> Vec<MountPath<'_>> {
    let paths = Paths::of(mounts);
    let depths = super::MountTree::of(mounts).depths();
    let mut tree: Vec<_> = (0..paths.len())
        .map(|index| MountPath { path: paths.paths[index], above: paths.above[index], mounts: Vec::new() })
        .collect();
    let mut order: Vec<usize> = (0..mounts.len()).collect();
    order.compact_sort_by_key(|&index| (depths[index], mounts[index].id));
    for index in order {
        if let Some(path) = paths.of_mounts[index] {
            tree[path].mounts.push(&mounts[index]);
        }
    }
    tree
}

/// The visible mount that a path is in: the one with the longest path that is above it. The path is taken as text, without
/// `.`, `..` and symbolic links.
pub fn mount_at<'a>(mounts: &'a [Mount], path: &[u8]) -> Option<&'a Mount> {
    let above = |mount: &&Mount| !mount.hidden && mount.path().is_some_and(|point| is_at_or_below(path, point));
    mounts.iter().filter(above).max_by_key(|mount| mount.path().map(|point| point.len()))
}

/// Whether a path is another one, or below it.
pub fn is_at_or_below(path: &[u8], above: &[u8]) -> bool {
    let above = above.strip_suffix(b"/").unwrap_or(above);
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

/// The different paths of some mounts, sorted, with what is below what.
pub(super) struct Paths<'a> {
    pub(super) paths: Vec<&'a BStr>,
    /// Of each path the nearest above it.
    pub(super) above: Vec<Option<usize>>,
    /// Of each path where those end that are below it.
    pub(super) ends: Vec<usize>,
    /// Of each mount its path.
    pub(super) of_mounts: Vec<Option<usize>>,
}

impl<'a> Paths<'a> {
    /// Takes time in proportion to the length of all paths together, but for the sorting.
    pub(super) fn of(mounts: &'a [Mount]) -> Self {
        let mut sorted: Vec<(&BStr, usize)> =
            mounts.iter().enumerate().filter_map(|(index, mount)| Some((mount.path()?, index))).collect();
        sorted.sort_unstable_by(|(a, _), (b, _)| by_component(a, b));
        let (mut paths, mut of_mounts): (Vec<&BStr>, _) = (Vec::new(), vec![None; mounts.len()]);
        for (path, index) in sorted {
            if paths.last() != Some(&path) {
                paths.push(path);
            }
            of_mounts[index] = Some(paths.len() - 1);
        }
        let (mut above, mut ends) = (vec![None; paths.len()], vec![paths.len(); paths.len()]);
        // The paths above the one at hand, the nearest last.
        let mut open: Vec<usize> = Vec::new();
        for (index, path) in paths.iter().enumerate() {
            while let Some(&last) = open.last()
                && !is_below(path, paths[last])
            {
                ends[last] = index;
                open.pop();
            }
            above[index] = open.last().copied();
            open.push(index);
        }
        Self { paths, above, ends, of_mounts }
    }

    pub(super) fn len(&self) -> usize {
        self.paths.len()
    }
}

/// Whether one path is below another.
fn is_below(path: &[u8], top: &[u8]) -> bool {
    match path.strip_prefix(top) {
        Some(rest) => rest.starts_with(b"/") || top.ends_with(b"/") && !rest.is_empty(),
        None => false,
    }
}

/// Compares paths so that nothing comes between a path and those below it: a slash before all other bytes.
fn by_component(a: &[u8], b: &[u8]) -> Ordering {
    let rank = |byte: u8| if byte == b'/' { 0 } else { u16::from(byte) + 1 };
    let common = common_length(a, b);
    match (a.get(common), b.get(common)) {
        (Some(&a), Some(&b)) => rank(a).cmp(&rank(b)),
        _ => a.len().cmp(&b.len()),
    }
}

/// How much two texts have in common at their beginnings. Paths in a deep tree have much, so that it matters how fast.
fn common_length(a: &[u8], b: &[u8]) -> usize {
    const PIECE: usize = 64;
    let pieces = a.chunks_exact(PIECE).zip(b.chunks_exact(PIECE)).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[pieces * PIECE..], &b[pieces * PIECE..]);
    pieces * PIECE + a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use bstr::ByteSlice as _;
    use proptest::prelude::*;

    use super::*;
    use crate::DeviceNumber;

    fn mount(id: u64, parent_id: u64, path: Option<&str>) -> Mount {
        Mount::new(id, parent_id, DeviceNumber { major: 0, minor: 1 }, "tmpfs", path)
    }

    #[test]
    fn what_is_below_a_path_comes_right_after_it() {
        let paths = ["/a b", "/", "/a/b", "/a", "/a!/c", "/a/b/c", "/b", "/a"];
        let mounts: Vec<_> = paths.iter().zip(10..).map(|(path, id)| mount(id, 1, Some(path))).collect();
        let tree = mount_paths(&mounts);
        let listed: Vec<_> = tree.iter().map(|node| (node.path.to_string(), node.above)).collect();
        let expected = [("/", None), ("/a", Some(0)), ("/a/b", Some(1)), ("/a/b/c", Some(2)), ("/a b", Some(0))];
        assert_eq!(listed[..5], expected.map(|(path, above)| (path.to_owned(), above)));
        let rest = [("/a!/c", Some(0)), ("/b", Some(0))];
        assert_eq!(listed[5..], rest.map(|(path, above)| (path.to_owned(), above)));
        assert_eq!(tree[1].mounts.iter().map(|mount| mount.id).collect::<Vec<_>>(), [13, 17]);
    }

    #[test]
    fn a_stack_has_the_lowest_first_whatever_the_ids() {
        let mounts =
            [mount(5, 9, Some("/x")), mount(7, 5, Some("/x")), mount(9, 8, Some("/x")), mount(8, 1, Some("/"))];
        let tree = mount_paths(&mounts);
        assert_eq!(tree[1].mounts.iter().map(|mount| mount.id).collect::<Vec<_>>(), [9, 5, 7]);
    }

    #[test]
    fn mounts_without_a_path_are_left_out() {
        assert!(mount_paths(&[mount(1, 0, None)]).is_empty());
        assert!(mount_paths(&[]).is_empty());
    }

    proptest! {
        #[test]
        fn paths_and_those_above_them(paths in prop::collection::vec("(/[ab!]{1,2}){0,4}|/", 0..20)) {
            let mounts: Vec<_> = paths.iter().zip(1..).map(|(path, id)| mount(id, 0, Some(path))).collect();
            let tree = Paths::of(&mounts);
            for (index, path) in tree.paths.iter().enumerate() {
                let is_above = |other: &&BStr| {
                    let mut components = path.split_str("/").filter(|name| !name.is_empty());
                    let shorter = other.len() < path.len();
                    shorter && other.split_str("/").filter(|name| !name.is_empty()).all(|name| components.next() == Some(name))
                };
                let nearest = tree.paths.iter().filter(|other| is_above(other)).max_by_key(|other| other.len());
                prop_assert_eq!(tree.above[index].map(|above| tree.paths[above]), nearest.copied());
                let below = tree.paths.iter().enumerate().filter(|(other, _)| (index + 1..tree.ends[index]).contains(other));
                for (_, other) in below {
                    prop_assert!(is_below(other, path));
                }
            }
        }
    }
}
