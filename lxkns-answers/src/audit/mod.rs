//! How well containers and process trees are isolated from the host, by what the kernel enforces of each of their processes: the
//! answer of `lxkns audit`.
//!
//! First [`Plan`] names the processes for which more must be read than a snapshot has (`Discovery::confinement` of lxkns-core);
//! then [`Audit`] judges. What could not be read is in [`Judgement::not_judged`], and never taken for clean.

use lxkns_model::CompactSort as _;

mod answer;
mod devices;
mod files;
mod host;
mod layers;
mod processes;
mod subjects;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use lxkns_model::relations::ContainerNamespaces;
use lxkns_model::{ConfinementFacts, DiscoveryOptions, EngineKind, Gap, NamespaceId, Object, Pid, Scope, Tid};
use rustc_hash::FxHashMap;
use serde::Serialize;

use crate::Context;
use crate::names::{self, Detail};
use crate::release::is_of_the_kernel;

pub use answer::Answer;
use host::HostView;
pub use subjects::{Plan, Subject};

/// How bad a finding is, by what it allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// It allows nothing by itself.
    Info,
    /// A barrier is missing that engines leave out by default: another hole in the wall is worth more.
    Low,
    /// A barrier is missing that engines set up by default, or something of the host or of others can be seen or changed.
    Medium,
    /// The host can be taken over without another hole.
    High,
}

impl Severity {
    /// All, the mildest first.
    pub const ALL: [Self; 4] = [Self::Info, Self::Low, Self::Medium, Self::High];

    /// Its name, as in the JSON form.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// No severity has this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownSeverity;

impl fmt::Display for UnknownSeverity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not one of info, low, medium, high")
    }
}

impl std::error::Error for UnknownSeverity {}

impl FromStr for Severity {
    type Err = UnknownSeverity;

    fn from_str(name: &str) -> Result<Self, UnknownSeverity> {
        Self::ALL.into_iter().find(|severity| severity.name() == name).ok_or(UnknownSeverity)
    }
}

/// What shows a finding.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "AuditEvidence"))]
#[serde(rename_all = "kebab-case")]
pub struct Evidence {
    /// In words, safe to print.
    pub text: String,
    /// The process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// The task, where it is another than the one that stands for the process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tid: Option<u32>,
    /// The descriptor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fd: Option<u32>,
    /// A path: of a mount where it is mounted, of a descriptor what its link says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The ID of a mount, as in mountinfo.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mount_id: Option<u64>,
    /// The inode number of a namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nsid: Option<u64>,
}

/// Something that makes a container less isolated from the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What kind of finding it is: a stable name.
    pub kind: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What it is and what it allows, in a sentence that is safe to print.
    pub text: String,
    /// What shows it, sorted.
    pub evidence: Vec<Evidence>,
    /// What to change.
    pub remedy: String,
}

/// What was found of one container or process tree.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// What was judged.
    pub subject: Subject,
    /// The findings, the worst first.
    pub findings: Vec<Finding>,
    /// What could not be judged and why, in sentences that are safe to print.
    pub not_judged: Vec<String>,
}

impl Judgement {
    /// How bad the worst finding is; `None` where there is none.
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }
}

/// What a filter that the kernel does not show leaves open.
const BY_PROGRAM: &str = "control groups of version 2 keep devices away by programs: that there is one counts here, as with seccomp \
    filters; which devices it lets through is not readable";

/// What is compared with where the host is not visible.
const NESTED: &str = "not visible from this PID namespace: process 1 and its namespaces stand for the host's";

/// What a scan has to read for it. See also [`Plan::pids`].
pub fn options() -> DiscoveryOptions {
    use lxkns_model::Place::{ForChildren, Sockets, Tun};
    let mut options = DiscoveryOptions::namespaces();
    for place in [Sockets, Tun, ForChildren] {
        options.places = options.places.without(place);
    }
    options.status = Scope::All;
    // Who is in a container's control group and in none of its namespaces.
    options.cgroups = true;
    options.namespace_details = true;
    options.mounts = true;
    options.without_self = true;
    options
}

/// Judges the containers and process trees of a snapshot.
#[derive(Debug)]
pub struct Audit<'a> {
    context: Context<'a>,
    namespaces: ContainerNamespaces<'a>,
    host: HostView<'a>,
    /// What was read besides; `None` where nothing could be, as in a dump.
    facts: Option<&'a ConfinementFacts>,
    /// The descriptors on namespaces of each process that is judged.
    namespace_fds: FxHashMap<Pid, Vec<(NamespaceId, Tid, u32)>>,
    /// What could not be read.
    gaps: Gaps<'a>,
}

