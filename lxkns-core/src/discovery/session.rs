//! Scans of one host, one after another.

use std::fmt;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};

use super::kept_mounts::KeptMounts;
use super::left_behind::LeftBehind;
use super::socket_users::Kept;
use super::{confinement, file_system_users, from_kernel, host, shared_memory, socket_users, task_powers, tun_users};
use crate::error::{Error, ErrorKind};
use crate::kernel_reader::{self, KernelReader, Refusal};
use crate::model::links::TunUser;
use crate::model::{
    ConfinementFacts, DiscoveryOptions, FileSystemHolderKind, FileSystemQuery, FileSystemUsers, Gap, NamespaceId, Pid,
    Snapshot, SocketUser, Suspect, TaskPowers,
};
use crate::mount_access::MountAccess;
use crate::procfs::ProcRoot;
use crate::reach::Opener;

/// A session: scans of one host. It remembers stuck processes and dead file systems.
///
/// A scan changes nothing on the host, prints nothing and starts no process. Its threads are gone when it returns,
/// except two kinds that the kernel can keep: one that reads command lines (see [`DiscoveryOptions::command_lines`]),
/// and those that close sockets with `SO_LINGER`. Later scans of the session skip a process for which such a thread
/// waits, with a gap, until the thread has ended; file systems that do not answer are remembered by the
/// [`MountAccess`]. Use one session for all scans of a host.
///
/// ```
/// use lxkns_core::{Discovery, DiscoveryOptions};
///
/// let discovery = Discovery::of_host()?;
/// let snapshot = discovery.run(&DiscoveryOptions::namespaces())?;
/// println!("{} namespaces, {} gaps", snapshot.namespaces.len(), snapshot.gaps.len());
/// # Ok::<(), lxkns_core::Error>(())
/// ```
pub struct Discovery<'a> {
    proc: ProcRoot,
    access: Option<&'a dyn MountAccess>,
    cancel: Option<&'a AtomicBool>,
    progress: Option<&'a (dyn Fn(Progress) + Sync)>,
    pub(super) left_behind: LeftBehind,
    /// Who had sockets open in the last scan, if that is kept.
    pub(super) socket_users: Option<Mutex<Kept>>,
    /// What of mount lists need not be read again.
    pub(super) kept_mounts: Mutex<KeptMounts>,
    /// The processes that the kernel kept from programs when all were last listed.
    pub(super) untold: Mutex<Vec<Pid>>,
    /// Put together once, for all scans.
    kernel_reader: OnceLock<Result<KernelReader, Refusal>>,
    /// Where the kernel describes its structures.
    btf: Option<PathBuf>,
    repeats: bool,
    /// Whether the first scan that discovery chose a reader for was to use the kernel reader.
    prefers_kernel: OnceLock<bool>,
    /// Whether the kernel reader was used.
    pub(super) has_read_kernel: AtomicBool,
    /// Why the kernel reader is not used any more.
    pub(super) refused: OnceLock<Refusal>,
}

/// Up to so many tasks, a single scan of procfs is at least as fast as one by the kernel reader, which has to be prepared
/// (docs/benchmarks.md).
const BREAK_EVEN: u64 = 430;

/// The progress of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The current step.
    pub step: Step,
    /// How many of the processes it has read.
    pub processes: usize,
    /// How many processes there are; 0 before it knows.
    pub all_processes: usize,
}

/// The steps of a scan, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Step {
    /// Read processes, their tasks and descriptors.
    Processes,
    /// List the mounts of mount namespaces.
    Mounts,
    /// Read the kernel's own lists.
    Kernel,
    /// Read what is only read of processes and namespaces that were found.
    Details,
}

impl<'a> Discovery<'a> {
    /// Scans the processes of this procfs and the namespaces that they are in or hold.
    ///
    /// With another procfs than the caller's own, PIDs mean nothing to system calls. So sockets, TUN/TAP files,
    /// descriptor tables of single tasks and PID namespaces that never had a process are not looked at, and gaps say so.
    pub fn new(proc: ProcRoot) -> Self {
        Self {
            proc,
            access: None,
            cancel: None,
            progress: None,
            left_behind: LeftBehind::default(),
            socket_users: None,
            kernel_reader: OnceLock::new(),
            btf: None,
            repeats: false,
            prefers_kernel: OnceLock::new(),
            has_read_kernel: AtomicBool::new(false),
            refused: OnceLock::new(),
            kept_mounts: Mutex::default(),
            untold: Mutex::default(),
        }
    }

    /// Scans the host that the calling process runs on.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Procfs`]: no procfs is mounted at `/proc`.
    pub fn of_host() -> Result<Self, Error> {
        Ok(Self::new(ProcRoot::host()?))
    }

