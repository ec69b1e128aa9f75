//! What is told of the namespaces of a small host.

use super::*;
use crate::testing::{BUSY, HOME, LEFT, LOOSE, NET, ODD, USER, snapshot};
use crate::text::escape::For;
use lxkns_model::{Unit, UnitKind};

fn cell(snapshot: &Snapshot, id: NamespaceId, column: Column) -> Cell {
    let mut list = List::new(Context::of_dump(snapshot), [(BUSY, Some(3))].into());
    list.users = Users::parse(b"root:x:0:0\nann:x:200:200");
    list.cell(&snapshot.namespaces[&id], column)
}

fn text(id: NamespaceId, column: Column) -> String {
    cell(&snapshot(), id, column).printable(crate::text::escape::For::Eyes)
}

#[test]
fn the_table_of_columns_is_in_the_order_of_the_enum() {
    for (index, entry) in COLUMNS.iter().enumerate() {
        assert_eq!(entry.0 as usize, index);
    }
}

#[test]
fn a_namespace_with_a_process() {
    for (column, expected) in [
        (Column::Ns, "4026532200"),
        (Column::Type, "net"),
        (Column::Path, "/proc/200/ns/net"),
        (Column::Nprocs, "1"),
        (Column::Ntasks, "2"),
        (Column::Pid, "200"),
        (Column::Ppid, "1"),
        (Column::Command, "sleep 1000"),
        (Column::Uid, "200"),
        (Column::User, "ann"),
        (Column::Netnsid, "3"),
        (Column::Nsfs, ""),
        (Column::Netns, ""),
        (Column::Pns, ""),
        (Column::Ons, "4026531837"),
        (Column::UniqueId, "1200"),
        (Column::Holders, "1 process"),
        (Column::Cgroup, ""),
    ] {
        assert_eq!(text(BUSY, column), expected, "{column:?}");
    }
    assert_eq!(text(HOME, Column::Nprocs), "2");
    assert_eq!(text(HOME, Column::Ntasks), "2");
    assert_eq!(text(USER, Column::Ons), "");
}

#[test]
fn a_namespace_without_a_process_says_what_holds_it() {
    assert_eq!(text(LEFT, Column::Command), "[fd 7 of process 1 (init), +1]");
    assert_eq!(text(LEFT, Column::Path), "/proc/1/fd/7");
    assert_eq!(text(LEFT, Column::Nsfs), "/run/netns/left");
    assert_eq!(text(LEFT, Column::Netns), "left");
    assert_eq!(text(LEFT, Column::Nprocs), "0");
    assert_eq!(text(LEFT, Column::Pid), "");
    assert_eq!(text(LOOSE, Column::Command), "[task 201 of process 200 (sleep)]");
    assert_eq!(text(LOOSE, Column::Path), "/proc/200/task/201/ns/mnt");
    assert_eq!(text(LOOSE, Column::Ntasks), "1");
    assert_eq!(text(ODD, Column::Path), "");
    assert!(text(ODD, Column::Command).contains("the kernel lists it"));
}

#[test]
fn an_unknown_user_is_nobody_and_not_root() {
    let mut snapshot = snapshot();
    assert_eq!(cell(&snapshot, LEFT, Column::User), Cell::text("root"), "the owner of its user namespace");
    snapshot.namespaces.get_mut(&USER).unwrap().owner_uid = None;
    assert_eq!(cell(&snapshot, LEFT, Column::Uid), Cell::Nothing);
    assert_eq!(cell(&snapshot, LEFT, Column::User), Cell::Nothing);
    snapshot.processes.get_mut(&Pid(200)).unwrap().status = None;
    assert_eq!(cell(&snapshot, BUSY, Column::Uid), Cell::Nothing);
    assert_eq!(cell(&snapshot, NET, Column::User), Cell::text("1"), "a UID without a name stands for itself");
}

#[test]
fn without_known_leaders_the_lowest_pid_stands_in() {
    let mut snapshot = snapshot();
    snapshot.namespaces.get_mut(&HOME).unwrap().leaders.clear();
    assert_eq!(cell(&snapshot, HOME, Column::Pid), Cell::Number(1));
}

#[test]
fn a_mount_elsewhere_is_reached_through_a_process() {
    let mut snapshot = snapshot();
    let left = snapshot.namespaces.get_mut(&LEFT).unwrap();
    left.holders.remove(0);
    assert_eq!(cell(&snapshot, LEFT, Column::Path), Cell::text("/run/netns/left"));
    let path = |home| {
        let snapshot = &snapshot;
        names::ways(snapshot, &snapshot.namespaces[&LEFT], home).next()
    };
    assert_eq!(path(None), Some(names::Way::MountElsewhere("/proc/1/root/run/netns/left".into())));
}

#[test]
fn discovery_is_asked_for_no_more_than_is_shown() {
    let plain = options(&[Column::Ns, Column::Nprocs], false);
    assert_eq!((plain.status, plain.command_lines, plain.cgroups), (Scope::None, Scope::None, false));
    assert_eq!(plain.places, Places::holding());
    assert!(plain.without_self);
    let some = options(&[Column::User, Column::Command, Column::Cgroup], true);
    assert_eq!((some.status, some.command_lines, some.cgroups), (Scope::Named, Scope::Named, true));
    assert!(!some.places.contains(Place::BindMounts) && some.places.contains(Place::Owners));
    assert_eq!(options(&[Column::Holders], true).places, Places::holding());
    let places = places(&[Column::Command], &plain);
    assert!(places.contains(Place::CommandLines) && !places.contains(Place::Cgroups));
}

