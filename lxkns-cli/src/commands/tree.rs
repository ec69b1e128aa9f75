//! `lxkns tree`: namespaces and processes as a tree.

use std::collections::BTreeSet;
use std::io::Write;
use std::mem::ManuallyDrop;

use lxkns_core::model::{DiscoveryOptions, Namespace, NamespaceId, NamespaceType, Pid, Place, Places, Scope, Snapshot};
use lxkns_core::relations::{self, Forest, TreeNode};
use serde::Serialize;

use super::Findings;
use crate::args::{KindOrTarget, TreeArgs, TreeKind};
use crate::exit::{Error, Exit, Result, say};
use crate::live;
use crate::resolve::{self, Outcome as _};
use crate::view::escape::printable;
use crate::view::screen::{self, Color};
use crate::view::tree::{CgroupDetail, Shown, Tree, cgroup};
use crate::view::{holders, names};
use lxkns_answers::target::{Asked, Target};

/// Runs it.
pub(crate) fn run(args: &TreeArgs, color: Color) -> Result {
    let (kind, target) = asked(args).map_err(|message| Error::Usage(message.to_owned()))?;
    let options = options(kind, args);
    let is_live = args.look.from.is_none();
    // The program ends with this view: what a large host takes is given back with it, and not piece by piece before.
    let snapshot = ManuallyDrop::new(live::load(&args.look, &options)?);
    let whole = match kind {
        TreeKind::User if args.owned => relations::ownership(&snapshot),
        TreeKind::User => relations::hierarchy(&snapshot, NamespaceType::User),
        TreeKind::Pid if args.users => relations::owned_pid_namespaces(&snapshot),
        TreeKind::Pid => relations::hierarchy(&snapshot, NamespaceType::Pid),
        TreeKind::Proc => relations::process_tree(&snapshot),
    };
    let forest = match target {
        None => whole,
        Some(target) => match branch(&snapshot, &whole, kind, target, args, is_live) {
            Ok(branch) => branch,
            Err((exit, gaps_matter)) => {
                if gaps_matter {
                    super::tell_gaps(&snapshot, places(&options));
                }
                return Ok(exit);
            }
        },
    };
    let shown = Shown {
        cgroup: args.cgroup,
        all_leaders: args.all_leaders,
        owners: kind == TreeKind::Pid && !args.users,
        pids: kind != TreeKind::User,
    };
    let tree = Tree { snapshot: &snapshot, forest, home: super::home(&snapshot, is_live), shown };
    if args.json {
        screen::print(|out| write_json(out, &tree))?;
    } else {
        screen::show(color, |out, screen| Ok(tree.write(out, screen)?))?;
    }
    super::tell_gaps(&snapshot, places(&options));
    Ok(Exit::Done)
}

/// Which tree, and of what. An option that another tree has is said to be one.
fn asked(args: &TreeArgs) -> std::result::Result<(TreeKind, Option<&Asked>), &'static str> {
    let (kind, target) = match (&args.kind, &args.target) {
        (Some(KindOrTarget::Target(_)), Some(_)) => return Err("expected user, pid or proc before a TARGET"),
        (Some(KindOrTarget::Target(target)), None) => (TreeKind::User, Some(target)),
        (Some(KindOrTarget::Kind(kind)), target) => (*kind, target.as_ref()),
        (None, target) => (TreeKind::User, target.as_ref()),
    };
    let is_pid = target.is_some_and(|asked| matches!(asked.target, Target::Process(_)));
    match kind {
        _ if args.owned && kind != TreeKind::User => Err("--owned is for the tree of user namespaces"),
        _ if args.users && kind != TreeKind::Pid => Err("--users is for the tree of PID namespaces"),
        _ if args.seen_in.is_some() && kind != TreeKind::Proc => Err("--in is for the tree of processes"),
        _ if args.all_leaders && kind == TreeKind::Proc => Err("--all-leaders is for the trees of namespaces"),
        _ if args.seen_in.is_some() && !is_pid => Err("--in is for a TARGET that is a PID"),
        _ => Ok((kind, target)),
    }
}

