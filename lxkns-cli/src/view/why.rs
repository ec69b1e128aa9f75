//! Why a namespace is still there: each holder, and what would make it let go.

use std::io::{self, Write};

use lxkns_core::model::{Holder, Namespace, NamespaceId, Pid, Snapshot, Suspect};
use rustc_hash::FxHashMap;

use super::holders::{self, Kind, describe};
use super::names::{self, Detail};
use super::release;
use super::screen::Screen;

/// What `why` says about one namespace.
#[derive(Debug)]
pub(crate) struct Explanation<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) namespace: &'a Namespace,
    /// The mount namespace in which paths mean what they say.
    pub(crate) home: Option<NamespaceId>,
}

/// How many holders of a kind are listed.
pub(crate) const FEW: usize = 2;
/// How many holders of a kind are listed of a namespace that was asked for by itself.
pub(crate) const SOME: usize = 10;

impl<'a> Explanation<'a> {
    /// The holders in the order in which they are told: of the processes the most senior first.
    pub(crate) fn holders(&self) -> Vec<&'a Holder> {
        let mut holders: Vec<_> = self.namespace.holders.iter().collect();
        let leaders = self.namespace.leaders.iter().enumerate();
        let ranks: FxHashMap<Pid, usize> = leaders.map(|(rank, &pid)| (pid, rank)).collect();
        let rank = |holder: &Holder| match holder {
            Holder::Process { pid } => ranks.get(pid).copied().unwrap_or(usize::MAX),
            _ => 0,
        };
        holders.sort_by_key(|holder| (Kind::of(holder), rank(holder)));
        holders
    }

    /// Whether something was found that explains it.
    pub(crate) fn is_explained(&self) -> bool {
        self.namespace.initial || self.namespace.holders.iter().any(|holder| Kind::of(holder) != Kind::Kernel)
    }

    /// What may hold it; nothing where that is explained already.
    pub(crate) fn suspects(&self) -> Vec<&'a Suspect> {
        if self.is_explained() {
            return Vec::new();
        }
        self.snapshot.suspects.iter().filter(|suspect| suspect.may_hold(self.namespace.ns_type)).collect()
    }

    /// What would make this holder let go.
    pub(crate) fn release(&self, holder: &Holder) -> Option<String> {
        release::hint(self.snapshot, self.namespace.ns_type, holder, self.home)
    }

    /// Writes it for people, with no more than `limit` holders of a kind.
    pub(crate) fn write(&self, out: &mut impl Write, screen: Screen, limit: usize) -> io::Result<()> {
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
        for group in holders.chunk_by(|a, b| Kind::of(a) == Kind::of(b)) {
            self.write_group(out, group, screen, limit)?;
        }
        Ok(())
    }

    fn write_group(&self, out: &mut impl Write, group: &[&Holder], screen: Screen, limit: usize) -> io::Result<()> {
        // Holders of these kinds are alike in how they end, so that it is said once.
        let common = match Kind::of(group[0]) {
            _ if group.len() == 1 => None,
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

    fn write_unexplained(&self, out: &mut impl Write, screen: Screen, limit: usize) -> io::Result<()> {
        writeln!(out, " is there, but nothing that could be seen holds it")?;
        let suspects = self.suspects();
        if suspects.is_empty() {
            return writeln!(out, "  no suspects either");
        }
        writeln!(out, "  suspects: each may hold it, or another one, or none; the kernel does not say")?;
        for suspect in suspects.iter().take(limit) {
            screen.line(out, "  suspect: ", || describe_suspect(self.snapshot, suspect))?;
        }
        match suspects.len().saturating_sub(limit) {
            0 => Ok(()),
            more => writeln!(out, "  and {more} more suspects (--all shows all)"),
        }
    }
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
    let process = |pid| format!("process {}", names::process(snapshot, pid, Detail::Full));
    match suspect {
        Suspect::ProcFile { pid, tid, fd, path, .. } => {
            format!(
                "open file {}, fd {fd} of {}: {}",
                names::text(path),
                process(*pid),
                names::fd_path(*pid, *tid, *fd)
            )
        }
        Suspect::InFlight { pid, tid, fd, count } => {
            let fds = if *count == 1 { "descriptor" } else { "descriptors" };
            let path = names::fd_path(*pid, *tid, *fd);
            format!("{count} {fds} in flight to a UNIX socket, fd {fd} of {}: {path}", process(*pid))
        }
        Suspect::IoUring { pid, tid, fd, count } => {
            let files = if *count == 1 { "file" } else { "files" };
            let path = names::fd_path(*pid, *tid, *fd);
            format!("{count} {files} registered with an io_uring, fd {fd} of {}: {path}", process(*pid))
        }
        Suspect::Mount { mount_ns, mount_id, fs_type, file_system, path } => {
            let path = path.as_ref().map_or_else(|| "(no path reaches it)".to_owned(), names::text);
            let mount_ns = names::namespace(snapshot, *mount_ns);
            format!("{} ({file_system}) mounted at {path} in {mount_ns}, mount ID {mount_id}", names::text(fs_type))
        }
        _ => "something that this version has no words for".to_owned(),
    }
}

#[cfg(test)]
#[path = "why_tests.rs"]
mod tests;
