//! Dumps that this program did not write: what their keys say in other words, and nothing beyond that.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Reader, number};
use crate::CompactSort as _;
use crate::wire::Error;
use crate::wire::form::{self, Common, Options, Reference};
use crate::{
    CgroupMembership, Cgroups, DiscoveryOptions, Freezer, Holder, NamespaceId, NamespaceType, Place, Places, Relation,
    Scheduling, Scope, Snapshot, Task, TypedInode,
};

/// What was asked for, in the words of now and of before.
pub(super) fn options(form: &Options) -> DiscoveryOptions {
    let asked = |now: Option<bool>, before: Option<bool>| now.or(before.map(|skipped| !skipped)).unwrap_or(false);
    let places = [
        (Place::Processes, asked(form.from_procs, form.skipped_procs)),
        (Place::Tasks, asked(form.from_tasks, form.skipped_tasks)),
        (Place::Fds, asked(form.from_fds, form.skipped_fds)),
        (Place::Sockets, asked(form.with_socket_processes, None)),
        (Place::BindMounts, asked(form.from_bindmounts, form.skipped_bindmounts)),
        (Place::Parents, asked(form.with_hierarchy, form.skipped_hierarchy)),
        (Place::Owners, asked(form.with_ownership, form.skipped_ownership)),
    ];
    let freezer = asked(form.with_freezer, form.skipped_freezer);
    DiscoveryOptions {
        places: places.into_iter().filter(|&(_, asked)| asked).map(|(place, _)| place).collect::<Places>(),
        status: Scope::None,
        security_labels: false,
        cgroups: freezer,
        freezer,
        scheduling: asked(form.with_affinity_scheduling, None),
        task_details: asked(form.with_task_affinity_scheduling, None),
        command_lines: Scope::All,
        namespace_details: false,
        mounts: asked(form.with_mounts, None),
        suspects: false,
        references: false,
        without_self: false,
        reader: None,
    }
}

/// The first task says no more than others where tasks were not asked for details; its process does.
pub(super) fn fill_up(task: &mut Common, process: &Common) {
    if task.affinity.is_none() {
        task.affinity.clone_from(&process.affinity);
        task.policy = task.policy.or(process.policy);
        task.priority = task.priority.or(process.priority);
        task.nice = task.nice.or(process.nice);
    }
}

/// What stands for these facts in their form.
pub(super) fn complete_task(task: &mut Task, form: &Common) -> Result<(), Error> {
    let path = |path: Option<&Cow<str>>| path.filter(|path| !path.is_empty()).map(|path| path.as_bytes().into());
    let cpu = path(form.cpucgroup.as_ref().or(form.cgroup.as_ref()));
    let freezer = path(form.fridgecgroup.as_ref());
    // Without the freezer's control group its state says nothing. Whether it is the own or one above is not said.
    task.freezer =
        form.fridgefrozen.filter(|_| freezer.is_some()).map(|frozen| Freezer { own: frozen, effective: frozen });
    let membership =
        |hierarchy, controllers: &str, path| CgroupMembership { hierarchy, controllers: controllers.into(), path };
    // Equal paths are one of cgroup v2. The numbers of v1 hierarchies are not said; they only tell them apart.
    task.cgroups = match (cpu, freezer) {
        (None, None) => None,
        (Some(cpu), None) => Some(vec![membership(0, "", cpu)]),
        (None, Some(freezer)) => Some(vec![membership(2, "freezer", freezer)]),
        (Some(cpu), Some(freezer)) if cpu == freezer => Some(vec![membership(0, "", cpu)]),
        (Some(cpu), Some(freezer)) => Some(vec![membership(2, "freezer", freezer), membership(1, "cpu", cpu)]),
    }
    .map(|memberships| Arc::new(Cgroups(memberships)));
    // Zeros are left out, also all three of them; affinity was read along with them.
    let said = form.affinity.is_some() || form.policy.is_some() || form.priority.is_some() || form.nice.is_some();
    let scheduling = || {
        Ok(Scheduling {
            policy: form.policy.unwrap_or(0),
            priority: number::priority(form.priority.unwrap_or(0))?,
            nice: number::nice(form.nice.unwrap_or(0))?,
        })
    };
    task.scheduling = said.then(scheduling).transpose()?;
    Ok(())
}

