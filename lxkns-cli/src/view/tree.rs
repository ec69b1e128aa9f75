//! Trees of namespaces and processes, as text.

use std::io::{self, Write};

use lxkns_answers::tree::Tree;
use lxkns_core::relations::TreeNode;
use unicode_width::UnicodeWidthStr as _;

use super::branches::{self, DEEPEST};
use super::screen::Screen;
use super::shorten::fit;

/// Writes a tree for people. On a terminal what would run over its edge is shortened or left out, but for what names
/// namespaces and processes.
pub(crate) fn write(tree: &Tree<'_>, out: &mut impl Write, screen: Screen) -> io::Result<()> {
    for (lead, node) in rows(tree) {
        let name = fit(screen.room(lead.width()), || tree.name(node));
        out.write_all(lead.as_bytes())?;
        match node {
            TreeNode::Process(_) => out.write_all(name.as_bytes())?,
            _ => screen.heading(out, &name)?,
        }
        let used = lead.width() + name.width();
        screen.rest(out, used, || tree.about(node))?;
    }
    Ok(())
}

/// Everything in a tree in order, each with the lines that stand before it.
fn rows(tree: &Tree<'_>) -> Vec<(String, TreeNode)> {
    let mut rows = Vec::new();
    let children = |node| tree.forest().children(node).to_vec();
    branches::walk(tree.forest().roots(), DEEPEST, children, |lead, _, node| rows.push((lead, node)));
    rows
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
