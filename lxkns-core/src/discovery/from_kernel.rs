//! Places 1 to 7 as the kernel reader tells them: the same facts that procfs has, from two reads of the kernel's iterators.
//!
//! Procfs is left with what these do not tell, and is asked for it only where it is wanted: control groups, scheduling,
//! labels, names of kernel threads, and suspects; `status` where a record lacks a part of it.

use std::sync::OnceLock;
use std::sync::atomic::Ordering;
use std::thread::ScopedJoinHandle;

use bstr::BString;
use rustc_hash::FxHashMap;

use super::facts::Facts;
use super::fds::{self, Table};
use super::found::Found;
use super::in_flight::OpenReceiver;
use super::kept_mounts::Version;
use super::processes::{self, Gathered};
use super::search::Search;
use super::tasks::{self, OtherTask, Reading, Whose};
use super::tun::OpenTun;
use super::untold;
use crate::failure::{Failure, errno_of};
use crate::kernel_reader::{FileKind, FileRecord, KernelReader, NamespaceRecord, Receiver, Refusal, TaskRecord};
use crate::model::{
    Cause, DiscoveryOptions, Gap, Holder, NamespaceId, NamespaceLinks, NamespaceType, NotKernel, Object, Operation,
    Pid, Place, ProcessStatus, Reader, Relation, Scope, Task, TaskState, Tid, Uid,
};
use crate::procfs::{ProcDir, parse};

/// What the kernel tells of all processes.
struct Told {
    processes: Vec<ToldProcess>,
    /// Mounts that are root directories of some tasks.
    roots: Vec<u64>,
    /// What is added to start times in the caller's time namespace.
    offset_ns: i128,
    ticks_per_second: u64,
}

/// What the kernel tells of a process.
struct ToldProcess {
    pid: Pid,
    ppid: Option<Pid>,
    /// Its tasks, the thread group leader first, then by TID.
    tasks: Vec<TaskRecord>,
    /// The task that stands for it, among these.
    voice: usize,
    /// The files of interest, each table once, with the task that the table is read of, among these.
    files: Vec<(usize, FileRecord)>,
}

impl ToldProcess {
    /// What `status` says of it, if the kernel has told that: the PIDs are those of the thread group leader, all else is of the
    /// task that stands for the process. The caller is in the initial user namespace, where UIDs are as the kernel has them:
    /// others may not load programs.
    fn status(&self) -> Option<ProcessStatus> {
        let leader = self.tasks.first().filter(|leader| leader.powers.is_some())?;
        let powers = self.tasks.get(self.voice)?.powers.as_deref()?;
        Some(ProcessStatus {
            uids: powers.uids,
            ns_pids: leader.numbers().iter().copied().map(Pid).collect(),
            capabilities: powers.capabilities,
            seccomp: powers.seccomp,
            no_new_privs: Some(powers.no_new_privs),
            label: None,
        })
    }
}

/// Reads all processes, except the calling one and its helpers, from the kernel's iterators, if that is wanted and possible.
///
/// # Errors
///
/// Why procfs is to be read. A gap says so as well if the kernel reader was asked for, or was used before; or if it failed for
/// another reason than that the caller may not use it or the kernel does not have it. After any failure, a session does not
/// use it again: scans that differ only in how they were made would be compared.
pub(super) fn all(search: &mut Search<'_>, found: &mut Found) -> Result<Found, NotKernel> {
    let session = search.session;
    match search.options.reader {
        Some(Reader::Kernel) => {}
        None if session.prefers_kernel(search.is_in_initial_pid_ns) => {}
        None => return Err(NotKernel::FewProcesses),
        Some(_) => return Err(NotKernel::NotAsked),
    }
    let asked = match session.refused.get() {
        Some(refusal) => Err(refusal.clone()),
        None => ask(search, found).map_err(|refusal| refusal.or_lockdown(search.proc)),
    };
    let gap = match asked {
        Ok(all) => {
            session.has_read_kernel.store(true, Ordering::Relaxed);
            return Ok(all);
        }
        Err(refusal) => gap_of(session.refused.get_or_init(|| refusal).clone()),
    };
    (search.reads_kernel, search.listed) = (false, None);
    search.roots.clear();
    search.mounts_changed.clear();
    let is_missing =
        matches!(gap.cause, Cause::Denied | Cause::Unsupported | Cause::OtherPidNamespace | Cause::Partial);
    let was_used = session.has_read_kernel.load(Ordering::Relaxed);
    if search.options.reader.is_some() || was_used || !is_missing {
        found.gaps.push(gap.clone());
    }
    Err(NotKernel::Refused(gap))
}

