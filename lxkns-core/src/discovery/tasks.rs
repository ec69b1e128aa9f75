//! Place 2: tasks; and the facts about each task, including thread group leaders.

use std::ffi::CStr;
use std::sync::Arc;

use bstr::BString;
use rustix::io::Errno;
use rustix::thread::CpuSet;

use super::found::Found;
use super::search::Search;
use crate::failure::{self, Failure};
use crate::model::{
    Cause, Cgroups, CpuRange, DiscoveryOptions, Gap, Holder, NamespaceId, NamespaceLinks, NamespaceType, Object,
    Operation, Pid, Place, ProcessStatus, Scope, Task, TaskState, Tid,
};
use crate::procfs::{ProcDir, parse};
use crate::security_label;

/// The facts about a task, with those about its process.
pub(super) struct Reading {
    pub(super) task: Task,
    pub(super) ppid: Option<Pid>,
    /// The number of tasks of the process.
    pub(super) threads: u32,
    pub(super) status: Option<ProcessStatus>,
    /// The task lacks namespaces that every living task has: it is exiting, which can take long.
    pub(super) is_leaving: bool,
}

impl Reading {
    /// Whether the task can hold nothing but its user and PID namespace.
    pub(super) fn is_spent(&self) -> bool {
        self.is_leaving || self.task.state.is_dead()
    }
}

/// Reads the facts about a task from its directory, or from its process's for the thread group leader; [`UNSETTLED`] if
/// that changes meanwhile. `of_process` are the namespaces of the process, for a task that is not the leader. More is
/// read of the task that stands for its process.
pub(super) fn read(
    search: &Search<'_>,
    found: &mut Found,
    dir: &ProcDir,
    pid: Pid,
    tid: Tid,
    of_process: Option<&NamespaceLinks>,
    stands_for_process: bool,
) -> Result<Reading, Failure> {
    let options = search.options;
    let is_first = tid == Tid::from(pid);
    let with_details = stands_for_process || options.task_details;
    let object = || if is_first { Object::Process(pid) } else { Object::Task(pid, tid) };

    // This comes first: each later read from the directory shows that the TID still means this task.
    let affinity = if with_details && !is_first { affinity(search, tid) } else { None };
    let mut buffer = std::mem::take(&mut found.buffer);
    let stat = parse::stat::parse(dir.read_record(c"stat", &mut buffer)?).map_err(|error| {
        found.malformed(Place::ProcessFacts, object(), error);
        Failure::VANISHED
    })?;
    let mut task = Task {
        tid,
        comm: BString::from(stat.comm),
        start_time_ticks: stat.start_time_ticks,
        state: stat.state,
        namespaces: NamespaceLinks::default(),
        cgroups: None,
        freezer: None,
        scheduling: (options.scheduling && with_details).then_some(stat.scheduling),
        affinity,
    };
    let (ppid, mut threads) = ((stat.ppid != 0).then_some(Pid(stat.ppid)), stat.num_threads);

    let ns = ProcDir::open(dir, c"ns")?;
    let Links { of: namespaces, lacks_some } = links(search, found, &ns, of_process, object)?;
    task.namespaces = namespaces;
    let mut is_leaving = false;
    if task.state.is_dead() && !lacks_some && !state(dir, &mut buffer)?.0.is_dead() {
        return Err(UNSETTLED);
    }
    if lacks_some {
        // The task has vanished, died, or is exiting: it gives up its namespaces before it counts as dead.
        (task.state, threads) = state(dir, &mut buffer)?;
        is_leaving = !task.state.is_dead();
        task.namespaces = what_exits_keeps(&namespaces);
    }

    found.buffer = buffer;
    let status = details(search, found, dir, &mut task, Whose { pid, with_details, is_leaving }, None);
    Ok(Reading { task, ppid, threads, status, is_leaving })
}

/// Whose details are read.
#[derive(Clone, Copy)]
pub(super) struct Whose {
    pub(super) pid: Pid,
    /// Whether details of this task are wanted, and not only those of its process.
    pub(super) with_details: bool,
    pub(super) is_leaving: bool,
}

