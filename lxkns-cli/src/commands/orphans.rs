//! `lxkns orphans`: the namespaces without any process or thread.

use lxkns_core::model::{DiscoveryOptions, NamespaceType, Place, Scope, Suspect};
use serde::Serialize;

use super::why::{Facts, HolderAnswer, SuspectAnswer, facts, holder_answer, lacks_holder, suspect_answer};
use crate::args::OrphansArgs;
use crate::exit::{Exit, Result};
use crate::live;
use crate::view::names;
use crate::view::orphans::{Who, is_certain, name_of, orphans, suspects, write};
use crate::view::release::Advice;
use crate::view::screen::{self, Color};
use crate::view::why::{Explanation, FEW, SOME};

/// Runs it.
pub(crate) fn run(args: &OrphansArgs, color: Color) -> Result {
    let mut options = DiscoveryOptions::namespaces();
    options.command_lines = Scope::Named;
    options.suspects = true;
    options.without_self = true;
    // What is unmounted together takes all mounts to know.
    options.mounts = true;
    let is_live = args.look.from.is_none();
    let mut snapshot = live::load(&args.look, &options)?;
    let is_asked = args.types.is_empty() || args.types.contains(&NamespaceType::Ipc);
    if is_live && is_asked && snapshot.namespaces.values().any(lacks_holder) {
        live::add_shared_memory(&live::access(&args.look.patience), &mut snapshot)?;
    }
    let advice = Advice::of(&snapshot, super::home(&snapshot, is_live));
    let orphans = orphans(&advice, &args.types);
    if args.json {
        let limit = if args.all { usize::MAX } else { SOME };
        let suspects = suspects(&snapshot, &orphans);
        let answers = orphans.values().flatten().map(|orphan| {
            let of_type = suspects.get(&orphan.namespace.ns_type).map_or(&[][..], Vec::as_slice);
            answer(orphan, of_type, limit)
        });
        let answers: Vec<_> = answers.collect();
        screen::print(|out| Ok(screen::write_json(out, &answers)?))?;
    } else {
        let limit = if args.all { usize::MAX } else { FEW };
        screen::show(color, |out, screen| Ok(write(out, &snapshot, &orphans, screen, limit)?))?;
    }
    super::tell_other_root(&snapshot, is_live);
    super::tell_gaps(&snapshot, options.places.with(Place::CommandLines).with(Place::Suspects));
    let is_leak = |(who, orphans): (&Who, &Vec<Explanation<'_>>)| who.is_leak() && orphans.iter().any(is_certain);
    Ok(if args.fail && orphans.iter().any(is_leak) { Exit::Found } else { Exit::Done })
}

/// The JSON form of what is said of one: as `why` has it.
#[derive(Serialize)]
struct Answer {
    target: String,
    namespace: Facts,
    /// Whether it is known that no process or thread is in it: all could be seen that may be.
    members_seen: bool,
    explained: bool,
    /// The path of the mount that names it on purpose: then it is no leak.
    name: Option<String>,
    holders: Vec<HolderAnswer>,
    /// The first of those that may hold a namespace of its type.
    suspects: Vec<SuspectAnswer>,
    /// How many there are.
    suspect_count: usize,
}

fn answer(orphan: &Explanation<'_>, suspects: &[&Suspect], limit: usize) -> Answer {
    let holders = orphan.holders().into_iter();
    Answer {
        target: names::target(orphan.snapshot, orphan.namespace.id),
        namespace: facts(orphan.namespace),
        members_seen: is_certain(orphan),
        explained: orphan.is_explained(),
        name: name_of(orphan.namespace, orphan.home).map(|path| names::lossy(path)),
        holders: holders.map(|holder| holder_answer(orphan.snapshot, holder, orphan.release(holder))).collect(),
        suspects: suspects.iter().take(limit).map(|suspect| suspect_answer(orphan.snapshot, suspect)).collect(),
        suspect_count: suspects.len(),
    }
}
