//! `lxkns busy`: every mount of a file system, and everybody who uses it, wherever they are.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;

use lxkns_core::model::{DeviceNumber, DiscoveryOptions};
use lxkns_fixture::fuse::{DeadFuse, Death};
use lxkns_fixture::{Actor, Open, probe};
use serde_json::{Value, json};

use crate::harness::Need::{File, FileSystem as HasFileSystem, Kernel, Program, Root, UserNamespaces};
use crate::harness::{Test, lxkns, test};
use crate::live::directory;
use crate::live::program::{Ran, run, run_lxkns, run_lxkns_with};

pub(super) fn tests() -> Vec<Test> {
    const FUSE: &[crate::harness::Need] = &[Root, File("/dev/fuse"), HasFileSystem("fuse"), Program("nsenter")];
    vec![
        test("cli::busy::mounts_and_users", &[UserNamespaces], mounts_and_users),
        test("cli::busy::after_a_lazy_umount", &[UserNamespaces], after_a_lazy_umount),
        test(
            "cli::busy::where_files_have_other_device_numbers",
            &[UserNamespaces, HasFileSystem("overlay"), Kernel(5, 11)],
            overlay,
        ),
        test("cli::busy::threads", &[UserNamespaces], threads),
        test("cli::busy::dead_fuse_unread", FUSE, || dead_fuse(Death::Unread)),
        test("cli::busy::dead_fuse_unanswered", FUSE, || dead_fuse(Death::Unanswered)),
        test("cli::busy::one_more_is_shown", &[UserNamespaces, HasFileSystem("tmpfs")], one_more_is_shown),
        test("cli::busy::by_path", &[], by_path),
        test("cli::busy::what_is_not_there", &[], what_is_not_there),
        test("cli::busy::of_a_dump", &[UserNamespaces], of_a_dump),
    ]
}

/// The file system that is mounted at a path of an actor's.
#[track_caller]
pub(super) fn file_system(actor: &Actor, path: &Path) -> DeviceNumber {
    let mut options = DiscoveryOptions::namespaces();
    options.mounts = true;
    let snapshot = lxkns_core::Discovery::of_host().unwrap().run(&options).unwrap();
    let id = crate::live::namespace(&snapshot, actor.ns_inode("mnt")).id;
    let point = path.as_os_str().as_encoded_bytes();
    let is_it = |mount: &&lxkns_core::model::Mount| mount.path().is_some_and(|path| **path == *point);
    snapshot.mounts[&id].iter().find(is_it).unwrap().file_system
}

#[track_caller]
pub(super) fn busy(file_system: DeviceNumber) -> Value {
    run_lxkns(["busy", "--json", &file_system.to_string()]).ok().answer()
}

/// How a process uses the file system, as far as it is said to; without the mounts that it does so through.
#[track_caller]
pub(super) fn uses(answer: &Value, actor: &Actor) -> Vec<Value> {
    let users = answer["users"].as_array().unwrap();
    let user = users.iter().find(|user| user["pid"] == actor.pid());
    let uses = user.map(|user| user["uses"].as_array().unwrap().clone()).unwrap_or_default();
    uses.iter().map(super::busy_holders::without_mount).collect()
}

/// Runs the program in the user and mount namespace of an actor, where paths mean what they mean to that.
#[track_caller]
pub(super) fn inside(actor: &Actor, words: &[&str]) -> Ran {
    let mut command = Command::new("nsenter");
    command.args(["--target", &actor.pid().to_string(), "--user", "--mount", "--wd=/", "--preserve-credentials"]);
    run(command.arg(lxkns().get_program()).args(words))
}

/// A line that says that one more is left out is never in its place.
fn one_more_is_shown() {
    const SOME: usize = 10;
    let base = directory();
    let home = Actor::spawn_in(&["user", "mnt"]);
    home.mount("tmpfs", base.path());
    let number = file_system(&home, base.path()).to_string();
    let mut users: Vec<_> = (0..=SOME).map(|_| home.fork()).collect();
    users.iter().for_each(|user| user.chdir(base.path()));
    // Below it there is a step for the mount, too.
    fn before_release(ran: &Ran) -> &str {
        // Suspects are what others on this host have open.
        ran.text().split("\nreleased").next().and_then(|text| text.split("\nthese may").next()).unwrap_or_default()
    }
    let listed = |ran: &Ran, users: &[Actor]| {
        let lines: Vec<_> = before_release(ran).lines().collect();
        let of = |user: &&Actor| lines.iter().any(|line| line.starts_with(&format!("  process {} (", user.pid())));
        users.iter().filter(of).count()
    };
    let ran = run_lxkns(["busy", &number]).ok();
    assert_eq!((listed(&ran, &users), before_release(&ran).contains(" more")), (SOME + 1, false), "{ran:?}");
    users.push(home.fork());
    users.last().unwrap().chdir(base.path());
    let ran = run_lxkns(["busy", &number]).ok();
    assert_eq!(listed(&ran, &users), SOME, "{ran:?}");
    assert!(before_release(&ran).contains("\n  and 2 more (--all shows all)"), "{ran:?}");
}

