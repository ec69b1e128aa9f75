//! What could not be seen, in a line for each reason: never one for each process.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use lxkns_core::model::{Gap, GapKind, NamespaceType, Object, Pid, Place, Places, Snapshot};
use rustix::io::Errno;
use rustix::thread::CapabilitySet as Capabilities;

use crate::live;

/// Their inode numbers are the same on every kernel (`include/uapi/linux/nsfs.h`).
const INITIAL_USER_NAMESPACE: u64 = 4_026_531_837;
const INITIAL_PID_NAMESPACE: u64 = 4_026_531_836;

/// What is not known because of a gap; in the order in which they are told.
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
}

impl Subject {
    fn of(gap: &Gap) -> Self {
        // That what is mounted could not be opened, and not that it could not be listed.
        let is_opening = ["open", "openat2"].contains(&&*gap.operation)
            || ["open in ", "look at "].iter().any(|start| gap.operation.starts_with(start));
        match gap.place {
            Place::BindMounts | Place::ProcesslessMounts if is_opening => Self::BindMounted,
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
            _ => Self::Host,
        }
    }

    /// The capabilities that would have helped.
    fn needs(self) -> Capabilities {
        match self {
            Self::Processes | Self::ForChildren | Self::Facts | Self::CommandLines | Self::Cgroups | Self::Suspects => {
                Capabilities::SYS_PTRACE
            }
            Self::Fds => Capabilities::SYS_PTRACE | Capabilities::DAC_READ_SEARCH,
            Self::Sockets | Self::Tuns => Capabilities::NET_ADMIN,
            _ => Capabilities::SYS_ADMIN,
        }
    }

    /// Whether what is denied of the host as a whole is a call that the caller may not make even about itself: no privilege
    /// is missing then.
    fn is_of_callers(self) -> bool {
        matches!(self, Self::ForChildren | Self::Fds | Self::Sockets | Self::Tuns | Self::NamespaceFacts)
    }

    /// What it is, with how many where that is known.
    fn phrase(self, group: &Group<'_>, processes: usize) -> String {
        let (what, named) = match self {
            Self::Processes if group.pids.is_empty() => return "some processes".to_owned(),
            Self::Processes => return format!("{} of {processes} processes", group.pids.len()),
            Self::Kernel => return "the kernel's own lists of namespaces".to_owned(),
            Self::Host => return "facts about the host".to_owned(),
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
    is_of_host: bool,
    objects: BTreeSet<&'a Object>,
}

/// The gaps of these places, a line for each reason, for somebody who holds these capabilities.
pub(crate) fn lines(snapshot: &Snapshot, places: Places, held: Capabilities) -> Vec<String> {
    // A process that cannot be read at all is told of once, and not once more for its descriptors.
    let closed: BTreeSet<Pid> = relevant(snapshot, places)
        .filter(|gap| Subject::of(gap) == Subject::Processes && gap.kind() == GapKind::Denied)
        .filter_map(|gap| pid_of(&gap.object))
        .collect();
    let mut groups: BTreeMap<(GapKind, i32, Subject), Group<'_>> = BTreeMap::new();
    for gap in relevant(snapshot, places) {
        let (kind, subject, pid) = (gap.kind(), Subject::of(gap), pid_of(&gap.object));
        if kind == GapKind::Denied && subject != Subject::Processes && pid.is_some_and(|pid| closed.contains(&pid)) {
            continue;
        }
        // The error number tells apart what has no common name.
        let errno = if kind == GapKind::Other { gap.errno } else { 0 };
        let group = groups.entry((kind, errno, subject)).or_default();
        match (pid, &gap.object) {
            (Some(pid), _) => drop(group.pids.insert(pid)),
            (None, Object::Host) => group.is_of_host = true,
            (None, object) => drop(group.objects.insert(object)),
        }
    }
    let mut reasons: Vec<(String, Vec<String>)> = Vec::new();
    for ((kind, errno, subject), group) in &groups {
        let reason = if *kind == GapKind::Denied && group.is_of_host && subject.is_of_callers() {
            "not readable: refused by a filter of system calls (seccomp)".to_owned()
        } else {
            reason(*kind, *errno, *subject, held)
        };
        let phrase = subject.phrase(group, snapshot.processes.len());
        match reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, phrases)) => phrases.push(phrase),
            None => reasons.push((reason, vec![phrase])),
        }
    }
    reasons.into_iter().map(|(reason, phrases)| format!("{} {reason}", and(&phrases))).collect()
}

/// What is worth telling: not what has gone, and not what this kernel can do for nobody, of which the user would be
/// told in each run and could mend it in none.
fn relevant(snapshot: &Snapshot, places: Places) -> impl Iterator<Item = &Gap> {
    let is_told = |gap: &Gap| match gap.kind() {
        GapKind::Gone => false,
        GapKind::Unsupported => gap.object != Object::Host,
        _ => true,
    };
    snapshot.gaps.iter().filter(move |gap| places.contains(gap.place) && is_told(gap))
}