    /// Reads mount namespaces through this access: finds the mounts of those without a process on kernels that do not
    /// list them, and opens bind mounts there on all kernels.
    #[must_use]
    pub fn mounts_through(mut self, access: &'a dyn MountAccess) -> Self {
        self.access = Some(access);
        self
    }

    /// Announces many scans, or one that needs what only the kernel reader knows. The kernel reader, which takes some
    /// milliseconds to prepare, is then used from the first scan on if it is usable, even if there are few processes.
    #[must_use]
    pub fn repeated(mut self) -> Self {
        self.repeats = true;
        self
    }

    /// Reads the kernel's description of its structures (BTF) from this file, and not from `/sys/kernel/btf/vmlinux`: for a
    /// caller whose sysfs is mounted elsewhere. The file must describe the running kernel: with another kernel's, what is
    /// found is not true. Opening it must not block.
    #[must_use]
    pub fn btf_at(mut self, path: impl Into<PathBuf>) -> Self {
        self.btf = Some(path.into());
        self
    }

    /// Ends a scan with [`ErrorKind::Cancelled`] soon after this is set.
    #[must_use]
    pub fn cancelled_by(mut self, cancel: &'a AtomicBool) -> Self {
        self.cancel = Some(cancel);
        self
    }

    /// Calls this as a scan goes on, from any of its threads: at each step, and about once for each hundred processes.
    #[must_use]
    pub fn progress_to(mut self, progress: &'a (dyn Fn(Progress) + Sync)) -> Self {
        self.progress = Some(progress);
        self
    }

    /// Keeps who has which socket open as scans find it, 24 bytes for each, so that
    /// [`all_socket_users`](Self::all_socket_users) need not read all descriptors of the host once more.
    #[must_use]
    pub fn keep_socket_users(mut self) -> Self {
        self.socket_users = Some(Mutex::default());
        self
    }

    /// The process of each thread that scans of this session have left behind and that still waits in the kernel.
    pub fn left_behind(&self) -> Vec<Pid> {
        self.left_behind.processes()
    }

    /// The procfs that is read.
    pub fn proc(&self) -> &ProcRoot {
        &self.proc
    }

    /// Scans the host.
    ///
    /// # Errors
    ///
    /// Only if there is no snapshot at all: [`ErrorKind::Procfs`], [`ErrorKind::Cancelled`]. What could not be read is
    /// in [`Snapshot::gaps`].
    ///
    /// # Privileges
    ///
    /// None; the caller sees what it may see. Seeing all of a host needs `CAP_SYS_PTRACE`, `CAP_DAC_READ_SEARCH`,
    /// `CAP_NET_ADMIN` and `CAP_SYS_ADMIN` in the initial user namespace, and the initial PID namespace. With
    /// [`Reader::Kernel`](crate::model::Reader::Kernel), `CAP_BPF` and `CAP_PERFMON` stand for the first three, but for
    /// mounts, TUN/TAP files and suspects.
    ///
    /// # Minimum kernel version
    ///
    /// 4.11; the [crate's page](crate#kernels) says what later ones add.
    pub fn run(&self, options: &DiscoveryOptions) -> Result<Snapshot, Error> {
        super::scan(self, options)
    }

    /// Opens a namespace of a snapshot through any of its holders, and verifies it. With
    /// [`mounts_through`](Self::mounts_through), this also reaches bind mounts in mount namespaces without a process,
    /// to any depth.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unreachable`]: no holder leads to it (any more), or the caller may not use any.
    ///
    /// # Privileges
    ///
    /// For a namespace held by a process, task or descriptor, ptrace read access to that process (`ptrace(2)`); for one
    /// held by a socket or TUN/TAP file in addition `CAP_NET_ADMIN` in the user namespace that owns it; for one that only
    /// the kernel lists, what `open_by_handle_at(2)` requires for nsfs: `CAP_SYS_ADMIN` in the initial user namespace and
    /// the initial PID namespace.
    ///
    /// # Minimum kernel version
    ///
    /// 4.11 for those held by processes, tasks and descriptors; 5.6 for sockets and TUN/TAP files (`pidfd_getfd(2)`);
    /// 5.12 for bind mounts below file systems that may have a server (`RESOLVE_CACHED` of `openat2(2)`); 6.18 for those
    /// that only the kernel lists.
    pub fn open(&self, snapshot: &Snapshot, id: NamespaceId) -> Result<OwnedFd, Error> {
        self.opener(snapshot).open(id)
    }

    /// Opens many namespaces of a snapshot, as [`open`](Self::open), but reads the list of processes only once.
    pub fn opener<'s>(&'s self, snapshot: &'s Snapshot) -> Opener<'s> {
        Opener::new(&self.proc, snapshot, self.access)
    }

