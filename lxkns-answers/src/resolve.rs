//! From a TARGET to the namespaces of a snapshot that it means.

use std::cell::{OnceCell, RefCell};
use std::fmt;
use std::io;
use std::path::Path;

use bstr::BString;
use lxkns_model::CompactSort as _;
use lxkns_model::links::{HostLinks, LinkId};
use lxkns_model::relations::{self, Index};
use lxkns_model::{
    CapabilitySet, NamespaceId, NamespaceLinks, NamespaceType, Object, Pid, Place, Process, Snapshot, Tid,
};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::called::Called;
use crate::context::Context;
use crate::links::Links;
use crate::target::{Asked, LinkName, Target, similar_type};
use crate::text::errors;
use crate::text::escape::printable;
use crate::{gaps, names, netns};

/// What only the living host can tell. Nothing of it may hang.
pub trait Lookup {
    /// The namespace at a path, or `None` where there is something else. The snapshot is that of the same host.
    ///
    /// # Errors
    ///
    /// Where the path leads nowhere, or where it leads is not known. [`Unsupported`](io::ErrorKind::Unsupported) without an error
    /// number: no namespace is mounted there, and files are not looked up; a name of `ip netns` then means nothing.
    fn namespace_at(&self, snapshot: &Snapshot, path: &Path) -> io::Result<Option<NamespaceId>>;

    /// Whether there is a task with this ID, as far as procfs tells.
    fn has_task(&self, pid: Pid) -> bool;

    /// The inode number of a pidfd of this process; `None` where this kernel gives pidfds none of their own.
    ///
    /// # Errors
    ///
    /// Where there is no pidfd.
    fn pidfd_inode(&self, pid: Pid) -> io::Result<Option<u64>>;

    /// The links of all network namespaces of this snapshot. Asked only where a TARGET is a link.
    ///
    /// # Errors
    ///
    /// Where they cannot be read at all; so by default.
    fn links(&self, snapshot: &Snapshot) -> io::Result<HostLinks> {
        let _ = snapshot;
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// A host without files and processes: for a program that has a dump alone.
#[derive(Clone, Copy, Debug)]
pub struct NoHost;

impl Lookup for NoHost {
    fn namespace_at(&self, _: &Snapshot, _: &Path) -> io::Result<Option<NamespaceId>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn has_task(&self, _: Pid) -> bool {
        false
    }

    fn pidfd_inode(&self, _: Pid) -> io::Result<Option<u64>> {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// Why a TARGET means nothing here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unresolved {
    /// It does not exist, which is proven.
    Missing(String),
    /// A namespace that was not found and may exist.
    NotVisible(String),
    /// It cannot be asked for in this way.
    Usage(String),
    /// It exists, but cannot be seen.
    Unseen(String),
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Missing(message) | Self::NotVisible(message) | Self::Usage(message) | Self::Unseen(message)) = self;
        f.write_str(message)
    }
}

/// Why a snapshot does not have a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// There is none.
    Gone,
    /// It was listed, and could not be read.
    NotReadable,
    /// Procfs does not list all processes.
    Hidden,
}

impl Absence {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Gone => "no such process",
            Self::NotReadable => "not readable",
            Self::Hidden => "not listed: procfs hides processes",
        }
    }
}

/// Finds what any number of TARGETs mean in one snapshot. Whatever takes a search through the snapshot is searched once.
pub struct Resolver<'a> {
    context: Context<'a>,
    lookup: &'a dyn Lookup,
    index: OnceCell<Index<'a>>,
    by_unique_id: OnceCell<FxHashMap<u64, NamespaceId>>,
    unread: OnceCell<Unread>,
    /// The network namespaces that have a name of `ip netns`, in a dump.
    named: OnceCell<FxHashMap<BString, Vec<NamespaceId>>>,
    /// What the names of containers mean.
    called: OnceCell<Called<'a>>,
    /// The links of all network namespaces, or why they could not be read.
    links: OnceCell<Result<HostLinks, String>>,
    /// Why a namespace of a type can live unseen.
    unseen: RefCell<FxHashMap<Option<NamespaceType>, Option<String>>>,
}

