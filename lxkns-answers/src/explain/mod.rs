//! Whether a process may create or enter namespaces, and what stands in the way.
//!
//! The rules are the kernel's, asked in its order. What cannot be known of another process, such as what its seccomp filter
//! says, leaves the verdict unknown.

use lxkns_model::{ActionFacts, DiscoveryOptions, NamespaceId, NamespaceType, Place, Process, Scope, Snapshot, Uid};
use serde::Serialize;

use crate::caps::CapsProcess;
use crate::names::{self, Detail};

mod action;
mod counts;
mod rules;

pub use action::{Action, Verb};

use rules::Rules;

/// What a snapshot must have for this.
pub fn options(action: &Action) -> DiscoveryOptions {
    let mut options = DiscoveryOptions::namespaces();
    options.status = Scope::All;
    options.namespace_details = true;
    options.command_lines = Scope::None;
    // Whether a process is chrooted, the mounts of its mount namespace tell.
    options.mounts = action.types.contains(&NamespaceType::User);
    options
}

/// The places whose gaps can change the answer.
pub fn places(options: &DiscoveryOptions) -> lxkns_model::Places {
    let places = [Place::Processes, Place::Tasks, Place::ForChildren, Place::Parents, Place::Owners];
    places.into_iter().filter(|place| options.places.contains(*place)).collect::<lxkns_model::Places>()
}

/// The user namespaces whose limits count, as far as they are visible: that of the process and those above.
pub fn limiting(snapshot: &Snapshot, process: &Process) -> Vec<NamespaceId> {
    let own = process.namespaces.get(NamespaceType::User);
    let levels = own.map(|own| counts::levels(snapshot, own, None).0).unwrap_or_default();
    levels.into_iter().map(|level| level.user).collect()
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The kernel would do it.
    Succeeds,
    /// The kernel would refuse it.
    Fails,
    /// It is not known what decides.
    NotKnown,
}

/// What stands in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ObstacleKind {
    /// A filter of system calls.
    Seccomp,
    /// A setting of the kernel's on user namespaces.
    Sysctl,
    /// A security module.
    Lsm,
    /// The limit of a user namespace on namespaces of a type.
    Limit,
    /// Namespaces are nested as deeply as they can be.
    Depth,
    /// `RLIMIT_NPROC`.
    ProcessLimit,
    /// `pids.max` of a control group.
    CgroupLimit,
    /// A capability.
    Capability,
    /// An ID that is not mapped in the user namespace of the process.
    Unmapped,
    /// The root directory is not that of the mount namespace.
    Chroot,
    /// The root directory is shared with another process or thread.
    SharedFs,
    /// The memory is shared with another process.
    SharedMemory,
    /// The process has several threads.
    Threads,
    /// The process is in that namespace already.
    Same,
    /// The PID namespaces of the process and of its children.
    Pid,
    /// The process has exited.
    Exited,
    /// A dump does not have it.
    NotInDump,
}

/// Something that stands in the way, or may.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Obstacle {
    /// The call that meets it.
    pub call: String,
    /// What it is.
    pub kind: ObstacleKind,
    /// Whether it is certain. Otherwise it is not known.
    #[serde(rename = "certain")]
    pub is_certain: bool,
    /// The error that the kernel gives for it, by its name; `null` where there is none.
    pub errno: Option<&'static str>,
    /// The evidence, in words that are safe to print.
    pub because: String,
    /// The smallest change that would remove it, in words; `null` where there is none, or it is not known.
    pub change: Option<String>,
}

/// Whether a process may create or enter namespaces.
#[derive(Debug)]
pub struct Explanation<'a> {
    /// What was found.
    pub snapshot: &'a Snapshot,
    /// The process.
    pub process: &'a Process,
    /// The calls that it takes, as C has them.
    pub calls: Vec<String>,
    /// What stands in the way or may, in the order in which the kernel asks.
    pub obstacles: Vec<Obstacle>,
    /// What goes by what was visible.
    pub notes: Vec<String>,
}

