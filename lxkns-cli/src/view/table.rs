//! Aligned columns and raw fields.

use std::io::{self, Write};

use lxkns_core::model::NamespaceType;
use unicode_width::UnicodeWidthStr as _;

use super::paint;
use super::screen::Screen;
use super::shorten::middle;

/// A column of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heading {
    /// Its name.
    pub(crate) name: &'static str,
    /// Whether its cells stand to the right, as numbers do. Such a column is never cut: half a number is a lie.
    pub(crate) right: bool,
    /// Whether it gives way where the terminal is too narrow, also when it is not the last.
    pub(crate) gives_way: bool,
}

/// Writes rows in columns wide enough for each, one blank between them. On a terminal on which they have no room, cells
/// are shortened, first in the columns that give way, the last of them first, then in the last. The cells must be safe to
/// print.
pub(crate) fn write_aligned(
    out: &mut impl Write,
    headings: &[Heading],
    rows: &[Vec<String>],
    show_headings: bool,
    screen: Screen,
) -> io::Result<()> {
    let mut widths: Vec<usize> =
        headings.iter().map(|heading| if show_headings { heading.name.width() } else { 0 }).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.width());
        }
    }
    if let Some(terminal) = screen.width {
        fit(&mut widths, headings, terminal);
    }
    if show_headings {
        let names: Vec<_> = headings.iter().map(|heading| heading.name.to_owned()).collect();
        let mut line = Vec::new();
        write_line(&mut line, headings, &names, &widths, None)?;
        screen.heading(out, &String::from_utf8_lossy(&line))?;
        out.write_all(b"\n")?;
    }
    let ns_type = headings.iter().position(|heading| heading.name == "TYPE").filter(|_| screen.color);
    for row in rows {
        let ns_type = ns_type.and_then(|index| NamespaceType::from_name(row.get(index)?.as_bytes()));
        write_line(out, headings, row, &widths, ns_type)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// Narrows columns until a line fits into the terminal, but none below its heading.
fn fit(widths: &mut [usize], headings: &[Heading], terminal: usize) {
    let blanks = widths.len().saturating_sub(1);
    let mut excess = (widths.iter().sum::<usize>() + blanks).saturating_sub(terminal);
    let last = headings.len().saturating_sub(1);
    let giving_way = (0..headings.len()).rev().filter(|&index| headings[index].gives_way);
    for index in giving_way.chain(Some(last)) {
        let Some(heading) = headings.get(index).filter(|heading| !heading.right) else { continue };
        let cut = excess.min(widths[index].saturating_sub(heading.name.width()));
        widths[index] -= cut;
        excess -= cut;
    }
}

/// Writes a line; the cells that name a namespace in the color of its type, where there is one.
fn write_line(
    out: &mut impl Write,
    headings: &[Heading],
    cells: &[String],
    widths: &[usize],
    ns_type: Option<NamespaceType>,
) -> io::Result<()> {
    let last = headings.len().saturating_sub(1);
    for (index, ((heading, cell), &width)) in headings.iter().zip(cells).zip(widths).enumerate() {
        if index > 0 {
            out.write_all(b" ")?;
        }
        let cell = middle(cell, width);
        let padding = width.saturating_sub(cell.width());
        let cell = match ns_type.filter(|_| !cell.is_empty()) {
            Some(ns_type) if ["NS", "TYPE"].contains(&heading.name) => paint::colored(&cell, ns_type).into(),
            _ => cell,
        };
        match (heading.right, index == last) {
            (true, _) => write!(out, "{:padding$}{cell}", "")?,
            (false, true) => out.write_all(cell.as_bytes())?,
            (false, false) => write!(out, "{cell}{:padding$}", "")?,
        }
    }
    Ok(())
}

/// Writes rows as fields: one blank between them, `-` for an empty one, so that each line has as many fields as there
/// are headings. The cells must be escaped for fields.
pub(crate) fn write_raw(
    out: &mut impl Write,
    headings: &[Heading],
    rows: &[Vec<String>],
    show_headings: bool,
) -> io::Result<()> {
    if show_headings {
        let names: Vec<_> = headings.iter().map(|heading| heading.name).collect();
        writeln!(out, "{}", names.join(" "))?;
    }
    for row in rows {
        for (index, cell) in row.iter().enumerate() {
            if index > 0 {
                out.write_all(b" ")?;
            }
            out.write_all(match cell.as_str() {
                "" => b"-",
                // What really is a dash must not be taken for nothing.
                "-" => b"\\x2d",
                cell => cell.as_bytes(),
            })?;
        }
        out.write_all(b"\n")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADINGS: [Heading; 3] = [
        Heading { name: "NS", right: true, gives_way: false },
        Heading { name: "TYPE", right: false, gives_way: false },
        Heading { name: "COMMAND", right: false, gives_way: true },
    ];

    fn rows() -> Vec<Vec<String>> {
        [["4026531836", "pid", "/sbin/init splash"], ["7", "cgroup", "漢字漢字漢字"], ["8", "net", ""]]
            .map(|row| row.map(str::to_owned).to_vec())
            .to_vec()
    }

    fn aligned(headings: &[Heading], rows: &[Vec<String>], width: Option<usize>) -> String {
        let mut out = Vec::new();
        write_aligned(&mut out, headings, rows, true, Screen { width, color: false }).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        assert_eq!(
            aligned(&HEADINGS, &rows(), None),
            "        NS TYPE   COMMAND\n\
             4026531836 pid    /sbin/init splash\n         7 cgroup 漢字漢字漢字\n         8 net    \n"
        );
    }

    #[test]
    fn the_last_column_is_shortened_to_the_terminal_by_display_width() {
        assert_eq!(
            aligned(&HEADINGS, &rows(), Some(27)),
            "        NS TYPE   COMMAND\n\
             4026531836 pid    /sbi…lash\n         7 cgroup 漢字…漢字\n         8 net    \n"
        );
    }

    #[test]
    fn no_width_panics_and_no_number_is_cut() {
        for width in 0..60 {
            let text = aligned(&HEADINGS, &rows(), Some(width));
            assert!(text.contains("4026531836 pid"), "{width}");
            let reversed: Vec<_> = rows().into_iter().map(|row| row.into_iter().rev().collect::<Vec<_>>()).collect();
            let headings = [HEADINGS[2], HEADINGS[1], HEADINGS[0]];
            let text = aligned(&headings, &reversed, Some(width));
            assert!(text.contains("4026531836"), "{width}");
            let widest = text.lines().map(|line| line.width()).max().unwrap();
            assert!(widest <= width.max("COMMAND cgroup 4026531836".len()), "{width}: {text}");
        }
        assert_eq!(aligned(&[], &[], Some(10)), "\n");
    }

    #[test]
    fn headings_are_bold_where_there_is_colour() {
        let mut out = Vec::new();
        write_aligned(&mut out, &HEADINGS[..1], &[], true, Screen { width: None, color: true }).unwrap();
        assert_eq!(out, b"\x1b[1mNS\x1b[0m\n");
    }

    #[test]
    fn numbers_and_types_of_namespaces_are_in_the_colour_of_the_type() {
        let mut out = Vec::new();
        write_aligned(&mut out, &HEADINGS, &rows()[1..], false, Screen { width: None, color: true }).unwrap();
        let expected = "\x1b[38;5;163m7\x1b[0m \x1b[38;5;163mcgroup\x1b[0m 漢字漢字漢字\n\
                        \x1b[38;5;32m8\x1b[0m \x1b[38;5;32mnet\x1b[0m    \n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn raw_lines_have_a_field_for_each_column() {
        let mut rows = rows();
        rows[1][2] = "-".to_owned();
        rows[0][2] = "x".to_owned();
        let mut out = Vec::new();
        write_raw(&mut out, &HEADINGS, &rows, true).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "NS TYPE COMMAND\n4026531836 pid x\n7 cgroup \\x2d\n8 net -\n");
    }
}
