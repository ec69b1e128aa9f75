//! `lxkns busy` about block devices: what uses a partition, another device of the file system, or what is made of it. An
//! exclusive open judges, which is for tests alone: it can make somebody's mount fail.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use lxkns_fixture::{Actor, Open};
use serde_json::{Value, json};

use super::busy::{file_system, is_there, uses};
use super::busy_holders::{Undo, is_busy, loop_on, named, nsenter, of_kind, opens_exclusively, program};
use crate::harness::Need::{self, File, FileSystem, FileSystem as HasFileSystem, Program, Root};
use crate::harness::{Test, test};
use crate::live::directory;
use crate::live::program::run_lxkns;

pub(super) fn tests() -> Vec<Test> {
    const LOOP: &[Need] =
        &[Root, Program("losetup"), Program("truncate"), Program("nsenter"), File("/dev/loop-control")];
    const PARTITIONS: &[Need] = &[
        Root,
        Program("losetup"),
        Program("mkfs.ext4"),
        Program("swapon"),
        Program("addpart"),
        Program("truncate"),
        Program("nsenter"),
        File("/dev/loop-control"),
    ];
    const BTRFS: &[Need] = &[
        Root,
        Program("losetup"),
        Program("mkfs.btrfs"),
        Program("nsenter"),
        FileSystem("btrfs"),
        File("/dev/loop-control"),
    ];
    const OVERLAY: &[Need] = &[
        Root,
        Program("losetup"),
        Program("mkfs.ext4"),
        Program("nsenter"),
        FileSystem("overlay"),
        File("/dev/loop-control"),
    ];
    const JOURNAL: &[Need] = &[
        Root,
        Program("losetup"),
        Program("mkfs.ext4"),
        Program("mke2fs"),
        Program("nsenter"),
        File("/dev/loop-control"),
        File("/proc/fs/jbd2"),
    ];
    vec![
        test("cli::busy_devices::partition", PARTITIONS, partition),
        test("cli::busy_devices::second_device", BTRFS, second_device),
        test("cli::busy_devices::external_journal", JOURNAL, external_journal),
        test("cli::busy_devices::mapped_device", LOOP, mapped_device),
        test("cli::busy_devices::open_disk", PARTITIONS, open_disk),
        test("cli::busy_devices::hidden_layer", OVERLAY, hidden_layer),
        test(
            "cli::busy_devices::without_the_kernels_file_systems",
            &[Root, Program("nsenter"), HasFileSystem("tracefs")],
            without_the_kernels_file_systems,
        ),
        test("cli::busy_devices::loop_device_in_use", PARTITIONS, loop_device_in_use),
        test("cli::busy_devices::loop_device_of_a_hidden_mount", LOOP, loop_device_of_a_hidden_mount),
        test("cli::busy_devices::loop_device_of_a_copy", LOOP, loop_device_of_a_copy),
    ]
}

/// An image in a file of this size, on a loop device with its partitions.
fn image(actor: &Actor, base: &Path, name: &str, size: u64) -> (String, Undo) {
    let file = base.join(name);
    std::fs::File::create(&file).unwrap().set_len(size).unwrap();
    let device = program(actor, &["losetup", "--partscan", "--find", "--show", file.to_str().unwrap()]);
    (device.clone(), Undo(["losetup", "-d", &device].map(str::to_owned).into()))
}

/// Where to mount something.
fn point(base: &Path) -> PathBuf {
    let path = base.join("mounted");
    std::fs::create_dir(&path).unwrap();
    path
}

#[track_caller]
fn ask(device: &str) -> Value {
    run_lxkns(["busy", "--json", device]).ok().answer()
}

