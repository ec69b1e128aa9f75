//! What people call things: commands of processes, namespaces, and the paths that lead to namespaces.

use bstr::{BStr, BString, ByteSlice as _};
use lxkns_model::{Holder, Namespace, NamespaceId, NamespaceType, Pid, Process, Snapshot, Tid, Uid};

use lxkns_model::relations;

use crate::netns;
use crate::text::escape::printable;
use crate::text::shorten::to_limit;
use crate::whose;

/// Where the procfs is, in what is shown to people.
const PROC: &str = "/proc";

/// The command line of a process, else its name: for kernel threads, zombies, and where it was not read.
///
/// A process that writes a title over its arguments pads it to their length, so trailing spaces are left out.
pub fn command(process: &Process) -> BString {
    let mut line = process.command_line.as_ref().map(|arguments| bstr::join(" ", arguments)).unwrap_or_default();
    line.truncate(line.trim_ascii_end().len());
    if line.is_empty() { process.comm().clone() } else { BString::from(line) }
}

/// A namespace as the kernel writes it, `net:[4026532281]`; the number alone for one that is not in the snapshot.
pub fn namespace(snapshot: &Snapshot, id: NamespaceId) -> String {
    match snapshot.namespaces.get(&id) {
        Some(namespace) => format!("{}:[{}]", namespace.ns_type, id.ino),
        None => id.ino.to_string(),
    }
}

/// A namespace as a TARGET that needs no quoting in any shell, `net:4026532281`.
pub fn target(snapshot: &Snapshot, id: NamespaceId) -> String {
    match snapshot.namespaces.get(&id) {
        Some(namespace) => format!("{}:{}", namespace.ns_type, id.ino),
        None => id.ino.to_string(),
    }
}

/// The `ip netns` name of a network namespace, by its mount in this mount namespace; `None` if it has none there.
pub fn netns_name(snapshot: &Snapshot, ns: NamespaceId, mount_ns: Option<NamespaceId>) -> Option<&BStr> {
    let namespace = snapshot.namespaces.get(&ns).filter(|namespace| namespace.ns_type == NamespaceType::Net)?;
    namespace.bind_mounts().iter().find_map(|holder| match holder {
        Holder::BindMount { mount_ns: of, path: Some(path), .. } if Some(*of) == mount_ns => {
            netns::name(path).map(|name| name.as_bstr())
        }
        _ => None,
    })
}

/// A namespace as the kernel writes it, with the name that `ip netns` has for it and what it belongs to:
/// `net:[4026532281] (blue) of docker:web`. Names are not shortened.
pub(crate) fn namespace_and_name(snapshot: &Snapshot, id: NamespaceId, mount_ns: Option<NamespaceId>) -> String {
    format!("{}{}", namespace_and_netns(snapshot, id, mount_ns), whose::of_words(snapshot, id))
}

/// A namespace as the kernel writes it, with the name that `ip netns` has for it alone: where a process beside it says what
/// it belongs to.
pub(crate) fn namespace_and_netns(snapshot: &Snapshot, id: NamespaceId, mount_ns: Option<NamespaceId>) -> String {
    let name = netns_name(snapshot, id, mount_ns).map(|name| format!(" ({})", printable(name)));
    format!("{}{}", namespace(snapshot, id), name.unwrap_or_default())
}

/// Why more processes may be in a namespace than were seen; `None` where all were.
pub fn unseen_members(snapshot: &Snapshot, namespace: &Namespace) -> Option<String> {
    if relations::members_seen(snapshot, namespace) {
        return None;
    }
    Some(match (relations::unreadable_members(snapshot, namespace), relations::listed_processes(snapshot)) {
        (0, _) => "not all processes are listed".to_owned(),
        (unreadable, listed) => format!("{unreadable} of {listed} processes not readable"),
    })
}

/// How much to say of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Its PID and its name.
    Brief,
    /// Its PID and its command line.
    Full,
}

/// A process as in `1234 (sleep 1000)`, with what it belongs to, as in `1234 (nginx) in docker:web`; the PID alone for one that is not in the snapshot.
pub fn process(snapshot: &Snapshot, pid: Pid, detail: Detail) -> String {
    let Some(process) = snapshot.processes.get(&pid) else { return pid.to_string() };
    let called = match detail {
        Detail::Brief => text(process.comm()),
        Detail::Full => text(command(process)),
    };
    let task = match process.main_task().tid {
        tid if tid == Tid::from(pid) => String::new(),
        tid => format!(", thread {tid}"),
    };
    format!("{pid}{task} ({called}){}", whose::in_words(snapshot, pid))
}

/// The name of a process or task, safe to print.
pub fn comm(comm: &[u8]) -> String {
    text(comm)
}

/// Untrusted text in a sentence: escaped, and shortened on a terminal.
pub fn text(text: impl AsRef<[u8]>) -> String {
    to_limit(&printable(text))
}

/// Names in a sentence, only the first ones if there are many; `None` if there is none.
pub fn few<'a>(names: impl Iterator<Item = &'a str>) -> Option<String> {
    const MOST: usize = 7;
    let mut names: Vec<_> = names.collect();
    let more = names.len().saturating_sub(MOST);
    let rest = format!("{more} more kinds of things");
    if more > 1 {
        names.truncate(MOST);
        names.push(&rest);
    }
    let (last, others) = names.split_last()?;
    Some(if others.is_empty() { (*last).to_owned() } else { format!("{} and {last}", others.join(", ")) })
}

