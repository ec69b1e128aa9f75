//! What could not be seen is not said to be absent: not 0, not "none".

use std::process::Command;

use lxkns_fixture::{Actor, Socket};
use serde_json::Value;

use crate::harness::Need::{FileSystem, Kernel, Program, Root, UserNamespaces};
use crate::harness::{Need, Test, lxkns, test};
use crate::live::program::{Ran, release, row, run};
use crate::live::{directory, look_until, own_inode};

const NOBODY: &[Need] = &[Root, Program("nsenter"), Program("setpriv")];

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("cli::partly_seen::members_of_others", NOBODY, members_of_others),
        test("cli::partly_seen::hidden_processes", NOBODY, hidden_processes),
        test("cli::partly_seen::few_descriptors", &[UserNamespaces, Program("prlimit")], few_descriptors),
        test("cli::partly_seen::descriptor_limit", &[Root, Program("prlimit")], descriptor_limit),
        test("cli::partly_seen::procfs_of_the_parent", &[Root, Program("unshare")], procfs_of_the_parent),
        // What the program is in comes from a pidfd where procfs does not have it.
        test("cli::partly_seen::procfs_of_others", &[Root, Program("nsenter"), Kernel(6, 11)], procfs_of_others),
        test("cli::partly_seen::namespaces_of_the_program_alone", &[Root, Program("unshare")], of_the_program_alone),
        test("cli::partly_seen::held_by_who_is_unreadable", NOBODY, held_by_who_is_unreadable),
        test(
            "cli::partly_seen::mounts_from_above",
            &[Root, Program("unshare"), Program("nsenter"), Program("mount"), Program("umount"), FileSystem("tmpfs")],
            mounts_from_above,
        ),
        test(
            "cli::partly_seen::in_a_chroot",
            &[Root, Program("chroot"), Program("nsenter"), FileSystem("tmpfs")],
            in_a_chroot,
        ),
        test("cli::partly_seen::members_outside", &[UserNamespaces, Program("unshare")], members_outside),
    ]
}

/// The program in the mount namespace of a process, as root or as a user who sees no process of root's.
fn inside(actor: &Actor, program: &Command, arguments: &[&str]) -> Ran {
    let mut command = Command::new("nsenter");
    command.args(["-t", &actor.pid().to_string(), "--mount", "--"]).arg(program.get_program());
    run(command.args(program.get_args()).args(arguments))
}

/// A network namespace with a server of root's in it, and a name that everybody sees.
fn members_of_others() {
    let directory = directory();
    let path = directory.path().join("net");
    let actor = Actor::spawn_in(&["mnt", "net"]);
    actor.touch(&path);
    actor.bind("/proc/self/ns/net", &path);
    let net = actor.ns_inode("net");
    let target = net.to_string();
    let unprivileged = super::unprivileged(directory.path());
    let ask = |program: &Command, arguments: &[&str]| inside(&actor, program, arguments);

    // To root it says how many there are.
    let ls = |program: &Command, more: &[&str]| ask(program, &[&["ls", "-o", "NS,NPROCS,NTASKS"], more].concat()).ok();
    let seen = ls(&lxkns(), &["--json", &target]).json();
    assert_eq!(row(&seen, net).unwrap()["nprocs"], 1);
    assert!(!ask(&lxkns(), &["orphans", "-t", "net"]).ok().text().contains(&target));

    // To others, that it does not know.
    let unseen = ls(&unprivileged, &["--json", &target]).json();
    let net_row = row(&unseen, net).unwrap();
    assert_eq!((&net_row["nprocs"], &net_row["ntasks"]), (&Value::Null, &Value::Null));
    assert!(unseen["unreadable_processes"].as_u64().unwrap() > 0, "{unseen}");
    let text = ls(&unprivileged, &["-n", &target]);
    assert_eq!(text.text().split_whitespace().collect::<Vec<_>>(), [&target, "?", "?"]);
    let raw = ls(&unprivileged, &["-n", "--raw", &target]);
    assert_eq!(raw.text().split_whitespace().collect::<Vec<_>>(), [&target, "-", "-"]);

    let shown = ask(&unprivileged, &["show", &target]);
    let line = shown.text().lines().find(|line| line.trim_start().starts_with("inside")).unwrap();
    assert!(line.contains("no process seen; ") && line.ends_with(" processes not readable"), "{shown:?}");
    let shown = ask(&unprivileged, &["show", "--json", &target]).answer_to("show");
    let shown = &shown[0]["namespace"];
    assert_eq!((&shown["process-count"], &shown["task-count"]), (&Value::Null, &Value::Null), "{shown}");
    assert_eq!((&shown["members-seen"], &shown["holders-seen"]), (&false.into(), &false.into()), "{shown}");
    let why = ask(&unprivileged, &["why", "--json", &target]).json();
    assert_eq!(why["results"][0]["holders-seen"], false, "{why}");

    let mounts = ask(&unprivileged, &["mounts", "--json"]).ok();
    assert_eq!(mounts.json()["results"][0]["peers-seen"], false);
    assert!(mounts.gaps().iter().any(|line| line.contains(" processes not readable: ")), "{mounts:?}");

    let orphans = ask(&unprivileged, &["orphans", "--fail", "-t", "net"]);
    assert_eq!(orphans.code, Some(0), "{orphans:?}");
    assert!(orphans.text().starts_with("not known to be orphans: "), "{orphans:?}");
    assert!(orphans.text().contains(&format!("net:[{net}]")), "{orphans:?}");
    let orphans = ask(&unprivileged, &["orphans", "--json", "-t", "net"]).results();
    let orphan = orphans.iter().find(|orphan| orphan["namespace"]["nsid"] == net).unwrap();
    assert_eq!(orphan["members-seen"], false, "{orphan}");
}

