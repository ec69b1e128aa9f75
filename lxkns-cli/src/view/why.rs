//! Why a namespace is still there, as text.

use std::io::{self, Write};

use lxkns_answers::Context;
use lxkns_answers::names;
use lxkns_answers::suspects;
use lxkns_answers::text::shown;
use lxkns_answers::why::{Explanation, Group, Told};
use lxkns_core::model::{NamespaceType, Suspect};

use super::screen::Screen;

/// How many holders of a kind are listed.
pub(crate) const FEW: usize = 2;
/// The number of holders of a kind that are listed for a namespace that is a TARGET itself.
pub(crate) const SOME: usize = 10;

/// Writes an explanation, with no more than `limit` holders of a kind.
pub(crate) fn write(
    out: &mut impl Write,
    explanation: &Explanation<'_>,
    screen: Screen,
    limit: usize,
) -> io::Result<()> {
    write_holders(out, explanation, screen, limit)?;
    write_references(out, explanation, screen)?;
    let suspects = explanation.suspects();
    if suspects.is_empty() || !explanation.is_explained() {
        return Ok(());
    }
    writeln!(out, "  suspects: each may hold it too, or another one; the kernel does not say")?;
    write_suspects(out, &explanation.context, &suspects, screen, limit)
}

/// As [`write()`], without references and what may hold it beside those that are known to.
pub(crate) fn write_holders(
    out: &mut impl Write,
    explanation: &Explanation<'_>,
    screen: Screen,
    limit: usize,
) -> io::Result<()> {
    let namespace = explanation.namespace;
    screen.heading(out, &explanation.name())?;
    if namespace.initial {
        writeln!(out, " is the initial {} namespace: it lives as long as the kernel", namespace.ns_type)?;
        if limit != usize::MAX {
            let least = if explanation.holders_seen() { "" } else { "at least " };
            return match explanation.summary() {
                Some(summary) => writeln!(out, "  also held by {least}{summary}"),
                None if least.is_empty() => Ok(()),
                None => writeln!(out, "  other holders not visible"),
            };
        }
    } else if let Some(summary) = explanation.summary() {
        writeln!(out, " is held by {summary}")?;
    } else {
        writeln!(out, " exists, but nothing visible holds it")?;
        if let Some(why) = names::unseen_members(explanation.context.snapshot, namespace) {
            writeln!(out, "  processes may be in it: {why}")?;
        }
        let suspects = explanation.suspects();
        return write_all_suspects(out, &explanation.context, Some(namespace.ns_type), &suspects, screen, limit);
    }
    if let Some(made_for) = explanation.made_for() {
        screen.folded(out, "  ", || made_for.clone())?;
    }
    for (line, release) in explanation.ending().map(|ending| ending.lines()).unwrap_or_default() {
        screen.folded(out, "  ", || line.clone())?;
        if let Some(release) = release {
            screen.folded(out, "    until ", || release.clone())?;
        }
    }
    for group in explanation.groups() {
        write_group(out, explanation, &group, screen, limit)?;
    }
    Ok(())
}

/// Writes how many references the kernel counts, where that is known.
fn write_references(out: &mut impl Write, explanation: &Explanation<'_>, screen: Screen) -> io::Result<()> {
    match explanation.references() {
        Some(references) => screen.folded(out, "  ", || references.clone()),
        None => Ok(()),
    }
}

fn write_group(
    out: &mut impl Write,
    explanation: &Explanation<'_>,
    group: &Group<'_>,
    screen: Screen,
    limit: usize,
) -> io::Result<()> {
    let count = shown(group.holders.len(), limit);
    for Told { holder, copies } in &group.holders[..count] {
        screen.folded(out, "  ", || explanation.describe(holder))?;
        match copies.len() {
            0 => {}
            1 => writeln!(out, "    with 1 more mount of it, which is unmounted too")?,
            count => {
                let namespaces = explanation.mount_namespaces(copies);
                writeln!(out, "    with {count} more mounts of it in {namespaces}, which are unmounted too")?;
            }
        }
        // With --all.
        for copy in copies.iter().filter(|_| limit == usize::MAX) {
            screen.folded(out, "    too: ", || explanation.describe(copy))?;
        }
        let release = explanation.release(holder);
        if group.common.is_none() && !release.is_unknown() {
            screen.folded(out, "    until ", || release.to_string())?;
        }
    }
    write_more(out, group.holders.len() - count, ["", ""])?;
    match &group.common {
        Some(common) => screen.folded(out, "    until ", || common.clone()),
        None => Ok(()),
    }
}

/// Says how many are not shown, as one of these or several.
fn write_more(out: &mut impl Write, more: usize, [one, several]: [&str; 2]) -> io::Result<()> {
    match more {
        0 => Ok(()),
        more => writeln!(out, "  and {more} more{} (--all shows all)", if more == 1 { one } else { several }),
    }
}

/// Writes the suspects of a namespace that nothing else holds, and what cannot be among them.
pub(crate) fn write_all_suspects(
    out: &mut impl Write,
    context: &Context<'_>,
    ns_type: Option<NamespaceType>,
    suspects: &[&Suspect],
    screen: Screen,
    limit: usize,
) -> io::Result<()> {
    if suspects.is_empty() {
        writeln!(out, "  no suspects either")?;
    } else {
        writeln!(out, "  suspects: each may hold it, or another one, or none; the kernel does not say")?;
        write_suspects(out, context, suspects, screen, limit)?;
    }
    write_hidden(out, ns_type)
}

/// Writes what cannot be among the suspects.
pub(crate) fn write_hidden(out: &mut impl Write, ns_type: Option<NamespaceType>) -> io::Result<()> {
    writeln!(out, "  not visible on any kernel: {}", suspects::never_visible(ns_type))
}

pub(crate) fn write_suspects(
    out: &mut impl Write,
    context: &Context<'_>,
    suspects: &[&Suspect],
    screen: Screen,
    limit: usize,
) -> io::Result<()> {
    let distinct = suspects::distinct(suspects);
    let count = shown(distinct.len(), limit);
    for &(suspect, more) in &distinct[..count] {
        screen.folded(out, "  suspect: ", || match (suspects::describe(context, suspect), more) {
            (suspect, 0) => suspect,
            (suspect, 1) => format!("{suspect}, and 1 more mount of it"),
            (suspect, more) => format!("{suspect}, and {more} more mounts of it"),
        })?;
    }
    write_more(out, distinct.len() - count, [" suspect", " suspects"])
}

#[cfg(test)]
#[path = "why_tests.rs"]
mod tests;
