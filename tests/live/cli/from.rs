//! `--from`: what is read from a dump is what the living host says; and what is no dump.

use std::cell::RefCell;
use std::path::Path;

use lxkns_fixture::{Actor, Open, Socket};
use serde_json::{Value, json};

use crate::harness::Need::{FileSystem, Program, Root, UserNamespaces};
use crate::harness::{Test, lxkns, test};
use crate::live::program::{run, run_lxkns, run_lxkns_with, without_suspects};
use crate::live::{directory, look_until};

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("cli::from::same_as_live", &[UserNamespaces, FileSystem("tmpfs")], same_as_live),
        test("cli::from::orphans_same_as_live", &[UserNamespaces, FileSystem("tmpfs")], orphans_same_as_live),
        test("cli::from::gaps_are_told", &[], gaps_are_told),
        test("cli::from::whoever_reads_it", &[Root, Program("setpriv")], whoever_reads_it),
        test("cli::from::of_the_go_program", &[], of_the_go_program),
        test("cli::from::not_a_dump", &[], not_a_dump),
    ]
}

/// Every view, with TARGETs where it takes some.
const VIEWS: [&[&str]; 6] =
    [&["ls"], &["tree"], &["why", "1"], &["orphans"], &["mounts", "1"], &["caps", "-p", "1", "1"]];

const COLUMNS: &str =
    "NS,TYPE,PATH,NPROCS,PID,PPID,COMMAND,UID,USER,NETNSID,NSFS,PNS,ONS,UNIQUEID,NTASKS,HOLDERS,CGROUP";

/// A bit of everything: namespaces that nothing but descriptors, a socket, mounts or threads hold, below user and PID
/// namespaces in others; mounts, some of them hidden; suspects.
struct Fixture {
    directory: tempfile::TempDir,
    actor: Actor,
    inner: Actor,
    /// The network namespaces that it left, and what holds each.
    left: Vec<u64>,
    _others: Vec<Actor>,
}

fn fixture() -> Fixture {
    let directory = directory();
    let path = |name: &str| directory.path().join(name);
    let actor = Actor::spawn_in(&["user", "mnt", "uts", "net"]);
    actor.make_mounts_private();
    actor.mount("tmpfs", directory.path());
    let left = |hold: &dyn Fn()| {
        hold();
        let net = actor.ns_inode("net");
        actor.unshare(&["net"]);
        net
    };
    let mut nets = vec![
        left(&|| assert!(actor.open("/proc/self/ns/net", Open::ReadOnly) > 2)),
        left(&|| assert!(actor.socket(Socket::Udp4) > 2)),
        left(&|| {
            actor.touch(path("a b"));
            actor.bind("/proc/self/ns/net", path("a b"));
        }),
        left(&|| {
            let fd = actor.open("/proc/self/ns/net", Open::ReadOnly);
            actor.send_fd_in_flight(fd);
            actor.close(fd);
        }),
    ];
    let thread = actor.thread();
    thread.unshare(&["net"]);
    nets.push(thread.ns_inode("net"));
    actor.mkdir(path("below"));
    actor.mkdir(path("below/deeper"));
    actor.mount("tmpfs", path("below/deeper"));
    actor.mount("tmpfs", path("below"));
    let between = actor.fork();
    between.unshare(&["user"]);
    between.map_root();
    between.unshare(&["pid"]);
    let inner = between.fork();
    inner.set_comm(b"\x1b[31m\xe6\xbc\xa2\xff\n");
    Fixture { directory, actor, inner, left: nets, _others: vec![thread, between] }
}

/// Looks at a dump and at the host. What something has changed in between is looked at again.
/// How many processes and files of the host cannot be read is nothing of ours, and others change it all the time.
#[track_caller]
fn assert_same(directory: &Path, commands: &[Vec<&str>], part: impl Fn(String) -> String) {
    let file = directory.join("dump.json");
    let from = ["--from", file.to_str().unwrap()];
    let left = RefCell::new(commands.to_vec());
    let look = || {
        std::fs::write(&file, run_lxkns(["dump"]).ok().stdout).unwrap();
        let mut differ = None;
        left.borrow_mut().retain(|command| {
            // The kernel reader, which these take on every host, tells more than the dump has.
            let live: &[&str] = if ["why", "orphans"].contains(&command[0]) { &["--reader", "proc"] } else { &[] };
            let [read, live] = [&from[..], live].map(|options| run_lxkns([command, options].concat())).map(|ran| {
                (ran.code, part(without_gap_lines(&without_suspects(ran.text()))), without_gaps(&ran.stderr))
            });
            assert!(!live.1.is_empty(), "{command:?}: {live:?}");
            let is_other = read != live;
            if is_other {
                let line = read.1.lines().zip(live.1.lines()).find(|(read, live)| read != live);
                let line = line.map(|(read, live)| format!("{read:?}, {live:?}"));
                differ = Some((command.join(" "), line, [read.0, live.0], [read.2, live.2]));
            }
            is_other
        });
        differ
    };
    assert_eq!(look_until(Option::is_none, look), None);
}

