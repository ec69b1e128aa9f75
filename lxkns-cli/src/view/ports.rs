//! The columns of `ports` as they are named on the command line, and how they stand in a table.

use lxkns_answers::ports::{Column, Ports};

use super::escape::For;
use super::table::Heading;

/// How a column stands in a table. None gives way: each is what was asked for.
pub(crate) fn heading(column: Column) -> Heading {
    let right = matches!(column, Column::Port | Column::Inode);
    Heading { name: column.name(), right, gives_way: false }
}

super::columns::by_name!(Column, 9);

/// The rows of a table: a socket each.
pub(crate) fn rows(ports: &Ports<'_>, columns: &[Column], goes_to: For) -> Vec<Vec<String>> {
    let row = |row| columns.iter().map(|&column| ports.cell(row, column, goes_to).printable(goes_to)).collect();
    (0..ports.len()).map(row).collect()
}

#[cfg(test)]
#[path = "ports_tests.rs"]
mod tests;
