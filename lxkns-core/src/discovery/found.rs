//! Findings: one value for each worker, merged at the end.

use std::collections::hash_map::Entry;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::facts::{self};
use super::in_flight::OpenReceiver;
use super::named::Known;
use super::search::Search;
use super::tun::OpenTun;
use crate::failure::Failure;
use crate::model::Texts;
use crate::model::{
    Cgroups, Gap, Holder, Mount, NamespaceId, NamespaceLinks, NamespaceType, Object, Pid, Place, Process, SocketUser,
    Suspect, Tid,
};
use crate::procfs::parse::{self};
use crate::reach;

/// The findings of one worker, merged at the end.
#[derive(Default)]
pub(super) struct Found {
    pub(super) processes: Vec<Process>,
    /// The inode numbers of process directories: they change when a PID is reused.
    pub(super) directories: FxHashMap<Pid, u64>,
    pub(super) namespaces: FxHashMap<NamespaceId, Seen>,
    /// Processes whose command lines will probably be needed, and are not requested yet.
    pub(super) guessed: Vec<Known>,
    /// Processes whose command lines have been requested.
    pub(super) asked: FxHashSet<Pid>,
    /// Sockets that are held by a task in the same network namespace; some are listed more than once.
    pub(super) sockets_at_home: Vec<(u64, NamespaceId)>,
    pub(super) suspects: Vec<Suspect>,
    /// TUN/TAP files, as the kernel reader tells.
    pub(super) tuns: Vec<OpenTun>,
    /// UNIX sockets in which something waits, as it tells.
    pub(super) receivers: Vec<OpenReceiver>,
    /// Open files that are suspects if the file system with this device number turns out to be a procfs.
    pub(super) proc_files: Vec<(u64, Suspect)>,
    /// Open files that are suspects if the file system with this device number turns out to be one of control groups.
    pub(super) cgroup_files: Vec<(u64, Suspect)>,
    /// The device numbers of file systems of control groups.
    pub(super) cgroup_devices: FxHashSet<u64>,
    /// The device numbers of procfs mounts.
    pub(super) procfs_devices: FxHashSet<u64>,
    pub(super) gaps: Vec<Gap>,
    /// The mounts of mount namespaces, if requested.
    pub(super) mounts: Vec<(NamespaceId, Vec<Mount>)>,
    /// Of the mounts that were read of mount namespaces, those that the session keeps.
    pub(super) kept_mounts: Vec<(NamespaceId, Vec<Mount>)>,
    /// Mount namespaces whose mounts have been read.
    pub(super) mounts_seen: FxHashSet<NamespaceId>,
    /// Mount namespaces that a helper should have entered, but that nothing led to any more.
    pub(super) unentered: FxHashSet<NamespaceId>,
    /// Namespaces that the kernel itself lists.
    pub(super) listed_by_kernel: FxHashSet<NamespaceId>,
    /// Sockets that have been asked, by inode number.
    pub(super) sockets: FxHashMap<u64, Socket>,
    /// All open sockets, where the session keeps who has them open.
    pub(super) socket_users: Vec<SocketUser>,
    /// Network namespaces by the cookie that their sockets say.
    pub(super) netns_cookies: FxHashMap<u64, NamespaceId>,
    /// Control groups by their text in `/proc/PID/cgroup`: most tasks share theirs with others.
    pub(super) cgroups: FxHashMap<Box<[u8]>, Arc<Cgroups>>,
    /// Texts of mounts.
    pub(super) texts: Texts,
    /// The network namespace of the last socket. The next socket is usually in the same, and while that is open, the
    /// kernel reuses its inode.
    pub(super) last_socket_ns: Option<OwnedFd>,
    /// The bind mounts of namespaces that the last task of interest sees.
    pub(super) bind_mounts: Option<(Tid, Vec<u64>)>,
    /// The namespaces of the last process, all of which are known.
    last_links: NamespaceLinks,
    /// A buffer for the text of files.
    pub(super) buffer: Vec<u8>,
}

/// What a socket has said.
#[derive(Clone, Copy)]
pub(super) struct Socket {
    /// Its network namespace.
    pub(super) ns: NamespaceId,
    /// It is known that no descriptor waits in it to be received.
    pub(super) has_none_in_flight: bool,
}

/// A namespace with its holders, without the facts about it.
pub(super) struct Seen {
    pub(super) ns_type: NamespaceType,
    pub(super) holders: Vec<Holder>,
    /// Why it could not be opened, so far.
    pub(super) unopened: Option<(Place, Failure)>,
}

impl Seen {
    /// Seen just now.
    fn unopened(ns_type: NamespaceType, place: Place) -> Self {
        Self { ns_type, holders: Vec::new(), unopened: Some((place, Failure::VANISHED)) }
    }
}