/// A use of a partition keeps the disk from exclusive use, whatever it is.
fn partition() {
    const SIZE: u64 = 16 << 20;
    let (base, actor) = (directory(), Actor::spawn_in(&["mnt"]));
    let (disk, undo) = image(&actor, base.path(), "image", SIZE);
    let (partition, path) = (format!("{disk}p1"), point(base.path()));
    program(&actor, &["addpart", &disk, "1", "2048", &(SIZE / 512 - 2048).to_string()]);
    let is_free = || {
        // What set it up may still have it open.
        let ran = run_lxkns(["busy", &disk]);
        let is_said = ran.code == Some(3) && ran.stderr.contains("no mount or user of this device was found");
        is_said && opens_exclusively(&disk)
    };
    assert!(is_there(is_free));

    program(&actor, &["mkfs.ext4", "-q", "-F", "-O", "^has_journal", &partition]);
    actor.try_mount_with(&partition, "ext4", &path, 0, "").unwrap();
    assert!(!opens_exclusively(&disk));
    let until = format!("the file system on {partition} is released (lxkns busy {partition})");
    let on_partition = |answer: &Value| {
        let [one] = of_kind(answer, "holders", "device-file-system")[..] else { panic!("{answer:#}") };
        assert_eq!(one["text"], format!("ext4 on {partition}, a partition of it"));
        assert_eq!(one["release"][0]["text"], until);
    };
    let answer = ask(&disk);
    on_partition(&answer);
    assert!(super::texts(&answer["release"]).as_array().unwrap().contains(&json!(until)), "{answer:#}");
    let text = run_lxkns(["busy", &disk]).ok();
    assert!(text.text().contains(&format!("  ext4 on {partition}, a partition of it\n")), "{text:?}");
    assert!(!text.text().contains("0 mount namespaces"), "{text:?}");
    assert_eq!(of_kind(&ask(&partition), "holders", "device-file-system"), [&Value::Null; 0]);

    // The same, mounted nowhere any more.
    let of_partition = actor.fork();
    of_partition.chdir(&path);
    actor.umount_lazily(&path);
    assert!(!opens_exclusively(&disk));
    let answer = ask(&disk);
    on_partition(&answer);
    assert_eq!(uses(&answer, &of_partition), [json!({"kind": "cwd", "tid": of_partition.pid()})], "{answer:#}");
    drop(of_partition);
    assert!(is_there(is_free));

    let fd = actor.open(&partition, Open::ReadOnly);
    let device = json!({"kind": "device", "tid": actor.pid(), "fd": fd});
    assert_eq!(uses(&ask(&disk), &actor), [device]);
    actor.close(fd);

    program(&actor, &["mkswap", &partition]);
    program(&actor, &["swapon", &partition]);
    assert!(!opens_exclusively(&disk));
    let answer = ask(&disk);
    let until = named(&answer, "holders", "swap", Path::new(&partition))["release"][0]["text"].as_str().unwrap();
    program(&actor, &["sh", "-c", until.trim_matches('`')]);
    assert!(is_there(is_free));

    // The other way round: the disk is used, and with it the partition.
    program(&actor, &["mkfs.ext4", "-q", "-F", "-O", "^has_journal", &disk]);
    actor.try_mount_with(&disk, "ext4", &path, 0, "").unwrap();
    assert!(!opens_exclusively(&partition));
    let answer = ask(&partition);
    let [one] = of_kind(&answer, "holders", "device-file-system")[..] else { panic!("{answer:#}") };
    assert_eq!(one["text"], format!("ext4 on {disk}, the disk that it is a partition of"));
    actor.umount(&path);
    assert!(is_there(|| opens_exclusively(&partition)));
    drop(undo);
}

