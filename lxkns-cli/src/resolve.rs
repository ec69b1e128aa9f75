//! From a TARGET to the namespaces of a snapshot that it means.

use std::fmt;
use std::io;

use lxkns_core::model::{NamespaceId, NamespaceLinks, NamespaceType, Object, Pid, Place, Process, Snapshot, Tid};
use lxkns_core::relations;
use rustix::thread::CapabilitySet as Capabilities;

use crate::exit::Exit;
use crate::view::escape::printable;
use crate::view::names;
use crate::{gaps, live};
use lxkns_answers::target::{Asked, Target};

/// Why a TARGET means nothing here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unresolved {
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
pub(crate) enum Absence {
    /// There is none.
    Gone,
    /// It was listed, and could not be read.
    NotReadable,
    /// Procfs does not list all processes.
    Hidden,
}

impl Unresolved {
    /// The exit code: the one rule of all commands that take a TARGET. Only what is proven not to exist is missing.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Missing(_) => Exit::Missing,
            Self::Usage(_) => Exit::Usage,
            Self::NotVisible(_) | Self::Unseen(_) => Exit::Failed,
        }
    }
}

impl Absence {
    /// Why this snapshot does not have this process, or thread.
    pub(crate) fn of(snapshot: &Snapshot, pid: Pid, is_live: bool) -> Self {
        let of_processes = || snapshot.gaps.iter().filter(|gap| gap.place == Place::Processes);
        // The threads of a process that is not readable are not in the snapshot.
        let has_unread_threads = |process: &Process| process.threads as usize > process.tasks.len();
        let of_unread = || {
            of_processes().filter_map(|gap| match gap.object {
                Object::Process(pid) => snapshot.processes.get(&pid),
                _ => None,
            })
        };
        let may_be_thread = || of_unread().any(has_unread_threads) && (!is_live || live::has_task(pid));
        if of_processes().any(|gap| gap.object == Object::Process(pid)) {
            Self::NotReadable
        } else if of_processes().any(|gap| gap.object == Object::Host) {
            Self::Hidden
        } else if may_be_thread() {
            Self::NotReadable
        } else {
            Self::Gone
        }
    }

    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Gone => "no such process",
            Self::NotReadable => "not readable",
            Self::Hidden => "not listed: procfs hides processes",
        }
    }

    /// The exit code, and whether what could not be seen matters.
    pub(crate) fn exit(self) -> (Exit, bool) {
        if self == Self::Gone { (Exit::Missing, false) } else { (Exit::Failed, true) }
    }
}

