//! Place 3: the PID and time namespaces that the next child of a task will be in.

use super::found::Found;
use super::search::Search;
use super::tasks::OtherTask;
use crate::failure::Failure;
use crate::model::{Call, Holder, NamespaceLinks, NamespaceType, Object, Pid, Place, Tid};
use crate::reach;

const TYPES: [NamespaceType; 2] = [NamespaceType::Pid, NamespaceType::Time];

/// The link of a PID namespace without a first process is not readable; a pidfd opens it.
pub(super) fn ask_where_no_link(
    search: &Search<'_>,
    found: &mut Found,
    pid: Pid,
    tid: Tid,
    namespaces: &mut NamespaceLinks,
) {
    let missing = search.looks_in(Place::ForChildren)
        && search.proc.links().pid_for_children
        && namespaces.get(NamespaceType::Pid).is_some()
        && namespaces.for_children(NamespaceType::Pid).is_none();
    if !missing || search.is_without(Place::ForChildren) {
        return;
    }
    let noted = reach::pid_for_children(search.proc, pid, tid).and_then(|fd| {
        let ask = |failure| (Call::Fstat, failure);
        let id = reach::identity(&fd).map_err(Failure::from).map_err(ask)?;
        found.note_open(search, id, fd, None).map_err(ask)?;
        Ok(id)
    });
    match noted {
        Ok(id) => namespaces.set_for_children(NamespaceType::Pid, id),
        Err((call @ Call::PidfdOpenThread, failure)) if search.missing(call, failure).is_some() => {
            // Pidfds of processes still work.
            let failure = search.missing(call, failure).unwrap_or(failure);
            found.gap(Place::ForChildren, Object::Host, call, failure);
        }
        Err((call, errno)) => found.failed(search, Place::ForChildren, Object::Task(pid, tid), call, errno),
    }
}

/// Notes the namespaces of a process's next child, if they differ from the process's.
pub(super) fn of_process(search: &Search<'_>, found: &mut Found, pid: Pid, tid: Tid, namespaces: &NamespaceLinks) {
    for ns_type in TYPES {
        let for_children = namespaces.for_children(ns_type);
        if let Some(id) = for_children.filter(|_| for_children != namespaces.get(ns_type)) {
            found.note(search, Place::ForChildren, id, ns_type, Holder::ForChildren { pid, tid });
        }
    }
}

/// Notes the namespaces of tasks' next children, if they differ from the task's and from those of its process's
/// children.
pub(super) fn of_tasks(
    search: &Search<'_>,
    found: &mut Found,
    pid: Pid,
    of_process: &NamespaceLinks,
    threads: &mut [OtherTask],
) {
    for task in threads.iter_mut().filter(|thread| thread.is_alive) {
        ask_where_no_link(search, found, pid, task.tid, &mut task.namespaces);
        if let Some(details) = &mut task.task {
            details.namespaces = task.namespaces;
        }
        for ns_type in TYPES {
            let for_children = task.namespaces.for_children(ns_type);
            let is_news =
                for_children != task.namespaces.get(ns_type) && for_children != of_process.for_children(ns_type);
            if let Some(id) = for_children.filter(|_| is_news) {
                found.note(search, Place::ForChildren, id, ns_type, Holder::ForChildren { pid, tid: task.tid });
            }
        }
    }
}
