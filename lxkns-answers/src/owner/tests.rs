use lxkns_model::{CapabilitySet, DeviceNumber, FileCapabilities, Namespace, Relation};

use super::*;
use crate::context::Context;
use crate::testing::{HOME, USER, id, mount, process, snapshot};

/// A user namespace whose root is UID 100000 of the host.
const INNER: NamespaceId = id(4_026_532_600);
/// Its mount namespace.
const INSIDE: NamespaceId = id(4_026_532_601);

/// A host with `/srv` on a disk, of which a container has `/srv/data` at `/data`.
fn host(options: &str) -> Snapshot {
    use NamespaceType::{Mnt, User};
    let mut snapshot = snapshot();
    snapshot.observer_mount_ns = Some(HOME);
    let map = vec![IdMapping { inside: 0, outside: 100_000, count: 1000 }];
    for (id, ns_type, owner) in [(INNER, User, USER), (INSIDE, Mnt, INNER)] {
        let mut namespace = Namespace::new(id, ns_type);
        namespace.owner = Relation::Known(owner);
        namespace.parent = if ns_type == User { Relation::Known(USER) } else { Relation::None };
        namespace.leaders = vec![Pid(300)];
        (namespace.uid_map, namespace.gid_map) = (Some(map.clone()), Some(map.clone()));
        snapshot.namespaces.insert(id, namespace);
    }
    let inner = process(300, 1, "sh", &[(Mnt, INSIDE), (User, INNER)]);
    snapshot.processes.insert(inner.pid, inner);
    snapshot.mounts.insert(HOME, vec![mount(2, "/", "/srv", "rw,nosuid")]);
    snapshot.mounts.insert(INSIDE, vec![mount(3, "/data", "/data", options)]);
    snapshot
}

fn file(mode: u32, uid: u32, path: &str) -> File {
    let mut file = File::new(mode, uid, uid + 1, path);
    (file.ino, file.mount_id) = (12, Some(2));
    file
}

fn reading(users: &str) -> Reading {
    let names = |users: &str| Rc::new(Names::parse(Some(users.as_bytes()), Some(b"adm:x:100006:\nstaff:x:6:")));
    let names = [(HOME, names("jo:x:100005:1::/:")), (INSIDE, names(users))];
    Reading { names: names.into_iter().collect(), ..Reading::default() }
}

#[test]
fn each_user_namespace_has_ids_and_names_of_its_own() {
    let snapshot = host("rw");
    let file = file(0o104_755, 100_005, "/srv/data/f");
    let sights = Sights::of(&snapshot, Some(HOME), &file);
    assert_eq!(sights.all.iter().map(|sight| sight.path.to_string()).collect::<Vec<_>>(), ["/srv/data/f", "/data/f"]);
    assert!(sights.to_read().is_empty());
    let reading = reading("app:x:5:6::/:");
    let owner = Owner::new(&snapshot, &file, &sights, &reading);
    let views = owner.answer(b"f").views;
    let of = |userns: NamespaceId| views.iter().find(|view| view.userns == userns.ino).unwrap();
    let names = |view: &ViewAnswer| (view.ids.uid, view.ids.user.clone(), view.ids.gid, view.ids.group.clone());
    assert_eq!(names(of(USER)), (Some(100_005), Some("jo".into()), Some(100_006), Some("adm".into())));
    assert_eq!(names(of(INNER)), (Some(5), Some("app".into()), Some(6), Some("staff".into())));
    assert_eq!((of(USER).set_id, of(INNER).set_id), (Some(false), Some(true)), "nosuid on the host alone");
    assert_eq!((of(INNER).path.as_str(), of(INNER).pid), ("/data/f", Some(300)));
}

