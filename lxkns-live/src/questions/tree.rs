//! `tree`: namespaces and processes as a tree.

use std::collections::BTreeSet;

use lxkns_answers::json::Envelope;
use lxkns_answers::resolve::{Resolver, Unresolved};
use lxkns_answers::target::{Asked, Target};
use lxkns_answers::tree::{Kind, Row, Tree};
use lxkns_core::model::{DiscoveryOptions, NamespaceId, NamespaceType, Place, Places, Scope, Snapshot};
use lxkns_core::relations::{self, Forest, TreeNode};

use super::{find_of_type, find_process, is_of_type, text};

fn is_user(kind: Kind) -> bool {
    matches!(kind, Kind::User | Kind::Ownership)
}

/// What a snapshot must have for a tree: all places that can hold a namespace of it.
pub fn options(kind: Kind, has_cgroups: bool) -> DiscoveryOptions {
    let mut options = DiscoveryOptions::namespaces();
    if matches!(kind, Kind::Pid | Kind::Process) {
        // These hold network namespaces only.
        for place in [Place::Sockets, Place::Tun] {
            options.places = options.places.without(place);
        }
    }
    options.status = match kind {
        Kind::Process => Scope::All,
        _ if is_user(kind) => Scope::None,
        _ => Scope::Named,
    };
    options.cgroups = has_cgroups;
    options.without_self = true;
    options
}

/// The places whose gaps can show.
pub fn places(kind: Kind, has_cgroups: bool) -> Places {
    let options = options(kind, has_cgroups);
    let mut places = options.places;
    if options.status != Scope::None {
        places = places.with(Place::ProcessFacts);
    }
    if has_cgroups {
        places = places.with(Place::Cgroups);
    }
    places
}

/// The branch of a tree that a TARGET is the root of. `seen_in`: the PID is that in this PID namespace.
///
/// # Errors
///
/// There is none.
pub fn branch(
    snapshot: &Snapshot,
    resolver: &Resolver<'_>,
    whole: &Forest<TreeNode>,
    kind: Kind,
    target: &Asked,
    seen_in: Option<&Asked>,
) -> Result<Forest<TreeNode>, Unresolved> {
    let missing = |what: &str| Unresolved::Missing(format!("{}: {what}", text(target)));
    let settled = if seen_in.is_none() { resolver.settle(target)? } else { target.clone() };
    if let (Kind::Process, Target::Process(pid)) = (kind, &settled.target) {
        let pid = match seen_in {
            None => {
                resolver.verify(&settled)?;
                find_process(resolver, target, *pid)?.pid
            }
            Some(seen_in) => {
                let found = find_of_type(resolver, seen_in, NamespaceType::Pid)?;
                let Some(id) = found.into_iter().find(|&id| is_of_type(snapshot, id, NamespaceType::Pid)) else {
                    return Err(Unresolved::Missing(format!("{}: not a PID namespace", text(seen_in))));
                };
                relations::pid_in(snapshot, id, *pid).ok_or_else(|| {
                    let namespace = lxkns_answers::names::namespace(snapshot, id);
                    let words = format!("{}: no process is seen to have this PID in {namespace}", text(target));
                    match relations::members_seen(snapshot, &snapshot.namespaces[&id]) {
                        true => Unresolved::Missing(words),
                        false => Unresolved::Unseen(words),
                    }
                })?
            }
        };
        return Ok(whole.branches([TreeNode::Process(pid)]));
    }
    let ns_type = if is_user(kind) { NamespaceType::User } else { NamespaceType::Pid };
    let wanted: BTreeSet<NamespaceId> = find_of_type(resolver, &settled, ns_type)?.into_iter().collect();
    let is_wanted = |node: &TreeNode| {
        // A user namespace only connects PID namespaces.
        !matches!(node, TreeNode::Owner { .. }) && node.namespace().is_some_and(|id| wanted.contains(&id))
    };
    let branch = whole.branches(whole.nodes().filter(is_wanted));
    match branch.roots().is_empty() {
        false => Ok(branch),
        true if is_user(kind) => Err(missing("not a user namespace (--owned shows those that they own)")),
        true => Err(missing("not a PID namespace")),
    }
}

/// The answer.
pub fn answer(tree: &Tree<'_>, gaps: Vec<String>) -> Envelope<Row> {
    Envelope::new("tree", tree.answer(), gaps)
}
