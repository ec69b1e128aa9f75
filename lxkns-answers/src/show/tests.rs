//! What is said of the namespaces and processes of a small host.

use std::net::IpAddr;

use lxkns_model::inside::{Address, Failure, Inside, Link, ListeningSocket, Network, NetworkInside, Protocol, Route};
use lxkns_model::{
    CapabilitySet, Errno, IdMapping, NamespaceId, NamespaceLinks, NamespaceType, Observer, Pid, Relation, Seccomp,
    Snapshot, SocketUser, Tid, Uid,
};
use serde_json::json;

use super::namespace::offset;
use super::*;
use crate::Context;
use crate::counts::Counts;
use crate::sheet::{Body, Sheet};
use crate::testing::{BUSY, HOME, LEFT, LOOSE, NET, ODD, USER, id, snapshot};

/// A sheet with a line for each fact and each row.
fn lines(sheet: &Sheet) -> Vec<String> {
    let mut lines = vec![sheet.title.clone()];
    for section in &sheet.sections {
        lines.extend((!section.heading.is_empty()).then(|| format!("# {}", section.heading)));
        match &section.body {
            Body::Facts(facts) => lines.extend(facts.iter().map(|fact| format!("{}: {}", fact.label, fact.text))),
            Body::Table(columns, rows) => {
                lines.push(columns.iter().map(|column| column.name).collect::<Vec<_>>().join("|"));
                lines.extend(rows.iter().map(|row| row.join("|")));
            }
        }
    }
    lines
}

