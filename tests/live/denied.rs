//! Without an interface of the kernel, what it alone gave is lost, and a gap says so; all else is found as with it.
//!
//! The program runs under a filter that answers for the kernel. What it finds of one fixture, which has a namespace for
//! each place, is compared with what it finds there without a filter: so the same tests hold on a kernel that does not
//! have all of it anyway. What each interface gives is said in a table, [`deny::INTERFACES`].

use std::path::PathBuf;
use std::sync::LazyLock;

use lxkns_core::Snapshot;
use lxkns_core::model::{
    Call, Cause, Gap, Holder, Namespace, NamespaceId, NamespaceType, Object, Pid, Place, Relation, Suspect, Tid,
};
use lxkns_fixture::deny::{self, INTERFACES, Interface, Loss};
use lxkns_fixture::fuse::{DeadFuse, Death};
use lxkns_fixture::{Actor, Open, Socket, probe};
use rustix::io::Errno;

use super::program::{Ran, row, run};
use super::{directory, look_until, own_inode};
use crate::harness::Need::{File, FileSystem, Root, UserNamespaces};
use crate::harness::{Test, lxkns, test};

const ERRNOS: [(&str, Errno); 3] = [("enosys", Errno::NOSYS), ("eperm", Errno::PERM), ("einval", Errno::INVAL)];

pub(super) fn tests() -> Vec<Test> {
    const NEEDS: &[crate::harness::Need] = &[UserNamespaces, FileSystem("tmpfs")];
    let mut tests = Vec::new();
    for (errno_name, errno) in ERRNOS {
        for interface in INTERFACES {
            let name = interface.name.to_lowercase().replace("_*", "");
            tests.push(test(format!("denied::{name}::{errno_name}"), NEEDS, move || denied(&[(interface, errno)])));
        }
        let all = move || denied(&INTERFACES.iter().map(|interface| (interface, errno)).collect::<Vec<_>>());
        tests.push(test(format!("denied::everything::{errno_name}"), NEEDS, all));
    }
    tests.push(test("denied::a_target_is_a_path", NEEDS, a_target_is_a_path));
    tests.push(test("denied::by_docker", NEEDS, by_docker));
    tests.push(test("denied::by_an_older_docker", NEEDS, by_an_older_docker));
    const FUSE: &[crate::harness::Need] = &[Root, File("/dev/fuse"), FileSystem("fuse")];
    for (death_name, death) in [("unread", Death::Unread), ("unanswered", Death::Unanswered)] {
        let name = format!("denied::no_dead_server_is_asked::{death_name}");
        tests.push(test(name, FUSE, move || no_dead_server_is_asked(death)));
    }
    tests
}

/// A namespace of the fixture, held in one way.
struct Item {
    id: NamespaceId,
    /// What is lost when it is not found to be held in that way, where that can happen at all.
    loss: Option<Loss>,
    is_holder: Box<dyn Fn(&Holder) -> bool + Send + Sync>,
}

/// One of each kind of holder, and what is found of it where nothing is denied.
struct Fixture {
    actors: Vec<Actor>,
    items: Vec<Item>,
    baseline: Snapshot,
}

/// Made once for all tests: it does not change. It is gone with the test program, and leaves no file behind, as all
/// its files are in mount namespaces of its own.
static FIXTURE: LazyLock<Fixture> = LazyLock::new(|| {
    // On a thread of its own, since it binds itself to one CPU.
    std::thread::spawn(|| {
        probe::pin_to_one_cpu().unwrap();
        fixture()
    })
    .join()
    .unwrap()
});

type Made = (u64, Option<Loss>, Box<dyn Fn(&Holder) -> bool + Send + Sync>);

