//! What differs between two snapshots, in words.

use std::collections::BTreeSet;
use std::io::{self, Write};

use lxkns_core::model::{Holder, Keeper, Namespace, NamespaceId, NamespaceType, Pid, Place, Places, Process, Snapshot};
use lxkns_core::relations::{self, Change, Changes, NamespaceChanges};

use super::holders::{self, describe};
use super::names::{self, Detail};
use super::screen::Screen;

/// The two snapshots, in which things have their names.
#[derive(Debug)]
pub(crate) struct Between<'a> {
    pub(crate) old: &'a Snapshot,
    pub(crate) new: &'a Snapshot,
    /// The mount namespace in which paths mean what they say.
    pub(crate) home: Option<NamespaceId>,
}

/// Leaves only what is to be told: of these types (none: of all).
pub(crate) fn only(namespaces: &mut Vec<NamespaceChanges<'_>>, types: &[NamespaceType]) {
    namespaces.retain(|told| types.is_empty() || types.contains(&told.namespace().ns_type));
}

/// Leaves out the holders of namespaces that have a process or thread, before and after: as long as these are there no
/// holder decides anything, and programs that look at namespaces have each open for a moment.
pub(crate) fn only_deciding(namespaces: &mut Vec<NamespaceChanges<'_>>) {
    for told in &mut *namespaces {
        let has_tasks = |side: Option<&Namespace>| side.is_some_and(|namespace| !namespace.is_without_tasks());
        if has_tasks(told.old) && has_tasks(told.new) {
            told.changes.retain(|change| !matches!(change, Change::HolderCame(_) | Change::HolderWent(_)));
        }
    }
    namespaces.retain(|told| !told.changes.is_empty());
}

/// What makes the comparison less than it could be, in a line each.
pub(crate) fn caveats(changes: &Changes<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    if !changes.same_boot_known {
        lines.push("OLD or NEW does not say of which boot it is: both are taken to be of the same".to_owned());
    }
    if !changes.same_pids {
        lines.push("OLD and NEW are of different PID namespaces: what their processes hold is not compared".to_owned());
    }
    for (side, places) in [("OLD", changes.older_saw_less), ("NEW", changes.newer_saw_less)] {
        if places != Places::NONE {
            let places: Vec<_> = places.iter().map(Place::name).collect();
            let what = "where something was seen for one side only, it is not said to have come or gone";
            lines.push(format!("{side} saw less in these places: {}; {what}", places.join(", ")));
        }
    }
    lines
}

/// What "no longer visible" means of these namespaces, where that is said of one.
pub(crate) fn invisible(namespaces: &[NamespaceChanges<'_>], new: &Snapshot) -> Option<String> {
    let is_invisible = |told: &&NamespaceChanges<'_>| {
        told.changes.iter().any(|change| matches!(change, Change::Vanished | Change::Hidden))
    };
    let types: BTreeSet<_> = namespaces.iter().filter(is_invisible).map(|told| told.namespace().ns_type).collect();
    let may_hold = |keeper: &&Keeper| types.iter().any(|&ns_type| keeper.may_hold(ns_type));
    let keepers = new.unseen_keepers(None).into_iter().filter(may_hold);
    let names = names::few(keepers.map(|keeper| keeper.name)).filter(|_| !types.is_empty())?;
    let what =
        "no longer visible: it has ended, if not said to be alive, or is held only by what the kernel does not list";
    Some(format!("{what}: {names}"))
}

impl<'a> Between<'a> {
    /// Writes the changes for people, with no more than `limit` of a kind for each namespace.
    pub(crate) fn write(
        &self,
        out: &mut impl Write,
        namespaces: &[NamespaceChanges<'_>],
        screen: Screen,
        limit: usize,
    ) -> io::Result<()> {
        for told in namespaces {
            self.write_namespace(out, told, screen, limit)?;
        }
        Ok(())
    }

    fn write_namespace(
        &self,
        out: &mut impl Write,
        told: &NamespaceChanges<'_>,
        screen: Screen,
        limit: usize,
    ) -> io::Result<()> {
        let namespace = told.namespace();
        let (sign, summary) = match told.changes.first() {
            Some(Change::Appeared) => ('+', format!(" appeared{}", held(", held by", namespace))),
            Some(Change::Went) => ('-', format!(" gone{}", held("; was held by", namespace))),
            Some(Change::Vanished) => ('?', format!(" no longer visible{}", held("; was held by", namespace))),
            Some(Change::Hidden) => ('?', format!(" no longer visible, but alive{}", held("; was held by", namespace))),
            Some(Change::Seen) => {
                let what = "visible now; it may have existed before";
                ('?', format!(" {what}{}", held(": held by", namespace)))
            }
            Some(Change::Unseen) => {
                let what = "no longer visible, where not all that held it can be seen";
                ('?', format!(" {what}{}", held("; was held by", namespace)))
            }
            _ => ('~', String::new()),
        };
        write!(out, "{sign} ")?;
        screen.heading(out, &format!("{}:[{}]", namespace.ns_type, namespace.id.ino))?;
        writeln!(out, "{summary}")?;
        if told.old.is_none() {
            self.write_new(out, namespace, screen)?;
        }
        for group in told.changes.chunk_by(|a, b| std::mem::discriminant(a) == std::mem::discriminant(b)) {
            for change in group.iter().take(limit).filter(|change| is_in_a_line(change)) {
                screen.line(out, "  ", || self.line(namespace, change))?;
            }
            if group.len() > limit {
                writeln!(out, "  and {} more (--all shows all)", group.len() - limit)?;
            }
        }
        Ok(())
    }

    /// Who is in a namespace that was not seen before, or else what holds it, and whose it is.
    fn write_new(&self, out: &mut impl Write, namespace: &Namespace, screen: Screen) -> io::Result<()> {
        if let Some(&leader) = namespace.leaders.first() {
            screen.line(out, "  process ", || names::process(self.new, leader, Detail::Full))?;
        } else if let Some(holder) = namespace.holders.first() {
            screen.line(out, "  ", || describe(self.new, holder, self.home, Detail::Full))?;
        }
        match namespace.owner.known() {
            Some(owner) => writeln!(out, "  owned by {}", self.name(owner)),
            None => Ok(()),
        }
    }

    /// What is to be added to "nobody" where somebody may have been in it unseen.
    fn seen_before(&self, namespace: &Namespace) -> &'static str {
        let before = self.old.namespaces.get(&namespace.id).or_else(|| self.old.by_ino(namespace.id.ino));
        if before.is_some_and(|before| relations::members_seen(self.old, before)) { "" } else { " that could be seen" }
    }

