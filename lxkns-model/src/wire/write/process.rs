//! Processes and their tasks.

use bstr::ByteSlice;

use crate::wire::form::{
    Capabilities, CgroupMembership, Common, ForChildren, Freezer, Links, Process, Scheduling, Task, Uids,
};
use crate::wire::{WriteOptions, text};
use crate::{self as model, CapabilitySet, NamespaceLinks, NamespaceType, ProcessStatus, Snapshot};

pub(super) fn process<'a>(snapshot: &Snapshot, process: &'a model::Process, options: &WriteOptions) -> Process<'a> {
    let command_line = process.command_line.as_ref().filter(|_| options.command_lines);
    let arguments = command_line.map(Vec::as_slice).unwrap_or_default();
    let lossy = arguments.iter().any(|argument| argument.to_str().is_err());
    let status = process.status.as_ref();
    let label = status.and_then(|status| status.label.as_ref());
    // What is the thread group leader's stays so; the rest is that of the task which stands for it.
    let (first, living) = (process.main_task(), process.living_task());
    let mut of_process = common(snapshot, living, &process.namespaces, options);
    if first.tid != living.tid {
        let Common { name, name_escaped, starttime, state, .. } = common(snapshot, first, &process.namespaces, options);
        of_process = Common { name, name_escaped, starttime, state, ..of_process };
    }
    Process {
        pid: Some(process.pid.0),
        ppid: Some(process.ppid.map_or(0, |pid| pid.0)),
        common: of_process,
        cmdline: Some(arguments.iter().map(|argument| text::lossy(argument.as_bstr())).collect()),
        cmdline_unknown: command_line.is_none().then_some(true),
        cmdline_escaped: lossy.then(|| arguments.iter().map(|argument| text::escape(argument.as_bstr())).collect()),
        threads: (process.threads as usize != process.tasks.len()).then_some(process.threads),
        tasks: Some(process.tasks.iter().map(|task| self::task(snapshot, task, options)).collect()),
        for_children: for_children(&process.namespaces),
        uids: status.map(uids),
        nspids: status.map(|status| status.ns_pids.iter().map(|pid| pid.0).collect()),
        capabilities: status.map(capabilities),
        seccomp: status.and_then(|status| status.seccomp),
        no_new_privs: status.and_then(|status| status.no_new_privs),
        lsm_label: label.map(|label| text::lossy(label.as_ref().map_or(b"".as_bstr(), |label| label.as_bstr()))),
        lsm_label_escaped: label.and_then(|label| text::escaped_if_lossy(label.as_ref()?.as_bstr())),
    }
}

fn task<'a>(snapshot: &Snapshot, task: &'a model::Task, options: &WriteOptions) -> Task<'a> {
    Task {
        tid: Some(task.tid.0),
        common: common(snapshot, task, &task.namespaces, options),
        for_children: for_children(&task.namespaces),
    }
}

fn common<'a>(
    snapshot: &Snapshot,
    task: &'a model::Task,
    namespaces: &NamespaceLinks,
    options: &WriteOptions,
) -> Common<'a> {
    let cgroup = |controller| {
        let path = task.cgroups.as_ref().and_then(|cgroups| cgroups.of_controller(controller));
        Some(path.map(|path| text::lossy(path.as_bstr())).unwrap_or_default())
    };
    Common {
        name: Some(text::lossy(task.comm.as_bstr())),
        name_escaped: text::escaped_if_lossy(task.comm.as_bstr()),
        starttime: Some(task.start_time_ticks),
        namespaces: Some(links(snapshot, namespaces)),
        cpucgroup: cgroup("cpu"),
        cgroup: None,
        fridgecgroup: cgroup("freezer"),
        fridgefrozen: Some(task.freezer.is_some_and(|freezer| freezer.effective)),
        affinity: task.affinity.as_deref().map(super::cpus),
        policy: task.scheduling.map(|scheduling| scheduling.policy).filter(|&policy| policy != 0),
        priority: task.scheduling.map(|scheduling| scheduling.priority).filter(|&priority| priority != 0),
        nice: task.scheduling.map(|scheduling| scheduling.nice).filter(|&nice| nice != 0),
        state: (!options.stable && task.state.0 != 0).then(|| char::from(task.state.0).to_string()),
        cgroups: task.cgroups.as_ref().map(|cgroups| cgroups.0.iter().map(membership).collect()),
        freezer: task.freezer.map(|freezer| Freezer { own: freezer.own, effective: freezer.effective }),
        scheduling: task.scheduling.map(|scheduling| Scheduling {
            policy: scheduling.policy,
            priority: scheduling.priority,
            nice: scheduling.nice,
        }),
    }
}

/// A namespace that is not in the dump is left out: their reader would take it for one without owner.
fn links(snapshot: &Snapshot, namespaces: &NamespaceLinks) -> Links {
    let ino = |ns_type| namespaces.get(ns_type).filter(|id| snapshot.namespaces.contains_key(id)).map(|id| id.ino);
    Links {
        mnt: ino(NamespaceType::Mnt),
        cgroup: ino(NamespaceType::Cgroup),
        uts: ino(NamespaceType::Uts),
        ipc: ino(NamespaceType::Ipc),
        user: ino(NamespaceType::User),
        pid: ino(NamespaceType::Pid),
        net: ino(NamespaceType::Net),
        time: ino(NamespaceType::Time),
    }
}

fn for_children(namespaces: &NamespaceLinks) -> Option<ForChildren> {
    let ino = |ns_type| namespaces.for_children(ns_type).map(|id| id.ino);
    let (pid, time) = (ino(NamespaceType::Pid), ino(NamespaceType::Time));
    (pid.is_some() || time.is_some()).then_some(ForChildren { pid, time })
}

fn membership(membership: &model::CgroupMembership) -> CgroupMembership<'_> {
    CgroupMembership {
        hierarchy: membership.hierarchy,
        controllers: text::lossy(membership.controllers.as_bstr()),
        path: text::lossy(membership.path.as_bstr()),
        path_escaped: text::escaped_if_lossy(membership.path.as_bstr()),
    }
}

fn uids(status: &ProcessStatus) -> Uids {
    let uids = status.uids;
    Uids { real: uids.real.0, effective: uids.effective.0, saved: uids.saved.0, file_system: uids.file_system.0 }
}

fn capabilities(status: &ProcessStatus) -> Capabilities {
    let hexadecimal = |set: CapabilitySet| format!("{set:016x}");
    let sets = status.capabilities;
    Capabilities {
        inheritable: hexadecimal(sets.inheritable),
        permitted: hexadecimal(sets.permitted),
        effective: hexadecimal(sets.effective),
        bounding: hexadecimal(sets.bounding),
        ambient: hexadecimal(sets.ambient),
    }
}
