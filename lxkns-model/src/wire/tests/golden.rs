//! The JSON of a small snapshot, as a whole.

use super::fixture::{self, add, id};
use super::*;
use crate::*;

const GOLDEN: &str = include_str!("golden.json");

fn small() -> Snapshot {
    let mut snapshot = fixture::empty();
    snapshot.host.kernel_release = "6.18.0".into();
    snapshot.host.hostname = "host".into();
    snapshot.annotations.user_names.insert(Uid(0), "root".into());
    let user = add(&mut snapshot, NamespaceType::User, 4026531837);
    user.initial = true;
    (user.owner, user.parent) = (Relation::None, Relation::None);
    user.owner_uid = Some(Uid(0));
    user.owned = vec![id(4026532303)];
    user.leaders = vec![Pid(10), Pid(9)];
    user.holders = vec![Holder::Process { pid: Pid(9) }, Holder::Process { pid: Pid(10) }];
    let net = add(&mut snapshot, NamespaceType::Net, 4026532303);
    net.owner = Relation::Known(id(4026531837));
    net.holders = vec![Holder::Fd { pid: Pid(9), tid: Tid(9), fd: 7 }];
    for pid in [9, 10] {
        let mut process = fixture::process(pid);
        process.namespaces.set(NamespaceType::User, id(4026531837));
        process.tasks[0].namespaces = process.namespaces;
        process.command_line = Some(vec!["worker".into()]);
        snapshot.processes.insert(process.pid, process);
    }
    snapshot
}

#[test]
fn a_small_dump() {
    let json = json_with(&small(), &WriteOptions { pretty: true, ..WriteOptions::default() });
    if std::env::var_os("BLESS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/wire/tests/golden.json");
        std::fs::write(path, &json).unwrap();
        return;
    }
    assert!(
        json == GOLDEN,
        "golden.json is not what is written: run the tests with BLESS=1 in the environment\n{json}"
    );
}

#[test]
fn the_whole_has_eight_keys() {
    let value = value(&fixture::full());
    let keys: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        [
            "container-engines",
            "container-groups",
            "containers",
            "cpus-online",
            "discovery-options",
            "mounts",
            "namespaces",
            "processes"
        ]
    );
}

#[test]
fn numbers_sort_as_numbers() {
    let json = json(&small());
    assert!(json.find("\"9\":").unwrap() < json.find("\"10\":").unwrap());
}

#[test]
fn what_is_not_in_the_dump_is_not_named() {
    let mut snapshot = small();
    let gone = id(4026539999);
    let user = snapshot.namespaces.get_mut(&id(4026531837)).unwrap();
    user.children = vec![gone];
    user.loose_threads = vec![Tid(9), Tid(99)];
    let net = snapshot.namespaces.get_mut(&id(4026532303)).unwrap();
    net.owner = Relation::Known(gone);
    snapshot.processes.get_mut(&Pid(9)).unwrap().namespaces.set(NamespaceType::Net, gone);
    let value = value(&snapshot);
    let (user, net) = (&value["namespaces"]["4026531837"], &value["namespaces"]["4026532303"]);
    assert!(user.get("children").is_none());
    assert_eq!(user["loose-threads"], serde_json::json!([9]));
    assert!(net.get("owner").is_none());
    assert_eq!(net["relations"]["owner"], gone.ino);
    assert!(value["processes"]["9"]["namespaces"].get("net").is_none());
}
