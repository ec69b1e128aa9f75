//! `lxkns orphans`: the namespaces without any process or thread.

use lxkns_fixture::{Actor, Open};
use serde_json::Value;

use super::{assert_documented, with_bind_mount};
use crate::harness::Need::{File, Kernel, Program, Root, UserNamespaces};
use crate::harness::{Need, Test, alone_through, test};
use crate::live::program::{Ran, release, run_lxkns, run_lxkns_with};
use crate::live::{directory, inode, look_until};

const HEALTHY: &[Need] = &[Root, Program("unshare"), Program("ip")];

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("cli::orphans::by_who_holds_them", &[UserNamespaces], by_who_holds_them),
        test("cli::orphans::fail", &[UserNamespaces], fail),
        test("cli::orphans::what_a_healthy_host_has", HEALTHY, what_a_healthy_host_has),
        test("cli::orphans::suspects", &[UserNamespaces, Kernel(5, 6)], suspects),
        test("cli::orphans::suspects_of_what_nothing_holds", &[Root, Kernel(6, 12)], suspects_of_what_nothing_holds),
        test("cli::orphans::in_flight_alone", &[Root, File("/sys/kernel/btf/vmlinux"), Kernel(6, 18)], in_flight_alone),
        test("cli::orphans::json", &[UserNamespaces], as_json),
        test("cli::orphans::of_a_dump", &[UserNamespaces], of_a_dump),
    ]
}

/// An actor with a descriptor on a UTS namespace that it has left.
fn with_orphan() -> (Actor, u64) {
    let actor = Actor::spawn_in(&["user", "uts"]);
    let fd = actor.open("/proc/self/ns/uts", Open::ReadOnly);
    actor.unshare(&["uts"]);
    let left = inode(format!("/proc/{}/fd/{fd}", actor.pid()));
    (actor, left)
}

/// The lines from the one that begins with `heading` to the next empty one.
fn group<'a>(ran: &'a Ran, heading: &str) -> Vec<&'a str> {
    let lines = ran.text().lines().skip_while(|line| !line.starts_with(heading));
    lines.take_while(|line| !line.is_empty()).collect()
}

fn by_who_holds_them() {
    let directory = directory();
    let (actor, uts) = with_orphan();
    let (mounter, net) = with_bind_mount(&directory.path().join("ns"));
    let heading = format!("held by process {} (", actor.pid());
    let expected =
        [format!("  uts:[{uts}] is held by 1 fd"), format!("      until process {} closes fd ", actor.pid())];
    let look = || run_lxkns(["orphans"]).ok();
    let has_it = |ran: &Ran| {
        let lines = group(ran, &heading);
        lines.len() == 4 && lines[1] == expected[0] && lines[3].starts_with(&expected[1])
    };
    let ran = look_until(has_it, look);
    assert!(has_it(&ran), "{ran:?}");
    let heading = format!("held by mounts in mnt:[{}]", mounter.ns_inode("mnt"));
    let expected = format!("  net:[{net}] is held by 1 bind mount");
    let has_it = |ran: &Ran| group(ran, &heading).get(1) == Some(&expected.as_str());
    let ran = look_until(has_it, look);
    let lines = group(&ran, &heading);
    assert!(has_it(&ran), "{ran:?}");
    assert!(lines[3].contains(&format!("until `umount -N {} ", mounter.pid())), "{lines:?}");
    // Those that have a process, or a thread alone, are none.
    let thread = actor.thread();
    thread.unshare(&["net"]);
    let ran = look();
    for ino in [thread.ns_inode("net"), actor.ns_inode("uts"), actor.ns_inode("user")] {
        assert!(!ran.text().contains(&format!(":[{ino}] is held")), "{ran:?}");
    }
    assert!(!run_lxkns(["orphans", "-t", "mnt"]).ok().text().contains(&format!(":[{uts}] is held")));
}

fn fail() {
    let (actor, uts) = with_orphan();
    let ran = run_lxkns(["orphans", "--fail", "-t", "uts"]);
    let code = if super::sees_all_members() { 4 } else { 0 };
    assert_eq!((ran.code, ran.problems()), (Some(code), vec![]), "{ran:?}");
    assert!(ran.text().contains(&format!("uts:[{uts}]")), "{ran:?}");
    drop(actor);
    // A host without any, as a dump has it.
    let dump = run_lxkns(["dump"]).ok().json();
    let mut none = dump;
    none["namespaces"] = serde_json::json!({});
    none["processes"] = serde_json::json!({});
    none["mounts"] = serde_json::json!({});
    let ran = run_lxkns_with(&["orphans", "--fail", "--from", "-"], none.to_string().as_bytes());
    assert_eq!((ran.code, ran.text()), (Some(0), ""));
    let ran = run_lxkns_with(&["orphans", "--fail", "--json", "--from", "-"], none.to_string().as_bytes());
    assert_eq!((ran.code, ran.results()), (Some(0), vec![]));
}