impl Whose {
    /// Whether any file of the task's is read for its details; `has_status`: its `status` is known, with all that is wanted of it.
    pub(super) fn takes_files(self, options: &DiscoveryOptions, tid: Tid, has_status: bool) -> bool {
        self.with_details && (options.cgroups || options.freezer || options.scheduling)
            || options.status == Scope::All && tid == Tid::from(self.pid) && !has_status
    }
}

/// Adds the control groups and the affinity of a task, as far as they are wanted, and returns the `status` of a thread group
/// leader, with a label. The rest of `status` is not read if it is `known`.
pub(super) fn details(
    search: &Search<'_>,
    found: &mut Found,
    dir: &ProcDir,
    task: &mut Task,
    whose: Whose,
    known: Option<ProcessStatus>,
) -> Option<ProcessStatus> {
    let options = search.options;
    let Whose { pid, with_details, is_leaving } = whose;
    let is_first = task.tid == Tid::from(pid);
    let tid = task.tid;
    let object = || if is_first { Object::Process(pid) } else { Object::Task(pid, tid) };
    let mut buffer = std::mem::take(&mut found.buffer);
    if with_details && (options.cgroups || options.freezer) {
        match dir.read_record(c"cgroup", &mut buffer) {
            Ok(text) => {
                let cgroups = found.cgroups(text, object);
                task.cgroups = if is_leaving || task.state.is_dead() { cgroups.and_then(of_the_dead) } else { cgroups };
            }
            Err(errno) => found.gap(Place::Cgroups, object(), Operation::read("cgroup"), errno),
        }
    }
    let mut status = known;
    let lacks_status = options.status == Scope::All && is_first && status.is_none();
    if lacks_status || (options.scheduling && with_details && task.affinity.is_none()) {
        match dir.read_record(c"status", &mut buffer).map(parse::status::parse) {
            Ok(Ok(read)) if is_reaped(&read.process) => {}
            Ok(Ok(read)) => {
                task.affinity = read.cpus_allowed.filter(|_| options.scheduling);
                status = Some(read.process);
            }
            Ok(Err(error)) => found.malformed(Place::ProcessFacts, object(), error),
            Err(errno) => found.gap(Place::ProcessFacts, object(), Operation::read("status"), errno),
        }
    }
    found.buffer = buffer;
    if options.status == Scope::All && is_first && !task.state.is_dead() {
        found.gaps.extend(label(search, dir, pid, tid, status.as_mut()));
    }
    status
}

/// Adds the label that a security module gave the task which stands for a process, if that is wanted. Returns why it could
/// not.
pub(super) fn label(
    search: &Search<'_>,
    dir: &ProcDir,
    pid: Pid,
    living: Tid,
    status: Option<&mut ProcessStatus>,
) -> Option<Gap> {
    let status = status.filter(|_| search.options.security_labels)?;
    if search.has_labels == Some(false) {
        status.label = Some(None);
        return None;
    }
    let below = if living == Tid::from(pid) { String::new() } else { format!("task/{living}/") };
    match security_label::label(dir, &below, &mut Vec::new()) {
        // A module that gives the caller a label gives each task one: this one has vanished.
        Ok(label) => status.label = Some(label).filter(|label| label.is_some() || search.has_labels.is_none()),
        Err(errno) => {
            let operation = Operation::read("attr/current");
            return failure::gap(Place::ProcessFacts, Object::Process(pid), operation, errno);
        }
    }
    None
}

/// The CPUs that a task may run on, by a system call if that is possible: reading `status` costs more than all other
/// reads of a task together.
pub(super) fn affinity(search: &Search<'_>, tid: Tid) -> Option<Vec<CpuRange>> {
    if !search.asks_for_affinity {
        return None;
    }
    let cpus = rustix::thread::sched_getaffinity(rustix::process::Pid::from_raw(i32::try_from(tid.0).ok()?)).ok()?;
    let mut ranges: Vec<CpuRange> = Vec::new();
    // The set has room for a thousand CPUs; few hosts have as many.
    for cpu in (0..CpuSet::MAX_CPU).filter(|&cpu| cpus.is_set(cpu)).take(cpus.count() as usize) {
        let cpu = cpu as u32;
        match ranges.last_mut() {
            Some(last) if last.last + 1 == cpu => last.last = cpu,
            _ => ranges.push(CpuRange { first: cpu, last: cpu }),
        }
    }
    (!ranges.is_empty()).then_some(ranges)
}

