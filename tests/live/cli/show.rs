//! `lxkns show`: what it says of namespaces, against what `ip`, `ss` and the kernel say inside.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Command, Stdio};

use lxkns_fixture::{Actor, Socket};
use serde_json::{Value, json};

use super::hostile::{NASTY, assert_safe};
use super::terminal::on_terminal;
use super::{assert_documented, with_bind_mount};
use crate::harness::Need::{File, Program, Root, UserNamespaces};
use crate::harness::{Test, lxkns, test};
use crate::live::program::{Ran, run, run_lxkns, run_lxkns_with};
use crate::live::{directory, look_until, own_inode};

pub(super) fn tests() -> Vec<Test> {
    const NETWORK: &[crate::harness::Need] = &[UserNamespaces, Program("nsenter"), Program("ip")];
    const TERMINAL: &[crate::harness::Need] =
        &[UserNamespaces, Program("nsenter"), Program("ip"), File("/dev/ptmx"), File("/dev/pts/ptmx")];
    vec![
        test("cli::show::unmapped_ids", &[UserNamespaces, Program("unshare")], unmapped_ids),
        test("cli::show::as_ip_says", NETWORK, as_ip_says),
        test("cli::show::as_ss_says", &[UserNamespaces, Program("nsenter"), Program("ss")], as_ss_says),
        test("cli::show::other_ends", NETWORK, other_ends),
        test("cli::show::without_a_process", NETWORK, without_a_process),
        test("cli::show::guide", NETWORK, guide),
        test("cli::show::very_many", NETWORK, very_many),
        test("cli::show::hostile_links", NETWORK, hostile_links),
        test("cli::show::hostile_host_name", &[UserNamespaces], hostile_host_name),
        test("cli::show::limits", &[UserNamespaces], limits),
        test("cli::show::limits_covered", &[Root], limits_covered),
        test("cli::show::of_each_type", &[UserNamespaces], of_each_type),
        test("cli::show::names_of_both_ends", TERMINAL, names_of_both_ends),
        test("cli::show::of_a_dump", &[UserNamespaces], of_a_dump),
        test("cli::show::given_up", &[UserNamespaces, File("/proc/thread-self/children")], given_up),
        test("cli::show::not_allowed", &[UserNamespaces, Program("nsenter")], not_allowed),
        test("cli::show::missing", &[], missing),
        test("cli::show::by_hand", &[], by_hand),
    ]
}

/// A program that is to run where an actor is.
pub(super) fn within(actor: &Actor, program: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["--user", "--preserve-credentials", "--net", "-t", &actor.pid().to_string(), "--", program]);
    command
}

/// Runs `ip` where an actor is.
#[track_caller]
pub(super) fn ip(actor: &Actor, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Ran {
    let ran = run(within(actor, "ip").args(arguments));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran
}

/// Two actors in network namespaces of one user namespace.
pub(super) fn two() -> (Actor, Actor) {
    let one = Actor::spawn_in(&["user", "net"]);
    let other = one.fork();
    other.unshare(&["net"]);
    (one, other)
}

/// Two actors with a veth between them: `left` with 10.9.0.1 here, `right` there. Both are up.
fn connected() -> (Actor, Actor) {
    let (one, other) = two();
    let there = other.pid().to_string();
    ip(&one, ["link", "add", "left", "type", "veth", "peer", "name", "right", "netns", &there]);
    ip(&one, ["addr", "add", "10.9.0.1/24", "dev", "left"]);
    for (actor, link) in [(&one, "lo"), (&one, "left"), (&other, "right")] {
        ip(actor, ["link", "set", link, "up"]);
    }
    (one, other)
}

fn target(actor: &Actor, ns_type: &str) -> String {
    format!("{}/{ns_type}", actor.pid())
}

/// What is said of one namespace or process.
#[track_caller]
pub(super) fn show(target: &str) -> Value {
    let answers = run_lxkns(["show", "--json", target]).ok().answer_to("show");
    assert_documented(&answers);
    assert_eq!((answers.as_array().unwrap().len(), &answers[0]["target"]), (1, &target.into()), "{answers}");
    answers[0].clone()
}

#[track_caller]
fn network(actor: &Actor) -> Value {
    let shown = show(&target(actor, "net"));
    let namespace = &shown["namespace"];
    assert_eq!(namespace["nsid"], actor.ns_inode("net"));
    assert_eq!((&namespace["missing"], &namespace["network"]["failures"]), (&Value::Null, &json!([])), "{namespace}");
    namespace["network"].clone()
}

pub(super) fn rows(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap_or_else(|| panic!("no array: {value}"))
}

fn link<'a>(network: &'a Value, name: &str) -> &'a Value {
    rows(&network["links"]).iter().find(|link| link["name"] == name).unwrap_or_else(|| panic!("no {name}: {network}"))
}

