//! `lxkns ports`: who listens, in every network namespace.

use lxkns_answers::json;
use lxkns_answers::ports::{Column, Ports, Scope};
use lxkns_live::questions::ports as ask;

use super::Outcome;
use crate::args::PortsArgs;
use crate::exit::{Error, Exit, Result, say};
use crate::live::{self, Living};
use crate::progress::Progress;
use crate::resolve;
use crate::view::escape::For;
use crate::view::screen::{self, Color};
use crate::view::{columns, ports as view};

/// Runs it.
pub(crate) fn run(args: &PortsArgs, color: Color) -> Result {
    if args.look.from.is_some() {
        return Err(Error::Usage("a dump has no sockets: ports reads this host only".to_owned()));
    }
    if args.table.json && (args.table.output_all || !args.table.output.is_empty()) {
        return Err(Error::Usage("columns are those of the table: --json writes all there is".to_owned()));
    }
    let default = if args.table.output_all { Column::all().collect() } else { Column::default_columns() };
    let columns = columns::parse_lists(&args.table.output, default, view::from_name).map_err(Error::Usage)?;
    let access = live::access(&args.look.patience);
    let session = live::session(&access)?.keep_socket_users();
    let mut snapshot = live::discover(&session, &ask::options(), &args.look.patience)?;
    let living = Living::of(session, args.look.patience.timeout)?;

    let mut outcome = Outcome::of(&args.targets);
    let resolver = resolve::resolver(&snapshot, true);
    let scope = ask::scope(&snapshot, &resolver, &args.targets, &mut |unresolved| outcome.refuse(unresolved));
    let Outcome { mut exit, gaps_matter } = outcome;
    if scope.as_ref() == Some(&Scope::default()) {
        if gaps_matter {
            super::tell_gaps(&snapshot, ask::options().places);
        }
        return Ok(exit);
    }
    let progress = Progress::of("looking at the sockets of all network namespaces");
    let (surveyed, users, more) = ask::read(&living.host(), &snapshot, scope.as_ref(), args.unix);
    drop(progress);
    more.add_to(&mut snapshot);

    let ports = Ports::new(super::context(&snapshot, true), &surveyed, users, scope.as_ref(), &args.ports);
    let gaps = ask::gaps(&snapshot, &ports);
    if args.table.json {
        screen::print(|out| Ok(json::write(&ask::answer(&ports, gaps.clone()), out)?))?;
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
