//! The steps that release holders.

use std::cell::OnceCell;

use lxkns_model::CompactSort as _;
use lxkns_model::relations::{self, MountKey, Unmounts};
use lxkns_model::{Holder, Namespace, NamespaceId, NamespaceType, Pid, Process, Snapshot, Tid};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::context::Context;
use crate::lacks::Lacks;
use crate::names::{self, Detail, Way};
use crate::steps::{ByEngine, Release, ReleaseAction, ReleaseStep};
use crate::text::escape::shell_word;
use crate::whose::Whose;

/// The steps that release the holders in a snapshot.
#[derive(Debug)]
pub struct Advice<'a> {
    context: Context<'a>,
    unmounts: OnceCell<Unmounts<'a>>,
    lacks: OnceCell<Lacks<'a>>,
}

/// The steps that take a mount away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountAdvice {
    /// The steps.
    pub release: Release,
    /// The mount that the steps unmount: another one, if that takes this one away too.
    pub source: MountKey,
}

/// How a mount is unmounted.
struct Unmounting {
    /// What to do.
    release: Release,
    /// The mounts over it that are unmounted first, by their IDs.
    first: Vec<u64>,
}

/// The steps that take away each of the mounts that hold a namespace.
pub type MountAdvices = FxHashMap<MountKey, MountAdvice>;

impl<'a> Advice<'a> {
    /// Advice on the holders in a snapshot.
    pub fn of(context: Context<'a>) -> Self {
        Self { context, unmounts: OnceCell::new(), lacks: OnceCell::new() }
    }