/// Chosen values of each row, without order.
fn set(value: &Value, of: impl Fn(&Value) -> Value) -> BTreeSet<String> {
    rows(value).iter().map(|row| of(row).to_string()).collect()
}

fn as_ip_says() {
    let (one, other) = connected();
    ip(&one, ["addr", "add", "fd09::1/64", "dev", "left", "nodad"]);
    ip(&one, ["addr", "add", "10.8.0.1", "peer", "10.8.0.2/32", "dev", "left"]);
    ip(&one, ["link", "add", "bridge0", "mtu", "1400", "type", "bridge"]);
    ip(&one, ["link", "set", "left", "master", "bridge0"]);
    ip(&one, ["route", "add", "default", "via", "10.9.0.2"]);
    ip(
        &one,
        ["route", "add", "10.7.0.0/16", "metric", "5", "nexthop", "via", "10.9.0.3", "nexthop", "via", "10.9.0.4"],
    );
    ip(&one, ["route", "add", "unreachable", "10.6.0.0/16"]);
    ip(&one, ["route", "add", "10.5.0.0/16", "via", "10.9.0.2", "table", "100"]);
    ip(&one, ["-6", "route", "add", "fd08::/64", "via", "fd09::2"]);
    for actor in [&one, &other] {
        let ours = network(actor);
        let links = ip(actor, ["-j", "link"]).json();
        let of_ip = |row: &Value| json!([row["ifindex"], row["ifname"], row["mtu"], row["address"], row["operstate"]]);
        let of_us = |row: &Value| json!([row["index"], row["name"], row["mtu"], row["mac"], row["state"]]);
        assert_eq!(set(&ours["links"], of_us), set(&links, of_ip));

        let addresses = ip(actor, ["-j", "addr"]).json();
        let of_link = |row: &Value| {
            let of_ip =
                |info: &Value| json!([row["ifname"], info["local"], info["prefixlen"], info["address"], info["scope"]]);
            set(&row["addr_info"], of_ip)
        };
        let theirs: BTreeSet<String> = rows(&addresses).iter().flat_map(of_link).collect();
        let of_us = |row: &Value| json!([row["link"], row["address"], row["prefix"], row["peer"], row["scope"]]);
        assert_eq!(set(&ours["addresses"], of_us), theirs);

        for family in ["inet", "inet6"] {
            let routes = ip(actor, ["-j", "-f", family, "route"]).json();
            let of_ip = |row: &Value| {
                let hops = row["nexthops"].as_array().map_or_else(|| vec![row.clone()], Clone::clone);
                let hops: Vec<_> = hops.iter().map(|hop| json!([hop["gateway"], hop["dev"]])).collect();
                json!([row["dst"], row["metric"], row["prefsrc"], row["type"].as_str().unwrap_or("unicast"), hops])
            };
            let of_us = |row: &Value| {
                let hops: Vec<_> = rows(&row["hops"]).iter().map(|hop| json!([hop["gateway"], hop["link"]])).collect();
                json!([row["destination"], row["metric"], row["source"], row["route-type"], hops])
            };
            let mine: Vec<Value> =
                rows(&ours["routes"]).iter().filter(|route| route["family"] == family).cloned().collect();
            assert_eq!(set(&mine.into(), of_us), set(&routes, of_ip));
        }
        let others = ["inet", "inet6"].map(|family| {
            rows(&ip(actor, ["-j", "-f", family, "route", "show", "table", "all"]).json())
                .iter()
                .filter(|route| !route["table"].is_null())
                .count()
        });
        assert_eq!(ours["other-routes"], others.iter().sum::<usize>());
    }
    assert_eq!(link(&network(&one), "left")["master"], link(&network(&one), "bridge0")["index"]);
    assert_eq!(link(&network(&one), "bridge0")["kind"], "bridge");
}

