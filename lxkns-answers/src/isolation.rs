//! How well a container is isolated from the host and from others, by what the kernel enforces: of its namespaces, and of its first
//! process. Each fact that could not be read is `None`.

use lxkns_model::relations::{self, Authority, Belonging, ContainerNamespaces};
use lxkns_model::{
    Capabilities, CapabilitySet, Container, EngineKind, IdMapping, Namespace, NamespaceId, NamespaceType, Pid, Process,
    Seccomp, Snapshot, Uid,
};

/// Whose each namespace of a container is, and what its first process may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Isolation {
    /// The process that stands for the container; `None` where it has none, or it is not known.
    pub process: Option<Pid>,
    /// Its namespaces, in the order of their types.
    pub namespaces: Vec<Membership>,
    /// Who its root is on the host.
    pub root: Option<Root>,
    /// The capabilities that its first process can come to have, in its own user namespace.
    pub capabilities: Option<CapabilitySet>,
    /// Those of them that the engine does not give by default; `None` where it has no default that is known.
    pub extra_capabilities: Option<CapabilitySet>,
    /// Whether its system calls are filtered.
    pub seccomp: Option<Seccomp>,
    /// Whether running a program gives it no more powers.
    pub no_new_privs: Option<bool>,
}

/// A namespace that a container is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Its type.
    pub ns_type: NamespaceType,
    /// Which; `None` where not known.
    pub id: Option<NamespaceId>,
    /// Whose it is; `None` where not known.
    pub belonging: Option<Belonging>,
}

/// Who UID 0 of a container is on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Root {
    /// This user: the host's root, where it is 0.
    User(Uid),
    /// No user: it has no UID 0.
    Nobody,
}

impl Isolation {
    /// The facts of the container with this index.
    pub fn of(snapshot: &Snapshot, namespaces: &ContainerNamespaces<'_>, index: usize) -> Self {
        let containers = snapshot.annotations.containers.as_ref();
        let container = containers.and_then(|containers| containers.list.get(index));
        let pid = namespaces.first_process(index);
        let process = pid.and_then(|pid| snapshot.processes.get(&pid));
        let status = process.and_then(|process| process.status.as_ref());
        let links = namespaces.namespaces(index);
        let membership =
            |ns_type| Membership { ns_type, id: links.get(ns_type), belonging: namespaces.belonging(index, ns_type) };
        let capabilities = status.map(|status| reachable(&status.capabilities));
        let default = container.and_then(default_capabilities);
        Self {
            process: pid,
            namespaces: NamespaceType::ALL.into_iter().map(membership).collect(),
            root: process.and_then(|process| root(snapshot, process)),
            capabilities,
            extra_capabilities: capabilities.zip(default).map(|(has, default)| has.difference(default)),
            seccomp: status.and_then(|status| status.seccomp),
            no_new_privs: status.and_then(|status| status.no_new_privs),
        }
    }
}

/// What a process can come to have, by itself or by running a program.
pub(crate) fn reachable(sets: &Capabilities) -> CapabilitySet {
    sets.bounding.union(sets.permitted).union(sets.inheritable).union(sets.ambient)
}

/// Who UID 0 of a process's user namespace is on the host; `None` where that is not known.
pub(crate) fn root(snapshot: &Snapshot, process: &Process) -> Option<Root> {
    let id = process.namespaces.get(NamespaceType::User)?;
    let namespace = snapshot.namespaces.get(&id)?;
    if namespace.initial {
        return Some(Root::User(Uid(0)));
    }
    // The map has the UIDs of the observer's user namespace.
    let map = namespace.uid_map.as_ref().filter(|_| has_uids_of_host(snapshot))?;
    let of_zero = map.iter().find(|mapping| mapping.inside == 0 && mapping.count > 0);
    let outside = |mapping: &IdMapping| (mapping.outside != u32::MAX).then_some(Root::User(Uid(mapping.outside)));
    of_zero.map_or(Some(Root::Nobody), outside)
}

/// Whether a process is root on the host: by its UID there, and by the capabilities that it has there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostRoot {
    /// Its effective UID in the initial user namespace is 0: files of the host's root are its own.
    pub by_uid: bool,
    /// Its capabilities in the initial user namespace; `None` where not known.
    pub capabilities: Option<CapabilitySet>,
}

/// Whether a process is root on the host; `None` where not known.
pub fn host_root(snapshot: &Snapshot, process: &Process) -> Option<HostRoot> {
    let effective = process.status.as_ref().filter(|_| has_uids_of_host(snapshot))?.uids.effective;
    Some(HostRoot { by_uid: effective == Uid(0), capabilities: capabilities_on_host(snapshot, process) })
}

