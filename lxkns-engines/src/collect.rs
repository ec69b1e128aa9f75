//! The thread that reads files. It can be left behind at a file system that does not answer.

use std::collections::{BTreeSet, VecDeque};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bstr::{BString, ByteSlice as _};
use lxkns_model::CompactSort as _;
use lxkns_model::{Cause, Errno, Evidence, EvidenceKind, Gap, NamespaceId, Object, Operation, Pid, Place, Uid};
use rustc_hash::FxHashSet;

use crate::budget::{Budget, Who};
use crate::evidence::monitors::Watched;
use crate::evidence::{Claim, bundles, cni, docker, likely, machined, monitors, podman, runtime};
use crate::files::{Dir, Failure, File, Mounts, OwnFds, Writer, path_in};
use crate::parse::cgroup_path::NOBODY;
use crate::parse::monitor::Monitor;

/// How many directories are looked at that files and command lines name, of one engine below one root directory.
const MOST_PLACES: usize = 256;

/// How many threads one scan leaves behind.
const MOST_LEFT: usize = 4;

/// A root directory below which engines keep files.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) root: OwnedFd,
    /// The mounts that can be gone into.
    pub(crate) mounts: Mounts,
    /// The process whose root directory it is; `None` of the caller's.
    pub(crate) pid: Option<Pid>,
    /// Processes there, one for each PID namespace that files there can have PIDs of: it first.
    pub(crate) readers: Vec<Pid>,
    /// The mount namespace.
    pub(crate) mount_ns: Option<NamespaceId>,
    /// Whether that is the host's own, or the caller's.
    pub(crate) is_host: bool,
    /// The ordinary user who has made the mount namespace, and so can show anything there.
    pub(crate) whose: Option<Uid>,
}

/// What is known of the host.
#[derive(Debug, Default)]
pub(crate) struct Hints {
    /// The IDs in control groups' paths: those are read while runtimes' state is.
    pub(crate) ids: OnceLock<FxHashSet<BString>>,
    /// Whether there are bind mounts of network namespaces without processes, which stopped containers can have left.
    pub(crate) has_leftovers: bool,
}

/// What was read.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    pub(crate) claims: Vec<Claim>,
    pub(crate) monitors: Vec<(Pid, Monitor)>,
    pub(crate) gaps: Vec<Gap>,
}

#[derive(Default)]
struct State {
    collected: Collected,
    /// What is being read: the index of the source, and the path.
    at: Option<(usize, BString)>,
    steps: u64,
    is_done: bool,
    is_abandoned: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the threads that were left behind still wait for: the mount namespace of each.
#[derive(Debug, Default)]
pub(crate) struct LeftBehind(Mutex<Vec<(Option<NamespaceId>, JoinHandle<()>)>>);

impl LeftBehind {
    fn waits_for(&self, mount_ns: Option<NamespaceId>) -> bool {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        left.retain(|(_, thread)| !thread.is_finished());
        left.iter().any(|(other, _)| *other == mount_ns)
    }

    fn leave(&self, mount_ns: Option<NamespaceId>, thread: JoinHandle<()>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((mount_ns, thread));
    }
}

/// Reading that has begun.
pub(crate) struct Collection<'a> {
    labels: Vec<(Option<Pid>, Option<NamespaceId>)>,
    jobs: Arc<Mutex<VecDeque<(usize, Source)>>>,
    hints: Arc<Hints>,
    left_behind: &'a LeftBehind,
    all: Collected,
    running: Option<(Arc<Shared>, JoinHandle<()>)>,
}

impl<'a> Collection<'a> {
    /// Begins to read all command lines of monitors and all files of the sources.
    pub(crate) fn begin(
        watched: Vec<Watched>,
        sources: Vec<Source>,
        has_leftovers: bool,
        left_behind: &'a LeftBehind,
    ) -> Self {
        let labels = sources.iter().map(|source| (source.pid, source.mount_ns)).collect();
        let mut all = Collected::default();
        let mut jobs = VecDeque::new();
        for (index, source) in sources.into_iter().enumerate() {
            if left_behind.waits_for(source.mount_ns) {
                all.gaps.push(gap_of(source.pid, b"/", Operation::OPEN, Cause::TimedOut));
            } else {
                jobs.push_back((index, source));
            }
        }
        let hints = Arc::new(Hints { ids: OnceLock::new(), has_leftovers });
        let jobs = Arc::new(Mutex::new(jobs));
        let mut collection = Self { labels, jobs, hints, left_behind, all, running: None };
        collection.start(watched);
        collection
    }