/// A socket of an actor that is bound and, for TCP, listens; with its descriptor and its port.
fn listening(actor: &Actor, kind: Socket, address: SocketAddr) -> (i32, u16) {
    let fd = actor.socket(kind);
    let socket = actor.take_fd(fd);
    rustix::net::bind(&socket, &address).unwrap();
    if matches!(kind, Socket::Tcp4 | Socket::Tcp6) {
        rustix::net::listen(&socket, 8).unwrap();
    }
    let bound: SocketAddr = rustix::net::getsockname(&socket).unwrap().try_into().unwrap();
    (fd, bound.port())
}

fn as_ss_says() {
    let actor = Actor::spawn_in(&["user", "net"]);
    actor.lo_up();
    let (v4, v6) = (Ipv4Addr::UNSPECIFIED, Ipv6Addr::LOCALHOST);
    let sockets = [
        ("tcp", Socket::Tcp4, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
        ("tcp", Socket::Tcp6, (v6, 0).into()),
        ("tcp", Socket::Tcp6, (Ipv6Addr::UNSPECIFIED, 0).into()),
        ("udp", Socket::Udp4, (v4, 0).into()),
        ("udp", Socket::Udp6, (v6, 0).into()),
    ];
    let made = sockets.map(|(protocol, kind, address)| (protocol, listening(&actor, kind, address), address));
    // One that a child has too, and one of a process that has gone elsewhere.
    let child = actor.fork();
    let away = actor.fork();
    let (fd, port) = listening(&away, Socket::Tcp4, (v4, 0).into());
    away.unshare(&["net"]);
    // One that is connected, and waits for nobody.
    let connected = actor.take_fd(actor.socket(Socket::Udp4));
    rustix::net::connect(&connected, &SocketAddr::from((Ipv4Addr::LOCALHOST, 9))).unwrap();

    let network = network(&actor);
    let found = |protocol: &str, port: u16| {
        let is_it = |row: &&Value| row["protocol"] == protocol && row["port"] == port;
        rows(&network["sockets"]).iter().find(is_it).unwrap_or_else(|| panic!("{protocol} {port}: {network}"))
    };
    let users = |socket: &Value| -> BTreeSet<(u64, u64)> {
        let number = |value: &Value| value.as_u64().unwrap();
        rows(&socket["users"]).iter().map(|user| (number(&user["pid"]), number(&user["fd"]))).collect()
    };
    for (protocol, (fd, port), address) in made {
        let socket = found(protocol, port);
        assert_eq!(socket["address"], address.ip().to_string());
        assert_eq!(socket["inode"], actor.socket_inode(fd));
        let holders = [&actor, &child, &away].map(|actor| (u64::from(actor.pid()), fd as u64));
        assert!(holders.iter().all(|holder| users(socket).contains(holder)), "{socket}");
    }
    assert_eq!(users(found("tcp", port)), [(u64::from(away.pid()), fd as u64)].into());
    assert_eq!(rows(&network["sockets"]).iter().filter(|socket| socket["takes-v4"] == true).count(), 1);

    let listed = run(within(&actor, "ss").arg("-Hltnup"));
    let mut theirs = BTreeSet::new();
    for line in listed.text().lines() {
        let fields: Vec<_> = line.split_whitespace().collect();
        let port: u64 = fields[4].rsplit(':').next().unwrap().parse().unwrap();
        let pids = line.split("pid=").skip(1).map(|rest| rest.split(',').next().unwrap().parse::<u64>().unwrap());
        theirs.extend(pids.map(|pid| (fields[0].to_owned(), port, pid)));
    }
    let mut ours = BTreeSet::new();
    for socket in rows(&network["sockets"]) {
        let protocol = socket["protocol"].as_str().unwrap();
        ours.extend(users(socket).iter().map(|(pid, _)| (protocol.to_owned(), socket["port"].as_u64().unwrap(), *pid)));
    }
    assert_eq!(ours, theirs);
}

/// The other end of a link, as JSON has it.
fn end(relation: &str, index: &Value, name: &str, there: Option<&Actor>, nsid: &Value) -> Value {
    let process = there.map(|actor| json!({"pid": actor.pid(), "name": "exe"}));
    json!({
        "relation": relation, "index": index, "name": name, "nsid": there.map(|actor| actor.ns_inode("net")),
        "netns-name": null, "netnsid": nsid, "process": process,
    })
}

fn other_ends() {
    let (one, other) = connected();
    let there = other.pid().to_string();
    ip(&one, ["link", "add", "here1", "type", "veth", "peer", "name", "here2"]);
    ip(&one, ["link", "add", "mac0", "link", "left", "type", "macvlan"]);
    ip(&one, ["link", "set", "mac0", "netns", &there]);
    let (left, right) = (network(&one), network(&other));
    for (network, name, relation, far, far_name, actor) in [
        (&left, "left", "peer", &right, "right", Some(&other)),
        (&right, "right", "peer", &left, "left", Some(&one)),
        (&right, "mac0", "lower", &left, "left", Some(&one)),
        (&left, "here1", "peer", &left, "here2", None),
    ] {
        let mut found = link(network, name)["other-end"].clone();
        // On some hosts what runs the tests is a container or a unit.
        ["container", "unit"].iter().for_each(|key| drop(found.as_object_mut().unwrap().remove(*key)));
        assert_eq!(found["netnsid"].is_number(), actor.is_some(), "{found}");
        assert_eq!(found, end(relation, &link(far, far_name)["index"], far_name, actor, &found["netnsid"]));
    }
    assert_eq!(link(&left, "lo")["other-end"], Value::Null);
    let text = run_lxkns(["show", &target(&one, "net")]).ok();
    let expected = format!(" right in net:[{}] of process {} (exe)\n", other.ns_inode("net"), other.pid());
    assert!(text.text().contains(&expected), "{text:?}");
}

/// A namespace that only a mount in another mount namespace holds is entered, and found at the other end.
fn without_a_process() {
    let directory = directory();
    let (actor, left) = with_bind_mount(&directory.path().join("ns"));
    // From inside, one last time: the actor itself has gone.
    let path = format!("/proc/{}/root{}", actor.pid(), directory.path().join("ns").display());
    let mut command = Command::new("nsenter");
    command.args(["--user", "--preserve-credentials", "-t", &actor.pid().to_string(), &format!("--net={path}"), "--"]);
    command.args([
        "ip",
        "link",
        "add",
        "left",
        "type",
        "veth",
        "peer",
        "name",
        "right",
        "netns",
        &actor.pid().to_string(),
    ]);
    assert_eq!(run(&mut command).code, Some(0));
    let shown = show(&left.to_string());
    let found = &link(&shown["namespace"]["network"], "left")["other-end"];
    assert_eq!((&found["name"], &found["nsid"]), (&"right".into(), &actor.ns_inode("net").into()));
    let network = network(&actor);
    let found = &link(&network, "right")["other-end"];
    assert_eq!((&found["name"], &found["nsid"], &found["process"]), (&"left".into(), &left.into(), &Value::Null));
}

/// The commands of the guide, with its PID and its inode number replaced by those of what this has made.
fn guide() {
    const PAGE: &str = include_str!("../../../docs/guides/veth.md");
    let (one, other) = connected();
    let inode = one.ns_inode("net").to_string();
    let blocks = PAGE.split("```sh\n").skip(1).map(|rest| rest.split_once("```").unwrap().0);
    let commands: Vec<&str> = blocks.flat_map(str::lines).collect();
    assert_eq!(commands.len(), 5, "{commands:?}");
    let end = format!("right in net:[{}] of process {}", other.ns_inode("net"), other.pid());
    for command in commands {
        let words = command.replace("1234", &one.pid().to_string()).replace("4026532281", &inode);
        let mut words = words.split_whitespace();
        assert_eq!(words.next(), Some("lxkns"));
        let arguments: Vec<&str> = words.collect();
        // Where the reader is told to look where they are, that is where the link is.
        let ran = match arguments.contains(&"/proc/self/ns/net") {
            true => run(within(&one, lxkns().get_program().to_str().unwrap()).args(&arguments)),
            false => run_lxkns(&arguments).ok(),
        };
        assert_eq!((ran.code, ran.problems()), (Some(0), vec![]), "{ran:?}");
        match arguments[..2] {
            ["show", "--json"] => assert_eq!(
                link(&ran.answer_to("show")[0]["namespace"]["network"], "left")["other-end"]["process"]["pid"],
                other.pid()
            ),
            ["show", _] => assert!(ran.text().contains(&end), "{command}: {ran:?}"),
            _ => assert!(ran.text().starts_with(&format!("net:[{inode}] is held by ")), "{command}: {ran:?}"),
        }
    }
}

fn very_many() {
    const PAIRS: usize = 100;
    const SOCKETS: usize = 500;
    let (one, other) = two();
    let mut batch = within(&one, "ip");
    let mut child = batch.args(["-batch", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    let lines: String = (0..PAIRS)
        .map(|n| {
            format!(
                "link add a{n} type veth peer name b{n} netns {}\nlink add c{n} type veth peer name d{n}\n",
                other.pid()
            )
        })
        .collect();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), lines.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    for _ in 0..SOCKETS {
        listening(&one, Socket::Tcp4, (Ipv4Addr::UNSPECIFIED, 0).into());
    }
    let network = network(&one);
    assert_eq!(rows(&network["links"]).len(), 1 + 3 * PAIRS);
    for n in 0..PAIRS {
        let found = &link(&network, &format!("a{n}"))["other-end"];
        assert_eq!((&found["name"], &found["nsid"]), (&format!("b{n}").into(), &other.ns_inode("net").into()));
    }
    assert_eq!(rows(&network["sockets"]).len(), SOCKETS);
    let has_users = |socket: &Value| rows(&socket["users"]).iter().any(|user| user["pid"] == one.pid());
    assert!(rows(&network["sockets"]).iter().all(has_users), "{network}");
}

fn hostile_links() {
    let (one, other) = two();
    let names: [&[u8]; 4] = [b"\x1b[31mred", b"\xe2\x80\xaetxt", b"\xff\xc3x", b"\x9b31m\\"];
    let there = other.pid().to_string();
    for (at, name) in names.into_iter().enumerate() {
        let [name, peer] = [OsStr::from_bytes(name), OsStr::new(["a", "b", "c", "d"][at])];
        let words = ["type", "veth", "peer", "name"].map(OsStr::new);
        let arguments = [
            &[OsStr::new("link"), OsStr::new("add"), name][..],
            &words,
            &[peer, OsStr::new("netns"), OsStr::new(&there)],
        ];
        ip(&one, arguments.concat());
    }
    for actor in [&one, &other] {
        let ran = run_lxkns(["show", &target(actor, "net")]).ok();
        assert_safe(&ran, None);
        assert_eq!(ran.text().lines().filter(|line| line.contains("\\x")).count(), names.len(), "{ran:?}");
    }
    let links = network(&one);
    for name in names {
        assert_eq!(link(&links, &String::from_utf8_lossy(name))["kind"], "veth");
    }
}

fn hostile_host_name() {
    let actor = Actor::spawn_in(&["user", "uts"]);
    for name in NASTY {
        actor.set_host_name(name, b"domain\x1b");
        let ran = run_lxkns(["show", &target(&actor, "uts")]).ok();
        assert_safe(&ran, None);
        assert!(ran.text().contains("\\x") && ran.text().contains("  domain name  domain\\x1b\n"), "{ran:?}");
        let shown = show(&target(&actor, "uts"));
        assert_eq!(shown["namespace"]["hostname"], String::from_utf8_lossy(name).as_ref());
    }
    // It has not been entered by whoever asks.
    assert_ne!(own_inode("uts"), actor.ns_inode("uts"));
}

/// What is shown as used is what the kernel counts: with just that for a limit it makes no more, with one more it does.
fn limits() {
    let top = Actor::spawn_in(&["user", "uts"]);
    let below = top.fork();
    below.unshare(&["user", "uts"]);
    below.map_root();
    let limit = |max: u64| top.write_file("/proc/sys/user/max_uts_namespaces", max.to_string().as_bytes());
    limit(7);
    let shown = show(&target(&top, "user"));
    let of = |shown: &Value, name: &str| {
        let limits = rows(&shown["namespace"]["limits"]);
        limits.iter().find(|limit| limit["type"] == name).unwrap_or_else(|| panic!("no {name}: {shown}")).clone()
    };
    assert_eq!(of(&shown, "uts"), json!({"type": "uts", "max": 7, "used": 2}));
    assert_eq!(of(&shown, "user")["used"], 1);
    // Another's limits are its own; above they count too.
    let lower = show(&target(&below, "user"));
    assert_eq!((&of(&lower, "uts")["used"], &of(&lower, "user")["used"]), (&1.into(), &0.into()));
    assert_ne!(of(&lower, "uts")["max"], 7);
    for child in [top.fork(), below.fork()] {
        limit(2);
        assert!(child.try_unshare(&["uts"]).is_err());
        limit(3);
        child.unshare(&["uts"]);
    }
}

/// Where `/proc/sys` is covered, the limits are not known; no call has failed with an error number that could be told.
fn limits_covered() {
    let shown = Actor::spawn_in(&["user"]);
    let caller = Actor::spawn_in(&["mnt"]);
    caller.mount("tmpfs", "/proc/sys");
    let program = lxkns();
    let program = program.get_program().to_str().unwrap();
    let target = target(&shown, "user");
    let ran = run(lxkns().args(["enter", &caller.pid().to_string(), "--", program, "show", "--json", &target])).ok();
    let answers = ran.answer_to("show");
    let namespace = &answers[0]["namespace"];
    assert_eq!(
        (&namespace["limits"], &namespace["missing"]),
        (&Value::Null, &"read sys/user: no path leads there".into())
    );
}

fn of_each_type() {
    let actor = Actor::spawn_in(&["user", "mnt", "cgroup", "uts", "ipc", "net"]);
    actor.unshare(&["pid"]);
    let child = actor.fork();
    for ns_type in ["user", "mnt", "cgroup", "uts", "ipc", "net"] {
        let shown = &show(&target(&actor, ns_type))["namespace"];
        assert_eq!((&shown["nsid"], &shown["type"]), (&actor.ns_inode(ns_type).into(), &ns_type.into()));
        assert_eq!((&shown["process-count"], &shown["leaders"]), (&2.into(), &json!([actor.pid()])), "{shown}");
        assert_eq!(shown["missing"], Value::Null);
        let owner = if ns_type == "user" { own_inode("user") } else { actor.ns_inode("user") };
        assert_eq!(shown["owner"], owner);
    }
    let pid = &show(&target(&child, "pid"))["namespace"];
    assert_eq!((&pid["init-pid"], &pid["process-count"]), (&child.pid().into(), &1.into()));
    let user = &show(&target(&actor, "user"))["namespace"];
    assert_eq!(user["possession-counts"][0], json!({"type": "mnt", "count": 1}));
    assert!(rows(&user["possessions"]).contains(&actor.ns_inode("net").into()), "{user}");
    assert_eq!(user["uid-map"][0][0], 0);
    let mounts = &show(&target(&actor, "mnt"))["namespace"]["mount-count"];
    assert!(mounts.as_u64().is_some_and(|mounts| mounts > 0), "{mounts}");
}

/// On a terminal of 80 columns, and on wider ones, nothing is cut of the namespace at the other end, of its name, and of who
/// is there. Names are those of `ip netns` where the program is.
fn names_of_both_ends() {
    let (one, other) = two();
    let mounts = one.fork();
    mounts.unshare(&["mnt"]);
    mounts.make_mounts_private();
    mounts.mount("tmpfs", "/run");
    mounts.mkdir("/run/netns");
    let names = ["a-rather-long-name-for-one", "another-name-of-some-length"];
    for (actor, name) in [&one, &other].into_iter().zip(names) {
        let path = format!("/run/netns/{name}");
        mounts.touch(&path);
        mounts.bind(format!("/proc/{}/ns/net", actor.pid()), &path);
    }
    let there = other.pid().to_string();
    ip(&one, ["link", "add", "left-15-letters", "type", "veth", "peer", "name", "right-15-letter", "netns", &there]);
    let [here, far] = [&one, &other].map(|actor| actor.ns_inode("net"));
    let inside = |arguments: &[&str]| {
        let mut command = Command::new("nsenter");
        command.args(["--user", "--preserve-credentials", "--mount", "-t", &mounts.pid().to_string(), "--"]);
        command.arg(lxkns().get_program()).arg("show").args(arguments);
        command
    };
    let end = format!("right-15-letter in net:[{far}] ({}) of process {} (exe)", names[1], other.pid());
    for columns in [80, 120, 200] {
        let text = on_terminal(&mut inside(&["--color=never", &target(&one, "net")]), columns);
        assert!(text.starts_with(&format!("net:[{here}] ({})\n", names[0])), "{columns}: {text}");
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(&end), "{columns}: {text}");
        let widest = text.lines().map(|line| line.trim_end().chars().count()).max().unwrap();
        assert!(widest <= usize::from(columns), "{columns}: {text}");
    }
    let shown = run(&mut inside(&["--json", &target(&one, "net")])).ok().answer_to("show");
    let namespace = &shown[0]["namespace"];
    assert_eq!(namespace["netns-name"], names[0]);
    assert_eq!(link(&namespace["network"], "left-15-letters")["other-end"]["netns-name"], names[1]);
    // Its process too is said to be there, by its name.
    let shown = run(&mut inside(&["--json", &there])).ok().answer_to("show");
    let row = json!({"type": "net", "nsid": far, "netns-name": names[1], "shared": false});
    assert!(rows(&shown[0]["process"]["namespaces"]).contains(&row), "{shown}");
    // Elsewhere these are no names.
    assert_eq!(show(&target(&one, "net"))["namespace"]["netns-name"], Value::Null);
}

fn of_a_dump() {
    let actor = Actor::spawn_in(&["user", "net", "uts"]);
    let dump = run_lxkns(["dump"]).ok().stdout;
    for ns_type in ["user", "net", "uts"] {
        let target = actor.ns_inode(ns_type).to_string();
        let ran = run_lxkns_with(&["show", "--from", "-", &target], &dump).ok();
        assert!(ran.text().contains("not in a dump\n"), "{ran:?}");
        let shown = run_lxkns_with(&["show", "--json", "--from", "-", &target], &dump).ok().answer_to("show");
        assert_documented(&shown);
        assert_eq!(shown[0]["namespace"]["missing"], "not in a dump");
        let what = ["limits", "network", "hostname"].map(|key| shown[0]["namespace"].get(key)).into_iter().flatten();
        assert_eq!(what.collect::<Vec<_>>(), [&Value::Null]);
    }
    let shown =
        run_lxkns_with(&["show", "--json", "--from", "-", &actor.pid().to_string()], &dump).ok().answer_to("show");
    let row = json!({"type": "net", "nsid": actor.ns_inode("net"), "netns-name": null, "shared": false});
    assert!(rows(&shown[0]["process"]["namespaces"]).contains(&row), "{shown}");
}

/// A process inside that does not get on is given up, and all else is shown.
/// Runs the program, and stops the process inside as soon as there is one.
pub(super) fn with_child_stopped(arguments: &[&str]) -> Ran {
    let mut command = lxkns();
    let child = command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let list = format!("/proc/{0}/task/{0}/children", child.id());
    // Its child lives for a moment only; whoever comes too late tries again.
    while let Some(text) = std::fs::read_to_string(&list).ok().filter(|_| !has_ended(&child)) {
        let inside = text.split_whitespace().filter_map(|pid| pid.parse().ok()).find(is_inside);
        if let Some(inside) = inside.and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(inside, rustix::process::Signal::STOP);
            break;
        }
    }
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    Ran { code: output.status.code(), stdout: output.stdout, stderr }
}