/// Why the kernel reader is not used.
pub(super) fn gap_of(refusal: Refusal) -> Gap {
    let Refusal { operation, failure } = refusal;
    // No error of these calls says that something has vanished.
    let cause = failure.cause().unwrap_or(Cause::Other);
    Gap { place: Place::Reader, object: Object::Host, operation, cause, errno: failure.errno().and_then(errno_of) }
}

fn ask(search: &mut Search<'_>, found: &mut Found) -> Result<Found, Refusal> {
    let refused = |operation, failure: Failure| Refusal { operation, failure };
    if !search.proc.is_own() {
        // The kernel tells of the processes of the caller's PID namespace.
        return Err(refused(Operation::list("processes"), Cause::OtherPidNamespace.into()));
    }
    let reader = search.session.kernel_reader().as_ref().map_err(Clone::clone)?;
    let offset_ns = start_time_offset(search, found)?;
    search.reads_kernel = true;
    let options = search.options;
    let readers = OnceLock::new();
    let (told, missing, mut all, files) = std::thread::scope(|scope| {
        // Files take the kernel longest: they are read meanwhile by a thread, or afterwards where none can be started.
        let files = || files(options, reader, &readers);
        let thread = std::thread::Builder::new().name("lxkns".into()).spawn_scoped(scope, files);
        // They come before tasks: a task that has just made a namespace is then seen in it, or the namespace is not listed.
        let (mut of_lists, mut changed) = (Found::default(), FxHashMap::default());
        search.listed = listed(search, reader, &mut of_lists, &mut changed);
        search.mounts_changed = changed;
        add_invisible_relations(search);
        let counted = untold::counted(search);
        let mut missing = None;
        let told = reader.tasks(options.status != Scope::None).map(|tasks| {
            // As no task began or ended meanwhile, as many as are not told of are kept from programs.
            let count = counted.filter(|_| untold::counted(search) == counted);
            missing = count.and_then(|(count, _)| count.checked_sub(tasks.len()));
            let left_out = processes::left_out(search);
            // In a PID namespace there may be no other process than the caller.
            let roots = tasks.iter().filter_map(|task| Some(task.root?.0)).take(ANCHORS).collect();
            Told::of(processes_of(tasks, &left_out, search.is_in_initial_pid_ns), roots, offset_ns)
        });
        // The thread may wait for this.
        drop(readers.set(told.as_ref().map(|told| readers_of(search, &told.processes)).unwrap_or_default()));
        let mut all = Found::default();
        if let Ok(told) = &told {
            search.roots = told.roots();
            found.merge(of_lists);
            all = processes::each(search, &told.processes, |found, process| told.process(search, found, process));
        }
        let files = match thread.map(ScopedJoinHandle::join) {
            Ok(Ok(files)) => files,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(_) => files(),
        };
        (told, missing, all, files)
    });
    let (mut told, files) = (told?, files?);
    tell_file_system_owners(search, reader, &told, found);
    let readers = readers.into_inner().unwrap_or_default();
    for file in files {
        if let Some(&(process, task)) = readers.get(&file.tid) {
            told.processes[process].files.push((task, file));
        }
    }
    let have_files: Vec<_> = told.processes.iter().filter(|process| !process.files.is_empty()).collect();
    all.merge(processes::each(search, &have_files, |found, process| told.files(search, found, process)));
    let pids: Vec<_> = told.processes.iter().map(|process| process.pid).collect();
    untold::add(search, &pids, missing, &mut all);
    Ok(all)
}

