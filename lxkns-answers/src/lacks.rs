//! What the caller lacks to follow advice, by the kernel's rules.

use std::cell::RefCell;

use lxkns_model::{
    CapabilitySet, ControlAccess, ControlFile, Holder, NamespaceId, NamespaceType, Observer, Pid, Relation, Snapshot,
};
use rustc_hash::FxHashMap;

use crate::gaps::and;
use crate::names;
use crate::text::escape::printable;

/// What entering a mount namespace takes.
const BOTH: CapabilitySet = CapabilitySet::SYS_ADMIN.union(CapabilitySet::SYS_CHROOT);

/// Advice with what the caller lacks for following it.
pub(crate) fn with_lack(advice: String, lack: Option<&str>) -> String {
    match lack {
        Some(lack) => format!("{advice} (not as this user: needs {lack})"),
        None => advice,
    }
}

/// What the observer of a snapshot lacks for doing things to its processes and to what keeps file systems busy. `None` is
/// said where nothing is lacking, and where that is not known.
#[derive(Debug)]
pub struct Lacks<'a> {
    snapshot: &'a Snapshot,
    /// What it lacks for ending all processes in a namespace: once it was asked for.
    members: RefCell<FxHashMap<NamespaceId, Option<String>>>,
    /// Whether the observer may own a user namespace, in which it has all capabilities.
    may_own: bool,
}

impl<'a> Lacks<'a> {
    /// Of the observer of this snapshot.
    pub fn of(snapshot: &'a Snapshot) -> Self {
        let observer = snapshot.observer.as_ref();
        let may_own = observer.is_none_or(|observer| {
            let mut namespaces = snapshot.namespaces.values();
            namespaces.any(|namespace| {
                namespace.ns_type == NamespaceType::User
                    && !namespace.initial
                    && namespace.owner_uid.is_none_or(|uid| uid == observer.uid)
            })
        });
        Self { snapshot, members: RefCell::default(), may_own }
    }

    /// For ending a process by a signal, or making it do what ends a use (`kill(2)`): to have its UID, or a capability
    /// over it. Needs [`status`](lxkns_model::DiscoveryOptions::status) of the process.
    pub fn ending(&self, pid: Pid) -> Option<String> {
        const KILL: CapabilitySet = CapabilitySet::KILL;
        let observer = self.snapshot.observer.as_ref()?;
        let process = self.snapshot.processes.get(&pid)?;
        let uids = process.status.as_ref()?.uids;
        // What has no name in the observer's user namespace is shown as one UID, whoever it is.
        let own_uid = observer.mapped(observer.uid)?;
        if [uids.real, uids.saved].contains(&own_uid) {
            return None;
        }
        let own = observer.user_ns?;
        match process.namespaces.get(NamespaceType::User) {
            Some(user) => {
                let has_power = has_power_over(self.snapshot, observer, own, user, KILL)?;
                (!has_power).then(|| format!("CAP_KILL in {}", names::target(self.snapshot, user)))
            }
            // The observer may not even read in which it is. A capability of its own does not count if that is not below
            // its own, and who owns a user namespace has all in there.
            None => (!observer.capabilities.contains(KILL) && !self.may_own).then(|| "CAP_KILL".to_owned()),
        }
    }

    /// For ending all processes of a namespace.
    pub fn ending_members(&self, id: NamespaceId) -> Option<String> {
        if let Some(known) = self.members.borrow().get(&id) {
            return known.clone();
        }
        let namespace = self.snapshot.namespaces.get(&id);
        let holders = namespace.into_iter().flat_map(|namespace| &namespace.holders);
        let lack = holders.map_while(|holder| match holder {
            Holder::Process { pid } | Holder::Task { pid, .. } => Some(*pid),
            _ => None,
        });
        let lack = lack.filter_map(|pid| self.ending(pid)).next();
        self.members.borrow_mut().insert(id, lack.clone());
        lack
    }

    /// For shutting the host down (`reboot(2)`).
    pub fn shutting_down(&self) -> Option<String> {
        self.on_the_host(CapabilitySet::SYS_BOOT, None)
    }

