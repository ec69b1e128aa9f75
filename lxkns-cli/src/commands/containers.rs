//! `lxkns containers`: the containers of a host, what they share, and what confines them.

use lxkns_answers::containers::{Column, Matrix};
use lxkns_answers::json;
use lxkns_core::ProcRoot;
use lxkns_live::questions::containers as ask;

use super::Outcome;
use crate::args::ContainersArgs;
use crate::exit::{Error, Exit, Result, say};
use crate::live;
use crate::resolve;
use crate::view::columns;
use crate::view::containers as view;
use crate::view::escape::For;
use crate::view::screen::{self, Color};

/// Runs it.
pub(crate) fn run(args: &ContainersArgs, color: Color) -> Result {
    if args.table.json && (args.table.output_all || !args.table.output.is_empty()) {
        return Err(Error::Usage("columns are those of the table: --json writes all there is".to_owned()));
    }
    let default = if args.table.output_all { Column::all().collect() } else { Column::default_columns() };
    let mut columns = columns::parse_lists(&args.table.output, default, view::from_name).map_err(Error::Usage)?;
    if args.tree {
        // The column with the tree.
        columns.retain(|column| *column != Column::Container);
        columns.insert(0, Column::Container);
    }
    let is_live = args.look.from.is_none();
    let snapshot = live::load(&args.look, &ask::options(args.table.json))?;
    let Some(matrix) = Matrix::of(&snapshot) else {
        say("containers are not known: the dump was taken without searching for them");
        return Ok(Exit::Failed);
    };
    let mut outcome = Outcome::of(&args.targets);
    let resolver = resolve::resolver(&snapshot, is_live);
    let shown = ask::select(&matrix, &resolver, &args.targets, &mut |unresolved| outcome.refuse(unresolved));
    let Outcome { exit, gaps_matter } = outcome;
    let proc = if is_live { Some(ProcRoot::host()?) } else { None };
    let matrix = ask::with_labels(proc.as_ref(), matrix, &shown);
    let unseen = if gaps_matter { super::gap_lines(&snapshot, ask::places()) } else { Vec::new() };
    if args.table.json {
        screen::print(|out| Ok(json::write(&ask::answer(&matrix, &shown, unseen.clone()), out)?))?;
    } else if !shown.is_empty() {
        let headings: Vec<_> = columns.iter().map(|&column| view::heading(column)).collect();
        let goes_to = if args.table.raw { For::Fields } else { For::Eyes };
        let rows = match args.tree {
            true => view::tree(&matrix, &shown, &columns),
            false => view::rows(&matrix, &shown, &columns, goes_to),
        };
        super::show_table(&headings, &rows, &args.table, color)?;
    } else if exit == Exit::Done {
        say("no container was found");
    }
    unseen.iter().for_each(say);
    Ok(exit)
}