/// All devices of a btrfs are the file system's, though the mount list names one of them.
fn second_device() {
    let (base, actor) = (directory(), Actor::spawn_in(&["mnt"]));
    let path = point(base.path());
    let devices = ["one", "two"].map(|name| image(&actor, base.path(), name, 128 << 20));
    program(&actor, &["mkfs.btrfs", "-q", "-f", &devices[0].0, &devices[1].0]);
    for (device, _) in &devices {
        program(&actor, &["btrfs", "device", "scan", device]);
    }
    actor.try_mount_with(&devices[0].0, "btrfs", &path, 0, "").unwrap();
    let user = actor.fork();
    user.chdir(&path);
    for (device, _) in &devices {
        assert!(!opens_exclusively(device));
        let number = std::fs::read_to_string(format!("/sys/block/{}/dev", device.trim_start_matches("/dev/"))).unwrap();
        for asked in [device.as_str(), number.trim()] {
            let answer = ask(asked);
            assert_eq!(answer["mounts"][0]["path"], path.to_str().unwrap(), "{answer:#}");
            assert_eq!(uses(&answer, &user), [json!({"kind": "cwd", "tid": user.pid()})], "{answer:#}");
            let text = run_lxkns(["busy", device]).ok();
            let said = text.text().replace("at least ", "");
            assert!(said.contains(") is mounted in 1 mount namespace and used by "), "{text:?}");
        }
    }
    // Whoever has a device open uses the file system too.
    let fd = actor.open(&devices[1].0, Open::ReadOnly);
    let device = json!({"kind": "device", "tid": actor.pid(), "fd": fd});
    assert_eq!(uses(&ask(&devices[0].0), &actor), [device]);
    actor.close(fd);
    drop(user);
    actor.umount(&path);
    assert!(is_there(|| opens_exclusively(&devices[1].0)));
}

/// `losetup -d` of a device that something uses succeeds, and its backing file stays busy: what uses it is named first.
fn loop_device_in_use() {
    const SIZE: u64 = 16 << 20;
    let (base, actor) = (directory(), Actor::spawn_in(&["mnt"]));
    let [holding, path] = ["holding", "mounted"].map(|name| base.path().join(name));
    [&holding, &path].into_iter().for_each(|path| std::fs::create_dir(path).unwrap());
    actor.mount("tmpfs", &holding);
    let file = holding.join("image");
    program(&actor, &["truncate", "-s", &SIZE.to_string(), file.to_str().unwrap()]);
    let device = program(&actor, &["losetup", "--partscan", "--find", "--show", file.to_str().unwrap()]);
    let undo = Undo(["losetup", "-d", &device].map(str::to_owned).into());
    let until = || {
        is_busy(&actor, &holding);
        let answer = nsenter(&actor, &holding);
        let [one] = &answer["mount"]["holders"].as_array().unwrap()[..] else { panic!("{answer:#}") };
        one["release"][0]["text"].as_str().unwrap().to_owned()
    };
    let [detach, first] = [
        format!("`losetup -d {device}`"),
        format!("what uses {device} releases it (lxkns busy {device}), then `losetup -d {device}`"),
    ];
    assert!(is_there(|| until() == detach));

    let partition = format!("{device}p1");
    program(&actor, &["mkfs.ext4", "-q", "-F", "-O", "^has_journal", &device]);
    actor.try_mount_with(&device, "ext4", &path, 0, "").unwrap();
    assert_eq!(until(), first, "mounted");
    let user = actor.fork();
    user.chdir(&path);
    actor.umount_lazily(&path);
    assert_eq!(until(), first, "unmounted lazily");
    drop(user);
    assert!(is_there(|| until() == detach));

    program(&actor, &["addpart", &device, "1", "2048", "16384"]);
    program(&actor, &["mkswap", &partition]);
    program(&actor, &["swapon", &partition]);
    assert_eq!(until(), first, "swap");
    program(&actor, &["swapoff", &partition]);
    assert!(is_there(|| until() == detach));

    let second = program(&actor, &["losetup", "--find", "--show", &partition]);
    let of_second = Undo(["losetup", "-d", &second].map(str::to_owned).into());
    assert_eq!(until(), first, "another loop device");
    assert_eq!(
        named(&ask(&device), "holders", "loop", Path::new(&partition))["release"][0]["text"],
        format!("`losetup -d {second}`")
    );
    drop(of_second);
    assert!(is_there(|| until() == detach));

    // So it is.
    let fd = actor.open(&partition, Open::ReadOnly);
    assert_eq!(until(), first, "open");
    drop(undo);
    assert_eq!(until(), format!("what uses {device} releases it (lxkns busy {device})"), "it detaches itself now");
    actor.close(fd);
    assert!(is_there(|| actor.try_umount(&holding).is_ok()));
}