    /// For what takes these capabilities in the initial user namespace, and to open a file of the kernel's.
    pub fn on_the_host(&self, needs: CapabilitySet, file: Option<&ControlFile>) -> Option<String> {
        let observer = self.snapshot.observer.as_ref()?;
        let is_initial = observer.is_in_initial_user_ns()?;
        let where_else = if is_initial { "" } else { " in the initial user namespace" };
        let missing = needs.difference(observer.host_capabilities());
        let capabilities = (!missing.is_empty()).then(|| and(&missing.names()) + where_else);
        let file = file.filter(|file| file.is_permitted == Some(false)).map(|file| {
            let access = if file.access == ControlAccess::Write { "write" } else { "read" };
            format!("{access} access to {}", printable(&file.path))
        });
        let all: Vec<_> = capabilities.into_iter().chain(file).collect();
        (!all.is_empty()).then(|| and(&all))
    }

    /// For unmounting in a mount namespace, as the kernel will refuse it (`capabilities(7)`, `setns(2)`). `home`: the mount
    /// namespace of the caller.
    pub fn unmounting(&self, mount_ns: NamespaceId, home: Option<NamespaceId>) -> Option<String> {
        let snapshot = self.snapshot;
        let observer = snapshot.observer.as_ref()?;
        let own = observer.user_ns?;
        let relation = snapshot.namespaces.get(&mount_ns)?.owner;
        let has_power = match relation {
            Relation::Known(owner) => has_power_over(snapshot, observer, own, owner, CapabilitySet::SYS_ADMIN)?,
            // It is outside of the caller's.
            Relation::NotVisible => false,
            _ => return None,
        };
        let owner = match relation {
            Relation::Known(owner) => names::target(snapshot, owner),
            _ => format!("the user namespace that owns {}", names::target(snapshot, mount_ns)),
        };
        match Some(mount_ns) == home {
            _ if !has_power => Some(format!("CAP_SYS_ADMIN in {owner}")),
            false if !observer.capabilities.contains(BOTH) => {
                Some("CAP_SYS_ADMIN and CAP_SYS_CHROOT to enter it".to_owned())
            }
            _ => None,
        }
    }

    /// For deleting a link of a network namespace: what `ip` needs for it, and for entering that where it is another than
    /// `home`, the one of the caller.
    pub fn deleting_link(&self, ns: NamespaceId, home: Option<NamespaceId>) -> Option<String> {
        let snapshot = self.snapshot;
        let observer = snapshot.observer.as_ref()?;
        let own = observer.user_ns?;
        let is_elsewhere = Some(ns) != home;
        let all = CapabilitySet::NET_ADMIN | if is_elsewhere { CapabilitySet::SYS_ADMIN } else { CapabilitySet::NONE };
        let relation = snapshot.namespaces.get(&ns)?.owner;
        let (has_power, owner) = match relation {
            Relation::Known(owner) => {
                (has_power_over(snapshot, observer, own, owner, all)?, names::target(snapshot, owner))
            }
            Relation::NotVisible => (false, format!("the user namespace that owns {}", names::target(snapshot, ns))),
            _ => return None,
        };
        match has_power {
            false => Some(format!("{} in {owner}", and(&all.names()))),
            true if is_elsewhere && !observer.capabilities.contains(CapabilitySet::SYS_ADMIN) => {
                Some("CAP_SYS_ADMIN to enter it".to_owned())
            }
            true => None,
        }
    }
}