/// The processes that were not read.
struct Unread {
    /// Those that were listed.
    listed: FxHashSet<Pid>,
    /// Procfs does not list all.
    are_some_hidden: bool,
    /// A listed one has tasks that are not in the snapshot.
    have_unread_tasks: bool,
}

impl Unread {
    fn of(snapshot: &Snapshot) -> Self {
        let mut unread = Self { listed: FxHashSet::default(), are_some_hidden: false, have_unread_tasks: false };
        for gap in snapshot.gaps.iter().filter(|gap| gap.place == Place::Processes) {
            match gap.object {
                Object::Host => unread.are_some_hidden = true,
                Object::Process(pid) => {
                    unread.listed.insert(pid);
                    let process = snapshot.processes.get(&pid);
                    unread.have_unread_tasks |=
                        process.is_some_and(|process| process.threads as usize > process.tasks.len());
                }
                _ => {}
            }
        }
        unread
    }
}

impl<'a> Resolver<'a> {
    /// For the TARGETs of this snapshot. `lookup` is asked only if the snapshot is of the living host.
    pub fn new(context: Context<'a>, lookup: &'a dyn Lookup) -> Self {
        Self {
            context,
            lookup,
            index: OnceCell::new(),
            by_unique_id: OnceCell::new(),
            unread: OnceCell::new(),
            named: OnceCell::new(),
            called: OnceCell::new(),
            links: OnceCell::new(),
            unseen: RefCell::default(),
        }
    }

