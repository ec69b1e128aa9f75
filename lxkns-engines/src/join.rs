//! From claims to containers: which claims are about the same one, which process and control group it has, and who may say so.
//!
//! What an ordinary user can write counts for that user's own processes alone, and never joins what root has written. What was
//! read below the root directory of a process in a container counts for processes of that container alone.

use std::collections::BTreeMap;

use bstr::{BString, ByteSlice as _};
use lxkns_model::CompactSort as _;
use lxkns_model::{
    Cause, Confidence, Engine, EngineKind, Evidence, EvidenceKind, Gap, NamespaceId, NamespaceType, Object, Operation,
    Pid, Place, Pod, Process, Uid,
};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::api::Answer;
use crate::collect::{Source, object};
use crate::evidence::{Claim, Main, cgroups};
use crate::parse::{cgroup_path, is_long_id, monitor::Monitor};
use crate::processes::Processes;

/// A container in the making: what claims say of it.
#[derive(Debug)]
pub(crate) struct Build {
    pub(crate) whose: Option<Uid>,
    /// The container that it is inside of, by its own control group or by who has written its files.
    pub(crate) inside: Option<usize>,
    pub(crate) main: Option<(Pid, usize)>,
    pub(crate) cgroup: Option<(BString, usize)>,
    pub(crate) claims: Vec<Claim>,
}

impl Build {
    pub(crate) fn id(&self) -> &BString {
        &self.best().id
    }

    pub(crate) fn kind(&self) -> EngineKind {
        self.best().kind
    }

    /// The claim that says what it is.
    fn best(&self) -> &Claim {
        // The first of the best: a container is founded with a claim.
        let best = self.claims.iter().reduce(|best, claim| if rank(claim) > rank(best) { claim } else { best });
        best.expect("a container is founded by a claim")
    }
}

/// How much a claim says about what runs a container.
pub(crate) fn rank(claim: &Claim) -> (u8, Confidence) {
    let special = match claim.kind {
        EngineKind::Unknown => 0,
        EngineKind::Runc | EngineKind::Crun => 1,
        // Engines register their containers there.
        EngineKind::Machined => 2,
        // Control groups of Kubernetes do not say which engine it uses.
        EngineKind::Cri if claim.evidence.kind == EvidenceKind::Cgroup => 3,
        _ => 4,
    };
    (special, claim.evidence.confidence)
}

/// How many claims about one container are kept: engines and runtimes make a handful.
const MOST_CLAIMS: usize = 64;

#[derive(PartialEq, Eq, Hash)]
enum Key {
    /// IDs that nobody else has.
    Id(Option<Uid>, Option<usize>, BString),
    /// Names that are unique among those that one runtime keeps in one place.
    Name(Option<Uid>, usize, BString, BString),
}

pub(crate) struct Join<'a, 'b> {
    pub(crate) processes: &'b Processes<'a>,
    pub(crate) builds: Vec<Build>,
    keys: FxHashMap<Key, usize>,
    by_main: FxHashMap<Pid, usize>,
    by_cgroup: FxHashMap<BString, Vec<usize>>,
    /// The control groups of those processes that can be in another container than their parents.
    pub(crate) paths: FxHashMap<Pid, BString>,
    members: FxHashMap<Pid, Option<usize>>,
    /// The labels of pods, by where they count and the ID of the pod.
    pub(crate) pod_labels: FxHashMap<(Option<usize>, BString), BTreeMap<BString, BString>>,
    /// The containers with more claims than are kept.
    full: FxHashSet<usize>,
    /// What claims about pods say, by where they count and the ID of the container or pod.
    pub(crate) pods: FxHashMap<(Option<usize>, BString), (Pod, Claim)>,
}

impl<'a, 'b> Join<'a, 'b> {
    pub(crate) fn new(processes: &'b Processes<'a>) -> Self {
        Self {
            processes,
            builds: Vec::new(),
            keys: FxHashMap::default(),
            by_main: FxHashMap::default(),
            by_cgroup: FxHashMap::default(),
            paths: FxHashMap::default(),
            members: FxHashMap::default(),
            pod_labels: FxHashMap::default(),
            full: FxHashSet::default(),
            pods: FxHashMap::default(),
        }
    }