fn fixture() -> Fixture {
    let mut actors = Vec::new();
    let mut made = Vec::new();
    for make in [processes, descriptors, sockets, bind_mounts, relations] {
        make(&mut actors, &mut made);
    }
    if probe::is_root() {
        as_root(&mut actors, &mut made);
    }
    let unborn = Actor::spawn_in(&["user"]);
    unborn.unshare(&["pid"]);
    let unborn_pid = Pid(unborn.pid());
    actors.push(unborn);

    let baseline = undisturbed(&actors, &made.iter().map(|(ino, ..)| *ino).collect::<Vec<_>>(), &[]).1;
    let mut items: Vec<Item> = made
        .into_iter()
        .filter_map(|(ino, loss, is_holder)| {
            let namespace = baseline.by_ino(ino).filter(|namespace| namespace.holders.iter().any(&is_holder));
            // What can be lost, older kernels or a lack of privileges have lost already.
            assert!(namespace.is_some() || loss.is_some(), "{ino} was not found; gaps: {:?}", baseline.gaps);
            Some(Item { id: namespace?.id, loss, is_holder })
        })
        .collect();
    // Only the holder itself knows which one that is: since 6.19 its link says so, earlier one has to ask a pidfd.
    let has_link = std::fs::read_link(format!("/proc/{unborn_pid}/ns/pid_for_children")).is_ok();
    let pid_for_children = baseline.processes[&unborn_pid].namespaces.for_children(NamespaceType::Pid);
    items.extend(pid_for_children.map(|id| Item {
        id,
        loss: (!has_link).then_some(Loss::PidForChildren),
        is_holder: Box::new(move |holder| matches!(holder, Holder::ForChildren { pid, .. } if *pid == unborn_pid)),
    }));
    Fixture { actors, items, baseline }
}

/// Moves an actor out of its network namespace into a new one, and says which it left.
fn leave(actor: &Actor, name: &str) -> u64 {
    let left = actor.ns_inode(name);
    actor.unshare(&[name]);
    left
}

fn processes(actors: &mut Vec<Actor>, made: &mut Vec<Made>) {
    let process = Actor::spawn_in(&["user", "uts", "net"]);
    let pid = Pid(process.pid());
    for name in ["user", "uts", "net"] {
        made.push((process.ns_inode(name), None, Box::new(move |holder| *holder == Holder::Process { pid })));
    }
    let thread = process.thread();
    thread.unshare(&["net"]);
    let tid = Tid(thread.tid());
    made.push((thread.ns_inode("net"), None, Box::new(move |holder| *holder == Holder::Task { pid, tid })));
    actors.extend([thread, process]);
    if probe::has_namespace_type("time") {
        let parent = Actor::spawn_in(&["user", "time"]);
        let (pid, tid) = (Pid(parent.pid()), Tid(parent.tid()));
        let ino = parent.ns_inode("time_for_children");
        made.push((ino, None, Box::new(move |holder| *holder == Holder::ForChildren { pid, tid })));
        actors.push(parent);
    }
}

fn by_fd(actor: &Actor, fd: i32) -> Box<dyn Fn(&Holder) -> bool + Send + Sync> {
    let expected = Holder::Fd { pid: Pid(actor.pid()), tid: Tid(actor.tid()), fd: fd as u32 };
    Box::new(move |holder| *holder == expected)
}

fn descriptors(actors: &mut Vec<Actor>, made: &mut Vec<Made>) {
    let actor = Actor::spawn_in(&["user", "net"]);
    // One that shares its table, so that everything in it could be taken to be there twice.
    actors.push(actor.thread());
    let fd = actor.open("/proc/self/ns/net", Open::ReadOnly);
    made.push((leave(&actor, "net"), None, by_fd(&actor, fd)));
    let path_fd = actor.open("/proc/self/ns/net", Open::Path);
    made.push((leave(&actor, "net"), None, by_fd(&actor, path_fd)));
    // Which namespace that holds, nobody says.
    actor.open("/proc/self/mountinfo", Open::ReadOnly);
    actors.push(actor);

    // A copy of the table, and something that is only in the copy.
    let actor = Actor::spawn_in(&["user", "net", "uts"]);
    let fd = actor.open("/proc/self/ns/uts", Open::ReadOnly);
    let thread = actor.thread();
    thread.unshare_files();
    let own_fd = thread.open("/proc/thread-self/ns/net", Open::ReadOnly);
    let (net, uts) = (actor.ns_inode("net"), actor.ns_inode("uts"));
    for task in [&thread, &actor] {
        task.unshare(&["net", "uts"]);
    }
    made.push((net, None, by_fd(&thread, own_fd)));
    made.push((uts, Some(Loss::FdCopyOfTask), by_fd(&thread, fd)));
    actors.extend([thread, actor]);
}

