//! The holders of a namespace, in few words.

use lxkns_model::{Holder, InFlight, Namespace, NamespaceId, References, Snapshot, Tid};

use lxkns_model::relations;

use super::names::{self, Detail};
use crate::text::escape::printable;

/// The kinds of holders that are counted, in the order of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Processes in it.
    Process,
    /// Tasks in it whose process is not.
    Task,
    /// Tasks whose next child will be in it.
    ForChildren,
    /// Descriptors open on it.
    Fd,
    /// Sockets.
    Socket,
    /// TUN/TAP files.
    Tun,
    /// Descriptors, sockets and connections that wait in a socket.
    InFlight,
    /// Bind mounts of it.
    BindMount,
    /// Mounted file systems that belong to it.
    FileSystem,
    /// Child namespaces.
    Child,
    /// Namespaces that it owns.
    Owned,
    /// The kernel lists the namespace, and no process shows it.
    Kernel,
    /// Anything else.
    Other,
}

impl Kind {
    const ALL: [Self; 13] = [
        Self::Process,
        Self::Task,
        Self::ForChildren,
        Self::Fd,
        Self::Socket,
        Self::Tun,
        Self::InFlight,
        Self::BindMount,
        Self::FileSystem,
        Self::Child,
        Self::Owned,
        Self::Kernel,
        Self::Other,
    ];

    /// The kind of a holder.
    pub fn of(holder: &Holder) -> Self {
        match holder {
            Holder::Process { .. } => Self::Process,
            Holder::Task { .. } => Self::Task,
            Holder::ForChildren { .. } => Self::ForChildren,
            Holder::Fd { .. } => Self::Fd,
            Holder::Socket { .. } | Holder::Sockets { .. } => Self::Socket,
            Holder::Tun { .. } => Self::Tun,
            Holder::InFlight { .. } => Self::InFlight,
            Holder::BindMount { .. } => Self::BindMount,
            Holder::Mount { .. } => Self::FileSystem,
            Holder::Child { .. } => Self::Child,
            Holder::Owned { .. } => Self::Owned,
            Holder::Kernel => Self::Kernel,
            _ => Self::Other,
        }
    }

    /// A short stable name, for the JSON form.
    pub fn name(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Task => "task",
            Self::ForChildren => "for-children",
            Self::Fd => "fd",
            Self::Socket => "socket",
            Self::Tun => "tun",
            Self::InFlight => "in-flight",
            Self::BindMount => "bind-mount",
            Self::FileSystem => "mount",
            Self::Child => "child",
            Self::Owned => "owned",
            Self::Kernel => "kernel",
            Self::Other => "other",
        }
    }

    /// A number of this kind, in words: `1 process`, `2 processes`.
    fn counted(self, count: u64) -> String {
        let (one, many) = match self {
            Self::Process => ("process", "processes"),
            Self::Task => ("task", "tasks"),
            Self::ForChildren => ("for-children link", "for-children links"),
            Self::Fd => ("fd", "fds"),
            Self::Socket => ("socket", "sockets"),
            Self::Tun => ("TUN file", "TUN files"),
            Self::InFlight => return format!("{count} in flight"),
            Self::BindMount => ("bind mount", "bind mounts"),
            Self::FileSystem => ("file system", "file systems"),
            Self::Child => ("child", "children"),
            Self::Owned => ("owned namespace", "owned namespaces"),
            Self::Kernel => return "kernel only".to_owned(),
            Self::Other => ("other", "others"),
        };
        format!("{count} {}", if count == 1 { one } else { many })
    }
}

/// The number of each kind that occurs, in the order of the output.
pub fn counts(holders: &[Holder]) -> Vec<(Kind, u64)> {
    let mut counts = [0_u64; Kind::ALL.len()];
    for holder in holders {
        counts[Kind::of(holder) as usize] += match holder {
            Holder::Sockets { count } => *count,
            _ => 1,
        };
    }
    let counts = Kind::ALL.into_iter().map(|kind| (kind, counts[kind as usize]));
    counts.filter(|&(_, count)| count > 0).collect()
}

