//! Place 2: threads; and what is read of each thread, the first one of a process included.

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
    let stat = parse::stat::parse(dir.read("stat", &mut buffer)?).map_err(|error| {
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

    task.namespaces = links(search, found, dir, &task, is_denied, object)?;

    if with_details && (options.cgroups || options.freezer) {
        match dir.read("cgroup", &mut buffer) {
            Ok(text) => task.cgroups = found.cgroups(text, object),
            Err(errno) => found.gap(Place::Cgroups, object(), "read cgroup", errno),
        }
    }
    let mut status = None;
    if (options.scheduling && with_details) || (options.status == Scope::All && is_first) {
        match dir.read("status", &mut buffer).map(parse::status::parse) {
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

/// The links below `ns`. `ENOENT` or `ESRCH` if the thread is on its way out.
fn links(
    search: &Search<'_>,
    found: &mut Found,
    dir: &ProcDir,
    task: &Task,
    is_denied: bool,
    object: impl Fn() -> Object,
) -> Result<NamespaceLinks, Errno> {
    /// By the order of [`NamespaceType`].
    const PATHS: [&std::ffi::CStr; 8] =
        [c"ns/mnt", c"ns/cgroup", c"ns/uts", c"ns/ipc", c"ns/user", c"ns/pid", c"ns/net", c"ns/time"];
    let mut links = NamespaceLinks::default();
    let mut text = [0; 64];
    let dev = search.devices.nsfs;
    for ((ns_type, path), exists) in NamespaceType::ALL.into_iter().zip(PATHS).zip(search.proc.links().types) {
        if !exists {
            continue;
        }
        match dir.link(path, &mut text) {
            Ok(text) => match parse::links::parse(text) {
                Some((named, ino)) if named == ns_type => links.set(ns_type, NamespaceId { ino, dev }),
                _ => {
                    found.gap(Place::Processes, object(), format!("readlink {path:?}: not a namespace"), Errno::BADMSG)
                }
            },
            // What has exited keeps only some: its user and its PID namespace, until its parent has taken notice.
            Err(Errno::NOENT) if task.state.is_dead() => {}
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
        for (ns_type, path, exists) in [
            (NamespaceType::Pid, c"ns/pid_for_children", known.pid_for_children),
            (NamespaceType::Time, c"ns/time_for_children", known.time_for_children),
        ] {
            if let Some((_, ino)) =
                exists.then(|| dir.link(path, &mut text).ok()).flatten().and_then(parse::links::parse)
            {
                links.set_for_children(ns_type, NamespaceId { ino, dev });
            }
        }
    }
    Ok(links)
}

/// The threads of a process but for the first, by TID.
pub(super) fn others(search: &Search<'_>, found: &mut Found, dir: &ProcDir, main: &Task) -> Result<Vec<Task>, Errno> {
    let mut tasks = Vec::new();
    let pid = Pid(main.tid.0);
    let is_denied = main.namespaces.is_empty() && !main.state.is_dead();
    for tid in dir.numbers("task")?.into_iter().map(Tid).filter(|&tid| tid != Tid::from(pid)) {
        let reading =
            ProcDir::open(dir, format!("task/{tid}")).and_then(|dir| read(search, found, &dir, pid, tid, is_denied));
        match reading {
            Ok(reading) => tasks.push(reading.task),
            Err(errno) => found.gap(Place::Tasks, Object::Task(pid, tid), "read stat", errno),
        }
    }
    Ok(tasks)
}

/// Notes the namespaces that threads are in and that their process does not hold.
pub(super) fn hold(search: &Search<'_>, found: &mut Found, pid: Pid, held_by_process: &NamespaceLinks, tasks: &[Task]) {
    for task in tasks {
        for (ns_type, id) in task.namespaces.iter().filter(|&(ns_type, id)| held_by_process.get(ns_type) != Some(id)) {
            found.note(search, Place::Tasks, id, ns_type, Holder::Task { pid, tid: task.tid });
        }
    }
}
