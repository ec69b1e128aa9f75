//! `lxkns ports`: who listens in which network namespace, against what `ss` says inside each.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::time::Duration;

use lxkns_answers::Context;
use lxkns_answers::ports::{Ports, Scope, inodes};
use lxkns_core::model::inside::Parts;
use lxkns_core::model::{Cause, NamespaceId};
use lxkns_core::{Discovery, DiscoveryOptions};
use lxkns_fixture::{Actor, Socket};
use lxkns_inside::Program as Inside;
use rustix::net::sockopt;
use rustix::process::{Pid, Signal};
use serde_json::{Value, json};

use super::program::{Ran, run, run_lxkns};
use super::{directory, look_until, own_inode};
use crate::harness::Need::{File, Kernel, Program, Root, UserNamespaces};
use crate::harness::{Need, Test, alone_through, lxkns, test};

pub(super) fn tests() -> Vec<Test> {
    const SS: &[Need] = &[UserNamespaces, Kernel(5, 6), Program("nsenter"), Program("ss"), Program("ip")];
    const HELD: &[Need] = &[UserNamespaces, Kernel(5, 6)];
    vec![
        test("ports::of_three_namespaces", SS, of_three_namespaces),
        test("ports::as_ss_says", SS, as_ss_says),
        test("ports::of_many_processes", HELD, of_many_processes),
        test("ports::made_elsewhere", HELD, made_elsewhere),
        test("ports::unix_sockets", HELD, unix_sockets),
        test("ports::nobody_listens", HELD, nobody_listens),
        test("ports::usage", HELD, usage),
        test("ports::not_allowed", &[UserNamespaces, Program("nsenter")], not_allowed),
        test("ports::unreadable_processes", &[Root, Program("setpriv")], unreadable_processes),
        test("ports::without_an_answer", &[UserNamespaces, Program("sleep")], without_an_answer),
        test(
            "ports::one_without_an_answer",
            &[UserNamespaces, File("/proc/thread-self/children")],
            one_without_an_answer,
        ),
        test("ports::of_many_namespaces", HELD, of_many_namespaces),
        test(NAMED, &[Root, Program("unshare")], of_a_named_namespace),
        test("ports::by_library", HELD, by_library),
        test("ports::users_of_a_scan", HELD, users_of_a_scan),
    ]
}

/// Has a socket of an actor listen, or wait without being connected; its port.
fn bind(socket: impl AsFd, kind: Socket, address: SocketAddr) -> u16 {
    rustix::net::bind(&socket, &address).unwrap();
    if matches!(kind, Socket::Tcp4 | Socket::Tcp6) {
        rustix::net::listen(&socket, 8).unwrap();
    }
    SocketAddr::try_from(rustix::net::getsockname(&socket).unwrap()).unwrap().port()
}

/// The same, of a new socket of an actor; its descriptor.
pub(super) fn listening(actor: &Actor, kind: Socket, address: impl Into<SocketAddr>) -> (i32, u16) {
    let fd = actor.socket(kind);
    (fd, bind(actor.take_fd(fd), kind, address.into()))
}

const ANY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;

/// A program that is to run where an actor is.
fn within(actor: &Actor, program: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["--user", "--preserve-credentials", "--net", "-t", &actor.pid().to_string(), "--", program]);
    command
}

/// What listens where an actor is by the word of `ss`: protocol, and address with port.
fn ss(actor: &Actor) -> BTreeSet<(String, String)> {
    let listed = run(within(actor, "ss").arg("-Hlntu"));
    assert_eq!(listed.code, Some(0), "{listed:?}");
    let line = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        (fields[0].to_owned(), fields[4].to_owned())
    };
    listed.text().lines().map(line).collect()
}

/// The same by the word of an answer.
fn ours(answers: &[Value]) -> BTreeSet<(String, String)> {
    let one = |answer: &Value| {
        let text = |key: &str| answer[key].as_str().unwrap().to_owned();
        let link = answer["link"].as_str().map(|link| format!("%{link}")).unwrap_or_default();
        let address = match text("address") {
            _ if answer["takes-v4"] == true => format!("*{link}"),
            address if address.contains(':') && link.is_empty() => format!("[{address}]"),
            address if address.contains(':') => format!("[{address}]{link}"),
            address => format!("{address}{link}"),
        };
        (text("protocol"), format!("{address}:{}", answer["port"]))
    };
    answers.iter().map(one).collect()
}

