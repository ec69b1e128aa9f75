//! `lxkns tree`: namespaces and processes as a tree.

use std::collections::BTreeSet;
use std::mem::ManuallyDrop;

use lxkns_answers::json::{self, Envelope};
use lxkns_answers::target::{Asked, Target};
use lxkns_answers::tree::{CgroupDetail, Kind, Shown, Tree};
use lxkns_core::model::{DiscoveryOptions, NamespaceId, NamespaceType, Place, Places, Scope, Snapshot};
use lxkns_core::relations::{self, Forest, TreeNode};

use super::Findings;
use crate::args::{KindOrTarget, TreeArgs, TreeKind};
use crate::exit::{Error, Exit, Result, say};
use crate::live;
use crate::resolve::{self, Outcome as _, Resolver};
use crate::view::escape::printable;
use crate::view::screen::{self, Color};
use crate::view::{names, tree as view};

/// Runs it.
pub(crate) fn run(args: &TreeArgs, color: Color) -> Result {
    let (kind, target) = asked(args).map_err(|message| Error::Usage(message.to_owned()))?;
    let options = options(kind, args);
    let is_live = args.look.from.is_none();
    // The program ends after this view, which frees all memory faster than dropping each value.
    let snapshot = ManuallyDrop::new(live::load(&args.look, &options)?);
    let shown_kind = match kind {
        TreeKind::User if args.owned => Kind::Ownership,
        TreeKind::User => Kind::User,
        TreeKind::Pid if args.users => Kind::OwnedPid,
        TreeKind::Pid => Kind::Pid,
        TreeKind::Proc => Kind::Process,
    };
    let context = super::context(&snapshot, is_live);
    let whole = shown_kind.forest(context);
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
    let cgroup = CgroupDetail::from(args.cgroup);
    let shown = Shown { cgroup, all_leaders: args.all_leaders, ..Shown::of(shown_kind) };
    let tree = Tree::new(context, forest, shown);
    if args.json {
        let gaps = super::gap_lines(&snapshot, places(&options));
        let envelope = Envelope::new("tree", tree.answer(), gaps);
        screen::print(|out| Ok(json::write(&envelope, out)?))?;
    } else {
        screen::show(color, |out, screen| Ok(view::write(&tree, out, screen)?))?;
    }
    super::tell_gaps(&snapshot, places(&options));
    Ok(Exit::Done)
}

/// The kind of tree and its options. An option of another tree is an error.
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

/// The options of the scan: all places that can hold a namespace of the tree.
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
    options.cgroups = CgroupDetail::from(args.cgroup) != CgroupDetail::Off;
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

/// The branch of the TARGET. If there is none, the reason has been reported; the error is the exit code, and whether gaps matter.
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
    let resolver = resolve::resolver(snapshot, is_live);
    let target = &if args.seen_in.is_none() { super::settle(&resolver, target)? } else { target.clone() };
    if let (TreeKind::Proc, Target::Process(pid)) = (kind, &target.target) {
        if args.seen_in.is_none() {
            resolver.verify(target).map_err(|unresolved| {
                say(&unresolved);
                unresolved.exit()
            })?;
        }
        let pid = match &args.seen_in {
            None => resolver.process(*pid).map(|process| process.pid).ok_or_else(|| {
                let absence = resolver.absence(*pid);
                refuse(absence.words());
                absence.exit()
            })?,
            Some(seen_in) => {
                let found = namespaces(&resolver, seen_in, NamespaceType::Pid)?;
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
    let wanted: BTreeSet<NamespaceId> = namespaces(&resolver, target, ns_type)?.into_iter().collect();
    let is_wanted = |node: &TreeNode| {
        // A user namespace only connects PID namespaces.
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
    resolver: &Resolver<'_>,
    asked: &Asked,
    ns_type: NamespaceType,
) -> std::result::Result<Vec<NamespaceId>, (Exit, bool)> {
    let asked = super::settle(resolver, asked)?;
    let asked = [match &asked.target {
        Target::Process(pid) => Asked { text: asked.text.clone(), target: Target::OfProcess(*pid, ns_type) },
        _ => asked.clone(),
    }];
    let Findings { found, exit, gaps_matter, .. } = super::find(resolver, &asked);
    found.into_iter().next().map(|(_, ids)| ids).ok_or((exit, gaps_matter))
}
