//! All about one process.

use std::collections::BTreeMap;
use std::time::Duration;

use bstr::BString;
use lxkns_core::model::{
    CgroupMembership, Cgroups, CpuRange, Freezer, NamespaceId, NamespaceLinks, NamespaceType, Process, Scheduling,
    Snapshot, Task,
};

use super::caps;
use super::escape::printable;
use super::names::{self, Detail};
use super::sheet::{Sheet, left, list};

/// With what a process's namespaces are compared.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reference {
    /// Those of whoever asks.
    Own(NamespaceLinks),
    /// The initial ones.
    Initial,
}

/// A process with all that is known of it.
#[derive(Debug)]
pub(crate) struct ShownProcess<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) process: &'a Process,
    pub(crate) reference: Reference,
    /// How long ago the host booted, where it is the living one.
    pub(crate) since_boot: Option<Duration>,
}

impl<'a> ShownProcess<'a> {
    /// For people, with lists of no more than `limit`.
    pub(crate) fn sheet(&self, limit: usize) -> Sheet {
        let process = self.process;
        let title = format!("process {}", names::process(self.snapshot, process.pid, Detail::Brief));
        let mut sheet = Sheet { title, sections: Vec::new() };
        sheet.facts("", self.identity());
        let headings = vec![left("TYPE"), left("NAMESPACE"), left(self.heading())];
        sheet.table("Namespaces", headings, self.namespaces().map(|row| self.row(row)).collect());
        let threads: Vec<_> = self.elsewhere().collect();
        sheet.facts("Threads elsewhere", list("", &threads, limit, |task| self.thread(task)));
        sheet.facts("Control groups", self.cgroups(limit));
        sheet.facts("Capabilities", self.capabilities());
        sheet.facts("Scheduling", self.scheduling());
        sheet
    }