fn sockets(actors: &mut Vec<Actor>, made: &mut Vec<Made>) {
    let by_socket = |actor: &Actor, fd: i32| -> Box<dyn Fn(&Holder) -> bool + Send + Sync> {
        let (pid, tid) = (Pid(actor.pid()), Tid(actor.tid()));
        let expected = Holder::Socket { pid, tid, fd: fd as u32, inode: actor.socket_inode(fd) };
        Box::new(move |holder| *holder == expected)
    };
    let actor = Actor::spawn_in(&["user", "net"]);
    let socket = actor.socket(Socket::Udp4);
    let is_holder = by_socket(&actor, socket);
    made.push((leave(&actor, "net"), Some(Loss::Socket), is_holder));
    actors.push(actor);

    let actor = Actor::spawn_in(&["user", "net"]);
    let thread = actor.thread_sharing_nothing();
    let socket = thread.socket(Socket::Udp4);
    let is_holder = by_socket(&thread, socket);
    let net = leave(&actor, "net");
    thread.unshare(&["net"]);
    made.push((net, Some(Loss::SocketOfTask), is_holder));
    actors.extend([thread, actor]);
}

/// An actor in a mount namespace with an empty file system of its own.
fn with_tmpfs(namespaces: &[&str]) -> (Actor, PathBuf) {
    let actor = Actor::spawn_in(namespaces);
    let directory = std::env::temp_dir().canonicalize().unwrap();
    actor.mount("tmpfs", &directory);
    (actor, directory)
}

fn in_mounts_of(actor: &Actor) -> Box<dyn Fn(&Holder) -> bool + Send + Sync> {
    let ino = actor.ns_inode("mnt");
    Box::new(move |holder| matches!(holder, Holder::BindMount { mount_ns, .. } if mount_ns.ino == ino))
}

fn bind_mounts(actors: &mut Vec<Actor>, made: &mut Vec<Made>) {
    let (actor, directory) = with_tmpfs(&["user", "mnt", "net", "uts"]);
    let bind = |name: &str, namespace: &str| {
        let path = directory.join(name);
        actor.touch(&path);
        actor.bind(format!("/proc/self/ns/{namespace}"), &path);
        path
    };
    bind("plain", "net");
    made.push((leave(&actor, "net"), None, in_mounts_of(&actor)));
    let through = bind("through", "uts");
    let fd = actor.open(&through, Open::ReadOnly);
    made.push((leave(&actor, "uts"), None, by_fd(&actor, fd)));
    let gone = bind("gone", "uts");
    let fd = actor.open(&gone, Open::ReadOnly);
    actor.umount_lazily(&gone);
    made.push((leave(&actor, "uts"), Some(Loss::FdThroughGoneBindMount), by_fd(&actor, fd)));
    actor.mkdir(directory.join("under"));
    bind("under/hidden", "net");
    actor.mount("tmpfs", directory.join("under"));
    made.push((leave(&actor, "net"), None, in_mounts_of(&actor)));
    actors.push(actor);

    let (actor, directory) = with_tmpfs(&["user", "mnt", "net"]);
    actor.mkdir(directory.join("root"));
    actor.touch(directory.join("outside"));
    actor.bind("/proc/self/ns/net", directory.join("outside"));
    made.push((leave(&actor, "net"), Some(Loss::FactsOfUnshown), in_mounts_of(&actor)));
    actor.chroot(directory.join("root"));
    actors.push(actor);
}

fn relations(actors: &mut Vec<Actor>, made: &mut Vec<Made>) {
    let actor = Actor::spawn_in(&["user"]);
    let middle = leave(&actor, "user");
    made.push((middle, None, Box::new(|holder| matches!(holder, Holder::Child { .. }))));
    actors.push(actor);

    let actor = Actor::spawn_in(&["user"]);
    actor.unshare(&["pid"]);
    let init = actor.fork();
    init.unshare(&["pid"]);
    let child = init.fork();
    let pid = Pid(child.pid());
    made.push((child.ns_inode("pid"), None, Box::new(move |holder| *holder == Holder::Process { pid })));
    made.push((init.ns_inode("pid"), None, Box::new(|holder| matches!(holder, Holder::Child { .. }))));
    actors.extend([child, init, actor]);

    // A user namespace that nothing holds but what it owns.
    let outer = Actor::spawn_in(&["user"]);
    let inner = outer.fork();
    inner.unshare(&["user", "net"]);
    let user = inner.ns_inode("user");
    let fd = inner.open("/proc/self/ns/net", Open::ReadOnly);
    outer.give_fd(inner.take_fd(fd));
    drop(inner);
    made.push((user, None, Box::new(|holder| matches!(holder, Holder::Owned { .. }))));
    actors.push(outer);
}

