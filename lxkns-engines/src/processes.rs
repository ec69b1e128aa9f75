//! The processes of a snapshot, and what more must be known of some.

use std::cell::{OnceCell, RefCell};
use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd, OwnedFd};

use bstr::{BString, ByteSlice as _};
use lxkns_core::{CgroupHierarchies, ProcRoot};
use lxkns_model::{
    CgroupMembership, Cgroups, Gap, NamespaceId, NamespaceType, Object, Operation, Pid, Place, Process, Snapshot, Uid,
};
use rustc_hash::{FxHashMap, FxHashSet};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::files::Mounts;

use crate::parse::cgroup_path;

/// What `/proc/PID/status` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    /// The real, the effective and the saved one.
    pub(crate) uids: [u32; 3],
    /// Its PIDs from the PID namespace of the procfs down to its own.
    pub(crate) ns_pids: Vec<Pid>,
}

/// The processes of a snapshot.
pub(crate) struct Processes<'a> {
    pub(crate) snapshot: &'a Snapshot,
    proc: Option<&'a ProcRoot>,
    /// The namespaces of the host itself: those of the first process and the initial ones; of mount namespaces at least one.
    host: FxHashSet<NamespaceId>,
    statuses: RefCell<FxHashMap<Pid, Option<Status>>>,
    translations: RefCell<FxHashMap<Pid, FxHashMap<u32, Pid>>>,
    children: FxHashMap<Pid, Vec<Pid>>,
    pub(crate) gaps: RefCell<Vec<Gap>>,
    /// The control groups whose paths were told, and where they are.
    told: RefCell<FxHashMap<BString, CgroupMembership>>,
    hierarchies: OnceCell<CgroupHierarchies>,
    /// Who can make control groups in these, where that is not root alone.
    makers: RefCell<FxHashMap<BString, Option<Uid>>>,
}

impl<'a> Processes<'a> {
    pub(crate) fn new(snapshot: &'a Snapshot, proc: Option<&'a ProcRoot>) -> Self {
        let mut children: FxHashMap<Pid, Vec<Pid>> = FxHashMap::default();
        for process in snapshot.processes.values() {
            if let Some(parent) = process.ppid {
                children.entry(parent).or_default().push(process.pid);
            }
        }
        Self {
            snapshot,
            proc,
            host: host_namespaces(snapshot),
            statuses: RefCell::default(),
            translations: RefCell::default(),
            children,
            gaps: RefCell::default(),
            told: RefCell::default(),
            hierarchies: OnceCell::new(),
            makers: RefCell::default(),
        }
    }

