//! `lxkns links`, links as TARGETs, and links that are left over, against what `ip` says in each network namespace.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Command, Stdio};

use lxkns_fixture::{Actor, Open};
use serde_json::{Value, json};

use super::assert_documented;
use super::hostile::assert_safe;
use super::show::{ip, rows, show, two, with_child_stopped, within};
use crate::harness::Need::{File, Kernel, Program, Root, UserNamespaces};
use crate::harness::{Need, Test, lxkns, test};
use crate::live::program::{Ran, run, run_lxkns, run_lxkns_with};
use crate::live::{directory, inode, look_until};

const NETWORK: &[Need] = &[UserNamespaces, Program("nsenter"), Program("ip")];

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("cli::links::as_ip_says", NETWORK, as_ip_says),
        test("cli::links::addresses", NETWORK, addresses),
        test("cli::links::tree", NETWORK, tree),
        test("cli::links::gives_no_ids", NETWORK, gives_no_ids),
        test("cli::links::targets", NETWORK, targets),
        test("cli::links::odd_names", NETWORK, odd_names),
        test("cli::links::left_over", NETWORK, left_over),
        test("cli::links::left_over_inside", NETWORK, left_over_inside),
        test("cli::links::of_a_namespace_that_nothing_shows", NETWORK, of_a_namespace_that_nothing_shows),
        test(
            "cli::links::tun_of_a_process_elsewhere",
            &[Root, File("/dev/net/tun"), Kernel(5, 6), Program("ip")],
            tun_elsewhere,
        ),
        test(
            "cli::links::without_rights",
            &[Root, Program("nsenter"), Program("ip"), Program("setpriv")],
            without_rights,
        ),
        test("cli::links::given_up", &[UserNamespaces, File("/proc/thread-self/children")], given_up),
        test("cli::links::very_many", NETWORK, very_many),
        test("cli::links::of_a_dump", &[UserNamespaces], of_a_dump),
        test("cli::links::bad_usage", &[], bad_usage),
    ]
}

/// A name that no other test has.
fn unique(letter: char, actor: &Actor) -> String {
    format!("{letter}{}", actor.pid())
}

/// A veth between two actors.
fn veth(one: &Actor, name: &str, other: &Actor, peer: &str) {
    ip(one, ["link", "add", name, "type", "veth", "peer", "name", peer, "netns", &other.pid().to_string()]);
}

/// The graph of the links with an end where one of these actors is.
#[track_caller]
fn graph(actors: &[&Actor]) -> Value {
    let targets: Vec<_> = actors.iter().map(|actor| format!("{}/net", actor.pid())).collect();
    let mut arguments = vec!["links", "--json"];
    arguments.extend(targets.iter().map(String::as_str));
    let ran = run_lxkns(&arguments).ok();
    let answer = ran.answer_to("links");
    assert_documented(&answer);
    assert_eq!(answer.as_array().unwrap().len(), 1, "{answer}");
    answer[0].clone()
}

#[track_caller]
fn find<'a>(graph: &'a Value, ns: u64, name: &str) -> &'a Value {
    let is_it = |link: &&Value| link["nsid"] == ns && link["name"] == name;
    rows(&graph["links"]).iter().find(is_it).unwrap_or_else(|| panic!("no {name} in {ns}: {graph}"))
}

/// What `ip` says of all links where an actor is, by index.
fn by_ip(actor: &Actor) -> BTreeMap<u64, Value> {
    let said: Value = serde_json::from_slice(&ip(actor, ["-d", "-j", "link"]).stdout).unwrap();
    // Older versions write an empty object for each link that they leave out.
    let links = rows(&said).iter().filter(|link| link.get("ifindex").is_some());
    links.map(|link| (link["ifindex"].as_u64().unwrap(), link.clone())).collect()
}

