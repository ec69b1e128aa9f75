//! The parent's side of one running helper.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::pipe::PipeFlags;

use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, OPEN};
use crate::pool::{Pool, Slot};
use crate::protocol::{self, FrameError, MAX_PATH, MAX_REPLY, MAX_REQUEST, PREFIX, Reply, Request, Want};
use crate::spawner::Id;

/// A helper inside a mount namespace. Dropping this ends it.
#[derive(Debug)]
pub(crate) struct Helper {
    id: Id,
    requests: OwnedFd,
    replies: OwnedFd,
    socket: OwnedFd,
    pool: Arc<Pool>,
    /// Whether it has been abandoned, as it did not answer.
    is_abandoned: bool,
    _slot: Slot,
}

/// Why a path was not opened.
pub(crate) enum Failure {
    /// The helper reported an error and continues.
    Refused(Error),
    /// The helper is not usable any more.
    Broken(Error),
    /// The helper did not answer in time. It was looking up the name that ends at this offset of the path, if known.
    Silent(Option<usize>),
}

/// Why no descriptor came from a helper.
#[derive(Clone, Copy, Debug)]
pub(crate) enum NotReceived {
    /// The kernel's error, of the helper or of receiving.
    Kernel(Errno),
    /// The message has no descriptor. The kernel gives no error where the caller may have no more of them.
    Nothing,
}

impl NotReceived {
    pub(crate) fn error(self, operation: &str) -> Error {
        match self {
            Self::Kernel(errno) => Error::call(operation.to_owned(), errno),
            Self::Nothing => {
                let why = "no descriptor came, perhaps as the limit of open files (RLIMIT_NOFILE) is reached";
                Error::new(ErrorKind::Helper, format!("{operation}: {why}"))
            }
        }
    }
}

impl Helper {
    /// Starts a helper that enters the namespaces, the user namespace first if there is one. Returns it with its
    /// mountinfo, or why it has none.
    pub(crate) fn start(
        pool: &Arc<Pool>,
        mount_namespace: BorrowedFd<'_>,
        user_namespace: Option<BorrowedFd<'_>>,
        deadline: Deadline,
    ) -> Result<(Self, Result<OwnedFd, NotReceived>), Error> {
        let slot = Pool::slot(pool, deadline)?;
        let cannot = |call: &'static str| move |errno: Errno| Error::call(call, errno);
        // A socket rather than a pipe: writing to it without a reader can be done without SIGPIPE.
        let flags = SocketFlags::CLOEXEC;
        let pair = |kind| rustix::net::socketpair(AddressFamily::UNIX, kind, flags, None);
        let (requests, their_requests) = pair(SocketType::STREAM).map_err(cannot("socketpair"))?;
        let (socket, their_socket) = pair(SocketType::SEQPACKET).map_err(cannot("socketpair"))?;
        let (replies, their_replies) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(cannot("pipe2"))?;
        let namespaces = [Some(mount_namespace), user_namespace].into_iter().flatten();
        let fds: Vec<_> = [pool.procfs()].into_iter().chain(namespaces).collect();
        lxkns_sys::send_fds(&socket, &[0], &fds, SendFlags::DONTWAIT).map_err(cannot("sendmsg"))?;

        let path = pool.program().to_owned();
        let started = pool.spawner().start(path, [their_requests, their_replies, their_socket], deadline.left());
        let id = started.map_err(|error| {
            if error.kind() == std::io::ErrorKind::TimedOut {
                return Error::timed_out("start the helper", None);
            }
            Error::io(ErrorKind::NoHelper, format!("start the helper {}", pool.program().display()), &error)
        })?;
        let mut helper =
            Self { id, requests, replies, socket, pool: Arc::clone(pool), is_abandoned: false, _slot: slot };
        let request = Request::Enter { parent: std::process::id(), user: user_namespace.is_some() };
        match helper.ask(request, deadline) {
            Ok(Reply::Ready { mountinfo: 0 }) => {
                let mountinfo = helper.receive_fd();
                Ok((helper, mountinfo))
            }
            Ok(Reply::Ready { mountinfo }) => {
                Ok((helper, Err(NotReceived::Kernel(Errno::from_raw_os_error(mountinfo.into())))))
            }
            Ok(Reply::Failed { step, errno }) => Err(Error::step(step, errno)),
            Ok(_) => Err(senseless()),
            Err(Failure::Refused(error) | Failure::Broken(error)) => Err(error),
            Err(Failure::Silent(_)) => {
                helper.is_abandoned = true;
                Err(Error::timed_out("enter mount namespace", Some(id.pid)))
            }
        }
    }

