//! `lxkns dump`: the snapshot as JSON.

use lxkns_core::model::{DiscoveryOptions, Place, Scope, Snapshot};

use crate::args::DumpArgs;
use crate::exit::{Exit, Result};
use crate::live;
use crate::view::screen;

/// Runs it.
pub(crate) fn run(args: &DumpArgs) -> Result {
    let mut options = DiscoveryOptions::everything();
    options.without_self = true;
    if args.no_cmdline {
        options.command_lines = Scope::None;
    }
    options.mounts = !args.no_mounts;
    let snapshot = match &args.look.from {
        Some(file) => without(live::read(file, &args.look.patience)?, args),
        None => {
            let access = live::access(&args.look.patience);
            let session = live::session(&access)?;
            // Which reader is used must not depend on how many processes there are just then.
            let session = if args.stable { session.repeated() } else { session };
            let mut snapshot = live::discover(&session, &options, &args.look.patience)?;
            snapshot.annotations.netnsids = lxkns_inside::nsids(&session, &snapshot, snapshot.namespaces.values());
            snapshot
        }
    };
    screen::print(|out| live::write(&snapshot, args, out))?;
    super::tell_gaps(&snapshot, Place::ALL.into_iter().collect());
    // The program ends here, which frees all memory.
    std::mem::forget(snapshot);
    Ok(Exit::Done)
}

/// Removes what the options leave out from a snapshot, as if it had never been read.
fn without(mut snapshot: Snapshot, args: &DumpArgs) -> Snapshot {
    if args.no_cmdline {
        snapshot.options.command_lines = Scope::None;
        snapshot.processes.values_mut().for_each(|process| process.command_line = None);
        snapshot.gaps.retain(|gap| gap.place != Place::CommandLines);
    }
    if args.no_mounts {
        snapshot.options.mounts = false;
        snapshot.mounts.clear();
    }
    snapshot
}
