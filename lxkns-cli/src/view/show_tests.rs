use std::net::IpAddr;

use lxkns_core::model::{SocketUser, Tid};

use super::*;
use crate::view::screen::Screen;
use lxkns_answers::testing::{BUSY, HOME, LEFT, LOOSE, NET, ODD, USER, snapshot};
use lxkns_core::model::Errno;
use lxkns_core::model::inside::{Address, Failure, Link, ListeningSocket, Network, NetworkInside, Protocol, Route};

fn text(snapshot: &Snapshot, id: NamespaceId, inside: Inside, missing: Option<&str>) -> String {
    let shown = Shown {
        snapshot,
        counts: &Counts::of(snapshot),
        namespace: &snapshot.namespaces[&id],
        home: Some(HOME),
        is_live: true,
        inside,
        missing: missing.map(str::to_owned),
    };
    let mut out = Vec::new();
    shown.sheet(2).write(&mut out, Screen::default()).unwrap();
    String::from_utf8(out).unwrap()
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
    assert_eq!(
        text(&snapshot, USER, Inside::default(), None),
        "user:[4026531837]\n  \
           type        user, the initial one\n  \
           inode       4026531837\n  \
           unique ID   837\n  \
           created by  UID 0\n  \
           parent      none\n  \
           owns        1 mnt, 3 net\n              \
                       mnt:[4026531832] of 1 (init)\n              \
                       net:[4026531833] of 1 (init)\n              \
                       and 2 more (--all shows all)\n  \
           inside      processes: 2, threads: 3\n  \
           topmost     1 (init)\n  \
           held by     2 processes, 1 owned namespace (lxkns why user:4026531837)\n  \
           path        /proc/1/ns/user\n\n  \
           ID maps\n  \
           UIDs  0 here, 1000 outside\n  \
           GIDs  none are mapped\n\n  \
           Limits\n  \
           limits  not in a dump\n"
    );
    let loose = text(&snapshot, LOOSE, Inside::default(), None);
    assert!(loose.contains("  threads    task 201 of process 200 (sleep)\n"), "{loose}");
    let odd = text(&snapshot, ODD, Inside::default(), None);
    assert!(odd.contains("  inside     no process\n") && odd.contains("  init   not known, or none\n"), "{odd}");
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
        failures: vec![Failure::of_call("sock_diag of UDP", Errno::new(1).unwrap())],
    };
    let facts = NetworkInside {
        network,
        namespaces: [(0, NET)].into_iter().collect(),
        names: [((0, 5), b"a\nb".to_vec())].into_iter().collect(),
        users: [(100, vec![SocketUser::new(100, Pid(200), Tid(200), 3)])].into_iter().collect(),
    };
    let text = text(&snapshot, BUSY, Inside { network: Some(facts), ..Inside::default() }, None);
    let network = text.split_once("\n\n").unwrap().1;
    assert_eq!(
        network,
        "  Links\n  \
         INDEX NAME         STATE  MTU MAC KIND    MASTER OTHER END\n      \
             2 eth0\\x1b[31m UP    1500     veth           a\\x0ab in net:[4026531833] of process 1 (init)\n      \
             3 \\xff         UP    1500     macvlan        on eth0\\x1b[31m\n      \
             4 v            UP    1500     veth           if9 in a network namespace that was not found, with ID 1 here\n      \
             6 w            UP    1500     veth           if9 in a network namespace that is not known\n\n  \
         Addresses\n  \
         LINK         ADDRESS    SCOPE\n  \
         eth0\\x1b[31m 10.0.0.1/8 global\n\n  \
         Routes of the main tables; 4 in others\n  \
         TO                  VIA LINK FROM METRIC\n  \
         unreachable default                    3\n\n  \
         Listening sockets\n  \
         PROTOCOL ADDRESS           PROCESS\n  \
         tcp      *%eth0\\x1b[31m:80 200 (sleep) fd 3\n  \
         tcp      [::]:81           not known; of UID 7\n\n  \
         Not whole\n  \
         not read  sock_diag of UDP: EPERM\n"
    );
}

#[test]
fn what_is_not_known_says_so() {
    let snapshot = snapshot();
    let denied = text(&snapshot, BUSY, Inside::default(), Some("needs CAP_SYS_ADMIN"));
    assert!(denied.ends_with("  Network\n  links, addresses, routes, sockets  needs CAP_SYS_ADMIN\n"), "{denied}");
    let dumped = text(&snapshot, BUSY, Inside::default(), None);
    assert!(dumped.ends_with("  links, addresses, routes, sockets  not in a dump\n"), "{dumped}");
}

#[test]
fn offsets_keep_their_sign() {
    assert_eq!(offset((86_400, 5)), "86400.000000005 s");
    assert_eq!(offset((-1, 500_000_000)), "-0.500000000 s");
}
