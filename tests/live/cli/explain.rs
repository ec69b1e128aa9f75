//! `lxkns explain`: each reason is provoked, told with its error, and confirmed by the process's own call; and the change that
//! is told makes the call succeed.

use lxkns_fixture::{Actor, probe};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags};
use serde_json::{Value, json};

use super::assert_documented;
use super::terminal::all_on_terminal;
use crate::harness::Need::{self, File, Kernel, NamespaceType, Root, UserNamespaces};
use crate::harness::{Test, lxkns, test};
use crate::live::processes::{Cgroup, hierarchy};
use crate::live::program::{Ran, run_lxkns, run_lxkns_with};
use crate::live::{directory, look_until};

const TERMINAL: &[Need] = &[UserNamespaces, File("/dev/ptmx"), File("/dev/pts/ptmx")];

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("cli::explain::limits", &[UserNamespaces], limits),
        test("cli::explain::limits_in_use", &[UserNamespaces], limits_in_use),
        test("cli::explain::nested_users", &[UserNamespaces], nested_users),
        test("cli::explain::nested_pids", &[UserNamespaces], nested_pids),
        test("cli::explain::chroot", &[UserNamespaces, Kernel(5, 8)], chroot),
        test("cli::explain::unmapped", &[UserNamespaces], unmapped),
        test("cli::explain::capabilities", &[UserNamespaces], capabilities),
        test("cli::explain::threads", &[UserNamespaces, NamespaceType("time")], threads),
        test("cli::explain::one_thread", &[UserNamespaces], one_thread),
        test("cli::explain::shared_memory", &[UserNamespaces, NamespaceType("time")], shared_memory),
        test("cli::explain::shared_directories", &[Root, UserNamespaces], shared_directories),
        test("cli::explain::pid_for_children", &[UserNamespaces], pid_for_children),
        // Who is in there must be readable.
        test("cli::explain::ended_init", &[UserNamespaces, Root], ended_init),
        test("cli::explain::entering", &[Root, UserNamespaces], entering),
        test("cli::explain::entering_several", &[Root, UserNamespaces, Kernel(5, 8)], entering_several),
        test("cli::explain::process_limit", &[UserNamespaces], process_limit),
        test("cli::explain::control_groups", &[UserNamespaces, Root], control_groups),
        test("cli::explain::filters", &[UserNamespaces], filters),
        test("cli::explain::the_caller", &[UserNamespaces], the_caller),
        test("cli::explain::the_caller_on_a_terminal", TERMINAL, the_caller_on_a_terminal),
        test("cli::explain::of_a_dump", &[UserNamespaces], of_a_dump),
        test("cli::explain::text_and_usage", &[UserNamespaces], text_and_usage),
    ]
}

#[track_caller]
fn ask(actor: &Actor, action: &str) -> Ran {
    run_lxkns(["explain", "--json", "-p", &actor.pid().to_string(), action])
}

/// The answer, whose exit code says the same.
#[track_caller]
fn explain(actor: &Actor, action: &str) -> Value {
    let ran = ask(actor, action);
    let answer = ran.answer();
    assert_documented(&answer);
    let code = match answer["verdict"].as_str().unwrap() {
        "succeeds" => 0,
        "fails" => 4,
        _ => 3,
    };
    assert_eq!(ran.code, Some(code), "{answer:#}");
    answer
}

/// Checks that an action is told to fail with the error that the process's own call gives, first of all for this reason.
#[track_caller]
fn fails(actor: &Actor, action: &str, kind: &str, call: impl Fn(&Actor) -> std::io::Result<()>) -> Value {
    let answer = explain(actor, action);
    assert_eq!(answer["verdict"], "fails", "{answer:#}");
    let first = answer["obstacles"].as_array().unwrap().iter().find(|it| it["certain"] == true).unwrap();
    assert_eq!(first["kind"], kind, "{answer:#}");
    let error = call(actor).expect_err("the kernel does it");
    let errno = Errno::from_io_error(&error).unwrap();
    let known = lxkns_core::model::Errno::new(errno.raw_os_error()).and_then(lxkns_core::model::Errno::name);
    assert_eq!(answer["errno"], json!(known), "{errno:?}: {answer:#}");
    first.clone()
}

