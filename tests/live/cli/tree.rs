//! `lxkns tree`: user namespaces, PID namespaces and processes as trees.

use lxkns_fixture::{Actor, Open, probe};
use serde_json::{Value, json};

use super::assert_documented;
use crate::harness::Need::UserNamespaces;
use crate::harness::{Test, test};
use crate::live::program::{Ran, run_lxkns, run_lxkns_with};
use crate::live::{look_until, own_inode};

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("cli::tree::user", &[UserNamespaces], user),
        test("cli::tree::owned", &[UserNamespaces], owned),
        test("cli::tree::pid", &[UserNamespaces], pid),
        test("cli::tree::proc", &[UserNamespaces], processes),
        test("cli::tree::seen_in", &[UserNamespaces], seen_in),
        test("cli::tree::without_a_process", &[UserNamespaces], without_a_process),
        test("cli::tree::as_deep_as_can_be", &[UserNamespaces], as_deep_as_can_be),
        test("cli::tree::json", &[UserNamespaces], as_json),
        test("cli::tree::of_a_dump", &[UserNamespaces], of_a_dump),
        test("cli::tree::hostile_dump", &[], hostile_dump),
        test("cli::tree::hostile_names", &[UserNamespaces], hostile_names),
        test("cli::tree::usage", &[UserNamespaces], usage),
    ]
}

fn tree(arguments: &[&str]) -> Ran {
    run_lxkns([&["tree", "--cgroup=off"], arguments].concat()).ok()
}

/// The line with this in it, without the lines of the tree before it; and how deep it stands.
#[track_caller]
fn line<'a>(ran: &'a Ran, name: &str) -> (usize, &'a str) {
    let line = ran.text().lines().find(|line| line.contains(name)).unwrap_or_else(|| panic!("{name}: {}", ran.text()));
    let rest = line.trim_start_matches(['│', '├', '└', '─', ' ']);
    ((line.chars().count() - rest.chars().count()) / 2, rest)
}

/// An actor in a user and a PID namespace that it made inside those of another, and that other.
fn nested() -> (Actor, Actor) {
    let outer = Actor::spawn_in(&["user", "pid"]).fork();
    let between = outer.fork();
    between.unshare(&["user"]);
    between.map_root();
    between.unshare(&["pid"]);
    let inner = between.fork();
    drop(between);
    (outer, inner)
}

fn user() {
    let uid = rustix::process::geteuid().as_raw();
    let (outer, inner) = nested();
    let [above, below] = [&outer, &inner].map(|actor| format!("user:[{}]", actor.ns_inode("user")));
    let whole = tree(&[]);
    let (depth, text) = line(&whole, &above);
    let created = format!("{above} created by UID {uid}");
    assert!(text.starts_with(&created), "{text}");
    assert!(text.ends_with(&format!("process exe ({})", outer.pid())), "{text}");
    assert_eq!(line(&whole, &below).0, depth + 1);
    assert!(!whole.text().contains(&format!("pid:[{}]", inner.ns_inode("pid"))));
    // One branch only, whichever way it is asked for.
    let other = Actor::spawn_in(&["user"]);
    let pid = inner.pid().to_string();
    for arguments in [&[&pid[..]][..], &["user", &format!("{pid}/user")], &["user", &below]] {
        let branch = tree(arguments);
        assert_eq!(line(&branch, &below), (depth + 1, line(&whole, &below).1));
        assert!(!branch.text().contains(&other.ns_inode("user").to_string()), "{branch:?}");
        assert_eq!(branch.text().lines().count(), depth + 2, "{branch:?}");
    }
    let uts = Actor::spawn_in(&["user", "uts"]);
    run_lxkns(["tree", &uts.ns_inode("uts").to_string()]).fails(1, "not a user namespace");
    run_lxkns(["tree", "4194304"]).fails(1, "no such process");
}

