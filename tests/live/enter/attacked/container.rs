//! Hostile containers.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use lxkns_fixture::{Actor, Place};
use rustix::fs::{AtFlags, StatxFlags};
use tempfile::TempDir;

use crate::live::directory;
use crate::live::enter::limits::{FREEZER, Group, MEMORY, unified};

/// Docker's default capabilities.
const USUAL: u64 = 0xa804_25fb;
const CAP_SYS_PTRACE: u64 = 1 << 19;

/// Privileges of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Docker's default capabilities in the caller's user namespace.
    Usual,
    /// The same and `CAP_SYS_PTRACE`.
    Tracing,
    /// The same, but the bounding set lacks `CAP_SYS_PTRACE`.
    LateBounding,
    /// All capabilities in a user namespace of its own, with UIDs that the host does not use.
    OwnUser,
    /// As `Tracing`, with the attacker in the parent of the target's PID namespace.
    Above,
}

impl Kind {
    pub(super) const ALL: [Self; 5] = [Self::Usual, Self::Tracing, Self::LateBounding, Self::OwnUser, Self::Above];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Usual => "usual",
            Self::Tracing => "tracing",
            Self::LateBounding => "late_bounding",
            Self::OwnUser => "own_user",
            Self::Above => "above",
        }
    }

    /// Whether its processes can trace processes that have other credentials.
    pub(super) fn traces(self) -> bool {
        self != Self::Usual
    }
}

/// A container with its own root directory, procfs and control groups, and an attacker in it.
pub(super) struct Container {
    // Fields are dropped in order: a control group must be empty before its removal.
    pub(super) attacker: Actor,
    pub(super) target: Actor,
    others: Vec<Actor>,
    pid_namespaces: Vec<PathBuf>,
    groups: Vec<Group>,
    _root: TempDir,
}

impl Container {
    pub(super) fn new(kind: Kind) -> Self {
        let root = directory();
        let groups = groups();
        let outer = Actor::spawn_in(&["mnt"]);
        groups.iter().for_each(|group| group.set("cgroup.procs", outer.pid().to_string()));
        outer.mount("tmpfs", root.path());
        fill(&outer, root.path());
        let own = ["pid", "net", "ipc", "uts", "cgroup"];
        if kind == Kind::OwnUser {
            // Another user must be able to search the directory.
            fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
            outer.unshare(&[&["user", "mnt"], &own[..]].concat());
            outer.map_ids(&[(0, 100_000, 65_536)]);
            outer.setgid(0);
            outer.setuid(0);
        } else {
            outer.unshare(&own);
        }

        let init = outer.fork();
        init.chroot(root.path());
        init.chdir("/");
        init.mount("proc", "/proc");
        let confine = |actor: &Actor| match kind {
            Kind::Usual => actor.keep_bounding(USUAL),
            Kind::Tracing | Kind::Above => actor.keep_bounding(USUAL | CAP_SYS_PTRACE),
            Kind::LateBounding => actor.keep_bounding(USUAL),
            Kind::OwnUser => {}
        };
        let give_up = |actor: &Actor| match kind {
            Kind::Usual => actor.set_caps(USUAL),
            Kind::Tracing | Kind::Above | Kind::LateBounding => actor.set_caps(USUAL | CAP_SYS_PTRACE),
            Kind::OwnUser => {}
        };
        confine(&init);
        let (attacker, target, others) = if kind == Kind::Above {
            let attacker = init.fork();
            init.unshare(&["pid"]);
            let target = init.fork();
            (attacker, target, vec![init, outer])
        } else {
            (init.fork(), init, vec![outer])
        };
        give_up(&attacker);
        give_up(&target);
        let mut pid_namespaces: Vec<PathBuf> = [&attacker, &target].map(pid_namespace).into();
        pid_namespaces.dedup();
        Self { attacker, target, others, pid_namespaces, groups, _root: root }
    }

