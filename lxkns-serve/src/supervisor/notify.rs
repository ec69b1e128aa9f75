//! What systemd is told, `sd_notify(3)`.

use std::ffi::OsString;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

/// Where it listens, if this is a service of its.
pub(super) struct Systemd {
    socket: Option<(UnixDatagram, SocketAddr)>,
    /// How often it wants to hear that all is well.
    interval: Option<Duration>,
    due: Instant,
}

impl Systemd {
    /// As the environment says.
    pub(super) fn of_environment() -> Self {
        let socket = std::env::var_os("NOTIFY_SOCKET").and_then(|path| connect(&path));
        let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
        let is_for_us = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let interval = number("WATCHDOG_USEC").filter(|&usec| usec > 0 && is_for_us);
        // Twice as often as it must be.
        let interval = interval.filter(|_| socket.is_some()).map(|usec| Duration::from_micros(usec / 2));
        Self { socket, interval, due: Instant::now() }
    }

    /// It serves.
    pub(super) fn ready(&self) {
        self.tell("READY=1");
    }

    /// It reads its configuration again, and serves meanwhile (`Type=notify-reload`).
    pub(super) fn reloading(&self) {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={}", now.tv_sec * 1_000_000 + now.tv_nsec / 1000));
    }

    /// It is about to end.
    pub(super) fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// All is well, where it is time to say so.
    pub(super) fn alive_if_due(&mut self, now: Instant) {
        if let Some(interval) = self.interval
            && now >= self.due
        {
            self.tell("WATCHDOG=1");
            self.due = now + interval;
        }
    }

    /// When it is to be told next that all is well.
    pub(super) fn next(&self) -> Option<Instant> {
        self.interval.map(|_| self.due)
    }

    fn tell(&self, state: &str) {
        if let Some((socket, address)) = &self.socket {
            // Nothing depends on it here.
            let _ = socket.send_to_addr(state.as_bytes(), address);
        }
    }
}

fn connect(path: &OsString) -> Option<(UnixDatagram, SocketAddr)> {
    let address = match path.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(path),
    };
    let socket = UnixDatagram::unbound().ok()?;
    socket.set_nonblocking(true).ok()?;
    Some((socket, address.ok()?))
}
