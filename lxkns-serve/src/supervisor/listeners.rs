//! The sockets that are listened on.

use std::fmt;
use std::net::TcpListener;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use rustix::net::AddressFamily;

use crate::args::Listen;
use crate::control::MOST_FDS;

/// The first descriptor that systemd passes, `SD_LISTEN_FDS_START`.
const FIRST_PASSED: i32 = 3;

/// A socket that is listened on.
#[derive(Debug)]
pub(super) struct Listener {
    fd: OwnedFd,
    name: String,
    is_unix: bool,
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
pub(super) fn open(listen: &[Listen]) -> anyhow::Result<Vec<Listener>> {
    let mut listeners = Vec::new();
    for listen in listen {
        match listen {
            Listen::Tcp(address) => {
                let listener = TcpListener::bind(address).with_context(|| format!("listen on {address}"))?;
                let name = format!("http://{}", listener.local_addr().context("getsockname")?);
                listeners.push(Listener { fd: listener.into(), name, is_unix: false, file: None });
            }
            Listen::Unix(path) => listeners.push(unix(path).with_context(|| format!("listen on {listen}"))?),
            Listen::Systemd => listeners.extend(passed()?),
        }
    }
    ensure!(listeners.len() <= MOST_FDS, "more than {MOST_FDS} addresses");
    for listener in &listeners {
        rustix::io::ioctl_fionbio(&listener.fd, true).context("make a listener non-blocking")?;
    }
    Ok(listeners)
}

/// A UNIX socket for its user and group. A file that a killed daemon has left is replaced.
fn unix(path: &Path) -> anyhow::Result<Listener> {
    let listener = match UnixListener::bind(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            let is_left = |error: std::io::Error| error.kind() == std::io::ErrorKind::ConnectionRefused;
            if !UnixStream::connect(path).is_err_and(is_left) {
                bail!("another process listens there");
            }
            std::fs::remove_file(path).context("remove what another process has left")?;
            UnixListener::bind(path)?
        }
        listener => listener?,
    };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).context("chmod")?;
    let name = format!("unix:{}", path.display());
    Ok(Listener { fd: listener.into(), name, is_unix: true, file: Some(path.to_owned()) })
}

/// Those that systemd has opened, `sd_listen_fds(3)`.
fn passed() -> anyhow::Result<Vec<Listener>> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<i32>().ok();
    let is_for_us = number("LISTEN_PID").and_then(|pid| u32::try_from(pid).ok()) == Some(std::process::id());
    let count = number("LISTEN_FDS").filter(|count| is_for_us && (1..=MOST_FDS as i32).contains(count));
    let count = count.context("systemd has passed no socket: start lxknsd by its socket unit (LISTEN_FDS)")?;
    let mut listeners = Vec::new();
    for number in FIRST_PASSED..FIRST_PASSED + count {
        let fd = lxkns_sys::take_inherited(number).with_context(|| format!("descriptor {number} of LISTEN_FDS"))?;
        let is_listening = rustix::net::sockopt::socket_acceptconn(&fd).context("getsockopt")?;
        ensure!(is_listening, "descriptor {number} of LISTEN_FDS does not listen");
        let domain = rustix::net::sockopt::socket_domain(&fd).context("getsockopt")?;
        let is_unix = domain == AddressFamily::UNIX;
        ensure!(is_unix || [AddressFamily::INET, AddressFamily::INET6].contains(&domain), "not an address of HTTP");
        listeners.push(Listener { fd, name: format!("descriptor {number} of systemd"), is_unix, file: None });
    }
    Ok(listeners)
}
