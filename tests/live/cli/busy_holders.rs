//! `lxkns busy`: what keeps a mount or a file system busy without a process that has a file of it open. `umount` judges.

use std::path::{Path, PathBuf};
use std::process::Command;

use lxkns_fixture::holders::{self, Seen};
use lxkns_fixture::{Actor, Open};
use rustix::io::Errno;
use serde_json::{Value, json};

use super::busy::{busy, file_system, inside, is_there, uses};
use super::watch::Watch;
use crate::harness::Need::{self, File, FileSystem, Kernel, Program, Root, UserNamespaces};
use crate::harness::{Test, lxkns, test};
use crate::live::directory;
use crate::live::program::{run, run_lxkns};

pub(super) fn tests() -> Vec<Test> {
    const INSIDE: &[Need] = &[UserNamespaces, Program("nsenter")];
    const LOOP: &[Need] =
        &[Root, Program("losetup"), Program("mkfs.ext4"), Program("nsenter"), File("/dev/loop-control")];
    const LOOP_AND_SWAP: &[Need] = &[
        Root,
        Program("losetup"),
        Program("mkfs.ext4"),
        Program("swapon"),
        Program("nsenter"),
        File("/dev/loop-control"),
    ];
    vec![
        test("cli::busy_holders::unix_socket", &[UserNamespaces, Program("nsenter"), Kernel(5, 6)], unix_socket),
        test("cli::busy_holders::in_flight", &[UserNamespaces, Program("nsenter"), Kernel(5, 6)], in_flight),
        test("cli::busy_holders::io_uring", &[UserNamespaces, Program("nsenter"), Kernel(5, 11)], io_uring),
        test("cli::busy_holders::fanotify", &[Root, Program("nsenter"), Kernel(5, 10)], fanotify),
        test("cli::busy_holders::detached_tree", &[UserNamespaces, Kernel(5, 8)], detached_tree),
        test("cli::busy_holders::closed_mapping", INSIDE, closed_mapping),
        test("cli::busy_holders::loop_device", LOOP, loop_device),
        test("cli::busy_holders::swap_file", LOOP_AND_SWAP, swap_file),
        test(
            "cli::busy_holders::binfmt_misc",
            &[Root, Program("nsenter"), Program("chmod"), FileSystem("binfmt_misc")],
            binfmt_misc,
        ),
        test("cli::busy_holders::uprobe", &[Root, Program("nsenter"), Program("cp"), FileSystem("tracefs")], uprobe),
        test(
            "cli::busy_holders::unreadable_tracefs",
            &[Root, Program("nsenter"), Program("setpriv"), Program("cp"), FileSystem("tracefs")],
            unreadable_tracefs,
        ),
        test(
            "cli::busy_holders::links_of_bpf",
            &[Root, Program("nsenter"), File("/sys/kernel/btf/vmlinux")],
            links_of_bpf,
        ),
        test("cli::busy_holders::overlay_layers", &[Root, FileSystem("overlay")], overlay_layers),
        test("cli::busy_holders::device", LOOP, device),
        test("cli::busy_holders::swap_device", LOOP_AND_SWAP, swap_device),
        test("cli::busy_holders::kernel_threads", &[Root], kernel_threads),
        test("cli::busy_holders::page", &[], page),
    ]
}

/// Something that a program made outside all processes, and what undoes it.
pub(super) struct Undo(pub(super) Vec<String>);

impl Undo {
    /// By a shell in the actor's mount namespace.
    fn inside(actor: &Actor, shell: &str) -> Self {
        Self(["nsenter", "-t", &actor.pid().to_string(), "-m", "sh", "-c", shell].map(str::to_owned).into())
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        let _ = Command::new(&self.0[0]).args(&self.0[1..]).output();
    }
}

/// Runs a program in the actor's mount namespace.
#[track_caller]
pub(super) fn program(actor: &Actor, words: &[&str]) -> String {
    let pid = actor.pid().to_string();
    let mut command = Command::new("nsenter");
    let ran = run(command.args(["-t", &pid, "-m", "-w/", "--"]).args(words));
    assert_eq!(ran.code, Some(0), "{words:?}: {ran:?}");
    ran.text().trim_end().to_owned()
}

