//! Containers: what is written of them, what comes back, and what nobody should have written.

use std::time::{Duration, SystemTime};

use bstr::BString;
use proptest::prelude::*;
use serde_json::json;

use super::fixture::{self, id};
use super::*;
use crate::wire::{Error, ErrorKind};
use crate::*;

const ID: &str = "4f1a0c2e9b7d4f1a0c2e9b7d4f1a0c2e9b7d4f1a0c2e9b7d4f1a0c2e9b7d0001";

fn evidence(kind: EvidenceKind, at: &str, confidence: Confidence) -> Evidence {
    Evidence { kind, at: at.into(), pid: None, confidence }
}

fn said<T>(value: impl Into<T>, by: usize) -> Option<Said<T>> {
    Some(Said { value: value.into(), by })
}

/// Containers with something of everything: one with a process, one without, one whose process another has too.
pub(super) fn all() -> Containers {
    let cgroup = evidence(EvidenceKind::Cgroup, "/docker/4f1a", Confidence::Likely);
    let mut web = Container::new(EngineKind::Docker, ID, cgroup.clone());
    web.name = said("web", 1);
    web.engine = Some(0);
    web.runtime = said("runc", 1);
    web.image = said("nginx:1.27", 1);
    web.state = said(ContainerState::Paused, 1);
    web.created = said(SystemTime::UNIX_EPOCH + Duration::new(1_790_000_000, 5), 1);
    web.labels = [("a \\ b".into(), "\u{202e}x".into()), ("z".into(), "".into())].into();
    web.annotations = [("k".into(), BString::from(b"\xff\\377".as_slice()))].into();
    web.main = said(Pid(900), 2);
    web.pod = Some(Said {
        value: Pod { namespace: "default".into(), name: b"p\xfe".into(), uid: BString::default() },
        by: 0,
    });
    web.cgroup = said("/docker/4f1a", 0);
    web.limits = Some(CgroupLimits {
        memory_bytes: Some(u64::MAX),
        memory_high_bytes: None,
        swap_bytes: Some(0),
        cpu_usec_per_second: Some(500_000),
        cpu_weight: Some(100),
        cpus: Some("0-1,3".to_owned()),
        tasks_max: None,
        unlimited: vec![CgroupLimit::TasksMax],
    });
    web.network_path = said("/run/netns/cni-1", 2);
    web.groups = vec![1, 0];
    web.flavor = Some("com.docker.devcontainer".into());
    web.evidence.push(Evidence { pid: Some(Pid(10)), ..evidence(EvidenceKind::EngineFile, "/x y", Confidence::Sure) });
    web.evidence.push(evidence(EvidenceKind::Monitor, "containerd-shim -id 4f1a --secret", Confidence::Claimed));
    web.disagreements.push(Disagreement {
        about: "name",
        values: vec![Said { value: "web".into(), by: 1 }, Said { value: b"w\xff".into(), by: 0 }],
    });
    let mut pause = Container::new(EngineKind::Cri, b"\xffnot text".as_slice(), cgroup.clone());
    pause.role = ContainerRole::Sandbox;
    pause.engine_namespace = "k8s.io".into();
    pause.inside = Some(0);
    pause.labels = [(BString::from(b"\xfe".as_slice()), "v w".into())].into();
    let mut double = Container::new(EngineKind::Podman, "ab", cgroup);
    double.main = said(Pid(900), 0);
    double.name = said(b"d\xff".as_slice(), 0);
    let group = |kind, name: &[u8], type_name: &str| Group {
        kind,
        name: name.into(),
        type_name: type_name.into(),
        flavor: type_name.into(),
        labels: [("l".into(), "m".into())].into(),
    };
    let engine = |kind, pid| Engine { kind, pid, id: None, version: None, api: None, inside: None };
    Containers {
        list: vec![web, pause, double],
        engines: vec![
            Engine {
                id: Some("ABCD".into()),
                version: Some("27.1".into()),
                api: Some(b"/run/\xff.sock".into()),
                ..engine(EngineKind::Docker, Some(Pid(10)))
            },
            Engine { inside: Some(0), ..engine(EngineKind::Containerd, None) },
        ],
        groups: vec![
            group(GroupKind::ComposeProject, b"shop", "com.docker.compose.project"),
            group(GroupKind::Pod, b"default/p\xfe", "io.kubernetes.pod"),
            group(GroupKind::Other, b"o", "else"),
        ],
        members: [(Pid(900), 0), (Pid(10), 1)].into(),
        namespaces: [(id(4026532303), 1)].into(),
        twins: [].into(),
        namesakes: [].into(),
        units: [
            (Pid(1), Unit { kind: UnitKind::Scope, name: "init.scope".into(), of_user: None }),
            (Pid(7), Unit { kind: UnitKind::Service, name: b"a\xff.service".into(), of_user: Some(Uid(1000)) }),
            (Pid(8), Unit { kind: UnitKind::Service, name: b"a\xff.service".into(), of_user: Some(Uid(1000)) }),
        ]
        .into(),
    }
}

