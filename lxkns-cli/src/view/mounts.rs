//! The mounts of a mount namespace as rows of a table, and the columns of `mounts`.

use lxkns_answers::mounts::{Column, Mounts};
use lxkns_core::model::Mount;

use super::branches;
use super::table::Heading;

/// The layout of a column.
pub(crate) fn heading(column: Column) -> Heading {
    let right = matches!(column, Column::Id | Column::Parent);
    let gives_way = matches!(column, Column::Options | Column::VfsOptions | Column::FsOptions);
    Heading { name: column.name(), right, gives_way }
}

super::columns::by_name!(Column, 11);

/// The form of the list of mounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Tree,
    List,
}

/// The mounts in the order of the tree, each with the lines of the tree before it.
pub(crate) fn rows<'a>(mounts: &Mounts<'a>, shape: Shape) -> Vec<(String, &'a Mount)> {
    /// A container can stack mounts by the thousand; deeper ones are not indented further.
    const DEEPEST: usize = 24;
    let (tree, all) = (mounts.tree(), mounts.mounts());
    let mut rows = Vec::with_capacity(all.len());
    let children = |index: usize| tree.children(index).to_vec();
    branches::walk(tree.roots(), DEEPEST, children, |branch, _, index| {
        let branch = if shape == Shape::Tree { branch } else { String::new() };
        rows.push((branch, &all[index]));
    });
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use lxkns_answers::testing::{HOME, snapshot};
    use lxkns_answers::text::escape::For;
    use lxkns_core::model::DeviceNumber;

    fn targets(mounts: Vec<Mount>, shape: Shape) -> Vec<String> {
        let mut snapshot = snapshot();
        snapshot.mounts.insert(HOME, mounts);
        let mounts = Mounts::of(&snapshot, HOME).unwrap();
        let target = |(branch, mount): &(String, &Mount)| {
            format!("{branch}{}", mounts.printable(mount, Column::Target, For::Eyes))
        };
        rows(&mounts, shape).iter().map(target).collect()
    }

    fn mount(id: u64, parent: u64, path: Option<&str>, hidden: bool) -> Mount {
        let mut mount = Mount::new(id, parent, DeviceNumber { major: 0, minor: 7 }, "tmpfs", path);
        mount.hidden = hidden;
        mount
    }

    #[test]
    fn the_tree_has_a_line_for_each_and_marks_what_is_hidden() {
        let mounts = vec![
            mount(30, 1, Some("/"), false),
            mount(31, 30, Some("/a"), true),
            mount(32, 31, Some("/a"), false),
            mount(33, 32, Some("/a/\x1b[31m"), false),
            mount(34, 30, Some("/b"), false),
            mount(35, 34, None, true),
        ];
        assert_eq!(
            targets(mounts.clone(), Shape::Tree),
            ["/", "├─(hidden) /a", "│ └─/a", "│   └─/a/\\x1b[31m", "└─/b", "  └─(hidden) (no path)"]
        );
        assert_eq!(targets(mounts, Shape::List)[2..4], ["/a", "/a/\\x1b[31m"]);
    }

    #[test]
    fn a_tall_stack_stays_on_the_screen() {
        let lines = targets((1..3000).map(|id| mount(id, id - 1, Some("/"), false)).collect(), Shape::Tree);
        assert_eq!(lines.len(), 2999);
        assert!(lines.iter().all(|line| line.chars().count() < 60));
    }

    #[test]
    fn columns_have_their_names() {
        assert_eq!(from_name("maj:min"), Ok(Column::MajMin));
        assert!(from_name("NS").unwrap_err().contains("valid columns are TARGET, "));
        assert!(help().contains("MAJ:MIN "));
    }
}