/// Checks that it is told to succeed, and does.
#[track_caller]
fn succeeds(actor: &Actor, action: &str, call: impl Fn(&Actor) -> std::io::Result<()>) {
    // While other programs look into namespaces, it is not known of them whether they share its directories.
    let answer = look_until(|answer: &Value| answer["verdict"] == "succeeds", || explain(actor, action));
    assert_eq!((&answer["verdict"], &answer["errno"]), (&json!("succeeds"), &Value::Null), "{answer:#}");
    call(actor).unwrap_or_else(|error| panic!("{error}: {answer:#}"));
}

fn unshare(types: &'static [&str]) -> impl Fn(&Actor) -> std::io::Result<()> {
    move |actor| actor.try_unshare(types)
}

fn clone_in(types: &'static [&str]) -> impl Fn(&Actor) -> std::io::Result<()> {
    move |actor| actor.try_clone_in(types)
}

/// An actor in a user namespace and a mount namespace of its own. The user namespace has a single UID, so that those who
/// cannot be read are known to be elsewhere.
fn apart() -> Actor {
    let actor = Actor::spawn();
    actor.unshare(&["user", "mnt"]);
    if probe::is_root() {
        actor.map_ids(&[(0, 0, 1)]);
    } else {
        actor.map_root();
    }
    actor.make_mounts_private();
    actor
}

fn set_max(actor: &Actor, ns_type: &str, max: &str) {
    actor.write_file(format!("/proc/sys/user/max_{ns_type}_namespaces"), max.as_bytes());
}

fn limits() {
    let top = Actor::spawn_in(&["user"]);
    let below = top.fork();
    below.unshare(&["user"]);
    below.map_root();
    set_max(&top, "net", "0");
    // In the user namespace of the process, and in an ancestor of that.
    for actor in [&top, &below] {
        let reason = fails(actor, "unshare --net", "limit", unshare(&["net"]));
        let because = reason["because"].as_str().unwrap();
        assert_eq!(because, format!("user.max_net_namespaces is 0 in user:[{}]", top.ns_inode("user")));
        // More than one where the owner of another's network namespace cannot be told.
        let change = reason["change"].as_str().unwrap();
        let most = change.strip_prefix("`sysctl -w user.max_net_namespaces=").and_then(|rest| rest.split('`').next());
        assert!(most.is_some_and(|most| most.parse::<u32>().is_ok_and(|most| most > 0)), "{reason}");
        fails(actor, "clone --net", "limit", clone_in(&["net"]));
        fails(actor, "unshare -Un", "limit", unshare(&["user", "net"]));
        succeeds(&actor.fork(), "unshare --uts", unshare(&["uts"]));
    }
    // More than the network namespaces of others whose owner cannot be told.
    set_max(&top, "net", "1000");
    succeeds(&below, "unshare --net", unshare(&["net"]));
    set_max(&top, "user", "0");
    fails(&top.fork(), "unshare --user", "limit", unshare(&["user"]));
}

/// Of user namespaces the kernel tells who created them.
fn limits_in_use() {
    let top = Actor::spawn_in(&["user"]);
    let first = top.fork();
    first.unshare(&["user"]);
    set_max(&top, "user", "1");
    let other = top.fork();
    let reason = fails(&other, "unshare --user", "limit", unshare(&["user"]));
    assert!(reason["because"].as_str().unwrap().contains(", and 1 of "), "{reason}");
    // The number in the change is the smallest that will do.
    assert!(reason["change"].as_str().unwrap().contains("user.max_user_namespaces=2`"), "{reason}");
    set_max(&top, "user", "2");
    succeeds(&other, "unshare --user", unshare(&["user"]));
    // Who created a network namespace is not told.
    let third = top.fork();
    third.unshare(&["net"]);
    set_max(&top, "net", "1");
    let answer = explain(&top, "unshare --net");
    assert_eq!((&answer["verdict"], &answer["obstacles"][0]["kind"]), (&json!("not-known"), &json!("limit")));
}

