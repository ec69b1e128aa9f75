//! What the kernel checks before it creates or enters namespaces, in its order: `ksys_unshare`, `copy_process`,
//! `create_user_ns`, `create_new_namespaces`, and the `install` of each type.

use lxkns_model::relations::{self, Authorities, Authority};
use lxkns_model::{
    ActionFacts, CapabilitySet, NamespaceId, NamespaceType, Pid, Process, Relation, Seccomp, SharedFs, Snapshot, Uid,
};

use super::action::{Verb, flag};
use super::counts::{counts, levels};
use super::{Obstacle, ObstacleKind as Kind};
use crate::names;
use crate::text::escape::printable;

/// Namespaces of users and of PIDs are nested no deeper below the initial one (`kernel/user_namespace.c`,
/// `kernel/pid_namespace.c`).
const DEEPEST_USER: usize = 33;
const DEEPEST_PID: usize = 32;

/// A process, and what stands in the way of it.
pub(super) struct Rules<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) process: &'a Process,
    /// `None` of a dump.
    pub(super) facts: Option<&'a ActionFacts>,
    /// What was found so far, in the order in which the kernel asks.
    pub(super) found: Vec<Obstacle>,
    /// What goes by what was seen.
    pub(super) notes: Vec<String>,
    pub(super) call: String,
}

/// Whether the process has a capability.
enum Has {
    Yes,
    /// It is permitted, and not effective.
    CanRaise,
    No,
    NotKnown,
}

