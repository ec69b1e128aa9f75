//! What may hold a namespace: things that hold one without the kernel saying which.

use bstr::BString;
use lxkns_model::CompactSort as _;
use lxkns_model::{
    DeviceNumber, KEEPERS, Keeper, Namespace, NamespaceId, NamespaceType, Pid, Snapshot, Suspect, Tid, Visibility,
};
use rustc_hash::FxHashMap;

use crate::context::Context;
use crate::names::{self, Detail};
use crate::text::escape::printable;

/// What may hold a namespace as well, the most likely first; nothing of an initial namespace, which lives anyway.
pub fn of<'a>(snapshot: &'a Snapshot, namespace: &Namespace) -> Vec<&'a Suspect> {
    if namespace.initial {
        return Vec::new();
    }
    let mut suspects = of_type(snapshot, Some(namespace.ns_type));
    suspects.compact_sort_by_key(|suspect| unlikeliness(snapshot, Some(namespace), suspect));
    suspects
}

/// What may hold a namespace of this type in which no process is, the most likely first.
pub fn of_orphans(snapshot: &Snapshot, ns_type: NamespaceType) -> Vec<&Suspect> {
    let mut suspects = of_type(snapshot, Some(ns_type));
    suspects.compact_sort_by_key(|suspect| unlikeliness(snapshot, None, suspect));
    suspects
}

/// What may hold a namespace of this type, or of any, but an initial one.
pub fn of_type(snapshot: &Snapshot, ns_type: Option<NamespaceType>) -> Vec<&Suspect> {
    let of_host = procfs_of_the_host(snapshot);
    let may_hold = |suspect: &&Suspect| ns_type.is_none_or(|ns_type| suspect.may_hold(ns_type));
    let is_of_host = |suspect: &&Suspect| match suspect {
        Suspect::Mount { file_system, .. } => of_host == Some(*file_system),
        _ => false,
    };
    snapshot.suspects.iter().filter(may_hold).filter(|suspect| !is_of_host(suspect)).collect()
}

/// The procfs of the initial PID namespace: what was mounted first at `/proc`, in the mount namespace that the kernel
/// started with.
fn procfs_of_the_host(snapshot: &Snapshot) -> Option<DeviceNumber> {
    let is_initial = |id: &NamespaceId| snapshot.namespaces.get(id).is_some_and(|namespace| namespace.initial);
    let at_place = snapshot.suspects.iter().filter_map(|suspect| match suspect {
        Suspect::Mount { mount_ns, fs_type, file_system, path: Some(path), .. }
            if fs_type == "proc" && path == "/proc" && is_initial(mount_ns) =>
        {
            Some(*file_system)
        }
        _ => None,
    });
    at_place.min()
}

/// Suspects, each with how many more mounts of it there are: all mounts of a file system hold the same namespace.
pub fn distinct<'a>(suspects: &[&'a Suspect]) -> Vec<(&'a Suspect, usize)> {
    let mut mounts: FxHashMap<(&BString, DeviceNumber), usize> = FxHashMap::default();
    let mut distinct: Vec<(&Suspect, usize)> = Vec::new();
    for &suspect in suspects {
        let Suspect::Mount { fs_type, file_system, .. } = suspect else {
            distinct.push((suspect, 0));
            continue;
        };
        let next = distinct.len();
        match *mounts.entry((fs_type, *file_system)).or_insert(next) {
            index if index < next => distinct[index].1 += 1,
            _ => distinct.push((suspect, 0)),
        }
    }
    distinct
}

/// What cannot be among the suspects of a namespace of this type, or of any, as no kernel shows it.
pub fn never_visible(ns_type: Option<NamespaceType>) -> String {
    let is_hidden = |keeper: &&Keeper| {
        keeper.visibility == Visibility::Hidden && ns_type.is_none_or(|ns_type| keeper.may_hold(ns_type))
    };
    names::few(KEEPERS.iter().filter(is_hidden).map(|keeper| keeper.name)).unwrap_or_default()
}

/// One suspect in words, safe to print. Paths are not shortened.
pub fn describe(context: &Context<'_>, suspect: &Suspect) -> String {
    let snapshot = context.snapshot;
    let task = |pid: &Pid, tid: &Tid| {
        let process = names::process(snapshot, *pid, Detail::Full);
        if Tid::from(*pid) == *tid { format!("process {process}") } else { format!("task {tid} of process {process}") }
    };
    match suspect {
        Suspect::ProcFile { pid, tid, fd, path, .. } => {
            format!("open file {}, fd {fd} of {}: {}", printable(path), task(pid, tid), names::fd_path(*pid, *tid, *fd))
        }
        Suspect::InFlight { pid, tid, fd, count } => {
            let fds = if *count == 1 { "descriptor" } else { "descriptors" };
            let path = names::fd_path(*pid, *tid, *fd);
            format!("{count} {fds} in flight to a UNIX socket, fd {fd} of {}: {path}", task(pid, tid))
        }
        Suspect::IoUring { pid, tid, fd, count } => {
            let files = if *count == 1 { "file" } else { "files" };
            let path = names::fd_path(*pid, *tid, *fd);
            format!("{count} {files} registered with an io_uring, fd {fd} of {}: {path}", task(pid, tid))
        }
        Suspect::Mount { mount_ns, mount_id, fs_type, file_system, path } => {
            let path = path.as_ref().map_or_else(|| "(no path reaches it)".to_owned(), printable);
            let mount_ns = names::namespace(snapshot, *mount_ns);
            format!("{} ({file_system}) mounted at {path} in {mount_ns}, mount ID {mount_id}", names::text(fs_type))
        }
        Suspect::SharedMemory { pid, id, key } => {
            let process = names::process(snapshot, *pid, Detail::Full);
            format!("System V segment {id} (key {key:#x}), attached by process {process}: /proc/{pid}/maps")
        }
        _ => "something unknown to this version".to_owned(),
    }
}

/// How far from a namespace a suspect is: a file of procfs has the namespace in which its process was. Without a namespace:
/// from any that has no process.
fn unlikeliness(snapshot: &Snapshot, namespace: Option<&Namespace>, suspect: &Suspect) -> u8 {
    let is_here = |pid| {
        let process = snapshot.processes.get(&pid);
        namespace.is_some_and(|namespace| {
            process.and_then(|process| process.namespaces.get(namespace.ns_type)) == Some(namespace.id)
        })
    };
    let is_of_the_gone = |pid| !snapshot.processes.contains_key(&pid);
    match suspect {
        Suspect::ProcFile { path, .. } => match pid_in(path) {
            Some(pid) if is_here(pid) => 0,
            Some(pid) if !is_of_the_gone(pid) => 3,
            _ => 1,
        },
        Suspect::InFlight { .. } | Suspect::IoUring { .. } => 2,
        _ => 4,
    }
}

/// The PID in the path of a file of procfs.
fn pid_in(path: &[u8]) -> Option<Pid> {
    let mut names = path.split(|&byte| byte == b'/');
    names.find_map(|name| std::str::from_utf8(name).ok()?.parse().ok()).map(Pid)
}
