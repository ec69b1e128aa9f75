//! Everything about one namespace.

use lxkns_model::CompactSort as _;
use lxkns_model::inside::Inside;
use lxkns_model::relations;
use lxkns_model::{Holder, IdMapping, Namespace, NamespaceId, NamespaceType, Pid, Relation, Snapshot, TimeOffsets};

use super::network;
use crate::counts::Counts;
use crate::ending::Explained;
use crate::names::{self, Detail};
use crate::sheet::{Column, Fact, Sheet, list};
use crate::text::escape::printable;
use crate::whose::{self, Whose};
use crate::{Context, holders};

/// A namespace with all that is known of it.
#[derive(Debug)]
pub struct ShownNamespace<'a> {
    /// What was found, and what its paths mean.
    pub context: Context<'a>,
    /// How many processes are in each namespace.
    pub counts: &'a Counts,
    /// The namespace.
    pub namespace: &'a Namespace,
    /// What only a process inside can tell.
    pub inside: Inside,
    /// Why that, or some of it, could not be read.
    pub missing: Option<Unread>,
}

/// Why nothing could be read inside of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unread {
    /// It takes `CAP_SYS_ADMIN`: in this user namespace, where that is known.
    NeedsSysAdmin(Option<NamespaceId>),
    /// Anything else, in words.
    Because(String),
}

impl Unread {
    /// In words.
    pub fn words(&self, snapshot: &Snapshot) -> String {
        match self {
            Self::NeedsSysAdmin(None) => "needs CAP_SYS_ADMIN".to_owned(),
            Self::NeedsSysAdmin(Some(id)) => format!("needs CAP_SYS_ADMIN in {}", names::namespace(snapshot, *id)),
            Self::Because(words) => words.clone(),
        }
    }
}

/// What only a process inside can tell of namespaces of this type; `None` where that is nothing.
fn inside_of(ns_type: NamespaceType) -> Option<&'static str> {
    match ns_type {
        NamespaceType::Net => Some("links, addresses, routes, sockets"),
        NamespaceType::Uts => Some("host name, domain name"),
        NamespaceType::User => Some("limits"),
        _ => None,
    }
}

