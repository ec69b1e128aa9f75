//! `lxkns busy` about a mount: who keeps that mount, and advice that the kernel follows.

use std::path::Path;
use std::process::Command;

use lxkns_fixture::{Actor, Open};
use rustix::io::Errno;
use serde_json::{Value, json};

use super::busy::{busy, file_system, inside, uses};
use crate::harness::Need::{self, File, FileSystem, Program, Root, UserNamespaces};
use crate::harness::{Test, lxkns, test};
use crate::live::directory;
use crate::live::program::{Ran, run, run_lxkns};

pub(super) fn tests() -> Vec<Test> {
    const INSIDE: &[Need] = &[UserNamespaces, Program("nsenter")];
    vec![
        test("cli::busy_mounts::asked_for_a_mount", INSIDE, asked_for_a_mount),
        test("cli::busy_mounts::propagated_copies", INSIDE, propagated_copies),
        test("cli::busy_mounts::locked", &[Root, UserNamespaces, Program("nsenter"), Program("umount")], locked),
        test("cli::busy_mounts::dead_leader", INSIDE, dead_leader),
        test(
            "cli::busy_mounts::dead_leader_of_a_mount_namespace",
            &[UserNamespaces, Program("nsenter"), Program("umount")],
            dead_leader_of_a_mount_namespace,
        ),
        test("cli::busy_mounts::lazily_unmounted_path", INSIDE, lazily_unmounted_path),
        test("cli::busy_mounts::namespace_file", INSIDE, namespace_file),
        test(
            "cli::busy_mounts::btrfs_subvolumes",
            &[
                Root,
                Program("losetup"),
                Program("mkfs.btrfs"),
                Program("nsenter"),
                FileSystem("btrfs"),
                File("/dev/loop-control"),
            ],
            btrfs_subvolumes,
        ),
        test("cli::busy_mounts::unread_processes", &[Root, Program("setpriv")], unread_processes),
        test("cli::busy_mounts::procfs_of_another_pid_namespace", INSIDE, procfs_of_another_pid_namespace),
    ]
}

#[track_caller]
fn because(answer: &Value) -> &[Value] {
    answer["mount"]["holders"].as_array().unwrap_or_else(|| panic!("{answer:#}"))
}

#[track_caller]
fn ask(actor: &Actor, path: &Path) -> Value {
    inside(actor, &["busy", "--json", path.to_str().unwrap()]).ok().answer()
}

#[track_caller]
fn umount_fails(actor: &Actor, path: &Path, errno: Errno) {
    let failed = actor.try_umount(path).map_err(|error| error.raw_os_error());
    assert_eq!(failed, Err(Some(errno.raw_os_error())), "otherwise this would prove nothing");
}

/// Others use the same file system through another mount, and are not to blame.
fn asked_for_a_mount() {
    let base = directory();
    let actor = Actor::spawn_in(&["user", "mnt"]);
    actor.mount("tmpfs", base.path());
    let [whole, part, bound] = ["whole", "whole/part", "bound"].map(|name| base.path().join(name));
    actor.mkdir(&whole);
    actor.mount("tmpfs", &whole);
    actor.mkdir(&part);
    actor.mkdir(&bound);
    actor.touch(part.join("file"));
    actor.bind(&part, &bound);
    let others: Vec<_> = (0..3).map(|_| actor.fork()).collect();
    others.iter().for_each(|other| other.chdir(&whole));
    let (culprit, open) = (actor.fork(), actor.fork());
    culprit.chdir(&bound);
    let fd = open.open(bound.join("file"), Open::ReadOnly);
    umount_fails(&actor, &bound, Errno::BUSY);
    let answer = ask(&actor, &bound);
    let expected = [
        ("process", culprit.pid(), "working directory".to_owned(), "leaves its working directory".to_owned()),
        ("process", open.pid(), format!("fd {fd}"), format!("closes fd {fd}")),
    ];
    let expected = expected.map(|(kind, pid, text, release)| {
        let release = json!([format!("process {pid} {release}, or exits")]);
        (json!(kind), json!(pid), json!(format!("process {pid} (exe): {text}")), release)
    });
    let found = because(&answer)
        .iter()
        .map(|one| (one["kind"].clone(), one["pid"].clone(), one["text"].clone(), super::texts(&one["release"])));
    let found: Vec<_> = found.collect();
    assert_eq!(found, expected, "{answer:#}");
    assert_eq!(answer["users"].as_array().unwrap().len(), 5, "{answer:#}");
    let text = inside(&actor, &["busy", bound.to_str().unwrap()]).ok();
    let first = format!("umount {} fails here because:\n  process {} (", bound.display(), culprit.pid());
    assert!(text.text().starts_with(&first), "{text:?}");
    culprit.chdir("/");
    open.close(fd);
    // What is mounted on it counts too.
    let on_it = bound.join("on");
    actor.mkdir(&on_it);
    actor.mount("tmpfs", &on_it);
    umount_fails(&actor, &bound, Errno::BUSY);
    let answer = ask(&actor, &bound);
    assert!(
        matches!(because(&answer), [one] if one["release"][0]["text"] == format!("`umount {}`", on_it.display())),
        "{answer:#}"
    );
    actor.umount(&on_it);
    assert_eq!(because(&ask(&actor, &bound)), [Value::Null; 0]);
    actor.umount(&bound);
}

