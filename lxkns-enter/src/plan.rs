//! A prepared plan, and its execution.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lxkns_core::model::{NamespaceType, TaskState};
use lxkns_core::parse;
use lxkns_sys::{Exec, Launch, LaunchSession, LaunchStep, Op, SharedFd, SpawnError, Watch};
use rustix::event::PollFlags;
use rustix::io::Errno;

use crate::cgroup::Joined;
use crate::descriptors::Descriptors;
use crate::error::{Error, ErrorKind};
use crate::process::{self, Witness};
use crate::steps::{Row, Stage, Step};
use crate::streams::{self, is_ready};
use crate::terminal::Stranger;

/// A command that has been started. The caller must wait for it.
#[derive(Debug)]
pub struct Spawned {
    /// Its PID in the caller's PID namespace.
    pub pid: u32,
    /// Its pidfd, if the kernel has them (5.3).
    pub pidfd: Option<OwnedFd>,
}

/// The command.
#[derive(Debug)]
pub(crate) struct Command {
    /// Its name in errors.
    pub(crate) name: String,
    pub(crate) exec: Exec,
    /// The signals that it starts with blocked.
    pub(crate) blocked: u64,
    /// Whether it runs in a PID namespace that is entered.
    pub(crate) enters_pids: bool,
}

/// A plan: everything is open and verified, nothing is entered yet.
#[derive(Debug)]
pub struct Plan {
    pub(crate) steps: Vec<Step>,
    pub(crate) rows: Vec<Row>,
    pub(crate) notes: Vec<String>,
    pub(crate) command: Command,
    pub(crate) descriptors: Descriptors,
    pub(crate) joined: Option<Joined>,
    /// Whether the command has fewer privileges than its caller, so it must not have the caller's terminal.
    pub(crate) stranger: Option<Stranger>,
    /// The process whose privileges the command takes on.
    pub(crate) witness: Option<Witness>,
    /// The caller's own procfs.
    pub(crate) procfs: Option<OwnedFd>,
    pub(crate) wait: Duration,
}

impl Plan {
    /// The rows: what the target has and what the command will have.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Notes for the user: what could not be taken over, and what was left out on request. Each is a sentence without
    /// its full stop, and can contain bytes that other processes chose.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The steps of the child before the command runs, in order: the stage, and words such as "change the root
    /// directory".
    pub fn steps(&self) -> impl Iterator<Item = (Stage, &str)> {
        self.steps.iter().map(|step| (step.stage, step.what.as_str()))
    }

