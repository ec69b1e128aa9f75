//! `lxkns show`: everything about one namespace or process.

use std::collections::BTreeSet;
use std::io::Write;
use std::time::Duration;

use lxkns_answers::Context;
use lxkns_answers::counts::Counts;
use lxkns_answers::gaps;
use lxkns_answers::json::Envelope;
use lxkns_answers::lacks::Lacks;
use lxkns_answers::links::Links;
use lxkns_answers::show::{Label, Reference, ShowAnswer, ShownNamespace, ShownProcess, Unread};
use lxkns_answers::target::{Asked, Target};
use lxkns_answers::text::chain;
use lxkns_core::ProcRoot;
use lxkns_core::model::CompactSort as _;
use lxkns_core::model::inside::Inside;
use lxkns_core::model::links::{HostLink, HostLinks, LinkId};
use lxkns_core::model::{
    DiscoveryOptions, Namespace, NamespaceId, NamespaceLinks, NamespaceType, Pid, Place, Places, Process, Scope,
    Snapshot,
};
use lxkns_inside::{Program, Unreadable};
use lxkns_mountns::Access;

use super::Findings;
use crate::args::{INSIDE, ShowArgs};
use crate::exit::{Error, Exit, Result, say};
use crate::live;
use crate::progress::Progress;
use crate::resolve::{self, Outcome as _};
use crate::view::escape::printable;
use crate::view::screen::{self, Color};
use crate::view::sheet;
use crate::view::why::SOME;

/// An object to show.
enum Item {
    Namespace(NamespaceId),
    Process(Pid),
    Link(LinkId),
}

