//! The mounts of a mount namespace: the columns of `mounts`, and the tree.
//!
//! Names of columns are findmnt's own, as far as it has the column.

use std::collections::BTreeMap;

use bstr::{BString, ByteSlice as _};
use lxkns_core::model::{Mount, NamespaceId, Propagation, Snapshot};
use lxkns_core::relations::{MountTree, NamespacedMount, PeerGroup, PeerGroups};

use super::branches;
use super::columns::Cell;
use super::escape::{For, escape};
use super::names;
use super::table::Heading;

/// A column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    Target,
    Source,
    Fstype,
    Propagation,
    Options,
    Hidden,
    Id,
    Parent,
    MajMin,
    Fsroot,
    VfsOptions,
    FsOptions,
    Peers,
    Receivers,
}

/// All columns: name, whether to the right, whether it gives way, what it means.
const COLUMNS: [(Column, &str, bool, bool, &str); 14] = [
    (Column::Target, "TARGET", false, true, "where it is mounted; (hidden) where no path leads to it"),
    (Column::Source, "SOURCE", false, true, "what the file system was made from, and [what of it] is mounted"),
    (Column::Fstype, "FSTYPE", false, false, "type of the file system"),
    (Column::Propagation, "PROPAGATION", false, false, "private, unbindable, or its peer group and master"),
    (Column::Options, "OPTIONS", false, true, "options of the mount and of the file system"),
    (Column::Hidden, "HIDDEN", false, false, "whether no path leads to it"),
    (Column::Id, "ID", true, false, "mount ID"),
    (Column::Parent, "PARENT", true, false, "ID of the mount that it is on"),
    (Column::MajMin, "MAJ:MIN", false, false, "device number of the file system"),
    (Column::Fsroot, "FSROOT", false, false, "which part of the file system is mounted"),
    (Column::VfsOptions, "VFS-OPTIONS", false, false, "options of the mount"),
    (Column::FsOptions, "FS-OPTIONS", false, false, "options of the file system"),
    (Column::Peers, "PEERS", false, false, "other mount namespaces with mounts of its peer group"),
    (Column::Receivers, "RECEIVERS", false, false, "other mount namespaces with mounts that receive from it"),
];

impl Column {
    /// What `mounts` shows unless told otherwise.
    pub(crate) const DEFAULT: [Self; 5] = [Self::Target, Self::Source, Self::Fstype, Self::Propagation, Self::Options];
    /// What it tells programs unless told otherwise: their peers it tells by themselves.
    pub(crate) const FOR_PROGRAMS: [Self; 12] = [
        Self::Id,
        Self::Parent,
        Self::Target,
        Self::Source,
        Self::Fstype,
        Self::Propagation,
        Self::Options,
        Self::Hidden,
        Self::MajMin,
        Self::Fsroot,
        Self::VfsOptions,
        Self::FsOptions,
    ];

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        COLUMNS[self as usize].1
    }

    /// How it stands in a table.
    pub(crate) fn heading(self) -> Heading {
        let (_, name, right, gives_way, _) = COLUMNS[self as usize];
        Heading { name, right, gives_way }
    }

    /// The column with this name.
    pub(crate) fn from_name(name: &str) -> Result<Self, String> {
        COLUMNS.into_iter().find(|entry| entry.1.eq_ignore_ascii_case(name)).map(|entry| entry.0).ok_or_else(|| {
            let valid: Vec<_> = names().collect();
            format!("unknown column {name:?}: valid columns are {}", valid.join(", "))
        })
    }
}

/// The names of all columns.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    COLUMNS.iter().map(|entry| entry.1)
}

/// The columns with what they mean, for the help.
pub(crate) fn help() -> String {
    let lines: Vec<_> = COLUMNS.iter().map(|(_, name, .., meaning)| format!("  {name:<11} {meaning}")).collect();
    format!("Columns:\n{}", lines.join("\n"))
}

/// How the mounts are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Tree,
    List,
}

/// The mounts of one mount namespace.
#[derive(Debug)]
pub(crate) struct Mounts<'a> {
    snapshot: &'a Snapshot,
    mounts: &'a [Mount],
    groups: PeerGroups<'a>,
    /// Of each peer group the other mount namespaces that have a mount in it.
    peers: BTreeMap<u32, Vec<NamespaceId>>,
    /// Of each peer group the other mount namespaces that have a mount which receives from it.
    receivers: BTreeMap<u32, Vec<NamespaceId>>,
}

impl<'a> Mounts<'a> {
    /// Those of this mount namespace; `None` where they are not known.
    pub(crate) fn of(snapshot: &'a Snapshot, namespace: NamespaceId) -> Option<Self> {
        let mounts = snapshot.mounts.get(&namespace)?;
        let groups = PeerGroups::of(snapshot);
        let elsewhere = |mounts: &[NamespacedMount<'_>]| {
            let mut others: Vec<_> = mounts.iter().map(|mount| mount.namespace).filter(|&ns| ns != namespace).collect();
            others.dedup();
            others
        };
        let (mut peers, mut receivers) = (BTreeMap::new(), BTreeMap::new());
        for shared in mounts.iter().filter_map(|mount| mount.propagation.shared) {
            if let (Some(group), false) = (groups.get(shared), peers.contains_key(&shared)) {
                peers.insert(shared, elsewhere(&group.peers));
                receivers.insert(shared, elsewhere(&group.receivers));
            }
        }
        Some(Self { snapshot, mounts, groups, peers, receivers })
    }