/// A veth between a host and a container, one between two containers and none of whose ends is on the host, one with both ends
/// in one namespace; what is on top of a link elsewhere; a bridge in a container.
fn as_ip_says() {
    let (host, web) = two();
    let db = host.fork();
    db.unshare(&["net"]);
    veth(&host, "veth1a2b", &web, "eth0");
    veth(&web, "between", &db, "between");
    ip(&host, ["link", "add", "here1", "type", "veth", "peer", "name", "here2"]);
    let there = web.pid().to_string();
    // Whatever kinds the kernel has: at least one is on top of a link elsewhere.
    let kinds: [&[&str]; 5] = [
        &["mv0", "link", "here1", "type", "macvlan"],
        &["vl0", "link", "here1", "type", "vlan", "id", "7"],
        &["ipv0", "link", "here2", "type", "ipvlan"],
        &["vx0", "type", "vxlan", "id", "7", "dstport", "4789", "dev", "here1"],
        &["gre0x", "type", "gretap", "local", "10.0.0.1", "remote", "10.0.0.2", "dev", "here1"],
    ];
    let mut moved = Vec::new();
    for words in kinds {
        let made = run(within(&host, "ip").args(["link", "add"]).args(words));
        if made.code == Some(0) {
            ip(&host, ["link", "set", words[0], "netns", &there]);
            moved.push((words[0], if words[0] == "ipv0" { "here2" } else { "here1" }));
        }
    }
    assert!(!moved.is_empty(), "this kernel has none of {kinds:?}");
    ip(&db, ["link", "add", "br0", "type", "bridge"]);
    ip(&db, ["link", "set", "between", "master", "br0"]);
    let all = [&host, &web, &db];
    let graph = graph(&all);
    let mut compared = 0;
    for actor in all {
        let ns = actor.ns_inode("net");
        let said = by_ip(actor);
        let ours: Vec<_> = rows(&graph["links"]).iter().filter(|link| link["nsid"] == ns).collect();
        assert_eq!(ours.len(), said.len(), "{ours:?} {said:?}");
        for link in ours {
            let index = link["id"][1].as_u64().unwrap();
            let it = &said[&index];
            assert_eq!(link["id"][0], ns);
            assert_eq!((&link["name"], &link["state"], &link["mtu"]), (&it["ifname"], &it["operstate"], &it["mtu"]));
            assert_eq!(link["kind"], *it["linkinfo"].get("info_kind").unwrap_or(&Value::Null), "{link}");
            assert_eq!(link["up"], rows(&it["flags"]).contains(&"UP".into()));
            let master = it.get("master").map(|master| said.values().find(|of| of["ifname"] == *master).unwrap());
            assert_eq!(link["master"], master.map_or(Value::Null, |master| json!([ns, master["ifindex"]])));
            if let Some(name) = it.get("link").filter(|_| it.get("link_netnsid").is_none()) {
                assert_eq!((&link["other-end"]["name"], &link["other-end"]["nsid"]), (name, &ns.into()), "{it}");
                compared += 1;
            }
            if link["kind"] == "veth" && it.get("link_netnsid").is_some() {
                assert_eq!(link["other-end"]["index"], it["link_index"], "{it}");
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 6, "{graph}");
    let inode = |actor: &Actor| actor.ns_inode("net");
    let end = |of: &Actor, name: &str| find(&graph, inode(of), name)["other-end"].clone();
    let is = |end: &Value, relation: &str, actor: &Actor, name: &str| {
        let index = by_ip(actor).values().find(|link| link["ifname"] == name).unwrap()["ifindex"].clone();
        assert_eq!((&end["relation"], &end["name"]), (&relation.into(), &name.into()), "{end}");
        assert_eq!((&end["id"], &end["process"]["pid"]), (&json!([inode(actor), index]), &actor.pid().into()));
    };
    is(&end(&host, "veth1a2b"), "peer", &web, "eth0");
    is(&end(&web, "eth0"), "peer", &host, "veth1a2b");
    is(&end(&web, "between"), "peer", &db, "between");
    is(&end(&db, "between"), "peer", &web, "between");
    for (name, below) in &moved {
        is(&end(&web, name), "lower", &host, below);
    }
    // Each relation is in the graph once.
    let edge = |from: &Value, to: &Value, relation: &str| {
        let is_it = |edge: &&Value| {
            let ends = (&edge["from"], &edge["to"]);
            edge["relation"] == relation && (ends == (from, to) || relation == "peer" && ends == (to, from))
        };
        rows(&graph["edges"]).iter().filter(is_it).count()
    };
    let id = |actor: &Actor, name: &str| find(&graph, inode(actor), name)["id"].clone();
    assert_eq!(edge(&id(&web, "between"), &id(&db, "between"), "peer"), 1);
    assert_eq!(edge(&id(&db, "between"), &id(&db, "br0"), "master"), 1);
    assert_eq!(edge(&id(&web, moved[0].0), &id(&host, moved[0].1), "lower"), 1);
    assert_eq!(rows(&graph["edges"]).len(), 4 + moved.len(), "{graph}");
    // Those of one namespace, and those that lead there.
    let of_db = self::graph(&[&db]);
    let names: Vec<_> = rows(&of_db["links"]).iter().map(|link| link["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names.iter().filter(|name| *name == "between").count(), 2, "{names:?}");
    assert!(!names.contains(&"veth1a2b".to_owned()), "{names:?}");
    let raw = run_lxkns(["links", "-n", "-r", "-o", "NAME,NS,OTHER,OTHERNS,MASTER", &format!("{}/net", db.pid())]).ok();
    let line = format!("between {} between {} br0", inode(&db), inode(&web));
    assert!(raw.text().lines().any(|text| text == line), "{raw:?}");
}

/// The addresses of each link are those that `ip` says inside, and no others: in the table, of one link, and as JSON.
fn addresses() {
    let (host, web) = two();
    veth(&host, "veth1a2b", &web, "eth0");
    ip(&web, ["link", "set", "lo", "up"]);
    for address in ["192.0.2.7/24", "198.51.100.7/32"] {
        ip(&web, ["address", "add", address, "dev", "eth0"]);
    }
    ip(&host, ["address", "add", "192.0.2.1", "peer", "192.0.2.9/32", "dev", "veth1a2b"]);
    // What IPv6 makes for itself changes a moment later.
    for (actor, name) in [(&web, "eth0"), (&host, "veth1a2b")] {
        ip(actor, ["link", "set", name, "addrgenmode", "none"]);
        ip(actor, ["link", "set", name, "up"]);
    }
    let said = |actor: &Actor| -> Value { serde_json::from_slice(&ip(actor, ["-j", "address"]).stdout).unwrap() };
    let mut compared = 0;
    let graph = graph(&[&host, &web]);
    for actor in [&host, &web] {
        let before = said(actor);
        for it in rows(&before).iter().filter(|it| it.get("ifname").is_some()) {
            let link = find(&graph, actor.ns_inode("net"), it["ifname"].as_str().unwrap());
            let of = |address: &Value, local: &str, prefix: &str, peer: &str| {
                let peer = address.get(peer).cloned().unwrap_or_default();
                (address[local].clone(), address[prefix].clone(), peer, address["scope"].clone())
            };
            let mut expected: Vec<_> =
                rows(&it["addr_info"]).iter().map(|one| of(one, "local", "prefixlen", "address")).collect();
            let mut told: Vec<_> =
                rows(&link["addresses"]).iter().map(|one| of(one, "address", "prefix", "peer")).collect();
            expected.sort_by_key(|it| format!("{it:?}"));
            told.sort_by_key(|it| format!("{it:?}"));
            assert_eq!(told, expected, "{link}");
            compared += told.len();
        }
    }
    // Those above, and that of the loopback link that is up.
    assert!(compared >= 4, "{graph}");
    let target = format!("{}/net", web.pid());
    let raw = run_lxkns(["links", "-n", "-r", "-o", "NAME,ADDRESSES", &target]).ok();
    assert!(raw.text().lines().any(|line| line.starts_with("eth0 192.0.2.7/24,198.51.100.7/32")), "{raw:?}");
    let shown = run_lxkns(["show", &format!("link:{}/eth0", web.ns_inode("net"))]).ok();
    assert!(shown.text().contains("192.0.2.7/24, 198.51.100.7/32"), "{shown:?}");
}

fn tree() {
    let (host, web) = two();
    ip(&host, ["link", "add", "br7", "type", "bridge"]);
    veth(&host, "veth7", &web, "eth0");
    ip(&host, ["link", "set", "veth7", "master", "br7"]);
    let ran = run_lxkns(["links", "--tree", &format!("{}/net", host.pid())]).ok();
    let lines: Vec<_> = ran.text().lines().collect();
    let at = lines.iter().position(|line| line.starts_with("br7 ")).unwrap();
    assert!(lines[at + 1].starts_with("└─veth7 ") && lines[at + 2].starts_with("  └─eth0 "), "{ran:?}");
    assert!(lines[at + 2].contains(&format!("veth7 in net:[{}]", host.ns_inode("net"))), "{ran:?}");
    assert!(lines[0].starts_with("NAME ") && !ran.text().contains("has no process"), "{ran:?}");
}

/// Asking changes nothing in the namespaces that are asked about.
fn gives_no_ids() {
    let (host, web) = two();
    veth(&host, "left", &web, "right");
    let ids = || [&host, &web].map(|actor| ip(actor, ["netns", "list-id"]).text().to_owned());
    let before = ids();
    let end = find(&graph(&[&host]), host.ns_inode("net"), "left")["other-end"].clone();
    assert_eq!(end["nsid"], web.ns_inode("net"));
    assert_eq!(ids(), before);
}

fn targets() {
    let (host, web) = two();
    let name = unique('v', &host);
    veth(&host, &name, &web, "eth0");
    let (here, there) = (host.ns_inode("net"), web.ns_inode("net"));
    let link = show(&format!("link:{name}"))["network-link"].clone();
    assert_eq!((&link["nsid"], &link["other-end"]["nsid"]), (&here.into(), &there.into()), "{link}");
    assert_eq!(link["other-end"]["process"]["pid"], web.pid());
    let ran = run_lxkns(["show", &format!("link:{name}")]).ok();
    let expected = [format!("link {name}\n"), "Other end\n".to_owned(), format!("  namespace  net:[{there}]\n")];
    assert!(expected.iter().all(|text| ran.text().contains(text)), "{ran:?}");
    assert!(ran.text().contains(&format!("  processes  {} (", web.pid())), "{ran:?}");
    // A name that several have means none; what is named in its place means one.
    let ran = run_lxkns(["show", "link:lo"]).fails(2, "several links have this name; name one of them: link:");
    assert!(ran.stdout.is_empty(), "{ran:?}");
    for of in [there.to_string(), format!("net:[{there}]"), web.pid().to_string(), format!("{}/net", web.pid())] {
        let found = show(&format!("link:{of}/eth0"))["network-link"].clone();
        assert_eq!((&found["nsid"], &found["target"]), (&there.into(), &format!("link:{there}/eth0").into()), "{of}");
    }
    // Elsewhere the network namespace that it is in is meant.
    let ran = run_lxkns(["why", &format!("link:{there}/eth0")]).ok();
    assert!(ran.text().starts_with(&format!("net:[{there}] is held by ")), "{ran:?}");
    let ran = run_lxkns(["ls", "-n", "-o", "NS", &format!("link:{name}")]).ok();
    assert_eq!(ran.text().trim(), here.to_string());
    let ran = run_lxkns(["links", "-n", "-o", "NAME,NS", &format!("link:{there}/eth0")]).ok();
    assert!(ran.text().lines().any(|line| line.starts_with(&name)), "{ran:?}");
    // What is not there: by a namespace whose links were all read, that is proven.
    let ran = run_lxkns(["show", &format!("link:{there}/nix")]).fails(1, "no link has this name");
    assert!(ran.stdout.is_empty());
    let ran = run_lxkns(["show", "link:lxkns-not-there"]);
    assert!([Some(1), Some(3)].contains(&ran.code) && ran.stderr.contains("link has this name"), "{ran:?}");
    let (uts, text) = (host.ns_inode("uts"), "the part before the name is not a network namespace");
    run_lxkns(["show", &format!("link:uts:{uts}/eth0")]).fails(2, text);
    // The shell offers it.
    let ran = run_lxkns(["complete", "--", "show", &format!("link:{}", &name[..3])]).ok();
    assert!(ran.text().lines().any(|line| line.starts_with(&format!("=link:{name}\t"))), "{ran:?}");
}

fn odd_names() {
    let (host, web) = two();
    let there = web.pid().to_string();
    let names: [&[u8]; 4] = [b"\x1b[31mred", b"\xe2\x80\xaetxt", b"\xff\xc3x", b"-a'b$(c)"];
    for (at, name) in names.into_iter().enumerate() {
        let words = ["link", "add", "name"].map(OsStr::new);
        let peer = OsStr::new(["a", "b", "c", "d"][at]);
        let rest = ["type", "veth", "peer", "name"].map(OsStr::new);
        let arguments =
            [&words[..], &[OsStr::from_bytes(name)], &rest, &[peer, OsStr::new("netns"), OsStr::new(&there)]];
        ip(&host, arguments.concat());
    }
    let of = format!("{}/net", host.pid());
    for arguments in [vec!["links", &of], vec!["links", "--tree", &of], vec!["links", "-r", &of]] {
        assert_safe(&run_lxkns(&arguments).ok(), None);
    }
    for name in names {
        let target = [format!("link:{}/", host.ns_inode("net")).as_bytes(), name].concat();
        let ran = run(lxkns().arg("show").arg(OsStr::from_bytes(&target))).ok();
        assert_safe(&ran, None);
        let ran = run(lxkns().args(["show", "--json"]).arg(OsStr::from_bytes(&target))).ok();
        assert_eq!(ran.answer_to("show")[0]["network-link"]["name"], String::from_utf8_lossy(name).as_ref());
    }
}

/// What `orphans` says of the links that are left over with a namespace.
fn left_over_with(ino: u64) -> Vec<Value> {
    let ran = run_lxkns(["orphans", "--json", "-t", "net"]).ok();
    let results = ran.answer_to("orphans");
    assert_documented(&results);
    let found = rows(&results).iter().find(|orphan| orphan["namespace"]["nsid"] == ino).cloned();
    found.map(|orphan| rows(&orphan["left-over"]).clone()).unwrap_or_default()
}

/// The step, which must do what it says where nothing is lacking, and must not where something is.
fn follow(step: &Value) -> bool {
    let command = step["command"].as_str().unwrap_or_else(|| panic!("no command: {step}"));
    let ran = run(Command::new("sh").args(["-c", command]));
    assert_eq!(ran.code == Some(0), step.get("lacks").is_none(), "{step} {ran:?}");
    ran.code == Some(0)
}

/// An actor that has a descriptor on a network namespace without any process, to which `host` has a veth, and one to itself.
fn with_left_over(name: &str, live: &str) -> (Actor, Actor, u64) {
    let (host, other) = two();
    veth(&host, name, &other, "eth0");
    let fd = other.open("/proc/self/ns/net", Open::ReadOnly);
    other.unshare(&["net"]);
    veth(&host, live, &other, "eth0");
    let left = inode(format!("/proc/{}/fd/{fd}", other.pid()));
    (host, other, left)
}

fn left_over() {
    let (host, other, left) = with_left_over("veth1a2b", "live0");
    let here = host.ns_inode("net");
    let links = left_over_with(left);
    assert_eq!(links.len(), 1, "{links:?}");
    let link = &links[0];
    assert_eq!((&link["name"], &link["id"][0], &link["orphan-nsid"]), (&"veth1a2b".into(), &here.into(), &left.into()));
    assert_eq!(link["members-seen"], super::sees_all_members());
    let step = &link["release"][0];
    let way = format!("nsenter --net=/proc/{}/ns/net ip link delete veth1a2b", host.pid());
    assert_eq!(
        (&step["step"], &step["command"], &step["nsid"]),
        (&"delete-link".into(), &way.as_str().into(), &left.into())
    );
    // Everything says the same: from both ends, and of the link.
    for ns in [here, left] {
        let network = show(&format!("net:{ns}"))["namespace"]["network"].clone();
        assert_eq!(network["left-over"], json!([link]), "{network}");
    }
    let shown = show(&format!("link:{here}/veth1a2b"))["network-link"].clone();
    assert_eq!(shown["left-over"], json!([link]));
    assert_eq!(show(&format!("link:{here}/live0"))["network-link"]["left-over"], Value::Null);
    let graph = graph(&[&host]);
    assert_eq!(find(&graph, here, "veth1a2b")["left-over"], json!([link]));
    assert_eq!(find(&graph, here, "live0")["left-over"], Value::Null);
    let text = format!("left over: veth1a2b (veth) in net:[{here}]");
    let is_told = |ran: &Ran| ran.text().contains(&text);
    let ran = look_until(is_told, || run_lxkns(["orphans", "-t", "net"]).ok());
    assert!(is_told(&ran) && ran.text().contains(&format!("until `{way}`, or net:{left} ends")), "{ran:?}");
    assert!(!ran.text().contains("left over: live0"), "{ran:?}");
    assert!(!run_lxkns(["orphans", "-t", "mnt,uts"]).ok().text().contains("left over:"));
    // The namespace is what --fail counts.
    let code = if super::sees_all_members() { 4 } else { 0 };
    assert_eq!(run_lxkns(["orphans", "--fail", "-t", "net"]).code, Some(code));
    let has_it = || by_ip(&host).values().any(|link| link["ifname"] == "veth1a2b");
    if follow(step) {
        assert!(!has_it(), "it is gone");
        assert_eq!(left_over_with(left), Vec::<Value>::new());
        // The live one is not.
        assert!(by_ip(&host).values().any(|link| link["ifname"] == "live0"));
    } else {
        assert!(has_it());
        assert!(step["lacks"].as_str().unwrap().contains("CAP_"), "{step}");
    }
    drop(other);
}

/// The end of the namespace takes the link away, which is the other step; and what is on top of a link elsewhere is left over
/// where it is, in the namespace without a process.
fn left_over_inside() {
    let (host, other) = two();
    veth(&host, "low", &host, "low2");
    veth(&host, "veth9", &other, "eth0");
    ip(&host, ["link", "add", "mv9", "link", "low", "type", "macvlan"]);
    ip(&host, ["link", "set", "mv9", "netns", &other.pid().to_string()]);
    let fd = other.open("/proc/self/ns/net", Open::ReadOnly);
    other.unshare(&["net"]);
    let left = inode(format!("/proc/{}/fd/{fd}", other.pid()));
    let links = left_over_with(left);
    let names: Vec<_> =
        links.iter().map(|link| (link["name"].as_str().unwrap(), link["id"][0].as_u64().unwrap())).collect();
    let mut expected = [("veth9", host.ns_inode("net")), ("mv9", left)];
    expected.sort_by_key(|(_, ns)| *ns);
    assert_eq!(names, expected, "{links:?}");
    other.close(fd);
    let is_gone = |said: &BTreeMap<u64, Value>| !said.values().any(|link| link["ifname"] == "veth9");
    // The kernel takes a namespace down after that, in its own time.
    while !is_gone(&by_ip(&host)) {
        std::thread::yield_now();
    }
    assert_eq!(left_over_with(left), Vec::<Value>::new());
}

/// A namespace that is only in flight, which no process shows: what leads there is said, and nothing is made up.
fn of_a_namespace_that_nothing_shows() {
    let (host, other) = two();
    veth(&host, "lost", &other, "eth0");
    let left = other.ns_inode("net");
    let fd = other.open("/proc/self/ns/net", Open::ReadOnly);
    other.send_fd_in_flight(fd);
    other.close(fd);
    other.unshare(&["net"]);
    let found = find(&graph(&[&host]), host.ns_inode("net"), "lost")["other-end"].clone();
    assert_eq!((&found["relation"], &found["name"]), (&"peer".into(), &"eth0".into()), "{found}");
    // A kernel that lists all namespaces shows it.
    assert!(found["nsid"] == left || found["nsid"] == Value::Null && found["id"] == Value::Null, "{found}");
    if found["nsid"] == Value::Null {
        let ran = run_lxkns(["links", &format!("{}/net", host.pid())]).ok();
        assert!(ran.text().contains("eth0 in a network namespace that was not found"), "{ran:?}");
        let ran = run_lxkns(["orphans", "-t", "net"]);
        assert!(ran.stderr.contains("in a network namespace that was not found"), "{ran:?}");
    }
}

fn tun_elsewhere() {
    let actor = Actor::spawn_in(&["net"]);
    let other = actor.fork();
    other.unshare(&["net"]);
    let name = unique('t', &actor);
    let fd = actor.tun(&name);
    let moved = Command::new("nsenter")
        .args(["--net", "-t", &actor.pid().to_string(), "ip", "link", "set", &name, "netns", &other.pid().to_string()])
        .status();
    assert!(moved.unwrap().success());
    let link = show(&format!("link:{name}"))["network-link"].clone();
    assert_eq!((&link["nsid"], &link["kind"]), (&other.ns_inode("net").into(), &"tun".into()));
    let user = &link["users"][0];
    assert_eq!((&user["pid"], &user["fd"], rows(&link["users"]).len()), (&actor.pid().into(), &fd.into(), 1), "{link}");
    let ran = run_lxkns(["links", &format!("{}/net", other.pid())]).ok();
    assert!(ran.text().contains(&format!("process {} (", actor.pid())), "{ran:?}");
}

/// An ordinary user sees the links of the own network namespace, and is told what the others take.
fn without_rights() {
    // Of the host's user namespace.
    let actor = Actor::spawn_in(&["net"]);
    let name = unique('w', &actor);
    let words = ["ip", "link", "add", &name, "type", "bridge"];
    let made = Command::new("nsenter").args(["--net", "-t", &actor.pid().to_string()]).args(words).status();
    assert!(made.unwrap().success());
    // A copy each: one that still runs cannot be written.
    let (first, second) = (directory(), directory());
    let ran = run(super::unprivileged(first.path()).args(["links", "-n", "-o", "NAME"]));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.text().lines().any(|line| line == "lo") && !ran.text().contains(&name), "{ran:?}");
    let ran = run(super::unprivileged(second.path()).args(["show", &format!("link:{name}")]));
    assert!(ran.code == Some(3) && ran.stdout.is_empty(), "{ran:?}");
    let ran = run_lxkns(["links", "-n", "-o", "NAME"]).ok();
    assert!(ran.text().lines().any(|line| line == name), "{ran:?}");
    // With one of two capabilities it is no more.
    for lost in ["-sys_admin", "-net_admin"] {
        let capabilities = [format!("--bounding-set={lost}"), format!("--inh-caps={lost}")];
        let program = lxkns();
        let mut command = Command::new("setpriv");
        let ran = run(command.args(&capabilities).arg(program.get_program()).args(["links", "-n", "-o", "NAME"]));
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(!ran.text().lines().any(|line| line == name), "{ran:?}");
        assert!(ran.stderr.contains("needs CAP_NET_ADMIN and CAP_SYS_ADMIN"), "{lost}: {ran:?}");
    }
}

/// A process inside that does not answer, as where the kernel's lock of all network configuration is never let go of.
fn given_up() {
    let actor = Actor::spawn_in(&["user", "net"]);
    let target = format!("{}/net", actor.pid());
    for command in ["links", "orphans"] {
        let mut arguments = vec![command, "--timeout", "0.5"];
        arguments.extend((command == "links").then_some(target.as_str()));
        let is_given_up = |ran: &Ran| ran.stderr.contains("not read: no answer in time\n");
        let ran = look_until(is_given_up, || with_child_stopped(&arguments));
        assert!(is_given_up(&ran), "{ran:?}");
        // Nothing was read, which is no answer; of the namespaces without a process there is one.
        assert_eq!(ran.code, Some(if command == "links" { 3 } else { 0 }), "{ran:?}");
    }
}

fn very_many() {
    const PAIRS: usize = 300;
    let (one, other) = two();
    let mut batch = within(&one, "ip");
    let mut child = batch.args(["-batch", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    let lines: String =
        (0..PAIRS).map(|n| format!("link add a{n} type veth peer name b{n} netns {}\n", other.pid())).collect();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), lines.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    let graph = graph(&[&one]);
    assert_eq!(rows(&graph["edges"]).len(), PAIRS);
    let (here, there) = (one.ns_inode("net"), other.ns_inode("net"));
    for n in [0, PAIRS / 2, PAIRS - 1] {
        let end = &find(&graph, here, &format!("a{n}"))["other-end"];
        assert_eq!((&end["name"], &end["nsid"]), (&format!("b{n}").into(), &there.into()));
    }
}

fn of_a_dump() {
    let dump = run_lxkns(["dump", "--no-mounts"]).ok();
    let from = |arguments: &[&str]| run_lxkns_with(&[arguments, &["--from", "-"]].concat(), &dump.stdout);
    from(&["links"]).fails(2, "a dump has no links");
    from(&["show", "link:eth0"]).fails(2, "links are not in a dump");
    let (_actor, _other, left) = with_left_over("veth1", "live1");
    let dump = run_lxkns(["dump"]).ok();
    let ran = run_lxkns_with(&["orphans", "--json", "-t", "net", "--from", "-"], &dump.stdout);
    let results = ran.answer_to("orphans");
    let orphan = rows(&results).iter().find(|orphan| orphan["namespace"]["nsid"] == left).unwrap();
    assert_eq!(orphan["left-over"], Value::Null);
    assert!(ran.stderr.contains("links left over with network namespaces not read: a dump has no links"), "{ran:?}");
}

fn bad_usage() {
    for text in ["link:", "link:a b", "link:0123456789abcdef", "link:/eth0"] {
        run_lxkns(["show", text]).fails(2, "not a name of a link");
    }
    run_lxkns(["links", "--json", "-o", "NAME"]).fails(2, "--json always writes everything");
    let ran = run_lxkns(["links", "--json", "99999999999"]);
    assert_eq!((ran.code, ran.results()), (Some(1), vec![]), "{ran:?}");
    run_lxkns(["links", "host/uts"]).fails(2, "no network namespace");
    run_lxkns(["links", "-o", "NIX"]).fails(2, "unknown column");
}