#[test]
fn sorted_by_type_then_inode_and_filtered_by_both() {
    let snapshot = snapshot();
    let ids = |only: Option<&[NamespaceId]>, types: &[NamespaceType]| -> Vec<_> {
        let only = only.map(|only| only.iter().copied().collect());
        select(&snapshot, only.as_ref(), types).iter().map(|namespace| namespace.id).collect()
    };
    assert_eq!(ids(None, &[]), [HOME, LOOSE, USER, ODD, NET, BUSY, LEFT]);
    assert_eq!(ids(None, &[NamespaceType::Net, NamespaceType::Pid]), [ODD, NET, BUSY, LEFT]);
    assert_eq!(ids(Some(&[LEFT, HOME]), &[NamespaceType::Net]), [LEFT]);
    assert!(ids(Some(&[]), &[]).is_empty());
}

#[test]
fn sorted_by_a_column_what_is_not_known_comes_last() {
    let snapshot = snapshot();
    let list = List::new(Context::of_dump(&snapshot), BTreeMap::new());
    let mut namespaces = select(&snapshot, None, &[NamespaceType::Net, NamespaceType::Mnt]);
    list.sort(&mut namespaces, Column::Pid);
    let ids: Vec<_> = namespaces.iter().map(|namespace| namespace.id).collect();
    assert_eq!(ids, [HOME, NET, BUSY, LOOSE, LEFT]);
}

#[test]
fn names_are_those_of_the_mount_namespace_of_whoever_asks() {
    let mut snapshot = snapshot();
    let mount = |mount_ns, path: &str| Holder::BindMount { mount_ns, mount_id: 7, path: Some(path.into()) };
    snapshot.namespaces.get_mut(&BUSY).unwrap().holders =
        vec![mount(LOOSE, "/run/netns/elsewhere"), mount(HOME, "/run/netns/blue")];
    assert_eq!(cell(&snapshot, BUSY, Column::Netns), Cell::text("blue"));
    assert_eq!(cell(&snapshot, HOME, Column::Netns), Cell::Nothing);
    // Also where the paths of that mount namespace mean other files to the caller.
    snapshot.observer_mount_ns = Some(HOME);
    let list = List::new(Context::live(&snapshot, true), BTreeMap::new());
    assert!(list.is_named(&snapshot.namespaces[&BUSY]) && !list.is_named(&snapshot.namespaces[&NET]));
}

#[test]
fn json_is_of_the_shape_of_lsns() {
    let snapshot = snapshot();
    let list = List::new(Context::of_dump(&snapshot), BTreeMap::new());
    let namespaces = [&snapshot.namespaces[&BUSY], &snapshot.namespaces[&LEFT]];
    let answer = list.answer(&namespaces, &Column::default_for(&[]));
    assert_eq!(
        serde_json::to_string(&answer).unwrap(),
        "{\"namespaces\":[{\"ns\":4026532200,\"type\":\"net\",\"nprocs\":1,\"pid\":200,\"user\":\"200\",\
         \"command\":\"sleep 1000\"},{\"ns\":4026532300,\"type\":\"net\",\"nprocs\":0,\"pid\":null,\
         \"user\":\"0\",\"command\":null}]}"
    );
}

/// A namespace with very many bind mounts takes as long for each as one with few.
#[test]
fn many_bind_mounts_are_gone_through_once() {
    const MANY: u64 = 200_000;
    let mut namespace = Namespace::new(LEFT, NamespaceType::Net);
    let mount =
        |nth: u64| Holder::BindMount { mount_ns: HOME, mount_id: nth, path: Some(format!("/mnt/{}", nth / 2).into()) };
    namespace.holders = (0..MANY).map(mount).collect();
    let paths = bind_mounts(&namespace);
    assert_eq!(paths.len() as u64, MANY / 2);
    assert_eq!((&paths[0], &paths[1]), (&"/mnt/0".into(), &"/mnt/1".into()));
}

#[test]
fn containers_and_units_have_columns_where_there_is_any() {
    let mut snapshot = crate::testing::contained();
    let columns = [Column::Container, Column::Pod, Column::Engine, Column::Unit];
    let told = |snapshot: &Snapshot| {
        let context = Context { snapshot, mount_ns: Some(HOME), is_live: true };
        let list = List::new(context, BTreeMap::new());
        let all = select(snapshot, None, &[]);
        let cells = |id: NamespaceId| columns.map(|it| list.cell(&snapshot.namespaces[&id], it).printable(For::Eyes));
        (list.whose_columns(&all), cells(BUSY), cells(LEFT), cells(NET))
    };
    let texts = |texts: [&str; 4]| texts.map(str::to_owned);
    let (shown, busy, left, host) = told(&snapshot);
    assert_eq!(shown, columns[..3]);
    assert_eq!(busy, texts(["web", "", "docker", ""]));
    assert_eq!(left, texts(["app", "default/web-0", "cri", ""]));
    assert_eq!(host, texts(["", "", "", ""]));
    // Who came later stands behind whose it is; and what is in none has a unit.
    let containers = snapshot.annotations.containers.as_mut().unwrap();
    containers.namespaces.insert(BUSY, 1);
    let unit = Unit { kind: UnitKind::Service, name: "cron.service".into(), of_user: None };
    containers.units.insert(Pid(1), unit);
    snapshot.namespaces.get_mut(&LEFT).unwrap().leaders = vec![Pid(1)];
    snapshot.annotations.containers.as_mut().unwrap().namespaces.remove(&LEFT);
    let (shown, busy, left, host) = told(&snapshot);
    assert_eq!(shown, columns);
    assert_eq!(busy, texts(["web,app", "default/web-0", "docker", ""]));
    assert_eq!((left, host), (texts(["", "", "", "cron.service"]), texts(["", "", "", ""])));
    snapshot.annotations.containers = None;
    assert_eq!(told(&snapshot).0, []);
}