/// What could not be read, by what it is about.
#[derive(Debug, Default)]
struct Gaps<'a> {
    of_processes: FxHashMap<Pid, Vec<&'a Gap>>,
    of_namespaces: FxHashMap<NamespaceId, Vec<&'a Gap>>,
    /// Those of processes that are not judged: of engines.
    of_engines: Vec<&'a Gap>,
}

impl<'a> Gaps<'a> {
    /// Those of the scan, and those of what was read besides.
    fn of(scan: &'a [Gap], besides: &'a [Gap], judged: &BTreeSet<Pid>) -> Self {
        let mut sorted = Self::default();
        for (gap, is_besides) in scan.iter().map(|gap| (gap, false)).chain(besides.iter().map(|gap| (gap, true))) {
            match gap.object {
                Object::Process(pid) | Object::Task(pid, _) | Object::Fd(pid, ..) if judged.contains(&pid) => {
                    sorted.of_processes.entry(pid).or_default().push(gap);
                }
                // That a namespace that is mounted could not be opened hides no mount.
                Object::Namespace(id) | Object::Mount(id, _) if is_besides || !gap.operation.is_opening() => {
                    sorted.of_namespaces.entry(id).or_default().push(gap);
                }
                _ if is_besides => sorted.of_engines.push(gap),
                _ => {}
            }
        }
        sorted
    }
}

impl<'a> Audit<'a> {
    /// Of a snapshot, with what was read of the processes of the plan; `None` where nothing could be, as in a dump.
    pub fn new(context: Context<'a>, plan: &Plan, facts: Option<&'a ConfinementFacts>) -> Self {
        let pids: BTreeSet<Pid> = plan.pids().into_iter().collect();
        let mut namespace_fds: FxHashMap<Pid, Vec<_>> = FxHashMap::default();
        for namespace in context.snapshot.namespaces.values() {
            for holder in &namespace.holders {
                if let lxkns_model::Holder::Fd { pid, tid, fd } = *holder
                    && pids.contains(&pid)
                {
                    namespace_fds.entry(pid).or_default().push((namespace.id, tid, fd));
                }
            }
        }
        Self {
            gaps: Gaps::of(&context.snapshot.gaps, facts.map(|facts| facts.gaps.as_slice()).unwrap_or_default(), &pids),
            context,
            namespaces: ContainerNamespaces::of(context.snapshot),
            host: HostView::of(context.snapshot, facts),
            facts,
            namespace_fds,
        }
    }

    /// What is true of the host as a whole, in sentences.
    pub fn remarks(&self) -> Vec<String> {
        let no_labels =
            "no security module labels processes on this host (AppArmor, SELinux, Smack): none confines any";
        let mut remarks = Vec::new();
        let observer = self.context.snapshot.observer.as_ref();
        if observer.is_some_and(|observer| observer.reads_initial_procfs() == Some(false)) {
            remarks.push(NESTED.to_owned());
        }
        if self.host.has_labels == Some(false) {
            remarks.push(no_labels.to_owned());
        }
        let by_program = |access: &lxkns_model::DeviceAccess| *access == lxkns_model::DeviceAccess::Program;
        if self.facts.is_some_and(|facts| facts.device_access.values().any(by_program)) {
            remarks.push(BY_PROGRAM.to_owned());
        }
        remarks
    }

    /// Whether the labels of security modules were asked for.
    fn has_read_labels(&self) -> bool {
        self.facts.is_some() || self.context.snapshot.options.security_labels
    }

    /// Judges one container or process tree.
    pub fn judge(&self, subject: &Subject) -> Judgement {
        let snapshot = self.context.snapshot;
        let subject = subject.without(snapshot, |pid| match self.facts {
            Some(facts) => facts.kernel_threads.contains(&pid),
            None => snapshot.processes.get(&pid).is_some_and(|process| is_of_the_kernel(snapshot, process)),
        });
        let mut case = Case::new(self, &subject);
        case.judge_namespaces();
        case.judge_credentials();
        case.judge_strays();
        case.judge_mounts();
        case.judge_uses();
        case.finish()
    }
}

