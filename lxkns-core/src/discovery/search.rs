//! The state that all parts of a scan share.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;

use super::command_lines::Reader;
use super::facts::{self, Facts};
use super::host;
use super::session::Discovery;
use crate::failure::Failure;
use crate::model::{Call, DiscoveryOptions, NamespaceId, Place};
use crate::mount_access::MountAccess;
use crate::procfs::ProcRoot;
use crate::reach;
use crate::reach::interface::Interfaces;

/// A running scan.
pub(super) struct Search<'a> {
    pub(super) session: &'a Discovery<'a>,
    pub(super) proc: &'a ProcRoot,
    pub(super) options: &'a DiscoveryOptions,
    /// The facts about each namespace that could be opened, shared so that each is read once.
    facts: Mutex<FxHashMap<NamespaceId, Facts>>,
    /// Places without the interface that they need, a bit for each [`Place`]: that is not asked for again.
    without: AtomicU64,
    /// What the caller has found out about calls that have failed.
    interfaces: Interfaces,
    /// The device numbers of files that are recognized by them.
    pub(super) devices: facts::Devices,
    /// Whether a system call tells the affinity of a task.
    pub(super) asks_for_affinity: bool,
    /// The reader of command lines.
    pub(super) command_lines: Option<&'a Reader>,
    /// The access to mount namespaces from inside.
    pub(super) access: Option<&'a dyn MountAccess>,
    /// Mount namespaces without a process, kept open until they are entered; `None` after that.
    kept: Mutex<FxHashMap<NamespaceId, Option<OwnedFd>>>,
    keeps: AtomicBool,
    /// The caller's user namespace, which owns most others: while it is open, the kernel needs no new inode to open it
    /// again each time that an owner is asked for.
    user_ns: Option<OwnedFd>,
}

impl<'a> Search<'a> {
    pub(super) fn new(session: &'a Discovery<'a>, options: &'a DiscoveryOptions) -> Self {
        let proc = session.proc();
        Self {
            session,
            proc,
            options,
            facts: Mutex::default(),
            without: AtomicU64::new(0),
            interfaces: Interfaces::default(),
            devices: facts::Devices::of_this_kernel(proc),
            asks_for_affinity: options.scheduling && options.task_details && proc.is_own() && host::has_all_cpus(proc),
            command_lines: None,
            access: session.access(),
            kept: Mutex::default(),
            keeps: AtomicBool::new(false),
            user_ns: None,
        }
    }

    /// Keeps the caller's user namespace open.
    pub(super) fn keep_user_namespace(&mut self) {
        self.user_ns = reach::open_link(self.proc, "thread-self/ns/user").ok();
    }

    pub(super) fn looks_in(&self, place: Place) -> bool {
        self.options.places.contains(place)
    }

    /// What is known of namespaces that could be opened.
    pub(super) fn facts(&self) -> MutexGuard<'_, FxHashMap<NamespaceId, Facts>> {
        // A worker that panicked while it held the lock has left the map whole: it is only ever inserted into.
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on, mount namespaces that are found are kept open if somebody can enter them: all that have processes
    /// are known.
    pub(super) fn keep_mount_namespaces(&self) {
        self.keeps.store(self.access.is_some(), Ordering::Relaxed);
    }

    /// Whether this mount namespace is to be kept open.
    pub(super) fn keeps(&self, id: NamespaceId) -> bool {
        /// Others are opened anew through what holds them, as far as that goes.
        const MOST: usize = 256;
        let kept = self.kept();
        self.keeps.load(Ordering::Relaxed) && !kept.contains_key(&id) && kept.values().flatten().count() < MOST
    }

    pub(super) fn keep(&self, id: NamespaceId, fd: OwnedFd) {
        if self.keeps(id) {
            self.kept().insert(id, Some(fd));
        }
    }

    /// A mount namespace that was kept open.
    pub(super) fn take_kept(&self, id: NamespaceId) -> Option<OwnedFd> {
        self.kept().get_mut(&id)?.take()
    }

    /// Whether this mount namespace is kept open.
    pub(super) fn has_kept(&self, id: NamespaceId) -> bool {
        matches!(self.kept().get(&id), Some(Some(_)))
    }

    fn kept(&self) -> MutexGuard<'_, FxHashMap<NamespaceId, Option<OwnedFd>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether what this place needs has turned out not to be there.
    pub(super) fn is_without(&self, place: Place) -> bool {
        self.without.load(Ordering::Relaxed) & (1 << place as u8) != 0
    }

    /// Remembers that what this place needs is not there.
    pub(super) fn do_without(&self, place: Place) {
        self.without.fetch_or(1 << place as u8, Ordering::Relaxed);
    }

    /// Why this call, which has failed so, cannot be made at all; `None` if it failed for what it was asked of.
    pub(super) fn missing(&self, call: Call, failure: Failure) -> Option<Failure> {
        // PIDs of another PID namespace mean other processes in system calls.
        if self.proc.is_own() { self.interfaces.missing(call, failure) } else { Some(failure) }
    }
}
