//! What decides whether a process may create or enter namespaces; see [`ActionFacts`].

use bstr::BString;
use rustix::fs::{StatxAttributes, StatxFlags};
use rustix::io::Errno;

use crate::cgroups::CgroupHierarchies;
use crate::failure::{self, Failure};
use crate::model::inside::Limit;
use crate::model::{
    ActionFacts, Call, Cause, CgroupMembership, Gap, NamespaceId, NamespaceType, Object, Operation, Pid, PidsLimit,
    Place, Process, SharedFs, Snapshot, Task, Tasks, Tid,
};
use crate::procfs::{ProcDir, ProcRoot, parse};
use crate::relations;

/// Reads what the kernel asks when this process of the snapshot creates or enters namespaces. The limits are those of the
/// caller's own user namespace only: those of others take a process inside. Whether it is chrooted takes the mounts of its
/// mount namespace ([`DiscoveryOptions::mounts`](crate::DiscoveryOptions::mounts)).
///
/// With a PID that was given to another process, nothing is known.
///
/// # Privileges
///
/// Ptrace read access to the process (`ptrace(2)`), and to all in its mount namespace that may share its directories.
pub fn action_facts(proc: &ProcRoot, snapshot: &Snapshot, process: &Process) -> (ActionFacts, Vec<Gap>) {
    let mut reader = Reader { proc, snapshot, process, gaps: Vec::new() };
    let facts = reader.read().unwrap_or_else(|failure| {
        reader.gap(Operation::read("status"), failure);
        ActionFacts::default()
    });
    (facts, reader.gaps)
}

/// Has a thread stand for its process in a snapshot: with its own credentials and namespaces, and its own name. Returns the
/// process, or `None` where no process of the snapshot has such a thread, or its namespaces are not readable.
///
/// # Privileges
///
/// For its namespaces ptrace read access to the process (`ptrace(2)`).
pub fn have_thread_stand_for_process(proc: &ProcRoot, snapshot: &mut Snapshot, tid: Tid) -> Option<Pid> {
    let mut buffer = Vec::new();
    let dir = proc.process(Pid(tid.0)).ok()?;
    let status = parse::status::parse(dir.read_record("status", &mut buffer).ok()?).ok()?;
    let pid = status.tgid.filter(|&pid| Tid::from(pid) != tid)?;
    let process = snapshot.processes.get_mut(&pid)?;
    let comm = dir.read_record("comm", &mut buffer).ok()?;
    let mut task = Task::new(tid, comm.strip_suffix(b"\n").unwrap_or(comm));
    task.start_time_ticks = process.start_time_ticks();
    task.state = status.state.unwrap_or(task.state);
    task.cgroups.clone_from(&process.living_task().cgroups);
    let dev = snapshot.namespaces.keys().next()?.dev;
    // By the texts of the links, which name the type: where access is denied, a stat can be of something else.
    let id = |name: String, ns_type: NamespaceType| {
        let (named, ino) = parse::links::parse(dir.link(name, &mut [0; 64]).ok()?)?;
        (named == ns_type).then_some(NamespaceId { dev, ino })
    };
    for ns_type in NamespaceType::ALL {
        if let Some(id) = id(format!("ns/{ns_type}"), ns_type) {
            task.namespaces.set(ns_type, id);
        }
        if matches!(ns_type, NamespaceType::Pid | NamespaceType::Time)
            && let Some(id) = id(format!("ns/{ns_type}_for_children"), ns_type)
        {
            task.namespaces.set_for_children(ns_type, id);
        }
    }
    // As if there were no such thread: its credentials say nothing without the user namespace that they are in.
    if task.namespaces.is_empty() {
        return None;
    }
    process.namespaces = task.namespaces;
    process.status = Some(status.process);
    process.tasks = Tasks::new(task, []);
    Some(pid)
}

struct Reader<'a> {
    proc: &'a ProcRoot,
    snapshot: &'a Snapshot,
    process: &'a Process,
    gaps: Vec<Gap>,
}

