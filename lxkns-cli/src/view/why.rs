//! Why a namespace is still there: each holder, and what would make it let go.

use std::cell::OnceCell;
use std::io::{self, Write};

use bstr::BString;
use lxkns_core::model::{
    DeviceNumber, Holder, KEEPERS, Keeper, Namespace, NamespaceId, NamespaceType, Pid, Snapshot, Suspect, Tid,
    Visibility,
};
use lxkns_core::relations::MountKey;
use rustc_hash::FxHashMap;

use super::holders::{self, Kind, describe};
use super::names::{self, Detail};
use super::release::{self, Advice, MountAdvice, MountAdvices};
use super::screen::Screen;

/// What `why` says about one namespace.
#[derive(Debug)]
pub(crate) struct Explanation<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) namespace: &'a Namespace,
    /// The mount namespace in which paths mean what they say.
    pub(crate) home: Option<NamespaceId>,
    advice: &'a Advice<'a>,
    mounts: OnceCell<MountAdvices>,
}

/// How many holders of a kind are listed.
pub(crate) const FEW: usize = 2;
/// How many holders of a kind are listed of a namespace that was asked for by itself.
pub(crate) const SOME: usize = 10;

impl<'a> Explanation<'a> {
    /// About a namespace of the snapshot that the advice is about.
    pub(crate) fn new(advice: &'a Advice<'a>, namespace: &'a Namespace) -> Self {
        let (snapshot, home) = (advice.snapshot(), advice.home());
        Self { snapshot, namespace, home, advice, mounts: OnceCell::new() }
    }

