//! Everything about one process.

use std::collections::BTreeMap;
use std::time::Duration;

use bstr::BString;
use lxkns_model::{
    CapabilitySet, CgroupLimit, CgroupLimits, CgroupMembership, Cgroups, CpuRange, Freezer, NamespaceId,
    NamespaceLinks, NamespaceType, Process, Scheduling, Snapshot, Task, Uid,
};

use crate::Context;
use crate::isolation::{self, HostRoot};
use crate::names::{self, Detail};
use crate::sheet::{Column, Fact, Sheet, list};
use crate::text::escape::printable;
use crate::whose::{self, Whose};

/// With what a process's namespaces are compared.
#[derive(Clone, Copy, Debug)]
pub enum Reference {
    /// Those of the caller.
    Caller(NamespaceLinks),
    /// The initial ones.
    Initial,
}

/// The label that a security module gave a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Label {
    /// This one.
    Known(BString),
    /// No module gives any.
    None,
    /// It was not read, for this reason.
    Unread(String),
}

impl Label {
    /// What a dump says of a process.
    pub fn of_dump(snapshot: &Snapshot, process: &Process) -> Self {
        match process.status.as_ref().and_then(|status| status.label.as_ref()) {
            Some(Some(label)) => Self::Known(label.clone()),
            Some(None) => Self::None,
            None if snapshot.options.security_labels => {
                Self::Unread("not readable when the dump was written".to_owned())
            }
            None => Self::Unread("not in this dump".to_owned()),
        }
    }
}

/// A process with all that is known of it.
#[derive(Debug)]
pub struct ShownProcess<'a> {
    /// What was found, and what its paths mean.
    pub context: Context<'a>,
    /// The process.
    pub process: &'a Process,
    /// With what its namespaces are compared.
    pub reference: Reference,
    /// How long ago the host booted, where it is the living one.
    pub since_boot: Option<Duration>,
    /// The label that a security module gave it.
    pub label: Label,
}