/// A file that takes no space.
fn sparse_file(actor: &Actor, path: &Path) {
    program(actor, &["truncate", "-s", "1M", path.to_str().unwrap()]);
}

/// The loop device is only suspected of keeping this mount, which it does not keep.
#[track_caller]
fn only_perhaps(actor: &Actor, path: &Path, device: &str) {
    let answer = nsenter(actor, path);
    assert_eq!(answer["mount"]["holders"], json!([]), "{answer:#}");
    let until = format!("`losetup -d {device}`");
    let perhaps = answer["mount"]["suspects"].as_array().unwrap();
    assert_eq!(perhaps.iter().filter(|one| one["release"][0]["text"] == until).count(), 1, "{answer:#}");
}

/// The path of the backing file leads to the mount that hides the file's own, with a file of this name or without.
fn loop_device_of_a_hidden_mount() {
    for has_such_a_file in [false, true] {
        let (base, actor) = (directory(), Actor::spawn_in(&["mnt"]));
        actor.mount("tmpfs", base.path());
        let file = base.path().join("image");
        sparse_file(&actor, &file);
        let (device, undo) = loop_on(&actor, &file);
        let number = file_system(&actor, base.path()).to_string();
        let until = &nsenter(&actor, base.path())["mount"]["holders"][0]["release"][0]["text"];
        assert_eq!(until, &format!("`losetup -d {device}`"));
        actor.mount("tmpfs", base.path());
        if has_such_a_file {
            sparse_file(&actor, &file);
        }
        let hidden = run_lxkns(["busy", "--json", &number]).ok().answer();
        let of_loop = of_kind(&hidden, "suspects", "loop");
        assert!(of_loop.iter().any(|one| one["path"] == file.to_str().unwrap()), "{hidden:#}");
        if has_such_a_file {
            only_perhaps(&actor, base.path(), &device);
        } else {
            assert_eq!(nsenter(&actor, base.path())["mount"]["holders"], json!([]));
        }
        actor.umount(base.path());
        is_busy(&actor, base.path());
        drop(undo);
        actor.umount(base.path());
    }
}

/// It was set up in another mount namespace, through a copy of the mount that is asked about.
fn loop_device_of_a_copy() {
    let (base, actor) = (directory(), Actor::spawn_in(&["mnt"]));
    actor.mount("tmpfs", base.path());
    let file = base.path().join("image");
    sparse_file(&actor, &file);
    let other = actor.fork();
    other.unshare(&["mnt"]);
    let (device, undo) = loop_on(&other, &file);
    only_perhaps(&actor, base.path(), &device);
    // That the file system is in use is certain.
    let number = file_system(&actor, base.path()).to_string();
    let answer = run_lxkns(["busy", "--json", &number]).ok().answer();
    assert!(of_kind(&answer, "holders", "loop").len() + of_kind(&answer, "suspects", "loop").len() == 1, "{answer:#}");
    actor.umount(base.path());
    is_busy(&other, base.path());
    drop(undo);
    other.umount(base.path());
}

