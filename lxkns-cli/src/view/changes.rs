//! Differences between two snapshots, as text.

use std::io::{self, Write};

use lxkns_answers::changes::{Between, is_in_a_line};
use lxkns_answers::text::shown;
use lxkns_core::model::Namespace;
use lxkns_core::relations::NamespaceChanges;

use super::screen::Screen;

/// Writes the changes, with at most `limit` of a kind for each namespace.
pub(crate) fn write(
    out: &mut impl Write,
    between: &Between<'_>,
    namespaces: &[NamespaceChanges<'_>],
    screen: Screen,
    limit: usize,
) -> io::Result<()> {
    namespaces.iter().try_for_each(|told| write_namespace(out, between, told, screen, limit))
}

fn write_namespace(
    out: &mut impl Write,
    between: &Between<'_>,
    told: &NamespaceChanges<'_>,
    screen: Screen,
    limit: usize,
) -> io::Result<()> {
    let (sign, summary) = between.summary(told);
    write!(out, "{sign} ")?;
    screen.heading(out, &between.name_of(told))?;
    writeln!(out, "{summary}")?;
    let namespace = told.namespace();
    if told.old.is_none() {
        write_new(out, between, namespace, screen)?;
    }
    for group in told.changes.chunk_by(|a, b| std::mem::discriminant(a) == std::mem::discriminant(b)) {
        let count = shown(group.len(), limit);
        for change in group[..count].iter().filter(|change| is_in_a_line(change)) {
            screen.folded(out, "  ", || between.line(namespace, change))?;
        }
        match group.len() - count {
            0 => {}
            more => writeln!(out, "  and {more} more (--all shows all)")?,
        }
    }
    Ok(())
}

/// The processes in a namespace that was not seen before, or else its holders, and its owner.
fn write_new(out: &mut impl Write, between: &Between<'_>, namespace: &Namespace, screen: Screen) -> io::Result<()> {
    if between.occupant(namespace).is_some() {
        screen.folded(out, "  ", || between.occupant(namespace).unwrap_or_default())?;
    }
    match namespace.owner.known() {
        Some(owner) => writeln!(out, "  owned by {}", between.name(owner)),
        None => Ok(()),
    }
}

#[cfg(test)]
#[path = "changes_tests.rs"]
mod tests;