impl<'a> ShownProcess<'a> {
    fn snapshot(&self) -> &'a Snapshot {
        self.context.snapshot
    }

    /// For people, with lists of no more than `limit`.
    pub fn sheet(&self, limit: usize) -> Sheet {
        let process = self.process;
        let mut sheet = Sheet::new(format!("process {} ({})", process.pid, names::comm(process.comm())));
        sheet.facts("", self.identity());
        sheet.facts("Powers", self.powers());
        let columns = vec![Column::left("TYPE"), Column::left("NAMESPACE"), Column::left(self.heading())];
        sheet.table("Namespaces", columns, self.namespaces().map(|row| self.row(row)).collect());
        let tasks: Vec<_> = self.elsewhere().collect();
        sheet.facts("Tasks in other namespaces", list("", &tasks, limit, |task| self.task(task)));
        sheet.facts("Control groups", self.cgroups(limit));
        sheet.facts("Capabilities", self.capabilities());
        sheet.facts("Scheduling", self.scheduling());
        sheet
    }

    /// Its effective UID as its own user namespace calls it; `None` where not known, or not mapped there.
    pub fn uid_inside(&self) -> Option<Uid> {
        let outside = self.process.status.as_ref()?.uids.effective;
        let own = self.process.namespaces.get(NamespaceType::User)?;
        let outside = names::mapped(self.snapshot(), outside)?;
        if self.snapshot().observer.as_ref().and_then(|observer| observer.user_ns) == Some(own) {
            return Some(outside);
        }
        let map = self.snapshot().namespaces.get(&own)?.uid_map.as_ref()?;
        map.iter().find_map(|mapping| mapping.to_inside(outside.0)).map(Uid)
    }

    /// Whether it is root on the host; `None` where not known.
    pub fn host_root(&self) -> Option<HostRoot> {
        isolation::host_root(self.snapshot(), self.process)
    }

    fn powers(&self) -> Vec<Fact> {
        let unknown = || "unknown".to_owned();
        let root = match self.host_root() {
            None if self.process.status.is_none() => "unknown: its status is not readable".to_owned(),
            None => "unknown: the observer is not known to be in the host's user namespace".to_owned(),
            Some(HostRoot { by_uid, capabilities }) => {
                let uid = if by_uid { "yes: UID 0 on the host" } else { "no" };
                match capabilities {
                    None => format!("{uid}; its capabilities there are unknown"),
                    Some(set) if set.is_empty() && by_uid => format!("{uid}, without capabilities there"),
                    Some(set) if set.is_empty() => uid.to_owned(),
                    Some(set) if by_uid => format!("{uid}, capabilities there: {}", set.in_words()),
                    Some(set) => format!("{uid}, but it has capabilities there: {}", set.in_words()),
                }
            }
        };
        let status = self.process.status.as_ref();
        let seccomp = status.and_then(|status| status.seccomp).map_or_else(unknown, |mode| mode.to_string());
        let no_new_privs = status.and_then(|status| status.no_new_privs);
        let no_new_privs = no_new_privs.map_or_else(unknown, |is_set| if is_set { "yes" } else { "no" }.to_owned());
        let label = match &self.label {
            Label::Known(label) => printable(label),
            Label::None => "none".to_owned(),
            Label::Unread(why) => format!("unknown: {why}"),
        };
        vec![
            Fact::new("root on the host", root),
            Fact::new("seccomp", seccomp),
            Fact::new("no_new_privs", no_new_privs),
            Fact::new("LSM label", label),
        ]
    }

    fn heading(&self) -> &'static str {
        match self.reference {
            Reference::Caller(_) => "SHARED WITH YOU",
            Reference::Initial => "SHARED WITH THE HOST",
        }
    }

    /// The command line. A name that stands for one that is not known, as in a dump without command lines, is called a name.
    fn command(&self) -> String {
        let command = printable(names::command(self.process));
        let is_known = self.process.command_line.is_some();
        if is_known { command } else { format!("{command} (the name; its command line is not known)") }
    }

    fn identity(&self) -> Vec<Fact> {
        let process = self.process;
        let mut facts = vec![Fact::long("command", self.command())];
        facts.extend(whose::facts(self.snapshot(), Whose::process(self.snapshot(), process.pid)));
        if let Some(status) = &process.status {
            let pids: Vec<_> = status.ns_pids.iter().map(ToString::to_string).collect();
            facts.push(Fact::new(if pids.len() > 1 { "PIDs, outermost first" } else { "PID" }, pids.join("/")));
        }
        let parent = process.ppid.map(|pid| names::process(self.snapshot(), pid, Detail::Brief));
        facts.push(Fact::new("parent", parent.unwrap_or_else(|| "none visible".to_owned())));
        if let Some(status) = &process.status {
            let uids = status.uids;
            let user = |uid| names::user(self.snapshot(), uid);
            let effective = format!(", effective {}", user(uids.effective));
            let effective = if uids.effective == uids.real { String::new() } else { effective };
            facts.push(Fact::new("user", user(uids.real) + &effective));
            if let Some(id) = process.namespaces.get(NamespaceType::User) {
                let own = names::namespace(self.snapshot(), id);
                let map = self.snapshot().namespaces.get(&id).and_then(|namespace| namespace.uid_map.as_ref());
                let inside = match self.uid_inside() {
                    Some(uid) => format!("UID {uid} in {own}"),
                    None if map.is_some() => format!("not mapped in {own}"),
                    None => format!("unknown in {own}"),
                };
                facts.push(Fact::new("effective user inside", inside));
            }
        }
        facts.push(Fact::new("tasks", process.threads.to_string()));
        let started = self.started();
        let ago = self.since_boot.and_then(|now| now.checked_sub(started));
        let ago = ago.map(|ago| format!(", {} ago", duration(ago))).unwrap_or_default();
        if let Some(id) = process.namespaces.get(NamespaceType::User) {
            facts.push(Fact::new("limits", format!("see `lxkns show {}`", names::target(self.snapshot(), id))));
        }
        facts.push(Fact::new("started", format!("{} after boot{ago}", duration(started))));
        facts
    }

    /// When it started, counted from when the host booted.
    pub(super) fn started(&self) -> Duration {
        // What every Linux of today calls a tick in procfs, whatever its own are.
        const TICKS_PER_SECOND: u64 = 100;
        Duration::from_millis(self.process.start_time_ticks().saturating_mul(1000 / TICKS_PER_SECOND))
    }

    /// The namespaces, each with whether it is the one to compare with; `None` where that is not known.
    pub(super) fn namespaces(&self) -> impl Iterator<Item = (NamespaceType, Option<NamespaceId>, Option<bool>)> + '_ {
        NamespaceType::ALL.into_iter().map(|ns_type| {
            let id = self.process.namespaces.get(ns_type);
            let is_same = id.and_then(|id| match self.reference {
                Reference::Caller(own) => own.get(ns_type).map(|own| own == id),
                Reference::Initial => self.snapshot().namespaces.get(&id).map(|namespace| namespace.initial),
            });
            (ns_type, id, is_same)
        })
    }

    fn row(&self, (ns_type, id, is_same): (NamespaceType, Option<NamespaceId>, Option<bool>)) -> Vec<String> {
        let name = match id {
            Some(id) => names::namespace_and_name(self.snapshot(), id, self.context.mount_ns),
            None if self.process.has_given_up_namespaces() => "none: it has exited".to_owned(),
            None => "not readable".to_owned(),
        };
        let is_same = is_same.map_or("unknown", |is_same| if is_same { "yes" } else { "no" });
        vec![ns_type.to_string(), name, is_same.to_owned()]
    }

    /// The threads that are in other namespaces than the process.
    pub(super) fn elsewhere(&self) -> impl Iterator<Item = &'a Task> {
        let process = self.process;
        process.tasks.iter().filter(move |task| differences(process, task).next().is_some())
    }

    fn task(&self, task: &Task) -> String {
        let others: Vec<_> = differences(self.process, task).map(|id| names::namespace(self.snapshot(), id)).collect();
        format!("task {} ({}) in {}", task.tid, names::comm(&task.comm), others.join(", "))
    }

    fn cgroups(&self, limit: usize) -> Vec<Fact> {
        let task = self.process.living_task();
        let Some(cgroups) = &task.cgroups else { return vec![Fact::new("paths", "unknown")] };
        let frozen = task.freezer.map_or_else(|| "unknown".to_owned(), |freezer| describe_freezer(freezer).to_owned());
        let mut facts = list("paths", &by_path(cgroups), limit, describe_cgroup);
        facts.push(Fact::new("frozen", frozen));
        facts.extend(self.limits().map(|limits| Fact::long("limits of the container", limits_in_words(limits))));
        facts
    }

    /// What the control groups of its container let it use.
    pub(super) fn limits(&self) -> Option<&'a CgroupLimits> {
        self.snapshot().annotations.containers.as_ref()?.of(self.process.pid)?.limits.as_ref()
    }

    fn capabilities(&self) -> Vec<Fact> {
        let Some(status) = &self.process.status else { return vec![Fact::new("sets", "unknown")] };
        let sets = status.capabilities;
        let mut facts = vec![Fact::new("effective", sets.effective.in_words())];
        for (label, set, usual) in [
            ("permitted", sets.permitted, sets.effective),
            ("inheritable", sets.inheritable, CapabilitySet::NONE),
            ("ambient", sets.ambient, CapabilitySet::NONE),
        ] {
            if set != usual {
                facts.push(Fact::new(label, set.in_words()));
            }
        }
        facts.push(Fact::new("bounding", sets.bounding.in_words()));
        facts
    }

    fn scheduling(&self) -> Vec<Fact> {
        let task = self.process.living_task();
        let mut facts = Vec::new();
        if let Some(Scheduling { policy, priority, nice }) = task.scheduling {
            let priority = if priority > 0 { format!(", priority {priority}") } else { String::new() };
            facts.push(Fact::new("policy", format!("{}{priority}, nice {nice}", policy_name(policy))));
        }
        if let Some(cpus) = &task.affinity {
            facts.push(Fact::new("CPUs", ranges(cpus)));
        }
        facts
    }
}