impl Reader<'_> {
    fn gap(&mut self, operation: impl Into<Operation>, why: impl Into<Failure>) {
        let object = Object::Process(self.process.pid);
        self.gaps.extend(failure::gap(Place::ProcessFacts, object, operation.into(), why));
    }

    /// What could be read; that which could not is a gap.
    fn known<T>(&mut self, operation: impl Into<Operation>, read: Result<T, Failure>) -> Option<T> {
        read.map_err(|failure| self.gap(operation, failure)).ok()
    }

    fn read(&mut self) -> Result<ActionFacts, Failure> {
        let (pid, mut buffer) = (self.process.pid, Vec::new());
        let main = self.proc.process(pid)?;
        let stat = parse::stat::parse(main.read_record("stat", &mut buffer)?)?;
        if stat.start_time_ticks != self.process.start_time_ticks() {
            return Err(Cause::Changed.into());
        }
        let tid = self.process.living_task().tid;
        let dir = ProcDir::open(&main, format!("task/{tid}"))?;
        let status = parse::status::parse(dir.read_record("status", &mut buffer)?)?;
        let chrooted = self.is_chrooted(&dir);
        let shared = self.shared_fs(&main, tid);
        let limit = process_limit(&dir);
        let pids = self.pids();
        let mut facts = ActionFacts {
            effective_gid: status.gids.map(|gids| gids[1]),
            shared_fs: self.known(Call::Kcmp, shared).flatten(),
            shares_memory: self.shares_memory(tid),
            is_chrooted: self.known(Operation::stat("root"), chrooted).flatten(),
            children_had_init: has_link(&dir),
            process_limit: self.known(Operation::read("limits"), limit),
            pids: self.known(Operation::read("pids.max"), pids),
            unprivileged_user_namespaces: self.setting("sys/kernel/unprivileged_userns_clone", true),
            apparmor_restricts: self.setting("sys/kernel/apparmor_restrict_unprivileged_userns", false),
            selinux_decides: selinux_decides(),
            confinement: crate::security_label(self.proc, self.process).ok().map(|label| label.filter(confines)),
            ..ActionFacts::default()
        };
        if let Some(own) = self.snapshot.observer.as_ref().and_then(|observer| observer.user_ns) {
            let limits = own_limits(self.proc);
            facts.limits.extend(self.known(Operation::read("sys/user"), limits).map(|limits| (own, limits)));
        }
        Ok(facts)
    }

    /// Whether a setting of the kernel's is on; `missing` where there is none.
    fn setting(&self, path: &str, missing: bool) -> Option<bool> {
        let mut buffer = Vec::new();
        match self.proc.dir().read_record(path, &mut buffer) {
            Ok(text) => Some(text.trim_ascii() != b"0"),
            Err(Errno::NOENT) => Some(missing),
            Err(_) => None,
        }
    }

    /// As the kernel's `current_chrooted`: whether its root directory is not the topmost one of its mount namespace.
    fn is_chrooted(&self, dir: &ProcDir) -> Result<Option<bool>, Failure> {
        let root = dir.stat("root", StatxFlags::TYPE | StatxFlags::MNT_ID)?;
        let has_attribute = root.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT);
        // Before 5.8 it is not told.
        if root.stx_mask & StatxFlags::MNT_ID.bits() == 0 || !has_attribute {
            return Ok(None);
        }
        if !root.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) {
            return Ok(Some(true));
        }
        let mounts = self.process.namespaces.get(NamespaceType::Mnt).and_then(|mnt| self.snapshot.mounts.get(&mnt));
        let Some(mounts) = mounts else { return Ok(None) };
        let at_top = |path: Option<&bstr::BStr>| path.is_some_and(|path| path == "/");
        let is_covered = || mounts.iter().any(|over| over.parent_id == root.stx_mnt_id && at_top(over.path()));
        let mount = mounts.iter().find(|mount| mount.id == root.stx_mnt_id);
        Ok(mount.map(|mount| !at_top(mount.path()) || is_covered()))
    }

    /// Who shares its `fs_struct`: whoever does is in its mount namespace and its user namespace.
    fn shared_fs(&self, main: &ProcDir, tid: Tid) -> Result<Option<SharedFs>, Failure> {
        if !self.proc.is_own() {
            // kcmp(2) would mean other tasks than this procfs.
            return Err(Cause::OtherPidNamespace.into());
        }
        // One that had a single thread when it was read may be this program, which has others by now.
        let own = if self.process.threads > 1 { main.numbers("task")? } else { Vec::new() };
        let own = own.into_iter().filter(|&other| other != tid.0);
        let (mut all_known, mut own_mask_and_map) = (true, None);
        let mut shares = |other: u32| match lxkns_sys::kcmp_fs(tid.0, other) {
            Ok(is_same) => is_same,
            Err(errno) => {
                let own = own_mask_and_map.get_or_insert_with(|| self.mask_and_map(self.process.pid)).as_ref();
                let differs = own.zip(self.mask_and_map(Pid(other)).as_ref()).is_some_and(|(own, other)| own != other);
                all_known &= failure::is_gone(errno) || differs;
                false
            }
        };
        if own.into_iter().any(&mut shares) {
            return Ok(Some(SharedFs::OwnTasks));
        }
        let known = &self.process.namespaces;
        let may_share = |other: &&Process| {
            let is_same = |ns_type| {
                let (own, other) = (known.get(ns_type), other.namespaces.get(ns_type));
                own.is_none() || other.is_none() || own == other
            };
            other.pid != self.process.pid
                && !other.has_given_up_namespaces()
                && [NamespaceType::Mnt, NamespaceType::User].into_iter().all(is_same)
        };
        let candidates = self.snapshot.processes.values().filter(may_share);
        let sharing = candidates.map(|other| (other.pid, other.living_task().tid.0)).find(|&(_, tid)| shares(tid));
        Ok(match sharing {
            Some((pid, _)) => Some(SharedFs::Process(pid)),
            None => all_known.then_some(SharedFs::Nobody),
        })
    }

    /// Whether another process has the same memory.
    fn shares_memory(&self, tid: Tid) -> Option<bool> {
        if !self.proc.is_own() {
            return None;
        }
        let mut all_known = true;
        let mut own_size = None;
        for other in self.snapshot.processes.values() {
            if other.pid == self.process.pid || other.has_given_up_namespaces() {
                continue;
            }
            match lxkns_sys::kcmp_vm(tid.0, other.living_task().tid.0) {
                Ok(true) => return Some(true),
                Ok(false) => {}
                Err(errno) if failure::is_gone(errno) => {}
                // Those who share it have as much of it. (The kernel's threads have none.)
                Err(_) => {
                    let own = own_size.get_or_insert_with(|| self.memory_size(self.process.pid));
                    let other = self.memory_size(other.pid);
                    all_known &= other.is_some() && *own != other;
                }
            }
        }
        // It may have more by now.
        all_known &= own_size.is_none_or(|size| size == self.memory_size(self.process.pid));
        all_known.then_some(false)
    }

    /// How many pages of memory a process has, which takes no permission to know.
    fn memory_size(&self, pid: Pid) -> Option<Vec<u8>> {
        let mut buffer = Vec::new();
        let text = self.proc.dir().read_record(format!("{pid}/statm"), &mut buffer).ok()?;
        text.split(|&byte| byte == b' ').next().map(<[u8]>::to_vec)
    }

    /// The file mode creation mask and the ID map of a process: both are readable without ptrace access, and are the same for
    /// those who share their directories.
    fn mask_and_map(&self, pid: Pid) -> Option<(u32, Vec<u8>)> {
        let (dir, mut buffer) = (self.proc.process(pid).ok()?, Vec::new());
        let umask = parse::status::parse(dir.read_record("status", &mut buffer).ok()?).ok()?.umask?;
        Some((umask, dir.read("uid_map", &mut buffer).ok()?.to_vec()))
    }

    /// The limits of its control group and of those above.
    fn pids(&self) -> Result<Vec<PidsLimit>, Failure> {
        let (hierarchies, _) = CgroupHierarchies::of_the_caller(self.proc);
        let mut buffer = Vec::new();
        let dir = self.proc.dir();
        let text = dir.read_record(format!("{}/cgroup", self.process.directory()), &mut buffer)?;
        let cgroups = parse::cgroup::parse(text)?;
        let of_v1 =
            |group: &&CgroupMembership| group.controllers.split(|&byte| byte == b',').any(|name| name == b"pids");
        let group = cgroups.0.iter().find(of_v1).or_else(|| cgroups.0.iter().find(|group| group.hierarchy == 0));
        let mut found = Vec::new();
        let Some(group) = group else { return Ok(found) };
        let mut group = group.clone();
        loop {
            // That the hierarchy is not mounted, or not this part of it, is no want of a limit.
            let open = hierarchies.open(&group).ok().flatten();
            let open = open.map(ProcDir::from).ok_or(Failure::because(Cause::NoPath))?;
            let mut number = |file: &str| match open.read_record(file, &mut buffer) {
                Ok(text) => Ok(std::str::from_utf8(text.trim_ascii()).ok().and_then(|text| text.parse().ok())),
                // Without the controller there, or at the top.
                Err(Errno::NOENT) => Ok(None),
                Err(errno) => Err(Failure::from(errno)),
            };
            if let (Some(max), Some(current)) = (number("pids.max")?, number("pids.current")?) {
                found.push(PidsLimit { group: group.path.clone(), max, current });
            }
            match group.path.iter().rposition(|&byte| byte == b'/') {
                _ if group.path == "/" => return Ok(found),
                Some(at) => group.path.truncate(at.max(1)),
                None => return Ok(found),
            }
        }
    }
}