/// A loop device for a file that the actor sees.
#[track_caller]
pub(super) fn loop_on(actor: &Actor, file: &Path) -> (String, Undo) {
    let device = program(actor, &["losetup", "--find", "--show", file.to_str().unwrap()]);
    let undo = Undo(vec!["losetup".into(), "-d".into(), device.clone()]);
    (device, undo)
}

#[track_caller]
pub(super) fn is_busy(actor: &Actor, path: &Path) {
    let busy = actor.try_umount(path).map_err(|error| error.raw_os_error());
    assert_eq!(busy, Err(Some(Errno::BUSY.raw_os_error())), "otherwise this would prove nothing");
}

/// A mount of its own on a file system of an actor's, with a file.
fn mounted(actor: &Actor) -> (tempfile::TempDir, PathBuf, PathBuf) {
    let base = directory();
    actor.mount("tmpfs", base.path());
    let file = base.path().join("file");
    actor.write_file(&file, &[0; 4096]);
    let path = base.path().to_owned();
    (base, path, file)
}

/// Of some kind, among the holders or suspects of an answer.
pub(super) fn of_kind<'a>(answer: &'a Value, list: &str, kind: &str) -> Vec<&'a Value> {
    answer[list].as_array().unwrap().iter().filter(|holder| holder["kind"] == kind).collect()
}

/// The one suspect of this kind that is this process's.
#[track_caller]
fn suspect<'a>(answer: &'a Value, kind: &str, actor: &Actor) -> &'a Value {
    let all = of_kind(answer, "suspects", kind);
    all.into_iter().find(|suspect| suspect["pid"] == actor.pid()).unwrap_or_else(|| panic!("{kind}: {answer:#}"))
}

fn unix_socket() {
    let actor = Actor::spawn_in(&["user", "mnt", "net"]);
    let (_base, path, _) = mounted(&actor);
    let socket = path.join("socket");
    let listening = actor.bind_socket(&socket);
    let connected = actor.connect_socket(&socket);
    let accepted = actor.accept(listening);
    // It holds the mount also without a name there, and so does a connection.
    actor.unlink(&socket);
    is_busy(&actor, &path);
    let answer = inside(&actor, &["busy", "--json", path.to_str().unwrap()]).ok().answer();
    let because = answer["mount"]["holders"].as_array().unwrap();
    assert!(matches!(&because[..], [one] if one["pid"] == actor.pid()), "{answer:#}");
    let uses = answer["users"][0]["uses"].as_array().unwrap();
    let fds: Vec<_> = uses.iter().map(|one| (one["kind"].as_str().unwrap(), one["fd"].as_i64().unwrap())).collect();
    assert_eq!(fds, [("socket", listening.into()), ("socket", accepted.into())]);
    assert_eq!(uses[0]["mountid"], answer["mount"]["mountid"]);
    // What it tells to close is what must be closed, and that end of the connection does not count.
    let until = because[0]["release"][0]["text"].as_str().unwrap();
    assert_eq!(until, format!("process {} closes fd {listening}, {accepted}, or exits", actor.pid()));
    actor.close(listening);
    is_busy(&actor, &path);
    actor.close(accepted);
    actor.umount(&path);
    actor.close(connected);
}

/// The mount is busy, nobody is found who uses it, and the suspect is named; when that lets go, it is not busy.
#[track_caller]
fn only_suspected(actor: &Actor, path: &Path, kind: &str, until: &str, ran: &crate::live::program::Ran) {
    is_busy(actor, path);
    let answer = ran.answer();
    assert_eq!(answer["mount"]["holders"], json!([]), "{answer:#}");
    assert_eq!(answer["users"], json!([]), "{answer:#}");
    assert_eq!(suspect(&answer, kind, actor)["release"][0]["text"], until);
}