/// The namespaces of a thread that are others than those of its process.
pub(super) fn differences<'a>(process: &'a Process, task: &'a Task) -> impl Iterator<Item = NamespaceId> + 'a {
    let is_other = |&(ns_type, id): &(NamespaceType, _)| process.namespaces.get(ns_type).is_some_and(|own| own != id);
    task.namespaces.iter().filter(is_other).map(|(_, id)| id)
}

/// A control group of each path, with the hierarchies in which it is that one.
struct CgroupPath<'a> {
    path: &'a BString,
    hierarchies: Vec<&'a CgroupMembership>,
    is_everywhere: bool,
}

/// The control groups by their paths: first the one that other views name, then in the kernel's order.
fn by_path(cgroups: &Cgroups) -> Vec<CgroupPath<'_>> {
    let mut paths: Vec<CgroupPath<'_>> = Vec::new();
    let mut places: BTreeMap<&BString, usize> = BTreeMap::new();
    let mut place_of = |path| {
        *places.entry(path).or_insert_with(|| {
            paths.push(CgroupPath { path, hierarchies: Vec::new(), is_everywhere: false });
            paths.len() - 1
        })
    };
    cgroups.path().map(&mut place_of);
    let at: Vec<_> = cgroups.0.iter().map(|membership| (place_of(&membership.path), membership)).collect();
    at.into_iter().for_each(|(place, membership)| paths[place].hierarchies.push(membership));
    paths.iter_mut().for_each(|path| path.is_everywhere = path.hierarchies.len() == cgroups.0.len());
    paths
}