    /// Finds the processes that use a file system: with their root or working directory, their executable, a file that is
    /// open or mapped, a bound socket, or its device; in whatever mount namespace they are, and whether it is still
    /// mounted there or not. And what keeps it busy without a process: loop devices, swap, and the like; with suspects: the
    /// kernel does not say what these hold. The calling process and the helpers of the [`MountAccess`] are left
    /// out.
    ///
    /// `snapshot` has the mounts of all mount namespaces ([`DiscoveryOptions::mounts`](crate::DiscoveryOptions::mounts)).
    ///
    /// Reading the mappings of a process can block forever on its memory lock. A separate thread reads them; after one
    /// second without an answer it is left behind, and a gap reports that. The kernel's own users are read in the same
    /// way.
    ///
    /// # Privileges
    ///
    /// For processes of others ptrace read access (`ptrace(2)`) and, for open files, `CAP_DAC_READ_SEARCH`. For the mounts
    /// of mapped files `CAP_CHECKPOINT_RESTORE` or `CAP_SYS_ADMIN` in the initial user namespace; for those of bound
    /// sockets `CAP_NET_ADMIN`, and to be allowed to trace the process.
    ///
    /// # Minimum kernel version
    ///
    /// As [`run`](Self::run). In descriptor tables that single tasks have of their own it looks where `kcmp(2)` is
    /// there.
    pub fn file_system_users(&self, snapshot: &Snapshot, query: FileSystemQuery) -> FileSystemUsers {
        let mut users = file_system_users::file_system_users(&self.proc, &self.left_behind, snapshot, query);
        if let Some(access) = self.access {
            // Some may just be ending.
            let helpers = access.helpers();
            users.processes.retain(|user| !helpers.contains(&user.pid));
            users.holders.retain(|holder| match &holder.kind {
                FileSystemHolderKind::Descriptor { pid, .. } | FileSystemHolderKind::Detached { pid, .. } => {
                    !helpers.contains(pid)
                }
                _ => true,
            });
        }
        users
    }

    /// Finds the processes that have a System V shared memory segment attached which may be of another IPC namespace than
    /// the caller's. Sorted; with what could not be read.
    ///
    /// It reads the mappings of all processes, which takes long on a large host: ask for it only where an IPC namespace
    /// has no other holder. A process that keeps its memory locked is given up after a second.
    ///
    /// # Privileges
    ///
    /// For processes of others ptrace read access (`ptrace(2)`).
    ///
    /// # Minimum kernel version
    ///
    /// As [`run`](Self::run).
    pub fn shared_memory_users(&self, snapshot: &Snapshot) -> (Vec<Suspect>, Vec<Gap>) {
        shared_memory::shared_memory_users(&self.proc, &self.left_behind, snapshot)
    }

    /// Finds the descriptors of these processes that are on these sockets, which are known by their inode numbers. Sorted;
    /// with what could not be read. Costs one `readlinkat` for each descriptor of these processes.
    ///
    /// # Privileges
    ///
    /// For processes of others ptrace read access (`ptrace(2)`) and `CAP_DAC_READ_SEARCH`.
    ///
    /// # Minimum kernel version
    ///
    /// As [`run`](Self::run). In descriptor tables that single tasks have of their own it looks where `kcmp(2)` is
    /// there.
    pub fn socket_users(&self, pids: &[Pid], inodes: &[u64]) -> (Vec<SocketUser>, Vec<Gap>) {
        socket_users::socket_users(&self.proc, pids, inodes)
    }

    /// Reads what confines these processes, and what they have open that leads out of their mount namespaces: the
    /// credentials and labels of all their tasks; directories on mounts of other mount namespaces, block devices, and
    /// connections to engines of containers; devices in `/dev` of their mount namespaces; what they have mapped; and whether
    /// their control groups keep devices from them.
    ///
    /// `snapshot` has the mounts of all mount namespaces ([`DiscoveryOptions::mounts`](crate::DiscoveryOptions::mounts)),
    /// and the containers as an annotation: engines are found by it, and by their names among processes in no container.
    ///
    /// # Privileges
    ///
    /// For processes of others ptrace read access (`ptrace(2)`) and `CAP_DAC_READ_SEARCH`; to see to whom a socket is
    /// connected, to be allowed to trace the process; for the file of an engine's socket, and for control groups of version 2,
    /// `CAP_NET_ADMIN`; for what is mapped `CAP_CHECKPOINT_RESTORE` or `CAP_SYS_ADMIN`.
    ///
    /// # Minimum kernel version
    ///
    /// As [`run`](Self::run); sockets from 5.6 (`pidfd_getfd(2)`).
    pub fn confinement(&self, snapshot: &Snapshot, pids: &[Pid]) -> ConfinementFacts {
        confinement::confinement(&self.proc, &self.left_behind, snapshot, pids)
    }