/// What is said of these namespaces, each answer with its namespace.
#[track_caller]
fn ports_in(arguments: &[&str], namespaces: &[u64]) -> Vec<Value> {
    let ran = run_lxkns([&["ports", "--json"], arguments].concat());
    assert_eq!((ran.code, ran.problems()), (Some(0), vec![]), "{ran:?}");
    let answers = ran.results();
    let is_in = |answer: &Value| namespaces.contains(&answer["namespace"]["nsid"].as_u64().unwrap());
    super::cli::assert_documented(&json!(answers));
    answers.into_iter().filter(is_in).collect()
}

fn pids(answer: &Value) -> BTreeSet<u64> {
    answer["processes"].as_array().unwrap().iter().map(|process| process["pid"].as_u64().unwrap()).collect()
}

/// A process in a network namespace without a process, which only its socket on this port holds: the namespace, and the socket.
fn left_with_a_socket(port: u16) -> (Actor, u64, i32) {
    let actor = Actor::spawn_in(&["user", "net"]);
    let net = actor.ns_inode("net");
    let (fd, _) = listening(&actor, Socket::Tcp4, (ANY, port));
    actor.unshare(&["net"]);
    (actor, net, fd)
}

/// The same port in three namespaces, one of which has neither a name nor a process.
fn of_three_namespaces() {
    const PORT: u16 = 8080;
    let two = [(); 2].map(|()| Actor::spawn_in(&["user", "net"]));
    let sockets = two.each_ref().map(|actor| listening(actor, Socket::Tcp4, (ANY, PORT)).0);
    let (holder, net, fd) = left_with_a_socket(PORT);
    let expected = [
        (two[0].ns_inode("net"), &two[0], sockets[0]),
        (two[1].ns_inode("net"), &two[1], sockets[1]),
        (net, &holder, fd),
    ];
    let nets = expected.each_ref().map(|of| of.0);
    let answers = ports_in(&["--port", "8080"], &nets);
    assert_eq!(answers.len(), 3, "{answers:#?}");
    for (net, actor, fd) in expected {
        let answer = answers.iter().find(|answer| answer["namespace"]["nsid"] == net).unwrap();
        assert_eq!((&answer["protocol"], &answer["address"]), (&json!("tcp"), &json!("0.0.0.0")), "{answer:#}");
        assert_eq!(answer["inode"], actor.socket_inode(fd));
        let process = &answer["processes"].as_array().unwrap()[..];
        assert_eq!(process.len(), 1, "{answer:#}");
        assert_eq!((&process[0]["pid"], &process[0]["fd"]), (&json!(actor.pid()), &json!(fd)));
    }
    for actor in &two {
        assert_eq!(ss(actor), [("tcp".to_owned(), format!("0.0.0.0:{PORT}"))].into());
    }
    assert_eq!(ss(&holder), BTreeSet::new(), "it has left");
    // In words: a line each.
    let text = run_lxkns(["ports", "-n", "--port=8080,8081"]);
    for (net, actor, _) in expected {
        let line = format!("tcp 0.0.0.0 8080 net:[{net}] {} (exe)", actor.pid());
        let found = text.text().lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        assert_eq!(found.filter(|found| *found == line).count(), 1, "{line}\n{text:?}");
    }
}