/// With the procfs of a PID namespace of one's own, whatever is outside of that is in no list: the test itself is in the
/// same user namespace's network namespace, and unseen.
fn members_outside() {
    let inside = |arguments: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]).arg(lxkns().get_program());
        run(command.args(arguments))
    };
    let (net, pid) = (own_inode("net"), own_inode("pid"));
    let table = inside(&["ls", "--json", "-o", "NS,TYPE,NPROCS"]).ok();
    let text = inside(&["ls", "-n", "-o", "NS,TYPE,NPROCS"]).ok();
    let nprocs = |ino: u64, ns_type: &str| -> Option<String> {
        let mut lines = text.text().lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let is_it = |line: &Vec<&str>| line[1] == ns_type && (ino == 0 || line[0] == ino.to_string());
        Some(lines.find(is_it)?[2].to_owned())
    };
    assert_eq!(row(&table.json(), net).unwrap()["nprocs"], 1);
    assert_eq!(nprocs(net, "net").as_deref(), Some("1+"), "the test is in it, too: {text:?}");
    assert!(row(&table.json(), pid).is_none_or(|row| row["nprocs"] == Value::Null));
    assert_eq!(nprocs(0, "pid").as_deref(), Some("1"), "nobody outside can be in that: {text:?}");
}

/// With hardly any descriptors some processes cannot be read: how many of how many, and for want of what.
fn few_descriptors() {
    let actor = Actor::spawn_in(&["user", "net"]);
    let pid = actor.pid().to_string();
    let with = |limit: u32, arguments: &[&str]| {
        let mut command = Command::new("prlimit");
        run(command.arg(format!("--nofile={limit}")).arg(lxkns().get_program()).args(arguments))
    };
    /// The numbers in `2 of 7 processes ... descriptor limit reached (EMFILE)`.
    fn counted(ran: &Ran) -> Option<(usize, usize)> {
        let gaps = ran.gaps();
        let line =
            gaps.iter().find(|line| line.contains("descriptor limit reached (EMFILE); raise it with `ulimit -n`"))?;
        let words: Vec<_> = line.split(' ').collect();
        let of = words.windows(4).find(|words| words[1] == "of" && words[3].trim_end_matches(',') == "processes")?;
        Some((of[0].parse().ok()?, of[2].parse().ok()?))
    }
    // How many it takes depends on how many threads read at a time.
    let few = (4..64).rev().find_map(|limit| Some((limit, counted(&with(limit, &["ls"]))?)));
    let (limit, (unread, all)) = few.expect("at some limit, some processes cannot be read");
    assert!(0 < unread && unread < all, "{unread} of {all}");
    // A process that is there is not said to be none.
    for arguments in [&["why", &pid][..], &["show", &pid], &["tree", "proc", &pid], &["caps", "-p", &pid, &pid]] {
        for limit in [limit, limit - 1, limit - 2] {
            let ran = with(limit, arguments);
            assert!(!ran.stderr.contains("no such process"), "{arguments:?}: {ran:?}");
        }
    }
}