fn given_up() {
    let actor = Actor::spawn_in(&["user", "net"]);
    let stopped = || with_child_stopped(&["show", "--timeout", "0.5", &target(&actor, "net")]);
    let is_given_up = |ran: &Ran| ran.stderr.contains("not readable: no answer in time\n");
    let ran = look_until(is_given_up, stopped).ok();
    assert!(is_given_up(&ran), "{ran:?}");
    assert!(ran.text().contains(&format!("  inode      {}\n", actor.ns_inode("net"))), "{ran:?}");
    assert!(ran.text().contains("no answer in time\n"), "{ran:?}");
}

/// Whether a process is ours inside, and no helper of another kind.
fn is_inside(pid: &i32) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line == b"lxkns\0inside\0")
}

/// Whether a process that nobody has waited for has ended.
fn has_ended(child: &std::process::Child) -> bool {
    std::fs::read_to_string(format!("/proc/{}/stat", child.id())).map_or(true, |stat| stat.contains(") Z "))
}

/// Who has no right to go there is shown the rest, and told what it takes.
fn not_allowed() {
    let actor = Actor::spawn_in(&["user", "net"]);
    let program = lxkns().get_program().to_str().unwrap().to_owned();
    // From inside a container it is not allowed to look around in the host, which a descriptor leads to.
    let ask = |arguments: &[&str]| {
        let host = std::fs::File::open("/proc/self/ns/net").unwrap();
        run(within(&actor, &program).arg("show").args(arguments).stdin(host))
    };
    let ran = ask(&["/proc/self/fd/0"]);
    assert_eq!((ran.code, ran.problems()), (Some(0), vec![]), "{ran:?}");
    assert!(ran.text().contains(&format!("  inode      {}\n", own_inode("net"))), "{ran:?}");
    let why = "links, addresses, routes, sockets not readable: needs CAP_SYS_ADMIN";
    assert!(ran.gaps().iter().any(|line| line.contains(why)), "{ran:?}");
    let shown = ask(&["--json", "/proc/self/fd/0"]).answer_to("show");
    let namespace = &shown[0]["namespace"];
    assert!(namespace["missing"].as_str().unwrap().starts_with("needs CAP_SYS_ADMIN"), "{namespace}");
    assert_eq!(namespace["network"], Value::Null);
    // Where one is already takes no right.
    let shown = ask(&["--json", "/proc/self/ns/net"]).answer_to("show");
    assert_eq!(link(&shown[0]["namespace"]["network"], "lo")["index"], 1);
}

