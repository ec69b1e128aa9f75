//! `lxkns watch`: what appears, goes and changes on the living host, as it is seen.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::time::{Duration, Instant};

use lxkns_core::model::{Namespace, NamespaceId, Place, Snapshot};
use lxkns_core::relations::{Change, NamespaceChanges, changes};
use lxkns_core::wire;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::{Findings, diff};
use crate::args::WatchArgs;
use crate::exit::{Error, Exit, Result, say};
use crate::life::Lives;
use crate::live;
use crate::view::changes::{Between, invisible, only, only_deciding};
use crate::view::screen::{self, Color};
use crate::view::why::SOME;

/// Runs it.
pub(crate) fn run(args: &WatchArgs, color: Color) -> Result {
    screen::check()?;
    // One for all looks, so that a file system that does not answer is left alone, and is not asked anew by each.
    let access = live::access(&args.patience);
    let session = live::session(&access)?;
    let options = diff::options();
    let mut began = Instant::now();
    let mut old = live::discover(&session, &options)?;
    let Findings { found, exit, gaps_matter, .. } = super::find(&old, &args.targets, true);
    if gaps_matter {
        super::tell_gaps(&old, options.places.with(Place::CommandLines));
    }
    if exit != Exit::Done {
        return Ok(exit);
    }
    let mut watched: Option<BTreeSet<NamespaceId>> =
        (!args.targets.is_empty()).then(|| found.into_iter().flat_map(|(_, ids)| ids).collect());
    if let Some(watched) = &mut watched {
        watched.retain(|id| args.types.is_empty() || args.types.contains(&old.namespaces[id].ns_type));
        if watched.is_empty() {
            say("nothing that was asked for is of the types asked for");
            return Ok(Exit::Missing);
        }
    }
    say(begins(&old, args, watched.as_ref()));
    let mut lives = Lives::default();
    let mut hidden = Hidden::default();
    let mut is_explained = false;
    loop {
        if !wait(began.checked_add(args.interval))? {
            return Ok(Exit::Done);
        }
        began = Instant::now();
        access.begin_anew();
        let new = live::discover(&session, &options)?;
        let mut found = changes(&old, &new).map_err(Error::from)?;
        only(&mut found.namespaces, &args.types);
        found.settle(|namespace| lives.of(namespace));
        hidden.follow(&mut found.namespaces);
        if !args.all {
            only_deciding(&mut found.namespaces);
        }
        if let Some(watched) = &mut watched {
            follow(watched, &mut found.namespaces);
        }
        if !found.namespaces.is_empty() {
            let between = Between { old: &old, new: &new, home: super::home(&new, true) };
            tell(&between, &found.namespaces, args, color)?;
            if let Some(line) = invisible(&found.namespaces, &new).filter(|_| !is_explained) {
                say(line);
                is_explained = true;
            }
        }
        if watched.as_ref().is_some_and(BTreeSet::is_empty) {
            return Ok(Exit::Done);
        }
        old = new;
        hidden.carry_over(&mut old);
    }
}

/// The namespaces that live and are no longer visible: their end is told too, or that they are visible again.
#[derive(Debug, Default)]
struct Hidden(BTreeMap<NamespaceId, Namespace>);

impl Hidden {
    /// Leaves out what was told of them before, and notes which there are now.
    fn follow(&mut self, namespaces: &mut Vec<NamespaceChanges<'_>>) {
        namespaces.retain_mut(|told| {
            let id = told.namespace().id;
            if told.changes.contains(&Change::Hidden) {
                let mut namespace = told.namespace().clone();
                namespace.holders.clear();
                namespace.leaders.clear();
                namespace.loose_threads.clear();
                return self.0.insert(id, namespace).is_none();
            }
            if self.0.contains_key(&id) && told.old.is_some() {
                self.0.remove(&id);
                if told.new.is_some() {
                    told.changes.insert(0, Change::Seen);
                }
            }
            true
        });
    }