#[test]
fn other_readers_find_what_they_expect() {
    let value = value(&fixture::full());
    let web = &value["containers"]["900"];
    assert_eq!(value["containers"].as_object().unwrap().len(), 1, "one for each process");
    for (key, expected) in [
        ("id", json!(ID)),
        ("name", json!("web")),
        ("type", json!("docker.com")),
        ("flavor", json!("com.docker.devcontainer")),
        ("pid", json!(900)),
        ("paused", json!(true)),
        ("labels", json!({"a \\ b": "\u{202e}x", "z": ""})),
        ("groups", json!([2, 1])),
        ("engine", json!(1)),
        ("confidence", json!("sure")),
    ] {
        assert_eq!(web[key], expected, "{key}");
    }
    let engine = &value["container-engines"]["1"];
    assert_eq!((&engine["containers"], &engine["pid"], &engine["labels"]), (&json!([900]), &json!(10), &json!({})));
    assert_eq!(value["container-groups"]["2"]["containers"], json!([900]));
    // Each container has an engine, also where none was seen.
    let others = value["discovery-options"]["snapshot"]["containers"]["others"].as_array().unwrap();
    assert_eq!(others.iter().map(|it| &it["index"]).collect::<Vec<_>>(), [&json!(1), &json!(2)]);
    for other in others {
        let engine = &value["container-engines"][other["engine"].to_string()];
        assert_eq!((&engine["type"], &engine["unseen"]), (&other["type"], &json!(true)));
    }
    assert_eq!(others[0]["name"], others[0]["id"], "without a name it is called by its ID");
}

#[test]
fn not_looked_for_is_not_none() {
    let mut snapshot = fixture::empty();
    assert_eq!(there_and_back(&snapshot).annotations.containers, None);
    snapshot.annotations.containers = Some(Containers::default());
    assert_eq!(there_and_back(&snapshot).annotations.containers, Some(Containers::default()));
    assert_eq!(value(&snapshot)["containers"], json!({}));
}

#[test]
fn a_monitors_command_line_is_one() {
    let options = WriteOptions { command_lines: false, ..WriteOptions::default() };
    assert!(json(&fixture::full()).contains("--secret"));
    assert!(!json_with(&fixture::full(), &options).contains("--secret"));
}

/// The containers of a dump in which one value is another.
fn changed(pointer: &str, to: serde_json::Value) -> Result<Snapshot, Error> {
    let mut dump = value(&fixture::full());
    *dump.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}")) = to;
    read(dump.to_string().as_bytes())
}