/// What procfs adds to start times for the caller, in nanoseconds.
fn start_time_offset(search: &Search<'_>, found: &Found) -> Result<i128, Refusal> {
    let operation = || Operation::read("timens_offsets");
    let mut buffer = Vec::new();
    let text = match search.proc.dir().read("thread-self/timens_offsets", &mut buffer) {
        Ok(text) => text,
        // A kernel without time namespaces.
        Err(rustix::io::Errno::NOENT) => return Ok(0),
        Err(errno) => return Err(Refusal { operation: operation(), failure: errno.into() }),
    };
    // The file has the offsets for children.
    let own = found.processes.first().map(|process| process.namespaces).unwrap_or_default();
    if own.for_children(NamespaceType::Time).is_some_and(|id| Some(id) != own.get(NamespaceType::Time)) {
        return Err(Refusal { operation: operation(), failure: Cause::Partial.into() });
    }
    let offsets =
        parse::timens::parse(text).map_err(|_| Refusal { operation: operation(), failure: Cause::Malformed.into() })?;
    let (seconds, nanoseconds) = offsets.boottime;
    Ok(i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds))
}

/// The processes that these tasks make up, without some. One without a thread group leader has just vanished. The initial PID
/// namespace numbers a parent as the kernel does, also one that the kernel keeps from programs.
fn processes_of(tasks: Vec<TaskRecord>, left_out: &[Pid], in_initial: bool) -> Vec<ToldProcess> {
    let leaders = tasks.iter().filter(|task| task.tid == task.tgid && task.number != 0);
    let pids: FxHashMap<u32, u32> = leaders.map(|task| (task.tgid, task.number)).collect();
    let mut by_tgid: FxHashMap<u32, Vec<TaskRecord>> = FxHashMap::default();
    for task in tasks {
        if task.number != 0 && pids.contains_key(&task.tgid) {
            let of_process = by_tgid.entry(task.tgid).or_default();
            // Most processes have one task or two: no room is made for more of these large records.
            of_process.reserve_exact(usize::from(of_process.len() < 2));
            of_process.push(task);
        }
    }
    let mut processes: Vec<_> = by_tgid
        .into_iter()
        .filter_map(|(tgid, mut tasks)| {
            let pid = Some(Pid(*pids.get(&tgid)?)).filter(|pid| !left_out.contains(pid))?;
            tasks.sort_unstable_by_key(|task| (task.tid != tgid, task.number));
            let parent = tasks.first().map_or(0, |leader| leader.parent);
            let ppid = pids.get(&parent).copied().or((in_initial && parent != 0).then_some(parent)).map(Pid);
            // If the thread group leader has exited before the others, a living task stands for the process.
            let voice = match tasks.first().is_some_and(is_spent) {
                true => tasks.iter().position(|task| !is_spent(task)).unwrap_or(0),
                false => 0,
            };
            Some(ToldProcess { pid, ppid, tasks, voice, files: Vec::new() })
        })
        .collect();
    processes.sort_unstable_by_key(|process| process.pid);
    processes
}

/// Whether a task has exited or is exiting, and can hold nothing but its user and PID namespace.
fn is_spent(task: &TaskRecord) -> bool {
    task.has_left() || TaskState(task.state()).is_dead()
}

/// From the root directory of one of so many tasks, the kernel's list of file systems is found.
const ANCHORS: usize = 16;

/// Notes which file systems belong to a user namespace.
fn tell_file_system_owners(search: &Search<'_>, reader: &KernelReader, told: &Told, found: &mut Found) {
    if search.looks_in(Place::BindMounts) {
        let (owners, operation, failure) = match reader.file_system_owners(&told.roots) {
            Ok((owners, true)) => (owners, Operation::OPEN, Failure::VANISHED),
            Ok((owners, false)) => (owners, Operation::list("file systems"), Cause::Partial.into()),
            Err(Refusal { operation, failure }) => (Vec::new(), operation, failure),
        };
        found.gap(Place::BindMounts, Object::Host, operation, failure);
        let id = |ino: u32| NamespaceId { ino: ino.into(), dev: search.devices.nsfs };
        let owners = owners.into_iter().map(|(file_system, ino)| (file_system, id(ino))).collect();
        search.file_system_owners.get_or_init(|| owners);
    }
}

/// The task that each table of open files is read of, by its TID: which process and which of its tasks that is.
type Readers = FxHashMap<u32, (usize, usize)>;

