//! The state that all parts of a scan share.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use rustc_hash::FxHashMap;

use super::command_lines::Reader;
use super::facts::{self, Facts};
use super::from_kernel::Listed;
use super::host;
use super::kept_mounts::Version;
use super::session::Discovery;
use crate::failure::Failure;
use crate::kernel_reader::Refusal;
use crate::model::{Call, DeviceNumber, DiscoveryOptions, NamespaceId, Place, Tid};
use crate::mount_access::MountAccess;
use crate::procfs::ProcRoot;
use crate::reach;
use crate::reach::interface::Interfaces;
use crate::security_label;

/// A running scan.
pub(super) struct Search<'a> {
    pub(super) session: &'a Discovery<'a>,
    pub(super) proc: &'a ProcRoot,
    pub(super) options: &'a DiscoveryOptions,
    /// The facts about each namespace that could be opened, shared so that each is read once.
    facts: Mutex<FxHashMap<NamespaceId, Facts>>,
    /// The places whose interface is missing, a bit for each [`Place`]. It is not tried again.
    without: AtomicU64,
    /// Whether the kernel reader is used in this scan.
    pub(super) reads_kernel: bool,
    /// What the kernel reader tells of namespaces; read when it is first needed.
    pub(super) told: OnceLock<Result<FxHashMap<NamespaceId, Facts>, Refusal>>,
    /// The user namespaces that file systems belong to, but for the initial one, as the kernel reader tells.
    pub(super) file_system_owners: OnceLock<FxHashMap<DeviceNumber, NamespaceId>>,
    /// What the kernel's own lists told just before processes were read, and whether they were read to their ends.
    pub(super) listed: Option<Listed>,
    /// Of mount namespaces, the unique ID and the number of the last change when the kernel reader told of them, before any
    /// mount list was read.
    pub(super) mounts_changed: FxHashMap<NamespaceId, Version>,
    /// Which root directory processes have, by the task that stands for each, as the kernel reader tells it.
    pub(super) roots: FxHashMap<Tid, (u64, u64)>,
    /// Whether the caller is in the initial PID namespace, in which all others are visible.
    pub(super) is_in_initial_pid_ns: bool,
    /// What is known about calls that have failed.
    interfaces: Interfaces,
    /// The device numbers of files that are recognized by them.
    pub(super) devices: facts::Devices,
    /// Whether `sched_getaffinity(2)` returns the affinity of tasks.
    pub(super) asks_for_affinity: bool,
    /// Whether a security module gives labels; `None` where that is not known.
    pub(super) has_labels: Option<bool>,
    /// The reader of command lines.
    pub(super) command_lines: Option<&'a Reader>,
    /// The access to mount namespaces from inside.
    pub(super) access: Option<&'a dyn MountAccess>,
    /// Mount namespaces without a process, kept open until they are entered; `None` after that.
    kept: Mutex<FxHashMap<NamespaceId, Option<OwnedFd>>>,
    keeps: AtomicBool,
    /// The caller's user namespace, which owns most others. While it is open, the kernel makes no new inode for it each
    /// time that it is returned as an owner.
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
            reads_kernel: false,
            told: OnceLock::new(),
            file_system_owners: OnceLock::new(),
            listed: None,
            mounts_changed: FxHashMap::default(),
            roots: FxHashMap::default(),
            is_in_initial_pid_ns: false,
            interfaces: Interfaces::default(),
            devices: facts::Devices::of_this_kernel(proc),
            asks_for_affinity: options.scheduling && options.task_details && proc.is_own() && host::has_all_cpus(proc),
            has_labels: options.security_labels.then(|| security_label::of_caller(proc)).flatten(),
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

    /// The facts about namespaces that could be opened.
    pub(super) fn facts(&self) -> MutexGuard<'_, FxHashMap<NamespaceId, Facts>> {
        // A panic of another worker cannot leave the map incomplete: entries are only inserted.
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on, mount namespaces that are found are kept open if a helper can enter them. All mount namespaces with
    /// processes are known by then.
    pub(super) fn keep_mount_namespaces(&self) {
        self.keeps.store(self.access.is_some(), Ordering::Relaxed);
    }

    /// Whether to keep this mount namespace open.
    pub(super) fn keeps(&self, id: NamespaceId) -> bool {
        /// The limit. Above it, a mount namespace is opened again through its holders, if possible.
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

    /// Closes the mount namespaces that are kept open.
    pub(super) fn forget_kept(&self) {
        self.kept().clear();
    }

    /// Whether this mount namespace is kept open.
    pub(super) fn has_kept(&self, id: NamespaceId) -> bool {
        matches!(self.kept().get(&id), Some(Some(_)))
    }

    fn kept(&self) -> MutexGuard<'_, FxHashMap<NamespaceId, Option<OwnedFd>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the interface of this place is missing.
    pub(super) fn is_without(&self, place: Place) -> bool {
        self.without.load(Ordering::Relaxed) & (1 << place as u8) != 0
    }

    /// Remembers that the interface of this place is missing.
    pub(super) fn do_without(&self, place: Place) {
        self.without.fetch_or(1 << place as u8, Ordering::Relaxed);
    }

    /// Why this call, which has failed with this error, always fails for the caller; `None` if only this object made it fail.
    pub(super) fn missing(&self, call: Call, failure: Failure) -> Option<Failure> {
        // PIDs of another PID namespace mean other processes in system calls.
        if self.proc.is_own() { self.interfaces.missing(call, failure) } else { Some(failure) }
    }
}
