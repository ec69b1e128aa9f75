//! Recognizes containers: which processes and namespaces belong to each, and what says so.
//!
//! The kernel knows no containers. What engines, runtimes and control groups leave on a host says which there are: the paths of
//! control groups, the state that runtimes keep, the command lines of shims and monitors, the files of engines, the results of
//! CNI plugins, the sources of mounts. No engine is asked or started for that, so it works with one that is stopped or hangs.
//! Where that is wanted ([`Options::ask_engines`]), Docker, containerd and podman are asked on their sockets for the rest: with a
//! deadline, and none is started by it.
//!
//! Everything that is read counts as hostile. Each conclusion names its [`Evidence`](lxkns_model::Evidence), and how far that
//! can be relied on: what an ordinary user can write counts for that user's own processes alone.
//!
//! ```
//! use lxkns_core::{Discovery, DiscoveryOptions, ProcRoot};
//! use lxkns_engines::{Host, Options};
//!
//! let mut snapshot = Discovery::of_host()?.run(&DiscoveryOptions::namespaces())?;
//! lxkns_engines::annotate(&mut snapshot, &Host::new(ProcRoot::host()?), &Options::default());
//! for container in &snapshot.annotations.containers.as_ref().unwrap().list {
//!     println!("{} {} ({})", container.kind, container.display_name(), container.confidence());
//! }
//! # Ok::<(), lxkns_core::Error>(())
//! ```
//!
//! # How data flows
//!
//! ```text
//! control groups, command lines, files -> parse -> claims (evidence) -> join -> containers -> groups
//! ```
//!
//! # What an unprivileged caller does not see
//!
//! The control groups of all processes are for everybody, and so are the names in them. Runtimes' state and engines' files are
//! for root: without them containers have no names but their IDs, and a gap says what was not readable.
//!
//! # Features
//!
//! None for users. `_fuzz` serves the project's own tests and can change at any time.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod api;
mod budget;
mod collect;
mod evidence;
mod files;
mod finish;
mod groups;
mod join;
mod parse;
mod processes;
mod units;

#[cfg(any(test, feature = "_fuzz"))]
#[doc(hidden)]
pub mod fuzz;

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use lxkns_core::ProcRoot;
use lxkns_model::CompactSort as _;
use lxkns_model::{Containers, Gap, NamespaceId, NamespaceType, Object, Operation, Pid, Place, Snapshot};
use rustc_hash::{FxHashMap, FxHashSet};
use rustix::fs::{CWD, Mode, OFlags};

use api::Asking;
use collect::{Collection, LeftBehind, Source};
use evidence::monitors::Watched;
use join::Join;
use parse::monitor::may_be_one;
use processes::Processes;

/// How many root directories are looked below.
const MOST_SOURCES: usize = 64;

/// How many PID namespaces the files of one can have PIDs of.
const MOST_READERS: usize = 16;

/// Where to look, for one or many snapshots of the same host.
///
/// It remembers where a file system did not answer, and looks there no more for as long as that lasts.
#[derive(Debug)]
pub struct Host {
    proc: ProcRoot,
    left_behind: LeftBehind,
    unanswered: api::Unanswered,
}

impl Host {
    /// The host whose processes this procfs shows.
    pub fn new(proc: ProcRoot) -> Self {
        Self { proc, left_behind: LeftBehind::default(), unanswered: api::Unanswered::default() }
    }
}

/// How to look.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// How long to wait for a file system that does not answer.
    pub patience: Duration,
    /// How long each engine may take to answer when it is asked what its files do not say; `None`: none is asked.
    pub ask_engines: Option<Duration>,
}

impl Default for Options {
    /// One second, and no engine is asked.
    fn default() -> Self {
        Self { patience: Duration::from_secs(1), ask_engines: None }
    }
}

/// Recognizes the containers of a snapshot, and adds them to it, with what could not be read; where the freezer was read, with
/// what their control groups let them use.
///
/// # Privileges
///
/// As [`recognize`].
pub fn annotate(snapshot: &mut Snapshot, host: &Host, options: &Options) {
    let (containers, gaps) = recognize(snapshot, host, options);
    snapshot.annotations.containers = Some(containers);
    snapshot.gaps.extend(gaps);
    if snapshot.options.freezer {
        lxkns_core::add_container_limits(&host.proc, snapshot);
    }
    snapshot.gaps.compact_sort();
    snapshot.gaps.dedup();
}

/// Recognizes the containers of a snapshot that was just taken of this host. Also says what could not be read.
///
/// Never waits much longer than the patience of the options for each file system that does not answer, and for four at most.
/// Engines are asked at the same time.
///
/// # Privileges
///
/// None for the names in control groups. Engines' files take root, and those of engines in other mount namespaces
/// `CAP_SYS_PTRACE`.
///
/// # Minimum kernel version
///
/// Any. Before Linux 5.6 (`openat2(2)`), no symbolic link is followed to where an engine keeps its files.
pub fn recognize(snapshot: &Snapshot, host: &Host, options: &Options) -> (Containers, Vec<Gap>) {
    let processes = Processes::new(snapshot, Some(&host.proc));
    let mut join = Join::new(&processes);
    let mut gaps = Vec::new();
    let watched = watched(&processes, host, &mut gaps);
    let elsewhere = join.elsewhere();
    let has_leftovers = has_leftovers(snapshot);
    let asking = Asking::begin(&processes, host, options.ask_engines, has_leftovers);
    let sources = sources(&processes, &elsewhere, &mut gaps);
    let labels = join::labels(&sources);
    let collection = Collection::begin(watched, sources, has_leftovers, &host.left_behind);
    join.read_cgroups(elsewhere);
    let ids = join.builds.iter().map(|build| build.id().clone()).collect();
    let collected = collection.end(ids, options.patience);
    gaps.extend(collected.gaps);
    join.add_files(collected.claims, &labels);
    join.add_monitors(collected.monitors);
    let answers = asking.end();
    gaps.extend(answers.gaps);
    let asked = join.add_answers(answers.answers);
    let of_namespaces =
        evidence::mounts::claims(snapshot).into_iter().map(|(id, claim)| (id, claim.by(processes.mounter(id))));
    let of_namespaces = of_namespaces.collect();
    let (mut containers, pod_labels) = finish::finish(join, of_namespaces, &labels, asked);
    groups::decorate(&mut containers, &pod_labels);
    containers.find_twins();
    gaps.extend(processes.gaps.take());
    gaps.compact_sort();
    gaps.dedup();
    (containers, gaps)
}