fn in_flight() {
    let actor = Actor::spawn_in(&["user", "mnt"]);
    let (_base, path, file) = mounted(&actor);
    let fd = actor.open(&file, Open::ReadOnly);
    let (from, to) = actor.send_fd_in_flight(fd);
    actor.close(fd);
    let ran = inside(&actor, &["busy", "--json", path.to_str().unwrap()]).ok();
    let until = format!("process {} receives and closes them, closes fd {to}, or exits", actor.pid());
    only_suspected(&actor, &path, "in-flight", &until, &ran);
    let text = inside(&actor, &["busy", "--all", path.to_str().unwrap()]).ok();
    let said = format!("found nothing that makes umount {} fail here, but not everything is visible\n", path.display());
    assert!(text.text().starts_with(&said), "{text:?}");
    assert!(text.text().contains(&format!("    until {until}\n")), "{text:?}");
    actor.close(to);
    actor.close(from);
    actor.umount(&path);
}

fn io_uring() {
    let actor = Actor::spawn_in(&["user", "mnt"]);
    let (_base, path, file) = mounted(&actor);
    let fd = actor.open(&file, Open::ReadOnly);
    let ring = actor.io_uring_register_files(&[fd]);
    actor.close(fd);
    let ran = inside(&actor, &["busy", "--json", path.to_str().unwrap()]).ok();
    only_suspected(&actor, &path, "io-uring", &format!("process {} closes fd {ring}, or exits", actor.pid()), &ran);
    drop(actor);
}

fn fanotify() {
    let actor = Actor::spawn_in(&["mnt"]);
    let (_base, path, file) = mounted(&actor);
    let group = actor.fanotify_of_mount(&path);
    actor.close(actor.open(&file, Open::ReadOnly));
    is_busy(&actor, &path);
    let answer = nsenter(&actor, &path);
    let until = format!("process {} reads the events and closes their files, closes fd {group}, or exits", actor.pid());
    assert_eq!(suspect(&answer, "fanotify", &actor)["release"][0]["text"], until);
    assert_eq!(answer["mount"]["holders"], json!([]), "{answer:#}");
    actor.close(group);
    actor.umount(&path);
}

/// A copy of a tree of mounts that is attached nowhere: its root tells what that shows, but nothing what is below.
fn detached_tree() {
    let actor = Actor::spawn_in(&["user", "mnt"]);
    let (_base, path, _) = mounted(&actor);
    let below = path.join("below");
    actor.mkdir(&below);
    actor.mount("tmpfs", &below);
    let (above, number) = (file_system(&actor, &path), file_system(&actor, &below));
    let tree = actor.open_tree(&path);
    actor.umount(&below);
    actor.umount(&path);
    let answer = busy(above);
    let uses = json!([{"kind": "fd", "tid": actor.pid(), "fd": tree}]);
    let found: Vec<_> = answer["users"][0]["uses"].as_array().unwrap().iter().map(without_mount).collect();
    assert_eq!(json!(found), uses);
    let ran = run_lxkns(["busy", "--json", &number.to_string()]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    let until = suspect(&ran.answer(), "detached", &actor)["release"][0]["text"].clone();
    assert_eq!(until, format!("process {} closes fd {tree}, or exits", actor.pid()));
    assert!(ran.stderr.contains("but there may be one"), "{ran:?}");
}

pub(super) fn without_mount(one: &Value) -> Value {
    let mut one = one.clone();
    one.as_object_mut().unwrap().remove("mountid");
    one
}

/// A mapping whose descriptor is closed; the mount is told where `map_files` may be read.
fn closed_mapping() {
    let actor = Actor::spawn_in(&["user", "mnt"]);
    let (_base, path, file) = mounted(&actor);
    let number = file_system(&actor, &path);
    actor.map_dirty_page(&file);
    let answer = busy(number);
    let uses = answer["users"][0]["uses"].as_array().unwrap();
    let fd = uses.iter().find(|one| one["kind"] == "fd").and_then(|one| one["fd"].as_i64()).unwrap();
    actor.close(fd as i32);
    is_busy(&actor, &path);
    let answer = busy(number);
    let uses = answer["users"][0]["uses"].as_array().unwrap();
    assert!(matches!(&uses[..], [one] if one["kind"] == "mapped"), "{answer:#}");
    let mounted = answer["mounts"].as_array().unwrap()[0]["mountid"].clone();
    let expected = if lxkns_fixture::probe::has_cap(21) { mounted } else { Value::Null };
    assert_eq!(uses[0]["mountid"], expected, "{answer:#}");
}

/// As the program sees it in the actor's mount namespace.
#[track_caller]
pub(super) fn nsenter(actor: &Actor, path: &Path) -> Value {
    let mut command = Command::new("nsenter");
    command.args(["-t", &actor.pid().to_string(), "-m", "-w/"]).arg(lxkns().get_program());
    run(command.args(["busy", "--json"]).arg(path)).ok().answer()
}

/// The holder of this kind that names this path.
#[track_caller]
pub(super) fn named<'a>(answer: &'a Value, list: &str, kind: &str, path: &Path) -> &'a Value {
    let path = path.to_str().unwrap();
    let mut all = of_kind(answer, list, kind).into_iter();
    all.find(|holder| holder["path"] == path).unwrap_or_else(|| panic!("{kind} {path}: {answer:#}"))
}

