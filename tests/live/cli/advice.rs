//! What `lxkns why` advises is done, and does what it says: the namespace is gone afterwards.

use std::path::Path;
use std::process::Command;

use lxkns_fixture::{Actor, Open, Socket};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use serde_json::{Value, json};

use crate::harness::Need::{File, FileSystem, Kernel, NamespaceType, Program, Root, UserNamespaces};
use crate::harness::{Need, Test, alone_through, test};
use crate::live::program::{Ran, release, run, run_lxkns};
use crate::live::{directory, look_until};

/// To go into a mount namespace without its user namespace takes privileges over that.
const UMOUNT: &[Need] = &[Root, UserNamespaces, Program("umount"), Program("sh")];
const HOME: &[Need] = &[Root, Program("umount"), Program("unshare"), Program("ip")];

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("cli::advice::process", &[UserNamespaces], process),
        test("cli::advice::thread", &[UserNamespaces], thread),
        test("cli::advice::for_children", &[UserNamespaces, NamespaceType("time")], for_children),
        test("cli::advice::fd", &[UserNamespaces], fd),
        test("cli::advice::fd_of_a_thread", &[UserNamespaces], fd_of_a_thread),
        test("cli::advice::fd_behind_a_dead_leader", &[UserNamespaces], fd_behind_a_dead_leader),
        test("cli::advice::socket", &[UserNamespaces, Kernel(5, 6)], socket),
        test("cli::advice::tun", &[Root, File("/dev/net/tun"), Kernel(5, 6)], tun),
        test("cli::advice::zombie", &[UserNamespaces, Program("unshare"), Program("true")], zombie),
        test("cli::advice::thread_of_the_kernel", &[Root, File("/proc/2/comm")], thread_of_the_kernel),
        test("cli::advice::child_and_owned", &[UserNamespaces], child_and_owned),
        test("cli::advice::bind_mount", UMOUNT, bind_mount),
        test("cli::advice::bind_mount_that_is_open", UMOUNT, bind_mount_that_is_open),
        test("cli::advice::covered_bind_mount", &[Root, Program("umount"), Program("sh")], covered_bind_mount),
        test("cli::advice::bound_over_itself", &[Root, Program("umount"), Program("sh")], bound_over_itself),
        test("cli::advice::covered_for_good", &[Root, Program("umount"), Program("sh")], covered_for_good),
        test("cli::advice::covered_in_a_sandbox", &[UserNamespaces], covered_in_a_sandbox),
        test("cli::advice::locked_bind_mount", UMOUNT, locked_bind_mount),
        test("cli::advice::copies", UMOUNT, copies),
        test("cli::advice::bind_mount_without_a_process", UMOUNT, bind_mount_without_a_process),
        test(
            "cli::advice::file_system",
            &[Root, UserNamespaces, FileSystem("proc"), Kernel(5, 8), Program("umount"), Program("sh")],
            file_system,
        ),
        test("cli::advice::at_home", HOME, at_home),
    ]
}

/// A namespace that is to be released.
struct Held {
    ino: u64,
    /// Its number can be another's as soon as it is gone; this cannot.
    unique_id: Option<u64>,
}

impl Held {
    #[track_caller]
    fn of(ino: u64) -> Self {
        Self { ino, unique_id: why(ino).ok().results()[0]["namespace"]["unique-id"].as_u64() }
    }

    /// Its holders, when nobody else happens to have it open: as many as there must be.
    #[track_caller]
    fn holders(&self, count: usize) -> Vec<Value> {
        let of = |ran: &Ran| ran.results()[0]["holders"].as_array().cloned().unwrap_or_default();
        let ran = look_until(|ran: &Ran| of(ran).len() == count, || why(self.ino).ok());
        let holders = of(&ran);
        assert_eq!(holders.len(), count, "{holders:#?}");
        holders
    }

    /// What would release the one holder that it must have.
    #[track_caller]
    fn release(&self) -> String {
        release(&self.holders(1)[0])
    }

    /// Checks that it has one holder, and what would release that. Somebody else can have what is named open for a moment.
    #[track_caller]
    fn release_is(&self, expected: &str) {
        let release = look_until(|release: &String| release == expected, || self.release());
        assert_eq!(release, expected);
    }

