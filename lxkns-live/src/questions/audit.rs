//! `audit`: how well containers and process trees are isolated from the host.

pub use lxkns_answers::audit::options;
use lxkns_answers::audit::{Answer, Audit, Judgement, Plan};
use lxkns_answers::containers::Matrix;
use lxkns_answers::json::Envelope;
use lxkns_answers::resolve::{Resolver, Unresolved};
use lxkns_answers::target::{Asked, Target};
use lxkns_core::model::{CompactSort as _, ConfinementFacts, Place, Places, Snapshot};

use super::{Host, Refuse, absent, text};

/// The places whose gaps can change the answer.
pub fn places() -> Places {
    options().places.with(Place::ProcessFacts).with(Place::NamespaceFacts).with(Place::Containers)
}

/// What these TARGETs mean.
pub fn plan(snapshot: &Snapshot, resolver: &Resolver<'_>, targets: &[Asked], refuse: &mut Refuse<'_>) -> Plan {
    let matrix = Matrix::of(snapshot);
    let (mut plan, mut containers) = (Plan::default(), Vec::new());
    for asked in targets {
        if let Err(unresolved) = add(snapshot, resolver, asked, matrix.as_ref(), &mut plan, &mut containers) {
            refuse(unresolved);
        }
    }
    containers.compact_sort();
    containers.dedup();
    plan.add_containers(snapshot, &containers);
    plan
}

fn add(
    snapshot: &Snapshot,
    resolver: &Resolver<'_>,
    asked: &Asked,
    matrix: Option<&Matrix<'_>>,
    plan: &mut Plan,
    containers: &mut Vec<usize>,
) -> Result<(), Unresolved> {
    let Target::Process(pid) = resolver.settle(asked)?.target else {
        for id in resolver.resolve(asked)? {
            plan.add_namespace(snapshot, text(asked), id);
        }
        return Ok(());
    };
    let pid = resolver.process(pid).map_or(pid, |process| process.pid);
    let index = matrix.and_then(|matrix| matrix.of_process(pid));
    let is_first = index.is_some_and(|index| matrix.and_then(|it| it.first_process(index)) == Some(pid));
    let resolved = resolver.resolve(asked);
    if is_first {
        // The first process of a container stands for it.
        containers.extend(index);
        return Ok(());
    }
    match resolved {
        // Where its namespaces are not readable, its credentials are.
        Ok(_) | Err(Unresolved::NotVisible(_) | Unresolved::Unseen(_)) if snapshot.processes.contains_key(&pid) => {
            plan.add_tree(snapshot, text(asked), &[pid]);
            Ok(())
        }
        Ok(_) => Err(absent(resolver, &text(asked), pid)),
        Err(unresolved) => Err(unresolved),
    }
}

/// What confines those who are judged, and what they have open that leads out.
pub fn read(host: &Host<'_>, snapshot: &Snapshot, plan: &Plan) -> Option<ConfinementFacts> {
    let is_any = !plan.subjects.is_empty();
    is_any.then(|| host.session.confinement(snapshot, &plan.pids()))
}

/// The answer.
pub fn answer(audit: &Audit<'_>, judgements: &[Judgement], gaps: Vec<String>) -> Envelope<Answer> {
    Envelope::new("audit", judgements.iter().map(|judgement| audit.answer(judgement)).collect(), gaps)
}
