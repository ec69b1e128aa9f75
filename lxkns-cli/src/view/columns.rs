//! The columns of `ls`: their names, what they mean, and how a cell comes from a namespace.
//!
//! Names and JSON types are lsns's own, as far as it has the column. Where lsns prints 0 for what it does not know,
//! this prints nothing, and `null` in JSON.

use std::collections::BTreeMap;

use bstr::{BStr, BString, ByteSlice as _};
use lxkns_core::model::{DiscoveryOptions, Holder, Namespace, NamespaceId, NamespaceType, Place, Process, Scope};
use lxkns_core::model::{Pid, Places, Snapshot, Uid};
use lxkns_core::relations;
use serde::{Serialize, Serializer};

use super::counts::Counts;
use super::escape::{For, escape};
use super::holders;
use super::names;
use super::table::Heading;
use lxkns_answers::users::Users;

/// A column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    Ns,
    Type,
    Path,
    Nprocs,
    Pid,
    Ppid,
    Command,
    Uid,
    User,
    Netnsid,
    Nsfs,
    Pns,
    Ons,
    UniqueId,
    Ntasks,
    Holders,
    Cgroup,
}

/// All columns: name, whether to the right, what it means.
const COLUMNS: [(Column, &str, bool, &str); 17] = [
    (Column::Ns, "NS", true, "inode number"),
    (Column::Type, "TYPE", false, "mnt, cgroup, uts, ipc, user, pid, net or time"),
    (Column::Path, "PATH", false, "a path that leads to it"),
    (Column::Nprocs, "NPROCS", true, "number of processes in it; 3+ or ? where some are not readable"),
    (Column::Pid, "PID", true, "its most senior process: oldest of those whose parent is elsewhere"),
    (Column::Ppid, "PPID", true, "parent of PID"),
    (Column::Command, "COMMAND", false, "command line of PID; without a process, [what holds it]"),
    (Column::Uid, "UID", true, "effective user ID of PID; without a process, the owner's"),
    (Column::User, "USER", false, "name of UID"),
    (Column::Netnsid, "NETNSID", true, "ID of a network namespace, as seen from this one"),
    (Column::Nsfs, "NSFS", false, "where it is bind-mounted"),
    (Column::Pns, "PNS", true, "parent namespace (user, pid)"),
    (Column::Ons, "ONS", true, "owning user namespace"),
    (Column::UniqueId, "UNIQUEID", true, "ID that is never used again until the next boot"),
    (Column::Ntasks, "NTASKS", true, "number of threads in it, likewise"),
    (Column::Holders, "HOLDERS", false, "how many things of each kind were seen to keep it alive"),
    (Column::Cgroup, "CGROUP", false, "control group of PID"),
];

impl Column {
    /// What `ls` shows unless told otherwise: what lsns shows.
    pub(crate) fn default_for(types: &[NamespaceType]) -> Vec<Self> {
        if types == [NamespaceType::Net] {
            vec![Self::Ns, Self::Type, Self::Nprocs, Self::Pid, Self::User, Self::Netnsid, Self::Nsfs, Self::Command]
        } else {
            vec![Self::Ns, Self::Type, Self::Nprocs, Self::Pid, Self::User, Self::Command]
        }
    }

    fn entry(self) -> (Self, &'static str, bool, &'static str) {
        COLUMNS[self as usize]
    }

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        self.entry().1
    }

    /// How it stands in a table.
    pub(crate) fn heading(self) -> Heading {
        Heading { name: self.name(), right: self.entry().2, gives_way: self == Self::Command }
    }

    fn from_name(name: &str) -> Result<Self, String> {
        COLUMNS.into_iter().find(|entry| entry.1.eq_ignore_ascii_case(name)).map(|entry| entry.0).ok_or_else(|| {
            let valid: Vec<_> = names().collect();
            format!("unknown column {name:?}: valid columns are {}", valid.join(", "))
        })
    }

    /// Whether it needs to know everything that holds a namespace.
    fn needs_holders(self) -> bool {
        matches!(self, Self::Path | Self::Netnsid | Self::Nsfs | Self::Holders)
    }
}

