//! `lxkns watch`: what appears, goes and changes on the living host, as it is seen.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use lxkns_answers::changes::invisible;
use lxkns_answers::json;
use lxkns_answers::watch::{Look, Pace, Scan, WatchError, Watcher};
use lxkns_answers::{event_source, gaps};
use lxkns_core::model::{DiscoveryOptions, EventRefusal, EventSource, Namespace, NamespaceId, Place, Snapshot};
use lxkns_core::relations::Life;
use lxkns_core::{Discovery, EventOptions, Events, ProcRoot};
use lxkns_inside::Lives;
use lxkns_mountns::Access;
use rustix::event::{PollFd, PollFlags};

use super::Findings;
use crate::args::{PatienceArgs, WatchArgs};
use crate::exit::{Error, Exit, Result, say};
use crate::live;
use crate::resolve::resolver;
use crate::view::changes::write;
use crate::view::screen::{self, Color};
use crate::view::why::SOME;

/// Scans of this host in one session, so a file system that does not answer is left alone, and is not asked anew by each.
struct Host<'a> {
    access: &'a Access,
    session: &'a Discovery<'a>,
    patience: &'a PatienceArgs,
    options: DiscoveryOptions,
    lives: Lives,
    is_first: bool,
}

impl Scan for Host<'_> {
    type Error = Error;

    fn scan(&mut self) -> Result<Arc<Snapshot>> {
        if !std::mem::take(&mut self.is_first) {
            self.access.begin_anew();
        }
        live::discover(self.session, &self.options, self.patience).map(Arc::new)
    }

    fn life(&mut self, namespace: &Namespace) -> Life {
        self.lives.of(namespace)
    }

    fn mount_ns(&mut self, snapshot: &Snapshot) -> Option<NamespaceId> {
        super::home(snapshot, true)
    }
}

/// Runs it.
pub(crate) fn run(args: &WatchArgs, color: Color) -> Result {
    screen::check()?;
    let access = live::access(&args.patience);
    let session = live::session(&access)?.repeated();
    let mut options = lxkns_live::questions::diff::options();
    // Each scan would read all of them again.
    options.mounts = false;
    // Before the first scan, so what happens meanwhile is not missed.
    let mut events = if args.events { Some(start(args)?) } else { None };
    let host = Host {
        access: &access,
        session: &session,
        patience: &args.patience,
        options: options.clone(),
        lives: Lives::default(),
        is_first: true,
    };
    let source = events.as_ref().and_then(Events::source);
    let mut pace = Pace::new(interval(args, source));
    let mut watcher = Watcher::new(host)?.of_types(&args.types);
    let first = watcher.snapshot();
    let Findings { found, exit, gaps_matter, .. } = super::find(&resolver(first, true), &args.targets);
    if gaps_matter {
        super::tell_gaps(first, options.places.with(Place::CommandLines));
    }
    if exit != Exit::Done {
        return Ok(exit);
    }
    let mut watched: Option<BTreeSet<NamespaceId>> =
        (!args.targets.is_empty()).then(|| found.into_iter().flat_map(|(_, ids)| ids).collect());
    if let Some(watched) = &mut watched {
        watched.retain(|id| args.types.is_empty() || args.types.contains(&first.namespaces[id].ns_type));
        if watched.is_empty() {
            say("no target has a requested type");
            return Ok(Exit::Missing);
        }
    }
    if let Some(events) = &events {
        event_source::shortcoming(source, events.refusals(), gaps::held(first)).into_iter().for_each(say);
    }
    say(begins(first, args, watched.as_ref(), source));
    if let Some(watched) = watched {
        watcher = watcher.only(watched);
    }
    if args.all {
        watcher = watcher.with_all_holders();
    }
    let mut is_explained = false;
    loop {
        // What was mounted since the scan, in a mount namespace that is new, takes another one.
        let has_new = watch_mounts(&mut events, &session, watcher.snapshot());
        if source.is_some() && (has_new || watcher.is_due()) {
            pace.want(Instant::now());
        }
        loop {
            let woken = wait(pace.due(), events.as_ref())?;
            if woken == Woken::Closed {
                return Ok(Exit::Done);
            }
            if let Some(refusal) = events.as_ref().and_then(|events| note(events, &mut watcher, &mut pace)) {
                let why = event_source::why(&refusal, gaps::held(watcher.snapshot()));
                say(format!(
                    "task events have stopped, so scans are at the interval from now on; {}: {why}",
                    refusal.source
                ));
                pace.set_interval(interval(args, None));
            }
            if woken == Woken::Due {
                break;
            }
        }
        let began = Instant::now();
        let look = watcher.look().map_err(|error| match error {
            WatchError::Scan(error) => error,
            WatchError::DifferentBoots(error) => error.into(),
        })?;
        pace.scanned(began, began.elapsed());
        if !look.is_empty() {
            tell(&look, args, color)?;
            if let Some(line) = invisible(&look.changes, look.between.new.snapshot).filter(|_| !is_explained) {
                say(line);
                is_explained = true;
            }
        }
        if watcher.is_done() {
            return Ok(Exit::Done);
        }
    }
}

