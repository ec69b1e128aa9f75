//! `orphans`: the namespaces without a process or task.

use std::time::Duration;

use lxkns_answers::context::Context;
use lxkns_answers::json::Envelope;
use lxkns_answers::links::{Leftovers, Links};
use lxkns_answers::orphans::{OrphanResult, Orphans, results};
use lxkns_answers::why::may_be_held_by_shared_memory;
use lxkns_core::model::links::HostLinks;
use lxkns_core::model::{DiscoveryOptions, NamespaceType, Scope, Snapshot};

use super::{Host, More};

/// How long a PID namespace takes to end, at most, where nothing keeps it.
const SETTLING: Duration = Duration::from_millis(100);

/// What a snapshot must have for it.
pub fn options() -> DiscoveryOptions {
    let mut options = DiscoveryOptions::namespaces();
    options.command_lines = Scope::Named;
    // Whether the caller may end a process depends on its UIDs.
    options.status = Scope::Named;
    options.suspects = true;
    options.without_self = true;
    // Propagation of unmounts depends on all mounts.
    options.mounts = true;
    options
}

/// The places whose gaps can hide what keeps a namespace alive.
pub use super::why::places;

fn is_asked(types: &[NamespaceType], ns_type: NamespaceType) -> bool {
    types.is_empty() || types.contains(&ns_type)
}

/// What may hold namespaces of these types that no scan has, and why they do not end. An empty list is all types.
pub fn read(host: &Host<'_>, snapshot: &Snapshot, types: &[NamespaceType]) -> More {
    let mut more = More::default();
    if is_asked(types, NamespaceType::Ipc) && snapshot.namespaces.values().any(may_be_held_by_shared_memory) {
        (more.suspects, more.gaps) = host.session.shared_memory_users(snapshot);
    }
    if is_asked(types, NamespaceType::Pid) {
        let pids = snapshot.namespaces.values().filter(|namespace| namespace.ns_type == NamespaceType::Pid);
        more.endings = host.endings(snapshot, pids.map(|namespace| namespace.id));
        if !more.endings.is_empty() {
            // What is just ending has ended by then.
            std::thread::sleep(SETTLING);
            more.endings = host.endings(snapshot, more.endings.keys().copied());
        }
    }
    more
}

/// The links of all network namespaces, where one of these types may have left some.
pub fn links(host: &Host<'_>, snapshot: &Snapshot, types: &[NamespaceType]) -> Option<HostLinks> {
    is_asked(types, NamespaceType::Net).then(|| host.links(snapshot))
}

/// What could not be seen of links.
pub fn gaps_of_links(links: &Links<'_>) -> Vec<String> {
    links.gaps().into_iter().chain(links.not_found()).collect()
}

/// The answer, with no more suspects of each type than this.
pub fn answer(
    context: &Context<'_>,
    orphans: &Orphans<'_>,
    links: Option<&Leftovers>,
    most_suspects: usize,
    gaps: Vec<String>,
) -> Envelope<OrphanResult> {
    Envelope::new("orphans", results(context, orphans, links, most_suspects), gaps)
}
