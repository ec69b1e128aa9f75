//! `caps`: the capabilities of a process in a namespace, and why.

pub use lxkns_answers::caps::options;
use lxkns_answers::caps::{self, Caps, CapsAnswer, Whose};
use lxkns_answers::json::Envelope;
use lxkns_answers::resolve::{Resolver, Unresolved};
use lxkns_answers::target::{Asked, Target};
use lxkns_core::model::{NamespaceId, Pid, Place, Process, Snapshot};

use super::{absent, gap_lines};

/// A process, and the namespaces in which its capabilities are asked for.
pub type Subject<'a> = (&'a Process, Vec<NamespaceId>);

/// What is asked about. `asker` is the process that counts where none is named.
///
/// # Errors
///
/// A process or namespace is not there.
pub fn find<'a>(
    snapshot: &Snapshot,
    resolver: &Resolver<'a>,
    asked: &Asked,
    named: Option<Pid>,
    asker: &dyn Fn() -> Result<Pid, Unresolved>,
) -> Result<Subject<'a>, Unresolved> {
    resolver.verify(asked)?;
    let target = resolver.settle(asked)?;
    let whose = Whose::of(&target.target, named);
    let pid = match whose {
        Whose::Named(pid) => pid,
        Whose::Asker => asker()?,
    };
    let process = resolver.process(pid).ok_or_else(|| absent(resolver, &pid.to_string(), pid))?;
    let namespaces = resolver.resolve(&target)?;
    Ok((process, caps::with_host(snapshot, &target.target, whose, namespaces)))
}

/// What could not be seen. A known answer depends on one process and a few namespaces, so other gaps do not matter.
pub fn gaps(snapshot: &Snapshot, target: &Target, all: &[Caps<'_>]) -> Vec<String> {
    let is_unknown = all.is_empty() || all.iter().any(|caps| caps.capabilities().is_none());
    let places = options(target, Whose::Asker).places.with(Place::ProcessFacts);
    if is_unknown { gap_lines(snapshot, places) } else { Vec::new() }
}

/// The answer.
pub fn answer(all: &[Caps<'_>], gaps: Vec<String>) -> Envelope<CapsAnswer> {
    Envelope::new("caps", all.iter().flat_map(Caps::answers).collect(), gaps)
}
