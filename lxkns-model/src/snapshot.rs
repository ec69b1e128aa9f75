//! The result of discovery.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use super::{
    Annotations, CpuRange, DiscoveryOptions, Gap, Mount, Namespace, NamespaceId, NotKernel, Observer, Pid, Process,
    Reader, References, Suspect,
};
use crate::CompactSort as _;

/// The host that was scanned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// The kernel's release, as `uname -r` prints it.
    pub kernel_release: String,
    /// An ID that is new at each boot.
    pub boot_id: Option<String>,
    /// The host name.
    pub hostname: String,
    /// The CPUs that are online, where known.
    pub cpus_online: Option<Vec<CpuRange>>,
}

/// What was found on a host at one time.
///
/// Equality compares what was found: two snapshots of an unchanged host are equal. It ignores what changes by itself (run
/// states of tasks, counts of references), what is about the scan (gaps, reader, time, duration), and what depends on the
/// observer: the observer itself, its mount namespace, and the annotations.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The namespaces, by their IDs.
    pub namespaces: BTreeMap<NamespaceId, Namespace>,
    /// The processes, by their PIDs.
    pub processes: BTreeMap<Pid, Process>,
    /// The mounts of mount namespaces, sorted by their IDs; of those whose mounts were asked for and could be listed.
    pub mounts: BTreeMap<NamespaceId, Vec<Mount>>,
    /// Things that hold a namespace without the kernel saying which, sorted.
    pub suspects: Vec<Suspect>,
    /// How many references the kernel counts to each namespace, where the kernel reader could tell, and the count did not
    /// change during the scan; never of initial, user and PID namespaces.
    pub references: BTreeMap<NamespaceId, References>,
    /// What could not be read, sorted.
    pub gaps: Vec<Gap>,
    /// What was added after discovery.
    pub annotations: Annotations,
    /// The observer's mount namespace, in which the paths of mounts mean what they say; `None` where not known.
    pub observer_mount_ns: Option<NamespaceId>,
    /// Who took it; `None` where not known, as in a dump of an older version.
    pub observer: Option<Observer>,
    /// Where processes, tasks and their open files were read from; `None` where not known, as in a dump of an older
    /// version.
    pub reader: Option<Reader>,
    /// Why that is not the kernel reader; `None` where it is, or where that is not known.
    pub not_kernel: Option<NotKernel>,
    /// What was asked for.
    pub options: DiscoveryOptions,
    /// The host.
    pub host: Host,
    /// When it began.
    pub taken_at: SystemTime,
    /// How long it took.
    pub took: Duration,
}

impl Snapshot {
    /// A snapshot with nothing in it.
    pub fn empty(options: DiscoveryOptions, host: Host, taken_at: SystemTime) -> Self {
        Self {
            namespaces: BTreeMap::new(),
            processes: BTreeMap::new(),
            mounts: BTreeMap::new(),
            suspects: Vec::new(),
            references: BTreeMap::new(),
            gaps: Vec::new(),
            annotations: Annotations::default(),
            observer_mount_ns: None,
            observer: None,
            reader: None,
            not_kernel: None,
            options,
            host,
            taken_at,
            took: Duration::ZERO,
        }
    }

    /// The namespaces, by type and then by inode number.
    pub fn namespaces_by_type(&self) -> Vec<&Namespace> {
        let mut namespaces: Vec<_> = self.namespaces.values().collect();
        namespaces.compact_sort_by_key(|namespace| (namespace.ns_type, namespace.id));
        namespaces
    }

    /// Where the files of a process are below a procfs: `PID`, or `PID/task/TID` where the thread group leader has exited.
    pub fn directory(&self, pid: Pid) -> String {
        self.processes.get(&pid).map_or_else(|| pid.to_string(), Process::directory)
    }

    /// The namespace with this inode number.
    pub fn by_ino(&self, ino: u64) -> Option<&Namespace> {
        let from = NamespaceId { ino, dev: 0 };
        self.namespaces.range(from..).next().map(|(_, namespace)| namespace).filter(|namespace| namespace.id.ino == ino)
    }
}

impl PartialEq for Snapshot {
    fn eq(&self, other: &Self) -> bool {
        self.namespaces == other.namespaces
            && self.mounts == other.mounts
            && self.suspects == other.suspects
            && self.options == DiscoveryOptions { reader: self.options.reader, ..other.options.clone() }
            && self.host == other.host
            && self.processes.len() == other.processes.len()
            && self.processes.values().zip(other.processes.values()).all(|(a, b)| equal_but_for_run_states(a, b))
    }
}

/// Compares two processes in everything but what their tasks were doing just then.
fn equal_but_for_run_states(a: &Process, b: &Process) -> bool {
    a.pid == b.pid
        && a.ppid == b.ppid
        && a.namespaces == b.namespaces
        && a.threads == b.threads
        && a.command_line == b.command_line
        && a.status == b.status
        && a.tasks.len() == b.tasks.len()
        && a.tasks.iter().zip(&b.tasks).all(|(a, b)| {
            a.tid == b.tid
                && a.comm == b.comm
                && a.start_time_ticks == b.start_time_ticks
                && a.namespaces == b.namespaces
                && a.cgroups == b.cgroups
                && a.freezer == b.freezer
                && a.scheduling == b.scheduling
                && a.affinity == b.affinity
        })
}