/// The processes whose names say that they may watch over containers.
fn watched(processes: &Processes<'_>, host: &Host, gaps: &mut Vec<Gap>) -> Vec<Watched> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let proc = match rustix::fs::openat(&host.proc, ".", flags, Mode::empty()) {
        Ok(proc) => Arc::new(proc),
        Err(errno) => {
            let errno = lxkns_model::Errno::new(errno.raw_os_error());
            gaps.extend(errno.and_then(|errno| Gap::failed(Place::Containers, Object::Host, Operation::OPEN, errno)));
            return Vec::new();
        }
    };
    let all = processes.snapshot.processes.values();
    let watched = all.filter(|process| may_be_one(process.comm())).map(|process| Watched {
        pid: process.pid,
        whose: processes.owner(process.pid),
        proc: proc.clone(),
        command_line: process.command_line.clone(),
    });
    watched.collect()
}

/// The root directories below which engines can have their files: the caller's, the host's, and one for each other mount
/// namespace that has an engine or a monitor in it, or the parent of a process that is in a namespace of its own. Those of
/// root come first.
fn sources(processes: &Processes<'_>, elsewhere: &[Pid], gaps: &mut Vec<Gap>) -> Vec<Source> {
    let snapshot = processes.snapshot;
    let mut sources: Vec<Source> = Vec::new();
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    if let Ok(root) = rustix::fs::openat(CWD, "/", flags, Mode::empty()) {
        sources.push(Source {
            root,
            mounts: processes.mounts(None, false),
            pid: None,
            readers: Vec::new(),
            mount_ns: snapshot.observer_mount_ns,
            is_host: true,
            whose: None,
        });
    }
    // Engines first: where others are in the same mount namespace, the PIDs in files are those that engines see.
    let is_engine = |comm: &[u8]| may_be_one(comm) || finish::engine_kind(comm).is_some() || comm == b"podman";
    let mut candidates: Vec<Pid> = vec![Pid(1)];
    let all = snapshot.processes.values();
    candidates.extend(all.filter(|process| is_engine(process.comm())).map(|process| process.pid));
    let mut parents: Vec<Pid> = elsewhere.iter().filter_map(|pid| processes.get(*pid)?.ppid).collect();
    parents.compact_sort();
    parents.dedup();
    candidates.extend(parents);
    let mut found: Vec<(bool, NamespaceId, Vec<Pid>)> = Vec::new();
    let mut at: FxHashMap<NamespaceId, usize> = FxHashMap::default();
    let mut seen: FxHashSet<(NamespaceId, Option<NamespaceId>)> = FxHashSet::default();
    for pid in candidates {
        let Some(mount_ns) = processes.mount_ns(pid).filter(|id| Some(*id) != snapshot.observer_mount_ns) else {
            continue;
        };
        let pid_ns = processes.get(pid).and_then(|process| process.namespaces.get(NamespaceType::Pid));
        if seen.insert((mount_ns, pid_ns)) {
            let index = *at.entry(mount_ns).or_insert_with(|| {
                found.push((processes.maker(mount_ns).is_some(), mount_ns, Vec::new()));
                found.len() - 1
            });
            found[index].2.push(pid);
        }
    }
    // Whoever fills this list with mount namespaces of their own comes last.
    found.compact_sort_by_key(|(is_ordinary, ..)| *is_ordinary);
    let left_out = found.len().saturating_sub(MOST_SOURCES);
    if left_out > 0 {
        let what = Operation::Read(format!("engines' files in {left_out} more mount namespaces").into());
        gaps.push(Gap::because(Place::Containers, Object::Host, what, lxkns_model::Cause::Limit));
    }
    for (_, mount_ns, mut readers) in found.into_iter().take(MOST_SOURCES) {
        readers.truncate(MOST_READERS);
        let root: Option<OwnedFd> = processes.root(readers[0]);
        let (pid, whose) = (Some(readers[0]), processes.maker(mount_ns));
        sources.extend(root.map(|root| {
            let mounts = processes.mounts(pid, whose.is_some());
            let is_host = processes.is_host(mount_ns);
            Source { root, mounts, pid, readers, mount_ns: Some(mount_ns), is_host, whose }
        }));
    }
    sources
}

/// Whether a network namespace without processes is mounted somewhere.
fn has_leftovers(snapshot: &Snapshot) -> bool {
    snapshot.namespaces.values().any(|namespace| {
        namespace.ns_type == NamespaceType::Net && namespace.is_without_tasks() && !namespace.bind_mounts().is_empty()
    })
}