/// The namespaces that an exiting task keeps until it is reaped: user and PID. It gives up all others in one step.
fn what_exits_keeps(links: &NamespaceLinks) -> NamespaceLinks {
    let mut kept = NamespaceLinks::default();
    for ns_type in [NamespaceType::User, NamespaceType::Pid] {
        if let Some(id) = links.get(ns_type) {
            kept.set(ns_type, id);
        }
    }
    kept
}

/// The run state of a task, and the number of tasks of its process.
fn state(dir: &ProcDir, buffer: &mut Vec<u8>) -> Result<(TaskState, u32), Failure> {
    let stat = parse::stat::parse(dir.read_record(c"stat", buffer)?)?;
    Ok((stat.state, stat.num_threads))
}

/// The facts of a process are of two tasks: during the read, a task other than the thread group leader has called
/// `execve(2)`, which makes it the leader. No file that is read here fails with this.
pub(super) const UNSETTLED: Failure = Failure::because(Cause::Changed);

/// Whether a process whose thread group leader was read as dead or exiting can have another one now, which lives. Only an
/// exiting task has no link to its mount namespace; a denial can mean that it executes another program.
pub(super) fn has_new_first(dir: &ProcDir, buffer: &mut Vec<u8>) -> bool {
    let is_leaving = || dir.link(c"ns/mnt", &mut [0; 64]).is_err_and(Failure::is_gone);
    state(dir, buffer).is_ok_and(|(state, _)| !state.is_dead()) && !is_leaving()
}

/// The control groups of a task that has exited, without those of version 1: the kernel only says `/` for them.
fn of_the_dead(cgroups: Arc<Cgroups>) -> Option<Arc<Cgroups>> {
    if cgroups.0.iter().all(|membership| membership.hierarchy == 0) {
        return Some(cgroups);
    }
    let unified: Vec<_> = cgroups.0.iter().filter(|membership| membership.hierarchy == 0).cloned().collect();
    (!unified.is_empty()).then(|| Arc::new(Cgroups(unified)))
}

/// The task that stands for the process with this directory: the thread group leader or, if that has exited, a living
/// task.
///
/// # Errors
///
/// The tasks cannot be listed, or the state of one is not readable: it is not known which task stands for the process.
pub(super) fn living(dir: &ProcDir, pid: Pid, buffer: &mut Vec<u8>) -> Result<Tid, Failure> {
    let mut is_dead = |path: &str| match dir.read_record(path, buffer) {
        Ok(text) => Ok(parse::stat::parse(text)?.state.is_dead()),
        Err(Errno::NOENT | Errno::SRCH) => Ok(true),
        Err(errno) => Err(Failure::from(errno)),
    };
    let first = Tid::from(pid);
    if !is_dead("stat")? {
        return Ok(first);
    }
    for tid in dir.numbers("task")?.into_iter().map(Tid).filter(|&tid| tid != first) {
        if !is_dead(&format!("task/{tid}/stat"))? {
            return Ok(tid);
        }
    }
    Ok(first)
}

/// The `status` of a process: the PIDs are those of the thread group leader, all else is of the task that stands for the
/// process. A task that has exited keeps its credentials.
pub(super) fn read_status(
    dir: &ProcDir,
    pid: Pid,
    living: Tid,
    buffer: &mut Vec<u8>,
) -> Result<Result<ProcessStatus, parse::ParseError>, Errno> {
    let mut read = |path: &str| -> Result<_, Errno> {
        Ok(parse::status::parse(dir.read_record(path, buffer)?).map(|status| status.process))
    };
    let first = read("status")?;
    if first.as_ref().is_ok_and(is_reaped) {
        return Err(Errno::SRCH);
    }
    if living == Tid::from(pid) {
        return Ok(first);
    }
    let of_living = read(&format!("task/{living}/status"))?;
    Ok(first.and_then(|first| Ok(ProcessStatus { ns_pids: first.ns_pids, ..of_living? })))
}