fn nested_users() {
    let actor = Actor::spawn();
    let mut depth = 0;
    while actor.try_unshare(&["user"]).is_ok() {
        actor.map_root();
        depth += 1;
        assert!(depth < 40, "the kernel nests them without end");
    }
    let reason = fails(&actor, "unshare --user", "depth", unshare(&["user"]));
    assert!(reason["because"].as_str().unwrap().contains("nested 33 deep"), "{reason}");
}

fn nested_pids() {
    let mut actors = vec![Actor::spawn_in(&["user"])];
    while actors.last().unwrap().try_unshare(&["pid"]).is_ok() {
        let child = actors.last().unwrap().fork();
        actors.push(child);
        assert!(actors.len() < 40, "the kernel nests them without end");
    }
    let last = actors.last().unwrap();
    let reason = fails(last, "unshare --pid", "depth", unshare(&["pid"]));
    assert!(reason["because"].as_str().unwrap().contains("nested 32 deep"), "{reason}");
    fails(last, "clone --pid", "depth", clone_in(&["pid"]));
    // Children before their parents.
    while actors.pop().is_some() {}
}

fn chroot() {
    let directory = directory();
    let top = apart();
    let inside = top.fork();
    inside.chroot(directory.path());
    inside.chdir("/");
    let reason = fails(&inside, "unshare --user", "chroot", unshare(&["user"]));
    let mnt = format!("mnt:[{}] (chroot)", top.ns_inode("mnt"));
    assert!(reason["because"].as_str().unwrap().ends_with(&mnt), "{reason}");
    succeeds(&inside, "unshare --uts", unshare(&["uts"]));
    // A mount point is the root of a mount, and not that of the mount namespace.
    top.mount("tmpfs", directory.path());
    let at_mount = top.fork();
    at_mount.chroot(directory.path());
    fails(&at_mount, "unshare --user", "chroot", unshare(&["user"]));
    succeeds(&top, "unshare --user", unshare(&["user"]));
}

fn unmapped() {
    let actor = Actor::spawn();
    actor.unshare(&["user"]);
    let reason = fails(&actor, "unshare --user", "unmapped", unshare(&["user"]));
    assert!(reason["change"].as_str().unwrap().contains(&format!("/proc/{}/uid_map", actor.pid())), "{reason}");
    succeeds(&actor, "unshare --uts", unshare(&["uts"]));
    actor.map_root();
    succeeds(&actor, "unshare --user", unshare(&["user"]));
}

