//! The namespaces without any process or task, and PID namespaces that do not end, by who holds them; those that were given a name on purpose come last.

use std::collections::{BTreeMap, BTreeSet};

use bstr::BStr;
use lxkns_model::relations;
use lxkns_model::{ContainerState, Holder, Namespace, NamespaceId, NamespaceType, Pid, Relation, Snapshot, Suspect};
use rustc_hash::FxHashSet;
use serde::Serialize;

use crate::context::Context;
use crate::ending::{EndingForm, Explained};
use crate::forms::{HolderForm, NamespaceForm, SuspectForm};
use crate::links::{LeftOver, LeftOverAnswer, Leftovers};
use crate::names::{self, Detail};
use crate::release::Advice;
use crate::suspects;
use crate::why::Explanation;

/// Orphans, by who holds them.
pub type Orphans<'a> = BTreeMap<Who, Vec<Explanation<'a>>>;

/// What holds namespaces, in the order in which they are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// A process, or a task of it.
    Process(Pid),
    /// Mounts in this mount namespace.
    Mounts(NamespaceId),
    /// Something else.
    Other,
    /// Nothing that could be seen.
    Nothing,
    /// Processes that have ended, or cannot: it is a PID namespace that does not end.
    Ending,
    /// The name that a program gave it on purpose: it is no leak.
    Name,
}

/// The directories in which programs name namespaces to keep them without any process: `ip netns`, snapd, Docker, and
/// CRI-O (`pinns`).
const NAMES: [&[u8]; 10] = [
    b"/run/netns/",
    b"/var/run/netns/",
    b"/run/snapd/ns/",
    b"/run/docker/netns/",
    b"/var/run/docker/netns/",
    b"/run/ipcns/",
    b"/run/utsns/",
    b"/run/userns/",
    b"/run/pidns/",
    b"/run/cgroupns/",
];

/// The path of the mount that names a namespace on purpose. Only names in the host's own mount namespace count: a copy of
/// one that stayed behind elsewhere, after the name was deleted, is a leak.
pub fn name_of(namespace: &Namespace, home: Option<NamespaceId>) -> Option<&BStr> {
    let is_name = |path: &[u8]| {
        let rest = NAMES.iter().find_map(|directory| path.strip_prefix(*directory));
        rest.is_some_and(|name| !name.is_empty() && !name.contains(&b'/'))
    };
    namespace.bind_mounts().iter().find_map(|holder| match holder {
        Holder::BindMount { mount_ns, path: Some(path), .. } if Some(*mount_ns) == home && is_name(path) => {
            Some(path.as_ref())
        }
        _ => None,
    })
}

/// Whether it was made for a container that has ended: whoever named it has forgotten it.
fn is_forgotten(snapshot: &Snapshot, namespace: &Namespace) -> bool {
    let containers = snapshot.annotations.containers.as_ref();
    let container = containers.zip(relations::container_of_namespace(snapshot, namespace.id));
    let container = container.and_then(|(containers, index)| containers.list.get(index));
    let state = container.and_then(|container| container.state.as_ref());
    state.is_some_and(|state| state.value == ContainerState::Exited)
}

impl Who {
    /// Who holds the namespace that this explains: of several the first.
    fn of(explanation: &Explanation<'_>) -> Self {
        if explanation.ending().is_some() {
            return Self::Ending;
        }
        if !explanation.is_explained() {
            return Self::Nothing;
        }
        let Context { snapshot, mount_ns, .. } = explanation.context;
        if name_of(explanation.namespace, mount_ns).is_some() && !is_forgotten(snapshot, explanation.namespace) {
            return Self::Name;
        }
        match explanation.first_holder() {
            Some(Holder::BindMount { mount_ns, .. } | Holder::Mount { mount_ns, .. }) => Self::Mounts(*mount_ns),
            Some(holder) => holder.pid().map_or(Self::Other, Self::Process),
            None => Self::Nothing,
        }
    }

    /// The heading of what it holds.
    pub fn describe(self, snapshot: &Snapshot) -> String {
        match self {
            Self::Process(pid) => format!("held by process {}", names::process(snapshot, pid, Detail::Full)),
            Self::Mounts(id) => format!("held by mounts in {}", names::namespace(snapshot, id)),
            Self::Other => "held by something else".to_owned(),
            Self::Nothing => "no visible holder".to_owned(),
            Self::Ending => "PID namespaces that do not end".to_owned(),
            Self::Name => "named on purpose, not leaks (--fail does not count them)".to_owned(),
        }
    }