    fn index(&self) -> &Index<'a> {
        self.index.get_or_init(|| Index::of(self.context.snapshot))
    }

    /// The process with this PID, or with a task that has it as its TID.
    pub fn process(&self, pid: Pid) -> Option<&'a Process> {
        self.context.snapshot.processes.get(&pid).or_else(|| self.index().process_of(Tid(pid.0)))
    }

    /// Why the snapshot does not have this process or task.
    pub fn absence(&self, pid: Pid) -> Absence {
        let unread = self.unread.get_or_init(|| Unread::of(self.context.snapshot));
        let may_be_task = || unread.have_unread_tasks && (!self.context.is_live || self.lookup.has_task(pid));
        if unread.listed.contains(&pid) {
            Absence::NotReadable
        } else if unread.are_some_hidden {
            Absence::Hidden
        } else if may_be_task() {
            Absence::NotReadable
        } else {
            Absence::Gone
        }
    }

    /// The namespaces that a TARGET means, sorted by type; never none.
    ///
    /// # Errors
    ///
    /// It means nothing, or what it means cannot be seen.
    pub fn resolve(&self, asked: &Asked) -> Result<Vec<NamespaceId>, Unresolved> {
        self.verify(asked)?;
        let asked = &self.settle(asked)?;
        let &Self { context: Context { snapshot, is_live, .. }, lookup, .. } = self;
        let text = || printable(asked.text.as_encoded_bytes());
        let missing = |what: &str| Unresolved::Missing(format!("{}: {what}", text()));
        let absent = |pid| match self.absence(pid) {
            Absence::Gone => missing(Absence::Gone.words()),
            unseen => Unresolved::Unseen(format!("{}: {}", text(), unseen.words())),
        };
        let not_found = |ns_type| match self.unseen(ns_type) {
            Some(unseen) => Unresolved::NotVisible(format!("{}: not visible from here: {unseen}", text())),
            None => missing("no such namespace"),
        };
        match &asked.target {
            Target::Process(pid) => self.all_of(*pid).ok_or_else(|| absent(*pid))?,
            Target::OfProcess(pid, ns_type) => self.of_type(*pid, *ns_type).ok_or_else(|| absent(*pid))?,
            Target::Inode(ns_type, ino) => {
                let namespace = snapshot.by_ino(*ino).ok_or_else(|| match is_namespace_inode(*ino) {
                    true => not_found(*ns_type),
                    false => missing("no such namespace"),
                })?;
                if let Some(ns_type) = ns_type.filter(|&ns_type| ns_type != namespace.ns_type) {
                    let found = namespace.ns_type;
                    return Err(missing(&format!("no such {ns_type} namespace: {ino} is a {found} namespace")));
                }
                Ok(vec![namespace.id])
            }
            Target::UniqueId(unique_id) => {
                let by_unique_id = self.by_unique_id.get_or_init(|| {
                    let namespaces = snapshot.namespaces.values();
                    namespaces.rev().filter_map(|namespace| Some((namespace.unique_id?, namespace.id))).collect()
                });
                by_unique_id.get(unique_id).map(|&id| vec![id]).ok_or_else(|| not_found(None))
            }
            Target::Path(_) if !is_live => Err(Unresolved::Usage(format!(
                "{}: a dump has no paths to look up; name the namespace by its inode number",
                text()
            ))),
            Target::Path(path) => match lookup.namespace_at(snapshot, path) {
                Ok(Some(id)) if snapshot.namespaces.contains_key(&id) => Ok(vec![id]),
                Ok(Some(id)) => Err(Unresolved::Unseen(format!(
                    "{}: leads to namespace {}, which this scan did not see: try again",
                    text(),
                    id.ino
                ))),
                Ok(None) => Err(missing("not a namespace")),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Err(missing(&no_file(path))),
                Err(error) => Err(Unresolved::Unseen(format!("{}: {}", text(), errors::named(&error)))),
            },
            Target::Caller(_) => Err(Unresolved::Usage(format!("{}: the caller is not known", text()))),
            Target::Host(ns_type) => {
                let is_meant = |of| ns_type.is_none_or(|ns_type| ns_type == of);
                let initial = snapshot.namespaces_by_type().into_iter().filter(|namespace| namespace.initial);
                let found: Vec<_> = initial.filter(|namespace| is_meant(namespace.ns_type)).map(|ns| ns.id).collect();
                let unseen =
                    || Unresolved::Unseen(format!("{}: the host's initial namespaces are not visible here", text()));
                if found.is_empty() { Err(unseen()) } else { Ok(found) }
            }
            Target::Netns(name) => self.named(name).unwrap_or_else(|why| Err(why.unresolved(text()))),
            Target::Container(name) => self.called().namespaces_of_container(name, &text()),
            Target::Link(_) => self.link(asked).map(|id| vec![id.ns]),
            Target::Name(name) => self.called().anything(self.named(name), name, &text()),
        }
        .map_err(|unresolved| match unresolved {
            Unresolved::Unseen(what) if what.is_empty() => {
                Unresolved::Unseen(format!("{}: its namespaces are not readable", text()))
            }
            Unresolved::Missing(what) if what.is_empty() => Unresolved::Missing(format!(
                "{}: the process has exited and is no longer in a namespace of this type",
                text()
            )),
            other => other,
        })
    }

    /// The same, with the process or its namespace in place of a container that has one. [`resolve`](Self::resolve) does this
    /// too; call it where a process is taken from the snapshot without that.
    ///
    /// # Errors
    ///
    /// The name means nothing, or several things.
    pub fn settle(&self, asked: &Asked) -> Result<Asked, Unresolved> {
        let text = printable(asked.text.as_encoded_bytes());
        let target = match &asked.target {
            Target::Name(name) => self.called().settle_name(self.named(name), name, &text)?,
            Target::Container(name) => self.called().settle_container(name, &text)?,
            _ => None,
        };
        Ok(Asked { text: asked.text.clone(), target: target.unwrap_or_else(|| asked.target.clone()) })
    }

    /// The TARGETs that mean the container with this index and nothing else, the shortest form first; none where neither a
    /// process nor a namespace of it is there.
    pub fn targets_of_container(&self, index: usize) -> Vec<String> {
        self.called().targets(index, |name| self.named(name))
    }

    /// The links that were read where a TARGET was one.
    pub fn into_links(self) -> Option<HostLinks> {
        self.links.into_inner()?.ok()
    }

    /// The link that a TARGET means.
    ///
    /// # Errors
    ///
    /// It means none or several, or it is not known which.
    pub fn link(&self, asked: &Asked) -> Result<LinkId, Unresolved> {
        let text = printable(asked.text.as_encoded_bytes());
        let Target::Link(LinkName { of, name }) = &asked.target else {
            return Err(Unresolved::Usage(format!("{text}: not a link")));
        };
        let &Self { context, lookup, .. } = self;
        if !context.is_live {
            return Err(Unresolved::Usage(format!("{text}: links are not in a dump")));
        }
        let within = match of.as_deref().map(|of| self.resolve(of)).transpose()? {
            None => None,
            Some(ids) => {
                let ns_type = |id: &NamespaceId| context.snapshot.namespaces.get(id).map(|found| found.ns_type);
                let is_net = |id: &NamespaceId| ns_type(id) == Some(NamespaceType::Net);
                let nets: Vec<_> = ids.into_iter().filter(is_net).collect();
                if nets.is_empty() {
                    return Err(Unresolved::Usage(format!(
                        "{text}: the part before the name is not a network namespace"
                    )));
                }
                Some(nets)
            }
        };
        let read = self.links.get_or_init(|| lookup.links(context.snapshot).map_err(|error| errors::named(&error)));
        let all = read.as_ref().map_err(|why| Unresolved::Unseen(format!("{text}: links not readable: {why}")))?;
        let is_within = |id: &NamespaceId| within.as_ref().is_none_or(|within| within.contains(id));
        let found: Vec<_> =
            all.all().iter().filter(|link| link.link.name == name.as_slice() && is_within(&link.id.ns)).collect();
        let links = Links { context, all };
        match found[..] {
            [link] => Ok(link.id),
            [] => {
                let is_unread = all.unread.iter().any(|(id, _)| is_within(id));
                let unseen = if within.is_none() { self.unseen(Some(NamespaceType::Net)) } else { None };
                match unseen {
                    _ if is_unread => Err(Unresolved::Unseen(format!(
                        "{text}: no visible link has this name; {}",
                        links.gaps().join("; ")
                    ))),
                    Some(_) => Err(Unresolved::Unseen(format!(
                        "{text}: no link has this name in the network namespaces that were found; others may not be visible"
                    ))),
                    None => Err(Unresolved::Missing(format!("{text}: no link has this name"))),
                }
            }
            _ => Err(Unresolved::Usage(links.several(&text, &found))),
        }
    }

    fn called(&self) -> &Called<'a> {
        self.called.get_or_init(|| Called::of(self.context))
    }

    fn unseen(&self, ns_type: Option<NamespaceType>) -> Option<String> {
        self.unseen.borrow_mut().entry(ns_type).or_insert_with(|| unseen(&self.context, ns_type)).clone()
    }

    fn named(&self, name: &str) -> Result<Found, Nameless> {
        let snapshot = self.context.snapshot;
        named(&self.context, self.lookup, name, |mount_ns| {
            let names = self.named.get_or_init(|| {
                let mut by_name: FxHashMap<_, Vec<_>> = FxHashMap::default();
                for (name, id) in netns::names(snapshot, mount_ns) {
                    by_name.entry(name).or_default().push(id);
                }
                by_name
            });
            names.get(name.as_bytes()).cloned().unwrap_or_default()
        })
    }

    /// Checks that a process is the one that is meant, if the TARGET says which (`PID:INODE`). [`resolve`](Self::resolve) does
    /// this too; call it where a process is taken from the snapshot without that.
    ///
    /// # Errors
    ///
    /// It is another process, or it is not known which it is.
    pub fn verify(&self, asked: &Asked) -> Result<(), Unresolved> {
        let &Self { ref context, lookup, .. } = self;
        let text = || printable(asked.text.as_encoded_bytes());
        let process = || match asked.target {
            Target::Process(pid) | Target::OfProcess(pid, _) => Some(pid),
            _ => None,
        };
        if asked.is_caller() && !context.is_live && process().is_some() {
            let what = "is a process of the live host; a dump has processes by PID only";
            return Err(Unresolved::Usage(format!("{}: {what}", text())));
        }
        let (Some(number), Some(pid)) = (asked.identity(), process()) else { return Ok(()) };
        let Some(process) = context.snapshot.processes.get(&pid) else { return Ok(()) };
        if process.start_time_ticks() == number {
            return Ok(());
        }
        let other = |more: &str| {
            let started = process.start_time_ticks();
            Unresolved::Missing(format!(
                "{}: PID {pid} is another process, which started at {started} ticks{more}",
                text()
            ))
        };
        if !context.is_live {
            return Err(other("; a dump has start times, but no inode numbers of pidfds"));
        }
        // It was the same all the time since the number was given, so the snapshot has that process, too.
        match lookup.pidfd_inode(pid) {
            Ok(Some(inode)) if inode == number => Ok(()),
            Ok(Some(inode)) => Err(other(&format!(" and has the pidfd inode {inode}"))),
            Ok(None) => Err(other("; this kernel gives pidfds no inode numbers of their own")),
            Err(error) => Err(Unresolved::Unseen(format!("{}: pidfd of PID {pid}: {}", text(), errors::named(&error)))),
        }
    }

    /// All namespaces of a process and its tasks, or of the one task with this ID.
    fn all_of(&self, pid: Pid) -> Option<Found> {
        let snapshot = self.context.snapshot;
        let links: Vec<&NamespaceLinks> = match snapshot.processes.get(&pid) {
            Some(process) => {
                [&process.namespaces].into_iter().chain(process.tasks.iter().map(|task| &task.namespaces)).collect()
            }
            None => vec![self.of_task(Tid(pid.0))?],
        };
        let mut found: Vec<_> = links.iter().flat_map(|links| links.iter()).collect();
        found.compact_sort();
        found.dedup();
        Some(visible(snapshot, found.into_iter().map(|(_, id)| id)))
    }

    fn of_type(&self, pid: Pid, ns_type: NamespaceType) -> Option<Found> {
        let snapshot = self.context.snapshot;
        let links = match snapshot.processes.get(&pid) {
            Some(process) => &process.namespaces,
            None => self.of_task(Tid(pid.0))?,
        };
        let has_exited = || snapshot.processes.get(&pid).is_some_and(Process::has_given_up_namespaces);
        match links.get(ns_type) {
            None if has_exited() => Some(Err(Unresolved::Missing(String::new()))),
            id => Some(visible(snapshot, id.into_iter())),
        }
    }

    fn of_task(&self, tid: Tid) -> Option<&'a NamespaceLinks> {
        self.index().task(tid).map(|(_, task)| &task.namespaces)
    }
}