fn capabilities() {
    const SYS_ADMIN: u64 = 1 << 21;
    let top = Actor::spawn_in(&["user"]);
    let powerless = top.fork();
    powerless.drop_all_caps();
    for (option, ns_type) in [("--net", &["net"] as &'static [&str]), ("--mount", &["mnt"]), ("--pid", &["pid"])] {
        fails(&powerless, &format!("unshare {option}"), "capability", unshare(ns_type));
        fails(&powerless, &format!("clone {option}"), "capability", clone_in(ns_type));
    }
    // What can be raised is told, and does when it is.
    let careful = top.fork();
    careful.set_permitted_and_effective(SYS_ADMIN, 0);
    let reason = fails(&careful, "unshare --net", "capability", unshare(&["net"]));
    assert!(reason["because"].as_str().unwrap().contains("is permitted but not effective"), "{reason}");
    careful.set_permitted_and_effective(SYS_ADMIN, SYS_ADMIN);
    succeeds(&careful, "unshare --net", unshare(&["net"]));
    // The change that is told: a user namespace with it.
    succeeds(&powerless, "unshare --user --net", unshare(&["user", "net"]));
}

fn threads() {
    let top = Actor::spawn_in(&["user"]);
    let below = top.fork();
    below.unshare(&["user", "time"]);
    let inside = below.fork();
    let actor = top.fork();
    let thread = actor.thread();
    let reason = fails(&actor, "unshare --user", "threads", unshare(&["user"]));
    assert_eq!(reason["because"], "the process has 2 threads");
    for (ns_type, kind) in [("user", "threads"), ("time", "threads")] {
        let fd = actor.give_fd(inside.open_ns(ns_type));
        let target = format!("setns {}/{ns_type}", inside.pid());
        fails(&actor, &target, kind, |actor| actor.try_setns(fd, ns_type));
        actor.close(fd);
    }
    // Types that do not mind, and a child, which has one thread.
    succeeds(&actor, "unshare --net", unshare(&["net"]));
    succeeds(&actor, "clone --user", clone_in(&["user"]));
    succeeds(&actor.fork(), "unshare --user", unshare(&["user"]));
    drop(thread);
}

/// A thread has credentials and namespaces of its own, which count for what it does itself.
fn one_thread() {
    let actor = Actor::spawn_in(&["user"]);
    let thread = actor.thread();
    let tid = thread.tid().to_string();
    let ask = |id: &str| run_lxkns(["explain", "--json", "-p", id, "unshare --net"]).answer();
    assert_eq!(ask(&tid)["verdict"], "succeeds");
    thread.drop_all_caps();
    let answer = ask(&tid);
    assert_eq!((&answer["verdict"], &answer["errno"]), (&json!("fails"), &json!("EPERM")), "{answer:#}");
    assert_eq!(answer["process"]["pid"], actor.pid(), "{answer:#}");
    assert_eq!(answer["process"]["tid"], thread.tid(), "{answer:#}");
    let text = run_lxkns(["explain", "-p", &tid, "unshare --net"]);
    assert!(text.text().starts_with(&format!("process {}, thread {tid} (", actor.pid())), "{text:?}");
    assert!(thread.try_unshare(&["net"]).is_err(), "the kernel says so too");
    let caps = run_lxkns(["caps", "--json", &format!("{}/user", actor.pid()), "-p", &tid]).answer();
    assert_eq!(caps["capabilities"], json!([]), "{caps:#}");
    let process = actor.pid().to_string();
    assert_eq!(ask(&process)["verdict"], "succeeds");
    assert!(ask(&process)["process"]["tid"].is_null());
    actor.unshare(&["net"]);
    let dump = run_lxkns(["dump"]).ok();
    let answer = run_lxkns_with(
        &["explain", "--json", "--from", "-", "-p", &tid, &format!("setns {}/net", actor.pid())],
        dump.text().as_bytes(),
    );
    assert_ne!(answer.answer()["verdict"], "succeeds", "a dump has no credentials of threads");
}

/// Who shares its memory, and not only its threads, keeps it out of time namespaces.
fn shared_memory() {
    let top = Actor::spawn_in(&["user"]);
    let below = top.fork();
    below.unshare(&["user", "time"]);
    let inside = below.fork();
    let actor = top.fork();
    let fd = actor.give_fd(inside.open_ns("time"));
    let target = format!("setns {}/time", inside.pid());
    actor.share_memory();
    let reason = fails(&actor, &target, "shared-memory", |actor| actor.try_setns(fd, "time"));
    assert_eq!(reason["because"], "another process shares its memory (CLONE_VM)");
    let child = actor.fork();
    succeeds(&child, &target, |child| child.try_setns(fd, "time"));
}

/// A child that shares the root directory, which no other tool shows.
fn shared_directories() {
    let actor = apart();
    let other = actor.fork();
    other.unshare(&["mnt"]);
    let target = format!("setns {}/mnt", other.pid());
    let fd = actor.give_fd(other.open_ns("mnt"));
    actor.share_fs();
    let reason = fails(&actor, &target, "shared-fs", |actor| actor.try_setns(fd, "mnt"));
    assert!(reason["because"].as_str().unwrap().contains(" with process "), "{reason}");
    assert_eq!(reason["change"], "call unshare(CLONE_FS) first");
    let below = actor.fork();
    below.unshare(&["user"]);
    let user = actor.give_fd(below.open_ns("user"));
    fails(&actor, &format!("setns {}/user", below.pid()), "shared-fs", |actor| actor.try_setns(user, "user"));
    // A new user namespace comes with directories of its own.
    succeeds(&actor.fork(), "unshare --user", unshare(&["user"]));
    actor.unshare_fs();
    succeeds(&actor, &target, |actor| actor.try_setns(fd, "mnt"));
}

fn pid_for_children() {
    let actor = Actor::spawn_in(&["user"]);
    succeeds(&actor, "unshare --pid --fork", unshare(&["pid"]));
    let reason = fails(&actor, "unshare --pid", "pid", unshare(&["pid"]));
    assert_eq!(reason["change"], "fork first, then do it in the child");
    fails(&actor, "clone --pid", "pid", clone_in(&["pid"]));
    let child = actor.fork();
    succeeds(&child, "unshare --pid", unshare(&["pid"]));
}

fn ended_init() {
    let top = Actor::spawn_in(&["user", "pid"]);
    let actor = top.fork();
    actor.unshare(&["pid"]);
    // Without a first process it has none that could have ended.
    let init = actor.fork();
    succeeds(&actor, "fork", clone_in(&[]));
    drop(init);
    let reason = fails(&actor, "fork", "pid", clone_in(&[]));
    assert!(reason["change"].as_str().unwrap().contains("setns(2)"), "{reason}");
    fails(&actor, "clone --net", "pid", clone_in(&["net"]));
    let fd = actor.give_fd(actor.open_ns("pid"));
    actor.setns(fd, "pid");
    succeeds(&actor, "fork", clone_in(&[]));
}

fn entering() {
    const SYS_ADMIN: u64 = 1 << 21;
    let top = apart();
    let in_new = |actor: &Actor, types: &[&str]| {
        let child = actor.fork();
        child.unshare(types);
        child
    };
    let setns = |actor: &Actor, of: &Actor, ns_type: &'static str, kind: Option<&str>| {
        let fd = actor.give_fd(of.open_ns(ns_type));
        let action = format!("setns {ns_type}:{}", of.ns_inode(ns_type));
        match kind {
            Some(kind) => drop(fails(actor, &action, kind, |actor| actor.try_setns(fd, ns_type))),
            None => succeeds(actor, &action, |actor| actor.try_setns(fd, ns_type)),
        }
    };
    let [left, right] = [(); 2].map(|()| in_new(&top, &["user", "net", "uts"]));
    setns(&left, &right, "net", Some("capability"));
    setns(&left, &right, "user", Some("capability"));
    setns(&left, &top, "user", Some("capability"));
    setns(&left, &left, "user", Some("same"));
    setns(&top.fork(), &left, "uts", None);
    setns(&top.fork(), &left, "user", None);
    // A mount namespace takes CAP_SYS_CHROOT too, a network namespace does not.
    let other = in_new(&top, &["mnt", "net"]);
    let limited = top.fork();
    limited.set_caps(SYS_ADMIN);
    setns(&limited, &other, "mnt", Some("capability"));
    setns(&limited, &other, "net", None);
    // Only a PID namespace of one's own or below.
    let [one, two] = [(); 2].map(|()| in_new(&top, &["pid"]));
    let [inside_one, inside_two] = [one.fork(), two.fork()];
    setns(&inside_one, &inside_two, "pid", Some("pid"));
    setns(&top, &inside_two, "pid", None);
}

