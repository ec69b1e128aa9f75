//! Which devices the control groups of processes let them open: lists of version 1, BPF programs of version 2.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::cgroups::CgroupHierarchies;
use crate::model::{Cgroups, DeviceAccess, Pid, Snapshot};
use crate::procfs::ProcRoot;

/// Of each of these processes, as far as it is known.
pub(super) fn of_processes(proc: &ProcRoot, snapshot: &Snapshot, pids: &[Pid]) -> BTreeMap<Pid, DeviceAccess> {
    let (hierarchies, gaps) = CgroupHierarchies::of_the_host(proc);
    let mut known: FxHashMap<Arc<Cgroups>, Option<DeviceAccess>> = FxHashMap::default();
    let mut access = BTreeMap::new();
    for process in pids.iter().filter_map(|pid| snapshot.processes.get(pid)) {
        let Some(cgroups) = &process.living_task().cgroups else { continue };
        let of_group = *known.entry(Arc::clone(cgroups)).or_insert_with(|| {
            // Where a hierarchy could not be opened, it may be the one that keeps devices away.
            hierarchies.device_access(cgroups).filter(|access| gaps.is_empty() || *access != DeviceAccess::All)
        });
        access.extend(of_group.map(|of_group| (process.pid, of_group)));
    }
    access
}
