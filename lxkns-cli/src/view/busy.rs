//! Where a file system is still mounted, who uses it, and what would release it.

use std::collections::BTreeMap;
use std::io::{self, Write};

use lxkns_core::model::{FileSystem, FileSystemUse, FileSystemUser, Mount, NamespaceId, NamespaceType, Snapshot, Tid};

use rustc_hash::FxHashMap;

use super::counts::Counts;
use super::names::{self, Detail};
use super::release;
use super::screen::Screen;

/// What `busy` says about one file system.
#[derive(Debug)]
pub(crate) struct Busy<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) file_system: FileSystem,
    /// Who uses it, where that is known.
    pub(crate) users: Option<&'a [FileSystemUser]>,
    /// The mount namespace in which paths mean what they say.
    pub(crate) home: Option<NamespaceId>,
    /// Its mounts, by mount namespace.
    mounts: BTreeMap<NamespaceId, Vec<&'a Mount>>,
    /// How many mounts are on each of them.
    on_them: FxHashMap<(NamespaceId, u64), usize>,
    counts: Counts,
}

impl<'a> Busy<'a> {
    pub(crate) fn new(
        snapshot: &'a Snapshot,
        file_system: FileSystem,
        users: Option<&'a [FileSystemUser]>,
        home: Option<NamespaceId>,
    ) -> Self {
        let of_it = |mounts: &'a [Mount]| -> Vec<_> {
            mounts.iter().filter(|mount| mount.file_system == file_system).collect()
        };
        let mounts = snapshot.mounts.iter().map(|(&id, mounts)| (id, of_it(mounts)));
        let mounts: BTreeMap<_, _> = mounts.filter(|(_, mounts)| !mounts.is_empty()).collect();
        let mut on_them: FxHashMap<_, usize> = FxHashMap::default();
        for &id in mounts.keys() {
            for mount in snapshot.mounts[&id].iter().filter(|mount| mount.id != mount.parent_id) {
                *on_them.entry((id, mount.parent_id)).or_default() += 1;
            }
        }
        Self { snapshot, file_system, users, home, mounts, on_them, counts: Counts::of(snapshot) }
    }

    /// Whether it is there at all, as far as that can be seen.
    pub(crate) fn is_there(&self) -> bool {
        !self.mounts.is_empty() || self.users.is_some_and(|users| !users.is_empty())
    }

    /// Its mounts, by mount namespace.
    pub(crate) fn mounts(&self) -> &BTreeMap<NamespaceId, Vec<&'a Mount>> {
        &self.mounts
    }

    /// How many processes are in a mount namespace.
    pub(crate) fn processes(&self, namespace: NamespaceId) -> u64 {
        self.counts.get(namespace).processes
    }

    /// What it is called, as in `ext4 /dev/vda (254:0)`.
    pub(crate) fn name(&self) -> String {
        let number = self.file_system;
        match self.mounts.values().flatten().next() {
            Some(mount) => {
                let source = mount.source.as_ref().filter(|source| !source.is_empty());
                let source = source.map(|source| format!(" {}", names::text(&***source))).unwrap_or_default();
                format!("{}{source} ({number})", names::text(&**mount.fs_type))
            }
            None => format!("file system {number}"),
        }
    }

    /// Writes it for people, with no more than `limit` of a kind.
    pub(crate) fn write(&self, out: &mut impl Write, screen: Screen, limit: usize) -> io::Result<()> {
        screen.heading(out, &self.name())?;
        let of = |count: usize, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
        let namespaces = of(self.mounts.len(), "mount namespace", "mount namespaces");
        let used = self.users.map(|users| format!(" and used by {}", of(users.len(), "process", "processes")));
        writeln!(out, " is mounted in {namespaces}{}", used.unwrap_or_default())?;
        for (&id, mounts) in self.mounts.iter().take(limit) {
            screen.line(out, "  ", || self.describe_namespace(id))?;
            for mount in mounts.iter().take(limit) {
                screen.line(out, "    ", || self.describe_mount(id, mount))?;
            }
            more(out, "    ", mounts.len(), limit)?;
        }
        more(out, "  ", self.mounts.len(), limit)?;
        let users = self.users.unwrap_or_default();
        for user in users.iter().take(limit) {
            screen.line(out, "  ", || format!("{}: {}", self.describe_user(user), uses(user, limit).join(", ")))?;
        }
        more(out, "  ", users.len(), limit)?;
        let release = self.release();
        let unless = if self.users.is_none() { ", unless somebody uses it," } else { "" };
        writeln!(out, "released{unless} when")?;
        for line in release.iter().take(limit) {
            writeln!(out, "  {line}")?;
        }
        more(out, "  ", release.len(), limit)
    }

    fn describe_namespace(&self, id: NamespaceId) -> String {
        let name = names::namespace(self.snapshot, id);
        let first = self.snapshot.namespaces.get(&id).and_then(|namespace| namespace.leaders.first());
        match (self.processes(id), first) {
            (1, Some(&pid)) => format!("{name}, process {}", names::process(self.snapshot, pid, Detail::Full)),
            (count, Some(&pid)) => {
                format!("{name}, {count} processes, first {}", names::process(self.snapshot, pid, Detail::Full))
            }
            _ => format!("{name}, no process (lxkns why {})", names::target(self.snapshot, id)),
        }
    }

    fn describe_mount(&self, id: NamespaceId, mount: &Mount) -> String {
        let path = mount.path().map_or_else(|| "(no path)".to_owned(), names::text);
        let hidden = if mount.hidden { "(hidden) " } else { "" };
        let root = if *mount.root == *"/" { String::new() } else { format!(" of {}", names::text(&**mount.root)) };
        let on_it = self.on_it(id, mount);
        let on_it = if on_it == 0 { String::new() } else { format!(", with {on_it} on it") };
        format!("{hidden}{path}{root}, mount ID {}{on_it}", mount.id)
    }

    /// How many mounts are on a mount.
    fn on_it(&self, id: NamespaceId, mount: &Mount) -> usize {
        self.on_them.get(&(id, mount.id)).copied().unwrap_or_default()
    }

    fn describe_user(&self, user: &FileSystemUser) -> String {
        let known = self.snapshot.processes.get(&user.pid).filter(|process| *process.comm() == user.comm);
        let process = match known {
            Some(_) => names::process(self.snapshot, user.pid, Detail::Full),
            None => format!("{} ({})", user.pid, names::text(&user.comm)),
        };
        match user.mount_ns.filter(|id| !self.mounts.contains_key(id)) {
            Some(id) => format!("process {process} in {}", names::namespace(self.snapshot, id)),
            None => format!("process {process}"),
        }
    }

    /// What would release it, one thing a line: all of it must happen.
    pub(crate) fn release(&self) -> Vec<String> {
        let users = self.users.unwrap_or_default().iter().map(release_user);
        let mounts = self.mounts.iter().flat_map(|(&id, mounts)| mounts.iter().map(move |mount| (id, mount)));
        let mounts = mounts.map(|(id, mount)| match mount.path() {
            Some(path) => {
                let umount = release::umount(self.snapshot, NamespaceType::Mnt, id, path, false, self.home);
                let on_it = self.on_it(id, mount);
                match (mount.hidden, on_it) {
                    (true, _) => format!("what covers mount {} is unmounted, then {umount}", mount.id),
                    (false, 0) => umount,
                    (false, _) => format!("what is mounted on it is unmounted, then {umount}"),
                }
            }
            None => {
                let target = names::target(self.snapshot, id);
                format!("{target} ends (lxkns why {target})")
            }
        });
        users.chain(mounts).collect()
    }
}

