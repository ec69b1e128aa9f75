//! The containers of dumps that this program did not write. They name each container's first process and no other: the
//! rest follows from control groups and parents.

use std::collections::BTreeMap;

use bstr::{BStr, ByteSlice as _};
use rustc_hash::FxHashMap;

use super::container::{Forms, engine, flavor, group, map, pid, state, theirs_text};
use crate::CompactSort as _;
use crate::wire::Error;
use crate::{Confidence, Container, Containers, EngineKind, Evidence, EvidenceKind, Pid, Process, Said, Snapshot};

/// An ID of fewer characters can be in a path by chance.
const SHORTEST_ID: usize = 12;

/// `None` where there are none: such a dump does not say whether they were looked for.
pub(super) fn containers(forms: Forms, snapshot: &Snapshot) -> Result<Option<Containers>, Error> {
    if forms.containers.is_empty() && forms.engines.is_empty() {
        return Ok(None);
    }
    let mut read = Containers::default();
    let mut engines = BTreeMap::new();
    for (number, form) in &forms.engines {
        engines.insert(*number, read.engines.len());
        read.engines.push(engine(form)?);
    }
    let mut groups = BTreeMap::new();
    for (number, form) in &forms.groups {
        groups.insert(*number, read.groups.len());
        read.groups.push(group(form)?);
    }
    for (key, form) in &forms.containers {
        let pid = pid(form, *key)?;
        // The dump's word; the program asks engines.
        let evidence = Evidence {
            kind: EvidenceKind::Dump,
            at: format!("/containers/{key}").into(),
            pid: None,
            confidence: Confidence::Likely,
        };
        let kind = EngineKind::from_name(form.r#type.as_deref().unwrap_or_default()).unwrap_or(EngineKind::Unknown);
        let mut container = Container::new(kind, theirs_text(&form.id, &form.escaped, "id"), evidence);
        let name = theirs_text(&form.name, &form.escaped, "name");
        container.name = (!name.is_empty()).then_some(Said { value: name, by: 0 });
        container.main = Some(Said { value: pid, by: 0 });
        container.state = state(form).map(|value| Said { value, by: 0 });
        container.labels = map(&form.labels, &form.labels_escaped);
        container.flavor = flavor(form, kind);
        container.engine = form.engine.and_then(|number| engines.get(&number)).copied();
        container.groups = form.groups.iter().flatten().filter_map(|number| groups.get(number)).copied().collect();
        read.list.push(container);
    }
    read.list.compact_sort_by(|a, b| (a.kind, &a.id).cmp(&(b.kind, &b.id)));
    read.members = members(&read.list, snapshot);
    Ok(Some(read))
}

/// Which processes are in which container: those in its control group or below, and else the descendants of its first
/// process. Of several containers it is the innermost.
fn members(list: &[Container], snapshot: &Snapshot) -> BTreeMap<Pid, usize> {
    let mut by_main = FxHashMap::default();
    let mut by_cgroup = FxHashMap::default();
    for (index, container) in list.iter().enumerate() {
        let Some(main) = container.main.as_ref().map(|main| main.value) else { continue };
        by_main.entry(main).or_insert(index);
        let path = snapshot.processes.get(&main).and_then(cgroup);
        // A container can be in its caller's control group, with all else that is there.
        let is_its_own = |path: &&BStr| {
            let last = path.rsplit_str("/").find(|name| !name.is_empty());
            container.id.len() >= SHORTEST_ID && last.is_some_and(|last| last.contains_str(&container.id))
        };
        if let Some(path) = path.filter(is_its_own) {
            by_cgroup.entry(path).or_insert(index);
        }
    }
    let mut members = BTreeMap::new();
    let mut known = FxHashMap::<Pid, Option<usize>>::default();
    let mut line = Vec::new();
    for process in snapshot.processes.values() {
        let mut at = Some(process.pid);
        let found = loop {
            let Some(process) = at.and_then(|pid| snapshot.processes.get(&pid)) else { break None };
            if let Some(&found) = known.get(&process.pid) {
                break found;
            }
            // A circle of parents ends here.
            known.insert(process.pid, None);
            line.push(process.pid);
            let of_cgroup = || cgroup(process).and_then(|path| innermost(&by_cgroup, path));
            if let Some(index) = by_main.get(&process.pid).copied().or_else(of_cgroup) {
                break Some(index);
            }
            at = process.ppid;
        };
        for pid in line.drain(..) {
            known.insert(pid, found);
            if let Some(index) = found {
                members.insert(pid, index);
            }
        }
    }
    members
}

/// The container of a control group or of the nearest above it.
fn innermost(by_cgroup: &FxHashMap<&BStr, usize>, path: &BStr) -> Option<usize> {
    if by_cgroup.is_empty() {
        return None;
    }
    let mut path = path;
    loop {
        if let Some(&index) = by_cgroup.get(path) {
            return Some(index);
        }
        path = path[..path.rfind("/")?].as_bstr();
    }
}

fn cgroup(process: &Process) -> Option<&BStr> {
    process.living_task().cgroups.as_ref()?.of_controller("cpu").map(|path| path.as_bstr())
}