    /// The snapshot, and for whom the advice is.
    pub fn context(&self) -> Context<'a> {
        self.context
    }

    /// The steps that release this holder of a namespace. For a mount, [`mounts`](Self::mounts) also knows which others are
    /// unmounted with it.
    pub fn release(&self, namespace: &Namespace, holder: &Holder) -> Release {
        let snapshot = self.context.snapshot;
        let is_own = |pid: Pid, tid: Tid| {
            let main_is_dead = snapshot.processes.get(&pid).is_some_and(|process| process.main_task().state.is_dead());
            Tid::from(pid) != tid && !main_is_dead
        };
        let action = match *holder {
            Holder::Process { pid } => odd_end_of(snapshot, pid).unwrap_or(ReleaseAction::ProcessExits { pid }),
            Holder::ForChildren { pid, tid } if Tid::from(pid) == tid => ReleaseAction::ProcessExits { pid },
            Holder::Task { pid, tid } | Holder::ForChildren { pid, tid } => ReleaseAction::TaskExits { pid, tid },
            Holder::Fd { pid, tid, fd } | Holder::Socket { pid, tid, fd, .. } | Holder::Tun { pid, tid, fd, .. } => {
                ReleaseAction::Closed { pid, tid: is_own(pid, tid).then_some(tid), fd }
            }
            Holder::InFlight { pid, tid, fd, what, .. } => {
                ReleaseAction::Received { pid, tid: is_own(pid, tid).then_some(tid), fd, what }
            }
            Holder::Sockets { .. } => ReleaseAction::SocketsClosed,
            Holder::BindMount { .. } | Holder::Mount { .. } => {
                return match self.unmount(namespace, holder, &OwnersByPath::default()) {
                    Ok(Unmounting { release, .. }) => release,
                    Err(step) => step.into(),
                };
            }
            Holder::Child { ns } | Holder::Owned { ns } => end_of(snapshot, ns),
            _ => return Release::default(),
        };
        self.step(namespace, action).into()
    }

    /// The steps that take away each of the mounts that hold a namespace. Mounts that the kernel unmounts together share the
    /// steps of one of them.
    pub fn mounts(&self, namespace: &Namespace) -> MountAdvices {
        let holders: Vec<_> = namespace.holders.iter().filter_map(|holder| Some((holder, mount_of(holder)?))).collect();
        if holders.is_empty() {
            return MountAdvices::default();
        }
        let owners = self.owners_by_path(&holders);
        let releases: Vec<_> = holders.iter().map(|(holder, _)| self.unmount(namespace, holder, &owners)).collect();
        let keys: Vec<_> = holders.iter().map(|&(_, key)| key).collect();
        let unmounts = self.unmounts();
        // Mounts that receive propagation come after its sources, and the caller's own before others.
        let is_receiver = |key: MountKey| {
            let parent = unmounts.mount(key).and_then(|mount| unmounts.mount((key.0, mount.parent_id)));
            parent.is_some_and(|parent| parent.propagation.master.is_some())
        };
        let mut order: Vec<_> = (0..keys.len()).filter(|&index| releases[index].is_ok()).collect();
        order.compact_sort_by_key(|&index| (is_receiver(keys[index]), Some(keys[index].0) != self.context.mount_ns));
        let mut sources = unmounts.sources(&keys, &order);
        // A mount that covers another must go first, so one command does both.
        let by_key: FxHashMap<MountKey, usize> = keys.iter().enumerate().map(|(index, &key)| (key, index)).collect();
        let covered = |index: usize| releases[index].as_ref().map_or(&[][..], |unmounting| &unmounting.first);
        order.retain(|&index| !covered(index).is_empty());
        order.compact_sort_by_key(|&index| std::cmp::Reverse(covered(index).len()));
        for index in order.into_iter().filter(|&index| sources[index] == index).collect::<Vec<_>>() {
            for id in covered(index) {
                if let Some(&over) = by_key.get(&(keys[index].0, *id))
                    && sources[index] == index
                    && sources[over] == over
                {
                    sources[over] = index;
                }
            }
        }
        let advice = sources.iter().enumerate().map(|(index, &source)| {
            let source = sources[source];
            let release = match &releases[source] {
                Ok(Unmounting { release, .. }) => release.clone(),
                Err(step) => step.clone().into(),
            };
            (keys[index], MountAdvice { release, source: keys[source] })
        });
        advice.collect()
    }

    /// The privileges that the observer lacks for it.
    pub fn lacks(&self) -> &Lacks<'a> {
        self.lacks.get_or_init(|| Lacks::of(self.context.snapshot))
    }

    /// A step, with the privileges that the observer lacks, and the command that ends the container in question.
    fn step(&self, namespace: &Namespace, action: ReleaseAction) -> ReleaseStep {
        let (snapshot, lacks) = (self.context.snapshot, self.lacks());
        let ending = |pid: Pid| lacks.ending(pid);
        let lacks = match &action {
            ReleaseAction::ProcessExits { pid }
            | ReleaseAction::TaskExits { pid, .. }
            | ReleaseAction::Closed { pid, .. }
            | ReleaseAction::Received { pid, .. } => ending(*pid),
            ReleaseAction::Reaped { pid, .. } => {
                let parent = snapshot.processes.get(pid).and_then(|process| process.ppid);
                parent.and_then(ending)
            }
            ReleaseAction::ShutDown { .. } => lacks.shutting_down(),
            ReleaseAction::SocketsClosed => lacks.ending_members(namespace.id),
            ReleaseAction::MembersExit { nsid, .. } => {
                snapshot.by_ino(*nsid).and_then(|namespace| lacks.ending_members(namespace.id))
            }
            // `why` answers this, or another user must do it.
            _ => None,
        };
        let whose = match &action {
            ReleaseAction::ProcessExits { pid }
            | ReleaseAction::TaskExits { pid, .. }
            | ReleaseAction::Closed { pid, .. }
            | ReleaseAction::Received { pid, .. } => Whose::process(snapshot, *pid),
            ReleaseAction::SocketsClosed => Whose::namespace(snapshot, namespace.id),
            ReleaseAction::MembersExit { nsid, .. } => {
                snapshot.by_ino(*nsid).and_then(|members| Whose::namespace(snapshot, members.id))
            }
            _ => None,
        };
        ReleaseStep { action, lacks, by_engine: whose.and_then(|whose| ByEngine::of(snapshot, whose)) }
    }

    fn unmounts(&self) -> &Unmounts<'a> {
        self.unmounts.get_or_init(|| Unmounts::of(self.context.snapshot))
    }

    /// The owners of the mount namespaces that have one of these mounts at a path.
    fn owners_by_path<'h>(&self, holders: &[(&'h Holder, MountKey)]) -> OwnersByPath<'h> {
        let mut owners = OwnersByPath::default();
        for &(holder, (mount_ns, _)) in holders {
            if let Some((path, owner)) = path_of(holder).zip(self.owner(mount_ns)) {
                owners.entry(path).or_default().insert(owner);
            }
        }
        owners
    }

    fn owner(&self, id: NamespaceId) -> Option<NamespaceId> {
        self.context.snapshot.namespaces.get(&id)?.owner.known()
    }

    /// The command that unmounts a mount that holds a namespace; as an error the steps that take it away if no command can.
    fn unmount(
        &self,
        namespace: &Namespace,
        holder: &Holder,
        owners: &OwnersByPath<'_>,
    ) -> Result<Unmounting, ReleaseStep> {
        let Context { snapshot, mount_ns: own, .. } = self.context;
        let Some(key @ (mount_ns, _)) = mount_of(holder) else {
            return Err(end_of(snapshot, namespace.id).into());
        };
        let end = || self.step(namespace, end_of_mount_namespace(snapshot, mount_ns));
        let lacks = self.lacks().unmounting(mount_ns, own);
        let uncovered = || {
            let or = Box::new(end_of_mount_namespace(snapshot, mount_ns));
            ReleaseStep { action: ReleaseAction::Uncovered { or }, lacks: lacks.clone(), by_engine: None }
        };
        let path = path_of(holder).ok_or_else(uncovered)?;
        if self.may_be_locked(namespace, key, owners.get(path)) {
            // Its origin is not visible from inside, and a mount that was added later is not locked.
            let is_visible = || self.unmounts().mount(key).is_some_and(|mount| !mount.hidden);
            let umount = Umount::of(&self.context, mount_ns).filter(|_| Some(mount_ns) == own && is_visible());
            return Err(match umount {
                Some(umount) => {
                    let or = Box::new(end_of_mount_namespace(snapshot, mount_ns));
                    let action = ReleaseAction::UnmountOrEnd { command: umount.command(path, ""), or };
                    ReleaseStep { action, lacks, by_engine: None }
                }
                None => end(),
            });
        }
        // A mount that covers it is newer, and not locked either.
        let first = match self.unmounts().mount(key) {
            Some(_) => self.unmounts().covering(key).ok_or_else(uncovered)?,
            None => Vec::new(),
        };
        let is_bind = matches!(holder, Holder::BindMount { .. });
        // A task that has opened the namespace by this path keeps the mount busy.
        let is_open = is_bind && is_open(namespace);
        let Some(umount) = Umount::of(&self.context, mount_ns) else { return Err(end()) };
        let step = |command, delete_name| ReleaseStep {
            action: ReleaseAction::Unmount { command, delete_name },
            by_engine: None,
            lacks: lacks.clone(),
        };
        let mut steps: Vec<_> =
            first.iter().filter_map(|mount| Some(step(umount.command(mount.path()?, ""), None))).collect();
        let is_named = is_bind && Some(mount_ns) == own && namespace.ns_type == NamespaceType::Net && first.is_empty();
        let command = umount.command(path, if is_open { "-l " } else { "" });
        // The engine of a container removes what was made for that.
        let whose = Whose::namespace(snapshot, namespace.id);
        let is_of_container = matches!(whose, Some(Whose::Container(_)));
        let delete_name = (is_named && !is_of_container).then(|| delete_name(path)).flatten();
        let by_engine = whose.filter(|_| is_bind && first.is_empty()).and_then(|whose| ByEngine::of(snapshot, whose));
        steps.push(ReleaseStep { by_engine, ..step(command, delete_name) });
        Ok(Unmounting { release: steps.into(), first: first.iter().map(|mount| mount.id).collect() })
    }

    /// Whether the kernel may refuse to unmount it: if a mount namespace is copied into another user namespace, the copied
    /// mounts are locked (`mount_namespaces(7)`). The kernel does not show which mounts are.
    fn may_be_locked(&self, namespace: &Namespace, key: MountKey, owners: Option<&FxHashSet<NamespaceId>>) -> bool {
        // This includes a caller with another root directory, for whom its paths mean other files.
        let own = self.context.mount_ns.or(self.context.snapshot.observer_mount_ns);
        let (Some(owner), Some(owner_of_home)) = (self.owner(key.0), own.and_then(|own| self.owner(own))) else {
            // Its owner is not visible from inside; the caller's own is as privileged as the caller.
            return Some(key.0) != own;
        };
        if owner == owner_of_home && !may_have_locked_mounts(self.context.snapshot, key.0) {
            return false;
        }
        let is_copy = self.unmounts().mount(key).is_some_and(|mount| mount.propagation.master.is_some());
        let mut above = self.and_above(Some(owner)).skip(1);
        let has_original = owners.is_some_and(|owners| owners.len() > 1 && above.any(|above| owners.contains(&above)));
        // A namespace owned by its user namespace or a descendant is newer, and so is the mount.
        let is_of_inside = self.and_above(namespace.owner.known()).any(|above| above == owner);
        is_copy || has_original || !is_of_inside
    }

    /// A user namespace and those above it.
    fn and_above(&self, user: Option<NamespaceId>) -> impl Iterator<Item = NamespaceId> {
        and_above(self.context.snapshot, user)
    }
}

