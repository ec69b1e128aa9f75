use super::*;
use lxkns_answers::testing::{BUSY, HOME, LEFT, LOOSE, NET, ODD, USER, snapshot};

fn cell(snapshot: &Snapshot, id: NamespaceId, column: Column) -> Cell {
    let context = Context {
        snapshot,
        counts: Counts::of(snapshot),
        users: Users::parse(b"root:x:0:0\nann:x:200:200"),
        netnsids: [(BUSY, Some(3))].into(),
        home: Some(HOME),
    };
    context.cell(&snapshot.namespaces[&id], column)
}

fn text(id: NamespaceId, column: Column) -> String {
    cell(&snapshot(), id, column).printable(For::Eyes)
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
fn json_has_numbers_strings_and_null() {
    let json = |cell: &Cell| serde_json::to_string(cell).unwrap();
    assert_eq!(json(&Cell::Number(4_026_531_834)), "4026531834");
    assert_eq!(json(&Cell::text("a\x1b\n\"")), r#""a\u001b\n\"""#);
    assert_eq!(json(&Cell::text(&b"\xff"[..])), "\"\u{fffd}\"");
    assert_eq!(json(&Cell::Nothing), "null");
    assert_eq!(json(&Cell::Hint("[x]".into())), "null");
    assert_eq!(json(&Cell::List(vec!["/a".into(), "/b".into()])), r#""/a\n/b""#);
}

#[test]
fn lists_of_columns() {
    let parse = |lists: &[&str]| {
        let lists: Vec<_> = lists.iter().map(|&list| list.to_owned()).collect();
        parse(&lists, vec![Column::Ns, Column::Type])
    };
    assert_eq!(parse(&[]), Ok(vec![Column::Ns, Column::Type]));
    assert_eq!(parse(&["pid,User"]), Ok(vec![Column::Pid, Column::User]));
    assert_eq!(parse(&["+pid,ns"]), Ok(vec![Column::Ns, Column::Type, Column::Pid]));
    assert_eq!(parse(&["PID", "+NS", "TYPE"]), Ok(vec![Column::Pid, Column::Ns, Column::Type]));
    let error = parse(&["NS,foo\n"]).unwrap_err();
    assert!(error.starts_with("unknown column \"foo\": valid columns are NS, TYPE, PATH, "), "{error}");
    assert!(!error.contains('\n'));
    assert!(parse(&[""]).is_err());
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