    /// Adds them to what the next look is compared with.
    fn carry_over(&mut self, snapshot: &mut Snapshot) {
        self.0.retain(|id, _| !snapshot.namespaces.contains_key(id));
        snapshot.namespaces.extend(self.0.iter().map(|(&id, namespace)| (id, namespace.clone())));
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

/// Leaves only what is told of these namespaces; what went or vanished is none of them any more: nothing more can be found
/// out about it, and another one with its number is another one.
fn follow(watched: &mut BTreeSet<NamespaceId>, namespaces: &mut Vec<NamespaceChanges<'_>>) {
    namespaces.retain(|told| {
        let id = told.namespace().id;
        let is_told = watched.contains(&id);
        if told.changes.iter().any(|change| matches!(change, Change::Went | Change::Vanished)) {
            watched.remove(&id);
        }
        is_told
    });
}

/// Tells what a look has shown, and when that was.
fn tell(between: &Between<'_>, namespaces: &[NamespaceChanges<'_>], args: &WatchArgs, color: Color) -> Result<()> {
    let time = wire::time_text(between.new.taken_at).unwrap_or_default();
    if args.json {
        return screen::print(|out| diff::write_json(out, between, namespaces, Some(&time)));
    }
    // To the millisecond: a look takes longer.
    let (seconds, fraction) = time.split_once('.').unwrap_or((&time, ""));
    let time = format!("{seconds}.{fraction:.3}Z");
    screen::show(color, |out, screen| {
        screen.heading(out, &time)?;
        writeln!(out)?;
        Ok(between.write(out, namespaces, screen, if args.all { usize::MAX } else { SOME })?)
    })
}

/// Waits until then; `false` as soon as nobody reads standard output any more.
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

#[cfg(test)]
mod tests {
    use lxkns_core::relations::Life;

    use super::*;
    use lxkns_answers::testing::{BUSY, LEFT, snapshot};

    #[test]
    fn what_lives_unseen_is_told_once_and_when_it_is_visible_again() {
        let (with, mut without) = (snapshot(), snapshot());
        without.namespaces.remove(&LEFT);
        let mut hidden = Hidden::default();
        let mut look = |old: &Snapshot, new: &Snapshot, life| {
            let mut found = changes(old, new).unwrap();
            found.settle(|_| life);
            hidden.follow(&mut found.namespaces);
            let mut next = new.clone();
            hidden.carry_over(&mut next);
            let first = |told: &NamespaceChanges<'_>| format!("{:?}", told.changes[0]);
            (found.namespaces.iter().map(first).collect::<Vec<_>>(), next)
        };
        let (told, next) = look(&with, &without, Life::Alive);
        assert_eq!(told, ["Hidden"]);
        let (told, next) = look(&next, &without, Life::Alive);
        assert!(told.is_empty(), "{told:?}");
        let (told, next) = look(&next, &with, Life::Alive);
        assert_eq!(told, ["Seen"]);
        let (told, next) = look(&next, &without, Life::Alive);
        assert_eq!(told, ["Hidden"]);
        let (told, next) = look(&next, &without, Life::Ended);
        assert_eq!(told, ["Went"]);
        assert!(!next.namespaces.contains_key(&LEFT));
        assert!(look(&next, &without, Life::Ended).0.is_empty());
    }

    #[test]
    fn what_went_is_followed_no_further() {
        let (old, mut new) = (snapshot(), snapshot());
        // Another namespace has its number.
        new.namespaces.get_mut(&LEFT).unwrap().unique_id = Some(7);
        new.namespaces.remove(&BUSY);
        let mut watched = BTreeSet::from([LEFT]);
        let mut found = changes(&old, &new).unwrap().namespaces;
        assert_eq!(found.len(), 3);
        follow(&mut watched, &mut found);
        let told: Vec<_> = found.iter().map(|told| (told.namespace().id, told.changes.as_slice())).collect();
        assert_eq!(told, [(LEFT, &[Change::Went][..])]);
        assert!(watched.is_empty());
    }
}