fn describe_cgroup(CgroupPath { path, hierarchies, is_everywhere }: &CgroupPath<'_>) -> String {
    let path = printable(path);
    if let [CgroupMembership { hierarchy: 0, .. }] = hierarchies[..] {
        return path;
    }
    if *is_everywhere && hierarchies.len() > 1 {
        return format!("{path} (all {} hierarchies)", hierarchies.len());
    }
    let name = |membership: &&CgroupMembership| match membership.hierarchy {
        0 => "version 2".to_owned(),
        _ => printable(&membership.controllers),
    };
    format!("{path} ({})", hierarchies.iter().map(name).collect::<Vec<_>>().join(", "))
}

fn describe_freezer(freezer: Freezer) -> &'static str {
    match (freezer.effective, freezer.own) {
        (false, false) => "no",
        (false, true) => "freezing",
        (true, true) => "yes",
        (true, false) => "yes, by an ancestor control group",
    }
}

/// The limits in one line. The usual ones are there even if they are unknown or unlimited.
fn limits_in_words(limits: &CgroupLimits) -> String {
    type Write = fn(u64) -> String;
    let amounts: [(&str, Option<u64>, Write, Option<CgroupLimit>); 5] = [
        ("memory", limits.memory_bytes, bytes, Some(CgroupLimit::MemoryBytes)),
        ("slowed down from", limits.memory_high_bytes, bytes, None),
        ("swap", limits.swap_bytes, bytes, None),
        ("CPUs", limits.cpu_usec_per_second, cpus, Some(CgroupLimit::CpuUsecPerSecond)),
        ("tasks", limits.tasks_max, |tasks| tasks.to_string(), Some(CgroupLimit::TasksMax)),
    ];
    let mut parts = Vec::new();
    for (name, amount, write, limit) in amounts {
        let text = match (amount, limit) {
            (Some(amount), _) => write(amount),
            (None, Some(limit)) if limits.is_unlimited(limit) => "unlimited".to_owned(),
            (None, Some(_)) => "unknown".to_owned(),
            (None, None) => continue,
        };
        parts.push(format!("{name} {text}"));
    }
    if let Some(weight) = limits.cpu_weight.filter(|&weight| weight != 100) {
        parts.push(format!("CPU weight {weight}"));
    }
    parts.extend(limits.cpus.as_ref().map(|cpus| format!("runs on CPUs {}", printable(cpus))));
    parts.join(", ")
}