    fn start(&mut self, watched: Vec<Watched>) {
        let shared = Arc::new(Shared::default());
        let spawned = std::thread::Builder::new().name("lxkns-files".into()).spawn({
            let (shared, jobs, hints) = (shared.clone(), self.jobs.clone(), self.hints.clone());
            move || work(&shared, watched, &jobs, &hints)
        });
        match spawned {
            Ok(thread) => self.running = Some((shared, thread)),
            Err(_) => {
                self.all.gaps.push(Gap::because(Place::Containers, Object::Host, Operation::StartThread, Cause::Limit));
            }
        }
    }

    /// All that was read. Where a file system does not answer for as long as `patience`, the rest of its source stays unread,
    /// and a gap says so.
    pub(crate) fn end(self, ids: FxHashSet<BString>, patience: Duration) -> Collected {
        let mut collected = self.wait_for_all(ids, patience);
        // What runtimes have kept is parsed by two threads; it comes first of a source, as it names processes.
        let order = |claim: &Claim| (claim.source, claim.evidence.kind != EvidenceKind::RuntimeState);
        collected.claims.compact_sort_by(|a, b| {
            let by_path = || match order(a).1 {
                true => std::cmp::Ordering::Equal,
                false => a.evidence.at.cmp(&b.evidence.at),
            };
            order(a).cmp(&order(b)).then_with(by_path)
        });
        collected
    }

    fn wait_for_all(mut self, ids: FxHashSet<BString>, patience: Duration) -> Collected {
        // Nobody else sets them.
        let _ = self.hints.ids.set(ids);
        for left in 1..=MOST_LEFT {
            let Some((shared, thread)) = self.running.take() else { return self.all };
            let Some(at) = wait(&shared, &thread, patience, &mut self.all) else {
                if let Err(panic) = thread.join() {
                    std::panic::resume_unwind(panic);
                }
                return self.all;
            };
            let (pid, mount_ns) = at.as_ref().map_or((None, None), |(source, _)| self.labels[*source]);
            let path = at.as_ref().map_or(b"/".as_slice(), |(_, path)| path);
            self.all.gaps.push(gap_of(pid, path, Operation::OPEN, Cause::TimedOut));
            self.left_behind.leave(mount_ns, thread);
            if left < MOST_LEFT {
                self.start(Vec::new());
            }
        }
        for (_, source) in self.jobs.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            self.all.gaps.push(gap_of(source.pid, b"/", Operation::OPEN, Cause::NotTried));
        }
        self.all
    }
}

/// Waits for a thread, and takes what it has read. Returns what it is stuck at, if it is.
fn wait(
    shared: &Shared,
    thread: &JoinHandle<()>,
    patience: Duration,
    all: &mut Collected,
) -> Option<Option<(usize, BString)>> {
    let mut state = shared.state();
    let (mut steps, mut since) = (state.steps, Instant::now());
    while !state.is_done && !thread.is_finished() {
        if state.steps != steps {
            (steps, since) = (state.steps, Instant::now());
        }
        let rest = patience.saturating_sub(since.elapsed());
        if rest.is_zero() {
            state.is_abandoned = true;
            break;
        }
        state = shared.changed.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0;
    }
    let Collected { claims, monitors, gaps } = std::mem::take(&mut state.collected);
    all.claims.extend(claims);
    all.monitors.extend(monitors);
    all.gaps.extend(gaps);
    state.is_abandoned.then(|| state.at.take())
}

