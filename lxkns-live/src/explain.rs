//! What `explain` reads from the live host.

use std::time::Duration;

use lxkns_answers::explain::{self, Action, Verb};
use lxkns_core::Discovery;
use lxkns_core::model::{ActionFacts, CompactSort as _, Pid, Snapshot};
use lxkns_inside::Program;

/// What the kernel would ask about a process of the snapshot that wants to do something. What could not be read is added to the
/// gaps. `None` where the snapshot does not have the process.
pub fn action_facts(
    session: &Discovery<'_>,
    snapshot: &mut Snapshot,
    pid: Pid,
    action: &Action,
    program: &Program,
    timeout: Duration,
) -> Option<ActionFacts> {
    let (mut facts, gaps) = lxkns_core::action_facts(session.proc(), snapshot, snapshot.processes.get(&pid)?);
    snapshot.gaps.extend(gaps);
    if action.verb != Verb::Setns && !action.types.is_empty() {
        for id in explain::limiting(snapshot, snapshot.processes.get(&pid)?) {
            let namespace = snapshot.namespaces.get(&id).filter(|_| !facts.limits.contains_key(&id));
            let Some(namespace) = namespace else { continue };
            let looked = lxkns_inside::look(session, snapshot, namespace, program, timeout);
            facts.limits.extend(looked.inside.limits.map(|limits| (id, limits)));
            snapshot.gaps.extend(looked.gaps);
            snapshot.gaps.compact_sort();
            snapshot.gaps.dedup();
        }
    }
    Some(facts)
}