/// The namespaces that a TARGET means, sorted by type; never none.
pub(crate) fn resolve(snapshot: &Snapshot, asked: &Asked, is_live: bool) -> Result<Vec<NamespaceId>, Unresolved> {
    let text = || printable(asked.text.as_encoded_bytes());
    let missing = |what: &str| Unresolved::Missing(format!("{}: {what}", text()));
    let absent = |pid| match Absence::of(snapshot, pid, is_live) {
        Absence::Gone => missing(Absence::Gone.words()),
        unseen => Unresolved::Unseen(format!("{}: {}", text(), unseen.words())),
    };
    let not_found = |ns_type| match unseen(snapshot, ns_type, is_live) {
        Some(unseen) => Unresolved::NotVisible(format!("{}: not visible from here: {unseen}", text())),
        None => missing("no such namespace"),
    };
    match &asked.target {
        Target::Process(pid) => all_of(snapshot, *pid).ok_or_else(|| absent(*pid))?,
        Target::OfProcess(pid, ns_type) => of_type(snapshot, *pid, *ns_type).ok_or_else(|| absent(*pid))?,
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
        Target::UniqueId(unique_id) => snapshot
            .namespaces
            .values()
            .find(|namespace| namespace.unique_id == Some(*unique_id))
            .map(|namespace| vec![namespace.id])
            .ok_or_else(|| not_found(None)),
        Target::Path(_) if !is_live => Err(Unresolved::Usage(format!(
            "{}: a path means something on the living host only; name the namespace by its inode number",
            text()
        ))),
        Target::Path(path) => match live::namespace_at(path) {
            Ok(Some(id)) if snapshot.namespaces.contains_key(&id) => Ok(vec![id]),
            Ok(Some(id)) => Err(Unresolved::Unseen(format!(
                "{}: leads to namespace {}, which was not seen: run it again",
                text(),
                id.ino
            ))),
            Ok(None) => Err(missing("not a namespace")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(missing("no such file")),
            Err(error) => Err(Unresolved::Unseen(format!("{}: {error}", text()))),
        },
    }
    .map_err(|unresolved| match unresolved {
        Unresolved::Unseen(what) if what.is_empty() => {
            Unresolved::Unseen(format!("{}: its namespaces are not readable", text()))
        }
        Unresolved::Missing(what) if what.is_empty() => {
            Unresolved::Missing(format!("{}: the process has exited, and is in no such namespace any more", text()))
        }
        other => other,
    })
}

/// Why a namespace (of this type, where that is known) can live and not be in the snapshot; `None` where it cannot: all that
/// may hold it could be seen, and nothing can that the kernel does not list.
fn unseen(snapshot: &Snapshot, ns_type: Option<NamespaceType>, is_live: bool) -> Option<String> {
    let names = names::few(snapshot.unseen_keepers(ns_type).into_iter().map(|keeper| keeper.name));
    let unlisted = names.map(|names| format!("is held only by what the kernel does not list: {names}"));
    let unreadable = match relations::unreadable_processes(snapshot) {
        _ if relations::absence_seen(snapshot, ns_type) => None,
        0 if !relations::processes_listed(snapshot) => Some("is held by a process that is not listed here".to_owned()),
        0 if Place::HOLDING.iter().any(|&place| !snapshot.options.places.contains(place)) => {
            Some("is held where this command does not look".to_owned())
        }
        0 => Some("is held by something that could not be read".to_owned()),
        1 => Some("is held by the process that is not readable".to_owned()),
        count => Some(format!("is held by one of {count} processes that are not readable")),
    };
    let help = match unreadable {
        Some(_) if !is_live => "",
        Some(_) if !gaps::held(snapshot).contains(Capabilities::SYS_PTRACE) => "; run as root, or see `lxkns doctor`",
        Some(_) => "; see `lxkns doctor`",
        None => "",
    };
    let reasons: Vec<_> = [Some("it has ended".to_owned()), unreadable, unlisted].into_iter().flatten().collect();
    (reasons.len() > 1).then(|| format!("{}{help}", reasons.join(", or ")))
}

/// Whether the kernel gives such numbers to namespaces: from a little below `PROC_DYNAMIC_FIRST` on, in 32 bits.
fn is_namespace_inode(ino: u64) -> bool {
    (0xefff_f000..=u64::from(u32::MAX)).contains(&ino)
}

type Found = Result<Vec<NamespaceId>, Unresolved>;

/// All namespaces of a process and of its threads, or of the one thread with this ID.
fn all_of(snapshot: &Snapshot, pid: Pid) -> Option<Found> {
    let links: Vec<&NamespaceLinks> = match snapshot.processes.get(&pid) {
        Some(process) => {
            [&process.namespaces].into_iter().chain(process.tasks.iter().map(|task| &task.namespaces)).collect()
        }
        None => vec![of_thread(snapshot, Tid(pid.0))?],
    };
    let mut found: Vec<_> = links.iter().flat_map(|links| links.iter()).collect();
    found.sort_unstable();
    found.dedup();
    Some(visible(snapshot, found.into_iter().map(|(_, id)| id)))
}

fn of_type(snapshot: &Snapshot, pid: Pid, ns_type: NamespaceType) -> Option<Found> {
    let links = match snapshot.processes.get(&pid) {
        Some(process) => &process.namespaces,
        None => of_thread(snapshot, Tid(pid.0))?,
    };
    let has_exited = || snapshot.processes.get(&pid).is_some_and(Process::has_given_up_namespaces);
    match links.get(ns_type) {
        None if has_exited() => Some(Err(Unresolved::Missing(String::new()))),
        id => Some(visible(snapshot, id.into_iter())),
    }
}

fn of_thread(snapshot: &Snapshot, tid: Tid) -> Option<&NamespaceLinks> {
    let mut tasks = snapshot.processes.values().flat_map(|process| &process.tasks);
    tasks.find(|task| task.tid == tid).map(|task| &task.namespaces)
}

fn visible(snapshot: &Snapshot, ids: impl Iterator<Item = NamespaceId>) -> Found {
    let ids: Vec<_> = ids.filter(|id| snapshot.namespaces.contains_key(id)).collect();
    if ids.is_empty() { Err(Unresolved::Unseen(String::new())) } else { Ok(ids) }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;
    use lxkns_answers::testing::{BUSY, HOME, LEFT, LOOSE, NET, USER, snapshot};

    fn find(text: &str) -> Result<Vec<NamespaceId>, Unresolved> {
        resolve(&snapshot(), &Asked::parse(OsStr::new(text)).unwrap(), false)
    }

    #[test]
    fn each_form_finds_what_it_means() {
        assert_eq!(find("1"), Ok(vec![HOME, USER, NET]));
        assert_eq!(find("200"), Ok(vec![HOME, LOOSE, USER, BUSY]), "with those of its threads");
        assert_eq!(find("201"), Ok(vec![LOOSE, USER, BUSY]), "a thread");
        assert_eq!(find("200/net"), Ok(vec![BUSY]));
        assert_eq!(find("201/mnt"), Ok(vec![LOOSE]));
        assert_eq!(find("4026532300"), Ok(vec![LEFT]));
        assert_eq!(find("net:[4026532300]"), Ok(vec![LEFT]));
        assert_eq!(find(":1300"), Ok(vec![LEFT]));
    }

    #[test]
    fn what_is_not_there_is_missing() {
        for (text, message) in [
            ("5", "5: no such process"),
            ("5/net", "5/net: no such process"),
            ("pid:4026532300", "pid:4026532300: no such pid namespace: 4026532300 is a net namespace"),
        ] {
            assert_eq!(find(text), Err(Unresolved::Missing(message.into())));
        }
        for text in ["4026539999", ":7", "uts:4026539999"] {
            let Err(Unresolved::NotVisible(message)) = find(text) else { panic!("{text}") };
            let expected = format!(
                "{text}: not visible from here: it has ended, or is held only by what the kernel does not list: "
            );
            assert!(message.starts_with(&expected) && message.contains("a descriptor in flight"), "{message}");
            assert_eq!(message.contains("an open /proc/PID/net file"), !text.starts_with("uts:"), "{message}");
        }
        assert_eq!(find("net:4194305"), Err(Unresolved::Missing("net:4194305: no such namespace".into())));
        assert_eq!(find("1/pid"), Err(Unresolved::Unseen("1/pid: its namespaces are not readable".into())));
        assert!(matches!(find("/run/netns/x"), Err(Unresolved::Usage(_))));
    }

    #[test]
    fn a_living_path_is_looked_up() {
        let find = |text: &str| resolve(&snapshot(), &Asked::parse(OsStr::new(text)).unwrap(), true);
        assert_eq!(find("/"), Err(Unresolved::Missing("/: not a namespace".into())));
        assert_eq!(find("/no\nwhere"), Err(Unresolved::Missing("/no\\x0awhere: no such file".into())));
    }
}
