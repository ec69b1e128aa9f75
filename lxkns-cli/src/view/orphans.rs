//! The namespaces without a process or task, as text.

use std::collections::BTreeSet;
use std::io::{self, Write};

use lxkns_answers::Context;
use lxkns_answers::links::Leftovers;
use lxkns_answers::orphans::{Groups, Orphans, Who, by_certainty, suspects};
use lxkns_answers::text::shown;

use super::names;
use super::screen::Screen;
use super::why::{SOME, write_hidden, write_holders, write_suspects};

/// Writes them, with at most `limit` holders of a kind.
pub(crate) fn write(
    out: &mut impl Write,
    context: &Context<'_>,
    orphans: &Orphans<'_>,
    leftovers: Option<&Leftovers>,
    screen: Screen,
    limit: usize,
) -> io::Result<()> {
    let snapshot = context.snapshot;
    let (certain, others) = by_certainty(orphans);
    write_groups(out, context, &certain, leftovers, screen, limit)?;
    let first = others.values().flatten().next();
    if let Some(why) = first.and_then(|orphan| names::unseen_members(snapshot, orphan.namespace)) {
        if !certain.is_empty() {
            writeln!(out)?;
        }
        screen.line(out, "", || format!("not known to be orphans: {why}"))?;
        writeln!(out)?;
        write_groups(out, context, &others, leftovers, screen, limit)?;
    }
    write_suspects_by_type(out, context, orphans, screen, limit)
}

/// Writes the suspects of the orphans, once for each type.
fn write_suspects_by_type(
    out: &mut impl Write,
    context: &Context<'_>,
    orphans: &Orphans<'_>,
    screen: Screen,
    limit: usize,
) -> io::Result<()> {
    let unexplained = orphans.get(&Who::Nothing).into_iter().flatten();
    let unexplained: BTreeSet<_> = unexplained.map(|orphan| orphan.namespace.ns_type).collect();
    for (ns_type, suspects) in suspects(context.snapshot, orphans) {
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
        write_suspects(out, context, &suspects, screen, limit.max(SOME))?;
        if is_unexplained {
            write_hidden(out, Some(ns_type))?;
        }
    }
    Ok(())
}

fn write_groups(
    out: &mut impl Write,
    context: &Context<'_>,
    groups: &Groups<'_, '_>,
    leftovers: Option<&Leftovers>,
    screen: Screen,
    limit: usize,
) -> io::Result<()> {
    for (index, (who, orphans)) in groups.iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        screen.line(out, "", || who.describe(context.snapshot))?;
        for orphan in orphans {
            if *who == Who::Nothing {
                out.write_all(b"  ")?;
                screen.heading(out, &orphan.name())?;
                writeln!(out, ": its holder is a suspect of its type, below, or not visible")?;
            }
            let mut lines = Vec::new();
            if *who != Who::Nothing {
                write_holders(&mut lines, orphan, screen.indented(2), limit)?;
            }
            let left: Vec<_> = leftovers.into_iter().flat_map(|links| links.of_orphan(orphan.namespace.id)).collect();
            let count = shown(left.len(), limit.max(SOME));
            for link in &left[..count] {
                let screen = screen.indented(2);
                let label = if link.is_certain { "  left over: " } else { "  may be left over: " };
                screen.folded(&mut lines, label, || link.words(*context))?;
                screen.folded(&mut lines, "    until ", || link.step.to_string())?;
            }
            if count < left.len() {
                let label = if left.iter().all(|link| link.is_certain) { "left over" } else { "may be left over" };
                writeln!(lines, "  {label}: {} more links (--all shows all)", left.len() - count)?;
            }
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
    use lxkns_answers::links::Links;
    use lxkns_answers::orphans::orphans;
    use lxkns_answers::release::Advice;
    use lxkns_answers::testing::{HOME, LEFT, LOOSE, NET, id, snapshot};
    use lxkns_core::model::inside::{Link, Where};
    use lxkns_core::model::links::{HostLink, HostLinkEnd, HostLinks, LinkId, LinkRelation};
    use lxkns_core::model::{
        Cause, Gap, Holder, Namespace, NamespaceType, Object, Operation, Pid, Place, Snapshot, Suspect, Tid,
    };

    use super::*;

    fn text(snapshot: &Snapshot, types: &[NamespaceType]) -> String {
        let mut out = Vec::new();
        let context = Context { snapshot, mount_ns: Some(HOME), is_live: true };
        write(&mut out, &context, &orphans(&Advice::of(context), types), None, Screen::default(), 2).unwrap();
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
             named on purpose, not leaks (--fail does not count them)\n  \
               net:[4026532300] (left) is held by 1 fd, 1 bind mount\n    \
                 fd 7 of process 1 (init): /proc/1/fd/7\n      until process 1 closes fd 7, or exits\n    \
                 bind mount /run/netns/left in mnt:[4026531832] of process 1 (init), mount ID 30\n      \
                 until `ip netns delete left`, or `umount -l /run/netns/left`\n\
             \n\
             no suspects for pid namespaces\n  \
               not visible on any kernel: a detached mount and a BPF iterator\n"
        );
    }

    #[test]
    fn a_link_may_be_left_over_where_not_all_processes_could_be_read() {
        let mut snapshot = snapshot();
        let peer = HostLinkEnd {
            relation: LinkRelation::Peer,
            place: Where::There(LEFT),
            index: Some(2),
            name: Some("eth0".into()),
        };
        let link = Link { index: 5, name: "veth5".into(), kind: Some("veth".into()), ..Link::default() };
        let all = [HostLink { id: LinkId { ns: NET, index: 5 }, link, end: Some(peer) }];
        let all = HostLinks::new(all.into(), Vec::new(), Vec::new());
        let told = |snapshot: &Snapshot| {
            let context = Context { snapshot, mount_ns: Some(HOME), is_live: true };
            let advice = Advice::of(context);
            let leftovers = Links { context, all: &all }.leftovers(advice.lacks());
            let (orphans, mut out) = (orphans(&advice, &[NamespaceType::Net]), Vec::new());
            write(&mut out, &context, &orphans, Some(&leftovers), Screen::default(), 2).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert!(told(&snapshot).contains("    left over: veth5 (veth) in "), "{}", told(&snapshot));
        let object = Object::Process(Pid(200));
        snapshot.gaps = vec![Gap::because(Place::Processes, object, Operation::read("ns/net"), Cause::Denied)];
        assert!(told(&snapshot).contains("    may be left over: veth5 (veth) in "), "{}", told(&snapshot));
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
}
