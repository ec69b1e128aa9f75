//! mntnssandbox: enters one mount namespace, opens paths there on request, and otherwise waits.
//!
//! Entering a mount namespace needs a process of its own, entering a user namespace a single-threaded one, and opening
//! a path there can wait forever. This process does both for lxkns, which can abandon it.
//!
//! # Contract
//!
//! It takes no arguments and no environment, and is started with three descriptors; it closes all others.
//!
//! | fd | is |
//! |---|---|
//! | 0 | the pipe or stream socket that requests come from |
//! | 1 | the pipe that replies go to |
//! | 2 | a UNIX socket of sequenced packets that descriptors come and go over |
//!
//! Frames, requests and replies are those of `protocol.rs`. The first request is `Enter`. Before it, one packet on the
//! socket has a procfs of the host (any descriptor on its top directory), the mount namespace and, if it must be
//! entered first, the user namespace. The reply is `Ready`, after which the helper keeps none of these, or `Failed`
//! with the step and the error, after which it ends. With `Ready` it sends its mountinfo: a list of the mounts of this
//! namespace that can be read any number of times, even after the helper has ended. Namespaces come over the socket, so that
//! no code has to run between the fork and the exec that start the helper.
//!
//! After that, the reply to each `Open` is `Refused`, or `Opened` with an `O_PATH` descriptor on the socket. The helper
//! looks up a path from the root of the namespace. It follows no symbolic links, triggers no automount, creates
//! nothing, opens files with `O_PATH` only, and sends a descriptor only if it is the wanted file. A path in the
//! kernel's cache is opened directly. Otherwise, if the request allows that, the helper looks up name by name, and
//! announces each name with `Walking`; the parent kills it if the next reply takes too long.
//!
//! It exits with code 0 when it is told to or its requests end. `SIGKILL` ends it when its parent ends, or the parent's
//! thread that started it. Other codes:
//!
//! | code | means |
//! |---|---|
//! | 1 | not entered: `Failed` says why |
//! | 2 | the requests ended within a frame, or cannot be read |
//! | 3 | a frame is too long, and was not read |
//! | 4 | a frame is of another version |
//! | 5 | a frame is malformed, an unknown request, or one that had no place there |
//! | 6 | nobody takes the replies |
//! | 7 | a defect of its own |
//!
//! Before codes 2 to 5, it also writes `Failed` if possible.
//!
//! # What it can do
//!
//! As little as possible. Only a process that may trace any other can trace or inspect it (it is undumpable before it
//! enters). It gains no privileges (`no_new_privs`), and keeps at most one capability, `CAP_DAC_READ_SEARCH`, with
//! which `O_PATH` reaches files below directories without search permission.
//!
//! # What it is called
//!
//! `mntnssandbox`; while it looks up a path name by name, `mntns MAJOR:MINOR`, with the device number of the file
//! system in hexadecimal digits. Later runs find a stuck helper by this name.

#![no_std]
#![no_main]

mod memory;
mod open;
#[path = "../src/protocol.rs"]
#[expect(dead_code, reason = "the other half is the parent's")]
mod protocol;
mod sys;

use protocol::{FrameError, MAX_REPLY, MAX_REQUEST, PREFIX, Reply, Request, Step};
use sys::{Errno, Fd};

const REQUESTS: Fd = 0;
const REPLIES: Fd = 1;
const SOCKET: Fd = 2;

/// Its process name, except while it looks up a path name by name.
const NAME: &[u8; 16] = b"mntnssandbox\0\0\0\0";

/// `CAP_DAC_READ_SEARCH`.
const KEPT_CAPABILITY: u32 = 2;

/// Its exit codes.
#[derive(Clone, Copy)]
#[repr(u8)]
enum End {
    Done = 0,
    NotEntered = 1,
    Truncated = 2,
    TooLong = 3,
    Version = 4,
    Malformed = 5,
    Unheard = 6,
    Defect = 7,
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    sys::exit(End::Defect as u8)
}

extern "C" fn main() -> ! {
    sys::block_signals();
    sys::close_from(SOCKET + 1);
    sys::set_name(NAME);
    // One byte more than a request, for the NUL after a path.
    let mut room = [0; MAX_REQUEST + 1];
    let mut is_inside = false;
    loop {
        if let Err(end) = serve(&mut room, &mut is_inside) {
            sys::exit(end as u8)
        }
    }
}