fn capabilities_on_host(snapshot: &Snapshot, process: &Process) -> Option<CapabilitySet> {
    let is_host = |namespace: &&Namespace| {
        namespace.ns_type == NamespaceType::User
            && namespace.initial
            && namespace.id.ino == NamespaceType::User.initial_inode()
    };
    let host = snapshot.namespaces.values().find(is_host)?;
    match relations::authority(snapshot, process.pid, host.id).ok()? {
        Authority::Member | Authority::Ancestor => process.status.as_ref().map(|status| status.capabilities.effective),
        Authority::Creator(_) => Some(CapabilitySet::ALL),
        Authority::Elsewhere => Some(CapabilitySet::NONE),
        _ => None,
    }
}

/// Whether UIDs of the snapshot are those that the host has: the observer's are.
pub(crate) fn has_uids_of_host(snapshot: &Snapshot) -> bool {
    snapshot.observer.as_ref().and_then(|observer| observer.is_in_initial_user_ns()) == Some(true)
}

pub(crate) const fn all(sets: &[CapabilitySet]) -> CapabilitySet {
    let mut whole = CapabilitySet::NONE;
    let mut at = 0;
    while at < sets.len() {
        whole = whole.union(sets[at]);
        at += 1;
    }
    whole
}

type C = CapabilitySet;

/// What podman gives (containers.conf(5), `default_capabilities`).
const PODMAN: C = all(&[
    C::CHOWN,
    C::DAC_OVERRIDE,
    C::FOWNER,
    C::FSETID,
    C::KILL,
    C::NET_BIND_SERVICE,
    C::SETFCAP,
    C::SETGID,
    C::SETPCAP,
    C::SETUID,
    C::SYS_CHROOT,
]);

/// What Docker and containerd give (`docker run`, section on capabilities).
pub(crate) const DOCKER: C = PODMAN.union(all(&[C::AUDIT_WRITE, C::MKNOD, C::NET_RAW]));

/// What CRI-O gives (crio.conf(5), `default_capabilities`).
const CRI_O: C = all(&[
    C::CHOWN,
    C::DAC_OVERRIDE,
    C::FSETID,
    C::FOWNER,
    C::SETGID,
    C::SETUID,
    C::SETPCAP,
    C::NET_BIND_SERVICE,
    C::KILL,
]);

/// What `runc spec` and `crun spec` write.
const SPEC: C = all(&[C::AUDIT_WRITE, C::KILL, C::NET_BIND_SERVICE]);

/// What systemd-nspawn gives (systemd-nspawn(1), `--capability=`), with those of a private network.
const NSPAWN: C = all(&[
    C::AUDIT_CONTROL,
    C::AUDIT_WRITE,
    C::CHOWN,
    C::DAC_OVERRIDE,
    C::DAC_READ_SEARCH,
    C::FOWNER,
    C::FSETID,
    C::IPC_OWNER,
    C::KILL,
    C::LEASE,
    C::LINUX_IMMUTABLE,
    C::MKNOD,
    C::NET_ADMIN,
    C::NET_BIND_SERVICE,
    C::NET_BROADCAST,
    C::NET_RAW,
    C::SETFCAP,
    C::SETGID,
    C::SETPCAP,
    C::SETUID,
    C::SYS_ADMIN,
    C::SYS_BOOT,
    C::SYS_CHROOT,
    C::SYS_NICE,
    C::SYS_PTRACE,
    C::SYS_RESOURCE,
    C::SYS_TTY_CONFIG,
]);

/// What LXC's common configuration takes away.
const NOT_LXC: C = all(&[C::MAC_ADMIN, C::MAC_OVERRIDE, C::SYS_TIME, C::SYS_MODULE, C::SYS_RAWIO]);

