//! `lxkns caps`: the capabilities of a process in a namespace, against what the kernel lets that process do.

use std::collections::BTreeSet;
use std::fs::File;
use std::process::Command;

use lxkns_fixture::{Actor, probe};
use rustix::io::Errno;
use serde_json::Value;

use super::assert_documented;
use crate::harness::Need::{Program, Root, UserNamespaces};
use crate::harness::{Test, lxkns, test};
use crate::live::own_inode;
use crate::live::program::{run, run_lxkns, run_lxkns_with};

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("cli::caps::what_the_kernel_allows", &[UserNamespaces], what_the_kernel_allows),
        test("cli::caps::another_user", &[UserNamespaces, Root], another_user),
        test("cli::caps::some_capabilities", &[Root, Program("setpriv"), Program("unshare")], some_capabilities),
        test("cli::caps::text", &[UserNamespaces], text),
        test("cli::caps::from_within", &[UserNamespaces, Program("nsenter")], from_within),
        test("cli::caps::of_a_dump", &[UserNamespaces], of_a_dump),
        test("cli::caps::a_pid_alone", &[UserNamespaces], a_pid_alone),
        test("cli::caps::missing", &[UserNamespaces], missing),
    ]
}

/// What is said of a process and a namespace.
#[track_caller]
fn caps(pid: u32, ino: u64) -> Value {
    let answers = run_lxkns(["caps", "--json", "-p", &pid.to_string(), &ino.to_string()]).ok().answer_to("caps");
    assert_eq!(answers.as_array().unwrap().len(), 1, "{answers}");
    assert_documented(&answers);
    answers[0].clone()
}

fn has(answer: &Value, capability: &str) -> bool {
    answer["capabilities"].as_array().unwrap().iter().any(|name| name == capability)
}

/// Whether the kernel lets a process act in a user namespace as only `CAP_SYS_ADMIN` there lets it: enter it; or, where it
/// is in it, make a namespace that this owns. A child of it tries.
#[track_caller]
fn kernel_allows(subject: &Actor, user: &File, is_in_it: bool) -> bool {
    let child = subject.fork();
    let tried = if is_in_it {
        child.try_unshare(&["uts"])
    } else {
        let fd = child.give_fd(user);
        child.try_setns(fd, "user")
    };
    match tried {
        Ok(()) => true,
        Err(error) => {
            assert_eq!(Errno::from_io_error(&error), Some(Errno::PERM), "{error}");
            false
        }
    }
}

/// A child that is in user and UTS namespaces of its own.
fn below(actor: &Actor) -> Actor {
    let child = actor.fork();
    child.unshare(&["user", "uts"]);
    child.map_root();
    child
}

