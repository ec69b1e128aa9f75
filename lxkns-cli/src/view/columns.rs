//! The columns of `ls`: their names on the command line, and their layout.

use lxkns_answers::cell::Cell;
use lxkns_answers::list::Column;

use super::escape::For;
use super::table::{self, Heading};
use crate::args::TableArgs;
use crate::exit::Error;

/// The layout of a column.
pub(crate) fn heading(column: Column) -> Heading {
    let right = matches!(
        column,
        Column::Ns | Column::Nprocs | Column::Pid | Column::Ppid | Column::Uid | Column::Netnsid | Column::Pns
    ) || matches!(column, Column::Ons | Column::UniqueId | Column::Ntasks);
    Heading { name: column.name(), right, gives_way: column == Column::Command }
}

/// A cell as it is shown. A hint leads to a holder, so it is not shortened as a command is.
pub(crate) struct Shown {
    text: String,
    is_hint: bool,
}

impl Shown {
    /// This cell.
    pub(crate) fn of(cell: &Cell, goes_to: For) -> Self {
        Self { text: cell.printable(goes_to), is_hint: matches!(cell, Cell::Hint(_)) }
    }
}

impl table::Cell for Shown {
    fn text(&self) -> &str {
        &self.text
    }

    fn gives_way(&self) -> bool {
        !self.is_hint
    }
}

/// Reads the lists of `-o`. The first that does not begin with `+` replaces the default, all others add columns. A column that
/// is there already keeps its place.
pub(crate) fn parse(lists: &[String], default: Vec<Column>) -> Result<Vec<Column>, String> {
    parse_lists(lists, default, from_name)
}

/// The columns that were asked for, of a table whose JSON has no columns.
pub(crate) fn of_table<C: PartialEq>(
    args: &TableArgs,
    all: impl Iterator<Item = C>,
    default: Vec<C>,
    from_name: impl Fn(&str) -> Result<C, String>,
) -> Result<Vec<C>, Error> {
    if args.json && (args.output_all || !args.output.is_empty()) {
        return Err(Error::Usage("-o selects columns of the table; --json always writes everything".to_owned()));
    }
    let default = if args.output_all { all.collect() } else { default };
    parse_lists(&args.output, default, from_name).map_err(Error::Usage)
}

/// [`parse`] for any kind of column.
fn parse_lists<C: PartialEq>(
    lists: &[String],
    default: Vec<C>,
    from_name: impl Fn(&str) -> Result<C, String>,
) -> Result<Vec<C>, String> {
    let mut columns = default;
    let mut replaced = false;
    for list in lists {
        let names = match list.strip_prefix('+') {
            Some(names) => names,
            None => {
                if !replaced {
                    columns.clear();
                    replaced = true;
                }
                list
            }
        };
        for name in names.split(',') {
            let column = from_name(name.trim())?;
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
    }
    Ok(columns)
}

/// How the columns of a table are called on the command line, and the help on them with names of this width.
macro_rules! by_name {
    ($column:ty, $width:literal) => {
        /// The column with this name; for clap.
        pub(crate) fn from_name(name: &str) -> Result<$column, String> {
            <$column>::from_name(name).ok_or_else(|| $crate::view::columns::unknown(name, names()))
        }

        /// The names of all columns.
        pub(crate) fn names() -> impl Iterator<Item = &'static str> {
            <$column>::all().map(<$column>::name)
        }

        /// The columns with their meanings, for the help.
        pub(crate) fn help() -> String {
            $crate::view::columns::help_on(<$column>::all().map(|column| (column.name(), column.meaning())), $width)
        }
    };
}

pub(crate) use by_name;

by_name!(Column, 9);

/// Columns with their meanings.
pub(crate) fn help_on(columns: impl Iterator<Item = (&'static str, &'static str)>, width: usize) -> String {
    let lines: Vec<_> = columns.map(|(name, meaning)| format!("  {name:<width$} {meaning}")).collect();
    format!("Columns:\n{}", lines.join("\n"))
}

/// The message for an unknown column.
pub(crate) fn unknown(name: &str, valid: impl Iterator<Item = &'static str>) -> String {
    let valid: Vec<_> = valid.collect();
    format!("unknown column {name:?}: valid columns are {}", valid.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_columns() {
        let parse = |lists: &[&str]| {
            let lists: Vec<_> = lists.iter().map(|&list| list.to_owned()).collect();
            parse(&lists, vec![Column::Ns, Column::Type])
        };
        assert_eq!(parse(&[]), Ok(vec![Column::Ns, Column::Type]));
        assert_eq!(parse(&["pid,User"]), Ok(vec![Column::Pid, Column::User]));
        assert_eq!(parse(&["+pid,ns"]), Ok(vec![Column::Ns, Column::Type, Column::Pid]));
        assert_eq!(parse(&["PID", "+NS", "TYPE"]), Ok(vec![Column::Pid, Column::Ns, Column::Type]));
        let error = parse(&["NS,foo\n"]).unwrap_err();
        assert!(error.starts_with("unknown column \"foo\": valid columns are NS, TYPE, PATH, "), "{error}");
        assert!(!error.contains('\n'));
        assert!(parse(&[""]).is_err());
    }
}