/// With any number of descriptors, what is said is true: `busy` invents no detached mount, and a failure names the limit.
fn descriptor_limit() {
    let directory = directory();
    let path = directory.path().to_str().unwrap();
    // A member elsewhere, whose root directory and working directory are on mounts of its own mount namespace.
    let actor = Actor::spawn_in(&["mnt"]);
    actor.mount("tmpfs", directory.path());
    actor.chdir(directory.path());
    let own = super::busy::file_system(&actor, directory.path());
    let asked = lxkns_core::model::DeviceNumber { major: 0, minor: own.minor }.to_string();
    let pid = actor.pid().to_string();
    let with = |limit: u32, arguments: &[&str]| {
        let mut command = Command::new("prlimit");
        run(command.arg(format!("--nofile={limit}")).arg(lxkns().get_program()).args(arguments))
    };
    let mut has_failed = 0;
    for limit in 4..24 {
        for question in ["/proc", &asked] {
            let ran = with(limit, &["busy", "--json", question]);
            if ran.code == Some(0) {
                let answer = ran.answer();
                let suspects = answer["suspects"].as_array().unwrap();
                let invented = suspects.iter().find(|one| one["kind"] == "detached" && one["pid"] == actor.pid());
                assert_eq!(invented, None, "limit {limit}, {question}: {ran:?}");
            }
        }
        for arguments in
            [&["ls"][..], &["busy", path], &["why", &pid], &["mounts", &pid], &["enter", &pid, "--", "true"]]
        {
            let ran = with(limit, arguments);
            let text = &ran.stderr;
            assert!(
                !text.contains("No such file") && !text.contains("memfd_noexec"),
                "{limit}, {arguments:?}: {ran:?}"
            );
            // Below this the dynamic linker fails, which says nothing of lxkns.
            if matches!(ran.code, Some(3 | 125)) {
                has_failed += 1;
                assert!(text.contains("ulimit -n"), "{limit}, {arguments:?}: {ran:?}");
            }
        }
    }
    assert!(has_failed > 0, "some limit is too low for anything");
}

/// A procfs that hides processes: which there are, it does not say.
fn hidden_processes() {
    let directory = directory();
    let outer = Actor::spawn_in(&["mnt", "pid"]);
    let init = outer.fork();
    init.mount_with("proc", "proc", "/proc", 0, "hidepid=2");
    let other = init.fork();
    other.unshare(&["net"]);
    let inner = std::fs::read_to_string(format!("/proc/{}/status", other.pid())).unwrap();
    let inner = inner.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap();
    let inner = inner.split_whitespace().last().unwrap();
    let unprivileged = super::unprivileged(directory.path());
    let ask = |program: &Command, arguments: &[&str]| {
        let mut command = Command::new("nsenter");
        command.args(["-t", &init.pid().to_string(), "--mount", "--pid", "--"]).arg(program.get_program());
        run(command.args(program.get_args()).args(arguments))
    };
    let line =
        |ran: &Ran| ran.text().lines().find_map(|line| Some(line.trim().strip_prefix("inside ")?.trim().to_owned()));
    let shown = ask(&lxkns(), &["show", &format!("{inner}/net")]).ok();
    assert_eq!(line(&shown).as_deref(), Some("processes: 1, tasks: 1 seen; not all processes are listed"), "{shown:?}");
    for arguments in [&["why", inner][..], &["show", inner], &["tree", "proc", inner], &["caps", "-p", inner, inner]] {
        let ran = ask(&unprivileged, arguments);
        assert_eq!(ran.code, Some(3), "{arguments:?}: {ran:?}");
        let told = format!("{inner}: not listed: procfs hides processes");
        assert!(ran.stderr.contains(&told) && ran.gaps().iter().any(|line| line.contains("some processes")), "{ran:?}");
    }
    let ran = ask(&unprivileged, &["ls", "-n", "-o", "NPROCS"]).ok();
    assert!(ran.text().lines().all(|line| line.trim().ends_with(['+', '?'])), "{ran:?}");
}