/// An unmount propagates: users of the copies keep it from happening, and one command does it all.
fn propagated_copies() {
    let base = directory();
    let actor = Actor::spawn_in(&["user", "mnt"]);
    let shared = base.path().join("shared");
    actor.mount("tmpfs", base.path());
    actor.mkdir(&shared);
    actor.mount("tmpfs", &shared);
    actor.try_mount_with("none", "", &shared, SHARED, "").unwrap();
    let usb = shared.join("usb");
    actor.mkdir(&usb);
    let other = actor.fork();
    other.unshare(&["mnt"]);
    actor.mount("tmpfs", &usb);
    other.chdir(&usb);
    umount_fails(&actor, &usb, Errno::BUSY);
    let answer = ask(&actor, &usb);
    assert_eq!(answer["mounts"].as_array().unwrap().len(), 2, "{answer:#}");
    let until = format!("process {} leaves its working directory, or exits", other.pid());
    assert!(matches!(because(&answer), [one] if one["release"][0]["text"] == until), "{answer:#}");
    assert_eq!(super::texts(&answer["release"]), json!([until, format!("`umount {}`", usb.display())]));
    other.chdir("/");
    actor.umount(&usb);
    assert_eq!(other.try_umount(&usb).map_err(|error| error.raw_os_error()), Err(Some(Errno::INVAL.raw_os_error())));
}

/// `MS_SHARED`
const SHARED: u64 = 1 << 20;

/// The mounts of a sandbox with a user namespace of its own are locked there.
fn locked() {
    let base = directory();
    let home = Actor::spawn_in(&["mnt"]);
    home.mount("tmpfs", base.path());
    let number = file_system(&home, base.path());
    let sandbox = home.fork();
    sandbox.unshare(&["user", "mnt"]);
    sandbox.map_root();
    let umount = |words: &[&str]| run(Command::new("umount").args(words));
    let in_sandbox = umount(&["-N", &sandbox.pid().to_string(), base.path().to_str().unwrap()]);
    assert_ne!(in_sandbox.code, Some(0), "otherwise this would prove nothing");
    let release: Vec<_> =
        busy(number)["release"].as_array().unwrap().iter().map(|line| line["text"].to_string()).collect();
    let target = format!("mnt:{}", sandbox.ns_inode("mnt"));
    let here = format!("\"`umount -N {} {}`\"", home.pid(), base.path().display());
    let there = format!("\"the process of {target} exits (lxkns why {target})\"");
    assert!(release.len() == 2 && release.contains(&here) && release.contains(&there), "{release:?}");
    // And that is true.
    assert_eq!(umount(&["-N", &home.pid().to_string(), base.path().to_str().unwrap()]).code, Some(0));
    assert_eq!(busy(number)["mounts"].as_array().unwrap().len(), 1);
    drop(sandbox);
    assert!(super::busy::is_there(|| run_lxkns(["busy", &number.to_string()]).code == Some(3)));
}

/// What a process uses whose first thread has exited comes from one that lives.
fn dead_leader() {
    let base = directory();
    let actor = Actor::spawn_in(&["user", "mnt"]);
    actor.mount("tmpfs", base.path());
    let file = base.path().join("file");
    actor.write_file(&file, &[0; 4096]);
    let process = actor.fork();
    let thread = process.thread();
    thread.chdir(base.path());
    let fd = thread.open(&file, Open::ReadOnly);
    thread.map_dirty_page(&file);
    process.exit_main_thread();
    umount_fails(&actor, base.path(), Errno::BUSY);
    let answer = busy(file_system(&actor, base.path()));
    let tid = thread.tid();
    let found = uses(&answer, &process);
    assert_eq!(found[0], json!({"kind": "cwd", "tid": tid}), "{answer:#}");
    assert_eq!(found[1], json!({"kind": "fd", "tid": tid, "fd": fd}));
    assert_eq!(found.last().unwrap(), &json!({"kind": "mapped", "path": file.to_str().unwrap()}));
    assert_eq!(answer["users"][0]["mntns"], actor.ns_inode("mnt"));
    assert_eq!(answer["release"][0]["text"], format!("process {} exits", process.pid()));
    assert_eq!(ask(&actor, base.path())["mount"]["holders"][0]["pid"], process.pid());
    // Its executable is on the file system of this program.
    let program = std::env::current_exe().unwrap();
    let device = std::os::unix::fs::MetadataExt::dev(&std::fs::metadata(program).unwrap());
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let ran = run_lxkns(["busy", "--json", &format!("{major}:{minor}")]);
    // Of an overlay or a btrfs that is another number than the mount list has.
    if ran.code == Some(0) {
        let exe = json!({"kind": "exe"});
        assert!(uses(&ran.answer(), &process).contains(&exe), "{ran:?}");
    }
    drop(process);
    actor.umount(base.path());
}