/// Whether something comes true; what a file system or its device is let go by can take the kernel a moment.
pub(super) fn is_there(mut done: impl FnMut() -> bool) -> bool {
    const TRIES: usize = 200;
    (0..TRIES).any(|_| {
        std::thread::yield_now();
        done() || {
            // Each look takes some milliseconds, which is all the waiting that there is.
            drop(run_lxkns(["busy", "4095:77"]));
            false
        }
    })
}

fn mounts_and_users() {
    let base = directory();
    let actor = Actor::spawn_in(&["user", "mnt"]);
    actor.mount("tmpfs", base.path());
    let file = base.path().join("file");
    actor.touch(&file);
    actor.mkdir(base.path().join("sub"));
    let number = file_system(&actor, base.path());

    // In another mount namespace, under another path, and hidden.
    let other = actor.fork();
    other.unshare(&["mnt"]);
    let elsewhere = directory();
    other.bind(base.path().join("sub"), elsewhere.path());
    other.mount("tmpfs", elsewhere.path());
    other.chdir("/");

    let by: Vec<_> = (0..4).map(|_| actor.fork()).collect();
    by[0].chdir(base.path().join("sub"));
    by[1].chroot(base.path());
    let fd = by[2].open(&file, Open::ReadOnly);
    by[3].write_file(&file, &[0; 4096]);
    by[3].map_dirty_page(&file);

    let answer = busy(number);
    let tid = |actor: &Actor| actor.pid();
    assert_eq!(uses(&answer, &by[0]), [json!({"kind": "cwd", "tid": tid(&by[0])})]);
    assert_eq!(uses(&answer, &by[1])[0], json!({"kind": "root", "tid": tid(&by[1])}));
    assert_eq!(uses(&answer, &by[2]), [json!({"kind": "fd", "tid": tid(&by[2]), "fd": fd})]);
    let mapped = uses(&answer, &by[3]);
    assert_eq!(mapped.last().unwrap(), &json!({"kind": "mapped", "path": file.to_str().unwrap()}));
    assert_eq!(uses(&answer, &actor), [Value::Null; 0]);
    assert_eq!(uses(&answer, &other), [Value::Null; 0]);
    assert_eq!(answer["users"].as_array().unwrap().len(), 4, "{answer:#}");

    let mut mounts: Vec<_> = answer["mounts"].as_array().unwrap().clone();
    assert_eq!(mounts.len(), 3, "{answer:#}");
    let at = |actor: &Actor, path: &Path, hidden: bool| {
        let (ns, path) = (actor.ns_inode("mnt"), path.to_str().unwrap().to_owned());
        move |mount: &Value| mount["mntns"] == ns && mount["path"] == path && mount["hidden"] == hidden
    };
    for is_it in [at(&actor, base.path(), false), at(&other, base.path(), false), at(&other, elsewhere.path(), true)] {
        let index = mounts.iter().position(is_it).unwrap_or_else(|| panic!("{mounts:#?}"));
        mounts.remove(index);
    }

    let hidden_id =
        answer["mounts"].as_array().unwrap().iter().find(|mount| mount["hidden"] == true).unwrap()["mountid"].clone();
    let text = run_lxkns(["busy", "--all", &number.to_string()]).ok();
    for expected in [
        format!("tmpfs none ({number}) is mounted in 2 mount namespaces and used by "),
        " 4 processes".to_owned(),
        format!("    (hidden) {} of /sub, mount ID ", elsewhere.path().display()),
        format!("  process {} (exe): fd {fd}\n", by[2].pid()),
        format!("  process {} closes fd {fd}, or exits\n", by[2].pid()),
        format!("  process {} leaves its working directory, or exits\n", by[0].pid()),
        format!("  process {} exits\n", by[1].pid()),
        // Somebody else's mounts take privileges; else its mount namespace ends, of which all processes may be known.
        if probe::is_root() {
            format!("  what covers mount {hidden_id} is unmounted, then `umount -N {} ", other.pid())
        } else {
            format!(" (lxkns why mnt:{})\n", other.ns_inode("mnt"))
        },
    ] {
        // Where a process is not readable, there may be more.
        assert!(text.text().replace("at least ", "").contains(&expected), "{expected} in {}", text.text());
    }

    // And that is true.
    by.iter().for_each(|actor| drop(actor.try_umount(base.path())));
    drop(by);
    other.umount(elsewhere.path());
    other.umount(elsewhere.path());
    other.umount(base.path());
    actor.umount(base.path());
    // Another test's can have its number by now.
    let left = run_lxkns(["busy", "--json", &number.to_string()]).answer();
    let mut left = left["mounts"].as_array().unwrap().iter();
    assert!(!left.any(|mount| mount["path"].as_str().unwrap_or_default().starts_with(base.path().to_str().unwrap())));
}

