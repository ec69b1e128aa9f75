//! What is shown of a small tree of mounts.

use lxkns_model::DeviceNumber;

use super::*;
use crate::testing::{HOME, LOOSE, snapshot};

fn mount(id: u64, parent: u64, path: Option<&str>) -> Mount {
    Mount::new(id, parent, DeviceNumber { major: 0, minor: 7 }, "tmpfs", path)
}

fn with_mounts() -> Snapshot {
    let mut snapshot = snapshot();
    let mut mounts = vec![
        mount(30, 1, Some("/")),
        mount(31, 30, Some("/a")),
        mount(32, 31, Some("/a")),
        mount(33, 32, Some("/a/\x1b[31m")),
        mount(34, 30, Some("/b")),
        mount(35, 34, None),
    ];
    mounts[1].hidden = true;
    mounts[5].hidden = true;
    for (index, shared, master) in [(0, Some(4), None), (4, Some(5), Some(6))] {
        mounts[index].propagation.shared = shared;
        mounts[index].propagation.master = master;
    }
    mounts[3].propagation.unbindable = true;
    snapshot.mounts.insert(HOME, mounts);
    let mut others = vec![mount(40, 1, Some("/")), mount(41, 40, Some("/x"))];
    others[0].propagation.shared = Some(4);
    others[1].propagation.master = Some(4);
    snapshot.mounts.insert(LOOSE, others);
    snapshot
}

/// What is in a column, of each mount in the order in which they are known.
fn column(snapshot: &Snapshot, column: Column, goes_to: For) -> Vec<String> {
    let mounts = Mounts::of(snapshot, HOME).unwrap();
    mounts.mounts().iter().map(|mount| mounts.printable(mount, column, goes_to)).collect()
}

#[test]
fn propagation_is_told_with_the_other_namespaces() {
    let snapshot = with_mounts();
    let cells = |of, goes_to| column(&snapshot, of, goes_to);
    assert_eq!(
        cells(Column::Propagation, For::Eyes),
        ["shared:4", "private", "private", "unbindable", "shared:5,master:6", "private"]
    );
    assert_eq!(cells(Column::Peers, For::Eyes)[..2], ["mnt:4026532400", ""]);
    assert_eq!(cells(Column::Receivers, For::Fields)[0], "mnt:4026532400");
    let mounts = Mounts::of(&snapshot, HOME).unwrap();
    assert_eq!(mounts.groups().keys().collect::<Vec<_>>(), [&4, &5, &6]);
    assert!(Mounts::of(&snapshot, LOOSE).is_some_and(|mounts| mounts.groups().len() == 1));
    let many = [(4, (0..5).map(crate::testing::id).collect())].into();
    assert_eq!(mounts.few(&many, &snapshot.mounts[&HOME][0]), "0,1,2 and 2 more");
}

#[test]
fn sources_and_options_are_put_together() {
    let mut one = mount(1, 0, Some("/"));
    assert_eq!(source(&one), Cell::Nothing);
    let texts = with_texts(&mut one, "/dev/vda", "/sub", "rw,relatime", "ro,discard,,relatime");
    assert_eq!(texts, ("/dev/vda[/sub]".into(), "ro,relatime,discard,relatime".into()));
    assert_eq!(with_texts(&mut one, "", "/", "rw,nosuid", "rw"), ("".into(), "rw,nosuid".into()));
}

fn with_texts(mount: &mut Mount, from: &str, root: &str, vfs: &str, fs: &str) -> (BString, BString) {
    let text = |text: &str| mount_text(text);
    mount.source = Some(text(from));
    mount.root = text(root);
    mount.options = text(vfs);
    mount.super_options = Some(text(fs));
    match source(mount) {
        Cell::Text(source) => (source, options(mount)),
        other => panic!("{other:?}"),
    }
}

fn mount_text(text: &str) -> SharedText {
    mount(1, 0, Some(text)).point.unwrap()
}

#[test]
fn columns_have_their_names_in_their_places() {
    for (index, entry) in COLUMNS.iter().enumerate() {
        assert_eq!(entry.0 as usize, index);
        assert_eq!(Column::from_name(&entry.1.to_lowercase()), Some(entry.0));
    }
    assert_eq!(Column::from_name("NS"), None);
}

#[test]
fn json_has_the_keys_of_dumps_and_null_for_what_is_not_known() {
    let snapshot = with_mounts();
    let answer = Mounts::of(&snapshot, HOME).unwrap().answer();
    assert_eq!(answer.mounts.iter().map(|mount| mount.mountid).collect::<Vec<_>>(), [30, 31, 32, 33, 34, 35]);
    assert_eq!(
        serde_json::to_value(&answer.mounts[4]).unwrap(),
        serde_json::json!({
            "mountid": 34, "parentid": 30, "path": "/b", "source": null, "root": "/", "fstype": "tmpfs",
            "major": 0, "minor": 7, "mountoptions": ["rw"], "superoptions": null,
            "tags": {"shared": "5", "master": "6"}, "hidden": false
        })
    );
    let answer = serde_json::to_value(&answer).unwrap();
    assert_eq!(
        answer["peer-groups"]["4"]["receivers"][0],
        serde_json::json!({
            "mntns": LOOSE.ino, "mountid": 41, "path": "/x", "hidden": false
        })
    );
    assert_eq!(answer["peers-seen"], true);
}

#[test]
fn mounts_that_are_on_each_other_by_the_thousand_take_no_stack() {
    let mut snapshot = snapshot();
    snapshot.mounts.insert(HOME, (1..30_000).map(|id| mount(id, id - 1, Some("/"))).collect());
    assert_eq!(Mounts::of(&snapshot, HOME).unwrap().answer().mounts.len(), 29_999);
}
