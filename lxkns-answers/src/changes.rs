//! Differences between two snapshots, in words.

use std::collections::BTreeSet;
use std::time::SystemTime;

use lxkns_model::relations::{self, Change, Changes, NamespaceChanges};
use lxkns_model::{Holder, Keeper, Namespace, NamespaceId, NamespaceType, Pid, Place, Places, Process, Snapshot, wire};

use crate::context::Context;
use crate::events::Event;
use crate::holders::{self, describe};
use crate::names::{self, Detail};
use crate::release::Advice;
use crate::whose::WhoseForm;

/// The two snapshots that are compared, which give objects their names.
#[derive(Clone, Copy, Debug)]
pub struct Between<'a> {
    /// The older one.
    pub old: &'a Snapshot,
    /// The newer one, with its context.
    pub new: Context<'a>,
}

/// Keeps only changes of namespaces of these types; an empty list keeps all.
pub fn only(namespaces: &mut Vec<NamespaceChanges<'_>>, types: &[NamespaceType]) {
    namespaces.retain(|told| types.is_empty() || types.contains(&told.namespace().ns_type));
}

/// The limits of the comparison, one a line.
pub fn caveats(changes: &Changes<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    if !changes.same_boot_known {
        lines.push("OLD or NEW does not name its boot: both are taken to be from the same one".to_owned());
    }
    if !changes.same_pids {
        lines.push("OLD and NEW are from different PID namespaces: what processes hold is not compared".to_owned());
    }
    for (side, places) in [("OLD", changes.older_saw_less), ("NEW", changes.newer_saw_less)] {
        if places != Places::NONE {
            let places: Vec<_> = places.iter().map(Place::name).collect();
            let what = "what only the other side saw there is not reported as new or gone";
            lines.push(format!("{side} saw less in these places: {}; {what}", places.join(", ")));
        }
    }
    lines
}

/// What "no longer visible" means, if a namespace is said to be so.
pub fn invisible(namespaces: &[NamespaceChanges<'_>], new: &Snapshot) -> Option<String> {
    let is_invisible = |told: &&NamespaceChanges<'_>| {
        told.changes.iter().any(|change| matches!(change, Change::Vanished | Change::Hidden))
    };
    let types: BTreeSet<_> = namespaces.iter().filter(is_invisible).map(|told| told.namespace().ns_type).collect();
    let may_hold = |keeper: &&Keeper| types.iter().any(|&ns_type| keeper.may_hold(ns_type));
    let keepers = new.unseen_keepers(None).into_iter().filter(may_hold);
    let names = names::few(keepers.map(|keeper| keeper.name)).filter(|_| !types.is_empty())?;
    let what = "no longer visible: ended (unless marked as alive), or held only by what the kernel does not list";
    Some(format!("{what}: {names}"))
}

impl<'a> Between<'a> {
    /// The host, kernel and time of each snapshot.
    pub fn title(&self, has_changes: bool) -> String {
        let [old, new] = [self.old, self.new.snapshot].map(|snapshot| (host(snapshot), time(snapshot)));
        let changes = if has_changes { "changes" } else { "no changes" };
        if old.0 == new.0 {
            format!("{changes} on {}, from {} to {}", old.0, old.1, new.1)
        } else {
            format!("{changes} from {} at {} to {} at {}", old.0, old.1, new.0, new.1)
        }
    }

    /// The line of a namespace: a sign, and what has happened to it.
    pub fn summary(&self, told: &NamespaceChanges<'_>) -> (char, String) {
        let namespace = told.namespace();
        match told.changes.first() {
            Some(Change::Appeared) => ('+', format!(" appeared{}", held(", held by", namespace))),
            Some(Change::Went) => ('-', format!(" gone{}", held("; was held by", namespace))),
            Some(Change::Vanished) => ('?', format!(" no longer visible{}", held("; was held by", namespace))),
            Some(Change::Hidden) => ('?', format!(" no longer visible, but alive{}", held("; was held by", namespace))),
            Some(Change::Seen) => {
                let what = "visible now; it may have existed before";
                ('?', format!(" {what}{}", held(": held by", namespace)))
            }
            Some(Change::Unseen) => {
                let what = "no longer visible; not everything that held it can be seen";
                ('?', format!(" {what}{}", held("; was held by", namespace)))
            }
            _ => ('~', String::new()),
        }
    }

