//! Place 2: threads; and what is read of each thread, the first one of a process included.

use std::ffi::CStr;

use bstr::BString;
use rustix::io::Errno;

use super::search::{Found, Search};
use crate::model::{
    GapKind, Holder, NamespaceId, NamespaceLinks, NamespaceType, Object, Pid, Place, ProcessStatus, Scope, Task, Tid,
};
use crate::procfs::{ProcDir, parse};

/// What was read of a thread, with what goes for its process.
pub(super) struct Reading {
    pub(super) task: Task,
    pub(super) ppid: Option<Pid>,
    /// How many threads the process has.
    pub(super) threads: u32,
    pub(super) status: Option<ProcessStatus>,
}

/// Reads what there is to know of a thread from its directory, or from its process's for the first one. If its process
/// `is_denied`, so are its threads, and that is no news.
pub(super) fn read(
    search: &Search<'_>,
    found: &mut Found,
    dir: &ProcDir,
    pid: Pid,
    tid: Tid,
    is_denied: bool,
) -> Result<Reading, Errno> {
    let options = search.options;
    let is_first = tid == Tid::from(pid);
    let with_details = is_first || options.task_details;
    let object = || if is_first { Object::Process(pid) } else { Object::Task(pid, tid) };

    let mut buffer = std::mem::take(&mut found.buffer);
    let stat = parse::stat::parse(dir.read_record(c"stat", &mut buffer)?).map_err(|error| {
        found.malformed(Place::ProcessFacts, object(), error);
        Errno::NOENT
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
        affinity: None,
    };
    let (ppid, threads) = ((stat.ppid != 0).then_some(Pid(stat.ppid)), stat.num_threads);

    let ns = ProcDir::open(dir, c"ns")?;
    task.namespaces = links(search, found, &ns, None, task.state.is_dead(), is_denied, object)?;

    if with_details && (options.cgroups || options.freezer) {
        match dir.read(c"cgroup", &mut buffer) {
            Ok(text) => task.cgroups = found.cgroups(text, object),
            Err(errno) => found.gap(Place::Cgroups, object(), "read cgroup", errno),
        }
    }
    let mut status = None;
    if (options.scheduling && with_details) || (options.status == Scope::All && is_first) {
        match dir.read_record(c"status", &mut buffer).map(parse::status::parse) {
            Ok(Ok(read)) => {
                task.affinity = read.cpus_allowed.filter(|_| options.scheduling);
                status = Some(read.process);
            }
            Ok(Err(error)) => found.malformed(Place::ProcessFacts, object(), error),
            Err(errno) => found.gap(Place::ProcessFacts, object(), "read status", errno),
        }
    }
    found.buffer = buffer;
    Ok(Reading { task, ppid, threads, status })
}

/// What `status` says of a process.
pub(super) fn status(found: &mut Found, dir: &ProcDir, pid: Pid) -> Option<ProcessStatus> {
    let mut buffer = std::mem::take(&mut found.buffer);
    let read = dir.read_record(c"status", &mut buffer).map(parse::status::parse);
    found.buffer = buffer;
    match read {
        Ok(Ok(status)) => Some(status.process),
        Ok(Err(error)) => {
            found.malformed(Place::ProcessFacts, Object::Process(pid), error);
            None
        }
        Err(errno) => {
            found.gap(Place::ProcessFacts, Object::Process(pid), "read status", errno);
            None
        }
    }
}

/// The links below `ns`. `ENOENT` or `ESRCH` if the thread is on its way out.
///
/// All threads of a process are in the same user, PID and time namespace: the kernel lets only a process with a single
/// thread change the first and the last, and none change the second (`setns(2)`, `unshare(2)`, `pid_namespaces(7)`). So
/// these are taken from `of_process`, where given.
fn links(
    search: &Search<'_>,
    found: &mut Found,
    ns: &ProcDir,
    of_process: Option<&NamespaceLinks>,
    is_dead: bool,
    is_denied: bool,
    object: impl Fn() -> Object,
) -> Result<NamespaceLinks, Errno> {
    /// By the order of [`NamespaceType`].
    const NAMES: [&CStr; 8] = [c"mnt", c"cgroup", c"uts", c"ipc", c"user", c"pid", c"net", c"time"];
    let mut links = NamespaceLinks::default();
    let mut text = [0; 64];
    let dev = search.devices.nsfs;
    for ((ns_type, name), exists) in NamespaceType::ALL.into_iter().zip(NAMES).zip(search.proc.links().types) {
        if !exists {
            continue;
        }
        if let Some(of_process) = of_process.filter(|_| ns_type.is_shared_by_threads()) {
            if let Some(id) = of_process.get(ns_type) {
                links.set(ns_type, id);
            }
            continue;
        }
        match ns.link(name, &mut text) {
            Ok(text) => match parse::links::parse(text) {
                Some((named, ino)) if named == ns_type => links.set(ns_type, NamespaceId { ino, dev }),
                _ => {
                    found.gap(Place::Processes, object(), format!("readlink ns/{ns_type}: no namespace"), Errno::BADMSG)
                }
            },
            // What has exited keeps only some: its user and its PID namespace, until its parent has taken notice.
            Err(Errno::NOENT) if is_dead => {}
            Err(errno) => match GapKind::of(errno.raw_os_error()) {
                GapKind::Gone => return Err(errno),
                _ => {
                    // One permission goes for all links, and for the threads of a process as for the first of them.
                    if !is_denied {
                        found.gap(Place::Processes, object(), "readlink ns/*", errno);
                    }
                    return Ok(links);
                }
            },
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
    Ok(links)
}

/// A thread that is not its process's first.
pub(super) struct Thread {
    pub(super) tid: Tid,
    pub(super) namespaces: NamespaceLinks,
    /// More about it, where that was asked for or it is elsewhere than its process.
    pub(super) task: Option<Task>,
}

impl Thread {
    /// Whether it can hold anything any more.
    pub(super) fn is_alive(&self) -> bool {
        self.task.as_ref().is_none_or(|task| !task.state.is_dead())
    }
}

/// The threads of a process but for the first, by TID.
pub(super) fn others(search: &Search<'_>, found: &mut Found, dir: &ProcDir, main: &Task) -> Result<Vec<Thread>, Errno> {
    let mut threads = Vec::new();
    let pid = Pid(main.tid.0);
    for tid in dir.numbers("task")?.into_iter().map(Tid).filter(|&tid| tid != main.tid) {
        match thread(search, found, dir, main, tid) {
            Ok(thread) => threads.push(thread),
            Err(errno) => found.gap(Place::Tasks, Object::Task(pid, tid), "read stat", errno),
        }
    }
    Ok(threads)
}

fn thread(search: &Search<'_>, found: &mut Found, process: &ProcDir, main: &Task, tid: Tid) -> Result<Thread, Errno> {
    let pid = Pid(main.tid.0);
    let main_is_dead = main.state.is_dead();
    let is_denied = main.namespaces.is_empty() && !main_is_dead;
    if !search.options.task_details && !main_is_dead {
        let ns = ProcDir::open(process, format!("task/{tid}/ns"))?;
        let namespaces =
            links(search, found, &ns, Some(&main.namespaces), false, is_denied, || Object::Task(pid, tid))?;
        if namespaces == main.namespaces {
            return Ok(Thread { tid, namespaces, task: None });
        }
    }
    let dir = ProcDir::open(process, format!("task/{tid}"))?;
    let task = read(search, found, &dir, pid, tid, is_denied)?.task;
    Ok(Thread { tid, namespaces: task.namespaces, task: Some(task) })
}

/// Notes the namespaces that threads are in and that their process does not hold.
pub(super) fn hold(
    search: &Search<'_>,
    found: &mut Found,
    pid: Pid,
    held_by_process: &NamespaceLinks,
    threads: &[Thread],
) {
    for task in threads.iter().filter(|thread| thread.namespaces != *held_by_process) {
        for (ns_type, id) in task.namespaces.iter().filter(|&(ns_type, id)| held_by_process.get(ns_type) != Some(id)) {
            found.note(search, Place::Tasks, id, ns_type, Holder::Task { pid, tid: task.tid });
        }
    }
}
