//! `lxkns mounts`: the mounts of a mount namespace.

use lxkns_answers::json::{self, Envelope};
use lxkns_answers::mounts::{Answer, Column, Mounts};
use lxkns_answers::target::{Asked, Target};
use lxkns_core::model::{
    DiscoveryOptions, Mount, Namespace, NamespaceId, NamespaceType, Object, Place, Places, Snapshot,
};

use super::Findings;
use crate::args::MountsArgs;
use crate::exit::{Exit, Result, say};
use crate::live;
use crate::resolve::resolver;
use crate::view::columns;
use crate::view::escape::{For, printable};
use crate::view::mounts::{self as view, Shape};
use crate::view::names;
use crate::view::screen::{self, Color};

/// Runs it.
pub(crate) fn run(args: &MountsArgs, color: Color) -> Result {
    let columns = columns::of_table(&args.table, Column::all(), Column::DEFAULT.to_vec(), view::from_name)?;
    let is_live = args.look.from.is_none();
    let mut snapshot = live::load(&args.look, &options())?;
    let namespace = match target(args, &snapshot, is_live) {
        Ok(namespace) => namespace,
        Err((exit, gaps_matter)) => {
            if gaps_matter {
                super::tell_gaps(&snapshot, options().places);
            }
            return Ok(exit);
        }
    };
    // Peers can be in mount namespaces that could not be listed.
    let peers_matter =
        args.table.json || columns.iter().any(|column| matches!(column, Column::Peers | Column::Receivers));
    let mut places: Places = [Place::BindMounts, Place::ProcesslessMounts].into_iter().collect();
    if peers_matter {
        // There may be others in mount namespaces that could not be reached.
        places = places.with(Place::Processes).with(Place::Tasks);
    }
    let told = Mounts::of(&snapshot, namespace).map(|mounts| match args.table.json {
        true => Told::Answer(mounts.answer()),
        false => Told::Rows(rows(&mounts, &columns, args)),
    });
    // The answer depends on all gaps.
    keep_gaps_of_lists(&mut snapshot, (!peers_matter).then_some(namespace));
    match told {
        None => {
            let why = if snapshot.options.mounts { "its mounts could not be listed" } else { "the dump has no mounts" };
            say(format_args!("{}: {why}", names::namespace(&snapshot, namespace)));
            super::tell_gaps(&snapshot, places);
            return Ok(Exit::Failed);
        }
        Some(Told::Answer(mut answer)) => {
            answer.mounts.retain(|mount| mount.hidden || !args.hidden);
            let envelope = Envelope::new("mounts", vec![answer], super::gap_lines(&snapshot, places));
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

/// The options of the scan: mount namespaces in all places that can hold one, with their mounts. Peers need the mounts of all.
fn options() -> DiscoveryOptions {
    let mut options = DiscoveryOptions::namespaces();
    for place in [Place::Sockets, Place::Tun, Place::ForChildren] {
        options.places = options.places.without(place);
    }
    options.mounts = true;
    options.without_self = true;
    options
}

/// Keeps only gaps about a mount namespace (this one, or any) and about processes in any.
fn keep_gaps_of_lists(snapshot: &mut Snapshot, only: Option<NamespaceId>) {
    let namespaces = &snapshot.namespaces;
    snapshot.gaps.retain(|gap| match gap.object {
        Object::Process(_) | Object::Task(..) | Object::Host => only.is_none() && gap.place <= Place::Tasks,
        Object::Namespace(id) => only.is_none_or(|only| only == id) && is_mnt(namespaces.get(&id)),
        _ => false,
    });
}

fn is_mnt(namespace: Option<&Namespace>) -> bool {
    namespace.is_some_and(|namespace| namespace.ns_type == NamespaceType::Mnt)
}

/// The mount namespace that TARGET means. If there is none, the reason has been reported; the error is the exit code, and
/// whether gaps matter.
fn target(args: &MountsArgs, snapshot: &Snapshot, is_live: bool) -> std::result::Result<NamespaceId, (Exit, bool)> {
    let Some(asked) = &args.target else {
        return super::home(snapshot, is_live)
            .or(snapshot.observer_mount_ns)
            .filter(|id| snapshot.namespaces.contains_key(id))
            .ok_or_else(|| {
                say("the mount namespace of lxkns is not known: name one");
                (Exit::Failed, true)
            });
    };
    let resolver = resolver(snapshot, is_live);
    let asked = super::settle(&resolver, asked)?;
    let asked = [match &asked.target {
        Target::Process(pid) => Asked { text: asked.text.clone(), target: Target::OfProcess(*pid, NamespaceType::Mnt) },
        _ => asked.clone(),
    }];
    let Findings { found, exit, gaps_matter, .. } = super::find(&resolver, &asked);
    let [(asked, ids)] = &found[..] else { return Err((exit, gaps_matter)) };
    ids.iter().find(|id| is_mnt(snapshot.namespaces.get(id))).copied().ok_or_else(|| {
        say(format_args!("{}: not a mount namespace", printable(asked.text.as_encoded_bytes())));
        (Exit::Missing, false)
    })
}
