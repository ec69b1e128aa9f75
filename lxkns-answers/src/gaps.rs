//! Gaps as sentences: one for each reason, not one for each process.

use std::collections::{BTreeMap, BTreeSet};
use std::{fmt, io};

use crate::names;
use crate::text::errors;
use crate::text::escape::printable;
use lxkns_model::{
    CapabilitySet, Cause, Errno, Gap, NamespaceId, Object, Observer, Operation, Pid, Place, Places, Relation, Snapshot,
    relations,
};

/// What a gap leaves unknown, in the order of the sentences.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Processes,
    ForChildren,
    Fds,
    Sockets,
    Tuns,
    Mounts,
    BindMounted,
    Parents,
    Owners,
    Kernel,
    Facts,
    CommandLines,
    Cgroups,
    Suspects,
    NamespaceFacts,
    Host,
    HostFiles,
    EngineFiles,
    Engines,
    EngineSockets,
}

impl Subject {
    fn of(gap: &Gap) -> Self {
        // That what is mounted could not be opened, and not that it could not be listed.
        match gap.place {
            Place::BindMounts | Place::ProcesslessMounts if gap.operation.is_opening() => Self::BindMounted,
            Place::Processes | Place::Tasks => Self::Processes,
            Place::ForChildren => Self::ForChildren,
            Place::Fds | Place::TaskFds => Self::Fds,
            Place::Sockets => Self::Sockets,
            Place::Tun => Self::Tuns,
            Place::BindMounts | Place::ProcesslessMounts => Self::Mounts,
            Place::Parents => Self::Parents,
            Place::Owners => Self::Owners,
            Place::Kernel => Self::Kernel,
            Place::ProcessFacts => Self::Facts,
            Place::CommandLines => Self::CommandLines,
            Place::Cgroups => Self::Cgroups,
            Place::Suspects => Self::Suspects,
            Place::NamespaceFacts => Self::NamespaceFacts,
            Place::Host if matches!(gap.object, Object::Path(_)) => Self::HostFiles,
            Place::Containers => match (&gap.object, &gap.operation) {
                (Object::Path(_), _) => Self::EngineFiles,
                // Of what watches over containers.
                (Object::Process(_), Operation::Read(file)) if file == "cmdline" => Self::CommandLines,
                (Object::Process(_), Operation::Other(what)) if what == "connect" => Self::EngineSockets,
                (Object::Process(_), _) => Self::Engines,
                _ => Self::Host,
            },
            _ => Self::Host,
        }
    }

    /// The capabilities that would have helped.
    fn needs(self) -> CapabilitySet {
        match self {
            Self::Processes | Self::ForChildren | Self::Facts | Self::CommandLines | Self::Cgroups | Self::Suspects => {
                CapabilitySet::SYS_PTRACE
            }
            // An engine's sockets are found among its open files.
            Self::Fds | Self::Engines => CapabilitySet::SYS_PTRACE | CapabilitySet::DAC_READ_SEARCH,
            Self::EngineSockets => CapabilitySet::DAC_OVERRIDE,
            Self::Sockets | Self::Tuns => CapabilitySet::NET_ADMIN,
            // What is mounted there is opened by somebody who enters.
            Self::BindMounted => CapabilitySet::SYS_ADMIN | CapabilitySet::SYS_CHROOT,
            Self::HostFiles | Self::EngineFiles => CapabilitySet::DAC_READ_SEARCH,
            _ => CapabilitySet::SYS_ADMIN,
        }
    }

    /// Whether the denied call is one that the caller may not even make about itself. No privilege is missing then.
    fn is_of_callers(self) -> bool {
        matches!(self, Self::ForChildren | Self::Fds | Self::Sockets | Self::Tuns | Self::NamespaceFacts)
    }

