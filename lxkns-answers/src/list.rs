//! The namespaces of a host as a table: the answer of `lxkns ls`.
//!
//! Columns that lsns has too have its names and JSON types. A value that is not known is empty, and `null` in JSON; lsns
//! prints some of these as 0.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use bstr::{BStr, BString, ByteSlice as _};
use lxkns_model::relations::{self, ContainerNamespaces};
use lxkns_model::{Container, DiscoveryOptions, Holder, Namespace, NamespaceId, NamespaceType, Pid, Place, Places};
use lxkns_model::{Process, Scope, Snapshot, Uid};
use rustc_hash::FxHashSet;
use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};

use crate::cell::Cell;
use crate::context::Context;
use crate::counts::Counts;
use crate::users::Users;
use crate::whose::{self, Whose};
use crate::{holders, names};

/// A column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Column {
    /// Inode number.
    Ns,
    /// Mnt, cgroup, uts, ipc, user, pid, net or time.
    Type,
    /// A path that leads to it.
    Path,
    /// Number of processes in it; 3+ or ? where some are not readable.
    Nprocs,
    /// Its most senior process: oldest of those whose parent is elsewhere.
    Pid,
    /// Parent of PID.
    Ppid,
    /// Command line of PID; without a process, [what holds it], but not for programs: a command line can look so.
    Command,
    /// Effective user ID of PID; without a process, the owner's.
    Uid,
    /// Name of UID.
    User,
    /// ID of a network namespace, as seen from this one.
    Netnsid,
    /// Where it is bind-mounted.
    Nsfs,
    /// Its name in `ip netns`.
    Netns,
    /// Parent namespace (user, pid).
    Pns,
    /// Owning user namespace.
    Ons,
    /// ID that is never reused until the next boot.
    UniqueId,
    /// Number of tasks in it; 3+ or ? where some are not readable.
    Ntasks,
    /// Number of holders of each kind that were seen.
    Holders,
    /// Control group of PID.
    Cgroup,
    /// Containers with a process in it, or that it was made for; the one that owns it first.
    Container,
    /// Pod of these containers.
    Pod,
    /// Engine of the first of these containers.
    Engine,
    /// Systemd unit, snap or sandbox, if it belongs to no container.
    Unit,
}

/// All columns: name, what it means.
const COLUMNS: [(Column, &str, &str); 22] = [
    (Column::Ns, "NS", "inode number"),
    (Column::Type, "TYPE", "mnt, cgroup, uts, ipc, user, pid, net or time"),
    (Column::Path, "PATH", "a path that leads to it"),
    (Column::Nprocs, "NPROCS", "number of processes in it; 3+ or ? where some are not readable"),
    (Column::Pid, "PID", "its most senior process: oldest of those whose parent is elsewhere"),
    (Column::Ppid, "PPID", "parent of PID"),
    (Column::Command, "COMMAND", "command line of PID; without one, [what holds it] for people"),
    (Column::Uid, "UID", "effective user ID of PID; without a process, the owner's"),
    (Column::User, "USER", "name of UID"),
    (Column::Netnsid, "NETNSID", "ID of a network namespace, as seen from this one"),
    (Column::Nsfs, "NSFS", "where it is bind-mounted"),
    (Column::Netns, "NETNS", "its name in `ip netns`"),
    (Column::Pns, "PNS", "parent namespace (user, pid)"),
    (Column::Ons, "ONS", "owning user namespace"),
    (Column::UniqueId, "UNIQUEID", "ID that is never reused until the next boot"),
    (Column::Ntasks, "NTASKS", "number of tasks in it; 3+ or ? where some are not readable"),
    (Column::Holders, "HOLDERS", "number of holders of each kind that were seen"),
    (Column::Cgroup, "CGROUP", "control group of PID"),
    (Column::Container, "CONTAINER", "containers in it; the one that owns it first"),
    (Column::Pod, "POD", "pod of these containers"),
    (Column::Engine, "ENGINE", "engine of the first of these containers"),
    (Column::Unit, "UNIT", "systemd unit, snap or sandbox, if it belongs to no container"),
];

crate::columns::described_by!(Column, COLUMNS);

