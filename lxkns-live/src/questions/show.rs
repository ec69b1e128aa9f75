//! `show`: all about one namespace, process or link.

use std::collections::BTreeSet;
use std::time::Duration;

use lxkns_answers::context::Context;
use lxkns_answers::counts::Counts;
use lxkns_answers::gaps;
use lxkns_answers::json::Envelope;
use lxkns_answers::links::{Leftovers, Links};
use lxkns_answers::resolve::Resolver;
use lxkns_answers::show::{Label, Reference, ShowAnswer, ShownNamespace, ShownProcess, Unread};
use lxkns_answers::target::{Asked, Target};
use lxkns_answers::text::chain;
use lxkns_core::ProcRoot;
use lxkns_core::model::inside::Inside;
use lxkns_core::model::links::{HostLink, LinkId};
use lxkns_core::model::{
    DiscoveryOptions, Namespace, NamespaceId, NamespaceType, Pid, Place, Places, Process, Scope, Snapshot,
};
use lxkns_inside::Unreadable;

use super::{Host, More, Refuse, find_process, named};

/// An object to show.
#[derive(Clone, Copy, Debug)]
pub enum Item {
    /// A namespace.
    Namespace(NamespaceId),
    /// A process.
    Process(Pid),
    /// A link.
    Link(LinkId),
}

/// All that is known of it.
#[derive(Debug)]
pub enum Shown<'a> {
    /// Of a link.
    Link(&'a HostLink),
    /// Of a namespace.
    Namespace(Box<ShownNamespace<'a>>),
    /// Of a process.
    Process(ShownProcess<'a>),
}

/// What only a process inside can tell of a namespace, and why some of it is missing.
pub type Looked = (Inside, Option<Unread>);

/// The places that show the namespaces of processes.
const OF_PROCESSES: [Place; 4] = [Place::Processes, Place::Tasks, Place::Parents, Place::Owners];

fn are_processes(targets: &[Asked]) -> bool {
    targets.iter().all(|asked| matches!(asked.target, Target::Process(_)))
}

/// What a snapshot must have for these TARGETs.
pub fn options(targets: &[Asked]) -> DiscoveryOptions {
    let mut options = DiscoveryOptions::namespaces();
    if are_processes(targets) {
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

/// These TARGETs, with processes in place of containers.
pub fn settle(resolver: &Resolver<'_>, targets: &[Asked], refuse: &mut Refuse<'_>) -> Vec<Asked> {
    let mut settled = Vec::new();
    for asked in targets {
        match resolver.settle(asked) {
            Ok(asked) => settled.push(asked),
            Err(unresolved) => refuse(unresolved),
        }
    }
    settled
}

/// What these settled TARGETs mean.
pub fn find<'a>(resolver: &Resolver<'_>, targets: &'a [Asked], refuse: &mut Refuse<'_>) -> Vec<(&'a Asked, Item)> {
    let mut items = Vec::new();
    for asked in targets {
        let found = match asked.target {
            Target::Link(_) => resolver.link(asked).map(|id| vec![Item::Link(id)]),
            Target::Process(pid) => resolver
                .verify(asked)
                .and_then(|()| find_process(resolver, asked, pid))
                .map(|process| vec![Item::Process(process.pid)]),
            _ => resolver.resolve(asked).map(|ids| ids.into_iter().map(Item::Namespace).collect()),
        };
        match found {
            Ok(found) => items.extend(found.into_iter().map(|item| (asked, item))),
            Err(unresolved) => refuse(unresolved),
        }
    }
    items
}

/// What only the living host tells of these: for each, and beside the scan.
pub fn read(host: &Host<'_>, snapshot: &Snapshot, items: &[(&Asked, Item)]) -> (Vec<Looked>, More) {
    let (mut insides, mut more, mut ids) = (Vec::new(), More::default(), Vec::new());
    for (_, item) in items {
        insides.push(match item {
            Item::Namespace(id) => {
                ids.push(*id);
                look_inside(host, snapshot, &snapshot.namespaces[id], &mut more)
            }
            _ => Default::default(),
        });
    }
    more.endings = host.endings(snapshot, ids.into_iter());
    (insides, more)
}

fn look_inside(host: &Host<'_>, snapshot: &Snapshot, namespace: &Namespace, more: &mut More) -> Looked {
    let looked = lxkns_inside::look(host.session, snapshot, namespace, host.program, host.timeout);
    more.gaps.extend(looked.gaps);
    let unread = looked.unreadable.map(|unreadable| match unreadable {
        Unreadable::Denied(id) => Unread::NeedsSysAdmin(id),
        Unreadable::NotOpened(error) => Unread::Because(chain(&error)),
        Unreadable::Failed(error) => Unread::Because(chain(&error)),
    });
    (looked.inside, unread)
}

/// What is shown of processes beside the snapshot.
#[derive(Clone, Copy, Debug)]
pub struct Teller<'a> {
    /// The procfs of the living host.
    pub proc: Option<&'a ProcRoot>,
    /// With what their namespaces are compared.
    pub reference: Reference,
}

/// All that is known of these; of each, what only a process inside could tell.
pub fn shown<'a>(
    context: Context<'a>,
    counts: &'a Counts,
    links: &Links<'a>,
    teller: Teller<'_>,
    items: &[(&Asked, Item)],
    insides: Vec<Looked>,
) -> Vec<Shown<'a>> {
    let snapshot = context.snapshot;
    let since_boot = teller.proc.map(|_| since_boot());
    let mut all = Vec::new();
    for ((_, item), (inside, missing)) in items.iter().zip(insides) {
        all.push(match item {
            Item::Link(id) => match links.all.get(*id) {
                Some(link) => Shown::Link(link),
                None => continue,
            },
            Item::Namespace(id) => {
                let namespace = &snapshot.namespaces[id];
                Shown::Namespace(Box::new(ShownNamespace { context, counts, namespace, inside, missing }))
            }
            Item::Process(pid) => {
                let process = &snapshot.processes[pid];
                let label = label(teller.proc, snapshot, process);
                Shown::Process(ShownProcess { context, process, reference: teller.reference, since_boot, label })
            }
        });
    }
    all
}