fn entering_several() {
    let top = apart();
    let inside = top.fork();
    inside.unshare(&["user", "mnt", "net", "uts"]);
    let names = ["user", "mnt", "net", "uts"];
    let action = format!("setns {}", inside.pid());
    let pidfd = rustix::process::pidfd_open(Pid::from_raw(inside.pid() as i32).unwrap(), PidfdFlags::empty()).unwrap();
    let call = |actor: &Actor| {
        let fd = actor.try_give_fd(&pidfd)?;
        actor.try_setns_of(fd, &names)
    };
    let sibling = top.fork();
    sibling.unshare(&["user"]);
    fails(&sibling, &action, "capability", call);
    let sharing = top.fork();
    sharing.share_fs();
    fails(&sharing, &action, "shared-fs", call);
    let enters = top.fork();
    assert_eq!(
        explain(&enters, &action)["calls"],
        json!(["setns(CLONE_NEWNS|CLONE_NEWUTS|CLONE_NEWUSER|CLONE_NEWNET)"])
    );
    succeeds(&enters, &action, call);
}

fn process_limit() {
    let actor = Actor::spawn();
    actor.unshare(&["user"]);
    if probe::is_root() {
        // Root on the host is exempt.
        actor.map_ids(&[(0, 100_000, 10)]);
        actor.setgid(0);
        actor.setuid(0);
    } else {
        actor.map_root();
    }
    actor.limit_processes(1);
    let reason = fails(&actor, "fork", "process-limit", clone_in(&[]));
    assert!(reason["because"].as_str().unwrap().starts_with("RLIMIT_NPROC is 1, and "), "{reason}");
    let change = format!("`prlimit --pid {} --nproc=2`", actor.pid());
    assert_eq!(reason["change"], change);
    fails(&actor, "clone --net", "process-limit", clone_in(&["net"]));
    // For itself no limit counts.
    succeeds(&actor, "unshare --net", unshare(&["net"]));
}

