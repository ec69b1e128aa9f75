//! Namespaces, credentials, and processes in places where they do not belong.

use lxkns_model::CompactSort as _;
use lxkns_model::{
    CapabilitySet, EngineKind, IdMapping, NamespaceId, NamespaceLinks, NamespaceType, Pid, Process, Seccomp,
    TaskCredentials, Tid, Uid,
};

use super::host::of_host;
use super::{Case, Evidence, Severity};
use crate::isolation::{self, Root, all};
use crate::names;
use crate::text::escape::printable;
use crate::whose;

type C = CapabilitySet;

/// Each of these takes over the host: what the kernel lets it do to files, modules, memory and mounts.
const TAKES_OVER: C = all(&[C::SYS_ADMIN, C::SYS_MODULE, C::SYS_RAWIO, C::DAC_READ_SEARCH]);

/// What sharing a namespace with the host means.
fn shared(ns_type: NamespaceType) -> (Severity, &'static str, &'static str) {
    use NamespaceType as T;
    match ns_type {
        T::Mnt => (Severity::High, "its files are the host's", ""),
        T::Pid => (Severity::Medium, "it sees and signals the host's processes", "--pid=host"),
        T::Net => (Severity::Medium, "it has the host's interfaces, ports and abstract UNIX sockets", "--network=host"),
        T::Ipc => (Severity::Medium, "it has the host's shared memory and message queues", "--ipc=host"),
        T::Uts => (Severity::Low, "it sees the host's name change, and may change it with CAP_SYS_ADMIN", "--uts=host"),
        T::Cgroup => (Severity::Info, "it sees the host's control groups", "--cgroupns=host"),
        T::User => (Severity::Info, "its UID 0 is the host's", ""),
        _ => (Severity::Info, "it has the host's clocks", ""),
    }
}

