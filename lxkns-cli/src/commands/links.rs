//! `lxkns links`: the links of all network namespaces, and how they relate.

use lxkns_answers::json::{self, Envelope};
use lxkns_answers::lacks::Lacks;
use lxkns_answers::links::{Column, GraphAnswer, Links};
use lxkns_core::model::{DiscoveryOptions, NamespaceId, NamespaceType};

use crate::args::LinksArgs;
use crate::exit::{Error, Exit, Result, say};
use crate::live;
use crate::resolve::{Unresolved, resolver};
use crate::view::columns;
use crate::view::escape::{For, printable};
use crate::view::links as view;
use crate::view::screen::{self, Color};

/// Runs it.
pub(crate) fn run(args: &LinksArgs, color: Color) -> Result {
    if args.look.from.is_some() {
        return Err(Error::Usage("a dump has no links; leave out --from to read this host".to_owned()));
    }
    let mut columns = columns::of_table(&args.table, Column::all(), Column::default_columns(), view::from_name)?;
    if args.tree {
        // What the tree is drawn in.
        columns.retain(|column| *column != Column::Name);
        columns.insert(0, Column::Name);
    }
    let mut options = DiscoveryOptions::namespaces();
    options.without_self = true;
    let snapshot = live::load(&args.look, &options)?;
    let findings = super::find(&resolver(&snapshot, true), &args.targets);
    let mut exit = findings.exit;
    let mut namespaces: Vec<NamespaceId> = Vec::new();
    for (asked, ids) in &findings.found {
        let is_net = |id: &&NamespaceId| snapshot.namespaces.get(id).is_some_and(|ns| ns.ns_type == NamespaceType::Net);
        let before = namespaces.len();
        namespaces.extend(ids.iter().filter(is_net));
        if namespaces.len() == before {
            say(Unresolved::Usage(format!("{}: no network namespace", printable(asked.text.as_encoded_bytes()))));
            exit = exit.max(Exit::Usage);
        }
    }
    if !args.targets.is_empty() && namespaces.is_empty() {
        let gaps = if findings.gaps_matter { super::gap_lines(&snapshot, options.places) } else { Vec::new() };
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
    let mut gaps = super::gap_lines(&snapshot, options.places);
    gaps.extend(links.gaps());
    if args.table.json {
        let leftovers = links.leftovers(&Lacks::of(&snapshot));
        let answer = Envelope::new("links", vec![links.answer(&shown, &leftovers)], gaps.clone());
        screen::print(|out| Ok(json::write(&answer, out)?))?;
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
