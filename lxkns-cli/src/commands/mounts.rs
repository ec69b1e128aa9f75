//! `lxkns mounts`: the mounts of a mount namespace.

use lxkns_answers::json;
use lxkns_answers::mounts::{Answer, Column, Mounts};
use lxkns_core::model::Mount;
use lxkns_live::questions::mounts as ask;

use super::Outcome;
use crate::args::MountsArgs;
use crate::exit::{Error, Exit, Result, say};
use crate::live;
use crate::resolve::resolver;
use crate::view::columns;
use crate::view::escape::For;
use crate::view::mounts::{self as view, Shape};
use crate::view::names;
use crate::view::screen::{self, Color};

/// Runs it.
pub(crate) fn run(args: &MountsArgs, color: Color) -> Result {
    if args.table.json && (args.table.output_all || !args.table.output.is_empty()) {
        return Err(Error::Usage("columns are those of the table: --json writes all there is".to_owned()));
    }
    let default = if args.table.output_all { Column::all().collect() } else { Column::DEFAULT.to_vec() };
    let columns = columns::parse_lists(&args.table.output, default, view::from_name).map_err(Error::Usage)?;
    let is_live = args.look.from.is_none();
    let mut snapshot = live::load(&args.look, &ask::options())?;
    let home = super::home(&snapshot, is_live).or(snapshot.observer_mount_ns);
    let found = ask::find(&snapshot, &resolver(&snapshot, is_live), args.target.as_ref(), home);
    let namespace = match found {
        Ok(namespace) => namespace,
        Err(unresolved) => return Ok(Outcome::end(unresolved, &snapshot, ask::options().places)),
    };
    // Peers can be in mount namespaces that could not be listed.
    let peers_matter =
        args.table.json || columns.iter().any(|column| matches!(column, Column::Peers | Column::Receivers));
    let places = ask::places(peers_matter);
    let told = match args.table.json {
        true => ask::found(&snapshot, namespace, args.hidden).map(Told::Answer),
        false => Mounts::of(&snapshot, namespace).map(|mounts| Told::Rows(rows(&mounts, &columns, args))),
    };
    // The answer depends on all gaps.
    ask::keep_gaps(&mut snapshot, (!peers_matter).then_some(namespace));
    match told {
        None => {
            let why = if snapshot.options.mounts { "its mounts could not be listed" } else { "the dump has no mounts" };
            say(format_args!("{}: {why}", names::namespace(&snapshot, namespace)));
            super::tell_gaps(&snapshot, places);
            return Ok(Exit::Failed);
        }
        Some(Told::Answer(answer)) => {
            let envelope = ask::answer(answer, super::gap_lines(&snapshot, places));
            screen::print(|out| Ok(json::write(&envelope, out)?))?;
        }
        Some(Told::Rows(rows)) => {
            let headings: Vec<_> = columns.iter().map(|&column| view::heading(column)).collect();
            super::show_table(&headings, &rows, &args.table, color)?;
        }
    }
    super::tell_gaps(&snapshot, places);
    Ok(Exit::Done)
}

/// The mounts that are shown.
enum Told {
    Answer(Answer),
    Rows(Vec<Vec<String>>),
}

/// The rows of the table, safe to print.
fn rows(mounts: &Mounts<'_>, columns: &[Column], args: &MountsArgs) -> Vec<Vec<String>> {
    let shape = if args.list || args.hidden || args.table.raw { Shape::List } else { Shape::Tree };
    let goes_to = if args.table.raw { For::Fields } else { For::Eyes };
    let mut rows = view::rows(mounts, shape);
    rows.retain(|(_, mount)| mount.hidden || !args.hidden);
    let cells = |(branch, mount): (String, &Mount)| {
        let cell = |&column: &Column| match column {
            Column::Target => format!("{branch}{}", mounts.printable(mount, column, goes_to)),
            _ => mounts.printable(mount, column, goes_to),
        };
        columns.iter().map(cell).collect()
    };
    rows.into_iter().map(cells).collect()
}
