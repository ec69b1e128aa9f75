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
    /// Whether its cells stand to the right, as numbers do.
    pub(crate) right: bool,
    /// Whether its cells are shortened on a narrow terminal. Cells of other columns identify an object and are never cut.
    pub(crate) gives_way: bool,
}

/// A cell, safe to print.
pub(crate) trait Cell {
    /// Its text.
    fn text(&self) -> &str;

    /// Whether it is shortened in a column that gives way: nothing in it identifies an object.
    fn gives_way(&self) -> bool {
        true
    }
}

impl Cell for String {
    fn text(&self) -> &str {
        self
    }
}

/// Writes rows in columns wide enough for each, one blank between them. On a terminal that is too narrow, cells are shortened
/// in the columns that give way. Columns for which there is no room then stand below each row, each with its name. The cells
/// must be safe to print.
pub(crate) fn write_aligned(
    out: &mut impl Write,
    headings: &[Heading],
    rows: &[Vec<impl Cell>],
    show_headings: bool,
    screen: Screen,
) -> io::Result<()> {
    let mut widths: Vec<usize> =
        headings.iter().map(|heading| if show_headings { heading.name.width() } else { 0 }).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.text().width());
        }
    }
    if let Some(terminal) = screen.width {
        fit(&mut widths, headings, terminal);
    }
    let (above, below) = headings.split_at(widths.len());
    let layout = Layout { above, below, widths: &widths, terminal: screen.width };
    if show_headings {
        let names: Vec<_> = above.iter().map(|heading| heading.name.to_owned()).collect();
        let mut line = Vec::new();
        layout.write(&mut line, &names, None)?;
        screen.heading(out, String::from_utf8_lossy(&line).trim_end_matches('\n'))?;
        out.write_all(b"\n")?;
    }
    let ns_type = headings.iter().position(|heading| heading.name == "TYPE").filter(|_| screen.color);
    for row in rows {
        let ns_type = ns_type.and_then(|index| NamespaceType::from_name(row.get(index)?.text().as_bytes()));
        layout.write(out, row, ns_type)?;
    }
    Ok(())
}

/// The widths down to which columns are narrowed first: those whose cells are shortened, and those whose cells overflow.
const SHORTENED: usize = 12;
const OVERFLOWING: usize = 16;

/// Narrows columns until they fit into the terminal, but none below its heading. If this is not enough, leaves out the last
/// ones.
fn fit(widths: &mut Vec<usize>, headings: &[Heading], terminal: usize) {
    let blanks = widths.len().saturating_sub(1);
    if widths.iter().sum::<usize>() + blanks <= terminal {
        return;
    }
    let overflows = |heading: &Heading| !heading.gives_way && !heading.right;
    let shortens = |heading: &Heading| heading.gives_way && !heading.right;
    let least = |heading: &Heading| match heading {
        heading if heading.right => usize::MAX,
        heading if heading.gives_way => heading.name.width(),
        heading => OVERFLOWING.max(heading.name.width()),
    };
    let ends = widths.iter().zip(headings).scan(0, |end, (&width, heading)| {
        *end += width.min(least(heading)) + 1;
        Some(*end - 1)
    });
    let fitting = ends.take_while(|&end| end <= terminal).count().max(1);
    widths.truncate(fitting);
    let blanks = widths.len().saturating_sub(1);
    let mut excess = (widths.iter().sum::<usize>() + blanks).saturating_sub(terminal);
    let mut narrow = |is_meant: &dyn Fn(&Heading) -> bool, least: &dyn Fn(&Heading) -> usize| {
        for (width, heading) in widths.iter_mut().zip(headings).rev().filter(|(_, heading)| is_meant(heading)) {
            let cut = excess.min(width.saturating_sub(least(heading)));
            *width -= cut;
            excess -= cut;
        }
    };
    // One long name must not leave the others without room.
    narrow(&overflows, &|heading| (terminal / 2).max(least(heading)));
    narrow(&shortens, &|heading| SHORTENED.max(heading.name.width()));
    narrow(&overflows, &least);
    narrow(&shortens, &least);
}

/// Where the cells of a row stand.
struct Layout<'a> {
    /// The columns that fit on the line, with their widths.
    above: &'a [Heading],
    widths: &'a [usize],
    /// The columns that do not.
    below: &'a [Heading],
    terminal: Option<usize>,
}

impl Layout<'_> {
    /// Writes a row, with cells that name a namespace in the colour of its type, if it has one. A cell that the one before it
    /// would overlap begins a new line.
    fn write(&self, out: &mut impl Write, cells: &[impl Cell], ns_type: Option<NamespaceType>) -> io::Result<()> {
        const INDENT: usize = 4;
        let (mut used, mut start) = (0, 0);
        for ((heading, cell), &width) in self.above.iter().zip(cells).zip(self.widths) {
            let cell = match cell.text() {
                text if heading.gives_way && cell.gives_way() => middle(text, width),
                text => text.into(),
            };
            let cell_width = cell.width();
            let mut at = start + if heading.right { width.saturating_sub(cell_width) } else { 0 };
            start += width + 1;
            if cell.is_empty() {
                continue;
            }
            // One that is wider than its column moves to the left as far as it must.
            if let Some(terminal) = self.terminal.filter(|&terminal| at > 0 && at + cell_width > terminal) {
                at = at.min(terminal.saturating_sub(cell_width).max(INDENT));
            }
            if used > 0 && at <= used {
                out.write_all(b"\n")?;
                used = 0;
            }
            write!(out, "{:blanks$}", "", blanks = at - used)?;
            match ns_type.filter(|_| ["NS", "TYPE"].contains(&heading.name)) {
                Some(ns_type) => out.write_all(paint::colored(&cell, ns_type).as_bytes())?,
                None => out.write_all(cell.as_bytes())?,
            }
            used = at + cell_width;
        }
        out.write_all(b"\n")?;
        // These cells are not below their headings, so each has its own.
        let named =
            self.below.iter().zip(cells.iter().skip(self.above.len())).filter(|(_, cell)| !cell.text().is_empty());
        let mut used = 0;
        for (heading, cell) in named {
            let label = heading.name.width() + 1;
            let cell = match self.terminal.filter(|_| heading.gives_way && cell.gives_way()) {
                Some(terminal) => middle(cell.text(), terminal.saturating_sub(INDENT + label)),
                None => cell.text().into(),
            };
            let width = label + cell.width();
            let has_room = |at: usize| self.terminal.is_none_or(|terminal| at + width <= terminal);
            let blanks = match used {
                0 => INDENT,
                used if has_room(used + 2) => 2,
                _ => {
                    out.write_all(b"\n")?;
                    used = 0;
                    INDENT
                }
            };
            write!(out, "{:blanks$}{} {cell}", "", heading.name)?;
            used += blanks + width;
        }
        if used > 0 { out.write_all(b"\n") } else { Ok(()) }
    }
}