/// A device with the journal of another device's file system is in use as long as that is.
fn external_journal() {
    const SIZE: u64 = 32 << 20;
    let (base, actor) = (directory(), Actor::spawn_in(&["mnt"]));
    let path = point(base.path());
    let [(journal, of_journal), (device, of_device)] =
        ["journal", "device"].map(|name| image(&actor, base.path(), name, SIZE));
    program(&actor, &["mke2fs", "-q", "-F", "-b", "4096", "-O", "journal_dev", &journal]);
    program(&actor, &["mkfs.ext4", "-q", "-F", "-b", "4096", "-J", &format!("device={journal}"), &device]);
    assert!(is_there(|| opens_exclusively(&journal)));
    actor.try_mount_with(&device, "ext4", &path, 0, "").unwrap();
    assert!(!opens_exclusively(&journal));
    let until = format!("the file system on {device} is released (lxkns busy {device})");
    let names_it = || {
        let answer = ask(&journal);
        let [one] = of_kind(&answer, "holders", "journal")[..] else { panic!("{answer:#}") };
        assert_eq!(one["text"], format!("{journal} has the journal of the file system on {device}"));
        assert_eq!(one["release"][0]["text"], until);
        assert!(super::texts(&answer["release"]).as_array().unwrap().contains(&json!(until)), "{answer:#}");
    };
    names_it();
    // Its own journal is no other's, and the file system's device has none.
    assert_eq!(of_kind(&ask(&device), "holders", "journal"), [&Value::Null; 0]);
    // Mounted nowhere any more, and in use.
    let user = actor.fork();
    user.chdir(&path);
    actor.umount_lazily(&path);
    assert!(!opens_exclusively(&journal));
    names_it();
    drop(user);
    assert!(is_there(|| opens_exclusively(&journal)));
    run_lxkns(["busy", &journal]).fails(3, "no mount or user of this device was found");
    drop((of_journal, of_device));
}

/// A device stays open as long as it is mapped, without a descriptor.
fn mapped_device() {
    let (base, actor) = (directory(), Actor::spawn_in(&["mnt"]));
    let (device, undo) = image(&actor, base.path(), "image", 1 << 20);
    let user = actor.fork();
    user.map_dirty_page(&device);
    let open = uses(&ask(&device), &user).into_iter().find(|one| one["kind"] == "device");
    user.close(open.and_then(|one| one["fd"].as_i64()).unwrap() as i32);
    let mapped = json!({"kind": "mapped-device", "path": device});
    assert_eq!(uses(&ask(&device), &user), [mapped]);
    let text = run_lxkns(["busy", &device]).ok();
    assert!(text.text().contains(&format!(": mapped block device {device}\n")), "{text:?}");
    assert!(text.text().contains(&format!("  process {} exits\n", user.pid())), "{text:?}");
    // It is so: the loop device is detached when the process has gone.
    drop(undo);
    let backing = format!("/sys/block/{}/loop/backing_file", device.trim_start_matches("/dev/"));
    let image = base.path().join("image");
    let has_it = || std::fs::read_to_string(&backing).is_ok_and(|file| file.trim() == image.to_str().unwrap());
    assert!(has_it(), "the mapping keeps it");
    drop(user);
    assert!(is_there(|| !has_it()));
}

/// Whoever has a disk open may have it so that no partition can be used; the kernel does not tell.
fn open_disk() {
    const SIZE: u64 = 16 << 20;
    let (base, actor) = (directory(), Actor::spawn_in(&["mnt"]));
    let (disk, undo) = image(&actor, base.path(), "image", SIZE);
    let partition = format!("{disk}p1");
    program(&actor, &["addpart", &disk, "1", "2048", &(SIZE / 512 - 2048).to_string()]);
    assert!(is_there(|| opens_exclusively(&partition)));
    // For exclusive use, by the test itself and by the actor that it is given to; both leave it at the end.
    let user = actor.fork();
    let fd = user.open(&disk, Open::ReadOnly);
    let suspects = || {
        let ran = run_lxkns(["busy", "--json", &partition]);
        let answer = ran.answer();
        of_kind(&answer, "suspects", "disk")
            .into_iter()
            .filter(|one| one["pid"] == user.pid())
            .cloned()
            .collect::<Vec<_>>()
    };
    let [one] = &suspects()[..] else { panic!("{:#?}", suspects()) };
    assert_eq!(one["release"][0]["text"], format!("process {} closes fd {fd}, or exits", user.pid()));
    // Of the disk itself it is a use, and so is an open partition.
    assert_eq!(uses(&ask(&disk), &user), [json!({"kind": "device", "tid": user.pid(), "fd": fd})]);
    user.close(fd);
    assert!(suspects().is_empty());
    let held = std::fs::OpenOptions::new().read(true).custom_flags(rustix::fs::OFlags::EXCL.bits() as i32).open(&disk);
    assert!(!opens_exclusively(&partition), "otherwise this would prove nothing");
    let answer = run_lxkns(["busy", "--json", &partition]).answer();
    let own = of_kind(&answer, "suspects", "disk");
    assert!(own.iter().any(|one| one["pid"] == std::process::id()), "{answer:#}");
    drop(held);
    assert!(is_there(|| opens_exclusively(&partition)));
    drop(undo);
}

