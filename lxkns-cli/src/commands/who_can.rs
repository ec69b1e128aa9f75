//! `lxkns who-can`: who has a capability in a namespace.

use std::io::Write as _;

use lxkns_answers::json::{self, Envelope};
use lxkns_answers::who_can::{self, WhoCan};
use lxkns_core::model::{NamespaceId, Place};

use super::Findings;
use crate::args::WhoCanArgs;
use crate::exit::{Result, say};
use crate::live;
use crate::resolve;
use crate::view;
use crate::view::screen::{self, Color};

/// Runs it.
pub(crate) fn run(args: &WhoCanArgs, color: Color) -> Result {
    let is_live = args.look.from.is_none();
    let options = who_can::options(&args.target.target);
    let places = options.places.with(Place::ProcessFacts);
    let access = live::access(&args.look.patience);
    let mut snapshot = live::load_with(&args.look, &access, &options)?;
    let tasks = if is_live { live::add_task_powers(&access, &mut snapshot)? } else { Vec::new() };
    let resolver = resolve::resolver(&snapshot, is_live);
    let target = match super::settle(&resolver, &args.target) {
        Ok(target) => target,
        Err((exit, gaps_matter)) => {
            if gaps_matter {
                super::tell_gaps(&snapshot, places);
            }
            return Ok(exit);
        }
    };
    let asked = std::slice::from_ref(&target);
    let Findings { found, exit, gaps_matter, .. } = super::find(&resolver, asked);
    let namespaces: Vec<NamespaceId> = found.into_iter().flat_map(|(_, ids)| ids).collect();
    let all = WhoCan::of(&snapshot, &tasks, args.capability, &namespaces);
    let mut gaps = if gaps_matter { super::gap_lines(&snapshot, places) } else { Vec::new() };
    if !is_live && gaps_matter {
        gaps.push("a dump does not have the credentials of single tasks, only those of processes".to_owned());
    }
    if args.json {
        let answers = all.iter().map(WhoCan::answer).collect();
        screen::print(|out| Ok(json::write(&Envelope::new("who-can", answers, gaps.clone()), out)?))?;
    } else {
        screen::show(color, |out, screen| {
            for (index, who_can) in all.iter().enumerate() {
                if index > 0 {
                    writeln!(out)?;
                }
                view::who_can::write(who_can, out, screen, args.all, !args.no_headings)?;
            }
            Ok(())
        })?;
    }
    gaps.iter().for_each(say);
    Ok(exit)
}