impl Found {
    /// Merges another worker's findings. The order does not matter, so the smaller ones are added to the larger.
    pub(super) fn merge(&mut self, mut other: Self) {
        if self.namespaces.len() + self.processes.len() < other.namespaces.len() + other.processes.len() {
            std::mem::swap(self, &mut other);
        }
        self.processes.append(&mut other.processes);
        self.directories.extend(other.directories);
        self.guessed.append(&mut other.guessed);
        self.asked.extend(other.asked);
        for (id, mut theirs) in other.namespaces {
            match self.namespaces.entry(id) {
                Entry::Vacant(entry) => drop(entry.insert(theirs)),
                Entry::Occupied(mut entry) => {
                    let ours = entry.get_mut();
                    if ours.holders.len() < theirs.holders.len() {
                        std::mem::swap(&mut ours.holders, &mut theirs.holders);
                    }
                    ours.holders.append(&mut theirs.holders);
                    ours.unopened = ours.unopened.and(theirs.unopened);
                }
            }
        }
        self.sockets_at_home.append(&mut other.sockets_at_home);
        self.socket_users.append(&mut other.socket_users);
        self.suspects.append(&mut other.suspects);
        self.tuns.append(&mut other.tuns);
        self.receivers.append(&mut other.receivers);
        self.proc_files.append(&mut other.proc_files);
        self.procfs_devices.extend(other.procfs_devices);
        self.cgroup_files.append(&mut other.cgroup_files);
        self.cgroup_devices.extend(other.cgroup_devices);
        self.gaps.append(&mut other.gaps);
        self.mounts.append(&mut other.mounts);
        self.kept_mounts.append(&mut other.kept_mounts);
        self.mounts_seen.extend(other.mounts_seen);
        self.unentered.extend(other.unentered);
        self.listed_by_kernel.extend(other.listed_by_kernel);
    }

    /// Notes who has a socket open, if that is kept.
    pub(super) fn note_socket(&mut self, search: &Search<'_>, inode: u64, pid: Pid, tid: Tid, fd: u32) {
        if search.session.socket_users.is_some() {
            self.socket_users.push(SocketUser::new(inode, pid, tid, fd));
        }
    }

    /// Notes the namespaces of a process. The process as holder is not noted here: it follows from the process.
    pub(super) fn note_process(&mut self, search: &Search<'_>, pid: Pid, namespaces: &NamespaceLinks) {
        // Most processes are in the same namespaces as the one before.
        if *namespaces == self.last_links {
            return;
        }
        let holder = Holder::Process { pid };
        let mut all_open = true;
        for (ns_type, id) in namespaces.iter() {
            let seen = self.namespaces.entry(id).or_insert_with(|| Seen::unopened(ns_type, Place::Processes));
            if seen.unopened.is_some() {
                let opened = facts::ensure(search, id, || reach::through(search.proc, ns_type, &holder));
                seen.unopened = opened.err().map(|failure| (Place::Processes, failure));
                all_open &= seen.unopened.is_none();
            }
        }
        if all_open {
            self.last_links = *namespaces;
        }
    }

    /// Notes a namespace with a holder.
    ///
    /// The first time, opens it through that holder and reads the facts about it.
    pub(super) fn note(
        &mut self,
        search: &Search<'_>,
        place: Place,
        id: NamespaceId,
        ns_type: NamespaceType,
        holder: Holder,
    ) {
        let opened = match self.namespaces.contains_key(&id) {
            true => Ok(()),
            false => facts::ensure(search, id, || reach::through(search.proc, ns_type, &holder)),
        };
        self.note_opened(place, id, ns_type, holder, opened);
    }

    /// As [`note`](Self::note), after an attempt to open the namespace: `opened` is its result.
    pub(super) fn note_opened(
        &mut self,
        place: Place,
        id: NamespaceId,
        ns_type: NamespaceType,
        holder: Holder,
        opened: Result<(), Failure>,
    ) {
        let unopened = opened.err().map(|failure| (place, failure));
        let seen = self.namespaces.entry(id).or_insert_with(|| Seen { ns_type, holders: Vec::new(), unopened });
        seen.holders.push(holder);
    }

    /// Notes a namespace, with a holder through which it is not opened.
    pub(super) fn hold_unopened(
        &mut self,
        place: Place,
        id: NamespaceId,
        ns_type: NamespaceType,
        holder: Option<Holder>,
    ) {
        let seen = self.namespaces.entry(id).or_insert_with(|| Seen::unopened(ns_type, place));
        seen.holders.extend(holder);
    }

    /// Notes a namespace of which the caller has a descriptor.
    pub(super) fn note_open(
        &mut self,
        search: &Search<'_>,
        id: NamespaceId,
        fd: OwnedFd,
        holder: Option<Holder>,
    ) -> Result<(), Failure> {
        let seen = match self.namespaces.entry(id) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                facts::ensure(search, id, || Ok(fd))?;
                let ns_type = search.facts().get(&id).ok_or(Failure::VANISHED)?.ns_type;
                entry.insert(Seen { ns_type, holders: Vec::new(), unopened: None })
            }
        };
        seen.holders.extend(holder);
        Ok(())
    }

    /// Another gap already reports that the namespace could not be opened.
    pub(super) fn gap_is_noted(&mut self, id: NamespaceId) {
        if let Some(seen) = self.namespaces.get_mut(&id) {
            seen.unopened = seen.unopened.map(|(_, failure)| (Place::ProcesslessMounts, failure));
        }
    }

    /// Parses the text of `/proc/PID/cgroup`.
    pub(super) fn cgroups(&mut self, text: &[u8], object: impl Fn() -> Object) -> Option<Arc<Cgroups>> {
        if let Some(known) = self.cgroups.get(text) {
            return Some(Arc::clone(known));
        }
        match parse::cgroup::parse(text) {
            Ok(cgroups) => {
                let cgroups = Arc::new(cgroups);
                self.cgroups.insert(text.into(), Arc::clone(&cgroups));
                Some(cgroups)
            }
            Err(error) => {
                self.malformed(Place::Cgroups, object(), error);
                None
            }
        }
    }
}