/// Sockets of all kinds in one namespace.
fn as_ss_says() {
    let actor = Actor::spawn_in(&["user", "net"]);
    let ip = |arguments: &str| {
        let ran = run(within(&actor, "ip").args(arguments.split(' ')));
        assert_eq!(ran.code, Some(0), "{ran:?}");
    };
    ip("link add left type veth peer name right");
    ip("addr add fe80::1/64 dev left nodad");
    for link in ["lo", "left", "right"] {
        ip(&format!("link set {link} up"));
    }
    let listed = run(within(&actor, "ip").args(["-o", "link", "show", "left"]));
    let index: u32 = listed.text().split(':').next().unwrap().parse().unwrap();
    let (v4, v6) = (Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST);
    let local = SocketAddrV6::new("fe80::1".parse().unwrap(), 7003, 0, index);
    for (kind, address) in [
        (Socket::Tcp4, SocketAddr::from((v4, 7000))),
        // The same port of the other family.
        (Socket::Tcp6, (v6, 7000).into()),
        (Socket::Tcp6, (Ipv6Addr::UNSPECIFIED, 7001).into()),
        (Socket::Udp4, (ANY, 7000).into()),
        (Socket::Udp6, (Ipv6Addr::UNSPECIFIED, 7002).into()),
        (Socket::Tcp6, local.into()),
        (Socket::Udp6, local.into()),
    ] {
        listening(&actor, kind, address);
    }
    // One that takes nothing of IPv4.
    let only = actor.take_fd(actor.socket(Socket::Tcp6));
    sockopt::set_ipv6_v6only(&only, true).unwrap();
    bind(only, Socket::Tcp6, (Ipv6Addr::UNSPECIFIED, 7004).into());
    // Two that share a port.
    let other = actor.fork();
    for actor in [&actor, &other] {
        let shared = actor.take_fd(actor.socket(Socket::Tcp4));
        sockopt::set_socket_reuseport(&shared, true).unwrap();
        bind(shared, Socket::Tcp4, (v4, 7005).into());
    }
    // What waits for nobody: connected ones, those that they were accepted as, and one that has ended.
    let udp = actor.take_fd(actor.socket(Socket::Udp4));
    bind(&udp, Socket::Udp4, (v4, 7006).into());
    rustix::net::connect(&udp, &SocketAddr::from((v4, 7000))).unwrap();
    let (server, _) = listening(&actor, Socket::Tcp4, (v4, 7007));
    let tcp = actor.take_fd(actor.socket(Socket::Tcp4));
    rustix::net::connect(&tcp, &SocketAddr::from((v4, 7007))).unwrap();
    let accepted = actor.accept(server);
    actor.close(accepted);

    let net = actor.ns_inode("net");
    let answers = ports_in(&[], &[net]);
    assert_eq!(ours(&answers), ss(&actor), "{answers:#?}");
    let has = |port: u16| answers.iter().filter(move |answer| answer["port"] == port).collect::<Vec<_>>();
    assert_eq!(has(7000).len(), 3);
    assert_eq!(has(7005).iter().map(|answer| answer["inode"].as_u64()).collect::<BTreeSet<_>>().len(), 2);
    assert!(has(7003).iter().all(|answer| answer["link"] == "left"), "{answers:#?}");
    assert_eq!((has(7001)[0]["takes-v4"].as_bool(), has(7004)[0]["takes-v4"].as_bool()), (Some(true), Some(false)));
    assert!(has(7006).is_empty() && has(7007).len() == 1, "{answers:#?}");
    // By port, then protocol.
    let order: Vec<_> =
        answers.iter().map(|answer| (answer["port"].as_u64(), answer["protocol"].to_string())).collect();
    assert!(order.is_sorted(), "{order:?}");
    let text = run_lxkns(["ports", "-n", &format!("net:{net}"), "--port", "7003"]).ok();
    assert!(text.text().lines().all(|line| line.contains(" fe80::1%left ")), "{text:?}");
}

/// A socket that many processes have is one, and not all of them are told in words.
fn of_many_processes() {
    const COUNT: usize = 50;
    let actor = Actor::spawn_in(&["user", "net"]);
    listening(&actor, Socket::Tcp4, (ANY, 80));
    let children: Vec<_> = (0..COUNT).map(|_| actor.fork()).collect();
    let target = format!("{}/net", actor.pid());
    let all: BTreeSet<_> = children.iter().chain([&actor]).map(|actor| u64::from(actor.pid())).collect();
    let answers = ports_in(&[&target], &[actor.ns_inode("net")]);
    assert_eq!((answers.len(), pids(&answers[0])), (1, all.clone()));
    let text = run_lxkns(["ports", "-n", &target]).ok();
    assert!(text.text().trim_end().ends_with(" and 48 more"), "{text:?}");
    let raw = run_lxkns(["ports", "-n", "--raw", "-o", "PROCESSES", &target]).ok();
    let listed: BTreeSet<u64> = raw.text().trim_end().split(',').map(|pid| pid.parse().unwrap()).collect();
    assert_eq!(listed, all);
}