    /// The thing in words, with the count if known.
    fn phrase(self, group: &Group<'_>, processes: usize) -> String {
        let (what, named) = match self {
            Self::Processes if group.pids.is_empty() => return "some processes".to_owned(),
            Self::Processes => return format!("{} of {processes} processes", group.pids.len()),
            Self::Kernel => return "the kernel's own lists of namespaces".to_owned(),
            Self::Host => return "facts about the host".to_owned(),
            Self::EngineFiles => return "files of container engines".to_owned(),
            Self::Engines | Self::EngineSockets => {
                let plural = if group.pids.len() == 1 { "" } else { "s" };
                return format!("answers of {} container engine{plural}", group.pids.len());
            }
            Self::HostFiles => {
                let first = group.objects.iter().find_map(|object| match object {
                    Object::Path(path) => Some(printable(path)),
                    _ => None,
                });
                let first = first.unwrap_or_default();
                return match group.objects.len() {
                    0 | 1 => first,
                    2 => format!("{first} and 1 other file of the kernel"),
                    count => format!("{first} and {} other files of the kernel", count - 1),
                };
            }
            Self::ForChildren => ("namespaces for children", "process"),
            Self::Fds => ("open files", "process"),
            Self::Sockets => ("sockets", "process"),
            Self::Tuns => ("TUN files", "process"),
            Self::Mounts => ("mounts", "mount namespace"),
            Self::BindMounted => ("owners", "bind-mounted namespace"),
            Self::Parents => ("parents", "namespace"),
            Self::Owners => ("owners", "namespace"),
            Self::Facts => ("status", "process"),
            Self::CommandLines => ("command lines", "process"),
            Self::Cgroups => ("control groups", "process"),
            Self::Suspects => ("files that may hold a namespace", "process"),
            Self::NamespaceFacts => ("facts", "namespace"),
        };
        let (count, noun) = match (named, group.pids.len(), group.objects.len()) {
            (_, 0, 0) => return what.to_owned(),
            (_, 0, objects) => (objects, if named == "process" { "place" } else { named }),
            (_, pids, _) => (pids, "process"),
        };
        let plural = match (count, noun) {
            (1, _) => "",
            (_, "process") => "es",
            _ => "s",
        };
        format!("{what} of {count} {noun}{plural}")
    }
}

#[derive(Debug, Default)]
struct Group<'a> {
    pids: BTreeSet<Pid>,
    fds: usize,
    is_of_host: bool,
    objects: BTreeSet<&'a Object>,
}

/// The cause of a gap, with the kernel's error if that says more.
type Why = (Cause, Option<Errno>);

/// Why something is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// These capabilities are needed, and the caller lacks some of them.
    Needs(CapabilitySet),
    /// Access denied, though the caller has the needed capabilities.
    InSpiteOf(CapabilitySet),
    /// It needs the initial PID namespace.
    InitialPidNamespace,
    /// A filter of system calls.
    Filter,
    /// This kernel lacks the interface.
    Kernel,
    /// The limit of open descriptors is reached.
    DescriptorLimit,
    /// There was no answer in time.
    TimedOut,
    /// The call takes a PID, and the PIDs of this procfs are of another PID namespace.
    OtherProcfs,
    /// No path leads there.
    NoPath,
    /// The helper that goes there cannot be run.
    NoHelper,
    /// Anything else that the kernel said.
    Failed(Errno),
    /// Anything else.
    Because(Cause),
}

