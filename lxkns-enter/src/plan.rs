//! A plan that is ready, and carrying it out.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lxkns_core::model::{NamespaceType, TaskState};
use lxkns_core::parse;
use lxkns_sys::{Exec, Launch, LaunchSession, LaunchStep, Op, SharedFd, SpawnError, Watch};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

use crate::cgroup::Joined;
use crate::descriptors::Descriptors;
use crate::error::{Error, ErrorKind};
use crate::process::{self, Witness};
use crate::steps::{Row, Stage, Step};
use crate::streams;
use crate::terminal::Stranger;

/// A command that has been started. The caller is to wait for it.
#[derive(Debug)]
pub struct Spawned {
    /// Its process ID, as the caller's PID namespace has it.
    pub pid: u32,
    /// A pidfd of it, where the kernel has them (5.3).
    pub pidfd: Option<OwnedFd>,
}

/// What the command is.
#[derive(Debug)]
pub(crate) struct Command {
    /// As errors call it.
    pub(crate) name: String,
    pub(crate) exec: Exec,
    /// The mask of blocked signals that it starts with.
    pub(crate) blocked: u64,
    /// Whether it is in a PID namespace that is entered.
    pub(crate) enters_pids: bool,
}

/// Everything is open and verified, nothing is entered yet.
#[derive(Debug)]
pub struct Plan {
    pub(crate) steps: Vec<Step>,
    pub(crate) rows: Vec<Row>,
    pub(crate) notes: Vec<String>,
    pub(crate) command: Command,
    pub(crate) descriptors: Descriptors,
    pub(crate) joined: Option<Joined>,
    /// Whether the command may less than its caller, so that it must not have the caller's terminal.
    pub(crate) stranger: Option<Stranger>,
    /// The process whose powers the command takes on.
    pub(crate) witness: Option<Witness>,
    /// The caller's own procfs.
    pub(crate) procfs: Option<OwnedFd>,
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

    /// What the child will do before it becomes the command, in this order: when, and in words such as "change the root
    /// directory".
    pub fn steps(&self) -> impl Iterator<Item = (Stage, &str)> {
        self.steps.iter().map(|step| (step.stage, step.what.as_str()))
    }

    /// Carries it out in a child, with these as standard input, output and error, and comes back once the child has become
    /// the command.
    ///
    /// What these are open on is the command's: whoever may trace that can open a file once more, in another mode. A command
    /// that is weaker than its caller gets no directory; [`Plan::run`] has pipes in place of files too.
    ///
    /// All of it has five times as long as [`Enter::wait`](crate::Enter::wait) says; then the child is given up.
    ///
    /// The child is a child of the calling thread, and ends with that or with the calling process until it has become the
    /// command. The caller waits for it; nobody else may, and `SIGCHLD` must not be ignored.
    ///
    /// # Errors
    ///
    /// Whatever fails is said here. Then no process is left but what cannot be ended, which ends as soon as it can.
    ///
    /// # Privileges
    ///
    /// As [`Enter::prepare`](crate::Enter::prepare) has them.
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

    /// The same, with descriptors under these numbers and this session; and it is given up when there is something to be read
    /// from `interrupts`.
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
        // Frozen meanwhile, or at a file system that does not answer, it would be waited for for ever.
        let mut goes_on = |_: usize| {
            let is_interrupted = interrupts.is_some_and(is_readable);
            !is_interrupted && Instant::now() < until && !self.joined.as_ref().is_some_and(Joined::is_frozen)
        };
        // It may have given something up since: then the command must not have it.
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
            SpawnError::Launch { step: LaunchStep::Exec, errno } => {
                let name = self.command.name.clone();
                match errno {
                    Errno::NOENT => Error::with_errno(ErrorKind::CommandNotFound, name, errno),
                    Errno::ACCESS | Errno::PERM => {
                        Error::with_errno(ErrorKind::CommandNotRun, confined(name, steps), errno)
                    }
                    _ => Error::with_errno(ErrorKind::CommandNotRun, name, errno),
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
            SpawnError::Launch { errno, .. } => Error::call("begin the session of the command", errno),
            SpawnError::GivenUp { index } => {
                let step = steps.get(index).map_or(self.command.name.as_str(), |step| step.what.as_str());
                Error::new(ErrorKind::TimedOut, format!("{step}: no answer in time"))
            }
            SpawnError::Refused => {
                let pid = self.witness.as_ref().map(|witness| format!("{}: ", witness.pid)).unwrap_or_default();
                let message = "the process has ended, or changed its user, groups or capabilities meanwhile; try again";
                Error::new(ErrorKind::Gone, pid + message)
            }
            SpawnError::Stopped => {
                let message = "the entering process was stopped by a process that is inside, and was ended";
                Error::new(ErrorKind::Failed, message)
            }
            SpawnError::Killed { signal } => {
                let by = signal.map(|signal| format!(" by signal {signal}")).unwrap_or_default();
                let message = format!("the entering process was killed{by} before it had become the command");
                Error::new(ErrorKind::Failed, message)
            }
            _ => Error::new(ErrorKind::Failed, "the entering process has ended before it had become the command"),
        }
    }
}

impl Plan {
    /// Whether somebody keeps the command from doing anything, and so from ending: a tracer, or a frozen control group.
    pub(crate) fn is_held(&self, command: rustix::process::Pid) -> bool {
        self.procfs.as_ref().is_some_and(|procfs| is_traced(procfs, command))
            || self.joined.as_ref().is_some_and(Joined::is_frozen)
    }
}

/// Whether there is something to be read.
fn is_readable(fd: BorrowedFd<'_>) -> bool {
    const NO_TIME: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(rustix::event::poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&NO_TIME)), Ok(1..))
}

/// Whether a process cannot do anything at the moment because somebody traces it.
pub(crate) fn is_traced(procfs: &OwnedFd, child: rustix::process::Pid) -> bool {
    let stat = process::read(procfs, format!("{}/stat", child.as_raw_nonzero())).unwrap_or_default();
    parse::stat(&stat).is_ok_and(|stat| stat.state == TaskState(b't'))
}

/// Whether a child has run another program since it was forked: the kernel says so, and nobody who traces it can change that
/// but by having it run one.
fn has_run(procfs: &OwnedFd, child: rustix::process::Pid) -> Option<bool> {
    /// `PF_FORKNOEXEC` of `linux/sched.h`.
    const FORKED_ONLY: u32 = 0x40;
    let stat = process::read(procfs, format!("{}/stat", child.as_raw_nonzero())).ok()?;
    Some(parse::stat(&stat).ok()?.flags & FORKED_ONLY == 0)
}

fn failed_step(steps: &[&Step], index: usize, detail: u32, errno: Errno) -> Error {
    let op = steps.get(index).map(|step| &step.op);
    let what = steps.get(index).map_or("become the command", |step| step.what.as_str());
    match (op, errno) {
        (Some(Op::Enter(_)), Errno::SRCH) => Error::with_errno(ErrorKind::Gone, entering(detail), errno),
        (Some(Op::Enter(_)), Errno::PERM) if detail & NamespaceType::User.clone_flag() == 0 => {
            let hint = "without its user namespace it takes CAP_SYS_ADMIN in the caller's, and in the one that owns it";
            Error::call(entering(detail), errno).with_hint(hint)
        }
        (Some(Op::Enter(_)), _) if detail != 0 => Error::call(entering(detail), errno),
        (Some(Op::Bounding(_)), Errno::PERM) => {
            Error::call(what, errno).with_hint("it takes CAP_SETPCAP; --privileged keeps the caller's")
        }
        _ => Error::call(what, errno),
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
