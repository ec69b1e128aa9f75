//! `lxkns audit`: how well containers and process trees are isolated from the host.

use lxkns_answers::audit::{Audit, Judgement, Plan};
use lxkns_answers::json;
use lxkns_core::model::{Gap, Object, Place};
use lxkns_live::questions::audit as ask;

use super::Outcome;
use crate::args::AuditArgs;
use crate::exit::{Exit, Result, say};
use crate::live::{self, Living};
use crate::progress::Progress;
use crate::resolve;
use crate::view::audit as view;
use crate::view::screen::{self, Color};
use crate::view::why::FEW;

/// Runs it.
pub(crate) fn run(args: &AuditArgs, color: Color) -> Result {
    let is_live = args.answer.look.from.is_none();
    let access = live::access(&args.answer.look.patience);
    let snapshot = live::load_with(&args.answer.look, &access, &ask::options())?;
    let mut outcome = Outcome::of(&args.targets);
    let plan = match args.targets.is_empty() {
        true => Plan::of_containers(&snapshot),
        false => {
            let resolver = resolve::resolver(&snapshot, is_live);
            Some(ask::plan(&snapshot, &resolver, &args.targets, &mut |unresolved| outcome.refuse(unresolved)))
        }
    };
    let Some(plan) = plan else {
        say("containers are not known: the dump was taken without searching for them");
        return Ok(Exit::Failed);
    };
    let exit = outcome.exit;
    let mut facts = None;
    if is_live {
        let _progress = Progress::of("reading what confines processes");
        let living = Living::new(&access, args.answer.look.patience.timeout)?;
        facts = ask::read(&living.host(), &snapshot, &plan);
    }
    let context = super::context(&snapshot, is_live);
    let audit = Audit::new(context, &plan, facts.as_ref());
    let judgements: Vec<_> = plan.subjects.iter().map(|subject| audit.judge(subject)).collect();
    let gaps = super::gap_lines(&snapshot, ask::places());
    if args.answer.json {
        screen::print(|out| Ok(json::write(&ask::answer(&audit, &judgements, gaps.clone()), out)?))?;
    } else if !judgements.is_empty() {
        let limit = if args.all { usize::MAX } else { FEW };
        screen::show(color, |out, screen| Ok(view::write(out, &audit, &judgements, screen, limit)?))?;
    } else if exit == Exit::Done {
        say("no container was found; to judge other processes: lxkns audit PID");
    }
    gaps.iter().for_each(say);
    // Of a process that is not readable its control group is, which says whether it is in a container.
    let missed = Place::ALL.into_iter().filter(|place| [Place::Containers, Place::Cgroups].contains(place)).collect();
    let is_hiding = |gap: &Gap| gap.place == Place::Processes && gap.object == Object::Host;
    let may_miss_some = snapshot.gaps.iter().any(is_hiding) || !super::gap_lines(&snapshot, missed).is_empty();
    Ok(exit.max(verdict(args, &judgements, may_miss_some && args.targets.is_empty())))
}

/// What `--fail` comes to: findings; and where there is none, what could not be judged, which can be one.
fn verdict(args: &AuditArgs, judgements: &[Judgement], may_miss_some: bool) -> Exit {
    let Some(threshold) = args.fail else { return Exit::Done };
    if judgements.iter().any(|judgement| judgement.worst() >= Some(threshold)) {
        return Exit::Found;
    }
    let unknown = judgements.iter().filter(|judgement| !judgement.not_judged.is_empty()).count();
    match (unknown, may_miss_some) {
        (0, false) => Exit::Done,
        (0, true) => {
            say("no findings, but not everything was visible: there may be more containers");
            Exit::Failed
        }
        (count, _) => {
            say(format_args!("no findings, but {count} of {} could not be fully judged", judgements.len()));
            Exit::Failed
        }
    }
}
