//! `lxkns orphans`: the namespaces without a process or task.

use lxkns_answers::json;
use lxkns_answers::links::Links;
use lxkns_answers::orphans::{has_leak, has_network, orphans};
use lxkns_answers::release::Advice;
use lxkns_live::questions::orphans as ask;

use crate::args::OrphansArgs;
use crate::exit::{Exit, Result, say};
use crate::live::{self, Living};
use crate::progress::Progress;
use crate::view::orphans::write;
use crate::view::screen::{self, Color};
use crate::view::why::{FEW, SOME};

/// What a dump does not have.
const NOT_IN_A_DUMP: &str = "links left over with network namespaces not read: a dump has no links";

/// Runs it.
pub(crate) fn run(args: &OrphansArgs, color: Color) -> Result {
    let is_live = args.answer.look.from.is_none();
    let access = live::access(&args.answer.look.patience);
    // The kernel reader alone tells what is in flight.
    let mut snapshot = live::load_by(&args.answer.look, &access, &ask::options(), true)?;
    let mut host_links = None;
    if is_live {
        let _progress = Progress::of("reading what scans do not have");
        let living = Living::new(&access, args.answer.look.patience.timeout)?;
        ask::read(&living.host(), &snapshot, &args.types).add_to(&mut snapshot);
        host_links = ask::links(&living.host(), &snapshot, &args.types);
    }
    let context = super::context(&snapshot, is_live);
    let advice = Advice::of(context);
    let orphans = orphans(&advice, &args.types);
    let mut gaps = super::gap_lines(&snapshot, ask::places());
    let links = host_links.as_ref().map(|all| Links { context, all });
    let leftovers = links.map(|links| links.leftovers(advice.lacks()));
    match links {
        Some(links) => gaps.extend(ask::gaps_of_links(&links)),
        None if has_network(&orphans) => gaps.push(NOT_IN_A_DUMP.to_owned()),
        None => {}
    }
    if args.answer.json {
        let most = if args.all { usize::MAX } else { SOME };
        let answer = ask::answer(&context, &orphans, leftovers.as_ref(), most, gaps.clone());
        screen::print(|out| Ok(json::write(&answer, out)?))?;
    } else {
        let limit = if args.all { usize::MAX } else { FEW };
        screen::show(color, |out, screen| Ok(write(out, &context, &orphans, leftovers.as_ref(), screen, limit)?))?;
    }
    super::tell_other_root(&snapshot, is_live);
    gaps.iter().for_each(say);
    Ok(if args.fail && has_leak(&orphans) { Exit::Found } else { Exit::Done })
}