impl Column {
    /// The default columns: those of lsns.
    pub fn default_for(types: &[NamespaceType]) -> Vec<Self> {
        if types == [NamespaceType::Net] {
            vec![Self::Ns, Self::Type, Self::Nprocs, Self::Pid, Self::User, Self::Netnsid, Self::Nsfs, Self::Command]
        } else {
            vec![Self::Ns, Self::Type, Self::Nprocs, Self::Pid, Self::User, Self::Command]
        }
    }

    /// Whether it needs all holders of a namespace.
    fn needs_holders(self) -> bool {
        matches!(self, Self::Path | Self::Netnsid | Self::Nsfs | Self::Netns | Self::Holders)
    }
}

/// The discovery options that fill these columns. `of_processes`: only namespaces with a process are wanted, so the other
/// places are scanned only if a column shows them.
pub fn options(columns: &[Column], of_processes: bool) -> DiscoveryOptions {
    let has = |column| columns.contains(&column);
    let mut options = DiscoveryOptions::namespaces();
    if of_processes && !columns.iter().any(|column| column.needs_holders()) {
        options.places = [Place::Processes, Place::Tasks].into_iter().collect();
        if has(Column::Pns) {
            options.places = options.places.with(Place::Parents);
        }
        if has(Column::Ons) || has(Column::Uid) || has(Column::User) {
            options.places = options.places.with(Place::Owners);
        }
    }
    let scope = |wanted| if wanted { Scope::Named } else { Scope::None };
    options.status = scope(has(Column::Uid) || has(Column::User));
    options.command_lines = scope(has(Column::Command));
    options.cgroups = has(Column::Cgroup);
    // Mounted file systems hold namespaces too.
    options.mounts = has(Column::Holders);
    options.without_self = true;
    options
}

/// The places whose gaps can show in these columns.
pub fn places(columns: &[Column], options: &DiscoveryOptions) -> Places {
    let mut places = options.places;
    for column in columns {
        places = match column {
            Column::Uid | Column::User | Column::Ppid => places.with(Place::ProcessFacts),
            Column::Command => places.with(Place::CommandLines),
            Column::Cgroup => places.with(Place::Cgroups),
            Column::UniqueId => places.with(Place::NamespaceFacts),
            Column::Container | Column::Pod | Column::Engine | Column::Unit => places.with(Place::Containers),
            _ => places,
        };
    }
    places
}

/// The namespaces in this set, if there is one, and of these types, if there are any: by type, then by inode number.
pub fn select<'a>(
    snapshot: &'a Snapshot,
    only: Option<&BTreeSet<NamespaceId>>,
    types: &[NamespaceType],
) -> Vec<&'a Namespace> {
    let mut selected = snapshot.namespaces_by_type();
    selected.retain(|namespace| {
        (types.is_empty() || types.contains(&namespace.ns_type)) && only.is_none_or(|only| only.contains(&namespace.id))
    });
    selected
}

/// The data that the cells are made from.
#[derive(Debug)]
pub struct List<'a> {
    context: Context<'a>,
    counts: Counts,
    users: Users,
    netnsids: BTreeMap<NamespaceId, Option<u32>>,
    containers: OnceCell<ContainerNamespaces<'a>>,
    names: OnceCell<whose::ColumnNames>,
}

impl<'a> List<'a> {
    /// The table of a snapshot. `netnsids`: the IDs of network namespaces in the caller's network namespace; `None` if one has
    /// no ID there.
    pub fn new(context: Context<'a>, netnsids: BTreeMap<NamespaceId, Option<u32>>) -> Self {
        let snapshot = context.snapshot;
        Self {
            context,
            counts: Counts::of(snapshot),
            users: Users::of_snapshot(snapshot),
            netnsids,
            containers: OnceCell::new(),
            names: OnceCell::new(),
        }
    }

    /// Whether `ip netns` has a name for a namespace.
    pub fn is_named(&self, namespace: &Namespace) -> bool {
        self.netns_name(namespace).is_some()
    }

    /// The name of a network namespace in the caller's mount namespace, even if paths there mean other files.
    fn netns_name(&self, namespace: &Namespace) -> Option<&BStr> {
        let snapshot = self.context.snapshot;
        names::netns_name(snapshot, namespace.id, self.context.mount_ns.or(snapshot.observer_mount_ns))
    }