/// `64 MiB`, `1.5 GiB`: in the unit that gives at least one, to three digits behind the point.
fn bytes(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let unit = usize::try_from(bytes.max(1).ilog2() / 10).unwrap_or(0);
    match unit.checked_sub(1).and_then(|unit| units.get(unit)) {
        Some(name) => format!("{} {name}", thousandths(bytes >> (10 * (unit - 1)), 1024)),
        None => format!("{bytes} B"),
    }
}

/// Of microseconds per second: `0.5`, `2`.
fn cpus(usec_per_second: u64) -> String {
    thousandths(usec_per_second, 1_000_000)
}

/// A fraction, to three digits behind the point, without zeros at the end.
fn thousandths(number: u64, of: u64) -> String {
    let rest = u128::from(number % of) * 1000 / u128::from(of);
    let text = format!("{}.{rest:03}", number / of);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The kernel's name of a scheduling policy.
pub(super) fn policy_name(policy: u32) -> String {
    const NAMES: [&str; 8] = [
        "SCHED_OTHER",
        "SCHED_FIFO",
        "SCHED_RR",
        "SCHED_BATCH",
        "SCHED_ISO",
        "SCHED_IDLE",
        "SCHED_DEADLINE",
        "SCHED_EXT",
    ];
    let name = usize::try_from(policy).ok().and_then(|policy| NAMES.get(policy));
    name.map_or_else(|| format!("policy {policy}"), |name| (*name).to_owned())
}

/// CPUs, as in `0-3,6`.
pub(super) fn ranges(cpus: &[CpuRange]) -> String {
    cpus.iter().map(CpuRange::to_string).collect::<Vec<_>>().join(",")
}

/// `3 d 4 h`, `1 min 5 s`, `0.25 s`: the two greatest units.
fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let units = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let Some(first) = units.iter().position(|&(unit, _)| seconds >= unit).filter(|&first| first < 3) else {
        return format!("{:.2} s", duration.as_secs_f64());
    };
    let (unit, next) = (units[first], units[first + 1]);
    format!("{} {} {} {}", seconds / unit.0, unit.1, seconds % unit.0 / next.0, next.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units() {
        for (millis, text) in
            [(250, "0.25 s"), (61_000, "1 min 1 s"), (7_260_000, "2 h 1 min"), (100_000_000, "1 d 3 h")]
        {
            assert_eq!(duration(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn amounts() {
        for (amount, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (64 << 20, "64 MiB"),
            ((1 << 30) + (1 << 29), "1.5 GiB"),
            ((1 << 20) + 1, "1 MiB"),
            (10 << 30, "10 GiB"),
            (u64::MAX, "15.999 EiB"),
        ] {
            assert_eq!(bytes(amount), text);
        }
        assert_eq!([cpus(500_000), cpus(2_000_000), cpus(10_000_000), cpus(1000)], ["0.5", "2", "10", "0.001"]);
    }

    #[test]
    fn limits_are_a_line() {
        let unlimited = vec![CgroupLimit::TasksMax, CgroupLimit::SwapBytes];
        let mut limits = CgroupLimits { memory_bytes: Some(64 << 20), unlimited, ..Default::default() };
        assert_eq!(limits_in_words(&limits), "memory 64 MiB, CPUs unknown, tasks unlimited");
        limits = CgroupLimits {
            memory_high_bytes: Some(32 << 20),
            swap_bytes: Some(0),
            cpu_usec_per_second: Some(500_000),
            cpu_weight: Some(50),
            cpus: Some("0-1\u{1b}".to_owned()),
            ..limits
        };
        let line = "memory 64 MiB, slowed down from 32 MiB, swap 0 B, CPUs 0.5, tasks unlimited, CPU weight 50, runs on CPUs 0-1\\x1b";
        assert_eq!(limits_in_words(&limits), line);
    }

    #[test]
    fn cpus_and_policies() {
        let range = |first, last| CpuRange { first, last };
        assert_eq!(ranges(&[range(0, 3), range(6, 6)]), "0-3,6");
        assert_eq!([policy_name(1), policy_name(99)], ["SCHED_FIFO", "policy 99"]);
    }
}
