//! Bind mounts where no process shows them: in mount namespaces without processes, and outside the root directories of
//! those that there are. With a helper that goes there, as the program has it.

use std::ffi::OsStr;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use lxkns_core::model::{Cause, Holder, Object, Operation, Pid, Reader, Relation};
use lxkns_core::{Discovery, DiscoveryOptions, ProcRoot, Snapshot};
use lxkns_fixture::deny::{self, interface};
use lxkns_fixture::fuse::{DeadFuse, Death};
use lxkns_fixture::{Actor, Open, probe};
use lxkns_mountns::{Access, HelperProgram, SandboxOptions};
use rustix::io::Errno;

use super::program::run;
use super::{directory, ino, namespace};
use crate::harness::Need::{self, File, FileSystem, Root, UserNamespaces};
use crate::harness::{Test, lxkns, test};

const NEEDS: &[Need] = &[UserNamespaces, FileSystem("tmpfs")];

pub(super) fn tests() -> Vec<Test> {
    const FUSE: &[Need] = &[Root, File("/dev/fuse"), FileSystem("fuse")];
    vec![
        test("processless::nested", NEEDS, nested),
        test("processless::held_by_a_descriptor", NEEDS, held_by_a_descriptor),
        test("processless::behind_chroot", NEEDS, behind_chroot),
        test("processless::odd_paths", NEEDS, odd_paths),
        test("processless::no_path_leads_there", NEEDS, no_path_leads_there),
        test("processless::without_listmount", NEEDS, without_listmount),
        test("processless::an_overmounted_root", NEEDS, an_overmounted_root),
        test("processless::many", &[Root, FileSystem("tmpfs")], many),
        test("processless::dead_server_unread", FUSE, || dead_server(Death::Unread)),
        test("processless::dead_server_unanswered", FUSE, || dead_server(Death::Unanswered)),
    ]
}

/// The helper of this build.
fn access(deadline: f64) -> Access {
    let mut options = SandboxOptions::default();
    options.program = HelperProgram::Carried;
    Access::new(options, std::time::Duration::from_secs_f64(deadline))
}

/// Everything that procfs and the helper tell, also on a host with so many tasks that discovery would choose the kernel's
/// iterators, which know more.
fn discover(deadline: f64) -> Snapshot {
    let proc = ProcRoot::host().unwrap();
    let options = DiscoveryOptions { reader: Some(Reader::Proc), ..DiscoveryOptions::everything() };
    Discovery::new(proc).mounts_through(&access(deadline)).run(&options).unwrap()
}

/// Long enough for a busy host. What others have mounted that does not answer takes as long, each.
const LONG: f64 = 5.0;

/// An actor in a mount namespace with an empty file system of its own, which it shares with those that it forks.
fn with_tmpfs() -> (Actor, PathBuf) {
    probe::pin_to_one_cpu().unwrap();
    let actor = Actor::spawn_in(&["user", "mnt"]);
    let directory = std::env::temp_dir().canonicalize().unwrap();
    actor.mount("tmpfs", &directory);
    (actor, directory)
}

/// A fork in a mount namespace of its own.
fn inside(actor: &Actor) -> Actor {
    let inner = actor.fork();
    inner.unshare(&["mnt"]);
    inner.make_mounts_private();
    inner
}

/// Has an actor bind-mount a new network namespace, which it then leaves, at this path of its own.
fn bind_net(actor: &Actor, path: impl AsRef<Path>) -> u64 {
    actor.touch(path.as_ref());
    bind_net_over(actor, path)
}

/// The same over a file that there is.
fn bind_net_over(actor: &Actor, path: impl AsRef<Path>) -> u64 {
    actor.unshare(&["net"]);
    let ino = actor.ns_inode("net");
    actor.bind("/proc/self/ns/net", path.as_ref());
    actor.unshare(&["net"]);
    ino
}

