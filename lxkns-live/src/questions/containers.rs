//! `containers`: the containers of a host, what they share, and what confines them.

use std::collections::BTreeMap;

use lxkns_answers::containers::{Answer, Matrix};
use lxkns_answers::json::Envelope;
use lxkns_answers::resolve::{Resolver, Unresolved};
use lxkns_answers::target::{Asked, Target};
use lxkns_core::ProcRoot;
use lxkns_core::model::{CompactSort as _, DiscoveryOptions, Place, Places, Scope};

use super::{Refuse, show, text};

/// What a snapshot must have for it: the answer is about processes, their namespaces, and namespaces that were made for
/// containers. With the limits of their control groups, where those are shown.
pub fn options(with_limits: bool) -> DiscoveryOptions {
    let mut options = DiscoveryOptions::namespaces();
    for place in [Place::Sockets, Place::Tun, Place::ForChildren] {
        options.places = options.places.without(place);
    }
    options.status = Scope::Named;
    options.namespace_details = true;
    // What is mounted in a mount namespace without processes can say for which container it was made.
    options.mounts = true;
    options.without_self = true;
    // The limits come with the freezer.
    options.cgroups = with_limits;
    options.freezer = with_limits;
    options
}

/// The places whose gaps can change the answer.
pub fn places() -> Places {
    options(false).places.with(Place::ProcessFacts).with(Place::NamespaceFacts).with(Place::Containers)
}

/// The containers that these TARGETs mean; all where there are none.
pub fn select(matrix: &Matrix<'_>, resolver: &Resolver<'_>, targets: &[Asked], refuse: &mut Refuse<'_>) -> Vec<usize> {
    if targets.is_empty() {
        return matrix.select(None);
    }
    let mut shown = Vec::new();
    for asked in targets {
        match of(matrix, resolver, asked) {
            Ok(found) => shown.extend(found),
            Err(unresolved) => refuse(unresolved),
        }
    }
    shown.compact_sort();
    shown.dedup();
    shown
}

fn of(matrix: &Matrix<'_>, resolver: &Resolver<'_>, asked: &Asked) -> Result<Vec<usize>, Unresolved> {
    let mut found = Vec::new();
    if let Target::Process(pid) = resolver.settle(asked)?.target {
        let pid = resolver.process(pid).map_or(pid, |process| process.pid);
        found.extend(matrix.of_process(pid));
        if found.is_empty() {
            // Why it is not there, where it is not.
            resolver.resolve(asked)?;
        }
    } else {
        found = matrix.select(Some(&resolver.resolve(asked)?));
    }
    if found.is_empty() {
        return Err(Unresolved::Missing(format!("{}: in no container that was seen", text(asked))));
    }
    Ok(found)
}

/// The containers with the labels that security modules gave their first processes, by the procfs of the living host.
pub fn with_labels<'a>(proc: Option<&ProcRoot>, matrix: Matrix<'a>, shown: &[usize]) -> Matrix<'a> {
    let mut labels = BTreeMap::new();
    for &index in shown {
        let process = matrix.first_process(index).and_then(|pid| matrix.snapshot().processes.get(&pid));
        labels.extend(process.map(|process| (index, show::label(proc, matrix.snapshot(), process))));
    }
    matrix.with_labels(labels)
}

/// The answer.
pub fn answer(matrix: &Matrix<'_>, shown: &[usize], gaps: Vec<String>) -> Envelope<Answer> {
    Envelope::new("containers", shown.iter().filter_map(|&index| matrix.answer(index)).collect(), gaps)
}
