//! `lxkns why`: every kind of holder is named with the way to it, and with what would release it.

use std::io::BufRead as _;
use std::process::{Command, Stdio};

use lxkns_fixture::{Actor, Open, Socket, probe};
use serde_json::{Value, json};

use super::terminal::on_terminal;
use super::with_bind_mount;
use crate::harness::Need::{File, FileSystem, Kernel, NamespaceType, Program, Root, UserNamespaces};
use crate::harness::{Need, Test, alone_through, lxkns, test};
use crate::live::program::{Ran, release, run_lxkns};
use crate::live::{directory, look_until, own_inode};

/// On a terminal, with a name that `ip netns` gives.
const WHOLE: &[Need] = &[Root, Program("unshare"), Program("ip"), File("/dev/ptmx"), File("/dev/pts/ptmx")];

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("cli::why::process", &[UserNamespaces], process),
        test("cli::why::thread", &[UserNamespaces], thread),
        test("cli::why::for_children", &[UserNamespaces, NamespaceType("time")], for_children),
        test("cli::why::fd", &[UserNamespaces], fd),
        test("cli::why::socket", &[UserNamespaces, Kernel(5, 6)], socket),
        test("cli::why::tun", &[Root, File("/dev/net/tun"), Kernel(5, 6)], tun),
        test("cli::why::bind_mount", &[UserNamespaces], bind_mount),
        test("cli::why::hidden_bind_mount", &[UserNamespaces], hidden_bind_mount),
        test("cli::why::file_system", &[UserNamespaces, FileSystem("proc"), Kernel(5, 8)], file_system),
        test("cli::why::child_and_owned", &[UserNamespaces], child_and_owned),
        test("cli::why::padded_title", &[UserNamespaces, Program("unshare"), Program("sh")], padded_title),
        test("cli::why::suspects", &[Root, Kernel(6, 12)], suspects),
        test("cli::why::several_holders", &[UserNamespaces], several_holders),
        test("cli::why::one_more_takes_the_place_of_its_line", &[UserNamespaces], one_more),
        test("cli::why::names_and_paths_are_whole", WHOLE, whole),
        test("cli::why::an_initial_namespace", &[], an_initial_namespace),
        test("cli::why::of_a_process", &[UserNamespaces], of_a_process),
    ]
}

/// What is said of a namespace to people and to programs.
struct Said {
    text: String,
    json: Value,
}

#[track_caller]
fn why(ino: u64) -> Said {
    why_with("--reader=auto", ino)
}

fn why_with(reader: &str, ino: u64) -> Said {
    let ino = ino.to_string();
    let text = run_lxkns(["why", "--all", reader, &ino]).ok().text().to_owned();
    let json = run_lxkns(["why", "--json", reader, &ino]).ok().results();
    assert_eq!(json.len(), 1);
    assert_eq!(json[0]["target"], ino);
    assert_eq!(json[0]["namespace"]["nsid"].to_string(), ino);
    Said { text, json: json[0].clone() }
}

impl Said {
    /// Checks that the text has this line, and after it the one on what would release the holder.
    #[track_caller]
    fn has(&self, holder: &str, release: &str) {
        let lines: Vec<_> = self.text.lines().collect();
        let wanted = format!("    until {release}");
        // Whoever may not carry it out is told so.
        let is_it = |line: &str| {
            line.strip_prefix(&wanted).is_some_and(|rest| {
                rest.is_empty() || !probe::is_root() && rest.starts_with(" (not as this user: needs CAP_")
            })
        };
        let found = lines.windows(2).any(|pair| pair[0].trim_start().starts_with(holder) && is_it(pair[1]));
        assert!(found, "no {holder:?} until {release:?} in:\n{}", self.text);
    }

    /// Checks that there is just one holder for programs, but for relatives, and that it has these members. What suspects
    /// there are depends on the host.
    #[track_caller]
    fn has_only(&self, members: Value) {
        assert_eq!(self.json["keeper-found"], true);
        match &self.json["holders"].as_array().unwrap()[..] {
            [holder] => {
                for (name, value) in members.as_object().unwrap() {
                    assert_eq!(&holder[name], value, "{name} of {holder:#}");
                }
                assert!(!release(holder).is_empty());
            }
            holders => panic!("{holders:#?}"),
        }
    }
}

fn process() {
    let actor = Actor::spawn_in(&["user", "uts"]);
    let (pid, uts) = (actor.pid(), actor.ns_inode("uts"));
    let said = why(uts);
    assert!(said.text.starts_with(&format!("uts:[{uts}] is held by 1 process\n")), "{}", said.text);
    said.has(&format!("process {pid} (lxkns-actor --"), &format!("process {pid} exits"));
    said.has_only(json!({ "kind": "process", "pid": pid }));
    assert_eq!(said.json["namespace"]["leaders"], json!([pid]));
    assert_eq!(said.json["namespace"]["owner"], actor.ns_inode("user"));
}