/// Why a namespace (of this type, where that is known) can live and not be in the snapshot; `None` where it cannot: all that
/// may hold it could be seen, and nothing can that the kernel does not list.
fn unseen(context: &Context<'_>, ns_type: Option<NamespaceType>) -> Option<String> {
    let &Context { snapshot, is_live, .. } = context;
    let names = names::few(snapshot.unseen_keepers(ns_type).into_iter().map(|keeper| keeper.name));
    let unlisted = names.map(|names| format!("is held only by what the kernel does not list: {names}"));
    let unreadable = match relations::unreadable_processes(snapshot) {
        _ if relations::absence_seen(snapshot, ns_type) => None,
        0 if !relations::processes_listed(snapshot) => Some("is held by a process that is not listed here".to_owned()),
        0 if Place::HOLDING.iter().any(|&place| !snapshot.options.places.contains(place)) => {
            Some("is held in a place that this command does not search".to_owned())
        }
        0 => Some("is held by something that could not be read".to_owned()),
        1 => Some("is held by the process that is not readable".to_owned()),
        count => Some(format!("is held by one of {count} processes that are not readable")),
    };
    let held = gaps::held(snapshot);
    let help = match unreadable {
        Some(_) if !is_live => "",
        Some(_) if !held.contains(CapabilitySet::SYS_PTRACE) => "; run as root, or see `lxkns doctor`",
        Some(_) => "; see `lxkns doctor`",
        None => "",
    };
    let reasons: Vec<_> = [Some("it has ended".to_owned()), unreadable, unlisted].into_iter().flatten().collect();
    (reasons.len() > 1).then(|| format!("{}{help}", reasons.join(", or ")))
}