    /// Foreign processes in the container's PID namespaces: PID, state and program.
    pub(super) fn strangers(&self) -> Vec<(u32, char, String)> {
        let own: Vec<u32> = self.others.iter().chain([&self.attacker, &self.target]).map(Actor::pid).collect();
        let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let strangers = pids.filter(|pid| !own.contains(pid)).filter_map(|pid: u32| {
            let namespace = fs::read_link(format!("/proc/{pid}/ns/pid")).ok()?;
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let (_, state) = stat.rsplit_once(") ")?;
            let exe = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
            let stranger = (pid, state.chars().next()?, exe.display().to_string());
            self.pid_namespaces.contains(&namespace).then_some(stranger)
        });
        strangers.collect()
    }

    /// Directory of the container's control group in a hierarchy.
    pub(super) fn group(&self, hierarchy: &str) -> &Path {
        let mut paths = self.groups.iter().map(Group::path);
        paths.find(|path| path.parent() == Some(Path::new(hierarchy))).unwrap()
    }

    /// Text of a link below the target's `/proc/PID`.
    pub(super) fn link(&self, name: &str) -> String {
        fs::read_link(format!("/proc/{}/{name}", self.target.pid())).unwrap().display().to_string()
    }

    /// A capability set of the target.
    pub(super) fn caps(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.target.pid())).unwrap();
        let set = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
        u64::from_str_radix(set.trim(), 16).unwrap()
    }

    /// A file below the target's `/proc/PID`, as the attacker reads it.
    pub(super) fn own_text(&self, name: &str) -> String {
        let path = format!("/proc/{}/{name}", self.inner_pid());
        String::from_utf8(self.attacker.read_file(path)).unwrap()
    }

    /// The target's PID in the attacker's PID namespace.
    fn inner_pid(&self) -> String {
        let numbers = |actor: &Actor| {
            let status = fs::read_to_string(format!("/proc/{}/status", actor.pid())).unwrap();
            let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap();
            numbers.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        let depth = numbers(&self.attacker).len();
        numbers(&self.target).swap_remove(depth - 1)
    }
}

fn pid_namespace(actor: &Actor) -> PathBuf {
    fs::read_link(format!("/proc/{}/ns/pid", actor.pid())).unwrap()
}

/// A new control group in each hierarchy that the tests use.
fn groups() -> Vec<Group> {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("attacked-{}", COUNT.fetch_add(1, Ordering::Relaxed));
    let hierarchies = [MEMORY, FREEZER, unified()].into_iter();
    let hierarchies = hierarchies.filter(|path| Path::new(path).join("cgroup.procs").exists());
    hierarchies.map(|path| Group::new(path, &name)).collect()
}

/// Fills a container's root directory: one static program with several names.
fn fill(outer: &Actor, root: &Path) {
    for name in ["bin", "proc", "etc", "tmp"] {
        outer.mkdir(root.join(name));
    }
    let bin = format!("/proc/{}/root{}/bin", outer.pid(), root.display());
    let bin = Path::new(&bin);
    fs::copy(busybox(), bin.join("busybox")).unwrap();
    for name in ["true", "cat", "sleep"] {
        fs::hard_link(bin.join("busybox"), bin.join(name)).unwrap();
    }
}

/// The static program that containers consist of.
pub(super) fn busybox() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut files = std::env::split_paths(&path).map(|directory| directory.join("busybox"));
    files.find(|file| file.is_file()).unwrap()
}

/// Identity of the file at a path, as the test sees it.
pub(super) fn place(path: impl AsRef<Path>) -> Place {
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::MNT_ID;
    let found = rustix::fs::statx(rustix::fs::CWD, path.as_ref(), AtFlags::empty(), wanted).unwrap();
    let device = format!("{}:{}", found.stx_dev_major, found.stx_dev_minor);
    Place { device, ino: found.stx_ino, mount: found.stx_mnt_id, mode: found.stx_mode.into() }
}