/// A UID in the observer's user namespace; `None` if it is the overflow UID, which the kernel shows for every UID that is
/// not mapped there.
pub fn mapped(snapshot: &Snapshot, uid: Uid) -> Option<Uid> {
    snapshot.observer.as_ref().map_or(Some(uid), |observer| observer.mapped(uid))
}

/// The number of a user for JSON: `None` where it is not known, or not mapped.
pub fn user_id(snapshot: &Snapshot, uid: Option<Uid>) -> Option<u32> {
    mapped(snapshot, uid?).map(|uid| uid.0)
}

/// The name of a user for JSON: `None` if there is none, or it is not known, or the UID is not mapped.
pub fn user_name(snapshot: &Snapshot, uid: Option<Uid>) -> Option<String> {
    snapshot.annotations.user_names.get(&mapped(snapshot, uid?)?).cloned()
}

/// The text in a table for a UID that may not be mapped.
pub const NOT_MAPPED: &str = "65534 or not mapped";

/// A user as in `UID 1000 (jo)`.
pub fn user(snapshot: &Snapshot, uid: Uid) -> String {
    match snapshot.annotations.user_names.get(&uid).filter(|name| !name.is_empty()) {
        _ if mapped(snapshot, uid).is_none() => format!("UID {uid} (or one that is not mapped here)"),
        Some(name) => format!("UID {uid} ({})", text(name)),
        None => format!("UID {uid}"),
    }
}

/// Untrusted text for JSON.
pub fn lossy(text: &[u8]) -> String {
    text.to_str_lossy().into_owned()
}

/// The path of a task's descriptor: `/proc/PID/fd/FD`, or below the task if that has a table of its own.
pub(crate) fn fd_path(pid: Pid, tid: Tid, fd: u32) -> String {
    if Tid::from(pid) == tid { format!("{PROC}/{pid}/fd/{fd}") } else { format!("{PROC}/{pid}/task/{tid}/fd/{fd}") }
}

/// How a path leads to a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// A link of procfs.
    Proc(BString),
    /// Where it is mounted, in the reader's own mount namespace.
    Mount(BString),
    /// Where it is mounted in the mount namespace of a process, seen through that process's root.
    MountElsewhere(BString),
}

impl Way {
    /// The path.
    pub fn into_path(self) -> BString {
        match self {
            Self::Proc(path) | Self::Mount(path) | Self::MountElsewhere(path) => path,
        }
    }
}

/// The paths that lead to a namespace, best first. `home` is the mount namespace in which paths mean what they say.
pub fn ways<'a>(
    snapshot: &'a Snapshot,
    namespace: &'a Namespace,
    home: Option<NamespaceId>,
) -> impl Iterator<Item = Way> + 'a {
    let ns_type = namespace.ns_type;
    let leader = move |pid: &Pid| Way::Proc(format!("{PROC}/{}/ns/{ns_type}", snapshot.directory(*pid)).into());
    let leaders = namespace.leaders.iter().map(leader);
    leaders.chain(namespace.holders.iter().filter_map(move |holder| way(snapshot, ns_type, holder, home)))
}

fn way(snapshot: &Snapshot, ns_type: NamespaceType, holder: &Holder, home: Option<NamespaceId>) -> Option<Way> {
    let proc = |path: String| Some(Way::Proc(path.into()));
    match holder {
        Holder::Process { pid } => proc(format!("{PROC}/{pid}/ns/{ns_type}")),
        Holder::Task { pid, tid } => proc(format!("{PROC}/{pid}/task/{tid}/ns/{ns_type}")),
        Holder::ForChildren { pid, tid } => proc(format!("{PROC}/{pid}/task/{tid}/ns/{ns_type}_for_children")),
        Holder::Fd { pid, tid, fd } => proc(fd_path(*pid, *tid, *fd)),
        Holder::BindMount { mount_ns, path: Some(path), .. } if Some(*mount_ns) == home => {
            Some(Way::Mount(path.clone()))
        }
        Holder::BindMount { mount_ns, path: Some(path), .. } => {
            let process = snapshot.namespaces.get(mount_ns)?.leaders.first()?;
            let mut through = BString::from(format!("{PROC}/{}/root", snapshot.directory(*process)));
            through.extend_from_slice(path);
            Some(Way::MountElsewhere(through))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{HOME, LEFT, LOOSE, NET, snapshot};

    #[test]
    fn a_netns_name_is_that_of_one_mount_namespace() {
        let snapshot = snapshot();
        assert_eq!(netns_name(&snapshot, LEFT, Some(HOME)), Some("left".into()));
        assert_eq!(netns_name(&snapshot, LEFT, Some(LOOSE)), None);
        assert_eq!(netns_name(&snapshot, LEFT, None), None);
        assert_eq!(netns_name(&snapshot, NET, Some(HOME)), None);
        assert_eq!(namespace_and_name(&snapshot, LEFT, Some(HOME)), "net:[4026532300] (left)");
        assert_eq!(namespace_and_name(&snapshot, NET, Some(HOME)), "net:[4026531833]");
    }
}