    /// Checks that nothing holds it any more. Whoever looks at namespaces has each open for a moment.
    #[track_caller]
    fn is_gone(&self) {
        let is_other = |ran: &Ran| {
            let now = ran.results()[0]["namespace"]["unique-id"].as_u64();
            self.unique_id.zip(now).is_some_and(|(before, now)| before != now)
        };
        let is_gone =
            |ran: &Ran| matches!(ran.code, Some(1 | 3)) && ran.results()[0]["namespace"].is_null() || is_other(ran);
        let ran = look_until(is_gone, || why(self.ino));
        assert!(is_gone(&ran), "{ran:?}");
    }

    /// Does what is advised, which must be this.
    #[track_caller]
    fn follow(&self, expected: &str) {
        self.release_is(expected);
        let ran = type_command(expected);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{expected}");
        self.is_gone();
    }
}

fn why(ino: u64) -> Ran {
    run_lxkns(["why", "--json", "--all", &ino.to_string()])
}

/// Types the first command that is advised.
fn type_command(release: &str) -> Ran {
    let command = release.split('`').nth(1).unwrap_or_else(|| panic!("no command: {release}"));
    run(Command::new("sh").args(["-c", command]))
}

fn process() {
    let actor = Actor::spawn_in(&["user", "uts"]);
    let held = Held::of(actor.ns_inode("uts"));
    held.release_is(&format!("process {} exits", actor.pid()));
    drop(actor);
    held.is_gone();
}

fn thread() {
    let actor = Actor::spawn_in(&["user"]);
    let thread = actor.thread();
    thread.unshare(&["uts"]);
    let held = Held::of(thread.ns_inode("uts"));
    held.release_is(&format!("task {} of process {} exits", thread.tid(), actor.pid()));
    drop(thread);
    held.is_gone();
}

fn for_children() {
    let actor = Actor::spawn_in(&["user"]);
    actor.unshare(&["time"]);
    let held = Held::of(actor.ns_inode("time_for_children"));
    held.release_is(&format!("process {} exits", actor.pid()));
    drop(actor);
    held.is_gone();
}

/// An actor with a descriptor on a UTS namespace that it has left.
fn with_fd() -> (Actor, i32, Held) {
    let actor = Actor::spawn_in(&["user", "uts"]);
    let held = Held::of(actor.ns_inode("uts"));
    let fd = actor.open("/proc/self/ns/uts", Open::ReadOnly);
    actor.unshare(&["uts"]);
    (actor, fd, held)
}

fn fd() {
    let (actor, fd, held) = with_fd();
    held.release_is(&format!("process {} closes fd {fd}, or exits", actor.pid()));
    actor.close(fd);
    held.is_gone();
}

/// In a descriptor table that is a thread's own, it is that thread that has to close it.
fn fd_of_a_thread() {
    let actor = Actor::spawn_in(&["user", "uts"]);
    let held = Held::of(actor.ns_inode("uts"));
    let thread = actor.thread();
    thread.unshare_files();
    let fd = thread.open("/proc/self/ns/uts", Open::ReadOnly);
    actor.unshare(&["uts"]);
    thread.unshare(&["uts"]);
    let expected = format!("task {} of process {} closes fd {fd}, or exits", thread.tid(), actor.pid());
    held.release_is(&expected);
    let text = run_lxkns(["why", &held.ino.to_string()]).ok().text().to_owned();
    let whose = format!("fd {fd} of task {} of process {} (", thread.tid(), actor.pid());
    assert!(text.contains(&whose), "{text}");
    drop(thread);
    held.is_gone();
}

/// Where the first thread has exited, all others have its table: that one of them exits releases nothing.
fn fd_behind_a_dead_leader() {
    let (actor, fd, held) = with_fd();
    let threads = [actor.thread(), actor.thread()];
    actor.exit_main_thread();
    let of_process = format!("process {} closes fd {fd}, or exits", actor.pid());
    let is_read = |release: &String| *release == of_process;
    assert_eq!(look_until(is_read, || held.release()), of_process);
    let [first, second] = threads;
    drop(first);
    held.release_is(&of_process);
    second.close(fd);
    held.is_gone();
}

fn socket() {
    let actor = Actor::spawn_in(&["user", "net"]);
    let held = Held::of(actor.ns_inode("net"));
    let fd = actor.socket(Socket::Udp4);
    actor.unshare(&["net"]);
    held.release_is(&format!("process {} closes fd {fd}, or exits", actor.pid()));
    actor.close(fd);
    held.is_gone();
}

