//! `lxkns owner`: whose a file is, beside what `stat` shows inside each user namespace.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lxkns_fixture::Actor;
use lxkns_fixture::fuse::{DeadFuse, Death};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::directory;
use super::program::run_lxkns;
use crate::harness::Need::{FileSystem, Kernel, Root, UserNamespaces};
use crate::harness::{Test, test};

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("owner::user_namespaces", &[Root, UserNamespaces, FileSystem("tmpfs")], user_namespaces),
        test("owner::names", &[Root, UserNamespaces], names),
        test("owner::id_mapped_mount", &[Root, UserNamespaces, Kernel(6, 3)], id_mapped_mount),
        test("owner::in_a_process", &[Root, UserNamespaces], in_a_process),
        test("owner::file_capabilities", &[Root, UserNamespaces], file_capabilities),
        test("owner::capabilities_on_an_overlay", &[Root, UserNamespaces, FileSystem("overlay")], on_an_overlay),
        test("owner::capabilities_that_are_not_answered", &[Root, FileSystem("fuse")], not_answered),
        test("owner::dead_file_system", &[Root, FileSystem("fuse")], dead_file_system),
        test("owner::own_user_namespace", &[UserNamespaces], own_user_namespace),
        test("owner::what_is_not_there", &[], what_is_not_there),
    ]
}

/// What is said of a file.
#[track_caller]
fn owner(file: &str) -> Value {
    let answers = run_lxkns(["owner", "--json", file]).ok().answer_to("owner");
    answers[0].clone()
}

/// How a user namespace has a file at a path in a mount namespace.
#[track_caller]
fn view<'a>(answer: &'a Value, actor: &Actor, path: &Path) -> &'a Value {
    let views = answer["views"].as_array().unwrap();
    let (user, mnt) = (actor.ns_inode("user"), actor.ns_inode("mnt"));
    let is_it = |view: &&Value| view["userns"] == user && view["mntns"] == mnt && view["path"] == text(path);
    views.iter().find(is_it).unwrap_or_else(|| panic!("{user} {mnt} {path:?} is not in {answer:#}"))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Checks that a view is what the kernel shows inside.
#[track_caller]
fn check(answer: &Value, actor: &Actor, path: &Path) {
    const OVERFLOW: u64 = 65_534;
    let view = view(answer, actor, path);
    let shown = ["uid", "gid"].map(|id| match view[format!("{id}-state")].as_str().unwrap() {
        "known" => view[id].as_u64().unwrap(),
        "not-mapped" | "overflow" => OVERFLOW,
        other => panic!("{other}: {view:#}"),
    });
    assert_eq!(shown, actor.stat_ids(path).map(u64::from), "{path:?} {view:#}");
}

/// A host's mount namespace of a test's own, with a tmpfs on a directory that everybody may enter.
fn host() -> (TempDir, Actor, PathBuf) {
    let directory = directory();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let host = Actor::spawn();
    host.unshare(&["mnt"]);
    host.make_mounts_private();
    let mount = directory.path().join("files");
    fs::create_dir(&mount).unwrap();
    host.mount("tmpfs", &mount);
    (directory, host, mount)
}

/// A path of an actor's, as the test sees it.
fn through(actor: &Actor, path: &Path) -> PathBuf {
    PathBuf::from(format!("/proc/{}/root{}", actor.pid(), text(path)))
}

/// A file of these owners.
fn file(host: &Actor, path: &Path, uid: u32, gid: u32) {
    host.touch(path);
    chown(through(host, path), Some(uid), Some(gid)).unwrap();
}

/// A child in user and mount namespaces of its own, whose IDs from 0 to 999 are these.
fn inside(host: &Actor, first: u32) -> Actor {
    let child = host.fork();
    child.unshare(&["user", "mnt"]);
    child.map_ids(&[(0, first, 1000)]);
    child
}