/// `umount -N` takes the namespace of a thread that lives.
fn dead_leader_of_a_mount_namespace() {
    let base = directory();
    let actor = Actor::spawn_in(&["user", "mnt"]);
    actor.mount("tmpfs", base.path());
    let process = actor.fork();
    process.unshare(&["mnt"]);
    let thread = process.thread();
    process.exit_main_thread();
    actor.umount(base.path());
    let number = file_system_in(&actor, thread.ns_inode("mnt"), base.path());
    let answer = inside(&actor, &["busy", "--json", &number]).ok().answer();
    let (pid, tid) = (process.pid(), thread.tid());
    let umount = format!("`umount -N /proc/{pid}/task/{tid}/ns/mnt {}`", base.path().display());
    assert_eq!(super::texts(&answer["release"]), json!([umount]));
    let words: Vec<_> = umount.trim_matches('`').split(' ').collect();
    let mut command = Command::new("nsenter");
    command.args(["--target", &actor.pid().to_string(), "--user", "--mount", "--wd=/", "--preserve-credentials"]);
    let ran = run(command.args(&words));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    drop(thread);
}

/// The file system that is mounted at a path in this mount namespace, as MAJ:MIN.
fn file_system_in(actor: &Actor, namespace: u64, path: &Path) -> String {
    let text = inside(actor, &["mounts", "--json", &format!("mnt:{namespace}")]).ok().text().to_owned();
    let all: Value = serde_json::from_str(&text).unwrap();
    find(&all, path.to_str().unwrap()).unwrap_or_else(|| panic!("{all:#}"))
}

fn find(value: &Value, path: &str) -> Option<String> {
    match value {
        Value::Object(fields) if fields.get("path").is_some_and(|mounted| mounted == path) => {
            Some(format!("{}:{}", fields.get("major")?, fields.get("minor")?))
        }
        Value::Object(fields) => fields.values().find_map(|value| find(value, path)),
        Value::Array(values) => values.iter().find_map(|value| find(value, path)),
        _ => None,
    }
}

/// The path of a mount that was unmounted lazily leads to what is below, which is not what was asked about.
fn lazily_unmounted_path() {
    let base = directory();
    let actor = Actor::spawn_in(&["user", "mnt"]);
    actor.mount("tmpfs", base.path());
    let usb = base.path().join("usb");
    actor.mkdir(&usb);
    actor.mount("tmpfs", &usb);
    let inner = actor.fork();
    inner.chdir(&usb);
    actor.umount_lazily(&usb);
    let nearest = format!("not a mount point; nearest mount is {0}; try lxkns busy {0}", base.path().display());
    inside(&actor, &["busy", usb.to_str().unwrap()]).fails(1, &nearest);
    inside(&actor, &["busy", base.path().join("ubs").to_str().unwrap()]).fails(1, &nearest);
    drop(inner);
}

/// All namespaces' files are on one file system, of which only the one counts that is mounted at the path.
fn namespace_file() {
    let base = directory();
    let actor = Actor::spawn_in(&["user", "mnt"]);
    actor.mount("tmpfs", base.path());
    let [one, two] = ["one", "two"].map(|name| base.path().join(name));
    let made: Vec<_> = [&one, &two]
        .map(|path| {
            let maker = actor.fork();
            maker.unshare(&["uts"]);
            actor.touch(path);
            actor.bind(format!("/proc/{}/ns/uts", maker.pid()), path);
            maker
        })
        .into();
    let user = actor.fork();
    let fd = user.open(&one, Open::ReadOnly);
    let other = actor.fork();
    let _ = other.open(&two, Open::ReadOnly);
    let plain = actor.fork();
    let _ = plain.open(format!("/proc/{}/ns/uts", made[0].pid()), Open::ReadOnly);
    umount_fails(&actor, &one, Errno::BUSY);
    let answer = ask(&actor, &one);
    let until = format!("process {} closes fd {fd}, or exits", user.pid());
    assert!(matches!(because(&answer), [only] if only["release"][0]["text"] == until), "{answer:#}");
    assert_eq!(answer["users"].as_array().unwrap().len(), 1, "{answer:#}");
    assert_eq!(super::texts(&answer["release"]), json!([until, format!("`umount {}`", one.display())]));
    user.close(fd);
    actor.umount(&one);
}

