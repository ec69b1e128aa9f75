//! `diff`: the differences between two snapshots.

use std::io::{self, Write};

use lxkns_answers::changes::{Between, only};
use lxkns_answers::json;
use lxkns_core::model::{DiscoveryOptions, NamespaceType, Scope, Snapshot};
use lxkns_core::relations::{self, Changes, DifferentBoots, NamespaceChanges};
use lxkns_inside::Lives;

/// What a snapshot must have for it.
pub fn options() -> DiscoveryOptions {
    let mut options = DiscoveryOptions::namespaces();
    options.command_lines = Scope::Named;
    // Mounted file systems hold namespaces too, and are in a dump.
    options.mounts = true;
    options.without_self = true;
    options
}

/// What differs, of namespaces of these types; an empty list is all types. `is_live`: the newer is of the living host, which
/// can tell whether a namespace that is not visible is still there.
///
/// # Errors
///
/// They are not of one host.
pub fn changes<'a>(
    old: &'a Snapshot,
    new: &'a Snapshot,
    types: &[NamespaceType],
    is_live: bool,
) -> Result<Changes<'a>, DifferentBoots> {
    let mut found = relations::changes(old, new)?;
    only(&mut found.namespaces, types);
    if is_live && found.same_boot_known {
        let mut lives = Lives::default();
        found.settle(|namespace| lives.of(namespace));
    }
    Ok(found)
}

/// Writes the answer: an event a line.
///
/// # Errors
///
/// Those of `out`.
pub fn write(between: &Between<'_>, changes: &[NamespaceChanges<'_>], mut out: &mut dyn Write) -> io::Result<()> {
    between.events(changes, None).try_for_each(|event| json::write_line(&event, &mut out))
}