fn user_namespaces() {
    let (_directory, host, mount) = host();
    let (one, two) = (inside(&host, 100_000), inside(&host, 200_000));
    for (name, uid, gid) in [("one", 100_005, 100_006), ("two", 200_007, 100_001), ("root", 0, 0), ("max", 65_534, 9)] {
        let path = mount.join(name);
        file(&host, &path, uid, gid);
        let answer = owner(&format!("{}:{}", host.pid(), text(&path)));
        assert_eq!(answer["on-host"]["uid"], uid, "{answer:#}");
        assert_eq!((&answer["on-host"]["gid"], &answer["mount"]["id-mapped"]), (&json!(gid), &json!(false)));
        for actor in [&host, &one, &two] {
            check(&answer, actor, &path);
        }
        // Who asks through another process gets the same.
        let other = owner(&format!("{}:{}", one.pid(), text(&path)));
        assert_eq!((&other["views"], &other["on-host"]), (&answer["views"], &answer["on-host"]));
    }
    let answer = owner(&format!("{}:{}", host.pid(), text(&mount.join("root"))));
    assert_eq!(view(&answer, &one, &mount.join("root"))["uid-state"], "not-mapped");
    // Seen nowhere else any more.
    let gone = two.ns_inode("user");
    drop(two);
    let answer = owner(&format!("{}:{}", host.pid(), text(&mount.join("one"))));
    assert!(answer["views"].as_array().unwrap().iter().all(|view| view["userns"] != gone), "{answer:#}");
}

fn names() {
    let (directory, host, mount) = host();
    let one = inside(&host, 100_000);
    let [users, groups] = [("passwd", "app:x:5:6::/:/x\n"), ("group", "apps:x:6:\n")].map(|(name, line)| {
        let path = directory.path().join(name);
        fs::write(&path, line).unwrap();
        one.bind(&path, format!("/etc/{name}"));
        path
    });
    let path = mount.join("file");
    file(&host, &path, 100_005, 100_006);
    let answer = owner(&format!("{}:{}", host.pid(), text(&path)));
    let inner = view(&answer, &one, &path);
    assert_eq!((&inner["user"], &inner["group"]), (&json!("app"), &json!("apps")), "{answer:#}");
    assert_eq!(answer["on-host"]["user"], Value::Null, "{answer:#}");
    // A device in its place is not read.
    one.bind("/dev/zero", "/etc/passwd");
    let answer = owner(&format!("{}:{}", host.pid(), text(&path)));
    let inner = view(&answer, &one, &path);
    assert_eq!((&inner["uid"], &inner["user"], &inner["group"]), (&json!(5), &Value::Null, &json!("apps")));
    drop((users, groups));
}

fn id_mapped_mount() {
    let (directory, host, mount) = host();
    let map = inside(&host, 100_000);
    let fd = host.give_fd(map.open_ns("user"));
    let mapped = directory.path().join("mapped");
    fs::create_dir(&mapped).unwrap();
    for (name, uid, gid) in [("low", 5, 6), ("high", 5000, 6), ("shown", 100_005, 7)] {
        file(&host, &mount.join(name), uid, gid);
    }
    host.bind_id_mapped(&mount, &mapped, fd);
    let one = inside(&host, 100_000);
    for (name, uid) in [("low", 5), ("high", 5000), ("shown", 100_005)] {
        let (plain, shown) = (mount.join(name), mapped.join(name));
        let answer = owner(&format!("{}:{}", host.pid(), text(&shown)));
        assert_eq!(
            (&answer["mount"]["id-mapped"], &answer["on-host"]["uid"]),
            (&json!(true), &json!(uid)),
            "{answer:#}"
        );
        for actor in [&host, &one] {
            check(&answer, actor, &plain);
            check(&answer, actor, &shown);
        }
    }
    let answer = owner(&format!("{}:{}", host.pid(), text(&mapped.join("low"))));
    assert_eq!(answer["as-found"]["uid"], 100_005, "{answer:#}");
    // The mount maps the root that file capabilities count for: the kernel shows another form of them through it.
    let low = through(&host, &mount.join("low"));
    let words: [u32; 5] = [0x0200_0001, 1 << 13, 0, 0, 0];
    let value: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    rustix::fs::setxattr(&low, c"security.capability", &value, rustix::fs::XattrFlags::empty()).unwrap();
    fs::set_permissions(&low, fs::Permissions::from_mode(0o755)).unwrap();
    let mut shown = [0; 24];
    let length = rustix::fs::getxattr(through(&host, &mapped.join("low")), c"security.capability", &mut shown[..]);
    assert_eq!((length, &shown[20..]), (Ok(24), &100_000_u32.to_le_bytes()[..]), "they count where that is root");
    let counts = |found_at: &Path, path: &Path| {
        let answer = owner(&format!("{}:{}", host.pid(), text(&found_at.join("low"))));
        [&host, &one].map(|actor| view(&answer, actor, &path.join("low"))["capabilities-count"].clone())
    };
    assert_eq!(counts(&mapped, &mapped), [json!(false), json!(null)], "the other has a copy of the mount");
    assert_eq!(counts(&mount, &mount), [json!(true), json!(true)]);
    assert_eq!(counts(&mount, &mapped), [json!(null), json!(null)], "the map of another mount is not known");
    // Where no other mount shows it, the map of the mount says what the host has, on kernels that tell it.
    drop((one, map));
    host.umount(&mount);
    let one = inside(&host, 100_000);
    let answer = owner(&format!("{}:{}", host.pid(), text(&mapped.join("low"))));
    let expected = match answer["mount"]["maps-read"].as_bool() {
        Some(true) => json!([5, "known"]),
        _ => json!([null, "unknown"]),
    };
    assert_eq!(json!([answer["on-host"]["uid"], answer["on-host"]["uid-state"]]), expected, "{answer:#}");
    check(&answer, &one, &mapped.join("low"));
}