/// The data for it.
enum Either<'a> {
    Link(&'a HostLink),
    Namespace(Box<ShownNamespace<'a>>),
    Process(ShownProcess<'a>),
}

/// Runs it.
pub(crate) fn run(args: &ShowArgs, color: Color) -> Result {
    let is_live = args.look.from.is_none();
    let targets = match &args.targets[..] {
        [] if is_live => vec![Asked::process(live::own_pid()?.0)],
        [] => return Err(Error::Usage("a dump does not name the caller: name a TARGET".to_owned())),
        targets => targets.to_vec(),
    };
    let mut options = options(&targets);
    // `self` must be in the snapshot.
    options.without_self = !args.targets.is_empty();
    let access = live::access(&args.look.patience);
    let mut snapshot = live::load_with(&args.look, &access, &options)?;
    let (targets, unsettled) = settle(&snapshot, &targets, is_live);
    let (items, host_links, exit, gaps_matter) = find(&snapshot, &targets, is_live);
    let exit = unsettled.map_or(exit, |(unsettled, _)| exit.max(unsettled));
    let gaps_matter = gaps_matter || unsettled.is_some_and(|(_, gaps_matter)| gaps_matter);

    // First the facts that only a process inside can read, which can leave gaps.
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
    if is_live {
        let ids = items.iter().filter_map(|(_, item)| if let Item::Namespace(id) = item { Some(*id) } else { None });
        live::add_endings(&mut snapshot, &ids.collect::<Vec<_>>());
    }
    let context = Context { mount_ns: super::home(&snapshot, is_live), snapshot: &snapshot, is_live };
    let counts = Counts::of(&snapshot);
    let reference = if is_live { Reference::Caller(own_namespaces()) } else { Reference::Initial };
    let since_boot = is_live.then(since_boot);
    let links = Links { context, all: &host_links };
    let leftovers = links.leftovers(&Lacks::of(&snapshot));
    let shown: Vec<_> = items
        .iter()
        .zip(insides)
        .filter_map(|((_, item), (inside, missing))| {
            Some(match item {
                Item::Link(id) => Either::Link(host_links.get(*id)?),
                Item::Namespace(id) => {
                    let namespace = &snapshot.namespaces[id];
                    let counts = &counts;
                    Either::Namespace(Box::new(ShownNamespace { context, counts, namespace, inside, missing }))
                }
                Item::Process(pid) => {
                    let process = &snapshot.processes[pid];
                    let label = label(&snapshot, process, is_live);
                    Either::Process(ShownProcess { context, process, reference, since_boot, label })
                }
            })
        })
        .collect();
    let others = [Place::ProcessFacts, Place::CommandLines, Place::Cgroups, Place::NamespaceFacts, Place::Fds];
    let places = others.into_iter().fold(relevant(&targets, &options), |places, place| places.with(place));
    let held = gaps::held(&snapshot);
    let pids: Option<BTreeSet<Pid>> = items.iter().map(|(_, item)| item.process()).collect();
    let mut unseen = match pids {
        _ if !gaps_matter => Vec::new(),
        Some(pids) if !pids.is_empty() => gaps::lines_about(&snapshot, places, held, &pids),
        _ => gaps::lines(&snapshot, places, held),
    };
    unseen.extend(links.gaps());
    if args.json {
        let targets = items.iter().map(|(asked, _)| asked.text.to_string_lossy().into_owned());
        let answers = targets.zip(&shown).map(|(target, shown)| match shown {
            Either::Namespace(shown) => ShowAnswer::of_namespace(target, shown),
            Either::Process(shown) => ShowAnswer::of_process(target, shown),
            Either::Link(link) => ShowAnswer::of_link(target, links.link_answer(link, &leftovers)),
        });
        let answer = Envelope::new("show", answers.collect(), unseen.clone());
        screen::print(|out| Ok(screen::write_json(out, &answer)?))?;
    } else {
        let limit = if args.all { usize::MAX } else { SOME };
        screen::show(color, |out, screen| {
            for (index, shown) in shown.iter().enumerate() {
                if index > 0 {
                    writeln!(out)?;
                }
                let made = match shown {
                    Either::Namespace(shown) => shown.sheet(limit),
                    Either::Process(shown) => shown.sheet(limit),
                    Either::Link(link) => links.sheet(link, &leftovers, limit),
                };
                sheet::write(&made, out, screen)?;
            }
            Ok(())
        })?;
    }
    for shown in &shown {
        if let Either::Namespace(shown) = shown
            && let Some(complaint) = shown.complaint()
        {
            say(complaint);
        }
    }
    unseen.iter().for_each(say);
    Ok(exit)
}

impl Item {
    fn process(&self) -> Option<Pid> {
        match self {
            Self::Process(pid) => Some(*pid),
            Self::Namespace(_) | Self::Link(_) => None,
        }
    }
}

/// The places that show the namespaces of processes.
const OF_PROCESSES: [Place; 4] = [Place::Processes, Place::Tasks, Place::Parents, Place::Owners];

/// The places whose gaps can change the answer. For a process, bind mounts only give names, so they do not count.
fn relevant(targets: &[Asked], options: &DiscoveryOptions) -> Places {
    let is_process = |asked: &Asked| matches!(asked.target, Target::Process(_));
    if targets.iter().all(is_process) { OF_PROCESSES.into_iter().collect() } else { options.places }
}

/// The options of the scan: what the objects need, and no more.
fn options(targets: &[Asked]) -> DiscoveryOptions {
    let mut options = DiscoveryOptions::namespaces();
    let is_process = |asked: &Asked| matches!(asked.target, Target::Process(_));
    if targets.iter().all(is_process) {
        // Bind mounts for the names of network namespaces.
        options.places = OF_PROCESSES.into_iter().chain([Place::BindMounts]).collect();
    } else {
        options.command_lines = Scope::Named;
        options.status = Scope::Named;
        options.references = true;
    }
    options.namespace_details = true;
    if targets.iter().any(|asked| asked.target.may_be_process()) {
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
    options
}

/// The TARGETs, with processes in place of containers. Others have been reported; this is their exit code, and whether gaps
/// matter.
fn settle(snapshot: &Snapshot, targets: &[Asked], is_live: bool) -> (Vec<Asked>, Option<(Exit, bool)>) {
    let mut unsettled: Option<(Exit, bool)> = None;
    let resolver = resolve::resolver(snapshot, is_live);
    let settled = targets.iter().filter_map(|asked| match super::settle(&resolver, asked) {
        Ok(asked) => Some(asked),
        Err((exit, gaps_matter)) => {
            let (before, mattered) = unsettled.unwrap_or((exit, false));
            unsettled = Some((before.max(exit), mattered || gaps_matter));
            None
        }
    });
    (settled.collect(), unsettled)
}

/// The outcome for a TARGET, and whether gaps can change it.
fn find<'a>(
    snapshot: &Snapshot,
    targets: &'a [Asked],
    is_live: bool,
) -> (Vec<(&'a Asked, Item)>, HostLinks, Exit, bool) {
    let resolver = resolve::resolver(snapshot, is_live);
    let (mut items, mut exit, mut gaps_matter) = (Vec::new(), Exit::Done, false);
    for asked in targets {
        if let Target::Link(_) = asked.target {
            match resolver.link(asked) {
                Ok(id) => {
                    items.push((asked, Item::Link(id)));
                    gaps_matter = true;
                }
                Err(unresolved) => {
                    say(&unresolved);
                    exit = exit.max(unresolved.exit().0);
                    gaps_matter |= unresolved.exit().1;
                }
            }
            continue;
        }
        if let Target::Process(pid) = asked.target {
            if let Err(unresolved) = resolver.verify(asked) {
                say(&unresolved);
                exit = exit.max(unresolved.exit().0);
                gaps_matter |= unresolved.exit().1;
                continue;
            }
            match resolver.process(pid) {
                Some(process) => {
                    items.push((asked, Item::Process(process.pid)));
                    gaps_matter = true;
                }
                None => {
                    let absence = resolver.absence(pid);
                    say(format_args!("{}: {}", printable(asked.text.as_encoded_bytes()), absence.words()));
                    exit = exit.max(absence.exit().0);
                    gaps_matter |= absence.exit().1;
                }
            }
            continue;
        }
        let findings: Findings<'_> = super::find(&resolver, std::slice::from_ref(asked));
        items.extend(findings.found.into_iter().flat_map(|(_, ids)| ids).map(|id| (asked, Item::Namespace(id))));
        exit = exit.max(findings.exit);
        gaps_matter |= findings.gaps_matter;
    }
    (items, resolver.into_links().unwrap_or_default(), exit, gaps_matter)
}

/// Reads the facts that only a process inside can read, or the reason why this is not possible.
pub(super) fn look_inside(
    snapshot: &mut Snapshot,
    access: &Access,
    namespace: &Namespace,
    timeout: Duration,
) -> (Inside, Option<Unread>) {
    let looked = live::session(access).and_then(|discovery| {
        let program = Program::again(INSIDE)?;
        Ok(lxkns_inside::look(&discovery, snapshot, namespace, &program, timeout))
    });
    match looked {
        Ok(looked) => {
            snapshot.gaps.extend(looked.gaps);
            snapshot.gaps.compact_sort();
            snapshot.gaps.dedup();
            (looked.inside, looked.unreadable.map(unread))
        }
        Err(error) => (Inside::default(), Some(Unread::Because(format!("{error:#}")))),
    }
}

fn unread(unreadable: Unreadable) -> Unread {
    match unreadable {
        Unreadable::Denied(id) => Unread::NeedsSysAdmin(id),
        Unreadable::NotOpened(error) => Unread::Because(chain(&error)),
        Unreadable::Failed(error) => Unread::Because(chain(&error)),
    }
}

/// The label that a security module gave a process.
pub(super) fn label(snapshot: &Snapshot, process: &Process, is_live: bool) -> Label {
    if !is_live {
        return Label::of_dump(snapshot, process);
    }
    match ProcRoot::host().map(|proc| lxkns_core::security_label(&proc, process)) {
        Ok(Ok(Some(label))) => Label::Known(label),
        Ok(Ok(None)) => Label::None,
        Ok(Err(error)) | Err(error) => Label::Unread(match error.errno() {
            Some(errno) => format!("not readable ({errno})"),
            None => chain(&error),
        }),
    }
}

/// The caller's namespaces.
fn own_namespaces() -> NamespaceLinks {
    let mut links = NamespaceLinks::default();
    for ns_type in NamespaceType::ALL {
        if let Some(id) = live::own_namespace(ns_type) {
            links.set(ns_type, id);
        }
    }
    links
}

/// The time since boot, in this time namespace.
fn since_boot() -> std::time::Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    std::time::Duration::try_from(now).unwrap_or_default()
}
