//! Processes and their tasks.

use std::sync::Arc;

use super::{Reader, invalid, number, theirs};
use crate::CompactSort as _;
use crate::wire::form::{self, Common, ForChildren};
use crate::wire::{Error, text};
use crate::{
    Capabilities, CapabilitySet, CgroupMembership, Cgroups, Freezer, NamespaceLinks, NamespaceType, Process,
    ProcessStatus, Scheduling, Task, TaskState, Tasks, Uid, Uids,
};

impl Reader {
    /// A process; `pid` is its key, in case that it does not say itself.
    pub(super) fn process(&self, pid: u32, mut form: form::Process) -> Result<Process, Error> {
        let pid = number::pid(form.pid.unwrap_or(pid))?.0;
        let mut tasks = Vec::new();
        for mut task in form.tasks.take().unwrap_or_default() {
            let tid = task.tid.filter(|&tid| tid != 0);
            let tid = tid.ok_or_else(|| invalid(&format!("process {pid}: a task without TID")))?;
            if !self.ours && tid == pid {
                theirs::fill_up(&mut task.common, &form.common);
            }
            tasks.push(self.task(tid, &task.common, task.for_children.as_ref())?);
        }
        tasks.compact_sort_by_key(|task: &Task| task.tid);
        tasks.dedup_by_key(|task| task.tid);
        // Older versions have no tasks, and a process is nothing without its first one.
        let first = match tasks.binary_search_by_key(&pid, |task| task.tid.0) {
            Ok(index) => tasks.remove(index),
            Err(_) => self.task(pid, &form.common, form.for_children.as_ref())?,
        };
        let tasks = Tasks::new(first, tasks);
        Ok(Process {
            pid: number::pid(pid)?,
            ppid: form.ppid.filter(|&ppid| ppid != 0).map(number::pid).transpose()?,
            namespaces: self.links(&form.common, form.for_children.as_ref()),
            threads: form.threads.unwrap_or(tasks.len() as u32),
            tasks,
            command_line: self.command_line(&form),
            status: status(&form)?,
        })
    }

    fn command_line(&self, form: &form::Process) -> Option<Vec<bstr::BString>> {
        if form.cmdline_unknown == Some(true) {
            return None;
        }
        if let Some(escaped) = &form.cmdline_escaped {
            return Some(escaped.iter().map(|argument| text::unescape(argument)).collect());
        }
        let command_line = form.cmdline.as_deref()?;
        // What Go makes of an empty file.
        if !self.ours && command_line == [""] {
            return Some(Vec::new());
        }
        Some(command_line.iter().map(|argument| argument.as_bytes().into()).collect())
    }

    fn task(&self, tid: u32, form: &Common, for_children: Option<&ForChildren>) -> Result<Task, Error> {
        let comm = match (&form.name_escaped, &form.name) {
            (Some(escaped), _) => text::unescape(escaped),
            (None, Some(name)) => name.as_bytes().into(),
            (None, None) => bstr::BString::default(),
        };
        let mut task = Task {
            tid: number::tid(tid)?,
            comm,
            start_time_ticks: form.starttime.unwrap_or(0),
            state: TaskState(form.state.as_deref().and_then(state).unwrap_or(0)),
            namespaces: self.links(form, for_children),
            cgroups: form.cgroups.as_deref().map(|list| Arc::new(Cgroups(list.iter().map(membership).collect()))),
            freezer: form.freezer.as_ref().map(|freezer| Freezer { own: freezer.own, effective: freezer.effective }),
            scheduling: form.scheduling.as_ref().map(scheduling).transpose()?,
            affinity: form.affinity.as_deref().map(number::cpus).transpose()?,
        };
        if !self.ours {
            theirs::complete_task(&mut task, form)?;
        }
        Ok(task)
    }

    fn links(&self, form: &Common, for_children: Option<&ForChildren>) -> NamespaceLinks {
        let mut links = NamespaceLinks::default();
        let Some(form) = &form.namespaces else { return links };
        let known = |ino: Option<u64>| ino.filter(|&ino| ino != 0).map(|ino| self.id(ino));
        for (ns_type, ino) in [
            (NamespaceType::Mnt, form.mnt),
            (NamespaceType::Cgroup, form.cgroup),
            (NamespaceType::Uts, form.uts),
            (NamespaceType::Ipc, form.ipc),
            (NamespaceType::User, form.user),
            (NamespaceType::Pid, form.pid),
            (NamespaceType::Net, form.net),
            (NamespaceType::Time, form.time),
        ] {
            if let Some(id) = known(ino) {
                links.set(ns_type, id);
            }
        }
        let Some(form) = for_children else { return links };
        for (ns_type, ino) in [(NamespaceType::Pid, form.pid), (NamespaceType::Time, form.time)] {
            if let Some(id) = known(ino) {
                links.set_for_children(ns_type, id);
            }
        }
        links
    }
}

/// One letter, of those that a byte can hold.
fn state(text: &str) -> Option<u8> {
    let mut letters = text.chars();
    let letter = letters.next()?;
    letters.next().is_none().then(|| u8::try_from(letter).ok())?
}

fn scheduling(form: &form::Scheduling) -> Result<Scheduling, Error> {
    Ok(Scheduling { policy: form.policy, priority: number::priority(form.priority)?, nice: number::nice(form.nice)? })
}

fn membership(form: &form::CgroupMembership) -> CgroupMembership {
    CgroupMembership {
        hierarchy: form.hierarchy,
        controllers: form.controllers.as_bytes().into(),
        path: match &form.path_escaped {
            Some(escaped) => text::unescape(escaped),
            None => form.path.as_bytes().into(),
        },
    }
}

/// All that comes from one file, or nothing.
fn status(form: &form::Process) -> Result<Option<ProcessStatus>, Error> {
    let (Some(uids), Some(ns_pids), Some(capabilities)) = (&form.uids, &form.nspids, &form.capabilities) else {
        return Ok(None);
    };
    Ok(Some(ProcessStatus {
        uids: Uids {
            real: Uid(uids.real),
            effective: Uid(uids.effective),
            saved: Uid(uids.saved),
            file_system: Uid(uids.file_system),
        },
        ns_pids: ns_pids.iter().copied().map(number::pid).collect::<Result<_, _>>()?,
        capabilities: Capabilities {
            inheritable: capability_set(&capabilities.inheritable)?,
            permitted: capability_set(&capabilities.permitted)?,
            effective: capability_set(&capabilities.effective)?,
            bounding: capability_set(&capabilities.bounding)?,
            ambient: capability_set(&capabilities.ambient)?,
        },
        seccomp: form.seccomp,
        no_new_privs: form.no_new_privs,
        label: match (&form.lsm_label_escaped, &form.lsm_label) {
            (Some(escaped), _) => Some(Some(text::unescape(escaped))),
            (None, label) => label
                .as_ref()
                .map(|label| Some(label.as_bytes().into()).filter(|label: &bstr::BString| !label.is_empty())),
        },
    }))
}

pub(super) fn capability_set(text: &str) -> Result<CapabilitySet, Error> {
    u64::from_str_radix(text, 16)
        .map(CapabilitySet::from_bits)
        .map_err(|_| invalid(&format!("not a capability set: {text:?}")))
}
