//! The process that starts the others, and reads no request.
//!
//! It opens the listeners and passes them to the front, joins front and reader by a pair of sockets, and starts either
//! anew when it ends, is stuck or says nothing. It waits for one of: a signal, a message, the end of a process, a point in
//! time. Nothing else blocks it.

mod child;
mod listeners;
mod notify;

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use lxkns_core::OWN_DESCRIPTORS;
use lxkns_sys::{Blocking, SignalSet};
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType};
use rustix::process::Signal;
use tracing::{info, warn};

use self::child::Child;
use self::listeners::Listener;
use self::notify::Systemd;
use crate::access::{Access, Sources};
use crate::args::{Args, insecure};
use crate::control::Order;
use crate::memory;
use crate::powers;
use crate::role;
use crate::settings::Settings;
use crate::web::Web;

/// The name of the memory that says who may connect and ask.
const ACCESS: &str = "lxknsd-access";

/// How long a process may say nothing.
const SILENCE: Duration = Duration::from_secs(30);
/// How long it takes to try to join them again where there was no descriptor.
const UNTIL_NEXT_TRY: Duration = Duration::from_secs(1);
/// How often the front may have itself joined with the reader anew.
const BETWEEN_LINKS: Duration = Duration::from_millis(50);

/// Has what this process has inherited closed in those that it starts, but for the standard streams. It is still open here:
/// systemd may have passed it.
fn keep_inherited() -> anyhow::Result<()> {
    let open = std::fs::read_dir(OWN_DESCRIPTORS).context("list open descriptors (is /proc mounted?)")?;
    let numbers = open.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let numbers: Vec<i32> = numbers.filter(|&number| number > 2).collect();
    for number in numbers {
        // The copy is closed at once; that of the directory itself is closed already.
        let _ = lxkns_sys::take_inherited(number);
    }
    Ok(())
}

/// Serves until a signal ends it.
///
/// # Errors
///
/// Where it cannot begin to serve.
pub(crate) fn run(args: &Args, access: Access, web: Option<Web>) -> anyhow::Result<()> {
    keep_inherited()?;
    let signals = SignalSet::new(&[Signal::TERM, Signal::INT, Signal::HUP]);
    lxkns_sys::sigprocmask(Blocking::Block, &signals).context("block signals")?;
    let signals = lxkns_sys::signalfd(&signals).context("signalfd")?;
    // What is opened in its memory is the reader's and the front's too.
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable).context("be undumpable")?;
    let systemd = Systemd::of_environment();
    let listeners = listeners::open(args, &access)?;
    let sources = args.sources().absolute().context("current directory")?;
    // The file system that it was started in can be unmounted.
    std::env::set_current_dir("/").context("chdir")?;
    // A low port may have taken one.
    powers::hold();
    let mut settings = args.settings();
    settings.front.listeners = listeners.iter().map(Listener::is_unix).collect();
    for listener in &listeners {
        info!(address = %listener, "listening");
    }
    let mut supervisor = Supervisor {
        reader: Child::new(role::READER),
        front: Child::new(role::FRONT),
        settings,
        web,
        sources,
        access,
        is_insecure: args.insecure_listen,
        listeners,
        link: None,
        link_due: Instant::now(),
        is_join_due: false,
        systemd,
        is_ready: false,
        told: None,
    };
    let ended = supervisor.serve(&signals);
    supervisor.systemd.stopping();
    supervisor.drain();
    ended
}

/// What a signal wishes.
enum Wish {
    None,
    Reload,
    Stop,
}

struct Supervisor {
    reader: Child,
    front: Child,
    settings: Settings,
    /// The page in place of the program's own.
    web: Option<Web>,
    sources: Sources,
    /// What the files of `sources` have said last, where all was well.
    access: Access,
    /// Whether other hosts are served without TLS or authentication.
    is_insecure: bool,
    listeners: Vec<Listener>,
    /// An end of the connection between both, by which it is ended when another takes its place: a front that was taken
    /// over could keep each.
    link: Option<OwnedFd>,
    /// When the front may have another.
    link_due: Instant,
    /// Whether there was no descriptor for one.
    is_join_due: bool,
    systemd: Systemd,
    is_ready: bool,
    /// How the processes stand, as they were told last.
    told: Option<Order>,
}

impl Supervisor {
    /// Keeps both processes going until a signal says that it is enough.
    fn serve(&mut self, signals: &OwnedFd) -> anyhow::Result<()> {
        loop {
            self.start_those_due()?;
            self.tell_how_all_stand();
            match self.wait(signals)? {
                Wish::None => {}
                Wish::Reload => {
                    self.systemd.reloading();
                    self.reload();
                    if self.is_ready {
                        self.systemd.ready();
                    }
                }
                Wish::Stop => return Ok(()),
            }
            self.reader.hear();
            self.front.hear();
            let now = Instant::now();
            if now >= self.link_due && (self.front.take_unlinked() || self.is_join_due) {
                self.join();
            }
            for child in [&mut self.reader, &mut self.front] {
                child.end_if_silent(now, SILENCE);
            }
            if !self.reader.is_there() || !self.front.is_there() {
                // As this process has an end too, the one that is left would not notice.
                self.part();
            }
            if !self.is_ready && self.reader.is_ready() && self.front.is_ready() {
                self.is_ready = true;
                info!("ready");
                self.systemd.ready();
            }
            // That of each process is in time as long as this one comes round.
            self.systemd.alive_if_due(now);
        }
    }

