//! What all parts of a discovery share, and what each worker finds.

use std::collections::hash_map::Entry;
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::{FxHashMap, FxHashSet};

use super::command_lines::Reader;
use super::facts::{self, Facts};
use super::host;
use super::named::Known;
use super::session::Discovery;
use crate::failure::{self, Failure};
use crate::model::Texts;
use crate::model::{
    Call, Cgroups, DiscoveryOptions, Gap, Holder, Mount, NamespaceId, NamespaceLinks, NamespaceType, Object, Operation,
    Pid, Place, Process, Suspect, Tid,
};
use crate::mount_access::MountAccess;
use crate::procfs::ProcRoot;
use crate::procfs::parse::{self, ParseError};
use crate::reach;
use crate::reach::interface::Interfaces;

/// More workers than this only wait for each other inside the kernel.
const MOST_WORKERS: usize = 8;

/// A discovery under way.
pub(super) struct Search<'a> {
    pub(super) session: &'a Discovery<'a>,
    pub(super) proc: &'a ProcRoot,
    pub(super) options: &'a DiscoveryOptions,
    /// What is known of each namespace that could be opened; shared, so that each is asked once.
    facts: Mutex<FxHashMap<NamespaceId, Facts>>,
    /// Places without the interface that they need, a bit for each [`Place`]: that is not asked for again.
    without: AtomicU64,
    /// What the caller has found out about calls that have failed.
    interfaces: Interfaces,
    /// The device numbers of files that are recognized by them.
    pub(super) devices: facts::Devices,
    /// Whether a system call can be asked for the affinity of a thread.
    pub(super) asks_for_affinity: bool,
    /// Who reads command lines, beside the rest.
    pub(super) command_lines: Option<&'a Reader>,
    /// Who can look into mount namespaces from inside.
    pub(super) access: Option<&'a dyn MountAccess>,
    /// Mount namespaces that were found without a process in them, left open until somebody goes there; `None` once
    /// somebody has.
    kept: Mutex<FxHashMap<NamespaceId, Option<OwnedFd>>>,
    keeps: AtomicBool,
    /// The caller's user namespace, which owns most others: while it is open, the kernel needs no new inode to open it
    /// again each time that an owner is asked for.
    user_ns: Option<OwnedFd>,
}

/// What one worker has found; merged at the end.
#[derive(Default)]
pub(super) struct Found {
    pub(super) processes: Vec<Process>,
    /// The inode numbers of the directories of processes: a PID that is given to another process gets another one.
    pub(super) directories: FxHashMap<Pid, u64>,
    pub(super) namespaces: FxHashMap<NamespaceId, Seen>,
    /// Processes whose command lines are likely to be wanted, and are going to be asked for.
    pub(super) guessed: Vec<Known>,
    /// Processes whose command lines have been asked for.
    pub(super) asked: FxHashSet<Pid>,
    /// Sockets that are held by a task in their own network namespace; some more than once.
    pub(super) sockets_at_home: Vec<(u64, NamespaceId)>,
    pub(super) suspects: Vec<Suspect>,
    /// Open files that are suspects if the file system with this device number turns out to be a procfs.
    pub(super) proc_files: Vec<(u64, Suspect)>,
    /// Open files that are suspects if the file system with this device number turns out to be one of control groups.
    pub(super) cgroup_files: Vec<(u64, Suspect)>,
    /// The device numbers of file systems of control groups.
    pub(super) cgroup_devices: FxHashSet<u64>,
    /// The device numbers of procfs mounts.
    pub(super) procfs_devices: FxHashSet<u64>,
    pub(super) gaps: Vec<Gap>,
    /// The mounts of mount namespaces, where they were asked for.
    pub(super) mounts: Vec<(NamespaceId, Vec<Mount>)>,
    /// Mount namespaces whose mounts have been gone through.
    pub(super) mounts_seen: FxHashSet<NamespaceId>,
    /// Mount namespaces that somebody should have entered, when nothing led there any more.
    pub(super) unentered: FxHashSet<NamespaceId>,
    /// Namespaces that the kernel itself lists.
    pub(super) listed_by_kernel: FxHashSet<NamespaceId>,
    /// The network namespaces of sockets, by inode number.
    pub(super) sockets: FxHashMap<u64, NamespaceId>,
    /// Control groups by the text that says them: most tasks share theirs with others.
    pub(super) cgroups: FxHashMap<Box<[u8]>, Arc<Cgroups>>,
    /// Texts of mounts.
    pub(super) texts: Texts,
    /// The network namespace of the last socket. The next one is mostly in the same, and while that is open somewhere the
    /// kernel needs no new inode to open it again.
    pub(super) last_socket_ns: Option<OwnedFd>,
    /// The bind mounts of namespaces that a task sees, the last one of which that was of interest.
    pub(super) bind_mounts: Option<(Tid, Vec<u64>)>,
    /// The namespaces of the last process, all of which are known.
    last_links: NamespaceLinks,
    /// Room for the text of files.
    pub(super) buffer: Vec<u8>,
}