/// Whether the observer has a capability in a user namespace: by its own capabilities there or above, or because it owns one
/// on the way; `None` where not known.
fn has_power_over(
    snapshot: &Snapshot,
    observer: &Observer,
    own: NamespaceId,
    user: NamespaceId,
    capability: CapabilitySet,
) -> Option<bool> {
    let holds = observer.capabilities.contains(capability);
    let mut at = user;
    // The kernel limits the depth; a dump can claim circles.
    for _ in 0..64 {
        if at == own {
            return Some(holds);
        }
        let namespace = snapshot.namespaces.get(&at)?;
        match namespace.parent {
            Relation::Known(parent) if parent == own && namespace.owner_uid == Some(observer.uid) => return Some(true),
            Relation::Known(parent) => at = parent,
            Relation::None | Relation::NotVisible => return Some(false),
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use lxkns_model::{Namespace, Uid};

    use super::*;
    use crate::testing::{HOME, USER, id, snapshot};

    fn with_observer(uid: u32, capabilities: CapabilitySet) -> Snapshot {
        let mut snapshot = snapshot();
        snapshot.observer = Some(Observer { user_ns: Some(USER), ..Observer::new(Uid(uid), capabilities) });
        snapshot
    }

    fn ending(snapshot: &Snapshot) -> Option<String> {
        Lacks::of(snapshot).ending(Pid(200))
    }

    #[test]
    fn a_process_is_ended_by_its_user_or_with_a_capability_over_it() {
        let lack = Some("CAP_KILL in user:4026531837".to_owned());
        assert_eq!(ending(&with_observer(7, CapabilitySet::NONE)), lack);
        assert_eq!(ending(&with_observer(7, CapabilitySet::KILL)), None);
        // The real and the saved UID count.
        for uid in [9, 200] {
            assert_eq!(ending(&with_observer(uid, CapabilitySet::NONE)), None, "{uid}");
        }
        let mut hidden = with_observer(7, CapabilitySet::NONE);
        hidden.processes.get_mut(&Pid(200)).unwrap().namespaces = Default::default();
        assert_eq!(ending(&hidden).as_deref(), Some("CAP_KILL"));
        // It may be in one that the observer owns.
        let mut child = Namespace::new(id(4_026_532_900), NamespaceType::User);
        child.owner_uid = Some(Uid(7));
        hidden.namespaces.insert(child.id, child);
        assert_eq!(ending(&hidden), None);
        hidden.processes.get_mut(&Pid(200)).unwrap().status = None;
        assert_eq!(ending(&hidden), None, "not known");
        let mut unknown = with_observer(7, CapabilitySet::NONE);
        unknown.observer = None;
        assert_eq!(ending(&unknown), None);
    }

    #[test]
    fn one_is_enough_for_all_members_of_a_namespace() {
        let nobody = with_observer(200, CapabilitySet::NONE);
        let lacks = Lacks::of(&nobody);
        assert_eq!(
            lacks.ending_members(HOME).as_deref(),
            Some("CAP_KILL in user:4026531837"),
            "process 1 is another's"
        );
        assert_eq!(Lacks::of(&with_observer(200, CapabilitySet::KILL)).ending_members(HOME), None);
    }

    #[test]
    fn what_is_of_the_host_takes_capabilities_and_files() {
        let of = |is_permitted| ControlFile { path: "/dev/x".into(), access: ControlAccess::Write, is_permitted };
        let lack = |observer: &Snapshot, is_permitted: Option<bool>| {
            Lacks::of(observer).on_the_host(CapabilitySet::SYS_ADMIN, Some(&of(is_permitted)))
        };
        let file = of(Some(false));
        let (root, nobody) = (with_observer(0, CapabilitySet::KNOWN), with_observer(7, CapabilitySet::NONE));
        assert_eq!(lack(&root, Some(true)), None);
        assert_eq!(lack(&root, Some(false)).as_deref(), Some("write access to /dev/x"));
        assert_eq!(lack(&nobody, Some(true)).as_deref(), Some("CAP_SYS_ADMIN"));
        assert_eq!(lack(&nobody, None).as_deref(), Some("CAP_SYS_ADMIN"), "nothing is said that is not known");
        assert_eq!(lack(&nobody, Some(false)).as_deref(), Some("CAP_SYS_ADMIN and write access to /dev/x"));
        assert_eq!(Lacks::of(&nobody).on_the_host(CapabilitySet::NONE, Some(&file)).unwrap(), "write access to /dev/x");
        // In a user namespace of its own it has all capabilities, which do not count on the host.
        let mut inside = with_observer(0, CapabilitySet::KNOWN);
        inside.observer.as_mut().unwrap().user_ns = Some(id(4_026_532_900));
        let lack = lack(&inside, Some(true));
        assert_eq!(lack.as_deref(), Some("CAP_SYS_ADMIN in the initial user namespace"));
    }
}