fn tun() {
    let actor = Actor::spawn_in(&["user", "net"]);
    let held = Held::of(actor.ns_inode("net"));
    let fd = actor.tun("lxknstap");
    actor.unshare(&["net"]);
    held.release_is(&format!("process {} closes fd {fd}, or exits", actor.pid()));
    actor.close(fd);
    held.is_gone();
}

/// A process that has exited holds its user namespace until its parent waits for it.
fn zombie() {
    let mut child = Command::new("unshare").args(["--user", "true"]).spawn().unwrap();
    let pid = Pid::from_child(&child);
    // It is not waited for yet.
    waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).unwrap();
    // The kernel shows that of a zombie.
    let held = Held::of(crate::live::inode(format!("/proc/{}/ns/user", child.id())));
    let parent = std::process::id();
    let release = held.release();
    assert!(release.starts_with(&format!("its parent, process {parent} (")), "{release}");
    assert!(release.ends_with("), waits for it or exits: it is a zombie"), "{release}");
    let text = run_lxkns(["why", &held.ino.to_string()]).ok().text().to_owned();
    assert!(text.contains(&format!("  process {} (", child.id())) && text.contains(&release), "{text}");
    child.wait().unwrap();
    held.is_gone();
}

/// A mount namespace that a thread of the kernel is in does not end when that "exits".
fn thread_of_the_kernel() {
    let ran = run_lxkns(["why", "2/pid", "--all"]);
    assert!(!ran.text().contains("until process 2 exits"), "{ran:?}");
    let ran = run_lxkns(["why", "2/pid", "--json"]);
    let answers = ran.results();
    let holders = answers[0]["holders"].as_array().unwrap();
    let of_kthreadd = holders.iter().find(|holder| holder["pid"] == 2).unwrap();
    assert_eq!(release(of_kthreadd), "the host shuts down: it is a kernel thread");
}

fn child_and_owned() {
    let actor = Actor::spawn_in(&["user"]);
    let middle = Held::of(actor.ns_inode("user"));
    actor.unshare(&["user"]);
    let inner = Held::of(actor.ns_inode("user"));
    middle.release_is(&format!("user:{0} ends (lxkns why user:{0})", inner.ino));
    inner.release_is(&format!("process {} exits", actor.pid()));
    drop(actor);
    inner.is_gone();
    middle.is_gone();
}

/// An actor in a mount namespace of its own, in which a UTS namespace is bound that it has left.
fn with_mount(path: &Path) -> (Actor, Held) {
    let actor = Actor::spawn_in(&["user", "mnt", "uts"]);
    actor.touch(path);
    actor.bind("/proc/self/ns/uts", path);
    let held = Held::of(actor.ns_inode("uts"));
    actor.unshare(&["uts"]);
    (actor, held)
}

fn bind_mount() {
    let directory = directory();
    let path = directory.path().join("ns");
    let (actor, held) = with_mount(&path);
    held.follow(&format!("`umount -N {} {}`", actor.pid(), path.display()));
}

/// Somebody who has opened a namespace through its mount keeps that busy for all but a lazy unmount.
fn bind_mount_that_is_open() {
    let directory = directory();
    let path = directory.path().join("ns");
    let (actor, held) = with_mount(&path);
    let fd = actor.open(&path, Open::ReadOnly);
    let mount = held.holders(2).into_iter().find(|holder| holder["kind"] == "bind-mount").unwrap();
    let release_of_mount = &release(&mount);
    assert_eq!(*release_of_mount, format!("`umount -l -N {} {}`", actor.pid(), path.display()));
    let plain = release_of_mount.replace(" -l", "");
    assert_ne!(type_command(&plain).code, Some(0), "it is busy");
    assert_eq!(type_command(release_of_mount).code, Some(0));
    held.release_is(&format!("process {} closes fd {fd}, or exits", actor.pid()));
    actor.close(fd);
    held.is_gone();
}

fn covered_bind_mount() {
    let directory = directory();
    let path = directory.path().join("below");
    let (actor, file) = (Actor::spawn_in(&["mnt", "uts"]), path.join("ns"));
    actor.make_mounts_private();
    actor.mkdir(&path);
    actor.touch(&file);
    actor.bind("/proc/self/ns/uts", &file);
    let held = Held::of(actor.ns_inode("uts"));
    actor.unshare(&["uts"]);
    actor.touch(directory.path().join("other"));
    actor.bind(directory.path().join("other"), &file);
    actor.mount("tmpfs", &path);
    let umount = format!("umount -N {}", actor.pid());
    let (path, file) = (path.display(), file.display());
    held.follow(&format!("`{umount} {path} && {umount} {file} && {umount} {file}`"));
}