/// Where a file system of the kernel's is not mounted, what it would tell is said not to have been looked at.
fn without_the_kernels_file_systems() {
    let (base, actor) = (directory(), Actor::spawn_in(&["mnt"]));
    actor.mount("tmpfs", base.path());
    let unread = |answer: &Value| answer["unread-holders"].as_array().unwrap().iter().any(|one| one == "tracefs");
    let tracing = base.path().join("tracing");
    actor.mkdir(&tracing);
    // Whatever hides it here, or where it is not mounted at all.
    let hide = actor.fork();
    hide.unshare(&["mnt"]);
    for path in ["/sys/kernel/tracing", "/sys/kernel/debug"] {
        if Path::new(path).is_dir() {
            hide.mount("tmpfs", path);
        }
    }
    let hidden = nsenter(&hide, base.path());
    assert!(unread(&hidden), "{hidden:#}");
    actor.try_mount_with("tracefs", "tracefs", &tracing, 0, "").unwrap();
    let shown = nsenter(&actor, base.path());
    assert!(!unread(&shown), "{shown:#}");
    actor.umount(&tracing);
}

/// An overlay keeps its layers, also where their mount is hidden by another or gone, and their file system is mounted elsewhere.
fn hidden_layer() {
    let (base, actor) = (directory(), Actor::spawn_in(&["mnt"]));
    let [lower, merged] = ["lower", "merged"].map(|name| base.path().join(name));
    [&lower, &merged].into_iter().for_each(|path| std::fs::create_dir(path).unwrap());
    let (device, undo) = image(&actor, base.path(), "image", 16 << 20);
    program(&actor, &["mkfs.ext4", "-q", "-F", "-O", "^has_journal", &device]);
    actor.try_mount_with(&device, "ext4", &lower, 0, "").unwrap();
    let number = file_system(&actor, &lower).to_string();
    let layers = ["one", "two"].map(|name| lower.join(name));
    layers.iter().for_each(|layer| actor.mkdir(layer));
    // Another mount of it, so that it is mounted all the time.
    let elsewhere = actor.fork();
    elsewhere.unshare(&["mnt"]);
    let data = format!("lowerdir={}:{}", layers[0].display(), layers[1].display());
    actor.try_mount_with("overlay", "overlay", &merged, 0, &data).unwrap();
    let is_listed = |list: &str| {
        let answer = run_lxkns(["busy", "--json", &number]).ok().answer();
        let layers = of_kind(&answer, list, "layer");
        layers.iter().any(|one| one["path"].as_str().unwrap().starts_with(lower.to_str().unwrap()))
    };
    assert!(is_listed("holders"));
    actor.mount("tmpfs", &lower);
    assert!(is_listed("suspects"), "hidden");
    actor.umount(&lower);
    assert!(is_listed("holders"));
    actor.umount(&lower);
    assert!(is_listed("suspects"), "its mount is gone");
    // So it is: with no other mount of it left, the device is busy.
    elsewhere.umount(&lower);
    assert!(!opens_exclusively(&device));
    actor.umount(&merged);
    assert!(is_there(|| opens_exclusively(&device)));
    drop(undo);
}