/// The number of each kind, in words: `12 processes, 1 fd, 2 bind mounts`; `None` if no holder is known.
pub fn summary(holders: &[Holder]) -> Option<String> {
    let parts: Vec<_> = counts(holders).into_iter().map(|(kind, count)| kind.counted(count)).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// The holders of a namespace without a process, in brackets: `[bind mount /run/netns/x, +1]`.
pub(crate) fn in_brackets(snapshot: &Snapshot, namespace: &Namespace, home: Option<NamespaceId>) -> Option<String> {
    let (first, others) = namespace.holders.split_first()?;
    let more = if others.is_empty() { String::new() } else { format!(", +{}", others.len()) };
    Some(format!("[{}{more}]", describe(snapshot, first, home, Detail::Brief)))
}

/// One holder in words, safe to print.
pub fn describe(snapshot: &Snapshot, holder: &Holder, home: Option<NamespaceId>, detail: Detail) -> String {
    let process = |pid| format!("process {}", names::process(snapshot, pid, detail));
    let task = |pid, tid: Tid| {
        if tid == Tid::from(pid) { process(pid) } else { format!("task {tid} of {}", process(pid)) }
    };
    // The mount namespace of a mount: in Brief only if it is not the home one.
    let in_mount_ns = |id: NamespaceId| match detail {
        Detail::Brief if Some(id) == home => String::new(),
        Detail::Brief => format!(" in {}", names::namespace(snapshot, id)),
        Detail::Full => format!(" in {}{}", names::namespace(snapshot, id), occupant(snapshot, id)),
    };
    let named = |id| names::namespace_and_name(snapshot, id, home);
    // The path is the answer, so it stays whole in Full.
    let at = |path: &Option<bstr::BString>| match path {
        Some(path) if detail == Detail::Full => printable(path),
        Some(path) => names::text(path),
        None => "(no path reaches it)".to_owned(),
    };
    match holder {
        Holder::Process { pid } => process(*pid),
        Holder::Task { pid, tid } => format!("task {tid} of {}", process(*pid)),
        Holder::ForChildren { pid, tid } => format!("next child of {}", task(*pid, *tid)),
        Holder::Fd { pid, tid, fd } => format!("fd {fd} of {}", task(*pid, *tid)),
        Holder::Socket { pid, tid, fd, inode } => format!("socket:[{inode}], fd {fd} of {}", task(*pid, *tid)),
        Holder::Sockets { count } => match count {
            1 => "1 socket of a process in it".to_owned(),
            _ => format!("{count} sockets of processes in it"),
        },
        Holder::Tun { pid, tid, fd, device } => {
            let device = device.map(|id| format!(", its device in {}", named(id))).unwrap_or_default();
            format!("TUN file, fd {fd} of {}{device}", task(*pid, *tid))
        }
        Holder::InFlight { pid, tid, fd, inode, what } => {
            let state = if *what == InFlight::Connection { "not accepted from" } else { "in flight to" };
            format!("{} {state} socket:[{inode}], fd {fd} of {}", self::what(*what), task(*pid, *tid))
        }
        Holder::BindMount { mount_ns, path, .. } => format!("bind mount {}{}", at(path), in_mount_ns(*mount_ns)),
        Holder::Mount { mount_ns, fs_type, path, .. } => {
            format!("{} mounted at {}{}", names::text(fs_type), at(path), in_mount_ns(*mount_ns))
        }
        Holder::Child { ns } => format!("child {}", named(*ns)),
        Holder::Owned { ns } => format!("owned {}", named(*ns)),
        Holder::Kernel => "an unseen holder (the kernel lists it)".to_owned(),
        _ => "something unknown to this version".to_owned(),
    }
}

/// How many references to a namespace the kernel counts, and how many are explained: `7 references, 7 explained`; `None`
/// where that is not known.
pub fn references(snapshot: &Snapshot, namespace: &Namespace) -> Option<String> {
    let references = snapshot.references.get(&namespace.id)?;
    let References { total, explained, .. } = *references;
    let one_or_more = if total == 1 { "" } else { "s" };
    let (least, more) = match references.has_more() {
        true => ("", ": something else holds it"),
        false if explained < total => ("at least ", ""),
        false => ("", ""),
    };
    Some(format!("{total} reference{one_or_more}, {least}{explained} explained{more}"))
}

/// What waits in a socket, in a word.
pub(crate) fn what(what: InFlight) -> &'static str {
    match what {
        InFlight::Descriptor => "descriptor",
        InFlight::Socket => "socket",
        InFlight::Connection => "connection",
        _ => "other",
    }
}

/// The most senior process of a mount namespace, in parentheses.
fn occupant(snapshot: &Snapshot, mount_ns: NamespaceId) -> String {
    let namespace = snapshot.namespaces.get(&mount_ns);
    match namespace.and_then(|namespace| namespace.leaders.first()) {
        Some(&pid) => format!(" of process {}", names::process(snapshot, pid, Detail::Brief)),
        None if namespace.is_some_and(|namespace| relations::members_seen(snapshot, namespace)) => {
            ", which has no process".to_owned()
        }
        None => ", no process seen in it".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use lxkns_model::Pid;

    use super::*;
    use crate::testing::{HOME, id, snapshot};

    #[test]
    fn counts_each_kind_once() {
        let holders = [
            Holder::Process { pid: Pid(1) },
            Holder::Process { pid: Pid(2) },
            Holder::Fd { pid: Pid(1), tid: Tid(1), fd: 3 },
            Holder::Sockets { count: 7 },
            Holder::Socket { pid: Pid(1), tid: Tid(1), fd: 3, inode: 4 },
            Holder::BindMount { mount_ns: HOME, mount_id: 1, path: None },
            Holder::Child { ns: id(5) },
        ];
        assert_eq!(summary(&holders).unwrap(), "2 processes, 1 fd, 8 sockets, 1 bind mount, 1 child");
        assert_eq!(summary(&[Holder::Kernel]).unwrap(), "kernel only");
        assert_eq!(summary(&[]), None);
    }

    #[test]
    fn kinds_index_the_counts() {
        for (index, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
        }
    }

    #[test]
    fn hostile_names_are_escaped() {
        let mut snapshot = snapshot();
        snapshot.processes.get_mut(&Pid(200)).unwrap().tasks[0].comm = "a\x1b]0;x\n".into();
        let fd = Holder::Fd { pid: Pid(200), tid: Tid(201), fd: 3 };
        let text = describe(&snapshot, &fd, None, Detail::Brief);
        assert_eq!(text, "fd 3 of task 201 of process 200 (a\\x1b]0;x\\x0a)");
        let mount = Holder::BindMount { mount_ns: HOME, mount_id: 1, path: Some("/a\tb".into()) };
        assert_eq!(describe(&snapshot, &mount, Some(HOME), Detail::Brief), "bind mount /a\\x09b");
        assert_eq!(describe(&snapshot, &mount, None, Detail::Brief), "bind mount /a\\x09b in mnt:[4026531832]");
        assert_eq!(
            describe(&snapshot, &mount, Some(HOME), Detail::Full),
            "bind mount /a\\x09b in mnt:[4026531832] of process 1 (init)"
        );
    }
}