impl Rules<'_> {
    fn add(&mut self, kind: Kind, errno: Option<&'static str>, because: String, change: impl Into<Option<String>>) {
        let call = self.call.clone();
        self.found.push(Obstacle { call, kind, is_certain: true, errno, because, change: change.into() });
    }

    fn unknown(&mut self, kind: Kind, errno: Option<&'static str>, because: impl Into<String>) {
        let (call, because) = (self.call.clone(), because.into());
        self.found.push(Obstacle { call, kind, is_certain: false, errno, because, change: None });
    }

    fn name(&self, id: NamespaceId) -> String {
        names::namespace_and_name(self.snapshot, id, None)
    }

    fn own(&self, ns_type: NamespaceType) -> Option<NamespaceId> {
        self.process.namespaces.get(ns_type)
    }

    fn uid(&self) -> Option<Uid> {
        self.process.status.as_ref().map(|status| status.uids.effective)
    }

    fn initial_user(&self) -> Option<NamespaceId> {
        let is_it = |id: &&NamespaceId| self.snapshot.namespaces[*id].initial;
        let users = self.snapshot.namespaces.iter().filter(|(_, namespace)| namespace.ns_type == NamespaceType::User);
        users.map(|(id, _)| id).find(is_it).copied()
    }

    fn has(&self, capability: CapabilitySet, at: NamespaceId) -> Has {
        let sets = self.process.status.as_ref().map(|status| status.capabilities);
        match (Authorities::over(self.snapshot, at).of(self.own(NamespaceType::User), self.uid()), sets) {
            (Ok(Authority::Elsewhere), _) => Has::No,
            (Ok(Authority::Creator(_)), _) => Has::Yes,
            (Ok(_), Some(sets)) if sets.effective.contains(capability) => Has::Yes,
            (Ok(_), Some(sets)) if sets.permitted.contains(capability) => Has::CanRaise,
            (Ok(_), Some(_)) => Has::No,
            _ => Has::NotKnown,
        }
    }

    /// Whether it is certain that it has a capability over the whole host.
    fn has_on_host(&self, capability: CapabilitySet) -> Option<bool> {
        let Some(initial) = self.initial_user() else {
            // Who is below the initial user namespace has none in it.
            let own = self.own(NamespaceType::User).and_then(|own| self.snapshot.namespaces.get(&own));
            return own.and_then(|own| (own.parent != Relation::NotAsked).then_some(false));
        };
        match self.has(capability, initial) {
            Has::Yes => Some(true),
            Has::NotKnown => None,
            _ => Some(false),
        }
    }

    /// A capability in a user namespace; `None` for the process's own, which may not be known and decides all the same.
    fn needs(&mut self, capability: CapabilitySet, at: Option<NamespaceId>, what: &str, change: Option<&str>) {
        let sets = self.process.status.as_ref().map(|status| status.capabilities);
        let has = match (at, sets) {
            (Some(at), _) => self.has(capability, at),
            (None, Some(sets)) if sets.effective.contains(capability) => Has::Yes,
            (None, Some(sets)) if sets.permitted.contains(capability) => Has::CanRaise,
            (None, Some(_)) => Has::No,
            (None, None) => Has::NotKnown,
        };
        let named = at.or(self.own(NamespaceType::User)).map(|id| format!(" ({})", self.name(id))).unwrap_or_default();
        let place = format!("{what}{named}");
        match has {
            Has::Yes => {}
            Has::CanRaise => self.add(
                Kind::Capability,
                Some("EPERM"),
                format!("{capability} is permitted but not effective in {place}"),
                format!("raise {capability} in the process: capset(2)"),
            ),
            Has::No => {
                let change = change.map(str::to_owned).or_else(|| {
                    Some(format!("do it in a process that has {capability} there; `lxkns who-can` lists them"))
                });
                self.add(Kind::Capability, Some("EPERM"), format!("no {capability} in {place}"), change);
            }
            Has::NotKnown => self.unknown(
                Kind::Capability,
                Some("EPERM"),
                format!("whether the process has {capability} in {place} is not readable"),
            ),
        }
    }

    /// The system call filter, which comes before all else.
    pub(super) fn seccomp(&mut self) {
        // An init that waits for the others in its PID namespace is no zombie yet.
        if self.process.living_task().state.is_dead() || self.process.has_given_up_namespaces() {
            self.add(Kind::Exited, None, "the process has exited".to_owned(), None);
        }
        match self.process.status.as_ref().map(|status| status.seccomp) {
            None => self.unknown(Kind::Seccomp, None, "the status of the process is not readable"),
            Some(Some(Seccomp::Filter)) => self.unknown(
                Kind::Seccomp,
                None,
                "a seccomp filter decides first, and the kernel does not show its rules",
            ),
            Some(Some(Seccomp::Strict | Seccomp::Dead)) => self.add(
                Kind::Seccomp,
                None,
                "seccomp's strict mode: the kernel ends the process (SIGKILL)".to_owned(),
                None,
            ),
            // A kernel without seccomp has no such line.
            Some(Some(Seccomp::None) | None) => {}
        }
    }

    /// A security module can refuse what the kernel's own rules allow.
    fn confinement(&mut self) {
        // Of a dump, its label is known alone.
        let of_dump =
            || self.process.status.as_ref()?.label.as_ref()?.as_ref().filter(|label| relations::confines(label));
        match self.facts.map_or_else(|| Some(of_dump()), |facts| facts.confinement.as_ref().map(Option::as_ref)) {
            Some(None) => {}
            Some(Some(label)) => {
                let because = format!("a security module confines it ({}), and can refuse this", printable(label));
                self.unknown(Kind::Lsm, Some("EACCES"), because);
            }
            None => self.unknown(Kind::Lsm, Some("EACCES"), "its security label is not readable"),
        }
    }

    /// The call that creates namespaces of these types.
    pub(super) fn creates(&mut self, verb: Verb, types: &[NamespaceType]) {
        let user = types.contains(&NamespaceType::User);
        if user {
            self.distribution();
            if verb == Verb::Unshare && self.process.threads > 1 {
                self.several_threads("EINVAL");
            }
            self.user_namespace();
        }
        if !types.is_empty() {
            self.confinement();
        }
        if verb == Verb::Clone {
            self.process_limit();
        }
        let others: Vec<_> = types.iter().copied().filter(|&ns_type| ns_type != NamespaceType::User).collect();
        if !others.is_empty() && !user {
            let change = "add a user namespace (unshare --user): its creator has all capabilities over the others";
            self.needs(CapabilitySet::SYS_ADMIN, None, "the user namespace of the process", Some(change));
        }
        for ns_type in [NamespaceType::Mnt, NamespaceType::Uts, NamespaceType::Ipc, NamespaceType::Pid]
            .into_iter()
            .chain([NamespaceType::Cgroup, NamespaceType::Net, NamespaceType::Time])
            .filter(|ns_type| others.contains(ns_type))
        {
            if ns_type == NamespaceType::Pid {
                self.pid_namespace(user);
            }
            self.limit(ns_type);
        }
        if verb == Verb::Clone {
            self.child(types.contains(&NamespaceType::Pid));
        }
    }

    /// A plain child, after new namespaces for it or without.
    pub(super) fn forks(&mut self, in_new: bool) {
        self.process_limit();
        self.child(in_new);
    }

    /// What a dump lacks, which leaves it unknown.
    pub(super) fn not_in_dump(&mut self, what: &str) {
        self.unknown(Kind::NotInDump, None, format!("a dump does not have {what}"));
    }

    /// Whether one of these is only for those who share their root directory with nobody.
    pub(super) fn needs_shared_fs(&self, targets: &[Vec<NamespaceId>]) -> bool {
        let ns_type = |id: &NamespaceId| self.snapshot.namespaces.get(id).map(|namespace| namespace.ns_type);
        let takes = |id| matches!(ns_type(id), Some(NamespaceType::User | NamespaceType::Mnt));
        targets.iter().flatten().any(takes)
    }

    fn several_threads(&mut self, errno: &'static str) {
        self.add(
            Kind::Threads,
            Some(errno),
            format!("the process has {} threads", self.process.threads),
            "do it in a process with a single thread: a child (fork), or a program before it starts threads".to_owned(),
        );
    }

    /// What Debian and others have added.
    fn distribution(&mut self) {
        let Some(facts) = self.facts else { return };
        let setting = "kernel.unprivileged_userns_clone";
        match (facts.unprivileged_user_namespaces, self.has_on_host(CapabilitySet::SYS_ADMIN)) {
            (Some(true), _) | (_, Some(true)) => {}
            (Some(false), Some(false)) => self.add(
                Kind::Sysctl,
                Some("EPERM"),
                format!("{setting} is 0, and the process has no CAP_SYS_ADMIN on the host"),
                format!("`sysctl -w {setting}=1`"),
            ),
            _ => self.unknown(Kind::Sysctl, Some("EPERM"), format!("{setting} is not readable")),
        }
    }

    /// `create_user_ns`.
    fn user_namespace(&mut self) {
        let own = self.own(NamespaceType::User);
        let depth = own.map(|own| levels(self.snapshot, own, None));
        if let Some((above, true)) = &depth
            && above.len() > DEEPEST_USER
        {
            self.add(
                Kind::Depth,
                Some("ENOSPC"),
                format!("the user namespace of the process is nested {} deep, the maximum", above.len() - 1),
                "do it in a user namespace nearer to the initial one".to_owned(),
            );
        }
        self.limit(NamespaceType::User);
        let Some(facts) = self.facts else { return };
        match facts.is_chrooted {
            Some(false) => {}
            Some(true) => {
                let root = self.own(NamespaceType::Mnt).map_or("its mount namespace".to_owned(), |mnt| self.name(mnt));
                self.add(
                    Kind::Chroot,
                    Some("EPERM"),
                    format!("the root directory of the process is not that of {root} (chroot)"),
                    "do it outside the chroot; pivot_root(2) changes the root of the mount namespace itself".to_owned(),
                );
            }
            None => self.unknown(Kind::Chroot, Some("EPERM"), "whether the process is in a chroot is not readable"),
        }
        self.mapped_ids(facts.effective_gid);
        if facts.selinux_decides != Some(false) {
            self.unknown(
                Kind::Lsm,
                Some("EACCES"),
                "SELinux's policy decides (user_namespace create), and its answer is not readable",
            );
        }
        match facts.apparmor_restricts {
            Some(false) => {}
            // A profile without a rule leaves the new user namespace without capabilities.
            restricts => self.unknown(
                Kind::Lsm,
                Some("EACCES"),
                match restricts {
                    Some(_) => "kernel.apparmor_restrict_unprivileged_userns is 1: AppArmor's profile decides",
                    None => "kernel.apparmor_restrict_unprivileged_userns is not readable",
                },
            ),
        }
    }

    /// The effective IDs must have numbers in the user namespace that they are used in.
    fn mapped_ids(&mut self, gid: Option<u32>) {
        let Some(own) = self.own(NamespaceType::User).and_then(|own| self.snapshot.namespaces.get(&own)) else {
            return self.unknown(Kind::Unmapped, Some("EPERM"), "the user namespace of the process is not readable");
        };
        if own.initial {
            return;
        }
        let is_within = self.snapshot.observer.as_ref().is_some_and(|observer| observer.user_ns == Some(own.id));
        let ids = [("UID", self.uid().map(|uid| uid.0), &own.uid_map), ("GID", gid, &own.gid_map)];
        let mut found = Vec::new();
        for (what, id, map) in ids {
            let is_mapped = id.zip(map.as_ref()).and_then(|(id, map)| {
                let has = map.iter().any(|mapping| match is_within {
                    true => id.checked_sub(mapping.inside).is_some_and(|at| at < mapping.count),
                    false => mapping.to_inside(id).is_some(),
                });
                // What has no number to the reader may have one there, or not.
                (map.is_empty() || names::mapped(self.snapshot, Uid(id)).is_some()).then_some(has)
            });
            if is_mapped != Some(true) {
                found.push((what, id, is_mapped.is_some()));
            }
        }
        let user = self.name(own.id);
        let pid = self.process.pid;
        for (what, id, is_certain) in found {
            let file = format!("{}_map", what.to_ascii_lowercase());
            match id {
                Some(id) if is_certain => self.add(
                    Kind::Unmapped,
                    Some("EPERM"),
                    format!("{what} {id} is not mapped in {user}"),
                    format!("map it, from the parent user namespace: write `0 {id} 1` to /proc/{pid}/{file}"),
                ),
                _ => self.unknown(Kind::Unmapped, Some("EPERM"), format!("whether its {what} is mapped in {user}")),
            }
        }
    }

    /// The limits of the user namespaces from the process's up.
    fn limit(&mut self, ns_type: NamespaceType) {
        let Some(facts) = self.facts else { return };
        let setting = format!("user.max_{ns_type}_namespaces");
        let Some(own) = self.own(NamespaceType::User) else {
            return self.unknown(Kind::Limit, Some("ENOSPC"), "the user namespace of the process is not readable");
        };
        let (levels, is_whole) = levels(self.snapshot, own, self.uid());
        let counts = counts(self.snapshot, ns_type, &levels);
        let mut unreadable = Vec::new();
        for (level, count) in levels.iter().zip(counts) {
            let user = self.name(level.user);
            let limits = facts.limits.get(&level.user);
            let limit = limits.map(|limits| limits.iter().find(|limit| limit.ns_type == ns_type.name()));
            let max = match limit {
                // This kernel has no such limit.
                Some(None) => continue,
                Some(Some(limit)) => limit.max,
                None => {
                    unreadable.push(user);
                    continue;
                }
            };
            let of = level.uid.map(|uid| format!(" of {}", names::user(self.snapshot, uid))).unwrap_or_default();
            if max == 0 || count.certain >= max {
                let in_use = if max == 0 { String::new() } else { format!(", and {}{of} are in use", count.certain) };
                self.add(
                    Kind::Limit,
                    Some("ENOSPC"),
                    format!("{setting} is {max} in {user}{in_use}"),
                    format!("`sysctl -w {setting}={}` in {user}", count.possible.max(max) + 1),
                );
            } else if count.possible >= max {
                let because = format!(
                    "{setting} is {max} in {user}: {} are in use, and it is not known how many{of}",
                    count.possible
                );
                self.unknown(Kind::Limit, Some("ENOSPC"), because);
            } else if relations::unreadable_processes(self.snapshot) > 0 || !relations::processes_listed(self.snapshot)
            {
                self.notes.push(match count.certain {
                    0 => format!("how many of {max} {ns_type} namespaces{of} are in use in {user} is not visible"),
                    count => format!(
                        "at least {count} of {max} {ns_type} namespaces{of} are in use in {user}: not all may be visible"
                    ),
                });
            }
        }
        if let [first, others @ ..] = &unreadable[..] {
            let more = if others.is_empty() { String::new() } else { format!(" and {} above it", others.len()) };
            self.unknown(Kind::Limit, Some("ENOSPC"), format!("{setting} of {first}{more} is not readable"));
        }
        if !is_whole {
            let top = levels.last().map(|level| self.name(level.user)).unwrap_or_default();
            self.unknown(
                Kind::Limit,
                Some("ENOSPC"),
                format!("{setting} of the ancestors of {top} is not visible from here"),
            );
        }
    }

    /// `copy_pid_ns` and `create_pid_namespace`; `below` is for a new user namespace.
    fn pid_namespace(&mut self, below: bool) {
        let Some(own) = self.own(NamespaceType::Pid) else {
            return self.unknown(Kind::Pid, Some("EINVAL"), "the PID namespace of the process is not readable");
        };
        match self.process.namespaces.for_children(NamespaceType::Pid) {
            Some(children) if children != own => self.add(
                Kind::Pid,
                Some("EINVAL"),
                format!("its children are already in {}, but the process itself is not", self.name(children)),
                "fork first, then do it in the child".to_owned(),
            ),
            Some(_) => {}
            // Before 6.11 the kernel does not say which one that is.
            None if self.facts.is_some_and(|facts| facts.children_had_init == Some(false)) => self.add(
                Kind::Pid,
                Some("EINVAL"),
                "its children are already in another PID namespace, which has no first process".to_owned(),
                "fork first, then do it in the child".to_owned(),
            ),
            None => self.unknown(Kind::Pid, Some("EINVAL"), "the PID namespace of its children is not readable"),
        }
        let user = self.own(NamespaceType::User);
        let owner = self.snapshot.namespaces.get(&own).map(|namespace| namespace.owner).unwrap_or_default();
        if let (Some(user), Relation::Known(owner)) = (user, owner) {
            let (above, is_whole) = levels(self.snapshot, user, None);
            if above.iter().all(|level| level.user != owner) && is_whole {
                let of = if below { "the new user namespace" } else { "the user namespace of the process" };
                let because = format!("{of} is not below {}, which owns {}", self.name(owner), self.name(own));
                self.add(Kind::Pid, Some("EINVAL"), because, None);
            }
        }
        let (depth, is_whole) = self.pid_depth(own);
        if is_whole && depth >= DEEPEST_PID {
            let because = format!("{} is nested {depth} deep, the maximum", self.name(own));
            let change = "do it in a PID namespace nearer to the initial one".to_owned();
            self.add(Kind::Depth, Some("ENOSPC"), because, change);
        }
    }

    /// How deep a PID namespace is below the initial one, and whether that is known.
    fn pid_depth(&self, mut at: NamespaceId) -> (usize, bool) {
        let mut depth = 0;
        while depth <= DEEPEST_PID {
            let Some(namespace) = self.snapshot.namespaces.get(&at) else { return (depth, false) };
            match namespace.parent.known() {
                Some(parent) => at = parent,
                None => return (depth, namespace.initial),
            }
            depth += 1;
        }
        (depth, true)
    }

    /// `RLIMIT_NPROC`, from which root on the host is exempt.
    fn process_limit(&mut self) {
        let Some(facts) = self.facts else { return };
        let Some(limit) = facts.process_limit else {
            return self.unknown(Kind::ProcessLimit, Some("EAGAIN"), "RLIMIT_NPROC is not readable");
        };
        let status = self.process.status.as_ref();
        let Some(uid) = status.map(|status| status.uids.real).filter(|_| limit != u64::MAX) else { return };
        let is_host = self.snapshot.observer.as_ref().and_then(|observer| observer.is_in_initial_user_ns());
        let is_exempt = |capability| self.has_on_host(capability) == Some(true);
        if (uid == Uid(0) && is_host == Some(true))
            || is_exempt(CapabilitySet::SYS_RESOURCE)
            || is_exempt(CapabilitySet::SYS_ADMIN)
        {
            return;
        }
        // Since 5.14 those in the same user namespace count, before that all of the user's.
        let (mut here, mut anywhere) = (0, 0);
        for other in self.snapshot.processes.values() {
            if other.status.as_ref().is_none_or(|status| status.uids.real == uid) {
                let tasks = u64::from(other.threads.max(1));
                anywhere += tasks;
                let is_here = other.namespaces.get(NamespaceType::User) == self.own(NamespaceType::User);
                here += if is_here && other.status.is_some() { tasks } else { 0 };
            }
        }
        let who = names::user(self.snapshot, uid);
        if here >= limit {
            self.add(
                Kind::ProcessLimit,
                Some("EAGAIN"),
                format!("RLIMIT_NPROC is {limit}, and {who} has {here} tasks in the user namespace of the process"),
                format!("`prlimit --pid {} --nproc={}`", self.process.pid, here + 1),
            );
        } else if anywhere >= limit {
            let because =
                format!("RLIMIT_NPROC is {limit}, and {who} has {anywhere} tasks on the host, {here} of them here");
            self.unknown(Kind::ProcessLimit, Some("EAGAIN"), because);
        }
    }

    /// A child: its PID namespace must take it, and its control group.
    pub(super) fn child(&mut self, in_new: bool) {
        let children = self.process.namespaces.for_children(NamespaceType::Pid);
        let own = self.own(NamespaceType::Pid);
        if let (Some(children), false) = (children.filter(|_| children != own), in_new)
            && self.facts.and_then(|facts| facts.children_had_init) != Some(false)
        {
            self.dead_init(children);
        }
        let Some(facts) = self.facts else { return };
        let Some(groups) = &facts.pids else {
            return self.unknown(Kind::CgroupLimit, Some("EAGAIN"), "pids.max of its control groups is not readable");
        };
        for group in groups.iter().filter(|group| group.current >= group.max) {
            let name = printable(&group.group);
            self.add(
                Kind::CgroupLimit,
                Some("EAGAIN"),
                format!("pids.max is {} in the control group {name}, which has {} tasks", group.max, group.current),
                format!("write {} to pids.max of {name}", group.current + 1),
            );
        }
    }

    /// A PID namespace whose first process has ended takes no more.
    fn dead_init(&mut self, children: NamespaceId) {
        let is_alive = |process: &&Process| !process.living_task().state.is_dead();
        let mut living = self.snapshot.processes.values().filter(is_alive);
        if living.any(|process| process.namespaces.get(NamespaceType::Pid) == Some(children)) {
            return;
        }
        // Who is in there has one PID more than this process.
        let pids = |process: &Process| process.status.as_ref().map(|status| status.ns_pids.len());
        let own_pids = pids(self.process).unwrap_or_default();
        let may_be_there = |process: &&Process| {
            let has_more = pids(process).is_none_or(|pids| pids > own_pids);
            process.namespaces.get(NamespaceType::Pid).is_none() && has_more
        };
        let is_hidden = self.snapshot.processes.values().filter(is_alive).any(|process| may_be_there(&process));
        let name = self.name(children);
        // It may enter its own PID namespace again only with a capability in the owner of that.
        let may_enter = self.own(NamespaceType::Pid).is_some_and(|own| {
            let owner = relations::deciding_user_namespace(self.snapshot, own);
            owner.is_some_and(|owner| matches!(self.has(CapabilitySet::SYS_ADMIN, owner), Has::Yes))
        });
        let change = match may_enter {
            true => format!("enter its own PID namespace first: setns(2) of /proc/{}/ns/pid", self.process.pid),
            false => "do it in another process: this one has no other PID namespace for its children".to_owned(),
        };
        match self.facts {
            Some(facts) if facts.children_had_init == Some(true) && !is_hidden => self.add(
                Kind::Pid,
                Some("ENOMEM"),
                format!("its children are in {name}, whose first process has ended"),
                change,
            ),
            _ => self.unknown(
                Kind::Pid,
                Some("ENOMEM"),
                format!("whether the first process of {name}, where its children are, has ended is not known"),
            ),
        }
    }

    /// `setns(2)` with a namespace, or with the pidfd of a process and several.
    pub(super) fn enters(&mut self, ids: &[(NamespaceType, NamespaceId)]) {
        self.confinement();
        let user = ids.iter().find(|(ns_type, _)| *ns_type == NamespaceType::User).map(|&(_, id)| id);
        let order =
            [NamespaceType::User, NamespaceType::Mnt, NamespaceType::Uts, NamespaceType::Ipc, NamespaceType::Pid]
                .into_iter()
                .chain([NamespaceType::Cgroup, NamespaceType::Net, NamespaceType::Time]);
        for ns_type in order {
            let Some(&(_, id)) = ids.iter().find(|(of, _)| *of == ns_type) else { continue };
            match ns_type {
                NamespaceType::User => self.enters_user(id),
                NamespaceType::Time if self.process.threads > 1 => self.several_threads("EUSERS"),
                NamespaceType::Time => self.shared_memory(),
                _ => {}
            }
            if ns_type == NamespaceType::User {
                continue;
            }
            self.owner(ns_type, id);
            // In one call, those of the user namespace that is entered with it.
            let here =
                if user.is_some() { "the user namespace that is entered" } else { "the user namespace of the process" };
            if ns_type == NamespaceType::Mnt {
                self.needs(CapabilitySet::SYS_CHROOT, user, here, None);
            }
            self.needs(CapabilitySet::SYS_ADMIN, user, here, None);
            match ns_type {
                NamespaceType::Mnt if ids.len() == 1 => self.shared_fs(),
                NamespaceType::Pid => self.enters_pid(id),
                _ => {}
            }
        }
    }

    /// Only a process that shares its memory with nobody can enter a time namespace.
    fn shared_memory(&mut self) {
        match self.facts.map(|facts| facts.shares_memory) {
            None | Some(Some(false)) => {}
            Some(Some(true)) => self.add(
                Kind::SharedMemory,
                Some("EUSERS"),
                "another process shares its memory (CLONE_VM)".to_owned(),
                "do it in a child that was made by fork(2)".to_owned(),
            ),
            Some(None) => {
                let because = "whether another process shares its memory is not readable";
                self.unknown(Kind::SharedMemory, Some("EUSERS"), because);
            }
        }
    }

    fn owner(&mut self, ns_type: NamespaceType, id: NamespaceId) {
        match relations::deciding_user_namespace(self.snapshot, id) {
            Some(owner) => {
                let what = format!("the owner of {ns_type}:[{}]", id.ino);
                self.needs(CapabilitySet::SYS_ADMIN, Some(owner), &what, None);
            }
            None => {
                let because = format!("the owner of {} is not visible from here", self.name(id));
                self.unknown(Kind::Capability, Some("EPERM"), because);
            }
        }
    }

    fn enters_user(&mut self, id: NamespaceId) {
        if self.own(NamespaceType::User) == Some(id) {
            let because = format!("it is already in {}, and may not enter it again", self.name(id));
            self.add(Kind::Same, Some("EINVAL"), because, None);
        }
        if self.process.threads > 1 {
            self.several_threads("EINVAL");
        }
        self.shared_fs();
        self.needs(CapabilitySet::SYS_ADMIN, Some(id), "the user namespace that is entered", None);
    }

    /// Only a process that shares its root directory with nobody can enter a mount or user namespace.
    fn shared_fs(&mut self) {
        let Some(facts) = self.facts else { return };
        let with = match facts.shared_fs {
            Some(SharedFs::Nobody) => return,
            Some(SharedFs::OwnTasks) => "the other threads of its process".to_owned(),
            Some(SharedFs::Process(pid)) => self.process_name(pid),
            None => {
                let because = "whether it shares its root directory with another process is not readable";
                return self.unknown(Kind::SharedFs, Some("EINVAL"), because);
            }
        };
        self.add(
            Kind::SharedFs,
            Some("EINVAL"),
            format!("it shares its root and working directory with {with} (CLONE_FS)"),
            "call unshare(CLONE_FS) first".to_owned(),
        );
    }

    fn process_name(&self, pid: Pid) -> String {
        format!("process {}", names::process(self.snapshot, pid, names::Detail::Brief))
    }

    fn enters_pid(&mut self, id: NamespaceId) {
        let Some(own) = self.own(NamespaceType::Pid) else {
            return self.unknown(Kind::Pid, Some("EINVAL"), "the PID namespace of the process is not readable");
        };
        let mut at = id;
        for _ in 0..=DEEPEST_PID {
            if at == own {
                return;
            }
            match self.snapshot.namespaces.get(&at).map(|namespace| namespace.parent) {
                Some(Relation::Known(parent)) => at = parent,
                Some(Relation::None) => break,
                _ => {
                    let because = format!("the parent of {} is not visible from here", self.name(at));
                    return self.unknown(Kind::Pid, Some("EINVAL"), because);
                }
            }
        }
        let because = format!("{} is not {} or below it", self.name(id), self.name(own));
        self.add(
            Kind::Pid,
            Some("EINVAL"),
            because,
            "do it in a process of an ancestor of that PID namespace".to_owned(),
        );
    }
}

/// A call as C has it: `unshare(CLONE_NEWUSER|CLONE_NEWNET)`.
pub(super) fn call(name: &str, types: impl IntoIterator<Item = NamespaceType>) -> String {
    let flags: Vec<_> = types.into_iter().map(flag).collect();
    format!("{name}({})", flags.join("|"))
}