fn work(shared: &Arc<Shared>, watched: Vec<Watched>, jobs: &Mutex<VecDeque<(usize, Source)>>, hints: &Hints) {
    let mut storages = Places::default();
    for watched in watched {
        let read = monitors::read(&watched);
        let mut state = shared.state();
        if state.is_abandoned {
            return;
        }
        state.steps += 1;
        match read {
            Ok(Some(monitor)) => {
                if let Some(storage) = monitor.bundle.as_ref().and_then(|bundle| podman::storage_of(bundle)) {
                    storages.insert((watched.whose, storage));
                }
                state.collected.monitors.push((watched.pid, monitor));
            }
            Ok(None) => {}
            Err(failure) => {
                state.collected.gaps.extend(gap(Object::Process(watched.pid), Operation::read("cmdline"), failure));
            }
        }
    }
    let mut seen = FxHashSet::default();
    let mut budget = Budget::default();
    let own = OwnFds::of_this_thread();
    loop {
        let Some((index, source)) = jobs.lock().unwrap_or_else(PoisonError::into_inner).pop_front() else { break };
        let Source { root, mounts, pid, whose, is_host, .. } = source;
        let root = match own.clone().and_then(|own| Dir::root(root, own, mounts)) {
            Ok(root) => root,
            Err(failure) => {
                let gap = gap(object(pid, b"/"), Operation::OPEN, failure);
                shared.state().collected.gaps.extend(gap);
                continue;
            }
        };
        let mut collector = Collector {
            source: index,
            pid,
            whose,
            root,
            hints,
            shared,
            seen: &mut seen,
            budget: &mut budget,
            place: (!is_host).then_some(index),
            said_by: None,
            exhausted: FxHashSet::default(),
            is_abandoned: false,
            known: FxHashSet::default(),
            docker_roots: Places::from([(None, "/var/lib/docker".into())]),
            storages: storages.clone(),
            pods: FxHashSet::default(),
        };
        collector.all();
        if collector.is_abandoned {
            return;
        }
    }
    shared.state().is_done = true;
    shared.changed.notify_all();
}

/// Directories where engines keep files, each with the ordinary user who says so: only what that user can write counts there.
/// Those of root come first.
pub(crate) type Places = BTreeSet<(Option<Uid>, BString)>;

/// Whether a file counts in a directory that was named by this user, when another can write it.
pub(crate) fn counts(said_by: Option<Uid>, whose: Option<Uid>) -> bool {
    said_by.is_none() || said_by == whose
}

/// Reads below one root directory.
pub(crate) struct Collector<'a> {
    source: usize,
    pid: Option<Pid>,
    whose: Option<Uid>,
    root: Dir,
    pub(crate) hints: &'a Hints,
    shared: &'a Arc<Shared>,
    /// The directories that were read, below whatever root, each with the user who has named it.
    seen: &'a mut FxHashSet<((u64, u64), Option<Uid>)>,
    budget: &'a mut Budget,
    /// The source, where it is not the host.
    place: Option<usize>,
    /// The user who has named the directory that is being read.
    said_by: Option<Uid>,
    /// Of whom no more is read.
    exhausted: FxHashSet<Who>,
    is_abandoned: bool,
    /// What the runtimes' state was found of: namespace of the engine, and ID.
    pub(crate) known: FxHashSet<(BString, BString)>,
    /// Where Docker keeps its files.
    pub(crate) docker_roots: Places,
    /// Where podman keeps its containers' layers.
    pub(crate) storages: Places,
    /// The IDs of podman's pods.
    pub(crate) pods: FxHashSet<BString>,
}

