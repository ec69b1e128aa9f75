//! The sockets that are listened on.

use std::fmt;
use std::net::TcpListener;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use rustix::fs::{AtFlags, CWD, Gid, Mode};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::access::Access;
use crate::args::{Args, Listen, insecure};
use crate::control::MOST_LISTENERS;

/// The first descriptor that systemd passes, `SD_LISTEN_FDS_START`.
const FIRST_PASSED: i32 = 3;
/// How many connections may wait to be accepted, as far as `net.core.somaxconn` permits.
const BACKLOG: i32 = 4096;

/// A socket that is listened on.
#[derive(Debug)]
pub(super) struct Listener {
    fd: OwnedFd,
    name: String,
    is_unix: bool,
    /// Whether other hosts may reach it.
    is_open: bool,
    /// A file of ours, to be removed in the end.
    file: Option<PathBuf>,
}

impl Listener {
    /// The socket.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Whether it is a UNIX socket.
    pub(super) fn is_unix(&self) -> bool {
        self.is_unix
    }

    /// Whether other hosts may reach it.
    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Removes its file.
    pub(super) fn remove(&self) {
        if let Some(file) = &self.file {
            // Somebody else may have done so.
            let _ = std::fs::remove_file(file);
        }
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Opens all.
///
/// # Errors
///
/// One cannot be listened on, or there are none.
pub(super) fn open(args: &Args, access: &Access) -> anyhow::Result<Vec<Listener>> {
    let mut listeners = Vec::new();
    for listen in &args.listen {
        match listen {
            Listen::Tcp(address) => {
                let listener = TcpListener::bind(address).with_context(|| format!("listen on {address}"))?;
                rustix::net::listen(&listener, BACKLOG).context("listen")?;
                let name = format!("{}{}", access.scheme(), listener.local_addr().context("getsockname")?);
                let is_open = !address.ip().is_loopback();
                listeners.push(Listener { fd: listener.into(), name, is_unix: false, is_open, file: None });
            }
            Listen::Unix(path) => {
                listeners.push(unix(path, args.socket_group).with_context(|| format!("listen on {listen}"))?);
            }
            Listen::Systemd => listeners.extend(passed(access)?),
        }
    }
    // With them goes what says who may connect.
    ensure!(listeners.len() <= MOST_LISTENERS, "more than {MOST_LISTENERS} addresses");
    for listener in &listeners {
        // Which addresses systemd has chosen is seen only now.
        let is_permitted = !listener.is_open || args.insecure_listen || access.is_secured();
        ensure!(is_permitted, "{listener}: {}", insecure(access));
        rustix::io::ioctl_fionbio(&listener.fd, true).context("make a listener non-blocking")?;
    }
    Ok(listeners)
}

/// A UNIX socket for its user and a group. A file that a killed daemon has left is replaced.
fn unix(path: &Path, group: Option<u32>) -> anyhow::Result<Listener> {
    // Nobody connects before it listens, and then its group and mode are what they are to be. There is no other thread.
    let mask = rustix::process::umask(Mode::from_raw_mode(0o117));
    let listener = bind(path);
    rustix::process::umask(mask);
    let listener = listener?;
    if let Some(group) = group {
        // Whoever may write to the directory can have put a link there meanwhile.
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::chownat(CWD, path, None, Some(Gid::from_raw(group)), flags).context("chown to the group")?;
    }
    rustix::net::listen(&listener, BACKLOG).context("listen")?;
    let name = format!("unix:{}", path.display());
    Ok(Listener { fd: listener, name, is_unix: true, is_open: false, file: Some(path.to_owned()) })
}

/// A socket at this path, which does not listen yet.
fn bind(path: &Path) -> anyhow::Result<OwnedFd> {
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    let address = SocketAddrUnix::new(path)?;
    match rustix::net::bind(&socket, &address) {
        Err(Errno::ADDRINUSE) => {
            // The kernel also refuses a connection to a file of another kind, which is not ours to remove.
            let found = std::fs::symlink_metadata(path).context("stat")?;
            ensure!(found.file_type().is_socket(), "a file that is not a socket is there");
            ensure!(is_left(path)?, "another process listens there");
            std::fs::remove_file(path).context("remove the socket that another process left")?;
            rustix::net::bind(&socket, &address)?;
        }
        bound => bound?,
    }
    Ok(socket)
}

/// Whether nobody listens at a socket any more. A listener that accepts nothing is not waited for.
fn is_left(path: &Path) -> anyhow::Result<bool> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).context("socket")?;
    let address = SocketAddrUnix::new(path).context("an address of a socket")?;
    Ok(rustix::net::connect(&socket, &address) == Err(Errno::CONNREFUSED))
}

/// Those that systemd has opened, `sd_listen_fds(3)`.
fn passed(access: &Access) -> anyhow::Result<Vec<Listener>> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<i32>().ok();
    let is_for_us = number("LISTEN_PID").and_then(|pid| u32::try_from(pid).ok()) == Some(std::process::id());
    let count = number("LISTEN_FDS").filter(|count| is_for_us && (1..=MOST_LISTENERS as i32).contains(count));
    let count = count.context("systemd has passed no socket: start lxknsd by its socket unit (LISTEN_FDS)")?;
    let mut listeners = Vec::new();
    for number in FIRST_PASSED..FIRST_PASSED + count {
        listeners.push(passed_as(number, access).with_context(|| format!("descriptor {number} of LISTEN_FDS"))?);
    }
    Ok(listeners)
}

/// The one that is this descriptor.
fn passed_as(number: i32, access: &Access) -> anyhow::Result<Listener> {
    let fd = lxkns_sys::take_inherited(number)?;
    let is_listening = rustix::net::sockopt::socket_acceptconn(&fd)?;
    ensure!(is_listening, "it does not listen");
    let domain = rustix::net::sockopt::socket_domain(&fd)?;
    let is_unix = domain == AddressFamily::UNIX;
    ensure!(is_unix || [AddressFamily::INET, AddressFamily::INET6].contains(&domain), "not an address of HTTP");
    let (mut name, mut is_open) = (format!("descriptor {number} of systemd"), false);
    if !is_unix {
        let address = rustix::net::getsockname(&fd).context("getsockname")?;
        let address = std::net::SocketAddr::try_from(address).context("an address of a socket")?;
        is_open = !address.ip().is_loopback();
        name = format!("{}{address}, {name}", access.scheme());
    }
    Ok(Listener { fd, name, is_unix, is_open, file: None })
}
