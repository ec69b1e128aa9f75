//! `lxkns show`: all about one namespace or process.

mod answer;

use std::io::Write;
use std::time::Duration;

use lxkns_core::model::inside::Inside;
use lxkns_core::model::{
    DiscoveryOptions, Namespace, NamespaceId, NamespaceLinks, NamespaceType, Pid, Place, Scope, Snapshot,
};

use lxkns_inside::{Program, Unreadable};
use lxkns_mountns::Access;

use super::Findings;
use crate::args::{INSIDE, ShowArgs};
use crate::exit::{Exit, Result, say};
use crate::live;
use crate::progress::Progress;
use crate::resolve::{self, Outcome as _};
use crate::view::counts::Counts;
use crate::view::escape::printable;
use crate::view::names;
use crate::view::screen::{self, Color};
use crate::view::show::Shown;
use crate::view::show_process::{Reference, ShownProcess};
use crate::view::why::SOME;
use lxkns_answers::target::{Asked, Target};
use lxkns_answers::text::chain;

use answer::Answer;

/// Something to show.
enum Item {
    Namespace(NamespaceId),
    Process(Pid),
}

/// What is known of it.
enum Either<'a> {
    Namespace(Box<Shown<'a>>),
    Process(ShownProcess<'a>),
}

/// Runs it.
pub(crate) fn run(args: &ShowArgs, color: Color) -> Result {
    let options = options(&args.targets);
    let is_live = args.look.from.is_none();
    let access = live::access(&args.look.patience);
    let mut snapshot = live::load_with(&args.look, &access, &options)?;
    let (items, exit, gaps_matter) = find(&snapshot, &args.targets, is_live);

    // First what only somebody inside can tell: it can leave gaps.
    let progress = Progress::of("looking inside");
    let mut insides = Vec::new();
    for (_, item) in &items {
        let namespace = match item {
            Item::Namespace(id) if is_live => snapshot.namespaces.get(id).cloned(),
            _ => None,
        };
        insides.push(match namespace {
            Some(namespace) => look_inside(&mut snapshot, &access, &namespace, args.look.patience.timeout),
            None => Default::default(),
        });
    }
    drop(progress);
    let home = super::home(&snapshot, is_live);
    let counts = Counts::of(&snapshot);
    let reference = if is_live { Reference::Own(own_namespaces()) } else { Reference::Initial };
    let since_boot = is_live.then(since_boot);
    let shown: Vec<_> = items
        .iter()
        .zip(insides)
        .map(|((_, item), (inside, missing))| match item {
            Item::Namespace(id) => {
                let namespace = &snapshot.namespaces[id];
                let (snapshot, counts) = (&snapshot, &counts);
                Either::Namespace(Box::new(Shown { snapshot, counts, namespace, home, is_live, inside, missing }))
            }
            Item::Process(pid) => {
                let process = &snapshot.processes[pid];
                Either::Process(ShownProcess { snapshot: &snapshot, process, reference, since_boot })
            }
        })
        .collect();
    if args.json {
        let targets = items.iter().map(|(asked, _)| asked.text.to_string_lossy().into_owned());
        let answers = targets.zip(&shown).map(|(target, shown)| match shown {
            Either::Namespace(shown) => Answer::of_namespace(target, shown),
            Either::Process(shown) => Answer::of_process(target, shown),
        });
        let answers: Vec<_> = answers.collect();
        screen::print(|out| Ok(screen::write_json(out, &answers)?))?;
    } else {
        let limit = if args.all { usize::MAX } else { SOME };
        screen::show(color, |out, screen| {
            for (index, shown) in shown.iter().enumerate() {
                if index > 0 {
                    writeln!(out)?;
                }
                let sheet = match shown {
                    Either::Namespace(shown) => shown.sheet(limit),
                    Either::Process(shown) => shown.sheet(limit),
                };
                sheet.write(out, screen)?;
            }
            Ok(())
        })?;
    }
    for shown in &shown {
        if let Either::Namespace(shown) = shown
            && let Some(why) = &shown.missing
        {
            say(format_args!("{}: {why}", names::namespace(&snapshot, shown.namespace.id)));
        }
    }
    if gaps_matter {
        let others = [Place::ProcessFacts, Place::CommandLines, Place::Cgroups, Place::NamespaceFacts, Place::Fds];
        super::tell_gaps(&snapshot, others.into_iter().fold(options.places, |places, place| places.with(place)));
    }
    Ok(exit)
}

/// What the things that are shown are made of, and no more.
fn options(targets: &[Asked]) -> DiscoveryOptions {
    let mut options = DiscoveryOptions::namespaces();
    let is_process = |asked: &Asked| matches!(asked.target, Target::Process(_));
    if targets.iter().all(is_process) {
        options.places = [Place::Processes, Place::Tasks, Place::Parents, Place::Owners].into_iter().collect();
    } else {
        options.command_lines = Scope::Named;
        options.status = Scope::Named;
        options.namespace_details = true;
    }
    if targets.iter().any(is_process) {
        options.command_lines = Scope::All;
        options.status = Scope::All;
        options.cgroups = true;
        options.freezer = true;
        options.scheduling = true;
    }
    let is_mnt = |asked: &Asked| {
        matches!(asked.target, Target::Inode(Some(NamespaceType::Mnt), _) | Target::OfProcess(_, NamespaceType::Mnt))
    };
    options.mounts = targets.iter().any(is_mnt);
    options.without_self = true;
    options
}

/// What was asked for: what came of it, and whether what could not be seen has to do with it.
fn find<'a>(snapshot: &Snapshot, targets: &'a [Asked], is_live: bool) -> (Vec<(&'a Asked, Item)>, Exit, bool) {
    let (mut items, mut exit, mut gaps_matter) = (Vec::new(), Exit::Done, false);
    for asked in targets {
        if let Target::Process(pid) = asked.target {
            if let Err(unresolved) = resolve::verify(snapshot, asked, is_live) {
                say(&unresolved);
                exit = exit.max(unresolved.exit().0);
                gaps_matter |= unresolved.exit().1;
                continue;
            }
            match super::process_of(snapshot, pid) {
                Some(pid) => {
                    items.push((asked, Item::Process(pid)));
                    gaps_matter = true;
                }
                None => {
                    let absence = resolve::absence(snapshot, pid, is_live);
                    say(format_args!("{}: {}", printable(asked.text.as_encoded_bytes()), absence.words()));
                    exit = exit.max(absence.exit().0);
                    gaps_matter |= absence.exit().1;
                }
            }
            continue;
        }
        let findings: Findings<'_> = super::find(snapshot, std::slice::from_ref(asked), is_live);
        items.extend(findings.found.into_iter().flat_map(|(_, ids)| ids).map(|id| (asked, Item::Namespace(id))));
        exit = exit.max(findings.exit);
        gaps_matter |= findings.gaps_matter;
    }
    (items, exit, gaps_matter)
}

/// Reads what only a process inside can tell; and why not, where that could not be.
fn look_inside(
    snapshot: &mut Snapshot,
    access: &Access,
    namespace: &Namespace,
    timeout: Duration,
) -> (Inside, Option<String>) {
    let looked = live::session(access).and_then(|discovery| {
        let program = Program::again(INSIDE)?;
        Ok(lxkns_inside::look(&discovery, snapshot, namespace, &program, timeout))
    });
    let (inside, why) = match looked {
        Ok(looked) => {
            snapshot.gaps.extend(looked.gaps);
            snapshot.gaps.sort();
            snapshot.gaps.dedup();
            (looked.inside, looked.unreadable.map(|unreadable| words(snapshot, &unreadable)))
        }
        Err(error) => (Inside::default(), Some(format!("{error:#}"))),
    };
    let what = match namespace.ns_type {
        NamespaceType::Net => "links, addresses, routes, sockets",
        NamespaceType::Uts => "host name, domain name",
        _ => "limits",
    };
    (inside, why.map(|why| format!("{what} not readable: {why}")))
}

fn words(snapshot: &Snapshot, unreadable: &Unreadable) -> String {
    match unreadable {
        Unreadable::Denied(None) => "needs CAP_SYS_ADMIN".to_owned(),
        Unreadable::Denied(Some(id)) => format!("needs CAP_SYS_ADMIN in {}", names::namespace(snapshot, *id)),
        Unreadable::NotOpened(error) => chain(error),
        Unreadable::Failed(error) => chain(error),
    }
}

/// The namespaces of whoever asks.
fn own_namespaces() -> NamespaceLinks {
    let mut links = NamespaceLinks::default();
    for ns_type in NamespaceType::ALL {
        if let Some(id) = live::own_namespace(ns_type) {
            links.set(ns_type, id);
        }
    }
    links
}

/// How long ago the host booted, as this time namespace has it.
fn since_boot() -> std::time::Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    std::time::Duration::try_from(now).unwrap_or_default()
}
