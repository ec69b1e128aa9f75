//! What a plan consists of: steps, rows and notes; and a draft, to which each kind of step adds its own.

use lxkns_core::model::Capabilities;
use lxkns_sys::Op;

/// When a step is done: stages follow each other in this order. All are gone through outside the PID namespace that is
/// entered; after the last, a process in there becomes the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// Before all else.
    Before,
    /// Joining the control groups.
    Join,
    /// Resource limits, as far as raising them takes the caller's powers, and scheduling.
    Limits,
    /// Into the namespaces.
    Enter,
    /// A mount namespace of its own, where there is to be one.
    Mounts,
    /// The root and working directory.
    Root,
    /// What is mounted over something, in a mount namespace of its own.
    Cover,
    /// Leaving the caller's session.
    Session,
    /// Groups, GIDs, UIDs and capabilities.
    Credentials,
    /// The security context, then `no_new_privs`.
    Confinement,
    /// Descriptors.
    Descriptors,
    /// What must come last.
    Last,
}

/// One thing that the child does.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// When.
    pub(crate) stage: Stage,
    /// What, in words that an error can begin with, such as "change the root directory".
    pub(crate) what: String,
    /// What the kernel is told.
    pub(crate) op: Op,
}

impl Step {
    /// A step.
    pub(crate) fn new(stage: Stage, what: impl Into<String>, op: Op) -> Self {
        Self { stage, what: what.into(), op }
    }
}

/// What a row of the plan is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Subject {
    /// Which namespaces are entered.
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
    /// Capabilities over what is entered without its user namespace.
    CapabilitiesInside,
    /// Securebits.
    Securebits,
    /// `no_new_privs`.
    NoNewPrivs,
    /// SELinux's context, AppArmor's profile.
    Lsm,
    /// Filters of system calls.
    Seccomp,
    /// Landlock's rules.
    Landlock,
    /// The resource limits.
    Limits,
    /// The file mode creation mask.
    Umask,
    /// The CPUs that it may run on.
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

/// What somebody has.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fact {
    /// In words. They can have foreign bytes in them.
    Text(String),
    /// Whether it is set.
    Flag(bool),
    /// Sets of capabilities.
    Capabilities(Capabilities),
}

/// What the target has and what the command will have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Of what.
    pub subject: Subject,
    /// What the target has; `None` where that is not known, or where there is no process to ask.
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