/// What findings are sorted and told apart by: the severity, the kind and the text.
type Key = (std::cmp::Reverse<Severity>, &'static str, String);

/// One container or process tree while it is judged.
struct Case<'a, 'b> {
    audit: &'b Audit<'a>,
    subject: &'b Subject,
    engine: Option<EngineKind>,
    /// The findings by severity, kind and text, with their evidence.
    found: BTreeMap<Key, (Vec<Evidence>, String)>,
    not_judged: BTreeMap<String, BTreeSet<Pid>>,
    /// What its processes can come to have in the host's user namespace.
    host_capabilities: lxkns_model::CapabilitySet,
    /// Whether UID 0 of the host can be had in it; `None` where not known.
    may_be_host_root: Option<bool>,
}

impl<'a, 'b> Case<'a, 'b> {
    fn new(audit: &'b Audit<'a>, subject: &'b Subject) -> Self {
        let engine = subject.container.and_then(|index| audit.container(index)).map(|container| container.kind);
        Self {
            audit,
            subject,
            engine,
            found: BTreeMap::new(),
            not_judged: BTreeMap::new(),
            host_capabilities: lxkns_model::CapabilitySet::NONE,
            may_be_host_root: None,
        }
    }

    fn find(
        &mut self,
        kind: &'static str,
        severity: Severity,
        text: impl Into<String>,
        evidence: Option<Evidence>,
        remedy: &dyn Fn(&Self) -> String,
    ) {
        let key = (std::cmp::Reverse(severity), kind, text.into());
        if let Some((all, _)) = self.found.get_mut(&key) {
            all.extend(evidence);
            return;
        }
        let remedy = remedy(self);
        self.found.insert(key, (evidence.into_iter().collect(), remedy));
    }

    /// What cannot be judged, of this process where it is about one.
    fn unknown(&mut self, what: impl Into<String>, pid: Option<Pid>) {
        self.not_judged.entry(what.into()).or_default().extend(pid);
    }

    /// What to do, by an option of `docker run` and `podman run` where one of them runs the container.
    fn without(&self, option: &str, otherwise: &str) -> String {
        match self.engine {
            Some(EngineKind::Docker | EngineKind::Podman) => format!("run it without `{option}`"),
            _ => otherwise.to_owned(),
        }
    }

    /// A process, with the task where it is another.
    fn of_task(&self, pid: Pid, tid: Tid, more: &str) -> Evidence {
        let called = self.called(pid);
        let main = self.audit.context.snapshot.processes.get(&pid).map(|process| process.living_task().tid);
        let is_main = tid == Tid::from(pid) || main == Some(tid);
        let task = if is_main { String::new() } else { format!(", task {tid}") };
        let more = if more.is_empty() { String::new() } else { format!(": {more}") };
        Evidence {
            text: format!("process {called}{task}{more}"),
            pid: Some(pid.0),
            tid: (!is_main).then_some(tid.0),
            ..Evidence::default()
        }
    }

    /// A process by its PID and its name: whose it is stands above.
    fn called(&self, pid: Pid) -> String {
        let snapshot = self.audit.context.snapshot;
        let comm = snapshot.processes.get(&pid).map(|process| format!(" ({})", names::comm(process.comm())));
        format!("{pid}{}", comm.unwrap_or_default())
    }

    fn finish(self) -> Judgement {
        let finding = |((severity, kind, text), (mut evidence, remedy)): (Key, (Vec<Evidence>, String))| {
            evidence.compact_sort();
            evidence.dedup();
            Finding { kind, severity: severity.0, text, evidence, remedy }
        };
        let line = |(what, pids): (String, BTreeSet<Pid>)| {
            const NAMED: usize = 3;
            let named: Vec<_> = pids.iter().take(NAMED).map(ToString::to_string).collect();
            match pids.len() {
                0 => what,
                count if count > NAMED => format!("{what} ({count} processes)"),
                1 => format!("{what} (PID {})", named[0]),
                _ => format!("{what} (PIDs {})", named.join(", ")),
            }
        };
        Judgement {
            subject: self.subject.clone(),
            findings: self.found.into_iter().map(finding).collect(),
            not_judged: self.not_judged.into_iter().map(line).collect(),
        }
    }
}

impl<'a> Audit<'a> {
    fn container(&self, index: usize) -> Option<&'a lxkns_model::Container> {
        self.context.snapshot.annotations.containers.as_ref()?.list.get(index)
    }

    /// A container or a process, for people.
    pub fn name(&self, subject: &Subject) -> String {
        match subject.container.and_then(|index| self.container(index)) {
            Some(container) => crate::whose::container(container),
            None => match subject.main {
                Some(pid) => format!("process {}", names::process(self.context.snapshot, pid, Detail::Brief)),
                None => subject.asked.clone(),
            },
        }
    }
}