    /// The processes that are neither in the host's namespaces alone nor in those of their parents: the others are in the
    /// containers that their parents are in.
    pub(crate) fn elsewhere(&self) -> Vec<Pid> {
        let all = self.processes.snapshot.processes.values();
        all.filter(|process| self.is_elsewhere(process)).map(|process| process.pid).collect()
    }

    /// Reads their control groups.
    pub(crate) fn read_cgroups(&mut self, elsewhere: Vec<Pid>) {
        let mut known: FxHashSet<BString> = FxHashSet::default();
        for process in elsewhere.into_iter().filter_map(|pid| self.processes.get(pid)) {
            let Some(path) = self.processes.cgroup(process) else { continue };
            if known.insert(path.clone()) {
                self.add_cgroup(&path);
            }
            self.paths.insert(process.pid, path);
        }
    }

    fn is_elsewhere(&self, process: &Process) -> bool {
        // What is known already costs nothing.
        let is_known = process.living_task().cgroups.is_some();
        (is_known || !self.processes.is_with_parent(process))
            && !self.processes.is_of_host(process)
            && !process.has_given_up_namespaces()
    }

    /// The containers that the path of a control group names.
    fn add_cgroup(&mut self, path: &BString) {
        let mut outer = None;
        for (mut claim, end) in cgroups::claims(path) {
            // In the control group of a container, its root makes what it likes.
            if outer.is_none() && claim.whose.is_none() {
                claim = claim.by(self.processes.namer(path, end));
            }
            let own = BString::from(&path[..end]);
            let there = self.by_cgroup.get(&own).and_then(|there| there.first().copied());
            let index = there.unwrap_or_else(|| {
                let index = self.found(claim.clone(), outer);
                if is_long_id(&claim.id) {
                    self.keys.entry(Key::Id(claim.whose, outer, claim.id)).or_insert(index);
                }
                self.set_cgroup(index, own, 0);
                index
            });
            outer = Some(index);
        }
    }

    fn found(&mut self, claim: Claim, inside: Option<usize>) -> usize {
        self.builds.push(Build { whose: claim.whose, inside, main: None, cgroup: None, claims: vec![claim] });
        self.builds.len() - 1
    }

    fn set_cgroup(&mut self, index: usize, path: BString, by: usize) {
        if path == "/" || self.builds[index].cgroup.is_some() {
            return;
        }
        self.by_cgroup.entry(path.clone()).or_default().push(index);
        self.builds[index].cgroup = Some((path, by));
    }

    /// Adds what was read below root directories: the host's first, then those of processes in containers, from the outside
    /// in, so that it is known whose word each is.
    pub(crate) fn add_files(&mut self, claims: Vec<Claim>, sources: &[Label]) {
        // The order of those of one source stays: what names processes comes first.
        let (own, others): (Vec<_>, Vec<_>) =
            claims.into_iter().partition(|claim| sources.get(claim.source).is_none_or(|it| it.readers.is_empty()));
        own.into_iter().for_each(|claim| self.add(claim, None, &[]));
        let domains: Vec<Option<usize>> = sources.iter().map(|source| self.domain(source)).collect();
        let mut by_depth: Vec<_> = others
            .into_iter()
            .map(|claim| {
                let domain = domains[claim.source];
                (self.depth(domain), domain, claim)
            })
            .collect();
        by_depth.compact_sort_by_key(|(depth, ..)| *depth);
        for (_, domain, claim) in by_depth {
            let readers = &sources[claim.source].readers;
            self.add(claim, domain, readers);
        }
    }

    /// Whose mount namespace a source is. One that has a process of a container in it is that container's, whoever else has
    /// gone there; all can write what is there.
    fn domain(&mut self, source: &Label) -> Option<usize> {
        let leaders = source.mount_ns.and_then(|id| self.processes.snapshot.namespaces.get(&id));
        let leaders = leaders.map_or(&[][..], |namespace| &namespace.leaders);
        source.readers.iter().chain(leaders).find_map(|&pid| self.member(pid))
    }

    fn depth(&self, domain: Option<usize>) -> usize {
        let outer = std::iter::successors(domain, |&index| self.builds[index].inside);
        outer.take(self.builds.len() + 1).count()
    }