/// Whether a task was reaped while its `status` was read: then it has no PIDs any more, and the kernel writes 0.
fn is_reaped(status: &ProcessStatus) -> bool {
    status.ns_pids.contains(&Pid(0))
}

/// The `status` of a process; adds a gap if it is not readable.
pub(super) fn status(
    search: &Search<'_>,
    found: &mut Found,
    dir: &ProcDir,
    pid: Pid,
    living: Tid,
) -> Option<ProcessStatus> {
    let mut buffer = std::mem::take(&mut found.buffer);
    let read = read_status(dir, pid, living, &mut buffer);
    found.buffer = buffer;
    match read {
        Ok(Ok(mut status)) => {
            found.gaps.extend(label(search, dir, pid, living, Some(&mut status)));
            Some(status)
        }
        Ok(Err(error)) => {
            found.malformed(Place::ProcessFacts, Object::Process(pid), error);
            None
        }
        Err(errno) => {
            found.gap(Place::ProcessFacts, Object::Process(pid), Operation::read("status"), errno);
            None
        }
    }
}

/// Whether the process does not have this task any more.
pub(super) fn has_gone(process: &ProcDir, tid: Tid) -> bool {
    let opened = ProcDir::open(process, format!("task/{tid}"));
    opened.is_err_and(failure::is_gone)
}

/// The links below a directory `ns`.
struct Links {
    of: NamespaceLinks,
    /// Links are missing that every living task has.
    lacks_some: bool,
}

/// The links below `ns`. `ESRCH` if the task has gone.
///
/// All tasks of a process are in the same user, PID and time namespace: only a process with a single task can change its
/// user or time namespace, and no process can change its PID namespace (`setns(2)`, `unshare(2)`,
/// `pid_namespaces(7)`). So these three are taken from `of_process`, if given. If access to those of the process was
/// denied, that is a gap already.
fn links(
    search: &Search<'_>,
    found: &mut Found,
    ns: &ProcDir,
    of_process: Option<&NamespaceLinks>,
    object: impl Fn() -> Object,
) -> Result<Links, Failure> {
    /// By the order of [`NamespaceType`].
    const NAMES: [&CStr; 8] = [c"mnt", c"cgroup", c"uts", c"ipc", c"user", c"pid", c"net", c"time"];
    let mut links = NamespaceLinks::default();
    let mut lacks_some = false;
    let is_denied = of_process.is_some_and(NamespaceLinks::is_empty);
    let mut text = [0; 64];
    let dev = search.devices.nsfs;
    for ((ns_type, name), exists) in NamespaceType::ALL.into_iter().zip(NAMES).zip(search.proc.links().types) {
        if !exists {
            continue;
        }
        // The links of an exited thread group leader can be unreadable while those of other tasks are readable.
        if let Some(id) = of_process.filter(|_| ns_type.is_shared_by_threads()).and_then(|links| links.get(ns_type)) {
            links.set(ns_type, id);
            continue;
        }
        match link(ns, name, &mut text) {
            Ok(text) => match parse::links::parse(text) {
                Some((named, ino)) if named == ns_type => links.set(ns_type, NamespaceId { ino, dev }),
                _ => found.gap(
                    Place::Processes,
                    object(),
                    Operation::ReadLink(format!("ns/{ns_type}").into()),
                    Cause::Malformed,
                ),
            },
            Err(failure) if failure.is_any(&[Errno::NOENT]) => lacks_some = true,
            Err(failure) if failure.is_gone() => return Err(failure),
            Err(errno) => {
                // Permission is the same for all links, and for all tasks of a process.
                if !is_denied {
                    found.gap(Place::Processes, object(), Operation::read_link("ns/*"), errno);
                }
                return Ok(Links { of: links, lacks_some });
            }
        }
    }
    if search.looks_in(Place::ForChildren) {
        let known = search.proc.links();
        for (ns_type, name, exists) in [
            (NamespaceType::Pid, c"pid_for_children", known.pid_for_children),
            (NamespaceType::Time, c"time_for_children", known.time_for_children),
        ] {
            if let Some((_, ino)) =
                exists.then(|| ns.link(name, &mut text).ok()).flatten().and_then(parse::links::parse)
            {
                links.set_for_children(ns_type, NamespaceId { ino, dev });
            }
        }
    }
    Ok(Links { of: links, lacks_some })
}

