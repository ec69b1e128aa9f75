//! A file for each question: what a scan must have for it, what its TARGETs mean, what is read of the living host beside the
//! scan, which gaps can change the answer, and the answer.
//!
//! `lxkns` and `lxkns-serve` bring only where parameters come from and where answers go.

pub mod audit;
pub mod busy;
pub mod caps;
pub mod containers;
pub mod diff;
pub mod doctor;
pub mod explain;
pub mod links;
pub mod list;
pub mod mounts;
pub mod orphans;
pub mod owner;
pub mod ports;
pub mod show;
pub mod tree;
pub mod who_can;
pub mod why;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use lxkns_answers::gaps;
use lxkns_answers::resolve::{Resolver, Unresolved};
use lxkns_answers::target::{Asked, Target};
use lxkns_answers::text::escape::printable;
use lxkns_core::model::links::HostLinks;
use lxkns_core::model::{
    CompactSort as _, Ending, Gap, Namespace, NamespaceId, NamespaceType, Pid, Places, Process, Snapshot, Suspect,
    Tasks, Tid,
};
use lxkns_core::{Discovery, ProcRoot};
use lxkns_inside::Program;

/// The living host, for what is read beside a scan.
#[derive(Clone, Copy)]
pub struct Host<'a> {
    /// The session that has scanned it.
    pub session: &'a Discovery<'a>,
    /// What looks into namespaces from inside.
    pub program: &'a Program,
    /// How long an operation in another namespace may take.
    pub timeout: Duration,
}

impl fmt::Debug for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("program", self.program).field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl Host<'_> {
    /// The links of all network namespaces of a snapshot.
    pub fn links(&self, snapshot: &Snapshot) -> HostLinks {
        lxkns_inside::links(self.session, snapshot, self.program, self.timeout)
    }

    /// Why PID namespaces do not end, of those of these that are about to.
    fn endings(&self, snapshot: &Snapshot, ids: impl Iterator<Item = NamespaceId>) -> BTreeMap<NamespaceId, Ending> {
        let proc = self.session.proc();
        ids.filter_map(|id| Some((id, lxkns_core::ending_of(proc, snapshot, id)?))).collect()
    }
}

/// What was read beside a scan.
#[derive(Debug, Default)]
pub struct More {
    suspects: Vec<Suspect>,
    gaps: Vec<Gap>,
    endings: BTreeMap<NamespaceId, Ending>,
}

impl More {
    /// What could not be read.
    pub fn of_gaps(gaps: Vec<Gap>) -> Self {
        Self { gaps, ..Self::default() }
    }

    /// Adds it to a snapshot.
    pub fn add_to(self, snapshot: &mut Snapshot) {
        snapshot.suspects.extend(self.suspects);
        snapshot.suspects.compact_sort();
        snapshot.gaps.extend(self.gaps);
        snapshot.gaps.compact_sort();
        snapshot.gaps.dedup();
        snapshot.annotations.endings = self.endings;
    }

    /// A snapshot with it.
    pub fn onto(self, snapshot: &Snapshot) -> Cow<'_, Snapshot> {
        if self.suspects.is_empty() && self.gaps.is_empty() && self.endings.is_empty() {
            return Cow::Borrowed(snapshot);
        }
        let mut snapshot = snapshot.clone();
        self.add_to(&mut snapshot);
        Cow::Owned(snapshot)
    }
}

/// Is told why a TARGET means nothing; the others are still answered.
pub type Refuse<'a> = dyn FnMut(Unresolved) + 'a;

/// TARGETs, each with the namespaces that it means.
pub type Found<'a> = Vec<(&'a Asked, Vec<NamespaceId>)>;

/// What these TARGETs mean.
pub fn find<'a>(resolver: &Resolver<'_>, asked: &'a [Asked], refuse: &mut Refuse<'_>) -> Found<'a> {
    let mut found = Vec::new();
    for asked in asked {
        match resolver.resolve(asked) {
            Ok(ids) => found.push((asked, ids)),
            Err(unresolved) => refuse(unresolved),
        }
    }
    found
}

/// The namespaces that a TARGET means, of a process or container only the one of this type.
///
/// # Errors
///
/// It means none.
pub fn find_of_type(
    resolver: &Resolver<'_>,
    asked: &Asked,
    ns_type: NamespaceType,
) -> Result<Vec<NamespaceId>, Unresolved> {
    let mut settled = resolver.settle(asked)?;
    if let Target::Process(pid) = settled.target {
        settled.target = Target::OfProcess(pid, ns_type);
    }
    resolver.resolve(&settled)
}

/// The process of a TARGET.
///
/// # Errors
///
/// The snapshot does not have it.
pub fn find_process<'a>(resolver: &Resolver<'a>, asked: &Asked, pid: Pid) -> Result<&'a Process, Unresolved> {
    resolver.process(pid).ok_or_else(|| absent(resolver, &text(asked), pid))
}

/// Why a snapshot does not have a process.
fn absent(resolver: &Resolver<'_>, text: &str, pid: Pid) -> Unresolved {
    use lxkns_answers::resolve::Absence;
    let absence = resolver.absence(pid);
    let words = format!("{text}: {}", absence.words());
    if absence == Absence::Gone { Unresolved::Missing(words) } else { Unresolved::Unseen(words) }
}

/// Has a thread stand for its process in a snapshot, if that ID is one of a thread and not of a process: each thread has
/// credentials of its own. Of a dump, which has no procfs, these are not known.
pub fn settle_thread(proc: Option<&ProcRoot>, snapshot: &mut Snapshot, id: Pid) -> Option<Pid> {
    if snapshot.processes.contains_key(&id) {
        return Some(id);
    }
    if let Some(proc) = proc {
        return lxkns_core::have_thread_stand_for_process(proc, snapshot, Tid(id.0));
    }
    let mut all = snapshot.processes.values_mut();
    let (process, task) = all.find_map(|process| {
        let task = process.tasks.iter().find(|task| task.tid == Tid(id.0)).cloned()?;
        Some((process, task))
    })?;
    process.namespaces = task.namespaces;
    process.status = None;
    process.tasks = Tasks::new(task, []);
    Some(process.pid)
}

/// What a TARGET was asked for in, safe to print.
pub fn text(asked: &Asked) -> String {
    printable(asked.text.as_encoded_bytes())
}

/// What a TARGET was asked for in, as an answer says it.
fn named(asked: &Asked) -> String {
    asked.text.to_string_lossy().into_owned()
}

/// What could not be seen in these places, in sentences.
pub fn gap_lines(snapshot: &Snapshot, places: Places) -> Vec<String> {
    gaps::lines(snapshot, places, gaps::held(snapshot))
}

fn is_of_type(snapshot: &Snapshot, id: NamespaceId, ns_type: NamespaceType) -> bool {
    snapshot.namespaces.get(&id).is_some_and(|namespace: &Namespace| namespace.ns_type == ns_type)
}
