//! The process inside, as its parent sees it.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use lxkns_core::ProcRoot;
use rustix::event::{PollFd, PollFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use lxkns_model::Cause;
use lxkns_model::inside::{Failure, HostName, Limit, Link, Network, Parts};

use crate::protocol::{self, Answer, HEAD, What};

/// The program that serves as the process inside: it must call [`serve`](crate::serve) and do nothing else.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    argument: OsString,
}

impl Program {
    /// A program that calls [`serve`](crate::serve) when this is its first argument.
    pub fn new(path: impl Into<PathBuf>, argument: impl Into<OsString>) -> Self {
        Self { path: path.into(), argument: argument.into() }
    }

    /// The running program once more, which must call [`serve`](crate::serve) when this is its first argument.
    ///
    /// # Errors
    ///
    /// No procfs is mounted at `/proc`.
    pub fn again(argument: impl Into<OsString>) -> Result<Self, lxkns_core::Error> {
        Ok(Self::new(ProcRoot::host()?.path().join("self/exe"), argument))
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    failure: Option<Failure>,
    source: Option<io::Error>,
}

/// The kinds of [`Error`]s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Something failed inside: [`Error::failure`] says what.
    Failed,
    /// The process inside said nothing in time, and was given up.
    TimedOut,
    /// The process inside could not be started or understood.
    Lost,
}

impl Error {
    const TIMED_OUT: Self = Self { kind: ErrorKind::TimedOut, failure: None, source: None };

    /// What kind of error it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What failed inside.
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// Whether a capability was missing.
    pub fn is_denied(&self) -> bool {
        self.failure.as_ref().is_some_and(|failure| failure.cause == Cause::Denied)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind, &self.failure) {
            (_, Some(failure)) => f.pad(&failure.call),
            (ErrorKind::TimedOut, None) => f.pad("no answer in time"),
            _ => f.pad("the process inside could not be started or understood"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let failure = self.failure.as_ref().map(|failure| failure.reason());
        failure.or_else(|| self.source.as_ref().map(|error| error as _))
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self { kind: ErrorKind::Failed, failure: Some(failure), source: None }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut => Self::TIMED_OUT,
            _ => Self { kind: ErrorKind::Lost, failure: None, source: Some(error) },
        }
    }
}

/// That a question had no answer.
pub(crate) fn failure_of(call: &str, error: &Error) -> Failure {
    let cause = if error.kind == ErrorKind::TimedOut { Cause::TimedOut } else { Cause::Other };
    error.failure.clone().unwrap_or_else(|| Failure { call: call.to_owned(), cause, errno: None })
}

/// A process inside a namespace. It is killed with this, and not waited for.
#[derive(Debug)]
pub struct Inside {
    /// `None` when it is being dropped.
    child: Option<Child>,
    questions: OwnedFd,
    answers: OwnedFd,
    timeout: Duration,
    /// It has been given up: what it still says may be the answer to an earlier question.
    is_lost: bool,
}

impl Inside {
    /// Has a process enter a namespace, or where none is given stay where the caller is; through the user namespace
    /// `user` where it has no right to otherwise. No answer is waited for longer than `timeout`.
    ///
    /// # Errors
    ///
    /// The process could not be started, may not enter, or did not answer in time.
    ///
    /// # Privileges
    ///
    /// `CAP_SYS_ADMIN` in the user namespace that owns the namespace, and in the caller's own; or to be the owner of `user`.
    pub fn enter(
        program: &Program,
        namespace: Option<BorrowedFd<'_>>,
        user: Option<BorrowedFd<'_>>,
        timeout: Duration,
    ) -> Result<Self, Error> {
        let mut command = Command::new(&program.path);
        command.arg0("lxkns").arg(&program.argument);
        let mut inside = Self::start(command, timeout)?;
        let fds: Vec<_> = namespace.into_iter().chain(user).collect();
        match inside.ask(What::Enter { parent: std::process::id() }, &fds)? {
            Answer::Entered => Ok(inside),
            _ => Err(mistaken()),
        }
    }

    fn start(mut program: Command, timeout: Duration) -> io::Result<Self> {
        reap();
        let (questions, theirs) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let (answers, out) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        // What it says leads nowhere: there can be no /dev/null here.
        let (_, nowhere) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        program.env_clear().stdin(Stdio::from(theirs)).stdout(Stdio::from(out)).stderr(Stdio::from(nowhere));
        Ok(Self { child: Some(program.spawn()?), questions, answers, timeout, is_lost: false })
    }

