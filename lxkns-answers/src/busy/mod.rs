//! What makes `umount` fail for a mount; where a file system is mounted, who uses it, and what would release it.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use bstr::{BStr, ByteSlice as _};
use lxkns_model::CompactSort as _;
use lxkns_model::relations::{self, Unmounts};
use lxkns_model::{
    CapabilitySet, DeviceNumber, DiscoveryOptions, FileSystemHolder, FileSystemHolderKind as Kind, FileSystemQuery,
    FileSystemUse, FileSystemUseKind as UseKind, FileSystemUser, FileSystemUsers, Mount, NamespaceId, Object, Pid,
    Place, Scope, Snapshot,
};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::context::Context;
use crate::counts::Counts;
use crate::lacks::Lacks;
use crate::names::{self, Detail};
use crate::release;
use crate::text::escape::printable;
use crate::whose::{self, Whose};

mod answer;
mod steps;
pub mod words;

pub use self::answer::{Answer, HolderAnswer, KeeperAnswer, MountAnswer, MountOfBusy, UseAnswer, UserAnswer};
pub use self::steps::Step;

/// Mount namespaces in all places that can hold one, with their mounts, and the command lines of those in them.
pub fn options() -> DiscoveryOptions {
    let mut options = DiscoveryOptions::namespaces();
    for place in [Place::Sockets, Place::Tun, Place::ForChildren] {
        options.places = options.places.without(place);
    }
    options.mounts = true;
    options.command_lines = Scope::Named;
    // Who may end a process depends on its UIDs.
    options.status = Scope::All;
    options.without_self = true;
    options
}

/// What `busy` says about one file system.
#[derive(Debug)]
pub struct Busy<'a> {
    context: Context<'a>,
    snapshot: &'a Snapshot,
    /// What was asked for.
    pub query: FileSystemQuery,
    /// The mount that was asked for, where it was a path.
    pub mount: Option<&'a Mount>,
    /// Who uses it, where that is known.
    pub users: Option<&'a FileSystemUsers>,
    /// The mount namespace of whoever asks, also where its paths mean other files.
    home: Option<NamespaceId>,
    /// Its mounts, by mount namespace.
    mounts: BTreeMap<NamespaceId, Vec<&'a Mount>>,
    /// The mounts on each of them.
    on_them: FxHashMap<(NamespaceId, u64), Vec<&'a Mount>>,
    /// The mounts that are on top of their mount namespaces.
    roots: FxHashSet<(NamespaceId, u64)>,
    unmounts: Unmounts<'a>,
    lacks: Lacks<'a>,
    /// Which user namespaces own the mount namespaces in which a directory is mounted. Once it is asked for.
    owners: OnceCell<FxHashMap<(DeviceNumber, &'a BStr), FxHashSet<NamespaceId>>>,
    /// How often each file system is mounted.
    times_mounted: FxHashMap<DeviceNumber, usize>,
    /// How many processes could not be looked into.
    unread: usize,
    counts: Counts,
}