impl<'a> ShownNamespace<'a> {
    fn snapshot(&self) -> &'a Snapshot {
        self.context.snapshot
    }

    /// For people, with lists of no more than `limit`.
    pub fn sheet(&self, limit: usize) -> Sheet {
        let namespace = self.namespace;
        let mut sheet = Sheet::new(names::namespace_and_netns(self.snapshot(), namespace.id, self.context.mount_ns));
        sheet.facts("", [self.identity(), self.relations(limit), self.occupants(limit)].concat());
        match namespace.ns_type {
            NamespaceType::User => self.user(&mut sheet, limit),
            NamespaceType::Net => match &self.inside.network {
                Some(facts) => network::add(&mut sheet, self.context, namespace.id, facts),
                None => sheet.facts("Network", self.absent()),
            },
            NamespaceType::Uts => {
                let facts = self.inside.host_name.as_ref().map(|names| {
                    vec![
                        Fact::new("host name", printable(&names.host)),
                        Fact::new("domain name", printable(&names.domain)),
                    ]
                });
                sheet.facts("Names", facts.unwrap_or_else(|| self.absent()));
            }
            NamespaceType::Time => sheet.facts("Offsets", self.offsets()),
            NamespaceType::Pid => sheet.facts("Processes", self.pid()),
            NamespaceType::Mnt => sheet.facts("Mounts", self.mounts()),
            _ => {}
        }
        sheet
    }

    /// What stands where something is not known.
    fn absent(&self) -> Vec<Fact> {
        let what = inside_of(self.namespace.ns_type).unwrap_or_default();
        vec![Fact::new(what, self.why_missing().unwrap_or_else(|| "unknown".to_owned()))]
    }

    /// Why what only a process inside can tell is missing, or some of it; `None` where nothing is.
    pub fn why_missing(&self) -> Option<String> {
        match &self.missing {
            _ if !self.context.is_live => inside_of(self.namespace.ns_type).map(|_| "not in a dump".to_owned()),
            Some(why) => Some(why.words(self.snapshot())),
            None => None,
        }
    }

    /// That as a sentence that says what is missing, for a living host.
    pub fn complaint(&self) -> Option<String> {
        let (why, what) = (self.missing.as_ref()?, inside_of(self.namespace.ns_type)?);
        Some(format!(
            "{}: {what} not readable: {}",
            names::namespace(self.snapshot(), self.namespace.id),
            why.words(self.snapshot())
        ))
    }

    fn identity(&self) -> Vec<Fact> {
        let namespace = self.namespace;
        let initial = if namespace.initial { ", the initial one" } else { "" };
        let unique_id = namespace.unique_id.map_or_else(|| "unknown".to_owned(), |id| id.to_string());
        vec![
            Fact::new("type", format!("{}{initial}", namespace.ns_type)),
            Fact::new("inode", namespace.id.ino.to_string()),
            Fact::new("unique ID", unique_id),
        ]
        .into_iter()
        .chain(whose::facts(self.snapshot(), Whose::namespace(self.snapshot(), namespace.id)))
        .collect()
    }

    fn relations(&self, limit: usize) -> Vec<Fact> {
        let namespace = self.namespace;
        let mut facts = Vec::new();
        if let Some(uid) = namespace.owner_uid {
            facts.push(Fact::new("created by", names::user(self.snapshot(), uid)));
        }
        if namespace.ns_type != NamespaceType::User {
            facts.push(Fact::new("owner", self.relation(namespace.owner)));
        }
        if namespace.ns_type.is_hierarchical() {
            facts.push(Fact::new("parent", self.relation(namespace.parent)));
            facts.extend(list("children", &namespace.children, limit, |&id| self.other(id)));
        }
        if !namespace.owned.is_empty() {
            let counts = owned_counts(self.snapshot(), namespace).into_iter();
            let counts: Vec<_> = counts.map(|(ns_type, count)| format!("{count} {ns_type}")).collect();
            facts.push(Fact::new("owns", counts.join(", ")));
            let mut owned: Vec<_> = namespace.owned.clone();
            owned.compact_sort_by_key(|id| (self.snapshot().namespaces.get(id).map(|owned| owned.ns_type), *id));
            facts.extend(list("", &owned, limit, |&id| self.other(id)));
        }
        facts
    }

    fn relation(&self, relation: Relation) -> String {
        match relation {
            Relation::Known(id) => {
                let creator = self.snapshot().namespaces.get(&id).and_then(|namespace| namespace.owner_uid);
                let creator = creator.map(|uid| format!(", created by {}", names::user(self.snapshot(), uid)));
                format!("{}{}", names::namespace(self.snapshot(), id), creator.unwrap_or_default())
            }
            Relation::None => "none".to_owned(),
            Relation::NotVisible => "not visible from here".to_owned(),
            _ => "unknown".to_owned(),
        }
    }

    /// Another namespace with who is in it.
    fn other(&self, id: NamespaceId) -> String {
        let name = names::namespace_and_netns(self.snapshot(), id, self.context.mount_ns);
        let Some(namespace) = self.snapshot().namespaces.get(&id) else { return name };
        let name = match namespace.leaders.first() {
            Some(_) => name,
            None => name + &whose::of_words(self.snapshot(), id),
        };
        match namespace.leaders.first() {
            Some(&pid) => format!("{name} of {}", names::process(self.snapshot(), pid, Detail::Brief)),
            None => {
                let holder = holders::in_brackets(self.snapshot(), namespace, self.context.mount_ns);
                holder.map_or_else(|| name.clone(), |holder| format!("{name} {holder}"))
            }
        }
    }

    fn occupants(&self, limit: usize) -> Vec<Fact> {
        let namespace = self.namespace;
        let count = self.counts.get(namespace.id);
        let inside = match (count.processes, count.tasks, names::unseen_members(self.snapshot(), namespace)) {
            (0, 0, None) => "no process".to_owned(),
            (0, 0, Some(why)) => format!("no process seen; {why}"),
            (processes, tasks, None) => format!("processes: {processes}, tasks: {tasks}"),
            (processes, tasks, Some(why)) => format!("processes: {processes}, tasks: {tasks} seen; {why}"),
        };
        let mut facts = vec![Fact::new("inside", inside)];
        let leader = |&pid: &Pid| names::process(self.snapshot(), pid, Detail::Full);
        facts.extend(list("topmost", &namespace.leaders, limit, leader));
        let tasks = namespace.holders.iter().filter(|holder| matches!(holder, Holder::Task { .. })).collect::<Vec<_>>();
        let task = |task: &&Holder| holders::describe(self.snapshot(), task, self.context.mount_ns, Detail::Brief);
        facts.extend(list("tasks", &tasks, limit, task));
        let held = holders::summary(&namespace.holders).unwrap_or_else(|| "nothing seen".to_owned());
        facts.push(Fact::new(
            "held by",
            format!("{held}; see `lxkns why {}`", names::target(self.snapshot(), namespace.id)),
        ));
        let references = holders::references(self.snapshot(), namespace);
        facts.extend(references.map(|references| Fact::new("counted", references)));
        if let Some(way) = names::ways(self.snapshot(), namespace, self.context.mount_ns).next() {
            facts.push(Fact::new("path", printable(way.into_path())));
        }
        facts
    }

    fn user(&self, sheet: &mut Sheet, limit: usize) {
        let maps = [("UIDs", &self.namespace.uid_map), ("GIDs", &self.namespace.gid_map)];
        let maps = maps.into_iter().flat_map(|(label, map)| match map.as_deref() {
            None => vec![Fact::new(label, "unknown")],
            Some([]) => vec![Fact::new(label, "none are mapped")],
            Some(map) => list(label, map, limit, describe_mapping),
        });
        sheet.facts("ID maps", maps.collect());
        let Some(limits) = &self.inside.limits else {
            return sheet.facts("Limits", self.absent());
        };
        let used = self.used();
        let rows = limits.iter().map(|limit| {
            let used = used.iter().find(|(ns_type, _)| ns_type.name() == limit.ns_type);
            vec![
                printable(&limit.ns_type),
                limit.max.to_string(),
                used.map_or_else(|| "unknown".to_owned(), |(_, used)| used.to_string()),
            ]
        });
        let heading = "Limits for each creating user; USED counts what was seen here and in descendants, for all users";
        sheet.table(heading, vec![Column::left("TYPE"), Column::right("MAX"), Column::right("USED")], rows.collect());
    }

    /// How many namespaces of each type count towards the limits.
    pub(super) fn used(&self) -> Vec<(NamespaceType, u64)> {
        let charges = relations::charges(self.snapshot(), self.namespace.id);
        charges.into_iter().flat_map(|counts| NamespaceType::ALL.into_iter().zip(counts)).collect()
    }

    fn offsets(&self) -> Vec<Fact> {
        let Some(TimeOffsets { monotonic, boottime }) = self.namespace.time_offsets else {
            return vec![Fact::new("offsets", "unknown")];
        };
        vec![Fact::new("monotonic", offset(monotonic)), Fact::new("boottime", offset(boottime))]
    }

    fn pid(&self) -> Vec<Fact> {
        let init = self
            .init()
            .map_or_else(|| "unknown, or none".to_owned(), |pid| names::process(self.snapshot(), pid, Detail::Full));
        let level = self.level().map_or_else(|| "unknown".to_owned(), |level| level.to_string());
        let mut facts = vec![Fact::new("init", init), Fact::new("level", level)];
        for (line, release) in
            Explained::of(self.snapshot(), self.namespace.id).map(|it| it.lines()).unwrap_or_default()
        {
            facts.push(Fact::new("ending", line));
            facts.extend(release.map(|release| Fact::new("", format!("until {release}"))));
        }
        facts
    }

    /// The process with PID 1 in it.
    pub(super) fn init(&self) -> Option<Pid> {
        let is_init = |pid: &&Pid| {
            let process = self.snapshot().processes.get(pid);
            let pids = process.and_then(|process| process.status.as_ref()).map(|status| &status.ns_pids);
            pids.and_then(|pids| pids.last()).is_some_and(|pid| pid.0 == 1)
        };
        self.namespace.leaders.iter().find(is_init).copied()
    }

    /// How many PID namespaces are above it, where that is known.
    pub(super) fn level(&self) -> Option<usize> {
        /// The kernel nests no deeper; a dump can have circles.
        const DEEPEST: usize = 33;
        let mut namespace = self.namespace;
        for level in 0..DEEPEST {
            match namespace.parent {
                Relation::Known(id) => namespace = self.snapshot().namespaces.get(&id)?,
                Relation::None => return Some(level),
                _ => return None,
            }
        }
        None
    }

    fn mounts(&self) -> Vec<Fact> {
        let target = names::target(self.snapshot(), self.namespace.id);
        match self.mount_count() {
            Some(count) => vec![Fact::new("mounts", format!("{count}; see `lxkns mounts {target}`"))],
            None => vec![Fact::new("mounts", format!("see `lxkns mounts {target}`"))],
        }
    }

    /// How many mounts there are, where that was asked.
    pub(super) fn mount_count(&self) -> Option<usize> {
        self.snapshot().mounts.get(&self.namespace.id).map(Vec::len)
    }
}

/// How many namespaces of each type it owns.
pub(super) fn owned_counts(snapshot: &Snapshot, namespace: &Namespace) -> Vec<(NamespaceType, usize)> {
    let mut counts = [0; NamespaceType::ALL.len()];
    for owned in namespace.owned.iter().filter_map(|id| snapshot.namespaces.get(id)) {
        counts[owned.ns_type as usize] += 1;
    }
    NamespaceType::ALL.into_iter().zip(counts).filter(|&(_, count)| count > 0).collect()
}

/// What the kernel writes for an ID that the reader's user namespace does not map: no ID at all.
pub(super) const UNMAPPED: u32 = u32::MAX;

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
pub(super) fn offset((seconds, nanoseconds): (i64, u32)) -> String {
    let total = i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds);
    let sign = if total < 0 { "-" } else { "" };
    let total = total.unsigned_abs();
    format!("{sign}{}.{:09} s", total / 1_000_000_000, total % 1_000_000_000)
}
