//! The answer of `lxkns caps` as text.

use std::io::{self, Write};

use lxkns_answers::caps::Caps;
use lxkns_answers::names;
use unicode_width::UnicodeWidthStr as _;

use super::branches::{self, DEEPEST};
use super::screen::Screen;
use super::shorten;

/// Writes it.
pub(crate) fn write(caps: &Caps<'_>, out: &mut impl Write, screen: Screen) -> io::Result<()> {
    let names: Vec<_> = caps.namespaces.iter().map(|&id| names::namespace(caps.snapshot, id)).collect();
    let (subject, names) = (format!("{} has in", caps.subject()), names.join(", "));
    out.write_all(subject.as_bytes())?;
    // Names of namespaces are never cut: those that do not fit go on the next line.
    let names = shorten::wrap(&format!(" {names}"), screen.width, subject.width(), 4);
    for (index, line) in names.split('\n').enumerate() {
        let text = line.trim_start_matches(' ');
        write!(out, "{}{:indent$}", if index > 0 { "\n" } else { "" }, "", indent = line.len() - text.len())?;
        screen.heading(out, text)?;
    }
    writeln!(out)?;
    screen.wrapped(out, "  ", || caps.sentence())?;
    if let Some(more) = caps.more() {
        screen.wrapped(out, "  ", || more.clone())?;
    }
    let forest = caps.branch();
    let mut lines = Vec::new();
    let children = |node| forest.children(node).to_vec();
    branches::walk(forest.roots(), DEEPEST, children, |lead, _, node| {
        if let Some(id) = node.namespace() {
            lines.push((format!("  {lead}{}", names::namespace(caps.snapshot, id)), id));
        }
    });
    for (name, id) in lines {
        screen.wrapped(out, &name, || caps.about(id))?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "caps_tests.rs"]
mod tests;