fn in_a_process() {
    let (directory, host, mount) = host();
    let inner = inside(&host, 100_000);
    let root = mount.join("root");
    host.mkdir(&root);
    file(&host, &root.join("secret"), 100_001, 100_002);
    symlink("/secret", through(&host, &root.join("absolute"))).unwrap();
    symlink("../../../../secret", through(&host, &root.join("relative"))).unwrap();
    inner.chroot(&root);
    let expected = json!([1, 2]);
    for path in ["/secret", "/../../secret", "//secret"] {
        let answer = owner(&format!("{}:{path}", inner.pid()));
        let view = answer["views"].as_array().unwrap().iter().find(|view| view["userns"] == inner.ns_inode("user"));
        assert_eq!(view.map(|view| json!([view["uid"], view["gid"]])), Some(expected.clone()), "{answer:#}");
    }
    // The root directory of a process, as procfs has it.
    let procfs = owner(&format!("/proc/{}/root/secret", inner.pid()));
    assert_eq!(procfs["views"], owner(&format!("{}:/secret", inner.pid()))["views"], "{procfs:#}");
    assert_eq!(procfs["on-host"]["uid"], 100_001, "{procfs:#}");
    let at = |path: &str| format!("{}:{path}", inner.pid());
    for link in ["/absolute", "/relative"] {
        assert_eq!(owner(&at(link))["kind"], "symbolic link");
        let followed = run_lxkns(["owner", "-L", "--json", &at(link)]).ok().answer_to("owner");
        assert_eq!((&followed[0]["kind"], &followed[0]["on-host"]["uid"]), (&json!("regular file"), &json!(100_001)));
    }
    run_lxkns(["owner", &at(text(directory.path()))]).fails(1, "No such file or directory (ENOENT)");
    run_lxkns(["owner", &at("/secret/x")]).fails(1, "Not a directory (ENOTDIR)");
}

fn file_capabilities() {
    let (_directory, host, mount) = host();
    let (one, two) = (inside(&host, 100_000), inside(&host, 200_000));
    let path = mount.join("program");
    file(&host, &path, 0, 0);
    let words: [u32; 6] = [0x0300_0001, 1 << 13, 0, 0, 0, 100_000];
    let value: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let seen = through(&host, &path);
    rustix::fs::setxattr(&seen, c"security.capability", &value, rustix::fs::XattrFlags::empty()).unwrap();
    fs::set_permissions(&seen, fs::Permissions::from_mode(0o4755)).unwrap();
    let answer = owner(&format!("{}:{}", host.pid(), text(&path)));
    let capabilities = &answer["file-capabilities"];
    assert_eq!(
        (&capabilities["root-uid"], &capabilities["takes-effect"]),
        (&json!(100_000), &json!(true)),
        "{answer:#}"
    );
    assert_eq!(capabilities["permitted"], json!(["CAP_NET_RAW"]));
    let counts = [&host, &one, &two].map(|actor| view(&answer, actor, &path)["capabilities-count"].clone());
    assert_eq!(counts, [json!(false), json!(true), json!(false)], "{answer:#}");
    // The kernel agrees: it shows the old form, without a root, where that is root.
    let in_one = through(&one, &path);
    assert!(in_one.exists());
    let set_id = [&host, &one].map(|actor| view(&answer, actor, &path)["set-id"].clone());
    assert_eq!(set_id, [json!(true), json!(false)], "root of the host is not mapped there: {answer:#}");
}

