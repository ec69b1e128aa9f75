//! The trees that user namespaces, PID namespaces and processes make.

use rustc_hash::{FxHashMap, FxHashSet};

use super::Forest;
use crate::{Namespace, NamespaceId, NamespaceType, Pid, Process, Relation, Snapshot};

/// No user namespace has more above it (`kernel/user_namespace.c`).
const DEEPEST_USER_NAMESPACE: usize = 33;

/// What stands in a tree.
///
/// Sorted as those next to each other stand there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TreeNode {
    /// A process.
    Process(Pid),
    /// A namespace below the user namespace that owns it.
    Owned(NamespaceType, NamespaceId),
    /// A user or PID namespace in the hierarchy of its type.
    Namespace(NamespaceId),
    /// Those processes of a PID namespace that are children of this one, which is in another.
    Members(NamespaceId, Pid),
    /// A user namespace between a PID namespace, if there is one, and those below it that it owns.
    Owner {
        /// The PID namespace.
        below: Option<NamespaceId>,
        /// The user namespace.
        user: NamespaceId,
    },
    /// All namespaces whose owner the kernel does not show to who looked.
    OwnerNotVisible,
    /// All namespaces whose owner is not known.
    OwnerNotAsked,
}

impl TreeNode {
    /// The namespace that it stands for, where it is one.
    pub fn namespace(self) -> Option<NamespaceId> {
        match self {
            Self::Owned(_, id) | Self::Namespace(id) | Self::Members(id, _) | Self::Owner { user: id, .. } => Some(id),
            _ => None,
        }
    }
}

/// The namespaces of a type below their parents: those of user or of PID namespaces.
pub fn hierarchy(snapshot: &Snapshot, ns_type: NamespaceType) -> Forest<TreeNode> {
    Forest::new(hierarchy_of(snapshot, ns_type))
}

fn hierarchy_of(snapshot: &Snapshot, ns_type: NamespaceType) -> impl Iterator<Item = (TreeNode, Option<TreeNode>)> {
    let parent = |namespace: &Namespace| namespace.parent.known().map(TreeNode::Namespace);
    of_type(snapshot, ns_type).map(move |namespace| (TreeNode::Namespace(namespace.id), parent(namespace)))
}

fn of_type(snapshot: &Snapshot, ns_type: NamespaceType) -> impl Iterator<Item = &Namespace> {
    snapshot.namespaces.values().filter(move |namespace| namespace.ns_type == ns_type)
}

/// The user namespaces below their parents, and all other namespaces below the user namespaces that own them, those by
/// type and inode number before the user namespaces. Those whose owner is not known stand together at the end.
pub fn ownership(snapshot: &Snapshot) -> Forest<TreeNode> {
    let others = snapshot.namespaces.values().filter(|namespace| namespace.ns_type != NamespaceType::User);
    let mut nodes: Vec<_> = hierarchy_of(snapshot, NamespaceType::User).collect();
    for namespace in others {
        let above = match namespace.owner {
            Relation::Known(owner) if is_user_namespace(snapshot, owner) => TreeNode::Namespace(owner),
            Relation::NotVisible => TreeNode::OwnerNotVisible,
            _ => TreeNode::OwnerNotAsked,
        };
        nodes.push((TreeNode::Owned(namespace.ns_type, namespace.id), Some(above)));
        if !matches!(above, TreeNode::Namespace(_)) {
            nodes.push((above, None));
        }
    }
    Forest::new(nodes)
}

fn is_user_namespace(snapshot: &Snapshot, id: NamespaceId) -> bool {
    snapshot.namespaces.get(&id).is_some_and(|namespace| namespace.ns_type == NamespaceType::User)
}

/// The PID namespaces below their parents, with the user namespaces that own them: between two PID namespaces stand
/// those that lead from the owner of the upper one down to the owner of the lower one.
pub fn owned_pid_namespaces(snapshot: &Snapshot) -> Forest<TreeNode> {
    let owner =
        |id: NamespaceId| snapshot.namespaces.get(&id)?.owner.known().filter(|&id| is_user_namespace(snapshot, id));
    let mut nodes = Vec::new();
    for namespace in of_type(snapshot, NamespaceType::Pid) {
        let (id, below) = (namespace.id, namespace.parent.known());
        let above = below.map(TreeNode::Namespace);
        let (Some(user), upper) = (owner(id), below.and_then(owner)) else {
            nodes.push((TreeNode::Namespace(id), above));
            continue;
        };
        if upper == Some(user) {
            nodes.push((TreeNode::Namespace(id), above));
            continue;
        }
        nodes.push((TreeNode::Namespace(id), Some(TreeNode::Owner { below, user })));
        // From a PID namespace without a parent nothing leads further up.
        let chain = match upper {
            Some(upper) => chain(snapshot, user, upper),
            None => vec![user],
        };
        for (index, &user) in chain.iter().enumerate() {
            let above = match chain.get(index + 1) {
                Some(&user) => Some(TreeNode::Owner { below, user }),
                None => above,
            };
            nodes.push((TreeNode::Owner { below, user }, above));
        }
    }
    Forest::new(nodes)
}