/// Names that were given on purpose are told apart, and what is above a namespace that somebody is in is no orphan: on a
/// host with nothing else, nothing is left over.
fn what_a_healthy_host_has() {
    let private = ["unshare", "--mount", "--propagation", "private"];
    alone_through(&private, "cli::orphans::what_a_healthy_host_has", || {
        // What is below is seen by nobody else.
        rustix::mount::mount("none", "/run", c"tmpfs", rustix::mount::MountFlags::empty(), None).unwrap();
        assert!(std::process::Command::new("ip").args(["netns", "add", "lxkns-x"]).status().unwrap().success());
        let named = inode("/run/netns/lxkns-x");
        let actor = Actor::spawn_in(&["user"]);
        let above = actor.ns_inode("user");
        actor.unshare(&["user", "uts"]);
        let dump = run_lxkns(["dump"]).ok().json();
        // Without what others have left over.
        let of = |dump: &Value, keep: &[u64]| {
            let mut dump = dump.clone();
            let namespaces = dump["namespaces"].as_object_mut().unwrap();
            let has_tasks = |namespace: &Value| namespace["leaders"].as_array().is_some_and(|pids| !pids.is_empty());
            let is_kept = |ino: &str| keep.iter().any(|kept| kept.to_string() == ino);
            namespaces.retain(|ino, namespace| has_tasks(namespace) || is_kept(ino));
            run_lxkns_with(&["orphans", "--fail", "--json", "--from", "-"], dump.to_string().as_bytes())
        };
        assert!(dump["namespaces"].get(above.to_string()).is_some());
        let ran = of(&dump, &[named, above]);
        let answers = ran.results();
        assert_eq!((ran.code, answers.len()), (Some(0), 1), "{ran:?}");
        assert_eq!(
            (&answers[0]["namespace"]["nsid"], &answers[0]["name"]),
            (&named.into(), &"/run/netns/lxkns-x".into())
        );
        // One that is left over.
        let fd = actor.open("/proc/self/ns/uts", Open::ReadOnly);
        let left = actor.ns_inode("uts");
        actor.unshare(&["uts"]);
        let ran = of(&run_lxkns(["dump"]).ok().json(), &[named, above, left]);
        let answers = ran.results();
        assert_eq!((ran.code, answers.len()), (Some(4), 2), "{fd}: {ran:?}");
        assert_eq!((&answers[0]["namespace"]["nsid"], &answers[0]["name"]), (&left.into(), &Value::Null));
        let text = run_lxkns(["orphans", "-t", "net"]).ok().text().to_owned();
        let names = text.split("named on purpose, not leaks").nth(1).unwrap();
        assert!(names.contains(&format!("net:[{named}] (lxkns-x) is held by")), "{text}");
    });
}

fn of(answers: &[Value], ino: u64) -> Option<&Value> {
    answers.iter().find(|answer| answer["namespace"]["nsid"] == ino)
}

fn as_json() {
    let (actor, uts) = with_orphan();
    let look = || run_lxkns(["orphans", "--json"]).ok().results();
    let is_undisturbed =
        |answers: &Vec<Value>| of(answers, uts).is_some_and(|it| it["holders"].as_array().unwrap().len() == 1);
    let answers = look_until(is_undisturbed, look);
    answers.iter().for_each(assert_documented);
    let answer = of(&answers, uts).unwrap();
    assert_eq!((&answer["target"], &answer["keeper-found"]), (&format!("uts:{uts}").into(), &true.into()));
    assert_eq!(answer["members-seen"], super::sees_all_members());
    assert_eq!(answer["namespace"]["leaders"], serde_json::json!([]));
    let holder = &answer["holders"][0];
    assert_eq!((&holder["kind"], &holder["pid"]), (&"fd".into(), &actor.pid().into()));
    assert!(release(holder).ends_with(", or exits"), "{holder}");
    assert_eq!(of(&answers, actor.ns_inode("uts")), None);
}

/// The suspect of an orphan that is this descriptor.
fn suspect_of(answers: &[Value], ino: u64, pid: u32, fd: i32) -> Option<&Value> {
    let suspects = of(answers, ino)?["suspects"].as_array()?;
    suspects.iter().find(|suspect| suspect["pid"] == pid && suspect["fd"] == fd)
}