/// What is looked at: everything that can hold a namespace of the tree.
fn options(kind: TreeKind, args: &TreeArgs) -> DiscoveryOptions {
    let mut options = DiscoveryOptions::namespaces();
    if kind != TreeKind::User && !args.users {
        // These hold network namespaces only.
        for place in [Place::Sockets, Place::Tun] {
            options.places = options.places.without(place);
        }
    }
    options.status = match kind {
        TreeKind::User => Scope::None,
        TreeKind::Pid => Scope::Named,
        TreeKind::Proc => Scope::All,
    };
    options.cgroups = args.cgroup != CgroupDetail::Off;
    options.without_self = true;
    options
}

/// The places whose gaps can show.
fn places(options: &DiscoveryOptions) -> Places {
    let mut places = options.places;
    if options.status != Scope::None {
        places = places.with(Place::ProcessFacts);
    }
    if options.cgroups {
        places = places.with(Place::Cgroups);
    }
    places
}

/// The branch with what was asked for. What there is instead has been said; then it comes to an exit code, and it
/// matters what could not be seen or it does not.
fn branch(
    snapshot: &Snapshot,
    whole: &Forest<TreeNode>,
    kind: TreeKind,
    target: &Asked,
    args: &TreeArgs,
    is_live: bool,
) -> std::result::Result<Forest<TreeNode>, (Exit, bool)> {
    let refuse = |what: &str| {
        say(format_args!("{}: {what}", printable(target.text.as_encoded_bytes())));
        (Exit::Missing, false)
    };
    if let (TreeKind::Proc, Target::Process(pid)) = (kind, &target.target) {
        if args.seen_in.is_none() {
            resolve::verify(snapshot, target, is_live).map_err(|unresolved| {
                say(&unresolved);
                unresolved.exit()
            })?;
        }
        let pid = match &args.seen_in {
            None => super::process_of(snapshot, *pid).ok_or_else(|| {
                let absence = resolve::absence(snapshot, *pid, is_live);
                refuse(absence.words());
                absence.exit()
            })?,
            Some(seen_in) => {
                let found = namespaces(snapshot, seen_in, NamespaceType::Pid, is_live)?;
                let is_pid = |id: &NamespaceId| snapshot.namespaces[id].ns_type == NamespaceType::Pid;
                let Some(id) = found.into_iter().find(is_pid) else {
                    say(format_args!("{}: not a PID namespace", printable(seen_in.text.as_encoded_bytes())));
                    return Err((Exit::Missing, false));
                };
                relations::pid_in(snapshot, id, *pid).ok_or_else(|| {
                    let namespace = names::namespace(snapshot, id);
                    let all_seen = relations::members_seen(snapshot, &snapshot.namespaces[&id]);
                    refuse(&format!("no process is seen to have this PID in {namespace}"));
                    (if all_seen { Exit::Missing } else { Exit::Failed }, true)
                })?
            }
        };
        return Ok(whole.branches([TreeNode::Process(pid)]));
    }
    let ns_type = if kind == TreeKind::User { NamespaceType::User } else { NamespaceType::Pid };
    let wanted: BTreeSet<NamespaceId> = namespaces(snapshot, target, ns_type, is_live)?.into_iter().collect();
    let is_wanted = |node: &TreeNode| {
        // A user namespace between PID namespaces was not asked for, but for those in it.
        !matches!(node, TreeNode::Owner { .. }) && node.namespace().is_some_and(|id| wanted.contains(&id))
    };
    let branch = whole.branches(whole.nodes().filter(is_wanted));
    if !branch.roots().is_empty() {
        return Ok(branch);
    }
    Err(match kind {
        TreeKind::User => refuse("not a user namespace (--owned shows those that they own)"),
        _ => refuse("not a PID namespace"),
    })
}

/// The namespaces that a TARGET means in a tree of namespaces of this type: of a process only the one.
fn namespaces(
    snapshot: &Snapshot,
    asked: &Asked,
    ns_type: NamespaceType,
    is_live: bool,
) -> std::result::Result<Vec<NamespaceId>, (Exit, bool)> {
    let asked = [match &asked.target {
        Target::Process(pid) => Asked { text: asked.text.clone(), target: Target::OfProcess(*pid, ns_type) },
        _ => asked.clone(),
    }];
    let Findings { found, exit, gaps_matter, .. } = super::find(snapshot, &asked, is_live);
    found.into_iter().next().map(|(_, ids)| ids).ok_or((exit, gaps_matter))
}

