//! `lxkns explain`: whether a process may create or enter namespaces, and what stands in the way.

use lxkns_answers::explain::{self, Action, Explanation, Verdict};
use lxkns_answers::json::{self, Envelope};
use lxkns_core::model::Pid;
use lxkns_inside::Program;

use super::Findings;
use crate::args::{ExplainArgs, INSIDE};
use crate::exit::{Error, Exit, Result, say};
use crate::live;
use crate::progress::Progress;
use crate::resolve::{self, Outcome as _};
use crate::view;
use crate::view::screen::{self, Color};

/// Runs it.
pub(crate) fn run(args: &ExplainArgs, color: Color) -> Result {
    let mut action = Action::parse(&args.action).map_err(Error::Usage)?;
    let is_live = args.look.from.is_none();
    let pid = match args.pid {
        Some(pid) => Pid(pid),
        None if is_live => live::self_is_asked()?,
        None => return Err(Error::Usage("a dump does not name the caller: name a process with -p".to_owned())),
    };
    if is_live && action.targets.iter().any(|asked| asked.is_caller()) {
        let own = live::self_is_asked()?;
        action.targets = action.targets.into_iter().map(|asked| asked.of_caller(own)).collect();
    }
    let options = explain::options(&action);
    let places = explain::places(&options);
    let access = live::access(&args.look.patience);
    let mut snapshot = live::load_with(&args.look, &access, &options)?;
    let Some(pid) = live::settle_thread(&mut snapshot, pid, is_live) else {
        let absence = resolve::resolver(&snapshot, is_live).absence(pid);
        say(format_args!("{pid}: {}", absence.words()));
        let (exit, gaps_matter) = absence.exit();
        if gaps_matter {
            super::tell_gaps(&snapshot, places);
        }
        return Ok(exit);
    };
    let facts = if is_live {
        let _progress = Progress::of("reading what the kernel would check");
        let (session, program) = (live::session(&access)?, Program::again(INSIDE)?);
        lxkns_live::action_facts(&session, &mut snapshot, pid, &action, &program, args.look.patience.timeout)
    } else {
        None
    };
    let resolver = resolve::resolver(&snapshot, is_live);
    let mut targets = Vec::new();
    for asked in &action.targets {
        let settled = match super::settle(&resolver, asked) {
            Ok(settled) => settled,
            Err((exit, _)) => return Ok(exit),
        };
        let Findings { found, exit, gaps_matter, .. } = super::find(&resolver, std::slice::from_ref(&settled));
        if exit != Exit::Done {
            if gaps_matter {
                super::tell_gaps(&snapshot, places);
            }
            return Ok(exit);
        }
        targets.push(found.into_iter().flat_map(|(_, ids)| ids).collect());
    }
    let explanation = Explanation::of(&snapshot, &snapshot.processes[&pid], &action, &targets, facts.as_ref());
    let verdict = explanation.verdict();
    // A certain obstacle is one whatever else could not be seen.
    let gaps = if verdict == Verdict::Fails { Vec::new() } else { super::gap_lines(&snapshot, places) };
    if args.json {
        screen::print(|out| {
            Ok(json::write(&Envelope::new("explain", vec![explanation.answer()], gaps.clone()), out)?)
        })?;
    } else {
        screen::show(color, |out, screen| Ok(view::explain::write(&explanation, out, screen)?))?;
    }
    gaps.iter().for_each(say);
    Ok(match verdict {
        Verdict::Succeeds => Exit::Done,
        Verdict::Fails => Exit::Found,
        Verdict::NotKnown => Exit::Failed,
    })
}