/// Where the same namespace is mounted over itself, what uncovers the lowest takes all away.
fn bound_over_itself() {
    let directory = directory();
    let path = directory.path().join("ns");
    let actor = Actor::spawn_in(&["mnt", "uts"]);
    actor.make_mounts_private();
    actor.touch(&path);
    for _ in 0..3 {
        actor.bind("/proc/self/ns/uts", &path);
    }
    let held = Held::of(actor.ns_inode("uts"));
    actor.unshare(&["uts"]);
    let umount = format!("umount -N {} {}", actor.pid(), path.display());
    let expected = format!("`{umount} && {umount} && {umount}`");
    let holders = held.holders(3);
    assert!(holders.iter().all(|holder| release(holder) == expected), "{holders:#?}");
    assert_eq!(type_command(&expected).code, Some(0));
    held.is_gone();
}

/// What covers it is itself used, so that no few commands uncover it; what is advised is right all the same.
fn covered_for_good() {
    let directory = directory();
    let path = directory.path().join("ns");
    let actor = Actor::spawn_in(&["mnt", "uts"]);
    actor.make_mounts_private();
    actor.touch(&path);
    actor.bind("/proc/self/ns/uts", &path);
    let held = Held::of(actor.ns_inode("uts"));
    actor.unshare(&["uts"]);
    actor.mount("tmpfs", directory.path());
    actor.mkdir(directory.path().join("more"));
    actor.mount("tmpfs", directory.path().join("more"));
    let mnt = format!("mnt:{}", actor.ns_inode("mnt"));
    let uncovered = "what covers it is unmounted first, then the mount itself";
    held.release_is(&format!("{uncovered}; or the processes of {mnt} exit (lxkns why {mnt})"));
    actor.umount(directory.path().join("more"));
    actor.umount(directory.path());
    held.follow(&format!("`umount -N {} {}`", actor.pid(), path.display()));
}

/// A namespace to which no path leads does not say whose it is: then its mount may be locked.
fn covered_in_a_sandbox() {
    let directory = directory();
    let (actor, held) = with_mount(&directory.path().join("ns"));
    actor.mount("tmpfs", directory.path());
    let mnt = format!("mnt:{}", actor.ns_inode("mnt"));
    let of_the_known = format!("`umount -N {0} {1} && umount -N {0} {1}/ns`", actor.pid(), directory.path().display());
    let of_an_ordinary_user = format!("{mnt} ends (lxkns why {mnt})");
    let expected = [format!("the processes of {mnt} exit (lxkns why {mnt})"), of_the_known, of_an_ordinary_user];
    let release = look_until(|release: &String| expected.contains(release), || held.release());
    assert!(expected.contains(&release), "{release}");
    drop(actor);
    held.is_gone();
}

/// A mount namespace of a user namespace of its own has the mounts of the one before locked.
fn locked_bind_mount() {
    let directory = directory();
    let path = directory.path().join("ns");
    let (actor, held) = with_mount(&path);
    let sandbox = actor.fork();
    sandbox.unshare(&["user", "mnt"]);
    let (sandbox_mnt, pid) = (sandbox.ns_inode("mnt"), sandbox.pid());
    actor.umount(&path);
    let expected = format!("the processes of mnt:{sandbox_mnt} exit (lxkns why mnt:{sandbox_mnt})");
    held.release_is(&expected);
    // The kernel would refuse anything else.
    let refused = run(Command::new("umount").args(["-N", &pid.to_string()]).arg(&path));
    assert_ne!(refused.code, Some(0), "{refused:?}");
    held.release_is(&expected);
    drop(sandbox);
    held.is_gone();
}

