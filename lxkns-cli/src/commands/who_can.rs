//! `lxkns who-can`: who has a capability in a namespace.

use std::io::Write as _;

use lxkns_answers::json;
use lxkns_answers::who_can::WhoCan;
use lxkns_live::questions::who_can as ask;

use super::Outcome;
use crate::args::WhoCanArgs;
use crate::exit::{Exit, Result, say};
use crate::live::{self, Living};
use crate::progress::Progress;
use crate::resolve;
use crate::view;
use crate::view::screen::{self, Color};

/// Runs it.
pub(crate) fn run(args: &WhoCanArgs, color: Color) -> Result {
    let is_live = args.answer.look.from.is_none();
    let access = live::access(&args.answer.look.patience);
    let mut snapshot = live::load_with(&args.answer.look, &access, &ask::options(&args.target.target))?;
    let places = ask::places(&args.target.target);
    let mut tasks = Vec::new();
    if is_live {
        let _progress = Progress::of("reading the credentials of all tasks");
        let living = Living::new(&access, args.answer.look.patience.timeout)?;
        let (found, more) = ask::read(&living.host(), &snapshot);
        more.add_to(&mut snapshot);
        tasks = found;
    }
    let namespaces = match ask::find(&resolve::resolver(&snapshot, is_live), &args.target) {
        Ok(namespaces) => namespaces,
        Err(unresolved) => return Ok(Outcome::end(unresolved, &snapshot, places)),
    };
    let all = WhoCan::of(&snapshot, &tasks, args.capability, &namespaces);
    let mut gaps = super::gap_lines(&snapshot, places);
    if !is_live {
        gaps.push("a dump does not have the credentials of single tasks, only those of processes".to_owned());
    }
    if args.answer.json {
        screen::print(|out| Ok(json::write(&ask::answer(&all, gaps.clone()), out)?))?;
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
    Ok(Exit::Done)
}