    /// What is in the network namespace.
    ///
    /// # Errors
    ///
    /// What failed inside, or that there was no answer in time.
    pub fn network(&mut self) -> Result<Network, Error> {
        match self.ask(What::Network, &[])? {
            Answer::Network(network) => Ok(network),
            _ => Err(mistaken()),
        }
    }

    /// Has the process go on to this network namespace, or where none is given stay where it is; and what is in there, as
    /// far as it is asked for. What is asked next is asked there.
    ///
    /// # Errors
    ///
    /// It may not enter ([`Error::is_denied`]), which leaves it where it is; or there was no answer in time.
    ///
    /// # Privileges
    ///
    /// `CAP_SYS_ADMIN` in the user namespace that owns it, and in the one that the process is in.
    pub fn visit(&mut self, namespace: Option<BorrowedFd<'_>>, parts: Parts) -> Result<Network, Error> {
        let fds: Vec<_> = namespace.into_iter().collect();
        match self.ask(What::Visit(parts), &fds)? {
            Answer::Network(network) => Ok(network),
            _ => Err(mistaken()),
        }
    }

    /// The IDs that the network namespace has given to others, of which there are at most [`MOST_FDS`](crate::MOST_FDS).
    ///
    /// # Errors
    ///
    /// What failed inside, or that there was no answer in time.
    pub fn namespace_ids(&mut self, others: &[OwnedFd]) -> Result<Vec<Option<i32>>, Error> {
        let others: Vec<_> = others.iter().map(|fd| fd.as_fd()).collect();
        match self.ask(What::NamespaceIds, &others)? {
            Answer::NamespaceIds(ids) => Ok(ids),
            _ => Err(mistaken()),
        }
    }

    /// The names of links in other network namespaces, by the ID that these have here and their index there. Takes
    /// `CAP_NET_ADMIN` there.
    ///
    /// # Errors
    ///
    /// What failed inside, or that there was no answer in time.
    pub fn names_of_links(&mut self, links: &[(i32, u32)]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        /// As many as fit into a question.
        const STEP: usize = 2000;
        let mut names = Vec::with_capacity(links.len());
        for links in links.chunks(STEP) {
            match self.ask(What::NamesOfLinks(links.to_vec()), &[])? {
                Answer::NamesOfLinks(some) if some.len() == links.len() => names.extend(some),
                _ => return Err(mistaken()),
            }
        }
        Ok(names)
    }

    /// Has it go to a network namespace of its own, which goes with it. Whatever IDs are given to others there are seen by
    /// nobody else.
    ///
    /// # Errors
    ///
    /// What failed inside, or that there was no answer in time.
    ///
    /// # Privileges
    ///
    /// `CAP_SYS_ADMIN` in the user namespace that it is in.
    pub(crate) fn new_network(&mut self) -> Result<(), Error> {
        match self.ask(What::NewNetwork, &[])? {
            Answer::Entered => Ok(()),
            _ => Err(mistaken()),
        }
    }

    /// Gives other network namespaces IDs, from `first` on; those that they have then.
    pub(crate) fn identify(&mut self, first: i32, others: &[OwnedFd]) -> Result<Vec<Option<i32>>, Error> {
        let others: Vec<_> = others.iter().map(|fd| fd.as_fd()).collect();
        match self.ask(What::Identify(first), &others)? {
            Answer::NamespaceIds(ids) if ids.len() == others.len() => Ok(ids),
            _ => Err(mistaken()),
        }
    }

    /// The links of the network namespaces with these IDs; where none are given, of the one that it is in.
    pub(crate) fn links(&mut self, nsids: Option<&[i32]>) -> Result<Vec<Result<Vec<Link>, Failure>>, Error> {
        match self.ask(nsids.map_or(What::Links, |nsids| What::LinksOf(nsids.to_vec())), &[])? {
            Answer::Links(links) if links.len() == nsids.map_or(1, <[i32]>::len) => Ok(links),
            _ => Err(mistaken()),
        }
    }

    /// Host and domain name in the UTS namespace.
    ///
    /// # Errors
    ///
    /// What failed inside, or that there was no answer in time.
    pub fn host_name(&mut self) -> Result<HostName, Error> {
        match self.ask(What::HostName, &[])? {
            Answer::HostName(names) => Ok(names),
            _ => Err(mistaken()),
        }
    }

    /// The limits of the user namespace.
    ///
    /// # Errors
    ///
    /// What failed inside, or that there was no answer in time.
    pub fn limits(&mut self) -> Result<Vec<Limit>, Error> {
        match self.ask(What::Limits, &[])? {
            Answer::Limits(limits) => Ok(limits),
            _ => Err(mistaken()),
        }
    }