/// Something that keeps a mount from being unmounted.
#[derive(Clone, Debug)]
pub enum Keeper<'a> {
    /// A process, with its uses of that mount.
    Process(&'a FileSystemUser, Vec<&'a FileSystemUse>),
    /// What uses it without a process.
    Holder(&'a FileSystemHolder),
    /// A mount on it.
    Mount(&'a Mount),
    /// It is the root of the mount namespace.
    Root,
    /// The caller lacks a capability.
    Caller(String),
}

impl<'a> Busy<'a> {
    /// What can be said of a file system. `mount`: the mount that was asked for, where it was a path. `users`: who uses it,
    /// where that is known.
    pub fn new(
        context: Context<'a>,
        query: FileSystemQuery,
        mount: Option<&'a Mount>,
        users: Option<&'a FileSystemUsers>,
    ) -> Self {
        let snapshot = context.snapshot;
        let home = context.mount_ns.or(snapshot.observer_mount_ns);
        let suffix = query.namespace.map(|ino| format!(":[{ino}]"));
        let is_it = |mount: &&Mount| {
            mount.file_system == query.file_system
                && suffix.as_ref().is_none_or(|suffix| mount.root.ends_with(suffix.as_bytes()))
        };
        let of_it = |mounts: &'a [Mount]| -> Vec<_> { mounts.iter().filter(is_it).collect() };
        let mounts = snapshot.mounts.iter().map(|(&id, mounts)| (id, of_it(mounts)));
        let mounts: BTreeMap<_, _> = mounts.filter(|(_, mounts)| !mounts.is_empty()).collect();
        let (mut on_them, mut roots) = (FxHashMap::<_, Vec<_>>::default(), FxHashSet::default());
        for (&id, of_it) in &mounts {
            let all = &snapshot.mounts[&id];
            let ids: FxHashSet<u64> = all.iter().map(|mount| mount.id).collect();
            for mount in all.iter().filter(|mount| mount.id != mount.parent_id) {
                on_them.entry((id, mount.parent_id)).or_default().push(mount);
            }
            let is_root = |mount: &&&Mount| mount.id == mount.parent_id || !ids.contains(&mount.parent_id);
            roots.extend(of_it.iter().filter(is_root).map(|mount| (id, mount.id)));
        }
        let (unmounts, lacks) = (Unmounts::of(snapshot), Lacks::of(snapshot));
        let unread = users.map_or(0, unread);
        let counts = Counts::of(snapshot);
        let mut times_mounted = FxHashMap::default();
        for mount in snapshot.mounts.values().flatten() {
            *times_mounted.entry(mount.file_system).or_default() += 1;
        }
        Self {
            context,
            snapshot,
            query,
            mount,
            users,
            home,
            times_mounted,
            mounts,
            on_them,
            roots,
            unmounts,
            lacks,
            owners: OnceCell::new(),
            unread,
            counts,
        }
    }

    /// Whether it is there at all, as far as that can be seen.
    pub fn is_there(&self) -> bool {
        let is_used = |users: &FileSystemUsers| {
            !users.processes.is_empty() || users.holders.iter().any(|holder| holder.is_certain)
        };
        !self.mounts.is_empty() || self.users.is_some_and(is_used)
    }

    /// Its mounts, by mount namespace.
    pub fn mounts(&self) -> &BTreeMap<NamespaceId, Vec<&'a Mount>> {
        &self.mounts
    }

    /// How many processes are in a mount namespace.
    pub fn processes(&self, namespace: NamespaceId) -> u64 {
        self.counts.get(namespace).processes
    }

    /// Whether all processes are known that may be in a mount namespace.
    pub fn members_seen(&self, id: NamespaceId) -> bool {
        self.snapshot.namespaces.get(&id).is_some_and(|namespace| relations::members_seen(self.snapshot, namespace))
    }

    /// Whether procfs lists all processes that may use it.
    pub fn are_listed(&self) -> bool {
        relations::processes_listed(self.snapshot)
    }

    /// How many processes could not be looked into.
    pub fn unread(&self) -> usize {
        self.unread
    }

    /// What it is called, as in `ext4 /dev/vda (254:0)`.
    pub fn name(&self) -> String {
        let number = self.query.file_system;
        match self.mounts.values().flatten().next() {
            Some(mount) if self.query.namespace.is_some() => printable(&**mount.root),
            Some(mount) => {
                let source = mount.source.as_ref().filter(|source| !source.is_empty());
                let source = source.map(|source| format!(" {}", printable(&***source))).unwrap_or_default();
                format!("{}{source} ({number})", printable(&**mount.fs_type))
            }
            None => format!("file system {number}"),
        }
    }

    /// What uses it without a process: what certainly does, or what may.
    pub fn holders(&self, is_certain: bool) -> impl Iterator<Item = &'a FileSystemHolder> {
        let holders = self.users.into_iter().flat_map(|users| &users.holders);
        holders.filter(move |holder| holder.is_certain == is_certain)
    }

    /// What keeps the mount that was asked for from being unmounted: that is also whatever uses a copy that would go with it.
    pub fn keepers(&self) -> Vec<Keeper<'a>> {
        let (Some(mount), Some(home)) = (self.mount, self.home) else { return Vec::new() };
        let ids = self.unmounted_with(home, mount);
        let is_through = |mount_id: Option<u64>| mount_id.is_some_and(|id| ids.contains(&id));
        let mut keepers = Vec::new();
        if let Some(lack) = self.users.and_then(|_| self.lacks.unmounting(home, Some(home))) {
            keepers.push(Keeper::Caller(lack));
        }
        if self.roots.contains(&(home, mount.id)) {
            keepers.push(Keeper::Root);
        }
        let on_it = self.on_them.get(&(home, mount.id));
        keepers.extend(on_it.into_iter().flatten().map(|mount| Keeper::Mount(mount)));
        for user in self.users.into_iter().flat_map(|users| &users.processes) {
            let uses: Vec<_> = user.uses.iter().filter(|one| is_through(one.mount_id)).collect();
            if !uses.is_empty() {
                keepers.push(Keeper::Process(user, uses));
            }
        }
        // Whichever of several it keeps, that is enough.
        let is_through_all = |all: &[u64]| !all.is_empty() && all.iter().all(|id| ids.contains(id));
        let holders = self.holders(true);
        let holders = holders.filter(|holder| is_through(holder.mount_id) || is_through_all(&holder.candidates));
        keepers.extend(holders.map(Keeper::Holder));
        keepers
    }

    /// The mounts that are unmounted with one, with its own: of each a user keeps `umount` from doing it.
    fn unmounted_with(&self, home: NamespaceId, mount: &Mount) -> BTreeSet<u64> {
        let copies = self.unmounts.unmounted_with((home, mount.id)).into_iter();
        let copies = copies.filter(|copy| !self.on_them.contains_key(&(copy.namespace, copy.mount.id)));
        copies.map(|copy| copy.mount.id).chain([mount.id]).collect()
    }

    /// What may keep the mount that was asked for, or another: suspects, and users of which the kernel does not tell which
    /// mount they use.
    pub fn suspects_of_mount(&self) -> Vec<Keeper<'a>> {
        let (Some(mount), Some(home)) = (self.mount, self.home) else { return Vec::new() };
        let ids = self.unmounted_with(home, mount);
        let may_be_through =
            |all: &[u64]| all.iter().any(|id| ids.contains(id)) && !all.iter().all(|id| ids.contains(id));
        let holders = self.users.into_iter().flat_map(|users| &users.holders);
        let holders = holders.filter(|holder| match (holder.is_certain, &holder.candidates[..]) {
            (true, candidates) => may_be_through(candidates),
            (false, []) => true,
            (false, candidates) => candidates.iter().any(|id| ids.contains(id)),
        });
        let users = self.users.into_iter().flat_map(|users| &users.processes);
        let unknown = users.filter_map(|user| {
            let is_unknown = |one: &&FileSystemUse| {
                let is_device = matches!(one.kind, UseKind::Device { .. } | UseKind::MappedDevice { .. });
                one.mount_id.is_none() && !is_device
            };
            let uses: Vec<_> = user.uses.iter().filter(is_unknown).collect();
            (!uses.is_empty()).then_some(Keeper::Process(user, uses))
        });
        holders.map(Keeper::Holder).chain(unknown).collect()
    }

    /// What a keeper is, and what would make it release the namespace.
    pub fn describe_keeper(&self, keeper: &Keeper<'a>, limit: usize) -> (String, Step) {
        match keeper {
            Keeper::Process(user, uses) => (
                format!(
                    "{}: {}",
                    self.describe_user(user),
                    words::uses(user.pid, uses.iter().copied(), limit).join(", ")
                ),
                self.release_uses(user.pid, uses.iter().copied()),
            ),
            Keeper::Holder(holder) => (words::holder(self.snapshot, holder), self.release_holder(holder)),
            Keeper::Mount(mount) => {
                let path = mount.path().map_or_else(|| "a mount without a path".to_owned(), printable);
                let release = match self.home {
                    Some(home) => self.release_mount(home, mount),
                    None => Step::unmount_somehow(mount.id),
                };
                (format!("{path}, mount ID {}, is mounted on it", mount.id), release)
            }
            Keeper::Caller(lack) => (
                format!("the kernel denies it to this user, who lacks {lack}"),
                Step {
                    lacks: Some(lack.clone()),
                    ..Step::new("gain-capability", "it is run with that capability, as by root".to_owned())
                },
            ),
            Keeper::Root => {
                let name = self.home.map(|home| names::target(self.snapshot, home)).unwrap_or_default();
                (format!("it is the root of {name}"), Step::new("namespace-ends", format!("{name} ends")))
            }
        }
    }

    /// Where it is mounted and by how many it is used, as what follows its name in a sentence.
    pub fn summary(&self) -> String {
        let of = |count: usize, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
        let namespaces = match self.mounts.len() {
            0 => "no mount of it was found".to_owned(),
            count => {
                let least = if relations::mounts_seen(self.snapshot) { "" } else { "at least " };
                format!("is mounted in {least}{}", of(count, "mount namespace", "mount namespaces"))
            }
        };
        let colon = if self.mounts.is_empty() { ":" } else { "" };
        let used = self.users.map(|users| match (users.processes.len(), self.unread) {
            (0, 0) if self.are_listed() => ", and no process was found that uses it".to_owned(),
            (0, 0) => "; whether processes that are not listed use it is not known".to_owned(),
            (count, 0) if self.are_listed() => format!(" and used by {}", of(count, "process", "processes")),
            (0, 1) => "; whether 1 unreadable process uses it is not known".to_owned(),
            (0, unread) => {
                format!("; whether {} use it is not known", of(unread, "unreadable process", "unreadable processes"))
            }
            (count, _) => format!(" and used by at least {}", of(count, "process", "processes")),
        });
        format!("{colon} {namespaces}{}", used.unwrap_or_default())
    }

    /// The users that are not named as what keeps the mount that was asked for.
    pub fn other_users(&self) -> Vec<&'a FileSystemUser> {
        let named: FxHashSet<Pid> = self.keepers().iter().filter_map(Keeper::pid).collect();
        let users = self.users.into_iter().flat_map(|users| &users.processes);
        users.filter(|user| !named.contains(&user.pid)).collect()
    }

    /// Whether `umount` may be refused because the mount is locked, which the kernel does not show.
    pub fn may_be_locked(&self) -> bool {
        self.mounts.iter().any(|(&id, mounts)| {
            release::may_have_locked_mounts(self.snapshot, id)
                && mounts.iter().any(|mount| self.may_unmount(id, mount) && !self.roots.contains(&(id, mount.id)))
        })
    }

    /// A mount namespace, with who is in it.
    pub fn describe_namespace(&self, id: NamespaceId) -> String {
        let name = names::namespace(self.snapshot, id);
        let first = self.snapshot.namespaces.get(&id).and_then(|namespace| namespace.leaders.first());
        let unseen =
            self.snapshot.namespaces.get(&id).and_then(|namespace| names::unseen_members(self.snapshot, namespace));
        match (self.processes(id), first) {
            (count, Some(&pid)) if unseen.is_some() => {
                let first = names::process(self.snapshot, pid, Detail::Full);
                format!("{name}, at least {count} {}, first {first}", if count == 1 { "process" } else { "processes" })
            }
            (1, Some(&pid)) => format!("{name}, process {}", names::process(self.snapshot, pid, Detail::Full)),
            (count, Some(&pid)) => {
                format!("{name}, {count} processes, first {}", names::process(self.snapshot, pid, Detail::Full))
            }
            _ if unseen.is_some() => {
                let unseen = unseen.unwrap_or_default();
                let name = name + &whose::of_words(self.snapshot, id);
                format!("{name}, no process seen: {unseen} (lxkns why {})", names::target(self.snapshot, id))
            }
            _ => {
                let name = name + &whose::of_words(self.snapshot, id);
                format!("{name}, no process (lxkns why {})", names::target(self.snapshot, id))
            }
        }
    }

    /// A mount, with what is on it.
    pub fn describe_mount(&self, id: NamespaceId, mount: &Mount) -> String {
        let path = mount.path().map_or_else(|| "(no path)".to_owned(), printable);
        let hidden = if mount.hidden { "(hidden) " } else { "" };
        let root = if *mount.root == *"/" { String::new() } else { format!(" of {}", printable(&**mount.root)) };
        let on_it = self.on_it(id, mount);
        let on_it = if on_it == 0 { String::new() } else { format!(", with {on_it} on it") };
        format!("{hidden}{path}{root}, mount ID {}{on_it}", mount.id)
    }

    /// How many mounts are on a mount.
    fn on_it(&self, id: NamespaceId, mount: &Mount) -> usize {
        self.on_them.get(&(id, mount.id)).map_or(0, Vec::len)
    }

    /// A process that uses it.
    pub fn describe_user(&self, user: &FileSystemUser) -> String {
        let process = words::user(self.snapshot, user);
        match user.mount_ns.filter(|id| !self.mounts.contains_key(id)) {
            Some(id) => format!("{process} in {}", names::namespace(self.snapshot, id)),
            None => process,
        }
    }

    /// What would release it: all of it must happen.
    pub fn release(&self) -> Vec<Step> {
        let users = self.users.into_iter().flat_map(|users| &users.processes);
        let users = users.map(|user| self.release_uses(user.pid, &user.uses));
        let holders = self.holders(true).map(|holder| self.release_holder(holder));
        let mut seen = FxHashSet::default();
        let mut steps: Vec<_> = users.chain(holders).chain(self.release_mounts()).collect();
        steps.retain(|step| seen.insert(step.text.clone()));
        steps
    }

    /// What would make a process let go, and what ends the container that it is in.
    fn release_uses<'u>(&self, pid: Pid, uses: impl IntoIterator<Item = &'u FileSystemUse>) -> Step {
        let step = words::release_uses(pid, uses).lacking(self.lacks.ending(pid));
        match Whose::process(self.snapshot, pid) {
            Some(Whose::Container(container)) => step.or_by_engine(whose::ends(self.snapshot, container)),
            _ => step,
        }
    }

    fn release_holder(&self, holder: &FileSystemHolder) -> Step {
        let is_used_often = |file_system| self.times_mounted.get(&file_system).is_some_and(|&times| times > 1);
        let step = words::release_holder(self.snapshot, holder, is_used_often, |namespace, id| {
            Some(self.release_mount(namespace, self.unmounts.mount((namespace, id))?))
        });
        let host = |needs| self.lacks.on_the_host(needs, holder.control.as_ref());
        match &holder.kind {
            Kind::Descriptor { pid, .. } | Kind::Detached { pid, .. } => step.lacking(self.lacks.ending(*pid)),
            Kind::KernelThreads { .. } => step.lacking(self.lacks.shutting_down()),
            // These go by access to their files alone.
            Kind::Facility { .. } => step.lacking(host(CapabilitySet::NONE)),
            Kind::Loop { .. } | Kind::BinfmtMisc { .. } if step.command.is_some() => {
                step.lacking(host(CapabilitySet::NONE))
            }
            Kind::Swap { .. } | Kind::BlockDevice { .. } if step.command.is_some() => {
                step.lacking(host(CapabilitySet::SYS_ADMIN))
            }
            // It is unmounted, or a question of its own.
            _ => step,
        }
    }

    /// What would unmount its mounts. What goes with another is not told.
    fn release_mounts(&self) -> Vec<Step> {
        let all = self.mounts.iter().flat_map(|(&id, mounts)| mounts.iter().map(move |mount| (id, *mount)));
        let mut all: Vec<_> = all.collect();
        // That of the caller's own mount namespace does the most with the least.
        all.compact_sort_by_key(|&(id, mount)| (Some(id) != self.home, mount.propagation.shared.is_none()));
        let mut covered = FxHashSet::default();
        let mut lines = Vec::new();
        for &(id, mount) in &all {
            if covered.contains(&(id, mount.id)) {
                continue;
            }
            lines.push((id, mount));
            let is_surely_unmounted = self.may_unmount(id, mount) && !self.comes_from_above(id, mount);
            if is_surely_unmounted && !self.roots.contains(&(id, mount.id)) {
                // Also those that are locked in a less privileged mount namespace: they go with what they came from.
                let with = self.unmounts.unmounted_with((id, mount.id)).into_iter();
                let with = with.filter(|with| self.on_it(with.namespace, with.mount) == 0);
                covered.extend(with.map(|with| (with.namespace, with.mount.id)));
            }
        }
        lines.retain(|(id, mount)| !covered.contains(&(*id, mount.id)));
        lines.compact_sort_by_key(|(id, mount)| (Some(*id) != self.home, *id, mount.id));
        lines.into_iter().map(|(id, mount)| self.release_mount(id, mount)).collect()
    }

    /// Whether `umount` works in a mount namespace as far as its owner goes. The kernel locks the mounts that a mount namespace
    /// was made with, if it belongs to another user namespace than the one that it was copied from; and none that was
    /// made there since (`mount_namespaces(7)`).
    fn may_unmount(&self, id: NamespaceId, mount: &'a Mount) -> bool {
        let owner = |id| self.snapshot.namespaces.get(&id).and_then(|namespace| namespace.owner.known());
        if Some(id) == self.home {
            return true;
        }
        let (Some(home), Some(owner)) = (self.home.and_then(owner), owner(id)) else { return false };
        owner == home
            || (release::and_above(self.snapshot, Some(owner)).any(|above| above == home)
                && self.lacks.unmounting(id, self.home).is_none()
                && mount.propagation.master.is_none()
                && !self.has_original(owner, mount))
    }

    /// Whether a mount namespace of another owner has the same directory mounted, so that this mount may be a copy.
    fn has_original(&self, owner: NamespaceId, mount: &'a Mount) -> bool {
        let owners = self.owners.get_or_init(|| {
            let mut owners: FxHashMap<_, FxHashSet<_>> = FxHashMap::default();
            for (id, mounts) in &self.snapshot.mounts {
                let owner = self.snapshot.namespaces.get(id).and_then(|namespace| namespace.owner.known());
                for mount in mounts {
                    let key = (mount.file_system, mount.root.as_bstr());
                    // Of one whose owner is not known, it counts as another's.
                    owners.entry(key).or_default().insert(owner.unwrap_or(*id));
                }
            }
            owners
        });
        // Copies of this one go to user namespaces below.
        let is_above = |other: &NamespaceId| !release::and_above(self.snapshot, Some(*other)).any(|one| one == owner);
        owners.get(&(mount.file_system, mount.root.as_bstr())).is_some_and(|all| all.iter().any(is_above))
    }

    /// Whether a mount comes from a more privileged mount namespace, which made a slave of it: with its mount namespace, and
    /// is locked there, or later, and is not.
    fn comes_from_above(&self, id: NamespaceId, mount: &Mount) -> bool {
        mount.propagation.master.is_some() && release::may_have_locked_mounts(self.snapshot, id)
    }

    fn release_mount(&self, id: NamespaceId, mount: &'a Mount) -> Step {
        let is_root = self.roots.contains(&(id, mount.id));
        match mount.path() {
            Some(path) if self.may_unmount(id, mount) && !is_root => {
                let umount = release::unmount(&self.context, id, path);
                let advice = match (mount.hidden, self.on_it(id, mount)) {
                    (true, _) => format!("what covers mount {} is unmounted, then {umount}", mount.id),
                    (false, 0) => umount.to_string(),
                    (false, _) => format!("what is mounted on {} is unmounted, then {umount}", printable(path)),
                };
                // What came after its mount namespace was made is not locked; the kernel does not show which did.
                let advice = match self.comes_from_above(id, mount) {
                    true => format!("{advice}, or, where it is locked, {}", Step::end(self.snapshot, id)),
                    false => advice,
                };
                let lacks = self.users.and_then(|_| self.lacks.unmounting(id, self.home));
                Step::unmount(advice, &umount).lacking(lacks)
            }
            _ if Some(id) == self.home || !self.members_seen(id) => Step::end(self.snapshot, id),
            _ => {
                let lacks = self.users.and_then(|_| self.lacks.ending_members(id));
                Step::members_exit(self.snapshot, id, self.processes(id)).lacking(lacks)
            }
        }
    }
}

impl Keeper<'_> {
    fn pid(&self) -> Option<Pid> {
        match self {
            Self::Process(user, uses) if uses.len() == user.uses.len() => Some(user.pid),
            _ => None,
        }
    }
}

/// How many processes could not be looked into.
fn unread(users: &FileSystemUsers) -> usize {
    let pids: BTreeSet<Pid> = users
        .gaps
        .iter()
        .filter_map(|gap| match gap.object {
            Object::Process(pid) | Object::Task(pid, _) | Object::Fd(pid, ..) => Some(pid),
            _ => None,
        })
        .collect();
    pids.len()
}

#[cfg(test)]
mod tests;