fn owned() {
    let actor = Actor::spawn_in(&["user", "uts", "ipc"]);
    let fd = actor.open("/proc/self/ns/uts", Open::ReadOnly);
    actor.unshare(&["uts"]);
    let thread = actor.thread();
    thread.unshare(&["net"]);
    let left = format!("/proc/{}/fd/{fd}", actor.pid());
    let left = crate::live::inode(left).to_string();
    let user = actor.ns_inode("user").to_string();
    let pid = actor.pid();
    let expected = [
        ("uts", left.clone(), format!("[fd {fd} of process {pid} (exe)]")),
        ("uts", actor.ns_inode("uts").to_string(), format!("process exe ({pid})")),
        ("ipc", actor.ns_inode("ipc").to_string(), format!("process exe ({pid})")),
        ("net", thread.ns_inode("net").to_string(), format!("task exe ({}) of process exe ({pid})", thread.tid())),
    ];
    let mut lines: Vec<_> =
        expected.iter().map(|(name, ino, who)| (*name, ino, format!("{name}:[{ino}] {who}"))).collect();
    lines[..2].sort_by_key(|(_, ino, _)| ino.parse::<u64>().unwrap());
    let lines: Vec<_> = lines.into_iter().map(|(.., line)| line).collect();
    let look = || {
        let ran = tree(&["--owned", &user]);
        let depth = line(&ran, &user).0;
        let below = ran.text().lines().skip(depth + 1);
        let below: Vec<_> = below.map(|line| line.trim_start_matches(['│', '├', '└', '─', ' ']).to_owned()).collect();
        below
    };
    assert_eq!(look_until(|below| *below == lines, look), lines);
    // Asked for one of those, the others are left out.
    let one = tree(&["--owned", &left]);
    assert!(one.text().contains(&left) && !one.text().contains(&expected[2].1), "{one:?}");
}

fn pid() {
    let (outer, inner) = nested();
    let [above, below] = [&outer, &inner].map(|actor| format!("pid:[{}]", actor.ns_inode("pid")));
    let owners = [&outer, &inner].map(|actor| format!("user:[{}]", actor.ns_inode("user")));
    let ran = tree(&["pid"]);
    let (depth, text) = line(&ran, &above);
    let nspid = |actor: &Actor| {
        let status = std::fs::read_to_string(format!("/proc/{}/status", actor.pid())).unwrap();
        let pids = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap();
        pids.split_whitespace().collect::<Vec<_>>().join("/")
    };
    assert_eq!(text, format!("{above} owned by {}, process exe ({})", owners[0], nspid(&outer)));
    let expected = format!("{below} owned by {}, process exe ({})", owners[1], nspid(&inner));
    assert_eq!(line(&ran, &below), (depth + 1, &expected[..]));
    assert!(nspid(&inner).ends_with("/1") && nspid(&inner).matches('/').count() >= 2);
    // With the owners in between.
    let ran = tree(&["pid", "--users", &inner.pid().to_string()]);
    let depths: Vec<_> = [&owners[0], &above, &owners[1], &below].into_iter().map(|name| line(&ran, name).0).collect();
    assert_eq!(depths, [depths[0], depths[0] + 1, depths[0] + 2, depths[0] + 3], "{ran:?}");
    assert!(line(&ran, &owners[0]).1.contains("created by UID"), "{ran:?}");
}

fn processes() {
    let (outer, inner) = nested();
    let child = inner.fork();
    child.set_comm(b"child");
    let ran = tree(&["proc", &outer.pid().to_string()]);
    let (depth, _) = line(&ran, &format!(" ({}/1)", outer.pid()));
    assert_eq!(line(&ran, &format!("pid:[{}]", outer.ns_inode("pid"))).0, depth - 1);
    // Its parent is gone, so that the outer namespace's first process has it for a child.
    let entered = line(&ran, &format!("pid:[{}]", inner.ns_inode("pid")));
    assert_eq!(entered.0, depth + 1);
    assert_eq!(line(&ran, &format!("exe ({}/", inner.pid())).0, depth + 2);
    let (deepest, text) = line(&ran, "child (");
    assert_eq!(deepest, depth + 3);
    assert!(text.starts_with(&format!("child ({}/", child.pid())) && text.ends_with("/2)"), "{text}");
    // What is above leads to it, and what is beside is left out.
    let ran = tree(&["proc", &child.pid().to_string()]);
    assert_eq!(line(&ran, "child ("), (deepest, text));
    assert_eq!(ran.text().lines().count(), deepest + 1, "{ran:?}");
    let ran = tree(&["proc", &format!("pid:[{}]", inner.ns_inode("pid"))]);
    assert_eq!(line(&ran, "child ("), (deepest, text));
}

