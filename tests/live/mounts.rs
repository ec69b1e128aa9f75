//! The mounts of mount namespaces: all of them, with what the kernel says of each, and what a path leads to.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use lxkns_core::model::{Mount, Pid, Place};
use lxkns_core::relations::{NamespacedMount, PeerGroups};
use lxkns_core::{DiscoveryOptions, Snapshot};
use lxkns_fixture::{Actor, Open};
use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, StatxFlags};
use tempfile::TempDir;

use super::{directory, namespace};
use crate::harness::Need::{FileSystem, Kernel, UserNamespaces};
use crate::harness::{Test, test};

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("mounts::hidden_is_what_no_path_leads_to", &[UserNamespaces, Kernel(5, 8)], hidden),
        test("mounts::an_overmounted_root", &[UserNamespaces, Kernel(5, 8)], overmounted_root),
        test("mounts::whoever_is_asked", &[UserNamespaces, Kernel(6, 15)], whoever_is_asked),
        test("mounts::of_changed_root_directories", &[UserNamespaces], changed_root_directories),
        test("mounts::without_a_process", &[UserNamespaces, Kernel(6, 15)], without_a_process),
        test("mounts::names", &[UserNamespaces, FileSystem("tmpfs")], names),
        test("mounts::a_great_many", &[UserNamespaces], a_great_many),
        test("mounts::propagation", &[UserNamespaces], propagation),
        test("mounts::only_where_asked_for", &[UserNamespaces], only_where_asked_for),
    ]
}

const MS_MOVE: u64 = 8192;
const MS_SHARED: u64 = 1 << 20;
const MS_SLAVE: u64 = 1 << 19;
const MS_UNBINDABLE: u64 = 1 << 17;

fn discover_mounts() -> Snapshot {
    let mut options = DiscoveryOptions::namespaces();
    options.mounts = true;
    lxkns_core::Discovery::of_host().unwrap().run(&options).unwrap()
}

/// The mounts of an actor's mount namespace.
#[track_caller]
fn mounts<'a>(snapshot: &'a Snapshot, actor: &Actor) -> &'a [Mount] {
    &snapshot.mounts[&namespace(snapshot, actor.ns_inode("mnt")).id]
}

/// The mounts at a path.
#[track_caller]
fn at(mounts: &[Mount], path: impl AsRef<Path>) -> Vec<&Mount> {
    let path = path.as_ref().as_os_str().as_bytes();
    mounts.iter().filter(|mount| mount.path().is_some_and(|point| point == path)).collect()
}

/// Numbers that are the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// An actor with a tree of mounts like no other.
pub(super) fn random_tree(seed: u64) -> (Actor, TempDir) {
    const MOUNTS: usize = 40;
    let mut numbers = Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let base = directory();
    let actor = Actor::spawn_in(&["user", "mnt"]);
    actor.mount("tmpfs", base.path());
    let mut made = 1;
    // What the kernel refuses (to move a mount below itself, say) is another tree.
    for _ in 0..10 * MOUNTS {
        let path = |numbers: &mut Numbers| {
            let mut path = PathBuf::from(base.path());
            for _ in 0..numbers.below(4) {
                path.push(["a", "b", "a b", "a!"][numbers.below(4) as usize]);
                // As far as it is not there, and not a file system that cannot be written to.
                let _ = actor.try_mkdir(&path);
            }
            path
        };
        let (one, other) = (path(&mut numbers), path(&mut numbers));
        let done = match numbers.below(20) {
            0..10 => actor.try_mount("tmpfs", &one),
            10..14 => actor.try_bind(&one, &other),
            14..16 => actor.try_mount_with(&one, "", &other, MS_MOVE, "").and(Err(std::io::ErrorKind::Other.into())),
            16 => actor.try_umount_lazily(&one).and(Err(std::io::ErrorKind::Other.into())),
            17 => actor.try_mount("tmpfs", base.path()),
            // Above all of them; and over the root, sometimes.
            18 => actor.try_mount("tmpfs", base.path().join("a")),
            _ if numbers.below(8) == 0 => actor.try_mount("tmpfs", "/"),
            _ => Err(std::io::ErrorKind::Other.into()),
        };
        made += usize::from(done.is_ok());
        if made == MOUNTS {
            return (actor, base);
        }
    }
    panic!("seed {seed}: only {made} mounts could be made");
}