    /// Whether what it holds is left over, as far as that can be known.
    pub fn is_leak(self) -> bool {
        self != Self::Name
    }
}

/// The namespaces that must stay because they own or are above a namespace with a process or task in it.
fn ancestors_of_the_living(snapshot: &Snapshot) -> FxHashSet<NamespaceId> {
    let above = |namespace: &Namespace| [namespace.owner, namespace.parent].into_iter().filter_map(Relation::known);
    let living = snapshot.namespaces.values().filter(|namespace| has_tasks(namespace));
    let mut todo: Vec<NamespaceId> = living.flat_map(above).collect();
    let mut found = FxHashSet::default();
    while let Some(id) = todo.pop() {
        if found.insert(id) {
            todo.extend(snapshot.namespaces.get(&id).into_iter().flat_map(above));
        }
    }
    found
}

pub(crate) fn has_tasks(namespace: &Namespace) -> bool {
    // They are sorted: tasks come first.
    let is_task = |holder: &Holder| matches!(holder, Holder::Process { .. } | Holder::Task { .. });
    !namespace.is_without_tasks() || namespace.holders.first().is_some_and(is_task)
}

/// The namespaces of these types (none: of all) without any process or task, by who holds them, then by type and inode
/// number.
///
/// What the kernel started with is none of them: it never goes. Neither is what only other namespaces hold, of which
/// those are listed that are left over, nor what owns or is above a namespace that somebody is in.
pub fn orphans<'a>(advice: &'a Advice<'a>, types: &[NamespaceType]) -> Orphans<'a> {
    let snapshot = advice.context().snapshot;
    let needed = ancestors_of_the_living(snapshot);
    let is_relative = |holder: &Holder| matches!(holder, Holder::Child { .. } | Holder::Owned { .. });
    let is_stuck =
        |namespace: &Namespace| Explained::of(snapshot, namespace.id).is_some_and(|ending| ending.is_stuck());
    let is_asked = |namespace: &Namespace| types.is_empty() || types.contains(&namespace.ns_type);
    let is_orphan = |namespace: &&Namespace| {
        if is_stuck(namespace) {
            return is_asked(namespace);
        }
        !namespace.initial
            && !has_tasks(namespace)
            && !needed.contains(&namespace.id)
            && (namespace.holders.is_empty() || !namespace.holders.iter().all(is_relative))
            && is_asked(namespace)
    };
    let mut orphans: Orphans<'a> = BTreeMap::new();
    for namespace in snapshot.namespaces_by_type().into_iter().filter(is_orphan) {
        let explanation = Explanation::new(advice, namespace);
        orphans.entry(Who::of(&explanation)).or_default().push(explanation);
    }
    orphans
}

/// Whether one of them is a network namespace, with which links can be left over.
pub fn has_network(orphans: &Orphans<'_>) -> bool {
    orphans.values().flatten().any(|orphan| orphan.namespace.ns_type == NamespaceType::Net)
}

/// What may hold each of these orphans, by the type that it can hold: the most likely first. What may hold one may hold every
/// other of its type.
pub fn suspects<'a>(snapshot: &'a Snapshot, orphans: &Orphans<'_>) -> BTreeMap<NamespaceType, Vec<&'a Suspect>> {
    let types: BTreeSet<_> = orphans.values().flatten().map(|orphan| orphan.namespace.ns_type).collect();
    types.into_iter().map(|ns_type| (ns_type, suspects::of_orphans(snapshot, ns_type))).collect()
}

/// Some of the orphans, by who holds them.
pub type Groups<'a, 'b> = BTreeMap<Who, Vec<&'b Explanation<'a>>>;

/// Those that are certainly left over; and those that may not be, as not everything could be seen.
pub fn by_certainty<'a, 'b>(orphans: &'b Orphans<'a>) -> (Groups<'a, 'b>, Groups<'a, 'b>) {
    let (mut certain, mut others) = (Groups::new(), Groups::new());
    for (&who, orphans) in orphans {
        for orphan in orphans {
            let groups = if is_left_over(orphan) { &mut certain } else { &mut others };
            groups.entry(who).or_default().push(orphan);
        }
    }
    (certain, others)
}

/// Whether it is known that no process or task is in it.
pub fn is_certain(orphan: &Explanation<'_>) -> bool {
    relations::members_seen(orphan.context.snapshot, orphan.namespace)
}

