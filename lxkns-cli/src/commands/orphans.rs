//! `lxkns orphans`: the namespaces without a process or task.

use std::time::Duration;

use lxkns_answers::json::{self, Envelope};
use lxkns_answers::links::Links;
use lxkns_answers::orphans::{has_leak, has_network, orphans, results};
use lxkns_answers::release::Advice;
use lxkns_answers::why::may_be_held_by_shared_memory;
use lxkns_core::model::{DiscoveryOptions, Namespace, NamespaceType, Place, Scope};

use crate::args::OrphansArgs;
use crate::exit::{Exit, Result, say};
use crate::live;
use crate::view::orphans::write;
use crate::view::screen::{self, Color};
use crate::view::why::{FEW, SOME};

/// How long a PID namespace takes to end, at most, where nothing keeps it.
const SETTLING: Duration = Duration::from_millis(100);
/// What a dump does not have.
const NOT_IN_A_DUMP: &str = "links left over with network namespaces not read: a dump has no links";

/// Runs it.
pub(crate) fn run(args: &OrphansArgs, color: Color) -> Result {
    let mut options = DiscoveryOptions::namespaces();
    options.command_lines = Scope::Named;
    // Whether the caller may end a process depends on its UIDs.
    options.status = Scope::Named;
    options.suspects = true;
    options.without_self = true;
    // Propagation of unmounts depends on all mounts.
    options.mounts = true;
    let is_live = args.look.from.is_none();
    let mut snapshot = live::load(&args.look, &options)?;
    let is_asked = args.types.is_empty() || args.types.contains(&NamespaceType::Ipc);
    if is_live && is_asked && snapshot.namespaces.values().any(may_be_held_by_shared_memory) {
        live::add_shared_memory(&live::access(&args.look.patience), &mut snapshot)?;
    }
    let is_pid = |namespace: &&Namespace| namespace.ns_type == NamespaceType::Pid;
    if is_live && (args.types.is_empty() || args.types.contains(&NamespaceType::Pid)) {
        let ids: Vec<_> = snapshot.namespaces.values().filter(is_pid).map(|namespace| namespace.id).collect();
        live::add_endings(&mut snapshot, &ids);
        if !snapshot.annotations.endings.is_empty() {
            // What is just ending has ended by then.
            std::thread::sleep(SETTLING);
            let ids: Vec<_> = snapshot.annotations.endings.keys().copied().collect();
            live::add_endings(&mut snapshot, &ids);
        }
    }
    let context = super::context(&snapshot, is_live);
    let advice = Advice::of(context);
    let orphans = orphans(&advice, &args.types);
    let mut gaps = super::gap_lines(&snapshot, options.places.with(Place::CommandLines).with(Place::Suspects));
    let is_asked = args.types.is_empty() || args.types.contains(&NamespaceType::Net);
    let host_links = match is_live && is_asked {
        true => Some(live::links(&snapshot, args.look.patience.timeout)?),
        false => None,
    };
    let links = host_links.as_ref().map(|all| Links { context, all });
    let leftovers = links.map(|links| links.leftovers(advice.lacks()));
    match links {
        Some(links) => gaps.extend(links.gaps().into_iter().chain(links.not_found())),
        None if has_network(&orphans) => gaps.push(NOT_IN_A_DUMP.to_owned()),
        None => {}
    }
    if args.json {
        let results = results(&context, &orphans, leftovers.as_ref(), if args.all { usize::MAX } else { SOME });
        screen::print(|out| Ok(json::write(&Envelope::new("orphans", results, gaps.clone()), out)?))?;
    } else {
        let limit = if args.all { usize::MAX } else { FEW };
        screen::show(color, |out, screen| Ok(write(out, &context, &orphans, leftovers.as_ref(), screen, limit)?))?;
    }
    super::tell_other_root(&snapshot, is_live);
    gaps.iter().for_each(say);
    Ok(if args.fail && has_leak(&orphans) { Exit::Found } else { Exit::Done })
}
