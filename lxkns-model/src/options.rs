//! What discovery is asked for.

use super::{Place, Reader};

/// A set of [`Place`]s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Places(u64);

impl Places {
    /// None.
    pub const NONE: Self = Self(0);

    /// Every place that can hold a namespace.
    pub fn holding() -> Self {
        Place::HOLDING.into_iter().collect()
    }

    /// Whether the place is in the set.
    pub const fn contains(self, place: Place) -> bool {
        self.0 & (1 << place as u8) != 0
    }

    /// The set with this place too.
    #[must_use]
    pub const fn with(self, place: Place) -> Self {
        Self(self.0 | (1 << place as u8))
    }

    /// The set without this place.
    #[must_use]
    pub const fn without(self, place: Place) -> Self {
        Self(self.0 & !(1 << place as u8))
    }

    /// The places in the set, in their order.
    pub fn iter(self) -> impl Iterator<Item = Place> {
        Place::ALL.into_iter().filter(move |&place| self.contains(place))
    }
}

impl FromIterator<Place> for Places {
    fn from_iter<I: IntoIterator<Item = Place>>(places: I) -> Self {
        places.into_iter().fold(Self::NONE, Self::with)
    }
}

/// The processes for which something is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Scope {
    /// For none.
    #[default]
    None,
    /// For those that a namespace's entry names: its leaders, and the processes behind all holders but
    /// [`Holder::Process`](super::Holder::Process). Processes below a leader are not among them.
    Named,
    /// For all.
    All,
}

/// What discovery is asked for. Each field can be set on its own; what is not asked for costs nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiscoveryOptions {
    /// Where to look for namespaces: any of the twelve places that can hold one. Processes are always gone through;
    /// without [`Place::Processes`] it is their namespaces that do not count.
    pub places: Places,
    /// For which processes to read `status`: UIDs, PIDs in other PID namespaces, capabilities.
    pub status: Scope,
    /// Whether to read the labels of security modules too, of the processes whose `status` is read.
    pub security_labels: bool,
    /// Whether to read the control groups of processes.
    pub cgroups: bool,
    /// Whether to read the freezer state; includes `cgroups`.
    pub freezer: bool,
    /// Whether to read CPU affinity and scheduling of processes.
    pub scheduling: bool,
    /// Whether to read control groups, freezer, CPU affinity and scheduling of each task too, as far as they are
    /// read of processes.
    pub task_details: bool,
    /// For which processes to read the command line.
    ///
    /// A process whose memory is locked can keep the reader waiting for ever. So they are read last, by a thread of
    /// their own; after one second without an answer that thread is left behind, the rest stay unknown, and a gap says
    /// so. At most 32 KiB of each are read.
    pub command_lines: Scope,
    /// Whether to read the ID maps of user namespaces and the clock offsets of time namespaces.
    pub namespace_details: bool,
    /// Whether to list the mounts of mount namespaces.
    pub mounts: bool,
    /// Whether to look for things that hold a namespace without saying which: one more read for each socket and ring.
    pub suspects: bool,
    /// Whether to read how many references to each namespace the kernel counts, and to explain them: another walk through all
    /// tasks and files, by the kernel reader alone.
    pub references: bool,
    /// Whether to leave the calling process itself out: its namespaces, descriptors and tasks; unless a namespace
    /// would then be missing.
    pub without_self: bool,
    /// Where to read processes, tasks and their open files from; `None` leaves the choice to discovery: the kernel reader
    /// where it is usable and there are so many processes that it is faster. All scans of a session read the same then. If the
    /// kernel reader was asked for, or a session has used it, and it is not usable, procfs takes its place, and a gap at
    /// [`Place::Reader`] says why; [`Snapshot::not_kernel`](crate::Snapshot::not_kernel) says it in any case.
    pub reader: Option<Reader>,
}

impl DiscoveryOptions {
    /// Every namespace, in all places, with its holders and relations; nothing about processes beyond their names.
    pub fn namespaces() -> Self {
        Self {
            places: Places::holding(),
            status: Scope::None,
            security_labels: false,
            cgroups: false,
            freezer: false,
            scheduling: false,
            task_details: false,
            command_lines: Scope::None,
            namespace_details: false,
            mounts: false,
            suspects: false,
            references: false,
            without_self: false,
            reader: None,
        }
    }

    /// Everything there is to know.
    pub fn everything() -> Self {
        Self {
            places: Places::holding(),
            status: Scope::All,
            security_labels: true,
            cgroups: true,
            freezer: true,
            scheduling: true,
            task_details: true,
            command_lines: Scope::All,
            namespace_details: true,
            mounts: true,
            suspects: true,
            references: true,
            without_self: false,
            reader: None,
        }
    }
}

impl Default for DiscoveryOptions {
    /// As [`namespaces`](Self::namespaces).
    fn default() -> Self {
        Self::namespaces()
    }
}