    fn heading(&self) -> &'static str {
        match self.reference {
            Reference::Own(_) => "IS YOURS",
            Reference::Initial => "IS THE INITIAL ONE",
        }
    }

    fn identity(&self) -> Vec<(&'static str, String)> {
        let process = self.process;
        let mut facts = vec![("command", printable(names::command(process)))];
        if let Some(status) = &process.status {
            let pids: Vec<_> = status.ns_pids.iter().map(ToString::to_string).collect();
            facts.push((if pids.len() > 1 { "PIDs, outermost first" } else { "PID" }, pids.join("/")));
        }
        let parent = process.ppid.map(|pid| names::process(self.snapshot, pid, Detail::Brief));
        facts.push(("parent", parent.unwrap_or_else(|| "none that is visible".to_owned())));
        if let Some(status) = &process.status {
            let uids = status.uids;
            let user = |uid| names::user(self.snapshot, uid);
            let effective = format!(", effective {}", user(uids.effective));
            let effective = if uids.effective == uids.real { String::new() } else { effective };
            facts.push(("user", user(uids.real) + &effective));
        }
        facts.push(("threads", process.threads.to_string()));
        let started = self.started();
        let ago = self.since_boot.and_then(|now| now.checked_sub(started));
        let ago = ago.map(|ago| format!(", {} ago", duration(ago))).unwrap_or_default();
        if let Some(id) = process.namespaces.get(NamespaceType::User) {
            facts.push(("limits", format!("lxkns show {} has them", names::target(self.snapshot, id))));
        }
        facts.push(("started", format!("{} after boot{ago}", duration(started))));
        facts
    }

    /// When it started, counted from when the host booted.
    pub(crate) fn started(&self) -> Duration {
        // What every Linux of today calls a tick in procfs, whatever its own are.
        const TICKS_PER_SECOND: u64 = 100;
        Duration::from_millis(self.process.start_time_ticks().saturating_mul(1000 / TICKS_PER_SECOND))
    }

    /// The namespaces, each with whether it is the one to compare with; `None` where that is not known.
    pub(crate) fn namespaces(&self) -> impl Iterator<Item = (NamespaceType, Option<NamespaceId>, Option<bool>)> + '_ {
        NamespaceType::ALL.into_iter().map(|ns_type| {
            let id = self.process.namespaces.get(ns_type);
            let is_same = id.and_then(|id| match self.reference {
                Reference::Own(own) => own.get(ns_type).map(|own| own == id),
                Reference::Initial => self.snapshot.namespaces.get(&id).map(|namespace| namespace.initial),
            });
            (ns_type, id, is_same)
        })
    }

    fn row(&self, (ns_type, id, is_same): (NamespaceType, Option<NamespaceId>, Option<bool>)) -> Vec<String> {
        let name = match id {
            Some(id) => names::namespace(self.snapshot, id),
            None if self.process.has_given_up_namespaces() => "none: it has exited".to_owned(),
            None => "not readable".to_owned(),
        };
        let is_same = is_same.map_or("not known", |is_same| if is_same { "yes" } else { "no" });
        vec![ns_type.to_string(), name, is_same.to_owned()]
    }

    /// The threads that are in other namespaces than the process.
    pub(crate) fn elsewhere(&self) -> impl Iterator<Item = &'a Task> {
        let process = self.process;
        process.tasks.iter().filter(move |task| differences(process, task).next().is_some())
    }

    fn thread(&self, task: &Task) -> String {
        let others: Vec<_> = differences(self.process, task).map(|id| names::namespace(self.snapshot, id)).collect();
        format!("thread {} ({}) in {}", task.tid, names::comm(&task.comm), others.join(", "))
    }

    fn cgroups(&self, limit: usize) -> Vec<(&'static str, String)> {
        let task = self.process.living_task();
        let Some(cgroups) = &task.cgroups else { return vec![("paths", "not known".to_owned())] };
        let frozen =
            task.freezer.map_or_else(|| "not known".to_owned(), |freezer| describe_freezer(freezer).to_owned());
        [list("paths", &by_path(cgroups), limit, describe_cgroup), vec![("frozen", frozen)]].concat()
    }

    fn capabilities(&self) -> Vec<(&'static str, String)> {
        let Some(status) = &self.process.status else { return vec![("sets", "not known".to_owned())] };
        let sets = status.capabilities;
        let mut facts = vec![("effective", caps::describe(sets.effective))];
        for (label, set, usual) in [
            ("permitted", sets.permitted, sets.effective),
            ("inheritable", sets.inheritable, 0),
            ("ambient", sets.ambient, 0),
        ] {
            if set != usual {
                facts.push((label, caps::describe(set)));
            }
        }
        facts.push(("bounding", caps::describe(sets.bounding)));
        facts
    }

    fn scheduling(&self) -> Vec<(&'static str, String)> {
        let task = self.process.living_task();
        let mut facts = Vec::new();
        if let Some(Scheduling { policy, priority, nice }) = task.scheduling {
            let priority = if priority > 0 { format!(", priority {priority}") } else { String::new() };
            facts.push(("policy", format!("{}{priority}, nice {nice}", policy_name(policy))));
        }
        if let Some(cpus) = &task.affinity {
            facts.push(("CPUs", ranges(cpus)));
        }
        facts
    }
}

/// The namespaces of a thread that are others than those of its process.
pub(crate) fn differences<'a>(process: &'a Process, task: &'a Task) -> impl Iterator<Item = NamespaceId> + 'a {
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
        (false, true) => "told to freeze, and not yet frozen",
        (true, true) => "yes",
        (true, false) => "yes, because of a control group above",
    }
}

/// The kernel's name of a scheduling policy.
pub(crate) fn policy_name(policy: u32) -> String {
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
pub(crate) fn ranges(cpus: &[CpuRange]) -> String {
    let range = |range: &CpuRange| match (range.first, range.last) {
        (first, last) if first == last => first.to_string(),
        (first, last) => format!("{first}-{last}"),
    };
    cpus.iter().map(range).collect::<Vec<_>>().join(",")
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
    fn cpus_and_policies() {
        let range = |first, last| CpuRange { first, last };
        assert_eq!(ranges(&[range(0, 3), range(6, 6)]), "0-3,6");
        assert_eq!([policy_name(1), policy_name(99)], ["SCHED_FIFO", "policy 99"]);
    }
}