impl Reason {
    fn of(snapshot: &Snapshot, why: Why, subject: Subject, is_of_host: bool, held: CapabilitySet) -> Self {
        let ((cause, errno), needs) = (why, subject.needs());
        match cause {
            Cause::Denied if is_of_host && subject.is_of_callers() => Self::Filter,
            Cause::Denied if !held.contains(needs) => Self::Needs(needs),
            Cause::Denied if subject == Subject::Kernel && is_in_initial_pid_namespace(snapshot) != Some(true) => {
                Self::InitialPidNamespace
            }
            Cause::Denied => Self::InSpiteOf(needs),
            Cause::Unsupported => Self::Kernel,
            Cause::TimedOut => Self::TimedOut,
            Cause::OtherPidNamespace => Self::OtherProcfs,
            Cause::NoPath if subject == Subject::BindMounted => Self::NoPath,
            Cause::NoHelper => Self::NoHelper,
            Cause::Limit if errno.and_then(Errno::name) == Some("EMFILE") => Self::DescriptorLimit,
            cause => errno.map_or(Self::Because(cause), Self::Failed),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Needs(needs) => write!(f, "not readable: needs {}", and(&needs.names())),
            Self::InSpiteOf(needs) => write!(f, "not readable: access denied despite {}", and(&needs.names())),
            Self::InitialPidNamespace => f.write_str("not readable: needs the initial PID namespace"),
            Self::Filter => f.write_str("not readable: refused by a filter of system calls (seccomp)"),
            Self::Kernel => f.write_str("not told by this kernel"),
            Self::DescriptorLimit => {
                f.write_str("not read: descriptor limit reached (EMFILE); raise it with `ulimit -n`")
            }
            Self::TimedOut => f.write_str("not read: no answer in time"),
            Self::OtherProcfs => f.write_str("not readable: procfs is that of another PID namespace"),
            Self::NoPath => f.write_str("not readable: no path leads there"),
            Self::NoHelper => f.write_str(
                "not read: the helper cannot be run (where vm.memfd_noexec is 2, it must be a file named mntnssandbox \
                 beside the program)",
            ),
            Self::Failed(errno) => {
                write!(f, "not read: {}", errors::named(&io::Error::from_raw_os_error(errno.number())))
            }
            Self::Because(Cause::Partial) => f.write_str("only partly readable"),
            Self::Because(cause) => write!(f, "not read: {cause}"),
        }
    }
}

/// What is not known for one reason.
#[derive(Debug)]
pub struct Shortfall {
    /// Why.
    pub reason: Reason,
    /// What.
    pub parts: Vec<Part>,
}

/// Things of one kind.
#[derive(Debug)]
pub struct Part {
    /// What they are, in words.
    pub phrase: String,
    /// How many there are; `None` where that is not known.
    pub count: Option<usize>,
    /// Whether the words count the processes instead of these things.
    is_of_fds: bool,
    /// Which processes.
    pids: Vec<Pid>,
    /// Which other things, by their names.
    things: Vec<String>,
}

impl Part {
    /// What they are, in words, counted if they can be.
    pub fn counted(&self) -> String {
        match self.count {
            Some(1) if self.is_of_fds => format!("1 {}", self.phrase.replacen("s of ", " of ", 1)),
            Some(count) if self.is_of_fds => format!("{count} {}", self.phrase),
            _ => self.phrase.clone(),
        }
    }
}

/// The gaps of these places, a line for each reason, for a caller with these capabilities.
pub fn lines(snapshot: &Snapshot, places: Places, held: CapabilitySet) -> Vec<String> {
    in_words(shortfalls(snapshot, places, held, false))
}

/// As [`lines`], of the gaps that can change what is known of these processes: those about themselves, about their
/// namespaces and those above, and about a place as a whole. That others are not readable changes nothing about them.
pub fn lines_about(snapshot: &Snapshot, places: Places, held: CapabilitySet, pids: &BTreeSet<Pid>) -> Vec<String> {
    let mut namespaces: BTreeSet<NamespaceId> = BTreeSet::new();
    let processes = pids.iter().filter_map(|pid| snapshot.processes.get(pid));
    let links =
        processes.flat_map(|process| process.tasks.iter().map(|task| &task.namespaces).chain([&process.namespaces]));
    let mut todo: Vec<NamespaceId> = links.flat_map(|links| links.iter().map(|(_, id)| id)).collect();
    while let Some(id) = todo.pop() {
        if namespaces.insert(id) {
            let above = snapshot.namespaces.get(&id).into_iter().flat_map(|one| [one.owner, one.parent]);
            todo.extend(above.filter_map(Relation::known));
        }
    }
    let is_about = |gap: &&Gap| match &gap.object {
        Object::Process(pid) | Object::Task(pid, _) | Object::Fd(pid, ..) => pids.contains(pid),
        Object::Namespace(id) | Object::Mount(id, _) => namespaces.contains(id),
        // A place as a whole, or a file of the host's.
        _ => true,
    };
    let gaps: Vec<&Gap> = relevant(snapshot, places).filter(is_about).collect();
    in_words(by_reason(snapshot, &gaps, None, held, false))
}