fn thread() {
    let actor = Actor::spawn_in(&["user"]);
    let thread = actor.thread();
    thread.unshare(&["net"]);
    let (pid, tid) = (actor.pid(), thread.tid());
    let said = why(thread.ns_inode("net"));
    said.has(&format!("task {tid} of process {pid} ("), &format!("task {tid} of process {pid} exits"));
    said.has_only(json!({ "kind": "task", "pid": pid, "tid": tid }));
}

fn for_children() {
    let actor = Actor::spawn_in(&["user"]);
    actor.unshare(&["time"]);
    let pid = actor.pid();
    let said = why(actor.ns_inode("time_for_children"));
    said.has(&format!("next child of process {pid} ("), &format!("process {pid} exits"));
    said.has_only(json!({ "kind": "for-children", "pid": pid }));
}

fn fd() {
    let actor = Actor::spawn_in(&["user", "net"]);
    let fd = actor.open("/proc/self/ns/net", Open::ReadOnly);
    let (pid, net) = (actor.pid(), actor.ns_inode("net"));
    actor.unshare(&["net"]);
    let said = why(net);
    said.has(&format!("fd {fd} of process {pid} ("), &format!("process {pid} closes fd {fd}, or exits"));
    assert!(said.text.contains(&format!(": /proc/{pid}/fd/{fd}\n")), "{}", said.text);
    said.has_only(json!({ "kind": "fd", "pid": pid, "fd": fd }));
    // And that is true.
    actor.close(fd);
    // Another test's namespace can have its number by now.
    let look = || run_lxkns(["why", &format!("net:{net}")]);
    let ran = look_until(|ran| ran.code == Some(3), look);
    assert!(matches!(ran.problems()[..], [problem] if problem.contains(": not visible from here: ")), "{ran:?}");
}

fn socket() {
    let actor = Actor::spawn_in(&["user", "net"]);
    let fd = actor.socket(Socket::Udp4);
    let (pid, net, inode) = (actor.pid(), actor.ns_inode("net"), actor.socket_inode(fd));
    actor.unshare(&["net"]);
    let said = why(net);
    let holder = format!("socket:[{inode}], fd {fd} of process {pid} (");
    said.has(&holder, &format!("process {pid} closes fd {fd}, or exits"));
    said.has_only(json!({ "kind": "socket", "pid": pid, "fd": fd, "inode": inode }));
}

fn tun() {
    let actor = Actor::spawn_in(&["user", "net"]);
    let fd = actor.tun("lxknstap");
    let (pid, net) = (actor.pid(), actor.ns_inode("net"));
    actor.unshare(&["net"]);
    let said = why(net);
    said.has(&format!("TUN file, fd {fd} of process {pid} ("), &format!("process {pid} closes fd {fd}, or exits"));
    said.has_only(json!({ "kind": "tun", "pid": pid, "fd": fd }));
}

fn bind_mount() {
    let directory = directory();
    let path = directory.path().join("it's");
    let (actor, net) = with_bind_mount(&path);
    let (pid, mnt, path) = (actor.pid(), actor.ns_inode("mnt"), path.to_str().unwrap());
    let said = why(net);
    let quoted = format!("$'{}'", path.replace('\'', "\\'"));
    said.has(&format!("bind mount {path} in mnt:[{mnt}] of process {pid} ("), &format!("`umount -N {pid} {quoted}`"));
    said.has_only(json!({ "kind": "bind-mount", "mntns": mnt, "path": path }));
    let mount_id = format!(", mount ID {}\n", said.json["holders"][0]["mountid"]);
    assert!(said.text.contains(&mount_id), "{}", said.text);
}

fn hidden_bind_mount() {
    let directory = directory();
    let (actor, net) = with_bind_mount(&directory.path().join("ns"));
    actor.mount("tmpfs", directory.path());
    let said = why(net);
    said.has_only(json!({ "kind": "bind-mount", "mntns": actor.ns_inode("mnt") }));
    assert!(said.text.contains("  bind mount ") && said.text.contains("    until "), "{}", said.text);
}