/// Checks that of each of these processes what is said is what the kernel does, in the user namespaces of all of `owners`
/// and in the UTS namespaces that those own; and that these reasons, and no others, are given.
#[track_caller]
fn check(subjects: &[&Actor], owners: &[&Actor], expected: &[&str]) {
    let mut reasons = BTreeSet::new();
    for subject in subjects {
        for owner in owners {
            let [user, uts] = ["user", "uts"].map(|name| owner.ns_inode(name));
            let allowed = kernel_allows(subject, &owner.open_ns("user"), user == subject.ns_inode("user"));
            let answers = [user, uts].map(|ino| caps(subject.pid(), ino));
            for answer in &answers {
                assert_eq!(has(answer, "CAP_SYS_ADMIN"), allowed, "{answer}");
                assert_eq!(answer["userns"], user);
                assert_eq!(answer["process"]["userns"], subject.ns_inode("user"));
            }
            assert_eq!(answers[0]["reason"], answers[1]["reason"]);
            reasons.insert(answers[0]["reason"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(reasons.iter().collect::<Vec<_>>(), expected);
}

fn what_the_kernel_allows() {
    let top = Actor::spawn_in(&["user", "uts"]);
    let left = below(&top);
    let right = below(&top);
    let deep = below(&left);
    let powerless: Vec<_> = [&top, &left, &deep]
        .map(|actor| {
            let child = actor.fork();
            child.drop_all_caps();
            child
        })
        .into();
    let subjects = [&top, &left, &right, &deep, &powerless[0], &powerless[1], &powerless[2]];
    check(&subjects, &[&top, &left, &right, &deep], &["creator", "elsewhere", "member"]);
    // Without any capability it still has all in what its user created, and none where it is.
    let answer = caps(powerless[0].pid(), deep.ns_inode("user"));
    assert_eq!((&answer["reason"], &answer["created-userns"]), (&"creator".into(), &left.ns_inode("user").into()));
    assert!(answer["all"] == true && has(&answer, "CAP_NET_ADMIN"), "{answer}");
    let answer = caps(powerless[1].pid(), left.ns_inode("uts"));
    assert_eq!((&answer["reason"], answer["capabilities"].as_array().unwrap().len()), (&"member".into(), 0));
}

/// Who created a user namespace matters, and who one is effectively.
fn another_user() {
    let top = Actor::spawn_in(&["user", "uts"]);
    let by_root = below(&top);
    let user = top.fork();
    user.setuid(1000);
    let by_user = user.fork();
    by_user.unshare(&["user", "uts"]);
    // From the parent, for a process that has changed its UID does not own its own files in procfs.
    for map in ["uid_map", "gid_map"] {
        top.write_file(format!("/proc/{}/{map}", by_user.pid()), b"0 0 65536");
    }
    let below_user = by_user.fork();
    below_user.unshare(&["user", "uts"]);
    let owners = [&top, &by_root, &by_user, &below_user];
    let subjects = [&top, &user, &by_root, &by_user, &below_user];
    check(&subjects, &owners, &["ancestor", "creator", "elsewhere", "member"]);
    let reason = |subject: &Actor, owner: &Actor| caps(subject.pid(), owner.ns_inode("uts"))["reason"].clone();
    assert_eq!(reason(&user, &by_user), "creator");
    assert_eq!(reason(&user, &below_user), "creator");
    assert_eq!(reason(&user, &by_root), "ancestor");
    assert_eq!(reason(&top, &by_user), "ancestor");
    assert_eq!(caps(user.pid(), by_root.ns_inode("user"))["capabilities"], serde_json::json!([]));
}

/// The caller, with all but one of its capabilities.
fn some_capabilities() {
    for (capability, option, is_allowed) in
        [("CAP_SYS_ADMIN", "-sys_admin", false), ("CAP_NET_ADMIN", "-net_admin", true)]
    {
        let without = |program: &std::ffi::OsStr, arguments: &[&str]| {
            let mut command = Command::new("setpriv");
            let bounding = format!("--bounding-set={option}");
            command.arg(bounding).arg(format!("--inh-caps={option}")).arg("--").arg(program).args(arguments);
            command
        };
        let user = own_inode("user").to_string();
        let answer = run(&mut without(lxkns().get_program(), &["caps", "--json", &user]));
        let answer = answer.answer_to("caps")[0].clone();
        assert!(!has(&answer, capability) && has(&answer, "CAP_CHOWN"), "{answer}");
        assert_eq!((&answer["reason"], &answer["process"]["uid"]), (&"member".into(), &0.into()));
        let allowed = run(&mut without("unshare".as_ref(), &["--uts", "true"])).code == Some(0);
        assert_eq!((allowed, has(&answer, "CAP_SYS_ADMIN")), (is_allowed, is_allowed));
        let text = run(&mut without(lxkns().get_program(), &["caps", &user]));
        assert!(text.text().contains("  all but ") && text.text().contains(capability), "{text:?}");
    }
}

fn text() {
    let uid = rustix::process::geteuid().as_raw();
    let top = Actor::spawn_in(&["user", "uts"]);
    let child = top.fork();
    child.drop_all_caps();
    let left = below(&top);
    let right = below(&top);
    let name = |actor: &Actor, ns_type: &str| format!("{ns_type}:[{}]", actor.ns_inode(ns_type));
    let ran = run_lxkns(["caps", "-p", &child.pid().to_string(), &name(&left, "uts")]).ok();
    let lines: Vec<_> = ran.text().lines().collect();
    assert_eq!(lines.len(), 4, "{ran:?}");
    assert!(lines[0].starts_with(&format!("process {} (exe) with effective UID {uid}", child.pid())), "{ran:?}");
    assert!(lines[0].ends_with(&format!(" has in {}", name(&left, "uts"))), "{ran:?}");
    assert_eq!(lines[1], format!("  all: UID {uid} created {}, and the process is in its parent", name(&left, "user")));
    assert!(lines[2].starts_with(&format!("  {} created by UID {uid}", name(&top, "user"))), "{ran:?}");
    assert!(lines[2].ends_with(&format!(": process {} is in it", child.pid())), "{ran:?}");
    assert!(lines[3].starts_with(&format!("  └─{} created by UID {uid}", name(&left, "user"))), "{ran:?}");
    assert!(lines[3].ends_with(&format!(": owns {}", name(&left, "uts"))), "{ran:?}");
    // From the one that both are below down to both.
    let ran = run_lxkns(["caps", "-p", &left.pid().to_string(), &name(&right, "user")]).ok();
    let lines: Vec<_> = ran.text().lines().collect();
    assert_eq!(lines.len(), 5, "{ran:?}");
    assert!(lines[1].starts_with("  none: it is in ") && lines[2].contains(&name(&top, "user")), "{ran:?}");
    assert!(lines[3].starts_with("  ├─user:[") && lines[4].starts_with("  └─user:["), "{ran:?}");
    // Of a process: all that it is in, by who decides.
    let ran = run_lxkns(["caps", "-p", &child.pid().to_string(), &left.pid().to_string()]);
    assert!(ran.text().contains(&format!("{}, {}", name(&left, "uts"), name(&left, "user"))), "{ran:?}");
    // What others chose is escaped.
    child.set_comm(b"a\n\x1b[31m");
    let ran = run_lxkns(["caps", "-p", &child.pid().to_string(), &name(&left, "uts")]).ok();
    assert!(ran.text().contains("(a\\x0a\\x1b[31m)") && ran.text().lines().count() == 4, "{ran:?}");
}

/// Who is in a user namespace does not see what is above, and then nothing is guessed.
fn from_within() {
    let top = Actor::spawn_in(&["user", "uts"]);
    let left = below(&top);
    let within = |arguments: &[&str]| {
        let mut command = Command::new("nsenter");
        command.args(["--user", "--preserve-credentials", "-t", &top.pid().to_string(), "--"]);
        command.arg(lxkns().get_program()).args(arguments);
        run(&mut command)
    };
    let (pid, uts) = (top.pid().to_string(), left.ns_inode("uts").to_string());
    let answer = within(&["caps", "--json", "-p", &pid, &uts]).answer_to("caps")[0].clone();
    assert!(has(&answer, "CAP_SYS_ADMIN"), "{answer}");
    // What this is in is not below the reader's, but may be above it.
    let own = std::process::id().to_string();
    let ran = within(&["caps", "--json", "-p", &own, &uts]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    let answer = ran.answer_to("caps")[0].clone();
    assert_eq!((&answer["reason"], &answer["capabilities"]), (&"not-known".into(), &Value::Null));
    assert!(answer["because"].as_str().unwrap().starts_with("not known: "), "{answer}");
}

fn of_a_dump() {
    let top = Actor::spawn_in(&["user", "uts"]);
    let left = below(&top);
    let dump = run_lxkns(["dump"]).ok().stdout;
    let uts = left.ns_inode("uts").to_string();
    for arguments in [&["caps", "-p", &top.pid().to_string(), &uts][..], &["caps", "--json", "-p", "1", &uts]] {
        let read = run_lxkns_with(&[arguments, &["--from", "-"]].concat(), &dump);
        let live = run_lxkns(arguments);
        assert_eq!(read.code, live.code);
        match arguments.contains(&"--json") {
            // How many processes there are that cannot be read is not the same a moment later.
            true => assert_eq!(read.answer_to("caps"), live.answer_to("caps")),
            false => assert_eq!(read.text(), live.text()),
        }
    }
    run_lxkns_with(&["caps", "--from", "-", &uts], &dump).fails(2, "name a process with -p");
}

/// A PID alone is who is asked about, and not what the caller may do to it; the host's user namespace is among the answers.
fn a_pid_alone() {
    let top = Actor::spawn_in(&["user", "uts"]);
    let powerless = top.fork();
    powerless.drop_all_caps();
    for (actor, has_all) in [(&top, true), (&powerless, false)] {
        let answers = run_lxkns(["caps", "--json", &actor.pid().to_string()]).ok().answer_to("caps");
        let of = |ino: u64| answers.as_array().unwrap().iter().find(|answer| answer["nsid"] == ino).unwrap().clone();
        let own = of(actor.ns_inode("uts"));
        assert_eq!((&own["process"]["pid"], &own["reason"]), (&actor.pid().into(), &"member".into()));
        assert_eq!(has(&own, "CAP_SYS_ADMIN"), has_all, "{own}");
        assert_eq!(has_all, kernel_allows(actor, &actor.open_ns("user"), true));
        // Where the user namespace of the host can be seen at all.
        const HOST: u64 = 4_026_531_837;
        if own_inode("user") == HOST {
            assert_eq!((&of(HOST)["reason"], &of(HOST)["capabilities"]), (&"elsewhere".into(), &serde_json::json!([])));
        }
    }
    let text = run_lxkns(["caps", &powerless.pid().to_string()]).ok();
    let begins = format!("process {} (exe) with effective UID ", powerless.pid());
    assert!(text.text().starts_with(&begins), "{text:?}");
}

fn missing() {
    let actor = Actor::spawn_in(&["user"]);
    let user = actor.ns_inode("user").to_string();
    run_lxkns(["caps", "-p", "4194304", &user]).fails(1, "4194304: no such process");
    run_lxkns(["caps", "4194304"]).fails(1, "4194304: no such process");
    run_lxkns(["caps"]).fails(2, "<TARGET>");
    run_lxkns(["caps", "-p", "0", &user]).fails(2, "from 1 to 4194304");
    // A thread stands for its process, and whoever asks is this program, as root or not.
    let thread = actor.thread();
    thread.unshare(&["net"]);
    assert_eq!(caps(thread.tid(), actor.ns_inode("user"))["process"]["pid"], actor.pid());
    let answer = run_lxkns(["caps", "--json", &own_inode("user").to_string()]).ok().answer_to("caps")[0].clone();
    assert_eq!((&answer["reason"], &answer["process"]["name"]), (&"member".into(), &"lxkns".into()));
    assert_eq!(answer["process"]["uid"], rustix::process::geteuid().as_raw());
    assert_eq!(has(&answer, "CAP_SYS_ADMIN"), probe::has_cap(21));
}