/// The text of a link. The kernel also says `EACCES` if the task ends between look-up and read, or executes another
/// program. So after a denial, the link is read once more.
fn link<'a>(ns: &ProcDir, name: &CStr, text: &'a mut [u8; 64]) -> Result<&'a [u8], Failure> {
    match ns.link(name, &mut *text).map(<[u8]>::len) {
        Ok(length) => Ok(&text[..length]),
        Err(failure) if failure.is_denied() => ns.link(name, text),
        Err(failure) => Err(failure),
    }
}

/// A task that is not the thread group leader.
pub(super) struct OtherTask {
    pub(super) tid: Tid,
    pub(super) namespaces: NamespaceLinks,
    /// Whether it can still hold anything.
    pub(super) is_alive: bool,
    /// Its details, if requested or if it is in other namespaces than its process.
    pub(super) task: Option<Task>,
}

/// The tasks of a process except the thread group leader, by TID.
pub(super) fn others(
    search: &Search<'_>,
    found: &mut Found,
    dir: &ProcDir,
    main: &Reading,
) -> Result<Vec<OtherTask>, Failure> {
    let mut threads = Vec::new();
    let pid = Pid(main.task.tid.0);
    let mut wants_one = main.is_spent();
    for tid in dir.numbers("task")?.into_iter().map(Tid).filter(|&tid| tid != main.task.tid) {
        match thread(search, found, dir, main, tid, wants_one) {
            Ok(thread) => {
                wants_one &= !thread.is_alive;
                threads.push(thread);
            }
            Err(errno) => found.gap(Place::Tasks, Object::Task(pid, tid), Operation::read("stat"), errno),
        }
    }
    Ok(threads)
}

fn thread(
    search: &Search<'_>,
    found: &mut Found,
    process: &ProcDir,
    main: &Reading,
    tid: Tid,
    stands_for_process: bool,
) -> Result<OtherTask, Failure> {
    let pid = Pid(main.task.tid.0);
    let of_process = &main.task.namespaces;
    if !search.options.task_details && !main.is_spent() {
        let ns = ProcDir::open(process, format!("task/{tid}/ns"))?;
        let read = links(search, found, &ns, Some(of_process), || Object::Task(pid, tid))?;
        if read.of == *of_process {
            return Ok(OtherTask { tid, namespaces: read.of, is_alive: true, task: None });
        }
    }
    let dir = ProcDir::open(process, format!("task/{tid}"))?;
    let of_process = Some(of_process).filter(|_| !main.is_spent());
    let read = read(search, found, &dir, pid, tid, of_process, stands_for_process)?;
    Ok(OtherTask { tid, namespaces: read.task.namespaces, is_alive: !read.is_spent(), task: Some(read.task) })
}

/// Notes the namespaces of tasks that their process is not in.
pub(super) fn hold(
    search: &Search<'_>,
    found: &mut Found,
    pid: Pid,
    held_by_process: &NamespaceLinks,
    threads: &[OtherTask],
) {
    for task in threads.iter().filter(|thread| thread.namespaces != *held_by_process) {
        for (ns_type, id) in task.namespaces.iter().filter(|&(ns_type, id)| held_by_process.get(ns_type) != Some(id)) {
            found.note(search, Place::Tasks, id, ns_type, Holder::Task { pid, tid: task.tid });
        }
    }
}