/// What `doctor` says of a place.
fn place<'a>(report: &'a Value, name: &str) -> &'a Value {
    report["places"].as_array().unwrap().iter().find(|place| place["place"] == name).unwrap()
}

/// With a socket in another network namespace than its process, and the same of a TUN file.
fn with_socket() -> (Actor, u64) {
    let actor = Actor::spawn_in(&["user", "net"]);
    actor.socket(Socket::Udp4);
    let net = actor.ns_inode("net");
    actor.unshare(&["net"]);
    (actor, net)
}

/// Sockets are asked for by PID, and are not where PIDs mean others: that is said, and not that this kernel cannot.
#[track_caller]
fn assert_told(ran: impl Fn(&[&str]) -> Ran, is_initial: bool) {
    let ls = ran(&["ls"]).ok();
    let told = |line: &&&str| line.contains("sockets") && line.contains(": procfs is that of another PID namespace");
    assert!(ls.gaps().iter().any(|line| told(&line)), "{ls:?}");
    let report = ran(&["doctor", "--json"]).ok().answer_to("doctor")[0].take();
    let sockets = place(&report, "sockets");
    assert_eq!(sockets["searched"], "no", "{report:#}");
    assert!(!sockets.to_string().contains("not in this kernel"), "{sockets}");
    // What takes a path of the caller's own is not said to be denied.
    for interface in report["interfaces"].as_array().unwrap() {
        let told = interface["why"].as_str().unwrap_or_default();
        let is_path = matches!(interface["errno"].as_str(), Some("ENOENT" | "ESRCH"));
        assert_eq!(is_path, told.starts_with("not tried: procfs belongs to another PID namespace"), "{interface}");
        assert!(!told.contains("refused") && told != "denied", "{interface}");
    }
    let helper = &report["helper"];
    let why = helper["why"].as_str().unwrap_or_default();
    assert!(helper["starts"] == true || why.contains("belongs to another PID namespace"), "{helper}");
    // And why nothing is entered.
    let entered = ran(&["enter", "1", "--", "true"]);
    let told = "; procfs at /proc belongs to another PID namespace than this process; mount one of its own";
    assert!(entered.code == Some(0) || entered.code == Some(125) && entered.stderr.contains(told), "{entered:?}");
    let caller = &report["caller"];
    assert_eq!((&caller["initial-pid-namespace"], &caller["own-procfs"]), (&is_initial.into(), &false.into()));
    assert_eq!(caller["initial-user-namespace"], super::super::own_inode("user") == 4_026_531_837);
}

/// A PID namespace of one's own, without a procfs of its own.
fn procfs_of_the_parent() {
    let (_actor, net) = with_socket();
    let ran = |arguments: &[&str]| {
        run(Command::new("unshare").args(["--pid", "--fork"]).arg(lxkns().get_program()).args(arguments))
    };
    assert_told(ran, false);
    let ls = ran(&["ls", "--json", "-o", "NS,HOLDERS"]).ok().json();
    assert!(row(&ls, net).is_none_or(|row| row["holders"] != "1 socket"), "{ls}");
    // It has all processes of the host.
    assert!(!ran(&["ls"]).stderr.contains("outside the PID namespace"));
    // The own mount namespace is there to be read.
    let mounts = ran(&["mounts", "--json"]).ok().json()["results"][0].take();
    assert_eq!(mounts["nsid"], own_inode("mnt"));
    let mounts: Vec<_> =
        mounts["mounts"].as_array().unwrap().iter().map(|mount| mount["mountid"].to_string()).collect();
    let ours = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let root = ours.lines().find(|line| line.split(' ').nth(4) == Some("/")).unwrap();
    assert!(mounts.iter().any(|id| root.starts_with(&format!("{id} "))), "{mounts:?}: {root}");
}