fn in_words(shortfalls: Vec<Shortfall>) -> Vec<String> {
    let what = |parts: &[Part]| and(&parts.iter().map(|part| part.phrase.clone()).collect::<Vec<_>>());
    let line =
        |shortfall: Shortfall| format!("{} {}{}", what(&shortfall.parts), shortfall.reason, which(&shortfall.parts));
    shortfalls.into_iter().map(line).collect()
}

/// The maximum number of things that a line names. If there are more, it has only their number.
const NAMED: usize = 3;

/// The processes and things of a line, if they are few: ` (PIDs 1 and 7)`.
fn which(parts: &[Part]) -> String {
    let pids: BTreeSet<Pid> = parts.iter().flat_map(|part| &part.pids).copied().collect();
    let things: BTreeSet<&String> = parts.iter().flat_map(|part| &part.things).collect();
    if pids.len() + things.len() > NAMED || pids.is_empty() && things.is_empty() {
        return String::new();
    }
    let numbers: Vec<_> = pids.iter().map(ToString::to_string).collect();
    let processes =
        (!numbers.is_empty()).then(|| format!("PID{} {}", if numbers.len() > 1 { "s" } else { "" }, and(&numbers)));
    let all: Vec<_> = processes.into_iter().chain(things.into_iter().cloned()).collect();
    format!(" ({})", all.join(", "))
}

fn name_of(snapshot: &Snapshot, object: &Object) -> String {
    match object {
        Object::Namespace(id) => names::namespace(snapshot, *id),
        Object::Path(path) => names::text(path),
        Object::Mount(namespace, id) => format!("mount {id} of {}", names::namespace(snapshot, *namespace)),
        // These are named by their processes.
        _ => String::new(),
    }
}

/// The gaps of these places by reason, for a caller with these capabilities. A process that is not readable at all is
/// reported once; with `again`, also for what would be read of it next.
pub fn shortfalls(snapshot: &Snapshot, places: Places, held: CapabilitySet, again: bool) -> Vec<Shortfall> {
    let gaps: Vec<&Gap> = relevant(snapshot, places).collect();
    let outside = outside(snapshot).filter(|_| places.contains(Place::Processes));
    by_reason(snapshot, &gaps, outside, held, again)
}

