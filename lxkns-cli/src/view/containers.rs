//! The columns of `containers`: their names on the command line, and their layout.

use lxkns_answers::containers::{Column, Matrix, Node};

use super::branches::{self, DEEPEST};
use super::escape::For;
use super::table::Heading;

/// The layout of a column.
pub(crate) fn heading(column: Column) -> Heading {
    Heading { name: column.name(), right: column == Column::Process, gives_way: column == Column::Lsm }
}

super::columns::by_name!(Column, 10);

/// The rows of a table, one for each container.
pub(crate) fn rows(matrix: &Matrix<'_>, shown: &[usize], columns: &[Column], goes_to: For) -> Vec<Vec<String>> {
    let row = |&index: &usize| columns.iter().map(|&column| matrix.cell(index, column).printable(goes_to)).collect();
    shown.iter().map(row).collect()
}

/// The rows of a tree. Those of engines and groups have only a name.
pub(crate) fn tree(matrix: &Matrix<'_>, shown: &[usize], columns: &[Column]) -> Vec<Vec<String>> {
    let tree = matrix.tree(shown);
    let mut rows = Vec::new();
    branches::walk(
        tree.roots(),
        DEEPEST,
        |node| tree.children(node).to_vec(),
        |lead, _, node| {
            let first = format!("{lead}{}", matrix.name(node, For::Eyes));
            let cell = |column: &Column| match node {
                _ if *column == Column::Container => first.clone(),
                Node::Container(index) => matrix.cell(index, *column).printable(For::Eyes),
                _ => String::new(),
            };
            rows.push(columns.iter().map(cell).collect());
        },
    );
    rows
}