    /// Adds what the command lines of monitors say. Their children are the containers' first processes.
    pub(crate) fn add_monitors(&mut self, monitors: Vec<(Pid, Monitor)>) {
        for (pid, monitor) in monitors {
            if self.processes.status(pid).is_none() {
                continue;
            }
            let whose = self.processes.owner(pid);
            let domain = self.member(pid);
            let mut at = BString::from(monitor.kind.name());
            at.extend_from_slice(b" ");
            at.extend_from_slice(&monitor.id);
            let comm = self.processes.get(pid).map(|process| process.comm().clone());
            let evidence = crate::evidence::likely(EvidenceKind::Monitor, comm.unwrap_or(at), Some(pid));
            let mut claim = Claim::new(monitor.kind, monitor.id, evidence).by(whose);
            claim.engine_namespace = monitor.engine_namespace;
            claim.facts.name = monitor.name;
            claim.facts.runtime = monitor.runtime;
            if !monitor.has_many {
                claim.main = self.first_child(pid).map_or(Main::Unknown, Main::Known);
            }
            // A source that no file has: names of monitors are not those that runtimes keep.
            claim.source = usize::MAX;
            self.add(claim, domain, &[]);
        }
    }

    /// The oldest child of a monitor that is in another mount namespace: later ones were started inside (`exec`).
    fn first_child(&self, monitor: Pid) -> Option<Pid> {
        let own = self.processes.mount_ns(monitor);
        let children = self.processes.children(monitor).iter().filter_map(|&child| self.processes.get(child));
        let elsewhere = children.filter(|child| own.is_none() || child.namespaces.get(NamespaceType::Mnt) != own);
        elsewhere.min_by_key(|child| (child.start_time_ticks(), child.pid)).map(|child| child.pid)
    }

    /// Adds what engines have answered, and returns what is known of them. What one says in a container counts there.
    pub(crate) fn add_answers(&mut self, answers: Vec<Answer>) -> Vec<Engine> {
        let mut engines = Vec::new();
        for Answer { pid, kind, version, api, claims } in answers {
            let inside = self.member(pid);
            claims.into_iter().for_each(|claim| self.add(claim, inside, &[pid]));
            engines.push(Engine { kind, pid: Some(pid), id: None, version: Some(version), api, inside });
        }
        engines
    }

    /// Adds the name of a pod. Of what is said the first counts; labels are the engine's alone to say.
    fn add_pod(&mut self, domain: Option<usize>, pod: Pod, claim: Claim) {
        if claim.evidence.kind == EvidenceKind::Engine {
            self.pod_labels.insert((domain, pod.uid.clone()), claim.facts.labels.clone());
        }
        self.pods.entry((domain, claim.id.clone())).or_insert((pod, claim));
    }

    fn add(&mut self, mut claim: Claim, domain: Option<usize>, readers: &[Pid]) {
        if claim.is_too_long() {
            return self.leave_out(&claim, Cause::Malformed);
        }
        if claim.cut() {
            self.leave_out(&claim, Cause::Cut);
        }
        if claim.is_of_pod {
            if let Some(pod) = claim.facts.pod.clone() {
                self.add_pod(domain, pod, claim);
            }
            return;
        }
        if domain.is_some() {
            // The root of a container is not the host's.
            claim.evidence.confidence = claim.evidence.confidence.min(Confidence::Likely);
        }
        let main = self.main_of(&claim, domain, readers);
        let index = self.find(&claim, domain, main);
        let is_named_elsewhere = index.is_some();
        let index = match index {
            Some(index) if self.builds[index].claims.len() >= MOST_CLAIMS => {
                if self.full.insert(index) {
                    self.leave_out(&claim, Cause::Limit);
                }
                return;
            }
            Some(index) => {
                self.builds[index].claims.push(claim);
                index
            }
            None => {
                let inside = domain.or_else(|| main.and_then(|main| self.outer_of(main)));
                self.found(claim, inside)
            }
        };
        let by = self.builds[index].claims.len() - 1;
        let claim = &self.builds[index].claims[by];
        if is_long_id(&claim.id) {
            self.keys.entry(Key::Id(claim.whose, domain, claim.id.clone())).or_insert(index);
        } else if claim.source != usize::MAX {
            let key = Key::Name(claim.whose, claim.source, claim.engine_namespace.clone(), claim.id.clone());
            self.keys.entry(key).or_insert(index);
        }
        if domain.is_some() && domain != Some(index) && is_named_elsewhere {
            let build = &mut self.builds[index];
            build.inside = build.inside.or(domain);
        }
        if let Some(main) = main {
            // What a user claims of their own process gives way.
            let there = self.by_main.entry(main).or_insert(index);
            if self.builds[*there].whose.is_some() && self.builds[index].whose.is_none() {
                *there = index;
            }
            if is_long_id(&self.builds[index].claims[by].id) {
                // Of several control groups with one ID it is this one that others speak of.
                let claim = &self.builds[index].claims[by];
                self.keys.insert(Key::Id(claim.whose, domain, claim.id.clone()), index);
            }
            let has_start = matches!(self.builds[index].claims[by].main, Main::Pid(_, Some(_)));
            if self.builds[index].main.is_none() || has_start {
                self.builds[index].main = Some((main, by));
            }
            let own = self.cgroup_of(main).and_then(|path| own_cgroup(&path, &self.builds[index].claims[by].cgroups));
            if let Some(own) = own {
                self.set_cgroup(index, own, by);
            }
            // A new one: to clear a large table takes as long as it is large.
            self.members = FxHashMap::default();
        }
    }

