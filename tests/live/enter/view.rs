//! Namespaces, directories, environment and descriptors: what a command sees around it.

use lxkns_fixture::Actor;

use super::{container, enter};
use crate::harness::Need::{Program, Root, Unprivileged, UserNamespaces};
use crate::harness::{Test, alone, lxkns, test};
use crate::live::program::{run, run_lxkns};
use crate::live::{directory, own_inode};

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("enter::view::all_namespaces", &[UserNamespaces], all_namespaces),
        test("enter::view::as_nsenter", &[UserNamespaces, Program("nsenter")], as_nsenter),
        test("enter::view::single_namespaces", &[UserNamespaces], single_namespaces),
        test("enter::view::only_and_except", &[UserNamespaces], only_and_except),
        test("enter::view::host_network", &[UserNamespaces], host_network),
        test("enter::view::network_of_the_host", &[Root, UserNamespaces, Program("unshare")], network_of_the_host),
        test(
            "enter::view::network_of_nobodys",
            &[Unprivileged, UserNamespaces, Program("unshare")],
            network_of_nobodys,
        ),
        test("enter::view::root_and_cwd", &[UserNamespaces], root_and_cwd),
        test("enter::view::environment", &[UserNamespaces], environment),
        test("enter::view::descriptors", &[UserNamespaces], || alone("enter::view::descriptors", descriptors)),
        test("enter::view::exit_codes", &[UserNamespaces], exit_codes),
        test("enter::view::dry_run", &[UserNamespaces], dry_run),
        test("enter::view::usage", &[], usage),
    ]
}

const ALL: [&str; 7] = ["user", "mnt", "net", "uts", "ipc", "cgroup", "pid"];

/// The namespaces that a command finds itself in.
#[track_caller]
fn links(text: &str) -> Vec<u64> {
    let number = |line: &str| line.split(['[', ']']).nth(1).and_then(|ino| ino.parse().ok());
    text.lines().map(|line| number(line).unwrap_or_else(|| panic!("{text}"))).collect()
}

fn link_paths(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| format!("/proc/self/ns/{name}")).collect()
}

#[track_caller]
fn entered(pid: u32, options: &[&str], names: &[&str]) -> Vec<u64> {
    let paths = link_paths(names);
    let command: Vec<&str> = ["readlink"].into_iter().chain(paths.iter().map(String::as_str)).collect();
    links(enter(pid, options, &command).ok().text())
}

fn all_namespaces() {
    let (_outer, inner) = container(&ALL);
    let expected: Vec<u64> = ALL.iter().map(|name| inner.ns_inode(name)).collect();
    assert_eq!(entered(inner.pid(), &[], &ALL), expected);
    assert!(ALL.iter().zip(&expected).all(|(name, &ino)| ino != own_inode(name)));
}

fn as_nsenter() {
    let (_outer, inner) = container(&ALL);
    let pid = inner.pid().to_string();
    // All of them, as far as it takes privileges to enter one's own once more.
    let single = ["--preserve-credentials", "-U", "-m", "-n", "-u", "-i", "-C", "-p"];
    let all = if lxkns_fixture::probe::is_root() { &["-a"][..] } else { &single };
    let paths = link_paths(&ALL);
    let readlink: Vec<&str> = ["readlink"].into_iter().chain(paths.iter().map(String::as_str)).collect();
    for command in
        [&readlink[..], &["id", "-u"], &["id", "-g"], &["pwd"], &["uname", "-n"], &["cat", "/proc/self/mountinfo"]]
    {
        let theirs =
            run(std::process::Command::new("nsenter").args(all).args(["-r", "-w", "-t", &pid]).args(command)).ok();
        assert_eq!(enter(inner.pid(), &[], command).ok().text(), theirs.text(), "{command:?}");
    }
}

fn single_namespaces() {
    let actor = Actor::spawn_in(&["user", "net", "uts"]);
    let [user, net, uts] = ["user", "net", "uts"].map(|name| format!("{name}:{}", actor.ns_inode(name)));
    let paths = link_paths(&["user", "net", "uts"]);
    // In whichever order: those for which there is no privilege here come after the user namespace.
    let ran = run_lxkns(["enter", &net, &uts, &user, "--", "readlink", &paths[0], &paths[1], &paths[2]]).ok();
    assert_eq!(links(ran.text()), ["user", "net", "uts"].map(|name| actor.ns_inode(name)));
    // Without the user namespace it takes privilege here.
    let net = format!("{}/net", actor.pid());
    let ran = run_lxkns(["enter", &net, "--", "readlink", &paths[0], &paths[1]]);
    if lxkns_fixture::probe::is_root() {
        assert_eq!(links(ran.ok().text()), [own_inode("user"), actor.ns_inode("net")]);
    } else {
        ran.fails(125, "enter net namespace: Operation not permitted");
    }
}

fn only_and_except() {
    let actor = Actor::spawn_in(&["user", "net", "uts"]);
    let names = ["user", "net", "uts"];
    let [user, net, uts] = names.map(|name| actor.ns_inode(name));
    assert_eq!(entered(actor.pid(), &["--only", "user,net"], &names), [user, net, own_inode("uts")]);
    assert_eq!(entered(actor.pid(), &["--except", "net"], &names), [user, own_inode("net"), uts]);
}