/// A descriptor is named only where a reference leads through it.
pub(super) fn note_reference(reader: &Reader, snapshot: &mut Snapshot, ino: u64, form: &form::Namespace) {
    let path = match &form.reference {
        Some(Reference::Chain(chain)) if chain.len() == 1 => &chain[0],
        Some(Reference::Path(path)) => path,
        _ => return,
    };
    let Some(namespace) = snapshot.namespaces.get_mut(&reader.id(form.nsid.unwrap_or(ino))) else { return };
    let parts: Vec<_> = path.split('/').collect();
    let (pid, tid, fd) = match parts.as_slice() {
        ["", "proc", pid, "fd", fd] => (pid, pid, fd),
        ["", "proc", pid, "task", tid, "fd", fd] => (pid, tid, fd),
        _ => return,
    };
    if let (Ok(pid), Ok(tid), Ok(fd)) = (pid.parse(), tid.parse(), fd.parse()) {
        let numbers = (number::pid(pid), number::tid(tid), number::fd(fd));
        let (Ok(pid), Ok(tid), Ok(fd)) = numbers else { return };
        namespace.holders.push(Holder::Fd { pid, tid, fd });
    }
}

/// What follows from what is there: holders, and what the initial namespaces are.
pub(super) fn complete(reader: &Reader, snapshot: &mut Snapshot) {
    let mut holders = BTreeMap::<NamespaceId, Vec<Holder>>::new();
    let mut hold = |id: NamespaceId, holder| holders.entry(id).or_default().push(holder);
    for process in snapshot.processes.values() {
        for (_, id) in process.namespaces.iter() {
            hold(id, Holder::Process { pid: process.pid });
        }
        for task in &process.tasks {
            let elsewhere = |&(ns_type, id): &(NamespaceType, _)| process.namespaces.get(ns_type) != Some(id);
            for (_, id) in task.namespaces.iter().filter(elsewhere) {
                hold(id, Holder::Task { pid: process.pid, tid: task.tid });
            }
        }
    }
    for namespace in snapshot.namespaces.values() {
        if let Some(parent) = namespace.parent.known() {
            hold(parent, Holder::Child { ns: namespace.id });
        }
        if let Some(owner) = namespace.owner.known().filter(|_| namespace.ns_type != NamespaceType::User) {
            hold(owner, Holder::Owned { ns: namespace.id });
        }
    }
    for (&mount_ns, mounts) in &snapshot.mounts {
        for mount in mounts.iter().filter(|mount| *mount.fs_type == *"nsfs") {
            if let Some(TypedInode { ino, .. }) = TypedInode::parse(&mount.root) {
                let path = mount.path().map(Into::into);
                hold(reader.id(ino), Holder::BindMount { mount_ns, mount_id: mount.id, path });
            }
        }
    }

    for namespace in snapshot.namespaces.values_mut() {
        namespace.holders.extend(holders.remove(&namespace.id).unwrap_or_default());
        namespace.holders.compact_sort();
        namespace.holders.dedup();
        if is_initial(namespace.ns_type, namespace.id) {
            namespace.initial = true;
            if namespace.ns_type.is_hierarchical() {
                namespace.parent = Relation::None;
            }
            if namespace.ns_type == NamespaceType::User {
                namespace.owner = Relation::None;
            }
        }
    }
}

/// The kernel has fixed inode numbers for them; for two types only newer kernels do.
fn is_initial(ns_type: NamespaceType, id: NamespaceId) -> bool {
    let initial = match ns_type {
        NamespaceType::Ipc => 0xEFFF_FFFF,
        NamespaceType::Uts => 0xEFFF_FFFE,
        NamespaceType::User => 0xEFFF_FFFD,
        NamespaceType::Pid => 0xEFFF_FFFC,
        NamespaceType::Cgroup => 0xEFFF_FFFB,
        NamespaceType::Time => 0xEFFF_FFFA,
        NamespaceType::Net => 0xEFFF_FFF9,
        NamespaceType::Mnt => 0xEFFF_FFF8,
    };
    id.ino == initial
}
