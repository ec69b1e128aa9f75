//! `lxkns explain`: whether a process may create or enter namespaces, and what stands in the way.

use lxkns_answers::explain::{Action, Explanation, Verdict};
use lxkns_answers::json;
use lxkns_answers::target::Asked;
use lxkns_core::model::Pid;
use lxkns_live::questions::{self, explain as ask};

use super::Outcome;
use crate::args::ExplainArgs;
use crate::exit::{Error, Exit, Result, say};
use crate::live::{self, Living};
use crate::progress::Progress;
use crate::resolve;
use crate::view;
use crate::view::screen::{self, Color};

/// Runs it.
pub(crate) fn run(args: &ExplainArgs, color: Color) -> Result {
    let mut action = Action::parse(&args.action).map_err(Error::Usage)?;
    let is_live = args.answer.look.from.is_none();
    let pid = match args.pid {
        Some(pid) => Pid(pid),
        None if is_live => live::self_is_asked()?,
        None => return Err(Error::Usage("a dump does not name the caller: name a process with -p".to_owned())),
    };
    if is_live && action.targets.iter().any(|asked| asked.is_caller()) {
        let own = live::self_is_asked()?;
        action.targets = action.targets.into_iter().map(|asked| asked.of_caller(own)).collect();
    }
    let options = ask::options(&action);
    let places = ask::places(&options);
    let access = live::access(&args.answer.look.patience);
    let mut snapshot = live::load_with(&args.answer.look, &access, &options)?;
    let Some(pid) = live::settle_thread(&mut snapshot, pid, is_live) else {
        let resolver = resolve::resolver(&snapshot, is_live);
        let Err(unresolved) = questions::find_process(&resolver, &Asked::process(pid.0), pid) else {
            return Ok(Exit::Failed);
        };
        return Ok(Outcome::end(unresolved, &snapshot, places));
    };
    let facts = if is_live {
        let _progress = Progress::of("reading what the kernel would check");
        let living = Living::new(&access, args.answer.look.patience.timeout)?;
        ask::read(&living.host(), &mut snapshot, pid, &action)
    } else {
        None
    };
    let targets = match ask::targets(&resolve::resolver(&snapshot, is_live), &action) {
        Ok(targets) => targets,
        Err(unresolved) => return Ok(Outcome::end(unresolved, &snapshot, places)),
    };
    let explanation = Explanation::of(&snapshot, &snapshot.processes[&pid], &action, &targets, facts.as_ref());
    let verdict = explanation.verdict();
    let gaps = ask::gaps(&snapshot, &action, verdict);
    if args.answer.json {
        screen::print(|out| Ok(json::write(&ask::answer(&explanation, gaps.clone()), out)?))?;
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