fn file_system() {
    let directory = directory();
    let actor = Actor::spawn_in(&["user", "mnt", "pid"]);
    let init = actor.fork();
    init.mount("proc", directory.path());
    let (mnt, path) = (actor.ns_inode("mnt"), directory.path().to_str().unwrap());
    let said = why(init.ns_inode("pid"));
    said.has(
        &format!("proc mounted at {path} in mnt:[{mnt}] of process"),
        &format!("`umount -N {} {path}`", actor.pid()),
    );
    let holders = said.json["holders"].as_array().unwrap();
    let mount = holders.iter().find(|holder| holder["kind"] == "mount").unwrap();
    assert_eq!((&mount["fstype"], &mount["mntns"], &mount["path"]), (&"proc".into(), &mnt.into(), &path.into()));
}

fn child_and_owned() {
    let actor = Actor::spawn_in(&["user"]);
    let middle = actor.ns_inode("user");
    actor.unshare(&["uts"]);
    actor.unshare(&["user"]);
    let (inner, uts) = (actor.ns_inode("user"), actor.ns_inode("uts"));
    let said = look_until(|said: &Said| said.json["holders"].as_array().unwrap().len() == 2, || why(middle));
    said.has(&format!("child user:[{inner}]"), &format!("user:{inner} ends (lxkns why user:{inner})"));
    said.has(&format!("owned uts:[{uts}]"), &format!("uts:{uts} ends (lxkns why uts:{uts})"));
    let kinds: Vec<_> = said.json["holders"].as_array().unwrap().iter().map(|holder| &holder["kind"]).collect();
    assert_eq!(kinds, ["child", "owned"]);
    // Its advice can be followed.
    run_lxkns(["why", &format!("user:{inner}")]).ok();
}

/// A process that has put a title over its arguments has blanks after it, which are not shown.
fn padded_title() {
    let mut command = Command::new("unshare");
    command.args(["--user", "--", "sh", "-c", "echo; read x", "init      ", "  "]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    // It says when it is there.
    std::io::BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut String::new()).unwrap();
    let ino = crate::live::inode(format!("/proc/{}/ns/user", child.id()));
    let text = run_lxkns(["why", &ino.to_string()]).ok().text().to_owned();
    let process = format!("process {} (sh -c echo; read x init)\n", child.id());
    let table = run_lxkns(["ls", "--json", &ino.to_string()]).ok().json();
    drop(child.stdin.take());
    child.wait().unwrap();
    assert!(text.contains(&process), "{text}");
    let row = crate::live::program::row(&table, ino).unwrap();
    assert_eq!(row["command"], "sh -c echo; read x init");
}

/// Where nothing that can be seen explains a namespace, what may hold it is told: here a descriptor on its way.
fn suspects() {
    /// The kernel reader knows what is in flight.
    const BY_PROCFS: &str = "--reader=proc";
    let actor = Actor::spawn_in(&["mnt"]);
    let fd = actor.open("/proc/self/ns/mnt", Open::ReadOnly);
    let (_, receiver) = actor.send_fd_in_flight(fd);
    actor.close(fd);
    let (pid, mnt) = (actor.pid(), actor.ns_inode("mnt"));
    actor.unshare(&["mnt"]);
    let nothing = format!("mnt:[{mnt}] exists, but nothing visible holds it\n");
    let said = look_until(
        |said: &Said| said.text.starts_with(&nothing) && said.json["keeper-found"] == false,
        || why_with(BY_PROCFS, mnt),
    );
    assert!(said.text.starts_with(&nothing), "{}", said.text);
    let suspect = format!("  suspect: 1 descriptor in flight to a UNIX socket, fd {receiver} of process {pid} (");
    assert!(said.text.contains(&suspect), "{}", said.text);
    assert_eq!(said.json["keeper-found"], false);
    assert_eq!(said.json["holders"][0]["kind"], "kernel");
    let suspects = said.json["suspects"].as_array().unwrap();
    let own = suspects.iter().find(|suspect| suspect["pid"] == pid).unwrap();
    assert_eq!((&own["kind"], &own["fd"], &own["count"]), (&"in-flight".into(), &receiver.into(), &1.into()));
    // One that something else holds as well has that suspect too.
    let held = why_with(BY_PROCFS, actor.ns_inode("mnt"));
    assert_eq!(held.json["keeper-found"], true);
    assert!(held.text.contains(&suspect), "{}", held.text);
}