    /// The rows of these namespaces, in their order.
    pub fn answer(&self, namespaces: &[&Namespace], columns: &[Column]) -> Answer {
        let row = |&namespace: &&Namespace| {
            Row(columns.iter().map(|&column| (column, self.cell(namespace, column))).collect())
        };
        Answer {
            namespaces: namespaces.iter().map(row).collect(),
            unreadable_processes: relations::unreadable_processes(self.context.snapshot),
        }
    }

    /// Sorts namespaces by a column; those with equal cells keep their order.
    pub fn sort(&self, namespaces: &mut [&Namespace], column: Column) {
        namespaces.sort_by_cached_key(|namespace| self.cell(namespace, column).order());
    }

    /// The cell of a namespace in a column.
    pub fn cell(&self, namespace: &Namespace, column: Column) -> Cell {
        let count = || self.counts.get(namespace.id);
        match column {
            Column::Ns => Cell::Number(namespace.id.ino),
            Column::Type => Cell::text(namespace.ns_type.name()),
            Column::Path => {
                let way = names::ways(self.context.snapshot, namespace, self.context.mount_ns).next();
                way.map_or(Cell::Nothing, |way| Cell::Text(way.into_path()))
            }
            Column::Nprocs => self.seen(namespace, count().processes),
            Column::Pid => Cell::number(self.leader(namespace).map(|pid| pid.0.into())),
            Column::Ppid => {
                Cell::number(self.process(namespace).and_then(|process| process.ppid).map(|pid| pid.0.into()))
            }
            Column::Command => self.command(namespace),
            Column::Uid => self.user(namespace, |uid| Cell::Number(uid.0.into())),
            Column::User => self.user(namespace, |uid| Cell::Text(self.users.name_or_number(uid))),
            Column::Netnsid => self.netnsids.get(&namespace.id).map_or(Cell::Nothing, |id| {
                Cell::text(id.map_or_else(|| "unassigned".to_owned(), |id| id.to_string()))
            }),
            Column::Nsfs => Cell::list(bind_mounts(namespace)),
            Column::Netns => self.netns_name(namespace).map_or(Cell::Nothing, Cell::text),
            Column::Pns => Cell::number(namespace.parent.known().map(|id| id.ino)),
            Column::Ons => Cell::number(namespace.owner.known().map(|id| id.ino)),
            Column::UniqueId => Cell::number(namespace.unique_id),
            Column::Ntasks => self.seen(namespace, count().tasks),
            Column::Holders => holders::summary(&namespace.holders).map_or(Cell::Nothing, Cell::text),
            Column::Cgroup => self.cgroup(namespace).map_or(Cell::Nothing, Cell::text),
            Column::Container => {
                let containers = || self.context.snapshot.annotations.containers.as_ref();
                let names = self.names.get_or_init(|| whose::ColumnNames::of(containers()));
                Cell::list(self.containers(namespace).map(|container| names.name(container)).collect())
            }
            Column::Pod => {
                let pod = self.containers(namespace).find_map(|container| container.pod.as_ref());
                pod.map_or(Cell::Nothing, |pod| Cell::Text(pod.value.full_name()))
            }
            Column::Engine => {
                self.containers(namespace).next().map_or(Cell::Nothing, |container| Cell::text(container.kind.name()))
            }
            Column::Unit => match Whose::namespace(self.context.snapshot, namespace.id) {
                Some(Whose::Unit(unit)) => Cell::Text(unit.name.clone()),
                _ => Cell::Nothing,
            },
        }
    }

