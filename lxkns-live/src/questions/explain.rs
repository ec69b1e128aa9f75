//! `explain`: whether a process may create or enter namespaces, and what stands in the way.

use lxkns_answers::explain::{self, Action, ExplainAnswer, Explanation, Verb, Verdict};
pub use lxkns_answers::explain::{options, places};
use lxkns_answers::json::Envelope;
use lxkns_answers::resolve::{Resolver, Unresolved};
use lxkns_core::model::{ActionFacts, CompactSort as _, NamespaceId, Pid, Snapshot};

use super::{Host, gap_lines};

/// What the kernel would ask about a process of the snapshot that wants to do something. What could not be read is added to the
/// gaps. `None` where the snapshot does not have the process.
pub fn read(host: &Host<'_>, snapshot: &mut Snapshot, pid: Pid, action: &Action) -> Option<ActionFacts> {
    let (mut facts, gaps) = lxkns_core::action_facts(host.session.proc(), snapshot, snapshot.processes.get(&pid)?);
    snapshot.gaps.extend(gaps);
    if action.verb != Verb::Setns && !action.types.is_empty() {
        for id in explain::limiting(snapshot, snapshot.processes.get(&pid)?) {
            let namespace = snapshot.namespaces.get(&id).filter(|_| !facts.limits.contains_key(&id));
            let Some(namespace) = namespace else { continue };
            let looked = lxkns_inside::look(host.session, snapshot, namespace, host.program, host.timeout);
            facts.limits.extend(looked.inside.limits.map(|limits| (id, limits)));
            snapshot.gaps.extend(looked.gaps);
            snapshot.gaps.compact_sort();
            snapshot.gaps.dedup();
        }
    }
    Some(facts)
}

/// The namespaces that the process would enter, for each TARGET.
///
/// # Errors
///
/// One means none.
pub fn targets(resolver: &Resolver<'_>, action: &Action) -> Result<Vec<Vec<NamespaceId>>, Unresolved> {
    action.targets.iter().map(|asked| resolver.resolve(&resolver.settle(asked)?)).collect()
}

/// What could not be seen. A certain obstacle is one whatever else there is.
pub fn gaps(snapshot: &Snapshot, action: &Action, verdict: Verdict) -> Vec<String> {
    if verdict == Verdict::Fails { Vec::new() } else { gap_lines(snapshot, places(&options(action))) }
}

/// The answer.
pub fn answer(explanation: &Explanation<'_>, gaps: Vec<String>) -> Envelope<ExplainAnswer> {
    Envelope::new("explain", vec![explanation.answer()], gaps)
}