fn several_holders() {
    let actor = Actor::spawn_in(&["user", "net"]);
    let net = actor.ns_inode("net");
    for _ in 0..12 {
        actor.open("/proc/self/ns/net", Open::ReadOnly);
    }
    let _others = [actor.fork(), actor.fork()];
    let is_few = |few: &Ran| few.text().contains("  and 26 more (--all shows all)\n");
    let few = look_until(is_few, || run_lxkns(["why", &net.to_string()]).ok());
    assert!(few.text().contains("  and 26 more (--all shows all)\n"), "{}", few.text());
    let all = format!("net:[{net}] is held by 3 processes, 36 fds\n");
    let count = |said: &Said| said.json["holders"].as_array().unwrap().len();
    let said = look_until(|said: &Said| said.text.starts_with(&all) && count(said) == 39, || why(net));
    assert!(said.text.starts_with(&all), "{}", said.text);
    assert_eq!(said.text.matches(&format!(": /proc/{}/fd/", actor.pid())).count(), 12);
    assert_eq!(said.text.matches("until all these processes exit").count(), 1);
    assert_eq!(said.json["holders"].as_array().unwrap().len(), 39, "programs get all");
}

/// Of eleven holders of a kind all are told: the eleventh takes no more room than a line that says that it is there.
fn one_more() {
    let actor = Actor::spawn_in(&["user", "net"]);
    let net = actor.ns_inode("net").to_string();
    for _ in 0..11 {
        actor.open("/proc/self/ns/net", Open::ReadOnly);
    }
    let own = format!(": /proc/{}/fd/", actor.pid());
    let has_all = |ran: &Ran| ran.text().matches(&own).count() == 11;
    let ran = look_until(has_all, || run_lxkns(["why", &net]).ok());
    assert!(has_all(&ran), "{ran:?}");
    actor.open("/proc/self/ns/net", Open::ReadOnly);
    let has_few = |ran: &Ran| ran.text().contains("  and 2 more (--all shows all)\n");
    let ran = look_until(has_few, || run_lxkns(["why", &net]).ok());
    assert!(has_few(&ran) && ran.text().matches(&own).count() == 10, "{ran:?}");
}

/// However narrow a terminal is, the name of a network namespace and the paths of its mounts can be copied from it.
fn whole() {
    let private = ["unshare", "--mount", "--propagation", "private"];
    alone_through(&private, "cli::why::names_and_paths_are_whole", || {
        let name = format!("lxkns-{}", "a-long-name-".repeat(6));
        // What is below is seen by nobody else.
        rustix::mount::mount("none", "/run", c"tmpfs", rustix::mount::MountFlags::empty(), None).unwrap();
        assert!(Command::new("ip").args(["netns", "add", &name]).status().unwrap().success());
        let path = format!("/run/netns/{name}");
        let net = crate::live::inode(&path);
        for columns in [40, 80, 120] {
            for arguments in [&["why", &net.to_string()][..], &["orphans", "-t", "net"]] {
                let text = on_terminal(lxkns().args(arguments).env("NO_COLOR", "1"), columns);
                assert!(text.contains(&format!("net:[{net}] ({name}) is held by 1 bind mount")), "{text}");
                for whole in
                    [format!("bind mount {path}"), format!("`ip netns delete {name}`"), format!("`umount {path}`")]
                {
                    let (first, last) = whole.rsplit_once(' ').unwrap();
                    // Between words a line may end.
                    assert!(text.contains(&format!(" {last}")) || text.contains(&whole), "{first} {last}: {text}");
                }
            }
        }
        let results = run_lxkns(["why", "--json", &net.to_string()]).ok().results();
        assert_eq!(results[0]["namespace"]["netns-name"], name.as_str());
        assert_eq!(results[0]["holders"][0]["path"], path.as_str());
    });
}

fn an_initial_namespace() {
    let user = own_inode("user");
    if user != 4_026_531_837 {
        // Not from in here.
        return;
    }
    let ran = run_lxkns(["why", &user.to_string()]).ok();
    assert!(ran.text().starts_with(&format!("user:[{user}] is the initial user namespace: ")), "{}", ran.text());
    let json = run_lxkns(["why", "--json", &format!("user:[{user}]")]).ok().results();
    assert_eq!((&json[0]["namespace"]["initial"], &json[0]["keeper-found"]), (&true.into(), &true.into()));
}

fn of_a_process() {
    let actor = Actor::spawn_in(&["user", "uts"]);
    let pid = actor.pid().to_string();
    let count = ["mnt", "cgroup", "uts", "ipc", "user", "pid", "net", "time"];
    let count = count.into_iter().filter(|name| probe::has_namespace_type(name)).count();
    let ran = run_lxkns(["why", &pid, &format!("{pid}/uts")]).ok();
    assert!(ran.text().starts_with(&format!("{pid} is in {count} namespaces\n")), "{}", ran.text());
    assert_eq!(ran.text().matches(&format!("uts:[{}] is held by", actor.ns_inode("uts"))).count(), 2);
    let json = run_lxkns(["why", "--json", &pid]).ok().results();
    assert_eq!(json.len(), count);
}