fn control_groups() {
    let of_v2 = || hierarchy("cgroup2", "").filter(|top| top.join("cgroup.controllers").exists());
    let Some(top) = hierarchy("cgroup", "pids").or_else(of_v2) else { panic!("no hierarchy is mounted") };
    let group = Cgroup::new(&top, "explain");
    if !group.0.join("pids.max").exists() {
        std::fs::write(top.join("cgroup.subtree_control"), "+pids").unwrap();
    }
    let actor = Actor::spawn_in(&["user"]);
    group.write("pids.max", "1");
    group.write("cgroup.procs", &actor.pid().to_string());
    let reason = fails(&actor, "fork", "cgroup-limit", clone_in(&[]));
    assert!(reason["because"].as_str().unwrap().starts_with("pids.max is 1 in the control group /"), "{reason}");
    succeeds(&actor, "unshare --net", unshare(&["net"]));
    group.write("pids.max", "3");
    succeeds(&actor, "fork", clone_in(&[]));
    drop(actor);
}

/// A filter's verdict is never told, whatever it is; what fails for another reason does.
fn filters() {
    let actor = Actor::spawn_in(&["user"]);
    actor.deny_unshare();
    for action in ["unshare --net", "unshare --user", "clone --net", "fork"] {
        let answer = explain(&actor, action);
        assert_eq!((&answer["verdict"], &answer["errno"]), (&json!("not-known"), &Value::Null), "{answer:#}");
        assert_eq!(answer["obstacles"][0]["kind"], "seccomp");
    }
    assert_eq!(Errno::from_io_error(&actor.try_unshare(&["net"]).unwrap_err()), Some(Errno::PERM));
    actor.clone_in(&["net"]);
    let powerless = actor.fork();
    powerless.drop_all_caps();
    fails(&powerless, "clone --net", "capability", clone_in(&["net"]));
}