    /// The containers in a namespace, the one that owns it first.
    fn containers(&self, namespace: &Namespace) -> impl Iterator<Item = &'a Container> {
        let snapshot = self.context.snapshot;
        let index = self.containers.get_or_init(|| ContainerNamespaces::of(snapshot));
        let list = snapshot.annotations.containers.as_ref().map_or(&[][..], |containers| &containers.list);
        index.containers_in(namespace.id).into_iter().filter_map(|index| list.get(index))
    }

    /// The columns about containers and units that are not empty for these namespaces.
    pub fn whose_columns(&self, namespaces: &[&Namespace]) -> Vec<Column> {
        let has_any = |&column: &Column| namespaces.iter().any(|it| self.cell(it, column) != Cell::Nothing);
        [Column::Container, Column::Pod, Column::Engine, Column::Unit].into_iter().filter(has_any).collect()
    }

    /// A number of members that were seen. If there may be others, zero is shown as not known.
    fn seen(&self, namespace: &Namespace, number: u64) -> Cell {
        match number {
            number if relations::members_seen(self.context.snapshot, namespace) => Cell::Number(number),
            0 => Cell::Hint("?".to_owned()),
            number => Cell::AtLeast(number),
        }
    }

    /// The most senior process in it.
    fn leader(&self, namespace: &Namespace) -> Option<Pid> {
        namespace.leaders.first().copied().or_else(|| self.counts.get(namespace.id).lowest)
    }

    fn process(&self, namespace: &Namespace) -> Option<&Process> {
        self.context.snapshot.processes.get(&self.leader(namespace)?)
    }

    fn command(&self, namespace: &Namespace) -> Cell {
        match self.process(namespace) {
            Some(process) => Cell::Text(names::command(process)),
            None => holders::in_brackets(self.context.snapshot, namespace, self.context.mount_ns)
                .map_or(Cell::Nothing, Cell::Hint),
        }
    }

    /// The cell of a user; a hint if the user has no ID here.
    fn user(&self, namespace: &Namespace, cell: impl FnOnce(Uid) -> Cell) -> Cell {
        match self.uid(namespace) {
            Some(uid) if names::mapped(self.context.snapshot, uid).is_none() => {
                Cell::Hint(names::NOT_MAPPED.to_owned())
            }
            Some(uid) => cell(uid),
            None => Cell::Nothing,
        }
    }

    /// The user of the process; without a process, the creator of the user namespace, or of the one that owns the namespace.
    fn uid(&self, namespace: &Namespace) -> Option<Uid> {
        if self.leader(namespace).is_some() {
            return self.process(namespace)?.status.as_ref().map(|status| status.uids.effective);
        }
        if namespace.ns_type == NamespaceType::User {
            return namespace.owner_uid;
        }
        self.context.snapshot.namespaces.get(&namespace.owner.known()?)?.owner_uid
    }

    fn cgroup(&self, namespace: &Namespace) -> Option<&BStr> {
        self.process(namespace)?.living_task().cgroups.as_ref()?.path().map(|path| path.as_bstr())
    }
}

/// The paths at which it is bind-mounted, each once.
fn bind_mounts(namespace: &Namespace) -> Vec<BString> {
    let mut seen = FxHashSet::default();
    let path = |holder| match holder {
        &Holder::BindMount { path: Some(ref path), .. } => Some(path),
        _ => None,
    };
    namespace.bind_mounts().iter().filter_map(path).filter(|&path| seen.insert(path)).cloned().collect()
}

/// A list of namespaces. Its JSON form is what lsns writes.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Answer {
    /// The namespaces.
    pub namespaces: Vec<Row>,
    /// The number of processes whose namespaces are not readable, so they may be in any of these; `lsns` does not have it.
    #[serde(skip_serializing_if = "is_none")]
    pub unreadable_processes: usize,
}

fn is_none(number: &usize) -> bool {
    *number == 0
}

/// The cells of one namespace, in the order of the columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row(pub Vec<(Column, Cell)>);

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (column, cell) in &self.0 {
            map.serialize_entry(&column.name().to_ascii_lowercase(), cell)?;
        }
        map.end()
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Row {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Row".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let properties: serde_json::Map<_, _> = Column::all()
            .map(|column| {
                let json_type = match column {
                    Column::Ns => serde_json::json!("integer"),
                    Column::Type => serde_json::json!("string"),
                    Column::Nprocs | Column::Pid | Column::Ppid | Column::Uid => serde_json::json!(["integer", "null"]),
                    Column::Pns | Column::Ons | Column::UniqueId | Column::Ntasks => {
                        serde_json::json!(["integer", "null"])
                    }
                    _ => serde_json::json!(["string", "null"]),
                };
                let property = serde_json::json!({ "type": json_type, "description": column.meaning() });
                (column.name().to_ascii_lowercase(), property)
            })
            .collect();
        schemars::json_schema!({ "type": "object", "properties": properties, "additionalProperties": false })
    }
}

#[cfg(test)]
#[path = "list_tests.rs"]
mod tests;