/// Whether it is known to be left over: no process or task is in it, or it does not end although its first process has.
pub fn is_left_over(orphan: &Explanation<'_>) -> bool {
    is_certain(orphan) || orphan.ending().is_some_and(|ending| ending.is_stuck())
}

/// Whether one of them is known to be left over.
pub fn has_leak(orphans: &Orphans<'_>) -> bool {
    orphans.iter().any(|(who, orphans)| who.is_leak() && orphans.iter().any(is_left_over))
}

/// What `lxkns orphans` says of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct OrphanResult {
    /// What to ask `lxkns why` for.
    pub target: String,
    /// The namespace.
    pub namespace: NamespaceForm,
    /// Whether it is known that no process or task is in it: all could be seen that may be.
    pub members_seen: bool,
    /// Whether something that was seen keeps it alive.
    pub keeper_found: bool,
    /// For which container it was made, and how that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub made_for: Option<String>,
    /// Why it does not end, where it is a PID namespace whose first process has ended or was killed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ending: Option<EndingForm>,
    /// The path of the mount that names it on purpose: then it is no leak.
    pub name: Option<String>,
    /// What keeps it alive.
    pub holders: Vec<HolderForm>,
    /// The links that are left over with it, of a network namespace; `null` where they were not read: a dump has none.
    pub left_over: Option<Vec<LeftOverAnswer>>,
    /// The likeliest of those that may hold a namespace of its type.
    pub suspects: Vec<SuspectForm>,
    /// How many there are.
    pub suspect_count: usize,
}