/// Somebody else's mount namespace, with their procfs: it does not even have the caller in it.
fn procfs_of_others() {
    let outer = Actor::spawn_in(&["mnt", "pid"]);
    let init = outer.fork();
    init.mount("proc", "/proc");
    let socket = init.fork();
    socket.unshare(&["net"]);
    socket.socket(Socket::Udp4);
    socket.unshare(&["net"]);
    let ran = |arguments: &[&str]| inside(&init, &lxkns(), arguments);
    assert_told(ran, own_inode("pid") == 4_026_531_836);
    let all = "processes outside the PID namespace of the scan";
    assert!(ran(&["ls"]).gaps().iter().any(|line| line.contains(all)), "the test, for one");
    assert_eq!(ran(&["mounts", "--json"]).ok().json()["results"][0]["nsid"], init.ns_inode("mnt"));
    assert_eq!(ran(&["enter", "1", "--", "true"]).code, Some(125), "this program cannot protect itself");
    ran(&["caps", "1/net"])
        .fails(3, "the calling process is not known: procfs at /proc belongs to another PID namespace");
}

/// The program is the only process in there: leaving itself out would make an orphan of what it is in.
fn of_the_program_alone() {
    // It says first in which namespaces it is.
    const SCRIPT: &str = r#"readlink /proc/self/ns/pid /proc/self/ns/net; exec "$0" "$@""#;
    let unshared = |arguments: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--mount-proc", "--net"]);
        if arguments[0] == "orphans" {
            command.args(["sh", "-c", SCRIPT]);
        }
        run(command.arg(lxkns().get_program()).args(arguments))
    };
    let ran = unshared(&["orphans", "--fail", "-t", "pid,net"]);
    let own: Vec<_> = ran.text().lines().take(2).collect();
    assert!(own[0].starts_with("pid:[") && own[1].starts_with("net:["), "{ran:?}");
    let told = ran.text().lines().skip(2).any(|line| own.iter().any(|own| line.contains(own)));
    assert!(ran.code == Some(0) && !told, "{ran:?}");
    let table = unshared(&["ls", "--json", "-t", "pid,net", "1"]).json();
    let rows = table["namespaces"].as_array().unwrap();
    assert_eq!(rows.len(), 2, "{table}");
    assert!(rows.iter().all(|row| row["nprocs"] == 1), "{table}");
}

/// Whoever may not read a process is told that it may be why a namespace was not found.
fn held_by_who_is_unreadable() {
    let directory = directory();
    let actor = Actor::spawn_in(&["mnt", "net"]);
    let unprivileged = super::unprivileged(directory.path());
    for command in ["why", "show"] {
        let ran = inside(&actor, &unprivileged, &[command, &actor.ns_inode("net").to_string()]);
        assert!(ran.code != Some(0) && ran.stderr.contains("processes that are not readable"), "{ran:?}");
    }
    // Whatever is asked, one rule: nobody says that what lives does not exist.
    let unlisted = Actor::spawn_in(&["mnt", "net", "pid", "user"]);
    let is_away = |ran: &Ran| ran.problems().iter().any(|line| line.contains(": not visible from here: "));
    for (command, ns_type) in [
        (&["why"][..], "net"),
        (&["show"], "net"),
        (&["ls"], "net"),
        (&["tree"], "user"),
        (&["tree", "pid"], "user"),
        (&["mounts"], "mnt"),
        (&["caps"], "net"),
        (&["watch"], "net"),
    ] {
        let target = format!("{ns_type}:{}", unlisted.ns_inode(ns_type));
        let ran = inside(&actor, &unprivileged, &[command, &[&target]].concat());
        assert!(ran.code == Some(3) && is_away(&ran), "{command:?}: {ran:?}");
        assert!(ran.problems()[0].ends_with("; run as root, or see `lxkns doctor`"), "{command:?}: {ran:?}");
    }
    // A thread of a process that is not readable is in no list.
    let thread = actor.thread();
    let tid = thread.tid().to_string();
    for arguments in [&["show", &tid][..], &["why", &tid], &["tree", "proc", &tid], &["caps", "-p", &tid, &tid]] {
        let ran = inside(&actor, &unprivileged, arguments);
        assert_eq!(ran.code, Some(3), "{arguments:?}: {ran:?}");
        assert!(ran.problems()[0].ends_with(&format!("{tid}: not readable")), "{arguments:?}: {ran:?}");
        inside(&actor, &unprivileged, &["show", "4194304"]).fails(1, "4194304: no such process");
    }
}