/// A socket is where it was made, whoever has it: a process elsewhere, a thread with a table of its own, PID 1 of another.
fn made_elsewhere() {
    let (holder, net, fd) = left_with_a_socket(81);
    let thread = holder.thread();
    thread.unshare_files();
    let of_thread = listening(&thread, Socket::Udp4, (ANY, 82)).0;
    let by_process = look_until(
        |answers: &Vec<Value>| answers.len() == 2,
        || ports_in(&[&holder.pid().to_string()], &[net, holder.ns_inode("net")]),
    );
    let found: Vec<_> =
        by_process.iter().map(|answer| (&answer["namespace"]["nsid"], &answer["port"], &answer["inode"])).collect();
    let expected = [
        (json!(net), json!(81), json!(holder.socket_inode(fd))),
        (json!(thread.ns_inode("net")), json!(82), json!(thread.socket_inode(of_thread))),
    ];
    assert_eq!(found, expected.each_ref().map(|(net, port, inode)| (net, port, inode)), "{by_process:#?}");
    let process = &by_process[1]["processes"][0];
    assert_eq!((&process["pid"], &process["tid"]), (&json!(holder.pid()), &json!(thread.tid())));
    // Given to a process in a third namespace, which is then the only one that has it.
    let other = Actor::spawn_in(&["user", "net"]);
    other.give_fd(holder.take_fd(fd));
    holder.close(fd);
    thread.close(fd);
    let answers = look_until(
        |answers: &Vec<Value>| pids(&answers[0]) == [other.pid().into()].into(),
        || ports_in(&[&format!("net:{net}")], &[net]),
    );
    assert_eq!(pids(&answers[0]), [u64::from(other.pid())].into(), "{answers:#?}");
}

/// Names of UNIX sockets are those of their network namespaces; `ss` agrees.
fn unix_sockets() {
    let name = format!("lxkns-ports-{}\x1b[31m", std::process::id());
    let pair = [(); 2].map(|()| Actor::spawn_in(&["user", "net"]));
    for actor in &pair {
        let socket = actor.take_fd(actor.socket(Socket::UnixStream));
        rustix::net::bind(&socket, &rustix::net::SocketAddrUnix::new_abstract_name(name.as_bytes()).unwrap()).unwrap();
        rustix::net::listen(&socket, 1).unwrap();
    }
    // So that something listens, also on a host where nothing else does.
    let other = Actor::spawn_in(&["user", "net"]);
    listening(&other, Socket::Tcp4, (ANY, 82));
    let directory = directory();
    let path = directory.path().join("socket");
    let bound = pair[0].bind_socket(&path);
    let nets = pair.each_ref().map(|actor| actor.ns_inode("net"));
    let answers = ports_in(&["--unix"], &nets);
    let named: Vec<_> = answers.iter().filter(|answer| answer["address"] == format!("@{name}")).collect();
    assert_eq!(named.len(), 2, "{answers:#?}");
    for actor in &pair {
        let net = actor.ns_inode("net");
        let answer = named.iter().find(|answer| answer["namespace"]["nsid"] == net).unwrap();
        assert_eq!((&answer["protocol"], &answer["port"]), (&json!("unix"), &Value::Null));
        assert!(pids(answer).contains(&u64::from(actor.pid())), "{answer:#}");
    }
    let at_path = answers.iter().find(|answer| answer["address"] == path.to_str().unwrap()).unwrap();
    assert_eq!(at_path["inode"], pair[0].socket_inode(bound));
    assert!(ports_in(&[], &nets).is_empty(), "only where they are asked for");
    let text = run_lxkns(["ports", "--unix", &format!("net:{}", nets[1])]).ok();
    assert!(text.text().contains(&format!("@lxkns-ports-{}\\x1b[31m", std::process::id())), "{text:?}");
}

/// Whoever listens nowhere is said to, and what it comes to.
fn nobody_listens() {
    let actor = Actor::spawn_in(&["user", "net"]);
    let (_, port) = listening(&actor, Socket::Tcp4, (ANY, 83));
    assert_eq!(port, 83);
    let net = format!("net:{}", actor.ns_inode("net"));
    run_lxkns(["ports", &net, "--port", "84"]).fails(1, "nothing listens on port 84");
    run_lxkns(["ports", &net, "--port", "84,85"]).fails(1, "nothing listens on ports 84, 85");
    let ran = run_lxkns(["ports", &net, "--port", "84", "--port", "83"]).ok();
    assert!(ran.text().contains(" 83 "), "{ran:?}");
    let ran = run_lxkns(["ports", "--json", &net, "--port", "84"]);
    assert_eq!((ran.code, ran.results()), (Some(1), vec![]));
    let empty = Actor::spawn_in(&["user", "net"]);
    let ran = run_lxkns(["ports", &format!("{}/net", empty.pid())]);
    assert_eq!((ran.code, ran.problems(), ran.text()), (Some(0), vec!["nothing listens"], ""), "{ran:?}");
}

