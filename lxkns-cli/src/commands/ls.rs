//! `lxkns ls`: one line for each namespace.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::ManuallyDrop;

use lxkns_answers::json;
use lxkns_answers::list::{self, Column, List};
use lxkns_answers::target::{Asked, Target};
use lxkns_core::Discovery;
use lxkns_core::model::{Namespace, NamespaceId, NamespaceType, Place};

use super::Findings;
use crate::args::LsArgs;
use crate::exit::{Error, Exit, Result, say};
use crate::live;
use crate::resolve::resolver;
use crate::view::escape::For;
use crate::view::screen::{self, Color};
use crate::view::{columns, shorten, table};

/// Runs it.
pub(crate) fn run(args: &LsArgs, color: Color) -> Result {
    let default = if args.table.output_all { Column::all().collect() } else { Column::default_for(&args.types) };
    let mut columns = columns::parse(&args.table.output, default).map_err(Error::Usage)?;
    let mut asked = args.targets.clone();
    asked.extend(args.pids.iter().map(|&pid| Asked::process(pid)));
    let of_processes = !asked.is_empty()
        && asked.iter().all(|asked| matches!(asked.target, Target::Process(_) | Target::OfProcess(..)));
    let needed: Vec<_> = columns.iter().copied().chain(args.sort).collect();
    let mut options = list::options(&needed, of_processes);
    let mut places = list::places(&needed, &options);
    let names_where_any = has_names_where_any(args, &columns);
    if names_where_any && !options.places.contains(Place::BindMounts) {
        // A name in a list that is missing is not shown, but the TARGETs have no gap.
        places = places.without(Place::BindMounts);
        options.places = options.places.with(Place::BindMounts);
    }
    let is_live = args.look.from.is_none();
    // The program ends after this view, which frees all memory faster than dropping each value.
    let snapshot = ManuallyDrop::new(live::load(&args.look, &options)?);

    let Findings { found, mut exit, gaps_matter, .. } = super::find(&resolver(&snapshot, is_live), &asked);
    let only: Option<BTreeSet<NamespaceId>> =
        (!asked.is_empty()).then(|| found.into_iter().flat_map(|(_, ids)| ids).collect());
    let mut shown = list::select(&snapshot, only.as_ref(), &args.types);
    if shown.is_empty() && only.is_some_and(|only| !only.is_empty()) {
        // The TARGETs exist, but none has a requested type.
        say("no target has a requested type");
        exit = exit.max(Exit::Missing);
    }
    let netnsids = match needed.contains(&Column::Netnsid) {
        true if is_live => lxkns_inside::nsids(&Discovery::of_host()?, &snapshot, shown.iter().copied()),
        true => snapshot.annotations.netnsids.clone(),
        false => BTreeMap::new(),
    };
    let list = List::new(super::context(&snapshot, is_live), netnsids);
    if let Some(column) = args.sort {
        list.sort(&mut shown, column);
    }
    if names_where_any && shown.iter().any(|namespace| list.is_named(namespace)) {
        let before = columns.iter().position(|&column| column == Column::Command).unwrap_or(columns.len());
        columns.insert(before, Column::Netns);
    }
    if is_for_people(args) {
        // Only those with a value.
        let missing = list.whose_columns(&shown).into_iter().filter(|column| !columns.contains(column));
        let missing: Vec<_> = missing.collect();
        let before = columns.iter().position(|&column| column == Column::Command).unwrap_or(columns.len());
        columns.splice(before..before, missing);
    }
    // For a mistyped TARGET alone, a table of headings would only confuse; JSON stays JSON.
    if args.table.json {
        screen::print(|out| Ok(json::write(&list.answer(&shown, &columns), out)?))?;
    } else if !(shown.is_empty() && exit != Exit::Done) {
        let headings: Vec<_> = columns.iter().map(|&column| columns::heading(column)).collect();
        let rows = |goes_to, terminal| -> Vec<Vec<columns::Shown>> {
            let cell = |namespace: &Namespace, column| match column {
                // Of a holder, only the texts of others are shortened.
                Column::Command => shorten::within(shorten::limit_for(terminal), || list.cell(namespace, column)),
                _ => list.cell(namespace, column),
            };
            let row = |&namespace: &&Namespace| {
                columns.iter().map(|&column| columns::Shown::of(&cell(namespace, column), goes_to)).collect()
            };
            shown.iter().map(row).collect()
        };
        if args.table.raw {
            super::show_table(&headings, &rows(For::Fields, None), &args.table, color)?;
        } else {
            screen::show(color, |out, screen| {
                let rows = rows(For::Eyes, screen.width);
                Ok(table::write_aligned(out, &headings, &rows, !args.table.no_headings, screen)?)
            })?;
        }
    }
    if gaps_matter {
        super::tell_gaps(&snapshot, places);
    }
    Ok(exit)
}

/// Whether a column with the names of network namespaces is added if any has one: for people, to the default columns, unless
/// these have the paths that the names come from.
fn has_names_where_any(args: &LsArgs, columns: &[Column]) -> bool {
    let has_net = args.types.is_empty() || args.types.contains(&NamespaceType::Net);
    let has_names = columns.iter().any(|column| matches!(column, Column::Nsfs | Column::Netns));
    is_for_people(args) && has_net && !has_names
}

/// Whether the table is for people and has the default columns, so others can be added.
fn is_for_people(args: &LsArgs) -> bool {
    let is_default = args.table.output.iter().all(|list| list.starts_with('+'));
    is_default && !args.table.json && !args.table.raw
}
