//! The namespaces without any process or thread, by who holds them.

use std::collections::BTreeMap;
use std::io::{self, Write};

use lxkns_core::model::{Holder, Namespace, NamespaceId, NamespaceType, Pid, Snapshot};

use lxkns_core::relations;

use super::names::{self, Detail};
use super::screen::Screen;
use super::why::Explanation;

/// Who holds something; in the order in which they are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    /// A process, or a thread of it.
    Process(Pid),
    /// Mounts in this mount namespace.
    Mounts(NamespaceId),
    /// This namespace, which it is above.
    Namespace(NamespaceId),
    /// Something else.
    Other,
    /// Nothing that could be seen.
    Nothing,
}

impl Who {
    /// Who holds the namespace that this explains: of several the first.
    fn of(explanation: &Explanation<'_>) -> Self {
        if !explanation.is_explained() {
            return Self::Nothing;
        }
        match explanation.holders().first() {
            Some(Holder::BindMount { mount_ns, .. } | Holder::Mount { mount_ns, .. }) => Self::Mounts(*mount_ns),
            Some(Holder::Child { ns } | Holder::Owned { ns }) => Self::Namespace(*ns),
            Some(holder) => holder.pid().map_or(Self::Other, Self::Process),
            None => Self::Nothing,
        }
    }

    fn describe(self, snapshot: &Snapshot) -> String {
        match self {
            Self::Process(pid) => format!("held by process {}", names::process(snapshot, pid, Detail::Full)),
            Self::Mounts(id) => format!("held by mounts in {}", names::namespace(snapshot, id)),
            Self::Namespace(id) => format!("held by {}", names::namespace(snapshot, id)),
            Self::Other => "held by something else".to_owned(),
            Self::Nothing => "held by nothing that could be seen".to_owned(),
        }
    }
}

/// The namespaces of these types (none: of all) without any process or thread, by who holds them, then by type and inode
/// number. What the kernel started with is none of them: it never goes.
pub(crate) fn orphans<'a>(
    snapshot: &'a Snapshot,
    types: &[NamespaceType],
    home: Option<NamespaceId>,
) -> BTreeMap<Who, Vec<Explanation<'a>>> {
    let is_orphan = |namespace: &&Namespace| {
        namespace.is_without_tasks()
            && !namespace.initial
            && !namespace.holders.iter().any(|holder| matches!(holder, Holder::Process { .. } | Holder::Task { .. }))
            && (types.is_empty() || types.contains(&namespace.ns_type))
    };
    let mut orphans: BTreeMap<Who, Vec<Explanation<'a>>> = BTreeMap::new();
    for namespace in snapshot.namespaces_by_type().into_iter().filter(is_orphan) {
        let explanation = Explanation { snapshot, namespace, home };
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
    let Some(why) = first.and_then(|orphan| names::unseen_members(snapshot, orphan.namespace)) else { return Ok(()) };
    if !certain.is_empty() {
        writeln!(out)?;
    }
    screen.line(out, "", || format!("not known to be orphans: {why}"))?;
    writeln!(out)?;
    write_groups(out, snapshot, &others, screen, limit)
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
                let (name, target) = (names::namespace(snapshot, orphan.namespace.id), orphan.namespace.id);
                out.write_all(b"  ")?;
                screen.heading(out, &name)?;
                writeln!(out, ": `lxkns why {}` tells suspects", names::target(snapshot, target))?;
                continue;
            }
            let mut lines = Vec::new();
            orphan.write(&mut lines, screen.indented(2), limit)?;
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
    use crate::testing::{BUSY, HOME, LEFT, LOOSE, NET, ODD, id, snapshot};

    fn text(snapshot: &Snapshot, types: &[NamespaceType]) -> String {
        let mut out = Vec::new();
        write(&mut out, snapshot, &orphans(snapshot, types, Some(HOME)), Screen::default(), 2).unwrap();
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
                 fd 9 of process 1 (init): /proc/1/fd/9\n      until process 1 closes fd 9, or exits\n  \
               net:[4026532300] is held by 1 fd, 1 bind mount\n    \
                 fd 7 of process 1 (init): /proc/1/fd/7\n      until process 1 closes fd 7, or exits\n    \
                 bind mount /run/netns/left in mnt:[4026531832] of process 1 (init), mount ID 30\n      \
                 until `ip netns delete left`, or `umount /run/netns/left`\n\
             \n\
             held by mounts in mnt:[4026532400]\n  \
               net:[4026532302] is held by 1 bind mount\n    \
                 bind mount /a\\x1b in mnt:[4026532400], which has no process, mount ID 3\n      \
                 until `umount -N /proc/200/task/201/ns/mnt $'/a\\033'`\n\
             \n\
             held by net:[4026532300]\n  \
               user:[4026532301] is held by 1 owned namespace\n    \
                 owned net:[4026532300]\n      until net:4026532300 ends (lxkns why net:4026532300)\n\
             \n\
             held by nothing that could be seen\n  \
               pid:[4026532500]: `lxkns why pid:4026532500` tells suspects\n"
        );
    }

    #[test]
    fn what_has_a_process_or_a_thread_is_none_and_neither_is_what_the_kernel_started_with() {
        let mut snapshot = snapshot();
        snapshot.namespaces.get_mut(&NET).unwrap().leaders.clear();
        snapshot.namespaces.get_mut(&NET).unwrap().holders.clear();
        let found = orphans(&snapshot, &[], None);
        let mut found: Vec<_> = found.values().flatten().map(|orphan| orphan.namespace.id).collect();
        found.sort_unstable();
        assert_eq!(found, [LEFT, ODD]);
        assert!(!found.contains(&LOOSE) && !found.contains(&BUSY));
        assert_eq!(orphans(&snapshot, &[NamespaceType::Pid], None).into_keys().collect::<Vec<_>>(), [Who::Nothing]);
        assert_eq!(text(&snapshot, &[NamespaceType::Uts]), "");
    }
}