fn missing() {
    run_lxkns(["show", "4194304"]).fails(1, "4194304: no such process");
    run_lxkns(["show", "net:1"]).fails(1, "net:1: no such namespace");
    run_lxkns(["show", "/"]).fails(1, "/: not a namespace");
}

/// Nothing comes of the hidden command where nobody asks over a socket.
fn by_hand() {
    run_lxkns(["inside"]).fails(3, "only another lxkns runs this command: ");
    assert!(!run_lxkns(["--help"]).text().contains("inside a namespace\n"));
}

/// IDs that the reader's user namespace does not map are said not to be mapped, and not shown as numbers.
fn unmapped_ids() {
    let actor = Actor::spawn_in(&["user"]);
    let (pid, user) = (actor.pid().to_string(), actor.ns_inode("user"));
    // Without a map of its own, nobody has a number there.
    let mut command = std::process::Command::new("unshare");
    let ran = run(command.arg("--user").arg(lxkns().get_program()).args(["show", &pid]));
    let line = ran.text().lines().find(|line| line.trim_start().starts_with("user ")).unwrap_or_default();
    assert!(line.trim().ends_with("UID 65534 (or one that is not mapped here)"), "{ran:?}");
    // As the kernel writes it of a map whose other end is not mapped.
    let mut dump = run_lxkns(["dump", "--no-mounts"]).ok().json();
    let namespace = &mut dump["namespaces"][user.to_string()];
    namespace["uid-map"] = serde_json::json!([[0, u32::MAX, 1]]);
    namespace["gid-map"] = serde_json::json!([[5, 1000, 2]]);
    let target = format!("user:{user}");
    let show = |more: &[&str]| {
        let arguments = [&["show", "--from", "-"], more, &[&target]].concat();
        run_lxkns_with(&arguments, dump.to_string().as_bytes()).ok()
    };
    let text = show(&[]);
    assert!(text.text().contains("UIDs  0 here, not mapped in the reader's user namespace\n"), "{text:?}");
    assert!(text.text().contains("GIDs  5 to 6 here, 1000 to 1001 outside\n"), "{text:?}");
    let json = show(&["--json"]).answer_to("show");
    assert_eq!(json[0]["namespace"]["uid-map"], serde_json::json!([[0, null, 1]]));
}