/// A user namespace and those above it, as far as they are known.
pub(crate) fn and_above(snapshot: &Snapshot, user: Option<NamespaceId>) -> impl Iterator<Item = NamespaceId> {
    let parent = |id: &NamespaceId| snapshot.namespaces.get(id).and_then(|user| user.parent.known());
    // The kernel limits the depth; a dump can claim circles.
    std::iter::successors(user, parent).take(64)
}

/// Whether a mount namespace may have locked mounts, judged by its owner: those that it was created with, if its user
/// namespace is not the initial one (`mount_namespaces(7)`). The kernel does not show which mounts are locked.
pub(crate) fn may_have_locked_mounts(snapshot: &Snapshot, mount_ns: NamespaceId) -> bool {
    let owner = snapshot.namespaces.get(&mount_ns).and_then(|namespace| namespace.owner.known());
    owner.and_then(|owner| snapshot.namespaces.get(&owner)).is_some_and(|owner| !owner.initial)
}

/// The user namespaces that own the mount namespaces in which something is mounted at a path.
type OwnersByPath<'a> = FxHashMap<&'a [u8], FxHashSet<NamespaceId>>;

/// Whether a descriptor is open on it. Holders are sorted.
fn is_open(namespace: &Namespace) -> bool {
    let comes_first =
        |holder: &Holder| matches!(holder, Holder::Process { .. } | Holder::Task { .. } | Holder::ForChildren { .. });
    let first = namespace.holders.partition_point(comes_first);
    matches!(namespace.holders.get(first), Some(Holder::Fd { .. }))
}