/// Begins to follow what tasks do.
fn start(args: &WatchArgs) -> Result<Events> {
    let mut options = EventOptions::default();
    options.system_calls = args.syscalls;
    Ok(Events::start(&ProcRoot::host()?, &options).context("follow events")?)
}

/// How often scans are taken where nothing is known to have happened.
fn interval(args: &WatchArgs, source: Option<EventSource>) -> Duration {
    let default = if source.is_some() { Duration::from_secs(10) } else { Duration::from_secs(1) };
    args.interval.unwrap_or(default)
}

/// Has changes of the mounts in all mount namespaces reported, where the kernel does that. Whether one of them is new.
fn watch_mounts(events: &mut Option<Events>, session: &Discovery<'_>, snapshot: &Snapshot) -> bool {
    let Some(events) = events else { return false };
    let opener = session.opener(snapshot);
    events.watch_mounts(snapshot, |id| opener.open(id).ok())
}

/// Notes what has happened until now; why there will be no more events, if that is so.
fn note(events: &Events, watcher: &mut Watcher<Host<'_>>, pace: &mut Pace) -> Option<EventRefusal> {
    let batch = events.take();
    if watcher.note(&batch.tasks, batch.lost) || batch.mounts_changed {
        pace.want(Instant::now());
    }
    batch.failed
}

/// What is said first, when the first look is done.
fn begins(
    snapshot: &Snapshot,
    args: &WatchArgs,
    watched: Option<&BTreeSet<NamespaceId>>,
    source: Option<EventSource>,
) -> String {
    let is_shown = |ns_type| args.types.is_empty() || args.types.contains(&ns_type);
    let of_types = || snapshot.namespaces.values().filter(|namespace| is_shown(namespace.ns_type)).count();
    let count = watched.map_or_else(of_types, BTreeSet::len);
    let (plural, seconds) = (if count == 1 { "" } else { "s" }, interval(args, source).as_secs_f64());
    let new = if watched.is_some() { "" } else { " and new ones" };
    let events = source.map(|source| format!(" by events from {source}, and")).unwrap_or_default();
    format!("watching {count} namespace{plural}{new},{events} every {seconds} s")
}

/// Tells what a look has shown, and when that was.
fn tell(look: &Look<'_>, args: &WatchArgs, color: Color) -> Result<()> {
    if args.json {
        return screen::print(|out| {
            Ok(look.all_events().iter().try_for_each(|event| json::write_line(event, &mut *out))?)
        });
    }
    let time = look.time().unwrap_or_default();
    // To the millisecond: a look takes longer.
    let (seconds, fraction) = time.split_once('.').unwrap_or((&time, ""));
    let time = format!("{seconds}.{fraction:.3}Z");
    let limit = if args.all { usize::MAX } else { SOME };
    screen::show(color, |out, screen| {
        screen.heading(out, &time)?;
        writeln!(out)?;
        if let Some(missing) = look.missing() {
            screen.folded(out, "! ", || missing.text.clone())?;
        }
        for passed in &look.passed {
            let (sign, line) = passed.line();
            write!(out, "{sign} ")?;
            screen.heading(out, &format!("{}:[{}]", passed.namespace.ns_type, passed.namespace.id.ino))?;
            writeln!(out, "{line}")?;
        }
        Ok(write(out, &look.between, &look.changes, screen, limit)?)
    })
}

/// Why a wait has ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Woken {
    /// Standard output has no reader any more.
    Closed,
    /// Something has happened.
    Events,
    Due,
}

/// Waits until then, or until something happens; no longer than standard output has a reader.
fn wait(until: Instant, events: Option<&Events>) -> Result<Woken> {
    let stdout = io::stdout();
    // Asked for nothing, it answers when the other end is closed.
    let mut fds = vec![PollFd::new(&stdout, PollFlags::empty())];
    fds.extend(events.map(|events| PollFd::new(events, PollFlags::IN)));
    let has_some = lxkns_sys::poll_until(&mut fds, Some(until)).map_err(io::Error::from)?;
    Ok(match has_some {
        _ if !fds[0].revents().is_empty() => Woken::Closed,
        // Whatever happens, scans are taken when they are due.
        true if Instant::now() < until => Woken::Events,
        _ => Woken::Due,
    })
}
