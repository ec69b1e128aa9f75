//! How `lxkns owner` looks, of a host made by hand.

use std::rc::Rc;

use lxkns_answers::owner::{Names, Owner, Reading, Sights};
use lxkns_answers::testing::{HOME, USER, id, process, snapshot};
use lxkns_core::model::{
    CapabilitySet, DeviceNumber, File, FileCapabilities, IdMapping, Mount, Namespace, NamespaceType, Pid, Relation, Uid,
};

use super::screen::Screen;
use super::sheet;

/// `/srv` of the host is `/data` of a container, through an ID-mapped mount, and `/plain`.
fn text(width: usize) -> String {
    use NamespaceType::{Mnt, User};
    let (inner, inside) = (id(4_026_532_600), id(4_026_532_601));
    let mut snapshot = snapshot();
    snapshot.observer_mount_ns = Some(HOME);
    let map = vec![IdMapping { inside: 0, outside: 100_000, count: 1000 }];
    for (id, ns_type, owner) in [(inner, User, USER), (inside, Mnt, inner)] {
        let mut namespace = Namespace::new(id, ns_type);
        (namespace.owner, namespace.parent) = (Relation::Known(owner), Relation::Known(owner));
        namespace.leaders = vec![Pid(300)];
        (namespace.uid_map, namespace.gid_map) = (Some(map.clone()), Some(map.clone()));
        snapshot.namespaces.insert(id, namespace);
    }
    snapshot.processes.insert(Pid(300), process(300, 1, "sh", &[(Mnt, inside), (User, inner)]));
    let mount = |id, point, options: &str| {
        let mut mount = Mount::new(id, 1, DeviceNumber { major: 8, minor: 1 }, "ext4", Some(point));
        mount.options = std::sync::Arc::from(Box::<bstr::BStr>::from(options.as_bytes().to_vec().into_boxed_slice()));
        mount
    };
    snapshot.mounts.insert(HOME, vec![mount(2, "/srv", "rw,nosuid")]);
    snapshot.mounts.insert(inside, vec![mount(3, "/data", "rw,idmapped"), mount(4, "/plain", "rw")]);
    let mut file = File::new(0o104_755, 5, 6, "/srv/bin/a tool");
    (file.ino, file.mount_id) = (12, Some(2));
    let (permitted, inheritable) = (CapabilitySet::NET_ADMIN, CapabilitySet::NONE);
    file.capabilities = Some(Some(FileCapabilities { permitted, inheritable, effective: true, root: Uid(100_000) }));
    let mut mapped = file.clone();
    (mapped.uid, mapped.gid) = (100_005, 65_534);
    let names = Rc::new(Names::parse(Some(b"games:x:5:1::/:"), Some(b"disk:x:6:")));
    let mut reading = Reading::default();
    reading.files.insert((inside, 3), mapped);
    reading.names.extend([(HOME, Rc::clone(&names)), (inside, names)]);
    let sights = Sights::of(&snapshot, Some(HOME), &file);
    let owner = Owner::new(&snapshot, &file, &sights, &reading);
    let mut out = Vec::new();
    sheet::write(&owner.sheet("/srv/bin/a tool"), &mut out, Screen { width: Some(width), color: false }).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn on_80_columns() {
    let expected = include_str!("owner_80.txt");
    assert_eq!(text(80), expected);
    assert!(expected.lines().all(|line| line.len() <= 80));
}

#[test]
fn on_120_columns() {
    assert_eq!(text(120), include_str!("owner_120.txt"));
}