fn readers_of(search: &Search<'_>, processes: &[ToldProcess]) -> Readers {
    // Each table is told of by every task that has it, but for those that share the thread group leader's. The task that
    // stands for its process counts first.
    let mut readers = Readers::default();
    for (at, process) in processes.iter().enumerate() {
        let mut tables: FxHashMap<u64, usize> = FxHashMap::default();
        let others =
            (0..process.tasks.len()).filter(|&index| index != process.voice && search.looks_in(Place::TaskFds));
        for index in std::iter::once(process.voice).chain(others) {
            let task = &process.tasks[index];
            if let Some(table) = task.table.filter(|_| !is_spent(task))
                && *tables.entry(table).or_insert(index) == index
            {
                readers.insert(task.tid, (at, index));
            }
        }
    }
    readers
}

/// The open files that some place asks for. Of many, only those of `readers`.
fn files(
    options: &DiscoveryOptions,
    reader: &KernelReader,
    readers: &OnceLock<Readers>,
) -> Result<Vec<FileRecord>, Refusal> {
    /// Below a thread group leader that has exited, the kernel tells of each file once for each task.
    const MANY: usize = 1 << 15;
    let mut files = Vec::new();
    let with_suspects = options.suspects;
    let places = [Place::Fds, Place::Sockets, Place::Tun];
    if with_suspects || places.into_iter().any(|place| options.places.contains(place)) {
        reader.files(with_suspects, |file| {
            if files.len() < MANY || readers.wait().contains_key(&file.tid) {
                files.push(file);
            }
        })?;
    }
    Ok(files)
}

/// Notes what the kernel's lists tell of a namespace; `None` if it has to be opened.
pub(super) fn facts_of_lists(search: &Search<'_>, id: NamespaceId) -> Option<()> {
    let (listed, _) = search.listed.as_ref()?;
    let ns_type = listed.get(&id)?.ns_type;
    // A helper is to enter it.
    let must_be_open = ns_type == NamespaceType::Mnt && search.keeps(id);
    if must_be_open { None } else { note_facts(search, listed, id) }
}

/// Notes what the kernel reader tells of a namespace that the caller may not open, with its owners and parents; `None` if it
/// is not used, or does not know it.
pub(super) fn facts(search: &Search<'_>, id: NamespaceId) -> Option<()> {
    if !search.reads_kernel {
        return None;
    }
    let told = search.told.get_or_init(|| {
        let reader = search.session.kernel_reader().as_ref().map_err(Clone::clone)?;
        let mut all = FxHashMap::default();
        reader.namespaces(|told| all.extend(facts_of(search, told)))?;
        Ok(all)
    });
    note_facts(search, told.as_ref().ok()?, id)
}

/// Notes what the kernel tells of a namespace, with its owners and parents; `None` if it is not among `told`.
pub(super) fn note_facts(search: &Search<'_>, told: &FxHashMap<NamespaceId, Facts>, id: NamespaceId) -> Option<()> {
    let mut todo = vec![told.get_key_value(&id)?];
    while let Some((&id, facts)) = todo.pop() {
        let mut known = search.facts();
        if known.contains_key(&id) {
            continue;
        }
        known.insert(id, facts.clone());
        let related = [facts.owner, facts.parent].into_iter().filter_map(Relation::known);
        todo.extend(related.filter_map(|id| told.get_key_value(&id)));
    }
    Some(())
}

/// Adds the owners and parents of the caller's namespaces that the lists tell and a caller in another PID namespace cannot open.
fn add_invisible_relations(search: &Search<'_>) {
    let Some((listed, _)) = search.listed.as_ref() else { return };
    let mut found = Vec::new();
    for (id, known) in search.facts().iter_mut() {
        let Some(listed) = listed.get(id) else { continue };
        for (relation, listed) in [(&mut known.owner, listed.owner), (&mut known.parent, listed.parent)] {
            if *relation == Relation::NotVisible {
                *relation = listed;
                found.extend(listed.known());
            }
        }
    }
    for id in found {
        note_facts(search, listed, id);
    }
}

/// The namespaces of the kernel's own lists, and whether these were read to their ends.
pub(super) type Listed = (FxHashMap<NamespaceId, Facts>, bool);

/// The kernel's lists once more.
pub(super) fn listed_now(search: &Search<'_>, found: &mut Found) -> Option<Listed> {
    listed(search, search.session.kernel_reader().as_ref().ok()?, found, &mut FxHashMap::default())
}