/// Whether the PID namespace for the children of a task has had a first process: only then the link is readable.
fn has_link(dir: &ProcDir) -> Option<bool> {
    match dir.link("ns/pid_for_children", &mut [0; 64]) {
        Ok(_) => Some(true),
        Err(failure) if failure.is_any(&[Errno::NOENT]) => Some(false),
        Err(_) => None,
    }
}

/// The soft limit on processes.
fn process_limit(dir: &ProcDir) -> Result<u64, Failure> {
    let mut buffer = Vec::new();
    let text = String::from_utf8_lossy(dir.read_record("limits", &mut buffer)?).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix("Max processes"));
    let soft = line.and_then(|line| line.split_whitespace().next());
    match soft {
        Some("unlimited") => Ok(u64::MAX),
        Some(number) => number.parse().map_err(|_| Cause::Malformed.into()),
        None => Err(Cause::Malformed.into()),
    }
}

/// The limits of the caller's user namespace.
fn own_limits(proc: &ProcRoot) -> Result<Vec<Limit>, Failure> {
    let mut buffer = Vec::new();
    let mut limits = Vec::new();
    for ns_type in NamespaceType::ALL {
        match proc.read_own(&format!("sys/user/max_{ns_type}_namespaces"), &mut buffer) {
            Ok(text) => {
                let max = std::str::from_utf8(text.trim_ascii()).ok().and_then(|text| text.parse().ok());
                limits.push(Limit { ns_type: ns_type.name().to_owned(), max: max.ok_or(Cause::Malformed)? });
            }
            // A kernel without this type has no limit for it.
            Err(failure) if failure.is_gone() => {}
            Err(failure) => return Err(failure),
        }
    }
    if limits.is_empty() { Err(Cause::NoPath.into()) } else { Ok(limits) }
}