/// That this namespace is only bind-mounted, in that mount namespace; and that it could be asked all the same.
#[track_caller]
fn assert_bind_mounted(snapshot: &Snapshot, net: u64, mnt: u64, owner: u64) {
    let namespace = namespace(snapshot, net);
    match super::direct_holders(snapshot, namespace)[..] {
        [Holder::BindMount { mount_ns, .. }] => assert_eq!(mount_ns.ino, mnt),
        ref holders => panic!("{holders:?}; {:?}", snapshot.gaps),
    }
    assert_eq!(ino(namespace.owner), Some(owner), "{:?}", snapshot.gaps);
    assert_eq!(namespace.unique_id.is_some(), probe::kernel_at_least(6, 18));
}

/// A mount namespace in a mount namespace in a mount namespace, none of them with a process.
fn nested() {
    let (outer, directory) = with_tmpfs();
    let user = outer.ns_inode("user");
    outer.touch(directory.join("mnt"));
    let first = inside(&outer);
    let second = inside(&first);
    let third = inside(&second);
    let net = bind_net(&third, directory.join("net"));
    let inodes = [&first, &second, &third].map(|level| level.ns_inode("mnt"));
    for (holder, held) in [(&second, &third), (&first, &second), (&outer, &first)] {
        holder.bind(format!("/proc/{}/ns/mnt", held.pid()), directory.join("mnt"));
    }
    drop((third, second, first));
    let snapshot = discover(LONG);
    let mut above = outer.ns_inode("mnt");
    for inner in inodes {
        let holders = super::direct_holders(&snapshot, namespace(&snapshot, inner));
        assert!(matches!(holders[..], [Holder::BindMount { mount_ns, .. }] if mount_ns.ino == above), "{holders:?}");
        let id = namespace(&snapshot, inner).id;
        assert!(
            snapshot.mounts.contains_key(&id),
            "{:?}",
            snapshot.gaps.iter().filter(|g| g.object == Object::Namespace(id)).collect::<Vec<_>>()
        );
        assert!(snapshot.mounts[&id].iter().any(|mount| mount.path() == directory.to_str().map(Into::into)));
        above = inner;
    }
    assert_bind_mounted(&snapshot, net, inodes[2], user);
    // From the snapshot alone, one gets there again.
    let id = namespace(&snapshot, net).id;
    let fd = Discovery::of_host().unwrap().mounts_through(&access(LONG)).open(&snapshot, id).unwrap();
    assert_eq!(rustix::fs::fstat(&fd).unwrap().st_ino, net);
}

fn held_by_a_descriptor() {
    let (actor, directory) = with_tmpfs();
    let inner = inside(&actor);
    let net = bind_net(&inner, directory.join("net"));
    let mnt = inner.ns_inode("mnt");
    let fd = actor.open(format!("/proc/{}/ns/mnt", inner.pid()), Open::ReadOnly);
    drop(inner);
    assert_bind_mounted(&discover(LONG), net, mnt, actor.ns_inode("user"));
    actor.close(fd);
}

fn behind_chroot() {
    let (actor, directory) = with_tmpfs();
    actor.mkdir(directory.join("root"));
    let net = bind_net(&actor, directory.join("net"));
    let (mnt, user) = (actor.ns_inode("mnt"), actor.ns_inode("user"));
    actor.chroot(directory.join("root"));
    assert_bind_mounted(&discover(LONG), net, mnt, user);
}

fn odd_paths() {
    let (actor, directory) = with_tmpfs();
    let inner = inside(&actor);
    let names = [&b"a b"[..], b"line\nbreak", b"back\\040slash", b"\xff\xfe", b"tab\there"];
    let nets = names.map(|name| bind_net(&inner, directory.join(OsStr::from_bytes(name))));
    let mnt = inner.ns_inode("mnt");
    let _fd = actor.open(format!("/proc/{}/ns/mnt", inner.pid()), Open::ReadOnly);
    drop(inner);
    let snapshot = discover(LONG);
    for net in nets {
        assert_bind_mounted(&snapshot, net, mnt, actor.ns_inode("user"));
    }
}

