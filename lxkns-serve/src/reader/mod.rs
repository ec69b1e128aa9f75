//! The process that reads the host. It has the capabilities, and no input but frames of the front's (`protocol`) and what
//! the supervisor says.
//!
//! Five kinds of threads: two for each connection to the front, of which one reads frames and hands out pieces of bodies, the
//! other events; a few that find answers, two of them for who watches the service; one that scans; one that follows what
//! happens. The first thread listens to the supervisor, and says that the process is alive.

mod answers;
mod body;
mod cache;
mod cgroup_namespace;
mod feed;
mod follow;
#[cfg(feature = "_fuzz")]
pub(crate) mod fuzz;
mod host;
mod json_text;
mod link;
mod metrics;
mod own;
mod pages;
mod parameters;
mod past;
mod patch;
mod problem;
mod questions;
mod readiness;
mod scans;
mod states;
#[cfg(test)]
mod tests;
mod traffic;
mod wake;
mod workers;

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use lxkns_core::ProcRoot;
use rustix::event::{PollFd, PollFlags};
use rustix::net::RecvFlags;
use rustix::process::{DumpableBehavior, Signal};
use tracing::{info, warn};

use self::answers::Answers;
pub(crate) use self::past::StateAnswer;
pub(crate) use self::readiness::Readiness;
use self::readiness::Standing;
use crate::control::{self, News, Order};
use crate::log;
use crate::powers::{self, Missing, Powers};
use crate::settings::Settings;

/// How often the supervisor hears that all is well.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// The control socket of a process that the supervisor has started, and what it is told first, with the descriptors that
/// come with it. Ties its life to the supervisor's.
///
/// # Errors
///
/// Only the supervisor starts it: there is no such socket.
pub(crate) fn begin() -> anyhow::Result<(OwnedFd, Settings, Vec<OwnedFd>)> {
    let control = lxkns_sys::take_inherited(0).context("standard input is closed")?;
    let first = control::receive::<Order>(&control, RecvFlags::empty());
    let Ok(Some((Order::Start(settings), fds))) = first else { bail!("only lxknsd itself runs this command") };
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).context("be undumpable")?;
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).context("end with the parent")?;
    // The kernel calls what was run as /proc/self/exe `exe`.
    if let Some(Ok(name)) = std::env::args_os().next().map(|name| CString::new(name.into_vec())) {
        let _ = rustix::thread::set_name(&name);
    }
    Ok((control, *settings, fds))
}

/// Serves the front until the supervisor ends.
///
/// # Errors
///
/// Where it cannot begin to.
pub(crate) fn run() -> anyhow::Result<()> {
    let (control, settings, _) = begin()?;
    powers::take();
    let proc = ProcRoot::host()?;
    let powers = Powers::of_this_process(&proc);
    rustix::thread::set_no_new_privs(true).context("no_new_privs")?;
    log::begin(settings.log);
    for Missing { capability, adds, reason } in powers.missing() {
        warn!(process = "reader", capability, adds, reason, "capability missing");
    }
    let outside =
        cgroup_namespace::leave(&proc).map_err(|error| format!("paths of control groups are relative: {error:#}"));
    if let Err(why) = &outside {
        warn!(process = "reader", "{why}");
    }
    let answers = Arc::new(Answers::new(settings.reader, Standing { powers, shortfall: outside.err() })?);
    let questions = link::start_workers(&answers);
    control::send(&control, &News::Ready, &[]).context("say that it is ready")?;
    info!(process = "reader", "ready");
    let mut due = Instant::now() + HEARTBEAT;
    let mut stuck = 0;
    loop {
        let is_told = lxkns_sys::poll_until(&mut [PollFd::new(&control, PollFlags::IN)], Some(due)).context("poll")?;
        match is_told {
            false => {
                let why = answers.scans().stuck().or_else(|| answers.workers.give_up());
                let now_stuck = answers.workers.stuck();
                if std::mem::replace(&mut stuck, now_stuck) < now_stuck
                    && let Some(words) = answers.workers.words()
                {
                    warn!(process = "reader", "{words}");
                }
                let news = why.map_or(News::Alive, News::GiveUp);
                control::send(&control, &news, &[]).context("say that it is alive")?;
                due = Instant::now() + HEARTBEAT;
                if answers.has_made_some() {
                    lxkns_sys::Memory::returns_free_pages();
                }
            }
            true => match control::receive::<Order>(&control, RecvFlags::empty())? {
                None => return Ok(()),
                Some((Order::Link, fds)) => {
                    let link = fds.into_iter().next().context("a connection without its socket")?;
                    link::start(link, questions.clone(), Arc::clone(&answers));
                }
                Some((Order::Left { readers, .. }, _)) => answers.left.store(readers, Ordering::Relaxed),
                Some((Order::Start(_) | Order::Access | Order::Drain, _)) => {}
            },
        }
    }
}