    /// Lets it open a path with `O_PATH`, if that leads to the wanted file.
    pub(crate) fn open(&mut self, want: Want, walk: bool, path: &[u8], deadline: Deadline) -> Result<OwnedFd, Failure> {
        match self.ask(Request::Open { want, walk, path }, deadline)? {
            Reply::Opened => self.receive_fd().map_err(|why| Failure::Broken(why.error("receive from the helper"))),
            Reply::Refused { step, errno } => Err(Failure::Refused(Error::step(step, errno))),
            Reply::Failed { step, errno } => Err(Failure::Broken(Error::step(step, errno))),
            Reply::Ready { .. } | Reply::Walking { .. } => Err(Failure::Broken(senseless())),
        }
    }

    /// Its PID.
    pub(crate) fn pid(&self) -> u32 {
        self.id.pid
    }

    /// Abandons it: kills it and does not wait for it.
    pub(crate) fn abandon(mut self) -> u32 {
        self.is_abandoned = true;
        self.id.pid
    }

    fn ask(&mut self, request: Request<'_>, deadline: Deadline) -> Result<Reply, Failure> {
        let mut frame = vec![0; PREFIX + MAX_REQUEST];
        let length = request.encode(&mut frame).map_err(|_| {
            Failure::Refused(Error::new(ErrorKind::Other, format!("{OPEN}: the path is longer than {MAX_PATH} bytes")))
        })?;
        let broken = |errno| Failure::Broken(Error::with_errno(ErrorKind::Helper, "write to the helper", errno));
        match lxkns_sys::send_until(&self.requests, &frame[..length], deadline.end()) {
            Ok(true) => {}
            Ok(false) => return Err(Failure::Silent(None)),
            // It has ended, perhaps after a reply that says why.
            Err(Errno::PIPE | Errno::CONNRESET) => {}
            Err(errno) => return Err(broken(errno)),
        }
        let mut walking = None;
        loop {
            match self.reply(deadline) {
                Ok(Reply::Walking { offset }) => walking = Some(offset as usize),
                Ok(reply) => return Ok(reply),
                Err(Failure::Silent(_)) => return Err(Failure::Silent(walking)),
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Reads one frame.
    fn reply(&mut self, deadline: Deadline) -> Result<Reply, Failure> {
        let broken = |error: FrameError| {
            let kind = match error {
                FrameError::Version(_) => ErrorKind::Version,
                FrameError::TooLong | FrameError::Malformed => ErrorKind::Helper,
            };
            Failure::Broken(Error::new(kind, format!("read from the helper: {error}")))
        };
        let mut prefix = [0; PREFIX];
        self.fill(&mut prefix, deadline)?;
        let length = protocol::frame_length(prefix, MAX_REPLY).map_err(broken)?;
        let mut body = [0; MAX_REPLY];
        self.fill(&mut body[..length], deadline)?;
        Reply::decode(&body[..length]).map_err(broken)
    }

    fn fill(&mut self, mut into: &mut [u8], deadline: Deadline) -> Result<(), Failure> {
        let broken = |errno| Failure::Broken(Error::with_errno(ErrorKind::Helper, "read from the helper", errno));
        while !into.is_empty() {
            match lxkns_sys::read_until(&self.replies, &mut *into, Some(deadline.end())).map_err(broken)? {
                None => return Err(Failure::Silent(None)),
                Some(0) => {
                    let message = "read from the helper: it has ended without a reply";
                    return Err(Failure::Broken(Error::new(ErrorKind::Helper, message)));
                }
                Some(count) => into = &mut into[count..],
            }
        }
        Ok(())
    }

    /// Receives the descriptor that was sent before the reply.
    fn receive_fd(&mut self) -> Result<OwnedFd, NotReceived> {
        let received = lxkns_sys::receive_fds(&self.socket, &mut [0], 1, RecvFlags::DONTWAIT);
        received.map_err(NotReceived::Kernel)?.fds.pop().ok_or(NotReceived::Nothing)
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.pool.spawner().kill(self.id, self.is_abandoned);
    }
}

fn senseless() -> Error {
    Error::new(ErrorKind::Helper, "read from the helper: an answer to another question")
}
