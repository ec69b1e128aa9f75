//! The process that speaks HTTP. It has nothing: no capability, no file but its sockets, no way to open one (`confine`).
//!
//! What it knows of the host it asks the reader for (`link`). A handler only parses a request into a question, and writes
//! the answer.

mod bodies;
mod body;
mod bucket;
mod carried;
mod client;
mod conditions;
mod confine;
mod encoding;
mod followers;
#[cfg(feature = "_fuzz")]
pub(crate) mod fuzz;
mod gate;
#[cfg(feature = "_intruder")]
mod intruder;
mod link;
mod logins;
mod openapi;
mod page;
mod patient;
mod places;
mod problem;
mod routes;
mod server;
mod stats;
mod web;

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rustix::net::RecvFlags;
use tokio::io::Interest;
use tokio::net::UnixStream;
use tracing::{info, warn};

use self::gate::Gate;
use self::link::Reader;
use self::logins::Logins;
use self::server::{Listener, Server};
use crate::control::{self, News, Order};
use crate::log;
use crate::memory;
use crate::reader::begin;
use crate::settings::FrontSettings;
use crate::web::Web;

/// How often the supervisor hears that all is well.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Serves until the supervisor says that it is enough, or ends.
///
/// # Errors
///
/// Where it cannot begin to, or cannot give up what it must not have.
pub(crate) fn run() -> anyhow::Result<()> {
    let (control, mut settings, mut listeners) = begin()?;
    let mut take = |what: &'static str| listeners.pop().context(what);
    let access = settings.front.has_access.then(|| take("who may connect is missing")).transpose()?;
    let web = settings.front.has_web.then(|| take("the page is missing")).transpose()?;
    log::begin(settings.log);
    let fits = confine::make_room(settings.front.most_connections);
    if fits < settings.front.most_connections {
        warn!(process = "front", connections = fits, "fewer connections are served: RLIMIT_NOFILE is low");
        settings.front.most_connections = fits;
    }
    confine::give_up_powers()?;
    let logins = access.is_some().then(Logins::start).transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().context("tokio")?;
    // Nothing was opened for the last time before here.
    confine::filter_system_calls()?;
    let gate = access.map(of_memory).transpose()?.unwrap_or_default();
    let web = web.map(memory::unseal).transpose()?;
    let result = runtime.block_on(serve(control, settings.front, gate, logins, web, listeners));
    // What is left of connections is not waited for.
    runtime.shutdown_background();
    result
}

fn of_memory(memory: OwnedFd) -> anyhow::Result<Gate> {
    Gate::new(memory::unseal(memory)?)
}

async fn serve(
    control: OwnedFd,
    settings: FrontSettings,
    gate: Gate,
    logins: Option<Logins>,
    web: Option<Web>,
    listeners: Vec<OwnedFd>,
) -> anyhow::Result<()> {
    rustix::io::ioctl_fionbio(&control, true).context("make a socket non-blocking")?;
    // It keeps messages apart, which is all that tells it from a stream.
    let control = UnixStream::from_std(control.into()).context("epoll")?;
    let listeners = listeners.into_iter().zip(settings.listeners.iter().copied());
    let listeners = listeners.map(|(fd, is_unix)| Listener::new(fd, is_unix)).collect::<Result<Vec<_>, _>>()?;
    let shutdown = settings.shutdown;
    let server = Arc::new(Server::new(settings, gate, logins, web, Arc::new(Reader::default())));
    for listener in listeners {
        tokio::spawn(Arc::clone(&server).accept(listener));
    }
    control::send(&control, &News::Ready, &[]).context("say that it is ready")?;
    info!(process = "front", "ready");
    let mut heartbeat = tokio::time::interval(HEARTBEAT);
    loop {
        let order = tokio::select! {
            _ = heartbeat.tick() => {
                control::send(&control, &News::Alive, &[]).context("say that it is alive")?;
                continue;
            }
            () = server.reader().lost() => {
                control::send(&control, &News::Unlinked, &[]).context("say that there is no reader")?;
                continue;
            }
            order = next(&control) => order?,
        };
        match order {
            None => return Ok(()),
            Some((Order::Link, fds)) => {
                let link = fds.into_iter().next().context("a connection without its socket")?;
                server.reader().join(link)?;
            }
            Some((Order::Access, fds)) => {
                let memory = fds.into_iter().next().context("who may connect is missing")?;
                // The supervisor has tried it.
                match of_memory(memory) {
                    Ok(gate) => {
                        server.take_gate(gate);
                        info!(process = "front", "configuration taken");
                    }
                    Err(error) => warn!(process = "front", "configuration not taken: {error:#}"),
                }
            }
            Some((Order::Left { readers, is_given_up, starts }, _)) => {
                server.reader().take_left(readers, is_given_up, starts);
            }
            Some((Order::Drain, _)) => break,
            Some((Order::Start(_), _)) => {}
        }
    }
    server.drain(shutdown).await;
    Ok(())
}

async fn next(control: &UnixStream) -> std::io::Result<Option<(Order, Vec<OwnedFd>)>> {
    control.async_io(Interest::READABLE, || control::receive::<Order>(control, RecvFlags::DONTWAIT)).await
}