    /// Notes that a claim is not taken in, or not all of it.
    fn leave_out(&self, claim: &Claim, cause: Cause) {
        let Evidence { kind, at, pid, .. } = &claim.evidence;
        let object = match (kind, pid) {
            (EvidenceKind::Engine | EvidenceKind::Monitor, Some(pid)) => Object::Process(*pid),
            _ => object(*pid, at),
        };
        let gap = Gap::because(Place::Containers, object, Operation::read(""), cause);
        self.processes.gaps.borrow_mut().push(gap);
    }

    /// The control group of a process, read where it was not.
    fn cgroup_of(&mut self, pid: Pid) -> Option<BString> {
        if let Some(path) = self.paths.get(&pid) {
            return Some(path.clone());
        }
        let path = self.processes.cgroup(self.processes.get(pid)?)?;
        self.paths.insert(pid, path.clone());
        Some(path)
    }

    /// The process that a claim names, if the claim counts for it.
    fn main_of(&mut self, claim: &Claim, domain: Option<usize>, readers: &[Pid]) -> Option<Pid> {
        let pid = match claim.main {
            Main::Unknown => return None,
            Main::Known(pid) => pid,
            Main::Pid(pid, start) => {
                let found = |reader| {
                    let process = self.processes.get(self.processes.translate(reader, pid)?)?;
                    let is_it = match start {
                        Some(start) => start == process.start_time_ticks(),
                        // Another process can have the PID by now.
                        None => !self.processes.is_in_host(process) && self.is_where_said(claim, process),
                    };
                    is_it.then_some(process.pid)
                };
                match readers {
                    [] => found(None)?,
                    readers => readers.iter().find_map(|&reader| found(Some(reader)))?,
                }
            }
        };
        let is_own = claim.whose.is_none_or(|uid| self.processes.is_own(uid, pid));
        (is_own && domain.is_none_or(|domain| self.is_within(pid, domain))).then_some(pid)
    }

    /// Whether a process is in the control group that a claim names, or in one with the name of its container; or a claim
    /// with a start time has named it. True where its control group is not known.
    fn is_where_said(&self, claim: &Claim, process: &Process) -> bool {
        let is_known = |index: &usize| *self.builds[*index].id() == claim.id;
        if self.by_main.get(&process.pid).is_some_and(is_known) {
            return true;
        }
        let Some(path) = self.processes.cgroup(process) else { return true };
        if is_long_id(&claim.id) && path.contains_str(&claim.id) {
            return true;
        }
        let last = |path: &BString| path.rsplit_once_str("/").map_or(path.as_bytes(), |(_, last)| last).to_owned();
        match &claim.cgroups[..] {
            [] => cgroup_path::containers(&path).iter().any(|named| named.id == claim.id),
            said => said.iter().map(last).any(|last| path.split_str("/").any(|name| name == last)),
        }
    }