#[test]
fn what_is_not_mapped_or_not_there_is_told_apart() {
    let snapshot = host("rw");
    let root = file(0o104_755, 0, "/srv/data/f");
    let (sights, reading) = (Sights::of(&snapshot, Some(HOME), &root), reading(""));
    let view = Owner::new(&snapshot, &root, &sights, &reading).views.into_iter().find(|view| view.user_ns == INNER);
    let view = view.unwrap();
    assert_eq!((view.ids, view.set_id), ([Id::NotMapped; 2], Some(false)));
    // Not below what is mounted there.
    let other = file(0o100_644, 0, "/srv/database");
    assert!(Sights::of(&snapshot, Some(HOME), &other).all.iter().all(|sight| sight.mount_ns == HOME));
    // Below something else that is mounted on it.
    let mut covered = host("rw");
    covered.mounts.get_mut(&INSIDE).unwrap().push(Mount::new(
        9,
        3,
        DeviceNumber { major: 0, minor: 9 },
        "tmpfs",
        Some("/data/f"),
    ));
    assert_eq!(Sights::of(&covered, Some(HOME), &root).all.len(), 1);
    // Without its map.
    let mut unread = host("rw");
    unread.namespaces.get_mut(&INNER).unwrap().uid_map = None;
    let sights = Sights::of(&unread, Some(HOME), &root);
    let views = Owner::new(&unread, &root, &sights, &reading).views;
    assert_eq!(views.iter().find(|view| view.user_ns == INNER).unwrap().ids, [Id::Unknown, Id::NotMapped]);
}

#[test]
fn an_id_mapped_mount_shows_other_ids() {
    let snapshot = host("rw,idmapped");
    let mut mapped = file(0o100_644, 100_000, "/data/f");
    mapped.mount_id = Some(3);
    let sights = Sights::of(&snapshot, Some(INSIDE), &mapped);
    let own = sights.own.as_ref().unwrap();
    assert!(own.is_id_mapped());
    assert_eq!(sights.to_read().iter().map(|sight| sight.key()).collect::<Vec<_>>(), [(HOME, 2)], "the plain one");
    let mut reading = reading("");
    let owner = Owner::new(&snapshot, &mapped, &sights, &reading);
    assert_eq!((owner.on_host(), owner.as_found()), ([Id::Unknown; 2], [100_000, 100_001].map(Id::Known)));
    assert!(owner.sheet("f").sections.len() == 2);
    // By its map.
    let map = vec![IdMapping { inside: 0, outside: 100_000, count: 10 }];
    reading.maps = Some(MountIdMaps { uids: map.clone(), gids: map });
    assert_eq!(Owner::new(&snapshot, &mapped, &sights, &reading).on_host(), [0, 1].map(Id::Known));
    // By another mount, which counts before the map; but not for another file.
    let mut plain = file(0o100_644, 7, "/srv/data/f");
    reading.files.insert((HOME, 2), plain.clone());
    let owner = Owner::new(&snapshot, &mapped, &sights, &reading);
    assert_eq!(owner.on_host(), [7, 8].map(Id::Known));
    assert_eq!(owner.views.iter().find(|view| view.user_ns == INNER).unwrap().ids, [0, 1].map(Id::Known));
    plain.ino = 13;
    reading.files.insert((HOME, 2), plain);
    assert_eq!(Owner::new(&snapshot, &mapped, &sights, &reading).on_host(), [0, 1].map(Id::Known));
    // 65534 is that ID, or none.
    mapped.uid = OVERFLOW;
    reading.files.clear();
    reading.maps = None;
    assert_eq!(Owner::new(&snapshot, &mapped, &sights, &reading).as_found()[0], Id::Overflow);
}

#[test]
fn capabilities_count_where_their_root_is_root() {
    let snapshot = host("rw");
    let mut file = file(0o100_755, 0, "/srv/data/f");
    let set = |root| FileCapabilities {
        permitted: CapabilitySet::NET_ADMIN,
        inheritable: CapabilitySet::NONE,
        effective: true,
        root: Uid(root),
    };
    let reading = reading("");
    let count = |file: &File| {
        let sights = Sights::of(&snapshot, Some(HOME), file);
        let owner = Owner::new(&snapshot, file, &sights, &reading);
        [USER, INNER].map(|id| owner.views.iter().find(|view| view.user_ns == id).unwrap().capabilities)
    };
    file.capabilities = Some(Some(set(100_000)));
    assert_eq!(count(&file), [Some(false), Some(true)]);
    file.capabilities = Some(Some(set(0)));
    assert_eq!(count(&file), [Some(false), Some(true)], "nosuid on the host");
    file.capabilities = Some(Some(set(5)));
    assert_eq!(count(&file), [Some(false), Some(false)]);
    file.capabilities = None;
    assert_eq!(count(&file), [None, None], "not read");
    let _ = Context::live(&snapshot, false);
}