    /// The namespace that has changed, with its name in `ip netns`.
    pub fn name_of(&self, told: &NamespaceChanges<'_>) -> String {
        let namespace = told.namespace();
        let snapshot = if told.new.is_some() { self.new.snapshot } else { self.old };
        match snapshot.namespaces.contains_key(&namespace.id) {
            true => names::namespace_and_name(snapshot, namespace.id, self.new.mount_ns),
            false => format!("{}:[{}]", namespace.ns_type, namespace.id.ino),
        }
    }

    /// The processes in a namespace that was not seen before, or else its holders; `None` if neither is known.
    pub fn occupant(&self, namespace: &Namespace) -> Option<String> {
        match (namespace.leaders.first(), namespace.holders.first()) {
            (Some(&leader), _) => Some(format!("process {}", names::process(self.new.snapshot, leader, Detail::Full))),
            (None, Some(holder)) => Some(describe(self.new.snapshot, holder, self.new.mount_ns, Detail::Full)),
            (None, None) => None,
        }
    }

    /// The changes as events, one for each.
    pub fn events(&self, namespaces: &[NamespaceChanges<'_>], time: Option<&str>) -> impl Iterator<Item = Event> {
        let advice = Advice::of(self.new);
        namespaces
            .iter()
            .flat_map(move |told| told.changes.iter().map(move |change| (told, change)))
            .map(move |(told, change)| Event::of(self, &advice, told, change, time.map(str::to_owned)))
    }

    /// The words after "nobody", if an unseen process may have been in it.
    fn seen_before(&self, namespace: &Namespace) -> &'static str {
        let before = self.old.namespaces.get(&namespace.id).or_else(|| self.old.by_ino(namespace.id.ino));
        if before.is_some_and(|before| relations::members_seen(self.old, before)) { "" } else { " that could be seen" }
    }

    /// One change in words.
    pub fn line(&self, namespace: &Namespace, change: &Change<'_>) -> String {
        let process = |pid| format!("process {}", self.process(pid));
        match *change {
            Change::LastTaskLeft => {
                let seen = if relations::members_seen(self.new.snapshot, namespace) { "" } else { " that can be seen" };
                format!("- no process or task{seen} is in it any more{}", held(": held by", namespace))
            }
            Change::FirstTaskCame => match namespace.leaders.first() {
                Some(&leader) => {
                    format!("+ {} is in it, and no process{} was", process(leader), self.seen_before(namespace))
                }
                None => format!("+ a task is in it, and none{} was", self.seen_before(namespace)),
            },
            Change::Leader { old, new } => {
                let old = format!("process {}", names::process(self.old, old, Detail::Full));
                format!("~ {} is the most senior process in it; it was {old}", process(new))
            }
            Change::OwnerKnown(owner) => format!("~ owned by {}, which was not known", self.name(owner)),
            Change::ParentKnown(parent) => format!("~ its parent is {}, which was not known", self.name(parent)),
            Change::ProcessEntered { pid, from } => format!("+ {} came from {}", process(pid), self.name(from)),
            Change::ProcessLeft { pid, to } => format!("- {} moved to {}", process(pid), self.name(to)),
            Change::HolderCame(holder) => {
                format!("+ {}", describe(self.new.snapshot, holder, self.new.mount_ns, Detail::Full))
            }
            Change::HolderWent(holder) => format!("- {}", describe(self.old, holder, self.new.mount_ns, Detail::Full)),
            _ => "~ something unknown to this version".to_owned(),
        }
    }