fn loop_device() {
    let actor = Actor::spawn_in(&["mnt"]);
    let (_base, path, _) = mounted(&actor);
    let file = path.join("an image");
    actor.write_file(&file, &[0; 32 * 1024]);
    let (device, undo) = loop_on(&actor, &file);
    is_busy(&actor, &path);
    let answer = nsenter(&actor, &path);
    let until = format!("`losetup -d {device}`");
    assert_eq!(named(&answer, "holders", "loop", &file)["release"][0]["text"], until);
    let because = answer["mount"]["holders"].as_array().unwrap();
    assert!(matches!(&because[..], [one] if one["release"][0]["text"] == until), "{answer:#}");
    drop(undo);
    actor.umount(&path);
}

/// An ext4 on a loop device, mounted at `path` in the actor's mount namespace.
pub(super) fn ext4(actor: &Actor, base: &Path, path: &Path) -> (String, Undo) {
    let image = base.join("image");
    std::fs::File::create(&image).unwrap().set_len(8 << 20).unwrap();
    let made = run(Command::new("mkfs.ext4").args(["-q", "-F", "-O", "^has_journal"]).arg(&image));
    assert_eq!(made.code, Some(0), "{made:?}");
    let (device, undo) = loop_on(actor, &image);
    actor.try_mount_with(&device, "ext4", path, 0, "").unwrap();
    (device, undo)
}

fn swap_file() {
    let (base, actor) = (directory(), Actor::spawn_in(&["mnt"]));
    let path = base.path().join("mounted");
    std::fs::create_dir(&path).unwrap();
    let (_, _undo) = ext4(&actor, base.path(), &path);
    let file = path.join("swap file");
    actor.write_file(&file, &[0; 32 * 1024]);
    for _ in 0..7 {
        program(&actor, &["sh", "-c", "cat \"$1\" > \"$1.x\"; cat \"$1.x\" >> \"$1\"", "sh", file.to_str().unwrap()]);
    }
    program(&actor, &["chmod", "600", file.to_str().unwrap()]);
    program(&actor, &["mkswap", file.to_str().unwrap()]);
    program(&actor, &["swapon", file.to_str().unwrap()]);
    is_busy(&actor, &path);
    let answer = nsenter(&actor, &path);
    let until = format!("`swapoff '{}'`", file.display());
    assert_eq!(named(&answer, "holders", "swap", &file)["release"][0]["text"], until);
    assert_eq!(answer["mount"]["holders"][0]["release"][0]["text"], until, "{answer:#}");
    program(&actor, &["sh", "-c", until.trim_matches('`')]);
    actor.umount(&path);
}

fn swap_device() {
    let (base, actor) = (directory(), Actor::spawn_in(&["mnt"]));
    let image = base.path().join("image");
    std::fs::File::create(&image).unwrap().set_len(4 << 20).unwrap();
    let (device, _undo) = loop_on(&actor, &image);
    program(&actor, &["mkswap", &device]);
    program(&actor, &["swapon", &device]);
    let answer = run_lxkns(["busy", "--json", &device]).ok().answer();
    let until = format!("`swapoff {device}`");
    assert_eq!(named(&answer, "holders", "swap", Path::new(&device))["release"][0]["text"], until);
    assert!(!opens_exclusively(&device));
    program(&actor, &["sh", "-c", until.trim_matches('`')]);
    assert!(opens_exclusively(&device));
}