fn shown(snapshot: &Snapshot, id: NamespaceId, inside: Inside, missing: Option<&str>) -> (Vec<String>, ShowAnswer) {
    let context = Context { snapshot, mount_ns: Some(HOME), is_live: missing.is_some() || inside.network.is_some() };
    let shown = ShownNamespace {
        context,
        counts: &Counts::of(snapshot),
        namespace: &snapshot.namespaces[&id],
        inside,
        missing: missing.map(|why| Unread::Because(why.to_owned())),
    };
    (lines(&shown.sheet(2)), ShowAnswer::of_namespace("x".to_owned(), &shown))
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn what_a_snapshot_has() {
    let mut snapshot = snapshot();
    let user = snapshot.namespaces.get_mut(&USER).unwrap();
    user.owned = vec![HOME, NET, BUSY, LEFT];
    user.uid_map = Some(vec![IdMapping { inside: 0, outside: 1000, count: 1 }]);
    user.gid_map = Some(Vec::new());
    let (lines, answer) = shown(&snapshot, USER, Inside::default(), None);
    assert_eq!(
        lines,
        [
            "user:[4026531837]",
            "type: user, the initial one",
            "inode: 4026531837",
            "unique ID: 837",
            "created by: UID 0",
            "parent: none",
            "owns: 1 mnt, 3 net",
            ": mnt:[4026531832] of 1 (init)",
            ": net:[4026531833] of 1 (init)",
            ": and 2 more (--all shows all)",
            "inside: processes: 2, tasks: 3",
            "topmost: 1 (init)",
            "held by: 2 processes, 1 owned namespace; see `lxkns why user:4026531837`",
            "path: /proc/1/ns/user",
            "# ID maps",
            "UIDs: 0 here, 1000 outside",
            "GIDs: none are mapped",
            "# Limits",
            "limits: not in a dump",
        ]
    );
    let json = serde_json::to_value(answer).unwrap();
    let namespace = &json["namespace"];
    assert_eq!(namespace["uid-map"], json!([[0, 1000, 1]]));
    assert_eq!((&namespace["possessions"][0], &namespace["unique-id"]), (&HOME.ino.into(), &837.into()));
    assert!(json.get("process").is_none() && namespace.get("network").is_none(), "{json}");
    assert_eq!(namespace["parent"], serde_json::Value::Null);
    let (loose, _) = shown(&snapshot, LOOSE, Inside::default(), None);
    assert!(
        loose.iter().any(|line| line.starts_with("tasks: ") && line.contains("201 of process 200 (sleep)")),
        "{loose:?}"
    );
    let (odd, _) = shown(&snapshot, ODD, Inside::default(), None);
    assert!(["inside: no process", "init: unknown, or none"].iter().all(|line| odd.iter().any(|it| it == line)));
}

#[test]
fn a_network_namespace_with_hostile_names() {
    let snapshot = snapshot();
    let link = |index, name: &[u8], kind: &[u8], link, link_nsid| Link {
        index,
        name: name.into(),
        kind: Some(kind.into()),
        link,
        link_nsid,
        mtu: Some(1500),
        operstate: Some(6),
        ..Link::default()
    };
    let socket = |port, inode| ListeningSocket {
        protocol: Protocol::Tcp,
        port,
        address: ip("::"),
        takes_v4: port == 80,
        index: (port == 80).then_some(2),
        interface: None,
        inode,
        uid: 7,
    };
    let network = Network {
        links: vec![
            link(2, b"eth0\x1b[31m", b"veth", Some(5), Some(0)),
            link(3, b"\xff", b"macvlan", Some(2), None),
            link(4, b"v", b"veth", Some(9), Some(1)),
            link(6, b"w", b"veth", Some(9), Some(-1)),
        ],
        addresses: vec![Address { index: 2, local: ip("10.0.0.1"), prefix: 8, peer: None, scope: 0 }],
        routes: vec![Route { kind: 7, metric: Some(3), hops: vec![Default::default()], ..Route::default() }],
        other_routes: 4,
        sockets: vec![socket(80, 100), socket(81, 101)],
        unix_sockets: Vec::new(),
        failures: vec![Failure::of_call("sock_diag of UDP", Errno::new(1).unwrap())],
    };
    let facts = NetworkInside {
        network,
        namespaces: [(0, LEFT)].into_iter().collect(),
        names: [((0, 5), b"a\nb".to_vec())].into_iter().collect(),
        users: [(100, vec![SocketUser::new(100, Pid(200), Tid(200), 3)])].into_iter().collect(),
        home: Some(NET),
    };
    let (lines, answer) = shown(&snapshot, BUSY, Inside { network: Some(facts), ..Inside::default() }, None);
    let network = lines.iter().position(|line| line == "# Links").unwrap();
    assert_eq!(
        lines[network..],
        [
            "# Links",
            "INDEX|NAME|STATE|MTU|MAC|KIND|MASTER|OTHER END",
            "2|eth0\\x1b[31m|UP|1500||veth||a\\x0ab in net:[4026532300] (left), which has no process",
            "3|\\xff|UP|1500||macvlan||on eth0\\x1b[31m",
            "4|v|UP|1500||veth||if9 in a network namespace not found, with netnsid 1 here",
            "6|w|UP|1500||veth||if9 in an unknown network namespace",
            "# Left over: one end is in a network namespace without a process",
            "link: eth0\\x1b[31m (veth) in net:[4026532200], peer of a\\x0ab in net:[4026532300] (left), which has no process",
            "until: `nsenter --net=/proc/200/ns/net ip link delete $'eth0\\033[31m'`, or net:4026532300 ends (lxkns why \
             net:4026532300)",
            "# Addresses",
            "LINK|ADDRESS|SCOPE",
            "eth0\\x1b[31m|10.0.0.1/8|global",
            "# Routes of the main tables; 4 in others",
            "TO|VIA|LINK|FROM|METRIC",
            "unreachable default||||3",
            "# Listening sockets",
            "PROTOCOL|ADDRESS|PROCESS",
            "tcp|*%eth0\\x1b[31m:80|200 (sleep) fd 3",
            "tcp|[::]:81|unknown; created by UID 7",
            "# Incomplete",
            "not read: sock_diag of UDP: EPERM",
        ]
    );
    let json = serde_json::to_value(answer).unwrap();
    let link = &json["namespace"]["network"]["links"][0];
    let end = json!({"relation": "peer", "index": 5, "name": "a\nb", "nsid": LEFT.ino, "netns-name": "left",
        "netnsid": 0, "process": null});
    assert_eq!(link["other-end"], end);
}

#[test]
fn what_is_not_known_says_so() {
    let snapshot = snapshot();
    for (missing, expected) in [(Some("needs CAP_SYS_ADMIN"), "needs CAP_SYS_ADMIN"), (None, "not in a dump")] {
        let (lines, answer) = shown(&snapshot, BUSY, Inside::default(), missing);
        let network = ["# Network".to_owned(), format!("links, addresses, routes, sockets: {expected}")];
        assert_eq!(lines[lines.len() - 2..], network);
        assert_eq!(serde_json::to_value(answer).unwrap()["namespace"]["missing"], expected);
    }
}

/// Process 200 in a user namespace where UID 100000 of the host is 0.
fn in_a_container(uid: u32) -> Snapshot {
    let mut snapshot = snapshot();
    let own = id(4_026_532_600);
    let mut namespace = lxkns_model::Namespace::new(own, NamespaceType::User);
    namespace.parent = Relation::Known(USER);
    namespace.owner_uid = Some(Uid(7));
    namespace.uid_map = Some(vec![IdMapping { inside: 0, outside: 100_000, count: 1000 }]);
    snapshot.namespaces.insert(own, namespace);
    let process = snapshot.processes.get_mut(&Pid(200)).unwrap();
    process.namespaces.set(NamespaceType::User, own);
    let status = process.status.as_mut().unwrap();
    status.uids.effective = Uid(uid);
    status.capabilities.effective = CapabilitySet::ALL;
    status.seccomp = Some(Seccomp::Filter);
    status.no_new_privs = Some(true);
    let mut observer = Observer::new(Uid(0), CapabilitySet::ALL);
    observer.user_ns = Some(USER);
    snapshot.observer = Some(observer);
    snapshot
}

fn shown_process(snapshot: &Snapshot, label: Label) -> (Vec<String>, serde_json::Value) {
    let mut own = NamespaceLinks::default();
    own.set(NamespaceType::Mnt, HOME);
    own.set(NamespaceType::Net, NET);
    let shown = ShownProcess {
        context: Context { snapshot, mount_ns: Some(HOME), is_live: true },
        process: &snapshot.processes[&Pid(200)],
        reference: Reference::Caller(own),
        since_boot: None,
        label,
    };
    let answer = serde_json::to_value(ShowAnswer::of_process("x".to_owned(), &shown)).unwrap();
    (lines(&shown.sheet(2)), answer["process"].clone())
}

#[test]
fn whether_a_process_is_root_on_the_host() {
    let (lines, answer) = shown_process(&in_a_container(100_000), Label::Known("x (enforce)".into()));
    for line in [
        "effective user inside: UID 0 in user:[4026532600]",
        "root on the host: no",
        "seccomp: filter",
        "no_new_privs: yes",
        "LSM label: x (enforce)",
        "TYPE|NAMESPACE|SHARED WITH YOU",
        "mnt|mnt:[4026531832]|yes",
        "net|net:[4026532200]|no",
        "uts|not readable|unknown",
    ] {
        assert!(lines.iter().any(|it| it == line), "{line}: {lines:#?}");
    }
    let part = json!([answer["root-on-host"], answer["host-capabilities"], answer["uid-inside"], answer["lsm-label"]]);
    assert_eq!(part, json!([false, [], 0, "x (enforce)"]));
    let (lines, answer) = shown_process(&in_a_container(0), Label::None);
    assert!(lines.iter().any(|line| line == "root on the host: yes: UID 0 on the host, without capabilities there"));
    assert!(lines.iter().any(|line| line == "effective user inside: not mapped in user:[4026532600]"), "{lines:#?}");
    assert_eq!((&answer["root-on-host"], &answer["uid-inside"]), (&true.into(), &serde_json::Value::Null));
    // Whoever looks from elsewhere knows other numbers.
    let mut elsewhere = in_a_container(0);
    elsewhere.observer.as_mut().unwrap().user_ns = Some(id(4_026_532_600));
    let (lines, answer) = shown_process(&elsewhere, Label::Unread("not readable (EACCES)".to_owned()));
    assert!(lines.iter().any(|line| line.starts_with("root on the host: unknown: ")), "{lines:#?}");
    assert!(lines.iter().any(|line| line == "LSM label: unknown: not readable (EACCES)"), "{lines:#?}");
    assert_eq!((&answer["root-on-host"], &answer["uid-inside"]), (&serde_json::Value::Null, &0.into()));
    assert_eq!(answer["lsm-missing"], "not readable (EACCES)");
}

#[test]
fn a_name_is_not_taken_for_a_command_line() {
    let mut snapshot = in_a_container(0);
    let command = |snapshot: &Snapshot| shown_process(snapshot, Label::None).0[1].clone();
    assert_eq!(command(&snapshot), "command: sleep 1000");
    // A zombie, or a thread of the kernel.
    snapshot.processes.get_mut(&Pid(200)).unwrap().command_line = Some(Vec::new());
    assert_eq!(command(&snapshot), "command: sleep");
    snapshot.processes.get_mut(&Pid(200)).unwrap().command_line = None;
    assert_eq!(command(&snapshot), "command: sleep (the name; its command line is not known)");
}

#[test]
fn offsets_keep_their_sign() {
    assert_eq!(offset((86_400, 5)), "86400.000000005 s");
    assert_eq!(offset((-1, 500_000_000)), "-0.500000000 s");
}
