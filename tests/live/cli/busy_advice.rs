//! `lxkns busy` tells no more than was seen, and advises what the kernel will accept from whoever asks.

use std::path::Path;
use std::process::Command;

use lxkns_fixture::Actor;
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use serde_json::Value;

use super::busy::{busy, file_system, is_there};
use crate::harness::Need::{FileSystem, Program, Root, UserNamespaces};
use crate::harness::{Need, Test, lxkns, test};
use crate::live::directory;
use crate::live::program::{Ran, run, run_lxkns};

pub(super) fn tests() -> Vec<Test> {
    const INSIDE: &[Need] = &[Root, Program("nsenter"), FileSystem("tmpfs")];
    const NOBODY: &[Need] = &[Root, Program("nsenter"), Program("setpriv"), Program("umount"), FileSystem("tmpfs")];
    vec![
        test("cli::busy_advice::foreign_procfs", INSIDE, foreign_procfs),
        test("cli::busy_advice::hidden_processes", NOBODY, hidden_processes),
        test(
            "cli::busy_advice::made_in_a_sandbox",
            &[Root, UserNamespaces, Program("umount"), Program("sh"), FileSystem("tmpfs")],
            made_in_a_sandbox,
        ),
        test("cli::busy_advice::without_privileges", NOBODY, without_privileges),
        test("cli::busy_advice::symbolic_links", &[Root, Program("nsenter"), Program("umount")], symbolic_links),
        test("cli::busy_advice::link_to_a_device", &[Root], link_to_a_device),
        test("cli::busy_advice::without_a_working_directory", &[Program("sh"), Program("rmdir")], no_directory),
    ]
}

/// The program in the mount namespace of an actor, and nothing else of it.
fn in_mounts_of(actor: &Actor, program: &Command, arguments: &[&str]) -> Ran {
    let mut command = Command::new("nsenter");
    command.args(["-t", &actor.pid().to_string(), "--mount", "--wd=/", "--"]).arg(program.get_program());
    run(command.args(program.get_args()).args(arguments))
}

/// The mounts of a mount namespace in an answer.
#[track_caller]
fn mount_in(answer: &Value, ino: u64) -> Value {
    let mounts = answer["mounts"].as_array().unwrap();
    mounts.iter().find(|mount| mount["mntns"] == ino).unwrap_or_else(|| panic!("{answer:#}")).clone()
}

/// With the procfs of another PID namespace, processes are in no list that are there, and use the file system.
fn foreign_procfs() {
    let base = directory();
    let outer = Actor::spawn_in(&["mnt", "pid"]);
    outer.mount("tmpfs", base.path());
    let user = outer.fork();
    user.unshare(&["mnt"]);
    user.chdir(base.path());
    // The first process of another PID namespace, whose procfs has neither of them.
    let other = outer.fork();
    let init = {
        other.unshare(&["pid"]);
        other.fork()
    };
    init.unshare(&["mnt"]);
    init.mount("proc", "/proc");
    let number = file_system(&outer, base.path()).to_string();
    // From outside it is seen.
    let seen = run_lxkns(["busy", "--json", &number]).ok().answer();
    assert_eq!(mount_in(&seen, user.ns_inode("mnt"))["process-count"], 1);
    assert!(seen["users"].as_array().unwrap().iter().any(|one| one["pid"] == user.pid()), "{seen:#}");

    let answer = in_mounts_of(&init, &lxkns(), &["busy", "--json", &number]).answer();
    assert_eq!(answer["processes-listed"], false);
    for mount in answer["mounts"].as_array().unwrap() {
        assert_eq!(mount["members-seen"], false, "{mount}");
        assert_ne!(mount["process-count"], 0, "{mount}");
    }
    let text = in_mounts_of(&init, &lxkns(), &["busy", "--all", &number]);
    assert!(!text.text().contains("no process was found to use it"), "{text:?}");
    assert!(!text.text().contains(", no process ("), "{text:?}");
    assert!(text.text().contains("mount namespace"), "{text:?}");
}