/// Reads the kernel's lists, where they are asked for and known. Lists that are known and not read are a gap.
fn listed(
    search: &Search<'_>,
    reader: &KernelReader,
    found: &mut Found,
    mounts_changed: &mut FxHashMap<NamespaceId, Version>,
) -> Option<Listed> {
    if !search.looks_in(Place::Kernel) {
        return None;
    }
    let mut all = FxHashMap::default();
    let note = |listed: NamespaceRecord| {
        let facts = facts_of(search, listed);
        if let Some((id, Facts { ns_type: NamespaceType::Mnt, .. })) = facts
            && listed.changed != 0
        {
            mounts_changed.insert(id, (listed.unique_id, listed.changed));
        }
        all.extend(facts);
    };
    let (operation, failure) = match reader.listed(note) {
        Ok(true) => return Some((all, true)),
        Ok(false) => (Operation::list("namespaces"), Cause::Partial.into()),
        Err(Refusal { operation: Operation::Parse(_), .. }) => return None,
        Err(Refusal { operation, failure }) => (operation, failure),
    };
    found.gap(Place::Kernel, Object::Host, operation, failure);
    (failure.cause() == Some(Cause::Partial)).then_some((all, false))
}

fn facts_of(search: &Search<'_>, told: NamespaceRecord) -> Option<(NamespaceId, Facts)> {
    let dev = search.devices.nsfs;
    let ns_type = NamespaceType::from_clone_flag(told.clone_flag)?;
    let (asks_owner, asks_parent) = (search.looks_in(Place::Owners), search.looks_in(Place::Parents));
    let relation = |is_asked: bool, ino: u32| match (is_asked, ino) {
        (false, _) => Relation::NotAsked,
        (true, 0) => Relation::None,
        (true, ino) => Relation::Known(NamespaceId { ino: ino.into(), dev }),
    };
    let owner = relation(asks_owner || ns_type == NamespaceType::User && asks_parent, told.owner);
    let parent = match ns_type {
        NamespaceType::User => owner,
        NamespaceType::Pid => relation(asks_parent, told.parent),
        _ => Relation::None,
    };
    let unique_id = (told.unique_id != 0).then_some(told.unique_id);
    let facts = Facts {
        ns_type,
        unique_id,
        without_id: unique_id.is_none().then(|| Cause::Unsupported.into()),
        owner,
        parent,
        owner_uid: (ns_type == NamespaceType::User).then_some(Uid(told.owner_uid)),
        unanswered: Vec::new(),
    };
    Some((NamespaceId { ino: told.ino.into(), dev }, facts))
}

/// Notes why the kernel reader did not tell of namespaces that the caller may not open.
pub(super) fn gap_of_facts(search: &Search<'_>, found: &mut Found) {
    if let Some(Err(Refusal { operation, failure })) = search.told.get() {
        found.gap(Place::NamespaceFacts, Object::Host, operation.clone(), *failure);
    }
}

impl Told {
    fn of(processes: Vec<ToldProcess>, roots: Vec<u64>, offset_ns: i128) -> Self {
        Self { processes, roots, offset_ns, ticks_per_second: rustix::param::clock_ticks_per_second() }
    }

    /// Which root directory each process has, by the task that stands for it.
    fn roots(&self) -> FxHashMap<Tid, (u64, u64)> {
        let voices = self.processes.iter().filter_map(|process| process.tasks.get(process.voice));
        voices.filter_map(|task| Some((Tid(task.number), task.root?))).collect()
    }

    /// Notes what the kernel has told of one process, but for its files.
    fn process(&self, search: &Search<'_>, found: &mut Found, told: &ToldProcess) {
        let known = found.namespaces.len();
        let pid = told.pid;
        let Some((leader, others)) = told.tasks.split_first() else { return };
        let main = self.reading(search, found, told, leader, true);
        let mut gathered_others = Vec::new();
        if search.looks_in(Place::Tasks) || search.looks_in(Place::TaskFds) || main.is_spent() {
            for (index, other) in others.iter().enumerate() {
                let namespaces = self.links(search, other);
                let is_plain = !search.options.task_details && !main.is_spent();
                let task = (!is_plain || namespaces != main.task.namespaces).then(|| {
                    let stands_for_process = index + 1 == told.voice;
                    self.reading(search, found, told, other, stands_for_process).task
                });
                let (tid, is_alive) = (Tid(other.number), !is_spent(other));
                gathered_others.push(OtherTask { tid, namespaces, is_alive, task });
            }
        }
        let Some(voice) = told.tasks.get(told.voice) else { return };
        let (voice, namespaces) = (Tid(voice.number), self.links(search, voice));
        let mut gathered = Gathered { pid, main, others: gathered_others, voice, namespaces };
        processes::hold(search, found, &mut gathered);
        processes::finish(search, found, gathered, known, |found| {
            // Only procfs has labels.
            if let Some(status) = told.status().filter(|_| !search.options.security_labels) {
                return Some(status);
            }
            match self.directory(search, leader) {
                Ok(dir) => tasks::status(search, found, &dir, pid, voice),
                Err(failure) => {
                    found.gap(Place::ProcessFacts, Object::Process(pid), Operation::read("stat"), failure);
                    None
                }
            }
        });
    }

