//! `lxkns dump`: the snapshot as JSON.

use lxkns_core::model::{DiscoveryOptions, Place, Scope};

use crate::args::DumpArgs;
use crate::exit::{Exit, Result};
use crate::view::screen;
use crate::{live, netnsid};

/// Runs it.
pub(crate) fn run(args: &DumpArgs) -> Result {
    let mut options = DiscoveryOptions::everything();
    options.without_self = true;
    if args.no_cmdline {
        options.command_lines = Scope::None;
    }
    options.mounts = !args.no_mounts;
    let mut snapshot = live::discover(&live::session(&live::access(&args.patience))?, &options)?;
    snapshot.netnsids = netnsid::ask_all(&snapshot, snapshot.namespaces.values());
    screen::print(|out| live::write(&snapshot, args, out))?;
    super::tell_gaps(&snapshot, Place::ALL.into_iter().collect());
    Ok(Exit::Done)
}