/// The mount of a holder.
pub fn mount_of(holder: &Holder) -> Option<MountKey> {
    match holder {
        Holder::BindMount { mount_ns, mount_id, .. } | Holder::Mount { mount_ns, mount_id, .. } => {
            Some((*mount_ns, *mount_id))
        }
        _ => None,
    }
}

fn path_of(holder: &Holder) -> Option<&[u8]> {
    match holder {
        Holder::BindMount { path, .. } | Holder::Mount { path, .. } => path.as_ref().map(|path| path.as_slice()),
        _ => None,
    }
}

/// The action for a process that does not simply exit: a zombie, or a kernel thread.
pub(crate) fn odd_end_of(snapshot: &Snapshot, pid: Pid) -> Option<ReleaseAction> {
    let process = snapshot.processes.get(&pid)?;
    if process.main_task().state.is_dead() && process.threads <= 1 {
        let parent = process.ppid.map(|parent| names::process(snapshot, parent, Detail::Brief));
        return Some(ReleaseAction::Reaped { pid, parent });
    }
    is_of_the_kernel(snapshot, process).then_some(ReleaseAction::ShutDown { pid })
}

/// Whether a process is a kernel thread: `kthreadd` or one of its children.
pub(crate) fn is_of_the_kernel(snapshot: &Snapshot, process: &Process) -> bool {
    const KTHREADD: Pid = Pid(2);
    let is_kthreadd = |process: &Process| process.ppid.is_none() && process.comm() == "kthreadd";
    let has_command_line = process.command_line.as_ref().is_some_and(|line| !line.is_empty());
    let is_child = || process.ppid == Some(KTHREADD) && snapshot.processes.get(&KTHREADD).is_some_and(is_kthreadd);
    !has_command_line && if process.pid == KTHREADD { is_kthreadd(process) } else { is_child() }
}

