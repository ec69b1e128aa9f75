//! `lxkns ports`: who listens, in every network namespace.

use lxkns_answers::json::{self, Envelope};
use lxkns_answers::ports::{Column, Ports, Scope, inodes};
use lxkns_core::model::CompactSort as _;
use lxkns_core::model::inside::Parts;
use lxkns_core::model::{DiscoveryOptions, Place};
use lxkns_inside::Program;

use crate::args::{INSIDE, PortsArgs};
use crate::exit::{Error, Exit, Result, say};
use crate::live;
use crate::progress::Progress;
use crate::resolve::{self, Outcome as _};
use crate::view::escape::For;
use crate::view::screen::{self, Color};
use crate::view::{columns, ports as view};

/// Runs it.
pub(crate) fn run(args: &PortsArgs, color: Color) -> Result {
    if args.look.from.is_some() {
        return Err(Error::Usage("a dump has no sockets; leave out --from to read this host".to_owned()));
    }
    let columns = columns::of_table(&args.table, Column::all(), Column::default_columns(), view::from_name)?;
    let mut options = DiscoveryOptions::namespaces();
    options.without_self = true;
    let access = live::access(&args.look.patience);
    let session = live::session(&access)?.keep_socket_users();
    let mut snapshot = live::discover(&session, &options, &args.look.patience)?;

    let (mut scope, mut exit) = (None, Exit::Done);
    if !args.targets.is_empty() {
        let resolver = resolve::resolver(&snapshot, true);
        let mut meant = Scope::default();
        let mut gaps_matter = false;
        for asked in &args.targets {
            if let Err(unresolved) = meant.add(&snapshot, &resolver, asked) {
                say(&unresolved);
                exit = exit.max(unresolved.exit().0);
                gaps_matter |= unresolved.exit().1;
            }
        }
        if meant == Scope::default() {
            if gaps_matter {
                super::tell_gaps(&snapshot, options.places);
            }
            return Ok(exit);
        }
        scope = Some(meant);
    }
    let progress = Progress::of("reading the sockets of all network namespaces");
    let parts = Parts { sockets: true, unix_sockets: args.unix, ..Parts::default() };
    let namespaces = Scope::to_survey(scope.as_ref(), &snapshot);
    let program = Program::again(INSIDE)?;
    let surveyed = lxkns_inside::survey(&session, &snapshot, &namespaces, parts, &program, args.look.patience.timeout);
    let inodes = inodes(&surveyed);
    // Who made a socket can have come since the scan.
    let (users, gaps) = if inodes.is_empty() { Default::default() } else { session.all_socket_users(&inodes) };
    drop(progress);
    snapshot.gaps.extend(gaps);
    snapshot.gaps.compact_sort();
    snapshot.gaps.dedup();

    let ports = Ports::new(super::context(&snapshot, true), &surveyed, users, scope.as_ref(), &args.ports);
    let mut gaps = ports.gaps();
    gaps.extend(super::gap_lines(&snapshot, options.places.with(Place::Fds).with(Place::TaskFds)));
    if args.table.json {
        let envelope = Envelope::new("ports", ports.answers(), gaps.clone());
        screen::print(|out| Ok(json::write(&envelope, out)?))?;
    } else if !ports.is_empty() {
        let headings: Vec<_> = columns.iter().map(|&column| view::heading(column)).collect();
        let goes_to = if args.table.raw { For::Fields } else { For::Eyes };
        super::show_table(&headings, &view::rows(&ports, &columns, goes_to), &args.table, color)?;
    }
    if ports.is_empty() {
        let numbers: Vec<_> = args.ports.iter().map(u16::to_string).collect();
        let on = match numbers.len() {
            0 => String::new(),
            1 => format!(" on port {}", numbers[0]),
            _ => format!(" on ports {}", numbers.join(", ")),
        };
        let is_asked = !args.ports.is_empty();
        if ports.is_complete(scope.as_ref()) {
            say(format_args!("nothing listens{on}"));
            exit = exit.max(if is_asked { Exit::Missing } else { Exit::Done });
        } else {
            say(format_args!("nothing visible listens{on}; not everything could be read, so something may"));
            exit = exit.max(if is_asked { Exit::Failed } else { Exit::Done });
        }
    }
    gaps.iter().for_each(say);
    Ok(exit)
}