    pub(crate) fn get(&self, pid: Pid) -> Option<&'a Process> {
        self.snapshot.processes.get(&pid)
    }

    pub(crate) fn children(&self, pid: Pid) -> &[Pid] {
        self.children.get(&pid).map_or(&[], Vec::as_slice)
    }

    /// Its mount namespace, where it is known.
    pub(crate) fn mount_ns(&self, pid: Pid) -> Option<NamespaceId> {
        self.get(pid)?.namespaces.get(NamespaceType::Mnt)
    }

    /// Whether it is known to be in the host's own mount namespace.
    pub(crate) fn is_in_host(&self, process: &Process) -> bool {
        process.namespaces.get(NamespaceType::Mnt).is_some_and(|id| self.host.contains(&id))
    }

    /// Whether all its namespaces are known, and the host's own.
    pub(crate) fn is_of_host(&self, process: &Process) -> bool {
        let is_host = |(_, id): (NamespaceType, NamespaceId)| {
            self.host.contains(&id) || self.snapshot.namespaces.get(&id).is_some_and(|namespace| namespace.initial)
        };
        !process.namespaces.is_empty() && process.namespaces.iter().all(is_host)
    }

    /// Whether it is in the namespaces of its parent, as far as is known.
    pub(crate) fn is_with_parent(&self, process: &Process) -> bool {
        let parent = process.ppid.and_then(|parent| self.get(parent));
        !process.namespaces.is_empty() && parent.is_some_and(|parent| parent.namespaces == process.namespaces)
    }

    /// Whether a mount namespace is the host's own.
    pub(crate) fn is_host(&self, mount_ns: NamespaceId) -> bool {
        self.host.contains(&mount_ns)
    }

    /// The path of its control group: read, where the snapshot has none.
    pub(crate) fn cgroup(&self, process: &Process) -> Option<BString> {
        if let Some(cgroups) = &process.living_task().cgroups {
            return self.told(cgroups);
        }
        let read = lxkns_core::cgroups_at(self.proc?, &process.directory()).map_err(|error| error.errno());
        match read {
            Ok(cgroups) => self.told(&cgroups),
            Err(errno) => {
                let (object, read) = (Object::Process(process.pid), Operation::read("cgroup"));
                let gap = match errno {
                    Some(errno) => Gap::failed(Place::Containers, object, read, errno),
                    None => Some(Gap::because(Place::Containers, object, read, lxkns_model::Cause::Malformed)),
                };
                self.gaps.borrow_mut().extend(gap);
                None
            }
        }
    }

    /// The ordinary user whose a process is, by any of its UIDs; `None` of root's, nobody where it is not known.
    pub(crate) fn owner(&self, pid: Pid) -> Option<Uid> {
        let Some(status) = self.status(pid) else { return Some(cgroup_path::NOBODY) };
        status.uids.iter().copied().find(|&uid| uid != 0).map(Uid)
    }

    fn told(&self, cgroups: &Cgroups) -> Option<BString> {
        let path = telling_path(cgroups)?;
        let membership = cgroups.0.iter().find(|membership| membership.path == path);
        self.told.borrow_mut().extend(membership.map(|membership| (path.clone(), membership.clone())));
        Some(path)
    }

    /// The ordinary user who can have given a control group its name: to whom a control group above it belongs, or who can
    /// write to one. A service manager can have let it to them, wherever it is. `None` where root alone can, or that is not
    /// known. `end`: where in the path of a process's control group the name ends.
    pub(crate) fn namer(&self, path: &BString, end: usize) -> Option<Uid> {
        let told = self.told.borrow();
        let membership = told.get(path)?;
        let hierarchies = self
            .hierarchies
            .get_or_init(|| self.proc.map(|proc| CgroupHierarchies::of_the_host(proc).0).unwrap_or_default());
        let parents =
            path[..end].iter().enumerate().filter(|&(at, &byte)| byte == b'/' && at > 0).map(|(at, _)| &path[..at]);
        for parent in parents {
            let key = BString::from([membership.controllers.as_slice(), b":", parent].concat());
            let maker = self.makers.borrow().get(&key).copied();
            let maker = maker.unwrap_or_else(|| {
                let above = CgroupMembership { path: parent.into(), ..membership.clone() };
                let maker = hierarchies.open(&above).ok().flatten().and_then(|dir| ordinary_owner(&dir));
                self.makers.borrow_mut().insert(key, maker);
                maker
            });
            if maker.is_some() {
                return maker;
            }
        }
        None
    }

    /// What its `status` says: read, where the snapshot has none.
    pub(crate) fn status(&self, pid: Pid) -> Option<Status> {
        let process = self.get(pid)?;
        if let Some(status) = &process.status {
            let uids = [status.uids.real, status.uids.effective, status.uids.saved].map(|uid| uid.0);
            return Some(Status { uids, ns_pids: status.ns_pids.clone() });
        }
        let mut statuses = self.statuses.borrow_mut();
        let read = || parse_status(&read_proc(self.proc?, &format!("{}/status", process.directory())).ok()?);
        statuses.entry(pid).or_insert_with(read).clone()
    }

    /// The directory that is the root of a process.
    pub(crate) fn root(&self, pid: Pid) -> Option<OwnedFd> {
        let path = format!("{}/root", self.get(pid)?.directory());
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match rustix::fs::openat(self.proc?, path, flags, Mode::empty()) {
            Ok(root) => Some(root),
            Err(errno) => {
                let errno = lxkns_model::Errno::new(errno.raw_os_error())?;
                let gap = Gap::failed(Place::Containers, Object::Process(pid), Operation::open("root"), errno);
                self.gaps.borrow_mut().extend(gap);
                None
            }
        }
    }

    /// The mounts below the root directory of a process, or of the caller, that can be gone into.
    pub(crate) fn mounts(&self, pid: Option<Pid>, is_of_user: bool) -> Mounts {
        let directory = pid.and_then(|pid| self.get(pid)).map_or_else(|| "thread-self".to_owned(), Process::directory);
        let (flags, path) = (OFlags::RDONLY | OFlags::CLOEXEC, format!("{directory}/mountinfo"));
        // With room for most lists: what grows from nothing is read in a dozen small parts.
        let mut text = Vec::with_capacity(8 << 10);
        let read = self.proc.ok_or(Errno::NOENT).and_then(|proc| rustix::fs::openat(proc, path, flags, Mode::empty()));
        let read = read.map_err(std::io::Error::from).and_then(|file| File::from(file).read_to_end(&mut text));
        if let Err(error) = read {
            let object = pid.map_or(Object::Host, Object::Process);
            let errno = error.raw_os_error().and_then(lxkns_model::Errno::new);
            let gap =
                errno.and_then(|errno| Gap::failed(Place::Containers, object, Operation::read("mountinfo"), errno));
            self.gaps.borrow_mut().extend(gap);
        }
        Mounts::without_server(&text, is_of_user)
    }

    /// The process that has this PID in the PID namespace of another.
    pub(crate) fn translate(&self, reader: Option<Pid>, pid: u32) -> Option<Pid> {
        let observer = self.snapshot.observer.as_ref();
        let Some(reader) = reader else {
            // The caller's own files have PIDs of the caller's PID namespace.
            let is_own = observer.is_none_or(|it| it.pid_ns == it.procfs_pid_ns);
            return is_own.then_some(Pid(pid)).filter(|&pid| self.get(pid).is_some());
        };
        let ns = self.get(reader)?.namespaces.get(NamespaceType::Pid);
        if ns.is_some() && ns == observer.and_then(|it| it.procfs_pid_ns) {
            return Some(Pid(pid)).filter(|&pid| self.get(pid).is_some());
        }
        let depth = self.status(reader)?.ns_pids.len().checked_sub(1)?;
        if depth == 0 {
            return Some(Pid(pid)).filter(|&pid| self.get(pid).is_some());
        }
        // By the namespace, which many readers can share, as its first process stands for it.
        let representative =
            ns.and_then(|ns| self.snapshot.namespaces.get(&ns)?.leaders.first().copied()).unwrap_or(reader);
        if !self.translations.borrow().contains_key(&representative) {
            let table = self.table(ns, depth);
            self.translations.borrow_mut().insert(representative, table);
        }
        self.translations.borrow().get(&representative)?.get(&pid).copied()
    }

    /// The processes of a PID namespace, and of those below it, by their PIDs in it.
    fn table(&self, ns: Option<NamespaceId>, depth: usize) -> FxHashMap<u32, Pid> {
        let Some(ns) = ns else { return FxHashMap::default() };
        let mut inside = FxHashSet::from_iter([ns]);
        let mut todo = vec![ns];
        while let Some(id) = todo.pop() {
            let children = self.snapshot.namespaces.get(&id).map_or(&[][..], |namespace| &namespace.children);
            todo.extend(children.iter().copied().filter(|child| inside.insert(*child)));
        }
        let is_inside =
            |process: &&Process| process.namespaces.get(NamespaceType::Pid).is_some_and(|id| inside.contains(&id));
        let processes = self.snapshot.processes.values().filter(is_inside);
        processes.filter_map(|process| Some((self.status(process.pid)?.ns_pids.get(depth)?.0, process.pid))).collect()
    }

    /// Whether a process is an ordinary user's own: it has their UID, or is in a user namespace that they have made.
    pub(crate) fn is_own(&self, uid: Uid, pid: Pid) -> bool {
        let Some(process) = self.get(pid) else { return false };
        let mut user_ns = process.namespaces.get(NamespaceType::User);
        // Circles, which only a dump has, end.
        for _ in 0..64 {
            let Some(namespace) = user_ns.and_then(|id| self.snapshot.namespaces.get(&id)) else { break };
            if namespace.owner_uid == Some(uid) && !namespace.initial {
                return true;
            }
            user_ns = namespace.parent.known();
        }
        self.status(pid).is_some_and(|status| status.uids.iter().all(|&own| own == uid.0))
    }

    /// The ordinary user who has made a mount namespace, or what it is below.
    pub(crate) fn maker(&self, mount_ns: NamespaceId) -> Option<Uid> {
        let mut owner = self.snapshot.namespaces.get(&mount_ns)?.owner.known();
        for _ in 0..64 {
            let Some(namespace) = owner.and_then(|id| self.snapshot.namespaces.get(&id)) else { break };
            if let Some(uid) = namespace.owner_uid.filter(|uid| uid.0 != 0 && !namespace.initial) {
                return Some(uid);
            }
            owner = namespace.parent.known();
        }
        None
    }

    /// The ordinary user whose word the mounts of a mount namespace are: its maker; nobody where it belongs to a user namespace
    /// below the host's, which engines make for containers and whose root mounts anything, and where its owner is not known.
    pub(crate) fn mounter(&self, mount_ns: NamespaceId) -> Option<Uid> {
        let namespaces = &self.snapshot.namespaces;
        let owner = namespaces.get(&mount_ns).and_then(|namespace| namespaces.get(&namespace.owner.known()?));
        let is_of_host = owner.is_some_and(|owner| owner.initial);
        self.maker(mount_ns).or_else(|| (!is_of_host).then_some(cgroup_path::NOBODY))
    }
}

