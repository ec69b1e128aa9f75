//! `lxkns ls`: one line for each namespace.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::mem::ManuallyDrop;

use lxkns_core::Discovery;
use lxkns_core::model::{Namespace, NamespaceId, NamespaceType, Snapshot};
use lxkns_core::relations;
use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};

use super::Findings;
use crate::args::LsArgs;
use crate::exit::{Error, Exit, Result, say};
use crate::live;
use crate::view::columns::{self, Cell, Column, Context};
use crate::view::counts::Counts;
use crate::view::escape::For;
use crate::view::screen::{self, Color};
use lxkns_answers::target::{Asked, Target};
use lxkns_answers::users::Users;

/// Runs it.
pub(crate) fn run(args: &LsArgs, color: Color) -> Result {
    let columns = columns::parse(&args.table.output, Column::default_for(&args.types)).map_err(Error::Usage)?;
    let mut asked = args.targets.clone();
    asked.extend(args.pids.iter().map(|&pid| Asked::process(pid)));
    let of_processes = !asked.is_empty()
        && asked.iter().all(|asked| matches!(asked.target, Target::Process(_) | Target::OfProcess(..)));
    let options = columns::options(&columns, of_processes);
    let is_live = args.look.from.is_none();
    // The program ends with this view: what a large host takes is given back with it, and not piece by piece before.
    let snapshot = ManuallyDrop::new(live::load(&args.look, &options)?);

    let Findings { found, mut exit, gaps_matter, .. } = super::find(&snapshot, &asked, is_live);
    let only: Option<BTreeSet<NamespaceId>> =
        (!asked.is_empty()).then(|| found.into_iter().flat_map(|(_, ids)| ids).collect());
    let shown = select(&snapshot, only.as_ref(), &args.types);
    if shown.is_empty() && only.is_some_and(|only| !only.is_empty()) {
        // What was asked for is there, but none of it is of the type asked for.
        say("nothing that was asked for is of the types asked for");
        exit = exit.max(Exit::Missing);
    }
    let home = super::home(&snapshot, is_live);
    let context = Context {
        counts: Counts::of(&snapshot),
        users: Users::of_snapshot(&snapshot),
        netnsids: match columns.contains(&Column::Netnsid) {
            true if is_live => lxkns_inside::nsids(&Discovery::of_host()?, &snapshot, shown.iter().copied()),
            true => snapshot.netnsids.clone(),
            false => BTreeMap::new(),
        },
        home,
        snapshot: &snapshot,
    };
    // With nothing to show for a mistyped TARGET the headings alone would only confuse; JSON stays JSON.
    if args.table.json {
        screen::print(|out| write_json(out, &context, &columns, &shown))?;
    } else if !(shown.is_empty() && exit != Exit::Done) {
        let goes_to = if args.table.raw { For::Fields } else { For::Eyes };
        let headings: Vec<_> = columns.iter().map(|column| column.heading()).collect();
        let row = |namespace: &Namespace| -> Vec<String> {
            columns.iter().map(|&column| context.cell(namespace, column).printable(goes_to)).collect()
        };
        let rows: Vec<_> = shown.iter().map(|&namespace| row(namespace)).collect();
        super::show_table(&headings, &rows, &args.table, color)?;
    }
    if gaps_matter {
        super::tell_gaps(&snapshot, columns::places(&columns, &options));
    }
    Ok(exit)
}

/// The namespaces to show, by type and then by inode number.
fn select<'a>(
    snapshot: &'a Snapshot,
    only: Option<&BTreeSet<NamespaceId>>,
    types: &[NamespaceType],
) -> Vec<&'a Namespace> {
    let mut shown = snapshot.namespaces_by_type();
    shown.retain(|namespace| {
        (types.is_empty() || types.contains(&namespace.ns_type)) && only.is_none_or(|only| only.contains(&namespace.id))
    });
    shown
}

fn write_json(out: &mut impl Write, context: &Context<'_>, columns: &[Column], shown: &[&Namespace]) -> Result<()> {
    let rows = shown.iter().map(|&namespace| {
        Row(columns.iter().map(|&column| (column.name(), context.cell(namespace, column))).collect())
    });
    let namespaces: Vec<_> = rows.collect();
    let unreadable_processes = relations::unreadable_processes(context.snapshot);
    Ok(screen::write_json(out, &Table { namespaces, unreadable_processes })?)
}

/// What lsns writes.
#[derive(Serialize)]
struct Table {
    namespaces: Vec<Row>,
    /// How many processes may be in any of them, as their namespaces are not readable; `lsns` does not have it.
    #[serde(skip_serializing_if = "is_none")]
    unreadable_processes: usize,
}

fn is_none(number: &usize) -> bool {
    *number == 0
}

/// A row with its columns in their order.
pub(super) struct Row(pub(super) Vec<(&'static str, Cell)>);

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, cell) in &self.0 {
            map.serialize_entry(&name.to_ascii_lowercase(), cell)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lxkns_answers::testing::{BUSY, HOME, LEFT, LOOSE, NET, ODD, USER, snapshot};

    #[test]
    fn sorted_by_type_then_inode_and_filtered_by_both() {
        let snapshot = snapshot();
        let ids = |only: Option<&[NamespaceId]>, types: &[NamespaceType]| -> Vec<_> {
            let only = only.map(|only| only.iter().copied().collect());
            select(&snapshot, only.as_ref(), types).iter().map(|namespace| namespace.id).collect()
        };
        assert_eq!(ids(None, &[]), [HOME, LOOSE, USER, ODD, NET, BUSY, LEFT]);
        assert_eq!(ids(None, &[NamespaceType::Net, NamespaceType::Pid]), [ODD, NET, BUSY, LEFT]);
        assert_eq!(ids(Some(&[LEFT, HOME]), &[NamespaceType::Net]), [LEFT]);
        assert!(ids(Some(&[]), &[]).is_empty());
    }

    #[test]
    fn json_is_of_the_shape_of_lsns() {
        let snapshot = snapshot();
        let context = Context {
            counts: Counts::of(&snapshot),
            users: Users::default(),
            netnsids: Default::default(),
            home: Some(HOME),
            snapshot: &snapshot,
        };
        let mut out = Vec::new();
        let columns = Column::default_for(&[]);
        write_json(&mut out, &context, &columns, &[&snapshot.namespaces[&BUSY], &snapshot.namespaces[&LEFT]]).unwrap();
        let text: String = String::from_utf8(out).unwrap().split_whitespace().collect();
        assert_eq!(
            text,
            "{\"namespaces\":[{\"ns\":4026532200,\"type\":\"net\",\"nprocs\":1,\"pid\":200,\"user\":\"200\",\
             \"command\":\"sleep1000\"},{\"ns\":4026532300,\"type\":\"net\",\"nprocs\":0,\"pid\":null,\
             \"user\":\"0\",\"command\":null}]}"
        );
    }
}