fn seen_in() {
    let (outer, inner) = nested();
    let child = inner.fork();
    child.set_comm(b"child");
    let within = inner.ns_inode("pid").to_string();
    let expected = tree(&["proc", &child.pid().to_string()]);
    for seen_in in [&within, &inner.pid().to_string(), &format!("pid:{within}")] {
        let ran = tree(&["proc", "2", "--in", seen_in]);
        assert_eq!(ran.text(), expected.text());
    }
    let ran = tree(&["proc", "1", "--in", &outer.pid().to_string()]);
    assert!(ran.text().contains(&format!("exe ({}/1)", outer.pid())), "{ran:?}");
    // A process that is not readable may be in there; to root all are readable.
    let unread = Actor::spawn();
    unread.set_undumpable();
    let code = if probe::is_root() { 1 } else { 3 };
    run_lxkns(["tree", "proc", "77", "--in", &within]).fails(code, "no process is seen to have this PID in pid:[");
    let user = inner.ns_inode("user").to_string();
    run_lxkns(["tree", "proc", "1", "--in", &user]).fails(1, ": not a PID namespace");
}

fn without_a_process() {
    let (outer, inner) = nested();
    let (user, pid) = (inner.ns_inode("user").to_string(), inner.ns_inode("pid").to_string());
    let fd = outer.give_fd(inner.open_ns("pid"));
    drop(inner);
    let held = format!("[fd {fd} of process {} (exe)]", outer.pid());
    let look = |arguments: &[&str], name: &str| {
        let look = || line(&tree(arguments), &format!(":[{name}]")).1.to_owned();
        look_until(|line: &String| line.ends_with(&held), look)
    };
    assert!(look(&["pid", &pid], &pid).ends_with(&held));
    assert!(look(&["proc", &pid], &pid).ends_with(&held));
    let ran = tree(&["user", &user]);
    assert!(line(&ran, &user).1.ends_with(&format!("[owned pid:[{pid}]]")), "{ran:?}");
}

fn as_deep_as_can_be() {
    let mut actors = vec![Actor::spawn_in(&["user", "pid"])];
    loop {
        let next = actors[actors.len() - 1].fork();
        let deepest = next.try_unshare(&["user", "pid"]).is_err();
        if !deepest {
            next.map_root();
        }
        actors.push(next);
        if deepest {
            break;
        }
    }
    let last = &actors[actors.len() - 1];
    assert!(actors.len() > 20, "the kernel allows 32");
    let ino = last.ns_inode("pid").to_string();
    for arguments in [&["pid"][..], &["pid", "--users"], &["proc"], &["user", "--owned"], &["user"]] {
        let ran = tree(arguments);
        let name = if arguments == ["user"] { last.ns_inode("user").to_string() } else { ino.clone() };
        let depth = line(&ran, &name).0;
        assert!(depth >= actors.len() - 2, "{arguments:?}: {depth}");
    }
    let text = tree(&["proc", &last.pid().to_string()]);
    let (_, text) = line(&text, &format!("({}/", last.pid()));
    assert!(text.matches('/').count() >= actors.len() - 1, "{text}");
}

/// The row of a namespace or process.
#[track_caller]
fn row<'a>(answer: &'a Value, key: &str, number: u64) -> &'a Value {
    let rows = answer["results"].as_array().unwrap();
    rows.iter().find(|row| row[key] == number).unwrap_or_else(|| panic!("no {key} {number} in {answer}"))
}