impl Collector<'_> {
    fn all(&mut self) {
        runtime::collect(self);
        bundles::collect(self);
        docker::collect(self);
        podman::collect(self);
        machined::collect(self);
        if self.hints.has_leftovers {
            cni::collect(self);
        }
    }

    /// Whether what comes next is to be read, and on whose account: in this directory, or at this path alone.
    fn goes_to(&mut self, path: &[u8], dir: Option<Writer>) -> Option<Who> {
        if self.is_left(path) {
            return None;
        }
        let whose = self.whose.or_else(|| user_of(path)).or_else(|| ordinary(dir?)).or(self.said_by);
        let who = (self.place, whose);
        if !self.budget.has_left(who) {
            if self.exhausted.insert(who) {
                self.gap(path, Operation::read(""), Failure::Cause(Cause::Limit));
            }
            return None;
        }
        self.budget.spend(who, 0);
        Some(who)
    }

    /// Whether nobody waits for this thread any more. Notes what comes next.
    fn is_left(&mut self, path: &[u8]) -> bool {
        let mut state = self.shared.state();
        state.steps += 1;
        match &mut state.at {
            Some((source, at)) => {
                *source = self.source;
                at.clear();
                at.extend_from_slice(path);
            }
            at => *at = Some((self.source, path.into())),
        }
        self.is_abandoned |= state.is_abandoned;
        self.is_abandoned
    }

    /// A directory at an absolute path that was not read before. What is not there is no gap.
    pub(crate) fn at(&mut self, path: &str) -> Option<Dir> {
        self.at_by(path, None)
    }

    /// The same, of a path that this user has named. Another's link to a directory hides nothing that is in it.
    pub(crate) fn at_by(&mut self, path: &str, said_by: Option<Uid>) -> Option<Dir> {
        self.said_by = said_by;
        let dir = self.again(path)?;
        (!self.seen.contains(&(dir.id, None)) && self.seen.insert((dir.id, said_by))).then_some(dir)
    }

    /// Those of these directories that are looked at. A gap says if there are more.
    pub(crate) fn places(&mut self, places: Places) -> impl Iterator<Item = (Option<Uid>, String)> + use<> {
        if let Some((_, path)) = places.iter().nth(MOST_PLACES) {
            self.gap(path, Operation::OPEN, Failure::Cause(Cause::Limit));
        }
        let named = |(by, path): (_, BString)| Some((by, String::from_utf8(path.into()).ok()?));
        places.into_iter().take(MOST_PLACES).filter_map(named)
    }

    /// A directory at an absolute path, also where it was read before.
    pub(crate) fn again(&mut self, path: &str) -> Option<Dir> {
        self.goes_to(path.as_bytes(), None)?;
        let opened = self.root.at(path);
        self.note(opened, path.as_bytes(), Operation::OPEN)
    }

    /// A directory in one. Files and links beside it are none, and no gap.
    pub(crate) fn dir(&mut self, dir: &Dir, name: &BString) -> Option<Dir> {
        let path = dir.path_of(name);
        self.goes_to(&path, Some(dir.writer))?;
        match dir.dir(name) {
            Err(Failure::NotDirectory | Failure::Errno(rustix::io::Errno::NOTDIR | rustix::io::Errno::LOOP)) => None,
            opened => self.note(opened, &path, Operation::OPEN),
        }
    }

    /// The names in a directory.
    pub(crate) fn names(&mut self, dir: &Dir) -> Vec<BString> {
        let Some(who) = self.goes_to(&dir.path, Some(dir.writer)) else { return Vec::new() };
        let listed = dir.names();
        let (names, is_cut) = self.note(listed, &dir.path, Operation::list("")).unwrap_or_default();
        self.budget.spend(who, names.len() * size_of::<BString>());
        if is_cut {
            self.gap(&dir.path, Operation::list(""), Failure::Cause(Cause::Cut));
        }
        names
    }

    /// Reads a file in a directory, and tells who can write it. What is not there is no gap.
    pub(crate) fn read(&mut self, dir: &Dir, name: &str) -> Option<(Vec<u8>, Option<Uid>)> {
        let path = dir.path_of(name);
        let who = self.goes_to(&path, Some(dir.writer))?;
        let read = dir.read(name);
        let File { text, writer } = self.note(read, &path, Operation::read(""))?;
        self.budget.spend(who, text.len());
        let whose = self.whose.or_else(|| user_of(&path)).or_else(|| ordinary(dir.writer)).or_else(|| ordinary(writer));
        Some((text, whose))
    }

    /// Reads a file in a directory in another, as [`Collector::dir`] and [`Collector::read`].
    pub(crate) fn read_in(&mut self, all: &Dir, dir: &BString, name: &str) -> Option<(Vec<u8>, Option<Uid>)> {
        let path = all.path_of(path_in(dir, name));
        let who = self.goes_to(&path, Some(all.writer))?;
        let read = all.read_in(dir, name);
        let (file, writer) = self.note(read, &path, Operation::read(""))?;
        self.budget.spend(who, file.text.len());
        let whose =
            self.whose.or_else(|| user_of(&path)).or_else(|| ordinary(writer)).or_else(|| ordinary(file.writer));
        Some((file.text, whose))
    }

    /// Adds what a file says, and who can write it.
    pub(crate) fn claim(&mut self, claim: Claim, whose: Option<Uid>) {
        self.sink().claim(claim, whose);
    }

    /// Where claims go; another thread can have one.
    pub(crate) fn sink(&self) -> Sink {
        Sink { shared: self.shared.clone(), source: self.source, pid: self.pid }
    }

    /// Evidence that was read at a path below this root.
    pub(crate) fn evidence(&self, kind: EvidenceKind, at: impl Into<BString>) -> Evidence {
        likely(kind, at, self.pid)
    }

    /// A file that makes no sense.
    pub(crate) fn malformed(&mut self, dir: &Dir, name: impl AsRef<[u8]>) {
        self.gap(&dir.path_of(name), Operation::Parse("".into()), Failure::Cause(Cause::Malformed));
    }

    fn note<T>(&mut self, read: Result<T, Failure>, path: &[u8], operation: Operation) -> Option<T> {
        match read {
            Ok(value) => Some(value),
            Err(failure) => {
                self.gap(path, operation, failure);
                None
            }
        }
    }

    fn gap(&mut self, path: &[u8], operation: Operation, failure: Failure) {
        let gap = gap(object(self.pid, path), operation, failure);
        self.shared.state().collected.gaps.extend(gap);
    }
}

