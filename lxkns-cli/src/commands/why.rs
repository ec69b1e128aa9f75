//! `lxkns why`: what keeps a namespace alive, and what would release it.

use std::io::Write;

use lxkns_answers::Context;
use lxkns_answers::json;
use lxkns_answers::release::Advice;
use lxkns_answers::suspects;
use lxkns_answers::target::Asked;
use lxkns_answers::why::Explanation;
use lxkns_core::model::{NamespaceId, NamespaceType};
use lxkns_live::questions::why::{self, Subjects};

use super::Outcome;
use crate::args::WhyArgs;
use crate::exit::{Exit, Result, say};
use crate::live::{self, Living};
use crate::progress::Progress;
use crate::resolve::resolver;
use crate::view::escape::printable;
use crate::view::screen::{self, Color, Screen};
use crate::view::why::{FEW, SOME, write, write_all_suspects};

/// Runs it.
pub(crate) fn run(args: &WhyArgs, color: Color) -> Result {
    let is_live = args.answer.look.from.is_none();
    let access = live::access(&args.answer.look.patience);
    let mut snapshot = live::load_with(&args.answer.look, &access, &why::options())?;
    let mut outcome = Outcome::of(&args.targets);
    let subjects =
        Subjects::find(&resolver(&snapshot, is_live), &args.targets, &mut |unresolved| outcome.refuse(unresolved));
    let Outcome { exit, gaps_matter } = outcome;
    let gaps_matter = gaps_matter || !subjects.found.is_empty();
    if is_live {
        let _progress = Progress::of("reading what scans do not have");
        let living = Living::new(&access, args.answer.look.patience.timeout)?;
        subjects.read(&living.host(), &snapshot).add_to(&mut snapshot);
    }
    let context = super::context(&snapshot, is_live);
    let advice = Advice::of(context);
    let explain = |id: &NamespaceId| Explanation::new(&advice, &snapshot.namespaces[id]);
    let mut gaps = if gaps_matter { super::gap_lines(&snapshot, why::places()) } else { Vec::new() };

    if args.answer.json {
        let answer = subjects.answer(&advice, &context, gaps.clone());
        screen::print(|out| Ok(json::write(&answer, out)?))?;
    } else {
        // That an initial one lives as long as the kernel is the answer, and nothing that was not seen changes it.
        let is_initial = |id| snapshot.namespaces.get(&id).is_some_and(|namespace| namespace.initial);
        if !args.all && subjects.unseen.is_empty() && exit == Exit::Done && subjects.ids().all(is_initial) {
            gaps.clear();
        }
        screen::show(color, |out, screen| {
            write_text(out, &subjects.found, explain, args, screen)?;
            write_unseen(out, &context, &subjects.unseen, args, screen)
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