/// The action that ends a namespace that holds another one.
fn end_of(snapshot: &Snapshot, id: NamespaceId) -> ReleaseAction {
    ReleaseAction::NamespaceEnds { target: names::target(snapshot, id), nsid: id.ino }
}

/// The action that ends a mount namespace, and so all its mounts.
fn end_of_mount_namespace(snapshot: &Snapshot, mount_ns: NamespaceId) -> ReleaseAction {
    // They are sorted: tasks come first.
    let is_only_tasks = |namespace: &Namespace| {
        matches!(namespace.holders.last(), None | Some(Holder::Process { .. } | Holder::Task { .. }))
    };
    let namespace = snapshot.namespaces.get(&mount_ns).filter(|namespace| !namespace.is_without_tasks());
    let are_all_seen = |namespace: &Namespace| relations::members_seen(snapshot, namespace);
    if namespace.is_some_and(|namespace| is_only_tasks(namespace) && are_all_seen(namespace)) {
        ReleaseAction::MembersExit { target: names::target(snapshot, mount_ns), nsid: mount_ns.ino }
    } else {
        end_of(snapshot, mount_ns)
    }
}

/// How to unmount in a mount namespace. The advice never runs a program of another mount namespace, as `nsenter` would with
/// all privileges of the user.
struct Umount(String);

impl Umount {
    fn of(context: &Context<'_>, mount_ns: NamespaceId) -> Option<Self> {
        let snapshot = context.snapshot;
        if Some(mount_ns) == context.mount_ns {
            return Some(Self(String::new()));
        }
        let namespace = snapshot.namespaces.get(&mount_ns)?;
        if let Some(&pid) = namespace.leaders.first() {
            // With a PID, umount opens `/proc/PID/ns/mnt`.
            let directory = snapshot.directory(pid);
            return Some(Self(match directory.contains('/') {
                true => format!("-N {PROC}/{directory}/ns/mnt "),
                false => format!("-N {pid} "),
            }));
        }
        match names::ways(snapshot, namespace, context.mount_ns).next() {
            Some(Way::Proc(holder) | Way::Mount(holder)) => Some(Self(format!("-N {} ", shell_word(&holder)))),
            _ => None,
        }
    }

    fn command(&self, path: &[u8], options: &str) -> String {
        format!("umount {options}{}{}", self.0, shell_word(path))
    }
}

/// The command that unmounts a path in a mount namespace, without regard to whether it is locked, covered or busy.
pub fn unmount(context: &Context<'_>, mount_ns: NamespaceId, path: &[u8]) -> ReleaseAction {
    let Some(umount) = Umount::of(context, mount_ns) else { return end_of(context.snapshot, mount_ns) };
    ReleaseAction::Unmount { command: umount.command(path, ""), delete_name: None }
}

