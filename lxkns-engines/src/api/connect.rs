//! From a listening socket of a process to a connection of which it is known who answers.

use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bstr::ByteSlice as _;
use lxkns_core::has_no_server;
use lxkns_model::{Call, Cause, Operation, Pid};
use rustix::event::{Timespec, poll};
use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, StatxFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use rustix::process::{PidfdFlags, PidfdGetfdFlags};

use super::grpc::{self, Reply};
use super::http::{Bad, Response};
use super::listeners::{self, Listener};
use crate::files::Failure;
use crate::finish::without_var;
use crate::processes::read_proc;

/// What has failed, and how.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) operation: Operation,
    pub(crate) failure: Failure,
}

fn failed(operation: Operation) -> impl Fn(Errno) -> Failed {
    move |errno| Failed { operation: operation.clone(), failure: Failure::Errno(errno) }
}

fn because(operation: impl Into<String>, cause: Cause) -> Failed {
    Failed { operation: Operation::Other(operation.into().into()), failure: Failure::Cause(cause) }
}

fn timed_out(operation: Operation) -> Failed {
    Failed { operation, failure: Failure::Cause(Cause::TimedOut) }
}

/// What was asked, and why that has no answer.
fn bad(what: &str, bad: Bad) -> Failed {
    let (text, cause) = match bad {
        Bad::Malformed => (format!("{what}: not an answer of an engine"), Cause::Malformed),
        Bad::TooLong => (format!("{what}: answer too long"), Cause::Cut),
        Bad::Status(status) => (format!("{what}: status {status}"), Cause::Malformed),
        Bad::Refused => (format!("{what}: the call failed"), Cause::Malformed),
    };
    Failed { operation: Operation::Parse(text.into()), failure: Failure::Cause(cause) }
}

/// A process that may be an engine.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) pid: Pid,
    /// Its user, by all its UIDs.
    pub(crate) uid: u32,
    pub(crate) start_time_ticks: u64,
    /// Its directory.
    pub(crate) dir: OwnedFd,
    /// The procfs, and its path.
    pub(crate) proc: OwnedFd,
    pub(crate) proc_path: PathBuf,
    /// Whether only who can mount on the host can have mounted what it sees.
    pub(crate) has_mounts_of_host: bool,
    /// Until when all its answers must be there.
    pub(crate) deadline: Instant,
}

impl Peer {
    /// Whether it is still the process that was seen.
    fn is_there(&self) -> bool {
        read_proc(&self.dir, "stat").is_ok_and(|text| {
            lxkns_core::parse::stat(&text).is_ok_and(|stat| stat.start_time_ticks == self.start_time_ticks)
        })
    }

    /// The file that one of its sockets is bound to, opened by name.
    pub(crate) fn file_of(&self, listener: &Listener) -> Result<OwnedFd, Failed> {
        let file = match self.bound_file(listener) {
            // The kernel has no call for that, or it is denied.
            Err(Failure::Errno(Errno::NOSYS | Errno::PERM | Errno::NOTTY | Errno::INVAL)) => self.file_at(listener)?,
            file => file.map_err(|failure| Failed { operation: Operation::open("socket"), failure })?,
        };
        let is_local = self.is_local(&file).map_err(failed(Operation::read("mountinfo")))?;
        // Asking for its permissions could wait for a server.
        if !is_local {
            return Err(because("connect: file system of the socket", Cause::NotTried));
        }
        // A user's engine listens on a file of that user's: another's it can have been given.
        let is_own = || -> Result<bool, Errno> {
            let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
            Ok(rustix::fs::statx(&file, c"", flags, StatxFlags::UID)?.stx_uid == self.uid)
        };
        match self.uid == 0 || is_own().map_err(failed(Operation::stat("socket")))? {
            true => Ok(file),
            false => Err(because("connect: owner of the socket", Cause::NotTried)),
        }
    }

    /// What the kernel says that the socket is bound to: wherever that is by now, nothing else can be in its place.
    fn bound_file(&self, listener: &Listener) -> Result<OwnedFd, Failure> {
        let pid = i32::try_from(self.pid.0).ok().and_then(rustix::process::Pid::from_raw).ok_or(Failure::Vanished)?;
        let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
        if !self.is_there() {
            return Err(Failure::Vanished);
        }
        let socket = rustix::process::pidfd_getfd(&pidfd, listener.fd, PidfdGetfdFlags::empty())?;
        let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
        let inode = rustix::fs::statx(&socket, c"", flags, StatxFlags::INO)?.stx_ino;
        let is_it = inode == listener.inode
            && rustix::net::sockopt::socket_domain(&socket)? == AddressFamily::UNIX
            && rustix::net::sockopt::socket_acceptconn(&socket)?;
        if !is_it {
            return Err(Failure::Vanished);
        }
        Ok(lxkns_sys::siocunixfile(&socket)?)
    }

    /// What is at the socket's path below the root directory of the process.
    fn file_at(&self, listener: &Listener) -> Result<OwnedFd, Failed> {
        let not_tried = || because("connect: which socket has the path", Cause::NotTried);
        let path = listener.path.as_ref().ok_or_else(not_tried)?;
        // Another socket there would be somebody else's: one of systemd's would start an engine.
        for of in [format!("{}/net/unix", self.pid), "1/net/unix".to_owned(), "self/net/unix".to_owned()] {
            let text = read_proc(&self.proc, &of).unwrap_or_default();
            let all = lxkns_core::parse::listening_unix_sockets(&text);
            let is_there = |other: &bstr::BString| without_var(other) == without_var(path);
            if all.iter().any(|(&inode, paths)| inode != listener.inode && paths.iter().any(is_there)) {
                return Err(not_tried());
            }
        }
        let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::openat(&self.dir, "root", directory, Mode::empty());
        let root = root.map_err(failed(Operation::open("root")))?;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let open = |path: &[u8]| lxkns_sys::open_cached(&root, path, OFlags::empty(), resolve);
        // No link on an overlay can be followed in the cache alone.
        let opened = match open(path) {
            Err(Errno::AGAIN) => open(without_var(path)),
            opened => opened,
        };
        opened.map_err(failed(Call::Openat2.into()))
    }