/// An overlay may wait for the servers of its layers; one whose layers have none answers.
fn on_an_overlay() {
    let (_directory, host, mount) = host();
    let [lower, upper, work, merged] = ["lower", "upper", "work", "merged"].map(|name| mount.join(name));
    [&lower, &upper, &work, &merged].into_iter().for_each(|path| host.mkdir(path));
    file(&host, &lower.join("program"), 0, 0);
    file(&host, &lower.join("plain"), 0, 0);
    let words: [u32; 6] = [0x0300_0001, 1 << 13, 0, 0, 0, 100_000];
    let value: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let seen = through(&host, &lower.join("program"));
    rustix::fs::setxattr(&seen, c"security.capability", &value, rustix::fs::XattrFlags::empty()).unwrap();
    let data = format!("lowerdir={},upperdir={},workdir={}", text(&lower), text(&upper), text(&work));
    host.mount_with("none", "overlay", &merged, 0, &data);
    let one = inside(&host, 100_000);
    let path = merged.join("program");
    // What the kernel says through the overlay.
    let mut shown = [0; 64];
    let length = rustix::fs::getxattr(through(&host, &path), c"security.capability", &mut shown[..]).unwrap();
    assert_eq!(shown[..length], value);
    let answer = owner(&format!("{}:{}", host.pid(), text(&path)));
    assert_eq!(answer["capabilities-read"], true, "{answer:#}");
    assert_eq!(answer["file-capabilities"]["permitted"], json!(["CAP_NET_RAW"]), "{answer:#}");
    assert_eq!(answer["file-capabilities"]["root-uid"], 100_000, "{answer:#}");
    let counts = [&host, &one].map(|actor| view(&answer, actor, &path)["capabilities-count"].clone());
    assert_eq!(counts, [json!(false), json!(true)], "{answer:#}");
    let plain = owner(&format!("{}:{}", host.pid(), text(&merged.join("plain"))));
    assert_eq!(
        (&plain["capabilities-read"], &plain["file-capabilities"]),
        (&json!(true), &Value::Null),
        "it has none: {plain:#}"
    );
}

/// A server that does not answer for an attribute costs a bounded time, and the rest is told.
fn not_answered() {
    let (_directory, host, mount) = host();
    let path = mount.join("file");
    host.touch(&path);
    let fuse = DeadFuse::mount_file(&host, &path, Death::Unanswered);
    fuse.die();
    let began = Instant::now();
    let ran = run_lxkns(["owner", "--timeout", "0.3", "--json", &format!("{}:{}", host.pid(), text(&path))]);
    assert!(began.elapsed() < Duration::from_secs(30));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let answer = &ran.answer_to("owner")[0];
    assert_eq!((&answer["kind"], &answer["on-host"]["uid"]), (&json!("regular file"), &json!(0)), "{answer:#}");
    assert_eq!((&answer["capabilities-read"], &answer["file-capabilities"]), (&json!(false), &Value::Null));
    let gap = "its capabilities are not readable: no answer in time";
    assert!(ran.stderr.contains(gap), "{ran:?}");
    drop(fuse);
}

fn dead_file_system() {
    let (_directory, host, mount) = host();
    let dead = mount.join("dead");
    host.mkdir(&dead);
    let fuse = DeadFuse::mount(&host, &dead, Death::Unanswered);
    fuse.die();
    let began = Instant::now();
    let path = format!("{}:{}", host.pid(), text(&dead.join("file")));
    run_lxkns(["owner", "--timeout", "0.3", &path]).fails(3, "no answer in time");
    assert!(began.elapsed() < Duration::from_secs(30));
    // The mount point itself is known to the kernel, and nobody is asked for another file.
    let other = mount.join("other");
    file(&host, &other, 7, 8);
    assert_eq!(owner(&format!("{}:{}", host.pid(), text(&other)))["on-host"]["uid"], 7);
    drop(fuse);
}

fn own_user_namespace() {
    let directory = directory();
    let path = directory.path().join("file");
    fs::write(&path, "").unwrap();
    let actor = Actor::spawn_in(&["user", "mnt"]);
    let answer = owner(text(&path));
    let own = rustix::process::geteuid().as_raw();
    assert_eq!(answer["as-found"]["uid"], own, "{answer:#}");
    check(&answer, &actor, &path);
}

fn what_is_not_there() {
    let directory = directory();
    let missing = directory.path().join("missing");
    run_lxkns(["owner", text(&missing)]).fails(1, "No such file or directory (ENOENT)");
    run_lxkns(["owner", "--from", "/nowhere.json", text(&missing)]).fails(2, "a dump has no files");
    run_lxkns(["owner", "net:4026531833:/x"]).fails(2, "before :/ stands a process or a container");
    run_lxkns(["owner", "4194304:/etc/passwd"]).fails(1, "no such process");
}