/// Writes rows as fields: one blank between them, `-` for an empty one, so that each line has as many fields as there
/// are headings. The cells must be escaped for fields.
pub(crate) fn write_raw(
    out: &mut impl Write,
    headings: &[Heading],
    rows: &[Vec<impl Cell>],
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
            out.write_all(match cell.text() {
                "" => b"-",
                // A dash stands for an empty cell.
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
             4026531836 pid    /sbin/init splash\n         7 cgroup 漢字漢字漢字\n         8 net\n"
        );
    }

    #[test]
    fn a_column_that_gives_way_is_shortened_to_the_terminal_by_display_width() {
        assert_eq!(
            aligned(&HEADINGS, &rows(), Some(27)),
            "        NS TYPE   COMMAND\n\
             4026531836 pid    /sbi…lash\n         7 cgroup 漢字…漢字\n         8 net\n"
        );
    }

    #[test]
    fn no_width_panics_and_nothing_but_what_gives_way_is_cut() {
        let reversed: Vec<_> = rows().into_iter().map(|row| row.into_iter().rev().collect::<Vec<_>>()).collect();
        let reversed_headings = [HEADINGS[2], HEADINGS[1], HEADINGS[0]];
        for width in 0..60 {
            for (headings, rows) in [(HEADINGS, rows()), (reversed_headings, reversed.clone())] {
                let text = aligned(&headings, &rows, Some(width));
                assert!(text.contains("4026531836") && text.contains("cgroup"), "{width}: {text}");
                let widest = text.lines().map(|line| line.width()).max().unwrap();
                assert!(widest <= width.max("    NS 4026531836".len()), "{width}: {text}");
            }
        }
        assert_eq!(aligned(&[], &[], Some(10)), "\n");
    }

    #[test]
    fn what_has_no_room_goes_on_in_a_second_line() {
        let headings = [
            Heading { name: "TARGET", right: false, gives_way: false },
            Heading { name: "SOURCE", right: false, gives_way: false },
            Heading { name: "ID", right: true, gives_way: false },
            Heading { name: "OPTIONS", right: false, gives_way: true },
        ];
        let rows = [
            ["/", "/dev/vda1", "7", "rw,relatime,errors=remount-ro"],
            ["/run/netns/a-rather-long-name", "nsfs[net:[4026532212]]", "8", "rw"],
        ];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(
            aligned(&headings, &rows, Some(48)),
            "TARGET           SOURCE           ID OPTIONS\n\
             /                /dev/vda1         7 rw,re…nt-ro\n\
             /run/netns/a-rather-long-name\n                 \
                              nsfs[net:[4026532212]]\n                                   8 rw\n"
        );
        // A column that has no room at all stands below with its name.
        let last = [headings[2], Heading { name: "HOLDERS", ..headings[1] }, Heading { name: "PATH", ..headings[1] }];
        let rows = [["8", "12 processes, 1 fd, 2 bind mounts", "/a"], ["9", "", ""]];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec());
        for (width, expected) in [
            (41, "ID HOLDERS                           PATH\n 8 12 processes, 1 fd, 2 bind mounts /a\n 9\n"),
            (
                40,
                "ID HOLDERS                          PATH\n 8 12 processes, 1 fd, 2 bind mounts\n                                    /a\n 9\n",
            ),
            (18, "ID\n 8\n    HOLDERS 12 processes, 1 fd, 2 bind mounts\n    PATH /a\n 9\n"),
        ] {
            let text = aligned(&last, &rows, Some(width));
            assert_eq!(text, expected, "{width}");
        }
    }

    #[test]
    fn headings_are_bold_where_there_is_colour() {
        let mut out = Vec::new();
        write_aligned(&mut out, &HEADINGS[..1], &rows()[..0], true, Screen { width: None, color: true }).unwrap();
        assert_eq!(out, b"\x1b[1mNS\x1b[0m\n");
    }

    #[test]
    fn numbers_and_types_of_namespaces_are_in_the_colour_of_the_type() {
        let mut out = Vec::new();
        write_aligned(&mut out, &HEADINGS, &rows()[1..], false, Screen { width: None, color: true }).unwrap();
        let expected = "\x1b[38;5;163m7\x1b[0m \x1b[38;5;163mcgroup\x1b[0m 漢字漢字漢字\n\
                        \x1b[38;5;32m8\x1b[0m \x1b[38;5;32mnet\x1b[0m\n";
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