/// Whether a block device is nobody's. In tests alone: it can make somebody's mount fail.
pub(super) fn opens_exclusively(device: &str) -> bool {
    use rustix::fs::{Mode, OFlags};
    rustix::fs::open(device, OFlags::RDONLY | OFlags::EXCL | OFlags::CLOEXEC, Mode::empty()).is_ok()
}

/// An interpreter on a tmpfs, for programs that the kernel knows by this name.
pub(super) struct Interpreter {
    /// Where the tmpfs is.
    pub(super) path: PathBuf,
    pub(super) file: PathBuf,
    pub(super) entry: PathBuf,
    name: String,
    /// An entry outlives its mount namespace: it is taken away also when a test fails.
    _undo: Undo,
}

impl Interpreter {
    pub(super) fn new(base: &Path, actor: &Actor, word: &str) -> Self {
        let [binfmt, path] = ["binfmt", "mounted"].map(|name| base.join(name));
        [&binfmt, &path].into_iter().for_each(|path| std::fs::create_dir(path).unwrap());
        actor.mount("binfmt_misc", &binfmt);
        actor.mount("tmpfs", &path);
        let file = path.join("interpreter");
        actor.write_file(&file, &[0x7f; 64]);
        program(actor, &["chmod", "755", file.to_str().unwrap()]);
        let name = format!("lxkns-{word}-{}", actor.pid());
        let entry = binfmt.join(&name);
        let undo = Undo::inside(actor, &format!("echo -1 > {}", entry.display()));
        Self { path, file, entry, name, _undo: undo }
    }

    /// Has the kernel open it.
    pub(super) fn register(&self, actor: &Actor) {
        let Self { file, entry, name, .. } = self;
        let line = format!(":{name}:M::{name}::{}:F", file.display());
        actor.write_file(entry.with_file_name("register"), line.as_bytes());
    }
}

/// A program on a tmpfs, for a probe of this name.
pub(super) struct Probe {
    /// Where the tmpfs is.
    pub(super) path: PathBuf,
    pub(super) file: PathBuf,
    pub(super) name: String,
    events: PathBuf,
    /// Likewise.
    _undo: Undo,
}

impl Probe {
    pub(super) fn new(base: &Path, actor: &Actor, word: &str) -> Self {
        let [tracefs, path] = ["tracefs", "mounted"].map(|name| base.join(name));
        [&tracefs, &path].into_iter().for_each(|path| std::fs::create_dir(path).unwrap());
        actor.mount("tracefs", &tracefs);
        actor.mount("tmpfs", &path);
        let file = path.join("program");
        program(actor, &["cp", "/proc/self/exe", file.to_str().unwrap()]);
        let (events, name) = (tracefs.join("uprobe_events"), format!("lxkns/{word}{}", actor.pid()));
        let undo = Undo::inside(actor, &format!("echo -:{name} >> {}", events.display()));
        Self { path, file, name, events, _undo: undo }
    }

    /// Has the kernel open the program.
    pub(super) fn add(&self, actor: &Actor) {
        let Self { file, name, events, .. } = self;
        program(actor, &["sh", "-c", &format!("echo p:{name} {}:0x1000 >> {}", file.display(), events.display())]);
    }
}

fn binfmt_misc() {
    let (base, actor) = (directory(), Actor::spawn_in(&["mnt"]));
    let interpreter = Interpreter::new(base.path(), &actor, "test");
    let Interpreter { path, file, entry, .. } = &interpreter;
    interpreter.register(&actor);
    is_busy(&actor, path);
    let answer = nsenter(&actor, path);
    let until = named(&answer, "suspects", "binfmt-misc", file)["release"][0]["text"].as_str().unwrap().to_owned();
    assert_eq!(until, format!("`echo -1 > {}`", entry.display()));
    assert_eq!(answer["mount"]["holders"], json!([]), "{answer:#}");
    program(&actor, &["sh", "-c", until.trim_matches('`')]);
    actor.umount(path);
    drop(interpreter);
}

