//! Who has a capability in a namespace: the inverse of [`caps`](crate::caps).

use std::collections::BTreeMap;

use lxkns_model::relations::{self, Authorities, Authority, AuthorityUnknown};
use lxkns_model::{
    Capability, CapabilitySet, DiscoveryOptions, Gap, NamespaceId, NamespaceType, Object, Pid, Place, Process, Scope,
    Snapshot, TaskPowers, Tid, Uid,
};
use rustc_hash::FxHashMap;
use serde::Serialize;

use crate::caps::CapsReason;
use crate::names;
use crate::release::is_of_the_kernel;
use crate::target::Target;
use crate::text::escape::printable;
use crate::whose::{Whose, WhoseForm};

/// The capability that people call so: by its name, with or without `cap_` and in any case, or by its number.
///
/// # Errors
///
/// What to say where there is none: with the names that are near.
pub fn capability(text: &str) -> Result<Capability, String> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
    let known = || CapabilitySet::KNOWN.iter();
    let named = known().find(|capability| capability.short_name() == Some(name));
    if let Some(capability) = named.or_else(|| Capability::from_number(name.parse().ok()?)) {
        return Ok(capability);
    }
    let is_near = |capability: &Capability| {
        let near = |part: &str| part.len() > 2 && capability.short_name().is_some_and(|known| known.contains(part));
        name.split(['_', '-']).any(near)
    };
    let near: Vec<_> = known().filter(is_near).map(|near| near.to_string()).collect();
    let hint = if near.is_empty() { "their names are in capabilities(7)".to_owned() } else { near.join(", ") };
    Err(format!("no such capability; {}{hint}", if near.is_empty() { "" } else { "near: " }))
}

/// What a snapshot must have for this.
pub fn options(target: &Target) -> DiscoveryOptions {
    let mut options = DiscoveryOptions::namespaces();
    if matches!(target, Target::Process(_) | Target::OfProcess(..) | Target::Host(_)) {
        // Only those that processes are in are asked for.
        options.places = [Place::Processes, Place::Tasks, Place::Parents, Place::Owners].into_iter().collect();
    }
    options.status = Scope::All;
    options.without_self = true;
    options
}

/// Whether a process or task has a capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Has {
    /// It can use it now.
    Yes,
    /// It is permitted and not effective: the process can make it effective at any time.
    CanRaise,
    /// Not known.
    NotKnown,
}

impl Has {
    /// In a column.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::CanRaise => "can raise",
            Self::NotKnown => "not known",
        }
    }
}

/// A process, or a task with credentials of its own, that has the capability or may have it.
#[derive(Clone, Copy, Debug)]
pub struct Able<'a> {
    /// The process.
    pub process: &'a Process,
    /// The task, where only its credentials give it the capability, and not those of the process.
    pub task: Option<&'a TaskPowers>,
    /// Whether it has it.
    pub has: Has,
    /// Why.
    pub authority: Result<Authority, AuthorityUnknown>,
}

impl Able<'_> {
    /// Its effective UID.
    pub fn uid(&self) -> Option<Uid> {
        let of_process = || self.process.status.as_ref().map(|status| status.uids.effective);
        self.task.map(|task| task.effective_uid).or_else(of_process)
    }

    /// Its name, unsafe to print.
    pub fn comm(&self) -> &[u8] {
        self.task.map_or(self.process.comm(), |task| &task.comm)
    }

    /// Why it has it, as in the answer of `caps`.
    pub fn reason(&self) -> CapsReason {
        CapsReason::of(self.authority)
    }
}

/// Who has a capability in the namespaces that one user namespace decides on.
#[derive(Debug)]
pub struct WhoCan<'a> {
    /// What was found.
    pub snapshot: &'a Snapshot,
    /// The capability.
    pub capability: Capability,
    /// The namespaces: at least one.
    pub namespaces: Vec<NamespaceId>,
    /// The user namespace that decides; `None` where it is not known, and then nothing is known of any process.
    pub user: Option<NamespaceId>,
    /// Those that have it or may have it: by process, tasks after their process.
    pub able: Vec<Able<'a>>,
}