#[test]
fn what_cannot_be_is_one_clear_error() {
    let info = "/discovery-options/snapshot/containers";
    for (pointer, to, message) in [
        ("/containers/900/index".to_owned(), json!(7), "container with index 1: expected 0"),
        ("/containers/900/index".to_owned(), json!(1), "two containers with index 1"),
        ("/containers/900/engine".to_owned(), json!(9), "container without engine 9"),
        ("/containers/900/engine".to_owned(), json!(0), "container without engine 0"),
        ("/containers/900/groups".to_owned(), json!([4]), "container without group 4"),
        ("/containers/900/pid".to_owned(), json!(u32::MAX), "pid 4294967295: not within 1 to 2147483647"),
        ("/containers/900/said-by/name".to_owned(), json!(3), "container without evidence 3"),
        ("/containers/900/evidence".to_owned(), json!([]), "container without evidence 0"),
        ("/containers/900/disagreements/0/values/0/by".to_owned(), json!(3), "container without evidence 3"),
        ("/containers/900/created".to_owned(), json!("now"), "created: not a time: \"now\""),
        (format!("{info}/others/0/inside"), json!(1), "container with index 1 is inside itself"),
        (format!("{info}/others/0/inside"), json!(3), "no container has index 3"),
        (format!("{info}/members"), json!({"3": [1]}), "no container has index 3"),
        (format!("{info}/members"), json!({"0": [0]}), "pid 0: not within 1 to 2147483647"),
        (format!("{info}/namespaces"), json!({"0": 1}), "namespace of a container 0: not within"),
        ("/container-engines/2/inside".to_owned(), json!(3), "no container has index 3"),
        ("/container-groups".to_owned(), json!({"5": {}}), "container group 5: expected 1"),
    ] {
        let error = changed(&pointer, to).expect_err(&pointer);
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().starts_with(&format!("invalid dump: {message}")), "{pointer}: {error}");
    }
    // What a newer version says differently is left out.
    let read = changed("/containers/900/disagreements/0/about", json!("aura")).unwrap();
    assert!(read.annotations.containers.unwrap().list[0].disagreements.is_empty());
}

#[test]
fn long_lines_of_containers_are_read_in_time() {
    const COUNT: usize = 50_000;
    let chain = |last: serde_json::Value| {
        let others: Vec<_> = (0..COUNT)
            .map(|index| {
                let inside = if index + 1 < COUNT { json!(index + 1) } else { last.clone() };
                json!({"id": index.to_string(), "type": "runc", "engine": 1, "index": index, "inside": inside,
                       "evidence": []})
            })
            .collect();
        let info = json!({"format": 1, "containers": {"others": others}});
        json!({"namespaces": {}, "container-engines": {"1": {"unseen": true}},
               "discovery-options": {"snapshot": info}})
        .to_string()
    };
    let error = read(chain(json!(0)).as_bytes()).unwrap_err().to_string();
    assert_eq!(error, "invalid dump: container with index 0 is inside itself");
    assert_eq!(read(chain(json!(null)).as_bytes()).unwrap().annotations.containers.unwrap().list.len(), COUNT);
}

/// A dump of the Go program's with three containers: a pod's in Docker, one in a nested engine, and one without a control
/// group of its own.
fn theirs() -> serde_json::Value {
    let process = |pid: u32, ppid: u32, cgroup: &str| {
        json!({"pid": pid, "ppid": ppid, "name": "x", "cmdline": [], "starttime": 1, "cpucgroup": cgroup,
               "fridgecgroup": "", "fridgefrozen": false, "namespaces": {}, "tasks": []})
    };
    let docker = format!("/docker/{ID}");
    let inner = format!("{docker}/docker/0011223344556677");
    let mut dump = json!({
        "namespaces": {}, "mounts": {}, "discovery-options": {}, "cpus-online": [],
        "containers": {
            "20": {"id": ID, "name": "web", "type": "docker.com", "flavor": "docker.com", "pid": 20, "paused": false,
                   "labels": {"k": "v"}, "groups": [7], "engine": 3},
            "30": {"id": "0011223344556677", "name": "deep", "type": "containerd.io", "flavor": "x", "pid": 30,
                   "paused": true, "labels": {}, "groups": [], "engine": 4},
            "40": {"id": "aabbccddeeff", "name": "loose", "type": "podman.io", "flavor": "", "pid": 40,
                   "paused": false, "labels": {}, "groups": [99], "engine": 99}
        },
        "container-engines": {
            "3": {"id": "E", "type": "docker.com", "version": "27", "api": "unix:///run/docker.sock", "pid": 5,
                  "labels": {}, "containers": [20]},
            "4": {"id": "", "type": "containerd.io", "version": "", "api": "", "pid": 0, "labels": {}, "containers": [30]}
        },
        "container-groups": {
            "7": {"name": "shop", "type": "com.docker.compose.project", "flavor": "com.docker.compose.project",
                  "containers": [20], "labels": {}}
        },
        "processes": {}
    });
    for (pid, ppid, cgroup) in [
        (1, 0, "/"),
        (20, 2, docker.as_str()),
        (21, 2, &format!("{docker}/sub")), // started in it from outside
        (22, 20, "/elsewhere"),
        (30, 22, &inner),
        (31, 30, ""),
        (40, 1, "/user.slice"),
        (41, 40, "/user.slice"),
        (42, 1, "/user.slice"),
        (50, 51, "/"), // a circle
        (51, 50, "/"),
    ] {
        dump["processes"][pid.to_string()] = process(pid, ppid, cgroup);
    }
    dump
}