/// A namespace as seen: where, without what it says of itself.
pub(super) struct Seen {
    pub(super) ns_type: NamespaceType,
    pub(super) holders: Vec<Holder>,
    /// Why it could not be opened, so far.
    pub(super) unopened: Option<(Place, Failure)>,
}

impl Seen {
    /// Seen just now.
    fn unopened(ns_type: NamespaceType, place: Place) -> Self {
        Self { ns_type, holders: Vec::new(), unopened: Some((place, Failure::VANISHED)) }
    }
}

impl<'a> Search<'a> {
    pub(super) fn new(session: &'a Discovery<'a>, options: &'a DiscoveryOptions) -> Self {
        let proc = session.proc();
        Self {
            session,
            proc,
            options,
            facts: Mutex::default(),
            without: AtomicU64::new(0),
            interfaces: Interfaces::default(),
            devices: facts::Devices::of_this_kernel(proc),
            asks_for_affinity: options.scheduling && options.task_details && proc.is_own() && host::has_all_cpus(),
            command_lines: None,
            access: session.access(),
            kept: Mutex::default(),
            keeps: AtomicBool::new(false),
            user_ns: None,
        }
    }

    /// Keeps the caller's user namespace open.
    pub(super) fn keep_user_namespace(&mut self) {
        self.user_ns = reach::open_link(self.proc, "thread-self/ns/user").ok();
    }

    pub(super) fn looks_in(&self, place: Place) -> bool {
        self.options.places.contains(place)
    }

    /// What is known of namespaces that could be opened.
    pub(super) fn facts(&self) -> MutexGuard<'_, FxHashMap<NamespaceId, Facts>> {
        // A worker that panicked while it held the lock has left the map whole: it is only ever inserted into.
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on, mount namespaces that are found are kept open if somebody can enter them: all that have processes
    /// are known.
    pub(super) fn keep_mount_namespaces(&self) {
        self.keeps.store(self.access.is_some(), Ordering::Relaxed);
    }

    /// Whether this mount namespace is to be kept open.
    pub(super) fn keeps(&self, id: NamespaceId) -> bool {
        /// Others are opened anew through what holds them, as far as that goes.
        const MOST: usize = 256;
        let kept = self.kept();
        self.keeps.load(Ordering::Relaxed) && !kept.contains_key(&id) && kept.values().flatten().count() < MOST
    }

    pub(super) fn keep(&self, id: NamespaceId, fd: OwnedFd) {
        if self.keeps(id) {
            self.kept().insert(id, Some(fd));
        }
    }

    /// A mount namespace that was kept open.
    pub(super) fn take_kept(&self, id: NamespaceId) -> Option<OwnedFd> {
        self.kept().get_mut(&id)?.take()
    }

    /// Whether this mount namespace is kept open.
    pub(super) fn has_kept(&self, id: NamespaceId) -> bool {
        matches!(self.kept().get(&id), Some(Some(_)))
    }

    fn kept(&self) -> MutexGuard<'_, FxHashMap<NamespaceId, Option<OwnedFd>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether what this place needs has turned out not to be there.
    pub(super) fn is_without(&self, place: Place) -> bool {
        self.without.load(Ordering::Relaxed) & (1 << place as u8) != 0
    }

    /// Remembers that what this place needs is not there.
    pub(super) fn do_without(&self, place: Place) {
        self.without.fetch_or(1 << place as u8, Ordering::Relaxed);
    }

