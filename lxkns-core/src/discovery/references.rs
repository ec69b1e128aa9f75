//! How many references to a namespace the kernel counts, and how many of them are explained by what was found.
//!
//! The count is that of `ns_common`. What adds one to it: each `nsproxy` that has the namespace, however many tasks share that
//! (one that has it as the time namespace and as that for children adds two); the inode on nsfs, however many descriptors and
//! bind mounts lead to that; of a mount namespace each open mountinfo; of a cgroup namespace each open file of a control group;
//! of an IPC namespace each attachment of a System V segment; of a network namespace sockets, TUN/TAP files, and more that
//! cannot be seen. Credentials, children and `struct pid` hold user and PID namespaces in numbers that nothing shows.

use rustc_hash::{FxHashMap, FxHashSet};

use super::found::{Found, Seen};
use super::search::Search;
use crate::kernel_reader::{FileKind, KernelReader, NamespaceRecord, Receiver, Refusal, WaitingKind};
use crate::model::{Exactness, Holder, NamespaceId, NamespaceType, Object, Pid, Place, References, Snapshot};

/// What the kernel counted when a scan began.
pub(super) struct Counts(FxHashMap<u32, NamespaceRecord>);

/// What a walk through tasks and files explains.
#[derive(Default)]
struct Walk {
    /// How many references of each namespace, without its inode on nsfs.
    explained: FxHashMap<u32, u32>,
    /// The namespaces that have an inode on nsfs.
    open: FxHashSet<u32>,
    /// Whether there are TUN/TAP files of which the kernel does not tell whose they are.
    lacks_tuns: bool,
    /// Whether more waits in sockets than is gone into.
    is_cut: bool,
    /// Whether the kernel keeps tasks from programs, whose namespaces and files are not among the explained ones then.
    lacks_tasks: bool,
}

/// Reads the counts before the mounts are read; `None` if they are not wanted or the kernel does not tell. In another PID
/// namespace than the initial one, not all tasks are visible, and nothing would be explained.
pub(super) fn begin(search: &Search<'_>, found: &mut Found) -> Option<Counts> {
    if !(search.options.references && search.reads_kernel && search.is_in_initial_pid_ns) {
        return None;
    }
    let counted = search.session.kernel_reader().as_ref().map_err(Clone::clone).and_then(counts);
    counted.map_err(|why| gap(found, why)).ok()
}

fn gap(found: &mut Found, Refusal { operation, failure }: Refusal) {
    found.gap(Place::NamespaceFacts, Object::Host, operation, failure);
}

fn counts(reader: &KernelReader) -> Result<Counts, Refusal> {
    let mut counts = FxHashMap::default();
    let mut note = |told: NamespaceRecord| {
        counts.insert(told.ino, told);
    };
    // Before Linux 6.18: of those that tasks and files lead to.
    if reader.listed(&mut note).is_err() {
        reader.namespaces(&mut note)?;
    }
    // One that has none is just ending; if none has, their counts are elsewhere on this kernel.
    let has_some = counts.values().any(|told| told.references > 0);
    counts.retain(|_, told| told.references > 0);
    if has_some { Ok(Counts(counts)) } else { Err(Refusal::without_counts()) }
}

/// Adds the references of all namespaces of which they can be told. If a count has changed since the scan began, nothing is
/// said of the namespace; and if something is not explained, not before a second walk has shown the same.
pub(super) fn all(
    search: &Search<'_>,
    found: &mut Found,
    before: Option<Counts>,
) -> FxHashMap<NamespaceId, References> {
    let Some(before) = before else { return FxHashMap::default() };
    search.forget_kept();
    let told = search.session.kernel_reader().as_ref().map_err(Clone::clone).and_then(|reader| {
        let (walk, after) = (walk(search, reader)?, counts(reader)?);
        let mut told = explained(search, found, reader, &walk, &[&before, &after])?;
        let has_more = |references: &References| references.has_more();
        if told.values().any(has_more) {
            let (walk, again) = (self::walk(search, reader)?, counts(reader)?);
            let second = explained(search, found, reader, &walk, &[&before, &after, &again])?;
            told.retain(|id, references| !references.has_more() || second.get(id) == Some(references));
        }
        Ok(told)
    });
    told.unwrap_or_else(|why| {
        gap(found, why);
        FxHashMap::default()
    })
}