/// What is mounted over, and what was removed: type and inode are known, and a gap says that the rest is not.
fn no_path_leads_there() {
    let (actor, directory) = with_tmpfs();
    let inner = inside(&actor);
    inner.mkdir(directory.join("under"));
    let hidden = bind_net(&inner, directory.join("under/hidden"));
    inner.mount("tmpfs", directory.join("under"));
    let covered = bind_net(&inner, directory.join("covered"));
    let over = bind_net_over(&inner, directory.join("covered"));
    let mnt = inner.ns_inode("mnt");
    let _fd = actor.open(format!("/proc/{}/ns/mnt", inner.pid()), Open::ReadOnly);
    drop(inner);
    let snapshot = discover(LONG);
    assert_bind_mounted(&snapshot, over, mnt, actor.ns_inode("user"));
    for net in [hidden, covered] {
        let namespace = namespace(&snapshot, net);
        assert_eq!(namespace.ns_type.name(), "net");
        assert!(matches!(namespace.holders[..], [Holder::BindMount { mount_ns, .. }] if mount_ns.ino == mnt));
        assert_eq!(namespace.owner, Relation::NotAsked);
        let gap = snapshot.gaps.iter().find(|gap| gap.object == Object::Namespace(namespace.id));
        assert_eq!(gap.map(|gap| (gap.cause, gap.errno)), Some((Cause::NoPath, None)), "{:?}", snapshot.gaps);
    }
}

/// What the program lists of mount namespaces, with and without these interfaces: holders and all mounts.
#[track_caller]
fn dump(denied: &[&str]) -> Snapshot {
    let mut command = lxkns();
    let interfaces: Vec<_> = denied.iter().map(|name| interface(name)).collect();
    if !interfaces.is_empty() {
        deny::deny(&mut command, &interfaces, Errno::NOSYS.raw_os_error()).unwrap();
    }
    let ran = run(command.args(["dump", "--no-cmdline", "--reader", "proc", "--timeout", "5"])).ok();
    lxkns_core::wire::read(ran.stdout.as_slice()).unwrap()
}

/// The helper's list, and that of members, say the same as the kernel's.
fn without_listmount() {
    let (outer, directory) = with_tmpfs();
    outer.touch(directory.join("mnt"));
    let inner = inside(&outer);
    inner.mkdir(directory.join("sub"));
    inner.mount("tmpfs", directory.join("sub"));
    let nets = [bind_net(&inner, directory.join("sub/net")), bind_net(&inner, directory.join("net"))];
    inner.mount("tmpfs", directory.join("sub"));
    outer.bind(format!("/proc/{}/ns/mnt", inner.pid()), directory.join("mnt"));
    let inner_mnt = inner.ns_inode("mnt");
    drop(inner);
    let chrooted = inside(&outer);
    chrooted.mkdir(directory.join("root"));
    let behind = bind_net(&chrooted, directory.join("behind"));
    chrooted.chroot(directory.join("root"));
    let with = dump(&[]);
    for denied in [&["listmount"][..], &["statmount"], &["listmount", "statmount", "NS_GET_ID", "NS_GET_MNTNS_ID"]] {
        let without = dump(denied);
        for mnt in [inner_mnt, chrooted.ns_inode("mnt")] {
            let id = namespace(&with, mnt).id;
            // Whose peer is nearest in the same mount namespace is known to those only who are in it.
            let mounts = |snapshot: &Snapshot| {
                let mut mounts = snapshot.mounts[&id].clone();
                mounts.iter_mut().for_each(|mount| mount.propagation.propagate_from = None);
                mounts
            };
            assert_eq!(mounts(&without), mounts(&with), "{denied:?}");
        }
        for net in nets.into_iter().chain([behind]) {
            let (with, without) = (namespace(&with, net), namespace(&without, net));
            assert_eq!((&without.holders, without.owner), (&with.holders, with.owner), "{denied:?}");
        }
    }
}