/// The command that unmounts a network namespace at a path and removes its name; `None` if the path is not its name.
fn delete_name(path: &[u8]) -> Option<String> {
    crate::netns::name(path).map(|name| format!("ip netns delete {}", shell_word(name)))
}

/// The path of the procfs in texts for people.
const PROC: &str = "/proc";

#[cfg(test)]
mod tests {
    use lxkns_model::{DeviceNumber, Mount, Propagation, Relation, TaskState};

    use super::*;
    use crate::testing::{BUSY, HOME, LEFT, LOOSE, NET, ODD, USER, id, process, snapshot};

    fn at_home(snapshot: &Snapshot) -> Context<'_> {
        Context { snapshot, mount_ns: Some(HOME), is_live: true }
    }

    fn mount(mount_ns: NamespaceId, path: Option<&str>) -> Holder {
        Holder::BindMount { mount_ns, mount_id: 3, path: path.map(Into::into) }
    }

    #[test]
    fn one_step_for_each_kind() {
        let snapshot = snapshot();
        let (advice, namespace) = (Advice::of(at_home(&snapshot)), &snapshot.namespaces[&NET]);
        let (pid, tid, own) = (Pid(200), Tid(201), Tid(200));
        for (holder, expected) in [
            (Holder::Process { pid }, "process 200 exits"),
            (Holder::Task { pid, tid }, "task 201 of process 200 exits"),
            (Holder::ForChildren { pid, tid: own }, "process 200 exits"),
            (Holder::Fd { pid, tid: own, fd: 5 }, "process 200 closes fd 5, or exits"),
            (Holder::Fd { pid, tid, fd: 5 }, "task 201 of process 200 closes fd 5, or exits"),
            (Holder::Child { ns: BUSY }, "net:4026532200 ends (lxkns why net:4026532200)"),
            (Holder::Owned { ns: id(9) }, "9 ends (lxkns why 9)"),
            (mount(HOME, Some("/run/netns/a b")), "`ip netns delete 'a b'`, or `umount '/run/netns/a b'`"),
            (mount(HOME, Some("/x")), "`umount /x`"),
            (mount(LOOSE, Some("/x")), "`umount -N /proc/200/task/201/ns/mnt /x`"),
            (mount(ODD, Some("/x")), "pid:4026532500 ends (lxkns why pid:4026532500)"),
            (
                mount(LEFT, None),
                "what covers it is unmounted first, then the mount itself; or net:4026532300 ends (lxkns why \
                net:4026532300)",
            ),
        ] {
            assert_eq!(advice.release(namespace, &holder).to_string(), expected);
        }
        assert!(advice.release(namespace, &Holder::Kernel).steps().is_empty());
        let left = &snapshot.namespaces[&LEFT];
        let kept_open = advice.release(left, &mount(HOME, Some("/x")));
        assert_eq!(kept_open.to_string(), "`umount -l /x`", "its descriptor may have been opened by this path");
    }

    #[test]
    fn what_ends_in_its_own_way_is_told_so() {
        let mut snapshot = snapshot();
        snapshot.processes.get_mut(&Pid(200)).unwrap().tasks[0].state = TaskState(b'Z');
        let odd_end_of = |snapshot: &Snapshot, pid| odd_end_of(snapshot, pid).map(|step| step.to_string());
        let zombie = "its parent, process 1 (init), waits for it or exits: it is a zombie";
        assert_eq!(odd_end_of(&snapshot, Pid(200)).as_deref(), Some(zombie));
        // Its other tasks live.
        snapshot.processes.get_mut(&Pid(200)).unwrap().threads = 2;
        assert_eq!(odd_end_of(&snapshot, Pid(200)), None);
        let fd = Holder::Fd { pid: Pid(200), tid: Tid(201), fd: 5 };
        let closes =
            Advice::of(Context { mount_ns: None, ..at_home(&snapshot) }).release(&snapshot.namespaces[&NET], &fd);
        assert_eq!(closes.to_string(), "process 200 closes fd 5, or exits", "it may be in the table of all tasks");
        let kernel = |pid, ppid| {
            let mut process = process(pid, ppid, if pid == 2 { "kthreadd" } else { "worker" }, &[]);
            process.command_line = Some(Vec::new());
            process
        };
        for process in [kernel(2, 0), kernel(9, 2), process(10, 2, "helper -x", &[])] {
            snapshot.processes.insert(process.pid, process);
        }
        let shutdown = Some("the host shuts down: it is a kernel thread");
        assert_eq!(odd_end_of(&snapshot, Pid(2)).as_deref(), shutdown);
        assert_eq!(odd_end_of(&snapshot, Pid(9)).as_deref(), shutdown);
        assert_eq!(odd_end_of(&snapshot, Pid(10)), None);
        snapshot.processes.remove(&Pid(2));
        assert_eq!(odd_end_of(&snapshot, Pid(9)), None, "not the kernel's in a PID namespace");
    }

    /// A host whose home has a name for a network namespace below a shared mount, with a mount namespace for each of these
    /// owners that has a copy, which gets what the shared mount gets if it is bound to it.
    fn with_copies(copies: &[(NamespaceId, bool)]) -> Snapshot {
        let mut snapshot = snapshot();
        let run = |shared, master| {
            let mut run = Mount::new(20, 1, DeviceNumber { major: 0, minor: 9 }, "tmpfs", Some("/run"));
            run.propagation = Propagation { shared, master, ..Propagation::default() };
            run
        };
        let name = || Mount::new(30, 20, DeviceNumber { major: 0, minor: 4 }, "nsfs", Some("/run/netns/left"));
        snapshot.mounts.insert(HOME, vec![run(Some(7), None), name()]);
        let mut holders = vec![mount(HOME, Some("/run/netns/left"))];
        for (nth, &(owner, is_bound)) in copies.iter().enumerate() {
            let mount_ns = id(4_026_532_700 + nth as u64);
            let mut namespace = Namespace::new(mount_ns, NamespaceType::Mnt);
            namespace.owner = Relation::Known(owner);
            namespace.leaders = vec![Pid(200)];
            namespace.holders = vec![Holder::Process { pid: Pid(200) }];
            snapshot.namespaces.insert(mount_ns, namespace);
            snapshot.mounts.insert(mount_ns, vec![run(None, is_bound.then_some(7)), name()]);
            holders.push(mount(mount_ns, Some("/run/netns/left")));
        }
        for holder in &mut holders {
            if let Holder::BindMount { mount_id, .. } = holder {
                *mount_id = 30;
            }
        }
        snapshot.namespaces.get_mut(&HOME).unwrap().owner = Relation::Known(USER);
        snapshot.namespaces.get_mut(&LEFT).unwrap().holders = holders;
        snapshot
    }

    #[test]
    fn copies_are_released_with_the_mount_that_they_come_from() {
        let other = id(4_026_532_800);
        let snapshot = with_copies(&[(USER, true), (other, true), (USER, false), (other, false)]);
        let advices = Advice::of(at_home(&snapshot)).mounts(&snapshot.namespaces[&LEFT]);
        let name = (HOME, 30);
        let [bound, foreign_bound, own, foreign] = [0, 1, 2, 3].map(|nth| (id(4_026_532_700 + nth), 30));
        let delete = "`ip netns delete left`, or `umount /run/netns/left`";
        for key in [name, bound, foreign_bound] {
            let MountAdvice { release, source } = &advices[&key];
            assert_eq!((release.to_string().as_str(), *source), (delete, name), "{key:?}");
        }
        let of = |key| (advices[&key].release.to_string(), advices[&key].source);
        assert_eq!(of(own), ("`umount -N 200 /run/netns/left`".to_owned(), own));
        let exit = "the processes of mnt:4026532703 exit (lxkns why mnt:4026532703)".to_owned();
        assert_eq!(of(foreign), (exit, foreign), "it is locked");
    }
}