    /// Whether a process is in a container, or one of its ancestors is.
    fn is_within(&mut self, pid: Pid, domain: usize) -> bool {
        let mut at = Some(pid);
        // Circles end.
        for _ in 0..4096 {
            let Some(pid) = at else { return false };
            let member = self.member(pid);
            let outer = std::iter::successors(member, |&index| self.builds[index].inside).take(self.builds.len() + 1);
            if outer.into_iter().any(|index| index == domain) {
                return true;
            }
            at = self.processes.get(pid).and_then(|process| process.ppid);
        }
        false
    }

    /// The container that a process's own container is inside of, where it has no claims of its own yet.
    fn outer_of(&mut self, main: Pid) -> Option<usize> {
        self.member(main)
    }

    /// The container that a claim is about, if it is known.
    fn find(&mut self, claim: &Claim, domain: Option<usize>, main: Option<Pid>) -> Option<usize> {
        // Several control groups can have one ID: that of its first process counts.
        let by_cgroup = main.and_then(|main| self.by_cgroup_of(main, claim, domain));
        if by_cgroup.is_some() {
            return by_cgroup;
        }
        let key = match is_long_id(&claim.id) {
            true => Key::Id(claim.whose, domain, claim.id.clone()),
            false => Key::Name(claim.whose, claim.source, claim.engine_namespace.clone(), claim.id.clone()),
        };
        if let Some(&index) = self.keys.get(&key) {
            return Some(index);
        }
        let main = main?;
        if let Some(&index) = self.by_main.get(&main)
            && self.builds[index].whose == claim.whose
            && domain.is_none_or(|domain| domain != index)
        {
            return Some(index);
        }
        None
    }

    /// The container with the ID of a claim whose control group a process is in.
    fn by_cgroup_of(&mut self, main: Pid, claim: &Claim, domain: Option<usize>) -> Option<usize> {
        let path = self.cgroup_of(main)?;
        let at = prefixes(&path).find_map(|prefix| {
            let there = self.by_cgroup.get(prefix)?.iter().copied();
            there
                .into_iter()
                .find(|&index| self.builds[index].whose == claim.whose && self.builds[index].id() == &claim.id)
        })?;
        (domain != Some(at)).then_some(at)
    }

    /// The innermost container of a process.
    pub(crate) fn member(&mut self, pid: Pid) -> Option<usize> {
        // From the process up to one of which it is known, and down again.
        let mut chain = Vec::new();
        let mut at = Some(pid);
        let mut of_parent = None;
        while let Some(pid) = at {
            if let Some(known) = self.members.get(&pid) {
                of_parent = *known;
                break;
            }
            // So that circles end.
            self.members.insert(pid, None);
            chain.push(pid);
            at = self.processes.get(pid).and_then(|process| process.ppid);
        }
        for pid in chain.into_iter().rev() {
            of_parent = self.member_by_parent(pid, of_parent);
            self.members.insert(pid, of_parent);
        }
        of_parent
    }

    fn member_by_parent(&self, pid: Pid, of_parent: Option<usize>) -> Option<usize> {
        if let Some(&index) = self.by_main.get(&pid) {
            return Some(index);
        }
        let process = self.processes.get(pid)?;
        let by_descent =
            of_parent.filter(|&index| self.builds[index].cgroup.is_none() && self.is_in_pid_ns_of(process, index));
        let Some(path) = self.paths.get(&pid) else {
            let inherits = self.processes.is_with_parent(process) && !self.processes.is_of_host(process);
            return if inherits { of_parent } else { by_descent };
        };
        let by_cgroup = prefixes(path).find_map(|prefix| {
            let mut there = self.by_cgroup.get(prefix)?.iter().copied();
            there.find(|&index| self.builds[index].whose.is_none_or(|uid| self.processes.is_own(uid, pid)))
        });
        match (by_cgroup, by_descent) {
            // A container without a control group of its own, inside the one that the group is of.
            (Some(outer), Some(inner)) if self.is_inside(inner, outer) => Some(inner),
            (Some(index), _) => Some(index),
            (None, by_descent) => by_descent,
        }
    }

    fn is_inside(&self, inner: usize, outer: usize) -> bool {
        let around = std::iter::successors(self.builds[inner].inside, |&index| self.builds[index].inside);
        around.take(self.builds.len() + 1).any(|index| index == outer)
    }