/// Reads the lists of `-o`. The first that does not begin with `+` takes the place of the default, all others add to
/// what is there. A column that is already there stays where it is.
pub(crate) fn parse(lists: &[String], default: Vec<Column>) -> Result<Vec<Column>, String> {
    parse_lists(lists, default, Column::from_name)
}

/// [`parse`] for columns of whatever kind.
pub(crate) fn parse_lists<C: PartialEq>(
    lists: &[String],
    default: Vec<C>,
    from_name: impl Fn(&str) -> Result<C, String>,
) -> Result<Vec<C>, String> {
    let mut columns = default;
    let mut replaced = false;
    for list in lists {
        let names = match list.strip_prefix('+') {
            Some(names) => names,
            None => {
                if !replaced {
                    columns.clear();
                    replaced = true;
                }
                list
            }
        };
        for name in names.split(',') {
            let column = from_name(name.trim())?;
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
    }
    Ok(columns)
}

/// The names of all columns.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    COLUMNS.iter().map(|entry| entry.1)
}

/// The columns with what they mean, for the help.
pub(crate) fn help() -> String {
    let lines: Vec<_> = COLUMNS.iter().map(|(_, name, _, meaning)| format!("  {name:<9} {meaning}")).collect();
    format!("Columns:\n{}", lines.join("\n"))
}

/// What discovery is to be asked for so that these columns can be filled. `of_processes`: only the namespaces that
/// processes are in are wanted, so that the other places need not be asked where no column shows them.
pub(crate) fn options(columns: &[Column], of_processes: bool) -> DiscoveryOptions {
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
    options.without_self = true;
    options
}

/// The places whose gaps can show in these columns.
pub(crate) fn places(columns: &[Column], options: &DiscoveryOptions) -> Places {
    let mut places = options.places;
    for column in columns {
        places = match column {
            Column::Uid | Column::User | Column::Ppid => places.with(Place::ProcessFacts),
            Column::Command => places.with(Place::CommandLines),
            Column::Cgroup => places.with(Place::Cgroups),
            Column::UniqueId => places.with(Place::NamespaceFacts),
            _ => places,
        };
    }
    places
}

/// What is in a row and a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cell {
    /// Not known, or there is none.
    Nothing,
    /// A number.
    Number(u64),
    /// At least so many: there may be others that could not be seen.
    AtLeast(u64),
    /// Whether something is so.
    Bool(bool),
    /// A text, unsafe to print.
    Text(BString),
    /// Several texts, unsafe to print.
    List(Vec<BString>),
    /// A hint for eyes, safe to print: programs see nothing.
    Hint(String),
}

impl Cell {
    pub(crate) fn text(text: impl Into<BString>) -> Self {
        Self::Text(text.into())
    }

    pub(crate) fn number(number: Option<u64>) -> Self {
        number.map_or(Self::Nothing, Self::Number)
    }

    /// The cell as text that is safe to print.
    pub(crate) fn printable(&self, goes_to: For) -> String {
        match self {
            Self::Nothing => String::new(),
            Self::AtLeast(number) if goes_to == For::Eyes => format!("{number}+"),
            Self::Number(number) | Self::AtLeast(number) => number.to_string(),
            Self::Bool(is_so) => if *is_so { "yes" } else { "no" }.to_owned(),
            Self::Text(text) => escape(text, goes_to),
            Self::List(texts) => escape(&bstr::join(",", texts), goes_to),
            Self::Hint(hint) if goes_to == For::Eyes => hint.clone(),
            Self::Hint(_) => String::new(),
        }
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Nothing | Self::Hint(_) => serializer.serialize_none(),
            Self::Number(number) | Self::AtLeast(number) => serializer.serialize_u64(*number),
            Self::Bool(is_so) => serializer.serialize_bool(*is_so),
            Self::Text(text) => serializer.serialize_str(&text.to_str_lossy()),
            // One string, as lsns has it.
            Self::List(texts) => serializer.serialize_str(&bstr::join("\n", texts).to_str_lossy()),
        }
    }
}

/// All that the cells are made from.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    /// What was found.
    pub(crate) snapshot: &'a Snapshot,
    /// How many are in each namespace.
    pub(crate) counts: Counts,
    /// The names of users.
    pub(crate) users: Users,
    /// The network namespace IDs that were asked for, as lsns writes them: a number, or `unassigned`.
    pub(crate) netnsids: BTreeMap<NamespaceId, Option<u32>>,
    /// The mount namespace in which paths mean what they say.
    pub(crate) home: Option<NamespaceId>,
}