/// Without `-p`, the program asks for itself.
fn the_caller() {
    let ran = run_lxkns(["explain", "--json", "unshare", "--uts"]);
    let answer = ran.answer();
    let expected = if probe::has_cap(21) { "succeeds" } else { "fails" };
    assert_eq!((&answer["verdict"], &answer["process"]["name"]), (&json!(expected), &json!("lxkns")), "{answer:#}");
    // The options may stand after the action.
    let actor = Actor::spawn_in(&["user"]);
    let pid = actor.pid().to_string();
    let answer = run_lxkns(["explain", "unshare", "--uts", "-p", &pid, "--json"]).ok().answer();
    assert_eq!(answer["process"]["pid"], actor.pid());
    let answer = run_lxkns(["explain", "setns", "self/user", "--json"]).answer();
    assert_eq!((&answer["verdict"], &answer["obstacles"][0]["kind"]), (&json!("fails"), &json!("same")));
}

/// A thread shows progress there, which is no thread of the caller's.
fn the_caller_on_a_terminal() {
    // One of its own, so others' limits do not count.
    let actor = Actor::spawn_in(&["user"]);
    let mut command = lxkns();
    command.args(["explain", "unshare", "--user"]);
    let text = all_on_terminal(&mut command, 120);
    assert!(text.contains(": unshare(CLONE_NEWUSER)"), "{text}");
    assert!(!text.contains("threads"), "{text}");
    actor.try_unshare(&["user"]).unwrap();
}

fn of_a_dump() {
    let top = Actor::spawn_in(&["user", "net"]);
    let powerless = top.fork();
    powerless.drop_all_caps();
    let dump = run_lxkns(["dump"]).ok().stdout;
    let ask = |actor: &Actor, action: &str| {
        let ran = run_lxkns_with(&["explain", "--json", "--from", "-", "-p", &actor.pid().to_string(), action], &dump);
        (ran.code, ran.answer())
    };
    let (code, answer) = ask(&powerless, "unshare --net");
    assert_eq!((code, &answer["errno"]), (Some(4), &json!("EPERM")), "{answer:#}");
    let (code, answer) = ask(&top, "unshare --net");
    assert_eq!((code, &answer["obstacles"][0]["kind"]), (Some(3), &json!("not-in-dump")), "{answer:#}");
    let (code, _) = ask(&top, &format!("setns net:{}", top.ns_inode("net")));
    assert_eq!(code, Some(0), "a dump has all that decides on that");
    run_lxkns_with(&["explain", "--from", "-", "fork"], &dump).fails(2, "name a process with -p");
}

fn text_and_usage() {
    let actor = Actor::spawn_in(&["user"]);
    actor.drop_all_caps();
    actor.set_comm(b"a\n\x1b[31m");
    let ran = run_lxkns(["explain", "-p", &actor.pid().to_string(), "unshare", "--net"]);
    assert_eq!((ran.code, ran.problems()), (Some(4), vec![]), "{ran:?}");
    let lines: Vec<_> = ran.text().lines().collect();
    assert!(lines[0].starts_with(&format!("process {} (a\\x0a\\x1b[31m) with effective UID ", actor.pid())), "{ran:?}");
    assert!(lines[0].ends_with(": unshare(CLONE_NEWNET)"), "{ran:?}");
    let user = actor.ns_inode("user");
    let expected = format!("  fails with EPERM: no CAP_SYS_ADMIN in the user namespace of the process (user:[{user}])");
    assert_eq!(lines[1], expected);
    assert!(lines[2].starts_with("    change: add a user namespace"), "{ran:?}");
    run_lxkns(["explain", "mount"]).fails(2, "mount: not an action");
    run_lxkns(["explain", "unshare", "-x"]).fails(2, "-x: not an option of unshare(1)");
    run_lxkns(["explain", "fork", "-p", "4194304"]).fails(1, "4194304: no such process");
    run_lxkns(["explain", "fork", "-p", "0"]).fails(2, "from 1 to 4194304");
    run_lxkns(["explain", "setns", "/nowhere/at/all"]).fails(1, "/nowhere/at/all");
}