/// A procfs that hides processes from whoever asks.
fn hidden_processes() {
    let base = directory();
    let mounted = base.path().join("mounted");
    let actor = Actor::spawn_in(&["mnt"]);
    actor.mkdir(&mounted);
    actor.mount("tmpfs", &mounted);
    let user = actor.fork();
    user.chdir(&mounted);
    actor.mount_with("proc", "proc", "/proc", 0, "hidepid=2");
    assert!(actor.try_umount(&mounted).is_err(), "it is in use");
    let unprivileged = super::unprivileged(base.path());
    let path = mounted.to_str().unwrap();
    let answer = in_mounts_of(&actor, &unprivileged, &["busy", "--json", path]).answer();
    let all = (&answer["processes-listed"], &answer["mounts-seen"], &answer["users"]);
    assert_eq!(all, (&false.into(), &false.into(), &Value::Array(Vec::new())), "{answer:#}");
    let text = in_mounts_of(&actor, &unprivileged, &["busy", path]);
    assert!(text.text().contains("whether processes that are not listed use it is not known"), "{text:?}");
    assert!(text.text().contains("is mounted in at least 1 mount namespace"), "{text:?}");
    assert!(text.text().contains(", at least 1 process, first "), "{text:?}");
}

/// Of the mounts of a sandbox the kernel locks those that it was made with. What was mounted there since can be unmounted
/// from outside, and the advice does it.
fn made_in_a_sandbox() {
    let base = directory();
    let (above, inside) = (base.path().join("above"), base.path().join("inside"));
    let home = Actor::spawn_in(&["mnt"]);
    home.mkdir(&above);
    home.mkdir(&inside);
    home.mount("tmpfs", &above);
    let sandbox = home.fork();
    sandbox.unshare(&["user", "mnt"]);
    sandbox.map_root();
    sandbox.mount("tmpfs", &inside);
    // Somebody below has a copy, which is locked, and goes with its mount namespace.
    let number = file_system(&sandbox, &inside);
    let umount = format!("umount -N {} {}", sandbox.pid(), inside.display());
    let release = |number| -> Vec<String> {
        let answer = busy(number);
        answer["release"].as_array().unwrap().iter().map(|line| line["text"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(release(number), [format!("`{umount}`")]);
    assert!(run(Command::new("sh").args(["-c", &umount])).code == Some(0), "the kernel follows it");
    assert!(is_there(|| run_lxkns(["busy", &number.to_string()]).code == Some(3)));

    // The other one it refuses.
    let copied = file_system(&sandbox, &above);
    let refused = format!("umount -N {} {}", sandbox.pid(), above.display());
    assert_ne!(run(Command::new("sh").args(["-c", &refused])).code, Some(0), "otherwise this would prove nothing");
    assert!(!release(copied).iter().any(|line| line.contains(&refused)), "{:?}", release(copied));
}

/// Whoever may not unmount is told so, and what it takes.
fn without_privileges() {
    let base = directory();
    let mounted = base.path().join("mounted");
    let actor = Actor::spawn_in(&["mnt"]);
    actor.mkdir(&mounted);
    actor.mount("tmpfs", &mounted);
    let path = mounted.to_str().unwrap();
    let unprivileged = super::unprivileged(base.path());
    let owner = "CAP_SYS_ADMIN in user:";
    let as_nobody = |more: &[&str], program: &str, arguments: &[&str]| {
        let mut command = Command::new("nsenter");
        command.args(["-t", &actor.pid().to_string(), "--mount", "--wd=/", "--", "setpriv", "--reuid=65534"]);
        command.args(["--regid=65534", "--clear-groups", "--inh-caps=-all"]);
        run(command.args(more).arg(program).args(arguments))
    };
    assert_ne!(as_nobody(&[], "umount", &[path]).code, Some(0), "the kernel refuses it");
    let answer = in_mounts_of(&actor, &unprivileged, &["busy", "--json", path]).answer();
    let because = answer["mount"]["holders"][0]["text"].as_str().unwrap();
    assert!(because.contains(owner), "{because}");
    let release = answer["release"][0]["text"].as_str().unwrap();
    assert!(release.starts_with(&format!("`umount {path}` (not as this user: needs {owner}")), "{release}");
    // In a user namespace of one's own one has all capabilities, which do not count there.
    let copy = base.path().join("lxkns");
    let sandbox = ["unshare", "--user", "--map-root-user"];
    if as_nobody(&sandbox, "true", &[]).code == Some(0) {
        assert_ne!(as_nobody(&sandbox, "umount", &[path]).code, Some(0), "the kernel refuses it");
        let answer = as_nobody(&sandbox, copy.to_str().unwrap(), &["busy", "--json", path]).answer();
        let because = answer["mount"]["holders"][0]["text"].as_str().unwrap();
        assert!(because.contains("CAP_SYS_ADMIN in the user namespace that owns "), "{because}");
    }
    // To root nothing of this is said, and it works.
    let answer = in_mounts_of(&actor, &lxkns(), &["busy", "--json", path]).answer();
    assert_eq!(answer["release"][0]["text"], format!("`umount {path}`"), "{answer:#}");
    actor.umount(&mounted);
}

/// A path that leads to a mount point through symbolic links is taken as `umount` takes it.
fn symbolic_links() {
    let base = directory();
    let path = |below: &str| base.path().join(below);
    let actor = Actor::spawn_in(&["mnt"]);
    for below in ["run", "run/x", "deep", "deep/y"] {
        actor.mkdir(path(below));
    }
    actor.mount("tmpfs", path("run/x"));
    actor.mount("tmpfs", path("deep"));
    actor.mkdir(path("deep/y"));
    actor.mount("tmpfs", path("deep/y"));
    std::os::unix::fs::symlink("run", path("var")).unwrap();
    std::os::unix::fs::symlink(path("run/x"), path("link")).unwrap();
    std::os::unix::fs::symlink("deep/y", path("away")).unwrap();
    let ask = |path: &Path| in_mounts_of(&actor, &lxkns(), &["busy", "--json", path.to_str().unwrap()]);
    let x = file_system(&actor, &path("run/x")).to_string();
    for below in ["var/x", "link", "var/../run/x", "link/"] {
        let answer = ask(&path(below)).answer();
        assert_eq!(
            (super::device_number(&answer), answer["mount"]["path"].as_str()),
            (x.clone(), path("run/x").to_str())
        );
    }
    // Up from where a link leads, and not from where it is.
    let deep = ask(&path("away/..")).answer();
    assert_eq!(deep["mount"]["path"], path("deep").to_str().unwrap(), "{deep:#}");
    ask(&path("var")).fails(1, "not a mount point");
    ask(&path("nothing/here")).fails(1, "not a mount point");
    let umount =
        ["-t", &actor.pid().to_string(), "--mount", "--", "umount", path("var/x").to_str().unwrap()].map(str::to_owned);
    assert_eq!(run(Command::new("nsenter").args(umount)).code, Some(0), "as umount has it");
}

/// A link to a device, wherever it is.
fn link_to_a_device() {
    let base = directory();
    let (device, link) = (base.path().join("disk"), base.path().join("link"));
    // Of a driver that no kernel has: nothing opens it.
    mknodat(CWD, &device, FileType::BlockDevice, Mode::RUSR, makedev(247, 3)).unwrap();
    std::os::unix::fs::symlink(&device, &link).unwrap();
    let of = |path: &Path| super::device_number(&run_lxkns(["busy", "--json", path.to_str().unwrap()]).answer());
    assert_eq!((of(&link), of(&device)), ("247:3".to_owned(), "247:3".to_owned()));
}

/// A relative path where no path leads to the working directory.
fn no_directory() {
    let base = directory();
    let gone = base.path().join("gone");
    std::fs::create_dir(&gone).unwrap();
    let program = lxkns();
    let in_deleted = |asked: &str| {
        let _ = std::fs::create_dir(&gone);
        let mut command = Command::new("sh");
        command.args(["-c", "rmdir ../gone && exec \"$0\" busy \"$1\""]).arg(program.get_program()).arg(asked);
        run(command.current_dir(&gone))
    };
    for asked in [".", "x", "../x"] {
        in_deleted(asked).fails(3, "the working directory has no path");
    }
    assert_eq!(in_deleted("/proc").code, Some(0));
}
