//! The commands, a file for each.

use lxkns_core::model::{NamespaceId, NamespaceType, Pid, Places, Snapshot};

use crate::args::{Args, Command};
use crate::exit::{Exit, Result, say};
use crate::resolve::{Unresolved, resolve};
use crate::target::Asked;
use crate::{gaps, live};

mod dump;
mod ls;
mod man;
mod why;

/// Runs a command.
pub(crate) fn run(args: &Args) -> Result {
    match &args.command {
        Command::Ls(ls) => ls::run(ls, args.color),
        Command::Why(why) => why::run(why, args.color),
        Command::Dump(dump) => dump::run(dump),
        Command::Man { dir } => man::run(dir),
    }
}

/// Says what could not be seen, on standard error.
fn tell_gaps(snapshot: &Snapshot, places: Places) {
    for line in gaps::lines(snapshot, places) {
        say(line);
    }
}

/// The mount namespace in which the paths of mounts mean what they say: the reader's own, or that of the host's first
/// process where the host is not this one.
fn home(snapshot: &Snapshot, is_live: bool) -> Option<NamespaceId> {
    if is_live {
        return live::own_namespace(NamespaceType::Mnt);
    }
    let of_init = snapshot.processes.get(&Pid(1)).and_then(|process| process.namespaces.get(NamespaceType::Mnt));
    let initial =
        || snapshot.namespaces.values().find(|namespace| namespace.initial && namespace.ns_type == NamespaceType::Mnt);
    of_init.or_else(|| initial().map(|namespace| namespace.id))
}

/// Finds what was asked for, and says of each that means nothing why: the others are still answered. Also the exit
/// code that this comes to.
fn find<'a>(snapshot: &Snapshot, asked: &'a [Asked], is_live: bool) -> (Vec<(&'a Asked, Vec<NamespaceId>)>, Exit) {
    let mut found = Vec::new();
    let mut exit = Exit::Done;
    for asked in asked {
        match resolve(snapshot, asked, is_live) {
            Ok(ids) => found.push((asked, ids)),
            Err(unresolved) => {
                say(&unresolved);
                let worse = match unresolved {
                    Unresolved::Missing(_) => Exit::Missing,
                    Unresolved::Usage(_) => Exit::Usage,
                    Unresolved::Unseen(_) => Exit::Failed,
                };
                exit = exit.max(worse);
            }
        }
    }
    (found, exit)
}