    /// Starts each process that is not there and whose time has come, and joins them.
    fn start_those_due(&mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        let (reader, front) = (self.reader.is_due(now), self.front.is_due(now));
        if !reader && !front {
            return Ok(());
        }
        match self.start(reader, front) {
            // The service has run: there is no descriptor or memory left, and there may be again.
            Err(error) if self.is_ready => {
                warn!("not started: {error:#}");
                for child in [&mut self.reader, &mut self.front].into_iter().filter(|child| !child.is_there()) {
                    child.postpone(Instant::now());
                }
                Ok(())
            }
            started => started,
        }
    }

    fn start(&mut self, reader: bool, front: bool) -> anyhow::Result<()> {
        let start = Order::Start(Box::new(self.settings.clone()));
        if reader {
            self.reader.start(&start, &[])?;
        }
        if front {
            for listener in &self.listeners {
                // The front before may have changed that: one that waits for a client serves no other.
                rustix::io::ioctl_fionbio(listener.as_fd(), true).context("make a listener non-blocking")?;
            }
            let mut fds: Vec<BorrowedFd<'_>> = self.listeners.iter().map(Listener::as_fd).collect();
            let web = self.web.as_ref().map(|web| memory::seal("lxknsd-web", web)).transpose()?;
            let access = self.sources.are_some().then(|| memory::seal(ACCESS, &self.access)).transpose()?;
            fds.extend([&web, &access].into_iter().flatten().map(|memory| memory.as_fd()));
            self.front.start(&start, &fds)?;
        }
        self.join();
        Ok(())
    }

    /// Says how the processes stand, where that has changed, as it does when one is started.
    fn tell_how_all_stand(&mut self) {
        let (readers, is_given_up) = (self.reader.left(), self.reader.is_given_up());
        let order = Order::Left { readers, is_given_up, starts: [self.reader.starts(), self.front.starts()] };
        if self.told.as_ref() != Some(&order) {
            self.reader.tell(&order, &[]);
            self.front.tell(&order, &[]);
            self.told = Some(order);
        }
    }

    /// Reads again who may connect and ask. Where something about it is wrong, all stays as it was.
    fn reload(&mut self) {
        if !self.sources.are_some() {
            info!("nothing to reload");
            return;
        }
        match self.changed() {
            Ok((access, memory)) => {
                info!(access = access.words(), "configuration reloaded");
                self.access = access;
                self.front.tell(&Order::Access, &[memory.as_fd()]);
            }
            Err(error) => warn!("configuration not reloaded, the last one stays: {error:#}"),
        }
    }

    fn changed(&self) -> anyhow::Result<(Access, OwnedFd)> {
        let access = self.sources.read()?;
        if !self.is_insecure
            && !access.is_secured()
            && let Some(open) = self.listeners.iter().find(|listener| listener.is_open())
        {
            bail!("{open}: {}", insecure(&access));
        }
        let memory = memory::seal(ACCESS, &access)?;
        Ok((access, memory))
    }

    /// Joins both processes anew, where both are there.
    fn join(&mut self) {
        self.part();
        self.link_due = Instant::now() + BETWEEN_LINKS;
        self.is_join_due = false;
        if !self.reader.is_there() || !self.front.is_there() {
            return;
        }
        match rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None) {
            Ok((of_front, of_reader)) => {
                self.reader.tell(&Order::Link, &[of_reader.as_fd()]);
                self.front.tell(&Order::Link, &[of_front.as_fd()]);
                self.link = Some(of_front);
            }
            Err(error) => {
                warn!(%error, "not joined");
                self.is_join_due = true;
                self.link_due = Instant::now() + UNTIL_NEXT_TRY;
            }
        }
    }

    /// Ends the connection of both, whoever has an end of it.
    fn part(&mut self) {
        if let Some(link) = self.link.take() {
            // It may have ended already.
            let _ = rustix::net::shutdown(&link, Shutdown::Both);
        }
    }

    /// Waits until there is something to do; says what a signal wishes.
    fn wait(&self, signals: &OwnedFd) -> anyhow::Result<Wish> {
        let (now, children) = (Instant::now(), [&self.reader, &self.front]);
        let points = children.into_iter().map(|child| child.next(now, SILENCE)).chain(self.systemd.next());
        let is_join_due = self.front.is_unlinked() || self.is_join_due;
        let points = points.chain(is_join_due.then_some(self.link_due));
        let mut fds = vec![PollFd::new(signals, PollFlags::IN)];
        for fd in children.into_iter().flat_map(Child::fds) {
            fds.push(PollFd::from_borrowed_fd(fd, PollFlags::IN));
        }
        lxkns_sys::poll_until(&mut fds, points.min()).context("poll")?;
        if fds[0].revents().is_empty() {
            return Ok(Wish::None);
        }
        let mut wish = Wish::None;
        loop {
            match lxkns_sys::read_signal(signals) {
                Ok(signal) if signal.number == Signal::HUP.as_raw() => wish = Wish::Reload,
                Ok(_) => return Ok(Wish::Stop),
                Err(Errno::AGAIN) => return Ok(wish),
                Err(errno) => return Err(errno).context("read a signal"),
            }
        }
    }

    /// Has the front finish what it has begun, and ends both.
    fn drain(&mut self) {
        info!("stopping");
        let end = Instant::now() + self.settings.front.shutdown;
        self.front.tell(&Order::Drain, &[]);
        // The front closes its own: who connects from now on is refused, or waits for systemd to start the service anew.
        self.listeners.drain(..).for_each(|listener| listener.remove());
        while self.front.is_there() {
            // Whatever the front says.
            if Instant::now() >= end {
                warn!("requests did not end in time");
                break;
            }
            let mut fds: Vec<_> = self.front.fds().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
            let _ = lxkns_sys::poll_until(&mut fds, Some(end));
            drop(fds);
            self.front.hear();
        }
        self.front.end();
        self.reader.end();
    }
}