fn after_a_lazy_umount() {
    let base = directory();
    let actor = Actor::spawn_in(&["user", "mnt"]);
    actor.mount("tmpfs", base.path());
    let number = file_system(&actor, base.path());
    actor.touch(base.path().join("file"));
    let fd = actor.open(base.path().join("file"), Open::ReadOnly);
    actor.umount_lazily(base.path());
    let answer = busy(number);
    assert_eq!(uses(&answer, &actor), [json!({"kind": "fd", "tid": actor.pid(), "fd": fd})]);
    assert_eq!(answer["mounts"], json!([]));
    assert_eq!(super::texts(&answer["release"]), json!([format!("process {} closes fd {fd}, or exits", actor.pid())]));
}

/// Files that come from below an overlay have another device number than the overlay, as those of btrfs have.
fn overlay() {
    let base = directory();
    let actor = Actor::spawn_in(&["user", "mnt"]);
    let [lower, upper, merged] = ["lower", "upper", "merged"].map(|name| base.path().join(name));
    actor.mount("tmpfs", base.path());
    for path in [&lower, &upper, &merged] {
        actor.mkdir(path);
    }
    actor.mount("tmpfs", &lower);
    actor.mount("tmpfs", &upper);
    actor.touch(lower.join("file"));
    let [up, work] = ["up", "work"].map(|name| upper.join(name));
    actor.mkdir(&up);
    actor.mkdir(&work);
    let data = format!("lowerdir={},upperdir={},workdir={},xino=off", lower.display(), up.display(), work.display());
    // With root in the initial user namespace behind it, or without.
    let mounted = actor.try_mount_with("overlay", "overlay", &merged, 0, &format!("{data},userxattr"));
    mounted.or_else(|_| actor.try_mount_with("overlay", "overlay", &merged, 0, &data)).unwrap();
    let number = file_system(&actor, &merged);
    let fd = actor.open(merged.join("file"), Open::ReadOnly);
    let device = std::fs::metadata(format!("/proc/{}/fd/{fd}", actor.pid())).unwrap().dev();
    assert_ne!(device, rustix::fs::makedev(number.major, number.minor), "otherwise this would prove nothing");
    let used = [json!({"kind": "fd", "tid": actor.pid(), "fd": fd})];
    assert_eq!(uses(&busy(number), &actor), used);
    // Also when it has been unmounted in one of two places, in which it is in use.
    let other = actor.fork();
    other.unshare(&["mnt"]);
    other.umount_lazily(&merged);
    let own = other.open(lower.join("file"), Open::ReadOnly);
    let answer = busy(number);
    assert_eq!(uses(&answer, &actor), used);
    assert_eq!(
        uses(&answer, &other),
        used.map(|mut used| {
            used["tid"] = other.pid().into();
            used
        })
    );
    assert_eq!(uses(&busy(file_system(&other, &lower)), &other).iter().filter(|one| one["fd"] == own).count(), 1);
    // And when it is mounted nowhere any more: the working directory says which mount it was.
    actor.chdir(&merged);
    actor.umount_lazily(&merged);
    let answer = busy(number);
    assert_eq!(answer["mounts"], json!([]));
    assert_eq!(uses(&answer, &actor).len(), 2, "{answer:#}");
}

fn threads() {
    let base = directory();
    let actor = Actor::spawn_in(&["user", "mnt"]);
    actor.mount("tmpfs", base.path());
    actor.touch(base.path().join("file"));
    let thread = actor.thread_sharing_nothing();
    thread.chdir(base.path());
    let fd = thread.open(base.path().join("file"), Open::ReadOnly);
    let shared = actor.thread();
    let answer = busy(file_system(&actor, base.path()));
    assert_eq!(
        uses(&answer, &actor),
        [json!({"kind": "cwd", "tid": thread.tid()}), json!({"kind": "fd", "tid": thread.tid(), "fd": fd})]
    );
    drop(shared);
}