/// What an engine gives a container that asks for nothing, by its documents; `None` where there is none that is known.
pub(crate) fn default_capabilities(container: &Container) -> Option<CapabilitySet> {
    Some(match container.kind {
        EngineKind::Docker | EngineKind::Containerd | EngineKind::Cri => DOCKER,
        EngineKind::Podman => PODMAN,
        EngineKind::CriO => CRI_O,
        EngineKind::Runc | EngineKind::Crun => SPEC,
        EngineKind::Machined => NSPAWN,
        EngineKind::Lxc => CapabilitySet::ALL.difference(NOT_LXC),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use lxkns_model::{Observer, Said};

    use super::*;
    use crate::testing::{BUSY, HOME, USER, contained};

    fn facts(snapshot: &Snapshot, index: usize) -> Isolation {
        Isolation::of(snapshot, &ContainerNamespaces::of(snapshot), index)
    }

    #[test]
    fn what_is_its_own_and_what_is_the_hosts() {
        let snapshot = contained();
        let web = facts(&snapshot, 0);
        assert_eq!(web.process, Some(Pid(200)));
        let of = |ns_type| *web.namespaces.iter().find(|it| it.ns_type == ns_type).unwrap();
        let membership = |ns_type, id, belonging| Membership { ns_type, id, belonging };
        let (host, own) = (Some(Belonging::Host), Some(Belonging::Own));
        assert_eq!(of(NamespaceType::Mnt), membership(NamespaceType::Mnt, Some(HOME), host));
        assert_eq!(of(NamespaceType::Net), membership(NamespaceType::Net, Some(BUSY), own));
        assert_eq!(of(NamespaceType::Pid), membership(NamespaceType::Pid, None, None), "not known is not the host's");
        let of_host = web.namespaces.iter().filter(|membership| membership.belonging == Some(Belonging::Host));
        let types: Vec<_> = of_host.map(|membership| membership.ns_type).collect();
        assert_eq!(types, [NamespaceType::Mnt, NamespaceType::User]);
        let app = facts(&snapshot, 1);
        assert_eq!((app.process, app.root, app.capabilities), (None, None, None));
    }

    #[test]
    fn root_is_who_the_map_says() {
        let mut snapshot = contained();
        assert_eq!(facts(&snapshot, 0).root, Some(Root::User(Uid(0))), "of the initial user namespace");
        let inner = crate::testing::id(4_026_532_900);
        let mut namespace = lxkns_model::Namespace::new(inner, NamespaceType::User);
        namespace.parent = lxkns_model::Relation::Known(USER);
        snapshot.namespaces.insert(inner, namespace);
        snapshot.processes.get_mut(&Pid(200)).unwrap().namespaces.set(NamespaceType::User, inner);
        let mut observer = Observer::new(Uid(0), CapabilitySet::ALL);
        observer.user_ns = Some(USER);
        let mut with = |map: Option<Vec<IdMapping>>| {
            snapshot.observer = Some(observer);
            snapshot.namespaces.get_mut(&inner).unwrap().uid_map = map;
            facts(&snapshot, 0).root
        };
        let line = |inside, outside| IdMapping { inside, outside, count: 10 };
        assert_eq!(with(None), None, "not read");
        assert_eq!(with(Some(vec![line(0, 100_000)])), Some(Root::User(Uid(100_000))));
        assert_eq!(with(Some(vec![line(1, 0), line(0, 5)])), Some(Root::User(Uid(5))));
        assert_eq!(with(Some(vec![line(1, 0)])), Some(Root::Nobody));
        assert_eq!(with(Some(vec![line(0, u32::MAX)])), None, "not visible from where it was read");
        snapshot.namespaces.get_mut(&inner).unwrap().uid_map = Some(vec![line(0, 0)]);
        snapshot.observer = None;
        assert_eq!(facts(&snapshot, 0).root, None, "of whom the map tells is not known");
    }

    #[test]
    fn capabilities_beyond_what_the_engine_gives() {
        let mut snapshot = contained();
        let mut with = |kind, bounding: CapabilitySet| {
            snapshot.annotations.containers.as_mut().unwrap().list[0].kind = kind;
            let status = snapshot.processes.get_mut(&Pid(200)).unwrap().status.as_mut().unwrap();
            status.capabilities.bounding = bounding;
            facts(&snapshot, 0).extra_capabilities
        };
        assert_eq!(with(EngineKind::Docker, DOCKER), Some(CapabilitySet::NONE));
        assert_eq!(DOCKER.len(), 14);
        assert_eq!(with(EngineKind::Docker, DOCKER.union(C::NET_ADMIN)), Some(C::NET_ADMIN));
        assert_eq!(with(EngineKind::Podman, DOCKER), Some(all(&[C::AUDIT_WRITE, C::MKNOD, C::NET_RAW])));
        assert_eq!(with(EngineKind::Lxc, C::ALL), Some(NOT_LXC));
        assert_eq!(with(EngineKind::Unknown, C::ALL), None);
        snapshot.processes.get_mut(&Pid(200)).unwrap().status = None;
        let web = facts(&snapshot, 0);
        assert_eq!((web.capabilities, web.extra_capabilities, web.seccomp), (None, None, None), "not readable");
    }

    #[test]
    fn a_main_process_that_is_not_readable_is_named() {
        let mut snapshot = contained();
        let containers = snapshot.annotations.containers.as_mut().unwrap();
        containers.list[1].main = Some(Said { value: Pid(999), by: 0 });
        let app = facts(&snapshot, 1);
        assert_eq!((app.process, app.root), (Some(Pid(999)), None));
    }
}