/// These gaps by reason. `outside`: why processes outside the PID namespace are not listed, if that is reported.
fn by_reason(
    snapshot: &Snapshot,
    gaps: &[&Gap],
    outside: Option<Reason>,
    held: CapabilitySet,
    again: bool,
) -> Vec<Shortfall> {
    let closed: BTreeSet<Pid> = gaps
        .iter()
        .filter(|gap| !again && Subject::of(gap) == Subject::Processes && gap.cause == Cause::Denied)
        .filter_map(|gap| pid_of(&gap.object))
        .collect();
    let mut groups: BTreeMap<(Why, Subject), Group<'_>> = BTreeMap::new();
    for gap in gaps {
        let (subject, pid) = (Subject::of(gap), pid_of(&gap.object));
        // What takes away the one takes away the other.
        let cause = if gap.cause == Cause::Hidden { Cause::Denied } else { gap.cause };
        if cause == Cause::Denied && subject != Subject::Processes && pid.is_some_and(|pid| closed.contains(&pid)) {
            continue;
        }
        // The error tells apart what has no common name.
        let errno = gap.errno.filter(|_| matches!(cause, Cause::Limit | Cause::Other));
        let group = groups.entry(((cause, errno), subject)).or_default();
        match (pid, &gap.object) {
            (Some(pid), object) => {
                group.pids.insert(pid);
                group.fds += usize::from(matches!(object, Object::Fd(..)));
            }
            (None, Object::Host) => group.is_of_host = true,
            (None, object) => drop(group.objects.insert(object)),
        }
    }
    let listed = relations::listed_processes(snapshot);
    let mut shortfalls: Vec<Shortfall> = Vec::new();
    if let Some(reason) = outside {
        let phrase = "processes outside the PID namespace of the scan".to_owned();
        shortfalls.push(Shortfall {
            reason,
            parts: vec![Part { phrase, count: None, is_of_fds: false, pids: Vec::new(), things: Vec::new() }],
        });
    }
    for ((why, subject), group) in &groups {
        let reason = Reason::of(snapshot, *why, *subject, group.is_of_host, held);
        let is_of_fds = matches!(subject, Subject::Sockets | Subject::Tuns) && group.fds > 0;
        let count = if is_of_fds { group.fds } else { group.pids.len().max(group.objects.len()) };
        let phrase = subject.phrase(group, listed);
        let pids = group.pids.iter().copied().collect();
        let things = group
            .objects
            .iter()
            .take(NAMED + 1)
            .map(|object| name_of(snapshot, object))
            .filter(|name| !name.is_empty())
            .collect();
        let part = Part { phrase, count: (count > 0).then_some(count), is_of_fds, pids, things };
        match shortfalls.iter_mut().find(|known| known.reason == reason) {
            Some(known) => known.parts.push(part),
            None => shortfalls.push(Shortfall { reason, parts: vec![part] }),
        }
    }
    shortfalls
}

/// Why processes outside the PID namespace of the procfs are not listed; `None` if there are none.
fn outside(snapshot: &Snapshot) -> Option<Reason> {
    let observer = snapshot.observer.as_ref()?;
    match observer.reads_initial_procfs() {
        Some(true) => None,
        _ if observer.is_in_initial_pid_ns() == Some(true) => Some(Reason::OtherProcfs),
        _ => Some(Reason::InitialPidNamespace),
    }
}

/// Whether a gap is worth a line: a limit of this kernel is not, as every run would report it and no user can change it.
fn relevant(snapshot: &Snapshot, places: Places) -> impl Iterator<Item = &Gap> {
    // Which reader is used changes nothing that is seen: `reader.rs` has the words.
    let is_told =
        |gap: &Gap| gap.place != Place::Reader && (gap.cause != Cause::Unsupported || gap.object != Object::Host);
    snapshot.gaps.iter().filter(move |gap| places.contains(gap.place) && is_told(gap))
}

fn pid_of(object: &Object) -> Option<Pid> {
    match object {
        Object::Process(pid) | Object::Task(pid, _) | Object::Fd(pid, _, _) => Some(*pid),
        _ => None,
    }
}

/// Whether the observer was in the initial PID namespace; `None` if not known.
pub(crate) fn is_in_initial_pid_namespace(snapshot: &Snapshot) -> Option<bool> {
    snapshot.observer.as_ref().and_then(Observer::is_in_initial_pid_ns)
}

/// The observer's capabilities over the whole host; none if not known.
pub fn held(snapshot: &Snapshot) -> CapabilitySet {
    snapshot.observer.as_ref().map(Observer::host_capabilities).unwrap_or_default()
}

/// Phrases in a sentence: `a, b and c`.
pub fn and(phrases: &[String]) -> String {
    match phrases {
        [phrases @ .., last] if !phrases.is_empty() => format!("{} and {last}", phrases.join(", ")),
        _ => phrases.concat(),
    }
}

#[cfg(test)]
mod tests {
    use lxkns_model::Tid;

