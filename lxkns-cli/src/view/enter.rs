//! The plan of `lxkns enter`, in text.

use std::io::{self, Write};

use lxkns_core::model::{NamespaceId, NamespaceType};
use lxkns_enter::{Fact, Plan, Row, Subject};
use unicode_width::UnicodeWidthStr as _;

use super::escape::printable;
use super::screen::Screen;
use super::table::{Heading, write_aligned};

const HEADINGS: [Heading; 3] = [heading("WHAT"), heading("TARGET"), heading("COMMAND")];

const fn heading(name: &'static str) -> Heading {
    Heading { name, right: false, gives_way: false }
}

/// Writes the whole plan for people. Cells are not shortened: a part of a value would be wrong. Where the terminal is too
/// narrow for the table, each row is a paragraph.
pub(crate) fn write(plan: &Plan, out: &mut impl Write, show_headings: bool, screen: Screen) -> io::Result<()> {
    let rows: Vec<Vec<String>> = plan
        .rows()
        .iter()
        .map(|row| {
            let target = row.target.as_ref().map_or_else(|| "-".to_owned(), in_words);
            vec![row.subject.name().to_owned(), target, in_words(&row.command)]
        })
        .collect();
    let widest = |column: usize| rows.iter().map(|row| row[column].width()).max().unwrap_or(0);
    let widths = [widest(0), widest(1), widest(2)];
    if screen.width.is_none_or(|width| widths.iter().sum::<usize>() + 2 <= width) {
        return write_aligned(out, &HEADINGS, &rows, show_headings, Screen { width: None, ..screen });
    }
    for row in &rows {
        let [what, target, command] = &row[..] else { continue };
        let lead = format!("{what:widest$}  ", widest = widths[0]);
        screen.wrapped(out, &lead, || match target == command {
            true => format!("{command} (both)"),
            false => format!("{command}; target: {target}"),
        })?;
    }
    Ok(())
}

/// Writes how the command would differ from the target, one difference a line. `own` are the caller's namespaces: the command
/// shares those that it does not enter.
pub(crate) fn write_differences(
    plan: &Plan,
    own: &[(NamespaceType, NamespaceId)],
    out: &mut impl Write,
    screen: Screen,
) -> io::Result<()> {
    let lines: Vec<(&str, String)> =
        plan.rows().iter().filter_map(|row| Some((row.subject.name(), difference(row, own)?))).collect();
    let widest = lines.iter().map(|(what, _)| what.len()).max().unwrap_or(0);
    for (what, difference) in &lines {
        screen.wrapped(out, &format!("{what:widest$}  "), || difference.clone())?;
    }
    if lines.is_empty() {
        writeln!(out, "no difference between the target and the command (--all shows what both have)")?;
    }
    Ok(())
}

/// A difference between the command and the target; `None` if there is none.
fn difference(row: &Row, own: &[(NamespaceType, NamespaceId)]) -> Option<String> {
    let command = in_words(&row.command);
    // Namespaces alone have nothing that a command could have.
    let Some(target) = row.target.as_ref().map(in_words) else { return Some(command) };
    match row.subject {
        Subject::Namespaces => {
            let entered: Vec<&str> = command.split(' ').collect();
            let is_own = |name: &str| own.iter().any(|(ns_type, id)| format!("{ns_type}:{}", id.ino) == name);
            let others: Vec<&str> = target.split(' ').filter(|name| !entered.contains(name) && !is_own(name)).collect();
            (!others.is_empty()).then(|| format!("the caller's; target: {}", others.join(" ")))
        }
        _ if command == target => None,
        _ => Some(format!("{command}; target: {target}")),
    }
}

fn in_words(fact: &Fact) -> String {
    match fact {
        Fact::Text(text) => printable(text),
        Fact::Flag(true) => "yes".to_owned(),
        Fact::Flag(false) => "no".to_owned(),
        Fact::Capabilities(sets) if sets.bounding == sets.effective => sets.effective.in_words(),
        Fact::Capabilities(sets) => format!("{}; bounding: {}", sets.effective.in_words(), sets.bounding.in_words()),
        _ => String::new(),
    }
}