impl<'a> Case<'a, '_> {
    /// The namespaces that its first process is in.
    fn links(&self) -> NamespaceLinks {
        match self.subject.container {
            Some(index) => self.audit.namespaces.namespaces(index),
            None => self.process(self.subject.main).map(|process| process.namespaces).unwrap_or_default(),
        }
    }

    fn process(&self, pid: Option<Pid>) -> Option<&'a Process> {
        self.audit.context.snapshot.processes.get(&pid?)
    }

    fn is_hosts(&self, id: NamespaceId) -> Option<bool> {
        of_host(self.audit.context.snapshot, id)
    }

    /// Which namespaces are the host's.
    pub(super) fn judge_namespaces(&mut self) {
        if let Some(why) = &self.subject.unseen {
            self.unknown(format!("other processes in it: {why}"), None);
        }
        let is_empty = self.subject.has_ended || self.subject.is_of_kernel;
        if self.subject.pids.is_empty() && !is_empty {
            self.unknown("no process of it is visible", self.subject.main);
        }
        if self.subject.pids.is_empty() {
            return;
        }
        let links = self.links();
        let mut usual = Vec::new();
        for ns_type in NamespaceType::ALL {
            let Some(id) = links.get(ns_type) else {
                // A kernel without time namespaces has none that is shared.
                if ns_type != NamespaceType::Time || links.is_empty() {
                    self.unknown(format!("whose {ns_type} namespace it is in: not readable"), self.subject.main);
                }
                continue;
            };
            match self.is_hosts(id) {
                Some(false) => continue,
                Some(true) => {}
                None => {
                    self.unknown(format!("whose {ns_type} namespace it is in: not known"), self.subject.main);
                    continue;
                }
            }
            let (severity, meaning, option) = shared(ns_type);
            if severity == Severity::Info {
                usual.push(ns_type.name());
                continue;
            }
            let evidence = self.in_namespace(id);
            let text = format!("{ns_type} namespace shared with the host: {meaning}");
            self.find("namespace-shared", severity, text, Some(evidence), &|case| {
                let own = format!("give it its own {ns_type} namespace");
                if option.is_empty() { own } else { case.without(option, &own) }
            });
        }
        if !usual.is_empty() {
            let text = format!("namespaces that engines usually share with the host: {}", usual.join(", "));
            let evidence = self.subject.main.map(|pid| self.of_task(pid, Tid::from(pid), ""));
            self.find("namespace-shared", Severity::Info, text, evidence, &|_| {
                "none needed; a user namespace makes its UID 0 an ordinary user of the host".to_owned()
            });
        }
        let root = self.process(self.subject.main).and_then(|it| isolation::root(self.audit.context.snapshot, it));
        self.may_be_host_root = self.has_host_root(links.get(NamespaceType::User), root);
    }

    /// Whether UID 0 of the host can be had in a user namespace.
    fn has_host_root(&self, user: Option<NamespaceId>, root: Option<Root>) -> Option<bool> {
        if root == Some(Root::User(Uid(0))) {
            return Some(true);
        }
        self.audit.host.has_uids.then_some(())?;
        let map = self.audit.context.snapshot.namespaces.get(&user?)?.uid_map.as_ref()?;
        Some(map.iter().any(|mapping| mapping.to_inside(0).is_some()))
    }

    fn in_namespace(&self, id: NamespaceId) -> Evidence {
        let name = names::namespace(self.audit.context.snapshot, id);
        let of = self.subject.main.map(|pid| self.of_task(pid, Tid::from(pid), &name));
        Evidence { nsid: Some(id.ino), ..of.unwrap_or(Evidence { text: name, ..Evidence::default() }) }
    }

    /// With what rights each of its tasks acts.
    pub(super) fn judge_credentials(&mut self) {
        let snapshot = self.audit.context.snapshot;
        let (facts, subject) = (self.audit.facts, self.subject);
        let user = self.links().get(NamespaceType::User);
        let default = match subject.container.and_then(|index| self.audit.container(index)) {
            Some(container) => isolation::default_capabilities(container),
            None => Some(isolation::DOCKER),
        };
        if default.is_none() {
            self.unknown("capabilities beyond the engine's default: its default is not known", None);
        }
        if !self.audit.host.has_uids && !subject.pids.is_empty() {
            self.unknown("UIDs: the observer is not in the host's user namespace", None);
        }
        if self.may_be_host_root.is_none() && !subject.pids.is_empty() {
            self.unknown("whether its root is the host's: the UID map is not known", None);
        }
        for &pid in &subject.pids {
            let Some(process) = snapshot.processes.get(&pid) else { continue };
            if process.namespaces.get(NamespaceType::User).is_none() {
                self.unknown("namespaces: not readable", Some(pid));
            }
            let of_tasks = facts.and_then(|facts| facts.tasks.get(&pid)).map(Vec::as_slice);
            let from_status = || {
                let status = process.status.as_ref()?;
                Some(TaskCredentials {
                    tid: process.living_task().tid,
                    uids: status.uids,
                    gids: None,
                    capabilities: status.capabilities,
                    seccomp: status.seccomp,
                    no_new_privs: status.no_new_privs,
                    label: status.label.clone(),
                })
            };
            let tasks = of_tasks.map_or_else(|| from_status().into_iter().collect(), <[_]>::to_vec);
            // A zombie has no rights left; one that has vanished neither.
            let is_over = process.living_task().state.is_dead()
                || facts.is_some() && !self.audit.gaps.of_processes.contains_key(&pid);
            if tasks.is_empty() && !is_over {
                self.unknown("credentials: not readable", Some(pid));
            }
            for task in &tasks {
                self.judge_task(process, task, user, default);
            }
        }
        if facts.is_none() && !subject.pids.is_empty() {
            for what in [
                "credentials of tasks beside the first of each process",
                "directories, devices and engine sockets that are open",
                "engine sockets that are mounted",
                "devices in /dev, and whether /proc/sysrq-trigger is masked",
                "what is mapped, and which devices control groups let it open",
            ] {
                self.unknown(format!("{what}: not in a dump"), None);
            }
            if !self.audit.has_read_labels() {
                self.unknown("labels of security modules: not in this dump", None);
            }
        }
        self.judge_gaps();
    }

    fn judge_task(
        &mut self,
        process: &Process,
        task: &TaskCredentials,
        user_of_container: Option<NamespaceId>,
        default: Option<CapabilitySet>,
    ) {
        let (pid, tid) = (process.pid, task.tid);
        let own_user = process.namespaces.get(NamespaceType::User);
        let in_hosts_user = own_user.and_then(|id| self.is_hosts(id));
        self.judge_uids(process, task, user_of_container);
        let has = isolation::reachable(&task.capabilities);
        let extra = default.map(|default| has.difference(default));
        match in_hosts_user {
            Some(true) => {
                self.host_capabilities = self.host_capabilities.union(has);
                let all = self.audit.host.capabilities;
                if has.contains(all) && !all.is_empty() {
                    let evidence = self.of_task(pid, tid, "");
                    let text = "privileged: it can have every capability that the host's first process can have";
                    self.find("privileged", Severity::High, text, Some(evidence), &|case| {
                        case.without("--privileged", "take away the capabilities that it does not need")
                    });
                } else if let Some(extra) = extra.filter(|extra| !extra.is_empty()) {
                    let shares_pids =
                        self.links().get(NamespaceType::Pid).and_then(|id| self.is_hosts(id)) == Some(true);
                    let worst = if shares_pids { TAKES_OVER.union(C::SYS_PTRACE) } else { TAKES_OVER };
                    let takes_over = !extra.intersection(worst).is_empty();
                    self.extra(pid, tid, extra, if takes_over { Severity::High } else { Severity::Medium }, "");
                }
                let usual = has.intersection(TAKES_OVER).difference(extra.unwrap_or(has));
                if !usual.is_empty() {
                    let text =
                        format!("capabilities from its engine that can take over the host: {}", usual.in_words());
                    let evidence = self.of_task(pid, tid, "");
                    self.find("capabilities", Severity::Medium, text, Some(evidence), &|_| {
                        "run it in a user namespace of its own, where they have no effect on the host".to_owned()
                    });
                }
            }
            Some(false) => {
                if let Some(extra) = extra.filter(|extra| !extra.is_empty()) {
                    self.extra(pid, tid, extra, Severity::Low, ", in a user namespace of its own");
                }
            }
            None => self.unknown("the effect of its capabilities: its user namespace is not known", Some(pid)),
        }
        match task.seccomp {
            Some(Seccomp::None) => {
                let evidence = self.of_task(pid, tid, "Seccomp: 0");
                let text = "no seccomp filter: it can make every system call of the kernel";
                self.find("seccomp", Severity::Medium, text, Some(evidence), &|case| {
                    case.without(
                        "--security-opt seccomp=unconfined` or `--privileged",
                        "give it a filter of system calls",
                    )
                });
            }
            Some(_) => {}
            None => self.unknown("seccomp: the kernel does not show it", Some(pid)),
        }
        match task.no_new_privs {
            Some(false) => {
                let evidence = self.of_task(pid, tid, "NoNewPrivs: 0");
                let text =
                    "no_new_privs is not set: programs with the setuid bit or file capabilities give it more rights";
                self.find("no-new-privs", Severity::Low, text, Some(evidence), &|case| match case.engine {
                    Some(EngineKind::Docker | EngineKind::Podman) => {
                        "run it with `--security-opt no-new-privileges`".to_owned()
                    }
                    _ => "set no_new_privs (of a pod: `allowPrivilegeEscalation: false`)".to_owned(),
                });
            }
            Some(true) => {}
            None => self.unknown("no_new_privs: the kernel does not show it", Some(pid)),
        }
        self.judge_label(pid, task);
    }

    fn extra(&mut self, pid: Pid, tid: Tid, extra: CapabilitySet, severity: Severity, note: &str) {
        let whose =
            if self.subject.container.is_some() { "the engine's default" } else { "what Docker gives by default" };
        let text = format!("capabilities beyond {whose}{note}: {}", extra.in_words());
        let evidence = self.of_task(pid, tid, "");
        self.find("capabilities", severity, text, Some(evidence), &|case| {
            case.without("--cap-add", "take away the capabilities that it does not need")
        });
    }

    fn judge_label(&mut self, pid: Pid, task: &TaskCredentials) {
        let label = match &task.label {
            // Of a dump that has none, that is said once for all.
            None if !self.audit.has_read_labels() => return,
            None => return self.unknown("label of the security module: not readable", Some(pid)),
            Some(None) if self.audit.host.has_labels != Some(true) => return,
            Some(None) => None,
            Some(Some(label)) => Some(label),
        };
        if !label.is_some_and(|label| lxkns_model::relations::confines(label)) {
            let words = label.map_or_else(|| "no label".to_owned(), |label| format!("label {}", printable(label)));
            let evidence = self.of_task(pid, task.tid, &words);
            let text = "not confined by the security module of the host, which confines others";
            self.find("lsm", Severity::Medium, text, Some(evidence), &|case| {
                case.without(
                    "--security-opt apparmor=unconfined`, `--security-opt label=disable` or `--privileged",
                    "give it a profile of AppArmor or a domain of SELinux",
                )
            });
        }
    }

    fn judge_uids(&mut self, process: &Process, task: &TaskCredentials, user_of_container: Option<NamespaceId>) {
        if !self.audit.host.has_uids {
            return;
        }
        let (pid, tid) = (process.pid, task.tid);
        let uids = task.uids;
        let named = [
            ("real", uids.real),
            ("effective", uids.effective),
            ("saved", uids.saved),
            ("file system", uids.file_system),
        ];
        let zero: Vec<_> = named.iter().filter(|(_, uid)| *uid == Uid(0)).map(|(name, _)| *name).collect();
        if !zero.is_empty() {
            let which = if zero.len() == 4 { "UID 0".to_owned() } else { format!("{} UID 0", zero.join(", ")) };
            let evidence = self.of_task(pid, tid, &which);
            let text = "UID 0 of the host: files of root are its own, wherever it can reach them";
            self.find("host-root", Severity::Low, text, Some(evidence), &|case| match case.engine {
                Some(EngineKind::Docker) => {
                    "run it as another user (`--user 1000`), or dockerd with `--userns-remap`".to_owned()
                }
                Some(EngineKind::Podman) => {
                    "run it as another user (`--user 1000`), or with `--userns=auto`".to_owned()
                }
                _ => "run it as another user, or in a user namespace".to_owned(),
            });
        }
        let own = self.map(process.namespaces.get(NamespaceType::User));
        let is_zero = |uid: Uid| match &own {
            Some(map) => map.iter().any(|mapping| mapping.to_inside(uid.0) == Some(0)),
            None => uid == Uid(0),
        };
        if !is_zero(uids.real) && !is_zero(uids.effective) && (is_zero(uids.saved) || is_zero(uids.file_system)) {
            let evidence = self.of_task(
                pid,
                tid,
                &format!("real {}, effective {}, saved {}", uids.real, uids.effective, uids.saved),
            );
            let severity = if zero.is_empty() { Severity::Low } else { Severity::Medium };
            let text = "saved UID 0 beside other UIDs: it can become root again";
            self.find("saved-root", severity, text, Some(evidence), &|_| {
                "have the program give up its saved and file system UID too (`setresuid`)".to_owned()
            });
        }
        self.foreign(process, task, user_of_container);
    }

    /// The UID map of a user namespace that is not the host's.
    fn map(&self, user: Option<NamespaceId>) -> Option<&'a [IdMapping]> {
        let namespace = self.audit.context.snapshot.namespaces.get(&user?)?;
        if self.is_hosts(namespace.id) == Some(true) {
            return None;
        }
        namespace.uid_map.as_deref()
    }

    /// Whether its IDs are those of another user namespace than the container's.
    fn foreign(&mut self, process: &Process, task: &TaskCredentials, user: Option<NamespaceId>) {
        let Some(user) = user.filter(|&user| self.is_hosts(user) == Some(false)) else { return };
        let Some(namespace) = self.audit.context.snapshot.namespaces.get(&user) else { return };
        let (Some(uid_map), Some(gid_map)) = (&namespace.uid_map, &namespace.gid_map) else {
            return self.unknown("credentials of another user namespace: the ID maps are not known", Some(process.pid));
        };
        let has = |map: &[IdMapping], id: u32| map.iter().any(|mapping| mapping.to_inside(id).is_some());
        let uids = [task.uids.real, task.uids.effective, task.uids.saved, task.uids.file_system];
        let uids: Vec<u32> = uids.iter().map(|uid| uid.0).filter(|&uid| !has(uid_map, uid)).collect();
        let gids: Vec<u32> = task.gids.iter().flatten().copied().filter(|&gid| !has(gid_map, gid)).collect();
        if uids.is_empty() && gids.is_empty() {
            return;
        }
        let severity = if uids.contains(&0) { Severity::High } else { Severity::Medium };
        let words = |name: &str, ids: &[u32]| {
            let mut ids = ids.to_vec();
            ids.dedup();
            let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
            (!ids.is_empty()).then(|| format!("{name} {}", ids.join(", ")))
        };
        let words: Vec<_> = [words("UID", &uids), words("GID", &gids)].into_iter().flatten().collect();
        let name = names::namespace(self.audit.context.snapshot, user);
        let evidence = self.of_task(process.pid, task.tid, &format!("{} of the host", words.join(", ")));
        let text = format!("credentials of another user namespace: IDs of the host that {name} does not have");
        self.find("foreign-credentials", severity, text, Some(evidence), &|_| {
            "enter it with `nsenter --user` and `--setuid 0 --setgid 0`, or with the engine's `exec`".to_owned()
        });
    }

    /// Processes of it that are elsewhere, and others that are in it.
    pub(super) fn judge_strays(&mut self) {
        if self.subject.container.is_none() {
            // A tree may well spread over namespaces.
            return self.judge_tree();
        }
        let (links, subject) = (self.links(), self.subject);
        let snapshot = self.audit.context.snapshot;
        for process in subject.pids.iter().filter_map(|pid| snapshot.processes.get(pid)) {
            for task in process.tasks.iter() {
                for (ns_type, id) in task.namespaces.iter() {
                    let Some(own) = links.get(ns_type).filter(|own| *own != id) else { continue };
                    let _ = own;
                    self.judge_stray(process, task.tid, ns_type, id);
                }
            }
        }
        for process in subject.entered.iter().filter_map(|pid| snapshot.processes.get(pid)) {
            self.judge_entered(process, &links);
        }
    }

    fn judge_stray(&mut self, process: &Process, tid: Tid, ns_type: NamespaceType, id: NamespaceId) {
        use NamespaceType as T;
        let snapshot = self.audit.context.snapshot;
        let of_host = self.is_hosts(id);
        let other = lxkns_model::relations::container_of_namespace(snapshot, id)
            .filter(|&other| Some(other) != self.subject.container && !self.is_inside(other));
        let (severity, whose) = match (of_host, other) {
            (Some(true), _) if [T::Mnt, T::Pid, T::User].contains(&ns_type) => (Severity::High, "the host".to_owned()),
            (Some(true), _) if ns_type == T::Time => return,
            (Some(true), _) => (Severity::Medium, "the host".to_owned()),
            (_, Some(other)) => {
                let name = self.audit.container(other).map(whose::container).unwrap_or_default();
                (Severity::Medium, name)
            }
            (Some(false), None) => return,
            (None, None) => {
                return self.unknown(format!("whose {ns_type} namespace it is in: not known"), Some(process.pid));
            }
        };
        let from = match process.ppid {
            Some(parent) if self.subject.has(parent) => {
                format!("its parent {} is inside, so it left by itself", self.called(parent))
            }
            Some(parent) => {
                format!("its parent {} is outside, so it was moved into the control group", self.called(parent))
            }
            None => "its parent is not visible".to_owned(),
        };
        let name = names::namespace(snapshot, id);
        let evidence = Evidence { nsid: Some(id.ino), ..self.of_task(process.pid, tid, &format!("{name}; {from}")) };
        let text = format!("a process of its control group is in the {ns_type} namespace of {whose}");
        self.find("left", severity, text, Some(evidence), &|_| {
            "end the process, and find out how it got there; enter the container with its engine's `exec`".to_owned()
        });
    }

    /// Whether another container runs in this one.
    pub(super) fn is_inside(&self, other: usize) -> bool {
        let Some(containers) = self.audit.context.snapshot.annotations.containers.as_ref() else { return false };
        let own = self.subject.container.and_then(|index| containers.list.get(index));
        let other = containers.list.get(other);
        other.is_some_and(|other| containers.around(other).any(|outer| Some(outer) == own))
    }

    fn judge_entered(&mut self, process: &Process, links: &NamespaceLinks) {
        let pid = process.pid;
        let mut types: Vec<NamespaceType> = Vec::new();
        for task in process.tasks.iter() {
            let shared = task
                .namespaces
                .iter()
                .filter(|(ns_type, id)| links.get(*ns_type) == Some(*id) && self.is_hosts(*id) == Some(false));
            types.extend(shared.map(|(ns_type, _)| ns_type));
        }
        types.compact_sort();
        types.dedup();
        let deep = types.iter().any(|ns_type| [NamespaceType::Mnt, NamespaceType::Pid].contains(ns_type));
        let status = process.status.as_ref();
        let has = status.map(|status| isolation::reachable(&status.capabilities));
        let in_hosts_user = process.namespaces.get(NamespaceType::User).and_then(|id| self.is_hosts(id));
        let more = match in_hosts_user {
            // Of its first process: others can have come from outside too.
            Some(true) => {
                let main = self.process(self.subject.main).and_then(|main| main.status.as_ref());
                let own = main.map(|status| isolation::reachable(&status.capabilities)).unwrap_or_default();
                has.map(|has| has.difference(own)).unwrap_or_default()
            }
            _ => CapabilitySet::NONE,
        };
        let severity = match (deep, more.is_empty()) {
            (true, false) => Severity::Medium,
            (true, true) => Severity::Low,
            _ => Severity::Info,
        };
        let types: Vec<_> = types.iter().map(|ns_type| ns_type.name()).collect();
        let whose = whose::in_words(self.audit.context.snapshot, pid);
        let parent = process.ppid.map(|parent| format!(", started by {}", self.called(parent))).unwrap_or_default();
        let powers = if more.is_empty() { String::new() } else { format!(", with {}", more.in_words()) };
        let words = format!("{}{whose}{parent}{powers}", types.join(", "));
        let evidence = self.of_task(pid, Tid::from(pid), &words);
        let text = match severity {
            Severity::Medium => "a process from outside is in its namespaces with more rights than it has",
            Severity::Low => "a process from outside is in its namespaces",
            _ => "a process from outside shares some of its namespaces",
        };
        self.find("entered", severity, text, Some(evidence), &|_| {
            "end it if it is not needed; enter with the engine's `exec` or `lxkns enter`, which drop those rights"
                .to_owned()
        });
        let tasks = self.audit.facts.and_then(|facts| facts.tasks.get(&pid));
        for task in tasks.into_iter().flatten().filter(|_| deep && self.audit.host.has_uids) {
            let shares_user = process.namespaces.get(NamespaceType::User) == links.get(NamespaceType::User);
            if shares_user {
                self.foreign(process, task, links.get(NamespaceType::User));
            }
        }
    }

    /// Which processes of a tree are in the host's namespaces where its first one is not.
    fn judge_tree(&mut self) {
        let (links, snapshot) = (self.links(), self.audit.context.snapshot);
        for process in self.subject.pids.iter().filter_map(|pid| snapshot.processes.get(pid)) {
            for task in process.tasks.iter() {
                for (ns_type, id) in task.namespaces.iter() {
                    let is_elsewhere = links.get(ns_type).is_some_and(|own| own != id);
                    if is_elsewhere && self.is_hosts(id) == Some(true) && ns_type != NamespaceType::Time {
                        self.judge_stray(process, task.tid, ns_type, id);
                    }
                }
            }
        }
    }
}
