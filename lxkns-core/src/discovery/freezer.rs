//! The freezer: cgroup v1's controller and cgroup v2's own, on hybrid hosts both.

use std::collections::HashMap;
use std::sync::Arc;

use super::search::Search;
use crate::cgroups::CgroupHierarchies;
use crate::model::{Cgroups, Freezer, Snapshot};

/// Reads the freezer state of each control group that a task is in, once.
pub(super) fn all(search: &Search<'_>, snapshot: &mut Snapshot) {
    if !search.options.freezer {
        return;
    }
    let (hierarchies, mut gaps) = CgroupHierarchies::that_freeze(search.proc);
    let mut known: HashMap<Arc<Cgroups>, Option<Freezer>> = HashMap::new();
    for task in snapshot.processes.values_mut().flat_map(|process| &mut process.tasks) {
        let Some(cgroups) = &task.cgroups else { continue };
        task.freezer = match known.get(cgroups) {
            Some(freezer) => *freezer,
            None => {
                let freezer = hierarchies.freezer(cgroups, &mut gaps);
                known.insert(Arc::clone(cgroups), freezer);
                freezer
            }
        };
    }
    snapshot.gaps.append(&mut gaps);
}
