//! `lxkns show`: everything about one namespace or process.

use std::io::Write;

use lxkns_answers::Context;
use lxkns_answers::counts::Counts;
use lxkns_answers::lacks::Lacks;
use lxkns_answers::links::Links;
use lxkns_answers::show::Reference;
use lxkns_answers::target::Asked;
use lxkns_core::ProcRoot;
use lxkns_core::model::{NamespaceLinks, NamespaceType};
use lxkns_live::questions::show::{self as ask, Looked, Shown, Teller};

use super::Outcome;
use crate::args::ShowArgs;
use crate::exit::{Error, Exit, Result, say};
use crate::live::{self, Living};
use crate::progress::Progress;
use crate::resolve;
use crate::view::screen::{self, Color};
use crate::view::sheet;
use crate::view::why::SOME;

/// Runs it.
pub(crate) fn run(args: &ShowArgs, color: Color) -> Result {
    let is_live = args.answer.look.from.is_none();
    let targets = match &args.targets[..] {
        [] if is_live => vec![Asked::process(live::own_pid()?.0)],
        [] => return Err(Error::Usage("a dump does not name the caller: name a TARGET".to_owned())),
        targets => targets.to_vec(),
    };
    let mut options = ask::options(&targets);
    // `self` must be in the snapshot.
    options.without_self = !args.targets.is_empty();
    let access = live::access(&args.answer.look.patience);
    let mut snapshot = live::load_with(&args.answer.look, &access, &options)?;
    let mut outcome = Outcome { exit: Exit::Done, gaps_matter: false };
    let resolver = resolve::resolver(&snapshot, is_live);
    let targets = ask::settle(&resolver, &targets, &mut |unresolved| outcome.refuse(unresolved));
    let items = ask::find(&resolver, &targets, &mut |unresolved| outcome.refuse(unresolved));
    let host_links = resolver.into_links().unwrap_or_default();
    let Outcome { exit, gaps_matter } = outcome;

    // First the facts that only a process inside can read, which can leave gaps.
    let mut insides: Vec<Looked> = items.iter().map(|_| Default::default()).collect();
    let mut proc = None;
    if is_live {
        let _progress = Progress::of("looking inside");
        let living = Living::new(&access, args.answer.look.patience.timeout)?;
        let (looked, more) = ask::read(&living.host(), &snapshot, &items);
        more.add_to(&mut snapshot);
        (insides, proc) = (looked, Some(ProcRoot::host()?));
    }
    let context = Context { mount_ns: super::home(&snapshot, is_live), snapshot: &snapshot, is_live };
    let counts = Counts::of(&snapshot);
    let reference = if is_live { Reference::Caller(own_namespaces()) } else { Reference::Initial };
    let links = Links { context, all: &host_links };
    let leftovers = links.leftovers(&Lacks::of(&snapshot));
    let teller = Teller { proc: proc.as_ref(), reference };
    let shown = ask::shown(context, &counts, &links, teller, &items, insides);
    let gaps_matter = gaps_matter || !items.is_empty();
    let mut unseen = if gaps_matter { ask::gaps(&snapshot, &targets, &items) } else { Vec::new() };
    unseen.extend(links.gaps());
    if args.answer.json {
        let answer = ask::answer(&links, &leftovers, &items, &shown, unseen.clone());
        screen::print(|out| Ok(screen::write_json(out, &answer)?))?;
    } else {
        let limit = if args.all { usize::MAX } else { SOME };
        screen::show(color, |out, screen| {
            for (index, shown) in shown.iter().enumerate() {
                if index > 0 {
                    writeln!(out)?;
                }
                let made = match shown {
                    Shown::Namespace(shown) => shown.sheet(limit),
                    Shown::Process(shown) => shown.sheet(limit),
                    Shown::Link(link) => links.sheet(link, &leftovers, limit),
                };
                sheet::write(&made, out, screen)?;
            }
            Ok(())
        })?;
    }
    for shown in &shown {
        if let Shown::Namespace(shown) = shown
            && let Some(complaint) = shown.complaint()
        {
            say(complaint);
        }
    }
    unseen.iter().for_each(say);
    Ok(exit)
}

/// The caller's namespaces.
fn own_namespaces() -> NamespaceLinks {
    let mut links = NamespaceLinks::default();
    for ns_type in NamespaceType::ALL {
        if let Some(id) = live::own_namespace(ns_type) {
            links.set(ns_type, id);
        }
    }
    links
}