fn write_json(out: &mut impl Write, tree: &Tree<'_>) -> Result<()> {
    let rows = tree.rows();
    let rows: Vec<_> = rows.iter().map(|&(_, depth, node)| row(tree, depth, node)).collect();
    Ok(screen::write_json(out, &Answer { tree: rows })?)
}

/// The JSON form: what stands in the lines of the tree, in their order. It is not nested, since nothing bounds how deep
/// a tree is.
#[derive(Serialize)]
struct Answer {
    tree: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    depth: usize,
    #[serde(flatten)]
    what: What,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
enum What {
    Namespace(NamespaceRow),
    Process(ProcessRow),
    OwnerNotVisible,
    OwnerNotKnown,
}

#[derive(Serialize)]
struct NamespaceRow {
    ns: u64,
    #[serde(rename = "type")]
    ns_type: Option<&'static str>,
    #[serde(rename = "uniqueid")]
    unique_id: Option<u64>,
    parent: Option<u64>,
    owner: Option<u64>,
    owner_uid: Option<u32>,
    owner_name: Option<String>,
    #[serde(flatten)]
    occupants: Option<Occupants>,
}

/// Who is in a namespace, and what holds it. Not where it stands in several places, or above its processes.
#[derive(Serialize)]
struct Occupants {
    leaders: Vec<ProcessRow>,
    threads: Vec<ThreadRow>,
    holders: Option<String>,
}

#[derive(Serialize)]
struct ProcessRow {
    pid: u32,
    ppid: Option<u32>,
    pids: Vec<u32>,
    name: Option<String>,
    pidns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cgroup: Option<String>,
}

#[derive(Serialize)]
struct ThreadRow {
    tid: u32,
    pid: Option<u32>,
    name: Option<String>,
}

fn row(tree: &Tree<'_>, depth: usize, node: TreeNode) -> Row {
    let what = match node {
        TreeNode::Process(pid) => What::Process(process_row(tree, pid)),
        TreeNode::OwnerNotVisible => What::OwnerNotVisible,
        _ => node.namespace().map_or(What::OwnerNotKnown, |id| What::Namespace(namespace_row(tree, node, id))),
    };
    Row { depth, what }
}

fn namespace_row(tree: &Tree<'_>, node: TreeNode, id: NamespaceId) -> NamespaceRow {
    let namespace = tree.snapshot.namespaces.get(&id);
    let owner_uid = namespace.and_then(|namespace| namespace.owner_uid);
    let is_told = !matches!(node, TreeNode::Owner { .. }) && !tree.is_above_processes(node);
    NamespaceRow {
        ns: id.ino,
        ns_type: namespace.map(|namespace| namespace.ns_type.name()),
        unique_id: namespace.and_then(|namespace| namespace.unique_id),
        parent: namespace.and_then(|namespace| namespace.parent.known()).map(|id| id.ino),
        owner: namespace.and_then(|namespace| namespace.owner.known()).map(|id| id.ino),
        owner_uid: owner_uid.map(|uid| uid.0),
        owner_name: owner_uid.and_then(|uid| tree.snapshot.user_names.get(&uid)).cloned(),
        occupants: namespace.filter(|_| is_told).map(|namespace| occupants(tree, namespace)),
    }
}

fn occupants(tree: &Tree<'_>, namespace: &Namespace) -> Occupants {
    let threads = tree.loose_threads(namespace).into_iter().map(|thread| ThreadRow {
        tid: thread.tid.0,
        pid: thread.pid.map(|pid| pid.0),
        name: thread.name.map(names::lossy),
    });
    Occupants {
        leaders: namespace.leaders.iter().map(|&pid| process_row(tree, pid)).collect(),
        threads: threads.collect(),
        holders: holders::summary(&namespace.holders),
    }
}

fn process_row(tree: &Tree<'_>, pid: Pid) -> ProcessRow {
    let process = tree.snapshot.processes.get(&pid);
    ProcessRow {
        pid: pid.0,
        ppid: process.and_then(|process| process.ppid).map(|pid| pid.0),
        pids: process.map_or_else(|| vec![pid.0], |process| tree.pids(process).iter().map(|pid| pid.0).collect()),
        name: process.map(|process| names::lossy(process.comm())),
        pidns: process.and_then(|process| process.namespaces.get(NamespaceType::Pid)).map(|id| id.ino),
        cgroup: match tree.shown.cgroup {
            CgroupDetail::Off => None,
            _ => process.and_then(cgroup).map(names::lossy),
        },
    }
}
