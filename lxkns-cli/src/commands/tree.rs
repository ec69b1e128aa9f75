//! `lxkns tree`: namespaces and processes as a tree.

use std::mem::ManuallyDrop;

use lxkns_answers::json;
use lxkns_answers::target::{Asked, Target};
use lxkns_answers::tree::{CgroupDetail, Kind, Shown, Tree};
use lxkns_live::questions::tree as ask;

use super::Outcome;
use crate::args::{KindOrTarget, TreeArgs, TreeKind};
use crate::exit::{Error, Exit, Result};
use crate::live;
use crate::resolve;
use crate::view::screen::{self, Color};
use crate::view::tree as view;

/// Runs it.
pub(crate) fn run(args: &TreeArgs, color: Color) -> Result {
    let (kind, target) = asked(args).map_err(|message| Error::Usage(message.to_owned()))?;
    let is_live = args.answer.look.from.is_none();
    let shown_kind = match kind {
        TreeKind::User if args.owned => Kind::Ownership,
        TreeKind::User => Kind::User,
        TreeKind::Pid if args.users => Kind::OwnedPid,
        TreeKind::Pid => Kind::Pid,
        TreeKind::Proc => Kind::Process,
    };
    let has_cgroups = CgroupDetail::from(args.cgroup) != CgroupDetail::Off;
    let (options, places) = (ask::options(shown_kind, has_cgroups), ask::places(shown_kind, has_cgroups));
    // The program ends after this view, which frees all memory faster than dropping each value.
    let snapshot = ManuallyDrop::new(live::load(&args.answer.look, &options)?);
    let context = super::context(&snapshot, is_live);
    let whole = shown_kind.forest(context);
    let forest = match target {
        None => whole,
        Some(target) => {
            let resolver = resolve::resolver(&snapshot, is_live);
            match ask::branch(&snapshot, &resolver, &whole, shown_kind, target, args.seen_in.as_ref()) {
                Ok(branch) => branch,
                Err(unresolved) => return Ok(Outcome::end(unresolved, &snapshot, places)),
            }
        }
    };
    let cgroup = CgroupDetail::from(args.cgroup);
    let shown = Shown { cgroup, all_leaders: args.all_leaders, ..Shown::of(shown_kind) };
    let tree = Tree::new(context, forest, shown);
    if args.answer.json {
        let envelope = ask::answer(&tree, super::gap_lines(&snapshot, places));
        screen::print(|out| Ok(json::write(&envelope, out)?))?;
    } else {
        screen::show(color, |out, screen| Ok(view::write(&tree, out, screen)?))?;
    }
    super::tell_gaps(&snapshot, places);
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
