//! What is said of sockets in namespaces of a small host.

use std::ffi::OsStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lxkns_model::inside::{Network, Protocol};
use lxkns_model::{Errno, Operation, Tid};

use super::*;
use crate::resolve::NoHost;
use crate::testing::{BUSY, LEFT, NET, contained, snapshot};

fn socket(protocol: Protocol, address: impl Into<IpAddr>, port: u16, inode: u64) -> ListeningSocket {
    let address = address.into();
    ListeningSocket { protocol, port, address, takes_v4: false, index: None, interface: None, inode, uid: 0 }
}

const V4: Ipv4Addr = Ipv4Addr::UNSPECIFIED;

fn surveyed() -> Vec<Surveyed> {
    let with = |id, sockets: Vec<_>| {
        let unix = UnixSocket { name: b"\0a\x1b b".to_vec(), kind: UnixKind::Datagram, inode: 50 };
        let unix_sockets = if id == BUSY { vec![unix] } else { Vec::new() };
        Surveyed { id, network: Ok(Network { sockets, unix_sockets, ..Network::default() }) }
    };
    let local = "fe80::1".parse::<Ipv6Addr>().unwrap();
    let bound = |inode, interface: Option<&[u8]>| ListeningSocket {
        index: Some(7),
        interface: interface.map(<[u8]>::to_vec),
        ..socket(Protocol::Udp, local, 53, inode)
    };
    let both = ListeningSocket { takes_v4: true, ..socket(Protocol::Tcp, Ipv6Addr::UNSPECIFIED, 8080, 31) };
    vec![
        with(NET, vec![socket(Protocol::Tcp, V4, 8080, 10), socket(Protocol::Udp, V4, 53, 11)]),
        with(BUSY, vec![socket(Protocol::Tcp, V4, 8080, 20), bound(21, Some(b"e\xff")), bound(22, None)]),
        with(LEFT, vec![both, socket(Protocol::Sctp, V4, 8080, 30)]),
    ]
}

fn users() -> Vec<SocketUser> {
    let user = |inode, pid: u32, fd| SocketUser::new(inode, Pid(pid), Tid(pid), fd);
    let many = (300..305).map(|pid| user(11, pid, 3));
    [user(10, 1, 3), user(20, 200, 4), user(20, 1, 5), user(20, 200, 6)].into_iter().chain(many).collect()
}

fn lines(ports: &Ports<'_>, goes_to: For) -> Vec<String> {
    let cell = |row, column| ports.cell(row, column, goes_to).printable(goes_to);
    let line = |row| Column::default_columns().into_iter().map(|column| cell(row, column)).collect::<Vec<_>>();
    (0..ports.len()).map(|row| line(row).join("|")).collect()
}

#[test]
fn by_port_then_protocol_then_namespace_and_the_hosts_first() {
    let (snapshot, surveyed) = (contained(), surveyed());
    let context = Context::of_dump(&snapshot);
    let ports = Ports::new(context, &surveyed, users(), None, &[]);
    assert_eq!(
        lines(&ports, For::Eyes),
        [
            "udp|0.0.0.0|53|net:[4026531833]||300, 301, 302 and 2 more",
            "udp|fe80::1%e\\xff|53|net:[4026532200]|docker:web|none visible",
            "udp|fe80::1%if7|53|net:[4026532200]|docker:web|none visible",
            "tcp|0.0.0.0|8080|net:[4026531833]||1 (init)",
            "tcp|0.0.0.0|8080|net:[4026532200]|docker:web|1 (init), 200 (sleep)",
            "tcp|*|8080|net:[4026532300]|cri:app|none visible",
            "sctp|0.0.0.0|8080|net:[4026532300]|cri:app|none visible",
            "unix-dgram|@a\\x1b b||net:[4026532200]|docker:web|none visible",
        ]
    );
    let raw = lines(&ports, For::Fields);
    assert_eq!(raw[0], "udp|0.0.0.0|53|net:[4026531833]||300,301,302,303,304");
    assert_eq!(raw[7], "unix-dgram|@a\\x1b\\x20b||net:[4026532200]|docker:web|");
    assert!(ports.gaps().is_empty() && ports.is_complete(None), "{:?}", ports.gaps());
    let only = Ports::new(context, &surveyed, users(), None, &[53, 1]);
    assert_eq!(only.answers().iter().filter(|answer| answer.port != Some(53)).count(), 1, "UNIX sockets have no port");
}

#[test]
fn a_scope_is_namespaces_and_what_processes_have() {
    let (snapshot, surveyed) = (snapshot(), surveyed());
    let context = Context::of_dump(&snapshot);
    let of = |scope: &Scope| Ports::new(context, &surveyed, users(), Some(scope), &[]).answers();
    let inodes = |scope: &Scope| of(scope).iter().map(|answer| answer.inode).collect::<Vec<_>>();
    let by = |namespaces: &[NamespaceId], pids: &[u32]| Scope {
        namespaces: namespaces.iter().copied().collect(),
        pids: pids.iter().map(|&pid| Pid(pid)).collect(),
    };
    assert_eq!(inodes(&by(&[LEFT], &[])), [31, 30]);
    assert_eq!(inodes(&by(&[], &[1])), [10, 20]);
    assert_eq!(inodes(&by(&[LEFT], &[200])), [20, 31, 30]);
    assert_eq!(Scope::to_survey(Some(&by(&[LEFT], &[])), &snapshot), [LEFT]);
    assert_eq!(Scope::to_survey(Some(&by(&[LEFT], &[1])), &snapshot), [NET, BUSY, LEFT]);
    let ports = Ports::new(context, &surveyed, users(), Some(&by(&[LEFT], &[])), &[]);
    assert_eq!(ports.cell(0, Column::Name, For::Eyes), Cell::text("left"), "what ip netns calls it");
    let answer = &of(&by(&[], &[200]))[0];
    let fds: Vec<_> = answer.processes.iter().map(|process| (process.pid, process.fd)).collect();
    assert_eq!(fds, [(200, Some(4)), (1, Some(5)), (200, Some(6))]);
}