impl Context<'_> {
    /// The cell of a namespace in a column.
    pub(crate) fn cell(&self, namespace: &Namespace, column: Column) -> Cell {
        let count = || self.counts.get(namespace.id);
        match column {
            Column::Ns => Cell::Number(namespace.id.ino),
            Column::Type => Cell::text(namespace.ns_type.name()),
            Column::Path => {
                let way = names::ways(self.snapshot, namespace, self.home).next();
                way.map_or(Cell::Nothing, |way| Cell::Text(way.into_path()))
            }
            Column::Nprocs => self.seen(namespace, count().processes),
            Column::Pid => Cell::number(self.leader(namespace).map(|pid| pid.0.into())),
            Column::Ppid => {
                Cell::number(self.process(namespace).and_then(|process| process.ppid).map(|pid| pid.0.into()))
            }
            Column::Command => self.command(namespace),
            Column::Uid => Cell::number(self.uid(namespace).map(|uid| uid.0.into())),
            Column::User => self.uid(namespace).map_or(Cell::Nothing, |uid| Cell::Text(self.users.name_or_number(uid))),
            Column::Netnsid => self.netnsids.get(&namespace.id).map_or(Cell::Nothing, |id| {
                Cell::text(id.map_or_else(|| "unassigned".to_owned(), |id| id.to_string()))
            }),
            Column::Nsfs => nsfs(namespace),
            Column::Pns => Cell::number(namespace.parent.known().map(|id| id.ino)),
            Column::Ons => Cell::number(namespace.owner.known().map(|id| id.ino)),
            Column::UniqueId => Cell::number(namespace.unique_id),
            Column::Ntasks => self.seen(namespace, count().tasks),
            Column::Holders => holders::summary(&namespace.holders).map_or(Cell::Nothing, Cell::text),
            Column::Cgroup => self.cgroup(namespace).map_or(Cell::Nothing, Cell::text),
        }
    }

    /// A number of members that were seen. Where there may be others, none is no number.
    fn seen(&self, namespace: &Namespace, number: u64) -> Cell {
        match number {
            number if relations::members_seen(self.snapshot, namespace) => Cell::Number(number),
            0 => Cell::Hint("?".to_owned()),
            number => Cell::AtLeast(number),
        }
    }

    /// The most senior process in it.
    fn leader(&self, namespace: &Namespace) -> Option<Pid> {
        namespace.leaders.first().copied().or_else(|| self.counts.get(namespace.id).lowest)
    }

    fn process(&self, namespace: &Namespace) -> Option<&Process> {
        self.snapshot.processes.get(&self.leader(namespace)?)
    }

    fn command(&self, namespace: &Namespace) -> Cell {
        match self.process(namespace) {
            Some(process) => Cell::Text(names::command(process)),
            None => holders::in_brackets(self.snapshot, namespace, self.home).map_or(Cell::Nothing, Cell::Hint),
        }
    }

    /// The user of the process; where there is none, who created the user namespace that it is or belongs to.
    fn uid(&self, namespace: &Namespace) -> Option<Uid> {
        if self.leader(namespace).is_some() {
            return self.process(namespace)?.status.as_ref().map(|status| status.uids.effective);
        }
        if namespace.ns_type == NamespaceType::User {
            return namespace.owner_uid;
        }
        self.snapshot.namespaces.get(&namespace.owner.known()?)?.owner_uid
    }

    fn cgroup(&self, namespace: &Namespace) -> Option<&BStr> {
        self.process(namespace)?.living_task().cgroups.as_ref()?.path().map(|path| path.as_bstr())
    }
}

fn nsfs(namespace: &Namespace) -> Cell {
    let mut paths: Vec<BString> = Vec::new();
    for holder in &namespace.holders {
        if let Holder::BindMount { path: Some(path), .. } = holder
            && !paths.contains(path)
        {
            paths.push(path.clone());
        }
    }
    if paths.is_empty() { Cell::Nothing } else { Cell::List(paths) }
}

#[cfg(test)]
#[path = "columns_tests.rs"]
mod tests;