/// Those of one container or unit, or of none, that have the capability for the same reason.
#[derive(Debug)]
pub struct Group<'a> {
    /// What they have in common.
    pub has: Has,
    /// Likewise.
    pub reason: CapsReason,
    /// What they belong to, safe to print: a container, a unit, the kernel; empty where that is nothing, or not known.
    pub whose: String,
    /// Whether they are single tasks, and not processes.
    pub are_tasks: bool,
    /// The processes and tasks: at least one.
    pub members: Vec<&'a Able<'a>>,
}

impl<'a> WhoCan<'a> {
    /// Who has this capability in these namespaces: for each user namespace that decides on some of them.
    pub fn of(
        snapshot: &'a Snapshot,
        tasks: &'a [TaskPowers],
        capability: Capability,
        namespaces: &[NamespaceId],
    ) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        let mut known: FxHashMap<Option<NamespaceId>, usize> = FxHashMap::default();
        for &id in namespaces {
            let user = relations::deciding_user_namespace(snapshot, id);
            match known.get(&user) {
                Some(&index) => all[index].namespaces.push(id),
                None => {
                    known.insert(user, all.len());
                    let able = able(snapshot, tasks, capability, &Authorities::over(snapshot, id));
                    all.push(Self { snapshot, capability, namespaces: vec![id], user, able });
                }
            }
        }
        all
    }

    /// How many processes there are of each kind; a process counts once, and with it each of its tasks.
    pub fn count(&self, has: Has) -> usize {
        let mut last = None;
        let mut is_next =
            |able: &&Able<'_>| able.has == has && last.replace(able.process.pid) != Some(able.process.pid);
        self.able.iter().filter(|able| is_next(able)).count()
    }

    /// How many have it, in a sentence.
    pub fn summary(&self) -> String {
        let [has, can_raise, unknown] = [Has::Yes, Has::CanRaise, Has::NotKnown].map(|has| self.count(has));
        let processes = |count: usize| format!("{count} process{}", if count == 1 { "" } else { "es" });
        let verb = |count: usize| if count == 1 { "has" } else { "have" };
        let observer = self.snapshot.observer.as_ref();
        let is_nested = observer.is_some_and(|observer| observer.reads_initial_procfs() == Some(false));
        let is_hiding = |gap: &Gap| gap.place == Place::Processes && gap.object == Object::Host;
        let are_listed = !is_nested && !self.snapshot.gaps.iter().any(is_hiding);
        let mut words = match (has, unknown) {
            (0, 0) if are_listed => "no process has it".to_owned(),
            (0, _) => "no process is known to have it".to_owned(),
            (count, _) => format!("{} {} it", processes(count), verb(count)),
        };
        if can_raise > 0 {
            words += &format!(", {can_raise} can raise it");
        }
        if unknown > 0 {
            words += &format!("; not known of {}", processes(unknown));
        }
        if !are_listed {
            words += "; not all processes are listed";
        }
        words
    }

    /// Those that have something in common, together: those that have it first.
    pub fn groups(&'a self) -> Vec<Group<'a>> {
        let mut groups: BTreeMap<_, Vec<&Able<'_>>> = BTreeMap::new();
        for able in &self.able {
            let whose = match Whose::process(self.snapshot, able.process.pid) {
                Some(whose) => whose.words(),
                None if is_of_the_kernel(self.snapshot, able.process) => "the kernel".to_owned(),
                None => String::new(),
            };
            // Those of the host's own come after what has a name.
            let key = (able.has, able.task.is_some(), whose.is_empty(), whose, able.reason().name());
            groups.entry(key).or_default().push(able);
        }
        let group = |((has, are_tasks, _, whose, _), members): (_, Vec<&'a Able<'a>>)| {
            let reason = members[0].reason();
            Group { has, reason, whose, are_tasks, members }
        };
        groups.into_iter().map(group).collect()
    }

    /// It as JSON.
    pub fn answer(&self) -> WhoCanAnswer {
        let namespace = |&id: &NamespaceId| WhoCanNamespace {
            nsid: id.ino,
            ns_type: self.snapshot.namespaces.get(&id).map(|namespace| namespace.ns_type.name()),
            whose: WhoseForm::namespace(self.snapshot, id),
        };
        WhoCanAnswer {
            capability: self.capability.to_string(),
            namespaces: self.namespaces.iter().map(namespace).collect(),
            userns: self.user.map(|id| id.ino),
            summary: self.summary(),
            processes: self.able.iter().map(|able| self.process(able)).collect(),
        }
    }

    fn process(&self, able: &Able<'_>) -> WhoCanProcess {
        let pid = able.process.pid;
        WhoCanProcess {
            pid: pid.0,
            tid: able.task.map(|task| task.tid.0),
            name: names::lossy(able.comm()),
            uid: names::user_id(self.snapshot, able.uid()),
            userns: able.process.namespaces.get(NamespaceType::User).map(|id| id.ino),
            has: able.has,
            reason: able.reason(),
            created: match able.authority {
                Ok(Authority::Creator(id)) => Some(id.ino),
                _ => None,
            },
            kernel_thread: is_of_the_kernel(self.snapshot, able.process),
            whose: WhoseForm::process(self.snapshot, pid),
        }
    }

    /// What it is about, safe to print: `CAP_NET_ADMIN in net:[4026532281] of docker:web`.
    pub fn subject(&self) -> String {
        let names: Vec<_> =
            self.namespaces.iter().map(|&id| names::namespace_and_name(self.snapshot, id, None)).collect();
        format!("{} in {}", printable(self.capability.to_string()), names.join(", "))
    }

    /// Which user namespace decides, in words.
    pub fn decides(&self) -> String {
        match self.user {
            None => "the owner is not visible from here, so nothing is known of any process".to_owned(),
            Some(user) if self.namespaces == [user] => self.summary(),
            Some(user) => {
                format!("owned by {}: {}", names::namespace_and_name(self.snapshot, user, None), self.summary())
            }
        }
    }
}