fn uprobe() {
    let (base, actor) = (directory(), Actor::spawn_in(&["mnt"]));
    let probe = Probe::new(base.path(), &actor, "test");
    let Probe { path, file, name, .. } = &probe;
    probe.add(&actor);
    is_busy(&actor, path);
    let answer = nsenter(&actor, path);
    let until = named(&answer, "holders", "uprobe", file)["release"][0]["text"].as_str().unwrap().to_owned();
    // Another tracefs of the host's has them too.
    assert!(until.starts_with(&format!("`echo -:{name} >> /")) && until.ends_with("/uprobe_events`"), "{until}");
    assert_eq!(answer["mount"]["holders"][0]["release"][0]["text"], until, "{answer:#}");
    program(&actor, &["sh", "-c", until.trim_matches('`')]);
    actor.umount(path);
    drop(probe);
}

/// A link of a BPF program is only a suspect if its type can hold a file: a program that reads through iterators has many others.
fn links_of_bpf() {
    let watch = Watch::start(&["-t", "net"]);
    let fds = std::fs::read_dir(format!("/proc/{}/fd", watch.pid())).unwrap().map(|fd| fd.unwrap().path());
    let links: Vec<_> = fds.filter_map(|fd| std::fs::read_link(fd).ok()).collect();
    let is_link = |link: &PathBuf| ["anon_inode:bpf_link", "anon_inode:bpf-link"].map(Path::new).contains(&&**link);
    assert!(links.iter().any(is_link), "{links:?}");
    let actor = Actor::spawn_in(&["mnt"]);
    let (base, ..) = mounted(&actor);
    let answer = nsenter(&actor, base.path());
    assert!(answer["mount"].is_object(), "{answer:#}");
    let told = answer.to_string();
    assert!(!told.contains(&format!("\"pid\":{},", watch.pid())), "{answer:#}");
    assert!(!told.contains(&format!("process {} ", watch.pid())), "{answer:#}");
}

/// Whoever may not read what the kernel has open is told so, and not that nothing keeps it.
fn unreadable_tracefs() {
    let (base, actor) = (directory(), Actor::spawn_in(&["mnt"]));
    let probe = Probe::new(base.path(), &actor, "unseen");
    let Probe { path, name, .. } = &probe;
    probe.add(&actor);
    is_busy(&actor, path);
    let unprivileged = crate::live::cli::unprivileged(base.path());
    let mut command = Command::new("nsenter");
    command.args(["-t", &actor.pid().to_string(), "-m", "-w/", "--"]).arg(unprivileged.get_program());
    let ran = run(command.args(unprivileged.get_args()).arg("busy").arg(path));
    assert!(!ran.text().contains(name), "the kernel does not let this user know: {ran:?}");
    let gap = ran.gaps().into_iter().find(|line| line.contains("uprobe_events")).unwrap_or_else(|| panic!("{ran:?}"));
    assert!(gap.contains("not readable: needs ") && gap.contains("CAP_DAC_READ_SEARCH"), "{gap}");
    drop(probe);
}

