//! The namespaces without any process or thread, by who holds them; those that were given a name on purpose come last.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use bstr::BStr;
use lxkns_core::model::{Holder, Namespace, NamespaceId, NamespaceType, Pid, Relation, Snapshot, Suspect};
use rustc_hash::FxHashSet;

use lxkns_core::relations;

use super::names::{self, Detail};
use super::release::Advice;
use super::screen::Screen;
use super::why::{Explanation, SOME, suspects_of_orphans, write_hidden, write_suspects};

/// Who holds something; in the order in which they are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    /// A process, or a thread of it.
    Process(Pid),
    /// Mounts in this mount namespace.
    Mounts(NamespaceId),
    /// Something else.
    Other,
    /// Nothing that could be seen.
    Nothing,
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
pub(crate) fn name_of(namespace: &Namespace, home: Option<NamespaceId>) -> Option<&BStr> {
    let is_name = |path: &[u8]| {
        let rest = NAMES.iter().find_map(|directory| path.strip_prefix(*directory));
        rest.is_some_and(|name| !name.is_empty() && !name.contains(&b'/'))
    };
    namespace.holders.iter().find_map(|holder| match holder {
        Holder::BindMount { mount_ns, path: Some(path), .. } if Some(*mount_ns) == home && is_name(path) => {
            Some(path.as_ref())
        }
        _ => None,
    })
}

impl Who {
    /// Who holds the namespace that this explains: of several the first.
    fn of(explanation: &Explanation<'_>) -> Self {
        if !explanation.is_explained() {
            return Self::Nothing;
        }
        if name_of(explanation.namespace, explanation.home).is_some() {
            return Self::Name;
        }
        match explanation.holders().first() {
            Some(Holder::BindMount { mount_ns, .. } | Holder::Mount { mount_ns, .. }) => Self::Mounts(*mount_ns),
            Some(holder) => holder.pid().map_or(Self::Other, Self::Process),
            None => Self::Nothing,
        }
    }

    fn describe(self, snapshot: &Snapshot) -> String {
        match self {
            Self::Process(pid) => format!("held by process {}", names::process(snapshot, pid, Detail::Full)),
            Self::Mounts(id) => format!("held by mounts in {}", names::namespace(snapshot, id)),
            Self::Other => "held by something else".to_owned(),
            Self::Nothing => "no visible holder".to_owned(),
            Self::Name => "named on purpose, no leaks (--fail does not count them)".to_owned(),
        }
    }

    /// Whether what it holds is left over, as far as anybody can tell.
    pub(crate) fn is_leak(self) -> bool {
        self != Self::Name
    }
}

/// The namespaces that must stay because they own or are above a namespace with a process or thread in it.
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

fn has_tasks(namespace: &Namespace) -> bool {
    let is_task = |holder: &Holder| matches!(holder, Holder::Process { .. } | Holder::Task { .. });
    !namespace.is_without_tasks() || namespace.holders.iter().any(is_task)
}

/// The namespaces of these types (none: of all) without any process or thread, by who holds them, then by type and inode
/// number.
///
/// What the kernel started with is none of them: it never goes. Neither is what only other namespaces hold, of which
/// those are listed that are left over, nor what owns or is above a namespace that somebody is in.
pub(crate) fn orphans<'a>(advice: &'a Advice<'a>, types: &[NamespaceType]) -> BTreeMap<Who, Vec<Explanation<'a>>> {
    let snapshot = advice.snapshot();
    let needed = ancestors_of_the_living(snapshot);
    let is_relative = |holder: &Holder| matches!(holder, Holder::Child { .. } | Holder::Owned { .. });
    let is_orphan = |namespace: &&Namespace| {
        !namespace.initial
            && !has_tasks(namespace)
            && !needed.contains(&namespace.id)
            && (namespace.holders.is_empty() || !namespace.holders.iter().all(is_relative))
            && (types.is_empty() || types.contains(&namespace.ns_type))
    };
    let mut orphans: BTreeMap<Who, Vec<Explanation<'a>>> = BTreeMap::new();
    for namespace in snapshot.namespaces_by_type().into_iter().filter(is_orphan) {
        let explanation = Explanation::new(advice, namespace);
        orphans.entry(Who::of(&explanation)).or_default().push(explanation);
    }
    orphans
}

/// Writes them for people, with no more than `limit` holders of a kind.
pub(crate) fn write(
    out: &mut impl Write,
    snapshot: &Snapshot,
    orphans: &BTreeMap<Who, Vec<Explanation<'_>>>,
    screen: Screen,
    limit: usize,
) -> io::Result<()> {
    let (certain, others) = by_certainty(orphans);
    write_groups(out, snapshot, &certain, screen, limit)?;
    let first = others.values().flatten().next();
    if let Some(why) = first.and_then(|orphan| names::unseen_members(snapshot, orphan.namespace)) {
        if !certain.is_empty() {
            writeln!(out)?;
        }
        screen.line(out, "", || format!("not known to be orphans: {why}"))?;
        writeln!(out)?;
        write_groups(out, snapshot, &others, screen, limit)?;
    }
    write_suspects_by_type(out, snapshot, orphans, screen, limit)
}

