//! `lxkns orphans`: the namespaces without any process or thread.

use lxkns_core::model::{DiscoveryOptions, Place, Scope};
use serde::Serialize;

use super::why::{Facts, HolderAnswer, facts, holder_answer};
use crate::args::OrphansArgs;
use crate::exit::{Exit, Result};
use crate::live;
use crate::view::names;
use crate::view::orphans::{Who, is_certain, name_of, orphans, write};
use crate::view::release::Advice;
use crate::view::screen::{self, Color};
use crate::view::why::{Explanation, FEW};

/// Runs it.
pub(crate) fn run(args: &OrphansArgs, color: Color) -> Result {
    let mut options = DiscoveryOptions::namespaces();
    options.command_lines = Scope::Named;
    options.without_self = true;
    // What is unmounted together takes all mounts to know.
    options.mounts = true;
    let is_live = args.look.from.is_none();
    let snapshot = live::load(&args.look, &options)?;
    let advice = Advice::of(&snapshot, super::home(&snapshot, is_live));
    let orphans = orphans(&advice, &args.types);
    if args.json {
        let answers: Vec<_> = orphans.values().flatten().map(answer).collect();
        screen::print(|out| Ok(screen::write_json(out, &answers)?))?;
    } else {
        let limit = if args.all { usize::MAX } else { FEW };
        screen::show(color, |out, screen| Ok(write(out, &snapshot, &orphans, screen, limit)?))?;
    }
    super::tell_gaps(&snapshot, options.places.with(Place::CommandLines));
    let is_leak = |(who, orphans): (&Who, &Vec<Explanation<'_>>)| who.is_leak() && orphans.iter().any(is_certain);
    Ok(if args.fail && orphans.iter().any(is_leak) { Exit::Found } else { Exit::Done })
}

/// The JSON form of what is said of one: as `why` has it, without suspects.
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
}

fn answer(orphan: &Explanation<'_>) -> Answer {
    let holders = orphan.holders().into_iter();
    Answer {
        target: names::target(orphan.snapshot, orphan.namespace.id),
        namespace: facts(orphan.namespace),
        members_seen: is_certain(orphan),
        explained: orphan.is_explained(),
        name: name_of(orphan.namespace, orphan.home).map(|path| names::lossy(path)),
        holders: holders.map(|holder| holder_answer(orphan.snapshot, holder, orphan.release(holder))).collect(),
    }
}