fn as_root(actors: &mut Vec<Actor>, made: &mut Vec<Made>) {
    if std::path::Path::new("/dev/net/tun").exists() {
        let actor = Actor::spawn_in(&["user", "net"]);
        let tun = actor.tun("lxknstap") as u32;
        let pid = Pid(actor.pid());
        let is_holder =
            move |holder: &Holder| matches!(holder, Holder::Tun { pid: of, fd, .. } if (*of, *fd) == (pid, tun));
        made.push((leave(&actor, "net"), Some(Loss::Tun), Box::new(is_holder)));
        actors.push(actor);
    }

    // A mount namespace that is only bind-mounted, with a bind mount in it.
    let (outer, directory) = with_tmpfs(&["mnt"]);
    let inner = outer.fork();
    inner.unshare(&["mnt", "net"]);
    inner.make_mounts_private();
    let (pin, inside) = (directory.join("mnt"), directory.join("net"));
    outer.touch(&pin);
    inner.touch(&inside);
    inner.bind("/proc/self/ns/net", &inside);
    made.push((inner.ns_inode("net"), Some(Loss::FactsOfUnshown), in_mounts_of(&inner)));
    made.push((inner.ns_inode("mnt"), None, in_mounts_of(&outer)));
    outer.bind(format!("/proc/{}/ns/mnt", inner.pid()), &pin);
    drop(inner);
    actors.push(outer);

    // Namespaces that only a message holds which nobody has received yet.
    for (name, loss) in [("mnt", Loss::HiddenMountNamespace), ("uts", Loss::HiddenNamespace)] {
        let actor = Actor::spawn_in(&[name]);
        let fd = actor.open(format!("/proc/self/ns/{name}"), Open::ReadOnly);
        actor.send_fd_in_flight(fd);
        actor.close(fd);
        made.push((leave(&actor, name), Some(loss), Box::new(|holder| *holder == Holder::Kernel)));
        actors.push(actor);
    }
}

/// What the program finds while these interfaces are answered with errors.
fn dump(denied: &[(&Interface, Errno)]) -> (Ran, Snapshot) {
    dump_by(lxkns(), denied)
}

/// The same, with none of these namespaces open in others than actors.
fn undisturbed(actors: &[Actor], inodes: &[u64], denied: &[(&Interface, Errno)]) -> (Ran, Snapshot) {
    let is_actor = |pid: Pid| actors.iter().any(|actor| Pid(actor.pid()) == pid);
    let is_undisturbed = |(_, snapshot): &(Ran, Snapshot)| {
        let namespaces = inodes.iter().filter_map(|ino| snapshot.by_ino(*ino));
        namespaces.flat_map(|namespace| &namespace.holders).filter_map(Holder::pid).all(is_actor)
    };
    look_until(is_undisturbed, || dump(denied))
}

fn dump_by(mut command: std::process::Command, denied: &[(&Interface, Errno)]) -> (Ran, Snapshot) {
    // The kernel reader needs few of these interfaces.
    command.args(["dump", "--no-cmdline", "--reader=proc"]);
    for (_, errno) in ERRNOS {
        let interfaces: Vec<_> =
            denied.iter().filter(|(_, with)| *with == errno).map(|(interface, _)| *interface).collect();
        if !interfaces.is_empty() {
            deny::deny(&mut command, &interfaces, errno.raw_os_error()).unwrap();
        }
    }
    let ran = run(&mut command).ok();
    let snapshot = lxkns_core::wire::read(ran.stdout.as_slice()).unwrap();
    (ran, snapshot)
}

/// The holders of a namespace that are the fixture's doing, but for those that `skip` names.
fn ours<'a>(actors: &[Actor], namespace: &'a Namespace, skip: impl Fn(&Holder) -> bool) -> Vec<&'a Holder> {
    let is_ours = |holder: &&Holder| match holder {
        // Whether the kernel's list is all that there is depends on what else there is.
        Holder::Kernel | Holder::Sockets { .. } => false,
        other => other.pid().is_none_or(|pid| actors.iter().any(|actor| Pid(actor.pid()) == pid)),
    };
    namespace.holders.iter().filter(is_ours).filter(|holder| !skip(holder)).collect()
}

/// Whether a gap says that this was answered so: with the error that the filter gave. Of `statx(2)` the library that makes
/// the call says `ENOSYS` whatever a filter says.
fn says_so(gap: &Gap, interface: &Interface, errno: Errno) -> bool {
    let given = if interface.name == "statx" { Errno::NOSYS } else { errno };
    let is_answer = gap.errno.is_none_or(|answer| answer.number() == given.raw_os_error());
    let text = gap.operation.to_string();
    is_answer && interface.gaps.iter().any(|operation| text == **operation || text.ends_with(&format!(": {operation}")))
}