/// What could not be seen of these. `targets` are the settled ones.
pub fn gaps(snapshot: &Snapshot, targets: &[Asked], items: &[(&Asked, Item)]) -> Vec<String> {
    let mut places: Places = match are_processes(targets) {
        // For a process, bind mounts only give names, so they do not count.
        true => OF_PROCESSES.into_iter().collect(),
        false => DiscoveryOptions::namespaces().places,
    };
    for place in [Place::ProcessFacts, Place::CommandLines, Place::Cgroups, Place::NamespaceFacts, Place::Fds] {
        places = places.with(place);
    }
    let held = gaps::held(snapshot);
    let pid = |(_, item): &(&Asked, Item)| if let Item::Process(pid) = item { Some(*pid) } else { None };
    let pids: Option<BTreeSet<Pid>> = items.iter().map(pid).collect();
    match pids {
        Some(pids) if !pids.is_empty() => gaps::lines_about(snapshot, places, held, &pids),
        _ => gaps::lines(snapshot, places, held),
    }
}

/// The answer.
pub fn answer(
    links: &Links<'_>,
    leftovers: &Leftovers,
    items: &[(&Asked, Item)],
    shown: &[Shown<'_>],
    gaps: Vec<String>,
) -> Envelope<ShowAnswer> {
    let mut answers = Vec::new();
    for ((asked, _), shown) in items.iter().zip(shown) {
        let target = named(asked);
        answers.push(match shown {
            Shown::Namespace(shown) => ShowAnswer::of_namespace(target, shown),
            Shown::Process(shown) => ShowAnswer::of_process(target, shown),
            Shown::Link(link) => ShowAnswer::of_link(target, links.link_answer(link, leftovers)),
        });
    }
    Envelope::new("show", answers, gaps)
}

/// The label that a security module gave a process, by the procfs of the living host, or as a dump has it.
pub fn label(proc: Option<&ProcRoot>, snapshot: &Snapshot, process: &Process) -> Label {
    let Some(proc) = proc else { return Label::of_dump(snapshot, process) };
    match lxkns_core::security_label(proc, process) {
        Ok(Some(label)) => Label::Known(label),
        Ok(None) => Label::None,
        Err(error) => Label::Unread(match error.errno() {
            Some(errno) => format!("not readable ({errno})"),
            None => chain(&error),
        }),
    }
}

/// The time since boot, in this time namespace.
fn since_boot() -> Duration {
    Duration::try_from(rustix::time::clock_gettime(rustix::time::ClockId::Boottime)).unwrap_or_default()
}