    /// One change in words.
    fn line(&self, namespace: &Namespace, change: &Change<'_>) -> String {
        let process = |pid| format!("process {}", self.process(pid));
        match *change {
            Change::LastTaskLeft => {
                let seen = if relations::members_seen(self.new, namespace) { "" } else { " that can be seen" };
                format!("- no process or thread{seen} is in it any more{}", held(": held by", namespace))
            }
            Change::FirstTaskCame => match namespace.leaders.first() {
                Some(&leader) => {
                    format!("+ {} is in it, and nobody{} was", process(leader), self.seen_before(namespace))
                }
                None => format!("+ a thread is in it, and nobody{} was", self.seen_before(namespace)),
            },
            Change::Leader { old, new } => {
                let old = format!("process {}", names::process(self.old, old, Detail::Full));
                format!("~ {} is the most senior in it, and {old} was", process(new))
            }
            Change::OwnerKnown(owner) => format!("~ owned by {}, which was not known", self.name(owner)),
            Change::ParentKnown(parent) => format!("~ its parent is {}, which was not known", self.name(parent)),
            Change::ProcessEntered { pid, from } => format!("+ {} came from {}", process(pid), self.name(from)),
            Change::ProcessLeft { pid, to } => format!("- {} moved to {}", process(pid), self.name(to)),
            Change::HolderCame(holder) => format!("+ {}", describe(self.new, holder, self.home, Detail::Full)),
            Change::HolderWent(holder) => format!("- {}", describe(self.old, holder, self.home, Detail::Full)),
            _ => "~ something that this version has no words for".to_owned(),
        }
    }

    /// A process that is in both snapshots, or in one, with the most that is known of what it runs.
    pub(crate) fn process(&self, pid: Pid) -> String {
        names::process(self.knower(pid), pid, Detail::Full)
    }

    /// What such a process runs.
    pub(crate) fn command(&self, pid: Pid) -> Option<String> {
        let process = self.knower(pid).processes.get(&pid)?;
        Some(names::lossy(&names::command(process)))
    }

    /// Command lines are not read of every process each time.
    fn knower(&self, pid: Pid) -> &'a Snapshot {
        let [old, new] = [self.old, self.new].map(|snapshot| snapshot.processes.get(&pid));
        let has_line = |process: &Process| process.command_line.is_some();
        match (old, new) {
            (Some(_), None) => self.old,
            (Some(old), Some(new))
                if has_line(old) && !has_line(new) && old.start_time_ticks() == new.start_time_ticks() =>
            {
                self.old
            }
            _ => self.new,
        }
    }

    fn name(&self, id: NamespaceId) -> String {
        let snapshot = if self.new.namespaces.contains_key(&id) { self.new } else { self.old };
        names::namespace(snapshot, id)
    }
}

/// Whether a change has a line of its own, and is not told in that of the namespace.
fn is_in_a_line(change: &Change<'_>) -> bool {
    use Change::{Appeared, Hidden, Seen, Unseen, Vanished, Went};
    !matches!(change, Appeared | Seen | Went | Vanished | Hidden | Unseen)
}

/// What holds a namespace, counted; nothing where that is not known.
fn held(by: &str, namespace: &Namespace) -> String {
    let only_kernel = matches!(namespace.holders.as_slice(), [Holder::Kernel]);
    match holders::summary(&namespace.holders) {
        Some(_) if only_kernel => format!("{by} nothing that could be seen"),
        Some(summary) => format!("{by} {summary}"),
        None => String::new(),
    }
}

#[cfg(test)]
#[path = "changes_tests.rs"]
mod tests;