fn usage() {
    let actor = Actor::spawn_in(&["user"]);
    let user = format!("user:{}", actor.ns_inode("user"));
    run_lxkns(["ports", &user]).fails(2, "not a network namespace");
    run_lxkns(["ports", "--from", "/dev/null"]).fails(2, "a dump has no sockets");
    run_lxkns(["ports", "net:1"]).fails(1, "net:1: no such namespace");
    for arguments in [&["--port", "0"][..], &["--port", "65536"], &["--unix", "--port", "1"], &["--json", "-o", "NS"]] {
        assert_eq!(run_lxkns([&["ports"], arguments].concat()).code, Some(2), "{arguments:?}");
    }
}

/// From inside a container it is not allowed to look around in the host: nothing that listens there is not said to be none.
fn not_allowed() {
    let actor = Actor::spawn_in(&["user", "net"]);
    let program = lxkns().get_program().to_str().unwrap().to_owned();
    let host = || std::fs::File::open("/proc/self/ns/net").unwrap();
    let ask = |arguments: &[&str]| run(within(&actor, &program).arg("ports").args(arguments).stdin(host()));
    let ran = ask(&["/proc/self/fd/0", "--port", "9"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    let expected = format!("net:[{}]", own_inode("net"));
    let is_it = |line: &str| line.contains("1 of 1 network namespaces not readable: needs CAP_SYS_ADMIN");
    assert!(ran.gaps().iter().any(|line| is_it(line) && line.ends_with(&expected)), "{ran:?}");
    assert!(ran.stderr.contains("nothing visible listens on port 9; not everything could be read"), "{ran:?}");
    let ran = ask(&["--json", "/proc/self/fd/0"]);
    let gaps = ran.json()["gaps"].to_string();
    assert!(gaps.contains("network namespaces not readable: needs CAP_SYS_ADMIN"), "{ran:?}");
}

/// Who may not read descriptors is told that it is not known who has a socket.
fn unreadable_processes() {
    let actor = Actor::spawn_in(&["net"]);
    listening(&actor, Socket::Tcp4, (ANY, 86));
    let target = format!("net:{}", actor.ns_inode("net"));
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set=-sys_ptrace,-dac_read_search,-dac_override", "--inh-caps=-all", "--"]);
    command.arg(lxkns().get_program()).args(["ports", "--json", &target]);
    let ran = run(&mut command);
    // It may be that it sees no such namespace at all; then it says so.
    let of_it = |ran: &Ran| ran.results().into_iter().find(|answer| answer["port"] == 86);
    match ran.code {
        Some(0) => {
            let answer = of_it(&ran).unwrap();
            assert_eq!(
                (&answer["processes"], &answer["all-processes-seen"]),
                (&json!([]), &json!(false)),
                "{answer:#}"
            );
        }
        code => assert_eq!(code, Some(3), "{ran:?}"),
    }
    assert!(!ran.gaps().is_empty(), "{ran:?}");
}

/// The network namespaces of a snapshot that actors are in.
fn surveyed_by(program: &Inside, actors: &[Actor], timeout: Duration) -> Vec<Result<usize, Cause>> {
    let discovery = Discovery::of_host().unwrap();
    let snapshot = discovery.run(&DiscoveryOptions::namespaces()).unwrap();
    let ids: Vec<NamespaceId> =
        actors.iter().map(|actor| super::namespace(&snapshot, actor.ns_inode("net")).id).collect();
    let parts = Parts { links: true, sockets: true, ..Parts::default() };
    let surveyed = lxkns_inside::survey(&discovery, &snapshot, &ids, parts, program, timeout);
    assert_eq!(surveyed.iter().map(|of| of.id).collect::<Vec<_>>(), ids, "in their order");
    let of = |of: lxkns_core::model::inside::Surveyed| match of.network {
        Ok(network) => {
            assert_eq!(network.failures, []);
            assert!(network.links.iter().any(|link| link.name == b"lo"), "{network:?}");
            Ok(network.sockets.len())
        }
        Err(failure) => Err(failure.cause),
    };
    surveyed.into_iter().map(of).collect()
}

/// One process goes through all namespaces of an owner, and through those of several.
fn of_many_namespaces() {
    let owner = Actor::spawn_in(&["user", "net"]);
    let mut actors = vec![Actor::spawn_in(&["user", "net"])];
    for _ in 0..20 {
        let actor = owner.fork();
        actor.unshare(&["net"]);
        actors.push(actor);
    }
    actors.push(owner);
    for (count, actor) in actors.iter().enumerate() {
        for _ in 0..count % 3 {
            listening(actor, Socket::Tcp4, (ANY, 0));
        }
    }
    let program = Inside::new(lxkns().get_program(), "inside");
    let found = surveyed_by(&program, &actors, Duration::from_secs(20));
    let expected: Vec<_> = (0..actors.len()).map(|count| Ok(count % 3)).collect();
    assert_eq!(found, expected);
}

/// A namespace that does not answer costs its deadline, and after eight no other is asked.
fn without_an_answer() {
    let owner = Actor::spawn_in(&["user", "net"]);
    let mut actors: Vec<_> = (0..30).map(|_| owner.fork()).collect();
    actors.iter().for_each(|actor| actor.unshare(&["net"]));
    actors.push(owner);
    // This program says nothing, and does not end.
    let found = surveyed_by(&Inside::new("/usr/bin/sleep", "1000"), &actors, Duration::from_millis(50));
    let count = |cause| found.iter().filter(|found| **found == Err(cause)).count();
    assert_eq!(count(Cause::TimedOut) + count(Cause::NotTried), actors.len(), "{found:?}");
    // Those that were being asked at that time are among them.
    assert!((8..12).contains(&count(Cause::TimedOut)), "{found:?}");
}

/// A process inside that stops costs the namespace that it is in, and no other.
fn one_without_an_answer() {
    const COUNT: usize = 40;
    let owner = Actor::spawn_in(&["user", "net"]);
    let mut actors: Vec<_> = (1..COUNT).map(|_| owner.fork()).collect();
    actors.iter().for_each(|actor| actor.unshare(&["net"]));
    actors.push(owner);
    for actor in &actors {
        listening(actor, Socket::Tcp4, (ANY, 88));
    }
    let nets: Vec<_> = actors.iter().map(|actor| actor.ns_inode("net")).collect();
    let stopped = || {
        let mut command = lxkns();
        command.args(["ports", "--json", "--port", "88", "--timeout", "2"]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stopped = false;
        // Its threads have children for a moment only; whoever comes too late tries again.
        while !stopped && !has_ended(&child) {
            let tasks = std::fs::read_dir(format!("/proc/{}/task", child.id())).into_iter().flatten().flatten();
            let lists = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
            let children: Vec<i32> = lists.flat_map(|list| pids_in(&list)).collect();
            let is_inside =
                |pid: &&i32| std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line == b"lxkns\0inside\0");
            if let Some(inside) = children.iter().find(is_inside).and_then(|pid| Pid::from_raw(*pid)) {
                stopped = rustix::process::kill_process(inside, Signal::STOP).is_ok();
            }
        }
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        Ran { code: output.status.code(), stdout: output.stdout, stderr }
    };
    let is_told = |ran: &Ran| ran.stderr.contains(" network namespaces not readable: no answer in time: net:[");
    let ran = look_until(is_told, stopped);
    assert!(is_told(&ran) && ran.code == Some(0), "{ran:?}");
    let is_ours = |answer: &&Value| nets.contains(&answer["namespace"]["nsid"].as_u64().unwrap());
    assert!(ran.results().iter().filter(is_ours).count() >= COUNT - 1, "{ran:?}");
}

fn pids_in(list: &str) -> Vec<i32> {
    list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// Whether a process that nobody has waited for has ended.
fn has_ended(child: &std::process::Child) -> bool {
    std::fs::read_to_string(format!("/proc/{}/stat", child.id())).map_or(true, |stat| stat.contains(") Z "))
}

const NAMED: &str = "ports::of_a_named_namespace";

/// A network namespace without a process is called what `ip netns` calls it, and can be asked for so.
fn of_a_named_namespace() {
    alone_through(&["unshare", "--mount", "--propagation", "private"], NAMED, || {
        // What is below is seen by nobody else.
        rustix::mount::mount("none", "/run", c"tmpfs", rustix::mount::MountFlags::empty(), None).unwrap();
        std::fs::create_dir("/run/netns").unwrap();
        let actor = Actor::spawn_in(&["net"]);
        let net = actor.ns_inode("net");
        std::fs::write("/run/netns/lxkns-ports", "").unwrap();
        rustix::mount::mount_bind(format!("/proc/{}/ns/net", actor.pid()), "/run/netns/lxkns-ports").unwrap();
        listening(&actor, Socket::Tcp4, (ANY, 89));
        actor.unshare(&["net"]);
        let ran = run_lxkns(["ports", "-n", "--raw", "netns:lxkns-ports"]).ok();
        assert_eq!(ran.text(), format!("tcp 0.0.0.0 89 net:[{net}] lxkns-ports {}\n", actor.pid()));
        assert_eq!(ports_in(&["lxkns-ports"], &[net])[0]["namespace"]["netns-name"], "lxkns-ports");
        // Nobody has it any more, but the namespace is there.
        drop(actor);
        run_lxkns(["ports", "lxkns-ports", "--port", "89"]).fails(1, "nothing listens on port 89");
    });
}

/// From the libraries alone comes what the program says.
fn by_library() {
    let (holder, net, _) = left_with_a_socket(87);
    let discovery = Discovery::of_host().unwrap();
    let snapshot = discovery.run(&lxkns_live::questions::ports::options()).unwrap();
    let scope = Scope { namespaces: [super::namespace(&snapshot, net).id].into_iter().collect(), ..Scope::default() };
    let program = Inside::new(lxkns().get_program(), "inside");
    let parts = Parts { sockets: true, ..Parts::default() };
    let namespaces = Scope::to_survey(Some(&scope), &snapshot);
    let surveyed = lxkns_inside::survey(&discovery, &snapshot, &namespaces, parts, &program, Duration::from_secs(20));
    let (users, _) = discovery.all_socket_users(&inodes(&surveyed));
    let ports = Ports::new(Context::live(&snapshot, false), &surveyed, users, Some(&scope), &[]);
    let mut answers = json!(ports.answers());
    let mut told = json!(ports_in(&[&format!("net:{net}")], &[net]));
    assert_eq!((answers[0]["port"].as_u64(), pids_of(&answers[0])), (Some(87), vec![holder.pid()]));
    // Of containers and users the program asks others than this session.
    for answer in [&mut answers[0], &mut told[0]] {
        answer["user-name"].take();
        for whose in ["/namespace", "/processes/0"] {
            let whose = answer.pointer_mut(whose).unwrap().as_object_mut().unwrap();
            for key in ["container", "unit"] {
                whose.remove(key);
            }
        }
    }
    assert_eq!(answers, told);
}

/// A session that keeps who has sockets open reads the descriptors of no process twice, and misses nobody.
fn users_of_a_scan() {
    let (actor, idle) = (Actor::spawn_in(&["user", "net"]), Actor::spawn_in(&["user", "net"]));
    let (fd, _) = listening(&actor, Socket::Tcp4, (ANY, 90));
    let inode = actor.socket_inode(fd);
    let discovery = Discovery::of_host().unwrap().keep_socket_users();
    discovery.run(&DiscoveryOptions::namespaces()).unwrap();
    let users = |inodes: &[u64]| -> Vec<(u64, u32, u32)> {
        let (users, _) = discovery.all_socket_users(inodes);
        users.into_iter().map(|user| (user.inode, user.pid.0, user.fd)).collect()
    };
    let of = |inode, actor: &Actor, fd: i32| (inode, actor.pid(), u32::try_from(fd).unwrap());
    assert_eq!(users(&[inode]), [of(inode, &actor, fd)]);
    // Who came since is read.
    let child = actor.fork();
    let mut both = [of(inode, &actor, fd), of(inode, &child, fd)];
    both.sort_unstable();
    assert_eq!(users(&[inode]), both);
    // A process of the scan is not read again.
    actor.close(fd);
    assert_eq!(users(&[inode]), both);
    // Unless it may have a socket that nobody had then.
    let (late, _) = listening(&idle, Socket::Tcp4, (ANY, 91));
    let late_inode = idle.socket_inode(late);
    let mut read_again = [of(inode, &child, fd), of(late_inode, &idle, late)];
    read_again.sort_unstable();
    assert_eq!(users(&[inode, late_inode]), read_again);
}

fn pids_of(answer: &Value) -> Vec<u32> {
    pids(answer).into_iter().map(|pid| u32::try_from(pid).unwrap()).collect()
}
