//! `lxkns audit`: how well containers and process trees are isolated from the host.

use lxkns_answers::audit::{self, Audit, Judgement, Plan};
use lxkns_answers::containers::Matrix;
use lxkns_answers::json::{self, Envelope};
use lxkns_answers::target::Target;
use lxkns_core::model::CompactSort as _;
use lxkns_core::model::{Gap, Object, Place, Snapshot};

use crate::args::AuditArgs;
use crate::exit::{Exit, Result, say};
use crate::live;
use crate::resolve::{self, Outcome as _, Unresolved};
use crate::view::audit as view;
use crate::view::escape::printable;
use crate::view::screen::{self, Color};
use crate::view::why::FEW;

/// Runs it.
pub(crate) fn run(args: &AuditArgs, color: Color) -> Result {
    let options = audit::options();
    let is_live = args.look.from.is_none();
    let access = live::access(&args.look.patience);
    let snapshot = live::load_with(&args.look, &access, &options)?;
    let (plan, exit) = match args.targets.is_empty() {
        true => match Plan::of_containers(&snapshot) {
            Some(plan) => (plan, Exit::Done),
            None => {
                say("containers are not known: the dump was taken without searching for them");
                return Ok(Exit::Failed);
            }
        },
        false => select(&snapshot, args, is_live),
    };
    let facts = match is_live && !plan.subjects.is_empty() {
        true => Some(live::confinement(&access, &snapshot, &plan.pids())?),
        false => None,
    };
    let context = super::context(&snapshot, is_live);
    let audit = Audit::new(context, &plan, facts.as_ref());
    let judgements: Vec<_> = plan.subjects.iter().map(|subject| audit.judge(subject)).collect();
    let places = options.places.with(Place::ProcessFacts).with(Place::NamespaceFacts).with(Place::Containers);
    let gaps = super::gap_lines(&snapshot, places);
    if args.json {
        let answers = judgements.iter().map(|judgement| audit.answer(judgement)).collect();
        screen::print(|out| Ok(json::write(&Envelope::new("audit", answers, gaps.clone()), out)?))?;
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

/// What was asked for. Why a TARGET means nothing has been said.
fn select(snapshot: &Snapshot, args: &AuditArgs, is_live: bool) -> (Plan, Exit) {
    let resolver = resolve::resolver(snapshot, is_live);
    let matrix = Matrix::of(snapshot);
    let (mut plan, mut exit, mut containers) = (Plan::default(), Exit::Done, Vec::new());
    let mut fails = |unresolved: &Unresolved| {
        say(unresolved);
        exit = exit.max(unresolved.exit().0);
    };
    for asked in &args.targets {
        let text = printable(asked.text.as_encoded_bytes());
        let settled = match resolver.settle(asked) {
            Ok(settled) => settled,
            Err(unresolved) => {
                fails(&unresolved);
                continue;
            }
        };
        if let Target::Process(pid) = settled.target {
            let pid = resolver.process(pid).map_or(pid, |process| process.pid);
            let index = matrix.as_ref().and_then(|matrix| matrix.of_process(pid));
            let is_first =
                index.is_some_and(|index| matrix.as_ref().and_then(|it| it.first_process(index)) == Some(pid));
            match resolver.resolve(asked) {
                // The first process of a container stands for it.
                _ if is_first => containers.extend(index),
                // Where its namespaces are not readable, its credentials are.
                Ok(_) | Err(Unresolved::NotVisible(_) | Unresolved::Unseen(_))
                    if snapshot.processes.contains_key(&pid) =>
                {
                    plan.add_tree(snapshot, text, &[pid]);
                }
                Ok(_) => fails(&Unresolved::Missing(format!("{text}: no such process"))),
                Err(unresolved) => fails(&unresolved),
            }
            continue;
        }
        match resolver.resolve(asked) {
            Ok(ids) => {
                for id in ids {
                    plan.add_namespace(snapshot, text.clone(), id);
                }
            }
            Err(unresolved) => fails(&unresolved),
        }
    }
    containers.compact_sort();
    containers.dedup();
    plan.add_containers(snapshot, &containers);
    (plan, exit)
}