/// An overlay has mounts of its own of what it is made of: these hold the file system and no mount.
fn overlay_layers() {
    let (base, actor) = (directory(), Actor::spawn_in(&["mnt"]));
    let [lower, upper, merged] = ["lower", "upper", "merged"].map(|name| base.path().join(name));
    [&lower, &upper, &merged].into_iter().for_each(|path| std::fs::create_dir(path).unwrap());
    actor.mount("tmpfs", &lower);
    actor.mount("tmpfs", &upper);
    let [up, work] = ["up", "work"].map(|name| upper.join(name));
    actor.mkdir(&up);
    actor.mkdir(&work);
    let data = format!("lowerdir={},upperdir={},workdir={}", lower.display(), up.display(), work.display());
    actor.try_mount_with("overlay", "overlay", &merged, 0, &data).unwrap();
    let numbers = [file_system(&actor, &lower), file_system(&actor, &upper)];
    for (number, layer) in [(numbers[0], &lower), (numbers[1], &up)] {
        let answer = busy(number);
        let until = named(&answer, "holders", "layer", layer)["release"][0]["text"].as_str().unwrap().to_owned();
        assert_eq!(until, format!("`umount -N {} {}`", actor.pid(), merged.display()));
    }
    // Their own mounts can go; then only suspects are left, and nobody says that it is free.
    actor.umount(&lower);
    let ran = run_lxkns(["busy", "--json", &numbers[0].to_string()]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    named(&ran.answer(), "suspects", "layer", &lower);
    actor.umount(&merged);
    drop(upper);
}

/// A block device that is mounted nowhere any more, and still somebody's.
fn device() {
    let (base, actor) = (directory(), Actor::spawn_in(&["mnt"]));
    let path = base.path().join("mounted");
    std::fs::create_dir(&path).unwrap();
    let (device, _undo) = ext4(&actor, base.path(), &path);
    let of_root = actor.fork();
    of_root.chdir(&path);
    actor.umount_lazily(&path);
    assert!(!opens_exclusively(&device));
    let answer = run_lxkns(["busy", "--json", &device]).ok().answer();
    assert_eq!(uses(&answer, &of_root), [json!({"kind": "cwd", "tid": of_root.pid()})], "{answer:#}");
    assert_eq!(of_kind(&answer, "holders", "active").len(), 1, "{answer:#}");
    assert_eq!(answer["mounts"], json!([]));
    drop(of_root);
    // A descriptor on the device itself.
    let fd = actor.open(&device, Open::ReadOnly);
    let answer = run_lxkns(["busy", "--json", &device]).ok().answer();
    assert_eq!(uses(&answer, &actor), [json!({"kind": "device", "tid": actor.pid(), "fd": fd})]);
    actor.close(fd);
    assert!(is_there(|| opens_exclusively(&device)), "the last user has gone");
    let ran = run_lxkns(["busy", &device]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.stderr.contains("no mount or user of this device was found, but there may be one"), "{ran:?}");
}

fn kernel_threads() {
    let stat = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let flags = |stat: &str| stat.rsplit(") ").next()?.split(' ').nth(6)?.parse::<u32>().ok();
    let is_kernel_thread = |pid: &str| flags(&stat(pid)).is_some_and(|flags| flags & 0x0020_0000 != 0);
    let root = run_lxkns(["busy", "--json", "/"]);
    let answer = root.answer();
    let users = answer["users"].as_array().unwrap();
    for user in users {
        assert!(!is_kernel_thread(&user["pid"].to_string()), "{user}");
    }
    let release = answer["release"].as_array().unwrap();
    assert!(!release.iter().any(|line| line["text"].as_str().unwrap().starts_with("process 2 ")), "{release:?}");
    if is_kernel_thread("2")
        && std::fs::metadata("/proc/2/root/").is_ok_and(|of_thread| {
            use std::os::unix::fs::MetadataExt as _;
            of_thread.dev() == std::fs::metadata("/").unwrap().dev()
        })
    {
        assert_eq!(of_kind(&answer, "holders", "kernel-threads").len(), 1, "{answer:#}");
    }
}

/// The page says of each holder what the tests have shown.
fn page() {
    let names = super::busy::tests().into_iter().chain(tests()).chain(super::busy_mounts::tests());
    let names = names.chain(super::busy_devices::tests());
    let names: Vec<_> = names.map(|test| test.name().to_owned()).collect();
    for row in holders::FILE_SYSTEM {
        for name in row.tests {
            assert!(names.iter().any(|known| known == name), "{}: no test is called {name}", row.what);
        }
        assert_eq!(row.tests.is_empty(), matches!(row.seen, Seen::Not) || row.is_untested, "{}", row.what);
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/holders.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (start, end) = ("<!-- file-system -->\n", "<!-- /file-system -->");
    let (before, rest) = page.split_once(start).unwrap();
    let (_, after) = rest.split_once(end).unwrap();
    let expected = format!("{before}{start}{}{end}{after}", holders::file_system_table());
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, expected).unwrap();
    } else {
        assert_eq!(page, expected, "BLESS=1 writes docs/holders.md anew");
    }
}