fn able<'a>(
    snapshot: &'a Snapshot,
    tasks: &'a [TaskPowers],
    capability: Capability,
    authorities: &Authorities<'_>,
) -> Vec<Able<'a>> {
    let wanted = CapabilitySet::from_bits(1 << capability.number());
    let verdict = |process: &Process, uid, sets: Option<(CapabilitySet, CapabilitySet)>| {
        let authority = authorities.of(process.namespaces.get(NamespaceType::User), uid);
        let has = match (authority, sets) {
            (Ok(Authority::Elsewhere), _) => None,
            (Ok(Authority::Creator(_)), _) => Some(Has::Yes),
            (Ok(_), Some((effective, _))) if effective.contains(wanted) => Some(Has::Yes),
            (Ok(_), Some((_, permitted))) => permitted.contains(wanted).then_some(Has::CanRaise),
            // Wherever it is, neither its sets nor its UID give it.
            (Err(_), Some((effective, permitted)))
                if !effective.union(permitted).contains(wanted) && !authorities.may_be_creator(uid) =>
            {
                None
            }
            _ => Some(Has::NotKnown),
        };
        (has, authority)
    };
    let mut all = Vec::new();
    for process in snapshot.processes.values() {
        // What has exited or is about to keeps its credentials, and can do nothing with them.
        if process.living_task().state.is_dead() || process.has_given_up_namespaces() {
            continue;
        }
        let status = process.status.as_ref();
        let sets = status.map(|status| (status.capabilities.effective, status.capabilities.permitted));
        let (of_process, authority) = verdict(process, status.map(|status| status.uids.effective), sets);
        all.extend(of_process.map(|has| Able { process, task: None, has, authority }));
        let start = tasks.partition_point(|task| task.pid < process.pid);
        for task in tasks[start..].iter().take_while(|task| task.pid == process.pid) {
            let (has, authority) = verdict(process, Some(task.effective_uid), Some((task.effective, task.permitted)));
            // What its process has too is said of that.
            let more = has.filter(|has| of_process.is_none_or(|of_process| *has < of_process));
            all.extend(more.map(|has| Able { process, task: Some(task), has, authority }));
        }
    }
    all
}