/// The network namespace is the host's: asked for by itself it could not be entered after the user namespace.
fn host_network() {
    let actor = Actor::spawn_in(&["user", "uts"]);
    let names = ["user", "uts", "net"];
    assert_eq!(entered(actor.pid(), &[], &names), names.map(|name| actor.ns_inode(name)));
}

/// The program, run by another.
fn through(program: &[&str], arguments: &[&str]) -> std::process::Command {
    let mut command = std::process::Command::new(program[0]);
    command.stdin(std::process::Stdio::null()).args(&program[1..]).arg(lxkns().get_program()).args(arguments);
    command
}

/// The network namespace is the host's and the user namespace is not, but the caller is in other ones. Once in the user
/// namespace there is no privilege over that network, so that one by one, in the order of the user namespace first, it
/// fails. In one call it works; and where there is none, the network comes first.
fn network_of_the_host() {
    let actor = Actor::spawn_in(&["user", "uts"]);
    let names = ["user", "uts", "net"];
    let expected = names.map(|name| actor.ns_inode(name));
    assert_eq!(expected[2], own_inode("net"));
    let (pid, paths) = (actor.pid().to_string(), link_paths(&names));
    let readlink: Vec<&str> = ["readlink"].into_iter().chain(paths.iter().map(String::as_str)).collect();
    let arguments: Vec<&str> = ["enter", &pid, "--"].into_iter().chain(readlink.iter().copied()).collect();
    let elsewhere = ["unshare", "--net"];
    assert_eq!(links(run(&mut through(&elsewhere, &arguments)).ok().text()), expected);
    let mut without = through(&elsewhere, &arguments);
    let denied = [lxkns_fixture::deny::interface("pidfd_open")];
    lxkns_fixture::deny::deny(&mut without, &denied, rustix::io::Errno::NOSYS.raw_os_error()).unwrap();
    assert_eq!(links(run(&mut without).ok().text()), expected);
    let user_first = ["nsenter", "--preserve-credentials", "-U", "-t", &pid, "nsenter", "-n", "-t", &pid, "true"];
    let one_by_one = run(std::process::Command::new("unshare").arg("--net").args(user_first));
    assert_ne!(one_by_one.code, Some(0), "{one_by_one:?}");
}

/// Likewise for who has no privilege over the host's network: from a user namespace beside it, its owner may not even open its
/// namespaces. That is said before anything is entered.
fn network_of_nobodys() {
    let actor = Actor::spawn_in(&["user", "uts"]);
    let pid = actor.pid().to_string();
    let elsewhere = ["unshare", "--user", "--map-root-user", "--net"];
    let ran = run(&mut through(&elsewhere, &["enter", &pid, "--", "true"]));
    // Older kernels refuse it without an error: then the cause is said in words.
    let is_said =
        ran.stderr.contains("namespace: Permission denied") || ran.stderr.contains("namespace: access denied");
    assert!(ran.code == Some(125) && is_said && ran.stderr.contains("CAP_SYS_PTRACE"), "{ran:?}");
}

fn root_and_cwd() {
    let directory = directory();
    let actor = Actor::spawn_in(&["user", "mnt"]);
    actor.chdir(directory.path());
    let text = enter(actor.pid(), &[], &["pwd", "-P"]).ok();
    assert_eq!(text.text().trim_end(), directory.path().to_str().unwrap());
    // Without its mounts one stays where one is.
    let text = enter(actor.pid(), &["--except", "mnt"], &["pwd", "-P"]).ok();
    assert_eq!(text.text().trim_end(), std::env::current_dir().unwrap().to_str().unwrap());
}

fn environment() {
    let actor = Actor::spawn_in(&["user", "mnt"]);
    let with = |options: &[&str]| {
        let mut command = lxkns();
        let pid = actor.pid().to_string();
        command.env("LXKNS_TEST_HERE", "1").arg("enter").arg(pid).args(options).args(["--", "env"]);
        run(&mut command).ok().text().to_owned()
    };
    let names = |text: &str| -> Vec<String> {
        text.lines().filter_map(|line| Some(line.split_once('=')?.0.to_owned())).collect()
    };
    let target = names(&with(&[]));
    assert!(!target.contains(&"LXKNS_TEST_HERE".to_owned()), "{target:?}");
    for name in ["PATH", "HOME", "SHELL"] {
        assert!(target.contains(&name.to_owned()), "{name}: {target:?}");
    }
    assert!(names(&with(&["--env", "host"])).contains(&"LXKNS_TEST_HERE".to_owned()));
    let known = ["PATH", "HOME", "SHELL", "USER", "TERM", "_", "PWD", "SHLVL"];
    let clean = names(&with(&["--env=clean"]));
    assert!(clean.iter().all(|name| known.contains(&name.as_str())), "{clean:?}");
    enter(actor.pid(), &["--except", "mnt", "--env", "target"], &["env"]).fails(125, "environment of the target");
}