/// JSON has them too, a line each.
fn without_gap_lines(text: &str) -> String {
    text.split_inclusive('\n').filter(|line| !is_gap(line)).collect()
}

fn without_gaps(said: &str) -> String {
    said.lines().filter(|line| !is_gap(line)).collect()
}

fn is_gap(line: &str) -> bool {
    line.contains(" not readable: ") || line.contains(" not read: a dump has no")
}

/// Who reads a dump is told what could not be seen when it was made.
fn gaps_are_told() {
    let actor = Actor::spawn();
    let mut dump: Value = serde_json::from_str(run_lxkns(["dump"]).text()).unwrap();
    let gaps = &mut dump["discovery-options"]["snapshot"]["gaps"];
    *gaps = json!([{"place": "processes", "operation": "readlink ns/*", "errno": 13, "pid": actor.pid()}]);
    let directory = directory();
    let file = directory.path().join("dump.json");
    std::fs::write(&file, dump.to_string()).unwrap();
    for view in VIEWS.iter().filter(|view| view.len() == 1) {
        let read = run_lxkns([view, &["--from", file.to_str().unwrap()][..]].concat());
        let told = read.stderr.lines().next().unwrap_or_default();
        assert!(told.starts_with("lxkns: 1 of ") && told.contains(" processes not readable: "), "{read:?}");
    }
}

/// What whoever took a dump may see is in it, and not taken from whoever reads it.
fn whoever_reads_it() {
    let directory = directory();
    let unprivileged = || super::unprivileged(directory.path());
    let dumps = [("root", run(lxkns().arg("dump"))), ("nobody", run(unprivileged().arg("dump")))];
    for (taker, dump) in dumps {
        let observer = &dump.json()["discovery-options"]["snapshot"]["observer"];
        assert_eq!(observer["uid"], if taker == "root" { 0 } else { 65534 });
        assert_eq!(observer["capabilities"] == "0000000000000000", taker == "nobody", "{observer}");
        assert_eq!(observer["pidns"], super::super::own_inode("pid"));
        let file = directory.path().join(taker);
        std::fs::write(&file, &dump.stdout).unwrap();
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        for view in VIEWS.iter().chain(&[&["doctor"][..], &["doctor", "--json"]]) {
            let arguments = [view, &["--from", file.to_str().unwrap()][..]].concat();
            let [root, nobody] = [run(lxkns().args(&arguments)), run(unprivileged().args(&arguments))];
            assert_eq!(root.text(), nobody.text(), "{arguments:?}");
            assert_eq!(root.stderr, nobody.stderr, "{arguments:?}");
            if taker == "nobody" && view == &["ls"] {
                assert!(root.stderr.contains(" processes not readable: needs CAP_SYS_PTRACE"), "{root:?}");
            }
        }
    }
}