    /// Whether a file is on a file system that asks no server, by the mounts of the process.
    fn is_local(&self, file: impl AsFd) -> Result<bool, Errno> {
        let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
        let stat = rustix::fs::statx(file, c"", flags, StatxFlags::TYPE | StatxFlags::MNT_ID)?;
        let mount = (stat.stx_mask & StatxFlags::MNT_ID.bits() != 0).then(|| stat.stx_mnt_id.to_string());
        let device = format!("{}:{}", stat.stx_dev_major, stat.stx_dev_minor);
        let text = read_proc(&self.dir, "mountinfo")?;
        let fs_type = text.lines().find_map(|line| {
            let mut fields = line.split(|&byte| byte == b' ');
            let (id, at) = (fields.next()?, fields.nth(1)?);
            let is_it = mount.as_ref().is_some_and(|mount| mount.as_bytes() == id) || at == device.as_bytes();
            is_it.then(|| line.split_once_str(" - ")?.1.split(|&byte| byte == b' ').next())?
        });
        Ok(fs_type.is_some_and(|it| has_no_server(it) || (it == b"overlay" && self.has_mounts_of_host)))
    }

    /// Asks for a path, and returns the answer's body.
    pub(crate) fn get(&self, listener: &Listener, file: impl AsFd, target: &str) -> Result<Vec<u8>, Failed> {
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: lxkns\r\nAccept: application/json\r\nConnection: close\r\n\r\n"
        );
        let what = format!("GET {target}");
        let mut response = Response::new();
        self.exchange(listener, file, &what, request.as_bytes(), |bytes| response.take(bytes))?;
        response.end().map_err(|why| bad(&what, why))
    }

    /// Calls a method of gRPC with an empty message, and returns the message of the answer.
    pub(crate) fn call(
        &self,
        listener: &Listener,
        file: impl AsFd,
        method: &str,
        namespace: Option<&[u8]>,
    ) -> Result<Vec<u8>, Failed> {
        let mut reply = Reply::default();
        self.exchange(listener, file, method, &grpc::request(method, namespace), |bytes| reply.take(bytes))?;
        reply.end().map_err(|why| bad(method, why))
    }

    /// Sends a request, and has `take` read the answer until it is complete or the connection ends.
    fn exchange(
        &self,
        listener: &Listener,
        file: impl AsFd,
        what: &str,
        request: &[u8],
        mut take: impl FnMut(&[u8]) -> Result<bool, Bad>,
    ) -> Result<(), Failed> {
        let connection = self.connect(file)?;
        if !self.is_behind(&connection, listener) {
            return Err(because("connect: SO_PEERCRED", Cause::Changed));
        }
        let name = what;
        let what = || Operation::Read(name.to_owned().into());
        if !lxkns_sys::send_until(&connection, request, self.deadline).map_err(failed(what()))? {
            return Err(timed_out(what()));
        }
        let mut buffer = vec![0; 64 << 10];
        loop {
            // Whoever sends without end must not keep this going for longer than whoever sends nothing.
            self.rest(what)?;
            match lxkns_sys::read_until(&connection, &mut buffer, Some(self.deadline)).map_err(failed(what()))? {
                None => return Err(timed_out(what())),
                Some(0) => return Ok(()),
                Some(count) if take(&buffer[..count]).map_err(|why| bad(name, why))? => return Ok(()),
                Some(_) => {}
            }
        }
    }

    fn connect(&self, file: impl AsFd) -> Result<OwnedFd, Failed> {
        let what = || Operation::Other("connect".into());
        let at = self.proc_path.join(format!("self/fd/{}", file.as_fd().as_raw_fd()));
        let address = SocketAddrUnix::new(at).map_err(failed(what()))?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).map_err(failed(what()))?;
        loop {
            match connect(&socket, &address) {
                Ok(()) => return Ok(socket),
                Err(Errno::INTR) => {}
                // Too many wait to be accepted. Nothing says when there is room.
                Err(Errno::AGAIN) => {
                    let rest = self.rest(what)?;
                    let pause = Timespec::try_from(rest.min(Duration::from_millis(10)));
                    let _ = poll(&mut [], pause.ok().as_ref());
                }
                Err(errno) => return Err(failed(what())(errno)),
            }
        }
    }

    /// Whether who listens at the other end of a connection is this process, or has passed the socket on to it, as systemd
    /// does: then both have it.
    fn is_behind(&self, connection: impl AsFd, listener: &Listener) -> bool {
        let Ok(Some(peer)) = lxkns_sys::so_peercred(connection) else { return false };
        if peer.uid != self.uid || !self.is_there() {
            return false;
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open = || rustix::fs::openat(&self.proc, peer.pid.to_string(), flags, Mode::empty());
        peer.pid == self.pid.0
            || (listeners::has(&self.dir, listener.inode)
                && open().is_ok_and(|peer| listeners::has(peer, listener.inode)))
    }

    fn rest(&self, what: impl Fn() -> Operation) -> Result<Duration, Failed> {
        let rest = self.deadline.saturating_duration_since(Instant::now());
        if rest.is_zero() { Err(timed_out(what())) } else { Ok(rest) }
    }
}