#[test]
fn a_target_is_a_process_a_container_or_a_namespace() {
    let mut snapshot = contained();
    // A second process of the container, in the network namespace of the host.
    let other = crate::testing::process(300, 200, "helper", &[(NamespaceType::Net, NET)]);
    snapshot.processes.insert(Pid(300), other);
    snapshot.annotations.containers.as_mut().unwrap().members.insert(Pid(300), 0);
    let scope = |snapshot: &Snapshot, target: &str| {
        let (context, mut scope) = (Context::of_dump(snapshot), Scope::default());
        let resolver = Resolver::new(context, &NoHost);
        let added = scope.add(snapshot, &resolver, &Asked::parse(OsStr::new(target)).unwrap());
        added.map(|()| {
            let mut pids: Vec<_> = scope.pids.into_iter().map(|pid| pid.0).collect();
            pids.sort_unstable();
            (scope.namespaces.into_iter().collect::<Vec<_>>(), pids)
        })
    };
    assert_eq!(scope(&snapshot, "200"), Ok((vec![], vec![200])));
    assert_eq!(scope(&snapshot, "201"), Ok((vec![], vec![200])), "the process of a task");
    assert_eq!(scope(&snapshot, "200/net"), Ok((vec![BUSY], vec![])));
    assert_eq!(scope(&snapshot, "web"), Ok((vec![BUSY], vec![200, 300])));
    assert_eq!(scope(&snapshot, "cri:app"), Ok((vec![LEFT], vec![])), "without a process");
    assert_eq!(scope(&snapshot, "host"), Ok((vec![NET], vec![])));
    assert!(matches!(scope(&snapshot, "host/user"), Err(Unresolved::Usage(_))));
    assert!(matches!(scope(&snapshot, "4194304"), Err(Unresolved::Missing(_))));
    // On the host's network, only what it has itself.
    let process = snapshot.processes.get_mut(&Pid(200)).unwrap();
    process.namespaces.set(NamespaceType::Net, NET);
    for task in &mut process.tasks {
        task.namespaces.set(NamespaceType::Net, NET);
    }
    assert_eq!(scope(&snapshot, "web"), Ok((vec![], vec![200, 300])));
}

#[test]
fn what_was_not_read_is_told_and_not_counted_as_none() {
    let mut snapshot = snapshot();
    let mut surveyed = surveyed();
    let denied = Failure::of_call("setns", Errno::new(1).unwrap());
    let timed_out = Failure { call: "no answer in time".to_owned(), cause: Cause::TimedOut, errno: None };
    surveyed[1].network = Err(denied);
    surveyed[2].network = Err(timed_out);
    let failure = Failure { call: "sock_diag of SCTP".to_owned(), cause: Cause::Unsupported, errno: None };
    surveyed[0].network.as_mut().unwrap().failures.push(failure);
    let open = || Operation::list("fd");
    let gap = |pid| Gap::failed(Place::Fds, Object::Process(Pid(pid)), open(), Errno::new(13).unwrap()).unwrap();
    snapshot.gaps = vec![gap(1), gap(200)];
    let ports = Ports::new(Context::of_dump(&snapshot), &surveyed, Vec::new(), None, &[]);
    assert_eq!(
        ports.gaps(),
        [
            "1 of 3 network namespaces not readable: needs CAP_SYS_ADMIN in user:[4026531837]: net:[4026532200]",
            "1 of 3 network namespaces not readable: no answer in time: net:[4026532300]",
            "sockets of 1 of 3 network namespaces not read: sock_diag of SCTP: not supported: net:[4026531833]",
        ]
    );
    let of = |pid| Scope { pids: [Pid(pid)].into_iter().collect(), ..Scope::default() };
    assert!(!ports.is_complete(None) && !ports.is_complete(Some(&of(200))) && !ports.is_complete(Some(&of(300))));
    assert!(lines(&ports, For::Eyes).iter().all(|line| line.ends_with("|not known: 2 processes not readable")));
    assert!(ports.answers().iter().all(|answer| !answer.all_processes_seen));
    // One that only a process held that has ended is no gap.
    let gone = || Failure::of_call("open", Errno::new(2).unwrap());
    surveyed[0].network = Ok(Network::default());
    for of in &mut surveyed[1..] {
        of.network = Err(gone());
    }
    let ports = Ports::new(Context::of_dump(&snapshot), &surveyed, Vec::new(), None, &[]);
    let what = "1 of 3 network namespaces not readable: it has ended, or no path leads there: net:[4026532300]";
    assert_eq!(ports.gaps(), [what], "what is mounted may be out of reach");
    surveyed.pop();
    let ports = Ports::new(Context::of_dump(&snapshot), &surveyed, Vec::new(), None, &[]);
    assert!(!ports.is_complete(Some(&of(200))) && ports.is_complete(Some(&of(300))), "others do not matter");
}
