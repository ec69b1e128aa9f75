//! What will be done: a list of steps, which can be read before it is carried out.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lxkns_core::model::{Capabilities, NamespaceType};
use lxkns_sys::{Op, SharedFd, SpawnError};
use rustix::io::Errno;

use crate::cgroup::Joined;
use crate::error::{Error, ErrorKind};
use crate::terminal::Stranger;

/// When a step is done: stages follow each other in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// Outside, by a process that is not yet the command's.
    Before,
    /// Into the namespaces.
    Enter,
    /// By the command's own process from here on: it joins the control groups.
    Join,
    /// Mounts of its own, where there are to be any.
    Mounts,
    /// The root and working directory.
    Root,
    /// A session and a terminal of its own.
    Terminal,
    /// Groups, GIDs, UIDs and capabilities.
    Credentials,
    /// The security context, then `no_new_privs`.
    Confinement,
    /// Descriptors and signals.
    Descriptors,
    /// The command itself.
    Command,
}

/// One thing that the child does.
#[derive(Clone, Debug)]
pub struct Step {
    /// When.
    pub stage: Stage,
    /// What, in words that an error can begin with, such as "change the root directory".
    pub what: String,
    /// What the kernel is told.
    pub op: Op,
}

impl Step {
    /// A step.
    pub fn new(stage: Stage, what: impl Into<String>, op: Op) -> Self {
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
    /// `no_new_privs`.
    NoNewPrivs,
    /// SELinux's context, AppArmor's profile.
    Lsm,
    /// Filters of system calls.
    Seccomp,
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

/// A command that has been started. The caller is to wait for it.
#[derive(Debug)]
pub struct Spawned {
    /// Its process ID, as the caller's PID namespace has it.
    pub pid: u32,
    /// A pidfd of it, where the kernel has them (5.3).
    pub pidfd: Option<OwnedFd>,
}

/// Everything is open and verified, nothing is entered yet.
#[derive(Debug)]
pub struct Plan {
    pub(crate) steps: Vec<Step>,
    pub(crate) rows: Vec<Row>,
    pub(crate) notes: Vec<String>,
    pub(crate) cgroup: Option<SharedFd>,
    pub(crate) joined: Option<Joined>,
    /// Whether the command may less than its caller, so that it must not have the caller's terminal.
    pub(crate) stranger: Option<Stranger>,
    pub(crate) wait: Duration,
}

impl Plan {
    /// What the target has and what the command will have.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// What the user should know: what could not be taken over, and what was left out because it was asked for. A sentence
    /// each, without its full stop; it can have foreign bytes in it.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// What the child will do.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Adds a step, after those of its stage.
    pub fn add(&mut self, step: Step) {
        let at = self.steps.partition_point(|other| other.stage <= step.stage);
        self.steps.insert(at, step);
    }

    /// Leaves out the steps of a stage, for those that add their own.
    pub fn leave_out(&mut self, stage: Stage) {
        self.steps.retain(|step| step.stage != stage);
    }

    /// Carries it out in a child, with these as standard input, output and error, and comes back once the child has become
    /// the command.
    ///
    /// Each step that leads to the process's file systems has as long as [`Enter::wait`](crate::Enter::wait) says, the command
    /// itself among them; then the child is given up.
    ///
    /// The child is a child of the calling thread, and ends with it until it has become the command. The caller waits for
    /// it; nobody else may, and `SIGCHLD` must not be ignored.
    ///
    /// # Errors
    ///
    /// Whatever step of the child fails is said here. Then no process is left.
    ///
    /// # Privileges
    ///
    /// As [`Enter::prepare`](crate::Enter::prepare) has them.
    ///
    /// # Minimum kernel version
    ///
    /// 4.11.
    pub fn execute(&self, stdio: [BorrowedFd<'_>; 3]) -> Result<Spawned, Error> {
        let copy = |fd: BorrowedFd<'_>| {
            let copied = rustix::io::fcntl_dupfd_cloexec(fd.as_fd(), 3);
            copied.map(Arc::new).map_err(|errno| Error::call("copy a descriptor", errno))
        };
        let [stdin, stdout, stderr] = stdio;
        let stdio = Op::Stdio([copy(stdin)?, copy(stdout)?, copy(stderr)?]);
        let mut steps: Vec<&Step> = self.steps.iter().collect();
        let stdio = Step::new(Stage::Descriptors, "set standard input, output and error", stdio);
        // Before a terminal becomes the controlling one.
        steps.insert(steps.partition_point(|step| step.stage <= Stage::Root), &stdio);
        let ops: Vec<Op> = steps.iter().map(|step| step.op.clone()).collect();
        let mut at = (0, Instant::now());
        // Frozen meanwhile, or at a file system that does not answer, it would be waited for for ever.
        let mut goes_on = |index: usize| {
            if at.0 != index {
                at = (index, Instant::now());
            }
            let is_late = at.1.elapsed() >= self.wait && ops.get(index).is_some_and(asks_a_file_system);
            !is_late && !self.joined.as_ref().is_some_and(Joined::is_frozen)
        };
        match lxkns_sys::spawn(&ops, self.cgroup.as_deref(), &mut goes_on) {
            Ok(child) => Ok(Spawned { pid: child.pid, pidfd: child.pidfd }),
            Err(error) => Err(in_words(&steps, error)),
        }
    }
}

/// Whether what a step takes is in the container's hands.
fn asks_a_file_system(op: &Op) -> bool {
    matches!(op, Op::Root(_) | Op::WorkingDirectory(_) | Op::Exec(_))
}

fn in_words(steps: &[&Step], error: SpawnError) -> Error {
    let step = |index: usize| steps.get(index).map_or("become the command", |step| step.what.as_str());
    match error {
        SpawnError::Start(errno) => Error::call("start a process", errno),
        SpawnError::Step { index, detail, errno } => {
            let kind = match steps.get(index).map(|step| &step.op) {
                Some(Op::Exec(_)) if errno == Errno::NOENT => ErrorKind::CommandNotFound,
                Some(Op::Exec(_)) => ErrorKind::CommandNotRun,
                Some(Op::Enter(_)) if errno == Errno::SRCH => ErrorKind::Gone,
                _ => ErrorKind::Failed,
            };
            let mut what = if detail == 0 { step(index).to_owned() } else { entering(detail) };
            if kind == ErrorKind::CommandNotRun && matches!(errno, Errno::ACCESS | Errno::PERM) {
                what = confined(what, &steps[..index]);
            }
            Error::with_errno(kind, what, errno)
        }
        SpawnError::GivenUp { index } => Error::new(ErrorKind::TimedOut, format!("{}: no answer in time", step(index))),
        _ => Error::new(ErrorKind::Failed, "the entering process was killed before it had become the command"),
    }
}

/// A command that is not permitted, and what else is not if its file may be run: it is only then that the kernel asks the
/// security modules whether the context may be taken on.
fn confined(command: String, before: &[&Step]) -> String {
    let contexts = before.iter().filter(|step| matches!(step.op, Op::ExecContext { .. }));
    let contexts: Vec<&str> = contexts.map(|step| step.what.as_str()).collect();
    if contexts.is_empty() {
        return command;
    }
    let no_new_privs = before.iter().any(|step| matches!(step.op, Op::NoNewPrivs));
    let with = if no_new_privs { " with no_new_privs" } else { "" };
    format!("run {command} and {}{with}", contexts.join(" and "))
}

/// Which namespaces it was that could not be entered.
fn entering(flags: u32) -> String {
    let types: Vec<&str> = NamespaceType::ALL
        .into_iter()
        .filter(|ns_type| flags & ns_type.clone_flag() != 0)
        .map(NamespaceType::name)
        .collect();
    format!("enter {} namespace{}", types.join(", "), if types.len() == 1 { "" } else { "s" })
}
