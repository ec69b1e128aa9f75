//! `mounts`: the mounts of a mount namespace.

use lxkns_answers::json::Envelope;
use lxkns_answers::mounts::{Answer, Mounts};
use lxkns_answers::resolve::{Resolver, Unresolved};
use lxkns_answers::target::Asked;
use lxkns_core::model::{DiscoveryOptions, NamespaceId, NamespaceType, Object, Place, Places, Snapshot};

use super::{find_of_type, is_of_type, text};

/// What a snapshot must have for it: mount namespaces in all places that can hold one, with their mounts. Peers need the
/// mounts of all.
pub fn options() -> DiscoveryOptions {
    let mut options = DiscoveryOptions::namespaces();
    for place in [Place::Sockets, Place::Tun, Place::ForChildren] {
        options.places = options.places.without(place);
    }
    options.mounts = true;
    options.without_self = true;
    options
}

/// The mount namespace that a TARGET means; without one, this `home`.
///
/// # Errors
///
/// It means none.
pub fn find(
    snapshot: &Snapshot,
    resolver: &Resolver<'_>,
    asked: Option<&Asked>,
    home: Option<NamespaceId>,
) -> Result<NamespaceId, Unresolved> {
    let Some(asked) = asked else {
        let home = home.filter(|id| snapshot.namespaces.contains_key(id));
        let unknown = || "which mount namespace is the own one is not known: name one".to_owned();
        return home.ok_or_else(|| Unresolved::Unseen(unknown()));
    };
    let ids = find_of_type(resolver, asked, NamespaceType::Mnt)?;
    let id = ids.into_iter().find(|&id| is_of_type(snapshot, id, NamespaceType::Mnt));
    id.ok_or_else(|| Unresolved::Missing(format!("{}: not a mount namespace", text(asked))))
}

/// The places whose gaps can change the answer, and whether it tells of peers: there can be others in mount namespaces that
/// could not be reached.
pub fn places(tells_peers: bool) -> Places {
    let places: Places = [Place::BindMounts, Place::ProcesslessMounts].into_iter().collect();
    if tells_peers { places.with(Place::Processes).with(Place::Tasks) } else { places }
}

/// Keeps only gaps about a mount namespace (this one, or any) and about processes in any. The answer depends on all gaps: to
/// be called when it is found.
pub fn keep_gaps(snapshot: &mut Snapshot, only: Option<NamespaceId>) {
    let mut gaps = std::mem::take(&mut snapshot.gaps);
    gaps.retain(|gap| match gap.object {
        Object::Process(_) | Object::Task(..) | Object::Host => only.is_none() && gap.place <= Place::Tasks,
        Object::Namespace(id) => only.is_none_or(|only| only == id) && is_of_type(snapshot, id, NamespaceType::Mnt),
        _ => false,
    });
    snapshot.gaps = gaps;
}

/// What is said of a mount namespace; `None` where its mounts are not known.
pub fn found(snapshot: &Snapshot, id: NamespaceId, only_hidden: bool) -> Option<Answer> {
    let mut answer = Mounts::of(snapshot, id)?.answer();
    answer.mounts.retain(|mount| mount.hidden || !only_hidden);
    Some(answer)
}

/// The answer.
pub fn answer(found: Answer, gaps: Vec<String>) -> Envelope<Answer> {
    Envelope::new("mounts", vec![found], gaps)
}
