//! What is shown of a small tree of mounts.

use lxkns_core::model::DeviceNumber;

use super::*;
use lxkns_answers::testing::{HOME, LOOSE, snapshot};

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

fn column(snapshot: &Snapshot, column: Column, shape: Shape, goes_to: For) -> Vec<String> {
    let mounts = Mounts::of(snapshot, HOME).unwrap();
    mounts.rows(shape).iter().map(|(branch, mount)| mounts.printable(branch, mount, column, goes_to)).collect()
}

#[test]
fn the_tree_has_a_line_for_each_and_marks_what_is_hidden() {
    let snapshot = with_mounts();
    assert_eq!(
        column(&snapshot, Column::Target, Shape::Tree, For::Eyes),
        ["/", "├─(hidden) /a", "│ └─/a", "│   └─/a/\\x1b[31m", "└─/b", "  └─(hidden) (no path)"]
    );
    assert_eq!(column(&snapshot, Column::Target, Shape::List, For::Fields)[2..4], ["/a", "/a/\\x1b[31m"]);
}

#[test]
fn a_tall_stack_stays_on_the_screen() {
    let mut snapshot = snapshot();
    snapshot.mounts.insert(HOME, (1..3000).map(|id| mount(id, id - 1, Some("/"))).collect());
    let lines = column(&snapshot, Column::Target, Shape::Tree, For::Eyes);
    assert_eq!(lines.len(), 2999);
    assert!(lines.iter().all(|line| line.chars().count() < 60));
}

#[test]
fn propagation_is_told_with_the_other_namespaces() {
    let snapshot = with_mounts();
    let cells = |of, goes_to| column(&snapshot, of, Shape::List, goes_to);
    assert_eq!(
        cells(Column::Propagation, For::Eyes),
        ["shared:4", "private", "private", "unbindable", "shared:5,master:6", "private"]
    );
    assert_eq!(cells(Column::Peers, For::Eyes)[..2], ["mnt:4026532400", ""]);
    assert_eq!(cells(Column::Receivers, For::Fields)[0], "mnt:4026532400");
    let mounts = Mounts::of(&snapshot, HOME).unwrap();
    assert_eq!(mounts.groups().keys().collect::<Vec<_>>(), [&4, &5, &6]);
    assert!(Mounts::of(&snapshot, LOOSE).is_some_and(|mounts| mounts.groups().len() == 1));
    let many: Vec<_> = (0..5).map(|n| BString::from(n.to_string())).collect();
    assert_eq!(few(&many), "0,1,2 and 2 more");
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

fn mount_text(text: &str) -> lxkns_core::model::SharedText {
    mount(1, 0, Some(text)).point.unwrap()
}

#[test]
fn columns_have_their_names_in_their_places() {
    for (index, entry) in COLUMNS.iter().enumerate() {
        assert_eq!(entry.0 as usize, index);
        assert_eq!(Column::from_name(&entry.1.to_lowercase()), Ok(entry.0));
    }
    assert!(Column::from_name("NS").unwrap_err().contains("valid columns are TARGET, "));
    assert!(help().contains("MAJ:MIN "));
}