    use super::*;
    use crate::testing::{HOME, snapshot};

    const EACCES: i32 = 13;
    const EPERM: i32 = 1;
    const ENOTTY: i32 = 25;
    const ENOSYS: i32 = 38;

    fn told(gaps: &[(Place, Object, i32)]) -> Vec<String> {
        let mut snapshot = snapshot();
        snapshot.gaps = gaps
            .iter()
            .map(|(place, object, errno)| {
                Gap::failed(*place, object.clone(), Operation::read("x"), Errno::new(*errno).unwrap()).unwrap()
            })
            .collect();
        lines(&snapshot, Places::holding(), CapabilitySet::DAC_OVERRIDE)
    }

    #[test]
    fn what_is_refused_to_somebody_who_has_it_all_does_not_ask_for_more() {
        let mut snapshot = snapshot();
        let gap = |place| Gap::because(place, Object::Process(Pid(1)), Operation::read("x"), Cause::Denied);
        snapshot.gaps = vec![gap(Place::Fds)];
        let told = |held| lines(&snapshot, Places::holding(), held).concat();
        let both = CapabilitySet::SYS_PTRACE | CapabilitySet::DAC_READ_SEARCH;
        assert!(
            told(both).ends_with("access denied despite CAP_DAC_READ_SEARCH and CAP_SYS_PTRACE (PID 1)"),
            "{}",
            told(both)
        );
        assert!(told(CapabilitySet::SYS_PTRACE).ends_with("needs CAP_DAC_READ_SEARCH and CAP_SYS_PTRACE (PID 1)"));
    }

    #[test]
    fn an_engine_that_may_not_be_asked_names_what_that_takes() {
        let mut snapshot = snapshot();
        let gap = |pid, operation, cause| Gap::because(Place::Containers, Object::Process(Pid(pid)), operation, cause);
        let asked = || Operation::Other("ask engine".into());
        let connect = || Operation::Other("connect".into());
        let told = |gaps: &[Gap], snapshot: &mut Snapshot| {
            snapshot.gaps = gaps.to_vec();
            lines(snapshot, Places::NONE.with(Place::Containers), CapabilitySet::SYS_ADMIN)
        };
        let denied = [gap(1, connect(), Cause::Denied), gap(7, connect(), Cause::Denied)];
        assert_eq!(
            told(&denied, &mut snapshot),
            ["answers of 2 container engines not readable: needs CAP_DAC_OVERRIDE (PIDs 1 and 7)"]
        );
        assert_eq!(
            told(&[gap(1, Operation::list("fd"), Cause::Denied)], &mut snapshot),
            ["answers of 1 container engine not readable: needs CAP_DAC_READ_SEARCH and CAP_SYS_PTRACE (PID 1)"]
        );
        assert_eq!(
            told(&[gap(1, asked(), Cause::TimedOut)], &mut snapshot),
            ["answers of 1 container engine not read: no answer in time (PID 1)"]
        );
    }

    #[test]
    fn a_process_is_counted_once_whatever_failed_about_it() {
        let gaps = [
            (Place::Processes, Object::Process(Pid(1)), EACCES),
            (Place::Tasks, Object::Task(Pid(1), Tid(1)), EACCES),
            (Place::Fds, Object::Process(Pid(1)), EACCES),
            (Place::Processes, Object::Process(Pid(7)), EACCES),
        ];
        assert_eq!(told(&gaps), ["2 of 2 processes not readable: needs CAP_SYS_PTRACE (PIDs 1 and 7)"]);
    }