    /// The holders in the order in which they are told: of the processes the most senior first.
    pub(crate) fn holders(&self) -> Vec<&'a Holder> {
        let mut holders: Vec<_> = self.namespace.holders.iter().collect();
        let leaders = self.namespace.leaders.iter().enumerate();
        let ranks: FxHashMap<Pid, usize> = leaders.map(|(rank, &pid)| (pid, rank)).collect();
        let rank = |holder: &Holder| match holder {
            Holder::Process { pid } => ranks.get(pid).copied().unwrap_or(usize::MAX),
            _ => 0,
        };
        // What ends in a way of its own comes after what is alike.
        holders.sort_by_key(|holder| (Kind::of(holder), self.odd_end(holder).is_some(), rank(holder)));
        holders
    }

    /// Whether something was found that explains it.
    pub(crate) fn is_explained(&self) -> bool {
        self.namespace.initial || self.namespace.holders.iter().any(|holder| Kind::of(holder) != Kind::Kernel)
    }

    /// What may hold it as well, the most likely first; nothing of an initial namespace, which lives anyway.
    pub(crate) fn suspects(&self) -> Vec<&'a Suspect> {
        if self.namespace.initial {
            return Vec::new();
        }
        let mut suspects = suspects(self.snapshot, Some(self.namespace.ns_type));
        suspects.sort_by_key(|suspect| unlikeliness(self.snapshot, Some(self.namespace), suspect));
        suspects
    }

    /// What would make this holder let go.
    pub(crate) fn release(&self, holder: &Holder) -> Option<String> {
        match self.mount(holder) {
            Some((_, advice)) => Some(advice.release.clone()),
            None => self.advice.hint(self.namespace, holder),
        }
    }

    /// What takes away a mount, with its own key.
    fn mount(&self, holder: &Holder) -> Option<(MountKey, &MountAdvice)> {
        let key = release::mount_of(holder)?;
        self.mounts.get_or_init(|| self.advice.mounts(self.namespace)).get(&key).map(|advice| (key, advice))
    }

    fn odd_end(&self, holder: &Holder) -> Option<String> {
        match holder {
            Holder::Process { pid } => release::odd_end_of(self.snapshot, *pid),
            _ => None,
        }
    }

    /// Writes it for people, with no more than `limit` holders of a kind.
    pub(crate) fn write(&self, out: &mut impl Write, screen: Screen, limit: usize) -> io::Result<()> {
        self.write_holders(out, screen, limit)?;
        let suspects = self.suspects();
        if suspects.is_empty() || !self.is_explained() {
            return Ok(());
        }
        writeln!(out, "  suspects: each may hold it too, or another one; the kernel does not say")?;
        write_suspects(out, self.snapshot, &suspects, screen, limit)
    }

    /// As [`write`](Self::write), without what may hold it beside those that are known to.
    pub(crate) fn write_holders(&self, out: &mut impl Write, screen: Screen, limit: usize) -> io::Result<()> {
        screen.heading(out, &names::namespace(self.snapshot, self.namespace.id))?;
        let summary = holders::summary(&self.namespace.holders).filter(|_| self.is_explained());
        if self.namespace.initial {
            writeln!(out, " is the initial {} namespace: it lives as long as the kernel", self.namespace.ns_type)?;
            if limit != usize::MAX {
                return summary.map_or(Ok(()), |summary| writeln!(out, "  also held by {summary}"));
            }
        } else if let Some(summary) = summary {
            writeln!(out, " is held by {summary}")?;
        } else {
            return self.write_unexplained(out, screen, limit);
        }
        let holders = self.holders();
        let kind = |holder: &Holder| (Kind::of(holder), self.odd_end(holder).is_some());
        for group in holders.chunk_by(|a, b| kind(a) == kind(b)) {
            match Kind::of(group[0]) {
                Kind::BindMount | Kind::FileSystem => self.write_mounts(out, group, screen, limit)?,
                _ => self.write_group(out, group, screen, limit)?,
            }
        }
        Ok(())
    }

    fn write_group(&self, out: &mut impl Write, group: &[&Holder], screen: Screen, limit: usize) -> io::Result<()> {
        // Holders of these kinds are alike in how they end, so that it is said once.
        let common = match Kind::of(group[0]) {
            _ if group.len() == 1 || self.odd_end(group[0]).is_some() => None,
            Kind::Process => Some("all these processes exit"),
            Kind::Task => Some("all these threads exit"),
            Kind::ForChildren => Some("all these threads, and processes, exit"),
            Kind::Child | Kind::Owned => Some("all these end; `lxkns why` explains each"),
            _ => None,
        };
        for holder in group.iter().take(limit) {
            screen.line(out, "  ", || {
                format!("{}{}", describe(self.snapshot, holder, self.home, Detail::Full), place(holder))
            })?;
            if let (None, Some(release)) = (common, self.release(holder)) {
                writeln!(out, "    until {release}")?;
            }
        }
        let more = group.len().saturating_sub(limit);
        if more > 0 {
            writeln!(out, "  and {more} more (--all shows all)")?;
        }
        common.map_or(Ok(()), |common| writeln!(out, "    until {common}"))
    }

    /// Writes mounts, each with those that the kernel takes away with it.
    fn write_mounts(&self, out: &mut impl Write, group: &[&Holder], screen: Screen, limit: usize) -> io::Result<()> {
        let mut copies: FxHashMap<MountKey, Vec<&Holder>> = FxHashMap::default();
        let mut sources = Vec::new();
        for &holder in group {
            match self.mount(holder) {
                Some((key, advice)) if advice.source != key => copies.entry(advice.source).or_default().push(holder),
                _ => sources.push(holder),
            }
        }
        let line =
            |holder: &Holder| format!("{}{}", describe(self.snapshot, holder, self.home, Detail::Full), place(holder));
        for &holder in sources.iter().take(limit) {
            screen.line(out, "  ", || line(holder))?;
            let copies = self.mount(holder).and_then(|(key, _)| copies.get(&key)).map_or(&[][..], Vec::as_slice);
            match copies.len() {
                0 => {}
                1 => writeln!(out, "    with 1 more mount of it, which is unmounted too")?,
                count => writeln!(out, "    with {count} more mounts of it, which are unmounted too")?,
            }
            // With --all.
            for copy in copies.iter().filter(|_| limit == usize::MAX) {
                screen.line(out, "    too: ", || line(copy))?;
            }
            if let Some(release) = self.release(holder) {
                writeln!(out, "    until {release}")?;
            }
        }
        match sources.len().saturating_sub(limit) {
            0 => Ok(()),
            more => writeln!(out, "  and {more} more (--all shows all)"),
        }
    }

    fn write_unexplained(&self, out: &mut impl Write, screen: Screen, limit: usize) -> io::Result<()> {
        writeln!(out, " is there, but nothing that could be seen holds it")?;
        write_all_suspects(out, self.snapshot, Some(self.namespace.ns_type), &self.suspects(), screen, limit)
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

/// What may hold a namespace of this type in which no process is, the most likely first.
pub(crate) fn suspects_of_orphans(snapshot: &Snapshot, ns_type: NamespaceType) -> Vec<&Suspect> {
    let mut suspects = suspects(snapshot, Some(ns_type));
    suspects.sort_by_key(|suspect| unlikeliness(snapshot, None, suspect));
    suspects
}

/// What may hold a namespace of this type, or of any, but an initial one.
pub(crate) fn suspects(snapshot: &Snapshot, ns_type: Option<NamespaceType>) -> Vec<&Suspect> {
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

/// Writes the suspects of a namespace that nothing else holds, and what cannot be among them.
pub(crate) fn write_all_suspects(
    out: &mut impl Write,
    snapshot: &Snapshot,
    ns_type: Option<NamespaceType>,
    suspects: &[&Suspect],
    screen: Screen,
    limit: usize,
) -> io::Result<()> {
    if suspects.is_empty() {
        writeln!(out, "  no suspects either")?;
    } else {
        writeln!(out, "  suspects: each may hold it, or another one, or none; the kernel does not say")?;
        write_suspects(out, snapshot, suspects, screen, limit)?;
    }
    write_hidden(out, ns_type)
}

/// Writes what cannot be among the suspects.
pub(crate) fn write_hidden(out: &mut impl Write, ns_type: Option<NamespaceType>) -> io::Result<()> {
    let is_hidden = |keeper: &&Keeper| {
        keeper.visibility == Visibility::Hidden && ns_type.is_none_or(|ns_type| keeper.may_hold(ns_type))
    };
    let hidden = names::few(KEEPERS.iter().filter(is_hidden).map(|keeper| keeper.name)).unwrap_or_default();
    writeln!(out, "  not visible on any kernel: {hidden}")
}

pub(crate) fn write_suspects(
    out: &mut impl Write,
    snapshot: &Snapshot,
    suspects: &[&Suspect],
    screen: Screen,
    limit: usize,
) -> io::Result<()> {
    // All mounts of a file system hold the same namespace.
    let mut mounts: FxHashMap<(&BString, DeviceNumber), usize> = FxHashMap::default();
    let mut different = Vec::new();
    for &suspect in suspects {
        let count = match suspect {
            Suspect::Mount { fs_type, file_system, .. } => mounts.entry((fs_type, *file_system)).or_default(),
            _ => &mut 0,
        };
        *count += 1;
        if *count == 1 {
            different.push(suspect);
        }
    }
    for suspect in different.iter().take(limit) {
        let more = match suspect {
            Suspect::Mount { fs_type, file_system, .. } => mounts[&(fs_type, *file_system)] - 1,
            _ => 0,
        };
        screen.line(out, "  suspect: ", || match more {
            0 => describe_suspect(snapshot, suspect),
            more => format!("{}, and {more} more mounts of it", describe_suspect(snapshot, suspect)),
        })?;
    }
    match different.len().saturating_sub(limit) {
        0 => Ok(()),
        1 => writeln!(out, "  and 1 more suspect (--all shows all)"),
        more => writeln!(out, "  and {more} more suspects (--all shows all)"),
    }
}

/// The PID in the path of a file of procfs.
fn pid_in(path: &[u8]) -> Option<Pid> {
    let mut names = path.split(|&byte| byte == b'/');
    names.find_map(|name| std::str::from_utf8(name).ok()?.parse().ok()).map(Pid)
}

/// Where a holder is, as far as its description does not say so.
fn place(holder: &Holder) -> String {
    match holder {
        Holder::Fd { pid, tid, fd } | Holder::Socket { pid, tid, fd, .. } | Holder::Tun { pid, tid, fd, .. } => {
            format!(": {}", names::fd_path(*pid, *tid, *fd))
        }
        Holder::BindMount { mount_id, .. } | Holder::Mount { mount_id, .. } => format!(", mount ID {mount_id}"),
        _ => String::new(),
    }
}

/// One suspect in words, safe to print.
pub(crate) fn describe_suspect(snapshot: &Snapshot, suspect: &Suspect) -> String {
    let task = |pid: &Pid, tid: &Tid| {
        let process = names::process(snapshot, *pid, Detail::Full);
        if Tid::from(*pid) == *tid {
            format!("process {process}")
        } else {
            format!("thread {tid} of process {process}")
        }
    };
    match suspect {
        Suspect::ProcFile { pid, tid, fd, path, .. } => {
            format!(
                "open file {}, fd {fd} of {}: {}",
                names::text(path),
                task(pid, tid),
                names::fd_path(*pid, *tid, *fd)
            )
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
            let path = path.as_ref().map_or_else(|| "(no path reaches it)".to_owned(), names::text);
            let mount_ns = names::namespace(snapshot, *mount_ns);
            format!("{} ({file_system}) mounted at {path} in {mount_ns}, mount ID {mount_id}", names::text(fs_type))
        }
        Suspect::SharedMemory { pid, id, key } => {
            let process = names::process(snapshot, *pid, Detail::Full);
            format!("System V segment {id} (key {key:#x}), attached by process {process}: /proc/{pid}/maps")
        }
        _ => "something that this version has no words for".to_owned(),
    }
}

#[cfg(test)]
#[path = "why_tests.rs"]
mod tests;