    /// Finds the tasks that have another effective UID, or other effective or permitted capabilities, than the task that
    /// stands for their process. Sorted; with what could not be read. Costs one `status` for each task of the processes
    /// that have several.
    ///
    /// `snapshot` has the status of all processes
    /// ([`DiscoveryOptions::status`](crate::DiscoveryOptions::status)).
    ///
    /// # Privileges
    ///
    /// None, unless the procfs hides processes.
    ///
    /// # Minimum kernel version
    ///
    /// As [`run`](Self::run).
    pub fn task_powers(&self, snapshot: &Snapshot) -> (Vec<TaskPowers>, Vec<Gap>) {
        task_powers::task_powers(&self.proc, snapshot)
    }

    /// As [`socket_users`](Self::socket_users), of all processes that there are now: also those that came since a scan.
    ///
    /// With [`keep_socket_users`](Self::keep_socket_users), the processes of the last scan have what they had then, unless
    /// none had one of these sockets: then all are read.
    pub fn all_socket_users(&self, inodes: &[u64]) -> (Vec<SocketUser>, Vec<Gap>) {
        socket_users::all_socket_users(&self.proc, self.socket_users.as_ref(), inodes)
    }

    /// Finds which TUN/TAP device each open file has that holds a network namespace of the snapshot. Sorted. `None`: they
    /// could not be read in time, as the kernel waits for the lock of all network configuration.
    ///
    /// # Privileges
    ///
    /// For processes of others ptrace read access (`ptrace(2)`). Without the right to ask in which network namespace the
    /// device is ([`Holder::Tun`](crate::model::Holder::Tun)), it is taken to be in that of the file.
    pub fn tun_users(&self, snapshot: &Snapshot) -> Option<Vec<TunUser>> {
        tun_users::tun_users(&self.proc, snapshot)
    }

    /// Why the kernel reader cannot be used here, at [`Place::Reader`](crate::model::Place::Reader); `None`: it can. Loads its
    /// programs, unless a scan has.
    pub fn kernel_reader_refusal(&self) -> Option<Gap> {
        let refusal = match self.refused.get() {
            Some(refusal) => refusal.clone(),
            None => self
                .kernel_reader()
                .as_ref()
                .map_err(Clone::clone)
                .and_then(|reader| reader.tasks(false))
                .err()?
                .or_lockdown(&self.proc),
        };
        Some(from_kernel::gap_of(refusal))
    }

    pub(super) fn access(&self) -> Option<&'a dyn MountAccess> {
        self.access
    }

    /// The kernel reader, or why there is none. Its programs are put together, and loaded, when they are first needed.
    pub(super) fn kernel_reader(&self) -> &Result<KernelReader, Refusal> {
        self.kernel_reader.get_or_init(|| {
            // Who may not is told so before anything is read.
            kernel_reader::permission()?;
            KernelReader::new(&self.btf(kernel_reader::BTF).ok_or_else(Refusal::without_btf)?)
        })
    }

    /// Reads the description of the kernel, or of a module: that stands beside it.
    pub(super) fn btf(&self, path: &'static str) -> Option<Vec<u8>> {
        match (&self.btf, Path::new(path).file_name()) {
            (Some(of_kernel), _) if path == kernel_reader::BTF => std::fs::read(of_kernel).ok(),
            (Some(of_kernel), Some(name)) => std::fs::read(of_kernel.with_file_name(name)).ok(),
            _ => host::read_of_sysfs(&self.proc, path),
        }
    }

    /// Whether to use the kernel reader where the choice is left to discovery; the same for all scans. It pays where there are
    /// many tasks. In another PID namespace than the initial one, it alone sees the kernel's own lists.
    pub(super) fn prefers_kernel(&self, in_initial_pid_ns: bool) -> bool {
        let prefers = || self.repeats || !in_initial_pid_ns || host::tasks(&self.proc) > BREAK_EVEN;
        *self.prefers_kernel.get_or_init(prefers)
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancel.is_some_and(|cancel| cancel.load(Ordering::Relaxed))
    }

    /// Reports that a step begins; fails if the scan is cancelled.
    pub(super) fn begin(&self, step: Step, processes: usize) -> Result<(), Error> {
        if self.is_cancelled() {
            return Err(Error::new(ErrorKind::Cancelled, "the scan was cancelled"));
        }
        self.tell(Progress { step, processes, all_processes: processes });
        Ok(())
    }

    pub(super) fn tell(&self, progress: Progress) {
        if let Some(tell) = self.progress {
            tell(progress);
        }
    }
}

impl fmt::Debug for Discovery<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Discovery")
            .field("proc", &self.proc)
            .field("left_behind", &self.left_behind)
            .finish_non_exhaustive()
    }
}