impl<'a> Explanation<'a> {
    /// Explains an action. `targets` are the namespaces that each TARGET of it means; `facts` are `None` of a dump.
    pub fn of(
        snapshot: &'a Snapshot,
        process: &'a Process,
        action: &Action,
        targets: &[Vec<NamespaceId>],
        facts: Option<&ActionFacts>,
    ) -> Self {
        let mut rules = Rules { snapshot, process, facts, found: Vec::new(), notes: Vec::new(), call: String::new() };
        let mut calls = Vec::new();
        let mut begin = |rules: &mut Rules<'_>, call: String| {
            rules.call.clone_from(&call);
            calls.push(call);
            rules.seccomp();
        };
        match action.verb {
            Verb::Unshare | Verb::Clone => {
                let name = if action.verb == Verb::Unshare { "unshare" } else { "clone" };
                let name = if action.types.is_empty() { "fork" } else { name };
                begin(&mut rules, rules::call(name, action.types.iter().copied()));
                rules.creates(action.verb, &action.types);
                if action.fork {
                    begin(&mut rules, rules::call("fork", []));
                    rules.forks(action.types.contains(&NamespaceType::Pid));
                }
            }
            Verb::Setns => {
                for ids in targets {
                    let typed = |&id: &NamespaceId| Some((snapshot.namespaces.get(&id)?.ns_type, id));
                    let is_own = |&(ns_type, id): &(NamespaceType, _)| process.namespaces.get(ns_type) == Some(id);
                    let mut ids: Vec<_> = ids.iter().filter_map(typed).collect();
                    let several = ids.len() > 1;
                    // Of a process, those are entered that differ.
                    ids.retain(|id| !several || !is_own(id));
                    begin(&mut rules, rules::call("setns", ids.iter().map(|&(ns_type, _)| ns_type)));
                    rules.enters(&ids);
                }
            }
        }
        if facts.is_none() && action.verb != Verb::Setns {
            rules.not_in_dump("limits, settings of the kernel, control groups, and whether a process is chrooted");
        } else if facts.is_none() && rules.needs_shared_fs(targets) {
            rules.not_in_dump("which processes share a root directory");
        }
        let Rules { found, mut notes, .. } = rules;
        if found.iter().any(|obstacle| obstacle.is_certain) {
            // What is certain does not go by them.
            notes.clear();
        }
        let mut obstacles: Vec<Obstacle> = Vec::with_capacity(found.len());
        // One that several calls meet is told once.
        for obstacle in found {
            let is_same = |known: &Obstacle| (known.kind, &known.because) == (obstacle.kind, &obstacle.because);
            if !obstacles.iter().any(is_same) {
                obstacles.push(obstacle);
            }
        }
        Self { snapshot, process, calls, obstacles, notes }
    }

    /// What becomes of it.
    pub fn verdict(&self) -> Verdict {
        match (self.first(), self.obstacles.is_empty()) {
            (Some(_), _) => Verdict::Fails,
            (None, true) => Verdict::Succeeds,
            (None, false) => Verdict::NotKnown,
        }
    }

    /// The first certain obstacle: the error that the kernel gives.
    pub fn first(&self) -> Option<&Obstacle> {
        self.obstacles.iter().find(|obstacle| obstacle.is_certain)
    }

    /// The process and the calls, safe to print: `process 1234 (sh) with effective UID 1000 (jo): unshare(CLONE_NEWUSER)`.
    pub fn subject(&self) -> String {
        let process = names::process(self.snapshot, self.process.pid, Detail::Brief);
        let uid = self.uid().map(|uid| format!(" with effective {}", names::user(self.snapshot, uid)));
        format!("process {process}{}: {}", uid.unwrap_or_default(), self.calls.join(", then "))
    }

    /// The verdict in a sentence.
    pub fn sentence(&self) -> String {
        match self.first() {
            Some(Obstacle { errno: Some(errno), because, .. }) => format!("fails with {errno}: {because}"),
            Some(Obstacle { because, .. }) => format!("fails: {because}"),
            None if self.obstacles.is_empty() => "succeeds".to_owned(),
            None => "not known: nothing visible stands in the way, but not everything that can is visible".to_owned(),
        }
    }

    fn uid(&self) -> Option<Uid> {
        self.process.status.as_ref().map(|status| status.uids.effective)
    }

    /// It as JSON.
    pub fn answer(&self) -> ExplainAnswer {
        ExplainAnswer {
            process: CapsProcess::of(self.snapshot, self.process, self.uid()),
            calls: self.calls.clone(),
            verdict: self.verdict(),
            errno: self.first().and_then(|first| first.errno),
            because: self.sentence(),
            obstacles: self.obstacles.clone(),
            notes: self.notes.clone(),
        }
    }
}

/// Whether a process may create or enter namespaces, as JSON.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct ExplainAnswer {
    /// The process.
    pub process: CapsProcess,
    /// The system calls that it takes.
    pub calls: Vec<String>,
    /// What becomes of it.
    pub verdict: Verdict,
    /// The first error that the kernel gives; `null` where it gives none, or that is not known.
    pub errno: Option<&'static str>,
    /// The verdict as a sentence.
    pub because: String,
    /// What stands in the way or may, in the order in which the kernel asks.
    pub obstacles: Vec<Obstacle>,
    /// What goes by what was visible.
    pub notes: Vec<String>,
}

#[cfg(test)]
mod tests;
