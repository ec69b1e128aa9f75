//! `lxkns caps`: what a process may do in a namespace, and why.

use std::io::Write;

use lxkns_core::model::{DiscoveryOptions, NamespaceId, Pid, Place, Scope, Snapshot};
use lxkns_core::relations::{Authority, TreeNode};
use serde::Serialize;

use super::Findings;
use crate::args::CapsArgs;
use crate::exit::{Error, Exit, Result, say};
use crate::live;
use crate::resolve::{self, Outcome as _};
use crate::view::caps::{Caps, names_of};
use crate::view::names;
use crate::view::screen::{self, Color};
use lxkns_answers::target::Target;

/// Runs it.
pub(crate) fn run(args: &CapsArgs, color: Color) -> Result {
    let is_live = args.look.from.is_none();
    let pid = match args.pid {
        Some(pid) => Pid(pid),
        None if is_live => live::own_pid()?,
        None => return Err(Error::Usage("a dump does not say who asks: name a process with -p".to_owned())),
    };
    let options = options(args);
    let snapshot = live::load(&args.look, &options)?;
    let Some(process) = super::process_of(&snapshot, pid).and_then(|pid| snapshot.processes.get(&pid)) else {
        let absence = resolve::absence(&snapshot, pid, is_live);
        say(format_args!("{pid}: {}", absence.words()));
        let (exit, gaps_matter) = absence.exit();
        if gaps_matter {
            super::tell_gaps(&snapshot, options.places);
        }
        return Ok(exit);
    };
    let asked = std::slice::from_ref(&args.target);
    let Findings { found, mut exit, gaps_matter, .. } = super::find(&snapshot, asked, is_live);
    let namespaces: Vec<NamespaceId> = found.into_iter().flat_map(|(_, ids)| ids).collect();
    let all = Caps::of(&snapshot, process, &namespaces);
    if all.iter().any(|caps| caps.capabilities().is_none()) {
        exit = exit.max(Exit::Failed);
    }
    if args.json {
        let answers: Vec<_> = all.iter().flat_map(|caps| answers(&snapshot, caps)).collect();
        screen::print(|out| Ok(screen::write_json(out, &answers)?))?;
    } else {
        screen::show(color, |out, screen| {
            for (index, caps) in all.iter().enumerate() {
                if index > 0 {
                    writeln!(out)?;
                }
                caps.write(out, screen)?;
            }
            Ok(())
        })?;
    }
    if gaps_matter {
        super::tell_gaps(&snapshot, options.places.with(Place::ProcessFacts));
    }
    Ok(exit)
}

fn options(args: &CapsArgs) -> DiscoveryOptions {
    let mut options = DiscoveryOptions::namespaces();
    if matches!(args.target.target, Target::Process(_) | Target::OfProcess(..)) {
        // Only those that processes are in are asked for.
        options.places = [Place::Processes, Place::Tasks, Place::Parents, Place::Owners].into_iter().collect();
    }
    options.status = Scope::All;
    // Without a process named it is this one that is asked about.
    options.without_self = args.pid.is_some();
    options
}

/// The JSON form of what is said of one namespace.
#[derive(Serialize)]
struct Answer {
    ns: u64,
    #[serde(rename = "type")]
    ns_type: Option<&'static str>,
    /// The user namespace that decides: that namespace itself, or its owner.
    userns: Option<u64>,
    process: ProcessAnswer,
    reason: &'static str,
    /// The user namespace that gives all to who created it.
    created: Option<u64>,
    /// Whether it has all, also those that come with later kernels.
    all: bool,
    /// `null` where not known.
    capabilities: Option<Vec<String>>,
    because: String,
    branch: Vec<BranchAnswer>,
}

#[derive(Serialize)]
struct ProcessAnswer {
    pid: u32,
    name: String,
    /// Its effective one.
    uid: Option<u32>,
    userns: Option<u64>,
}

/// A user namespace of the branch: each after the one that it is below.
#[derive(Serialize)]
struct BranchAnswer {
    ns: u64,
    parent: Option<u64>,
    owner_uid: Option<u32>,
}

fn answers<'a>(snapshot: &'a Snapshot, caps: &'a Caps<'a>) -> impl Iterator<Item = Answer> + 'a {
    let ino = |id: NamespaceId| id.ino;
    caps.namespaces.iter().map(move |&id| Answer {
        ns: id.ino,
        ns_type: snapshot.namespaces.get(&id).map(|namespace| namespace.ns_type.name()),
        userns: caps.user.map(ino),
        process: ProcessAnswer {
            pid: caps.process.pid.0,
            name: names::lossy(caps.process.comm()),
            uid: caps.uid().map(|uid| uid.0),
            userns: caps.own().map(ino),
        },
        reason: caps.reason(),
        created: match caps.authority {
            Ok(Authority::Creator(id)) => Some(id.ino),
            _ => None,
        },
        all: matches!(caps.authority, Ok(Authority::Creator(_))),
        capabilities: caps.capabilities().map(names_of),
        because: caps.sentence(),
        branch: branch(snapshot, caps),
    })
}

fn branch(snapshot: &Snapshot, caps: &Caps<'_>) -> Vec<BranchAnswer> {
    let forest = caps.branch();
    let mut todo: Vec<TreeNode> = forest.roots().iter().rev().copied().collect();
    let mut branch = Vec::new();
    while let Some(node) = todo.pop() {
        todo.extend(forest.children(node).iter().rev());
        let Some(id) = node.namespace() else { continue };
        branch.push(BranchAnswer {
            ns: id.ino,
            parent: forest.parent(node).and_then(TreeNode::namespace).map(|id| id.ino),
            owner_uid: snapshot.namespaces.get(&id).and_then(|namespace| namespace.owner_uid).map(|uid| uid.0),
        });
    }
    branch
}
