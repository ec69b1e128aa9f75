//! `lxkns mounts`: the mounts of a mount namespace.

use std::collections::BTreeMap;

use bstr::ByteSlice as _;
use lxkns_core::model::{DiscoveryOptions, Namespace, NamespaceId, NamespaceType, Object, Place, Places, Snapshot};
use lxkns_core::relations::{self, NamespacedMount};
use serde::Serialize;

use super::Findings;
use super::ls::Row;
use crate::args::MountsArgs;
use crate::exit::{Error, Exit, Result, say};
use crate::live;
use crate::view::columns;
use crate::view::escape::{For, printable};
use crate::view::mounts::{Column, Mounts, Shape};
use crate::view::names;
use crate::view::screen::{self, Color};
use lxkns_answers::target::{Asked, Target};

/// Runs it.
pub(crate) fn run(args: &MountsArgs, color: Color) -> Result {
    let default = if args.table.json { Column::FOR_PROGRAMS.to_vec() } else { Column::DEFAULT.to_vec() };
    let columns = columns::parse_lists(&args.table.output, default, Column::from_name).map_err(Error::Usage)?;
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
    // What could not be listed elsewhere matters where it is told who is a peer of whom.
    let peers_matter =
        args.table.json || columns.iter().any(|column| matches!(column, Column::Peers | Column::Receivers));
    let peers_seen = relations::holders_seen(&snapshot, &snapshot.namespaces[&namespace]);
    keep_gaps_of_lists(&mut snapshot, (!peers_matter).then_some(namespace));
    let mut places: Places = [Place::BindMounts, Place::ProcesslessMounts].into_iter().collect();
    if peers_matter {
        // In mount namespaces that nothing readable leads to there may be others.
        places = places.with(Place::Processes).with(Place::Tasks);
    }
    let Some(mounts) = Mounts::of(&snapshot, namespace) else {
        let why = if snapshot.options.mounts { "its mounts could not be listed" } else { "the dump has no mounts" };
        say(format_args!("{}: {why}", names::namespace(&snapshot, namespace)));
        super::tell_gaps(&snapshot, places);
        return Ok(Exit::Failed);
    };
    let shape = if args.list || args.hidden || args.table.raw { Shape::List } else { Shape::Tree };
    let mut rows = mounts.rows(shape);
    rows.retain(|(_, mount)| mount.hidden || !args.hidden);
    if args.table.json {
        let rows = rows
            .iter()
            .map(|(_, mount)| Row(columns.iter().map(|&column| (column.name(), mounts.cell(mount, column))).collect()));
        let answer = Answer { ns: namespace.ino, mounts: rows.collect(), groups: groups(&mounts), peers_seen };
        screen::print(|out| Ok(screen::write_json(out, &answer)?))?;
    } else {
        let goes_to = if args.table.raw { For::Fields } else { For::Eyes };
        let rows: Vec<Vec<String>> = rows
            .iter()
            .map(|(branch, mount)| {
                columns.iter().map(|&column| mounts.printable(branch, mount, column, goes_to)).collect()
            })
            .collect();
        let headings: Vec<_> = columns.iter().map(|column| column.heading()).collect();
        super::show_table(&headings, &rows, &args.table, color)?;
    }
    super::tell_gaps(&snapshot, places);
    Ok(Exit::Done)
}

/// Mount namespaces in all places that can hold one, with their mounts: those of others too, for who is a peer of whom.
fn options() -> DiscoveryOptions {
    let mut options = DiscoveryOptions::namespaces();
    for place in [Place::Sockets, Place::Tun, Place::ForChildren] {
        options.places = options.places.without(place);
    }
    options.mounts = true;
    options.without_self = true;
    options
}

/// Leaves only the gaps that are about a mount namespace: this one, or any; and those about processes in any.
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

/// The mount namespace that was asked for. What there is instead has been said; then it comes to an exit code, and it
/// matters what could not be seen or it does not.
fn target(args: &MountsArgs, snapshot: &Snapshot, is_live: bool) -> std::result::Result<NamespaceId, (Exit, bool)> {
    let Some(asked) = &args.target else {
        return super::home(snapshot, is_live)
            .or(snapshot.observer_mount_ns)
            .filter(|id| snapshot.namespaces.contains_key(id))
            .ok_or_else(|| {
                say("which mount namespace is the own one is not known: name one");
                (Exit::Failed, true)
            });
    };
    let asked = [match &asked.target {
        Target::Process(pid) => Asked { text: asked.text.clone(), target: Target::OfProcess(*pid, NamespaceType::Mnt) },
        _ => asked.clone(),
    }];
    let Findings { found, exit, gaps_matter, .. } = super::find(snapshot, &asked, is_live);
    let [(asked, ids)] = &found[..] else { return Err((exit, gaps_matter)) };
    ids.iter().find(|id| is_mnt(snapshot.namespaces.get(id))).copied().ok_or_else(|| {
        say(format_args!("{}: not a mount namespace", printable(asked.text.as_encoded_bytes())));
        (Exit::Missing, false)
    })
}

/// The JSON form.
#[derive(Serialize)]
struct Answer {
    ns: u64,
    mounts: Vec<Row>,
    /// The peer groups that the mounts are in or receive from, by number, with their mounts in all mount namespaces.
    groups: BTreeMap<u32, Group>,
    /// Whether all mount namespaces could be seen, so that there are no further peers and receivers.
    peers_seen: bool,
}

#[derive(Serialize)]
struct Group {
    peers: Vec<Elsewhere>,
    receivers: Vec<Elsewhere>,
}

/// A mount in whatever mount namespace.
#[derive(Serialize)]
struct Elsewhere {
    ns: u64,
    id: u64,
    target: Option<String>,
    hidden: bool,
}

fn groups(mounts: &Mounts<'_>) -> BTreeMap<u32, Group> {
    let all = |mounts: &[NamespacedMount<'_>]| {
        let place = |at: &NamespacedMount<'_>| Elsewhere {
            ns: at.namespace.ino,
            id: at.mount.id,
            target: at.mount.path().map(|path| path.to_str_lossy().into_owned()),
            hidden: at.mount.hidden,
        };
        mounts.iter().map(place).collect()
    };
    let groups = mounts.groups().into_iter();
    groups
        .map(|(number, group)| (number, Group { peers: all(&group.peers), receivers: all(&group.receivers) }))
        .collect()
}
