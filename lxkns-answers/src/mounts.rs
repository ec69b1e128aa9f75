//! The mounts of a mount namespace, and who shares what is mounted below them: the answer of `lxkns mounts`.
//!
//! Names of columns are findmnt's own, as far as it has the column. Keys in JSON are those of dumps.

use std::collections::BTreeMap;

use bstr::{BString, ByteSlice as _};
use lxkns_model::relations::{self, MountTree, NamespacedMount, PeerGroup, PeerGroups};
use lxkns_model::{Mount, NamespaceId, Propagation, SharedText, Snapshot};
use serde::Serialize;

use crate::cell::Cell;
use crate::names::{self, lossy};
use crate::text::escape::{For, escape};
use crate::text::shown;

/// A column: a property of each mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Column {
    /// Where it is mounted; (hidden) where no path leads to it.
    Target,
    /// The device or name of the file system, and the mounted part of it in brackets.
    Source,
    /// Type of the file system.
    Fstype,
    /// Private, unbindable, or its peer group and master.
    Propagation,
    /// Options of the mount and of the file system.
    Options,
    /// Whether no path leads to it.
    Hidden,
    /// Mount ID.
    Id,
    /// ID of the mount that it is on.
    Parent,
    /// Device number of the file system.
    MajMin,
    /// Which part of the file system is mounted.
    Fsroot,
    /// Options of the mount.
    VfsOptions,
    /// Options of the file system.
    FsOptions,
    /// Other mount namespaces with mounts of its peer group.
    Peers,
    /// Other mount namespaces with mounts that receive from it.
    Receivers,
}

/// All columns: name, what it means.
const COLUMNS: [(Column, &str, &str); 14] = [
    (Column::Target, "TARGET", "where it is mounted; (hidden) where no path leads to it"),
    (Column::Source, "SOURCE", "device or name of the file system, and [the mounted part of it]"),
    (Column::Fstype, "FSTYPE", "type of the file system"),
    (Column::Propagation, "PROPAGATION", "private, unbindable, or its peer group and master"),
    (Column::Options, "OPTIONS", "options of the mount and of the file system"),
    (Column::Hidden, "HIDDEN", "whether no path leads to it"),
    (Column::Id, "ID", "mount ID"),
    (Column::Parent, "PARENT", "ID of the mount that it is on"),
    (Column::MajMin, "MAJ:MIN", "device number of the file system"),
    (Column::Fsroot, "FSROOT", "which part of the file system is mounted"),
    (Column::VfsOptions, "VFS-OPTIONS", "options of the mount"),
    (Column::FsOptions, "FS-OPTIONS", "options of the file system"),
    (Column::Peers, "PEERS", "other mount namespaces with mounts of its peer group"),
    (Column::Receivers, "RECEIVERS", "other mount namespaces with mounts that receive from it"),
];

crate::columns::described_by!(Column, COLUMNS);

impl Column {
    /// The columns that are shown by default.
    pub const DEFAULT: [Self; 5] = [Self::Target, Self::Source, Self::Fstype, Self::Propagation, Self::Options];
}

/// The mounts of one mount namespace.
#[derive(Debug)]
pub struct Mounts<'a> {
    snapshot: &'a Snapshot,
    namespace: NamespaceId,
    mounts: &'a [Mount],
    groups: PeerGroups<'a>,
    /// Of each peer group the other mount namespaces that have a mount in it.
    peers: BTreeMap<u32, Vec<NamespaceId>>,
    /// Of each peer group the other mount namespaces that have a mount which receives from it.
    receivers: BTreeMap<u32, Vec<NamespaceId>>,
}

impl<'a> Mounts<'a> {
    /// Those of this mount namespace; `None` where they are not known.
    pub fn of(snapshot: &'a Snapshot, namespace: NamespaceId) -> Option<Self> {
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
        Some(Self { snapshot, namespace, mounts, groups, peers, receivers })
    }