/// What a path says that leads nowhere, with what was probably meant.
fn no_file(path: &Path) -> String {
    let words = path.to_str().and_then(|path| path.split_once('/'));
    match words.filter(|(of, name)| {
        (["self", "host"].contains(of) || of.split(':').all(|part| part.parse::<u64>().is_ok()))
            && !name.is_empty()
            && !name.contains('/')
    }) {
        Some((of, name)) => {
            let types: Vec<_> = NamespaceType::ALL.iter().map(|ns_type| ns_type.name()).collect();
            let meant = similar_type(name).map(|ns_type| format!("; did you mean {of}/{ns_type}?")).unwrap_or_default();
            let name = names::text(name);
            format!("no such file, and {name} is not a namespace type: expected one of {}{meant}", types.join(", "))
        }
        None => "no such file".to_owned(),
    }
}

/// Why a name means nothing.
pub(crate) enum Nameless {
    /// Nothing has it.
    None,
    /// It means several namespaces, by their paths.
    Several(Vec<String>),
    /// It is not known.
    Unknown(String),
}

impl Nameless {
    pub(crate) fn unresolved(self, text: impl fmt::Display) -> Unresolved {
        match self {
            Self::None => Unresolved::Missing(format!("{text}: no network namespace has this name")),
            Self::Several(all) => {
                Unresolved::Usage(format!("{text}: has several meanings; name one of them: {}", all.join(", ")))
            }
            Self::Unknown(why) => Unresolved::Unseen(format!("{text}: {why}")),
        }
    }
}