/// Each subvolume has a device number of its own, and none is that of the mount list.
fn btrfs_subvolumes() {
    let base = directory();
    let actor = Actor::spawn_in(&["mnt"]);
    let (image, path) = (base.path().join("image"), base.path().join("mounted"));
    std::fs::File::create(&image).unwrap().set_len(128 << 20).unwrap();
    std::fs::create_dir(&path).unwrap();
    let program = |words: &[&str]| {
        let mut command = Command::new("nsenter");
        let ran = run(command.args(["-t", &actor.pid().to_string(), "-m", "-w/", "--"]).args(words));
        assert_eq!(ran.code, Some(0), "{words:?}: {ran:?}");
        ran.text().trim_end().to_owned()
    };
    program(&["mkfs.btrfs", "-q", image.to_str().unwrap()]);
    let device = program(&["losetup", "--find", "--show", image.to_str().unwrap()]);
    struct Detach(String);
    impl Drop for Detach {
        fn drop(&mut self) {
            let _ = Command::new("losetup").args(["-d", &self.0]).output();
        }
    }
    let _detach = Detach(device.clone());
    actor.try_mount_with(&device, "btrfs", &path, 0, "").unwrap();
    let volumes = ["a", "b", "c"].map(|name| path.join(name));
    for volume in &volumes {
        program(&["btrfs", "-q", "subvolume", "create", volume.to_str().unwrap()]);
        actor.write_file(volume.join("file"), &[0; 4096]);
    }
    let by: Vec<_> = (0..4).map(|_| actor.fork()).collect();
    by[0].chdir(&volumes[0]);
    let _ = by[1].open(volumes[1].join("file"), Open::ReadOnly);
    by[2].chroot(&volumes[2]);
    by[3].map_dirty_page(volumes[0].join("file"));
    let number = file_system(&actor, &path).to_string();
    actor.umount_lazily(&path);
    for asked in [&number, &device] {
        let answer = run_lxkns(["busy", "--json", asked]).ok().answer();
        let users = answer["users"].as_array().unwrap();
        let pids: Vec<_> = users.iter().map(|user| user["pid"].as_u64().unwrap()).collect();
        assert!(by.iter().all(|actor| pids.contains(&actor.pid().into())), "{asked}: {answer:#}");
    }
    drop(by);
}

/// Whoever may not look at processes does not say that there are none.
fn unread_processes() {
    let base = directory();
    let home = Actor::spawn_in(&["mnt"]);
    home.mount("tmpfs", base.path());
    let user = home.fork();
    user.chdir(base.path());
    let number = file_system(&home, base.path());
    let as_nobody = |words: &[&str]| -> Ran {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(lxkns().get_program());
        run(command.args(words))
    };
    // A mount of the test's own mount namespace, which nobody can list.
    let text = as_nobody(&["busy", "/proc"]);
    let first = text.text().lines().find(|line| line.contains(" is mounted in ")).unwrap();
    assert!(first.contains("at least") || first.contains("is not known"), "{first}");
    assert!(!text.text().contains("used by 0 processes") && !text.text().contains("no process was found"), "{text:?}");
    assert!(text.gaps().iter().any(|line| line.contains("processes not readable")), "{text:?}");
    let missing = as_nobody(&["busy", &number.to_string()]);
    assert_eq!(missing.code, Some(3), "{missing:?}");
    assert!(missing.stderr.contains("but there may be one"), "{missing:?}");
    drop(user);
}

/// `/proc` is that of another PID namespace: what can be read there is.
fn procfs_of_another_pid_namespace() {
    let base = directory();
    let actor = Actor::spawn_in(&["user", "mnt", "pid"]);
    actor.mount("tmpfs", base.path());
    actor.touch(base.path().join("file"));
    let user = actor.fork();
    let fd = user.open(base.path().join("file"), Open::ReadOnly);
    let path = base.path().to_str().unwrap();
    // The first process of the PID namespace is `user`: who joins it sees the procfs of the one above.
    let inside = |arguments: &[&str]| {
        let target = user.pid().to_string();
        let mut command = Command::new("nsenter");
        command.args(["--target", &target, "--user", "--mount", "--pid", "--wd=/", "--preserve-credentials"]);
        run(command.arg(lxkns().get_program()).args(arguments)).ok()
    };
    let answer = inside(&["busy", "--json", path]).answer();
    let until = format!("process {} closes fd {fd}, or exits", user.pid());
    assert!(matches!(because(&answer), [one] if one["release"][0]["text"] == until), "{answer:#}");
    let mounts = inside(&["mounts"]);
    assert!(mounts.text().contains(path), "{mounts:?}");
}