    /// The namespaces of a task. One that is exiting keeps two of them.
    fn links(&self, search: &Search<'_>, task: &TaskRecord) -> NamespaceLinks {
        let dev = search.devices.nsfs;
        let mut links = NamespaceLinks::default();
        let keeps = |ns_type| !is_spent(task) || matches!(ns_type, NamespaceType::User | NamespaceType::Pid);
        let (types, for_children) = task.namespaces.split_at(NamespaceType::ALL.len());
        for (ns_type, &ino) in
            NamespaceType::ALL.into_iter().zip(types).filter(|&(ns_type, &ino)| ino != 0 && keeps(ns_type))
        {
            links.set(ns_type, NamespaceId { ino: ino.into(), dev });
        }
        if search.looks_in(Place::ForChildren) && !is_spent(task) {
            for (ns_type, &ino) in [NamespaceType::Pid, NamespaceType::Time].into_iter().zip(for_children) {
                if ino != 0 {
                    links.set_for_children(ns_type, NamespaceId { ino: ino.into(), dev });
                }
            }
        }
        links
    }

    fn start_time_ticks(&self, task: &TaskRecord) -> u64 {
        let ns = (i128::from(task.started_ns) + self.offset_ns).max(0);
        u64::try_from(ns * i128::from(self.ticks_per_second) / 1_000_000_000).unwrap_or(u64::MAX)
    }

    /// The facts about a task, with those from procfs that are wanted and that the kernel does not tell.
    fn reading(
        &self,
        search: &Search<'_>,
        found: &mut Found,
        told: &ToldProcess,
        task: &TaskRecord,
        stands_for_process: bool,
    ) -> Reading {
        let (pid, tid) = (told.pid, Tid(task.number));
        let with_details = stands_for_process || search.options.task_details;
        let state = TaskState(task.state());
        let mut reading = Reading {
            task: Task {
                start_time_ticks: self.start_time_ticks(task),
                state,
                namespaces: self.links(search, task),
                ..Task::new(tid, BString::from(task.comm()))
            },
            ppid: told.ppid,
            threads: u32::try_from(told.tasks.len()).unwrap_or(u32::MAX),
            status: None,
            is_leaving: task.has_left() && !state.is_dead(),
        };
        let whose = Whose { pid, with_details, is_leaving: reading.is_leaving };
        let wants_status = search.options.status == Scope::All && tid == Tid::from(pid) && told.voice == 0;
        let status = if wants_status { told.status() } else { None };
        let has_status = status.is_some() && !search.options.security_labels;
        if !task.is_of_kernel() && !whose.takes_files(search.options, tid, has_status) {
            reading.status = status;
            return reading;
        }
        // Without this, `status` of a leader is read for its affinity.
        if with_details && (tid != Tid::from(pid) || status.is_some()) {
            reading.task.affinity = tasks::affinity(search, tid);
        }
        let object = if tid == Tid::from(pid) { Object::Process(pid) } else { Object::Task(pid, tid) };
        let dir =
            search.proc.process(pid).map_err(Failure::from).and_then(|dir| {
                Ok(if tid == Tid::from(pid) { dir } else { ProcDir::open(&dir, format!("task/{tid}"))? })
            });
        let read =
            dir.and_then(|dir| self.add_stat(search, found, &dir, &mut reading.task, with_details).map(|()| dir));
        match read {
            Ok(dir) => reading.status = tasks::details(search, found, &dir, &mut reading.task, whose, status),
            Err(failure) => found.gap(Place::ProcessFacts, object, Operation::read("stat"), failure),
        }
        reading
    }