    /// Whether a process is in the PID namespace of a container's first process, or in one below it.
    fn is_in_pid_ns_of(&self, process: &Process, index: usize) -> bool {
        let pid_ns = |process: &Process| process.namespaces.get(NamespaceType::Pid);
        let main = self.builds[index].main.and_then(|(main, _)| self.processes.get(main)).and_then(pid_ns);
        let Some(wanted) = main else { return false };
        let up =
            std::iter::successors(pid_ns(process), |id| self.processes.snapshot.namespaces.get(id)?.parent.known());
        up.take(64).any(|id| id == wanted)
    }

    /// Of several containers with one ID those that are known by the name of a control group alone are claimed: who could
    /// make the control group has chosen the name.
    pub(crate) fn doubt_twins(&mut self) {
        let mut by_id: FxHashMap<(Option<Uid>, Option<usize>, BString), Vec<usize>> = FxHashMap::default();
        for (index, build) in self.builds.iter().enumerate() {
            if is_long_id(build.id()) {
                by_id.entry((build.whose, build.inside, build.id().clone())).or_default().push(index);
            }
        }
        for index in by_id.into_values().filter(|all| all.len() > 1).flatten() {
            let claims = &mut self.builds[index].claims;
            if claims.iter().all(|claim| claim.evidence.kind == EvidenceKind::Cgroup) {
                claims.iter_mut().for_each(|claim| claim.evidence.confidence = Confidence::Claimed);
            }
        }
    }

    /// Adds claims about a namespace without processes.
    pub(crate) fn add_of_namespace(&mut self, claim: Claim) -> usize {
        match self.find(&claim, None, None) {
            Some(index) => {
                self.builds[index].claims.push(claim);
                index
            }
            None => {
                let key = Key::Id(claim.whose, None, claim.id.clone());
                let index = self.found(claim, None);
                self.keys.insert(key, index);
                index
            }
        }
    }
}

/// What leads to a path, and it itself: the longest first; never the top.
fn prefixes(path: &BString) -> impl Iterator<Item = &bstr::BStr> {
    let mut end = path.len();
    std::iter::from_fn(move || {
        (end > 1).then(|| {
            let prefix = &path[..end];
            end = prefix.rfind_byte(b'/').unwrap_or(0);
            prefix.as_bstr()
        })
    })
}

/// Which part of a process's control group is the container's own, by what its source says: that names directories of
/// hierarchies, wherever they were mounted.
fn own_cgroup(path: &BString, said: &[BString]) -> Option<BString> {
    let own = prefixes(path).find(|prefix| said.iter().any(|said| said.ends_with(prefix)));
    own.map(|own| own.to_owned())
}

/// A source, as it is known once it was given away to be read.
#[derive(Clone, Debug)]
pub(crate) struct Label {
    pub(crate) readers: Vec<Pid>,
    pub(crate) mount_ns: Option<NamespaceId>,
}

/// The sources, as [`Join::add_files`] needs them.
pub(crate) fn labels(sources: &[Source]) -> Vec<Label> {
    sources.iter().map(|source| Label { readers: source.readers.clone(), mount_ns: source.mount_ns }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_comes_first() {
        let path = BString::from("/a/b/c");
        assert_eq!(prefixes(&path).collect::<Vec<_>>(), ["/a/b/c", "/a/b", "/a"]);
        assert_eq!(prefixes(&"/".into()).count(), 0);
        assert_eq!(prefixes(&"".into()).count(), 0);
    }

    #[test]
    fn a_control_group_is_found_below_its_mount_point() {
        let own = |path: &str, said: &[&str]| {
            let said: Vec<BString> = said.iter().map(|&said| said.into()).collect();
            own_cgroup(&path.into(), &said).map(|own| own.to_string())
        };
        assert_eq!(
            own("/x/web", &["/sys/fs/cgroup/cpu/x/web", "/sys/fs/cgroup/memory/y/x/web"]).as_deref(),
            Some("/x/web")
        );
        assert_eq!(own("/x/web/container", &["/x/web"]).as_deref(), Some("/x/web"));
        assert_eq!(own("/", &["/sys/fs/cgroup/cpu/"]), None);
        assert_eq!(own("/x/web", &["/sys/fs/cgroup/cpu/other"]), None);
        assert_eq!(own("/x/web", &[]), None);
    }
}
