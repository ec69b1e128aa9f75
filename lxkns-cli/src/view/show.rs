//! All about one namespace.

use lxkns_core::model::inside::Inside;
use lxkns_core::model::{
    Holder, IdMapping, Namespace, NamespaceId, NamespaceType, Pid, Relation, Snapshot, TimeOffsets,
};
use lxkns_core::relations;

use super::counts::Counts;
use super::escape::printable;
use super::holders;
use super::names::{self, Detail};
use super::sheet::{Sheet, left, list, right};
use super::show_network;

/// A namespace with all that is known of it.
#[derive(Debug)]
pub(crate) struct Shown<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) counts: &'a Counts,
    pub(crate) namespace: &'a Namespace,
    /// The mount namespace in which paths mean what they say.
    pub(crate) home: Option<NamespaceId>,
    pub(crate) is_live: bool,
    pub(crate) inside: Inside,
    /// What could not be read from inside, and why.
    pub(crate) missing: Option<String>,
}

impl Shown<'_> {
    /// For people, with lists of no more than `limit`.
    pub(crate) fn sheet(&self, limit: usize) -> Sheet {
        let namespace = self.namespace;
        let title = names::namespace(self.snapshot, namespace.id);
        let mut sheet = Sheet { title, sections: Vec::new() };
        sheet.facts("", [self.identity(), self.relations(limit), self.occupants(limit)].concat());
        match namespace.ns_type {
            NamespaceType::User => self.user(&mut sheet, limit),
            NamespaceType::Net => match &self.inside.network {
                Some(facts) => show_network::add(&mut sheet, self.snapshot, facts),
                None => sheet.facts("Network", self.absent("links, addresses, routes, sockets")),
            },
            NamespaceType::Uts => {
                let facts = self.inside.host_name.as_ref().map(|names| {
                    vec![("host name", printable(&names.host)), ("domain name", printable(&names.domain))]
                });
                sheet.facts("Names", facts.unwrap_or_else(|| self.absent("host name, domain name")));
            }
            NamespaceType::Time => sheet.facts("Offsets", self.offsets()),
            NamespaceType::Pid => sheet.facts("Processes", self.pid()),
            NamespaceType::Mnt => sheet.facts("Mounts", self.mounts()),
            _ => {}
        }
        sheet
    }

    /// What stands where something is not known.
    fn absent(&self, what: &'static str) -> Vec<(&'static str, String)> {
        vec![match &self.missing {
            Some(why) => (what, why.clone()),
            None => (what, "not in a dump".to_owned()),
        }]
    }

    fn identity(&self) -> Vec<(&'static str, String)> {
        let namespace = self.namespace;
        let initial = if namespace.initial { ", the initial one" } else { "" };
        let unique_id = namespace.unique_id.map_or_else(|| "not known".to_owned(), |id| id.to_string());
        vec![
            ("type", format!("{}{initial}", namespace.ns_type)),
            ("inode", namespace.id.ino.to_string()),
            ("unique ID", unique_id),
        ]
    }

    fn relations(&self, limit: usize) -> Vec<(&'static str, String)> {
        let namespace = self.namespace;
        let mut facts = Vec::new();
        if let Some(uid) = namespace.owner_uid {
            facts.push(("created by", names::user(self.snapshot, uid)));
        }
        if namespace.ns_type != NamespaceType::User {
            facts.push(("owner", self.relation(namespace.owner)));
        }
        if namespace.ns_type.is_hierarchical() {
            facts.push(("parent", self.relation(namespace.parent)));
            facts.extend(list("children", &namespace.children, limit, |&id| self.other(id)));
        }
        if !namespace.owned.is_empty() {
            let counts = owned_counts(self.snapshot, namespace).into_iter();
            let counts: Vec<_> = counts.map(|(ns_type, count)| format!("{count} {ns_type}")).collect();
            facts.push(("owns", counts.join(", ")));
            let mut owned: Vec<_> = namespace.owned.clone();
            owned.sort_by_key(|id| (self.snapshot.namespaces.get(id).map(|owned| owned.ns_type), *id));
            facts.extend(list("", &owned, limit, |&id| self.other(id)));
        }
        facts
    }

    fn relation(&self, relation: Relation) -> String {
        match relation {
            Relation::Known(id) => {
                let creator = self.snapshot.namespaces.get(&id).and_then(|namespace| namespace.owner_uid);
                let creator = creator.map(|uid| format!(", created by {}", names::user(self.snapshot, uid)));
                format!("{}{}", names::namespace(self.snapshot, id), creator.unwrap_or_default())
            }
            Relation::None => "none".to_owned(),
            Relation::NotVisible => "not visible from here".to_owned(),
            _ => "not known".to_owned(),
        }
    }

    /// Another namespace with who is in it.
    fn other(&self, id: NamespaceId) -> String {
        let name = names::namespace(self.snapshot, id);
        let Some(namespace) = self.snapshot.namespaces.get(&id) else { return name };
        match namespace.leaders.first() {
            Some(&pid) => format!("{name} of {}", names::process(self.snapshot, pid, Detail::Brief)),
            None => {
                let holder = holders::in_brackets(self.snapshot, namespace, self.home);
                holder.map_or_else(|| name.clone(), |holder| format!("{name} {holder}"))
            }
        }
    }

    fn occupants(&self, limit: usize) -> Vec<(&'static str, String)> {
        let namespace = self.namespace;
        let count = self.counts.get(namespace.id);
        let inside = match (count.processes, count.tasks, names::unseen_members(self.snapshot, namespace)) {
            (0, 0, None) => "no process".to_owned(),
            (0, 0, Some(why)) => format!("no process seen; {why}"),
            (processes, tasks, None) => format!("processes: {processes}, threads: {tasks}"),
            (processes, tasks, Some(why)) => format!("processes: {processes}, threads: {tasks} seen; {why}"),
        };
        let mut facts = vec![("inside", inside)];
        let leader = |&pid: &Pid| names::process(self.snapshot, pid, Detail::Full);
        facts.extend(list("topmost", &namespace.leaders, limit, leader));
        let threads =
            namespace.holders.iter().filter(|holder| matches!(holder, Holder::Task { .. })).collect::<Vec<_>>();
        let thread = |thread: &&Holder| holders::describe(self.snapshot, thread, self.home, Detail::Brief);
        facts.extend(list("threads", &threads, limit, thread));
        let held = holders::summary(&namespace.holders).unwrap_or_else(|| "nothing that could be seen".to_owned());
        facts.push(("held by", format!("{held} (lxkns why {})", names::target(self.snapshot, namespace.id))));
        if let Some(way) = names::ways(self.snapshot, namespace, self.home).next() {
            facts.push(("path", printable(way.into_path())));
        }
        facts
    }

    fn user(&self, sheet: &mut Sheet, limit: usize) {
        let maps = [("UIDs", &self.namespace.uid_map), ("GIDs", &self.namespace.gid_map)];
        let maps = maps.into_iter().flat_map(|(label, map)| match map.as_deref() {
            None => vec![(label, "not known".to_owned())],
            Some([]) => vec![(label, "none are mapped".to_owned())],
            Some(map) => list(label, map, limit, describe_mapping),
        });
        sheet.facts("ID maps", maps.collect());
        let Some(limits) = &self.inside.limits else {
            return sheet.facts("Limits", self.absent("limits"));
        };
        let used = self.used();
        let rows = limits.iter().map(|limit| {
            let used = used.iter().find(|(ns_type, _)| ns_type.name() == limit.ns_type);
            vec![
                printable(&limit.ns_type),
                limit.max.to_string(),
                used.map_or_else(|| "not known".to_owned(), |(_, used)| used.to_string()),
            ]
        });
        let heading = "Limits: for each creating user; used are those seen here and below, of all users together";
        sheet.table(heading, vec![left("TYPE"), right("MAX"), right("USED")], rows.collect());
    }

    /// How many namespaces of each type count towards the limits.
    pub(crate) fn used(&self) -> Vec<(NamespaceType, u64)> {
        let charges = relations::charges(self.snapshot, self.namespace.id);
        charges.into_iter().flat_map(|counts| NamespaceType::ALL.into_iter().zip(counts)).collect()
    }

    fn offsets(&self) -> Vec<(&'static str, String)> {
        let Some(TimeOffsets { monotonic, boottime }) = self.namespace.time_offsets else {
            return vec![("offsets", "not known".to_owned())];
        };
        vec![("monotonic", offset(monotonic)), ("boottime", offset(boottime))]
    }

    fn pid(&self) -> Vec<(&'static str, String)> {
        let init = self
            .init()
            .map_or_else(|| "not known, or none".to_owned(), |pid| names::process(self.snapshot, pid, Detail::Full));
        let level = self.level().map_or_else(|| "not known".to_owned(), |level| level.to_string());
        vec![("init", init), ("level", level)]
    }

    /// The process with PID 1 in it.
    pub(crate) fn init(&self) -> Option<Pid> {
        let is_init = |pid: &&Pid| {
            let process = self.snapshot.processes.get(pid);
            let pids = process.and_then(|process| process.status.as_ref()).map(|status| &status.ns_pids);
            pids.and_then(|pids| pids.last()).is_some_and(|pid| pid.0 == 1)
        };
        self.namespace.leaders.iter().find(is_init).copied()
    }

    /// How many PID namespaces are above it, where that is known.
    pub(crate) fn level(&self) -> Option<usize> {
        /// The kernel nests no deeper; a dump can have circles.
        const DEEPEST: usize = 33;
        let mut namespace = self.namespace;
        for level in 0..DEEPEST {
            match namespace.parent {
                Relation::Known(id) => namespace = self.snapshot.namespaces.get(&id)?,
                Relation::None => return Some(level),
                _ => return None,
            }
        }
        None
    }

    fn mounts(&self) -> Vec<(&'static str, String)> {
        let target = names::target(self.snapshot, self.namespace.id);
        match self.mount_count() {
            Some(count) => vec![("mounts", format!("{count} (lxkns mounts {target})"))],
            None => vec![("mounts", format!("lxkns mounts {target} shows them"))],
        }
    }

    /// How many mounts there are, where that was asked.
    pub(crate) fn mount_count(&self) -> Option<usize> {
        self.snapshot.mounts.get(&self.namespace.id).map(Vec::len)
    }
}