    #[test]
    fn one_line_for_each_reason() {
        let gaps = [
            (Place::Sockets, Object::Fd(Pid(1), Tid(1), 3), EPERM),
            (Place::Sockets, Object::Fd(Pid(1), Tid(1), 4), EPERM),
            (Place::Sockets, Object::Fd(Pid(2), Tid(2), 3), EPERM),
            (Place::BindMounts, Object::Namespace(HOME), EPERM),
            (Place::Kernel, Object::Host, EPERM),
            (Place::Owners, Object::Namespace(HOME), ENOTTY),
            (Place::Parents, Object::Host, ENOTTY),
            (Place::Fds, Object::Process(Pid(5)), 110),
            (Place::BindMounts, Object::Path("/x".into()), 5),
        ];
        assert_eq!(
            told(&gaps),
            [
                "sockets of 2 processes not readable: needs CAP_NET_ADMIN (PIDs 1 and 2)",
                "mounts of 1 mount namespace and the kernel's own lists of namespaces not readable: \
                 needs CAP_SYS_ADMIN (mnt:[4026531832])",
                "owners of 1 namespace not told by this kernel (mnt:[4026531832])",
                "open files of 1 process not read: no answer in time (PID 5)",
                "mounts of 1 mount namespace not read: Input/output error (EIO) (/x)",
            ]
        );
    }

    #[test]
    fn that_nobody_can_go_there_is_explained() {
        let mut snapshot = snapshot();
        let gap = |ino| {
            let object = Object::Namespace(NamespaceId { ino, ..HOME });
            Gap::because(Place::ProcesslessMounts, object, Operation::Enter("x".into()), Cause::NoHelper)
        };
        snapshot.gaps = vec![gap(1), gap(2)];
        let told = lines(&snapshot, Places::holding(), CapabilitySet::KNOWN);
        assert!(matches!(&told[..], [line] if line.starts_with("mounts of 2 mount namespaces not read: the helper")));
    }

    #[test]
    fn a_filter_is_not_a_missing_privilege() {
        let gaps = [
            (Place::Sockets, Object::Host, EPERM),
            (Place::TaskFds, Object::Host, EPERM),
            (Place::Sockets, Object::Host, ENOSYS),
            (Place::ForChildren, Object::Host, EPERM),
        ];
        assert_eq!(
            told(&gaps),
            ["namespaces for children, open files and sockets not readable: \
                 refused by a filter of system calls (seccomp)"]
        );
    }

    #[test]
    fn only_what_is_shown_and_what_is_a_gap() {
        let gaps = [
            (Place::Cgroups, Object::Process(Pid(1)), EACCES),
            (Place::Host, Object::Host, EACCES),
            (Place::Kernel, Object::Host, ENOSYS),
            (Place::Parents, Object::Host, ENOTTY),
        ];
        assert!(told(&gaps).is_empty());
    }

    #[test]
    fn files_of_engines_take_another_capability_than_facts_about_the_host() {
        let path = |path: &str| Object::Path(path.into());
        let gaps = [(Place::Containers, path("/run/crun"), EACCES), (Place::Containers, path("/run/runc"), EACCES)];
        let mut snapshot = snapshot();
        let gap =
            |(place, object, errno)| Gap::failed(place, object, Operation::OPEN, Errno::new(errno).unwrap()).unwrap();
        snapshot.gaps = gaps.map(gap).to_vec();
        let lines = lines(&snapshot, Places::holding().with(Place::Containers), CapabilitySet::default());
        assert_eq!(
            lines,
            ["files of container engines not readable: needs CAP_DAC_READ_SEARCH (/run/crun, /run/runc)"]
        );
    }

    #[test]
    fn of_many_there_is_only_the_number() {
        let gap = |pid| (Place::Sockets, Object::Process(Pid(pid)), EPERM);
        let line = |pids: &[u32]| told(&pids.iter().map(|&pid| gap(pid)).collect::<Vec<_>>()).concat();
        assert!(line(&[9, 1, 5]).ends_with("CAP_NET_ADMIN (PIDs 1, 5 and 9)"), "{}", line(&[9, 1, 5]));
        assert!(line(&[9, 1, 5, 6]).ends_with("of 4 processes not readable: needs CAP_NET_ADMIN"));
    }
}