/// Who has a capability in the namespaces that one user namespace decides on, as JSON.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct WhoCanAnswer {
    /// The capability.
    pub capability: String,
    /// The namespaces.
    pub namespaces: Vec<WhoCanNamespace>,
    /// The user namespace that decides: the namespace itself, or its owner; `null` where not known.
    pub userns: Option<u64>,
    /// How many processes have it, as a sentence.
    pub summary: String,
    /// Those that have it or may have it.
    pub processes: Vec<WhoCanProcess>,
}

/// A namespace that is asked about.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct WhoCanNamespace {
    /// The namespace.
    pub nsid: u64,
    /// Its type; `null` where not known.
    #[serde(rename = "type")]
    pub ns_type: Option<&'static str>,
    /// What it belongs to.
    #[serde(flatten)]
    pub whose: WhoseForm,
}

/// A process or task that has the capability, or may have it.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct WhoCanProcess {
    /// The process.
    pub pid: u32,
    /// The task, where it has credentials of its own that give it what its process does not have; else `null`.
    pub tid: Option<u32>,
    /// Its name.
    pub name: String,
    /// Its effective UID; `null` where not known, or not mapped in the observer's user namespace.
    pub uid: Option<u32>,
    /// Its user namespace; `null` where not known.
    pub userns: Option<u64>,
    /// Whether it has it.
    pub has: Has,
    /// Why it has it.
    pub reason: CapsReason,
    /// The user namespace that gives all to its creator; `null` where none does.
    #[serde(rename = "created-userns")]
    pub created: Option<u64>,
    /// Whether it is a thread of the kernel.
    pub kernel_thread: bool,
    /// What it belongs to.
    #[serde(flatten)]
    pub whose: WhoseForm,
}

/// The first process or task of a group as a TARGET, and its TID.
pub fn first(group: &Group<'_>) -> (Pid, Option<Tid>) {
    let first = group.members[0];
    (first.process.pid, first.task.map(|task| task.tid))
}

#[cfg(test)]
mod tests {
    use lxkns_model::{Capabilities, ProcessStatus, TaskState, Uids};
    use serde_json::json;

    use super::*;
    use crate::testing::{USER, contained, snapshot};

    fn named(text: &str) -> Option<String> {
        capability(text).ok().map(|capability| capability.to_string())
    }

    #[test]
    fn capabilities_are_named_as_people_do() {
        for text in ["CAP_NET_ADMIN", "cap_net_admin", "net_admin", "Net_Admin", "12"] {
            assert_eq!(named(text).as_deref(), Some("CAP_NET_ADMIN"), "{text}");
        }
        assert_eq!(named("41").as_deref(), Some("CAP_41"), "of a later kernel");
        assert_eq!(named("64"), None);
        assert_eq!(
            capability("net-admn").unwrap_err(),
            "no such capability; near: CAP_NET_BIND_SERVICE, CAP_NET_BROADCAST, CAP_NET_ADMIN, CAP_NET_RAW"
        );
        assert_eq!(capability("x").unwrap_err(), "no such capability; their names are in capabilities(7)");
    }

    fn give(snapshot: &mut Snapshot, pid: u32, effective: u64, permitted: u64) {
        let process = snapshot.processes.get_mut(&Pid(pid)).unwrap();
        let uid = Uid(1000);
        let capabilities = Capabilities {
            effective: CapabilitySet::from_bits(effective),
            permitted: CapabilitySet::from_bits(permitted),
            ..Capabilities::default()
        };
        let uids = Uids { real: uid, effective: uid, saved: uid, file_system: uid };
        process.status = Some(ProcessStatus::new(uids, vec![Pid(pid)], capabilities));
    }