/// What is said of orphans, each with no more suspects than this. `links` are those that are left over, where they were read.
pub fn results(
    context: &Context<'_>,
    orphans: &Orphans<'_>,
    links: Option<&Leftovers>,
    most_suspects: usize,
) -> Vec<OrphanResult> {
    let suspects = suspects(context.snapshot, orphans);
    let result = |orphan: &Explanation<'_>| {
        let of_type = suspects.get(&orphan.namespace.ns_type).map_or(&[][..], Vec::as_slice);
        let likeliest = of_type.iter().take(most_suspects);
        OrphanResult {
            target: names::target(context.snapshot, orphan.namespace.id),
            namespace: orphan.namespace_form(),
            members_seen: is_certain(orphan),
            keeper_found: orphan.is_explained(),
            made_for: orphan.made_for(),
            ending: orphan.ending().map(|ending| ending.form()),
            name: name_of(orphan.namespace, context.mount_ns)
                .filter(|_| !is_forgotten(context.snapshot, orphan.namespace))
                .map(|path| names::lossy(path)),
            holders: orphan.holder_forms(),
            left_over: links.map(|links| links.of_orphan(orphan.namespace.id).map(LeftOver::answer).collect()),
            suspects: likeliest.map(|suspect| SuspectForm::of(context, suspect)).collect(),
            suspect_count: of_type.len(),
        }
    };
    orphans.values().flatten().map(result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{BUSY, HOME, LEFT, LOOSE, NET, ODD, USER, contained, id, snapshot};
    use lxkns_model::{Confidence, Tid};

    fn at_home(snapshot: &Snapshot) -> Context<'_> {
        Context { snapshot, mount_ns: Some(HOME), is_live: true }
    }

    #[test]
    fn only_names_in_the_own_mount_namespace_keep_a_namespace_on_purpose() {
        let mut snapshot = snapshot();
        let at = |path: &str, mount_ns| Holder::BindMount { mount_ns, mount_id: 3, path: Some(path.into()) };
        for (path, mount_ns, expected) in [
            ("/run/netns/x", HOME, Who::Name),
            ("/run/snapd/ns/x.mnt", HOME, Who::Name),
            ("/run/netns/x", LOOSE, Who::Mounts(LOOSE)),
            ("/run/netns/x/y", HOME, Who::Mounts(HOME)),
            ("/run/netns/", HOME, Who::Mounts(HOME)),
            ("/srv/x", HOME, Who::Mounts(HOME)),
        ] {
            snapshot.namespaces.get_mut(&LEFT).unwrap().holders = vec![at(path, mount_ns)];
            let advice = Advice::of(at_home(&snapshot));
            let found = orphans(&advice, &[NamespaceType::Net]);
            assert_eq!(found.into_keys().collect::<Vec<_>>(), [expected], "{path}");
            assert_eq!(expected.is_leak(), expected != Who::Name);
        }
    }

    #[test]
    fn what_was_made_for_a_container_that_has_ended_is_forgotten() {
        let mut snapshot = contained();
        let found = |snapshot: &Snapshot| {
            let advice = Advice::of(at_home(snapshot));
            let found = orphans(&advice, &[NamespaceType::Net]);
            let results = serde_json::to_value(results(&at_home(snapshot), &found, None, 1)).unwrap();
            (found.into_keys().collect::<Vec<_>>(), results[0].clone())
        };
        let (who, result) = found(&snapshot);
        assert_eq!(who, [Who::Process(Pid(1))]);
        assert_eq!(result["name"], serde_json::Value::Null);
        assert_eq!(result["namespace"]["container"]["pod"], "default/web-0");
        let made_for =
            "made for cri:app (pod default/web-0), which is exited: cni-result /var/lib/cni/results/x (sure)";
        assert_eq!(result["made-for"], made_for);
        // The engine removes its name, not `ip netns`.
        let unmount = &result["holders"][1]["release"][0];
        assert_eq!(unmount["engine-command"], "crictl rm -f 00112233445566778899");
        assert_eq!(unmount.get("delete-name"), None);
        // One that may run has its name on purpose.
        snapshot.annotations.containers.as_mut().unwrap().list[1].state = None;
        assert_eq!(found(&snapshot).0, [Who::Name]);
        // What an ordinary user can make up is no advice, but nobody's it is not either.
        snapshot.annotations.containers.as_mut().unwrap().list[1].evidence[0].confidence = Confidence::Claimed;
        let (_, result) = found(&snapshot);
        let unmount = &result["holders"][1]["release"][0];
        assert_eq!((unmount.get("engine-command"), unmount.get("delete-name")), (None, None));
        snapshot.annotations.containers = None;
        assert_eq!(found(&snapshot).1["holders"][1]["release"][0]["delete-name"], "ip netns delete left");
    }

    #[test]
    fn what_is_above_the_living_or_held_by_others_alone_is_none() {
        let mut snapshot = snapshot();
        let [top, middle] = [id(4_026_532_601), id(4_026_532_602)];
        for (id, parent, holders) in [
            (top, USER, vec![Holder::Child { ns: middle }, Holder::Fd { pid: Pid(1), tid: Tid(1), fd: 8 }]),
            (middle, top, vec![Holder::Owned { ns: BUSY }]),
        ] {
            let mut namespace = Namespace::new(id, NamespaceType::User);
            (namespace.parent, namespace.owner) = (Relation::Known(parent), Relation::Known(parent));
            namespace.holders = holders;
            snapshot.namespaces.insert(id, namespace);
        }
        snapshot.namespaces.get_mut(&BUSY).unwrap().owner = Relation::Known(middle);
        assert!(
            orphans(&Advice::of(Context { mount_ns: None, ..at_home(&snapshot) }), &[NamespaceType::User]).is_empty(),
            "somebody is in what they own"
        );
        let busy = snapshot.namespaces.get_mut(&BUSY).unwrap();
        busy.leaders.clear();
        busy.holders = vec![Holder::Fd { pid: Pid(1), tid: Tid(1), fd: 9 }];
        let advice = Advice::of(Context { mount_ns: None, ..at_home(&snapshot) });
        let found = orphans(&advice, &[NamespaceType::User]);
        let found: Vec<_> = found.values().flatten().map(|orphan| orphan.namespace.id).collect();
        assert_eq!(found, [top], "a descriptor holds it too; the other one ends with what it owns");
    }

    #[test]
    fn what_has_a_process_or_a_task_is_none_and_neither_is_what_the_kernel_started_with() {
        let mut snapshot = snapshot();
        snapshot.namespaces.get_mut(&NET).unwrap().leaders.clear();
        snapshot.namespaces.get_mut(&NET).unwrap().holders.clear();
        let advice = Advice::of(Context { mount_ns: None, ..at_home(&snapshot) });
        let found = orphans(&advice, &[]);
        let mut found: Vec<_> = found.values().flatten().map(|orphan| orphan.namespace.id).collect();
        found.sort_unstable();
        assert_eq!(found, [LEFT, ODD]);
        assert!(!found.contains(&LOOSE) && !found.contains(&BUSY));
        assert_eq!(orphans(&advice, &[NamespaceType::Pid]).into_keys().collect::<Vec<_>>(), [Who::Nothing]);
        assert!(orphans(&advice, &[NamespaceType::Uts]).is_empty());
    }
}
