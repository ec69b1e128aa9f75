//! `links`: the links of all network namespaces, and how they relate.

use lxkns_answers::json::Envelope;
use lxkns_answers::lacks::Lacks;
use lxkns_answers::links::{GraphAnswer, Links};
use lxkns_answers::resolve::{Resolver, Unresolved};
use lxkns_answers::target::Asked;
use lxkns_core::model::links::HostLink;
use lxkns_core::model::{DiscoveryOptions, NamespaceId, NamespaceType, Snapshot};

use super::{Refuse, find, gap_lines, is_of_type, text};

/// What a snapshot must have for it.
pub fn options() -> DiscoveryOptions {
    let mut options = DiscoveryOptions::namespaces();
    options.without_self = true;
    options
}

/// The network namespaces that these TARGETs mean.
pub fn namespaces(
    snapshot: &Snapshot,
    resolver: &Resolver<'_>,
    targets: &[Asked],
    refuse: &mut Refuse<'_>,
) -> Vec<NamespaceId> {
    let mut namespaces: Vec<NamespaceId> = Vec::new();
    for (asked, ids) in find(resolver, targets, refuse) {
        let before = namespaces.len();
        namespaces.extend(ids.into_iter().filter(|&id| is_of_type(snapshot, id, NamespaceType::Net)));
        if namespaces.len() == before {
            refuse(Unresolved::Usage(format!("{}: no network namespace", text(asked))));
        }
    }
    namespaces
}

/// What could not be seen.
pub fn gaps(links: &Links<'_>) -> Vec<String> {
    let mut gaps = gap_lines(links.context.snapshot, options().places);
    gaps.extend(links.gaps());
    gaps
}

/// The answer.
pub fn answer(links: &Links<'_>, shown: &[&HostLink], gaps: Vec<String>) -> Envelope<GraphAnswer> {
    let leftovers = links.leftovers(&Lacks::of(links.context.snapshot));
    Envelope::new("links", vec![links.answer(shown, &leftovers)], gaps)
}