/// Who can write to a directory, where that is not root alone.
fn ordinary_owner(dir: &OwnedFd) -> Option<Uid> {
    let stat = rustix::fs::fstat(dir).ok()?;
    match (stat.st_uid, stat.st_gid, stat.st_mode) {
        (0, gid, mode) if mode & 0o002 != 0 || mode & 0o020 != 0 && gid != 0 => Some(cgroup_path::NOBODY),
        (0, ..) => None,
        (uid, ..) => Some(Uid(uid)),
    }
}

/// The path that says most of containers, of those in all hierarchies: the usual one; where that names none, one that does;
/// else one that leads further below it. An engine can be in a control group of version 2, and have its containers' in
/// version 1 alone.
fn telling_path(cgroups: &Cgroups) -> Option<BString> {
    let usual = cgroups.path()?;
    let names = |path: &BString| cgroup_path::containers(path).len();
    let others = || cgroups.0.iter().map(|membership| &membership.path).filter(|path| *path != usual);
    if names(usual) > 0 {
        return Some(usual.clone());
    }
    // Of equals the first: `max_by_key` would take the last.
    let naming =
        others().map(|path| (names(path), path)).reduce(|best, other| if other.0 > best.0 { other } else { best });
    if let Some((1.., path)) = naming {
        return Some(path.clone());
    }
    let is_below = |path: &&BString| path.strip_prefix(usual.as_slice()).is_some_and(|rest| rest.starts_with(b"/"));
    let below = others().filter(is_below).reduce(|best, other| if other.len() > best.len() { other } else { best });
    Some(below.unwrap_or(usual).clone())
}

