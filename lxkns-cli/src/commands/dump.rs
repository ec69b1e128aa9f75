//! `lxkns dump`: the snapshot as JSON.

use lxkns_core::model::{DiscoveryOptions, Place, Scope};

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
    let access = live::access(&args.patience);
    let session = live::session(&access)?;
    let mut snapshot = live::discover(&session, &options)?;
    snapshot.netnsids = lxkns_inside::nsids(&session, &snapshot, snapshot.namespaces.values());
    screen::print(|out| live::write(&snapshot, args, out))?;
    super::tell_gaps(&snapshot, Place::ALL.into_iter().collect());
    // The program ends here, and all memory with it.
    std::mem::forget(snapshot);
    Ok(Exit::Done)
}