    /// The peer groups that these mounts are in or receive from, by number.
    pub fn groups(&self) -> BTreeMap<u32, &PeerGroup<'a>> {
        let numbers = self.mounts.iter().flat_map(|mount| [mount.propagation.shared, mount.propagation.master]);
        numbers.flatten().filter_map(|number| Some((number, self.groups.get(number)?))).collect()
    }

    /// How the mounts are on each other.
    pub fn tree(&self) -> MountTree {
        MountTree::of(self.mounts)
    }

    /// The mounts, by their indexes in the tree.
    pub fn mounts(&self) -> &'a [Mount] {
        self.mounts
    }

    /// All mounts, each after the one that it is on, with what they have to do with other mount namespaces.
    pub fn answer(&self) -> Answer {
        let tree = self.tree();
        let mut mounts = Vec::with_capacity(self.mounts.len());
        let mut todo: Vec<_> = tree.roots().iter().rev().copied().collect();
        while let Some(index) = todo.pop() {
            mounts.push(MountAnswer::of(&self.mounts[index]));
            todo.extend(tree.children(index).iter().rev());
        }
        let groups = self.groups().into_iter();
        let groups = groups.map(|(number, group)| (number, GroupAnswer::of(group))).collect();
        Answer { nsid: self.namespace.ino, mounts, groups, peers_seen: self.peers_seen() }
    }

    /// Whether all mount namespaces could be seen, so there are no further peers and receivers.
    pub fn peers_seen(&self) -> bool {
        let namespace = self.snapshot.namespaces.get(&self.namespace);
        namespace.is_some_and(|namespace| relations::holders_seen(self.snapshot, namespace))
    }

    /// The cell of a mount in a column.
    pub fn cell(&self, mount: &Mount, column: Column) -> Cell {
        let known = |text: Option<&SharedText>| text.map_or(Cell::Nothing, |text| Cell::text(&***text));
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

    /// The cell as text that is safe to print: for eyes with whether it is hidden, and no more than a few namespaces.
    pub fn printable(&self, mount: &Mount, column: Column, goes_to: For) -> String {
        match (column, goes_to) {
            (Column::Target, For::Eyes) => {
                let mark = if mount.hidden { "(hidden) " } else { "" };
                let path = mount.path().map_or_else(|| "(no path)".to_owned(), |path| escape(path, goes_to));
                format!("{mark}{path}")
            }
            (Column::Peers, For::Eyes) => self.few(&self.peers, mount),
            (Column::Receivers, For::Eyes) => self.few(&self.receivers, mount),
            _ => self.cell(mount, column).printable(goes_to),
        }
    }

    fn others<'b>(of: &'b BTreeMap<u32, Vec<NamespaceId>>, mount: &Mount) -> &'b [NamespaceId] {
        mount.propagation.shared.and_then(|group| of.get(&group)).map(Vec::as_slice).unwrap_or_default()
    }

    fn namespaces(&self, of: &BTreeMap<u32, Vec<NamespaceId>>, mount: &Mount) -> Cell {
        let name = |id: &NamespaceId| BString::from(names::target(self.snapshot, *id));
        Cell::list(Self::others(of, mount).iter().map(name).collect())
    }

    /// The first of many.
    fn few(&self, of: &BTreeMap<u32, Vec<NamespaceId>>, mount: &Mount) -> String {
        const FEW: usize = 3;
        let others = Self::others(of, mount);
        let count = shown(others.len(), FEW);
        let names: Vec<_> = others[..count].iter().map(|&id| names::target(self.snapshot, id)).collect();
        let more = if others.len() > count { format!(" and {} more", others.len() - count) } else { String::new() };
        format!("{}{more}", names.join(","))
    }
}

/// The mounts of a mount namespace.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "MountsAnswer"))]
#[serde(rename_all = "kebab-case")]
pub struct Answer {
    /// Its inode number.
    pub nsid: u64,
    /// Its mounts, each after the one that it is on.
    pub mounts: Vec<MountAnswer>,
    /// The peer groups that the mounts are in or receive from, by number, with their mounts in all mount namespaces.
    #[serde(rename = "peer-groups")]
    pub groups: BTreeMap<u32, GroupAnswer>,
    /// Whether all mount namespaces could be seen, so there are no further peers and receivers.
    pub peers_seen: bool,
}