    fn told(snapshot: &Snapshot, tasks: &[TaskPowers]) -> Vec<(u32, Option<u32>, &'static str)> {
        let kill = capability("kill").unwrap();
        let all = WhoCan::of(snapshot, tasks, kill, &[USER]);
        assert_eq!(all.len(), 1);
        all[0].able.iter().map(|it| (it.process.pid.0, it.task.map(|task| task.tid.0), it.has.words())).collect()
    }

    #[test]
    fn effective_permitted_and_single_tasks() {
        let mut snapshot = contained();
        snapshot.processes.values_mut().for_each(|process| process.status = None);
        let all: Vec<u32> = snapshot.processes.keys().map(|pid| pid.0).collect();
        all.iter().for_each(|&pid| give(&mut snapshot, pid, 0, 0));
        assert_eq!(told(&snapshot, &[]), []);
        let kill = CapabilitySet::KILL.bits();
        give(&mut snapshot, 1, kill, kill);
        give(&mut snapshot, 200, 0, kill);
        let task = |pid, tid, effective| TaskPowers {
            pid: Pid(pid),
            tid: Tid(tid),
            comm: "worker".into(),
            effective_uid: Uid(1000),
            effective: CapabilitySet::from_bits(effective),
            permitted: CapabilitySet::KILL,
        };
        let tasks = [task(1, 2, 0), task(200, 201, kill), task(200, 202, 0)];
        assert_eq!(
            told(&snapshot, &tasks),
            [(1, None, "yes"), (200, None, "can raise"), (200, Some(201), "yes")],
            "a task is told where it has more than its process"
        );
        let all = WhoCan::of(&snapshot, &tasks, capability("kill").unwrap(), &[USER]);
        assert_eq!(all[0].summary(), "2 processes have it, 1 can raise it");
        let mut nested = snapshot.clone();
        let mut observer = lxkns_model::Observer::new(Uid(0), CapabilitySet::ALL);
        observer.procfs_pid_ns = Some(lxkns_model::NamespaceId { ino: 4_026_532_900, dev: 4 });
        nested.observer = Some(observer);
        let summary = |capability_name: &str| {
            let capability = capability(capability_name).unwrap();
            WhoCan::of(&nested, &tasks, capability, &[USER])[0].summary()
        };
        assert_eq!(summary("kill"), "2 processes have it, 1 can raise it; not all processes are listed");
        assert_eq!(summary("net_admin"), "no process is known to have it; not all processes are listed");
        let groups: Vec<_> = all[0].groups().iter().map(|group| (group.whose.clone(), first(group))).collect();
        assert_eq!(groups[1], ("docker:web".to_owned(), (Pid(200), Some(Tid(201)))));
        let answer = serde_json::to_value(all[0].answer()).unwrap();
        assert_eq!((&answer["capability"], &answer["processes"][0]["has"]), (&json!("CAP_KILL"), &json!("yes")));
    }

    #[test]
    fn what_is_not_known_is_not_nobody() {
        let mut snapshot = snapshot();
        let pid = Pid(200);
        give(&mut snapshot, 200, 0, 0);
        snapshot.processes.get_mut(&pid).unwrap().namespaces = Default::default();
        assert!(
            !told(&snapshot, &[]).iter().any(|able| able.0 == 200),
            "its sets are empty, and nobody created the first"
        );
        give(&mut snapshot, 200, 0, CapabilitySet::KILL.bits());
        assert!(told(&snapshot, &[]).contains(&(200, None, "not known")));
        snapshot.processes.get_mut(&pid).unwrap().status = None;
        assert!(told(&snapshot, &[]).contains(&(200, None, "not known")));
        snapshot.processes.get_mut(&pid).unwrap().tasks[0].state = TaskState(b'Z');
        assert!(!told(&snapshot, &[]).iter().any(|able| able.0 == 200), "it has exited");
    }
}