fn more(out: &mut impl Write, indent: &str, count: usize, limit: usize) -> io::Result<()> {
    match count.saturating_sub(limit) {
        0 => Ok(()),
        more => writeln!(out, "{indent}and {more} more (--all shows all)"),
    }
}

/// How a process uses it, in words that are safe to print. Descriptors are put together.
fn uses(user: &FileSystemUser, limit: usize) -> Vec<String> {
    let mut words = Vec::new();
    let mut fds = Vec::new();
    let of = |tid: Tid, what: &str| match Tid::from(user.pid) == tid {
        true => what.to_owned(),
        false => format!("{what} of thread {tid}"),
    };
    for one in &user.uses {
        match one {
            FileSystemUse::Root { tid } => words.push(of(*tid, "root directory")),
            FileSystemUse::WorkingDirectory { tid } => words.push(of(*tid, "working directory")),
            FileSystemUse::Executable => words.push("executable".to_owned()),
            FileSystemUse::Fd { tid, fd } => fds.push(of(*tid, &format!("fd {fd}"))),
            FileSystemUse::Mapped { path } => words.push(format!("mapped file {}", names::text(path))),
            _ => words.push("something that this version has no words for".to_owned()),
        }
    }
    let more = fds.len().saturating_sub(limit);
    words.extend(fds.into_iter().take(limit));
    words.extend((more > 0).then(|| format!("{more} more fds")));
    words
}

fn release_user(user: &FileSystemUser) -> String {
    const FEW: usize = 3;
    let (mut fds, mut leaves) = (Vec::new(), false);
    for one in &user.uses {
        match one {
            FileSystemUse::Fd { fd, .. } => fds.push(fd.to_string()),
            FileSystemUse::WorkingDirectory { .. } => leaves = true,
            // It cannot let go of these, or nobody can make it.
            _ => return format!("process {} exits", user.pid),
        }
    }
    let closes = match fds.len() {
        0 => None,
        1..=FEW => Some(format!("closes fd {}", fds.join(", "))),
        count => Some(format!("closes {count} fds")),
    };
    let leaves = leaves.then(|| "leaves its working directory".to_owned());
    let all: Vec<_> = closes.into_iter().chain(leaves).collect();
    format!("process {} {}, or exits", user.pid, all.join(" and "))
}

#[cfg(test)]
#[path = "busy_tests.rs"]
mod tests;