/// The network namespace with this name of `ip netns`. `in_dump` are the names that a dump has.
fn named(
    context: &Context<'_>,
    lookup: &dyn Lookup,
    name: &str,
    in_dump: impl FnOnce(NamespaceId) -> Vec<NamespaceId>,
) -> Result<Found, Nameless> {
    let mut found: Vec<(String, NamespaceId)> = Vec::new();
    if context.is_live {
        // Paths first: they are what `ip netns` goes by.
        for directory in netns::DIRECTORIES {
            let path = format!("{directory}{name}");
            use io::ErrorKind::{NotADirectory, NotFound, Unsupported};
            let is_unmounted = |error: &io::Error| error.kind() == Unsupported && error.raw_os_error().is_none();
            match lookup.namespace_at(context.snapshot, Path::new(&path)) {
                Ok(Some(id)) => found.push((path, id)),
                Ok(None) => {}
                Err(error) if [NotFound, NotADirectory].contains(&error.kind()) || is_unmounted(&error) => {}
                Err(error) => return Err(Nameless::Unknown(format!("{}: {}", printable(path), errors::named(&error)))),
            }
        }
    } else {
        let Some(mount_ns) = context.mount_ns else {
            return Err(Nameless::Unknown(
                "the dump does not say in which mount namespace it found the names of network namespaces".to_owned(),
            ));
        };
        found.extend(in_dump(mount_ns).into_iter().map(|id| (names::target(context.snapshot, id), id)));
    }
    // Two paths to one namespace are one thing.
    let ids: std::collections::BTreeSet<_> = found.iter().map(|(_, id)| *id).collect();
    match (found.len(), ids.len()) {
        (0, _) => Err(Nameless::None),
        (_, 1) => {
            let id = found[0].1;
            let is_seen = context.snapshot.namespaces.contains_key(&id);
            let unseen = || format!("leads to namespace {}, which this scan did not see: try again", id.ino);
            if is_seen { Ok(Ok(vec![id])) } else { Err(Nameless::Unknown(unseen())) }
        }
        _ => Err(Nameless::Several(found.into_iter().map(|(path, _)| printable(path)).collect())),
    }
}

/// Whether the kernel gives such numbers to namespaces: from a little below `PROC_DYNAMIC_FIRST` on, in 32 bits.
fn is_namespace_inode(ino: u64) -> bool {
    (0xefff_f000..=u64::from(u32::MAX)).contains(&ino)
}

/// What is known of a name: the namespaces that it means.
pub(crate) type Found = Result<Vec<NamespaceId>, Unresolved>;

fn visible(snapshot: &Snapshot, ids: impl Iterator<Item = NamespaceId>) -> Found {
    let ids: Vec<_> = ids.filter(|id| snapshot.namespaces.contains_key(id)).collect();
    if ids.is_empty() { Err(Unresolved::Unseen(String::new())) } else { Ok(ids) }
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