fn same_as_live() {
    let fixture = fixture();
    // Not below what the fixture has mounted, which only its processes see.
    let files = directory();
    let (pid, inner) = (fixture.actor.pid().to_string(), fixture.inner.pid().to_string());
    let user = fixture.actor.ns_inode("user").to_string();
    let [uts, mnt] = ["uts", "mnt"].map(|name| format!("{pid}/{name}"));
    let inner_user = format!("{inner}/user");
    let pidns = fixture.inner.ns_inode("pid").to_string();
    let left: Vec<String> = fixture.left.iter().map(u64::to_string).collect();
    let left: Vec<&str> = left.iter().map(String::as_str).collect();
    let with_left = |words: &[&'static str]| -> Vec<&str> { [words, &left].concat() };
    let mut commands = vec![
        with_left(&["ls"]),
        with_left(&["ls", "-t", "net"]),
        with_left(&["ls", "-o", COLUMNS]),
        with_left(&["ls", "-r", "-o", COLUMNS]),
        vec!["ls", &uts, &mnt, &user, &pidns],
        vec!["ls", "-o", COLUMNS, "-t", "uts", "-p", &pid],
        vec!["tree", &user],
        vec!["tree", "user", "--owned", "--all-leaders", &user],
        vec!["tree", "--cgroup=full", &inner],
        vec!["tree", "pid", &inner],
        vec!["tree", "pid", "--all-leaders", &pidns],
        vec!["tree", "pid", "--users", &inner],
        vec!["tree", "proc", &inner],
        vec!["tree", "proc", "1", "--in", &pidns],
        with_left(&["why"]),
        with_left(&["why", "--all"]),
        vec!["why", &user, &uts, &mnt],
        vec!["mounts", &pid],
        vec!["mounts", "--list", "-o", "+ID,PARENT,HIDDEN,FSROOT", &pid],
        vec!["mounts", "--hidden", &pid],
        vec!["mounts", "-r", "-o", "+PEERS,RECEIVERS", &inner],
        vec!["caps", "-p", &inner, &user],
        vec!["caps", "-p", &pid, &inner_user],
    ];
    // JSON of mounts has no columns.
    let has_json =
        |command: &&Vec<&str>| !(command.contains(&"-r") || command[0] == "mounts" && command.contains(&"-o"));
    let for_programs = commands.iter().filter(has_json);
    let for_programs: Vec<_> = for_programs.map(|command| [&command[..], &["--json"]].concat()).collect();
    commands.extend(for_programs);
    assert!(VIEWS.iter().all(|view| view[0] == "orphans" || commands.iter().any(|command| command[0] == view[0])));
    assert_same(files.path(), &commands, |text| text);
    drop(fixture.directory);
}

/// Others have orphans too, which come and go.
fn orphans_same_as_live() {
    let fixture = fixture();
    let files = directory();
    let ours: Vec<String> = fixture.left[..3].iter().map(u64::to_string).collect();
    let is_ours = |text: &str| ours.iter().any(|ino| text.contains(ino));
    for types in [&[][..], &["-t", "net,mnt"]] {
        let command = [&["orphans"], types].concat();
        assert_same(files.path(), std::slice::from_ref(&command), |text| {
            let parts: Vec<_> = text.split("\n\n").filter(|part| is_ours(part)).collect();
            assert!(ours.iter().all(|ino| text.contains(ino)), "{text}");
            parts.join("\n\n")
        });
        assert_same(files.path(), &[[&command[..], &["--json"]].concat()], |text| {
            let mut all: Value = serde_json::from_str(&text).unwrap();
            let rows = all["results"].as_array_mut().unwrap().iter_mut();
            // No dump has links.
            let rows = rows.map(|row| {
                row.as_object_mut().unwrap().remove("left-over").unwrap();
                &*row
            });
            let rows: Vec<_> = rows.filter(|row| is_ours(&row["namespace"]["nsid"].to_string())).collect();
            assert_eq!(rows.len(), ours.len());
            serde_json::to_string(&rows).unwrap()
        });
    }
}

/// Dumps with the keys of the Go program: of today, and of versions that had other keys.
const GO: [&str; 3] = [
    r#"{"discovery-options": {"from-procs": true, "from-tasks": true, "from-fds": true, "from-bindmounts": true,
      "with-hierarchy": true, "with-ownership": true, "with-freezer": true, "with-mounts": true, "labels": {}},
    "namespaces": {
      "4026531837": {"nsid": 4026531837, "type": "user", "reference": ["/proc/1/ns/user"], "leaders": [1],
        "ealdorman": 1, "possessions": [4026531836, 4026531832, 4026532500], "user-id": 0, "user-name": "root"},
      "4026531836": {"nsid": 4026531836, "type": "pid", "owner": 4026531837, "leaders": [1], "ealdorman": 1},
      "4026531832": {"nsid": 4026531832, "type": "mnt", "owner": 4026531837, "leaders": [1], "ealdorman": 1},
      "4026532500": {"nsid": 4026532500, "type": "net", "owner": 4026531837, "reference": ["/run/netns/x"]}},
    "processes": {"1": {"namespaces": {"mnt": 4026531832, "user": 4026531837, "pid": 4026531836}, "pid": 1, "ppid": 0,
      "name": "init", "cmdline": ["/sbin/init"], "starttime": 3, "cpucgroup": "/init.scope", "fridgecgroup": "",
      "fridgefrozen": false, "tasks": [{"namespaces": {"mnt": 4026531832, "user": 4026531837, "pid": 4026531836},
        "tid": 1, "name": "init", "starttime": 3, "cpucgroup": "/init.scope", "fridgecgroup": "", "fridgefrozen": false}]}},
    "mounts": {"4026531832": {
      "/": {"pathid": 1, "parentid": 0, "mounts": [{"mountid": 30, "parentid": 1, "major": 8, "minor": 1, "root": "/",
        "mountpoint": "/", "mountoptions": ["rw"], "tags": {}, "fstype": "ext4", "source": "/dev/sda1",
        "superoptions": "rw", "hidden": false}]},
      "/run/netns/x": {"pathid": 2, "parentid": 1, "mounts": [{"mountid": 77, "parentid": 30, "major": 0, "minor": 4,
        "root": "net:[4026532500]", "mountpoint": "/run/netns/x", "mountoptions": ["rw"], "tags": {}, "fstype": "nsfs",
        "source": "nsfs", "superoptions": "rw", "hidden": false}]}}},
    "containers": {}, "container-engines": {}, "container-groups": {}, "cpus-online": [[0, 7]]}"#,
    r#"{"options": {"skipped-procs": false, "skipped-tasks": true, "skipped-fds": true, "skipped-bindmounts": true,
      "skipped-hierarchy": false, "skipped-ownership": false, "skipped-freezer": true},
    "namespaces": {
      "4026531837": {"nsid": 4026531837, "type": "user", "reference": "/proc/1/ns/user", "leaders": [1], "user-id": 0},
      "4026531836": {"nsid": 4026531836, "type": "pid", "owner": 4026531837, "leaders": [1]},
      "4026532500": {"nsid": 4026532500, "type": "net", "owner": 4026531837, "reference": "/proc/1/fd/3"}},
    "processes": {"1": {"namespaces": {"user": 4026531837, "pid": 4026531836}, "pid": 1, "ppid": 0, "name": "init",
      "cmdline": ["init"], "starttime": 3, "cgroup": "/init.scope"}}}"#,
    // The least that there can be.
    r#"{"namespaces": {"4026532500": {"nsid": 4026532500, "type": "net"}}, "processes": {}}"#,
];