/// A user namespace, and those above it up to another, without that one; only the first where that one is not above.
fn chain(snapshot: &Snapshot, from: NamespaceId, to: NamespaceId) -> Vec<NamespaceId> {
    let mut chain = vec![from];
    while chain.len() <= DEEPEST_USER_NAMESPACE {
        let last = chain[chain.len() - 1];
        match snapshot.namespaces.get(&last).and_then(|namespace| namespace.parent.known()) {
            Some(parent) if parent == to => return chain,
            Some(parent) => chain.push(parent),
            None => break,
        }
    }
    vec![from]
}

/// The processes below their parents, and the PID namespaces that they are in: one stands wherever a process is in
/// another than its parent. A PID namespace without processes stands below its parent.
pub fn process_tree(snapshot: &Snapshot) -> Forest<TreeNode> {
    let link = |process: &Process| process.namespaces.get(NamespaceType::Pid);
    // One with no other PID than that in the procfs is in its namespace, which others who are there tell.
    let is_outermost = |process: &Process| process.status.as_ref().is_some_and(|status| status.ns_pids.len() == 1);
    let outermost = snapshot.processes.values().filter(|process| is_outermost(process)).find_map(link);
    let pid_ns = |process: &Process| link(process).or(outermost.filter(|_| is_outermost(process)));
    let parent = |process: &Process| process.ppid.and_then(|ppid| snapshot.processes.get(&ppid));
    // Where the namespace of a process begins that is a child of one in another.
    let entrance = |process: &Process, id| match parent(process) {
        Some(parent) => TreeNode::Members(id, parent.pid),
        None => TreeNode::Namespace(id),
    };
    let mut nodes = Vec::new();
    let mut entrances: FxHashMap<NamespaceId, TreeNode> = FxHashMap::default();
    for process in snapshot.processes.values() {
        let node = TreeNode::Process(process.pid);
        let above = match (parent(process), pid_ns(process)) {
            // Where it is was not readable.
            (parent, None) => parent.map(|parent| TreeNode::Process(parent.pid)),
            (Some(parent), Some(id)) if pid_ns(parent) == Some(id) => Some(TreeNode::Process(parent.pid)),
            (parent, Some(id)) => {
                let above = entrance(process, id);
                if let Some(parent) = parent {
                    nodes.push((above, Some(TreeNode::Process(parent.pid))));
                }
                let leader = snapshot.namespaces.get(&id).and_then(|namespace| namespace.leaders.first());
                if leader.is_none_or(|&leader| leader == process.pid) {
                    entrances.insert(id, above);
                } else {
                    entrances.entry(id).or_insert(above);
                }
                Some(above)
            }
        };
        nodes.push((node, above));
    }
    for namespace in of_type(snapshot, NamespaceType::Pid) {
        let node = TreeNode::Namespace(namespace.id);
        let entered = entrances.get(&namespace.id).copied().unwrap_or(node);
        let above = namespace.parent.known();
        let above = above.map(|id| entrances.get(&id).copied().unwrap_or(TreeNode::Namespace(id)));
        if entered == node {
            nodes.push((node, above));
        }
    }
    // Some processes are in a namespace that is not among the namespaces, or have no parent where others in the same
    // namespace have one.
    let known: FxHashSet<TreeNode> = nodes.iter().map(|&(node, _)| node).collect();
    let is_missing = |node: &TreeNode| matches!(node, TreeNode::Namespace(_)) && !known.contains(node);
    let missing: Vec<_> = nodes.iter().filter_map(|&(_, above)| above.filter(is_missing)).collect();
    nodes.extend(missing.into_iter().map(|node| (node, None)));
    Forest::new(nodes)
}

#[cfg(test)]
#[path = "trees_tests.rs"]
mod tests;