    /// Adds what only `stat` has: the full name of a kernel thread, and the scheduling. It also shows whether the directory is
    /// that of the task that the kernel has told of.
    fn add_stat(
        &self,
        search: &Search<'_>,
        found: &mut Found,
        dir: &ProcDir,
        task: &mut Task,
        with_details: bool,
    ) -> Result<(), Failure> {
        let stat = parse::stat::parse(dir.read_record(c"stat", &mut found.buffer)?)?;
        if stat.start_time_ticks != task.start_time_ticks {
            return Err(Failure::VANISHED);
        }
        task.comm = BString::from(stat.comm);
        task.scheduling = (search.options.scheduling && with_details).then_some(stat.scheduling);
        Ok(())
    }

    /// The directory of a process, if its PID still means the same.
    fn directory(&self, search: &Search<'_>, leader: &TaskRecord) -> Result<ProcDir, Failure> {
        let dir = search.proc.process(Pid(leader.number))?;
        let mut buffer = Vec::new();
        let stat = parse::stat::parse(dir.read_record(c"stat", &mut buffer)?)?;
        if stat.start_time_ticks == self.start_time_ticks(leader) { Ok(dir) } else { Err(Failure::VANISHED) }
    }

    /// Notes what the open files of a process hold.
    fn files(&self, search: &Search<'_>, found: &mut Found, told: &ToldProcess) {
        let dev = search.devices.nsfs;
        let pid = told.pid;
        // What the kernel does not tell, by table.
        let mut asked = Vec::new();
        for &(index, FileRecord { fd, kind, address, .. }) in &told.files {
            let Some(task) = told.tasks.get(index) else { continue };
            let tid = Tid(task.number);
            match kind {
                FileKind::Namespace { ino, clone_flag } if search.looks_in(Place::Fds) => {
                    match NamespaceType::from_clone_flag(clone_flag) {
                        Some(ns_type) => {
                            let id = NamespaceId { ino, dev };
                            found.note(search, Place::Fds, id, ns_type, Holder::Fd { pid, tid, fd });
                        }
                        None => found.gap(Place::Fds, Object::Fd(pid, tid, fd), Operation::OPEN, Cause::Unsupported),
                    }
                }
                FileKind::Socket { inode, net, can_have_some_in_flight } => {
                    found.note_socket(search, inode, pid, tid, fd);
                    if search.looks_in(Place::Sockets) && net != 0 {
                        let id = NamespaceId { ino: net.into(), dev };
                        if self.links(search, task).get(NamespaceType::Net) == Some(id) {
                            found.sockets_at_home.push((inode, id));
                        } else {
                            let holder = Holder::Socket { pid, tid, fd, inode };
                            found.note(search, Place::Sockets, id, NamespaceType::Net, holder);
                        }
                    }
                    if can_have_some_in_flight {
                        let home = self.links(search, task).get(NamespaceType::Net);
                        let receiver = Receiver { file: address, inode };
                        found.receivers.push(OpenReceiver { pid, tid, fd, home, receiver });
                    }
                }
                FileKind::Tun => found.tuns.push(OpenTun { pid, tid, fd, file: address }),
                // References count these as well.
                FileKind::Suspect { .. } if search.options.suspects => asked.push((tid, fd)),
                FileKind::Suspect { .. } => {}
                FileKind::Namespace { .. } => {}
            }
        }
        self.ask_procfs(search, found, told, &asked);
    }

    /// Asks procfs for suspects, of which the kernel reader only tells that they matter.
    fn ask_procfs(&self, search: &Search<'_>, found: &mut Found, told: &ToldProcess, asked: &[(Tid, u32)]) {
        let Some(leader) = told.tasks.first().filter(|_| !asked.is_empty()) else { return };
        let process = match self.directory(search, leader) {
            Ok(process) => process,
            Err(failure) => return found.gap(Place::Fds, Object::Process(told.pid), Operation::read("stat"), failure),
        };
        for of_table in asked.chunk_by(|(one, _), (other, _)| one == other) {
            let Some(&(tid, _)) = of_table.first() else { continue };
            let Some(table) = Table::open(search, found, &process, told.pid, tid) else { continue };
            for &(_, fd) in of_table {
                if !fds::suspect_of(search, found, &process, &table, fd) {
                    break;
                }
            }
        }
    }
}
