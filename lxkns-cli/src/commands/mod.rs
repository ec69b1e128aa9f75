//! The commands, a file for each.

use std::process::ExitCode;

use anyhow::Context as _;
use lxkns_answers::Context;
use lxkns_core::model::{NamespaceId, Places, Snapshot};

use crate::args::{Args, Command, TableArgs};
use crate::exit::{self, Exit, Result, say};
use crate::live;
use crate::resolve::{Ends as _, Resolver, Unresolved};
use crate::view::names;
use crate::view::screen::{self, Color};
use crate::view::table::{self, Heading};
use lxkns_answers::target::Asked;
use lxkns_live::questions::{self, gap_lines};

mod audit;
mod busy;
mod caps;
mod complete;
mod completions;
mod containers;
mod diff;
mod doctor;
mod dump;
mod enter;
mod explain;
mod links;
mod ls;
mod man;
mod mounts;
mod orphans;
mod owner;
mod ports;
mod show;
mod tree;
mod watch;
mod who_can;
mod why;

pub(crate) use self::enter::{bad_usage as bad_usage_of_enter, without_dashes};

/// Runs a command, and reports how it ended.
pub(crate) fn run(args: &Args) -> ExitCode {
    exit::report(match &args.command {
        // It has exit codes of its own.
        Command::Enter(enter) => return enter::run(enter, args.color),
        Command::Ls(ls) => ls::run(ls, args.color),
        Command::Orphans(orphans) => orphans::run(orphans, args.color),
        Command::Tree(tree) => tree::run(tree, args.color),
        Command::Show(show) => show::run(show, args.color),
        Command::Why(why) => why::run(why, args.color),
        Command::Mounts(mounts) => mounts::run(mounts, args.color),
        Command::Busy(busy) => busy::run(busy, args.color),
        Command::Caps(caps) => caps::run(caps, args.color),
        Command::WhoCan(who_can) => who_can::run(who_can, args.color),
        Command::Explain(explain) => explain::run(explain, args.color),
        Command::Owner(owner) => owner::run(owner, args.color),
        Command::Containers(containers) => containers::run(containers, args.color),
        Command::Audit(audit) => audit::run(audit, args.color),
        Command::Ports(ports) => ports::run(ports, args.color),
        Command::Links(links) => links::run(links, args.color),
        Command::Doctor(doctor) => doctor::run(doctor, args.color),
        Command::Dump(dump) => dump::run(dump),
        Command::Diff(diff) => diff::run(diff, args.color),
        Command::Watch(watch) => watch::run(watch, args.color),
        Command::Completions(completions) => completions::run(completions),
        Command::Complete { words } => complete::run(words),
        Command::Man(args) => man::run(&args.dir),
        Command::Inside => match lxkns_inside::serve().context("only another lxkns runs this command") {
            Ok(()) => Ok(Exit::Done),
            Err(error) => Err(error.into()),
        },
    })
}

/// Writes a table in the form that these options select.
fn show_table(headings: &[Heading], rows: &[Vec<impl table::Cell>], args: &TableArgs, color: Color) -> Result<()> {
    if args.raw {
        screen::print(|out| Ok(table::write_raw(out, headings, rows, !args.no_headings)?))
    } else {
        screen::show(color, |out, screen| Ok(table::write_aligned(out, headings, rows, !args.no_headings, screen)?))
    }
}

/// Reports gaps on standard error.
fn tell_gaps(snapshot: &Snapshot, places: Places) {
    gap_lines(snapshot, places).iter().for_each(say);
}

/// The subject of an answer: a new snapshot of this host, or a dump.
fn context(snapshot: &Snapshot, is_live: bool) -> Context<'_> {
    if is_live { Context::live(snapshot, is_chrooted(snapshot)) } else { Context::of_dump(snapshot) }
}

/// Whether the caller's root directory differs from that of its mount namespace.
fn is_chrooted(snapshot: &Snapshot) -> bool {
    snapshot.observer_mount_ns.is_some_and(|own| live::is_chrooted(snapshot, own))
}

/// Reports that the paths in the list of mounts mean other files to the caller.
fn tell_other_root(snapshot: &Snapshot, is_live: bool) {
    if let Some(own) = snapshot.observer_mount_ns.filter(|_| is_live && home(snapshot, true).is_none()) {
        say(format_args!(
            "the root directory of the caller is not that of {} (chroot): paths of mounts are those of that namespace; \
             `umount -N PID PATH` takes them",
            names::namespace(snapshot, own)
        ));
    }
}

/// The mount namespace whose paths mean the same to the caller.
fn home(snapshot: &Snapshot, is_live: bool) -> Option<NamespaceId> {
    context(snapshot, is_live).mount_ns
}

/// What TARGETs come to: one without a meaning is reported, and the others are still answered.
struct Outcome {
    /// The exit code.
    exit: Exit,
    /// Whether gaps can change the answer.
    gaps_matter: bool,
}

impl Outcome {
    /// Of these, before any is found.
    fn of(asked: &[Asked]) -> Self {
        Self { exit: Exit::Done, gaps_matter: asked.is_empty() }
    }

    /// Reports a TARGET that means nothing.
    fn refuse(&mut self, unresolved: Unresolved) {
        say(&unresolved);
        let (exit, gaps_matter) = unresolved.exit();
        self.exit = self.exit.max(exit);
        self.gaps_matter |= gaps_matter;
    }

    /// Reports why there is no answer, and the gaps that may be the reason.
    fn end(unresolved: Unresolved, snapshot: &Snapshot, places: Places) -> Exit {
        let mut outcome = Self { exit: Exit::Done, gaps_matter: false };
        outcome.refuse(unresolved);
        if outcome.gaps_matter {
            tell_gaps(snapshot, places);
        }
        outcome.exit
    }
}

/// The outcome for the TARGETs.
struct Findings<'a> {
    /// The meaning of each that has one.
    found: Vec<(&'a Asked, Vec<NamespaceId>)>,
    /// The exit code of the others.
    exit: Exit,
    /// Whether gaps can change the answer.
    gaps_matter: bool,
}

/// Resolves the TARGETs. A TARGET without a meaning is reported, and the others are still answered.
fn find<'a>(resolver: &Resolver<'_>, asked: &'a [Asked]) -> Findings<'a> {
    let mut outcome = Outcome::of(asked);
    let found = questions::find(resolver, asked, &mut |unresolved| outcome.refuse(unresolved));
    Findings { exit: outcome.exit, gaps_matter: outcome.gaps_matter || !found.is_empty(), found }
}