/// Whether a label is one that confines. Where SELinux only reports, it gives labels all the same.
fn confines(label: &BString) -> bool {
    relations::confines(label) && (label.ends_with(b")") || is_enforcing() != Some(false))
}

/// Where SELinux has its files.
const SELINUX: &str = "/sys/fs/selinux";

fn is_enforcing() -> Option<bool> {
    let mut buffer = Vec::new();
    let dir = ProcDir::open_root(SELINUX).ok()?;
    Some(dir.read_record("enforce", &mut buffer).ok()?.trim_ascii() != b"0")
}

/// Whether SELinux enforces a policy that has a say on new user namespaces.
fn selinux_decides() -> Option<bool> {
    let mut buffer = Vec::new();
    let dir = match ProcDir::open_root(SELINUX) {
        Ok(dir) => dir,
        Err(Errno::NOENT) => return Some(false),
        Err(_) => return None,
    };
    let mut is_set = |file: &str| match dir.read_record(file, &mut buffer) {
        Ok(text) => Some(text.trim_ascii() != b"0"),
        // The directory alone is that of a kernel where it is not in use.
        Err(Errno::NOENT) => Some(false),
        Err(_) => None,
    };
    if !is_set("enforce")? {
        return Some(false);
    }
    match ProcDir::open(&dir, "class/user_namespace") {
        Ok(_) => Some(true),
        // A class that the policy does not know.
        Err(Errno::NOENT) => is_set("deny_unknown"),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Discovery, DiscoveryOptions};

    #[test]
    fn of_this_process() {
        let mut options = DiscoveryOptions::everything();
        options.without_self = false;
        let discovery = Discovery::of_host().unwrap();
        let snapshot = discovery.run(&options).unwrap();
        let own = &snapshot.processes[&Pid(std::process::id())];
        let (facts, _) = action_facts(discovery.proc(), &snapshot, own);
        assert_eq!(facts.effective_gid, Some(rustix::process::getegid().as_raw()));
        // The harness has a thread for each test.
        assert_eq!(facts.shared_fs, Some(SharedFs::OwnTasks));
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nproc).current;
        assert_eq!(facts.process_limit, Some(limit.unwrap_or(u64::MAX)));
        assert_eq!(facts.children_had_init, Some(true));
        assert_eq!(facts.limits.len(), 1);
        for (label, expected) in [("unconfined", false), ("docker-default (enforce)", true)] {
            assert_eq!(confines(&label.into()), expected, "{label}");
        }
        let gone = Process::new(Pid(std::process::id()), crate::model::Task::new(Tid(std::process::id()), "x"));
        let (facts, _) = action_facts(discovery.proc(), &snapshot, &gone);
        assert_eq!(facts, ActionFacts::default(), "another process has that PID");
    }
}
