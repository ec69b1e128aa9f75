//! `lxkns orphans`: the namespaces without any process or thread.

use std::io::Write;

use lxkns_core::model::{DiscoveryOptions, Place, Scope};
use serde::Serialize;

use super::why::{Facts, HolderAnswer, facts, holder_answer};
use crate::args::OrphansArgs;
use crate::exit::{Exit, Result};
use crate::live;
use crate::view::names;
use crate::view::orphans::{is_certain, orphans, write};
use crate::view::screen::{self, Color};
use crate::view::why::{Explanation, FEW};

/// Runs it.
pub(crate) fn run(args: &OrphansArgs, color: Color) -> Result {
    let mut options = DiscoveryOptions::namespaces();
    options.command_lines = Scope::Named;
    options.without_self = true;
    let is_live = args.look.from.is_none();
    let snapshot = live::load(&args.look, &options)?;
    let orphans = orphans(&snapshot, &args.types, super::home(&snapshot, is_live));
    if args.json {
        let answers: Vec<_> = orphans.values().flatten().map(answer).collect();
        screen::print(|out| {
            serde_json::to_writer_pretty(&mut *out, &answers)?;
            Ok(out.write_all(b"\n")?)
        })?;
    } else {
        let limit = if args.all { usize::MAX } else { FEW };
        screen::show(color, |out, screen| Ok(write(out, &snapshot, &orphans, screen, limit)?))?;
    }
    super::tell_gaps(&snapshot, options.places.with(Place::CommandLines));
    Ok(if args.fail && orphans.values().flatten().any(is_certain) { Exit::Found } else { Exit::Done })
}

/// The JSON form of what is said of one: as `why` has it, without suspects.
#[derive(Serialize)]
struct Answer {
    target: String,
    namespace: Facts,
    /// Whether it is known that no process or thread is in it: all could be seen that may be.
    members_seen: bool,
    explained: bool,
    holders: Vec<HolderAnswer>,
}

fn answer(orphan: &Explanation<'_>) -> Answer {
    let holders = orphan.holders().into_iter();
    Answer {
        target: names::target(orphan.snapshot, orphan.namespace.id),
        namespace: facts(orphan.namespace),
        members_seen: is_certain(orphan),
        explained: orphan.is_explained(),
        holders: holders.map(|holder| holder_answer(orphan.snapshot, holder, orphan.release(holder))).collect(),
    }
}