/// In a less privileged mount namespace the mounts that it was made with are locked, and `umount` there says so.
fn mounts_from_above() {
    let directory = directory();
    let (above, inside) = (directory.path().join("above"), directory.path().join("inside"));
    let actor = Actor::spawn_in(&["mnt"]);
    for path in [&above, &inside] {
        std::fs::create_dir(path).unwrap();
    }
    actor.mount("tmpfs", &above);
    let (above, inside) = (above.to_str().unwrap(), inside.to_str().unwrap());
    let program = lxkns();
    let program = program.get_program().to_str().unwrap();
    let in_sandbox = |script: &str| {
        let mut command = Command::new("nsenter");
        command.args([
            "-t",
            &actor.pid().to_string(),
            "--mount",
            "--",
            "unshare",
            "--user",
            "--map-root-user",
            "--mount",
        ]);
        run(command.args(["sh", "-c", script, program, above, inside]))
    };
    assert_ne!(in_sandbox("umount \"$1\"").code, Some(0), "the kernel refuses it");
    let ran = in_sandbox("\"$0\" busy \"$1\"");
    assert!(ran.text().contains("unless it is locked"), "{ran:?}");
    let ran = in_sandbox("mount -t tmpfs x \"$2\" && \"$0\" busy \"$2\" && umount \"$2\"");
    assert!(ran.code == Some(0) && ran.text().contains(&format!("  `umount {inside}`\n")), "{ran:?}");
}

/// With another root directory, paths mean other files than in the list of mounts: what is typed is what the caller sees, and
/// what is advised works from there.
fn in_a_chroot() {
    let directory = directory();
    let actor = Actor::spawn_in(&["mnt"]);
    let path = |below: &str| directory.path().join(below);
    actor.bind("/", directory.path());
    actor.mount("proc", path("proc"));
    actor.mount("tmpfs", path("sys"));
    let root = directory.path().to_str().unwrap();
    let in_chroot = |chroot: &[&str], program: &str, arguments: &[&str]| {
        let mut command = Command::new("nsenter");
        command.args(["-t", &actor.pid().to_string(), "--mount", "--"]).args(chroot);
        run(command.arg(program).args(arguments))
    };
    let lxkns = lxkns();
    let lxkns = lxkns.get_program().to_str().unwrap();
    let inside = |arguments: &[&str]| in_chroot(&["chroot", root], lxkns, arguments);
    let number = |ran: &Ran| super::device_number(&ran.answer());
    let outside = in_chroot(&[], lxkns, &["busy", "--json", path("sys").to_str().unwrap()]);
    let typed = inside(&["busy", "--json", "/sys"]);
    assert_eq!((outside.code, typed.code), (Some(0), Some(0)), "{outside:?} {typed:?}");
    assert_eq!(number(&outside), number(&typed), "the tmpfs, and not the host's sysfs");
    inside(&["busy", path("sys").to_str().unwrap()]).fails(1, "not a mount point; nearest mount is /;");

    // A mount that no path of the caller's leads to.
    let net = Actor::spawn_in(&["net"]);
    let ino = net.ns_inode("net");
    let at = super::super::directory();
    actor.mount("tmpfs", at.path());
    let name = at.path().join("ns");
    actor.touch(&name);
    actor.bind(format!("/proc/{}/ns/net", net.pid()), &name);
    drop(net);
    let is_settled = |ran: &Ran| ran.results()[0]["holders"].as_array().is_some_and(|holders| holders.len() == 1);
    let ran = look_until(is_settled, || inside(&["why", "--json", &format!("net:{ino}")]));
    let release = release(&ran.results()[0]["holders"][0]);
    assert_eq!(release, format!("`umount -N {} {}`", actor.pid(), name.display()), "{ran:?}");
    assert!(ran.problems().iter().any(|line| line.contains("(chroot): paths of mounts are those of")), "{ran:?}");
    let shown = inside(&["show", &format!("net:{ino}")]);
    assert!(!shown.text().lines().any(|line| line.trim() == format!("path       {}", name.display())), "{shown:?}");
    // And that is true.
    let words: Vec<_> = release.trim_matches('`').split(' ').collect();
    let umount = in_chroot(&["chroot", root], words[0], &words[1..]);
    assert_eq!(umount.code, Some(0), "{umount:?}");
}