fn descriptors() {
    let actor = Actor::spawn_in(&["user", "mnt"]);
    let (first, second) = std::io::pipe().unwrap();
    let numbers = [&first as &dyn std::os::fd::AsRawFd, &second].map(|fd| fd.as_raw_fd());
    for fd in [std::os::fd::AsFd::as_fd(&first), std::os::fd::AsFd::as_fd(&second)] {
        // The program inherits them.
        rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::empty()).unwrap();
    }
    let open = |options: &[&str]| -> Vec<i32> {
        let ran = enter(actor.pid(), options, &["ls", "/proc/self/fd"]).ok();
        ran.text().lines().map(|line| line.parse().unwrap()).collect()
    };
    // One is the directory itself.
    assert_eq!(open(&[]), [0, 1, 2, 3]);
    let kept = open(&["--fd", &numbers[1].to_string()]);
    assert!(
        kept.contains(&numbers[1]) && (kept.len() == 5 && !kept.contains(&numbers[0]) || numbers[0] == 3),
        "{kept:?}"
    );
    enter(actor.pid(), &["--fd", "1000"], &["true"]).fails(125, "descriptor 1000 is not open");
}

fn exit_codes() {
    let (_outer, inner) = container(&["user", "pid"]);
    let pid = inner.pid();
    assert_eq!(enter(pid, &[], &["true"]).ok().code, Some(0));
    assert_eq!(enter(pid, &[], &["false"]).code, Some(1));
    enter(pid, &[], &["/nowhere/at/all"]).fails(127, "No such file");
    enter(pid, &[], &["lxkns-no-such-command"]).fails(127, "lxkns-no-such-command");
    enter(pid, &[], &["/etc/passwd"]).fails(126, "Permission denied");
}

fn dry_run() {
    let actor = Actor::spawn_in(&["user", "mnt"]);
    let ran = enter(actor.pid(), &["--dry-run", "--json"], &["/nowhere"]).ok();
    let answer = ran.answer_to("enter")[0].take();
    crate::live::cli::assert_documented(&answer);
    let expected = [
        "namespaces",
        "root",
        "cwd",
        "cgroup",
        "UID",
        "GID",
        "groups",
        "capabilities",
        "securebits",
        "no_new_privs",
        "LSM",
        "seccomp",
        "Landlock",
        "limits",
        "umask",
        "CPUs",
        "nice",
        "I/O priority",
        "personality",
        "environment",
    ];
    let user = format!("user:{}", actor.ns_inode("user"));
    for (target, options) in [
        (actor.pid().to_string(), &[][..]),
        (actor.pid().to_string(), &["--tools", "host"]),
        (actor.pid().to_string(), &["--privileged", "--no-cgroup"]),
        (user.clone(), &[]),
    ] {
        let ran = run(lxkns().arg("enter").arg(&target).args(options).args(["--dry-run", "--json", "--", "true"])).ok();
        let plan = ran.answer_to("enter")[0]["plan"].take();
        let rows: Vec<&str> = plan.as_array().unwrap().iter().map(|row| row["what"].as_str().unwrap()).collect();
        assert_eq!(rows, expected, "{target} {options:?}");
    }
    let entered = answer["plan"][0]["command-has"]["text"].as_str().unwrap();
    assert_eq!(entered, format!("mnt:{} {user}", actor.ns_inode("mnt")));
    let ran = enter(actor.pid(), &["--dry-run", "--all"], &[]).ok();
    assert!(ran.text().starts_with("WHAT"), "{ran:?}");
    assert_eq!(ran.text().lines().count(), 1 + expected.len());
    // Only what differs, one a line: nothing of what is entered, and of what is not the target's.
    let differences = |options: &[&str]| {
        let ran = enter(actor.pid(), &[&["--dry-run"], options].concat(), &[]).ok();
        let what = ran.text().lines().map(|line| line.split("  ").next().unwrap().to_owned()).collect::<Vec<_>>();
        assert!(what.iter().all(|what| expected.contains(&what.as_str())), "{ran:?}");
        (what, ran)
    };
    let (what, ran) = differences(&[]);
    assert!(["namespaces", "umask", "nice"].iter().all(|same| !what.iter().any(|it| it == same)), "{ran:?}");
    assert!(what.len() < expected.len(), "{ran:?}");
    let (_, ran) = differences(&["--except", "mnt"]);
    let line = ran.text().lines().find(|line| line.starts_with("namespaces ")).unwrap();
    assert!(line.ends_with(&format!("the caller's; target: mnt:{}", actor.ns_inode("mnt"))), "{ran:?}");
}

fn usage() {
    run_lxkns(["enter"]).fails(125, "TARGET");
    run_lxkns(["enter", "1", "--nonsense", "--", "true"]).fails(125, "nonsense");
    run_lxkns(["enter", "4194304", "--", "true"]).fails(125, "4194304: no such process");
    run_lxkns(["enter", "2", "1/net", "--", "true"]).fails(125, "only one PID is allowed");
}
