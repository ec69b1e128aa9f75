//! Mounts: those in the tree that all readers know, and those that have no place there.

use std::collections::BTreeMap;

use bstr::ByteSlice;
use serde::Serialize;

use super::Entries;
use crate::relations::{MountPath, mount_paths};
use crate::wire::form;
use crate::wire::text;
use crate::{self as model, Propagation, Snapshot};

/// The mounts that all readers understand: of mount namespaces that are in the dump and have a root, those with a path.
pub(super) fn by_path(snapshot: &Snapshot) -> impl Serialize {
    let trees = snapshot.mounts.iter().filter(|(id, _)| snapshot.namespaces.contains_key(id));
    Entries(trees.filter_map(|(id, mounts)| {
        let nodes = mount_paths(mounts);
        has_root(&nodes).then(|| (id.ino, tree(&nodes)))
    }))
}

/// The mounts that have no place in that.
pub(super) fn others(snapshot: &Snapshot) -> Option<BTreeMap<u64, Vec<form::Mount>>> {
    let others = snapshot.mounts.iter().filter_map(|(id, mounts)| {
        let nodes = mount_paths(mounts);
        let has_tree = snapshot.namespaces.contains_key(id) && has_root(&nodes);
        let stray = |mount: &&model::Mount| !has_tree || mount.path().is_none_or(|path| !path.starts_with(b"/"));
        let stray: Vec<_> = mounts.iter().filter(stray).map(mount).collect();
        (!stray.is_empty() || mounts.is_empty()).then_some((id.ino, stray))
    });
    let others: BTreeMap<_, _> = others.collect();
    (!others.is_empty()).then_some(others)
}

fn has_root(nodes: &[MountPath<'_>]) -> bool {
    nodes.first().is_some_and(|node| node.path == "/")
}

/// Paths are numbered in their order, from 1, the root's number.
fn tree(nodes: &[MountPath<'_>]) -> BTreeMap<String, form::MountPath> {
    let number = |index: usize| Some(index as u64 + 1);
    let nodes = nodes.iter().enumerate().filter(|(_, node)| node.path.starts_with(b"/"));
    nodes
        .map(|(index, node)| {
            let form = form::MountPath {
                mounts: Some(node.mounts.iter().copied().map(mount).collect()),
                pathid: number(index),
                parentid: node.above.map_or(Some(0), number),
            };
            (text::escape(node.path), form)
        })
        .collect()
}

fn mount(mount: &model::Mount) -> form::Mount {
    let point = mount.path();
    let mountpoint = point.map(text::escape);
    let path = point.map(|point| text::lossy(point).into_owned()).filter(|path| Some(path) != mountpoint.as_ref());
    let options = mount.super_options.as_deref();
    form::Mount {
        mountid: Some(mount.id),
        parentid: Some(mount.parent_id),
        major: Some(mount.file_system.major),
        minor: Some(mount.file_system.minor),
        root: Some(text::escape(&mount.root)),
        mountpoint,
        path,
        mountoptions: Some(mount.options.split_str(",").map(|option| text::escape(option.as_bstr())).collect()),
        tags: Some(tags(mount.propagation)),
        fstype: Some(text::escape(&mount.fs_type)),
        source: Some(mount.source.as_deref().map(text::escape).unwrap_or_default()),
        source_unknown: mount.source.is_none().then_some(true),
        superoptions: Some(options.map(text::lossy).unwrap_or_default().into_owned()),
        superoptions_escaped: options.and_then(text::escaped_if_lossy),
        superoptions_unknown: options.is_none().then_some(true),
        hidden: Some(mount.hidden),
    }
}

fn tags(propagation: Propagation) -> BTreeMap<String, String> {
    let Propagation { shared, master, propagate_from, unbindable } = propagation;
    let groups = [("shared", shared), ("master", master), ("propagate_from", propagate_from)];
    let groups = groups.into_iter().filter_map(|(tag, group)| Some((tag.to_owned(), group?.to_string())));
    groups.chain(unbindable.then(|| ("unbindable".to_owned(), String::new()))).collect()
}