    /// A process of one or both snapshots, with its command line if either has it.
    pub fn process(&self, pid: Pid) -> String {
        names::process(self.knower(pid), pid, Detail::Full)
    }

    /// The command line of the process.
    pub fn command(&self, pid: Pid) -> Option<String> {
        let process = self.knower(pid).processes.get(&pid)?;
        Some(names::lossy(&names::command(process)))
    }

    /// The container or unit of the process.
    pub fn whose(&self, pid: Pid) -> WhoseForm {
        WhoseForm::process(self.knower(pid), pid)
    }

    /// Not every scan reads the command line of every process.
    fn knower(&self, pid: Pid) -> &'a Snapshot {
        let [old, new] = [self.old, self.new.snapshot].map(|snapshot| snapshot.processes.get(&pid));
        let has_line = |process: &Process| process.command_line.is_some();
        match (old, new) {
            (Some(_), None) => self.old,
            (Some(old), Some(new))
                if has_line(old) && !has_line(new) && old.start_time_ticks() == new.start_time_ticks() =>
            {
                self.old
            }
            _ => self.new.snapshot,
        }
    }

    /// A namespace that is in one of them, or in both.
    pub fn name(&self, id: NamespaceId) -> String {
        let snapshot = if self.new.snapshot.namespaces.contains_key(&id) { self.new.snapshot } else { self.old };
        names::namespace_and_name(snapshot, id, self.new.mount_ns)
    }
}

/// The host and kernel of a snapshot.
fn host(snapshot: &Snapshot) -> String {
    let known = |text: &str, unknown: &str| if text.is_empty() { unknown.to_owned() } else { names::text(text) };
    let host = known(&snapshot.host.hostname, "an unnamed host");
    format!("{host} (Linux {})", known(&snapshot.host.kernel_release, "of unknown release"))
}

/// When a snapshot was taken, to the second.
fn time(snapshot: &Snapshot) -> String {
    // A dump without a time has this one.
    let known = Some(snapshot.taken_at).filter(|&at| at != SystemTime::UNIX_EPOCH);
    let text = known.and_then(wire::time_text);
    text.and_then(|text| Some(format!("{}Z", text.split_once('.')?.0))).unwrap_or_else(|| "an unknown time".to_owned())
}

/// Whether a change has a line of its own, apart from the line of the namespace.
pub fn is_in_a_line(change: &Change<'_>) -> bool {
    use Change::{Appeared, Hidden, Seen, Unseen, Vanished, Went};
    !matches!(change, Appeared | Seen | Went | Vanished | Hidden | Unseen)
}

/// The number of holders of each kind; nothing if no holder is known.
fn held(by: &str, namespace: &Namespace) -> String {
    let only_kernel = matches!(namespace.holders.as_slice(), [Holder::Kernel]);
    match holders::summary(&namespace.holders) {
        Some(_) if only_kernel => format!("{by} nothing visible"),
        Some(summary) => format!("{by} {summary}"),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::snapshot;

    #[test]
    fn the_title_says_whose_snapshots_these_are_and_of_when() {
        let mut old = snapshot();
        old.host.hostname = "web\x1b".to_owned();
        old.host.kernel_release = "6.18.0".to_owned();
        let mut new = old.clone();
        new.taken_at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let title = |old: &Snapshot, new: &Snapshot, has_changes| {
            Between { old, new: Context::of_dump(new) }.title(has_changes)
        };
        assert_eq!(
            title(&old, &new, true),
            r"changes on web\x1b (Linux 6.18.0), from an unknown time to 2001-09-09T01:46:40Z"
        );
        new.host.hostname.clear();
        new.host.kernel_release.clear();
        assert_eq!(
            title(&new, &old, false),
            "no changes from an unnamed host (Linux of unknown release) at 2001-09-09T01:46:40Z to web\\x1b (Linux \
             6.18.0) at an unknown time"
        );
    }
}