fn as_json() {
    let (outer, inner) = nested();
    let [above, below] = [&outer, &inner].map(|actor| actor.ns_inode("user"));
    let answer = tree(&["--json"]).json();
    assert_eq!(answer.as_object().unwrap().keys().collect::<Vec<_>>(), ["format", "gaps", "question", "results"]);
    assert_documented(&answer);
    let namespace = row(&answer, "nsid", below);
    assert_eq!((&namespace["kind"], &namespace["type"]), (&"namespace".into(), &"user".into()));
    assert_eq!((&namespace["parent"], &namespace["owner"]), (&above.into(), &above.into()));
    assert_eq!(namespace["user-id"], rustix::process::geteuid().as_raw());
    assert_eq!(namespace["leading-processes"][0]["pid"], inner.pid());
    assert_eq!(namespace["loose-tasks"], json!([]));
    assert_eq!(namespace["depth"], row(&answer, "nsid", above)["depth"].as_u64().unwrap() + 1);
    assert_eq!(row(&answer, "nsid", own_inode("user"))["unique-id"].is_null(), namespace["unique-id"].is_null());

    let answer = tree(&["proc", "--json"]).json();
    assert_documented(&answer);
    let process = row(&answer, "pid", inner.pid().into());
    assert_eq!((&process["kind"], &process["name"]), (&"process".into(), &"exe".into()));
    assert_eq!((&process["ppid"], &process["pidns"]), (&outer.pid().into(), &inner.ns_inode("pid").into()));
    let pids = process["nspids"].as_array().unwrap();
    assert_eq!((&pids[0], &pids[pids.len() - 1]), (&inner.pid().into(), &1.into()));
    let namespace = row(&answer, "nsid", inner.ns_inode("pid"));
    assert_eq!(namespace.get("leading-processes"), None, "they stand below it");

    let answer = tree(&["pid", "--users", "--json", &inner.pid().to_string()]).json();
    let kinds: Vec<_> = answer["results"].as_array().unwrap().iter().map(|row| row["type"].as_str().unwrap()).collect();
    assert_eq!(kinds[kinds.len() - 4..], ["user", "pid", "user", "pid"]);
    let with_cgroups = run_lxkns(["tree", "proc", "--json"]).ok().json();
    assert_documented(&with_cgroups);
    assert!(row(&with_cgroups, "pid", inner.pid().into()).get("cgroup").is_none_or(Value::is_string));
}

fn of_a_dump() {
    let (outer, inner) = nested();
    let thread = inner.thread();
    thread.unshare(&["net"]);
    let pid = inner.pid().to_string();
    let user = outer.ns_inode("user").to_string();
    for arguments in [
        &["user", &pid][..],
        &["--owned", &user],
        &["pid", &pid],
        &["pid", "--users", "--all-leaders", &pid],
        &["proc", &pid],
        &["proc", "1", "--in", &pid],
        &["proc", "--cgroup=full", &pid],
        &["proc", "--json", &pid],
    ] {
        let arguments = [&["tree"], arguments].concat();
        // Above them stand processes of others, which come and go; so does what cannot be read of these.
        let seen = |ran: &Ran| ran.text().split("\n  \"gaps\": [").next().map(str::to_owned);
        let [read, live] = look_until(
            |[read, live]: &[Ran; 2]| seen(read) == seen(live),
            || {
                let dump = run_lxkns(["dump"]).ok().stdout;
                let read = run_lxkns_with(&[&arguments[..], &["--from", "-"]].concat(), &dump).ok();
                [read, run_lxkns(&arguments).ok()]
            },
        );
        assert_eq!(seen(&live), seen(&read));
    }
}