    /// Ends it; whether it has ended and is reaped. One that the kernel keeps waiting takes longer: nobody waits for it.
    pub(crate) fn end(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| {
            let _ = child.kill();
            !matches!(child.try_wait(), Ok(None))
        })
    }

    /// Whether it has been given up.
    pub(crate) fn is_lost(&self) -> bool {
        self.is_lost
    }

    fn ask(&mut self, what: What, fds: &[BorrowedFd<'_>]) -> Result<Answer, Error> {
        if self.is_lost {
            return Err(Error::TIMED_OUT);
        }
        let answer = self.exchange(what, fds);
        self.is_lost = answer.is_err();
        match answer? {
            Answer::Failed(failure) => Err(failure.into()),
            answer => Ok(answer),
        }
    }

    fn exchange(&self, what: What, fds: &[BorrowedFd<'_>]) -> io::Result<Answer> {
        let deadline = Instant::now() + self.timeout;
        // One question at a time, so that there is always room for it.
        protocol::ask(&self.questions, what, fds)?;
        let head = self.read(HEAD, deadline)?;
        let length = protocol::length(*head.first_chunk().ok_or(io::ErrorKind::UnexpectedEof)?)?;
        postcard::from_bytes(&self.read(length, deadline)?).map_err(io::Error::other)
    }

    /// Reads just so many bytes.
    fn read(&self, length: usize, deadline: Instant) -> io::Result<Vec<u8>> {
        const STEP: usize = 64 * 1024;
        let mut bytes = Vec::new();
        while bytes.len() < length {
            let start = bytes.len();
            bytes.resize(length.min(start + STEP), 0);
            let count = lxkns_sys::read_until(&self.answers, &mut bytes[start..], Some(deadline))?;
            let count = count.ok_or(io::ErrorKind::TimedOut)?;
            bytes.truncate(start + count);
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(bytes)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        if self.end() {
            return;
        }
        let Some(child) = self.child.take() else { return };
        let pid = Pid::from_raw(child.id().cast_signed());
        if let Some(pidfd) = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) {
            let _ = lxkns_sys::poll_until(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(Instant::now() + MOMENT));
        }
        LEFT.lock().unwrap_or_else(PoisonError::into_inner).push(child);
        reap();
    }
}

/// In which the kernel ends a process that was killed, unless something keeps it waiting.
const MOMENT: Duration = Duration::from_millis(20);

/// Those that had not ended when nobody needed them any more.
static LEFT: Mutex<Vec<Child>> = Mutex::new(Vec::new());

/// Reaps those that have ended since: a service would have ever more of them.
fn reap() {
    let mut left = LEFT.lock().unwrap_or_else(PoisonError::into_inner);
    left.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
}

/// It answered something else than what it was asked.
fn mistaken() -> Error {
    io::Error::from(io::ErrorKind::InvalidData).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Another program, which does not know what it is asked.
    fn start(program: &str, arguments: &[&str], timeout: Duration) -> Inside {
        let mut command = Command::new(program);
        command.args(arguments);
        Inside::start(command, timeout).unwrap()
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn one_that_says_nothing_is_given_up() {
        let mut inside = start("sleep", &["1000"], Duration::from_millis(10));
        assert_eq!(inside.network().unwrap_err().kind(), ErrorKind::TimedOut);
        let pid = inside.child.as_ref().unwrap().id();
        drop(inside);
        // Killed: nothing of it is left but what is to be reaped.
        let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
        let ended = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty());
        assert!(
            matches!(ended, Ok(Some((_, status))) if status.signaled())
                || matches!(ended, Err(rustix::io::Errno::CHILD))
        );
    }

    #[test]
    fn none_is_left_to_be_reaped() {
        let all: Vec<_> = (0..20).map(|_| start("sleep", &["1000"], LONG)).collect();
        let pids: Vec<_> = all.iter().map(|inside| inside.child.as_ref().unwrap().id()).collect();
        let are_there = || pids.iter().filter(|pid| std::path::Path::new(&format!("/proc/{pid}")).exists()).count();
        assert_eq!(are_there(), 20);
        drop(all);
        let deadline = Instant::now() + LONG;
        // The next that is started does this, once the kernel has ended them.
        while are_there() > 0 && Instant::now() < deadline {
            reap();
            std::thread::yield_now();
        }
        assert_eq!(are_there(), 0);
    }

    #[test]
    fn one_that_ends_or_talks_nonsense_is_an_error() {
        assert_eq!(start("true", &[], LONG).network().unwrap_err().kind(), ErrorKind::Lost);
        // No version of ours, and no length: it is not read to its end, which it does not have.
        assert_eq!(start("yes", &[], LONG).network().unwrap_err().kind(), ErrorKind::Lost);
    }
}