/// A mount. What is not UTF-8 has U+FFFD.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct MountAnswer {
    /// Its ID.
    pub mountid: u64,
    /// The ID of the mount that it is on; that of a topmost mount is in no list.
    pub parentid: u64,
    /// Where it is mounted; `None` where the root of the mount namespace does not reach it.
    pub path: Option<String>,
    /// The device or name of the file system, if known.
    pub source: Option<String>,
    /// Which part of the file system is mounted; `net:[4026532303]` and the like where it is a namespace.
    pub root: String,
    /// The type of the file system, and a subtype after a dot.
    pub fstype: String,
    /// The major number of the file system's device.
    pub major: u32,
    /// The minor number of the file system's device.
    pub minor: u32,
    /// The options of the mount.
    pub mountoptions: Vec<String>,
    /// The options of the file system, as the kernel writes them, where they are known.
    pub superoptions: Option<String>,
    /// Its propagation: `shared`, `master` and `propagate_from` with the number of a peer group, and `unbindable`, which is
    /// empty.
    pub tags: BTreeMap<&'static str, String>,
    /// Whether no path leads to it.
    pub hidden: bool,
}

impl MountAnswer {
    /// The JSON form of a mount.
    pub fn of(mount: &Mount) -> Self {
        let known = |text: &Option<SharedText>| text.as_ref().map(|text| lossy(text));
        Self {
            mountid: mount.id,
            parentid: mount.parent_id,
            path: mount.path().map(|path| lossy(path)),
            source: known(&mount.source),
            root: lossy(&mount.root),
            fstype: lossy(&mount.fs_type),
            major: mount.file_system.major,
            minor: mount.file_system.minor,
            mountoptions: mount.options.split_str(",").map(lossy).collect(),
            superoptions: known(&mount.super_options),
            tags: tags(mount.propagation).into_iter().collect(),
            hidden: mount.hidden,
        }
    }
}

/// A peer group.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct GroupAnswer {
    /// The mounts that are in it.
    pub peers: Vec<Elsewhere>,
    /// The mounts that receive from it.
    pub receivers: Vec<Elsewhere>,
}

/// A mount in whatever mount namespace.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Elsewhere {
    /// The inode number of the mount namespace.
    pub mntns: u64,
    /// Its ID.
    pub mountid: u64,
    /// Where it is mounted; `None` where the root of the mount namespace does not reach it.
    pub path: Option<String>,
    /// Whether no path leads to it.
    pub hidden: bool,
}

impl GroupAnswer {
    fn of(group: &PeerGroup<'_>) -> Self {
        let all = |mounts: &[NamespacedMount<'_>]| {
            let one = |at: &NamespacedMount<'_>| Elsewhere {
                mntns: at.namespace.ino,
                mountid: at.mount.id,
                path: at.mount.path().map(|path| lossy(path)),
                hidden: at.mount.hidden,
            };
            mounts.iter().map(one).collect()
        };
        Self { peers: all(&group.peers), receivers: all(&group.receivers) }
    }
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

/// Its propagation as tags, each with its value.
fn tags(propagation: Propagation) -> Vec<(&'static str, String)> {
    let groups = [
        ("shared", propagation.shared),
        ("master", propagation.master),
        ("propagate_from", propagation.propagate_from),
    ];
    let groups = groups.into_iter().filter_map(|(tag, group)| Some((tag, group?.to_string())));
    groups.chain(propagation.unbindable.then(|| ("unbindable", String::new()))).collect()
}

fn propagation(propagation: Propagation) -> String {
    let tags = tags(propagation).into_iter();
    let all: Vec<_> =
        tags.map(|(tag, value)| if value.is_empty() { tag.to_owned() } else { format!("{tag}:{value}") }).collect();
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
