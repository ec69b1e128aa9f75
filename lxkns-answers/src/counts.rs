//! How many processes and tasks are in each namespace, in one pass over the processes.

use lxkns_model::{NamespaceId, Pid, Snapshot};
use rustc_hash::FxHashMap;

/// The counts of one namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Processes.
    pub processes: u64,
    /// Tasks.
    pub tasks: u64,
    /// The lowest PID.
    pub lowest: Option<Pid>,
}

/// The counts of all namespaces.
#[derive(Clone, Debug, Default)]
pub struct Counts(FxHashMap<NamespaceId, Count>);

impl Counts {
    /// Counts.
    pub fn of(snapshot: &Snapshot) -> Self {
        let mut counts: FxHashMap<NamespaceId, Count> = FxHashMap::default();
        counts.reserve(snapshot.namespaces.len());
        for process in snapshot.processes.values() {
            for (_, id) in process.namespaces.iter() {
                let count = counts.entry(id).or_default();
                count.processes += 1;
                count.lowest.get_or_insert(process.pid);
                // Tasks that are not listed are in the namespaces of their process.
                count.tasks += u64::from(process.threads).saturating_sub(process.tasks.len() as u64);
            }
            for (_, id) in process.tasks.iter().flat_map(|task| task.namespaces.iter()) {
                counts.entry(id).or_default().tasks += 1;
            }
        }
        Self(counts)
    }

    /// The counts of this namespace.
    pub fn get(&self, id: NamespaceId) -> Count {
        self.0.get(&id).copied().unwrap_or_default()
    }
}