/// The path is in a file system whose server is gone: nobody asks it, and all who hang on it are named.
fn dead_fuse(death: Death) {
    let base = directory();
    let actor = Actor::spawn_in(&["mnt"]);
    let fuse = DeadFuse::mount(&actor, base.path(), death);
    let file = base.path().join("file");
    let number = file_system(&actor, base.path());
    let fd = actor.open(&file, Open::ReadOnly);
    let inside = actor.fork();
    inside.chdir(base.path());
    let before = fuse.requests().len();
    fuse.die();
    let nsenter = |path: &Path| {
        let mut command = Command::new("nsenter");
        command.args(["-t", &actor.pid().to_string(), "-m", "-w/"]).arg(lxkns().get_program());
        answer(run(command.args(["busy", "--json"]).arg(path)))
    };
    for answer in [busy(number), nsenter(base.path()), nsenter(&base.path().join("no/../such/.."))] {
        assert_eq!(super::device_number(&answer), number.to_string());
        let is_fd = |one: &&Value| one["kind"] == "fd" && one["fd"] == fd;
        assert!(uses(&answer, &actor).iter().any(|one| is_fd(&one)), "{answer:#}");
        assert!(uses(&answer, &inside).iter().any(|one| one["kind"] == "cwd"), "{answer:#}");
    }
    if death == Death::Unanswered {
        assert_eq!(fuse.requests().len(), before, "nobody asked the server anything: {:?}", fuse.requests());
    }
    drop(fuse);
}

#[track_caller]
fn answer(ran: Ran) -> Value {
    ran.ok().answer()
}

/// What is no mount point is answered for nothing else, and the nearest is named.
fn by_path() {
    let base = directory();
    let link = base.path().join("link");
    std::os::unix::fs::symlink("/proc", &link).unwrap();
    assert!(std::fs::metadata(&link).is_ok());
    let proc = run_lxkns(["busy", "--json", "/proc/sys/fs/../.."]).ok().answer();
    let targets: Vec<_> = proc["mounts"].as_array().unwrap().iter().map(|mount| &mount["path"]).collect();
    assert!(targets.contains(&&json!("/proc")), "{targets:?}");
    let relative = answer(run(lxkns().current_dir("/proc").args(["busy", "--json", "."])));
    assert_eq!(super::device_number(&relative), super::device_number(&proc));
    let linked = answer(run(lxkns().args(["busy", "--json"]).arg(&link)));
    assert_eq!(linked["mount"]["path"], "/proc");
    for path in [base.path(), &base.path().join("tpyo"), Path::new("/proc/ubs"), Path::new("/dev/sdz9")] {
        let ran = run_lxkns(["busy", path.to_str().unwrap()]);
        let nearest = if path.starts_with("/proc") { "nearest mount is /proc;" } else { "nearest mount is /" };
        assert!(ran.stderr.contains(nearest), "{ran:?}");
        ran.fails(1, "not a mount point");
    }
}

fn what_is_not_there() {
    run_lxkns(["busy", "4095:77"]).fails(3, "4095:77: no mount or user of this file system was found");
    run_lxkns(["busy", "1:99999999999"]).fails(2, "MAJOR:MINOR");
    run_lxkns(["busy", ""]).fails(2, "expected a path");
    run_lxkns(["busy"]).fails(2, "is missing");
}

fn of_a_dump() {
    let base = directory();
    let actor = Actor::spawn_in(&["user", "mnt"]);
    actor.mount("tmpfs", base.path());
    let number = file_system(&actor, base.path()).to_string();
    let dump = run_lxkns(["dump"]).ok().stdout;
    let ran = run_lxkns_with(&["busy", "--json", &number, "--from", "-"], &dump);
    assert_eq!((ran.code, ran.problems().len()), (Some(0), 1), "{ran:?}");
    assert!(ran.problems()[0].contains("a dump does not have the users of a file system"));
    assert_eq!(ran.answer()["mounts"][0]["path"], base.path().to_str().unwrap());
    assert_eq!(ran.answer()["users"], Value::Null, "nobody knows");
    let text = run_lxkns_with(&["busy", &number, "--from", "-"], &dump);
    // Where a process is not readable, its mount namespace may be another.
    let said = text.text().replace("at least ", "");
    assert!(said.contains("is mounted in 1 mount namespace\n"), "{text:?}");
    assert!(text.text().contains("released, unless a process uses it, when:\n"), "{text:?}");
    let without = run_lxkns(["dump", "--no-mounts"]).ok().stdout;
    run_lxkns_with(&["busy", &number, "--from", "-"], &without).fails(3, "the dump has no mounts");
}