/// The kernel reader knows what is in flight: it is a holder, and no suspect.
const BY_PROCFS: &str = "--reader=proc";

/// What holds an orphan is told, and also what may hold it when that has let go.
fn suspects() {
    let (actor, uts) = with_orphan();
    let copy = actor.open("/proc/self/ns/uts", Open::ReadOnly);
    let (_, receiver) = actor.send_fd_in_flight(copy);
    let answers = run_lxkns(["orphans", BY_PROCFS, "--json", "--all", "-t", "uts"]).ok().results();
    answers.iter().for_each(assert_documented);
    assert_eq!(of(&answers, uts).unwrap()["keeper-found"], true);
    let suspect = suspect_of(&answers, uts, actor.pid(), receiver).expect("beside the holder");
    assert_eq!(suspect["kind"], "in-flight");
    let ran = run_lxkns(["orphans", BY_PROCFS, "--all", "-t", "uts"]).ok();
    let told = group(&ran, "suspects for uts namespaces: each may hold one of the above, or another one, or none");
    let line = format!("fd {receiver} of process {} (", actor.pid());
    assert!(told.iter().any(|told| told.contains("in flight to a UNIX socket") && told.contains(&line)), "{ran:?}");
}

/// A mount namespace that the kernel lists, and that only a descriptor in flight holds.
fn suspects_of_what_nothing_holds() {
    let actor = Actor::spawn_in(&["mnt"]);
    let left = actor.ns_inode("mnt");
    let fd = actor.open("/proc/self/ns/mnt", Open::ReadOnly);
    let (_, receiver) = actor.send_fd_in_flight(fd);
    actor.close(fd);
    actor.unshare(&["mnt"]);
    let is_settled = |answers: &Vec<Value>| of(answers, left).is_some_and(|orphan| orphan["keeper-found"] == false);
    let answers =
        look_until(is_settled, || run_lxkns(["orphans", BY_PROCFS, "--json", "--all", "-t", "mnt"]).ok().results());
    assert!(is_settled(&answers), "{answers:?}");
    assert!(suspect_of(&answers, left, actor.pid(), receiver).is_some(), "{answers:?}");
    let line = format!("  mnt:[{left}]: its holder is a suspect of its type, below, or not visible");
    let has_it = |ran: &Ran| group(ran, "no visible holder").contains(&line.as_str());
    let ran = look_until(has_it, || run_lxkns(["orphans", BY_PROCFS, "--all", "-t", "mnt"]).ok());
    let told = group(&ran, "suspects for mnt namespaces");
    assert!(told.iter().any(|told| told.contains(&format!("fd {receiver} of process {} (", actor.pid()))), "{ran:?}");
    assert!(told.iter().any(|told| told.starts_with("  not visible on any kernel: ")), "{ran:?}");
}

/// A namespace that only a message holds is found with what holds it, however few processes there are: no other reader does.
fn in_flight_alone() {
    let actor = Actor::spawn_in(&["user", "uts"]);
    let left = actor.ns_inode("uts");
    let fd = actor.open("/proc/self/ns/uts", Open::ReadOnly);
    let (_, receiver) = actor.send_fd_in_flight(fd);
    actor.close(fd);
    actor.unshare(&["uts"]);
    let look = || run_lxkns(["orphans", "--json", "--all", "-t", "uts"]).ok().results();
    let is_told = |answers: &Vec<Value>| of(answers, left).is_some_and(|orphan| orphan["keeper-found"] == true);
    let answers = look_until(is_told, look);
    let orphan = of(&answers, left).unwrap_or_else(|| panic!("{answers:?}"));
    let holder = &orphan["holders"][0];
    assert_eq!(
        (&holder["kind"], &holder["pid"], &holder["fd"]),
        (&"in-flight".into(), &actor.pid().into(), &receiver.into())
    );
}

fn of_a_dump() {
    let (actor, uts) = with_orphan();
    let heading = format!("held by process {} (", actor.pid());
    let dump = run_lxkns(["dump"]).ok().stdout;
    let read = run_lxkns_with(&["orphans", "--from", "-"], &dump).ok();
    let read = group(&read, &heading);
    assert!(read.len() >= 4 && read[1].contains(&uts.to_string()), "{read:?}");
    let live = look_until(|ran: &Ran| group(ran, &heading) == read, || run_lxkns(["orphans"]).ok());
    assert_eq!(group(&live, &heading), read);
}
