//! `lxkns links`: the links of all network namespaces, and how they relate.

use lxkns_answers::json::{self, Envelope};
use lxkns_answers::links::{Column, GraphAnswer, Links};
use lxkns_live::questions::links as ask;

use super::Outcome;
use crate::args::LinksArgs;
use crate::exit::{Error, Exit, Result, say};
use crate::live;
use crate::resolve::resolver;
use crate::view::columns;
use crate::view::escape::For;
use crate::view::links as view;
use crate::view::screen::{self, Color};

/// Runs it.
pub(crate) fn run(args: &LinksArgs, color: Color) -> Result {
    if args.look.from.is_some() {
        return Err(Error::Usage("a dump has no links: --from is for other commands".to_owned()));
    }
    if args.table.json && (args.table.output_all || !args.table.output.is_empty()) {
        return Err(Error::Usage("columns are those of the table: --json writes all there is".to_owned()));
    }
    let default = if args.table.output_all { Column::all().collect() } else { Column::default_columns() };
    let mut columns = columns::parse_lists(&args.table.output, default, view::from_name).map_err(Error::Usage)?;
    if args.tree {
        // What the tree is drawn in.
        columns.retain(|column| *column != Column::Name);
        columns.insert(0, Column::Name);
    }
    let snapshot = live::load(&args.look, &ask::options())?;
    let mut outcome = Outcome::of(&args.targets);
    let resolver = resolver(&snapshot, true);
    let namespaces = ask::namespaces(&snapshot, &resolver, &args.targets, &mut |unresolved| outcome.refuse(unresolved));
    let Outcome { exit, gaps_matter } = outcome;
    if !args.targets.is_empty() && namespaces.is_empty() {
        let gaps = if gaps_matter { super::gap_lines(&snapshot, ask::options().places) } else { Vec::new() };
        if args.table.json {
            let nothing: Envelope<GraphAnswer> = Envelope::new("links", Vec::new(), gaps.clone());
            screen::print(|out| Ok(json::write(&nothing, out)?))?;
        }
        gaps.iter().for_each(say);
        return Ok(exit);
    }
    let all = live::links(&snapshot, args.look.patience.timeout)?;
    let links = Links { context: super::context(&snapshot, true), all: &all };
    let shown = links.select((!args.targets.is_empty()).then_some(&namespaces[..]));
    let gaps = ask::gaps(&links);
    if args.table.json {
        screen::print(|out| Ok(json::write(&ask::answer(&links, &shown, gaps.clone()), out)?))?;
    } else {
        let headings: Vec<_> = columns.iter().map(|&column| view::heading(column)).collect();
        let goes_to = if args.table.raw { For::Fields } else { For::Eyes };
        let rows = match args.tree {
            true => view::tree(&links, &shown, &columns),
            false => view::rows(&links, &shown, &columns, goes_to),
        };
        super::show_table(&headings, &rows, &args.table, color)?;
    }
    gaps.iter().for_each(say);
    Ok(if all.unread.is_empty() || !shown.is_empty() { exit } else { exit.max(Exit::Failed) })
}
