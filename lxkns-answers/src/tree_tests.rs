//! What is told in the trees of a small host; how they are drawn is tested where that is done.

use lxkns_model::Uid;

use super::*;
use crate::testing::{LEFT, LOOSE, USER, id, process, snapshot};

#[test]
fn only_long_hexadecimal_ids_are_cut_short() {
    for path in ["/", "/user.slice/user-1000.slice", "/pod12345678-1234-1234-1234-123456789012", "/deadbeef", "/\u{e9}"]
    {
        assert_eq!(short(path.as_bytes()), path.as_bytes());
    }
    assert_eq!(short(&[b'a'; 64]), b"aaaaaaaaaaaa...");
}

fn rows(snapshot: &lxkns_model::Snapshot, kind: Kind) -> Vec<serde_json::Value> {
    let context = Context::of_dump(snapshot);
    let tree = Tree::new(context, kind.forest(context), Shown::of(kind));
    tree.answer().iter().map(|row| serde_json::to_value(row).unwrap()).collect()
}

#[test]
fn json_has_the_keys_of_dumps_and_those_that_belong_to_a_type() {
    let mut snapshot = snapshot();
    snapshot.annotations.user_names = [(Uid(0), "root".to_owned())].into();
    let rows = rows(&snapshot, Kind::Ownership);
    let of = |id: NamespaceId| rows.iter().find(|row| row["nsid"] == id.ino).unwrap();
    assert_eq!(
        *of(LEFT),
        serde_json::json!({
            "depth": 1, "kind": "namespace", "nsid": LEFT.ino, "type": "net", "unique-id": 1300, "parent": null,
            "owner": USER.ino, "netns-name": "left", "leading-processes": [], "loose-tasks": [],
            "holder-counts": {"fd": 1, "bind-mount": 1}
        })
    );
    let user = of(USER);
    assert_eq!((&user["user-id"], &user["user-name"]), (&0.into(), &"root".into()));
    assert!(user.get("netns-name").is_none() && of(LEFT).get("user-id").is_none());
    let task = serde_json::json!({"tid": 201, "pid": 200, "name": "worker"});
    assert_eq!(of(LOOSE)["loose-tasks"], serde_json::json!([task]));
    snapshot.namespaces.get_mut(&USER).unwrap().owner_uid = None;
    let unknown = &self::rows(&snapshot, Kind::User)[0];
    assert!(unknown["user-id"].is_null() && unknown.as_object().unwrap().contains_key("user-id"));
}

#[test]
fn rows_are_in_the_order_of_the_tree_however_deep_it_is() {
    let mut snapshot = snapshot();
    for pid in 1000..31_000 {
        snapshot.processes.insert(Pid(pid), process(pid, if pid == 1000 { 1 } else { pid - 1 }, "deep", &[]));
    }
    let rows = rows(&snapshot, Kind::Process);
    assert!(rows.len() > 30_000);
    let deepest = rows.iter().find(|row| row["pid"] == 30_999).unwrap();
    assert!(deepest["depth"].as_u64().unwrap() > 29_999, "{deepest}");
    assert_eq!((&deepest["kind"], &deepest["ppid"]), (&"process".into(), &30_998.into()));
    assert!(deepest["pidns"].is_null() && deepest["cgroup"].is_null());
}

/// A user namespace stands once for each PID namespace that it owns; its loose tasks are gone through once.
#[test]
fn a_user_namespace_between_many_others_is_gone_through_once() {
    const MANY: u64 = 10_000;
    let mut snapshot = snapshot();
    let user = snapshot.namespaces.get_mut(&USER).unwrap();
    user.leaders.clear();
    user.loose_threads = (1..=50_000).map(Tid).collect();
    user.holders = (1..=50_000).map(|tid| Holder::Task { pid: Pid(200), tid: Tid(tid) }).collect();
    for nth in 0..MANY {
        let mut pid = Namespace::new(id(4_026_540_000 + nth), NamespaceType::Pid);
        pid.owner = lxkns_model::Relation::Known(USER);
        pid.parent = lxkns_model::Relation::NotVisible;
        snapshot.namespaces.insert(pid.id, pid);
    }
    let context = Context::of_dump(&snapshot);
    let tree = Tree::new(context, Kind::OwnedPid.forest(context), Shown::of(Kind::OwnedPid));
    let told = tree.forest().nodes().filter(|&node| tree.about(node).contains("task (1) of process")).count();
    assert!(told >= 1, "{told}");
}