/// Where what was read of one source goes.
#[derive(Clone)]
pub(crate) struct Sink {
    shared: Arc<Shared>,
    source: usize,
    pid: Option<Pid>,
}

impl Sink {
    /// Adds what a file says, and who can write it.
    pub(crate) fn claim(&self, mut claim: Claim, whose: Option<Uid>) {
        claim.source = self.source;
        self.shared.state().collected.claims.push(claim.by(whose));
    }

    /// Evidence that was read at a path below the source's root.
    pub(crate) fn evidence(&self, kind: EvidenceKind, at: impl Into<BString>) -> Evidence {
        likely(kind, at, self.pid)
    }

    /// A file that makes no sense.
    pub(crate) fn malformed(&self, path: &[u8]) {
        let gap = gap_of(self.pid, path, Operation::Parse("".into()), Cause::Malformed);
        self.shared.state().collected.gaps.push(gap);
    }
}

/// Who can write a file, where that is not root alone.
fn ordinary(writer: Writer) -> Option<Uid> {
    match writer {
        Writer { is_anybody: true, .. } => Some(NOBODY),
        Writer { uid: 0, .. } => None,
        Writer { uid, .. } => Some(Uid(uid)),
    }
}

/// The user whose directory below `/run/user` a path is in: whatever is there, this user can replace it.
fn user_of(path: &[u8]) -> Option<Uid> {
    let digits = path.strip_prefix(b"/run/user/")?.split_str("/").next()?;
    let uid = digits.to_str().ok().and_then(|digits| digits.parse().ok()).map_or(NOBODY, Uid);
    (uid.0 != 0).then_some(uid)
}

/// A path below the root directory of a process, or of the caller.
pub(crate) fn object(pid: Option<Pid>, path: &[u8]) -> Object {
    let mut full = pid.map_or_else(BString::default, |pid| format!("{}/{pid}/root", lxkns_core::ProcRoot::PATH).into());
    full.extend_from_slice(path);
    Object::Path(full)
}

fn gap_of(pid: Option<Pid>, path: &[u8], operation: Operation, cause: Cause) -> Gap {
    Gap::because(Place::Containers, object(pid, path), operation, cause)
}

/// What a gap says; `None` where it is gone, or never was there.
pub(crate) fn gap(object: Object, operation: Operation, failure: Failure) -> Option<Gap> {
    match failure {
        Failure::Cause(cause) => Some(Gap::because(Place::Containers, object, operation, cause)),
        // A part of the path is no directory: so there is no such file.
        Failure::NotDirectory | Failure::Vanished | Failure::Errno(rustix::io::Errno::NOTDIR) => None,
        Failure::Errno(errno) => Gap::failed(Place::Containers, object, operation, Errno::new(errno.raw_os_error())?),
    }
}