    /// The peer groups that these mounts are in or receive from, by number.
    pub(crate) fn groups(&self) -> BTreeMap<u32, &PeerGroup<'a>> {
        let numbers = self.mounts.iter().flat_map(|mount| [mount.propagation.shared, mount.propagation.master]);
        numbers.flatten().filter_map(|number| Some((number, self.groups.get(number)?))).collect()
    }

    /// The mounts in the order of the tree, each with the lines of the tree that stand before it.
    pub(crate) fn rows(&self, shape: Shape) -> Vec<(String, &'a Mount)> {
        /// A container can stack mounts by the thousand; what is deeper than this stands no further to the right.
        const DEEPEST: usize = 24;
        let tree = MountTree::of(self.mounts);
        let mut rows = Vec::with_capacity(self.mounts.len());
        let children = |index: usize| tree.children(index).to_vec();
        branches::walk(tree.roots(), DEEPEST, children, |branch, _, index| {
            let branch = if shape == Shape::Tree { branch } else { String::new() };
            rows.push((branch, &self.mounts[index]));
        });
        rows
    }

    /// The cell of a mount in a column.
    pub(crate) fn cell(&self, mount: &Mount, column: Column) -> Cell {
        let known =
            |text: Option<&lxkns_core::model::SharedText>| text.map_or(Cell::Nothing, |text| Cell::text(&***text));
        match column {
            Column::Target => mount.path().map_or(Cell::Nothing, Cell::text),
            Column::Source => source(mount),
            Column::Fstype => Cell::text(&**mount.fs_type),
            Column::Propagation => Cell::text(propagation(mount.propagation)),
            Column::Options => Cell::Text(options(mount)),
            Column::Hidden => Cell::Bool(mount.hidden),
            Column::Id => Cell::Number(mount.id),
            Column::Parent => Cell::Number(mount.parent_id),
            Column::MajMin => Cell::text(mount.file_system.to_string()),
            Column::Fsroot => Cell::text(&**mount.root),
            Column::VfsOptions => Cell::text(&**mount.options),
            Column::FsOptions => known(mount.super_options.as_ref()),
            Column::Peers => self.namespaces(&self.peers, mount),
            Column::Receivers => self.namespaces(&self.receivers, mount),
        }
    }

    /// The cell as it stands in a table, after the lines of the tree.
    pub(crate) fn printable(&self, branch: &str, mount: &Mount, column: Column, goes_to: For) -> String {
        let cell = self.cell(mount, column);
        match (column, goes_to) {
            (Column::Target, For::Eyes) => {
                let mark = if mount.hidden { "(hidden) " } else { "" };
                let path = mount.path().map_or_else(|| "(no path)".to_owned(), |path| escape(path, goes_to));
                format!("{branch}{mark}{path}")
            }
            (Column::Peers | Column::Receivers, For::Eyes) => match cell {
                Cell::List(names) => few(&names),
                _ => String::new(),
            },
            _ => cell.printable(goes_to),
        }
    }

    fn namespaces(&self, of: &BTreeMap<u32, Vec<NamespaceId>>, mount: &Mount) -> Cell {
        let ids = mount.propagation.shared.and_then(|group| of.get(&group)).filter(|ids| !ids.is_empty());
        let name = |id: &NamespaceId| BString::from(names::target(self.snapshot, *id));
        ids.map_or(Cell::Nothing, |ids| Cell::List(ids.iter().map(name).collect()))
    }
}

/// The first of many.
fn few(names: &[BString]) -> String {
    const FEW: usize = 3;
    let mut text = escape(&bstr::join(",", &names[..names.len().min(FEW)]), For::Eyes);
    if names.len() > FEW {
        text += &format!(" and {} more", names.len() - FEW);
    }
    text
}

fn source(mount: &Mount) -> Cell {
    let Some(source) = &mount.source else { return Cell::Nothing };
    let mut text = BString::from(&***source);
    if *mount.root != *"/" {
        text.push(b'[');
        text.extend_from_slice(&mount.root);
        text.push(b']');
    }
    Cell::Text(text)
}

fn propagation(propagation: Propagation) -> String {
    let groups = [
        ("shared", propagation.shared),
        ("master", propagation.master),
        ("propagate_from", propagation.propagate_from),
    ];
    let groups = groups.into_iter().filter_map(|(tag, group)| Some(format!("{tag}:{}", group?)));
    let all: Vec<_> = groups.chain(propagation.unbindable.then(|| "unbindable".to_owned())).collect();
    if all.is_empty() { "private".to_owned() } else { all.join(",") }
}

/// The options of the mount and of the file system, in which each is said once; read-only if either is.
fn options(mount: &Mount) -> BString {
    let all = mount.options.split_str(",").chain(mount.super_options.iter().flat_map(|options| options.split_str(",")));
    let mut said: Vec<&[u8]> = vec![if mount.is_writable() { b"rw" } else { b"ro" }];
    said.extend(all.filter(|option| ![&b"rw"[..], b"ro", b""].contains(option)));
    bstr::join(",", said).into()
}

#[cfg(test)]
#[path = "mounts_tests.rs"]
mod tests;