/// Nonsense ends, and what is there is there once.
fn hostile_dump() {
    let namespace = |ino: u64, ns_type: &str, parent: u64, more: Value| {
        let mut namespace = json!({
            "nsid": ino, "type": ns_type, "parent": parent, "reference": [], "leaders": [7, 8, 9], "holders": [],
        });
        if ns_type != "user" {
            namespace["owner"] = 4026533000_u64.into();
        }
        namespace.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        (ino.to_string(), namespace)
    };
    let (first, count) = (4026533000_u64, 1000);
    let mut namespaces = serde_json::Map::new();
    // User namespaces in one circle, PID namespaces in one line with the last above the first.
    for index in 0..count {
        let next = first + (index + 1) % count;
        let nasty = json!({ "user-id": 1, "user-name": "\u{1b}[31m\n" });
        namespaces.extend([namespace(first + index, "user", next, nasty)]);
        namespaces.extend([namespace(first + count + index, "pid", next + count, json!({}))]);
    }
    let mut processes = serde_json::Map::new();
    for pid in 2..count {
        let name = "\u{1b}]0;x\u{7}\n".repeat(100);
        let links = json!({ "pid": first + count + pid, "user": first });
        let ppid = if pid == 2 { count - 1 } else { pid - 1 };
        let process = json!({
            "pid": pid, "ppid": ppid, "name": name, "cmdline": [], "starttime": 1, "namespaces": links, "nspids": [pid, pid, pid, pid],
            "tasks": [],
        });
        processes.insert(pid.to_string(), process);
    }
    let options = json!({ "snapshot": { "format": 1, "kernel": "x", "hostname": "x" } });
    let dump = json!({
        "discovery-options": options, "namespaces": namespaces, "processes": processes, "mounts": {},
        "containers": {}, "container-engines": {}, "container-groups": {}, "cpus-online": [],
    });
    let dump = dump.to_string().into_bytes();
    let count = count as usize;
    for (arguments, least) in [
        (&["user"][..], count),
        (&["user", "--owned", "--all-leaders"], 2 * count),
        (&["pid"], count),
        (&["pid", "--users"], count),
        (&["proc"], 2 * count - 4),
        (&["proc", "7"], 3),
        (&["proc", "7", "--in", "4026534007"], 0),
        (&["user", "4026533007"], 1),
    ] {
        for json in [false, true] {
            let json = if json { &["--json"][..] } else { &[] };
            let arguments = [&["tree", "--from", "-"], arguments, json].concat();
            let ran = run_lxkns_with(&arguments, &dump);
            assert!(ran.text().chars().all(|c| c == '\n' || !c.is_control()), "{ran:?}");
            if least == 0 {
                // That a process is in a PID namespace is not known where not all could be seen.
                let code = if arguments.contains(&"--in") { 3 } else { 1 };
                assert_eq!(ran.code, Some(code), "{ran:?}");
                continue;
            }
            let ran = ran.ok();
            let lines = if json.is_empty() {
                ran.text().lines().count()
            } else {
                ran.json()["results"].as_array().unwrap().len()
            };
            assert!(lines >= least && lines < 4 * count, "{arguments:?}: {lines}");
        }
    }
}

fn hostile_names() {
    let (outer, inner) = nested();
    for name in [&b"\x1b[31mred"[..], b"a\nlxkns: b", b"\xe2\x80\xaetxt", b"\xff\xc3x"] {
        inner.set_comm(name);
        let pid = inner.pid().to_string();
        for arguments in [&["user", &pid][..], &["pid", &pid], &["proc", &pid]] {
            let ran = tree(arguments);
            assert!(!ran.text().contains(['\x1b', '\u{202e}']) && ran.text().contains("\\x"), "{ran:?}");
        }
        let answer = tree(&["proc", "--json", &pid]).json();
        assert_eq!(row(&answer, "pid", inner.pid().into())["name"], String::from_utf8_lossy(name).as_ref());
    }
    drop(outer);
}

fn usage() {
    for (arguments, text) in [
        (&["tree", "net"][..], "not user, pid or proc"),
        (&["tree", "1", "2"], "expected user, pid or proc before a TARGET"),
        (&["tree", "pid", "--owned"], "--owned is for the tree of user namespaces"),
        (&["tree", "--users"], "--users is for the tree of PID namespaces"),
        (&["tree", "pid", "--in", "1", "1"], "--in is for the tree of processes"),
        (&["tree", "proc", "--in", "1"], "--in is for a TARGET that is a PID"),
        (&["tree", "proc", "--in", "1", "4026531836"], "--in is for a TARGET that is a PID"),
        (&["tree", "proc", "--all-leaders"], "--all-leaders is for the trees of namespaces"),
        (&["tree", "--cgroup", "x"], "short, full, off"),
    ] {
        run_lxkns(arguments).fails(2, text);
    }
    let actor = Actor::spawn_in(&["user", "uts"]);
    let uts = actor.ns_inode("uts").to_string();
    for kind in ["pid", "proc"] {
        run_lxkns(["tree", kind, &uts]).fails(1, "not a PID namespace");
        run_lxkns(["tree", kind, "4194304"]).fails(1, "no such process");
    }
}
