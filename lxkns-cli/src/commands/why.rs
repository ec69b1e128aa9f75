//! `lxkns why`: what keeps a namespace alive, and what would release it.

use std::io::Write;

use lxkns_answers::Context;
use lxkns_answers::json::{self, Envelope};
use lxkns_answers::release::Advice;
use lxkns_answers::suspects;
use lxkns_answers::target::Asked;
use lxkns_answers::why::{Explanation, WhyResult, may_be_held_by_shared_memory};
use lxkns_core::model::{DiscoveryOptions, NamespaceId, NamespaceType, Place, Scope};

use super::Findings;
use crate::args::WhyArgs;
use crate::exit::{Exit, Result, say};
use crate::live;
use crate::resolve::resolver;
use crate::view::escape::printable;
use crate::view::screen::{self, Color, Screen};
use crate::view::why::{FEW, SOME, write, write_all_suspects};

/// Runs it.
pub(crate) fn run(args: &WhyArgs, color: Color) -> Result {
    let mut options = DiscoveryOptions::namespaces();
    options.command_lines = Scope::Named;
    // Who may end a process depends on its UIDs.
    options.status = Scope::All;
    options.suspects = true;
    options.references = true;
    options.without_self = true;
    // What is unmounted together takes all mounts to know.
    options.mounts = true;
    let is_live = args.look.from.is_none();
    let mut snapshot = live::load(&args.look, &options)?;
    let Findings { found, unseen, exit, gaps_matter } = super::find(&resolver(&snapshot, is_live), &args.targets);
    let is_ipc = |ns_type: Option<NamespaceType>| ns_type.is_none_or(|ns_type| ns_type == NamespaceType::Ipc);
    let ids = || found.iter().flat_map(|(_, ids)| ids);
    if is_live
        && (unseen.iter().any(|&(_, ns_type)| is_ipc(ns_type))
            || ids().any(|id| may_be_held_by_shared_memory(&snapshot.namespaces[id])))
    {
        live::add_shared_memory(&live::access(&args.look.patience), &mut snapshot)?;
    }
    if is_live {
        let ids: Vec<_> = ids().copied().collect();
        live::add_endings(&mut snapshot, &ids);
    }
    let context = super::context(&snapshot, is_live);
    let advice = Advice::of(context);
    let explain = |id: &NamespaceId| Explanation::new(&advice, &snapshot.namespaces[id]);
    let places = options.places.with(Place::CommandLines).with(Place::Suspects);
    let mut gaps = if gaps_matter { super::gap_lines(&snapshot, places) } else { Vec::new() };

    if args.json {
        let target = |asked: &Asked| asked.text.to_string_lossy().into_owned();
        let seen = found.iter().flat_map(|(asked, ids)| ids.iter().map(move |id| (asked, id)));
        let results = seen
            .map(|(asked, id)| WhyResult::of(target(asked), &explain(id)))
            .chain(unseen.iter().map(|&(asked, ns_type)| WhyResult::unseen(target(asked), &context, ns_type)))
            .collect();
        screen::print(|out| Ok(json::write(&Envelope::new("why", results, gaps.clone()), out)?))?;
    } else {
        // That an initial one lives as long as the kernel is the answer, and nothing that was not seen changes it.
        let is_initial = |id| snapshot.namespaces.get(id).is_some_and(|namespace| namespace.initial);
        if !args.all && unseen.is_empty() && exit == Exit::Done && ids().all(is_initial) {
            gaps.clear();
        }
        screen::show(color, |out, screen| {
            write_text(out, &found, explain, args, screen)?;
            write_unseen(out, &context, &unseen, args, screen)
        })?;
    }
    super::tell_other_root(&snapshot, is_live);
    gaps.iter().for_each(say);
    Ok(exit)
}

fn write_text<'a>(
    out: &mut impl Write,
    found: &[(&Asked, Vec<NamespaceId>)],
    explain: impl Fn(&NamespaceId) -> Explanation<'a>,
    args: &WhyArgs,
    screen: Screen,
) -> Result<()> {
    for (index, (asked, ids)) in found.iter().enumerate() {
        let alone = ids.len() == 1;
        if index > 0 {
            writeln!(out)?;
        }
        if !alone {
            writeln!(out, "{} is in {} namespaces", printable(asked.text.as_encoded_bytes()), ids.len())?;
        }
        let limit = if alone { SOME } else { FEW };
        for id in ids {
            write(out, &explain(id), screen, if args.all { usize::MAX } else { limit })?;
        }
    }
    Ok(())
}

/// Writes what may hold the namespaces that were not found.
fn write_unseen(
    out: &mut impl Write,
    context: &Context<'_>,
    unseen: &[(&Asked, Option<NamespaceType>)],
    args: &WhyArgs,
    screen: Screen,
) -> Result<()> {
    for &(asked, ns_type) in unseen {
        writeln!(out, "{} is not visible, and may not exist", printable(asked.text.as_encoded_bytes()))?;
        let limit = if args.all { usize::MAX } else { SOME };
        let suspects = suspects::of_type(context.snapshot, ns_type);
        write_all_suspects(out, context, ns_type, &suspects, screen, limit)?;
    }
    Ok(())
}