/// Serves one request.
fn serve(room: &mut [u8; MAX_REQUEST + 1], is_inside: &mut bool) -> Result<(), End> {
    let length = receive(room)?;
    let request = match Request::decode(room.get(..length).unwrap_or(&[])) {
        Ok(request) => request,
        Err(FrameError::Version(_)) => return Err(failed(Step::Version, sys::EPROTO, End::Version)),
        Err(_) => return Err(failed(Step::Request, sys::EPROTO, End::Malformed)),
    };
    match request {
        Request::Enter { parent, user } if !*is_inside => match enter(parent, user) {
            Ok(mountinfo) => {
                *is_inside = true;
                reply(Reply::Ready { mountinfo })
            }
            Err((step, errno)) => Err(failed(step, errno, End::NotEntered)),
        },
        Request::Open { want, walk, path } if *is_inside => {
            let path_length = path.len();
            // The path is the last field of the frame, with room for a NUL after it.
            let terminated = room.get_mut(length - path_length..=length).ok_or(End::Defect)?;
            terminated[path_length] = 0;
            match open::open(want, walk, terminated) {
                Ok(fd) => {
                    let sent = sys::send(SOCKET, fd);
                    sys::close(fd);
                    match sent {
                        Ok(()) => reply(Reply::Opened),
                        Err(errno) => reply(Reply::Refused { step: Step::Send, errno }),
                    }
                }
                Err(open::Stopped::Refused(step, errno)) => reply(Reply::Refused { step, errno }),
                Err(open::Stopped::Unheard) => Err(End::Unheard),
            }
        }
        Request::Exit => Err(End::Done),
        Request::Enter { .. } | Request::Open { .. } => Err(failed(Step::Request, sys::EPROTO, End::Malformed)),
    }
}

/// Enters, and drops what it does not need inside. Returns the error of opening its mountinfo, zero if there is none.
fn enter(parent: u32, user: bool) -> Result<Errno, (Step, Errno)> {
    let at = |step: Step| move |errno: Errno| (step, errno);
    let mut fds = [-1; sys::MAX_FDS];
    let count = sys::receive(SOCKET, &mut fds).map_err(at(Step::Receive))?;
    if count != 2 + usize::from(user) {
        return Err((Step::Receive, sys::EINVAL));
    }
    let [procfs, mount_namespace, user_namespace, _] = fds;

    sys::set_undumpable().map_err(at(Step::Undumpable))?;
    sys::set_no_new_privileges().map_err(at(Step::NoNewPrivileges))?;
    if user {
        sys::enter_user_namespace(user_namespace).map_err(at(Step::EnterUser))?;
        // A change of credentials sets the dumpable flag to fs.suid_dumpable.
        sys::set_undumpable().map_err(at(Step::Undumpable))?;
    }
    sys::enter_mount_namespace(mount_namespace).map_err(at(Step::EnterMount))?;
    let mountinfo = sys::open_readable(procfs, b"self/mountinfo\0");
    for fd in fds.into_iter().take(count) {
        sys::close(fd);
    }
    sys::keep_one_capability(KEPT_CAPABILITY).map_err(at(Step::Capabilities))?;
    // This comes last, since a change of credentials clears it. The parent can have ended before.
    sys::set_death_signal().map_err(at(Step::DeathSignal))?;
    let is_orphan = ![0, parent].contains(&sys::parent()) || sys::is_hung_up(REQUESTS);
    if is_orphan {
        return Err((Step::Parent, sys::ESRCH));
    }
    let sent = mountinfo.and_then(|fd| {
        let sent = sys::send(SOCKET, fd);
        sys::close(fd);
        sent
    });
    Ok(sent.err().unwrap_or(0))
}

/// Receives a frame and returns its length.
fn receive(room: &mut [u8; MAX_REQUEST + 1]) -> Result<usize, End> {
    let mut prefix = [0; PREFIX];
    match fill(&mut prefix) {
        Ok(true) => {}
        Ok(false) => return Err(End::Done),
        Err(errno) => return Err(failed(Step::Read, errno, End::Truncated)),
    }
    let length = match protocol::frame_length(prefix, MAX_REQUEST) {
        Ok(length) => length,
        Err(FrameError::TooLong) => return Err(failed(Step::Read, sys::EMSGSIZE, End::TooLong)),
        Err(_) => return Err(failed(Step::Request, sys::EPROTO, End::Malformed)),
    };
    match fill(room.get_mut(..length).ok_or(End::Defect)?) {
        Ok(true) => Ok(length),
        Ok(false) => Err(failed(Step::Read, sys::EPROTO, End::Truncated)),
        Err(errno) => Err(failed(Step::Read, errno, End::Truncated)),
    }
}

/// Fills the buffer. `Ok(false)`: the input has ended.
fn fill(mut into: &mut [u8]) -> Result<bool, Errno> {
    let mut is_empty = true;
    while !into.is_empty() {
        match sys::read(REQUESTS, into) {
            Ok(0) if is_empty => return Ok(false),
            Ok(0) => return Err(sys::EPROTO),
            Ok(count) => {
                is_empty = false;
                into = into.get_mut(count..).unwrap_or(&mut []);
            }
            Err(sys::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(true)
}

fn reply(reply: Reply) -> Result<(), End> {
    let mut frame = [0; PREFIX + MAX_REPLY];
    let length = reply.encode(&mut frame).map_err(|_| End::Defect)?;
    let mut rest = frame.get(..length).unwrap_or(&[]);
    while !rest.is_empty() {
        match sys::write(REPLIES, rest) {
            Ok(count) => rest = rest.get(count..).unwrap_or(&[]),
            Err(sys::EINTR) => {}
            Err(_) => return Err(End::Unheard),
        }
    }
    Ok(())
}

/// Sends a reply if possible, and returns the exit code.
fn failed(step: Step, errno: Errno, end: End) -> End {
    let _ = reply(Reply::Failed { step, errno });
    end
}