#[test]
fn containers_of_the_go_program_stay() {
    let snapshot = read(theirs().to_string().as_bytes()).unwrap();
    let containers = snapshot.annotations.containers.as_ref().unwrap();
    let of = |pid| containers.of(Pid(pid)).map(|it| it.display_name().to_string());
    let web = containers.of(Pid(20)).unwrap();
    assert_eq!((web.kind, web.state.as_ref().unwrap().value), (EngineKind::Docker, ContainerState::Running));
    assert_eq!((web.evidence[0].kind, web.confidence()), (EvidenceKind::Dump, Confidence::Likely));
    assert_eq!(containers.engines[web.engine.unwrap()].version.as_ref().unwrap(), "27");
    assert_eq!(containers.groups[web.groups[0]].kind, GroupKind::ComposeProject);
    for (pid, name) in [(20, "web"), (21, "web"), (22, "web"), (30, "deep"), (31, "deep"), (40, "loose"), (41, "loose")]
    {
        assert_eq!(of(pid).as_deref(), Some(name), "{pid}");
    }
    for pid in [1, 42, 50, 51] {
        assert_eq!(of(pid), None, "{pid}");
    }
    let loose = containers.of(Pid(40)).unwrap();
    assert_eq!((loose.engine, loose.groups.len()), (None, 0), "what they refer to is not there");
    // Written again and read, they are the same; and the Go program's keys are.
    let back = there_and_back(&snapshot);
    assert_eq!(back.annotations.containers, snapshot.annotations.containers);
    let (written, theirs) = (value(&snapshot), theirs());
    for pid in ["20", "30"] {
        for key in ["id", "name", "type", "flavor", "pid", "paused", "labels"] {
            assert_eq!(written["containers"][pid][key], theirs["containers"][pid][key], "{pid} {key}");
        }
    }
}

#[test]
fn a_dump_of_theirs_without_containers_does_not_say_that_there_are_none() {
    let snapshot = read(b"{\"namespaces\": {}, \"containers\": {}}".as_slice()).unwrap();
    assert_eq!(snapshot.annotations.containers, None);
}

proptest! {
    /// Names that engines and users make up.
    #[test]
    fn any_bytes_of_a_container_come_back(
        id: Vec<u8>, name: Vec<u8>, key: Vec<u8>, label: Vec<u8>, image: Vec<u8>, unit: Vec<u8>,
    ) {
        let mut containers = all();
        let container = &mut containers.list[0];
        container.id = id.into();
        container.name = said(name, 0);
        container.labels.insert(key.clone().into(), label.clone().into());
        container.annotations.insert(label.into(), key.into());
        container.image = said(image, 0);
        containers.units.insert(Pid(77), Unit { kind: UnitKind::Snap, name: unit.into(), of_user: None });
        let mut snapshot = fixture::full();
        snapshot.annotations.containers = Some(containers);
        let first = json(&snapshot);
        let back = read(first.as_bytes()).unwrap();
        prop_assert_eq!(&back.annotations.containers, &snapshot.annotations.containers);
        prop_assert_eq!(json(&back), first);
    }
}
