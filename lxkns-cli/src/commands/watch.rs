//! `lxkns watch`: what appears, goes and changes on the living host, as it is seen.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use lxkns_answers::changes::invisible;
use lxkns_answers::json;
use lxkns_answers::watch::{Look, Scan, WatchError, Watcher};
use lxkns_core::Discovery;
use lxkns_core::model::{DiscoveryOptions, Namespace, NamespaceId, Place, Snapshot};
use lxkns_core::relations::Life;
use lxkns_mountns::Access;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::{Findings, diff};
use crate::args::{PatienceArgs, WatchArgs};
use crate::exit::{Error, Exit, Result, say};
use crate::life::Lives;
use crate::live;
use crate::resolve::resolver;
use crate::view::changes::write;
use crate::view::screen::{self, Color};
use crate::view::why::SOME;

/// Scans of this host in one session, so a file system that does not answer is left alone, and is not asked anew by each.
struct Host<'a> {
    access: &'a Access,
    session: Discovery<'a>,
    patience: &'a PatienceArgs,
    options: DiscoveryOptions,
    lives: Lives,
    is_first: bool,
}

impl Scan for Host<'_> {
    type Error = Error;

    fn scan(&mut self) -> Result<Snapshot> {
        if !std::mem::take(&mut self.is_first) {
            self.access.begin_anew();
        }
        live::discover(&self.session, &self.options, self.patience)
    }

    fn life(&mut self, namespace: &Namespace) -> Life {
        self.lives.of(namespace)
    }

    fn is_chrooted(&mut self, snapshot: &Snapshot) -> bool {
        super::is_chrooted(snapshot)
    }
}

/// Runs it.
pub(crate) fn run(args: &WatchArgs, color: Color) -> Result {
    screen::check()?;
    let access = live::access(&args.patience);
    let options = diff::options();
    let host = Host {
        access: &access,
        session: live::session(&access)?.repeated(),
        patience: &args.patience,
        options: options.clone(),
        lives: Lives::default(),
        is_first: true,
    };
    let mut began = Instant::now();
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
    say(begins(first, args, watched.as_ref()));
    if let Some(watched) = watched {
        watcher = watcher.only(watched);
    }
    if args.all {
        watcher = watcher.with_all_holders();
    }
    let mut is_explained = false;
    loop {
        if !wait(began.checked_add(args.interval))? {
            return Ok(Exit::Done);
        }
        began = Instant::now();
        let look = watcher.look().map_err(|error| match error {
            WatchError::Scan(error) => error,
            WatchError::DifferentBoots(error) => error.into(),
        })?;
        if !look.changes.is_empty() {
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

/// What is said first, when the first look is done.
fn begins(snapshot: &Snapshot, args: &WatchArgs, watched: Option<&BTreeSet<NamespaceId>>) -> String {
    let is_shown = |ns_type| args.types.is_empty() || args.types.contains(&ns_type);
    let of_types = || snapshot.namespaces.values().filter(|namespace| is_shown(namespace.ns_type)).count();
    let count = watched.map_or_else(of_types, BTreeSet::len);
    let (plural, seconds) = (if count == 1 { "" } else { "s" }, args.interval.as_secs_f64());
    let new = if watched.is_some() { "" } else { " and what appears" };
    format!("watching {count} namespace{plural}{new}, every {seconds} s")
}

/// Tells what a look has shown, and when that was.
fn tell(look: &Look<'_>, args: &WatchArgs, color: Color) -> Result<()> {
    if args.json {
        return screen::print(|out| {
            Ok(look.events().iter().try_for_each(|event| json::write_line(event, &mut *out))?)
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
        Ok(write(out, &look.between, &look.changes, screen, limit)?)
    })
}

/// Waits until then; `false` as soon as standard output has no reader.
fn wait(until: Option<Instant>) -> Result<bool> {
    let stdout = io::stdout();
    loop {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        // Asked for nothing, it answers when the other end is closed.
        let mut fds = [PollFd::new(&stdout, PollFlags::empty())];
        match poll(&mut fds, timeout.as_ref()) {
            Ok(0) if left == Some(Duration::ZERO) => return Ok(true),
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => return Ok(false),
            Err(errno) => return Err(io::Error::from(errno).into()),
        }
    }
}