    /// Executes the plan in a child, with these as standard input, output and error. Returns when the command runs.
    ///
    /// The command gets access to the files behind these descriptors: a process that may trace it can open a file
    /// again, in another mode. A command that is weaker than its caller gets no directory; [`Plan::run`] also replaces
    /// files with pipes.
    ///
    /// The timeout is five times that of [`Enter::wait`](crate::Enter::wait); then the child is given up.
    ///
    /// Until the command runs, the child ends with the calling thread. The caller must wait for it, no other thread
    /// may, and `SIGCHLD` must not be ignored.
    ///
    /// # Errors
    ///
    /// Any failure before the command runs. No process is left then, except a stuck one, which ends as soon as the
    /// kernel lets it.
    ///
    /// # Privileges
    ///
    /// Those of [`Enter::prepare`](crate::Enter::prepare).
    ///
    /// # Minimum kernel version
    ///
    /// 4.11.
    pub fn execute(&self, stdio: [BorrowedFd<'_>; 3]) -> Result<Spawned, Error> {
        if self.stranger.is_some() {
            streams::check(&self.descriptors.all(stdio))?;
        }
        let session = match self.stranger {
            Some(_) => LaunchSession::New { terminal: None },
            None => LaunchSession::Same,
        };
        let copy = |fd: BorrowedFd<'_>| rustix::io::fcntl_dupfd_cloexec(fd, 3).map(Arc::new);
        let given = stdio.into_iter().zip(0..).map(|(fd, number)| Ok((copy(fd)?, number)));
        let given = given.collect::<Result<_, Errno>>().map_err(|errno| Error::call("copy a descriptor", errno))?;
        self.start(given, session, None)
    }

    /// The same, with descriptors under these numbers and with this session. Gives up when `interrupts` is readable.
    pub(crate) fn start(
        &self,
        given: Vec<(SharedFd, i32)>,
        session: LaunchSession,
        interrupts: Option<BorrowedFd<'_>>,
    ) -> Result<Spawned, Error> {
        let descriptors = self.descriptors.steps(given);
        let mut steps: Vec<&Step> = self.steps.iter().collect();
        let at = steps.partition_point(|step| step.stage <= Stage::Descriptors);
        steps.splice(at..at, &descriptors);
        let ops: Vec<Op> = steps.iter().map(|step| step.op.clone()).collect();
        let launch = Launch { session, blocked: self.command.blocked, exec: self.command.exec.clone() };
        let until = Instant::now() + self.wait * 5;
        // Without the deadline, a child that is frozen, or stuck at a dead file system, would be waited for forever.
        let mut goes_on = |_: usize| {
            let is_interrupted = interrupts.is_some_and(|fd| is_ready(fd, PollFlags::IN));
            !is_interrupted && Instant::now() < until && !self.joined.as_ref().is_some_and(Joined::is_frozen)
        };
        // The target can have dropped privileges since; the command must not have them then.
        let may_launch = || self.witness.as_ref().is_none_or(Witness::is_unchanged);
        let has_run = |pid: rustix::process::Pid| has_run(self.procfs.as_ref()?, pid);
        let mut watch = Watch { wake: interrupts, goes_on: &mut goes_on, may_launch: &may_launch, has_run: &has_run };
        let cgroup = self.joined.as_ref().and_then(|joined| joined.directory.as_deref());
        match lxkns_sys::spawn(&ops, &launch, cgroup, &mut watch) {
            Ok(child) => Ok(Spawned { pid: child.pid, pidfd: child.pidfd }),
            Err(error) => Err(self.in_words(&steps, error)),
        }
    }

    fn in_words(&self, steps: &[&Step], error: SpawnError) -> Error {
        match error {
            SpawnError::Start(errno) => Error::call("start a process", errno),
            SpawnError::Step { index, detail, errno } => failed_step(steps, index, detail, errno),
            SpawnError::Unfit { index, refusal } => Error::call(what(steps, index), refusal),
            SpawnError::Launch { step: LaunchStep::Exec, errno } => {
                let name = self.command.name.clone();
                match errno {
                    Errno::NOENT => Error::because(ErrorKind::CommandNotFound, name, errno),
                    Errno::ACCESS | Errno::PERM => {
                        Error::because(ErrorKind::CommandNotRun, confined(name, steps), errno)
                    }
                    _ => Error::because(ErrorKind::CommandNotRun, name, errno),
                }
            }
            SpawnError::Launch { step: LaunchStep::Start, errno } => {
                let error = Error::call("start a process", errno);
                match errno {
                    Errno::NOMEM if self.command.enters_pids => error.with_hint(
                        "a PID namespace whose first process has ended takes no new ones (--except pid stays outside)",
                    ),
                    Errno::AGAIN => error.with_hint("RLIMIT_NPROC or the control group's pids.max is reached"),
                    _ => error,
                }
            }
            SpawnError::Launch { errno, .. } => Error::call("start the session of the command", errno),
            SpawnError::GivenUp { index } => {
                let step = steps.get(index).map_or(self.command.name.as_str(), |step| step.what.as_str());
                Error::new(ErrorKind::TimedOut, format!("{step}: no answer in time"))
            }
            SpawnError::Refused => {
                let pid = self.witness.as_ref().map(|witness| format!("{}: ", witness.pid)).unwrap_or_default();
                let message = "the process has ended or has changed its user, groups or capabilities; try again";
                Error::new(ErrorKind::Gone, pid + message)
            }
            SpawnError::Malformed => {
                let message = "a process inside has traced the entering process, which was killed";
                Error::new(ErrorKind::Failed, message)
            }
            SpawnError::Stopped => {
                let message = "a process inside has stopped the entering process, which was killed";
                Error::new(ErrorKind::Failed, message)
            }
            SpawnError::Killed { signal } => {
                let by = signal.map(|signal| format!(" by signal {signal}")).unwrap_or_default();
                let message = format!("the entering process was killed{by} before the command ran");
                Error::new(ErrorKind::Failed, message)
            }
            _ => Error::new(ErrorKind::Failed, "the entering process has ended before the command ran"),
        }
    }
}

impl Plan {
    /// Whether a tracer or a frozen control group keeps the command from running, and so from ending.
    pub(crate) fn is_held(&self, command: rustix::process::Pid) -> bool {
        self.procfs.as_ref().is_some_and(|procfs| is_traced(procfs, command))
            || self.joined.as_ref().is_some_and(Joined::is_frozen)
    }
}

/// Whether a tracer has stopped a process.
pub(crate) fn is_traced(procfs: &OwnedFd, child: rustix::process::Pid) -> bool {
    let stat = process::read(procfs, format!("{}/stat", child.as_raw_nonzero())).unwrap_or_default();
    parse::stat(&stat).is_ok_and(|stat| stat.state == TaskState(b't'))
}

/// Whether a child has run another program since it was forked. A tracer can only change that by making the child run
/// one.
fn has_run(procfs: &OwnedFd, child: rustix::process::Pid) -> Option<bool> {
    /// `PF_FORKNOEXEC` of `linux/sched.h`.
    const FORKED_ONLY: u32 = 0x40;
    let stat = process::read(procfs, format!("{}/stat", child.as_raw_nonzero())).ok()?;
    Some(parse::stat(&stat).ok()?.flags & FORKED_ONLY == 0)
}

/// A step in words.
fn what<'a>(steps: &[&'a Step], index: usize) -> &'a str {
    steps.get(index).map_or("run the command", |step| step.what.as_str())
}

fn failed_step(steps: &[&Step], index: usize, detail: u32, errno: Errno) -> Error {
    let op = steps.get(index).map(|step| &step.op);
    let what = what(steps, index);
    match (op, errno) {
        (Some(Op::Enter(_)), Errno::SRCH) => Error::because(ErrorKind::Gone, entering(detail), errno),
        (Some(Op::Enter(_)), Errno::PERM) if detail & NamespaceType::User.clone_flag() == 0 => {
            let hint =
                "without its user namespace, this needs CAP_SYS_ADMIN in the caller's user namespace and in its owner";
            Error::call(entering(detail), errno).with_hint(hint)
        }
        (Some(Op::Enter(_)), _) if detail != 0 => Error::call(entering(detail), errno),
        (Some(Op::Bounding(_)), Errno::PERM) => {
            Error::call(what, errno).with_hint("it needs CAP_SETPCAP; --privileged keeps the caller's")
        }
        _ => Error::call(what, errno),
    }
}

/// Names what `EPERM` or `EACCES` of running the command can be about: the file, or the security context, which the
/// kernel checks only then.
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

/// Names the namespaces that could not be entered.
fn entering(flags: u32) -> String {
    let types: Vec<&str> = NamespaceType::ALL
        .into_iter()
        .filter(|ns_type| flags & ns_type.clone_flag() != 0)
        .map(NamespaceType::name)
        .collect();
    format!("enter {} namespace{}", types.join(", "), if types.len() == 1 { "" } else { "s" })
}
