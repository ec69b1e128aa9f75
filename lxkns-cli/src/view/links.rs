//! The columns of `links` as they are named on the command line, and how they stand in a table.

use lxkns_answers::links::{Column, Links};
use lxkns_core::model::links::{HostLink, LinkId};

use super::branches::{self, DEEPEST};
use super::escape::For;
use super::table::Heading;

/// How a column stands in a table.
pub(crate) fn heading(column: Column) -> Heading {
    let right = matches!(column, Column::Index | Column::Mtu | Column::Ns | Column::OtherNs);
    Heading { name: column.name(), right, gives_way: false }
}

super::columns::by_name!(Column, 9);

/// The rows of a table: a link each.
pub(crate) fn rows(links: &Links<'_>, shown: &[&HostLink], columns: &[Column], goes_to: For) -> Vec<Vec<String>> {
    shown.iter().map(|link| row(links, link, columns, goes_to)).collect()
}

fn row(links: &Links<'_>, link: &HostLink, columns: &[Column], goes_to: For) -> Vec<String> {
    columns.iter().map(|&column| links.cell(link, column).printable(goes_to)).collect()
}

/// The rows of a tree, whose first column is the name.
pub(crate) fn tree(links: &Links<'_>, shown: &[&HostLink], columns: &[Column]) -> Vec<Vec<String>> {
    let tree = links.tree(shown);
    let mut rows = Vec::new();
    let children = |id: LinkId| tree.children(id).to_vec();
    branches::walk(&tree.roots, DEEPEST, children, |lead, _, id| {
        if let Some(link) = links.all.get(id) {
            let mut cells = row(links, link, columns, For::Eyes);
            if let Some(first) = cells.first_mut() {
                first.insert_str(0, &lead);
            }
            rows.push(cells);
        }
    });
    rows
}