fn of_the_go_program() {
    for (index, dump) in GO.iter().enumerate() {
        let has_processes = index < 2;
        for view in VIEWS {
            for json in [&[][..], &["--json"]] {
                let ran = run_lxkns_with(&[view, &["--from", "-"], json].concat(), dump.as_bytes());
                match view[0] {
                    "mounts" if index == 1 => drop(ran.fails(3, "1: its namespaces are not readable")),
                    // Capabilities are not in dumps of the Go program: so nothing is said to be known.
                    "caps" if has_processes => {
                        assert_eq!(ran.code, Some(3), "{ran:?}");
                        assert!(json.is_empty() || ran.json()[0]["capabilities"].is_null(), "{ran:?}");
                    }
                    "why" | "mounts" | "caps" if !has_processes => {
                        assert_eq!((ran.code, ran.problems().len()), (Some(1), 1), "{ran:?}");
                        assert!(ran.problems()[0].contains("no such process"), "{ran:?}");
                    }
                    "ls" | "orphans" => assert!(ran.ok().text().contains("4026532500")),
                    "tree" if !has_processes => drop(ran.ok()),
                    _ => assert!(!ran.ok().text().is_empty()),
                }
            }
        }
    }
    for kind in [&["tree", "pid", "--users"][..], &["tree", "proc"], &["tree", "--owned"]] {
        let ran = run_lxkns_with(&[kind, &["--from", "-"]].concat(), GO[0].as_bytes()).ok();
        assert!(ran.text().contains("init"), "{ran:?}");
    }
}

/// One line, and the same in all views.
fn not_a_dump() {
    let directory = directory();
    let nested = "[".repeat(1_000_000);
    let deep = format!("{{\"namespaces\": {nested}");
    let program = std::fs::read(crate::harness::lxkns().get_program()).unwrap();
    let files: [(&str, &[u8], &str); 8] = [
        ("empty", b"", "not JSON"),
        ("blank", b"\n\n", "not JSON"),
        ("binary", &program, "not JSON"),
        ("list", b"[{\"namespaces\": {}}]", "it has no namespaces"),
        ("other", b"{\"a\": {\"namespaces\": {}}}", "it has no namespaces"),
        ("nested", nested.as_bytes(), "not a dump"),
        ("deep", deep.as_bytes(), "not a dump"),
        ("truncated", &GO[0].as_bytes()[..1000], "not JSON"),
    ];
    for (name, content, text) in files {
        let file = directory.path().join(name);
        std::fs::write(&file, content).unwrap();
        for view in VIEWS {
            let ran = run_lxkns([view, &["--from", file.to_str().unwrap()]].concat()).fails(3, text);
            assert!(ran.stderr.contains(name) && ran.stderr.len() < 300, "{ran:?}");
        }
    }
    for (path, text) in [(directory.path().to_str().unwrap(), "Is a directory"), ("/nowhere", "No such file")] {
        for view in VIEWS {
            run_lxkns([view, &["--from", path]].concat()).fails(3, text);
        }
    }
}