/// What may hold each of these orphans, by the type that it can hold: the most likely first. What may hold one may hold every
/// other of its type.
pub(crate) fn suspects<'a>(
    snapshot: &'a Snapshot,
    orphans: &BTreeMap<Who, Vec<Explanation<'_>>>,
) -> BTreeMap<NamespaceType, Vec<&'a Suspect>> {
    let types: BTreeSet<_> = orphans.values().flatten().map(|orphan| orphan.namespace.ns_type).collect();
    types.into_iter().map(|ns_type| (ns_type, suspects_of_orphans(snapshot, ns_type))).collect()
}

/// Writes what may hold the orphans, once for each type.
fn write_suspects_by_type(
    out: &mut impl Write,
    snapshot: &Snapshot,
    orphans: &BTreeMap<Who, Vec<Explanation<'_>>>,
    screen: Screen,
    limit: usize,
) -> io::Result<()> {
    let unexplained = orphans.get(&Who::Nothing).into_iter().flatten();
    let unexplained: BTreeSet<_> = unexplained.map(|orphan| orphan.namespace.ns_type).collect();
    for (ns_type, suspects) in suspects(snapshot, orphans) {
        let is_unexplained = unexplained.contains(&ns_type);
        match (suspects.is_empty(), is_unexplained) {
            (true, false) => continue,
            (true, true) => writeln!(out, "\nno suspects for {ns_type} namespaces")?,
            (false, _) => writeln!(
                out,
                "\nsuspects for {ns_type} namespaces: each may hold one of the above, or another one, or none; the kernel \
                 does not say"
            )?,
        }
        write_suspects(out, snapshot, &suspects, screen, limit.max(SOME))?;
        if is_unexplained {
            write_hidden(out, Some(ns_type))?;
        }
    }
    Ok(())
}

type Groups<'a, 'b> = BTreeMap<Who, Vec<&'b Explanation<'a>>>;

/// Those that surely have no process or thread, and those of which that is not known, as not all could be seen.
fn by_certainty<'a, 'b>(orphans: &'b BTreeMap<Who, Vec<Explanation<'a>>>) -> (Groups<'a, 'b>, Groups<'a, 'b>) {
    let (mut certain, mut others) = (Groups::new(), Groups::new());
    for (&who, orphans) in orphans {
        for orphan in orphans {
            let groups = if is_certain(orphan) { &mut certain } else { &mut others };
            groups.entry(who).or_default().push(orphan);
        }
    }
    (certain, others)
}

/// Whether it is known that no process or thread is in it.
pub(crate) fn is_certain(orphan: &Explanation<'_>) -> bool {
    relations::members_seen(orphan.snapshot, orphan.namespace)
}