fn pid_of(object: &Object) -> Option<Pid> {
    match object {
        Object::Process(pid) | Object::Task(pid, _) | Object::Fd(pid, _, _) => Some(*pid),
        _ => None,
    }
}

fn reason(kind: GapKind, errno: i32, subject: Subject, held: Capabilities) -> String {
    match kind {
        GapKind::Denied => {
            let needs = names(subject.needs());
            if subject == Subject::Kernel && held.contains(subject.needs()) && !is_in_initial_pid_namespace() {
                "not readable: needs the initial PID namespace".to_owned()
            } else if held.contains(subject.needs()) {
                format!("not readable: refused in spite of {needs}")
            } else {
                format!("not readable: needs {needs}")
            }
        }
        GapKind::Unsupported => "not told by this kernel".to_owned(),
        GapKind::TimedOut => "not read: no answer in time".to_owned(),
        _ if subject == Subject::BindMounted && errno == Errno::NXIO.raw_os_error() => {
            "not readable: no path leads there".to_owned()
        }
        _ => format!("not read: {}", io::Error::from_raw_os_error(errno)),
    }
}

/// The capabilities as people write them.
fn names(capabilities: Capabilities) -> String {
    let names: Vec<_> = capabilities.iter_names().map(|(name, _)| format!("CAP_{name}")).collect();
    and(&names)
}

fn is_in_initial_pid_namespace() -> bool {
    live::own_namespace(NamespaceType::Pid).is_some_and(|id| id.ino == INITIAL_PID_NAMESPACE)
}

/// The capabilities that the caller holds over the whole host.
pub(crate) fn held() -> Capabilities {
    let is_of_the_host = live::own_namespace(NamespaceType::User).is_some_and(|id| id.ino == INITIAL_USER_NAMESPACE);
    match rustix::thread::capabilities(None) {
        Ok(sets) if is_of_the_host => sets.effective,
        _ => Capabilities::empty(),
    }
}

fn and(phrases: &[String]) -> String {
    match phrases {
        [phrases @ .., last] if !phrases.is_empty() => format!("{} and {last}", phrases.join(", ")),
        _ => phrases.concat(),
    }
}

#[cfg(test)]
mod tests {
    use lxkns_core::model::Tid;

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
            .map(|(place, object, errno)| Gap {
                place: *place,
                object: object.clone(),
                operation: "x".into(),
                errno: *errno,
            })
            .collect();
        lines(&snapshot, Places::holding(), Capabilities::DAC_OVERRIDE)
    }

    #[test]
    fn what_is_refused_to_somebody_who_has_it_all_does_not_ask_for_more() {
        let mut snapshot = snapshot();
        let gap = |place| Gap { place, object: Object::Process(Pid(1)), operation: "x".into(), errno: EACCES };
        snapshot.gaps = vec![gap(Place::Fds)];
        let told = |held| lines(&snapshot, Places::holding(), held).concat();
        let both = Capabilities::SYS_PTRACE | Capabilities::DAC_READ_SEARCH;
        assert!(told(both).ends_with("refused in spite of CAP_DAC_READ_SEARCH and CAP_SYS_PTRACE"), "{}", told(both));
        assert!(told(Capabilities::SYS_PTRACE).ends_with("needs CAP_DAC_READ_SEARCH and CAP_SYS_PTRACE"));
    }

    #[test]
    fn a_process_is_counted_once_whatever_failed_about_it() {
        let gaps = [
            (Place::Processes, Object::Process(Pid(1)), EACCES),
            (Place::Tasks, Object::Task(Pid(1), Tid(1)), EACCES),
            (Place::Fds, Object::Process(Pid(1)), EACCES),
            (Place::Processes, Object::Process(Pid(7)), EACCES),
        ];
        assert_eq!(told(&gaps), ["2 of 2 processes not readable: needs CAP_SYS_PTRACE"]);
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
                "sockets of 2 processes not readable: needs CAP_NET_ADMIN",
                "mounts of 1 mount namespace and the kernel's own lists of namespaces not readable: \
                 needs CAP_SYS_ADMIN",
                "owners of 1 namespace not told by this kernel",
                "open files of 1 process not read: no answer in time",
                "mounts of 1 mount namespace not read: Input/output error (os error 5)",
            ]
        );
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
            (Place::Processes, Object::Process(Pid(1)), 3),
            (Place::Host, Object::Host, EACCES),
            (Place::Kernel, Object::Host, ENOSYS),
            (Place::Parents, Object::Host, ENOTTY),
        ];
        assert!(told(&gaps).is_empty());
    }
}