/// The namespaces of the host itself: those of the first process, and the initial mount namespace; the observer's where
/// neither is known.
fn host_namespaces(snapshot: &Snapshot) -> FxHashSet<NamespaceId> {
    let initial = snapshot.namespaces.values().filter(|it| it.initial && it.ns_type == NamespaceType::Mnt);
    let mut host: FxHashSet<_> = initial.map(|it| it.id).collect();
    let first = snapshot.processes.get(&Pid(1)).map(|first| first.namespaces);
    host.extend(first.and_then(|first| first.get(NamespaceType::Mnt)));
    if host.is_empty() {
        host.extend(snapshot.observer_mount_ns);
    }
    host.extend(first.iter().flat_map(|first| first.iter().map(|(_, id)| id)));
    host
}

/// The largest file of procfs that is read, in bytes.
const LARGEST_FILE: usize = 256 << 20;

/// Reads a file below a directory of procfs.
pub(crate) fn read_proc(dir: impl AsFd, path: &str) -> Result<Vec<u8>, Errno> {
    read_start_of_proc(dir, path, LARGEST_FILE)
}

/// Reads at most `limit` bytes of it.
pub(crate) fn read_start_of_proc(dir: impl AsFd, path: &str, limit: usize) -> Result<Vec<u8>, Errno> {
    let file = rustix::fs::openat(dir, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut text = Vec::new();
    lxkns_sys::read_to_end(&file, &mut text, limit)?;
    Ok(text)
}

/// The two lines of a `status` that matter. The name, which comes before them, has no newline in it: the kernel escapes it.
fn parse_status(text: &[u8]) -> Option<Status> {
    let numbers = |name: &str| -> Option<Vec<u32>> {
        let line = text.lines().find_map(|line| line.strip_prefix(name.as_bytes()))?;
        line.to_str().ok()?.split_ascii_whitespace().map(|number| number.parse().ok()).collect()
    };
    let [real, effective, saved, _] = numbers("Uid:")?.try_into().ok()?;
    let ns_pids: Vec<Pid> = numbers("NSpid:")?.into_iter().map(Pid).collect();
    (!ns_pids.is_empty()).then_some(Status { uids: [real, effective, saved], ns_pids })
}

#[cfg(test)]
mod tests {
    use lxkns_model::CgroupMembership;

    use super::*;

    #[test]
    fn any_hierarchy_can_name_the_container() {
        let id = "a".repeat(64);
        let path = |paths: &[&str]| {
            let membership = |(at, path): (usize, &&str)| CgroupMembership {
                hierarchy: at as u32,
                controllers: if at == 0 { "".into() } else { format!("c{at}").into() },
                path: path.replace("$ID", &id).into(),
            };
            let cgroups = Cgroups(paths.iter().enumerate().map(membership).collect());
            telling_path(&cgroups).map(|path| path.to_string().replace(&id, "$ID"))
        };
        let is = |path: &str| Some(path.to_owned());
        assert_eq!(path(&["/host", "/host/docker/$ID", "/host"]), is("/host/docker/$ID"));
        assert_eq!(path(&["/docker/$ID/x", "/docker/$ID"]), is("/docker/$ID/x"));
        assert_eq!(path(&["/host", "/host/default/c1", "/elsewhere/default/c1"]), is("/host/default/c1"));
        assert_eq!(path(&["/host", "/hostile/x"]), is("/host"));
        assert_eq!(path(&["/", "/a", "/"]), is("/a"));
        assert_eq!((path(&["/"]), path(&[])), (is("/"), None));
    }

    #[test]
    fn a_status_is_read() {
        let status = parse_status(b"Name:\tUid:\\n1\nUid:\t0\t1\t2\t3\nNSpid:\t4711\t7\t1\nNSpgid:\t1\n").unwrap();
        assert_eq!(status, Status { uids: [0, 1, 2], ns_pids: vec![Pid(4711), Pid(7), Pid(1)] });
        for text in
            ["", "Uid:\t0\n", "Uid:\t0\t0\t0\t0\n", "Uid:\t0\t0\t0\t0\nNSpid:\n", "Uid:\tx\t0\t0\t0\nNSpid:\t1\n"]
        {
            assert_eq!(parse_status(text.as_bytes()), None, "{text:?}");
        }
    }
}
