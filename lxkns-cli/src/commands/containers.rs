//! `lxkns containers`: the containers of a host, what they share, and what confines them.

use std::collections::BTreeMap;

use lxkns_answers::containers::{Column, Matrix};
use lxkns_answers::json::{self, Envelope};
use lxkns_answers::target::Target;
use lxkns_core::model::CompactSort as _;
use lxkns_core::model::{DiscoveryOptions, Pid, Place, Scope, Snapshot};

use super::show::label;
use crate::args::ContainersArgs;
use crate::exit::{Error, Exit, Result, say};
use crate::live;
use crate::resolve::Outcome as _;
use crate::resolve::{self, Unresolved};
use crate::view::columns;
use crate::view::containers as view;
use crate::view::escape::{For, printable};
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
    let options = options(args.table.json);
    let is_live = args.look.from.is_none();
    let snapshot = live::load(&args.look, &options)?;
    let places = options.places.with(Place::ProcessFacts).with(Place::NamespaceFacts).with(Place::Containers);
    let Some(matrix) = Matrix::of(&snapshot) else {
        say("containers are not known: the dump was taken without searching for them");
        return Ok(Exit::Failed);
    };
    let (shown, exit, gaps_matter) = select(&matrix, args, is_live);
    let labels = shown.iter().filter_map(|&index| {
        let process = snapshot.processes.get(&matrix.first_process(index)?)?;
        Some((index, label(&snapshot, process, is_live)))
    });
    let labels: BTreeMap<_, _> = labels.collect();
    let matrix = matrix.with_labels(labels);
    if args.table.json {
        let answers = shown.iter().filter_map(|&index| matrix.answer(index)).collect();
        let unseen = if gaps_matter { super::gap_lines(&snapshot, places) } else { Vec::new() };
        screen::print(|out| Ok(json::write(&Envelope::new("containers", answers, unseen), out)?))?;
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
    if gaps_matter {
        super::tell_gaps(&snapshot, places);
    }
    Ok(exit)
}

/// The containers that the TARGETs mean. A TARGET that means none has been reported.
fn select(matrix: &Matrix<'_>, args: &ContainersArgs, is_live: bool) -> (Vec<usize>, Exit, bool) {
    if args.targets.is_empty() {
        return (matrix.select(None), Exit::Done, true);
    }
    let snapshot: &Snapshot = matrix.snapshot();
    let resolver = resolve::resolver(snapshot, is_live);
    let (mut shown, mut exit, mut gaps_matter) = (Vec::new(), Exit::Done, false);
    let mut fails = |unresolved: &Unresolved| {
        say(unresolved);
        exit = exit.max(unresolved.exit().0);
        gaps_matter |= unresolved.exit().1;
    };
    for asked in &args.targets {
        let text = printable(asked.text.as_encoded_bytes());
        let settled = match resolver.settle(asked) {
            Ok(settled) => settled,
            Err(unresolved) => {
                fails(&unresolved);
                continue;
            }
        };
        let of_process = |pid: Pid| matrix.of_process(resolver.process(pid).map_or(pid, |process| process.pid));
        let found = match settled.target {
            Target::Process(pid) if of_process(pid).is_some() => of_process(pid).into_iter().collect(),
            _ => match resolver.resolve(asked) {
                Ok(_) if matches!(settled.target, Target::Process(_)) => Vec::new(),
                Ok(ids) => matrix.select(Some(&ids)),
                Err(unresolved) => {
                    fails(&unresolved);
                    continue;
                }
            },
        };
        if found.is_empty() {
            fails(&Unresolved::Missing(format!("{text}: in no container that was seen")));
        }
        shown.extend(found);
    }
    shown.compact_sort();
    shown.dedup();
    (shown, exit, gaps_matter)
}

/// The options: the answer is about processes, their namespaces, and namespaces that were made for containers.
fn options(with_limits: bool) -> DiscoveryOptions {
    let mut options = DiscoveryOptions::namespaces();
    for place in [Place::Sockets, Place::Tun, Place::ForChildren] {
        options.places = options.places.without(place);
    }
    options.status = Scope::Named;
    options.namespace_details = true;
    options.without_self = true;
    // No column has the limits of control groups, which come with the freezer.
    options.cgroups = with_limits;
    options.freezer = with_limits;
    options
}