/// How many namespaces of each type it owns.
pub(crate) fn owned_counts(snapshot: &Snapshot, namespace: &Namespace) -> Vec<(NamespaceType, usize)> {
    let mut counts = [0; NamespaceType::ALL.len()];
    for owned in namespace.owned.iter().filter_map(|id| snapshot.namespaces.get(id)) {
        counts[owned.ns_type as usize] += 1;
    }
    NamespaceType::ALL.into_iter().zip(counts).filter(|&(_, count)| count > 0).collect()
}

/// What the kernel writes for an ID that the reader's user namespace does not map: no ID at all.
pub(crate) const UNMAPPED: u32 = u32::MAX;

fn describe_mapping(mapping: &IdMapping) -> String {
    let range = |first: u32| match mapping.count {
        0 | 1 => first.to_string(),
        count => format!("{first} to {}", u64::from(first) + u64::from(count) - 1),
    };
    match mapping.outside {
        UNMAPPED => format!("{} here, not mapped in the reader's user namespace", range(mapping.inside)),
        outside => format!("{} here, {} outside", range(mapping.inside), range(outside)),
    }
}

/// Seconds with nine digits after the point. The kernel keeps the nanoseconds positive, so that -0.5 is -1 and a half.
pub(crate) fn offset((seconds, nanoseconds): (i64, u32)) -> String {
    let total = i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds);
    let sign = if total < 0 { "-" } else { "" };
    let total = total.unsigned_abs();
    format!("{sign}{}.{:09} s", total / 1_000_000_000, total % 1_000_000_000)
}

#[cfg(test)]
#[path = "show_tests.rs"]
mod tests;