/// Copies that propagation has made go with the mount that they are copies of, also those that are locked.
fn copies() {
    const SHARED: u64 = 1 << 20;
    let directory = directory();
    let (base, path) = (directory.path(), directory.path().join("ns"));
    let actor = Actor::spawn_in(&["mnt", "uts"]);
    actor.make_mounts_private();
    actor.mount("tmpfs", base);
    actor.mount_with("none", "none", base, SHARED, "");
    actor.touch(&path);
    let [peer, receiver, sandbox] = [actor.fork(), actor.fork(), actor.fork()];
    peer.unshare(&["mnt"]);
    receiver.unshare(&["user", "mnt"]);
    actor.bind("/proc/self/ns/uts", &path);
    // Its copy is locked.
    sandbox.unshare(&["user", "mnt"]);
    let held = Held::of(actor.ns_inode("uts"));
    [&actor, &peer, &receiver, &sandbox].iter().for_each(|actor| actor.unshare(&["uts"]));
    let holders = held.holders(4);
    let first = &release(&holders[0]);
    let of_whom = holders.iter().map(|holder| &holder["mntns"]);
    for actor in [&actor, &peer, &receiver, &sandbox] {
        assert!(of_whom.clone().any(|mount_ns| *mount_ns == actor.ns_inode("mnt")), "{holders:#?}");
    }
    assert!(holders.iter().all(|holder| release(holder) == *first), "{holders:#?}");
    let text = run_lxkns(["why", &held.ino.to_string()]).ok().text().to_owned();
    assert!(text.starts_with(&format!("uts:[{}] is held by 4 bind mounts\n", held.ino)), "{text}");
    assert_eq!(text.matches("    until ").count(), 1, "{text}");
    assert!(text.contains("\n    with 3 more mounts of it in 3 mount namespaces, which are unmounted too\n"), "{text}");
    let all = run_lxkns(["why", "--all", &held.ino.to_string()]).ok().text().to_owned();
    assert_eq!(all.matches("\n    too: bind mount ").count(), 3, "{all}");
    let is_one_of = |pid: u32| *first == format!("`umount -N {pid} {}`", path.display());
    assert!(is_one_of(actor.pid()) || is_one_of(peer.pid()), "{first}");
    assert_eq!(type_command(first).code, Some(0));
    held.is_gone();
}

/// A mount namespace that only a descriptor holds is entered through that.
fn bind_mount_without_a_process() {
    let directory = directory();
    let path = directory.path().join("ns");
    let (actor, held) = with_mount(&path);
    let fd = actor.open("/proc/self/ns/mnt", Open::ReadOnly);
    actor.unshare(&["mnt"]);
    // The new one has a copy.
    actor.umount(&path);
    held.follow(&format!("`umount -N /proc/{}/fd/{fd} {}`", actor.pid(), path.display()));
}

fn file_system() {
    let directory = directory();
    let actor = Actor::spawn_in(&["user", "mnt", "pid"]);
    let init = actor.fork();
    let held = Held::of(init.ns_inode("pid"));
    init.mount("proc", directory.path());
    let of = |ran: &Ran| {
        let answers = ran.results();
        let holders = answers[0]["holders"].as_array().unwrap().clone();
        holders.into_iter().find(|holder| holder["kind"] == "mount")
    };
    let mount = of(&why(held.ino).ok()).unwrap();
    let told = release(&mount);
    assert_eq!(told, format!("`umount -N {} {}`", actor.pid(), directory.path().display()));
    assert_eq!(type_command(&told).code, Some(0));
    assert_eq!(of(&why(held.ino).ok()), None);
}

/// In the caller's own mount namespace: by path, or by the name that `ip netns` has.
fn at_home() {
    let private = ["unshare", "--mount", "--propagation", "private"];
    alone_through(&private, "cli::advice::at_home", || {
        // What is below is seen by nobody else.
        rustix::mount::mount("none", "/run", c"tmpfs", rustix::mount::MountFlags::empty(), None).unwrap();
        std::fs::create_dir("/run/netns").unwrap();
        for (name, ns_type, command) in [
            ("/run/netns/lxkns-x", "net", "`ip netns delete lxkns-x`, or `umount /run/netns/lxkns-x`"),
            ("/run/lxkns-x", "net", "`umount /run/lxkns-x`"),
            ("/run/lxkns-x", "uts", "`umount /run/lxkns-x`"),
        ] {
            let actor = Actor::spawn_in(&[ns_type]);
            let held = Held::of(actor.ns_inode(ns_type));
            std::fs::write(name, "").unwrap();
            rustix::mount::mount_bind(format!("/proc/{}/ns/{ns_type}", actor.pid()), name).unwrap();
            drop(actor);
            let orphans = run_lxkns(["orphans", "--json", "-t", ns_type]).ok().results();
            let own = orphans.iter().find(|orphan| orphan["namespace"]["nsid"] == held.ino).unwrap();
            let is_name = name.starts_with("/run/netns/");
            assert_eq!(own["name"], if is_name { json!(name) } else { Value::Null });
            held.follow(command);
        }
    });
}