/// The references of the namespaces whose counts are the same in all of these.
fn explained(
    search: &Search<'_>,
    found: &Found,
    reader: &KernelReader,
    walk: &Walk,
    counts: &[&Counts],
) -> Result<FxHashMap<NamespaceId, References>, Refusal> {
    let mut all = FxHashMap::default();
    for (&id, seen) in &found.namespaces {
        let exactness = match seen.ns_type {
            NamespaceType::User | NamespaceType::Pid => continue,
            NamespaceType::Net => Exactness::AtLeast,
            _ if walk.lacks_tasks => Exactness::AtLeast,
            _ => Exactness::Exact,
        };
        let Ok(ino) = u32::try_from(id.ino) else { continue };
        let mut told = counts.iter().map(|Counts(counts)| counts.get(&ino));
        let Some(&record) = told.next().flatten() else { continue };
        let is_it = |record: &NamespaceRecord| NamespaceType::from_clone_flag(record.clone_flag) == Some(seen.ns_type);
        let is_same = |other: &NamespaceRecord| {
            (other.address, other.unique_id, other.references) == (record.address, record.unique_id, record.references)
        };
        if !is_it(&record) || !told.all(|other| other.is_some_and(is_same)) {
            continue;
        }
        let is_open = walk.open.contains(&ino) || is_bind_mounted(seen);
        let mut explained = walk.explained.get(&ino).copied().unwrap_or_default() + u32::from(is_open);
        if seen.ns_type == NamespaceType::Ipc && explained < record.references {
            let (least, most) = reader.attachments(record.address)?;
            explained += (record.references - explained).clamp(least, most);
        }
        // What is not explained may be a TUN/TAP file, or wait in a socket.
        let lacks_some = walk.is_cut || walk.lacks_tuns && seen.ns_type == NamespaceType::Net;
        if lacks_some && explained < record.references {
            continue;
        }
        // More than there are were not there at the same time.
        if explained <= record.references && id.dev == search.devices.nsfs {
            all.insert(id, References { total: record.references, explained, exactness });
        }
    }
    Ok(all)
}

fn is_bind_mounted(seen: &Seen) -> bool {
    seen.holders.iter().any(|holder| matches!(holder, Holder::BindMount { .. }))
}

/// Goes through all tasks and files once.
fn walk(search: &Search<'_>, reader: &KernelReader) -> Result<Walk, Refusal> {
    let mut walk = Walk::default();
    let listed = search.proc.pids().unwrap_or_default();
    let mut explain = |ino: u32| *walk.explained.entry(ino).or_default() += 1;
    let mut sets = FxHashSet::default();
    let mut told = FxHashSet::default();
    for task in reader.tasks(false)? {
        told.insert(Pid(task.number));
        if task.nsproxy.is_some_and(|set| sets.insert(set)) {
            // Of those for children, the PID namespace is none that counts.
            task.namespaces.into_iter().for_each(&mut explain);
        }
    }
    walk.lacks_tasks = lacks_some(search, &listed, &told);
    let (mut files, mut sockets) = (FxHashSet::default(), FxHashSet::default());
    let (mut receivers, mut others, mut tuns) = (Vec::new(), Vec::new(), Vec::new());
    reader.files(true, |file| {
        if !files.insert(file.address) {
            return;
        }
        match file.kind {
            FileKind::Namespace { ino, .. } => drop(walk.open.insert(ino as u32)),
            FileKind::Socket { inode, net, can_have_some_in_flight } => {
                if sockets.insert(inode) {
                    explain(net);
                }
                if can_have_some_in_flight {
                    receivers.push(Receiver { file: file.address, inode });
                }
            }
            FileKind::Tun => tuns.push(file.address),
            FileKind::Suspect { file_system } => others.push((file.address, file_system)),
        }
    })?;
    reader.held_by_files(&others)?.into_iter().for_each(&mut explain);
    // The driver can be a module that does not describe itself.
    let told = reader.tuns(&tuns, |path| search.session.btf(path));
    let lacks_tuns = told.is_err();
    told.unwrap_or_default().into_iter().for_each(|(net, _)| explain(net));
    let (waiting, unsure) = reader.in_flight(&receivers)?;
    walk.is_cut = unsure.is_cut;
    for waiting in waiting {
        match waiting.what {
            WaitingKind::Namespace { ino, .. } => drop(walk.open.insert(ino as u32)),
            WaitingKind::Socket { inode, net } if sockets.insert(inode) => explain(net),
            WaitingKind::Connection { net } => explain(net),
            _ => {}
        }
    }
    walk.explained.remove(&0);
    walk.lacks_tuns = lacks_tuns && !tuns.is_empty();
    Ok(walk)
}

/// Whether there are processes that the kernel does not tell programs of: PID 1, which each PID namespace has, or one that
/// procfs has listed before and still has.
fn lacks_some(search: &Search<'_>, listed: &[Pid], told: &FxHashSet<Pid>) -> bool {
    let is_there = |pid: &Pid| search.proc.process(*pid).is_ok_and(|dir| dir.read("stat", &mut Vec::new()).is_ok());
    !told.contains(&Pid(1)) || listed.iter().any(|pid| !told.contains(pid) && is_there(pid))
}

/// Adds them to the snapshot, but for the initial namespaces.
pub(super) fn add(snapshot: &mut Snapshot, references: FxHashMap<NamespaceId, References>) {
    let is_initial = |id: &NamespaceId| snapshot.namespaces.get(id).is_none_or(|namespace| namespace.initial);
    snapshot.references = references.into_iter().filter(|(id, _)| !is_initial(id)).collect();
}