fn denied(denied: &[(&'static Interface, Errno)]) {
    let Fixture { actors, items, baseline } = &*FIXTURE;
    let interfaces: Vec<_> = denied.iter().map(|(interface, _)| *interface).collect();
    let inodes: Vec<_> = items.iter().map(|item| item.id.ino).collect();
    let (ran, snapshot) = undisturbed(actors, &inodes, denied);
    let losers = |loss| denied.iter().filter(move |(with, _)| with.lost_with(&interfaces).any(|lost| lost == loss));
    let is_said = |loss: Loss| {
        let says = |gap: &&Gap| losers.clone()(loss).any(|(interface, errno)| says_so(gap, interface, *errno));
        let said: Vec<_> = snapshot.gaps.iter().filter(says).collect();
        assert!(!said.is_empty(), "no gap says that {loss:?} was lost: {:?}", snapshot.gaps);
        // What a kernel has for nobody is not told each time.
        let is_told = |gap: &&&Gap| gap.cause != Cause::Unsupported && gap.object == Object::Host;
        assert!(said.iter().all(|gap| !is_told(&gap)) || !ran.gaps().is_empty(), "{loss:?}: {ran:?}");
    };
    for Item { id, loss, is_holder } in items {
        let before = &baseline.namespaces[id];
        let now = snapshot.namespaces.get(id);
        let what = format!("{}:[{}], {loss:?}, was {before:?}, is {now:?}", before.ns_type, id.ino);
        let lost = loss.filter(|&loss| losers.clone()(loss).next().is_some());
        if let Some(loss) = lost {
            is_said(loss);
            // Where nothing lists the mounts there, the helper would have.
            if loss == Loss::FactsOfUnshown && denied.len() == 1 && deny::interface("NS_GET_MNTNS_ID").is_there() {
                let now = now.expect("the list of mounts has it");
                assert!(now.holders.iter().any(is_holder) && now.owner == Relation::NotAsked, "{what}");
                continue;
            }
            let Some(now) = now else { continue };
            assert!(!now.holders.iter().any(is_holder), "that is said to be lost: {what}");
            assert_eq!(ours(actors, now, is_holder), ours(actors, before, is_holder), "{what}");
            continue;
        }
        let Some(now) = now else { panic!("not found: {what}; {:?}", snapshot.gaps) };
        assert!(now.holders.iter().any(is_holder), "{what}; {:?}", snapshot.gaps);
        assert_eq!(ours(actors, now, |_| false), ours(actors, before, |_| false), "{what}");
        assert_eq!(
            (now.ns_type, now.owner_uid, now.parent),
            (before.ns_type, before.owner_uid, before.parent),
            "{what}"
        );
        assert_eq!(now.owner, before.owner, "{what}; {:?}", snapshot.gaps);
        let ids = if now.ns_type == NamespaceType::Mnt { Loss::MountNamespaceIds } else { Loss::Ids };
        if losers.clone()(ids).next().is_some() {
            assert_eq!(now.unique_id, None, "{what}");
            is_said(ids);
        } else {
            assert_eq!(now.unique_id, before.unique_id, "{what}");
        }
        // Nothing is said to be missing of what is all there. That a mount namespace cannot be gone through is another thing.
        let is_about = |gap: &&Gap| gap.object == Object::Namespace(*id) && gap.place == Place::BindMounts;
        if !baseline.gaps.iter().any(|gap| is_about(&gap)) {
            assert_eq!(snapshot.gaps.iter().find(is_about), None, "{what}");
        }
    }
    let loses_files = losers.clone()(Loss::ProcFile).next().is_some();
    let suspects = |snapshot: &Snapshot, with_files: bool| {
        let is_ours = |pid: &Pid| actors.iter().any(|actor| Pid(actor.pid()) == *pid);
        let is_wanted = |suspect: &&Suspect| match suspect {
            Suspect::ProcFile { pid, .. } => with_files && is_ours(pid),
            Suspect::InFlight { pid, .. } | Suspect::IoUring { pid, .. } => is_ours(pid),
            _ => false,
        };
        snapshot.suspects.iter().filter(is_wanted).cloned().collect::<Vec<_>>()
    };
    assert_eq!(suspects(&snapshot, true), suspects(baseline, !loses_files));
    let own = snapshot.by_ino(own_inode("user")).unwrap();
    assert_eq!(own.initial, baseline.namespaces[&own.id].initial);
}

/// As Docker's default profile has it for a container that was given CAP_SYS_ADMIN, but not CAP_SYS_PTRACE and
/// CAP_DAC_READ_SEARCH. What the profile does not name is refused, and what is newer than all that it names is said not
/// to exist.
const BY_DOCKER: [(&str, Errno); 4] =
    [("kcmp", Errno::PERM), ("pidfd_getfd", Errno::PERM), ("open_by_handle_at", Errno::PERM), ("listns", Errno::NOSYS)];

fn by_docker() {
    denied(&BY_DOCKER.map(|(name, errno)| (deny::interface(name), errno)));
}

/// Profiles of earlier versions know neither of the calls that list mounts.
fn by_an_older_docker() {
    let before = [("listmount", Errno::NOSYS), ("statmount", Errno::NOSYS)];
    let all: Vec<_> = BY_DOCKER.into_iter().chain(before).collect();
    denied(&all.into_iter().map(|(name, errno)| (deny::interface(name), errno)).collect::<Vec<_>>());
}

/// Also the paths that a user gives are known without statx.
fn a_target_is_a_path() {
    let actor = Actor::spawn_in(&["user", "net"]);
    let net = actor.ns_inode("net");
    for (_, errno) in ERRNOS {
        let mut command = lxkns();
        command.args(["ls", "--json", &format!("/proc/{}/ns/net", actor.pid())]);
        deny::deny(&mut command, &[deny::interface("statx")], errno.raw_os_error()).unwrap();
        let table = run(&mut command).ok().json();
        assert!(row(&table, net).is_some(), "{table}");
        let mut command = lxkns();
        command.args(["ls", "/"]);
        deny::deny(&mut command, &[deny::interface("statx")], errno.raw_os_error()).unwrap();
        run(&mut command).fails(1, "not a namespace");
    }
}

/// Without what asks the kernel's cache alone, a path that leads over a file system with a server is not looked up, and
/// a descriptor on one not asked for what it is.
fn no_dead_server_is_asked(death: Death) {
    let mount_point = directory();
    let actor = Actor::spawn_in(&["mnt"]);
    let fuse = DeadFuse::mount(&actor, mount_point.path(), death);
    actor.open(mount_point.path().join("file"), Open::ReadOnly);
    actor.open(mount_point.path().join("file"), Open::Path);
    let holder = actor.fork();
    holder.unshare(&["net"]);
    let net = holder.ns_inode("net");
    actor.bind(format!("/proc/{}/ns/net", holder.pid()), mount_point.path().join("other"));
    drop(holder);
    let chrooted = actor.fork();
    chrooted.chroot(mount_point.path());
    fuse.die();
    // Programs of other tests may ask, by a helper that can be given up: then it is looked once more.
    let is_unasked = |_| {
        let before = fuse.requests().len();
        without_asking(net, mount_point.path());
        fuse.requests().len() == before
    };
    let unasked = (0..5).any(is_unasked);
    assert!(unasked || death != Death::Unanswered, "somebody asked the server: {:?}", fuse.requests());
    drop(fuse);
}

/// What is found with calls denied, and by nobody who goes there and could be given up.
fn without_asking(net: u64, mount_point: &std::path::Path) {
    for (_, errno) in ERRNOS {
        for names in [&["openat2"][..], &["statx"], &["openat2", "statx"], &["openat2", "statx", "listmount"]] {
            let denied: Vec<_> = names.iter().map(|name| (deny::interface(name), errno)).collect();
            let mut alone = lxkns();
            alone.env("LXKNS_SANDBOX", mount_point.with_extension("none"));
            let (_, snapshot) = dump_by(alone, &denied);
            let namespace = snapshot.by_ino(net).expect("its bind mount names it");
            assert!(matches!(namespace.holders[..], [Holder::BindMount { .. }]), "{:?}", namespace.holders);
            assert_eq!(namespace.owner, Relation::NotAsked);
            let is_about = |gap: &&Gap| gap.object == Object::Namespace(namespace.id) && gap.place == Place::BindMounts;
            let gap = snapshot.gaps.iter().find(is_about).expect("a gap says that it could not be asked");
            // Without statx alone, it is the cache that does not know.
            let expected = if names.contains(&"openat2") { errno } else { Errno::AGAIN };
            let told = (gap.operation.clone(), gap.errno.map(lxkns_core::model::Errno::number));
            assert_eq!(told, (Call::Openat2.into(), Some(expected.raw_os_error())), "{names:?}");
        }
    }
}