/// Who enters is on top of what is mounted over the root, and does not see what is below.
fn an_overmounted_root() {
    let (actor, directory) = with_tmpfs();
    let inner = inside(&actor);
    let net = bind_net(&inner, directory.join("net"));
    inner.mount("tmpfs", "/");
    let mnt = inner.ns_inode("mnt");
    let _fd = actor.open(format!("/proc/{}/ns/mnt", inner.pid()), Open::ReadOnly);
    drop(inner);
    // Everybody may list the mounts of what they own.
    if probe::is_root() && probe::kernel_at_least(6, 11) {
        let listed = dump(&[]);
        assert!(
            matches!(namespace(&listed, net).holders[..], [Holder::BindMount { mount_ns, .. }] if mount_ns.ino == mnt)
        );
    }
    let without = dump(&["listmount"]);
    // Since 6.19 the kernel lists the namespace itself, but not where it is mounted.
    let is_mounted = |holder: &Holder| matches!(holder, Holder::BindMount { .. });
    assert!(!without.by_ino(net).is_some_and(|namespace| namespace.holders.iter().any(is_mounted)));
    let id = namespace(&without, mnt).id;
    assert_eq!(without.mounts[&id].len(), 1);
    let is_about = |gap: &&lxkns_core::model::Gap| {
        gap.object == Object::Namespace(id) && gap.operation.to_string().contains("root")
    };
    assert!(without.gaps.iter().any(|gap| is_about(&gap)), "{:?}", without.gaps);
}

/// More than a handful, and all of them are gone through with few descriptors.
fn many() {
    let (actor, directory) = with_tmpfs();
    let made: Vec<_> = (0..40)
        .map(|n| {
            let inner = inside(&actor);
            let net = bind_net(&inner, directory.join("net"));
            let pin = directory.join(n.to_string());
            actor.touch(&pin);
            actor.bind(format!("/proc/{}/ns/mnt", inner.pid()), pin);
            (net, inner.ns_inode("mnt"))
        })
        .collect();
    let snapshot = discover(LONG);
    for (net, mnt) in made {
        assert_bind_mounted(&snapshot, net, mnt, actor.ns_inode("user"));
    }
}

/// A file system that does not answer costs one gap, and nothing of what is beside it.
fn dead_server(death: Death) {
    let actor = Actor::spawn_in(&["mnt"]);
    let directory = directory();
    let path = directory.path().canonicalize().unwrap();
    actor.mount("tmpfs", &path);
    let inner = inside(&actor);
    inner.mkdir(path.join("fuse"));
    let fuse = DeadFuse::mount(&inner, path.join("fuse"), death);
    let owner = inner.ns_inode("user");
    let [lost, also_lost] = ["file", "other"].map(|name| bind_net_over(&inner, path.join("fuse").join(name)));
    let beside = bind_net(&inner, path.join("net"));
    let mnt = inner.ns_inode("mnt");
    let fd = inner.open_ns("mnt");
    actor.give_fd(fd.as_fd());
    drop((inner, fd));
    fuse.die();
    let snapshot = discover(0.3);
    assert_bind_mounted(&snapshot, beside, mnt, owner);
    for net in [lost, also_lost] {
        let namespace = namespace(&snapshot, net);
        assert!(matches!(namespace.holders[..], [Holder::BindMount { mount_ns, .. }] if mount_ns.ino == mnt));
        assert_eq!(namespace.owner, Relation::NotAsked);
        let gaps: Vec<_> = snapshot.gaps.iter().filter(|gap| gap.object == Object::Namespace(namespace.id)).collect();
        // The second is not even tried. No error of the kernel's says so.
        let is_unanswered = |cause| matches!(cause, Cause::TimedOut | Cause::NotTried);
        assert!(matches!(gaps[..], [gap] if is_unanswered(gap.cause) && gap.errno.is_none()), "{gaps:?}");
        assert!(matches!(gaps[0].operation, Operation::OpenInside(_)), "{gaps:?}");
    }
    // Who went there for us is named, and is none of the host's processes.
    let operations = snapshot.gaps.iter().map(|gap| gap.operation.to_string());
    let left_behind: Vec<u32> = operations
        .filter_map(|operation| operation.split_once("; helper ")?.1.split(' ').next()?.parse().ok())
        .collect();
    assert!(!left_behind.is_empty(), "{:?}", snapshot.gaps);
    assert!(left_behind.iter().all(|&pid| !snapshot.processes.contains_key(&Pid(pid))), "{left_behind:?}");
    drop(fuse);
}
