//! The parts of a plan: steps, rows and notes; and the draft that collects them.

use lxkns_core::model::Capabilities;
use lxkns_sys::Op;

/// The stages of a plan, in their order. All steps are done outside the PID namespace that is entered; after the last
/// one, a process inside runs the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// First steps.
    Before,
    /// Join the control groups.
    Join,
    /// Raise resource limits while the child has the caller's privileges, and set scheduling.
    Limits,
    /// Enter the namespaces.
    Enter,
    /// Make a new mount namespace, if the command needs one.
    Mounts,
    /// Change the root and working directory.
    Root,
    /// Cover directories in the new mount namespace.
    Cover,
    /// Leave the caller's session.
    Session,
    /// Set groups, GIDs, UIDs and capabilities.
    Credentials,
    /// Set the security context, then `no_new_privs`.
    Confinement,
    /// Set the descriptors.
    Descriptors,
    /// Last steps.
    Last,
}

/// A step of the child.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// Its stage.
    pub(crate) stage: Stage,
    /// What it does, in words that an error can begin with, such as "change the root directory".
    pub(crate) what: String,
    /// The operation.
    pub(crate) op: Op,
}

impl Step {
    /// A step.
    pub(crate) fn new(stage: Stage, what: impl Into<String>, op: Op) -> Self {
        Self { stage, what: what.into(), op }
    }
}

/// The subject of a row of the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Subject {
    /// The namespaces that are entered.
    Namespaces,
    /// The root directory.
    Root,
    /// The working directory.
    WorkingDirectory,
    /// The control groups.
    Cgroup,
    /// The UID.
    Uid,
    /// The GID.
    Gid,
    /// The supplementary groups.
    Groups,
    /// The capability sets.
    Capabilities,
    /// Capabilities over namespaces that are entered without the user namespace that owns them.
    CapabilitiesInside,
    /// Securebits.
    Securebits,
    /// `no_new_privs`.
    NoNewPrivs,
    /// The SELinux context or AppArmor profile.
    Lsm,
    /// Seccomp.
    Seccomp,
    /// Landlock rules.
    Landlock,
    /// The resource limits.
    Limits,
    /// The file mode creation mask.
    Umask,
    /// The CPU affinity.
    Affinity,
    /// The nice value.
    Nice,
    /// The I/O scheduling class and priority.
    IoPriority,
    /// The execution domain.
    Personality,
    /// The environment.
    Environment,
}

/// The value of a row for the target or the command.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fact {
    /// Text, which can contain bytes that other processes chose.
    Text(String),
    /// Whether it is set.
    Flag(bool),
    /// Sets of capabilities.
    Capabilities(Capabilities),
}

/// A row: what the target has and what the command will have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The subject.
    pub subject: Subject,
    /// What the target has; `None` if not known, or if the target has no process.
    pub target: Option<Fact>,
    /// What the command will have.
    pub command: Fact,
}

/// A plan that is being made.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) steps: Vec<Step>,
    pub(crate) rows: Vec<Row>,
    pub(crate) notes: Vec<String>,
}

impl Draft {
    pub(crate) fn row(&mut self, subject: Subject, target: Option<Fact>, command: Fact) {
        self.rows.push(Row { subject, target, command });
    }

    pub(crate) fn step(&mut self, stage: Stage, what: impl Into<String>, op: Op) {
        self.steps.push(Step::new(stage, what, op));
    }
}

/// What [`Op::Guard`] is for.
pub(crate) const GUARD: &str = "keep others from tracing the entering process";