    /// Why this call, which has failed so, cannot be made at all; `None` if it failed for what it was asked of.
    pub(super) fn missing(&self, call: Call, failure: Failure) -> Option<Failure> {
        // Numbers of another PID namespace are no reason to try one's own.
        if self.proc.is_own() { self.interfaces.missing(call, failure) } else { Some(failure) }
    }

    /// Has `work` done for each of `items`, by several threads, in whatever order.
    pub(super) fn for_each<T: Sync>(&self, items: &[T], work: impl Fn(&mut Found, &T) + Sync) -> Found {
        let mut parts = share_out(items, work).into_iter();
        let mut found: Found = parts.next().unwrap_or_default();
        parts.for_each(|part| found.merge(part));
        found
    }
}

/// Has `work` done for each of `items`, by several threads, in whatever order. What each of them has made of it comes
/// back in parts.
pub(super) fn share_out<T: Sync, Part: Default + Send>(items: &[T], work: impl Fn(&mut Part, &T) + Sync) -> Vec<Part> {
    let workers = std::thread::available_parallelism().map_or(1, NonZeroUsize::get).min(MOST_WORKERS);
    // Small enough that nobody is left with much at the end, large enough that the cursor is seldom asked.
    let step = (items.len() / (workers * 8)).clamp(1, 16);
    let cursor = AtomicUsize::new(0);
    let worker = || {
        let mut part = Part::default();
        loop {
            let from = cursor.fetch_add(step, Ordering::Relaxed);
            let Some(rest) = items.get(from..).filter(|rest| !rest.is_empty()) else {
                return part;
            };
            for item in rest.iter().take(step) {
                work(&mut part, item);
            }
        }
    };
    let workers = workers.min(items.len().div_ceil(step));
    std::thread::scope(|scope| {
        // Where no further thread can be had, those that there are do it all.
        let others: Vec<_> = (1..workers)
            .map_while(|_| std::thread::Builder::new().name("lxkns".into()).spawn_scoped(scope, worker).ok())
            .collect();
        let mut parts = vec![worker()];
        for other in others {
            match other.join() {
                Ok(part) => parts.push(part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        parts
    })
}

impl Found {
    /// Takes in what another has found. The order of the two does not matter, so the smaller goes into the larger.
    pub(super) fn merge(&mut self, mut other: Self) {
        if self.namespaces.len() + self.processes.len() < other.namespaces.len() + other.processes.len() {
            std::mem::swap(self, &mut other);
        }
        self.processes.append(&mut other.processes);
        self.directories.extend(other.directories);
        self.guessed.append(&mut other.guessed);
        self.asked.extend(other.asked);
        for (id, mut theirs) in other.namespaces {
            match self.namespaces.entry(id) {
                Entry::Vacant(entry) => drop(entry.insert(theirs)),
                Entry::Occupied(mut entry) => {
                    let ours = entry.get_mut();
                    if ours.holders.len() < theirs.holders.len() {
                        std::mem::swap(&mut ours.holders, &mut theirs.holders);
                    }
                    ours.holders.append(&mut theirs.holders);
                    ours.unopened = ours.unopened.and(theirs.unopened);
                }
            }
        }
        self.sockets_at_home.append(&mut other.sockets_at_home);
        self.suspects.append(&mut other.suspects);
        self.proc_files.append(&mut other.proc_files);
        self.procfs_devices.extend(other.procfs_devices);
        self.cgroup_files.append(&mut other.cgroup_files);
        self.cgroup_devices.extend(other.cgroup_devices);
        self.gaps.append(&mut other.gaps);
        self.mounts.append(&mut other.mounts);
        self.mounts_seen.extend(other.mounts_seen);
        self.unentered.extend(other.unentered);
        self.listed_by_kernel.extend(other.listed_by_kernel);
    }

    /// Sees to it that a process's namespaces are known. That the process holds them is not noted one by one: it follows
    /// from the process.
    pub(super) fn note_process(&mut self, search: &Search<'_>, pid: Pid, namespaces: &NamespaceLinks) {
        // Most are where the one before is.
        if *namespaces == self.last_links {
            return;
        }
        let holder = Holder::Process { pid };
        let mut all_open = true;
        for (ns_type, id) in namespaces.iter() {
            let seen = self.namespaces.entry(id).or_insert_with(|| Seen::unopened(ns_type, Place::Processes));
            if seen.unopened.is_some() {
                let opened = facts::ensure(search, id, || reach::through(search.proc, ns_type, &holder));
                seen.unopened = opened.err().map(|failure| (Place::Processes, failure));
                all_open &= seen.unopened.is_none();
            }
        }
        if all_open {
            self.last_links = *namespaces;
        }
    }

    /// Notes that a namespace was seen, held by this.
    ///
    /// The first time it is opened through that holder, and asked all that it says of itself.
    pub(super) fn note(
        &mut self,
        search: &Search<'_>,
        place: Place,
        id: NamespaceId,
        ns_type: NamespaceType,
        holder: Holder,
    ) {
        let opened = match self.namespaces.contains_key(&id) {
            true => Ok(()),
            false => facts::ensure(search, id, || reach::through(search.proc, ns_type, &holder)),
        };
        self.note_opened(place, id, ns_type, holder, opened);
    }

    /// As [`note`](Self::note), after it was tried to open the namespace: `opened` says whether that went well, or need
    /// not be tried.
    pub(super) fn note_opened(
        &mut self,
        place: Place,
        id: NamespaceId,
        ns_type: NamespaceType,
        holder: Holder,
        opened: Result<(), Failure>,
    ) {
        let unopened = opened.err().map(|failure| (place, failure));
        let seen = self.namespaces.entry(id).or_insert_with(|| Seen { ns_type, holders: Vec::new(), unopened });
        seen.holders.push(holder);
    }

    /// Notes that a namespace was seen, of which there is a descriptor at hand.
    pub(super) fn note_open(
        &mut self,
        search: &Search<'_>,
        id: NamespaceId,
        fd: OwnedFd,
        holder: Option<Holder>,
    ) -> Result<(), Failure> {
        let seen = match self.namespaces.entry(id) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                facts::ensure(search, id, || Ok(fd))?;
                let ns_type = search.facts().get(&id).ok_or(Failure::VANISHED)?.ns_type;
                entry.insert(Seen { ns_type, holders: Vec::new(), unopened: None })
            }
        };
        seen.holders.extend(holder);
        Ok(())
    }

    /// That a namespace could not be opened has been said already, in a gap of its own.
    pub(super) fn gap_is_noted(&mut self, id: NamespaceId) {
        if let Some(seen) = self.namespaces.get_mut(&id) {
            seen.unopened = seen.unopened.map(|(_, failure)| (Place::ProcesslessMounts, failure));
        }
    }

    /// Takes text of `/proc/PID/cgroup` for what it says.
    pub(super) fn cgroups(&mut self, text: &[u8], object: impl Fn() -> Object) -> Option<Arc<Cgroups>> {
        if let Some(known) = self.cgroups.get(text) {
            return Some(Arc::clone(known));
        }
        match parse::cgroup::parse(text) {
            Ok(cgroups) => {
                let cgroups = Arc::new(cgroups);
                self.cgroups.insert(text.into(), Arc::clone(&cgroups));
                Some(cgroups)
            }
            Err(error) => {
                self.malformed(Place::Cgroups, object(), error);
                None
            }
        }
    }

    /// Notes text that is not in the form that the kernel gives it.
    pub(super) fn malformed(&mut self, place: Place, object: Object, error: ParseError) {
        self.gaps.push(failure::malformed(place, object, error));
    }

    /// Notes what could not be read, unless it was just gone.
    pub(super) fn gap(
        &mut self,
        place: Place,
        object: Object,
        operation: impl Into<Operation>,
        why: impl Into<Failure>,
    ) {
        self.gaps.extend(failure::gap(place, object, operation.into(), why));
    }

    /// Notes that a call has failed. If the caller cannot make it at all, no object is to blame: it is noted once, and the
    /// place is not tried again.
    pub(super) fn failed(
        &mut self,
        search: &Search<'_>,
        place: Place,
        object: Object,
        call: Call,
        why: impl Into<Failure>,
    ) {
        let failure = why.into();
        match search.missing(call, failure) {
            Some(missing) => {
                search.do_without(place);
                self.gap(place, Object::Host, call, missing);
            }
            None => self.gap(place, object, call, failure),
        }
    }
}