/// The ID of the mount to which a path leads for a process.
fn leads_to(pid: u32, path: &[u8]) -> Option<u64> {
    let flags = OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let root = rustix::fs::open(format!("/proc/{pid}/root"), OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_SYMLINKS;
    let fd = rustix::fs::openat2(&root, Path::new(OsStr::from_bytes(path)), flags, Mode::empty(), resolve).ok()?;
    let at = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
    let stat = rustix::fs::statx(&fd, c"", at, StatxFlags::MNT_ID).unwrap();
    assert_ne!(stat.stx_mask & StatxFlags::MNT_ID.bits(), 0);
    Some(stat.stx_mnt_id)
}

/// Checks of each mount whether its path leads to it, and says how many are hidden.
#[track_caller]
fn check_hidden(what: &str, mounts: &[Mount], actor: &Actor) -> usize {
    for mount in mounts {
        let path = mount.path().expect("listed by a process that sees it");
        let truth = leads_to(actor.pid(), path) != Some(mount.id);
        assert_eq!(mount.hidden, truth, "{what}: {mount:?}\nof {mounts:#?}");
    }
    mounts.iter().filter(|mount| mount.hidden).count()
}

fn hidden() {
    const TREES: u64 = 32;
    let trees: Vec<_> = (1..=TREES).map(random_tree).collect();
    let snapshot = discover_mounts();
    let (mut all, mut hidden) = (0, 0);
    for (seed, (actor, _base)) in trees.iter().enumerate() {
        let mounts = mounts(&snapshot, actor);
        all += mounts.len();
        hidden += check_hidden(&format!("seed {}", seed + 1), mounts, actor);
    }
    // Trees in which nothing is hidden, or all, would prove nothing.
    assert!(all > 40 * TREES as usize && hidden > 10 * TREES as usize, "{hidden} of {all}");
    assert!(all - hidden > 10 * TREES as usize, "{hidden} of {all}");
}

fn overmounted_root() {
    let actor = Actor::spawn_in(&["user", "mnt"]);
    let before = mounts(&discover_mounts(), &actor).to_vec();
    actor.mount("tmpfs", "/");
    let snapshot = discover_mounts();
    let after = mounts(&snapshot, &actor);
    let over: Vec<_> = after.iter().filter(|mount| before.iter().all(|other| other.id != mount.id)).collect();
    let [over] = over[..] else { panic!("{over:?}") };
    // The actor's root directory is where it was.
    assert!(over.hidden && over.path().unwrap() == "/");
    check_hidden("before", after, &actor);
    assert_eq!(after.iter().filter(|mount| !mount.hidden).count(), before.iter().filter(|mount| !mount.hidden).count());

    // Who enters now finds the new root and nothing else.
    let entered = actor.fork();
    let ns = entered.open("/proc/self/ns/mnt", Open::ReadOnly);
    entered.setns(ns, "mnt");
    drop(actor);
    let snapshot = discover_mounts();
    let after = mounts(&snapshot, &entered);
    let visible: Vec<_> = after.iter().filter(|mount| !mount.hidden).map(|mount| mount.id).collect();
    assert_eq!(visible, [over.id]);
    for mount in after {
        let leads_to = leads_to(entered.pid(), mount.path().unwrap());
        assert_eq!(leads_to == Some(mount.id), !mount.hidden, "{mount:?}");
    }
}

/// All facts about the same mounts, from a process that sees them, and from `listmount` when no process does.
fn whoever_is_asked() {
    let (actor, base) = random_tree(4711);
    actor.mkdir(base.path().join("opts"));
    let data = "size=64k,mode=700";
    actor.mount_with("so\\ur ce", "tmpfs", base.path().join("opts"), 0x2 | 0x8 | 0x400 | 0x800, data);
    actor.mount_with("none", "", base.path().join("opts"), MS_UNBINDABLE, "");
    actor.mkdir(base.path().join("shared"));
    actor.mount_with("", "tmpfs", base.path().join("shared"), 1 | 0x10, "");
    actor.mount_with("none", "", base.path().join("shared"), MS_SHARED, "");
    actor.mkdir(base.path().join("slave"));
    actor.bind(base.path().join("shared"), base.path().join("slave"));
    actor.mount_with("none", "", base.path().join("slave"), MS_SLAVE, "");
    let before = discover_mounts();
    let empty = base.path().join("empty");
    actor.mkdir(&empty);
    actor.chroot(&empty);
    let after = discover_mounts();
    assert_eq!(actor.try_read_file("/proc/self/mountinfo").ok(), None, "it sees nothing");
    let (before, after) = (mounts(&before, &actor), mounts(&after, &actor));
    for (before, after) in before.iter().zip(after) {
        // What is at `/` depends on who looks.
        let mut after = after.clone();
        after.hidden = before.hidden;
        assert_eq!(*before, after);
    }
    assert_eq!(before.len(), after.len());
    let at = |path: &str| at(after, base.path().join(path))[0];
    assert_eq!(at("opts").source.as_deref().unwrap(), "so\\ur ce");
    assert_eq!(*at("opts").options, *"rw,nosuid,noexec,noatime,nodiratime");
    assert!(at("opts").propagation.unbindable);
    assert_eq!(at("shared").propagation.shared, at("slave").propagation.master);
    assert!(at("shared").propagation.shared.is_some() && !at("shared").is_writable());
}

/// What several processes see, each from another root directory, is one list with the paths of all.
fn changed_root_directories() {
    let base = directory();
    let actor = Actor::spawn_in(&["user", "mnt"]);
    actor.mount("tmpfs", base.path());
    let [jail, below, other] = ["jail", "jail/below", "other"].map(|name| base.path().join(name));
    for path in [&jail, &below, &other] {
        actor.mkdir(path);
    }
    actor.mount("tmpfs", &below);
    actor.mount("tmpfs", &other);
    let prisoners = [actor.fork(), actor.fork()];
    prisoners[0].chroot(&jail);
    prisoners[1].chroot(&other);
    let whole = mounts(&discover_mounts(), &actor).to_vec();
    let inode = actor.ns_inode("mnt");
    drop(actor);
    let snapshot = discover_mounts();
    let id = namespace(&snapshot, inode).id;
    let mounts = &snapshot.mounts[&id];
    let is_gap = |gap: &&lxkns_core::model::Gap| {
        gap.place == Place::BindMounts && gap.object == lxkns_core::model::Object::Namespace(id)
    };
    let seen: BTreeSet<_> = mounts.iter().filter_map(Mount::path).map(ToOwned::to_owned).collect();
    for path in [&below, &other] {
        assert!(seen.contains(path.as_os_str().as_bytes()), "{seen:?}");
    }
    match snapshot.gaps.iter().find(is_gap) {
        // What is in no prison is known where listmount is there, and otherwise it is said that it is not.
        None => {
            assert_eq!(mounts.len(), whole.len());
            for (now, before) in mounts.iter().zip(whole) {
                // Before 6.14 listmount leaves out what only processes there are told.
                let mut before = before;
                before.source = before.source.filter(|_| now.source.is_some());
                before.super_options = before.super_options.filter(|_| now.super_options.is_some());
                assert_eq!(*now, before);
            }
        }
        Some(_) => assert_eq!(mounts.len(), 2),
    }
}

fn without_a_process() {
    let (actor, _base) = random_tree(42);
    let whole = mounts(&discover_mounts(), &actor).to_vec();
    let inode = actor.ns_inode("mnt");
    let holder = Actor::spawn();
    holder.give_fd(actor.open_ns("mnt"));
    drop(actor);
    let snapshot = discover_mounts();
    let namespace = namespace(&snapshot, inode);
    assert!(namespace.is_without_tasks());
    let mounts = &snapshot.mounts[&namespace.id];
    let over_root = at(mounts, "/").len() > 1;
    for (before, after) in whole.iter().zip(mounts) {
        let mut after = after.clone();
        if over_root {
            after.hidden = before.hidden;
        }
        assert_eq!(*before, after);
    }
    assert_eq!(whole.len(), mounts.len());
}

fn names() {
    let base = directory();
    let actor = Actor::spawn_in(&["user", "mnt"]);
    actor.mount("tmpfs", base.path());
    let names: [&[u8]; 6] = [b"a b", b"a\nb", b"a\\040b", b"\xff\xfe", b"#", "\u{202e}x".as_bytes()];
    for name in names {
        let path = base.path().join(OsStr::from_bytes(name));
        actor.mkdir(&path);
        actor.mount_with(OsStr::from_bytes(name), "tmpfs", &path, 0, "");
    }
    let snapshot = discover_mounts();
    for name in names {
        let path = base.path().join(OsStr::from_bytes(name));
        let [mount] = at(mounts(&snapshot, &actor), path)[..] else { panic!("{name:?}") };
        assert_eq!(mount.source.as_deref().map(|source| &**source), Some(name));
    }
    let mut json = Vec::new();
    lxkns_core::wire::write(&snapshot, &Default::default(), &mut json).unwrap();
    assert_eq!(lxkns_core::wire::read(json.as_slice()).unwrap().mounts, snapshot.mounts);
}

fn a_great_many() {
    const MANY: usize = 2000;
    let base = directory();
    let actor = Actor::spawn_in(&["user", "mnt"]);
    for _ in 0..MANY {
        actor.mount("tmpfs", base.path());
    }
    for name in 0..100 {
        let path = base.path().join(name.to_string());
        actor.mkdir(&path);
        actor.mount("tmpfs", &path);
    }
    let snapshot = discover_mounts();
    let mounts = mounts(&snapshot, &actor);
    let stack = at(mounts, base.path());
    assert_eq!((stack.len(), stack.iter().filter(|mount| !mount.hidden).count()), (MANY, 1));
    let below = |mount: &&Mount| mount.path().unwrap().starts_with(base.path().join("").as_os_str().as_bytes());
    assert_eq!(mounts.iter().filter(below).filter(|mount| !mount.hidden).count(), 100);
}

fn propagation() {
    let base = directory();
    let actor = Actor::spawn_in(&["user", "mnt"]);
    actor.mount("tmpfs", base.path());
    actor.mount_with("none", "", base.path(), MS_SHARED, "");
    // A copy in another mount namespace is a peer; made a slave, it receives.
    let [peer, slave] = [(); 2].map(|()| {
        let other = actor.fork();
        other.unshare(&["mnt"]);
        other
    });
    slave.mount_with("none", "", base.path(), MS_SLAVE, "");
    let snapshot = discover_mounts();
    let one = |actor: &Actor| NamespacedMount {
        namespace: namespace(&snapshot, actor.ns_inode("mnt")).id,
        mount: at(mounts(&snapshot, actor), base.path())[0],
    };
    let groups = PeerGroups::of(&snapshot);
    assert!(one(&actor).mount.propagation.shared.is_some());
    assert_eq!(groups.peers(one(&actor)).collect::<Vec<_>>(), [one(&peer)]);
    assert_eq!(groups.receivers(one(&peer)), [one(&slave)]);
    let mut sources = vec![one(&actor), one(&peer)];
    sources.sort_by_key(|source| source.namespace);
    assert_eq!(groups.sources(one(&slave)), sources);
    assert_eq!(snapshot.namespaces[&one(&slave).namespace].leaders, [Pid(slave.pid())]);
}

fn only_where_asked_for() {
    let actor = Actor::spawn_in(&["user", "mnt"]);
    assert!(super::discover().mounts.is_empty());
    let mut options = DiscoveryOptions::namespaces();
    options.places = [Place::Processes].into_iter().collect();
    options.mounts = true;
    let snapshot = lxkns_core::Discovery::of_host().unwrap().run(&options).unwrap();
    assert!(!mounts(&snapshot, &actor).is_empty());
}
