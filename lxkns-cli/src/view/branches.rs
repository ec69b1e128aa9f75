//! The lines that a tree is drawn with.

use super::charset::Charset;

/// Deeper nodes are not indented further: a container can nest namespaces by the thousand.
pub(crate) const DEEPEST: usize = 100;

/// Calls `visit` with each node in the order of the tree, with the lines before it and its depth.
pub(crate) fn walk<T: Copy>(
    roots: &[T],
    deepest: usize,
    children: impl Fn(T) -> Vec<T>,
    visit: impl FnMut(String, usize, T),
) {
    walk_with(Charset::current(), roots, deepest, children, visit);
}

fn walk_with<T: Copy>(
    charset: Charset,
    roots: &[T],
    deepest: usize,
    children: impl Fn(T) -> Vec<T>,
    mut visit: impl FnMut(String, usize, T),
) {
    let lines = charset.branches();
    // Each node with its depth, the lines beside its descendants, and whether it is the last child.
    let mut todo: Vec<(T, usize, String, bool)> =
        roots.iter().rev().map(|&root| (root, 0, String::new(), true)).collect();
    while let Some((item, depth, beside, is_last)) = todo.pop() {
        let branch = match depth {
            0 => "",
            _ if is_last => lines.last,
            _ => lines.one,
        };
        let mut below = beside.clone();
        if (1..deepest).contains(&depth) {
            below += if is_last { lines.beside_nothing } else { lines.beside };
        }
        visit(beside + branch, depth, item);
        let children = children(item);
        let last = children.len().saturating_sub(1);
        let children = children.into_iter().enumerate().rev();
        todo.extend(children.map(|(index, child)| (child, depth + 1, below.clone(), index == last)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_lead_from_each_to_what_is_below() {
        let children = |node: u32| match node {
            1 => vec![2, 3, 4],
            2 => vec![5],
            4 => vec![6],
            _ => vec![],
        };
        for (charset, expected) in [
            (Charset::Utf8, ["1 0", "├─2 1", "│ └─5 2", "├─3 1", "└─4 1", "  └─6 2", "7 0"]),
            (Charset::Ascii, ["1 0", "|-2 1", "| `-5 2", "|-3 1", "`-4 1", "  `-6 2", "7 0"]),
        ] {
            let mut lines = Vec::new();
            walk_with(charset, &[1, 7], DEEPEST, children, |lead, depth, node| {
                lines.push(format!("{lead}{node} {depth}"));
            });
            assert_eq!(lines, expected);
        }
    }

    #[test]
    fn what_is_very_deep_stands_no_further_to_the_right() {
        const MANY: u32 = 100_000;
        let mut longest = 0;
        let mut count = 0;
        let children = |node: u32| if node < MANY { vec![node + 1] } else { vec![] };
        walk(&[1], DEEPEST, children, |lead, _, _| {
            longest = longest.max(lead.chars().count());
            count += 1;
        });
        assert_eq!((longest, count), (2 * DEEPEST, MANY));
    }
}