fn write_groups(
    out: &mut impl Write,
    snapshot: &Snapshot,
    groups: &Groups<'_, '_>,
    screen: Screen,
    limit: usize,
) -> io::Result<()> {
    for (index, (who, orphans)) in groups.iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        screen.line(out, "", || who.describe(snapshot))?;
        for orphan in orphans {
            if *who == Who::Nothing {
                out.write_all(b"  ")?;
                screen.heading(out, &names::namespace(snapshot, orphan.namespace.id))?;
                writeln!(out, ": its holder is a suspect of its type, below, or not visible")?;
                continue;
            }
            let mut lines = Vec::new();
            orphan.write_holders(&mut lines, screen.indented(2), limit)?;
            for line in lines.split_inclusive(|&byte| byte == b'\n') {
                out.write_all(b"  ")?;
                out.write_all(line)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use lxkns_core::model::Tid;

    use super::*;
    use lxkns_answers::testing::{BUSY, HOME, LEFT, LOOSE, NET, ODD, USER, id, snapshot};

    fn text(snapshot: &Snapshot, types: &[NamespaceType]) -> String {
        let mut out = Vec::new();
        write(&mut out, snapshot, &orphans(&Advice::of(snapshot, Some(HOME)), types), Screen::default(), 2).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_stands_below_who_holds_it_with_what_releases_it() {
        let mut snapshot = snapshot();
        let mut left = |ino, ns_type, holder| {
            let mut namespace = Namespace::new(id(ino), ns_type);
            namespace.holders = vec![holder];
            snapshot.namespaces.insert(namespace.id, namespace);
        };
        left(4_026_532_299, NamespaceType::Uts, Holder::Fd { pid: Pid(1), tid: Tid(1), fd: 9 });
        left(4_026_532_301, NamespaceType::User, Holder::Owned { ns: LEFT });
        left(
            4_026_532_302,
            NamespaceType::Net,
            Holder::BindMount { mount_ns: LOOSE, mount_id: 3, path: Some("/a\x1b".into()) },
        );
        assert_eq!(
            text(&snapshot, &[]),
            "held by process 1 (init)\n  \
               uts:[4026532299] is held by 1 fd\n    \
                 fd 9 of process 1 (init): /proc/1/fd/9\n      until process 1 closes fd 9, or exits\n\
             \n\
             held by mounts in mnt:[4026532400]\n  \
               net:[4026532302] is held by 1 bind mount\n    \
                 bind mount /a\\x1b in mnt:[4026532400], which has no process, mount ID 3\n      \
                 until `umount -N /proc/200/task/201/ns/mnt $'/a\\033'`\n\
             \n\
             no visible holder\n  \
               pid:[4026532500]: its holder is a suspect of its type, below, or not visible\n\
             \n\
             named on purpose, no leaks (--fail does not count them)\n  \
               net:[4026532300] is held by 1 fd, 1 bind mount\n    \
                 fd 7 of process 1 (init): /proc/1/fd/7\n      until process 1 closes fd 7, or exits\n    \
                 bind mount /run/netns/left in mnt:[4026531832] of process 1 (init), mount ID 30\n      \
                 until `ip netns delete left`, or `umount -l /run/netns/left`\n\
             \n\
             no suspects for pid namespaces\n  \
               not visible on any kernel: a detached mount and a BPF iterator\n"
        );
    }

    #[test]
    fn suspects_of_a_type_are_told_once_the_likely_ones_first() {
        let mut snapshot = snapshot();
        let file = |fd, path: &str| Suspect::ProcFile {
            pid: Pid(1),
            tid: Tid(1),
            fd,
            ns_type: NamespaceType::Net,
            path: path.into(),
        };
        snapshot.suspects = vec![file(3, "/proc/200/net/dev"), file(4, "/proc/77/net/dev")];
        let text = text(&snapshot, &[NamespaceType::Net]);
        let told = "\nsuspects for net namespaces: each may hold one of the above, or another one, or none; the kernel does \
                    not say\n  \
                    suspect: open file /proc/77/net/dev, fd 4 of process 1 (init): /proc/1/fd/4\n  \
                    suspect: open file /proc/200/net/dev, fd 3 of process 1 (init): /proc/1/fd/3\n";
        assert!(text.ends_with(told), "{text}");
        snapshot.suspects.clear();
        assert!(!self::text(&snapshot, &[NamespaceType::Net]).contains("suspect"), "its holder is known");
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
            let advice = Advice::of(&snapshot, Some(HOME));
            let found = orphans(&advice, &[NamespaceType::Net]);
            assert_eq!(found.into_keys().collect::<Vec<_>>(), [expected], "{path}");
            assert_eq!(expected.is_leak(), expected != Who::Name);
        }
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
            orphans(&Advice::of(&snapshot, None), &[NamespaceType::User]).is_empty(),
            "somebody is in what they own"
        );
        let busy = snapshot.namespaces.get_mut(&BUSY).unwrap();
        busy.leaders.clear();
        busy.holders = vec![Holder::Fd { pid: Pid(1), tid: Tid(1), fd: 9 }];
        let advice = Advice::of(&snapshot, None);
        let found = orphans(&advice, &[NamespaceType::User]);
        let found: Vec<_> = found.values().flatten().map(|orphan| orphan.namespace.id).collect();
        assert_eq!(found, [top], "a descriptor holds it too; the other one ends with what it owns");
    }

    #[test]
    fn what_has_a_process_or_a_thread_is_none_and_neither_is_what_the_kernel_started_with() {
        let mut snapshot = snapshot();
        snapshot.namespaces.get_mut(&NET).unwrap().leaders.clear();
        snapshot.namespaces.get_mut(&NET).unwrap().holders.clear();
        let advice = Advice::of(&snapshot, None);
        let found = orphans(&advice, &[]);
        let mut found: Vec<_> = found.values().flatten().map(|orphan| orphan.namespace.id).collect();
        found.sort_unstable();
        assert_eq!(found, [LEFT, ODD]);
        assert!(!found.contains(&LOOSE) && !found.contains(&BUSY));
        assert_eq!(orphans(&advice, &[NamespaceType::Pid]).into_keys().collect::<Vec<_>>(), [Who::Nothing]);
        assert_eq!(text(&snapshot, &[NamespaceType::Uts]), "");
    }
}
